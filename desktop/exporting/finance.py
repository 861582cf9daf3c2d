"""The finance workbook of a period: what channels and books say, match by match, and what is settled (payments.md 8.3).

Guarantees as the day's workbook has them: rows stream in, the file appears complete or not at all, every total on the
cover is a live formula beside a printed control total, and the file proves itself (`verify`). The control totals are
the server's own sums where it has them, and no file is written from which rows are missing that it counted; others are
added up in integers of fen, while the formulas add up what is in the cells.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from types import TracebackType
from typing import Any

from desktop.exporting import control
from desktop.exporting.cells import Kind
from desktop.exporting.cover import Cover, CoverSheet, Fact, Line
from desktop.exporting.finance_pages import COVER, FINANCE_PAGES, Carried, Movement, Source
from desktop.exporting.grid import Details, Total
from desktop.exporting.layouts import Layout, arranged
from desktop.exporting.proof import digest_of
from desktop.exporting.sheet_writer import SHEET_ROWS, Book
from desktop.exporting.sheets import Page
from desktop.exporting.target import Replacement, check_target
from desktop.exporting.workbook import Written
from shared import channels
from shared.contracts.bank import Sweep
from shared.contracts.reconcile import Difference, FundRow, ReconciledDay
from shared.contracts.reports import ReconciledLists
from shared.finance import AdjustmentState, BillKind, DayState, DifferenceAction, DifferenceState, SweepState
from shared.money import format_fen
from shared.sentence import Sentence


@dataclass(frozen=True, slots=True)
class Period:
    """What a workbook is about: the days, and the channels (none: all of them)."""

    first: date
    last: date
    channels: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The days in words."""
        days = dict.fromkeys((self.first.isoformat(), self.last.isoformat()))
        return " – ".join(days)


