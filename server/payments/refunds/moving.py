"""How a refund moves: under the lock of its order, by the state table, with its journals, its events and its readers.

Lock order as everywhere: order, attempt, refund, stock, ledger, jobs. Nobody but `moving` changes a refund's state.

    release    approved and waiting for nobody: the sale's shares come back into escrow, the channel is next
    succeed    the buyer has the money: escrow (or suspense) is paid out, the order counts it, unseen keys go back
    close      it ends without money: what had come into escrow goes where it was
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import func, insert, select

from server import audit, changes, jobs, signals
from server.db import Tx, table_of
from server.ledger import actions as ledger
from server.orders import actions as orders
from server.orders import refunding
from server.orders.model import Order, OrderLine
from server.payments import aside, sharing
from server.payments.exceptions import closing
from server.payments.refunds.model import Refund, RefundEvent, RefundLine
from server.stock import actions as stock
from server.stock import vault
from shared import clock, ids
from shared.errors import NotFound
from shared.finance import JournalCode
from shared.money import Fen
from shared.states import (
    RefundCause,
    RefundState,
    RefundStep,
    RefundTrouble,
    RefundTurn,
    UndoneReason,
    UnmatchedState,
    require_move,
)

PURSUE = "payments.refund"
"""The job that takes a refund to its channel, with its `refund_id`."""

DOMAIN = "refunds"
SHOP_DOMAIN = "payments"
"""Readers of what belongs to no supplier: those of exceptions."""

ENDED = frozenset({RefundState.REFUSED.value, RefundState.SUCCEEDED.value, RefundState.CLOSED.value})
WITHOUT_MONEY = frozenset({RefundState.REFUSED.value, RefundState.CLOSED.value})

HOURS = {RefundTurn.SUPPLIER: 24, RefundTurn.SHOP: 48, RefundTurn.FINANCE: 24}
"""How long a party has the ball (product.md C14-A2). Then the shop has it for a supplier; the others are late."""

_AT_CHANNEL = frozenset({RefundState.SUBMITTED.value, RefundState.PROCESSING.value, RefundState.ABNORMAL.value})


@dataclass(slots=True)
class Held:
    """A refund under the lock of its order; `order` is None for money that belongs to none."""

    refund: Refund
    order: Order | None
    lines: list[RefundLine] = field(default_factory=list)

    @property
    def is_reversed(self) -> bool:
        """Whether the shares of its sale have come back into escrow."""
        released = self.refund.state == RefundState.APPROVED and self.refund.turn == RefundTurn.CHANNEL
        return bool(self.lines) and (released or self.refund.state in _AT_CHANNEL)


def lock(tx: Tx, refund_id: UUID) -> Held:
    """One refund under lock. Raises NotFound."""
    held = lock_all(tx, [refund_id])
    if not held:
        raise NotFound
    return held[refund_id]


def lock_all(tx: Tx, refund_ids: Sequence[UUID]) -> dict[UUID, Held]:
    """Refunds under lock with their orders and lines, in the order in which all lock them."""
    wanted = Refund.id.in_(list(refund_ids))
    order_ids = {order_id for order_id in tx.scalars(select(Refund.order_id).where(wanted)) if order_id}
    held_orders = orders.lock(tx, sorted(order_ids)) if order_ids else {}
    query = select(Refund).where(wanted).order_by(Refund.id).with_for_update()
    held = {
        refund.id: Held(refund, held_orders.get(refund.order_id) if refund.order_id else None)
        for refund in tx.scalars(query, execution_options={"populate_existing": True})
    }
    for line in tx.scalars(select(RefundLine).where(RefundLine.refund_id.in_(list(held)))):
        held[line.refund_id].lines.append(line)
    return held


def advance(
    tx: Tx, held: Held, step: RefundStep, *, actor: str, to: RefundState | None = None, note: str = "", **values: Any
) -> None:
    """Move a refund, or note a step that leaves its state as it is; `values` are set with it."""
    refund = held.refund
    if to is not None:
        require_move(RefundState(refund.state), to)
        refund.state = to.value
        if to.value in ENDED:
            refund.turn, refund.due_at, refund.query_at, refund.ended_at = None, None, None, clock.now()
    for name, value in values.items():
        setattr(refund, name, value)
    refund.version += 1
    tx.flush()
    tx.execute(
        insert(table_of(RefundEvent)),
        {
            "id": ids.new_id(),
            "refund_id": refund.id,
            "at": clock.now(),
            "actor": actor,
            "what": step.value,
            "note": note[:1000],
        },
    )
    domain = DOMAIN if refund.supplier_id else SHOP_DOMAIN
    changes.append(tx, "refund", refund.id, domain=domain, supplier_id=refund.supplier_id)
    audit.append(
        tx,
        actor=actor,
        action=f"refund.{step.value}",
        entity="refund",
        entity_id=refund.out_refund_no,
        detail={
            "order": refund.order_code,
            "fen": refund.amount_fen,
            "state": refund.state,
            **({} if step is RefundStep.ASKED else {"note": note[:400]}),  # a buyer's words stay with the refund
        },
    )
    if refund.order_id is not None:
        signals.ring(tx, refund.order_id)


def hand_to(turn: RefundTurn) -> dict[str, Any]:
    """Who has the ball from now on, and until when."""
    hours = HOURS.get(turn)
    return {"turn": turn.value, "due_at": clock.now() + timedelta(hours=hours) if hours else None}


# --- approved ---


def approve(tx: Tx, held: Held, step: RefundStep, *, actor: str, note: str = "", check_above: Fen | None) -> None:
    """Approve a refund. Above the limit finance has the ball; else it goes to its channel. None: nobody checks it.

    The limit is for all of a payment that goes back unchecked: in parts it is no less.
    """
    must_check = check_above is not None and held.refund.amount_fen + _unchecked(tx, held.refund) > check_above
    advance(
        tx,
        held,
        step,
        actor=actor,
        to=RefundState.APPROVED,
        note=note,
        **hand_to(RefundTurn.FINANCE if must_check else RefundTurn.CHANNEL),
        unseen=is_unseen(tx, held),
        decided_by=actor,
    )
    if not must_check:
        release(tx, held)


def _unchecked(tx: Tx, refund: Refund) -> Fen:
    """What other refunds of the same payment give back, or gave, that finance has not checked."""
    if refund.unmatched_id is not None or refund.attempt_id is None:
        return 0
    others = (Refund.attempt_id == refund.attempt_id, Refund.unmatched_id.is_(None), Refund.id != refund.id)
    gone = (Refund.decided_by.is_not(None), Refund.checked_by.is_(None), Refund.state.not_in(WITHOUT_MONEY))
    return int(tx.scalar(select(func.coalesce(func.sum(Refund.amount_fen), 0)).where(*others, *gone)) or 0)


def is_unseen(tx: Tx, held: Held) -> bool:
    """Whether no buyer has seen a key of its lines. A look is logged under the order's lock, which is held here."""
    named = [line.order_line_id for line in held.lines if line.seqs]
    return bool(named) and not vault.viewed_lines(tx, named)


