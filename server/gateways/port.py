"""What a payment channel is to the shop: calls out, notifications in, bills of a day; facts in fen and UTC.

`payments` speaks only this; each channel is one file beside it that imports no domain. All amounts are integer fen,
all instants aware UTC. A gateway keeps no state but its keys: the caller owns numbers, attempts and retries.

What a call may raise, and what the caller does then:

    ChannelUnknown   nobody knows whether it happened (time-out, 5xx, answer that is not the channel's).
                     Ask again with `query` / `query_refund` under the same number; never start a second one.
    ChannelRefused   the channel understood and said no. Nothing happened there. `reason_code` is one of `Reason`
                     where the caller acts on it, else the channel's own word.

What `verify_notify` and `verify_refund_notify` may raise: BadSignature (not from the channel, or too old to trust),
MalformedNotice (from the channel, but not understood). Both are answered with `refused(error.code)` and change nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from typing import Literal, Protocol

from shared.errors import BadInput, KamengError
from shared.money import Fen

CLOCK_SKEW_SECONDS = 300
"""How far a signed time stamp may be from ours. An older notification is refused: the query finds its payment."""

Product = Literal["qr", "h5", "page", "jsapi", "mini_program"]
"""How the buyer pays: scans a code; a phone's browser; a computer's; inside WeChat; inside a mini program."""

NEEDS_PAYER: frozenset[Product] = frozenset({"jsapi", "mini_program"})
"""Products that are opened for one person: `Payer.user_id` names them."""

SPLITTING = frozenset({"sandbox", "wechat", "alipay"})
"""Channels that can split a payment which was opened to be split (`CreatePayment.is_shared`), by their contract."""

System = Literal["ios", "android", "other"]

PaymentState = Literal["pending", "paid", "closed", "refunded"]
"""`refunded`: money came and some or all of it went back. Nothing is delivered on it; ask about the refunds.

Alipay says so only when all went back."""

RefundOutcome = Literal["processing", "succeeded", "abnormal", "closed", "failed"]
"""`abnormal`: the payer's card cannot take it, somebody must act. `closed`, `failed`: it will never succeed."""

BillKind = Literal["trades", "funds"]


class Reason(StrEnum):
    """Refusals that callers act on, whatever a channel calls them. Others keep the channel's own word."""

    ALREADY_PAID = "ALREADY_PAID"
    """Money came first: query, and apply what it says."""
    ALREADY_CLOSED = "ALREADY_CLOSED"
    """The number is closed: a new attempt needs a new number."""
    NOT_FOUND = "NOT_FOUND"
    """The channel knows of no such number."""
    OUT_TRADE_NO_USED = "OUT_TRADE_NO_USED"
    """The number was used with other content: a new attempt needs a new number."""
    AMOUNT_EXCEEDED = "AMOUNT_EXCEEDED"
    """More than what is left to refund."""
    NOT_ENOUGH_BALANCE = "NOT_ENOUGH_BALANCE"
    """Our balance at the channel is too low for the refund: again after a top-up, under the same number."""
    TOO_OFTEN = "TOO_OFTEN"
    """A rate limit: again later, under the same number."""
    PRODUCT_NOT_OFFERED = "PRODUCT_NOT_OFFERED"
    """This channel, as it is set up, has no such product or call. Nothing was asked."""
    IOS_NOT_ALLOWED = "IOS_NOT_ALLOWED"
    """Virtual goods are not sold to iOS inside a mini program. Nothing was asked."""


# --- payments ---


@dataclass(frozen=True, slots=True)
class Payer:
    """What some products must know of the buyer. `user_id` is the channel's id of the person (WeChat's openid)."""

    ip: str | None = field(default=None, repr=False)
    user_id: str | None = field(default=None, repr=False)
    system: System = "other"


@dataclass(frozen=True, slots=True)
class CreatePayment:
    """A payment to open. `out_trade_no` is ours, 6 to 32 of `[0-9A-Za-z_-]`, new for each attempt.

    `is_shared`: the channel is to split it (分账), and keeps the money back until then.
    `h5` may need `payer.ip` (the buyer's own address); `jsapi` and `mini_program` need `payer.user_id`.
    """

    out_trade_no: str
    amount_fen: Fen
    subject: str
    notify_url: str
    return_url: str
    expires_at: datetime
    product: Product = "qr"
    payer: Payer = Payer()
    is_shared: bool = False


