"""Who is asking and whether they may: the only file that decides rights. Default deny.

Routes are made by `Router`, which has no way to make one without `allow=`: a Permission, or one of the markers said
aloud. The guard runs before the body is read. `visible` is what a query of scoped rows starts from. A row outside
of the actor's scope does not exist (404); inside it, without the right, the answer is 403.
"""

from __future__ import annotations

import hashlib
import hmac
import inspect
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum, StrEnum
from ipaddress import ip_address
from typing import Any, ClassVar, TypeVar
from uuid import UUID

from fastapi.concurrency import run_in_threadpool
from fastapi.datastructures import Default
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from sqlalchemy import Select, false, select
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.routing import request_response

from server import context
from server.crypto import KeyRing
from server.db import Base, Database
from server.settings import Settings
from server.web import facts_of, note_denial
from shared import clock
from shared.errors import NotAllowed, NotSignedIn
from shared.ids import new_id
from shared.permissions import ROLE_PERMISSIONS, Permission, Role, allows

F = TypeVar("F", bound=Callable[..., Any])
M = TypeVar("M", bound=Base)


class Marker(Enum):
    """What a route may allow besides a permission."""

    PUBLIC = "public"
    """Anybody. A buyer who has a device cookie is recognised, none is made."""

    BUYER = "buyer"
    """Anybody, as the holder of a signed device cookie, which is made on the first visit."""

    SIGNED_IN = "signed_in"
    """Any member of staff or supplier with a session."""

    CHANNEL = "channel"
    """A payment channel; the route verifies its signature over the raw body."""

    OPERATIONS = "operations"
    """The machine itself, or whoever knows KAMENG_METRICS_TOKEN."""


PUBLIC, BUYER, SIGNED_IN = Marker.PUBLIC, Marker.BUYER, Marker.SIGNED_IN
CHANNEL, OPERATIONS = Marker.CHANNEL, Marker.OPERATIONS

Allow = Permission | Marker


class Kind(StrEnum):
    """What sort of party an actor is."""

    STAFF = "staff"
    BUYER = "buyer"
    PUBLIC = "public"
    CHANNEL = "channel"
    SYSTEM = "system"


@dataclass(frozen=True, slots=True)
class Actor:
    """Who asks. Staff have a role and a session; a buyer is a device; a supplier's person has its supplier."""

    kind: Kind
    id: UUID | None = None
    role: Role | None = None
    supplier_id: UUID | None = None
    session_id: UUID | None = None
    device_id: UUID | None = None

    @classmethod
    def labelled(cls, label: str) -> Actor:
        """Who a label names, without any right: for what that person has decided before."""
        kind, _, number = label.partition(":")
        return cls(Kind(kind), UUID(number) if number else None)

    @property
    def label(self) -> str:
        """How logs and audit rows name the actor: `staff:<id>`, `buyer:<id>`, `public`."""
        return f"{self.kind.value}:{self.id}" if self.id else self.kind.value

    def may(self, permission: Permission) -> bool:
        """Whether the actor has the right, scope aside."""
        return self.kind is Kind.STAFF and self.role is not None and allows(self.role, permission)

    @property
    def permissions(self) -> list[Permission]:
        """All rights of the actor, in alphabetical order; none for anybody but staff."""
        return sorted(ROLE_PERMISSIONS[self.role]) if self.kind is Kind.STAFF and self.role else []


ANYBODY = Actor(Kind.PUBLIC)
SYSTEM = Actor(Kind.SYSTEM)
"""The command line and jobs: sees all rows; has no role, so no route ever takes it for a person."""

FindStaff = Callable[[Database, bytes], Actor | None]
"""Identity's look-up of a session by the SHA-256 of its token; `server.app` registers it with the app."""


def actor(connection: HTTPConnection) -> Actor:
    """The actor of this request; the guard of the route has found it."""
    found = connection.scope[_ACTOR]
    assert isinstance(found, Actor)
    return found


def require(who: Actor, permission: Permission) -> None:
    """Raise NotAllowed unless the actor has the right: for rights that depend on what a request asks for."""
    if not who.may(permission):
        raise NotAllowed(permission=permission.value)


def visible(who: Actor, model: type[M]) -> Select[M]:
    """The rows of `model` that exist for this actor: what every query of scoped rows starts from.

    A table says `__scope__ = {Role.SUPPLIER: "supplier_id"}`, or `{Kind.BUYER: "buyer_id"}`; None for a role means
    all rows. Admin, operator and finance see all rows of every table; everybody else sees none that are not declared.
    """
    query = select(model)
    scope: dict[StrEnum, str | None] = getattr(model, "__scope__", {})
    part: StrEnum | None = who.role if who.kind is Kind.STAFF else who.kind
    if part in _UNSCOPED:
        return query
    if part not in scope:
        return query.where(false())
    column = scope[part]
    if column is None:
        return query
    owner = who.supplier_id if who.kind is Kind.STAFF else who.id
    return query.where(getattr(model, column) == owner) if owner is not None else query.where(false())


