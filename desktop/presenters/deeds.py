"""What may be done to stock that is in it: freeze, release, withdraw, void. Told first, done after a reason is given.

A deed is proposed, shown with what it will change, and carried out with a person's reason; nothing happens before.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from desktop.engine.engine import Engine
from desktop.operations import stock
from desktop.presenters.ports import Ask
from desktop.presenters.watching import Watched
from shared.contracts.identity import Person
from shared.contracts.stock import Lot, Unit
from shared.permissions import Permission
from shared.states import LotState, UnitState, may_move

MOST_VOIDED = 10_000
"""Units that one deed may void: whoever wants more withdraws the lot."""


class DeedKind(StrEnum):
    """What is to be done."""

    FREEZE = "freeze"
    RELEASE = "release"
    WITHDRAW = "withdraw"
    WITHDRAW_IMPORT = "withdraw_import"
    VOID = "void"


_GOAL = {
    DeedKind.FREEZE: LotState.FROZEN,
    DeedKind.RELEASE: LotState.OPEN,
    DeedKind.WITHDRAW: LotState.WITHDRAWN,
    DeedKind.WITHDRAW_IMPORT: LotState.WITHDRAWN,
}


@dataclass(frozen=True, slots=True)
class Deed:
    """One proposal. `free` units are changed at once, `held` ones when their buyers do not pay, `sold` ones never.

    `lots` are those it is about; `seqs` the units of VOID; `void` those that are void already.
    """

    kind: DeedKind
    sku: str
    lots: tuple[Lot, ...] = ()
    seqs: tuple[int, ...] = ()
    free: int = 0
    held: int = 0
    sold: int = 0
    void: int = 0

    @property
    def is_final(self) -> bool:
        """Whether no other deed takes it back."""
        return self.kind not in {DeedKind.FREEZE, DeedKind.RELEASE}

    @property
    def file_name(self) -> str:
        """The file that brought what it is about."""
        return self.lots[0].file_name if self.lots else ""


@dataclass(frozen=True, slots=True)
class Done:
    """A deed that was carried out. `left` units of VOID stayed as they were."""

    deed: Deed
    units: int
    left: int = 0


class Deeds(Watched):
    """The one proposal of the Stock screen.

    Attributes:
        pending: what is proposed, or None.
        busy: it is being carried out.
        error: why that failed; the proposal stays.
        done: what was carried out, for a toast; told once.
    """

    def __init__(self, ask: Ask, person: Person) -> None:
        super().__init__()
        self._ask = ask
        self.may_edit = Permission.STOCK_LOT_EDIT in frozenset(person.permissions)
        self.pending: Deed | None = None
        self.busy = False
        self.error: Exception | None = None
        self.done: Done | None = None

    def may(self, kind: DeedKind, lot: Lot | None, lots: Sequence[Lot] = ()) -> bool:
        """Whether `kind` may be proposed for `lot`, of whose SKU `lots` are all."""
        if lot is None or not self.may_edit or self.busy:
            return False
        if kind is DeedKind.WITHDRAW_IMPORT:
            return len(_of_import(lot, lots)) > 0 and lot.import_id is not None
        return _may(kind, lot)

    def propose(self, kind: DeedKind, lot: Lot, lots: Sequence[Lot] = ()) -> None:
        """Propose something about a lot, or about all lots of its import."""
        if not self.may(kind, lot, lots):
            return
        about = tuple(_of_import(lot, lots)) if kind is DeedKind.WITHDRAW_IMPORT else (lot,)
        self._propose(
            Deed(
                kind,
                lot.sku,
                lots=about,
                free=sum(one.free for one in about),
                held=sum(one.held for one in about),
                sold=sum(one.sold for one in about),
                void=sum(one.void for one in about),
            )
        )

    def propose_void(self, sku: str, units: Sequence[Unit]) -> None:
        """Propose to void single units."""
        if not self.may_edit or self.busy or not units:
            return
        counts = {state: sum(unit.state is state for unit in units) for state in UnitState}
        self._propose(
            Deed(
                DeedKind.VOID,
                sku,
                seqs=tuple(unit.seq for unit in units if unit.state is UnitState.FREE),
                free=counts[UnitState.FREE],
                held=counts[UnitState.HELD],
                sold=counts[UnitState.SOLD],
                void=counts[UnitState.VOID],
            )
        )

    def drop(self) -> None:
        """Do not do it."""
        if not self.busy and self.pending is not None:
            self.pending, self.error = None, None
            self.changed()

    def carry_out(self, reason: str) -> None:
        """Do it, for this reason."""
        deed = self.pending
        if deed is None or self.busy:
            return
        self.busy, self.error = True, None
        self._ask(_work(deed, reason.strip()), self._carried_out, self._failed)
        self.changed()

    def _propose(self, deed: Deed) -> None:
        self.pending, self.error = deed, None
        self.changed()

    def _carried_out(self, done: Done) -> None:
        self.busy, self.pending, self.done = False, None, done
        self.changed()
        self.done = None

    def _failed(self, error: Exception) -> None:
        self.busy, self.error = False, error
        self.changed()


def _may(kind: DeedKind, lot: Lot) -> bool:
    if kind is DeedKind.VOID or lot.working in {"importing", "withdrawing"}:
        return False
    if kind in {DeedKind.WITHDRAW, DeedKind.WITHDRAW_IMPORT} and lot.working is not None:
        return False
    return lot.state is not _GOAL[kind] and may_move(lot.state, _GOAL[kind])


def _of_import(lot: Lot, lots: Sequence[Lot]) -> list[Lot]:
    return [one for one in lots if one.import_id == lot.import_id and _may(DeedKind.WITHDRAW, one)]


def _work(deed: Deed, reason: str) -> Callable[[Engine], Coroutine[Any, Any, Done]]:
    async def void(engine: Engine) -> Done:
        done = await stock.void_units(engine, deed.sku, deed.seqs, reason=reason)
        return Done(deed, units=len(done.voided), left=len(done.left))

    async def withdraw_import(engine: Engine) -> Done:
        import_id = deed.lots[0].import_id
        assert import_id is not None
        done = await stock.withdraw_import(engine, import_id, reason=reason)
        return Done(deed, units=done.units)

    async def move(engine: Engine) -> Done:
        await stock.move_lot(engine, deed.lots[0], _GOAL[deed.kind], reason=reason)
        return Done(deed, units=deed.free)

    return {DeedKind.VOID: void, DeedKind.WITHDRAW_IMPORT: withdraw_import}.get(deed.kind, move)
