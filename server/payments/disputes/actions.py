"""Disputes at a channel: opened by one person, closed by two who say the same. Callers retry what deadlocks.

open   dispute:{id}:open   the suppliers' shares, pending or available -> frozen, as far as they reach
won    dispute:{id}:won    frozen -> pending, or -> owed first and then available where they were released
lost   dispute:{id}:lost   every share -> escrow -> psp: frozen first, what that lacks is owed; the fine is a loss
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import insert, select

from server import audit, changes, signals
from server.db import Tx, table_of
from server.ledger import actions as ledger
from server.ledger import paying
from server.ledger.actions import Account, Transfer
from server.orders import actions as orders
from server.orders import refunding
from server.orders.model import Order
from server.payments import sharing
from server.payments.booking import ESCROW
from server.payments.disputes.model import Dispute, DisputeLine
from server.payments.refunds import making, splitting
from server.policy import Actor
from shared import clock
from shared.contracts import ledger as wire
from shared.errors import BadField, Conflict, IdempotencyReused, NotFound
from shared.finance import DISPUTE, DisputeState, JournalCode
from shared.money import Fen
from shared.states import OrderState

DOMAIN = "ledger"


class NotDisputable(Conflict):
    """Nobody has earned anything by the order yet, or all of it went back."""

    code = "not_disputable"
    zh = "这张订单没有可以冻结的款项：未发货的款项请在“异常款项”或退款里处理。"
    en = "Nothing of this order can be frozen; money that was not delivered for is seen to by exceptions and refunds."


class DisputeKnown(Conflict):
    """The channel's number is known already."""

    code = "dispute_known"
    zh = "渠道争议单号 {number} 已经登记过（订单 {order}）。"
    en = "The channel's dispute {number} is registered already, for order {order}."


class DisputeChanged(Conflict):
    """Somebody else has acted on it since it was read."""

    code = "dispute_changed"
    zh = "这笔争议刚刚被别人处理过，请刷新后再看。"
    en = "Somebody has just acted on this dispute; please reload."


def open_dispute(tx: Tx, body: wire.OpenDispute, *, order_id: UUID, actor: Actor) -> Dispute:
    """Register a dispute and freeze what suppliers have of it. The same one again changes nothing.

    Raises NotDisputable, MoreThanLeft, DisputeKnown, IdempotencyReused.
    """
    order = orders.lock(tx, [order_id]).get(order_id)
    if order is None:
        raise NotFound
    known = tx.get(Dispute, body.id)
    if known is not None:
        said = (known.order_id, known.amount_fen, known.channel_no, known.reason)
        if said != (order_id, body.amount_fen, body.channel_no, body.reason):
            raise IdempotencyReused
        return known
    attempt = making.paying_attempt(tx, order)
    if attempt is None or order.state not in making.DELIVERED:
        raise NotDisputable
    number = (Dispute.channel == attempt.channel, Dispute.channel_no == body.channel_no)
    if (other := tx.scalars(select(Dispute).where(*number)).first()) is not None:
        raise DisputeKnown(number=body.channel_no, order=other.order_code)
    left = making.left_of(tx, orders.lines_of(tx, [order_id])[order_id])
    whole = sum(one.shares.amount for one in left)
    if whole == 0:
        raise NotDisputable
    if body.amount_fen > whole:
        raise making.MoreThanLeft.of_money(whole)
    dispute = Dispute(
        id=body.id,
        order_id=order_id,
        order_code=order.code,
        channel=attempt.channel,
        channel_no=body.channel_no,
        amount_fen=body.amount_fen,
        fine_fen=0,
        state=DisputeState.OPENED.value,
        reason=body.reason,
        opened_by=actor.label,
        opened_at=clock.now(),
        note="",
        closed_note="",
        version=1,
    )
    tx.add(dispute)
    tx.flush()
    if order.state != OrderState.DISPUTED:
        orders.move(tx, [orders.Move(order, OrderState.DISPUTED)], at=clock.now(), actor=actor.label)
    refunding.touch(tx, order)
    _freeze(tx, dispute, left, actor)
    _tell(tx, dispute, "open", actor, fen=dispute.amount_fen, channel_no=dispute.channel_no)
    return dispute


