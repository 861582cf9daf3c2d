"""Paying inside WeChat over HTTP: there to be recognised, back to the sheet, and what others try."""

import json
import logging
from datetime import timedelta
from urllib.parse import parse_qsl, urlsplit

import pytest
from sqlalchemy import select

from server.db import Base
from server.gateways.port import ChannelRefused, ChannelUnknown, Reason
from server.orders import links
from server.orders import queries as order_queries
from server.payments.model import PaymentAttempt
from shared import clock
from tests.server.test_storefront_paying import ALIPAY, WECHAT, attempts, ordered, page, visit
from tests.server.till import Till, site_with
from tests.world import ANNA, BEN

ANNAS, BENS = "oUpF8uMuAJO-anna", "oUpF8uMuAJO-ben"
BACK = "http://127.0.0.1:8000"


@pytest.fixture
def site(tmp_path):
    tills = Till("wechat", products=WECHAT), Till("alipay", products=ALIPAY)
    with site_with(tmp_path, *tills) as built:
        built.wechat, built.alipay = tills
        built.desk = built.wechat.payers
        built.world.stock("STEAM-50", 9)
        yield built


def inside(site, path, **options):
    return visit(site, path, **{"agent": "wechat"} | options)


def sent(site, order, **options):
    """What WeChat is given: where to lead back to, and the state."""
    there = inside(site, f"{order}/wechat", status=303, **options)
    address = urlsplit(there.headers["location"])
    assert (address.netloc, there.headers["cache-control"]) == ("wechat.example", "no-store")
    asked = dict(parse_qsl(address.query))
    assert asked["redirect_uri"] == f"{BACK}{order}/wechat/back"
    return asked["state"]


def back(site, order, state, code="c1", **options):
    return inside(site, f"{order}/wechat/back?code={code}&state={state}", **{"status": 303} | options)


def recognised(site, order, *, openid=ANNAS, code="c1", **options):
    """There and back; answers the cookie that the device keeps."""
    site.desk.people[code] = openid
    led = back(site, order, sent(site, order, **options), code, **options)
    assert led.headers["location"] == order
    [kept] = [one for one in led.headers.get_list("set-cookie") if one.startswith("payer=")]
    assert kept.partition("; ")[2] == "HttpOnly; Max-Age=2592000; Path=/; SameSite=lax"
    return kept.partition(";")[0]


def granted(site, order, buyer):
    """The order's secret link, opened by another device."""
    ctx = site.world.ctx
    with ctx.db.tx() as tx:
        found = order_queries.find(tx, order.removeprefix("/o/"))
        token = links.token_of(ctx.keys, found.id)
        assert links.grant(tx, ctx.keys, code=found.code, token=token, buyer_id=buyer)


def sheet(document):
    [button] = [one for one in document.all("button") if "data-invoke" in one]
    return json.loads(button["data-invoke"])["prepay_id"]


def test_a_buyer_inside_wechat_is_recognised_once_and_pays_by_its_sheet(site, caplog):
    caplog.set_level(logging.DEBUG)
    order = ordered(site, "wechat", agent="wechat", sheet=True)
    assert (attempts(site), site.wechat.created) == ([("wechat", "jsapi", "created")], [])
    fresh, again = page(site, f"{order}?sheet=1", agent="wechat"), page(site, order, agent="wechat")
    [hop] = [one for one in fresh.all("a") if one["href"] == f"{order}/wechat"]
    assert ["data-go" in hop, any("data-go" in one for one in again.all("a"))] == [True, False]

    kept = recognised(site, order, code="001code-of-wechat")
    assert attempts(site) == [("wechat", "jsapi", "pending")]
    assert [one.payer.user_id for one in site.wechat.created] == [ANNAS]
    shown = page(site, order, agent="wechat", cookies=kept)
    assert sheet(shown) == ANNAS  # what this stand-in of a channel puts into the call
    assert "换另一台手机扫码" in shown.text
    # The next order asks WeChat nothing; a device that lost its cookie goes there again, to the same payment.
    second = ordered(site, "wechat", agent="wechat", cookies=kept)
    assert (attempts(site)[1:], site.desk.asked) == ([("wechat", "jsapi", "pending")], ["001code-of-wechat"])
    assert f"{second}/wechat" in page(site, second, agent="wechat").links
    recognised(site, second, code="c2")
    assert len(attempts(site)) == 2

    # Nothing of ours holds the id of a person: no table, no log, no page but the call of the sheet itself.
    with site.world.ctx.db.tx() as tx:
        tx.execute(Base.metadata.tables["payment_attempt"].update().values(invoke=None))
    with site.world.ctx.db.read() as tx:
        rows = [str(row) for table in Base.metadata.sorted_tables for row in tx.execute(select(table))]
    logged = repr([vars(record) for record in caplog.records if record.name != "httpx"])  # the test's own client
    told = ("\n".join(rows), logged, fresh.html, again.html, kept)
    assert [word for word in (ANNAS, "001code") for text in told if word in text] == []


