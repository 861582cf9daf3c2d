"""What the engine tells the window: frozen facts, sent from the engine's thread through one callback.

A receiver must not block and must not raise; the window's bridge turns each event into a signal.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from desktop.credentials import Place
from desktop.importing.ledger import Ledger
from shared.contracts.identity import Person
from shared.contracts.stock import FileFigures
from shared.errors import KamengError

EVERYTHING = frozenset({"*"})
"""In `ChangesArrived.entities`: any list may have changed."""


class Connection(StrEnum):
    """Where the console stands with the server."""

    SIGNED_OUT = "signed_out"
    CONNECTING = "connecting"
    ONLINE = "online"
    OFFLINE = "offline"


@dataclass(frozen=True, slots=True)
class ConnectionChanged:
    """The connection is now `state`. `why` says what is wrong while offline; `since` is when the state began.

    `clock_off_seconds` is this machine's clock minus the server's, rounded; more than 300 either way is worth a
    warning, because certificates and people both suffer.
    """

    state: Connection
    server: str | None
    since: datetime
    why: KamengError | None = None
    clock_off_seconds: int = 0


@dataclass(frozen=True, slots=True)
class SignedIn:
    """Somebody is signed in. `place` says where the token is kept: with MEMORY the next start asks again."""

    person: Person
    server: str
    place: Place


@dataclass(frozen=True, slots=True)
class SignedOut:
    """Nobody is signed in any more. `why` is None when the person asked for it."""

    why: KamengError | None = None


class ImportStage(StrEnum):
    """Where an import stands. The first two happen on this machine only."""

    READING = "reading"
    READY = "ready"
    UPLOADING = "uploading"
    INGESTING = "ingesting"
    DONE = "done"
    PAUSED = "paused"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class ImportProgressed:
    """One import as it stands now; also what the list of imports is made of.

    File ledger: `figures.read` = valid + duplicates + refused + skipped (while READING, of the rows so far).
    Server ledger, from INGESTING on: `stored` + `duplicates_in_stock` + `refused_by_server` grow up to `figures.valid`.
    Chunks count from 0 to `chunks`, which is known from READY on. `fraction` goes from 0 to 1 in each of READING,
    UPLOADING and INGESTING. `why` is set when FAILED, and while it waits for the network.
    """

    id: UUID
    sku: str
    file_name: str
    stage: ImportStage
    figures: FileFigures
    chunks: int
    chunks_sent: int
    stored: int
    duplicates_in_stock: int
    refused_by_server: int
    created_at: datetime
    finished_at: datetime | None = None
    fraction: float = 0.0
    why: KamengError | None = None
    cancel_owed: bool = False
    """It ended here, and the server has not been told yet."""
    held: bool = False
    """Sending is paused while the file is still being read."""

    @property
    def is_over(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.stage in {ImportStage.DONE, ImportStage.FAILED, ImportStage.CANCELLED}

    @property
    def adds_up(self) -> bool:
        """Whether the server's ledger accounts for every valid row of the file."""
        return self.figures.valid == self.stored + self.duplicates_in_stock + self.refused_by_server


@dataclass(frozen=True, slots=True)
class ImportRead:
    """The file of an import was read to its end: its ledger with reasons, repairs and problem rows, masked."""

    id: UUID
    ledger: Ledger


@dataclass(frozen=True, slots=True)
class FileChecked:
    """How far the check of a file that may be imported is: `fraction` from 0 to 1, `read` rows so far."""

    id: UUID
    fraction: float
    read: int


@dataclass(frozen=True, slots=True)
class ChangesArrived:
    """Rows of these entities changed, here or elsewhere ("product", "sku", "stock", "order", "import" ...).

    Lists that show them should read again; `touches` also knows EVERYTHING. `initiator` names the operation of this
    console that caused it, or None.
    """

    entities: frozenset[str]
    initiator: str | None = None

    def touches(self, *entities: str) -> bool:
        """Whether a list of these entities should read again."""
        return self.entities == EVERYTHING or not self.entities.isdisjoint(entities)


@dataclass(frozen=True, slots=True)
class LocalDataRebuilt:
    """The replica was damaged or of another version: it was moved aside and lists fill again from the server."""

    moved_to: str | None


Event = (
    ConnectionChanged
    | SignedIn
    | SignedOut
    | ImportProgressed
    | ImportRead
    | FileChecked
    | ChangesArrived
    | LocalDataRebuilt
)
