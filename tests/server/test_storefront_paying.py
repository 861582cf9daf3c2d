"""Ways to pay and refunds over HTTP: what each place offers, a change of mind, dead links, and what attackers try."""

import hashlib
import re
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import timedelta
from uuid import uuid4

import pytest
from sqlalchemy import func, select

from server.orders import actions as order_actions
from server.payments import channels
from server.payments.model import PaymentAttempt
from server.payments.refunds.model import Refund
from server.policy import SYSTEM
from server.signals import MOST_OF_DEVICE, MOST_OF_NETWORK
from server.stock.model import RevealLog
from server.storefront import telling
from server.storefront.language import CHINESE, ENGLISH
from shared import clock
from shared.contracts.payments import SwitchChannel
from shared.errors import Busy
from shared.states import RefundPolicy
from tests.server.refunding import carry_out, policy, post, read, shop_with_refunds
from tests.server.shopping import Document
from tests.server.till import Till, site_with
from tests.world import ANNA, BEN

IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148"
AGENTS = {
    "computer": "Mozilla/5.0 (X11; Linux x86_64) Chrome/130",
    "phone": IPHONE,
    "wechat": f"{IPHONE} MicroMessenger/8.0.50",
    "mini": "Mozilla/5.0 (Linux; Android 14) Chrome/130 Mobile MicroMessenger/8.0.50 miniProgram/wx1",
    "mini on an iPhone": f"{IPHONE} MicroMessenger/8.0.50 miniProgram/wx1",
    "wechat on a computer": "Mozilla/5.0 (Windows NT 10.0) MicroMessenger/7.0 WindowsWechat",
    "alipay": f"{IPHONE} AlipayClient/10.6",
}
WECHAT, ALIPAY = ("qr", "h5", "jsapi"), ("qr", "h5", "page")


@pytest.fixture
def site(tmp_path):
    tills = Till("wechat", products=WECHAT), Till("alipay", products=ALIPAY)
    with site_with(tmp_path, *tills) as built:
        built.wechat, built.alipay = tills
        built.world.stock("STEAM-50", 9)
        yield built


def visit(site, path, *, agent="phone", buyer=ANNA, form=None, cookies="", status=200):
    """A page as one device sees it; a form is sent where one is given."""
    cookie = site.cookie(buyer) + (f"; {cookies}" if cookies else "")
    headers = {"accept": "text/html", "user-agent": AGENTS[agent], "cookie": cookie, "sec-fetch-site": "same-origin"}
    method = "GET" if form is None else "POST"
    answer = site.request(method, path, headers=headers, **({} if form is None else {"data": form}))
    assert answer.status_code == status, answer.text
    return answer


def page(site, path, **options):
    document = Document(visit(site, path, **options).text)
    assert document.faults() == []
    return document


def ordered(site, channel, *, agent="phone", sheet=False, **options):
    """Order through the review page; answers the order's address. `sheet`: WeChat must say first who this is."""
    form = page(site, "/review?sku=STEAM-50&quantity=1", agent=agent, **options).form("/orders")
    form |= {"agreed": "yes", "channel": channel}
    answer = visit(site, "/orders", agent=agent, form=form, status=303, **options)
    assert answer.headers["set-cookie"].startswith(f"channel={channel};")
    address, _, flag = answer.headers["location"].partition("?")
    assert flag == ("sheet=1" if sheet else "")
    return address


def attempts(site):
    with site.world.ctx.db.read() as tx:
        rows = tx.scalars(select(PaymentAttempt).order_by(PaymentAttempt.id)).all()
    return [(row.channel, row.product, row.state) for row in rows]


def count(site, model):
    with site.world.ctx.db.read() as tx:
        return tx.scalar(select(func.count()).select_from(model))


# --- what is offered where ---


