"""Every state machine as a literal table. A move that is not here is refused with the current state.

The server compares and sets by these tables, the console greys out by them, documents are made from them.
Each machine maps a state to the states it may become.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum, StrEnum
from typing import Any

from shared.errors import IllegalMove


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
    SHOP_APPROVED = "shop_approved"
    SHOP_REFUSED = "shop_refused"
    CHECKED = "checked"
    STOPPED = "stopped"
    SUBMITTED = "submitted"
    DELAYED = "delayed"
    ACCEPTED = "accepted"
    RETRIED = "retried"
    ABNORMAL = "abnormal"
    SUCCEEDED = "succeeded"
    CLOSED = "closed"


class RefundTrouble(StrEnum):
    """Why a refund waits, or ended without money."""

    NO_ANSWER = "no_answer"
    TOO_SOON = "too_soon"
    NOT_ENOUGH_BALANCE = "not_enough_balance"
    ABNORMAL = "abnormal"
    REFUSED = "refused"
    DIFFERS = "differs"
    TOO_LATE = "too_late"
    TOO_MANY = "too_many"
    CHANNEL_GONE = "channel_gone"


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
    O.DISPUTED: frozenset({O.COMPLETED, O.PARTIALLY_REFUNDED, O.REFUNDED}),
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

_MONEY = (ExceptionAction.REFUND, ExceptionAction.ATTACH)

EXCEPTION_ACTIONS: dict[ExceptionKind, tuple[ExceptionAction, ...]] = {
    ExceptionKind.PAID_NO_STOCK: (ExceptionAction.DELIVER, ExceptionAction.REFUND),
    ExceptionKind.PAID_AFTER_EXPIRY: (ExceptionAction.DELIVER, ExceptionAction.REFUND),
    ExceptionKind.PAID_TWICE: (ExceptionAction.REFUND,),
    ExceptionKind.AMOUNT_MISMATCH: _MONEY,
    ExceptionKind.MERCHANT_MISMATCH: (ExceptionAction.DISMISS,),
    ExceptionKind.UNKNOWN_PAYMENT: _MONEY,
    ExceptionKind.BAD_SIGNATURES: (ExceptionAction.DISMISS,),
    ExceptionKind.PAYMENT_UNKNOWN: (ExceptionAction.ASK_AGAIN, ExceptionAction.DISMISS),
    ExceptionKind.REFUND_STUCK: (ExceptionAction.ASK_AGAIN, ExceptionAction.DISMISS),
    ExceptionKind.UNKNOWN_REFUND: (ExceptionAction.DISMISS,),
}
"""What may be done about each kind; the first is proposed."""

WITHOUT_MONEY = frozenset({ExceptionAction.ASK_AGAIN, ExceptionAction.DISMISS})
"""What may be done about an exception that holds no money of ours: nothing can be given back or delivered for it."""

TWO_PEOPLE = frozenset({ExceptionAction.REFUND, ExceptionAction.ATTACH, ExceptionAction.DELIVER})
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
}

LABELS: dict[StrEnum | IntEnum, tuple[str, str]] = {
    O.PENDING_PAYMENT: ("待支付", "Awaiting payment"),
    O.PAID: ("已支付", "Paid"),
    O.DELIVERED: ("已发货", "Delivered"),
    O.COMPLETED: ("已完成", "Completed"),
    O.EXPIRED: ("已过期", "Expired"),
    O.CANCELLED: ("已取消", "Cancelled"),
    O.PARTIALLY_DELIVERED: ("部分发货", "Partially delivered"),
    O.DELIVERY_FAILED: ("发货失败", "Delivery failed"),
    O.REFUNDED: ("已退款", "Refunded"),
    O.PARTIALLY_REFUNDED: ("部分退款", "Partially refunded"),
    O.DISPUTED: ("有争议", "Disputed"),
    U.FREE: ("可售", "Free"),
    U.HELD: ("已锁定", "Held"),
    U.SOLD: ("已售", "Sold"),
    U.VOID: ("作废", "Void"),
    LotState.OPEN: ("在售", "Open"),
    LotState.FROZEN: ("冻结", "Frozen"),
    LotState.WITHDRAWN: ("已撤回", "Withdrawn"),
    LotState.EXHAUSTED: ("售罄", "Exhausted"),
    A.CREATED: ("已创建", "Created"),
    A.PENDING: ("待支付", "Pending"),
    A.PAID: ("已支付", "Paid"),
    A.CLOSED: ("已关闭", "Closed"),
    A.UNKNOWN: ("待确认", "Unknown"),
    ProductState.DRAFT: ("草稿", "Draft"),
    ProductState.PUBLISHED: ("在售", "On sale"),
    ProductState.OFF_SHELF: ("已下架", "Off shelf"),
    SaleOrder.FIRST_IN: ("先进先出", "First in, first out"),
    SaleOrder.RANDOM: ("随机", "Random"),
    SaleOrder.LAST_IN: ("后进先出", "Last in, first out"),
    AlertKind.SOLD_OUT: ("已售罄", "Sold out"),
    AlertKind.LOW_STOCK: ("库存不足", "Low stock"),
    AlertKind.LOW_COVER: ("可售天数不足", "Few days left"),
    AlertKind.EXPIRING: ("即将过期", "Expiring soon"),
    AlertKind.OFFERED_ELSEWHERE: ("卡密与其他供应商重复", "Key of another supplier"),
    AlertKind.REVEALED_OFTEN: ("查看明文过于频繁", "Many keys revealed"),
    ImportState.RECEIVING: ("上传中", "Receiving"),
    ImportState.INGESTING: ("入库中", "Ingesting"),
    ImportState.DONE: ("已完成", "Done"),
    ImportState.CANCELLED: ("已取消", "Cancelled"),
    ExceptionKind.PAID_NO_STOCK: ("已付款无库存", "Paid, no stock"),
    ExceptionKind.PAID_AFTER_EXPIRY: ("过期后付款", "Paid after expiry"),
    ExceptionKind.PAID_TWICE: ("重复付款", "Paid twice"),
    ExceptionKind.AMOUNT_MISMATCH: ("金额不符", "Amount mismatch"),
    ExceptionKind.MERCHANT_MISMATCH: ("商户不符", "Merchant mismatch"),
    ExceptionKind.UNKNOWN_PAYMENT: ("未知订单付款", "Payment without an order"),
    ExceptionKind.BAD_SIGNATURES: ("伪造通知激增", "Burst of bad signatures"),
    ExceptionKind.PAYMENT_UNKNOWN: ("支付结果未知", "Payment outcome unknown"),
    ExceptionKind.REFUND_STUCK: ("退款受阻", "Refund stuck"),
    ExceptionKind.UNKNOWN_REFUND: ("渠道侧退款", "Refunded outside of the shop"),
    X.OPEN: ("待处理", "Open"),
    X.PROPOSED: ("待复核", "Waits for approval"),
    X.WORKING: ("处理中", "In progress"),
    X.CLOSED: ("已关闭", "Closed"),
    ExceptionAction.DELIVER: ("补发卡密", "Deliver"),
    ExceptionAction.REFUND: ("退款", "Refund"),
    ExceptionAction.ATTACH: ("归入订单", "Attach to an order"),
    ExceptionAction.ASK_AGAIN: ("再次查询", "Ask the channel again"),
    ExceptionAction.DISMISS: ("关闭", "Close without action"),
    FoundBy.CALLBACK: ("渠道通知", "Notification"),
    FoundBy.PAGE: ("买家页面查询", "The buyer's page"),
    FoundBy.SWEEP: ("定时查询", "Scheduled query"),
    FoundBy.BILL: ("渠道账单", "The channel's bill"),
    FoundBy.PERSON: ("人工确认", "A person"),
    RefundCause.BUYER: ("买家申请", "Asked by the buyer"),
    RefundCause.NO_STOCK: ("无货可发", "Nothing to deliver"),
    RefundCause.PAID_TWICE: ("重复付款", "Paid twice"),
    RefundCause.AMOUNT: ("金额不符", "Amount mismatch"),
    RefundCause.UNMATCHED: ("无主款项", "Money without an order"),
    RefundCause.SHOP: ("商家退款", "By the shop"),
    RefundPolicy.BEFORE_VIEW: ("查看卡密前可退", "Refundable before the key is seen"),
    RefundPolicy.UNUSED_ONLY: ("未使用可退", "Refundable while unused"),
    RefundPolicy.DEFECT_ONLY: ("卡密有问题可退", "Refundable if the key is defective"),
    RefundPolicy.NONE: ("售出不退", "Not refundable"),
    RefundReason.DEFECTIVE: ("卡密无效", "The key does not work"),
    RefundReason.USED: ("卡密已被使用", "The key was used before"),
    RefundReason.UNWANTED: ("买错了或不想要了", "Bought by mistake, or not wanted"),
    RefundReason.OTHER: ("其他原因", "Another reason"),
    RefundTurn.SUPPLIER: ("供应商", "Supplier"),
    RefundTurn.SHOP: ("店铺", "Shop"),
    RefundTurn.FINANCE: ("财务", "Finance"),
    RefundTurn.CHANNEL: ("支付渠道", "Payment channel"),
    RefundStep.ASKED: ("买家申请退款", "The buyer asked"),
    RefundStep.STARTED: ("发起退款", "Started"),
    RefundStep.AUTO_APPROVED: ("按退款规则自动同意", "Approved by the refund rules"),
    RefundStep.AUTO_REFUSED: ("按退款规则不能退款", "Refused by the refund rules"),
    RefundStep.SUPPLIER_AGREED: ("供应商同意退款", "The supplier agreed"),
    RefundStep.SUPPLIER_REFUSED: ("供应商不同意，由店铺裁定", "The supplier refused; the shop decides"),
    RefundStep.SILENT: ("供应商未按时答复，由店铺裁定", "The supplier did not answer; the shop decides"),
    RefundStep.REPLACED: ("已补发新的卡密", "A new key was delivered"),
    RefundStep.SHOP_APPROVED: ("店铺同意退款", "The shop approved"),
    RefundStep.SHOP_REFUSED: ("店铺不同意退款", "The shop refused"),
    RefundStep.CHECKED: ("财务复核通过", "Checked by finance"),
    RefundStep.STOPPED: ("财务复核未通过", "Stopped by finance"),
    RefundStep.SUBMITTED: ("已提交支付渠道", "Sent to the payment channel"),
    RefundStep.DELAYED: ("暂未提交，等待重试", "Waits for the next try"),
    RefundStep.ACCEPTED: ("支付渠道已受理，尚未到账", "Accepted by the channel, not refunded yet"),
    RefundStep.RETRIED: ("重新提交支付渠道", "Sent to the channel again"),
    RefundStep.ABNORMAL: ("支付渠道退款异常，正在处理", "The channel could not refund; we are at it"),
    RefundStep.SUCCEEDED: ("已退款", "Refunded"),
    RefundStep.CLOSED: ("退款已关闭", "Closed"),
    RefundTrouble.NO_ANSWER: ("支付渠道没有回应，将继续查询。", "The channel did not answer; it is asked again."),
    RefundTrouble.TOO_SOON: (
        "同一订单两次退款须间隔 1 分钟，到时间自动提交。",
        "Two refunds of one order must be a minute apart; this one is sent by itself.",
    ),
    RefundTrouble.NOT_ENOUGH_BALANCE: (
        "商户余额不足，请充值后重试，也会自动重试。",
        "The merchant's balance is too low; top it up and try again. It is also tried again by itself.",
    ),
    RefundTrouble.ABNORMAL: (
        "买家的收款账户无法入账。请在支付渠道的商户平台对这笔退款申请“异常退款”（退至其他银行卡），"
        "本系统会继续查询，到账后自动完成。",
        "The payer's account cannot take the money. Apply for an abnormal refund (to another card) in the channel's "
        "own console; the outcome is followed here.",
    ),
    RefundTrouble.REFUSED: ("支付渠道拒绝了退款。", "The channel refused."),
    RefundTrouble.DIFFERS: (
        "支付渠道报告的退款金额与本店记录不同，请核对。",
        "The channel reports another amount than ours; please compare.",
    ),
    RefundTrouble.TOO_LATE: (
        "已超过支付渠道允许的退款期限，请线下处理。",
        "The channel's time limit for refunds is over; settle it outside.",
    ),
    RefundTrouble.TOO_MANY: (
        "该笔付款的退款次数已达支付渠道上限，请线下处理。",
        "The channel allows no more refunds of this payment; settle it outside.",
    ),
    RefundTrouble.CHANNEL_GONE: (
        "本店没有接入该支付渠道，请先配置渠道密钥。",
        "This channel is not set up here; configure its keys first.",
    ),
    R.REQUESTED: ("已申请", "Asked"),
    R.SUPPLIER_WAIT: ("等待供应商确认", "With the supplier"),
    R.APPROVED: ("已同意", "Approved"),
    R.REFUSED: ("已拒绝", "Refused"),
    R.SUBMITTED: ("已提交渠道", "Sent to the channel"),
    R.PROCESSING: ("渠道处理中", "The channel is at it"),
    R.SUCCEEDED: ("已退款", "Refunded"),
    R.ABNORMAL: ("退款异常", "Needs attention"),
    R.CLOSED: ("已关闭", "Closed"),
}


def label(state: StrEnum | IntEnum, language: str = "zh") -> str:
    """The word a person reads for a state."""
    zh, en = LABELS.get(state, (str(state), str(state)))
    return en if language.startswith("en") else zh


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