class FinanceWorkbook:
    """A workbook being written: add the rows of `keys` one after the other, then `finish` and `put`.

    Use as a context manager: leaving it without `put` removes everything. May be used from a worker thread. Raises
    what `check_target` and `arranged` raise.
    """

    def __init__(
        self,
        target: Path,
        *,
        period: Period,
        cover: Cover,
        layout: Layout | None = None,
        layout_name: str = "",
        language: str = "zh",
        sheet_rows: int = SHEET_ROWS,
    ) -> None:
        self._pages = arranged(FINANCE_PAGES, layout, language) if layout else FINANCE_PAGES
        self._layout_name = layout_name
        self._target = check_target(target)
        self._period = period
        self._cover = cover
        self._english = language.startswith("en")
        self._left = ExitStack()
        self._file = self._left.enter_context(Replacement(self._target))
        self._book = self._left.enter_context(
            Book(
                self._file.file,
                title=f"{_TITLE.sentence(language)} {period.text}",
                author=cover.exported_by,
                made_at=cover.exported_at,
            )
        )
        self._totals = list(_totals(self._pages))
        self._details = Details(
            self._book,
            self._pages,
            self._totals,
            language=language,
            header=period.text,
            day=period.last,
            sheet_rows=sheet_rows,
        )

    @property
    def keys(self) -> list[str]:
        """The pages whose rows are wanted, in the order in which they are."""
        return [page.key for page in self._pages]

    def add(self, key: str, rows: Iterable[Any]) -> None:
        """Rows of a page. Raises ValueError when a later page has begun."""
        self._details.add(key, rows)

    def finish(self, days: Sequence[ReconciledDay], lists: ReconciledLists) -> Written:
        """Write the cover over these days, which completes the file. `lists`: what the server counts in them.

        Raises ListsDiffer, TargetBusy or TargetUnwritable; then nothing is left on the disk.
        """
        self._details.end()
        control.check(self._details, days, lists.days, period=self._period.text)
        self._write_cover(days, lists)
        self._book.end()
        rows = {page.name(self._details.language): self._details.rows[page.key] for page in self._pages}
        return Written(path=self._target, rows=rows, sha256=digest_of(self._details.parts))

    def put(self) -> None:
        """Put the finished file in its place. Raises TargetBusy or TargetUnwritable."""
        self._file.put()

    def _write_cover(self, days: Sequence[ReconciledDay], lists: ReconciledLists) -> None:
        language = self._details.language
        sheet = CoverSheet(self._book, self._details, COVER[self._english], header=self._period.text)
        sheet.title(_TITLE.sentence(language))
        signed = sum(day.state is DayState.SIGNED for day in days)
        still_open = sum(one.open for day in days for one in day.differences)
        names = [channels.name(code).sentence(language) for code in self._period.channels]
        sheet.facts(
            [
                Fact("账期", "Period", Kind.TEXT, self._period.text),
                Fact("渠道", "Channels", Kind.TEXT, _AND.sentence(language).join(names) or _ANY.sentence(language)),
                Fact("版式", "Layout", Kind.TEXT, self._shown(language)),
                Fact("数据截至", "Data as of", Kind.TIME, lists.as_of),
                Fact("数据位置", "Position", Kind.COUNT, lists.position),
                *self._cover.facts(),
                Fact("已签账期", "Days signed", Kind.TEXT, f"{signed} / {len(days)}"),
                Fact("未处理差异", "Differences still open", Kind.COUNT, still_open),
            ]
        )
        sheet.section(Sentence("合计核对", "Totals").sentence(language))
        told = control.printed(days, lists.days)
        lines = [
            Line(total, told.get((total.page.key, total.column), self._details.sums[total])) for total in self._totals
        ]
        sheet.lines(lines, printed=Sentence("控制合计", "Control total").sentence(language))
        sheet.section(Sentence("明细与校验值", "Details and what proves them").sentence(language))
        sheet.sheets()
        sheet.signed_by(
            Sentence("制表人 / 日期", "Made by / date").sentence(language),
            Sentence("复核人 / 日期", "Checked by / date").sentence(language),
        )
        sheet.end()

    def _shown(self, language: str) -> str:
        """Which layout it is in, and what that leaves out."""
        usual = {page.key: page for page in FINANCE_PAGES}
        left_out = {
            _SHEETS: len(usual) - len(self._pages),
            _COLUMNS: sum(len(usual[page.key].columns) - len(page.columns) for page in self._pages),
        }
        parts = [what.sentence(language).format(n=n) for what, n in left_out.items() if n]
        said = _LEFT_OUT.sentence(language).format(what=_AND.sentence(language).join(parts)) if parts else ""
        return f"{self._layout_name}{said}" or _ALL.sentence(language)

    def __enter__(self) -> FinanceWorkbook:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._left.__exit__(kind, error, at)


_ALL = Sentence("全部工作表和列", "all sheets and columns")
_LEFT_OUT = Sentence("（未列出 {what}）", " (left out: {what})")
_SHEETS, _COLUMNS = Sentence("{n} 张工作表", "{n} sheets"), Sentence("{n} 列", "{n} columns")
_AND = Sentence("、", ", ")
_ANY = Sentence("全部渠道", "all channels")
_TITLE = Sentence("卡盟 Kameng 财务对账单", "Kameng finance workbook")


def _totals(pages: Sequence[Page[Any]]) -> Iterator[Total]:
    for page in pages:
        for column in page.columns:
            if column.total:
                zh, en = column.title("zh"), column.title("en")
                yield Total(f"{page.name('zh')} · {zh}", f"{page.name('en')} · {en}", page, column.key)


# --- rows that are made of others ---------------------------------------------------------------------------------

_CARRIED_IN = Sentence("转入", "Carried in")
_CARRIED_OUT = Sentence("转出", "Carried out")
_OPENING = Sentence("期初余额", "Opening")
_CLOSING = Sentence("期末余额", "Closing")
_ARRIVED = Sentence("银行到账", "Arrived")
_FUND_KINDS = {
    "trade": Sentence("交易", "Payment"),
    "refund": Sentence("退款", "Refund"),
    "fee": Sentence("手续费", "Fee"),
    "fee_returned": Sentence("手续费退回", "Fee returned"),
    "refund_returned": Sentence("退款退回", "Refund returned"),
    "withdrawal": Sentence("提现", "Withdrawal"),
    "other": Sentence("其他", "Other"),
}