@pytest.mark.parametrize(
    ("agent", "offered"),
    [
        ("computer", {"wechat": "qr", "alipay": "qr"}),
        ("wechat on a computer", {"wechat": "qr", "alipay": "qr"}),
        ("phone", {"wechat": "h5", "alipay": "h5"}),
        ("wechat", {"wechat": "jsapi", "alipay": None}),
        ("alipay", {"wechat": None, "alipay": "h5"}),
        ("mini", {"wechat": None, "alipay": None}),
    ],
)
def test_each_place_offers_what_works_there(site, agent, offered):
    review = page(site, "/review?sku=STEAM-50&quantity=1", agent=agent)
    choices = {one["value"]: one for one in review.all("input") if one.get("name") == "channel"}
    assert {code: "disabled" not in choices[code] for code in offered} == {
        code: product is not None for code, product in offered.items()
    }
    form = review.form("/orders") | {"agreed": "yes"}
    for code, product in offered.items():
        answer = visit(site, "/orders", agent=agent, form=form | {"channel": code}, status=303 if product else 422)
        if product is None:
            assert "#channel" in Document(answer.text).links
        else:
            # Inside WeChat nothing is asked before it has said who pays.
            assert attempts(site)[-1] == (code, product, "created" if product == "jsapi" else "pending")
        form = page(site, "/review?sku=STEAM-50&quantity=1", agent=agent).form("/orders") | {"agreed": "yes"}
    assert len(attempts(site)) == sum(product is not None for product in offered.values())


def test_an_iphone_inside_a_mini_program_sees_no_price_and_no_way_round(site):
    agent, rule = "mini on an iPhone", "由于相关规范，iOS 功能暂不可用。"
    good = page(site, "/review?sku=STEAM-50&quantity=1").form("/orders") | {"agreed": "yes", "channel": "wechat"}
    order = ordered(site, "wechat")
    for path, status in (("/", 200), ("/c/games", 200), ("/p/steam", 200), ("/review?sku=STEAM-50&quantity=1", 403)):
        shown = page(site, path, agent=agent, status=status)
        found = [word for word in ("45", "¥", "立即购买", "浏览器", "扫码") if word in shown.text]
        assert (found, rule in shown.text) == ([], path not in {"/", "/c/games"}), path
        assert "data-unit" not in shown.html
        assert "¥" in page(site, path, agent="wechat").text
    told = Document(visit(site, "/orders", agent=agent, form=good, status=403).text)
    assert rule in told.text
    waiting = page(site, order, agent=agent)
    assert (rule in waiting.text, "浏览器里打开" in waiting.text) == (True, False)
    visit(site, f"{order}/pay", agent=agent, form={"channel": "wechat"}, status=409)
    body = {"sku": "STEAM-50", "quantity": 1, "amount_fen": 4_500, "channel": "wechat"}
    for said, agent_too, status in (("ios", "computer", 403), (None, agent, 403), ("android", "mini", 201)):
        headers = {
            "user-agent": AGENTS[agent_too],
            "idempotency-key": f"k-{said}-{agent_too}".replace(" ", "-") + "0" * 9,
        }
        sent = body | ({} if said is None else {"mini_program": said})
        answer = site.post("/api/orders", buyer=ANNA, json=sent, headers=headers)
        assert answer.status_code == status, answer.text
    assert len(attempts(site)) == 2


