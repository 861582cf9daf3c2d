"""HTTP of sign-in and of the staff and supplier lists."""

from __future__ import annotations

import logging
from uuid import UUID

from fastapi import Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse

from server import context, policy, telemetry, web
from server.context import Context
from server.identity import actions, passwords, queries
from server.identity.model import SettlementMode, User
from server.policy import PUBLIC, SIGNED_IN, Actor, Kind, Router
from shared.contracts import identity as wire
from shared.contracts.base import Page
from shared.errors import BadField, KamengError
from shared.permissions import Permission, Role

router = Router(prefix="/api")

NEED_TOTP_WHEN_LIVE = frozenset({Role.ADMIN.value, Role.FINANCE.value})


@router.post("/session", allow=PUBLIC, status_code=201, response_model=wire.Session)
async def sign_in(request: Request, body: wire.SignIn) -> Response:
    """Check the factors and start a session on this device. The token is in this answer and nowhere else.

    `async`, because argon2 runs two at a time in threads of its own: waiting for it must not take up the threads
    that everybody else's requests need.
    """
    ctx = context.of(request)
    ctx.buckets.take("sign_in_address", web.client_network(request))
    ctx.buckets.take("sign_in_login", body.login)
    user = await run_in_threadpool(_find, ctx, body.login)
    right = await passwords.matches(user.password_hash if user else None, body.password.get_secret_value())
    try:
        if user is None or not right or not user.active:
            raise actions.WrongSignIn
        if ctx.settings.is_live and user.totp_sealed is None and user.role in NEED_TOTP_WHEN_LIVE:
            raise actions.TotpMustEnrol(login=user.login)
        answer = await run_in_threadpool(_start, ctx, user, body, web.request_id(request))
    except KamengError as refusal:
        _log_sign_in(request, user, outcome=refusal.code, level=logging.WARNING)
        raise
    ctx.buckets.forget("sign_in_login", body.login)
    _log_sign_in(request, user, outcome="started", level=logging.INFO)
    return token_answer(answer, status=201)


def token_answer(answer: wire.Session | wire.HelloAnswer, *, status: int = 200) -> Response:
    """An answer that carries a token: `SecretStr` masks itself everywhere but here, where it is given out."""
    shown = answer.model_dump(mode="json") | {"token": answer.token.get_secret_value()}
    return JSONResponse(shown, status, headers={"cache-control": "no-store"})


def _find(ctx: Context, login: str) -> User | None:
    with ctx.db.read() as tx:
        return queries.user_by_login(tx, login)


def _start(ctx: Context, user: User, body: wire.SignIn, request_id: str) -> wire.Session:
    with ctx.db.tx() as tx:
        actions.check_totp(tx, user, body.totp, keys=ctx.keys)
        session = actions.start_session(tx, user, body.device, days=ctx.settings.session_days, request_id=request_id)
        who = Actor(Kind.STAFF, id=user.id, role=Role(user.role), supplier_id=user.supplier_id)
        return wire.Session(token=session.token, person=queries.person(tx, who), expires_at=session.expires_at)


def _log_sign_in(request: Request, user: User | None, *, outcome: str, level: int) -> None:
    """The typed login is not logged: people type their password there."""
    facts = web.facts_of(request)
    told: dict[str, telemetry.Fact] = {
        "request_id": facts.request_id,
        "client": facts.client,
        "user": str(user.id) if user else None,
        "outcome": outcome,
    }
    telemetry.decision("sign-in", told, level=level)


@router.get("/session", allow=SIGNED_IN)
def who_am_i(request: Request) -> wire.Person:
    """The signed-in person with all rights."""
    with context.of(request).db.read() as tx:
        return queries.person(tx, policy.actor(request))


@router.delete("/session", allow=SIGNED_IN, status_code=204)
def sign_out(request: Request) -> None:
    """End this session; the token is worthless at once."""
    who = policy.actor(request)
    assert who.session_id is not None
    with context.of(request).db.tx() as tx:
        actions.end_session(
            tx, who.session_id, reason="signed_out", actor=who.label, request_id=web.request_id(request)
        )


@router.get("/users", allow=Permission.IDENTITY_USER_READ)
def list_users(
    request: Request, after: UUID | None = None, limit: int = Query(default=200, ge=1, le=500)
) -> Page[wire.User]:
    """The staff list."""
    with context.of(request).db.read() as tx:
        return queries.users(tx, after=after, limit=limit)


@router.post("/users", allow=Permission.IDENTITY_USER_EDIT, status_code=201)
def add_user(request: Request, body: wire.NewUser) -> wire.User:
    """Add a person; a supplier's person belongs to the supplier of that name."""
    ctx, who = context.of(request), policy.actor(request)
    password = body.password.get_secret_value()
    passwords.judge(password, login=body.login)
    if (body.role is Role.SUPPLIER) != (body.supplier is not None):
        raise BadField(field="supplier", reason="supplier ⇔ role")
    password_hash = passwords.hash_now(password)
    with ctx.db.tx() as tx:
        supplier_id = queries.supplier_by_name(tx, body.supplier) if body.supplier else None
        if body.supplier and supplier_id is None:
            raise BadField(field="supplier", reason=body.supplier)
        actions.create_user(
            tx,
            login=body.login,
            name=body.name,
            role=body.role,
            password_hash=password_hash,
            supplier_id=supplier_id,
            actor=who.label,
            request_id=web.request_id(request),
        )
        user = queries.user_by_login(tx, body.login)
        assert user is not None
        return queries.user_answer(user, body.supplier)


@router.get("/suppliers", allow=Permission.CATALOG_PRODUCT_READ)
def list_suppliers(request: Request) -> Page[wire.Supplier]:
    """The suppliers the actor may know: a supplier's person sees its own only."""
    with context.of(request).db.read() as tx:
        return Page[wire.Supplier](items=queries.suppliers(tx, policy.actor(request)))


@router.post("/suppliers", allow=Permission.IDENTITY_USER_EDIT, status_code=201)
def add_supplier(request: Request, body: wire.NewSupplier) -> wire.Supplier:
    """Add a supplier with the platform's rate."""
    ctx, who = context.of(request), policy.actor(request)
    with ctx.db.tx() as tx:
        supplier_id = actions.create_supplier(
            tx,
            name=body.name,
            fee_ppm=body.fee_ppm,
            settlement_mode=SettlementMode(body.settlement_mode),
            actor=who.label,
            request_id=web.request_id(request),
        )
        return next(row for row in queries.suppliers(tx, who) if row.id == supplier_id)
