"""HTTP of reconciliation: bills, days, differences and what arrived in our bank. Thin."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import date
from typing import Annotated
from uuid import UUID

from fastapi import Path, Query, Request

from server import context, policy, web
from server.context import Context
from server.db import Tx, retrying
from server.payments import bills, kept_bills
from server.payments.terms import Terms
from server.policy import Router
from server.reconcile import (
    asking,
    handling,
    intake,
    owed,
    pages,
    queries,
    running,
    showing,
    signing,
    sweeps,
    withdrawals,
)
from server.reconcile.handling import Decision, Desk
from server.reconcile.model import ReconcileDifference, ReconcileSweep
from server.reconcile.waiting import Merchant, Shop
from shared.contracts import bank
from shared.contracts import reconcile as wire
from shared.contracts.base import Day, Page
from shared.errors import NotFound
from shared.finance import DifferenceKind, DifferenceState, SweepState
from shared.permissions import Permission

router = Router(prefix="/api/reconcile")

Channel = Annotated[str, Path(max_length=16)]
Row = Annotated[int, Query(ge=0)]
Rows = Annotated[int, Query(ge=1, le=5_000)]


# --- bills and days ---


@router.post("/bills", allow=Permission.RECONCILE_BILL_ADD)
async def add_bill(
    request: Request, name: Annotated[str, Query(min_length=1, max_length=200)], day: Day | None = None
) -> wire.BillFile:
    """A bill that a person has downloaded, whole as the body; what it is of is read in it.

    `day` counts where the file has no row that tells.
    """
    ctx, who, content = context.of(request), policy.actor(request), await request.body()

    def add() -> wire.BillFile:
        file = intake.drop(ctx, content, name, day, actor=who)
        with ctx.db.read() as tx:
            return queries.bill(tx, file.id)

    return await asyncio.to_thread(add)


@router.get("/days", allow=Permission.RECONCILE_DAY_READ)
def list_days(
    request: Request,
    first: Annotated[Day, Query(alias="from")],
    last: Annotated[Day, Query(alias="to")],
    after: Annotated[str | None, Query(max_length=32)] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 200,
) -> Page[wire.ReconciledDay]:
    """Every channel's days, the oldest first."""
    with context.of(request).db.read() as tx:
        return queries.page(tx, _reader(request), first, last, after=after, limit=limit)


@router.get("/days/{day}/{channel}", allow=Permission.RECONCILE_DAY_READ)
def one_day(request: Request, day: Day, channel: Channel) -> wire.ReconciledDay:
    """One channel's day."""
    with context.of(request).db.read() as tx:
        return _day(request, tx, channel, day)


@router.post("/days/{day}/{channel}/fetch", allow=Permission.RECONCILE_BILL_ADD)
def fetch_bills(request: Request, day: Day, channel: Channel, body: wire.FetchBills) -> wire.ReconciledDay:  # noqa: ARG001 - empty
    """Ask the channel for its bills, and reconcile with what is there then: of a signed day, in the next open one."""
    ctx, who = context.of(request), policy.actor(request)
    if channel not in _channels(ctx):
        raise NotFound
    bills.fetch(ctx, channel, day)
    running.run_open(ctx, channel, day, by=who.label, request_id=web.request_id(request))
    with ctx.db.read() as tx:
        return _day(request, tx, channel, day)


@router.post("/days/{day}/{channel}/run", allow=Permission.RECONCILE_DIFFERENCE_HANDLE)
def run_day(request: Request, day: Day, channel: Channel) -> wire.ReconciledDay:
    """Compare both sides again: the same bills and books give the same differences, handled as they were."""
    ctx, who = context.of(request), policy.actor(request)
    with ctx.db.read() as tx:
        _day(request, tx, channel, day)
    running.run(ctx, channel, day, by=who.label, request_id=web.request_id(request))
    with ctx.db.read() as tx:
        return _day(request, tx, channel, day)