def test_nobody_is_led_into_a_payment_that_another_began(site):
    order, other = (ordered(site, "wechat", agent="wechat", sheet=True) for _ in range(2))
    theirs = ordered(site, "wechat", agent="wechat", sheet=True, buyer=BEN)
    state = sent(site, order)
    site.desk.people["c1"] = BENS
    granted(site, order, BEN)
    forged = [
        ("", ANNA),
        ("é", ANNA),
        ("x" * 40, ANNA),
        ("f" * 12 + "0" * 32, ANNA),  # a time that no calendar has
        ("f" * 8 + "0" * 32, ANNA),
        (state[:-1] + ("0" if state[-1] != "0" else "1"), ANNA),
        (sent(site, other), ANNA),  # their own, of another order
        (sent(site, theirs, buyer=BEN), ANNA),
        (state, BEN),  # another device, which may open the order
        (sent(site, order, buyer=BEN), ANNA),
    ]
    for given, buyer in forged:
        led = back(site, order, given, buyer=buyer)
        assert (led.headers["location"], "payer=" in str(led.headers)) == (order, False), given
    with clock.fixed(clock.now() + timedelta(minutes=11)):
        assert back(site, order, state).headers["location"] == order
    back(site, theirs, state, status=404)  # not their order at all
    inside(site, f"{theirs}/wechat", status=404)
    assert (site.desk.asked, site.wechat.created) == ([], [])
    assert attempts(site) == [("wechat", "jsapi", "created")] * 3
    # What an address says more is taken nowhere.
    led = back(site, order, state, "c9&redirect_uri=https://evil.example/&next=//evil.example")
    assert led.headers["location"] == f"{order}?scan=1"


def test_where_nobody_is_asked_the_page_offers_what_there_is(site):
    order = ordered(site, "wechat", agent="wechat", sheet=True)
    state = sent(site, order)
    for agent in ("phone", "computer", "alipay", "mini"):
        assert visit(site, f"{order}/wechat", agent=agent, status=303).headers["location"] == order
        shown = page(site, order, agent=agent)
        assert f"{order}/wechat" not in shown.links
    # Another device of the same buyer takes another way; nothing was ever opened for the sheet.
    assert "请选择一种支付方式。" in page(site, order).text
    visit(site, f"{order}/refresh", form={}, status=303)
    assert site.wechat.created == []
    visit(site, f"{order}/pay", form={"channel": "wechat"}, status=303)
    assert attempts(site) == [("wechat", "jsapi", "closed"), ("wechat", "h5", "pending")]
    assert (
        inside(site, f"{order}/pay", form={"channel": "wechat"}, status=303).headers["location"] == f"{order}?sheet=1"
    )
    site.wechat.payers, site.wechat.products = None, frozenset({"qr", "h5"})  # the secret is gone
    assert f"{order}/wechat" not in page(site, order, agent="wechat").links
    for path in ("wechat", f"wechat/back?code=c1&state={state}"):
        assert inside(site, f"{order}/{path}", status=303).headers["location"] == order
    visit(site, f"{order}/cancel", form={}, status=303)
    assert inside(site, f"{order}/wechat", status=303).headers["location"] == order


