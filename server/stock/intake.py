"""Bulk import: a file's chunks are declared, received in any order, and stored by a job in small transactions.

Every step is safe to repeat: the console makes the import's id, each chunk is named by its number and hash, and
the job goes on where the last commit stood. The database's unique fingerprint has the last word on duplicates.
Callers check that the actor may bring stock for the SKU; nothing here trusts what the console judged.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from server import audit, changes, jobs
from server.context import Context
from server.crypto import ChunkUnreadable, KeyRing, LotKey
from server.db import Database, Tx, bulk_insert, table_of
from server.stock.model import (
    CardSecret,
    ImportChunk,
    ImportRefusal,
    StockCursor,
    StockImport,
    StockLot,
    StockSeries,
    StockUnit,
)
from shared import cardkey, clock, ids
from shared.contracts.stock import CHUNK_BYTES, CHUNK_ROWS, MAX_ROWS, LineResult, NewImport
from shared.errors import BadField, Conflict, IdempotencyReused, NotFound, TooLarge
from shared.states import ImportState, LotState, UnitState

INGEST = "stock.ingest"
CHUNKS_PER_STEP = 4
"""About 20,000 rows a transaction: big enough for the index, small enough that checkouts wait a blink."""

ABANDONED_AFTER_DAYS = 7

LAST_LINE = 10**9
"""No file has more lines; what a console states is bounded by it."""

_LOOK_UP = 1_000
_log = logging.getLogger("kameng.stock")
_Lines = msgspec.msgpack.Decoder(list[tuple[int, str, str]])


class UnknownSku(NotFound):
    """No SKU of this code that the actor may bring stock for."""

    code = "unknown_sku"
    zh = "没有编号为“{sku}”的规格（或您无权查看），请核对编号。"
    en = "There is no SKU “{sku}” (or it is not yours to see); check its code."


class ImportKeyChanged(Conflict):
    """The chunks are sealed to another key than this server's."""

    code = "import_key_changed"
    zh = "服务器的导入密钥已更换，请重新导入文件。"
    en = "The server's import key has changed; please import the file again."


class ImportIncomplete(Conflict):
    """Chunks are missing."""

    code = "import_incomplete"
    zh = "还有 {count} 个数据块没有收到，上传会自动继续。"
    en = "{count} chunks have not arrived yet; the upload will go on by itself."


class ChunkDiffers(Conflict):
    """The bytes are not those that were declared."""

    code = "chunk_differs"
    zh = "第 {n} 个数据块与声明的内容不一致，请重新导入文件。"
    en = "Chunk {n} is not what was declared; please import the file again."


def register(ctx: Context) -> None:
    """Wire the job that stores chunks; called once by `app`."""
    ctx.jobs.within(INGEST, lambda tx, args: ingest(tx, ctx.keys, args))
    ctx.jobs.every("stock.forget_abandoned", 3_600, lambda: forget_abandoned(ctx.db))


@dataclass(frozen=True, slots=True)
class Shelf:
    """Where the keys go: the SKU, its product (fingerprints are unique in it) and its supplier."""

    sku_id: UUID
    sku_code: str
    product_id: UUID
    supplier_id: UUID


def declare(tx: Tx, keys: KeyRing, body: NewImport, shelf: Shelf, *, actor: str) -> StockImport:
    """Accept an import's declaration. The same again answers the same; other content under its id is refused."""
    if body.figures.valid > MAX_ROWS or body.figures.valid > len(body.chunks) * CHUNK_ROWS:
        raise BadField(field="chunks", reason=f"每块最多 {CHUNK_ROWS} 行，每次最多 {MAX_ROWS} 行")
    declared = hashlib.sha256(json.dumps(body.model_dump(mode="json"), sort_keys=True).encode()).hexdigest()
    known = tx.get(StockImport, body.id)
    if known is not None:
        if known.declared_sha256 != declared or known.supplier_id != shelf.supplier_id:
            raise IdempotencyReused
        return known
    if body.key_id != keys.import_key_id:
        raise ImportKeyChanged
    new = StockImport(
        id=body.id,
        sku_id=shelf.sku_id,
        sku_code=shelf.sku_code,
        product_id=shelf.product_id,
        supplier_id=shelf.supplier_id,
        state=ImportState.RECEIVING,
        file_name=body.file_name,
        file_sha256=body.file_sha256,
        key_id=body.key_id,
        declared_sha256=declared,
        read_rows=body.figures.read,
        valid_rows=body.figures.valid,
        duplicate_rows=body.figures.duplicates,
        refused_rows=body.figures.refused,
        skipped_rows=body.figures.skipped,
        chunk_count=len(body.chunks),
        next_chunk=0,
        stored=0,
        duplicates=0,
        refused=0,
        created_by=actor,
        created_at=clock.now(),
    )
    try:
        with tx.begin_nested():
            tx.add(new)
    except IntegrityError:  # the same declaration came twice at once; the other one is committed
        return declare(tx, keys, body, shelf, actor=actor)
    chunks = [{"import_id": body.id, "n": n, "sha256": sha256} for n, sha256 in enumerate(body.chunks)]
    tx.execute(insert(table_of(ImportChunk)), chunks)
    audit.append(
        tx,
        actor=actor,
        action="import.declare",
        entity="import",
        entity_id=str(body.id),
        detail={"sku": shelf.sku_code, "file": body.file_name, "valid": body.figures.valid},
    )
    return new


