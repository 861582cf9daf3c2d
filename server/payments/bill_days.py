"""Which days' bills of a channel were read, and telling people of those that were not.

A day is asked for until it is settled: its bill was read to its end, a person closed its exception, or it had no trade.
What is wrong is told on the channels' screen at once, and in the evening a person decides.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from sqlalchemy import func, select

from server.db import Tx
from server.payments.exceptions import closing, raising
from server.payments.exceptions.raising import Raised
from server.payments.model import PaymentAttempt, PaymentBill, PaymentException, UnmatchedPayment
from server.payments.refunds.model import Refund
from shared import clock, ids
from shared.states import BillTrouble, ExceptionKind

DAYS_BACK = 88
"""How far a shop that was shut catches up: WeChat Pay keeps its bills for three months, of 89 days at least."""

READY_AT = time(10)
"""Channels promise the bill of the day before by then."""

EVENING = timedelta(hours=18)
"""When people are told of a bill of the day before that should be there."""

WITHOUT_TRADE = timedelta(days=3)
"""A day of which no money is known had no trade when its bill has not come until so many days later."""

_Day = tuple[str, date]
"""A channel and a business day."""


@dataclass(slots=True)
class Tally:
    """What a bill named: payments of ours, those that were news, those nobody could confirm, and those of others."""

    payments: int = 0
    news: int = 0
    unsure: int = 0
    others: int = 0
    others_fen: int = 0


@dataclass(frozen=True, slots=True)
class Standing:
    """How far the bills of a channel were read, and what is wrong with the first one that was not.

    `others`: payments of its last bill that belong to others with the same merchant number.
    """

    read_until: date | None = None
    missing: int = 0
    since: date | None = None
    trouble: BillTrouble | None = None
    why: str | None = None
    others: int = 0
    others_fen: int = 0


def due(tx: Tx, channel: str, *, yesterday: date) -> list[date]:
    """The days whose bills are to be asked for, the oldest first."""
    earliest = yesterday - timedelta(days=DAYS_BACK - 1)
    rows = _rows(tx, earliest, channel=channel)
    first = max(earliest, _first_looked_for(tx, channel) or _opened(tx, channel, earliest) or yesterday)
    settled = {_day_of(row) for row in rows if row.settled_at is not None} | _dismissed(tx, rows)
    return [day for day in _days(first, yesterday) if (channel, day) not in settled]


def settle(tx: Tx, channel: str, day: date, tally: Tally) -> bool:
    """The day's bill was read to its end. Answers whether people had been told that it was not."""
    row = _row(tx, channel, day)
    was_told = row.trouble is not None
    row.settled_at = clock.now()
    row.trouble, row.why, row.trouble_since = None, None, None
    row.payments, row.news, row.others, row.others_fen = tally.payments, tally.news, tally.others, tally.others_fen
    tx.flush()
    closing.over(tx, _key(channel, day))
    return was_told


def not_there(tx: Tx, channel: str, day: date) -> bool:
    """The channel has no bill of this day: a late one, or none. Answers whether that is news for people."""
    if clock.now() < _evening_after(day):
        return _note(tx, channel, day, None, "")
    if _had_money(tx, channel, day):
        return missed(tx, channel, day, BillTrouble.NOT_THERE, "")
    if day + WITHOUT_TRADE <= clock.shop_day(clock.now()):
        return settle(tx, channel, day, Tally())
    return _note(tx, channel, day, None, "")


def had_no_trade(tx: Tx, channel: str, day: date) -> bool:
    """Whether nobody knows of money of that day, and it is late enough for a bill of it to be there."""
    return _ready_after(day) <= clock.now() and not _had_money(tx, channel, day)


def missed(tx: Tx, channel: str, day: date, trouble: BillTrouble, why: str) -> bool:
    """The day's bill could not be read. Answers whether that is news for people; in the evening one decides."""
    if _evening_after(day) <= clock.now():
        raising.write(tx, [_raised(channel, day, trouble, why)])
    return _note(tx, channel, day, trouble, why)


def standing(tx: Tx, *, today: date) -> dict[str, Standing]:
    """How each channel's bills stand, by its code; one without bills is not named."""
    of_channel: dict[str, list[PaymentBill]] = {}
    rows = _rows(tx, today - timedelta(days=DAYS_BACK))
    dismissed = _dismissed(tx, rows)
    for row in rows:
        of_channel.setdefault(row.channel, []).append(row)
    return {channel: _standing(its, dismissed) for channel, its in of_channel.items()}


def troubles(tx: Tx, first: date, last: date) -> dict[_Day, BillTrouble]:
    """What is wrong with the bills of these days, by channel and day."""
    of_days = (PaymentBill.day >= first, PaymentBill.day <= last, PaymentBill.trouble.is_not(None))
    rows = tx.execute(select(PaymentBill.channel, PaymentBill.day, PaymentBill.trouble).where(*of_days))
    return {(channel, day): BillTrouble(trouble) for channel, day, trouble in rows if trouble}


