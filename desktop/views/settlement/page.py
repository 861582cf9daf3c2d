"""The Settlement screen: what is due, the statements, the payouts, and what is held back."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from desktop.presenters.settlement import Settlement
from desktop.views.page import Page
from desktop.views.settlement.due import DuePage
from desktop.views.settlement.holds import HoldsPage
from desktop.views.settlement.payouts import PayoutsPage
from desktop.views.settlement.statements import StatementsPage
from desktop.views.tabbed import TabbedPage


class SettlementPage(TabbedPage):
    """See the file's head."""

    def __init__(self, presenter: Settlement) -> None:
        self.presenter = presenter
        self.due = DuePage(presenter.due)
        self.statements = StatementsPage(presenter.statements)
        self.payouts = PayoutsPage(presenter.payouts)
        parts: list[tuple[Page, Callable[[], str]]] = [
            (self.statements, lambda: self.tr("结算单")),
            (self.due, lambda: self.tr("应结")),
            (self.payouts, lambda: self.tr("打款")),
        ]
        if presenter.holds.may_hold:
            self.holds = HoldsPage(presenter.holds)
            parts.append((self.holds, lambda: self.tr("暂缓")))
        super().__init__("settlement", parts)
        self.say(self.title.setText, lambda: self.tr("结算"))
        self.say(self.tabs.setAccessibleName, lambda: self.tr("结算单、应结、打款或暂缓"))
        for command, part in (
            ("settlement.show_statements", self.statements),
            ("settlement.show_due", self.due),
            ("settlement.show_payouts", self.payouts),
        ):
            self.handle(command, partial(self.show_part, part))
        if presenter.holds.may_hold:
            self.handle("settlement.show_holds", partial(self.show_part, self.holds))
