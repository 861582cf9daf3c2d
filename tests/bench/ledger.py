"""Journals: sales posted through the batcher, with 1, 8 and 32 writers at once, all of one supplier or of a hundred.

Ours is `server.batch` with `server.ledger.actions.post` as its only command; each command is one SALE of three
transfers, with its key, its accounts by name and the hash of its content. The floor group-commits the bare SQL of the
same rows by the driver: journals, transfers, and one update of each balance, whose ids it knows. Both have a database
of their own, which flushes at each commit; levels take turns, the floor and ours; figures are medians over the rounds.

`processor_us` is what a journal costs this process, writers and all; engines behind a socket work elsewhere.
`lost` counts journals that were answered and are not there, or the reverse, and balances that are not their transfers;
`doubled` keys that are there twice.
"""

import asyncio
import queue
import random
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy import func, select

from server import migrations
from server.batch import Batch
from server.db import Database, Tx
from server.invariants import books
from server.ledger import actions as ledger
from server.ledger.actions import Account, Journal, Transfer
from server.ledger.model import LedgerAccount, LedgerJournal
from shared import clock, ids
from tests import engines
from tests.bench import _figures, _shop

LEVELS = (1, 8, 32)
HEADLINE = 32
SPREAD = 100
WARM_SECONDS = 0.5
_MOST = 256
ESCROW, FEE = Account("escrow"), Account("fee")

_JOURNAL = (
    "INSERT INTO ledger_journal ({quoted}, code, order_id, content_sha256, occurred_at, posted_at, actor, memo)"
    " VALUES (?, ?, 'SALE', ?, ?, ?, ?, NULL, '')"
)
_TRANSFER = "INSERT INTO ledger_transfer (journal_id, n, debit_id, credit_id, amount_fen) VALUES (?, ?, ?, ?, ?)"
_ADD = (
    "UPDATE ledger_balance SET debits_fen = debits_fen + ?, credits_fen = credits_fen + ?"
    " WHERE account_id = ? AND slot = 0"
)


@dataclass(frozen=True, slots=True)
class Sale:
    """One order's money: whose it is, and how it is shared."""

    key: str
    order_id: UUID
    supplier: int
    supplier_fen: int
    fee_fen: int
    commission_fen: int


def _sale(chance: random.Random, suppliers: int) -> Sale:
    amount = chance.randrange(100, 50_000)
    fee, commission = amount // 20, amount // 50
    order_id = ids.new_id()
    supplier = chance.randrange(suppliers)
    return Sale(f"order:{order_id.hex}:sale", order_id, supplier, amount - fee - commission, fee, commission)


Post = Callable[[Sale], Awaitable[None]]


@dataclass
class Level:
    """What some writers posted in some seconds."""

    per_second: float = 0.0
    processor_seconds: float = 0.0
    seconds: list[float] = field(default_factory=list)


@dataclass
class Side:
    """Ours or the floor: a database, how to post, and how many were answered."""

    url: str
    suppliers: int
    post: Post
    close: Callable[[], None]
    posted: int = 0

    async def level(self, writers: int, seconds: float) -> Level:
        """Let so many post one sale after the other for so long."""
        found, chance = Level(), random.Random(writers)
        end_at = time.perf_counter() + seconds

        async def writer() -> None:
            while (begun := time.perf_counter()) < end_at:
                await self.post(_sale(chance, self.suppliers))
                found.seconds.append(time.perf_counter() - begun)
                self.posted += 1

        started, worked = time.perf_counter(), time.process_time()
        await asyncio.gather(*(writer() for _ in range(writers)))
        found.per_second = len(found.seconds) / (time.perf_counter() - started)
        found.processor_seconds = time.process_time() - worked
        return found


def _accounts(suppliers: int) -> tuple[list[Account], Account]:
    pending = [Account("supplier_pending", UUID(int=n + 1).hex) for n in range(suppliers)]
    return pending, Account("distributor_pending", UUID(int=0xD157).hex)


