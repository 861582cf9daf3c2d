"""What is told above the workbench: a workbook was written, or verified; money arrived and waits for another person;
differences are gone by themselves."""

from __future__ import annotations

from functools import partial

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QWidget

from desktop.presenters import formats
from desktop.presenters.reconciliation import Reconciliation
from desktop.presenters.reconciliation_workbook import says
from desktop.presenters.words import channel_word
from desktop.views.reconciliation.asking import OpenFolder
from desktop.widgets.basics import Notice, button, column, name_tool, tool
from desktop.widgets.live import Live
from desktop.widgets.words import counted, sentence


class News(Live, QWidget):
    """Each notice is hidden while there is nothing to tell.

    Signals:
        arrival_wanted(sweep): the person wants to see money that arrived.
    """

    arrival_wanted = Signal(object)

    def __init__(self, presenter: Reconciliation, *, show_folder: OpenFolder) -> None:
        super().__init__()
        self._presenter, self.show_folder = presenter, show_folder
        layout = column(self, gap=10)
        self.written = Notice()
        self.folder = button(icon_name="folder")
        self.say(self.folder.setText, lambda: self.tr("打开所在文件夹"))
        self.folder.clicked.connect(self._open_written)
        self.written.buttons.addWidget(self.folder)
        self.verdict = Notice()
        away = tool("close")
        self.say(partial(name_tool, away), lambda: self.tr("收起核验结果"))
        away.clicked.connect(presenter.verification.clear)
        self.verdict.buttons.addWidget(away)
        self.arrivals = Notice()
        go = button(role="link")
        self.say(go.setText, lambda: self.tr("去复核"))
        go.clicked.connect(self._go)
        self.arrivals.buttons.addWidget(go)
        self.closed = Notice()
        self._all = (self.written, self.verdict, self.arrivals, self.closed)
        for notice in self._all:
            layout.addWidget(notice)
        for part in (presenter.books, presenter.days, presenter.days.waiting, presenter.verification):
            part.watch(self.look)
        self.on_words(self.look)
        self.look()

    def look(self) -> None:
        """Show what there is to tell."""
        self._show_written()
        self._show_verdict()
        waiting = self._presenter.days.to_check
        if waiting:
            words = (
                self.tr("1 笔到账等您复核：{channel} {day} {money}")
                if len(waiting) == 1
                else counted(
                    self.tr("%n 笔到账等您复核，第一笔：{channel} {day} {money}", None, len(waiting)), len(waiting)
                )
            )
            one = waiting[0]
            day, money = formats.day(one.parts[-1].day), formats.money(one.amount_fen)
            self.arrivals.tell(words.format(channel=channel_word(one.channel), day=day, money=money), tone="warning")
        else:
            self.arrivals.tell("")
        self._show_closed()
        self.setVisible(any(notice.text for notice in self._all))

    def _show_closed(self) -> None:
        days = [
            counted(self.tr("{channel} {day} 共 %n 条", None, one.closed_themselves), one.closed_themselves).format(
                channel=channel_word(one.channel), day=formats.day(one.day)
            )
            for one in self._presenter.days.closed_today
        ]
        words = self.tr("今天有差异自动配平：{days}").format(days=" · ".join(days))
        self.closed.tell(words if days else "", tone="success")

    def _show_written(self) -> None:
        written = self._presenter.books.written
        if written is None:
            self.written.tell("")
            return
        rows = formats.count(sum(written.rows.values()))
        text = self.tr("已写入 {path}，共 {rows} 行明细。数据指纹 SHA-256：{hash}…").format(
            path=written.path, rows=rows, hash=written.sha256[:16]
        )
        self.written.tell(text, tone="success")
        self.written.setToolTip(written.sha256)

    def _show_verdict(self) -> None:
        asked = self._presenter.verification
        if asked.busy and asked.file is not None:
            self.verdict.tell(self.tr("正在核验“{file}”…").format(file=asked.file.name))
        elif asked.error is not None:
            self.verdict.tell(sentence(asked.error), tone="warning")
        elif asked.verdict is not None:
            fine = "warning" if asked.is_strange else "success"
            self.verdict.tell(says(asked.verdict, asked.known), tone=fine if asked.verdict.unchanged else "danger")
        else:
            self.verdict.tell("")

    def _open_written(self) -> None:
        written = self._presenter.books.written
        if written is not None:
            self.show_folder(written.path.parent)

    def _go(self) -> None:
        if self._presenter.days.to_check:
            self.arrival_wanted.emit(self._presenter.days.to_check[0])
