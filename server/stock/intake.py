"""Bulk import: a file is announced, its sealed chunks arrive in any order, and it is committed or cancelled.

Every step is safe to repeat: the console makes the import's id, each chunk is named by its number and hash. Chunks are
stored (`ingest`) while others still arrive; nothing of an import sells before its commit proves that the whole file
is there. Callers check that the actor may bring stock for the SKU; nothing here trusts what the console judged.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy import func, insert, select
from sqlalchemy.exc import IntegrityError

from server import audit, jobs
from server.context import Context
from server.crypto import KeyRing
from server.db import Database, Tx, table_of
from server.stock import ingest
from server.stock.model import ImportChunk, StockImport
from shared import clock
from shared.contracts.stock import CHUNK_BYTES, CHUNK_ROWS, MAX_CHUNKS, MAX_ROWS, CommitImport, NewImport
from shared.errors import BadField, Conflict, IdempotencyReused, NotFound, TooLarge
from shared.states import ImportState, require_move

ABANDONED_AFTER_DAYS = 7


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
    """Another chunk of this number has arrived before."""

    code = "chunk_differs"
    zh = "第 {n} 个数据块与先前收到的内容不一致，请重新导入文件。"
    en = "Chunk {n} is not the one that arrived before; please import the file again."


class ImportDiffers(Conflict):
    """The chunks that arrived are not those of the file that is committed."""

    code = "import_differs"
    zh = "服务器收到的数据与文件不一致，没有导入任何卡密。请重新导入文件。"
    en = "What the server received is not this file; nothing was imported. Please import the file again."


class ImportEnded(Conflict):
    """The import is over."""

    code = "import_ended"
    zh = "这次导入已经结束（{state}），请重新导入文件。"
    en = "This import is over ({state}); please import the file again."


def register(ctx: Context) -> None:
    """Wire the jobs that store chunks and forget uploads; called once by `app`."""
    ctx.jobs.within(ingest.INGEST, lambda tx, args: ingest.ingest(tx, ctx.keys, args))
    ctx.jobs.within(ingest.DISCARD, ingest.discard)
    ctx.jobs.every("stock.forget_abandoned", 3_600, lambda: forget_abandoned(ctx.db))


@dataclass(frozen=True, slots=True)
class Shelf:
    """Where the keys go: the SKU, its product (fingerprints are unique in it) and its supplier."""

    sku_id: UUID
    sku_code: str
    product_id: UUID
    supplier_id: UUID


def declare(tx: Tx, keys: KeyRing, body: NewImport, shelf: Shelf, *, actor: str) -> StockImport:
    """Announce an import. The same again answers the same; other content under its id is refused."""
    known = tx.get(StockImport, body.id)
    if known is not None:
        mine = (known.sku_id, known.supplier_id, known.file_name, known.key_id)
        if mine != (shelf.sku_id, shelf.supplier_id, body.file_name, body.key_id):
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
        key_id=body.key_id,
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
    detail = {"sku": shelf.sku_code, "file": body.file_name}
    audit.append(tx, actor=actor, action="import.declare", entity="import", entity_id=str(body.id), detail=detail)
    ingest.changed(tx, new)
    return new


def receive(tx: Tx, import_id: UUID, n: int, sealed: bytes) -> bool:
    """Keep one chunk, still sealed; whether it was new. The same bytes again are harmless; others raise ChunkDiffers.

    Raises TooLarge and NotFound, and ImportEnded when the import does not receive any more. Callers have opened the
    chunk once (`ingest.inspect`), so that its sender heard at once, and not the job, that it cannot be used.
    """
    if len(sealed) > CHUNK_BYTES:
        raise TooLarge(limit_bytes=CHUNK_BYTES)
    if n >= MAX_CHUNKS:
        raise BadField(field="n", reason=f"< {MAX_CHUNKS}")
    digest = hashlib.sha256(sealed).hexdigest()
    known = tx.scalars(select(ImportChunk.sha256).where(ImportChunk.import_id == import_id, ImportChunk.n == n)).first()
    if known is not None:
        if known != digest:
            raise ChunkDiffers(n=n)
        return False
    # Not locked: a step that stores chunks holds the import's row, and receiving need not wait for it. A chunk that
    # slips in behind a cancellation belongs to nothing, and is forgotten with it.
    state = tx.scalars(select(StockImport.state).where(StockImport.id == import_id)).first()
    if state is None:
        raise NotFound
    if state != ImportState.RECEIVING:
        raise ImportEnded(state=state)
    try:
        with tx.begin_nested():
            tx.execute(
                insert(table_of(ImportChunk)), {"import_id": import_id, "n": n, "sha256": digest, "sealed": sealed}
            )
    except IntegrityError:  # sent twice at once
        return receive(tx, import_id, n, sealed)
    ingest.enqueue(tx, import_id)
    return True


def commit(tx: Tx, import_id: UUID, body: CommitImport, *, actor: str) -> StockImport:
    """The whole file is here: what is stored of it may sell as soon as all is. Repeating changes nothing.

    Raises ImportIncomplete while chunks are missing, and ImportDiffers when they are not those of the file.
    """
    found = tx.get(StockImport, import_id, with_for_update=True)
    if found is None:
        raise NotFound
    if found.state != ImportState.RECEIVING:
        if found.root_sha256 != body.root_sha256:
            raise ImportEnded(state=found.state)
        return found
    if body.figures.valid > MAX_ROWS or body.figures.valid > body.chunks * CHUNK_ROWS:
        raise BadField(field="figures.valid", reason=f"<= {MAX_ROWS}, <= {CHUNK_ROWS} × chunks")
    missing = missing_chunks(tx, import_id, body.chunks)
    if missing:
        raise ImportIncomplete(count=len(missing))
    digests = tx.scalars(select(ImportChunk.sha256).where(ImportChunk.import_id == import_id).order_by(ImportChunk.n))
    root, count = hashlib.sha256(), 0
    for digest in digests:
        root.update(bytes.fromhex(digest))
        count += 1
    if count != body.chunks or root.hexdigest() != body.root_sha256:
        raise ImportDiffers
    figures = body.figures
    found.state, found.file_sha256, found.root_sha256 = ImportState.INGESTING, body.file_sha256, body.root_sha256
    found.chunk_count = body.chunks
    found.read_rows, found.valid_rows = figures.read, figures.valid
    found.duplicate_rows, found.refused_rows = figures.duplicates, figures.refused
    found.skipped_rows = figures.skipped
    tx.flush()
    ingest.enqueue(tx, import_id)
    detail = {"file": found.file_name, "sha256": body.file_sha256} | figures.model_dump()
    audit.append(tx, actor=actor, action="import.commit", entity="import", entity_id=str(import_id), detail=detail)
    ingest.changed(tx, found)
    return found


def cancel(tx: Tx, import_id: UUID, *, actor: str) -> StockImport:
    """Give an import up before its commit: what was stored of it is taken out again. Repeating changes nothing."""
    found = tx.get(StockImport, import_id, with_for_update=True)
    if found is None:
        raise NotFound
    if found.state == ImportState.CANCELLED:
        return found
    require_move(ImportState(found.state), ImportState.CANCELLED)
    found.state, found.finished_at = ImportState.CANCELLED.value, clock.now()
    tx.flush()
    jobs.enqueue(tx, ingest.DISCARD, {"import_id": str(import_id)})
    audit.append(tx, actor=actor, action="import.cancel", entity="import", entity_id=str(import_id))
    ingest.changed(tx, found)
    return found


def missing_chunks(tx: Tx, import_id: UUID, count: int | None) -> list[int]:
    """Chunk numbers below `count` (or, while it is unknown, below the highest that arrived) that have not arrived."""
    of_import = ImportChunk.import_id == import_id
    arrived, highest = tx.execute(select(func.count(), func.max(ImportChunk.n)).where(of_import)).one()
    stop = count if count is not None else (highest or 0) + (highest is not None)
    if arrived == stop and (highest or 0) < max(stop, 1):
        return []
    here = set(tx.scalars(select(ImportChunk.n).where(of_import)))
    return [n for n in range(stop) if n not in here]


def forget_abandoned(db: Database) -> int:
    """Cancel uploads that nobody finished for a week; answers how many."""
    before = clock.now() - timedelta(days=ABANDONED_AFTER_DAYS)
    with db.tx() as tx:
        abandoned = (StockImport.state == ImportState.RECEIVING.value, StockImport.created_at < before)
        found = tx.scalars(select(StockImport.id).where(*abandoned).limit(100)).all()
        for one in found:
            cancel(tx, one, actor="system")
    return len(found)
