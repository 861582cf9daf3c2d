"""Refunds and bills of the sandbox's WeChat Pay, through `wechatpayv3`."""

import hashlib
import re
from urllib.parse import urlsplit

import pytest

from tests.rsa_keys import rsa_key
from tests.server.sandbox.wechat_shop import MCHID, WechatShop, refusal, said

REFUNDS = "/v3/refund/domestic/refunds"


@pytest.fixture
def shop(wechat_shop):
    return wechat_shop


@pytest.fixture
def told(number):
    """The path of this test's notifications."""
    return f"/wechat/{number}"


def refunded(shop, number, amount, suffix="1", *, total=12880, **changes):
    amounts = {"refund": amount, "total": total, "currency": "CNY"}
    return said(shop.sdk.refund(f"R{number}-{suffix}", amounts, out_trade_no=number, reason="未发货", **changes))


def test_a_refund_is_taken_on_then_succeeds_and_is_told(shop, receiver, number, told):
    shop.paid(number)
    status, taken = refunded(shop, number, 880, notify_url=receiver.url(told))
    assert (status, taken["status"], "success_time" in taken) == (200, "PROCESSING", False)
    assert re.fullmatch(r"5030\d{24}", taken["refund_id"])
    status, found = said(shop.sdk.query_refund(f"R{number}-1"))
    assert (status, found["status"], found["refund_id"]) == (200, "SUCCESS", taken["refund_id"])
    assert (found["amount"]["total"], found["amount"]["refund"], found["amount"]["payer_refund"]) == (12880, 880, 880)

    opened = shop.opened(receiver.next(told))
    assert (opened["event_type"], "appid" in opened["resource"]) == ("REFUND.SUCCESS", False)
    assert opened["resource"] == {
        "mchid": MCHID,
        "out_trade_no": number,
        "transaction_id": taken["transaction_id"],
        "out_refund_no": f"R{number}-1",
        "refund_id": taken["refund_id"],
        "refund_status": "SUCCESS",
        "success_time": found["success_time"],
        "user_received_account": "支付用户零钱",
        "amount": {"total": 12880, "refund": 880, "payer_total": 12880, "payer_refund": 880},
    }
    assert shop.query(number)["trade_state"] == "REFUND"
    assert refunded(shop, number, 880)[1]["refund_id"] == taken["refund_id"]
    assert receiver.waiting(told) == 0


def test_what_a_refund_may_not_be(shop, number):
    shop.native(number)
    assert refunded(shop, number, 80)[1]["message"] == "订单未支付，不能退款"
    assert refunded(shop, f"{number}no", 80) == (404, {"code": "RESOURCE_NOT_EXISTS", "message": "订单不存在"})
    shop.submit(shop.page_of(shop.native(number)))
    refusals = [
        refunded(shop, number, 80, total=12881),
        refunded(shop, number, 12881),
        refunded(shop, number, 12800),
        refunded(shop, number, 12801),
        refunded(shop, number, 81, "2"),
    ]
    assert [status for status, _ in refusals] == [400, 400, 200, 400, 400]
    assert refunded(shop, number, 80, "2")[0] == 200
    shop.fault("balance_low")
    assert refunded(shop, number, 1, "3") == (
        403,
        {"code": "NOT_ENOUGH", "message": "基本账户余额不足，请充值后重新发起"},
    )
    assert refusal(shop.sdk.query_refund(f"R{number}-3")) == (404, "RESOURCE_NOT_EXISTS")


def test_parts_end_at_fifty(shop, number):
    shop.paid(number)
    for part in range(50):
        assert refunded(shop, number, 1, str(part))[0] == 200
    assert refunded(shop, number, 1, "50")[1]["message"] == "一笔订单最多退款 50 次"


def test_refunds_of_one_payment_are_a_minute_apart(own_sandbox, number):
    shop = WechatShop(own_sandbox()).register()
    for one in (number, f"{number}b"):
        shop.paid(one)
        assert refunded(shop, one, 1)[0] == 200
    status, content = refunded(shop, number, 1, "2")
    assert (status, content["code"]) == (429, "FREQUENCY_LIMITED")
    assert refunded(shop, number, 1)[0] == 200
    shop.http.close()


