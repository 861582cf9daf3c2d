"""What one process works with, made once by `server.app.assemble` and handed to everybody. Imports no domain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol
from uuid import UUID

from server.batch import Batch
from server.breaker import Breakers
from server.crypto import KeyRing
from server.db import Database, Tx
from server.gateways.port import Gateway
from server.jobs import Jobs
from server.limits import Buckets
from server.outbound import Outbound
from server.recent import Recent
from server.settings import Settings
from server.signals import Signals
from server.telemetry import Health, Metrics

if TYPE_CHECKING:
    from starlette.requests import HTTPConnection


class StockHints(Protocol):
    """What `server.stock.claims.hints` remembers. Catalog's routes show counts too, but catalog is below stock."""

    @property
    def refused(self) -> int:
        """Orders refused from memory since the start."""

    @property
    def news(self) -> int:
        """How often stock has come so far."""

    def heard(self, news: object) -> None:
        """The listener of the database."""

    def fell_short(self, sku: str, left: int, *, news: int) -> None:
        """A claim found only `left` units."""

    def left_of(self, sku: str, quantity: int) -> int | None:
        """How many were left when a claim fell short a moment ago, if so many are too few."""

    def count_refused(self) -> None:
        """Count one order that was refused from memory."""

    def free_counts(self, tx: Tx, sku_ids: Sequence[UUID]) -> dict[UUID, int]:
        """Sellable units by SKU for pages, at most two seconds old."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """The parts of a running server. Frozen: nothing is swapped under a request."""

    settings: Settings
    db: Database
    batch: Batch
    jobs: Jobs
    keys: KeyRing
    gateways: Mapping[str, Gateway]
    outbound: Outbound
    hints: StockHints
    metrics: Metrics = field(default_factory=Metrics)
    health: Health = field(default_factory=Health)
    buckets: Buckets = field(default_factory=Buckets)
    breakers: Breakers = field(default_factory=Breakers)
    signals: Signals = field(default_factory=Signals)
    told: Recent = field(default_factory=Recent)
    looked: Recent = field(default_factory=Recent)


def of(connection: HTTPConnection) -> Context:
    """The context of the app that serves this request."""
    context = connection.app.state.context
    assert isinstance(context, Context)
    return context