def release(tx: Tx, held: Held) -> None:
    """Let an approved refund go to its channel: the shares of the sale come back, and a job takes it there."""
    refund = held.refund
    refund.turn, refund.due_at, refund.query_at = RefundTurn.CHANNEL.value, None, clock.now()
    tx.flush()
    if held.lines:
        _post(tx, held, "reverse", JournalCode.REVERSE, sharing.reverse(tx, held.order, held.lines), clock.now())
    send(tx, held.refund.id)


def send(tx: Tx, refund_id: UUID) -> None:
    """Have the channel asked as soon as this is committed."""
    jobs.enqueue(tx, PURSUE, {"refund_id": str(refund_id)}, key=f"{PURSUE}:{refund_id}")


# --- ended ---


def succeed(
    tx: Tx, held: Held, *, actor: str, provider_refund_no: str, at: datetime, refunded_at: datetime | None
) -> None:
    """The channel has given the money back, at `refunded_at` if it says so itself; it is booked at `at`."""
    refund = held.refund
    advance(
        tx,
        held,
        RefundStep.SUCCEEDED,
        actor=actor,
        to=RefundState.SUCCEEDED,
        provider_refund_no=provider_refund_no,
        refunded_at=refunded_at,
        trouble=None,
    )
    if held.order is not None and is_of_sale(refund):
        refunding.count_back(tx, held.order, refund.amount_fen, at=clock.now(), actor=actor)
    if refund.unseen:
        _take_units_back(tx, held, actor=actor)
    if refund.unmatched_id is not None:
        aside.move(tx, refund.unmatched_id, UnmatchedState.RETURNED)
    closing.refund_ended(tx, refund.id, succeeded=True)
    source = ledger.Account("suspense" if refund.unmatched_id else "escrow")
    out = ledger.Transfer(debit=source, credit=ledger.Account("psp", refund.channel), amount=refund.amount_fen)
    is_of_stock = not held.lines and refund.unmatched_id is None and refund.cause != RefundCause.PAID_TWICE
    _post(tx, held, "paid", JournalCode.NOSTOCK if is_of_stock else JournalCode.REFUND, (out,), at)