def test_what_is_off_or_away_is_shown_with_the_reason_and_the_last_used_comes_first(site):
    with site.world.ctx.db.tx() as tx:
        off = SwitchChannel(enabled=False, reason="维护", version=1)
        channels._locked(tx, "alipay")
        channels.switch(tx, "alipay", off, actor=SYSTEM, request_id=None)
    review = page(site, "/review?sku=STEAM-50&quantity=1", cookies="channel=alipay")
    assert review.form("/orders")["channel"] == "wechat"  # the only one that is left
    assert "暂停使用" in review.text
    form = review.form("/orders") | {"agreed": "yes", "channel": "alipay"}
    assert "暂不支持该支付方式" in Document(visit(site, "/orders", form=form, status=409).text).text
    assert attempts(site) == []
    with site.world.ctx.db.tx() as tx:
        on = SwitchChannel(enabled=True, reason="恢复", version=2)
        channels.switch(tx, "alipay", on, actor=SYSTEM, request_id=None)
    while not site.world.ctx.breakers.is_open("wechat"):
        site.world.ctx.breakers.note("wechat", answered=False)
    review = page(site, "/review?sku=STEAM-50&quantity=1", cookies="channel=wechat")
    assert "暂时没有回应，请换一种方式" in review.text
    first = next(one["value"] for one in review.all("input") if one.get("name") == "channel")
    assert (first, review.form("/orders")["channel"]) == ("alipay", "alipay")


# --- a change of mind ---


def test_another_way_closes_the_first_and_a_silent_one_is_not_left(site):
    order = ordered(site, "wechat")
    assert visit(site, f"{order}/pay", form={"channel": "alipay"}, status=303).headers["location"] == order
    assert attempts(site) == [("wechat", "h5", "closed"), ("alipay", "h5", "pending")]
    [link] = [a for a in page(site, order).all("a") if "https://alipay/" in a["href"]]
    assert link["referrerpolicy"] == "origin"
    # On the computer the same order shows a code instead.
    visit(site, f"{order}/pay", agent="computer", form={"channel": "alipay"}, status=303)
    assert attempts(site)[1:] == [("alipay", "h5", "closed"), ("alipay", "qr", "pending")]
    site.alipay.silent = True
    told = Document(visit(site, f"{order}/pay", form={"channel": "wechat"}, status=503).text)
    assert "上一种支付方式暂时没有回应" in told.text
    assert attempts(site)[1:] == [("alipay", "h5", "closed"), ("alipay", "qr", "pending")]
    for channel in ("bitcoin", "", "sandbox\0"):
        visit(site, f"{order}/pay", form={"channel": channel}, status=409)
    assert len(attempts(site)) == 3


@pytest.mark.parametrize(
    ("share", "most"), [({"device": f"buyer:{ANNA}"}, MOST_OF_DEVICE), ({"network": "127.0.0.1"}, MOST_OF_NETWORK)]
)
def test_one_device_or_network_does_not_take_all_streams(site, share, most):
    order, signals = ordered(site, "alipay"), site.world.ctx.signals
    with ExitStack() as others:
        for _ in range(most):
            others.enter_context(site.portal.wrap_async_context_manager(signals.bell(uuid4(), **share)))
        visit(site, f"{order}/events", status=503)
        with pytest.raises(Busy):
            others.enter_context(site.portal.wrap_async_context_manager(signals.bell(uuid4(), **share)))
        # Somebody else's first one passes, and the page asks by itself.
        elsewhere = dict.fromkeys(share, "another")
        others.enter_context(site.portal.wrap_async_context_manager(signals.bell(uuid4(), **elsewhere)))
        assert visit(site, f"{order}/status").json()["state"] == "pending_payment"
    assert (signals.waiting, signals._bells, signals._of) == (0, {}, {})
    visit(site, f"{order}/cancel", form={}, status=303)
    assert visit(site, f"{order}/events").text.startswith("data: ")


def test_a_refused_channel_lets_the_buyer_choose_and_a_dead_link_is_made_anew(site):
    site.wechat.refuses = "PARAM_ERROR"
    order = ordered(site, "wechat")
    choose = page(site, order)
    assert "微信支付没有打开，没有扣款" in choose.text
    site.wechat.refuses, site.wechat.valid_until = None, clock.now() + timedelta(minutes=5)
    visit(site, f"{order}/pay", form={"channel": "wechat"}, status=303)
    assert "打开微信支付" in page(site, order).text
    seen = visit(site, f"{order}/status").json()["seen"]
    site.wechat.silent = True  # looking asks the channel; that it says nothing changes nothing
    with clock.fixed(clock.now() + timedelta(minutes=6)):
        ended = page(site, order)
        assert "支付链接已失效" in ended.text
        assert not any("https://wechat/" in link for link in ended.links)
        assert visit(site, f"{order}/status").json()["seen"] != seen
        site.wechat.silent, site.wechat.valid_until = False, None
        visit(site, f"{order}/pay", form={"channel": "wechat"}, status=303)
        assert any("https://wechat/" in link for link in page(site, order).links)
    assert attempts(site) == [("wechat", "h5", "closed"), ("wechat", "h5", "pending")]


