"""Reading settlement: terms, what is due, statements, payouts, holds and accounts, each in the reader's scope."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from datetime import date
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import Select, func, select

from server.catalog import fees
from server.db import Tx
from server.identity import queries as people
from server.ledger import paying
from server.ledger import queries as ledger
from server.ledger.actions import Account
from server.policy import Actor, visible
from server.settlement import earning
from server.settlement import terms as agreed
from server.settlement.earlier import earlier
from server.settlement.earning import Earned, Rules
from server.settlement.model import Payout, SettlementHold, SettlementTurn, Statement
from server.settlement.proposing import propose
from server.settlement.terms import TermsHistory
from shared import clock
from shared.contracts import settlement as wire
from shared.contracts.base import Page
from shared.contracts.fees import FeeRule
from shared.errors import NotFound
from shared.finance import PayoutState, ShareKind, StatementState
from shared.permissions import Permission, Role

Row = TypeVar("Row", Statement, Payout)

SHOP = "shop"
"""What a supplier's person reads instead of who of the shop's people it was."""


class Names:
    """What a reader may call people: by their names, and the shop's people by `SHOP` for a supplier."""

    def __init__(self, tx: Tx, who: Actor, labels: Iterable[str | None]) -> None:
        self._who = who
        self._names = people.names_of(tx, labels, supplier_id=who.supplier_id)

    def of(self, label: str) -> str:
        """The name of somebody."""
        return self._names.get(label) or (SHOP if self._who.role is Role.SUPPLIER else label)

    def of_any(self, label: str | None) -> str | None:
        """The name of somebody, or of nobody."""
        return None if label is None else self.of(label)


def scope(tx: Tx, who: Actor, supplier_id: UUID | None = None) -> list[UUID] | None:
    """The suppliers that a reader means: None for all. Raises NotFound for one that does not exist for the reader."""
    if supplier_id is not None and not people.supplier_exists(tx, who, supplier_id):
        raise NotFound
    named = supplier_id or (who.supplier_id if who.role is Role.SUPPLIER else None)
    return None if named is None else [named]


# --- terms ---


def all_terms(tx: Tx, who: Actor) -> Page[wire.Terms]:
    """The terms of today of each supplier in scope."""
    found = agreed.histories(tx, scope(tx, who))
    return Page[wire.Terms](items=[one for history in found.values() for one in _versions(tx, who, history)[:1]])


def terms_of(tx: Tx, who: Actor, supplier_id: UUID) -> Page[wire.Terms]:
    """All versions of a supplier's terms, the newest first. Raises NotFound."""
    found = agreed.histories(tx, scope(tx, who, supplier_id))
    return Page[wire.Terms](items=_versions(tx, who, found[supplier_id]))


def _versions(tx: Tx, who: Actor, history: TermsHistory) -> list[wire.Terms]:
    names = Names(tx, who, [row.changed_by for row in history.versions])
    kept = [(row.version, row.valid_from, names.of(row.changed_by)) for row in reversed(history.versions)]
    beginning = clock.day_bounds(date(2000, 1, 1))[0]
    versions = [*kept, (0, beginning, SHOP)]
    answers = []
    for version, valid_from, changed_by in versions:
        terms = history.at(valid_from) if version else history.standard
        answers.append(
            wire.Terms(
                supplier_id=history.supplier_id,
                supplier=history.supplier,
                mode=terms.mode,
                cycle=terms.cycle,
                n=terms.n,
                cutoff=terms.cutoff,
                release_from=terms.release_from,
                hold_days=terms.hold_days,
                minimum_fen=terms.minimum_fen,
                payout_fee_fen=terms.payout_fee_fen,
                tier=terms.tier,
                split_ppm=terms.split_ppm,
                receiver=terms.receiver,
                account=terms.account,
                bank=terms.bank,
                valid_from=valid_from,
                changed_by=changed_by,
                version=version,
            )
        )
    return answers


def fee_rules(tx: Tx, who: Actor) -> Page[FeeRule]:
    """All rules of the platform's share, the newest first."""
    rows, products = fees.rules(tx), fees.products_of(tx)
    names = Names(tx, who, [row.changed_by for row in rows])
    return Page[FeeRule](
        items=[
            FeeRule(
                id=row.id,
                product=row.product_code,
                tier=row.tier,
                kind=ShareKind(row.kind),
                ppm=row.ppm,
                unit_price=row.unit_price,
                reason=row.reason,
                products=products[row.id],
                valid_from=row.valid_from,
                changed_by=names.of(row.changed_by),
            )
            for row in rows
        ]
    )


