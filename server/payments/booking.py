"""The journals of received money: what a channel owes us for it, and whose it is then.

PAY       psp -> escrow         a buyer paid an order
SALE      escrow -> suppliers   it was delivered
SUSPENSE  psp -> suspense       money came that pays no order
ATTACH    suspense -> escrow    two people found the order it pays
CORRECT   suspense -> psp       the channel had named a wrong amount
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from server.ledger import actions as ledger
from server.ledger.actions import Account, Journal, Transfer
from server.orders.model import Order, OrderLine
from shared.money import Fen

ESCROW, SUSPENSE, FEE = Account("escrow"), Account("suspense"), Account("fee")


def pay(order_id: UUID, channel: str, number: str, amount: Fen, *, at: datetime) -> Journal:
    """PAY: the channel owes us what the buyer put into escrow. What people confirmed has our own number."""
    return _one("PAY", channel, number, order_id, Transfer(_psp(channel), ESCROW, amount), at)


def set_aside(order_id: UUID | None, channel: str, provider_no: str, amount: Fen, *, at: datetime) -> Journal:
    """SUSPENSE: the channel owes us what nobody knows a use for yet."""
    return _one("SUSPENSE", channel, provider_no, order_id, Transfer(_psp(channel), SUSPENSE, amount), at)


def attach(order_id: UUID, channel: str, provider_no: str, amount: Fen, *, at: datetime) -> Journal:
    """ATTACH: what was set aside pays an order."""
    return _one("ATTACH", channel, provider_no, order_id, Transfer(SUSPENSE, ESCROW, amount), at)


def correct(order_id: UUID | None, channel: str, provider_no: str, amount: Fen, *, at: datetime) -> Journal:
    """CORRECT: what was set aside never came like that; the payment itself is booked by its PAY."""
    return _one("CORRECT", channel, provider_no, order_id, Transfer(SUSPENSE, _psp(channel), amount), at)


def sale(order: Order, lines: Sequence[OrderLine], *, at: datetime) -> Journal:
    """SALE: escrow goes to the suppliers and the platform, in the transaction that delivers."""
    transfers = []
    for line in lines:
        supplier = Account("supplier_pending", line.supplier_id.hex)
        transfers.append(Transfer(debit=ESCROW, credit=supplier, amount=line.supplier_fen))
        transfers.append(Transfer(debit=ESCROW, credit=FEE, amount=line.fee_fen))
    assert sum(transfer.amount for transfer in transfers) == order.amount_fen, order.code
    key = f"order:{order.code}:sale"
    return Journal(key=key, code="SALE", order_id=order.id, occurred_at=at, transfers=tuple(transfers))


def _one(
    code: str, channel: str, provider_no: str, order_id: UUID | None, transfer: ledger.Transfer, at: datetime
) -> Journal:
    """The journal of one transfer, by the number of its money: each is booked once."""
    key = f"payment:{channel}:{provider_no}:{code.lower()}"
    return Journal(key=key, code=code, order_id=order_id, occurred_at=at, transfers=(transfer,))


def _psp(channel: str) -> Account:
    return Account("psp", channel)
