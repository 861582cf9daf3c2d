"""What a payment channel is to the shop: five calls out, one notification in, facts in fen and UTC.

`payments` speaks only this; each channel is one file beside it that imports no domain. All amounts are integer fen,
all instants aware UTC. A gateway keeps no state but its keys: the caller owns numbers, attempts and retries.

What a call may raise, and what the caller does then:

    ChannelUnknown   nobody knows whether it happened (time-out, 5xx, answer that is not the channel's).
                     Ask again with `query` / `query_refund` under the same number; never start a second one.
    ChannelRefused   the channel understood and said no; `reason_code` is its own word. Nothing happened there.

What `verify` may raise: BadSignature (not from the channel, or too old to trust), MalformedNotice (from the channel,
but not understood). Both are answered with `refused(...)` and change nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

from shared.errors import BadInput, KamengError
from shared.money import Fen

CLOCK_SKEW_SECONDS = 300
"""How far a signed time stamp may be from ours. An older notification is refused: the query finds its payment."""

PaymentState = Literal["pending", "paid", "closed"]
RefundOutcome = Literal["processing", "succeeded", "failed"]


@dataclass(frozen=True, slots=True)
class CreatePayment:
    """A payment to open. `out_trade_no` is ours, 6 to 32 of `[0-9A-Za-z_-]`, new for each attempt."""

    out_trade_no: str
    amount_fen: Fen
    subject: str
    notify_url: str
    return_url: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class PaymentOpened:
    """Where the buyer pays: a page to open, and the text of the QR code for another device."""

    pay_url: str
    qr_text: str


@dataclass(frozen=True, slots=True)
class PaymentFact:
    """What the channel says of one payment. The caller compares merchant, amount and currency with its attempt.

    `provider_no` and `paid_at` are None until it is paid; `event_id` is None when we asked, and names the
    notification when the channel told.
    """

    channel: str
    out_trade_no: str
    provider_no: str | None
    merchant_id: str
    amount_fen: Fen
    currency: str
    state: PaymentState
    paid_at: datetime | None
    event_id: str | None


@dataclass(frozen=True, slots=True)
class CreateRefund:
    """A refund of a part or all of a paid payment. `out_refund_no` is ours and stays the same on every retry."""

    out_refund_no: str
    out_trade_no: str
    amount_fen: Fen
    reason: str


@dataclass(frozen=True, slots=True)
class RefundFact:
    """What the channel says of one refund."""

    out_refund_no: str
    refund_no: str
    out_trade_no: str
    amount_fen: Fen
    state: RefundOutcome


@dataclass(frozen=True, slots=True)
class NoticeReply:
    """The exact answer a channel expects to its notification."""

    status: int
    body: bytes
    media_type: str


class ChannelUnknown(KamengError):
    """The outcome at the channel is not known; `query` under the same number before anything else."""

    code = "channel_unknown"
    status = 502
    zh = "支付渠道“{channel}”暂时没有给出结果，请稍后刷新。已付的款项不会丢失。"
    en = (
        "The payment channel “{channel}” did not give a result yet; please refresh in a moment. Money paid is not lost."
    )

    def __init__(self, *, channel: str, detail: str) -> None:
        """`detail` is for the log (no key, no signature, no body); people read the sentence."""
        super().__init__(channel=channel)
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.code}: {self.params['channel']}: {self.detail}"


class ChannelRefused(KamengError):
    """The channel said no. `reason_code` is its own code, for example `ALREADY_PAID`."""

    code = "channel_refused"
    status = 502
    zh = "支付渠道“{channel}”拒绝了这次请求（{reason_code}）。请换一种支付方式，或稍后再试。"
    en = "The payment channel “{channel}” refused the request ({reason_code}). Use another one, or try again later."

    def __init__(self, *, channel: str, reason_code: str) -> None:
        super().__init__(channel=channel, reason_code=reason_code)
        self.reason_code = reason_code


class BadSignature(KamengError):
    """A notification that the channel's key did not sign over these bytes and this time.

    `reason` is `incomplete`, `unreadable`, `forged` or `stale`. Stale ones are really the channel's: many of them mean
    that a clock is wrong.
    """

    code = "bad_signature"
    status = 401
    zh = "通知的签名无效（{reason}）。"
    en = "The notification's signature is not valid ({reason})."

    def __init__(self, *, reason: str) -> None:
        super().__init__(reason=reason)
        self.reason = reason


class MalformedNotice(BadInput):
    """A well-signed notification that this version cannot read; `reason` names the part, never its value."""

    code = "malformed_notice"
    zh = "无法理解支付通知：{reason}"
    en = "The payment notification could not be understood: {reason}"


class Gateway(Protocol):
    """One payment channel with our merchant's keys. Safe to use from many tasks of one event loop."""

    @property
    def channel(self) -> str:
        """The channel's name in URLs and tables: `sandbox`, `wechat`, `alipay`."""

    @property
    def merchant_id(self) -> str:
        """Our number at the channel. A fact about another merchant never pays an order of ours."""

    async def create(self, payment: CreatePayment) -> PaymentOpened:
        """Open a payment. The same number with the same content answers the same again."""

    async def query(self, out_trade_no: str) -> PaymentFact | None:
        """What the channel knows of our number; None when it knows of none."""

    async def close(self, out_trade_no: str) -> None:
        """Close an unpaid payment. Raises ChannelRefused(`ALREADY_PAID`) when money came first; query then."""

    async def refund(self, refund: CreateRefund) -> RefundFact:
        """Give money back. The same number with the same content answers the same again."""

    async def query_refund(self, out_refund_no: str) -> RefundFact | None:
        """What the channel knows of our refund number; None when it knows of none."""

    def verify(self, headers: Mapping[str, str], body: bytes) -> PaymentFact:
        """The fact a notification states, after its signature over the raw `body` was checked.

        `headers` has lower-case or case-insensitive names. Raises BadSignature or MalformedNotice.
        """

    def accepted(self) -> NoticeReply:
        """The answer after the fact is committed, so that the channel stops telling."""

    def refused(self, reason: str) -> NoticeReply:
        """The answer to what was not taken, so that the channel tells again; `reason` is a short code."""
