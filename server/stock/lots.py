"""What people do to stock that is there: freeze, release and withdraw lots, void single units, sell by other rules.

A lot moves by the table of states, compare-and-set, under the lock of its cursor, which every claim of it takes too:
when a freeze is answered, nothing of the lot is sold to anybody who had not ordered before. Callers have checked the
permission; the actor's scope is checked here. Each write leaves its reason in the audit log and tells the consoles.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, delete, select, update

from server import audit, changes, jobs
from server.catalog import queries as catalog
from server.catalog.actions import RULES_CHANGED
from server.catalog.queries import SaleTerms
from server.context import Context
from server.db import Tx, bulk_insert, rows_changed
from server.policy import Actor, visible
from server.stock import shelf, withdrawal
from server.stock.actions import StockOutOfStep, came
from server.stock.model import StockCursor, StockImport, StockLot, StockReturned, StockUnit, StockVoid
from server.stock.ranking import rank, sell_until
from shared import clock
from shared.contracts.stock import MoveLot, VoidedUnits, VoidUnits, WithdrawImport, Withdrawn
from shared.errors import BadField, Conflict, NotFound
from shared.permissions import Role
from shared.states import ImportState, LotState, UnitState, require_move

BY_PEOPLE = (LotState.OPEN, LotState.FROZEN, LotState.WITHDRAWN)
"""States that a person may ask for; a lot is exhausted when its units are gone."""

LOOK_AGAIN = timedelta(minutes=1)
"""After rules changed while keys came in: longer than the transaction that stores some of them."""

_VERBS = {LotState.OPEN: "lot.release", LotState.FROZEN: "lot.freeze", LotState.WITHDRAWN: "lot.withdraw"}


class LotArriving(Conflict):
    """The import of a lot is not complete: nothing of it sells yet, and its units still come."""

    code = "lot_arriving"
    zh = "这批卡密还在导入，请等导入完成后再操作；不想要的话可以取消导入。"
    en = "This lot is still being imported: wait until the import is complete, or cancel the import."


class FrozenByShop(Conflict):
    """A supplier would undo what the shop did, or withdraw the keys and bring them again."""

    code = "frozen_by_shop"
    zh = "该批次由店铺冻结，只能由店铺解冻或撤回，请与店铺联系。"
    en = "The shop froze this lot: only the shop can release or withdraw it. Please contact the shop."


def register(ctx: Context) -> None:
    """Wire what follows a change of a product's rules, and the withdrawal of lots; called once by `app`."""
    ctx.jobs.within(RULES_CHANGED, rearrange)
    withdrawal.register(ctx)


# --- lots ---


def move(tx: Tx, lot_id: UUID, body: MoveLot, *, actor: Actor, request_id: str | None = None) -> StockLot:
    """Freeze a lot, release it, or withdraw it.

    A frozen lot sells nothing from now on; units that buyers hold may still be paid for and are delivered. A withdrawn
    one leaves the sale in this transaction and its free units leave stock by a job; held ones follow when their buyers
    do not pay, sold ones stay. Raises NotFound outside of the actor's scope, LotArriving while the import is not
    complete, FrozenByShop to a supplier, and IllegalMove, which names the current state.
    """
    if body.to not in BY_PEOPLE:
        raise BadField(field="to", reason=", ".join(BY_PEOPLE))
    lot = tx.scalars(visible(actor, StockLot).where(StockLot.id == lot_id)).first()
    if lot is None:
        raise NotFound
    _require_arrived(tx, [lot.import_id])
    _move(tx, _under_lock(tx, StockLot.id == lot_id), body.to, reason=body.reason, actor=actor)
    tx.refresh(lot)
    audit.append(
        tx,
        actor=actor.label,
        action=_VERBS[body.to],
        entity="lot",
        entity_id=str(lot_id),
        detail={"reason": body.reason, "number": lot.number},
        request_id=request_id,
    )
    return lot