@router.post("/days/{day}/{channel}/sign", allow=Permission.RECONCILE_DAY_SIGN)
def sign_day(request: Request, day: Day, channel: Channel, body: wire.SignDay) -> wire.ReconciledDay:
    """Close the day over exactly what was seen."""
    ctx, reader, request_id = context.of(request), _reader(request), web.request_id(request)
    with ctx.db.read() as tx:
        seen = signing.look(ctx, tx, channel, day)

    def sign(tx: Tx) -> wire.ReconciledDay:
        signing.sign(tx, channel, day, body, seen=seen, reader=reader, request_id=request_id)
        return _day(request, tx, channel, day)

    return retrying(ctx.db, sign)


@router.get("/days/{day}/{channel}/matches", allow=Permission.RECONCILE_DAY_READ)
def list_matches(request: Request, day: Day, channel: Channel, after: Row = 0, limit: Rows = 1_000) -> Page[wire.Match]:
    """Payments of the day's bill with ours, by the bill's rows."""
    with context.of(request).db.read() as tx:
        return pages.matches(tx, channel, day, after=after, limit=limit)


@router.get("/days/{day}/{channel}/refunds", allow=Permission.RECONCILE_DAY_READ)
def list_refunds(
    request: Request,
    day: Day,
    channel: Channel,
    after: Annotated[str, Query(max_length=32)] = "",
    limit: Rows = 1_000,
) -> Page[wire.RefundMatch]:
    """Our refunds of the day with the channel's."""
    with context.of(request).db.read() as tx:
        return pages.refunds(tx, channel, day, after=after, limit=limit)


@router.get("/days/{day}/{channel}/funds", allow=Permission.RECONCILE_DAY_READ)
def list_funds(request: Request, day: Day, channel: Channel, after: Row = 0, limit: Rows = 1_000) -> Page[wire.FundRow]:
    """Movements of the day's fund bill."""
    with context.of(request).db.read() as tx:
        return pages.funds(tx, channel, day, after=after, limit=limit)


def _day(request: Request, tx: Tx, channel: str, day: date) -> wire.ReconciledDay:
    """The day as this person sees it. Raises NotFound for a channel that the shop does not have."""
    ctx = context.of(request)
    if channel not in ctx.gateways and not kept_bills.between(tx, day, day, channel=channel):
        raise NotFound
    return queries.one(tx, _reader(request), channel, day)


def _reader(request: Request) -> queries.Reader:
    ctx = context.of(request)
    without_funds = ctx.settings.channels_without_fund_bills
    return queries.Reader(policy.actor(request), web.language(request), _channels(ctx), without_funds)


def _channels(ctx: Context) -> frozenset[str]:
    return frozenset(code for code, gateway in ctx.gateways.items() if gateway.makes_bills)


# --- differences ---


@router.get("/differences", allow=Permission.RECONCILE_DAY_READ)
def list_differences(
    request: Request,
    is_open: Annotated[bool | None, Query(alias="open")] = None,
    day: Day | None = None,
    channel: Annotated[str | None, Query(max_length=16)] = None,
    kind: DifferenceKind | None = None,
    state: DifferenceState | None = None,
    after: Annotated[str | None, Query(max_length=32)] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 200,
) -> Page[wire.Difference]:
    """Differences by day, oldest first."""
    only = showing.Only(open=is_open, day=day, channel=channel, kind=kind, state=state)
    with context.of(request).db.read() as tx:
        return showing.page(tx, _looking(request), only=only, after=after, limit=limit)


@router.get("/differences/{difference_id}", allow=Permission.RECONCILE_DAY_READ)
def one_difference(request: Request, difference_id: UUID) -> wire.DifferenceDetail:
    """One with both sides, its story, and orders that its money may be meant for."""
    with context.of(request).db.read() as tx:
        return showing.detail(tx, _looking(request), difference_id)