def inspect(keys: KeyRing, import_id: UUID, n: int, sealed: bytes) -> None:
    """Open a chunk as it arrives, so that its sender hears at once, and not the job, that it cannot be used.

    Raises ChunkUnreadable unless it is sealed to us for this place and holds lines whose numbers rise.
    """
    rows = _decode(keys.open_chunk(sealed, import_id=import_id, n=n), n)
    numbers = [row[0] for row in rows]
    rising = all(one < other for one, other in pairwise([0, *numbers, LAST_LINE + 1]))
    if len(rows) > CHUNK_ROWS or not rising:
        raise ChunkUnreadable(n=n)


def require_declared(tx: Tx, import_id: UUID, n: int, sealed: bytes) -> ImportState:
    """The import's state, if it declared these bytes as chunk `n`. Raises TooLarge, NotFound or ChunkDiffers."""
    if len(sealed) > CHUNK_BYTES:
        raise TooLarge(limit_bytes=CHUNK_BYTES)
    state = tx.scalars(select(StockImport.state).where(StockImport.id == import_id)).first()
    declared = tx.scalars(
        select(ImportChunk.sha256).where(ImportChunk.import_id == import_id, ImportChunk.n == n)
    ).first()
    if state is None or declared is None:
        raise NotFound
    if hashlib.sha256(sealed).hexdigest() != declared:
        raise ChunkDiffers(n=n)
    return ImportState(state)


def receive(tx: Tx, import_id: UUID, n: int, sealed: bytes) -> None:
    """Keep one chunk, still sealed. The same bytes again are harmless; others raise ChunkDiffers."""
    if require_declared(tx, import_id, n, sealed) is ImportState.RECEIVING:
        chunk = (ImportChunk.import_id == import_id, ImportChunk.n == n, ImportChunk.sealed.is_(None))
        tx.execute(update(ImportChunk).where(*chunk).values(sealed=sealed))


def commit(tx: Tx, keys: KeyRing, import_id: UUID, *, actor: str) -> StockImport:
    """All chunks are here: make the lot, take its range of numbers, start storing. Repeating changes nothing."""
    found = tx.get(StockImport, import_id, with_for_update=True)
    if found is None:
        raise NotFound
    if found.state != ImportState.RECEIVING:
        return found
    missing = missing_chunks(tx, import_id)
    if missing:
        raise ImportIncomplete(count=len(missing))
    lot_id = ids.new_id()
    key = keys.new_lot_key(lot_id)
    now = clock.now()
    tx.add(
        StockLot(
            id=lot_id,
            sku_id=found.sku_id,
            product_id=found.product_id,
            supplier_id=found.supplier_id,
            state=LotState.OPEN,
            file_name=found.file_name,
            wrapped_key=key.wrapped,
            master_version=key.master_version,
            created_at=now,
        )
    )
    first = _take_range(tx, found.sku_id, found.valid_rows)
    tx.add(
        StockCursor(
            lot_id=lot_id,
            sku_id=found.sku_id,
            rank=first,
            selling=True,
            first_seq=first,
            next_seq=first,
            end_seq=first,
            imported=0,
            free=0,
            held=0,
            sold=0,
            void=0,
        )
    )
    found.lot_id, found.state = lot_id, ImportState.INGESTING
    tx.flush()
    jobs.enqueue(tx, INGEST, {"import_id": str(import_id)}, key=f"{INGEST}:{import_id}")
    audit.append(tx, actor=actor, action="import.commit", entity="import", entity_id=str(import_id))
    _changed(tx, found)
    return found


