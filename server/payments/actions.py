"""Received money: `apply` is the single writer that turns a channel's fact into a paid, delivered, posted order.

It runs inside the batcher, set-based. Every effect has a natural key, so a fact may come any number of times, by
callback, query or bill. Money that cannot be delivered becomes an exception with a typed reason; it is never lost.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, bindparam, insert, or_, select, update
from sqlalchemy.orm.attributes import set_committed_value

from server import audit, changes
from server.db import Tx, rows_changed, table_of
from server.gateways.port import PaymentFact
from server.ledger import actions as ledger
from server.orders import actions as orders
from server.orders.model import Order, OrderLine
from server.orders.unpaid import Limits
from server.payments.model import PaymentAttempt, PaymentCallback, PaymentException
from server.stock import actions as stock
from shared import clock, ids
from shared.errors import KamengError
from shared.states import AttemptState, ExceptionKind, OrderState, sources_of

CURRENCY = "CNY"
FIRST_QUERY_SECONDS = 30

_UNPAID_ORDER = frozenset({OrderState.PENDING_PAYMENT.value, OrderState.EXPIRED.value, OrderState.CANCELLED.value})
_LATE = _UNPAID_ORDER - {OrderState.PENDING_PAYMENT.value}
_PAYABLE = frozenset(state.value for state in sources_of(AttemptState.PAID))


class Outcome(StrEnum):
    """What became of a fact."""

    APPLIED = "applied"
    REPEATED = "repeated"
    EXCEPTION = "exception"
    NOTED = "noted"


@dataclass(frozen=True, slots=True)
class RawCallback:
    """A notification byte for byte, kept with what it caused."""

    digest: str
    headers: bytes
    body: bytes


@dataclass(frozen=True, slots=True)
class ApplyPayment:
    """A verified fact, from a callback (with its raw bytes) or from a query. `merchant_id` is ours."""

    fact: PaymentFact
    merchant_id: str
    raw: RawCallback | None = None


@dataclass(frozen=True, slots=True)
class OpenAttempt:
    """What the channel answered when the attempt was opened; no URL means that nobody knows."""

    attempt_id: UUID
    pay_url: str | None
    qr_text: str | None


@dataclass(slots=True)
class _Work:
    """What a batch of facts does, gathered before it is written set by set; all of it happens at one instant."""

    at: datetime
    lines: dict[UUID, list[OrderLine]]
    sold: list[tuple[Order, list[OrderLine]]] = field(default_factory=list)
    moves: list[orders.Move] = field(default_factory=list)
    journals: list[ledger.Journal] = field(default_factory=list)
    paid: list[tuple[PaymentAttempt, PaymentFact]] = field(default_factory=list)
    exceptions: list[dict[str, Any]] = field(default_factory=list)
    paid_orders: set[UUID] = field(default_factory=set)
    late: list[OrderLine] = field(default_factory=list)
    """Lines whose hold had ended, to be delivered from fresh stock."""
    numbers: dict[tuple[str, str | None], str] = field(default_factory=dict)
    """The attempt (our number) that each provider's number has paid already."""


# --- attempts ---


_INSERT_ATTEMPTS = insert(table_of(PaymentAttempt))


def start(tx: Tx, placed: Sequence[orders.Placed], channels: Sequence[str]) -> list[PaymentAttempt]:
    """The attempt of each order: a new one for a new order, the stored one for a repeat."""
    fresh = [(one.order, one.title, channel) for one, channel in zip(placed, channels, strict=True) if one.is_new]
    now = clock.now()
    rows: list[dict[str, Any]] = [
        {
            "id": ids.new_id(),
            "order_id": order.id,
            "order_code": order.code,
            "channel": channel,
            "out_trade_no": ids.new_id().hex,
            "amount_fen": order.amount_fen,
            "subject": title[:120],
            "state": AttemptState.CREATED.value,
            "created_at": now,
            "expires_at": order.expires_at,
            "query_at": now + timedelta(seconds=FIRST_QUERY_SECONDS),
            "queries": 0,
        }
        for order, title, channel in fresh
    ]
    if rows:
        tx.execute(_INSERT_ATTEMPTS, rows)
    attempts = {row["order_id"]: PaymentAttempt(**row) for row in rows}
    repeated = [one.order.id for one in placed if not one.is_new and one.order.id not in attempts]
    if repeated:
        query = select(PaymentAttempt).where(PaymentAttempt.order_id.in_(repeated)).order_by(PaymentAttempt.id)
        attempts |= {attempt.order_id: attempt for attempt in tx.scalars(query)}
    return [attempts[one.order.id] for one in placed]


