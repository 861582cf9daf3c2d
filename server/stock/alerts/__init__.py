"""Stock alerts: what stands, the rules that raise it, and what a person may say about either.

`watch` raises and clears what follows from counts; what happened (a key that another supplier had brought, keys looked
at too often) is raised by who notices it, and stands until somebody clears it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from datetime import date
from uuid import UUID

from sqlalchemy import Select, func, select, update
from sqlalchemy.exc import IntegrityError

from server import audit, changes
from server.catalog import queries as catalog
from server.db import Tx, rows_changed, table_of
from server.policy import Actor, visible
from server.stock.alerts import cover
from server.stock.alerts.cover import Pace, Supply
from server.stock.model import AlertRule, StockAlert
from shared import clock, ids
from shared.contracts import alerts as wire
from shared.contracts.base import Page
from shared.errors import BadField, Conflict, NotFound
from shared.permissions import Permission
from shared.states import AlertKind

STAFF_KINDS = frozenset({AlertKind.OFFERED_ELSEWHERE, AlertKind.REVEALED_OFTEN})
"""Of these a supplier hears nothing: they would tell whose key it was, or what staff did."""

MOST_LIVE = 5_000
"""Ranking reads all that stand; a shop with more than this has other worries than their order."""

DOMAIN, STAFF_DOMAIN = "alerts", "alerts_staff"
_STAFF_KINDS = sorted(kind.value for kind in STAFF_KINDS)


class AlertStands(Conflict):
    """Clearing by hand would only make it come again."""

    code = "alert_stands"
    zh = "该预警会在库存恢复后自动解除，无需手动处理。"
    en = "This alert clears by itself once the stock is back; there is nothing to clear by hand."


# --- raising and clearing ---


def raise_alert(tx: Tx, kind: AlertKind, *, sku_id: UUID, supplier_id: UUID, add: int) -> None:
    """Raise an alert of something that happened, or count `add` more on the one that stands."""
    standing = StockAlert.live_key == _live_key(kind, sku_id)
    more = update(StockAlert).where(standing).values(figure=StockAlert.figure + add)
    # By the live key: what somebody clears at this moment is not added to, but raised anew.
    if rows_changed(tx.execute(more)) == 0:
        alert_id = insert(tx, kind, sku_id, supplier_id, add)
        if alert_id is not None:
            announce(tx, alert_id, kind, supplier_id)
            return
        tx.execute(more)  # another process raised it at the same time
    for alert_id in tx.scalars(select(StockAlert.id).where(standing)):
        announce(tx, alert_id, kind, supplier_id)


def insert(tx: Tx, kind: AlertKind, sku_id: UUID, supplier_id: UUID, figure: int) -> UUID | None:
    """Insert an alert that stands; None when one of its kind already does."""
    alert_id = ids.new_id()
    row = {
        "id": alert_id,
        "sku_id": sku_id,
        "supplier_id": supplier_id,
        "kind": kind.value,
        "live_key": _live_key(kind, sku_id),
        "figure": figure,
        "raised_at": clock.now(),
    }
    try:
        with tx.begin_nested():
            tx.execute(table_of(StockAlert).insert(), row)
    except IntegrityError:
        return None
    return alert_id


def end(tx: Tx, alert: StockAlert) -> None:
    """Clear an alert, unless somebody else just did."""
    tx.execute(
        update(StockAlert)
        .where(StockAlert.id == alert.id, StockAlert.live_key.is_not(None))
        .values(live_key=None, cleared_at=clock.now())
    )
    announce(tx, alert.id, AlertKind(alert.kind), alert.supplier_id)


def grow(tx: Tx, alert: StockAlert, figure: int) -> None:
    """More of the same came to an alert that stands."""
    tx.execute(update(StockAlert).where(StockAlert.id == alert.id).values(figure=figure))
    announce(tx, alert.id, AlertKind(alert.kind), alert.supplier_id)


def announce(tx: Tx, alert_id: UUID, kind: AlertKind, supplier_id: UUID) -> None:
    """Tell the consoles that may know of it. It is not audited: it follows from what is."""
    domain = STAFF_DOMAIN if kind in STAFF_KINDS else DOMAIN
    changes.append(tx, "alert", alert_id, domain=domain, supplier_id=supplier_id)


def clear(tx: Tx, who: Actor, alert_id: UUID, *, request_id: str | None = None) -> StockAlert:
    """A person has dealt with it. Repeating changes nothing.

    Raises NotFound outside of the actor's scope, AlertStands for what follows from counts.
    """
    alert = tx.scalars(_visible(who).where(StockAlert.id == alert_id).with_for_update()).first()
    if alert is None:
        raise NotFound
    if AlertKind(alert.kind) not in STAFF_KINDS:
        raise AlertStands
    if alert.live_key is not None:
        end(tx, alert)
        audit.append(
            tx,
            actor=who.label,
            action="alert.clear",
            entity="alert",
            entity_id=str(alert_id),
            detail={"kind": alert.kind, "figure": alert.figure},
            request_id=request_id,
        )
        tx.refresh(alert)
    return alert


def standing(
    tx: Tx, kinds: Collection[AlertKind], sku_ids: Collection[UUID]
) -> dict[tuple[UUID, AlertKind], StockAlert]:
    """The alerts of these kinds that stand for these SKUs."""
    wanted = [_live_key(kind, sku_id) for sku_id in sku_ids for kind in kinds]
    rows = tx.scalars(select(StockAlert).where(StockAlert.live_key.in_(wanted)))
    return {(row.sku_id, AlertKind(row.kind)): row for row in rows}


def _live_key(kind: AlertKind, sku_id: UUID) -> str:
    return f"{kind.value}:{sku_id}"


# --- rules ---


def rules(tx: Tx, sku_ids: Collection[UUID]) -> dict[UUID, wire.AlertRule]:
    """The rule of each SKU: what somebody set, or the defaults."""
    set_by_hand = {
        row.sku_id: wire.AlertRule(below=row.below, cover_days=row.cover_days, expiring_days=row.expiring_days)
        for row in tx.scalars(select(AlertRule).where(AlertRule.sku_id.in_(list(sku_ids))))
    }
    usual = wire.AlertRule()
    return {sku_id: set_by_hand.get(sku_id, usual) for sku_id in sku_ids}


def change_rule(
    tx: Tx, sku_id: UUID, rule: wire.AlertRule, *, supplier_id: UUID, who: Actor, request_id: str | None = None
) -> None:
    """Set the rule of a SKU; the last one to come holds. The watch looks at the SKU soon. Caller checked the scope."""
    values = rule.model_dump() | {"changed_by": who.label, "changed_at": clock.now()}
    changed = update(AlertRule).where(AlertRule.sku_id == sku_id).values(values)
    catalog.lock_sku(tx, sku_id)  # two who both found none and both insert end in a deadlock on MariaDB
    if rows_changed(tx.execute(changed)) == 0:
        tx.execute(table_of(AlertRule).insert(), values | {"sku_id": sku_id})
    audit.append(
        tx,
        actor=who.label,
        action="stock.alert_rule",
        entity="sku",
        entity_id=str(sku_id),
        detail=rule.model_dump(),
        request_id=request_id,
    )
    changes.append(tx, "sku", sku_id, domain="stock", supplier_id=supplier_id)


# --- reading ---


def live_counts(tx: Tx, who: Actor, sku_ids: Collection[UUID]) -> dict[UUID, int]:
    """How many alerts that this actor may see stand for each of these SKUs; those without one are missing."""
    kinds = [kind for kind in AlertKind if kind not in STAFF_KINDS or _sees_staff_kinds(who)]
    found: dict[UUID, int] = defaultdict(int)
    for sku_id, _ in standing(tx, kinds, sku_ids):
        found[sku_id] += 1
    return dict(found)


def live_by_kind(tx: Tx) -> dict[AlertKind, int]:
    """How many alerts of each kind stand, for /metrics."""
    query = select(StockAlert.kind, func.count()).where(StockAlert.live_key.is_not(None)).group_by(StockAlert.kind)
    counted: dict[str, int] = dict(tx.execute(query).all())
    return {kind: counted.get(kind.value, 0) for kind in AlertKind}


def ranked(tx: Tx, who: Actor, *, after: str | None, limit: int) -> Page[wire.Alert]:
    """A page of what stands, the costliest first; `after` is a place in that order."""
    start = _number(after)
    newest = _visible(who).where(StockAlert.live_key.is_not(None)).order_by(StockAlert.id.desc()).limit(MOST_LIVE)
    everything = sorted(_listed(tx, tx.scalars(newest).all()), key=lambda alert: -alert.loss_fen)
    items, stop = everything[start : start + limit], start + limit
    return Page[wire.Alert](items=items, next=str(stop) if len(everything) > stop else None)


def cleared(tx: Tx, who: Actor, *, after: str | None, limit: int) -> Page[wire.Alert]:
    """A page of what stands no longer, newest first; `after` is the last id of the page before."""
    query = _visible(who).where(StockAlert.live_key.is_(None)).order_by(StockAlert.id.desc())
    if after is not None:
        query = query.where(StockAlert.id < _id(after))
    rows = tx.scalars(query.limit(limit + 1)).all()
    items = _listed(tx, rows[:limit])
    return Page[wire.Alert](items=items, next=str(items[-1].id) if len(rows) > limit else None)


def one(tx: Tx, alert: StockAlert) -> wire.Alert:
    """One alert as the console shows it."""
    return _listed(tx, [alert])[0]


def _visible(who: Actor) -> Select[StockAlert]:
    query = visible(who, StockAlert)
    return query if _sees_staff_kinds(who) else query.where(StockAlert.kind.not_in(_STAFF_KINDS))


def _sees_staff_kinds(who: Actor) -> bool:
    return who.may(Permission.STOCK_UNIT_REVEAL)


def _number(after: str | None) -> int:
    if after is None:
        return 0
    if not (after.isascii() and after.isdecimal() and len(after) < 10):
        raise BadField(field="after", reason=after)
    return int(after)


def _id(after: str) -> UUID:
    try:
        return UUID(after)
    except ValueError:
        raise BadField(field="after", reason=after) from None


def _listed(tx: Tx, rows: Sequence[StockAlert]) -> list[wire.Alert]:
    if not rows:
        return []
    sku_ids = {row.sku_id for row in rows}
    skus = catalog.watched_skus(tx, sku_ids)
    supplies = cover.supplies(tx, sku_ids, now=clock.now())
    own_rules = rules(tx, sku_ids)
    paces = _paces(tx, rows, supplies)
    expiring = cover.expiring(tx, {x: rule.expiring_days or 0 for x, rule in own_rules.items()}, now=clock.now())
    listed = []
    for row in rows:
        sku, supply, pace = skus[row.sku_id], supplies.get(row.sku_id, Supply()), paces.get(row.id, Pace())
        figure = _figure(row, supply, pace, expiring.get(row.sku_id))
        listed.append(
            wire.Alert(
                id=row.id,
                sku=sku.code,
                name=sku.title,
                supplier=sku.supplier,
                kind=AlertKind(row.kind),
                figure=figure,
                for_sale=supply.for_sale,
                daily=pace.tenths,
                loss_fen=_loss_fen(row.kind, figure, sku.unit_price, pace, own_rules[row.sku_id]),
                raised_at=row.raised_at,
                cleared_at=row.cleared_at,
            )
        )
    return listed


def _figure(row: StockAlert, supply: Supply, pace: Pace, expiring: int | None) -> int:
    """What crossed: as it is now while the alert stands, as it was noted once it is cleared."""
    if row.live_key is None:
        return row.figure
    now = {
        AlertKind.LOW_STOCK.value: supply.for_sale,
        AlertKind.LOW_COVER.value: pace.cover_tenths(supply.for_sale),
        AlertKind.EXPIRING.value: expiring,
    }.get(row.kind)
    return row.figure if now is None else now


def _paces(tx: Tx, rows: Sequence[StockAlert], supplies: dict[UUID, Supply]) -> dict[UUID, Pace]:
    """The pace by alert: today's, but of what has sold out that of its last days, as nothing sells now."""
    today = clock.shop_day(clock.now())
    by_day: dict[date, dict[UUID, UUID]] = defaultdict(dict)
    for row in rows:
        ended = row.kind == AlertKind.SOLD_OUT.value and row.live_key is not None
        by_day[clock.shop_day(row.raised_at) if ended else today][row.id] = row.sku_id
    paces: dict[UUID, Pace] = {}
    for day, alerts in by_day.items():
        sold = {sku_id: supplies.get(sku_id, Supply()).sold for sku_id in alerts.values()}
        of_sku = cover.paces(tx, sold, today=day)
        paces |= {alert_id: of_sku[sku_id] for alert_id, sku_id in alerts.items() if sku_id in of_sku}
    return paces


def _loss_fen(kind: str, figure: int, unit_price: int, pace: Pace, rule: wire.AlertRule) -> int:
    """The revenue of a day at stake: of what sells a day, or of what expires, spread over the days until then."""
    if kind == AlertKind.EXPIRING.value:
        return unit_price * figure // (100 * (rule.expiring_days or wire.DEFAULT_EXPIRING_DAYS))
    return unit_price * pace.sold // (100 * pace.days)