class CarriedOver:
    """What a period got from earlier days and leaves to later ones; what its own days took up again is neither.

    Give it the differences by day, then ask what is left.
    """

    def __init__(self, period: Period) -> None:
        self._first = period.first
        self._waiting: dict[tuple[Any, ...], Difference] = {}

    def came(self, differences: Iterable[Difference]) -> Iterator[Carried]:
        """Those that were carried in from before the period."""
        for one in differences:
            first = one.carried_from or one.day
            numbers = (one.out_trade_no, one.provider_no, one.out_refund_no)
            chain = (one.channel, first, one.kind, *numbers, one.ours_fen, one.theirs_fen)
            # A day takes up what the last one carried: known here already, unless that was before the period.
            if self._waiting.pop(chain, None) is None and first < self._first:
                yield Carried(_CARRIED_IN, one)
            if one.action is DifferenceAction.CARRY and one.state is DifferenceState.RESOLVED:
                self._waiting[chain] = one

    def left(self) -> Iterator[Carried]:
        """Those that people carried on, and that no day of the period took up."""
        for one in self._waiting.values():
            yield Carried(_CARRIED_OUT, one)


_BOOKED = frozenset({SweepState.BOOKED, SweepState.REVERSING})


def opening(day: ReconciledDay) -> Iterator[Movement]:
    """What was at the channel before the day's movements, where its fund bill says so."""
    if day.balance is not None:
        yield _movement(day, _OPENING, balance_fen=day.balance.opening_fen)


def moved(day: ReconciledDay, rows: Iterable[FundRow]) -> Iterator[Movement]:
    """The rows of the day's fund bill."""
    for row in rows:
        yield Movement(
            day.day,
            day.channel,
            _FUND_KINDS.get(row.kind, row.kind),
            row.at,
            row.fund_no,
            row.provider_no,
            row.amount_fen,
            row.balance_fen,
            None,
            row.out_trade_no,
            row.order_code,
            row.note,
            row.arrival or "",
        )


def closing(day: ReconciledDay, sweeps: Iterable[Sweep]) -> Iterator[Movement]:
    """What was there after them, and what of ours came to the bank for the day, as far as it is booked."""
    if day.balance is not None:
        yield _movement(day, _CLOSING, balance_fen=day.balance.closing_fen)
    for sweep in sweeps:
        if sweep.state in _BOOKED:
            told = [sweep.arrived_on.isoformat(), sweep.recorded_by]
            if len(sweep.parts) > 1:
                told.append(f"¥{format_fen(sweep.amount_fen)} / {len(sweep.parts)}")
            ours_fen = sum(part.fen for part in sweep.parts if part.day == day.day)
            paired, note = sweep.withdrawal or "", " ".join(told)
            yield _movement(day, _ARRIVED, number=sweep.reference, arrived_fen=ours_fen, note=note, paired=paired)


def _movement(day: ReconciledDay, what: Sentence, **given: Any) -> Movement:
    facts: Mapping[str, Any] = {
        "at": None,
        "number": "",
        "provider_no": "",
        "amount_fen": None,
        "balance_fen": None,
        "arrived_fen": None,
        "out_trade_no": "",
        "order_code": None,
        "note": "",
    }
    return Movement(day.day, day.channel, what, **{**facts, **given})


