"""Stock for the claim bench, and the floor's claim: the same statements by the driver, group committed.

The floor takes what waits and does it in one transaction, like server/batch.py: the plan of the lots, their cursors
under lock, what was given back, the held units (numbered from the cursor, since no lot here has gaps), the cursors.
Left out: commands, savepoints, retries, limits, wants of several units, lots with gaps, everything that is no
statement.
"""

import asyncio
import queue
import random
import threading
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy import func, select, text

from server import migrations
from server.db import Database, bulk_insert, spelling
from server.stock.actions import VERSION_WRITES
from server.stock.claims import marking
from server.stock.model import StockCursor, StockShelf, StockUnit
from server.stock.ranking import LOT_NUMBERS, first_rank, rank
from shared import clock, ids
from shared.states import SaleOrder, UnitState

LOTS = 4
"""Lots of each SKU: a claim passes from one to the next."""

_BLOCK = 100_000
_MOST = 256
_FREE = int(UnitState.FREE)

_NEWEST = "FROM stock_cursor AS c WHERE c.lot_id = {lot} ORDER BY c.version DESC LIMIT 1"
_FREE_OF = (
    "(SELECT CASE WHEN NOT selling OR (sell_until IS NOT NULL AND sell_until <= {now}) THEN 0 ELSE free END "
    + _NEWEST.format(lot="s.lot_id")
    + ")"
)
_PLAN = (
    f"SELECT sku_id, lot_id, {_FREE_OF} FROM stock_shelf AS s WHERE sku_id = ? AND {{rank}} >= ?"
    " ORDER BY {rank} LIMIT ?"
)
_PLAN_TOGETHER = (
    f"SELECT sku_id, lot_id, {_FREE_OF} FROM (SELECT sku_id, lot_id, ROW_NUMBER() OVER (PARTITION BY sku_id"
    " ORDER BY {rank}) AS n FROM stock_shelf WHERE sku_id IN ({marks}) AND {rank} >= ?) AS s WHERE n <= ?"
    " ORDER BY sku_id, n"
)
_COLUMNS = "lot_id, version, sku_id, first_seq, next_seq, end_seq, returned_from, free"
_LOCK = f"SELECT {_COLUMNS} FROM stock_cursor WHERE lot_id IN ({{marks}}) ORDER BY lot_id{{lock}}"
_LOCK_NEWEST = (
    "SELECT c.* FROM UNNEST(%s::uuid[]) AS asked(lot) JOIN LATERAL"
    f" (SELECT {_COLUMNS} {_NEWEST.format(lot='asked.lot')} FOR UPDATE) AS c ON true"
)
_RETURNED = "SELECT seq FROM stock_returned WHERE sku_id = ? AND seq >= ? AND seq < ? ORDER BY seq LIMIT ?"
_MOVE = (
    "UPDATE stock_cursor SET next_seq = ?, returned_from = ?, free = free - ?, held = held + ?{version}"
    " WHERE lot_id = ? AND version = ?"
)


