"""What a payout by profit sharing takes of which payments: decided at its approval, kept, and held against refunds.

left     of an order's payment: what its released lines still have for the supplier, refunds and disputes taken off
         unless they were won, less what payouts that were approved, sent or arrived took of it, their fees too; and no
         more than the payment has, nor than its channel splits of it: nothing of what was not opened to be split, nor
         once that has ended, or is too late
taken    first of the orders on the payout's own statements, then of those that the supplier had released lately; what
         no payment has left is transferred. Of a payment on them that was opened to be split, and gives nothing in the
         end, nothing is kept to be taken: its splitting ends with the payout, too
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Subquery, and_, exists, func, insert, or_, select

from server.db import Tx, among, table_of
from server.ledger import queries as ledger
from server.ledger.actions import Account
from server.ledger.paying import BANK
from server.orders.settling import delivered_lines, unsettled_lines
from server.payments import settling as payments
from server.payments.settling import Paid
from server.settlement import terms as agreed
from server.settlement.earning import RELEASED
from server.settlement.instructing import GIVEN_BACK_WITHIN, WITHIN, Part, most_of, share_out, window
from server.settlement.model import (
    Payout,
    SettlementItem,
    SettlementResult,
    SettlementReturn,
    SettlementSplit,
    Statement,
)
from shared import clock
from shared.errors import Conflict
from shared.finance import PayoutState, StatementState
from shared.money import Fen

_TAKEN = (PayoutState.APPROVED.value, PayoutState.SENT.value, PayoutState.CONFIRMED.value)
_NOT_ENDED = (PayoutState.APPROVED.value, PayoutState.SENT.value)
_CARRIED = (PayoutState.SENT.value, PayoutState.CONFIRMED.value, PayoutState.FAILED.value)
_LATELY = WITHIN + timedelta(days=1)
_IS_OF_SPLIT = and_(SettlementResult.payout_id == SettlementSplit.payout_id, SettlementResult.n == SettlementSplit.n)


PROFIT_SHARING = "profit_sharing"
TRANSFER = 0
"""The number of the row of an instruction for what no payment has."""


class SplitOutdated(Conflict):
    """A payment has not got any more what was to be split of it, or can be split no longer."""

    code = "split_outdated"
    zh = "打款 {number} 复核后，有订单发生了退款、争议或已不能再分账，分账指令已不可用。请撤回后重新发起。"
    en = (
        "Since payout {number} was checked orders were refunded or disputed, or cannot be split any more. "
        "Withdraw and remake it."
    )


def decide(tx: Tx, payout: Payout) -> None:
    """Keep what a payout that is approved takes of each payment. Callers hold the supplier's turn."""
    parts = _parts(tx, payout) if payout.mode == PROFIT_SHARING else []
    taken = {part.order_id for part in parts}
    parts += [Part(order_id, 0, 0) for order_id in _opened(tx, payout) if order_id not in taken]
    rows = [
        {"payout_id": payout.id, "n": n, "order_id": part.order_id, "amount_fen": part.amount, "fee_fen": part.fee}
        for n, part in enumerate(parts, start=1)
    ]
    if rows:
        tx.execute(insert(table_of(SettlementSplit)), rows)


def _parts(tx: Tx, payout: Payout) -> list[Part]:
    own = _left(tx, payout, Statement.number.in_(payout.statements))
    others: dict[UUID, Fen] = {}
    if sum(own.values()) < payout.amount_fen:
        lately = Statement.confirmed_at >= clock.now() - _LATELY
        others = {order_id: fen for order_id, fen in _left(tx, payout, lately).items() if order_id not in own}
    return share_out(payout.amount_fen, payout.fee_fen, own, others)


def _opened(tx: Tx, payout: Payout) -> list[UUID]:
    """The orders on a payout's statements whose payments were opened to be split, and still can be; and those on its
    supplier's last statements that no payout pays, as debts took all of them.
    """
    opened = payments.opened_to_be_split()
    netted = and_(
        Statement.state == StatementState.PAID.value,
        Statement.payout_id.is_(None),
        Statement.confirmed_at >= clock.now() - _LATELY,
    )
    query = (
        select(SettlementItem.order_id)
        .distinct()
        .join(Statement, Statement.id == SettlementItem.statement_id)
        .join(opened, opened.c.order_id == SettlementItem.order_id)
        .where(Statement.supplier_id == payout.supplier_id, or_(Statement.number.in_(payout.statements), netted))
        .where(opened.c.paid_at >= clock.now() - WITHIN)
    )
    found = sorted(tx.scalars(query))
    ended = _ended(tx, found)
    return [order_id for order_id in found if order_id not in ended]


