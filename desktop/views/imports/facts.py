"""What a ledger says beyond its figures: what the keys are sold under, and what was repaired, in one line each."""

from __future__ import annotations

from PySide6.QtWidgets import QWidget

from desktop.presenters import formats
from desktop.presenters.check import Ledger, Terms, repair_words, terms_words
from desktop.widgets.basics import column, label
from desktop.widgets.live import Live

NAMED = 3
"""Addresses of a repair that its line names."""


class LedgerFacts(Live, QWidget):
    """See the file's head. Nothing to say takes no room."""

    def __init__(self, *, repairs: bool) -> None:
        super().__init__()
        self._has_repairs = repairs
        self._ledger: Ledger | None = None
        layout = column(self, gap=2, margins=(10, 0, 0, 0))
        self.terms, self.repairs = label(role="muted", wrap=True), label(role="muted", wrap=True)
        for words in (self.terms, self.repairs):
            layout.addWidget(words)
        self.on_words(self._write)

    def show_ledger(self, ledger: Ledger | None) -> None:
        """Say it of this ledger."""
        self._ledger = ledger
        self._write()

    def _write(self) -> None:
        ledger = self._ledger
        terms = "" if ledger is None else self._terms_words(ledger)
        repairs = "" if ledger is None or not self._has_repairs else self._repairs_words(ledger)
        for words, text in ((self.terms, terms), (self.repairs, repairs)):
            words.setText(text)
            words.setVisible(bool(text))
        self.setVisible(bool(terms or repairs))

    def _terms_words(self, ledger: Ledger) -> str:
        """Expiry from first to last, costs, uses, and the lots they make; empty when there is nothing to say."""
        terms = [lot.terms for lot in ledger.lots]
        if set(terms) <= {Terms()}:
            return ""
        if ledger.lot_count == 1:
            return self.tr("全部：{terms}").format(terms=terms_words(terms[0]))
        facts = []
        if ledger.expires_first is not None:
            facts.append(
                self.tr("有效期 {first} 至 {last}").format(first=ledger.expires_first, last=ledger.expires_last)
            )
        costs = sorted({one.cost for one in terms if one.cost is not None})
        if costs:
            facts.append(self.tr("成本 {costs}").format(costs=formats.price_range(costs[0], costs[-1])))
        uses = sorted({one.uses for one in terms})
        if uses[-1] > 1:
            ends = dict.fromkeys(map(formats.count, (uses[0], uses[-1])))
            facts.append(self.tr("每张可用 {uses} 次").format(uses=" – ".join(ends)))
        facts.append(self.tr("共 {lots} 批").format(lots=formats.count(ledger.lot_count)))
        return " · ".join(facts)

    def _repairs_words(self, ledger: Ledger) -> str:
        """Each kind of repair, how many rows and where."""
        said = []
        for code, counted in ledger.repairs.items():
            where = "、".join(counted.addresses[:NAMED]) + ("…" if counted.count > NAMED else "")
            rows = self.tr("{rows} 行（{where}）").format(rows=formats.count(counted.count), where=where)
            said.append(f"{repair_words(code)} {rows}")
        return self.tr("自动修整：{repairs}").format(repairs=" · ".join(said)) if said else ""
