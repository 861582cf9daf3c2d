"""The key ring, and the only code that seals, opens and fingerprints card keys.

The ring lives in a file of mode 0600 or in the environment, never in the database. Envelopes: each lot has a
data key wrapped by a versioned master key; a card is AES-256-GCM under its lot's key, bound to its place in
stock. Elsewhere a clear key travels as `Secret`, which prints masked.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import stat
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from shared.cardkey import Fingerprinter
from shared.contracts.stock import chunk_info
from shared.errors import BadInput, KamengError
from shared.ids import random_bytes

_SUITE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
_KEY_BYTES = 32
_NONCE_PREFIX_BYTES = 8
_NONCE_BYTES = 12
_MOST_PER_PREFIX = 2**32
_COUNTER, _NUMBER = struct.Struct(">I"), struct.Struct(">Q")


class Secret:
    """A clear card key on its way to the one person who may see it. Printing, logging or formatting masks it."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The clear text. The reveal log was written before."""
        return self._text

    def __repr__(self) -> str:
        return "Secret(•••)"

    __str__ = __repr__

    def __format__(self, _spec: str) -> str:
        return "•••"


class KeyRingMissing(KamengError):
    """There is no key ring yet."""

    code = "key_ring_missing"
    status = 500
    zh = "找不到密钥环 {path}。请先运行 kameng-server keys init。"
    en = "There is no key ring at {path}. Run `kameng-server keys init` first."


class KeyRingExposed(KamengError):
    """The file can be read by others."""

    code = "key_ring_exposed"
    status = 500
    zh = "密钥环 {path} 可被其他用户读取，已拒绝使用。请执行 chmod 600 {path}。"
    en = "The key ring {path} can be read by other users and is refused. Run `chmod 600 {path}`."


class KeyRingDamaged(KamengError):
    """The file or variable does not hold a key ring."""

    code = "key_ring_damaged"
    status = 500
    zh = "密钥环无法读取：{reason}。请从备份恢复。"
    en = "The key ring cannot be read: {reason}. Restore it from its backup."


class ChannelKeyMissing(KamengError):
    """A payment channel has no public key in the ring."""

    code = "channel_key_missing"
    status = 500
    zh = "支付渠道“{channel}”还没有公钥。请运行 kameng-server keys add {channel} --file 公钥.pem。"
    en = "Payment channel “{channel}” has no public key. Run `kameng-server keys add {channel} --file KEY.pem`."


class ChunkUnreadable(BadInput):
    """A chunk was not sealed to this server, or was changed, or belongs elsewhere."""

    code = "chunk_unreadable"
    status = 422
    zh = "第 {n} 个数据块无法解密：它不是为本服务器加密的，或已损坏。请重新导入文件。"
    en = "Chunk {n} cannot be opened: it was not sealed to this server or is damaged. Import the file again."


class CardUnreadable(KamengError):
    """A stored card does not open: wrong key ring or a damaged row. A fault of ours."""

    code = "card_unreadable"
    status = 500
    zh = "卡密暂时无法显示，我们已收到告警。"
    en = "The card key cannot be shown right now; we have been alerted."


class SecretUnreadable(KamengError):
    """A stored secret of a person does not open: wrong key ring or a damaged row. A fault of ours."""

    code = "secret_unreadable"
    status = 500
    zh = "服务器无法读取已保存的密钥，我们已收到告警。"
    en = "A stored secret cannot be read; we have been alerted."


@dataclass(frozen=True, slots=True)
class LotKey:
    """A lot's data key as it is stored: wrapped, with the master version that wrapped it."""

    wrapped: bytes
    master_version: int


class LotCipher:
    """Seals and opens the cards of one lot. Cheap per card: one cipher object, nonces counted under a random prefix."""

    __slots__ = ("_aead", "_lot")

    def __init__(self, lot_id: UUID, key: bytes) -> None:
        self._lot = lot_id.bytes
        self._aead = AESGCM(key)

    def seal_all(self, sku_id: UUID, first_seq: int, texts: Sequence[bytes]) -> list[bytes]:
        """Seal the cards that take the places first_seq, first_seq + 1 ...: nonce || ciphertext || tag each."""
        assert len(texts) < _MOST_PER_PREFIX
        prefix = random_bytes(_NONCE_PREFIX_BYTES)
        seal = self._aead.encrypt
        place = b"card|" + sku_id.bytes + self._lot
        count, number = _COUNTER.pack, _NUMBER.pack
        return [
            (nonce := prefix + count(n)) + seal(nonce, text, place + number(seq))
            for n, (seq, text) in enumerate(zip(range(first_seq, first_seq + len(texts)), texts, strict=True))
        ]

    def open(self, sku_id: UUID, seq: int, sealed: bytes) -> Secret:
        """The clear card. Raises CardUnreadable when the row was moved or changed or the key is another one."""
        place = b"card|" + sku_id.bytes + self._lot + _NUMBER.pack(seq)
        try:
            return Secret(_opened(self._aead, sealed, place).decode())
        except InvalidTag:
            raise CardUnreadable from None


