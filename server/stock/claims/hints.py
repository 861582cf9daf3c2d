"""What one process remembers of the stock for a moment: counts for pages, and what it could not sell just now.

Nothing is sold by it. A flash crowd for something sold out is refused from memory instead of by a transaction each;
what is remembered ends by itself after a second, because other processes release and import too, and at once when
this process commits something that gives a SKU more to sell (`actions.StockCame`). Safe to use from any thread.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from uuid import UUID

from server.db import Tx
from server.stock import queries
from server.stock.actions import StockCame
from shared import clock

SOLD_OUT_SECONDS = 1.0
COUNTED_SECONDS = 1.5
"""Pages may show a count that is up to two seconds old (product.md C09)."""

MOST = 20_000
"""SKUs remembered; when there are more, all are forgotten: they are read again."""


class Hints:
    """The memory of one process."""

    def __init__(self) -> None:
        self.refused = 0
        """Orders refused from memory since the start."""
        self._lock = threading.Lock()
        self._news = 0
        self._short: dict[str, tuple[int, float]] = {}
        self._counts: dict[UUID, tuple[int, float]] = {}

    @property
    def news(self) -> int:
        """How often stock has come so far. Read it before a claim, and give it to `fell_short` afterwards."""
        return self._news

    def heard(self, news: object) -> None:
        """The listener of the database: forget what is not so any more."""
        if not isinstance(news, StockCame):
            return
        with self._lock:
            self._news += 1
            self._counts.pop(news.sku_id, None)
            self._short.clear()  # one claim each finds it again

    def fell_short(self, sku: str, left: int, *, news: int) -> None:
        """A claim found only `left` units. Not noted when stock has come since the claim began."""
        with self._lock:
            if news != self._news:
                return
            if len(self._short) >= MOST:
                self._short.clear()
            if sku not in self._short:
                self._counts.clear()  # pages say it as well
            self._short[sku] = (left, clock.monotonic_seconds() + SOLD_OUT_SECONDS)

    def forget(self) -> None:
        """Forget everything, as two seconds do."""
        with self._lock:
            self._short.clear()
            self._counts.clear()

    def left_of(self, sku: str, quantity: int) -> int | None:
        """How many were left when a claim fell short a moment ago, if so many are too few; None is no answer."""
        short = self._short.get(sku)
        if short is None:
            return None
        left, until = short
        return left if quantity > left and clock.monotonic_seconds() < until else None

    def count_refused(self) -> None:
        """Count one order that was refused from memory."""
        with self._lock:
            self.refused += 1

    def free_counts(self, tx: Tx, sku_ids: Sequence[UUID]) -> dict[UUID, int]:
        """Sellable units by SKU for pages, at most two seconds old. SKUs without stock are missing."""
        now = clock.monotonic_seconds()
        news = self._news
        known = {sku_id: one for sku_id in sku_ids if (one := self._counts.get(sku_id)) and one[1] > now}
        missing = [sku_id for sku_id in sku_ids if sku_id not in known]
        if missing:
            read = queries.free_counts(tx, missing)
            fresh = {sku_id: (read.get(sku_id, 0), now + COUNTED_SECONDS) for sku_id in missing}
            known |= fresh
            with self._lock:
                if len(self._counts) >= MOST:
                    self._counts.clear()
                if news == self._news:
                    self._counts |= fresh
        return {sku_id: count for sku_id, (count, _) in known.items() if count}
