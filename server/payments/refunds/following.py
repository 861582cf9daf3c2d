"""A refund at its channel: sent under one number, asked about until its outcome is final, believed when it is told.

Nothing is sent inside a transaction. What was sent and not answered stays `submitted`, is asked about, and sent again
under the same number only when the channel knows of none. "Accepted" is `processing`, never "refunded".
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import func, select

from server.context import Context
from server.db import Tx, retrying
from server.gateways.port import ChannelRefused, ChannelUnknown, CreateRefund, Reason, RefundFact
from server.payments import channels
from server.payments.model import PaymentAttempt, UnmatchedPayment
from server.payments.refunds import actions, hearing, making, moving, rules
from server.payments.refunds.actions import RefundHeard
from server.payments.refunds.model import Refund, RefundEvent
from server.payments.refunds.moving import Held
from shared import clock
from shared.states import RefundState, RefundStep, RefundTrouble, RefundTurn

FOLLOW_SECONDS = 10.0
FOLLOW_MOST = 100
AT_ONCE = 8

ASK_AFTER_MINUTES = (1, 1, 1, 1, 1, 5, 10, 20, 30)
"""How long until the channel is asked next, by how often it was (payments.md 1.1)."""

TOP_UP_MINUTES = 30
"""How long until a refund is tried again for which our balance was too low; a person may be quicker."""

SILENT_HOURS = timedelta(hours=24)
"""How long a refund may be without an answer before people look, as with payments (`ending.ITS_DAY`)."""

_FOR_PEOPLE = frozenset({RefundTrouble.NOT_ENOUGH_BALANCE, RefundTrouble.NOT_OFFERED, RefundTrouble.DIFFERS})
"""Why a refund waits that no time mends."""

_AT_CHANNEL = (RefundState.APPROVED, RefundState.SUBMITTED, RefundState.PROCESSING, RefundState.ABNORMAL)

_KNOWN_THERE = (RefundState.PROCESSING, RefundState.ABNORMAL)

_log = logging.getLogger("kameng.refunds")


def register(ctx: Context) -> None:
    """Wire the commands, the job and the schedule of refunds; called once by `app`."""
    rules.agree(ctx.settings.refund_days_of)
    # One refund posts to the ledger, and the next one would lock stock after it.
    ctx.batch.register(RefundHeard, hearing.hear, rank=15, single=True)
    ctx.jobs.outside(moving.PURSUE, lambda args: asyncio.run(pursue(ctx, UUID(args["refund_id"]))))
    ctx.jobs.every("payments.refunds", FOLLOW_SECONDS, lambda: follow(ctx), apart=True)


# --- what is due ---


def follow(ctx: Context) -> int:
    """Hand on what suppliers did not answer, and ask about every refund that is due; answers how many were."""
    retrying(ctx.db, actions.silence)
    with ctx.db.read() as tx:
        due = (Refund.query_at <= clock.now(), Refund.state.in_([state.value for state in _AT_CHANNEL]))
        found = tx.scalars(select(Refund.id).where(*due).order_by(Refund.query_at).limit(FOLLOW_MOST)).all()
    if found:
        asyncio.run(_pursue_all(ctx, found))
    return len(found)


async def _pursue_all(ctx: Context, refund_ids: Sequence[UUID]) -> None:
    gate = asyncio.Semaphore(AT_ONCE)

    async def quietly(refund_id: UUID) -> None:
        async with gate:
            try:
                await pursue(ctx, refund_id)
            except Exception:  # noqa: BLE001 - one that cannot be followed must not keep the others from it
                _log.exception("left for a later turn", extra={"refund": str(refund_id)})

    async with ctx.outbound:  # connections for this loop
        await asyncio.gather(*(quietly(refund_id) for refund_id in refund_ids))


# --- one refund ---


@dataclass(frozen=True, slots=True)
class Errand:
    """What is to be asked of a channel: first whether it knows the refund, and to make it where it does not.

    `is_known`: it has said that it took the refund on.
    """

    refund_id: UUID
    channel: str
    request: CreateRefund
    asks_first: bool
    may_send: bool
    is_known: bool


async def pursue(ctx: Context, refund_id: UUID) -> None:
    """Take one refund a step on at its channel. Safe to repeat: what is not due does nothing."""
    errand = await asyncio.to_thread(retrying, ctx.db, lambda tx: _prepare(ctx, tx, refund_id))
    if errand is None:
        return
    try:
        fact = await _run(ctx, errand)
    except ChannelUnknown as error:
        _log.warning("channel gave no answer", extra={"what": errand.request.out_refund_no, "error": str(error)})
        await _delay(ctx, errand, RefundTrouble.NO_ANSWER)
    except ChannelRefused as refusal:
        await _refused(ctx, errand, refusal)
    else:
        if fact is not None:
            await _hear(ctx, errand, fact)
        elif errand.is_known:  # it took the refund on, and says that it knows of none: people find out
            await _delay(ctx, errand, RefundTrouble.DIFFERS)
        else:  # it has not come there, and another one of the same payment was sent just now
            await _delay(ctx, errand, RefundTrouble.TOO_SOON)


async def _run(ctx: Context, errand: Errand) -> RefundFact | None:
    """The channel's word: it is asked, and the refund made where it knows of none."""
    fact = await _ask(ctx, errand) if errand.asks_first else None
    if fact is None and errand.may_send:
        fact = await channels.call(ctx, errand.channel, lambda gateway: gateway.refund(errand.request))
    return fact


