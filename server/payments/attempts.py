"""Attempts to pay: one an order at a time, each under a number of ours that is never used again.

A row exists before its channel is asked, so that a notification which is quicker than the answer finds it. The
handlers run inside the batcher. Orders are locked before attempts, and attempts in the order of their ids, as
everywhere.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, bindparam, insert, or_, select, update

from server import signals
from server.db import Tx, rows_changed, table_of
from server.gateways.port import PaymentOpened, Product
from server.orders import actions as orders
from server.orders import queries as order_queries
from server.orders.model import Order
from server.orders.unpaid import Limits
from server.payments import channels
from server.payments.channels import ChannelOff
from server.payments.model import PaymentAttempt
from shared import clock, ids
from shared.errors import Conflict, KamengError
from shared.states import AttemptState, OrderState, sources_of

FIRST_QUERY_SECONDS = 30
SUBJECT_LENGTH = 120

OPEN_STATES = tuple(state.value for state in sources_of(AttemptState.CLOSED))
"""Attempts that may still be paid."""


class NotPayable(Conflict):
    """The order is paid, or has ended: no payment is opened for it any more."""

    code = "not_payable"
    zh = "订单{state}，不能再支付。"
    en = "The order is “{state}” and cannot be paid any more."


# --- for new orders ---


@dataclass(frozen=True, slots=True)
class Checkout:
    """A placed order with its attempt."""

    order: Order
    attempt: PaymentAttempt


def checkout(
    tx: Tx,
    commands: Sequence[orders.PlaceOrder],
    *,
    hold_minutes: int,
    splitting: Collection[str] = (),
    limits: Limits | None = None,
) -> list[Checkout | KamengError]:
    """The handler of `PlaceOrder`: place the orders, then start an attempt for each. A repeat answers as before.

    Channels that are `splitting` are told of payments that they are to split.
    """
    off = channels.switched_off(tx)
    refused = {
        n
        for n, one in enumerate(commands)
        if one.channel in off and not order_queries.is_placed(tx, one.buyer_id, one.idempotency_key)
    }
    taken = [one for n, one in enumerate(commands) if n not in refused]
    placed = iter(orders.place(tx, taken, hold_minutes=hold_minutes, limits=limits) if taken else ())
    standing = [ChannelOff() if n in refused else next(placed) for n in range(len(commands))]
    made = [(one, command) for one, command in zip(standing, commands, strict=True) if isinstance(one, orders.Placed)]
    attempts = iter(start(tx, made, splitting))
    return [Checkout(one.order, next(attempts)) if isinstance(one, orders.Placed) else one for one in standing]


_INSERT = insert(table_of(PaymentAttempt))


def start(
    tx: Tx, made: Sequence[tuple[orders.Placed, orders.PlaceOrder]], splitting: Collection[str]
) -> list[PaymentAttempt]:
    """The attempt of each order: a new one for a new order, the latest one for a repeat."""
    now, placed = clock.now(), [one for one, _ in made]
    shared = _shared(tx, {one.order.id: asked.channel for one, asked in made if one.is_new}, splitting)
    rows = [
        _row(one.order, asked.channel, asked.product, one.title, at=now, is_shared=one.order.id in shared)
        for one, asked in made
        if one.is_new
    ]
    if rows:
        tx.execute(_INSERT, rows)
    attempts = {row["order_id"]: PaymentAttempt(**row) for row in rows}
    repeated = [one.order.id for one in placed if not one.is_new and one.order.id not in attempts]
    if repeated:
        query = select(PaymentAttempt).where(PaymentAttempt.order_id.in_(repeated)).order_by(PaymentAttempt.id)
        attempts |= {attempt.order_id: attempt for attempt in tx.scalars(query)}
    return [attempts[one.order.id] for one in placed]


def _shared(tx: Tx, channels_of: Mapping[UUID, str], splitting: Collection[str]) -> set[UUID]:
    """Those of these orders whose payments their channels are to split: no channel takes that wish later."""
    return order_queries.shared(tx, [order_id for order_id, channel in channels_of.items() if channel in splitting])


def _row(order: Order, channel: str, product: str, subject: str, *, at: datetime, is_shared: bool) -> dict[str, Any]:
    return {
        "id": ids.new_id(),
        "order_id": order.id,
        "order_code": order.code,
        "channel": channel,
        "out_trade_no": ids.new_id().hex,
        "amount_fen": order.amount_fen,
        "subject": subject[:SUBJECT_LENGTH],
        "state": AttemptState.CREATED.value,
        "product": product,
        "created_at": at,
        "expires_at": order.expires_at,
        "query_at": at + timedelta(seconds=FIRST_QUERY_SECONDS),
        "queries": 0,
        "fee_is_final": False,
        "is_shared": is_shared,
    }


# --- for orders that wait ---


@dataclass(frozen=True, slots=True)
class NextAttempt:
    """Another way to pay an unpaid order. `closed` were closed at their channels before.

    `left_open` could not be: they go on being asked about, and do not stand in the way.
    """

    order_id: UUID
    channel: str
    product: Product
    closed: tuple[UUID, ...]
    left_open: tuple[UUID, ...] = ()


def next_attempts(
    tx: Tx, commands: Sequence[NextAttempt], *, splitting: Collection[str] = ()
) -> list[PaymentAttempt | KamengError]:
    """The handler of `NextAttempt`: a fresh attempt, or the open one somebody else has just made.

    Answers NotPayable when the order is not waiting any more, ChannelOff when the channel takes no new payments.
    """
    held = orders.lock(tx, [command.order_id for command in commands])
    close(tx, [attempt for command in commands for attempt in command.closed])
    off, now = channels.switched_off(tx), clock.now()
    answers: list[PaymentAttempt | KamengError] = []
    made: dict[UUID, PaymentAttempt] = {}
    for command in commands:
        order = held[command.order_id]
        of_it = select(PaymentAttempt).where(PaymentAttempt.order_id == order.id).order_by(PaymentAttempt.id.desc())
        earlier = list(tx.scalars(of_it.execution_options(populate_existing=True)))
        standing = (one for one in earlier if one.state in OPEN_STATES and one.id not in command.left_open)
        opened = made.get(order.id) or next(standing, None)
        if order.state != OrderState.PENDING_PAYMENT or order.expires_at <= now:
            answers.append(NotPayable(state=order.state))
        elif opened is not None:
            answers.append(opened)
        elif command.channel in off:
            answers.append(ChannelOff())
        else:
            split = order.id in _shared(tx, {order.id: command.channel}, splitting)
            row = _row(order, command.channel, command.product, earlier[0].subject, at=now, is_shared=split)
            tx.execute(_INSERT, row)
            made[order.id] = PaymentAttempt(**row)
            answers.append(made[order.id])
            signals.ring(tx, order.id)
    return answers


def close(tx: Tx, attempt_ids: Sequence[UUID]) -> None:
    """Mark attempts closed that the channel closed. Paid ones are left alone."""
    if not attempt_ids:
        return
    which = PaymentAttempt.id.in_(list(attempt_ids))
    tx.execute(select(PaymentAttempt.id).where(which).order_by(PaymentAttempt.id).with_for_update())  # as all lock them
    guard = (which, PaymentAttempt.state.in_(OPEN_STATES))
    tx.execute(update(PaymentAttempt).where(*guard).values(state=AttemptState.CLOSED.value, query_at=None))


# --- what the channel answered ---


@dataclass(frozen=True, slots=True)
class OpenAttempt:
    """What the channel answered when the attempt was opened; nothing `opened` means that nobody knows.

    `refused`: it said no to the first try, so that nothing is open there. `payer_hash`: for whom it was to open it.
    """

    attempt: PaymentAttempt
    product: Product
    opened: PaymentOpened | None = field(repr=False)
    refused: bool = False
    payer_hash: str | None = None

    @property
    def to(self) -> AttemptState:
        """The state it leaves the attempt in, if no fact came first."""
        if self.opened is not None:
            return AttemptState.PENDING
        return AttemptState.CLOSED if self.refused else AttemptState.UNKNOWN


_ATTEMPT = table_of(PaymentAttempt)


def in_state(states: Iterable[str]) -> ColumnElement[bool]:
    """Spelt out: an IN of a list cannot be executed for many parameter sets."""
    return or_(*(_ATTEMPT.c.state == state for state in sorted(states)))


_OPENED = (
    update(_ATTEMPT)
    # One that is open already gets another link: the channel's own may end before the attempt does.
    .where(_ATTEMPT.c.id == bindparam("attempt"), in_state({*sources_of(AttemptState.PENDING), AttemptState.PENDING}))
    .values(
        state=AttemptState.PENDING.value,
        product=bindparam("how"),
        pay_url=bindparam("url"),
        qr_text=bindparam("qr"),
        invoke=bindparam("script"),
        valid_until=bindparam("until"),
        payer_hash=bindparam("whose"),
    )
)
_OPEN_OF = select(_ATTEMPT.c.id).where(
    _ATTEMPT.c.id.in_(bindparam("attempts", expanding=True)), _ATTEMPT.c.state == AttemptState.PENDING.value
)
_NOT_OPENED = (
    update(_ATTEMPT)
    .where(_ATTEMPT.c.id == bindparam("attempt"), _ATTEMPT.c.state == AttemptState.CREATED.value)
    .values(
        state=bindparam("to"), product=bindparam("how"), query_at=bindparam("ask_at"), payer_hash=bindparam("whose")
    )
)


def open_attempts(tx: Tx, commands: Sequence[OpenAttempt]) -> list[bool]:
    """The handler of `OpenAttempt`. A fact that came before the channel's answer stands: paid stays paid.

    Answers whether the attempt took it. One that has ended meanwhile takes no link: it is nobody's to pay by.
    """
    in_order = sorted(commands, key=lambda command: command.attempt.id.bytes)  # as all lock attempts
    opened = [_link(one, one.opened) for one in in_order if one.opened is not None]
    took = {one.attempt.id for one in commands}
    if opened and rows_changed(tx.connection().execute(_OPENED, opened)) != len(opened):
        open_now = {"attempts": [one["attempt"] for one in opened]}
        took -= set(open_now["attempts"]) - set(tx.scalars(_OPEN_OF, open_now))
    others = [
        {
            "attempt": one.attempt.id,
            "how": one.product,
            "to": one.to.value,
            "ask_at": None if one.to is AttemptState.CLOSED else one.attempt.query_at,
            "whose": one.payer_hash,
        }
        for one in in_order
        if not one.opened
    ]
    if others:
        tx.connection().execute(_NOT_OPENED, others)
    for one in in_order:
        signals.ring(tx, one.attempt.order_id)
    return [one.attempt.id in took for one in commands]


def _link(command: OpenAttempt, opened: PaymentOpened) -> dict[str, Any]:
    return {
        "attempt": command.attempt.id,
        "how": command.product,
        "url": opened.pay_url,
        "qr": opened.qr_text,
        "script": _json_of(opened.invoke),
        "until": opened.valid_until,
        "whose": command.payer_hash,
    }


def _json_of(invoke: Mapping[str, str] | None) -> str | None:
    return None if invoke is None else json.dumps(dict(invoke))
