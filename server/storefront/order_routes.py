"""HTTP of an order: to pay it here and now, to come back to it, and its keys. Thin, like `routes`.

Everything here exists only for the device that bought the order, or was given its link; for everybody else there is
the same page, whatever the code. What comes back from a channel in an address proves nothing: it makes us ask.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Annotated
from uuid import UUID

from fastapi import Form, Request
from fastapi.responses import RedirectResponse, Response, StreamingResponse

from server import context, policy, web
from server.orders import links
from server.payments import checkout, ending, revealing, watching
from server.payments.attempts import NotPayable
from server.payments.channels import ChannelOff
from server.payments.queries import PayState
from server.policy import BUYER, PUBLIC, Router
from server.storefront import language as languages
from server.storefront import pages, paying, rendering, telling, views
from shared import ids
from shared.contracts.orders import OrderStatus
from shared.errors import KamengError, NotFound
from shared.states import OrderState

router = Router()

_TURN_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Owned:
    """An order that this device may open: all that a route needs before it acts."""

    id: UUID
    code: str
    state: OrderState


def owned(request: Request, code: str) -> Owned | None:
    """The order of a code for this device. Wrong, unknown and foreign codes are all None."""
    with context.of(request).db.read() as tx:
        found = pages.own_order(tx, code, policy.actor(request).id)
        return Owned(found.id, found.code, OrderState(found.state)) if found else None


def closed(request: Request) -> Response:
    """The same page for a wrong code, an unknown one and another device's order: it tells nobody which it was."""
    # Not the address that was asked for: it may take forms alone, or have a secret in it.
    return rendering.page(request, "closed.html", status=404, address="/lookup")


def to_order(code: str, flag: str = "") -> Response:
    """To the order's page; a `flag` says once how the buyer came there (`order_page`)."""
    return RedirectResponse(f"/o/{code}?{flag}=1" if flag else f"/o/{code}", HTTPStatus.SEE_OTHER)


# --- looking ---


@router.get("/o/{code}", allow=PUBLIC)
async def order_page(request: Request, code: str, n: int = 0, back: int = 0, sheet: int = 0, scan: int = 0) -> Response:
    """The order in its state: where to pay, what is being waited for, or the keys.

    `n` counts reloads, `back` says that the buyer was at the channel, `sheet` that they have just chosen to pay inside
    WeChat, `scan` that it did not say who they are. Looking makes us ask a channel whose answer is overdue, so that a
    page without JavaScript finds lost money too.
    """
    came = pages.Came(refreshes=max(0, min(n, 99)), back=bool(back), sheet=bool(sheet), scan=bool(scan))
    read = partial(_read, request, code, came)
    found = await asyncio.to_thread(read)
    payer = paying.surroundings(request).payer
    if found is not None and await watching.look(context.of(request), found.pay.attempt, payer=payer):
        found = await asyncio.to_thread(read)
    if found is None:
        return closed(request)
    if back and found.state is not OrderState.PENDING_PAYMENT:
        return to_order(found.page.code)
    return await _show(request, found)


@dataclass(frozen=True, slots=True)
class _Read:
    """An order's page as it stands, without keys, and what is decided on before it is shown."""

    id: UUID
    state: OrderState
    pay: PayState
    page: views.OrderPage


def _read(request: Request, code: str, came: pages.Came = pages.HERE) -> _Read | None:
    ctx, language, around = context.of(request), languages.of(request), paying.surroundings(request)
    with ctx.db.read() as tx:
        found = pages.own_order(tx, code, policy.actor(request).id)
        if found is None:
            return None
        standing = pages.stands(tx, found)
        page = pages.order_page(ctx, tx, standing, language, around, came)
    return _Read(found.id, OrderState(found.state), standing.pay, page)


def stage_of(request: Request, code: str) -> str | None:
    """Which of its stages the page of an order shows to this device, where it is open."""
    found = _read(request, code)
    return found.page.stage if found else None


async def show(request: Request, code: str, *, trouble: KamengError) -> Response:
    """The order's page as it stands now, with what kept the buyer from what was wanted."""
    return await _show(request, await asyncio.to_thread(_read, request, code), trouble=trouble)


