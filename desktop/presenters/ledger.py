"""The Ledger screen: accounts and journals, adjustments and disputes, and whether the books hold."""

from __future__ import annotations

from desktop.presenters.adjustments import Adjustments
from desktop.presenters.disputes import Disputes
from desktop.presenters.ledger_books import Accounts, Health, Journals
from desktop.presenters.ports import Ask
from shared.contracts.identity import Person
from shared.permissions import Permission


class Ledger:
    """The screen's parts.

    Attributes:
        accounts: every account and its book.
        journals: what was posted, of an order or a day.
        adjustments: what two people post by hand.
        disputes: what is frozen.
        health: whether payouts are frozen, and why.
    """

    def __init__(self, ask: Ask, person: Person) -> None:
        self.accounts = Accounts(ask)
        self.journals = Journals(ask)
        self.adjustments = Adjustments(ask, person)
        self.disputes = Disputes(ask, person)
        self.health = Health(ask, may_see=Permission.LEDGER_JOURNAL_READ in frozenset(person.permissions))

    def open(self) -> None:
        """Read what is shown wherever the person is: whether the books hold, and what waits."""
        self.health.open()
        self.adjustments.count_waiting()
        self.disputes.count_waiting()
