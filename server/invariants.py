"""The continuous checks of stock, ledger and delivery: one function each, set-based, read-only.

`kameng-server check` prints them and the worker runs them; a violation names rows and never repairs anything.
Identifiers are those of money-and-stock.md 2.4 and 3.6.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, case, exists, func, literal, or_, select
from sqlalchemy.orm import aliased

from server import audit
from server.db import Database, Tx
from server.jobs import JobSchedule
from server.ledger.model import LedgerAccount, LedgerBalance, LedgerJournal, LedgerTransfer
from server.orders.model import Order, OrderLine
from server.payments.model import PaymentAttempt, PaymentCallback, PaymentException
from server.stock.model import (
    CardSecret,
    Delivery,
    StockCursor,
    StockImport,
    StockLot,
    StockReturned,
    StockUnit,
    StockVoid,
)
from server.stock.withdrawal import WITH_ITS_LOT
from shared import clock
from shared.states import AttemptState, ExceptionKind, ImportState, LotState, OrderState, UnitState

NAMED_MOST = 10
HOLD_GRACE = timedelta(minutes=15)
ASK_GRACE = timedelta(hours=1)
DELIVERED_STATES = (
    OrderState.DELIVERED.value,
    OrderState.COMPLETED.value,
    OrderState.PARTIALLY_DELIVERED.value,
    OrderState.DISPUTED.value,
)
NOT_OURS = (
    ExceptionKind.AMOUNT_MISMATCH.value,
    ExceptionKind.MERCHANT_MISMATCH.value,
    ExceptionKind.UNKNOWN_PAYMENT.value,
)
"""Exceptions about what never became the payment of an attempt."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One broken invariant with at most ten rows that break it."""

    invariant: str
    sentence: str
    rows: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """What was counted and what is wrong. `ok` when nothing is."""

    figures: dict[str, int]
    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Whether every invariant holds."""
        return not self.findings


def check(db: Database) -> Report:
    """Check everything in one read transaction; the audit chain after it."""
    with db.read() as tx:
        figures = _figures(tx)
        findings = [finding for check_one in CHECKS if (finding := check_one(tx)) is not None]
    chain = audit.verify(db)
    figures |= {"audit_blocks": chain.blocks, "audit_events": chain.events}
    if chain.broken_block is not None:
        rows = (f"block {chain.broken_block}",)
        findings.append(Finding("L11", "审计链断裂 / the audit chain is broken", rows))
    if chain.loose:
        rows = (f"{chain.loose}",)
        findings.append(Finding("L11", "审计链之外的记录 / audit rows were slipped in or cut out", rows))
    return Report(figures=figures, findings=tuple(findings))


def _figures(tx: Tx) -> dict[str, int]:
    units = {UnitState(state).name.lower(): n for state, n in _counts(tx, StockUnit.state)}
    orders = {f"orders_{state}": n for state, n in _counts(tx, Order.state)}
    money = tx.execute(select(func.sum(LedgerBalance.debits_fen), func.sum(LedgerBalance.credits_fen))).one()
    return {
        "units_imported": sum(units.values()),
        **{f"units_{state.name.lower()}": units.get(state.name.lower(), 0) for state in UnitState},
        "deliveries": _count(tx, Delivery),
        **orders,
        "exceptions_open": tx.scalar(_open_exceptions()) or 0,
        "journals": _count(tx, LedgerJournal),
        "debits_fen": int(money[0] or 0),
        "credits_fen": int(money[1] or 0),
    }


def _counts(tx: Tx, column: Any) -> list[tuple[Any, int]]:
    return [(value, n) for value, n in tx.execute(select(column, func.count()).group_by(column))]


def _count(tx: Tx, model: type) -> int:
    return tx.scalar(select(func.count()).select_from(model)) or 0


def _open_exceptions() -> Select[int]:
    return select(func.count()).select_from(PaymentException).where(PaymentException.closed_at.is_(None))


def _found(tx: Tx, invariant: str, sentence: str, query: Select[*tuple[Any, ...]]) -> Finding | None:
    rows = tx.execute(query.limit(NAMED_MOST)).all()
    named = tuple(" ".join(str(value) for value in row) for row in rows)
    return Finding(invariant, sentence, named) if named else None


# --- stock ---


def sold_units_are_delivered_once(tx: Tx) -> Finding | None:
    """S1: each sold unit has exactly one delivery, to the line it was sold to."""
    same = and_(
        Delivery.sku_id == StockUnit.sku_id,
        Delivery.seq == StockUnit.seq,
        Delivery.order_line_id == StockUnit.order_line_id,
    )
    query = (
        select(StockUnit.sku_id, StockUnit.seq)
        .outerjoin(Delivery, same)
        .where(StockUnit.state == UnitState.SOLD, Delivery.seq.is_(None))
    )
    return _found(tx, "S1", "已售但没有交付记录 / sold without a delivery", query)


def deliveries_are_of_sold_units(tx: Tx) -> Finding | None:
    """S2: no delivery without a sold unit."""
    same = and_(Delivery.sku_id == StockUnit.sku_id, Delivery.seq == StockUnit.seq, StockUnit.state == UnitState.SOLD)
    query = select(Delivery.sku_id, Delivery.seq).outerjoin(StockUnit, same).where(StockUnit.seq.is_(None))
    return _found(tx, "S2", "交付了未售的卡密 / delivered but not sold", query)


def held_units_wait_for_payment(tx: Tx) -> Finding | None:
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
        .join(StockUnit, _behind_cursor())
        .outerjoin(OrderLine, OrderLine.id == StockUnit.order_line_id)
        .outerjoin(Order, Order.id == OrderLine.order_id)
        .where(StockCursor.held > 0, StockUnit.state == UnitState.HELD, or_(Order.id.is_(None), ~live))
    )
    return _found(tx, "S3", "被锁定却没有待支付订单 / held without a live order", query)


_SWEEP = JobSchedule.name == "payments.sweep"


def _behind_cursor() -> ColumnElement[bool]:
    """The units of a lot that were offered before: found by their numbers, which no index by lot is needed for."""
    return and_(
        StockUnit.sku_id == StockCursor.sku_id,
        StockUnit.seq >= StockCursor.first_seq,
        StockUnit.seq < StockCursor.next_seq,
        StockUnit.lot_id == StockCursor.lot_id,
    )


def lot_counts_are_true(tx: Tx) -> Finding | None:
    """S4: free + held + sold + void = imported, per lot, and each equals the units themselves, one a use of a key."""
    mine = and_(
        StockUnit.sku_id == StockCursor.sku_id,
        StockUnit.seq >= StockCursor.first_seq,
        StockUnit.seq < StockCursor.end_seq,
        StockUnit.lot_id == StockCursor.lot_id,
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
        .group_by(StockCursor.lot_id, StockCursor.imported, *columns)
        .having(or_(func.count(StockUnit.seq) != StockCursor.imported, *differs))
    )
    finding = _found(tx, "S4", sentence, query)
    if finding is None:
        units, told = _count(tx, StockUnit), int(tx.scalar(select(func.sum(StockCursor.imported))) or 0)
        return None if units == told else Finding("S4", sentence, (f"{units} / {told}",))
    return finding


def _arriving() -> Select[UUID]:
    """Imports that are not complete, or are being taken out again."""
    return select(StockImport.id).where(StockImport.state != ImportState.DONE.value)


def every_unit_has_its_secret(tx: Tx) -> Finding | None:
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
            StockLot.state != LotState.WITHDRAWN.value,
            or_(StockLot.import_id.is_(None), StockLot.import_id.not_in(_arriving())),
        )
        .group_by(StockLot.id, StockLot.uses, StockCursor.imported)
        .having(func.count(CardSecret.seq) * StockLot.uses != StockCursor.imported)
    )
    lots = list(tx.scalars(wrong))
    lots += tx.scalars(select(StockLot.id).where(StockLot.state == LotState.WITHDRAWN.value))
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
        .join(
            StockUnit,
            and_(
                StockUnit.sku_id == StockCursor.sku_id,
                StockUnit.seq >= StockCursor.first_seq,
                StockUnit.seq < StockCursor.end_seq,
                StockUnit.lot_id == StockCursor.lot_id,
            ),
        )
        .outerjoin(CardSecret, same)
        .outerjoin(StockVoid, and_(StockVoid.sku_id == StockUnit.sku_id, StockVoid.seq == StockUnit.seq))
        .where(StockCursor.lot_id.in_(lots), CardSecret.seq.is_(None), ~left_with_its_lot)
    )
    return _found(tx, "S5", "库存缺少密文 / a unit without its sealed key", query) if lots else None


def no_free_unit_is_forgotten(tx: Tx) -> Finding | None:
    """S6: a free unit that lies before its cursor is on the list of those given back, or nobody would sell it."""
    listed = and_(StockReturned.sku_id == StockUnit.sku_id, StockReturned.seq == StockUnit.seq)
    query = (
        select(StockUnit.sku_id, StockUnit.seq)
        .select_from(StockCursor)
        .join(StockUnit, _behind_cursor())
        .outerjoin(StockReturned, listed)
        .where(StockUnit.state == UnitState.FREE, StockReturned.seq.is_(None))
    )
    return _found(tx, "S6", "可售卡密被遗漏 / a free unit nobody would sell", query)


def given_back_units_are_free(tx: Tx) -> Finding | None:
    """S6: the list of units given back names free ones only, or it would offer what is taken."""
    free = and_(
        StockUnit.sku_id == StockReturned.sku_id, StockUnit.seq == StockReturned.seq, StockUnit.state == UnitState.FREE
    )
    query = select(StockReturned.sku_id, StockReturned.seq).outerjoin(StockUnit, free).where(StockUnit.seq.is_(None))
    return _found(tx, "S6", "退回清单中有不可售的卡密 / given back but not free", query)


def named_void_units_are_void(tx: Tx) -> Finding | None:
    """S8: a unit that somebody made void is void."""
    void = and_(StockUnit.sku_id == StockVoid.sku_id, StockUnit.seq == StockVoid.seq, StockUnit.state == UnitState.VOID)
    query = select(StockVoid.sku_id, StockVoid.seq).outerjoin(StockUnit, void).where(StockUnit.seq.is_(None))
    return _found(tx, "S8", "作废的卡密仍在库存 / voided but not void", query)


def what_was_withdrawn_is_gone(tx: Tx) -> Finding | None:
    """S8: a withdrawn lot sells nothing, and once the job that takes it out is done it has no free unit."""
    selling = StockCursor.selling.is_(True)
    left = and_(StockLot.state == LotState.WITHDRAWN.value, StockLot.withdrawing.is_(False), StockCursor.free > 0)
    query = (
        select(StockLot.id)
        .join(StockCursor, StockCursor.lot_id == StockLot.id)
        .where(or_(left, and_(StockLot.state != LotState.OPEN.value, selling)))
    )
    return _found(tx, "S8", "撤回或冻结的批次仍可售 / a lot that must not sell does", query)


def pending_orders_hold_what_they_promise(tx: Tx) -> Finding | None:
    """S7: an order that waits for its payment holds as many units as it will deliver."""
    held = (
        select(StockUnit.order_line_id.label("line_id"), func.count().label("units"))
        .where(StockUnit.state == UnitState.HELD)
        .group_by(StockUnit.order_line_id)
        .subquery()
    )
    query = (
        select(Order.code)
        .join(OrderLine, OrderLine.order_id == Order.id)
        .outerjoin(held, held.c.line_id == OrderLine.id)
        .where(Order.state == OrderState.PENDING_PAYMENT.value, func.coalesce(held.c.units, 0) != OrderLine.quantity)
    )
    return _found(tx, "S7", "待支付订单锁定的数量不对 / a pending order holds another quantity", query)


# --- ledger ---


def balances_sum_to_zero(tx: Tx) -> Finding | None:
    """L1: over all balances, debits equal credits."""
    debits, credits = func.sum(LedgerBalance.debits_fen), func.sum(LedgerBalance.credits_fen)
    query = select(debits, credits).having(debits != credits)
    return _found(tx, "L1", "借贷不平 / debits are not credits", query)


def balances_are_their_transfers(tx: Tx) -> Finding | None:
    """L2: each account's slots sum to its transfers."""
    debit, credit = aliased(LedgerTransfer), aliased(LedgerTransfer)
    slots = (
        select(
            LedgerBalance.account_id.label("account_id"),
            func.sum(LedgerBalance.debits_fen).label("debits"),
            func.sum(LedgerBalance.credits_fen).label("credits"),
        )
        .group_by(LedgerBalance.account_id)
        .subquery()
    )
    debited = select(func.coalesce(func.sum(debit.amount_fen), 0)).where(debit.debit_id == slots.c.account_id)
    credited = select(func.coalesce(func.sum(credit.amount_fen), 0)).where(credit.credit_id == slots.c.account_id)
    query = (
        select(LedgerAccount.kind, LedgerAccount.owner)
        .join(slots, slots.c.account_id == LedgerAccount.id)
        .where(or_(slots.c.debits != debited.scalar_subquery(), slots.c.credits != credited.scalar_subquery()))
    )
    return _found(tx, "L2", "余额与流水不符 / a balance is not its transfers", query)


