"""Settlement: on which terms suppliers are paid, what was released, the statements they can open, and the payouts.

Below `/api/settlement`; lists are a `Page`, suppliers see their own alone. Amounts are fen, rates ppm.

    GET terms, GET terms/{supplier_id} (all versions, newest first), PUT terms/{supplier_id}
    GET fee-rules, POST fee-rules                        see `shared.contracts.fees`
    GET due?day= (by supplier), GET due/{supplier_id}?day=&after=&limit= (its lines), GET due/{supplier_id}/brought
    GET statements?supplier_id=&state=&from=&to=&after=&limit= (by the day they are of), GET statements/{id}
    POST statements (a page of those it made)
    GET statements/{id}/lines?after=&limit=, GET statements/{id}/brought (see `shared.contracts.brought`)
    POST statements/{id}/{confirm|drop}
    GET payouts?supplier_id=&state=&after=&limit=, POST payouts, GET payouts/{id}, GET payouts/{id}/instruction
    POST payouts/{id}/{check|send|confirm|fail|withdraw}, POST payouts/results
    GET holds?all=, POST holds, DELETE holds/{id} (lets go; answers the hold)
    GET holidays?year=, PUT holidays/{day}
    GET accounts/{supplier_id}
"""

from __future__ import annotations

from datetime import date, datetime, time
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field, field_validator, model_validator

from shared.contracts.base import Answer, Day, Request
from shared.contracts.payments import Note, Version
from shared.finance import Cycle, HoldReason, PayoutState, ReleaseFrom, StatementState
from shared.money import MAX_FEN, PPM

SettlementMode = Literal["profit_sharing", "purchase"]
Tier = Annotated[str, Field(min_length=1, max_length=32)]

MOST_TAKEN = 1_000
"""So many payouts a console handles together."""

DEFAULT_SPLIT_PPM = 300_000
"""What of a payment WeChat Pay lets a merchant split with others unless it has granted more."""


class Terms(Answer):
    """On which terms a supplier is paid, as of `valid_from`; older ones are kept."""

    supplier_id: UUID
    supplier: str
    mode: SettlementMode
    cycle: Cycle
    n: int
    cutoff: time
    release_from: ReleaseFrom
    hold_days: int
    minimum_fen: int
    payout_fee_fen: int
    tier: str
    split_ppm: int = DEFAULT_SPLIT_PPM
    receiver: str = ""
    account: str = ""
    bank: str = ""
    valid_from: datetime
    changed_by: str
    version: int


class EditTerms(Request):
    """`PUT /api/settlement/terms/{supplier_id}`.

    `n` is days for D+n and T+n, the weekday (1 Monday..7) of a weekly cycle, the day (1..28) of a monthly one.
    `payout_fee_fen` is taken once of each payout, however many statements it pays.
    `cutoff` is the shop's time until which D+0 takes the day's lines; lines after it wait for the next day.
    `split_ppm` is what of a payment its channel lets us split with others; more than that is transferred.
    `receiver` at `account` of `bank` is who gets the money: an account at a bank, or at the channel that splits. The
    supplier's own name where no receiver is said.
    """

    mode: SettlementMode
    cycle: Cycle
    n: Annotated[int, Field(strict=True, ge=0, le=90)]
    cutoff: time = time(17, 0)
    release_from: ReleaseFrom = ReleaseFrom.COMPLETED
    hold_days: Annotated[int, Field(strict=True, ge=0, le=180)] = 0
    minimum_fen: Annotated[int, Field(strict=True, ge=0, le=MAX_FEN)] = 0
    payout_fee_fen: Annotated[int, Field(strict=True, ge=0, le=100_000)] = 0
    tier: Tier = "standard"
    split_ppm: Annotated[int, Field(strict=True, ge=0, le=PPM)] = DEFAULT_SPLIT_PPM
    receiver: Annotated[str, Field(max_length=120)] = ""
    account: Annotated[str, Field(max_length=64)] = ""
    bank: Annotated[str, Field(max_length=120)] = ""
    reason: Note
    version: Annotated[int, Field(strict=True, ge=0)]

    @field_validator("cutoff")
    @classmethod
    def _is_the_shops_time(cls, cutoff: time) -> time:
        if cutoff.tzinfo is not None:
            raise ValueError("截止时间为店铺当地时间，不带时区 / the cut-off is the shop's time, without a zone")
        return cutoff

    @model_validator(mode="after")
    def _n_fits_the_cycle(self) -> EditTerms:
        fits = {
            Cycle.D0: self.n == 0,
            Cycle.DAYS: self.n >= 1,
            Cycle.WORKING_DAYS: self.n >= 1,
            Cycle.WEEKLY: 1 <= self.n <= 7,
            Cycle.MONTHLY: 1 <= self.n <= 28,
        }
        if not fits[self.cycle]:
            raise ValueError("周期与天数不符 / the number does not fit the cycle")
        return self


