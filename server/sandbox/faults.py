"""Which faults hold: ordered for one payment, one merchant, one channel or all, for every call or one, so many times.

Kept in the `Database`, so that a restarted sandbox misbehaves as before. The narrowest order wins: payment before
merchant before channel before all, and among equals the last one. `whole`, `flag` and the others spend one use of an
order that was given a number of times.
"""

from dataclasses import dataclass, replace

from server.sandbox.database import Database
from server.sandbox.fault_facts import BadValue, fault_named, milliseconds

CALLS = ("create", "query", "close", "refund", "query_refund", "bill", "certificates", "authorize", "payer")
"""The calls of merchants that a fault may be limited to; each dialect's routes name theirs with these words."""


@dataclass(frozen=True, slots=True)
class About:
    """What is happening: whose payment, and in which call; empty where there is none."""

    channel: str = ""
    merchant_id: str = ""
    out_trade_no: str = ""
    call: str = ""


@dataclass(frozen=True, slots=True)
class Order:
    """One fault as a tester ordered it; an empty field of `about` means any."""

    about: About
    name: str
    value: str
    times_left: int | None = None
    id: int = 0

    def covers(self, happening: About) -> bool:
        """Whether the order is meant for what is happening."""
        pairs = zip(_fields(self.about), _fields(happening), strict=True)
        return all(wanted in ("", given) for wanted, given in pairs)

    def closeness(self) -> tuple[bool, bool, bool, bool, int]:
        """How narrow the order is; the largest of those that cover something wins."""
        about = self.about
        return bool(about.out_trade_no), bool(about.merchant_id), bool(about.channel), bool(about.call), self.id


def _fields(about: About) -> tuple[str, str, str, str]:
    return about.channel, about.merchant_id, about.out_trade_no, about.call


class Faults:
    """The orders in force, kept in memory and in the file."""

    def __init__(self, database: Database) -> None:
        """Read what was ordered before."""
        self._database = database
        self._connection = database.connection
        self._orders = {
            row["id"]: Order(
                About(row["channel"], row["merchant_id"], row["out_trade_no"], row["call"]),
                row["name"],
                row["value"],
                row["times_left"],
                row["id"],
            )
            for row in self._connection.execute("SELECT * FROM fault").fetchall()
        }

    # Ordering

    def orders(self) -> list[Order]:
        """Return what is in force, oldest first."""
        return [self._orders[order_id] for order_id in sorted(self._orders)]

    def order(self, wanted: Order) -> Order:
        """Let a fault hold, instead of an earlier order of the same fault for the same.

        Raises BadValue, also for a call where none takes effect: the order would do nothing.
        """
        fault = fault_named(wanted.name)
        value = fault.normal(wanted.value)
        if wanted.about.call and not (fault.of_calls and wanted.about.call in CALLS):
            raise BadValue("call")
        if wanted.times_left is not None and not 1 <= wanted.times_left <= 1_000_000:
            raise BadValue("times")
        with self._database.transaction():
            for order in self.orders():
                if (order.about, order.name) == (wanted.about, wanted.name):
                    self.cancel(order.id)
            added = self._connection.execute(
                "INSERT INTO fault (channel, merchant_id, out_trade_no, call, name, value, times_left) "
                "VALUES (?, ?, ?, ?, ?, ?, ?)",
                (*_fields(wanted.about), wanted.name, value, wanted.times_left),
            )
        assert added.lastrowid is not None
        made = replace(wanted, value=value, id=added.lastrowid)
        self._orders[made.id] = made
        return made

    def cancel(self, order_id: int) -> bool:
        """End an order; False when there is none."""
        with self._database.transaction():
            self._connection.execute("DELETE FROM fault WHERE id = ?", (order_id,))
        return self._orders.pop(order_id, None) is not None

    def cancel_all(self) -> None:
        """From now on nothing goes wrong."""
        with self._database.transaction():
            self._connection.execute("DELETE FROM fault")
        self._orders.clear()

    # Asking

    def flag(self, name: str, about: About) -> bool:
        """Whether a fault of kind `flag` holds."""
        return self._take(name, about) is not None

    def whole(self, name: str, about: About) -> int | None:
        """Return the number of a fault of kind `whole`, or None."""
        value = self._take(name, about)
        return None if value is None else int(value)

    def milliseconds(self, name: str, about: About) -> int:
        """Return the length of a fault of kind `seconds`, or 0."""
        value = self._take(name, about)
        return 0 if value is None else milliseconds(value)

    def word(self, name: str, about: About) -> str | None:
        """Return the text of a fault of kind `choice` or `text`, or None."""
        return self._take(name, about)

    def _take(self, name: str, about: About) -> str | None:
        fault_named(name)
        covering = [order for order in self._orders.values() if order.name == name and order.covers(about)]
        if not covering:
            return None
        order = max(covering, key=Order.closeness)
        self._spend(order)
        return order.value

    def _spend(self, order: Order) -> None:
        if order.times_left is None:
            return
        if order.times_left == 1:
            self.cancel(order.id)
            return
        with self._database.transaction():
            self._connection.execute("UPDATE fault SET times_left = times_left - 1 WHERE id = ?", (order.id,))
        self._orders[order.id] = replace(order, times_left=order.times_left - 1)
