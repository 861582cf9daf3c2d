"""Where a payment or a refund of ours stands in the bills of its channel: the day and the row of the current bill."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date
from uuid import UUID

from sqlalchemy import select

from server.db import Tx
from server.payments.model import PaymentBillFile
from server.reconcile.model import ReconcileRow
from shared.finance import BillKind

_AT_A_TIME = 1_000


def bill_rows(tx: Tx, ours: Collection[UUID]) -> dict[UUID, tuple[date, int]]:
    """The day and row of each of these attempts and refunds in a trade bill; those in none are left out."""
    found: dict[UUID, tuple[date, int]] = {}
    wanted = list(ours)
    for at in range(0, len(wanted), _AT_A_TIME):
        query = (
            select(ReconcileRow.matched_id, PaymentBillFile.day, ReconcileRow.n)
            .join(PaymentBillFile, PaymentBillFile.id == ReconcileRow.file_id)
            .where(ReconcileRow.matched_id.in_(wanted[at : at + _AT_A_TIME]))
            .where(PaymentBillFile.kind == BillKind.TRADES.value, PaymentBillFile.is_current.is_(True))
            .order_by(PaymentBillFile.day.desc())
        )
        for matched_id, day, n in tx.execute(query):
            if matched_id is not None:
                found[matched_id] = (day, n)
    return found
