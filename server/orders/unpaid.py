"""How much a device, or a network, may hold without paying: whoever squats stock keeps it from those who buy.

Counted for a whole batch at once, and on within it. A network is known by a keyed hash of its prefix, which names
nobody. Processes that place at the same moment do not see each other's orders: each may let a batch's worth through.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from uuid import UUID

from sqlalchemy import bindparam, func, select

from server.crypto import KeyRing
from server.db import Tx
from server.orders.model import Order, OrderLine
from shared.errors import Conflict, KamengError
from shared.states import OrderState


class TooManyUnpaid(Conflict):
    """The device holds as much without paying as it may."""

    code = "too_many_unpaid"
    zh = "您还有未支付的订单（如 {code}），请先支付或取消，再下新的订单。"
    en = "You have unpaid orders (such as {code}). Please pay or cancel them before you place another."


class TooManyUnpaidNearby(Conflict):
    """The buyer's network holds as much without paying as it may. Names no order: it may be a neighbour's."""

    code = "too_many_unpaid_nearby"
    zh = "同一网络下未支付的订单太多。请先支付或取消已有的订单，或过几分钟再试。"
    en = "There are too many unpaid orders from this network. Pay or cancel yours, or try again in a few minutes."


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The most unpaid orders and units of a device and of a network; 0 is no limit. A single order may be larger."""

    device_orders: int = 0
    device_units: int = 0
    address_orders: int = 0
    address_units: int = 0


@dataclass(slots=True)
class _Held:
    orders: int = 0
    units: int = 0
    code: str = ""

    def is_full(self, quantity: int, *, orders: int, units: int) -> bool:
        if orders and self.orders >= orders:
            return True
        return bool(units and self.orders and self.units + quantity > units)


@dataclass(slots=True)
class Allowance:
    """What the buyers of a batch hold unpaid."""

    limits: Limits
    devices: dict[UUID, _Held] = field(default_factory=dict)
    networks: dict[str, _Held] = field(default_factory=dict)

    def refusal(self, buyer_id: UUID, origin: str | None, quantity: int) -> KamengError | None:
        """Why one more order of so many units is too much; None when it is not."""
        limits = self.limits
        mine = self.devices.get(buyer_id)
        if mine and mine.is_full(quantity, orders=limits.device_orders, units=limits.device_units):
            return TooManyUnpaid(code=mine.code)
        near = self.networks.get(origin) if origin else None
        if near and near.is_full(quantity, orders=limits.address_orders, units=limits.address_units):
            return TooManyUnpaidNearby()
        return None

    def add(self, buyer_id: UUID, origin: str | None, quantity: int, code: str) -> None:
        """Count an order that the batch places."""
        counted = [self.devices.setdefault(buyer_id, _Held())]
        if origin:
            counted.append(self.networks.setdefault(origin, _Held()))
        for held in counted:
            held.orders += 1
            held.units += quantity
            held.code = held.code or code


_SUMS = (func.count(Order.id.distinct()), func.sum(OrderLine.quantity), func.min(Order.code))
_OF_DEVICES = (
    select(Order.buyer_id, *_SUMS)
    .join(OrderLine, OrderLine.order_id == Order.id)
    .where(Order.buyer_id.in_(bindparam("buyers", expanding=True)), Order.state == OrderState.PENDING_PAYMENT.value)
    .group_by(Order.buyer_id)
)
_OF_NETWORKS = (
    select(Order.origin, *_SUMS)
    .join(OrderLine, OrderLine.order_id == Order.id)
    .where(
        Order.origin.in_(bindparam("origins", expanding=True)),
        Order.state == OrderState.PENDING_PAYMENT.value,
    )
    .group_by(Order.origin)
)


def allowance(tx: Tx, limits: Limits, *, buyers: Iterable[UUID], origins: Iterable[str | None]) -> Allowance:
    """What these devices and networks hold now."""
    found = Allowance(limits)
    if (limits.device_orders or limits.device_units) and (wanted := sorted(set(buyers))):
        for buyer_id, orders, units, code in tx.execute(_OF_DEVICES, {"buyers": wanted}):
            found.devices[buyer_id] = _Held(orders, int(units), code)
    known = sorted({origin for origin in origins if origin})
    if (limits.address_orders or limits.address_units) and known:
        for origin, orders, units, code in tx.execute(_OF_NETWORKS, {"origins": known}):
            found.networks[str(origin)] = _Held(orders, int(units), code)
    return found


def origin_of(keys: KeyRing, network: str) -> str:
    """The keyed hash of a buyer's network, as an order keeps it."""
    return keys.mac("order origin", network.encode())[:16].hex()
