"""Reconciliation of a channel's business day: bills, their control totals, what differs, and the signed day.

`/api/reconcile/bills...`, `/api/reconcile/days...`, `/api/reconcile/differences...`.
Amounts are fen; days are the shop's. Every list is in keyset pages (`after`, `limit`).

`POST .../bills?name=&day=` takes one bill whole as its body; channel, kind and day are read in it, and `day` counts
where the file has no row that tells. `POST .../fetch`, `.../run` and `.../sign` answer the day.
`GET .../differences?day=&channel=&kind=&state=&open=` (`open=true`: what is not closed), oldest first; `.../handle` and
`.../check` answer the difference, and without an id, for many at once, those.

What arrived in our bank is in `contracts.bank`. A signed day found wrong is corrected by an adjustment of today that
names it (`contracts.ledger`).
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AfterValidator, Field

from shared.contracts.base import Answer, Request
from shared.contracts.payments import Note, OrderCode, Version
from shared.finance import (
    AdjustmentState,
    BillKind,
    DayState,
    DifferenceAction,
    DifferenceKind,
    DifferenceState,
)

Channel = Annotated[str, Field(min_length=1, max_length=16)]


class BillTotal(Answer):
    """One control figure: what the file prints, and what its rows add up to. Counts and fen alike."""

    name: str
    printed: int
    read: int
    is_amount: bool


class BillFile(Answer):
    """A bill that was fetched or dropped. `sha1` is of the uncompressed file, as the channel states it.

    `source` is `none` where the channel said that it has no bill of this day: then it has no row. One that was dropped
    and then came from the channel as well is `fetched`. `is_late`: the channel gave it last, after the day was
    signed with another one, which stays; what differs by it is work of the next open day.
    """

    id: UUID
    channel: str
    kind: BillKind
    day: date
    merchant_id: str
    name: str
    source: Literal["fetched", "dropped", "none"]
    added_by: str
    added_at: datetime
    bytes: int
    rows: int
    sha1: str
    sha256: str
    totals: list[BillTotal]
    is_current: bool
    is_late: bool = False


class FetchBills(Request):
    """`POST /api/reconcile/days/{day}/{channel}/fetch`: ask for its bills, also for those here. Empty on purpose."""


class DaySide(Answer):
    """One side's figures of a channel's day.

    `settled_fen` is what moves on our account there, less coupons that nobody pays out: without any, all of it.
    """

    payments: int
    payments_fen: int
    refunds: int
    refunds_fen: int
    fees_fen: int
    settled_fen: int = Field(default_factory=lambda said: said["payments_fen"] - said["refunds_fen"])


class DayDifferences(Answer):
    """How many differences of a kind are open and closed, `matched` of these by themselves, and what is open."""

    kind: DifferenceKind
    open: int
    closed: int
    matched: int = 0
    open_fen: int


class Balance(Answer):
    """The fund bill's identity: opening + receipts - refunds - fees + others - withdrawals = closing, to the fen.

    Withdrawals are less those that came back.
    """

    opening_fen: int
    receipts_fen: int
    refunds_fen: int
    fees_fen: int
    fees_returned_fen: int
    withdrawals_fen: int
    others_fen: int
    closing_fen: int
    off_by_fen: int


class Signature(Answer):
    """Who signed a day, when, over what, and `without` which bills: this channel makes none, by the shop's settings.

    `outputs_sha256` is over figures, matches and differences, in order.
    """

    signed_by: str
    signed_at: datetime
    note: str
    inputs_sha256: str
    outputs_sha256: str
    without: list[BillKind] = Field(default_factory=list)


class Correction(Answer):
    """An adjustment about a signed day. `psp_fen` is how much more the channel owes by it, less where negative."""

    id: UUID
    state: AdjustmentState
    psp_fen: int
    reason: str
    proposed_by: str
    proposed_at: datetime


class ReconciledDay(Answer):
    """One channel's business day (`GET /api/reconcile/days?from=&to=`, and alone with `/{day}/{channel}`).

    `net_fen` is what the channel owes us for the day: what is settled, less fees; `corrected_fen` how much more by what
    was booked or told since (`contracts.bank.OwedDay`). `arrived_fen` is what it paid out to our bank for it, as far as
    it is booked. `foreign` payments and refunds of the bill are of other businesses with the
    same merchant number: `foreign_fen`, less their fees, is in the bill, and no part of `net_fen`.
    `closed_themselves` differences stood open until another day and agree now, the last since `closed_themselves_at`.
    `outputs_sha256` is of the last run, None before one: `SignDay` names it. `actions`: `fetch`, `run`, `sign` as this
    reader may now, and `correct` of a signed day; `sign_waits_for` says what is missing, in the reader's language.
    """

    channel: str
    day: date
    state: DayState
    bills: list[BillFile]
    missing: list[BillKind]
    trouble: str | None
    run_at: datetime | None
    ours: DaySide
    theirs: DaySide
    matched: int
    matched_fen: int
    date_shifts: int
    differences: list[DayDifferences]
    closed_themselves: int = 0
    closed_themselves_at: datetime | None = None
    balance: Balance | None
    net_fen: int
    corrected_fen: int = 0
    arrived_fen: int
    foreign: int = 0
    foreign_fen: int = 0
    outputs_sha256: str | None = None
    signature: Signature | None
    corrections: list[Correction] = Field(default_factory=list)
    actions: list[str]
    sign_waits_for: list[str]


class Match(Answer):
    """One pair (`GET /api/reconcile/days/{day}/{channel}/matches`), for the workbook's details, by bill row."""

    order_code: str | None
    out_trade_no: str
    provider_no: str
    paid_at: datetime | None
    title: str
    supplier: str
    distributor: str
    amount_fen: int
    discount_fen: int
    paid_fen: int
    fee_fen: int
    fee_ppm: int | None
    net_fen: int
    matched_by: Literal["provider_no", "out_trade_no", "date_shift"]
    bill_row: int


