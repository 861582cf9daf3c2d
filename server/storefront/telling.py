"""What the shop says in each state of an order and of a refund: tables of sentences, in Chinese, translated when shown.

Pure. A page looks its state up here; `views` and the templates only lay the words out.
"""

from __future__ import annotations

from dataclasses import dataclass

from server.storefront.language import marked
from shared.states import ExceptionKind, OrderState, RefundCause, RefundPolicy, RefundReason, RefundState


@dataclass(frozen=True, slots=True)
class Telling:
    """What a page says in one state. `waits`: something may still come by itself; `can_ask`: the channel may know.

    `listens`: it is over for us, and money that the buyer has paid may still come in these minutes.
    """

    heading: str
    explanation: str
    tone: str = ""
    icon: str = "check"
    next_steps: tuple[str, ...] = ()
    waits: bool = False
    can_ask: bool = False
    listens: bool = False
    may_buy_again: bool = False


# --- orders ---

_MONEY_IS_SAFE = marked("款项已经记在这张订单上，不会丢失，也请不要再付一次。")
_WILL_END = marked("结果只有两种：补发卡密，或者原路退款。都会显示在本页。")
_PAID_BEFORE = marked("如果您在关闭前已经付款：支付渠道通知我们之后，会在本页发货或者退款。")
_KEEP_CODE = marked("需要联系商家时，请提供下面的订单号。")

KEYS: dict[OrderState, Telling] = {
    OrderState.DELIVERED: Telling(marked("支付成功，卡密已发货"), marked("这就是您的卡密，可以马上使用。")),
    OrderState.COMPLETED: Telling(marked("订单已完成"), marked("卡密会一直保留在这里。")),
    OrderState.PARTIALLY_DELIVERED: Telling(marked("已发出一部分卡密"), marked("其余的正在补货；补不上的会原路退款。")),
    OrderState.PARTIALLY_REFUNDED: Telling(marked("部分款项已退回"), marked("没有退款的卡密仍在这里。")),
    OrderState.DISPUTED: Telling(marked("这张订单正在核实"), marked("核实期间，卡密仍在这里。")),
}
"""States in which the buyer sees keys."""

SEALED = Telling(
    marked("支付成功，卡密已备好"),
    marked("卡密还没有显示过，现在可以无理由退款。显示之后，只有卡密有问题才能退。"),
    icon="lock",
)
"""Keys that may be given back as long as nobody has seen them."""

WITHHELD = Telling(
    marked("这张订单正在退款"),
    marked("退款的卡密已经收回，不再显示。"),
    tone="calm",
    icon="return",
    waits=True,
)
"""All keys of the order went back unseen; its money is on the way."""

NOTICE: dict[OrderState, Telling] = {
    OrderState.PAID: Telling(
        marked("已收到付款，正在发货"),
        marked("钱已收到，但卡密还没有发出，可能是库存刚好用完。我们正在处理。"),
        tone="warn",
        icon="clock",
        next_steps=(_MONEY_IS_SAFE, _WILL_END, _KEEP_CODE),
        waits=True,
        can_ask=True,
    ),
    OrderState.DELIVERY_FAILED: Telling(
        marked("已收到付款，还没能发货"),
        marked("很抱歉，付款到账时库存已经用完。我们正在处理。"),
        tone="warn",
        icon="alert",
        next_steps=(_MONEY_IS_SAFE, _WILL_END, _KEEP_CODE),
        waits=True,
        can_ask=True,
    ),
    OrderState.EXPIRED: Telling(
        marked("订单已过期"),
        marked("没有在时限内收到付款，这张订单已经关闭。"),
        tone="calm",
        icon="clock",
        next_steps=(_PAID_BEFORE, _KEEP_CODE),
        can_ask=True,
        listens=True,
        may_buy_again=True,
    ),
    OrderState.CANCELLED: Telling(
        marked("订单已取消"),
        marked("没有收到付款，这张订单已经关闭。"),
        tone="calm",
        icon="cross",
        next_steps=(_PAID_BEFORE, _KEEP_CODE),
        can_ask=True,
        listens=True,
        may_buy_again=True,
    ),
    OrderState.REFUNDED: Telling(
        marked("款项已退回"),
        marked("全部金额已原路退回，到账时间以支付渠道为准。"),
        tone="calm",
        icon="return",
        may_buy_again=True,
    ),
}
"""States in which the buyer reads what happened."""

