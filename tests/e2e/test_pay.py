"""Paying at WeChat Pay and Alipay with a real browser: a phone, a computer, a change of mind, and a refund to its end.

The shop and the sandbox are processes; all keys were exchanged by command. Nothing is asserted of times.
"""

import re
import struct
import zlib
from uuid import uuid4

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.browser import PHONE
from tests.e2e.live_shop import live_shop
from tests.server.sandbox.peer import PATIENCE_SECONDS
from tests.world import PASSWORD

pytestmark = pytest.mark.browser

expect.set_options(timeout=20_000)

INSIDE_WECHAT = f"{PHONE} MicroMessenger/8.0.50"
PAID = "支付成功，卡密已发货"


@pytest.fixture(scope="module")
def shop(browser, tmp_path_factory):
    with live_shop(tmp_path_factory.mktemp("live"), every_channel=True) as running:
        yield running


def order(page: Page, shop, channel: str, *, sku="MUSIC-30") -> str:
    """Order one through this channel; answers the order's address."""
    page.goto(f"{shop.url}/review?sku={sku}&quantity=1")
    page.get_by_role("radio", name=channel).check()
    page.get_by_label("我已阅读并同意上面的退款规则").check()
    page.get_by_role("button", name="提交订单，去支付").click()
    there = re.compile(r"(.*/o/[0-9A-Z]{12})(\?scan=1)?(#wechat_redirect)?")
    expect(page).to_have_url(there)
    return there.fullmatch(page.url)[1]


def payments(shop) -> list[dict]:
    """What the sandbox was asked for, the newest first."""
    return ask(shop, "GET", "/api/payments")["payments"]


def press(shop, number: str, action: str = "pay") -> None:
    """Press a button of the sandbox's page, as another device would."""
    ask(shop, "POST", "/api/payments", {"out_trade_no": number, "action": action})


def ask(shop, method: str, path: str, content: dict | None = None, *, url: str = "", **headers: str) -> dict:
    answer = httpx.request(
        method,
        (url or shop.sandbox_url) + path,
        json=content,
        headers=headers,
        trust_env=False,
        timeout=PATIENCE_SECONDS,
    )
    assert answer.is_success, answer.text
    return answer.json() if answer.content else {}


def keys_of(page: Page) -> list[str]:
    return [re.sub(r"\s", "", text) for text in page.locator("[data-key] code").all_text_contents()]


def pay_on_the_phone(page: Page, button: str) -> None:
    """From the order page to the channel's and back, as a thumb does."""
    page.get_by_role("link", name=button).click()
    page.locator("button[name=action][value=pay]").first.click()
    page.get_by_role("link", name="返回商家").click()


def test_a_phone_pays_by_wechats_link_and_comes_back_to_its_key(shop, phone_page):
    page = phone_page()
    address = order(page, shop, "微信支付")
    # The link leads somewhere only because it says where it comes from.
    pay_on_the_phone(page, "打开微信支付")
    expect(page.get_by_role("heading", name=PAID)).to_be_visible()
    expect(page).to_have_url(address)
    assert len(keys_of(page)) == 1
    # What is photographed of it leaves the phone small, and without what the camera wrote into it.
    page.get_by_role("link", name="这张卡有问题，第 1 件").click()
    page.get_by_role("radio", name="卡密无效").check()
    page.get_by_role("radio", name="退款 原路退回").check()
    page.get_by_role("button", name="下一步，核对").click()
    large = {"name": "IMG_0001.png", "mimeType": "image/png", "buffer": png(4000, 3000)}
    page.get_by_label("图片（可不填）").set_input_files(large)
    page.get_by_role("button", name="提交申请").click()
    photo = page.get_by_role("img", name="您的第 1 张图片")
    expect(photo).to_be_visible()
    assert photo.evaluate("async (one) => { await one.decode(); return [one.naturalWidth, one.naturalHeight]; }") == [
        2000,
        1500,
    ]
    kept = page.request.get(shop.url + photo.get_attribute("src"))
    assert (kept.headers["content-type"], kept.body()[:3]) == ("image/jpeg", b"\xff\xd8\xff")


def png(width: int, height: int) -> bytes:
    """An image of one colour."""
    rows = zlib.compress((b"\0" + b"\x3b\x82\xa0" * width) * height)
    parts = ((b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)), (b"IDAT", rows), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in parts
    )


