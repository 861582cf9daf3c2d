"""A streaming writer of .xlsx: rows of XML go straight through deflate into the file, so memory stays flat.

Why our own: of the libraries, those with all that a workbook of finance needs (text that stays text, formulas with
their computed values, free cells on a cover) take five to ten times as long; docs/decisions.md has the figures.
The same rows give the same bytes. One sheet is written at a time. A sheet never reaches 2 GiB, so no entry needs
zip64, which some readers refuse. What is written here is escaped here, except rows, which `cells` makes.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from math import ceil
from types import TracebackType
from typing import IO
from xml.sax.saxutils import escape, quoteattr
from zipfile import ZIP_DEFLATED, ZipFile

SHEET_ROWS = 1_048_576
"""Rows that a sheet can hold, its heading included."""
SHEET_BYTES = 2**31 - 2**27
"""A sheet's XML stays below."""
_QUICK = 1
"""Deflate's level: the higher ones cost more time than the writing itself, for a tenth less to store."""

_XML = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_TYPES = "application/vnd.openxmlformats-officedocument.spreadsheetml"
_FONT = "等线"
_PAGE_WIDTH = 250
"""So many characters of a row go on a page that lies on its side: its letters are some 6.5 points high then. Wider
sheets take several pages side by side rather than print what nobody can read; on each are the columns that say what
a row is."""


@dataclass(frozen=True, slots=True)
class Style:
    """How a cell looks. Colours are RRGGBB; `quoted` text stays text when a person edits it; `indent` in characters."""

    number_format: str = "General"
    bold: bool = False
    size: int = 11
    color: str = ""
    fill: str = ""
    align: str = ""
    indent: int = 0
    wrap: bool = False
    rule: str = ""
    quoted: bool = False


@dataclass(frozen=True, slots=True)
class Look:
    """How a sheet is seen and printed. Widths are in characters, `header` is printed on top of each page.

    `cell_style` is how cells look that a person fills in later. Without `upright` paper lies on its side. The first
    `leading` columns say what a row is: they are printed on each of the pages that lie side by side.
    """

    widths: Sequence[int]
    header: str = ""
    frozen_rows: int = 0
    pages_high: int = 0
    hidden: bool = False
    gridlines: bool = True
    upright: bool = False
    cell_style: int = 0
    leading: int = 1

    @property
    def pages_wide(self) -> int:
        """How many pages side by side a row takes."""
        whole, again = sum(self.widths), sum(self.widths[: self.leading])
        if self.upright or whole <= _PAGE_WIDTH:
            return 1
        return ceil((whole - again) / (_PAGE_WIDTH - again))


@dataclass(slots=True)
class _Named:
    """A sheet as the workbook lists it."""

    name: str
    number: int
    look: Look
    filtered: str = ""


@dataclass(frozen=True, slots=True)
class Warned:
    """Cells of `area` that turn red when they say `text`, and green when they say `fine`."""

    area: str
    text: str
    fine: str


def letters(column: int) -> str:
    """The letters of a column, counted from 0."""
    name = ""
    column += 1
    while column:
        column, rest = divmod(column - 1, 26)
        name = chr(65 + rest) + name
    return name


def quoted_name(sheet: str) -> str:
    """A sheet's name as formulas write it."""
    return "'{}'".format(sheet.replace("'", "''"))


