"""Received money: `apply` is the single writer that turns a channel's fact into a paid, delivered, posted order.

It runs inside the batcher, set-based. Every effect has a natural key, so a fact may come any number of times, by
notification, query, bill or a person. Money that cannot be delivered becomes an exception with a typed reason; money
that pays no order is set aside as well; it is never lost, and nothing that comes later un-pays an attempt.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import bindparam, select, update
from sqlalchemy.orm.attributes import set_committed_value

from server import audit, changes, signals
from server.db import Tx, rows_changed, table_of, tell
from server.gateways.port import Gateway, PaymentFact
from server.ledger import actions as ledger
from server.orders import actions as orders
from server.orders.model import Order, OrderLine
from server.payments import aside, attempts, booking, callbacks, confirmed
from server.payments.aside import Number, Numbers
from server.payments.callbacks import RawCallback
from server.payments.confirmed import Heard
from server.payments.exceptions import closing, raising
from server.payments.exceptions.raising import Raised
from server.payments.model import PaymentAttempt, UnmatchedPayment
from server.payments.terms import UNSETTLED, Terms
from server.stock import actions as stock
from shared import clock
from shared.states import AttemptState, ExceptionKind, FoundBy, OrderState, UnmatchedState, may_move, sources_of

CURRENCY = "CNY"

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
class ApplyPayment:
    """A verified fact, with its raw bytes where it was told. `merchant_id` and `app_ids` are ours at the channel.

    `by` is who says so where it is a person, and `evidence` what they add. It `attaches` money that was set aside.
    """

    fact: PaymentFact
    merchant_id: str
    raw: RawCallback | None = None
    app_ids: frozenset[str] = frozenset()
    found_by: FoundBy = FoundBy.CALLBACK
    by: str | None = None
    evidence: raising.Evidence = ()
    attaches: bool = False

    @classmethod
    def of(cls, gateway: Gateway, fact: PaymentFact, found_by: FoundBy, raw: RawCallback | None = None) -> ApplyPayment:
        """The command for what `gateway` said, one way or another."""
        return cls(fact=fact, merchant_id=gateway.merchant_id, raw=raw, app_ids=gateway.app_ids, found_by=found_by)

    @property
    def kept(self) -> callbacks.Kept | None:
        """The notification it came by, as it is kept; None for what nobody told."""
        if self.raw is None:
            return None
        return callbacks.Kept(self.fact.channel, self.raw, self.fact.out_trade_no, self.fact.event_id)

    @property
    def is_ours(self) -> bool:
        """Whether it is about our merchant and one of our applications."""
        if self.fact.merchant_id != self.merchant_id:
            return False
        return self.fact.app_id is None or not self.app_ids or self.fact.app_id in self.app_ids


@dataclass(frozen=True, slots=True)
class Found:
    """News: an attempt was paid, and how we learnt of it."""

    attempt_id: UUID
    by: FoundBy


@dataclass(slots=True)
class _Work:
    """What a batch of facts does, gathered before it is written set by set; all of it happens at one instant."""

    at: datetime
    terms: Terms
    lines: dict[UUID, list[OrderLine]]
    numbers: Numbers
    sold: list[tuple[Order, list[OrderLine]]] = field(default_factory=list)
    moves: list[orders.Move] = field(default_factory=list)
    journals: list[ledger.Journal] = field(default_factory=list)
    paid: list[tuple[PaymentAttempt, ApplyPayment]] = field(default_factory=list)
    aside: list[UnmatchedPayment] = field(default_factory=list)
    used: list[UnmatchedPayment] = field(default_factory=list)
    heard: list[Heard] = field(default_factory=list)
    exceptions: list[Raised] = field(default_factory=list)
    paid_orders: set[UUID] = field(default_factory=set)
    late: list[OrderLine] = field(default_factory=list)
    """Lines whose hold had ended, to be delivered from fresh stock."""

    def charge(self, attempt: PaymentAttempt, number: str, *, at: datetime) -> None:
        """Book what we expect the channel to keep of a payment."""
        if fee := self.terms.fee_of(attempt.channel, attempt.amount_fen):
            self.journals.append(booking.fee(attempt.order_id, attempt.channel, number, fee, at=at))


def apply(tx: Tx, commands: Sequence[ApplyPayment], *, terms: Terms = UNSETTLED) -> list[Outcome]:
    """The handler of `ApplyPayment`. Lock order: orders, then stock, then ledger; callbacks are kept as they came."""
    told = [command.kept for command in commands]
    seen = callbacks.keep(tx, [one for one in told if one is not None])
    fresh = _not_applied(commands, seen)
    if not fresh:
        return [Outcome.REPEATED] * len(commands)
    held_orders, found = _lock_orders_and_attempts(tx, {command.fact.out_trade_no for command in fresh.values()})
    lines = orders.lines_of(tx, list(held_orders)) if held_orders else {}
    numbers = {number for command in fresh.values() if (number := aside.number_of(command.fact)) is not None}
    work = _Work(at=clock.now(), terms=terms, lines=lines, numbers=Numbers(tx, numbers))
    outcomes = [Outcome.REPEATED] * len(commands)
    with _desk(tx, work, held_orders) as desk:
        for n, command in fresh.items():
            attempt = found.get(command.fact.out_trade_no)
            order = held_orders.get(attempt.order_id) if attempt else None
            outcomes[n] = _decide(desk, work, command, attempt, order)
        _deliver_all(tx, desk, work)
    _write(tx, work)
    return outcomes


def _not_applied(commands: Sequence[ApplyPayment], seen: Set[callbacks.Name]) -> dict[int, ApplyPayment]:
    """By their places, the commands that say something new: of each notification the first, if none came before.

    Channels tell ten times; what was told already locks nothing.
    """
    fresh: dict[int, ApplyPayment] = {}
    told = set(seen)
    for n, command in enumerate(commands):
        kept = command.kept
        if kept is None or kept.name not in told:
            fresh[n] = command
        if kept is not None:
            told.add(kept.name)
    return fresh


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


# --- what one fact does ---


def _decide(
    desk: stock.Desk, work: _Work, command: ApplyPayment, attempt: PaymentAttempt | None, order: Order | None
) -> Outcome:
    """What one fact does, in the order in which things can be wrong with it."""
    fact, number = command.fact, aside.number_of(command.fact)
    if fact.state == "refunded":
        return _refunded_elsewhere(work, command, attempt)
    if fact.state != "paid" or number is None:
        return Outcome.NOTED
    if not command.is_ours:
        return _raise(work, ExceptionKind.MERCHANT_MISMATCH, command, attempt, more=_ours(command))
    if attempt is None or order is None or attempt.channel != fact.channel:
        return _set_aside(work, ExceptionKind.UNKNOWN_PAYMENT, command, None)
    if fact.amount_fen != attempt.amount_fen or fact.currency != CURRENCY:
        return _set_aside(work, ExceptionKind.AMOUNT_MISMATCH, command, attempt)
    if attempt.state == AttemptState.PAID:
        return _again(work, command, attempt, number)
    if (other := work.numbers.paid_by(number)) is not None:
        return _contradicts(work, ExceptionKind.PAID_TWICE, command, attempt, more=[("other_out_trade_no", other)])
    is_second = order.state not in _UNPAID_ORDER or order.id in work.paid_orders
    if (slip := work.numbers.aside(number)) is not None and (is_second or not _use(work, command, slip, attempt)):
        return _contradicts(work, ExceptionKind.AMOUNT_MISMATCH, command, attempt, more=[("set_aside", slip.state)])
    assert attempt.state in _PAYABLE, attempt.state
    if is_second:
        outcome = _set_aside(work, ExceptionKind.PAID_TWICE, command, attempt)
        work.charge(attempt, number[1], at=fact.paid_at or work.at)
    else:
        outcome = _pay(desk, work, command, attempt, order)
    work.numbers.pays(number, attempt.out_trade_no)
    work.paid.append((attempt, command))
    set_committed_value(attempt, "state", AttemptState.PAID.value)
    set_committed_value(attempt, "provider_no", fact.provider_no)
    return outcome


def _pay(desk: stock.Desk, work: _Work, command: ApplyPayment, attempt: PaymentAttempt, order: Order) -> Outcome:
    """The order's first money: in escrow, and out of it again where the goods can be delivered."""
    fact = command.fact
    assert fact.provider_no is not None
    at, number = fact.paid_at or work.at, fact.provider_no
    book = booking.attach if command.attaches else booking.pay
    if command.found_by is FoundBy.PERSON and not command.attaches:
        number = attempt.out_trade_no  # people may have misread the channel's, which is put right then
    work.journals.append(book(order.id, fact.channel, number, attempt.amount_fen, at=at))
    if not command.attaches:  # what was set aside may have been charged by its bill
        work.charge(attempt, number, at=at)
    work.paid_orders.add(order.id)
    return _deliver(desk, work, command, attempt, order)


