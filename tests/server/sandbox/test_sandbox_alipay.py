"""The sandbox's Alipay against `python-alipay-sdk`: what that signs holds here, what the sandbox signs holds there."""

import json
import re
import subprocess
from base64 import b64encode
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from alipay.exceptions import AliPayValidationError
from Cryptodome.Hash import SHA256
from Cryptodome.Signature import PKCS1_v1_5

from server.sandbox.alipay_apps import read_app
from server.sandbox.merchants import Register
from tests.server.sandbox.alipay_shop import ACKNOWLEDGED, APP_ID, SELLER, AlipayShop, fields_of, query_of
from tests.server.sandbox.peer import PATIENCE_SECONDS, ROOT, start_arguments

BEIJING_TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d")


@pytest.fixture(scope="module")
def shop(sandbox):
    shop = AlipayShop(sandbox).register()
    yield shop
    shop.http.close()


@pytest.fixture
def told(receiver, number):
    """The path of this test's notifications, acknowledged as Alipay wants."""
    path = f"/alipay/{number}"
    receiver.always[path] = ACKNOWLEDGED
    return path


def refusal(answer):
    return answer["code"], answer.get("sub_code")


# --- payments ---


def test_a_code_makes_a_trade_when_it_is_scanned(shop, receiver, number, told):
    qr_code = shop.precreate(number, receiver.url(told))
    assert refusal(shop.sdk.api_alipay_trade_query(number)) == ("40004", "ACQ.TRADE_NOT_EXIST")
    assert refusal(shop.sdk.api_alipay_trade_close(number)) == ("40004", "ACQ.TRADE_NOT_EXIST")

    page = shop.scan(qr_code)
    waiting = shop.sdk.api_alipay_trade_query(number)
    assert (waiting["trade_status"], waiting["total_amount"]) == ("WAIT_BUYER_PAY", "128.80")
    assert "send_pay_date" not in waiting
    assert shop.precreate(number, receiver.url(told)) == qr_code

    shop.submit(page)
    paid = shop.sdk.api_alipay_trade_query(number)
    assert (paid["trade_status"], paid["trade_no"]) == ("TRADE_SUCCESS", waiting["trade_no"])
    assert re.fullmatch(r"\d{28}", paid["trade_no"])
    assert BEIJING_TIME.fullmatch(paid["send_pay_date"])
    assert shop.sdk.api_alipay_trade_query(trade_no=paid["trade_no"])["out_trade_no"] == number

    callback = receiver.next(told)
    assert shop.is_genuine(callback.raw.decode())
    assert callback.headers["content-type"] == "application/x-www-form-urlencoded; charset=utf-8"
    fields = fields_of(callback)
    facts = {
        "app_id": APP_ID,
        "seller_id": SELLER,
        "out_trade_no": number,
        "trade_no": paid["trade_no"],
        "total_amount": "128.80",
        "buyer_pay_amount": "128.80",
        "trade_status": "TRADE_SUCCESS",
        "gmt_payment": paid["send_pay_date"],
        "subject": "星海网游点卡 × 1",
        "passback_params": "",
        "sign_type": "RSA2",
    }
    assert {name: fields[name] for name in facts} == facts
    assert "refund_fee" not in fields
    with pytest.raises(AssertionError, match="TRADE_HAS_SUCCESS"):
        shop.precreate(number, receiver.url(told))


@pytest.mark.parametrize("method", ["wap", "page"])
def test_a_browser_opens_the_trade_and_comes_back_with_signed_facts(shop, receiver, number, told, method):
    ask = getattr(shop.sdk, f"api_alipay_trade_{method}_pay")
    query = ask("月卡", number, "12.50", return_url="https://shop.test/o/A?x=1", notify_url=receiver.url(told))
    assert refusal(shop.sdk.api_alipay_trade_query(number)) == ("40004", "ACQ.TRADE_NOT_EXIST")

    opened = shop.browse(query)
    assert opened.status_code == 302
    assert shop.sdk.api_alipay_trade_query(number)["trade_status"] == "WAIT_BUYER_PAY"
    page = opened.headers["location"]
    # Until it is paid the way back says nothing.
    assert 'href="https://shop.test/o/A?x=1"' in shop.http.get(f"{page}/result").text
    shop.submit(page)
    assert fields_of(receiver.next(told))["out_trade_no"] == number

    href = re.search(r'class="main" href="([^"]+)"', shop.http.get(f"{page}/result").text)[1].replace("&amp;", "&")
    assert href.startswith("https://shop.test/o/A?x=1&")
    assert shop.is_genuine(urlsplit(href).query.removeprefix("x=1&"))
    facts = query_of(href)
    assert (facts["out_trade_no"], facts["total_amount"], facts["seller_id"]) == ([number], ["12.50"], [SELLER])
    assert facts["method"] == [f"alipay.trade.{method}.pay.return"]
    assert shop.browse(query).status_code == 400  # paid already


