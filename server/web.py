"""The edge of the server as pure ASGI: request ids, limits, origin check, security headers, errors, compression.

`install` puts the layers around an app, outermost first: Envelope, AddressCheck, OriginCheck, BodyLimit, Compress.
What one layer or the policy learns about a request travels in its `Facts`. Expected refusals (KamengError) become
`application/problem+json`, or a page for a browser; anything else becomes a 500 with an id and nothing more.
"""

from __future__ import annotations

import logging
import re
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from ipaddress import IPv6Address, ip_address, ip_network
from typing import TypeVar

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, HTTPConnection, Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server import audit, telemetry
from server.settings import Settings
from server.web_problems import (
    InternalError,
    MethodNotAllowed,
    default_page,
    field_problems,
    problem_of,
    reads_english,
)
from shared.contracts.base import FieldProblem, Problem
from shared.contracts.orders import IDEMPOTENCY_HEADER
from shared.contracts.stock import CHUNK_BYTES
from shared.errors import BadField, BadInput, Busy, CrossOrigin, KamengError, NotFound, NotSignedIn, TooLarge
from shared.ids import new_id

_log = logging.getLogger("kameng.web")
_IDEMPOTENCY_KEY = re.compile(r"[A-Za-z0-9_-]{8,64}")
B = TypeVar("B", bound=BaseModel)

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
BODY_LIMIT_BYTES = 1024 * 1024
CHUNK_LIMIT_BYTES = CHUNK_BYTES + 64 * 1024  # HPKE adds a few bytes to a full chunk
BILL_LIMIT_BYTES = 64 * 1024 * 1024
NOTICE_LIMIT_BYTES = 64 * 1024  # anybody may send one, and each is hashed, verified and perhaps kept
_CHUNK_PATH = re.compile(r"^/sync/v1/imports/[^/]+/chunks/[^/]+$")
_NOTIFY_PATH = re.compile(r"^/pay/[^/]+/notify$")
_IMAGE_LIMIT_BYTES = 2 * 1024 * 1024 + 64 * 1024
_PHOTOS_LIMIT_BYTES = 3 * _IMAGE_LIMIT_BYTES
_LIMITS: tuple[tuple[re.Pattern[str], int], ...] = (
    (_NOTIFY_PATH, NOTICE_LIMIT_BYTES),
    (_CHUNK_PATH, CHUNK_LIMIT_BYTES),
    (re.compile(r"^/api/reconcile/bills$"), BILL_LIMIT_BYTES),
    (re.compile(r"^/api/refunds/[^/]+/images$"), _IMAGE_LIMIT_BYTES),
    (re.compile(r"^/o/[^/]+/refund(/check)?$"), _PHOTOS_LIMIT_BYTES),  # a form with a few photographs
)
_MACHINE_PATHS = ("/api/", "/sync/", "/pay/", "/livez", "/readyz", "/metrics")
_REQUEST_ID = re.compile(r"^[A-Za-z0-9._-]{8,40}$")  # what the columns of audit and reveals hold

RenderProblem = Callable[[Request, Problem], str]
"""What the storefront registers to show an error as a page of the shop."""


@dataclass(slots=True)
class Facts:
    """What is known about one request; policy adds the actor, the route guard the template and cookies."""

    request_id: str
    client: str
    english: bool
    wants_page: bool
    route: str = "unmatched"
    actor: str = "-"
    cookies: list[str] = field(default_factory=list)
    private: bool = False
    status: int = 0
    bytes_sent: int = 0


_FACTS = "kameng.facts"


def facts_of(connection: HTTPConnection) -> Facts:
    """The facts of this request. Every request that came through `install` has them."""
    facts = connection.scope[_FACTS]
    assert isinstance(facts, Facts)
    return facts


def request_id(connection: HTTPConnection) -> str:
    """The id under which this request is logged, for audit rows and jobs."""
    return facts_of(connection).request_id


def language(connection: HTTPConnection) -> str:
    """`zh` or `en`, by what the browser or console asked for; 简体中文 unless English comes first."""
    return "en" if facts_of(connection).english else "zh"