STILL_OPEN = Telling(
    marked("订单已取消"),
    marked("还没有收到付款。这种支付方式不能撤销，请不要再到原来的支付页面付款。"),
    tone="calm",
    icon="cross",
    next_steps=(marked("如果您已经付款：支付渠道通知我们之后，会在本页发货或者退款。也可以现在刷新查询。"), _KEEP_CODE),
    can_ask=True,
    listens=True,
    may_buy_again=True,
)
"""Cancelled, and its channel could not close what it had opened: money may still come."""

REFUNDING = Telling(
    marked("没能发货，正在原路退款"),
    marked("很抱歉，付款到账时库存已经用完。这笔钱正在退还给您，不需要您做什么。"),
    tone="warn",
    icon="return",
    waits=True,
)
"""Nothing could be delivered, and the money is on its way back."""

MONEY_IN_QUESTION = Telling(
    marked("收到了付款，正在人工核对"),
    marked("支付渠道报来的付款与这张订单对不上，需要我们的同事核对一下。"),
    tone="warn",
    icon="alert",
    next_steps=(_MONEY_IS_SAFE, _WILL_END, _KEEP_CODE),
    waits=True,
    can_ask=True,
)
"""An unpaid, expired or cancelled order for which money came that does not fit it."""

OUTCOME_UNKNOWN = Telling(
    marked("付款结果还没有查到"),
    marked("还不能确定有没有收到您的付款，我们的同事正在核实。"),
    tone="warn",
    icon="alert",
    next_steps=(
        marked("如果您已经付款：款项不会丢失，核实后在本页发货或者退款，请不要再付一次。"),
        marked("如果您没有付款：现在请不要付，核实之后本页会更新。"),
        _KEEP_CODE,
    ),
    waits=True,
    can_ask=True,
)
"""Nobody knows whether money came."""

IN_QUESTION: dict[ExceptionKind, Telling] = {ExceptionKind.PAYMENT_UNKNOWN: OUTCOME_UNKNOWN}
"""What an order says whose money people look at; all else is `MONEY_IN_QUESTION`."""

CONFIRMING = Telling(
    marked("正在向支付渠道确认"),
    marked("支付时间已到。我们正在确认有没有收到付款，很快就有结果。"),
    tone="calm",
    icon="clock",
    next_steps=(
        marked("已经付款的，不会丢失：确认后本页自动显示卡密。"),
        marked("还没付款的，请不要再付，重新下单即可。"),
    ),
    waits=True,
    can_ask=True,
)
"""The time to pay is over, and the order not yet closed."""

BACK = Telling(
    marked("正在确认您的付款"),
    marked("我们正在向支付渠道查询。付款成功的话，卡密几秒内就会显示在这里。"),
    tone="calm",
    icon="clock",
    next_steps=(
        marked("支付应用里显示“支付成功”：请稍等，不要再付一次。"),
        marked("关掉本页也没关系：款项不会丢失，回到本页就能取卡密。"),
    ),
    waits=True,
    can_ask=True,
)
"""The buyer has come back from the app, and the channel has not said yet that money came."""


# --- refund rules ---


@dataclass(frozen=True, slots=True)
class PolicyTelling:
    """When the money of a product goes back: in one line, and what it means."""

    title: str
    sentences: tuple[str, ...]


_DIGITAL = marked("卡密属于数字商品，显示后不适用七天无理由退货。")
_DEFECT = marked("卡密无效、已被使用或与说明不符的：在订单页点“这张卡有问题”，供应商 24 小时内核实，补发或退款。")


@dataclass(frozen=True, slots=True)
class Wording:
    """All the refund rules as one version says them: by product, and what holds for every one."""

    rules: dict[RefundPolicy, PolicyTelling]
    always: tuple[str, ...]


