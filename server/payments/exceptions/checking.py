"""Asking the channel about what people confirm: before it is booked, and again where it has not said so since.

What people have seen counts where the channel cannot be asked. Where it answers, its answer counts.
"""

from __future__ import annotations

import asyncio
from functools import partial
from uuid import UUID

from sqlalchemy import select

from server.context import Context
from server.db import Tx, retrying
from server.gateways.port import ChannelRefused, ChannelUnknown, PaymentFact
from server.payments import applying, channels, confirmed
from server.payments.exceptions import raising
from server.payments.model import PaymentAttempt, PaymentException
from server.policy import Actor
from shared.contracts.payments import ApproveAction
from shared.errors import Conflict
from shared.states import AttemptState, ExceptionAction, ExceptionState, FoundBy


class ChannelAnswered(Conflict):
    """The channel says what became of the payment: nobody needs to confirm it."""

    code = "channel_answered"
    zh = "没有按人工确认入账：渠道刚刚给出了结果（{answer}），以渠道为准。请刷新后再看。"
    en = "It was not booked as confirmed: the channel has just answered ({answer}), and its word counts. Reload."


async def before(ctx: Context, exception_id: UUID, body: ApproveAction, *, actor: Actor) -> None:
    """Ask the channel about a payment whose confirmation is about to be approved; what it says is applied.

    Raises ChannelAnswered. A channel that is silent, or refuses to say, stands in nobody's way.
    """
    attempt = await asyncio.to_thread(_to_be_confirmed, ctx, exception_id, body, actor)
    if attempt is None:
        return
    try:
        fact = await channels.call(ctx, attempt.channel, lambda gateway: gateway.query(attempt.out_trade_no))
    except (ChannelUnknown, ChannelRefused):
        return
    if fact is not None and fact.state == "paid":
        await applying.apply(ctx, fact, FoundBy.PAGE)
    raise ChannelAnswered(answer=_answer(fact))


def _to_be_confirmed(ctx: Context, exception_id: UUID, body: ApproveAction, actor: Actor) -> PaymentAttempt | None:
    """The payment, where this person may say yes to it as it was seen; all else the approval itself refuses."""
    proposed = (
        PaymentException.id == exception_id,
        PaymentException.version == body.version,
        PaymentException.state == ExceptionState.PROPOSED.value,
        PaymentException.action == ExceptionAction.CONFIRM.value,
        PaymentException.proposed_by != actor.label,
        PaymentAttempt.state != AttemptState.PAID.value,
    )
    query = select(PaymentAttempt).join(PaymentException, PaymentException.attempt_id == PaymentAttempt.id)
    with ctx.db.read() as tx:
        return tx.scalars(query.where(*proposed)).first() if body.approved else None


def afterwards(ctx: Context, attempt_id: UUID) -> None:
    """The job behind a confirmation: ask where neither notification nor bill has named the payment, or tell people.

    Safe to repeat.
    """
    attempt = _unheard(ctx, attempt_id)
    if attempt is None:
        return
    try:
        fact = asyncio.run(channels.call(ctx, attempt.channel, lambda gateway: gateway.query(attempt.out_trade_no)))
    except (ChannelUnknown, ChannelRefused) as error:
        answer = str(error)
    else:
        answer = _answer(fact)
        if fact is not None and fact.state == "paid":
            applying.call(ctx, fact, FoundBy.SWEEP)
    if _unheard(ctx, attempt_id) is not None:  # another amount is not what was confirmed
        retrying(ctx.db, partial(_tell, attempt=attempt, answer=answer))


def _unheard(ctx: Context, attempt_id: UUID) -> PaymentAttempt | None:
    with ctx.db.read() as tx:
        attempt = tx.get_one(PaymentAttempt, attempt_id)
    return attempt if confirmed.is_unheard(attempt) else None


def _tell(tx: Tx, attempt: PaymentAttempt, answer: str) -> None:
    more = [
        ("found_by", FoundBy.PERSON.value),
        ("confirmed_as", attempt.provider_no),
        ("paid_at", attempt.paid_at),
        ("channel_answer", answer),
    ]
    raising.once(tx, raising.unknown(attempt, "unheard", more=more))


def _answer(fact: PaymentFact | None) -> str:
    return "NOT_FOUND" if fact is None else fact.state
