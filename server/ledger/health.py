"""Whether the continuous checks found money where it should not be: while they do, nothing is paid out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from uuid import UUID

from sqlalchemy import select

from server import audit, changes
from server.db import Tx
from server.ledger.model import LedgerHealth
from shared import clock

DOMAIN = "ledger"
THE_ROW = UUID(int=1)
"""How the change feed names the one row there is."""


@dataclass(frozen=True, slots=True)
class Breach:
    """A broken invariant of money with the first rows that break it; of accounts with kind and owner of each."""

    invariant: str
    sentence: str
    rows: tuple[str, ...]
    accounts: tuple[tuple[str, str], ...] = ()


def record(tx: Tx, breaches: Sequence[Breach]) -> None:
    """Keep what a look at everything found; who follows the feed is told when that is something else than before."""
    said = json.dumps([asdict(breach) for breach in breaches], ensure_ascii=False)
    row = tx.get(LedgerHealth, 1)
    if row is None and not breaches:
        return
    if row is None:
        row = LedgerHealth(id=1, findings="[]", since=clock.now())
        tx.add(row)
    if row.findings == said:
        return
    row.findings, row.since = said, clock.now()
    tx.flush()
    changes.append(tx, "ledger_health", THE_ROW, domain=DOMAIN)
    named = {"invariants": sorted({breach.invariant for breach in breaches})}
    what = "freeze" if breaches else "unfreeze"
    audit.append(tx, actor="system", action=f"payouts.{what}", entity="ledger", entity_id="1", detail=named)


def broken(tx: Tx) -> list[str]:
    """The names of the invariants that do not hold, as the checks said last; empty while all do."""
    kept = tx.scalars(select(LedgerHealth.findings)).first()
    return sorted({finding["invariant"] for finding in json.loads(kept or "[]")})
