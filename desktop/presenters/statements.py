"""Statements: what a supplier is owed of a day's release, line by line, and what finance does about it."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

from desktop.engine.engine import Engine
from desktop.exporting.workbook import Written
from desktop.operations import settlement, statement_file
from desktop.operations.seen import Seen
from desktop.presenters import formats, statement_acts
from desktop.presenters.acting import Act, Pair
from desktop.presenters.brought import Brought
from desktop.presenters.feed import Feed
from desktop.presenters.listing import Column
from desktop.presenters.many import ManyCases
from desktop.presenters.ports import Ask
from desktop.presenters.words import channel_word, in_words, tone, word
from shared.clock import now, shop_day
from shared.contracts.identity import Person
from shared.contracts.settlement import SettlementMode, Statement, StatementLine
from shared.finance import StatementState
from shared.ids import speak_order_code
from shared.permissions import Permission

STATES: tuple[StatementState | None, ...] = (None, *StatementState)
"""The filters, in this order; None is all."""

MODES: dict[SettlementMode, Pair] = {
    "profit_sharing": ("渠道分账", "Split by the channel"),
    "purchase": ("经销", "Purchase, paid by transfer"),
}
"""How suppliers are paid."""


def mode_word(mode: SettlementMode) -> str:
    """How a supplier is paid."""
    return in_words(MODES[mode])


@dataclass(frozen=True, slots=True)
class Sum:
    """One line of a statement's sum, ready to show. `is_total` is what the others come to, `is_brought` from before."""

    words: str
    amount: str
    is_total: bool = False
    is_brought: bool = False


FROM_BEFORE: Pair = ("上期结转", "From before")


def sums(one: Statement) -> list[Sum]:
    """What a statement is made of: release less deductions, with what is from before, less the fee."""
    parts: list[tuple[Pair, int]] = [
        (("结算释放", "Released"), one.release_fen),
        (("退款扣减", "Deducted for refunds"), -one.deductions_fen),
        (FROM_BEFORE, -one.owed_fen),
        (("打款手续费", "Payout fee"), -one.payout_fee_fen),
    ]
    total = Sum(in_words(("应付", "Payable")), formats.money(one.payable_fen), is_total=True)
    return [Sum(in_words(words), formats.money(fen), is_brought=words is FROM_BEFORE) for words, fen in parts] + [total]


def afterwards(one: Statement) -> list[tuple[str, str]]:
    """What became of a statement since it was confirmed: what was taken back of it, and what arrived; ready to show."""
    parts: list[tuple[Pair, int]] = [
        (("确认后的退款与拒付扣减", "Taken back since"), -one.withheld_fen),
        (("已打款到账", "Paid and arrived"), one.paid_fen),
    ]
    return [(in_words(words), formats.money(fen)) for words, fen in parts if fen]


def left_over(one: Statement) -> int:
    """What a statement is short of nought by: the supplier owes it, and the next one takes it off."""
    return one.payable_fen - (one.release_fen - one.deductions_fen - one.owed_fen - one.payout_fee_fen)


def _paid(one: Statement) -> str:
    return formats.money(one.paid_fen) if one.paid_fen else "–"


COLUMNS = (
    Column[Statement]("number", lambda s: s.number, code=True, sample="JS20261116-001"),
    Column[Statement](
        "supplier", lambda s: s.supplier, stretch=True, tip=lambda s: s.supplier, sample="八个汉字的名称"
    ),
    Column[Statement]("payable", lambda s: formats.money(s.payable_fen), numeric=True, sample="¥1,234,567.00"),
    Column[Statement](
        "paid",
        lambda s: formats.money(s.paid_fen) if s.paid_fen else "–",
        numeric=True,
        sample="¥1,234,567.00",
        spare=True,
    ),
    Column[Statement]("state", lambda s: word(s.state), tone=lambda s: tone(s.state), sample="Confirmed"),
    Column[Statement]("lines", lambda s: formats.count(s.lines), numeric=True, sample="12,345"),
    Column[Statement]("day", lambda s: f"{s.day:%m-%d}", tip=lambda s: formats.day(s.day), sample="03-02", spare=True),
    Column[Statement](
        "release", lambda s: formats.money(s.release_fen), numeric=True, sample="¥123,456.00", spare=True
    ),
    Column[Statement](
        "deductions", lambda s: formats.money(-s.deductions_fen), numeric=True, sample="-¥12,345.00", spare=True
    ),
)


