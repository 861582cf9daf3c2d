"""Opening a local SQLite file: rights, pragmas, the version rule, and errors in words.

Every file carries `user_version` = major * 1000 + minor. A newer minor is readable by this program, a newer major is
refused with a sentence. A file is used by one thread at a time: the engine gives the stores a thread of their own.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Dialect, Engine, Integer, MetaData, TypeDecorator, create_engine, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import StaticPool
from sqlalchemy.schema import CreateColumn

from desktop.paths import narrow
from shared.errors import KamengError

_BUSY_SECONDS = 30
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class StoreTooNew(KamengError):
    """A newer program wrote the file in a way this one cannot read."""

    code = "store_too_new"
    status = 409
    zh = "本机数据“{path}”由更新版本的 Kameng 写入（数据版本 {found}，本程序支持到 {known}）。请安装新版本后再打开。"
    en = "“{path}” was written by a newer Kameng (data {found}; this one reads {known}). Install the new version."


class StoreDamaged(KamengError):
    """SQLite says that the file is corrupt or not a database."""

    code = "store_damaged"
    status = 500
    zh = "本机数据“{path}”已损坏。请将它改名后重新打开；未传完的导入需要重新选择文件，已入库的卡密不受影响。"
    en = "“{path}” is damaged. Rename it and start again: unfinished imports need their files again, stock is safe."


class DiskFull(KamengError):
    """There is no room to write."""

    code = "disk_full"
    status = 507
    zh = "磁盘已满，无法写入“{path}”。请释放空间后重试；已上传的部分不会丢失。"
    en = "The disk is full; “{path}” cannot be written. Free some space and try again; nothing sent is lost."


class StoreUnusable(KamengError):
    """The file cannot be opened or written: rights, a read-only disk, another program."""

    code = "store_unusable"
    status = 500
    zh = "无法读写本机数据“{path}”：{reason}。请检查文件夹权限。"
    en = "The local data “{path}” cannot be read or written: {reason}. Check the rights of the folder."


class Instant(TypeDecorator[datetime]):
    """An aware UTC datetime, stored as microseconds since 1970."""

    impl = Integer
    cache_ok = True

    def process_bind_param(self, value: datetime | None, _dialect: Dialect) -> int | None:
        return None if value is None else (value - _EPOCH) // timedelta(microseconds=1)

    def process_result_value(self, value: Any, _dialect: Dialect) -> datetime | None:
        return None if value is None else _EPOCH + timedelta(microseconds=value)


def open_file(path: Path, metadata: MetaData, *, version: int, precious: bool) -> Engine:
    """Open or create the file and its tables.

    A precious file survives power loss (`synchronous=FULL`) and overwrites what is deleted (`secure_delete`).
    Raises StoreTooNew, StoreDamaged, DiskFull or StoreUnusable.
    """
    with errors_in_words(path):
        # Created by us and not by SQLite, so that the file is never readable by others, whatever the umask is.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        narrow(path)
        engine = create_engine(
            f"sqlite:///{path}",
            poolclass=StaticPool,
            connect_args={"check_same_thread": False, "timeout": _BUSY_SECONDS},
        )
        event.listen(engine, "connect", _prepare_precious if precious else _prepare_disposable)
        event.listen(engine, "begin", _begin)
        try:
            _check(engine, path, metadata, version)
        except BaseException:
            engine.dispose()
            raise
    return engine


def _check(engine: Engine, path: Path, metadata: MetaData, version: int) -> None:
    with engine.begin() as connection:
        found = connection.exec_driver_sql("PRAGMA user_version").scalar_one()
        if found // 1000 > version // 1000:
            raise StoreTooNew(path=path.name, found=_written(found), known=_written(version))
        if connection.exec_driver_sql("PRAGMA quick_check(1)").scalar_one() != "ok":
            raise StoreDamaged(path=path.name)
        metadata.create_all(connection)
        _add_columns(connection, metadata)
        if found < version:
            connection.exec_driver_sql(f"PRAGMA user_version = {version:d}")


def _add_columns(connection: Connection, metadata: MetaData) -> None:
    """A file of an earlier minor version gets the columns that are new since; each has a default or may be empty."""
    for table in metadata.sorted_tables:
        have = {row[1] for row in connection.exec_driver_sql(f"PRAGMA table_info({table.name})")}
        for column in table.columns:
            if column.name not in have:
                made = CreateColumn(column).compile(dialect=connection.dialect)
                connection.exec_driver_sql(f"ALTER TABLE {table.name} ADD COLUMN {made}")


def _written(version: int) -> str:
    return f"{version // 1000}.{version % 1000}"


def _prepare_precious(connection: Any, _record: object) -> None:
    _prepare(connection, "synchronous=FULL", "secure_delete=ON")


def _prepare_disposable(connection: Any, _record: object) -> None:
    _prepare(connection, "synchronous=NORMAL")


def _prepare(connection: Any, *pragmas: str) -> None:
    connection.isolation_level = None  # BEGIN comes from the event below, not from the driver's guesses
    for pragma in ("journal_mode=WAL", "foreign_keys=ON", *pragmas):
        connection.execute(f"PRAGMA {pragma}")


def _begin(connection: Any) -> None:
    # The window and the command line may write the same file: take the turn first, then read and decide.
    connection.exec_driver_sql("BEGIN IMMEDIATE")


@contextmanager
def errors_in_words(path: Path) -> Iterator[None]:
    """Turn errors of SQLite and of the disk into this file's KamengErrors. Programming errors pass unchanged."""
    try:
        yield
    except (DBAPIError, sqlite3.Error) as error:
        original = error.orig if isinstance(error, DBAPIError) else error
        number = getattr(original, "sqlite_errorcode", 0) & 0xFF
        if number in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}:
            raise StoreDamaged(path=path.name) from error
        if number == sqlite3.SQLITE_FULL:
            raise DiskFull(path=path.name) from error
        if number in _ENVIRONMENT:
            raise StoreUnusable(path=path, reason=str(original)) from error
        raise
    except OSError as error:
        raise StoreUnusable(path=path, reason=error.strerror or str(error)) from error


_ENVIRONMENT = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_CANTOPEN,
}


def move_aside(path: Path) -> Path:
    """Rename a damaged file and its log to `<name>.damaged`, keeping only the newest such copy."""
    aside = path.with_name(f"{path.name}.damaged")
    for suffix in ("", "-wal", "-shm"):
        piece = path.with_name(path.name + suffix)
        if suffix == "-shm":
            piece.unlink(missing_ok=True)
        elif piece.exists():
            piece.replace(aside.with_name(aside.name + suffix))
        else:
            aside.with_name(aside.name + suffix).unlink(missing_ok=True)
    return aside
