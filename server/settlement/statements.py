"""Statements: drafts of what is due, each line on one of them; confirming releases it once, dropping frees it.

What a statement pays is what its supplier has once its lines are released: refunds after their release (`deductions`),
and whatever else was owed or left over from before (`owed`), are netted first. It is never negative: what a release
does not cover stays owed in the ledger, and comes off the next statement.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import partial
from uuid import UUID

from sqlalchemy import case, delete, func, insert, select

from server import audit, changes
from server.db import Database, Tx, retrying, table_of
from server.ledger import paying
from server.ledger import queries as ledger
from server.orders.settling import lock_all
from server.orders.unsettled import settle, unsettle
from server.payments.settling import taken_back
from server.policy import Actor, visible
from server.settlement import earning, turns
from server.settlement import terms as agreed
from server.settlement.due import Terms
from server.settlement.earning import Deduction, Earned, Rules
from server.settlement.model import Payout, SettlementDeduction, SettlementItem, Statement
from shared import clock, ids
from shared.contracts import settlement as wire
from shared.errors import BadField, Conflict, NotFound
from shared.finance import HoldReason, PayoutState, StatementState
from shared.money import Fen
from shared.states import require_move

DOMAIN = "settlement"
PREFIX = "JS"

MOST_LINES = 2_000
"""More lines that are due at once come on further statements: each is released in one transaction, and orders wait."""

_INSERT_AT_A_TIME = 2_000


class StatementOutdated(Conflict):
    """Something happened to a line after the draft was made."""

    code = "statement_outdated"
    zh = "结算单 {number} 中有订单行在生成后发生了退款、争议或暂缓。请作废后重新生成。"
    en = "Lines of statement {number} were refunded, disputed or held after it was made. Drop it and make it anew."


class StatementChanged(Conflict):
    """Somebody moved the statement after the person looked at it."""

    code = "statement_changed"
    zh = "结算单已被他人处理（当前版本 {version}），请刷新后重试。"
    en = "The statement was moved meanwhile (now version {version}); reload and try again."


@dataclass(frozen=True, slots=True)
class Proposal:
    """What a statement of one supplier would have on it now.

    `position_fen` is what the supplier has available beyond what statements that stand are to pay; below nothing it is
    owed. `terms` are those of today: they say how it is paid. `later_fen` is what further statements of its release.
    """

    supplier_id: UUID
    terms: Terms
    ready: Sequence[Earned]
    held: Sequence[Earned]
    deductions: Sequence[Deduction]
    position_fen: Fen
    is_held: bool = False
    later_fen: Fen = 0

    @property
    def release_fen(self) -> Fen:
        """What its lines release."""
        return sum(line.net_fen for line in self.ready)

    @property
    def deductions_fen(self) -> Fen:
        """What refunds took after a release."""
        return sum(one.amount_fen for one in self.deductions)

    @property
    def owed_fen(self) -> Fen:
        """What else was owed from before; negative where something was left over."""
        return -self.position_fen - self.deductions_fen

    @property
    def left_fen(self) -> Fen:
        """What is left for the supplier and for the fee of its payout."""
        return max(self.release_fen + self.position_fen, 0)

    @property
    def payout_fee_fen(self) -> Fen:
        """The fee, where there is something to pay."""
        return self.terms.payout_fee_fen if self.left_fen else 0

    @property
    def payable_fen(self) -> Fen:
        """What is paid, unless it is `blocked`."""
        return max(self.left_fen - self.payout_fee_fen, 0)

    @property
    def blocked(self) -> HoldReason | None:
        """Why no statement is made whatever is due: people hold the supplier, or it is not worth a payout yet.

        What a debt swallows whole costs no payout: it is released, and netted.
        """
        if self.is_held:
            return HoldReason.BY_PERSON
        left = max(self.release_fen + self.later_fen + self.position_fen, 0)
        too_little = left - self.terms.payout_fee_fen < max(self.terms.minimum_fen, 1)
        return HoldReason.BELOW_MINIMUM if left and too_little else None

    @property
    def is_wanted(self) -> bool:
        """Whether there is a statement to make."""
        return self.blocked is None and bool(self.ready or self.left_fen)


def propose(tx: Tx, by: Rules, *, day: date) -> list[Proposal]:
    """What could be released on a day, by supplier."""
    lines = earning.earned(tx, by, day=day)
    taken = earning.deductions(tx, by.terms)
    positions = _positions(tx, by.terms)
    return [
        Proposal(
            supplier_id=supplier_id,
            terms=history.current,
            ready=[line for line in lines.get(supplier_id, ()) if line.hold is None],
            held=[line for line in lines.get(supplier_id, ()) if line.hold is not None],
            deductions=taken.get(supplier_id, ()),
            position_fen=positions[supplier_id],
            is_held=supplier_id in by.held_suppliers,
        )
        for supplier_id, history in by.terms.items()
    ]


def _positions(tx: Tx, supplier_ids: Collection[UUID]) -> dict[UUID, Fen]:
    """What is available to each supplier less what it owes, as if all drafts were confirmed and all confirmed paid.

    Confirmed ones are paid no more than is available: what refunds took of it since is netted in their payout, and not
    in a further statement.
    """
    has = {balance.account: balance.net for balance in ledger.balances(tx)}
    claims = _claims(tx, supplier_ids)
    positions = {}
    for supplier_id in supplier_ids:
        payee = paying.supplier(supplier_id)
        now = has.get(payee.available, 0) - has.get(payee.owed, 0)
        confirmed, coming = claims.get(supplier_id, (0, 0))
        positions[supplier_id] = now - min(confirmed, max(now, 0)) + coming
    return positions


def _claims(tx: Tx, supplier_ids: Collection[UUID]) -> dict[UUID, tuple[Fen, Fen]]:
    """What confirmed statements are still to pay, and what drafts release beyond what they are to pay, by supplier."""
    claim = Statement.payable_fen + Statement.payout_fee_fen
    is_draft = Statement.state == StatementState.DRAFT.value
    not_gone = (PayoutState.REQUESTED.value, PayoutState.APPROVED.value)
    query = (
        select(
            Statement.supplier_id,
            func.sum(case((is_draft, 0), else_=claim)),
            func.sum(case((is_draft, Statement.release_fen - claim), else_=0)),
        )
        .outerjoin(Payout, Payout.id == Statement.payout_id)
        .where(Statement.supplier_id.in_(list(supplier_ids)))
        .where(Statement.state.in_([StatementState.DRAFT.value, StatementState.CONFIRMED.value]))
        .where(Statement.payout_id.is_(None) | Payout.state.in_(not_gone))
        .group_by(Statement.supplier_id)
    )
    return {supplier_id: (int(confirmed), int(coming)) for supplier_id, confirmed, coming in tx.execute(query)}


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
    turns.take(tx, [part.supplier_id])
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
    draft = Proposal(
        supplier_id=part.supplier_id,
        terms=by.terms[part.supplier_id].current,
        ready=[line for line in earning.of_lines(tx, by, part.line_ids, day=wanted.day) if line.hold is None],
        held=(),
        deductions=earning.deductions(tx, whose).get(part.supplier_id, ()),
        position_fen=_positions(tx, whose)[part.supplier_id],
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
    negative = [
        {
            "refund_id": one.refund_id,
            "order_line_id": one.order_line_id,
            "statement_id": made.id,
            "netted": False,
            "amount_fen": one.amount_fen,
        }
        for one in draft.deductions
    ]
    if negative:
        tx.execute(insert(table_of(SettlementDeduction)), negative)
    settle(tx, [one.line.id for one in draft.ready])
    back = taken_back()
    netted = (
        select(back.c.refund_id, back.c.order_line_id, back.c.supplier_fen)
        .join(SettlementItem, SettlementItem.order_line_id == back.c.order_line_id)
        .where(SettlementItem.statement_id == made.id)
    )
    rows = [
        {
            "refund_id": refund_id,
            "order_line_id": line_id,
            "statement_id": made.id,
            "netted": True,
            "amount_fen": amount,
        }
        for refund_id, line_id, amount in tx.execute(netted)
    ]
    if rows:
        tx.execute(insert(table_of(SettlementDeduction)), rows)


# --- moved ---


def confirm(
    tx: Tx,
    statement_id: UUID,
    move: wire.MoveStatement,
    *,
    actor: Actor,
    complete_after_days: int,
    request_id: str | None = None,
) -> Statement:
    """Release its lines, once. Raises NotFound, StatementChanged, IllegalMove, StatementOutdated."""
    held = _lock(tx, statement_id, move.version, actor=actor)
    require_move(StatementState(held.state), StatementState.CONFIRMED)
    lock_all(tx, set(tx.scalars(select(SettlementItem.order_id).where(SettlementItem.statement_id == held.id))))
    lines = _as_drafted(tx, held, complete_after_days=complete_after_days)
    now = clock.now()
    for number, payee, released in _releases(held, lines):
        paying.release(tx, number=number, payee=payee, lines=released, at=now, actor=actor.label, memo=move.note)
    held.state, held.confirmed_by, held.confirmed_at = StatementState.CONFIRMED.value, actor.label, now
    if held.payable_fen == 0:  # a debt took all of it
        held.state, held.paid_at = StatementState.PAID.value, now
    _touch(tx, held, "confirm", actor=actor, note_text=move.note, request_id=request_id)
    return held


def drop(
    tx: Tx, statement_id: UUID, move: wire.MoveStatement, *, actor: Actor, request_id: str | None = None
) -> Statement:
    """Drop a draft: its lines are free for another one. Raises NotFound, StatementChanged, IllegalMove."""
    held = _lock(tx, statement_id, move.version, actor=actor)
    require_move(StatementState(held.state), StatementState.DROPPED)
    lines = select(SettlementItem.order_line_id).where(SettlementItem.statement_id == held.id)
    unsettle(tx, held.supplier_id, tx.scalars(lines).all())
    for table in (SettlementItem, SettlementDeduction):
        tx.execute(delete(table).where(table.statement_id == held.id))
    held.state = StatementState.DROPPED.value
    _touch(tx, held, "drop", actor=actor, note_text=move.note, request_id=request_id)
    return held


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


def _as_drafted(tx: Tx, held: Statement, *, complete_after_days: int) -> list[Earned]:
    """Its lines as they stand. Raises StatementOutdated unless each is as it was when the draft was made."""
    by = earning.rules(tx, day=held.day, complete_after_days=complete_after_days, suppliers=[held.supplier_id])
    now = earning.earned(tx, by, day=held.day, statement_id=held.id).get(held.supplier_id, [])
    net = SettlementItem.share_fen - SettlementItem.refunded_fen
    drafted = select(SettlementItem.order_line_id, net).where(SettlementItem.statement_id == held.id)
    amounts = {line_id: int(fen) for line_id, fen in tx.execute(drafted)}
    if any(one.hold is not None for one in now) or {one.line.id: one.net_fen for one in now} != amounts:
        raise StatementOutdated(number=held.number)
    return now


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
