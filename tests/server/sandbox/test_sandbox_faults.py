"""Faults that testers order: for whom, how often, in which call; by programs, on the page, or by the amount."""

import json
import time

import httpx
import pytest

from server.sandbox.fault_facts import FAULTS
from server.sandbox.scenarios import SCENARIOS
from tests.server.sandbox.peer import PATIENCE_SECONDS, ROOT, Merchant
from tests.server.sandbox.wechat_shop import MCHID, WechatShop, refusal

NATIVE = "/v3/pay/transactions/native"


@pytest.fixture
def shop(wechat_shop):
    return wechat_shop


@pytest.fixture
def told(number):
    return f"/wechat/{number}"


class Api:
    """The testers' API."""

    def __init__(self, shop):
        self.http, self.base = shop.http, shop.sandbox.url + "/api"

    def get(self, path, **query):
        answer = self.http.get(self.base + path, params=query)
        assert answer.status_code == 200
        return answer.json()

    def order(self, **wanted):
        return self.http.post(self.base + "/faults", json=wanted)

    def press(self, number, action):
        return self.http.post(self.base + "/payments", json={"out_trade_no": number, "action": action})

    def orders(self):
        return self.get("/faults")["orders"]

    def messages(self, number):
        return [
            (one["state"], one["attempts"]) for one in self.get("/notifications", out_trade_no=number)["notifications"]
        ]

    def settled(self, number, count):
        """All messages about a number, once `count` of them are acknowledged."""
        give_up_at = time.monotonic() + PATIENCE_SECONDS
        while True:
            found = self.messages(number)
            if [state for state, _ in found].count("acknowledged") == count:
                return found
            assert time.monotonic() < give_up_at, found


@pytest.fixture
def api(shop):
    return Api(shop)


def test_every_fault_is_known_by_its_facts(api):
    known = api.get("/faults")["known"]
    assert [fault["name"] for fault in known] == [fault.name for fault in FAULTS]
    assert all(fault["zh"] and fault["en"] for fault in known)
    assert len({fault["name"] for fault in known}) == len(known)


def test_the_manual_names_every_fault_and_every_scenario():
    manual = (ROOT / "docs" / "sandbox.md").read_text("utf-8")
    assert [fault.name for fault in FAULTS if f"`{fault.name}`" not in manual] == []
    shown = {
        digits: f"| {digits} | `{name}`" + ("" if value == "1" and name != "amount_fen" else f" {value}")
        for digits, (name, value) in SCENARIOS.items()
    }
    assert [digits for digits, row in shown.items() if f"{row} |" not in manual] == []


@pytest.mark.parametrize(
    ("wanted", "wrong"),
    [
        ({"name": "melt", "value": "1"}, "melt"),
        ({"name": "copies", "value": "0"}, "copies"),
        ({"name": "copies", "value": "21"}, "copies"),
        ({"name": "delay_seconds", "value": "-1"}, "delay_seconds"),
        ({"name": "clock_seconds", "value": "1e3"}, "clock_seconds"),
        ({"name": "drop", "value": "yes"}, "drop"),
        ({"name": "sign_with", "value": "bare hands"}, "sign_with"),
        ({"name": "currency", "value": "YUAN"}, "currency"),
        ({"name": "hang", "call": "refuel"}, "call"),
        ({"name": "refund_outcome", "value": "closed", "call": "refund"}, "call"),
        ({"name": "drop", "times": 0}, "times"),
        ({"name": "drop", "colour": "red"}, "colour"),
        ({"value": "1"}, "name"),
    ],
)
def test_an_order_that_makes_no_sense_changes_nothing(api, wanted, wrong):
    answer = api.order(**wanted)
    assert (answer.status_code, answer.json()) == (400, {"error": wrong})
    assert api.orders() == []
    assert api.http.post(api.base + "/faults", content=b'{"name":"drop"}').status_code == 400
    assert api.orders() == []


def test_the_narrowest_order_holds_and_the_last_of_equals(shop, api, receiver, number, told):
    api.order(name="amount_fen", value="1")
    api.order(name="amount_fen", value="2", channel="wechat")
    api.order(name="amount_fen", value="3", channel="wechat", merchant_id=MCHID)
    api.order(name="amount_fen", value="4", out_trade_no=number)
    api.order(name="amount_fen", value="5", channel="alipay")
    api.order(name="amount_fen", value="6", out_trade_no=number)
    assert [order["value"] for order in api.orders()] == ["1", "2", "3", "5", "6"]

    claimed = []
    for order in reversed([None, *api.orders()[:3], api.orders()[4]]):
        shop.paid(number if order and "out_trade_no" in order else f"{number}{len(claimed)}", receiver.url(told))
        claimed.append(shop.opened(receiver.next(told))["resource"]["amount"]["total"])
        if order:
            api.http.delete(f"{api.base}/faults/{order['id']}")
    assert claimed == [6, 3, 2, 1, 12880]
    assert api.http.delete(f"{api.base}/faults/999999").status_code == 404