def fill(url: str, skus: int, units: int) -> list[UUID]:
    """An empty database with so many free units of so many SKUs, `LOTS` lots each; answers the SKUs."""
    database = Database(url)
    migrations.upgrade(database)
    made = [ids.new_id() for _ in range(skus)]
    each = max(1, units // skus // LOTS)
    ranks = [rank(number=n, expires_on=None, order=SaleOrder.FIRST_IN) for n in range(LOTS)]
    for sku_id in made:
        for n in range(LOTS):
            first, lot_id = max(1, n * LOT_NUMBERS), ids.new_id()
            for at in range(first, first + each, _BLOCK):
                seqs = range(at, min(at + _BLOCK, first + each))
                constants = {"sku_id": sku_id, "lot_id": lot_id, "state": _FREE}
                with database.tx() as tx:
                    bulk_insert(tx, StockUnit, ("seq",), list(zip(seqs, strict=True)), constants=constants)
            place = {"first_seq": first, "next_seq": first, "end_seq": first + each}
            with database.tx() as tx:
                mine = {"sku_id": sku_id, "rank": ranks[n], "lot_id": lot_id}
                tx.add_all([StockCursor(**mine, selling=True, imported=each, free=each, **place), StockShelf(**mine)])
    if not database.is_sqlite:
        with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            what = "ANALYZE" if database.engine.dialect.name == "postgresql" else "ANALYZE TABLE stock_unit"
            connection.execute(text(what))
    database.close()
    return made


def proof(url: str, granted: int) -> dict[str, int]:
    """Hold what was granted against the database: cursors, units, and who holds them."""
    database = Database(url)
    with database.read() as tx:
        counted = tx.execute(select(func.sum(StockCursor.free), func.sum(StockCursor.held))).one()
        held = tx.scalar(select(func.count()).where(StockUnit.state == UnitState.HELD)) or 0
        free = tx.scalar(select(func.count()).where(StockUnit.state == UnitState.FREE)) or 0
    database.close()
    return {
        "oversold": max(0, granted - held),
        "lost": abs(held - granted) + abs(int(counted[0]) - free) + abs(int(counted[1]) - held),
    }


@dataclass(slots=True)
class _Task:
    sku: UUID
    line: UUID
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[int] = field(repr=False)


class Floor:
    """The raw group commit: one connection, one thread."""

    def __init__(self, url: str) -> None:
        self.database = Database(url)
        self.dialect = self.database.engine.dialect.name
        self.waiting: queue.SimpleQueue[_Task | None] = queue.SimpleQueue()
        self.engine = spelling(self.database.engine.dialect)
        sqlite, postgres = self.dialect == "sqlite", self.dialect == "postgresql"
        self.words = {
            "rank": "rank" if sqlite or postgres else "`rank`",
            "now": "0" if sqlite else "NOW()",
            "lock": "" if sqlite else " FOR UPDATE",
            "version": ", version = ?" if self.engine.keeps_versions else "",
        }
        self.chance = random.Random(1)
        self.thread = threading.Thread(target=self._write, daemon=True)
        self.thread.start()

    async def claim(self, sku: UUID, line: UUID) -> int:
        """One unit; its number after the commit."""
        loop = asyncio.get_running_loop()
        task = _Task(sku, line, loop, loop.create_future())
        self.waiting.put(task)
        return await task.future

    def close(self) -> None:
        """End the writer."""
        self.waiting.put(None)
        self.thread.join()
        self.database.close()

    def _write(self) -> None:
        connection = self.database.engine.raw_connection()
        if self.engine.keeps_versions:
            connection.cursor().execute("SET enable_seqscan = off")
        while True:
            tasks = [self.waiting.get()]
            while len(tasks) < _MOST and not self.waiting.empty():
                tasks.append(self.waiting.get())
            mine = [task for task in tasks if task is not None]
            if mine:
                cursor = connection.cursor()
                if self.dialect == "sqlite":
                    cursor.execute("BEGIN IMMEDIATE")
                answers = list(self._claim(cursor, mine))
                connection.commit()
                mine[0].loop.call_soon_threadsafe(_settle, answers)
            if None in tasks:
                connection.close()
                return

    def _claim(self, cursor: Any, tasks: list[_Task]) -> Iterator[tuple[_Task, int]]:
        by_sku: dict[Any, list[_Task]] = {}
        for task in tasks:
            by_sku.setdefault(task.sku, []).append(task)
        by_sku = {self._id(sku): wants for sku, wants in by_sku.items()}
        chosen = self._plan(cursor, {sku: len(wants) for sku, wants in by_sku.items()})
        units: dict[UUID, list[tuple[int, UUID]]] = {}
        moves, answers = [], []
        for lot, version, sku, first, following, end, back, free in self._locked(cursor, chosen):
            wants = by_sku[sku]  # first in, first out: a lot's id is younger than the last's
            if (back := max(first, back)) < following:
                assert not self._rows(cursor, _RETURNED, sku, back, following, len(wants)), "nobody gives back here"
            assert free == end - following, "no lot of this bench has gaps"
            seqs = range(following, min(end, following + len(wants)))
            mine, by_sku[sku] = wants[: len(seqs)], wants[len(seqs) :]
            units.setdefault(mine[0].sku, []).extend((seq, task.line) for seq, task in zip(seqs, mine, strict=True))
            answers += list(zip(mine, seqs, strict=True))
            raised = (version + (self.chance.random() < 1 / VERSION_WRITES),) if self.engine.keeps_versions else ()
            moves.append((seqs.stop, seqs.stop, len(seqs), len(seqs), *raised, lot, version))
        for hold, bound in marking.holding(self.engine, units):
            (cursor.executemany if self.engine.in_process else cursor.execute)(hold, bound)
        self._all(cursor, _MOVE, moves)
        return iter(answers)

    def _plan(self, cursor: Any, need: dict[Any, int]) -> list[Any]:
        today = first_rank(clock.shop_day(clock.now()))
        plan, most = (_PLAN, 8) if len(need) == 1 else (_PLAN_TOGETHER, 2)
        chosen: list[Any] = []
        while any(left > 0 for left in need.values()):
            for sku, lot, free in self._rows(cursor, plan, *need, today, most, marks=need):
                if need[sku] > 0 and free and lot not in chosen:
                    chosen.append(lot)
                    need[sku] -= free
            most *= 8
            assert most < 8**4, "the stock of this bench has run out: give it more"
        return chosen

    def _locked(self, cursor: Any, lots: list[Any]) -> list[Any]:
        if self.engine.keeps_versions:
            cursor.execute(_LOCK_NEWEST, (sorted(lots),))
            return list(cursor.fetchall())
        return self._rows(cursor, _LOCK, *lots, marks=lots)

    def _rows(self, cursor: Any, statement: str, *values: Any, marks: Collection[Any] = ()) -> list[Any]:
        self.words["marks"] = ", ".join("?" * len(marks))
        cursor.execute(self._said(statement), values)
        return list(cursor.fetchall())

    def _all(self, cursor: Any, statement: str, rows: list[tuple[Any, ...]]) -> None:
        cursor.executemany(self._said(statement), rows)
        assert cursor.rowcount == len(rows)

    def _said(self, statement: str) -> str:
        said = statement.format(**self.words) if "{" in statement else statement
        return said if self.dialect == "sqlite" else said.replace("?", "%s")

    def _id(self, value: UUID) -> Any:
        return self.engine.as_id(value)


def _settle(answers: list[tuple[_Task, int]]) -> None:
    for task, seq in answers:
        task.future.set_result(seq)
