"""The checks of statements and their payouts: they sum to their lines, and what they say was released was, once."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from sqlalchemy import and_, case, exists, func, or_, select

from server.db import Tx
from server.invariants.booked import named, off, total, transfers
from server.invariants.finding import Finding, found
from server.invariants.scope import EVERYTHING, Scope
from server.ledger.actions import Transfer
from server.ledger.model import LedgerJournal, LedgerRelease
from server.payments.model import PaymentAttempt
from server.payments.settling import OPENED_TO_BE_SPLIT
from server.settlement.model import (
    Payout,
    SettlementDeduction,
    SettlementItem,
    SettlementResult,
    SettlementSplit,
    Statement,
)
from shared.finance import JournalCode, PayoutState, StatementState

_RELEASED = (StatementState.CONFIRMED.value, StatementState.PAID.value)
_SPLITS = (PayoutState.APPROVED.value, PayoutState.SENT.value, PayoutState.CONFIRMED.value)
_NET = SettlementItem.share_fen - SettlementItem.refunded_fen


def statements_released_their_lines(tx: Tx, scope: Scope = EVERYTHING) -> Finding | None:
    """L6: each line of a confirmed statement was released by what it says, and no line of a draft was."""
    mine = and_(LedgerRelease.order_line_id == SettlementItem.order_line_id, LedgerRelease.payee == "supplier")
    is_released = Statement.state.in_(_RELEASED)
    unlike = or_(LedgerRelease.released_fen.is_(None), LedgerRelease.released_fen != _NET)
    query = (
        select(Statement.number, SettlementItem.order_line_id, _NET, LedgerRelease.released_fen)
        .join(Statement, Statement.id == SettlementItem.statement_id)
        .outerjoin(LedgerRelease, mine)
        .where(or_(and_(is_released, unlike), and_(~is_released, LedgerRelease.released_fen.is_not(None))))
        .where(scope.papers_of("statement", Statement.id))
    )
    return found(tx, "L6", "结算单与释放不符 / a statement is not what was released", query)


def statements_sum_to_their_lines(tx: Tx, scope: Scope = EVERYTHING) -> Finding | None:
    """L6: a statement releases and takes off what its lines say, and pays what is left."""
    items = (
        select(SettlementItem.statement_id, func.count().label("n"), func.sum(_NET).label("fen"))
        .where(scope.papers_of("statement", SettlementItem.statement_id))
        .group_by(SettlementItem.statement_id)
        .subquery()
    )
    negative = (
        select(
            SettlementDeduction.statement_id,
            func.count().label("n"),
            func.sum(SettlementDeduction.amount_fen).label("fen"),
        )
        .where(SettlementDeduction.netted.is_(False), scope.papers_of("statement", SettlementDeduction.statement_id))
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
        .where(Statement.state != StatementState.DROPPED.value, scope.papers_of("statement", Statement.id))
        .where(
            or_(
                Statement.release_fen != released,
                Statement.deductions_fen + Statement.withheld_fen != taken,
                Statement.lines != func.coalesce(items.c.n, 0) + func.coalesce(negative.c.n, 0),
                Statement.payable_fen != case((rest > 0, rest), else_=0),
            )
        )
    )
    return found(tx, "L6", "结算单金额与明细不符 / a statement is not the sum of its lines", query)


def releases_are_of_statements(tx: Tx, scope: Scope = EVERYTHING) -> Finding | None:
    """L10: nothing is released but by a confirmed statement, as much as it says and as much as its lines were, to whom
    they belong.
    """
    posted = scope.journals(JournalCode.RELEASE)
    mine = or_(scope.papers_of("statement", Statement.id), Statement.number.in_([_statement_of(key) for key in posted]))
    query = select(Statement.number, Statement.release_fen, Statement.state, Statement.supplier_id).where(mine)
    rows = tx.execute(query).all()
    statements = {f"statement:{one.number}:release": (one.release_fen, one.state) for one in rows}
    suppliers = {one.number: one.supplier_id.hex for one in rows}
    wanted = {key: fen for key, (fen, state) in statements.items() if state in _RELEASED}
    keys = None if scope.is_whole else {*posted, *statements}
    moved = transfers(tx, JournalCode.RELEASE, keys)
    booked = {key: total(its) for key, its in moved.items()}
    sums = (
        select(LedgerJournal.key, func.sum(LedgerRelease.released_fen))
        .join(LedgerRelease, LedgerRelease.journal_id == LedgerJournal.id)
        .where(named(keys))
        .group_by(LedgerJournal.key)
    )
    lines = {key: int(fen) for key, fen in tx.execute(sums)}
    wrong = {key for key in booked.keys() | lines.keys() if booked.get(key, 0) != lines.get(key, 0)}
    wrong |= {key for key, its in moved.items() if not _are_of(its, key, suppliers)}
    wrong |= {key for key in booked if f"statement:{_statement_of(key)}:release" not in wanted}
    wrong |= {key for key, fen in wanted.items() if booked.get(key, 0) != fen}
    return off("结算释放与结算单不符 / a release that is not its statement's", wrong)


def _are_of(moved: Collection[Transfer], key: str, suppliers: Mapping[str, str]) -> bool:
    """Whether a release gives a payee's pending share to that payee alone."""
    number, _, distributor = key.removeprefix("statement:").split(":")[0].partition("/")
    payee, owner = ("distributor", distributor) if distributor else ("supplier", suppliers.get(number))
    credits = {(f"{payee}_available", owner), ("owed", owner)}
    return all(one.debit == (f"{payee}_pending", owner) and one.credit in credits for one in moved)


def _statement_of(key: str) -> str:
    """The number in the key of a release: `statement:{number}[/{distributor}]:release`."""
    return key.removeprefix("statement:").split(":")[0].split("/")[0]


def payouts_pay_their_statements(tx: Tx, scope: Scope = EVERYTHING) -> Finding | None:
    """L6: what arrived of a payout is what its statements got of it."""
    got = func.coalesce(func.sum(Statement.paid_fen), 0)
    query = (
        select(Payout.number, Payout.arrived_fen, got)
        .outerjoin(Statement, Statement.payout_id == Payout.id)
        .where(scope.papers_of("payout", Payout.id))
        .group_by(Payout.number, Payout.arrived_fen)
        .having(Payout.arrived_fen != got)
    )
    return found(tx, "L6", "到账金额与结算单不符 / a payout is not what its statements got", query)


def splits_are_of_payments_opened_for_it(tx: Tx, scope: Scope = EVERYTHING) -> Finding | None:
    """L6: nothing is split of a payment that was not opened to be: its channel has settled it with the shop already."""
    opened = exists().where(PaymentAttempt.order_id == SettlementSplit.order_id, *OPENED_TO_BE_SPLIT)
    failed = exists().where(
        SettlementResult.payout_id == SettlementSplit.payout_id,
        SettlementResult.n == SettlementSplit.n,
        SettlementResult.succeeded.is_(False),
    )
    query = (
        select(Payout.number, SettlementSplit.n, SettlementSplit.amount_fen)
        .join(SettlementSplit, SettlementSplit.payout_id == Payout.id)
        .where(Payout.state.in_(_SPLITS), ~opened, ~failed)
        .where(scope.papers_of("payout", Payout.id))
    )
    return found(tx, "L6", "分账的付款下单时未约定分账 / a split of a payment that was not opened for it", query)
