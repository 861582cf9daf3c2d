"""The lower edge: connection, age of the data, uploads under way; theme, language and keys at the right."""

from __future__ import annotations

from PySide6.QtCore import QSize, Qt, QTimer, Signal
from PySide6.QtGui import QColor, QPainter, QPaintEvent
from PySide6.QtWidgets import QFrame, QToolButton, QWidget

from desktop import theme
from desktop.presenters.status import Connection, Status
from desktop.theme.icons import icon
from desktop.widgets.basics import label, row
from desktop.widgets.live import Live, language
from desktop.widgets.words import as_of, exactly, sentence

AGE_EVERY_MS = 10_000


class _Dot(QWidget):
    """A small disc; its colour repeats what the words beside it say."""

    def __init__(self) -> None:
        super().__init__()
        self._tint = "muted"
        self.setFixedSize(10, 10)

    def show_tint(self, tint: str) -> None:
        self._tint = tint
        self.update()

    def paintEvent(self, _event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(str(getattr(theme.current(), self._tint))))
        painter.drawEllipse(1, 1, 8, 8)


class Foot(Live, QFrame):
    """The line at the foot of the window.

    Signals:
        asked(command): a command id that one of its buttons stands for.
    """

    asked = Signal(str)

    def __init__(self, status: Status) -> None:
        super().__init__()
        self.setProperty("role", "bar")
        self._status = status
        layout = row(self, gap=6, margins=(14, 3, 8, 3))
        self._dot = _Dot()
        layout.addWidget(self._dot)
        self.connection = label(role="caption")
        layout.addWidget(self.connection)
        layout.addSpacing(10)
        self.age = label(role="caption")
        layout.addWidget(self.age)
        layout.addSpacing(10)
        self.uploads = label(role="caption")
        layout.addWidget(self.uploads)
        self.warning = label(role="caption")
        self.warning.setProperty("tone", "warning")
        layout.addWidget(self.warning)
        self._waiting = 0
        self.alerts = self._button("bell", "place.alerts")
        self.alerts.hide()
        layout.addWidget(self.alerts)
        layout.addStretch(1)
        self._palette = self._button("command", "window.palette")
        self._keys = self._button("keyboard", "window.keys")
        self._drawn = "sun"
        self._theme = self._button(self._drawn, "theme.next")
        self._language = self._button("language", "language.next")
        for made in (self._palette, self._keys, self._theme, self._language):
            layout.addWidget(made)
        self.say(self._palette.setText, lambda: self.tr("命令 Ctrl+K"))
        self.say(self._keys.setText, lambda: self.tr("快捷键 ?"))
        self.say(self._palette.setAccessibleName, lambda: self.tr("打开命令面板"))
        self.say(self._keys.setAccessibleName, lambda: self.tr("快捷键一览"))
        self.on_words(self.look)
        self.mode = theme.Mode.SYSTEM
        status.watch(self.look)
        self._timer = QTimer(self)
        self._timer.timeout.connect(self.look)
        self._timer.start(AGE_EVERY_MS)
        self.look()

    def show_mode(self, mode: theme.Mode) -> None:
        """The theme that was chosen."""
        self.mode = mode
        self.look()

    def show_alerts(self, number: int) -> None:
        """So many stock alerts stand."""
        self._waiting = number
        self.look()

    def look(self) -> None:
        """Write everything anew."""
        status = self._status
        word, tint = self._connection_word(status.state)
        self._dot.show_tint(tint)
        self.connection.setText(word)
        why = sentence(status.why) if status.why is not None else ""
        self.connection.setToolTip(why or status.server or "")
        self.age.setText(as_of(status.as_of))
        self.age.setToolTip(exactly(status.as_of))
        uploading = status.uploading
        text = self.tr("%n 个导入进行中", None, uploading.imports) + f" · {uploading.percent}%"
        self.uploads.setText(text if uploading.imports else "")
        self.alerts.setText(self.tr("%n 个库存预警", None, self._waiting))
        self.alerts.setVisible(self._waiting > 0)
        self.warning.setText(self.tr("本机时钟与服务器相差较大，请校准") if status.clock_is_wrong else "")
        names = {
            theme.Mode.LIGHT: ("sun", self.tr("浅色")),
            theme.Mode.DARK: ("moon", self.tr("深色")),
            theme.Mode.SYSTEM: ("display", self.tr("跟随系统")),
        }
        drawn, name = names[self.mode]
        if drawn != self._drawn:  # Qt lays the window out anew for each icon, also for the same
            self._drawn = drawn
            self._theme.setIcon(icon(drawn, tint="muted"))
        self._theme.setText(name)
        self._theme.setAccessibleName(self.tr("主题：{name}，点击切换").format(name=name))
        self._language.setText("简体中文" if language() == "zh" else "English")
        self._language.setAccessibleName(self.tr("语言：{name}，点击切换").format(name=self._language.text()))

    def _connection_word(self, state: Connection) -> tuple[str, str]:
        return {
            Connection.SIGNED_OUT: (self.tr("未登录"), "muted"),
            Connection.CONNECTING: (self.tr("正在连接…"), "warning"),
            Connection.ONLINE: (self.tr("已连接"), "success"),
            Connection.OFFLINE: (self.tr("离线"), "danger"),
        }[state]

    def _button(self, icon_name: str, command: str) -> QToolButton:
        made = QToolButton()
        made.setProperty("role", "quiet")
        made.setIcon(icon(icon_name, tint="muted"))
        made.setIconSize(QSize(14, 14))
        made.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        made.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        made.clicked.connect(lambda: self.asked.emit(command))
        return made