@dataclass(frozen=True, slots=True)
class PaymentOpened:
    """How the buyer pays, one or more ways: a page to open, a QR code's text, what the page's script is called with.

    At least one is given. `valid_until` is when the channel stops taking it, where that is before the payment expires:
    create the same payment again then. WeChat Pay opens its `pay_url` only for a browser that says where it comes from:
    a link to it needs `referrerpolicy="origin"`.
    """

    pay_url: str | None = field(repr=False)
    qr_text: str | None = field(repr=False)
    invoke: Mapping[str, str] | None = field(default=None, repr=False)
    valid_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class PaymentFact:
    """What the channel says of one payment. The caller compares merchant, app, amount and currency with its attempt.

    `provider_no` and `paid_at` are None until it is paid, `paid_at` also where the channel names no time. `event_id` is
    None when we asked, and names the notification when the channel told. `amount_fen` is 0 where the channel does not
    name the amount of what is not paid. `app_id` is None where the channel does not say it. `payer_total_fen` is what
    the buyer paid after coupons of the channel; the order's amount is always compared with `amount_fen`.
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
    app_id: str | None = None
    payer_total_fen: Fen | None = None


# --- refunds ---


@dataclass(frozen=True, slots=True)
class CreateRefund:
    """A refund of a part or all of a paid payment. `out_refund_no` is ours and stays the same on every retry.

    `total_fen` is what the payment was opened with; WeChat Pay needs it. `notify_url` is where its outcome is told.
    `provider_no` is the channel's number of money beside the one payment of our number: of two, this goes back.
    """

    out_refund_no: str
    out_trade_no: str
    amount_fen: Fen
    reason: str
    total_fen: Fen | None = None
    notify_url: str | None = None
    provider_no: str | None = None


@dataclass(frozen=True, slots=True)
class RefundFact:
    """What the channel says of one refund.

    `amount_fen` is None in a notification that names only `refunded_total_fen`, the sum of all refunds of the payment
    (Alipay): `query_refund` tells then. `refund_no` is the channel's; a channel without one gives its payment's number.
    `merchant_id`, `app_id` and `provider_no`, its number of the payment, are None where the channel does not say them.
    """

    out_refund_no: str
    refund_no: str
    out_trade_no: str
    amount_fen: Fen | None
    state: RefundOutcome
    merchant_id: str | None = None
    refunded_at: datetime | None = None
    refunded_total_fen: Fen | None = None
    event_id: str | None = None
    app_id: str | None = None
    provider_no: str | None = None


# --- bills ---


@dataclass(frozen=True, slots=True)
class Bill:
    """A channel's bill of one business day, byte for byte and packed as it came; `bill_lines` reads it."""

    channel: str
    kind: BillKind
    day: date
    name: str
    content: bytes = field(repr=False)


# --- answers and errors ---


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


class Unclear(ChannelUnknown):
    """The channel is there and has answered, but what it says of this one leaves the outcome open."""


class DamagedBill(Unclear):
    """The bill that came is not the one the channel made: cut off, changed, or with another hash. Fetch it again."""


class ChannelRefused(KamengError):
    """The channel said no. `reason_code` is a `Reason` or the channel's own code."""

    code = "channel_refused"
    status = 502
    zh = "支付渠道“{channel}”拒绝了这次请求（{reason_code}）。请换一种支付方式，或稍后再试。"
    en = "The payment channel “{channel}” refused the request ({reason_code}). Use another one, or try again later."

    def __init__(self, *, channel: str, reason_code: str) -> None:
        super().__init__(channel=channel, reason_code=str(reason_code))
        self.reason_code = str(reason_code)


class BadSignature(KamengError):
    """A notification that the channel's key did not sign over these bytes and this time.

    `reason` is one of:

        incomplete, unreadable   it does not even have the shape of one
        forged                   another key, or other bytes
        stale                    really the channel's, but of another time: many of them mean that a clock is wrong
        unknown_key              names a key we do not hold: fetch the channel's keys, though not while it waits
        probe                    WeChat Pay tests whether we check: count it, raise no alarm
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


class UnopenableNotice(MalformedNotice):
    """A well-signed notification whose secret part opens with none of our keys: one was changed and not told to us.

    Answered as a fault of ours, so that it is told again until the key is here.
    """

    code = "unopenable_notice"
    status = 500
    zh = "无法解密支付通知（{reason}），请检查渠道密钥。"
    en = "The payment notification cannot be decrypted ({reason}); check the channel's key."


class PayerDesk(Protocol):
    """Asks a channel who a buyer is, by way of the buyer's own browser."""

    @property
    def scope(self) -> str:
        """Whose ids they are: our application at the channel. Another one knows the same person by another id."""

    def address(self, *, back_url: str, state: str) -> str:
        """Where the browser goes; it comes back to `back_url` with `code` and this `state`, letters and digits."""

    async def payer_of(self, code: str) -> str:
        """The id for `Payer.user_id`. A code counts once. Raises ChannelRefused, ChannelUnknown."""