def install(app: FastAPI, settings: Settings, *, metrics: telemetry.Metrics) -> None:
    """Put the layers around `app` and teach it to answer errors."""
    app.add_exception_handler(KamengError, _answer_kameng)
    app.add_exception_handler(RequestValidationError, _answer_validation)
    app.add_exception_handler(HTTPException, _answer_http)
    # The last one added is the outermost.
    app.add_middleware(Compress)
    app.add_middleware(BodyLimit)
    app.add_middleware(OriginCheck, own_origin=settings.origin)
    app.add_middleware(AddressCheck)
    app.add_middleware(Envelope, headers=security_headers(settings), metrics=metrics)


def security_headers(settings: Settings) -> list[tuple[bytes, bytes]]:
    """What every answer carries. Channels' pages are reached by links, so that no form leads anywhere else."""
    policy = (
        "default-src 'self'; script-src 'self'; object-src 'none'; base-uri 'none'; "
        "frame-ancestors 'none'; form-action 'self'; "
        # Older WeChat clients carry the calls of a page to their own payment sheet by frames of these schemes.
        "frame-src weixin: weixinping:"
    )
    headers = {
        "content-security-policy": policy,
        "cross-origin-opener-policy": "same-origin",
        "cross-origin-resource-policy": "same-origin",
        "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=()",
        # Not no-referrer: browsers would then send `Origin: null` with our own forms.
        "referrer-policy": "same-origin",
        "x-content-type-options": "nosniff",
        "x-frame-options": "DENY",
    }
    if settings.is_https:
        headers["strict-transport-security"] = "max-age=63072000"
    return [(name.encode(), value.encode()) for name, value in headers.items()]


# --- the layers, outermost first ---


class Envelope:
    """Gives a request its id and facts, an answer its headers, the log its line; the last resort for exceptions."""

    def __init__(self, app: ASGIApp, *, headers: list[tuple[bytes, bytes]], metrics: telemetry.Metrics) -> None:
        self._app = app
        self._headers = headers
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        facts = scope[_FACTS] = _new_facts(scope)
        audit.REQUEST.set(facts.request_id)
        started = time.perf_counter()

        async def outgoing(message: Message) -> None:
            if message["type"] == "http.response.start":
                facts.status = message["status"]
                self._complete(message, facts)
            elif message["type"] == "http.response.body":
                facts.bytes_sent += len(message.get("body", b""))
            await send(message)

        try:
            await self._app(scope, receive, outgoing)
        except ClientDisconnect:
            facts.status = facts.status or 499
        except Exception:
            _log.exception("unexpected exception", extra={"request_id": facts.request_id, "route": facts.route})
            if facts.status:
                raise  # half an answer is out; the server closes the connection
            problem = problem_of(InternalError(), facts.request_id, english=facts.english)
            await _response_for(Request(scope), problem)(scope, receive, outgoing)
        finally:
            self._report(scope, facts, time.perf_counter() - started)

    def _complete(self, message: Message, facts: Facts) -> None:
        raw = message.setdefault("headers", [])
        raw.extend(self._headers)
        raw.append((b"x-request-id", facts.request_id.encode()))
        headers = MutableHeaders(raw=raw)
        for cookie in facts.cookies:
            raw.append((b"set-cookie", cookie.encode()))
        if facts.cookies or facts.private:
            headers["cache-control"] = "no-store"
        elif facts.status >= 400 or not facts.wants_page:
            headers.setdefault("cache-control", "no-store")

    def _report(self, scope: Scope, facts: Facts, seconds: float) -> None:
        status = facts.status or 500
        self._metrics.request(method=scope["method"], route=facts.route, status=status, seconds=seconds)
        line: dict[str, telemetry.Fact] = {
            "request_id": facts.request_id,
            "method": scope["method"],
            "route": facts.route,
            "status": status,
            "ms": round(seconds * 1000, 2),
            "bytes": facts.bytes_sent,
            "actor": facts.actor,
            "client": facts.client,
        }
        telemetry.decision("request", line)


