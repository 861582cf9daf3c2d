"""The window of the console bench: the real program in a process of its own, watched from inside.

`start`: run it for the person of the last run, until the list of imports is painted with what was seen then.
`import`: sign in, drop a file on the window, import it, and note each gap between two repaints meanwhile.
A vault that answers at once stands in for the system's keyring. Prints one JSON object as its last line.
"""

import json
import os
import sys
import time
from functools import partial
from pathlib import Path

TICK_MS = 8
IMPORT_SECONDS = 900
STARTED = "BENCH_STARTED"
"""When the parent started this process, in nanoseconds since the epoch."""


class PlainVault:
    """Keeps tokens in a file of the bench, in the clear."""

    def __init__(self, path: Path) -> None:
        from desktop.credentials import Place

        self.place = Place.KEYRING
        self._path = path

    def _tokens(self) -> dict[str, str]:
        return json.loads(self._path.read_text()) if self._path.exists() else {}

    def load(self, account: str) -> str | None:
        return self._tokens().get(account)

    def save(self, account: str, token: str) -> None:
        self._path.write_text(json.dumps(self._tokens() | {account: token}))

    def delete(self, account: str) -> None:
        self._path.write_text(json.dumps({name: token for name, token in self._tokens().items() if name != account}))


def main() -> int:
    """Run one of the two."""
    # The reading process of an import starts with this module and must not pay for ours.
    from desktop import app
    from tests.bench import _figures

    options = _figures.parser(__doc__)
    options.add_argument("what", choices=["start", "import"])
    options.add_argument("--home", type=Path, required=True)
    options.add_argument("--server", default="")
    options.add_argument("--login", default="")
    options.add_argument("--sku", default="")
    options.add_argument("--file", type=Path)
    given = options.parse_args()
    os.environ["KAMENG_HOME"] = str(given.home)
    app.open_vault = lambda _folders, ask: PlainVault(given.home / "bench-tokens.json")
    build, figures = app.build, {}

    def watched(*arguments, **named):
        program = build(*arguments, **named)
        watch = _first_paint if given.what == "start" else partial(_frames, given=given)
        program.bench = watch(program, figures)
        return program

    app.build = watched
    with _figures.ChildrenPeak() as reader:
        status = app.main(["--server", given.server] if given.server else [])
    assert status == 0, status
    return _figures.finish(figures | {"peak_mib": _figures.own_peak_mib(), "reader_peak_mib": reader.mib})


def _first_paint(program, figures):
    """Watch paint events: the first of all, and the first with a remembered row on the screen."""
    from PySide6.QtCore import QEvent, QObject, QTimer

    started = int(os.environ[STARTED])

    class Watch(QObject):
        def eventFilter(self, _watched, event):  # noqa: N802 - Qt's name
            if event.type() == QEvent.Type.Paint:
                now = (time.time_ns() - started) / 1e6
                figures.setdefault("window_ms", round(now, 1))
                desk = program.console.desk
                if desk is not None and desk.imports.listing.count and program.window.page is not None:
                    figures["usable_ms"] = round(now, 1)
                    program.application.removeEventFilter(self)
                    QTimer.singleShot(0, program.window.close)
            return False

    watch = Watch(program.application)
    program.application.installEventFilter(watch)
    return watch


def _frames(program, figures, *, given):
    """Drive one import through the window; a timer of the window's thread repaints its foot and notes the gaps."""
    from pydantic import SecretStr
    from PySide6.QtCore import Qt, QTimer

    from desktop.operations import session
    from tests.bench._figures import quantile_ms
    from tests.world import PASSWORD

    gaps: list[float] = []
    marks: dict[str, float] = {}
    timer = QTimer(program.application)

    def tick() -> None:
        program.window.foot.repaint()
        now = time.perf_counter()
        if "importing" in marks:
            gaps.append(now - marks["tick"])
        marks["tick"] = now
        step(now)

    def step(now: float) -> None:
        console, window = program.console, program.window
        if not console.is_up:
            return
        if "signed" not in marks:
            marks["signed"] = now
            sign_in = partial(session.sign_in, server=given.server, login=given.login, password=SecretStr(PASSWORD))
            program.bridge.ask(sign_in, lambda _who: None, fail)
        if console.desk is None:
            return
        imports = console.desk.imports
        if "dropped" not in marks:
            marks["dropped"] = now
            window.take_files([given.file])
        elif "importing" not in marks and imports.check is not None and imports.check.preview is not None:
            marks["importing"] = now
            imports.check.choose_sku(given.sku)
            imports.check.start()
        elif "importing" in marks and imports.progress is not None and imports.progress.is_over:
            timer.stop()
            figures.update(
                stage=imports.progress.stage.value,
                stored=imports.progress.stored,
                seconds=round(now - marks["importing"], 3),
                frames=len(gaps),
                p50_ms=quantile_ms(gaps, 0.5),
                p99_ms=quantile_ms(gaps, 0.99),
                max_ms=round(max(gaps) * 1000, 2),
            )
            window.close()
        assert now - marks["signed"] < IMPORT_SECONDS, "the import does not end"

    def fail(error: Exception) -> None:
        raise error

    timer.setTimerType(Qt.TimerType.PreciseTimer)
    timer.timeout.connect(tick)
    timer.start(TICK_MS)
    return timer


if __name__ == "__main__":
    sys.exit(main())
