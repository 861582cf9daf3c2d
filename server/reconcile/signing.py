"""Closing a channel's day: one person signs exactly what was seen, and nothing of the day changes any more.

Corrections go to a day that is open: what was carried over comes again there.
"""

from __future__ import annotations

from datetime import date

from sqlalchemy import update

from server import audit, changes
from server.db import Tx
from server.payments import kept_bills
from server.policy import Actor
from server.reconcile import days, feed, following, hashing, queries, running, wording
from server.reconcile.handling import DaySigned
from server.reconcile.model import ReconcileDifference, ReconcileSignature
from shared import clock
from shared.contracts.reconcile import SignDay
from shared.errors import Conflict
from shared.finance import BillKind


class DayNotReady(Conflict):
    """Something is missing before the day can be signed."""

    code = "day_not_ready"
    zh = "还不能签署 {channel} {day}：{waits}。"
    en = "{channel} {day} cannot be signed yet: {waits_en}."


class DayChanged(Conflict):
    """The day is not what the person saw."""

    code = "day_changed"
    zh = "{channel} {day} 在您查看之后有变化，没有签署。请看清最新结果后再签。"
    en = "{channel} {day} has changed since you looked at it: it was not signed. Look at it again."


class OursChanged(Conflict):
    """Our side of the day is not what was compared."""

    code = "ours_changed"
    zh = "{channel} {day} 对账之后平台数据有变化，请重新对账后再签署。"
    en = "Our books of {channel} for {day} have changed since they were compared: reconcile again, then sign."


def sign(tx: Tx, channel: str, day: date, body: SignDay, *, actor: Actor, request_id: str | None) -> ReconcileSignature:
    """Close a day. Raises DaySigned, DayNotReady, DayChanged, OursChanged."""
    where = {"channel": channel, "day": day.isoformat()}
    following.follow(tx)
    row = days.find(tx, channel, day, lock=True)
    if queries.is_signed(tx, channel, day):
        raise DaySigned(day=day.isoformat())
    current = kept_bills.current(tx, channel, day)
    differences = days.differences(tx, channel, day)
    waits = {language: _waits(tx, channel, day, language) for language in ("zh", "en")}
    if row is None or waits["zh"]:
        raise DayNotReady(**where, waits="；".join(waits["zh"]), waits_en="; ".join(waits["en"]))
    if row.outputs_sha256 != body.outputs_sha256 or row.outputs_sha256 != hashing.outputs(row.figures, differences):
        raise DayChanged(**where)
    used = [current[kind] for kind in BillKind if kind in current]
    if running.inputs_of(tx, channel, day, used) != row.inputs_sha256:
        raise OursChanged(**where)
    signature = ReconcileSignature(
        channel=channel,
        day=day,
        signed_by=actor.label,
        signed_at=clock.now(),
        note=body.note,
        inputs_sha256=row.inputs_sha256,
        outputs_sha256=row.outputs_sha256,
    )
    tx.add(signature)
    row.is_signed = True
    its = (ReconcileDifference.channel == channel, ReconcileDifference.day == day)
    tx.execute(update(ReconcileDifference).where(*its).values(is_signed=True))
    tx.flush()
    changes.append(tx, feed.DAY, feed.day_id(channel, day), domain=feed.DOMAIN)
    audit.append(
        tx,
        actor=actor.label,
        action="day.sign",
        entity="reconciled_day",
        entity_id=f"{channel}:{day}",
        detail={"inputs": row.inputs_sha256, "outputs": row.outputs_sha256, "note": body.note},
        request_id=request_id,
    )
    return signature


def _waits(tx: Tx, channel: str, day: date, language: str) -> list[str]:
    if day >= clock.shop_day(clock.now()):
        return [wording.waits_for("not_over", language)]
    return queries.waits(tx, channel, day, language)