def test_an_order_may_hold_in_one_call_and_so_many_times(shop, api, number):
    shop.fault("fail", 503, call="query", times=2)
    shop.native(number)
    statuses = [shop.sdk.query(out_trade_no=number)[0] for _ in range(3)]
    assert (statuses, api.orders()) == ([503, 503, 200], [])


def test_all_lies_of_a_notification_are_signed_and_the_query_is_true(shop, receiver, number, told):
    lies = {"amount_fen": 12881, "currency": "USD", "merchant_id": "9099999999", "app_id": "wxsandboxother"}
    shop.paid(number, receiver.url(told), out_trade_no="KM-OTHER", trade_no="42000000000000000000", **lies)
    told_of = shop.opened(receiver.next(told))["resource"]
    assert (told_of["amount"]["total"], told_of["amount"]["currency"]) == (12881, "USD")
    assert (told_of["mchid"], told_of["appid"]) == ("9099999999", "wxsandboxother")
    assert (told_of["out_trade_no"], told_of["transaction_id"]) == ("KM-OTHER", "42000000000000000000")
    true = shop.query(number)
    assert (true["amount"]["total"], true["mchid"], true["out_trade_no"]) == (12880, MCHID, number)
    assert true["transaction_id"] != told_of["transaction_id"]


def test_what_was_really_charged_is_told_and_found_alike(shop, receiver, number, told):
    shop.paid(number, receiver.url(told), charged_fen=12000)
    assert shop.opened(receiver.next(told))["resource"]["amount"]["total"] == 12000
    assert shop.query(number)["amount"]["total"] == 12000


def test_a_probe_and_a_wrong_signature_look_like_what_they_are(shop, receiver, number, told):
    for fault in ("probe", "signature"):
        shop.paid(f"{number}{fault}", receiver.url(told), **{fault: 1})
        callback = receiver.next(told)
        signature = callback.headers["wechatpay-signature"]
        assert signature.startswith("WECHATPAY/SIGNTEST/") == (fault == "probe")
        assert shop.opened(callback) is None


def test_held_back_notifications_come_newest_first(shop, api, receiver, number, told):
    shop.fault("reorder", 3)
    shop.paid(f"{number}a", receiver.url(told))
    shop.paid(f"{number}b", receiver.url(told))
    assert api.messages(f"{number}a") == [("held", 0)]
    amount = {"refund": 80, "total": 12880, "currency": "CNY"}
    shop.sdk.refund(f"R{number}", amount, out_trade_no=f"{number}a", notify_url=receiver.url(told))
    arrived = [shop.opened(receiver.next(told)) for _ in range(3)]
    assert [(one["event_type"], one["resource"]["out_trade_no"]) for one in arrived] == [
        ("REFUND.SUCCESS", f"{number}a"),
        ("TRANSACTION.SUCCESS", f"{number}b"),
        ("TRANSACTION.SUCCESS", f"{number}a"),
    ]


def test_mixed_keys_are_a_share_of_the_notifications(shop, receiver, number, told):
    shop.fault("mixed_percent", 50)
    shop.paid(number, receiver.url(told), copies=20)
    serials = [receiver.next(told).headers["wechatpay-serial"] for _ in range(20)]
    public = serials.count(shop.sandbox.ready["wechat_public_key_id"])
    assert 5 <= public <= 15
    assert len(set(serials)) == 2


def test_a_hanging_call_did_its_work_and_a_broken_one_did_not(shop, number):
    for fault, did in (("hang", True), ("away", False)):
        which = f"{number}{fault}"
        shop.fault(fault, call="create", times=1)
        with pytest.raises(httpx.TransportError):
            shop.http.post(
                shop.sandbox.url + NATIVE,
                content=(body := json.dumps(shop.order(which)).encode()),
                headers={"Authorization": shop.authorization("POST", NATIVE, body)},
                timeout=0.5 if fault == "hang" else PATIENCE_SECONDS,
            )
        found = shop.sdk.query(out_trade_no=which)[0]
        assert found == (200 if did else 404)


def test_answers_unsigned_or_wrongly_signed_are_no_answers(shop, number):
    for fault in ("answer_unsigned", "answer_signature"):
        shop.fault(fault, call="create", times=1)
        with pytest.raises(Exception, match=r"verify the signature|does not support this algorithm"):
            shop.native(number)
    assert shop.query(number)["trade_state"] == "NOTPAY"


def test_money_that_comes_in_a_close_is_found_after_it(shop, number):
    shop.native(number)
    shop.fault("paid_in_close", out_trade_no=number)
    assert shop.sdk.close(number)[0] == 204
    assert shop.query(number)["trade_state"] == "SUCCESS"


