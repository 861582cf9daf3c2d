"""Opening a chunk and judging its lines once more: the same rule as on the console, which nobody has to believe.

Pure, and done outside of any write transaction: here goes most of an import's processor time. Lines travel as columns,
because a tuple or object for each of a million lines costs more than what is done with it. Only `intake` and `ingest`
call this.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import date
from operator import lt
from typing import NamedTuple
from uuid import UUID

import msgspec

from server.crypto import ChunkUnreadable, KeyRing
from shared import cardkey
from shared.contracts.catalog import KeyRule
from shared.contracts.stock import CHUNK_ROWS, MAX_LOTS, MAX_USES, LineResult

LAST_LINE = 10**9
"""No file has more lines; what a console states is bounded by it."""

MAX_COST = 10**11
"""1/10000 yuan: the dearest unit price that there is."""


class Terms(NamedTuple):
    """What the keys of one lot share. `cost` is in 1/10000 yuan."""

    expires_on: date | None
    cost: int | None
    uses: int


class Chunk(msgspec.Struct, array_like=True):
    """The msgpack of a chunk: its lots, and its rows of (line, number, secret, which of the lots)."""

    lots: list[tuple[date | None, int | None, int]]
    rows: list[tuple[int, str, str, int]]


_Chunks = msgspec.msgpack.Decoder(Chunk)
_RowsOfBefore = msgspec.msgpack.Decoder(list[tuple[int, str, str]])


@dataclass(slots=True)
class Batch:
    """Lines of one chunk for one lot, column by column: numbers in the file, canonical texts, fingerprints."""

    lines: list[int] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    fingerprints: list[bytes] = field(default_factory=list)

    def at(self, places: Sequence[int]) -> Batch:
        """Those at these places, in this order."""
        return Batch(
            [self.lines[at] for at in places],
            [self.texts[at] for at in places],
            [self.fingerprints[at] for at in places],
        )

    def without(self, lines: Collection[int]) -> Batch:
        """Those whose line numbers are not among `lines`."""
        return self.at([at for at, line in enumerate(self.lines) if line not in lines])


@dataclass(slots=True)
class Judged:
    """A chunk as it may be stored: its good lines by lot, and why the others are not. No key is there twice."""

    n: int
    good: dict[Terms, Batch]
    refused: dict[int, LineResult]


def opened(keys: KeyRing, import_id: UUID, n: int, sealed: bytes) -> Chunk:
    """The chunk: its line numbers rise, every row names one of its lots, and their terms are possible.

    Raises ChunkUnreadable unless it is sealed to us for this place and well formed.
    """
    packed = keys.open_chunk(sealed, import_id=import_id, n=n)
    try:
        chunk = _Chunks.decode(packed)
    except msgspec.DecodeError:
        chunk = _of_before(packed, n)
    if not _well_formed(chunk):
        raise ChunkUnreadable(n=n)
    return chunk


def _of_before(packed: bytes, n: int) -> Chunk:
    """A chunk that a console sealed before there were lots by terms; its import may still be under way."""
    try:
        rows = _RowsOfBefore.decode(packed)
    except msgspec.DecodeError:
        raise ChunkUnreadable(n=n) from None
    return Chunk(lots=[(None, None, 1)], rows=[(*row, 0) for row in rows])


def _well_formed(chunk: Chunk) -> bool:
    for _, cost, uses in chunk.lots:
        if not (1 <= uses <= MAX_USES and (cost is None or 0 <= cost <= MAX_COST)):
            return False
    if not chunk.rows:
        return True
    lines, _, _, places = zip(*chunk.rows, strict=True)
    rising = lines[0] > 0 and lines[-1] <= LAST_LINE and all(map(lt, lines, lines[1:]))
    named = min(places) >= 0 and max(places) < len(chunk.lots) <= MAX_LOTS
    return rising and named and len(lines) <= CHUNK_ROWS


def judge(chunk: Chunk, n: int, rule: KeyRule, prints: cardkey.Fingerprinter, today: date) -> Judged:
    """Judge every line by the product's rule, and take the fingerprints of the good ones."""
    judged = Judged(n, {}, {})
    if not chunk.rows:
        return judged
    lots = [Terms(*lot) for lot in chunk.lots]
    lines, numbers, secrets, places = map(list, zip(*chunk.rows, strict=True))
    texts = list(map(cardkey.SEPARATOR.join, zip(numbers, secrets, strict=True)))
    refused = _refused(numbers, secrets, texts, rule)
    expired = {at for at, lot in enumerate(lots) if lot.expires_on is not None and lot.expires_on < today}
    if expired:
        over = {at: LineResult.EXPIRED for at, place in enumerate(places) if place in expired}
        refused = over | refused
    found = Batch(lines, texts, prints.of_all(map(cardkey.fold, texts) if rule.ignore_case else texts))
    if len(set(found.fingerprints)) != len(lines):
        refused = _again(found.fingerprints, refused)
    judged.refused = {lines[at]: why for at, why in refused.items()}
    if len(lots) == 1 and not refused:
        judged.good[lots[0]] = found
        return judged
    by_lot: dict[Terms, list[int]] = {}
    for at, place in enumerate(places):
        if at not in refused:
            by_lot.setdefault(lots[place], []).append(at)
    judged.good = {terms: found.at(mine) for terms, mine in by_lot.items()}
    return judged


def _refused(numbers: list[str], secrets: list[str], texts: list[str], rule: KeyRule) -> dict[int, LineResult]:
    """The places of the lines that the rules of both sides do not admit, and why."""
    refused: dict[int, LineResult] = {}
    pattern = rule.pattern
    if pattern != cardkey.Pattern():
        refused = {at: LineResult.WRONG_PATTERN for at, secret in enumerate(secrets) if not pattern.fits(secret)}
    if not cardkey.all_clean(texts):
        for at, card in enumerate(zip(numbers, secrets, strict=True)):
            verdict = cardkey.admit(*card)
            # A console sends what it has repaired: what still wants a repair was sealed by none.
            if verdict.reason is not None or verdict.card != card:
                refused[at] = LineResult.REFUSED
    return refused


def _again(fingerprints: list[bytes], refused: dict[int, LineResult]) -> dict[int, LineResult]:
    """With the places of keys that were there before in the chunk; the console removed them, but who believes it."""
    seen: set[bytes] = set()
    refused = dict(refused)
    for at, fingerprint in enumerate(fingerprints):
        if at in refused:
            continue
        if fingerprint in seen:
            refused[at] = LineResult.DUPLICATE_IN_STOCK
        seen.add(fingerprint)
    return refused
