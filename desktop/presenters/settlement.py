"""The Settlement screen: what is due, statements, payouts and holds, told of the same changes."""

from __future__ import annotations

from desktop.presenters.due import Due
from desktop.presenters.holds import Holds
from desktop.presenters.payouts import Payouts
from desktop.presenters.ports import Ask
from desktop.presenters.statements import Statements
from shared.contracts.identity import Person


class Settlement:
    """The screen's parts.

    Attributes:
        due: what could be released and what waits.
        statements: what was released.
        payouts: what was paid.
        holds: what people keep back.
    """

    def __init__(self, ask: Ask, person: Person) -> None:
        self.due = Due(ask, person)
        self.statements = Statements(ask, person)
        self.payouts = Payouts(ask, person)
        self.holds = Holds(ask, person)

    def count_waiting(self) -> None:
        """Read what may wait for this person."""
        self.statements.count_waiting()
        self.payouts.count_waiting()

    def renew(self, *, is_own: bool) -> None:
        """Terms, holds, statements or payouts changed, here or elsewhere."""
        self.due.renew(is_own=is_own)
        self.statements.renew(is_own=is_own)
        self.payouts.renew(is_own=is_own)
        self.holds.renew(is_own=is_own)
