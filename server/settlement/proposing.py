"""What a statement of each supplier would pay now: what its lines release, and its supplier's position. Read only.

The position is what the ledger says is available less what is owed, as if all that stands were confirmed and paid.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from uuid import UUID

from sqlalchemy import Select, func, select

from server.db import Tx
from server.ledger import paying
from server.ledger import queries as ledger
from server.ledger.actions import Account
from server.settlement import earning
from server.settlement.due import Terms
from server.settlement.earning import Deduction, Earned, Rules
from server.settlement.model import Payout, Statement
from shared.finance import HoldReason, PayoutState, StatementState
from shared.money import Fen

NOT_SENT = (PayoutState.REQUESTED.value, PayoutState.APPROVED.value)
"""Payouts of which nothing is booked yet."""


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
    position = positions(tx, by.terms, taken)
    return [
        Proposal(
            supplier_id=supplier_id,
            terms=history.current,
            ready=[line for line in lines.get(supplier_id, ()) if line.hold is None],
            held=[line for line in lines.get(supplier_id, ()) if line.hold is not None],
            deductions=[one for one in taken.get(supplier_id, ()) if one.own is None],
            position_fen=position[supplier_id],
            is_held=supplier_id in by.held_suppliers,
        )
        for supplier_id, history in by.terms.items()
    ]


def owed(tx: Tx, supplier_id: UUID) -> Fen:
    """What a statement of a supplier would take over from before, as in its `Proposal`."""
    taken = earning.deductions(tx, [supplier_id])
    new = sum(one.amount_fen for one in taken.get(supplier_id, ()) if one.own is None)
    return -positions(tx, [supplier_id], taken)[supplier_id] - new


def positions(
    tx: Tx, supplier_ids: Collection[UUID], taken: Mapping[UUID, Sequence[Deduction]], *, besides: UUID | None = None
) -> dict[UUID, Fen]:
    """What is available to each supplier less what it owes, as if all drafts were confirmed and all confirmed paid.

    `taken` is what no statement has taken off, `besides` a draft that is left out. Confirmed ones are paid no more than
    there is: what is frozen of it, or was taken by refunds of others, is netted in their payout, and not once more in a
    further statement.
    """
    payees = {supplier_id: paying.supplier(supplier_id) for supplier_id in supplier_ids}
    kinds = {account.kind for payee in payees.values() for account in (payee.available, payee.owed)}
    has = ledger.nets(tx, kinds, [supplier_id.hex for supplier_id in payees])
    promised, coming = _promised(tx, supplier_ids), _coming(tx, supplier_ids, besides)
    claims = _claims(tx, supplier_ids, taken)
    found = {}
    for supplier_id, payee in payees.items():
        rest = has.get(payee.available, 0) - has.get(payee.owed, 0) - promised.get(supplier_id, 0)
        found[supplier_id] = rest - min(claims[supplier_id], max(rest, 0)) + coming.get(supplier_id, 0)
    return found


def has_any(tx: Tx, supplier_id: UUID) -> bool:
    """Whether a supplier has anything that a statement can be paid of, now or once its disputes have ended."""
    payee = paying.supplier(supplier_id)
    frozen = ledger.net(tx, Account("supplier_frozen", supplier_id.hex))
    rest = (
        ledger.net(tx, payee.available) - ledger.net(tx, payee.owed) - _promised(tx, [supplier_id]).get(supplier_id, 0)
    )
    return rest > 0 or frozen > 0


def _promised(tx: Tx, supplier_ids: Collection[UUID]) -> dict[UUID, Fen]:
    """What payouts that were not sent yet are to take, by supplier."""
    query = select(Payout.supplier_id, func.sum(Payout.amount_fen + Payout.fee_fen))
    mine = query.where(Payout.supplier_id.in_(list(supplier_ids)), Payout.state.in_(NOT_SENT))
    return _by_supplier(tx, mine.group_by(Payout.supplier_id))


def _coming(tx: Tx, supplier_ids: Collection[UUID], besides: UUID | None) -> dict[UUID, Fen]:
    """What drafts release beyond what they are to pay, by supplier."""
    rest = Statement.release_fen - Statement.payable_fen - Statement.payout_fee_fen
    query = select(Statement.supplier_id, func.sum(rest)).where(Statement.state == StatementState.DRAFT.value)
    if besides is not None:
        query = query.where(Statement.id != besides)
    return _by_supplier(tx, query.where(Statement.supplier_id.in_(list(supplier_ids))).group_by(Statement.supplier_id))


def _claims(tx: Tx, supplier_ids: Collection[UUID], taken: Mapping[UUID, Sequence[Deduction]]) -> dict[UUID, Fen]:
    """What confirmed statements that are in no payout still have to get, by supplier."""
    own: dict[UUID, Fen] = defaultdict(int)
    for theirs in taken.values():
        for one in theirs:
            if one.own is not None:
                own[one.own] += one.amount_fen
    found: dict[UUID, Fen] = defaultdict(int)
    free = (Statement.state == StatementState.CONFIRMED.value, Statement.payout_id.is_(None))
    for held in tx.scalars(select(Statement).where(*free, Statement.supplier_id.in_(list(supplier_ids)))):
        found[held.supplier_id] += max(held.claim_fen - own[held.id], 0)
    return found


def _by_supplier(tx: Tx, query: Select[UUID, int]) -> dict[UUID, Fen]:
    return {supplier_id: int(fen) for supplier_id, fen in tx.execute(query)}
