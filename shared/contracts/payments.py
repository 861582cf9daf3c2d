"""What staff see and do about money that needs them: exceptions, refunds, channels.

Every change names the `version` it was decided on: a stale console gets a conflict instead of doing a thing twice.
"""

from __future__ import annotations

import re
from datetime import date, datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import ConfigDict, Field, ValidationInfo, field_validator

from shared.contracts.base import Answer, Request
from shared.contracts.stock import Unit
from shared.money import MAX_FEN
from shared.states import (
    BillTrouble,
    ExceptionAction,
    ExceptionKind,
    ExceptionState,
    FoundBy,
    OrderState,
    RefundCause,
    RefundPolicy,
    RefundReason,
    RefundState,
    RefundStep,
    RefundTrouble,
    RefundTurn,
)

Note = Annotated[str, Field(min_length=1, max_length=400)]
Version = Annotated[int, Field(strict=True, ge=1)]
OrderCode = Annotated[str, Field(max_length=24)]
PROVIDER_NO = re.compile(r"[!-~]{4,64}")
"""A number of a channel as a person may type it."""
ProviderNo = Annotated[str, Field(pattern=f"^{PROVIDER_NO.pattern}$")]


# --- exceptions ---


EVIDENCE: dict[str, tuple[str, str]] = {
    "found_by": ("发现方式", "Found by"),
    "order_code": ("订单号", "Order"),
    "out_trade_no": ("商户订单号", "Our number"),
    "other_out_trade_no": ("同一渠道流水号的另一笔", "Our other number of this money"),
    "provider_no": ("渠道流水号", "Channel's number"),
    "expected_fen": ("应收", "Expected"),
    "received_fen": ("实收", "Received"),
    "payer_total_fen": ("买家实付", "Paid by the buyer"),
    "currency": ("币种", "Currency"),
    "merchant_id": ("渠道商户号", "Merchant at the channel"),
    "expected_merchant_id": ("本店商户号", "Our merchant number"),
    "app_id": ("应用号", "Application"),
    "expected_app_ids": ("本店应用号", "Our applications"),
    "channel_state": ("渠道状态", "The channel says"),
    "channel_answer": ("渠道应答", "The channel's answer"),
    "not_applied": ("未能入账的原因", "Why it could not be booked"),
    "confirmed_as": ("人工确认时所填的渠道流水号", "The number that people confirmed it by"),
    "attempt_state": ("支付状态", "State of the attempt"),
    "set_aside": ("该款项此前已记为暂收款", "The money was set aside before"),
    "paid_at": ("支付时间", "Paid at"),
    "opened_at": ("发起时间", "Opened at"),
    "ended_at": ("失效时间", "Ended at"),
    "event_id": ("通知编号", "Notification"),
    "queries": ("已查询次数", "Times asked"),
    "reason": ("原因", "Reason"),
    "count_forged": ("伪造签名", "Forged"),
    "count_stale": ("过期通知", "Stale"),
    "count_incomplete": ("缺少签名", "Without a signature"),
    "count_unreadable": ("签名无法识别", "Unreadable signatures"),
    "count_unknown_key": ("未知密钥", "Unknown keys"),
    "count_unopenable_notice": ("无法解密", "Cannot be decrypted"),
    "count_malformed_notice": ("无法解析", "Not understood"),
    "clock_off_seconds": ("本机时钟偏差（秒）", "Our clock is ahead by (seconds)"),
    "proposed_by": ("提议人", "Proposed by"),
    "approved_by": ("复核人", "Approved by"),
    "note": ("说明", "Note"),
    "out_refund_no": ("商户退款单号", "Our refund number"),
    "refund_no": ("渠道退款单号", "Channel's refund number"),
    "refunded_at": ("退款时间", "Refunded at"),
    "refunded_total_fen": ("渠道累计退款", "Refunded in all at the channel"),
    "trouble": ("受阻原因", "Trouble"),
    "bill_day": ("账单日", "Bill of"),
    "bill_trouble": ("账单情况", "The bill"),
    "said": ("渠道说明", "The channel said"),
}
"""What each name of evidence is called. Names that end in `_fen` are amounts, in `_at` instants (RFC 3339)."""


class Evidence(Answer):
    """One fact that an exception is about: a name of `EVIDENCE` (or of a later version) and its value as text."""

    name: str
    value: str