def _deliver(desk: stock.Desk, work: _Work, command: ApplyPayment, attempt: PaymentAttempt, order: Order) -> Outcome:
    lines = work.lines[order.id]
    if order.state in _LATE:
        if not desk.reserve(orders.wants_of(lines)):
            work.moves.append(orders.Move(order, OrderState.DELIVERY_FAILED))
            its_end = [("ended_at", attempt.expires_at)]
            return _raise(work, ExceptionKind.PAID_AFTER_EXPIRY, command, attempt, holds_money=True, more=its_end)
        work.late += lines
    work.sold.append((order, lines))
    work.moves.append(orders.Move(order, OrderState.DELIVERED))
    work.journals += booking.delivered(order, lines, at=work.at)
    return Outcome.APPLIED


def _again(work: _Work, command: ApplyPayment, attempt: PaymentAttempt, number: Number) -> Outcome:
    """Money for an attempt that is paid: a repeat, or a second payment.

    Or the channel says at last what two people had confirmed. Another number than theirs is what they misread.
    """
    was = attempt.provider_no
    assert was is not None
    is_unheard = confirmed.is_unheard(attempt) and command.found_by is not FoundBy.PERSON
    if not is_unheard:
        if was == number[1]:
            return Outcome.REPEATED
        return _set_aside(work, ExceptionKind.PAID_TWICE, command, attempt)
    is_other = was != number[1]
    if is_other and (work.numbers.paid_by(number) is not None or work.numbers.aside(number) is not None):
        return _contradicts(work, ExceptionKind.PAID_TWICE, command, attempt, more=[("confirmed_as", was)])
    work.heard.append(Heard(attempt, was, number[1], command.found_by))
    work.numbers.pays(number, attempt.out_trade_no)
    set_committed_value(attempt, "provider_no", number[1])
    set_committed_value(attempt, "found_by", command.found_by.value)
    return Outcome.APPLIED if is_other else Outcome.REPEATED


