"""Whether the continuous checks found money where it should not be: while they do, nothing is paid out."""

from __future__ import annotations

import json

from sqlalchemy import select

from server.db import Tx
from server.ledger.model import LedgerHealth


def broken(tx: Tx) -> list[str]:
    """The names of the invariants that do not hold, as the checks said last; empty while all do."""
    kept = tx.scalars(select(LedgerHealth.findings)).first()
    return sorted({finding["invariant"] for finding in json.loads(kept or "[]")})