@dataclass(frozen=True, slots=True)
class Checkout:
    """A placed order with its attempt."""

    order: Order
    attempt: PaymentAttempt


def checkout(
    tx: Tx, commands: Sequence[orders.PlaceOrder], *, hold_minutes: int, limits: Limits | None = None
) -> list[Checkout | KamengError]:
    """The handler of `PlaceOrder`: place the orders, then start an attempt for each."""
    placed = orders.place(tx, commands, hold_minutes=hold_minutes, limits=limits)
    standing = [(one, command.channel) for one, command in zip(placed, commands, strict=True) if _stands(one)]
    attempts = iter(start(tx, [one for one, _ in standing if isinstance(one, orders.Placed)], [c for _, c in standing]))
    return [Checkout(one.order, next(attempts)) if isinstance(one, orders.Placed) else one for one in placed]


def _stands(one: orders.Placed | KamengError) -> bool:
    return isinstance(one, orders.Placed)


_ATTEMPT = table_of(PaymentAttempt)


def _in_state(states: Iterable[str]) -> ColumnElement[bool]:
    """Spelt out: an IN of a list cannot be executed for many parameter sets."""
    return or_(*(_ATTEMPT.c.state == state for state in sorted(states)))


_OPEN = (
    update(_ATTEMPT)
    .where(_ATTEMPT.c.id == bindparam("attempt"), _in_state({AttemptState.CREATED.value, AttemptState.UNKNOWN.value}))
    .values(state=bindparam("to"), pay_url=bindparam("url"), qr_text=bindparam("qr"))
)


def open_attempts(tx: Tx, commands: Sequence[OpenAttempt]) -> list[None]:
    """The handler of `OpenAttempt`. A fact that came before the channel's answer stands: paid stays paid."""
    rows = [
        {
            "attempt": command.attempt_id,
            "to": (AttemptState.PENDING if command.pay_url else AttemptState.UNKNOWN).value,
            "url": command.pay_url,
            "qr": command.qr_text,
        }
        for command in sorted(commands, key=lambda command: command.attempt_id.bytes)  # as all lock attempts
    ]
    tx.connection().execute(_OPEN, rows)
    return [None] * len(commands)


def close(tx: Tx, attempt_ids: Sequence[UUID]) -> None:
    """Mark attempts closed that the channel closed. Paid ones are left alone."""
    if not attempt_ids:
        return
    open_states = [state.value for state in sources_of(AttemptState.CLOSED)]
    which = PaymentAttempt.id.in_(list(attempt_ids))
    tx.execute(select(PaymentAttempt.id).where(which).order_by(PaymentAttempt.id).with_for_update())  # as all lock them
    guard = (which, PaymentAttempt.state.in_(open_states))
    tx.execute(update(PaymentAttempt).where(*guard).values(state=AttemptState.CLOSED.value, query_at=None))


# --- facts ---


def apply(tx: Tx, commands: Sequence[ApplyPayment]) -> list[Outcome]:
    """The handler of `ApplyPayment`. Lock order: orders, then stock, then ledger; callbacks are kept as they came."""
    seen = _keep_callbacks(tx, commands)
    held_orders, attempts = _lock_orders_and_attempts(tx, {command.fact.out_trade_no for command in commands})
    lines = orders.lines_of(tx, list(held_orders)) if held_orders else {}
    work = _Work(at=clock.now(), lines=lines, numbers=_provider_numbers(tx, commands))
    outcomes = []
    with _desk(tx, work, held_orders) as desk:
        for command in commands:
            if command.raw is not None and command.raw.digest in seen:
                outcomes.append(Outcome.REPEATED)
                continue
            attempt = attempts.get(command.fact.out_trade_no)
            order = held_orders.get(attempt.order_id) if attempt else None
            outcomes.append(_decide(desk, work, command, attempt, order))
            if command.raw is not None:
                seen.add(command.raw.digest)
        _deliver_all(tx, desk, work)
    _write(tx, work)
    return outcomes