def kind_word(line: StatementLine) -> str:
    """Whether a line gives or takes."""
    return in_words(("结算释放", "Release") if line.kind == "release" else ("退款扣减", "Deduction"))


def bill_row(line: StatementLine) -> str:
    """Where the channel's bill has it: the day and the row; a dash while no bill does."""
    if line.bill_day is None:
        return "–"
    row = in_words(("第 {n} 行", "row {n}")).format(n=line.bill_row) if line.bill_row is not None else ""
    return f"{formats.day(line.bill_day)} {row}".strip()


def _goods(line: StatementLine) -> str:
    return f"{line.title} × {formats.count(line.quantity)}"


def _delivered(line: StatementLine) -> str:
    return formats.short_moment(line.delivered_at, today=shop_day(now()))


LINE_COLUMNS = (
    Column[StatementLine]("code", lambda x: speak_order_code(x.order_code), code=True, sample="7K3M-9QX2-H4TD"),
    Column[StatementLine](
        "goods", _goods, stretch=True, tip=lambda x: f"{_goods(x)} · {x.sku}", sample="八个汉字的名称"
    ),
    Column[StatementLine]("kind", kind_word, sample="退款扣减", spare=True),
    Column[StatementLine]("amount", lambda x: formats.money(x.amount_fen), numeric=True, sample="¥12,345.00"),
    Column[StatementLine]("fee", lambda x: formats.money(-x.fee_fen), numeric=True, sample="-¥1,234.00"),
    Column[StatementLine]("net", lambda x: formats.money(x.net_fen), numeric=True, sample="¥12,345.00"),
    Column[StatementLine]("bill", bill_row, sample="2026-03-02 第 12 行", spare=True),
    Column[StatementLine](
        "delivered", _delivered, tip=lambda x: formats.moment(x.delivered_at), sample="03-02 10:00", spare=True
    ),
)


def _if_any(fen: int) -> str:
    return formats.money(fen) if fen else ""


def drilled(line: StatementLine) -> list[tuple[str, str, bool]]:
    """Where a line's money comes from, down to the row of the bill: what it is, how it reads, whether it is a code."""
    facts: list[tuple[Pair, str, bool]] = [
        (("类型", "Kind"), kind_word(line), False),
        (("规格", "SKU"), line.sku, True),
        (("发货", "Delivered"), formats.moment(line.delivered_at), False),
        (("订单金额", "Amount"), formats.money(line.amount_fen), False),
        (("店铺优惠", "Discount of the shop"), _if_any(line.discount_fen), False),
        (("平台服务费", "Platform fee"), _if_any(-line.fee_fen), False),
        (("分销佣金", "Commission"), _if_any(-line.commission_fen), False),
        (("结算金额", "Net"), formats.money(line.net_fen), False),
        (("此前已退款", "Refunded before"), _if_any(line.refunded_fen), False),
        (("此前争议败诉", "Lost in disputes before"), _if_any(line.lost_fen), False),
        (("分销商", "Distributor"), line.distributor, False),
        (("退款单号", "Refund"), line.refund_no or "", True),
        (("争议单号", "Dispute"), line.dispute_no or "", True),
        (("卡密批次", "Lots"), ", ".join(line.lots), False),
        (("支付渠道", "Channel"), channel_word(line.payment_channel) if line.payment_channel else "", False),
        (("商户订单号", "Our number"), line.payment_no or "", True),
        (("渠道流水号", "Channel's number"), line.provider_no or "", True),
        (("渠道账单", "Channel's bill"), bill_row(line) if line.payment_channel else "", False),
    ]
    return [(in_words(words), value, is_code) for words, value, is_code in facts if value]


