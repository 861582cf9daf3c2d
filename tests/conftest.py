"""What every test may rely on: a fixed environment, databases on three engines, a browser, tidy windows.

Fixtures: ``engine`` and ``database_url`` (run the test on each engine), ``any_engine`` (on one of them, by turns),
``new_database`` (a factory), ``browser`` and ``phone_page`` (tests/browser.py). Engines start when first asked for and
end with the run (tests/engines.py).
What a machine lacks skips its tests with one loud line; where ``CI`` is set it fails them (tests/absence.py).
"""

import gc
import importlib
import os
import sys
import warnings
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import hypothesis
import pytest

from tests import engines
from tests.absence import IN_CI, WithoutQt, absent, loud_lines, qt_trouble
from tests.rsa_keys import remember_keys_read

gc.disable()  # until all is collected: what is imported stays anyway

# Before Qt or any of our own code is imported: what a developer's machine or shell says must not reach a test.
for _name in [name for name in os.environ if name.startswith("KAMENG_") and not name.startswith("KAMENG_TEST_")]:
    del os.environ[_name]
os.environ |= {
    "QT_QPA_PLATFORM": "offscreen",
    "QT_SCALE_FACTOR": "1",
    "QT_ACCESSIBILITY": "0",
    "NO_PROXY": "localhost,127.0.0.1,::1",
    "no_proxy": "localhost,127.0.0.1,::1",
    # Nobody's real keyring is read or written; a test of the keyring brings its own.
    "PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring",
}
if sys.platform == "linux":
    os.environ["LC_ALL"] = "C.UTF-8"  # Qt warns in a bare environment, and a warning fails a test

remember_keys_read()

pytest_plugins = ["tests.browser"]

hypothesis.settings.register_profile(
    "ci",
    derandomize=True,  # the same examples each time: a red run is about the change, not about luck
    deadline=None,
    max_examples=30,
    stateful_step_count=25,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
    print_blob=True,
)
hypothesis.settings.register_profile("local", parent=hypothesis.settings.get_profile("ci"), derandomize=False)
hypothesis.settings.register_profile(
    "soak",
    parent=hypothesis.settings.get_profile("local"),
    max_examples=5000,
    stateful_step_count=100,
)
hypothesis.settings.load_profile("ci" if IN_CI else "local")


def pytest_addoption(pluginmanager: pytest.PytestPluginManager) -> None:
    """Take pytest-qt away where Qt does not load: it would end the whole run."""
    trouble = qt_trouble()
    if trouble is not None:
        pluginmanager.unregister(name="pytest-qt")
        WithoutQt(trouble).install()


@pytest.hookimpl(optionalhook=True)  # without pytest-xdist nobody asks
def pytest_xdist_auto_num_workers() -> int:
    """Say what `-n auto` means: one more than there are processors, for tests often wait for an engine or a process."""
    return (os.cpu_count() or 1) + 1


def pytest_configure(config: pytest.Config) -> None:
    """Open the run's folder of engines in the process that lasts longest, and leave the soak tests out."""
    if not config.option.markexpr:
        config.option.markexpr = "not soak"
    if hasattr(config, "workerinput"):
        return  # a worker of pytest-xdist: it inherits the folder
    cleanup = ExitStack()
    folder = cleanup.enter_context(engines.session())
    os.environ[engines.SESSION_VARIABLE] = str(folder)
    if (memory := engines.memory()) is not None:
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(memory))  # where pytest makes `tmp_path`
    os.environ["PYTHONDONTWRITEBYTECODE"] = ""  # the workers': what one has compiled is compiled for all
    config.add_cleanup(cleanup.close)


@pytest.hookimpl(tryfirst=True)
def pytest_collection(session: pytest.Session) -> None:
    """Let each worker begin with other files: rewriting their assertions takes longer than importing them.

    What one has rewritten is bytecode to the others. What cannot be imported is told by the collection, which follows.
    """
    place = getattr(session.config, "workerinput", None)
    whole = Path(__file__).parent
    if place is None or [Path(one).resolve() for one in session.config.args] != [whole]:
        return
    files = sorted(whole.rglob("test_*.py"))
    start = int(place["workerid"].removeprefix("gw")) * len(files) // place["workercount"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for file in files[start:] + files[:start]:
            with suppress(Exception, pytest.skip.Exception):
                importlib.import_module(".".join(file.relative_to(whole.parent).with_suffix("").parts))


def pytest_collection_finish() -> None:
    """From here on garbage is looked for by `pytest_runtest_teardown`, not among what lives as long as the run."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Iterator[None]:
    """Collect in the window's thread, as the console does (desktop/widgets/garbage.py): elsewhere Qt may lock up.

    What is left when a file is done lives as long as the run, and is not looked at again.
    """
    yield
    if nextitem is not None and nextitem.path == item.path:
        gc.collect(1)
    else:
        gc.collect()
        gc.freeze()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say loudly what is missing on this machine and how many tests did not run for it."""
    for line in loud_lines(terminalreporter.stats.get("skipped", [])):
        terminalreporter.write_line(line, red=True, bold=True)


@pytest.fixture
def new_database() -> Iterator[Callable[[engines.Kind], str]]:
    """Return ``new(kind) -> URL`` of a new, empty database; all of them are dropped after the test."""
    made: list[str] = []

    def new(kind: engines.Kind) -> str:
        reason = engines.missing(kind)
        if reason is not None:
            absent(reason)
        made.append(engines.url(kind))
        return made[-1]

    yield new
    for address in made:
        engines.drop(address)


@pytest.fixture(params=engines.KINDS)
def engine(request: pytest.FixtureRequest) -> engines.Kind:
    """Run the test three times, on each engine: for shops (`world`, `opened`), which make their own databases."""
    return request.param


_TURNS: tuple[engines.Kind, ...] = ("sqlite", "postgres", "sqlite", "mariadb")
"""Most shops have the first."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test of ``any_engine`` on one of them, and on the others in `make soak`; ``each_engine`` runs on all.

    For what the engines hardly differ in: taking turns, each of them still sees some of it on every run.
    """
    if "any_engine" not in metafunc.fixturenames:
        return
    mine = _TURNS[zlib.crc32(metafunc.function.__name__.encode()) % len(_TURNS)]
    everywhere = metafunc.definition.get_closest_marker("each_engine") is not None
    kinds = [
        kind if everywhere or kind == mine else pytest.param(kind, marks=pytest.mark.soak) for kind in engines.KINDS
    ]
    metafunc.parametrize("any_engine", kinds)


@pytest.fixture
def database_url(engine: engines.Kind, new_database: Callable[[engines.Kind], str]) -> str:
    """Run the test three times, with the URL of a new, empty database on each engine."""
    return new_database(engine)


@pytest.fixture(autouse=True)
def _tidy_windows() -> Iterator[None]:
    """Close what a test left open and deliver late deletions now: at the interpreter's end they crash."""
    yield
    widgets = sys.modules.get("PySide6.QtWidgets")
    application = widgets.QApplication.instance() if widgets else None
    if application is None:
        return
    from PySide6.QtCore import QCoreApplication, QEvent

    for window in widgets.QApplication.topLevelWidgets():
        window.close()
        window.deleteLater()
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    application.processEvents()