def test_a_trade_is_closed_only_while_it_waits(shop, receiver, number, told):
    page = shop.scan(shop.precreate(number, receiver.url(told)))
    closed = shop.sdk.api_alipay_trade_close(number)
    assert (closed["code"], closed["out_trade_no"]) == ("10000", number)
    assert shop.sdk.api_alipay_trade_query(number)["trade_status"] == "TRADE_CLOSED"
    assert refusal(shop.sdk.api_alipay_trade_close(number)) == ("40004", "ACQ.TRADE_STATUS_ERROR")
    with pytest.raises(AssertionError, match="TRADE_HAS_CLOSE"):
        shop.precreate(number, receiver.url(told))

    shop.submit(page)  # too late: nothing is taken
    assert shop.sdk.api_alipay_trade_query(number)["trade_status"] == "TRADE_CLOSED"
    paid = f"{number}p"
    shop.paid(paid)
    assert refusal(shop.sdk.api_alipay_trade_close(paid)) == ("40004", "ACQ.TRADE_STATUS_ERROR")
    assert shop.sdk.api_alipay_trade_query(paid)["trade_status"] == "TRADE_SUCCESS"

    # The buyer may be quicker than the merchant's call.
    quick = f"{number}q"
    quick_page = shop.scan(shop.precreate(quick))
    shop.submit(quick_page, "cancel", paid_in_close=1)
    assert refusal(shop.sdk.api_alipay_trade_close(quick)) == ("40004", "ACQ.TRADE_STATUS_ERROR")
    assert shop.sdk.api_alipay_trade_query(quick)["trade_status"] == "TRADE_SUCCESS"
    assert receiver.waiting(told) == 0


def test_cancelling_closes_what_is_unpaid_and_gives_back_what_is_paid(shop, number):
    shop.scan(shop.precreate(number))
    cancelled = shop.sdk.api_alipay_trade_cancel(number)
    assert (cancelled["action"], cancelled["retry_flag"]) == ("close", "N")
    assert shop.sdk.api_alipay_trade_query(number)["trade_status"] == "TRADE_CLOSED"
    paid = f"{number}p"
    shop.paid(paid)
    assert shop.sdk.api_alipay_trade_cancel(paid)["action"] == "refund"
    assert shop.sdk.api_alipay_trade_query(paid)["trade_status"] == "TRADE_CLOSED"
    assert "action" not in shop.sdk.api_alipay_trade_cancel(f"{number}n")


def test_a_number_stands_for_one_content(shop, number):
    shop.precreate(number, timeout_express="15m")
    shop.precreate(number, timeout_express="15m")
    with pytest.raises(AssertionError, match="CONTEXT_INCONSISTENT"):
        shop.precreate(number, amount="128.81", timeout_express="15m")


@pytest.mark.parametrize(
    ("label", "changes"),
    [
        ("nothing", {"amount": "0.00"}),
        ("a third of a cent", {"amount": "1.005"}),
        ("a power", {"amount": "1e1"}),
        ("less than nothing", {"amount": "-1.00"}),
        ("a past end", {"time_expire": "2020-01-01 00:00:00"}),
        ("no end", {"time_expire": "soon"}),
    ],
)
def test_what_makes_no_sense_is_refused(shop, number, label, changes):
    with pytest.raises(AssertionError, match=r"ACQ\.INVALID_PARAMETER"):
        shop.precreate(number, **changes)
    assert refusal(shop.sdk.api_alipay_trade_query(number)) == ("40004", "ACQ.TRADE_NOT_EXIST")


