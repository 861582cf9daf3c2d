"""All presenters of one window, made for the person who is signed in, and told of the engine's events."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from desktop.credentials import Place
from desktop.engine.events import (
    ChangesArrived,
    Connection,
    ConnectionChanged,
    Event,
    LocalDataRebuilt,
    SignedIn,
    SignedOut,
)
from desktop.operations import session
from desktop.presenters.alerts import Alerts
from desktop.presenters.channels import Channels
from desktop.presenters.exceptions import Exceptions
from desktop.presenters.imports import Imports
from desktop.presenters.ledger import Ledger
from desktop.presenters.orders import Orders
from desktop.presenters.pasted import Pasted
from desktop.presenters.ports import Ask, Door
from desktop.presenters.products import Products
from desktop.presenters.reconciliation import Reconciliation
from desktop.presenters.refunds import Refunds
from desktop.presenters.settlement import Settlement
from desktop.presenters.sign_in import SignIn
from desktop.presenters.status import Status
from desktop.presenters.stock import Stock
from desktop.presenters.watching import Watched
from shared.contracts.identity import Person


class Desk:
    """The screens of one signed-in person. Made anew for the next one: nothing of the last person stays."""

    def __init__(self, ask: Ask, person: Person, pasted: Pasted) -> None:
        self.person = person
        self._door = Door(ask)
        ask = self._door
        self.imports = Imports(ask, pasted)
        self.products = Products(ask, person)
        self.stock = Stock(ask, person)
        self.alerts = Alerts(ask, person)
        self.orders = Orders(ask, person)
        self.exceptions = Exceptions(ask, person)
        self.refunds = Refunds(ask, person)
        self.channels = Channels(ask, person)
        self.reconciliation = Reconciliation(ask, person)
        self.settlement = Settlement(ask, person)
        self.ledger = Ledger(ask, person)
        self.alerts.live.watch(self._count_alerts)
        # Their numbers and troubles are shown wherever the person is.
        self.alerts.open()
        self.exceptions.count_waiting()
        self.refunds.count_waiting()
        self.reconciliation.count_waiting()
        self.settlement.count_waiting()
        self.ledger.open()
        self.channels.open()

    def _count_alerts(self) -> None:
        self.stock.show_alerts(Counter(alert.sku for alert in self.alerts.live.rows))

    def close(self) -> None:
        """The person left: answers that are still under way reach nobody."""
        self._door.shut()

    def hear(self, event: Event) -> None:
        """Take in one event."""
        self.imports.hear(event)
        if isinstance(event, ChangesArrived):
            self._renew(event)
        elif isinstance(event, ConnectionChanged) and event.state is Connection.ONLINE:
            self.reconciliation.finance.connected()

    def _renew(self, event: ChangesArrived) -> None:
        """Read again what changed."""
        stock = self.stock
        for feed, entities in (
            (self.products.feed, ("product", "sku", "category")),
            (stock.feed, ("stock", "sku", "lot", "unit")),
            (stock.lots, ("stock", "sku", "lot", "unit")),
            (stock.units.rows, ("stock", "sku", "lot", "unit")),
            (stock.units.found, ("stock", "sku", "lot", "unit")),
        ):
            if event.touches(*entities):
                feed.renew(is_own=event.initiator is not None)
        if event.touches("order", "refund"):
            self.orders.renew(is_own=event.initiator is not None)
        for cases, entity in (
            (self.exceptions, "exception"),
            (self.refunds, "refund"),
            (self.ledger.adjustments, "adjustment"),
            (self.ledger.disputes, "dispute"),
        ):
            if event.touches(entity):
                cases.renew(is_own=event.initiator is not None)
        if event.touches("reconciled_day", "difference"):
            self.reconciliation.renew(is_own=event.initiator is not None)
        if event.touches("statement", "payout", "settlement"):
            self.settlement.renew(is_own=event.initiator is not None)
        if event.touches("ledger_health"):
            self.ledger.health.open()
        if event.touches("channel", "exception"):
            self.channels.open()
        if event.touches("alert"):
            self.alerts.renew()


class Console(Watched):
    """What the window shows: the sign-in, or a desk.

    Attributes:
        desk: the screens of the signed-in person, or None.
        is_up: the engine runs, so that it is known whether somebody is signed in.
        rebuilt: the local lists were damaged and start anew; told once.
    """

    def __init__(self, ask: Ask, pasted: Pasted, *, server: str = "", login: str = "") -> None:
        super().__init__()
        self._ask = ask
        self._pasted = pasted
        self.status = Status()
        self.sign_in = SignIn(ask, server=server, login=login)
        self.desk: Desk | None = None
        self.is_up = False
        self.rebuilt = False
        self._when_on_desk: list[Callable[[], None]] = []

    def booted(self, place: Place) -> None:
        """The engine runs; tokens are kept at `place`. Whoever was signed in last has been announced already."""
        self.is_up = True
        self.sign_in.kept_at(place)
        self.changed()

    def cannot_start(self, error: Exception) -> None:
        """The engine does not run: say why where the sign-in is."""
        self.is_up = True
        self.sign_in.ended(error)
        self.changed()

    def on_desk(self, act: Callable[[], None]) -> None:
        """Do `act` as soon as somebody is signed in; now if somebody is."""
        if self.desk is not None:
            act()
        else:
            self._when_on_desk.append(act)

    def hear(self, event: Event) -> None:
        """Take in one event of the engine, in the window's thread."""
        self.status.hear(event)
        match event:
            case SignedIn():
                self.sign_in.place = event.place
                if self.desk is None or self.desk.person != event.person:
                    self._leave_desk()
                    self.desk = Desk(self._ask, event.person, self._pasted)
                    self.changed()
                    waiting, self._when_on_desk = self._when_on_desk, []
                    for act in waiting:
                        act()
            case SignedOut():
                self._leave_desk()
                self._pasted.forget_all()
                self.sign_in.ended(event.why)
                self.changed()
            case LocalDataRebuilt():
                self.rebuilt = True
                self.changed()
            case _:
                if self.desk is not None:
                    self.desk.hear(event)

    def close(self) -> None:
        """The window goes away."""
        self._leave_desk()

    def _leave_desk(self) -> None:
        if self.desk is not None:
            self.desk.close()
            self.desk = None

    def sign_out(self) -> None:
        """End the session; unfinished imports stay."""
        self._ask(session.sign_out, lambda _ended: None, self.sign_in.ended)
