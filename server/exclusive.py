"""One process at a time for a file: a lock beside it that the operating system gives up with the process.

The server holds the lock of a SQLite database while it runs; commands that write take it for their moment or refuse.
PostgreSQL and MariaDB need none. Commands that change the key ring take the ring's.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from shared.errors import Conflict, KamengError


class DatabaseInUse(Conflict):
    """A server works on this SQLite file."""

    code = "database_in_use"
    zh = "服务器正在使用数据库 {path}，SQLite 只允许一个进程写入。请先停止服务器，再执行此命令。"
    en = "A server is using the database {path}, and SQLite takes one writing process. Stop the server first."


@contextmanager
def sole_writer(path: Path | None) -> Iterator[None]:
    """Be the only writing process of a SQLite file for the body. Raises DatabaseInUse. None: a server database."""
    if path is None:
        yield
        return
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with sole_holder(path, DatabaseInUse(path=str(path))):
        yield


@contextmanager
def sole_holder(path: Path, refusal: KamengError) -> Iterator[None]:
    """Be the only process in such a body for this file; raises `refusal` when another one is."""
    with path.with_name(path.name + ".lock").open("a+b") as file:
        try:
            _lock(file)
        except OSError:
            raise refusal from None
        yield


if sys.platform == "win32":
    import msvcrt

    def _lock(file: IO[bytes]) -> None:
        file.seek(0)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _lock(file: IO[bytes]) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