# --- refunds ---


def test_refunds_move_money_once_and_are_told_at_the_same_address(shop, receiver, number, told):
    shop.paid(number, receiver.url(told), amount="100.00")
    payment = fields_of(receiver.next(told))

    refund = shop.sdk.api_alipay_trade_refund("30.00", number, out_request_no="R-1", refund_reason="未发货")
    facts = {"fund_change": "Y", "refund_fee": "30.00", "send_back_fee": "30.00", "trade_no": payment["trade_no"]}
    assert {name: refund[name] for name in facts} == facts
    repeated = shop.sdk.api_alipay_trade_refund("30.00", number, out_request_no="R-1", refund_reason="未发货")
    assert (repeated["fund_change"], repeated["refund_fee"]) == ("N", "30.00")
    other = shop.sdk.api_alipay_trade_refund("31.00", number, out_request_no="R-1", refund_reason="未发货")
    assert refusal(other) == ("40004", "ACQ.DISCORDANT_REPEAT_REQUEST")
    too_much = shop.sdk.api_alipay_trade_refund("70.01", number, out_request_no="R-2")
    assert refusal(too_much) == ("40004", "ACQ.REFUND_AMT_NOT_EQUAL_TOTAL")
    assert shop.sdk.api_alipay_trade_query(number)["trade_status"] == "TRADE_SUCCESS"

    partial = receiver.next(told)
    assert shop.is_genuine(partial.raw.decode())
    fields = fields_of(partial)
    facts = {"trade_status": "TRADE_SUCCESS", "refund_fee": "30.00", "out_biz_no": "R-1", "total_amount": "100.00"}
    assert {name: fields[name] for name in facts} == facts
    assert re.fullmatch(BEIJING_TIME.pattern + r"\.\d{3}", fields["gmt_refund"])
    assert fields["notify_id"] != payment["notify_id"]

    assert shop.sdk.api_alipay_trade_refund("70.00", number, out_request_no="R-3")["refund_fee"] == "100.00"
    fields = fields_of(receiver.next(told))
    facts = {"trade_status": "TRADE_CLOSED", "refund_fee": "100.00", "out_biz_no": "R-3"}
    assert {name: fields[name] for name in facts} == facts
    closed = shop.sdk.api_alipay_trade_query(number)
    assert (closed["trade_status"], closed["send_pay_date"]) == ("TRADE_CLOSED", payment["gmt_payment"])

    found = shop.sdk.api_alipay_trade_fastpay_refund_query("R-1", out_trade_no=number)
    facts = {"refund_status": "REFUND_SUCCESS", "refund_amount": "30.00", "total_amount": "100.00"}
    assert {name: found[name] for name in facts} == facts
    nothing = shop.sdk.api_alipay_trade_fastpay_refund_query("R-2", out_trade_no=number)
    assert nothing == {"code": "10000", "msg": "Success"}
    assert receiver.waiting(told) == 0


def test_refunds_that_cannot_be_are_refused(shop, number):
    unpaid = f"{number}u"
    shop.scan(shop.precreate(unpaid))
    assert refusal(shop.sdk.api_alipay_trade_refund("1.00", unpaid)) == ("40004", "ACQ.TRADE_STATUS_ERROR")
    assert refusal(shop.sdk.api_alipay_trade_refund("1.00", f"{number}n")) == ("40004", "ACQ.TRADE_NOT_EXIST")
    shop.paid(number, balance_low=1)
    poor = shop.sdk.api_alipay_trade_refund("1.00", number, out_request_no="R")
    assert refusal(poor) == ("40004", "ACQ.SELLER_BALANCE_NOT_ENOUGH")
    assert "refund_status" not in shop.sdk.api_alipay_trade_fastpay_refund_query("R", out_trade_no=number)


def test_a_refund_that_failed_is_tried_again_under_its_number(shop, receiver, number, told):
    page = shop.paid(number, receiver.url(told), refund_outcome="closed")
    receiver.next(told)
    assert shop.sdk.api_alipay_trade_refund("1.00", number, out_request_no="R")["fund_change"] == "N"
    assert "refund_status" not in shop.sdk.api_alipay_trade_fastpay_refund_query("R", out_trade_no=number)
    assert (receiver.waiting(told), shop.http.get(page).status_code) == (0, 303)
    assert shop.sdk.api_alipay_trade_refund("1.00", number, out_request_no="R")["fund_change"] == "Y"
    assert fields_of(receiver.next(told))["refund_fee"] == "1.00"