def require_fit(tx: Tx, payout: Payout) -> None:
    """Raise SplitOutdated unless each payment still has what the payout, and its fee, take of it."""
    wanted = {row.order_id: row.amount_fen + row.fee_fen for row in _rows_of(tx, payout) if row.amount_fen}
    left = left_of(tx, payout, wanted)
    if any(left.get(order_id, 0) < fen for order_id, fen in wanted.items()):
        raise SplitOutdated(number=payout.number)


def of(tx: Tx, payout: Payout) -> list[tuple[int, UUID, Fen]]:
    """What a payout takes of the payments of which orders, by the numbers of the splits."""
    return [(row.n, row.order_id, row.amount_fen) for row in _rows_of(tx, payout) if row.amount_fen]


def numbers(tx: Tx, payout: Payout) -> set[int]:
    """The numbers of its splits, of what gives nothing, too: the ends of their payments are named by them."""
    return {row.n for row in _rows_of(tx, payout)}


def _rows_of(tx: Tx, payout: Payout) -> Sequence[SettlementSplit]:
    mine = select(SettlementSplit).where(SettlementSplit.payout_id == payout.id)
    return tx.scalars(mine.order_by(SettlementSplit.n)).all()


def left_of(
    tx: Tx, payout: Payout, order_ids: Collection[UUID], *, agreed_at: datetime | None = None
) -> dict[UUID, Fen]:
    """What can be split of the payments of these orders for the payout's supplier, the payout itself not counted; by
    what its terms let of a payment be split at some instant, or now.
    """
    wanted = list(order_ids)
    return _left(tx, payout, among(tx, SettlementItem.order_id, wanted), agreed_at=agreed_at) if wanted else {}


def rows(tx: Tx, payout: Payout) -> dict[int, Fen]:
    """The rows of its instruction by which the money goes, by their numbers: the splits, and the transfer."""
    found = {n: fen for n, _, fen in of(tx, payout)}
    rest = payout.amount_fen - sum(found.values())
    return found | ({TRANSFER: rest} if rest else {})


def sources(tx: Tx, payout: Payout, wanted: Collection[int]) -> dict[Account, Fen]:
    """Where the money of some rows of its instruction comes from: our bank, or what a channel owes us."""
    taken = of(tx, payout)
    mine = {n: (order_id, fen) for n, order_id, fen in taken if n in wanted}
    paid = payments.payments_of(tx, [order_id for order_id, _ in mine.values()])
    found: dict[Account, Fen] = defaultdict(int)
    for order_id, fen in mine.values():
        found[psp_of(paid[order_id])] += fen
    if TRANSFER in wanted:
        found[BANK] += payout.amount_fen - sum(fen for _, _, fen in taken)
    return found


def psp_of(paid: Paid) -> Account:
    """What the channel of a payment owes us."""
    return Account("psp", paid.channel)


@dataclass(frozen=True, slots=True)
class Due:
    """So much of a payout's `n`-th split is to be given back, the `k`-th time, until `until`."""

    n: int
    k: int
    order_id: UUID
    amount: Fen
    until: datetime


def returns(tx: Tx, payout: Payout) -> dict[tuple[int, int], SettlementReturn]:
    """What was given back of the splits of a payout, by their numbers and times."""
    mine = select(SettlementReturn).where(SettlementReturn.payout_id == payout.id)
    return {(row.n, row.k): row for row in tx.scalars(mine)}