# --- due ---


def due(tx: Tx, who: Actor, *, day: date, complete_after_days: int) -> Page[wire.DueSupplier]:
    """What could be released on a day, by supplier, with what is held and why."""
    by = earning.rules(tx, day=day, complete_after_days=complete_after_days, suppliers=scope(tx, who))
    owing = dict(tx.execute(select(SettlementTurn.supplier_id, SettlementTurn.owing_since)).all())
    return Page[wire.DueSupplier](
        items=[
            wire.DueSupplier(
                supplier_id=one.supplier_id,
                supplier=by.terms[one.supplier_id].supplier,
                lines=len(one.ready),
                release_fen=one.release_fen,
                deductions_fen=one.deductions_fen,
                owed_fen=one.owed_fen,
                payout_fee_fen=one.payout_fee_fen,
                payable_fen=one.payable_fen,
                held_lines=len(one.held),
                held_fen=sum(line.net_fen for line in one.held),
                holds=dict(sorted(Counter(line.hold for line in one.held if line.hold).items())),
                blocked=one.blocked,
                owing_since=owing.get(one.supplier_id),
            )
            for one in propose(tx, by, day=day)
        ]
    )


def due_lines(
    tx: Tx, who: Actor, supplier_id: UUID, *, day: date, complete_after_days: int, after: UUID | None, limit: int
) -> Page[wire.DueLine]:
    """The lines of a supplier that are on no statement, in the order they were sold. Raises NotFound."""
    by = earning.rules(tx, day=day, complete_after_days=complete_after_days, suppliers=scope(tx, who, supplier_id))
    rows = earning.page(tx, by, supplier_id, day=day, after=after, limit=limit + 1)
    items = [_due_line(one, by) for one in rows[:limit]]
    return Page[wire.DueLine](items=items, next=str(items[-1].order_line_id) if len(rows) > limit else None)


def _due_line(one: Earned, by: Rules) -> wire.DueLine:
    line = one.line
    return wire.DueLine(
        order_line_id=line.id,
        order_code=line.order_code,
        supplier=by.terms[line.supplier_id].supplier,
        sku=line.sku_code,
        title=line.title,
        quantity=line.quantity,
        delivered_at=line.delivered_at,
        share_fen=line.supplier_fen,
        refunded_fen=one.taken_fen,
        net_fen=one.net_fen,
        due_on=one.due_on,
        hold=one.hold,
        hold_note=one.hold_note,
    )


# --- statements ---


def statement(tx: Tx, who: Actor, statement_id: UUID) -> Statement:
    """A statement in scope. Raises NotFound."""
    return _one(tx, visible(who, Statement).where(Statement.id == statement_id))


def _one(tx: Tx, query: Select[Row]) -> Row:
    found = tx.scalars(query).first()
    if found is None:
        raise NotFound
    return found


def statement_page(
    tx: Tx,
    who: Actor,
    *,
    after: UUID | None,
    limit: int,
    supplier_id: UUID | None = None,
    state: StatementState | None = None,
    first: date | None = None,
    last: date | None = None,
) -> Page[wire.Statement]:
    """Statements in scope, of these days, the newest first."""
    query = visible(who, Statement)
    if first is not None:
        query = query.where(Statement.day >= first)
    if last is not None:
        query = query.where(Statement.day <= last)
    rows, following = _page(tx, query, Statement, supplier_id, state, after, limit)
    return Page[wire.Statement](items=statement_answers(tx, who, rows), next=following)


def _page(
    tx: Tx,
    query: Select[Any],
    model: type[Any],
    supplier_id: UUID | None,
    state: StatementState | PayoutState | None,
    after: UUID | None,
    limit: int,
) -> tuple[list[Any], str | None]:
    if supplier_id is not None:
        query = query.where(model.supplier_id == supplier_id)
    if state is not None:
        query = query.where(model.state == state.value)
    if after is not None:
        query = query.where(model.id < after)
    rows = list(tx.scalars(query.order_by(model.id.desc()).limit(limit + 1)))
    return rows[:limit], str(rows[limit - 1].id) if len(rows) > limit else None


