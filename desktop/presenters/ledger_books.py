"""The ledger's books: every account with its balance, the book of one on a day, and the journals behind them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from desktop.engine.engine import Engine
from desktop.operations import ledger
from desktop.operations.seen import Seen
from desktop.presenters import formats
from desktop.presenters.feed import Feed
from desktop.presenters.listing import Column
from desktop.presenters.ports import Ask, Latest
from desktop.presenters.reconciliation_books import full_name
from desktop.presenters.watching import Watched
from desktop.presenters.words import in_words, party_words, word
from shared.clock import now, shop_day
from shared.contracts.base import Page
from shared.contracts.ledger import Account, AccountLine, DayClosing, Journal, LedgerFinding, LedgerHealth, Transfer
from shared.ids import speak_order_code

ACCOUNT_COLUMNS = (
    Column[Account]("account", lambda a: full_name(a.kind, a.name), stretch=True, tip=lambda a: a.kind),
    Column[Account]("balance", lambda a: formats.money(a.balance_fen), numeric=True, sample="-¥123,456,789.00"),
    Column[Account](
        "debits", lambda a: formats.money(a.debits_fen), numeric=True, sample="¥123,456,789.00", spare=True
    ),
    Column[Account](
        "credits", lambda a: formats.money(a.credits_fen), numeric=True, sample="¥123,456,789.00", spare=True
    ),
)


def _code(code: str | None) -> str:
    return speak_order_code(code) if code else "–"


def _nothing_if_none(fen: int) -> str:
    return formats.money(fen) if fen else ""


def _other(line: AccountLine) -> str:
    return full_name(line.other_kind, line.other_name)


LINE_COLUMNS = (
    Column[AccountLine]("at", lambda x: f"{formats.moment(x.occurred_at)[5:]}", sample="03-02 10:00:00"),
    Column[AccountLine]("what", lambda x: word(x.code), tip=lambda x: x.key, sample="退款未成恢复"),
    Column[AccountLine]("debit", lambda x: _nothing_if_none(x.debit_fen), numeric=True, sample="¥1,234,567.00"),
    Column[AccountLine]("credit", lambda x: _nothing_if_none(x.credit_fen), numeric=True, sample="¥1,234,567.00"),
    Column[AccountLine]("balance", lambda x: formats.money(x.balance_fen), numeric=True, sample="-¥1,234,567.00"),
    Column[AccountLine]("other", _other, stretch=True, tip=_other, sample="供应商可打款 · 星河数码"),
    Column[AccountLine]("order", lambda x: _code(x.order_code), code=True, sample="7K3M-9QX2-H4TD", spare=True),
)


CLOSING_COLUMNS = (
    Column[DayClosing]("day", lambda x: formats.day(x.day), sample="2026-03-02", stretch=True),
    Column[DayClosing]("opening", lambda x: formats.money(x.opening_fen), numeric=True, sample="-¥1,234,567.00"),
    Column[DayClosing]("debit", lambda x: _nothing_if_none(x.debits_fen), numeric=True, sample="¥1,234,567.00"),
    Column[DayClosing]("credit", lambda x: _nothing_if_none(x.credits_fen), numeric=True, sample="¥1,234,567.00"),
    Column[DayClosing]("closing", lambda x: formats.money(x.closing_fen), numeric=True, sample="-¥1,234,567.00"),
)


@dataclass(frozen=True, slots=True)
class Posting:
    """One transfer of a journal, as a line of a list."""

    journal: Journal
    transfer: Transfer
    n: int

    @property
    def id(self) -> tuple[UUID, int]:
        """The line again when the list was read anew."""
        return (self.journal.id, self.n)


def _debit(posting: Posting) -> str:
    return full_name(posting.transfer.debit_kind, posting.transfer.debit_name)


def _credit(posting: Posting) -> str:
    return full_name(posting.transfer.credit_kind, posting.transfer.credit_name)


def _who(posting: Posting) -> str:
    actor = posting.journal.actor
    words = party_words(actor) if actor else in_words(("系统", "The system"))
    return f"{words} · {posting.journal.memo}" if posting.journal.memo else words


POSTING_COLUMNS = (
    Column[Posting]("at", lambda p: f"{formats.moment(p.journal.occurred_at)[5:]}", sample="03-02 10:00:00"),
    Column[Posting]("what", lambda p: word(p.journal.code), tip=lambda p: p.journal.key, sample="退款未成恢复"),
    Column[Posting]("debit", _debit, stretch=True, tip=_debit, sample="供应商可打款 · 星河数码"),
    Column[Posting]("credit", _credit, stretch=True, tip=_credit, sample="供应商可打款 · 星河数码"),
    Column[Posting]("amount", lambda p: formats.money(p.transfer.amount_fen), numeric=True, sample="¥1,234,567.00"),
    Column[Posting]("order", lambda p: _code(p.journal.order_code), code=True, sample="7K3M-9QX2-H4TD", spare=True),
    Column[Posting]("who", _who, tip=_who, sample=("四字名字", "The system"), spare=True),
)


def postings(journals: list[Journal]) -> list[Posting]:
    """Each transfer of each journal, in their order."""
    return [Posting(one, transfer, n) for one in journals for n, transfer in enumerate(one.transfers)]


class Accounts(Watched):
    """Every account, and the book of one of them on a day.

    Attributes:
        feed: the accounts.
        chosen: the one in front, or None.
        day: the day of its book.
        lines: its book, oldest first.
        closings: the days that were closed of it, the newest first.
    """

    def __init__(self, ask: Ask) -> None:
        super().__init__()
        self.feed: Feed[Account] = Feed(ask, ACCOUNT_COLUMNS)
        self.lines: Feed[AccountLine] = Feed(ask, LINE_COLUMNS)
        self.closings: Feed[DayClosing] = Feed(ask, CLOSING_COLUMNS)
        self.chosen: Account | None = None
        self.day = self.today

    @property
    def today(self) -> date:
        """The business day that is running."""
        return shop_day(now())

    def open(self) -> None:
        """Read the accounts."""
        self.feed.show(lambda engine, after: ledger.list_accounts(engine, after=after))

    def choose(self, one: Account) -> None:
        """Open the book of one account."""
        if self.chosen is None or (one.kind, one.owner) != (self.chosen.kind, self.chosen.owner):
            self.chosen = one
            self.closings.clear()
            self.closings.show(
                lambda engine, after: ledger.list_closings(engine, one.kind, owner=one.owner, after=after)
            )
            self._read()

    def turn_to(self, day: date) -> None:
        """Open the book on another day, at most today."""
        self.day = min(day, self.today)
        self._read()

    def refresh(self) -> None:
        """Read everything that is shown again."""
        self.feed.reload()
        self.lines.reload()
        self.closings.reload()

    def _read(self) -> None:
        one, day = self.chosen, self.day
        if one is not None:
            self.lines.clear()
            self.lines.show(
                lambda engine, after: ledger.list_lines(engine, one.kind, owner=one.owner, day=day, after=after)
            )
        self.changed()


class Journals(Watched):
    """The journals of an order, or of a day.

    Attributes:
        code: the order whose journals are shown, or None.
        day: else the day.
        feed: their transfers.
    """

    def __init__(self, ask: Ask) -> None:
        super().__init__()
        self.code: str | None = None
        self.day = self.today
        self.feed: Feed[Posting] = Feed(ask, POSTING_COLUMNS)

    @property
    def today(self) -> date:
        """The business day that is running."""
        return shop_day(now())

    def open(self) -> None:
        """Read what is shown."""
        code, day = self.code, self.day

        async def read(engine: Engine, after: str | None) -> Seen[Page[Posting]]:
            if code is not None:
                told = await ledger.order_journals(engine, code)
                return Seen(Page(items=postings(told.value)), told.as_of, told.live)
            seen = await ledger.list_journals(engine, day=day, after=after)
            page: Page[Posting] = Page(items=postings(seen.value.items), next=seen.value.next)
            return Seen(page, seen.as_of, seen.live)

        self.feed.show(read)
        self.changed()

    def show_order(self, code: str) -> None:
        """Show the journals of an order, oldest first."""
        self.code = code
        self.open()

    def show_day(self, day: date) -> None:
        """Show the journals of a day, newest first."""
        self.code, self.day = None, min(day, self.today)
        self.open()


class Health(Watched):
    """What the continuous checks said last.

    Attributes:
        told: their answer, or None before.
        as_of: when it was read.
    """

    def __init__(self, ask: Ask, *, may_see: bool) -> None:
        super().__init__()
        self._ask = ask
        self._latest = Latest()
        self.may_see = may_see
        self.told: LedgerHealth | None = None
        self.as_of: datetime | None = None

    def open(self) -> None:
        """Ask for it; what cannot be read leaves what was known."""
        if self.may_see:
            self._ask(ledger.health, self._latest.only(self._read), lambda _error: None)

    def _read(self, seen: Seen[LedgerHealth]) -> None:
        self.told, self.as_of = seen.value, seen.as_of
        self.changed()

    @property
    def warning(self) -> str:
        """Why payouts are frozen, naming what is broken and where; empty while they are not."""
        if self.told is None or not self.told.payouts_frozen:
            return ""
        broken = [_told(one) for one in self.told.findings]
        words = in_words(("账目校验不通过，打款已冻结：{what}", "The books do not hold; payouts are frozen: {what}"))
        return words.format(what=in_words(("；", "; ")).join(broken))


def _told(one: LedgerFinding) -> str:
    """A broken invariant in the language of the window: the server tells both."""
    zh, _, en = one.sentence.partition(" / ")
    words = in_words(("{number} {what}（{rows}）", "{number} {what} ({rows})"))
    named = [full_name(account.kind, account.name) for account in one.accounts] or one.rows
    rows = in_words(("、", "; ")).join(named[:3])
    return words.format(number=one.invariant, what=in_words((zh, en or zh)), rows=rows)
