"""Who signs what: the sandbox's own RSA pair, made at first start, and the public keys of its merchants.

Used by `app.py` (own pair) and `protocol.py` (both). Private keys never leave this file's objects: nothing here logs
or prints key material. Files, all inside the data folder:

* `sandbox_private.pem` (mode 0600) and `sandbox_public.pem`: hand the public one to every merchant;
* `merchants/<merchant id>.pem`: one public key a merchant. Text before the PEM block is allowed; a line
  `Name: 演示小店` there is the name buyers see. Adding, replacing or removing a file takes effect at once.
"""

import base64
import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

KEY_BITS = 2048
MERCHANT_ID = re.compile(r"[0-9A-Za-z_-]{1,64}")
_NAME_LINE = re.compile(r"^Name:[ \t]*(\S.{0,39})", re.MULTILINE)
_LARGEST_KEY_FILE_BYTES = 16_384


class KeyFileUnusable(Exception):
    """A key file exists and cannot be used; the text is a sentence for the person who started the sandbox."""


class SigningKey:
    """An RSA private key that signs with PKCS#1 v1.5 and SHA-256."""

    def __init__(self, private_key: rsa.RSAPrivateKey) -> None:
        """Wrap a loaded key; `serial` names its public half: 32 hex digits of the SHA-256 of the DER form."""
        self._private_key = private_key
        public_der = private_key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        self.serial = hashlib.sha256(public_der).hexdigest()[:32].upper()

    def sign(self, message: bytes) -> str:
        """Return the signature of `message` in base64."""
        return base64.b64encode(self._private_key.sign(message, padding.PKCS1v15(), hashes.SHA256())).decode()

    def public_pem(self) -> bytes:
        """Return the public half as PEM."""
        return self._private_key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )


@dataclass(frozen=True, slots=True)
class Merchant:
    """A registered merchant: its id, the name buyers see, and the key its requests must be signed with."""

    merchant_id: str
    name: str
    public_key: rsa.RSAPublicKey

    def has_signed(self, message: bytes, signature_base64: str) -> bool:
        """Whether `signature_base64` is this merchant's signature of `message`. Never raises on bad input."""
        try:
            signature = base64.b64decode(signature_base64, validate=True)
            self.public_key.verify(signature, message, padding.PKCS1v15(), hashes.SHA256())
        except (ValueError, InvalidSignature):
            return False
        return True


class MerchantRegister:
    """The folder of merchants' public keys, read for each request and cached by modification time and size."""

    def __init__(self, folder: Path) -> None:
        """Watch `folder`; it need not hold anything yet."""
        self._folder = folder
        self._cached: dict[str, tuple[tuple[int, int], Merchant]] = {}

    def find(self, merchant_id: str) -> Merchant | None:
        """Return the merchant, or None when it is not registered or its file holds no usable RSA public key."""
        if not MERCHANT_ID.fullmatch(merchant_id):
            return None  # also keeps "../" and the like away from the file system
        path = self._folder / f"{merchant_id}.pem"
        try:
            stat = path.stat()
        except OSError:
            self._cached.pop(merchant_id, None)
            return None

        version = (stat.st_mtime_ns, stat.st_size)
        cached = self._cached.get(merchant_id)
        if cached is not None and cached[0] == version:
            return cached[1]
        merchant = _read_merchant(path, merchant_id)
        if merchant is not None:
            self._cached[merchant_id] = (version, merchant)
        return merchant


def _read_merchant(path: Path, merchant_id: str) -> Merchant | None:
    try:
        if path.stat().st_size > _LARGEST_KEY_FILE_BYTES:
            return None
        content = path.read_bytes()
        public_key = serialization.load_pem_public_key(content)
    except (OSError, ValueError, UnsupportedAlgorithm):
        return None
    if not isinstance(public_key, rsa.RSAPublicKey) or public_key.key_size < KEY_BITS:
        return None
    named = _NAME_LINE.search(content.decode("utf-8", errors="replace"))
    return Merchant(merchant_id, named.group(1).strip() if named else merchant_id, public_key)


def load_or_make_own_key(data_folder: Path) -> SigningKey:
    """Return the sandbox's signing key, making the pair at the first start.

    Raises KeyFileUnusable when the private key file is damaged: making a new one silently would turn every merchant's
    stored public key stale. Raises OSError when the folder cannot be written.
    """
    private_path = data_folder / "sandbox_private.pem"
    try:
        private_pem = private_path.read_bytes()
    except FileNotFoundError:
        private_key = rsa.generate_private_key(public_exponent=65537, key_size=KEY_BITS)
        private_pem = private_key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        _write_whole(private_path, private_pem, mode=0o600)

    try:
        loaded = serialization.load_pem_private_key(private_pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise _unusable(private_path) from error
    if not isinstance(loaded, rsa.RSAPrivateKey):
        raise _unusable(private_path)

    key = SigningKey(loaded)
    public_path = data_folder / "sandbox_public.pem"
    if not public_path.exists() or public_path.read_bytes() != key.public_pem():
        _write_whole(public_path, key.public_pem(), mode=0o644)
    return key


def _unusable(path: Path) -> KeyFileUnusable:
    return KeyFileUnusable(
        f"密钥文件 {path} 已损坏或不是 RSA 私钥。请恢复它，或删除它以生成新密钥（商家须重新登记公钥）。 / "
        f"The key file {path} is damaged or holds no RSA private key. Restore it, or delete it to make a new one "
        "(merchants must then register the new public key)."
    )


def _write_whole(path: Path, content: bytes, *, mode: int) -> None:
    """Write so that a crash leaves the old file, the new file or none, never half a key; never readable too early."""
    unfinished = path.with_suffix(".new")
    unfinished.unlink(missing_ok=True)
    with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)