def to_return(tx: Tx, payout: Payout, *, besides: Mapping[UUID, Fen] = MappingProxyType({})) -> list[Due]:
    """What of the splits of a payout that arrived is lacking for the refunds of their payments.

    A channel refunds no more of a payment than what of it was not split, or was given back, within 180 days: so it is
    asked for `until` then, and may be told later. `besides` are taken to have gone back of payments, too.
    """
    assert payout.arrived_at is not None, payout.number
    until = payout.arrived_at + GIVEN_BACK_WITHIN
    told, back = results(tx, payout), returns(tx, payout)
    arrived = {order_id: (n, fen) for n, order_id, fen in of(tx, payout) if n not in told or told[n].succeeded}
    gone, paid = _gone(tx, list(arrived), *payments.taken()), payments.payments_of(tx, arrived)
    for order_id, fen in besides.items():
        gone[order_id] = gone.get(order_id, 0) + fen
    others = _split_before(tx, payout, list(arrived))
    newer = _split_before(tx, payout, list(arrived), Payout.id > payout.id)  # give back first
    found = []
    for order_id, (n, fen) in arrived.items():
        given = [row.amount_fen for row in back.values() if row.n == n]
        mine = fen - sum(given)
        older = mine + others.get(order_id, 0) - newer.get(order_id, 0)
        lacks = min(older - (paid[order_id].amount - gone.get(order_id, 0)), mine)
        if gone.get(order_id) and lacks > 0:
            found.append(Due(n, len(given) + 1, order_id, lacks, until))
    return found


def most_returned(tx: Tx, payout: Payout, n: int, k: int) -> Fen:
    """How much can have been given back of a split the `k`-th time: what is due by now, as more may be than was asked.

    What refunds had taken that ended without money counts, too: it may have been asked for, and is not due any more.
    """
    asked = payments.gave_up(tx, [order_id for m, order_id, _ in of(tx, payout) if m == n])
    return next((one.amount for one in to_return(tx, payout, besides=asked) if (one.n, one.k) == (n, k)), 0)


def rounds(tx: Tx, payout: Payout, order_ids: Collection[UUID]) -> dict[UUID, int]:
    """How many requests other payouts made of the payments of these orders."""
    query = (
        select(SettlementSplit.order_id, func.count())
        .join(Payout, Payout.id == SettlementSplit.payout_id)
        .where(Payout.id != payout.id, Payout.state.in_(_CARRIED), SettlementSplit.amount_fen > 0)
        .where(among(tx, SettlementSplit.order_id, list(order_ids)))
        .group_by(SettlementSplit.order_id)
    )
    return {order_id: int(n) for order_id, n in tx.execute(query)}


@dataclass(frozen=True, slots=True)
class End:
    """With a payout's `n`-th split nothing more is split of its payment: so much of that is left for the shop."""

    n: int
    order_id: UUID
    amount: Fen


def ends(tx: Tx, payout: Payout) -> list[End]:
    """The payments whose splitting ends with a payout, as nothing more is to be split of them once it arrived.

    They have nothing left for the supplier; or nothing is available to it any more, as refunds of other orders took it.
    All lines of their orders were released, nothing about them is in question, and their split did not fail. Of several
    payouts the newest ends it, once it is known of all what became of theirs.
    """
    told, rows = results(tx, payout), _rows_of(tx, payout)
    ended = _ended(tx, [row.order_id for row in rows])
    rows = [row for row in rows if _is_true(told, -row.n) or not (_is_false(told, row.n) or row.order_id in ended)]
    left = left_of(tx, payout, [row.order_id for row in rows], agreed_at=payout.checked_at)
    if not _has_more(tx, payout.supplier_id):
        left = {}
    back = _given_back(tx, payout)
    rows = [row for row in rows if left.get(row.order_id, 0) <= row.amount_fen - back[row.n] + row.fee_fen]
    unsure = _unsure(tx, payout, [row.order_id for row in rows])
    sure = [row for row in rows if row.order_id not in unsure]
    rest = _rest(tx, payout, sure)
    gone = _gone(tx, list(rest), *payments.taken())
    found = [End(row.n, row.order_id, rest[row.order_id] - gone.get(row.order_id, 0)) for row in sure]
    return [one for one in found if one.amount > 0]


def _has_more(tx: Tx, supplier_id: UUID) -> bool:
    """Whether a supplier has anything that was released and is in no payout that was sent."""
    accounts = Account("supplier_available", supplier_id.hex), Account("supplier_frozen", supplier_id.hex)
    return any(ledger.net(tx, account) > 0 for account in accounts)


def rest_within(tx: Tx, payout: Payout, n: int) -> tuple[Fen, Fen]:
    """The least and the most that can be left for the shop of the payment of a payout's `n`-th split.

    Refunds may have gone back before or after its splitting ended; a split that did not arrive was left, too.
    """
    [row] = [row for row in _rows_of(tx, payout) if row.n == n]
    rest = _rest(tx, payout, [row])[row.order_id]
    told, is_there = results(tx, payout), payout.state == PayoutState.CONFIRMED.value
    arrived = told[n].succeeded if n in told else is_there
    gone = _gone(tx, [row.order_id], *payments.taken()).get(row.order_id, 0)
    return max(rest - gone, 0), rest if arrived else rest + row.amount_fen


