"""Locks between programs of one user, released by the operating system when a program dies, however it dies.

The window and the command line share a data folder: one rotates the token at a time, and an import whose program
is gone can be told from one that is still being read.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import TracebackType
from typing import IO

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl


class FileLock:
    """An exclusive lock on one file. Usable as a context manager, which waits for its turn."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: IO[bytes] | None = None

    def try_acquire(self) -> bool:
        """Take the lock if it is free. False when another program, or another object here, holds it."""
        return self._take(wait=False)

    def acquire(self) -> None:
        """Wait for the lock."""
        self._take(wait=True)

    def release(self) -> None:
        """Give the lock back; harmless when it is not held."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _take(self, *, wait: bool) -> bool:
        assert self._file is None, "a lock is taken once"
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        file = self._path.open("ab")
        try:
            lock(file, wait=wait)
        except OSError:
            file.close()
            return False
        self._file = file
        return True

    def __enter__(self) -> FileLock:
        self.acquire()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.release()


def lock(file: IO[bytes], *, wait: bool) -> None:
    """Take the lock on an open file until it is closed. Raises OSError when it is taken and `wait` is false."""
    if sys.platform == "win32":
        file.seek(0)
        while True:
            try:
                msvcrt.locking(file.fileno(), msvcrt.LK_LOCK if wait else msvcrt.LK_NBLCK, 1)
            except OSError:
                if not wait:
                    raise  # LK_LOCK gives up after ten tries; waiting means asking again
            else:
                return
    else:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))


class Presence:
    """Says that this program is running, under a name that other programs can check.

    The name is stored beside work in progress; `is_running(name)` turns false the moment the program is gone.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self.name = name
        self._folder = folder
        self._lock = FileLock(_presence_file(folder, name))

    def enter(self) -> None:
        """Start being present."""
        self._lock.acquire()

    def leave(self) -> None:
        """Stop being present and remove the file."""
        self._lock.release()
        _presence_file(self._folder, self.name).unlink(missing_ok=True)


def is_running(folder: Path, name: str) -> bool:
    """Whether the program that took `name` is still alive. Removes what a dead one left behind."""
    path = _presence_file(folder, name)
    if not path.exists():
        return False
    probe = FileLock(path)
    if not probe.try_acquire():
        return True
    probe.release()
    path.unlink(missing_ok=True)
    return False


def _presence_file(folder: Path, name: str) -> Path:
    assert os.sep not in name, "a name is not a path"
    return folder / f"run-{name}.lock"