def test_a_payment_that_its_channel_did_not_open_opens_by_itself_without_a_script(site):
    site.alipay.silent = True
    order = ordered(site, "alipay")
    assert attempts(site) == [("alipay", "h5", "unknown")]
    waiting = page(site, order)
    assert ("正在联系支付渠道" in waiting.text, len(site.alipay.created)) == (True, 0)
    site.alipay.silent = False
    [again] = [meta["content"].partition("url=")[2] for meta in waiting.all("meta") if "http-equiv" in meta]
    with clock.fixed(clock.now() + timedelta(seconds=5)):
        assert any("https://alipay/" in link for link in page(site, again).links)
    assert (attempts(site), len(site.alipay.created)) == ([("alipay", "h5", "pending")], 1)


def test_money_for_a_cancelled_order_that_could_not_be_closed_is_found_by_its_buyer(site):
    shut, order = ordered(site, "wechat"), ordered(site, "alipay")
    site.alipay.closes = False
    for one in (shut, order):
        visit(site, f"{one}/cancel", form={}, status=303)
    assert (attempts(site)[0][2], attempts(site)[1][2]) == ("closed", "pending")
    assert "请不要再到原来的支付页面付款" not in page(site, shut).text
    told = page(site, order)
    assert ("请不要再到原来的支付页面付款" in told.text, "如果您已经付款" in told.text) == (True, True)
    [number] = site.alipay.payments
    site.alipay.pay(number)
    told.form(f"{order}/refresh")
    visit(site, f"{order}/refresh", form={}, status=303)
    assert len(page(site, order).keys) == 1


def test_coming_back_proves_nothing_but_makes_us_ask(site):
    order = ordered(site, "alipay")
    back = visit(site, f"{order}/back?trade_status=TRADE_SUCCESS&total_amount=45.00", status=303)
    assert back.headers["location"] == f"{order}?back=1"
    waiting = page(site, f"{order}?back=1")
    assert "正在确认您的付款" in waiting.text
    [again] = [meta["content"] for meta in waiting.all("meta") if "http-equiv" in meta]
    assert again == f"3;url={order}?back=1&n=1"
    assert attempts(site) == [("alipay", "h5", "pending")]
    [number] = site.alipay.payments
    site.alipay.pay(number)
    # Nobody told us: the page that looks finds it, and the address is the order's own again.
    with clock.fixed(clock.now() + timedelta(seconds=9)):
        site.world.ctx.buckets.forget("payment_query", number)
        visit(site, f"{order}/status")
        assert visit(site, f"{order}?back=1", status=303).headers["location"] == order
        assert len(page(site, order).keys) == 1


def test_a_page_that_waits_is_told_at_once_and_nobody_else_is(site):
    order = ordered(site, "alipay")
    [number] = site.alipay.payments
    visit(site, f"{order}/events", buyer=BEN, status=404)
    seen = visit(site, f"{order}/status").json()["seen"]

    def pay_meanwhile():
        while not site.world.ctx.signals.waiting:
            time.sleep(0.005)
        site.post("/pay/alipay/notify", content=site.alipay.pay(number).out_trade_no.encode())

    with ThreadPoolExecutor(1) as other:
        paid = other.submit(pay_meanwhile)
        stream = visit(site, f"{order}/events")  # ends when there is nothing to wait for
        paid.result()
    assert stream.headers["content-type"].startswith("text/event-stream")
    now = visit(site, f"{order}/status").json()["seen"]
    assert re.findall(r"data: (\w+)\n\n", stream.text) == [seen, now]
    assert now != seen
    assert site.world.ctx.signals.waiting == 0


