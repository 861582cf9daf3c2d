"""Engines, transactions and column types. The only file that names a SQL dialect and the only one that commits.

Writers open `with db.tx() as tx:` inside the use case; readers `with db.read() as tx:`. Code that gets a `tx` never
commits. On SQLite one transaction writes at a time (one process per file); PostgreSQL and MariaDB are READ COMMITTED,
and correctness comes from guarded updates with row counts.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, cast
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    BINARY,
    BigInteger,
    ColumnElement,
    CursorResult,
    Date,
    DateTime,
    Dialect,
    Engine,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    Uuid,
    any_,
    create_engine,
    event,
    literal,
    make_url,
    text,
)
from sqlalchemy.dialects import mysql
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import DeclarativeBase, Session
from sqlalchemy.pool import QueuePool
from sqlalchemy.types import TypeEngine

from server import bulk
from shared.errors import Busy

Tx = Session
"""What actions and queries take. Actions never commit; queries never write."""

POOL_SIZE, LANES = 8, 2
"""More connections make a two-core database slower (performance.md): a pool of eight and a queue in front. The lanes of
`server.batch` have one each besides, on PostgreSQL and MariaDB: who reads pages keeps no buyer out."""

POOL_WAIT_SECONDS = 10.0
"""How long a transaction waits for a connection on PostgreSQL and MariaDB; then it is Busy."""

SQLITE_BUSY_SECONDS = 30

_SNAPSHOT = {"isolation_level": "REPEATABLE READ"}

T = TypeVar("T")


class Uid(TypeDecorator[UUID]):
    """A 16-byte id: `uuid` on PostgreSQL, 16 raw bytes elsewhere, so that time-ordered ids stay ordered."""

    impl = LargeBinary(16)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name == "postgresql":
            return dialect.type_descriptor(Uuid(as_uuid=True))
        return dialect.type_descriptor(BINARY(16))

    # Overridden whole, because ids are in most rows of most statements: it takes half as long as `process_...` do.
    def bind_processor(self, dialect: Dialect) -> Any:
        return super().bind_processor(dialect) if dialect.name == "postgresql" else _id_bytes

    def result_processor(self, dialect: Dialect, coltype: object) -> Any:
        return super().result_processor(dialect, coltype) if dialect.name == "postgresql" else _id_of


def _id_bytes(value: UUID | None) -> bytes | None:
    return None if value is None else value.int.to_bytes(16, "big")  # a little faster than `bytes`


def _id_of(value: bytes | None) -> UUID | None:
    return None if value is None else UUID(bytes=bytes(value))


class Digest16(TypeDecorator[bytes]):
    """Sixteen bytes of a keyed hash; the engine's own `uuid` on PostgreSQL, where it indexes 12 % faster."""

    impl = LargeBinary(16)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name == "postgresql":
            return dialect.type_descriptor(Uuid(as_uuid=True))
        return dialect.type_descriptor(BINARY(16))

    def process_bind_param(self, value: bytes | None, dialect: Dialect) -> Any:
        return UUID(bytes=value) if value is not None and dialect.name == "postgresql" else value

    def process_result_value(self, value: Any, dialect: Dialect) -> bytes | None:  # noqa: ARG002 - SQLAlchemy passes it
        return None if value is None else value.bytes if isinstance(value, UUID) else bytes(value)


class Instant(TypeDecorator[datetime]):
    """An aware UTC datetime with microseconds on every engine; a naive one is refused."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name in {"mysql", "mariadb"}:
            return dialect.type_descriptor(mysql.DATETIME(fsp=6))
        if dialect.name == "sqlite":
            return dialect.type_descriptor(BigInteger())
        return dialect.type_descriptor(DateTime(timezone=True))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("an instant must be aware")
        if dialect.name == "sqlite":
            since = value - _EPOCH
            return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
        value = value.astimezone(UTC)
        return value if dialect.name == "postgresql" else value.replace(tzinfo=None)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if dialect.name == "sqlite":
            return _EPOCH + timedelta(0, 0, value)
        assert isinstance(value, datetime)
        return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def exact(length: int = 64) -> TypeEngine[str]:
    """A key or code compared byte by byte on every engine."""
    return String(length).with_variant(
        mysql.VARCHAR(length, charset="utf8mb4", collation="utf8mb4_bin"), "mysql", "mariadb"
    )


def big_text() -> TypeEngine[str]:
    """Text of any length; MariaDB's TEXT ends at 64 KiB."""
    return Text().with_variant(mysql.MEDIUMTEXT(), "mysql", "mariadb")


