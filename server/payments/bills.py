"""The fourth way to learn that money came: each channel's trade bill of the day before.

Read after 10:00 of the shop's day, until it is there or the next day's is due: a day without trade has none. What it
names and we do not know is applied like any other fact, unless the channel says that it went back since. The fees it
names replace the estimated ones.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Iterator, Sequence
from dataclasses import replace
from datetime import date, time, timedelta
from functools import partial

from sqlalchemy import bindparam, select, update

from server.context import Context
from server.db import Tx, retrying, table_of
from server.gateways.bill_lines import BillPayment, UnreadableBill, payments_of
from server.gateways.port import Bill, ChannelRefused, ChannelUnknown, Gateway, PaymentFact
from server.payments import channels
from server.payments.actions import ApplyPayment
from server.payments.model import PaymentAttempt, PaymentChannel
from shared import clock
from shared.states import AttemptState, FoundBy

READY_AT = time(10, 0)
"""Channels promise their bills by then."""

LOOK_SECONDS = 1_800.0
DAYS_BACK = 7
"""How far a shop that was shut catches up."""

PAGE = 200

_log = logging.getLogger("kameng.payments")


def read_due(ctx: Context) -> int:
    """Read the bills that are due and there; answers how many payments they told us of that we did not know."""
    if clock.shop_time(clock.now()).time() < READY_AT:
        return 0
    return sum(_catch_up(ctx, channel) for channel in sorted(ctx.gateways))


def _catch_up(ctx: Context, channel: str) -> int:
    found = 0
    yesterday = clock.shop_day(clock.now()) - timedelta(days=1)
    for day in _days(ctx, channel, until=yesterday):
        try:
            bill = asyncio.run(_download(ctx, channel, day))
        except (ChannelRefused, ChannelUnknown) as error:
            _log.info("no bill yet", extra={"channel": channel, "day": day.isoformat(), "error": str(error)})
            return found
        if bill is None:
            _log.info("no bill", extra={"channel": channel, "day": day.isoformat()})
            continue  # no trade, or not made yet: asked for again until a later one was read, or it is too old
        try:
            found += read(ctx, bill)
        except (ChannelRefused, ChannelUnknown) as error:
            _log.warning("bill not read to its end", extra={"channel": channel, "error": str(error)})
            return found
        except UnreadableBill as problem:
            _log.error("bill unreadable", extra={"channel": channel, "day": day.isoformat(), "reason": problem.reason})
            return found
        retrying(ctx.db, partial(channels.billed, channel=channel, until=day))
    return found


async def _download(ctx: Context, channel: str, day: date) -> Bill | None:
    def ask(gateway: Gateway) -> Awaitable[Bill | None]:
        return gateway.download_bill("trades", day)

    return await channels.call(ctx, channel, ask)


def _days(ctx: Context, channel: str, *, until: date) -> list[date]:
    of_it = select(PaymentAttempt.created_at).where(PaymentAttempt.channel == channel).order_by(PaymentAttempt.id)
    with ctx.db.read() as tx:
        row = tx.get(PaymentChannel, channel)
        opened_at = tx.scalars(of_it.limit(1)).first()
    first = until - timedelta(days=DAYS_BACK - 1)
    if row is not None and row.billed_until is not None:
        first = max(first, row.billed_until + timedelta(days=1))
    else:
        first = max(first, clock.shop_day(opened_at)) if opened_at else until
    return [first + timedelta(days=n) for n in range((until - first).days + 1)]


def read(ctx: Context, bill: Bill) -> int:
    """Apply every payment of a bill; answers how many of them were news. Raises UnreadableBill, and then did nothing;
    ChannelUnknown and ChannelRefused when the channel does not say how one of them stands now.

    Safe to repeat: what is known is known by the channel's number of it.
    """
    gateway, news = ctx.gateways[bill.channel], 0
    for page in _pages(payments_of(bill)):
        with ctx.db.read() as tx:
            known, unpaid = _known(tx, page), _unpaid(tx, page)
        for one in page:
            if (one.fact.out_trade_no, one.fact.provider_no) not in known:
                ctx.batch.call(ApplyPayment.of(gateway, _as_it_stands(ctx, one.fact, unpaid), FoundBy.BILL))
                news += 1
        retrying(ctx.db, partial(_settle_fees, page=page))
    _log.info("bill read", extra={"channel": bill.channel, "day": bill.day.isoformat(), "news": news})
    return news


def _pages(rows: Sequence[BillPayment]) -> Iterator[Sequence[BillPayment]]:
    return (rows[at : at + PAGE] for at in range(0, len(rows), PAGE))


def _known(tx: Tx, page: Sequence[BillPayment]) -> set[tuple[str, str | None]]:
    """The payments that are paid attempts with the same number and amount."""
    amounts = {(one.fact.out_trade_no, one.fact.provider_no): one.fact.amount_fen for one in page}
    paid = select(PaymentAttempt.out_trade_no, PaymentAttempt.provider_no, PaymentAttempt.amount_fen).where(
        PaymentAttempt.out_trade_no.in_([one.fact.out_trade_no for one in page]),
        PaymentAttempt.state == AttemptState.PAID.value,
    )
    return {(ours, theirs) for ours, theirs, amount in tx.execute(paid) if amounts.get((ours, theirs)) == amount}


def _unpaid(tx: Tx, page: Sequence[BillPayment]) -> set[str]:
    """Our numbers among these that no money is known of."""
    numbers = PaymentAttempt.out_trade_no.in_([one.fact.out_trade_no for one in page])
    return set(
        tx.scalars(select(PaymentAttempt.out_trade_no).where(numbers, PaymentAttempt.state != AttemptState.PAID.value))
    )


def _as_it_stands(ctx: Context, fact: PaymentFact, unpaid: set[str]) -> PaymentFact:
    """What a bill says of a payment, but for one that the merchant gave back at the channel since: nobody delivers it.

    Raises ChannelUnknown, ChannelRefused: then the bill is read again later.
    """
    if fact.out_trade_no not in unpaid:
        return fact
    now = asyncio.run(channels.call(ctx, fact.channel, lambda gateway: gateway.query(fact.out_trade_no)))
    is_gone = now is not None and now.state in {"refunded", "closed"}
    return replace(fact, state="refunded") if is_gone else fact


_ATTEMPT = table_of(PaymentAttempt)
_SETTLE = (
    update(_ATTEMPT)
    .where(_ATTEMPT.c.channel == bindparam("at"), _ATTEMPT.c.provider_no == bindparam("number"))
    .values(fee_fen=bindparam("fee"), fee_is_final=True)
)


def _settle_fees(tx: Tx, page: Sequence[BillPayment]) -> None:
    in_order = sorted(page, key=lambda one: one.fact.out_trade_no)
    rows = [{"at": one.fact.channel, "number": one.fact.provider_no, "fee": one.fee_fen} for one in in_order]
    tx.connection().execute(_SETTLE, rows)
