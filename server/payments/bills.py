"""The fourth way to learn that money came: each channel's trade bill of the day before.

Read after 10:00 of the shop's day, and asked for until its day is settled (`bill_days`). What it names and we do not
know is applied as far as the channel, asked about it, confirms it: the file itself is not always signed. What has a
number that is not made here pays no attempt, and is left to reconciliation: a difference, unless the shop shares its
merchant number with another business, whose payments are counted. Fees that are as expected are final then; of others
people decide.

Every bill that can be read is kept (`kept_bills`), that of the account's movements too, and reconciled afterwards.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import partial
from itertools import islice
from uuid import UUID

from sqlalchemy import select

from server import changes, jobs
from server.context import Context
from server.db import Tx, retrying
from server.gateways import port
from server.gateways.bill_lines import BillPayment, UnreadableBill, opened_bill, payments_of
from server.gateways.port import Bill, ChannelRefused, ChannelUnknown, DamagedBill, Gateway, PaymentFact
from server.payments import applying, bill_days, channels, confirmed, fees, kept_bills
from server.payments.bill_days import Tally
from server.payments.exceptions import raising
from server.payments.model import PaymentAttempt, UnmatchedPayment
from shared import clock, ids
from shared.finance import BillKind
from shared.states import AttemptState, BillTrouble, ExceptionKind, FoundBy, UnmatchedState

LOOK_SECONDS = 1_800.0

RECONCILE = "reconcile.run"
"""The job that compares a channel's day with its bills, of which one is new."""

DROPPED = "payments.bill_dropped"
"""The job that reads what a person dropped, with its `file_id`."""

AGAIN_DAYS = 7
"""How long the bill of a day's movements is asked for, and that of its trade where a person dropped it."""

PAGE = 200

_log = logging.getLogger("kameng.payments")


# --- which bills ---


def read_due(ctx: Context) -> int:
    """Read the bills that are due and there; answers how many payments they told us of that we did not know."""
    if clock.shop_time(clock.now()).time() < bill_days.READY_AT:
        return 0
    return sum(_catch_up(ctx, channel) for channel, gateway in sorted(ctx.gateways.items()) if gateway.makes_bills)


def _catch_up(ctx: Context, channel: str) -> int:
    """One channel's; whatever goes wrong with it is no reason to leave the others unread."""
    news, yesterday = 0, clock.shop_day(clock.now()) - timedelta(days=1)
    try:
        with ctx.db.read() as tx:
            days = bill_days.due(tx, channel, yesterday=yesterday)
        for day in days:
            news += _look(ctx, channel, day)
        week = [yesterday - timedelta(days=n) for n in range(AGAIN_DAYS)]
        for kind in _kinds(ctx, channel):
            with ctx.db.read() as tx:
                again = kept_bills.unconfirmed(tx, channel, week, kind)
                if kind is BillKind.TRADES:
                    again -= set(days)
                else:
                    again |= kept_bills.missing(tx, channel, week, kind)
                    again -= kept_bills.missing(tx, channel, week, BillKind.TRADES)
            for day in sorted(again):
                _look_again(ctx, channel, day, kind)
    except Exception:  # noqa: BLE001 - what is wrong with one channel keeps no other from being read
        _log.exception("bills left for a later look", extra={"channel": channel})
    return news


def fetch(ctx: Context, channel: str, day: date) -> None:
    """Ask a channel now for the bills of a day, and read what is news; what is wrong with a missing one is noted."""
    with ctx.db.read() as tx:
        there = kept_bills.current(tx, channel, day)
    for kind in _kinds(ctx, channel):
        if kind is BillKind.TRADES and kind not in there:
            _look(ctx, channel, day)
        else:
            _look_again(ctx, channel, day, kind)


def _kinds(ctx: Context, channel: str) -> tuple[BillKind, ...]:
    """The bills that a channel makes for this merchant, that of its trade first."""
    has_no_funds = channel in ctx.settings.channels_without_fund_bills
    return (BillKind.TRADES,) if has_no_funds else (BillKind.TRADES, BillKind.FUNDS)


def read_dropped(ctx: Context, file_id: UUID) -> None:
    """The job behind a trade bill that a person dropped: it tells of money like one that was fetched."""
    with ctx.db.read() as tx:
        file = kept_bills.one(tx, file_id)
        assert file is not None
        bill = kept_bills.as_bill(file, kept_bills.content(tx, ctx.keys, file_id))
    _settle(ctx, bill, read(ctx, bill))
    retrying(ctx.db, partial(reconcile, channel=bill.channel, day=bill.day))


