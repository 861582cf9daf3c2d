"""Another key instead of money, which is the faster way: no money moves, the supplier gives one unit more."""

from __future__ import annotations

from sqlalchemy import insert

from server import changes
from server.db import Tx, table_of
from server.orders import refunding
from server.orders.model import OrderLine
from server.payments.refunds import moving
from server.payments.refunds.model import Replacement
from server.payments.refunds.moving import Held
from server.stock import actions as stock
from shared import clock
from shared.errors import Conflict
from shared.states import RefundState, RefundStep, UndoneReason


class NothingToReplaceWith(Conflict):
    """The SKU has too few free units; the refund stays as it was."""

    code = "nothing_to_replace_with"
    zh = "库存不足，无法补发（目前还剩 {left} 件）。可以补货后再补发，或者同意退款。"
    en = "Not enough in stock for a replacement ({left} left). Bring in stock first, or agree to the refund."


def replace(tx: Tx, held: Held, step: RefundStep, *, actor: str, note: str) -> None:
    """Deliver a new unit of the same SKU for each unit of the refund, to the same line, and end the refund by it.

    Old units that the buyer has seen stay sold and are marked, and both are shown. Those that nobody has seen leave
    the buyer: they become void, because they were said to be bad. Raises NothingToReplaceWith.
    """
    assert held.order is not None
    mine = moving.units_of(tx, held)
    if not mine:
        raise NothingToReplaceWith(left=0)
    wants = [stock.Want(line.id, line.sku_id, len(seqs)) for line, seqs in mine]
    old = [stock.LineUnits(line.id, line.sku_id, tuple(seqs)) for line, seqs in mine]
    unseen = old if moving.is_unseen(tx, held) else []
    with stock.desk(tx, at=clock.now(), wants=wants, held=unseen) as desk:
        if not desk.reserve(wants):
            raise NothingToReplaceWith(left=min(desk.left.values()))
        taken = desk.take()
        desk.sell([stock.LineUnits(line.id, line.sku_id, taken[line.id]) for line, _ in mine])
        if unseen:
            desk.discard(unseen, UndoneReason.REPLACED, actor=actor)
    for line, seqs in mine:
        _deliver(tx, held, line, seqs, taken[line.id])
    moving.note_undone(tx, held, mine, unseen, "stock.discard", actor=actor)
    moving.advance(tx, held, step, actor=actor, to=RefundState.CLOSED, note=note, decided_by=actor)
    told = {changes.Changed("order", held.order.id, domain="orders", supplier_id=line.supplier_id) for line, _ in mine}
    changes.append_many(tx, told)


def _deliver(tx: Tx, held: Held, line: OrderLine, old: list[int], new: tuple[int, ...]) -> None:
    refunding.with_units(tx, line, new)
    rows = [
        {
            "order_line_id": line.id,
            "seq": seq,
            "refund_id": held.refund.id,
            "new_seq": new_seq,
            "replaced_at": clock.now(),
        }
        for seq, new_seq in zip(old, new, strict=True)
    ]
    tx.execute(insert(table_of(Replacement)), rows)
    changes.append(tx, "sku", line.sku_id, domain="stock", supplier_id=line.supplier_id)
