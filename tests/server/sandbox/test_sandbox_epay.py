"""The sandbox's Epay site, both versions, against a merchant that shares no code with it."""

import re
import time
from urllib.parse import parse_qsl, urlsplit

import pytest

from tests.rsa_keys import rsa_key
from tests.server.sandbox.epay_shop import EpayShop, fields_of

ACKNOWLEDGED = (200, b"success")


@pytest.fixture(scope="module")
def shop(sandbox):
    shop = EpayShop(sandbox).register()
    yield shop
    shop.http.close()


@pytest.fixture
def told(receiver, number):
    path = f"/epay/{number}"
    receiver.always[path] = ACKNOWLEDGED
    return path


def test_the_first_version_is_paid_told_and_asked(shop, receiver, number, told):
    assert shop.query(number) == {"code": -1, "msg": "订单号不存在"}
    page = shop.page(number, notify_url=receiver.url(told), param="a b")
    assert shop.page(number, notify_url=receiver.url(told), param="a b") == page
    waiting = shop.query(number)
    assert (waiting["code"], waiting["status"], waiting["money"], waiting["endtime"]) == (1, 0, "12.50", None)

    shop.submit(page)
    callback = receiver.next(told)
    fields = fields_of(callback)
    assert fields["sign"] == shop.md5(fields)
    assert {name: value for name, value in fields.items() if name not in ("sign", "trade_no")} == {
        "pid": "1001",
        "out_trade_no": number,
        "type": "wxpay",
        "name": "月卡 &amp; 年卡",
        "money": "12.5",
        "trade_status": "TRADE_SUCCESS",
        "param": "a b",
        "sign_type": "MD5",
    }
    paid = shop.query(number)
    assert (paid["status"], paid["trade_no"], paid["money"]) == (1, fields["trade_no"], "12.50")
    assert re.fullmatch(r"\d{19}", paid["trade_no"])
    assert paid["trade_no"] == waiting["trade_no"]

    # The buyer brings the same facts back.
    result = shop.http.get(f"{page}/result").text
    href = re.search(r'class="main" href="([^"]+)"', result)[1].replace("&amp;", "&")
    back = dict(parse_qsl(urlsplit(href).query))
    assert (back["sign"], back["trade_no"]) == (shop.md5(back), fields["trade_no"])
    assert "已完成支付" in shop.open_page("submit.php", shop.first(shop.order(number))).text


def test_the_second_version_is_paid_told_and_asked(shop, receiver, number, told):
    opened = shop.ask("create", **shop.order(number, notify_url=receiver.url(told), clientip="127.0.0.1"))
    assert (opened["pay_type"], "/pay/" in opened["pay_info"]) == ("qrcode", True)
    waiting = shop.ask("query", out_trade_no=number)
    assert (waiting["status"], waiting["money"], "endtime" in waiting) == (0, "12.50", False)

    shop.submit(opened["pay_info"])
    fields = fields_of(receiver.next(told))
    assert shop.is_from_site(fields)
    assert abs(int(fields["timestamp"]) - time.time()) < 60
    facts = {"pid": "1001", "out_trade_no": number, "money": "12.5", "trade_status": "TRADE_SUCCESS"}
    assert {name: fields[name] for name in facts} == facts
    paid = shop.ask("query", trade_no=fields["trade_no"])
    facts = {"status": 1, "out_trade_no": number, "api_trade_no": fields["api_trade_no"], "buyer": fields["buyer"]}
    assert {name: paid[name] for name in facts} == facts


def test_an_order_made_for_a_page_of_the_merchants_own(shop, number):
    order = shop.order(number, clientip="127.0.0.1")
    made = shop.post("mapi.php", shop.first(order))
    assert (made["code"], set(made)) == (1, {"code", "trade_no", "qrcode"})
    phone = shop.post("mapi.php", shop.first(shop.order(f"{number}m", clientip="127.0.0.1", device="mobile")))
    assert (phone["code"], set(phone)) == (1, {"code", "trade_no", "payurl"})
    missing = shop.post("mapi.php", shop.first(shop.order(f"{number}x")))
    assert missing == {"code": -1, "msg": "用户IP地址(clientip)不能为空"}


