"""The hidden sheet that proves a workbook, as it is written and as `verify` reads it.

It has the day that the workbook is of, and the one on which it was made; for every detail sheet the kinds of its
columns, its rows, its hash, its headings and the checks of its rows; for the cover its own hash and where its formulas
are; for every total what it came to; and a seal over all of that.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from desktop.exporting import cells
from desktop.exporting.cells import Kind
from desktop.exporting.grid import BLOCK_ROWS, Details, Part, Total, row_of, style_of
from desktop.exporting.sheet_writer import Book, Look, letters
from shared.clock import shop_day

PROOF = ("校验", "Verification")
"""The hidden sheet's name, which is how a workbook of ours is known."""
PROOF_VERSION = "kameng.workbook/1"
TEXT, NUMBER, MOMENT = "t:", "n:", "d:"
"""What a cell of the cover is, in its hash: a text that looks like a number is another cell."""


@dataclass(frozen=True, slots=True)
class CoverProof:
    """The cover as it was written: the hash of what is printed on it, where its formulas are, and its totals."""

    name: str
    sha256: str
    formulas: tuple[str, ...]
    totals: tuple[Total, ...]


def digest_of(parts: Sequence[Part]) -> str:
    """The hash of all data rows: over the name and the hash of every detail sheet, in order."""
    return hashlib.sha256("".join(f"{part.sheet}\t{part.sha256}\n" for part in parts).encode()).hexdigest()


def prove(book: Book, details: Details, cover: CoverProof) -> None:
    """Write the proof: the last sheet, hidden."""
    rows: list[tuple[str, ...]] = [
        (PROOF_VERSION, details.language, details.day.isoformat(), shop_day(book.made_at).isoformat())
    ]
    rows.append(("cover", cover.name, cover.sha256, " ".join(cover.formulas)))
    for part in details.parts:
        kinds = " ".join(column.kind for column in part.page.columns)
        headings = [column.title(details.language) for column in part.page.columns]
        rows.append(("sheet", part.sheet, part.page.key, kinds, str(part.rows), part.sha256, *headings))
        rows += [("rows", part.sheet, str(n * BLOCK_ROWS), text) for n, text in enumerate(part.checks)]
    for total in cover.totals:
        page, title = total.page, total.title(details.language)
        when = str(page.index(total.when)) if total.when else ""
        rows.append(("total", title, page.key, str(page.index(total.column)), when, str(details.sums[total])))
    rows.append(("seal", seal_of(rows)))
    sheet = book.sheet(PROOF[details.language.startswith("en")], Look((20, 20, 40), hidden=True))
    style = book.style(style_of(Kind.TEXT))
    for number, texts in enumerate(rows, 1):
        marks = [cells.marks(Kind.TEXT, letters(n), style, [number], [text])[0] for n, text in enumerate(texts)]
        sheet.write(row_of(number, marks))
    sheet.end()


def cover_line(printed: list[str]) -> bytes:
    """A row of the cover as it goes into its hash: tagged texts, those of formulas empty, none at the end."""
    return ("\t".join(printed).rstrip("\t") + "\n").encode()


def seal_of(rows: Sequence[Sequence[str]]) -> str:
    """The hash over all other rows of the proof."""
    return hashlib.sha256("".join("\t".join(row).rstrip("\t") + "\n" for row in rows).encode()).hexdigest()
