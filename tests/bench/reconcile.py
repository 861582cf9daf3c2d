"""Reconcile: a million orders of ours against a million rows of a channel's bill, with its control totals and hashes.

Ours: a bill's packed file and our rows, streamed from the engine, through the engine of reconciliation, until all
pairs and all differences are known, then `three_way` with the fund bill, two movements a payment, on top (see
_reconcile_ours). The floor reads both sides and hashes their keys in one
process (see _reconcile_floor). Rounds take turns after one that warms up; figures are medians. `kept` is the same day
with both bills once more as a shop has it, with what others wait for it (see _reconcile_kept). Of each ten thousand
orders seven differ in seven ways, and the fee of one has not moved: `lost` counts differences that were not found,
`doubled` those that are none.
"""

import sys
from typing import Any

from tests import engines
from tests.bench import _bill, _figures, _shop

ROUND_SECONDS = 600


def main() -> int:
    """Measure and print."""
    options = _figures.parser(__doc__)
    options.add_argument("--rows", type=int, default=200_000)
    options.add_argument("--engine", choices=engines.KINDS, default="sqlite")
    options.add_argument("--rounds", type=int, default=3)
    given = options.parse_args()
    _figures.say(f"making the bills of {given.rows} orders, unless they are there")
    file, funds = _bill.bill(given.rows), _bill.funds(given.rows)
    ours: list[dict[str, Any]] = []
    floors: list[dict[str, Any]] = []
    with _shop.durable_engines() as scratch:
        shop = _shop.prepared(given.engine, scratch / "shop", lambda world: _bill.fill(world.ctx, given.rows))
        words = ("--database", shop.database_url, "--file", file)
        for n in range(given.rounds + 1):
            floor = _figures.run("tests.bench._reconcile_floor", *words, seconds=ROUND_SECONDS)
            more = ("--funds", funds, "--rows", given.rows)
            own = _figures.run("tests.bench._reconcile_ours", *words, *more, seconds=ROUND_SECONDS)
            _figures.say(f"round {n}: floor {floor}, ours {own}")
            if n:  # the first one warms up
                floors.append(floor)
                ours.append(own)
        more = ("--funds", funds, "--data", shop.folder / "data")
        kept = _figures.run("tests.bench._reconcile_kept", *words, *more, seconds=ROUND_SECONDS)
        engines.drop(shop.database_url)
    return _figures.finish(_told(given.engine, given.rows, ours, floors, kept))


def _told(
    kind: str, rows: int, ours: list[dict[str, Any]], floors: list[dict[str, Any]], kept: dict[str, Any]
) -> dict[str, Any]:
    def of(rounds: list[dict[str, Any]], name: str) -> float:
        return _figures.median([one[name] for one in rounds])

    seconds = of(ours, "seconds")
    return {
        "name": "reconcile",
        "engine": kind,
        "n": rows,
        "rounds": len(ours),
        "pairs": ours[-1]["pairs"],
        "differences": ours[-1]["differences"],
        "seconds": seconds,
        "read_seconds": of(ours, "read_seconds"),
        "match_seconds": of(ours, "match_seconds"),
        "settle_seconds": of(ours, "settle_seconds"),
        "per_second": round(rows / seconds),
        "peak_mib": {"ours": of(ours, "peak_mib"), "floor": of(floors, "peak_mib")},
        "three_way": {
            "seconds": _figures.median([one["three_way"]["seconds"] for one in ours]),
            "peak_mib": _figures.median([one["three_way"]["peak_mib"] for one in ours]),
        },
        "floor_seconds": of(floors, "seconds"),
        "floor_parts": {part: of(floors, f"{part}_seconds") for part in ("read", "match")},
        "ratio": _figures.median([one["seconds"] / other["seconds"] for one, other in zip(ours, floors, strict=True)]),
        "kept": kept,
        "lost": max(one["lost"] for one in (*ours, kept)),
        "doubled": max(one["doubled"] for one in ours),
    }


if __name__ == "__main__":
    sys.exit(main())