class DueLine(Answer):
    """A delivered order line that is not on a statement yet: what is left of its share, when it is due, why not now."""

    order_line_id: UUID
    order_code: str
    supplier: str
    sku: str
    title: str
    quantity: int
    delivered_at: datetime
    share_fen: int
    refunded_fen: int
    net_fen: int
    due_on: date | None
    hold: HoldReason | None
    hold_note: str


class DueSupplier(Answer):
    """`GET /api/settlement/due?day=`: one supplier's part of what could be released that day.

    `payable_fen` = release - deductions - owed - payout fee, never negative.
    `owed_fen` is what it owed from before besides `deductions_fen`; negative where something was left over.
    `owing_since`: since when it has owed the shop money; after seven days people are told.
    """

    supplier_id: UUID
    supplier: str
    lines: int
    release_fen: int
    deductions_fen: int
    owed_fen: int
    payout_fee_fen: int = 0
    payable_fen: int
    held_lines: int
    held_fen: int
    holds: dict[HoldReason, int]
    blocked: HoldReason | None
    owing_since: datetime | None = None


class MakeStatements(Request):
    """`POST /api/settlement/statements`: freeze what is due on `day` into drafts, of these suppliers or of all.

    A repeat under the same id makes nothing twice.
    """

    id: UUID
    day: Day
    suppliers: Annotated[list[UUID], Field(max_length=500)] | None = None


class StatementPayout(Answer):
    """The payout that pays a statement, or is to: it is under way, or arrived."""

    id: UUID
    number: str
    state: PayoutState


class Statement(Answer):
    """A numbered statement (结算单). `payable_fen` = release - deductions - owed - payout fee, never negative.

    The fee is that of a payout of this statement alone: one payout of several statements takes the highest, once.
    `owed_fen` is what was owed from before; negative where something was left over, as of a dispute that was won.
    `withheld_fen` is what refunds and lost disputes took of its own lines between its confirmation and its payout; they
    are among its lines. `paid_fen` is what arrived of it: less, or nothing, of one that is `paid` where a row of its
    payout failed, or where refunds of other orders had taken what the supplier had.
    `has_account`: of one that waits for its payout, whether it is known where its supplier is paid to.
    `payout` is None while nobody pays it, also again where a payout of it failed.
    `actions`: what this reader may do now: `confirm`, `drop`, `pay`.
    """

    id: UUID
    number: str
    supplier_id: UUID
    supplier: str
    day: date
    mode: SettlementMode
    state: StatementState
    lines: int
    release_fen: int
    deductions_fen: int
    owed_fen: int
    payout_fee_fen: int
    payable_fen: int
    withheld_fen: int = 0
    paid_fen: int = 0
    made_by: str
    made_at: datetime
    confirmed_by: str | None
    confirmed_at: datetime | None
    paid_at: datetime | None
    has_account: bool = True
    payout: StatementPayout | None = None
    actions: list[str]
    version: int


class StatementLine(Answer):
    """One line of a statement: an order line released once, or (negative) what was taken of it after its release.

    amount + discount = net + fee + commission. `amount_fen` is what is left of what the buyer paid: `refunded_fen` and
    `lost_fen` of it had gone back by refunds and by lost disputes before the release. The shop bears `discount_fen`.
    A deduction has the number of its refund, or the channel's of the dispute that was lost. `distributor` is who
    brought the buyer. `payment_*` and `bill_*` lead on to the channel; None where there is no bill row yet. `lots` are
    import lots of the keys, by their short names. A supplier's person does not see the numbers of others.
    """

    order_line_id: UUID
    kind: Literal["release", "deduction"]
    order_code: str
    sku: str
    title: str
    quantity: int
    delivered_at: datetime
    amount_fen: int
    discount_fen: int = 0
    fee_fen: int
    commission_fen: int
    net_fen: int
    refunded_fen: int = 0
    lost_fen: int = 0
    distributor: str = ""
    refund_no: str | None
    dispute_no: str | None = None
    lots: list[str]
    payment_channel: str | None
    payment_no: str | None
    provider_no: str | None
    bill_day: date | None
    bill_row: int | None


