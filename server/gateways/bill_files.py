"""Bill files as they are downloaded: unpacked in memory, never beyond a size, and damaged ones found. Used by gateways.

A bill comes from a party we trust over a line we do not: a truncated archive, one that unpacks without end, or one
that names a path is refused as a whole.
"""

from __future__ import annotations

import io
import zipfile
import zlib

from server.gateways.port import BillPart

MOST_BYTES = 512 * 1024 * 1024
MOST_PARTS = 16


class DamagedFile(Exception):
    """The file is not what the channel made; fetch it again. `reason` is fit for logs."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def gunzipped(packed: bytes, *, most_bytes: int = MOST_BYTES) -> bytes:
    """The content of one gzip file. Raises DamagedFile when it is cut off, changed, or larger than `most_bytes`."""
    unpacker = zlib.decompressobj(wbits=31)
    try:
        content = unpacker.decompress(packed, most_bytes + 1)
    except zlib.error:
        raise DamagedFile("gzip") from None
    if len(content) > most_bytes:
        raise DamagedFile("too large")
    if not unpacker.eof or unpacker.unused_data:
        raise DamagedFile("gzip length")
    return content


def unzipped(packed: bytes, *, most_bytes: int = MOST_BYTES) -> tuple[BillPart, ...]:
    """The files of a zip archive, in its order; names without a flag are GBK. Raises DamagedFile."""
    left = most_bytes
    parts: list[BillPart] = []
    try:
        with zipfile.ZipFile(io.BytesIO(packed), metadata_encoding="gb18030") as archive:
            members = archive.infolist()
            if not 0 < len(members) <= MOST_PARTS:
                raise DamagedFile("number of files")
            for member in members:
                if member.is_dir() or "/" in member.filename or "\\" in member.filename:
                    raise DamagedFile("a path")
                with archive.open(member) as file:
                    content = file.read(left + 1)  # what is declared may be a lie: what is read is counted
                left -= len(content)
                if left < 0:
                    raise DamagedFile("too large")
                parts.append(BillPart(name=member.filename, content=content))
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError, ValueError) as error:
        raise DamagedFile(f"zip ({type(error).__name__})") from None
    return tuple(parts)
