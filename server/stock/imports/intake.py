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

from server import audit
from server.context import Context
from server.crypto import KeyRing
from server.db import Database, Tx, table_of
from server.jobs import Lane
from server.stock.imports import ingest, judging
from server.stock.model import ImportChunk, StockImport
from shared import clock
from shared.contracts.stock import CHUNK_BYTES, CHUNK_ROWS, MAX_CHUNKS, MAX_ROWS, CommitImport, FileFigures, NewImport
from shared.errors import BadField, Conflict, IdempotencyReused, NotFound, TooLarge
from shared.states import ImportState

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
    zh = "服务器收到的数据与文件不一致，其中的卡密不会上架。请取消这次导入，再重新导入文件。"
    en = "What the server received is not this file, and none of it is sold. Cancel this import and import again."


class ImportEnded(Conflict):
    """The import is over."""

    code = "import_ended"
    zh = "这次导入已经结束（{state}），请重新导入文件。"
    en = "This import is over ({state}); please import the file again."


def register(ctx: Context) -> None:
    """Wire the jobs that store chunks and forget uploads; called once by `app`."""
    ctx.jobs.outside(ingest.INGEST, lambda args: ingest.ingest(ctx.db, ctx.keys, args), lane=Lane.IMPORTS)
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


@dataclass(frozen=True, slots=True)
class Arrived:
    """A chunk as it came, opened once so that its sender hears at once, and not the job, that it cannot be used."""

    n: int
    sealed: bytes
    sha256: str
    cards: int


def inspect(keys: KeyRing, import_id: UUID, n: int, sealed: bytes) -> Arrived:
    """Open a chunk. Raises TooLarge, BadField, and ChunkUnreadable when it is not well formed or not for its place."""
    if len(sealed) > CHUNK_BYTES:
        raise TooLarge(limit_bytes=CHUNK_BYTES)
    if n >= MAX_CHUNKS:
        raise BadField(field="n", reason=f"< {MAX_CHUNKS}")
    cards = len(judging.opened(keys, import_id, n, sealed).rows)
    return Arrived(n, sealed, hashlib.sha256(sealed).hexdigest(), cards)


def receive(tx: Tx, import_id: UUID, chunk: Arrived) -> bool:
    """Keep one chunk, still sealed; whether it was new. The same bytes again are harmless; others raise ChunkDiffers.

    Raises NotFound, ImportEnded when the import does not receive any more, and BadField when it has too many rows.
    """
    of_import = ImportChunk.import_id == import_id
    known = tx.scalars(select(ImportChunk.sha256).where(of_import, ImportChunk.n == chunk.n)).first()
    if known is not None:
        if known != chunk.sha256:
            raise ChunkDiffers(n=chunk.n)
        return False
    # Not locked: a step that stores chunks holds the import's row, and receiving need not wait for it. A chunk that
    # slips in behind the commit or a cancellation belongs to nothing, and the job that it asks for forgets it.
    state = tx.scalars(select(StockImport.state).where(StockImport.id == import_id)).first()
    if state is None:
        raise NotFound
    if state != ImportState.RECEIVING:
        raise ImportEnded(state=state)
    if chunk.n * CHUNK_ROWS >= MAX_ROWS:
        rows = tx.scalar(select(func.sum(ImportChunk.cards)).where(of_import)) or 0
        if rows + chunk.cards > MAX_ROWS:
            raise BadField(field="rows", reason=f"<= {MAX_ROWS}")
    row = {"import_id": import_id, "n": chunk.n, "sha256": chunk.sha256, "sealed": chunk.sealed}
    try:
        with tx.begin_nested():
            tx.execute(insert(table_of(ImportChunk)), row | {"cards": chunk.cards, "received_at": clock.now()})
    except IntegrityError:  # sent twice at once
        return receive(tx, import_id, chunk)
    ingest.enqueue(tx, import_id)
    return True


def commit(tx: Tx, import_id: UUID, body: CommitImport, *, actor: str) -> StockImport:
    """The whole file is here: what is stored of it may sell as soon as all is. Repeating changes nothing.

    Raises ImportIncomplete while chunks are missing, ImportDiffers when they are not those of the file, ImportEnded
    when it was cancelled, and IdempotencyReused when another file was committed under this id.
    """
    found = tx.get(StockImport, import_id, with_for_update=True, populate_existing=True)
    if found is None:
        raise NotFound
    if found.state == ImportState.CANCELLED:
        raise ImportEnded(state=found.state)
    if found.state != ImportState.RECEIVING:
        if _committed(found) != (body.file_sha256, body.root_sha256, body.chunks, *_rows(body.figures)):
            raise IdempotencyReused
        return found
    if body.figures.valid > MAX_ROWS:
        raise BadField(field="figures.valid", reason=f"<= {MAX_ROWS}")
    missing = missing_chunks(tx, import_id, body.chunks)
    if missing:
        raise ImportIncomplete(count=len(missing))
    arrived = select(ImportChunk.sha256, ImportChunk.cards).where(ImportChunk.import_id == import_id)
    digests, cards = zip(*tx.execute(arrived.order_by(ImportChunk.n)).all(), strict=True)
    root = hashlib.sha256(bytes.fromhex("".join(digests))).hexdigest()
    if (len(digests), sum(cards), root) != (body.chunks, body.figures.valid, body.root_sha256):
        raise ImportDiffers
    found.state, found.file_sha256, found.root_sha256 = ImportState.INGESTING.value, body.file_sha256, root
    found.chunk_count = body.chunks
    figures = _rows(body.figures)
    found.read_rows, found.valid_rows, found.duplicate_rows, found.refused_rows, found.skipped_rows = figures
    tx.flush()
    ingest.enqueue(tx, import_id)
    detail = {"file": found.file_name, "sha256": body.file_sha256} | body.figures.model_dump()
    audit.append(tx, actor=actor, action="import.commit", entity="import", entity_id=str(import_id), detail=detail)
    ingest.changed(tx, found)
    return found


def _rows(figures: FileFigures) -> tuple[int, int, int, int, int]:
    return figures.read, figures.valid, figures.duplicates, figures.refused, figures.skipped


def _committed(found: StockImport) -> tuple[object, ...]:
    rows = (found.read_rows, found.valid_rows, found.duplicate_rows, found.refused_rows, found.skipped_rows)
    return found.file_sha256, found.root_sha256, found.chunk_count, *rows


def cancel(tx: Tx, import_id: UUID, *, actor: str) -> StockImport:
    """Give an import up before its commit: what was stored of it is taken out again. Repeating changes nothing.

    Raises NotFound, and IllegalMove after the commit.
    """
    found = tx.get(StockImport, import_id, with_for_update=True, populate_existing=True)
    if found is None:
        raise NotFound
    if found.state != ImportState.CANCELLED:
        ingest.cancel(tx, found, actor=actor)
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
    abandoned = (StockImport.state == ImportState.RECEIVING.value, StockImport.created_at < before)
    with db.tx() as tx:
        # One that is being committed or cancelled at this moment is not abandoned: it is left to the next hour.
        found = tx.scalars(select(StockImport).where(*abandoned).limit(100).with_for_update(skip_locked=True)).all()
        for one in found:
            ingest.cancel(tx, one, actor="system")
    return len(found)
