"""New refunds: how much of a payment is left, which units and shares it takes, and the rows.

Everything is counted under the lock of the order, or of the money where it has no order, so that two partial refunds
at once never sum to more than was paid.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, and_, exists, func, insert, select

from server.db import Tx, among, table_of
from server.orders import actions as orders
from server.orders import refunding
from server.orders.model import Order, OrderLine
from server.payments import aside
from server.payments.disputes.model import Dispute, DisputeLine
from server.payments.model import PaymentAttempt, PaymentException, UnmatchedPayment
from server.payments.refunds import rules, splitting
from server.payments.refunds.model import Refund, RefundLine, Replacement
from server.payments.refunds.moving import ENDED, WITHOUT_MONEY, Held
from server.payments.refunds.splitting import Shares
from shared import clock, ids
from shared.errors import BadField, Conflict, NotFound
from shared.finance import DisputeState
from shared.money import Fen, format_fen
from shared.sentence import Sentence
from shared.states import (
    AttemptState,
    ExceptionKind,
    OrderState,
    RefundCause,
    RefundReason,
    RefundState,
    RefundTrouble,
    UnmatchedState,
)

DELIVERED = frozenset(
    {
        OrderState.DELIVERED.value,
        OrderState.COMPLETED.value,
        OrderState.PARTIALLY_REFUNDED.value,
        OrderState.DISPUTED.value,
    }
)
"""States whose sale is booked: a refund reverses shares of it."""

UNDELIVERED = frozenset({OrderState.PAID.value, OrderState.DELIVERY_FAILED.value})
"""States whose money is still in escrow: only all of it goes back."""


class NothingToRefund(Conflict):
    """All of it went back already, was not paid, or comes to less than a fen."""

    code = "nothing_to_refund"
    zh = "没有可以退款的金额。"
    en = "There is nothing left to refund."


class MoreThanLeft(BadField):
    """More money, or more keys, than there is to give back."""

    code = "more_than_left"
    zh = "最多{most}，剩下的只有这么多。"
    en = "No more than {most}: that is all that is left."

    @classmethod
    def of_money(cls, left: Fen) -> MoreThanLeft:
        """Where so much is left."""
        fen = f"¥{format_fen(left)}"
        return cls(field="amount_fen", most=Sentence(f" {fen}", fen))


class OnlyWhole(BadField):
    """A part of what was not delivered."""

    code = "only_whole"
    zh = "这张订单还没有发货，只能全额退款（¥{whole}）。"
    en = "Nothing of this order was delivered yet: all of its ¥{whole} goes back, or nothing."


class HasException(Conflict):
    """The order's money waits in the list of exceptions, where it is delivered after all or goes back."""

    code = "has_exception"
    zh = "这张订单有一笔款项正在人工核实，核实完才能退款；商家请在“异常款项”里处理。"
    en = (
        "Money of this order is being looked into; it can be refunded after that. Staff see to it among the exceptions."
    )


class RefundUnderWay(Conflict):
    """These goods have an open refund, which is to be decided first."""

    code = "refund_under_way"
    zh = "这些商品已有一笔退款在处理中，请先处理完那一笔。"
    en = "These goods have a refund under way; finish that one first."


@dataclass(frozen=True, slots=True)
class Portion:
    """What of an order is meant: all that is left, of it or of a line; some units for what they cost; or an amount."""

    order_line_id: UUID | None = None
    seqs: tuple[int, ...] = ()
    quantity: int | None = None
    amount_fen: Fen | None = None


@dataclass(frozen=True, slots=True)
class Left:
    """What a line still has that no refund takes: shares of money, and units that were not replaced."""

    line: OrderLine
    shares: Shares
    seqs: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Taken:
    """What a refund takes of one line."""

    line: OrderLine
    seqs: tuple[int, ...]
    shares: Shares


# --- what is left ---


