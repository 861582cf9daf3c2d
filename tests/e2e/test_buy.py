"""A buyer with a phone: the real server, the real sandbox, a real browser, with JavaScript and without."""

import re
from itertools import count

import pytest
from playwright.sync_api import Page, expect

from shared.money import line_amount
from tests.e2e.live_shop import STOCK, live_shop

pytestmark = pytest.mark.browser

expect.set_options(timeout=20_000)  # a slow machine is no mistake of the shop

NUMBERS = dict(STOCK["STEAM-50"])
SMALL = {"width": 320, "height": 640}


@pytest.fixture(scope="module")
def shop(browser, tmp_path_factory):
    with live_shop(tmp_path_factory.mktemp("live")) as running:
        yield running


def choose(page: Page, shop, product: str) -> None:
    page.goto(shop.url)
    page.locator(f"a[href='/p/{product}']").click()
    page.get_by_role("button", name="立即购买").click()


def agree_and_order(page: Page) -> None:
    page.get_by_label("我已阅读并同意上面的退款规则").check()
    page.get_by_role("button", name="提交订单，去支付").click()
    expect(page).to_have_url(re.compile(r"/o/[0-9A-Z]{12}$"))


def pay(page: Page) -> None:
    """From the order page to the sandbox's page and its pay button."""
    page.get_by_role("link", name="打开支付页面").click()
    page.locator("button[name=action][value=pay]").first.click()
    page.get_by_role("link", name="返回商家").click()


def keys_of(page: Page) -> list[str]:
    return [re.sub(r"\s", "", text) for text in page.locator("[data-key] code").all_text_contents()]


def check_reach(page: Page) -> None:
    """Nothing scrolls sideways, controls are large enough for a thumb, and nothing is smaller than 24 pixels."""
    page.wait_for_load_state()  # a page that has only begun has no element to measure
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), page.url
    small = page.evaluate(
        """() => [...document.querySelectorAll(
            "button, .button, .choice, .tick, .ask, .top a, .foot a, .crumbs a, summary, textarea," +
            "input:not([type=hidden])")]
          .filter((e) => e.checkVisibility() && !e.closest(".choice, .tick")?.contains(e.matches("input") ? e : null))
          .map((e) => [e.outerHTML.slice(0, 80), e.getBoundingClientRect()])
          .filter(([, box]) => box.height < 44 || box.width < 44)
          .map(([html, box]) => `${html} ${box.width}x${box.height}`)"""
    )
    assert small == [], page.url


# --- the straight line ---


def test_a_phone_buys_and_the_page_turns_into_keys(shop, phone_page):
    page = phone_page()
    page.goto(shop.url)
    check_reach(page)
    page.locator("a[href='/p/steam']").click()
    page.wait_for_url(f"{shop.url}/p/steam")
    check_reach(page)
    page.get_by_role("button", name="增加一件").click()
    expect(page.locator("[data-total]")).to_have_text("¥90.00")
    page.get_by_role("button", name="立即购买").click()
    check_reach(page)
    expect(page.locator(".due .price")).to_have_text("¥90.00")
    agree_and_order(page)
    check_reach(page)
    expect(page.locator("[data-countdown] b")).to_have_text(re.compile(r"^1[45]:\d\d$"))
    pay(page)
    expect(page.get_by_role("heading", name="支付成功，卡密已发货")).to_be_visible()
    check_reach(page)
    number, secret, other_number, other_secret = keys_of(page)
    assert (NUMBERS[number], NUMBERS[other_number]) == (secret, other_secret)
    assert number != other_number


def test_the_waiting_page_turns_by_itself_when_another_device_pays(shop, phone_page):
    page = phone_page()
    choose(page, shop, "music")
    agree_and_order(page)
    with page.context.expect_page() as opened:
        page.evaluate("open(document.querySelector('.pay a.button').href, '_blank', 'noopener')")
    other = opened.value
    other.locator("button[name=action][value=pay]").first.click()
    expect(page.get_by_role("heading", name="支付成功，卡密已发货")).to_be_visible()
    assert re.fullmatch(r"ABCDE-FGHJ0-\d{5}", keys_of(page)[0])