# --- signatures, answers, faults ---


def test_an_answer_is_signed_as_it_is_written(shop, number):
    shop.precreate(number)
    query = shop.sdk.client_api("alipay.trade.precreate", biz_content={"out_trade_no": number, "total_amount": "x"})
    said = shop.browse(query)
    assert said.headers["content-type"] == "text/html;charset=utf-8"
    assert '"sub_msg":"参数无效：subject"' in said.text
    content = {"out_trade_no": number, "total_amount": "128.80", "subject": "星海网游点卡 × 1"}
    query = shop.sdk.client_api("alipay.trade.precreate", biz_content=content, notify_url="http://127.0.0.1:9/nobody")
    text = shop.browse(query).text
    assert '"qr_code":"http:\\/\\/127.0.0.1:' in text
    assert re.fullmatch(r'\{"alipay_trade_precreate_response":\{.*\},"sign":"[A-Za-z0-9+/=]+"\}', text)


def test_whom_the_gateway_does_not_know_it_answers_unsigned(shop, number):
    good = dict(
        pair.split("=", 1) for pair in shop.sdk.client_api("alipay.trade.query", {"out_trade_no": number}).split("&")
    )
    refusals = {
        "isv.invalid-app-id": {"app_id": "9021000122609999"},
        "isv.invalid-signature-type": {"sign_type": "RSA"},
        "isv.invalid-signature": {"biz_content": "%7B%22out_trade_no%22%3A%22KM-2%22%7D"},
        "isv.invalid-method": {"method": "alipay.trade.nothing"},
        "isv.invalid-charset": {"charset": "utf-7"},
    }
    for sub_code, changes in refusals.items():
        answer = shop.browse("&".join(f"{name}={value}" for name, value in (good | changes).items()))
        content = json.loads(answer.text)
        assert (answer.status_code, "sign" in content) == (200, False), sub_code
        ((node, said),) = content.items()
        assert (said["code"], said["sub_code"]) == ("40002", sub_code)
        known = sub_code not in {"isv.invalid-method", "isv.invalid-charset"}
        assert node == ("alipay_trade_query_response" if known else "error_response")
    twice = shop.browse("&".join(f"{name}={value}" for name, value in good.items()) + "&method=alipay.trade.close")
    assert "isv.invalid-parameter" in twice.text
    assert shop.http.get(f"{shop.sandbox.url}/alipay/nothing").status_code == 404


def test_parameters_may_stand_in_the_form_and_in_gbk(shop, number):
    content = json.dumps({"out_trade_no": number, "total_amount": 12.5, "subject": "点卡"}, ensure_ascii=False)
    asked = {
        "app_id": APP_ID,
        "method": "alipay.trade.precreate",
        "charset": "gbk",
        "sign_type": "RSA2",
        "timestamp": "2026-11-22 12:00:00",
        "version": "1.0",
        "biz_content": content,
    }
    message = "&".join(f"{name}={value}" for name, value in sorted(asked.items()))
    sdk = shop.sdk
    # The SDK signs UTF-8 alone: it is given the GBK bytes as if each were a letter.
    asked["sign"] = _sign_bytes(sdk, message.encode("gbk"))
    body = "&".join(f"{name}={_percent(value.encode('gbk'))}" for name, value in asked.items() if name != "charset")
    said = shop.http.post(f"{shop.sandbox.ready['alipay_gateway']}?charset=gbk", content=body.encode())
    assert said.headers["content-type"] == "text/html;charset=gbk"
    answer = json.loads(said.content.decode("gbk"))["alipay_trade_precreate_response"]
    assert answer["out_trade_no"] == number
    page = shop.scan(answer["qr_code"])
    assert "点卡" in shop.http.get(page).text


def _sign_bytes(sdk, content):
    return b64encode(PKCS1_v1_5.new(sdk.app_private_key).sign(SHA256.new(content))).decode()


