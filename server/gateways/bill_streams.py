"""Bill files as streams of lines: plain, gzip or zip, whatever their size, with the hash of what was unpacked.

A bill comes from a party we trust over a line we do not, or from anybody who may drop one. Memory stays small whatever
a file unpacks to; what never ends, ends too early, or names a path is refused as a whole (CutOffBill).
"""

from __future__ import annotations

import codecs
import hashlib
import io
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import BinaryIO

from server.gateways.bill_rows import CutOffBill

MOST_UNPACKED = 2 * 1024**3
"""No day of a merchant has more: five million rows."""

MOST_FILES = 16
MOST_TIMES = 100
"""How many times its size a packed bill unpacks to at most: true ones do ten or twenty times."""

ZIP_BEGINS, _GZIP_BEGINS = b"PK", b"\x1f\x8b"
_ANY_TIMES = 1 << 20  # so little may be anything
_MOST_DIRECTORY = 1 << 16
_ZIP_END = struct.Struct("<4s8xL6x")  # what ends a zip: its mark, and the size of its directory (APPNOTE 4.3.16)
_ZIP_MARK, _ZIP64_MARK, _ZIP64_SIZE = b"PK\x05\x06", b"PK\x06\x07", 20
_MOST_COMMENT = (1 << 16) - 1
_CHUNK = 1 << 16  # what the rows of one chunk become stays in the processor's cache: a third faster than a megabyte
_MOST_LINE = 1 << 16
_ENCODINGS = ("utf-8-sig", "gb18030")
_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError, ValueError)


@dataclass(frozen=True, slots=True)
class Member:
    """One file of a bill: `chunks` begins to read it anew. Two of one plain or gzip file do not take turns.

    `size` is what it takes as it is packed.
    """

    name: str
    size: int
    chunks: Callable[[], Iterator[bytes]]


def members_of(file: BinaryIO, name: str) -> Sequence[Member]:
    """The files in a file that can be searched, which stays open while they are read. Raises CutOffBill."""
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    magic = file.read(2)
    if magic == _GZIP_BEGINS:
        return [Member(name, size, partial(_gunzipped, file))]
    if magic == ZIP_BEGINS:
        return _zipped(file, size)
    return [Member(name, size, partial(_plain, file))]


def sha1s(content: bytes) -> list[str]:
    """The hash of each file in it as it is unpacked, which all of them can be. Raises CutOffBill."""
    found = []
    for member in members_of(io.BytesIO(content), ""):
        lines = Lines(member)
        for _ in lines.chunks():
            pass
        found.append(lines.sha1)
    return found


def _plain(file: BinaryIO) -> Iterator[bytes]:
    file.seek(0)
    while chunk := file.read(_CHUNK):
        yield chunk


def _gunzipped(file: BinaryIO) -> Iterator[bytes]:
    unpacker = zlib.decompressobj(wbits=31)
    for packed in _plain(file):
        if unpacker.eof:
            raise EOFError
        while packed and not unpacker.eof:
            yield unpacker.decompress(packed, _CHUNK)
            packed = unpacker.unconsumed_tail
    if not unpacker.eof or unpacker.unused_data:
        raise EOFError


def _zipped(file: BinaryIO, size: int) -> list[Member]:
    """Names without a flag are GBK. Nothing is written anywhere, but a name with a path is of no channel."""
    if _directory_size(file, size) > _MOST_DIRECTORY:
        raise CutOffBill("zip, contents")
    try:
        archive = zipfile.ZipFile(file, metadata_encoding="gb18030")
    except _DAMAGE as error:
        raise CutOffBill(f"zip, {type(error).__name__}") from None
    inside = archive.infolist()
    if not 0 < len(inside) <= MOST_FILES or any(one.is_dir() or set("/\\") & set(one.filename) for one in inside):
        raise CutOffBill("zip, contents")
    return [Member(one.filename, one.compress_size, partial(_unzipped, archive, one)) for one in inside]


def _directory_size(file: BinaryIO, size: int) -> int:
    """What an archive says that its directory takes, found as `zipfile` does, which would read all of it at once."""
    file.seek(max(0, size - _ZIP_END.size - _MOST_COMMENT))
    tail = file.read()
    at = len(tail) - _ZIP_END.size
    if not (tail[max(at, 0) :].startswith(_ZIP_MARK) and tail.endswith(b"\0\0")):
        at = tail.rfind(_ZIP_MARK)
    if at < 0 or len(tail) - at < _ZIP_END.size:
        raise CutOffBill("zip, end")
    if tail[max(at - _ZIP64_SIZE, 0) : at].startswith(_ZIP64_MARK):
        raise CutOffBill("zip, larger than any bill")
    return int(_ZIP_END.unpack_from(tail, at)[1])


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
            for chunk in self.chunks():
                lines = (rest + decode(chunk)).split(end)
                rest = lines.pop()
                if len(rest) > _MOST_LINE:
                    raise CutOffBill("a line without end")
                yield lines
            yield [rest + decode(b"", final=True)]
        except UnicodeDecodeError:
            raise CutOffBill(f"not {self._encoding.removesuffix('-sig')}") from None

    def chunks(self) -> Iterator[bytes]:
        """What was unpacked, once. Raises CutOffBill."""
        yield self._first
        yield from self._chunks

    def _read(self) -> Iterator[bytes]:
        try:
            for chunk in self._member.chunks():
                self.size += len(chunk)
                if self.size > min(MOST_UNPACKED, _ANY_TIMES + MOST_TIMES * self._member.size):
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