def balances_keep_their_floor(tx: Tx) -> Finding | None:
    """L3: a spendable account never has less than its floor; the database's own check says the same."""
    query = (
        select(LedgerAccount.kind, LedgerAccount.owner)
        .join(LedgerBalance, LedgerBalance.account_id == LedgerAccount.id)
        .where(LedgerBalance.credits_fen - LedgerBalance.debits_fen < LedgerBalance.floor_fen)
    )
    return _found(tx, "L3", "余额低于下限 / a balance below its floor", query)


def paid_attempts_are_booked(tx: Tx) -> Finding | None:
    """L4: each paid attempt put exactly its amount into escrow, under its own journal."""
    key = literal("payment:") + PaymentAttempt.channel + ":" + PaymentAttempt.provider_no + ":pay"
    query = (
        select(PaymentAttempt.out_trade_no)
        .outerjoin(LedgerJournal, LedgerJournal.key == key)
        .outerjoin(LedgerTransfer, LedgerTransfer.journal_id == LedgerJournal.id)
        .where(PaymentAttempt.state == AttemptState.PAID.value)
        .group_by(PaymentAttempt.id, PaymentAttempt.out_trade_no, PaymentAttempt.amount_fen)
        .having(func.coalesce(func.sum(LedgerTransfer.amount_fen), 0) != PaymentAttempt.amount_fen)
    )
    return _found(tx, "L4", "收款没有入账 / a payment that is not booked", query)


