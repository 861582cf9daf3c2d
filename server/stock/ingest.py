"""The job behind an import: open its chunks in their order, judge each line once more, and store what is new.

One step stores a few chunks in one transaction; the job goes on where the last commit stood. Lines of one expiry, cost
and number of uses make a lot. The database's unique fingerprint has the last word on duplicates; what another supplier
brought before is refused and the operator told. Only `intake` and the job table call this.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence
from datetime import date
from itertools import pairwise
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
from sqlalchemy import delete, exists, func, select, update
from sqlalchemy.exc import IntegrityError

from server import audit, changes, jobs
from server.catalog import queries as catalog
from server.catalog.queries import SaleTerms
from server.crypto import ChunkUnreadable, KeyRing, LotKey
from server.db import Tx, bulk_insert
from server.stock import alerts
from server.stock.model import (
    CardSecret,
    ImportChunk,
    ImportRefusal,
    StockCursor,
    StockImport,
    StockLot,
    StockSeries,
    StockUnit,
    StockVoid,
)
from server.stock.ranking import LOT_NUMBERS, USE_STRIDE, rank, sell_until
from shared import cardkey, clock, ids
from shared.contracts.catalog import KeyRule
from shared.contracts.stock import CHUNK_ROWS, MAX_LOTS, MAX_ROWS, MAX_USES, LineResult
from shared.states import AlertKind, ImportState, LotState, SaleOrder, UnitState

INGEST = "stock.ingest"
DISCARD = "stock.discard"
CHUNKS_PER_STEP = 4
"""About 20,000 rows a transaction: big enough for the index, small enough that checkouts wait a blink."""

COMPARED_ELSEWHERE_FROM = 12
"""Characters of number and secret from which a key is compared with other suppliers': shorter ones meet by chance."""

LAST_LINE = 10**9
"""No file has more lines; what a console states is bounded by it."""

_LOOK_UP = 1_000
_DISCARD_MOST = 20_000
_shuffle = random.SystemRandom().shuffle


class Terms(NamedTuple):
    """What the keys of one lot share. `cost` is in 1/10000 yuan."""

    expires_on: date | None
    cost: int | None
    uses: int


class _Chunk(msgspec.Struct, array_like=True):
    """The msgpack of a chunk: its lots, and its rows of (line, number, secret, which of the lots)."""

    lots: list[tuple[date | None, int | None, int]]
    rows: list[tuple[int, str, str, int]]


_Chunks = msgspec.msgpack.Decoder(_Chunk)


class _Line(NamedTuple):
    """One line that the rules admit: its number in the file, the canonical text, the fingerprint, its lot's terms."""

    line: int
    text: str
    fingerprint: bytes
    terms: Terms


def enqueue(tx: Tx, import_id: UUID) -> None:
    """Have the chunks that are here stored; once, however often it is asked."""
    jobs.enqueue(tx, INGEST, {"import_id": str(import_id)}, key=f"{INGEST}:{import_id}")


def changed(tx: Tx, found: StockImport) -> None:
    """Tell the consoles that an import, and so its SKU's stock, has changed."""
    changes.append(tx, "import", found.id, domain="stock", supplier_id=found.supplier_id)
    changes.append(tx, "sku", found.sku_id, domain="stock", supplier_id=found.supplier_id)


def inspect(keys: KeyRing, import_id: UUID, n: int, sealed: bytes) -> None:
    """Open a chunk as it arrives. Raises ChunkUnreadable unless it is sealed to us for this place and well formed."""
    _opened(keys, import_id, n, sealed)


def _opened(keys: KeyRing, import_id: UUID, n: int, sealed: bytes) -> _Chunk:
    """The chunk: line numbers rise, every row names one of its lots, and their terms are possible."""
    try:
        chunk = _Chunks.decode(keys.open_chunk(sealed, import_id=import_id, n=n))
    except msgspec.DecodeError:
        raise ChunkUnreadable(n=n) from None
    numbers = [row[0] for row in chunk.rows]
    rising = all(one < other for one, other in pairwise([0, *numbers, LAST_LINE + 1]))
    places = {row[3] for row in chunk.rows}
    named = not places or (min(places) >= 0 and max(places) < len(chunk.lots) <= MAX_LOTS)
    possible = all(1 <= uses <= MAX_USES and (cost is None or 0 <= cost <= 10**11) for _, cost, uses in chunk.lots)
    if not (rising and named and possible and len(chunk.rows) <= CHUNK_ROWS):
        raise ChunkUnreadable(n=n)
    return chunk


