"""Where a payment or a refund of ours stands in the bills of its channel: the day and the row of the bill it was
compared with, which is the signed one of a signed day.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import date
from uuid import UUID

from sqlalchemy import select

from server.db import Tx
from server.reconcile import days
from server.reconcile.model import ReconcileDay, ReconcileRow

_AT_A_TIME = 1_000


def bill_rows(tx: Tx, ours: Collection[UUID]) -> dict[UUID, tuple[date, int]]:
    """The day and row of each of these attempts and refunds in a trade bill; those in none are left out."""
    found: dict[UUID, tuple[date, int]] = {}
    wanted = list(ours)
    for at in range(0, len(wanted), _AT_A_TIME):
        query = (
            days.of_compared(select(ReconcileRow.matched_id, ReconcileDay.day, ReconcileRow.n))
            .where(ReconcileRow.matched_id.in_(wanted[at : at + _AT_A_TIME]))
            .order_by(ReconcileDay.day.desc())
        )
        for matched_id, day, n in tx.execute(query):
            if matched_id is not None:
                found[matched_id] = (day, n)
    return found
