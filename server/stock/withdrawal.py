"""What leaves stock with its lot: a job makes the unsold units of a withdrawn lot void and forgets their keys.

The units go in steps, each one transaction, and the job goes on where the last commit stood; a key nobody has seen is
deleted with its fingerprint, so that the same file may be imported again. Kept are keys that staff revealed, that were
voided one by one, or that share a use with a buyer. Units that were held at the time follow when their hold ends.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, delete, select, update

from server import changes, jobs
from server.context import Context
from server.db import Tx, bulk_insert, rows_changed
from server.stock.model import CardSecret, RevealLog, StockCursor, StockLot, StockReturned, StockUnit, StockVoid
from shared import clock
from shared.states import UnitState

WITHDRAW = "stock.withdraw"
FORGET = "stock.forget_keys"
STEP_UNITS = 4_000
"""Units a transaction: few enough that checkouts wait a blink. Each key is deleted from an index of random order."""

_LOTS_A_JOB = 100
"""An import has up to 2,000 lots, often small ones: a job for each would keep other jobs waiting."""

_PIECES = 40
"""Pieces of lots a transaction: each costs a few statements, also where a lot is small."""

WITH_ITS_LOT = ""
"""The reason of a void unit that left with its lot: the lot says why."""

_LOOK_UP = 1_000


class LotOutOfStep(RuntimeError):
    """Units of a withdrawn lot are not what its cursor says: a fault of ours. The transaction is rolled back."""


def register(ctx: Context) -> None:
    """Wire the jobs; called once by `app`."""
    ctx.jobs.within(WITHDRAW, step)
    ctx.jobs.within(FORGET, _forget_left)


def left(tx: Tx, lot: StockLot, seqs: Sequence[int]) -> None:
    """Note that these units of a withdrawn lot became void because their hold ended, and have their keys forgotten.

    Caller holds the lot's cursor and moves the units from HELD to VOID in the same transaction.
    """
    _note(tx, lot.sku_id, lot.id, sorted(seqs))
    jobs.enqueue(tx, FORGET, {"lot_id": str(lot.id), "seqs": sorted(seqs)})


def begin(tx: Tx, lot_ids: Sequence[UUID]) -> None:
    """Have the units of lots taken out that the transaction moves to WITHDRAWN, which happens to a lot once."""
    waiting = [str(lot_id) for lot_id in sorted(lot_ids)]  # a step locks their cursors in the order of claims
    parts = [waiting[at : at + _LOTS_A_JOB] for at in range(0, len(waiting), _LOTS_A_JOB)]
    jobs.enqueue_many(tx, WITHDRAW, [{"lots": part, "after": None, "key": 0} for part in parts])


class _Gone(NamedTuple):
    """What one piece took out of a lot, and where it goes on: at unit `after`, then at the `key`th shared key."""

    units: int
    after: int
    key: int = 0


def step(tx: Tx, args: dict[str, Any]) -> None:
    """Take the next units of some lots out of stock, or finish. Runs in the transaction that completes the job."""
    waiting, after, key = list(args["lots"]), args["after"], int(args["key"])
    left, skus = STEP_UNITS, set[tuple[UUID, UUID]]()
    for _ in range(_PIECES):
        if not waiting or left <= 0:
            break
        lot_id = UUID(waiting[0])
        cursor = tx.get(StockCursor, lot_id, with_for_update=True)
        lot = tx.get(StockLot, lot_id)
        gone = None
        if cursor is not None and lot is not None and lot.withdrawing:
            gone = _piece(tx, lot, cursor, cursor.next_seq if after is None else int(after), key, left)
            lot.withdrawing = gone is not None
            skus.add((lot.sku_id, lot.supplier_id))
        if gone is None:
            del waiting[0]
            after, key = None, 0
        else:
            after, key, left = gone.after, gone.key, left - gone.units
    tx.flush()
    if waiting:
        jobs.enqueue(tx, WITHDRAW, {"lots": waiting, "after": after, "key": key})
    for sku_id, supplier_id in skus:
        changes.append(tx, "sku", sku_id, domain="stock", supplier_id=supplier_id)


def _piece(tx: Tx, lot: StockLot, cursor: StockCursor, after: int, key: int, most: int) -> _Gone | None:
    """Take at most so many units of a lot out, or forget shared keys; None when the lot has neither any more."""
    if seqs := _given_back(tx, lot, most):
        _leave(tx, cursor, seqs)
        tx.execute(delete(StockReturned).where(StockReturned.sku_id == lot.sku_id, StockReturned.seq.in_(seqs)))
        _note(tx, lot.sku_id, lot.id, seqs)
        gone = _Gone(len(seqs), after)
    elif seqs := _unoffered(tx, cursor, after, most):
        _leave(tx, cursor, seqs)
        gone = _Gone(len(seqs), seqs[-1] + 1)
    elif lot.uses > 1 and key < cursor.imported // lot.uses:
        stop = min(key + max(1, most // lot.uses), cursor.imported // lot.uses)
        _forget(tx, lot, range(lot.first_seq + key, lot.first_seq + stop))
        return _Gone((stop - key) * lot.uses, after, stop)
    elif cursor.free:
        raise LotOutOfStep(f"{cursor.free} units of lot {lot.id} are free and nowhere")
    else:
        return None
    if lot.uses == 1:
        _forget(tx, lot, seqs)
    return gone


def _given_back(tx: Tx, lot: StockLot, most: int) -> list[int]:
    """Free units behind the cursor: an `IN` list of them is sent, so fewer a step."""
    waiting = (StockReturned.sku_id == lot.sku_id, StockReturned.lot_id == lot.id)
    query = select(StockReturned.seq).where(*waiting).order_by(StockReturned.seq)
    return list(tx.scalars(query.limit(min(most, _LOOK_UP))))


def _unoffered(tx: Tx, cursor: StockCursor, after: int, most: int) -> list[int]:
    """The next free units that the cursor had not reached. It stays where the sale ended: what lies behind is void."""
    fresh = (StockUnit.seq >= after, StockUnit.seq < cursor.end_seq, StockUnit.state == UnitState.FREE)
    query = select(StockUnit.seq).where(StockUnit.sku_id == cursor.sku_id, *fresh)
    return list(tx.scalars(query.order_by(StockUnit.seq).limit(most)))


def _leave(tx: Tx, cursor: StockCursor, seqs: list[int]) -> None:
    """FREE -> VOID for exactly these units of a lot whose cursor is locked."""
    named = StockUnit.seq.in_(seqs) if len(seqs) <= _LOOK_UP else StockUnit.seq.between(seqs[0], seqs[-1])
    free = (StockUnit.sku_id == cursor.sku_id, named, StockUnit.state == UnitState.FREE)
    moved = tx.execute(
        update(StockUnit).where(*free).values(state=int(UnitState.VOID)),
        execution_options={"synchronize_session": False},
    )
    if rows_changed(moved) != len(seqs):
        raise LotOutOfStep(f"{rows_changed(moved)} of {len(seqs)} units of lot {cursor.lot_id} were free")
    cursor.free -= len(seqs)
    cursor.void += len(seqs)


def _note(tx: Tx, sku_id: UUID, lot_id: UUID, seqs: Sequence[int]) -> None:
    """Name the void units that lie behind a cursor, so that they are found without walking over what was sold."""
    constants = {
        "sku_id": sku_id,
        "lot_id": lot_id,
        "reason": WITH_ITS_LOT,
        "actor": "system",
        "voided_at": clock.now(),
    }
    bulk_insert(tx, StockVoid, ("seq",), [(seq,) for seq in seqs], constants=constants)


# --- keys ---


def hold_off(tx: Tx, sku_id: UUID, seq: int) -> None:
    """Wait for the withdrawal of this unit's lot, and let none begin before this transaction ends.

    Who logs a look at a key needs it: a key that is being forgotten is not shown, and one that was shown is kept.
    """
    lot_id = tx.scalars(select(StockUnit.lot_id).where(StockUnit.sku_id == sku_id, StockUnit.seq == seq)).first()
    if lot_id is not None:
        tx.get(StockCursor, lot_id, with_for_update=True)


def _forget_left(tx: Tx, args: dict[str, Any]) -> None:
    """Forget the keys of units that left after their lot. Repeating changes nothing."""
    cursor = tx.get(StockCursor, UUID(args["lot_id"]), with_for_update=True)
    lot = tx.get(StockLot, UUID(args["lot_id"]))
    if cursor is not None and lot is not None:
        _forget(tx, lot, sorted({lot.key_of(seq) for seq in args["seqs"]}))


def _forget(tx: Tx, lot: StockLot, keys: Sequence[int]) -> None:
    """Delete secrets, by number, except those that somebody holds, bought, has seen, or reported one by one."""
    for part in _parts(keys, lot.uses):
        units = [key + use * lot.stride for use in range(lot.uses) for key in part]
        kept: set[int] = set()
        for query in (
            select(StockUnit.seq).where(StockUnit.sku_id == lot.sku_id, StockUnit.state != UnitState.VOID)
            .where(_among(StockUnit.seq, units)),
            select(StockVoid.seq).where(StockVoid.sku_id == lot.sku_id, StockVoid.reason != WITH_ITS_LOT)
            .where(_among(StockVoid.seq, units)),
            select(RevealLog.seq).where(RevealLog.sku_id == lot.sku_id, _among(RevealLog.seq, units)),
        ):  # fmt: skip
            kept |= {lot.key_of(seq) for seq in tx.scalars(query)}
        gone = [key for key in part if key not in kept] if kept else part
        for some in _parts(gone, 1) if gone else ():
            tx.execute(delete(CardSecret).where(CardSecret.sku_id == lot.sku_id, _among(CardSecret.seq, some)))


def _parts(keys: Sequence[int], uses: int) -> Iterator[Sequence[int]]:
    """Keys in pieces that one statement can name: all of them when they are a range of units, else some."""
    if uses == 1 and keys[-1] - keys[0] == len(keys) - 1:
        yield keys
        return
    size = max(1, _LOOK_UP // uses)
    for at in range(0, len(keys), size):
        yield keys[at : at + size]


def _among(column: Any, numbers: Sequence[int]) -> ColumnElement[bool]:
    between: ColumnElement[bool] = column.between(numbers[0], numbers[-1])
    named: ColumnElement[bool] = column.in_(list(numbers))
    return between if numbers[-1] - numbers[0] == len(numbers) - 1 else named