def _given_back(tx: Tx, payout: Payout) -> Counter[int]:
    """How much was given back of each of its splits: it may be split again."""
    back: Counter[int] = Counter()
    for (n, _), given in returns(tx, payout).items():
        back[n] += given.amount_fen
    return back


def _rest(tx: Tx, payout: Payout, rows: Sequence[SettlementSplit]) -> dict[UUID, Fen]:
    """What no payout splits of the payments of some of a payout's splits, whatever refunds took."""
    paid = payments.payments_of(tx, [row.order_id for row in rows])
    back = _given_back(tx, payout)
    rest = {row.order_id: paid[row.order_id].amount - row.amount_fen + back[row.n] for row in rows}
    _take(rest, _split_before(tx, payout, list(rest)))
    return rest


def _unsure(tx: Tx, payout: Payout, order_ids: Collection[UUID]) -> set[UUID]:
    """Those of these orders of which more may be split, or given back, or that another payout sees to."""
    lines, waits = delivered_lines(), unsettled_lines()
    others = or_(lines.c.supplier_id != payout.supplier_id, exists().where(waits.c.order_id == lines.c.order_id))
    unsure = set(tx.scalars(select(lines.c.order_id).where(among(tx, lines.c.order_id, list(order_ids)), others)))
    asked = payments.in_question(tx)
    return unsure | asked.refunds | asked.disputes | asked.exceptions | _in_others(tx, payout, order_ids)


def _is_true(told: Mapping[int, SettlementResult], n: int) -> bool:
    return n in told and told[n].succeeded


def _is_false(told: Mapping[int, SettlementResult], n: int) -> bool:
    return n in told and not told[n].succeeded


def results(tx: Tx, payout: Payout) -> dict[int, SettlementResult]:
    """What the channel said of the rows of a payout's instruction, by their numbers."""
    mine = select(SettlementResult).where(SettlementResult.payout_id == payout.id)
    return {row.n: row for row in tx.scalars(mine)}


def _in_others(tx: Tx, payout: Payout, order_ids: Collection[UUID]) -> set[UUID]:
    """Those of these orders that newer payouts see to, or of whose payments others take something of which nobody knows
    yet whether it arrived.
    """
    on_its_way = and_(
        Payout.state.in_(_NOT_ENDED), SettlementResult.payout_id.is_(None), SettlementSplit.amount_fen > 0
    )
    newer = and_(Payout.state.in_(_TAKEN), Payout.id > payout.id)
    query = (
        select(SettlementSplit.order_id)
        .join(Payout, Payout.id == SettlementSplit.payout_id)
        .outerjoin(SettlementResult, _IS_OF_SPLIT)
        .where(Payout.id != payout.id, or_(on_its_way, newer))
    )
    return set(tx.scalars(query.where(among(tx, SettlementSplit.order_id, list(order_ids)))))


def _ended(tx: Tx, order_ids: Collection[UUID]) -> set[UUID]:
    """Those of these orders of whose payments the channel has said that nothing more is split, ever."""
    query = select(SettlementSplit.order_id).join(
        SettlementResult,
        and_(SettlementResult.payout_id == SettlementSplit.payout_id, SettlementResult.n == -SettlementSplit.n),
    )
    mine = among(tx, SettlementSplit.order_id, list(order_ids))
    return set(tx.scalars(query.where(mine, SettlementResult.succeeded.is_(True))))


def _gone(tx: Tx, order_ids: Collection[UUID], *by: Subquery) -> dict[UUID, Fen]:
    """What of the payments of these orders went back, is on its way, or is asked back by disputes that are open."""
    lines = delivered_lines()
    found: dict[UUID, Fen] = defaultdict(int)
    for back in by:
        query = select(lines.c.order_id, func.sum(back.c.amount_fen)).join(back, back.c.order_line_id == lines.c.id)
        mine = query.where(among(tx, lines.c.order_id, list(order_ids)))
        for order_id, fen in tx.execute(mine.group_by(lines.c.order_id)):
            found[order_id] += int(fen)
    return found


