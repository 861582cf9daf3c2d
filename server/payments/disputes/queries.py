"""Disputes as staff see them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import func, select

from server.db import Tx, among
from server.identity import queries as people
from server.orders.model import OrderLine
from server.payments.disputes.model import Dispute, DisputeLine
from server.policy import Actor
from shared.contracts import ledger as wire
from shared.contracts.base import Page
from shared.errors import NotFound
from shared.finance import DisputeState
from shared.permissions import Permission


@dataclass(frozen=True, slots=True)
class Only:
    """Which disputes are wanted; None is any."""

    state: DisputeState | None = None
    order_code: str | None = None


def page(tx: Tx, who: Actor, *, only: Only, after: UUID | None, limit: int) -> Page[wire.Dispute]:
    """Disputes, newest first; `after` is the last id of the page before."""
    query = select(Dispute)
    if only.state is not None:
        query = query.where(Dispute.state == only.state.value)
    if only.order_code is not None:
        query = query.where(Dispute.order_code == only.order_code)
    if after is not None:
        query = query.where(Dispute.id < after)
    rows = tx.scalars(query.order_by(Dispute.id.desc()).limit(limit + 1)).all()
    shown = rows[:limit]
    return Page(items=_answers(tx, who, shown), next=str(shown[-1].id) if len(rows) > limit else None)


def one(tx: Tx, who: Actor, dispute_id: UUID) -> wire.Dispute:
    """One dispute. Raises NotFound."""
    row = tx.get(Dispute, dispute_id)
    if row is None:
        raise NotFound
    return _answers(tx, who, [row])[0]


def named(tx: Tx, dispute_ids: Sequence[UUID]) -> dict[UUID, Dispute]:
    """These disputes."""
    query = select(Dispute).where(among(tx, Dispute.id, list(dispute_ids)))
    return {row.id: row for row in tx.scalars(query)} if dispute_ids else {}


def _answers(tx: Tx, who: Actor, rows: Sequence[Dispute]) -> list[wire.Dispute]:
    names = people.names_of(tx, [label for row in rows for label in (row.opened_by, row.proposed_by, row.closed_by)])
    shares = _shares(tx, [row.id for row in rows])
    return [
        wire.Dispute(
            id=row.id,
            order_code=row.order_code,
            channel=row.channel,
            channel_no=row.channel_no,
            amount_fen=row.amount_fen,
            fine_fen=row.fine_fen,
            state=DisputeState(row.state),
            reason=row.reason,
            opened_by=names.get(row.opened_by, row.opened_by),
            opened_at=row.opened_at,
            shares=tuple(shares[row.id]),
            proposed_by=row.proposed_by and names.get(row.proposed_by, row.proposed_by),
            proposed_at=row.proposed_at,
            proposes_won=row.proposes_won,
            note=row.note,
            closed_by=row.closed_by and names.get(row.closed_by, row.closed_by),
            closed_at=row.closed_at,
            closed_note=row.closed_note,
            actions=_actions(who, row),
            version=row.version,
        )
        for row in rows
    ]


def _shares(tx: Tx, dispute_ids: Iterable[UUID]) -> dict[UUID, list[wire.DisputeShare]]:
    share, frozen = func.sum(DisputeLine.supplier_fen), func.sum(DisputeLine.frozen_fen)
    query = (
        select(DisputeLine.dispute_id, OrderLine.supplier_id, share, frozen)
        .join(OrderLine, OrderLine.id == DisputeLine.order_line_id)
        .where(DisputeLine.dispute_id.in_(list(dispute_ids)))
        .group_by(DisputeLine.dispute_id, OrderLine.supplier_id)
        .order_by(OrderLine.supplier_id)
    )
    names = people.supplier_names(tx)
    found: dict[UUID, list[wire.DisputeShare]] = defaultdict(list)
    for dispute_id, supplier_id, share_fen, frozen_fen in tx.execute(query):
        found[dispute_id].append(
            wire.DisputeShare(supplier=names[supplier_id], share_fen=int(share_fen), frozen_fen=int(frozen_fen))
        )
    return found


def _actions(who: Actor, row: Dispute) -> list[str]:
    may_close = row.state == DisputeState.OPENED and who.may(Permission.LEDGER_ADJUSTMENT_EDIT)
    return ["close"] if may_close else []
