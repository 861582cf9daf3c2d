"""The checks of what waits: shares for their release, lines for a statement, and money for where it goes next."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, Subquery, and_, case, exists, func, literal, or_, select

from server.db import Tx
from server.invariants.finding import NAMED_MOST, WITHOUT_MONEY, Finding, found
from server.ledger.model import LedgerAccount, LedgerJournal, LedgerRelease
from server.ledger.queries import balances
from server.orders.model import Order, OrderLine, UnsettledLine
from server.payments.disputes.model import Dispute, DisputeLine
from server.payments.model import PaymentException
from server.payments.refunds.hearing import SLOW
from server.payments.refunds.model import Refund, RefundLine
from server.settlement.model import SettlementItem
from shared import clock
from shared.finance import DisputeState
from shared.states import OrderState, RefundState

GOODS_WITHIN = timedelta(minutes=15)
"""What was paid is delivered in its transaction, or people are told in it: nothing takes so long."""

MONEY_WITHIN = SLOW + timedelta(days=1)
"""A channel may take its time to give money back; a day after that people were told at the latest."""


@dataclass(frozen=True, slots=True)
class _Share:
    """Whose share of a line, where the ledger has it, and what refunds and disputes took of it."""

    kind: str
    owner: Any
    of_line: Any
    of_refund: Any
    of_dispute: Any
    frozen: Any


_SHARES = (
    _Share(
        "supplier",
        OrderLine.supplier_id,
        OrderLine.supplier_fen,
        RefundLine.supplier_fen,
        DisputeLine.supplier_fen,
        DisputeLine.frozen_fen,
    ),
    _Share(
        "distributor",
        Order.distributor_id,
        OrderLine.commission_fen,
        RefundLine.commission_fen,
        DisputeLine.commission_fen,
        literal(0),
    ),
)


def pending_is_what_lines_wait_for(tx: Tx) -> Finding | None:
    """L6: what is pending of a payee is what is left of its share of each line that was sold and not released."""
    off: list[str] = []
    for share in _SHARES:
        refunded, disputed = _refunded(share.of_refund), _disputed(share.of_dispute, open_fen=share.frozen)
        released = and_(LedgerRelease.order_line_id == OrderLine.id, LedgerRelease.payee == share.kind)
        query = (
            select(share.owner, func.sum(share.of_line - _fen(refunded) - _fen(disputed)))
            .select_from(OrderLine)
            .join(Order, Order.id == OrderLine.order_id)
            .join(LedgerJournal, _SALE)
            .outerjoin(LedgerRelease, released)
            .outerjoin(refunded, refunded.c.order_line_id == OrderLine.id)
            .outerjoin(disputed, disputed.c.order_line_id == OrderLine.id)
            .where(LedgerRelease.order_line_id.is_(None), share.owner.is_not(None))
            .group_by(share.owner)
        )
        waits = {owner.hex: int(fen) for owner, fen in tx.execute(query)}
        has = {one.account.owner: one.net for one in balances(tx, LedgerAccount.kind == f"{share.kind}_pending")}
        off += [
            f"{share.kind}_pending {owner} {has.get(owner, 0)} {waits.get(owner, 0)}"
            for owner in sorted(waits.keys() | has.keys())
            if has.get(owner, 0) != waits.get(owner, 0)
        ]
    sentence = "待结算余额与订单行不符 / what is pending is not what lines wait for"
    return Finding("L6", sentence, tuple(off[:NAMED_MOST])) if off else None


def lines_wait_for_one_statement(tx: Tx) -> Finding | None:
    """L6: a delivered line of which something is left is on a statement, or waits for one: not neither, and not both.

    Statements are made of the lines that wait: one that is not among them is never paid.
    """
    left = []
    joined = (
        select(Order.code, OrderLine.n)
        .select_from(OrderLine)
        .join(Order, Order.id == OrderLine.order_id)
        .join(LedgerJournal, _SALE)
        .outerjoin(UnsettledLine, UnsettledLine.order_line_id == OrderLine.id)
        .outerjoin(SettlementItem, SettlementItem.order_line_id == OrderLine.id)
    )
    for share in _SHARES:
        refunded, disputed = _refunded(share.of_refund), _disputed(share.of_dispute, open_fen=literal(0))
        for taken in (refunded, disputed):
            joined = joined.outerjoin(taken, taken.c.order_line_id == OrderLine.id)
        left.append(share.of_line - _fen(refunded) - _fen(disputed) > 0)
    forgotten = joined.where(UnsettledLine.order_line_id.is_(None), SettlementItem.order_line_id.is_(None), or_(*left))
    sentence = "订单行不在任何结算单也不待结算 / a line that waits for no statement and is on none"
    if finding := found(tx, "L6", sentence, forgotten):
        return finding
    its_line = and_(OrderLine.id == UnsettledLine.order_line_id, OrderLine.supplier_id == UnsettledLine.supplier_id)
    twice = (
        select(UnsettledLine.order_line_id)
        .outerjoin(OrderLine, its_line)
        .outerjoin(Order, Order.id == OrderLine.order_id)
        .outerjoin(SettlementItem, SettlementItem.order_line_id == UnsettledLine.order_line_id)
        .where(or_(Order.delivered_at.is_(None), SettlementItem.order_line_id.is_not(None)))
    )
    sentence = "待结算的订单行已在结算单上或未发货 / a line that waits for a statement and is on one, or was not sold"
    return found(tx, "L6", sentence, twice)


_SALE = and_(LedgerJournal.order_id == Order.id, LedgerJournal.code == "SALE")


def _refunded(share: Any) -> Subquery:
    """What refunds took of lines."""
    return (
        select(RefundLine.order_line_id, func.sum(share).label("fen"))
        .join(Refund, Refund.id == RefundLine.refund_id)
        .join(LedgerJournal, LedgerJournal.key == _reversal())
        .where(Refund.state.not_in(WITHOUT_MONEY))
        .group_by(RefundLine.order_line_id)
        .subquery()
    )


def _disputed(share: Any, *, open_fen: ColumnElement[int]) -> Subquery:
    """What lost disputes took of lines; open ones `open_fen`."""
    return (
        select(
            DisputeLine.order_line_id,
            func.sum(case((Dispute.state == DisputeState.LOST.value, share), else_=open_fen)).label("fen"),
        )
        .join(Dispute, Dispute.id == DisputeLine.dispute_id)
        .where(Dispute.state != DisputeState.WON.value)
        .group_by(DisputeLine.order_line_id)
        .subquery()
    )


def _fen(taken: Subquery) -> ColumnElement[int]:
    return func.coalesce(taken.c.fen, 0)


def _reversal() -> ColumnElement[str]:
    """The key of the journal that took back the shares of a refund."""
    return literal("refund:") + Refund.out_refund_no + ":reverse"


# --- money that goes on ---


def received_money_goes_on_in_time(tx: Tx) -> Finding | None:
    """L10: what was received is shared out or given back within a quarter of an hour, or people were told.

    Reads the orders that were paid and have no goods, which are few at any time.
    """
    named = exists().where(PaymentException.order_id == Order.id, PaymentException.closed_at.is_(None))
    going_back = exists().where(Refund.order_id == Order.id, Refund.state.not_in(_OVER))
    received = (
        select(LedgerJournal.key)
        .join(Order, Order.id == LedgerJournal.order_id)
        .where(Order.state.in_(_UNUSED), LedgerJournal.code.in_(("PAY", "ATTACH")), _older(GOODS_WITHIN))
        .where(~named, ~going_back)
    )
    return found(tx, "L10", _LATE, received)


def refunded_money_arrives_in_time(tx: Tx) -> Finding | None:
    """L10: what was taken back for a buyer gets there in the time that a channel may take, or people were told."""
    told = exists().where(PaymentException.refund_id == Refund.id)
    taken_back = (
        select(LedgerJournal.key)
        .join(Refund, LedgerJournal.key == _reversal())
        .where(Refund.state.in_(_ON_ITS_WAY), _older(MONEY_WITHIN), ~told)
    )
    return found(tx, "L10", _LATE, taken_back)


_LATE = "账目超时未有后续 / money that should have gone on long ago"

_UNUSED = (OrderState.PAID.value, OrderState.DELIVERY_FAILED.value)
"""Orders whose money waits in escrow."""

_OVER = (*WITHOUT_MONEY, RefundState.SUCCEEDED.value)

_ON_ITS_WAY = (
    RefundState.APPROVED.value,
    RefundState.SUBMITTED.value,
    RefundState.PROCESSING.value,
    RefundState.ABNORMAL.value,
)


def _older(within: timedelta) -> ColumnElement[bool]:
    return LedgerJournal.posted_at < clock.now() - within
