"""The composition root of the window: the only file that knows all parts. `main(argv)` is what `kameng` runs.

Order at the start: rights of new files, data folder, crash file and log, single instance, QApplication, window, and
only then, on a thread of its own, the keyring and the engine: the window never waits for either.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from PySide6.QtCore import QObject, QSettings, Qt, QtMsgType, Signal, qInstallMessageHandler
from PySide6.QtWidgets import QApplication, QInputDialog, QLineEdit, QWidget

from desktop import crash, paths
from desktop.bridge import Bridge
from desktop.commands import PLACES
from desktop.credentials import Place, open_vault
from desktop.engine.engine import Engine
from desktop.operations import imports
from desktop.presenters.console import Console, Desk
from desktop.presenters.pasted import Pasted
from desktop.theme import Mode, Theme, install
from desktop.theme.icons import application_icon
from desktop.views.alerts.page import AlertsPage
from desktop.views.channels.page import ChannelsPage
from desktop.views.exceptions.page import ExceptionsPage
from desktop.views.imports.page import ImportsPage
from desktop.views.ledger.page import LedgerPage
from desktop.views.orders.page import OrdersPage
from desktop.views.products.page import ProductsPage
from desktop.views.reconciliation.page import ReconciliationPage
from desktop.views.refunds.page import RefundsPage
from desktop.views.settlement.page import SettlementPage
from desktop.views.shell.instance import Instance
from desktop.views.shell.screen import Screen
from desktop.views.shell.speech import Speech
from desktop.views.shell.window import Window
from desktop.views.sign_in.view import SignInView
from desktop.views.stock.page import StockPage
from desktop.widgets import widths
from desktop.widgets.garbage import Garbage

log = logging.getLogger("kameng.window")

SWITCH_SECONDS = 0.0005
"""How long a busy thread may keep the interpreter: repaints stay under a frame beside background work."""

EXIT_OK, EXIT_UNUSABLE = 0, 1
_MODES = (Mode.SYSTEM, Mode.LIGHT, Mode.DARK)


class Passphrases(QObject):
    """Asks the person for the passphrase of the credentials file, on behalf of another thread."""

    _wanted = Signal(list)

    def __init__(self, window: QWidget) -> None:
        super().__init__()
        self._window = window
        self._wanted.connect(self._ask, Qt.ConnectionType.BlockingQueuedConnection)

    def ask(self) -> str:
        """Wait for the answer; empty when the person declines. From any thread but the window's."""
        answer: list[str] = []
        self._wanted.emit(answer)
        return answer[0] if answer else ""

    def _ask(self, answer: list[str]) -> None:
        words = self.tr("凭据文件的口令")
        text, accepted = QInputDialog.getText(self._window, self.tr("卡盟"), words, QLineEdit.EchoMode.Password)
        answer.append(text if accepted else "")


@dataclass
class Program:
    """The parts of a running window."""

    application: QApplication
    folders: paths.Folders
    settings: QSettings
    speech: Speech
    dress: Theme
    bridge: Bridge
    console: Console
    window: Window
    sign_in: SignInView
    engine: Engine | None = None

    def start_engine(self) -> None:
        """Open the keyring and the local files on a thread, then connect the window to them."""
        starter = Starter(self.folders, self.bridge, self.speech.language, self.window)
        starter.ready.connect(partial(self._engine_ready, starter))
        starter.failed.connect(self._engine_failed)
        starter.start()

    def _engine_ready(self, starter: Starter, place: Place) -> None:
        self.engine = starter.engine
        assert self.engine is not None
        self.engine.language = self.speech.language
        self.bridge.serve(self.engine)
        self.console.booted(place)

    def _engine_failed(self, error: Exception) -> None:
        log.error("the engine did not start", exc_info=error)
        self.console.cannot_start(error)

    def quit(self) -> None:
        """End in order: remember the window, stop the engine, remove what was pasted."""
        self.settings.setValue("window/geometry", self.window.saveGeometry())
        self.settings.setValue("window/server", self.console.sign_in.server)
        self.settings.setValue("window/login", self.console.sign_in.login)
        self.settings.sync()
        self.console.close()
        self.bridge.close()
        if self.engine is not None:
            self.engine.stop()
            self.engine = None
        pasted_place(self.folders).forget_all()

    def run(self, command: str) -> None:
        """Carry out a command about the program itself."""
        match command:
            case "session.end":
                self.console.sign_out()
            case "window.quit":
                self.window.close()
            case "theme.next":
                self.choose_theme(_MODES[(_MODES.index(self.dress.mode) + 1) % len(_MODES)])
            case "language.next":
                self.choose_language("en" if self.speech.language == "zh" else "zh")
            case "window.theme_light" | "window.theme_dark" | "window.theme_system":
                self.choose_theme(Mode(command.removeprefix("window.theme_")))
            case "window.language_zh" | "window.language_en":
                self.choose_language(command.removeprefix("window.language_"))
            case _:
                log.warning("nobody carries out %s", command)

    def choose_theme(self, mode: Mode) -> None:
        """Wear another theme, now and at the next start."""
        self.dress.choose(mode)
        self.window.foot.show_mode(mode)
        self.settings.setValue("window/theme", mode.value)

    def choose_language(self, language: str) -> None:
        """Speak another language, now and at the next start."""
        if self.engine is not None:
            self.engine.language = language  # first: screens that hear of it ask the server again
        self.speech.speak(language)
        self.settings.setValue("window/language", language)

    def look(self) -> None:
        """Somebody signed in or out, or the engine is up: show the right screens."""
        console, window = self.console, self.window
        if console.desk is not None:
            self.sign_in.left()
            window.welcome(console.desk.person, screens_of(console.desk))
        elif console.is_up:
            window.farewell()
        if console.rebuilt:
            console.rebuilt = False
            window.tell_rebuilt()


