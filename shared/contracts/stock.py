"""Imports of card keys, lots, counts and masked units. No clear key is ever in an answer of this file."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import Field, model_validator

from shared.contracts.base import Answer, Code, Name, Request
from shared.states import ImportState, LotState, UnitState

CHUNK_ROWS = 5_000
CHUNK_BYTES = 4 * 1024 * 1024
MAX_ROWS = 5_000_000

Rows = Annotated[int, Field(ge=0, le=10**9)]
"""Rows of a file. A text file has no limit of its own; a count has the database's."""

Sha256Hex = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


def chunk_info(import_id: UUID, n: int) -> bytes:
    """The HPKE `info` of chunk `n`: a chunk cannot be replayed into another import or place."""
    return b"kameng import " + import_id.bytes + n.to_bytes(4, "big")


class FileFigures(Request):
    """The ledger of the file as the console judged it: read = valid + duplicates + refused + skipped."""

    read: Rows
    valid: Rows
    duplicates: Rows
    refused: Rows
    skipped: Rows

    @model_validator(mode="after")
    def _adds_up(self) -> FileFigures:
        if self.read != self.valid + self.duplicates + self.refused + self.skipped:
            raise ValueError("read must equal valid + duplicates + refused + skipped")
        return self


class NewImport(Request):
    """`POST /sync/v1/imports`. The id is made by the console; a repeat with the same content is harmless."""

    id: UUID
    sku: Code
    file_name: Name
    file_sha256: Sha256Hex
    figures: FileFigures
    chunks: Annotated[list[Sha256Hex], Field(min_length=1, max_length=MAX_ROWS // 100)]
    key_id: Annotated[str, Field(max_length=32)]


class LineResult(StrEnum):
    """Why the server did not take a line."""

    DUPLICATE_IN_STOCK = "duplicate_in_stock"
    DUPLICATE_SOLD = "duplicate_sold"
    REFUSED = "refused"


class RefusedLine(Answer):
    """One line the server did not take."""

    line: int
    result: LineResult


class Import(Answer):
    """`GET /sync/v1/imports/{id}`: progress and result. `missing` are chunk numbers not yet received."""

    id: UUID
    sku: str
    lot_id: UUID | None
    state: ImportState
    file_name: str
    figures: FileFigures
    chunk_count: int
    missing: list[int]
    stored: int
    duplicates: int
    refused: int
    created_at: datetime
    finished_at: datetime | None


class SkuStock(Answer):
    """One row of the Stock screen: free + held + sold + void = imported."""

    sku_id: UUID
    sku: str
    name: str
    product: str
    supplier: str
    imported: int
    free: int
    held: int
    sold: int
    void: int


class Lot(Answer):
    """One imported lot of a SKU."""

    id: UUID
    sku: str
    state: LotState
    file_name: str
    imported: int
    free: int
    held: int
    sold: int
    void: int
    created_at: datetime


class Unit(Answer):
    """One card in stock, by its number in the SKU; the key itself stays in the vault."""

    seq: int
    state: UnitState
    lot_id: UUID
