"""The job behind an import: it stores chunks in their order, a few at a time, and ends by letting their lots sell.

A run opens and judges what waits outside of any transaction, then stores it in as few as it can: many chunks while
nobody else wants to write, one when somebody does. Each transaction moves `next_chunk`, so that a run may end anywhere
and be repeated. The database's unique fingerprint has the last word on duplicates; what another supplier brought before
is refused and the operator told. Only `intake` and the job table call this.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Row, delete, exists, func, or_, select, update
from sqlalchemy.exc import DBAPIError, IntegrityError

from server import audit, changes, jobs
from server.catalog import queries as catalog
from server.crypto import KeyRing
from server.db import Database, Tx, among, bulk_insert, is_retryable
from server.stock import alerts, shelf
from server.stock.actions import came
from server.stock.imports.judging import Batch, Judged, judge, opened
from server.stock.imports.storing import Shelves, add_uses, remove_empty, take_out
from server.stock.model import CardSecret, ImportChunk, ImportRefusal, StockCursor, StockImport, StockLot, StockUnit
from shared import clock
from shared.contracts.stock import MAX_CHUNKS, LineResult
from shared.states import AlertKind, ImportState, LotState, UnitState, require_move

INGEST = "stock.ingest"
DISCARD = "stock.discard"
MOST_CHUNKS = 12
"""About 60,000 rows a piece: with more a transaction writes few pages of the index less, and memory grows."""

MOST_PIECES = 8
"""Pieces of so many chunks that one run stores: other jobs want their turn, and the run's lease has an end."""

COMPARED_ELSEWHERE_FROM = 12
"""Characters of number and secret from which a key is compared with other suppliers': shorter ones meet by chance."""

SILENT_FOR = timedelta(minutes=10)
"""An upload that sent nothing for so long gives way to another one that brings the same keys."""

_LOOK_UP = 2_500
_A_MOMENT = timedelta(minutes=1)
_TRIES = 5
_BLINKS, _BLINK_SECONDS = 6, 0.05
_LIVE = (ImportState.RECEIVING, ImportState.INGESTING)
_DUPLICATES = {LineResult.DUPLICATE_IN_STOCK, LineResult.DUPLICATE_SOLD, LineResult.DUPLICATE_ELSEWHERE}


def enqueue(tx: Tx, import_id: UUID, *, in_seconds: float = 0) -> None:
    """Have the chunks that are here stored; once, however often it is asked."""
    run_at = clock.now() + timedelta(seconds=in_seconds)
    jobs.enqueue(tx, INGEST, {"import_id": str(import_id)}, key=f"{INGEST}:{import_id}", run_at=run_at)


def changed(tx: Tx, found: StockImport) -> None:
    """Tell the consoles that an import, and so its SKU's stock, has changed."""
    changes.append(tx, "import", found.id, domain="stock", supplier_id=found.supplier_id)
    changes.append(tx, "sku", found.sku_id, domain="stock", supplier_id=found.supplier_id)


def cancel(tx: Tx, found: StockImport, *, actor: str) -> None:
    """RECEIVING -> CANCELLED under the caller's lock; a job takes out what was stored."""
    require_move(ImportState(found.state), ImportState.CANCELLED)
    found.state, found.finished_at = ImportState.CANCELLED.value, clock.now()
    tx.flush()
    jobs.enqueue(tx, DISCARD, {"import_id": str(found.id)})
    audit.append(tx, actor=actor, action="import.cancel", entity="import", entity_id=str(found.id))
    changed(tx, found)


# --- a run of the job ---


def ingest(db: Database, keys: KeyRing, args: dict[str, Any]) -> None:
    """Store the chunks that have arrived, as many as one run takes, or finish. Safe to repeat at any point."""
    with _uncollected():
        _run(db, keys, UUID(args["import_id"]))