class RefundMatch(Answer):
    """One refund of the day (`.../refunds`), ours with the channel's."""

    order_code: str | None
    asked_at: datetime | None
    succeeded_at: datetime | None
    out_trade_no: str
    out_refund_no: str
    provider_refund_no: str
    amount_fen: int
    fee_returned_fen: int
    confirmed_by: str
    confirmed_at: datetime | None
    state: str
    bill_row: int | None


class FundRow(Answer):
    """One movement of the fund bill (`.../funds`), with what it belongs to.

    `arrival` is the bank's number of a withdrawal, or that of the movement by which it came back.
    """

    bill_row: int
    at: datetime
    fund_no: str
    provider_no: str
    kind: str
    amount_fen: int
    balance_fen: int
    out_trade_no: str
    order_code: str | None
    arrival: str | None = None
    note: str


class Difference(Answer):
    """One difference. Both sides as they are, in words and in figures; `id` is the same in every run.

    `proposed_action` is what the engine advises, `action` what people decided. `two_people`: money above the limit.
    `exception_id`: where the money waits in the exceptions. `again_of`: the number under which the same was handled
    before a later bill said something else. `handled_at` without anybody: when it closed itself, after it was open.
    `actions` are what this reader may do now: actions of `DifferenceAction`, and `approve`, `send_back`.
    """

    id: UUID
    number: str
    channel: str
    day: date
    kind: DifferenceKind
    ours_words: str
    theirs_words: str
    ours_fen: int | None
    theirs_fen: int | None
    off_by_fen: int
    out_trade_no: str
    provider_no: str
    out_refund_no: str
    order_code: str | None
    bill_row: int | None
    exception_id: UUID | None = None
    found_at: datetime
    carried_from: date | None
    again_of: str | None = None
    state: DifferenceState
    proposed_action: DifferenceAction
    action: DifferenceAction | None
    action_order_code: str | None
    note: str
    handled_by: str | None
    handled_at: datetime | None
    checked_by: str | None
    checked_at: datetime | None
    two_people: bool
    actions: list[str]
    version: int


class SideFact(Answer):
    """One fact of a side, ready to show. The same fact of both sides has the same `key`, and the same name."""

    key: str
    name: str
    value: str


class DifferenceEvent(Answer):
    """A moment in the story of a payment or refund: placed, asked, told, paid, in the bill, handled."""

    at: datetime
    who: str
    what: str


class DifferenceDetail(Answer):
    """`GET /api/reconcile/differences/{id}`: both rows whole, the timeline, and orders the money may be meant for."""

    difference: Difference
    ours: list[SideFact]
    theirs: list[SideFact]
    events: list[DifferenceEvent]
    candidates: list[str]


class HandleDifference(Request):
    """`POST /api/reconcile/differences/{id}/handle`: what one person decides; above the limit another one approves."""

    action: DifferenceAction
    note: Note
    order_code: OrderCode | None = None
    version: Version


class CheckDifference(Request):
    """`POST /api/reconcile/differences/{id}/check`, by another person. `approve` false sends it back."""

    approve: bool
    note: Annotated[str, Field(max_length=400)] = ""
    version: Version


class SeenDifference(Request):
    """A difference as the person saw it."""

    id: UUID
    version: Version


def _each_once(differences: list[SeenDifference]) -> list[SeenDifference]:
    if len({one.id for one in differences}) < len(differences):
        raise ValueError("a difference is named twice")
    return differences


Seen = Annotated[list[SeenDifference], Field(min_length=1, max_length=1_000), AfterValidator(_each_once)]
"""Differences that one decision is about, each once."""


class HandleDifferences(Request):
    """`POST /api/reconcile/differences/handle`: one decision about many, about all of them or none.

    Another person approves it where one of them needs that, and where all together are above the limit. What needs an
    order of its own (`attach`) is decided one by one.
    """

    differences: Seen
    action: DifferenceAction
    note: Note


class CheckDifferences(Request):
    """`POST /api/reconcile/differences/check`, by another person: all of them are approved or sent back, or none."""

    differences: Seen
    approve: bool
    note: Annotated[str, Field(max_length=400)] = ""


class Differences(Answer):
    """What became of those that were decided on, in the order in which they were named."""

    items: list[Difference]


class SignDay(Request):
    """`POST /api/reconcile/days/{day}/{channel}/sign`: over exactly what the person saw; else 409 says what changed."""

    outputs_sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    note: Annotated[str, Field(max_length=400)] = ""
