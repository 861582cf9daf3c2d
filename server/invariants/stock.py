"""The checks of stock: units, lots, keys and holds. Identifiers are those of money-and-stock.md 3.6."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, case, exists, func, literal, or_, select
from sqlalchemy.orm import InstrumentedAttribute

from server.db import Tx
from server.invariants.finding import Finding, found
from server.invariants.scope import EVERYTHING, Scope
from server.jobs import JobSchedule
from server.orders.model import Order, OrderLine
from server.stock.model import (
    CardSecret,
    Delivery,
    StockCursor,
    StockImport,
    StockLot,
    StockReturned,
    StockShelf,
    StockUnit,
    StockVoid,
)
from server.stock.withdrawal import WITH_ITS_LOT
from shared import clock
from shared.states import ImportState, LotState, OrderState, UnitState

HOLD_GRACE = timedelta(minutes=15)


def sold_units_are_delivered_once(tx: Tx, scope: Scope = EVERYTHING) -> Finding | None:
    """S1: each sold unit has exactly one delivery, to the line it was sold to."""
    same = and_(
        Delivery.sku_id == StockUnit.sku_id,
        Delivery.seq == StockUnit.seq,
        Delivery.order_line_id == StockUnit.order_line_id,
    )
    query = (
        select(StockUnit.sku_id, StockUnit.seq)
        .outerjoin(Delivery, same)
        .where(StockUnit.state == UnitState.SOLD, Delivery.seq.is_(None), scope.units(StockUnit.sku_id, StockUnit.seq))
    )
    return found(tx, "S1", "已售但没有交付记录 / sold without a delivery", query)


def deliveries_are_of_sold_units(tx: Tx, scope: Scope = EVERYTHING) -> Finding | None:
    """S2: no delivery without a sold unit."""
    same = and_(Delivery.sku_id == StockUnit.sku_id, Delivery.seq == StockUnit.seq, StockUnit.state == UnitState.SOLD)
    mine = scope.lines(Delivery.order_line_id)
    query = select(Delivery.sku_id, Delivery.seq).outerjoin(StockUnit, same).where(StockUnit.seq.is_(None), mine)
    return found(tx, "S2", "交付了未售的卡密 / delivered but not sold", query)


def held_units_wait_for_payment(tx: Tx, scope: Scope = EVERYTHING) -> Finding | None:
    """S3: held units belong to unpaid orders whose hold has not ended long ago, as far as the sweep had its chance.

    A hold is overdue when the sweep came round regularly for the whole grace after it was due: not because the shop
    was off, nor while the sweep works off what came due meanwhile.
    """
    last, since = tx.execute(select(JobSchedule.next_at, JobSchedule.steady_since).where(_SWEEP)).first() or (
        None,
        None,
    )
    seen = min(clock.now(), last or clock.now()) - HOLD_GRACE
    live = and_(Order.state == OrderState.PENDING_PAYMENT.value, Order.due_at.is_not(None))
    if since is None or since <= seen:
        live = and_(live, Order.due_at > seen)
    query = (
        select(StockUnit.sku_id, StockUnit.seq)
        .select_from(StockCursor)
        .join(StockUnit, _units_to(StockCursor.next_seq))
        .outerjoin(OrderLine, OrderLine.id == StockUnit.order_line_id)
        .outerjoin(Order, Order.id == OrderLine.order_id)
        .where(StockCursor.held > 0, StockUnit.state == UnitState.HELD, or_(Order.id.is_(None), ~live))
        .where(scope.units(StockUnit.sku_id, StockUnit.seq))
    )
    return found(tx, "S3", "被锁定却没有待支付订单 / held without a live order", query)


_SWEEP = JobSchedule.name == "payments.sweep"


def _units_to(stop: ColumnElement[int] | InstrumentedAttribute[int]) -> ColumnElement[bool]:
    """The units of a lot below `stop`: found by their numbers, which no index by lot is needed for."""
    return and_(
        StockUnit.sku_id == StockCursor.sku_id,
        StockUnit.seq >= StockCursor.first_seq,
        StockUnit.seq < stop,
        StockUnit.lot_id == StockCursor.lot_id,
    )


def lot_counts_are_true(tx: Tx, scope: Scope = EVERYTHING) -> Finding | None:
    """S4: free + held + sold + void = imported, per lot, and each equals the units themselves, one a use of a key."""
    mine = and_(
        _units_to(StockCursor.end_seq),
        or_(
            StockLot.import_id.in_(_arriving()),  # further uses of its keys are still to come
            ((StockUnit.seq - StockLot.first_seq) % StockLot.stride) * StockLot.uses < StockCursor.imported,
        ),
    )

    def counted(state: UnitState) -> ColumnElement[int]:
        return func.coalesce(func.sum(case((StockUnit.state == int(state), 1), else_=0)), 0)

    columns = (StockCursor.free, StockCursor.held, StockCursor.sold, StockCursor.void)
    differs = [counted(state) != column for state, column in zip(UnitState, columns, strict=True)]
    sentence = "批次数量与卡密不符 / a lot's counts are not its units"
    query = (
        select(StockCursor.lot_id)
        .join(StockLot, StockLot.id == StockCursor.lot_id)
        .outerjoin(StockUnit, mine)
        .where(scope.lots(StockCursor.lot_id))
        .group_by(StockCursor.lot_id, StockCursor.imported, *columns)
        .having(or_(func.count(StockUnit.seq) != StockCursor.imported, *differs))
    )
    finding = found(tx, "S4", sentence, query)
    if finding is None and scope.is_whole:
        units = select(func.count()).select_from(StockUnit).scalar_subquery()
        told = select(func.coalesce(func.sum(StockCursor.imported), 0)).scalar_subquery()
        return found(tx, "S4", sentence, select(units, literal("/"), told).where(units != told))
    return finding


def _arriving() -> Select[UUID]:
    """Imports that are not complete, or are being taken out again."""
    return select(StockImport.id).where(StockImport.state != ImportState.DONE.value)


def every_unit_has_its_secret(tx: Tx, scope: Scope = EVERYTHING) -> Finding | None:
    """S5: each unit has a sealed key, but for those that left with their lot before anybody saw it.

    Counted by lot; only where a count is not as it must be are the units looked at. That no key is twice in a product
    is seen to by the database itself.
    """
    own = and_(
        CardSecret.sku_id == StockCursor.sku_id,
        CardSecret.seq >= StockLot.first_seq,
        CardSecret.seq < StockLot.first_seq + StockLot.stride,
        CardSecret.seq < StockCursor.end_seq,
    )
    wrong = (
        select(StockLot.id)
        .join(StockCursor, StockCursor.lot_id == StockLot.id)
        .outerjoin(CardSecret, own)
        .where(
            scope.lots(StockLot.id),
            StockLot.state != LotState.WITHDRAWN.value,
            or_(StockLot.import_id.is_(None), StockLot.import_id.not_in(_arriving())),
        )
        .group_by(StockLot.id, StockLot.uses, StockCursor.imported)
        .having(func.count(CardSecret.seq) * StockLot.uses != StockCursor.imported)
    )
    lots = list(tx.scalars(wrong))
    lots += tx.scalars(select(StockLot.id).where(StockLot.state == LotState.WITHDRAWN.value, scope.lots(StockLot.id)))
    left_with_its_lot = and_(
        StockLot.state == LotState.WITHDRAWN.value,
        StockUnit.state == UnitState.VOID,
        func.coalesce(StockVoid.reason, WITH_ITS_LOT) == WITH_ITS_LOT,
    )
    same = and_(
        CardSecret.sku_id == StockUnit.sku_id,
        CardSecret.seq == StockLot.key_of(StockUnit.seq),
    )
    query = (
        select(StockUnit.sku_id, StockUnit.seq)
        .select_from(StockCursor)
        .join(StockLot, StockLot.id == StockCursor.lot_id)
        .join(StockUnit, _units_to(StockCursor.end_seq))
        .outerjoin(CardSecret, same)
        .outerjoin(StockVoid, and_(StockVoid.sku_id == StockUnit.sku_id, StockVoid.seq == StockUnit.seq))
        .where(StockCursor.lot_id.in_(lots), CardSecret.seq.is_(None), ~left_with_its_lot)
    )
    return found(tx, "S5", "库存缺少密文 / a unit without its sealed key", query) if lots else None


def no_free_unit_is_forgotten(tx: Tx, scope: Scope = EVERYTHING) -> Finding | None:
    """S6: a free unit before its cursor is on the list of those given back, where its lot looks, or nobody sells it."""
    listed = and_(
        StockReturned.sku_id == StockUnit.sku_id,
        StockReturned.seq == StockUnit.seq,
        StockReturned.seq >= StockCursor.returned_from,
    )
    query = (
        select(StockUnit.sku_id, StockUnit.seq)
        .select_from(StockCursor)
        .join(StockUnit, _units_to(StockCursor.next_seq))
        .outerjoin(StockReturned, listed)
        .where(StockUnit.state == UnitState.FREE, StockReturned.seq.is_(None), scope.lots(StockCursor.lot_id))
    )
    return found(tx, "S6", "可售卡密被遗漏 / a free unit nobody would sell", query)


def lots_that_sell_are_on_the_shelf(tx: Tx) -> Finding | None:
    """S6: an open lot with something left is where claims look for lots."""
    left = (StockCursor.selling.is_(True), StockCursor.free + StockCursor.held > 0)
    lots = select(StockLot.id).join(StockCursor, StockCursor.lot_id == StockLot.id)
    query = lots.where(StockLot.state == LotState.OPEN.value, *left, ~exists().where(_IN_PLACE))
    return found(tx, "S6", "批次可售却无人取用 / a lot that nobody would sell from", query)


def lots_are_on_the_shelf_once(tx: Tx) -> Finding | None:
    """S6: claims look for a lot at its own place only, or they would count what it has twice and look no further."""
    query = select(StockShelf.lot_id, StockShelf.rank).where(~exists().where(_IN_PLACE))
    return found(tx, "S6", "货架上的批次位置不对 / a lot at a place that is not its own", query)


_IN_PLACE = and_(*[getattr(StockShelf, name) == getattr(StockCursor, name) for name in ("sku_id", "rank", "lot_id")])


def given_back_units_are_free(tx: Tx) -> Finding | None:
    """S6: the list of units given back names free ones only, or it would offer what is taken."""
    free = and_(
        StockUnit.sku_id == StockReturned.sku_id, StockUnit.seq == StockReturned.seq, StockUnit.state == UnitState.FREE
    )
    query = select(StockReturned.sku_id, StockReturned.seq).outerjoin(StockUnit, free).where(StockUnit.seq.is_(None))
    return found(tx, "S6", "退回清单中有不可售的卡密 / given back but not free", query)


def named_void_units_are_void(tx: Tx) -> Finding | None:
    """S8: a unit that somebody made void is void."""
    void = and_(StockUnit.sku_id == StockVoid.sku_id, StockUnit.seq == StockVoid.seq, StockUnit.state == UnitState.VOID)
    query = select(StockVoid.sku_id, StockVoid.seq).outerjoin(StockUnit, void).where(StockUnit.seq.is_(None))
    return found(tx, "S8", "作废的卡密仍在库存 / voided but not void", query)


def what_was_withdrawn_is_gone(tx: Tx) -> Finding | None:
    """S8: a withdrawn lot sells nothing, and once the job that takes it out is done it has no free unit."""
    selling = StockCursor.selling.is_(True)
    left = and_(StockLot.state == LotState.WITHDRAWN.value, StockLot.withdrawing.is_(False), StockCursor.free > 0)
    query = (
        select(StockLot.id)
        .join(StockCursor, StockCursor.lot_id == StockLot.id)
        .where(or_(left, and_(StockLot.state != LotState.OPEN.value, selling)))
    )
    return found(tx, "S8", "撤回或冻结的批次仍可售 / a lot that must not sell does", query)


def pending_orders_hold_what_they_promise(tx: Tx, scope: Scope = EVERYTHING) -> Finding | None:
    """S7: an order that waits for its payment holds as many units as it will deliver."""
    held = (
        select(StockUnit.order_line_id.label("line_id"), func.count().label("units"))
        .where(StockUnit.state == UnitState.HELD, scope.units(StockUnit.sku_id, StockUnit.seq))
        .group_by(StockUnit.order_line_id)
        .subquery()
    )
    query = (
        select(Order.code)
        .join(OrderLine, OrderLine.order_id == Order.id)
        .outerjoin(held, held.c.line_id == OrderLine.id)
        .where(Order.state == OrderState.PENDING_PAYMENT.value, func.coalesce(held.c.units, 0) != OrderLine.quantity)
        .where(scope.orders(Order.id))
    )
    return found(tx, "S7", "待支付订单锁定的数量不对 / a pending order holds another quantity", query)
