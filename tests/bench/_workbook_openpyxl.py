"""The other side of the bench `workbook`: openpyxl write-only with lxml, plain values in cells with number formats.

It is spared the cover, the totals, the hashes and the checks; styles are made once and shared, as its fastest users do.
"""

import argparse
import sys
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import openpyxl
from openpyxl.cell import Cell, WriteOnlyCell
from openpyxl.xml import LXML

from desktop.exporting.cells import FORMS, Kind
from shared.clock import shop_time
from shared.labels import label
from tests.bench import _figures
from tests.bench._workbook_rows import SALES, sales


def main() -> int:
    """Write and print what it took."""
    options = argparse.ArgumentParser()
    options.add_argument("--file", type=Path, required=True)
    options.add_argument("--rows", type=int, required=True)
    given = options.parse_args()
    assert LXML, "openpyxl writes with lxml when it is installed (pip install lxml)"
    started, used = time.perf_counter(), time.process_time()
    book = openpyxl.Workbook(write_only=True)
    sheet: Any = book.create_sheet("交易明细")
    sheet.freeze_panes = "A2"
    sheet.auto_filter.ref = f"A1:L{given.rows + 1}"
    kinds = [column.kind for column in SALES.columns]
    styles = [_style(sheet, kind) for kind in kinds]
    sheet.append([column.zh for column in SALES.columns])
    for row in sales(given.rows):
        cells = []
        for kind, style, value in zip(kinds, styles, row, strict=True):
            cell = Cell(sheet, column=1, row=1, value=_value(kind, value), style_array=style)
            if kind is Kind.TEXT:
                cell.data_type = "s"
            cells.append(cell)
        sheet.append(cells)
    book.save(given.file)
    seconds = time.perf_counter() - started
    return _figures.finish(
        {
            "seconds": round(seconds, 2),
            "cpu_seconds": round(time.process_time() - used, 2),
            "peak_mib": _figures.own_peak_mib(),
            "file_mb": round(given.file.stat().st_size / 1e6, 1),
        }
    )


def _style(sheet: Any, kind: Kind) -> Any:
    template = WriteOnlyCell(sheet)
    template.number_format = FORMS[kind].number_format
    template.quotePrefix = kind is Kind.TEXT
    return template._style


def _value(kind: Kind, value: Any) -> Any:
    match kind:
        case Kind.TIME:
            return shop_time(value).replace(tzinfo=None)
        case Kind.WORD:
            return label(value, "zh")
        case Kind.AMOUNT:
            return Decimal(value).scaleb(-2)
        case Kind.PRICE:
            return Decimal(value).scaleb(-4)
    return value


if __name__ == "__main__":
    sys.exit(main())