def blob() -> TypeEngine[bytes]:
    """Bytes of any length; MariaDB's BLOB ends at 64 KiB."""
    return LargeBinary().with_variant(mysql.MEDIUMBLOB(), "mysql", "mariadb")


BigInt = BigInteger().with_variant(Integer(), "sqlite")
"""64-bit integers; on SQLite INTEGER, which may be a rowid."""


class Base(DeclarativeBase):
    """Mapped classes of all domains. Relationships are not used: queries say what they join."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(column_0_N_label)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


def table_of(model: type[Base]) -> Table:
    """The Core table of a mapped class, for set-based statements."""
    table = model.__table__
    assert isinstance(table, Table)
    return table


class Database:
    """One database, shared by all threads of a process. Safe to use from any thread; `close()` at the end."""

    def __init__(self, url: str) -> None:
        self.url = make_url(url)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        self._writer_lock = threading.RLock() if self.is_sqlite else None
        self._awaiting: set[int] = set()
        self._writer = self._make_engine(read_only=False)
        self._reader = self._make_engine(read_only=True) if self.is_sqlite else self._writer
        self._by_key = self._writer if self.is_sqlite else self._make_engine(read_only=False, by_key=True)
        self._listeners: list[Callable[[object], None]] = []

    @contextmanager
    def tx(self, *, patient: bool = False, by_key: bool = False) -> Iterator[Tx]:
        """A write transaction: commits when the body ends, rolls back when it raises.

        Raises OperationalError when the engine asks for a retry (`is_retryable`); callers that can repeat, do. Raises
        Busy when no connection is free. `patient` waits its turn without being `awaited`. `by_key`, for the lanes of
        the batch, has connections of its own and finds each row by a key, however few rows its table has.
        """
        engine = self._by_key if by_key else self._writer
        with self._turn(patient=patient), Session(engine, expire_on_commit=False, autoflush=False) as session:
            _connect(session)
            yield session
            session.commit()
            for news in session.info.get(_NEWS, ()):
                for listener in self._listeners:
                    listener(news)

    def listen(self, listener: Callable[[object], None]) -> None:
        """Call `listener` with the news (`tell`) of each committed transaction of this process, on its thread."""
        self._listeners.append(listener)

    @contextmanager
    def read(self, *, snapshot: bool = False) -> Iterator[Tx]:
        """A read transaction; never writes (SQLite refuses it, the others roll back). Raises Busy like `tx`.
        With `snapshot` all its statements see the same instant, as on SQLite they always do: for what compares tables.
        """
        with Session(self._reader, expire_on_commit=False, autoflush=False) as session:
            _connect(session, _SNAPSHOT if snapshot and not self.is_sqlite else None)
            yield session  # closing ends the transaction and leaves what was read usable

    @contextmanager
    def _turn(self, *, patient: bool) -> Iterator[None]:
        """One writer at a time on SQLite: they wait in memory instead of in its busy loop, which starves."""
        if self._writer_lock is None:
            yield
            return
        if patient:
            self._writer_lock.acquire()
        elif not self._writer_lock.acquire(blocking=False):
            self._awaiting.add(me := threading.get_ident())
            try:
                self._writer_lock.acquire()
            finally:
                self._awaiting.discard(me)
        try:
            yield
        finally:
            self._writer_lock.release()

    @property
    def awaited(self) -> bool:
        """Whether a writer of this process waits for the one that writes: long work may be cut short. Only SQLite."""
        return bool(self._awaiting)

    def give_way(self) -> None:
        """Between two transactions of one piece of work: let those go first that wait now. A lock gives no order."""
        first, pauses = self._awaiting.copy(), 100
        while first & self._awaiting and (pauses := pauses - 1):
            time.sleep(0.001)

    def ping(self) -> None:
        """Raise if the database does not answer."""
        with self.read() as tx:
            tx.execute(text("SELECT 1"))

    def close(self) -> None:
        """Close all connections; on SQLite fold the write-ahead log into the file."""
        for engine in (self._writer, self._by_key, self._reader):
            engine.dispose()

    @property
    def engine(self) -> Engine:
        """The writing engine, for migrations and tests."""
        return self._writer

    def _make_engine(self, *, read_only: bool, by_key: bool = False) -> Engine:
        if not self.is_sqlite:
            engine = create_engine(
                self.url,
                isolation_level="READ COMMITTED",
                pool_size=LANES if by_key else POOL_SIZE,
                max_overflow=0 if by_key else POOL_SIZE,
                # A lane runs its batch again when the connection is gone, and ends what it began: each would be a trip.
                pool_pre_ping=not by_key,
                pool_reset_on_return=None if by_key else "rollback",
                pool_timeout=POOL_WAIT_SECONDS,
            )
            bulk.say_savepoints(engine.dialect)
            if engine.dialect.name in {"mysql", "mariadb"}:
                event.listen(engine, "connect", _prepare_mariadb)
            elif by_key:
                event.listen(engine, "connect", _prepare_by_key)
            return engine
        path = Path(self.url.database or "")
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        engine = create_engine(
            self.url,
            poolclass=QueuePool,
            pool_size=POOL_SIZE if read_only else 1,
            max_overflow=POOL_SIZE * 4 if read_only else 0,
            pool_timeout=60,
            connect_args={"check_same_thread": False, "timeout": SQLITE_BUSY_SECONDS},
        )
        engine.dialect.statement_compiler = bulk.finding_by_key(engine.dialect.statement_compiler)
        event.listen(engine, "connect", _prepare_sqlite_reader if read_only else _prepare_sqlite_writer)
        bulk.say_savepoints(engine.dialect)
        how = "BEGIN" if read_only else "BEGIN IMMEDIATE"
        event.listen(engine, "begin", lambda connection: connection.exec_driver_sql(how))
        return engine


def _connect(session: Session, options: Mapping[str, Any] | None = None) -> None:
    """Take the connection now: one that cannot be had says so once, before anything was done, and not at each try."""
    try:
        session.connection(execution_options=options)
    except PoolTimeout:
        raise Busy(retry_after_seconds=2) from None


def _prepare_sqlite_writer(connection: Any, _record: object) -> None:
    # The driver must not begin transactions itself: BEGIN IMMEDIATE comes from the begin event below.
    connection.isolation_level = None
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",  # a commit that was acknowledged survives power loss; group commit pays for it
        "foreign_keys=ON",
        "cache_size=-65536",
        "wal_autocheckpoint=4000",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _prepare_sqlite_reader(connection: Any, _record: object) -> None:
    connection.isolation_level = None
    connection.execute("PRAGMA query_only=ON")
    connection.execute("PRAGMA cache_size=-16384")


def _prepare_mariadb(connection: Any, _record: object) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ZERO_DATE,NO_ENGINE_SUBSTITUTION', time_zone = '+00:00'"
        )


def _prepare_by_key(connection: Any, _record: object) -> None:
    # A connection keeps its plans: one made while a table was a page would read all of it when it has thousands.
    connection.execute("SET enable_seqscan = off; SET jit = off")  # compiling a plan takes longer than running it
    connection.commit()


# --- what the engines do differently ---------------------------------------------------------------------

_RETRYABLE = {"40001", "40P01", "55P03", 1205, 1213, 1020, 1305}
"""Serialization failure, deadlock, lock time-out: PostgreSQL's SQLSTATEs and MariaDB's error numbers.