def sources(days: Iterable[ReconciledDay]) -> Iterator[Source]:
    """The rules of the figures; then, by day, the bills they were made of and those that came too late, the signature
    over them, and what was corrected since."""
    for topic, rule in _RULES:
        yield Source(topic, rule)
    for day in days:
        of_day: dict[str, Any] = {"day": day.day, "channel": day.channel}
        for bill in day.bills:
            if bill.is_current or bill.is_late:
                topic = _BILLS[bill.kind, bill.is_late]
                said = _NO_BILL if bill.source == "none" else bill.name
                yield Source(
                    topic, said, bill.rows, **of_day, by=_who(bill.added_by), sha1=bill.sha1, sha256=bill.sha256
                )
        signed = day.signature
        if signed is not None:
            yield Source(_SIGNED, signed.note, **of_day, by=signed.signed_by, sha256=signed.outputs_sha256)
            for kind in signed.without:
                yield Source(_SIGNED_WITHOUT, _BILLS[kind, False], **of_day, by=signed.signed_by)
        for one in day.corrections:
            topic = _CORRECTIONS[one.state]
            yield Source(topic, one.reason, **of_day, by=one.proposed_by, amount_fen=one.psp_fen)


def _who(actor: str) -> Sentence | str:
    """Who brought a bill: a channel by its name, or a person."""
    party, _, which = actor.partition(":")
    return channels.name(which) if party == "channel" and which else actor


_SIGNED = Sentence("签署", "Signature")
_SIGNED_WITHOUT = Sentence("签署时没有", "Signed without")
_NO_BILL = Sentence("渠道答复：当日没有账单", "The channel says that it has none of this day")
_BILLS = {
    (BillKind.TRADES, False): Sentence("交易账单", "Trade bill"),
    (BillKind.TRADES, True): Sentence("迟到的交易账单", "Late trade bill"),
    (BillKind.FUNDS, False): Sentence("资金账单", "Fund bill"),
    (BillKind.FUNDS, True): Sentence("迟到的资金账单", "Late fund bill"),
}
_CORRECTIONS = {
    AdjustmentState.PROPOSED: Sentence("更正（待复核）", "Correction, not approved yet"),
    AdjustmentState.POSTED: Sentence("更正", "Correction"),
    AdjustmentState.REFUSED: Sentence("更正（未通过）", "Correction, refused"),
}
_RULES = (
    (
        Sentence("账期", "Day"),
        Sentence("账期为北京时间 00:00 至 24:00；时间均为北京时间。", "Days and times are those of Beijing."),
    ),
    (
        Sentence("交易明细", "Payments"),
        Sentence(
            "平台与渠道账单逐笔匹配：先按渠道流水号，再按商户订单号；相邻账期的跨日交易自动配平。",
            "Our payments matched with the channel's bill: by its number, then by ours; dates may shift by a day.",
        ),
    ),
    (
        Sentence("应结净额", "Net due"),
        Sentence(
            "应结净额 = 渠道应结 − 手续费 − 外来单；渠道应结为渠道交易减退款，渠道承担的优惠除外。",
            "Net due = settled − fees − others' money; settled: payments less refunds, without the channel's coupons.",
        ),
    ),
    (
        Sentence("未到账", "Not arrived"),
        Sentence(
            "未到账 = 应结净额 + 更正（调账、记账的流水、迟到账单） − 实际到账；一笔几天的到账，每天列它的那份。",
            "Not arrived = net due + corrections (adjustments, booked movements, late bills) − arrived; an arrival of "
            "many days is listed by its parts.",
        ),
    ),
    (
        Sentence("差额", "Off by"),
        Sentence(
            "差额 = 渠道金额 − 平台金额；没有的一方按 0 计。",
            "Off by = the channel's amount − ours; a missing side is 0.",
        ),
    ),
    (
        Sentence("手续费", "Fees"),
        Sentence(
            "以渠道账单为准，负数为退回；实际费率 = 渠道手续费 ÷ 渠道交易金额。",
            "As the bill has them; rate = fees ÷ payments.",
        ),
    ),
    (
        Sentence("控制合计", "Control totals"),
        Sentence(
            "封面的控制合计：交易、退款、差异为服务器对同一明细的合计，资金流水与到账为余额和到账记录，其余按整数（分）累加；"
            "公式对单元格求和，两者应当一致。",
            "Payments, refunds and differences: the server's sums of the same lists; funds and arrivals: balances and "
            "what was booked; others are added up in fen. The formulas add up the cells; both have to agree.",
        ),
    ),
)
