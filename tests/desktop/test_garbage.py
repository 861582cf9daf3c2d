"""Nothing of Qt is collected by another thread than the window's: there it could wait for the window for ever."""

import gc
import threading
import weakref

import pytest
from PySide6.QtCore import QObject

from desktop import app, paths
from desktop.widgets.garbage import Garbage


class Ring:
    """Something that only a collection ends."""

    def __init__(self, ended):
        self.itself = self
        weakref.finalize(self, lambda: ended.append(threading.get_ident()))


@pytest.fixture
def collecting():
    """As in a program that has just started."""
    gc.enable()
    yield
    gc.disable()


def test_the_windows_thread_collects_and_no_other(qtbot, qapp, collecting):
    window, ended, kept = QObject(), [], []
    Garbage(window)
    Ring(ended)
    elsewhere = threading.Thread(target=lambda: kept.extend([n] for n in range(50_000)))
    elsewhere.start()
    elsewhere.join()
    assert ended == []
    qtbot.waitUntil(lambda: ended != [], timeout=20_000)
    assert ended == [threading.get_ident()]


def test_the_program_has_it(qapp, tmp_path, collecting):
    folders = paths.Folders(tmp_path)
    paths.prepare(folders)
    program = app.build(qapp, folders)
    assert (program.window.findChild(Garbage) is not None, gc.isenabled()) == (True, False)
    program.quit()
