"""HTTP of the console's protocol (KSP/1): hello rotates the token, changes tells what to read again."""

from __future__ import annotations

import base64
from uuid import UUID

from fastapi import Query, Request, Response

from server import changes, context, policy, web
from server.identity import actions as identity
from server.identity.queries import person
from server.identity.routes import token_answer
from server.policy import SIGNED_IN, Actor, Router
from shared import clock
from shared.contracts import identity as wire
from shared.contracts.stock import CHUNK_BYTES, CHUNK_ROWS
from shared.contracts.sync import Changes
from shared.errors import Conflict, NotSignedIn
from shared.permissions import Permission

router = Router(prefix="/sync/v1")

# The rows of a domain are announced to those who may read them.
DOMAIN_PERMISSION: dict[str, Permission] = {
    "alerts": Permission.STOCK_ALERT_READ,
    "alerts_staff": Permission.STOCK_UNIT_REVEAL,
    "catalog": Permission.CATALOG_PRODUCT_READ,
    "identity": Permission.IDENTITY_USER_READ,
    "ledger": Permission.LEDGER_JOURNAL_READ,
    "orders": Permission.ORDERS_ORDER_READ,
    "payments": Permission.PAYMENTS_EXCEPTION_READ,
    "reconcile": Permission.RECONCILE_DAY_READ,
    "refunds": Permission.PAYMENTS_REFUND_READ,
    "settlement": Permission.SETTLEMENT_STATEMENT_READ,
    "stock": Permission.STOCK_LOT_READ,
}


class ProtocolUnsupported(Conflict):
    """The console speaks a version that this server does not."""

    code = "protocol_unsupported"
    zh = "客户端版本过旧或过新（协议 {asked}，服务器支持 {spoken}），请更新后重试。"
    en = "This console speaks protocol {asked}, the server speaks {spoken}; please update."


@router.post("/hello", allow=SIGNED_IN, response_model=wire.HelloAnswer)
def hello(request: Request, body: wire.Hello) -> Response:
    """Rotate the token and tell the console all it needs to work: rights, time, limits, the import key, the cursor.

    `cursor` in the answer is the feed's last position: where a console without a past starts to follow.
    """
    ctx, who = context.of(request), policy.actor(request)
    if body.protocol != wire.PROTOCOL:
        raise ProtocolUnsupported(asked=body.protocol, spoken=wire.PROTOCOL)
    presented = policy.bearer_sha256(request)
    assert presented is not None  # the guard found the session by it
    changes.advance(ctx.db)
    epoch, head = changes.epoch(ctx.db)
    with ctx.db.tx() as tx:
        token = identity.rotate(tx, who, presented, device_id=body.device_id, request_id=web.request_id(request))
    # The end of a copied session is committed before its holder is told.
    if token is None:
        raise NotSignedIn
    with ctx.db.read() as tx:
        answer = wire.HelloAnswer(
            protocol=wire.PROTOCOL,
            epoch=epoch,
            token=token,
            person=person(tx, who),
            server_time=clock.now(),
            import_key_id=ctx.keys.import_key_id,
            import_public_key=base64.b64encode(ctx.keys.import_public_key).decode(),
            chunk_rows=CHUNK_ROWS,
            chunk_bytes=CHUNK_BYTES,
            cursor=head,
        )
    return token_answer(answer)


@router.get("/changes", allow=Permission.SYNC_FEED_READ)
def read_changes(
    request: Request,
    cursor: int = Query(default=0, ge=0, le=2**62),
    epoch: UUID | None = None,
    limit: int = Query(default=500, ge=1, le=2_000),
) -> Changes:
    """What changed after `cursor` of that epoch, as far as the actor's role and scope go."""
    ctx, who = context.of(request), policy.actor(request)
    changes.advance(ctx.db)
    with ctx.db.read() as tx:
        return changes.read(
            tx, cursor=cursor, epoch=epoch, limit=limit, supplier_id=who.supplier_id, domains=_domains(who)
        )


def _domains(who: Actor) -> frozenset[str]:
    return frozenset(domain for domain, permission in DOMAIN_PERMISSION.items() if who.may(permission))
