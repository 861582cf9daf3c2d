"""Import: a workbook of card keys on the desktop becomes durable, encrypted, deduplicated stock on the server.

Ours: the real server process and the console's own engine in another one (with its reader process), everything on
this machine, on an empty database (or one with `ONTO` other cards of the SKU) with the engine's full durability. The
file is read, sent and stored at the same time: `read_seconds` end when the console has read and judged all of it,
`store_seconds` are what is left until it is for sale. The floor does the bare work in one process (see _import_floor).
Rounds take turns; figures are medians. Afterwards every stored card is opened and compared with the file: `lost` and
`doubled` count cards.
"""

import sys
from collections import Counter
from pathlib import Path
from typing import Any

from sqlalchemy import select

from server.crypto import LotKey
from server.db import Database
from server.stock.model import CardSecret, StockLot, StockUnit
from shared import cardkey
from tests import engines
from tests.bench import _cards, _figures, _shop
from tests.world import World

SKU, LOGIN = "STEAM-50", "chen"
ROUND_SECONDS = 900
STEP = 100_000


def main() -> int:
    """Measure and print."""
    options = _figures.parser(__doc__)
    options.add_argument("--rows", type=int, default=200_000)
    options.add_argument("--engine", choices=engines.KINDS, default="sqlite")
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--onto", type=int, default=0)
    given = options.parse_args()
    _figures.say(f"making a workbook of {given.rows} rows, unless it is there")
    file = _cards.workbook(given.rows)
    ours: list[dict[str, Any]] = []
    floors: list[dict[str, Any]] = []
    with _shop.durable_engines() as scratch:
        for n in range(given.rounds):
            floors.append(_floor_round(given.engine, scratch / f"floor-{n}", file, given.onto))
            _figures.say(f"floor {n + 1}: {floors[-1]}")
            ours.append(_our_round(given.engine, scratch / f"ours-{n}", file, given.rows, given.onto))
            _figures.say(f"ours  {n + 1}: {ours[-1]}")
    return _figures.finish(_told(given.engine, given.rows, given.onto, ours, floors))


def _stocked(kind: engines.Kind, folder: Path, onto: int) -> _shop.Shop:
    def fill(shop: World) -> None:
        for start in range(0, onto, STEP):
            shop.stock(SKU, shop.keys(SKU, min(STEP, onto - start), start=start))

    return _shop.prepared(kind, folder, fill)


def _floor_round(kind: engines.Kind, folder: Path, file: Path, onto: int) -> dict[str, Any]:
    shop = _stocked(kind, folder, onto)
    found = _figures.run(
        "tests.bench._import_floor", "--database", shop.database_url, "--file", file, seconds=ROUND_SECONDS
    )
    engines.drop(shop.database_url)
    return found


def _our_round(kind: engines.Kind, folder: Path, file: Path, rows: int, onto: int) -> dict[str, Any]:
    shop = _stocked(kind, folder, onto)
    with _shop.serving(shop) as server:
        arguments = {"server": server.url, "login": LOGIN, "sku": SKU, "home": folder / "console", "file": file}
        words = [word for name, value in arguments.items() for word in (f"--{name}", value)]
        found = _figures.run("tests.bench._import_console", *words, seconds=ROUND_SECONDS)
    lost, doubled = _compare(shop, rows)
    engines.drop(shop.database_url)
    return found | {"server_peak_mib": server.peak_mib, "lost": lost, "doubled": doubled}


def _compare(shop: _shop.Shop, rows: int) -> tuple[int, int]:
    """Open every card that is in stock; answers how many of the file are missing, and how many are there twice."""
    database = Database(shop.database_url)
    sku_id = shop.skus[SKU]
    keys = shop.keys
    found: Counter[str] = Counter()
    with database.read() as tx:
        ciphers = {
            lot.id: keys.lot(lot.id, LotKey(wrapped=lot.wrapped_key, master_version=lot.master_version))
            for lot in tx.scalars(select(StockLot))
        }
        query = (
            select(CardSecret.seq, CardSecret.sealed, StockUnit.lot_id)
            .join(StockUnit, (StockUnit.sku_id == CardSecret.sku_id) & (StockUnit.seq == CardSecret.seq))
            .where(CardSecret.sku_id == sku_id)
        )
        for seq, sealed, lot_id in tx.execute(query).yield_per(10_000):
            found[ciphers[lot_id].unseal(sku_id, seq, sealed).reveal()] += 1
    database.close()
    wanted = {cardkey.canonical(cardkey.Card(*card)) for card in _cards.cards(rows)}
    return len(wanted - found.keys()), found.total() - len(found)


def _told(kind: str, rows: int, onto: int, ours: list[dict[str, Any]], floors: list[dict[str, Any]]) -> dict[str, Any]:
    def of(rounds: list[dict[str, Any]], name: str) -> float:
        return _figures.median([one[name] for one in rounds])

    seconds, floor = of(ours, "seconds"), of(floors, "seconds")
    return {
        "name": "import",
        "engine": kind,
        "n": rows,
        "onto": onto,
        "rounds": len(ours),
        "seconds": seconds,
        "read_seconds": of(ours, "read_seconds"),
        "store_seconds": of(ours, "store_seconds"),
        "per_second": round(rows / seconds),
        "peak_mib": {
            "console": of(ours, "peak_mib"),
            "reader": of(ours, "reader_peak_mib"),
            "server": of(ours, "server_peak_mib"),
            "floor": of(floors, "peak_mib"),
        },
        "floor_seconds": floor,
        "floor_parts": {part: of(floors, f"{part}_seconds") for part in ("read", "seal", "insert")},
        "ratio": _figures.median([one["seconds"] / other["seconds"] for one, other in zip(ours, floors, strict=True)]),
        "lost": max(one["lost"] for one in ours),
        "doubled": max(one["doubled"] for one in ours),
    }


if __name__ == "__main__":
    sys.exit(main())
