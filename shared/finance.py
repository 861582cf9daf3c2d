"""The kinds and state machines of finance: adjustments, disputes, differences, statements, payouts, and cycles of pay.

`shared.states` has all machines in its table; both sides take these names from here.
"""

from __future__ import annotations

from enum import StrEnum


class JournalCode(StrEnum):
    """What a journal is of (money-and-stock.md 2.3)."""

    PAY = "PAY"
    PROMO = "PROMO"
    SALE = "SALE"
    PSPFEE = "PSPFEE"
    SWEEP = "SWEEP"
    SUSPENSE = "SUSPENSE"
    ATTACH = "ATTACH"
    CORRECT = "CORRECT"
    REVERSE = "REVERSE"
    RESTORE = "RESTORE"
    REFUND = "REFUND"
    NOSTOCK = "NOSTOCK"
    RELEASE = "RELEASE"
    PAYOUT = "PAYOUT"
    FREEZE = "FREEZE"
    CHARGEBACK = "CHARGEBACK"
    ADJ = "ADJ"


class ShareKind(StrEnum):
    """How the platform's fee, or a distributor's commission, is said: of the line's amount, or of each piece."""

    PERCENT = "percent"
    FIXED = "fixed"


class Cycle(StrEnum):
    """When what was earned on a day is released. Working days are those of China, make-up days included."""

    D0 = "d0"
    DAYS = "days"
    WORKING_DAYS = "working_days"
    WEEKLY = "weekly"
    MONTHLY = "monthly"


class ReleaseFrom(StrEnum):
    """The instant that a line's cycle counts from."""

    DELIVERED = "delivered"
    COMPLETED = "completed"


class HoldReason(StrEnum):
    """Why a line is not released yet; the supplier reads it."""

    NOT_COMPLETED = "not_completed"
    CYCLE = "cycle"
    REFUND_OPEN = "refund_open"
    DISPUTED = "disputed"
    EXCEPTION_OPEN = "exception_open"
    BY_PERSON = "by_person"
    BELOW_MINIMUM = "below_minimum"


class StatementState(StrEnum):
    """A numbered statement (结算单) of one supplier."""

    DRAFT = "draft"
    CONFIRMED = "confirmed"
    PAID = "paid"
    DROPPED = "dropped"


class PayoutState(StrEnum):
    """An instruction to pay a statement: made by one person, checked by another, its result imported."""

    REQUESTED = "requested"
    APPROVED = "approved"
    SENT = "sent"
    CONFIRMED = "confirmed"
    FAILED = "failed"
    REFUSED = "refused"


class AdjustmentState(StrEnum):
    """A journal that a person proposes and another one posts."""

    PROPOSED = "proposed"
    POSTED = "posted"
    REFUSED = "refused"


KEPT_BY_ROWS = frozenset({"escrow", "suspense", "supplier_pending", "distributor_pending", "supplier_frozen", "payout"})
"""Kinds of the ledger's accounts whose balance is the sum of rows that say what it is for: no adjustment touches it."""


class SweepState(StrEnum):
    """Money of a channel that arrived in our bank. `reversing`: booked, and a second person decides if it stays."""

    PROPOSED = "proposed"
    BOOKED = "booked"
    REFUSED = "refused"
    REVERSING = "reversing"
    REVERSED = "reversed"


class DisputeState(StrEnum):
    """A complaint at the channel, or a chargeback, about an order's money."""

    OPENED = "opened"
    WON = "won"
    LOST = "lost"


class BillKind(StrEnum):
    """What a bill of a channel lists."""

    TRADES = "trades"
    FUNDS = "funds"


class DifferenceKind(StrEnum):
    """How the two sides of a reconciliation differ (product.md C06-A2, payments.md 8.2).

    `booked`: people put our books where a bill was, and by a later bill there is nothing to put right.
    """

    ONLY_OURS = "only_ours"
    ONLY_THEIRS = "only_theirs"
    UNPAID_OURS = "unpaid_ours"
    AMOUNT = "amount"
    FEE = "fee"
    STATE = "state"
    DUPLICATE = "duplicate"
    DATE_SHIFT = "date_shift"
    FOREIGN = "foreign"
    REFUND_ONLY_OURS = "refund_only_ours"
    REFUND_ONLY_THEIRS = "refund_only_theirs"
    REFUND_AMOUNT = "refund_amount"
    REFUND_STATE = "refund_state"
    FUND_ONLY_TRADES = "fund_only_trades"
    FUND_ONLY_FUNDS = "fund_only_funds"
    BALANCE = "balance"
    BOOKED = "booked"


class DifferenceState(StrEnum):
    """Where a difference stands. `matched` closed itself: a date shift whose other half came, or money of others."""

    OPEN = "open"
    PROPOSED = "proposed"
    WORKING = "working"
    RESOLVED = "resolved"
    MATCHED = "matched"


class DifferenceAction(StrEnum):
    """What people do about a difference."""

    DELIVER = "deliver"
    REFUND = "refund"
    ATTACH = "attach"
    BOOK = "book"
    CARRY = "carry"
    WRITE_OFF = "write_off"
    IGNORE = "ignore"


