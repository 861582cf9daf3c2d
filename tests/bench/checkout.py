"""Checkout: from a buyer's order to the key on the page, over HTTP, with 1, 8 and 32 buyers at once.

Ours: the real server process with its defaults on a database that flushes at each commit, one hot SKU. The buyers and
the payment channel are in this process (see _buyers), which therefore takes a share of the machine that a shop would
not see. The floor serves the same steps by bare Starlette routes over the same SQL, group committed, without rights,
audit or contracts (see _checkout_floor). Levels take turns, ours and the floor; figures are medians over the rounds.

`doubled` counts keys that two buyers read, `lost` paid orders without a key and findings of the invariant check,
`oversold` deliveries beyond what was in stock.
"""

import asyncio
import sys
from pathlib import Path
from typing import Any

from sqlalchemy import func, select

from server import invariants
from server.db import Database
from server.orders.model import Order
from server.stock.model import Delivery, StockUnit
from shared.states import OrderState, UnitState
from tests import engines
from tests.bench import _buyers, _figures, _shop
from tests.server.channel import add_sandbox
from tests.world import MERCHANT

SKU, AMOUNT_FEN = "STEAM-50", 4_500
LEVELS = (1, 8, 32)
WARM_SECONDS = 1.0
HEADLINE = 32


def main() -> int:
    """Measure and print."""
    options = _figures.parser(__doc__)
    options.add_argument("--engine", choices=(*engines.KINDS, "both"), default="both")
    options.add_argument("--rows", type=int, default=60_000, help="keys in stock")
    options.add_argument("--seconds", type=float, default=4.0, help="of each level and round")
    options.add_argument("--rounds", type=int, default=2)
    given = options.parse_args()
    kinds = ("sqlite", "postgres") if given.engine == "both" else (given.engine,)
    runs: list[dict[str, Any]] = []
    peaks: dict[str, float] = {}
    with _shop.durable_engines() as scratch:
        for kind in kinds:
            runs += _measure(kind, scratch / kind, given, peaks)
    return _figures.finish(_headline(runs, peaks))


def _measure(kind: engines.Kind, folder: Path, given: Any, peaks: dict[str, float]) -> list[dict[str, Any]]:
    """All rounds of one engine; ours and the floor each on a shop of their own, with the same stock."""
    return asyncio.run(_levels(kind, folder, given, peaks))


async def _levels(kind: engines.Kind, folder: Path, given: Any, peaks: dict[str, float]) -> list[dict[str, Any]]:
    channel = _buyers.Channel()
    await channel.listen(_shop.free_port())
    shops = {name: _with_channel(_stocked(kind, folder / name, given.rows), channel) for name in ("ours", "floor")}
    found: dict[tuple[str, int], list[_buyers.Bought]] = {}
    with _shop.serving(shops["ours"]) as ours, _shop.serving(shops["floor"], module=FLOOR) as floor:
        markets = {
            name: _buyers.Market(served.port, channel, SKU, AMOUNT_FEN)
            for name, served in (("floor", floor), ("ours", ours))
        }
        for market in markets.values():
            warm = await market.level(8, seconds=WARM_SECONDS)
            found.setdefault(("warm", 0 if market is markets["ours"] else 1), []).append(warm)
        for _ in range(given.rounds):
            for buyers in LEVELS:
                for name, market in markets.items():
                    bought = await market.level(buyers, seconds=given.seconds)
                    found.setdefault((name, buyers), []).append(bought)
                    _figures.say(f"{kind} {name} {buyers}: {bought.per_second:.0f}/s")
    channel.close()
    peaks[f"server_{kind}"] = ours.peak_mib
    read = [
        key
        for (name, n), levels in found.items()
        if name == "ours" or (name, n) == ("warm", 0)
        for bought in levels
        for key in bought.keys
    ]
    proof = _prove(shops["ours"], read)
    for shop in shops.values():
        engines.drop(shop.database_url)
    return [_told(kind, buyers, found["ours", buyers], found["floor", buyers], proof) for buyers in LEVELS]


FLOOR = "tests.bench._checkout_floor"


def _stocked(kind: engines.Kind, folder: Path, count: int) -> _shop.Shop:
    return _shop.prepared(kind, folder, lambda world: world.stock(SKU, count))


def _with_channel(shop: _shop.Shop, channel: _buyers.Channel) -> _shop.Shop:
    add_sandbox(shop.keys, public_pem=channel.public_pem.decode(), merchant_id=MERCHANT)
    shop.environment["KAMENG_SANDBOX_URL"] = f"http://127.0.0.1:{channel.port}"
    return shop


def _prove(shop: _shop.Shop, read: list[str]) -> dict[str, int]:
    """Hold the buyers' keys and the database against each other. The server has stopped."""
    database = Database(shop.database_url)
    with database.read() as tx:
        deliveries = tx.scalar(select(func.count()).select_from(Delivery)) or 0
        imported = tx.scalar(select(func.count()).select_from(StockUnit)) or 0
        sold = tx.scalar(select(func.count()).select_from(StockUnit).where(StockUnit.state == UnitState.SOLD)) or 0
        delivered = tx.scalar(select(func.count()).where(Order.state == OrderState.DELIVERED.value)) or 0
    report = invariants.check(database)
    database.close()
    for finding in report.findings:
        _figures.say(f"{finding.invariant}: {finding.sentence}")
    return {
        "oversold": max(0, deliveries - sold) + max(0, deliveries - imported),
        "doubled": len(read) - len(set(read)),
        "lost": abs(delivered - len(read)) + abs(delivered - deliveries) + len(report.findings),
    }


def _told(
    kind: str, buyers: int, ours: list[_buyers.Bought], floors: list[_buyers.Bought], proof: dict[str, int]
) -> dict[str, Any]:
    seconds = [one for bought in ours for one in bought.seconds]
    pairs = zip(floors, ours, strict=True)
    return {
        "engine": kind,
        "buyers": buyers,
        "n": len(seconds),
        "per_second": _figures.median([one.per_second for one in ours], digits=1),
        "p50_ms": _figures.quantile_ms(seconds, 0.5),
        "p99_ms": _figures.quantile_ms(seconds, 0.99),
        "floor_per_second": _figures.median([one.per_second for one in floors], digits=1),
        "ratio": _figures.median([floor.per_second / one.per_second for floor, one in pairs]),
        **proof,
    }


def _headline(runs: list[dict[str, Any]], peaks: dict[str, float]) -> dict[str, Any]:
    """The figures of the busiest level on the first engine, and all runs below them."""
    head = next(run for run in runs if run["buyers"] == HEADLINE)
    total = {name: sum(run[name] for run in runs) for name in _figures.CORRECTNESS}
    return {"name": "checkout", **head, **total, "peak_mib": peaks, "runs": runs}


if __name__ == "__main__":
    sys.exit(main())
