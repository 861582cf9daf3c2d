"""The vault: the only code that opens card keys, and only those that somebody was logged to be about to see.

A `View` is written to the reveal log and committed; opening takes the id of its row and joins it, so that what was not
logged does not open. How master keys and data keys are exchanged is in `rekey`.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Row, bindparam, insert, select

from server.crypto import CardUnreadable, KeyRing, LotCipher, LotKey, Secret
from server.db import Tx, table_of
from server.stock.actions import LineUnits
from server.stock.model import CardSecret, RevealLog, StockLot, StockUnit
from shared import clock, ids
from shared.states import UnitState

_log = logging.getLogger("kameng.vault")


class NotLogged(RuntimeError):
    """Keys were to be opened that nobody was logged to see: a fault of ours. Nothing was opened."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """The keys of one order line, for the buyer who has paid for them; `is_part` where some of them are withheld."""

    line: LineUnits
    is_part: bool = False


@dataclass(frozen=True, slots=True)
class Inspection:
    """One unit, for a member of staff who said why."""

    sku_id: UUID
    seq: int
    reason: str


@dataclass(frozen=True, slots=True)
class View:
    """Who is about to see which keys, for which purpose, in which request."""

    purpose: Delivery | Inspection
    actor: str
    request_id: str


_INSERT_VIEWS = insert(table_of(RevealLog))


def log_views(tx: Tx, views: Sequence[View]) -> list[UUID]:
    """Write who is about to see what; answers the row of each. Nothing opens before the caller has committed it."""
    rows = [_row(view) for view in views]
    if rows:
        tx.execute(_INSERT_VIEWS, rows)
    return [row["id"] for row in rows]


def _row(view: View) -> dict[str, Any]:
    row = {
        "id": ids.new_id(),
        "actor": view.actor[:80],
        "request_id": view.request_id[:40],
        "revealed_at": clock.now(),
        "order_line_id": None,
        "sku_id": None,
        "seq": None,
        "reason": None,
        "units": 1,
        "seqs": None,
    }
    if isinstance(view.purpose, Delivery):
        line = view.purpose.line
        seqs = list(line.seqs) if view.purpose.is_part else None
        return row | {"order_line_id": line.order_line_id, "units": len(line.seqs), "seqs": seqs}
    wanted = view.purpose
    return row | {"sku_id": wanted.sku_id, "seq": wanted.seq, "reason": wanted.reason}


# --- opening: one statement reads the card with the keys of its lot, so that both are of the same moment ---

_OF_UNIT = (CardSecret.sku_id == StockUnit.sku_id) & (CardSecret.seq == StockLot.key_of(StockUnit.seq))
_CARDS = (
    select(
        CardSecret.sku_id,
        CardSecret.seq,
        CardSecret.sealed,
        StockLot.id.label("lot_id"),
        StockLot.wrapped_key,
        StockLot.master_version,
        StockLot.next_wrapped_key,
        StockLot.next_master_version,
        StockLot.resealed_to,
    )
    .select_from(RevealLog)
    .join(StockUnit, StockUnit.sku_id == bindparam("sku"))
    .join(StockLot, StockLot.id == StockUnit.lot_id)
    .join(CardSecret, _OF_UNIT)
    .where(RevealLog.id == bindparam("view"))
)
_DELIVERED = _CARDS.where(
    RevealLog.order_line_id == StockUnit.order_line_id,
    StockUnit.seq.in_(bindparam("seqs", expanding=True)),
    StockUnit.state == int(UnitState.SOLD),
).order_by(StockUnit.seq)
_INSPECTED = _CARDS.where(RevealLog.sku_id == StockUnit.sku_id, RevealLog.seq == StockUnit.seq)


def delivered(
    tx: Tx, keys: KeyRing, views: Mapping[UUID, LineUnits], *, skip_damaged: bool = False
) -> dict[UUID, list[Secret]]:
    """The clear keys of order lines by line, each list in the order of its units' numbers; by rows of the reveal log.

    Only units that are sold to the very line of the row are opened. Raises NotLogged, CardUnreadable; with
    `skip_damaged` those that do not open are left out.
    """
    cards: dict[UUID, list[Secret]] = {}
    for view_id, line in views.items():
        found = tx.execute(_DELIVERED, {"view": view_id, "sku": line.sku_id, "seqs": line.seqs}).all()
        if not found:
            _require_logged(tx, view_id, RevealLog.order_line_id == line.order_line_id)
        cards[line.order_line_id] = _opened(keys, found, skip_damaged=skip_damaged)
    return cards


def inspected(tx: Tx, keys: KeyRing, view_id: UUID) -> Secret | None:
    """The clear key of the unit that a row of the reveal log names; None when the key was deleted since.

    Raises NotLogged, CardUnreadable.
    """
    sku_id = tx.scalars(select(RevealLog.sku_id).where(RevealLog.id == view_id)).first()
    if sku_id is None:
        raise NotLogged
    found = tx.execute(_INSPECTED, {"view": view_id, "sku": sku_id}).all()
    return _opened(keys, found)[0] if found else None


def viewed_lines(tx: Tx, order_line_ids: Sequence[UUID]) -> set[UUID]:
    """Those of these order lines of which a buyer was shown something."""
    lines = RevealLog.order_line_id.in_(list(order_line_ids))
    return {line_id for line_id in tx.scalars(select(RevealLog.order_line_id).where(lines).distinct()) if line_id}


def inspected_units(tx: Tx, sku_id: UUID, seqs: Sequence[int]) -> set[int]:
    """Those of these units that staff looked at, one by one."""
    units = (RevealLog.sku_id == sku_id, RevealLog.seq.in_(list(seqs)))
    return {seq for seq in tx.scalars(select(RevealLog.seq).where(*units)) if seq is not None}


def has_card(tx: Tx, sku_id: UUID, seq: int) -> bool | None:
    """Whether the key of a unit is still there; None when there is no such unit."""
    query = (
        select(CardSecret.seq)
        .select_from(StockUnit)
        .join(StockLot, StockLot.id == StockUnit.lot_id)
        .join(CardSecret, _OF_UNIT, isouter=True)
        .where(StockUnit.sku_id == sku_id, StockUnit.seq == seq)
    )
    found = tx.execute(query).first()
    return None if found is None else found.seq is not None


def _require_logged(tx: Tx, view_id: UUID, same: Any) -> None:
    if tx.scalars(select(RevealLog.id).where(RevealLog.id == view_id, same)).first() is None:
        raise NotLogged


def _opened(keys: KeyRing, rows: Sequence[Row[*tuple[Any, ...]]], *, skip_damaged: bool = False) -> list[Secret]:
    """The clear keys of rows of `_CARDS`."""
    ciphers: dict[tuple[UUID, bool], LotCipher] = {}
    secrets = []
    for row in rows:
        resealed = row.resealed_to is not None and row.seq < row.resealed_to
        try:
            if (row.lot_id, resealed) not in ciphers:
                now, later = (row.wrapped_key, row.master_version), (row.next_wrapped_key, row.next_master_version)
                ciphers[row.lot_id, resealed] = keys.lot(row.lot_id, LotKey(*(later if resealed else now)))
            secrets.append(ciphers[row.lot_id, resealed].unseal(row.sku_id, row.seq, row.sealed))
        except CardUnreadable:
            _log.error("a stored key does not open", extra={"lot": str(row.lot_id), "unit": row.seq})
            if not skip_damaged:
                raise
    return secrets
