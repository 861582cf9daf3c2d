"""Asking the channel about money that only its bill tells of, before it delivers goods, goes back, or is said to have.

A file may be mistaken, or forged: it may have a line twice, so that the true payment goes back. The channel's answer
counts; where it is silent, what two people say does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Literal
from uuid import UUID

from sqlalchemy import select

from server.context import Context
from server.db import Tx, among
from server.gateways.port import ChannelRefused, ChannelUnknown, PaymentFact
from server.payments import aside, channels
from server.payments.exceptions.checking import BEGUN, RefundNamed, said_otherwise
from server.payments.model import PaymentException, UnmatchedPayment
from server.policy import Actor
from server.reconcile.model import ReconcileDifference
from shared.errors import Conflict
from shared.finance import DifferenceAction, DifferenceKind, DifferenceState
from shared.states import FoundBy

_K = DifferenceKind
AT_ONCE = 8
"""How many questions a channel gets at a time."""


class NotConfirmed(Conflict):
    """The channel does not say that this payment was made, or given back."""

    code = "not_confirmed_by_channel"
    zh = "没有处理差异 {number}：渠道没有确认账单里的这笔款项（渠道答复：{answer}），以渠道为准。请核对账单。"
    en = "Difference {number} was left: the channel does not confirm what the bill says (it says {answer}). Check it."


class RefundNotNamed(Conflict):
    """The bill has no number of ours for a refund, and the channel does not say that it has begun one without."""

    code = "refund_not_named"
    zh = (
        "没有处理差异 {number}：账单里的这笔退款没有商户退款单号，渠道也没有确认它（渠道答复：{answer}），不能入账。"
        "请先向渠道核实，期间可以挂账。"
    )
    en = (
        "Difference {number} was left: the bill has this refund without a number of the merchant's, and the channel "
        "does not confirm it (it says {answer}), so that it is not booked. Ask the channel; carry it over meanwhile."
    )


@dataclass(frozen=True, slots=True)
class _Said:
    """What the bill says of a payment, or of a refund with a number: what the channel's word for it may be.

    `is_named`: by the bill; else the refund's number is the payment's, as channels have it where they were given none.
    """

    state: Literal["paid", "refunded"]
    number: str
    channel: str
    out_trade_no: str
    provider_no: str
    amount_fen: int | None
    out_refund_no: str = ""
    outcomes: Collection[str] = ("succeeded",)
    is_named: bool = True


async def before(ctx: Context, seen: Mapping[UUID, int], *, actor: Actor) -> None:
    """Ask about those of these differences, as they were seen, whose approval by this person lets goods or money go.

    Raises NotConfirmed, RefundNotNamed. All else is refused by the approval itself.
    """
    said = await asyncio.to_thread(_to_be_asked, ctx, seen, actor)
    gate = asyncio.Semaphore(AT_ONCE)
    for refusal in await asyncio.gather(*(_ask(ctx, one, gate) for one in said)):
        if refusal is not None:
            raise refusal


async def _ask(ctx: Context, said: _Said, gate: asyncio.Semaphore) -> NotConfirmed | RefundNotNamed | None:
    async with gate:
        if not said.is_named:
            return await _ask_for_unnamed(ctx, said)
        try:
            if said.out_refund_no:
                return await _ask_for_refund(ctx, said)
            numbers = said.out_trade_no, said.provider_no
            fact = await channels.call(
                ctx, said.channel, lambda gateway: gateway.query(numbers[0], provider_no=numbers[1])
            )
        except (ChannelUnknown, ChannelRefused):
            return None
    is_it = fact is not None and (fact.state, fact.provider_no, fact.amount_fen) == (
        said.state,
        said.provider_no,
        said.amount_fen,
    )
    return None if is_it else NotConfirmed(number=said.number, answer=_answer(fact))


async def _ask_for_refund(ctx: Context, said: _Said) -> NotConfirmed | None:
    answer = await _unlike(ctx, said)
    return None if answer is None else NotConfirmed(number=said.number, answer=answer)


async def _ask_for_unnamed(ctx: Context, said: _Said) -> RefundNotNamed | None:
    """Nobody's word is enough for what cannot be asked about: a channel that is silent has not confirmed it either."""
    try:
        answer = await _unlike(ctx, said)
    except ChannelRefused as refusal:
        answer = refusal.reason_code
    except ChannelUnknown:
        answer = "NO_ANSWER"
    return None if answer is None else RefundNotNamed(number=said.number, answer=answer)