# --- one step of the job ---


def ingest(tx: Tx, keys: KeyRing, args: dict[str, Any]) -> None:
    """Store the next chunks that have arrived, or finish. Runs in the transaction that completes the job."""
    import_id = UUID(args["import_id"])
    found = tx.get(StockImport, import_id, with_for_update=True)
    if found is None or found.state not in {ImportState.RECEIVING, ImportState.INGESTING}:
        return
    terms = catalog.sku_terms(tx, [found.sku_id])[found.sku_id]
    lines, refused = _read_next(tx, keys, found, terms.key_rule)
    if lines or refused:
        _store_lines(tx, keys, found, terms, lines, refused)
    if found.chunk_count is not None and found.next_chunk == found.chunk_count:
        _finish(tx, found)
    elif tx.scalar(select(exists().where(ImportChunk.import_id == import_id, ImportChunk.n == found.next_chunk))):
        enqueue(tx, import_id)
    tx.flush()
    changed(tx, found)


def _read_next(tx: Tx, keys: KeyRing, found: StockImport, rule: KeyRule) -> tuple[list[_Line], dict[int, LineResult]]:
    """Open and judge the next chunks in a row. Answers the good lines, and why the others are not."""
    waiting = select(ImportChunk.n, ImportChunk.sealed).where(
        ImportChunk.import_id == found.id, ImportChunk.n >= found.next_chunk
    )
    lines: list[_Line] = []
    refused: dict[int, LineResult] = {}
    first = found.next_chunk
    for n, sealed in tx.execute(waiting.order_by(ImportChunk.n).limit(CHUNKS_PER_STEP)):
        if n != found.next_chunk:
            break
        assert sealed is not None
        chunk = _opened(keys, found.id, n, sealed)
        numbers, texts, lots = _judge(chunk, rule, refused)
        compared = map(cardkey.fold, texts) if rule.ignore_case else texts
        lines += map(_Line, numbers, texts, keys.fingerprinter.of_all(compared), lots)
        found.next_chunk = n + 1
    stored = (ImportChunk.import_id == found.id, ImportChunk.n >= first, ImportChunk.n < found.next_chunk)
    tx.execute(update(ImportChunk).where(*stored).values(sealed=None))
    return lines, refused


def _judge(chunk: _Chunk, rule: KeyRule, refused: dict[int, LineResult]) -> tuple[list[int], list[str], list[Terms]]:
    """The rows that the rules of both sides admit: line numbers, canonical texts and terms. Notes the others."""
    lots = [Terms(*lot) for lot in chunk.lots]
    numbers = [row[0] for row in chunk.rows]
    texts = [f"{row[1]}{cardkey.SEPARATOR}{row[2]}" for row in chunk.rows]
    pattern, today = rule.pattern, clock.shop_day(clock.now())
    expired = {at for at, lot in enumerate(lots) if lot.expires_on is not None and lot.expires_on < today}
    plain = pattern == cardkey.Pattern() and not expired
    if plain and cardkey.all_clean(texts):
        return numbers, texts, [lots[row[3]] for row in chunk.rows]
    good: tuple[list[int], list[str], list[Terms]] = ([], [], [])
    for (line, number, secret, lot), text in zip(chunk.rows, texts, strict=True):
        verdict = cardkey.admit(number, secret)
        if verdict.reason is not None or verdict.card != (number, secret):
            refused[line] = LineResult.REFUSED
        elif not pattern.fits(secret):
            refused[line] = LineResult.WRONG_PATTERN
        elif lot in expired:
            refused[line] = LineResult.EXPIRED
        else:
            for column, value in zip(good, (line, text, lots[lot]), strict=True):
                column.append(value)  # type: ignore[attr-defined]
    return good


