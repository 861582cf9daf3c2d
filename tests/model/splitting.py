"""What payments can give to a supplier, reckoned in plain Python from the rows as they are kept."""

from collections import Counter

from sqlalchemy import select

from server.settlement.earning import RELEASED
from server.settlement.model import (
    Payout,
    SettlementItem,
    SettlementResult,
    SettlementReturn,
    SettlementSplit,
    Statement,
)
from server.settlement.splits import TRANSFER
from shared.finance import PayoutState

_TAKES = (PayoutState.APPROVED, PayoutState.SENT, PayoutState.CONFIRMED)


class Splitting:
    """How it stands: `split` and `fees` of each order's payment by all payouts but one, and those `ended`.

    `parts` are the splits of each payout by their orders; `waiting` has of each order the payouts of which nobody knows
    what became of its split, and `newest` the newest of those that see to it. Of payouts that arrived `arrived` has
    what they say of it, and `there` what their rows sum to that nobody told to have failed. `released` has the numbers
    of the statements that released some of an order.
    """

    def __init__(self, tx, supplier, *, but=None):
        payouts = {one.id: one for one in tx.scalars(select(Payout).where(Payout.supplier_id == supplier))}

        def of(table):
            return tx.scalars(select(table).where(table.payout_id.in_(list(payouts)))).all()

        self.told = told = {(one.payout_id, one.n): one.succeeded for one in of(SettlementResult)}
        back = Counter()
        for one in of(SettlementReturn):
            back[one.payout_id, one.n] += one.amount_fen
        self.parts = {}
        self.arrived = {one.id: one.arrived_fen for one in payouts.values() if one.state == PayoutState.CONFIRMED}
        self.split, self.fees, self.ended, self.waiting, self.newest = Counter(), Counter(), set(), {}, {}
        for row in of(SettlementSplit):
            self.parts.setdefault(row.payout_id, {})[row.order_id] = row
            if told.get((row.payout_id, -row.n)):
                self.ended.add(row.order_id)
            if row.payout_id == but or payouts[row.payout_id].state not in _TAKES:
                continue
            self.fees[row.order_id] += row.fee_fen
            is_waiting = payouts[row.payout_id].state != PayoutState.CONFIRMED and (row.payout_id, row.n) not in told
            if row.amount_fen and is_waiting:
                self.waiting.setdefault(row.order_id, set()).add(row.payout_id)
            self.newest[row.order_id] = max(row.payout_id, self.newest.get(row.order_id, row.payout_id))
            if told.get((row.payout_id, row.n), True):
                self.split[row.order_id] += row.amount_fen - back[row.payout_id, row.n]
        self.there = {id_: _there(payouts[id_], self.parts.get(id_, {}), told) for id_ in self.arrived}
        query = (
            select(SettlementItem.order_id, Statement.number)
            .join(Statement, Statement.id == SettlementItem.statement_id)
            .where(Statement.supplier_id == supplier, Statement.state.in_(RELEASED))
        )
        self.released = {}
        for order_id, number in tx.execute(query):
            self.released.setdefault(order_id, set()).add(number)

    def room(self, sold, ppm):
        """What each released payment still gives: of `sold` each knows what was paid, and what nobody took of it."""
        room = {}
        for one in sold:
            if one.order_id in self.released and one.order_id not in self.ended:
                most = min(one.left.supplier, one.left.amount, one.paid * ppm // 10**6)
                room[one.order_id] = max(0, most - self.split[one.order_id] - self.fees[one.order_id])
        return room

    def ends(self, payout, sold, ppm, *, has_more):
        """What is left for the shop of the payments that a payout was the last to split, and of which all is clear.

        `has_more`: their supplier has something besides that such a payment may give.
        """
        room, found = self.room(sold, ppm) if has_more else {}, {}
        for one in sold:
            row = self.parts.get(payout.id, {}).get(one.order_id)
            rest = one.left.amount - self.split[one.order_id]
            if row is None or room.get(one.order_id) or one.refund or one.dispute or rest <= 0:
                continue
            is_told = (payout.id, -row.n) in self.told
            if is_told and payout.state == PayoutState.CONFIRMED:
                continue
            others = self.waiting.get(one.order_id, set()) - {payout.id}
            failed = self.told.get((payout.id, row.n)) is False
            if (
                self.newest[one.order_id] == payout.id
                and not others
                and (is_told or not (failed or one.order_id in self.ended))
            ):
                found[one.order_id] = rest
        return found


def _there(payout, parts, told):
    rows = {row.n: row.amount_fen for row in parts.values()}
    rows[TRANSFER] = payout.amount_fen - sum(rows.values())
    return sum(fen for n, fen in rows.items() if told.get((payout.id, n), True))