POLICY: dict[str, Wording] = {
    "2026-11": Wording(
        {
            RefundPolicy.BEFORE_VIEW: PolicyTelling(
                marked("查看卡密前可退"), (marked("卡密显示之前，可以无理由退款，自动原路退回。"), _DIGITAL, _DEFECT)
            ),
            RefundPolicy.UNUSED_ONLY: PolicyTelling(
                marked("未使用可退"),
                (marked("卡密没有使用过的，可以申请退款；显示过的由供应商核实是否使用。"), _DIGITAL, _DEFECT),
            ),
            RefundPolicy.DEFECT_ONLY: PolicyTelling(marked("卡密有问题可退"), (_DIGITAL, _DEFECT)),
            RefundPolicy.NONE: PolicyTelling(
                marked("售出不退"), (marked("卡密发出后不退不换，请确认后再购买。"), _DIGITAL)
            ),
        },
        (marked("付款前可以随时放弃；超时未付的订单自动关闭，不扣款。"), marked("付款后没能发货的，款项原路退回。")),
    ),
}
"""The words of every version that somebody agreed to: an order keeps its version, and its page says these words.

A version's words never change; new words are a new version, which `orders.actions.POLICY_VERSION` then names.
"""


# --- refunds ---

CAUSE: dict[RefundCause, str] = {
    RefundCause.BUYER: marked("您申请的售后"),
    RefundCause.NO_STOCK: marked("没能发货，原路退款"),
    RefundCause.PAID_TWICE: marked("多付的一笔，原路退回"),
    RefundCause.AMOUNT: marked("金额不符的付款，原路退回"),
    RefundCause.UNMATCHED: marked("对不上订单的付款，原路退回"),
    RefundCause.SHOP: marked("商家发起的退款"),
}

REFUND: dict[RefundState, Telling] = {
    RefundState.REQUESTED: Telling(marked("已收到申请"), marked("正在按退款规则处理。"), "warn", "clock"),
    RefundState.SUPPLIER_WAIT: Telling(
        marked("正在核实"), marked("核实后补发或退款；没有按时答复的，由商家裁定。"), "warn", "clock"
    ),
    RefundState.APPROVED: Telling(marked("已同意退款"), marked("还没有提交给支付渠道，钱还没有退。"), "warn", "clock"),
    RefundState.SUBMITTED: Telling(
        marked("已提交支付渠道"), marked("正在等支付渠道受理，钱还没有退。"), "warn", "clock"
    ),
    RefundState.PROCESSING: Telling(
        marked("支付渠道已受理，尚未到账"), marked("支付渠道正在退款，完成后这里会写明“已退款”。"), "warn", "clock"
    ),
    RefundState.ABNORMAL: Telling(
        marked("退款遇到问题，正在处理"),
        marked("支付渠道没能退到原来的账户。我们会处理好，钱不会丢失。"),
        "warn",
        "alert",
    ),
    RefundState.SUCCEEDED: Telling(marked("已退款"), marked("已原路退回，到账时间以支付渠道为准。"), "", "check"),
    RefundState.REFUSED: Telling(marked("没有同意退款"), marked("如有异议，请凭订单号联系商家。"), "calm", "cross"),
    RefundState.CLOSED: Telling(
        marked("这笔退款没有完成"), marked("钱没有退回。我们的同事会跟进，也可以凭订单号联系商家。"), "warn", "alert"
    ),
}
"""What each state of a refund means to its buyer. Nothing but `succeeded` is called refunded."""

REPLACED = Telling(marked("已补发新的卡密"), marked("新卡密在订单页上，有问题的那张标着“已换新”。"), "", "check")
"""A refund that ended with another key."""

STOPPED = Telling(
    marked("没有退款"),
    marked("财务复核没有通过，钱没有退回，原因见下。如有异议，请凭订单号联系商家。"),
    "calm",
    "cross",
)
"""A refund that had been approved and was stopped before it went to its channel."""

REASON: dict[RefundReason, str] = {
    RefundReason.DEFECTIVE: marked("卡密无效"),
    RefundReason.USED: marked("卡密已被使用"),
    RefundReason.UNWANTED: marked("买错了，或不想要了"),
    RefundReason.OTHER: marked("与说明不符，或其他原因"),
}
