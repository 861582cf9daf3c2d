"""Drawing on openpyxl's write-only workbook: styled cells, printable sheets, tables that go on over several sheets.

The only file of the console that writes with openpyxl besides `refused`. Text is always text; formulas come only
through `formula`, from our own code. Streams of sheets are removed whatever happens.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from typing import IO, Any

from openpyxl import Workbook
from openpyxl.cell import Cell, WriteOnlyCell
from openpyxl.styles import Alignment, Font, PatternFill

from desktop.exporting.sheets import FORMATS, Kind, Page, Value, canonical, worded

SHEET_ROWS = 1_048_576
"""Rows of a sheet, its heading included."""
_A4 = 9
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


class Grid:
    """A workbook in the making. `digest` is over the rows of its tables."""

    def __init__(self, *, header: str, language: str) -> None:
        self.language = language
        self.digest = hashlib.sha256()
        self._header = header
        self._book = Workbook(write_only=True)
        self._styles = _Styles(self._book)

    def sheet(self, name: str, *, widths: Sequence[int], pages: int = 0) -> Any:
        """A new sheet after the others: landscape on A4, one page wide, named and numbered when printed.

        At most `pages` high; 0 is as many as it needs.
        """
        sheet = self._book.create_sheet(name)
        for letter, width in zip(_LETTERS, widths, strict=False):
            sheet.column_dimensions[letter].width = width
        sheet.page_setup.orientation = "landscape"
        sheet.page_setup.paperSize = _A4
        sheet.page_setup.fitToWidth, sheet.page_setup.fitToHeight = 1, pages
        sheet.sheet_properties.pageSetUpPr.fitToPage = True
        sheet.oddHeader.center.text = f"{name} {self._header}"
        sheet.oddFooter.center.text = "&P / &N"
        return sheet

    def cell(self, sheet: Any, value: Value | date, form: str) -> Cell:
        """A value with a number format. Text stays text whatever it begins with."""
        cell = Cell(sheet, column=1, row=1, value=value, style_array=self._styles.of(form))
        if isinstance(value, str):
            cell.data_type = "s"
        return cell

    def text(self, sheet: Any, text: str, *, bold: bool = False) -> Cell:
        """Words of ours."""
        cell = Cell(sheet, column=1, row=1, value=text, style_array=self._styles.of(FORMATS[Kind.TEXT], bold=bold))
        cell.data_type = "s"
        return cell

    def heading(self, sheet: Any, text: str) -> Cell:
        """The heading of a column."""
        cell = Cell(sheet, column=1, row=1, value=text, style_array=self._styles.heading)
        cell.data_type = "s"
        return cell

    def formula(self, sheet: Any, formula: str, form: str) -> Cell:
        """A formula of ours, beginning with `=`; never made of data."""
        cell = Cell(sheet, column=1, row=1, value=formula, style_array=self._styles.of(form))
        cell.data_type = "f"
        return cell

    def save(self, file: IO[bytes]) -> None:
        """Write the workbook. Its formulas are computed by the program that opens it."""
        self._book.calculation.fullCalcOnLoad = True
        self._book.save(file)

    def discard(self) -> None:
        """Remove what was streamed to temporary files; harmless after `save`."""
        discard(self._book)


def discard(book: Any) -> None:
    """Remove what a write-only workbook streamed to temporary files; harmless after it was saved."""
    for sheet in book.worksheets:
        writer = sheet._writer  # noqa: SLF001 - openpyxl offers no way to abandon a write-only workbook
        if writer is None:
            continue
        if not sheet.closed:
            sheet.close()
        if Path(writer.out).exists():
            writer.cleanup()


class Table:
    """One kind of detail rows, over as many sheets as it needs: the next sheet begins when one is full.

    `finished(page, sheet name, last row)` is called for each sheet.
    """

    def __init__(
        self,
        grid: Grid,
        page: Page[Any],
        finished: Callable[[Page[Any], str, int], None],
        *,
        sheet_rows: int = SHEET_ROWS,
    ) -> None:
        self.page = page
        self.rows = 0
        self._grid = grid
        self._finished = finished
        self._sheet_rows = sheet_rows
        self._part = 0
        self._begin_part()

    def append(self, row: object) -> None:
        """Write one row and add it to the digest."""
        if self._rows_in_part == self._sheet_rows - 1:
            self._end_part()
            self._begin_part()
        grid = self._grid
        cells, texts = [], []
        for column in self.page.columns:
            value = worded(column.value(row), grid.language)
            texts.append(canonical(value))
            cells.append(None if value is None else grid.cell(self._sheet, value, FORMATS[column.kind]))
        self._sheet.append(cells)
        grid.digest.update(("\t".join(texts) + "\n").encode())
        self.rows += 1
        self._rows_in_part += 1

    def close(self) -> None:
        """All rows are written."""
        self._end_part()

    def _begin_part(self) -> None:
        grid, columns = self._grid, self.page.columns
        self._part += 1
        self._rows_in_part = 0
        self._sheet = grid.sheet(self.page.name(grid.language, self._part), widths=[column.width for column in columns])
        self._sheet.freeze_panes = "A2"
        self._sheet.print_title_rows = "1:1"
        self._sheet.append([grid.heading(self._sheet, column.title(grid.language)) for column in columns])

    def _end_part(self) -> None:
        last_row = self._rows_in_part + 1
        self._sheet.auto_filter.ref = f"A1:{_LETTERS[len(self.page.columns) - 1]}{last_row}"
        # An empty table still has a range for formulas: one empty row.
        self._finished(self.page, self._sheet.title, max(2, last_row))


class _Styles:
    """Style arrays made once: a style made anew for every cell would cost more than the cell."""

    def __init__(self, book: Workbook) -> None:
        self._sheet = book.create_sheet("styles")
        book.remove(self._sheet)
        self._made: dict[tuple[str, bool], Any] = {}
        heading = self._template(FORMATS[Kind.TEXT])
        heading.font = Font(bold=True)
        heading.fill = PatternFill("solid", fgColor="E8EDF3")
        heading.alignment = Alignment(horizontal="center", vertical="center")
        self.heading = self._array(heading)

    def of(self, form: str, *, bold: bool = False) -> Any:
        """The style of a number format; text keeps being text when a person edits it."""
        made = self._made.get((form, bold))
        if made is None:
            template = self._template(form)
            if bold:
                template.font = Font(bold=True)
            made = self._made[form, bold] = self._array(template)
        return made

    def _template(self, form: str) -> Any:
        template = WriteOnlyCell(self._sheet)
        template.number_format = form
        if form == FORMATS[Kind.TEXT]:
            template.quotePrefix = True
        return template

    @staticmethod
    def _array(template: Any) -> Any:
        return template._style  # noqa: SLF001 - what `Cell(style_array=...)` takes is stored there
