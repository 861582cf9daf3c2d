"""What is due to suppliers: what could be released today, what waits and why, and each supplier's account."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from functools import partial
from typing import Any
from uuid import UUID

from desktop.operations import settlement
from desktop.operations.seen import Seen
from desktop.presenters import formats
from desktop.presenters.acting import Act, Acting, Pair, Work
from desktop.presenters.brought import Brought
from desktop.presenters.feed import Feed
from desktop.presenters.holds import hold_act
from desktop.presenters.listing import Column
from desktop.presenters.ports import Ask, Latest
from desktop.presenters.watching import Watched
from desktop.presenters.words import in_words, word
from shared.clock import now, shop_day
from shared.contracts.base import Page
from shared.contracts.identity import Person
from shared.contracts.settlement import DueLine, DueSupplier, SupplierAccount, Terms
from shared.ids import speak_order_code
from shared.permissions import Permission

MAKE, MAKE_SOME = "make", "make_some"

NEXT_YEAR_FROM = 11
"""From this month on people are told of a next year whose holidays nobody entered."""


def holds_words(one: DueSupplier) -> str:
    """Why lines wait, and how many of each: `退款处理中 2 · 未到结算日 5`."""
    told = [f"{word(reason)} {formats.count(count)}" for reason, count in one.holds.items()]
    if one.blocked is not None:
        told.insert(0, word(one.blocked))
    return " · ".join(told) or "–"


def waits_words(line: DueLine) -> str:
    """Why a line is not released yet; empty when it could be."""
    if line.hold is None:
        return ""
    return word(line.hold) + (f" · {line.hold_note}" if line.hold_note else "")


def _standing(line: DueLine) -> str:
    return waits_words(line) or in_words(("可以结算", "Can be settled"))


SUPPLIER_COLUMNS = (
    Column[DueSupplier](
        "supplier", lambda d: d.supplier, stretch=True, tip=lambda d: d.supplier, sample="八个汉字的名称"
    ),
    Column[DueSupplier]("lines", lambda d: formats.count(d.lines), numeric=True, sample="12,345"),
    Column[DueSupplier]("payable", lambda d: formats.money(d.payable_fen), numeric=True, sample="¥123,456.00"),
    Column[DueSupplier]("held", lambda d: formats.money(d.held_fen), numeric=True, sample="¥12,345.00"),
    Column[DueSupplier]("why", holds_words, tip=holds_words, sample="退款处理中 12 · 未到结算日 5"),
    Column[DueSupplier](
        "release", lambda d: formats.money(d.release_fen), numeric=True, sample="¥123,456.00", spare=True
    ),
    Column[DueSupplier](
        "deductions", lambda d: formats.money(-d.deductions_fen), numeric=True, sample="-¥12,345.00", spare=True
    ),
    Column[DueSupplier]("owed", lambda d: formats.money(-d.owed_fen), numeric=True, sample="-¥12,345.00", spare=True),
    Column[DueSupplier]("fee", lambda d: formats.money(-d.payout_fee_fen), numeric=True, sample="-¥12.00", spare=True),
)

LINE_COLUMNS = (
    Column[DueLine]("code", lambda x: speak_order_code(x.order_code), code=True, sample="7K3M-9QX2-H4TD"),
    Column[DueLine](
        "goods",
        lambda x: f"{x.title} × {formats.count(x.quantity)}",
        stretch=True,
        tip=lambda x: f"{x.title} · {x.sku}",
        sample="八个汉字的名称",
    ),
    Column[DueLine]("net", lambda x: formats.money(x.net_fen), numeric=True, sample="¥12,345.00"),
    Column[DueLine](
        "standing",
        _standing,
        tone=lambda x: "success" if x.hold is None else "warning",
        tip=_standing,
        sample="The order is not completed yet",
    ),
    Column[DueLine](
        "due", lambda x: f"{x.due_on:%m-%d}" if x.due_on else "–", tip=lambda x: formats.day(x.due_on), sample="03-02"
    ),
    Column[DueLine](
        "delivered",
        lambda x: formats.short_moment(x.delivered_at, today=shop_day(now())),
        tip=lambda x: formats.moment(x.delivered_at),
        sample="03-02 10:00",
        spare=True,
    ),
)


def figures(account: SupplierAccount) -> list[tuple[str, str]]:
    """A supplier's account, ready to show: the same for finance and for the supplier."""
    parts: list[tuple[Pair, str]] = [
        (("待结算", "Pending"), formats.money(account.pending_fen)),
        (("可打款", "Available"), formats.money(account.available_fen)),
        (("冻结", "Frozen"), formats.money(account.frozen_fen)),
        (("欠款", "Owed"), formats.money(account.owed_fen)),
        (("打款中", "In payout"), formats.money(account.in_payout_fen)),
        (("已打款", "Paid out"), formats.money(account.paid_out_fen)),
        (("下次结算", "Next due"), formats.day(account.next_due_on)),
    ]
    return [(in_words(words), value) for words, value in parts]