class Statements(ManyCases[Statement]):
    """The state of the list, and of the lines of one statement.

    Attributes:
        state: the state that the list shows; None is all.
        supplier_id: whose statements the list shows; None is everybody's.
        lines_of: the statement whose lines are in front, or None while the list is.
        lines: its lines.
        line: the line that is looked into, or None.
        brought: the parts of what the one in front brought forward.
        is_at_brought: these are looked into beside its lines, instead of a line.
        exporting: its workbook is being written.
        exported: the workbook that was written last, or None.
        export_error: why it was not written.
    """

    def __init__(self, ask: Ask, person: Person) -> None:
        may = frozenset(person.permissions)
        super().__init__(ask, COLUMNS, may_see=Permission.SETTLEMENT_STATEMENT_READ in may)
        self.is_supplier = person.supplier_id is not None
        self.state: StatementState | None = None
        self.supplier_id: UUID | None = None
        self.lines_of: Statement | None = None
        self.lines: Feed[StatementLine] = Feed(ask, LINE_COLUMNS)
        self.line: StatementLine | None = None
        self.brought = Brought(ask, self.changed, may_open=Permission.LEDGER_JOURNAL_READ in may)
        self.is_at_brought = False
        self.exporting = False
        self.exported: Written | None = None
        self.export_error: Exception | None = None

    def show(self, *, state: StatementState | None, supplier_id: UUID | None = None) -> None:
        """Show the statements of a state, of everybody or of one supplier."""
        self._choose_list(is_other=(state, supplier_id) != (self.state, self.supplier_id))
        self.state, self.supplier_id = state, supplier_id
        self.feed.show(
            lambda engine, after: settlement.list_statements(engine, state=state, supplier_id=supplier_id, after=after)
        )
        self.changed()

    def show_list(self) -> None:
        self.show(state=self.state, supplier_id=self.supplier_id)

    def count_waiting(self) -> None:
        if self.may_see and not self.is_supplier:
            self.waiting.show(lambda engine, after: settlement.list_statements(engine, after=after))

    def waits(self, case: Statement) -> bool:
        return bool(case.actions)

    def read_one(self, case_id: UUID) -> Callable[[Engine], Coroutine[Any, Any, Seen[Statement]]]:
        return lambda engine: settlement.statement(engine, case_id)

    def acts_of(self, case: Statement) -> list[Act[Any]]:
        if self.outcomes:
            return []
        if self.picked:
            return statement_acts.acts_about(self.picked) if len(self.picked) <= self.most else []
        return statement_acts.acts_of(case, self.acting)

    def _acted(self, case: Any) -> None:
        if isinstance(case, list):
            self._acted_each(case)
        else:
            super()._acted(case)

    # --- its workbook ---

    @property
    def may_export(self) -> bool:
        """Whether a statement is in front, of which no workbook is being written."""
        return self.opened is not None and not self.picked and not self.outcomes and not self.exporting

    def export(self, target: Path) -> None:
        """Write the statement in front with all its lines."""
        one = self.opened
        if one is None or self.exporting:
            return
        self.exporting, self.exported, self.export_error = True, None, None
        self._ask(partial(statement_file.export, statement_id=one.id, target=target), self._written, self._not_written)
        self.changed()

    def leave_exported(self) -> None:
        """It was read where the workbook is, or why there is none."""
        self.exported, self.export_error = None, None
        self.changed()

    def _written(self, written: Written) -> None:
        self.exporting, self.exported = False, written
        self.changed()

    def _not_written(self, error: Exception) -> None:
        self.exporting, self.export_error = False, error
        self.changed()

    # --- lines ---

    def open_lines(self) -> None:
        """Bring the lines of the statement in front."""
        one = self.opened
        if one is None or self.lines_of is not None:
            return
        self.lines_of, self.line, self.is_at_brought = one, None, False
        self.lines.clear()
        self.lines.show(lambda engine, after: settlement.list_lines(engine, one.id, after=after))
        self.changed()

    def leave_lines(self) -> None:
        """Go back to the list."""
        if self.lines_of is not None:
            self.lines_of, self.line, self.is_at_brought = None, None, False
            self.changed()

    def look_into_line(self, line: StatementLine | None) -> None:
        """Follow one line down; None closes it."""
        self.line, self.is_at_brought = line, False
        self.changed()

    # --- what was brought forward ---

    def _show(self, case: Statement) -> None:
        read = partial(settlement.brought_forward, statement_id=case.id) if case.owed_fen else None
        self.brought.follow(case.id, case.version, read)
        super()._show(case)

    @property
    def may_look_at_brought(self) -> bool:
        """Whether the one in front brought anything forward."""
        return self.opened is not None and bool(self.opened.owed_fen)

    def look_at_brought(self) -> None:
        """Look at its parts beside the lines."""
        if self.may_look_at_brought:
            self.open_lines()
            self.line, self.is_at_brought = None, True
            self.changed()

    def find(self, case_id: UUID) -> None:
        self.leave_lines()
        super().find(case_id)

    def refresh(self) -> None:
        super().refresh()
        if self.lines_of is not None:
            self.lines.reload()