def _standing(rows: Sequence[PaymentBill], dismissed: Set[_Day]) -> Standing:
    waited_for = [row for row in rows if row.settled_at is None and _day_of(row) not in dismissed]
    before = [row for row in rows if not waited_for or row.day < waited_for[0].day]
    missing = [(row, BillTrouble(row.trouble)) for row in waited_for if row.trouble is not None]
    read = [row for row in rows if row.settled_at is not None]
    return Standing(
        read_until=before[-1].day if before else None,
        missing=len(missing),
        since=missing[0][0].day if missing else None,
        trouble=missing[0][1] if missing else None,
        why=missing[0][0].why if missing else None,
        others=read[-1].others if read else 0,
        others_fen=read[-1].others_fen if read else 0,
    )


# --- rows ---


def _rows(tx: Tx, earliest: date, *, channel: str | None = None) -> Sequence[PaymentBill]:
    rows = select(PaymentBill).where(PaymentBill.day >= earliest)
    if channel is not None:
        rows = rows.where(PaymentBill.channel == channel)
    return tx.scalars(rows.order_by(PaymentBill.channel, PaymentBill.day)).all()


def _row(tx: Tx, channel: str, day: date) -> PaymentBill:
    """The row of a day, made when it is first looked for."""
    row = tx.get(PaymentBill, (channel, day))
    if row is None:
        row = PaymentBill(channel=channel, day=day, payments=0, news=0, others=0, others_fen=0)
        tx.add(row)
    return row


def _note(tx: Tx, channel: str, day: date, trouble: BillTrouble | None, why: str) -> bool:
    row = _row(tx, channel, day)
    told, row.why = row.trouble, why[:200] or None
    row.trouble = trouble.value if trouble is not None else None
    row.trouble_since = (row.trouble_since or clock.now()) if trouble is not None else None
    tx.flush()
    return told != row.trouble


def _dismissed(tx: Tx, rows: Sequence[PaymentBill]) -> set[_Day]:
    """The days that are not settled, and of which a person has decided that nothing is missing."""
    wanted = {_key(*_day_of(row)): _day_of(row) for row in rows if row.settled_at is None}
    if not wanted:
        return set()
    closed = select(PaymentException.key).where(
        PaymentException.key.in_(wanted), PaymentException.closed_at.is_not(None)
    )
    return {wanted[key] for key in tx.scalars(closed)}


def _first_looked_for(tx: Tx, channel: str) -> date | None:
    return tx.scalars(select(func.min(PaymentBill.day)).where(PaymentBill.channel == channel)).first()


def _opened(tx: Tx, channel: str, earliest: date) -> date | None:
    """The day of the channel's first payment since then. Read once: the first look leaves a row."""
    since = ids.first_of(clock.day_bounds(earliest)[0])
    its = select(PaymentAttempt.created_at).where(PaymentAttempt.id >= since, PaymentAttempt.channel == channel)
    at = tx.scalars(its.order_by(PaymentAttempt.id).limit(1)).first()
    return None if at is None else clock.shop_day(at)


def _had_money(tx: Tx, channel: str, day: date) -> bool:
    start, end = clock.day_bounds(day)
    for of, at in (
        (PaymentAttempt, PaymentAttempt.paid_at),
        (UnmatchedPayment, UnmatchedPayment.paid_at),
        (Refund, Refund.submitted_at),
    ):
        its = select(of.id).where(of.channel == channel, at >= start, at < end)
        if tx.scalars(its.limit(1)).first() is not None:
            return True
    return False


def _day_of(row: PaymentBill) -> _Day:
    return row.channel, row.day


def _days(first: date, last: date) -> Iterator[date]:
    return (first + timedelta(days=n) for n in range((last - first).days + 1))


def _ready_after(day: date) -> datetime:
    return datetime.combine(day + timedelta(days=1), READY_AT, clock.SHOP_ZONE)


def _evening_after(day: date) -> datetime:
    return clock.day_bounds(day + timedelta(days=1))[0] + EVENING


# --- its exception ---


def _raised(channel: str, day: date, trouble: BillTrouble, why: str) -> Raised:
    return Raised(
        kind=ExceptionKind.BILL_MISSING,
        cause=f"{channel}:{day.isoformat()}",
        channel=channel,
        out_trade_no="-",
        at=clock.now(),
        evidence=[("bill_day", day.isoformat()), ("bill_trouble", trouble.value), ("channel_answer", why or None)],
    )


def _key(channel: str, day: date) -> str:
    return _raised(channel, day, BillTrouble.NOT_THERE, "").key
