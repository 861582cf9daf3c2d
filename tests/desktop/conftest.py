"""Fixtures of the console's tests: a running shop, and consoles that connect to it.

`live_shop` serves a new world, which is `world`; `console(...)` makes a started engine in a data folder of its own,
with every event it sent in `Console.events`; `program` is the console with its window. All are stopped after the test.
"""

import io
import multiprocessing
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from pydantic import SecretStr

from desktop import theme
from desktop.credentials import MemoryVault, Vault
from desktop.engine.engine import Engine
from desktop.engine.uploads import Pace
from desktop.importing import process
from desktop.operations import imports, session
from desktop.paths import Folders
from desktop.verbs.parser import run
from desktop.verbs.shell import Shell
from tests import forks
from tests.desktop.live import Shop, shop
from tests.desktop.window_program import open_window
from tests.world import PASSWORD


@dataclass
class Console:
    """An engine, its folders, its vault, and what it told."""

    engine: Engine
    folders: Folders
    vault: Vault
    events: list = field(default_factory=list)
    _told: threading.Condition = field(default_factory=threading.Condition)

    def hear(self, event) -> None:
        """The engine's callback."""
        with self._told:
            self.events.append(event)
            self._told.notify_all()

    def run(self, work):
        """An operation's answer."""
        return self.engine.run(work, timeout_seconds=60)

    def sign_in(self, server: str, login: str):
        """Sign in with the world's password."""
        return self.run(session.sign_in(self.engine, server=server, login=login, password=SecretStr(PASSWORD)))

    def wait_for(self, is_it: Callable, seconds: float = 30):
        """The first event, past or future, that `is_it`."""
        with self._told:
            found = self._told.wait_for(lambda: [event for event in self.events if is_it(event)], seconds)
        assert found, self.events
        return found[0]

    @contextmanager
    def engine_outbox(self):
        """The outbox's file, for tests that change what is in it behind the engine's back."""
        with closing(sqlite3.connect(self.folders.outbox_file)) as db, db:
            yield db

    def told(self, kind: type) -> list:
        """All events of a kind so far."""
        return [event for event in self.events if isinstance(event, kind)]


@pytest.fixture(autouse=True)
def _readers_are_forked(request, monkeypatch):
    """Those who read files start from one that has imported what they need. test_importing_process starts real ones."""
    if "forkserver" in multiprocessing.get_all_start_methods() and "importing_process" not in request.module.__name__:
        monkeypatch.setattr(process, "_CONTEXT", forks.context())


@pytest.fixture
def console(tmp_path: Path):
    """`console(name="a", vault=None, **engine options)`: a started engine. The same name shares its folder."""
    made: list[Console] = []

    def make(name: str = "a", *, vault: Vault | None = None, start: bool = True, **options) -> Console:
        folders = Folders(tmp_path / f"home-{name}")
        vault = vault or MemoryVault()
        # Without jitter a retry comes at once: tests wait for events, not for time.
        options.setdefault("pace", Pace(chance=lambda: 0.0))
        options.setdefault("read_on", imports.read_on)
        one = Console(engine=None, folders=folders, vault=vault)
        one.engine = Engine(folders=folders, vault=vault, on_event=one.hear, **options)
        made.append(one)
        if start:
            one.engine.start()
        return one

    yield make
    for one in made:
        one.engine.stop()


@pytest.fixture
def live_shop(tmp_path: Path) -> Shop:
    """A world behind a real server on loopback."""
    with shop(tmp_path) as running:
        yield running


@pytest.fixture
def in_shop(tmp_path: Path):
    """`with in_shop(wrap=...) as shop`: a shop whose app is wrapped, for tests that stop it in the middle."""

    @contextmanager
    def open_shop(**options):
        with shop(tmp_path, **options) as running:
            yield running

    return open_shop


@pytest.fixture
def kameng(tmp_path: Path, live_shop):
    """`kameng("stock", user="chen")` runs a verb and answers (exit status, output, errors)."""
    password = tmp_path / "password"
    password.write_text(PASSWORD + "\n")

    def call(*arguments: object, user: str | None = None, home: str = "home", **environment: str):
        env = {"KAMENG_HOME": str(tmp_path / home), "KAMENG_LANG": "zh", **environment}
        if user is not None:
            env |= {"KAMENG_SERVER": live_shop.url, "KAMENG_USER": user, "KAMENG_PASSWORD_FILE": str(password)}
        out, err = io.StringIO(), io.StringIO()
        try:
            status = run([str(one) for one in arguments], Shell(out=out, err=err, environment=env))
        except SystemExit as ended:
            status = ended.code
        return status, out.getvalue(), err.getvalue()

    return call


@pytest.fixture
def world(live_shop):
    """The world that `live_shop` serves."""
    return live_shop.world


@pytest.fixture
def program(qtbot, qapp, tmp_path, monkeypatch):
    """The console with its window, in a home of its own, in the light theme."""
    monkeypatch.setenv("KAMENG_CREDENTIALS", "memory")
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    with open_window(qtbot, qapp, tmp_path / "home") as running:
        running.choose_theme(theme.Mode.LIGHT)
        yield running


@pytest.fixture
def colleague(console, live_shop):
    """`colleague("wang")`: another console of the same shop."""

    def sign_in_as(login):
        other = console(login, follow=False)
        other.sign_in(live_shop.url, login)
        return other

    return sign_in_as
