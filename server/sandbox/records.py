"""The facts the sandbox keeps, as frozen records, and the refusals its store can give.

Channel-neutral on purpose: every record names its channel, and nothing here knows how a channel writes on the wire.
Times are integer milliseconds since 1970 UTC (`..._ms`); amounts are integer fen.
"""

from dataclasses import dataclass
from typing import Literal

PaymentState = Literal["pending", "processing", "paid", "closed"]


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


@dataclass(frozen=True, slots=True)
class Payment:
    """One row of `payment`. `stored_state` alone is not the truth: ask `state_at`."""

    id: int
    channel: str
    merchant_id: str
    out_trade_no: str
    token: str
    amount_fen: int
    currency: str
    subject: str
    notify_url: str
    return_url: str
    created_at_ms: int
    expires_at_ms: int
    state: Literal["open", "accepted", "paid", "closed"]
    trade_no: str | None
    payer: str | None
    paid_at_ms: int | None
    answer_delay_ms: int
    refund_delay_ms: int

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
        return NewPayment(
            channel=self.channel,
            merchant_id=self.merchant_id,
            out_trade_no=self.out_trade_no,
            amount_fen=self.amount_fen,
            currency=self.currency,
            subject=self.subject,
            notify_url=self.notify_url,
            return_url=self.return_url,
            expires_at_ms=self.expires_at_ms,
        )


@dataclass(frozen=True, slots=True)
class Acceptance:
    """The buyer's confirmation: the numbers it gets, when it counts as paid, and the delays testers asked for."""

    trade_no: str
    payer: str
    paid_at_ms: int
    answer_delay_ms: int
    refund_delay_ms: int


@dataclass(frozen=True, slots=True)
class Refund:
    """One refund of a payment, with the number of that payment."""

    out_refund_no: str
    refund_no: str
    out_trade_no: str
    amount_fen: int
    reason: str
    succeeds_at_ms: int
    answer_delay_ms: int

    def state_at(self, now_ms: int) -> Literal["processing", "succeeded"]:
        """Return the state at a moment; a refund here never fails once it was taken."""
        return "succeeded" if self.succeeds_at_ms <= now_ms else "processing"


@dataclass(frozen=True, slots=True)
class NewNotification:
    """A message for a merchant: the exact bytes to post, from when on, and whether to sign them wrongly on purpose."""

    event_id: str
    copy: int
    url: str
    body: bytes
    wrongly_signed: bool
    dropped: bool
    due_at_ms: int


@dataclass(frozen=True, slots=True)
class Notification:
    """One row of `notification`: a message and how far its delivery has come."""

    id: int
    payment_id: int
    channel: str
    event_id: str
    copy: int
    url: str
    body: bytes
    wrongly_signed: int
    state: Literal["waiting", "acknowledged", "given_up", "dropped", "void"]
    attempts: int
    due_at_ms: int
    last_outcome: str