1305 is how a deadlock inside a savepoint shows on MariaDB: it has rolled back everything, so that going back to the
savepoint finds none. Going on would commit a part and answer for the whole.
"""


def tell(tx: Tx, news: object) -> None:
    """Have this process's listeners told `news` once the transaction is committed; nobody when it is rolled back."""
    tx.info.setdefault(_NEWS, {})[news] = None


_NEWS = "news"


def is_retryable(error: DBAPIError) -> bool:
    """Whether the same transaction may succeed when it is run again from its start."""
    if error.connection_invalidated:
        return True
    original = error.orig
    state = getattr(original, "sqlstate", None)
    number = original.args[0] if original is not None and original.args else None
    return state in _RETRYABLE or number in _RETRYABLE or "database is locked" in str(original)


def rows_changed(result: object) -> int:
    """How many rows an UPDATE or DELETE matched; for many parameter sets, their sum."""
    assert isinstance(result, CursorResult)
    return result.rowcount


def bulk_insert(
    tx: Tx, model: type[Base], columns: Sequence[str], rows: Sequence[tuple[Any, ...]], *, constants: dict[str, Any]
) -> None:
    """Insert many rows the fastest way the engine has: COPY on PostgreSQL, a driver's executemany elsewhere.

    SQLAlchemy's own takes four times as long. `constants` are the same in each row; `columns` name the values of each
    tuple. Raises IntegrityError: the transaction, or the savepoint around this call, must then be rolled back.
    """
    if not rows:
        return
    table, connection = table_of(model), tx.connection()
    insert = {"sqlite": bulk.in_blocks, "postgresql": bulk.copied}.get(connection.dialect.name, bulk.one_by_one)
    binders = [_bound(connection.dialect, table, name) for name in columns]
    if any(bind is not _as_it_is for bind in binders):
        values = zip(*rows, strict=True)
        rows = list(zip(*(map(bind, column) for bind, column in zip(binders, values, strict=True)), strict=True))
    fixed = {name: _bound(connection.dialect, table, name)(value) for name, value in constants.items()}
    dbapi = connection.dialect.loaded_dbapi
    with closing(connection.connection.cursor()) as cursor:
        try:
            insert(cursor, table.name, fixed, columns, rows)
        except dbapi.Error as error:
            raise bulk.as_raised(dbapi, error) from error


