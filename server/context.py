"""What one process works with, made once by `server.app.assemble` and handed to everybody. Imports no domain."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from uuid import UUID

from server.batch import Batch
from server.crypto import KeyRing
from server.db import Database, Tx
from server.gateways.port import Gateway
from server.jobs import Jobs
from server.limits import Buckets
from server.outbound import Outbound
from server.settings import Settings
from server.telemetry import Health, Metrics

if TYPE_CHECKING:
    from starlette.requests import HTTPConnection

FreeCounts = Callable[[Tx, Sequence[UUID]], dict[UUID, int]]
"""Stock's counts of free units by SKU: catalog's routes show them, but catalog is below stock and may not import it."""


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
    free_counts: FreeCounts
    metrics: Metrics = field(default_factory=Metrics)
    health: Health = field(default_factory=Health)
    buckets: Buckets = field(default_factory=Buckets)


def of(connection: HTTPConnection) -> Context:
    """The context of the app that serves this request."""
    context = connection.app.state.context
    assert isinstance(context, Context)
    return context