class Starter(QObject):
    """Starts the engine on a thread.

    Signals:
        ready(place): `engine` runs; the token is kept at `place`.
        failed(error): the local files or the keyring refuse.
    """

    ready = Signal(object)
    failed = Signal(object)

    def __init__(self, folders: paths.Folders, bridge: Bridge, language: str, window: QWidget) -> None:
        super().__init__(bridge)
        self.engine: Engine | None = None
        self._folders, self._bridge, self._language = folders, bridge, language
        self._passphrases = Passphrases(window)

    def start(self) -> None:
        """Begin; returns at once."""
        threading.Thread(target=self._work, name="kameng-start", daemon=True).start()

    def _work(self) -> None:
        try:
            vault = open_vault(self._folders, ask=self._passphrases.ask)
            engine = Engine(
                folders=self._folders,
                vault=vault,
                on_event=self._bridge.post,
                language=self._language,
                read_on=imports.read_on,
            )
            engine.start()
        except Exception as error:  # noqa: BLE001 - shown to the person, whatever it is
            self.failed.emit(error)
        else:
            self.engine = engine
            self.ready.emit(vault.place)


def screens_of(desk: Desk) -> list[Screen]:
    """The screens that this person may see, over the presenters."""
    every = (
        Screen("imports", lambda: ImportsPage(desk.imports)),
        Screen("products", lambda: ProductsPage(desk.products)),
        Screen("stock", lambda: StockPage(desk.stock, desk.alerts)),
        Screen("alerts", lambda: AlertsPage(desk.alerts), is_heard=True),
        Screen("orders", lambda: OrdersPage(desk.orders)),
        Screen("exceptions", lambda: ExceptionsPage(desk.exceptions), waiting=[desk.exceptions]),
        Screen("refunds", lambda: RefundsPage(desk.refunds), waiting=[desk.refunds]),
        Screen("channels", lambda: ChannelsPage(desk.channels), is_heard=True),
        Screen(
            "reconciliation",
            lambda: ReconciliationPage(desk.reconciliation),
            waiting=[desk.reconciliation.differences, desk.reconciliation.days],
        ),
        Screen(
            "settlement",
            lambda: SettlementPage(desk.settlement),
            waiting=[desk.settlement.statements, desk.settlement.payouts],
        ),
        Screen(
            "ledger",
            lambda: LedgerPage(desk.ledger),
            waiting=[desk.ledger.adjustments, desk.ledger.disputes],
            health=desk.ledger.health,
        ),
    )
    seen = {place.id for place in PLACES if place.permission in desk.person.permissions}
    return [screen for screen in every if screen.place in seen]


def pasted_place(folders: paths.Folders) -> Pasted:
    """Where pasted lines wait to be read: in memory where the system has such a folder for this user."""
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    usable = bool(runtime) and Path(runtime).is_dir() and os.access(runtime, os.W_OK)
    return Pasted(Path(runtime) if usable else folders.home)


