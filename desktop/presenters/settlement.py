"""The Settlement screen: what is due, statements, payouts, holds and the rules, told of the same changes."""

from __future__ import annotations

from desktop.presenters.due import Due
from desktop.presenters.fee_rules import FeeRules
from desktop.presenters.holds import Holds
from desktop.presenters.holidays import Holidays
from desktop.presenters.payouts import Payouts
from desktop.presenters.ports import Ask
from desktop.presenters.statements import Statements
from desktop.presenters.terms import SupplierTerms
from shared.contracts.identity import Person


class Settlement:
    """The screen's parts.

    Attributes:
        due: what could be released and what waits.
        statements: what was released.
        payouts: what was paid.
        holds: what people keep back.
        terms, fee_rules, holidays: by which rules all of it is reckoned.
    """

    def __init__(self, ask: Ask, person: Person) -> None:
        self.due = Due(ask, person)
        self.statements = Statements(ask, person)
        self.payouts = Payouts(ask, person)
        self.holds = Holds(ask, person)
        self.terms = SupplierTerms(ask, person)
        self.fee_rules = FeeRules(ask)
        self.holidays = Holidays(ask, person)

    def count_waiting(self) -> None:
        """Read what may wait for this person."""
        self.statements.count_waiting()
        self.payouts.count_waiting()

    def renew(self, *, is_own: bool) -> None:
        """Terms, holds, statements or payouts changed, here or elsewhere."""
        for part in (
            self.due,
            self.statements,
            self.payouts,
            self.holds,
            self.terms,
            self.fee_rules,
            self.holidays,
        ):
            part.renew(is_own=is_own)
