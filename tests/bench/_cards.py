"""The card file of the benches: an .xlsx as Excel writes it, with shared strings, made once and kept.

Each row has a card number of 20 digits and a secret of 16 characters, both text, below a heading. The same `count`
gives the same cards on every machine, so a bench can tell which card was lost or doubled.
"""

import hashlib
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from tests.bench._figures import CACHE

_ALPHABET = b"ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
_TO_LETTERS = bytes(_ALPHABET[value % 32] for value in range(256))
_XML = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml"
_STEP = 5_000

_SMALL_PARTS = {
    "[Content_Types].xml": (
        f'<Types xmlns="{_PACKAGE}/content-types"><Default Extension="xml" ContentType="application/xml"/>'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        f'<Override PartName="/xl/workbook.xml" ContentType="{_TYPE}.sheet.main+xml"/>'
        f'<Override PartName="/xl/worksheets/sheet1.xml" ContentType="{_TYPE}.worksheet+xml"/>'
        f'<Override PartName="/xl/sharedStrings.xml" ContentType="{_TYPE}.sharedStrings+xml"/></Types>'
    ),
    "_rels/.rels": (
        f'<Relationships xmlns="{_PACKAGE}/relationships">'
        f'<Relationship Id="rId1" Type="{_OFFICE}/officeDocument" Target="xl/workbook.xml"/></Relationships>'
    ),
    "xl/workbook.xml": (
        f'<workbook xmlns="{_MAIN}" xmlns:r="{_OFFICE}"><sheets>'
        '<sheet name="卡密" sheetId="1" r:id="rId1"/></sheets></workbook>'
    ),
    "xl/_rels/workbook.xml.rels": (
        f'<Relationships xmlns="{_PACKAGE}/relationships">'
        f'<Relationship Id="rId1" Type="{_OFFICE}/worksheet" Target="worksheets/sheet1.xml"/>'
        f'<Relationship Id="rId2" Type="{_OFFICE}/sharedStrings" Target="sharedStrings.xml"/></Relationships>'
    ),
}


def cards(count: int) -> Iterator[tuple[str, str]]:
    """(number, secret) of each row, all different."""
    for n in range(count):
        digest = hashlib.blake2b(n.to_bytes(8, "big"), digest_size=16, person=b"bench cards").digest()
        yield f"6200{n:016d}", digest.translate(_TO_LETTERS).decode()


def workbook(count: int) -> Path:
    """The file with that many cards."""
    path = CACHE / f"cards-{count}.xlsx"
    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".new")
    with zipfile.ZipFile(fresh, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        for name, text in _SMALL_PARTS.items():
            archive.writestr(name, _XML + text)
        with archive.open("xl/sharedStrings.xml", "w") as part:
            _write_strings(part, count)
        with archive.open("xl/worksheets/sheet1.xml", "w") as part:
            _write_sheet(part, count)
    fresh.replace(path)
    return path


def _write_strings(part: IO[bytes], count: int) -> None:
    total = 2 * (count + 1)
    part.write(f'{_XML}<sst xmlns="{_MAIN}" count="{total}" uniqueCount="{total}">'.encode())
    part.write("<si><t>卡号</t></si><si><t>卡密</t></si>".encode())
    pieces: list[str] = []
    for number, secret in cards(count):
        pieces.append(f"<si><t>{number}</t></si><si><t>{secret}</t></si>")
        if len(pieces) == _STEP:
            part.write("".join(pieces).encode())
            pieces.clear()
    part.write(("".join(pieces) + "</sst>").encode())


def _write_sheet(part: IO[bytes], count: int) -> None:
    part.write(f'{_XML}<worksheet xmlns="{_MAIN}"><dimension ref="A1:B{count + 1}"/><sheetData>'.encode())
    for start in range(0, count + 1, _STEP):
        rows = (
            f'<row r="{n}"><c r="A{n}" t="s"><v>{2 * n - 2}</v></c><c r="B{n}" t="s"><v>{2 * n - 1}</v></c></row>'
            for n in range(start + 1, min(start + _STEP, count + 1) + 1)
        )
        part.write("".join(rows).encode())
    part.write(b"</sheetData></worksheet>")