class DayState(StrEnum):
    """One channel's business day in reconciliation."""

    WAITING = "waiting"
    OPEN = "open"
    SIGNED = "signed"


_D, _S, _P, _A = DifferenceState, StatementState, PayoutState, AdjustmentState

DIFFERENCE: dict[DifferenceState, frozenset[DifferenceState]] = {
    _D.OPEN: frozenset({_D.PROPOSED, _D.WORKING, _D.RESOLVED, _D.MATCHED}),
    _D.PROPOSED: frozenset({_D.OPEN, _D.WORKING, _D.RESOLVED}),
    _D.WORKING: frozenset({_D.OPEN, _D.RESOLVED, _D.MATCHED}),
    _D.RESOLVED: frozenset(),
    _D.MATCHED: frozenset({_D.OPEN}),  # a newer bill has it again
}

STATEMENT: dict[StatementState, frozenset[StatementState]] = {
    _S.DRAFT: frozenset({_S.CONFIRMED, _S.DROPPED}),
    _S.CONFIRMED: frozenset({_S.PAID}),
    _S.PAID: frozenset({_S.CONFIRMED}),  # the bank sent it back: its payout failed, and another one follows
    _S.DROPPED: frozenset(),
}

PAYOUT: dict[PayoutState, frozenset[PayoutState]] = {
    _P.REQUESTED: frozenset({_P.APPROVED, _P.REFUSED}),
    _P.APPROVED: frozenset({_P.SENT, _P.REFUSED}),
    _P.SENT: frozenset({_P.CONFIRMED, _P.FAILED}),
    _P.CONFIRMED: frozenset({_P.FAILED}),  # returned by the receiving bank days later
    _P.FAILED: frozenset(),
    _P.REFUSED: frozenset(),
}

ADJUSTMENT: dict[AdjustmentState, frozenset[AdjustmentState]] = {
    _A.PROPOSED: frozenset({_A.POSTED, _A.REFUSED}),
    _A.POSTED: frozenset(),
    _A.REFUSED: frozenset(),
}

_W = SweepState

SWEEP: dict[SweepState, frozenset[SweepState]] = {
    _W.PROPOSED: frozenset({_W.BOOKED, _W.REFUSED}),
    _W.BOOKED: frozenset({_W.REVERSING, _W.REVERSED}),
    _W.REFUSED: frozenset(),
    _W.REVERSING: frozenset({_W.BOOKED, _W.REVERSED}),
    _W.REVERSED: frozenset(),
}

DISPUTE: dict[DisputeState, frozenset[DisputeState]] = {
    DisputeState.OPENED: frozenset({DisputeState.WON, DisputeState.LOST}),
    DisputeState.WON: frozenset(),
    DisputeState.LOST: frozenset(),
}

DIFFERENCE_ACTIONS: dict[DifferenceKind, tuple[DifferenceAction, ...]] = {
    DifferenceKind.UNPAID_OURS: (DifferenceAction.DELIVER, DifferenceAction.REFUND, DifferenceAction.IGNORE),
    DifferenceKind.ONLY_THEIRS: (
        DifferenceAction.ATTACH,
        DifferenceAction.REFUND,
        DifferenceAction.CARRY,
        DifferenceAction.IGNORE,
    ),
    DifferenceKind.ONLY_OURS: (DifferenceAction.CARRY, DifferenceAction.WRITE_OFF),
    DifferenceKind.AMOUNT: (DifferenceAction.BOOK, DifferenceAction.REFUND, DifferenceAction.CARRY),
    DifferenceKind.FEE: (DifferenceAction.BOOK, DifferenceAction.IGNORE),
    DifferenceKind.STATE: (DifferenceAction.CARRY, DifferenceAction.WRITE_OFF, DifferenceAction.IGNORE),
    DifferenceKind.DUPLICATE: (DifferenceAction.REFUND, DifferenceAction.CARRY),
    DifferenceKind.DATE_SHIFT: (DifferenceAction.CARRY, DifferenceAction.IGNORE),
    DifferenceKind.FOREIGN: (DifferenceAction.IGNORE,),
    DifferenceKind.REFUND_ONLY_OURS: (DifferenceAction.CARRY, DifferenceAction.WRITE_OFF),
    DifferenceKind.REFUND_ONLY_THEIRS: (DifferenceAction.BOOK, DifferenceAction.CARRY, DifferenceAction.IGNORE),
    DifferenceKind.REFUND_AMOUNT: (DifferenceAction.BOOK, DifferenceAction.CARRY),
    DifferenceKind.REFUND_STATE: (DifferenceAction.CARRY, DifferenceAction.BOOK, DifferenceAction.IGNORE),
    DifferenceKind.FUND_ONLY_TRADES: (DifferenceAction.CARRY, DifferenceAction.IGNORE),
    DifferenceKind.FUND_ONLY_FUNDS: (DifferenceAction.BOOK, DifferenceAction.CARRY, DifferenceAction.IGNORE),
    DifferenceKind.BALANCE: (DifferenceAction.CARRY, DifferenceAction.IGNORE),
    DifferenceKind.BOOKED: (DifferenceAction.BOOK, DifferenceAction.CARRY),
}
"""What may be done about each kind, the proposed thing first. Carried ones stay open into the next day's books."""
