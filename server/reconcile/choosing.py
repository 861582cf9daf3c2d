"""What may be done about a difference now, and how many people that needs."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from uuid import UUID

from sqlalchemy import select

from server.db import Tx
from server.payments.model import PaymentException
from server.reconcile.model import ReconcileDifference
from shared.finance import DIFFERENCE_ACTIONS, DifferenceAction, DifferenceKind, DifferenceState
from shared.money import Fen

_A, _K = DifferenceAction, DifferenceKind


PAID_HERE = "paid"
"""The `ours_state` of a payment that is in the bill twice: it came once, and there is nothing to give back."""


class Because(Enum):
    """Why a decision needs a second person, or does not."""

    MONEY = "money"
    """It moves money that waits in the exceptions: their own two people."""
    LIMIT = "limit"
    """It delivers goods, is a loss, or is more than one person decides on."""
    ONE_PERSON = "one person"


def off_by(row: ReconcileDifference) -> Fen:
    """What the channel has more than we, as it is shown."""
    return (row.theirs_fen or 0) - (row.ours_fen or 0)


def because(row: ReconcileDifference, action: DifferenceAction, check_above: Fen) -> Because:
    """How many people `action` needs for this difference."""
    if action in {_A.REFUND, _A.ATTACH} or (action is _A.BOOK and row.kind == _K.REFUND_ONLY_THEIRS):
        return Because.MONEY
    always = action in {_A.DELIVER, _A.WRITE_OFF}
    return Because.LIMIT if always or abs(off_by(row)) > check_above else Because.ONE_PERSON


def needs_two(row: ReconcileDifference, check_above: Fen) -> bool:
    """Whether what was decided, or else what is proposed, needs two people."""
    action = DifferenceAction(row.action or row.proposed)
    return because(row, action, check_above) is not Because.ONE_PERSON


def possible(row: ReconcileDifference, exception: PaymentException | None) -> list[DifferenceAction]:
    """What may be decided now, the proposed thing first. `exception`: where its money waits, if it does."""
    if row.state != DifferenceState.OPEN or row.is_signed:
        return []
    kind = DifferenceKind(row.kind)
    return [action for action in DIFFERENCE_ACTIONS[kind] if _fits(kind, action, row, exception)]


def _fits(
    kind: DifferenceKind, action: DifferenceAction, row: ReconcileDifference, exception: PaymentException | None
) -> bool:
    holds_money = exception is not None and exception.unmatched_id is not None
    match kind, action:
        case _K.UNPAID_OURS, _A.REFUND:
            return False  # nobody's money until it is delivered for: then it may go back like any other
        case _K.AMOUNT, _A.REFUND:
            return holds_money
        case _K.AMOUNT, _A.BOOK:
            return not holds_money and row.ours_id is not None
        case _K.DUPLICATE, _A.REFUND:
            return holds_money or row.ours_state != PAID_HERE
        case _K.REFUND_ONLY_THEIRS, _A.BOOK:
            return row.order_code is not None
        case _:
            return True


def exceptions(tx: Tx, rows: Sequence[ReconcileDifference]) -> dict[UUID, PaymentException]:
    """The exceptions that these differences' money waits in, by difference."""
    named = {row.exception_id: row.id for row in rows if row.exception_id is not None}
    if not named:
        return {}
    found = tx.scalars(select(PaymentException).where(PaymentException.id.in_(list(named))))
    return {named[one.id]: one for one in found if one.closed_at is None}
