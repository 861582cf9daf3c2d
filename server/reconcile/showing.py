"""Differences as people read them: lists, and one with both sides and its story."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from sqlalchemy import select

from server.db import Tx, among
from server.identity import queries as people
from server.orders import queries as orders
from server.payments.exceptions import guessing
from server.payments.model import PaymentAttempt, PaymentCallback, PaymentException, UnmatchedPayment
from server.payments.refunds.model import Refund, RefundEvent
from server.policy import Actor
from server.reconcile import choosing, matters, wording
from server.reconcile.model import ReconcileDifference, ReconcileRow
from server.reconcile.queries import CLOSED
from server.reconcile.wording import Told
from shared import clock
from shared.contracts import reconcile as wire
from shared.contracts.base import Page
from shared.errors import NotFound
from shared.finance import DifferenceAction, DifferenceKind, DifferenceState
from shared.money import Fen, format_fen
from shared.permissions import Permission
from shared.states import AttemptState, RefundState, RefundStep


@dataclass(frozen=True, slots=True)
class Only:
    """Which differences are wanted; None is any."""

    open: bool | None = None
    day: date | None = None
    channel: str | None = None
    kind: DifferenceKind | None = None
    state: DifferenceState | None = None


@dataclass(frozen=True, slots=True)
class Reader:
    """Who reads, in which language, and from what amount two people decide."""

    who: Actor
    language: str
    check_above: Fen


def page(tx: Tx, reader: Reader, *, only: Only, after: str | None, limit: int) -> Page[wire.Difference]:
    """Differences by day and number; `after` is the last of the page before."""
    r = ReconcileDifference
    query = select(r)
    if only.open is not None:
        is_closed = r.state.in_(CLOSED)
        query = query.where(~is_closed if only.open else is_closed)
    for column, wanted in ((r.day, only.day), (r.channel, only.channel), (r.kind, only.kind), (r.state, only.state)):
        if wanted is not None:
            query = query.where(column == (wanted if isinstance(wanted, date) else str(wanted)))
    if after is not None:
        query = query.where(r.number > after)  # begins with its day
    rows = tx.scalars(query.order_by(r.number).limit(limit + 1)).all()
    shown = rows[:limit]
    return Page(items=answers(tx, reader, shown), next=shown[-1].number if len(rows) > limit else None)


def one(tx: Tx, reader: Reader, difference_id: UUID) -> wire.Difference:
    """One of them. Raises NotFound."""
    return answers(tx, reader, [_row(tx, difference_id)])[0]


def _row(tx: Tx, difference_id: UUID) -> ReconcileDifference:
    row = tx.get(ReconcileDifference, difference_id)
    if row is None:
        raise NotFound
    return row


def answers(tx: Tx, reader: Reader, rows: Sequence[ReconcileDifference]) -> list[wire.Difference]:
    """As people see them."""
    names = people.names_of(tx, {label for row in rows for label in (row.handled_by, row.checked_by)})
    waiting = choosing.exceptions(tx, rows)
    first = _numbers(tx, {row.again_of for row in rows if row.again_of is not None})
    return [_answer(reader, row, waiting.get(row.id), names, first) for row in rows]


def _numbers(tx: Tx, ids: set[UUID]) -> dict[UUID, str]:
    r = ReconcileDifference
    return dict(tx.execute(select(r.id, r.number).where(among(tx, r.id, sorted(ids)))).all()) if ids else {}


def _answer(
    reader: Reader,
    row: ReconcileDifference,
    exception: PaymentException | None,
    names: dict[str, str],
    first: dict[UUID, str],
) -> wire.Difference:
    ours, theirs = wording.sides(DifferenceKind(row.kind), reader.language)
    return wire.Difference(
        id=row.id,
        number=row.number,
        channel=row.channel,
        day=row.day,
        kind=DifferenceKind(row.kind),
        ours_words=ours,
        theirs_words=theirs,
        ours_fen=row.ours_fen,
        theirs_fen=row.theirs_fen,
        off_by_fen=choosing.off_by(row),
        out_trade_no=row.out_trade_no,
        provider_no=row.provider_no,
        out_refund_no=row.out_refund_no,
        order_code=row.order_code,
        bill_row=row.bill_row,
        exception_id=row.exception_id,
        found_at=row.found_at,
        carried_from=row.carried_from,
        again_of=first.get(row.again_of) if row.again_of else None,
        state=DifferenceState(row.state),
        proposed_action=DifferenceAction(row.proposed),
        action=DifferenceAction(row.action) if row.action else None,
        action_order_code=row.action_order_code,
        note=row.note,
        handled_by=names.get(row.handled_by or "", row.handled_by),
        handled_at=row.handled_at,
        checked_by=names.get(row.checked_by or "", row.checked_by),
        checked_at=row.checked_at,
        two_people=choosing.needs_two(row, reader.check_above),
        actions=_actions(reader.who, row, exception),
        version=row.version,
    )


def _actions(who: Actor, row: ReconcileDifference, exception: PaymentException | None) -> list[str]:
    if not who.may(Permission.RECONCILE_DIFFERENCE_HANDLE) or row.is_signed:
        return []
    if row.state == DifferenceState.PROPOSED:
        return ["send_back"] if row.handled_by == who.label else ["approve", "send_back"]
    return [action.value for action in choosing.possible(row, exception)]


# --- one with its story ---


def detail(tx: Tx, reader: Reader, difference_id: UUID) -> wire.DifferenceDetail:
    """One of them with what each side has, what happened, and orders its money may be meant for. Raises NotFound."""
    row = _row(tx, difference_id)
    told = Told(reader.language)
    attempt = _attempt(tx, row)
    refund = tx.get(Refund, row.ours_id) if row.ours_id else None
    bill_row = tx.get(ReconcileRow, (row.file_id, row.bill_row)) if row.file_id and row.bill_row else None
    events = [
        *_of_payment(tx, told, attempt),
        *_of_refund(tx, told, refund),
        *_of_bill(told, bill_row),
        *(event for before in _before(tx, row) for event in _handled(told, before, before.number)),
        *_of(told, row),
    ]
    names = people.names_of(tx, {event.who for event in events})
    return wire.DifferenceDetail(
        difference=answers(tx, reader, [row])[0],
        ours=_refund_facts(told, refund) if refund else _payment_facts(tx, told, row, attempt),
        theirs=_bill_facts(told, bill_row),
        events=[
            wire.DifferenceEvent(at=event.at, who=names.get(event.who, event.who), what=event.what)
            for event in sorted(events, key=lambda event: event.at.replace(microsecond=0))
        ],
        candidates=_candidates(tx, row),
    )


def _attempt(tx: Tx, row: ReconcileDifference) -> PaymentAttempt | None:
    found = tx.get(PaymentAttempt, row.ours_id) if row.ours_id else None
    if found is not None or not row.out_trade_no:
        return found
    return tx.scalars(select(PaymentAttempt).where(PaymentAttempt.out_trade_no == row.out_trade_no)).first()


def _candidates(tx: Tx, row: ReconcileDifference) -> list[str]:
    if row.exception_id is None or row.state in CLOSED:
        return []
    return [one.code for one in guessing.candidates(tx, row.exception_id)]


def _facts(told: Told, *pairs: tuple[str, object]) -> list[wire.SideFact]:
    return [
        wire.SideFact(key=key, name=told.fact(key), value=_text(value))
        for key, value in pairs
        if value not in {None, ""}
    ]


def _text(value: object) -> str:
    if isinstance(value, datetime):
        return f"{clock.shop_time(value):%Y-%m-%d %H:%M:%S}"
    return str(value)


def _payment_facts(tx: Tx, told: Told, row: ReconcileDifference, attempt: PaymentAttempt | None) -> list[wire.SideFact]:
    aside = tx.get(UnmatchedPayment, row.ours_id) if row.ours_id else None
    facts = _facts(told, ("set_aside", told.yuan(aside.amount_fen)), ("paid_at", aside.paid_at)) if aside else []
    if attempt is None:
        return facts
    return facts + _facts(
        told,
        ("order_code", attempt.order_code),
        ("out_trade_no", attempt.out_trade_no),
        ("provider_no", attempt.provider_no),
        ("amount", told.yuan(attempt.amount_fen)),
        ("fee", told.yuan(attempt.fee_fen)),
        ("state", told.word(AttemptState(attempt.state))),
        ("paid_at", attempt.paid_at),
        ("subject", attempt.subject),
    )


def _refund_facts(told: Told, refund: Refund) -> list[wire.SideFact]:
    return _facts(
        told,
        ("order_code", refund.order_code),
        ("out_trade_no", refund.out_trade_no),
        ("out_refund_no", refund.out_refund_no),
        ("refund_no", refund.provider_refund_no),
        ("amount", told.yuan(refund.amount_fen)),
        ("state", told.word(RefundState(refund.state))),
        ("asked_at", refund.asked_at),
        ("refunded_at", refund.refunded_at),
    )


_TIMES = {"payment": "paid_at", "refund": "asked_at"}
"""What the time of a trade bill's row is on our side: the same fact has one name on both."""


