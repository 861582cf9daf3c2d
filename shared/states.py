"""Every state machine as a literal table. A move that is not here is refused with the current state.

The server compares and sets by these tables, the console greys out by them, documents are made from them.
Each machine maps a state to the states it may become.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum, StrEnum
from typing import Any

from shared.errors import IllegalMove
from shared.finance import (
    ADJUSTMENT,
    DIFFERENCE,
    DISPUTE,
    PAYOUT,
    STATEMENT,
    SWEEP,
    AdjustmentState,
    DifferenceState,
    DisputeState,
    PayoutState,
    StatementState,
    SweepState,
)


class UnitState(IntEnum):
    """One card key in stock. Small integers: the row is hot."""

    FREE = 0
    HELD = 1
    SOLD = 2
    VOID = 3


class LotState(StrEnum):
    """One imported lot of a SKU. `importing` units are sold as they arrive."""

    OPEN = "open"
    FROZEN = "frozen"
    WITHDRAWN = "withdrawn"
    EXHAUSTED = "exhausted"


class SaleOrder(StrEnum):
    """Which lot of a product sells next, after those that expire first. Random also mixes the keys of a lot."""

    FIRST_IN = "first_in"
    RANDOM = "random"
    LAST_IN = "last_in"


class AlertKind(StrEnum):
    """What a stock alert is about."""

    SOLD_OUT = "sold_out"
    LOW_STOCK = "low_stock"
    LOW_COVER = "low_cover"
    EXPIRING = "expiring"
    OFFERED_ELSEWHERE = "offered_elsewhere"
    REVEALED_OFTEN = "revealed_often"


class OrderState(StrEnum):
    """One order of one buyer."""

    PENDING_PAYMENT = "pending_payment"
    PAID = "paid"
    DELIVERED = "delivered"
    COMPLETED = "completed"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    PARTIALLY_DELIVERED = "partially_delivered"
    DELIVERY_FAILED = "delivery_failed"
    REFUNDED = "refunded"
    PARTIALLY_REFUNDED = "partially_refunded"
    DISPUTED = "disputed"


class AttemptState(StrEnum):
    """One attempt to pay an order through one channel."""

    CREATED = "created"
    PENDING = "pending"
    PAID = "paid"
    CLOSED = "closed"
    UNKNOWN = "unknown"


class RefundState(StrEnum):
    """One refund of a paid attempt."""

    REQUESTED = "requested"
    SUPPLIER_WAIT = "supplier_wait"
    APPROVED = "approved"
    REFUSED = "refused"
    SUBMITTED = "submitted"
    PROCESSING = "processing"
    SUCCEEDED = "succeeded"
    ABNORMAL = "abnormal"
    CLOSED = "closed"


class ProductState(StrEnum):
    """A product as buyers see it: suppliers draft, an operator publishes."""

    DRAFT = "draft"
    PUBLISHED = "published"
    OFF_SHELF = "off_shelf"


class ImportState(StrEnum):
    """One upload of card keys."""

    RECEIVING = "receiving"
    INGESTING = "ingesting"
    DONE = "done"
    CANCELLED = "cancelled"


class JobState(StrEnum):
    """One row of work."""

    READY = "ready"
    RUNNING = "running"
    RETRY = "retry"
    DONE = "done"
    DEAD = "dead"


class ExceptionKind(StrEnum):
    """Why money or an order needs a person."""

    PAID_NO_STOCK = "paid_no_stock"
    PAID_AFTER_EXPIRY = "paid_after_expiry"
    PAID_TWICE = "paid_twice"
    AMOUNT_MISMATCH = "amount_mismatch"
    MERCHANT_MISMATCH = "merchant_mismatch"
    UNKNOWN_PAYMENT = "unknown_payment"
    BAD_SIGNATURES = "bad_signatures"
    PAYMENT_UNKNOWN = "payment_unknown"
    REFUND_STUCK = "refund_stuck"
    UNKNOWN_REFUND = "unknown_refund"
    BILL_MISSING = "bill_missing"


class ExceptionState(StrEnum):
    """How far an exception is: `proposed` waits for a second person, `working` for a channel or a delivery."""

    OPEN = "open"
    PROPOSED = "proposed"
    WORKING = "working"
    CLOSED = "closed"


class ExceptionAction(StrEnum):
    """What can be done about an exception."""

    DELIVER = "deliver"
    REFUND = "refund"
    ATTACH = "attach"
    ASK_AGAIN = "ask_again"
    CONFIRM = "confirm"
    RECORD = "record"
    DISMISS = "dismiss"


class UnmatchedState(StrEnum):
    """Money that a channel took and that pays no order: `returning` while its refund is under way.

    `corrected`: the channel named another amount later, and the right one was booked.
    """

    HELD = "held"
    RETURNING = "returning"
    RETURNED = "returned"
    ATTACHED = "attached"
    CORRECTED = "corrected"


class CallbackState(StrEnum):
    """One notification as it was kept: `deferred` could not be applied yet, `rejected` was signed by nobody we know."""

    DEFERRED = "deferred"
    APPLIED = "applied"
    REFUSED = "refused"
    REJECTED = "rejected"


class FoundBy(StrEnum):
    """The four ways to learn that money came, and the person who saw it."""

    CALLBACK = "callback"
    PAGE = "page"
    SWEEP = "sweep"
    BILL = "bill"
    PERSON = "person"


class RefundCause(StrEnum):
    """Why money goes back."""

    BUYER = "buyer"
    NO_STOCK = "no_stock"
    PAID_TWICE = "paid_twice"
    AMOUNT = "amount"
    UNMATCHED = "unmatched"
    SHOP = "shop"


class RefundPolicy(StrEnum):
    """When a wish for a refund is heard, frozen into the order. What cannot be delivered is always refunded."""

    BEFORE_VIEW = "before_view"
    UNUSED_ONLY = "unused_only"
    DEFECT_ONLY = "defect_only"
    NONE = "none"


class RefundReason(StrEnum):
    """What a buyer says is wrong, besides own words."""

    DEFECTIVE = "defective"
    USED = "used"
    UNWANTED = "unwanted"
    OTHER = "other"


class RefundTurn(StrEnum):
    """Who has the ball. Nobody has it once a refund has ended."""

    SUPPLIER = "supplier"
    SHOP = "shop"
    FINANCE = "finance"
    CHANNEL = "channel"


class RefundStep(StrEnum):
    """What happened to a refund: the lines of its timeline."""

    ASKED = "asked"
    STARTED = "started"
    AUTO_APPROVED = "auto_approved"
    AUTO_REFUSED = "auto_refused"
    SUPPLIER_AGREED = "supplier_agreed"
    SUPPLIER_REFUSED = "supplier_refused"
    SILENT = "silent"
    REPLACED = "replaced"
    REPLACED_BY_SHOP = "replaced_by_shop"
    SHOP_APPROVED = "shop_approved"
    SHOP_REFUSED = "shop_refused"
    CHECKED = "checked"
    STOPPED = "stopped"
    SUBMITTED = "submitted"
    DELAYED = "delayed"
    ACCEPTED = "accepted"
    RETRIED = "retried"
    ABNORMAL = "abnormal"
    RECORDED = "recorded"
    SUCCEEDED = "succeeded"
    CLOSED = "closed"


class BillTrouble(StrEnum):
    """Why the bill of a day is not read yet."""

    NOT_THERE = "not_there"
    NO_ANSWER = "no_answer"
    REFUSED = "refused"
    DAMAGED = "damaged"
    UNREADABLE = "unreadable"
    UNSURE = "unsure"


class UndoneReason(StrEnum):
    """Why a unit left its buyer, who had not seen it. What had been seen by staff, or replaced, became void."""

    REFUNDED = "refunded"
    REFUNDED_SPOILT = "refunded_spoilt"
    REPLACED = "replaced"


class RefundTrouble(StrEnum):
    """Why a refund waits, or ended without money."""

    NO_ANSWER = "no_answer"
    TOO_SOON = "too_soon"
    SLOW = "slow"
    NOT_ENOUGH_BALANCE = "not_enough_balance"
    ABNORMAL = "abnormal"
    REFUSED = "refused"
    DIFFERS = "differs"
    TOO_LATE = "too_late"
    TOO_MANY = "too_many"
    CHANNEL_GONE = "channel_gone"
    NOT_OFFERED = "not_offered"
    KEYS_SEEN = "keys_seen"
    NO_DEFECT = "no_defect"
    NOT_REFUNDABLE = "not_refundable"


U, O, A, R = UnitState, OrderState, AttemptState, RefundState  # noqa: E741 - the tables below read as tables

UNIT: dict[UnitState, frozenset[UnitState]] = {
    U.FREE: frozenset({U.HELD, U.SOLD, U.VOID}),
    U.HELD: frozenset({U.FREE, U.SOLD, U.VOID}),
    # A key that nobody has seen may come back when its money goes back.
    U.SOLD: frozenset({U.FREE, U.VOID}),
    U.VOID: frozenset(),
}

LOT: dict[LotState, frozenset[LotState]] = {
    LotState.OPEN: frozenset({LotState.FROZEN, LotState.WITHDRAWN, LotState.EXHAUSTED}),
    LotState.FROZEN: frozenset({LotState.OPEN, LotState.WITHDRAWN}),
    LotState.WITHDRAWN: frozenset(),
    LotState.EXHAUSTED: frozenset({LotState.OPEN}),  # an expired hold gives a unit back
}

ORDER: dict[OrderState, frozenset[OrderState]] = {
    # Payment and delivery are one transaction where stock is at hand, hence the direct way.
    O.PENDING_PAYMENT: frozenset({O.PAID, O.DELIVERED, O.EXPIRED, O.CANCELLED}),
    # Money that arrives late is still money: an expired or cancelled order may become paid.
    O.EXPIRED: frozenset({O.PAID, O.DELIVERED, O.DELIVERY_FAILED}),
    O.CANCELLED: frozenset({O.PAID, O.DELIVERED, O.DELIVERY_FAILED}),
    O.PAID: frozenset({O.DELIVERED, O.PARTIALLY_DELIVERED, O.DELIVERY_FAILED, O.REFUNDED}),
    O.DELIVERY_FAILED: frozenset({O.DELIVERED, O.REFUNDED}),
    O.PARTIALLY_DELIVERED: frozenset({O.DELIVERED, O.PARTIALLY_REFUNDED, O.DISPUTED}),
    O.DELIVERED: frozenset({O.COMPLETED, O.PARTIALLY_REFUNDED, O.REFUNDED, O.DISPUTED}),
    O.COMPLETED: frozenset({O.PARTIALLY_REFUNDED, O.REFUNDED, O.DISPUTED}),
    O.DISPUTED: frozenset({O.DELIVERED, O.COMPLETED, O.PARTIALLY_REFUNDED, O.REFUNDED}),
    O.PARTIALLY_REFUNDED: frozenset({O.COMPLETED, O.REFUNDED, O.DISPUTED}),
    O.REFUNDED: frozenset(),
}

ATTEMPT: dict[AttemptState, frozenset[AttemptState]] = {
    A.CREATED: frozenset({A.PENDING, A.UNKNOWN, A.PAID, A.CLOSED}),
    A.PENDING: frozenset({A.PAID, A.CLOSED, A.UNKNOWN}),
    A.UNKNOWN: frozenset({A.PENDING, A.PAID, A.CLOSED}),
    A.CLOSED: frozenset({A.PAID}),  # a channel may report money for what we closed
    A.PAID: frozenset(),
}

REFUND: dict[RefundState, frozenset[RefundState]] = {
    R.REQUESTED: frozenset({R.SUPPLIER_WAIT, R.APPROVED, R.REFUSED, R.CLOSED}),
    R.SUPPLIER_WAIT: frozenset({R.APPROVED, R.REFUSED, R.CLOSED}),
    R.APPROVED: frozenset({R.SUBMITTED, R.CLOSED}),
    R.SUBMITTED: frozenset({R.PROCESSING, R.SUCCEEDED, R.ABNORMAL, R.CLOSED}),
    R.PROCESSING: frozenset({R.SUCCEEDED, R.ABNORMAL, R.CLOSED}),
    R.ABNORMAL: frozenset({R.SUBMITTED, R.SUCCEEDED, R.CLOSED}),
    R.REFUSED: frozenset(),
    R.SUCCEEDED: frozenset(),
    R.CLOSED: frozenset(),
}

X = ExceptionState

EXCEPTION: dict[ExceptionState, frozenset[ExceptionState]] = {
    X.OPEN: frozenset({X.PROPOSED, X.WORKING, X.CLOSED}),
    X.PROPOSED: frozenset({X.OPEN, X.WORKING, X.CLOSED}),
    X.WORKING: frozenset({X.OPEN, X.CLOSED}),
    X.CLOSED: frozenset(),
}

UNMATCHED: dict[UnmatchedState, frozenset[UnmatchedState]] = {
    UnmatchedState.HELD: frozenset({UnmatchedState.RETURNING, UnmatchedState.ATTACHED, UnmatchedState.CORRECTED}),
    UnmatchedState.RETURNING: frozenset({UnmatchedState.RETURNED, UnmatchedState.HELD}),
    UnmatchedState.RETURNED: frozenset(),
    UnmatchedState.ATTACHED: frozenset(),
    UnmatchedState.CORRECTED: frozenset(),
}

CALLBACK: dict[CallbackState, frozenset[CallbackState]] = {
    CallbackState.DEFERRED: frozenset({CallbackState.APPLIED, CallbackState.REFUSED}),
    CallbackState.APPLIED: frozenset(),
    CallbackState.REFUSED: frozenset(),
    CallbackState.REJECTED: frozenset(),
}

_GOODS = (ExceptionAction.DELIVER, ExceptionAction.REFUND, ExceptionAction.RECORD)
_MONEY = (ExceptionAction.REFUND, ExceptionAction.ATTACH, ExceptionAction.RECORD)

EXCEPTION_ACTIONS: dict[ExceptionKind, tuple[ExceptionAction, ...]] = {
    ExceptionKind.PAID_NO_STOCK: _GOODS,
    ExceptionKind.PAID_AFTER_EXPIRY: _GOODS,
    ExceptionKind.PAID_TWICE: (ExceptionAction.REFUND, ExceptionAction.RECORD),
    ExceptionKind.AMOUNT_MISMATCH: _MONEY,
    ExceptionKind.MERCHANT_MISMATCH: (ExceptionAction.DISMISS,),
    ExceptionKind.UNKNOWN_PAYMENT: _MONEY,
    ExceptionKind.BAD_SIGNATURES: (ExceptionAction.DISMISS,),
    ExceptionKind.PAYMENT_UNKNOWN: (ExceptionAction.ASK_AGAIN, ExceptionAction.CONFIRM, ExceptionAction.DISMISS),
    ExceptionKind.REFUND_STUCK: (
        ExceptionAction.ASK_AGAIN,
        ExceptionAction.REFUND,
        ExceptionAction.RECORD,
        ExceptionAction.DISMISS,
    ),
    ExceptionKind.UNKNOWN_REFUND: (ExceptionAction.RECORD, ExceptionAction.DISMISS),
    ExceptionKind.BILL_MISSING: (ExceptionAction.DISMISS,),
}
"""What may ever be done about each kind, the usual thing first; what may be done now is for the server to say."""

WITHOUT_MONEY = frozenset({ExceptionAction.ASK_AGAIN, ExceptionAction.DISMISS})
"""What may be done about an exception that holds no money of ours: nothing can be given back or delivered for it."""

TWO_PEOPLE = frozenset(ExceptionAction) - WITHOUT_MONEY
"""Actions that move money or goods: one person proposes, another one approves."""

PRODUCT: dict[ProductState, frozenset[ProductState]] = {
    ProductState.DRAFT: frozenset({ProductState.PUBLISHED}),
    ProductState.PUBLISHED: frozenset({ProductState.OFF_SHELF}),
    ProductState.OFF_SHELF: frozenset({ProductState.PUBLISHED}),
}

IMPORT: dict[ImportState, frozenset[ImportState]] = {
    ImportState.RECEIVING: frozenset({ImportState.INGESTING, ImportState.CANCELLED}),
    ImportState.INGESTING: frozenset({ImportState.DONE}),
    ImportState.DONE: frozenset(),
    ImportState.CANCELLED: frozenset(),
}

MACHINES: dict[type[StrEnum] | type[IntEnum], Mapping[Any, frozenset[Any]]] = {
    UnitState: UNIT,
    LotState: LOT,
    OrderState: ORDER,
    AttemptState: ATTEMPT,
    RefundState: REFUND,
    ExceptionState: EXCEPTION,
    UnmatchedState: UNMATCHED,
    CallbackState: CALLBACK,
    ProductState: PRODUCT,
    ImportState: IMPORT,
    DifferenceState: DIFFERENCE,
    StatementState: STATEMENT,
    PayoutState: PAYOUT,
    AdjustmentState: ADJUSTMENT,
    SweepState: SWEEP,
    DisputeState: DISPUTE,
}


def may_move(state: StrEnum | IntEnum, to: StrEnum | IntEnum) -> bool:
    """Whether the machine of `state` allows the step."""
    return to in MACHINES[type(state)][state]


def require_move(state: StrEnum | IntEnum, to: StrEnum | IntEnum) -> None:
    """Raise IllegalMove, which names the current state, unless the step is in the table."""
    if not may_move(state, to):
        raise IllegalMove(machine=type(state).__name__, state=str(state.value), to=str(to.value))


def sources_of(to: StrEnum) -> tuple[StrEnum, ...]:
    """The states from which `to` can be reached: the guard of a compare-and-set."""
    return tuple(state for state, targets in MACHINES[type(to)].items() if to in targets)
