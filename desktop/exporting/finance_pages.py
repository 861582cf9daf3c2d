"""The sheets of the finance workbook (payments.md 8.3), in their order, as tables of columns.

Rows that do not say of which channel's day they are come as `Of`. What the cover adds up is marked, and stays in every
layout.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from operator import attrgetter
from typing import Any, Generic, NamedTuple, TypeVar

from desktop.exporting.cells import Kind
from desktop.exporting.sheets import Column, Page
from shared import channels
from shared.contracts.reconcile import Difference, Match, ReconciledDay, RefundMatch
from shared.contracts.settlement import Statement
from shared.finance import DifferenceKind
from shared.money import PPM
from shared.sentence import Sentence
from shared.states import RefundState

T = TypeVar("T")

COVER = ("封面", "Cover")
"""The name of the cover, which no sheet may have."""


class Of(NamedTuple, Generic[T]):
    """A row of a channel's day."""

    day: date
    channel: str
    row: T


class Carried(NamedTuple):
    """A difference that waits for another day: come in from an earlier one, or gone out of the period still open."""

    direction: Sentence
    difference: Difference


class Movement(NamedTuple):
    """A line of the money at a channel: opening, each row of the fund bill, closing, and what came to the bank.

    `paired` is the bank's number of a withdrawal, and of an arrival that of the withdrawal.
    """

    day: date
    channel: str
    what: Sentence | str
    at: datetime | None
    number: str
    provider_no: str
    amount_fen: int | None
    balance_fen: int | None
    arrived_fen: int | None
    out_trade_no: str
    order_code: str | None
    note: str
    paired: str = ""


class Commission(NamedTuple):
    """What one order line gave its distributor."""

    order_code: str
    distributor: str
    sku: str
    title: str
    supplier: str
    delivered_at: datetime
    amount_fen: int
    commission_fen: int
    statement: str


class Source(NamedTuple):
    """By which rules the figures are, and what they were made of: a sentence, a bill's file, a signature, a correction.

    `amount_fen`: how much more the channel owes by a correction.
    """

    topic: Sentence
    said: Sentence | str
    rows: int | None = None
    day: date | None = None
    channel: str = ""
    by: Sentence | str = ""
    sha1: str = ""
    sha256: str = ""
    amount_fen: int | None = None


_USUAL: dict[str, tuple[str, str, Kind, int]] = {
    "day": ("账期", "Day", Kind.DAY, 12),
    "channel": ("渠道", "Channel", Kind.WORD, 12),
    "order_code": ("平台订单号", "Order", Kind.TEXT, 16),
    "out_trade_no": ("商户订单号", "Our number", Kind.TEXT, 34),
    "provider_no": ("渠道流水号", "Channel's number", Kind.TEXT, 32),
    "out_refund_no": ("商户退款单号", "Our refund number", Kind.TEXT, 34),
    "title": ("商品", "Product", Kind.TEXT, 28),
    "supplier": ("供应商", "Supplier", Kind.TEXT, 16),
    "distributor": ("分销商", "Distributor", Kind.TEXT, 16),
    "number": ("差异编号", "Number", Kind.TEXT, 18),
    "kind": ("类型", "Kind", Kind.WORD, 18),
    "ours_fen": ("平台金额（元）", "Our amount", Kind.AMOUNT, 15),
    "theirs_fen": ("渠道金额（元）", "Channel's amount", Kind.AMOUNT, 15),
    "off_by_fen": ("差额（元）", "Off by", Kind.AMOUNT, 13),
    "state": ("状态", "State", Kind.WORD, 12),
    "note": ("备注", "Note", Kind.TEXT, 36),
}
"""Columns that several sheets have alike."""


def _usual(*keys: str, of: str = "") -> tuple[Column[Any], ...]:
    """Some of them; their values are attributes of the row, or of its attribute `of`."""
    return tuple(Column(key, *_USUAL[key], _value(key, f"{of}.{key}" if of else key)) for key in keys)


def _value(key: str, path: str) -> Callable[[Any], Any]:
    read = attrgetter(path)
    return (lambda row: channels.name(read(row))) if key == "channel" else read


def _in(row: str) -> Callable[..., Column[Any]]:
    """A maker of columns whose values are attributes of an attribute of the row."""

    def column(key: str, zh: str, en: str, kind: Kind, width: int, *, total: bool = False) -> Column[Any]:
        return Column(key, zh, en, kind, width, attrgetter(f"{row}.{key}"), total=total)

    return column


