"""What the check of every row found, before anything is sent: the ledger, what the keys are sold under, the repairs.

Each figure filters the list under the sheet; each kind of repair can be refused by itself.
"""

from __future__ import annotations

from PySide6.QtWidgets import QCheckBox, QFrame, QProgressBar, QWidget

from desktop.presenters import formats
from desktop.presenters.check import Check, Ledger, repair_words
from desktop.views.imports.facts import NAMED, LedgerFacts
from desktop.widgets.basics import Card, column, label
from desktop.widgets.ledger_bar import LedgerBar, Part
from desktop.widgets.live import Live


class CheckedRows(Live, QWidget):
    """See the file's head."""

    def __init__(self) -> None:
        super().__init__()
        self._check: Check | None = None
        layout = column(self, gap=0)
        card = Card(margin=14, gap=8)
        layout.addWidget(card)
        self.under_way = label(role="muted")
        self.bar = QProgressBar()
        self.bar.setRange(0, 1000)
        self.bar.setTextVisible(False)
        self.say(self.bar.setAccessibleName, lambda: self.tr("检查进度"))
        self.ledger = LedgerBar()
        self.say(self.ledger.setAccessibleName, lambda: self.tr("文件的账：读取等于各项之和"))
        self.ledger.chosen.connect(self._chosen)
        self.terms = LedgerFacts(repairs=False)
        for widget in (self.under_way, self.bar, self.ledger, self.terms):
            card.body.addWidget(widget)
        self.repairs = QFrame()
        inner = column(self.repairs, gap=4, margins=(10, 2, 0, 0))
        self.repairs_title = label(role="caption")
        self.say(self.repairs_title.setText, lambda: self.tr("自动修整（取消勾选，则不导入需要它的行）"))
        inner.addWidget(self.repairs_title)
        self._lines = column(gap=2)
        inner.addLayout(self._lines)
        self._boxes: dict[str, QCheckBox] = {}
        card.body.addWidget(self.repairs)
        self.on_words(self.look)

    def box(self, code: str) -> QCheckBox:
        """The decision about one kind of repair."""
        return self._boxes[code]

    def show_check(self, check: Check | None) -> None:
        """Show the check of this file."""
        self._check = check
        for box in self._boxes.values():
            self._lines.removeWidget(box)
            box.deleteLater()
        self._boxes = {}

    def look(self) -> None:
        """Write what is known by now."""
        check = self._check
        if check is None or check.preview is None:
            self.hide()
            return
        ledger = check.ledger
        self.setVisible(ledger is not None or check.is_checking)
        self.under_way.setVisible(ledger is None)
        self.bar.setVisible(ledger is None)
        self.bar.setValue(round(1000 * check.checked))
        self.under_way.setText(
            self.tr("正在检查每一行（{percent}），不必等它，可以直接开始导入").format(percent=f"{check.checked:.0%}")
        )
        self.ledger.setVisible(ledger is not None)
        if ledger is not None:
            self._write_ledger(ledger)
            self.ledger.choose(check.figure)
        self.terms.show_ledger(ledger)
        self._write_repairs(check)

    def _write_ledger(self, ledger: Ledger) -> None:
        self.ledger.show_sum(
            Part("read", self.tr("读取"), ledger.read, "accent"),
            [
                Part("valid", self.tr("可导入"), ledger.valid, "success"),
                Part("duplicates", self.tr("重复"), ledger.duplicates, "warning"),
                Part("refused", self.tr("拒绝"), ledger.refused, "danger"),
                Part("skipped", self.tr("跳过"), ledger.skipped, "neutral"),
            ],
        )

    def _write_repairs(self, check: Check) -> None:
        self.repairs.setVisible(bool(check.repairs) and check.options.repairs == "accept")
        for code, counted, made in check.repairs:
            box = self._boxes.get(code)
            if box is None:
                box = self._boxes[code] = QCheckBox()
                box.toggled.connect(lambda on, repair=code: self._decide(repair, made=on))
                self._lines.addWidget(box)
            where = "、".join(counted.addresses[:NAMED]) + ("…" if counted.count > NAMED else "")
            rows = self.tr("{rows} 行（{where}）").format(rows=formats.count(counted.count), where=where)
            box.setText(f"{repair_words(code)}　{rows}")
            box.setEnabled(not check.looking)
            box.blockSignals(True)
            box.setChecked(made)
            box.blockSignals(False)
        gone = self._boxes.keys() - {code for code, _, _ in check.repairs}
        for code in gone:
            box = self._boxes.pop(code)
            self._lines.removeWidget(box)
            box.deleteLater()

    def _decide(self, code: str, *, made: bool) -> None:
        if self._check is not None:
            self._check.refuse_repair(code, refused=not made)

    def _chosen(self, figure: str) -> None:
        if self._check is not None:
            self._check.filter(figure)
