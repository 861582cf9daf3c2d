"""Which workbooks people exported: one line of the audit log for each, found again by the hash of its data rows.

Who changes a file and all hashes in it is found by it, when the file is verified at a console. A supplier's person
notes its own statements alone, with the supplier's name: nobody of the shop has seen those rows.
"""

from __future__ import annotations

import json
from datetime import date, timedelta

from server import audit
from server.db import Tx
from server.identity import queries as people
from server.policy import Actor, visible
from server.settlement.model import Statement
from shared import clock
from shared.contracts.reports import Export, NewExport
from shared.errors import NotFound

_ACTION, _ENTITY = "workbook.export", "workbook"
_AROUND = timedelta(days=1)
"""How far a console's clock may be off, and how long it may write."""


def record(tx: Tx, new: NewExport, *, actor: Actor, request_id: str | None) -> None:
    """Note that this person exports a workbook. Raises NotFound for a statement that is not there for this person."""
    its = visible(actor, Statement).where(Statement.number == new.statement)
    if new.kind == "statement" and tx.scalars(its).first() is None:
        raise NotFound
    supplier = people.supplier_names(tx)[actor.supplier_id] if actor.supplier_id else ""
    detail = new.model_dump(mode="json", exclude={"sha256"}) | {"supplier": supplier}
    audit.append(
        tx,
        actor=actor.label,
        action=_ACTION,
        entity=_ENTITY,
        entity_id=new.sha256,
        request_id=request_id,
        detail=detail,
    )


def found(tx: Tx, sha256: str, day: date) -> list[Export]:
    """Who exported a workbook of these rows about that day, the first one first; suppliers' people at the end."""
    start, end = clock.day_bounds(day)
    rows = audit.about(tx, _ENTITY, sha256, first=start - _AROUND, last=end + _AROUND)
    names = people.names_of(tx, {row.actor for row in rows})
    exports = [
        Export(
            **json.loads(row.detail or "{}"),
            sha256=sha256,
            exported_by=names.get(row.actor, row.actor),
            exported_at=row.at,
        )
        for row in rows
        if row.action == _ACTION
    ]
    return sorted(exports, key=lambda one: bool(one.supplier))
