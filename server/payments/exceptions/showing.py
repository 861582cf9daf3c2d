"""Exceptions as staff see them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import select

from server.db import Tx
from server.identity import queries as people
from server.payments.exceptions import acting, choosing
from server.payments.model import PaymentException
from server.policy import Actor
from shared.contracts import payments as wire
from shared.contracts.base import Page
from shared.errors import NotFound
from shared.states import ExceptionAction, ExceptionKind, ExceptionState

_PEOPLE = frozenset({"proposed_by", "approved_by"})
"""Names of evidence whose value is who did it."""


@dataclass(frozen=True, slots=True)
class Only:
    """Which exceptions are wanted; None is any."""

    open: bool = True
    state: ExceptionState | None = None
    kind: ExceptionKind | None = None
    channel: str | None = None


def page(
    tx: Tx, who: Actor, *, only: Only = Only(), after: UUID | None = None, limit: int
) -> Page[wire.PaymentException]:
    """Exceptions, oldest first; `after` is the last id of the page before."""
    query = select(PaymentException)
    if only.open:
        query = query.where(PaymentException.closed_at.is_(None))
    for column, wanted in (
        (PaymentException.state, only.state),
        (PaymentException.kind, only.kind),
        (PaymentException.channel, only.channel),
    ):
        if wanted is not None:
            query = query.where(column == str(wanted))
    if after is not None:
        query = query.where(PaymentException.id > after)
    rows = tx.scalars(query.order_by(PaymentException.id).limit(limit + 1)).all()
    shown = rows[:limit]
    return Page(items=_answers(tx, who, shown), next=str(shown[-1].id) if len(rows) > limit else None)


def one(tx: Tx, who: Actor, exception_id: UUID) -> wire.PaymentException:
    """One exception. Raises NotFound."""
    row = tx.get(PaymentException, exception_id)
    if row is None:
        raise NotFound
    return _answers(tx, who, [row])[0]


def _answers(tx: Tx, who: Actor, rows: Sequence[PaymentException]) -> list[wire.PaymentException]:
    evidence = {row.id: json.loads(row.evidence or "[]") for row in rows}
    named = {label for row in rows for label in (row.proposed_by, row.approved_by, row.closed_by)}
    named |= {value for facts in evidence.values() for name, value in facts if name in _PEOPLE}
    names, about = people.names_of(tx, named), choosing.about(tx, rows)
    return [_answer(row, evidence[row.id], about[row.id], names, who) for row in rows]


def _answer(
    row: PaymentException,
    evidence: list[tuple[str, str]],
    about: choosing.About,
    names: dict[str, str],
    who: Actor,
) -> wire.PaymentException:
    def name(label: str | None) -> str | None:
        return names.get(label, label) if label else None

    return wire.PaymentException(
        id=row.id,
        kind=ExceptionKind(row.kind),
        state=ExceptionState(row.state),
        order_code=row.order_code,
        channel=row.channel,
        out_trade_no=row.out_trade_no,
        provider_no=row.provider_no,
        expected_fen=row.expected_fen,
        received_fen=row.received_fen,
        created_at=row.created_at,
        due_at=acting.acts_at(row),
        open=row.closed_at is None,
        actions=choosing.possible(row, about),
        action=ExceptionAction(row.action) if row.action else None,
        action_order_code=row.action_order_code,
        action_provider_no=row.action_provider_no,
        note=row.note,
        proposed_by=name(row.proposed_by),
        proposed_at=row.proposed_at,
        proposed_by_reader=row.proposed_by == who.label,
        approved_by=name(row.approved_by),
        closed_by=name(row.closed_by),
        closed_at=row.closed_at,
        refund_id=row.refund_id,
        evidence=[
            wire.Evidence(name=fact, value=names.get(value, value) if fact in _PEOPLE else value)
            for fact, value in evidence
        ],
        version=row.version,
    )