def left_of(tx: Tx, lines: Sequence[OrderLine]) -> list[Left]:
    """What each line still has, but for what refunds, or disputes that the shop has not won, take of it."""
    shares = {line.id: Shares.of(line) for line in lines}
    gone: dict[UUID, set[int]] = defaultdict(set)
    mine = RefundLine.order_line_id.in_(list(shares))
    query = select(RefundLine).join(Refund, Refund.id == RefundLine.refund_id)
    for taken in tx.scalars(query.where(mine, Refund.state.not_in(WITHOUT_MONEY))):
        shares[taken.order_line_id] -= Shares.of(taken)
        gone[taken.order_line_id].update(taken.seqs)
    disputed = select(DisputeLine).join(Dispute, Dispute.id == DisputeLine.dispute_id)
    in_question = (DisputeLine.order_line_id.in_(list(shares)), Dispute.state != DisputeState.WON.value)
    for lost in tx.scalars(disputed.where(*in_question)):
        shares[lost.order_line_id] -= Shares.of(lost)
    replaced = select(Replacement.order_line_id, Replacement.seq).where(Replacement.order_line_id.in_(list(shares)))
    for line_id, seq in tx.execute(replaced):
        gone[line_id].add(seq)
    return [
        Left(line, shares[line.id], tuple(seq for seq in sorted(line.seqs) if seq not in gone[line.id]))
        for line in lines
    ]


def take(left: Sequence[Left], wanted: Portion) -> list[Taken]:
    """What `wanted` takes of these lines. Raises NotFound, BadField, MoreThanLeft, NothingToRefund."""
    if wanted.order_line_id is not None:
        left = [one for one in left if one.line.id == wanted.order_line_id]
        if not left:
            raise NotFound
    elif (wanted.seqs or wanted.quantity is not None) and len(left) != 1:
        raise BadField(field="order_line_id", reason="?")
    if wanted.amount_fen is not None:
        taken = _by_amount(left, wanted.amount_fen)
    elif wanted.seqs or wanted.quantity is not None:
        taken = [_by_units(left[0], wanted)]
    else:
        taken = [Taken(one.line, one.seqs, one.shares) for one in left]
    taken = [one for one in taken if one.shares.amount]
    if not taken:
        raise NothingToRefund
    return taken


def _by_amount(left: Sequence[Left], amount: Fen) -> list[Taken]:
    whole = sum(one.shares.amount for one in left)
    if amount > whole:
        raise MoreThanLeft.of_money(whole)
    parts = splitting.over_lines(amount, [one.shares.amount for one in left])
    return [
        Taken(one.line, one.seqs if part == one.shares.amount else (), one.shares.part(part))
        for one, part in zip(left, parts, strict=True)
    ]


def _by_units(one: Left, wanted: Portion) -> Taken:
    """Named units, or as many of the last ones."""
    seqs = tuple(sorted(set(wanted.seqs))) or one.seqs[-(wanted.quantity or 0) :]
    if not set(seqs) <= set(one.seqs) or (wanted.quantity is not None and wanted.quantity != len(seqs)):
        most = len(one.seqs)
        raise MoreThanLeft(field="quantity", most=Sentence(f" {most} 张卡", f"{most} keys" if most > 1 else "1 key"))
    worth = splitting.of_units(one.shares.amount, units=len(seqs), of=len(one.seqs))
    return Taken(one.line, seqs, one.shares.part(worth))


def open_refund(tx: Tx, order_line_ids: Sequence[UUID]) -> Refund | None:
    """The refund of one of these lines that has not ended."""
    query = select(Refund).join(RefundLine, RefundLine.refund_id == Refund.id)
    mine = (RefundLine.order_line_id.in_(list(order_line_ids)), Refund.state.not_in(ENDED))
    return tx.scalars(query.where(*mine).order_by(Refund.id)).first()


# --- new rows ---


