"""Errors as people and programs read them: problem documents, the plain error page, reasons of wrong fields.

Pure; used by `server.web` alone. No answer repeats what was sent: it may be a password or a card key.
"""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from shared.contracts.base import FieldProblem, Problem
from shared.errors import KamengError


class InternalError(KamengError):
    """Something failed that should not. The details are in the log under the request's id."""

    code = "internal_error"
    status = 500
    zh = "服务器出了点问题，我们已记录。请稍后再试；如需帮助，请告诉客服这个编号。"
    en = "Something went wrong on our side and was recorded. Please try again; support can find it by this number."


class MethodNotAllowed(KamengError):
    """The address exists, for other methods."""

    code = "method_not_allowed"
    status = 405
    zh = "此地址不支持这种请求方式。"
    en = "This address does not support that method."


def problem_of(
    error: KamengError, request_id: str, *, english: bool, fields: list[FieldProblem] | None = None
) -> Problem:
    """The problem document of a refusal, in one language; `code` and `params` are for programs."""
    language = "en" if english else "zh"
    params = {
        name: value if value is None or isinstance(value, (str, int)) else str(value)
        for name, value in error.said(language).items()
    }
    return Problem(
        type=f"urn:kameng:problem:{error.code}",
        title=HTTPStatus(error.status).phrase,
        status=error.status,
        detail=error.sentence(language),
        code=error.code,
        request_id=request_id,
        params=params,
        fields=fields or [],
    )


def reads_english(accept_language: str) -> bool:
    """Whether English comes before Chinese; browsers list languages by preference."""
    for item in accept_language.lower().split(","):
        tag = item.split(";")[0].strip()
        if tag.startswith("zh"):
            return False
        if tag.startswith("en"):
            return True
    return False


_PAGE = """<!doctype html>
<html lang="{lang}"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<title>{title}</title></head><body><main><h1>{title}</h1><p>{detail}</p><p><small>{number}: {id}</small></p>
<p><a href="/">{home}</a></p></main></body></html>
"""


def default_page(problem: Problem, *, english: bool) -> str:
    """A page that needs nothing but itself: for when the shop's own error page is not there."""
    return _PAGE.format(
        lang="en" if english else "zh-CN",
        title=html.escape(f"{problem.status} {problem.title}" if english else f"出错了（{problem.status}）"),
        detail=html.escape(problem.detail),
        number="Number" if english else "编号",
        id=html.escape(problem.request_id),
        home="Back to the shop" if english else "返回首页",
    )


# What pydantic calls an error -> what a person reads. `{}` names are pydantic's own context values.
_REASONS: dict[str, tuple[str, str]] = {
    "missing": ("此项必填", "this is required"),
    "extra_forbidden": ("没有这一项", "there is no such field"),
    "string_too_short": ("至少 {min_length} 个字符", "at least {min_length} characters"),
    "string_too_long": ("最多 {max_length} 个字符", "at most {max_length} characters"),
    "string_pattern_mismatch": ("格式不正确", "the format is not right"),
    "string_type": ("应为文字", "this must be text"),
    "too_short": ("至少 {min_length} 项", "at least {min_length} items"),
    "too_long": ("最多 {max_length} 项", "at most {max_length} items"),
    "int_parsing": ("应为整数", "this must be a whole number"),
    "int_type": ("应为整数", "this must be a whole number"),
    "int_from_float": ("应为整数", "this must be a whole number"),
    "bool_parsing": ("应为是或否", "this must be true or false"),
    "greater_than_equal": ("不能小于 {ge}", "not less than {ge}"),
    "greater_than": ("应大于 {gt}", "greater than {gt}"),
    "less_than_equal": ("不能大于 {le}", "not more than {le}"),
    "less_than": ("应小于 {lt}", "less than {lt}"),
    "uuid_parsing": ("编号格式不正确", "this is not an id"),
    "uuid_type": ("编号格式不正确", "this is not an id"),
    "enum": ("只能是 {expected}", "one of {expected}"),
    "date_from_datetime_parsing": ("日期格式应为 2025-01-31", "use a date like 2025-01-31"),
    "date_parsing": ("日期格式应为 2025-01-31", "use a date like 2025-01-31"),
    "model_attributes_type": ("应为对象", "this must be an object"),
    "dict_type": ("应为对象", "this must be an object"),
    "list_type": ("应为列表", "this must be a list"),
}
_OTHER = ("填写有误", "this is not valid")
_MOST_FIELDS = 20


def field_problems(errors: Sequence[Mapping[str, Any]], *, english: bool) -> list[FieldProblem]:
    """One entry a wrong field, at most twenty; empty when the body as a whole could not be read."""
    problems: list[FieldProblem] = []
    for error in errors[:_MOST_FIELDS]:
        place = [str(part) for part in error["loc"]]
        if error["type"] == "json_invalid" or place == ["body"]:
            continue
        template = _REASONS.get(error["type"], _OTHER)[1 if english else 0]
        try:
            reason = template.format_map(error.get("ctx") or {})
        except KeyError:
            reason = _OTHER[1 if english else 0]
        problems.append(FieldProblem(field=".".join(place[1:])[:200] or place[0], reason=reason))
    return problems
