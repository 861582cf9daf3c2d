"""A channel's bill as it is sent: what is not packed yet is packed, so that a large day is no large request.

The server hashes what it unpacks: the same bill is the same, packed or not.
"""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import BinaryIO

from shared.errors import BadInput

MOST_SENT = 64 * 1024 * 1024
"""Bytes that the server takes: packed, a bill of two million rows."""
MOST_UNPACKED = 2 * 1024**3
"""Bytes that the server unpacks."""

_PACKED = (b"\x1f\x8b", b"PK")
_AS_IT_IS = 1024 * 1024
_CHUNK = 1024 * 1024
_GZIP = 16 + zlib.MAX_WBITS


class BillUnreadable(BadInput):
    """A file that was dropped cannot be opened on this machine."""

    code = "bill.unreadable"
    zh = "无法读取文件 {name}：{detail}。"
    en = "{name} cannot be read: {detail}."


class BillTooLarge(BadInput):
    """No bill is that large: it is another file."""

    code = "bill.too_large"
    zh = "{name} 太大，不像渠道账单。请直接使用渠道后台下载的文件。"
    en = "{name} is too large for a channel's bill. Drop the file as the channel's console gave it."


def packed(file: Path) -> bytes:
    """The bill as it is sent. Raises BillUnreadable and BillTooLarge."""
    try:
        with file.open("rb") as opened:
            size = file.stat().st_size
            begins = opened.read(2)
            opened.seek(0)
            if begins in _PACKED or size <= _AS_IT_IS:
                content = opened.read(MOST_SENT + 1)
            else:
                content = _gzipped(opened, file.name)
    except OSError as error:
        raise BillUnreadable(name=file.name, detail=error.strerror or type(error).__name__) from error
    if len(content) > MOST_SENT:
        raise BillTooLarge(name=file.name)
    return content


def _gzipped(file: BinaryIO, name: str) -> bytes:
    packer = zlib.compressobj(wbits=_GZIP)
    made, read = bytearray(), 0
    while chunk := file.read(_CHUNK):
        read += len(chunk)
        made += packer.compress(chunk)
        if read > MOST_UNPACKED or len(made) > MOST_SENT:
            raise BillTooLarge(name=name)
    return bytes(made + packer.flush())
