"""Refunds that the shop made by hand, mostly in the channel's own console: recorded by two people, with their number.

Each is a refund like any other, with its number, journals and units; its channel is asked for nothing, so that neither
the channel's limits hold for it nor does it matter whether the channel takes refunds from us at all.
"""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import exists, select

from server.db import Tx
from server.orders import actions as orders
from server.payments.exceptions import closing
from server.payments.model import PaymentAttempt, UnmatchedPayment
from server.payments.refunds import making, moving
from server.payments.refunds.making import Portion
from server.payments.refunds.model import Refund, RefundEvent
from server.payments.refunds.moving import ENDED, Held
from shared import clock
from shared.errors import BadField, Conflict, NotFound
from shared.money import Fen, format_fen
from shared.sentence import Sentence
from shared.states import RefundCause, RefundState, RefundStep, RefundTrouble

BY_HAND = frozenset({RefundTrouble.NOT_OFFERED.value, RefundTrouble.CHANNEL_GONE.value, RefundTrouble.ABNORMAL.value})
"""Why a refund under way can be made by hand: its channel is not asked for it, or cannot pay it out and says so
(WeChat Pay's `ABNORMAL`: the shop takes the money over and transfers it). Any other may arrive by itself."""


class RefundRecorded(Conflict):
    """A refund with this number of the channel is in the books already."""

    code = "refund_recorded"
    zh = "渠道退款单号 {number} 已经登记过，不会重复入账。请核对单号。"
    en = "The channel's refund {number} is in the books already and is not booked twice; check the number."


class OtherAmountBack(Conflict):
    """The channel told that this number of it gave back another amount: the rest would be before nobody."""

    code = "other_amount_back"
    zh = "渠道退款单号 {number} 退的是 ¥{told}，不是 ¥{amount}，不能登记成这一笔。请核对单号，或处理它自己的异常。"
    en = "The channel's refund {number} gave back ¥{told}, not ¥{amount}: check the number, or work its own exception."


def require_its_own(refund: Refund, number: str) -> None:
    """Raise BadField for the number of the refund that did not arrive: the channel says so itself, once it does."""
    if (refund.state not in ENDED or refund.state == RefundState.SUCCEEDED) and number == refund.provider_refund_no:
        zh = "这是渠道里这笔退款自己的单号，渠道说它还没有退成：请填另行转账的单号，或“再次查询”"
        en = "this refund has that number, and the channel says that it did not arrive: name the transfer, or ask again"
        raise BadField(field="provider_no", reason=Sentence(zh, en))


@dataclass(frozen=True, slots=True)
class Given:
    """What two people say of money that went back: the channel's number of it, why, and who they are."""

    provider_no: str
    note: str
    proposed_by: str
    approved_by: str


def of_payment(tx: Tx, cause: RefundCause, source: PaymentAttempt | UnmatchedPayment, given: Given) -> Refund:
    """All that is left of a payment went back. Raises NothingToRefund, RefundUnderWay, RefundRecorded."""
    said = {"reason": given.note, "actor": given.proposed_by}
    return _settle(tx, making.of_payment(tx, cause, source, **said, or_answer=False, by_hand=True), given)


def of_order(tx: Tx, order_id: UUID, attempt_id: UUID, amount: Fen, given: Given) -> Refund:
    """An amount of the money that this attempt paid for a delivered order went back.

    Raises NothingToRefund for other money, BadField for more than is left, HasException, RefundUnderWay,
    RefundRecorded.
    """
    order = orders.lock(tx, [order_id]).get(order_id)
    paying = making.paying_attempt(tx, order) if order else None
    if order is None or paying is None or paying.id != attempt_id:
        raise making.NothingToRefund
    if order.state in making.UNDELIVERED:
        raise making.HasException  # all of it goes back there, or the goods are delivered
    held = making.of_order(
        tx,
        order_id,
        Portion(amount_fen=amount),
        cause=RefundCause.SHOP,
        reason=given.note,
        actor=given.proposed_by,
        by_hand=True,
    )
    return _settle(tx, held, given)


def of_refund(tx: Tx, refund_id: UUID, given: Given) -> Refund:
    """What a refund was to give back went back without it: one that waits ends so, one that ended is made anew, and one
    that is in the books, and that the channel did not pay after all, has the number of what was paid in its place.

    Raises NothingToRefund, RefundUnderWay, RefundRecorded, BadField for the number of the refund itself.
    """
    held = moving.lock(tx, refund_id)
    require_its_own(held.refund, given.provider_no)
    if held.refund.state == RefundState.SUCCEEDED:
        return _paid_otherwise(tx, held, given)
    if held.refund.state not in ENDED and held.refund.trouble not in BY_HAND:
        raise making.RefundUnderWay  # it got on after all
    if is_recorded(tx, held.refund, given.provider_no):
        raise RefundRecorded(number=given.provider_no)
    if held.refund.state in ENDED:
        held = anew(tx, held, reason=given.note, actor=given.proposed_by, by_hand=True)
    return _settle(tx, held, given)


