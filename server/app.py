"""The composition root: makes the parts of a process and the app that serves them. The only file that wires.

`assemble` makes the parts without HTTP, for workers, checks and tests; `build` puts the app around them. Domains
register their commands and jobs here; a route that does not say who is allowed cannot be added.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial

import anyio.to_thread
from alembic.runtime.migration import MigrationContext
from fastapi import FastAPI, Request, Response
from starlette.concurrency import run_in_threadpool

from server import audit, changes, context, jobs, migrations, telemetry, web
from server.batch import CAPACITY, Batch
from server.catalog import routes as catalog_routes
from server.context import Context
from server.crypto import KeyRing
from server.db import Database
from server.gateways import setup
from server.gateways.clocks import TimedLine
from server.gateways.port import Gateway
from server.gateways.unusable import ChannelUnusable
from server.gateways.wechat import WechatGateway
from server.identity import actions as identity
from server.identity import routes as identity_routes
from server.invariants import look
from server.ledger import days
from server.outbound import Outbound
from server.payments import checkout
from server.payments import routes as payment_routes
from server.payments.adjustments import routes as adjustment_routes
from server.payments.disputes import routes as dispute_routes
from server.payments.refunds import following
from server.payments.refunds import routes as refund_routes
from server.policy import OPERATIONS, PUBLIC, GuardedRoute, Router
from server.reconcile import following as differences
from server.reconcile import owed, running
from server.reconcile import routes as reconcile_routes
from server.reports import routes as report_routes
from server.reports.books import routes as book_routes
from server.settings import Settings
from server.settlement import routes as settlement_routes
from server.settlement import watch as settlement_watch
from server.stock import alerts, lots
from server.stock import routes as stock_routes
from server.stock.alerts import watch
from server.stock.claims.hints import Hints
from server.stock.imports import intake
from server.storefront import order_routes as storefront_order_routes
from server.storefront import payer_routes as storefront_payer_routes
from server.storefront import refund_routes as storefront_refund_routes
from server.storefront import rendering
from server.storefront import routes as storefront_routes
from server.sync import routes as sync_routes

_log = logging.getLogger("kameng.app")

INVARIANTS_SECONDS = 60

BUSY_SHARE = 0.8
"""A queue fuller than this turns the process away from the balancer."""

BILL_SECONDS, BILL_BYTES = 120.0, 64 * 1024 * 1024
"""A day's bill may take its time, and be large."""

RENEWAL_SECONDS = 15
"""How soon certificates that somebody signed with are fetched."""

health_routes = Router()

ROUTERS: tuple[Router, ...] = (
    health_routes,
    payment_routes.notifications,
    payment_routes.router,
    refund_routes.router,
    storefront_routes.router,
    storefront_order_routes.router,
    storefront_payer_routes.router,
    storefront_refund_routes.router,
    identity_routes.router,
    catalog_routes.router,
    stock_routes.router,
    reconcile_routes.router,
    settlement_routes.router,
    adjustment_routes.router,
    dispute_routes.router,
    book_routes.router,
    report_routes.router,
    sync_routes.router,
)
CALLBACKS: tuple[Router, ...] = (health_routes, payment_routes.notifications)


def assemble(settings: Settings) -> Context:
    """The parts of a process, wired but not started. Raises what the key ring or the database refuses."""
    keys = KeyRing.parse(settings.key_ring) if settings.key_ring else KeyRing.load(settings.key_ring_file)
    db = Database(settings.database_url)
    outbound, health = Outbound(), telemetry.Health()
    ctx = Context(
        settings=settings,
        db=db,
        batch=Batch(db),
        jobs=jobs.Jobs(db),
        keys=keys,
        gateways=_gateways(settings, keys, outbound, health),
        outbound=outbound,
        hints=Hints(),
        health=health,
    )
    intake.register(ctx)
    lots.register(ctx)
    watch.register(ctx)
    checkout.register(ctx)
    following.register(ctx)
    settlement_watch.register(ctx)
    running.register(ctx)
    differences.register(ctx)
    owed.register(ctx)
    ctx.batch.after_commit(ctx.jobs.wake)
    ctx.jobs.every("changes.advance", 1, lambda: changes.advance(db))
    ctx.jobs.every("audit.seal", 5, lambda: audit.seal(db))
    ctx.jobs.every("jobs.forget", 3_600, ctx.jobs.forget_done)
    ctx.jobs.every("ledger.close_days", 600, lambda: days.close_days(db))
    ctx.jobs.every("invariants", INVARIANTS_SECONDS, lambda: _check_invariants(ctx), apart=True)
    ctx.metrics.watch(lambda: _gauges(ctx))
    return ctx


def build(
    settings: Settings, *, ctx: Context | None = None, only_callbacks: bool = False, worker: bool = True
) -> FastAPI:
    """The app. With `worker` jobs run in its threads, as they must on SQLite. `ctx` is for who assembled before."""
    parts = ctx or assemble(settings)
    app = FastAPI(
        title="Kameng",
        openapi_url=None,  # the contract is shared/contracts; a live shop does not describe itself to strangers
        docs_url=None,
        redoc_url=None,
        lifespan=partial(_run, parts, worker),
        redirect_slashes=False,
    )
    app.state.context = parts
    app.state.find_staff = partial(identity.recognise, idle=timedelta(hours=settings.session_idle_hours))
    app.state.render_problem = rendering.render_problem
    web.install(app, settings, metrics=parts.metrics)
    include(app, CALLBACKS if only_callbacks else ROUTERS)
    return app


def include(app: FastAPI, routers: Sequence[Router]) -> None:
    """Add the routes, flat, in order. What is not guarded is refused: default deny holds at import."""
    for router in routers:
        for route in router.routes:
            if not isinstance(route, GuardedRoute):
                raise TypeError(f"{route} does not say who is allowed")
            app.router.routes.append(route)