class AddressCheck:
    """Refuses an address that holds U+0000: PostgreSQL has no place for it in a text, and nobody types one."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal: KamengError | None = None
        if scope["type"] == "http" and "\0" in scope["path"]:
            refusal = NotFound()
        elif scope["type"] == "http" and b"%00" in scope["query_string"]:
            refusal = BadInput(reason="U+0000")
        if refusal is not None:
            await respond(Request(scope), refusal)(scope, receive, send)
            return
        await self._app(scope, receive, send)


class OriginCheck:
    """Refuses unsafe requests that a browser sent from another site: no form tokens, works without JavaScript.

    `Sec-Fetch-Site` decides where it is sent, else `Origin`. Requests without either do not come from a browser
    that could be abused. Bearer requests without cookies carry no ambient authority; notifications are signed.
    """

    def __init__(self, app: ASGIApp, *, own_origin: str) -> None:
        self._app = app
        self._own_origin = own_origin.lower()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] not in SAFE_METHODS and not self._allowed(scope):
            request = Request(scope)
            refusal = CrossOrigin()
            note_denial(request, refusal)
            response = respond(request, refusal)
            await response(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _allowed(self, scope: Scope) -> bool:
        headers = Headers(scope=scope)
        if "cookie" not in headers and headers.get("authorization", "").lower().startswith("bearer "):
            return True
        if _NOTIFY_PATH.match(scope["path"]):
            return True
        site = headers.get("sec-fetch-site")
        if site is not None:
            return site in {"same-origin", "none"}
        origin = headers.get("origin")
        if origin is None:
            return True
        # A demo is reached under several names (localhost, 127.0.0.1, a phone's view of it): its own Host counts.
        return origin.lower() in {self._own_origin, f"{scope['scheme']}://{headers.get('host', '')}".lower()}


class BodyLimit:
    """Answers 413 as soon as a body is, or says it is, larger than its route takes. Does not trust the header."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit = _limit_of(scope["path"])
        declared = Headers(scope=scope).get("content-length", "0")
        if not declared.isdecimal() or int(declared) > limit:
            await respond(Request(scope), TooLarge(limit_bytes=limit))(scope, receive, send)
            return
        received = 0

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            if message["type"] == "http.request":
                received += len(message.get("body", b""))
                if received > limit:
                    # FastAPI turns every other exception of the receive channel into a 400.
                    raise HTTPException(413, detail=str(limit))
            return message

        await self._app(scope, counted, send)


def _limit_of(path: str) -> int:
    return next((limit for shape, limit in _LIMITS if shape.match(path)), BODY_LIMIT_BYTES)


