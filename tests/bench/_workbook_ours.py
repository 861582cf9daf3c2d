"""One side of the bench `workbook`: the console's writer, with all that a workbook of finance has."""

import argparse
import sys
import time
from datetime import datetime
from pathlib import Path

from desktop.exporting.cover import Cover, CoverSheet, Line
from desktop.exporting.grid import Details, Total
from desktop.exporting.sheet_writer import Book
from desktop.exporting.target import Replacement
from shared.clock import SHOP_ZONE
from tests.bench import _figures
from tests.bench._workbook_rows import DAY, SALES, sales

AMOUNT = Total("金额（元）", "Amount", SALES, "amount_fen")
FEE = Total("手续费（元）", "Fee", SALES, "fee_fen", "paid_at")


def main() -> int:
    """Write and print what it took."""
    options = argparse.ArgumentParser()
    options.add_argument("--file", type=Path, required=True)
    options.add_argument("--rows", type=int, required=True)
    given = options.parse_args()
    started, used = time.perf_counter(), time.process_time()
    made = Cover("陈会计 (finance)", "https://shop.example", datetime(2026, 11, 22, 9, tzinfo=SHOP_ZONE))
    with Replacement(given.file) as file:
        with Book(file.file, title="bench", author=made.exported_by, made_at=made.exported_at) as book:
            details = Details(book, (SALES,), (AMOUNT, FEE), language="zh", header=DAY.isoformat(), day=DAY)
            details.add("sales", sales(given.rows))
            details.end()
            cover = CoverSheet(book, details, "汇总", header=DAY.isoformat())
            cover.title("交易明细")
            cover.facts(made.facts())
            cover.lines([Line(total, details.sums[total]) for total in (AMOUNT, FEE)], printed="账簿")
            cover.sheets()
            cover.end()
            book.end()
        file.put()
    seconds = time.perf_counter() - started
    return _figures.finish(
        {
            "seconds": round(seconds, 2),
            "cpu_seconds": round(time.process_time() - used, 2),
            "peak_mib": _figures.own_peak_mib(),
            "file_mb": round(given.file.stat().st_size / 1e6, 1),
            "amount_fen": details.sums[AMOUNT],
            "fee_fen": details.sums[FEE],
        }
    )


if __name__ == "__main__":
    sys.exit(main())