def _side(side: str, zh: str, en: str) -> tuple[Column[ReconciledDay], ...]:
    parts = (
        ("payments", "笔数", "payments", Kind.COUNT, 10),
        ("payments_fen", "金额（元）", "amount", Kind.AMOUNT, 15),
        ("refunds", "退款笔数", "refunds", Kind.COUNT, 12),
        ("refunds_fen", "退款金额（元）", "refunded", Kind.AMOUNT, 16),
    )
    return tuple(
        Column(
            f"{side}_{key}",
            zh + title,
            f"{en} {told}",
            kind,
            width,
            attrgetter(f"{side}.{key}"),
            total=kind is Kind.AMOUNT,
        )
        for key, title, told, kind, width in parts
    )


def _merchant(day: ReconciledDay) -> str:
    return next((bill.merchant_id for bill in day.bills if bill.merchant_id), "")


def _signed(key: str) -> Callable[[ReconciledDay], Any]:
    return lambda day: getattr(day.signature, key) if day.signature else None


def _short(day: ReconciledDay) -> int:
    return day.net_fen + day.corrected_fen - day.arrived_fen


def _fee_differences(day: ReconciledDay) -> int:
    return sum(one.open + one.closed for one in day.differences if one.kind is DifferenceKind.FEE)


DAYS: Page[ReconciledDay] = Page(
    "days",
    ("对账汇总", "Reconciliation"),
    (
        *_usual("day", "channel"),
        Column("merchant_id", "商户号", "Merchant", Kind.TEXT, 16, _merchant),
        *_side("ours", "平台", "Our"),
        *_side("theirs", "渠道", "Channel's"),
        Column("settled_fen", "渠道应结（元）", "Settled", Kind.AMOUNT, 16, attrgetter("theirs.settled_fen")),
        Column("fees_fen", "手续费（元）", "Fees", Kind.AMOUNT, 14, attrgetter("theirs.fees_fen"), total=True),
        Column("foreign", "外来单笔数", "Others' rows", Kind.COUNT, 12),
        Column("foreign_fen", "外来单金额（元）", "Others' money", Kind.AMOUNT, 16),
        Column("net_fen", "应结净额（元）", "Net due", Kind.AMOUNT, 16, total=True),
        Column("corrected_fen", "更正（元）", "Corrected", Kind.AMOUNT, 14, total=True),
        Column("arrived_fen", "实际到账（元）", "Arrived", Kind.AMOUNT, 16, total=True),
        Column("short_fen", "未到账（元）", "Not arrived", Kind.AMOUNT, 16, _short, total=True),
        Column(
            "differences",
            "差异笔数",
            "Differences",
            Kind.COUNT,
            10,
            lambda day: sum(one.open + one.closed for one in day.differences),
        ),
        Column(
            "differences_open",
            "未处理差异",
            "Still open",
            Kind.COUNT,
            12,
            lambda day: sum(one.open for one in day.differences),
        ),
        Column(
            "differences_open_fen",
            "未处理金额（元）",
            "Open amount",
            Kind.AMOUNT,
            16,
            lambda day: sum(one.open_fen for one in day.differences),
            total=True,
        ),
        Column("closed_themselves", "自动配平笔数", "Auto-matched", Kind.COUNT, 14),
        *_usual("state"),
        Column("signed_by", "签署人", "Signed by", Kind.TEXT, 16, _signed("signed_by")),
        Column("signed_at", "签署时间", "Signed at", Kind.TIME, 20, _signed("signed_at")),
    ),
)

