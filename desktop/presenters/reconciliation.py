"""The Reconciliation screen, a finance clerk's workbench: a day's close, its differences, its books, dropped bills.

The parts are presenters of their own; here is what they share: the day in front of all of them.
"""

from __future__ import annotations

from datetime import date, timedelta

from desktop.presenters.days import Days
from desktop.presenters.differences import Differences
from desktop.presenters.ports import Ask
from desktop.presenters.reconciliation_bills import Bills
from desktop.presenters.reconciliation_books import Books
from desktop.presenters.reconciliation_finance import FinanceExport
from desktop.presenters.reconciliation_workbook import Verification
from shared.contracts.identity import Person


class Reconciliation:
    """The screen's parts.

    Attributes:
        books: the day's books and its workbook.
        days: what each channel's day comes to.
        differences: what differs, on the day in front unless a person looks at all days.
        bills: files that were dropped.
        finance: the finance workbook of a period.
        verification: whether an exported workbook is as it was written.
        every_day: whether the list shows the differences of all days.
    """

    def __init__(self, ask: Ask, person: Person) -> None:
        self.books = Books(ask)
        self.days = Days(ask, person)
        self.differences = Differences(ask, person)
        self.bills = Bills(ask, person)
        self.finance = FinanceExport(ask)
        self.verification = Verification(ask)
        self.every_day = False
        self.differences.day = self.day

    @property
    def day(self) -> date:
        """The business day in front."""
        return self.books.day

    def open(self) -> None:
        """Read everything for the first time."""
        self.show(self.day)

    def count_waiting(self) -> None:
        """Read what may wait for this person."""
        self.differences.count_waiting()
        self.days.count_waiting()

    def show(self, day: date) -> None:
        """Put another day in front of everything, at most today."""
        self.books.show(day)
        if self.days.may_see:
            self.days.show(self.day)
            self._show_differences()

    def step(self, steps: int) -> None:
        """Go so many days on, or back; there is no day after today."""
        if self.day + timedelta(days=steps) <= self.books.today:
            self.show(self.day + timedelta(days=steps))

    def show_every_day(self, *, every_day: bool) -> None:
        """Show the differences of all days, or of the day in front."""
        self.every_day = every_day
        self._show_differences()

    def refresh(self) -> None:
        """Read everything that is shown again."""
        self.books.refresh()
        if self.days.may_see:
            self.days.refresh()
            self.days.count_waiting()
            self.differences.refresh()

    def renew(self, *, is_own: bool) -> None:
        """Days, bills or differences changed, here or elsewhere."""
        self.days.renew()
        self.differences.renew(is_own=is_own)

    def _show_differences(self) -> None:
        shown = self.differences
        shown.look_into(None)
        shown.show(day=None if self.every_day else self.day, state=shown.state, kind=shown.kind, channel=shown.channel)