class Due(Watched):
    """What is due today.

    Attributes:
        suppliers: each supplier's part.
        chosen: the supplier in front, or None.
        picked: suppliers that are settled together; empty while it is the one in front alone.
        unknown_year: a year by whose working days lines are due, and whose holidays nobody entered; or None.
        lines: its lines that are on no statement.
        line: the line that is looked at, or None.
        account: its account, or None while it is read.
        terms: on which terms it is paid, or None while that is read.
        brought: the parts of what its statement would bring forward; read while these are looked into.
        is_at_brought: these are looked into.
        acting: what may be done: make statements, hold back.
        error: why the account could not be read.
    """

    def __init__(self, ask: Ask, person: Person) -> None:
        super().__init__()
        may = frozenset(person.permissions)
        self._ask = ask
        self._latest, self._terms_latest, self._calendar_latest = Latest(), Latest(), Latest()
        self.may_see = Permission.SETTLEMENT_STATEMENT_READ in may
        self.may_make = Permission.SETTLEMENT_STATEMENT_MAKE in may
        self.may_hold = Permission.SETTLEMENT_HOLD_EDIT in may
        self.may_edit_calendar = Permission.SETTLEMENT_TERMS_EDIT in may
        self.is_supplier = person.supplier_id is not None
        self.suppliers: Feed[DueSupplier] = Feed(ask, SUPPLIER_COLUMNS)
        self.lines: Feed[DueLine] = Feed(ask, LINE_COLUMNS)
        self.chosen: DueSupplier | None = None
        self.picked: tuple[DueSupplier, ...] = ()
        self.unknown_year: int | None = None
        self.line: DueLine | None = None
        self.account: SupplierAccount | None = None
        self.brought = Brought(ask, self.changed, may_open=Permission.LEDGER_JOURNAL_READ in may)
        self.is_at_brought = False
        self._terms: dict[UUID, Terms] = {}
        self.error: Exception | None = None
        self.acting: Acting[Any] = Acting(ask, lambda _done: self.refresh(), self.refresh)
        self.suppliers.watch(self._suppliers_read)

    @property
    def day(self) -> date:
        """The business day that is running."""
        return shop_day(now())

    @property
    def terms(self) -> Terms | None:
        """See the class."""
        return self._terms.get(self.chosen.supplier_id) if self.chosen is not None else None

    def open(self) -> None:
        """Read what is due, and on which terms."""
        day = self.day
        self._read_terms()
        self.suppliers.show(lambda engine, _after: settlement.list_due(engine, day=day))
        self._read_calendar()

    def choose(self, one: DueSupplier) -> None:
        """Look at one supplier's lines and account."""
        is_new = self.chosen is None or self.chosen.supplier_id != one.supplier_id
        self.chosen = one
        if is_new:
            self.line, self.account, self.error = None, None, None
            self.acting.drop()
            day, supplier_id = self.day, one.supplier_id
            self.lines.show(lambda engine, after: settlement.list_due_lines(engine, supplier_id, day=day, after=after))
            self._read_account()
        self._follow_brought()
        self._offer()
        self.changed()

    @property
    def may_look_at_brought(self) -> bool:
        """Whether the statement of the one in front would bring anything forward."""
        return self.chosen is not None and bool(self.chosen.owed_fen)

    def look_at_brought(self) -> None:
        """Look at the parts of that, and at those of whoever is in front next."""
        self.is_at_brought = True
        self._follow_brought()
        self.changed()

    def leave_brought(self) -> None:
        """Look at them no more."""
        self.is_at_brought = False
        self.changed()

    def _follow_brought(self) -> None:
        one = self.chosen
        self.is_at_brought = self.is_at_brought and self.may_look_at_brought
        if one is not None and self.is_at_brought:
            read = partial(settlement.due_forward, supplier_id=one.supplier_id)
            self.brought.follow(one.supplier_id, self.suppliers.as_of, read)

    @property
    def total(self) -> tuple[int, str, str]:
        """Of how many suppliers something is payable, what in all, and what waits in all."""
        payable, held = (one.payable_fen for one in self._ready()), (one.held_fen for one in self.suppliers.rows)
        return len(self._ready()), formats.money(sum(payable)), formats.money(sum(held))

    @property
    def nothing_due(self) -> bool:
        """Whether who makes statements has none to make."""
        return self.may_make and bool(self.suppliers.rows) and not self._ready()

    def _ready(self) -> list[DueSupplier]:
        """Those that a statement could be made for."""
        return [one for one in self.suppliers.rows if one.lines and one.blocked is None]

    def pick(self, rows: Sequence[DueSupplier]) -> None:
        """Be about these, where they are more than one."""
        picked = tuple(rows) if len(rows) > 1 else ()
        if picked != self.picked:
            self.picked = picked
            self._offer()
            self.changed()

    def look_at_line(self, line: DueLine | None) -> None:
        """Look at one line: what is held back may be its order."""
        if line != self.line:
            self.line = line
            self._offer()

    def refresh(self) -> None:
        """Read everything that is shown again."""
        if self.suppliers.as_of is None and not self.suppliers.loading:
            self.open()
            return
        self.suppliers.reload()
        self.lines.reload()
        self._read_account()

    def renew(self, *, is_own: bool) -> None:
        """Something was settled, held or paid, here or elsewhere."""
        if self.suppliers.as_of is not None:
            self._read_terms()
            self._read_calendar()
        self.suppliers.renew(is_own=is_own)
        self.lines.renew(is_own=is_own)
        self._read_account()

    def _suppliers_read(self) -> None:
        """Stay with the supplier in front as it is now; the first one is in front at first."""
        if self.suppliers.loading or not self.suppliers.rows:
            return
        at = self.chosen.supplier_id if self.chosen is not None else None
        self.choose(next((one for one in self.suppliers.rows if one.supplier_id == at), self.suppliers.rows[0]))

    def _read_terms(self) -> None:
        self._ask(settlement.list_terms, self._terms_latest.only(self._terms_read), lambda _error: None)

    def _read_calendar(self) -> None:
        """From November on the next year counts too: the State has told its holidays by then."""
        if self.may_edit_calendar:
            years = [self.day.year, *([self.day.year + 1] if self.day.month >= NEXT_YEAR_FROM else [])]
            then = self._calendar_latest.only(self._calendar_read)
            self._ask(lambda engine: settlement.unknown_years(engine, years), then, lambda _error: None)

    def _calendar_read(self, years: Sequence[int]) -> None:
        self.unknown_year = years[0] if years else None
        self.changed()

    def _terms_read(self, seen: Seen[Page[Terms]]) -> None:
        self._terms = {one.supplier_id: one for one in seen.value.items}
        self.changed()

    def _read_account(self) -> None:
        if self.chosen is None:
            return
        supplier_id = self.chosen.supplier_id
        then = self._latest.only(self._account_read)
        self._ask(lambda engine: settlement.account(engine, supplier_id), then, self._latest.also(self._not_read))

    def _account_read(self, seen: Seen[SupplierAccount]) -> None:
        self.account, self.error = seen.value, None
        self.changed()

    def _not_read(self, error: Exception) -> None:
        self.error = error
        self.changed()

    # --- what may be done ---

    def _offer(self) -> None:
        acts: list[Act[Any]] = []
        ready = self._ready()
        if self.may_make and ready:
            acts.append(self._make(ready))
            some = [one for one in self.picked or (self.chosen,) if one in ready]
            if 0 < len(some) < len(ready):
                acts.append(self._make(some, key=MAKE_SOME))
        if self.may_hold and self.chosen is not None:
            one, line = self.chosen, self.line
            if line is not None:
                acts.append(hold_act(self.acting, order_code=line.order_code))
            else:
                acts.append(hold_act(self.acting, supplier_id=one.supplier_id, supplier=one.supplier))
        self.acting.offer(acts)

    def _make(self, ready: list[DueSupplier], *, key: str = MAKE) -> Act[Any]:
        day, total = self.day, formats.money(sum(one.payable_fen for one in ready))
        only = [one.supplier_id for one in ready] if key == MAKE_SOME else None
        words: Pair = ("生成今天的结算单", "Make today's statements")
        if key == MAKE_SOME:
            words = (f"只给“{ready[0].supplier}”生成", f"Only for “{ready[0].supplier}”")
            if len(ready) > 1:
                n = formats.count(len(ready))
                words = (f"只给所选 {n} 家生成", f"Only for the {n} selected")

        def work(_typed: Mapping[str, str]) -> Work[Any]:
            return partial(settlement.make_statements, run_id=self.acting.attempt_id, day=day, suppliers=only)

        return Act(
            key,
            words,
            (
                f"把 {formats.count(len(ready))} 家供应商截至 {day} 可结的 {total} 生成为待确认的结算单；此时不动账。",
                f"{total} become drafts (suppliers: {formats.count(len(ready))}); nothing is booked yet.",
            ),
            ("已生成结算单，请核对后确认", "Made; confirm them"),
            work,
        )
