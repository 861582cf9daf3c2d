"""The key ring, and the only code that seals, opens and fingerprints card keys.

The ring lives in a file of mode 0600 or in the environment, never in the database. Envelopes: each lot has a
data key wrapped by a versioned master key; a card is AES-256-GCM under its lot's key, bound to its place in
stock. Elsewhere a clear key travels as `Secret`, which prints masked.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from server.ringfile import KeyRingDamaged, Ring, RingFile, RingInUse, RingNotAFile, parse
from shared import clock
from shared.cardkey import Fingerprinter
from shared.contracts.stock import chunk_info, find_info
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


class ChannelRecord(dict[str, str]):
    """What we were given for a payment channel, by the names of `server.gateways.setup`. Printing it shows no value."""

    def __repr__(self) -> str:
        return f"ChannelRecord({sorted(self)})"

    __str__ = __repr__


class ChannelKeyMissing(KamengError):
    """A payment channel has no keys in the ring."""

    code = "channel_key_missing"
    status = 500
    zh = "支付渠道“{channel}”还没有登记。请运行 kameng-server keys add {channel}（参数见 docs/payments.md）。"
    en = "Payment channel “{channel}” is not set up. Run `kameng-server keys add {channel}`; see docs/payments.md."


class ChunkUnreadable(BadInput):
    """A chunk was not sealed to this server, or was changed, or belongs elsewhere."""

    code = "chunk_unreadable"
    status = 422
    zh = "第 {n} 个数据块无法解密：它不是为本服务器加密的，或已损坏。请重新导入文件。"
    en = "Chunk {n} cannot be opened: it was not sealed to this server or is damaged. Import the file again."


class SearchUnreadable(BadInput):
    """The keys somebody searches for were not sealed to this server, or are not a list of keys."""

    code = "search_unreadable"
    status = 422
    zh = "服务器无法读取要查找的卡密，请重试；若仍不行，请重新登录。"
    en = "The server cannot read the keys to look for; try again, and sign in anew if it persists."


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

    def unseal(self, sku_id: UUID, seq: int, sealed: bytes) -> Secret:
        """The clear card. Raises CardUnreadable when the row was moved or changed or the key is another one."""
        place = b"card|" + sku_id.bytes + self._lot + _NUMBER.pack(seq)
        try:
            return Secret(_opened(self._aead, sealed, place).decode())
        except InvalidTag:
            raise CardUnreadable from None

    def reseal(
        self, old: LotCipher, sku_id: UUID, cards: Sequence[tuple[int, bytes]]
    ) -> tuple[list[tuple[int, bytes]], list[int]]:
        """Cards of this lot, (number, sealed), from its old key to this one; and the numbers that did not open.

        What does not open in its place is left out: sealed again it would look right.
        """
        assert old._lot == self._lot
        prefix = random_bytes(_NONCE_PREFIX_BYTES)
        place = b"card|" + sku_id.bytes + self._lot
        moved, damaged = [], []
        for n, (seq, sealed) in enumerate(cards):
            here, nonce = place + _NUMBER.pack(seq), prefix + _COUNTER.pack(n)
            try:
                moved.append((seq, nonce + self._aead.encrypt(nonce, _opened(old._aead, sealed, here), here)))
            except InvalidTag:
                damaged.append(seq)
        return moved, damaged


class KeyRing:
    """All long-lived secrets of one shop. Safe to use from any thread.

    Commands change it by writing its file anew. A running process takes master keys that were added since over: when
    it makes a lot, and when it meets a version that it does not know.
    """

    def __init__(self, ring: Ring, *, file: RingFile | None = None) -> None:
        self._file = file
        try:
            self._masters = _Masters.of(ring)
            self._mac_key = _key(ring["mac"])
            self.fingerprinter = Fingerprinter(_key(ring["fingerprint"]))
            self.import_key_id: str = ring["import"]["id"]
            self._import_key = X25519PrivateKey.from_private_bytes(_key(ring["import"]["private"]))
            self._channels = _channels(ring)
        except (AttributeError, KeyError, ValueError, TypeError) as error:
            raise KeyRingDamaged(reason=type(error).__name__) from None

    @classmethod
    def create(cls, path: Path) -> KeyRing:
        """Make a new ring at `path` with mode 0600. Raises FileExistsError rather than replace one."""
        ring = {
            "format": 1,
            "active_master": 1,
            "masters": {"1": _b64(random_bytes(32))},
            "mac": _b64(random_bytes(32)),
            "fingerprint": _b64(random_bytes(32)),
            "import": {"id": random_bytes(8).hex(), "private": _b64(random_bytes(32))},
            "channels": {},
        }
        RingFile(path).create(ring)
        return cls.load(path)

    @classmethod
    def load(cls, path: Path) -> KeyRing:
        """Read the ring. Raises KeyRingMissing, KeyRingExposed or KeyRingDamaged."""
        file = RingFile(path)
        return cls(file.read(), file=file)

    @classmethod
    def parse(cls, text: str | bytes) -> KeyRing:
        """The ring from its JSON, for a ring that is given in the environment. Raises KeyRingDamaged."""
        return cls(parse(text))

    def __repr__(self) -> str:
        return f"KeyRing(masters={self.masters}, channels={sorted(self._channels)})"

    # --- master keys ---

    @property
    def masters(self) -> list[int]:
        """The versions of the master keys, oldest first."""
        return sorted(self._masters.keys)

    @property
    def active_master(self) -> int:
        """The version that wraps new keys."""
        return self._masters.active

    @property
    def active_since(self) -> datetime:
        """When the active version became it; the beginning of time in a ring that never changed."""
        return datetime.fromtimestamp(self._masters.since, UTC)

    @property
    def is_file(self) -> bool:
        """Whether commands can change it: a ring from the environment they cannot."""
        return self._file is not None

    def add_master(self, version: int) -> None:
        """Make a new master key. It wraps nothing before it is activated."""

        def add(ring: Ring) -> Ring:
            if str(version) in ring["masters"]:
                raise RingInUse(path=str(self._file and self._file.path))
            return ring | {"masters": ring["masters"] | {str(version): _b64(random_bytes(_KEY_BYTES))}}

        self._change(add)

    def activate_master(self, version: int) -> None:
        """Wrap with this version from now on."""
        at = int(clock.now().timestamp())
        self._change(lambda ring: ring | {"active_master": version, "active_since": at})

    def forget_master(self, version: int) -> None:
        """Drop a master key for good. Callers know that nothing is wrapped by it."""
        gone = str(version)
        self._change(lambda ring: ring | {"masters": {v: key for v, key in ring["masters"].items() if v != gone}})

    def rewrap(self, lot_id: UUID, key: LotKey) -> LotKey:
        """The same data key, wrapped by the active master key. Raises CardUnreadable like `lot`."""
        return self._wrap(lot_id, self._data_key(lot_id, key))

    def _master(self, version: int) -> bytes:
        """A master key. Raises CardUnreadable when neither this process nor the ring's file has it."""
        if version not in self._masters.keys:
            self._look_again()
        try:
            return self._masters.keys[version]
        except KeyError:
            raise CardUnreadable from None

    def _look_again(self) -> None:
        """Take over the master keys of the file when it was replaced since it was read; else it costs one look."""
        ring = self._file.newer() if self._file else None
        if ring is None:
            return
        try:
            masters, same_shop = _Masters.of(ring), _key(ring["mac"]) == self._mac_key
        except (AttributeError, KeyError, ValueError, TypeError):
            same_shop = False
        if same_shop:
            self._masters = masters

    # --- lots and cards ---

    def new_lot_key(self, lot_id: UUID) -> LotKey:
        """A fresh data key for a lot, wrapped by the master key that is active now."""
        self._look_again()
        return self._wrap(lot_id, random_bytes(_KEY_BYTES))

    def lot(self, lot_id: UUID, key: LotKey) -> LotCipher:
        """The cipher of a lot. Raises CardUnreadable when this ring did not wrap its key."""
        return LotCipher(lot_id, self._data_key(lot_id, key))

    def _data_key(self, lot_id: UUID, key: LotKey) -> bytes:
        try:
            return _opened(AESGCM(self._master(key.master_version)), key.wrapped, b"lot|" + lot_id.bytes)
        except InvalidTag:
            raise CardUnreadable from None

    def _wrap(self, lot_id: UUID, data_key: bytes) -> LotKey:
        masters, nonce = self._masters, random_bytes(_NONCE_BYTES)
        wrapped = nonce + AESGCM(masters.keys[masters.active]).encrypt(nonce, data_key, b"lot|" + lot_id.bytes)
        return LotKey(wrapped, masters.active)

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

    def open_find(self, sealed: bytes, *, search_id: UUID) -> bytes:
        """The msgpack of the keys that somebody searches for. Raises SearchUnreadable."""
        try:
            return _SUITE.decrypt(sealed, self._import_key, find_info(search_id))
        except (InvalidTag, ValueError):
            raise SearchUnreadable from None

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

    def change_channel(self, channel: str, change: Callable[[ChannelRecord], Mapping[str, str]]) -> ChannelRecord:
        """Put in place what `change` makes of the channel's record as the file holds it now; two commands lose nothing.

        Needs a ring that is a file. A running server reads channels when it starts.
        """

        def put(ring: Ring) -> Ring:
            changed = dict(change(ChannelRecord(ring["channels"].get(channel, {}))))
            return ring | {"channels": ring["channels"] | {channel: changed}}

        self._channels = _channels(self._change(put))
        return self._channels[channel]

    def drop_channel(self, channel: str) -> None:
        """Forget a channel with our key for it, for good. Raises ChannelKeyMissing."""

        def drop(ring: Ring) -> Ring:
            if channel not in ring["channels"]:
                raise ChannelKeyMissing(channel=channel)
            return ring | {"channels": {name: record for name, record in ring["channels"].items() if name != channel}}

        self._channels = _channels(self._change(drop))

    def channel(self, channel: str) -> ChannelRecord:
        """What we were given for a channel. Raises ChannelKeyMissing."""
        try:
            return self._channels[channel]
        except KeyError:
            raise ChannelKeyMissing(channel=channel) from None

    def channels(self) -> list[str]:
        """The channels that have a record, complete or not."""
        return sorted(self._channels)

    def _change(self, change: Callable[[Ring], Ring]) -> Ring:
        """Change the file. Raises RingNotAFile, RingInUse."""
        if self._file is None:
            raise RingNotAFile

        def judged(ring: Ring) -> Ring:
            changed = change(ring)
            KeyRing(changed)  # a ring that would be refused is never written
            return changed

        ring = self._file.change(judged)
        self._masters = _Masters.of(ring)
        return ring


@dataclass(frozen=True, slots=True)
class _Masters:
    """The master keys and which of them is active: exchanged as one, so that no thread sees half a change."""

    keys: dict[int, bytes] = field(repr=False)
    active: int
    since: int

    @classmethod
    def of(cls, ring: Ring) -> _Masters:
        """Those of a ring. A missing key is found now, and not at the next import."""
        keys = {int(version): _key(key) for version, key in ring["masters"].items()}
        _ = keys[ring["active_master"]]
        return cls(keys, ring["active_master"], int(ring.get("active_since", 0)))


def _channels(ring: Ring) -> dict[str, ChannelRecord]:
    """The channels of a ring. Raises TypeError for a record that holds other things than texts."""
    records = {channel: ChannelRecord(record) for channel, record in ring["channels"].items()}
    if not all(isinstance(text, str) for record in records.values() for text in record.values()):
        raise TypeError("a channel's record holds texts")
    return records


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


def seal_chunk(public_key: bytes, packed: bytes, *, import_id: UUID, n: int) -> bytes:
    """Seal a chunk as a console does, for stock that the server's own machine brings (the demo shop)."""
    return _SUITE.encrypt(packed, X25519PublicKey.from_public_bytes(public_key), chunk_info(import_id, n))
