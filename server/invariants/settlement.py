"""The checks of statements and payouts: they sum to their lines, and what they say was released or paid was, once."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import ColumnElement, and_, case, func, or_, select, true

from server.db import Tx
from server.invariants.finding import NAMED_MOST, Finding, found
from server.invariants.scope import EVERYTHING, Scope
from server.ledger.model import LedgerJournal, LedgerRelease, LedgerTransfer
from server.settlement.model import Payout, SettlementDeduction, SettlementItem, SettlementReturn, Statement
from shared.finance import JournalCode, PayoutState, StatementState
from shared.money import Fen

_RELEASED = (StatementState.CONFIRMED.value, StatementState.PAID.value)
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
    """L10: nothing is released but by a confirmed statement, as much as it says and as much as its lines were."""
    posted = scope.journals(JournalCode.RELEASE)
    mine = or_(scope.papers_of("statement", Statement.id), Statement.number.in_([_statement_of(key) for key in posted]))
    query = select(Statement.number, Statement.release_fen, Statement.state).where(mine)
    statements = {f"statement:{number}:release": (fen, state) for number, fen, state in tx.execute(query)}
    wanted = {key: fen for key, (fen, state) in statements.items() if state in _RELEASED}
    keys = None if scope.is_whole else {*posted, *statements}
    booked = _booked(tx, JournalCode.RELEASE, keys)
    sums = (
        select(LedgerJournal.key, func.sum(LedgerRelease.released_fen))
        .join(LedgerRelease, LedgerRelease.journal_id == LedgerJournal.id)
        .where(_named(keys))
        .group_by(LedgerJournal.key)
    )
    lines = {key: int(fen) for key, fen in tx.execute(sums)}
    off = {key for key in booked.keys() | lines.keys() if booked.get(key, 0) != lines.get(key, 0)}
    off |= {key for key in booked if f"statement:{_statement_of(key)}:release" not in wanted}
    off |= {key for key, fen in wanted.items() if booked.get(key, 0) != fen}
    return _off("结算释放与结算单不符 / a release that is not its statement's", off)


def _statement_of(key: str) -> str:
    """The number in the key of a release: `statement:{number}[/{distributor}]:release`."""
    return key.removeprefix("statement:").split(":")[0].split("/")[0]


def payouts_are_booked(tx: Tx, scope: Scope = EVERYTHING) -> Finding | None:
    """L10: each payout has the journals of where it stands, for its amount, and no other money was paid out."""
    posted = scope.journals(JournalCode.PAYOUT)
    claimed = [key.removeprefix("payout:").split(":")[0] for key in posted]
    mine = or_(scope.papers_of("payout", Payout.id), Payout.number.in_(claimed))
    query = select(Payout.number, Payout.state, Payout.amount_fen, Payout.fee_fen, Payout.arrived_fen).where(mine)
    payouts = tx.execute(query).all()
    returned = select(Payout.number, SettlementReturn.n, SettlementReturn.k, SettlementReturn.amount_fen).where(mine)
    wanted: dict[str, Fen] = {
        f"payout:{number}:return:{n}.{k}": fen
        for number, n, k, fen in tx.execute(returned.join(Payout, Payout.id == SettlementReturn.payout_id))
    }
    events = {f"payout:{one.number}:{event}" for one in payouts for event in _EVENTS}
    booked = _booked(tx, JournalCode.PAYOUT, None if scope.is_whole else {*posted, *wanted, *events})
    for number, state, amount, fee, arrived in payouts:
        key = f"payout:{number}"
        if state == PayoutState.FAILED:  # nothing of it is there any more, whatever had arrived
            arrived = booked.get(f"{key}:done", 0)
            wanted[f"{key}:failed"] = (arrived or amount) + fee
        if state in _SENT:
            wanted[f"{key}:submit"] = amount + fee
        if arrived:
            wanted |= {f"{key}:done": arrived} | ({f"{key}:lacked": amount - arrived} if arrived != amount else {})
    return _off(
        "打款与账目不符 / a payout that is not what is booked",
        {key for key in booked.keys() | wanted.keys() if booked.get(key) != wanted.get(key)},
    )


_EVENTS = ("submit", "done", "lacked", "failed")
_SENT = (PayoutState.SENT, PayoutState.CONFIRMED, PayoutState.FAILED)


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


def _booked(tx: Tx, code: JournalCode, keys: Collection[str] | None) -> dict[str, Fen]:
    """What the journals of a kind moved, by their keys: all, or those of some."""
    query = (
        select(LedgerJournal.key, func.coalesce(func.sum(LedgerTransfer.amount_fen), 0))
        .outerjoin(LedgerTransfer, LedgerTransfer.journal_id == LedgerJournal.id)
        .where(LedgerJournal.code == code.value, _named(keys))
        .group_by(LedgerJournal.key)
    )
    return {key: int(fen) for key, fen in tx.execute(query)}


def _named(keys: Collection[str] | None) -> ColumnElement[bool]:
    return true() if keys is None else LedgerJournal.key.in_(keys)


def _off(sentence: str, keys: set[str]) -> Finding | None:
    return Finding("L10", sentence, tuple(sorted(keys)[:NAMED_MOST])) if keys else None
