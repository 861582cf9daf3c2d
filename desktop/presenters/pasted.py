"""Pasted lines on their way to the reader, which reads files: one file each, readable by this user alone.

They are kept in memory-backed storage where the system has it for the user, else in the console's own folder, and are
overwritten and removed as soon as they were read, skipped, or the console starts or ends.
"""

from __future__ import annotations

import os
from pathlib import Path

from shared import clock, ids

_PREFIX = "kameng-pasted-"


class Pasted:
    """The pasted texts of this run."""

    def __init__(self, place: Path) -> None:
        """`place` is a folder of this user alone, best one that no disk keeps."""
        self._place = place
        self._kept: dict[Path, str] = {}

    def keep(self, text: str) -> Path:
        """Write `text` down and return where."""
        file = self._place / f"{_PREFIX}{ids.new_id().hex}.txt"
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as opened:
            opened.write(text)
        self._kept[file] = f"{clock.shop_time(clock.now()):%m-%d %H:%M:%S}"
        return file

    def title(self, file: Path) -> str | None:
        """When the lines were pasted, to call them by; None for a file that was not pasted."""
        return self._kept.get(file)

    def forget(self, file: Path) -> None:
        """Overwrite and remove a pasted file; harmless for any other file."""
        if self._kept.pop(file, None) is not None:
            _destroy(file)

    def forget_all(self) -> None:
        """Remove everything pasted, also what a run that died left behind."""
        self._kept.clear()
        for left in self._place.glob(f"{_PREFIX}*.txt"):
            _destroy(left)


def _destroy(file: Path) -> None:
    try:
        with file.open("r+b") as opened:
            opened.write(b"\0" * file.stat().st_size)
            opened.flush()
            os.fsync(opened.fileno())
        file.unlink()
    except OSError:
        return  # gone already, or the disk refuses: nothing more can be done about it