def _left(tx: Tx, payout: Payout, which: ColumnElement[bool], *, agreed_at: datetime | None = None) -> dict[UUID, Fen]:
    """What can be split for the supplier of the payments of some of its released orders, in the order of the orders."""
    is_theirs = (Statement.supplier_id == payout.supplier_id, Statement.mode == PROFIT_SHARING)
    chosen = (which, *is_theirs, Statement.state.in_(RELEASED))
    shares = select(SettlementItem.order_id, func.sum(SettlementItem.share_fen))
    left = _sums(tx, shares.join(Statement, Statement.id == SettlementItem.statement_id).where(*chosen))
    if not left:
        return {}
    for back in (*payments.taken(), payments.disputed()):
        taken = (
            select(SettlementItem.order_id, func.sum(back.c.supplier_fen))
            .join(back, back.c.order_line_id == SettlementItem.order_line_id)
            .join(Statement, Statement.id == SettlementItem.statement_id)
            .where(*chosen)
        )
        _take(left, _sums(tx, taken))
    of_supplier = Payout.supplier_id == payout.supplier_id
    _take(left, _split_before(tx, payout, left, of_supplier))
    _take(left, _fees_before(tx, payout, left, of_supplier))
    has = {order_id: fen for order_id, fen in left.items() if fen > 0}
    able = {order_id: min(has[order_id], fen) for order_id, fen in _room(tx, payout, has, agreed_at).items()}
    return {order_id: fen for order_id, fen in sorted(able.items()) if fen > 0}


def _room(tx: Tx, payout: Payout, order_ids: Collection[UUID], agreed_at: datetime | None) -> dict[UUID, Fen]:
    """What the channel still splits of the payments of these orders, whosever it is: all of it is in them."""
    paid, gone = payments.payments_of(tx, order_ids), _gone(tx, order_ids, *payments.taken(), payments.disputed())
    before, ended, now = rounds(tx, payout, order_ids), _ended(tx, order_ids), clock.now()
    most = agreed.histories(tx, [payout.supplier_id])[payout.supplier_id].at(agreed_at or now).split_ppm
    room = {
        order_id: min(most_of(one.amount, most), one.amount - gone.get(order_id, 0))
        for order_id, one in paid.items()
        if one.is_shared
        and order_id not in ended
        and window(one.paid_at, at=now, rounds=before.get(order_id, 0)).trouble is None
    }
    _take(room, _split_before(tx, payout, room))
    _take(room, _fees_before(tx, payout, room))
    return room


def _sums(tx: Tx, query: Any) -> dict[UUID, Fen]:
    return {order_id: int(fen) for order_id, fen in tx.execute(query.group_by(SettlementItem.order_id))}


def _take(left: dict[UUID, Fen], taken: Mapping[UUID, Fen]) -> None:
    for order_id, fen in taken.items():
        if order_id in left:
            left[order_id] -= fen


def _split_before(tx: Tx, payout: Payout, order_ids: Collection[UUID], *which: ColumnElement[bool]) -> dict[UUID, Fen]:
    """What other payouts took of the payments of these orders: not what failed, nor what was given back."""
    failed = exists().where(_IS_OF_SPLIT, SettlementResult.succeeded.is_(False))
    given_back = (
        select(func.coalesce(func.sum(SettlementReturn.amount_fen), 0))
        .where(SettlementReturn.payout_id == SettlementSplit.payout_id, SettlementReturn.n == SettlementSplit.n)
        .correlate(SettlementSplit)
        .scalar_subquery()
    )
    return _of_others(tx, payout, order_ids, func.sum(SettlementSplit.amount_fen - given_back), *which, ~failed)


def _fees_before(tx: Tx, payout: Payout, order_ids: Collection[UUID], *which: ColumnElement[bool]) -> dict[UUID, Fen]:
    """What the fees of other payouts left with the shop of the payments of these orders, also where a row failed."""
    return _of_others(tx, payout, order_ids, func.sum(SettlementSplit.fee_fen), *which)


def _of_others(
    tx: Tx, payout: Payout, order_ids: Collection[UUID], what: ColumnElement[Any], *which: ColumnElement[bool]
) -> dict[UUID, Fen]:
    query = (
        select(SettlementSplit.order_id, what)
        .join(Payout, Payout.id == SettlementSplit.payout_id)
        .where(Payout.id != payout.id, Payout.state.in_(_TAKEN), *which)
        .where(among(tx, SettlementSplit.order_id, list(order_ids)))
        .group_by(SettlementSplit.order_id)
    )
    return {order_id: int(fen) for order_id, fen in tx.execute(query)}
