"""Other writers in the bench `workbook`, where they are installed: the same rows and cell formats, none of the rest.

XlsxWriter writes row by row (`constant_memory`); rustpy-xlsxwriter takes all rows of a sheet in one call. Neither is
something that Kameng needs.
"""

import argparse
import importlib
import sys
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from desktop.exporting.cells import FORMS, Kind
from shared.clock import shop_time
from shared.labels import label
from tests.bench import _figures
from tests.bench._workbook_rows import SALES, sales

_SHEET = "交易明细"
_KINDS = [column.kind for column in SALES.columns]
_TITLES = [column.zh for column in SALES.columns]


def xlsxwriter(file: Path, rows: int) -> None:
    """XlsxWriter, in the mode that keeps no rows."""
    module = importlib.import_module("xlsxwriter")
    book = module.Workbook(file, {"constant_memory": True})
    sheet = book.add_worksheet(_SHEET)
    sheet.freeze_panes(1, 0)
    sheet.autofilter(0, 0, rows, len(_TITLES) - 1)
    styles = [book.add_format({"num_format": FORMS[kind].number_format}) for kind in _KINDS]
    write = {Kind.TEXT: sheet.write_string, Kind.WORD: sheet.write_string, Kind.TIME: sheet.write_datetime}
    writers = [write.get(kind, sheet.write_number) for kind in _KINDS]
    sheet.write_row(0, 0, _TITLES)
    for n, row in enumerate(sales(rows), 1):
        for at, value in enumerate(row):
            writers[at](n, at, _value(_KINDS[at], value), styles[at])
    book.close()


def rustpy(file: Path, rows: int) -> None:
    """rustpy-xlsxwriter."""
    module = importlib.import_module("rustpy_xlsxwriter")

    def records() -> Iterator[dict[str, Any]]:
        for row in sales(rows):
            yield dict(zip(_TITLES, (_value(*one) for one in zip(_KINDS, row, strict=True)), strict=True))

    formats = [module.Format().set_num_format(FORMS[kind].number_format) for kind in _KINDS]
    module.write_worksheet(
        records(), str(file), sheet_name=_SHEET, freeze_row=1, autofilter=True, column_formats=formats
    )


WRITERS: dict[str, tuple[str, Callable[[Path, int], None]]] = {
    "XlsxWriter": ("xlsxwriter", xlsxwriter),
    "rustpy-xlsxwriter": ("rustpy_xlsxwriter", rustpy),
}
"""By the name of the distribution: what is imported of it, and what writes with it."""


def main() -> int:
    """Write and print what it took."""
    options = argparse.ArgumentParser()
    options.add_argument("--writer", choices=WRITERS, required=True)
    options.add_argument("--file", type=Path, required=True)
    options.add_argument("--rows", type=int, required=True)
    given = options.parse_args()
    name, write = WRITERS[given.writer]
    importlib.import_module(name)
    started, used = time.perf_counter(), time.process_time()
    write(given.file, given.rows)
    return _figures.finish(
        {
            "seconds": round(time.perf_counter() - started, 2),
            "cpu_seconds": round(time.process_time() - used, 2),
            "peak_mib": _figures.own_peak_mib(),
            "file_mb": round(given.file.stat().st_size / 1e6, 1),
        }
    )


def _value(kind: Kind, value: Any) -> str | int | float | datetime:
    match kind:
        case Kind.TIME:
            return shop_time(value).replace(tzinfo=None)
        case Kind.WORD:
            return label(value, "zh")
        case Kind.AMOUNT:
            return float(value / 100)
        case Kind.PRICE:
            return float(value / 10_000)
    return value  # type: ignore[no-any-return]  # a text or a count


if __name__ == "__main__":
    sys.exit(main())