_MATCHED_BY: dict[str, Sentence] = {
    "provider_no": Sentence("渠道流水号", "Channel's number"),
    "out_trade_no": Sentence("商户订单号", "Our number"),
    "date_shift": Sentence("跨日配平", "Date shift"),
}
_row = _in("row")
MATCHES: Page[Of[Match]] = Page(
    "matches",
    ("交易明细", "Matched payments"),
    (
        *_usual("day", "channel"),
        _row("paid_at", "支付时间", "Paid", Kind.TIME, 20),
        *_usual("order_code", "out_trade_no", "provider_no", "title", "supplier", "distributor", of="row"),
        _row("amount_fen", "订单金额（元）", "Amount", Kind.AMOUNT, 15),
        _row("discount_fen", "优惠（元）", "Discount", Kind.AMOUNT, 12),
        _row("paid_fen", "实付（元）", "Paid amount", Kind.AMOUNT, 14, total=True),
        _row("fee_fen", "手续费（元）", "Fee", Kind.AMOUNT, 14, total=True),
        _row("fee_ppm", "费率", "Rate", Kind.RATE, 9),
        _row("net_fen", "净额（元）", "Net", Kind.AMOUNT, 14, total=True),
        Column("matched_by", "匹配方式", "Matched by", Kind.WORD, 16, lambda of: _MATCHED_BY[of.row.matched_by]),
        _row("bill_row", "账单行号", "Bill row", Kind.COUNT, 10),
    ),
)
REFUNDS: Page[Of[RefundMatch]] = Page(
    "refunds",
    ("退款明细", "Refunds"),
    (
        *_usual("day", "channel"),
        _row("asked_at", "申请时间", "Asked", Kind.TIME, 20),
        _row("succeeded_at", "成功时间", "Succeeded", Kind.TIME, 20),
        *_usual("order_code", of="row"),
        _row("out_trade_no", "原商户订单号", "Our number", Kind.TEXT, 34),
        *_usual("out_refund_no", of="row"),
        _row("provider_refund_no", "渠道退款单号", "Channel's refund number", Kind.TEXT, 32),
        _row("amount_fen", "退款金额（元）", "Amount", Kind.AMOUNT, 15, total=True),
        _row("fee_returned_fen", "退回手续费（元）", "Fee returned", Kind.AMOUNT, 16, total=True),
        _row("confirmed_by", "供应商确认人", "Confirmed by", Kind.TEXT, 16),
        _row("confirmed_at", "确认时间", "Confirmed at", Kind.TIME, 20),
        Column("state", "状态", "State", Kind.WORD, 12, lambda of: RefundState(of.row.state)),
        _row("bill_row", "账单行号", "Bill row", Kind.COUNT, 10),
    ),
)

DIFFERENCES: Page[Difference] = Page(
    "differences",
    ("差异明细", "Differences"),
    (
        *_usual("number", "day", "channel", "kind"),
        Column("again_of", "承接差异", "Goes on from", Kind.TEXT, 18),
        Column("ours_words", "平台情况", "Our side", Kind.TEXT, 30),
        Column("theirs_words", "渠道情况", "Channel's side", Kind.TEXT, 30),
        *_usual("ours_fen", "theirs_fen"),
        Column("off_by_fen", "差额（元）", "Off by", Kind.AMOUNT, 13, total=True),
        *_usual("order_code", "out_trade_no", "provider_no", "out_refund_no"),
        Column("found_at", "发现时间", "Found", Kind.TIME, 20),
        Column("proposed_action", "建议处理", "Advised", Kind.WORD, 18),
        Column("action", "处理方式", "Action", Kind.WORD, 18),
        Column("state", "处理状态", "State", Kind.WORD, 12),
        Column("handled_by", "经办", "Handled by", Kind.TEXT, 14),
        Column("handled_at", "经办时间", "Handled at", Kind.TIME, 20),
        Column("checked_by", "复核", "Checked by", Kind.TEXT, 14),
        Column("checked_at", "复核时间", "Checked at", Kind.TIME, 20),
        *_usual("note"),
    ),
)

_difference = _in("difference")
CARRIED: Page[Carried] = Page(
    "carried",
    ("跨日挂账", "Carried over"),
    (
        Column("direction", "方向", "Direction", Kind.WORD, 10),
        *_usual("number", "day", of="difference"),
        _difference("carried_from", "转自账期", "From day", Kind.DAY, 12),
        *_usual("channel", "kind", "ours_fen", "theirs_fen", "off_by_fen", of="difference"),
        *_usual("out_trade_no", "provider_no", of="difference"),
        _difference("state", "处理状态", "State", Kind.WORD, 12),
        *_usual("note", of="difference"),
    ),
)

FEES: Page[ReconciledDay] = Page(
    "fees",
    ("手续费核对", "Fees"),
    (
        *_usual("day", "channel"),
        Column("payments", "渠道笔数", "Payments", Kind.COUNT, 10, attrgetter("theirs.payments")),
        Column(
            "payments_fen",
            "渠道交易金额（元）",
            "Amount",
            Kind.AMOUNT,
            18,
            attrgetter("theirs.payments_fen"),
        ),
        Column("ours", "平台手续费（元）", "Our fees", Kind.AMOUNT, 16, attrgetter("ours.fees_fen")),
        Column("theirs", "渠道手续费（元）", "Channel's fees", Kind.AMOUNT, 16, attrgetter("theirs.fees_fen")),
        Column(
            "off_by_fen",
            "差额（元）",
            "Off by",
            Kind.AMOUNT,
            13,
            lambda day: day.theirs.fees_fen - day.ours.fees_fen,
            total=True,
        ),
        Column(
            "rate",
            "实际费率",
            "Rate",
            Kind.RATE,
            11,
            lambda day: day.theirs.fees_fen * PPM // day.theirs.payments_fen if day.theirs.payments_fen else None,
        ),
        Column("differences", "手续费差异笔数", "Fee differences", Kind.COUNT, 16, _fee_differences),
    ),
)