def test_a_lost_callback_is_found_by_the_button(shop, phone_page):
    page = phone_page()
    choose(page, shop, "music")
    agree_and_order(page)
    order = page.url
    page.get_by_role("link", name="打开支付页面").click()
    page.locator("summary").click()
    page.locator("input[name=fault_drop]").check(force=True)
    page.locator("button[name=action][value=pay]").last.click()
    page.goto(order)
    page.get_by_role("button", name="我已支付").click()
    expect(page.get_by_role("heading", name="支付成功，卡密已发货")).to_be_visible()


def test_everything_works_without_javascript(shop, phone_page):
    page = phone_page(javascript=False)
    page.goto(shop.url)
    page.locator("a[href='/p/steam']").click()
    page.get_by_label("数量").fill("1o")
    page.get_by_role("button", name="立即购买").click()
    page.get_by_role("link", name="数量请填写 1 到 100 的整数。").click()
    expect(page.get_by_label("数量")).to_have_value("1o")
    page.get_by_label("数量").fill("1")
    page.get_by_role("button", name="立即购买").click()
    page.get_by_role("button", name="提交订单，去支付").click()
    expect(page.get_by_role("link", name="请先勾选同意退款规则。")).to_be_visible()
    agree_and_order(page)
    assert page.get_by_role("button", name="复制").count() == 0
    with page.context.expect_page() as opened:
        page.get_by_role("link", name="打开支付页面").click(modifiers=["Control"])
    other = opened.value
    other.locator("button[name=action][value=pay]").first.click()
    # Nobody touches the first page: its own refresh brings the keys.
    expect(page.get_by_role("heading", name="支付成功，卡密已发货")).to_be_visible()
    number, secret = keys_of(page)
    assert NUMBERS[number] == secret
    with page.expect_download() as download:
        page.get_by_role("link", name="下载 .txt").click()
    assert f"{number}\t{secret}" in download.value.path().read_text("utf-8-sig")


# --- keys in the hand ---


@pytest.fixture(scope="module")
def delivered(shop, browser):
    """The address of an order with two keys, and the cookies of the phone that bought it."""
    context = browser.new_context(locale="zh-CN")
    page = context.new_page()
    page.goto(f"{shop.url}/review?sku=STEAM-50&quantity=2")
    agree_and_order(page)
    address = page.url
    pay(page)
    expect(page.get_by_role("heading", name="支付成功，卡密已发货")).to_be_visible()
    cookies = context.cookies()
    context.close()
    return address, cookies


def test_keys_are_copied_raw_and_it_is_said(shop, phone_page, delivered):
    address, cookies = delivered
    page = phone_page()
    page.context.add_cookies(cookies)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=shop.url)
    page.goto(address)
    clipboard = "navigator.clipboard.readText()"
    raw = keys_of(page)
    page.get_by_role("button", name="复制第 2 件的卡密").click()
    expect(page.get_by_role("status")).to_have_text("已复制 1/4")
    assert page.evaluate(clipboard) == raw[3]
    expect(page.get_by_role("button", name="复制第 2 件的卡密")).to_have_text("✓ 已复制")
    page.get_by_role("button", name="全部复制").click()
    expect(page.get_by_role("status")).to_have_text("已全部复制")
    assert page.evaluate(clipboard) == f"{raw[0]}\t{raw[1]}\n{raw[2]}\t{raw[3]}"
    # What a hand selects is raw as well: the groups are drawn with margins.
    assert (
        page.evaluate("getSelection().selectAllChildren(document.querySelector('#s1')), String(getSelection())")
        == raw[1]
    )
    page.get_by_text("换一台设备查看").click()
    page.get_by_role("button", name="复制订单链接").click()
    link = page.evaluate(clipboard)
    other = phone_page()
    other.goto(link)
    assert other.url == address
    assert keys_of(other) == raw


