"""The reconciliation workbook of one business day: a summary that proves itself, and the details behind it.

Guarantees: rows stream in and memory stays flat; the file appears complete under its name or not at all; it is only
written when the details add up to the server's ledger, figure by figure, and otherwise the first difference is named;
every total on the summary is a live formula over the details beside the ledger's number, so that a reader can check.
No network; used by `desktop.operations.reconciliation`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from types import TracebackType

from desktop.exporting import sheets
from desktop.exporting.balance import CHECKS, Check, Ranges, Totals
from desktop.exporting.grid import SHEET_ROWS, Grid, Table
from desktop.exporting.sheets import FORMATS, Kind, Value, plain, wall_clock, yuan
from desktop.exporting.target import check_target, errors_in_words
from shared.contracts.reports import DayMovement, DayOrder, DayPayment, DaySummary
from shared.errors import KamengError
from shared.money import format_fen

_GENERAL = "General"


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
class Cover:
    """Who exports, from where, when."""

    exported_by: str
    server: str
    exported_at: datetime


@dataclass(frozen=True, slots=True)
class Written:
    """The finished file: rows by sheet kind (简体中文 name), and the SHA-256 of its data rows as on the cover."""

    path: Path
    rows: dict[str, int]
    sha256: str


class DayWorkbook:
    """A workbook being written. Add all rows of one kind before the next, in the order of the methods, then `finish`.

    Use as a context manager: leaving it without `finish` removes everything. May be used from a worker thread.
    """

    def __init__(
        self, target: Path, *, day: date, cover: Cover, language: str = "zh", sheet_rows: int = SHEET_ROWS
    ) -> None:
        self._target = check_target(target)
        self._part = self._target.with_name(f".{self._target.name}.{os.getpid()}.part")
        self._day = day
        self._cover = cover
        self._language = language
        self._words = _WORDS[language.startswith("en")]
        self._grid = Grid(header=day.isoformat(), language=language)
        self._totals = Totals(day)
        self._ranges = Ranges()
        self._summary = self._grid.sheet(self._words["summary"], widths=(30, 26, 26, 14), pages=1)
        self._tables = {
            page.names[0]: Table(self._grid, page, self._ranges.add, sheet_rows=sheet_rows)
            for page in (sheets.ORDERS, sheets.PAYMENTS, sheets.MOVEMENTS, sheets.ACCOUNTS)
        }

    # --- rows -------------------------------------------------------------------------------------------------

    def add_orders(self, rows: Iterable[DayOrder]) -> None:
        """Order lines, those of one order one after the other."""
        for line in rows:
            first = self._totals.order(line)
            self._tables["订单"].append(sheets.OrderLineRow(line, first))

    def add_payments(self, rows: Iterable[DayPayment]) -> None:
        """Payments of the day."""
        for row in rows:
            self._totals.payment(row)
            self._tables["收款"].append(row)

    def add_movements(self, rows: Iterable[DayMovement]) -> None:
        """Card movements by SKU."""
        for row in rows:
            self._totals.movement(row)
            self._tables["卡密出入库"].append(row)

    def finish(self, summary: DaySummary) -> Written:
        """Check every figure against the ledger and put the file in place.

        Raises BooksDiffer, TargetBusy or TargetUnwritable; then nothing is left on the disk.
        """
        for row in summary.ledger:
            self._totals.account(row)
            self._tables["账户"].append(row)
        for check in CHECKS:
            details, ledger = check.details(self._totals), check.ledger(summary)
            if details != ledger:
                raise BooksDiffer(
                    day=self._day,
                    figure=check.title(self._language),
                    details=_shown(check, details),
                    ledger=_shown(check, ledger),
                )
        rows = {name: table.rows for name, table in self._tables.items()}
        digest = self._grid.digest.hexdigest()
        for table in self._tables.values():
            table.close()
        self._write_summary(summary, rows, digest)
        self._save()
        return Written(path=self._target, rows=rows, sha256=digest)

    # --- the summary ------------------------------------------------------------------------------------------

    def _write_summary(self, summary: DaySummary, rows: dict[str, int], digest: str) -> None:
        grid, sheet, words = self._grid, self._summary, self._words
        facts: list[tuple[str, Value | date, str]] = [
            (words["day"], summary.day, "yyyy-mm-dd"),
            (words["as_of"], wall_clock(summary.as_of), FORMATS[Kind.TIME]),
            (words["by"], plain(self._cover.exported_by), FORMATS[Kind.TEXT]),
            (words["at"], wall_clock(self._cover.exported_at), FORMATS[Kind.TIME]),
            (words["server"], plain(self._cover.server), FORMATS[Kind.TEXT]),
            *[
                (f"{words['rows']}{table.page.name(self._language)}", rows[name], FORMATS[Kind.COUNT])
                for name, table in self._tables.items()
            ],
            (words["sha256"], digest, FORMATS[Kind.TEXT]),
            (words["exceptions"], summary.exceptions_open, FORMATS[Kind.COUNT]),
        ]
        sheet.append([grid.text(sheet, words["title"], bold=True)])
        sheet.append([])
        for name, value, form in facts:
            sheet.append([grid.text(sheet, name), grid.cell(sheet, value, form)])
        sheet.append([])
        head = (words["figure"], words["details"], words["ledger"], words["check"])
        sheet.append([grid.heading(sheet, text) for text in head])
        first = len(facts) + 5
        for row, check in enumerate(CHECKS, first):
            form, number = FORMATS[check.kind], check.ledger(summary)
            verdict = f'=IF(B{row}=C{row},"{words["same"]}","{words["differs"]}")'
            sheet.append(
                [
                    grid.text(sheet, check.title(self._language)),
                    grid.formula(sheet, "=" + check.formula(self._ranges, self._day), form),
                    grid.cell(sheet, yuan(number) if check.kind is Kind.AMOUNT else number, form),
                    grid.formula(sheet, verdict, _GENERAL),
                ]
            )
        verdicts = f"D{first}:D{first + len(CHECKS) - 1}"
        all_same = f'COUNTIF({verdicts},"{words["same"]}")={len(CHECKS)}'
        overall = f'=IF({all_same},"{words["all_same"]}","{words["differs"]}")'
        title = grid.text(sheet, words["overall"], bold=True)
        sheet.append([title, None, None, grid.formula(sheet, overall, _GENERAL)])
        sheet.append([])
        sheet.append([grid.text(sheet, words["hash_rule"])])

    # --- the file ---------------------------------------------------------------------------------------------

    def _save(self) -> None:
        with errors_in_words(self._target):
            with os.fdopen(os.open(self._part, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                self._grid.save(file)
                file.flush()
                os.fsync(file.fileno())
            self._part.replace(self._target)

    def __enter__(self) -> DayWorkbook:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._part.unlink(missing_ok=True)
        self._grid.discard()


def _shown(check: Check, figure: int) -> str:
    return format_fen(figure) if check.kind is Kind.AMOUNT else f"{figure:,}"


_WORDS: dict[bool, dict[str, str]] = {
    False: {
        "summary": "汇总",
        "title": "卡盟 Kameng 日对账单",
        "day": "业务日",
        "as_of": "数据截至",
        "by": "导出人",
        "at": "导出时间",
        "server": "服务器",
        "rows": "行数：",
        "sha256": "明细行 SHA-256",
        "exceptions": "未处理异常",
        "figure": "项目",
        "details": "明细合计（公式）",
        "ledger": "账簿",
        "check": "核对",
        "same": "一致",
        "differs": "不一致",
        "all_same": "全部一致",
        "overall": "结论",
        "hash_rule": "SHA-256 按工作表顺序对每个明细行计算：各列文字以制表符连接，以换行结尾；"
        "时间为 ISO 8601，金额不带千分位和尾零。",
    },
    True: {
        "summary": "Summary",
        "title": "Kameng reconciliation of the day",
        "day": "Business day",
        "as_of": "Data as of",
        "by": "Exported by",
        "at": "Exported at",
        "server": "Server",
        "rows": "Rows: ",
        "sha256": "SHA-256 of the rows",
        "exceptions": "Open exceptions",
        "figure": "Figure",
        "details": "Details (formula)",
        "ledger": "Ledger",
        "check": "Check",
        "same": "same",
        "differs": "differs",
        "all_same": "all the same",
        "overall": "Verdict",
        "hash_rule": "The SHA-256 is over every detail row in the order of the sheets: the texts of its columns "
        "joined by tabs, ended by a line feed; times in ISO 8601, amounts without separators and trailing zeros.",
    },
}
