"""The Orders screen: orders by state or code; of one what it took, who paid how, and what goes back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from desktop.operations import exceptions, ledger, orders, refunds
from desktop.operations.seen import Seen
from desktop.presenters import formats
from desktop.presenters.acting import Act, Acting, Entry, Pair, Work
from desktop.presenters.exceptions import PAYMENT_NO, RECEIVED
from desktop.presenters.feed import Feed
from desktop.presenters.holds import hold_act
from desktop.presenters.listing import Column
from desktop.presenters.ports import Ask, Latest
from desktop.presenters.typed import typed_fen
from desktop.presenters.watching import Watched
from desktop.presenters.words import CHANNELS, channel_word, tone, word
from shared.clock import now, shop_day
from shared.contracts.base import Page
from shared.contracts.identity import Person
from shared.contracts.ledger import Dispute
from shared.contracts.orders import Order
from shared.contracts.payments import Refund
from shared.errors import BadInput
from shared.ids import parse_order_code, speak_order_code
from shared.money import Fen
from shared.permissions import Permission
from shared.states import OrderState

FILTERS: tuple[OrderState | None, ...] = (
    None,
    OrderState.PENDING_PAYMENT,
    OrderState.PAID,
    OrderState.DELIVERED,
    OrderState.COMPLETED,
    OrderState.DELIVERY_FAILED,
    OrderState.EXPIRED,
    OrderState.REFUNDED,
)
"""The states offered as filters, in this order; None is all."""


def goods(order: Order) -> str:
    """What was bought, in one line."""
    return ", ".join(f"{line.title} × {formats.count(line.quantity)}" for line in order.lines)


def _when(order: Order) -> str:
    return formats.short_moment(order.created_at, today=shop_day(now()))


COLUMNS = (
    Column[Order]("code", lambda order: speak_order_code(order.code), code=True, sample="7K3M-9QX2-H4TD"),
    Column[Order]("created", _when, sample="03-02 10:00:00", tip=lambda order: formats.moment(order.created_at)),
    Column[Order]("goods", goods, stretch=True),
    Column[Order]("amount", lambda order: formats.money(order.amount_fen), numeric=True, sample="¥12,345.00"),
    Column[Order]("channel", lambda order: channel_word(order.channel), sample="WeChat Pay"),
    Column[Order](
        "state", lambda order: word(order.state), tone=lambda order: tone(order.state), sample="Awaiting payment"
    ),
)


@dataclass(frozen=True, slots=True)
class Moment:
    """One step of an order's life: a key the view has words for, and when (ready to show)."""

    key: str
    when: str


def timeline(order: Order) -> list[Moment]:
    """What happened to the order, in order."""
    steps = [("placed", order.created_at), ("paid", order.paid_at), ("delivered", order.delivered_at)]
    happened = [Moment(key, formats.moment(instant)) for key, instant in steps if instant is not None]
    if order.state is OrderState.PENDING_PAYMENT:
        happened.append(Moment("expires", formats.moment(order.expires_at)))
    return happened


DISPUTED = frozenset({OrderState.DISPUTED, OrderState.REFUNDED, OrderState.PARTIALLY_REFUNDED})
"""States that come from a dispute, or may."""

REFUNDABLE = frozenset(
    {
        OrderState.PAID,
        OrderState.DELIVERED,
        OrderState.COMPLETED,
        OrderState.DELIVERY_FAILED,
        OrderState.PARTIALLY_REFUNDED,
        OrderState.DISPUTED,
    }
)
"""States of orders that have money which may go back."""

UNPAID = frozenset({OrderState.PENDING_PAYMENT, OrderState.EXPIRED, OrderState.CANCELLED})
"""States of orders whose money may still turn up."""

_REASON = Entry(
    "reason",
    ("原因（必填，会记入操作日志）", "Reason (needed; it goes into the log)"),
    usual=(
        ("买家买错了", "Bought by mistake"),
        ("卡密有问题", "The key does not work"),
        ("与买家协商", "Agreed with the buyer"),
    ),
)
_QUANTITY = Entry("quantity", ("张数（不填为全部）", "Units (all if empty)"), needed=False, most=6)
_AMOUNT = Entry("amount", ("金额（不填为全部）", "Amount (all if empty)"), needed=False, most=14)