def test_a_coupon_is_given_back_by_its_share(shop, receiver, number, told):
    shop.paid(number, receiver.url(told), coupon_fen=2880)
    resource = shop.opened(receiver.next(told))["resource"]
    assert (resource["amount"]["total"], resource["amount"]["payer_total"]) == (12880, 10000)
    assert resource["promotion_detail"][0]["amount"] == 2880
    assert (
        refunded(shop, number, 1288)[1]["amount"] | {"payer_refund": 1000} == refunded(shop, number, 1288)[1]["amount"]
    )


def test_an_abnormal_refund_is_sent_another_way(shop, receiver, number, told):
    shop.paid(number, refund_outcome="abnormal")
    _, taken = refunded(shop, number, 12880, notify_url=receiver.url(told))
    assert shop.opened(receiver.next(told))["event_type"] == "REFUND.ABNORMAL"
    assert said(shop.sdk.query_refund(f"R{number}-1"))[1]["status"] == "ABNORMAL"
    assert refunded(shop, number, 1, "2")[0] == 400

    facts = {"out_refund_no": f"R{number}-1", "type": "USER_BANK_CARD", "bank_type": "ICBC_DEBIT"}
    clear = shop.call("POST", f"{REFUNDS}/{taken['refund_id']}/apply-abnormal-refund", facts | {"bank_account": "6222"})
    assert (clear.status_code, clear.json()["detail"]["field"]) == (400, "/bank_account")
    status, retried = said(
        shop.sdk.abnormal_refund(
            taken["refund_id"], f"R{number}-1", "USER_BANK_CARD", "ICBC_DEBIT", "6222000011112222", "张三"
        )
    )
    assert (status, retried["refund_id"]) == (200, taken["refund_id"])
    assert shop.opened(receiver.next(told))["event_type"] == "REFUND.SUCCESS"
    assert said(shop.sdk.query_refund(f"R{number}-1"))[1]["status"] == "SUCCESS"


def test_a_refund_that_closes_leaves_the_money_with_the_merchant(shop, receiver, number, told):
    shop.paid(number, refund_outcome="closed")
    refunded(shop, number, 12880, notify_url=receiver.url(told))
    assert shop.opened(receiver.next(told))["resource"]["refund_status"] == "CLOSED"
    assert shop.query(number)["trade_state"] == "SUCCESS"
    assert refunded(shop, number, 12880, "2")[0] == 200


# --- bills ---


def test_a_bill_is_applied_for_and_fetched_with_a_signature(shop, number):
    shop.paid(number)
    paid = shop.query(number)
    day = paid["success_time"][:10]
    assert refusal(shop.sdk.trade_bill(day)) == (400, "NO_STATEMENT_EXIST")
    assert refusal(shop.sdk.trade_bill("2020-01-01")) == (400, "PARAM_ERROR")
    shop.fault("bill_at_once")
    status, packed = said(shop.sdk.trade_bill(day))
    ready = shop.call("GET", f"/v3/bill/tradebill?bill_date={day}").json()
    assert (status, packed["hash_type"], packed["hash_value"]) == (200, "SHA1", ready["hash_value"])
    target = urlsplit(ready["download_url"])
    path = f"{target.path}?{target.query}"
    assert shop.http.get(ready["download_url"]).status_code == 401
    file = shop.call("GET", path)
    assert "wechatpay-signature" not in file.headers
    assert hashlib.sha1(file.content, usedforsecurity=False).hexdigest() == ready["hash_value"]
    assert f"`{paid['transaction_id']},`{number},".encode() in file.content
    other = WechatShop(shop.sandbox, mchid="9000000001", key=rsa_key("other")).register()
    assert other.call("GET", path).status_code == 400
    assert refusal(other.sdk.trade_bill(day)) == (400, "NO_STATEMENT_EXIST")
    other.http.close()
