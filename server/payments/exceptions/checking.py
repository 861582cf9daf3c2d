"""Asking the channel about what people confirm or record: before it is booked, and again where it was silent since.

What people have seen counts where the channel cannot be asked. Where it answers, its answer counts.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Collection
from dataclasses import dataclass
from functools import partial
from typing import Literal
from uuid import UUID

from sqlalchemy import select

from server.context import Context
from server.db import Tx, retrying
from server.gateways.port import ChannelRefused, ChannelUnknown, PaymentFact
from server.payments import applying, channels, confirmed
from server.payments.exceptions import choosing, raising
from server.payments.model import PaymentAttempt, PaymentException, UnmatchedPayment
from server.payments.refunds import totals
from server.payments.refunds.actions import RefundHeard
from server.payments.refunds.model import Refund
from server.policy import Actor
from shared.contracts.payments import ApproveAction
from shared.errors import Conflict
from shared.money import Fen
from shared.states import AttemptState, ExceptionAction, ExceptionState, FoundBy, RefundState

BEGUN = frozenset({"processing", "succeeded"})
"""What a channel says of a refund that it has begun, as its own bill has it."""


class ChannelAnswered(Conflict):
    """The channel says what became of the payment, or of the refund: nobody needs to say it."""

    code = "channel_answered"
    zh = "没有按人工确认入账：渠道刚刚给出了结果（{answer}），以渠道为准。请刷新后再看。"
    en = "It was not booked as confirmed: the channel has just answered ({answer}), and its word counts. Reload."


@dataclass(frozen=True, slots=True)
class RefundNamed:
    """A refund that somebody says the channel began: what of its own word has to be the same.

    `refund_no` is the channel's number of it as people say it, if they do: where the channel gives refunds none of
    their own it may be anything.
    """

    channel: str
    out_refund_no: str
    out_trade_no: str
    provider_no: str | None
    amount_fen: Fen | None
    refund_no: str | None = None


@dataclass(frozen=True, slots=True)
class _About:
    """What the channel has a word on, of what is about to be approved."""

    attempt: PaymentAttempt | None = None
    refund: Refund | None = None
    unknown: RefundNamed | None = None
    money: UnmatchedPayment | None = None
    given_back: UnmatchedPayment | None = None


async def before(ctx: Context, exception_id: UUID, body: ApproveAction, *, actor: Actor) -> None:
    """Ask the channel about what is about to be approved: a payment that people confirm, a refund of ours that they
    made otherwise, one that nobody here knew, money of a bill that is to buy goods or to go back, and money that it is
    said to have given back. What it says of ours is applied.

    Raises ChannelAnswered. A channel that is silent, or refuses to say, stands in nobody's way.
    """
    about = await asyncio.to_thread(_to_be_asked, ctx, exception_id, body, actor)
    if about.refund is not None:
        await _ask_for_refund(ctx, about.refund)
    if about.unknown is not None:
        await _ask_for_unknown(ctx, about.unknown)
    if about.money is not None:
        await _ask_for_money(ctx, about.money, "paid")
    if about.given_back is not None:
        await _ask_for_money(ctx, about.given_back, "refunded")
    attempt = about.attempt
    if attempt is None:
        return
    try:
        fact = await channels.call(ctx, attempt.channel, lambda gateway: gateway.query(attempt.out_trade_no))
    except (ChannelUnknown, ChannelRefused):
        return
    if fact is not None and fact.state == "paid":
        await applying.apply(ctx, fact, FoundBy.PAGE)
    raise ChannelAnswered(answer=_answer(fact))


async def _ask_for_refund(ctx: Context, refund: Refund) -> None:
    """Raise ChannelAnswered where a refund got on that was abnormal, or was said not to have arrived."""
    number, payment = refund.out_refund_no, refund.out_trade_no
    try:
        fact = await channels.call(
            ctx, refund.channel, lambda gateway: gateway.query_refund(number, out_trade_no=payment)
        )
    except (ChannelUnknown, ChannelRefused):
        return
    is_abnormal = refund.state == RefundState.ABNORMAL
    if fact is not None and (fact.state == "succeeded" or (is_abnormal and fact.state != refund.state)):
        await ctx.batch.submit(RefundHeard(refund.channel, ctx.gateways[refund.channel].merchant_id, fact))
        raise ChannelAnswered(answer=fact.state)


async def _ask_for_unknown(ctx: Context, named: RefundNamed) -> None:
    """Raise ChannelAnswered where the channel has not begun that refund, or says other things of it."""
    try:
        unlike = await said_otherwise(ctx, named)
    except (ChannelUnknown, ChannelRefused):
        return
    if unlike is not None:
        raise ChannelAnswered(answer=unlike)


async def said_otherwise(ctx: Context, named: RefundNamed, outcomes: Collection[str] = BEGUN) -> str | None:
    """What the channel says of a refund where that is not what is said here; None where it is the same.

    Raises ChannelUnknown and ChannelRefused.
    """
    its = {"out_trade_no": named.out_trade_no, "provider_no": named.provider_no}
    fact = await channels.call(ctx, named.channel, lambda gateway: gateway.query_refund(named.out_refund_no, **its))
    if fact is None:
        return "NOT_FOUND"
    is_its_own = (fact.out_trade_no, fact.amount_fen) == (named.out_trade_no, named.amount_fen)
    has_its_number = named.refund_no in {None, fact.refund_no} or fact.refund_no == named.provider_no
    if is_its_own and has_its_number and fact.state in outcomes:
        return None
    return f"{fact.state} {fact.refund_no} {fact.out_trade_no} {fact.amount_fen}"


async def _ask_for_money(ctx: Context, money: UnmatchedPayment, state: Literal["paid", "refunded"]) -> None:
    """Raise ChannelAnswered where money is said to be so, and the channel says otherwise."""
    try:
        fact = await channels.call(
            ctx, money.channel, lambda gateway: gateway.query(money.out_trade_no, provider_no=money.provider_no)
        )
    except (ChannelUnknown, ChannelRefused):
        return
    told = (state, money.provider_no, money.amount_fen)
    if fact is None or (fact.state, fact.provider_no, fact.amount_fen) != told:
        raise ChannelAnswered(answer=_answer(fact))


def _named(row: PaymentException, money: PaymentAttempt) -> RefundNamed | None:
    """The refund that gave back some of this money, by an exception about an unknown one; None for a sum of several."""
    number = dict(json.loads(row.evidence or "[]")).get("out_refund_no")
    if totals.told(row).total is not None or not number:
        return None
    its = row.out_trade_no, money.provider_no, row.received_fen
    return RefundNamed(row.channel, number, *its, refund_no=row.action_provider_no)


def _to_be_asked(ctx: Context, exception_id: UUID, body: ApproveAction, actor: Actor) -> _About:
    """What the channel is asked about where this person may say yes as it was seen; all else the approval refuses."""
    proposed = (
        PaymentException.id == exception_id,
        PaymentException.version == body.version,
        PaymentException.state == ExceptionState.PROPOSED.value,
        PaymentException.proposed_by != actor.label,
    )
    confirms = (PaymentException.action == ExceptionAction.CONFIRM.value, PaymentAttempt.state != AttemptState.PAID)
    is_record = PaymentException.action == ExceptionAction.RECORD.value
    records = (is_record, Refund.state.in_((RefundState.ABNORMAL.value, RefundState.SUCCEEDED.value)))
    lets_go = (
        PaymentException.action.in_((ExceptionAction.ATTACH.value, ExceptionAction.REFUND.value)),
        UnmatchedPayment.found_by == FoundBy.BILL.value,
    )
    payment = select(PaymentAttempt).join(PaymentException, PaymentException.attempt_id == PaymentAttempt.id)
    refund = select(Refund).join(PaymentException, PaymentException.refund_id == Refund.id)
    money = select(UnmatchedPayment).join(PaymentException, PaymentException.unmatched_id == UnmatchedPayment.id)
    if not body.approved:
        return _About()
    with ctx.db.read() as tx:
        recorded = tx.scalars(select(PaymentException).where(*proposed, is_record)).first()
        gone = choosing.given_back(tx, recorded) if recorded else None
        return _About(
            tx.scalars(payment.where(*proposed, *confirms)).first(),
            tx.scalars(refund.where(*proposed, *records, Refund.channel.in_(list(ctx.gateways)))).first(),
            _named(recorded, gone) if recorded and isinstance(gone, PaymentAttempt) else None,
            tx.scalars(money.where(*proposed, *lets_go)).first(),
            gone if isinstance(gone, UnmatchedPayment) else None,
        )


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