class Orders(Watched):
    """The screen's state.

    Attributes:
        feed: the orders that match `state` and `query`.
        opened: the order that is looked into, or None.
        refunds: its refunds, newest first; None while they are not known.
        refunds_error: why they could not be read.
        disputes: those that its state comes from, newest first.
        acting: giving its money back; asking for money that has not come.
        error: why an order could not be found.
    """

    def __init__(self, ask: Ask, person: Person) -> None:
        super().__init__()
        may = frozenset(person.permissions)
        self._ask = ask
        self._latest = Latest()
        self._refunds_latest = Latest()
        self._disputes_latest = Latest()
        self.feed: Feed[Order] = Feed(ask, COLUMNS)
        self.may_see_refunds = Permission.PAYMENTS_REFUND_READ in may
        self.may_refund = Permission.PAYMENTS_REFUND_DECIDE in may
        self.may_handle = Permission.PAYMENTS_EXCEPTION_HANDLE in may
        self.may_hold = Permission.SETTLEMENT_HOLD_EDIT in may
        self.may_see_ledger = Permission.LEDGER_JOURNAL_READ in may
        self.state: OrderState | None = None
        self.query = ""
        self.opened: Order | None = None
        self.refunds: Seen[Page[Refund]] | None = None
        self.refunds_error: Exception | None = None
        self.disputes: list[Dispute] = []
        self.acting: Acting[Any] = Acting(ask, lambda _done: self.read_again(), self.read_again)
        self.error: Exception | None = None

    def open(self) -> None:
        """Read the list."""
        self.show(state=self.state, query=self.query)

    def show(self, *, state: OrderState | None, query: str) -> None:
        """Show the orders of one state that match `query`. A whole order code is also looked into at once."""
        self.state, self.query = state, query.strip()
        self.error = None
        code = parse_order_code(self.query) if self.query else None
        wanted = code or self.query or None
        self.feed.show(lambda engine, after: orders.list_orders(engine, state=state, q=wanted, after=after))
        if code is not None:
            self.find(code)
        self.changed()

    def find(self, typed: str) -> None:
        """Look into the order with the code that a person typed or read out."""
        then = self._latest.only(self._found)
        self._ask(lambda engine: orders.find_order(engine, typed), then, self._latest.also(self._not_found))

    def look_into(self, order: Order | None) -> None:
        """Look into an order of the list; None closes it."""
        self._latest.only(self._found)
        self._show(order)

    def refresh(self) -> None:
        """Read everything that is shown again."""
        self.feed.reload()
        self.read_again()

    def read_again(self) -> None:
        """The order in front may be old."""
        if self.opened is not None:
            self.find(self.opened.code)

    def renew(self, *, is_own: bool) -> None:
        """Orders or refunds changed, here or elsewhere."""
        self.feed.renew(is_own=is_own)
        if self.acting.chosen is None:
            self.read_again()

    def _show(self, order: Order | None) -> None:
        if order is None or self.opened is None or order.id != self.opened.id:
            self.refunds = self.refunds_error = None
            self.disputes = []
            self.acting.leave()
        self.opened, self.error = order, None
        if order is not None:
            self._offer()
            self._read_refunds(order.code)
            self._read_disputes(order)
        self.changed()

    def _offer(self) -> None:
        """Money goes back only before the eyes of who sees what went back already."""
        order, acts = self.opened, []
        if order is not None and self.may_refund and order.state in REFUNDABLE and self.refunds is not None:
            acts.append(_give_back(order, self.acting))
        if order is not None and self.may_handle and order.state in UNPAID and order.channel is not None:
            acts += [_ask(order), _confirm(order)]
        if order is not None and self.may_hold and order.delivered_at is not None:
            acts.append(hold_act(self.acting, order_code=order.code))
        self.acting.offer(acts)

    def _read_refunds(self, code: str) -> None:
        if self.may_see_refunds:
            then = self._refunds_latest.only(partial(self._refunds_read, code))
            failed = self._refunds_latest.also(partial(self._refunds_unread, code))
            self._ask(lambda engine: refunds.list_refunds(engine, order_code=code), then, failed)

    def _refunds_read(self, code: str, seen: Seen[Page[Refund]]) -> None:
        if self.opened is not None and self.opened.code == code:
            self.refunds, self.refunds_error = seen, None
            self._offer()
            self.changed()

    def _refunds_unread(self, code: str, error: Exception) -> None:
        if self.opened is not None and self.opened.code == code:
            self.refunds, self.refunds_error = None, error
            self._offer()
            self.changed()

    def _read_disputes(self, order: Order) -> None:
        if self.may_see_ledger and order.state in DISPUTED:
            then = self._disputes_latest.only(partial(self._disputes_read, order.code))
            self._ask(lambda engine: ledger.list_disputes(engine, order=order.code), then, lambda _error: None)

    def _disputes_read(self, code: str, seen: Seen[Page[Dispute]]) -> None:
        if self.opened is not None and self.opened.code == code:
            self.disputes = seen.value.items
            self.changed()

    def _found(self, seen: Seen[Order]) -> None:
        self._show(seen.value)

    def _not_found(self, error: Exception) -> None:
        self.opened, self.refunds, self.refunds_error, self.disputes, self.error = None, None, None, [], error
        self.acting.leave()
        self.changed()


def _ask(order: Order) -> Act[Any]:
    """Asking the channel now, where nobody told of a payment."""
    return Act(
        key="ask",
        words=("再查渠道", "Ask the channel"),
        effect=(
            "立即向支付渠道查询这张订单的付款：收到就发货，没有就照旧。",
            "The channel is asked now whether this order was paid: it is delivered if so, else nothing changes.",
        ),
        done=("已查询，结果见订单状态", "Asked; see the order's state"),
        work=lambda _typed: lambda engine: orders.ask(engine, order),
    )


