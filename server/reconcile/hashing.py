"""What a signature is over, so that anybody with the rows can compute it again (docs/reconciliation.md).

Each hash is SHA-256 over lines, a line feed behind each. A line is a JSON array without spaces, in UTF-8, so that no
text in it can be taken for another line, or for two of its fields:

    inputs    ["bill",kind,sha256] of each bill by its kind; ["opening",fen], what the fund bill's balance is reckoned
              from; ["shared",bool], whether the merchant number is another business's, too; then ["ours",...] with each
              of our rows of the day (`ours.of_day`); where something closed itself by a bill of a day beside it,
              ["beside",day,kind,sha256] of each bill that those days were compared with
    pairs     each row of the trade bill by its number: [n,kind,amount_fen,fee_fen,matched_id,matched_by]
    outputs   ["figures",text] with the figures as they are stored; then ["difference",...] with each difference, by its
              number: the columns `DIFFERENCE`

What is not there is null. Our ids are hex, days are as ISO 8601 has them, times are not part of any hash.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from datetime import date
from uuid import UUID

import msgspec

from server.payments.model import PaymentBillFile
from server.reconcile.differences import OurRow
from server.reconcile.model import ReconcileDifference

Field = str | int | UUID | date | None

_r = ReconcileDifference

DIFFERENCE = (
    *(_r.number, _r.id, _r.kind, _r.ours_id, _r.ours_fen, _r.theirs_fen, _r.out_trade_no, _r.provider_no),
    *(_r.out_refund_no, _r.bill_row, _r.carried_from, _r.state, _r.action, _r.action_order_code, _r.note),
    *(_r.handled_by, _r.checked_by),
)
"""What of a difference is signed: what it is, and how it was handled, by whom."""

_encode = msgspec.json.Encoder(uuid_format="hex").encode


class Lines:
    """A hash over lines."""

    def __init__(self) -> None:
        self._sha256 = hashlib.sha256()

    def add(self, *fields: Field) -> None:
        """One line."""
        self._sha256.update(_encode(fields) + b"\n")

    def copy(self) -> Lines:
        """These lines, to be gone on with apart."""
        one = Lines()
        one._sha256 = self._sha256.copy()
        return one

    @property
    def sha256(self) -> str:
        """Over all lines so far."""
        return self._sha256.hexdigest()


def outputs(figures: str, differences: Iterable[Sequence[Field]]) -> str:
    """The hash of what a day came to: figures as stored, and the columns `DIFFERENCE` of each, by its number."""
    lines = Lines()
    lines.add("figures", figures)
    for row in differences:
        lines.add("difference", *row)
    return lines.sha256


def add_bills(lines: Lines, files: Iterable[PaymentBillFile]) -> None:
    """The bills that go into a run."""
    for file in sorted(files, key=lambda file: file.kind):
        lines.add("bill", file.kind, file.sha256)


def add_beside(lines: Lines, beside: Iterable[tuple[date, Iterable[PaymentBillFile]]]) -> None:
    """The bills of the days beside one, where it rests on them."""
    for day, files in beside:
        for file in sorted(files, key=lambda file: file.kind):
            lines.add("beside", day, file.kind, file.sha256)


def add_opening(lines: Lines, opening_fen: int | None) -> None:
    """What the balance of the day is reckoned from, where it has one."""
    lines.add("opening", opening_fen)


def add_shared(lines: Lines, *, is_shared: bool) -> None:
    """Whether what nobody here knows of may be another business's: it decides what closes itself."""
    lines.add("shared", is_shared)


def add_ours(lines: Lines, our: OurRow) -> None:
    """A row of ours that goes into a run. What becomes of it later, its fee and its state, is no part of that."""
    lines.add("ours", our.id, our.kind, our.out_trade_no, our.provider_no, our.out_refund_no, our.amount_fen)


def add_row(
    lines: Lines, n: int, kind: str, amount_fen: int, fee_fen: int, matched_id: UUID | None, matched_by: str | None
) -> None:
    """A row of the trade bill with what it was paired with."""
    lines.add(n, kind, amount_fen, fee_fen, matched_id, matched_by)
