"""Bills that a person downloaded and dropped, as these tests want them to be: written by the sandbox's writers."""

from datetime import timedelta

from server.sandbox import bills_alipay, bills_wechat
from server.sandbox.bills import BillLine
from shared import clock


def line(close, bought, **more):
    """The line of a payment, as the channel has it but for `more`."""
    at = ms(bought.paid_at or clock.now())
    told = {
        "kind": "payment",
        "at_ms": at,
        "created_at_ms": at - 1_000,
        "provider_no": bought.provider_no or "42" + "7" * 26,
        "out_trade_no": bought.out_trade_no,
        "amount_fen": bought.amount_fen,
        "fee_fen": bought.fee_fen or 0,
        "subject": "点卡",
        "app_id": next(iter(close.shop.ctx.gateways[bought.channel].app_ids), ""),
        "product": "qr",
        "payer": "o1",
    }
    return BillLine(**told | more)


def given_back(close, bought, refund, **more):
    """The line of a refund of it, a minute after it was paid, or as late as a bill of that day has it."""
    last = clock.day_bounds(clock.shop_day(bought.paid_at))[1] - timedelta(seconds=1)
    at = ms(min(bought.paid_at + timedelta(minutes=1), max(bought.paid_at, last)))
    told = {"kind": "refund", "at_ms": at, "ends_at_ms": at, "fee_fen": 0, "refund_no": refund.get("refund_no", "")}
    told |= {"out_refund_no": refund["out_refund_no"], "amount_fen": refund["amount_fen"]}
    return line(close, bought, **told | more)


def trades(close, *lines):
    """A trade bill of WeChat Pay: its name and content."""
    merchant = close.merchant("wechat")
    return "trades.csv", bills_wechat.trade_bill(list(lines), merchant_id=merchant, bill_type="ALL")


def funds(close, *lines, opening_fen=0):
    """Its bill of movements."""
    merchant = close.merchant("wechat")
    return "funds.csv", bills_wechat.fund_flow_bill(list(lines), merchant_id=merchant, opening_fen=opening_fen)


def alipay(close, *lines, day=None):
    """A trade bill of Alipay."""
    return "trades.zip", bills_alipay.trade_bill(list(lines), seller_id=close.merchant("alipay"), day=day or close.day)


def ms(at):
    """An instant as the sandbox has it."""
    return int(at.timestamp() * 1_000)