# --- what is wrong with one ---


def _set_aside(work: _Work, kind: ExceptionKind, command: ApplyPayment, attempt: PaymentAttempt | None) -> Outcome:
    """Money that pays nothing: kept in suspense once, by its number, with an exception that holds it.

    What is not an amount of ours (another currency, nothing) cannot be booked and is an exception alone.
    """
    fact, number = command.fact, aside.number_of(command.fact)
    assert number is not None
    known = work.numbers.aside(number)
    if known is not None and known.state == UnmatchedState.ATTACHED and _is_same(known, fact):
        return Outcome.REPEATED
    if work.numbers.paid_by(number) is not None or (known is not None and known.amount_fen != fact.amount_fen):
        return _contradicts(work, kind, command, attempt)
    if known is not None:
        return Outcome.EXCEPTION
    if fact.currency != CURRENCY or fact.amount_fen == 0:
        # Not by its number alone: what the channel says of it later may be money, which needs an exception of its own.
        return _raise(work, kind, command, attempt, about=f"{fact.provider_no}:{fact.amount_fen}{fact.currency}")
    row = aside.row_of(fact, attempt, found_by=command.found_by, at=work.at)
    work.aside.append(row)
    work.numbers.set_aside(number, row)
    work.journals.append(booking.set_aside(row.order_id, *number, row.amount_fen, at=row.paid_at))
    return _raise(work, kind, command, attempt, unmatched_id=row.id, holds_money=True)


def _is_same(known: UnmatchedPayment, fact: PaymentFact) -> bool:
    said = (fact.out_trade_no[:64], fact.amount_fen, fact.currency)
    return (known.out_trade_no, known.amount_fen, CURRENCY) == said


def _use(work: _Work, command: ApplyPayment, slip: UnmatchedPayment, attempt: PaymentAttempt) -> bool:
    """Take what was set aside for this attempt, where that may be: not if it was used since.

    People attach it; or the channel had named another amount for this money, and what was set aside is undone. What the
    channel has signed only the channel corrects: no two people do.
    """
    to = UnmatchedState.ATTACHED if command.attaches else UnmatchedState.CORRECTED
    corrects = command.found_by is not FoundBy.PERSON and slip.out_trade_no == attempt.out_trade_no
    is_meant = command.attaches or corrects
    if not is_meant or not may_move(UnmatchedState(slip.state), to):
        return False
    set_committed_value(slip, "state", to.value)
    work.used.append(slip)
    if to is UnmatchedState.CORRECTED:
        undone = booking.correct(slip.order_id, slip.channel, slip.provider_no, slip.amount_fen, at=work.at)
        work.journals.append(undone)
    return True


def _contradicts(
    work: _Work,
    kind: ExceptionKind,
    command: ApplyPayment,
    attempt: PaymentAttempt | None,
    *,
    more: raising.Evidence = (),
) -> Outcome:
    """The same number with other content: an alarm. Nothing is booked, because this money is booked already."""
    fact = command.fact
    ours = attempt.id.hex if attempt else "-"
    return _raise(work, kind, command, attempt, about=f"{ours}:{fact.amount_fen}:{fact.provider_no}", more=more)