def close(
    tx: Tx, held: Held, step: RefundStep, *, actor: str, trouble: RefundTrouble | None = None, note: str = ""
) -> None:
    """End a refund without money: the shares go back to where the sale had put them, its keys may be seen again."""
    was_reversed = held.is_reversed
    advance(
        tx,
        held,
        step,
        actor=actor,
        to=RefundState.CLOSED,
        note=note,
        unseen=False,
        trouble=trouble.value if trouble else None,
    )
    if held.refund.unmatched_id is not None:
        aside.move(tx, held.refund.unmatched_id, UnmatchedState.HELD)
    closing.refund_ended(tx, held.refund.id, succeeded=False)
    if was_reversed:
        _post(tx, held, "restore", JournalCode.RESTORE, sharing.restore(tx, held.order, held.lines), clock.now())


def is_of_sale(refund: Refund) -> bool:
    """Whether it takes back what the order cost, and not money that came besides."""
    return refund.unmatched_id is None and refund.cause != RefundCause.PAID_TWICE


def _take_units_back(tx: Tx, held: Held, *, actor: str) -> None:
    """The keys that nobody saw return to stock; those that staff looked at meanwhile become void."""
    mine = units_of(tx, held)
    fresh: list[stock.LineUnits] = []
    spoilt: list[stock.LineUnits] = []
    for line, seqs in mine:
        seen = vault.inspected_units(tx, line.sku_id, seqs)
        for kind, some in ((fresh, set(seqs) - seen), (spoilt, seen)):
            if some:
                kind.append(stock.LineUnits(line.id, line.sku_id, tuple(sorted(some))))
    with stock.desk(tx, at=clock.now(), held=[*fresh, *spoilt]) as desk:
        desk.take_back(fresh, UndoneReason.REFUNDED, actor=actor)
        if spoilt:
            desk.discard(spoilt, UndoneReason.REFUNDED_SPOILT, actor=actor)
    note_undone(tx, held, mine, fresh, "stock.take_back", actor=actor)
    note_undone(tx, held, mine, spoilt, "stock.discard", actor=actor)


def units_of(tx: Tx, held: Held) -> list[tuple[OrderLine, list[int]]]:
    """The order lines whose units the refund names, with these."""
    assert held.order is not None
    by_line = {line.order_line_id: line.seqs for line in held.lines if line.seqs}
    lines = orders.lines_of(tx, [held.order.id])[held.order.id]
    return [(line, by_line[line.id]) for line in lines if line.id in by_line]


def note_undone(
    tx: Tx,
    held: Held,
    mine: Sequence[tuple[OrderLine, list[int]]],
    undone: Sequence[stock.LineUnits],
    action: str,
    *,
    actor: str,
) -> None:
    """Take units whose delivery was undone from their lines, and write down that they left their buyer."""
    gone = {one.order_line_id: one.seqs for one in undone}
    for line, _ in mine:
        if line.id in gone:
            refunding.without_units(tx, line, gone[line.id])
            audit.append(
                tx,
                actor=actor,
                action=action,
                entity="sku",
                entity_id=line.sku_code,
                detail={
                    "order": held.refund.order_code,
                    "refund": held.refund.out_refund_no,
                    "units": len(gone[line.id]),
                    "seqs": list(gone[line.id]),
                },
            )
            changes.append(tx, "sku", line.sku_id, domain="stock", supplier_id=line.supplier_id)


# --- the ledger ---


def _post(
    tx: Tx, held: Held, event: str, code: JournalCode, transfers: Sequence[ledger.Transfer], at: datetime
) -> None:
    refund = held.refund
    key = f"refund:{refund.out_refund_no}:{event}"
    journal = ledger.Journal(key, code.value, refund.order_id, at, tuple(transfers))
    ledger.post(tx, [journal])
