"""Reading the stock: counts by SKU, lots, imports. Single units are in `browse`; keys are opened in `vault`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import func, or_, select

from server.db import Tx
from server.stock import shelf
from server.stock.imports.intake import missing_chunks
from server.stock.model import ImportChunk, ImportRefusal, StockCursor, StockImport, StockLot
from shared import clock
from shared.contracts.base import Page
from shared.contracts.stock import FileFigures, Import, LineResult, Lot, RefusedLine
from shared.states import ImportState, LotState


@dataclass(frozen=True, slots=True)
class Level:
    """The counts of one SKU: free + held + sold + void = imported."""

    imported: int = 0
    free: int = 0
    held: int = 0
    sold: int = 0
    void: int = 0


def free_counts(tx: Tx, sku_ids: Iterable[UUID]) -> dict[UUID, int]:
    """Units by SKU that can be bought now, for display; a sale never trusts it. SKUs with none are missing."""
    return shelf.free_counts(tx, list(sku_ids), clock.now())


def levels(tx: Tx, sku_ids: Iterable[UUID]) -> dict[UUID, Level]:
    """The counts of each SKU over all lots that are listed. SKUs without one are missing."""
    query = (
        select(StockCursor.sku_id, *[func.sum(column) for column in _COUNTS])
        .join(StockLot, StockLot.id == StockCursor.lot_id)
        .outerjoin(StockImport, StockImport.id == StockLot.import_id)
        .where(StockCursor.sku_id.in_(list(sku_ids)), _LISTED)
        .group_by(StockCursor.sku_id)
    )
    return {row[0]: Level(*(int(value) for value in row[1:])) for row in tx.execute(query)}


_LISTED = or_(StockImport.id.is_(None), StockImport.state != ImportState.CANCELLED.value)
"""What a cancelled import brought is not shown: it is on its way out, but for keys that must not be forgotten."""

_COUNTS = (StockCursor.imported, StockCursor.free, StockCursor.held, StockCursor.sold, StockCursor.void)


def lots(
    tx: Tx, sku_id: UUID, sku_code: str, *, import_id: UUID | None = None, after: int | None = None, limit: int
) -> Page[Lot]:
    """A page of a SKU's lots, newest first; `after` is a lot's number. What a cancelled import brought is not shown."""
    query = _LOTS.where(StockLot.sku_id == sku_id, _LISTED)
    if import_id is not None:
        query = query.where(StockLot.import_id == import_id)
    if after is not None:
        query = query.where(StockLot.number < after)
    rows = tx.execute(query.order_by(StockLot.number.desc()).limit(limit + 1)).all()
    items = [_lot(*row, sku_code=sku_code) for row in rows[:limit]]
    return Page(items=items, next=str(items[-1].number) if len(rows) > limit else None)


def lot(tx: Tx, lot_id: UUID, sku_code: str) -> Lot:
    """One lot as the console sees it."""
    return _lot(*tx.execute(_LOTS.where(StockLot.id == lot_id)).one(), sku_code=sku_code)


_LOTS = (
    select(StockLot, StockCursor, StockImport.state)
    .join(StockCursor, StockCursor.lot_id == StockLot.id)
    .outerjoin(StockImport, StockImport.id == StockLot.import_id)
)


def _lot(lot: StockLot, cursor: StockCursor, importing: str | None, *, sku_code: str) -> Lot:
    working, done = _work(lot, cursor, importing)
    return Lot(
        id=lot.id,
        number=lot.number,
        import_id=lot.import_id,
        sku=sku_code,
        state=_lot_state(lot, cursor, working),
        reason=lot.state_reason,
        frozen_by_shop=lot.frozen_by_shop,
        file_name=lot.file_name,
        expires_on=lot.expires_on,
        sell_until=cursor.sell_until,
        cost=lot.cost,
        uses=lot.uses,
        imported=cursor.imported,
        free=cursor.free,
        held=cursor.held,
        sold=cursor.sold,
        void=cursor.void,
        working=working,
        done=done,
        created_at=lot.created_at,
    )


def _work(lot: StockLot, cursor: StockCursor, importing: str | None) -> tuple[str | None, int]:
    """What is being done to a lot, and with how many of its units it is done."""
    if importing is not None and importing != ImportState.DONE.value:
        return "importing", cursor.imported
    if lot.withdrawing:
        return "withdrawing", cursor.imported - cursor.free
    if lot.next_wrapped_key is not None:
        keys = cursor.imported // lot.uses
        return "reencrypting", min(max(0, (lot.resealed_to or 0) - lot.first_seq), keys) * lot.uses
    return None, 0


def _lot_state(lot: StockLot, cursor: StockCursor, working: str | None) -> LotState:
    state = LotState(lot.state)
    used_up = cursor.imported > 0 and not cursor.free and not cursor.held and working != "importing"
    return LotState.EXHAUSTED if state is LotState.OPEN and used_up else state


def as_import(tx: Tx, row: StockImport) -> Import:
    """An import as the console sees it."""
    state = ImportState(row.state)
    receiving = state is ImportState.RECEIVING
    arrived = select(func.count()).select_from(ImportChunk).where(ImportChunk.import_id == row.id)
    lots = select(func.count()).select_from(StockLot).where(StockLot.import_id == row.id)
    return Import(
        id=row.id,
        sku=row.sku_code,
        state=state,
        file_name=row.file_name,
        file_sha256=row.file_sha256,
        figures=_figures(row),
        chunk_count=row.chunk_count,
        received=tx.scalar(arrived) or 0,
        missing=missing_chunks(tx, row.id, None) if receiving else [],
        lots=tx.scalar(lots) or 0,
        stored=row.stored,
        duplicates=row.duplicates,
        refused=row.refused,
        created_at=row.created_at,
        finished_at=row.finished_at,
    )


def _figures(row: StockImport) -> FileFigures | None:
    if row.read_rows is None:
        return None
    return FileFigures(
        read=row.read_rows,
        valid=row.valid_rows or 0,
        duplicates=row.duplicate_rows or 0,
        refused=row.refused_rows or 0,
        skipped=row.skipped_rows or 0,
    )


def refused_lines(tx: Tx, import_id: UUID, *, after: int, limit: int) -> Page[RefusedLine]:
    """The lines of a file the server did not take, by line number."""
    query = (
        select(ImportRefusal)
        .where(ImportRefusal.import_id == import_id, ImportRefusal.line > after)
        .order_by(ImportRefusal.line)
        .limit(limit + 1)
    )
    rows = tx.scalars(query).all()
    items = [RefusedLine(line=row.line, result=LineResult(row.result)) for row in rows[:limit]]
    return Page(items=items, next=str(items[-1].line) if len(rows) > limit else None)