def _settle(ctx: Context, bill: Bill, tally: Tally) -> None:
    if not tally.unsure:
        _noted(ctx, bill.channel, partial(bill_days.settle, channel=bill.channel, day=bill.day, tally=tally))


def reconcile(tx: Tx, channel: str, day: date) -> None:
    """Have a day compared with its bills once this is committed."""
    args = {"channel": channel, "day": day.isoformat()}
    jobs.enqueue(tx, RECONCILE, args, key=f"{RECONCILE}:{channel}:{day}")


def _look_again(ctx: Context, channel: str, day: date, kind: BillKind) -> None:
    """Keep a bill that is not waited for, if it is there, can be read and is news: that of a day's movements, and the
    channel's own in the place of one that a person dropped, or that it has corrected since.
    """
    try:
        bill = _fetched(ctx, channel, day, "trades" if kind is BillKind.TRADES else "funds")
        if bill is None:
            _keep_none(ctx, channel, day, kind)
        elif isinstance(bill, Bill) and _keep(ctx, bill):
            if kind is BillKind.TRADES:
                _settle(ctx, bill, read(ctx, bill))
            retrying(ctx.db, partial(reconcile, channel=channel, day=day))
    except UnreadableBill as problem:
        where = {"channel": channel, "day": day.isoformat(), "kind": kind.value, "why": problem.reason}
        _log.warning("bill not read that is not waited for", extra=where)


def _keep_none(ctx: Context, channel: str, day: date, kind: BillKind) -> None:
    """Keep that a channel has no bill of a day of which nobody knows of money, until it has one: a day without trade
    can be closed like any other.
    """

    def keep(tx: Tx) -> None:
        kept_bills.hold(tx, channel, day)  # or somebody drops one in between
        there = kept_bills.current(tx, channel, day)
        trades = there.get(BillKind.TRADES)
        if kind in there or kept_bills.is_closed(tx, channel, day) or not bill_days.had_no_trade(tx, channel, day):
            return
        if kind is BillKind.FUNDS and (trades is None or kept_bills.has_rows(trades)):
            return
        new = kept_bills.none(channel, kind, day, ctx.gateways[channel].merchant_id)
        kept_bills.keep(tx, ctx.keys, new, source="none", by=f"channel:{channel}")
        reconcile(tx, channel, day)

    retrying(ctx.db, keep)


def _keep(ctx: Context, bill: Bill) -> bool:
    """Keep a bill that was fetched; whether it was news. Raises UnreadableBill."""
    found = opened_bill(bill)
    rows = sum(1 for _ in (found.trades() if bill.kind == "trades" else found.funds()))
    new = kept_bills.NewBill(
        channel=bill.channel,
        kind=BillKind(bill.kind),
        day=bill.day,
        merchant_id=ctx.gateways[bill.channel].merchant_id,
        name=bill.name,
        content=bill.content,
        rows=rows,
        sha1=found.sha1,
        sha256=found.sha256,
        totals=found.totals,
    )

    by = f"channel:{bill.channel}"
    return retrying(ctx.db, lambda tx: kept_bills.keep(tx, ctx.keys, new, source="fetched", by=by).is_new)


def _look(ctx: Context, channel: str, day: date) -> int:
    """Read the bill of one day, or note why that was not possible; answers how many payments were news."""
    found = _found(ctx, channel, day)
    if isinstance(found, Tally):
        retrying(ctx.db, partial(reconcile, channel=channel, day=day))
    if found is None:
        _noted(ctx, channel, partial(bill_days.not_there, channel=channel, day=day))
        _keep_none(ctx, channel, day, BillKind.TRADES)
        return 0
    if isinstance(found, Tally):
        if not found.unsure:
            _noted(ctx, channel, partial(bill_days.settle, channel=channel, day=day, tally=found))
            return found.news
        found = _Trouble(BillTrouble.UNSURE, str(found.unsure), found.news)
    where = {"channel": channel, "day": day.isoformat(), "trouble": found.what.value, "why": found.why}
    _log.warning("bill not read", extra=where)
    _noted(ctx, channel, partial(bill_days.missed, channel=channel, day=day, trouble=found.what, why=found.why))
    return found.news


