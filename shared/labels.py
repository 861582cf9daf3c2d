"""The words that people read for states, kinds and steps, in 简体中文 and in English."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum, StrEnum
from typing import Any, ClassVar

from shared.errors import Conflict
from shared.finance import (
    AdjustmentState,
    BillKind,
    Cycle,
    DayState,
    DifferenceAction,
    DifferenceKind,
    DifferenceState,
    DisputeState,
    HoldReason,
    JournalCode,
    PayoutState,
    ReleaseFrom,
    ShareKind,
    StatementState,
    SweepState,
)
from shared.permissions import Role
from shared.states import (
    AlertKind,
    AttemptState,
    BillTrouble,
    ExceptionAction,
    ExceptionKind,
    ExceptionState,
    FoundBy,
    ImportState,
    LotState,
    OrderState,
    ProductState,
    RefundCause,
    RefundPolicy,
    RefundReason,
    RefundState,
    RefundStep,
    RefundTrouble,
    RefundTurn,
    SaleOrder,
    UndoneReason,
    UnitState,
)

LABELS: dict[type[StrEnum] | type[IntEnum], Mapping[Any, tuple[str, str]]] = {
    Role: {
        Role.ADMIN: ("管理员", "Administrator"),
        Role.OPERATOR: ("运营", "Operator"),
        Role.FINANCE: ("财务", "Finance"),
        Role.SUPPLIER: ("供应商", "Supplier"),
    },
    OrderState: {
        OrderState.PENDING_PAYMENT: ("待支付", "Awaiting payment"),
        OrderState.PAID: ("已支付", "Paid"),
        OrderState.DELIVERED: ("已发货", "Delivered"),
        OrderState.COMPLETED: ("已完成", "Completed"),
        OrderState.EXPIRED: ("已过期", "Expired"),
        OrderState.CANCELLED: ("已取消", "Cancelled"),
        OrderState.PARTIALLY_DELIVERED: ("部分发货", "Partially delivered"),
        OrderState.DELIVERY_FAILED: ("发货失败", "Delivery failed"),
        OrderState.REFUNDED: ("已退款", "Refunded"),
        OrderState.PARTIALLY_REFUNDED: ("部分退款", "Partially refunded"),
        OrderState.DISPUTED: ("有争议", "Disputed"),
    },
    UnitState: {
        UnitState.FREE: ("可售", "Free"),
        UnitState.HELD: ("已锁定", "Held"),
        UnitState.SOLD: ("已售", "Sold"),
        UnitState.VOID: ("作废", "Void"),
    },
    UndoneReason: {
        UndoneReason.REFUNDED: ("已退款，买家没有看过", "Refunded, the buyer had not seen it"),
        UndoneReason.REFUNDED_SPOILT: ("已退款，员工看过", "Refunded, staff had seen it"),
        UndoneReason.REPLACED: ("已补发，买家没有看过", "Replaced, the buyer had not seen it"),
    },
    LotState: {
        LotState.OPEN: ("在售", "Open"),
        LotState.FROZEN: ("冻结", "Frozen"),
        LotState.WITHDRAWN: ("已撤回", "Withdrawn"),
        LotState.EXHAUSTED: ("售罄", "Exhausted"),
    },
    AttemptState: {
        AttemptState.CREATED: ("已创建", "Created"),
        AttemptState.PENDING: ("待支付", "Pending"),
        AttemptState.PAID: ("已支付", "Paid"),
        AttemptState.CLOSED: ("已关闭", "Closed"),
        AttemptState.UNKNOWN: ("待确认", "Unknown"),
    },
    ProductState: {
        ProductState.DRAFT: ("草稿", "Draft"),
        ProductState.PUBLISHED: ("在售", "On sale"),
        ProductState.OFF_SHELF: ("已下架", "Off shelf"),
    },
    SaleOrder: {
        SaleOrder.FIRST_IN: ("先进先出", "First in, first out"),
        SaleOrder.RANDOM: ("随机", "Random"),
        SaleOrder.LAST_IN: ("后进先出", "Last in, first out"),
    },
    AlertKind: {
        AlertKind.SOLD_OUT: ("已售罄", "Sold out"),
        AlertKind.LOW_STOCK: ("库存不足", "Low stock"),
        AlertKind.LOW_COVER: ("可售天数不足", "Few days left"),
        AlertKind.EXPIRING: ("即将过期", "Expiring soon"),
        AlertKind.OFFERED_ELSEWHERE: ("卡密与其他供应商重复", "Key of another supplier"),
        AlertKind.REVEALED_OFTEN: ("查看明文过于频繁", "Many keys revealed"),
    },
    ImportState: {
        ImportState.RECEIVING: ("上传中", "Receiving"),
        ImportState.INGESTING: ("入库中", "Ingesting"),
        ImportState.DONE: ("已完成", "Done"),
        ImportState.CANCELLED: ("已取消", "Cancelled"),
    },
    ExceptionKind: {
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
        ExceptionKind.BILL_MISSING: ("账单未读到", "Bill not read"),
    },
    ExceptionState: {
        ExceptionState.OPEN: ("待处理", "Open"),
        ExceptionState.PROPOSED: ("待复核", "For approval"),
        ExceptionState.WORKING: ("处理中", "In progress"),
        ExceptionState.CLOSED: ("已关闭", "Closed"),
    },
    ExceptionAction: {
        ExceptionAction.DELIVER: ("补发卡密", "Deliver"),
        ExceptionAction.REFUND: ("退款", "Refund"),
        ExceptionAction.ATTACH: ("归入订单", "Attach to an order"),
        ExceptionAction.ASK_AGAIN: ("再次查询", "Ask the channel again"),
        ExceptionAction.CONFIRM: ("确认到账", "Confirm the payment"),
        ExceptionAction.RECORD: ("登记渠道退款", "Record a refund"),
        ExceptionAction.DISMISS: ("关闭", "Close without action"),
    },
    FoundBy: {
        FoundBy.CALLBACK: ("渠道通知", "Notification"),
        FoundBy.PAGE: ("买家页面查询", "The buyer's page"),
        FoundBy.SWEEP: ("定时查询", "Scheduled query"),
        FoundBy.BILL: ("渠道账单", "The channel's bill"),
        FoundBy.PERSON: ("人工确认", "A person"),
    },
    RefundCause: {
        RefundCause.BUYER: ("买家申请", "Asked by the buyer"),
        RefundCause.NO_STOCK: ("无货可发", "Nothing to deliver"),
        RefundCause.PAID_TWICE: ("重复付款", "Paid twice"),
        RefundCause.AMOUNT: ("金额不符", "Amount mismatch"),
        RefundCause.UNMATCHED: ("无主款项", "Money without an order"),
        RefundCause.SHOP: ("商家退款", "By the shop"),
    },
    RefundPolicy: {
        RefundPolicy.BEFORE_VIEW: ("查看卡密前可退", "Refundable before the key is seen"),
        RefundPolicy.UNUSED_ONLY: ("未使用可退", "Refundable while unused"),
        RefundPolicy.DEFECT_ONLY: ("卡密有问题可退", "Refundable if the key is defective"),
        RefundPolicy.NONE: ("售出不退", "Not refundable"),
    },
    RefundReason: {
        RefundReason.DEFECTIVE: ("卡密无效", "The key does not work"),
        RefundReason.USED: ("卡密已被使用", "The key was used before"),
        RefundReason.UNWANTED: ("买错了或不想要了", "Bought by mistake, or not wanted"),
        RefundReason.OTHER: ("其他原因", "Another reason"),
    },
    RefundTurn: {
        RefundTurn.SUPPLIER: ("供应商", "Supplier"),
        RefundTurn.SHOP: ("店铺", "Shop"),
        RefundTurn.FINANCE: ("财务", "Finance"),
        RefundTurn.CHANNEL: ("支付渠道", "Payment channel"),
    },
    RefundStep: {
        RefundStep.ASKED: ("买家申请退款", "The buyer asked"),
        RefundStep.STARTED: ("发起退款", "Started"),
        RefundStep.AUTO_APPROVED: ("按退款规则自动同意", "Approved by the refund rules"),
        RefundStep.AUTO_REFUSED: ("按退款规则不能退款", "Refused by the refund rules"),
        RefundStep.SUPPLIER_AGREED: ("供应商同意退款", "The supplier agreed"),
        RefundStep.SUPPLIER_REFUSED: ("供应商不同意，由店铺裁定", "The supplier refused; the shop decides"),
        RefundStep.SILENT: ("供应商未按时答复，由店铺裁定", "The supplier did not answer; the shop decides"),
        RefundStep.REPLACED: ("供应商补发了新的卡密", "The supplier delivered a new key"),
        RefundStep.REPLACED_BY_SHOP: ("店铺补发了新的卡密", "The shop delivered a new key"),
        RefundStep.SHOP_APPROVED: ("店铺同意退款", "The shop approved"),
        RefundStep.SHOP_REFUSED: ("店铺不同意退款", "The shop refused"),
        RefundStep.CHECKED: ("财务复核通过", "Checked by finance"),
        RefundStep.STOPPED: ("财务复核未通过", "Stopped by finance"),
        RefundStep.SUBMITTED: ("已提交支付渠道", "Sent to the payment channel"),
        RefundStep.DELAYED: ("暂未提交，等待重试", "Waits for the next try"),
        RefundStep.ACCEPTED: ("支付渠道已受理，尚未到账", "Accepted by the channel, not refunded yet"),
        RefundStep.RETRIED: ("重新提交支付渠道", "Sent to the channel again"),
        RefundStep.ABNORMAL: ("支付渠道退款异常，正在处理", "The channel could not refund; we are at it"),
        RefundStep.RECORDED: ("商家已在支付渠道后台退回", "The shop gave it back at the channel"),
        RefundStep.SUCCEEDED: ("已退款", "Refunded"),
        RefundStep.CLOSED: ("退款已关闭", "Closed"),
    },
    BillTrouble: {
        BillTrouble.NOT_THERE: ("渠道说没有账单，当天却有收款", "The channel has none, though money came that day"),
        BillTrouble.NO_ANSWER: ("渠道没有回应", "No answer"),
        BillTrouble.REFUSED: ("渠道拒绝提供", "The channel refuses it"),
        BillTrouble.DAMAGED: ("文件损坏或校验不符", "The file is damaged"),
        BillTrouble.UNREADABLE: ("格式无法识别", "It cannot be read"),
        BillTrouble.UNSURE: ("有付款尚未核实", "Some of its payments are not confirmed yet"),
    },
    RefundTrouble: {
        RefundTrouble.NO_ANSWER: ("支付渠道没有回应，将继续查询。", "The channel did not answer; it is asked again."),
        RefundTrouble.TOO_SOON: (
            "同一订单两次退款须间隔 1 分钟，到时间自动提交。",
            "Two refunds of one order must be a minute apart; this one is sent by itself.",
        ),
        RefundTrouble.SLOW: (
            "支付渠道受理已超过 7 天，还没有结果。",
            "The channel took it on more than 7 days ago and has no outcome yet.",
        ),
        RefundTrouble.NOT_ENOUGH_BALANCE: (
            "商户余额不足，请充值后重试，也会自动重试。",
            "The merchant's balance is too low; top it up and try again. It is also tried again by itself.",
        ),
        RefundTrouble.ABNORMAL: (
            "买家的收款账户无法入账。请在渠道的商户平台为这笔退款申请“异常退款”，退至其他银行卡；本店会继续查询。",
            "The payer's account cannot take it. Apply for an abnormal refund in the channel's own console.",
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
        RefundTrouble.NOT_OFFERED: (
            "该支付渠道不支持由本店发起退款。请在渠道的商户后台退给买家，再到异常款项登记渠道退款单号。",
            "This channel takes no refunds from us: make it in its own console, then record its number there.",
        ),
        RefundTrouble.KEYS_SEEN: (
            "卡密已经查看，按退款规则不能无理由退款。",
            "The keys were seen: by the refund rules they are not taken back without a reason.",
        ),
        RefundTrouble.NO_DEFECT: ("该商品只在卡密有问题时退款。", "Only defective keys of this product are refunded."),
        RefundTrouble.NOT_REFUNDABLE: (
            "该商品售出不退，下单时已经确认。",
            "This product is not refundable, as agreed when ordering.",
        ),
    },
    RefundState: {
        RefundState.REQUESTED: ("已申请", "Asked"),
        RefundState.SUPPLIER_WAIT: ("等待供应商确认", "With the supplier"),
        RefundState.APPROVED: ("已同意", "Approved"),
        RefundState.REFUSED: ("已拒绝", "Refused"),
        RefundState.SUBMITTED: ("已提交渠道", "Sent to the channel"),
        RefundState.PROCESSING: ("渠道处理中", "The channel is at it"),
        RefundState.SUCCEEDED: ("已退款", "Refunded"),
        RefundState.ABNORMAL: ("退款异常", "Needs attention"),
        RefundState.CLOSED: ("已关闭", "Closed"),
    },
    JournalCode: {
        JournalCode.PAY: ("收款", "Payment"),
        JournalCode.PROMO: ("平台优惠", "Discount borne by the shop"),
        JournalCode.SALE: ("销售分账", "Sale"),
        JournalCode.PSPFEE: ("渠道手续费", "Channel fee"),
        JournalCode.SWEEP: ("渠道结算到账", "Paid out by the channel"),
        JournalCode.SUSPENSE: ("暂收", "Set aside"),
        JournalCode.ATTACH: ("暂收款归入订单", "Attached to an order"),
        JournalCode.CORRECT: ("更正", "Correction"),
        JournalCode.REVERSE: ("退款冲回分账", "Sale reversed"),
        JournalCode.RESTORE: ("退款未成，恢复分账", "Sale restored"),
        JournalCode.REFUND: ("退款", "Refund"),
        JournalCode.NOSTOCK: ("无货退款", "Refund, nothing to deliver"),
        JournalCode.RELEASE: ("结算释放", "Release"),
        JournalCode.PAYOUT: ("打款", "Payout"),
        JournalCode.FREEZE: ("争议冻结与解冻", "Frozen for a dispute, or let go"),
        JournalCode.CHARGEBACK: ("拒付扣回", "Chargeback"),
        JournalCode.ADJ: ("手工调账", "Adjustment"),
    },
    ShareKind: {
        ShareKind.PERCENT: ("按比例", "Percent"),
        ShareKind.FIXED: ("每件固定", "Fixed per piece"),
    },
    Cycle: {
        Cycle.D0: ("D+0 当日", "D+0, same day"),
        Cycle.DAYS: ("D+n 自然日", "D+n, calendar days"),
        Cycle.WORKING_DAYS: ("T+n 工作日", "T+n, working days"),
        Cycle.WEEKLY: ("每周", "Weekly"),
        Cycle.MONTHLY: ("每月", "Monthly"),
    },
    ReleaseFrom: {
        ReleaseFrom.DELIVERED: ("发货时起算", "From delivery"),
        ReleaseFrom.COMPLETED: ("完成时起算", "From completion"),
    },
    HoldReason: {
        HoldReason.NOT_COMPLETED: ("订单尚未完成", "The order is not completed yet"),
        HoldReason.CYCLE: ("未到结算日", "Its day has not come"),
        HoldReason.REFUND_OPEN: ("退款处理中", "A refund is under way"),
        HoldReason.DISPUTED: ("有争议或拒付", "A dispute or chargeback"),
        HoldReason.EXCEPTION_OPEN: ("款项异常未处理", "An exception is open"),
        HoldReason.BY_PERSON: ("人工暂缓", "Held by a person"),
        HoldReason.BELOW_MINIMUM: ("未达起结金额", "Below the minimum"),
    },
    StatementState: {
        StatementState.DRAFT: ("待确认", "Draft"),
        StatementState.CONFIRMED: ("已确认", "Confirmed"),
        StatementState.PAID: ("已打款", "Paid"),
        StatementState.DROPPED: ("已作废", "Dropped"),
    },
    PayoutState: {
        PayoutState.REQUESTED: ("待复核", "For approval"),
        PayoutState.APPROVED: ("已复核", "Approved"),
        PayoutState.SENT: ("打款中", "On its way"),
        PayoutState.CONFIRMED: ("已到账", "Arrived"),
        PayoutState.FAILED: ("失败退回", "Failed, returned"),
        PayoutState.REFUSED: ("复核未通过", "Refused"),
    },
    AdjustmentState: {
        AdjustmentState.PROPOSED: ("待复核", "For approval"),
        AdjustmentState.POSTED: ("已入账", "Posted"),
        AdjustmentState.REFUSED: ("复核未通过", "Refused"),
    },
    SweepState: {
        SweepState.PROPOSED: ("待复核", "For approval"),
        SweepState.BOOKED: ("已入账", "Booked"),
        SweepState.REFUSED: ("未登记", "Not booked"),
        SweepState.REVERSING: ("冲销待复核", "Reversal for approval"),
        SweepState.REVERSED: ("已冲销", "Reversed"),
    },
    DisputeState: {
        DisputeState.OPENED: ("争议中", "Open"),
        DisputeState.WON: ("已胜诉", "Won"),
        DisputeState.LOST: ("已败诉", "Lost"),
    },
    BillKind: {
        BillKind.TRADES: ("交易账单", "Trade bill"),
        BillKind.FUNDS: ("资金账单", "Fund bill"),
    },
    DifferenceKind: {
        DifferenceKind.ONLY_OURS: ("平台有、渠道无", "Ours only"),
        DifferenceKind.ONLY_THEIRS: ("渠道有、平台无", "Channel only"),
        DifferenceKind.UNPAID_OURS: ("渠道已付、平台未付", "Channel paid, unpaid here"),
        DifferenceKind.AMOUNT: ("金额不符", "Amounts differ"),
        DifferenceKind.FEE: ("手续费不符", "Fees differ"),
        DifferenceKind.STATE: ("状态不符", "States differ"),
        DifferenceKind.DUPLICATE: ("重复支付", "Paid twice"),
        DifferenceKind.DATE_SHIFT: ("跨日", "Date shift"),
        DifferenceKind.FOREIGN: ("外来单", "Of another business"),
        DifferenceKind.REFUND_ONLY_OURS: ("平台有退款、渠道无", "Refund ours only"),
        DifferenceKind.REFUND_ONLY_THEIRS: ("渠道有退款、平台无", "Refund channel only"),
        DifferenceKind.REFUND_AMOUNT: ("退款金额不符", "Refund amounts differ"),
        DifferenceKind.REFUND_STATE: ("退款状态不符", "Refund states differ"),
        DifferenceKind.FUND_ONLY_TRADES: ("交易账单有、资金账单无", "Trade bill only"),
        DifferenceKind.FUND_ONLY_FUNDS: ("资金账单有、交易账单无", "Fund bill only"),
        DifferenceKind.BALANCE: ("余额不平", "Balance is off"),
        DifferenceKind.BOOKED: ("已调账、账单已一致", "Booked, bill agrees"),
    },
    DifferenceState: {
        DifferenceState.OPEN: ("待处理", "Open"),
        DifferenceState.PROPOSED: ("待复核", "For approval"),
        DifferenceState.WORKING: ("处理中", "In progress"),
        DifferenceState.RESOLVED: ("已处理", "Resolved"),
        DifferenceState.MATCHED: ("自动配平", "Auto-matched"),
    },
    DifferenceAction: {
        DifferenceAction.DELIVER: ("补单发货", "Deliver"),
        DifferenceAction.REFUND: ("退款", "Refund"),
        DifferenceAction.ATTACH: ("归入订单", "Attach to an order"),
        DifferenceAction.BOOK: ("调账", "Book the difference"),
        DifferenceAction.CARRY: ("挂账", "Carry over"),
        DifferenceAction.WRITE_OFF: ("核销", "Write off"),
        DifferenceAction.IGNORE: ("忽略", "Ignore"),
    },
    DayState: {
        DayState.WAITING: ("待对账", "Not reconciled"),
        DayState.OPEN: ("待签", "Open"),
        DayState.SIGNED: ("已签", "Signed"),
    },
}
"""By kind: members of two of them that are written alike are equal, and would have one word between them."""


class AboutState(Conflict):
    """A refusal that names states in words; `params` keep their codes. `words` says of which kind each of them is."""

    words: ClassVar[Mapping[str, type[StrEnum]]] = {}

    def sentence(self, language: str = "zh") -> str:
        """The sentence for a person."""
        said = self.said(language)
        for name, kind in self.words.items():
            if self.params.get(name) in set(kind):
                said[name] = label(kind(self.params[name]), language)
        return (self.en if language.startswith("en") else self.zh).format_map(said)


def label(state: StrEnum | IntEnum, language: str = "zh") -> str:
    """The word a person reads for a state."""
    zh, en = words_of(state)
    return en if language.startswith("en") else zh


def words_of(state: StrEnum | IntEnum) -> tuple[str, str]:
    """The words for a state in both languages."""
    return LABELS.get(type(state), {}).get(state, (str(state), str(state)))
