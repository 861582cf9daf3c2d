"""What every bench shares: its arguments, its last line, medians and peaks of memory.

The last line of a bench is one JSON object; a process that a bench starts ends with one too, and `run` reads it.
"""

import argparse
import contextlib
import json
import os
import resource
import statistics
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
CACHE = ROOT / "build" / "bench"
"""Input files that are costly to make; safe to delete."""

CORRECTNESS = ("oversold", "doubled", "lost")


def parser(about: str | None) -> argparse.ArgumentParser:
    """An argument parser that says what the bench is about in its own words."""
    return argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)


def finish(figures: Mapping[str, Any]) -> int:
    """Print the last line; returns the exit status: 1 when something was oversold, doubled or lost."""
    print(json.dumps(dict(figures), ensure_ascii=False), flush=True)
    return int(any(figures.get(name) for name in CORRECTNESS))


def say(text: str) -> None:
    """Tell a person who watches what is being done; not on the stream that is read."""
    print(text, file=sys.stderr, flush=True)


def last_line(text: str) -> dict[str, Any]:
    """The JSON object that a process printed last."""
    found = json.loads(text.strip().splitlines()[-1])
    assert isinstance(found, dict)
    return found


def run(
    module: str, *arguments: object, seconds: float, environment: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Run a part of a bench as a process of its own and return what it printed last. Raises when it fails."""
    done = subprocess.run(
        [sys.executable, "-m", module, *map(str, arguments)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        timeout=seconds,
        check=True,
    )
    return last_line(done.stdout)


def median(values: Sequence[float], *, digits: int = 3) -> float:
    """The median, rounded for people."""
    return round(statistics.median(values), digits)


def quantile_ms(seconds: Sequence[float], share: float) -> float:
    """The value that `share` of the durations do not exceed, in milliseconds."""
    ordered = sorted(seconds)
    return round(ordered[min(len(ordered) - 1, int(len(ordered) * share))] * 1000, 2)


def own_peak_mib() -> float:
    """The largest resident set of this process so far."""
    told = peak_mib(os.getpid())
    if told:
        return told
    # Elsewhere rusage has to do; on Linux it would count what the parent was when it started us. macOS counts bytes.
    counted = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(counted / (1024 * 1024 if sys.platform == "darwin" else 1024), 1)


class ChildrenPeak:
    """The largest resident set of any child of this process, sampled while the block runs; 0 where /proc is missing.

    What wait4 says of a child includes what its parent was when it was started.
    """

    def __init__(self) -> None:
        self.mib = 0.0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> "ChildrenPeak":
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._done.set()
        self._thread.join()

    def _sample(self) -> None:
        own = Path(f"/proc/{os.getpid()}/task")
        while not self._done.wait(0.02) and own.exists():
            for task in own.iterdir():
                with contextlib.suppress(OSError):  # threads and children end at any moment
                    for child in (task / "children").read_text().split():
                        self.mib = max(self.mib, peak_mib(int(child)))


def cpu_seconds(pid: int) -> float:
    """What a running process and its threads have used of processors so far; 0 where /proc does not tell."""
    try:
        facts = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(facts[11]) + int(facts[12])) / os.sysconf("SC_CLK_TCK")


def peak_mib(pid: int) -> float:
    """The largest resident set of a running process so far; 0 where /proc does not tell."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    kib = next((line.split()[1] for line in lines if line.startswith("VmHWM:")), "0")
    return round(int(kib) / 1024, 1)
