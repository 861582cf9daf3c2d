"""The checks of statements: they sum to their lines, and what a confirmed one says was released was, once."""

from __future__ import annotations

from sqlalchemy import and_, case, func, or_, select

from server.db import Tx
from server.invariants.finding import Finding, found
from server.ledger.model import LedgerRelease
from server.settlement.model import SettlementDeduction, SettlementItem, Statement
from shared.finance import StatementState

_RELEASED = (StatementState.CONFIRMED.value, StatementState.PAID.value)
_NET = SettlementItem.share_fen - SettlementItem.refunded_fen


def statements_released_their_lines(tx: Tx) -> Finding | None:
    """L6: each line of a confirmed statement was released by what it says, and no line of a draft was."""
    mine = and_(LedgerRelease.order_line_id == SettlementItem.order_line_id, LedgerRelease.payee == "supplier")
    is_released = Statement.state.in_(_RELEASED)
    unlike = or_(LedgerRelease.released_fen.is_(None), LedgerRelease.released_fen != _NET)
    query = (
        select(Statement.number, SettlementItem.order_line_id, _NET, LedgerRelease.released_fen)
        .join(Statement, Statement.id == SettlementItem.statement_id)
        .outerjoin(LedgerRelease, mine)
        .where(or_(and_(is_released, unlike), and_(~is_released, LedgerRelease.released_fen.is_not(None))))
    )
    return found(tx, "L6", "结算单与释放不符 / a statement is not what was released", query)


def statements_sum_to_their_lines(tx: Tx) -> Finding | None:
    """L6: a statement releases and takes off what its lines say, and pays what is left."""
    items = (
        select(SettlementItem.statement_id, func.count().label("n"), func.sum(_NET).label("fen"))
        .group_by(SettlementItem.statement_id)
        .subquery()
    )
    negative = (
        select(
            SettlementDeduction.statement_id,
            func.count().label("n"),
            func.sum(SettlementDeduction.amount_fen).label("fen"),
        )
        .where(SettlementDeduction.netted.is_(False))
        .group_by(SettlementDeduction.statement_id)
        .subquery()
    )
    released, taken = func.coalesce(items.c.fen, 0), func.coalesce(negative.c.fen, 0)
    rest = Statement.release_fen - Statement.deductions_fen - Statement.owed_fen - Statement.payout_fee_fen
    query = (
        select(
            Statement.number, Statement.release_fen, released, Statement.deductions_fen, taken, Statement.payable_fen
        )
        .outerjoin(items, items.c.statement_id == Statement.id)
        .outerjoin(negative, negative.c.statement_id == Statement.id)
        .where(Statement.state != StatementState.DROPPED.value)
        .where(
            or_(
                Statement.release_fen != released,
                Statement.deductions_fen != taken,
                Statement.lines != func.coalesce(items.c.n, 0) + func.coalesce(negative.c.n, 0),
                Statement.payable_fen != case((rest > 0, rest), else_=0),
            )
        )
    )
    return found(tx, "L6", "结算单金额与明细不符 / a statement is not the sum of its lines", query)