class KeyRing:
    """All long-lived secrets of one shop. Immutable but for `add_channel`, which writes the file anew."""

    def __init__(self, ring: dict[str, Any], *, path: Path | None) -> None:
        self._path = path
        try:
            self._masters = {int(v): _key(k) for v, k in ring["masters"].items()}
            self._active: int = ring["active_master"]
            _ = self._masters[self._active]  # a missing key is found now, not at the next import
            self._mac_key = _key(ring["mac"])
            self.fingerprinter = Fingerprinter(_key(ring["fingerprint"]))
            self.import_key_id: str = ring["import"]["id"]
            self._import_key = X25519PrivateKey.from_private_bytes(_key(ring["import"]["private"]))
            self._channels: dict[str, dict[str, str]] = dict(ring["channels"].items())
        except (AttributeError, KeyError, ValueError, TypeError) as error:
            raise KeyRingDamaged(reason=type(error).__name__) from None
        self._ring = ring

    @classmethod
    def create(cls, path: Path) -> KeyRing:
        """Make a new ring at `path` with mode 0600. Raises FileExistsError rather than replace one."""
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        ring = {
            "format": 1,
            "active_master": 1,
            "masters": {"1": _b64(random_bytes(32))},
            "mac": _b64(random_bytes(32)),
            "fingerprint": _b64(random_bytes(32)),
            "import": {"id": random_bytes(8).hex(), "private": _b64(random_bytes(32))},
            "channels": {},
        }
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump(ring, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        return cls(ring, path=path)

    @classmethod
    def load(cls, path: Path) -> KeyRing:
        """Read the ring. Raises KeyRingMissing, KeyRingExposed or KeyRingDamaged."""
        try:
            mode = path.stat().st_mode
        except FileNotFoundError:
            raise KeyRingMissing(path=str(path)) from None
        if os.name == "posix" and mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise KeyRingExposed(path=str(path))
        return cls.parse(path.read_bytes(), path=path)

    @classmethod
    def parse(cls, text: str | bytes, *, path: Path | None = None) -> KeyRing:
        """The ring from its JSON, for a ring that is given in the environment. Raises KeyRingDamaged."""
        try:
            ring = json.loads(text)
        except ValueError:
            raise KeyRingDamaged(reason="not JSON") from None
        if not isinstance(ring, dict) or ring.get("format") != 1:
            raise KeyRingDamaged(reason="unknown format")
        return cls(ring, path=path)

    def __repr__(self) -> str:
        return f"KeyRing(masters={sorted(self._masters)}, channels={sorted(self._channels)})"

    # --- lots and cards ---

    def new_lot_key(self, lot_id: UUID) -> LotKey:
        """A fresh data key for a lot, wrapped by the active master key."""
        return LotKey(wrapped=self._wrap(lot_id, random_bytes(32)), master_version=self._active)

    def lot(self, lot_id: UUID, key: LotKey) -> LotCipher:
        """The cipher of a lot. Raises CardUnreadable when this ring did not wrap its key."""
        master = self._masters.get(key.master_version)
        if master is None:
            raise CardUnreadable
        try:
            data_key = _opened(AESGCM(master), key.wrapped, b"lot|" + lot_id.bytes)
        except InvalidTag:
            raise CardUnreadable from None
        return LotCipher(lot_id, data_key)

    def _wrap(self, lot_id: UUID, data_key: bytes) -> bytes:
        nonce = random_bytes(_NONCE_BYTES)
        return nonce + AESGCM(self._masters[self._active]).encrypt(nonce, data_key, b"lot|" + lot_id.bytes)

    # --- imports ---

    @property
    def import_public_key(self) -> bytes:
        """The raw X25519 key that consoles seal chunks to."""
        return self._import_key.public_key().public_bytes_raw()

    def open_chunk(self, sealed: bytes, *, import_id: UUID, n: int) -> bytes:
        """The msgpack of one chunk. Raises ChunkUnreadable."""
        try:
            return _SUITE.decrypt(sealed, self._import_key, chunk_info(import_id, n))
        except (InvalidTag, ValueError):
            raise ChunkUnreadable(n=n) from None

    # --- cookies, links, channels ---

    def mac(self, purpose: str, data: bytes) -> bytes:
        """A 32-byte HMAC-SHA-256 for `purpose`; equal data of two purposes never has equal codes."""
        return hmac.digest(self._mac_key, purpose.encode() + b"\0" + data, hashlib.sha256)

    def seal_small(self, purpose: str, place: bytes, secret: bytes) -> bytes:
        """Seal a small secret of a row, for example a TOTP secret; `place` (the row's id) is bound to it."""
        nonce = random_bytes(_NONCE_BYTES)
        return nonce + AESGCM(self.mac(f"seal|{purpose}", b"")).encrypt(nonce, secret, place)

    def open_small(self, purpose: str, place: bytes, sealed: bytes) -> bytes:
        """The secret that `seal_small` sealed. Raises SecretUnreadable when row or ring are others."""
        try:
            return _opened(AESGCM(self.mac(f"seal|{purpose}", b"")), sealed, place)
        except InvalidTag:
            raise SecretUnreadable from None

    def add_channel(self, channel: str, *, public_pem: bytes, merchant_id: str) -> None:
        """Store a channel's public key and make our own key pair for it once. Needs a ring that is a file.

        Raises BadInput when the PEM is not an RSA public key of at least 2048 bits.
        """
        try:
            key = serialization.load_pem_public_key(public_pem)
        except (ValueError, TypeError):
            raise BadInput(reason="PEM") from None
        if not isinstance(key, rsa.RSAPublicKey) or key.key_size < 2048:
            raise BadInput(reason="RSA >= 2048")
        known = self._channels.get(channel, {})
        private = known.get("private") or _new_rsa_pem()
        added = {"merchant_id": merchant_id, "public": public_pem.decode(), "private": private}
        ring = self._ring | {"channels": self._channels | {channel: added}}
        self._save(ring)
        self._ring, self._channels = ring, ring["channels"]

    def merchant_id(self, channel: str) -> str:
        """Our merchant number at a channel. Raises ChannelKeyMissing."""
        return self._channel(channel)["merchant_id"]

    def gateway_private_key_pem(self, channel: str) -> bytes:
        """Our private key for a channel. Raises ChannelKeyMissing."""
        return self._channel(channel)["private"].encode()

    def gateway_public_key_pem(self, channel: str) -> bytes:
        """The channel's public key. Raises ChannelKeyMissing."""
        return self._channel(channel)["public"].encode()

    def our_public_key_pem(self, channel: str) -> bytes:
        """Our public key for a channel, to be handed to it. Raises ChannelKeyMissing."""
        key = serialization.load_pem_private_key(self.gateway_private_key_pem(channel), password=None)
        return key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    def channels(self) -> list[str]:
        """The channels that have keys."""
        return sorted(self._channels)

    def _channel(self, channel: str) -> dict[str, str]:
        try:
            return self._channels[channel]
        except KeyError:
            raise ChannelKeyMissing(channel=channel) from None

    def _save(self, ring: dict[str, Any]) -> None:
        if self._path is None:
            raise BadInput(reason="the key ring comes from the environment; add the key there")
        fresh = self._path.with_suffix(".new")
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump(ring, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._path)


def _opened(aead: AESGCM, sealed: bytes, place: bytes) -> bytes:
    """What nonce || ciphertext || tag hold. Raises InvalidTag, also for a row that was cut short."""
    if len(sealed) < _NONCE_BYTES:
        raise InvalidTag
    return aead.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], place)


def _key(text: str) -> bytes:
    """A key of 32 bytes from its base64. Raises ValueError for anything else."""
    key = base64.b64decode(text, validate=True)
    if len(key) != _KEY_BYTES:
        raise ValueError("a key has 32 bytes")
    return key


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _new_rsa_pem() -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


def seal_chunk(public_key: bytes, packed: bytes, *, import_id: UUID, n: int) -> bytes:
    """Seal a chunk as a console does, for stock that the server's own machine brings (the demo shop)."""
    return _SUITE.encrypt(packed, X25519PublicKey.from_public_bytes(public_key), chunk_info(import_id, n))