@pytest.mark.parametrize(("allowed", "told"), [(True, "已复制 1/4"), (False, "已选中，请长按复制")])
def test_without_the_clipboard_there_is_another_way(phone_page, delivered, allowed, told):
    address, cookies = delivered
    page = phone_page()
    page.context.add_cookies(cookies)
    page.add_init_script(
        "Object.defineProperty(navigator, 'clipboard', {value: undefined});"
        + ("" if allowed else "document.execCommand = () => false;")
    )
    page.goto(address)
    page.get_by_role("button", name="复制第 1 件的卡号").click()
    expect(page.get_by_role("status")).to_have_text(told)
    if not allowed:
        assert page.evaluate("String(getSelection())") == keys_of(page)[0]


# --- odd hands ---


def test_a_keyboard_alone_buys(shop, phone_page):
    page = phone_page()
    page.goto(f"{shop.url}/p/music")
    tab_to(page, "立即购买")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="确认订单")).to_be_visible()
    tab_to(page, "agreed")
    page.keyboard.press("Space")
    tab_to(page, "提交订单，去支付")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"/o/[0-9A-Z]{12}$"))


def tab_to(page: Page, wanted: str) -> None:
    """Press Tab until the focus is there, seeing it all the way."""
    for _ in count():
        page.keyboard.press("Tab")
        focused = page.evaluate(
            """() => { const e = document.activeElement, box = e.getBoundingClientRect(), style = getComputedStyle(e);
              return {name: e.id || e.textContent.trim(), end: e === document.body,
                      seen: box.bottom > 0 && box.top < innerHeight,
                      ring: style.outlineStyle !== 'none' || e.closest('.good') !== null}; }"""
        )
        assert not focused["end"], f"no way to {wanted} by keyboard"
        assert focused["seen"], focused
        assert focused["ring"], focused
        if wanted in focused["name"]:
            return


def test_back_and_again_is_the_same_order(shop, phone_page):
    page = phone_page()
    choose(page, shop, "music")
    agree_and_order(page)
    order = page.url
    page.go_back()
    expect(page.get_by_role("heading", name="确认订单")).to_be_visible()
    page.reload()
    agree_and_order(page)
    assert page.url != order  # asked anew, with a new key: a new order, on purpose
    again = page.url
    page.reload()
    assert page.url == again


def test_the_total_in_the_browser_is_the_servers(shop, phone_page):
    page = phone_page()
    page.goto(f"{shop.url}/p/office")
    for quantity in (1, 2, 3, 14, 15, 57, 86, 100):
        fen = line_amount(350, quantity)
        page.get_by_label("数量").fill(str(quantity))
        expect(page.locator("[data-total]")).to_have_text(f"¥{fen // 100}.{fen % 100:02d}")
    for nonsense in ("0", "101", "1o", "", "-1"):
        page.get_by_label("数量").fill(nonsense)
        expect(page.locator("[data-total]")).to_be_hidden()
    page.get_by_label("数量").fill("57")
    page.get_by_role("button", name="立即购买").click()
    expect(page.locator("[name=amount_fen]")).to_have_value(str(line_amount(350, 57)))


def test_a_tiny_screen_and_large_letters_hold(shop, phone_page, delivered):
    address, cookies = delivered
    page = phone_page()
    page.set_viewport_size(SMALL)
    page.context.add_cookies(cookies)
    page.goto(f"{shop.url}/review?sku=MUSIC-30&quantity=1")
    agree_and_order(page)
    orders = [page.url, f"{page.url}?back=1", address, f"{address}/refund?key=1", f"{address}/refunds"]
    places = ("/", "/c/games", "/p/steam", "/review?sku=STEAM-50&quantity=2", "/lookup", "/o/7K3M9QX2H4TD")
    for language in ("zh", "en"):
        page.goto(f"{shop.url}/?lang={language}")  # kept in a cookie
        for path in [*(shop.url + place for place in places), *orders]:
            page.goto(path)
            expect(page.locator(f"html[lang|={language}]")).to_have_count(1)
            for scheme in ("light", "dark"):
                page.emulate_media(color_scheme=scheme)
                page.evaluate("document.documentElement.style.fontSize = ''")
                check_reach(page)
                page.evaluate("document.documentElement.style.fontSize = '200%'")
                assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), (page.url, scheme, "200 %")
