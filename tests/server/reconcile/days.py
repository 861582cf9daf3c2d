"""A made-up day of orders on both sides, and alterations of it, each with the differences that it must lead to.

Bills are written as real files by the sandbox's writers, which share no code with the readers.
"""

import io
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta

from server.gateways.bill_lines import opened
from server.sandbox import bills_alipay, bills_wechat
from server.sandbox.bills import BillLine, fee_of
from shared import clock, ids
from shared.finance import DifferenceAction as A
from shared.finance import DifferenceKind as K
from tests.server.reconcile.books import Books, our_payment, our_refund, run

DAY = date(2026, 6, 1)
MERCHANTS = {"wechat": "1900000001", "alipay": "2088101000000001"}
REFUND_EVERY = 5
_MIDNIGHT = datetime.combine(DAY, datetime.min.time(), clock.SHOP_ZONE)
_SUBJECTS = ("点卡, 100 元", "游戏点卡50元", "年卡㐂", "课程体验卡", "软件授权 标准版")


def _ms(at):
    return int(at.timestamp()) * 1000


@dataclass
class Day:
    """One day of a channel: the lines of its bill, those of the next day's, and our rows, by order."""

    channel: str
    orders: int
    lines: dict = field(default_factory=dict)
    refunds: dict = field(default_factory=dict)
    ours: dict = field(default_factory=dict)
    our_refunds: dict = field(default_factory=dict)
    more: list = field(default_factory=list)
    next_day: list = field(default_factory=list)

    def __post_init__(self):
        for n in range(self.orders):
            self._order(n)

    def _order(self, n):
        amount, at = 100 + n * 7 % 9_000, _MIDNIGHT + timedelta(seconds=60 + n * 80_000 // self.orders)
        number, provider_no = f"019e7e{n:06x}7{n % 0x1000:03x}8{n:015x}", f"42000011{DAY:%Y%m%d}{n:012d}"
        line = BillLine(
            kind="payment", at_ms=_ms(at), created_at_ms=_ms(at) - 20_000, provider_no=provider_no, out_trade_no=number,
            amount_fen=amount, fee_fen=fee_of(amount), subject=_SUBJECTS[n % 5], app_id="wx1", product="qr", payer="o1",
        )  # fmt: skip
        self.lines[n] = line
        self.ours[n] = our_payment(number, provider_no, amount, at, fee_fen=line.fee_fen)
        if n % REFUND_EVERY:
            return
        later, back = at + timedelta(minutes=30), amount // 2
        refund_no = f"50300000{DAY:%Y%m%d}{n:012d}" if self.channel == "wechat" else ""
        self.refunds[n] = replace(
            line, kind="refund", at_ms=_ms(later), ends_at_ms=_ms(later), amount_fen=back, fee_fen=fee_of(back),
            refund_no=refund_no, out_refund_no=_refund_of(number),
        )  # fmt: skip
        returned = -round(line.fee_fen * back / amount)
        self.our_refunds[n] = our_refund(
            number, _refund_of(number), refund_no, back, later, ended_at=later, fee_fen=returned
        )

    def altered(self, alteration, n):
        """Change order `n`; answers what must be found, each as kind, our number, and both sides' fen."""
        found = ALTERATIONS[alteration](self, n)
        return found if isinstance(found, list) else [found]

    def bill(self, chance=None):
        """The bill's file."""
        lines = [*self.lines.values(), *self.refunds.values(), *self.more]
        if chance is not None:
            chance.shuffle(lines)
        return self._written(lines, DAY)

    def _written(self, lines, day):
        if self.channel == "wechat":
            packed = bills_wechat.trade_bill(lines, merchant_id=MERCHANTS["wechat"], bill_type="ALL")
        else:
            packed = bills_alipay.trade_bill(lines, seller_id=MERCHANTS["alipay"], day=day)
        return packed

    def funds(self):
        """The file of the movements behind it, from nothing: what was undone has moved none."""
        lines = [one for one in (*self.lines.values(), *self.refunds.values(), *self.more) if not one.reversed]
        if self.channel == "wechat":
            return bills_wechat.fund_flow_bill(lines, merchant_id=MERCHANTS["wechat"], opening_fen=0)
        return bills_alipay.fund_bill(lines, seller_id=MERCHANTS["alipay"], day=DAY, opening_fen=0)

    def read(self, chance=None):
        """Its rows, read and checked."""
        return _rows(self.bill(chance))

    def books(self):
        """What we have, and what the next day's bill has."""
        found = Books([*self.ours.values(), *self.our_refunds.values()])
        if self.next_day:
            found.neighbours = _rows(self._written(self.next_day, DAY + timedelta(days=1)))
        return found

    def run(self, chance=None):
        """One run over a bill written and read anew."""
        books = self.books()
        if chance is not None:
            chance.shuffle(books.ours)
        return run(self.channel, DAY, self.read(chance), books, is_foreign=is_foreign)


def is_foreign(row):
    """Whether a row's number is not one that this shop makes."""
    return not ids.is_id(row.out_trade_no)


def _refund_of(number):
    return f"019e7f{number[6:]}"


def _rows(content):
    bill = opened(io.BytesIO(content), "bill")
    return list(bill.trades())


def said(difference):
    """A difference as alterations tell it."""
    number = difference.out_refund_no or difference.out_trade_no
    return difference.kind, number, difference.ours_fen, difference.theirs_fen


# --- alterations ---


def _missing_there(day, n):
    line = day.lines.pop(n)
    return K.ONLY_OURS, line.out_trade_no, line.amount_fen, None


def _missing_here(day, n):
    our = day.ours.pop(n)
    return K.ONLY_THEIRS, our.out_trade_no, None, our.amount_fen


def _foreign(day, n):
    line = replace(day.lines[n], out_trade_no=f"OTHER-SYS-{n}", provider_no=f"43{n:024d}")
    day.more.append(line)
    return K.FOREIGN, line.out_trade_no, None, line.amount_fen


def _foreign_refund(day, n):
    like = day.lines[n]
    line = replace(
        like, kind="refund", out_trade_no=f"OTHER-SYS-{n}", provider_no=f"43{n:024d}", ends_at_ms=like.at_ms,
        refund_no=f"53{n:024d}" if day.channel == "wechat" else "", out_refund_no=f"OTHER-R-{n}",
    )  # fmt: skip
    day.more.append(line)
    return K.FOREIGN, line.out_refund_no, None, line.amount_fen


def _amount(day, n):
    line = day.lines[n]
    day.lines[n] = replace(line, amount_fen=line.amount_fen + 90)
    return K.AMOUNT, line.out_trade_no, line.amount_fen, line.amount_fen + 90


def _fee(day, n):
    line = day.lines[n]
    day.lines[n] = replace(line, fee_fen=line.fee_fen + 1)
    return K.FEE, line.out_trade_no, line.fee_fen, line.fee_fen + 1


def _amount_and_fee(day, n):
    return [_amount(day, n), _fee(day, n)]


def _amount_and_fee_a_day_later(day, n):
    """What is a day apart is so here; what else differs is for the day of the bill."""
    _amount_and_fee(day, n)
    return _billed_later(day, n)


def _undone(day, n):
    line = day.lines[n]
    day.lines[n] = replace(line, reversed=True)
    return K.STATE, line.out_trade_no, line.amount_fen, 0


def _unpaid(day, n):
    our = day.ours[n]
    day.ours[n] = our._replace(state="unpaid", provider_no="", at=None)
    return K.UNPAID_OURS, our.out_trade_no, 0, our.amount_fen


def _unpaid_of_another_amount(day, n):
    _unpaid(day, n)
    kind, number, _, theirs = _amount(day, n)
    return kind, number, 0, theirs


def _duplicate(day, n):
    line = replace(day.lines[n], provider_no=f"44{n:024d}", at_ms=day.lines[n].at_ms + 40_000)
    day.more.append(line)
    return K.DUPLICATE, line.out_trade_no, None, line.amount_fen


def _line_twice(day, n):
    day.more.append(day.lines[n])
    return K.DUPLICATE, day.lines[n].out_trade_no, None, day.lines[n].amount_fen


def _known_before(day, n):
    our = day.ours[n]
    day.ours[n] = our._replace(at=_MIDNIGHT - timedelta(seconds=1))
    return K.DATE_SHIFT, our.out_trade_no, our.amount_fen, our.amount_fen


def _known_before_with_another_amount(day, n):
    _known_before(day, n)
    return _amount_and_fee(day, n)


def _billed_later(day, n):
    line = day.lines.pop(n)
    day.next_day.append(replace(line, at_ms=_ms(_MIDNIGHT + timedelta(days=1, seconds=5))))
    return K.DATE_SHIFT, line.out_trade_no, day.ours[n].amount_fen, line.amount_fen


def _orphan(day, n):
    our = day.ours[n]
    day.ours[n] = our._replace(state="aside", fee_fen=None)
    return K.ONLY_THEIRS, our.out_trade_no, None, our.amount_fen


def _aside_for_its_amount(day, n):
    our = day.ours[n]
    day.ours[n] = our._replace(state="aside", fee_fen=None, due_fen=our.amount_fen + 50)
    return K.AMOUNT, our.out_trade_no, our.amount_fen + 50, our.amount_fen


def _refund_missing_there(day, n):
    line = day.refunds.pop(n)
    return K.REFUND_ONLY_OURS, line.out_refund_no, line.amount_fen, None


def _refund_missing_here(day, n):
    our = day.our_refunds.pop(n)
    return K.REFUND_ONLY_THEIRS, our.out_refund_no, None, our.amount_fen


def _refund_amount(day, n):
    line = day.refunds[n]
    day.refunds[n] = replace(line, amount_fen=line.amount_fen + 1)
    return K.REFUND_AMOUNT, line.out_refund_no, line.amount_fen, line.amount_fen + 1


def _refund_fee_kept(day, n):
    day.refunds[n] = replace(day.refunds[n], fee_fen=0)
    return []


def _refund_fee_beyond(day, n):
    line, our = day.refunds[n], day.our_refunds[n]
    day.refunds[n] = replace(line, fee_fen=4_000)
    return K.FEE, line.out_refund_no, our.fee_fen, -4_000


def _refund_through_there(day, n):
    our = day.our_refunds[n]
    day.our_refunds[n] = our._replace(state="processing", ended_at=None)
    return K.REFUND_STATE, our.out_refund_no, our.amount_fen, our.amount_fen


def _refund_under_way_there(day, n):
    line = day.refunds[n]
    day.refunds[n] = replace(line, ends_at_ms=None)
    return K.REFUND_STATE, line.out_refund_no, line.amount_fen, line.amount_fen


ALTERATIONS = {
    "missing_there": _missing_there,
    "missing_here": _missing_here,
    "foreign": _foreign,
    "foreign_refund": _foreign_refund,
    "amount": _amount,
    "fee": _fee,
    "amount_and_fee": _amount_and_fee,
    "amount_and_fee_a_day_later": _amount_and_fee_a_day_later,
    "undone": _undone,
    "unpaid": _unpaid,
    "unpaid_of_another_amount": _unpaid_of_another_amount,
    "duplicate": _duplicate,
    "line_twice": _line_twice,
    "known_before": _known_before,
    "known_before_with_another_amount": _known_before_with_another_amount,
    "billed_later": _billed_later,
    "orphan": _orphan,
    "aside_for_its_amount": _aside_for_its_amount,
    "refund_missing_there": _refund_missing_there,
    "refund_missing_here": _refund_missing_here,
    "refund_amount": _refund_amount,
    "refund_fee_kept": _refund_fee_kept,
    "refund_fee_beyond": _refund_fee_beyond,
    "refund_through_there": _refund_through_there,
    "refund_under_way_there": _refund_under_way_there,
}
SEVEN = {
    "wechat": ("missing_here", "missing_there", "amount", "fee", "undone", "duplicate", "known_before"),
    "alipay": ("missing_here", "missing_there", "amount", "fee", "refund_through_there", "duplicate", "known_before"),
}
"""Seven ways in which a day of each channel may differ (product.md C06-A1)."""

PROPOSED = {
    K.ONLY_THEIRS: A.ATTACH,
    K.ONLY_OURS: A.CARRY,
    K.AMOUNT: A.BOOK,
    K.FEE: A.BOOK,
    K.STATE: A.CARRY,
    K.REFUND_STATE: A.CARRY,
    K.DUPLICATE: A.REFUND,
    K.DATE_SHIFT: A.CARRY,
}
"""What is proposed about what they lead to."""

OF_REFUNDS = {name for name in ALTERATIONS if name.startswith("refund_")}
SAYS_ONLY = {"undone": "wechat", "refund_under_way_there": "wechat"}
"""Alterations that only one channel's bill has words for: Alipay lists no state."""


def possible(channel):
    """The alterations that a channel's bill can have."""
    return sorted(name for name in ALTERATIONS if SAYS_ONLY.get(name, channel) == channel)
