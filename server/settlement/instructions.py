"""The instruction of a payout, read from its statements: a transfer, or a split of each payment they come from."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import select

from server.db import Tx
from server.identity.queries import supplier_names
from server.payments.settling import Paid, payments_of
from server.policy import Actor
from server.settlement import instructing, queries
from server.settlement.drilling import order_codes
from server.settlement.instructing import Part
from server.settlement.model import Payout, SettlementItem, Statement
from shared import clock
from shared.contracts import settlement as wire
from shared.finance import PayoutState
from shared.money import Fen

PURCHASE = "purchase"
NO_PAYMENT = "no_payment"


def instruction(tx: Tx, who: Actor, payout_id: UUID) -> wire.PayoutInstruction:
    """What people carry to the bank or the channel. Raises NotFound."""
    payout = queries.payout(tx, who, payout_id)
    receiver, remark = supplier_names(tx)[payout.supplier_id], " ".join(payout.statements)
    if payout.mode == PURCHASE:
        rows = [_transfer(payout, receiver, remark, payout.amount_fen)]
    else:
        rows = _splits(tx, payout, receiver, remark)
    return wire.PayoutInstruction(number=payout.number, mode=payout.mode, amount_fen=payout.amount_fen, rows=rows)


def _transfer(
    payout: Payout, receiver: str, remark: str, amount: Fen, *, trouble: str | None = None
) -> wire.InstructionRow:
    number = payout.number if trouble is None else f"{payout.number}-0"
    return wire.InstructionRow(request_no=number, receiver=receiver, amount_fen=amount, remark=remark, trouble=trouble)


def _splits(tx: Tx, payout: Payout, receiver: str, remark: str) -> list[wire.InstructionRow]:
    released = _released(tx, payout, receiver)
    parts, rest = instructing.over_payments(payout.amount_fen, released)
    splits = instructing.requests(payout.number, parts, at=clock.now(), rounds=_rounds(tx, payout))
    rows = [
        wire.InstructionRow(
            request_no=one.request_no,
            receiver=one.part.receiver,
            amount_fen=one.part.amount,
            remark=remark,
            channel=one.part.channel,
            payment_no=one.part.payment_no,
            provider_no=one.part.provider_no,
            order_code=one.part.order_code,
            start_at=one.start_at,
            until=one.until,
            trouble=one.trouble,
        )
        for one in splits
    ]
    return rows + ([_transfer(payout, receiver, remark, rest, trouble=NO_PAYMENT)] if rest else [])


def _released(tx: Tx, payout: Payout, receiver: str) -> list[Part]:
    """What the payout's statements released of each order's payment, in the order of the orders."""
    net = SettlementItem.share_fen - SettlementItem.refunded_fen
    query = (
        select(SettlementItem.order_id, net)
        .join(Statement, Statement.id == SettlementItem.statement_id)
        .where(Statement.number.in_(payout.statements))
        .order_by(SettlementItem.order_id)
    )
    by_order: dict[UUID, Fen] = {}
    for order_id, amount in tx.execute(query):
        by_order[order_id] = by_order.get(order_id, 0) + int(amount)
    paid, codes = payments_of(tx, by_order), order_codes(tx, by_order)
    return [
        _part(paid[order_id], codes[order_id], receiver, amount)
        for order_id, amount in by_order.items()
        if order_id in paid
    ]


def _part(paid: Paid, order_code: str, receiver: str, amount: Fen) -> Part:
    return Part(
        channel=paid.channel,
        payment_no=paid.number,
        provider_no=paid.provider_no,
        order_code=order_code,
        paid_at=paid.paid_at,
        receiver=receiver,
        amount=amount,
    )


def _rounds(tx: Tx, payout: Payout) -> int:
    """How often these statements were tried to be paid before."""
    mine = (Payout.supplier_id == payout.supplier_id, Payout.state == PayoutState.FAILED.value, Payout.id != payout.id)
    before = tx.scalars(select(Payout.statements).where(*mine))
    return sum(not set(payout.statements).isdisjoint(numbers) for numbers in before)
