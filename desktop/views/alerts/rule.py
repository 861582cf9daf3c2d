"""The alert rule of one SKU: three lines, each of which can be turned off."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QCheckBox, QDialog, QGridLayout, QSpinBox, QWidget

from desktop.presenters.alerts import Alerts
from desktop.theme.tokens import SPACE
from desktop.widgets.basics import Notice, button, column, label, number_box, row
from desktop.widgets.live import Live
from desktop.widgets.words import sentence
from shared.contracts.alerts import DEFAULT_COVER_DAYS, DEFAULT_EXPIRING_DAYS, AlertRule

_DEFAULT_BELOW = 100


class RuleSheet(Live, QDialog):
    """The sheet over the window."""

    def __init__(self, presenter: Alerts, sku: str, name: str, parent: QWidget) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self._presenter = presenter
        self._sku = sku
        self._filled = self._sent = False
        self.setWindowTitle(self.tr("预警规则"))
        outer = column(self, gap=SPACE, margins=(24, 20, 24, 18))
        outer.addWidget(label(self.tr("预警规则"), role="title"))
        outer.addWidget(label(f"{name} · {sku}", role="muted"))
        self.problem = Notice()
        outer.addWidget(self.problem)
        grid = QGridLayout()
        grid.setHorizontalSpacing(SPACE)
        grid.setVerticalSpacing(10)
        grid.setColumnStretch(3, 1)
        self.below = self._line(grid, 0, self.tr("在售少于"), self.tr("张"), 10**9)
        self.cover = self._line(grid, 1, self.tr("按近 7 天的速度，够卖不到"), self.tr("天"), 365)
        self.expiring = self._line(grid, 2, self.tr("有卡密要停售，还剩不到"), self.tr("天"), 365)
        outer.addLayout(grid)
        hint = self.tr("每次越过界线只提醒一次，明显回升后才会再提醒。卖空总会提醒。")
        outer.addWidget(label(hint, role="muted", wrap=True))
        outer.addStretch(1)
        foot = row(gap=SPACE)
        foot.addStretch(1)
        leave = button(self.tr("取消"))
        leave.clicked.connect(self.reject)
        self.save = button(self.tr("保存规则"), role="primary")
        self.save.clicked.connect(self._save)
        foot.addWidget(leave)
        foot.addWidget(self.save)
        outer.addLayout(foot)
        self.setMinimumWidth(460)
        presenter.watch(self._look)
        presenter.edit_rule(sku)
        self._look()

    def _line(self, grid: QGridLayout, at: int, before: str, after: str, most: int) -> tuple[QCheckBox, QSpinBox]:
        switch, number = QCheckBox(before), number_box(1, most, name=f"{before} … {after}", width=110)
        number.setEnabled(False)
        switch.toggled.connect(number.setEnabled)
        for column_at, widget in enumerate((switch, number, label(after))):
            grid.addWidget(widget, at, column_at)
        return switch, number

    def _look(self) -> None:
        presenter = self._presenter
        if presenter.rule is not None and not self._filled:
            self._filled = True
            self._fill(presenter.rule)
        self.save.setEnabled(self._filled and not presenter.busy)
        error = presenter.error
        self.problem.tell(sentence(error) if error is not None else "", tone="danger")
        if error is not None:
            self._sent = False
        elif self._sent and not presenter.busy:
            self._sent = False
            self.accept()

    def _fill(self, rule: AlertRule) -> None:
        for (switch, number), value, usual in (
            (self.below, rule.below, _DEFAULT_BELOW),
            (self.cover, rule.cover_days, DEFAULT_COVER_DAYS),
            (self.expiring, rule.expiring_days, DEFAULT_EXPIRING_DAYS),
        ):
            switch.setChecked(value is not None)
            number.setValue(usual if value is None else value)

    def _save(self) -> None:
        below, cover, expiring = (
            number.value() if switch.isChecked() else None for switch, number in (self.below, self.cover, self.expiring)
        )
        self._sent = True
        self._presenter.set_rule(below=below, cover_days=cover, expiring_days=expiring)

    def done(self, result: int) -> None:
        """The presenter outlives the sheet."""
        self._presenter.unwatch(self._look)
        self._presenter.leave_rule()
        super().done(result)
