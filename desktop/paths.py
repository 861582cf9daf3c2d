"""Where the console keeps its data on this machine. Everything in it is readable by this user alone.

`KAMENG_HOME` overrides the place. Anyone in `desktop` may ask; only this file decides.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

HOME_VARIABLE = "KAMENG_HOME"
_FOLDER_MODE = 0o700
_FILE_MODE = 0o600


@dataclass(frozen=True, slots=True)
class Folders:
    """The files of one installation, all below `home`."""

    home: Path

    @property
    def outbox_file(self) -> Path:
        """What must not be lost: sealed chunks that were not confirmed yet, the device, the settings."""
        return self.home / "outbox.db"

    @property
    def replica_file(self) -> Path:
        """Yesterday's lists; may be deleted at any time."""
        return self.home / "replica.db"

    @property
    def credentials_file(self) -> Path:
        """The sign-in token, sealed by the user's passphrase, where there is no keyring."""
        return self.home / "credentials.json"

    @property
    def locks(self) -> Path:
        """Lock files of running programs."""
        return self.home / "locks"

    @property
    def logs(self) -> Path:
        """Logs and crash files; no key and no token is ever in them."""
        return self.home / "logs"


def narrow_umask() -> None:
    """First thing a program of the console does: what it creates is for this user only."""
    os.umask(0o077)


def environment() -> Mapping[str, str]:
    """The environment of this process, for what takes one as an argument; nobody else of the console reads it."""
    return os.environ


def locate(environment: Mapping[str, str] | None = None, platform: str = sys.platform) -> Folders:
    """The folders of this user, not yet created. Pure: reads the given environment, touches no disk."""
    env = os.environ if environment is None else environment
    if given := env.get(HOME_VARIABLE):
        return Folders(Path(given).expanduser())
    user_home = Path(env.get("HOME") or env.get("USERPROFILE") or Path.home())
    if platform == "win32":
        return Folders(Path(env.get("LOCALAPPDATA") or user_home / "AppData" / "Local") / "Kameng")
    if platform == "darwin":
        return Folders(user_home / "Library" / "Application Support" / "Kameng")
    return Folders(Path(env.get("XDG_DATA_HOME") or user_home / ".local" / "share") / "kameng")


def prepare(folders: Folders) -> None:
    """Create the folders, or narrow the rights of existing ones. Raises OSError when the disk refuses."""
    for folder in (folders.home, folders.locks, folders.logs):
        folder.mkdir(parents=True, exist_ok=True, mode=_FOLDER_MODE)
        narrow(folder)


def narrow(path: Path) -> None:
    """Give a file or folder of the console to its owner alone. On Windows the profile's own rights do that."""
    if os.name == "nt":
        return
    wanted = _FOLDER_MODE if path.is_dir() else _FILE_MODE
    if path.stat().st_mode & 0o777 != wanted:
        path.chmod(wanted)
