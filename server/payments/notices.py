"""What channels tell: verified over the raw bytes, kept, applied, committed, and only then acknowledged.

What nobody we know signed, or nobody can read, changes nothing; it is kept as evidence, as much of it as somebody who
floods us cannot fill a disk with, and a burst of it is told to people.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import func, select

from server import jobs
from server.context import Context
from server.db import Tx, retrying
from server.gateways.port import BadSignature, Gateway, MalformedNotice, NoticeReply, RefundFact, UnopenableNotice
from server.payments import callbacks
from server.payments.actions import ApplyPayment
from server.payments.callbacks import Kept, RawCallback
from server.payments.exceptions import raising
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
    def raw(self) -> RawCallback:
        """As it is kept, once by its body."""
        return RawCallback(self.digest, self.evidence, self.body)

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
        if await asyncio.to_thread(_is_late_repeat, ctx, told, refusal):
            return gateway.accepted()
        await asyncio.to_thread(_reject, ctx, told, refusal)
        raise
    raw = told.raw
    known = f"{told.channel} {raw.digest}"
    if known in ctx.told:
        return gateway.accepted()  # channels tell ten times: what was committed here needs no database
    command: ApplyPayment | RefundHeard
    if isinstance(fact, RefundFact):
        command = RefundHeard(told.channel, gateway.merchant_id, fact, raw)
    elif gateway.notice_is_proof:
        command = ApplyPayment.of(gateway, fact, FoundBy.CALLBACK, raw)
    else:
        await asyncio.to_thread(_defer, ctx, Kept(told.channel, raw, fact.out_trade_no, fact.event_id), None)
        return gateway.accepted()
    try:
        await ctx.batch.submit(command)
    except Busy:
        raise  # nothing was tried: the channel tells again
    except Exception:  # noqa: BLE001 - whatever broke, signed bytes are kept before they are acknowledged
        _log.exception("notification could not be applied; kept for later", extra={"channel": told.channel})
        refund_no = fact.out_refund_no if isinstance(fact, RefundFact) else None
        await asyncio.to_thread(_defer, ctx, Kept(told.channel, raw, fact.out_trade_no, fact.event_id), refund_no)
    else:
        ctx.told.note(known)
    return gateway.accepted()


# --- kept, and asked about ---


def _defer(ctx: Context, kept: Kept, out_refund_no: str | None) -> None:
    def keep(tx: Tx) -> None:
        callbacks.defer(tx, kept)
        digest = kept.raw.digest
        args = {"out_trade_no": kept.out_trade_no, "channel": kept.channel, "digest": digest}
        if out_refund_no is not None:
            args["out_refund_no"] = out_refund_no
        jobs.enqueue(tx, RECHECK, args, key=f"{RECHECK}:{digest}")

    retrying(ctx.db, keep)
    ctx.jobs.wake()


def recheck(ctx: Context, *, out_trade_no: str, channel: str, digest: str, out_refund_no: str | None = None) -> None:
    """The job behind a kept notification: the channel is asked, and its answer applied. Safe to repeat.

    Not through the breaker: a channel that is away makes the job come again, which is what is wanted.
    """
    gateway = ctx.gateways[channel]
    if out_refund_no is None:
        confirmed = _ask_payment(ctx, gateway, out_trade_no)
    else:
        confirmed = _ask_refund(ctx, gateway, out_refund_no, out_trade_no)
    retrying(ctx.db, lambda tx: callbacks.settle(tx, channel, digest, confirmed=confirmed))


def _ask_payment(ctx: Context, gateway: Gateway, out_trade_no: str) -> bool:
    fact = asyncio.run(gateway.query(out_trade_no))
    if fact is None or fact.state != "paid":
        return False
    ctx.batch.call(ApplyPayment.of(gateway, fact, FoundBy.CALLBACK))
    return True


def _ask_refund(ctx: Context, gateway: Gateway, out_refund_no: str, out_trade_no: str) -> bool:
    fact = asyncio.run(gateway.query_refund(out_refund_no, out_trade_no=out_trade_no))
    if fact is None:
        return False
    ctx.batch.call(RefundHeard(gateway.channel, gateway.merchant_id, fact))
    return True


# --- refused ---


def _is_late_repeat(ctx: Context, told: Told, refusal: KamengError) -> bool:
    """Whether an old notification that the channel really signed is about what was taken before."""
    if not isinstance(refusal, BadSignature) or refusal.reason != "stale":
        return False
    with ctx.db.read() as tx:
        return callbacks.is_known(tx, told.channel, digest=told.digest, event_id=_event_of(told.body))


def _event_of(body: bytes) -> str | None:
    try:
        content = json.loads(body)
    except ValueError:
        return None
    named = (content.get(name) for name in _EVENT_NAMES) if isinstance(content, dict) else ()
    return next((name for name in named if isinstance(name, str)), None)


def _reject(ctx: Context, told: Told, refusal: KamengError) -> None:
    """Count it, keep it if there is room, and tell people of a burst. A probe is only counted."""
    reason = refusal.reason if isinstance(refusal, BadSignature) else refusal.code
    ctx.metrics.denied(f"notice_{reason}")
    if reason == "probe":
        return
    is_burst = isinstance(refusal, UnopenableNotice) or _overflows(ctx, _BURSTS.get(reason, "bad_signatures"), told)
    has_room = not _overflows(ctx, "rejected_address", told) and not _overflows(ctx, "rejected_channel", told)
    if not is_burst and not has_room:
        return

    def write(tx: Tx) -> None:
        if has_room:
            digest = hashlib.sha256(b"rejected" + told.evidence + told.body).hexdigest()
            raw = RawCallback(digest, told.evidence[:KEPT_BYTES], told.body[:KEPT_BYTES])
            callbacks.reject(tx, Kept(told.channel, raw, "", reason=reason))
        if is_burst:
            _alarm(ctx, tx, told.channel, reason)

    retrying(ctx.db, write)


def _overflows(ctx: Context, limit: str, told: Told) -> bool:
    try:
        ctx.buckets.take(limit, told.network if limit == "rejected_address" else told.channel)
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
    told = raising.Raised(
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
    raising.write(tx, [told])
    _log.error("notifications refused", extra={"channel": channel, "reason": reason, "counts": counts})
