"""The journals of received money: what a channel owes us for it, and whose it is then.

PAY       psp -> escrow         a buyer paid an order
PSPFEE    psp_fee -> psp        what the channel keeps of it: our estimate, then what its bill says beyond that
PROMO     promo -> escrow       the shop pays the discount, once it is delivered
SALE      escrow -> suppliers   and to the distributor and the platform, when it is delivered
SUSPENSE  psp -> suspense       money came that pays no order
ATTACH    suspense -> escrow    two people found the order it pays
CORRECT   suspense -> psp       the channel had named a wrong amount

What refunds and disputes take back is worked out by `sharing`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from server.ledger import actions as ledger
from server.ledger.actions import Account, Journal, Transfer
from server.orders.model import Order, OrderLine
from shared.finance import JournalCode
from shared.money import Fen

ESCROW, SUSPENSE, FEE, PROMO = Account("escrow"), Account("suspense"), Account("fee"), Account("promo")
PSPFEE = JournalCode.PSPFEE.value


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


def fee(order_id: UUID | None, channel: str, number: str, amount: Fen, *, at: datetime) -> Journal:
    """PSPFEE: what we expect the channel to keep of a payment."""
    transfer = Transfer(_psp_fee(channel), _psp(channel), amount)
    return Journal(fee_key(channel, number), PSPFEE, order_id, at, (transfer,))


def fee_key(channel: str, number: str, *, n: int = 0) -> str:
    """The key of an estimated fee, or of the `n`th time that a bill said something else than what was booked."""
    by_bill = "-bill" if n == 1 else f"-bill:{n}" if n else ""
    return f"payment:{channel}:{number}:fee{by_bill}"


def fee_by_bill(order_id: UUID | None, channel: str, number: str, beyond: Fen, *, at: datetime, n: int) -> Journal:
    """PSPFEE: what the channel's bill says beyond what was booked, or, below zero, short of it."""
    cost, owes = _psp_fee(channel), _psp(channel)
    transfer = Transfer(cost, owes, beyond) if beyond > 0 else Transfer(owes, cost, -beyond)
    return Journal(fee_key(channel, number, n=n), PSPFEE, order_id, at, (transfer,))


def fee_returned(
    order_id: UUID | None, channel: str, out_refund_no: str, more: Fen, *, at: datetime, n: int
) -> Journal:
    """PSPFEE: what the channel gives back of its fee for a refund, beyond what was booked or, below zero, short of it:
    the `n`th time that its bill said something else.
    """
    cost, owes = _psp_fee(channel), _psp(channel)
    transfer = Transfer(owes, cost, more) if more > 0 else Transfer(cost, owes, -more)
    return Journal(fee_returned_key(out_refund_no, n=n), PSPFEE, order_id, at, (transfer,))


def fee_returned_key(out_refund_no: str, *, n: int) -> str:
    """The key of what was given back of a fee."""
    return f"refund:{out_refund_no}:fee" if n == 1 else f"refund:{out_refund_no}:fee:{n}"


def delivered(order: Order, lines: Sequence[OrderLine], *, at: datetime) -> list[Journal]:
    """PROMO and SALE, in the transaction that delivers: the discount comes in, and all of it is shared."""
    discount = sum(line.discount_fen for line in lines)
    transfers = []
    for line in lines:
        supplier = Account("supplier_pending", line.supplier_id.hex)
        transfers.append(Transfer(debit=ESCROW, credit=supplier, amount=line.supplier_fen))
        transfers.append(Transfer(debit=ESCROW, credit=FEE, amount=line.fee_fen))
        if line.commission_fen:
            assert order.distributor_id is not None, order.code
            distributor = Account("distributor_pending", order.distributor_id.hex)
            transfers.append(Transfer(debit=ESCROW, credit=distributor, amount=line.commission_fen))
    assert sum(transfer.amount for transfer in transfers) == order.amount_fen + discount, order.code
    sale = Journal(f"order:{order.code}:sale", "SALE", order.id, at, tuple(transfers))
    if not discount:
        return [sale]
    promo = Journal(f"order:{order.code}:promo", "PROMO", order.id, at, (Transfer(PROMO, ESCROW, discount),))
    return [promo, sale]


def _one(
    code: str, channel: str, provider_no: str, order_id: UUID | None, transfer: ledger.Transfer, at: datetime
) -> Journal:
    """The journal of one transfer, by the number of its money: each is booked once."""
    key = f"payment:{channel}:{provider_no}:{code.lower()}"
    return Journal(key=key, code=code, order_id=order_id, occurred_at=at, transfers=(transfer,))


def _psp(channel: str) -> Account:
    return Account("psp", channel)


def _psp_fee(channel: str) -> Account:
    return Account("psp_fee", channel)
