"""Bill files as streams of lines: plain, gzip or zip, whatever their size, with the hash of what was unpacked.

Memory stays small whatever a file unpacks to; what never ends, or ends too early, is refused (CutOffBill).
"""

from __future__ import annotations

import codecs
import hashlib
import io
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import BinaryIO

from server.gateways.bill_files import MOST_PARTS
from server.gateways.bill_rows import CutOffBill
from server.gateways.port import BillPart

MOST_UNPACKED = 2 * 1024**3
"""No day of a merchant has more: five million rows."""

_CHUNK = 1 << 16  # what the rows of one chunk become stays in the processor's cache: a third faster than a megabyte
_MOST_LINE = 1 << 16
_ENCODINGS = ("utf-8-sig", "gb18030")
_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError, ValueError)


@dataclass(frozen=True, slots=True)
class Member:
    """One file of a bill: `chunks` begins to read it anew. Two of one plain or gzip file do not take turns."""

    name: str
    chunks: Callable[[], Iterator[bytes]]


def members_of(file: BinaryIO, name: str) -> Sequence[Member]:
    """The files in a file that can be searched, which stays open while they are read. Raises CutOffBill."""
    file.seek(0)
    magic = file.read(2)
    if magic == b"\x1f\x8b":
        return [Member(name, partial(_gunzipped, file))]
    if magic == b"PK":
        return _zipped(file)
    return [Member(name, partial(_plain, file))]


def members_of_parts(parts: Sequence[BillPart]) -> Sequence[Member]:
    """The files of a bill that is in memory."""
    return [Member(part.name, partial(_plain, io.BytesIO(part.content))) for part in parts]


def _plain(file: BinaryIO) -> Iterator[bytes]:
    file.seek(0)
    while chunk := file.read(_CHUNK):
        yield chunk


def _gunzipped(file: BinaryIO) -> Iterator[bytes]:
    unpacker = zlib.decompressobj(wbits=31)
    for packed in _plain(file):
        while packed and not unpacker.eof:
            yield unpacker.decompress(packed, _CHUNK)
            packed = unpacker.unconsumed_tail
    if not unpacker.eof or unpacker.unused_data:
        raise EOFError


def _zipped(file: BinaryIO) -> list[Member]:
    """Names without a flag are GBK. Nothing is written anywhere, but a name with a path is of no channel."""
    try:
        archive = zipfile.ZipFile(file, metadata_encoding="gb18030")
    except _DAMAGE as error:
        raise CutOffBill(f"zip, {type(error).__name__}") from None
    inside = archive.infolist()
    if not 0 < len(inside) <= MOST_PARTS or any(one.is_dir() or set("/\\") & set(one.filename) for one in inside):
        raise CutOffBill("zip, contents")
    return [Member(one.filename, partial(_unzipped, archive, one)) for one in inside]


def _unzipped(archive: zipfile.ZipFile, inside: zipfile.ZipInfo) -> Iterator[bytes]:
    with archive.open(inside) as file:
        while chunk := file.read(_CHUNK):
            yield chunk


class Lines:
    """The lines of one file, once, in blocks. `sha1`, `sha256` and `size` are of what was unpacked, after the last."""

    def __init__(self, member: Member) -> None:
        """Raises CutOffBill."""
        self._member = member
        self._sha1, self._sha256 = hashlib.sha1(usedforsecurity=False), hashlib.sha256()
        self.size = 0
        self._chunks = self._read()
        self._first = next(self._chunks, b"")
        self._encoding = _encoding_of(self._first)

    @property
    def sha1(self) -> str:
        """As WeChat Pay states it."""
        return self._sha1.hexdigest()

    @property
    def sha256(self) -> str:
        """As we sign it."""
        return self._sha256.hexdigest()

    @property
    def begins(self) -> str:
        """The first line."""
        return self._first.partition(b"\n")[0].decode(self._encoding).strip()

    def blocks(self) -> Iterator[list[str]]:
        """Lines without their ends; none is left out. Raises CutOffBill.

        Split where the channel ends a line: a product's name may hold other characters that pass for an end.
        """
        decode = codecs.getincrementaldecoder(self._encoding)().decode
        end, rest = "\r\n" if b"\r\n" in self._first else "\n", ""
        try:
            for chunk in self._all():
                lines = (rest + decode(chunk)).split(end)
                rest = lines.pop()
                if len(rest) > _MOST_LINE:
                    raise CutOffBill("a line without end")
                yield lines
            yield [rest + decode(b"", final=True)]
        except UnicodeDecodeError:
            raise CutOffBill(f"not {self._encoding.removesuffix('-sig')}") from None

    def _all(self) -> Iterator[bytes]:
        yield self._first
        yield from self._chunks

    def _read(self) -> Iterator[bytes]:
        try:
            for chunk in self._member.chunks():
                self.size += len(chunk)
                if self.size > MOST_UNPACKED:
                    raise CutOffBill("too large")
                self._sha1.update(chunk)
                self._sha256.update(chunk)
                yield chunk
        except _DAMAGE as error:
            raise CutOffBill(f"unpacking, {type(error).__name__}") from None


def _encoding_of(first: bytes) -> str:
    """By the first line: UTF-8 with or without a mark, else GB18030, which has GBK in it."""
    line = first.partition(b"\n")[0]
    for encoding in _ENCODINGS:
        try:
            line.decode(encoding)
        except UnicodeDecodeError:
            continue
        return encoding
    raise CutOffBill("text of no known kind")
