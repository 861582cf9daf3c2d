"""The business day in numbers and rows, set-based, by keyset pages. Reads the tables of other domains, writes none.

Orders, payments and movements are told from their own tables, the totals of accounts from the ledger: that the two
agree is what finance signs. A day is 00:00 to 24:00 in the shop's zone. What was delivered in it is found through
the SALE journals, whose index knows the day; an order is then taken by its own instant. What happens to an order later
changes nothing of its day: units that go back, or replace others, are movements of the day on which they do.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, exists, func, or_, select
from sqlalchemy.orm import InstrumentedAttribute

from server import changes
from server.catalog import queries as catalog
from server.db import Tx
from server.identity.queries import supplier_names
from server.ledger.model import LedgerAccount, LedgerJournal, LedgerTransfer
from server.orders.model import Order, OrderLine
from server.payments.model import PaymentAttempt, PaymentException
from server.payments.refunds.model import Replacement
from server.policy import Actor
from server.stock.model import Delivery, StockCursor, StockLot, StockUnit, StockVoid, UndoneDelivery
from shared import clock
from shared.contracts import reports as wire
from shared.contracts.base import Page
from shared.errors import BadField
from shared.states import AttemptState, ExceptionKind, FoundBy, LotState, OrderState

_SLACK = timedelta(hours=1)
"""A SALE journal and its order's delivery are one transaction; their instants may differ by its length."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class _Day:
    """A business day as a half-open interval of instants."""

    start: datetime
    end: datetime

    @classmethod
    def of(cls, day: date) -> _Day:
        start, end = clock.day_bounds(day)
        return cls(start, end)

    def has(
        self, column: InstrumentedAttribute[datetime] | InstrumentedAttribute[datetime | None]
    ) -> ColumnElement[bool]:
        """The instant lies in the day."""
        return and_(column >= self.start, column < self.end)


def summary(tx: Tx, day: date) -> wire.DaySummary:
    """The day's figures, as of now: what the detail pages add up to."""
    span = _Day.of(day)
    delivered = OrderLine.order_id.in_(_delivered_in(span))
    kept = (OrderLine.amount_fen, OrderLine.discount_fen, OrderLine.supplier_fen, OrderLine.commission_fen)
    totals = (func.coalesce(func.sum(column), 0) for column in (*kept, OrderLine.fee_fen))
    amount, discount, supplier, commission, fee = map(int, tx.execute(select(*totals).where(delivered)).one())
    number = select(func.count(OrderLine.order_id.distinct())).where(delivered)
    paid = select(func.coalesce(func.sum(PaymentAttempt.amount_fen), 0)).where(*_paid_attempts(span))
    return wire.DaySummary(
        day=day,
        as_of=clock.now(),
        position=changes.head(tx),
        orders_placed=_count(tx, select(func.count()).select_from(Order).where(span.has(Order.created_at))),
        orders_paid=_count(tx, select(func.count()).select_from(Order).where(span.has(Order.paid_at))),
        orders_delivered=_count(tx, number),
        paid_fen=_count(tx, paid),
        delivered_fen=amount,
        discount_fen=discount,
        supplier_fen=supplier,
        commission_fen=commission,
        fee_fen=fee,
        units_imported=_count(tx, _imported(span).with_only_columns(func.coalesce(func.sum(StockCursor.imported), 0))),
        units_sold=sum(
            sign * _count(tx, rows.with_only_columns(func.count())) for sign, _, rows in _sold(span.start, span.end)
        ),
        units_returned=_count(tx, _returned(span.start, span.end).with_only_columns(func.count())),
        units_replaced=_count(tx, _replaced(span.start, span.end).with_only_columns(func.count())),
        exceptions_open=_count(
            tx,
            select(func.count())
            .select_from(PaymentException)
            .where(PaymentException.closed_at.is_(None), PaymentException.created_at < span.end),
        ),
        ledger=_ledger(tx, span),
    )


def _count(tx: Tx, query: Select[int]) -> int:
    return int(tx.execute(query).scalar_one())


