"""What people read of a difference: a word for each side, and why a day cannot be signed yet, in both languages."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from enum import StrEnum

from shared import channels
from shared.finance import BillKind, DifferenceKind
from shared.labels import label, words_of
from shared.money import Fen, format_yuan
from shared.states import AttemptState, RefundState

_KINDS: dict[DifferenceKind, tuple[tuple[str, str], tuple[str, str]]] = {
    # kind: ours, theirs; each in Chinese and English
    DifferenceKind.ONLY_OURS: (("平台有", "we have it"), ("渠道无", "the channel does not")),
    DifferenceKind.ONLY_THEIRS: (("平台无", "we do not have it"), ("渠道有", "the channel has it")),
    DifferenceKind.UNPAID_OURS: (("平台未付", "unpaid here"), ("渠道已付", "paid at the channel")),
    DifferenceKind.AMOUNT: (("平台金额", "our amount"), ("渠道金额", "the channel's amount")),
    DifferenceKind.FEE: (("预计手续费", "fee expected"), ("渠道手续费", "fee taken")),
    DifferenceKind.STATE: (("平台已付", "paid here"), ("渠道已撤销", "undone at the channel")),
    DifferenceKind.DUPLICATE: (("平台一笔", "once here"), ("渠道多付一笔", "once more at the channel")),
    DifferenceKind.DATE_SHIFT: (("平台记在当日", "of this day here"), ("渠道记在邻日", "of another day there")),
    DifferenceKind.FOREIGN: (("不是本店的单", "no order of this shop"), ("渠道有", "the channel has it")),
    DifferenceKind.REFUND_ONLY_OURS: (("平台有退款", "refunded here"), ("渠道无退款", "not at the channel")),
    DifferenceKind.REFUND_ONLY_THEIRS: (("平台无退款", "not refunded here"), ("渠道有退款", "refunded at the channel")),
    DifferenceKind.REFUND_AMOUNT: (("平台退款金额", "our refund"), ("渠道退款金额", "the channel's refund")),
    DifferenceKind.REFUND_STATE: (("平台退款状态", "our refund's state"), ("渠道退款状态", "its state there")),
    DifferenceKind.FUND_ONLY_TRADES: (("交易账单有", "in the trade bill"), ("资金账单无", "not in the fund bill")),
    DifferenceKind.FUND_ONLY_FUNDS: (("交易账单无", "not in the trade bill"), ("资金账单有", "in the fund bill")),
    DifferenceKind.BALANCE: (("推算余额", "balance computed"), ("账单余额", "balance of the bill")),
    DifferenceKind.BOOKED: (("平台已调账", "booked here"), ("账单已一致", "the bill agrees by now")),
}

_WAITS: dict[str, tuple[str, str]] = {
    "missing": ("缺少{bill}", "the {bill} is missing"),
    "not_over": ("这一天还没有结束", "the day is not over"),
    "not_run": ("还没有对账", "it was not reconciled yet"),
    "newer_bill": ("账单有更新，请重新对账", "there is a newer bill: reconcile again"),
    "open": ("还有 {n} 条差异未处理", "{n} differences are not handled yet"),
    "one_open": ("还有 1 条差异未处理", "1 difference is not handled yet"),
    "seen_by_you_alone": (
        "{bill}由您拖入、渠道尚未确认，请另一位同事签署，或重新获取账单",
        "you dropped the {bill}, which the channel has not confirmed: have a colleague sign, or fetch",
    ),
}


def sides(kind: DifferenceKind, language: str) -> tuple[str, str]:
    """What a difference is, in a word for each side."""
    ours, theirs = _KINDS[kind]
    return ours[language.startswith("en")], theirs[language.startswith("en")]


def waits_for(what: str, language: str, *, bills: Sequence[tuple[BillKind, date | None]] = (), n: int = 0) -> str:
    """Why a day cannot be signed. `bills`: which, with their days where these are others."""
    is_english = language.startswith("en")
    named = (" and the " if is_english else "、").join(_bill(kind, of, language) for kind, of in dict.fromkeys(bills))
    what = "one_open" if what == "open" and n == 1 else what
    return _WAITS[what][is_english].format(bill=named, n=n)


def _bill(kind: BillKind, of: date | None, language: str) -> str:
    """A bill within a sentence."""
    name = label(kind, language)
    if language.startswith("en"):
        return name.lower() + (f" of {of}" if of is not None else "")
    return (f"{of} 的" if of is not None else "") + name


_FACTS: dict[str, tuple[str, str]] = {
    "amount": ("金额", "Amount"),
    "asked_at": ("申请时间", "Asked at"),
    "at": ("记账时间", "Booked at"),
    "balance": ("账户结余", "Balance"),
    "bill_row": ("账单行", "Row of the bill"),
    "fee": ("手续费", "Fee"),
    "fund_no": ("资金流水号", "Number of the movement"),
    "kind": ("类型", "Kind"),
    "order_code": ("订单号", "Order"),
    "out_refund_no": ("商户退款单号", "Our refund number"),
    "out_trade_no": ("商户订单号", "Our number"),
    "paid_at": ("支付时间", "Paid at"),
    "provider_no": ("渠道流水号", "Channel's number"),
    "refund_no": ("渠道退款单号", "Channel's refund number"),
    "refunded_at": ("退款到账时间", "Refunded at"),
    "set_aside": ("暂收款", "Set aside"),
    "state": ("状态", "State"),
    "subject": ("商品或备注", "Goods or note"),
}

_EVENTS: dict[str, tuple[str, str]] = {
    "placed": ("下单", "placed the order"),
    "asked": ("向{channel}发起支付", "opened the payment at {channel}"),
    "told": ("发来支付通知", "told us"),
    "paid": ("支付 ¥{yuan}", "paid ¥{yuan}"),
    "billed": ("记在账单第 {n} 行", "has it in row {n} of the bill"),
    "found": ("对账发现差异", "found the difference"),
    "handled": ("{what}：{note}", "decided “{what}”: {note}"),
    "checked": ("复核通过", "approved it"),
    "closed": ("自动配平：账单与平台已一致", "closed it: the bills and our books agree"),
}

_ROW_KINDS: dict[str, tuple[str, str]] = {
    "payment": ("支付", "Payment"),
    "refund": ("退款", "Refund"),
    "trade": ("收款", "Receipt"),
    "fee": ("手续费", "Fee"),
    "fee_returned": ("退还手续费", "Fee given back"),
    "refund_returned": ("退款退回", "Refund that came back"),
    "withdrawal": ("提现", "Withdrawal"),
    "other": ("其他", "Other"),
}

# A state that both sides can be in has one word: beside each other, other words would look like a difference.
_BILL_STATES: dict[str, tuple[str, str]] = {
    "paid": words_of(AttemptState.PAID),
    "reversed": ("已撤销", "Undone"),
    "succeeded": words_of(RefundState.SUCCEEDED),
    "processing": words_of(RefundState.PROCESSING),
    "abnormal": words_of(RefundState.ABNORMAL),
    "failed": ("退款失败", "Refund failed"),
}


class Told:
    """Words of one language for what a difference is about."""

    def __init__(self, language: str) -> None:
        self._language = language
        self._n = language.startswith("en")
        self.buyer, self.shop = ("买家", "the buyer")[self._n], ("店铺", "the shop")[self._n]
        self.channel = ("渠道", "the channel")[self._n]

    def fact(self, name: str) -> str:
        """What a fact is called."""
        return _FACTS[name][self._n]

    def event(self, name: str, **values: str) -> str:
        """What happened."""
        return _EVENTS[name][self._n].format(**values)

    def channel_name(self, code: str) -> str:
        """What a channel is called."""
        return channels.name(code).sentence(self._language)

    def row_kind(self, kind: str) -> str:
        """What a row of a bill is."""
        return _ROW_KINDS[kind][self._n]

    def bill_state(self, state: str) -> str | None:
        """What a trade bill says of a row; None in a fund bill."""
        return _BILL_STATES[state][self._n] if state else None

    def word(self, state: StrEnum) -> str:
        """The word of a state, step or action."""
        return label(state, self._language)

    @staticmethod
    def yuan(fen: Fen | None) -> str | None:
        """An amount."""
        return None if fen is None else format_yuan(fen)