class MoveStatement(Request):
    """`POST /api/settlement/statements/{id}/{confirm|drop}`."""

    note: Annotated[str, Field(max_length=400)] = ""
    version: Version


class NewPayout(Request):
    """`POST /api/settlement/payouts`: pay confirmed statements of one supplier. By one person, checked by another."""

    id: UUID
    statements: Annotated[list[UUID], Field(min_length=1, max_length=100)]
    note: Annotated[str, Field(max_length=400)] = ""


class MovePayout(Request):
    """`POST /api/settlement/payouts/{id}/{check|send|confirm|fail|withdraw}`.

    `approve` is for `check` (another person than who made it). `send` books it, and needs no reference: from then on
    the money counts as on its way, the instruction can be read and carried, and nothing is withdrawn any more: what was
    not carried, or did not arrive, `fail`s. `reference` is the bank's or channel's number: needed to `fail` what had
    arrived, which another person than its maker says.
    """

    approve: bool | None = None
    reference: Annotated[str, Field(max_length=64)] = ""
    note: Annotated[str, Field(max_length=400)] = ""
    version: Version


class EarlierPayout(Answer):
    """A payout of the same statements that ended without paying them, or one that paid the supplier in part.

    It `failed`, also after it had arrived (`arrived_at`), or was `refused`: when it was checked, or taken back later.
    Of one that is `confirmed` some (`back_fen`) did not arrive, or was given back, since the statement before was made.
    """

    number: str
    state: PayoutState = PayoutState.FAILED
    amount_fen: int
    back_fen: int = 0
    arrived_at: datetime | None
    ended_at: datetime | None
    reference: str
    note: str


class Payout(Answer):
    """An instruction to pay. `actions`: `check`, `send`, `confirm`, `fail`, `withdraw` as this reader may now.

    `arrived_fen` is what arrived: less than `amount_fen` where the channel could not split all of it; `returned_fen` of
    it was given back for refunds. `taken_by`: who took its instruction away last, as into a file. `earlier` are those
    whose money this one may pay again; `is_new_account`: nothing ever arrived at this account, in this name.
    """

    id: UUID
    number: str
    supplier_id: UUID
    supplier: str
    mode: SettlementMode
    statements: list[str]
    amount_fen: int
    fee_fen: int = 0
    arrived_fen: int = 0
    returned_fen: int = 0
    receiver: str = ""
    account: str = ""
    bank: str = ""
    is_new_account: bool = False
    earlier: tuple[EarlierPayout, ...] = ()
    state: PayoutState
    made_by: str
    made_at: datetime
    checked_by: str | None
    checked_at: datetime | None
    sent_by: str | None = None
    sent_at: datetime | None
    taken_by: str | None = None
    taken_at: datetime | None = None
    ended_by: str | None = None
    ended_at: datetime | None
    reference: str
    note: str
    actions: list[str]
    version: int


class InstructionRow(Answer):
    """One row for the bank or the channel: what `receiver` gets at `account`.

    Of a purchase there is one, a transfer. Of profit sharing there is one for each payment that is split, in requests
    of at most 50 receivers, to be made from `start_at` until `until`; `trouble` says that this part has to be
    transferred (`no_payment`), or cannot be split since it was sent and is to be told as failed (`too_late`,
    `too_many_rounds`): the next payout transfers it. `unfreeze` ends the splitting of a
    payment of which nothing more is to be split: its rest becomes ours. `return`, of a payout that arrived, is what its
    receiver has to give back, as the refunds of a payment need it. `succeeded` is what became of the row.
    """

    kind: Literal["transfer", "split", "unfreeze", "return"] = "transfer"
    request_no: str
    receiver: str
    account: str = ""
    bank: str = ""
    amount_fen: int
    remark: str
    channel: str | None = None
    payment_no: str | None = None
    provider_no: str | None = None
    order_code: str | None = None
    start_at: datetime | None = None
    until: datetime | None = None
    trouble: str | None = None
    succeeded: bool | None = None


