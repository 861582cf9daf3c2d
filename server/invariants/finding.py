"""What a check says: the broken invariant, in a sentence, with the first rows that break it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Select

from server.db import Tx
from shared.states import OrderState, RefundState

NAMED_MOST = 10

DELIVERED_STATES = (
    OrderState.DELIVERED.value,
    OrderState.COMPLETED.value,
    OrderState.PARTIALLY_DELIVERED.value,
    OrderState.PARTIALLY_REFUNDED.value,
    OrderState.DISPUTED.value,
)
"""Orders whose buyer has goods."""

WITHOUT_MONEY = (RefundState.REFUSED.value, RefundState.CLOSED.value)
"""Refunds that ended and gave nothing back."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One broken invariant with at most ten rows that break it; where these are accounts, kind and owner of each."""

    invariant: str
    sentence: str
    rows: tuple[str, ...]
    accounts: tuple[tuple[str, str], ...] = ()


def found(tx: Tx, invariant: str, sentence: str, query: Select[*tuple[Any, ...]]) -> Finding | None:
    """The rows of a query that must have none, or None."""
    rows = tx.execute(query.limit(NAMED_MOST)).all()
    named = tuple(" ".join(str(value) for value in row) for row in rows)
    return Finding(invariant, sentence, named) if named else None


def found_accounts(tx: Tx, invariant: str, sentence: str, query: Select[*tuple[Any, ...]]) -> Finding | None:
    """The accounts of a query that must have none, or None. A row begins with the kind and the owner of one."""
    said = found(tx, invariant, sentence, query)
    named = [row.split(" ") for row in said.rows] if said else ()
    return said and replace(said, accounts=tuple((kind, owner) for kind, owner, *_ in named))


def first_of(tx: Tx, invariant: str, sentence: str, queries: Sequence[Select[*tuple[Any, ...]]]) -> Finding | None:
    """What the first of some queries has that must have nothing, or None."""
    return next((finding for query in queries if (finding := found(tx, invariant, sentence, query))), None)
