"""The files of merchants: one a merchant in a folder a channel, read for each request, cached by what they are.

Adding, replacing or removing a file takes effect at once.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

MERCHANT_ID = re.compile(r"[0-9A-Za-z_-]{1,64}")
_LARGEST_FILE_BYTES = 16_384

M = TypeVar("M")


class Register(Generic[M]):
    """The merchants of one channel."""

    def __init__(self, folder: Path, *, suffix: str, read: Callable[[str, bytes], M | None]) -> None:
        """Watch `folder`, made when missing. `read(merchant_id, content)` answers None for what cannot be used."""
        self.folder = folder
        self._suffix = suffix
        self._read = read
        self._cached: dict[str, tuple[tuple[int, int, int], M]] = {}
        folder.mkdir(parents=True, exist_ok=True)

    def find(self, merchant_id: str) -> M | None:
        """Return the merchant, or None when it is not registered or its file cannot be used."""
        if not MERCHANT_ID.fullmatch(merchant_id):
            return None  # also keeps "../" and the like away from the file system
        path = self.folder / f"{merchant_id}{self._suffix}"
        try:
            stat = path.stat()
            version = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
            cached = self._cached.get(merchant_id)
            if cached is not None and cached[0] == version:
                return cached[1]
            self._cached.pop(merchant_id, None)
            content = path.read_bytes() if stat.st_size <= _LARGEST_FILE_BYTES else b""
            # Nobody's private key belongs here: it is looked for at the start, and may come later.
            merchant = None if b"PRIVATE KEY-----" in content else self._read(merchant_id, content)
        except OSError:
            self._cached.pop(merchant_id, None)
            return None
        if merchant is not None:
            self._cached[merchant_id] = (version, merchant)
        return merchant

    def all(self) -> list[M]:
        """Return every merchant whose file can be used."""
        found = (self.find(path.stem) for path in sorted(self.folder.glob(f"*{self._suffix}")))
        return [merchant for merchant in found if merchant is not None]