def missing_chunks(tx: Tx, import_id: UUID) -> list[int]:
    """The numbers of the chunks that have not arrived."""
    missing = (ImportChunk.import_id == import_id, ImportChunk.sealed.is_(None))
    return list(tx.scalars(select(ImportChunk.n).where(*missing).order_by(ImportChunk.n)).all())


def forget_abandoned(db: Database) -> int:
    """Cancel uploads that nobody finished for a week and drop their sealed chunks; answers how many."""
    before = clock.now() - timedelta(days=ABANDONED_AFTER_DAYS)
    with db.tx() as tx:
        abandoned = (StockImport.state == ImportState.RECEIVING.value, StockImport.created_at < before)
        found = tx.scalars(select(StockImport).where(*abandoned).limit(100).with_for_update()).all()
        for one in found:
            one.state, one.finished_at = ImportState.CANCELLED.value, clock.now()
            tx.execute(delete(ImportChunk).where(ImportChunk.import_id == one.id))
            audit.append(tx, actor="system", action="import.cancel", entity="import", entity_id=str(one.id))
            _changed(tx, one)
        tx.flush()
    return len(found)


def _take_range(tx: Tx, sku_id: UUID, count: int) -> int:
    """Take `count` numbers of the SKU; answers the first. A lot's units are dense within its range."""
    series = tx.get(StockSeries, sku_id, with_for_update=True)
    if series is None:
        try:
            with tx.begin_nested():
                tx.execute(insert(table_of(StockSeries)), {"sku_id": sku_id, "next_seq": 1})
        except IntegrityError:
            _log.debug("another import of the SKU was first")
        series = tx.get_one(StockSeries, sku_id, with_for_update=True)
    first = series.next_seq
    series.next_seq = first + count
    return first


_Line = tuple[int, str, bytes]
"""One line of a chunk that the server takes for good: its number in the file, the canonical text, the fingerprint."""


def ingest(tx: Tx, keys: KeyRing, args: dict[str, Any]) -> None:
    """One step of the job: store the next chunks, or finish. Runs in the transaction that completes the job."""
    import_id = UUID(args["import_id"])
    found = tx.get(StockImport, import_id, with_for_update=True)
    if found is None or found.state != ImportState.INGESTING or found.lot_id is None:
        return
    cursor = tx.get(StockCursor, found.lot_id, with_for_update=True)
    lot = tx.get(StockLot, found.lot_id)
    assert cursor is not None
    assert lot is not None
    stop = min(found.next_chunk + CHUNKS_PER_STEP, found.chunk_count)
    lines, refused = _read_chunks(tx, keys, import_id, range(found.next_chunk, stop))
    # More lines than were declared would run into another lot's numbers: the surplus is refused.
    room = max(0, found.valid_rows - found.stored - found.duplicates - found.refused)
    refused |= dict.fromkeys((line[0] for line in lines[room:]), LineResult.REFUSED)
    lines = lines[:room]
    fresh, duplicates = _store_new(tx, keys, lot, cursor.end_seq, lines)
    cursor.end_seq += len(fresh)
    cursor.imported += len(fresh)
    cursor.free += len(fresh)
    refusals = refused | duplicates
    if refusals:
        told = tx.scalar(select(func.max(ImportRefusal.line)).where(ImportRefusal.import_id == import_id)) or 0
        # Numbers rise through the file; one that does not was made up, and is counted but not listed again.
        rows = [(line, result.value) for line, result in sorted(refusals.items()) if line > told]
        bulk_insert(tx, ImportRefusal, ("line", "result"), rows, constants={"import_id": import_id})
    found.stored += len(fresh)
    found.duplicates += len(duplicates)
    found.refused += len(refused)
    found.next_chunk = stop
    done = (ImportChunk.import_id == import_id, ImportChunk.n < stop)
    if stop < found.chunk_count:
        jobs.enqueue(tx, INGEST, args)
    else:
        found.state, found.finished_at = ImportState.DONE, clock.now()
        audit.append(
            tx,
            actor=found.created_by,
            action="import.finish",
            entity="import",
            entity_id=str(import_id),
            detail={"stored": found.stored, "duplicates": found.duplicates, "refused": found.refused},
        )
    tx.execute(update(ImportChunk).where(*done, ImportChunk.sealed.is_not(None)).values(sealed=None))
    tx.flush()
    _changed(tx, found)


