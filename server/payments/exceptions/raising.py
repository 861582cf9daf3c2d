"""Raising an exception: each once, by the key of its cause, with the evidence a person needs to decide.

Where the shop's default policy says what to do (`AUTOMATIC`), a job does it when its time has come.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import insert, select, update
from sqlalchemy.exc import IntegrityError

from server import audit, changes, jobs
from server.db import Tx, table_of
from server.gateways.port import PaymentFact
from server.payments.model import PaymentAttempt, PaymentException
from shared import clock, ids
from shared.states import ExceptionKind, ExceptionState, FoundBy

DUE = "payments.exception_due"
"""The job that acts by the default policy."""

AUTOMATIC = frozenset({ExceptionKind.PAID_NO_STOCK, ExceptionKind.PAID_AFTER_EXPIRY, ExceptionKind.PAID_TWICE})
"""Kinds whose money goes back by itself: the buyer has paid for nothing, and nobody doubts it."""

Evidence = Sequence[tuple[str, object]]

_log = logging.getLogger("kameng.payments")


@dataclass(frozen=True, slots=True, kw_only=True)
class Raised:
    """An exception that is to be raised. `cause` makes it one of its kind: a repeat of the same adds nothing.

    `holds_money`: money of ours waits in it, by its attempt or by `unmatched_id`.
    """

    kind: ExceptionKind
    cause: str
    channel: str
    out_trade_no: str
    at: datetime
    attempt: PaymentAttempt | None = None
    provider_no: str | None = None
    expected_fen: int | None = None
    received_fen: int | None = None
    unmatched_id: UUID | None = None
    refund_id: UUID | None = None
    holds_money: bool = False
    evidence: Evidence = ()
    due_at: datetime | None = None
    id: UUID = field(default_factory=ids.new_id)

    @property
    def key(self) -> str:
        """The natural key of the row."""
        return f"{self.kind.value}:{self.cause}"[:120]


def of_fact(
    kind: ExceptionKind,
    fact: PaymentFact,
    attempt: PaymentAttempt | None,
    *,
    found_by: FoundBy,
    at: datetime,
    about: str | None = None,
    unmatched_id: UUID | None = None,
    holds_money: bool = False,
    refund_after: timedelta = timedelta(),
    more: Evidence = (),
) -> Raised:
    """The exception a fact causes; `about` distinguishes it where the provider's number alone does not."""
    acts = kind in AUTOMATIC and holds_money
    return Raised(
        kind=kind,
        cause=f"{fact.channel}:{about or fact.provider_no}",
        channel=fact.channel,
        out_trade_no=fact.out_trade_no[:64],
        at=at,
        attempt=attempt,
        provider_no=fact.provider_no,
        expected_fen=attempt.amount_fen if attempt else None,
        received_fen=fact.amount_fen,
        unmatched_id=unmatched_id,
        holds_money=holds_money,
        evidence=[*evidence_of(fact, attempt, found_by), *more],
        due_at=at + refund_after if acts else None,
    )


def unknown(attempt: PaymentAttempt, about: str = "", *, more: Evidence) -> Raised:
    """Nobody but a person can say what became of an attempt; `about` where there is more than one reason to ask."""
    return Raised(
        kind=ExceptionKind.PAYMENT_UNKNOWN,
        cause=":".join(filter(None, (attempt.channel, attempt.id.hex, about))),
        channel=attempt.channel,
        out_trade_no=attempt.out_trade_no,
        at=clock.now(),
        attempt=attempt,
        expected_fen=attempt.amount_fen,
        evidence=[
            ("out_trade_no", attempt.out_trade_no),
            ("order_code", attempt.order_code),
            ("expected_fen", attempt.amount_fen),
            *more,
        ],
    )


