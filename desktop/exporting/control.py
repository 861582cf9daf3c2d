"""Control totals of the finance workbook: what the server counts in its lists, against the rows that were written.

Rows that were lost or doubled on the way differ from the server's own sums, and those from the figures of the day that
finance signs. Where either differs no workbook is written: it would be signed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from desktop.exporting.grid import Details
from shared import channels
from shared.contracts.reconcile import ReconciledDay
from shared.contracts.reports import ListTotals
from shared.errors import KamengError
from shared.money import format_fen
from shared.sentence import Sentence


class ListsDiffer(KamengError):
    """The rows are not those that the server counts. No workbook is written."""

    code = "export.lists_differ"
    status = 409
    zh = (
        "{period} 的明细与服务器的合计不一致，未生成文件：{figure} 明细 {details}，服务器 {server}。"
        "请稍后重试；再次出现请联系技术人员。"
    )
    en = (
        "No workbook: the rows of {period} are not those that the server counts. {figure}: rows {details}, server "
        "{server}. Try again later; if it stays, ask for help."
    )


class _Counted(NamedTuple):
    """How the server counts a page: the names of its rows and of the sums of its columns."""

    rows: str
    columns: Mapping[str, str]


_COUNTED = {
    "matches": _Counted("payments", {"paid_fen": "payments_fen", "fee_fen": "payment_fees_fen"}),
    "refunds": _Counted("refunds", {"amount_fen": "refunds_fen"}),
    "differences": _Counted("differences", {"off_by_fen": "off_by_fen"}),
    "funds": _Counted("", {"amount_fen": "movements_fen"}),  # beside the bill's rows it has balances and arrivals
}
_ROWS = Sentence("行数", "rows")
_PAIRS = Sentence("配对", "pairs")


def printed(days: Sequence[ReconciledDay], lists: Sequence[ListTotals]) -> dict[tuple[str, str], int]:
    """The control totals that the server tells, by page and column.

    What came and went at the channels is told by their balances: it need not be what their bills' rows add up to.
    """
    told = {
        (page, column): _sum(lists, name)
        for page, counted in _COUNTED.items()
        for column, name in counted.columns.items()
    }
    balances = [day.balance for day in days if day.balance is not None]
    return told | {
        ("matches", "net_fen"): told["matches", "paid_fen"] - told["matches", "fee_fen"],
        ("funds", "amount_fen"): sum(balance.closing_fen - balance.opening_fen for balance in balances),
        ("funds", "arrived_fen"): sum(day.arrived_fen for day in days),
    }


def check(details: Details, days: Sequence[ReconciledDay], lists: Sequence[ListTotals], *, period: str) -> None:
    """Hold the rows that were written against what the server counts, and that against its days. Raises ListsDiffer."""
    for figure, ours, server in (*_pairs(days, lists, details.language), *_written(details, lists)):
        if ours != server:
            raise ListsDiffer(period=period, figure=figure, details=ours, server=server)


def _pairs(days: Iterable[ReconciledDay], lists: Iterable[ListTotals], language: str) -> Iterator[tuple[str, str, str]]:
    """What the rows of each day's bills that have ours come to, and what its figures say."""
    found = {(one.channel, one.day): one for one in lists}
    for day in days:
        its = found.get((day.channel, day.day)) or ListTotals(channel=day.channel, day=day.day)
        figure = f"{channels.name(day.channel).sentence(language)} {day.day.isoformat()} {_PAIRS.sentence(language)}"
        yield figure, str(its.payments + its.paired_refunds), str(day.matched)
        yield figure, format_fen(its.payments_fen - its.paired_refunds_fen), format_fen(day.matched_fen)


def _written(details: Details, lists: Sequence[ListTotals]) -> Iterator[tuple[str, str, str]]:
    """The rows and sums of each page, as they are in the workbook and as the server has them."""
    for page in details.pages:
        counted = _COUNTED.get(page.key)
        if counted is not None and counted.rows:
            figure = f"{page.name(details.language)} · {_ROWS.sentence(details.language)}"
            yield figure, str(details.rows[page.key]), str(_sum(lists, counted.rows))
    for total, fen in details.sums.items():
        name = _COUNTED[total.page.key].columns.get(total.column) if total.page.key in _COUNTED else None
        if name is not None:
            yield total.title(details.language), format_fen(fen), format_fen(_sum(lists, name))


def _sum(lists: Iterable[ListTotals], name: str) -> int:
    return sum(getattr(one, name) for one in lists)
