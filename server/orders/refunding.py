"""What refunds and replacements do to an order: money counted back, its state, the units of its lines.

Callers hold the order's lock, which is the first of any transaction.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import update
from sqlalchemy.orm.attributes import set_committed_value

from server.db import Tx, rows_changed
from server.orders.actions import Move, move, note
from server.orders.model import Order, OrderLine
from shared.errors import Conflict
from shared.money import Fen
from shared.states import OrderState


def count_back(tx: Tx, order: Order, amount: Fen, *, at: datetime, actor: str) -> None:
    """Count money that the buyer has back of a locked order, and move it: refunded once it is all of it.

    A disputed order with something left stays disputed: its dispute's end moves it.
    """
    before, total = order.refunded_fen, order.refunded_fen + amount
    assert total <= order.amount_fen, order.code
    counted = tx.execute(
        update(Order).where(Order.id == order.id, Order.refunded_fen == before).values(refunded_fen=total),
        execution_options={"synchronize_session": False},
    )
    if rows_changed(counted) != 1:
        raise Conflict
    set_committed_value(order, "refunded_fen", total)
    is_disputed = order.state == OrderState.DISPUTED
    to = OrderState.DISPUTED if is_disputed else OrderState.PARTIALLY_REFUNDED
    to = OrderState.REFUNDED if total == order.amount_fen else to
    if order.state != to:
        move(tx, [Move(order, to)], at=at, actor=actor)
    else:
        touch(tx, order)
        note(tx, [Move(order, to)], actor=actor)


def touch(tx: Tx, order: Order) -> None:
    """Another version of a locked order: who decides by an older one is told."""
    tx.execute(
        update(Order).where(Order.id == order.id).values(version=Order.version + 1),
        execution_options={"synchronize_session": False},
    )
    set_committed_value(order, "version", order.version + 1)


def without_units(tx: Tx, line: OrderLine, seqs: Collection[int]) -> None:
    """The line has these units no more: they went back unseen."""
    line.seqs = [seq for seq in line.seqs if seq not in seqs]
    tx.flush()


def with_units(tx: Tx, line: OrderLine, seqs: Sequence[int]) -> None:
    """The line has these units too: they replace others of it."""
    line.seqs = [*line.seqs, *seqs]
    tx.flush()