def _ours(url: str, suppliers: int) -> Side:
    database = Database(url)
    batch = Batch(database)
    pending, distributor = _accounts(suppliers)

    def handle(tx: Tx, journals: list[Journal]) -> list[None]:
        ledger.post(tx, journals)
        return [None] * len(journals)

    batch.register(Journal, handle, rank=1)
    batch.start()

    async def post(sale: Sale) -> None:
        shares = (
            Transfer(ESCROW, pending[sale.supplier], sale.supplier_fen),
            Transfer(ESCROW, FEE, sale.fee_fen),
            Transfer(ESCROW, distributor, sale.commission_fen),
        )
        await batch.submit(Journal(sale.key, "SALE", sale.order_id, clock.now(), shares))

    def close() -> None:
        batch.close()
        database.close()

    return Side(url, suppliers, post, close)


@dataclass(slots=True)
class _Task:
    sale: Sale
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[None] = field(repr=False)


class _Floor:
    """The raw group commit: one connection, one thread, the bare rows."""

    def __init__(self, url: str, suppliers: int) -> None:
        self.database = Database(url)
        self.dialect = self.database.engine.dialect.name
        pending, distributor = _accounts(suppliers)
        with self.database.tx() as tx:
            opened = ledger._accounts(tx, [ESCROW, FEE, distributor, *pending])
        self.escrow, self.fee, self.distributor, *self.pending = (
            self._id(opened[one].id) for one in (ESCROW, FEE, distributor, *pending)
        )
        quote = self.database.engine.dialect.identifier_preparer.quote
        self.journal = self._said(_JOURNAL.format(quoted=f"id, {quote('key')}"))
        self.transfer, self.add = self._said(_TRANSFER), self._said(_ADD)
        self.waiting: queue.SimpleQueue[_Task | None] = queue.SimpleQueue()
        self.thread = threading.Thread(target=self._write, daemon=True)
        self.thread.start()

    async def post(self, sale: Sale) -> None:
        """One sale; done after its commit."""
        loop = asyncio.get_running_loop()
        task = _Task(sale, loop, loop.create_future())
        self.waiting.put(task)
        await task.future

    def close(self) -> None:
        """End the writer."""
        self.waiting.put(None)
        self.thread.join()
        self.database.close()

    def _write(self) -> None:
        connection = self.database.engine.raw_connection()
        while True:
            tasks = [self.waiting.get()]
            while len(tasks) < _MOST and not self.waiting.empty():
                tasks.append(self.waiting.get())
            mine = [task for task in tasks if task is not None]
            if mine:
                cursor = connection.cursor()
                if self.dialect == "sqlite":
                    cursor.execute("BEGIN IMMEDIATE")
                self._post(cursor, [task.sale for task in mine])
                connection.commit()
                mine[0].loop.call_soon_threadsafe(_settle, mine)
            if None in tasks:
                connection.close()
                return

    def _post(self, cursor: Any, sales: list[Sale]) -> None:
        now = clock.now()
        at = int(now.timestamp() * 1_000_000) if self.dialect == "sqlite" else now
        journals, transfers = [], []
        sums: dict[Any, list[int]] = defaultdict(lambda: [0, 0])
        for sale in sales:
            journal = self._id(ids.new_id())
            journals.append((journal, sale.key, self._id(sale.order_id), "0" * 64, at, at))
            shares = (
                (self.pending[sale.supplier], sale.supplier_fen),
                (self.fee, sale.fee_fen),
                (self.distributor, sale.commission_fen),
            )
            for n, (account, fen) in enumerate(shares):
                transfers.append((journal, n, self.escrow, account, fen))
                sums[self.escrow][0] += fen
                sums[account][1] += fen
        cursor.executemany(self.journal, journals)
        cursor.executemany(self.transfer, transfers)
        rows = [(debits, credits, account) for account, (debits, credits) in sums.items()]
        cursor.executemany(self.add, rows)
        assert cursor.rowcount == len(rows)

    def _said(self, statement: str) -> str:
        return statement if self.dialect == "sqlite" else statement.replace("?", "%s")

    def _id(self, value: UUID) -> Any:
        return value if self.dialect == "postgresql" else value.bytes


