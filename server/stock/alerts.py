"""Stock alerts: raised once when a figure crosses its rule, cleared when it is well back."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError

from server import changes
from server.db import Tx
from server.stock.model import StockAlert
from shared import clock, ids
from shared.states import AlertKind


def raise_alert(tx: Tx, kind: AlertKind, *, sku_id: UUID, supplier_id: UUID, add: int) -> None:
    """Raise an alert of something that happened, or count `add` more on the one that stands."""
    live_key = f"{kind.value}:{sku_id}"
    standing = tx.scalars(select(StockAlert.id).where(StockAlert.live_key == live_key)).first()
    if standing is None:
        try:
            with tx.begin_nested():
                tx.add(
                    StockAlert(
                        id=(alert_id := ids.new_id()),
                        sku_id=sku_id,
                        supplier_id=supplier_id,
                        kind=kind.value,
                        live_key=live_key,
                        figure=add,
                        raised_at=clock.now(),
                    )
                )
        except IntegrityError:  # raised by another process at the same time
            return raise_alert(tx, kind, sku_id=sku_id, supplier_id=supplier_id, add=add)
        standing = alert_id
    else:
        tx.execute(update(StockAlert).where(StockAlert.id == standing).values(figure=StockAlert.figure + add))
    changes.append(tx, "alert", standing, domain="stock", supplier_id=supplier_id)
    return None
