"""Imports of card keys, lots and masked units. No clear key is ever in an answer of this file but `RevealedUnit`."""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import Field, model_validator

from shared.contracts.base import Answer, Code, Name, Request
from shared.states import ImportState, LotState, UnitState

CHUNK_ROWS = 5_000
CHUNK_BYTES = 4 * 1024 * 1024
MAX_ROWS = 5_000_000
MAX_CHUNKS = MAX_ROWS // 100
MAX_LOTS = 2_000
"""Different expiry dates, costs and numbers of uses in one file: each combination is a lot of its own."""

MAX_USES = 10_000
MAX_FOUND = 1_000
"""Keys that one search may ask for."""

MAX_VOIDED = 1_000
"""Units that one request may void."""

Rows = Annotated[int, Field(ge=0, le=10**9)]
"""Rows of a file. A text file has no limit of its own; a count has the database's."""

UnitNumber = Annotated[int, Field(ge=0, le=2**62)]
"""The number of a unit in its SKU: a column of 64 bits holds it."""

Sha256Hex = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Reason = Annotated[str, Field(min_length=2, max_length=200)]
"""Why a person did something, in their own words; it is kept in the audit log."""


def chunk_info(import_id: UUID, n: int) -> bytes:
    """The HPKE `info` of chunk `n`: a chunk cannot be replayed into another import or place."""
    return b"kameng import " + import_id.bytes + n.to_bytes(4, "big")


def find_info(search_id: UUID) -> bytes:
    """The HPKE `info` of a search for keys."""
    return b"kameng find " + search_id.bytes


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
    """`POST /sync/v1/imports`: chunks may follow. The id is the console's; a repeat with the same is harmless."""

    id: UUID
    sku: Code
    file_name: Name
    key_id: Annotated[str, Field(max_length=32)]


class CommitImport(Request):
    """`POST /sync/v1/imports/{id}/commit`: the whole file was read and sent; what is stored may be sold.

    `root_sha256` is the SHA-256 of the chunks' digests (32 bytes each), one after the other by number: nothing was
    left out, added or exchanged. Chunks may be stored before; none of their keys sells until this.
    """

    figures: FileFigures
    file_sha256: Sha256Hex
    chunks: Annotated[int, Field(ge=1, le=MAX_CHUNKS)]
    root_sha256: Sha256Hex


class LineResult(StrEnum):
    """Why the server did not take a line."""

    DUPLICATE_IN_STOCK = "duplicate_in_stock"
    DUPLICATE_SOLD = "duplicate_sold"
    DUPLICATE_ELSEWHERE = "duplicate_elsewhere"
    """Another supplier brought this key before, for whatever product; the operator is told."""
    WRONG_PATTERN = "wrong_pattern"
    EXPIRED = "expired"
    REFUSED = "refused"


class RefusedLine(Answer):
    """One line the server did not take."""

    line: int
    result: LineResult


class Import(Answer):
    """`GET /sync/v1/imports/{id}`: progress and result.

    `received` chunks have arrived; `missing` are the numbers below the highest of them, and up to `chunk_count` once
    that is known, that have not. `figures` and `chunk_count` are None until the import was committed.
    """

    id: UUID
    sku: str
    state: ImportState
    file_name: str
    file_sha256: str | None
    figures: FileFigures | None
    chunk_count: int | None
    received: int
    missing: list[int]
    stored: int
    duplicates: int
    refused: int
    lots: int
    created_at: datetime
    finished_at: datetime | None


class SkuStock(Answer):
    """One row of the Stock screen: free + held + sold + void = imported. `for_sale` of the free ones can be bought."""

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
    for_sale: int = 0
    alerts: int = 0


class Lot(Answer):
    """Keys of one import that share expiry, cost and uses. `number` counts the lots of the SKU, from 0.

    `cost` of one unit is in 1/10000 yuan. `sell_until` is when its keys are no longer offered. `working` is what is
    being done to it: `importing`, `withdrawing` or `reencrypting`, with `done` of `imported` units.
    """

    id: UUID
    number: int
    sku: str
    import_id: UUID | None
    state: LotState
    reason: str | None = None
    frozen_by_shop: bool = False
    """Frozen, and not by its supplier, who then can neither release nor withdraw it."""
    file_name: str
    expires_on: date | None = None
    sell_until: datetime | None = None
    cost: int | None = None
    uses: int = 1
    imported: int
    free: int
    held: int
    sold: int
    void: int
    working: str | None = None
    done: int = 0
    created_at: datetime