@contextmanager
def _uncollected() -> Iterator[None]:
    """For a moment without looking for cycles: a run makes a million objects and none, and looking takes a tenth."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _run(db: Database, keys: KeyRing, import_id: UUID) -> None:
    """Store piece by piece. While an engine of its own process stores one, a thread judges the next."""
    _gather(db, import_id)
    with ThreadPoolExecutor(1) as ahead:
        waiting = _judge_next(db, keys, import_id)
        for left in range(MOST_PIECES - 1, -1, -1):
            following = None
            # SQLite stores in this process: another busy thread would take the interpreter at each of its statements.
            if waiting and left and not db.is_sqlite:
                following = ahead.submit(_judge_next, db, keys, import_id, after=waiting[-1].n)
            if not _store_all(db, keys, import_id, waiting) or following is None:
                return
            waiting = following.result()
            if not waiting:
                return


def _gather(db: Database, import_id: UUID) -> None:
    """Wait a blink while chunks come fast: each transaction writes most pages of the index, however few its keys."""
    chunks = select(func.count()).select_from(ImportChunk).where(ImportChunk.import_id == import_id)
    before = 0
    for _ in range(_BLINKS):
        with db.read() as tx:
            found = tx.get(StockImport, import_id)
            if found is None or found.state != ImportState.RECEIVING:
                return
            here = tx.scalar(chunks.where(ImportChunk.n >= found.next_chunk)) or 0
        if here >= MOST_CHUNKS or here <= before:
            return
        before = here
        time.sleep(_BLINK_SECONDS)


def _store_all(db: Database, keys: KeyRing, import_id: UUID, waiting: list[Judged]) -> bool:
    """Store judged chunks in as few transactions as there may be; whether the run may go on."""
    careful, tries = False, 0
    while True:
        try:
            with db.tx() as tx:
                done = take_in(db, tx, keys, import_id, waiting, careful=careful)
        except IntegrityError:  # a key is there already: now every one is looked up before it is stored
            careful, tries = True, tries + 1
            if tries == _TRIES:
                raise
        except DBAPIError as error:
            tries += 1
            if tries == _TRIES or not is_retryable(error):
                raise
        except _Undecided as undecided:
            with db.tx() as tx:
                undecided.resolve(tx)
                enqueue(tx, import_id, in_seconds=undecided.in_seconds)
            return False
        else:
            waiting, tries = waiting[done:], 0
            if not waiting:
                return True
            db.give_way()


def _judge_next(db: Database, keys: KeyRing, import_id: UUID, *, after: int = -1) -> list[Judged]:
    """Open and judge the next chunks in a row that are not stored, behind chunk `after`."""
    with db.read() as tx:
        found = tx.get(StockImport, import_id)
        if found is None or found.state not in _LIVE:
            return []
        rule = catalog.sku_terms(tx, [found.sku_id])[found.sku_id].key_rule
        first = max(found.next_chunk, after + 1)
        query = select(ImportChunk.n, ImportChunk.sealed).where(
            ImportChunk.import_id == import_id, ImportChunk.n >= first
        )
        chunks = tx.execute(query.order_by(ImportChunk.n).limit(MOST_CHUNKS)).all()
    today = clock.shop_day(clock.now())
    judged: list[Judged] = []
    for n, sealed in chunks:
        if n != first + len(judged) or sealed is None:
            break
        judged.append(judge(opened(keys, import_id, n, sealed), n, rule, keys.fingerprinter, today))
    with db.read() as tx:
        if tx.scalar(select(exists().where(StockLot.supplier_id != found.supplier_id))):
            for chunk in judged:
                _refuse_elsewhere(tx, found, chunk)
    return judged


def take_in(
    db: Database, tx: Tx, keys: KeyRing, import_id: UUID, waiting: list[Judged], *, careful: bool = False
) -> int:
    """Store judged chunks until they are all stored or another writer waits; answers how many of them are done.

    Those that another process has stored meanwhile, or that nobody wants any more, are done. `careful` looks every key
    up first. Raises IntegrityError when one is there already; the caller rolls back and is careful.
    """
    found = _alone(tx, import_id)
    if found is None or found.state not in _LIVE:
        _sweep(tx, found)
        return len(waiting)
    stop = MAX_CHUNKS if found.chunk_count is None else found.chunk_count
    ours = [chunk for chunk in waiting if found.next_chunk <= chunk.n < stop]
    done = len(waiting)
    if ours and ours[0].n == found.next_chunk:
        stored = _store(db, tx, keys, found, ours, careful=careful or found.duplicates > 0)
        if stored < len(ours):
            done = ours[stored].n - waiting[0].n  # their numbers follow each other
    if done == len(waiting):
        _go_on(tx, found)
    tx.flush()
    changed(tx, found)
    return done


def _store(db: Database, tx: Tx, keys: KeyRing, found: StockImport, chunks: list[Judged], *, careful: bool) -> int:
    """Store chunks from the import's next one; answers how many."""
    terms = catalog.sku_terms(tx, [found.sku_id])[found.sku_id]
    shelves = Shelves(tx, keys, found, terms)
    shelves.make(one for chunk in chunks for one in chunk.good)
    if _contested(tx, found):
        for chunk in chunks:
            _refuse_elsewhere(tx, found, chunk)
    told = tx.scalar(select(func.max(ImportRefusal.line)).where(ImportRefusal.import_id == found.id)) or 0
    first, elsewhere = found.next_chunk, 0
    for chunk in chunks:
        refused = dict(chunk.refused)
        elsewhere += sum(why is LineResult.DUPLICATE_ELSEWHERE for why in refused.values())
        for one, batch in chunk.good.items():
            known = _known(tx, found, batch) if careful else {}
            refused |= known
            found.stored += shelves.put(one, batch.without(known) if known else batch, refused)
        duplicates = sum(why in _DUPLICATES for why in refused.values())
        found.duplicates += duplicates
        found.refused += len(refused) - duplicates
        # Numbers rise through the file; one that does not was made up, and is counted but not listed again.
        rows = [(line, why.value) for line, why in sorted(refused.items()) if line > told]
        bulk_insert(tx, ImportRefusal, ("line", "result"), rows, constants={"import_id": found.id})
        told = max(told, *refused, 0)
        found.next_chunk = chunk.n + 1
        if db.awaited:
            break
    these = (ImportChunk.import_id == found.id, ImportChunk.n >= first, ImportChunk.n < found.next_chunk)
    tx.execute(update(ImportChunk).where(*these).values(sealed=None))
    tx.flush()
    if elsewhere:
        alerts.raise_alert(
            tx, AlertKind.OFFERED_ELSEWHERE, sku_id=found.sku_id, supplier_id=found.supplier_id, add=elsewhere
        )
    return found.next_chunk - first


