"""What may be done about a difference now, and how many people that needs."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from uuid import UUID

from sqlalchemy import select

from server.db import Tx, among
from server.payments.model import PaymentException
from server.payments.refunds.moving import WITHOUT_MONEY
from server.reconcile.model import ReconcileDifference
from shared.finance import DIFFERENCE_ACTIONS, DifferenceAction, DifferenceKind, DifferenceState
from shared.money import Fen
from shared.states import RefundState

_A, _K = DifferenceAction, DifferenceKind


PAID_HERE = "paid"
"""The `ours_state` of what is in our books already: a line that the bill has twice, a movement of money we know, or a
refund of money that an order was sold for."""

ASIDE_HERE = "aside"
"""The `ours_state` of money that is set aside here; of a refund, that it is of all of that."""

UNPAID_HERE = "unpaid"
"""The `ours_state` of a payment of ours that we know no money of."""

OF_REFUNDS = frozenset({_K.REFUND_ONLY_THEIRS.value, _K.REFUND_STATE.value})
"""Kinds about refunds that people record in the exceptions, where they are booked."""

_IN_THE_EXCEPTIONS = frozenset({_A.REFUND, _A.ATTACH})
_ALWAYS_TWO = frozenset({_A.DELIVER, _A.WRITE_OFF})


class Because(Enum):
    """Why a decision needs a second person, or does not."""

    MONEY = "money"
    """It moves money that waits in the exceptions: their own two people."""
    LIMIT = "limit"
    """It delivers goods, is a loss, is about what was handled before, or is more than one person decides on."""
    ONE_PERSON = "one person"


def off_by(row: ReconcileDifference) -> Fen:
    """What the channel has more than we, as it is shown."""
    return (row.theirs_fen or 0) - (row.ours_fen or 0)


def at_stake(row: ReconcileDifference) -> Fen:
    """How much money a decision is about: what the sides differ by, all of it where they differ in something else."""
    return abs(off_by(row)) or max(abs(row.ours_fen or 0), abs(row.theirs_fen or 0))


def is_money(row: ReconcileDifference, action: DifferenceAction) -> bool:
    """Whether it is done in the exceptions, where the money waits or is put."""
    return action in _IN_THE_EXCEPTIONS or (action is _A.BOOK and row.kind in OF_REFUNDS)


def because(row: ReconcileDifference, action: DifferenceAction, check_above: Fen, *, total: Fen = 0) -> Because:
    """How many people `action` needs for this difference; `total` is at stake in all that are decided on with it."""
    if is_money(row, action):
        return Because.MONEY
    always = action in _ALWAYS_TWO or (action is _A.BOOK and row.again_of is not None)
    return Because.LIMIT if always or max(at_stake(row), total) > check_above else Because.ONE_PERSON


def ended_otherwise(row: ReconcileDifference) -> bool:
    """Whether our refund and the channel's have both ended, one with the money at the buyer's and one without."""
    is_back, is_back_there = row.ours_state == RefundState.SUCCEEDED, row.theirs_state == "succeeded"
    is_over = is_back or row.ours_state in WITHOUT_MONEY
    is_over_there = is_back_there or row.theirs_state == "failed"
    return row.kind == _K.REFUND_STATE and is_over and is_over_there and is_back != is_back_there


def needs_two(row: ReconcileDifference, check_above: Fen) -> bool:
    """Whether what was decided, or else what is proposed, needs two people."""
    if row.state == DifferenceState.PROPOSED or row.checked_by is not None:
        return True
    action = DifferenceAction(row.action or row.proposed)
    return because(row, action, check_above) is not Because.ONE_PERSON


def possible(row: ReconcileDifference, exception: PaymentException | None) -> list[DifferenceAction]:
    """What may be decided now, the proposed thing first. `exception`: where its money waits, if it does."""
    if row.state != DifferenceState.OPEN or row.is_signed:
        return []
    kind = DifferenceKind(row.kind)
    found = [action for action in DIFFERENCE_ACTIONS[kind] if _fits(kind, action, row, exception)]
    # A refund whose state differs is mostly still on its way; where it has ended, nothing comes by waiting.
    return sorted(found, key=lambda action: action is not _A.BOOK) if kind is _K.REFUND_STATE else found


def _fits(
    kind: DifferenceKind, action: DifferenceAction, row: ReconcileDifference, exception: PaymentException | None
) -> bool:
    holds_money = exception is not None and exception.unmatched_id is not None
    match kind, action:
        case _K.UNPAID_OURS, _A.REFUND:
            return False  # nobody's money until it is delivered for: then it may go back like any other
        case _K.AMOUNT, _A.REFUND:
            return holds_money or row.ours_state == UNPAID_HERE
        case _K.AMOUNT, _A.BOOK:
            return not holds_money and row.ours_id is not None and row.ours_state != UNPAID_HERE
        case _K.FUND_ONLY_FUNDS, _A.BOOK:
            return row.ours_state != PAID_HERE  # the trade bill that has it is still to come
        case _K.DUPLICATE, _A.REFUND:
            return holds_money or row.ours_state != PAID_HERE
        case _K.REFUND_ONLY_THEIRS, _A.BOOK:
            return row.ours_state in {PAID_HERE, ASIDE_HERE}
        case _K.REFUND_STATE, _A.BOOK:
            return ended_otherwise(row) and row.ours_state in WITHOUT_MONEY
        case _:
            return True


def exceptions(tx: Tx, rows: Sequence[ReconcileDifference]) -> dict[UUID, PaymentException]:
    """The exceptions that these differences' money waits in, by difference."""
    named = {row.exception_id for row in rows if row.exception_id is not None}
    if not named:
        return {}
    e = PaymentException
    found = {one.id: one for one in tx.scalars(select(e).where(among(tx, e.id, sorted(named)), e.closed_at.is_(None)))}
    return {row.id: found[row.exception_id] for row in rows if row.exception_id in found}
