"""Statements: drafts of what is due, each line on one of them; confirming releases it once, dropping frees it.

What a statement pays is what its supplier has once its lines are released: refunds after their release (`deductions`),
and whatever else was owed or left over from before (`owed`), are netted first. It is never negative: what a release
does not cover stays owed in the ledger, and comes off the next statement. What is taken of its own lines while it waits
for its payout is withheld of itself.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any
from uuid import UUID

from sqlalchemy import Select, delete, insert, select

from server import audit, changes
from server.db import Database, Tx, among, retrying, table_of
from server.ledger import paying
from server.orders.settling import lock_all
from server.orders.unsettled import settle, unsettle
from server.policy import Actor, visible
from server.settlement import earning, turns
from server.settlement import terms as agreed
from server.settlement.drilling import order_codes
from server.settlement.due import Terms
from server.settlement.earning import Deduction, Earned
from server.settlement.model import SettlementDeduction, SettlementItem, Statement
from server.settlement.proposing import Proposal, has_any, positions, propose
from shared import clock, ids
from shared.contracts import settlement as wire
from shared.errors import BadField, Conflict, NotFound
from shared.finance import StatementState
from shared.money import Fen
from shared.states import require_move

DOMAIN = "settlement"
PREFIX = "JS"

MOST_LINES = 2_000
"""More lines that are due at once come on further statements: each is released in one transaction, and orders wait."""

_INSERT_AT_A_TIME = 2_000
_NAMED_MOST = 5


class StatementOutdated(Conflict):
    """Something happened to lines after the draft was made: they are on it no more."""

    code = "statement_outdated"
    zh = (
        "结算单 {number} 生成后，有 {count} 行发生了退款、争议或暂缓，已移出（订单 {orders}）。请核对新的金额后再确认。"
    )
    en = (
        "{count} lines of statement {number} were refunded, disputed or held after it was made, and were taken off it "
        "(orders {orders}). Look at its new sums and confirm it again."
    )


class StatementEmptied(Conflict):
    """Something happened to all of its lines after the draft was made."""

    code = "statement_emptied"
    zh = "结算单 {number} 生成后，其全部 {count} 行发生了退款、争议或暂缓（订单 {orders}），结算单已作废。"
    en = (
        "All {count} lines of statement {number} were refunded, disputed or held after it was made (orders {orders}); "
        "the statement was dropped."
    )


class StatementTooSmall(Conflict):
    """What is left after something happened to lines is below the supplier's minimum: it waits for more."""

    code = "statement_too_small"
    zh = (
        "结算单 {number} 生成后，有 {count} 行发生了退款、争议或暂缓（订单 {orders}），余下的不足最低打款金额，"
        "结算单已作废；余下各行等下一张结算单。"
    )
    en = (
        "{count} lines of statement {number} were refunded, disputed or held after it was made (orders {orders}), and "
        "what is left is below the minimum; the statement was dropped, and the rest waits for the next one."
    )


class StatementChanged(Conflict):
    """Somebody moved the statement after the person looked at it."""

    code = "statement_changed"
    zh = "结算单已被他人处理（当前版本 {version}），请刷新后重试。"
    en = "The statement was moved meanwhile (now version {version}); reload and try again."


# --- made ---


def make(
    db: Database, wanted: wire.MakeStatements, *, actor: Actor, complete_after_days: int, request_id: str | None = None
) -> None:
    """Freeze what is due on a day into drafts; a repeat under the same id makes nothing twice (`made`).

    What is due is read beside the shop's work; each statement is made in a transaction of its own, of what still
    stands then. A wish that was cut off goes on where it stopped when it is repeated.
    Raises BadField for a day that has not come or a supplier nobody knows, IdempotencyReused.
    """
    if wanted.day > clock.shop_day(clock.now()):
        raise BadField(field="day", reason=wanted.day.isoformat())
    if retrying(db, lambda tx: _begin(tx, wanted, actor=actor)):
        return
    with db.read() as tx:
        waits = set(tx.scalars(_free_to_be_paid().with_only_columns(Statement.supplier_id).distinct()))
        waits &= agreed.histories(tx, wanted.suppliers).keys()
    for supplier_id in sorted(waits):
        retrying(db, partial(withhold, supplier_id=supplier_id, actor=actor, request_id=request_id))
    with db.read() as tx:
        by = earning.rules(tx, day=wanted.day, complete_after_days=complete_after_days, suppliers=wanted.suppliers)
        parts = [part for one in propose(tx, by, day=wanted.day) if one.is_wanted for part in _cut(one)]
        spent = earning.spent(tx, by, day=wanted.day)
    making = partial(_make, wanted=wanted, actor=actor, complete_after_days=complete_after_days, request_id=request_id)
    for part in parts:
        retrying(db, partial(making, part=part))
    retrying(db, lambda tx: _finish(tx, wanted.id, spent))


