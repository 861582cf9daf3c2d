"""Valid rows become chunks of 5,000: one msgpack array each, sealed to the server before it leaves the process.

The body is `[lots, rows]`: the terms of the lots the chunk touches as `[expiry or null, cost or null, uses]`, and
`[line, number, secret, which of these lots]` of each row. Sealing is HPKE (RFC 9180: X25519, HKDF-SHA256,
AES-256-GCM) with `shared.contracts.stock.chunk_info` as `info`, so a chunk cannot be moved to another place or
import. A chunk of very long keys is cut smaller so that it stays within the server's limit. Used by `run`, in the
worker process.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import msgspec
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from desktop.importing.options import SealTo
from desktop.importing.terms import Terms
from shared.contracts.stock import CHUNK_BYTES, CHUNK_ROWS, chunk_info
from shared.errors import KamengError

_SUITE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
_SEAL_OVERHEAD = 32 + 16  # the encapsulated key and the tag

Row = tuple[int, str, str, int]
"""Line, number, secret, and the lot by its number in the file."""


class Held(NamedTuple):
    """Which lines a chunk holds: what a repeated reading of the same file is compared by."""

    rows: int
    first_line: int
    last_line: int


class ReadDiffers(KamengError):
    """The same file was cut into other chunks than before: another version of the program read it."""

    code = "import.read_differs"
    status = 409
    zh = "这个文件上次没有读完，而本版程序的读法不同，无法接着导入。请重新选择该文件。"
    en = "This file was not read to its end before, and this version reads it differently. Choose the file again."


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """One piece of an import, ready to upload. `n` counts from 0; `sha256` (hex) is of `body` as it is here."""

    n: int
    held: Held
    body: bytes
    sha256: str


def seal(body: bytes, public_key_raw: bytes, info: bytes) -> bytes:
    """Seal `body` to the holder of a raw X25519 key (32 bytes): encapsulated key, ciphertext, tag in one piece."""
    return _SUITE.encrypt(body, X25519PublicKey.from_public_bytes(public_key_raw), info=info)


class Chunker:
    """Collects valid rows and hands out full chunks. With `seal_to` None the bodies stay clear (tests, counting)."""

    def __init__(
        self, give: Callable[[Chunk], None], seal_to: SealTo | None, lots: Sequence[Terms], kept: Sequence[Held] = ()
    ) -> None:
        """`lots` may grow while rows come. Chunks that are `kept` from an earlier reading are not given again."""
        self._give = give
        self._kept = kept
        self._lots = lots
        self._seal_to = seal_to
        self._encoder = msgspec.msgpack.Encoder()
        self._waiting: list[Row] = []
        self.chunks = 0
        self.rows = 0

    def add(self, rows: list[Row]) -> None:
        """Take rows in file order; gives every chunk that is full."""
        self._waiting += rows
        while len(self._waiting) >= CHUNK_ROWS:
            self._send(self._waiting[:CHUNK_ROWS])
            del self._waiting[:CHUNK_ROWS]

    def finish(self) -> None:
        """Give what is left."""
        if self._waiting:
            self._send(self._waiting)
            self._waiting = []

    def _send(self, rows: list[Row]) -> None:
        for part, body in self._fitting(rows):
            n = self.chunks
            held = Held(len(part), part[0][0], part[-1][0])
            if n < len(self._kept):
                if held != self._kept[n]:
                    raise ReadDiffers
                self.chunks += 1
                self.rows += len(part)
                continue
            if self._seal_to is not None:
                body = seal(body, self._seal_to.public_key, chunk_info(self._seal_to.import_id, n))
            self.chunks += 1
            self.rows += len(part)
            self._give(Chunk(n=n, held=held, body=body, sha256=hashlib.sha256(body).hexdigest()))

    def _fitting(self, rows: list[Row]) -> Iterator[tuple[list[Row], bytes]]:
        """The rows in as few bodies as the server's limit allows; one row always fits."""
        body = self._encoded(rows)
        if len(body) + _SEAL_OVERHEAD <= CHUNK_BYTES:
            yield rows, body
            return
        half = len(rows) // 2
        yield from self._fitting(rows[:half])
        yield from self._fitting(rows[half:])

    def _encoded(self, rows: list[Row]) -> bytes:
        used = sorted({row[3] for row in rows})
        if used[-1] != len(used) - 1:
            places = {lot: n for n, lot in enumerate(used)}
            rows = [(line, number, secret, places[lot]) for line, number, secret, lot in rows]
        return self._encoder.encode(([self._lots[lot] for lot in used], rows))
