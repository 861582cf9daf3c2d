"""The frequent look at the books: what changed since the last one; everything once a night, and after anything wrong.

The change feed says which orders, refunds, imports, statements, payouts and adjustments were touched: every transaction
that touches one tells it. Lots say themselves when they were moved, void units when they became so, and journals when
they were posted. Where the last look stood is a row, so that a restart or another process goes on there. What a look
finds makes it read everything, at once and then every ten minutes until nothing is wrong: a fault is not forgotten
because nobody touches it again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from datetime import date, datetime, timedelta
from functools import partial
from itertools import groupby
from operator import attrgetter
from typing import Any
from uuid import UUID

from sqlalchemy import Integer, select, update
from sqlalchemy.orm import InstrumentedAttribute, Mapped, mapped_column

from server import changes, invariants
from server.db import Base, BigInt, Database, Instant, Tx
from server.invariants import Report, pace
from server.invariants.finding import Finding
from server.invariants.scope import Scope
from server.invariants.stock import HOLD_GRACE
from server.ledger import health
from server.ledger.model import LedgerJournal
from server.orders.model import Order, OrderLine
from server.payments.refunds.model import Refund, RefundLine
from server.settlement.model import SettlementItem
from server.stock.model import StockCursor, StockLot, StockUnit, StockVoid
from shared import clock
from shared.finance import JournalCode
from shared.states import OrderState

NIGHT_ENDS = timedelta(hours=3)
"""Everything is read by the first look after three in the morning, the shop's time."""

AGAIN = timedelta(minutes=10)
"""How soon everything is read again while something is wrong: it may take as long as a minute does."""

LATE = timedelta(minutes=10)
"""What says its own instant may be seen so much later: its transaction took long, or its job, or clocks differ."""

STEP = 5_000
"""Positions of the feed a read transaction."""

ORDERS, UNITS = 200, 5_000
"""Of one scope, about: its statements name them."""

LOT_UNITS = 200_000
"""Units of touched lots that a step reads, small lots first: the larger ones wait for the night."""

LOTS = 500
_OVERDUE = 1_000

OF_MONEY = frozenset("LPR")
"""The invariants of the ledger, of payments and of refunds: while one of them is broken nothing is paid out."""


class InvariantLook(Base):
    """One row: how far the feed was looked at, when everything was read last, and how much was wrong then."""

    __tablename__ = "invariant_look"

    id: Mapped[int] = mapped_column(BigInt, primary_key=True, autoincrement=False)
    pos: Mapped[int] = mapped_column(BigInt)
    looked_at: Mapped[datetime] = mapped_column(Instant)
    whole_at: Mapped[datetime] = mapped_column(Instant)
    findings: Mapped[int] = mapped_column(Integer)


def look(db: Database, *, pause: pace.Pause | None = None) -> Report | None:
    """Check what changed since the last look, or everything when it is time. Without figures when it is not.

    None while what the last one found is to stand a little longer. `pause` is how to rest between two checks.
    """
    now = clock.now()
    with db.read() as tx:
        mark, head = tx.get(InvariantLook, 1), changes.head(tx)
    # A feed that is shorter than it was is that of a backup.
    if mark is None or mark.pos > head or _night(mark.whole_at) < _night(now):
        return _whole(db, now, head, pause)
    if mark.findings:
        return _whole(db, now, head, pause) if now - mark.whole_at >= AGAIN else None
    pos = mark.pos
    while True:
        up_to = min(head, pos + STEP)
        with db.read(snapshot=True) as tx:
            scopes = _touched(tx, after=pos, up_to=up_to, since=mark.looked_at - LATE)
            if any(True for _ in pace.findings(_checks(tx, scopes, is_last=up_to == head), pause)):
                break
        pos = up_to
        if pos == head:
            with db.tx() as tx:
                tx.execute(update(InvariantLook).values(pos=head, looked_at=now))
            return Report(figures={}, findings=())
    return _whole(db, now, head, pause)


def _night(instant: datetime) -> date:
    return clock.shop_day(instant - NIGHT_ENDS)


def _whole(db: Database, now: datetime, head: int, pause: pace.Pause | None) -> Report:
    report = invariants.check(db, pause=pause)
    with db.tx() as tx:
        values = {"pos": head, "looked_at": now, "whole_at": now, "findings": len(report.findings)}
        tx.merge(InvariantLook(id=1, **values))
        of_money = [one for one in report.findings if one.invariant[0] in OF_MONEY]
        health.record(tx, [health.Breach(one.invariant, one.sentence, one.rows, one.accounts) for one in of_money])
    return report


def _checks(tx: Tx, scopes: Iterable[Scope], *, is_last: bool) -> Iterator[Callable[[], Finding | None]]:
    for scope in scopes:
        checks = invariants.BY_LOT if scope.lot_ids else invariants.BY_PAPER if scope.papers else invariants.BY_ORDER
        yield from (partial(check, tx, scope) for check in checks)
    if is_last:
        yield from (partial(check, tx) for check in invariants.EACH_TIME)


# --- what was touched ---


