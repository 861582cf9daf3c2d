"""What the API and the pages both need of HTTP: bodies with a limit, and headers that keep a browser careful."""

from typing import Any, TypeVar
from urllib.parse import parse_qsl

from pydantic import BaseModel, ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from server.sandbox.words import Language, choose_language

# No script anywhere, nothing from another origin; the only form posts back to the page it is on.
PAGE_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",  # the address of a payment page is its secret
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
    "Vary": "Accept-Language",
}


LARGEST_FORM_BYTES = 8_192
_MOST_FIELDS = 64
Model = TypeVar("Model", bound=BaseModel)


class BodyTooLarge(Exception):
    """The request's body is larger than its address allows."""


class NotUnderstood(Exception):
    """A program's request makes no sense; `what` is the field, `body` or `content-type`."""

    def __init__(self, what: str) -> None:
        """Keep what is wrong."""
        super().__init__(what)
        self.what = what


async def read_body(request: Request, *, largest_bytes: int) -> bytes:
    """Return the whole body exactly as sent. Raises BodyTooLarge without reading on."""
    pieces: list[bytes] = []
    received_bytes = 0
    async for piece in request.stream():
        received_bytes += len(piece)
        if received_bytes > largest_bytes:
            raise BodyTooLarge
        pieces.append(piece)
    return b"".join(pieces)


async def read_form(request: Request) -> dict[str, str]:
    """Return the fields of a form. Raises BodyTooLarge, or ValueError when it is none."""
    body = await read_body(request, largest_bytes=LARGEST_FORM_BYTES)
    return dict(parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=_MOST_FIELDS))


async def read_json(request: Request, model: type[Model]) -> Model:
    """Return what a program asks. Raises NotUnderstood, also when it does not say that it is JSON: no page can."""
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise NotUnderstood("content-type")
    try:
        return model.model_validate_json(await read_body(request, largest_bytes=LARGEST_FORM_BYTES))
    except BodyTooLarge:
        raise NotUnderstood("body") from None
    except ValidationError as error:
        first: Any = error.errors(include_url=False, include_context=False, include_input=False)[0]
        raise NotUnderstood(".".join(map(str, first["loc"])) or "body") from None


def refuse_json(what: str) -> Response:
    """Return the answer to a program that asked for what makes no sense."""
    return JSONResponse({"error": what}, 400)


def reader_language(request: Request) -> Language:
    """Return the language in which to answer."""
    return choose_language(request.headers.get("accept-language", ""))