async def _ask(ctx: Context, errand: Errand) -> RefundFact | None:
    asked = errand.request
    payment = {"out_trade_no": asked.out_trade_no, "provider_no": asked.provider_no}
    return await channels.call(
        ctx, errand.channel, lambda gateway: gateway.query_refund(asked.out_refund_no, **payment)
    )


async def _hear(ctx: Context, errand: Errand, fact: RefundFact) -> None:
    await ctx.batch.submit(RefundHeard(errand.channel, ctx.gateways[errand.channel].merchant_id, fact))


async def _refused(ctx: Context, errand: Errand, refusal: ChannelRefused) -> None:
    """The channel said no: nothing happened now. What earlier requests did is asked before the refund is given up."""
    if refusal.reason_code == Reason.NOT_ENOUGH_BALANCE:
        await _delay(ctx, errand, RefundTrouble.NOT_ENOUGH_BALANCE, minutes=TOP_UP_MINUTES)
        return
    if refusal.reason_code == Reason.PRODUCT_NOT_OFFERED:  # nothing was asked: people make it there, and record it
        await _delay(ctx, errand, RefundTrouble.NOT_OFFERED, minutes=TOP_UP_MINUTES)
        return
    if not errand.may_send:  # it would not even be asked
        await _delay(ctx, errand, RefundTrouble.NO_ANSWER, note=refusal.reason_code)
        return
    if refusal.reason_code == Reason.TOO_OFTEN:
        await _delay(ctx, errand, RefundTrouble.TOO_SOON, note=refusal.reason_code)
        return
    try:
        fact = await _ask(ctx, errand)
    except (ChannelUnknown, ChannelRefused):
        await _delay(ctx, errand, RefundTrouble.NO_ANSWER, note=refusal.reason_code)
        return
    if fact is not None:
        await _hear(ctx, errand, fact)
        return
    await _end(ctx, errand, RefundTrouble.REFUSED, note=refusal.reason_code)


async def _end(ctx: Context, errand: Errand, trouble: RefundTrouble, *, note: str = "") -> None:
    await asyncio.to_thread(retrying, ctx.db, lambda tx: _give_up(tx, errand, trouble, note))


def _give_up(tx: Tx, errand: Errand, trouble: RefundTrouble, note: str) -> None:
    held = moving.lock(tx, errand.refund_id)
    if held.refund.state == RefundState.SUBMITTED:
        moving.close(tx, held, RefundStep.CLOSED, actor=f"channel:{errand.channel}", trouble=trouble, note=note)
        hearing.raise_stuck(tx, held, trouble, said=note)


async def _delay(
    ctx: Context, errand: Errand, trouble: RefundTrouble, *, minutes: int | None = None, note: str = ""
) -> None:
    """Note why a refund waits; the next turn was planned before the channel was asked."""
    await asyncio.to_thread(retrying, ctx.db, lambda tx: _note(tx, errand, trouble, minutes, note))


def _note(tx: Tx, errand: Errand, trouble: RefundTrouble, minutes: int | None, note: str) -> None:
    held = moving.lock(tx, errand.refund_id)
    if held.refund.state not in {RefundState.SUBMITTED, RefundState.PROCESSING}:
        return
    again: dict[str, Any] = {}
    if minutes is not None:
        again["query_at"] = clock.now() + timedelta(minutes=minutes)
    if trouble is RefundTrouble.NOT_OFFERED and held.refund.trouble != trouble:
        again |= moving.hand_to(RefundTurn.SHOP)
    if held.refund.trouble != trouble:
        step = RefundStep.DELAYED
        moving.advance(tx, held, step, actor=f"channel:{errand.channel}", note=note, trouble=trouble.value, **again)
    elif again:
        held.refund.query_at = again["query_at"]
    sent_at = held.refund.submitted_at or clock.now()
    if trouble in _FOR_PEOPLE or sent_at + SILENT_HOURS <= clock.now():
        hearing.raise_stuck(tx, held, trouble, said=note)


# --- before the channel is asked ---


