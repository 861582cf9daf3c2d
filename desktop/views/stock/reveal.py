"""One clear key: asked for with a reason and a fresh code, painted under a watermark, gone after a minute.

It is also gone as soon as the window loses the focus. The key is painted, never put into a label or a text field: it
cannot be selected, dragged or undone. Copying is a button; what it copied leaves the clipboard with the key.
"""

from __future__ import annotations

from PySide6.QtCore import QEvent, QMimeData, QRectF, QSize, Qt, QTimer
from PySide6.QtGui import QColor, QFont, QFontMetricsF, QGuiApplication, QPainter, QPaintEvent, QTransform
from PySide6.QtWidgets import QDialog, QFormLayout, QFrame, QHBoxLayout, QLabel, QLineEdit, QSizePolicy, QWidget

from desktop import theme
from desktop.operations.keys import Revealed
from desktop.presenters.formats import moment
from desktop.presenters.revealing import SHOWN_SECONDS, Revealing
from desktop.presenters.stock_columns import covered, unit_name
from desktop.theme.apply import key_font
from desktop.theme.tokens import SPACE
from desktop.widgets.basics import Notice, button, column, label, row
from desktop.widgets.live import Live
from desktop.widgets.words import sentence

_LEAST_REASON, _CODE_DIGITS = 2, 6
_MARK_TURN, _MARK_ALPHA = -18, 46


class KeySheetPaper(QWidget):
    """Paints number and secret in a face whose 0/O and 1/l/I differ, digits in another colour, under the watermark."""

    def __init__(self) -> None:
        super().__init__()
        self._shown: Revealed | None = None
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def show_card(self, shown: Revealed | None) -> None:
        """Paint this card; None paints nothing."""
        self._shown = shown
        self.updateGeometry()
        self.update()

    def sizeHint(self) -> QSize:
        lines = len(self._lines()) or 2
        return QSize(520, int(lines * QFontMetricsF(self._face()).height() * 1.35) + 44)

    def minimumSizeHint(self) -> QSize:
        return self.sizeHint()

    def paintEvent(self, _event: QPaintEvent) -> None:
        tokens = theme.current()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QColor(tokens.line))
        painter.setBrush(QColor(tokens.canvas))
        painter.drawRoundedRect(QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5), 8, 8)
        if self._shown is None:
            return
        face = self._face()
        metrics = QFontMetricsF(face)
        painter.setFont(face)
        top = 22.0
        for line in self._lines():
            left = 20.0
            for character in line:
                painter.setPen(QColor(tokens.info if character.isdecimal() else tokens.text))
                width = metrics.horizontalAdvance(character)
                painter.drawText(
                    QRectF(left, top, width + 2, metrics.height()), int(Qt.AlignmentFlag.AlignLeft), character
                )
                left += width
            top += metrics.height() * 1.35
        self._paint_mark(painter, self._shown.watermark)

    def _paint_mark(self, painter: QPainter, words: str) -> None:
        """Over the key, again and again: a photograph of the screen says who took it, and when."""
        colour = QColor(theme.current().text)
        colour.setAlpha(_MARK_ALPHA)
        painter.setPen(colour)
        painter.setFont(self.font())
        metrics = QFontMetricsF(self.font())
        width, height = metrics.horizontalAdvance(words) + 44, metrics.height() * 2.1
        painter.setTransform(QTransform.fromTranslate(self.width() / 2, self.height() / 2), combine=True)
        painter.rotate(_MARK_TURN)
        reach = self.width()
        for at, top in enumerate(range(-reach, reach, max(1, int(height)))):
            for left in range(-reach - (at % 2) * int(width / 2), reach, max(1, int(width))):
                painter.drawText(left, top, words)

    def _face(self) -> QFont:
        face = key_font()
        face.setPointSize(15)
        return face

    def _lines(self) -> list[str]:
        """Number and secret, cut to the width of the paper."""
        if self._shown is None:
            return []
        fits = max(8, int((max(self.width(), 520) - 40) / QFontMetricsF(self._face()).horizontalAdvance("0")))
        texts = [text for text in self._shown.card if text]
        return [text[at : at + fits] for text in texts for at in range(0, len(text), fits)]


