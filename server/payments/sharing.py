"""Taking the shares of a sale back into escrow, and giving them again: for refunds and disputes, by their lines.

A share that was not released comes out of what is pending; one that was, out of what is available, and its payee owes
what that lacks. The discount goes back to the shop, so that escrow has exactly what the buyer gets.
Callers hold the order; balances that are decided on stay locked.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Protocol
from uuid import UUID

from server.db import Tx
from server.ledger import paying
from server.ledger.actions import Account, Transfer
from server.ledger.paying import Payee
from server.orders import actions as orders
from server.orders.model import Order
from server.payments.booking import ESCROW, FEE, PROMO
from server.payments.refunds.splitting import Shared
from shared.money import Fen


class SharedLine(Shared, Protocol):
    """What is taken of one order line."""

    @property
    def order_line_id(self) -> UUID:
        """The line."""


def reverse(tx: Tx, order: Order | None, lines: Sequence[SharedLine]) -> list[Transfer]:
    """The shares of these parts of lines into escrow, and the discount out of it."""
    pending, released, fee, discount = _parts(tx, order, lines)
    transfers = [Transfer(account, ESCROW, fen) for account, fen in pending]
    for payee, fen in released:
        transfers += paying.take_back(tx, payee, fen)
    return [*transfers, Transfer(FEE, ESCROW, fee), Transfer(ESCROW, PROMO, discount)]


def restore(tx: Tx, order: Order | None, lines: Sequence[SharedLine]) -> list[Transfer]:
    """The shares out of escrow again, to where they belong now, and the discount into it."""
    pending, released, fee, discount = _parts(tx, order, lines)
    transfers = [Transfer(PROMO, ESCROW, discount)]
    transfers += [Transfer(ESCROW, account, fen) for account, fen in pending]
    for payee, fen in released:
        transfers += paying.give(tx, payee, (ESCROW, fen))
    return [*transfers, Transfer(ESCROW, FEE, fee)]


def _parts(
    tx: Tx, order: Order | None, lines: Sequence[SharedLine]
) -> tuple[list[tuple[Account, Fen]], list[tuple[Payee, Fen]], Fen, Fen]:
    """What is pending and what was released, by whose it is, in the order in which all lock; then fee and discount."""
    assert order is not None, "shares are of an order's lines"
    named = [line.order_line_id for line in lines]
    suppliers = {line.id: line.supplier_id for line in orders.lines_of(tx, [order.id])[order.id]}
    sums: dict[tuple[bool, Payee], Fen] = defaultdict(int)
    released = {kind: paying.released(tx, kind, named) for kind in ("supplier", "distributor")}
    for line in lines:
        supplier = paying.supplier(suppliers[line.order_line_id])
        sums[line.order_line_id in released["supplier"], supplier] += line.supplier_fen
        if line.commission_fen:
            assert order.distributor_id is not None, order.code
            distributor = paying.distributor(order.distributor_id)
            sums[line.order_line_id in released["distributor"], distributor] += line.commission_fen
    whose = sorted(sums, key=lambda one: (one[1].kind, one[1].id.bytes))
    return (
        [(payee.pending, sums[is_released, payee]) for is_released, payee in whose if not is_released],
        [(payee, sums[is_released, payee]) for is_released, payee in whose if is_released],
        sum(line.fee_fen for line in lines),
        sum(line.discount_fen for line in lines),
    )