# --- refunds ---


def asked(shop, code, form):
    """Check what is about to be asked for, and send it."""
    checked = page(shop, f"/o/{code}/refund/check", form=form).form(f"/o/{code}/refund")
    return visit(shop, f"/o/{code}/refund", form=form | {"places": checked["places"]}, status=303)


@pytest.fixture
def shop(tmp_path):
    with shop_with_refunds(tmp_path) as built:
        built.world.stock("STEAM-50", 6)
        yield built


def test_unseen_keys_go_back_and_seen_ones_do_not(shop):
    policy(shop, "STEAM-50", "before_view")
    assert "查看卡密前可退" in page(shop, "/p/steam").text
    kept, given = (shop.world.buy(ANNA, "STEAM-50").order.code for _ in range(2))
    for code in (kept, given):
        sealed = page(shop, f"/o/{code}")
        assert (sealed.keys, count(shop, RevealLog)) == ([], 0)
        visit(shop, f"/o/{code}/keys.txt", status=404)
    form = {"key": "1", "reason": "unwanted", "wish": "money"}
    assert "马上原路退款 ¥45.00" in page(shop, f"/o/{given}/refund/check", form=form).text
    assert count(shop, Refund) == 0
    assert asked(shop, given, form).headers["location"] == f"/o/{given}/refunds"
    assert "已同意退款" in page(shop, f"/o/{given}/refunds").text
    assert "这张订单正在退款" in page(shop, f"/o/{given}").text
    visit(shop, f"/o/{kept}/reveal", form={}, status=303)
    assert len(page(shop, f"/o/{kept}").keys) == 1
    choices = {one["value"]: one for one in page(shop, f"/o/{kept}/refund").all("input") if one.get("name") == "reason"}
    assert {code for code, one in choices.items() if "disabled" in one} == {"unwanted"}
    told = Document(visit(shop, f"/o/{kept}/refund", form=form, status=422).text)
    assert "#reason" in told.links
    assert count(shop, Refund) == 1


def test_accepted_is_not_refunded_and_a_replaced_key_is_marked(shop):
    code = shop.world.buy(ANNA, "STEAM-50", 3).order.code
    shown = page(shop, f"/o/{code}")
    assert [link for link in shown.links if "/refund" in link] == [f"/o/{code}/refund?key={n}" for n in (1, 2, 3)]
    form = {"key": ["1", "2"], "reason": "defective", "wish": "replacement", "text": " <b>坏了</b> "}
    assert page(shop, f"/o/{code}/refund?key=2").form(f"/o/{code}/refund/check")["key"] == "2"
    again = page(shop, f"/o/{code}/refund/check", form=form | {"edit": "yes"})
    assert "<b>" not in again.html
    sent = page(shop, f"/o/{code}/refund/check", form=form).form(f"/o/{code}/refund")
    for _ in range(2):  # twice is once
        visit(shop, f"/o/{code}/refund", form=form | {"places": sent["places"]}, status=303)
    assert count(shop, Refund) == 1
    waiting = page(shop, f"/o/{code}/refunds")
    assert "现在由“供应商”处理" in waiting.text
    assert "<b>坏了</b>" in waiting.text
    assert waiting.keys == []
    with shop.world.ctx.db.read() as tx:
        refund_id = str(tx.scalars(select(Refund.id)).one())
    post(shop, refund_id, "answer", "chen", answer="replace", evidence="换新")
    after = page(shop, f"/o/{code}")
    assert len(after.keys) == 5
    assert (after.text.count("已换新"), after.keys[:3]) == (2 + 1, shown.keys)  # the note says it too
    assert "已补发新的卡密" in page(shop, f"/o/{code}/refunds").text

    asked(shop, code, form | {"key": "3", "wish": "money"})
    with shop.world.ctx.db.read() as tx:
        refund_id = str(tx.scalars(select(Refund.id).order_by(Refund.id.desc())).first())
    post(shop, refund_id, "answer", "chen", answer="refuse", evidence="已被激活")
    disputed = page(shop, f"/o/{code}/refunds").text
    assert ["现在由“商家”处理" in disputed, "由商家裁定" in disputed, "店铺" in disputed] == [True, True, False]
    post(shop, refund_id, "decide", "li", approve=True, reason="以买家为准")
    carry_out(shop)
    assert read(shop, refund_id)["state"] == "processing"
    under_way = page(shop, f"/o/{code}/refunds")
    assert "支付渠道已受理，尚未到账" in under_way.text
    assert "已原路退回" not in under_way.text
    shop.desk.ends()
    with clock.fixed(clock.now() + timedelta(minutes=2)):
        carry_out(shop)
    assert "已原路退回" in page(shop, f"/o/{code}/refunds").text