def made(tx: Tx, run_id: UUID) -> list[Statement]:
    """The statements that were made under an id."""
    return list(tx.scalars(select(Statement).where(Statement.run_id == run_id).order_by(Statement.number)))


def _begin(tx: Tx, wanted: wire.MakeStatements, *, actor: Actor) -> bool:
    """Begin a wish; whether it was done to its end before."""
    if unknown := set(wanted.suppliers or ()) - agreed.histories(tx, wanted.suppliers).keys():
        raise BadField(field="suppliers", reason=str(min(unknown)))
    whose = None if wanted.suppliers is None else sorted(map(str, wanted.suppliers))
    known = turns.begin(tx, wanted.id, "statements", [wanted.day.isoformat(), whose], actor=actor.label)
    return known is not None and bool(known.answer)


def _finish(tx: Tx, run_id: UUID, spent: Sequence[UUID]) -> None:
    settle(tx, spent)
    turns.finish(tx, run_id, {"statements": len(made(tx, run_id))})


@dataclass(frozen=True, slots=True)
class Part:
    """Lines of a supplier for one statement; `later_fen` is what those of further ones release."""

    supplier_id: UUID
    line_ids: Sequence[UUID]
    later_fen: Fen


def _cut(whole: Proposal) -> list[Part]:
    """One statement, or several where it has too many lines."""
    parts, later = [], whole.release_fen
    for at in range(0, max(len(whole.ready), 1), MOST_LINES):
        lines = whole.ready[at : at + MOST_LINES]
        later -= sum(line.net_fen for line in lines)
        parts.append(Part(whole.supplier_id, [line.line.id for line in lines], later))
    return parts


def _make(
    tx: Tx,
    part: Part,
    wanted: wire.MakeStatements,
    *,
    actor: Actor,
    complete_after_days: int,
    request_id: str | None,
) -> None:
    """Make one statement of what still stands of its lines, unless somebody else has finished the wish."""
    if not turns.goes_on(tx, wanted.id):
        return
    withhold(tx, part.supplier_id, actor=actor, request_id=request_id)
    draft = _draft(tx, part, wanted, complete_after_days=complete_after_days)
    if draft is None:
        return
    now = clock.now()
    [number] = turns.next_numbers(tx, PREFIX, clock.shop_day(now), 1)
    statement = Statement(
        id=ids.new_id(),
        number=number,
        run_id=wanted.id,
        supplier_id=draft.supplier_id,
        day=wanted.day,
        mode=draft.terms.mode,
        state=StatementState.DRAFT.value,
        lines=len(draft.ready) + len(draft.deductions),
        release_fen=draft.release_fen,
        deductions_fen=draft.deductions_fen,
        owed_fen=draft.owed_fen,
        payout_fee_fen=draft.payout_fee_fen,
        payable_fen=draft.payable_fen,
        made_by=actor.label,
        made_at=now,
        version=1,
    )
    tx.add(statement)
    tx.flush()
    _freeze(tx, statement, draft)
    note(tx, statement, "make", actor=actor, request_id=request_id)


