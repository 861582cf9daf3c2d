"""Closing a channel's day: one person signs exactly what was seen, and nothing of the day changes any more.

Corrections go to a day that is open: what was carried over comes again there, what a later bill says otherwise is found
there, and the books are adjusted today, with the signed day's name. A million rows of ours are hashed before the
transaction that signs; in it they are only counted, and what the day takes from those beside it is looked at again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from uuid import UUID

from sqlalchemy import update

from server import audit, changes
from server.context import Context
from server.db import Tx
from server.payments import kept_bills
from server.reconcile import beside, days, feed, following, hashing, ours, queries, wording
from server.reconcile.figures import Figures
from server.reconcile.handling import DaySigned
from server.reconcile.matching import Side
from server.reconcile.model import ReconcileDifference, ReconcileSignature
from server.reconcile.queries import Reader
from shared import channels, clock
from shared.contracts.reconcile import SignDay
from shared.errors import Conflict
from shared.money import Fen


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
    """Our side of the day, a bill, the balance it opens with or a rule is not what was compared."""

    code = "ours_changed"
    zh = "{channel} {day} 对账之后平台数据、账单、期初余额或外来单的规则有变化，请重新对账后再签署。"
    en = (
        "Our books of {channel} for {day}, its bills, its opening balance or the rule about others' payments have "
        "changed: reconcile again, then sign."
    )


_Beside = tuple[tuple[UUID | None, Fen | None], Sequence[UUID]]
"""What the day before closes by, and the bills beside a day, where it rests on them."""


@dataclass(frozen=True, slots=True)
class Ours:
    """What a run of a day would read at this moment: its hash, what our rows come to, and what it takes from the days
    beside it.
    """

    inputs_sha256: str
    counted: Side
    beside: _Beside


def look(ctx: Context, tx: Tx, channel: str, day: date) -> Ours:
    """Read all there is of a day, before anybody waits for it."""
    around, counted, lines = _beside(tx, channel, day), ours.counted(tx, channel, day), hashing.Lines()
    hashing.add_bills(lines, kept_bills.current(tx, channel, day).values())
    row, opening = days.find(tx, channel, day), days.closed_with(tx, ctx.keys, channel, day - timedelta(days=1))
    balance = Figures.of(row.figures).balance if row else None
    hashing.add_opening(lines, None if balance is None else balance.opening_fen if opening is None else opening)
    hashing.add_shared(lines, is_shared=channel in ctx.settings.channels_shared_with_others)
    for our in ours.of_day(tx, channel, day):
        hashing.add_ours(lines, our)
    if days.rests_beside(tx, channel, day):
        hashing.add_beside(lines, beside.compared(tx, channel, day))
    return Ours(lines.sha256, counted, around)


def _beside(tx: Tx, channel: str, day: date) -> _Beside:
    rests_on = beside.compared(tx, channel, day) if days.rests_beside(tx, channel, day) else []
    files = [file.id for _, its in rests_on for file in its]
    return days.closes_by(tx, channel, day - timedelta(days=1)), files


def sign(
    tx: Tx, channel: str, day: date, body: SignDay, *, seen: Ours, reader: Reader, request_id: str | None
) -> ReconcileSignature:
    """Close a day. Raises DaySigned, DayNotReady, OursChanged, DayChanged."""
    where = {"channel": channels.name(channel), "day": day.isoformat()}
    days.hold_channel(tx, channel)
    following.follow(tx, channel)
    kept_bills.hold(tx, channel, day)
    row = days.find(tx, channel, day, lock=True)
    if queries.is_signed(tx, channel, day):
        raise DaySigned(day=day.isoformat())
    waits = {language: _waits(tx, replace(reader, language=language), channel, day) for language in ("zh", "en")}
    if row is None or waits["zh"]:
        raise DayNotReady(**where, waits="；".join(waits["zh"]), waits_en="; ".join(waits["en"]))
    now = ours.counted(tx, channel, day), _beside(tx, channel, day)
    if seen.inputs_sha256 != row.inputs_sha256 or (seen.counted, seen.beside) != now:
        raise OursChanged(**where)
    if not row.outputs_sha256 == body.outputs_sha256 == days.outputs(tx, row):
        raise DayChanged(**where)
    signature = ReconcileSignature(
        channel=channel,
        day=day,
        signed_by=reader.who.label,
        signed_at=clock.now(),
        note=body.note,
        inputs_sha256=row.inputs_sha256,
        outputs_sha256=row.outputs_sha256,
    )
    tx.add(signature)
    row.is_signed = True
    kept_bills.close(tx, channel, day)
    its = (ReconcileDifference.channel == channel, ReconcileDifference.day == day)
    tx.execute(update(ReconcileDifference).where(*its).values(is_signed=True))
    tx.flush()
    changes.append(tx, feed.DAY, feed.day_id(channel, day), domain=feed.DOMAIN)
    audit.append(
        tx,
        actor=reader.who.label,
        action="day.sign",
        entity="reconciled_day",
        entity_id=f"{channel}:{day}",
        detail={"inputs": row.inputs_sha256, "outputs": row.outputs_sha256, "note": body.note},
        request_id=request_id,
    )
    return signature


def _waits(tx: Tx, reader: Reader, channel: str, day: date) -> list[str]:
    if day >= clock.shop_day(clock.now()):
        return [wording.waits_for("not_over", reader.language)]
    return queries.waits(tx, reader, channel, day)