def test_the_first_version_pays_back_anew_at_each_call(shop, number):
    shop.submit(shop.page(number))
    refund = {"pid": shop.pid, "key": shop.key, "out_trade_no": number, "money": "5"}
    first, second = (shop.post("api.php?act=refund", refund) for _ in range(2))
    assert (first["code"], first["money"], second["money"]) == (0, "5.00", "5.00")
    assert first["refund_no"] != second["refund_no"]
    assert shop.query(number)["status"] == 2
    assert shop.post("api.php?act=refund", refund) == {"code": -1, "msg": "退款金额不能超过该订单剩余可退款金额！"}


def test_the_second_version_pays_back_once_a_number(shop, number):
    shop.submit(shop.page(number, version=2))
    refund = {"out_trade_no": number, "out_refund_no": f"R{number}", "money": "2.5"}
    first = shop.ask("refund", **refund)
    assert (first["code"], first["money"], first["out_refund_no"]) == (0, "2.50", f"R{number}")
    again = shop.ask("refund", **refund | {"money": "3"})
    assert (again["refund_no"], again["money"]) == (first["refund_no"], "2.50")
    assert again["msg"].startswith("已存在相同退款单号")
    found = shop.ask("refundquery", out_refund_no=f"R{number}")
    assert (found["status"], found["money"], found["out_trade_no"]) == (1, "2.50", number)
    assert shop.ask("refundquery", out_refund_no="R-unknown") == {"code": -1, "msg": "退款记录不存在"}
    order = shop.ask("query", out_trade_no=number)
    assert (order["status"], order["refundmoney"]) == (2, "2.50")
    assert shop.ask("refund", **refund | {"out_refund_no": f"R{number}b", "money": "10.01"})["code"] == -1

    unpaid = f"{number}u"
    shop.page(unpaid, version=2)
    refused = shop.ask("refund", out_trade_no=unpaid, out_refund_no=f"R{unpaid}", money="1")
    assert refused == {"code": -1, "msg": "该订单状态不支持退款！"}


def test_a_refund_the_site_could_not_make_is_made_again(shop, number):
    page = shop.page(number, version=2)
    shop.submit(page, refund_outcome="abnormal")
    refund = {"out_trade_no": number, "out_refund_no": f"R{number}", "money": "1"}
    assert shop.ask("refund", **refund)["code"] == -1
    assert shop.ask("refundquery", out_refund_no=f"R{number}")["status"] == 0
    assert shop.ask("refund", **refund)["code"] == 0
    assert shop.ask("refundquery", out_refund_no=f"R{number}")["status"] == 1


def test_what_is_not_signed_as_it_should_is_refused(shop, number):
    order = shop.order(number, clientip="127.0.0.1")
    signed = shop.first(order)
    refusals = [
        ("mapi.php", signed | {"money": "0.01"}, {"code": -3, "msg": "MD5签名校验失败"}),
        ("mapi.php", signed | {"pid": "9999"}, {"code": -1, "msg": "商户不存在！"}),
        ("mapi.php", {name: signed[name] for name in signed if name != "sign"}, {"code": -3, "msg": "缺少签名参数"}),
        ("mapi.php", {"act": "x"}, {"code": -4, "msg": "未传入任何参数"}),
        ("api/pay/create", shop.second(order) | {"money": "1"}, {"code": -3, "msg": "RSA签名校验失败"}),
        (
            "api/pay/create",
            shop.second(order, timestamp=int(time.time()) - 301),
            {"code": -3, "msg": "时间戳字段不正确，请检查服务器时间"},
        ),
        ("api/pay/create", signed, {"code": -3, "msg": "时间戳(timestamp)字段不能为空"}),
        ("api.php", {}, {"code": -5, "msg": "No Act!"}),
    ]
    for address, fields, refusal in refusals:
        assert shop.post(address, fields) == refusal
    assert shop.query(number, key="wrong") == {"code": -3, "msg": "商户密钥错误"}
    assert "MD5签名校验失败" in shop.open_page("submit.php", signed | {"money": "0.01"}).text
    told = shop.open_page("submit.php", signed | {"money": "0.01", "sign_type": "<script src=//evil.example>"})
    assert ("<script" in told.text, "&lt;script src=" in told.text) == (False, True)
    assert told.headers["content-security-policy"].startswith("default-src 'none'")
    assert shop.query(number) == {"code": -1, "msg": "订单号不存在"}
    assert shop.http.get(f"{shop.sandbox.ready['epay_url']}/api/pay/close").status_code == 404


