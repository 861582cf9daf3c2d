"""What moves money is sent once, by the person who sees it: nothing is queued, nothing is sent again by itself.

The sentences of a failed connection promise that work goes on afterwards. That is not so here, and it is said.
"""

from __future__ import annotations

from typing import TypeVar

from desktop.engine.engine import Engine
from desktop.engine.transport import Call, Unreachable, is_foreign, is_passing
from shared.errors import Busy, KamengError, TooMany

T = TypeVar("T")

_NEVER_LEFT = frozenset(Unreachable.REASONS)
"""Reasons of `Unreachable` that say that no connection was made at all."""


class NotSent(KamengError):
    """There is no connection: the server knows nothing of it."""

    code = "once.not_sent"
    status = 503
    zh = "连不上服务器，这一步没有发出，也不会稍后自动补发。请在连上之后再做一次。"
    en = "The server cannot be reached: this was not sent, and it will not be sent later by itself. Do it again then."


class OutcomeUnknown(KamengError):
    """It may have been done: the answer did not arrive."""

    code = "once.outcome_unknown"
    status = 503
    zh = "服务器没有答复，这一步可能已经完成，也可能没有。不会自动重发；请先刷新，看清最新状态再决定。"
    en = "No answer came: this may have been done or not. It is not sent again by itself; refresh and look first."


async def send_once(engine: Engine, call: Call, answer: type[T]) -> T:
    """Send it and read the answer. Raises NotSent, OutcomeUnknown, and what the server refuses."""
    try:
        return await engine.session.ask(call, answer)
    except (Busy, TooMany):  # the server itself said that it did nothing
        raise
    except KamengError as error:
        if isinstance(error, Unreachable) and error.params.get("reason") in _NEVER_LEFT:
            raise NotSent from error
        if is_passing(error) or is_foreign(error):
            raise OutcomeUnknown from error
        raise