def build(application: QApplication, folders: paths.Folders, *, server: str = "") -> Program:
    """Put the window together; nothing is started yet. `folders` are prepared; `server` is offered at sign-in."""
    settings = QSettings(str(folders.home / "window.ini"), QSettings.Format.IniFormat)
    widths.keep_in(settings)
    language = str(settings.value("window/language", "zh"))
    speech = Speech(application, language if language in {"zh", "en"} else "zh")
    stored = str(settings.value("window/theme", Mode.SYSTEM.value))
    mode = Mode(stored) if stored in set(Mode) else Mode.SYSTEM
    worn = install(application, mode=mode)
    bridge = Bridge()
    pasted = pasted_place(folders)
    pasted.forget_all()
    console = Console(
        bridge.ask,
        pasted,
        server=server or str(settings.value("window/server", "")),
        login=str(settings.value("window/login", "")),
    )
    sign_in = SignInView(console.sign_in)
    window = Window(console.status, sign_in)
    worn.dress(window)
    Garbage(window)
    window.foot.show_mode(mode)
    program = Program(application, folders, settings, speech, worn, bridge, console, window, sign_in)
    window.asked.connect(program.run)
    sign_in.asked.connect(program.run)
    console.watch(program.look)
    bridge.arrived.connect(console.hear)
    geometry = settings.value("window/geometry")
    if geometry is not None:
        window.restoreGeometry(geometry)
    return program


def main(argv: Sequence[str]) -> int:
    """Open the window, or hand the files to the one that is open. Returns the exit status."""
    options = _options(argv)
    paths.narrow_umask()
    folders = paths.locate()
    try:
        paths.prepare(folders)
    except OSError as error:
        sys.stderr.write(f"Kameng: {folders.home}: {error.strerror}\n")
        return EXIT_UNUSABLE
    sys.setswitchinterval(SWITCH_SECONDS)
    application = make_application(argv)
    instance = Instance(folders.home)
    if not options.smoke and not instance.is_first():
        if instance.hand_over(options.files):
            return EXIT_OK
        sys.stderr.write("Kameng: 已有一个窗口在运行但没有响应 / another window runs but does not answer\n")
        return EXIT_UNUSABLE
    crash_file = crash.CrashFile(folders)
    handler = crash.start_log(folders)
    program = build(application, folders, server=options.server)
    crash.catch_everything(partial(_tell_fault, program.bridge))
    qInstallMessageHandler(_qt_message)
    try:
        return _run(program, instance, options, crash_file.left_behind)
    finally:
        qInstallMessageHandler(None)
        program.quit()
        instance.leave()
        logging.getLogger("kameng").removeHandler(handler)
        handler.close()
        crash_file.clean_exit()


def make_application(argv: Sequence[str]) -> QApplication:
    """The QApplication, named."""
    application = QApplication(["kameng", *argv])
    application.setApplicationName("Kameng")
    application.setOrganizationName("Kameng")
    application.setWindowIcon(application_icon())
    application.setQuitOnLastWindowClosed(True)
    return application


def _run(program: Program, instance: Instance, options: argparse.Namespace, crashed: Path | None) -> int:
    window = program.window
    program.bridge.fault.connect(window.tell_fault)
    instance.handed.connect(partial(_handed, window))
    window.show()
    if options.smoke:
        from desktop.smoke import check

        return check(program)
    program.start_engine()
    if crashed is not None:
        window.tell_crash(crashed)
    if options.files:
        program.console.on_desk(lambda: window.take_files(options.files))
    return program.application.exec()


def _handed(window: Window, files: list[Path]) -> None:
    window.setWindowState((window.windowState() & ~Qt.WindowState.WindowMinimized) | Qt.WindowState.WindowActive)
    window.raise_()
    window.activateWindow()
    if files:
        window.take_files(files)


def _tell_fault(bridge: Bridge, error: BaseException) -> None:
    bridge.fault.emit(type(error).__name__)


def _qt_message(kind: QtMsgType, _context: object, text: str) -> None:
    level = {QtMsgType.QtDebugMsg: logging.DEBUG, QtMsgType.QtInfoMsg: logging.INFO}.get(kind, logging.WARNING)
    logging.getLogger("kameng.qt").log(level, "%s", text)


def _options(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="kameng", description="卡盟控制台 / the Kameng console")
    parser.add_argument("files", nargs="*", type=Path, help="要导入的文件 / files to import")
    parser.add_argument("--server", default="", metavar="URL", help="登录到这台服务器 / the server to sign in to")
    parser.add_argument("--smoke", action="store_true", help="open every part once, print the result and end")
    options = parser.parse_args(list(argv))
    for file in options.files:
        if not file.exists():  # a mistyped verb, most likely
            parser.error(f"没有文件或命令“{file}” / there is no file or command “{file}”")
    return options
