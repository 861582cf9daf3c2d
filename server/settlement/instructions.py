"""The instruction of a payout that was checked: a transfer, or the splits of payments decided at its approval."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import select

from server.db import Tx
from server.identity.queries import supplier_names
from server.payments.settling import Paid, payments_of
from server.policy import Actor
from server.settlement import instructing, queries
from server.settlement import splits as split_rows
from server.settlement.drilling import order_codes
from server.settlement.instructing import Part
from server.settlement.model import Payout
from shared import clock
from shared.contracts import settlement as wire
from shared.errors import Conflict
from shared.finance import PayoutState
from shared.money import Fen

PURCHASE = "purchase"
NO_PAYMENT = "no_payment"
_NEVER_CARRIED = frozenset({PayoutState.REQUESTED, PayoutState.REFUSED})
_CARRIED = frozenset({PayoutState.APPROVED, PayoutState.SENT})


class NotChecked(Conflict):
    """Nobody carries a payout to the bank that no second person approved."""

    code = "payout_not_checked"
    zh = "打款 {number} 未经复核通过，没有可交给银行或渠道的指令。"
    en = "Payout {number} was not approved by a second person, so there is nothing to give to the bank or channel."


def instruction(tx: Tx, who: Actor, payout_id: UUID) -> wire.PayoutInstruction:
    """What people carry to the bank or the channel: nothing any more once it has ended.

    Raises NotFound, NotChecked.
    """
    payout = queries.payout(tx, who, payout_id)
    state = PayoutState(payout.state)
    if state in _NEVER_CARRIED:
        raise NotChecked(number=payout.number)
    receiver, remark = supplier_names(tx)[payout.supplier_id], " ".join(payout.statements)
    rows: list[wire.InstructionRow] = []
    if state in _CARRIED and payout.mode == PURCHASE:
        rows = [_transfer(payout, receiver, remark, payout.amount_fen)]
    elif state in _CARRIED:
        rows = _splits(tx, payout, receiver, remark)
    return wire.PayoutInstruction(number=payout.number, mode=payout.mode, amount_fen=payout.amount_fen, rows=rows)


def _transfer(
    payout: Payout, receiver: str, remark: str, amount: Fen, *, trouble: str | None = None
) -> wire.InstructionRow:
    number = payout.number if trouble is None else f"{payout.number}-0"
    return wire.InstructionRow(request_no=number, receiver=receiver, amount_fen=amount, remark=remark, trouble=trouble)


def _splits(tx: Tx, payout: Payout, receiver: str, remark: str) -> list[wire.InstructionRow]:
    taken = dict(split_rows.of(tx, payout))
    paid, codes = payments_of(tx, taken), order_codes(tx, taken)
    parts = [_part(paid[order_id], codes[order_id], receiver, amount) for order_id, amount in taken.items()]
    rest = payout.amount_fen - sum(taken.values())
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
