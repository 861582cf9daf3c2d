"""The workbook of one settlement statement: what it comes to, and every line down to its payment and bill row.

The same file for finance and for the supplier. Guarantees as of the other workbooks: totals are live formulas beside
control totals, each sheet has its hash, and no file is written from which lines are missing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

from desktop.exporting.cells import Kind
from desktop.exporting.cover import Cover, CoverSheet, Fact, Line
from desktop.exporting.finance_pages import COVER, MODES
from desktop.exporting.grid import Details, Total
from desktop.exporting.proof import digest_of
from desktop.exporting.sheet_writer import SHEET_ROWS, Book
from desktop.exporting.sheets import Column, Page
from desktop.exporting.target import Replacement, check_target
from desktop.exporting.workbook import Written
from shared import channels
from shared.contracts.brought import BroughtForward, BroughtKind
from shared.contracts.settlement import Statement, StatementLine
from shared.errors import KamengError
from shared.money import format_fen
from shared.sentence import Sentence

_KINDS = {"release": Sentence("结算释放", "Release"), "deduction": Sentence("退款扣减", "Deduction")}


class LinesDiffer(KamengError):
    """The lines are not what the statement says. No workbook is written: it would be believed."""

    code = "export.lines_differ"
    status = 409
    zh = (
        "结算单 {number} 的明细合计 {lines} 与结算单的 {statement} 不一致，未生成文件。"
        "请稍后重试；再次出现请联系技术人员。"
    )
    en = "No workbook: the lines of {number} come to {lines}, the statement says {statement}. Try later."


def _channel(line: StatementLine) -> Sentence | None:
    return channels.name(line.payment_channel) if line.payment_channel else None


LINES: Page[StatementLine] = Page(
    "lines",
    ("结算明细", "Lines"),
    (
        Column("kind", "类型", "Kind", Kind.WORD, 12, lambda line: _KINDS[line.kind]),
        Column("order_code", "订单号", "Order", Kind.TEXT, 16),
        Column("sku", "SKU", "SKU", Kind.TEXT, 18),
        Column("title", "商品", "Product", Kind.TEXT, 32),
        Column("quantity", "数量", "Quantity", Kind.COUNT, 8),
        Column("delivered_at", "发货时间", "Delivered", Kind.TIME, 20),
        Column("amount_fen", "订单金额（元）", "Amount", Kind.AMOUNT, 14, total=True),
        Column("discount_fen", "店铺优惠（元）", "Shop's discount", Kind.AMOUNT, 14, total=True),
        Column("fee_fen", "平台服务费（元）", "Platform fee", Kind.AMOUNT, 16, total=True),
        Column("commission_fen", "分销佣金（元）", "Commission", Kind.AMOUNT, 14, total=True),
        Column("net_fen", "结算金额（元）", "Net", Kind.AMOUNT, 14, total=True),
        Column("refunded_fen", "此前已退款（元）", "Refunded before", Kind.AMOUNT, 16),
        Column("lost_fen", "此前争议败诉（元）", "Lost before", Kind.AMOUNT, 18),
        Column("distributor", "分销商", "Distributor", Kind.TEXT, 16),
        Column("refund_no", "退款单号", "Refund", Kind.TEXT, 34),
        Column("dispute_no", "争议单号", "Dispute", Kind.TEXT, 24),
        Column("lots", "卡密批次", "Lots", Kind.TEXT, 28, lambda line: ", ".join(line.lots)),
        Column("payment_channel", "支付渠道", "Channel", Kind.WORD, 12, _channel),
        Column("payment_no", "商户订单号", "Our number", Kind.TEXT, 34),
        Column("provider_no", "渠道流水号", "Channel's number", Kind.TEXT, 32),
        Column("bill_day", "账单日", "Bill of", Kind.DAY, 12),
        Column("bill_row", "账单行", "Bill row", Kind.COUNT, 10),
    ),
)
_TOTALS = [Total(column.zh, column.en, LINES, column.key) for column in LINES.columns if column.total]
_NET = next(total for total in _TOTALS if total.column == "net_fen")


BROUGHT: dict[BroughtKind, Sentence] = {
    "short": Sentence("不够抵扣的结算单", "Short on statement"),
    "dropped": Sentence("作废结算单的结转", "From dropped statement"),
    "adjusted": Sentence("调账", "Adjustment"),
    "lacked": Sentence("打款未到账", "Did not arrive of payout"),
    "given_back": Sentence("分账回退", "Given back of payout"),
    "frozen": Sentence("争议冻结", "Frozen by dispute"),
    "unfrozen": Sentence("争议胜诉解冻", "Given back, won dispute"),
    "lost": Sentence("争议败诉，改由扣减行承担", "Lost dispute, now deducted"),
    "restored": Sentence("退款未成，退回扣减", "Given back, undone refund"),
    "others": Sentence("受其他结算单影响", "Owing to other statements"),
}
"""What a part of what was brought forward comes from; its number follows."""


class StatementWorkbook:
    """A workbook being written: add the lines, then `finish` and `put`.

    Use as a context manager: leaving it without `put` removes everything. May be used from a worker thread. Raises
    what `check_target` raises.
    """

    def __init__(
        self,
        target: Path,
        *,
        statement: Statement,
        cover: Cover,
        brought: Sequence[BroughtForward] = (),
        language: str = "zh",
        sheet_rows: int = SHEET_ROWS,
    ) -> None:
        self._target = check_target(target)
        self._statement, self._cover, self._language = statement, cover, language
        self._brought = brought
        title = f"{_TITLE.sentence(language)} {statement.number}"
        self._left = ExitStack()
        self._file = self._left.enter_context(Replacement(self._target))
        self._book = self._left.enter_context(
            Book(self._file.file, title=title, author=cover.exported_by, made_at=cover.exported_at)
        )
        self._details = Details(
            self._book,
            (LINES,),
            _TOTALS,
            language=language,
            header=statement.number,
            day=statement.day,
            sheet_rows=sheet_rows,
        )

    def add(self, lines: Iterable[StatementLine]) -> None:
        """Lines of the statement, in its order."""
        self._details.add(LINES.key, lines)

    def finish(self) -> Written:
        """Write the cover, which completes the file.

        Raises LinesDiffer, TargetBusy or TargetUnwritable; then nothing is left on the disk.
        """
        self._details.end()
        one, net = self._statement, self._details.sums[_NET]
        if net != net_of(one):
            raise LinesDiffer(number=one.number, lines=format_fen(net), statement=format_fen(net_of(one)))
        self._write_cover()
        self._book.end()
        rows = {LINES.name(self._details.language): self._details.rows[LINES.key]}
        return Written(path=self._target, rows=rows, sha256=digest_of(self._details.parts))

    def put(self) -> None:
        """Put the finished file in its place. Raises TargetBusy or TargetUnwritable."""
        self._file.put()

    def _write_cover(self) -> None:
        language, one = self._language, self._statement
        sheet = CoverSheet(self._book, self._details, COVER[language.startswith("en")], header=one.number)
        sheet.title(f"{_TITLE.sentence(language)} {one.number}")
        sheet.facts(
            [
                Fact("供应商", "Supplier", Kind.TEXT, one.supplier),
                Fact("结算日", "Day", Kind.DAY, one.day),
                Fact("结算方式", "How it is paid", Kind.WORD, MODES[one.mode]),
                Fact("状态", "State", Kind.WORD, one.state),
                Fact("确认时间", "Confirmed at", Kind.TIME, one.confirmed_at),
                *self._cover.facts(),
            ]
        )
        sheet.section(Sentence("结算单", "The statement").sentence(language))
        sheet.facts(_sums(one))
        if self._brought:
            sheet.section(Sentence("上期结转的构成", "What was from before").sentence(language))
            sheet.facts([_part(part) for part in self._brought])
        sheet.section(Sentence("合计核对", "Totals").sentence(language))
        printed = {_NET: net_of(one)}
        lines = [Line(total, printed.get(total, self._details.sums[total])) for total in _TOTALS]
        sheet.lines(lines, printed=Sentence("控制合计", "Control total").sentence(language))
        sheet.section(Sentence("明细与校验值", "Details and what proves them").sentence(language))
        sheet.sheets()
        sheet.note(_RULE.sentence(language))
        sheet.end()

    def __enter__(self) -> StatementWorkbook:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._left.__exit__(kind, error, at)


def net_of(one: Statement) -> int:
    """What its lines come to: what was released, less what was taken of it then and since."""
    return one.release_fen - one.deductions_fen - one.withheld_fen


def _sums(one: Statement) -> Sequence[Fact]:
    return [
        Fact("结算释放（元）", "Released", Kind.AMOUNT, one.release_fen),
        Fact("退款扣减（元）", "Deducted for refunds", Kind.AMOUNT, -one.deductions_fen),
        Fact("上期结转（元）", "From before", Kind.AMOUNT, -one.owed_fen),
        Fact("打款手续费（元）", "Payout fee", Kind.AMOUNT, -one.payout_fee_fen),
        Fact("应付（元）", "Payable", Kind.AMOUNT, one.payable_fen),
        Fact("确认后扣减（元）", "Taken back since", Kind.AMOUNT, -one.withheld_fen),
        Fact("已打款到账（元）", "Paid and arrived", Kind.AMOUNT, one.paid_fen),
    ]


def _part(one: BroughtForward) -> Fact:
    """A part of what was brought forward, for suppliers as for finance: without what the shop alone knows of it."""
    zh, en = (f"{words} {one.number}".strip() for words in BROUGHT[one.kind])
    return Fact(f"{zh}（元）", en, Kind.AMOUNT, one.amount_fen)


_TITLE = Sentence("卡盟 Kameng 结算单", "Kameng settlement statement")
_RULE = Sentence(
    "每行：订单金额 + 店铺优惠 = 结算金额 + 平台服务费 + 分销佣金。扣减的都是负数："
    "结算金额合计 = 结算释放 + 退款扣减 + 确认后扣减；应付 = 结算释放 + 退款扣减 + 上期结转 + 打款手续费，不小于零。"
    "时间为北京时间。",
    "Of each line: amount + discount = settled + fee + commission. What is taken is negative: "
    "settled in all = released + deducted + taken back; payable = released + deducted + from before + fee of the "
    "payout, and never negative. Times are those of Beijing.",
)