def _ledger(tx: Tx, span: _Day) -> list[wire.LedgerTotal]:
    """Debits and credits by kind of account, of all transfers whose journal belongs to the day."""
    totals: dict[str, list[int]] = {}
    for n, side in enumerate((LedgerTransfer.debit_id, LedgerTransfer.credit_id)):
        query = (
            select(LedgerAccount.kind, func.sum(LedgerTransfer.amount_fen))
            .join(LedgerTransfer, side == LedgerAccount.id)
            .join(LedgerJournal, LedgerJournal.id == LedgerTransfer.journal_id)
            .where(span.has(LedgerJournal.occurred_at))
            .group_by(LedgerAccount.kind)
        )
        for kind, amount in tx.execute(query):
            totals.setdefault(kind, [0, 0])[n] = int(amount)
    return [
        wire.LedgerTotal(account=kind, debits_fen=debits, credits_fen=credits)
        for kind, (debits, credits) in sorted(totals.items())
    ]


def _delivered_in(span: _Day) -> Select[UUID]:
    """The ids of orders delivered in the day."""
    return (
        select(Order.id)
        .join(LedgerJournal, LedgerJournal.order_id == Order.id)
        .where(
            LedgerJournal.code == "SALE",
            LedgerJournal.occurred_at >= span.start - _SLACK,
            LedgerJournal.occurred_at < span.end + _SLACK,
            span.has(Order.delivered_at),
        )
    )


def _paid_attempts(span: _Day) -> tuple[ColumnElement[bool], ...]:
    return PaymentAttempt.state == AttemptState.PAID.value, span.has(PaymentAttempt.paid_at)


# --- orders ---


def day_orders(tx: Tx, day: date, *, after: str | None, limit: int) -> Page[wire.DayOrder]:
    """The lines of all orders created, paid or delivered that day, by creation; at most `limit` orders a page.

    Orders of earlier days come first; they are few, so their range is searched by payment and delivery. The day's own
    are a plain walk along the index of creation. Raises BadField for an `after` that is not ours.
    """
    span = _Day.of(day)
    at = _parse_key(after)
    found: list[Order] = []
    if at is None or at[0] < span.start:
        settled = or_(span.has(Order.paid_at), Order.id.in_(_delivered_in(span)))
        found = _walk(tx, and_(Order.created_at < span.start, settled), at, limit)
    if len(found) <= limit:
        found += _walk(tx, span.has(Order.created_at), at, limit - len(found))
    page = found[:limit]
    more = _key(page[-1].created_at, page[-1].id) if len(found) > limit else None
    return Page[wire.DayOrder](items=_lines(tx, page), next=more)


def _walk(tx: Tx, among: ColumnElement[bool], at: tuple[datetime, UUID] | None, limit: int) -> list[Order]:
    """Up to `limit` orders and one more, which says that there are more."""
    query = select(Order).where(among)
    if at is not None:
        query = query.where(or_(Order.created_at > at[0], and_(Order.created_at == at[0], Order.id > at[1])))
    return list(tx.scalars(query.order_by(Order.created_at, Order.id).limit(limit + 1)))


def _lines(tx: Tx, orders: Sequence[Order]) -> list[wire.DayOrder]:
    by_id = {order.id: order for order in orders}
    names = supplier_names(tx)
    lines: dict[UUID, list[OrderLine]] = {order_id: [] for order_id in by_id}
    for line in tx.scalars(select(OrderLine).where(OrderLine.order_id.in_(by_id)).order_by(OrderLine.n)):
        lines[line.order_id].append(line)
    return [
        wire.DayOrder(
            code=order.code,
            created_at=order.created_at,
            paid_at=order.paid_at,
            delivered_at=order.delivered_at,
            state=OrderState(order.state),
            sku=line.sku_code,
            title=line.title,
            supplier=names.get(line.supplier_id, "?"),
            quantity=line.quantity,
            unit_price=line.unit_price,
            amount_fen=line.amount_fen,
            discount_fen=line.discount_fen,
            supplier_fen=line.supplier_fen,
            commission_fen=line.commission_fen,
            fee_fen=line.fee_fen,
        )
        for order in orders
        for line in lines[order.id]
    ]