def _touched(tx: Tx, *, after: int, up_to: int, since: datetime) -> Iterator[Scope]:
    """The orders that the feed names, itself or by a refund or a statement, and those whose hold ended long ago; then
    their lots, and those that changed; then what else has journals.
    """
    entities = {"order", "refund", "import", *_PAPERS}
    named = changes.named(tx, entities, after=after, up_to=up_to, limit=up_to - after)
    assert named is not None
    overdue = (Order.state == OrderState.PENDING_PAYMENT.value, Order.due_at < clock.now() - HOLD_GRACE)
    late = tx.scalars(select(Order.id).where(*overdue).order_by(Order.due_at).limit(_OVERDUE))
    lots = set[UUID]()
    refunded = _of(tx, Refund.order_id, Refund.id, sorted(named["refund"]))
    settled = _of(tx, SettlementItem.order_id, SettlementItem.statement_id, sorted(named["statement"]))
    for scope in _of_orders(tx, sorted(named["order"].union(late, refunded, settled))):
        yield scope
        query = select(StockUnit.lot_id).where(scope.units(StockUnit.sku_id, StockUnit.seq))
        lots.update(tx.scalars(query.distinct()))
    imports = sorted(named["import"])
    for at in range(0, len(imports), LOTS):
        lots.update(tx.scalars(select(StockLot.id).where(StockLot.import_id.in_(imports[at : at + LOTS]))))
    lots.update(tx.scalars(select(StockLot.id).where(StockLot.moved_at >= since)))
    lots.update(tx.scalars(select(StockVoid.lot_id).where(StockVoid.voided_at >= since).distinct()))
    yield from _of_lots(tx, sorted(lots))
    yield from _of_papers(tx, {entity: named[entity] for entity in _PAPERS}, since)


def _of(tx: Tx, order_id: InstrumentedAttribute[Any], named: InstrumentedAttribute[UUID], ids: list[UUID]) -> set[UUID]:
    """The orders of refunds, or of statements; a refund of money without an order has none."""
    found = set[UUID]()
    for at in range(0, len(ids), ORDERS):
        query = select(order_id).where(named.in_(ids[at : at + ORDERS]))
        found.update(one for one in tx.scalars(query) if one is not None)
    return found


def _of_orders(tx: Tx, order_ids: list[UUID]) -> Iterator[Scope]:
    for at in range(0, len(order_ids), ORDERS):
        some = order_ids[at : at + ORDERS]
        query = select(OrderLine.order_id, OrderLine.id, OrderLine.sku_id, OrderLine.seqs)
        rows = tx.execute(query.where(OrderLine.order_id.in_(some)).order_by(OrderLine.order_id)).all()
        gone = _given_back(tx, some)
        orders, lines, seqs, units = list[UUID](), list[UUID](), dict[UUID, list[int]](), 0
        for order_id, of_order in groupby(rows, key=attrgetter("order_id")):
            if units >= UNITS:
                yield Scope(order_ids=orders, line_ids=lines, seqs=seqs, lot_ids=())
                orders, lines, seqs, units = [], [], {}, 0
            orders.append(order_id)
            for line in of_order:
                lines.append(line.id)
                seqs.setdefault(line.sku_id, []).extend(line.seqs + gone[line.id])
                units += len(line.seqs)
        yield Scope(order_ids=orders, line_ids=lines, seqs=seqs, lot_ids=())


def _given_back(tx: Tx, order_ids: list[UUID]) -> dict[UUID, list[int]]:
    """The units of each line that refunds are about: a line does not name them any more once they are back in stock."""
    found = defaultdict[UUID, list[int]](list)
    query = select(RefundLine.order_line_id, RefundLine.seqs).join(Refund, Refund.id == RefundLine.refund_id)
    for line_id, seqs in tx.execute(query.where(Refund.order_id.in_(order_ids))):
        found[line_id] += seqs
    return found


def _of_papers(tx: Tx, papers: Mapping[str, Collection[UUID]], since: datetime) -> Iterator[Scope]:
    """What was touched, and what was posted as if it were of one: nobody else would tell of that."""
    posted: dict[JournalCode, list[str]] = {code: [] for code in _PAPERS.values()}
    query = select(LedgerJournal.code, LedgerJournal.key).where(LedgerJournal.posted_at >= since)
    for code, key in tx.execute(query.where(LedgerJournal.code.in_([code.value for code in posted]))):
        posted[JournalCode(code)].append(key)
    if any(papers.values()) or any(posted.values()):
        yield Scope(order_ids=(), line_ids=(), seqs={}, lot_ids=(), papers=papers, keys=posted)


_PAPERS = {"statement": JournalCode.RELEASE, "payout": JournalCode.PAYOUT, "adjustment": JournalCode.ADJ}
"""What the feed calls those that have journals of their own, and the code of these."""


def _of_lots(tx: Tx, lot_ids: list[UUID]) -> Iterator[Scope]:
    sizes: list[tuple[int, UUID]] = []
    for at in range(0, len(lot_ids), LOTS):
        query = select(StockCursor.imported, StockCursor.lot_id).where(StockCursor.lot_id.in_(lot_ids[at : at + LOTS]))
        sizes += [(imported, lot_id) for imported, lot_id in tx.execute(query)]
    left, some = LOT_UNITS, list[UUID]()
    for imported, lot_id in sorted(sizes):
        left -= imported
        if left < 0:
            break
        some.append(lot_id)
    for at in range(0, len(some), LOTS):
        yield Scope(order_ids=(), line_ids=(), seqs={}, lot_ids=some[at : at + LOTS])