def _draft(tx: Tx, part: Part, wanted: wire.MakeStatements, *, complete_after_days: int) -> Proposal | None:
    """What a statement of these lines has on it now, None when there is none to make.

    The first of a wish decides whether the whole is worth a payout, and bears what is netted; the first that is larger
    than the payout's fee bears that.
    """
    whose = [part.supplier_id]
    by = earning.rules(tx, day=wanted.day, complete_after_days=complete_after_days, suppliers=whose)
    taken = earning.deductions(tx, whose)
    draft = Proposal(
        supplier_id=part.supplier_id,
        terms=by.terms[part.supplier_id].current,
        ready=[line for line in earning.of_lines(tx, by, part.line_ids, day=wanted.day) if line.hold is None],
        held=(),
        deductions=[one for one in taken.get(part.supplier_id, ()) if one.own is None],
        position_fen=positions(tx, whose, taken)[part.supplier_id],
        is_held=part.supplier_id in by.held_suppliers,
        later_fen=part.later_fen,
    )
    before = select(Statement.payout_fee_fen).where(Statement.run_id == wanted.id)
    fees = tx.scalars(before.where(Statement.supplier_id == part.supplier_id)).all()
    if draft.is_held or (draft.blocked and not fees):
        return None
    if any(fees) or draft.left_fen <= draft.terms.payout_fee_fen:
        draft = replace(draft, terms=Terms(mode=draft.terms.mode))
    return draft if draft.ready or draft.left_fen else None


def _freeze(tx: Tx, made: Statement, draft: Proposal) -> None:
    """Put each line, and each refund of it, on this statement alone."""
    items = [
        {
            "order_line_id": one.line.id,
            "statement_id": made.id,
            "order_id": one.line.order_id,
            "share_fen": one.line.supplier_fen,
            "refunded_fen": one.taken_fen,
        }
        for one in draft.ready
    ]
    for at in range(0, len(items), _INSERT_AT_A_TIME):
        tx.execute(insert(table_of(SettlementItem)), items[at : at + _INSERT_AT_A_TIME])
    line_ids = [one.line.id for one in draft.ready]
    settle(tx, line_ids)
    _take_off(tx, [one.as_row(made.id) for one in draft.deductions])
    _take_off(tx, [one.as_row(made.id, netted=True) for one in earning.netted(tx, line_ids)])


def _take_off(tx: Tx, rows: Sequence[dict[str, Any]]) -> None:
    if rows:
        tx.execute(insert(table_of(SettlementDeduction)), rows)


def withhold(tx: Tx, supplier_id: UUID, *, actor: Actor, request_id: str | None = None) -> None:
    """Take what was taken of lines of confirmed statements off these, while they are free to be paid.

    One that has nothing left to get is paid: also where refunds of others took all that the supplier had. What comes
    back of that is left over for a further one. Takes the supplier's turn.
    """
    turns.take(tx, [supplier_id])
    own: dict[UUID, list[Deduction]] = defaultdict(list)
    for one in earning.deductions(tx, [supplier_id]).get(supplier_id, ()):
        if one.own is not None:
            own[one.own].append(one)
    for statement_id, theirs in sorted(own.items()):
        held = tx.get(Statement, statement_id, populate_existing=True)
        assert held is not None
        _take_off(tx, [one.as_row(held.id) for one in theirs])
        held.withheld_fen += sum(one.amount_fen for one in theirs)
        held.lines += len(theirs)
        if held.claim_fen == 0:
            held.state, held.paid_at = StatementState.PAID.value, clock.now()
        _touch(tx, held, "withhold", actor=actor, request_id=request_id)
    waiting = tx.scalars(_free_to_be_paid(supplier_id).order_by(Statement.number)).all()
    for held in waiting if waiting and not has_any(tx, supplier_id) else ():
        held.state, held.paid_at = StatementState.PAID.value, clock.now()
        _touch(tx, held, "withhold", actor=actor, request_id=request_id)


def _free_to_be_paid(*supplier_id: UUID) -> Select[Statement]:
    """Confirmed statements that are in no payout: all, or those of a supplier."""
    free = (Statement.state == StatementState.CONFIRMED.value, Statement.payout_id.is_(None))
    query = select(Statement).where(*free, *(Statement.supplier_id == one for one in supplier_id))
    return query.execution_options(populate_existing=True)