class MoveLot(Request):
    """`POST /api/lots/{id}/state`: freeze (`frozen`), release (`open`) or withdraw (`withdrawn`) what is unsold."""

    to: LotState
    reason: Reason


class WithdrawImport(Request):
    """`POST /api/imports/{id}/withdraw`: every unsold key of all its lots; they may be imported again."""

    reason: Reason


class Withdrawn(Answer):
    """What a withdrawal does: `units` leave stock at once, `held` ones when their buyers do not pay, `sold` stay."""

    lots: int
    units: int
    held: int
    sold: int


class VoidUnits(Request):
    """`POST /api/stock/{sku}/void`: single units that must not be sold, by number."""

    seqs: Annotated[list[UnitNumber], Field(min_length=1, max_length=MAX_VOIDED)]
    reason: Reason


class Unit(Answer):
    """One card in stock, by its number in the SKU; of the key itself no more than its `tail` is known.

    `lot` is the number of its lot, `uses` how often each key of that may be sold, `file_name` what brought it.
    """

    seq: int
    state: UnitState
    lot_id: UUID
    lot: int = 0
    uses: int = 1
    file_name: str = ""
    tail: str = ""
    expires_on: date | None = None
    reason: str | None = None
    """Why it is void."""
    sold_at: datetime | None = None


class VoidedUnits(Answer):
    """Which units are void now, and which were left because they are held, sold, void or unknown."""

    voided: list[int]
    left: list[int]


class UnitOrder(StrEnum):
    """How the units of a SKU are listed; a minus turns it round. By expiry, those that never expire come last."""

    NUMBER = "seq"
    NUMBER_DOWN = "-seq"
    EXPIRY = "expiry"
    EXPIRY_DOWN = "-expiry"


class UnitWindow(Answer):
    """Rows `position`... of a list of `total`: any place of millions is one request away, none is ever loaded whole.

    A search by `tail` looks at a stretch of the list from `position` on; `next` is where to go on, or None at its end.
    """

    items: list[Unit]
    position: int
    total: int
    next: int | None = None


class UnitEvent(Answer):
    """Something that happened to a unit: `imported`, `voided`, `sold`, `delivered` (its key was shown to the buyer) or
    `revealed` (to `actor`, a member of staff), `returned` by a buyer who had not seen it, `withdrawn` with its lot.
    `detail` is a file or a reason: an `UndoneReason` where no person wrote one.
    """

    at: datetime
    what: str
    actor: str = ""
    detail: str = ""
    file_sha256: str | None = None


class UnitHistory(Answer):
    """`GET /api/stock/{sku}/units/{seq}/history`: what is known of one unit, oldest first."""

    sku: str
    unit: Unit
    import_id: UUID | None
    events: list[UnitEvent]


class FindKeys(Request):
    """`POST /api/stock/find`: `sealed` (base64) is HPKE to the import key of msgpack `[[number, secret], ...]`."""

    id: UUID
    key_id: Annotated[str, Field(max_length=32)]
    sealed: Annotated[str, Field(max_length=2 * 1024 * 1024)]


class FoundKey(Answer):
    """Where one asked key is. `n` is its place in the question."""

    n: int
    sku: str
    unit: Unit


class FoundKeys(Answer):
    """`asked` = those found + `missing`; a key that several products have is found more than once.

    `doubled` are the places of keys that stand before in the same question; they are found or missing all the same.
    """

    asked: int
    found: list[FoundKey]
    missing: list[int]
    doubled: list[int] = Field(default_factory=list)


class RevealUnit(Request):
    """`POST /api/stock/{sku}/units/{seq}/reveal`: a reason and a fresh second factor; logged before it is shown."""

    reason: Reason
    totp: Annotated[str, Field(pattern=r"^[0-9]{6}$")]


class RevealedUnit(Answer):
    """One clear card, for the eyes of the person who asked. `watermark` is drawn over it."""

    seq: int
    number: str = Field(repr=False)
    secret: str = Field(repr=False)
    watermark: str
    revealed_at: datetime
