"""What a payout by profit sharing takes of which payments: decided at its approval, kept, and held against refunds.

left     of an order's payment: what its released lines still have for the supplier, refunds and lost disputes taken
         off, less what payouts that were approved, sent or arrived took of it
taken    first of the orders on the payout's own statements, then of those that the supplier had released lately; what
         no payment has left is transferred
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, func, insert, select

from server.db import Tx, among, table_of
from server.payments import settling as payments
from server.settlement.earning import RELEASED
from server.settlement.instructing import WITHIN, share_out
from server.settlement.model import Payout, SettlementItem, SettlementSplit, Statement
from shared import clock
from shared.errors import Conflict
from shared.finance import PayoutState
from shared.money import Fen

_TAKEN = (PayoutState.APPROVED.value, PayoutState.SENT.value, PayoutState.CONFIRMED.value)
_LATELY = WITHIN + timedelta(days=1)


class SplitOutdated(Conflict):
    """A payment was refunded after its split was decided."""

    code = "split_outdated"
    zh = "打款 {number} 复核后，有订单发生了退款，分账指令已不可用。请撤回后重新发起。"
    en = "Orders were refunded after payout {number} was checked, and its splits no longer fit. Withdraw and remake it."


def decide(tx: Tx, payout: Payout) -> None:
    """Keep what a payout that is approved takes of each payment. Callers hold the supplier's turn."""
    own = _left(tx, payout, Statement.number.in_(payout.statements))
    others: dict[UUID, Fen] = {}
    if sum(own.values()) < payout.amount_fen:
        lately = Statement.confirmed_at >= clock.now() - _LATELY
        others = {order_id: fen for order_id, fen in _left(tx, payout, lately).items() if order_id not in own}
    rows = [
        {"payout_id": payout.id, "n": n, "order_id": order_id, "amount_fen": fen}
        for n, (order_id, fen) in enumerate(share_out(payout.amount_fen, own, others), start=1)
    ]
    if rows:
        tx.execute(insert(table_of(SettlementSplit)), rows)


def require_fit(tx: Tx, payout: Payout) -> None:
    """Raise SplitOutdated unless each payment still has what the payout takes of it."""
    wanted = dict(of(tx, payout))
    left = _left(tx, payout, among(tx, SettlementItem.order_id, list(wanted))) if wanted else {}
    if any(left.get(order_id, 0) < fen for order_id, fen in wanted.items()):
        raise SplitOutdated(number=payout.number)


def of(tx: Tx, payout: Payout) -> list[tuple[UUID, Fen]]:
    """What a payout takes of the payments of which orders."""
    query = select(SettlementSplit.order_id, SettlementSplit.amount_fen)
    mine = query.where(SettlementSplit.payout_id == payout.id).order_by(SettlementSplit.n)
    return [(order_id, int(fen)) for order_id, fen in tx.execute(mine)]


def _left(tx: Tx, payout: Payout, which: ColumnElement[bool]) -> dict[UUID, Fen]:
    """What is left for the supplier of each payment of some of its released orders, in the order of the orders."""
    chosen = (which, Statement.supplier_id == payout.supplier_id, Statement.state.in_(RELEASED))
    shares = select(SettlementItem.order_id, func.sum(SettlementItem.share_fen))
    left = _sums(tx, shares.join(Statement, Statement.id == SettlementItem.statement_id).where(*chosen))
    if not left:
        return {}
    for back in (payments.taken_back(), payments.lost()):
        taken = (
            select(SettlementItem.order_id, func.sum(back.c.supplier_fen))
            .join(back, back.c.order_line_id == SettlementItem.order_line_id)
            .join(Statement, Statement.id == SettlementItem.statement_id)
            .where(*chosen)
        )
        _take(left, _sums(tx, taken))
    _take(left, _split_before(tx, payout, left))
    paid = payments.payments_of(tx, left)
    return {order_id: fen for order_id, fen in sorted(left.items()) if fen > 0 and order_id in paid}


def _sums(tx: Tx, query: Any) -> dict[UUID, Fen]:
    return {order_id: int(fen) for order_id, fen in tx.execute(query.group_by(SettlementItem.order_id))}


def _take(left: dict[UUID, Fen], taken: dict[UUID, Fen]) -> None:
    for order_id, fen in taken.items():
        left[order_id] -= fen


def _split_before(tx: Tx, payout: Payout, order_ids: Collection[UUID]) -> dict[UUID, Fen]:
    """What other payouts of the supplier took of the payments of these orders."""
    query = (
        select(SettlementSplit.order_id, func.sum(SettlementSplit.amount_fen))
        .join(Payout, Payout.id == SettlementSplit.payout_id)
        .where(Payout.supplier_id == payout.supplier_id, Payout.id != payout.id, Payout.state.in_(_TAKEN))
        .where(among(tx, SettlementSplit.order_id, list(order_ids)))
        .group_by(SettlementSplit.order_id)
    )
    return {order_id: int(fen) for order_id, fen in tx.execute(query)}