def _go_on(tx: Tx, found: StockImport) -> None:
    """Have what waits stored by another run, or finish when all is."""
    if found.chunk_count is None or found.next_chunk < found.chunk_count:
        here = exists().where(ImportChunk.import_id == found.id, ImportChunk.n == found.next_chunk)
        if tx.scalar(select(here)):
            enqueue(tx, found.id)
    elif add_uses(tx, found):
        _finish(tx, found)
    else:
        enqueue(tx, found.id)


def _finish(tx: Tx, found: StockImport) -> None:
    """All is stored: its lots sell from now on, unless somebody has stopped them."""
    tx.flush()
    remove_empty(tx, found)
    found.state, found.finished_at = ImportState.DONE.value, clock.now()
    open_lots = select(StockLot.id).where(StockLot.import_id == found.id, StockLot.state == LotState.OPEN.value)
    lots = list(tx.scalars(open_lots))
    tx.execute(
        update(StockCursor).where(StockCursor.lot_id.in_(lots)).values(selling=True),
        execution_options={"synchronize_session": False},
    )
    shelf.put_on(tx, lots)
    if lots:
        came(tx, [found.sku_id])
    _sweep(tx, found)
    detail = {"stored": found.stored, "duplicates": found.duplicates, "refused": found.refused}
    audit.append(
        tx, actor=found.created_by, action="import.finish", entity="import", entity_id=str(found.id), detail=detail
    )


def _sweep(tx: Tx, found: StockImport | None) -> None:
    """Forget chunks that slipped in behind the commit or the cancellation of their import."""
    if found is None:
        return
    surplus = (ImportChunk.import_id == found.id, ImportChunk.n >= (found.chunk_count or 0))
    tx.execute(delete(ImportChunk).where(*surplus))


# --- duplicates ---


class _Undecided(Exception):
    """A key belongs to an import that is being taken out, or is not yet committed: who has it is known later."""

    def __init__(self, import_ids: Iterable[UUID]) -> None:
        self._import_ids = sorted(import_ids)
        self.in_seconds = 5 if self._import_ids else 1

    def resolve(self, tx: Tx) -> None:
        """Give up those uploads that fell silent; the others will be committed, or cancelled by their people."""
        before = clock.now() - SILENT_FOR
        for import_id in self._import_ids:
            found = tx.get(StockImport, import_id, with_for_update=True)
            if found is None or found.state != ImportState.RECEIVING:
                continue
            heard = tx.scalar(select(func.max(ImportChunk.received_at)).where(ImportChunk.import_id == import_id))
            if max(heard or found.created_at, found.created_at) < before:
                cancel(tx, found, actor="system")


_OWNED = (
    select(
        CardSecret.fingerprint,
        CardSecret.sku_id,
        CardSecret.seq,
        StockUnit.state.label("unit"),
        StockLot.stride,
        StockLot.uses,
        StockLot.withdrawing,
        StockImport.id.label("owner"),
        StockImport.state.label("importing"),
    )
    .join(StockUnit, (StockUnit.sku_id == CardSecret.sku_id) & (StockUnit.seq == CardSecret.seq))
    .join(StockLot, StockLot.id == StockUnit.lot_id)
    .outerjoin(StockImport, StockImport.id == StockLot.import_id)
)


def _known(tx: Tx, found: StockImport, batch: Batch) -> dict[int, LineResult]:
    """Lines whose key the product has or had, and which of both. Raises _Undecided."""
    lines = dict(zip(batch.fingerprints, batch.lines, strict=True))
    known: dict[int, LineResult] = {}
    undecided, leaving = set[UUID](), False
    for some in _parts(lines):
        query = _OWNED.where(CardSecret.product_id == found.product_id, among(tx, CardSecret.fingerprint, some))
        for card in tx.execute(query):
            if card.owner != found.id and card.importing == ImportState.RECEIVING:
                undecided.add(card.owner)
            leaving |= _is_leaving(card)
            sold = card.unit == UnitState.SOLD or (card.unit == UnitState.VOID and _was_sold_again(tx, card))
            known[lines[card.fingerprint]] = LineResult.DUPLICATE_SOLD if sold else LineResult.DUPLICATE_IN_STOCK
    if undecided or leaving:
        raise _Undecided(undecided)
    return known