def bookings_are_of_paid_attempts(tx: Tx) -> Finding | None:
    """L4: what was booked as received was paid: each PAY is that of a paid attempt of its order."""
    key = literal("payment:") + PaymentAttempt.channel + ":" + PaymentAttempt.provider_no + ":pay"
    paid = exists().where(
        PaymentAttempt.order_id == LedgerJournal.order_id,
        PaymentAttempt.state == AttemptState.PAID.value,
        key == LedgerJournal.key,
    )
    query = select(LedgerJournal.key).where(LedgerJournal.code == "PAY", ~paid)
    return _found(tx, "L4", "入账却没有收款 / booked, but nobody paid", query)


def sales_are_of_delivered_orders(tx: Tx) -> Finding | None:
    """L9: money left escrow for a delivery only."""
    delivered = exists().where(Order.id == LedgerJournal.order_id, Order.delivered_at.is_not(None))
    query = select(LedgerJournal.key).where(LedgerJournal.code == "SALE", ~delivered)
    return _found(tx, "L9", "已分账的订单没有发货 / a sale without a delivery", query)


def delivered_orders_leave_no_escrow(tx: Tx) -> Finding | None:
    """L5: of each delivered order, its amount left escrow by its sale, to the fen."""
    query = (
        select(Order.code)
        .join(LedgerJournal, LedgerJournal.order_id == Order.id)
        .join(LedgerTransfer, LedgerTransfer.journal_id == LedgerJournal.id)
        .where(Order.state.in_(DELIVERED_STATES), LedgerJournal.code == "SALE")
        .group_by(Order.id, Order.code, Order.amount_fen)
        .having(func.sum(LedgerTransfer.amount_fen) != Order.amount_fen)
    )
    return _found(tx, "L5", "订单金额没有分完 / a sale's parts are not its amount", query)