# --- moved ---


def confirm(
    tx: Tx,
    statement_id: UUID,
    move: wire.MoveStatement,
    *,
    actor: Actor,
    complete_after_days: int,
    request_id: str | None = None,
) -> Conflict | None:
    """Release its lines, once. Raises NotFound, StatementChanged, IllegalMove.

    Nothing is released while lines of it are not as they were when the draft was made: they are taken off, and what is
    answered is to be raised once that is committed, for whoever confirms has to see the new sums first.
    """
    held = _lock(tx, statement_id, move.version, actor=actor)
    require_move(StatementState(held.state), StatementState.CONFIRMED)
    lock_all(tx, set(tx.scalars(select(SettlementItem.order_id).where(SettlementItem.statement_id == held.id))))
    lines, unlike = _as_drafted(tx, held, complete_after_days=complete_after_days)
    if unlike:
        return _redraw(tx, held, lines, unlike, actor=actor, request_id=request_id)
    now = clock.now()
    for number, payee, released in _releases(held, lines):
        paying.release(tx, number=number, payee=payee, lines=released, at=now, actor=actor.label, memo=move.note)
    held.state, held.confirmed_by, held.confirmed_at = StatementState.CONFIRMED.value, actor.label, now
    if held.payable_fen == 0:  # a debt took all of it
        held.state, held.paid_at = StatementState.PAID.value, now
    _touch(tx, held, "confirm", actor=actor, note_text=move.note, request_id=request_id)
    return None


def drop(
    tx: Tx, statement_id: UUID, move: wire.MoveStatement, *, actor: Actor, request_id: str | None = None
) -> Statement:
    """Drop a draft: its lines are free for another one. Raises NotFound, StatementChanged, IllegalMove."""
    held = _lock(tx, statement_id, move.version, actor=actor)
    require_move(StatementState(held.state), StatementState.DROPPED)
    _free(tx, held)
    _touch(tx, held, "drop", actor=actor, note_text=move.note, request_id=request_id)
    return held


def _free(tx: Tx, held: Statement) -> None:
    lines = select(SettlementItem.order_line_id).where(SettlementItem.statement_id == held.id)
    unsettle(tx, held.supplier_id, tx.scalars(lines).all())
    for table in (SettlementItem, SettlementDeduction):
        tx.execute(delete(table).where(table.statement_id == held.id))
    held.state, held.dropped_id = StatementState.DROPPED.value, ids.new_id()


def _lock(tx: Tx, statement_id: UUID, version: int, *, actor: Actor) -> Statement:
    found = tx.scalars(visible(actor, Statement).where(Statement.id == statement_id)).first()
    if found is None:
        raise NotFound
    turns.take(tx, [found.supplier_id])
    held = tx.get(Statement, statement_id, populate_existing=True)
    assert held is not None
    if held.version != version:
        raise StatementChanged(version=held.version)
    return held


def _releases(held: Statement, lines: Sequence[Earned]) -> list[tuple[str, paying.Payee, list[paying.LineRelease]]]:
    """What its lines release to the supplier, and their commissions to the distributors who brought the buyers."""
    found = []
    brought: dict[UUID, list[paying.LineRelease]] = defaultdict(list)
    for one in lines:
        if one.commission_fen > 0:
            brought[one.line.distributor_id].append(paying.LineRelease(one.line.id, one.commission_fen))
    for distributor_id, theirs in sorted(brought.items()):
        found.append((f"{held.number}/{distributor_id.hex}", paying.distributor(distributor_id), theirs))
    if lines:  # last: whose balances are locked go by kind and id everywhere (payments.sharing)
        mine = [paying.LineRelease(one.line.id, one.net_fen) for one in lines]
        found.append((held.number, paying.supplier(held.supplier_id), mine))
    return found


