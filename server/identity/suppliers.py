"""What is agreed with a supplier besides its rate: how it is paid, and the tier that its fees follow."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import select, update

from server import audit
from server.db import Tx, rows_changed
from server.identity.model import SettlementMode, Supplier
from shared.errors import NotFound


def lock(tx: Tx, supplier_id: UUID | None = None) -> None:
    """Let nobody else change what is agreed with a supplier, or with any, until the transaction ends."""
    query = select(Supplier.id).order_by(Supplier.id).with_for_update()
    tx.execute(query if supplier_id is None else query.where(Supplier.id == supplier_id)).all()


def settle_by(tx: Tx, supplier_id: UUID, *, mode: str, tier: str, actor: str, request_id: str | None = None) -> None:
    """How a supplier is paid from now on, and its tier. Raises NotFound."""
    values = {"settlement_mode": SettlementMode(mode).value, "tier": tier}
    changed = tx.execute(update(Supplier).where(Supplier.id == supplier_id).values(values))
    if rows_changed(changed) != 1:
        raise NotFound
    audit.append(
        tx,
        actor=actor,
        action="supplier.settle_by",
        entity="supplier",
        entity_id=str(supplier_id),
        detail=values,
        request_id=request_id,
    )