def withdraw_import(
    tx: Tx, import_id: UUID, body: WithdrawImport, *, actor: Actor, request_id: str | None = None
) -> Withdrawn:
    """Withdraw all lots of an import that are not yet; answers what they held before. Repeating withdraws nothing.

    Raises NotFound outside of the actor's scope, LotArriving while the import is not complete, and FrozenByShop.
    """
    found = tx.scalars(visible(actor, StockImport).where(StockImport.id == import_id)).first()
    if found is None:
        raise NotFound
    _require_arrived(tx, [import_id])
    held = [one for one in _under_lock(tx, StockLot.import_id == import_id) if one[0].state != LotState.WITHDRAWN.value]
    done = Withdrawn(
        lots=len(held),
        units=sum(cursor.free for _, cursor in held),
        held=sum(cursor.held for _, cursor in held),
        sold=sum(cursor.sold for _, cursor in held),
    )
    _move(tx, held, LotState.WITHDRAWN, reason=body.reason, actor=actor)
    if held:
        audit.append(
            tx,
            actor=actor.label,
            action="import.withdraw",
            entity="import",
            entity_id=str(import_id),
            detail={"reason": body.reason, "file": found.file_name} | done.model_dump(),
            request_id=request_id,
        )
        changes.append(tx, "import", import_id, domain="stock", supplier_id=found.supplier_id)
    return done


def _require_arrived(tx: Tx, import_ids: Iterable[UUID | None]) -> None:
    """An import that is complete stays so: no lock is needed. Lots of before imports had lots have none."""
    arriving = (StockImport.id.in_([one for one in import_ids if one]), StockImport.state != ImportState.DONE.value)
    if tx.scalars(select(StockImport.id).where(*arriving)).first() is not None:
        raise LotArriving


def _under_lock(tx: Tx, which: ColumnElement[bool]) -> list[tuple[StockLot, StockCursor]]:
    """Lots with their cursors under lock, and as they are then: who moves a lot holds its cursor."""
    lot_ids = list(tx.scalars(select(StockLot.id).where(which)))
    cursors = {cursor.lot_id: cursor for cursor in _locked(tx, StockCursor.lot_id.in_(lot_ids))}
    lots = select(StockLot).where(StockLot.id.in_(lot_ids)).order_by(StockLot.id)
    return [(lot, cursors[lot.id]) for lot in tx.scalars(lots, execution_options={"populate_existing": True})]


def _move(tx: Tx, held: Sequence[tuple[StockLot, StockCursor]], to: LotState, *, reason: str, actor: Actor) -> None:
    """Move lots under lock, however many, in a few statements: a hold that ends later sees the new state."""
    alike: dict[tuple[LotState, bool], list[UUID]] = defaultdict(list)
    for lot, cursor in held:
        if lot.frozen_by_shop and actor.role is Role.SUPPLIER:
            raise FrozenByShop
        require_move(LotState(lot.state), to)
        cursor.selling = to is LotState.OPEN
        alike[LotState(lot.state), to is LotState.WITHDRAWN and cursor.free > 0].append(lot.id)
    tx.flush()
    values = {
        "state": to.value,
        "state_reason": reason,
        "moved_by": actor.label,
        "moved_at": clock.now(),
        "frozen_by_shop": to is LotState.FROZEN and actor.role is not Role.SUPPLIER,
        "version": StockLot.version + 1,
    }
    for (before, withdrawing), lot_ids in alike.items():
        moved = tx.execute(
            update(StockLot)
            .where(StockLot.id.in_(lot_ids), StockLot.state == before.value)
            .values(withdrawing=withdrawing, **values),
            execution_options={"synchronize_session": False},
        )
        if rows_changed(moved) != len(lot_ids):
            raise StockOutOfStep(f"lots are not {before} any more")
        if withdrawing:
            withdrawal.begin(tx, lot_ids)
    shelf.take_off(tx, [shelf.place_of(cursor) for _, cursor in held])
    if to is LotState.OPEN:
        shelf.put_on(tx, [lot.id for lot, _ in held])
        came(tx, {lot.sku_id for lot, _ in held})
    for sku_id, supplier_id in {(lot.sku_id, lot.supplier_id) for lot, _ in held}:
        changes.append(tx, "sku", sku_id, domain="stock", supplier_id=supplier_id)


def _locked(tx: Tx, *which: ColumnElement[bool]) -> list[StockCursor]:
    """Cursors under lock, in the order in which claims lock them."""
    query = select(StockCursor).where(*which).order_by(StockCursor.lot_id).with_for_update()
    return list(tx.scalars(query, execution_options={"populate_existing": True}))


# --- single units ---


