"""Adjustments as staff see them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import select

from server.db import Tx, among
from server.identity import queries as people
from server.payments.adjustments.model import Adjustment
from server.policy import Actor
from shared.contracts import ledger as wire
from shared.contracts.base import Page
from shared.errors import NotFound
from shared.finance import AdjustmentState
from shared.money import Fen
from shared.permissions import Permission


class Only(NamedTuple):
    """Which adjustments: in this state, and about this channel's signed day; None for any."""

    state: AdjustmentState | None = None
    channel: str | None = None
    day: date | None = None


def page(tx: Tx, who: Actor, *, only: Only, after: UUID | None, limit: int) -> Page[wire.Adjustment]:
    """Adjustments, newest first; `after` is the last id of the page before."""
    query = select(Adjustment)
    for column, wanted in zip((Adjustment.state, Adjustment.channel, Adjustment.day), only, strict=True):
        if wanted is not None:
            query = query.where(column == wanted)
    if after is not None:
        query = query.where(Adjustment.id < after)
    rows = tx.scalars(query.order_by(Adjustment.id.desc()).limit(limit + 1)).all()
    shown = rows[:limit]
    return Page(items=_answers(tx, who, shown), next=str(shown[-1].id) if len(rows) > limit else None)


def one(tx: Tx, who: Actor, adjustment_id: UUID) -> wire.Adjustment:
    """One adjustment. Raises NotFound."""
    row = tx.get(Adjustment, adjustment_id)
    if row is None:
        raise NotFound
    return _answers(tx, who, [row])[0]


def named(tx: Tx, adjustment_ids: Sequence[UUID]) -> dict[UUID, Adjustment]:
    """These adjustments."""
    query = select(Adjustment).where(among(tx, Adjustment.id, list(adjustment_ids)))
    return {row.id: row for row in tx.scalars(query)} if adjustment_ids else {}


def about_days(tx: Tx, first: date, last: date) -> Sequence[Adjustment]:
    """Those about signed days between two, oldest first."""
    return tx.scalars(
        select(Adjustment).where(Adjustment.day >= first, Adjustment.day <= last).order_by(Adjustment.id)
    ).all()


def moved(row: Adjustment, kind: str, owner: str) -> Fen:
    """By how much its debits of an account are more than its credits."""
    account = (kind, owner)
    return sum(fen * (((a, b) == account) - ((c, d) == account)) for a, b, c, d, fen in row.transfers)


def _answers(tx: Tx, who: Actor, rows: Sequence[Adjustment]) -> list[wire.Adjustment]:
    names = people.names_of(tx, [label for row in rows for label in (row.proposed_by, row.checked_by)])
    suppliers = people.supplier_names(tx)
    return [
        wire.Adjustment(
            id=row.id,
            state=AdjustmentState(row.state),
            transfers=[
                wire.Transfer(
                    debit_kind=a,
                    debit_owner=b,
                    debit_name=people.owner_name(b, suppliers),
                    credit_kind=c,
                    credit_owner=d,
                    credit_name=people.owner_name(d, suppliers),
                    amount_fen=fen,
                )
                for a, b, c, d, fen in row.transfers
            ],
            reason=row.reason,
            ticket=row.ticket,
            order_code=row.order_code,
            channel=row.channel,
            day=row.day,
            proposed_by=names.get(row.proposed_by, row.proposed_by),
            proposed_at=row.proposed_at,
            checked_by=row.checked_by and names.get(row.checked_by, row.checked_by),
            checked_at=row.checked_at,
            check_note=row.check_note,
            actions=_actions(who, row),
            version=row.version,
        )
        for row in rows
    ]


def _actions(who: Actor, row: Adjustment) -> list[str]:
    if row.state != AdjustmentState.PROPOSED or not who.may(Permission.LEDGER_ADJUSTMENT_EDIT):
        return []
    return ["withdraw"] if row.proposed_by == who.label else ["check"]