def test_a_programs_finger_presses_the_buttons_and_reads_the_log(shop, api, receiver, number, told):
    shop.native(number, receiver.url(told))
    assert api.press("KM-nobody", "pay").status_code == 404
    assert api.press(number, "steal").status_code == 400
    (paid,) = api.press(number, "pay").json()["payments"]
    assert (paid["state"], paid["trade_no"], paid["paid_fen"]) == (
        "paid",
        shop.query(number)["transaction_id"],
        12880,
    )
    assert len(api.press(number, "again").json()["payments"]) == 2
    assert api.settled(number, 2) == [("acknowledged", 1)] * 2
    first, second = (receiver.next(told) for _ in range(2))
    log = api.get("/notifications", out_trade_no=number)["notifications"]
    assert api.http.post(f"{api.base}/notifications/{log[0]['id']}/replay").status_code == 202
    again = receiver.next(told)
    assert again.raw in (first.raw, second.raw)
    assert again.headers["wechatpay-nonce"] not in {one.headers["wechatpay-nonce"] for one in (first, second)}
    assert shop.opened(again)["resource"]["out_trade_no"] == number
    assert api.http.post(f"{api.base}/notifications/999999/replay").status_code == 404


def test_faults_outlast_a_restart_and_amounts_choose_them_when_asked(own_sandbox, receiver, number):
    process = own_sandbox("--scenarios", "--retry-seconds", "0")
    shop = WechatShop(process).register()
    shop.fault("fail", 500, call="query")
    process.kill()
    process.start()
    assert refusal(shop.sdk.query(out_trade_no=number)) == (500, "SYSTEM_ERROR")
    shop.end_faults()

    shop.paid(number, receiver.url(f"/{number}"), total=10_901)
    (order,) = Api(shop).orders()
    assert (order["name"], order["value"], order["out_trade_no"]) == (*SCENARIOS[901], number)
    assert Api(shop).messages(number) == [("dropped", 0)]
    shop.paid(f"{number}b", receiver.url(f"/{number}"), total=10_900)
    assert len(Api(shop).orders()) == 1
    shop.http.close()


def test_every_scenario_is_a_fault_that_can_be_ordered(api):
    for digits, (name, value) in SCENARIOS.items():
        assert 0 <= digits <= 999
        assert api.order(name=name, value=value, out_trade_no="KM-scenario").status_code == 201
    assert api.http.delete(api.base + "/faults").status_code == 204


def test_a_tester_orders_and_ends_faults_on_a_phone_without_javascript(shop, api, number, phone_page):
    page = phone_page(javascript=False)
    shop.native(number)
    page.goto(shop.sandbox.url + "/")
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    page.get_by_text(number).click()
    page.get_by_text("故障面板").click()
    page.get_by_role("link", name="更多故障").click()
    assert page.get_by_role("textbox", name="商户订单号").input_value() == number
    page.locator("select[name=name]").select_option("clock_seconds")
    page.get_by_label("数值").fill("-90.5")
    page.get_by_label("生效次数").fill("3")
    page.get_by_role("button", name="制造故障").click()
    (order,) = api.orders()
    del order["id"]
    assert order == {
        "name": "clock_seconds",
        "value": "-90.5",
        "channel": "wechat",
        "merchant_id": MCHID,
        "out_trade_no": number,
        "times": 3,
    }
    page.get_by_role("button", name="结束", exact=True).click()
    assert page.get_by_text("没有：一切正常。").is_visible()
    assert api.orders() == []


@pytest.mark.parametrize(
    "form",
    [
        {"action": "order", "name": "copies", "value": "99"},
        {"action": "order", "name": "drop", "times": "many"},
        {"action": "end", "id": "x"},
        {"action": "steal"},
    ],
)
def test_a_form_that_makes_no_sense_changes_nothing(shop, api, form):
    assert shop.http.post(shop.sandbox.url + "/", data=form).status_code == 400
    assert api.orders() == []


def test_a_code_is_scanned_by_pasting_it(shop, number):
    code_url = shop.native(number)
    page = shop.page_of(code_url)
    assert number in shop.http.get(page).text
    unknown = shop.http.get(shop.sandbox.url + "/scan", params={"code": "weixin://wxpay/bizpayurl?pr=" + "x" * 32})
    assert (unknown.status_code, "找不到这笔付款" in unknown.text) == (404, True)


def test_our_own_channel_knows_the_same_faults(sandbox, api, number):
    merchant = Merchant(sandbox).register()
    merchant.create(number)
    api.order(name="fail", value="502", channel="sandbox", call="query", times=1)
    assert merchant.call("GET", f"/v1/payments/{number}").status_code == 502
    assert merchant.query(number)["state"] == "pending"
    merchant.http.close()