def _freeze(tx: Tx, dispute: Dispute, left: Sequence[making.Left], actor: Actor) -> None:
    """Freeze what there is of the suppliers' shares: all that is pending, and what is still available."""
    parts = splitting.over_lines(dispute.amount_fen, [one.shares.amount for one in left])
    taken = [(one.line, one.shares.part(part)) for one, part in zip(left, parts, strict=True) if part]
    released = paying.released(tx, "supplier", [line.id for line, _ in taken])
    rows, transfers = [], []
    reach: dict[UUID, Fen] = {}
    for line, shares in sorted(taken, key=lambda one: (one[0].supplier_id.bytes, one[0].n)):
        payee = paying.supplier(line.supplier_id)
        frozen, source = shares.supplier, payee.pending
        if line.id in released:
            source = payee.available
            if line.supplier_id not in reach:
                reach[line.supplier_id] = ledger.held(tx, [source, payee.owed])[source]
            frozen = min(frozen, reach[line.supplier_id])
            reach[line.supplier_id] -= frozen
        transfers.append(Transfer(source, _frozen(line.supplier_id), frozen))
        rows.append(
            {
                "dispute_id": dispute.id,
                "order_line_id": line.id,
                "amount_fen": shares.amount,
                "supplier_fen": shares.supplier,
                "commission_fen": shares.commission,
                "fee_fen": shares.fee,
                "discount_fen": shares.discount,
                "frozen_fen": frozen,
            }
        )
    tx.execute(insert(table_of(DisputeLine)), rows)
    _post(tx, dispute, "open", JournalCode.FREEZE, transfers, actor, memo=dispute.reason)


def close(tx: Tx, dispute_id: UUID, body: wire.CloseDispute, *, actor: Actor) -> Dispute:
    """Say how a dispute ended. It ends so when another person has said the same; else this is the proposal now.

    Raises NotFound, DisputeChanged, IllegalMove, BadField for a fine of what was won.
    """
    order_id = tx.scalars(select(Dispute.order_id).where(Dispute.id == dispute_id)).first()
    order = orders.lock(tx, [order_id]).get(order_id) if order_id else None
    if order is None:
        raise NotFound
    query = select(Dispute).where(Dispute.id == dispute_id).with_for_update()
    dispute = tx.scalars(query, execution_options={"populate_existing": True}).one()
    if dispute.version != body.version:
        raise DisputeChanged
    if body.won and body.fine_fen:
        raise BadField(field="fine_fen", reason="0")
    to = DisputeState.WON if body.won else DisputeState.LOST
    if not DISPUTE[DisputeState(dispute.state)]:
        raise IllegalDispute(state=dispute.state)
    is_agreed = dispute.proposed_by not in {None, actor.label} and (
        (dispute.proposes_won, dispute.fine_fen) == (body.won, body.fine_fen)
    )
    dispute.version += 1
    if not is_agreed:
        dispute.proposed_by, dispute.proposed_at, dispute.proposes_won = actor.label, clock.now(), body.won
        dispute.fine_fen, dispute.note = body.fine_fen, body.note
        tx.flush()
        _tell(tx, dispute, "propose", actor, won=body.won, fine_fen=body.fine_fen, note=body.note)
        return dispute
    dispute.state, dispute.closed_by, dispute.closed_at = to.value, actor.label, clock.now()
    dispute.closed_note = body.note
    tx.flush()
    _settle(tx, _Closing(dispute, order, _lines(tx, dispute)), actor)
    by = {"proposed_by": dispute.proposed_by, "note": dispute.note, "said": body.note}
    _tell(tx, dispute, to.value, actor, fine_fen=dispute.fine_fen, **by)
    return dispute


class IllegalDispute(Conflict):
    """It has ended."""

    code = "dispute_over"
    zh = "这笔争议已经结束（{state}），不能再改。需要更正请做调账。"
    en = "This dispute is over ({state}) and does not change; corrections are adjustments."


# --- the end ---


@dataclass(frozen=True, slots=True)
class _Closing:
    """A dispute that two people have closed, with its order under lock."""

    dispute: Dispute
    order: Order
    lines: Sequence[DisputeLine]


@dataclass(frozen=True, slots=True)
class _Rest:
    """What a lost dispute takes of a line besides what was frozen."""

    order_line_id: UUID
    supplier_fen: Fen
    commission_fen: Fen
    fee_fen: Fen
    discount_fen: Fen


