"""HTTP of stock, of its alerts and of imports. Card keys come in sealed; one goes out, to who is logged to see it."""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import Annotated
from uuid import UUID

from fastapi import Path, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse

from server import context, policy, web
from server.catalog import queries as catalog
from server.catalog.queries import SaleTerms
from server.context import Context
from server.db import Tx, retrying
from server.policy import Actor, Router, visible
from server.stock import alerts, browse, finding, lots, queries
from server.stock.imports import intake
from server.stock.model import StockImport
from server.stock.vault import inspection
from shared.contracts import alerts as alert_wire
from shared.contracts import stock as wire
from shared.contracts.base import Page
from shared.errors import BadField, NotFound
from shared.permissions import Permission
from shared.states import UnitState

router = Router()


@router.get("/api/stock", allow=Permission.STOCK_LOT_READ)
def list_stock(
    request: Request,
    q: str | None = Query(default=None, max_length=120),
    after: str | None = Query(default=None, max_length=64),
    limit: int = Query(default=200, ge=1, le=1_000),
) -> Page[wire.SkuStock]:
    """Counts by SKU, for the actor's SKUs, by code."""
    with context.of(request).db.read() as tx:
        page = catalog.skus(tx, policy.actor(request), q=q, after=after, limit=limit)
        ids = [sku.id for sku in page.items]
        levels, for_sale = queries.levels(tx, ids), queries.free_counts(tx, ids)
        live = alerts.live_counts(tx, policy.actor(request), ids)
        items = []
        for sku in page.items:
            level = levels.get(sku.id, queries.Level())
            items.append(
                wire.SkuStock(
                    sku_id=sku.id,
                    sku=sku.code,
                    name=sku.title,
                    product=sku.product_code,
                    supplier=sku.supplier,
                    imported=level.imported,
                    free=level.free,
                    held=level.held,
                    sold=level.sold,
                    void=level.void,
                    for_sale=for_sale.get(sku.id, 0),
                    alerts=live.get(sku.id, 0),
                )
            )
        return Page[wire.SkuStock](items=items, next=page.next)


@router.get("/api/stock/{sku}/lots", allow=Permission.STOCK_LOT_READ)
def list_lots(
    request: Request,
    sku: str,
    import_id: UUID | None = None,
    after: int | None = Query(default=None, ge=0, le=2**62),
    limit: int = Query(default=200, ge=1, le=1_000),
) -> Page[wire.Lot]:
    """The lots of one SKU, newest first; with `import_id`, those that one file brought."""
    with context.of(request).db.read() as tx:
        terms = _sku(tx, policy.actor(request), sku)
        return queries.lots(tx, terms.sku_id, terms.sku_code, import_id=import_id, after=after, limit=limit)


@router.get("/api/stock/{sku}/units/window", allow=Permission.STOCK_UNIT_READ)
def look_at_units(
    request: Request,
    sku: str,
    state: UnitState | None = None,
    lot: UUID | None = None,
    order: wire.UnitOrder = wire.UnitOrder.NUMBER,
    position: int = Query(default=0, ge=0, le=2**62),
    limit: int = Query(default=256, ge=1, le=1_000),
    tail: str | None = Query(default=None, min_length=2, max_length=4),
) -> wire.UnitWindow:
    """Any rows of the list of a SKU's units, without their keys. With `tail`, those whose card ends so.

    No more of the end than lists show is taken: a whole key has no place in an address.
    """
    with context.of(request).db.read() as tx:
        sku_id = _sku(tx, policy.actor(request), sku).sku_id
        view = browse.View(sku_id, state=state, lot_id=lot, order=order, position=position, limit=limit)
        return browse.window(tx, view) if tail is None else browse.search(tx, view, tail=tail)


@router.get("/api/stock/{sku}/units/{seq}/history", allow=Permission.STOCK_UNIT_READ)
def tell_history(request: Request, sku: str, seq: Annotated[int, Path(ge=1, le=2**62)]) -> wire.UnitHistory:
    """What happened to one unit: who brought it, who saw its key, and how it left."""
    with context.of(request).db.read() as tx:
        who = policy.actor(request)
        return finding.history(tx, _sku(tx, who, sku), seq, actor=who)


@router.post("/api/stock/{sku}/void", allow=Permission.STOCK_LOT_EDIT)
def void_units(request: Request, sku: str, body: wire.VoidUnits) -> wire.VoidedUnits:
    """Make single units void. Those that are not free are left as they are. Repeating changes nothing more."""
    ctx, who = context.of(request), policy.actor(request)
    with ctx.db.tx() as tx:
        return lots.void_units(tx, _sku(tx, who, sku), body, actor=who, request_id=web.request_id(request))


