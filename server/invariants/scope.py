"""What a check looks at.

A check is written once. Looked at with `EVERYTHING` it reads all rows; with another scope only those of some orders or
lots, so that a look at what changed lately costs as much as what changed.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, and_, false, or_, true

from shared.finance import JournalCode


@dataclass(frozen=True, slots=True)
class Scope:
    """The rows of some orders, with their lines and the units those hold or bought, and of some lots; None is all.

    Or those of some statements, payouts and adjustments, and of journals that say they are of one, by their keys.
    """

    order_ids: Collection[UUID] | None = None
    line_ids: Collection[UUID] | None = None
    seqs: Mapping[UUID, Sequence[int]] | None = None
    lot_ids: Collection[UUID] | None = None
    papers: Mapping[str, Collection[UUID]] | None = None
    """By what the change feed calls them."""
    keys: Mapping[JournalCode, Collection[str]] | None = None

    @property
    def is_whole(self) -> bool:
        """Whether all rows are looked at: then totals may be compared too."""
        return self.lot_ids is None

    def orders(self, order_id: Any) -> ColumnElement[bool]:
        """The condition on the column of an order's id."""
        return _among(order_id, self.order_ids)

    def lines(self, line_id: Any) -> ColumnElement[bool]:
        """The condition on the column of an order line's id."""
        return _among(line_id, self.line_ids)

    def lots(self, lot_id: Any) -> ColumnElement[bool]:
        """The condition on the column of a lot's id."""
        return _among(lot_id, self.lot_ids)

    def papers_of(self, entity: str, paper_id: Any) -> ColumnElement[bool]:
        """The condition on the column of the id of a statement, a payout or an adjustment."""
        return _among(paper_id, None if self.papers is None else self.papers[entity])

    def journals(self, code: JournalCode) -> Collection[str]:
        """The keys that were posted; none where all are looked at."""
        return self.keys[code] if self.keys is not None else ()

    def units(self, sku_id: Any, seq: Any) -> ColumnElement[bool]:
        """The condition on the two columns that name a unit."""
        if self.seqs is None:
            return true()
        return or_(false(), *[and_(sku_id == sku, seq.in_(some)) for sku, some in self.seqs.items()])


EVERYTHING = Scope()


def _among(column: Any, ids: Collection[UUID] | None) -> ColumnElement[bool]:
    condition: ColumnElement[bool] = true() if ids is None else column.in_(ids)
    return condition
