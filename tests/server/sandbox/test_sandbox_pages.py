"""The payment page as buyers meet it: on a phone, in their language, without JavaScript."""

import re
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import pytest

from server.sandbox.words import SENTENCES


def test_the_page_shows_what_is_paid_and_lets_nothing_foreign_in(merchant, number):
    pay_url = merchant.create(number, subject="<b>点卡</b> & 更多", amount_fen=123_456_789)
    answer = merchant.http.get(pay_url)
    assert answer.status_code == 200
    for text in ("晴川点卡专营店", "&lt;b&gt;点卡&lt;/b&gt; &amp; 更多", "1,234,567.89", number, "确认付款", "取消"):
        assert text in answer.text
    assert "<script" not in answer.text
    assert "style=" not in answer.text
    assert answer.headers["content-security-policy"].startswith("default-src 'none'; style-src 'self';")
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["cache-control"] == "no-store"
    assert "set-cookie" not in answer.headers
    addresses = re.findall(r'(?:src|href|action)="([^"]*)"', answer.text)
    assert {urlsplit(address).netloc for address in addresses} == {""}
    (style,) = [address for address in addresses if address.endswith(".css")]
    sheet = merchant.http.get(merchant.sandbox.url + style)
    assert (sheet.status_code, sheet.headers["content-type"]) == (200, "text/css; charset=utf-8")
    assert "url(" not in sheet.text
    assert len(answer.content) + len(sheet.content) < 20_000  # a weak network shows it in one breath


@pytest.mark.parametrize(
    ("accept", "word"),
    [
        ("", "确认付款"),
        ("zh-CN,zh;q=0.9,en;q=0.8", "确认付款"),
        ("en-US,en;q=0.9", "Pay now"),
        ("en;q=0.3,zh;q=0.7", "确认付款"),
        ("fr,en;q=0.1", "Pay now"),
        (";;q=x,,", "确认付款"),
    ],
)
def test_the_page_speaks_the_readers_language(merchant, number, accept, word):
    page = merchant.http.get(merchant.create(number), headers={"Accept-Language": accept})
    assert word in page.text
    assert page.headers["content-language"] == ("en" if word == "Pay now" else "zh-CN")


def test_every_sentence_says_the_same_things_in_both_languages():
    for key, (chinese, english) in SENTENCES.items():
        assert set(re.findall(r"{\w+}", chinese)) == set(re.findall(r"{\w+}", english)), key
        assert re.search(r"[\u4e00-\u9fff]", chinese), key
        assert not re.search(r"[\u4e00-\u9fff]", english), key


def test_paying_by_the_form_leads_to_a_result_with_the_way_back(merchant, number):
    pay_url = merchant.create(number)
    merchant.pay(pay_url)
    page = merchant.result_page(pay_url)
    assert "付款成功" in page
    assert 'href="http://127.0.0.1:9/o/ABC?from=pay&amp;x=1"' in page
    paid = merchant.query(number)
    assert paid["state"] == "paid"
    assert paid["trade_no"] in page
    assert abs(datetime.now(UTC) - datetime.fromisoformat(paid["paid_at"])) < timedelta(minutes=1)
    again = merchant.http.get(pay_url)
    assert (again.status_code, again.headers["location"]) == (303, urlsplit(pay_url).path + "/result")


def test_cancelling_charges_nothing_and_leaves_the_way_open(merchant, number):
    pay_url = merchant.create(number)
    assert merchant.submit(pay_url, "cancel").status_code == 303
    page = merchant.result_page(pay_url)
    assert "尚未付款" in page
    assert f'href="{urlsplit(pay_url).path}"' in page
    assert merchant.query(number)["state"] == "pending"
    merchant.pay(pay_url)
    assert merchant.query(number)["state"] == "paid"


def test_an_expired_payment_takes_no_money(merchant, number):
    moment = datetime.now(UTC) + timedelta(seconds=1)
    pay_url = merchant.create(number, expires_at=moment.isoformat())
    merchant.result_page(pay_url, until="订单已关闭")
    merchant.pay(pay_url)
    assert "订单已关闭" in merchant.result_page(pay_url)
    assert merchant.query(number) | {"state": "closed", "trade_no": None} == merchant.query(number)


@pytest.mark.parametrize(
    ("action", "faults"),
    [
        ("steal", {}),
        ("", {}),
        ("pay", {"fault_copies": "0"}),
        ("pay", {"fault_copies": "21"}),
        ("pay", {"fault_copies": "²"}),
        ("pay", {"fault_amount_fen": "-1"}),
        ("pay", {"fault_delay_seconds": "1e9"}),
        ("pay", {"fault_settle_seconds": "86401"}),
        ("pay", {"fault_answer_seconds": "121"}),
        ("pay", {"fault_refund_seconds": "nan"}),
        ("pay", {"fault_drop": "yes"}),
    ],
)
def test_a_form_out_of_range_changes_nothing(merchant, number, action, faults):
    pay_url = merchant.create(number)
    answer = merchant.submit(pay_url, action, **faults)
    assert answer.status_code == 400
    assert "无法提交" in answer.text
    assert merchant.query(number)["state"] == "pending"


def test_a_form_that_is_no_form_changes_nothing(merchant, sandbox, number):
    pay_url = merchant.create(number)
    assert merchant.http.post(pay_url, content=b"\xff\xfe").status_code == 400
    assert merchant.http.post(pay_url, content=b"a=1&" * 4000).status_code == 413
    assert merchant.http.post(pay_url, content=b"a=1&" * 40).status_code == 400
    assert merchant.query(number)["state"] == "pending"
    unknown = merchant.http.post(sandbox.url + "/pay/" + "x" * 32, data={"action": "pay"})
    assert (unknown.status_code, "找不到这笔付款" in unknown.text) == (404, True)


def test_a_buyer_pays_on_a_phone_without_javascript(merchant, receiver, number, phone_page):
    for dark in (False, True):
        path = f"/{number}/{dark}"
        pay_url = merchant.create(f"{number}-{dark}", notify_url=receiver.url(path), subject="很长的商品名" * 20)
        page = phone_page(javascript=False, dark=dark)
        page.goto(pay_url)
        assert page.get_by_role("heading", name="128.80").is_visible()
        assert page.evaluate("document.documentElement.scrollWidth") == 390
        pay = page.get_by_role("button", name="确认付款").first
        assert pay.bounding_box()["height"] >= 48
        page.get_by_text("故障面板").click()
        page.get_by_label("重复发送份数").fill("2")
        page.get_by_role("button", name="带故障付款").click()
        page.get_by_role("heading", name="付款成功").wait_for()
        first, second = (receiver.next(path).content for _ in range(2))
        assert first == second
        assert (
            page.get_by_role("link", name="返回商家").get_attribute("href") == "http://127.0.0.1:9/o/ABC?from=pay&x=1"
        )
