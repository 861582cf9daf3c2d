"""Claims: one unit for each buyer through the batcher, with 1, 8, 32 and 128 buyers at once, from a large stock.

Ours is `server.batch` with the claim of `server.stock.actions` as its only command; the floor group-commits the same
statements by the driver (see _claim_stock). Both have a database of their own with the same stock, which flushes at
each commit; levels take turns, ours and the floor; figures are medians over the rounds. SKUS=hot is one SKU, spread a
hundred. SNAPSHOT=1 holds a read snapshot open from the start to the end. MINUTES=5 lets 128 buyers claim for so long
after the levels and prints the rate of each minute and, on PostgreSQL, the pages that a claim read in it and the dead
tuples after it; `flat` is the rate of the last minute divided by that of the first. Rates are also those of whatever
else the machine does, the pages are not.

`doubled` counts units granted twice, `oversold` and `lost` what was granted and is not in the database, or the reverse.
"""

import asyncio
import random
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy import text

from server.batch import Batch
from server.db import Database, Tx
from server.stock import actions as stock
from shared import clock, ids
from tests import engines
from tests.bench import _claim_stock, _figures, _shop

LEVELS = (1, 8, 32, 128)
HEADLINE = 128
SPREAD_SKUS = 100
WARM_SECONDS = 0.5

Claim = Callable[[UUID, UUID], Awaitable[int]]


@dataclass
class Level:
    """What some buyers got in some seconds."""

    per_second: float = 0.0
    seconds: list[float] = field(default_factory=list)


@dataclass
class Side:
    """Ours or the floor: a database, its SKUs, how to claim, and everything that was granted."""

    url: str
    skus: list[UUID]
    claim: Claim
    close: Callable[[], None]
    granted: list[tuple[UUID, int]] = field(default_factory=list)

    async def level(self, buyers: int, seconds: float) -> Level:
        """Let so many claim one unit after the other for so long."""
        found, chance = Level(), random.Random(buyers)
        end_at = time.perf_counter() + seconds

        async def buyer() -> None:
            while (begun := time.perf_counter()) < end_at:
                sku = self.skus[0] if len(self.skus) == 1 else chance.choice(self.skus)
                seq = await self.claim(sku, ids.new_id())
                found.seconds.append(time.perf_counter() - begun)
                self.granted.append((sku, seq))

        started = time.perf_counter()
        await asyncio.gather(*(buyer() for _ in range(buyers)))
        found.per_second = len(found.seconds) / (time.perf_counter() - started)
        return found


def _ours(url: str, skus: list[UUID]) -> Side:
    database = Database(url)
    batch = Batch(database)
    batch.register(stock.Want, _take, rank=1, alone=True)
    batch.start()

    async def claim(sku: UUID, line: UUID) -> int:
        seq: int = await batch.submit(stock.Want(line, sku, 1))
        return seq

    def close() -> None:
        batch.close()
        database.close()

    return Side(url, skus, claim, close)


def _take(tx: Tx, wants: list[stock.Want]) -> list[int]:
    with stock.desk(tx, at=clock.now(), wants=wants) as desk:
        assert desk.reserve(wants), "the stock of this bench has run out: give it more"
        taken = desk.take()
    return [taken[want.order_line_id][0] for want in wants]


def _floor(url: str, skus: list[UUID]) -> Side:
    floor = _claim_stock.Floor(url)
    return Side(url, skus, floor.claim, floor.close)


@contextmanager
def _snapshot(url: str) -> Iterator[None]:
    """A read snapshot that sees the stock as it is now until the block ends."""
    database = Database(url)
    with database.engine.connect() as connection:
        options = {} if database.is_sqlite else {"isolation_level": "REPEATABLE READ"}
        connection = connection.execution_options(**options)
        connection.execute(text("SELECT seq FROM stock_unit LIMIT 1")).all()
        yield
        connection.rollback()
    database.close()


