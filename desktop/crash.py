"""What is written down when the program fails: a log without keys, and a crash file that tells the next start.

`faulthandler` writes the stacks of a hard crash into `logs/crash.txt`; a clean exit removes the file, so one that is
there at the start is the trace of a crash. It is kept beside the log for whoever is asked to look. Exceptions are
logged with their traceback; texts that look like keys are covered first. No Qt.
"""

from __future__ import annotations

import faulthandler
import logging
import re
import sys
import threading
from collections.abc import Callable
from logging.handlers import RotatingFileHandler
from pathlib import Path
from types import TracebackType
from typing import IO

from desktop.paths import Folders, narrow
from shared import clock

LOG_BYTES = 2_000_000
LOG_FILES = 3
_CRASH = "crash.txt"
# Eight and more capitals and digits in a row, perhaps in groups: what a card key looks like.
_KEYLIKE = re.compile(r"\b(?=[A-Z0-9-]*\d)[A-Z0-9]{3,}(?:-?[A-Z0-9]{2,}){1,}\b")

log = logging.getLogger("kameng.window")


def cover(text: str) -> str:
    """`text` with everything that looks like a card key covered."""
    return _KEYLIKE.sub(lambda found: "•" * 4 if len(found[0]) >= 8 else found[0], text)


class _Covering(logging.Formatter):
    """A formatter whose lines hold nothing that looks like a key, in messages and tracebacks."""

    def format(self, record: logging.LogRecord) -> str:
        """The covered line."""
        return cover(super().format(record))


class CrashFile:
    """The crash file of this run. `left_behind` is where the trace of a crashed run was moved to, or None."""

    def __init__(self, folders: Folders) -> None:
        self._path = folders.logs / _CRASH
        self.left_behind = self._keep_old()
        self._file: IO[str] | None = self._path.open("w", encoding="utf-8")
        narrow(self._path)
        faulthandler.enable(self._file)

    def _keep_old(self) -> Path | None:
        if not self._path.exists() or not self._path.stat().st_size:
            return None
        kept = self._path.with_name(f"crash-{clock.now():%Y%m%dT%H%M%S}.txt")
        self._path.replace(kept)
        return kept

    def clean_exit(self) -> None:
        """The program ends as it should."""
        if self._file is not None:
            faulthandler.disable()
            self._file.close()
            self._file = None
            self._path.unlink(missing_ok=True)


def start_log(folders: Folders) -> logging.Handler:
    """Write the log into the data folder; returns the handler so that tests can take it away."""
    handler = RotatingFileHandler(
        folders.logs / "kameng.log", maxBytes=LOG_BYTES, backupCount=LOG_FILES, encoding="utf-8"
    )
    handler.setFormatter(_Covering("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    root = logging.getLogger("kameng")
    root.setLevel(logging.INFO)
    root.addHandler(handler)
    return handler


def catch_everything(tell: Callable[[BaseException], None]) -> None:
    """Log every exception that nobody handled, in any thread, and `tell` about it; the program goes on.

    `tell` is called in the thread of the fault and must not raise.
    """

    def note(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> None:
        if issubclass(kind, KeyboardInterrupt | SystemExit):
            sys.__excepthook__(kind, error or kind(), trace)
            return
        log.error("unhandled", exc_info=(kind, error or kind(), trace))
        tell(error or kind())

    sys.excepthook = note
    threading.excepthook = lambda args: note(args.exc_type, args.exc_value, args.exc_traceback)
    sys.unraisablehook = lambda args: note(args.exc_type, args.exc_value, args.exc_traceback)
