"""Which encoding a text file is in: a ladder of strict steps over the whole file, never "replace".

1. a byte-order mark; 2. NUL bytes in every second place suggest UTF-16 without a mark: the user must say so;
3. strict UTF-8; 4. strict GB18030; 5. stop and show the bytes. UTF-8 comes before GB18030 because most Chinese
UTF-8 also decodes as GB18030, as nonsense; the other way round only very short texts do, and those are preferred
as GB18030 when UTF-8 makes Latin or Greek letters of them (`目录` in GBK reads as `Ŀ¼`).

Used by `read` and by nobody else. Reads the file once (0.05 s per 50 MB).
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass
from pathlib import Path

from desktop.importing.sniff import FileOfOtherKind
from shared.errors import BadInput

_BLOCK = 1 << 20
_SHORT_TEXT_BYTES = 64
_ASCII = bytes(range(128))
_FOREIGN_RUN = re.compile(rb"[\x80-\xff]+")

MAX_LINE_BYTES = _BLOCK
"""A text file with a longer line is not a list of keys, and would not fit into memory line by line."""

_MARKS: tuple[tuple[bytes, str], ...] = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


class EncodingUncertain(BadInput):
    """It looks like UTF-16 without a mark; a wrong guess would import nonsense, so somebody must choose."""

    code = "import.encoding_uncertain"
    zh = "“{name}”像是没有标记的 {encoding} 编码，请确认：选择编码 {encoding} 后重试。"
    en = "“{name}” looks like {encoding} without a mark; choose the encoding {encoding} to confirm."


class FileUndecodable(BadInput):
    """No rung of the ladder holds."""

    code = "import.file_undecodable"
    zh = "“{name}”第 {line} 行不是有效的 {encoding} 文字（字节 {shown}）。请选择正确的编码，或另存为 UTF-8。"
    en = "Line {line} of “{name}” is not valid {encoding} (bytes {shown}). Choose its encoding or save it as UTF-8."


class EncodingUnknown(BadInput):
    """The user named an encoding that does not exist."""

    code = "import.encoding_unknown"
    zh = "没有名为“{encoding}”的编码。常用的有 utf-8、gb18030、utf-16-le。"
    en = "There is no encoding “{encoding}”. Usual ones are utf-8, gb18030, utf-16-le."


class LineTooLong(BadInput):
    """More than a mebibyte without a line break."""

    code = "import.line_too_long"
    zh = "“{name}”超过 1 MB 没有换行，不像卡密列表。"
    en = "“{name}” has more than 1 MB without a line break; that is not a list of keys."


@dataclass(frozen=True, slots=True)
class Encoding:
    """A codec that decodes the whole file. When not `certain`, show the first lines and let the user switch."""

    name: str
    certain: bool = True


def detect(path: Path, wanted: str | None = None) -> Encoding:
    """The encoding of the file, or `wanted` after checking that all of it decodes. Raises a `BadInput`."""
    with path.open("rb") as file:
        head = file.read(4096)
    if wanted is not None:
        return _confirmed(path, wanted, head)
    for mark, name in _MARKS:
        if head.startswith(mark):
            _decode_all(path, name)
            return Encoding(name)
    suspected = _utf16_by_zeros(head)
    if suspected:
        raise EncodingUncertain(name=path.name, encoding=suspected)
    if b"\x00" in head:
        raise FileOfOtherKind(name=path.name, found="二进制数据", found_en="binary data")
    try:
        foreign_bytes = _decode_all(path, "utf-8")
    except FileUndecodable:
        _decode_all(path, "gb18030")
        return Encoding("gb18030")
    if 0 < foreign_bytes <= _SHORT_TEXT_BYTES and all(map(_more_likely_chinese, _foreign_runs(path))):
        return Encoding("gb18030", certain=False)
    return Encoding("utf-8")


def _confirmed(path: Path, wanted: str, head: bytes) -> Encoding:
    try:
        name = codecs.lookup(wanted).name
        "".encode(name)  # refuses codecs that are not about text
    except (LookupError, ValueError):
        raise EncodingUnknown(encoding=wanted) from None
    for mark, marked in _MARKS:  # the codec that also removes the mark
        if head.startswith(mark) and marked.startswith(name.removesuffix("-le").removesuffix("-be")):
            name = marked
            break
    _decode_all(path, name)
    return Encoding(name)


def _utf16_by_zeros(head: bytes) -> str | None:
    """UTF-16 of mostly ASCII has a zero in every second byte."""
    pairs = len(head) // 2
    low, high = head[0 : pairs * 2 : 2].count(0), head[1 : pairs * 2 : 2].count(0)
    if pairs and high > pairs * 0.4 and low < pairs * 0.05:
        return "utf-16-le"
    if pairs and low > pairs * 0.4 and high < pairs * 0.05:
        return "utf-16-be"
    return None


def _decode_all(path: Path, encoding: str) -> int:
    """Decode every byte strictly; returns how many bytes are not ASCII. Raises `FileUndecodable`."""
    decoder = codecs.getincrementaldecoder(encoding)("strict")
    foreign, lines = 0, 1
    with path.open("rb") as file:
        while True:
            block = file.read(_BLOCK)
            if len(block) == _BLOCK and b"\n" not in block and b"\r" not in block:
                raise LineTooLong(name=path.name)
            try:
                decoder.decode(block, final=not block)
            except UnicodeDecodeError as error:
                raise FileUndecodable(
                    name=path.name,
                    line=lines + error.object[: error.start].count(b"\n"),
                    encoding=encoding,
                    shown=error.object[error.start : error.start + 8].hex(" "),
                ) from error
            if not block:
                return foreign
            if not block.isascii():
                foreign += len(block.translate(None, delete=_ASCII))
            lines += block.count(b"\n")


def _foreign_runs(path: Path) -> list[bytes]:
    """The runs of non-ASCII bytes of a file that has very few of them."""
    with path.open("rb") as file:
        return [run for line in file if not line.isascii() for run in _FOREIGN_RUN.findall(line)]


def _more_likely_chinese(run: bytes) -> bool:
    """Whether the bytes are common Chinese in GB18030 and only Latin, Greek or Cyrillic letters in UTF-8."""
    try:
        chinese = run.decode("gb18030")
    except UnicodeDecodeError:
        return False
    latin = run.decode("utf-8")
    return all("\u4e00" <= c <= "\u9fff" for c in chinese) and all("\u0080" <= c <= "\u052f" for c in latin)
