"""HTTP of paying inside WeChat: the browser goes there and comes back, and we know for whom to open the payment.

Reached by links alone: a browser's policy for forms holds for where they are redirected to as well. Whatever goes wrong
ends at the code to scan. Thin, like `order_routes`.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from http import HTTPStatus

from fastapi import Request
from fastapi.responses import RedirectResponse, Response

from server import context, policy
from server.gateways.port import ChannelRefused, ChannelUnknown
from server.payments import checkout
from server.payments.attempts import NotPayable
from server.policy import PUBLIC, Router
from server.storefront import payers, paying
from server.storefront.order_routes import Owned, closed, owned, show, stage_of, to_order
from server.storefront.paying import Place
from shared import clock
from shared.errors import KamengError, TooMany
from shared.states import OrderState

router = Router()

_log = logging.getLogger("kameng.storefront")


@router.get("/o/{code}/wechat", allow=PUBLIC)
async def ask_payer(request: Request, code: str) -> Response:
    """To WeChat, which says who the buyer is and leads back. Changes nothing here."""
    found = await asyncio.to_thread(owned, request, code)
    if found is None:
        return closed(request)
    ctx, who = context.of(request), policy.actor(request).id
    desk, place = payers.desk(ctx), paying.surroundings(request).place
    if desk is None or who is None or place is not Place.WECHAT or found.state is not OrderState.PENDING_PAYMENT:
        return to_order(found.code)
    address = desk.address(
        back_url=f"{ctx.settings.base_url.rstrip('/')}/o/{found.code}/wechat/back",
        state=payers.state_for(ctx.keys, code=found.code, buyer_id=who, at=clock.now()),
    )
    return RedirectResponse(address, HTTPStatus.SEE_OTHER, headers={"cache-control": "no-store"})


@router.get("/o/{code}/wechat/back", allow=PUBLIC)
async def payer_told(request: Request, code: str) -> Response:
    """Back from WeChat: learn who it is, open the payment for them, and take WeChat's code out of the address."""
    found = await asyncio.to_thread(owned, request, code)
    if found is None:
        return closed(request)
    ctx, who, around = context.of(request), policy.actor(request).id, paying.surroundings(request)
    desk, given = payers.desk(ctx), request.query_params
    if desk is None or who is None or found.state is not OrderState.PENDING_PAYMENT:
        return to_order(found.code)
    if not payers.is_state(ctx.keys, given.get("state", ""), code=found.code, buyer_id=who, at=clock.now()):
        ctx.metrics.denied("payer_state")
        return to_order(found.code)
    try:
        ctx.buckets.take("identify", found.code)
        # Not by way of `channels.call`: this is another host, whose silence says nothing of payments.
        openid = await desk.payer_of(given.get("code", ""))
    except (ChannelRefused, ChannelUnknown, TooMany) as error:
        _log.warning("payer not known", extra={"order": found.code, "why": str(error)})
        return await _scan_instead(request, found)
    payer = replace(around.payer, user_id=openid)
    try:
        await checkout.pay_again(ctx, found.code, payers.CHANNEL, product="jsapi", payer=payer)
        response = to_order(found.code)
    except NotPayable:
        return to_order(found.code)
    except KamengError as refusal:
        response = await show(request, found.code, trouble=refusal)
    payers.remember(request, response, scope=desk.scope, user_id=openid)
    return response


async def _scan_instead(request: Request, found: Owned) -> Response:
    """The code to scan, where nothing was opened for this person before: a reload must not undo what works."""
    if await asyncio.to_thread(stage_of, request, found.code) != "identify":
        return to_order(found.code)
    ctx, payer = context.of(request), paying.surroundings(request).payer
    try:
        await checkout.pay_again(ctx, found.code, payers.CHANNEL, product="qr", payer=payer)
    except NotPayable:
        return to_order(found.code)
    except KamengError as refusal:
        return await show(request, found.code, trouble=refusal)
    return to_order(found.code, "scan")
