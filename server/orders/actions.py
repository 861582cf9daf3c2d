"""Placing orders and moving them: every change by the state table, guarded, set-based for a whole batch.

`place` runs inside the batcher. Moves are compare-and-set on the state; callers hold nothing before. Refusals
of a buyer's wish (sold out, price changed) are returned values.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any
from uuid import UUID

from sqlalchemy import Update, bindparam, insert, select, tuple_, update
from sqlalchemy.orm.attributes import set_committed_value

from server import audit, changes
from server.catalog import queries as catalog
from server.db import Tx, rows_changed, table_of
from server.orders import unpaid, unsettled
from server.orders.model import Order, OrderLine
from server.orders.unpaid import Limits
from server.stock import actions as stock
from shared import clock, ids
from shared.errors import Conflict, IdempotencyReused, IllegalMove, KamengError
from shared.finance import ShareKind
from shared.money import Fen, format_fen, least_quantity
from shared.pricing import ORDINARY, Deal, LineQuote, Share, quote_line
from shared.states import OrderState, sources_of

COMPLETE_AFTER_DAYS = 3
"""When a delivered order's timer rings; a shop that waits otherwise lets it ring so much earlier or later."""

POLICY_VERSION = "2026-11"
"""The wording of the refund rules that buyers agree to now: `storefront.telling.POLICY` has the words of each."""


class RulesChanged(Conflict):
    """The buyer agreed to other words than those that hold now."""

    code = "rules_changed"
    zh = "退款规则刚刚更新过（版本 {version}），请再看一遍，同意后重新提交。"
    en = "The refund rules have just changed (version {version}). Please read them again, agree and submit once more."


class NotOnSale(Conflict):
    """The SKU is unknown to buyers, or its product is not published."""

    code = "not_on_sale"
    zh = "该商品已下架，请看看其他商品。"
    en = "This product is no longer on sale."


class SoldOut(Conflict):
    """Fewer units are free than were asked for; nothing is held."""

    code = "sold_out"
    zh = "库存不足，目前还剩 {left} 件。请减少数量后重试。"
    en = "Not enough in stock: {left} left. Please choose a smaller quantity."


class PriceChanged(Conflict):
    """The total is another one than the buyer saw on the review page."""

    code = "price_changed"
    zh = "价格已变为 ¥{amount}，请重新确认后下单。"
    en = "The price is now ¥{amount}. Please review the order again."


class QuantityLimited(Conflict):
    """More units than one order of this SKU may have."""

    code = "quantity_limited"
    zh = "每单最多购买 {most} 件。"
    en = "At most {most} pieces in one order."


class TooLittle(Conflict):
    """So few pieces of something so cheap that they cost less than half a fen: no channel takes nothing."""

    code = "too_little"
    zh = "金额不足 1 分，请至少购买 {least} 件。"
    en = "This comes to less than one fen; please buy at least {least}."