class Compress:
    """Compresses answers of text that fit one message; not what is `no-store`, where secrets and input may meet."""

    SMALLEST_BYTES = 1024
    TYPES = ("text/", "application/json", "application/javascript", "image/svg+xml")

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or "gzip" not in Headers(scope=scope).get("accept-encoding", ""):
            await self._app(scope, receive, send)
            return
        facts: Facts = scope[_FACTS]
        start: Message | None = None

        async def outgoing(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start":
                start = message
                return
            if start is not None:
                first, start = start, None
                if not message.get("more_body") and not facts.private:
                    self._squeeze(first, message)
                await send(first)
            await send(message)

        await self._app(scope, receive, outgoing)

    def _squeeze(self, start: Message, body: Message) -> None:
        headers = MutableHeaders(raw=start.setdefault("headers", []))
        content = body.get("body", b"")
        if (
            len(content) < self.SMALLEST_BYTES
            or "content-encoding" in headers
            or not headers.get("content-type", "").startswith(self.TYPES)
            or "no-store" in headers.get("cache-control", "")
        ):
            return
        squeezer = zlib.compressobj(5, zlib.DEFLATED, 31)
        body["body"] = squeezer.compress(content) + squeezer.flush()
        headers["content-encoding"] = "gzip"
        headers["content-length"] = str(len(body["body"]))
        headers.add_vary_header("Accept-Encoding")
        if headers.get("etag", "").startswith('"'):
            headers["etag"] = "W/" + headers["etag"]  # the bytes differ, the meaning does not


def _new_facts(scope: Scope) -> Facts:
    headers = Headers(scope=scope)
    given = headers.get("x-request-id", "")
    client = scope.get("client")
    path: str = scope["path"]
    return Facts(
        request_id=given if _REQUEST_ID.match(given) else new_id().hex,
        client=client[0] if client else "-",
        english=reads_english(headers.get("accept-language", "")),
        wants_page="text/html" in headers.get("accept", "") and not path.startswith(_MACHINE_PATHS),
    )


# --- errors ---


def respond(request: Request, error: KamengError, *, fields: list[FieldProblem] | None = None) -> Response:
    """The answer to an expected refusal: a page for a browser, a problem document for everybody else."""
    facts = facts_of(request)
    problem = problem_of(error, facts.request_id, english=facts.english, fields=fields)
    response = _response_for(request, problem)
    if isinstance(error, NotSignedIn):
        response.headers["www-authenticate"] = "Bearer"
    wait = error.params.get("retry_after_seconds", 2 if isinstance(error, Busy) else None)
    if wait is not None:
        response.headers["retry-after"] = str(wait)
    return response


def _response_for(request: Request, problem: Problem) -> Response:
    facts = facts_of(request)
    if not facts.wants_page:
        return Response(problem.model_dump_json(), problem.status, media_type="application/problem+json")
    render: RenderProblem | None = getattr(request.app.state, "render_problem", None)
    if render is not None:
        try:
            return HTMLResponse(render(request, problem), problem.status)
        except Exception:  # noqa: BLE001 - an error page that fails must not hide the error it was to show
            _log.exception("error page was not rendered", extra={"request_id": facts.request_id})
    return HTMLResponse(default_page(problem, english=facts.english), problem.status)


async def _answer_kameng(request: Request, error: Exception) -> Response:
    assert isinstance(error, KamengError)
    if error.status >= 500 and not isinstance(error, Busy):
        _log.error("refusal of ours", extra={"request_id": request_id(request), "code": error.code}, exc_info=error)
    return respond(request, error)


async def _answer_validation(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    facts = facts_of(request)
    wrong = field_problems(error.errors(), english=facts.english)
    if not wrong:  # the body as a whole was not JSON, or not an object
        return respond(request, BadInput(reason="JSON"))
    return respond(request, BadField(field=wrong[0].field, reason=wrong[0].reason), fields=wrong)


async def _answer_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    refusal: KamengError
    match error.status_code:
        case 404:
            refusal = NotFound()
        case 405:
            refusal = MethodNotAllowed()
        case 413:
            refusal = TooLarge(limit_bytes=int(error.detail) if error.detail.isdecimal() else BODY_LIMIT_BYTES)
        case status:
            refusal = BadInput(reason=HTTPStatus(status).phrase)
    response = respond(request, refusal)
    if error.status_code == 405 and error.headers:
        response.headers["allow"] = error.headers.get("Allow", "")
    return response


def note_denial(request: HTTPConnection, refusal: KamengError) -> None:
    """Log who was refused what, without a word of what was sent."""
    facts = facts_of(request)
    told: dict[str, telemetry.Fact] = {
        "request_id": facts.request_id,
        "route": facts.route,
        "actor": facts.actor,
        "client": facts.client,
        "reason": refusal.code,
    }
    telemetry.decision("denied", told, level=logging.WARNING)


def client_network(request: HTTPConnection) -> str:
    """Whom address limits count: one IPv4 address, or an IPv6 /64, which is one household."""
    client = facts_of(request).client
    try:
        address = ip_address(client)
    except ValueError:
        return client
    return client if address.version == 4 else str(ip_network(f"{client}/64", strict=False))


def client_prefix(request: HTTPConnection) -> str:
    """The network that unpaid orders are counted for: an IPv4 /24 or an IPv6 /48, as providers hand them out."""
    client = facts_of(request).client
    try:
        address = ip_address(client)
    except ValueError:
        return client
    if isinstance(address, IPv6Address):
        address = address.ipv4_mapped or address
    return str(ip_network(f"{address}/{24 if address.version == 4 else 48}", strict=False))


async def read_json(request: Request, model: type[B]) -> B:
    """The body as a contract, for hot routes: read and judged in one step. Raises what FastAPI would."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise BadInput(reason="Content-Type: application/json")
    try:
        return model.model_validate_json(await request.body())
    except ValidationError as error:
        wrong = error.errors(include_url=False, include_input=False)
        raise RequestValidationError([{**one, "loc": ("body", *one["loc"])} for one in wrong]) from None


def idempotency_key(request: HTTPConnection) -> str:
    """What makes a repeat of this request the same wish. Raises BadField without one."""
    key = request.headers.get(IDEMPOTENCY_HEADER, "")
    if not _IDEMPOTENCY_KEY.fullmatch(key):
        raise BadField(field=IDEMPOTENCY_HEADER, reason="A-Z a-z 0-9 _ - (8…64)")
    return key


def json_response(model: BaseModel, status: int = 200) -> Response:
    """A contract as JSON without FastAPI's second validation, for hot routes."""
    return Response(model.model_dump_json(), status, media_type="application/json")


def plain_json(shown: dict[str, str], status: int = 200) -> Response:
    """A few words as JSON, for health."""
    return JSONResponse(shown, status)