class Book:
    """A workbook being written to `file` (seekable). `end` completes it; without, the file is no workbook."""

    def __init__(self, file: IO[bytes], *, title: str, author: str, made_at: datetime) -> None:
        self._zip = ZipFile(file, "w", ZIP_DEFLATED, compresslevel=_QUICK)
        self.made_at = made_at
        self._facts = (title, author, made_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))
        self._styles: dict[Style, int] = {Style(): 0}
        self._sheets: list[_Named] = []
        self._open: Sheet | None = None

    def style(self, style: Style) -> int:
        """The number of a style, for cells."""
        return self._styles.setdefault(style, len(self._styles))

    def sheet(self, name: str, look: Look, *, first: bool = False) -> Sheet:
        """Begin a sheet, after the others or before them; the one before must have ended."""
        assert self._open is None, "one sheet is written at a time"
        named = _Named(name, len(self._sheets) + 1, look)
        self._sheets.insert(0 if first else len(self._sheets), named)
        self._open = Sheet(self, named, self._entry(f"xl/worksheets/sheet{named.number}.xml"))
        return self._open

    def end(self) -> None:
        """Write what holds the sheets together. Formulas are computed anew by the program that opens the workbook."""
        assert self._open is None
        for name, text in _parts(self._sheets, list(self._styles), self._facts).items():
            with self._entry(name) as entry:
                entry.write((_XML + text).encode())
        self._zip.close()

    def __enter__(self) -> Book:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Let go of the file, completed or not."""
        # An incomplete file may not fit on the disk; each of the two lets go of it even so.
        with suppress(OSError):
            if self._open is not None:
                self._open.entry.close()
        with suppress(OSError):
            self._zip.close()

    def _entry(self, name: str) -> IO[bytes]:
        # Opened by its name an entry is dated 1980: the same rows give the same bytes.
        return self._zip.open(name, "w")

    def _ended(self) -> None:
        self._open = None


class Sheet:
    """A sheet being written, row by row from the top."""

    def __init__(self, book: Book, named: _Named, entry: IO[bytes]) -> None:
        self.name = named.name
        self.bytes = 0
        self.entry = entry
        self._book = book
        self._named = named
        self.write(_XML + _sheet_head(named.look))

    def write(self, rows: str) -> None:
        """Rows in XML, from `cells.marks`."""
        data = rows.encode()
        self.bytes += len(data)
        self.entry.write(data)

    def end(self, *, filtered: str = "", warned: Sequence[Warned] = (), merged: Sequence[str] = ()) -> None:
        """Complete the sheet; `filtered` is the area with filters, its heading included."""
        self._named.filtered = filtered
        self.write(_sheet_tail(self._named, warned, merged))
        self.entry.close()
        self._book._ended()  # noqa: SLF001 - the two halves of one writer


# --- a sheet ------------------------------------------------------------------------------------------------------


def _sheet_head(look: Look) -> str:
    styled = f' style="{look.cell_style}"' if look.cell_style else ""
    columns = "".join(
        f'<col min="{n}" max="{n}" width="{width}" customWidth="1"{styled}/>' for n, width in enumerate(look.widths, 1)
    )
    pane = (
        f'<pane ySplit="{look.frozen_rows}" topLeftCell="A{look.frozen_rows + 1}" activePane="bottomLeft" '
        'state="frozen"/><selection pane="bottomLeft"/>'
        if look.frozen_rows
        else ""
    )
    lines = "" if look.gridlines else ' showGridLines="0"'
    return (
        f'<worksheet xmlns="{_MAIN}"><sheetPr><pageSetUpPr fitToPage="1"/></sheetPr>'
        f'<sheetViews><sheetView{lines} workbookViewId="0">{pane}</sheetView></sheetViews>'
        f'<sheetFormatPr defaultRowHeight="15"/><cols>{columns}</cols><sheetData>'
    )


def _sheet_tail(named: _Named, warned: Sequence[Warned], merged: Sequence[str]) -> str:
    parts = ["</sheetData>"]
    if named.filtered:
        parts.append(f'<autoFilter ref="{named.filtered}"/>')
    if merged:
        areas = "".join(f'<mergeCell ref="{area}"/>' for area in merged)
        parts.append(f'<mergeCells count="{len(merged)}">{areas}</mergeCells>')
    priority = 0
    for one in warned:
        rules = ""
        for number, text in enumerate((one.text, one.fine)):
            priority += 1
            rules += (
                f'<cfRule type="cellIs" dxfId="{number}" priority="{priority}" operator="equal">'
                f'<formula>"{escape(text)}"</formula></cfRule>'
            )
        parts.append(f'<conditionalFormatting sqref="{one.area}">{rules}</conditionalFormatting>')
    orientation = "portrait" if named.look.upright else "landscape"
    header = escape(f"{named.name} {named.look.header}".replace("&", "&&"))
    parts.append(
        '<printOptions horizontalCentered="1"/>'
        '<pageMargins left="0.4" right="0.4" top="0.75" bottom="0.6" header="0.3" footer="0.3"/>'
        f'<pageSetup paperSize="9" orientation="{orientation}" fitToWidth="{named.look.pages_wide}" '
        f'fitToHeight="{named.look.pages_high}"/>'
        f"<headerFooter><oddHeader>&amp;C{header}</oddHeader><oddFooter>&amp;C&amp;P / &amp;N</oddFooter>"
        "</headerFooter>"
    )
    if named.filtered:
        # Ids are text although they look like numbers; Excel need not warn at each of them.
        parts.append(f'<ignoredErrors><ignoredError sqref="{named.filtered}" numberStoredAsText="1"/></ignoredErrors>')
    parts.append("</worksheet>")
    return "".join(parts)


# --- what holds the sheets together -------------------------------------------------------------------------------


def _parts(sheets: Sequence[_Named], styles: Sequence[Style], facts: tuple[str, str, str]) -> dict[str, str]:
    """The other entries of the package by their names."""
    title, author, made_at = map(escape, facts)
    overrides = {
        "/xl/workbook.xml": f"{_TYPES}.sheet.main+xml",
        "/xl/styles.xml": f"{_TYPES}.styles+xml",
        "/docProps/core.xml": "application/vnd.openxmlformats-package.core-properties+xml",
    } | {f"/xl/worksheets/sheet{one.number}.xml": f"{_TYPES}.worksheet+xml" for one in sheets}
    related = [(f"{_OFFICE}/worksheet", f"worksheets/sheet{one.number}.xml") for one in sheets]
    return {
        "[Content_Types].xml": f'<Types xmlns="{_PACKAGE}/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        '<Default Extension="xml" ContentType="application/xml"/>'
        + "".join(f'<Override PartName="{part}" ContentType="{kind}"/>' for part, kind in overrides.items())
        + "</Types>",
        "_rels/.rels": _relations(
            [
                (f"{_OFFICE}/officeDocument", "xl/workbook.xml"),
                (f"{_PACKAGE}/relationships/metadata/core-properties", "docProps/core.xml"),
            ]
        ),
        "docProps/core.xml": f'<cp:coreProperties xmlns:cp="{_PACKAGE}/metadata/core-properties" '
        'xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:dcterms="http://purl.org/dc/terms/" '
        'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">'
        f"<dc:title>{title}</dc:title><dc:creator>{author}</dc:creator>"
        f'<dcterms:created xsi:type="dcterms:W3CDTF">{made_at}</dcterms:created></cp:coreProperties>',
        "xl/workbook.xml": _workbook(sheets),
        "xl/_rels/workbook.xml.rels": _relations([*related, (f"{_OFFICE}/styles", "styles.xml")]),
        "xl/styles.xml": _style_sheet(styles),
    }


def _relations(targets: Sequence[tuple[str, str]]) -> str:
    listed = "".join(
        f'<Relationship Id="rId{n}" Type="{kind}" Target="{target}"/>' for n, (kind, target) in enumerate(targets, 1)
    )
    return f'<Relationships xmlns="{_PACKAGE}/relationships">{listed}</Relationships>'


def _workbook(sheets: Sequence[_Named]) -> str:
    listed, names = "", ""
    for index, one in enumerate(sheets):
        hidden = ' state="hidden"' if one.look.hidden else ""
        listed += f'<sheet name={quoteattr(one.name)} sheetId="{one.number}"{hidden} r:id="rId{index + 1}"/>'
        name = escape(quoted_name(one.name))
        if one.filtered:
            start, _, end = one.filtered.partition(":")
            names += (
                f'<definedName name="_xlnm._FilterDatabase" localSheetId="{index}" hidden="1">'
                f"{name}!{_fixed(start)}:{_fixed(end)}</definedName>"
            )
        if one.look.frozen_rows:
            columns = f"{name}!$A:${letters(one.look.leading - 1)}," if one.look.pages_wide > 1 else ""
            names += (
                f'<definedName name="_xlnm.Print_Titles" localSheetId="{index}">'
                f"{columns}{name}!$1:${one.look.frozen_rows}</definedName>"
            )
    return (
        f'<workbook xmlns="{_MAIN}" xmlns:r="{_OFFICE}"><bookViews><workbookView/></bookViews>'
        f"<sheets>{listed}</sheets>{f'<definedNames>{names}</definedNames>' if names else ''}"
        '<calcPr calcId="191029" fullCalcOnLoad="1"/></workbook>'
    )


def _fixed(cell: str) -> str:
    """`A1` as `$A$1`."""
    column = cell.rstrip("0123456789")
    return f"${column}${cell[len(column) :]}"


def _style_sheet(styles: Sequence[Style]) -> str:
    """The style sheet. Every style has its own font, fill and border: there are few."""
    formats, fonts, fills, borders, cells = "", "", "", "", ""
    for n, one in enumerate(styles):
        formats += f'<numFmt numFmtId="{164 + n}" formatCode={quoteattr(one.number_format)}/>'
        bold = "<b/>" if one.bold else ""
        color = one.color or "000000"
        fonts += f'<font>{bold}<sz val="{one.size}"/><color rgb="FF{color}"/><name val="{_FONT}"/></font>'
        if one.fill:
            fills += f'<fill><patternFill patternType="solid"><fgColor rgb="FF{one.fill}"/></patternFill></fill>'
        else:
            fills += '<fill><patternFill patternType="none"/></fill>'
        bottom = f'<bottom style="thin"><color rgb="FF{one.rule}"/></bottom>' if one.rule else "<bottom/>"
        borders += f"<border><left/><right/><top/>{bottom}<diagonal/></border>"
        align = f' horizontal="{one.align}"' if one.align else ""
        align += (f' indent="{one.indent}"' if one.indent else "") + (' wrapText="1"' if one.wrap else "")
        number = 0 if one.number_format == "General" else 164 + n
        quoted = ' quotePrefix="1"' if one.quoted else ""
        cells += (
            f'<xf numFmtId="{number}" fontId="{n}" fillId="{n + 2}" borderId="{n}" xfId="0"{quoted} '
            'applyNumberFormat="1" applyFont="1" applyFill="1" applyBorder="1" applyAlignment="1">'
            f'<alignment vertical="center"{align}/></xf>'
        )
    count = len(styles)
    return (
        f'<styleSheet xmlns="{_MAIN}"><numFmts count="{count}">{formats}</numFmts>'
        f'<fonts count="{count}">{fonts}</fonts><fills count="{count + 2}">'
        # The first two fills are the format's own, whatever a writer says.
        '<fill><patternFill patternType="none"/></fill><fill><patternFill patternType="gray125"/></fill>'
        f'{fills}</fills><borders count="{count}">{borders}</borders>'
        '<cellStyleXfs count="1"><xf numFmtId="0" fontId="0" fillId="0" borderId="0"/></cellStyleXfs>'
        f'<cellXfs count="{count}">{cells}</cellXfs>'
        '<cellStyles count="1"><cellStyle name="Normal" xfId="0" builtinId="0"/></cellStyles>'
        '<dxfs count="2">'
        '<dxf><font><b/><color rgb="FFB42318"/></font></dxf><dxf><font><color rgb="FF1A7F37"/></font></dxf>'
        "</dxfs></styleSheet>"
    )