def _store_lines(
    tx: Tx,
    keys: KeyRing,
    found: StockImport,
    terms: SaleTerms,
    lines: list[_Line],
    refused: dict[int, LineResult],
) -> None:
    """Store the new ones among judged lines, and note the rest line by line."""
    room = max(0, MAX_ROWS - found.stored - found.duplicates - found.refused)
    refused |= dict.fromkeys((line.line for line in lines[room:]), LineResult.REFUSED)
    lines, known = _once(lines[:room])
    known |= _elsewhere(tx, found, lines)
    lines = [line for line in lines if line.line not in known] if known else lines
    fresh, in_stock = _store_new(tx, keys, found, terms, lines, refused)
    known |= in_stock
    refusals = refused | known
    if refusals:
        told = tx.scalar(select(func.max(ImportRefusal.line)).where(ImportRefusal.import_id == found.id)) or 0
        # Numbers rise through the file; one that does not was made up, and is counted but not listed again.
        rows = [(line, result.value) for line, result in sorted(refusals.items()) if line > told]
        bulk_insert(tx, ImportRefusal, ("line", "result"), rows, constants={"import_id": found.id})
    found.stored += fresh
    found.duplicates += len(known)
    found.refused += len(refused)


def _once(lines: list[_Line]) -> tuple[list[_Line], dict[int, LineResult]]:
    """The first of equal keys; the console removed the others, but nobody has to believe it."""
    if len({line.fingerprint for line in lines}) == len(lines):
        return lines, {}
    first: dict[bytes, _Line] = {}
    known = {
        line.line: LineResult.DUPLICATE_IN_STOCK
        for line in lines
        if first.setdefault(line.fingerprint, line) is not line
    }
    return list(first.values()), known


def _elsewhere(tx: Tx, found: StockImport, lines: list[_Line]) -> dict[int, LineResult]:
    """Lines whose key another supplier brought before, for whatever product. The operator is told."""
    others = exists().where(StockLot.supplier_id != found.supplier_id)
    if not lines or not tx.scalar(select(others)):
        return {}
    long = {line.fingerprint: line.line for line in lines if len(line.text) > COMPARED_ELSEWHERE_FROM}
    known: dict[int, LineResult] = {}
    wanted = sorted(long)
    for at in range(0, len(wanted), _LOOK_UP):
        query = (
            select(CardSecret.fingerprint)
            .join(StockUnit, (StockUnit.sku_id == CardSecret.sku_id) & (StockUnit.seq == CardSecret.seq))
            .join(StockLot, StockLot.id == StockUnit.lot_id)
            .where(CardSecret.fingerprint.in_(wanted[at : at + _LOOK_UP]), StockLot.supplier_id != found.supplier_id)
        )
        known |= {long[fingerprint]: LineResult.DUPLICATE_ELSEWHERE for fingerprint in tx.scalars(query)}
    if known:
        alerts.raise_alert(
            tx, AlertKind.OFFERED_ELSEWHERE, sku_id=found.sku_id, supplier_id=found.supplier_id, add=len(known)
        )
    return known


def _store_new(
    tx: Tx,
    keys: KeyRing,
    found: StockImport,
    terms: SaleTerms,
    lines: list[_Line],
    refused: dict[int, LineResult],
) -> tuple[int, dict[int, LineResult]]:
    """Store the lines whose keys the product never had; answers how many, and why not the others.

    Nearly every file is new to the shop: all lines are tried at once, and looked up only when the unique fingerprint
    refuses one.
    """
    by_lot = _by_lot(tx, keys, found, terms, lines, refused)
    try:
        with tx.begin_nested():
            for lot, cursor, mine in by_lot:
                _store(tx, keys, lot, cursor, mine)
    except IntegrityError:
        tx.expire_all()
        known = _known(tx, found.product_id, lines)
        by_lot = [(lot, cursor, [one for one in mine if one.line not in known]) for lot, cursor, mine in by_lot]
        for lot, cursor, mine in by_lot:
            _store(tx, keys, lot, cursor, mine)
        return sum(len(mine) for _, _, mine in by_lot), known
    return sum(len(mine) for _, _, mine in by_lot), {}