class NotTried(BadInput):
    """What was typed is no channel that the order was to be paid through."""

    code = "typed.not_tried"
    zh = "请从列表里选付款的渠道：这张订单没有用过“{typed}”。"
    en = "Choose the channel from the list: “{typed}” was not tried for this order."


def _confirm(order: Order) -> Act[Any]:
    """Saying that money came which only a channel's own console shows: where several were tried, through which."""
    tried = order.channels or [order.channel or "-"]

    def work(typed: Mapping[str, str]) -> Work[Any]:
        said = typed.get("channel", tried[0])
        channel = next((code for code in tried if said in {code, *CHANNELS.get(code, ())}), None)
        if channel is None:
            raise NotTried(typed=said)
        amount = typed_fen(typed["amount"]) or 0
        number, note = typed["provider_no"], typed["reason"]
        return lambda engine: exceptions.confirm_payment(
            engine, order, channel=channel, provider_no=number, amount_fen=amount, note=note
        )

    usual = tuple(CHANNELS.get(code, (code, code)) for code in tried)
    which = (Entry("channel", ("付款渠道", "The channel that was paid"), usual=usual),) if len(tried) > 1 else ()

    return Act(
        key="confirm",
        words=("提议确认到账…", "Propose: confirm the payment…"),
        effect=(
            "用于渠道的通知和查询都没有结果、商户后台却能看到这笔付款时。另一位同事在“异常款项”里复核后才入账、发货。",
            (
                "For money that the channel's own console shows and nothing else tells of. Another person approves it"
                " among the exceptions; only then it is booked and delivered."
            ),
        ),
        done=("已提议，请另一位同事在“异常款项”里复核", "Proposed; another person approves it among the exceptions"),
        work=work,
        entries=(*which, PAYMENT_NO, RECEIVED, Entry(_REASON.key, _REASON.words)),
    )


class NotACount(BadInput):
    """What was typed is no number of units."""

    code = "typed.not_a_count"
    zh = "张数请填 1、2、3 这样的整数。"
    en = "Units are a whole number: 1, 2, 3 …"


class UnitsOrAmount(BadInput):
    """Both were typed: units go back for what they cost."""

    code = "refund.units_or_amount"
    zh = "张数与金额只能填一项。"
    en = "Fill in units or an amount, not both."


def _give_back(order: Order, acting: Acting[Refund]) -> Act[Refund]:
    """Starting a refund of an order. One without a delivery goes back as a whole."""
    parts: tuple[Entry, ...] = ()
    is_delivered = order.state not in {OrderState.PAID, OrderState.DELIVERY_FAILED}
    if is_delivered:
        several = sum(line.quantity for line in order.lines) > 1
        parts = (_QUANTITY, _AMOUNT) if several else (_AMOUNT,)
    left = order.amount_fen - (order.refunded_fen or 0)

    def work(typed: Mapping[str, str]) -> Work[Refund]:
        quantity, amount = _number(typed.get("quantity", "")), typed_fen(typed.get("amount", ""))
        if quantity is not None and amount is not None:
            raise UnitsOrAmount
        key, reason = acting.attempt, typed["reason"]
        return lambda engine: refunds.start(engine, order, key=key, reason=reason, quantity=quantity, amount_fen=amount)

    return Act(
        key="refund",
        words=("退款…", "Refund…"),
        effect=_effect(order, left, is_delivered=is_delivered),
        done=("已发起退款", "The refund has begun"),
        work=work,
        entries=(*parts, _REASON),
        tone="danger",
        naming=lambda typed: _naming(typed, left),
    )


def _effect(order: Order, left: Fen, *, is_delivered: bool) -> Pair:
    """What starting a refund does, with how much is left."""
    zh, en = f"最多可退 {formats.money(left)}", f"At most {formats.money(left)}"
    if order.refunded_fen:
        zh += f"，已退 {formats.money(order.refunded_fen)}"
        en += f"; {formats.money(order.refunded_fen)} went back already"
    zh += "。原路退回买家；超过复核金额时，先由另一位同事复核。"
    en += ". The money goes back the way it came; above the limit another person checks first."
    if is_delivered:
        zh += "看过的卡密不再出售、标为已退款，没看过的退回库存；只退一部分金额时，卡密不动。"
        en += (
            " Keys that were seen are not sold again and marked as refunded, others return to stock; a part of the"
            " money alone moves no key."
        )
    return zh, en


def _naming(typed: Mapping[str, str], left: Fen) -> Pair:
    """How much goes back by what was typed so far."""
    try:
        quantity, amount = _number(typed.get("quantity", "")), typed_fen(typed.get("amount", ""))
    except BadInput:
        return "退款", "Refund"
    if quantity is not None:
        return f"退款 {formats.count(quantity)} 张", f"Refund {formats.count(quantity)} units"
    shown = formats.money(left if amount is None else amount)
    return f"退款 {shown}", f"Refund {shown}"


def _number(text: str) -> int | None:
    if not text:
        return None
    if not text.isdecimal():
        raise NotACount
    return int(text)