def _desk(tx: Tx, work: _Work, held_orders: Mapping[UUID, Order]) -> AbstractContextManager[stock.Desk]:
    """The stock of everything these facts may deliver: units that are held, and fresh ones for holds that ended."""
    waiting = [order for order in held_orders.values() if order.state == OrderState.PENDING_PAYMENT]
    late = [order for order in held_orders.values() if order.state in _LATE]
    return stock.desk(
        tx,
        at=work.at,
        held=[unit for order in waiting for unit in orders.units_of(work.lines[order.id])],
        wants=[want for order in late for want in orders.wants_of(work.lines[order.id])],
    )


_STORED = select(PaymentCallback.digest, PaymentCallback.state).where(
    PaymentCallback.digest.in_(bindparam("digests", expanding=True))
)
_INSERT_CALLBACKS = insert(table_of(PaymentCallback))


def _keep_callbacks(tx: Tx, commands: Sequence[ApplyPayment]) -> set[str]:
    """Store raw callbacks once; answers the digests that were applied before."""
    raws = {c.raw.digest: c for c in commands if c.raw is not None}
    if not raws:
        return set()
    stored = {row.digest: row.state for row in tx.execute(_STORED, {"digests": list(raws)})}
    now = clock.now()
    rows = [
        {
            "id": ids.new_id(),
            "channel": command.fact.channel,
            "digest": digest,
            "out_trade_no": command.fact.out_trade_no[:64],
            "state": "applied",
            "headers": command.raw.headers,
            "body": command.raw.body,
            "received_at": now,
        }
        for digest, command in raws.items()
        if digest not in stored and command.raw is not None
    ]
    if rows:
        tx.execute(_INSERT_CALLBACKS, rows)
    deferred = [digest for digest, state in stored.items() if state == "deferred"]
    if deferred:
        tx.execute(update(PaymentCallback).where(PaymentCallback.digest.in_(deferred)).values(state="applied"))
    return {digest for digest, state in stored.items() if state == "applied"}


_OF_NUMBERS = PaymentAttempt.out_trade_no.in_(bindparam("numbers", expanding=True))
_ORDERS_OF_NUMBERS = select(PaymentAttempt.order_id).where(_OF_NUMBERS)
_LOCK_ATTEMPTS = (
    select(PaymentAttempt)
    .where(_OF_NUMBERS)
    .order_by(PaymentAttempt.id)
    .with_for_update()
    .execution_options(populate_existing=True)
)


def _lock_orders_and_attempts(tx: Tx, numbers: set[str]) -> tuple[dict[UUID, Order], dict[str, PaymentAttempt]]:
    """The orders and attempts of our numbers. Orders are locked before attempts, as everywhere."""
    wanted = {"numbers": list(numbers)}
    order_ids = tx.scalars(_ORDERS_OF_NUMBERS, wanted).all()
    if not order_ids:
        return {}, {}
    held = orders.lock(tx, order_ids)
    return held, {attempt.out_trade_no: attempt for attempt in tx.scalars(_LOCK_ATTEMPTS, wanted)}


_PROVIDER_NUMBERS = select(PaymentAttempt.channel, PaymentAttempt.provider_no, PaymentAttempt.out_trade_no).where(
    PaymentAttempt.provider_no.in_(bindparam("numbers", expanding=True))
)


def _provider_numbers(tx: Tx, commands: Sequence[ApplyPayment]) -> dict[tuple[str, str | None], str]:
    wanted = {command.fact.provider_no for command in commands if command.fact.provider_no is not None}
    rows = tx.execute(_PROVIDER_NUMBERS, {"numbers": list(wanted)})
    return {(channel, provider_no): out_trade_no for channel, provider_no, out_trade_no in rows}