class Gateway(Protocol):
    """One payment channel with our merchant's keys. Safe to use from many tasks of one event loop."""

    @property
    def channel(self) -> str:
        """The channel's name in URLs and tables: `sandbox`, `wechat`, `alipay`, `epay`."""

    @property
    def merchant_id(self) -> str:
        """Our number at the channel. A fact about another merchant never pays an order of ours."""

    @property
    def app_ids(self) -> frozenset[str]:
        """Our applications at the channel; empty where it has none. A fact's `app_id` is None or one of these."""

    @property
    def products(self) -> frozenset[Product]:
        """What can be created, as this channel is set up."""

    @property
    def notice_is_proof(self) -> bool:
        """Whether a well-signed notification may be delivered on; where not, only a query of its number may."""

    @property
    def makes_bills(self) -> bool:
        """Whether the channel has a bill of each day; where not, `download_bill` is refused."""

    @property
    def payers(self) -> PayerDesk | None:
        """Who tells what `jsapi` must know of the buyer; None where the channel, as it is set up, does not."""

    async def create(self, payment: CreatePayment) -> PaymentOpened:
        """Open a payment. The same number with the same content answers the same again.

        Raises ChannelRefused(`ALREADY_PAID`) when money came for it before; query then.
        """

    async def query(self, out_trade_no: str, *, provider_no: str | None = None) -> PaymentFact | None:
        """What the channel knows of our number; None when it knows of none.

        With `provider_no`, of the payment that has both numbers: money may have come twice for ours. A channel that
        has no bills, and so no other word for it than its own, answers about ours alone.
        """

    async def close(self, out_trade_no: str) -> None:
        """Close an unpaid payment; returns when the channel says that it is closed.

        Raises ChannelRefused(`ALREADY_PAID`) when money came first; query then. ChannelRefused(`NOT_FOUND`) when the
        channel knows of none yet: a code or an address that is out may still be opened, and takes no money after its
        `expires_at`. ChannelRefused(`PRODUCT_NOT_OFFERED`) when it cannot close, and may take money at any time.
        """

    async def refund(self, refund: CreateRefund) -> RefundFact:
        """Give money back. The same number with the same content answers the same again.

        `processing` means taken on and no more: follow it with `query_refund` until it is final.
        """

    async def query_refund(
        self, out_refund_no: str, *, out_trade_no: str | None = None, provider_no: str | None = None
    ) -> RefundFact | None:
        """What the channel knows of the refund with this number of ours, or of whoever made it; None for none.

        Alipay needs `out_trade_no`, and `provider_no` where the refund was made by that.
        """

    def verify_notify(self, headers: Mapping[str, str], body: bytes) -> PaymentFact | RefundFact:
        """The fact a notification states, after its signature over the raw `body` was checked.

        A notification that comes as GET has its raw query string as `body`: a form either way. Channels may tell of
        refunds at the same address. `headers` has lower-case or case-insensitive names.
        Raises BadSignature or MalformedNotice.
        """

    def verify_refund_notify(self, headers: Mapping[str, str], body: bytes) -> RefundFact:
        """As `verify_notify`, where only refunds are told. Raises MalformedNotice for the notice of a payment."""

    async def download_bill(self, kind: BillKind, day: date) -> Bill | None:
        """The bill of one business day, checked as far as the channel lets us; None when there is none.

        None means no trade that day *or* not made yet: both look the same, and neither is "balanced".
        """

    def accepted(self) -> NoticeReply:
        """The answer after the fact is committed, so that the channel stops telling."""

    def refused(self, reason: str) -> NoticeReply:
        """The answer to what was not taken, so that the channel tells again; `reason` is the error's code."""
