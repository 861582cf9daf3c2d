"""Attaching money to the order it was meant for: the manual confirmation of a payment, by two people.

The money becomes a paid attempt of the order, with a number of ours that no channel knows; `paid_as` is the number the
channel does know, so that it can be given back like any other.
"""

from __future__ import annotations

from typing import ClassVar
from uuid import UUID

from sqlalchemy import select

from server.db import Tx
from server.orders import actions as orders
from server.orders import queries as order_queries
from server.orders.model import Order
from server.payments.exceptions.confirming import UNPAID, Said, apply_said
from server.payments.model import PaymentAttempt, UnmatchedPayment
from shared import ids
from shared.errors import BadField
from shared.ids import parse_order_code
from shared.labels import AboutState
from shared.money import format_fen
from shared.sentence import Sentence
from shared.states import AttemptState, OrderState, UnmatchedState, require_move


class NotAttachable(AboutState):
    """The order is paid, or costs another amount than came."""

    code = "not_attachable"
    words: ClassVar = {"state": OrderState}
    zh = "不能归入订单 {order}（{state}，¥{amount}）：只能归入金额相同的未支付订单。"
    en = "It cannot be attached to order {order} ({state}, ¥{amount}): only to an unpaid order of the same amount."


def target(tx: Tx, code: str) -> UUID | None:
    """The id of the order that money is to be attached to."""
    order = order_queries.find(tx, code)
    return order.id if order else None


def attachable(tx: Tx, code: str, amount_fen: int) -> str:
    """The code, as it is written, of an order that waits for exactly this amount, or waited for it.

    Raises BadField for what names no order, NotAttachable.
    """
    known = parse_order_code(code)
    order = order_queries.find(tx, known) if known else None
    if order is None:
        raise BadField(field="order_code", reason=Sentence("没有这个订单", "there is no such order"))
    require_attachable(order, amount_fen)
    return order.code


def require_attachable(order: Order, amount_fen: int) -> None:
    """Raise NotAttachable unless the order waits for exactly this amount, or waited for it."""
    if order.state not in UNPAID or order.amount_fen != amount_fen:
        raise NotAttachable(order=order.code, state=order.state, amount=format_fen(order.amount_fen))


def attach(tx: Tx, unmatched_id: UUID, order: Order, said: Said) -> None:
    """Pay `order`, which the caller holds, with money that was set aside, and deliver it as for any other payment.

    Raises NotAttachable, IllegalMove when the money was used since.
    """
    money = tx.scalars(select(UnmatchedPayment).where(UnmatchedPayment.id == unmatched_id).with_for_update()).one()
    require_attachable(order, money.amount_fen)
    require_move(UnmatchedState(money.state), UnmatchedState.ATTACHED)
    attempt = _attempt(tx, money, order)
    apply_said(tx, attempt, money.provider_no, said, attaches=True)
    assert attempt.state == AttemptState.PAID, "what was checked under lock was refused"


def _attempt(tx: Tx, money: UnmatchedPayment, order: Order) -> PaymentAttempt:
    """The attempt that the money pays. It is of now: the day on which the channel took the money may be signed.

    The channel keeps money back that was opened to be split, whoever's it is by now, until it is told that this ended.
    """
    [line, *_] = orders.lines_of(tx, [order.id])[order.id]
    a = PaymentAttempt
    opened = select(a.is_shared).where(a.channel == money.channel, a.out_trade_no == money.out_trade_no)
    attempt = PaymentAttempt(
        id=ids.new_id(),
        order_id=order.id,
        order_code=order.code,
        channel=money.channel,
        out_trade_no=ids.new_id().hex,
        amount_fen=money.amount_fen,
        subject=line.title[:120],
        state=AttemptState.CREATED.value,
        product="qr",
        paid_as=money.out_trade_no,
        created_at=money.created_at,
        expires_at=order.expires_at,
        queries=0,
        is_shared=bool(tx.scalar(opened)),
    )
    tx.add(attempt)
    tx.flush()
    return attempt
