"""The first face of the Import screen: where to drop files, and what was imported from this machine."""

from __future__ import annotations

from PySide6.QtCore import QRectF, Qt, Signal
from PySide6.QtGui import QColor, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QStackedWidget, QWidget

from desktop import theme
from desktop.presenters.imports import Imports
from desktop.theme.tokens import SPACE
from desktop.widgets.basics import Glyph, Notice, button, column, label, row
from desktop.widgets.big_table import BigTable
from desktop.widgets.empty import EmptyState
from desktop.widgets.live import Live
from desktop.widgets.rows_model import RowsModel


class DropZone(QWidget):
    """A dashed frame. It takes no drops itself: the whole window does."""

    def __init__(self) -> None:
        super().__init__()
        self.setMinimumHeight(148)

    def paintEvent(self, _event: QPaintEvent) -> None:
        tokens = theme.current()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setBrush(QColor(tokens.raised))
        pen = QPen(QColor(tokens.outline), 1.2, Qt.PenStyle.CustomDashLine)
        pen.setDashPattern([5, 4])
        painter.setPen(pen)
        painter.drawRoundedRect(QRectF(self.rect()).adjusted(1, 1, -1, -1), 10, 10)


class ImportsHome(Live, QWidget):
    """See the file's head.

    Signals:
        choose(), paste(), template(): the three buttons.
    """

    choose = Signal()
    paste = Signal()
    template = Signal()

    def __init__(self, presenter: Imports) -> None:
        super().__init__()
        self.presenter = presenter
        layout = column(self, gap=0)
        top = column(gap=SPACE, margins=(24, 0, 24, 0))
        self.hint = Notice()
        top.addWidget(self.hint)
        top.addWidget(self._zone())
        layout.addLayout(top)
        heading = label(role="heading")
        self.say(heading.setText, lambda: self.tr("本机的导入记录"))
        head = row(margins=(24, 18, 24, 6))
        head.addWidget(heading)
        head.addStretch(1)
        layout.addLayout(head)
        self._stack = QStackedWidget()
        self.table = BigTable()
        self.say(self.table.setAccessibleName, lambda: self.tr("本机的导入记录"))
        self.model = RowsModel(presenter.listing, self._titles, self)
        self.table.show_rows(self.model)
        self.table.opened.connect(self._open)
        self.table.clicked.connect(lambda index: self._open(index.row()))
        self._stack.addWidget(self.table)
        self.empty = EmptyState("file")
        self._stack.addWidget(self.empty)
        inset = column(margins=(11, 0, 8, 6))
        inset.addWidget(self._stack)
        layout.addLayout(inset, 1)
        presenter.watch(self.look)
        self.on_words(self._speak)
        self.look()

    def _zone(self) -> QWidget:
        zone = DropZone()
        layout = row(zone, gap=20, margins=(28, 18, 28, 18))
        layout.addStretch(1)
        layout.addWidget(Glyph("import", tint="accent", size=44))
        words = column(gap=4)
        words.addStretch(1)
        title, kinds = label(role="heading"), label(role="muted")
        self.say(title.setText, lambda: self.tr("把卡密文件拖到窗口任意位置"))
        self.say(kinds.setText, lambda: self.tr("支持 .xlsx、.csv、.txt；编码、分隔符和列会自动识别，导入前先给您看"))
        words.addWidget(title)
        words.addWidget(kinds)
        words.addSpacing(8)
        buttons = row(gap=SPACE)
        choose = button(role="primary", icon_name="folder")
        paste = button(icon_name="paste")
        self.say(choose.setText, lambda: self.tr("选择文件…"))
        self.say(paste.setText, lambda: self.tr("粘贴卡密…"))
        choose.clicked.connect(self.choose)
        paste.clicked.connect(self.paste)
        buttons.addWidget(choose)
        buttons.addWidget(paste)
        template = button(icon_name="export")
        self.say(template.setText, lambda: self.tr("下载模板…"))
        self.say(template.setToolTip, lambda: self.tr("各列已设为文本的空白 Excel，长数字和开头的 0 不会丢"))
        template.clicked.connect(self.template)
        buttons.addWidget(template)
        buttons.addStretch(1)
        words.addLayout(buttons)
        words.addStretch(1)
        layout.addLayout(words)
        layout.addStretch(1)
        return zone

    def look(self) -> None:
        """Show what the presenter knows."""
        sku = self.presenter.preferred_sku
        self.hint.tell(self.tr("接下来的文件将导入到 {sku}").format(sku=sku) if sku else "")
        if self.presenter.imports:
            self._stack.setCurrentWidget(self.table)
        else:
            self.empty.tell(self.tr("还没有导入过"), self.tr("导入的每个文件都会留在这里，随时可以看到每一行的去向。"))
            self._stack.setCurrentWidget(self.empty)

    def _open(self, at: int) -> None:
        if 0 <= at < len(self.presenter.imports):
            self.presenter.look_into(self.presenter.imports[at].id)

    def _speak(self) -> None:
        self.model.speak_again()
        self.table.measure_again()
        self.look()

    def _titles(self) -> list[str]:
        return [
            self.tr("文件"),
            self.tr("规格编码"),
            self.tr("时间"),
            self.tr("读取"),
            self.tr("已入库"),
            self.tr("未导入"),
            self.tr("状态"),
        ]