def test_the_same_form_sent_once_more_does_not_refund_the_next_key(shop):
    policy(shop, "STEAM-50", "before_view")
    code = shop.world.buy(ANNA, "STEAM-50", 3).order.code
    form = {"key": "1", "reason": "unwanted", "wish": "money"}
    sent = page(shop, f"/o/{code}/refund/check", form=form).form(f"/o/{code}/refund")
    for n in range(3):  # its answer was lost; meanwhile the first one has gone back
        assert visit(shop, f"/o/{code}/refund", form=sent, status=303).headers["location"] == f"/o/{code}/refunds"
        with clock.fixed(clock.now() + timedelta(minutes=2 * n)):
            carry_out(shop)
            shop.desk.ends()
            carry_out(shop)
        assert count(shop, Refund) == 1
    asked(shop, code, form)  # looked at anew, the first of those that are left
    assert count(shop, Refund) == 2
    visit(shop, f"/o/{code}/refund", form=form, status=303)  # a form that does not say what it meant
    assert count(shop, Refund) == 2


def test_nothing_is_asked_for_that_is_not_there_or_by_others(shop):
    code = shop.world.buy(ANNA, "STEAM-50", 2).order.code
    right = {"key": "1", "reason": "used", "wish": "money"}
    for wrong, field in [
        ({"key": "3"}, "key"),
        ({"key": []}, "key"),
        ({"reason": "because"}, "reason"),
        ({"reason": "unwanted"}, "reason"),  # the rules that were agreed to
        ({"wish": "both"}, "wish"),
        ({"text": "字" * 401}, "text"),
    ]:
        for tail in ("/check", ""):
            told = Document(visit(shop, f"/o/{code}/refund{tail}", form=right | wrong, status=422).text)
            assert f"#{field}" in told.links
            assert any(f"{field}-problem" in one.get("aria-describedby", "") for _, one in told.elements)
            shop.world.ctx.buckets.forget("refund_ask", code)
    for path, form in [("/refunds", None), ("/refund", None), ("/refund/check", right), ("/refund", right)]:
        other = Document(visit(shop, f"/o/{code}{path}", buyer=BEN, form=form, status=404).text)
        assert [link for link in other.links if "lang=" in link] == ["/lookup?lang=en"]
    secret = Document(visit(shop, f"/o/{code}/k/wrong-token", buyer=BEN, status=404).text)
    assert not any("wrong-token" in link for link in secret.links)
    for path, form in [("/pay", {"channel": "sandbox"}), ("/back", None), ("/reveal", {})]:
        visit(shop, f"/o/{code}{path}", buyer=BEN, form=form, status=404)
    assert count(shop, Refund) == 0
    tried = [shop.request("POST", f"/o/{code}/refund", buyer=ANNA, data={}).status_code for _ in range(6)]
    assert tried == [422] * 5 + [429]
    # What is typed never stands in an address.
    assert re.search(r'method="post"', page(shop, f"/o/{code}/refund").html)


