"""`outbox.db`: what must not be lost: uploads with their sealed chunks, this device, the settings.

A chunk is stored sealed to the server and never otherwise: not even this user's keyring can open it. Chunks are
deleted, and overwritten by SQLite, as soon as the server confirmed the import.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TypeVar
from uuid import UUID

from sqlalchemy import (
    Boolean,
    Column,
    Connection,
    ForeignKey,
    Integer,
    LargeBinary,
    MetaData,
    Row,
    String,
    Table,
    Uuid,
    delete,
    func,
    select,
    text,
    update,
)
from sqlalchemy.dialects.sqlite import insert

from desktop.importing.chunk import Held
from desktop.store.sqlite import Instant, errors_in_words, open_file
from shared import clock, ids
from shared.contracts.stock import FileFigures

VERSION = 1_001
T = TypeVar("T")


class UploadState(StrEnum):
    """Where an upload stands on this machine; what the server knows is asked from the server."""

    READING = "reading"
    READY = "ready"
    UPLOADING = "uploading"
    INGESTING = "ingesting"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


OVER = frozenset({UploadState.DONE, UploadState.FAILED, UploadState.CANCELLED})

_METADATA = MetaData()
_UPLOAD = Table(
    "upload",
    _METADATA,
    Column("id", Uuid(as_uuid=True), primary_key=True),
    Column("account", String, nullable=False),
    Column("sku", String, nullable=False),
    Column("file_path", String, nullable=False),
    Column("file_name", String, nullable=False),
    Column("file_sha256", String, nullable=False, index=True),
    Column("key_id", String, nullable=False),
    Column("state", String, nullable=False),
    Column("paused", Boolean, nullable=False, default=False),
    Column("owner", String, nullable=False),
    Column("read", Integer, nullable=False, default=0),
    Column("valid", Integer, nullable=False, default=0),
    Column("duplicates", Integer, nullable=False, default=0),
    Column("refused", Integer, nullable=False, default=0),
    Column("skipped", Integer, nullable=False, default=0),
    Column("chunks", Integer, nullable=False, default=0),
    Column("stored", Integer, nullable=False, default=0),
    Column("stock_duplicates", Integer, nullable=False, default=0),
    Column("stock_refused", Integer, nullable=False, default=0),
    Column("error_code", String),
    Column("error_params", String),
    Column("created_at", Instant, nullable=False),
    Column("finished_at", Instant),
    Column("announced", Boolean, nullable=False, server_default=text("0")),
    Column("cancel_owed", Boolean, nullable=False, server_default=text("0")),
    Column("options", String),
)
_CHUNK = Table(
    "upload_chunk",
    _METADATA,
    Column("upload_id", ForeignKey(_UPLOAD.c.id, ondelete="CASCADE"), primary_key=True),
    Column("n", Integer, primary_key=True),
    Column("sha256", String, nullable=False),
    Column("sent", Boolean, nullable=False, default=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("rows", Integer),
    Column("first_line", Integer),
    Column("last_line", Integer),
)
_HABIT = Table(
    "import_habit",
    _METADATA,
    Column("account", String, primary_key=True),
    Column("goods", String, primary_key=True),
    Column("options", String, nullable=False),
)
_DEVICE = Table(
    "device",
    _METADATA,
    Column("id", Uuid(as_uuid=True), primary_key=True),
    Column("created_at", Instant, nullable=False),
)
_SETTING = Table(
    "setting", _METADATA, Column("name", String, primary_key=True), Column("value", String, nullable=False)
)


@dataclass(frozen=True, slots=True)
class Upload:
    """One row of the upload list. `error_code` and `error_params` (JSON) say why it failed.

    `announced`: the server may know of it. `cancel_owed`: it ended here, and the server still has to be told.
    `options` (JSON) are how the file is read.
    """

    id: UUID
    account: str
    sku: str
    file_path: str
    file_name: str
    file_sha256: str
    key_id: str
    state: UploadState
    paused: bool
    owner: str
    figures: FileFigures
    chunks: int
    chunks_sent: int
    stored: int
    stock_duplicates: int
    stock_refused: int
    error_code: str | None
    error_params: str | None
    created_at: datetime
    finished_at: datetime | None
    announced: bool
    cancel_owed: bool
    options: str | None

    @property
    def is_over(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.state in OVER


@dataclass(frozen=True, slots=True)
class SealedChunk:
    """Chunk `n` of an upload: sealed bytes and the SHA-256 of exactly these bytes, as hex; which lines it holds."""

    n: int
    sha256: str
    sealed: bytes
    held: Held | None = None


class Outbox:
    """The open file. Use from one thread at a time; every call may raise DiskFull, StoreDamaged or StoreUnusable."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._engine = open_file(path, _METADATA, version=VERSION, precious=True)

    # --- this device and the settings -----------------------------------------------------------------------

    def device_id(self) -> UUID:
        """The id of this machine, made the first time it is asked for."""

        def work(connection: Connection) -> UUID:
            known: UUID | None = connection.execute(select(_DEVICE.c.id)).scalar_one_or_none()
            if known is not None:
                return known
            made = ids.new_id()
            connection.execute(insert(_DEVICE).values(id=made, created_at=clock.now()))
            return made

        return self._run(work)

    def setting(self, name: str) -> str | None:
        """A stored setting, or None."""
        return self._run(
            lambda connection: connection.execute(
                select(_SETTING.c.value).where(_SETTING.c.name == name)
            ).scalar_one_or_none()
        )

    def set_setting(self, name: str, value: str | None) -> None:
        """Store a setting, or forget it with None."""

        def work(connection: Connection) -> None:
            if value is None:
                connection.execute(delete(_SETTING).where(_SETTING.c.name == name))
            else:
                fresh = insert(_SETTING).values(name=name, value=value)
                connection.execute(
                    fresh.on_conflict_do_update(index_elements=[_SETTING.c.name], set_={"value": fresh.excluded.value})
                )

        self._run(work)

    # --- uploads ----------------------------------------------------------------------------------------------

    def begin(
        self,
        *,
        upload_id: UUID,
        account: str,
        sku: str,
        file: Path,
        file_name: str,
        file_sha256: str,
        key_id: str,
        owner: str,
        options: str,
    ) -> Upload:
        """Start a new upload in state READING; `owner` is the presence name of the program that reads the file."""
        values = {
            "id": upload_id,
            "account": account,
            "sku": sku,
            "file_path": str(file),
            "file_name": file_name,
            "file_sha256": file_sha256,
            "key_id": key_id,
            "state": UploadState.READING.value,
            "owner": owner,
            "options": options,
            "created_at": clock.now(),
        }
        self._run(lambda connection: connection.execute(insert(_UPLOAD).values(values)))
        return self.upload(upload_id)

    def add_chunks(self, upload_id: UUID, chunks: Sequence[SealedChunk]) -> None:
        """Store sealed chunks of an upload that is still READING."""
        rows = [
            {"upload_id": upload_id, "n": chunk.n, "sha256": chunk.sha256, "sealed": chunk.sealed}
            | (chunk.held._asdict() if chunk.held is not None else {})
            for chunk in chunks
        ]
        self._run(lambda connection: connection.execute(insert(_CHUNK), rows))

    def complete(self, upload_id: UUID, figures: FileFigures) -> Upload:
        """The file was read to its end: fix its ledger and number of chunks, READING becomes READY."""

        def work(connection: Connection) -> None:
            count = connection.execute(select(func.count()).where(_CHUNK.c.upload_id == upload_id)).scalar_one()
            values = {**figures.model_dump(), "chunks": count, "state": UploadState.READY.value}
            self._move(connection, upload_id, {UploadState.READING}, values)

        self._run(work)
        return self.upload(upload_id)

    def move(self, upload_id: UUID, to: UploadState) -> None:
        """Forward to UPLOADING or INGESTING; a repeat and a step back change nothing."""
        order = [UploadState.READING, UploadState.READY, UploadState.UPLOADING, UploadState.INGESTING]
        earlier = set(order[: order.index(to)])
        self._run(lambda connection: self._move(connection, upload_id, earlier, {"state": to.value}))

    def take_over(self, upload_id: UUID, owner: str) -> None:
        """`owner` is the presence name of the program that works on the upload from now on."""
        self._run(
            lambda connection: connection.execute(update(_UPLOAD).where(_UPLOAD.c.id == upload_id).values(owner=owner))
        )

    def pause(self, upload_id: UUID, *, paused: bool) -> None:
        """Hold an unfinished upload, or let it go on."""
        self._run(lambda connection: self._move(connection, upload_id, set(UploadState) - OVER, {"paused": paused}))

    def mark_sent(self, upload_id: UUID, numbers: Iterable[int]) -> None:
        """The server has these chunks."""
        marked = update(_CHUNK).where(_CHUNK.c.upload_id == upload_id, _CHUNK.c.n.in_(list(numbers))).values(sent=True)
        self._run(lambda connection: connection.execute(marked))

    def mark_missing(self, upload_id: UUID, missing: Iterable[int]) -> None:
        """The server lacks exactly these chunks: it has the last word."""
        lacking = list(missing)

        def work(connection: Connection) -> None:
            of_upload = update(_CHUNK).where(_CHUNK.c.upload_id == upload_id)
            connection.execute(of_upload.values(sent=True))
            # In slices: SQLite takes 32,766 parameters in a statement.
            for start in range(0, len(lacking), 10_000):
                connection.execute(of_upload.where(_CHUNK.c.n.in_(lacking[start : start + 10_000])).values(sent=False))

        self._run(work)

    def progress(self, upload_id: UUID, *, stored: int, duplicates: int, refused: int) -> None:
        """The server's ledger so far."""
        values = {"stored": stored, "stock_duplicates": duplicates, "stock_refused": refused}
        self._run(
            lambda connection: connection.execute(update(_UPLOAD).where(_UPLOAD.c.id == upload_id).values(values))
        )

    def announce(self, upload_id: UUID) -> None:
        """The server is about to hear of it: from now on a cancellation has to reach it too."""
        self._run(
            lambda connection: connection.execute(
                update(_UPLOAD).where(_UPLOAD.c.id == upload_id).values(announced=True)
            )
        )

    def cancel_refused(self, upload_id: UUID) -> None:
        """The server had committed it before it heard of the cancellation: it is being stored after all."""
        values = {"state": UploadState.INGESTING.value, "finished_at": None, "cancel_owed": False}
        self._run(lambda connection: self._move(connection, upload_id, {UploadState.CANCELLED}, values))

    def cancel_told(self, upload_id: UUID) -> None:
        """The server knows that it is over, or never can."""
        told = update(_UPLOAD).where(_UPLOAD.c.id == upload_id).values(cancel_owed=False)
        self._run(lambda connection: connection.execute(told))

    def finish(self, upload_id: UUID, to: UploadState, *, error: tuple[str, str] | None = None) -> Upload:
        """End an upload and delete its chunks in the same transaction; a repeat changes nothing.

        Unless it is DONE, the server is owed a cancellation when it may know of it.
        """
        assert to in OVER
        code, params = error or (None, None)
        values: dict[str, object] = {
            "state": to.value,
            "paused": False,
            "error_code": code,
            "error_params": params,
            "finished_at": clock.now(),
        }
        if to is not UploadState.DONE:
            values["cancel_owed"] = _UPLOAD.c.announced

        def work(connection: Connection) -> None:
            self._move(connection, upload_id, set(UploadState) - OVER, values)
            connection.execute(delete(_CHUNK).where(_CHUNK.c.upload_id == upload_id))

        self._run(work)
        # Deleted pages are overwritten with zeros in the file; fold the log, which may still hold the old ones.
        self._fold_log()
        return self.upload(upload_id)

    def owing_cancel(self, *, account: str) -> list[Upload]:
        """The account's uploads whose end the server does not know."""
        return self._select_uploads(_UPLOAD.c.account == account, _UPLOAD.c.cancel_owed)

    # --- how files of a supplier's product are read --------------------------------------------------------------

    def habit(self, *, account: str, goods: str) -> str | None:
        """How the last file for these goods was read, as it was stored, or None."""
        query = select(_HABIT.c.options).where(_HABIT.c.account == account, _HABIT.c.goods == goods)
        return self._run(lambda connection: connection.execute(query).scalar_one_or_none())

    def set_habit(self, *, account: str, goods: str, options: str) -> None:
        """Remember how a file for these goods was read."""
        fresh = insert(_HABIT).values(account=account, goods=goods, options=options)
        kept = fresh.on_conflict_do_update(
            index_elements=[_HABIT.c.account, _HABIT.c.goods], set_={"options": fresh.excluded.options}
        )
        self._run(lambda connection: connection.execute(kept))

    def forget(self, upload_id: UUID) -> None:
        """Delete an upload that never was ready, with its chunks."""
        self._run(lambda connection: connection.execute(delete(_UPLOAD).where(_UPLOAD.c.id == upload_id)))

    def upload(self, upload_id: UUID) -> Upload:
        """One upload. Raises LookupError when there is none."""
        found = self._select_uploads(_UPLOAD.c.id == upload_id)
        if not found:
            raise LookupError(upload_id)
        return found[0]

    def uploads(self, *, account: str, limit: int = 200) -> list[Upload]:
        """The account's uploads, newest first."""
        return self._select_uploads(_UPLOAD.c.account == account, limit=limit)

    def uploads_of_file(self, *, account: str, file_sha256: str, sku: str) -> list[Upload]:
        """What was done with the same bytes for the same SKU before, newest first."""
        return self._select_uploads(
            _UPLOAD.c.account == account, _UPLOAD.c.file_sha256 == file_sha256, _UPLOAD.c.sku == sku
        )

    def chunk_hashes(self, upload_id: UUID) -> list[str]:
        """The SHA-256 of all chunks, in order."""
        query = select(_CHUNK.c.sha256).where(_CHUNK.c.upload_id == upload_id).order_by(_CHUNK.c.n)
        return self._run(lambda connection: list(connection.execute(query).scalars()))

    def held(self, upload_id: UUID) -> list[Held] | None:
        """Which lines the stored chunks hold, in order; None when one is missing in between or does not say."""
        query = select(_CHUNK.c.n, _CHUNK.c.rows, _CHUNK.c.first_line, _CHUNK.c.last_line).order_by(_CHUNK.c.n)
        rows = self._run(lambda connection: connection.execute(query.where(_CHUNK.c.upload_id == upload_id)).all())
        if any(row.n != at or row.last_line is None for at, row in enumerate(rows)):
            return None
        return [Held(row.rows, row.first_line, row.last_line) for row in rows]

    def unsent(self, upload_id: UUID) -> list[int]:
        """The numbers of chunks that the server does not have as far as we know, in order."""
        query = select(_CHUNK.c.n).where(_CHUNK.c.upload_id == upload_id, _CHUNK.c.sent.is_(False))
        return self._run(lambda connection: list(connection.execute(query.order_by(_CHUNK.c.n)).scalars()))

    def chunk(self, upload_id: UUID, n: int) -> SealedChunk | None:
        """One chunk, or None when it is gone because the upload ended meanwhile."""
        query = select(_CHUNK.c.n, _CHUNK.c.sha256, _CHUNK.c.sealed).where(
            _CHUNK.c.upload_id == upload_id, _CHUNK.c.n == n
        )
        row = self._run(lambda connection: connection.execute(query).one_or_none())
        return None if row is None else SealedChunk(row.n, row.sha256, row.sealed)

    def close(self) -> None:
        """Close the file; its write-ahead log is folded in."""
        self._engine.dispose()

    # --- how --------------------------------------------------------------------------------------------------

    def _run(self, work: Callable[[Connection], T]) -> T:
        with errors_in_words(self._path), self._engine.begin() as connection:
            return work(connection)

    @staticmethod
    def _move(connection: Connection, upload_id: UUID, sources: set[UploadState], values: Mapping[str, object]) -> None:
        """The guard of every step: only from these states, so that two programs cannot turn an upload back."""
        connection.execute(
            update(_UPLOAD).where(_UPLOAD.c.id == upload_id, _UPLOAD.c.state.in_([*sources])).values(dict(values))
        )

    def _select_uploads(self, *conditions: object, limit: int = 200) -> list[Upload]:
        sent = select(func.count()).where(_CHUNK.c.upload_id == _UPLOAD.c.id, _CHUNK.c.sent).scalar_subquery()
        query = select(_UPLOAD, sent.label("sent")).order_by(_UPLOAD.c.id.desc()).limit(limit)
        for condition in conditions:
            query = query.where(condition)  # type: ignore[arg-type]  # columns compared above
        return [_upload(row) for row in self._run(lambda connection: connection.execute(query).all())]

    def _fold_log(self) -> None:
        with errors_in_words(self._path), self._engine.connect() as connection:
            raw = connection.connection.cursor()
            raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            raw.close()


def _upload(row: Row[tuple[object, ...]]) -> Upload:
    facts = row._mapping  # noqa: SLF001 - SQLAlchemy's public name for a row as a mapping
    state = UploadState(facts["state"])
    after_upload = {UploadState.INGESTING, UploadState.DONE}
    return Upload(
        id=facts["id"],
        account=facts["account"],
        sku=facts["sku"],
        file_path=facts["file_path"],
        file_name=facts["file_name"],
        file_sha256=facts["file_sha256"],
        key_id=facts["key_id"],
        state=state,
        paused=facts["paused"],
        owner=facts["owner"],
        figures=FileFigures(**{name: facts[name] for name in FileFigures.model_fields}),
        chunks=facts["chunks"],
        chunks_sent=facts["chunks"] if state in after_upload else facts["sent"],
        stored=facts["stored"],
        stock_duplicates=facts["stock_duplicates"],
        stock_refused=facts["stock_refused"],
        error_code=facts["error_code"],
        error_params=facts["error_params"],
        created_at=facts["created_at"],
        finished_at=facts["finished_at"],
        announced=facts["announced"],
        cancel_owed=facts["cancel_owed"],
        options=facts["options"],
    )
