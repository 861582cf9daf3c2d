"""What channels keep of payments: our estimate is booked with the payment, and what their bills say beyond that here.

A bill has the last word however often it comes: each time it differs from what is booked, one more journal says so.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import bindparam, select, update

from server.db import Tx, among, table_of
from server.ledger import actions as ledger
from server.ledger import queries as books
from server.payments import booking
from server.payments.model import PaymentAttempt, UnmatchedPayment
from server.payments.refunds.model import Refund
from shared import clock
from shared.money import Fen
from shared.states import UnmatchedState

_ATTEMPT = table_of(PaymentAttempt)
_SETTLE = (
    update(_ATTEMPT).where(_ATTEMPT.c.id == bindparam("attempt")).values(fee_fen=bindparam("fee"), fee_is_final=True)
)


_AT_A_TIME = 500


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


def settle_returned(tx: Tx, channel: str, returned: Mapping[str, Fen], *, up_to_fee: bool) -> None:
    """Take what a bill says came back of fees, by our numbers of the refunds.

    `up_to_fee`: no more than is booked as the fee of their payment, all its refunds together; people may say otherwise.
    A bill names each refund whenever it is read: those of which so much is booked are not looked into.
    """
    numbers, account = list(returned), ledger.Account("psp_fee", channel)
    for some in (numbers[at : at + _AT_A_TIME] for at in range(0, len(numbers), _AT_A_TIME)):
        given, _ = _by_bills(tx, account, some, _returned_key)
        if other := {one: returned[one] for one in some if returned[one] + given[one]}:
            _settle_returned(tx, channel, other, up_to_fee=up_to_fee)


def _returned_key(number: str, n: int) -> str:
    return booking.fee_returned_key(number, n=n)


def _settle_returned(tx: Tx, channel: str, returned: Mapping[str, Fen], *, up_to_fee: bool) -> None:
    r, account = Refund, ledger.Account("psp_fee", channel)
    of_money = (r.out_refund_no, r.order_id, r.attempt_id, r.unmatched_id)
    named = (r.channel == channel, among(tx, r.out_refund_no, list(returned)))
    refunds = tx.execute(select(*of_money).where(*named)).all()
    attempts = {one.attempt_id for one in refunds if one.attempt_id is not None}
    aside = {one.unmatched_id for one in refunds if one.unmatched_id is not None}
    its = among(tx, r.attempt_id, list(attempts)) | among(tx, r.unmatched_id, list(aside))
    money = {one.out_refund_no: one.unmatched_id or one.attempt_id for one in tx.execute(select(*of_money).where(its))}
    given, bills = _by_bills(tx, account, list(money), _returned_key)
    room = _fees_of(tx, channel, attempts, aside) if up_to_fee else {}
    for number, payment in money.items():
        if payment in room:
            room[payment] += given[number]  # below zero: it was credited
    journals = []
    for one in sorted(refunds):
        number, payment = one.out_refund_no, one.unmatched_id or one.attempt_id
        more = returned[number] + given[number]
        if up_to_fee:
            more = min(more, max(room.get(payment, 0), 0))
            room[payment] = room.get(payment, 0) - more
        if more:
            at, n = clock.now(), bills[number] + 1
            journals.append(booking.fee_returned(one.order_id, channel, number, more, at=at, n=n))
    ledger.post(tx, journals)


def _fees_of(tx: Tx, channel: str, attempts: Collection[UUID], aside: Collection[UUID]) -> dict[UUID | None, Fen]:
    """What is booked as the fee of payments, by attempt or by money that was set aside."""
    a, u = PaymentAttempt, UnmatchedPayment
    of_attempts = select(a.id, a.provider_no, a.out_trade_no).where(among(tx, a.id, list(attempts)))
    of_aside = select(u.id, u.provider_no, u.provider_no).where(among(tx, u.id, list(aside)))
    rows = [*tx.execute(of_attempts), *tx.execute(of_aside)]
    known = {one: (provider_no or ours, ours) for one, provider_no, ours in rows}
    found = {numbers[0]: _Paid(None, clock.now(), numbers) for numbers in known.values()}
    booked, _ = _booked(tx, channel, found)
    return {one: booked[numbers[0]] for one, numbers in known.items()}


def charged(tx: Tx, channel: str, numbers: Collection[str]) -> dict[str, Fen]:
    """What is booked as the fee of payments that have found their orders, by the channel's numbers."""
    a = PaymentAttempt
    its = (a.channel == channel, among(tx, a.provider_no, sorted(numbers)))
    known = tx.execute(select(a.provider_no, a.out_trade_no).where(*its)).all()
    found = {one: _Paid(None, clock.now(), (one, ours)) for one, ours in known if one}
    return _booked(tx, channel, found)[0] if found else {}


def _booked(tx: Tx, channel: str, found: Mapping[str, _Paid]) -> tuple[dict[str, Fen], dict[str, int]]:
    """What is booked as the fee of each payment, and how many bills have had a word in it."""
    account = ledger.Account("psp_fee", channel)
    booked, bills = _by_bills(tx, account, list(found), lambda paid, n: booking.fee_key(channel, paid, n=n))
    keys = {booking.fee_key(channel, number): paid for paid, one in found.items() for number in one.numbers}
    for key, fen in books.moved(tx, account, list(keys)).items():
        booked[keys[key]] += fen
    return booked, bills


def _by_bills(
    tx: Tx, account: ledger.Account, asked: list[str], key: Callable[[str, int], str]
) -> tuple[dict[str, Fen], dict[str, int]]:
    """What bills, one after the other, had debited an account with about each, and how many of them did."""
    booked, bills = dict.fromkeys(asked, 0), dict.fromkeys(asked, 0)
    while asked:
        keys = {key(one, bills[one] + 1): one for one in asked}
        asked = []
        for posted, fen in books.moved(tx, account, list(keys)).items():
            booked[keys[posted]] += fen
            bills[keys[posted]] += 1
            asked.append(keys[posted])
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