def of_order(
    tx: Tx,
    order_id: UUID,
    wanted: Portion,
    *,
    cause: RefundCause,
    reason: str,
    actor: str,
    reason_kind: RefundReason | None = None,
    wants_replacement: bool = False,
    by_hand: bool = False,
) -> Held:
    """A refund, requested, of an order or a portion of it. An order without a delivery is refunded as a whole.

    `by_hand`: its channel is not asked, so that its limits do not hold.
    Raises NotFound, NothingToRefund, RefundUnderWay, HasException, BadField, RefundTooLate, TooManyRefunds.
    """
    order = orders.lock(tx, [order_id]).get(order_id)
    if order is None:
        raise NotFound
    attempt = paying_attempt(tx, order)
    if attempt is None:
        raise NothingToRefund
    if order.state in UNDELIVERED:
        if wanted != Portion():
            raise OnlyWhole(field="amount_fen", whole=format_fen(order.amount_fen))
        waits = (PaymentException.order_id == order.id, PaymentException.closed_at.is_(None))
        if tx.scalars(select(PaymentException.id).where(*waits, PaymentException.unmatched_id.is_(None))).first():
            raise HasException
        return of_payment(tx, cause, attempt, reason=reason, actor=actor, or_answer=False)
    if order.state not in DELIVERED:
        raise NothingToRefund
    taken = take(left_of(tx, orders.lines_of(tx, [order.id])[order.id]), wanted)
    if open_refund(tx, [one.line.id for one in taken]) is not None:
        raise RefundUnderWay
    if not by_hand and _is_in_doubt(tx, Refund.order_id == order.id, Refund.unmatched_id.is_(None)):
        raise HasException
    suppliers = {one.line.supplier_id for one in taken}
    row = {
        "order_id": order.id,
        "order_code": order.code,
        "attempt_id": attempt.id,
        "channel": attempt.channel,
        "out_trade_no": attempt.channel_no,
        "amount_fen": sum(one.shares.amount for one in taken),
        "supplier_id": suppliers.pop() if len(suppliers) == 1 else None,
        "reason_kind": reason_kind.value if reason_kind else None,
        "wants_replacement": wants_replacement,
    }
    _require_possible(tx, attempt, row, by_hand=by_hand)
    held = _insert(tx, order, row, cause=cause, reason=reason, actor=actor)
    lines = [
        {
            "refund_id": held.refund.id,
            "order_line_id": one.line.id,
            "quantity": len(one.seqs),
            "seqs": list(one.seqs),
            "amount_fen": one.shares.amount,
            "supplier_fen": one.shares.supplier,
            "fee_fen": one.shares.fee,
            "commission_fen": one.shares.commission,
            "discount_fen": one.shares.discount,
        }
        for one in taken
    ]
    tx.execute(insert(table_of(RefundLine)), lines)
    held.lines += tx.scalars(select(RefundLine).where(RefundLine.refund_id == held.refund.id))
    return held


def of_payment(
    tx: Tx,
    cause: RefundCause,
    source: PaymentAttempt | UnmatchedPayment,
    *,
    reason: str,
    actor: str,
    or_answer: bool = True,
    by_hand: bool = False,
) -> Held:
    """A refund, requested, of all that is left of a payment; with `or_answer` the one that it has already.

    Raises NothingToRefund, RefundUnderWay, HasException, RefundTooLate, TooManyRefunds.
    """
    order = orders.lock(tx, [source.order_id]).get(source.order_id) if source.order_id else None
    is_attempt = isinstance(source, PaymentAttempt)
    if is_attempt:  # what was set aside of the same attempt is money of its own
        of_source = and_(Refund.attempt_id == source.id, Refund.unmatched_id.is_(None))
    else:
        of_source = Refund.unmatched_id == source.id
    if not is_attempt:
        tx.refresh(source, with_for_update=True)
    made = tx.scalars(select(Refund).where(of_source, Refund.state.not_in(WITHOUT_MONEY)).order_by(Refund.id)).all()
    if made:
        if not or_answer:
            raise RefundUnderWay
        return Held(made[0], order)
    if is_attempt and cause is not RefundCause.PAID_TWICE and (order is None or order.state not in UNDELIVERED):
        raise NothingToRefund  # delivered meanwhile: what goes back then reverses a sale
    if not by_hand and _is_in_doubt(tx, of_source):
        raise HasException
    row: dict[str, Any] = {
        "order_id": source.order_id,
        "order_code": order.code if order else None,
        "attempt_id": source.id if isinstance(source, PaymentAttempt) else source.attempt_id,
        "unmatched_id": None if is_attempt else source.id,
        "channel": source.channel,
        "out_trade_no": source.channel_no if isinstance(source, PaymentAttempt) else source.out_trade_no,
        "amount_fen": source.amount_fen,
    }
    _require_possible(tx, source, row, by_hand=by_hand)
    if isinstance(source, UnmatchedPayment):
        aside.move(tx, source.id, UnmatchedState.RETURNING)
    return _insert(tx, order, row, cause=cause, reason=reason, actor=actor)


