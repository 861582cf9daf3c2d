"""Stock alerts: what stands, what was, the rule of a SKU."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import TypeAdapter

from desktop.engine.engine import Engine
from desktop.engine.transport import Call
from desktop.operations.seen import Seen, look, name_of
from shared.contracts.alerts import Alert, AlertRule
from shared.contracts.base import Page

_ALERTS: TypeAdapter[Page[Alert]] = TypeAdapter(Page[Alert])


@dataclass(frozen=True, slots=True)
class AlertCleared:
    """A person has seen to it."""

    alert: Alert


@dataclass(frozen=True, slots=True)
class RuleSet:
    """A SKU has another rule."""

    sku: str
    rule: AlertRule


async def list_alerts(engine: Engine, *, live: bool, after: str | None = None) -> Seen[Page[Alert]]:
    """Those that stand, the most money first; or those that are over, newest first."""
    query = {"live": str(live).lower(), "after": after}
    return await look(
        engine, list_name=name_of("alerts", **query), call=Call("GET", "/api/alerts", query=query), answer=_ALERTS
    )


async def clear(engine: Engine, alert: Alert) -> AlertCleared:
    """Say that it was seen to. It comes back when its figure crosses the rule again."""
    await engine.session.tell(Call("POST", f"/api/alerts/{alert.id}/clear"))
    engine.announce("alert", initiator="alert.clear")
    return AlertCleared(alert)


async def rule_of(engine: Engine, sku: str) -> AlertRule:
    """The rule of a SKU; the defaults when nobody touched it."""
    return await engine.session.ask(Call("GET", f"/api/stock/{sku}/alerts"), AlertRule)


async def set_rule(engine: Engine, sku: str, rule: AlertRule) -> RuleSet:
    """Give a SKU another rule."""
    await engine.session.tell(Call("PUT", f"/api/stock/{sku}/alerts", body=rule))
    engine.announce("alert", initiator="alert.rule")
    return RuleSet(sku, rule)
