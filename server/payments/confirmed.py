"""What two people confirmed by hand, once its channel says it too: until then nobody but they has seen the money.

It is booked under our own number (`actions`), so that the channel's, which people may misread, can be put right.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import select, update

from server import audit, changes
from server.db import Tx, rows_changed
from server.payments.exceptions import closing, raising
from server.payments.model import PaymentAttempt
from shared.states import AttemptState, FoundBy


def is_unheard(attempt: PaymentAttempt) -> bool:
    """Whether two people confirmed it and its channel has not said so yet. Money they attached had been told of."""
    is_paid = attempt.state == AttemptState.PAID
    return is_paid and attempt.found_by == FoundBy.PERSON and attempt.paid_as is None


def is_in_doubt(tx: Tx, order_id: UUID | None) -> bool:
    """Whether some payment of the order was confirmed, and its channel has not said so yet."""
    paid = select(PaymentAttempt).where(
        PaymentAttempt.order_id == order_id, PaymentAttempt.state == AttemptState.PAID.value
    )
    return any(is_unheard(attempt) for attempt in tx.scalars(paid))


@dataclass(frozen=True, slots=True)
class Heard:
    """The channel says now what was confirmed: under the number that people read, `was`, or under another one."""

    attempt: PaymentAttempt
    was: str
    number: str
    by: FoundBy


def hear(tx: Tx, heard: Sequence[Heard]) -> None:
    """Note who said so, and the channel's own number wherever the money is known by another one."""
    for one in heard:
        attempt = one.attempt
        by_people = (PaymentAttempt.found_by == FoundBy.PERSON.value, PaymentAttempt.provider_no == one.was)
        said = update(PaymentAttempt).where(PaymentAttempt.id == attempt.id, *by_people)
        changed = tx.execute(
            said.values(provider_no=one.number, found_by=one.by.value),
            execution_options={"synchronize_session": False},
        )
        assert rows_changed(changed) == 1, "a locked attempt changed"
        raising.renumber(tx, attempt.id, one.was, one.number)
        closing.paid(tx, {attempt.id: one.number})
        changes.append(tx, "order", attempt.order_id, domain="orders")
        audit.append(
            tx,
            actor=f"channel:{attempt.channel}",
            action="payment.hear",
            entity="attempt",
            entity_id=attempt.out_trade_no,
            detail={
                "order": attempt.order_code,
                "confirmed_as": one.was,
                "provider_no": one.number,
                "found_by": one.by.value,
            },
        )