def _is_leaving(card: Row[*tuple[Any, ...]]) -> bool:
    """Whether a key may be forgotten soon.

    Of a cancelled import what is free goes, and what is void was shown to staff, or reported, and stays. A lot that is
    withdrawn makes the uses of its keys void one after the other before it forgets any, or not, because one was sold.
    """
    if card.withdrawing:
        return card.unit in {UnitState.FREE, UnitState.VOID}
    return bool(card.importing == ImportState.CANCELLED and card.unit == UnitState.FREE)


def _was_sold_again(tx: Tx, card: Row[*tuple[Any, ...]]) -> bool:
    """Whether a further use of a reusable key was sold, whose first one is void."""
    uses = [card.seq + use * card.stride for use in range(1, card.uses)]
    for at in range(0, len(uses), _LOOK_UP):
        named = StockUnit.seq.in_(uses[at : at + _LOOK_UP])
        sold = (StockUnit.sku_id == card.sku_id, named, StockUnit.state == UnitState.SOLD)
        if tx.scalar(select(exists().where(*sold))):
            return True
    return False


def _alone(tx: Tx, import_id: UUID) -> StockImport | None:
    """The import under lock, and with it those that other suppliers have under way: none of them stores meanwhile.

    A key that both bring is then seen by the one that comes second; neither sees what the other has not committed, and
    no constraint says that a key is of one supplier. Of two imports at least one was announced when the other began to
    store, so that its lock is asked for. Locked in the order of their ids.
    """
    mine = select(StockImport.supplier_id).where(StockImport.id == import_id).scalar_subquery()
    others = select(StockImport.id).where(StockImport.state.in_(_LIVE), StockImport.supplier_id != mine)
    together = sorted([import_id, *tx.scalars(others)])
    query = select(StockImport).where(StockImport.id.in_(together)).order_by(StockImport.id).with_for_update()
    found = {one.id: one for one in tx.scalars(query, execution_options={"populate_existing": True})}
    return found.get(import_id)


def _contested(tx: Tx, found: StockImport) -> bool:
    """Whether another supplier brings keys at this time: those that came after ours were judged must be seen too."""
    now = or_(StockImport.state.in_(_LIVE), StockImport.finished_at > clock.now() - _A_MOMENT)
    return bool(tx.scalar(select(exists().where(StockImport.supplier_id != found.supplier_id, now))))


def _refuse_elsewhere(tx: Tx, found: StockImport, chunk: Judged) -> None:
    """Refuse the lines of a chunk whose key another supplier brought before, for whatever product."""
    cancelled = StockImport.state == ImportState.CANCELLED.value
    brought = or_(StockImport.state.is_(None), ~cancelled, StockUnit.state == UnitState.VOID)
    for terms, batch in chunk.good.items():
        long = {
            fingerprint: line
            for fingerprint, line, text in zip(batch.fingerprints, batch.lines, batch.texts, strict=True)
            if len(text) > COMPARED_ELSEWHERE_FROM
        }
        known: dict[int, LineResult] = {}
        for some in _parts(long):
            query = _OWNED.with_only_columns(CardSecret.fingerprint).where(
                among(tx, CardSecret.fingerprint, some), StockLot.supplier_id != found.supplier_id, brought
            )
            known |= {long[fingerprint]: LineResult.DUPLICATE_ELSEWHERE for fingerprint in tx.scalars(query)}
        if known:
            chunk.refused |= known
            chunk.good[terms] = batch.without(known)


def _parts(fingerprints: Iterable[bytes]) -> Iterator[list[bytes]]:
    """As many as one statement may ask for, in the order of the index."""
    wanted = sorted(fingerprints)
    for at in range(0, len(wanted), _LOOK_UP):
        yield wanted[at : at + _LOOK_UP]


# --- a cancelled import ---


def discard(tx: Tx, args: dict[str, Any]) -> None:
    """Take out what a cancelled import had stored, a piece a time: it never was for sale."""
    found = tx.get(StockImport, UUID(args["import_id"]), with_for_update=True)
    if found is None or found.state != ImportState.CANCELLED:
        return
    if not take_out(tx, found):
        jobs.enqueue(tx, DISCARD, args)
        return
    for table in (ImportChunk, ImportRefusal):
        tx.execute(delete(table).where(table.import_id == found.id))
    changed(tx, found)
