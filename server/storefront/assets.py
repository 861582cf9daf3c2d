"""The shop's static files, held in memory under names that carry their hash, so that browsers keep them for ever.

`Assets.url("shop.css")` is `/static/shop.<hash>.css`; pictures are `pictures/<name>.svg`. Read once per process.
"""

from __future__ import annotations

import gzip
import hashlib
import re
from dataclasses import dataclass

import resources

MEDIA_TYPES = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}
FOREVER = "public, max-age=31536000, immutable"

_HASHED = re.compile(r"(?P<name>(?:pictures/)?[a-z0-9-]+)\.(?P<hash>[0-9a-f]{12})(?P<suffix>\.[a-z]+)")


@dataclass(frozen=True, slots=True)
class Asset:
    """One file: its bytes, plain and compressed, and the first 48 bits of its SHA-256 in hex."""

    media_type: str
    digest: str
    plain: bytes
    squeezed: bytes


class Assets:
    """All static files of the shop."""

    def __init__(self) -> None:
        found = {path.name: path for path in resources.path("storefront").iterdir()}
        found |= {f"pictures/{path.name}": path for path in resources.path("demo", "pictures").iterdir()}
        self._files = {
            name: _read(path.read_bytes(), MEDIA_TYPES[path.suffix])
            for name, path in found.items()
            if path.suffix in MEDIA_TYPES
        }

    def url(self, name: str) -> str:
        """The address of a file that exists. Raises KeyError when the program names one that does not."""
        stem, _, suffix = name.rpartition(".")
        return f"/static/{stem}.{self._files[name].digest}.{suffix}"

    def picture_url(self, picture: str | None) -> str | None:
        """The address of a product's picture, or None when it has none that we know."""
        name = f"pictures/{picture}.svg"
        return self.url(name) if name in self._files else None

    def find(self, hashed: str) -> tuple[Asset, bool] | None:
        """The file of a hashed name, and whether the hash is today's; None when there is no such file.

        While a new version is rolled out, a page of the new process may ask the old one: any hash gets what there is.
        """
        match = _HASHED.fullmatch(hashed)
        asset = self._files.get(match["name"] + match["suffix"]) if match else None
        return (asset, asset.digest == match["hash"]) if asset and match else None


def _read(plain: bytes, media_type: str) -> Asset:
    squeezed = gzip.compress(plain, compresslevel=9, mtime=0)
    return Asset(media_type, hashlib.sha256(plain).hexdigest()[:12], plain, squeezed)