def _read_chunks(tx: Tx, keys: KeyRing, import_id: UUID, numbers: range) -> tuple[list[_Line], dict[int, LineResult]]:
    """Open chunks and judge each line once more. Answers the good lines, and those refused or doubled in the file."""
    chunks = select(ImportChunk.n, ImportChunk.sealed).where(
        ImportChunk.import_id == import_id, ImportChunk.n >= numbers.start, ImportChunk.n < numbers.stop
    )
    lines: list[int] = []
    texts: list[str] = []
    refused: dict[int, LineResult] = {}
    for n, sealed in tx.execute(chunks.order_by(ImportChunk.n)):
        assert sealed is not None
        rows = _decode(keys.open_chunk(sealed, import_id=import_id, n=n), n)
        judged, good = _judge(rows)
        lines += judged
        texts += good
        if len(judged) != len(rows):
            refused |= dict.fromkeys({row[0] for row in rows}.difference(judged), LineResult.REFUSED)
    found = list(zip(lines, texts, keys.fingerprinter.of_all(texts), strict=True))
    if len({fingerprint for _, _, fingerprint in found}) == len(found):
        return found, refused
    first: dict[bytes, _Line] = {}
    for line in found:
        if first.setdefault(line[2], line) is not line:
            refused[line[0]] = LineResult.REFUSED
    return list(first.values()), refused


def _decode(packed: bytes, n: int) -> list[tuple[int, str, str]]:
    try:
        return _Lines.decode(packed)
    except msgspec.DecodeError:
        raise ChunkUnreadable(n=n) from None


def _judge(rows: Sequence[tuple[int, str, str]]) -> tuple[list[int], list[str]]:
    """The lines that the rule of both sides admits, and the canonical text of each."""
    texts = [f"{number}{cardkey.SEPARATOR}{secret}" for _, number, secret in rows]
    if cardkey.all_clean(texts):
        return [row[0] for row in rows], texts
    lines, good = [], []
    for line, number, secret in rows:
        verdict = cardkey.admit(number, secret)
        if verdict.reason is None and verdict.card == (number, secret):
            lines.append(line)
            good.append(cardkey.canonical(verdict.card))
    return lines, good


def _store_new(
    tx: Tx, keys: KeyRing, lot: StockLot, first_seq: int, lines: list[_Line]
) -> tuple[list[_Line], dict[int, LineResult]]:
    """Store the lines whose keys the product never had, of any supplier; answers them, and the others with why.

    Nearly every file is new to the shop: all lines are tried at once, and looked up only when the unique fingerprint
    refuses one.
    """
    try:
        with tx.begin_nested():
            _store(tx, keys, lot, first_seq, lines)
    except IntegrityError:
        fresh, known = _without_known(tx, lot.product_id, lines)
        _store(tx, keys, lot, first_seq, fresh)
        return fresh, known
    return lines, {}


def _without_known(tx: Tx, product_id: UUID, lines: list[_Line]) -> tuple[list[_Line], dict[int, LineResult]]:
    by_fingerprint = {fingerprint: line for line, _, fingerprint in lines}
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
            result = LineResult.DUPLICATE_SOLD if sold else LineResult.DUPLICATE_IN_STOCK
            known[by_fingerprint.pop(fingerprint)] = result
    return [line for line in lines if line[2] in by_fingerprint], known


def _store(tx: Tx, keys: KeyRing, lot: StockLot, first_seq: int, lines: list[_Line]) -> None:
    cipher = keys.lot(lot.id, LotKey(wrapped=lot.wrapped_key, master_version=lot.master_version))
    sealed = cipher.seal_all(lot.sku_id, first_seq, [text.encode() for _, text, _ in lines])
    seqs = range(first_seq, first_seq + len(lines))
    bulk_insert(
        tx,
        CardSecret,
        ("seq", "fingerprint", "sealed"),
        list(zip(seqs, [line[2] for line in lines], sealed, strict=True)),
        constants={"sku_id": lot.sku_id, "product_id": lot.product_id},
    )
    bulk_insert(
        tx,
        StockUnit,
        ("seq",),
        list(zip(seqs, strict=True)),
        constants={"sku_id": lot.sku_id, "lot_id": lot.id, "state": int(UnitState.FREE)},
    )


def _changed(tx: Tx, found: StockImport) -> None:
    changes.append(tx, "import", found.id, domain="stock", supplier_id=found.supplier_id)
    changes.append(tx, "sku", found.sku_id, domain="stock", supplier_id=found.supplier_id)