async def _unlike(ctx: Context, said: _Said) -> str | None:
    named = RefundNamed(said.channel, said.out_refund_no, said.out_trade_no, said.provider_no, said.amount_fen)
    return await said_otherwise(ctx, named, said.outcomes)


def _answer(fact: PaymentFact | None) -> str:
    if fact is None:
        return "NOT_FOUND"
    return f"{fact.state} {fact.provider_no} {fact.amount_fen}" if fact.state == "paid" else fact.state


def _to_be_asked(ctx: Context, seen: Mapping[UUID, int], actor: Actor) -> list[_Said]:
    r = ReconcileDifference
    with ctx.db.read() as tx:
        proposed = (r.state == DifferenceState.PROPOSED.value, r.handled_by != actor.label)
        query = select(r).where(among(tx, r.id, sorted(seen)), *proposed)
        rows = [row for row in tx.scalars(query.order_by(r.number)) if row.version == seen[row.id]]
        told = _told_by_channel(tx, rows)
        paid = [row for row in rows if row.action in _GOODS or (row.action in _MONEY and _is_news(row, told))]
        unknown = [row for row in rows if row.kind == _K.REFUND_ONLY_THEIRS and row.action == DifferenceAction.BOOK]
        whole = [row for row in unknown if _gives_back(tx, row)]
        ours = [row for row in rows if row.kind == _K.REFUND_STATE and row.action == DifferenceAction.BOOK]
    of_orders = [row for row in unknown if row not in whole]
    return [
        *(_said("paid", row) for row in paid),
        *(_said("refunded", row) for row in whole),
        *(replace(_said("refunded", row), out_refund_no=row.out_refund_no) for row in ours),
        *(_said_of_order(row) for row in of_orders),
    ]


def _said(state: Literal["paid", "refunded"], row: ReconcileDifference) -> _Said:
    return _Said(state, row.number, row.channel, row.out_trade_no, row.provider_no, row.theirs_fen)


def _said_of_order(row: ReconcileDifference) -> _Said:
    number = row.out_refund_no or row.out_trade_no
    return replace(_said("refunded", row), out_refund_no=number, outcomes=BEGUN, is_named=bool(row.out_refund_no))


def _gives_back(tx: Tx, row: ReconcileDifference) -> bool:
    """Whether it is said that the channel gave back all of some money that is set aside here."""
    numbers = {"provider_no": row.provider_no, "out_trade_no": row.out_trade_no}
    return aside.held(tx, row.channel, row.theirs_fen or 0, **numbers) is not None


_GOODS = frozenset({DifferenceAction.DELIVER.value, DifferenceAction.ATTACH.value})
_MONEY = frozenset({DifferenceAction.REFUND.value})


def _is_news(row: ReconcileDifference, told: Collection[UUID]) -> bool:
    """Whether nothing but a bill tells of the money that a refund would give back."""
    return row.kind != _K.REFUND_ONLY_THEIRS and row.exception_id not in told


def _told_by_channel(tx: Tx, rows: Collection[ReconcileDifference]) -> set[UUID]:
    """The exceptions of these differences whose money did not come to us by a bill alone."""
    e, u = PaymentException, UnmatchedPayment
    named = sorted({row.exception_id for row in rows if row.exception_id is not None})
    by_bill = select(u.id).where(u.id == e.unmatched_id, u.found_by == FoundBy.BILL.value)
    return set(tx.scalars(select(e.id).where(among(tx, e.id, named), ~by_bill.exists()))) if named else set()