# --- payments ---


def day_payments(tx: Tx, day: date, *, after: str | None, limit: int) -> Page[wire.DayPayment]:
    """The payments received that day, by their instant. `delivered` is whether this very money delivered its order.

    Not a second payment of it. What else came in vain for the same attempt, such as a callback with another amount or
    money that the channel took twice, is an exception of its own and takes nothing from the payment that counted.
    """
    span, at = _Day.of(day), _parse_key(after)
    second = exists().where(
        PaymentException.attempt_id == PaymentAttempt.id,
        PaymentException.provider_no == PaymentAttempt.provider_no,
        PaymentException.kind == ExceptionKind.PAID_TWICE.value,
    )
    query = (
        select(PaymentAttempt, Order.delivered_at, second)
        .join(Order, Order.id == PaymentAttempt.order_id)
        .where(*_paid_attempts(span))
    )
    if at is not None:
        later = and_(PaymentAttempt.paid_at == at[0], PaymentAttempt.id > at[1])
        query = query.where(or_(PaymentAttempt.paid_at > at[0], later))
    rows = tx.execute(query.order_by(PaymentAttempt.paid_at, PaymentAttempt.id).limit(limit + 1)).all()
    items = []
    for attempt, delivered_at, is_second in rows[:limit]:
        assert attempt.paid_at is not None
        assert attempt.provider_no is not None
        items.append(
            wire.DayPayment(
                paid_at=attempt.paid_at,
                channel=attempt.channel,
                out_trade_no=attempt.out_trade_no,
                provider_no=attempt.provider_no,
                order_code=attempt.order_code,
                state=AttemptState(attempt.state),
                amount_fen=attempt.amount_fen,
                delivered=delivered_at is not None and not is_second,
                found_by=FoundBy(attempt.found_by) if attempt.found_by else None,
            )
        )
    more = None
    if len(rows) > limit:
        last = rows[limit - 1][0]
        assert last.paid_at is not None
        more = _key(last.paid_at, last.id)
    return Page[wire.DayPayment](items=items, next=more)


# --- card movements ---


def day_movements(tx: Tx, who: Actor, day: date, *, after: str | None, limit: int) -> Page[wire.DayMovement]:
    """What came in and went out of each SKU that day, by SKU code.

    `free_at_close` is what was unsold at the day's end, held units included: imported until then, less what had been
    sold, or replaced others, and what had become void by then, and with what had come back. All are what is now,
    without what came since.
    """
    span = _Day.of(day)
    page = catalog.skus(tx, who, q=None, after=after, limit=limit)
    ids = [sku.id for sku in page.items]
    imported = _by_sku(tx, _imported(span), func.sum(StockCursor.imported), ids)
    sold, gone = _sold_by_sku(tx, span.start, span.end, ids), _gone_by_sku(tx, span.start, span.end, ids)
    until_close = _by_sku(tx, _lots().where(StockLot.created_at < span.end), func.sum(StockCursor.imported), ids)
    gone_now = _by_sku(tx, _lots(), func.sum(StockCursor.sold + StockCursor.void), ids)
    sold_since, gone_since = _sold_by_sku(tx, span.end, None, ids), _gone_by_sku(tx, span.end, None, ids)
    money = _sold_fen(tx, span, ids)
    costs = _costs(tx, span, [sku_id for sku_id in ids if sku_id in sold])
    items = []
    for sku in page.items:
        since = gone_since[sku.id]
        left_since = sold_since.get(sku.id, 0) + since.replaced + since.void - since.returned
        cost = costs.get(sku.id) if sku.id in sold else 0
        amount = money.get(sku.id, 0)
        items.append(
            wire.DayMovement(
                sku=sku.code,
                title=sku.title,
                supplier=sku.supplier,
                imported=imported.get(sku.id, 0),
                sold=sold.get(sku.id, 0),
                returned=gone[sku.id].returned,
                replaced=gone[sku.id].replaced,
                void=gone[sku.id].void,
                free_at_close=until_close.get(sku.id, 0) - (gone_now.get(sku.id, 0) - left_since),
                sold_fen=amount,
                cost_fen=cost,
                margin_fen=None if cost is None else amount - cost,
            )
        )
    return Page[wire.DayMovement](items=items, next=page.next)


