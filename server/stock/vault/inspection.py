"""A member of staff looks at one card key: scope, limit, second factor, log, and only then the key.

The code of the second factor is used up, and the log and the audit row written, in one transaction that is committed
before anything is opened.
"""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from uuid import UUID

from sqlalchemy import func, select

from server import audit, telemetry
from server.catalog.queries import SaleTerms
from server.context import Context
from server.db import Tx, retrying
from server.identity import actions as identity
from server.identity.actions import Present
from server.policy import Actor
from server.stock import alerts, vault, withdrawal
from server.stock.model import RevealLog
from shared import clock
from shared.cardkey import parse_canonical
from shared.contracts import stock as wire
from shared.errors import Conflict, KamengError, NotFound, TooMany
from shared.states import AlertKind

MOST_AN_HOUR = 10
HOUR = timedelta(hours=1)
_LIMIT, _ALARM = "staff_reveal", "staff_reveal_alarm"


class KeyForgotten(Conflict):
    """The key was deleted with its withdrawn lot."""

    code = "key_forgotten"
    zh = "该卡密在批次撤回时已删除，无法查看。"
    en = "This key was deleted when its lot was withdrawn; it can no longer be shown."


def reveal(
    ctx: Context, who: Actor, terms: SaleTerms, seq: int, body: wire.RevealUnit, *, request_id: str
) -> wire.RevealedUnit:
    """Show one key of a SKU that the actor may see. Runs in a worker thread.

    Raises NotFound, KeyForgotten, TooMany, TotpNotEnrolled, PresenceUnproved; then nothing was opened.
    """
    with ctx.db.read() as tx:
        _require_key(tx, terms.sku_id, seq)
    _take_a_try(ctx, who, terms, request_id)
    wanted = vault.Inspection(sku_id=terms.sku_id, seq=seq, reason=body.reason)
    try:
        person, view_id = retrying(ctx.db, partial(_admit, ctx, who, terms, wanted, body.totp, request_id))
    except KamengError as refusal:
        told: dict[str, telemetry.Fact] = {"actor": who.label, "request_id": request_id, "outcome": refusal.code}
        telemetry.decision("staff reveal refused", told)
        raise
    with ctx.db.read() as tx:
        secret = vault.inspected(tx, ctx.keys, view_id)
    if secret is None:
        raise KeyForgotten
    now, card = clock.now(), parse_canonical(secret.reveal())
    return wire.RevealedUnit(
        seq=seq,
        number=card.number,
        secret=card.secret,
        watermark=_watermark(person, request_id),
        revealed_at=now,
    )


def _admit(
    ctx: Context, who: Actor, terms: SaleTerms, wanted: vault.Inspection, totp: str, request_id: str, tx: Tx
) -> tuple[Present, UUID]:
    """Use the code up and log the view, both or neither, while no withdrawal forgets the key."""
    assert who.id is not None
    person = identity.prove_presence(tx, who.id, totp, keys=ctx.keys)
    withdrawal.hold_off(tx, terms.sku_id, wanted.seq)
    _require_key(tx, terms.sku_id, wanted.seq)
    return person, _log(tx, who, terms, wanted, request_id)


def _require_key(tx: Tx, sku_id: UUID, seq: int) -> None:
    found = vault.has_card(tx, sku_id, seq)
    if found is None:
        raise NotFound
    if not found:
        raise KeyForgotten


def _take_a_try(ctx: Context, who: Actor, terms: SaleTerms, request_id: str) -> None:
    """Count this try, right or wrong. Who goes on beyond the limit is reported, once an hour."""
    try:
        ctx.buckets.take(_LIMIT, str(who.id))
    except TooMany:
        try:
            ctx.buckets.take(_ALARM, str(who.id))
        except TooMany:
            pass
        else:
            with ctx.db.tx() as tx:
                _alarm(tx, who, terms, revealed=0, request_id=request_id)
        raise


def _log(tx: Tx, who: Actor, terms: SaleTerms, wanted: vault.Inspection, request_id: str) -> UUID:
    """Log one view, unless the person had too many in the last hour. Caller has locked the person's row."""
    now = clock.now()
    # From the lowest id on: staff's rows alone, by an index that buyers' are not found in.
    mine = (RevealLog.sku_id >= UUID(int=0), RevealLog.actor == who.label, RevealLog.revealed_at > now - HOUR)
    count, oldest = tx.execute(select(func.count(), func.min(RevealLog.revealed_at)).where(*mine)).one()
    if count >= MOST_AN_HOUR:
        raise TooMany(retry_after_seconds=int((oldest + HOUR - now).total_seconds()) + 1)
    [view_id] = vault.log_views(tx, [vault.View(wanted, actor=who.label, request_id=request_id)])
    audit.append(
        tx,
        actor=who.label,
        action="unit.reveal",
        entity="unit",
        entity_id=f"{terms.sku_code}:{wanted.seq}"[-64:],
        detail={"sku": terms.sku_code, "seq": wanted.seq, "reason": wanted.reason},
        request_id=request_id,
    )
    if count + 1 == MOST_AN_HOUR:
        _alarm(tx, who, terms, revealed=MOST_AN_HOUR, request_id=request_id)
    return view_id


def _alarm(tx: Tx, who: Actor, terms: SaleTerms, *, revealed: int, request_id: str) -> None:
    """Tell that a person reached the limit: a leak often looks like this."""
    alerts.raise_alert(tx, AlertKind.REVEALED_OFTEN, sku_id=terms.sku_id, supplier_id=terms.supplier_id, add=revealed)
    audit.append(
        tx,
        actor=who.label,
        action="unit.reveal_limit",
        entity="user",
        entity_id=str(who.id),
        detail={"sku": terms.sku_code, "revealed": revealed},
        request_id=request_id,
    )


def _watermark(person: Present, request_id: str) -> str:
    """Who looks, when, and which line of the log says so: a photo of the screen leads back to it."""
    at = clock.shop_time(clock.now())
    return f"{person.login} {person.name} {at:%Y-%m-%d %H:%M:%S} {request_id[-6:]}"