_UNSCOPED = frozenset[StrEnum]({Role.ADMIN, Role.OPERATOR, Role.FINANCE, Kind.SYSTEM})
_ACTOR = "kameng.actor"


# --- routes ---


Handler = Callable[[Request], Coroutine[Any, Any, Response]]


def _is_plain(endpoint: Callable[..., Any]) -> bool:
    """Whether it is a coroutine that takes the request alone and makes the response itself."""
    shape = inspect.signature(endpoint)
    makes_response = shape.return_annotation in {"Response", Response}
    return inspect.iscoroutinefunction(endpoint) and list(shape.parameters) == ["request"] and makes_response


class GuardedRoute(APIRoute):
    """A route whose guard runs before its body is read or its parameters are judged."""

    def __init__(self, path: str, endpoint: Callable[..., Any], *, allow: Allow, **options: Any) -> None:
        self.allow = allow  # before super: it asks for the handler
        super().__init__(path, endpoint, **options)
        if _is_plain(endpoint):
            # Nothing to inject, judge or serialise: FastAPI's stack would cost a hot route a third of its time.
            self.app = request_response(self._guarded(endpoint))

    def get_route_handler(self) -> Handler:
        """The guarded handler."""
        return self._guarded(super().get_route_handler())

    def _guarded(self, handle: Handler) -> Handler:
        allow, template = self.allow, self.path_format

        async def guarded(request: Request) -> Response:
            facts = facts_of(request)
            facts.route = template
            try:
                who = await _recognise(request, allow)
                request.scope[_ACTOR] = who
                facts.actor = who.label
                _admit(who, allow)
            except (NotSignedIn, NotAllowed) as refusal:
                context.of(request).metrics.denied(refusal.code)
                note_denial(request, refusal)
                raise
            return await handle(request)

        return guarded


BY_ANNOTATION = Default(None)
"""FastAPI's word for: the answer's model is what the function says it returns."""


class Router:
    """Collects the routes of one `routes.py`. There is no door but these four, and none opens without `allow=`."""

    def __init__(self, prefix: str = "") -> None:
        self.prefix = prefix
        self.routes: list[GuardedRoute] = []

    def get(
        self,
        path: str,
        *,
        allow: Allow,
        status_code: int | None = None,
        response_class: type[Response] | None = None,
        response_model: Any = BY_ANNOTATION,
    ) -> Callable[[F], F]:
        """A route that changes nothing. `response_model` is the answer's annotation unless given."""
        return self._route("GET", path, allow, status_code, response_class, response_model)

    def post(
        self,
        path: str,
        *,
        allow: Allow,
        status_code: int | None = None,
        response_class: type[Response] | None = None,
        response_model: Any = BY_ANNOTATION,
    ) -> Callable[[F], F]:
        """A route that acts."""
        return self._route("POST", path, allow, status_code, response_class, response_model)

    def put(
        self,
        path: str,
        *,
        allow: Allow,
        status_code: int | None = None,
        response_class: type[Response] | None = None,
        response_model: Any = BY_ANNOTATION,
    ) -> Callable[[F], F]:
        """A route that stores what it is given; a repeat changes nothing."""
        return self._route("PUT", path, allow, status_code, response_class, response_model)

    def delete(
        self,
        path: str,
        *,
        allow: Allow,
        status_code: int | None = None,
        response_class: type[Response] | None = None,
        response_model: Any = BY_ANNOTATION,
    ) -> Callable[[F], F]:
        """A route that ends something; a repeat changes nothing."""
        return self._route("DELETE", path, allow, status_code, response_class, response_model)

    def _route(
        self,
        method: str,
        path: str,
        allow: Allow,
        status_code: int | None,
        response_class: type[Response] | None,
        response_model: Any,
    ) -> Callable[[F], F]:
        if not isinstance(allow, (Permission, Marker)):
            raise TypeError(f"{method} {self.prefix}{path} must say who is allowed")

        def add(endpoint: F) -> F:
            route = GuardedRoute(
                self.prefix + path,
                endpoint,
                allow=allow,
                methods=[method],
                status_code=status_code,
                response_class=response_class or Default(JSONResponse),
                response_model=response_model,
            )
            self.routes.append(route)
            return endpoint

        return add


