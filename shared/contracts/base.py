"""What all contracts share: unknown fields are refused in requests and ignored in answers."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field, field_validator

T = TypeVar("T")


class Request(BaseModel):
    """A body that comes in. An unknown field is an error: it is a typo or an attack."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)

    @field_validator("*")
    @classmethod
    def _can_be_stored(cls, value: Any) -> Any:
        # PostgreSQL has no place for U+0000 in a text, and nobody types one.
        if isinstance(value, str) and "\0" in value:
            raise ValueError("U+0000")
        return value


class Answer(BaseModel):
    """A body that goes out. Readers ignore what they do not know, so that versions may differ."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class Page(Answer, Generic[T]):
    """One keyset page. `next` is the opaque `after` of the following page, or None at the end."""

    items: list[T]
    next: str | None = None


class Problem(Answer):
    """An error as `application/problem+json` (RFC 9457). `code` is stable, `detail` is a sentence for people."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    request_id: str
    params: dict[str, str | int | None] = {}
    fields: list[FieldProblem] = []


class FieldProblem(Answer):
    """One wrong field of a request: where, and what is wrong."""

    field: str
    reason: str


Day = Annotated[date, Field(ge=date(2000, 1, 1), le=date(2999, 12, 31))]
"""A business day that may be asked for. The calendar's first and last days have no midnight in UTC."""

Name = Annotated[str, Field(min_length=1, max_length=120)]
Code = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