def test_coming_back_from_alipay_asks_at_once_when_nobody_told(shop, phone_page):
    page = phone_page()
    address = order(page, shop, "支付宝")
    fault = ask(shop, "POST", "/api/faults", {"name": "drop", "channel": "alipay"})
    pay_on_the_phone(page, "打开支付宝支付")
    expect(page.get_by_role("heading", name=PAID)).to_be_visible()
    # What Alipay appends to the address is gone, and so is the way back.
    expect(page).to_have_url(address)
    ask(shop, "DELETE", f"/api/faults/{fault['id']}")
    # Next time this phone is offered first what it used last.
    page.goto(f"{shop.url}/review?sku=MUSIC-30&quantity=1")
    expect(page.get_by_role("radio", name="支付宝")).to_be_checked()
    assert "支付宝" in page.locator(".choice").first.text_content()


def test_who_comes_back_without_paying_reads_that_it_is_being_confirmed(shop, phone_page):
    page = phone_page()
    address = order(page, shop, "支付沙箱")
    page.get_by_role("button", name="我已支付").click()
    expect(page.get_by_role("heading", name="正在确认您的付款")).to_be_visible()
    page.get_by_role("link", name="还没有付，继续支付").click()
    expect(page).to_have_url(address)
    page.get_by_role("button", name="不买了，取消订单").click()
    expect(page.get_by_role("heading", name="订单已取消")).to_be_visible()
    assert payments(shop)[0]["state"] == "closed"


def test_a_computer_changes_its_mind_and_what_is_paid_twice_goes_back(shop, phone_page):
    page = phone_page(computer=True)
    address = order(page, shop, "微信支付")
    expect(page.get_by_role("img", name="支付二维码，金额 ¥12.50")).to_be_visible()
    assert page.get_by_role("link", name="打开微信支付").count() == 0
    first = payments(shop)[0]
    page.get_by_role("button", name="支付宝").click()
    expect(page.get_by_role("heading", name="请用支付宝扫一扫")).to_be_visible()
    second = payments(shop)[0]
    assert (first["channel"], second["channel"]) == ("wechat", "alipay")
    states = {one["out_trade_no"]: one["state"] for one in payments(shop)}
    assert (states[first["out_trade_no"]], states[second["out_trade_no"]]) == ("closed", "pending")
    press(shop, second["out_trade_no"])
    expect(page.get_by_role("heading", name=PAID)).to_be_visible()  # nobody touched the page
    press(shop, first["out_trade_no"], "late")
    until(page, lambda: page.goto(address), "多付的一笔")
    assert len(keys_of(page)) == 1


def until(page: Page, again, words: str) -> None:
    """Look again until the page says so."""
    for _ in range(200):
        if words in page.locator("main").text_content():
            return
        again()
    raise AssertionError(page.locator("main").text_content())


def test_inside_wechat_who_is_not_recognised_carries_the_order_to_a_browser(shop, phone_page):
    page = phone_page(agent=INSIDE_WECHAT)
    page.goto(f"{shop.url}/review?sku=MUSIC-30&quantity=1")
    expect(page.get_by_role("radio", name="支付宝")).to_be_disabled()
    fault = ask(shop, "POST", "/api/faults", {"name": "oauth", "value": "busy", "channel": "wechat", "call": "payer"})
    address = order(page, shop, "微信支付")
    expect(page.get_by_role("heading", name="微信没有认出您")).to_be_visible()
    ask(shop, "DELETE", f"/api/faults/{fault['id']}")
    link = page.locator("#link").text_content()
    browser = phone_page()
    browser.goto(link)
    assert browser.url == address
    browser.get_by_role("button", name="微信支付 在这台手机上支付").click()
    pay_on_the_phone(browser, "打开微信支付")
    expect(browser.get_by_role("heading", name=PAID)).to_be_visible()
    expect(page.get_by_role("heading", name=PAID)).to_be_visible()


BRIDGE = """window.WeixinJSBridge = {invoke: (name, asked, tell) => {
    window.asked = [name, asked];
    if (window.saying !== "silence") tell({err_msg: "get_brand_wcpay_request:" + (window.saying ?? "cancel")});
}}"""


