"""Who pays inside WeChat: what the buyer's browser carries there and back, and what it keeps.

The openid is personal data: no table of ours has it. It stands in a cookie of the device that it belongs to, sealed
for this device and this application. `state` names one order of one device for ten minutes, so that nobody can be led
into a payment that somebody else began.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import re
from datetime import datetime, timedelta
from uuid import UUID

from starlette.requests import Request
from starlette.responses import Response

from server import context, policy
from server.context import Context
from server.crypto import KeyRing, SecretUnreadable
from server.gateways.port import PayerDesk
from shared import clock

CHANNEL = "wechat"
KEPT_FOR, STATE_LIVES_FOR = timedelta(days=30), timedelta(minutes=10)

_PURPOSE = "payer"
_STATE = re.compile(r"([0-9a-f]{8})([0-9a-f]{32})")
_KEPT = re.compile(r"([0-9]{1,12}) (\S{1,64}) (\S{1,128})")


def desk(ctx: Context) -> PayerDesk | None:
    """Who can tell; None where the channel has no secret to ask with."""
    gateway = ctx.gateways.get(CHANNEL)
    return gateway.payers if gateway else None


# --- what the browser keeps ---


def _cookie(request: Request) -> str:
    return "__Host-payer" if context.of(request).settings.is_https else "payer"


def known(request: Request) -> str | None:
    """The openid that this device brings along. None for another device's, another application's, an old one."""
    ctx, who, value = context.of(request), policy.actor(request).id, request.cookies.get(_cookie(request))
    asked = desk(ctx)
    if value is None or who is None or asked is None:
        return None
    try:
        sealed = base64.urlsafe_b64decode(value.encode())
        kept = _KEPT.fullmatch(ctx.keys.open_small(_PURPOSE, who.bytes, sealed).decode())
    except (SecretUnreadable, binascii.Error, ValueError):
        return None
    if kept is None or kept[2] != asked.scope or int(kept[1]) + KEPT_FOR.total_seconds() < clock.now().timestamp():
        return None
    return kept[3]


def remember(request: Request, response: Response, *, scope: str, user_id: str) -> None:
    """Let the device keep its openid, so that the next order asks WeChat nothing."""
    ctx, who = context.of(request), policy.actor(request).id
    assert who is not None, "an order of theirs was found"
    text = f"{int(clock.now().timestamp())} {scope} {user_id}"
    response.set_cookie(
        _cookie(request),
        base64.urlsafe_b64encode(ctx.keys.seal_small(_PURPOSE, who.bytes, text.encode())).decode(),
        max_age=int(KEPT_FOR.total_seconds()),
        secure=ctx.settings.is_https,
        httponly=True,
        samesite="lax",
    )


# --- what it carries ---


def state_for(keys: KeyRing, *, code: str, buyer_id: UUID, at: datetime) -> str:
    """What WeChat gives back unchanged: the time, and that we made it for this order of this device."""
    return _signed(keys, f"{int(at.timestamp()):08x}", code, buyer_id)


def is_state(keys: KeyRing, given: str, *, code: str, buyer_id: UUID, at: datetime) -> bool:
    """Whether we made it for this order of this device, a moment ago. What others made is not read."""
    parts = _STATE.fullmatch(given)
    if parts is None or not hmac.compare_digest(_signed(keys, parts[1], code, buyer_id), given):
        return False
    age = at - datetime.fromtimestamp(int(parts[1], 16), at.tzinfo)
    return timedelta(minutes=-1) <= age <= STATE_LIVES_FOR


def _signed(keys: KeyRing, seconds: str, code: str, buyer_id: UUID) -> str:
    return seconds + keys.mac("payer state", f"{seconds} {code} {buyer_id.hex}".encode())[:16].hex()