@dataclass(frozen=True, slots=True)
class _Moved:
    """Units of a SKU that moved otherwise than by the sale of an order."""

    returned: int
    replaced: int
    void: int


def _gone_by_sku(tx: Tx, start: datetime, end: datetime | None, ids: Sequence[UUID]) -> dict[UUID, _Moved]:
    counts = []
    for sku_id, rows in ((UndoneDelivery.sku_id, _returned(start, end)), (OrderLine.sku_id, _replaced(start, end))):
        query = rows.with_only_columns(sku_id, func.count()).where(sku_id.in_(ids)).group_by(sku_id)
        counts.append(dict(tx.execute(query).all()))
    void = _void_by_sku(tx, start, end, ids)
    return {one: _Moved(counts[0].get(one, 0), counts[1].get(one, 0), void.get(one, 0)) for one in ids}


def _returned(start: datetime, end: datetime | None) -> Select[UndoneDelivery]:
    """Units that left their buyers in an interval: to stock, or void, which is told by itself."""
    query = select(UndoneDelivery).where(UndoneDelivery.undone_at >= start)
    return query if end is None else query.where(UndoneDelivery.undone_at < end)


def _replaced(start: datetime, end: datetime | None) -> Select[Replacement]:
    """Units that were delivered in an interval for others."""
    query = select(Replacement).join(OrderLine, OrderLine.id == Replacement.order_line_id)
    query = query.where(Replacement.replaced_at >= start)
    return query if end is None else query.where(Replacement.replaced_at < end)


def _void_by_sku(tx: Tx, start: datetime, end: datetime | None, ids: Sequence[UUID]) -> dict[UUID, int]:
    """Units that became void in an interval: those that are named, and the others of lots withdrawn in it."""
    named = select(StockVoid.sku_id, func.count()).where(StockVoid.sku_id.in_(ids), StockVoid.voided_at >= start)
    own = select(func.count()).select_from(StockVoid)
    own = own.where(StockVoid.sku_id == StockLot.sku_id, StockVoid.lot_id == StockLot.id)
    withdrawn = (
        select(StockLot.sku_id, func.sum(StockCursor.void - own.scalar_subquery()))
        .join(StockCursor, StockCursor.lot_id == StockLot.id)
        .where(StockLot.sku_id.in_(ids), StockLot.state == LotState.WITHDRAWN.value, StockLot.moved_at >= start)
    )
    if end is not None:
        named, withdrawn = named.where(StockVoid.voided_at < end), withdrawn.where(StockLot.moved_at < end)
    found: dict[UUID, int] = defaultdict(int)
    for query, sku_id in ((named, StockVoid.sku_id), (withdrawn, StockLot.sku_id)):
        for owner, count in tx.execute(query.group_by(sku_id)):
            found[owner] += int(count)
    return found


def _sold_fen(tx: Tx, span: _Day, ids: Sequence[UUID]) -> dict[UUID, int]:
    """What was paid for the units sold in the day, by SKU."""
    lines = select(OrderLine.sku_id, func.sum(OrderLine.amount_fen)).where(
        OrderLine.order_id.in_(_delivered_in(span)), OrderLine.sku_id.in_(ids)
    )
    return {sku_id: int(amount) for sku_id, amount in tx.execute(lines.group_by(OrderLine.sku_id))}