@router.post("/differences/handle", allow=Permission.RECONCILE_DIFFERENCE_HANDLE)
def handle_differences(request: Request, body: wire.HandleDifferences) -> wire.Differences:
    """One decision about many, about all of them or none."""
    decision = Decision(body.action, body.note)
    return wire.Differences(items=_do(request, lambda tx, desk: handling.handle(tx, _seen(body), decision, desk)))


@router.post("/differences/check", allow=Permission.RECONCILE_DIFFERENCE_HANDLE)
async def check_differences(request: Request, body: wire.CheckDifferences) -> wire.Differences:
    """The second person says yes to all of them, or sends all back."""
    return wire.Differences(items=await _check(request, _seen(body), approve=body.approve, note=body.note))


@router.post("/differences/{difference_id}/handle", allow=Permission.RECONCILE_DIFFERENCE_HANDLE)
def handle_difference(request: Request, difference_id: UUID, body: wire.HandleDifference) -> wire.Difference:
    """Decide what is done; above the limit, and where money or goods move, another person approves it."""
    seen, decision = {difference_id: body.version}, Decision(body.action, body.note, body.order_code)
    return _do(request, lambda tx, desk: handling.handle(tx, seen, decision, desk))[0]


@router.post("/differences/{difference_id}/check", allow=Permission.RECONCILE_DIFFERENCE_HANDLE)
async def check_difference(request: Request, difference_id: UUID, body: wire.CheckDifference) -> wire.Difference:
    """The second person says yes, or sends it back. Before goods or money go the channel has its say."""
    seen = {difference_id: body.version}
    return (await _check(request, seen, approve=body.approve, note=body.note))[0]


def _seen(body: wire.HandleDifferences | wire.CheckDifferences) -> handling.Seen:
    return {one.id: one.version for one in body.differences}


async def _check(request: Request, seen: handling.Seen, *, approve: bool, note: str) -> list[wire.Difference]:
    if approve:
        await asking.before(context.of(request), seen, actor=policy.actor(request))
    return await asyncio.to_thread(
        _do, request, lambda tx, desk: handling.check(tx, seen, approve=approve, note=note, desk=desk)
    )


def _do(request: Request, act: Callable[[Tx, Desk], Sequence[ReconcileDifference]]) -> list[wire.Difference]:
    """Act, and answer the differences as they stand for this person, in one transaction."""
    ctx, looking, desk = context.of(request), _looking(request), _desk(request)
    done = retrying(ctx.db, lambda tx: showing.answers(tx, looking, act(tx, desk)))
    ctx.jobs.wake()
    return done


def _looking(request: Request) -> showing.Reader:
    settings = context.of(request).settings
    return showing.Reader(policy.actor(request), web.language(request), settings.difference_check_fen)


def _desk(request: Request) -> Desk:
    ctx = context.of(request)
    merchants = {code: Merchant(gateway.merchant_id, gateway.app_ids) for code, gateway in ctx.gateways.items()}
    shop = Shop(merchants, Terms.of(ctx.settings))
    return Desk(policy.actor(request), web.request_id(request), ctx.settings.difference_check_fen, shop)


# --- what arrived ---


@router.get("/owed", allow=Permission.RECONCILE_DAY_READ)
def list_owed(
    request: Request,
    channel: Annotated[str | None, Query(max_length=16)] = None,
    after: Annotated[str | None, Query(max_length=32)] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 200,
) -> Page[bank.OwedDay]:
    """Days whose money has not come, oldest first."""
    ctx = context.of(request)
    with ctx.db.read() as tx:
        return owed.page(tx, ctx.settings, channel=channel, after=after, limit=limit)


@router.get("/withdrawals", allow=Permission.RECONCILE_DAY_READ)
def list_withdrawals(
    request: Request,
    channel: Annotated[str | None, Query(max_length=16)] = None,
    day: Day | None = None,
    is_open: Annotated[bool | None, Query(alias="open")] = None,
    after: UUID | None = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 200,
) -> Page[bank.Withdrawal]:
    """What left channels' accounts for our bank, and as which arrival it came."""
    only = withdrawals.Only(channel, day, is_open)
    with context.of(request).db.read() as tx:
        return withdrawals.page(tx, policy.actor(request), only=only, after=after, limit=limit)