class RevealSheet(Live, QDialog):
    """The sheet over the window: first the question, then the key."""

    def __init__(self, presenter: Revealing, parent: QWidget) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self._presenter = presenter
        self._was_shown = False
        self._copied = False
        self.left = 0
        unit = presenter.unit
        assert unit is not None
        self.setWindowTitle(self.tr("查看卡密明文"))
        outer = column(self, gap=SPACE, margins=(24, 20, 24, 18))
        outer.addWidget(label(self.tr("查看卡密明文"), role="title"))
        outer.addWidget(label(f"{presenter.sku} · {unit_name(unit)} · {covered(unit.tail)}", role="muted"))
        self.problem = Notice()
        outer.addWidget(self.problem)
        outer.addWidget(self._question())
        self.paper = KeySheetPaper()
        outer.addWidget(self.paper)
        self.note = label(role="muted", wrap=True)
        outer.addWidget(self.note)
        outer.addStretch(1)
        outer.addLayout(self._foot())
        self.setMinimumWidth(580)
        self._timer = QTimer(self)
        self._timer.setInterval(1_000)
        self._timer.timeout.connect(self.tick)
        presenter.watch(self._look)
        self._look()
        self.reason.setFocus()

    def _question(self) -> QWidget:
        self._form = QFrame()
        form = QFormLayout(self._form)
        form.setContentsMargins(0, 0, 0, 0)
        form.setHorizontalSpacing(16)
        form.setVerticalSpacing(SPACE)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.ExpandingFieldsGrow)
        self.reason, self.code = QLineEdit(), QLineEdit()
        self.reason.setMaxLength(200)
        self.reason.setPlaceholderText(self.tr("例如：买家反馈无法兑换，核对订单"))
        self.code.setMaxLength(_CODE_DIGITS)
        self.code.setPlaceholderText("000000")
        self.code.setFont(key_font())
        for field, words in ((self.reason, self.tr("原因")), (self.code, self.tr("6 位动态码"))):
            title = QLabel(words)
            title.setBuddy(field)
            field.setAccessibleName(words)
            field.textChanged.connect(self._look_at_fields)
            form.addRow(title, field)
        self.reason.returnPressed.connect(self.code.setFocus)
        self.code.returnPressed.connect(self._ask)
        return self._form

    def _foot(self) -> QHBoxLayout:
        foot = row(gap=SPACE)
        self.copy = button(self.tr("复制"), icon_name="paste")
        self.copy.clicked.connect(self._copy)
        foot.addWidget(self.copy)
        foot.addStretch(1)
        leave = button(self.tr("关闭"))
        leave.clicked.connect(self.reject)
        self.go = button(self.tr("查看"), role="primary")
        self.go.clicked.connect(self._ask)
        foot.addWidget(leave)
        foot.addWidget(self.go)
        return foot

    def tick(self) -> None:
        """One second less."""
        self.left -= 1
        if self.left <= 0:
            self._presenter.hide()
        else:
            self._look_at_time()

    def changeEvent(self, event: QEvent) -> None:
        """Another window is in front: nobody looks at the key any more, or somebody else does."""
        if event.type() == QEvent.Type.ActivationChange and not self.isActiveWindow():
            self._presenter.hide()
        super().changeEvent(event)

    def done(self, result: int) -> None:
        """The presenter outlives the sheet; the key does not."""
        self._timer.stop()
        self._presenter.unwatch(self._look)
        self._presenter.end()
        self._forget_copy()
        self.paper.show_card(None)
        super().done(result)

    def _ask(self) -> None:
        if self.go.isEnabled():
            code = self.code.text()
            self.code.clear()
            self._presenter.ask(reason=self.reason.text().strip(), totp=code)

    def _copy(self) -> None:
        shown = self._presenter.shown
        if shown is not None:
            data = QMimeData()
            data.setText("----".join(part for part in shown.card if part))
            data.setData("x-kde-passwordManagerHint", b"secret")  # clipboard histories leave it out
            QGuiApplication.clipboard().setMimeData(data)
            self._copied = True
            self._look_at_time()

    def _forget_copy(self) -> None:
        if self._copied:
            self._copied = False
            QGuiApplication.clipboard().clear()

    def _look(self) -> None:
        presenter = self._presenter
        shown, error = presenter.shown, presenter.error
        self.problem.tell(sentence(error) if error is not None else "", tone="danger")
        self._form.setVisible(shown is None)
        self.paper.setVisible(shown is not None)
        self.copy.setVisible(shown is not None)
        self.go.setVisible(shown is None)
        self.go.setText(self.tr("正在查看…") if presenter.busy else self.tr("查看"))
        self.paper.show_card(shown)
        if shown is not None and not self._was_shown:
            self.left = SHOWN_SECONDS
            self._timer.start()
        if shown is None:
            self._timer.stop()
            self._forget_copy()
        gone = self._was_shown and shown is None
        self._was_shown = shown is not None
        self._look_at_fields()
        if gone:
            self.note.setText(self.tr("明文已隐藏。需要时请重新输入动态码。"))
        elif shown is None:
            self.note.setText(self.tr("谁在何时因何查看，会先记入日志，再显示明文。"))
        else:
            self._look_at_time()

    def _look_at_time(self) -> None:
        shown = self._presenter.shown
        if shown is None:
            return
        words = self.tr("{seconds} 秒后隐藏，切换到其他窗口时立即隐藏。查看时间 {when}").format(
            seconds=self.left, when=moment(shown.revealed_at)
        )
        self.note.setText(words + (" · " + self.tr("已复制，隐藏时会清空剪贴板") if self._copied else ""))

    def _look_at_fields(self) -> None:
        code = self.code.text()
        is_code = len(code) == _CODE_DIGITS and code.isascii() and code.isdecimal()
        self.go.setEnabled(is_code and len(self.reason.text().strip()) >= _LEAST_REASON and not self._presenter.busy)