def test_a_product_that_is_not_refunded_says_so_before_and_after(shop):
    policy(shop, "STEAM-50", "none")
    assert "售出不退" in page(shop, "/review?sku=STEAM-50&quantity=1").text
    code = shop.world.buy(ANNA, "STEAM-50").order.code
    policy(shop, "STEAM-50", "unused_only")  # what was agreed to stands
    order = page(shop, f"/o/{code}")
    assert "退款规则：售出不退" in order.text
    assert "下单时同意的版本：2026-11" in order.text
    assert "按下单时同意的规则，不能申请退款" in page(shop, f"/o/{code}/refund").text


def test_an_order_says_what_was_agreed_to_and_claims_no_consent_that_nobody_gave(shop, monkeypatch):
    form = page(shop, "/review?sku=STEAM-50&quantity=1").form("/orders") | {"agreed": "yes", "channel": "sandbox"}
    assert form["policy_version"] == "2026-11"
    body = {"sku": "STEAM-50", "quantity": 1, "amount_fen": 4_500, "channel": "sandbox"}

    def placed(n, **more):
        headers = {"idempotency-key": f"{n}" * 16}
        return shop.post("/api/orders", buyer=ANNA, json=body | more, headers=headers)

    agreed, silent = placed(1, agreed_to="2026-11").json()["code"], placed(2).json()["code"]
    words = "供应商 24 小时内核实"
    for code, version in ((agreed, "2026-11"), (silent, None)):
        shown = page(shop, f"/o/{code}").text
        assert (words in shown, "下单时同意的版本" in shown) == (True, version is not None)
    # New words are a new version: what was agreed to stands, and nobody agrees to what they were not shown.
    new = telling.POLICY["2026-11"].rules | {RefundPolicy.DEFECT_ONLY: telling.PolicyTelling("新规则", ("新的话。",))}
    monkeypatch.setitem(telling.POLICY, "2027-01", telling.Wording(new, ()))
    for module in ("server.orders.actions", "server.storefront.views"):
        monkeypatch.setattr(f"{module}.POLICY_VERSION", "2027-01")
    assert words in page(shop, f"/o/{agreed}").text
    told = Document(visit(shop, "/orders", form=form, status=409).text)
    assert ("#agreed" in told.links, "新的话。" in told.text, "2027-01" in told.text) == (True, True, True)
    again = told.form("/orders")
    assert (again.get("agreed"), again["policy_version"]) == (None, "2027-01")
    assert visit(shop, "/orders", form=again | {"channel": "sandbox"}, status=422)
    answer = placed(3, agreed_to="2026-11")
    assert (answer.status_code, answer.json()["code"]) == (409, "rules_changed")
    assert placed(1, agreed_to="2026-11").json()["code"] == agreed  # a repeat answers as before
    order = visit(shop, "/orders", form=again | {"channel": "sandbox", "agreed": "yes"}, status=303)
    assert "下单时同意的版本：2027-01" in page(shop, order.headers["location"]).text


WORDS = {"2026-11": "43fe732f4866ebfd"}
"""What each version says, in both languages, as a hash: words that somebody agreed to are never changed."""


def test_the_words_of_a_version_never_change():
    def said(version):
        wording = telling.POLICY[version]
        words = [text for one in wording.rules.values() for text in (one.title, *one.sentences)] + [*wording.always]
        both = [language.text(text) for text in words for language in (CHINESE, ENGLISH)]
        return hashlib.sha256("\n".join([*wording.rules, *both]).encode()).hexdigest()[:16]

    assert {version: said(version) for version in telling.POLICY} == WORDS
    assert max(telling.POLICY) == order_actions.POLICY_VERSION
