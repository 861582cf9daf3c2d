"""The books of one business day: its figures, whether they hold, and the workbook that proves it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path

from desktop.operations import reconciliation
from desktop.operations.reconciliation import WorkbookWritten
from desktop.operations.seen import Seen
from desktop.presenters import formats
from desktop.presenters.acting import Pair
from desktop.presenters.listing import Column, Listing
from desktop.presenters.ports import Ask, Latest
from desktop.presenters.watching import Watched
from desktop.presenters.words import CHANNELS, in_words
from shared.clock import now, shop_day
from shared.contracts.reports import DaySummary, LedgerTotal

ACCOUNTS = {
    "psp": ("渠道待到账", "Receivable from channels"),
    "bank": ("银行存款", "Bank"),
    "owed": ("应收供应商与分销商", "Owed by suppliers and distributors"),
    "escrow": ("买家已付待发货", "Escrow of buyers"),
    "suspense": ("暂收款", "Set aside, pays no order"),
    "supplier_pending": ("供应商待结算", "Suppliers, not released"),
    "supplier_available": ("供应商可打款", "Suppliers, released"),
    "supplier_frozen": ("供应商冻结", "Suppliers, frozen"),
    "distributor_pending": ("分销商待结算", "Distributors, not released"),
    "distributor_available": ("分销商可打款", "Distributors, released"),
    "payout": ("打款在途", "Payouts on their way"),
    "fee": ("平台服务费收入", "Platform fees"),
    "payout_fee": ("打款手续费收入", "Payout fees"),
    "psp_fee": ("渠道手续费", "Fees of channels"),
    "promo": ("优惠支出", "Discounts"),
    "loss": ("损失", "Losses"),
}
"""What the ledger's account kinds are called; one that is not here shows its code."""


def account_word(kind: str) -> str:
    """The name of a kind of account in the language of the window."""
    return in_words(ACCOUNTS.get(kind, (kind, kind)))


def account_names(kind: str, name: str) -> Pair:
    """An account in both languages: its kind, and what people call its owner."""
    zh, en = ACCOUNTS.get(kind, (kind, kind))
    whose = CHANNELS.get(name, (name, name))
    return (f"{zh} · {whose[0]}", f"{en} · {whose[1]}") if name else (zh, en)


def full_name(kind: str, name: str) -> str:
    """An account as people call it, in the language of the window."""
    return in_words(account_names(kind, name))


COLUMNS = (
    Column[LedgerTotal](
        "account", lambda total: account_word(total.account), stretch=True, tip=lambda total: total.account
    ),
    Column[LedgerTotal](
        "debits", lambda total: formats.money(total.debits_fen), numeric=True, sample="¥123,456,789.00"
    ),
    Column[LedgerTotal](
        "credits", lambda total: formats.money(total.credits_fen), numeric=True, sample="¥123,456,789.00"
    ),
)


@dataclass(frozen=True, slots=True)
class Proof:
    """One thing that must hold: its key (the view has the words), both sides ready to show, and whether it holds."""

    key: str
    left: str
    right: str
    holds: bool


def proofs(day: DaySummary) -> list[Proof]:
    """What finance looks at before signing. Everything is compared as integers."""
    debits = sum(total.debits_fen for total in day.ledger)
    credits = sum(total.credits_fen for total in day.ledger)
    worth, parts = day.delivered_fen + day.discount_fen, day.supplier_fen + day.commission_fen + day.fee_fen
    return [
        Proof("ledger", formats.money(debits), formats.money(credits), debits == credits),
        Proof("split", formats.money(worth), formats.money(parts), worth == parts),
        Proof(
            "delivered",
            formats.money(day.paid_fen),
            formats.money(day.delivered_fen),
            day.paid_fen == day.delivered_fen,
        ),
        Proof("exceptions", formats.count(day.exceptions_open), formats.count(0), day.exceptions_open == 0),
    ]


class Books(Watched):
    """The state of the day's books.

    Attributes:
        day: the business day in front.
        summary: its figures, or None while they are read; `as_of` and `live` say how old they are.
        accounts: the ledger's totals by account.
        written: the workbook that was written last for this day, or None.
        error: why the figures or the workbook did not come.
    """

    def __init__(self, ask: Ask) -> None:
        super().__init__()
        self._ask = ask
        self._latest = Latest()
        self.day = self.today - timedelta(days=1)
        self.summary: DaySummary | None = None
        self.as_of: datetime | None = None
        self.live = True
        self.loading = False
        self.exporting = False
        self.accounts: Listing[LedgerTotal] = Listing(COLUMNS)
        self.written: WorkbookWritten | None = None
        self.error: Exception | None = None

    @property
    def today(self) -> date:
        """The business day that is running."""
        return shop_day(now())

    @property
    def is_over(self) -> bool:
        """Whether nothing more can happen on the day in front."""
        return self.day < self.today

    @property
    def holds(self) -> bool:
        """Whether everything that must hold does."""
        return self.summary is not None and all(proof.holds for proof in proofs(self.summary))

    def show(self, day: date) -> None:
        """Show another day, at most today."""
        self.day = min(day, self.today)
        self.summary, self.as_of, self.written, self.error = None, None, None, None
        self.accounts.show_rows([])
        self.refresh()

    def step(self, days: int) -> None:
        """Go so many days on, or back."""
        if self.day + timedelta(days=days) <= self.today:
            self.show(self.day + timedelta(days=days))

    def refresh(self) -> None:
        """Read the figures again."""
        self.loading, self.error = True, None
        day = self.day
        then = self._latest.only(self._read)
        self._ask(lambda engine: reconciliation.day_summary(engine, day), then, self._latest.also(self._failed))
        self.changed()

    @property
    def file_name(self) -> str:
        """What the workbook is called unless a person says otherwise."""
        return f"kameng-{self.day.isoformat()}.xlsx"

    def export(self, target: Path) -> None:
        """Write the day's workbook."""
        if self.exporting:
            return
        self.exporting, self.error, self.written = True, None, None
        day = self.day
        self._ask(
            lambda engine: reconciliation.export_workbook(engine, day=day, target=target),
            self._written,
            self._export_failed,
        )
        self.changed()

    def _read(self, seen: Seen[DaySummary]) -> None:
        self.loading, self.summary = False, seen.value
        self.as_of, self.live = seen.as_of, seen.live
        self.accounts.show_rows(seen.value.ledger)
        self.changed()

    def _written(self, written: WorkbookWritten) -> None:
        self.exporting = False
        if written.day == self.day:
            self.written, self.summary = written, written.summary
            self.accounts.show_rows(written.summary.ledger)
        self.changed()

    def _failed(self, error: Exception) -> None:
        self.loading, self.error = False, error
        self.changed()

    def _export_failed(self, error: Exception) -> None:
        self.exporting, self.error = False, error
        self.changed()
