"""The window of the stock-table bench: the real console over the real server, driven from inside, offscreen.

`open_ms` is from asking for a SKU until its first units are painted, `end_ms` from the End key until the last one is,
`filter_ms` from a press on a figure until the first of its units is. `key_p50_ms` and `key_p99_ms` are from a key press
to the repaint that answers it; the gaps are between repaints while the scroll bar is dragged over the whole list.
`pages` is the most that was in memory at once. Prints one JSON object as its last line.
"""

import os
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

STEPS, KEYS = 300, 200
WAIT_SECONDS = 60


def main() -> int:
    """Drive it and print."""
    from tests.bench import _figures

    options = _figures.parser(__doc__)
    options.add_argument("--home", type=Path, required=True)
    options.add_argument("--server", required=True)
    options.add_argument("--sku", required=True)
    given = options.parse_args()
    os.environ["KAMENG_CREDENTIALS"] = "memory"

    from desktop import app, paths

    folders = paths.Folders(given.home)
    paths.prepare(folders)
    sys.setswitchinterval(app.SWITCH_SECONDS)
    program = app.build(app.make_application([]), folders)
    program.window.show()
    program.start_engine()
    try:
        figures = _Drive(program, given.sku).run(given.server)
    finally:
        program.window.close()
        program.quit()
    return _figures.finish(figures | {"peak_mib": _figures.own_peak_mib()})


class _Drive:
    """One person at the window."""

    def __init__(self, program, sku: str) -> None:
        self.program, self.sku = program, sku
        self.application, self.window = program.application, program.window

    def run(self, server: str) -> dict[str, float]:
        """Do everything once; milliseconds."""
        from PySide6.QtCore import Qt
        from PySide6.QtTest import QTest

        self.until(lambda: self.program.console.is_up)
        self.sign_in(server)
        stock = self.program.console.desk.stock
        self.window.go("stock")
        self.until(lambda: stock.feed.as_of is not None)
        page = self.window.page
        detail, rows = page.detail, stock.units.rows
        started = time.perf_counter()
        page.table.go_to([row.sku for row in stock.feed.rows].index(self.sku))
        detail.show_units()
        table = detail.units.table
        open_ms = self.painted(started, table, 0)
        total = rows.size
        table.setFocus()
        started = time.perf_counter()
        QTest.keyClick(table, Qt.Key.Key_End)
        end_ms = self.painted(started, table, total - 1)
        keys = [self.press(table, partial(QTest.keyClick, table, Qt.Key.Key_K)) for _ in range(KEYS)]
        gaps, pages = self.drag(table, rows)
        started = time.perf_counter()
        QTest.mouseClick(detail.ledger.figure("void"), Qt.MouseButton.LeftButton)
        self.until(lambda: rows.size != total)
        filter_ms = self.painted(started, table, 0)
        return self.told(open_ms, end_ms, filter_ms, keys, gaps) | {"rows": total, "pages": pages}

    def told(self, open_ms, end_ms, filter_ms, keys: list[float], gaps: list[float]) -> dict[str, float]:
        """The figures by name."""
        from tests.bench._figures import quantile_ms

        return {
            "open_ms": open_ms,
            "end_ms": end_ms,
            "filter_ms": filter_ms,
            "key_p50_ms": quantile_ms(keys, 0.5),
            "key_p99_ms": quantile_ms(keys, 0.99),
            "gap_p50_ms": quantile_ms(gaps, 0.5),
            "gap_p99_ms": quantile_ms(gaps, 0.99),
            "gap_max_ms": round(max(gaps) * 1000, 2),
        }

    def sign_in(self, server: str) -> None:
        """As an operator."""
        from pydantic import SecretStr

        from desktop.operations import session
        from tests.world import PASSWORD

        work = partial(session.sign_in, server=server, login="li", password=SecretStr(PASSWORD))
        self.program.bridge.ask(work, lambda _who: None, _fail)
        self.until(lambda: self.program.console.desk is not None)

    def drag(self, table, rows) -> tuple[list[float], int]:
        """Drag the scroll bar down the whole list: seconds between repaints, and pages in memory at most."""
        bar, gaps, pages = table.verticalScrollBar(), [], 0
        last = time.perf_counter()
        for step in range(STEPS):
            bar.setValue(bar.maximum() * step // STEPS)
            table.viewport().repaint()
            self.application.processEvents()
            now = time.perf_counter()
            gaps.append(now - last)
            last = now
            pages = max(pages, len(rows.listing._pages))
        return gaps, pages

    def press(self, table, key: Callable[[], None]) -> float:
        """Seconds from a key to the repaint that answers it."""
        started = time.perf_counter()
        key()
        table.viewport().repaint()
        taken = time.perf_counter() - started
        self.application.processEvents()
        return taken

    def painted(self, started: float, table, row: int) -> float:
        """Milliseconds until a row is on the screen with its own words."""
        from desktop.widgets.rows_model import PLACEHOLDER

        model = table.model()
        self.until(lambda: model.rowCount() > row and model.index(row, 0).data() != PLACEHOLDER)
        table.viewport().repaint()
        return round((time.perf_counter() - started) * 1000, 1)

    def until(self, is_so: Callable[[], bool]) -> None:
        """Let the window work until it is so."""
        end = time.perf_counter() + WAIT_SECONDS
        while not is_so():
            self.application.processEvents()
            assert time.perf_counter() < end, "the window does not get there"


def _fail(error: Exception) -> None:
    raise error


if __name__ == "__main__":
    sys.exit(main())
