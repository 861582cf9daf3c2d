"""The one clear key that may be on screen: asked for with a reason and a fresh code, gone again soon.

The key is held here only while it is shown. Hiding it drops the last reference; nothing else of the program has one.
"""

from __future__ import annotations

from desktop.operations import keys
from desktop.operations.keys import Revealed
from desktop.presenters.ports import Ask, Latest
from desktop.presenters.watching import Watched
from shared.contracts.identity import Person
from shared.contracts.stock import Unit
from shared.permissions import Permission

SHOWN_SECONDS = 60


class Revealing(Watched):
    """The state of the sheet.

    Attributes:
        sku, unit: whose key it is about; None while the sheet is closed.
        shown: the key, while it may be seen.
        busy: the server is being asked.
        error: why it is not shown.
    """

    def __init__(self, ask: Ask, person: Person) -> None:
        super().__init__()
        self._ask = ask
        self._latest = Latest()
        self.may_reveal = Permission.STOCK_UNIT_REVEAL in frozenset(person.permissions)
        self.sku = ""
        self.unit: Unit | None = None
        self.shown: Revealed | None = None
        self.busy = False
        self.error: Exception | None = None

    def begin(self, sku: str, unit: Unit) -> None:
        """Ask about one unit."""
        if self.may_reveal:
            self.sku, self.unit, self.shown, self.error = sku, unit, None, None
            self.changed()

    def ask(self, *, reason: str, totp: str) -> None:
        """Ask the server; it writes down who asked and why before it answers."""
        unit, sku = self.unit, self.sku
        if unit is None or self.busy:
            return
        seq = unit.seq
        self.busy, self.error = True, None
        then = self._latest.only(self._revealed)
        self._ask(
            lambda engine: keys.reveal(engine, sku, seq, reason=reason, totp=totp),
            then,
            self._latest.also(self._failed),
        )
        self.changed()

    def hide(self) -> None:
        """Let go of the key; an answer that is still under way is dropped."""
        self._latest.only(self._failed)
        if self.shown is not None or self.busy:
            self.shown, self.busy = None, False
            self.changed()

    def end(self) -> None:
        """The sheet is closed."""
        self.hide()
        self.unit, self.error = None, None

    def _revealed(self, shown: Revealed) -> None:
        self.busy, self.shown = False, shown
        self.changed()

    def _failed(self, error: Exception) -> None:
        # Its frames had the code.
        self.busy, self.error = False, error.with_traceback(None)
        self.changed()
