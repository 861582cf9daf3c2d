"""What channels tell: verified over the raw bytes, kept, applied, committed, and only then acknowledged.

What nobody we know signed, or nobody can read, changes nothing; it is kept as evidence, as much of it as somebody who
floods us cannot fill a disk with, and a burst of it is told to people.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from sqlalchemy import func, select

from server import jobs
from server.context import Context
from server.db import Tx, retrying
from server.gateways.port import (
    BadSignature,
    Gateway,
    MalformedNotice,
    NoticeReply,
    PaymentFact,
    RefundFact,
    UnopenableNotice,
)
from server.gateways.wire import is_our_number
from server.payments import applying, callbacks, channels
from server.payments.actions import ApplyPayment
from server.payments.callbacks import Kept
from server.payments.exceptions import raising
from server.payments.exceptions.raising import Raised
from server.payments.model import PaymentCallback
from server.payments.refunds.actions import RefundHeard
from shared import clock
from shared.errors import Busy, KamengError, NotFound, TooMany
from shared.states import CallbackState, ExceptionKind, FoundBy

RECHECK = "payments.recheck"
"""The job behind a kept notification: its channel is asked."""

KEPT_BYTES = 4_096
"""How much of a rejected notification is kept."""

_EVENT_NAMES = ("id", "event_id")
"""Where a notification that really is the channel's has its own name."""

_BURSTS = {"stale": "stale_notices"}

_log = logging.getLogger("kameng.payments")


@dataclass(frozen=True, slots=True)
class Told:
    """One notification: which channel's address it came to, from which network, and its bytes."""

    channel: str
    headers: Mapping[str, str]
    body: bytes
    network: str = ""

    @property
    def digest(self) -> str:
        """What it is recognised by: its body. Each repeat is signed anew."""
        return hashlib.sha256(self.body).hexdigest()

    @property
    def evidence(self) -> bytes:
        """The headers worth keeping with the bytes: the channel's own, not cookies or addresses."""
        return json.dumps({name: value for name, value in self.headers.items() if _is_evidence(name)}).encode()


def _is_evidence(name: str) -> bool:
    return any(word in name.lower() for word in ("signature", "timestamp", "nonce", "serial", "content-type"))


async def take(ctx: Context, told: Told) -> NoticeReply:
    """A channel's notification, and the exact answer it expects; what it hears as accepted was committed before.

    Raises NotFound for an unknown channel, BadSignature or MalformedNotice for what the channel did not sign or this
    version cannot read, Busy when nothing was tried.
    """
    gateway = ctx.gateways.get(told.channel)
    if gateway is None:
        raise NotFound
    try:
        fact = gateway.verify_notify(told.headers, told.body)
    except (BadSignature, MalformedNotice) as refusal:
        if _is_stale(refusal) and await asyncio.to_thread(_was_taken, ctx, told):
            return gateway.accepted()
        await _reject(ctx, told, refusal)
        raise
    # Channels tell ten times, often at once: what was committed here, or is about to be, needs no database.
    await ctx.told.once(f"{told.channel} {told.digest}", partial(_take, ctx, gateway, told, fact))
    return gateway.accepted()


async def _take(ctx: Context, gateway: Gateway, told: Told, fact: PaymentFact | RefundFact) -> bool:
    """Apply what a channel signed, or keep it for later: in any case committed. Whether it was applied."""
    raw = callbacks.sealed(ctx.keys, told.digest, told.evidence, told.body)
    command: ApplyPayment | RefundHeard
    if isinstance(fact, RefundFact):
        command = RefundHeard(told.channel, gateway.merchant_id, fact, raw)
    elif gateway.notice_is_proof:
        command = ApplyPayment.of(gateway, fact, FoundBy.CALLBACK, raw)
    else:
        await asyncio.to_thread(_defer, ctx, Kept(told.channel, raw, fact.out_trade_no, fact.event_id))
        return False
    try:
        await ctx.batch.submit(command)
    except Busy:
        raise  # nothing was tried: the channel tells again
    except Exception as error:  # noqa: BLE001 - whatever broke, signed bytes are kept before they are acknowledged
        _log.exception("notification could not be applied; kept for later", extra={"channel": told.channel})
        kept = Kept(told.channel, raw, fact.out_trade_no, fact.event_id)
        if isinstance(fact, RefundFact):
            await asyncio.to_thread(_defer, ctx, kept, out_refund_no=fact.out_refund_no)
        else:
            await asyncio.to_thread(_defer, ctx, kept, doubt=(fact, error))
        return False
    return True


# --- kept, and asked about ---


def _defer(
    ctx: Context,
    kept: Kept,
    *,
    out_refund_no: str | None = None,
    doubt: tuple[PaymentFact, Exception] | None = None,
) -> None:
    def keep(tx: Tx) -> None:
        callbacks.defer(tx, kept)
        if doubt is not None and doubt[0].state == "paid":
            applying.not_applied(tx, doubt[0], FoundBy.CALLBACK, doubt[1])
        digest = kept.raw.digest
        args = {"out_trade_no": kept.out_trade_no, "channel": kept.channel, "digest": digest}
        if out_refund_no is not None:
            args["out_refund_no"] = out_refund_no
        jobs.enqueue(tx, RECHECK, args, key=f"{RECHECK}:{digest}")

    retrying(ctx.db, keep)
    ctx.jobs.wake()