async def _recognise(request: Request, allow: Allow) -> Actor:
    """Find out who asks, as far as the route cares. Raises NotSignedIn where a session is needed and there is none."""
    if allow is Marker.BUYER or allow is Marker.PUBLIC:
        return _buyer(request, make=allow is Marker.BUYER)
    if allow is Marker.CHANNEL:
        return Actor(Kind.CHANNEL)
    if allow is Marker.OPERATIONS:
        _require_operations(request)
        return ANYBODY
    return await run_in_threadpool(_staff, request)


def _admit(who: Actor, allow: Allow) -> None:
    if isinstance(allow, Permission):
        require(who, allow)


def _staff(request: Request) -> Actor:
    digest = bearer_sha256(request)
    if digest is None:
        raise NotSignedIn
    find: FindStaff = request.app.state.find_staff
    found = find(context.of(request).db, digest)
    if found is None:
        raise NotSignedIn
    return found


def bearer_sha256(request: HTTPConnection) -> bytes | None:
    """The hash of the presented token, which is all that is ever compared or stored."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token or len(token) > 200:
        return None
    return hashlib.sha256(token.strip().encode()).digest()


def _require_operations(request: Request) -> None:
    """Figures tell how business goes. Raises NotSignedIn for everybody but this machine and holders of the token."""
    wanted = context.of(request).settings.metrics_token
    if wanted is not None:
        digest = bearer_sha256(request)
        if digest is not None and hmac.compare_digest(digest, hashlib.sha256(wanted.encode()).digest()):
            return
        raise NotSignedIn
    if "x-forwarded-for" in request.headers or not _is_loopback(facts_of(request).client):
        raise NotSignedIn


def _is_loopback(client: str) -> bool:
    try:
        return ip_address(client).is_loopback
    except ValueError:
        return False


# --- the buyer's device ---


COOKIE_DAYS = 400
"""Browsers keep no cookie longer; it is renewed monthly while the buyer comes back."""

RENEW_AFTER = timedelta(days=30)
_COOKIE_PURPOSE = "device-cookie"


@dataclass(frozen=True, slots=True)
class DeviceCookie:
    """The signed cookie that says which device this is: `<32 hex>.<issued, unix seconds>.<mac, 64 hex>`."""

    SECURE_NAME: ClassVar[str] = "__Host-device"
    PLAIN_NAME: ClassVar[str] = "device"

    buyer_id: UUID
    issued_at: datetime

    def sealed(self, keys: KeyRing) -> str:
        """The cookie's value."""
        signed = f"{self.buyer_id.hex}.{int(self.issued_at.timestamp())}"
        return f"{signed}.{keys.mac(_COOKIE_PURPOSE, signed.encode()).hex()}"

    def header(self, keys: KeyRing, settings: Settings) -> str:
        """The Set-Cookie header's value. `__Host-` binds it to this host and https; a demo has no https."""
        secure = "; Secure" if settings.is_https else ""
        age = COOKIE_DAYS * 86_400
        return f"{self.name(settings)}={self.sealed(keys)}; Path=/; Max-Age={age}; HttpOnly; SameSite=Lax{secure}"

    @classmethod
    def name(cls, settings: Settings) -> str:
        """The cookie's name in this deployment."""
        return cls.SECURE_NAME if settings.is_https else cls.PLAIN_NAME

    @classmethod
    def opened(cls, value: str, keys: KeyRing) -> DeviceCookie | None:
        """The cookie, or None when this shop did not sign it or it is too old."""
        signed, _, mac = value.rpartition(".")
        if not mac.isascii() or not hmac.compare_digest(keys.mac(_COOKIE_PURPOSE, signed.encode()).hex(), mac):
            return None
        device, _, issued = signed.partition(".")
        cookie = cls(UUID(hex=device), datetime.fromtimestamp(int(issued), UTC))
        return cookie if clock.now() - cookie.issued_at < timedelta(days=COOKIE_DAYS) else None


def _buyer(request: Request, *, make: bool) -> Actor:
    ctx = context.of(request)
    cookie = None
    value = request.cookies.get(DeviceCookie.name(ctx.settings))
    if value is not None:
        cookie = DeviceCookie.opened(value, ctx.keys)
    if cookie is None and not make:
        return ANYBODY
    now = clock.now()
    if cookie is None or (make and now - cookie.issued_at > RENEW_AFTER):
        cookie = DeviceCookie(cookie.buyer_id if cookie else new_id(), now)
        facts_of(request).cookies.append(cookie.header(ctx.keys, ctx.settings))
    return Actor(Kind.BUYER, id=cookie.buyer_id, device_id=cookie.buyer_id)