def _decide(
    desk: stock.Desk,
    work: _Work,
    command: ApplyPayment,
    attempt: PaymentAttempt | None,
    order: Order | None,
) -> Outcome:
    """What one fact does, in the order in which things can be wrong with it."""
    fact = command.fact
    if fact.state != "paid" or fact.provider_no is None:
        return Outcome.NOTED
    if fact.merchant_id != command.merchant_id:
        return _exception(work, ExceptionKind.MERCHANT_MISMATCH, fact, attempt)
    if attempt is None or order is None or attempt.channel != fact.channel:
        return _exception(work, ExceptionKind.UNKNOWN_PAYMENT, fact, None)
    if fact.amount_fen != attempt.amount_fen or fact.currency != CURRENCY:
        return _exception(work, ExceptionKind.AMOUNT_MISMATCH, fact, attempt)
    if attempt.state == AttemptState.PAID:
        if attempt.provider_no == fact.provider_no:
            return Outcome.REPEATED
        return _exception(work, ExceptionKind.PAID_TWICE, fact, attempt)
    if work.numbers.setdefault((fact.channel, fact.provider_no), attempt.out_trade_no) != attempt.out_trade_no:
        return _exception(work, ExceptionKind.PAID_TWICE, fact, attempt)
    assert attempt.state in _PAYABLE, attempt.state
    work.paid.append((attempt, fact))
    work.journals.append(_pay_journal(order, attempt, fact, at=work.at))
    set_committed_value(attempt, "state", AttemptState.PAID.value)
    set_committed_value(attempt, "provider_no", fact.provider_no)
    if order.state not in _UNPAID_ORDER or order.id in work.paid_orders:
        return _exception(work, ExceptionKind.PAID_TWICE, fact, attempt)
    work.paid_orders.add(order.id)
    return _deliver(desk, work, fact, attempt, order)


def _deliver(desk: stock.Desk, work: _Work, fact: PaymentFact, attempt: PaymentAttempt, order: Order) -> Outcome:
    lines = work.lines[order.id]
    if order.state in _LATE:
        if not desk.reserve(orders.wants_of(lines)):
            work.moves.append(orders.Move(order, OrderState.DELIVERY_FAILED))
            return _exception(work, ExceptionKind.PAID_NO_STOCK, fact, attempt)
        work.late += lines
    work.sold.append((order, lines))
    work.moves.append(orders.Move(order, OrderState.DELIVERED))
    work.journals.append(_sale_journal(order, lines, at=work.at))
    return Outcome.APPLIED


def _deliver_all(tx: Tx, desk: stock.Desk, work: _Work) -> None:
    """Sell what these facts pay for."""
    taken = desk.take()
    for line in work.late:
        line.seqs = list(taken[line.id])
    tx.flush()
    desk.sell([unit for _, lines in work.sold for unit in orders.units_of(lines)])


def _pay_journal(order: Order, attempt: PaymentAttempt, fact: PaymentFact, *, at: datetime) -> ledger.Journal:
    """PAY: the channel owes us what the buyer put into escrow."""
    psp, escrow = ledger.Account("psp", attempt.channel), ledger.Account("escrow")
    return ledger.Journal(
        key=f"payment:{attempt.channel}:{fact.provider_no}:pay",
        code="PAY",
        order_id=order.id,
        occurred_at=fact.paid_at or at,
        transfers=(ledger.Transfer(debit=psp, credit=escrow, amount=attempt.amount_fen),),
    )


def _sale_journal(order: Order, lines: Sequence[OrderLine], *, at: datetime) -> ledger.Journal:
    """SALE: escrow goes to the suppliers and the platform, in the transaction that delivers."""
    escrow, fee = ledger.Account("escrow"), ledger.Account("fee")
    transfers = []
    for line in lines:
        supplier = ledger.Account("supplier_pending", line.supplier_id.hex)
        transfers.append(ledger.Transfer(debit=escrow, credit=supplier, amount=line.supplier_fen))
        transfers.append(ledger.Transfer(debit=escrow, credit=fee, amount=line.fee_fen))
    assert sum(transfer.amount for transfer in transfers) == order.amount_fen, order.code
    return ledger.Journal(
        key=f"order:{order.code}:sale",
        code="SALE",
        order_id=order.id,
        occurred_at=at,
        transfers=tuple(transfers),
    )


def _exception(work: _Work, kind: ExceptionKind, fact: PaymentFact, attempt: PaymentAttempt | None) -> Outcome:
    work.exceptions.append(
        {
            "id": ids.new_id(),
            "key": f"{kind.value}:{fact.channel}:{fact.provider_no}"[:120],
            "kind": kind.value,
            "order_id": attempt.order_id if attempt else None,
            "order_code": attempt.order_code if attempt else None,
            "attempt_id": attempt.id if attempt else None,
            "channel": fact.channel,
            "out_trade_no": fact.out_trade_no[:64],
            "provider_no": fact.provider_no,
            "expected_fen": attempt.amount_fen if attempt else None,
            "received_fen": fact.amount_fen,
            "created_at": work.at,
        }
    )
    return Outcome.EXCEPTION


