"""What channels paid out to our bank: arrivals, the days that wait for money, and withdrawals of channels' accounts.

`/api/reconcile/sweeps...`, `/api/reconcile/owed`, `/api/reconcile/withdrawals...`. Amounts are fen, days are those of
the shop, and every list is in keyset pages (`after`, `limit`).

`GET .../sweeps?day=&channel=&state=&open=`: arrivals in our bank, of a day those that have a part of it, `open=true`
those that are no withdrawal of a bill, of channels whose bills have any by then; `.../sweeps/{id}/check` and
`.../reverse` answer the sweep.
`GET .../owed?channel=`: days whose money has not come, or not as it is due, oldest first.
`GET .../withdrawals?channel=&day=&open=`: what left the channel's account for our bank by its fund bills, and what came
back to it (`open=true`: neither is with its other half); `.../withdrawals/{id}/pair` and `.../return` answer it.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated
from uuid import UUID

from pydantic import Field, field_validator

from shared.contracts.base import Answer, Day, Request
from shared.contracts.payments import Note, Version
from shared.contracts.reconcile import Channel
from shared.finance import SweepState
from shared.money import MAX_FEN

MOST_PARTS = 100  # over so many days an arrival may be shared


class SweepPart(Request):
    """What of an arrival is a day's: negative where a day on which more went back than came in is set off."""

    day: Day
    fen: Annotated[int, Field(strict=True, ge=-MAX_FEN, le=MAX_FEN)]

    @field_validator("fen")
    @classmethod
    def _is_something(cls, fen: int) -> int:
        if not fen:
            raise ValueError("0")
        return fen


class NewSweep(Request):
    """`POST /api/reconcile/sweeps`: money of a channel arrived in our bank. `reference` is the bank's own number.

    `others_fen` of it belongs to other businesses with the same merchant number, and is not booked as ours. `parts` say
    of which days the rest is, to the fen; without any it is of the oldest days that wait for money (`shared.owed`).
    Above the limit, also in slices of one day, where more arrives than is to come, by a bill that nobody else has seen,
    and with others' money at a number that is not shared, it waits (`proposed`) for a second person.
    """

    channel: Channel
    amount_fen: Annotated[int, Field(strict=True, ge=1, le=MAX_FEN)]
    others_fen: Annotated[int, Field(strict=True, ge=0, le=MAX_FEN)] = 0
    reference: Annotated[str, Field(pattern=r"^[^:]{1,64}$")]
    arrived_on: Day
    parts: Annotated[list[SweepPart], Field(max_length=MOST_PARTS)] = Field(default_factory=list)


class CheckSweep(Request):
    """`POST .../sweeps/{id}/check`, by another person: what waits is so. Not to `approve` may also who recorded it.

    `over_fen` is what the approver knows to come more than its days lack, as the sweep told: where it is more by now,
    nothing is booked.
    """

    approve: bool
    over_fen: Annotated[int, Field(strict=True, ge=0)] = 0
    note: Annotated[str, Field(max_length=400)] = ""
    version: Version


class ReverseSweep(Request):
    """`POST /api/reconcile/sweeps/{id}/reverse`: it was wrong. Afterwards the bank's number may be recorded again."""

    note: Note
    version: Version


class Sweep(Answer):
    """An arrival in our bank, booked once by its reference; one that was reversed or refused stays in the list.

    `parts` are what of it is which day's, oldest first. `withdrawal` is the number under which the money left the
    channel's account, where it is paired with a row of a fund bill. `note` says why it was refused or reversed.
    `over_fen`: while it waits to be booked, what of it is more than its days lack now.
    `actions`: what this reader may do now, `approve` and `send_back` of what waits, or `reverse`.
    """

    id: UUID
    channel: str
    parts: list[SweepPart]
    amount_fen: int
    others_fen: int
    reference: str
    arrived_on: date
    withdrawal: str | None = None
    over_fen: int = 0
    state: SweepState
    note: str
    recorded_by: str
    recorded_at: datetime
    checked_by: str | None
    checked_at: datetime | None
    reversed_by: str | None
    reversed_at: datetime | None
    reversal_checked_by: str | None
    actions: list[str]
    version: int


class OwedDay(Answer):
    """A day of which a channel owes us money by its bill, or has paid more than that (`GET /api/reconcile/owed`).

    `net_fen` is by the bill it was compared with. `corrected_fen` is how much more it owes by adjustments, by booked
    movements that no trade bill has, and of a signed day by a trade bill that came since. `short_fen` = net + corrected
    - arrived, negative where too much came. `waiting_fen` is recorded, and waits for a second person. `is_late`: money
    is lacking for longer than it is to take.
    """

    channel: str
    day: date
    net_fen: int
    corrected_fen: int
    arrived_fen: int
    waiting_fen: int
    short_fen: int
    is_late: bool = False


class Withdrawal(Answer):
    """Money that left the channel's account for our bank, a row of its fund bill, and the arrival it is paired with; or
    (`is_return`) that came back to the account.

    `paired_by`: `number` (both have it), `amount` (and a day that fits), else who said so. `returned_on` is when it
    came back, `other_number` by which movement, where the fund bill has it, and `reason` why somebody says so; of what
    came back they name the withdrawal. `candidates` are arrivals that are paired with nothing, the nearest first.
    `actions`: what this reader may do now, of `pair`, `return` and `not_returned`.
    """

    id: UUID
    channel: str
    day: date
    at: datetime
    number: str
    voucher: str
    note: str
    amount_fen: int
    arrival: Arrival | None
    paired_by: str | None
    is_return: bool = False
    returned_on: date | None = None
    other_number: str | None = None
    reason: str = ""
    candidates: list[Arrival] = Field(default_factory=list)
    actions: list[str] = Field(default_factory=list)


class Arrival(Answer):
    """What there is to know of an arrival beside a withdrawal."""

    id: UUID
    reference: str
    arrived_on: date
    amount_fen: int


class PairWithdrawal(Request):
    """`POST /api/reconcile/withdrawals/{id}/pair`: it is this arrival; None: it is not the one it is paired with."""

    sweep_id: UUID | None


class ReturnWithdrawal(Request):
    """`POST /api/reconcile/withdrawals/{id}/return`: it came back to the channel's account, or it did not."""

    is_returned: bool
    note: Note
