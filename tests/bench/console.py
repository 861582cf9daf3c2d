"""Console: from the start of the process to a usable window, and how evenly it repaints while it imports.

`usable_ms` is from starting the process until the list of imports is painted with what was seen last time, with no
server there; `window_ms` until anything is painted. Median of several starts; the files are in the system's cache.
The gaps are between two repaints that a timer of the window's thread asks for every 8 ms, while the window imports a
workbook into the real server on this machine: a frame that is late is a gap. Offscreen, so nothing is shown.
`lost` and `doubled` are cards, by what the server says it stored.
"""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tests.bench import _cards, _figures, _shop

SKU, LOGIN = "STEAM-50", "chen"
SEEN_ROWS = 1_000
RUN_SECONDS = 900


def main() -> int:
    """Measure and print."""
    options = _figures.parser(__doc__)
    options.add_argument("--rows", type=int, default=200_000)
    options.add_argument("--engine", choices=["sqlite", "postgres", "mariadb"], default="sqlite")
    options.add_argument("--rounds", type=int, default=5, help="starts")
    given = options.parse_args()
    large, small = _cards.workbook(given.rows), _cards.workbook(SEEN_ROWS)
    with _shop.durable_engines() as scratch:
        shop = _shop.prepared(given.engine, scratch / "shop")
        home = scratch / "console"
        with _shop.serving(shop) as server:
            arguments = ("--server", server.url, "--login", LOGIN, "--sku", "MUSIC-30", "--file", small)
            seen = _window("import", home, *arguments)
            _figures.say(f"seen: {seen}")
            arguments = ("--server", server.url, "--login", LOGIN, "--sku", SKU, "--file", large)
            frames = _window("import", scratch / "busy console", *arguments)
            _figures.say(f"import: {frames}")
        starts = [_window("start", home) for _ in range(given.rounds + 1)][1:]  # the first one fills the caches
        _figures.say(f"starts: {starts}")
    return _figures.finish(
        {
            "name": "console",
            "engine": given.engine,
            "n": given.rows,
            "window_ms": _figures.median([one["window_ms"] for one in starts], digits=1),
            "usable_ms": _figures.median([one["usable_ms"] for one in starts], digits=1),
            "seconds": frames["seconds"],
            "per_second": round(given.rows / frames["seconds"]),
            "frames": frames["frames"],
            "p50_ms": frames["p50_ms"],
            "p99_ms": frames["p99_ms"],
            "max_ms": frames["max_ms"],
            "peak_mib": {
                "start": max(one["peak_mib"] for one in starts),
                "import": frames["peak_mib"],
                "reader": frames["reader_peak_mib"],
                "server": server.peak_mib,
            },
            "lost": max(0, given.rows - frames["stored"]),
            "doubled": max(0, frames["stored"] - given.rows),
        }
    )


def _window(what: str, home: Path, *words: object) -> dict[str, Any]:
    """Run the window once, offscreen."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("KAMENG_")}
    environment |= {"QT_QPA_PLATFORM": "offscreen", "BENCH_STARTED": str(time.time_ns())}
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench._console_window", what, "--home", str(home), *map(str, words)],
        cwd=_figures.ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
        timeout=RUN_SECONDS,
        check=True,
    )
    return _figures.last_line(done.stdout)


if __name__ == "__main__":
    sys.exit(main())
