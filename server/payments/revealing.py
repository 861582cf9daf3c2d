"""The buyer sees the keys: logged and committed before the first is opened, but for those whose refund took them back.

A look and a refund that is approved because nobody has looked both hold the order: one of them comes first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import bindparam, update

from server.context import Context
from server.db import Tx, table_of
from server.orders import actions as orders
from server.orders.model import Order
from server.payments.refunds import queries as refunds
from server.payments.refunds.queries import Mark
from server.stock import vault
from server.stock.actions import LineUnits
from shared import clock
from shared.cardkey import Card, parse_canonical


@dataclass(frozen=True, slots=True)
class LogReveal:
    """Note who is about to see the keys of an order."""

    order_id: UUID
    actor: str
    request_id: str


@dataclass(frozen=True, slots=True)
class Shown:
    """Keys of one order line that may be opened: the row of the reveal log, and the units."""

    view_id: UUID
    title: str
    sku_code: str
    units: LineUnits


@dataclass(frozen=True, slots=True)
class RevealedLine:
    """The keys of one order line, in the clear, for the page that shows them. Printing shows them masked.

    `seqs` and `marks` go with `cards`: the number of each unit, and what became of it since it was seen.
    """

    order_line_id: UUID
    title: str
    sku_code: str
    seqs: tuple[int, ...]
    cards: tuple[Card, ...]
    marks: tuple[Mark | None, ...]


async def log(ctx: Context, order_id: UUID, *, actor: str, request_id: str) -> list[Shown]:
    """Log who is about to see the keys of a delivered order, and commit it; `opened` may open what this answers.

    Keys that nobody had seen when their refund was approved are left out. Callers have checked
    `orders.queries.may_see_keys`. No thread waits for the commit.
    """
    shown: list[Shown] = await ctx.batch.submit(LogReveal(order_id=order_id, actor=actor, request_id=request_id))
    return shown


def opened(ctx: Context, order_id: UUID, lines: Sequence[Shown]) -> list[RevealedLine]:
    """The keys that a committed row of the reveal log names. Raises NotLogged for what was not logged."""
    with ctx.db.read() as tx:
        cards = vault.delivered(tx, ctx.keys, {line.view_id: line.units for line in lines})
        marks = refunds.marks(tx, order_id)
    return [
        RevealedLine(
            order_line_id=line_id,
            title=line.title,
            sku_code=line.sku_code,
            seqs=line.units.seqs,
            cards=tuple(parse_canonical(secret.reveal()) for secret in cards[line_id]),
            marks=tuple(marks.get((line_id, seq)) for seq in line.units.seqs),
        )
        for line in lines
        for line_id in (line.units.order_line_id,)
    ]


_ORDER = table_of(Order)
_FIRST_VIEW = (
    update(_ORDER)
    .where(_ORDER.c.id == bindparam("order"), _ORDER.c.first_viewed_at.is_(None))
    .values(first_viewed_at=bindparam("at"))
)


def log_reveals(tx: Tx, commands: Sequence[LogReveal]) -> list[list[Shown]]:
    """The handler of `LogReveal`: decides under the orders' locks what may be seen, and logs it."""
    held = orders.lock(tx, sorted({command.order_id for command in commands}))
    lines, hidden = orders.lines_of(tx, list(held)), refunds.withheld(tx, list(held))
    planned = [
        [
            (line, LineUnits(line.id, line.sku_id, tuple(sorted(set(line.seqs) - hidden[line.id]))))
            for line in lines[command.order_id]
        ]
        for command in commands
    ]
    views = [
        vault.View(
            vault.Delivery(units, is_part=len(units.seqs) < len(line.seqs)),
            actor=command.actor,
            request_id=command.request_id,
        )
        for command, plan in zip(commands, planned, strict=True)
        for line, units in plan
        if units.seqs
    ]
    logged = iter(vault.log_views(tx, views))
    shown = [
        [Shown(next(logged), line.title, line.sku_code, units) for line, units in plan if units.seqs]
        for plan in planned
    ]
    _note_first(tx, [held[one.order_id] for one, some in zip(commands, shown, strict=True) if some], clock.now())
    return shown


def _note_first(tx: Tx, viewed: Sequence[Order], at: datetime) -> None:
    first = sorted({order.id for order in viewed if order.first_viewed_at is None})
    if first:
        tx.connection().execute(_FIRST_VIEW, [{"order": order_id, "at": at} for order_id in first])