def delivered_orders_have_their_journals(tx: Tx) -> Finding | None:
    """L9: each delivered order has its PAY and its SALE, and its sold units."""

    def posted(code: str) -> ColumnElement[bool]:
        return exists().where(LedgerJournal.order_id == Order.id, LedgerJournal.code == code)

    units = (
        select(func.count())
        .select_from(Delivery)
        .join(OrderLine, OrderLine.id == Delivery.order_line_id)
        .where(OrderLine.order_id == Order.id)
        .scalar_subquery()
    )
    wanted = select(func.sum(OrderLine.quantity)).where(OrderLine.order_id == Order.id).scalar_subquery()
    query = select(Order.code).where(
        Order.state.in_(DELIVERED_STATES),
        or_(~posted("PAY"), ~posted("SALE"), units != wanted),
    )
    return _found(tx, "L9", "已发货订单缺少账目或卡密 / a delivered order lacks journals or units", query)


def paid_money_is_somewhere(tx: Tx) -> Finding | None:
    """Money paid is never lost: each paid attempt's order is delivered, or an exception names this very money.

    Not one about other money for the same attempt, such as a callback with a wrong amount before the right one.
    """
    named = exists().where(
        PaymentException.attempt_id == PaymentAttempt.id,
        PaymentException.provider_no == PaymentAttempt.provider_no,
        PaymentException.kind.not_in(NOT_OURS),
    )
    query = (
        select(PaymentAttempt.out_trade_no, literal(" "), Order.code)
        .join(Order, Order.id == PaymentAttempt.order_id)
        .where(PaymentAttempt.state == AttemptState.PAID.value, Order.state.not_in(DELIVERED_STATES), ~named)
    )
    return _found(tx, "P1", "已付款却未发货也不在异常列表 / paid, neither delivered nor an exception", query)