@router.post("/api/stock/find", allow=Permission.STOCK_UNIT_READ)
def find_keys(request: Request, body: wire.FindKeys) -> wire.FoundKeys:
    """Where these keys are, of the actor's own stock. They come in sealed; only their figures are written down."""
    ctx, who = context.of(request), policy.actor(request)
    ctx.buckets.take("find", who.label)
    with ctx.db.read() as tx:
        found = finding.find(tx, ctx.keys, body, actor=who)
    with ctx.db.tx() as tx:
        finding.note(tx, body, found, actor=who, request_id=web.request_id(request))
    return found


@router.post("/api/lots/{lot_id}/state", allow=Permission.STOCK_LOT_EDIT)
def move_lot(request: Request, lot_id: UUID, body: wire.MoveLot) -> wire.Lot:
    """Freeze a lot, release it, or withdraw what is unsold of it."""
    ctx, who = context.of(request), policy.actor(request)
    with ctx.db.tx() as tx:
        lot = lots.move(tx, lot_id, body, actor=who, request_id=web.request_id(request))
        sku = catalog.sku_terms(tx, [lot.sku_id])[lot.sku_id]
        answer = queries.lot(tx, lot_id, sku.sku_code)
    ctx.jobs.wake()
    return answer


@router.post("/api/imports/{import_id}/withdraw", allow=Permission.STOCK_LOT_EDIT)
def withdraw_import(request: Request, import_id: UUID, body: wire.WithdrawImport) -> wire.Withdrawn:
    """Withdraw what is unsold of all lots of one import. Repeating withdraws nothing."""
    ctx, who = context.of(request), policy.actor(request)
    with ctx.db.tx() as tx:
        done = lots.withdraw_import(tx, import_id, body, actor=who, request_id=web.request_id(request))
    ctx.jobs.wake()
    return done


@router.get("/api/alerts", allow=Permission.STOCK_ALERT_READ)
def list_alerts(
    request: Request,
    live: bool = True,  # noqa: FBT001 - a word of the address
    after: str | None = Query(default=None, max_length=64),
    limit: int = Query(default=200, ge=1, le=1_000),
) -> Page[alert_wire.Alert]:
    """Alerts that stand, the costliest first; or, with `live=false`, those that were cleared, newest first."""
    with context.of(request).db.read() as tx:
        read = alerts.ranked if live else alerts.cleared
        return read(tx, policy.actor(request), after=after, limit=limit)


@router.post("/api/alerts/{alert_id}/clear", allow=Permission.STOCK_ALERT_EDIT)
def clear_alert(request: Request, alert_id: UUID) -> alert_wire.Alert:
    """Somebody has dealt with what happened. Alerts of counts clear by themselves. Repeating changes nothing."""
    ctx, who = context.of(request), policy.actor(request)
    with ctx.db.tx() as tx:
        return alerts.one(tx, alerts.clear(tx, who, alert_id, request_id=web.request_id(request)))


@router.get("/api/stock/{sku}/alerts", allow=Permission.STOCK_ALERT_READ)
def read_alert_rule(request: Request, sku: str) -> alert_wire.AlertRule:
    """The alert rule of one SKU: what somebody set, or the defaults."""
    with context.of(request).db.read() as tx:
        sku_id = _sku(tx, policy.actor(request), sku).sku_id
        return alerts.rules(tx, [sku_id])[sku_id]


@router.put("/api/stock/{sku}/alerts", allow=Permission.STOCK_ALERT_EDIT)
def change_alert_rule(request: Request, sku: str, body: alert_wire.AlertRule) -> alert_wire.AlertRule:
    """Set the alert rule of one SKU. The last one to come holds."""
    ctx, who = context.of(request), policy.actor(request)
    with ctx.db.tx() as tx:
        terms = _sku(tx, who, sku)
        alerts.change_rule(
            tx, terms.sku_id, body, supplier_id=terms.supplier_id, who=who, request_id=web.request_id(request)
        )
    return body


@router.post("/sync/v1/imports", allow=Permission.STOCK_IMPORT_CREATE, status_code=201)
def declare_import(request: Request, body: wire.NewImport) -> wire.Import:
    """Announce a file: its chunks may follow. The same again is harmless and answers what is still missing."""
    ctx, who = context.of(request), policy.actor(request)
    with ctx.db.tx() as tx:
        terms = _sku(tx, who, body.sku)
        known = tx.get(StockImport, body.id)
        if known is not None:
            _import(tx, who, body.id)  # somebody else's id does not exist for this actor
        shelf = intake.Shelf(
            sku_id=terms.sku_id,
            sku_code=terms.sku_code,
            product_id=terms.product_id,
            supplier_id=terms.supplier_id,
        )
        row = intake.declare(tx, ctx.keys, body, shelf, actor=who.label)
        return queries.as_import(tx, row)


@router.delete("/sync/v1/imports/{import_id}", allow=Permission.STOCK_IMPORT_CREATE)
def cancel_import(request: Request, import_id: UUID) -> wire.Import:
    """Give an upload up before its commit; nothing of it is left in stock. Repeating changes nothing."""
    ctx, who = context.of(request), policy.actor(request)
    with ctx.db.tx() as tx:
        _import(tx, who, import_id)
        answer = queries.as_import(tx, intake.cancel(tx, import_id, actor=who.label))
    ctx.jobs.wake()
    return answer


