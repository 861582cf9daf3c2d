"""What may be done to stock that is in it: freeze, release, withdraw, void. Told first, done after a reason is given.

A deed is proposed, shown with what it will change, and carried out with a person's reason; nothing happens before.
What a whole file would lose is read first: the list on screen may not have all of its lots yet.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import Any

from desktop.engine.engine import Engine
from desktop.operations import stock
from desktop.presenters.ports import Ask, Latest
from desktop.presenters.watching import Watched
from shared.contracts.identity import Person
from shared.contracts.stock import Lot, Unit
from shared.errors import Conflict
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


class NothingLeft(Conflict):
    """A whole file was to be withdrawn, and nothing of it can be."""

    code = "import.nothing_left"
    zh = "文件“{file}”已没有可撤回的批次。"
    en = "Nothing of “{file}” is left to withdraw."


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
        gathering: the lots of a file are being read, to tell what withdrawing it would do.
        busy: it is being carried out.
        error: why that failed; the proposal stays. Or why there is none.
        done: what was carried out, for a toast; told once.
    """

    def __init__(self, ask: Ask, person: Person) -> None:
        super().__init__()
        self._ask = ask
        self._latest = Latest()
        self.may_edit = Permission.STOCK_LOT_EDIT in frozenset(person.permissions)
        self._is_supplier = person.supplier_id is not None
        self.pending: Deed | None = None
        self.gathering = False
        self.busy = False
        self.error: Exception | None = None
        self.done: Done | None = None

    def may(self, kind: DeedKind, lot: Lot | None) -> bool:
        """Whether `kind` may be proposed for `lot`. Of its file, other lots may be left when this one is not."""
        if lot is None or not self.may_edit or self.busy or self.gathering:
            return False
        if kind is DeedKind.WITHDRAW_IMPORT:
            return lot.import_id is not None and lot.working != "importing"
        return _may(kind, lot) and not self.is_the_shops(lot)

    def is_the_shops(self, lot: Lot | None) -> bool:
        """Whether the shop froze it, and this person is its supplier: then only the shop can do more with it."""
        return self._is_supplier and lot is not None and lot.frozen_by_shop

    def propose(self, kind: DeedKind, lot: Lot) -> None:
        """Propose something about a lot, or about all lots of its import as they are on the server now."""
        if not self.may(kind, lot):
            return
        if kind is not DeedKind.WITHDRAW_IMPORT:
            self._propose_about(kind, (lot,))
            return
        sku, import_id, file_name = lot.sku, lot.import_id, lot.file_name
        assert import_id is not None
        self.gathering, self.pending, self.error = True, None, None
        then = self._latest.only(partial(self._gathered, file_name))
        work = partial(stock.lots_of_import, sku=sku, import_id=import_id)
        self._ask(work, then, self._latest.also(self._not_gathered))
        self.changed()

    def _gathered(self, file_name: str, lots: Sequence[Lot]) -> None:
        self.gathering = False
        about = tuple(one for one in lots if _may(DeedKind.WITHDRAW, one))
        if about:
            self._propose_about(DeedKind.WITHDRAW_IMPORT, about)
        else:
            self._not_gathered(NothingLeft(file=file_name))

    def _not_gathered(self, error: Exception) -> None:
        self.gathering, self.error = False, error
        self.changed()

    def _propose_about(self, kind: DeedKind, about: tuple[Lot, ...]) -> None:
        self._propose(
            Deed(
                kind,
                about[0].sku,
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
        if self.busy or (self.pending is None and self.error is None and not self.gathering):
            return
        self._latest.only(self._failed)
        self.pending, self.error, self.gathering = None, None, False
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