def _as_it_is(value: Any) -> Any:
    return value


@lru_cache(maxsize=1_024)
def _bound(dialect: Dialect, table: Table, name: str) -> Callable[[Any], Any]:
    """How a value of a column goes to the driver; `_as_it_is` when nothing has to be done."""
    column_type = table.c[name].type
    if isinstance(column_type, Digest16):
        # COPY reads text: the hex digits are a uuid already, and cost a fifth of making one.
        return bytes.hex if dialect.name == "postgresql" else _as_it_is
    is_ours = isinstance(column_type, TypeDecorator | Date)
    return (column_type.dialect_impl(dialect).bind_processor(dialect) if is_ours else None) or _as_it_is


def among(tx: Tx, column: Any, values: Sequence[Any]) -> ColumnElement[bool]:
    """Whether a column is one of many values: as one array where there are arrays, as a list of them costs a lot."""
    arrays = tx.get_bind().dialect.name == "postgresql"
    found: Any = column == any_(literal(list(values), ARRAY(column.type))) if arrays else column.in_(list(values))
    return cast(ColumnElement[bool], found)


def _before(refuse: str) -> tuple[str, ...]:
    trigger = "CREATE TRIGGER {{table}}_keep_{} BEFORE {} ON {{table}} {}"
    return tuple(trigger.format(what[0].lower(), what, refuse) for what in ("UPDATE", "DELETE"))


_APPEND_ONLY = {
    "postgresql": (
        (
            "CREATE OR REPLACE FUNCTION kameng_append_only() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE EXCEPTION 'append-only table'; END $$"
        ),
        (
            "CREATE TRIGGER {table}_keep BEFORE UPDATE OR DELETE ON {table} "
            "FOR EACH ROW WHEN ({which}) EXECUTE FUNCTION kameng_append_only()"
        ),
    ),
    "sqlite": _before("WHEN {which} BEGIN SELECT RAISE(ABORT, 'append-only table'); END"),
    "mysql": _before("FOR EACH ROW IF {which} THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT='append-only'; END IF"),
}


class Spelling(NamedTuple):
    """How the text of a hand-made statement is spelled for a driver. For hot paths; all others use expressions."""

    mark: str
    """Stands for a bound value."""
    as_id: Callable[[UUID], Any]
    """What the driver takes as an id."""
    in_process: bool
    """Whether the engine runs inside this process: a statement for each row costs less there than a long one."""
    keeps_versions: bool
    """Whether what a row was stays in its table, and in every index, while any transaction may look back at it."""


@lru_cache(maxsize=8)
def spelling(dialect: Dialect) -> Spelling:
    """How the driver of `dialect` wants it."""
    return Spelling(
        mark="?" if dialect.paramstyle == "qmark" else "%s",
        as_id=_as_it_is if dialect.name == "postgresql" else _id_bytes,
        in_process=dialect.name == "sqlite",
        keeps_versions=dialect.name == "postgresql",
    )


def append_only_ddl(dialect: str, table: str, *, once: str | None = None) -> list[str]:
    """What makes `table` refuse UPDATE and DELETE, `once` this flag of a row is set. Dropped with the table."""
    which, kind = f"OLD.{once}" if once else "1 = 1", "mysql" if dialect == "mariadb" else dialect
    return [statement.format(table=table, which=which) for statement in _APPEND_ONLY[kind]]


def retrying(database: Database, work: Callable[[Tx], T], *, tries: int = 3, patient: bool = False) -> T:
    """Run `work(tx)` in a `tx`, again on a deadlock or serialization failure, at most `tries` times."""
    for left in range(tries - 1, -1, -1):
        try:
            with database.tx(patient=patient) as tx:
                return work(tx)
        except DBAPIError as error:
            if left == 0 or not is_retryable(error):
                raise
            time.sleep(0.01 * (tries - left))
    raise AssertionError("unreachable")
