"""The Ledger screen: accounts, journals, adjustments and disputes."""

from __future__ import annotations

from functools import partial
from uuid import UUID

from desktop.presenters.ledger import Ledger
from desktop.views.ledger.books import AccountsPage, JournalsPage
from desktop.views.ledger.cases import AdjustmentsPage, DisputesPage
from desktop.views.tabbed import TabbedPage
from shared.contracts.brought import BroughtForward
from shared.contracts.ledger import Dispute


class LedgerPage(TabbedPage):
    """See the file's head."""

    def __init__(self, presenter: Ledger) -> None:
        self.presenter = presenter
        self.accounts = AccountsPage(presenter.accounts)
        self.journals = JournalsPage(presenter.journals)
        self.adjustments = AdjustmentsPage(presenter.adjustments)
        self.disputes = DisputesPage(presenter.disputes)
        super().__init__(
            "ledger",
            (
                (self.accounts, lambda: self.tr("账户")),
                (self.journals, lambda: self.tr("分录")),
                (self.adjustments, lambda: self.tr("调账")),
                (self.disputes, lambda: self.tr("争议")),
            ),
        )
        self.say(self.title.setText, lambda: self.tr("账簿"))
        self.say(self.tabs.setAccessibleName, lambda: self.tr("账户、分录、调账或争议"))
        for command, part in (
            ("ledger.show_accounts", self.accounts),
            ("ledger.show_journals", self.journals),
            ("ledger.show_adjustments", self.adjustments),
            ("ledger.show_disputes", self.disputes),
        ):
            self.handle(command, partial(self.show_part, part))

    def look_at(self, what: object) -> None:
        """Sent here for the journals of an order, a dispute or an adjustment, what a statement brought forward of
        either, or to correct a channel's signed day.
        """
        if isinstance(what, str):
            self.presenter.journals.show_order(what)
            self.show_part(self.journals)
        elif isinstance(what, Dispute):
            self.show_part(self.disputes)
            self.presenter.disputes.find(what.id)
        elif isinstance(what, BroughtForward):
            self._show_part_of_statement(what)
        elif isinstance(what, UUID):
            self.show_part(self.adjustments)
            self.presenter.adjustments.find(what)
        elif isinstance(what, tuple):
            self.show_part(self.adjustments)
            self.presenter.adjustments.propose(what)

    def _show_part_of_statement(self, part: BroughtForward) -> None:
        if part.id is None:
            return
        page = self.adjustments if part.kind == "adjusted" else self.disputes
        self.show_part(page)
        page.presenter.find(part.id)
