"""Where a workbook is written: what can be refused before any work is done, and the sentences when the disk refuses.

Used by everything that writes a workbook for a person, so that none of them replaces what it must not.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from desktop.locks import FileLock, lock
from shared.errors import BadInput, Conflict, KamengError


class TargetBusy(KamengError):
    """Another program holds the file."""

    code = "export.target_busy"
    status = 409
    zh = "“{file}”正被 Excel 或 WPS 打开，无法覆盖。请先关闭它，或换一个文件名。"
    en = "“{file}” is open in Excel or WPS and cannot be replaced. Close it first, or choose another name."


class TargetIsSource(Conflict):
    """The workbook would replace the file it is made from."""

    code = "export.target_is_source"
    zh = "“{file}”就是要导入的卡密文件，不能覆盖。请换一个文件名。"
    en = "“{file}” is the file of keys itself and is not replaced. Choose another name."


class TargetNotWorkbook(BadInput):
    """The name is not one of a workbook."""

    code = "export.not_a_workbook"
    zh = "{field}：“{file}”应以 .xlsx 结尾。"
    en = "{field}: “{file}” has to end in .xlsx."


class TargetIsFolder(Conflict):
    """There is a folder of this name."""

    code = "export.target_is_folder"
    zh = "“{file}”是文件夹，请换一个文件名。"
    en = "“{file}” is a folder; choose another name."


class TargetProtected(Conflict):
    """Somebody marked the file as not to be written: Windows refuses to replace it when all is done."""

    code = "export.target_protected"
    zh = "“{file}”是只读文件，没有覆盖。请换一个文件名。"
    en = "“{file}” is read-only and was not replaced. Choose another name."


class TargetExists(Conflict):
    """There is a file of this name, and nobody said that it may go."""

    code = "export.target_exists"
    zh = "“{file}”已经存在，没有覆盖。请换一个文件名，或先移走它。"
    en = "“{file}” exists and was not replaced. Choose another name, or move it away first."


class FolderMissing(KamengError):
    """The folder of the file does not exist."""

    code = "export.folder_missing"
    zh = "文件夹“{folder}”不存在，请先创建，或换一个位置。"
    en = "The folder “{folder}” does not exist. Create it first, or choose another place."


class TargetUnwritable(KamengError):
    """The operating system refuses to write there."""

    code = "export.target_unwritable"
    zh = "无法写入“{file}”：{reason}。没有留下任何文件。"
    en = "“{file}” cannot be written: {reason}. No file was left behind."


class DiskFull(KamengError):
    """There is no room for the file."""

    code = "export.disk_full"
    zh = "磁盘已满，“{file}”没有写成，也没有留下任何文件。请释放空间后重试，或换一个位置。"
    en = "The disk is full: “{file}” was not written and nothing was left behind. Free some space or go elsewhere."


def check_target(target: Path, *, field: str = "out", sources: Iterable[Path] = ()) -> Path:
    """The absolute path to write, after everything that can be refused beforehand. Raises KamengErrors.

    `field` is what the person called it; it may be none of the `sources`, by whatever path they are named.
    """
    target = target.expanduser().absolute()
    if target.suffix.lower() != ".xlsx":
        raise TargetNotWorkbook(field=field, file=target.name)
    if any(_is_same(target, source) for source in sources):
        raise TargetIsSource(file=target.name)
    check_place(target)
    return target


def check_place(target: Path) -> None:
    """Raise FolderMissing, TargetIsFolder, TargetProtected, TargetBusy, or what the disk says of such a name."""
    with errors_in_words(target):
        if not target.parent.is_dir():
            raise FolderMissing(folder=target.parent)
        if target.is_dir():
            raise TargetIsFolder(file=target.name)
        if target.exists() and not target.stat().st_mode & stat.S_IWRITE:
            raise TargetProtected(file=target.name)
        # Excel and WPS leave an owner file beside an open workbook, LibreOffice a lock file.
        for beside in (f"~${target.name}", f".~lock.{target.name}#"):
            if (target.parent / beside).exists():
                raise TargetBusy(file=target.name)


@contextmanager
def errors_in_words(target: Path) -> Iterator[None]:
    """Turn errors of the disk about `target` into KamengErrors."""
    try:
        yield
    except PermissionError as error:
        # On Windows the replaced file is locked by the program that shows it.
        raise TargetBusy(file=target.name) from error
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise DiskFull(file=target.name) from error
        raise TargetUnwritable(file=target.name, reason=error.strerror or str(error)) from error


class Replacement:
    """A new file beside `target`, which takes its place at `put`; leaving the block without leaves all as it was.

    So does a program that ends in the block, however it ends: what it wrote is gone when the target is written again.
    Errors of the disk in the block become KamengErrors.
    """

    def __init__(self, target: Path) -> None:
        self._target = target
        self._part = target.with_name(f".{target.name}.{os.getpid()}.part")
        with errors_in_words(target):
            _remove_left(target)
            # Readable by this person alone: it is about money or keys.
            descriptor = os.open(self._part, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
        self.file: IO[bytes] = os.fdopen(descriptor, "wb")
        with suppress(OSError):  # not every disk has locks
            lock(self.file, wait=False)

    def begin_again(self) -> None:
        """Write it anew from its beginning."""
        self.file.seek(0)
        self.file.truncate()

    def make_sure(self) -> None:
        """Make durable what was written. Raises TargetBusy while another program holds what is in its place."""
        with errors_in_words(self._target):
            self.file.flush()
            os.fsync(self.file.fileno())
            with suppress(FileNotFoundError):
                # Changes nothing, and Windows refuses it where it would refuse to replace the file.
                self._target.rename(self._target)

    def put(self) -> None:
        """Make it durable and put it in the place of the target: nobody opens half a workbook."""
        with errors_in_words(self._target):
            self.file.flush()
            os.fsync(self.file.fileno())
            self.file.close()
            self._part.replace(self._target)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        try:
            with suppress(OSError):  # what is still buffered may not fit on the disk, and is not wanted
                self.file.close()
        finally:
            self._part.unlink(missing_ok=True)
        if isinstance(error, OSError):
            with errors_in_words(self._target):
                raise error


def _remove_left(target: Path) -> None:
    """Remove what programs left beside `target` that ended while they wrote it; those that run have theirs locked."""
    name = re.compile(rf"\.{re.escape(target.name)}\.\d+\.part")
    with suppress(OSError):  # who may not look there, or remove it, may still write
        for left in [file for file in target.parent.iterdir() if name.fullmatch(file.name) and file.is_file()]:
            held = FileLock(left)
            if held.try_acquire():
                held.release()
                left.unlink()


def _is_same(target: Path, source: Path) -> bool:
    try:
        return target.samefile(source)
    except OSError:  # one of them is not there
        return False