def recheck(ctx: Context, *, out_trade_no: str, channel: str, digest: str, out_refund_no: str | None = None) -> None:
    """The job behind a kept notification: the channel is asked, and its answer applied. Safe to repeat.

    A channel that is away makes the job come again, without waiting for it each time.
    """
    if not is_our_number(out_trade_no):
        confirmed = False  # nothing that could be asked about
    elif out_refund_no is None:
        confirmed = _ask_payment(ctx, channel, out_trade_no)
    else:
        confirmed = _ask_refund(ctx, channel, out_refund_no, out_trade_no)

    def settle(tx: Tx) -> None:
        callbacks.settle(tx, channel, digest, confirmed=confirmed)
        if not is_our_number(out_trade_no):
            raising.once(tx, _of_another_shop(channel, out_trade_no))

    retrying(ctx.db, settle)


def _ask_payment(ctx: Context, channel: str, out_trade_no: str) -> bool:
    fact = asyncio.run(channels.call(ctx, channel, lambda gateway: gateway.query(out_trade_no)))
    if fact is None or fact.state != "paid":
        return False
    applying.call(ctx, fact, FoundBy.CALLBACK)
    return True


def _ask_refund(ctx: Context, channel: str, out_refund_no: str, out_trade_no: str) -> bool:
    def ask(gateway: Gateway) -> Awaitable[RefundFact | None]:
        return gateway.query_refund(out_refund_no, out_trade_no=out_trade_no)

    fact = asyncio.run(channels.call(ctx, channel, ask))
    if fact is None:
        return False
    ctx.batch.call(RefundHeard(channel, ctx.gateways[channel].merchant_id, fact))
    return True


def _of_another_shop(channel: str, out_trade_no: str) -> Raised:
    """Told with our merchant's key about a number that we never make: no channel can be asked about it by us."""
    return Raised(
        kind=ExceptionKind.UNKNOWN_PAYMENT,
        cause=f"{channel}:{out_trade_no}",
        channel=channel,
        out_trade_no=out_trade_no,
        at=clock.now(),
        evidence=[("out_trade_no", out_trade_no)],
    )


# --- refused ---


def _is_stale(refusal: KamengError) -> bool:
    """Whether the channel really signed it, long ago."""
    return isinstance(refusal, BadSignature) and refusal.reason == "stale"


def _was_taken(ctx: Context, told: Told) -> bool:
    """Whether this notification, or its event, was taken before."""
    with ctx.db.read() as tx:
        return callbacks.is_known(tx, told.channel, digest=told.digest, event_id=_event_of(told.body))


def _event_of(body: bytes) -> str | None:
    try:
        content = json.loads(body)
    except ValueError:
        return None
    named = (content.get(name) for name in _EVENT_NAMES) if isinstance(content, dict) else ()
    return next((name for name in named if isinstance(name, str)), None)


async def _reject(ctx: Context, told: Told, refusal: KamengError) -> None:
    """Count it, keep it if there is room, and tell people of a burst. A probe is only counted.

    Whoever floods us costs us neither the writer nor a thread: what happens in memory decides whether anything does.
    """
    reason = refusal.reason if isinstance(refusal, BadSignature) else refusal.code
    ctx.metrics.denied(f"notice_{reason}")
    if reason == "probe":
        return
    is_unopenable = isinstance(refusal, UnopenableNotice)
    trouble = UnopenableNotice.code if is_unopenable else _BURSTS.get(reason, "bad_signatures")
    is_burst = is_unopenable or _overflows(ctx, trouble, told.channel)
    is_alarm = is_burst and not _overflows(ctx, "notice_alarm", f"{told.channel}:{trouble}")
    has_room = not _overflows(ctx, "rejected_address", told.network)
    has_room = has_room and not _overflows(ctx, "rejected_channel", told.channel)
    if not is_alarm and not has_room:
        return

    def write(tx: Tx) -> None:
        if has_room:
            digest = hashlib.sha256(b"rejected" + told.evidence + told.body).hexdigest()
            raw = callbacks.sealed(ctx.keys, digest, told.evidence[:KEPT_BYTES], told.body[:KEPT_BYTES])
            callbacks.reject(tx, Kept(told.channel, raw, "", reason=reason))
        if is_alarm:
            _alarm(ctx, tx, told.channel, reason)

    await asyncio.to_thread(retrying, ctx.db, write)


def _overflows(ctx: Context, limit: str, whose: str) -> bool:
    try:
        ctx.buckets.take(limit, whose)
    except TooMany:
        return True
    return False


def _alarm(ctx: Context, tx: Tx, channel: str, reason: str) -> None:
    """Tell people, once an hour for a channel and kind of trouble, with what was refused in the last hour."""
    now = clock.now()
    refused = (
        select(PaymentCallback.reason, func.count())
        .where(
            PaymentCallback.channel == channel,
            PaymentCallback.state == CallbackState.REJECTED.value,
            PaymentCallback.received_at >= now - timedelta(hours=1),
        )
        .group_by(PaymentCallback.reason)
    )
    counts = {str(why): n for why, n in tx.execute(refused)}
    told = Raised(
        kind=ExceptionKind.BAD_SIGNATURES,
        cause=f"{channel}:{now:%Y%m%d%H}:{_BURSTS.get(reason, reason if reason == UnopenableNotice.code else 'bad')}",
        channel=channel,
        out_trade_no="-",
        at=now,
        evidence=[
            ("reason", reason),
            *((f"count_{why}", n) for why, n in sorted(counts.items())),
            ("clock_off_seconds", ctx.health.clock_off_from(channel)),
        ],
    )
    raising.once(tx, told)
    _log.error("notifications refused", extra={"channel": channel, "reason": reason, "counts": counts})
