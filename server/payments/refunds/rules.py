"""What decides a refund without a person, pure: the product's policy over facts, and the channel's own limits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import IntEnum

from shared.errors import Conflict
from shared.states import RefundPolicy, RefundReason, RefundTrouble


class RefundTooLate(Conflict):
    """The channel refunds no payment that is so old."""

    code = "refund_too_late"
    zh = "支付已超过 {days} 天，支付渠道不再支持原路退款，请联系商家线下处理。"
    en = "The payment is older than {days} days: its channel refunds it no more. Please settle it with the shop."


class TooManyRefunds(Conflict):
    """The channel refunds one payment so often and no more."""

    code = "too_many_refunds"
    zh = "这笔付款已退款 {most} 次，达到支付渠道的上限，请线下处理。"
    en = "This payment was refunded {most} times, which is all that its channel allows; settle the rest outside."


# --- the channel's limits ---


@dataclass(frozen=True, slots=True)
class ChannelLimits:
    """What a channel asks of refunds; `between` two requests of one payment. Sources: payments.md 1.1, 2.1."""

    within: timedelta = timedelta(days=365)
    most: int | None = None
    between: timedelta = timedelta(0)

    def require(self, *, paid_at: datetime, now: datetime, made: int) -> None:
        """Raise RefundTooLate or TooManyRefunds when one more refund cannot be made."""
        if now >= paid_at + self.within:
            raise RefundTooLate(days=self.within.days)
        if self.most is not None and made >= self.most:
            raise TooManyRefunds(most=self.most)

    def earliest(self, last: datetime | None) -> datetime | None:
        """When the next request may be sent after the last one; None when there was none."""
        return last + self.between if last is not None and self.between else None


LIMITS: Mapping[str, ChannelLimits] = {
    "wechat": ChannelLimits(within=timedelta(days=365), most=50, between=timedelta(minutes=1)),
    "alipay": ChannelLimits(within=timedelta(days=90)),
}


_contracted: dict[str, timedelta] = {}


def agree(days: Mapping[str, int]) -> None:
    """What this shop's contracts say of how long channels refund; told once, when the process starts."""
    _contracted.clear()
    _contracted.update({channel: timedelta(days=number) for channel, number in days.items()})


def limits_of(channel: str) -> ChannelLimits:
    """The limits of a channel; those we do not know refuse for themselves."""
    usual = LIMITS.get(channel, ChannelLimits())
    return replace(usual, within=_contracted[channel]) if channel in _contracted else usual


def shortest() -> timedelta:
    """Younger payments are refunded by every channel."""
    return min(limits_of(channel).within for channel in {*LIMITS, *_contracted})


# --- the product's policy ---


class Verdict(IntEnum):
    """What the rules say of a wish; of several lines the strictest counts."""

    APPROVE = 0
    ASK_SUPPLIER = 1
    REFUSE_SEEN = 2
    REFUSE_NOT_DEFECT = 3
    REFUSE_ALWAYS = 4

    @property
    def is_refusal(self) -> bool:
        """Whether the wish ends here."""
        return self >= Verdict.REFUSE_SEEN


WHY: Mapping[Verdict, RefundTrouble] = {
    Verdict.REFUSE_SEEN: RefundTrouble.KEYS_SEEN,
    Verdict.REFUSE_NOT_DEFECT: RefundTrouble.NO_DEFECT,
    Verdict.REFUSE_ALWAYS: RefundTrouble.NOT_REFUNDABLE,
}
"""What a refusal is told as."""

AUTO_WITHIN = timedelta(days=7)
"""An older purchase is looked at by a person, even when nobody has seen its keys."""

MANY_ORDERS = 5
OFTEN = 0.3
"""Of a device with so many paid orders, a larger share of refunded ones is looked at by a person."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known about a wish. `orders` and `refunded` count the device's paid and refunded ones."""

    viewed: bool
    bought_at: datetime
    now: datetime
    orders: int
    refunded: int

    @property
    def is_trusted(self) -> bool:
        """Whether no person need look."""
        often = self.orders >= MANY_ORDERS and self.refunded > self.orders * OFTEN
        return not often and self.now < self.bought_at + AUTO_WITHIN


def verdict(policy: RefundPolicy, reason: RefundReason, facts: Facts) -> Verdict:
    """What the policy frozen at purchase says. A key said to be bad is asked about, but for `none`."""
    if policy is RefundPolicy.NONE:
        return Verdict.REFUSE_ALWAYS
    defect = reason is not RefundReason.UNWANTED
    if policy is RefundPolicy.DEFECT_ONLY:
        return Verdict.ASK_SUPPLIER if defect else Verdict.REFUSE_NOT_DEFECT
    if not facts.viewed:
        return Verdict.APPROVE if facts.is_trusted else Verdict.ASK_SUPPLIER
    if policy is RefundPolicy.BEFORE_VIEW and not defect:
        return Verdict.REFUSE_SEEN
    return Verdict.ASK_SUPPLIER
