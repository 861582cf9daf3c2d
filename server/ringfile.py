"""The key ring's file: who may read it, how it is replaced whole or not at all, and whether it changed since.

What is in it is `server.crypto`'s business. Only the owner may read it; a ring given in the environment has no file.
"""

from __future__ import annotations

import json
import logging
import os
import stat
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from server.exclusive import sole_holder
from shared.errors import BadInput, Conflict, KamengError

Ring = dict[str, Any]
_log = logging.getLogger("kameng.keyring")


class KeyRingMissing(KamengError):
    """There is no key ring yet."""

    code = "key_ring_missing"
    status = 500
    zh = "找不到密钥环 {path}。请先运行 kameng-server keys init。"
    en = "There is no key ring at {path}. Run `kameng-server keys init` first."


class KeyRingExposed(KamengError):
    """The file can be read by others."""

    code = "key_ring_exposed"
    status = 500
    zh = "密钥环 {path} 可被其他用户读取，已拒绝使用。请执行 chmod 600 {path}。"
    en = "The key ring {path} can be read by other users and is refused. Run `chmod 600 {path}`."


class KeyRingDamaged(KamengError):
    """The file or variable does not hold a key ring."""

    code = "key_ring_damaged"
    status = 500
    zh = "密钥环无法读取：{reason}。请从备份恢复。"
    en = "The key ring cannot be read: {reason}. Restore it from its backup."


class RingNotAFile(BadInput):
    """The ring is given in the environment, which a command cannot change."""

    code = "ring_not_a_file"
    zh = "密钥环来自环境变量 KAMENG_KEY_RING，命令无法修改。请在保存它的地方修改，再重启服务器。"
    en = "The key ring comes from the environment (KAMENG_KEY_RING); change it where it is kept, then restart."


class RingInUse(Conflict):
    """Another command is changing the ring."""

    code = "ring_in_use"
    zh = "另一个命令正在修改密钥环 {path}，请稍后再试。"
    en = "Another command is changing the key ring {path}; try again in a moment."


def parse(text: str | bytes) -> Ring:
    """The ring of a JSON text. Raises KeyRingDamaged."""
    try:
        ring = json.loads(text)
    except ValueError:
        raise KeyRingDamaged(reason="not JSON") from None
    if not isinstance(ring, dict) or ring.get("format") != 1:
        raise KeyRingDamaged(reason="unknown format")
    return ring


class RingFile:
    """One ring on the disk. Safe to use from any thread, and beside other processes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._mark: tuple[int, int, int] | None = None

    def create(self, ring: Ring) -> None:
        """Write the first one with mode 0600. Raises FileExistsError rather than replace one."""
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        _write(self.path, ring)
        _sync_folder(self.path.parent)

    def read(self) -> Ring:
        """What it holds now. Raises KeyRingMissing, KeyRingExposed or KeyRingDamaged."""
        self._mark = self._look()
        try:
            mode = self.path.stat().st_mode
        except FileNotFoundError:
            raise KeyRingMissing(path=str(self.path)) from None
        if os.name == "posix" and mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise KeyRingExposed(path=str(self.path))
        return parse(self.path.read_bytes())

    def newer(self) -> Ring | None:
        """What it holds, if it was replaced since it was read last; else None, for the price of one look.

        One that cannot be read is logged once and left alone: what this process has is still good.
        """
        with self._lock:
            mark = self._look()
            if mark is None or mark == self._mark:
                return None
            try:
                return self.read()
            except (KamengError, OSError) as error:
                _log.warning("the key ring was not read again", extra={"why": type(error).__name__})
                return None

    def change(self, change: Callable[[Ring], Ring]) -> Ring:
        """Put in place what `change` makes of what it holds now; two commands at once lose nothing.

        Its owner stays, so that a command of root does not take it from the server. Raises RingInUse, what `read`
        raises, and what `change` raises; then nothing is written.
        """
        with sole_holder(self.path, RingInUse(path=str(self.path))), self._lock:
            ring = change(self.read())
            place = self.path.resolve()  # a link to it stays a link
            fresh = place.with_suffix(".new")
            fresh.unlink(missing_ok=True)
            _write(fresh, ring, owner=place.stat())
            fresh.replace(place)
            _sync_folder(place.parent)
            self._mark = self._look()
        return ring

    def _look(self) -> tuple[int, int, int] | None:
        """What is another when the file is replaced."""
        try:
            found = self.path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_ino, found.st_size


def _write(path: Path, ring: Ring, *, owner: os.stat_result | None = None) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        if sys.platform != "win32" and owner is not None and owner.st_uid != os.geteuid():
            os.fchown(descriptor, owner.st_uid, owner.st_gid)
        json.dump(ring, file, indent=1)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    """Make a new name in a folder last. Windows has no way to."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