def _settle(tx: Tx, closing: _Closing, actor: Actor) -> None:
    dispute, order, at = closing.dispute, closing.order, clock.now()
    suppliers = {line.id: line.supplier_id for line in orders.lines_of(tx, [order.id])[order.id]}
    frozen: dict[UUID, Fen] = defaultdict(int)
    for line in closing.lines:
        frozen[suppliers[line.order_line_id]] += line.frozen_fen
    note = dispute.note
    if dispute.state == DisputeState.WON:
        _post(tx, dispute, "won", JournalCode.FREEZE, _unfreeze(tx, closing, suppliers), actor, memo=note)
        _leave(tx, dispute, order, actor)
        return
    psp = Account("psp", dispute.channel)
    transfers = [Transfer(_frozen(supplier), ESCROW, fen) for supplier, fen in sorted(frozen.items())]
    rest = [
        _Rest(one.order_line_id, one.supplier_fen - one.frozen_fen, one.commission_fen, one.fee_fen, one.discount_fen)
        for one in closing.lines
    ]
    transfers += sharing.reverse(tx, order, rest)
    transfers += [Transfer(ESCROW, psp, dispute.amount_fen), Transfer(Account("loss"), psp, dispute.fine_fen)]
    refunding.count_back(tx, order, dispute.amount_fen, at=at, actor=actor.label)
    _post(tx, dispute, "lost", JournalCode.CHARGEBACK, transfers, actor, memo=note)
    _leave(tx, dispute, order, actor)


def _unfreeze(tx: Tx, closing: _Closing, suppliers: Mapping[UUID, UUID]) -> list[Transfer]:
    """What was frozen back to where it belongs now; of what was released by now, debts are paid first."""
    released = paying.released(tx, "supplier", list(suppliers))
    sums: dict[tuple[UUID, bool], Fen] = defaultdict(int)
    for line in closing.lines:
        sums[suppliers[line.order_line_id], line.order_line_id in released] += line.frozen_fen
    transfers: list[Transfer] = []
    for (supplier_id, is_released), fen in sorted(sums.items(), key=lambda one: (one[0][0].bytes, one[0][1])):
        payee, frozen = paying.supplier(supplier_id), _frozen(supplier_id)
        transfers += paying.give(tx, payee, (frozen, fen)) if is_released else [Transfer(frozen, payee.pending, fen)]
    return transfers


def _leave(tx: Tx, dispute: Dispute, order: Order, actor: Actor) -> None:
    """The order is what it was, less what went back, once no dispute about it is open."""
    if order.state != OrderState.DISPUTED or _others(tx, dispute):
        refunding.touch(tx, order)
        return
    whole = OrderState.COMPLETED if order.completed_at else OrderState.DELIVERED
    back_to = OrderState.PARTIALLY_REFUNDED if order.refunded_fen else whole
    orders.move(tx, [orders.Move(order, back_to)], at=clock.now(), actor=actor.label)


def _others(tx: Tx, dispute: Dispute) -> bool:
    """Whether the order has another open dispute."""
    others = (
        Dispute.order_id == dispute.order_id,
        Dispute.id != dispute.id,
        Dispute.state == DisputeState.OPENED.value,
    )
    return tx.scalars(select(Dispute.id).where(*others)).first() is not None


def _lines(tx: Tx, dispute: Dispute) -> Sequence[DisputeLine]:
    mine = select(DisputeLine).where(DisputeLine.dispute_id == dispute.id)
    return tx.scalars(mine.order_by(DisputeLine.order_line_id)).all()


def _frozen(supplier_id: UUID) -> Account:
    return Account("supplier_frozen", supplier_id.hex)


def _post(
    tx: Tx, dispute: Dispute, event: str, code: JournalCode, transfers: Sequence[Transfer], actor: Actor, *, memo: str
) -> None:
    key, label = f"dispute:{dispute.id.hex}:{event}", actor.label
    journal = ledger.Journal(key, code.value, dispute.order_id, clock.now(), tuple(transfers), label, memo)
    ledger.post(tx, [journal])


def _tell(tx: Tx, dispute: Dispute, what: str, actor: Actor, **detail: object) -> None:
    changes.append(tx, "dispute", dispute.id, domain=DOMAIN)
    audit.append(
        tx,
        actor=actor.label,
        action=f"dispute.{what}",
        entity="dispute",
        entity_id=dispute.id.hex,
        detail={"order": dispute.order_code, **detail},
    )
    signals.ring(tx, dispute.order_id)