def _is_in_doubt(tx: Tx, *which: ColumnElement[bool]) -> bool:
    """Whether a channel says of such a refund, which ended without money here, that it has paid after all."""
    query = (
        select(PaymentException.evidence)
        .join(Refund, Refund.id == PaymentException.refund_id)
        .where(
            *which,
            Refund.state.in_(WITHOUT_MONEY),
            PaymentException.kind == ExceptionKind.REFUND_STUCK.value,
            PaymentException.closed_at.is_(None),
        )
    )
    said = ["trouble", RefundTrouble.DIFFERS.value]
    return any(said in json.loads(evidence or "[]") for evidence in tx.scalars(query))


def is_too_late(tx: Tx, order: Order) -> bool:
    """Whether the channel of the order's payment refunds it no more."""
    age = clock.now() - (order.paid_at or clock.now())
    attempt = paying_attempt(tx, order) if age >= rules.shortest() else None
    return attempt is not None and age >= rules.limits_of(attempt.channel).within


IS_SET_ASIDE = exists().where(
    UnmatchedPayment.channel == PaymentAttempt.channel,
    UnmatchedPayment.provider_no == PaymentAttempt.provider_no,
    UnmatchedPayment.state.in_((UnmatchedState.HELD, UnmatchedState.RETURNING, UnmatchedState.RETURNED)),
)
"""Whether an attempt's money was set aside, as paid a second time: its order was not sold for it."""


def paying_attempt(tx: Tx, order: Order) -> PaymentAttempt | None:
    """The attempt whose money the order was sold for: paid, and not set aside as paid a second time."""
    paid = (PaymentAttempt.order_id == order.id, PaymentAttempt.state == AttemptState.PAID.value)
    query = select(PaymentAttempt).where(*paid, ~IS_SET_ASIDE)
    return tx.scalars(query.order_by(PaymentAttempt.id)).first()


def sold_for(tx: Tx, channel: str, provider_nos: Collection[str]) -> dict[str, PaymentAttempt]:
    """The attempts whose orders were sold for money of these numbers of the channel, by number."""
    named = (PaymentAttempt.channel == channel, among(tx, PaymentAttempt.provider_no, sorted(provider_nos)))
    query = select(PaymentAttempt).where(*named, PaymentAttempt.state == AttemptState.PAID.value, ~IS_SET_ASIDE)
    return {one.provider_no: one for one in tx.scalars(query) if one.provider_no} if provider_nos else {}


def _require_possible(
    tx: Tx, source: PaymentAttempt | UnmatchedPayment, row: dict[str, Any], *, by_hand: bool = False
) -> None:
    """Never more than was paid, and nothing that the channel will not do, unless it need not."""
    if isinstance(source, PaymentAttempt):
        live = (Refund.attempt_id == source.id, Refund.unmatched_id.is_(None), Refund.state.not_in(WITHOUT_MONEY))
        spent = int(tx.scalar(select(func.coalesce(func.sum(Refund.amount_fen), 0)).where(*live)) or 0)
        if spent + row["amount_fen"] > source.amount_fen:
            raise NothingToRefund
    if by_hand:
        return
    now = clock.now()
    made, _ = requests_of(tx, row["channel"], row["out_trade_no"])
    rules.limits_of(row["channel"]).require(paid_at=source.paid_at or now, now=now, made=made)


def requests_of(tx: Tx, channel: str, out_trade_no: str, *, but: UUID | None = None) -> tuple[int, Any]:
    """How many refunds of a payment were sent to its channel, and when one last was; one of them aside."""
    sent = [Refund.channel == channel, Refund.out_trade_no == out_trade_no, Refund.submitted_at.is_not(None)]
    if but is not None:
        sent.append(Refund.id != but)
    instants = tx.scalars(select(Refund.submitted_at).where(*sent)).all()
    return len(instants), max((at for at in instants if at is not None), default=None)


def _insert(tx: Tx, order: Order | None, row: dict[str, Any], *, cause: RefundCause, reason: str, actor: str) -> Held:
    now = clock.now()
    refund = Refund(
        id=ids.new_id(),
        out_refund_no=ids.new_id().hex,
        cause=cause.value,
        reason=reason[:400],
        state=RefundState.REQUESTED.value,
        unseen=False,
        queries=0,
        version=1,
        asked_by=actor,
        asked_at=now,
        **({"wants_replacement": False} | row),
    )
    tx.add(refund)
    tx.flush()
    if order is not None:
        refunding.touch(tx, order)
    return Held(refund, order)