def _write(tx: Tx, work: _Work) -> None:
    """Write what was decided, after the stock: orders, attempts, exceptions, and the ledger last."""
    at = work.at
    actor = "system"
    orders.move(tx, work.moves, at=at, actor=actor, lines=work.lines)
    _write_paid(tx, work.paid, at=at)
    _write_exceptions(tx, work.exceptions)
    ledger.post(tx, work.journals)
    stocked = {(line.sku_id, line.supplier_id) for _, lines in work.sold for line in lines}
    told = [changes.Changed("sku", sku, domain="stock", supplier_id=supplier) for sku, supplier in stocked]
    for order_id in {attempt.order_id for attempt, _ in work.paid} - {one.order.id for one in work.moves}:
        suppliers = {line.supplier_id for line in work.lines[order_id]}
        told += [changes.Changed("order", order_id, domain="orders", supplier_id=one) for one in suppliers]
    changes.append_many(tx, told)
    audit.append_many(
        tx,
        [
            audit.Entry(
                actor=f"channel:{fact.channel}",
                action="payment.apply",
                entity="attempt",
                entity_id=attempt.out_trade_no,
                detail={"order": attempt.order_code, "fen": fact.amount_fen, "provider_no": fact.provider_no},
            )
            for attempt, fact in work.paid
        ],
    )


_PAY = (
    update(_ATTEMPT)
    .where(_ATTEMPT.c.id == bindparam("attempt"), _in_state(_PAYABLE))
    .values(state=AttemptState.PAID.value, provider_no=bindparam("number"), paid_at=bindparam("instant"), query_at=None)
)


def _write_paid(tx: Tx, paid: Sequence[tuple[PaymentAttempt, PaymentFact]], *, at: datetime) -> None:
    if not paid:
        return
    rows = [
        {"attempt": attempt.id, "number": fact.provider_no, "instant": fact.paid_at or at} for attempt, fact in paid
    ]
    changed = rows_changed(tx.connection().execute(_PAY, rows))
    assert changed == len(rows), "a locked attempt changed its state"


def _write_exceptions(tx: Tx, rows: Sequence[dict[str, Any]]) -> None:
    """Each exception once, by its key."""
    by_key = {row["key"]: row for row in rows}
    if not by_key:
        return
    known = tx.scalars(select(PaymentException.key).where(PaymentException.key.in_(by_key))).all()
    fresh = [row for key, row in by_key.items() if key not in known]
    if not fresh:
        return
    tx.execute(insert(table_of(PaymentException)), fresh)
    changes.append_many(tx, [changes.Changed("exception", row["id"], domain="payments") for row in fresh])
    audit.append_many(
        tx,
        [
            audit.Entry(
                actor=f"channel:{row['channel']}",
                action="exception.open",
                entity="exception",
                entity_id=str(row["id"]),
                detail={"kind": row["kind"], "out_trade_no": row["out_trade_no"], "fen": row["received_fen"]},
            )
            for row in fresh
        ],
    )


def defer(tx: Tx, command: ApplyPayment) -> None:
    """Keep a callback whose application failed, so that it may be acknowledged; a job asks the channel again."""
    assert command.raw is not None
    if tx.scalars(select(PaymentCallback.id).where(PaymentCallback.digest == command.raw.digest)).first():
        return
    tx.execute(
        insert(table_of(PaymentCallback)),
        {
            "id": ids.new_id(),
            "channel": command.fact.channel,
            "digest": command.raw.digest,
            "out_trade_no": command.fact.out_trade_no[:64],
            "state": "deferred",
            "headers": command.raw.headers,
            "body": command.raw.body,
            "received_at": clock.now(),
        },
    )


def settle_deferred(tx: Tx, channel: str, digest: str, *, confirmed: bool) -> None:
    """The channel was asked about a kept callback: it said the same, or knows of no such money."""
    kept = (PaymentCallback.channel == channel, PaymentCallback.digest == digest, PaymentCallback.state == "deferred")
    tx.execute(update(PaymentCallback).where(*kept).values(state="applied" if confirmed else "refused"))