def _as_drafted(tx: Tx, held: Statement, *, complete_after_days: int) -> tuple[list[Earned], dict[UUID, UUID]]:
    """Its lines that stand as they did when the draft was made; those that do not, with their orders."""
    by = earning.rules(tx, day=held.day, complete_after_days=complete_after_days, suppliers=[held.supplier_id])
    now = earning.earned(tx, by, day=held.day, statement_id=held.id).get(held.supplier_id, [])
    of_it = SettlementItem.statement_id == held.id
    net = SettlementItem.share_fen - SettlementItem.refunded_fen
    mine = select(SettlementItem.order_line_id, SettlementItem.order_id, net)
    drafted = {line_id: (order_id, int(fen)) for line_id, order_id, fen in tx.execute(mine.where(of_it))}
    lines = [one for one in now if one.hold is None and one.net_fen == drafted[one.line.id][1]]
    for one in lines:
        del drafted[one.line.id]
    return lines, {line_id: order_id for line_id, (order_id, _) in drafted.items()}


def _redraw(
    tx: Tx,
    held: Statement,
    lines: Sequence[Earned],
    unlike: Mapping[UUID, UUID],
    *,
    actor: Actor,
    request_id: str | None,
) -> Conflict:
    """Take lines off a draft, for a further one, and sum it up anew; what is not worth a payout any more is dropped."""
    gone = list(unlike)
    for table in (SettlementItem, SettlementDeduction):
        tx.execute(delete(table).where(table.statement_id == held.id, among(tx, table.order_line_id, gone)))
    unsettle(tx, held.supplier_id, gone)
    whose = [held.supplier_id]
    position = positions(tx, whose, earning.deductions(tx, whose), besides=held.id)[held.supplier_id]
    held.lines -= len(gone)
    held.release_fen = sum(one.net_fen for one in lines)
    held.owed_fen, held.redrawn_id = -position - held.deductions_fen, ids.new_id()
    left = max(held.release_fen + position, 0)
    over = StatementEmptied if not lines and not left else _too_small(tx, held, left)
    held.payout_fee_fen = held.payout_fee_fen if left > held.payout_fee_fen else 0
    held.payable_fen = left - held.payout_fee_fen
    if over is not None:
        _free(tx, held)
    _touch(tx, held, "redraw" if over is None else "drop", actor=actor, request_id=request_id)
    codes = sorted(order_codes(tx, set(unlike.values())).values())
    shown = ", ".join(codes[:_NAMED_MOST]) + (" …" if len(codes) > _NAMED_MOST else "")
    return (over or StatementOutdated)(number=held.number, count=len(gone), orders=shown)


def _too_small(tx: Tx, held: Statement, left: Fen) -> type[Conflict] | None:
    """As when it was made (`Proposal.blocked`): unless further statements of its wish are to be paid with it."""
    alive = Statement.state != StatementState.DROPPED.value
    others = select(Statement.id).where(Statement.run_id == held.run_id, Statement.supplier_id == held.supplier_id)
    if not left or tx.scalars(others.where(Statement.id != held.id, alive)).first() is not None:
        return None
    minimum = agreed.histories(tx, [held.supplier_id])[held.supplier_id].current.minimum_fen
    return StatementTooSmall if left - held.payout_fee_fen < max(minimum, 1) else None


def _touch(
    tx: Tx, held: Statement, what: str, *, actor: Actor, note_text: str = "", request_id: str | None = None
) -> None:
    held.version += 1
    tx.flush()
    note(tx, held, what, actor=actor, note_text=note_text, request_id=request_id)


def note(
    tx: Tx, held: Statement, what: str, *, actor: Actor, note_text: str = "", request_id: str | None = None
) -> None:
    """Tell readers and the audit log what became of a statement."""
    audit.append(
        tx,
        actor=actor.label,
        action=f"statement.{what}",
        entity="statement",
        entity_id=held.number,
        detail={
            "day": held.day.isoformat(),
            "lines": held.lines,
            "release_fen": held.release_fen,
            "deductions_fen": held.deductions_fen,
            "owed_fen": held.owed_fen,
            "payable_fen": held.payable_fen,
            "note": note_text,
        },
        request_id=request_id,
    )
    changes.append(tx, "statement", held.id, domain=DOMAIN, supplier_id=held.supplier_id)
