"""The payment channels: which take new payments, which do not answer, and switching one."""

from __future__ import annotations

from pydantic import TypeAdapter

from desktop.engine.engine import Engine
from desktop.engine.transport import Call
from desktop.operations.once import send_once
from desktop.operations.seen import Seen, look
from shared.contracts.base import Page
from shared.contracts.payments import Channel, SwitchChannel

_CHANNELS: TypeAdapter[list[Channel]] = TypeAdapter(list[Channel])


async def list_channels(engine: Engine) -> Seen[Page[Channel]]:
    """All of them, as one page."""
    seen = await look(engine, list_name="channels", call=Call("GET", "/api/channels"), answer=_CHANNELS)
    return Seen(value=Page(items=seen.value, next=None), as_of=seen.as_of, live=seen.live)


async def switch(engine: Engine, channel: Channel, *, enabled: bool, reason: str) -> Channel:
    """Take new payments through it, or not; what is open there goes on. Raises what `send_once` does."""
    body = SwitchChannel(enabled=enabled, reason=reason, version=channel.version)
    done = await send_once(engine, Call("PUT", f"/api/channels/{channel.code}", body=body), Channel)
    engine.announce("channel", initiator="channel.switch")
    return done