FUNDS: Page[Movement] = Page(
    "funds",
    ("资金流水与银行到账", "Funds and arrivals"),
    (
        *_usual("day", "channel"),
        Column("what", "类型", "What", Kind.WORD, 14),
        Column("at", "时间", "At", Kind.TIME, 20),
        Column("number", "流水号", "Number", Kind.TEXT, 32),
        *_usual("provider_no"),
        Column("amount_fen", "收支金额（元）", "Amount", Kind.AMOUNT, 15, total=True),
        Column("balance_fen", "账户余额（元）", "Balance", Kind.AMOUNT, 15),
        Column("arrived_fen", "银行到账（元）", "Arrived", Kind.AMOUNT, 15, total=True),
        Column("paired", "对应流水号", "Paired with", Kind.TEXT, 32),
        *_usual("out_trade_no", "order_code", "note"),
    ),
)

MODES = {"profit_sharing": Sentence("分账", "Profit sharing"), "purchase": Sentence("经销", "Purchase")}
STATEMENTS: Page[Statement] = Page(
    "statements",
    ("供应商结算", "Supplier statements"),
    (
        Column("number", "结算单号", "Statement", Kind.TEXT, 20),
        *_usual("supplier"),
        Column("day", "结算日", "Day", Kind.DAY, 12),
        Column("mode", "结算方式", "How it is paid", Kind.WORD, 12, lambda row: MODES[row.mode]),
        Column("lines", "行数", "Lines", Kind.COUNT, 8),
        Column("release_fen", "应结（元）", "Released", Kind.AMOUNT, 14),
        Column("deductions_fen", "扣款（元）", "Deductions", Kind.AMOUNT, 14),
        Column("owed_fen", "抵扣欠款（元）", "Owed", Kind.AMOUNT, 14),
        Column("payout_fee_fen", "打款手续费（元）", "Payout fee", Kind.AMOUNT, 16),
        Column("payable_fen", "应付（元）", "Payable", Kind.AMOUNT, 14, total=True),
        Column("withheld_fen", "打款前扣回（元）", "Withheld", Kind.AMOUNT, 16),
        Column("paid_fen", "已付（元）", "Paid", Kind.AMOUNT, 14),
        *_usual("state"),
        Column("made_by", "制单", "Made by", Kind.TEXT, 14),
        Column("made_at", "制单时间", "Made at", Kind.TIME, 20),
        Column("confirmed_by", "确认", "Confirmed by", Kind.TEXT, 14),
        Column("confirmed_at", "确认时间", "Confirmed at", Kind.TIME, 20),
        Column("paid_at", "打款时间", "Paid at", Kind.TIME, 20),
    ),
)

COMMISSIONS: Page[Commission] = Page(
    "commissions",
    ("分销佣金", "Commissions"),
    (
        *_usual("order_code", "distributor"),
        Column("sku", "SKU", "SKU", Kind.TEXT, 16),
        *_usual("title", "supplier"),
        Column("delivered_at", "发货时间", "Delivered", Kind.TIME, 20),
        Column("amount_fen", "实付（元）", "Amount", Kind.AMOUNT, 14),
        Column("commission_fen", "佣金（元）", "Commission", Kind.AMOUNT, 14, total=True),
        Column("statement", "结算单号", "Statement", Kind.TEXT, 20),
    ),
)

SOURCES: Page[Source] = Page(
    "sources",
    ("说明", "Sources and rules"),
    (
        Column("topic", "项目", "Topic", Kind.WORD, 14),
        Column("said", "内容", "What", Kind.WORD, 96),
        Column("rows", "条数", "Rows", Kind.COUNT, 10),
        *_usual("day", "channel"),
        Column("by", "来源", "By", Kind.WORD, 16),
        Column("amount_fen", "更正金额（元）", "Corrected by", Kind.AMOUNT, 15),
        Column("sha1", "SHA-1", "SHA-1", Kind.TEXT, 46),
        Column("sha256", "SHA-256", "SHA-256", Kind.TEXT, 70),
    ),
)

FINANCE_PAGES: tuple[Page[Any], ...] = (
    DAYS,
    MATCHES,
    REFUNDS,
    DIFFERENCES,
    CARRIED,
    FEES,
    FUNDS,
    STATEMENTS,
    COMMISSIONS,
    SOURCES,
)
