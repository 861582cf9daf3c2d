"""Sign-in: server, name, password, and the code of the second factor once the server asks for it."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QFocusEvent
from PySide6.QtWidgets import QFormLayout, QHBoxLayout, QLabel, QLineEdit, QToolButton, QWidget

from desktop.presenters.sign_in import Place, SignIn
from desktop.theme.icons import icon
from desktop.widgets.basics import Card, Glyph, Notice, button, column, label, row
from desktop.widgets.live import Live
from desktop.widgets.words import sentence

WIDTH = 400


class SignInView(Live, QWidget):
    """The form.

    Signals:
        asked(command): theme or language, which have no other place before anybody is signed in.
    """

    asked = Signal(str)

    def __init__(self, presenter: SignIn) -> None:
        super().__init__()
        self._presenter = presenter
        outer = column(self, gap=0, margins=(24, 12, 24, 16))
        outer.addLayout(self._corner())
        outer.addStretch(2)
        card = self._card()
        outer.addWidget(card, 0, Qt.AlignmentFlag.AlignHCenter)
        outer.addStretch(3)
        self.setFocusProxy(self._first_missing())
        presenter.watch(self.look)
        self.on_words(self.look)
        self.look()

    def _corner(self) -> QHBoxLayout:
        line = row()
        line.addStretch(1)
        for name, command in (("display", "theme.next"), ("language", "language.next")):
            press = QToolButton()
            press.setProperty("role", "quiet")
            press.setIcon(icon(name, tint="muted"))
            press.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
            press.clicked.connect(lambda _checked=False, which=command: self.asked.emit(which))
            line.addWidget(press)
            if command == "theme.next":
                self.say(press.setText, lambda: self.tr("主题"))
                self.say(press.setAccessibleName, lambda: self.tr("切换主题"))
            else:
                press.setText("简体中文 / English")
                press.setAccessibleName("简体中文 / English")
        return line

    def _card(self) -> QWidget:
        card = Card(margin=28, gap=10)
        card.setFixedWidth(WIDTH)
        brand = row(gap=12)
        brand.addWidget(Glyph("kameng", size=40))
        words = column(gap=0)
        name, what = label(role="title"), label(role="muted")
        self.say(name.setText, lambda: self.tr("卡盟控制台"))
        self.say(what.setText, lambda: self.tr("登录后导入卡密、查看库存与订单"))
        words.addWidget(name)
        words.addWidget(what)
        brand.addLayout(words, 1)
        card.body.addLayout(brand)
        self.problem = Notice()
        card.body.addWidget(self.problem)
        self._form(card)
        self.enter = button(role="primary")
        self.enter.setDefault(True)
        self.enter.setMinimumHeight(36)
        self.enter.clicked.connect(self._submit)
        card.body.addSpacing(4)
        card.body.addWidget(self.enter)
        self.keeping = label(role="caption", wrap=True)
        card.body.addWidget(self.keeping)
        return card

    def _form(self, card: Card) -> None:
        self.server, self.login = QLineEdit(self._presenter.server), QLineEdit(self._presenter.login)
        self.password, self.totp = QLineEdit(), QLineEdit()
        self.password.setEchoMode(QLineEdit.EchoMode.Password)
        self.totp.setMaxLength(7)
        self.totp.setInputMethodHints(Qt.InputMethodHint.ImhDigitsOnly)
        self.server.setPlaceholderText("https://shop.example.com")
        form = QFormLayout()
        form.setRowWrapPolicy(QFormLayout.RowWrapPolicy.WrapAllRows)
        form.setVerticalSpacing(6)
        self._totp_label = QLabel()
        for field, title, words in (
            (self.server, QLabel(), lambda: self.tr("服务器地址")),
            (self.login, QLabel(), lambda: self.tr("登录名")),
            (self.password, QLabel(), lambda: self.tr("密码")),
            (self.totp, self._totp_label, lambda: self.tr("动态码（6 位）")),
        ):
            title.setBuddy(field)
            title.setContentsMargins(0, 8, 0, 0)  # closer to its own field than to the one above
            self.say(title.setText, words)
            self.say(field.setAccessibleName, words)
            form.addRow(title, field)
            field.returnPressed.connect(self._submit)
        card.body.addLayout(form)

    def look(self) -> None:
        """Write what the presenter knows."""
        presenter = self._presenter
        self.enter.setEnabled(not presenter.busy)
        self.enter.setText(self.tr("正在登录…") if presenter.busy else self.tr("登录"))
        for field in (self.server, self.login, self.password, self.totp):
            field.setEnabled(not presenter.busy)
        newly_asked = presenter.wants_totp and self.totp.isHidden()
        self.totp.setVisible(presenter.wants_totp)
        self._totp_label.setVisible(presenter.wants_totp)
        self.problem.tell(
            sentence(presenter.error) if presenter.error is not None else "",
            tone="info" if newly_asked else "danger",
        )
        self.keeping.setText(self._keeping_words(presenter.place) if presenter.place is not None else "")
        if newly_asked:
            self.totp.setFocus()
        elif presenter.error is not None and not presenter.busy and self.isVisible():
            (self.totp if presenter.wants_totp else self.password).setFocus()
            (self.totp if presenter.wants_totp else self.password).selectAll()

    def _keeping_words(self, place: Place) -> str:
        return {
            Place.KEYRING: self.tr("登录凭据保存在系统密钥环中，下次打开无需再登录。"),
            Place.FILE: self.tr("登录凭据保存在用口令加密的文件中。"),
            Place.MEMORY: self.tr("这台电脑没有可用的系统密钥环：凭据只留在内存里，关闭窗口后需要重新登录。"),
        }[place]

    def _submit(self) -> None:
        for field in (self.server, self.login, self.password, self.totp):
            if not field.isHidden() and not field.text().strip():
                field.setFocus()
                return
        totp = "" if self.totp.isHidden() else self.totp.text()
        self._presenter.submit(
            server=self.server.text(), login=self.login.text(), password=self.password.text(), totp=totp
        )

    def left(self) -> None:
        """Somebody is signed in: nothing typed stays in memory longer than needed."""
        self.password.clear()
        self.totp.clear()

    def focusInEvent(self, event: QFocusEvent) -> None:
        """Start typing where something is missing."""
        super().focusInEvent(event)
        self._first_missing().setFocus()

    def _first_missing(self) -> QLineEdit:
        return next((one for one in (self.server, self.login) if not one.text()), self.password)