def main() -> int:
    """Measure and print."""
    options = _figures.parser(__doc__)
    options.add_argument("--engine", choices=engines.KINDS, default="sqlite")
    options.add_argument("--skus", choices=("hot", "spread"), default="hot")
    options.add_argument("--stock", type=int, default=1_000_000, help="units in stock, of ours and of the floor each")
    options.add_argument("--seconds", type=float, default=3.0, help="of each level and round")
    options.add_argument("--rounds", type=int, default=2)
    options.add_argument("--snapshot", type=int, default=0, help="1: hold a read snapshot open")
    options.add_argument("--minutes", type=int, default=0, help="of 128 buyers after the levels")
    given = options.parse_args()
    skus = 1 if given.skus == "hot" else SPREAD_SKUS
    with _shop.durable_engines():
        urls = {name: engines.url(given.engine) for name in ("floor", "ours")}
        filled = {name: _claim_stock.fill(url, skus, given.stock) for name, url in urls.items()}
        _figures.say(f"{given.stock} units of {skus} SKUs in stock, twice")
        sides = {"floor": _floor(urls["floor"], filled["floor"]), "ours": _ours(urls["ours"], filled["ours"])}
        snapshots = [_snapshot(url) if given.snapshot else nullcontext() for url in urls.values()]
        with snapshots[0], snapshots[1]:
            found = asyncio.run(_levels(sides, given.seconds, given.rounds))
            minutes = asyncio.run(_minutes(sides["ours"], given.minutes)) if given.minutes else []
        for side in sides.values():
            side.close()
        ours = sides["ours"].granted
        proof = _claim_stock.proof(urls["ours"], len(ours))
        for url in urls.values():
            engines.drop(url)
    runs = [_told(buyers, found["ours", buyers], found["floor", buyers]) for buyers in LEVELS]
    head = next(run for run in runs if run["buyers"] == HEADLINE)
    figures = {
        "name": "claim",
        "engine": given.engine,
        "skus": given.skus,
        "stock": given.stock,
        "snapshot": bool(given.snapshot),
        **head,
        "doubled": len(ours) - len(set(ours)),
        **proof,
        "peak_mib": {"bench": _figures.own_peak_mib()},
        **({"flat": round(minutes[-1]["per_second"] / minutes[0]["per_second"], 3)} if minutes else {}),
        "minutes": minutes,
        "runs": runs,
    }
    return _figures.finish(figures)


async def _levels(sides: dict[str, Side], seconds: float, rounds: int) -> dict[tuple[str, int], list[Level]]:
    found: dict[tuple[str, int], list[Level]] = {}
    for side in sides.values():
        await side.level(8, WARM_SECONDS)
    for _ in range(rounds):
        for buyers in LEVELS:
            for name, side in sides.items():
                level = await side.level(buyers, seconds)
                found.setdefault((name, buyers), []).append(level)
                _figures.say(f"{name} {buyers}: {level.per_second:.0f}/s")
    return found


async def _minutes(side: Side, count: int) -> list[dict[str, Any]]:
    """The rate of each minute; where the engine tells, the pages a claim read in it, and the dead tuples at its end."""
    told = []
    before = await asyncio.to_thread(_pages, side.url)
    for n in range(1, count + 1):
        level = await side.level(HEADLINE, 60.0)
        minute: dict[str, Any] = {"minute": n, "per_second": round(level.per_second, 1)}
        minute["p99_ms"] = _figures.quantile_ms(level.seconds, 0.99)
        if before:
            after, dead = await asyncio.to_thread(_pages, side.url), await asyncio.to_thread(_dead_tuples, side.url)
            read = {name: round((pages - before.get(name, 0)) / len(level.seconds), 2) for name, pages in after.items()}
            minute |= {"pages_per_claim": read, "dead_tuples": dead}
            before = after
        _figures.say(str(minute))
        told.append(minute)
    return told


def _pages(url: str) -> dict[str, int]:
    """Pages of each table and its indexes that were ever read; empty where the engine does not count them."""
    blocks = "COALESCE(heap_blks_read + heap_blks_hit + idx_blks_read + idx_blks_hit, 0)"
    return _counted(url, f"SELECT relname, {blocks} FROM pg_statio_user_tables WHERE relname LIKE 'stock_%'")


def _dead_tuples(url: str) -> dict[str, int]:
    return _counted(url, "SELECT relname, n_dead_tup FROM pg_stat_user_tables WHERE relname LIKE 'stock_%'")


def _counted(url: str, query: str) -> dict[str, int]:
    database = Database(url)
    counted: dict[str, int] = {}
    if database.engine.dialect.name == "postgresql":
        with database.read() as tx:
            counted = {name: int(count) for name, count in tx.execute(text(query)) if count}
    database.close()
    return counted


def _told(buyers: int, ours: list[Level], floors: list[Level]) -> dict[str, Any]:
    seconds = [one for level in ours for one in level.seconds]
    pairs = zip(floors, ours, strict=True)
    return {
        "buyers": buyers,
        "n": len(seconds),
        "per_second": _figures.median([level.per_second for level in ours], digits=1),
        "p50_ms": _figures.quantile_ms(seconds, 0.5),
        "p99_ms": _figures.quantile_ms(seconds, 0.99),
        "floor_per_second": _figures.median([level.per_second for level in floors], digits=1),
        "ratio": _figures.median([floor.per_second / level.per_second for floor, level in pairs]),
    }


if __name__ == "__main__":
    sys.exit(main())