async def _show(request: Request, found: _Read | None, *, trouble: KamengError | None = None) -> Response:
    """The order's page, with its keys once the reveal is committed, and with what kept the buyer from what was wanted.

    No thread waits for the commit: they are few, and all pages need them.
    """
    if found is None:
        return closed(request)
    shown = await _log_reveal(request, found.id) if found.page.stage == "keys" else None
    return await asyncio.to_thread(_render, request, found, shown, trouble)


def _render(
    request: Request, found: _Read, shown: list[revealing.Shown] | None, trouble: KamengError | None
) -> Response:
    ctx, language, page = context.of(request), languages.of(request), found.page
    if shown is not None:
        page = pages.with_keys(page, revealing.opened(ctx, found.id, shown), language)
    faults = [views.Fault(None, trouble.sentence(language.code))] if trouble else []
    status = trouble.status if trouble else 200
    return rendering.page(request, "order.html", status=status, address=f"/o/{page.code}", order=page, faults=faults)


async def _log_reveal(request: Request, order_id: UUID) -> list[revealing.Shown]:
    """Raises TooMany for a device that looks at keys all the time."""
    ctx, who = context.of(request), policy.actor(request).label
    ctx.buckets.take("reveal", who)
    return await revealing.log(ctx, order_id, actor=who, request_id=web.request_id(request))


@router.get("/o/{code}/status", allow=PUBLIC)
async def order_status(request: Request, code: str) -> OrderStatus:
    """What the waiting page polls: two states, and whether the page shows what there is. Asks an overdue channel."""
    status, pay = await asyncio.to_thread(_status, request, code)
    waits = status.state is OrderState.PENDING_PAYMENT
    if waits and await watching.look(context.of(request), pay.attempt):
        status, _ = await asyncio.to_thread(_status, request, code)
    return status


def _status(request: Request, code: str) -> tuple[OrderStatus, PayState]:
    with context.of(request).db.read() as tx:
        found = pages.own_order(tx, code, policy.actor(request).id)
        if found is None:
            raise NotFound
        return pages.status(tx, found)


@router.get("/o/{code}/events", allow=PUBLIC, response_model=None)
async def order_events(request: Request, code: str) -> Response:
    """Tells a page that waits at once when it shows something else than there is: a stream of `OrderStatus.seen`.

    It ends before proxies lose patience, and when this process is to stop; the browser opens the next one. Raises Busy
    when too many watch, or this device has too many pages open: pages poll as well.
    """
    found = await asyncio.to_thread(owned, request, code)
    if found is None:
        raise NotFound
    told = _seen(request, found)
    first = await anext(told)
    headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
    return StreamingResponse(_stream(first, told), media_type="text/event-stream", headers=headers)


async def _stream(first: str, told: AsyncIterator[str]) -> AsyncIterator[str]:
    yield first
    async for line in told:
        yield line


async def _seen(request: Request, found: Owned) -> AsyncIterator[str]:
    """An event for each change; in turns, so that nobody who stops this process waits for a page."""
    ctx = context.of(request)
    async with ctx.signals.bell(
        found.id, device=policy.actor(request).label, network=web.client_network(request)
    ) as bell:
        for _ in range(int(watching.WATCH_SECONDS / _TURN_SECONDS)):
            async for standing in watching.watch(ctx, found.id, bell, seconds=_TURN_SECONDS):
                status, _pay = await asyncio.to_thread(_status, request, found.code)
                yield f"data: {status.seen}\n\n"
                if not standing.waits:
                    return
            if ctx.health.draining:
                return


# --- paying ---