def kept_callbacks_are_asked_about(tx: Tx) -> Finding | None:
    """P2: a callback that could not be applied is soon settled by what its channel says when asked."""
    waiting = (PaymentCallback.state == "deferred", PaymentCallback.received_at < clock.now() - ASK_GRACE)
    query = select(PaymentCallback.channel, PaymentCallback.out_trade_no).where(*waiting)
    return _found(tx, "P2", "支付通知尚未核实 / a payment notification that nobody could confirm", query)


CHECKS: tuple[Callable[[Tx], Finding | None], ...] = (
    sold_units_are_delivered_once,
    deliveries_are_of_sold_units,
    held_units_wait_for_payment,
    lot_counts_are_true,
    every_unit_has_its_secret,
    no_free_unit_is_forgotten,
    given_back_units_are_free,
    named_void_units_are_void,
    what_was_withdrawn_is_gone,
    pending_orders_hold_what_they_promise,
    balances_sum_to_zero,
    balances_are_their_transfers,
    balances_keep_their_floor,
    paid_attempts_are_booked,
    bookings_are_of_paid_attempts,
    delivered_orders_leave_no_escrow,
    delivered_orders_have_their_journals,
    sales_are_of_delivered_orders,
    paid_money_is_somewhere,
    kept_callbacks_are_asked_about,
)