@dataclass(frozen=True, slots=True)
class _Trouble:
    """Why there is nothing to read, or not all of it could be; `news` of it are known all the same."""

    what: BillTrouble
    why: str
    news: int = 0


def _found(ctx: Context, channel: str, day: date) -> Tally | _Trouble | None:
    """What the bill of a day named; None when the channel says that it has none.

    One that breaks this version is a trouble of that day, or the days behind it would wait for it unread, and nobody
    would be told. Where it is the database that is away, the trouble cannot be noted either.
    """
    try:
        bill = _fetched(ctx, channel, day)
        if not isinstance(bill, Bill):
            return bill
        _keep(ctx, bill)
        return read(ctx, bill)
    except UnreadableBill as problem:
        return _Trouble(BillTrouble.UNREADABLE, problem.reason)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is noted
        _log.exception("bill that this version cannot read", extra={"channel": channel, "day": day.isoformat()})
        return _Trouble(BillTrouble.UNREADABLE, type(error).__name__)


def _fetched(ctx: Context, channel: str, day: date, kind: port.BillKind = "trades") -> Bill | _Trouble | None:
    """The bill of a day; None when the channel says that it has none."""

    async def ask(gateway: Gateway) -> Bill | DamagedBill | None:
        try:
            return await gateway.download_bill(kind, day)
        except DamagedBill as damaged:  # the channel has answered
            return damaged

    try:
        bill = asyncio.run(channels.call(ctx, channel, ask))
    except ChannelRefused as refusal:
        return _Trouble(BillTrouble.REFUSED, refusal.reason_code)
    except ChannelUnknown as error:
        return _Trouble(BillTrouble.NO_ANSWER, error.detail)
    return _Trouble(BillTrouble.DAMAGED, bill.detail) if isinstance(bill, DamagedBill) else bill


def _noted(ctx: Context, channel: str, note: Callable[[Tx], bool]) -> None:
    """Write what became of a look, and tell the consoles where it is news."""

    def write(tx: Tx) -> None:
        if note(tx):
            changes.append(tx, "channel", channels.id_of(channel), domain="payments")

    retrying(ctx.db, write)


# --- reading one ---


def read(ctx: Context, bill: Bill) -> Tally:
    """Apply what a bill names and we do not know. Raises UnreadableBill, and then did nothing.

    Safe to repeat: what is known is known by the channel's number of it. While some of it is unsure, because the
    channel does not answer or it could not be applied, the bill has to be read again.
    """
    gateway, tally = ctx.gateways[bill.channel], Tally()
    is_shared = bill.channel in ctx.settings.channels_shared_with_others
    for page in _pages(payments_of(bill)):
        with ctx.db.read() as tx:
            ours, aside = _attempts(tx, page), _set_aside(tx, page)
        for one in page:
            attempt = ours.get(one.fact.out_trade_no)
            is_strange = attempt is None and _is_strange(gateway, one.fact.out_trade_no, one.fact.app_id)
            is_aside = _money(one.fact) in aside
            if is_strange and not is_aside and is_shared:
                tally.others, tally.others_fen = tally.others + 1, tally.others_fen + one.fact.amount_fen
                continue
            tally.payments += 1
            if is_strange or is_aside or (attempt is not None and _is_known(attempt, one.fact)):
                continue
            try:
                _apply(ctx, one.fact, attempt)
            except (ChannelRefused, ChannelUnknown) as error:
                _log.warning("payment of a bill not confirmed", extra={"channel": bill.channel, "error": str(error)})
                tally.unsure += 1
            except Exception:  # noqa: BLE001 - one that cannot be applied keeps no other from it
                _log.exception("payment of a bill not applied", extra={"out_trade_no": one.fact.out_trade_no})
                tally.unsure += 1
            else:
                tally.news += 1
        retrying(ctx.db, partial(_settle_fees, page=page))
    _log.info("bill read", extra={"channel": bill.channel, "day": bill.day.isoformat(), "news": tally.news})
    return tally


def _pages(rows: Iterator[BillPayment]) -> Iterator[Sequence[BillPayment]]:
    while page := list(islice(rows, PAGE)):
        yield page


def _attempts(tx: Tx, page: Sequence[BillPayment]) -> dict[str, PaymentAttempt]:
    """Our attempts among these, by our number."""
    numbers = [one.fact.out_trade_no for one in page]
    its = tx.scalars(select(PaymentAttempt).where(PaymentAttempt.out_trade_no.in_(numbers)))
    return {attempt.out_trade_no: attempt for attempt in its}