def _percent(content):
    return "".join(f"%{byte:02X}" for byte in content)


def test_answers_go_wrong_on_request(shop, number):
    page = shop.scan(shop.precreate(number))
    shop.submit(page, "cancel", answer_signature=1)
    with pytest.raises(AliPayValidationError):
        shop.sdk.api_alipay_trade_query(number)
    other = f"{number}b"
    shop.submit(shop.scan(shop.precreate(other)), "cancel", answer_unsigned=1)
    query = shop.sdk.client_api("alipay.trade.query", {"out_trade_no": other})
    assert list(json.loads(shop.browse(query).text)) == ["alipay_trade_query_response"]
    broken = f"{number}c"
    shop.submit(shop.scan(shop.precreate(broken)), "cancel", fail=502)
    answer = shop.browse(shop.sdk.client_api("alipay.trade.query", {"out_trade_no": broken}))
    assert (answer.status_code, "sign" in answer.text) == (502, False)


@pytest.mark.parametrize(
    ("fault", "value", "field"),
    [
        ("amount_fen", 1, ("total_amount", "0.01")),
        ("merchant_id", "2088999999999999", ("seller_id", "2088999999999999")),
        ("app_id", "9021999999999999", ("app_id", "9021999999999999")),
        ("currency", "USD", ("trans_currency", "USD")),
        ("coupon_fen", 880, ("buyer_pay_amount", "120.00")),
        ("charged_fen", 13000, ("total_amount", "130.00")),
    ],
)
def test_a_notice_may_lie_and_still_be_signed(shop, receiver, number, told, fault, value, field):
    shop.paid(number, receiver.url(told), **{fault: value})
    callback = receiver.next(told)
    assert shop.is_genuine(callback.raw.decode())
    name, claimed = field
    assert fields_of(callback)[name] == claimed


def test_a_wrong_signature_and_the_next_key(shop, receiver, number, told):
    shop.paid(number, receiver.url(told), signature=1)
    assert not shop.is_genuine(receiver.next(told).raw.decode())
    shop.paid(f"{number}b", receiver.url(told), sign_with="public_key_2")
    callback = receiver.next(told).raw.decode()
    assert not shop.is_genuine(callback)
    next_key = Path(shop.sandbox.ready["alipay_public_key"]).with_name("alipay_2_public.pem")
    assert shop.is_genuine(callback, sdk=shop.sdk_believing(next_key))


def test_seven_letters_and_nothing_else_end_the_telling(shop, receiver, number):
    path = f"/alipay/{number}"
    receiver.answers[path] = [(200, b"success\n"), (500, b"success"), ACKNOWLEDGED]
    page = shop.paid(number, receiver.url(path))
    calls = [receiver.next(path) for _ in range(3)]
    assert "已发送 3 次" in shop.result_page(page, until="商家已确认")
    assert receiver.waiting(path) == 0
    assert len({fields_of(call)["notify_id"] for call in calls}) == 1
    assert all(shop.is_genuine(call.raw.decode()) for call in calls)


def test_what_comes_later_is_looked_at_too(shop, tmp_path):
    known = (Path(shop.sandbox.ready["alipay_merchants"]) / f"{APP_ID}.json").read_bytes()
    register = Register(tmp_path / "later", suffix=".json", read=read_app)
    for name, content, taken in (
        (APP_ID, known, True),
        ("2021000122600001", known, False),
        (APP_ID, known.replace(b"{", b'{"key": "-----BEGIN PRIVATE KEY-----", ', 1), False),
    ):
        (tmp_path / "later" / f"{name}.json").write_bytes(content)
        assert (register.find(name) is not None) is taken, name


def test_it_refuses_the_number_of_a_real_application(tmp_path):
    real = tmp_path / "merchants" / "alipay" / "2021000122600001.json"
    real.parent.mkdir(parents=True)
    real.write_text("{}")
    arguments = start_arguments("--data", str(tmp_path), "--port", "0")
    finished = subprocess.run(
        arguments, capture_output=True, text=True, cwd=ROOT, timeout=PATIENCE_SECONDS, check=False
    )
    assert (finished.returncode, finished.stdout) == (2, "")
    assert finished.stderr.startswith(f"{real} 里有真实商户的密钥或商户号")
