"""The tree of errors a user may see. Each says what is wrong and what to do, in 简体中文 and in English.

Raised by either side; the server answers them as `application/problem+json` (or a page), the console
shows `sentence()`. Subclasses that belong to one action are declared next to that action.

    KamengError
    ├── BadInput 400         malformed or unusable input
    │   ├── BadField 422     one named field is wrong
    │   └── TooLarge 413     the body or a value is larger than the limit
    ├── NotSignedIn 401
    ├── NotAllowed 403
    ├── NotFound 404         also for rows outside of the actor's scope
    ├── Conflict 409         the row is in another state than the command needs
    │   └── IllegalMove 409  a state machine does not allow the step
    ├── IdempotencyReused 422
    └── Busy 503             try again after `retry_after_seconds`
"""

from __future__ import annotations

from typing import Any, ClassVar

from shared.permissions import label
from shared.sentence import Sentence

_BY_CODE: dict[str, type[KamengError]] = {}


class KamengError(Exception):
    """An expected refusal. `code` is stable and part of the contract; `zh` and `en` are templates of `params`."""

    code: ClassVar[str] = "error"
    status: ClassVar[int] = 400
    zh: ClassVar[str] = "操作没有完成。"
    en: ClassVar[str] = "The action was not completed."

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        _BY_CODE[cls.code] = cls

    def __init__(self, **params: Any) -> None:
        super().__init__(self.code)
        self.params: dict[str, Any] = params

    def sentence(self, language: str = "zh") -> str:
        """The sentence for a person; `language` starts with `en` for English, anything else is 简体中文."""
        template = self.en if language.startswith("en") else self.zh
        return template.format_map(_Params(self.said(language)))

    def said(self, language: str = "zh") -> dict[str, Any]:
        """The values of the sentence, those that are a `Sentence` in one language."""
        return {
            name: value.sentence(language) if isinstance(value, Sentence) else value
            for name, value in self.params.items()
        }

    def __str__(self) -> str:
        return f"{self.code}: {self.sentence('en')}"


class _Params(dict[str, Any]):
    """A template that names a value nobody gave still makes a sentence."""

    def __missing__(self, key: str) -> str:
        return "?"


def error_for(code: str) -> type[KamengError] | None:
    """The class of a code that came over the wire, or None if this version does not know it."""
    return _BY_CODE.get(code)


class BadInput(KamengError):
    """The request or file cannot be used at all."""

    code = "bad_input"
    status = 400
    zh = "无法理解提交的内容：{reason}"
    en = "The input could not be understood: {reason}"


class BadField(BadInput):
    """One named field is wrong."""

    code = "bad_field"
    status = 422
    zh = "“{field}”填写有误：{reason}"
    en = "“{field}” is not valid: {reason}"


class NotAnOrderCode(BadField):
    """What was typed cannot be the code of an order."""

    code = "not_an_order_code"
    zh = "这不是有效的订单号，请核对每一位。"
    en = "This is not an order code; check each character."


class TooLarge(BadInput):
    """The body is larger than `limit_bytes`."""

    code = "too_large"
    status = 413
    zh = "内容过大，最多 {limit_bytes} 字节。"
    en = "The content is too large; the limit is {limit_bytes} bytes."


class NotSignedIn(KamengError):
    """No session, or one that ended."""

    code = "not_signed_in"
    status = 401
    zh = "请先登录。"
    en = "Please sign in first."


class NotAllowed(KamengError):
    """The actor sees the row but lacks the right."""

    code = "not_allowed"
    status = 403
    zh = "您没有权限执行此操作（需要“{permission}”）。"
    en = "You are not allowed to do this (needs “{permission}”)."

    def sentence(self, language: str = "zh") -> str:
        """The sentence with the right in words; `params` keep its code."""
        named = {"permission": label(str(self.params.get("permission", "?")), language)}
        return (self.en if language.startswith("en") else self.zh).format_map(_Params(self.params | named))


class CrossOrigin(NotAllowed):
    """A browser sent an unsafe request from another site."""

    code = "cross_origin"
    zh = "请求来自其他网站，已拒绝。请在本站页面上操作。"
    en = "The request came from another site and was refused. Please use this site's own pages."


class NotFound(KamengError):
    """There is no such row for this actor."""

    code = "not_found"
    status = 404
    zh = "没有找到您要的内容。"
    en = "What you are looking for was not found."


class Conflict(KamengError):
    """The row changed since, or its state does not allow the command."""

    code = "conflict"
    status = 409
    zh = "当前状态不允许此操作。"
    en = "The current state does not allow this."


class IllegalMove(Conflict):
    """A step that the table in `shared.states` does not have."""

    code = "illegal_move"
    zh = "{machine} 当前为“{state}”，不能变为“{to}”。"
    en = "{machine} is “{state}” and cannot become “{to}”."


class IdempotencyReused(KamengError):
    """The same idempotency key came with another body."""

    code = "idempotency_reused"
    status = 422
    zh = "同一个幂等键用于了不同的内容，请换一个新的键重试。"
    en = "The same idempotency key was used with other content; use a new key."


class Busy(KamengError):
    """The server has more work waiting than it takes on; nothing was changed."""

    code = "busy"
    status = 503
    zh = "现在排队的人较多，请 {retry_after_seconds} 秒后再试。"
    en = "The server is busy; please try again in {retry_after_seconds} s."


class TooMany(KamengError):
    """A limit per person, device or address was reached."""

    code = "too_many"
    status = 429
    zh = "操作过于频繁，请 {retry_after_seconds} 秒后再试。"
    en = "Too many tries; please wait {retry_after_seconds} s."