def _costs(tx: Tx, span: _Day, ids: Sequence[UUID]) -> dict[UUID, int | None]:
    """What the units sold in the day had cost, in fen, by SKU; None where some came without a cost."""
    sums: dict[UUID, list[int]] = defaultdict(lambda: [0, 0, 0])
    for sign, seq, rows in _sold(span.start, span.end):
        query = (
            rows.join(StockUnit, and_(StockUnit.sku_id == OrderLine.sku_id, StockUnit.seq == seq))
            .join(StockLot, StockLot.id == StockUnit.lot_id)
            .with_only_columns(OrderLine.sku_id, func.count(), func.count(StockLot.cost), func.sum(StockLot.cost))
            .where(OrderLine.sku_id.in_(ids))
            .group_by(OrderLine.sku_id)
        )
        for sku_id, *found in tx.execute(query):
            sums[sku_id] = [old + sign * int(new or 0) for old, new in zip(sums[sku_id], found, strict=True)]
    # A cost is in 1/10000 yuan: a hundred of them are a fen, rounded once.
    return {sku_id: (cost + 50) // 100 if units == costed else None for sku_id, (units, costed, cost) in sums.items()}


def _lots() -> Select[StockCursor]:
    return select(StockCursor).join(StockLot, StockLot.id == StockCursor.lot_id)


def _imported(span: _Day) -> Select[StockCursor]:
    """The counts of lots that were imported in the day."""
    return _lots().where(span.has(StockLot.created_at))


def _sold(start: datetime, end: datetime | None) -> list[tuple[int, _Seq, Select[Any]]]:
    """The units sold by orders delivered in an interval; without `end`, since its start.

    They are what these orders have, and what they had and gave back, without what came to them for another unit: three
    parts, each with its sign and the column of its units' numbers. None of it changes when a sale is over.
    """
    parts: list[tuple[int, _Seq, Select[Any]]] = [
        (1, Delivery.seq, _of_lines(select(Delivery), Delivery.order_line_id)),
        (1, UndoneDelivery.seq, _of_lines(select(UndoneDelivery), UndoneDelivery.order_line_id)),
        (-1, Replacement.new_seq, _of_lines(select(Replacement), Replacement.order_line_id)),
    ]
    when = [
        LedgerJournal.code == "SALE",
        LedgerJournal.occurred_at >= start - _SLACK,
        Order.delivered_at >= start,
    ]
    if end is not None:
        when += [LedgerJournal.occurred_at < end + _SLACK, Order.delivered_at < end]
    return [(sign, seq, rows.where(*when)) for sign, seq, rows in parts]


_Seq = InstrumentedAttribute[int]


def _of_lines(rows: Select[Any], order_line_id: InstrumentedAttribute[UUID]) -> Select[Any]:
    return (
        rows.join(OrderLine, OrderLine.id == order_line_id)
        .join(Order, Order.id == OrderLine.order_id)
        .join(LedgerJournal, LedgerJournal.order_id == Order.id)
    )


def _by_sku(tx: Tx, rows: Select[StockCursor], total: ColumnElement[int], ids: Sequence[UUID]) -> dict[UUID, int]:
    query = rows.with_only_columns(StockCursor.sku_id, total).where(StockCursor.sku_id.in_(ids))
    return {sku_id: int(count) for sku_id, count in tx.execute(query.group_by(StockCursor.sku_id))}


def _sold_by_sku(tx: Tx, start: datetime, end: datetime | None, ids: Sequence[UUID]) -> dict[UUID, int]:
    found: dict[UUID, int] = defaultdict(int)
    for sign, _, rows in _sold(start, end):
        query = rows.with_only_columns(OrderLine.sku_id, func.count()).where(OrderLine.sku_id.in_(ids))
        for sku_id, count in tx.execute(query.group_by(OrderLine.sku_id)):
            found[sku_id] += sign * int(count)
    return found


# --- keys of pages: an instant in microseconds and an id, opaque to clients ---


def _key(instant: datetime, row_id: UUID) -> str:
    since = instant - _EPOCH
    return f"{(since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds}-{row_id.hex}"


def _parse_key(text: str | None) -> tuple[datetime, UUID] | None:
    if text is None:
        return None
    micros, _, row_id = text.partition("-")
    try:
        return _EPOCH + timedelta(microseconds=int(micros)), UUID(hex=row_id)
    except (ValueError, OverflowError):
        raise BadField(field="after", reason="?") from None
