"""What to do about each kind of exception, in one breath: the line that stands above its evidence."""

from __future__ import annotations

from desktop.presenters.acting import Pair
from shared.states import ExceptionKind

RUNBOOK: dict[ExceptionKind, Pair] = {
    ExceptionKind.PAID_NO_STOCK: (
        "买家已付款，没有卡密可发。先补货，再选“补发卡密”；补不到货就退款。到时间无人处理，系统有货发货、无货退款。",
        (
            "The buyer has paid and there is no key. Bring stock in and deliver; or refund. When the time is"
            " up, the shop delivers if it can and refunds if not."
        ),
    ),
    ExceptionKind.PAID_AFTER_EXPIRY: (
        "订单过期或取消后钱才到，放回的库存已经卖完。先补货，再补发；补不到货就退款。到时间无人处理，系统有货发货、无货退款。",
        (
            "The money came after the order had expired or was cancelled, and its stock is sold. Bring stock in and"
            " deliver; or refund. When the time is up, the shop delivers if it can and refunds if not."
        ),
    ),
    ExceptionKind.PAID_TWICE: (
        "同一订单付了两次，多出的一笔已记为暂收款，原订单不受影响。核对两个渠道流水号后退还这一笔；已在渠道后台退了的，登记下来。",
        (
            "One order was paid twice; the second payment was set aside and the order is not touched. Compare"
            " both numbers and refund this one; if it went back in the channel's console, record that."
        ),
    ),
    ExceptionKind.AMOUNT_MISMATCH: (
        (
            "实收与应收不同，在渠道商户平台核对这笔付款。订单没有发货的：退还买家重付，或归入金额相同的未支付订单。"
            "订单已发货的，是账单与通知说的金额不同：差额在对账里调账，这一条随之关闭。"
        ),
        (
            "The amount is not the one of the order: check the payment in the channel's console. Where nothing was"
            " delivered, refund it, or attach it to an unpaid order of that amount. Where the order was delivered, the"
            " bill says another amount than the notification did: book the difference in reconciliation, which closes"
            " this as well."
        ),
    ),
    ExceptionKind.MERCHANT_MISMATCH: (
        "通知里的商户号或应用号不是本店的，没有入账。核对渠道配置；若是别家的通知，记下原因后关闭。",
        (
            "The notification names another merchant or application; nothing was booked. Check the channel's"
            " settings, and close it with the reason if it is somebody else's."
        ),
    ),
    ExceptionKind.UNKNOWN_PAYMENT: (
        "渠道收到了钱，本店没有对应的订单。按金额、时间、付款人找订单：找到就归入，找不到就退款。",
        (
            "The channel has money for which there is no order. Look for one by amount, time and payer: attach"
            " it, or refund."
        ),
    ),
    ExceptionKind.BAD_SIGNATURES: (
        "短时间内收到大量签名不对的通知，均未入账。若渠道刚换过密钥，请先更新密钥；否则多半是试探，记录来源后关闭。",
        (
            "Many notifications with bad signatures came, none was booked. If the channel has new keys, install"
            " them; else somebody is trying: note where from, and close."
        ),
    ),
    ExceptionKind.PAYMENT_UNKNOWN: (
        (
            "问了多次，渠道仍没有说这笔钱到没到。不要让买家重付。再次查询；渠道后台能看到到账的，由两个人确认到账；"
            "渠道长时间不可用时停用该渠道，等账单核对。"
            "写有“未能入账的原因”的，是本系统没能记账：请管理员查日志，修好后再次查询。"
            "写有“人工确认时所填的渠道流水号”的，已按两个人的确认入账，渠道和账单却都没有：到渠道后台核对，查明后关闭。"
        ),
        (
            "The channel does not say whether the money came. Do not let the buyer pay again. Ask again; what its"
            " console shows as received can be confirmed by two people. If the channel is away for long, switch it"
            " off and wait for its bill. Where it says why it could not be booked the fault is ours: have the log"
            " read, and ask again once it is mended. Where it shows the number that people confirmed it by, it is"
            " booked on their word alone, and the channel does not know of it: look in its console, then close."
        ),
    ),
    ExceptionKind.REFUND_STUCK: (
        (
            "退款卡在渠道。看“受阻原因”：余额不足先充值，再选“再次查询”，单号不变，不会重复退款。"
            "退款已关闭的，重新退款；渠道不接受的，在渠道后台退给买家，再登记渠道退款单号。"
            "账上已退、渠道却说没有退成的，在渠道后台重新退给买家，再登记新的渠道退款单号，账不再动。"
        ),
        (
            "A refund does not get through. See the trouble: top up where the balance is low, then ask again;"
            " the number stays the same, so nothing is refunded twice. One that is closed is made anew; what the"
            " channel does not take is given back in its own console, and recorded with its number there. Where the"
            " books say that it went back and the channel that it did not, give it back in the console, and record the"
            " new number: the books stay as they are."
        ),
    ),
    ExceptionKind.BILL_MISSING: (
        "这一天的渠道账单没有读到，没人通知过的付款就查不出来。系统每半小时重试，读到会自动关闭。请在渠道商户平台核对当天收款：确实没有交易，或已人工核对，写明后关闭。",
        (
            "The channel's bill of this day is not read, so money that nobody told of stays unknown. It is tried again"
            " each half hour and closes by itself. Compare that day in the channel's console: if there was no trade, or"
            " all of it is here, note so and close."
        ),
    ),
    ExceptionKind.UNKNOWN_REFUND: (
        (
            "有人在渠道商户平台直接退了款，本店没有记录。核对是谁、为哪张订单退的，再登记入账；与订单无关的，记下后关闭。"
            "支付宝只通知累计退款额，这里的金额已减去账上已退的；同一笔付款有退款在途时，等它结束再登记。"
            "今后请在这里退款。"
        ),
        (
            "Somebody refunded in the channel's own console. Find out who and for which order, and record it; close"
            " what is of no order. Alipay tells the sum of all refunds only: what is in the books is taken off here,"
            " and nothing is recorded while a refund of the same payment is on its way. Refund from here next time."
        ),
    ),
}