@router.post("/o/{code}/pay", allow=PUBLIC)
async def change_way(
    request: Request, code: str, channel: Annotated[str, Form()] = "", way: Annotated[str, Form()] = ""
) -> Response:
    """Pay in this way from now on: what was open is closed at its channel first, so that nobody pays twice.

    `way` is `qr` where a code for another device is wanted instead of what is usual here.
    """
    found = await asyncio.to_thread(owned, request, code)
    if found is None:
        return closed(request)
    if found.state is not OrderState.PENDING_PAYMENT:
        return to_order(found.code)
    ctx, around = context.of(request), paying.surroundings(request)
    product = paying.product_of(ctx, around, channel, wished=way)
    try:
        if product is None:
            raise ChannelOff
        await checkout.pay_again(ctx, found.code, channel, product=product, payer=around.payer)
    except NotPayable:
        return to_order(found.code)
    except KamengError as refusal:
        return await show(request, code, trouble=refusal)
    response = to_order(found.code, "sheet" if paying.asks_payer(around, product) else "")
    paying.remember(request, response, channel)
    return response


@router.get("/o/{code}/back", allow=PUBLIC)
async def come_back(request: Request, code: str) -> Response:
    """Where channels lead the buyer back to: asks at once, and takes what they append out of the address."""
    return await _ask(request, code)


@router.post("/o/{code}/refresh", allow=PUBLIC)
async def refresh(request: Request, code: str) -> Response:
    """ "I have paid": asks the channel, then shows the order again."""
    return await _ask(request, code)


async def _ask(request: Request, code: str) -> Response:
    found = await asyncio.to_thread(owned, request, code)
    if found is None:
        return closed(request)
    await checkout.refresh(context.of(request), found.code, payer=paying.surroundings(request).payer)
    return to_order(found.code, "back" if found.state is OrderState.PENDING_PAYMENT else "")


@router.post("/o/{code}/cancel", allow=PUBLIC)
async def cancel(request: Request, code: str) -> Response:
    """The buyer does not want the unpaid order any more. A payment that came first wins, and the page shows its keys.

    Where the channel gives no answer the page says so.
    """
    found = await asyncio.to_thread(owned, request, code)
    if found is None:
        return closed(request)
    try:
        await ending.cancel(context.of(request), found.code, actor=policy.actor(request).label)
    except ending.NotCancelled as refusal:
        return await show(request, code, trouble=refusal)
    return to_order(found.code)


# --- keys ---


@router.post("/o/{code}/reveal", allow=PUBLIC)
async def reveal(request: Request, code: str) -> Response:
    """Look at keys that could be given back unseen: from now on they cannot."""
    found = await asyncio.to_thread(owned, request, code)
    if found is None:
        return closed(request)
    if found.state in telling.KEYS:
        await _log_reveal(request, found.id)
    return to_order(found.code)


@router.get("/o/{code}/keys.txt", allow=PUBLIC)
async def keys_file(request: Request, code: str) -> Response:
    """The keys as a text file to keep. Revealing is logged like a view."""
    order = await asyncio.to_thread(_unsealed, request, code)
    shown = await _log_reveal(request, order.id)
    return Response(
        await asyncio.to_thread(_text_of, request, order, shown),
        media_type="text/plain; charset=utf-8",
        headers={
            "cache-control": "no-store",
            "content-disposition": f'attachment; filename="{order.code}.txt"',
        },
    )


def _unsealed(request: Request, code: str) -> Owned:
    with context.of(request).db.read() as tx:
        found = pages.own_order(tx, code, policy.actor(request).id)
        if found is None or OrderState(found.state) not in telling.KEYS or pages.is_sealed(tx, found):
            raise NotFound
        return Owned(found.id, found.code, OrderState(found.state))


def _text_of(request: Request, order: Owned, shown: list[revealing.Shown]) -> bytes:
    return pages.keys_file(order.code, revealing.opened(context.of(request), order.id, shown), languages.of(request))


@router.get("/o/{code}/k/{token}", allow=BUYER)
def exchange_link(request: Request, code: str, token: str) -> Response:
    """Let this device open the order of a secret link; the redirect takes the token out of the address."""
    ctx, who = context.of(request), policy.actor(request)
    ctx.buckets.take("link", web.client_network(request))
    canonical = ids.parse_order_code(code)
    assert who.id is not None, "the route makes a device cookie"
    if canonical is None or len(token) > 64:
        return closed(request)
    with ctx.db.tx() as tx:
        granted = links.grant(tx, ctx.keys, code=canonical, token=token, buyer_id=who.id)
    return to_order(canonical) if granted else closed(request)
