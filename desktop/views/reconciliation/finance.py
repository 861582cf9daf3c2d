"""The finance workbook: which days and channel, in which layout; and the layouts, edited sheet by sheet in place."""

from __future__ import annotations

from datetime import date
from functools import partial

from PySide6.QtCore import QDate
from PySide6.QtWidgets import QComboBox, QDateEdit

from desktop.presenters import formats
from desktop.presenters.reconciliation_finance import FinanceExport
from desktop.presenters.words import CHANNELS, channel_word
from desktop.views.reconciliation.asking import AskTarget, OpenFolder
from desktop.views.reconciliation.layout_editor import LayoutEditor
from desktop.widgets.basics import Card, Notice, button, label, name_tool, row, tool
from desktop.widgets.live import Live
from desktop.widgets.words import sentence


class FinancePanel(Live, Card):
    """Hidden until it is asked for."""

    def __init__(self, presenter: FinanceExport, *, ask_target: AskTarget, show_folder: OpenFolder) -> None:
        super().__init__(margin=14, gap=8)
        self._presenter = presenter
        self.ask_target, self._show_folder = ask_target, show_folder
        self._day: date | None = None
        self._head()
        self._choices()
        self.editor = LayoutEditor(presenter)
        self.body.addWidget(self.editor)
        self.notice = Notice()
        self._folder = button(icon_name="folder")
        self.say(self._folder.setText, lambda: self.tr("打开所在文件夹"))
        self._folder.clicked.connect(self._open)
        self.notice.buttons.addWidget(self._folder)
        self.body.addWidget(self.notice)
        presenter.watch(self.look)
        self.on_words(self._speak)
        self.look()

    def _head(self) -> None:
        head = row(gap=8)
        title = label(role="heading")
        self.say(title.setText, lambda: self.tr("财务工作簿"))
        head.addWidget(title)
        head.addStretch(1)
        close = tool("close")
        self.say(partial(name_tool, close), lambda: self.tr("收起财务工作簿"))
        close.clicked.connect(self._presenter.toggle)
        head.addWidget(close)
        self.body.addLayout(head)

    def _choices(self) -> None:
        line = row(gap=8)
        self.first, self.last = QDateEdit(), QDateEdit()
        for field in (self.first, self.last):
            field.setCalendarPopup(True)
            field.setDisplayFormat("yyyy-MM-dd")
            field.setMinimumWidth(124)
        self.say(self.first.setAccessibleName, lambda: self.tr("起始账期"))
        self.say(self.last.setAccessibleName, lambda: self.tr("结束账期"))
        self.channel, self.layouts = QComboBox(), QComboBox()
        for box in (self.channel, self.layouts):
            box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToContents)
            box.setMaximumWidth(220)
        self.say(self.channel.setAccessibleName, lambda: self.tr("渠道"))
        self.say(self.layouts.setAccessibleName, lambda: self.tr("版式"))
        self.layouts.setMinimumContentsLength(8)
        self.layouts.currentIndexChanged.connect(lambda _at: self._presenter.choose(self.layouts.currentData() or None))
        self.edit = button()
        self.say(self.edit.setText, lambda: self.tr("编辑版式…"))
        self.edit.clicked.connect(self._presenter.edit)
        self.go = button(role="primary", icon_name="export")
        self.go.clicked.connect(self.export)
        line.addWidget(self.first)
        line.addWidget(label("–"))
        line.addWidget(self.last)
        for widget in (self.channel, self.layouts, self.edit):
            line.addWidget(widget)
        line.addStretch(1)
        line.addWidget(self.go)
        self.body.addLayout(line)

    def follow(self, day: date) -> None:
        """Another day is in front: it is what is offered, unless a person has chosen days since."""
        if day != self._day:
            self._day = day
            for field in (self.first, self.last):
                field.setDate(QDate(day.year, day.month, day.day))

    def export(self) -> None:
        """Ask where, and write the workbook."""
        first, last = (date(*field.date().getDate()) for field in (self.first, self.last))
        name = f"kameng-finance-{first.isoformat()}" + ("" if first == last else f"-{last.isoformat()}")
        target = self.ask_target(self, f"{name}.xlsx")
        if target is not None:
            self._presenter.export(first=first, last=last, channel=self.channel.currentData() or None, target=target)

    def look(self) -> None:
        """Show what has become of it."""
        presenter = self._presenter
        self.setVisible(presenter.is_open)
        self.go.setText(self.tr("正在导出…") if presenter.busy else self.tr("导出…"))
        self.go.setEnabled(not presenter.busy and presenter.layout is None)  # what is edited is not the layout yet
        is_editing = presenter.layout is not None
        self.editor.look()
        if is_editing is self.edit.isEnabled():  # before the focus goes to whatever comes next
            self.edit.setEnabled(True)
            (self.editor.tree if is_editing else self.edit).setFocus()
            self.edit.setEnabled(not is_editing)
        self._fill_boxes()
        self._tell()

    def _tell(self) -> None:
        presenter = self._presenter
        self._folder.setVisible(presenter.written is not None)
        if presenter.error is not None:
            self.notice.tell(sentence(presenter.error), tone="danger")
        elif presenter.written is not None:
            written = presenter.written
            words = self.tr("已写入 {path}，共 {rows} 行明细。数据指纹 SHA-256：{hash}")
            told = words.format(path=written.path, rows=formats.count(sum(written.rows.values())), hash=written.sha256)
            self.notice.tell(told, tone="success")
        else:
            self.notice.tell(presenter.told, tone="warning" if presenter.elsewhere else "info")

    def _fill_boxes(self) -> None:
        presenter = self._presenter
        for box, items, chosen in (
            (
                self.channel,
                [(self.tr("全部渠道"), ""), *((channel_word(code), code) for code in CHANNELS)],
                self.channel.currentData(),
            ),
            (
                self.layouts,
                [(self.tr("默认版式"), ""), *((name, name) for name in presenter.mine)],
                presenter.layout_name,
            ),
        ):
            box.blockSignals(True)
            box.clear()
            for words, data in items:
                box.addItem(words, data)
            box.setCurrentIndex(max(box.findData(chosen or ""), 0))
            box.blockSignals(False)

    def _open(self) -> None:
        written = self._presenter.written
        if written is not None:
            self._show_folder(written.path.parent)

    def _speak(self) -> None:
        self.editor.speak()
        self.look()
