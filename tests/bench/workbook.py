"""Workbook: rows of twelve columns (ids as text, instants, Chinese titles, amounts) become a file that finance signs.

Ours: the console's writer with everything it does for finance: a cover with live totals beside what they must be, text
that stays text, number formats, frozen headings, filters, widths, print set-up, sums, a hash of every sheet and a
check of every row. The floor: openpyxl write-only with lxml, the same rows and cell formats, none of the rest. Each
round is a process of its own, in turns; figures are medians. `cpu_ratio` is the same of processor time, which a busy
machine does not change. `others` are writers that might do as well, each measured once as openpyxl is, where they are
installed (`pip install XlsxWriter rustpy-xlsxwriter`). Afterwards our file is verified by reading it again: `lost`
counts rows that are not as they were given.
"""

import importlib.util
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.bench import _figures
from tests.bench._workbook_candidates import WRITERS
from tests.bench._workbook_rows import facts

MANY = 300_000
"""From here on one round is enough, unless asked: openpyxl takes minutes for each."""
ROUND_SECONDS = 3_600


def main() -> int:
    """Measure and print."""
    options = _figures.parser(__doc__)
    options.add_argument("--rows", type=int, default=100_000)
    options.add_argument("--rounds", type=int)
    given = options.parse_args()
    rounds = given.rounds or (1 if given.rows >= MANY else 3)
    ours: list[dict[str, Any]] = []
    floors: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="kameng-", dir="/var/tmp" if Path("/var/tmp").is_dir() else None) as folder:
        written = Path(folder, "ours.xlsx")
        _side("_workbook_ours", written, min(given.rows, 10_000))  # warm: code and file system
        for n in range(rounds):
            ours.append(_side("_workbook_ours", written, given.rows))
            _figures.say(f"ours     {n + 1}: {ours[-1]}")
            floors.append(_side("_workbook_openpyxl", Path(folder, "floor.xlsx"), given.rows))
            _figures.say(f"openpyxl {n + 1}: {floors[-1]}")
        others = {name: _other(name, folder, given.rows) for name, (module, _) in WRITERS.items() if _has(module)}
        verified = _side("_workbook_verified", written, given.rows)
        _figures.say(f"verify     : {verified}")
    return _figures.finish(_told(given.rows, ours, floors, verified) | {"others": others})


def _side(module: str, file: Path, rows: int, *more: object) -> dict[str, Any]:
    return _figures.run(f"tests.bench.{module}", "--file", file, "--rows", rows, *more, seconds=ROUND_SECONDS)


def _has(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def _other(name: str, folder: str, rows: int) -> dict[str, Any]:
    told = _side("_workbook_candidates", Path(folder, "other.xlsx"), rows, "--writer", name)
    _figures.say(f"{name}: {told}")
    return told


def _told(
    rows: int, ours: list[dict[str, Any]], floors: list[dict[str, Any]], verified: dict[str, Any]
) -> dict[str, Any]:
    def of(rounds: list[dict[str, Any]], name: str) -> float:
        return _figures.median([one[name] for one in rounds])

    def ratio(name: str) -> float:
        return _figures.median([one[name] / other[name] for one, other in zip(ours, floors, strict=True)])

    seconds, wanted = of(ours, "seconds"), facts(rows)
    sums_lost = any(ours[-1][name] != wanted[name] for name in ("amount_fen", "fee_fen"))
    return {
        "name": "workbook",
        "engine": None,
        "n": rows,
        "columns": 12,
        "rounds": len(ours),
        "seconds": seconds,
        "per_second": round(rows / seconds),
        "peak_mib": {"ours": of(ours, "peak_mib"), "openpyxl": of(floors, "peak_mib"), "verify": verified["peak_mib"]},
        "file_mb": {"ours": of(ours, "file_mb"), "openpyxl": of(floors, "file_mb")},
        "floor_seconds": of(floors, "seconds"),
        "ratio": ratio("seconds"),
        "cpu_ratio": ratio("cpu_seconds"),
        "verify": {"seconds": verified["seconds"], "cpu_seconds": verified["cpu_seconds"]},
        "lost": rows if sums_lost else verified["differing"],
    }


if __name__ == "__main__":
    sys.exit(main())
