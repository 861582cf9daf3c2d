"""The facts the sandbox keeps, as frozen records, and the refusals its store can give.

Channel-neutral on purpose: every record names its channel, and nothing here knows how a channel writes on the wire.
Times are integer milliseconds since 1970 UTC (`..._ms`); amounts are integer fen. What only one channel knows of a
payment or a refund is in `extra`, JSON text that this layer never reads.
"""

from dataclasses import dataclass, fields
from typing import Literal

PaymentState = Literal["pending", "processing", "paid", "closed"]
RefundState = Literal["processing", "succeeded", "abnormal", "closed"]
Signing = Literal["right", "wrong", "probe", "none"]
"""How an answer or a notification is signed; `probe` is a signature wrong on purpose that says so (WeChat Pay)."""


class StoreInUse(Exception):
    """Another sandbox holds this data folder."""


class StoreTooNew(Exception):
    """The file was written by a later version of the sandbox."""


class NumberUsed(Exception):
    """The merchant used this number before, for something else."""


class AlreadyPaid(Exception):
    """The payment cannot be closed: it is paid."""


class NotPaid(Exception):
    """The payment cannot be refunded: it is not paid."""


class AmountExceeded(Exception):
    """The refunds of a payment would be more than was paid."""


class BalanceTooLow(Exception):
    """The merchant's balance does not cover the refund (a fault that testers order)."""


@dataclass(frozen=True, slots=True)
class NewPayment:
    """What a merchant asks for; the content that must be the same when the number is repeated."""

    channel: str
    merchant_id: str
    out_trade_no: str
    amount_fen: int
    currency: str
    subject: str
    notify_url: str
    return_url: str
    expires_at_ms: int
    app_id: str = ""
    product: str = "page"
    extra: str = "{}"


@dataclass(frozen=True, slots=True)
class Payment:
    """One row of `payment`. `state` alone is not the truth: ask `state_at`.

    A number that was paid twice has two rows: the second with `repeat` 1 and its own `trade_no`.
    `paid_fen` is what the channel charged, `payer_fen` what the payer gave after coupons; both None until it is paid.
    `opened_at_ms` is when the merchant last asked for it, `scanned_at_ms` when its page was first looked at.
    """

    id: int
    channel: str
    merchant_id: str
    app_id: str
    product: str
    out_trade_no: str
    repeat: int
    token: str
    amount_fen: int
    currency: str
    subject: str
    notify_url: str
    return_url: str
    created_at_ms: int
    opened_at_ms: int
    expires_at_ms: int
    scanned_at_ms: int | None
    state: Literal["open", "accepted", "paid", "closed"]
    trade_no: str | None
    payer: str | None
    paid_at_ms: int | None
    paid_fen: int | None
    payer_fen: int | None
    extra: str

    def state_at(self, now_ms: int) -> PaymentState:
        """Return the state at a moment: `open` ends at its expiry, `accepted` becomes paid when its delay is over."""
        if self.state == "open":
            return "closed" if self.expires_at_ms <= now_ms else "pending"
        if self.state == "accepted":
            assert self.paid_at_ms is not None
            return "paid" if self.paid_at_ms <= now_ms else "processing"
        return self.state

    def asked(self) -> NewPayment:
        """Return what the merchant asked for, to compare a repeated request with."""
        return NewPayment(**{field.name: getattr(self, field.name) for field in fields(NewPayment)})


@dataclass(frozen=True, slots=True)
class Acceptance:
    """The buyer's confirmation: the number it gets, who pays how much, and when it counts as paid."""

    trade_no: str
    payer: str
    paid_at_ms: int
    paid_fen: int
    payer_fen: int


@dataclass(frozen=True, slots=True)
class NewRefund:
    """What a merchant asks to be given back, and how it will end."""

    out_refund_no: str
    refund_no: str
    amount_fen: int
    reason: str
    notify_url: str
    final_at_ms: int
    outcome: Literal["succeeded", "abnormal", "closed"] = "succeeded"
    extra: str = "{}"


@dataclass(frozen=True, slots=True)
class Refund:
    """One row of `refund`, with the number of its payment."""

    id: int
    payment_id: int
    channel: str
    merchant_id: str
    out_trade_no: str
    out_refund_no: str
    refund_no: str
    amount_fen: int
    reason: str
    notify_url: str
    created_at_ms: int
    final_at_ms: int
    outcome: Literal["succeeded", "abnormal", "closed"]
    extra: str

    def state_at(self, now_ms: int) -> RefundState:
        """Return the state at a moment: processing until its delay is over, then how it ends."""
        return self.outcome if self.final_at_ms <= now_ms else "processing"


@dataclass(frozen=True, slots=True)
class NewNotification:
    """A message for a merchant: its content, from when on it is sent, and how it is signed on purpose.

    `url` and `body` are what the dialect's notice said; the dialect turns them into the request of each delivery.
    """

    event_id: str
    copy: int
    url: str
    body: bytes
    due_at_ms: int
    state: Literal["waiting", "held", "dropped"] = "waiting"
    signing: Signing = "right"
    refund_id: int | None = None


@dataclass(frozen=True, slots=True)
class Notification:
    """One row of `notification`: a message and how far its delivery has come."""

    id: int
    payment_id: int
    refund_id: int | None
    channel: str
    merchant_id: str
    out_trade_no: str
    event_id: str
    copy: int
    url: str
    body: bytes
    signing: Signing
    state: Literal["waiting", "held", "acknowledged", "given_up", "dropped", "void"]
    attempts: int
    due_at_ms: int
    after_id: int | None
    last_outcome: str


@dataclass(frozen=True, slots=True)
class Movement:
    """Money that moved at a moment, as bills list it: a payment, or one of its refunds when `refund` is given."""

    at_ms: int
    payment: Payment
    refund: Refund | None = None