@router.put("/sync/v1/imports/{import_id}/chunks/{n}", allow=Permission.STOCK_IMPORT_CREATE, status_code=204)
async def receive_chunk(request: Request, import_id: UUID, n: Annotated[int, Path(ge=0, lt=wire.MAX_CHUNKS)]) -> None:
    """Take one sealed chunk as it is. `Content-Digest` is checked, so that a broken line shows as such.

    `async`, because the body is read here and not by the framework; the database work happens in a thread.
    """
    sealed = await request.body()
    await run_in_threadpool(_receive, request, import_id, n, sealed)


@router.get("/sync/v1/imports/{import_id}", allow=Permission.STOCK_IMPORT_CREATE)
def read_import(request: Request, import_id: UUID) -> wire.Import:
    """Progress and result, and the chunks that are missing: where an upload goes on after a crash."""
    with context.of(request).db.read() as tx:
        return queries.as_import(tx, _import(tx, policy.actor(request), import_id))


@router.post("/sync/v1/imports/{import_id}/commit", allow=Permission.STOCK_IMPORT_CREATE)
def commit_import(request: Request, import_id: UUID, body: wire.CommitImport) -> wire.Import:
    """The whole file has arrived: what is stored of it may sell. Repeating changes nothing."""
    ctx, who = context.of(request), policy.actor(request)

    def commit(tx: Tx) -> wire.Import:
        _import(tx, who, import_id)
        return queries.as_import(tx, intake.commit(tx, import_id, body, actor=who.label))

    answer = retrying(ctx.db, commit)
    ctx.jobs.wake()
    return answer


@router.get("/sync/v1/imports/{import_id}/refused", allow=Permission.STOCK_IMPORT_CREATE)
def list_refused(
    request: Request,
    import_id: UUID,
    after: int = Query(default=0, ge=0, le=2**62),
    limit: int = Query(default=1_000, ge=1, le=10_000),
) -> Page[wire.RefusedLine]:
    """The lines of the file that were not taken, by line number."""
    with context.of(request).db.read() as tx:
        _import(tx, policy.actor(request), import_id)
        return queries.refused_lines(tx, import_id, after=after, limit=limit)


# --- keys ---


@router.post(
    "/api/stock/{sku}/units/{seq}/reveal", allow=Permission.STOCK_UNIT_REVEAL, response_model=wire.RevealedUnit
)
def reveal_unit(
    request: Request, sku: str, seq: Annotated[int, Path(ge=0, le=2**62)], body: wire.RevealUnit
) -> Response:
    """One clear key, for who proves now that they are there and says why. Logged before it is opened."""
    ctx, who = context.of(request), policy.actor(request)
    with ctx.db.read() as tx:
        terms = _sku(tx, who, sku)
    shown = inspection.reveal(ctx, who, terms, seq, body, request_id=web.request_id(request))
    return JSONResponse(shown.model_dump(mode="json"), headers={"cache-control": "no-store"})


def _sku(tx: Tx, who: Actor, code: str) -> SaleTerms:
    terms = catalog.visible_sku(tx, who, code)
    if terms is None:
        raise intake.UnknownSku(sku=code)
    return terms


def _import(tx: Tx, who: Actor, import_id: UUID) -> StockImport:
    row = tx.scalars(visible(who, StockImport).where(StockImport.id == import_id)).first()
    if row is None:
        raise NotFound
    return row


def _receive(request: Request, import_id: UUID, n: int, sealed: bytes) -> None:
    ctx: Context = context.of(request)
    _check_digest(request.headers.get("content-digest"), sealed)
    with ctx.db.read() as tx:
        _import(tx, policy.actor(request), import_id)
    chunk = intake.inspect(ctx.keys, import_id, n, sealed)  # between the transactions: it takes milliseconds
    # Nobody looks at it: the step that stores chunks before it is not cut short.
    retrying(ctx.db, lambda tx: intake.receive(tx, import_id, chunk), patient=True)
    ctx.jobs.wake()


def _check_digest(header: str | None, sealed: bytes) -> None:
    """RFC 9530: `sha-256=:<base64>:`. Raises BadField when it is missing, unreadable or of other bytes."""
    name = "Content-Digest"
    if header is None or not header.startswith("sha-256=:") or not header.endswith(":"):
        raise BadField(field=name, reason="sha-256=:…:")
    try:
        stated = base64.b64decode(header[9:-1], validate=True)
    except ValueError:  # of base64: not its alphabet, or not ASCII at all
        raise BadField(field=name, reason="base64") from None
    if not hmac.compare_digest(stated, hashlib.sha256(sealed).digest()):
        raise BadField(field=name, reason="≠")
