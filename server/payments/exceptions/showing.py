"""Exceptions as staff see them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import select

from server.db import Tx
from server.identity import queries as people
from server.payments.exceptions import acting
from server.payments.model import PaymentException
from shared.contracts import payments as wire
from shared.contracts.base import Page
from shared.errors import NotFound
from shared.states import ExceptionAction, ExceptionKind, ExceptionState


def page(tx: Tx, *, open_only: bool, after: UUID | None, limit: int) -> Page[wire.PaymentException]:
    """Exceptions, oldest first; `after` is the last id of the page before."""
    query = select(PaymentException)
    if open_only:
        query = query.where(PaymentException.closed_at.is_(None))
    if after is not None:
        query = query.where(PaymentException.id > after)
    rows = tx.scalars(query.order_by(PaymentException.id).limit(limit + 1)).all()
    shown = rows[:limit]
    return Page(items=_answers(tx, shown), next=str(shown[-1].id) if len(rows) > limit else None)


def one(tx: Tx, exception_id: UUID) -> wire.PaymentException:
    """One exception. Raises NotFound."""
    row = tx.get(PaymentException, exception_id)
    if row is None:
        raise NotFound
    return _answers(tx, [row])[0]


def _answers(tx: Tx, rows: Sequence[PaymentException]) -> list[wire.PaymentException]:
    names = people.names_of(tx, [who for row in rows for who in (row.proposed_by, row.approved_by, row.closed_by)])
    return [_answer(row, names) for row in rows]


def _answer(row: PaymentException, names: dict[str, str]) -> wire.PaymentException:
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
        due_at=row.due_at,
        open=row.closed_at is None,
        actions=acting.possible(row),
        action=ExceptionAction(row.action) if row.action else None,
        action_order_code=row.action_order_code,
        note=row.note,
        proposed_by=name(row.proposed_by),
        approved_by=name(row.approved_by),
        closed_by=name(row.closed_by),
        closed_at=row.closed_at,
        refund_id=row.refund_id,
        evidence=[wire.Evidence(name=name, value=value) for name, value in json.loads(row.evidence or "[]")],
        version=row.version,
    )