def _bill_facts(told: Told, row: ReconcileRow | None) -> list[wire.SideFact]:
    """What the bill says, each under the key that the same has on our side."""
    if row is None:
        return []
    at = _TIMES.get(row.kind, "at")
    return _facts(
        told,
        ("bill_row", row.n),
        ("kind", told.row_kind(row.kind)),
        ("out_trade_no", row.out_trade_no),
        ("provider_no", row.provider_no),
        ("out_refund_no", row.out_refund_no),
        ("refund_no", row.refund_no),
        ("fund_no", row.fund_no),
        ("amount", told.yuan(row.amount_fen)),
        ("fee", told.yuan(row.fee_fen)),
        ("balance", told.yuan(row.balance_fen)),
        ("state", told.bill_state(row.state)),
        (at, row.at),
        ("refunded_at", row.ended_at),
        ("subject", row.note),
    )


def _event(at: datetime, who: str, what: str) -> wire.DifferenceEvent:
    return wire.DifferenceEvent(at=at, who=who, what=what)


def _of_payment(tx: Tx, told: Told, attempt: PaymentAttempt | None) -> list[wire.DifferenceEvent]:
    if attempt is None:
        return []
    order = orders.find(tx, attempt.order_code)
    events = [_event(order.created_at, told.buyer, told.event("placed"))] if order else []
    asked = told.event("asked", channel=told.channel_name(attempt.channel))
    events.append(_event(attempt.created_at, told.shop, asked))
    heard = select(PaymentCallback.received_at).where(
        PaymentCallback.channel == attempt.channel, PaymentCallback.out_trade_no == attempt.out_trade_no
    )
    events += [_event(at, attempt.channel, told.event("told")) for at in tx.scalars(heard.limit(20))]
    if attempt.paid_at is not None:
        events.append(_event(attempt.paid_at, told.buyer, told.event("paid", yuan=format_fen(attempt.amount_fen))))
    return events