@asynccontextmanager
async def _run(ctx: Context, worker: bool, _app: FastAPI) -> AsyncIterator[None]:  # noqa: FBT001 - bound by `partial`
    """Start lanes and worker; at the end finish what was accepted, jobs first, because they submit to the lanes."""
    # Ordinary routes run in these threads, and what routes on the loop read (the loop's own pool would have six on two
    # cores); each may hold a database connection.
    anyio.to_thread.current_default_thread_limiter().total_tokens = ctx.settings.threads
    readers = ThreadPoolExecutor(ctx.settings.threads, thread_name_prefix="reader")
    asyncio.get_running_loop().set_default_executor(readers)
    async with ctx.outbound:
        ctx.batch.start()
        if worker:
            ctx.jobs.start()
        renewing = asyncio.create_task(_renew_certificates(ctx))
        try:
            yield
        finally:
            renewing.cancel()
            ctx.health.draining = True
            await run_in_threadpool(ctx.jobs.close)
            await run_in_threadpool(ctx.batch.close)
    ctx.db.close()


def _gateways(settings: Settings, keys: KeyRing, outbound: Outbound, health: telemetry.Health) -> dict[str, Gateway]:
    """The channels that can be paid through. One that cannot be used is told of and left out: the shop still opens."""
    downloads = Outbound(total_seconds=BILL_SECONDS, max_answer_bytes=BILL_BYTES)
    gateways: dict[str, Gateway] = {}
    for channel in keys.channels():
        heard = partial(health.record_clock, channel)
        try:
            gateways[channel] = setup.gateway_of(
                channel,
                keys.channel(channel),
                settings,
                calls=TimedLine(outbound, heard),
                downloads=downloads,
                keep=partial(setup.keep_certificates, keys, channel),
            )
        except ChannelUnusable as problem:
            _log.warning(problem.sentence("en"))
    return gateways


async def _renew_certificates(ctx: Context) -> None:
    """For as long as the process serves: beside the requests, because a notification does not wait for a download."""
    while True:
        await asyncio.sleep(RENEWAL_SECONDS)
        for gateway in ctx.gateways.values():
            if isinstance(gateway, WechatGateway):
                await gateway.renew_if_wanted()


def _check_invariants(ctx: Context) -> None:
    report = look.look(ctx.db, pause=ctx.jobs.pause)
    if report is None:
        return
    ctx.health.record_invariants(findings=len(report.findings))
    for finding in report.findings:
        _log.error("invariant violated", extra={"invariant": finding.invariant, "rows": len(finding.rows)})


# --- health ---


@health_routes.get("/livez", allow=PUBLIC)
async def livez() -> dict[str, str]:
    """The process answers."""
    return {"status": "ok"}


@health_routes.get("/readyz", allow=PUBLIC, response_model=None)
def readyz(request: Request) -> Response:
    """Whether this process should get requests: database, schema, lanes, queue; red while it drains."""
    ctx = context.of(request)
    checks = {
        "draining": lambda: not ctx.health.draining,
        "database": lambda: _answers(ctx.db),
        "schema": lambda: schema_is_current(ctx.db),
        "batch": lambda: ctx.batch.alive,
        "queue": lambda: ctx.batch.depth < CAPACITY * BUSY_SHARE,
    }
    ready, results = telemetry.readiness(checks)
    shown = {
        "status": "ok" if ready else "failed",
        **results,
        "invariants": ctx.health.invariants(),
        "clock": ctx.health.clock(),
    }
    return web.plain_json(shown, 200 if ready else 503)


@health_routes.get("/metrics", allow=OPERATIONS, response_model=None)
def metrics(request: Request) -> Response:
    """Figures for Prometheus."""
    return Response(context.of(request).metrics.render(), media_type="text/plain; version=0.0.4; charset=utf-8")


def _answers(db: Database) -> bool:
    db.ping()
    return True


def schema_is_current(db: Database) -> bool:
    """Whether the database has the version this code needs. Reads only: it does not wait for the writer."""
    with db.read() as tx:
        return MigrationContext.configure(tx.connection()).get_current_revision() == migrations.head()


def _gauges(ctx: Context) -> list[telemetry.Gauge]:
    figures = ctx.batch.figures
    gauges = [
        telemetry.Gauge("kameng_batch_queue_depth", ctx.batch.depth, "Commands that wait for a lane"),
        telemetry.Gauge("kameng_batch_batches", figures.batches, "Committed batches since the start"),
        telemetry.Gauge("kameng_batch_commands", figures.commands, "Commands in them"),
        telemetry.Gauge("kameng_batch_largest", figures.largest, "Commands of the largest batch"),
        telemetry.Gauge("kameng_batch_replayed", figures.replayed, "Batches replayed one by one"),
        telemetry.Gauge("kameng_batch_retried", figures.retried, "Batches run again after a deadlock"),
        telemetry.Gauge("kameng_orders_refused_from_memory", ctx.hints.refused, "Orders refused as probably sold out"),
    ]
    gauges += [
        telemetry.Gauge("kameng_batch_sizes", count, "Batches by size, up to a power of two", {"le": str(size)})
        for size, count in sorted(dict(figures.by_size).items())
    ]
    with ctx.db.read() as tx:
        counts = jobs.counts(tx)
        standing = alerts.live_by_kind(tx)
    gauges += [
        telemetry.Gauge("kameng_jobs", count, "Live jobs by state", {"state": state})
        for state, count in sorted(counts.items())
    ]
    gauges += [
        telemetry.Gauge("kameng_alerts", count, "Stock alerts that stand, by kind", {"kind": kind.value})
        for kind, count in standing.items()
    ]
    return gauges + ctx.health.gauges()