@pytest.mark.parametrize(
    "trouble",
    [
        ChannelRefused(channel="wechat", reason_code="WX_40163"),
        ChannelRefused(channel="wechat", reason_code="WX_NOBODY"),
        ChannelUnknown(channel="wechat", detail="payer: time-out"),
    ],
)
def test_who_is_not_recognised_gets_a_code_to_scan(site, trouble):
    order = ordered(site, "wechat", agent="wechat", sheet=True)
    site.desk.trouble = trouble
    led = back(site, order, sent(site, order))
    assert (led.headers["location"], "payer=" in str(led.headers)) == (f"{order}?scan=1", False)
    assert attempts(site) == [("wechat", "jsapi", "closed"), ("wechat", "qr", "pending")]
    shown = page(site, f"{order}?scan=1", agent="wechat")
    assert "微信没有认出您" in shown.text
    assert "微信没有认出您" not in page(site, f"{order}?scan=1").text
    assert any(one.get("id") == "link" for one in shown.all("code"))
    # Its breaker is another matter: the channel itself answers.
    assert not site.world.ctx.breakers.is_open("wechat")
    # They may try again.
    site.desk.trouble = None
    inside(site, f"{order}/pay", form={"channel": "wechat"}, status=303)
    recognised(site, order)
    assert attempts(site)[1:] == [("wechat", "qr", "closed"), ("wechat", "jsapi", "pending")]


def test_a_reload_keeps_the_sheet_and_another_person_gets_one_of_their_own(site):
    order = ordered(site, "wechat", agent="wechat", sheet=True)
    state = sent(site, order)
    site.desk.people["c1"] = ANNAS
    kept = back(site, order, state).headers.get_list("set-cookie")[0].partition(";")[0]
    assert back(site, order, state, cookies=kept).headers["location"] == order  # the code is used up
    assert (attempts(site), site.desk.asked) == ([("wechat", "jsapi", "pending")], ["c1", "c1"])
    granted(site, order, BEN)
    # A cookie of another device is nothing here, nor one that was changed.
    for cookie in (kept, kept[:-4] + "AAAA", "payer=%C3%A9", "payer=AAAA"):
        friend = page(site, order, agent="wechat", buyer=BEN, cookies=cookie)
        assert ([one for one in friend.all("button") if "data-invoke" in one], ANNAS in friend.html) == ([], False)
        assert f"{order}/wechat" in friend.links
    bens = recognised(site, order, openid=BENS, buyer=BEN, code="c2")
    assert attempts(site) == [("wechat", "jsapi", "closed"), ("wechat", "jsapi", "pending")]
    assert sheet(page(site, order, agent="wechat", buyer=BEN, cookies=bens)) == BENS
    assert f"{order}/wechat" in page(site, order, agent="wechat", cookies=kept).links
    # A month later, or for another application, they are asked anew.
    with clock.fixed(clock.now() + timedelta(days=31)):
        late = ordered(site, "wechat", agent="wechat", cookies=kept, sheet=True)
    site.desk.scope = "wx2"
    ordered(site, "wechat", agent="wechat", cookies=kept, sheet=True)
    assert late


def test_a_channel_that_refuses_or_says_nothing_is_told_of_and_the_person_is_kept(site):
    order = ordered(site, "wechat", agent="wechat", sheet=True)
    site.wechat.silent = True
    kept = recognised(site, order)
    assert attempts(site) == [("wechat", "jsapi", "unknown")]
    assert "微信支付暂时没有回应" in page(site, order, agent="wechat", cookies=kept).text
    site.wechat.silent = False
    [number] = [one.out_trade_no for one in rows(site)]
    site.world.ctx.buckets.forget("payment_query", number)
    inside(site, f"{order}/refresh", form={}, status=303)  # who it is nobody knows
    assert site.wechat.created == []
    site.world.ctx.buckets.forget("payment_query", number)
    inside(site, f"{order}/refresh", form={}, cookies=kept, status=303)
    assert [one.payer.user_id for one in site.wechat.created] == [ANNAS]
    inside(site, f"{order}/pay", form={"channel": "wechat", "way": "qr"}, cookies=kept, status=303)
    assert attempts(site) == [("wechat", "jsapi", "closed"), ("wechat", "qr", "pending")]
    site.wechat.refuses = Reason.PRODUCT_NOT_OFFERED.value
    second = ordered(site, "wechat", agent="wechat", cookies=kept)
    assert "微信支付没有打开，没有扣款" in page(site, second, agent="wechat", cookies=kept).text
    for _ in range(9):
        site.desk.people["c1"] = ANNAS
        back(site, second, sent(site, second), cookies=kept)
    assert site.desk.asked.count("c1") < 9


def rows(site):
    with site.world.ctx.db.read() as tx:
        return tx.scalars(select(PaymentAttempt).order_by(PaymentAttempt.id)).all()
