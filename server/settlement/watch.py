"""What people must hear of in time: suppliers that owe the shop for long, and years whose holidays nobody entered."""

from __future__ import annotations

import logging
from datetime import timedelta
from uuid import UUID

from sqlalchemy import func, select

from server import audit, changes
from server.context import Context
from server.db import Tx
from server.identity.queries import supplier_names
from server.ledger import paying
from server.ledger import queries as ledger
from server.policy import SYSTEM
from server.settlement import terms, turns
from server.settlement.model import SettlementTurn
from server.settlement.statements import DOMAIN
from server.telemetry import Gauge
from shared import clock
from shared.money import Fen

LOOK_SECONDS = 3_600
OWING_DAYS = 7
"""A supplier whose balance stays below nothing for so long will hardly sell it off: people are told."""

_log = logging.getLogger("kameng.settlement")


def register(ctx: Context) -> None:
    """Wire this domain's schedule and figures; called once by `app`."""
    ctx.jobs.every("settlement.watch", LOOK_SECONDS, lambda: look(ctx), apart=True)
    ctx.metrics.watch(lambda: gauges(ctx))


def look(ctx: Context) -> None:
    """Note since when suppliers owe the shop, and tell of those that have for a week, and of a year to enter."""
    with ctx.db.tx() as tx:
        for supplier_id, debt in _debts(tx).items():
            _follow(tx, supplier_id, debt)
        year = terms.calendar(tx).lacks(clock.shop_day(clock.now()))
    if year is not None:
        _log.warning("the holidays of a year are not known", extra={"year": year})


def _debts(tx: Tx) -> dict[UUID, Fen]:
    """What each supplier owes beyond what it has available; nothing for those that are even."""
    payees = {supplier_id: paying.supplier(supplier_id) for supplier_id in supplier_names(tx)}
    kinds = {account.kind for payee in payees.values() for account in (payee.available, payee.owed)}
    has = ledger.nets(tx, kinds, [supplier_id.hex for supplier_id in payees])
    debts = {}
    for supplier_id, payee in payees.items():
        debts[supplier_id] = max(has.get(payee.owed, 0) - has.get(payee.available, 0), 0)
    return debts


def _follow(tx: Tx, supplier_id: UUID, debt: Fen) -> None:
    row = tx.get(SettlementTurn, supplier_id)
    if debt == 0 and (row is None or row.owing_since is None):
        return
    turns.take(tx, [supplier_id])
    row = tx.get(SettlementTurn, supplier_id, populate_existing=True)
    assert row is not None
    now = clock.now()
    if debt == 0:
        row.owing_since, row.told_at = None, None
    elif row.owing_since is None:
        row.owing_since = now
    elif row.told_at is None and now - row.owing_since >= timedelta(days=OWING_DAYS):
        row.told_at = now
        _log.warning("a supplier owes the shop", extra={"supplier": str(supplier_id), "fen": debt})
        audit.append(
            tx,
            actor=SYSTEM.label,
            action="settlement.owing",
            entity="supplier",
            entity_id=str(supplier_id),
            detail={"owed_fen": debt, "since": row.owing_since.isoformat()},
        )
    else:
        return
    tx.flush()
    changes.append(tx, "settlement", supplier_id, domain=DOMAIN, supplier_id=supplier_id)


def gauges(ctx: Context) -> list[Gauge]:
    """For /metrics: suppliers that have owed the shop for a week, and the year whose holidays are lacking."""
    with ctx.db.read() as tx:
        told = select(func.count()).select_from(SettlementTurn).where(SettlementTurn.told_at.is_not(None))
        owing = tx.scalar(told) or 0
        year = terms.calendar(tx).lacks(clock.shop_day(clock.now()))
    return [
        Gauge("kameng_suppliers_owing", owing, "Suppliers that have owed the shop for a week"),
        Gauge("kameng_holidays_unknown", year or 0, "The year whose holidays must be entered now, or 0"),
    ]
