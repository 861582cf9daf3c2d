"""The words of states and reasons in the language of the window, for cells that a presenter writes.

`language` is set by the window, before lists are written anew. Tests set it too.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum

from shared import labels
from shared.states import AlertKind, AttemptState, LotState, OrderState, ProductState, UnitState

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


TONES: dict[StrEnum | IntEnum, str] = {
    OrderState.PENDING_PAYMENT: "warning",
    OrderState.PAID: "info",
    OrderState.DELIVERED: "success",
    OrderState.COMPLETED: "success",
    OrderState.PARTIALLY_DELIVERED: "warning",
    OrderState.DELIVERY_FAILED: "danger",
    OrderState.DISPUTED: "danger",
    UnitState.FREE: "success",
    UnitState.HELD: "warning",
    UnitState.SOLD: "info",
    LotState.OPEN: "success",
    LotState.FROZEN: "warning",
    AttemptState.PENDING: "warning",
    AttemptState.PAID: "success",
    AttemptState.UNKNOWN: "danger",
    ProductState.DRAFT: "warning",
    ProductState.PUBLISHED: "success",
    AlertKind.SOLD_OUT: "danger",
    AlertKind.LOW_STOCK: "warning",
    AlertKind.LOW_COVER: "warning",
    AlertKind.EXPIRING: "warning",
    AlertKind.OFFERED_ELSEWHERE: "danger",
    AlertKind.REVEALED_OFTEN: "danger",
}
"""The voice of a state's badge; states that are not here are neutral."""


def tone(state: StrEnum | IntEnum) -> str:
    """The tone of a state's badge."""
    return TONES.get(state, "neutral")