def _refunded_elsewhere(work: _Work, command: ApplyPayment, attempt: PaymentAttempt | None) -> Outcome:
    """Money came and went back without us: nothing is delivered on it, and a person looks, unless we know of it.

    What was set aside may have gone back by our own refund, or paid another order; while it is held, it was not us.
    """
    if attempt is None or attempt.state == AttemptState.PAID or not command.is_ours:
        return Outcome.NOTED
    number = aside.number_of(command.fact)
    slip = work.numbers.aside(number) if number is not None else None
    if slip is not None and slip.state != UnmatchedState.HELD:
        return Outcome.NOTED
    return _raise(work, ExceptionKind.UNKNOWN_REFUND, command, attempt, about=attempt.id.hex)


def _raise(
    work: _Work,
    kind: ExceptionKind,
    command: ApplyPayment,
    attempt: PaymentAttempt | None,
    *,
    about: str | None = None,
    unmatched_id: UUID | None = None,
    holds_money: bool = False,
    more: raising.Evidence = (),
) -> Outcome:
    work.exceptions.append(
        raising.of_fact(
            kind,
            command.fact,
            attempt,
            found_by=command.found_by,
            at=work.at,
            about=about,
            unmatched_id=unmatched_id,
            holds_money=holds_money,
            refund_after=work.terms.refund_after,
            more=[*more, *command.evidence],
        )
    )
    return Outcome.EXCEPTION


def _ours(command: ApplyPayment) -> raising.Evidence:
    return [
        ("expected_merchant_id", command.merchant_id),
        ("expected_app_ids", " ".join(sorted(command.app_ids)) or None),
    ]


# --- writing it all ---


def _deliver_all(tx: Tx, desk: stock.Desk, work: _Work) -> None:
    """Sell what these facts pay for."""
    taken = desk.take()
    for line in work.late:
        line.seqs = list(taken[line.id])
    tx.flush()
    desk.sell([unit for _, lines in work.sold for unit in orders.units_of(lines)])


def _write(tx: Tx, work: _Work) -> None:
    """Write what was decided, after the stock: orders, attempts, money set aside, exceptions, and the ledger last."""
    orders.move(tx, work.moves, at=work.at, actor="system", lines=work.lines)
    _write_paid(tx, work)
    confirmed.hear(tx, work.heard)
    aside.write(tx, work.aside)
    closing.set_aside(tx, work.aside)
    raising.write(tx, work.exceptions)
    for slip in work.used:  # after what was set aside a moment ago, which may be used already
        aside.move(tx, slip.id, UnmatchedState(slip.state))
        closing.money_found(tx, slip.id)
    ledger.post(tx, work.journals)
    stocked = {(line.sku_id, line.supplier_id) for _, lines in work.sold for line in lines}
    told = [changes.Changed("sku", sku, domain="stock", supplier_id=supplier) for sku, supplier in stocked]
    for order_id in {attempt.order_id for attempt, _ in work.paid} - {one.order.id for one in work.moves}:
        suppliers = {line.supplier_id for line in work.lines[order_id]}
        told += [changes.Changed("order", order_id, domain="orders", supplier_id=one) for one in suppliers]
    changes.append_many(tx, told)
    for attempt, command in work.paid:
        signals.ring(tx, attempt.order_id)
        tell(tx, Found(attempt.id, command.found_by))


_ATTEMPT = table_of(PaymentAttempt)
_PAY = (
    update(_ATTEMPT)
    .where(_ATTEMPT.c.id == bindparam("attempt"), attempts.in_state(_PAYABLE))
    .values(
        state=AttemptState.PAID.value,
        provider_no=bindparam("number"),
        paid_at=bindparam("instant"),
        found_by=bindparam("way"),
        payer_total_fen=bindparam("payer_total"),
        fee_fen=bindparam("fee"),
        query_at=None,
    )
)


def _write_paid(tx: Tx, work: _Work) -> None:
    if not work.paid:
        return
    rows = [
        {
            "attempt": attempt.id,
            "number": command.fact.provider_no,
            "instant": command.fact.paid_at or work.at,
            "way": command.found_by.value,
            "payer_total": command.fact.payer_total_fen,
            "fee": work.terms.fee_of(attempt.channel, attempt.amount_fen),
        }
        for attempt, command in work.paid
    ]
    changed = rows_changed(tx.connection().execute(_PAY, rows))
    assert changed == len(rows), "a locked attempt changed its state"
    closing.paid(tx, {attempt.id: command.fact.provider_no for attempt, command in work.paid})
    audit.append_many(
        tx,
        [
            audit.Entry(
                actor=command.by or f"channel:{command.fact.channel}",
                action="payment.apply",
                entity="attempt",
                entity_id=attempt.out_trade_no,
                detail={
                    "order": attempt.order_code,
                    "fen": command.fact.amount_fen,
                    "provider_no": command.fact.provider_no,
                    "found_by": command.found_by.value,
                },
            )
            for attempt, command in work.paid
        ],
    )
