"""HTTP of reconciliation: bills, days, differences and what arrived in our bank. Thin."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import date
from typing import Annotated
from uuid import UUID

from fastapi import Path, Query, Request

from server import context, policy, web
from server.context import Context
from server.db import Tx, retrying
from server.gateways.port import ChannelRefused, ChannelUnknown
from server.payments import bills, channels, kept_bills
from server.payments.exceptions.checking import ChannelAnswered
from server.payments.terms import Terms
from server.policy import Router
from server.reconcile import handling, intake, pages, queries, running, showing, signing, sweeps
from server.reconcile.handling import Desk
from server.reconcile.model import ReconcileDifference
from server.reconcile.waiting import Merchant
from shared.contracts import reconcile as wire
from shared.contracts.base import Day, Page
from shared.errors import NotFound
from shared.finance import DifferenceAction, DifferenceKind, DifferenceState
from shared.permissions import Permission

router = Router(prefix="/api/reconcile")

Channel = Annotated[str, Path(max_length=16)]
Row = Annotated[int, Query(ge=0)]
Rows = Annotated[int, Query(ge=1, le=5_000)]


# --- bills and days ---


@router.post("/bills", allow=Permission.RECONCILE_BILL_ADD)
async def add_bill(request: Request, name: Annotated[str, Query(min_length=1, max_length=200)]) -> wire.BillFile:
    """A bill that a person has downloaded, whole as the body; what it is of is read in it."""
    ctx, who, content = context.of(request), policy.actor(request), await request.body()

    def add() -> wire.BillFile:
        file = intake.drop(ctx, content, name, actor=who)
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
    """Ask the channel for what is missing, and reconcile with what is there then."""
    ctx, who = context.of(request), policy.actor(request)
    if channel not in _channels(ctx):
        raise NotFound
    with ctx.db.read() as tx:
        if queries.is_signed(tx, channel, day):
            raise handling.DaySigned(day=day.isoformat())
    bills.fetch(ctx, channel, day)
    with ctx.db.read() as tx:
        is_there = bool(kept_bills.missing(tx, channel, [day], queries.NEEDED[0])) is False
    if is_there:
        running.run(ctx, channel, day, by=who.label, request_id=web.request_id(request))
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
    ctx, who, request_id = context.of(request), policy.actor(request), web.request_id(request)

    def sign(tx: Tx) -> wire.ReconciledDay:
        signing.sign(tx, channel, day, body, actor=who, request_id=request_id)
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
    return queries.Reader(policy.actor(request), web.language(request), _channels(context.of(request)))


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


@router.post("/differences/{difference_id}/handle", allow=Permission.RECONCILE_DIFFERENCE_HANDLE)
def handle_difference(request: Request, difference_id: UUID, body: wire.HandleDifference) -> wire.Difference:
    """Decide what is done; above the limit, and where money or goods move, another person approves it."""
    who, request_id, desk = policy.actor(request), web.request_id(request), _desk(request)
    return _do(
        request, lambda tx: handling.handle(tx, difference_id, body, actor=who, request_id=request_id, desk=desk)
    )


@router.post("/differences/{difference_id}/check", allow=Permission.RECONCILE_DIFFERENCE_HANDLE)
async def check_difference(request: Request, difference_id: UUID, body: wire.CheckDifference) -> wire.Difference:
    """The second person says yes, or sends it back. Before goods are delivered the channel has its say."""
    who, request_id, desk = policy.actor(request), web.request_id(request), _desk(request)

    def check(tx: Tx) -> ReconcileDifference:
        return handling.check(tx, difference_id, body, actor=who, request_id=request_id, desk=desk)

    if body.approve:
        await _ask_before_delivery(context.of(request), difference_id)
    return await asyncio.to_thread(_do, request, check)


async def _ask_before_delivery(ctx: Context, difference_id: UUID) -> None:
    """Raises ChannelAnswered where the channel says that the money is not there any more; silence stands in no way."""
    row = await asyncio.to_thread(_to_deliver, ctx, difference_id)
    if row is None:
        return
    try:
        fact = await channels.call(ctx, row.channel, lambda gateway: gateway.query(row.out_trade_no))
    except (ChannelUnknown, ChannelRefused):
        return
    if fact is not None and fact.state in {"refunded", "closed"}:
        raise ChannelAnswered(answer=fact.state)


def _to_deliver(ctx: Context, difference_id: UUID) -> ReconcileDifference | None:
    with ctx.db.read() as tx:
        row = tx.get(ReconcileDifference, difference_id)
        return row if row is not None and row.action == DifferenceAction.DELIVER else None


def _do(request: Request, act: Callable[[Tx], ReconcileDifference]) -> wire.Difference:
    """Act, and answer the difference as it stands for this person, in one transaction."""
    ctx, looking = context.of(request), _looking(request)
    done = retrying(ctx.db, lambda tx: showing.answers(tx, looking, [act(tx)])[0])
    ctx.jobs.wake()
    return done


def _looking(request: Request) -> showing.Reader:
    settings = context.of(request).settings
    return showing.Reader(policy.actor(request), web.language(request), settings.difference_check_fen)


def _desk(request: Request) -> Desk:
    ctx = context.of(request)
    merchants = {code: Merchant(gateway.merchant_id, gateway.app_ids) for code, gateway in ctx.gateways.items()}
    return Desk(ctx.settings.difference_check_fen, Terms.of(ctx.settings), merchants)


# --- what arrived ---


@router.get("/sweeps", allow=Permission.RECONCILE_DAY_READ)
def list_sweeps(
    request: Request,
    day: Day | None = None,
    channel: Annotated[str | None, Query(max_length=16)] = None,
    after: Annotated[str | None, Query(max_length=100)] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 200,
) -> Page[wire.Sweep]:
    """Money of channels that arrived in our bank."""
    with context.of(request).db.read() as tx:
        return sweeps.page(tx, day=day, channel=channel, after=after, limit=limit)


@router.post("/sweeps", allow=Permission.RECONCILE_DIFFERENCE_HANDLE, status_code=201)
def record_sweep(request: Request, body: wire.NewSweep) -> wire.Sweep:
    """Book money that arrived, once by the bank's own number."""
    ctx, who, request_id = context.of(request), policy.actor(request), web.request_id(request)
    if body.channel not in ctx.gateways:
        raise NotFound

    def record(tx: Tx) -> wire.Sweep:
        return sweeps.answers(tx, [sweeps.record(tx, body, actor=who, request_id=request_id)])[0]

    return retrying(ctx.db, record)