def test_a_buyer_inside_wechat_pays_by_its_sheet_whose_word_proves_nothing(shop, phone_page):
    page = phone_page(agent=INSIDE_WECHAT)
    page.add_init_script(BRIDGE)
    address = order(page, shop, "微信支付")  # to WeChat and back by itself
    button = page.get_by_role("button", name="打开微信支付")
    button.click()
    expect(page.get_by_text("没有付款，可以再试一次。")).to_be_visible()
    page.evaluate("window.saying = 'fail'")
    button.click()
    expect(page.get_by_text("微信没有打开支付。请再试一次，或者换另一台手机扫码。")).to_be_visible()
    name, call = page.evaluate("window.asked")
    assert (name, call["appId"], call["signType"]) == ("getBrandWCPayRequest", "wxsandboxkameng", "RSA")
    page.evaluate("window.saying = 'silence'")
    button.click()
    expect(page.get_by_text("正在打开微信…")).to_be_visible()
    page.reload()
    page.evaluate("window.saying = 'ok'")
    button.click()
    expect(page.get_by_role("heading", name="正在确认您的付款")).to_be_visible()  # nobody has paid
    agents = {"user-agent": INSIDE_WECHAT}, {"user-agent": f"{INSIDE_WECHAT} SandboxPerson/friend"}
    led, friend = (
        httpx.get(f"{shop.sandbox_url}/wechat/jsapi", params=call, headers=agent, trust_env=False) for agent in agents
    )
    assert friend.status_code == 403
    paid = httpx.post(shop.sandbox_url + led.headers["location"], data={"action": "pay"}, trust_env=False)
    assert paid.status_code == 303
    expect(page.get_by_role("heading", name=PAID)).to_be_visible()
    expect(page).to_have_url(address)

    # The next order asks WeChat nothing: the sheet is there at once, and its page needs scripts.
    page.goto(f"{shop.url}/review?sku=MUSIC-30&quantity=1")
    page.get_by_label("我已阅读并同意上面的退款规则").check()
    page.get_by_role("button", name="提交订单，去支付").click()
    expect(button).to_be_visible()
    plain = phone_page(agent=INSIDE_WECHAT, javascript=False)
    plain.goto(f"{shop.url}/review?sku=MUSIC-30&quantity=1")
    plain.get_by_role("radio", name="微信支付").check()
    plain.get_by_label("我已阅读并同意上面的退款规则").check()
    plain.get_by_role("button", name="提交订单，去支付").click()
    plain.get_by_role("link", name="打开微信支付").click()
    expect(plain.get_by_role("button", name="我已支付")).to_be_visible()
    assert "微信支付需要浏览器运行脚本。" in plain.content()
    plain.get_by_role("button", name="换另一台手机扫码").click()
    expect(plain.get_by_role("img", name="支付二维码，金额 ¥12.50")).to_be_visible()


def test_a_refund_is_asked_for_without_javascript_and_followed_to_its_end(shop, phone_page):
    page = phone_page(javascript=False)
    address = order(page, shop, "微信支付", sku="STEAM-50")
    pay_on_the_phone(page, "打开微信支付")
    until(page, page.reload, PAID)
    page.get_by_role("link", name="这张卡有问题，第 1 件").click()
    page.get_by_role("button", name="下一步，核对").click()
    page.get_by_role("link", name="请选择补发还是退款。").click()
    page.get_by_role("radio", name="卡密无效").check()
    page.get_by_role("radio", name="退款 原路退回").check()
    page.get_by_label("说明（可不填）").fill("提示该卡密不存在")
    page.get_by_role("button", name="下一步，核对").click()
    expect(page.get_by_text("退款 ¥45.00", exact=True)).to_be_visible()
    page.get_by_label("图片（可不填）").set_input_files({"name": "a.png", "mimeType": "image/png", "buffer": png(9, 9)})
    page.get_by_role("button", name="提交申请").click()
    expect(page).to_have_url(f"{address}/refunds")
    expect(page.get_by_text("现在由“供应商”处理")).to_be_visible()
    expect(page.get_by_role("img", name="您的第 1 张图片")).to_be_visible()
    assert "已退款" not in page.locator("main").text_content()

    device = {"id": str(uuid4()), "name": "test", "platform": "test"}
    signed_in = {"login": "chen", "password": PASSWORD, "device": device}
    token = ask(shop, "POST", "/api/session", signed_in, url=shop.url)["token"]
    whose = {"url": shop.url, "authorization": f"Bearer {token}"}
    refund, *_ = ask(shop, "GET", "/api/refunds", **whose)["items"]
    said = {"answer": "agree", "evidence": "核实为坏卡", "version": refund["version"]}
    ask(shop, "POST", f"/api/refunds/{refund['id']}/answer", said, **whose)
    until(page, page.reload, "已原路退回")
    told = page.locator(".timeline").text_content()
    assert ["提示该卡密不存在" in told, "核实为坏卡" in told] == [True, True]
    page.get_by_role("link", name="返回订单").click()
    expect(page.get_by_role("heading", name="款项已退回")).to_be_visible()
