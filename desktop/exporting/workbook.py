"""The reconciliation workbook of one business day: a summary that proves itself, and the details behind it.

Guarantees: rows stream in and memory stays flat; the file appears complete under its name or not at all; it is only
written when the details add up to the server's ledger, figure by figure, and otherwise the first difference is named;
every total on the summary is a live formula over the details beside the ledger's number, so that a reader can check.
No network; used by `desktop.operations.reconciliation`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from types import TracebackType
from typing import Any

from desktop.exporting.balance import CHECKS
from desktop.exporting.cells import Kind
from desktop.exporting.cover import Cover, CoverSheet, Fact, Line
from desktop.exporting.grid import Details, Total
from desktop.exporting.proof import digest_of
from desktop.exporting.sheet_writer import SHEET_ROWS, Book
from desktop.exporting.sheets import ACCOUNTS, MOVEMENTS, ORDERS, PAYMENTS, OrderLineRow, Page
from desktop.exporting.target import Replacement, check_target
from shared.contracts.reports import DayMovement, DayOrder, DayPayment, DaySummary
from shared.errors import KamengError
from shared.money import format_fen

_PAGES: tuple[Page[Any], ...] = (ORDERS, PAYMENTS, MOVEMENTS, ACCOUNTS)


class BooksDiffer(KamengError):
    """The details do not add up to the ledger. No workbook is written: it would be signed."""

    code = "export.books_differ"
    status = 409
    zh = (
        "{day} 的明细与账簿不一致，未生成对账单：{figure} 明细合计 {details}，账簿 {ledger}。"
        "请稍后重试；再次出现请联系技术人员。"
    )
    en = (
        "No workbook: the details of {day} do not add up to the ledger. {figure}: details {details}, ledger {ledger}. "
        "Try again later; if it stays, ask for help."
    )


@dataclass(frozen=True, slots=True)
class Written:
    """The finished file: rows by page (its 简体中文 name), and the SHA-256 of its data rows as on the cover."""

    path: Path
    rows: dict[str, int]
    sha256: str


class DayWorkbook:
    """A workbook being written. Add rows kind by kind in the order of the methods, then `finish` and `put`.

    Use as a context manager: leaving it without `put` removes everything. May be used from a worker thread.
    """

    def __init__(
        self, target: Path, *, day: date, cover: Cover, language: str = "zh", sheet_rows: int = SHEET_ROWS
    ) -> None:
        self._target = check_target(target)
        self._day = day
        self._cover = cover
        self._language = language
        self._words = _WORDS[language.startswith("en")]
        self._left = ExitStack()
        self._file = self._left.enter_context(Replacement(self._target))
        title = f"{self._words['title']} {day.isoformat()}"
        self._book = self._left.enter_context(
            Book(self._file.file, title=title, author=cover.exported_by, made_at=cover.exported_at)
        )
        self._details = Details(
            self._book,
            _PAGES,
            [check.total for check in CHECKS],
            language=language,
            header=day.isoformat(),
            day=day,
            sheet_rows=sheet_rows,
        )
        self._last_order = ""

    # --- rows -------------------------------------------------------------------------------------------------

    def add_orders(self, rows: Iterable[DayOrder]) -> None:
        """Order lines, those of one order one after the other."""
        self._details.add("orders", self._marked(rows))

    def add_payments(self, rows: Iterable[DayPayment]) -> None:
        """Payments of the day."""
        self._details.add("payments", rows)

    def add_movements(self, rows: Iterable[DayMovement]) -> None:
        """Card movements by SKU."""
        self._details.add("movements", rows)

    def finish(self, summary: DaySummary) -> Written:
        """Check every figure against the ledger and complete the file, which `put` puts in place.

        Raises BooksDiffer, TargetBusy or TargetUnwritable; then nothing is left on the disk.
        """
        self._details.add("accounts", summary.ledger)
        self._details.end()
        self._check(summary)
        self._write_summary(summary)
        self._book.end()
        rows = {page.names[0]: self._details.rows[page.key] for page in _PAGES}
        return Written(path=self._target, rows=rows, sha256=digest_of(self._details.parts))

    def put(self) -> None:
        """Put the finished file in its place. Raises TargetBusy or TargetUnwritable."""
        self._file.put()

    def _marked(self, rows: Iterable[DayOrder]) -> Iterator[OrderLineRow]:
        for line in rows:
            yield OrderLineRow(line, first=line.code != self._last_order)
            self._last_order = line.code

    # --- the summary ------------------------------------------------------------------------------------------

    def _check(self, summary: DaySummary) -> None:
        for check in CHECKS:
            details, ledger = self._details.sums[check.total], check.ledger(summary)
            if details != ledger:
                raise BooksDiffer(
                    day=self._day,
                    figure=check.total.title(self._language),
                    details=_shown(check.total, details),
                    ledger=_shown(check.total, ledger),
                )

    def _write_summary(self, summary: DaySummary) -> None:
        words = self._words
        sheet = CoverSheet(self._book, self._details, words["summary"], header=self._day.isoformat())
        sheet.title(words["title"])
        sheet.facts(
            [
                Fact("业务日", "Business day", Kind.DAY, summary.day),
                Fact("数据截至", "Data as of", Kind.TIME, summary.as_of),
                Fact("数据位置", "Position", Kind.COUNT, summary.position),
                *self._cover.facts(),
                Fact("未处理异常", "Open exceptions", Kind.COUNT, summary.exceptions_open),
            ]
        )
        sheet.section(words["totals"])
        sheet.lines([Line(check.total, check.ledger(summary)) for check in CHECKS], printed=words["ledger"])
        sheet.section(words["sheets"])
        sheet.sheets()
        sheet.end()

    # --- the file ---------------------------------------------------------------------------------------------

    def __enter__(self) -> DayWorkbook:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._left.__exit__(kind, error, at)


def _shown(total: Total, figure: int) -> str:
    return format_fen(figure) if total.kind is Kind.AMOUNT else f"{figure:,}"


_WORDS: dict[bool, dict[str, str]] = {
    False: {
        "summary": "汇总",
        "title": "卡盟 Kameng 日对账单",
        "totals": "合计核对",
        "ledger": "账簿",
        "sheets": "明细与校验值",
    },
    True: {
        "summary": "Summary",
        "title": "Kameng reconciliation of the day",
        "totals": "Totals",
        "ledger": "Ledger",
        "sheets": "Details and what proves them",
    },
}