class PaymentException(Answer):
    """One row of the exception list: money or an order that needs a person.

    `actions` are what may be done now, the proposed one first. While `state` is `proposed`, `action`, `note`,
    `proposed_by` say what waits for a second person; `proposed_by_reader`: who reads this cannot be that person.
    `due_at` is when the default policy acts by itself.
    """

    id: UUID
    kind: ExceptionKind
    state: ExceptionState
    order_code: str | None
    channel: str
    out_trade_no: str
    provider_no: str | None
    expected_fen: int | None
    received_fen: int | None
    created_at: datetime
    due_at: datetime | None
    open: bool
    actions: list[ExceptionAction]
    action: ExceptionAction | None
    action_order_code: str | None
    action_provider_no: str | None
    note: str | None
    proposed_by: str | None
    proposed_at: datetime | None
    proposed_by_reader: bool
    approved_by: str | None
    closed_by: str | None
    closed_at: datetime | None
    refund_id: UUID | None
    evidence: list[Evidence]
    version: int


class ProposeAction(Request):
    """`POST /api/exceptions/{id}/propose`. What needs one person only is done at once.

    `order_code` is what money is attached to. `provider_no` is the channel's number of what a person has seen there: of
    the refund that is recorded, of the payment that is confirmed, whose `amount_fen` must be what is expected.
    """

    action: ExceptionAction
    note: Note
    order_code: OrderCode | None = None
    provider_no: ProviderNo | None = None
    amount_fen: Annotated[int, Field(strict=True, ge=1, le=MAX_FEN)] | None = None
    version: Version


class ConfirmPayment(Request):
    """`POST /api/orders/{code}/confirm`: the channel's console shows the order's payment, and nothing else tells of it.

    Proposes it for another person to approve, as an exception. `amount_fen` must be what the order costs.
    """

    channel: Annotated[str, Field(min_length=1, max_length=16)]
    provider_no: ProviderNo
    amount_fen: Annotated[int, Field(strict=True, ge=1, le=MAX_FEN)]
    note: Note


class Candidate(Answer):
    """An unpaid order that money without one may be meant for. `seconds` it was placed before the money came."""

    code: str
    state: OrderState
    created_at: datetime
    seconds: int
    goods: str
    channels: list[str]


class ApproveAction(Request):
    """`POST /api/exceptions/{id}/approve`, by another person than who proposed. `approved` false sends it back."""

    approved: bool
    note: Annotated[str, Field(max_length=400)] = ""
    version: Version


# --- refunds ---


class RefundUnit(Unit):
    """One card that a refund is about. `place` is what its buyer calls it: the keys on the order's page, from 1.

    None for one that the page does not show any more.
    """

    place: int | None = None


class RefundLine(Answer):
    """What a refund takes back of one order line; `units` are the first of `seqs` as stock knows them, to who may see.

    Never the key: of that no more than its end.
    """

    order_line_id: UUID
    sku: str
    title: str
    quantity: int
    seqs: list[int]
    units: list[RefundUnit] = Field(default_factory=list)
    amount_fen: int


class RefundEvent(Answer):
    """One step of a refund. `actor` is a person's name where this reader may know it, else the party of the step:
    `buyer`, `supplier`, `shop`, `finance`, `channel`, `system`."""

    at: datetime
    actor: str
    what: RefundStep
    note: str


class RefundImage(Answer):
    """That `party` (`buyer` or `supplier`) shows something beside a refund: its `n`th image."""

    id: UUID
    party: str
    n: int


class RefundPicture(Answer):
    """One image; its bytes travel as base64. `media_type` is one of three, by what the bytes are."""

    model_config = ConfigDict(extra="ignore", frozen=True, ser_json_bytes="base64", val_json_bytes="base64")

    media_type: Literal["image/jpeg", "image/png", "image/webp"]
    content: bytes


class Refund(Answer):
    """One refund as staff see it; a supplier's person sees those of its own goods, without the payment's numbers.

    `actions` are what this reader may do now: `answer`, `decide`, `check` (who began it may only `stop` it), `retry`.
    `turn` is who has the ball, until `due_at` where there is a time for it. `viewed_at` is when a buyer first saw keys
    of the order; `seqs` of a line are the units that are meant.
    """

    id: UUID
    out_refund_no: str | None
    order_code: str | None
    channel: str | None
    amount_fen: int
    cause: RefundCause
    reason_kind: RefundReason | None
    reason: str
    policy: RefundPolicy | None
    viewed_at: datetime | None
    wants_replacement: bool
    state: RefundState
    turn: RefundTurn | None
    asked_at: datetime
    due_at: datetime | None
    ended_at: datetime | None
    trouble: RefundTrouble | None
    lines: list[RefundLine]
    events: list[RefundEvent]
    images: list[RefundImage] = Field(default_factory=list)
    actions: list[Literal["answer", "decide", "check", "stop", "retry"]]
    version: int