def void_units(
    tx: Tx, terms: SaleTerms, body: VoidUnits, *, actor: Actor, request_id: str | None = None
) -> VoidedUnits:
    """Make free units void, so that they are never sold: FREE -> VOID. The others are named in `left`.

    Their keys and fingerprints stay: a key that is known to be bad must not come back with the next file. Caller has
    checked that the SKU is the actor's.
    """
    asked = sorted(set(body.seqs))
    units = (StockUnit.sku_id == terms.sku_id, StockUnit.seq.in_(asked))
    lots = list(tx.scalars(select(StockUnit.lot_id).where(*units).distinct()))
    cursors = {cursor.lot_id: cursor for cursor in _locked(tx, StockCursor.lot_id.in_(lots))} if lots else {}
    free = tx.execute(
        select(StockUnit.seq, StockUnit.lot_id).where(*units, StockUnit.state == UnitState.FREE).order_by(StockUnit.seq)
    ).all()
    seqs = [seq for seq, _ in free]
    if seqs:
        _void(tx, terms.sku_id, seqs)
        now = clock.now()
        constants = {"sku_id": terms.sku_id, "reason": body.reason, "actor": actor.label, "voided_at": now}
        by_lot: dict[UUID, list[int]] = defaultdict(list)
        for seq, lot_id in free:
            by_lot[lot_id].append(seq)
        for lot_id, mine in by_lot.items():
            bulk_insert(tx, StockVoid, ("seq",), [(seq,) for seq in mine], constants=constants | {"lot_id": lot_id})
            cursors[lot_id].free -= len(mine)
            cursors[lot_id].void += len(mine)
        tx.flush()
        shelf.take_off(tx, [shelf.place_of(one) for one in cursors.values() if one.free + one.held == 0])
        audit.append(
            tx,
            actor=actor.label,
            action="stock.void",
            entity="sku",
            entity_id=terms.sku_code,
            detail={"reason": body.reason, "units": len(seqs), "seqs": seqs},
            request_id=request_id,
        )
        changes.append(tx, "sku", terms.sku_id, domain="stock", supplier_id=terms.supplier_id)
    return VoidedUnits(voided=seqs, left=[seq for seq in asked if seq not in set(seqs)])


def _void(tx: Tx, sku_id: UUID, seqs: list[int]) -> None:
    moved = tx.execute(
        update(StockUnit)
        .where(StockUnit.sku_id == sku_id, StockUnit.seq.in_(seqs), StockUnit.state == UnitState.FREE)
        .values(state=int(UnitState.VOID))
        .execution_options(synchronize_session=False)
    )
    if rows_changed(moved) != len(seqs):
        raise StockOutOfStep
    tx.execute(delete(StockReturned).where(StockReturned.sku_id == sku_id, StockReturned.seq.in_(seqs)))


# --- a product's rules ---


def rearrange(tx: Tx, args: dict[str, Any]) -> None:
    """Give the lots of a product the places and the ends of sale that its rules now say. Safe to repeat.

    The keys within a lot keep their order: a lot that came before its product sold at random is sold from its start.
    """
    product_id = UUID(args["product_id"])
    lots = {lot.id: lot for lot in tx.scalars(select(StockLot).where(StockLot.product_id == product_id))}
    sku_ids = list({lot.sku_id for lot in lots.values()})
    cursors = _locked(tx, StockCursor.sku_id.in_(sku_ids))
    shelf.take_off(tx, [shelf.place_of(cursor) for cursor in cursors if cursor.selling])
    terms = catalog.sku_terms(tx, sku_ids)  # after the locks: of two jobs, the later one goes by the newest rules
    for cursor in cursors:
        if (lot := lots.get(cursor.lot_id)) is not None:
            rule = terms[cursor.sku_id].selling
            cursor.rank = rank(number=lot.number, expires_on=lot.expires_on, order=rule.sale_order)
            cursor.sell_until = sell_until(lot.expires_on, rule.stop_days)
    tx.flush()
    shelf.put_on(tx, [cursor.lot_id for cursor in cursors if cursor.selling])
    came(tx, terms)
    for sku_id, sku in terms.items():
        changes.append(tx, "sku", sku_id, domain="stock", supplier_id=sku.supplier_id)
    if args.get("again"):
        return
    coming = (StockImport.product_id == product_id, StockImport.state.in_(_COMING))
    if tx.scalars(select(StockImport.id).where(*coming)).first() is not None:
        # One of them may be making a lot by the rules of before, which nobody can see yet.
        jobs.enqueue(tx, RULES_CHANGED, args | {"again": True}, run_at=clock.now() + LOOK_AGAIN)


_COMING = (ImportState.RECEIVING.value, ImportState.INGESTING.value)
