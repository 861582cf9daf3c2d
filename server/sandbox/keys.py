"""The RSA keys of every dialect: pairs of the sandbox's own, made at first start, and public keys of merchants.

Private keys never leave this file's objects: nothing here logs or prints key material. A pair `NAME` is two files,
`NAME_private.pem` (mode 0600) and `NAME_public.pem`; the public one begins with the line `Kameng sandbox`, by which a
shop that takes real money recognises and refuses it.
"""

import base64
import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

KEY_BITS = 2048
MARKER = "Kameng sandbox"
"""The first line of every public key and certificate that the sandbox hands out."""


class KeyFileUnusable(Exception):
    """A key file exists and cannot be used; the text is a sentence for the person who started the sandbox."""


class SigningKey:
    """An RSA private key that signs with PKCS#1 v1.5 and SHA-256."""

    def __init__(self, private_key: rsa.RSAPrivateKey) -> None:
        """Wrap a loaded key; `serial` names its public half: 32 hex digits of the SHA-256 of the DER form."""
        self.private_key = private_key
        public_der = private_key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        self.serial = hashlib.sha256(public_der).hexdigest()[:32].upper()

    def sign(self, message: bytes) -> str:
        """Return the signature of `message` in base64."""
        return base64.b64encode(self.private_key.sign(message, padding.PKCS1v15(), hashes.SHA256())).decode()

    def public_pem(self) -> bytes:
        """Return the public half as PEM."""
        return self.private_key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )


def read_public_key(pem: bytes) -> rsa.RSAPublicKey | None:
    """Return the RSA public key of a PEM text, or None when it holds none of at least `KEY_BITS`."""
    try:
        public_key = serialization.load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm):
        return None
    if not isinstance(public_key, rsa.RSAPublicKey) or public_key.key_size < KEY_BITS:
        return None
    return public_key


def has_signed(key: rsa.RSAPublicKey, message: bytes, signature_base64: str) -> bool:
    """Whether `signature_base64` is the signature of `message` by `key`. Never raises on bad input."""
    try:
        key.verify(base64.b64decode(signature_base64, validate=True), message, padding.PKCS1v15(), hashes.SHA256())
    except (ValueError, InvalidSignature):
        return False
    return True


def load_or_make_pair(folder: Path, name: str, *, about: Sequence[str] = ()) -> SigningKey:
    """Return the sandbox's signing key of a name, and see to it that its public half lies beside it.

    `about` are further lines before the public key. Raises as `load_or_make_key` does.
    """
    key = load_or_make_key(folder, name)
    write_if_changed(folder / f"{name}_public.pem", marked(key.public_pem(), about))
    return key


def load_or_make_key(folder: Path, name: str) -> SigningKey:
    """Return the sandbox's signing key of a name, making it at the first start.

    Raises KeyFileUnusable when the private key file is damaged: making a new one silently would turn every merchant's
    stored public key stale. Raises OSError when the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    private_path = folder / f"{name}_private.pem"
    try:
        private_pem = private_path.read_bytes()
    except FileNotFoundError:
        private_key = rsa.generate_private_key(public_exponent=65537, key_size=KEY_BITS)
        private_pem = private_key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        write_whole(private_path, private_pem, mode=0o600)
        return SigningKey(private_key)

    try:
        # Made by this file: to prove its primes once more takes as long as the rest of a start.
        loaded = serialization.load_pem_private_key(private_pem, password=None, unsafe_skip_rsa_key_validation=True)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise _unusable(private_path) from error
    if not isinstance(loaded, rsa.RSAPrivateKey):
        raise _unusable(private_path)
    return SigningKey(loaded)


def marked(pem: bytes, about: Sequence[str] = ()) -> bytes:
    """Return a public key or certificate with the sandbox's marker and other lines before it."""
    return "".join(f"{line}\n" for line in (MARKER, *about)).encode() + pem


def _unusable(path: Path) -> KeyFileUnusable:
    return KeyFileUnusable(
        f"密钥文件 {path} 已损坏或不是 RSA 私钥。请恢复它，或删除它以生成新密钥（商家须重新登记公钥）。 / "
        f"The key file {path} is damaged or holds no RSA private key. Restore it, or delete it to make a new one "
        "(merchants must then register the new public key)."
    )


def write_if_changed(path: Path, content: bytes) -> None:
    """Write a file that anybody may read, unless it says so already."""
    if not path.exists() or path.read_bytes() != content:
        write_whole(path, content, mode=0o644)


def write_whole(path: Path, content: bytes, *, mode: int) -> None:
    """Write so that a crash leaves the old file, the new file or none, never half a key; never readable too early."""
    unfinished = path.with_suffix(".new")
    unfinished.unlink(missing_ok=True)
    with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)