def _of_refund(tx: Tx, told: Told, refund: Refund | None) -> list[wire.DifferenceEvent]:
    if refund is None:
        return []
    steps = tx.scalars(select(RefundEvent).where(RefundEvent.refund_id == refund.id).order_by(RefundEvent.id))
    return [_event(step.at, step.actor, told.word(RefundStep(step.what))) for step in steps]


def _of_bill(told: Told, row: ReconcileRow | None) -> list[wire.DifferenceEvent]:
    return [_event(row.at, told.channel, told.event("billed", n=str(row.n)))] if row else []


def _before(tx: Tx, row: ReconcileDifference) -> Sequence[ReconcileDifference]:
    """What people handled of the same before a later bill said something else, or before it was carried on."""
    r, matter = ReconcileDifference, matters.root(row)
    its = ((r.origin_id == matter) | (r.again_of == matter), r.id != row.id, r.handled_at.is_not(None))
    return tx.scalars(select(r).where(*its, r.found_at <= row.found_at).order_by(r.handled_at).limit(20)).all()


def _of(told: Told, row: ReconcileDifference) -> list[wire.DifferenceEvent]:
    closed = [_event(row.handled_at, told.shop, told.event("closed"))] if row.handled_at and not row.handled_by else []
    return [_event(row.found_at, told.shop, told.event("found")), *_handled(told, row), *closed]


def _handled(told: Told, row: ReconcileDifference, number: str = "") -> list[wire.DifferenceEvent]:
    """What people decided; of another difference with its number."""
    events = []
    if row.handled_at and row.handled_by and row.action:
        what = " ".join(filter(None, (number, told.word(DifferenceAction(row.action)))))
        events.append(_event(row.handled_at, row.handled_by, told.event("handled", what=what, note=row.note)))
    if row.checked_at and row.checked_by:
        events.append(_event(row.checked_at, row.checked_by, told.event("checked")))
    return events