class PayoutInstruction(Answer):
    """`GET /api/settlement/payouts/{id}/instruction`: what people carry to the bank or the channel.

    Refused until the payout was sent. Once it arrived: what of its splits is to be given back, and whose payments are
    still to be ended. `POST /api/settlement/payouts/instructions` takes them away, as into a file; `taken_by` is who
    had taken the same away before.
    """

    number: str
    mode: SettlementMode
    amount_fen: int
    taken_by: str | None = None
    taken_at: datetime | None = None
    rows: list[InstructionRow]


class TakeInstructions(Request):
    """`POST /api/settlement/payouts/instructions`: these are taken away to be carried; all are noted, or none."""

    payouts: Annotated[list[UUID], Field(min_length=1, max_length=MOST_TAKEN)]


class PayoutResult(Request):
    """One row of a result file of the bank or channel: of a payout by its number, or of one row by its `request_no`.

    A payout whose rows are told one by one ends with the last of them; what did not arrive is available again. What had
    been said to have arrived did not, or came back, by a file of another person than the payout's maker alone; what
    came back, of a whole payout or a split, with a `reference`. `line` is where it stands in the file, for what is said
    of it.
    """

    line: Annotated[int, Field(strict=True, ge=1)] | None = None

    number: Annotated[str, Field(min_length=1, max_length=32)]
    amount_fen: Annotated[int, Field(strict=True, ge=1, le=MAX_FEN)]
    succeeded: bool
    reference: Annotated[str, Field(max_length=64)] = ""
    reason: Annotated[str, Field(max_length=200)] = ""


class PayoutResults(Request):
    """`POST /api/settlement/payouts/results`: all rows of a file, or none when one does not fit."""

    id: UUID
    file_name: Annotated[str, Field(min_length=1, max_length=200)]
    file_sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    rows: Annotated[list[PayoutResult], Field(min_length=1, max_length=5_000)]


class PayoutResultsTaken(Answer):
    """What became of a result file.

    Payouts: `confirmed` by it in whole or `in_part`, `failed`, or `waiting` for what is told of more of their rows.
    Rows, and of some their sums: what `arrived` and what `lacked`; what was given back (`returned`); `unfrozen`, by
    which nobody is paid; of these two what failed (`not_done`); what had been said before (`known_before`).
    """

    confirmed: int = 0
    in_part: int = 0
    failed: int = 0
    waiting: int = 0
    arrived: int = 0
    arrived_fen: int = 0
    lacked: int = 0
    lacked_fen: int = 0
    returned: int = 0
    returned_fen: int = 0
    unfrozen: int = 0
    not_done: int = 0
    known_before: int = 0


class NewHold(Request):
    """`POST /api/settlement/holds`: hold one order's lines back, or all of a supplier. The supplier reads `reason`."""

    id: UUID
    order_code: Annotated[str, Field(max_length=24)] | None = None
    supplier_id: UUID | None = None
    reason: Note
    until: Day | None = None


class Hold(Answer):
    """A hold by a person, until it is let go."""

    id: UUID
    order_code: str | None
    supplier: str | None
    reason: str
    until: date | None
    held_by: str
    held_at: datetime
    freed_by: str | None
    freed_at: datetime | None


class Holiday(Answer):
    """A day of the working-day calendar: `works` says whether people work; `known` that its year is known at all."""

    day: date
    works: bool
    known: bool
    name: str


class EditHoliday(Request):
    """`PUT /api/settlement/holidays/{day}`: for years that the calendar lacks, and for corrections of the State."""

    works: bool
    name: Annotated[str, Field(max_length=80)] = ""


class SupplierAccount(Answer):
    """`GET /api/settlement/accounts/{supplier_id}`: the supplier's own view; the same figures finance sees."""

    supplier_id: UUID
    supplier: str
    pending_fen: int
    available_fen: int
    frozen_fen: int
    owed_fen: int
    in_payout_fen: int
    paid_out_fen: int
    next_due_on: date | None
    owing_since: datetime | None = None
