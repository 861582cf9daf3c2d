"""What the API and the pages both need of HTTP: bodies with a limit, and headers that keep a browser careful."""

from urllib.parse import parse_qsl

from starlette.requests import Request

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


class BodyTooLarge(Exception):
    """The request's body is larger than its address allows."""


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


def reader_language(request: Request) -> Language:
    """Return the language in which to answer."""
    return choose_language(request.headers.get("accept-language", ""))
