"""What channels keep of payments: our estimate is booked with the payment, and what their bills say beyond that here.

A bill has the last word however often it comes: each time it differs from what is booked, one more journal says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import bindparam, select, update

from server.db import Tx, table_of
from server.ledger import actions as ledger
from server.ledger import queries as books
from server.payments import booking
from server.payments.model import PaymentAttempt, UnmatchedPayment
from shared import clock
from shared.money import Fen
from shared.states import UnmatchedState

_ATTEMPT = table_of(PaymentAttempt)
_SETTLE = (
    update(_ATTEMPT).where(_ATTEMPT.c.id == bindparam("attempt")).values(fee_fen=bindparam("fee"), fee_is_final=True)
)


@dataclass(frozen=True, slots=True)
class _Paid:
    """A payment we know, and the numbers under which its fee may be booked."""

    order_id: UUID | None
    at: datetime
    numbers: tuple[str, ...]


def settle(tx: Tx, channel: str, fees: Mapping[str, Fen]) -> None:
    """Take the fees that a bill names, by the channel's numbers, of the payments we know, locked by their ids."""
    found = _set_aside(tx, channel, fees) | _attempts(tx, channel, fees)
    booked, bills = _booked(tx, channel, found)
    journals = [
        booking.fee_by_bill(one.order_id, channel, paid, beyond, at=one.at, n=bills[paid] + 1)
        for paid, one in found.items()
        if (beyond := fees[paid] - booked[paid])
    ]
    ledger.post(tx, journals)


def _booked(tx: Tx, channel: str, found: Mapping[str, _Paid]) -> tuple[dict[str, Fen], dict[str, int]]:
    """What is booked as the fee of each payment, and how many bills have had a word in it."""
    account = ledger.Account("psp_fee", channel)
    booked, bills = dict.fromkeys(found, 0), dict.fromkeys(found, 0)
    keys = {booking.fee_key(channel, number): paid for paid, one in found.items() for number in one.numbers}
    for key, fen in books.moved(tx, account, list(keys)).items():
        booked[keys[key]] += fen
    asked = list(found)
    while asked:
        keys = {booking.fee_key(channel, paid, n=bills[paid] + 1): paid for paid in asked}
        asked = []
        for key, fen in books.moved(tx, account, list(keys)).items():
            booked[keys[key]] += fen
            bills[keys[key]] += 1
            asked.append(keys[key])
    return booked, bills


def _attempts(tx: Tx, channel: str, fees: Mapping[str, Fen]) -> dict[str, _Paid]:
    its = (PaymentAttempt.channel == channel, PaymentAttempt.provider_no.in_(list(fees)))
    attempts = tx.scalars(select(PaymentAttempt).where(*its).order_by(PaymentAttempt.id).with_for_update()).all()
    if attempts:
        rows = [{"attempt": one.id, "fee": fees[one.provider_no]} for one in attempts if one.provider_no]
        tx.connection().execute(_SETTLE, rows)
    return {
        one.provider_no: _Paid(one.order_id, one.paid_at or clock.now(), (one.provider_no, one.out_trade_no))
        for one in attempts
        if one.provider_no
    }


def _set_aside(tx: Tx, channel: str, fees: Mapping[str, Fen]) -> dict[str, _Paid]:
    """Money that pays no order costs its fee too; what paid one after all is found as its attempt."""
    its = (UnmatchedPayment.channel == channel, UnmatchedPayment.provider_no.in_(list(fees)))
    ours = UnmatchedPayment.state.not_in((UnmatchedState.ATTACHED, UnmatchedState.CORRECTED))
    return {
        one.provider_no: _Paid(one.order_id, one.paid_at, (one.provider_no,))
        for one in tx.scalars(select(UnmatchedPayment).where(*its, ours))
    }
