"""The words of states and reasons in the language of the window, for cells that a presenter writes.

`language` is set by the window, before lists are written anew. Tests set it too.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import IntEnum, StrEnum
from typing import Any

from shared import channels, labels
from shared.finance import AdjustmentState, DifferenceState, DisputeState, PayoutState, StatementState, SweepState
from shared.states import (
    AlertKind,
    AttemptState,
    ExceptionState,
    LotState,
    OrderState,
    ProductState,
    RefundState,
    UnitState,
)

_language = "zh"


def speak(language: str) -> None:
    """Write states in `language` from now on: `zh` or `en`."""
    global _language
    _language = language


def language() -> str:
    """The language of the window."""
    return _language


def word(state: StrEnum | IntEnum) -> str:
    """The word for a state."""
    return labels.label(state, _language)


def in_words(pair: tuple[str, str]) -> str:
    """The one of (zh, en) that the window speaks."""
    return pair[1] if _language.startswith("en") else pair[0]


TONES: dict[type[StrEnum] | type[IntEnum], Mapping[Any, str]] = {
    OrderState: {
        OrderState.PENDING_PAYMENT: "warning",
        OrderState.PAID: "info",
        OrderState.DELIVERED: "success",
        OrderState.COMPLETED: "success",
        OrderState.PARTIALLY_DELIVERED: "warning",
        OrderState.DELIVERY_FAILED: "danger",
        OrderState.DISPUTED: "danger",
    },
    UnitState: {
        UnitState.FREE: "success",
        UnitState.HELD: "warning",
        UnitState.SOLD: "info",
    },
    LotState: {
        LotState.OPEN: "success",
        LotState.FROZEN: "warning",
    },
    AttemptState: {
        AttemptState.PENDING: "warning",
        AttemptState.PAID: "success",
        AttemptState.UNKNOWN: "danger",
    },
    ProductState: {
        ProductState.DRAFT: "warning",
        ProductState.PUBLISHED: "success",
    },
    AlertKind: {
        AlertKind.SOLD_OUT: "danger",
        AlertKind.LOW_STOCK: "warning",
        AlertKind.LOW_COVER: "warning",
        AlertKind.EXPIRING: "warning",
        AlertKind.OFFERED_ELSEWHERE: "danger",
        AlertKind.REVEALED_OFTEN: "danger",
    },
    ExceptionState: {
        ExceptionState.OPEN: "danger",
        ExceptionState.PROPOSED: "warning",
        ExceptionState.WORKING: "info",
    },
    DifferenceState: {
        DifferenceState.OPEN: "danger",
        DifferenceState.PROPOSED: "warning",
        DifferenceState.WORKING: "info",
        DifferenceState.RESOLVED: "success",
        DifferenceState.MATCHED: "success",
    },
    StatementState: {
        StatementState.DRAFT: "warning",
        StatementState.CONFIRMED: "info",
        StatementState.PAID: "success",
    },
    PayoutState: {
        PayoutState.REQUESTED: "warning",
        PayoutState.APPROVED: "info",
        PayoutState.SENT: "info",
        PayoutState.CONFIRMED: "success",
        PayoutState.FAILED: "danger",
    },
    AdjustmentState: {
        AdjustmentState.PROPOSED: "warning",
        AdjustmentState.POSTED: "success",
    },
    SweepState: {
        SweepState.PROPOSED: "warning",
        SweepState.BOOKED: "success",
        SweepState.REVERSING: "warning",
    },
    DisputeState: {
        DisputeState.OPENED: "danger",
        DisputeState.WON: "success",
    },
    RefundState: {
        RefundState.REQUESTED: "warning",
        RefundState.SUPPLIER_WAIT: "warning",
        RefundState.APPROVED: "info",
        RefundState.SUBMITTED: "info",
        RefundState.PROCESSING: "info",
        RefundState.SUCCEEDED: "success",
        RefundState.ABNORMAL: "danger",
    },
}
"""The voice of a state's badge, by its kind as its word; states that are not here are neutral."""


def tone(state: StrEnum | IntEnum) -> str:
    """The tone of a state's badge."""
    return TONES.get(type(state), {}).get(state, "neutral")


def longest(states: type[StrEnum]) -> tuple[str, str]:
    """All their words in zh and in en, a line each: their column has room for the longest."""
    both = [labels.words_of(state) for state in states]
    return "\n".join(zh for zh, _ in both), "\n".join(en for _, en in both)


CHANNELS: Mapping[str, tuple[str, str]] = channels.NAMES
"""What payment channels are called; one that is not here shows its code."""


def channel_word(code: str | None) -> str:
    """The name of a payment channel; a missing one is a dash."""
    return "–" if code is None else in_words(channels.name(code))


PARTIES: dict[str, tuple[str, str]] = {
    "buyer": ("买家", "The buyer"),
    "supplier": ("供应商", "The supplier"),
    "shop": ("店铺", "The shop"),
    "staff": ("员工", "Staff"),
    "finance": ("财务", "Finance"),
    "channel": ("支付渠道", "The payment channel"),
    "system": ("系统", "The system"),
}
"""Who did something where the reader may not know the person."""


def party_words(actor: str) -> str:
    """Who did something: a person's name, or a party with or without which one of it (`buyer`, `channel:wechat`)."""
    party, _, which = actor.partition(":")
    if party == "channel" and which:
        return channel_word(which)
    return in_words(PARTIES.get(party, (actor, actor)))


def time_left(due: datetime, *, now: datetime) -> str:
    """How long it is until `due`, or that it is over: `剩 5 小时 12 分`, `已超时`."""
    minutes = -((now - due) // timedelta(minutes=1))  # a part of a minute counts as one
    if minutes <= 0:
        return in_words(("已到时间", "time is up"))
    hours, rest = divmod(minutes, 60)
    if hours >= 48:
        return in_words(("剩 {d} 天", "{d} days left")).format(d=hours // 24)
    if hours:
        return in_words(("剩 {h} 小时 {m} 分", "{h}h {m}m left")).format(h=hours, m=rest)
    return in_words(("剩 {m} 分钟", "{m} min left")).format(m=rest)
