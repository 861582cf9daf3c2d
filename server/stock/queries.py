"""Reading the stock: counts by SKU, lots, units without their keys, imports. Keys are opened in `vault`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import func, select

from server.db import Tx
from server.stock.intake import missing_chunks
from server.stock.model import ImportChunk, ImportRefusal, StockCursor, StockImport, StockLot, StockUnit
from shared.contracts.base import Page
from shared.contracts.stock import FileFigures, Import, LineResult, Lot, RefusedLine, Unit
from shared.states import ImportState, LotState, UnitState


@dataclass(frozen=True, slots=True)
class Level:
    """The counts of one SKU: free + held + sold + void = imported."""

    imported: int = 0
    free: int = 0
    held: int = 0
    sold: int = 0
    void: int = 0


def free_counts(tx: Tx, sku_ids: Iterable[UUID]) -> dict[UUID, int]:
    """Sellable units by SKU, for display; a sale never trusts it. SKUs without stock are missing."""
    query = (
        select(StockCursor.sku_id, func.sum(StockCursor.free))
        .where(StockCursor.sku_id.in_(list(sku_ids)), StockCursor.selling.is_(True))
        .group_by(StockCursor.sku_id)
    )
    return {sku_id: int(free) for sku_id, free in tx.execute(query)}


def levels(tx: Tx, sku_ids: Iterable[UUID]) -> dict[UUID, Level]:
    """The counts of each SKU over all its lots. SKUs without a lot are missing."""
    sums = [func.sum(column) for column in _COUNTS]
    query = select(StockCursor.sku_id, *sums).where(StockCursor.sku_id.in_(list(sku_ids))).group_by(StockCursor.sku_id)
    return {row[0]: Level(*(int(value) for value in row[1:])) for row in tx.execute(query)}


_COUNTS = (StockCursor.imported, StockCursor.free, StockCursor.held, StockCursor.sold, StockCursor.void)


def lots(tx: Tx, sku_id: UUID, sku_code: str) -> list[Lot]:
    """The lots of a SKU, newest first."""
    query = (
        select(StockLot, *_COUNTS)
        .join(StockCursor, StockCursor.lot_id == StockLot.id)
        .where(StockLot.sku_id == sku_id)
        .order_by(StockLot.id.desc())
    )
    return [
        Lot(
            id=lot.id,
            number=lot.number,
            import_id=lot.import_id,
            sku=sku_code,
            state=_lot_state(lot, free=free, held=held, imported=imported),
            file_name=lot.file_name,
            imported=imported,
            free=free,
            held=held,
            sold=sold,
            void=void,
            created_at=lot.created_at,
        )
        for lot, imported, free, held, sold, void in tx.execute(query)
    ]


def _lot_state(lot: StockLot, *, free: int, held: int, imported: int) -> LotState:
    state = LotState(lot.state)
    return LotState.EXHAUSTED if state is LotState.OPEN and imported and not free and not held else state


def units(tx: Tx, sku_id: UUID, *, state: UnitState | None, after: int, limit: int) -> Page[Unit]:
    """Units of a SKU by number, without their keys; `after` is the last number of the page before."""
    query = select(StockUnit).where(StockUnit.sku_id == sku_id, StockUnit.seq > after)
    if state is not None:
        query = query.where(StockUnit.state == int(state))
    rows = tx.scalars(query.order_by(StockUnit.seq).limit(limit + 1)).all()
    items = [Unit(seq=row.seq, state=UnitState(row.state), lot_id=row.lot_id) for row in rows[:limit]]
    return Page(items=items, next=str(items[-1].seq) if len(rows) > limit else None)


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