def evidence_of(fact: PaymentFact, attempt: PaymentAttempt | None, found_by: FoundBy) -> list[tuple[str, object]]:
    """What the channel said of the payment and how we heard it, beside what we expected."""
    return [
        ("found_by", found_by.value),
        ("out_trade_no", fact.out_trade_no),
        ("provider_no", fact.provider_no),
        ("received_fen", fact.amount_fen),
        ("expected_fen", attempt.amount_fen if attempt else None),
        ("payer_total_fen", fact.payer_total_fen),
        ("currency", fact.currency),
        ("merchant_id", fact.merchant_id),
        ("app_id", fact.app_id),
        ("paid_at", fact.paid_at),
        ("event_id", fact.event_id),
        ("channel_state", fact.state),
        ("order_code", attempt.order_code if attempt else None),
        ("attempt_state", attempt.state if attempt else None),
    ]


def write(tx: Tx, raised: Sequence[Raised]) -> None:
    """Store each exception once, by its key, and tell the consoles."""
    by_key = {one.key: one for one in raised}
    if not by_key:
        return
    known = set(tx.scalars(select(PaymentException.key).where(PaymentException.key.in_(by_key))))
    fresh = [one for key, one in by_key.items() if key not in known]
    if not fresh:
        return
    tx.execute(insert(table_of(PaymentException)), [_row(one) for one in fresh])
    for one in fresh:
        if one.due_at is not None:
            jobs.enqueue(tx, DUE, {"id": str(one.id)}, run_at=one.due_at)
    changes.append_many(tx, [changes.Changed("exception", one.id, domain="payments") for one in fresh])
    audit.append_many(
        tx,
        [
            audit.Entry(
                actor=f"channel:{one.channel}",
                action="exception.open",
                entity="exception",
                entity_id=str(one.id),
                detail={"kind": one.kind.value, "out_trade_no": one.out_trade_no, "fen": one.received_fen},
            )
            for one in fresh
        ],
    )


def once(tx: Tx, one: Raised) -> None:
    """The same outside of the batch, where another process may raise it at the same instant."""
    try:
        with tx.begin_nested():
            write(tx, [one])
    except IntegrityError:
        _log.info("another process told of it", extra={"kind": one.kind.value})


def renumber(tx: Tx, attempt_id: UUID, was: str, number: str) -> None:
    """What people know by the number that was misread is known by the channel's from now on."""
    its = (PaymentException.attempt_id == attempt_id, PaymentException.provider_no == was)
    tx.execute(update(PaymentException).where(*its).values(provider_no=number))


def again(tx: Tx, one: Raised) -> None:
    """The same for what goes on: it is before people until it is over, and anew where they have closed it before."""
    of_attempt = PaymentException.attempt_id == (one.attempt.id if one.attempt else None)  # has an index
    mine = (PaymentException.key == one.key) | PaymentException.key.startswith(f"{one.key}:", autoescape=True)
    before = tx.scalars(select(PaymentException.closed_at).where(of_attempt, mine)).all()
    if None in before:
        return
    once(tx, replace(one, cause=f"{one.cause}:{len(before)}") if before else one)


def _row(one: Raised) -> dict[str, object]:
    attempt = one.attempt
    return {
        "id": one.id,
        "key": one.key,
        "kind": one.kind.value,
        "order_id": attempt.order_id if attempt else None,
        "order_code": attempt.order_code if attempt else None,
        "attempt_id": attempt.id if attempt else None,
        "channel": one.channel,
        "out_trade_no": one.out_trade_no,
        "provider_no": one.provider_no,
        "expected_fen": one.expected_fen,
        "received_fen": one.received_fen,
        "created_at": one.at,
        "state": ExceptionState.OPEN.value,
        "unmatched_id": one.unmatched_id,
        "refund_id": one.refund_id,
        "evidence": written(one.evidence),
        "due_at": one.due_at,
        "version": 1,
    }


def written(evidence: Evidence) -> str:
    """Evidence as it is stored: names and texts; what is not known is left out."""
    told = [
        [name, value.isoformat() if isinstance(value, datetime) else str(value)]
        for name, value in evidence
        if value is not None
    ]
    return json.dumps(told, ensure_ascii=False)