@pytest.mark.parametrize("money", ["0", "0.00", "-1", "1e1", "1.005", "", " "])
def test_money_that_makes_no_sense_is_refused(shop, number, money):
    assert "金额不合法" in shop.open_page("submit.php", shop.first(shop.order(number, money=money))).text
    assert shop.query(number)["code"] == -1


def test_a_number_stands_for_one_content(shop, number):
    shop.page(number, money="1")
    changed = shop.open_page("submit.php", shop.first(shop.order(number, money="1.01")))
    assert (changed.status_code, "支付参数有变化" in changed.text) == (200, True)
    assert shop.page(number, money="1.00") == shop.page(number, money="1")
    assert shop.query(number)["money"] == "1.00"


def test_sites_may_sign_in_a_style_of_their_own(sandbox, receiver, number, told):
    other = EpayShop(
        sandbox, pid="1002", style={"key_joint": "&key=", "upper": True}, rsa_key=rsa_key("other")
    ).register()
    other.submit(other.page(number, notify_url=receiver.url(told)))
    fields = fields_of(receiver.next(told))
    assert (fields["sign"], fields["sign"].isupper()) == (other.md5(fields), True)
    other.http.close()


@pytest.mark.parametrize(
    ("fault", "value", "field", "claimed"),
    [
        ("amount_fen", 1, "money", "0.01"),
        ("merchant_id", "9999", "pid", "9999"),
        ("out_trade_no", "KM-OTHER", "out_trade_no", "KM-OTHER"),
        # What was really charged is not told: random cents are the site's business.
        ("charged_fen", 1253, "money", "12.5"),
    ],
)
def test_a_notice_may_lie_and_still_be_signed(shop, receiver, number, told, fault, value, field, claimed):
    shop.submit(shop.page(number, version=2, notify_url=receiver.url(told)), **{fault: value})
    fields = fields_of(receiver.next(told))
    assert shop.is_from_site(fields)
    assert fields[field] == claimed


def test_wrong_signatures_and_missing_ones(shop, receiver, number, told):
    page = shop.page(number, notify_url=receiver.url(told))
    shop.submit(page, signature=1)
    fields = fields_of(receiver.next(told))
    assert fields["sign"] != shop.md5(fields)
    second = f"{number}b"
    shop.submit(shop.page(second, version=2, notify_url=receiver.url(told)), signature=1, answer_unsigned=1)
    assert not shop.is_from_site(fields_of(receiver.next(told)))
    assert "sign" not in shop.post("api/pay/query", shop.second({"out_trade_no": second}))
    shop.submit(shop.page(f"{number}c", version=2), answer_signature=1)
    answer = shop.post("api/pay/query", shop.second({"out_trade_no": f"{number}c"}))
    assert not shop.is_from_site({name: str(value) for name, value in answer.items()})


def test_the_word_anywhere_in_an_answer_ends_the_telling(shop, receiver, number):
    """The trap of this protocol: an error's page that says "success": false is an acknowledgement."""
    path = f"/epay/{number}"
    receiver.answers[path] = [(200, b"ok"), (500, b'{"success":false}')]
    shop.submit(shop.page(number, notify_url=receiver.url(path) + "?from=epay"))
    first, second = receiver.next(path), receiver.next(path)
    assert first.raw.startswith(b"from=epay&pid=1001&")
    assert second.raw == first.raw
    second_order = f"{number}b"
    receiver.always[path] = ACKNOWLEDGED
    shop.submit(shop.page(second_order, notify_url=receiver.url(path)))
    assert fields_of(receiver.next(path))["out_trade_no"] == second_order
    assert receiver.waiting(path) == 0