def _set_aside(tx: Tx, page: Sequence[BillPayment]) -> set[tuple[str | None, int]]:
    """What of it was set aside before: its channel's number and amount. Asked, the channel may name another payment."""
    numbers = [one.fact.provider_no for one in page]
    its = (UnmatchedPayment.channel == page[0].fact.channel, UnmatchedPayment.provider_no.in_(numbers))
    stands = UnmatchedPayment.state != UnmatchedState.CORRECTED.value
    found = tx.execute(select(UnmatchedPayment.provider_no, UnmatchedPayment.amount_fen).where(*its, stands))
    return {(number, fen) for number, fen in found}


def _money(fact: PaymentFact) -> tuple[str | None, int]:
    return fact.provider_no, fact.amount_fen


def is_of_others(ctx: Context, channel: str, out_trade_no: str, app_id: str | None) -> bool:
    """Whether a row that we know nothing of is another business's: none is, unless the shop shares the merchant number
    with one.
    """
    gateway, is_shared = ctx.gateways.get(channel), channel in ctx.settings.channels_shared_with_others
    return is_shared and gateway is not None and _is_strange(gateway, out_trade_no, app_id)


def _is_strange(gateway: Gateway, out_trade_no: str, app_id: str | None) -> bool:
    """Whether a row has a number that is not made here, or is another application's."""
    is_our_app = not app_id or not gateway.app_ids or app_id in gateway.app_ids
    return not is_our_app or not ids.is_id(out_trade_no)


def _is_known(attempt: PaymentAttempt, fact: PaymentFact) -> bool:
    is_heard = attempt.state == AttemptState.PAID and not confirmed.is_unheard(attempt)
    return is_heard and (attempt.provider_no, attempt.amount_fen) == (fact.provider_no, fact.amount_fen)


def _apply(ctx: Context, fact: PaymentFact, attempt: PaymentAttempt | None) -> None:
    """Apply a payment of the bill as the channel confirms it; what it does not confirm is put before people.

    Nobody delivers what went back since by the merchant's own hand. Raises ChannelUnknown, ChannelRefused.
    """
    if attempt is not None and (attempt.state, attempt.provider_no) == (AttemptState.PAID, fact.provider_no):
        applying.call(ctx, fact, FoundBy.BILL)  # another amount, an alarm that books nothing; or people confirmed it
        return
    now = asyncio.run(channels.call(ctx, fact.channel, lambda gateway: gateway.query(fact.out_trade_no)))
    is_this = now is not None and now.provider_no in {None, fact.provider_no}
    if now is not None and now.state == "paid":
        applying.call(ctx, now, FoundBy.BILL)
    elif now is not None and is_this and now.state in {"refunded", "closed"}:
        applying.call(ctx, replace(fact, state="refunded"), FoundBy.BILL)
    else:
        is_this = False
    if not is_this:
        retrying(ctx.db, lambda tx: raising.write(tx, [_unconfirmed(fact, attempt, now)]))


def _unconfirmed(fact: PaymentFact, attempt: PaymentAttempt | None, now: PaymentFact | None) -> raising.Raised:
    kind = ExceptionKind.UNKNOWN_PAYMENT if attempt is None else ExceptionKind.PAYMENT_UNKNOWN
    answer = "NOT_FOUND" if now is None else " ".join(filter(None, (now.state, now.provider_no)))
    return raising.of_fact(
        kind,
        fact,
        attempt,
        found_by=FoundBy.BILL,
        at=clock.now(),
        about=f"bill:{fact.provider_no}",
        more=[("channel_answer", answer)],
    )


def _settle_fees(tx: Tx, page: Sequence[BillPayment]) -> None:
    """Take the page's fees that are as expected, or that nobody expected. Another one is a difference, for people."""
    channel = page[0].fact.channel
    charged = {one.fact.provider_no: one.fee_fen for one in page if one.fact.provider_no}
    its = (PaymentAttempt.channel == channel, PaymentAttempt.provider_no.in_(charged))
    expected = select(PaymentAttempt.provider_no, PaymentAttempt.fee_fen).where(*its, PaymentAttempt.fee_fen > 0)
    for number, fee in tx.execute(expected):
        if number is not None and fee != charged[number]:
            del charged[number]
    fees.settle(tx, channel, charged)
