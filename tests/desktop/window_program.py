"""A whole window over a real shop, as a person would use it. `open_window(home)` builds what `kameng` builds.

Waiting is always for something that will be seen; nothing sleeps. `press` and `drop` go through Qt's own events.
"""

from contextlib import contextmanager
from pathlib import Path

from PySide6.QtCore import QCoreApplication, QEvent, QMimeData, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import QDragEnterEvent, QDropEvent
from PySide6.QtWidgets import QWidget

from desktop import app, paths
from desktop.presenters.console import Desk
from desktop.presenters.pasted import Pasted
from shared import ids
from shared.contracts.identity import Person
from shared.permissions import ROLE_PERMISSIONS, Role
from tests.world import PASSWORD


@contextmanager
def open_window(qtbot, qapp, home: Path):
    """The program with its engine running, nobody signed in; ended in order afterwards."""
    folders = paths.Folders(home)
    paths.prepare(folders)
    program = app.build(qapp, folders)
    program.window.show()
    program.start_engine()
    try:
        qtbot.waitUntil(lambda: program.console.is_up, timeout=20_000)
        yield program
    finally:
        program.window.close()
        program.quit()
        program.choose_language("zh")
        program.window.deleteLater()
        QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)


def sign_in(qtbot, program, url: str, login: str) -> None:
    """Type and press, and wait until the screens of the person are there."""
    view = program.sign_in
    for field, text in ((view.server, url), (view.login, login), (view.password, PASSWORD)):
        field.clear()
        qtbot.keyClicks(field, text)
    qtbot.keyClick(view.password, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: program.console.desk is not None, timeout=20_000)
    assert program.window.page is not None


def person(role: Role) -> Person:
    """Somebody of a role; suppliers have a supplier."""
    return Person(
        id=ids.new_id(),
        login=role.value,
        name={Role.ADMIN: "王敏", Role.OPERATOR: "李航", Role.FINANCE: "周洁", Role.SUPPLIER: "陈星"}[role],
        role=role,
        supplier_id=ids.new_id() if role is Role.SUPPLIER else None,
        permissions=sorted(ROLE_PERMISSIONS[role]),
    )


def desk_of(program, role: Role) -> Desk:
    """The screens of somebody, without a server behind them: nothing that is asked is ever answered."""
    desk = Desk(lambda _work, _then, _otherwise: None, person(role), Pasted(program.folders.home))
    program.window.welcome(desk.person, app.screens_of(desk))
    return desk


def drag(widget: QWidget, files: list[Path]) -> QDragEnterEvent:
    """Hang files over a widget, as a file manager does; answers the event after it was handled."""
    event = QDragEnterEvent(
        QPoint(40, 40),
        Qt.DropAction.CopyAction | Qt.DropAction.MoveAction,
        mime_of(files),
        Qt.MouseButton.LeftButton,
        Qt.KeyboardModifier.NoModifier,
    )
    QCoreApplication.sendEvent(widget, event)
    return event


def drop(widget: QWidget, files: list[Path]) -> QDropEvent:
    """Carry them there and let them go: Qt delivers a drop only to what the files hang over."""
    drag(widget, files)
    event = QDropEvent(
        QPointF(40, 40),
        Qt.DropAction.CopyAction,
        mime_of(files),
        Qt.MouseButton.LeftButton,
        Qt.KeyboardModifier.NoModifier,
    )
    QCoreApplication.sendEvent(widget, event)
    return event


_kept: list[QMimeData] = []  # an event only borrows its data


def mime_of(files: list[Path]) -> QMimeData:
    """Files as a file manager hands them over."""
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(file)) for file in files])
    _kept.append(data)
    del _kept[:-4]
    return data


def texts(widget: QWidget) -> str:
    """Every word that is visible inside a widget, for asserting what a person reads."""
    words = []
    for child in widget.findChildren(QWidget):
        if child.isVisible():
            for name in ("text", "toPlainText", "title"):
                reader = getattr(child, name, None)
                if callable(reader):
                    words.append(str(reader()))
    return "\n".join(words)