def _prepare(ctx: Context, tx: Tx, refund_id: UUID) -> Errand | None:
    """Decide under lock what to ask, note that it is being asked, and plan the next turn, before anything is sent.

    The channel's own rules are applied here once more: while a refund waits, time passes and others are sent.
    """
    held = moving.lock_all(tx, [refund_id]).get(refund_id)
    now = clock.now()
    if held is None or held.refund.query_at is None or held.refund.query_at > now:
        return None
    refund = held.refund
    is_first = refund.state == RefundState.APPROVED
    if refund.channel not in ctx.gateways:
        _wait(tx, held, RefundTrouble.CHANNEL_GONE, until=now + timedelta(minutes=TOP_UP_MINUTES))
        hearing.raise_stuck(tx, held, RefundTrouble.CHANNEL_GONE)
        return None
    source = _source(tx, refund)
    earliest, forbidden = _limits(tx, refund, paid_at=source.paid_at or now, now=now)
    if is_first and forbidden is not None:
        moving.close(tx, held, RefundStep.CLOSED, actor="system", trouble=forbidden)
        hearing.raise_stuck(tx, held, forbidden)
        return None
    is_early = earliest is not None and earliest > now
    if is_first and is_early:
        _wait(tx, held, RefundTrouble.TOO_SOON, until=earliest)
        return None
    if is_first and ctx.breakers.is_open(refund.channel):  # it would not be sent: nothing says that it was
        _wait(tx, held, RefundTrouble.NO_ANSWER, until=now + timedelta(minutes=ASK_AFTER_MINUTES[0]))
        return None
    _plan(tx, held, is_first=is_first, now=now)
    return Errand(
        refund_id=refund.id,
        channel=refund.channel,
        request=_request(ctx, refund, source),
        asks_first=not is_first,
        may_send=is_first or (refund.state == RefundState.SUBMITTED and not is_early),
        is_known=refund.state in _KNOWN_THERE,
    )


def _limits(
    tx: Tx, refund: Refund, *, paid_at: datetime, now: datetime
) -> tuple[datetime | None, RefundTrouble | None]:
    """When the channel takes the next request of this payment, and why it never would."""
    limits = rules.limits_of(refund.channel)
    made, last = making.requests_of(tx, refund.channel, refund.out_trade_no, but=refund.id)
    forbidden = None
    try:
        limits.require(paid_at=paid_at, now=now, made=made)
    except rules.RefundTooLate:
        forbidden = RefundTrouble.TOO_LATE
    except rules.TooManyRefunds:
        forbidden = RefundTrouble.TOO_MANY
    return limits.earliest(last), forbidden


def _plan(tx: Tx, held: Held, *, is_first: bool, now: datetime) -> None:
    refund = held.refund
    wait = ASK_AFTER_MINUTES[min(refund.queries, len(ASK_AFTER_MINUTES) - 1)]
    refund.query_at, refund.queries = now + timedelta(minutes=wait), refund.queries + 1
    if is_first:
        moving.advance(
            tx,
            held,
            RefundStep.SUBMITTED,
            actor="system",
            to=RefundState.SUBMITTED,
            submitted_at=now,
            trouble=None,
        )
    tx.flush()


def _wait(tx: Tx, held: Held, trouble: RefundTrouble, *, until: datetime | None) -> None:
    if held.refund.trouble != trouble:
        moving.advance(tx, held, RefundStep.DELAYED, actor="system", trouble=trouble.value, query_at=until)
    else:
        held.refund.query_at = until
        tx.flush()
        if _waits_since(tx, held.refund) + SILENT_HOURS <= clock.now():
            hearing.raise_stuck(tx, held, trouble)


def _waits_since(tx: Tx, refund: Refund) -> datetime:
    """When it last took a step: to wait for what it waits for."""
    last = tx.scalar(select(func.max(RefundEvent.at)).where(RefundEvent.refund_id == refund.id))
    return last or clock.now()


def _source(tx: Tx, refund: Refund) -> PaymentAttempt | UnmatchedPayment:
    """The money it gives back, or a part of it."""
    if refund.unmatched_id is not None:
        return tx.get_one(UnmatchedPayment, refund.unmatched_id)
    return tx.get_one(PaymentAttempt, refund.attempt_id)


def _request(ctx: Context, refund: Refund, source: PaymentAttempt | UnmatchedPayment) -> CreateRefund:
    """The same bytes each time: the numbers, the amounts and the words never change."""
    return CreateRefund(
        out_refund_no=refund.out_refund_no,
        out_trade_no=refund.out_trade_no,
        amount_fen=refund.amount_fen,
        reason=f"订单 {refund.order_code} 退款" if refund.order_code else "退款",
        total_fen=source.amount_fen,
        provider_no=source.provider_no if isinstance(source, UnmatchedPayment) else None,
        notify_url=f"{ctx.settings.base_url.rstrip('/')}/pay/{refund.channel}/notify",
    )