def is_recorded(tx: Tx, ended: Refund, number: str) -> bool:
    """Whether people have recorded it by this number already, after it had ended without money."""
    of_payment = (Refund.channel == ended.channel, Refund.out_trade_no == ended.out_trade_no)
    its = (Refund.made_for == ended.id, Refund.provider_refund_no == number, *of_payment)
    by_hand = exists().where(RefundEvent.refund_id == Refund.id, RefundEvent.what == RefundStep.RECORDED.value)
    done = select(Refund.id).where(*its, Refund.state == RefundState.SUCCEEDED.value, by_hand)
    return tx.scalars(done).first() is not None


def _paid_otherwise(tx: Tx, held: Held, given: Given) -> Refund:
    """The books have it already, and nothing moves in them: only what the channel paid it by is another number."""
    refund = held.refund
    _require_new(tx, refund, given.provider_no)
    refund.checked_by, refund.provider_refund_no, refund.refunded_at = given.approved_by, given.provider_no, None
    moving.advance(tx, held, RefundStep.RECORDED, actor=given.approved_by, note=given.provider_no)
    closing.refund_known(tx, refund.channel, given.provider_no)
    return refund


def anew(tx: Tx, ended: Held, *, reason: str, actor: str, by_hand: bool = False) -> Held:
    """Another refund, requested, of what one that ended without money was to give back, in whose place it is.

    Raises NothingToRefund, RefundUnderWay, RefundTooLate, TooManyRefunds, BadField when there is less left.
    """
    held = _requested_anew(tx, ended, reason=reason, actor=actor, by_hand=by_hand)
    held.refund.made_for = ended.refund.id
    return held


def _requested_anew(tx: Tx, ended: Held, *, reason: str, actor: str, by_hand: bool) -> Held:
    refund, cause = ended.refund, RefundCause(ended.refund.cause)
    if not ended.lines or refund.order_id is None:
        said = {"reason": reason, "actor": actor}
        return making.of_payment(tx, cause, _source(tx, refund), **said, or_answer=False, by_hand=by_hand)
    wanted = _portion(ended)
    return making.of_order(tx, refund.order_id, wanted, cause=cause, reason=reason, actor=actor, by_hand=by_hand)


def _portion(ended: Held) -> Portion:
    """The same goods where it named some of one line, else the same amount."""
    [line, *more] = ended.lines
    if line.seqs and not more:
        return Portion(line.order_line_id, seqs=tuple(line.seqs))
    return Portion(None if more else line.order_line_id, amount_fen=ended.refund.amount_fen)


def _source(tx: Tx, refund: Refund) -> PaymentAttempt | UnmatchedPayment:
    found = (
        tx.get(UnmatchedPayment, refund.unmatched_id)
        if refund.unmatched_id is not None
        else tx.get(PaymentAttempt, refund.attempt_id)
    )
    if found is None:
        raise NotFound
    return found


def _settle(tx: Tx, held: Held, given: Given) -> Refund:
    """Take a refund to its end as if the channel had been asked and had said yes; both people are written down."""
    refund, now = held.refund, clock.now()
    is_its_own = given.provider_no != _source(tx, refund).provider_no  # channels without such numbers give that
    if is_its_own:
        _require_new(tx, refund, given.provider_no)
    refund.checked_by = given.approved_by
    if refund.state == RefundState.REQUESTED:
        said = {"actor": given.proposed_by, "note": given.note}
        moving.approve(tx, held, RefundStep.STARTED, **said, check_above=None)
    to = RefundState.SUBMITTED if refund.state == RefundState.APPROVED else None
    sent_at = refund.submitted_at or now
    by = {"actor": given.approved_by}
    moving.advance(tx, held, RefundStep.RECORDED, **by, note=given.provider_no, to=to, submitted_at=sent_at)
    if is_its_own:
        closing.refund_known(tx, refund.channel, given.provider_no)
    moving.succeed(tx, held, **by, provider_refund_no=given.provider_no, at=now, refunded_at=None)
    return refund


def _require_new(tx: Tx, refund: Refund, number: str) -> None:
    done = Refund.state == RefundState.SUCCEEDED.value
    known = select(Refund.id).where(Refund.channel == refund.channel, Refund.provider_refund_no == number, done)
    if tx.scalars(known).first() is not None:
        raise RefundRecorded(number=number)
    for told in closing.told_of_refund(tx, refund.channel, number):
        if told not in {None, refund.amount_fen}:
            amounts = {"told": format_fen(told or 0), "amount": format_fen(refund.amount_fen)}
            raise OtherAmountBack(number=number, **amounts)