class StartRefund(Request):
    """`POST /api/orders/{code}/refunds`: the shop gives money back, all that is left unless told otherwise.

    `quantity` goods of `order_line_id` for what they cost, or `amount_fen` and no goods. `version` is the order's; a
    repeat under the same Idempotency-Key answers the refund that it made.
    """

    order_line_id: UUID | None = None
    quantity: Annotated[int, Field(strict=True, ge=1)] | None = None
    amount_fen: Annotated[int, Field(strict=True, ge=1, le=MAX_FEN)] | None = None
    reason: Note
    version: Version

    @field_validator("amount_fen")
    @classmethod
    def _no_goods_for_it(cls, amount: int | None, info: ValidationInfo) -> int | None:
        """Goods for another amount than theirs would take keys away for less than they cost."""
        if amount is not None and info.data.get("quantity") is not None:
            raise ValueError("张数与金额只能填一项 / either units or an amount")
        return amount


class AnswerRefund(Request):
    """`POST /api/refunds/{id}/answer`: the supplier agrees, replaces the key, or refuses with evidence."""

    answer: Literal["agree", "replace", "refuse"]
    evidence: Annotated[str, Field(max_length=1000)] = ""
    version: Version


class DecideRefund(Request):
    """`POST /api/refunds/{id}/decide`: the shop's decision where the supplier refused or kept silent.

    With `replace` another key is delivered instead of money.
    """

    approve: bool
    replace: bool = False
    reason: Note
    version: Version

    @field_validator("replace")
    @classmethod
    def _instead_of_money(cls, replace: bool, info: ValidationInfo) -> bool:  # noqa: FBT001 - pydantic calls it
        """A key instead of the money is an approval."""
        if replace and info.data.get("approve") is False:
            raise ValueError("不退款就不能补发 / a refusal brings no key")
        return replace


class CheckRefund(Request):
    """`POST /api/refunds/{id}/check`: finance lets a refund above the limit go (another person), or stops it.

    The buyer, who read that it was approved, is told why it was stopped.
    """

    approve: bool
    note: Annotated[str, Field(max_length=400, validate_default=True)] = ""
    version: Version

    @field_validator("note")
    @classmethod
    def _says_why(cls, note: str, info: ValidationInfo) -> str:
        if not note and info.data.get("approve") is False:
            raise ValueError("请写明原因，买家看得到 / say why: the buyer reads it")
        return note


class RetryRefund(Request):
    """`POST /api/refunds/{id}/retry`: ask the channel once more under the same number, e.g. after a top-up."""

    version: Version


# --- channels ---


class ChannelBills(Answer):
    """How the daily bills of a channel stand: all are read up to `read_until`.

    `missing` days are not, the first one `since`, for `trouble`; `why` is the channel's word. `others` are the payments
    in the last bill that belong to others with the same merchant number, together `others_fen`.
    """

    read_until: date | None
    missing: int
    since: date | None
    trouble: BillTrouble | None
    why: str | None
    others: int
    others_fen: int


class Channel(Answer):
    """A payment channel as the shop uses it. `unknown` counts open attempts whose outcome nobody knows.

    While it is away these are all that were asked about. `clock_off_seconds` is our clock minus the channel's; None
    while it was not heard from. `bills` is None where it makes none. `found`: by which way the latest payments of the
    last 24 hours were learnt of.
    """

    code: str
    enabled: bool
    reason: str | None
    changed_by: str | None
    changed_at: datetime | None
    away_since: datetime | None
    away_why: str | None
    answered_at: datetime | None
    open_attempts: int
    unknown: int
    clock_off_seconds: int | None
    bills: ChannelBills | None
    found: dict[FoundBy, int]
    version: int


class SwitchChannel(Request):
    """`PUT /api/channels/{code}`."""

    enabled: bool
    reason: Note
    version: Version