def _settle(tasks: list[_Task]) -> None:
    for task in tasks:
        task.future.set_result(None)


def _proof(side: Side) -> dict[str, int]:
    """Hold what was answered against the database."""
    database = Database(side.url)
    with database.read() as tx:
        journals = tx.scalar(select(func.count()).select_from(LedgerJournal)) or 0
        keys = tx.scalar(select(func.count(LedgerJournal.key.distinct()))) or 0
        accounts = tx.scalar(select(func.count()).select_from(LedgerAccount)) or 0
        off = books.balances_are_their_days(tx)
    database.close()
    assert accounts == side.suppliers + 3, "not all suppliers have sold: let it run longer"
    return {"lost": abs(journals - side.posted) + (len(off.rows) if off else 0), "doubled": journals - keys}


def main() -> int:
    """Measure and print."""
    options = _figures.parser(__doc__)
    options.add_argument("--engine", choices=engines.KINDS, default="sqlite")
    options.add_argument("--suppliers", choices=("hot", "spread"), default="hot")
    options.add_argument("--seconds", type=float, default=2.0, help="of each level and round")
    options.add_argument("--rounds", type=int, default=3)
    given = options.parse_args()
    suppliers = 1 if given.suppliers == "hot" else SPREAD
    with _shop.durable_engines():
        urls = {name: engines.url(given.engine) for name in ("floor", "ours")}
        for url in urls.values():
            database = Database(url)
            migrations.upgrade(database)
            database.close()
        floor = _Floor(urls["floor"], suppliers)
        sides = {
            "floor": Side(urls["floor"], suppliers, floor.post, floor.close),
            "ours": _ours(urls["ours"], suppliers),
        }
        found = asyncio.run(_levels(sides, given.seconds, given.rounds))
        for side in sides.values():
            side.close()
        proofs = [_proof(side) for side in sides.values()]
        for url in urls.values():
            engines.drop(url)
    runs = [_told(writers, found["ours", writers], found["floor", writers]) for writers in LEVELS]
    head = next(run for run in runs if run["writers"] == HEADLINE)
    figures = {
        "name": "ledger",
        "engine": given.engine,
        "suppliers": given.suppliers,
        **head,
        "lost": sum(proof["lost"] for proof in proofs),
        "doubled": sum(proof["doubled"] for proof in proofs),
        "peak_mib": {"bench": _figures.own_peak_mib()},
        "runs": runs,
    }
    return _figures.finish(figures)


async def _levels(sides: dict[str, Side], seconds: float, rounds: int) -> dict[tuple[str, int], list[Level]]:
    found: dict[tuple[str, int], list[Level]] = {}
    for side in sides.values():
        await side.level(8, WARM_SECONDS)
    for _ in range(rounds):
        for writers in LEVELS:
            for name, side in sides.items():
                level = await side.level(writers, seconds)
                found.setdefault((name, writers), []).append(level)
                _figures.say(f"{name} {writers}: {level.per_second:.0f}/s")
    return found


def _told(writers: int, ours: list[Level], floors: list[Level]) -> dict[str, Any]:
    seconds = [one for level in ours for one in level.seconds]
    pairs = zip(floors, ours, strict=True)
    return {
        "writers": writers,
        "n": len(seconds),
        "seconds": round(sum(len(level.seconds) / level.per_second for level in ours), 2),
        "per_second": _figures.median([level.per_second for level in ours], digits=1),
        "p50_ms": _figures.quantile_ms(seconds, 0.5),
        "p99_ms": _figures.quantile_ms(seconds, 0.99),
        "floor_per_second": _figures.median([level.per_second for level in floors], digits=1),
        "ratio": _figures.median([floor.per_second / level.per_second for floor, level in pairs]),
        "processor_us": _processor_us(ours),
        "floor_processor_us": _processor_us(floors),
    }


def _processor_us(levels: list[Level]) -> float:
    """What this process had of processors for each journal, whatever else the machine did meanwhile."""
    return _figures.median([level.processor_seconds / len(level.seconds) * 1e6 for level in levels], digits=1)


if __name__ == "__main__":
    sys.exit(main())