@dataclass(frozen=True, slots=True)
class PlaceOrder:
    """A buyer's order as it came in. `amount_fen` is the total of the review page.

    `origin` is the keyed hash of the buyer's network (`unpaid.origin_of`); without one only the device's limit counts.
    `product` is how they pay: it follows from where the page is open, so another one is the same order. `agreed_to` is
    the version of the refund rules that the buyer was shown and agreed to with the order; None where nobody asked.
    `deal` is its discount, which `amount_fen` has been taken off, and who earns a commission.
    """

    buyer_id: UUID
    idempotency_key: str
    sku: str
    quantity: int
    amount_fen: Fen
    channel: str
    origin: str | None = None
    product: str = "qr"
    agreed_to: str | None = None
    deal: Deal = ORDINARY

    @property
    def content_sha256(self) -> str:
        """What must be the same when the idempotency key comes again."""
        facts = json.dumps([self.sku, self.quantity, self.amount_fen, self.channel])
        return hashlib.sha256(facts.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Placed:
    """An order that stands: new, or the one an earlier request with the same key made."""

    order: Order
    title: str
    is_new: bool


def place(
    tx: Tx, commands: Sequence[PlaceOrder], *, hold_minutes: int, limits: Limits | None = None
) -> list[Placed | KamengError]:
    """Place each order or say why not. Units are held for `hold_minutes`; prices are frozen."""
    known = _known(tx, commands)
    terms = catalog.sale_terms(tx, sorted({command.sku for command in commands}))
    now = clock.now()
    results: list[Placed | KamengError | None] = [None] * len(commands)
    first: dict[tuple[UUID, str], int] = {}
    drafts: dict[int, _Draft] = {}
    for n, command in enumerate(commands):
        key = (command.buyer_id, command.idempotency_key)
        if key in known:
            results[n] = _repeat(known[key], command)
        elif key in first:
            continue  # the same order twice in one batch: answered below from the first
        else:
            first[key] = n
            draft = _draft(command, terms.get(command.sku), now=now, hold_minutes=hold_minutes)
            if isinstance(draft, KamengError):
                results[n] = draft
            else:
                drafts[n] = draft
    refused = _claim(tx, [*drafts.values()], limits or Limits(), now=now)
    for n, draft in drafts.items():
        results[n] = refused.get(draft.line["id"]) or Placed(Order(**draft.order), draft.line["title"], is_new=True)
    _insert(tx, [draft for n, draft in drafts.items() if isinstance(results[n], Placed)])
    for n, command in enumerate(commands):
        if results[n] is None:
            original = results[first[command.buyer_id, command.idempotency_key]]
            results[n] = (
                _repeat((original.order, original.title), command) if isinstance(original, Placed) else original
            )
    return [result for result in results if result is not None]


def _claim(tx: Tx, drafts: Sequence[_Draft], limits: Limits, *, now: datetime) -> dict[UUID, KamengError]:
    """Hold the units of each draft, earlier ones first; answers the refusals by line."""
    if not drafts:
        return {}
    refused: dict[UUID, KamengError] = {}
    buyers, origins = [d.order["buyer_id"] for d in drafts], [d.order["origin"] for d in drafts]
    held = unpaid.allowance(tx, limits, buyers=buyers, origins=origins)
    wants = [stock.Want(d.line["id"], d.line["sku_id"], d.line["quantity"]) for d in drafts]
    with stock.desk(tx, at=now, wants=wants) as desk:
        for draft, want in zip(drafts, wants, strict=True):
            whose = (draft.order["buyer_id"], draft.order["origin"], want.quantity)
            if (refusal := held.refusal(*whose)) is not None:
                refused[want.order_line_id] = refusal
            elif not desk.reserve([want]):
                refused[want.order_line_id] = SoldOut(left=desk.left[want.sku_id])
            else:
                held.add(*whose, draft.order["code"])
        taken = desk.take()
    for draft in drafts:
        draft.line["seqs"] = list(taken.get(draft.line["id"], ()))
    return refused


# Statements of the hot path are made once: making one costs as much as running it.
_KNOWN = (
    select(Order, OrderLine.title)
    .join(OrderLine, OrderLine.order_id == Order.id)
    .where(tuple_(Order.buyer_id, Order.idempotency_key).in_(bindparam("keys", expanding=True)), OrderLine.n == 0)
)


def _known(tx: Tx, commands: Sequence[PlaceOrder]) -> dict[tuple[UUID, str], tuple[Order, str]]:
    keys = [(command.buyer_id, command.idempotency_key) for command in commands]
    found = tx.execute(_KNOWN, {"keys": keys})
    return {(order.buyer_id, order.idempotency_key): (order, title) for order, title in found}


def _repeat(known: tuple[Order, str], command: PlaceOrder) -> Placed | KamengError:
    order, title = known
    if order.content_sha256 != command.content_sha256:
        return IdempotencyReused()
    return Placed(order=order, title=title, is_new=False)


@dataclass(frozen=True, slots=True)
class _Draft:
    """Rows of an order that may still lack its units."""

    order: dict[str, Any]
    line: dict[str, Any]


def _draft(
    command: PlaceOrder, terms: catalog.SaleTerms | None, *, now: datetime, hold_minutes: int
) -> _Draft | KamengError:
    if terms is None or not terms.on_sale:
        return NotOnSale()
    if command.quantity > terms.max_quantity:
        return QuantityLimited(most=terms.max_quantity)
    if command.agreed_to not in {None, POLICY_VERSION}:
        return RulesChanged(version=POLICY_VERSION)
    fee = Share.percent(terms.fee_ppm) if terms.fee_unit_price is None else Share.fixed(terms.fee_unit_price)
    quote = quote_line(unit_price=terms.unit_price, quantity=command.quantity, fee=fee, deal=command.deal)
    if quote.amount == 0:
        return TooLittle(least=least_quantity(terms.unit_price))
    if quote.amount != command.amount_fen:
        return PriceChanged(amount=format_fen(quote.amount))
    order_id, expires_at = ids.new_id(), now + timedelta(minutes=hold_minutes)
    order = {
        "id": order_id,
        "code": ids.new_order_code(),
        "buyer_id": command.buyer_id,
        "idempotency_key": command.idempotency_key,
        "content_sha256": command.content_sha256,
        "origin": command.origin,
        "state": OrderState.PENDING_PAYMENT.value,
        "amount_fen": quote.amount,
        "created_at": now,
        "expires_at": expires_at,
        "due_at": expires_at,
        "policy_version": command.agreed_to,
        "refunded_fen": 0,
        "distributor_id": command.deal.distributor_id,
        "version": 1,
    }
    return _Draft(order=order, line=_line(order_id, terms, quote, fee))


def _line(order_id: UUID, terms: catalog.SaleTerms, quote: LineQuote, fee: Share) -> dict[str, Any]:
    return {
        "id": ids.new_id(),
        "order_id": order_id,
        "n": 0,
        "sku_id": terms.sku_id,
        "sku_code": terms.sku_code,
        "product_id": terms.product_id,
        "product_code": terms.product_code,
        "title": terms.title,
        "supplier_id": terms.supplier_id,
        "unit_price": quote.unit_price,
        "quantity": quote.quantity,
        "amount_fen": quote.amount,
        "supplier_fen": quote.supplier,
        "fee_fen": quote.fee,
        "fee_ppm": fee.ppm,
        "fee_unit_price": fee.unit_price if fee.kind is ShareKind.FIXED else None,
        "discount_fen": quote.discount,
        "commission_fen": quote.commission,
        "refund_policy": terms.selling.refund_policy.value,
    }


_INSERT_ORDERS, _INSERT_LINES = insert(table_of(Order)), insert(table_of(OrderLine))


def _insert(tx: Tx, drafts: list[_Draft]) -> None:
    if not drafts:
        return
    tx.execute(_INSERT_ORDERS, [draft.order for draft in drafts])
    tx.execute(_INSERT_LINES, [draft.line for draft in drafts])
    placed = [c for draft in drafts for c in _changed(draft.order["id"], [draft.line["supplier_id"]])]
    taken = [_sku_changed(draft.line["sku_id"], draft.line["supplier_id"]) for draft in drafts]
    changes.append_many(tx, placed + taken)
    audit.append_many(
        tx,
        [
            audit.Entry(
                actor=f"buyer:{draft.order['buyer_id']}",
                action="order.place",
                entity="order",
                entity_id=draft.order["code"],
                detail={"sku": draft.line["sku_code"], "n": draft.line["quantity"], "fen": draft.order["amount_fen"]},
            )
            for draft in drafts
        ],
    )


def _changed(order_id: UUID, supplier_ids: Sequence[UUID]) -> list[changes.Changed]:
    return [changes.Changed("order", order_id, domain="orders", supplier_id=supplier) for supplier in supplier_ids]


def _sku_changed(sku_id: UUID, supplier_id: UUID) -> changes.Changed:
    return changes.Changed("sku", sku_id, domain="stock", supplier_id=supplier_id)


# --- moves ---


@dataclass(frozen=True, slots=True)
class Move:
    """One locked order and the state it is to have."""

    order: Order
    to: OrderState


_LOCK = (
    select(Order)
    .where(Order.id.in_(bindparam("ids", expanding=True)))
    .order_by(Order.id)
    .with_for_update()
    .execution_options(populate_existing=True)
)


def lock(tx: Tx, order_ids: Sequence[UUID]) -> dict[UUID, Order]:
    """The orders, locked in the order of their ids: existing orders are the first lock of any transaction."""
    return {order.id: order for order in tx.scalars(_LOCK, {"ids": list(order_ids)})}


_LINES_OF = (
    select(OrderLine)
    .where(OrderLine.order_id.in_(bindparam("ids", expanding=True)))
    .order_by(OrderLine.order_id, OrderLine.n)
)


def lines_of(tx: Tx, order_ids: Sequence[UUID]) -> dict[UUID, list[OrderLine]]:
    """The lines of each order in their order."""
    lines: dict[UUID, list[OrderLine]] = defaultdict(list)
    for line in tx.scalars(_LINES_OF, {"ids": list(order_ids)}):
        lines[line.order_id].append(line)
    return lines


def move(
    tx: Tx,
    moves: Sequence[Move],
    *,
    at: datetime,
    actor: str,
    lines: Mapping[UUID, Sequence[OrderLine]] | None = None,
) -> None:
    """Move each locked order by the state table, compare-and-set. Raises IllegalMove, which names the state.

    `lines` of all these orders, from a caller that has them, save reading them again.
    """
    if not moves:
        return
    # Orders of one target differ in what they set only by having been paid or delivered before: part of the group.
    groups: dict[tuple[OrderState, datetime | None, datetime | None], list[Order]] = defaultdict(list)
    for one in moves:
        groups[one.to, one.order.paid_at, one.order.delivered_at].append(one.order)
    lines = lines_of(tx, [one.order.id for one in moves]) if lines is None else lines
    fresh = [one.order for one in moves if one.to is OrderState.DELIVERED and one.order.delivered_at is None]
    for (to, _, _), orders in groups.items():
        sources = {state.value for state in sources_of(to)}
        for order in orders:
            if order.state not in sources:
                raise IllegalMove(machine="order", state=order.state, to=to.value)
        instants = {f"new_{name}": instant for name, instant in _instants(to, at, orders[0]).items()}
        moved = tx.connection().execute(
            _moving(to, tuple(instants)), {"ids": [order.id for order in orders]} | instants
        )
        if rows_changed(moved) != len(orders):
            raise IllegalMove(machine="order", state="?", to=to.value)
        for order in orders:
            for name, value in {"state": to.value, "version": order.version + 1, **_instants(to, at, order)}.items():
                set_committed_value(order, name, value)
    unsettled.keep(tx, fresh, lines)
    note(tx, moves, lines, actor=actor)


@cache
def _moving(to: OrderState, new: tuple[str, ...]) -> Update:
    """The guarded move to a state; `new` are the names of the values that are set besides."""
    sources = _ORDER.c.state.in_([state.value for state in sources_of(to)])
    values: dict[str, Any] = {name.removeprefix("new_"): bindparam(name) for name in new}
    moved = update(_ORDER).where(_ORDER.c.id.in_(bindparam("ids", expanding=True)), sources)
    return moved.values(state=to.value, version=_ORDER.c.version + 1, **values)


_ORDER = table_of(Order)


def _instants(to: OrderState, at: datetime, order: Order) -> dict[str, Any]:
    """What a state sets besides itself. A delivered order was paid, at the latest, at the same instant; one that was
    delivered before, and disputed since, stays delivered at that instant.
    """
    delivered_at = order.delivered_at or at
    table: dict[OrderState, dict[str, Any]] = {
        OrderState.PAID: {"paid_at": at, "due_at": None},
        OrderState.DELIVERY_FAILED: {"paid_at": order.paid_at or at, "due_at": None},
        OrderState.DELIVERED: {
            "paid_at": order.paid_at or at,
            "delivered_at": delivered_at,
            "due_at": delivered_at + timedelta(days=COMPLETE_AFTER_DAYS),
        },
        OrderState.COMPLETED: {"completed_at": at, "due_at": None},
    }
    return table.get(to, {"due_at": None})


def note(tx: Tx, moves: Sequence[Move], lines: Mapping[UUID, Sequence[OrderLine]] | None = None, *, actor: str) -> None:
    """Tell readers and the audit log of moved orders, or of ones that something happened to in their state."""
    orders = {one.order.id for one in moves}
    lines = lines_of(tx, list(orders)) if lines is None else lines
    changes.append_many(
        tx, [changed for order in orders for changed in _changed(order, [line.supplier_id for line in lines[order]])]
    )
    audit.append_many(
        tx,
        [
            audit.Entry(actor=actor, action=f"order.{one.to.value}", entity="order", entity_id=one.order.code)
            for one in moves
        ],
    )


def wants_of(lines: Sequence[OrderLine]) -> list[stock.Want]:
    """The units that lines asked for: what an order whose hold had ended needs to be delivered after all."""
    return [stock.Want(line.id, line.sku_id, line.quantity) for line in lines]


def units_of(lines: Sequence[OrderLine]) -> list[stock.LineUnits]:
    """The units that lines hold or sold."""
    return [stock.LineUnits(line.id, line.sku_id, tuple(line.seqs)) for line in lines if line.seqs]


@dataclass(frozen=True, slots=True)
class Ending:
    """An order that is to expire or to be cancelled, if it is still unpaid."""

    order_id: UUID
    to: OrderState
    actor: str = "system"


def end_unpaid(tx: Tx, endings: Sequence[Ending]) -> int:
    """End what is still unpaid and give its units back; answers how many. Paid orders are left alone."""
    how = {ending.order_id: ending for ending in reversed(endings)}
    held = lock(tx, list(how)).values()
    ended = [order for order in held if order.state == OrderState.PENDING_PAYMENT]
    if not ended:
        return 0
    by_order = lines_of(tx, [order.id for order in ended])
    lines = [line for order in ended for line in by_order[order.id]]
    now = clock.now()
    if units := units_of(lines):
        with stock.desk(tx, at=now, held=units) as desk:
            desk.release(units)
    for line in lines:
        line.seqs = []
    tx.flush()
    for actor in sorted({how[order.id].actor for order in ended}):
        mine = [Move(order, how[order.id].to) for order in ended if how[order.id].actor == actor]
        move(tx, mine, at=now, actor=actor, lines=by_order)
    changes.append_many(
        tx, {changes.Changed("sku", x.sku_id, domain="stock", supplier_id=x.supplier_id) for x in lines}
    )
    return len(ended)


def postpone(tx: Tx, order_ids: Sequence[UUID], *, until: datetime) -> None:
    """Let the timers of unpaid orders ring later."""
    held = [order.id for order in lock(tx, order_ids).values() if order.state == OrderState.PENDING_PAYMENT]
    if held:
        tx.execute(
            update(Order).where(Order.id.in_(held)).values(due_at=until),
            execution_options={"synchronize_session": False},
        )


def complete_due(tx: Tx, *, after_days: int = COMPLETE_AFTER_DAYS, limit: int = 200) -> int:
    """Complete delivered orders whose time for a dispute has passed; answers how many."""
    rung_by = clock.now() - timedelta(days=after_days - COMPLETE_AFTER_DAYS)
    due = (Order.state == OrderState.DELIVERED.value, Order.due_at <= rung_by)
    found = tx.scalars(select(Order.id).where(*due).limit(limit)).all()
    orders = [order for order in lock(tx, found).values() if order.state == OrderState.DELIVERED]
    move(tx, [Move(order, OrderState.COMPLETED) for order in orders], at=clock.now(), actor="system")
    return len(orders)
