"""The window: sign-in or the screens of the signed-in person, with keys, palette, news and dropped files over all.

It carries out the commands that are about the window and hands the others to the screen in front.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtGui import QAction, QCloseEvent, QDragEnterEvent, QDragLeaveEvent, QDropEvent, QKeySequence
from PySide6.QtWidgets import QMainWindow, QStackedWidget, QWidget

from desktop.commands import ALL, BY_ID, Command
from desktop.presenters.dropping import Meant, divided
from desktop.presenters.palette import Entry, Palette
from desktop.presenters.status import Status
from desktop.theme.icons import application_icon
from desktop.views.page import Handler, Page
from desktop.views.shell.drop_question import DropQuestion
from desktop.views.shell.foot import Foot
from desktop.views.shell.keys import KeySheet, native
from desktop.views.shell.navigation import Navigation
from desktop.views.shell.screen import Screen
from desktop.widgets.basics import Notice, button, column, row
from desktop.widgets.drop_overlay import DropOverlay
from desktop.widgets.live import Live
from desktop.widgets.palette import PalettePanel
from desktop.widgets.toast import Toasts
from shared.contracts.identity import Person
from shared.permissions import Role

SMALLEST = (960, 600)

_BEGINS = {Role.FINANCE: "reconciliation"}
"""Where the day of a role begins, if not at its first place."""
_PLACES = {Meant.KEYS: "imports", Meant.BILL: "reconciliation", Meant.RESULTS: "settlement"}
"""Which screen takes what in."""


class Window(Live, QMainWindow):
    """The one window.

    Signals:
        asked(command): a command about the program itself: theme, language, session, quit.
        dropped(paths): files were dropped, on whatever screen.
        closing(): the person closes the window.
    """

    asked = Signal(str)
    dropped = Signal(list)
    closing = Signal()

    def __init__(self, status: Status, sign_in: QWidget) -> None:
        super().__init__()
        self._status = status
        self._person: Person | None = None
        self._permissions: frozenset[str] = frozenset()
        self._screens: dict[str, Screen] = {}
        self._pages: dict[str, Page] = {}
        self._places: list[str] = []
        self._recent: list[str] = []
        self._own = self._own_handlers()
        self._enabled: dict[str, bool] = {}
        self._build(sign_in)
        self._actions = {command.id: self._action(command) for command in ALL}
        self.toasts = Toasts(self._whole)
        self._overlay = DropOverlay(self._whole)
        self._question = DropQuestion(self._whole)
        self._question.answered.connect(self._take)
        self._palette = PalettePanel(self._whole)
        self._palette.picked.connect(self._picked)
        self.setAcceptDrops(True)
        self.setWindowIcon(application_icon())
        self.setMinimumSize(*SMALLEST)
        self.resize(1280, 800)
        self.say(self.setWindowTitle, self._window_title)
        self.on_words(self._speak)
        self._renew()

    def _build(self, sign_in: QWidget) -> None:
        self._whole = QStackedWidget()
        self.setCentralWidget(self._whole)
        self._sign_in = sign_in
        self._whole.addWidget(sign_in)
        desk = QWidget()
        self._desk = desk
        outer = column(desk, gap=0)
        middle = row(gap=0)
        self.navigation = Navigation()
        self.navigation.chosen.connect(self.go)
        self.navigation.sign_out.connect(lambda: self.asked.emit("session.end"))
        middle.addWidget(self.navigation)
        right = column(gap=0)
        right.addWidget(self._banner())
        self._stack = QStackedWidget()
        right.addWidget(self._stack, 1)
        middle.addLayout(right, 1)
        outer.addLayout(middle, 1)
        self.foot = Foot(self._status)
        self.foot.asked.connect(self.run)
        outer.addWidget(self.foot)
        self._whole.addWidget(desk)

    def _banner(self) -> QWidget:
        """What everybody at this window should see, and the way to the screen that knows more."""
        self.banner = Notice()
        self._warnings: dict[str, str] = {}
        look = button(role="link")
        self.say(look.setText, lambda: self.tr("查看"))
        look.clicked.connect(lambda: self.go(next(iter(self._warnings), "")))
        self.banner.buttons.addWidget(look)
        around = QWidget()
        around.setProperty("role", "page")
        around.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        column(around, margins=(24, 12, 24, 0)).addWidget(self.banner)
        self._around_banner = around
        around.hide()
        return around

    def _warned(self, place: str, text: str) -> None:
        self._warnings.pop(place, None)
        if text:
            self._warnings[place] = text
        self._show_warnings()

    def _show_warnings(self) -> None:
        text = "\n".join(self._warnings.values())
        self.banner.tell(text, tone="warning")
        self._around_banner.setVisible(bool(text))

    # --- who is here ------------------------------------------------------------------------------------------

    def welcome(self, person: Person, screens: Sequence[Screen]) -> None:
        """Show the screens of this person; where their day's work is, or the first place, is in front."""
        self.clear_pages()
        self._person, self._permissions = person, frozenset(person.permissions)
        self._places = self.navigation.show_person(person)
        self._screens = {screen.place: screen for screen in screens}
        for screen in screens:
            screen.watch(partial(self._hear, screen))
            if screen.is_heard:
                self._build_page(screen)
        self._whole.setCurrentWidget(self._desk)
        if self._places:
            begins = _BEGINS.get(person.role)
            self.go(begins if begins in self._places else self._places[0])
        self._renew()

    def _hear(self, screen: Screen) -> None:
        """What a place tells, whether its page is there or not."""
        if self._screens.get(screen.place) is not screen:
            return  # of somebody who left
        if screen.waiting:
            self._counted(screen.place, screen.number)
        if screen.health is not None:
            self._warned(screen.place, screen.warning)

    def _build_page(self, screen: Screen) -> Page:
        page = screen.make()
        self._pages[screen.place] = page
        self._stack.addWidget(page)
        page.changed.connect(self._renew)
        page.told.connect(lambda text, tone: self.toasts.tell(text, tone=tone))
        page.begun.connect(self.toasts.make_room)
        page.offered.connect(self._offered)
        page.wanted.connect(self._wanted)
        page.counted.connect(partial(self._counted, screen.place))
        page.warned.connect(partial(self._warned, screen.place))
        return page

    def farewell(self) -> None:
        """Nobody is signed in: show the sign-in."""
        self._person = None
        self._whole.setCurrentWidget(self._sign_in)
        self.clear_pages()
        self._sign_in.setFocus()
        self._renew()

    def clear_pages(self) -> None:
        """Take the screens of the last person down."""
        for page in self._pages.values():
            self._stack.removeWidget(page)
            page.deleteLater()
        self._screens, self._pages, self._places = {}, {}, []
        self.foot.show_alerts(0)
        self._warnings.clear()
        self._show_warnings()

    @property
    def page(self) -> Page | None:
        """The screen in front, or None while nobody is signed in."""
        shown = self._stack.currentWidget()
        return shown if isinstance(shown, Page) and self._person is not None else None

    def go(self, place: str) -> None:
        """Bring a screen to the front."""
        if place not in self._screens:
            return
        page = self._pages.get(place) or self._build_page(self._screens[place])
        self._stack.setCurrentWidget(page)
        self.navigation.mark(place)
        page.enter()
        page.start_here()
        self._renew()

    # --- commands ---------------------------------------------------------------------------------------------

    def run(self, command_id: str) -> None:
        """Carry out a command if it is enabled."""
        if command_id.startswith("order:"):
            self._wanted("orders", command_id.removeprefix("order:"))
            return
        command = BY_ID.get(command_id)
        if command is None:  # a button's shorthand, such as theme.next
            self.asked.emit(command_id)
        elif self.can(command):
            handler = self._handler(command, self.page)
            if handler is not None:
                handler.run()

    def can(self, command: Command) -> bool:
        """Whether the command is allowed and there is something to do."""
        return self._can(command, self.page)

    def _can(self, command: Command, page: Page | None) -> bool:
        return self.may(command) and (handler := self._handler(command, page)) is not None and handler.when()

    def may(self, command: Command) -> bool:
        """Whether the signed-in person could ever run the command."""
        if self._person is None:
            return not command.signed_in
        return command.permission is None or command.permission in self._permissions

    def _own_handlers(self) -> dict[str, Handler]:
        """Of the commands that the window carries out itself, whichever screen is in front."""
        runs: dict[str, Callable[[], None]] = {
            command.id: partial(self.go, command.id.removeprefix("place."))
            if command.id.startswith("place.")
            else partial(self.asked.emit, command.id)
            for command in ALL
            if command.id.startswith("place.") or command.group == "window"
        }
        runs |= {"window.palette": self.show_palette, "window.keys": self.show_keys}
        return {command_id: Handler(run, lambda: True) for command_id, run in runs.items()}

    def _handler(self, command: Command, page: Page | None) -> Handler | None:
        if command.id in self._own:
            return self._own[command.id]
        if page is not None and command.id in page.handlers:
            return page.handlers[command.id]
        if command.group == "import" and command.id in {"import.choose", "import.paste"} and "imports" in self._screens:
            return Handler(partial(self._from_elsewhere, "imports", command.id), lambda: True)
        return None

    def _from_elsewhere(self, place: str, command_id: str) -> None:
        self.go(place)
        self._pages[place].handlers[command_id].run()

    def _action(self, command: Command) -> QAction:
        action = QAction(command.title(), self)
        action.setShortcuts([QKeySequence(keys) for keys in command.keys])
        action.setShortcutContext(Qt.ShortcutContext.WindowShortcut)
        action.triggered.connect(lambda _checked=False: self.run(command.id))
        self.addAction(action)
        return action

    def _renew(self) -> None:
        """Other commands may be enabled now. A screen says so at each of its changes: those are many, commands too."""
        page = self.page
        for command in ALL:
            enabled = self._can(command, page)
            if enabled is not self._enabled.get(command.id):
                # A key of a disabled action goes to nobody; of two with the same key only one is ever enabled.
                self._actions[command.id].setEnabled(enabled)
                self._enabled[command.id] = enabled
        self._status.show_age(page.data_as_of if page is not None else None)

    def show_palette(self) -> None:
        """Open the palette with what can be done now."""
        entries = [
            Entry(
                command.id,
                command.title(),
                keys=native(command.keys[0]) if command.keys else "",
                icon=command.icon,
                enabled=self.can(command),
            )
            for command in ALL
            if command.id != "window.palette"
        ]
        self._palette.open_with(Palette(entries, self._recent))

    def show_keys(self) -> None:
        """Open the key sheet."""
        sheet = KeySheet(self, may=self.may)
        sheet.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        sheet.open()

    def _picked(self, command_id: str) -> None:
        # The palette is still closing; a command that opens something must not be under it.
        QTimer.singleShot(0, self, partial(self.run, command_id))

    def _wanted(self, place: str, what: object) -> None:
        if place in self._screens:
            self.go(place)
            self._pages[place].look_at(what)

    def _offered(self, text: str, action: str, run: Callable[[], None]) -> None:
        self.toasts.tell(text, tone="info", action=action, run=run)

    def _counted(self, place: str, number: int) -> None:
        self.navigation.show_number(place, number)
        if place == "alerts":
            self.foot.show_alerts(number)

    def _window_title(self) -> str:
        return self.tr("卡盟控制台")

    def _speak(self) -> None:
        for command in ALL:
            self._actions[command.id].setText(command.title())
        for screen in self._screens.values():
            self._hear(screen)

    # --- news about the program itself -----------------------------------------------------------------------------

    def tell_rebuilt(self) -> None:
        """The local lists were damaged."""
        self.toasts.tell(self.tr("本机缓存已损坏并重建，列表会从服务器重新读取。"), tone="warning")

    def tell_fault(self, kind: str) -> None:
        """The program has a fault; the log has it in full."""
        self.toasts.tell(self.tr("程序内部出错（{kind}），详情已记入日志。").format(kind=kind), tone="danger")

    def tell_crash(self, path: Path) -> None:
        """The run before this one ended hard."""
        self.toasts.tell(self.tr("上次没有正常退出，记录在 {path}").format(path=path), tone="warning")

    # --- files dropped anywhere ---------------------------------------------------------------------------------

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        """Say what letting go will do."""
        files = _files(event)
        if not files:
            event.ignore()
            return
        names = "\n".join(f"{path.name} · {kind_word(path)}" for path in files[:5])
        if len(files) > 5:
            names += "\n" + self.tr("还有 %n 个", None, len(files) - 5)
        refusal = self._refusal()
        self._overlay.offer(refusal or self._offer(files), names, welcome=not refusal)
        if refusal:
            event.setDropAction(Qt.DropAction.IgnoreAction)
            event.accept()
        else:
            event.acceptProposedAction()

    def _refusal(self) -> str:
        """Why nothing can be dropped here; empty when something can."""
        if self._takers():
            return ""
        return self.tr("请先登录，再导入文件") if self._person is None else self.tr("您的账号不能导入卡密")

    def _takers(self) -> frozenset[Meant]:
        """What the signed-in person may drop."""
        takers = {Meant.KEYS} if "imports" in self._screens else set()
        if "reconciliation" in self._screens and self.may(BY_ID["bill.add"]):
            takers.add(Meant.BILL)
        if "settlement" in self._screens and self.may(BY_ID["payout.results"]):
            takers.add(Meant.RESULTS)
        return frozenset(takers)

    def _divided(self, files: Sequence[Path]) -> dict[Meant, list[Path]]:
        """What each of the files is; the screen in front tells where a name does not."""
        front = next((meant for meant, place in _PLACES.items() if self.page and self.page.place == place), None)
        return divided(files, takers=self._takers(), front=front)

    def _offer(self, files: Sequence[Path]) -> str:
        parts = self._divided(files)
        words = {
            Meant.KEYS: self.tr("松开鼠标，预览并导入 %n 个文件", None, len(parts.get(Meant.KEYS, ()))),
            Meant.BILL: self.tr("松开鼠标，添加 %n 份渠道账单", None, len(parts.get(Meant.BILL, ()))),
            Meant.RESULTS: self.tr("松开鼠标，读取 %n 份打款结果", None, len(parts.get(Meant.RESULTS, ()))),
            Meant.UNCLEAR: self.tr("松开鼠标，再选择 %n 个文件是什么", None, len(parts.get(Meant.UNCLEAR, ()))),
        }
        return "\n".join(words[meant] for meant in parts)

    def dragLeaveEvent(self, _event: QDragLeaveEvent) -> None:
        """They went away."""
        self._overlay.hide()

    def dropEvent(self, event: QDropEvent) -> None:
        """Take them."""
        self._overlay.hide()
        files = _files(event)
        if files and not self._refusal():
            event.acceptProposedAction()
            self.take_files(files)

    def take_files(self, files: Sequence[Path]) -> None:
        """Take in files that came from anywhere: a drop, a second start of the program. Asks where it is not clear."""
        refusal = self._refusal()
        if refusal:
            self.toasts.tell(refusal, tone="warning")
            return
        for meant, some in self._divided(files).items():
            if meant is Meant.UNCLEAR:
                self._question.ask(some, self._takers())
            else:
                self._take(meant, some)

    def _take(self, meant: Meant, files: Sequence[Path]) -> None:
        place = _PLACES[meant]
        if place in self._screens:
            self.go(place)
            self._pages[place].look_at(list(files))

    @property
    def overlay_text(self) -> str:
        """What the drop overlay says, or nothing while it is hidden."""
        return "" if self._overlay.isHidden() else self._overlay.text

    def closeEvent(self, event: QCloseEvent) -> None:
        """Let the program end in order."""
        self.closing.emit()
        super().closeEvent(event)


def kind_word(path: Path) -> str:
    """What kind of file a name promises; its content is looked at when it is read."""
    return {
        ".xlsx": "Excel",
        ".xlsm": "Excel",
        ".csv": "CSV",
        ".tsv": "TSV",
        ".txt": "TXT",
        ".zip": "ZIP",
        ".gz": "GZ",
    }.get(path.suffix.lower(), path.suffix.lstrip(".").upper() or "?")


def _files(event: QDropEvent) -> list[Path]:
    return [Path(url.toLocalFile()) for url in event.mimeData().urls() if url.isLocalFile()]