@router.post("/withdrawals/{withdrawal_id}/pair", allow=Permission.RECONCILE_DIFFERENCE_HANDLE)
def pair_withdrawal(request: Request, withdrawal_id: UUID, body: bank.PairWithdrawal) -> bank.Withdrawal:
    """Say which arrival it is."""
    ctx, who, request_id = context.of(request), policy.actor(request), web.request_id(request)

    def pair(tx: Tx) -> bank.Withdrawal:
        paired = withdrawals.pair_by_hand(tx, withdrawal_id, body.sweep_id, actor=who, request_id=request_id)
        return withdrawals.answers(tx, who, [paired])[0]

    return retrying(ctx.db, pair)


@router.post("/withdrawals/{withdrawal_id}/return", allow=Permission.RECONCILE_DIFFERENCE_HANDLE)
def return_withdrawal(request: Request, withdrawal_id: UUID, body: bank.ReturnWithdrawal) -> bank.Withdrawal:
    """Say that a withdrawal came back to the channel's account, or that it did not."""
    ctx, who, request_id = context.of(request), policy.actor(request), web.request_id(request)

    def say(tx: Tx) -> bank.Withdrawal:
        said = withdrawals.return_by_hand(tx, withdrawal_id, body, actor=who, request_id=request_id)
        return withdrawals.answers(tx, who, [said])[0]

    return retrying(ctx.db, say)


@router.get("/sweeps", allow=Permission.RECONCILE_DAY_READ)
def list_sweeps(
    request: Request,
    day: Day | None = None,
    channel: Annotated[str | None, Query(max_length=16)] = None,
    state: SweepState | None = None,
    is_open: Annotated[bool, Query(alias="open")] = False,
    after: UUID | None = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 200,
) -> Page[bank.Sweep]:
    """Money of channels that arrived in our bank: with a part of a day; `open`: that is no withdrawal yet."""
    only = sweeps.Only(day, channel, state, is_open)
    with context.of(request).db.read() as tx:
        return sweeps.page(tx, policy.actor(request), only=only, after=after, limit=limit)


@router.post("/sweeps", allow=Permission.RECONCILE_DIFFERENCE_HANDLE, status_code=201)
def record_sweep(request: Request, body: bank.NewSweep) -> bank.Sweep:
    """Book money that arrived, once by the bank's own number; what is more than expected waits for a second person."""
    if body.channel not in context.of(request).gateways:
        raise NotFound
    return _swept(request, lambda tx, desk: sweeps.record(tx, body, desk=desk))


@router.post("/sweeps/{sweep_id}/check", allow=Permission.RECONCILE_DIFFERENCE_HANDLE)
def check_sweep(request: Request, sweep_id: UUID, body: bank.CheckSweep) -> bank.Sweep:
    """The second person approves the booking, or the reversal, that waits; or it is taken back."""
    return _swept(request, lambda tx, desk: sweeps.check(tx, sweep_id, body, desk=desk))


@router.post("/sweeps/{sweep_id}/reverse", allow=Permission.RECONCILE_DIFFERENCE_HANDLE)
def reverse_sweep(request: Request, sweep_id: UUID, body: bank.ReverseSweep) -> bank.Sweep:
    """It was wrong: out of the books by as many people as it came in, and its number may be recorded again."""
    return _swept(request, lambda tx, desk: sweeps.reverse(tx, sweep_id, body, desk=desk))


def _swept(request: Request, act: Callable[[Tx, sweeps.Desk], ReconcileSweep]) -> bank.Sweep:
    ctx, who = context.of(request), policy.actor(request)
    shared = ctx.settings.channels_shared_with_others
    desk = sweeps.Desk(who, web.request_id(request), ctx.settings.difference_check_fen, shared)
    return retrying(ctx.db, lambda tx: sweeps.answers(tx, who, [act(tx, desk)])[0])
