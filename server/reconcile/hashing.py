"""What a signature is over, so that anybody with the rows can compute it again (docs/reconciliation.md).

Each hash is SHA-256 over lines of UTF-8, a line feed behind each, the fields of a line joined by a vertical bar:

    inputs    `bill|kind|sha256` of each bill by its kind; then `ours|` with each of our rows of the day (`ours.of_day`)
    pairs     each row of the trade bill by its number: `n|kind|amount_fen|fee_fen|matched_id|matched_by`
    outputs   `figures|` with the figures as they are stored; then `difference|` with each difference, by its number

What is not there is empty. Our ids are hex, times are not part of any hash.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from uuid import UUID

from server.payments.model import PaymentBillFile
from server.reconcile.differences import OurRow
from server.reconcile.model import ReconcileDifference

Field = str | int | UUID | None


class Lines:
    """A hash over lines."""

    def __init__(self) -> None:
        self._sha256 = hashlib.sha256()

    def add(self, *fields: Field) -> None:
        """One line."""
        self._sha256.update("|".join(map(_text, fields)).encode() + b"\n")

    @property
    def sha256(self) -> str:
        """Over all lines so far."""
        return self._sha256.hexdigest()


def _text(field: Field) -> str:
    if field is None:
        return ""
    return field.hex if isinstance(field, UUID) else str(field)


def outputs(figures: str, differences: Iterable[ReconcileDifference]) -> str:
    """The hash of what a day came to: figures as stored, and how each difference was handled, by whom."""
    lines = Lines()
    lines.add("figures", figures)
    for row in sorted(differences, key=lambda row: row.number):
        lines.add(
            "difference",
            row.number,
            row.id,
            row.kind,
            row.ours_id,
            row.ours_fen,
            row.theirs_fen,
            row.out_trade_no,
            row.provider_no,
            row.out_refund_no,
            row.bill_row,
            row.carried_from.isoformat() if row.carried_from else None,
            row.state,
            row.action,
            row.action_order_code,
            row.note,
            row.handled_by,
            row.checked_by,
        )
    return lines.sha256


def add_bills(lines: Lines, files: Iterable[PaymentBillFile]) -> None:
    """The bills that go into a run."""
    for file in sorted(files, key=lambda file: file.kind):
        lines.add("bill", file.kind, file.sha256)


def add_ours(lines: Lines, our: OurRow) -> None:
    """A row of ours that goes into a run. What becomes of it later, its fee and its state, is no part of that."""
    lines.add("ours", our.id, our.kind, our.out_trade_no, our.provider_no, our.out_refund_no, our.amount_fen)


def add_row(
    lines: Lines, n: int, kind: str, amount_fen: int, fee_fen: int, matched_id: UUID | None, matched_by: str | None
) -> None:
    """A row of the trade bill with what it was paired with."""
    lines.add(n, kind, amount_fen, fee_fen, matched_id, matched_by)
