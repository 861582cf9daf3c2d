"""What finance reads of the ledger, and how two people adjust it. Amounts are fen.

Every list is in keyset pages (`after`, `limit`); days are those on which journals were posted.

    GET  /api/ledger/accounts?day=                        Page[Account], by kind and owner
    GET  /api/ledger/accounts/{kind}/lines?owner=&day=    Page[AccountLine], oldest first
    GET  /api/ledger/accounts/{kind}/days?owner=          Page[DayClosing], newest first
    GET  /api/ledger/journals?day=&code=                  Page[Journal], newest first
    GET  /api/ledger/orders/{code}                        list[Journal], oldest first
    GET  /api/ledger/adjustments?state=&channel=&day=     Page[Adjustment], newest first; and /{id}
    POST /api/ledger/adjustments, /{id}/check, /{id}/withdraw
    GET  /api/ledger/disputes?state=&order=               Page[Dispute], newest first; and /{id}
    POST /api/ledger/disputes, /{id}/close
    GET  /api/ledger/health                               LedgerHealth

The change feed names `adjustment`, `dispute` and `ledger_health` to those who may see the ledger.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated
from uuid import UUID

from pydantic import Field

from shared.contracts.base import Answer, Day, Request
from shared.contracts.payments import Note, OrderCode, Version
from shared.finance import AdjustmentState, DisputeState, JournalCode
from shared.money import MAX_FEN

AccountKind = Annotated[str, Field(pattern=r"^[a-z_]{2,32}$")]
PositiveFen = Annotated[int, Field(strict=True, ge=1, le=MAX_FEN)]


class Account(Answer):
    """An account and what went through it until `day` ended (now without one).

    `owner` is a channel's code, a supplier's id in hex or empty; `name` what people call it. `balance_fen` is positive
    on the side the account normally stands on: debits for assets (A) and expenses (E), credits for L and I.
    """

    kind: str
    owner: str
    name: str
    side: str
    debits_fen: int
    credits_fen: int
    balance_fen: int


class Transfer(Answer):
    """One amount from a debited to a credited account; the names are what people call their owners, as in `Account`."""

    debit_kind: str
    debit_owner: str
    debit_name: str = ""
    credit_kind: str
    credit_owner: str
    credit_name: str = ""
    amount_fen: int


class Journal(Answer):
    """One business event as posted. `actor` is a person's label for what people posted, `memo` their reason."""

    id: UUID
    key: str
    code: JournalCode
    order_code: str | None
    occurred_at: datetime
    posted_at: datetime
    actor: str | None
    memo: str
    transfers: list[Transfer]


class AccountLine(Answer):
    """One transfer in the book of one account (`GET /api/ledger/accounts/{kind}/lines`), oldest first.

    `balance_fen` is what the account had after it, counted from `opening_fen` of the page's day.
    """

    journal_id: UUID
    key: str
    code: JournalCode
    order_code: str | None
    occurred_at: datetime
    debit_fen: int
    credit_fen: int
    balance_fen: int
    other_kind: str
    other_owner: str
    other_name: str = ""


class DayClosing(Answer):
    """An account's sums over one business day, as kept in `ledger_day`, with the balance before and after it."""

    day: date
    kind: str
    owner: str
    opening_fen: int
    debits_fen: int
    credits_fen: int
    closing_fen: int


class AdjustmentTransfer(Request):
    """One transfer of an adjustment, by the accounts' kinds and owners."""

    debit_kind: AccountKind
    debit_owner: Annotated[str, Field(max_length=64)] = ""
    credit_kind: AccountKind
    credit_owner: Annotated[str, Field(max_length=64)] = ""
    amount_fen: PositiveFen


class NewAdjustment(Request):
    """`POST /api/ledger/adjustments`: proposed by one person, posted when another approves. `ticket` names the case.

    Only an adjustment itself may be corrected by its opposite; what it may not touch is refused with a sentence.
    `channel` and `day`, both or none, name a signed day of reconciliation that was found wrong: it stays as it was
    signed, and is corrected by what is posted today.
    """

    id: UUID
    transfers: Annotated[list[AdjustmentTransfer], Field(min_length=1, max_length=20)]
    reason: Note
    ticket: Annotated[str, Field(min_length=1, max_length=80)]
    order_code: OrderCode | None = None
    channel: Annotated[str, Field(min_length=1, max_length=16)] | None = None
    day: Day | None = None


class CheckAdjustment(Request):
    """`POST /api/ledger/adjustments/{id}/check`, by another person than who proposed."""

    approve: bool
    note: Annotated[str, Field(max_length=400)] = ""
    version: Version


class WithdrawAdjustment(Request):
    """`POST /api/ledger/adjustments/{id}/withdraw`, by who proposed it."""

    version: Version


class Adjustment(Answer):
    """An adjustment and where it stands. `actions`: what this reader may do now, `check` or `withdraw`."""

    id: UUID
    state: AdjustmentState
    transfers: list[Transfer]
    reason: str
    ticket: str
    order_code: str | None
    channel: str | None = None
    day: date | None = None
    proposed_by: str
    proposed_at: datetime
    checked_by: str | None
    checked_at: datetime | None
    check_note: str
    actions: list[str]
    version: int


class OpenDispute(Request):
    """`POST /api/ledger/disputes`: a complaint or chargeback at the channel about `amount_fen` of an order."""

    id: UUID
    order_code: OrderCode
    amount_fen: PositiveFen
    channel_no: Annotated[str, Field(min_length=1, max_length=64)]
    reason: Note


class CloseDispute(Request):
    """`POST /api/ledger/disputes/{id}/close`: proposed by one person, done when another one says the same.

    `fine_fen` is what the channel charges on top when it is lost.
    """

    won: bool
    fine_fen: Annotated[int, Field(strict=True, ge=0, le=MAX_FEN)] = 0
    note: Note
    version: Version


class DisputeShare(Answer):
    """A supplier's share of what a dispute is about; what of it is not frozen had been paid out before."""

    supplier: str
    share_fen: int
    frozen_fen: int


class Dispute(Answer):
    """A dispute about an order's money; while it is open the suppliers' shares of it are frozen.

    `fine_fen` and `note` are what was proposed, or decided; `closed_note` is what the second person said of it.
    `actions`: `close` as this reader may now.
    """

    id: UUID
    order_code: str
    channel: str
    channel_no: str
    amount_fen: int
    fine_fen: int
    state: DisputeState
    reason: str
    opened_by: str
    opened_at: datetime
    shares: tuple[DisputeShare, ...] = ()
    proposed_by: str | None
    proposed_at: datetime | None = None
    proposes_won: bool | None
    note: str
    closed_by: str | None
    closed_at: datetime | None
    closed_note: str = ""
    actions: list[str]
    version: int


class FoundAccount(Answer):
    """An account by its kind, and what people call its owner."""

    kind: str
    name: str


class LedgerFinding(Answer):
    """A broken invariant with the rows that break it; where these are accounts, with the name of each."""

    invariant: str
    sentence: str
    rows: list[str]
    accounts: tuple[FoundAccount, ...] = ()


class LedgerHealth(Answer):
    """`GET /api/ledger/health`: what the continuous checks said last. While `findings` stand payouts are frozen."""

    looked_at: datetime | None
    read_everything_at: datetime | None
    findings: list[LedgerFinding]
    payouts_frozen: bool
