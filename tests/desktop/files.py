"""Real card files for the import tests, made by openpyxl or byte by byte."""

import io
import zipfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import openpyxl
from openpyxl.cell import WriteOnlyCell

from desktop.importing import Chunk, Ledger, Options, run

Figures = tuple[int, int, int, int, int]
"""read, valid, duplicates, refused, skipped"""


def workbook(path: Path, rows: Iterable[Sequence[Any]], change: Callable[[Any], None] | None = None) -> Path:
    """An .xlsx with one sheet `卡密`; strings are written as text, `change` may do anything to the sheet."""
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.title = "卡密"
    for row_number, row in enumerate(rows, 1):
        for column, value in enumerate(row, 1):
            if value is not None:
                sheet.cell(row=row_number, column=column, value=value)
    if change is not None:
        change(sheet)
    book.save(path)
    return path


def large_workbook(path: Path, rows: Iterable[Sequence[str]]) -> Path:
    """The same, streamed."""
    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet("卡密")
    for row in rows:
        sheet.append([WriteOnlyCell(sheet, value=text) for text in row])
    book.save(path)
    return path


def repacked(source: Path, target: Path, change: Callable[[str, bytes], bytes]) -> Path:
    """A copy of a workbook with its parts changed."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, change(name, old.read(name)))
    return target


class Imported:
    """A finished run: the ledger, its figures, and the rows as the server would open them."""

    def __init__(self, path: Path, options: Options | None = None, **more: Any) -> None:
        self.chunks: list[Chunk] = []
        self.ledger: Ledger = run(path, options, self.chunks.append, **more)

    @property
    def figures(self) -> Figures:
        ledger = self.ledger
        return ledger.read, ledger.valid, ledger.duplicates, ledger.refused, ledger.skipped

    @property
    def rows(self) -> list[tuple[int, str, str]]:
        return [tuple(row[:3]) for chunk in self.chunks for row in msgspec.msgpack.decode(chunk.body)[1]]

    @property
    def terms(self) -> list[tuple[str | None, int | None, int]]:
        """Expiry, cost and uses of each row, as the server would open them."""
        opened = [msgspec.msgpack.decode(chunk.body) for chunk in self.chunks]
        return [tuple(lots[row[3]]) for lots, rows in opened for row in rows]

    @property
    def problems(self) -> list[str]:
        return [problem.sentence("zh") for problem in self.ledger.problems]

    @property
    def notices(self) -> list[str]:
        return [notice.zh for notice in self.ledger.notices]

    @property
    def reasons(self) -> dict[str, tuple[int, tuple[str, ...]]]:
        return {code: (counted.count, counted.addresses) for code, counted in self.ledger.reasons.items()}

    @property
    def repairs(self) -> dict[str, tuple[int, tuple[str, ...]]]:
        return {code: (counted.count, counted.addresses) for code, counted in self.ledger.repairs.items()}


def ole(*streams: str) -> bytes:
    """Enough of an OLE container: its magic and the UTF-16 names of its streams."""
    directory = b"".join(name.encode("utf-16-le").ljust(128, b"\x00") for name in ("Root Entry", *streams))
    return b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(504) + directory


def zipped(**parts: bytes) -> bytes:
    """A zip file of the given parts; `__` in a name stands for `/`, `_dot_` for a dot."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name.replace("__", "/").replace("_dot_", "."), content)
    return buffer.getvalue()