def _known(tx: Tx, product_id: UUID, lines: list[_Line]) -> dict[int, LineResult]:
    by_fingerprint = {line.fingerprint: line.line for line in lines}
    known: dict[int, LineResult] = {}
    wanted = sorted(by_fingerprint)
    for at in range(0, len(wanted), _LOOK_UP):
        query = (
            select(CardSecret.fingerprint, StockUnit.state)
            .join(StockUnit, (StockUnit.sku_id == CardSecret.sku_id) & (StockUnit.seq == CardSecret.seq))
            .where(CardSecret.product_id == product_id, CardSecret.fingerprint.in_(wanted[at : at + _LOOK_UP]))
        )
        for fingerprint, state in tx.execute(query):
            sold = state == UnitState.SOLD
            known[by_fingerprint[fingerprint]] = LineResult.DUPLICATE_SOLD if sold else LineResult.DUPLICATE_IN_STOCK
    return known


# --- lots ---


def _by_lot(
    tx: Tx,
    keys: KeyRing,
    found: StockImport,
    terms: SaleTerms,
    lines: Sequence[_Line],
    refused: dict[int, LineResult],
) -> list[tuple[StockLot, StockCursor, list[_Line]]]:
    """The lot of each line, made where the import has none of its terms yet, with its cursor locked."""
    wanted: dict[Terms, list[_Line]] = defaultdict(list)
    for line in lines:
        wanted[line.terms].append(line)
    have = {
        Terms(lot.expires_on, lot.cost, lot.uses): lot
        for lot in tx.scalars(select(StockLot).where(StockLot.import_id == found.id))
    }
    room = MAX_LOTS - len(have)
    new = sorted(wanted.keys() - have.keys(), key=lambda one: (one.expires_on or date.max, one.cost or 0, one.uses))
    for one in new[room:]:
        refused |= dict.fromkeys((line.line for line in wanted.pop(one)), LineResult.REFUSED)
    have |= {one: _new_lot(tx, keys, found, terms, one) for one in new[:room]}
    tx.flush()
    mine = [have[one].id for one in wanted]
    cursors = {
        cursor.lot_id: cursor
        for cursor in tx.scalars(
            select(StockCursor)
            .where(StockCursor.lot_id.in_(mine))
            .order_by(StockCursor.sku_id, StockCursor.rank)
            .with_for_update()
        )
    }
    lots = []
    for one, own in wanted.items():
        lot = have[one]
        cursor = cursors[lot.id]
        fits = max(0, min(lot.stride, MAX_ROWS // lot.uses) - cursor.imported // lot.uses)
        refused |= dict.fromkeys((line.line for line in own[fits:]), LineResult.REFUSED)
        own = own[:fits]
        if terms.selling.sale_order is SaleOrder.RANDOM:
            _shuffle(own)
        lots.append((lot, cursor, own))
    return lots


def _new_lot(tx: Tx, keys: KeyRing, found: StockImport, terms: SaleTerms, one: Terms) -> StockLot:
    lot_id = ids.new_id()
    key = keys.new_lot_key(lot_id)
    number, first = _take_numbers(tx, found.sku_id)
    lot = StockLot(
        id=lot_id,
        sku_id=found.sku_id,
        product_id=found.product_id,
        supplier_id=found.supplier_id,
        import_id=found.id,
        number=number,
        first_seq=first,
        stride=LOT_NUMBERS if one.uses == 1 else USE_STRIDE,
        uses=one.uses,
        expires_on=one.expires_on,
        cost=one.cost,
        state=LotState.OPEN,
        file_name=found.file_name,
        wrapped_key=key.wrapped,
        master_version=key.master_version,
        created_at=clock.now(),
    )
    cursor = StockCursor(
        lot_id=lot_id,
        sku_id=found.sku_id,
        rank=rank(number=number, expires_on=one.expires_on, order=terms.selling.sale_order),
        selling=False,
        sell_until=sell_until(one.expires_on, terms.selling.stop_days),
        first_seq=first,
        next_seq=first,
        end_seq=first,
        imported=0,
        free=0,
        held=0,
        sold=0,
        void=0,
    )
    tx.add_all([lot, cursor])
    return lot


def _take_numbers(tx: Tx, sku_id: UUID) -> tuple[int, int]:
    """The number of the SKU's next lot, and the first of the unit numbers that are its own."""
    series = tx.get(StockSeries, sku_id, with_for_update=True)
    if series is None:
        try:
            with tx.begin_nested():
                tx.add(StockSeries(sku_id=sku_id, next_seq=1, lots=0))
        except IntegrityError:  # another import of the SKU was first
            pass
        series = tx.get_one(StockSeries, sku_id, with_for_update=True)
    number, first = series.lots, series.next_seq
    series.lots, series.next_seq = number + 1, (first // LOT_NUMBERS + 1) * LOT_NUMBERS
    return number, first


def _store(tx: Tx, keys: KeyRing, lot: StockLot, cursor: StockCursor, lines: list[_Line]) -> None:
    """Seal the keys and insert secrets and units. A reusable key is one secret and a unit for each of its uses."""
    if not lines:
        return
    first = lot.first_seq + cursor.imported // lot.uses
    cipher = keys.lot(lot.id, LotKey(wrapped=lot.wrapped_key, master_version=lot.master_version))
    sealed = cipher.seal_all(lot.sku_id, first, [line.text.encode() for line in lines])
    seqs = range(first, first + len(lines))
    bulk_insert(
        tx,
        CardSecret,
        ("seq", "fingerprint", "sealed", "tail"),
        list(zip(seqs, [x.fingerprint for x in lines], sealed, cardkey.tails([x.text for x in lines]), strict=True)),
        constants={"sku_id": lot.sku_id, "product_id": lot.product_id},
    )
    units = seqs if lot.uses == 1 else [seq + use * lot.stride for use in range(lot.uses) for seq in seqs]
    bulk_insert(
        tx,
        StockUnit,
        ("seq",),
        list(zip(units, strict=True)),
        constants={"sku_id": lot.sku_id, "lot_id": lot.id, "state": int(UnitState.FREE)},
    )
    cursor.imported += len(units)
    cursor.free += len(units)
    cursor.end_seq = max(cursor.end_seq, units[-1] + 1)
    tx.flush()


def _finish(tx: Tx, found: StockImport) -> None:
    """All is stored: its lots sell from now on."""
    found.state, found.finished_at = ImportState.DONE, clock.now()
    mine = select(StockLot.id).where(StockLot.import_id == found.id, StockLot.state == LotState.OPEN.value)
    tx.execute(
        update(StockCursor).where(StockCursor.lot_id.in_(list(tx.scalars(mine)))).values(selling=True),
        execution_options={"synchronize_session": "fetch"},
    )
    detail = {"stored": found.stored, "duplicates": found.duplicates, "refused": found.refused}
    audit.append(
        tx, actor=found.created_by, action="import.finish", entity="import", entity_id=str(found.id), detail=detail
    )


# --- a cancelled import ---


def discard(tx: Tx, args: dict[str, Any]) -> None:
    """Take out what a cancelled import had stored, a piece a time: it never was for sale, so nothing is left of it."""
    import_id = UUID(args["import_id"])
    lots = list(tx.scalars(select(StockLot).where(StockLot.import_id == import_id).order_by(StockLot.id)))
    for lot in lots:
        of_lot = (StockUnit.sku_id == lot.sku_id, StockUnit.lot_id == lot.id)
        in_lot = (StockUnit.seq >= lot.first_seq, StockUnit.seq < lot.first_seq + LOT_NUMBERS)
        seqs = list(
            tx.scalars(select(StockUnit.seq).where(*of_lot, *in_lot).order_by(StockUnit.seq).limit(_DISCARD_MOST))
        )
        if seqs:
            for model in (CardSecret, StockUnit, StockVoid):
                tx.execute(delete(model).where(model.sku_id == lot.sku_id, model.seq.between(seqs[0], seqs[-1])))
            jobs.enqueue(tx, DISCARD, args)
            return
        tx.execute(delete(StockCursor).where(StockCursor.lot_id == lot.id))
        tx.delete(lot)
    for table in (ImportChunk, ImportRefusal):
        tx.execute(delete(table).where(table.import_id == import_id))