def statement_answers(tx: Tx, who: Actor, rows: Sequence[Statement]) -> list[wire.Statement]:
    """Statements as this reader sees them, with what may be done now."""
    names = Names(tx, who, [label for row in rows for label in (row.made_by, row.confirmed_by)])
    suppliers, payable = people.supplier_names(tx), {row.supplier_id for row in rows if _is_payable(row)}
    terms = agreed.histories(tx, payable) if payable else {}
    paying_them = _paying(tx, {row.payout_id for row in rows if row.payout_id is not None})
    return [
        wire.Statement(
            id=row.id,
            number=row.number,
            supplier_id=row.supplier_id,
            supplier=suppliers[row.supplier_id],
            day=row.day,
            mode=row.mode,
            state=StatementState(row.state),
            lines=row.lines,
            release_fen=row.release_fen,
            deductions_fen=row.deductions_fen,
            owed_fen=row.owed_fen,
            payout_fee_fen=row.payout_fee_fen,
            payable_fen=row.payable_fen,
            withheld_fen=row.withheld_fen,
            paid_fen=row.paid_fen,
            made_by=names.of(row.made_by),
            made_at=row.made_at,
            confirmed_by=names.of_any(row.confirmed_by),
            confirmed_at=row.confirmed_at,
            paid_at=row.paid_at,
            has_account=not _is_payable(row) or bool(terms[row.supplier_id].current.account),
            payout=paying_them.get(row.payout_id),
            actions=_statement_actions(who, row),
            version=row.version,
        )
        for row in rows
    ]


def _paying(tx: Tx, payout_ids: Collection[UUID]) -> dict[UUID | None, wire.StatementPayout]:
    """The payouts that pay statements, or are to."""
    query = select(Payout.id, Payout.number, Payout.state).where(Payout.id.in_(payout_ids))
    found = tx.execute(query) if payout_ids else ()
    return {
        payout_id: wire.StatementPayout(id=payout_id, number=number, state=PayoutState(state))
        for payout_id, number, state in found
    }


def _statement_actions(who: Actor, row: Statement) -> list[str]:
    if row.state == StatementState.DRAFT.value and who.may(Permission.SETTLEMENT_STATEMENT_MAKE):
        return ["confirm", "drop"]
    return ["pay"] if _is_payable(row) and who.may(Permission.SETTLEMENT_PAYOUT_MAKE) else []


def _is_payable(row: Statement) -> bool:
    return row.state == StatementState.CONFIRMED.value and row.payout_id is None


# --- payouts ---


def payout(tx: Tx, who: Actor, payout_id: UUID) -> Payout:
    """A payout in scope. Raises NotFound."""
    return _one(tx, visible(who, Payout).where(Payout.id == payout_id))


def payout_page(
    tx: Tx, who: Actor, *, supplier_id: UUID | None, state: PayoutState | None, after: UUID | None, limit: int
) -> Page[wire.Payout]:
    """Payouts in scope, the newest first."""
    rows, following = _page(tx, visible(who, Payout), Payout, supplier_id, state, after, limit)
    return Page[wire.Payout](items=payout_answers(tx, who, rows), next=following)


def payout_answers(tx: Tx, who: Actor, rows: Sequence[Payout]) -> list[wire.Payout]:
    """Payouts as this reader sees them, with what may be done now."""
    names = Names(
        tx,
        who,
        [label for row in rows for label in (row.made_by, row.checked_by, row.sent_by, row.taken_by, row.ended_by)],
    )
    suppliers, before = people.supplier_names(tx), earlier(tx, rows)
    known = _accounts_paid(tx, {row.supplier_id for row in rows})
    return [
        wire.Payout(
            id=row.id,
            number=row.number,
            supplier_id=row.supplier_id,
            supplier=suppliers[row.supplier_id],
            mode=row.mode,
            statements=row.statements,
            amount_fen=row.amount_fen,
            fee_fen=row.fee_fen,
            arrived_fen=row.arrived_fen,
            returned_fen=row.returned_fen,
            receiver=row.receiver,
            account=row.account,
            bank=row.bank,
            is_new_account=bool(row.account) and (row.supplier_id, row.receiver, row.account, row.bank) not in known,
            earlier=before[row.id],
            state=PayoutState(row.state),
            made_by=names.of(row.made_by),
            made_at=row.made_at,
            checked_by=names.of_any(row.checked_by),
            checked_at=row.checked_at,
            sent_by=names.of_any(row.sent_by),
            sent_at=row.sent_at,
            taken_by=names.of_any(row.taken_by),
            taken_at=row.taken_at,
            ended_by=names.of_any(row.ended_by),
            ended_at=row.ended_at,
            reference=row.reference,
            note=row.note,
            actions=_payout_actions(who, row),
            version=row.version,
        )
        for row in rows
    ]


def _accounts_paid(tx: Tx, supplier_ids: Collection[UUID]) -> set[tuple[UUID, str, str, str]]:
    """Where money of suppliers has arrived, and stayed, and in whose name."""
    query = select(Payout.supplier_id, Payout.receiver, Payout.account, Payout.bank).distinct()
    mine = (Payout.supplier_id.in_(supplier_ids), Payout.state == PayoutState.CONFIRMED.value)
    return {(*to,) for to in tx.execute(query.where(*mine))}


_ACTIONS: dict[PayoutState, tuple[str, ...]] = {
    PayoutState.REQUESTED: ("check", "withdraw"),
    PayoutState.APPROVED: ("send", "withdraw"),
    PayoutState.SENT: ("confirm", "fail"),
    PayoutState.CONFIRMED: ("fail",),
    PayoutState.FAILED: (),
    PayoutState.REFUSED: (),
}


def _payout_actions(who: Actor, row: Payout) -> list[str]:
    may_check = who.may(Permission.SETTLEMENT_PAYOUT_CHECK) and who.label != row.made_by
    may_move = who.may(Permission.SETTLEMENT_PAYOUT_MAKE)
    has_arrived = row.state == PayoutState.CONFIRMED.value
    may_fail = may_move and not (has_arrived and who.label == row.made_by)
    may = {"check": may_check, "fail": may_fail}
    return [one for one in _ACTIONS[PayoutState(row.state)] if may.get(one, may_move)]


# --- holds and accounts ---


def hold_page(tx: Tx, who: Actor, *, everything: bool) -> Page[wire.Hold]:
    """Holds that stand, or all there were, the newest first."""
    query = visible(who, SettlementHold).order_by(SettlementHold.id.desc()).limit(1_000)
    if not everything:
        query = query.where(SettlementHold.freed_at.is_(None))
    return Page[wire.Hold](items=hold_answers(tx, who, tx.scalars(query).all()))


def hold_answers(tx: Tx, who: Actor, rows: Sequence[SettlementHold]) -> list[wire.Hold]:
    """Holds as this reader sees them."""
    names = Names(tx, who, [label for row in rows for label in (row.held_by, row.freed_by)])
    suppliers = people.supplier_names(tx)
    return [
        wire.Hold(
            id=row.id,
            order_code=row.order_code,
            supplier=suppliers[row.supplier_id] if row.supplier_id else None,
            reason=row.reason,
            until=row.until_day,
            held_by=names.of(row.held_by),
            held_at=row.held_at,
            freed_by=names.of_any(row.freed_by),
            freed_at=row.freed_at,
        )
        for row in rows
    ]


def account(tx: Tx, who: Actor, supplier_id: UUID, *, complete_after_days: int) -> wire.SupplierAccount:
    """What a supplier has, is owed and was paid. Raises NotFound."""
    mine = scope(tx, who, supplier_id)
    payee = paying.supplier(supplier_id)
    frozen = Account("supplier_frozen", supplier_id.hex)
    accounts = (payee.pending, payee.available, payee.owed, frozen)
    has = ledger.nets(tx, [account.kind for account in accounts], [supplier_id.hex])
    today = clock.shop_day(clock.now())
    by = earning.rules(tx, day=today, complete_after_days=complete_after_days, suppliers=mine)
    days = [one.due_on for one in earning.earned(tx, by, day=today).get(supplier_id, []) if one.due_on]
    states = select(Payout.state, func.sum(Payout.amount_fen), func.sum(Payout.arrived_fen - Payout.returned_fen))
    mine_by_state = states.where(Payout.supplier_id == supplier_id).group_by(Payout.state)
    payouts = {state: (int(fen), int(arrived)) for state, fen, arrived in tx.execute(mine_by_state)}
    turn = tx.get(SettlementTurn, supplier_id)
    return wire.SupplierAccount(
        supplier_id=supplier_id,
        supplier=by.terms[supplier_id].supplier,
        pending_fen=has.get(payee.pending, 0),
        available_fen=has.get(payee.available, 0),
        frozen_fen=has.get(frozen, 0),
        owed_fen=has.get(payee.owed, 0),
        in_payout_fen=payouts.get(PayoutState.SENT.value, (0, 0))[0],
        paid_out_fen=payouts.get(PayoutState.CONFIRMED.value, (0, 0))[1],
        next_due_on=min(days, default=None),
        owing_since=turn.owing_since if turn else None,
    )
