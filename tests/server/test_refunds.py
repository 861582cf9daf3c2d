"""Refunds from the buyer's wish to the last fen: who decides, who checks, what the ledger and the stock say after."""

import json
import re
from datetime import datetime, timedelta

import pytest
from sqlalchemy import select, update

from server.audit import AuditEvent
from server.payments.refunds import following
from server.payments.refunds.model import Refund, RefundEvent
from server.stock.model import CardSecret
from shared import clock
from shared.clock import shop_time
from shared.errors import Busy
from shared.states import OrderState, RefundState, RefundStep, RefundTurn, UnitState
from tests.server.refunding import (
    ask,
    balances,
    carry_out,
    look,
    policy,
    post,
    read,
    shop_with_refunds,
    start,
    story,
    units,
)
from tests.world import ANNA, BEN

SOLD_STEAM = {
    ("psp", "sandbox"): 4_500,
    ("escrow", ""): 0,
    ("supplier_pending", "xinghe"): 4_275,
    ("fee", ""): 225,
}


@pytest.fixture
def site(tmp_path):
    with shop_with_refunds(tmp_path) as built:
        yield built


def bought(site, sku="STEAM-50", quantity=1, *, by=ANNA, policy_=None):
    if policy_:
        policy(site, sku, policy_)
    site.world.stock(sku, 5)
    return site.world.buy(by, sku, quantity)


def late(site):
    """How many refunds wait longer than they should, as /metrics tells."""
    told = re.findall(r'kameng_refunds_late\{turn="(\w+)"\} (\S+)', site.world.ctx.metrics.render().decode())
    return {turn: float(n) for turn, n in told}


def refunds_page(site, order):
    """What its buyer reads of the refunds of an order."""
    page = site.get(f"/o/{order.order.code}/refunds", buyer=ANNA, headers={"accept": "text/html"})
    assert page.status_code == 200
    return page.text


def whats(refund):
    return [event["what"] for event in refund["events"]]


def test_an_unseen_key_is_refunded_without_a_person_and_sells_again(site):
    order = bought(site, policy_="before_view")
    refund_id = ask(site, order, "unwanted", text="点错了")
    assert ask(site, order, "unwanted") == refund_id  # twice is once
    refund = read(site, refund_id)
    assert (refund["state"], refund["turn"], refund["policy"]) == ("approved", "channel", "before_view")
    reversed_ = SOLD_STEAM | {("escrow", ""): 4_500, ("supplier_pending", "xinghe"): 0, ("fee", ""): 0}
    assert balances(site) == reversed_
    # From now on its key is nobody's: the page shows none, and nothing is logged as seen.
    assert look(site, order) == []
    assert site.world.order(order).first_viewed_at is None
    carry_out(site)
    assert read(site, refund_id)["state"] == "processing"
    assert story(site, order)[0].steps[-1].what is RefundStep.ACCEPTED
    assert (site.world.order(order).state, site.world.order(order).refunded_fen) == (OrderState.DELIVERED, 0)
    site.desk.ends()
    with clock.fixed(clock.now() + timedelta(seconds=61)):
        carry_out(site)
        carry_out(site)
    refund = read(site, refund_id)
    assert (refund["state"], refund["turn"], refund["due_at"]) == ("succeeded", None, None)
    assert whats(refund) == ["asked", "auto_approved", "submitted", "accepted", "succeeded"]
    assert (site.world.order(order).state, site.world.order(order).refunded_fen) == (OrderState.REFUNDED, 4_500)
    assert balances(site) == dict.fromkeys(SOLD_STEAM, 0)
    assert units(site, order) == ({}, [], [])
    level = site.world.level("STEAM-50")
    assert (level.free, level.sold, level.void) == (5, 0, 0)
    [sent] = site.desk.requests
    assert sent["out_refund_no"] == refund["out_refund_no"]
    assert sent["amount_fen"] == 4_500
    again = site.world.buy(BEN, "STEAM-50", 5)  # the returned key is sold once more, to one buyer only
    assert site.world.order(again).state == OrderState.DELIVERED


def test_the_last_key_of_a_lot_sells_again_once_it_went_back(site):
    policy(site, "STEAM-50", "before_view")
    site.world.stock("STEAM-50", 1)
    order = site.world.buy(ANNA, "STEAM-50")
    site.world.check()  # nothing is left: the lot is where no claim looks
    ask(site, order, "unwanted")
    site.desk.says = "succeeded"
    carry_out(site)
    assert site.world.level("STEAM-50").free == 1
    site.world.check()
    again = site.world.buy(BEN, "STEAM-50")
    assert site.world.order(again).state == OrderState.DELIVERED
    assert site.world.level("STEAM-50").free == 0


def test_the_rules_refuse_at_once_and_say_why(site):
    order = bought(site, policy_="none")
    refund_id = ask(site, order)
    refund = read(site, refund_id)
    assert (refund["state"], refund["trouble"], whats(refund)) == (
        "refused",
        "not_refundable",
        ["asked", "auto_refused"],
    )
    assert ask(site, order) == refund_id
    carry_out(site)
    assert (balances(site), site.desk.requests) == (SOLD_STEAM, [])
    assert len(look(site, order)) == 1


def test_a_seen_key_goes_to_its_supplier_for_a_day_then_to_the_shop(site):
    order = bought(site)
    look(site, order)
    refund_id = ask(site, order, text="提示已被使用", wants_replacement=True)
    refund = read(site, refund_id, by="chen")
    assert (refund["state"], refund["turn"], refund["actions"]) == ("supplier_wait", "supplier", ["answer"])
    assert (refund["out_refund_no"], refund["channel"]) == (None, None)
    asked = story(site, order)[0]
    waits = asked.due_at - datetime.fromisoformat(refund["asked_at"])
    assert (asked.turn, waits // timedelta(hours=1)) == (RefundTurn.SUPPLIER, 24)
    assert site.get(f"/api/refunds/{refund_id}", by="zhao").status_code == 404
    assert read(site, refund_id, by="li")["actions"] == []
    post(site, refund_id, "decide", "li", approve=True, reason="太慢", status=409)
    assert read(site, refund_id, by="wang")["actions"] == [], "nobody answers in a supplier's name"
    post(site, refund_id, "answer", "wang", answer="agree", status=403)
    with clock.fixed(clock.now() + timedelta(hours=25)):
        assert late(site) == {"supplier": 1.0, "shop": 0.0, "finance": 0.0}
    with clock.fixed(clock.now() + timedelta(hours=24, seconds=1)):
        following.follow(site.world.ctx)
        following.follow(site.world.ctx)
    refund = read(site, refund_id, by="li")
    assert (refund["state"], refund["turn"]) == ("supplier_wait", "shop")
    asked_at, due_at = (datetime.fromisoformat(refund[name]) for name in ("asked_at", "due_at"))
    assert timedelta(hours=72) < due_at - asked_at < timedelta(hours=72, minutes=1)
    assert (whats(refund), refund["actions"]) == (["asked", "silent"], ["decide"])
    with clock.fixed(due_at + timedelta(seconds=1)):
        assert late(site) == {"supplier": 0.0, "shop": 1.0, "finance": 0.0}
        assert "已经超过约定时间" in refunds_page(site, order)
    assert f'最迟 <span class="nowrap">{shop_time(due_at):%Y-%m-%d %H:%M}</span>' in refunds_page(site, order)
    post(site, refund_id, "decide", "li", approve=False, replace=True, reason="?", status=422)
    assert read(site, refund_id, by="chen")["actions"] == ["answer"]  # late is better than never
    decided = post(site, refund_id, "decide", "li", approve=True, reason="供应商没有回应")
    assert (decided["state"], decided["turn"]) == ("approved", "channel")  # below the limit
    assert [event["actor"] for event in decided["events"]] == ["buyer", "system", "李航"]
    assert [event["actor"] for event in read(site, refund_id, by="chen")["events"]] == ["buyer", "system", "shop"]
    carry_out(site)
    site.desk.ends()
    with clock.fixed(clock.now() + timedelta(seconds=61)):
        carry_out(site)
    assert read(site, refund_id)["state"] == "succeeded"
    # A key that was seen never returns: it stays sold, and shown.
    states, delivered, seqs = units(site, order)
    assert list(states.values()) == [UnitState.SOLD]
    assert delivered == seqs == list(states)
    assert site.world.level("STEAM-50").free == 4


def test_a_supplier_refuses_with_evidence_and_the_shop_has_the_last_word(site):
    order = bought(site)
    look(site, order)
    refund_id = ask(site, order)
    post(site, refund_id, "answer", "chen", answer="refuse", status=422)
    post(site, refund_id, "answer", "chen", answer="refuse", evidence="12:31 已充值，见后台记录")
    post(site, refund_id, "answer", "chen", answer="agree", status=409)
    post(site, refund_id, "decide", "li", approve=False, reason="记录显示由买家使用")
    refund = read(site, refund_id)
    assert (refund["state"], refund["turn"]) == ("refused", None)
    told = [(step.what, step.party, step.note) for step in story(site, order)[0].steps]
    assert told == [
        (RefundStep.ASKED, "buyer", ""),
        (RefundStep.SUPPLIER_REFUSED, "supplier", "12:31 已充值，见后台记录"),
        (RefundStep.SHOP_REFUSED, "shop", "记录显示由买家使用"),
    ]
    carry_out(site)
    assert (balances(site), site.desk.requests) == (SOLD_STEAM, [])
    assert ask(site, order) != refund_id  # a person's refusal may be asked about anew


def test_above_the_limit_another_person_checks(tmp_path):
    with shop_with_refunds(tmp_path, refund_check_fen=4_499) as site:
        order = bought(site)
        look(site, order)
        refund_id = ask(site, order)
        agreed = post(site, refund_id, "answer", "chen", answer="agree")
        assert (agreed["state"], agreed["turn"]) == ("approved", "finance")
        carry_out(site)
        assert (balances(site), site.desk.requests) == (SOLD_STEAM, [])
        stale = agreed["version"]
        refund = post(site, refund_id, "check", "zhou", approve=True, note="已核对")
        assert (refund["state"], refund["turn"]) == ("approved", "channel")
        late = post(site, refund_id, "check", "zhou", approve=True, version=stale, status=409)  # fault 52
        assert (late["code"], late["params"]["state"]) == ("refund_changed", "approved")
        carry_out(site)
        assert read(site, refund_id)["state"] == "processing"
        site.world.check()


def test_who_starts_a_refund_does_not_check_it(tmp_path):
    with shop_with_refunds(tmp_path, refund_check_fen=0) as site:
        order = bought(site)
        started = start(site, order, "wang")
        assert started.status_code == 201, started.text
        refund = started.json()
        assert (refund["state"], refund["turn"], refund["actions"]) == ("approved", "finance", ["stop"])
        mine = post(site, refund["id"], "check", "wang", approve=True, status=409)
        assert mine["code"] == "same_person"
        assert datetime.fromisoformat(refund["due_at"]) - datetime.fromisoformat(refund["asked_at"]) >= timedelta(
            hours=24
        )
        post(site, refund["id"], "check", "wang", approve=False, status=422)  # its buyer has read that it was approved
        stopped = post(site, refund["id"], "check", "wang", approve=False, note="金额填错了")
        assert (stopped["state"], stopped["due_at"], whats(stopped)) == ("closed", None, ["started", "stopped"])
        told = refunds_page(site, order)
        assert ("没有退款" in told, "财务复核没有通过" in told, "金额填错了" in told) == (True, True, True)
        assert "会跟进" not in told
        with site.world.ctx.db.read() as tx:
            seen = select(AuditEvent.request_id).where(AuditEvent.action.in_(("refund.started", "refund.stopped")))
            assert None not in set(tx.scalars(seen))
        carry_out(site)
        assert (balances(site), site.desk.requests) == (SOLD_STEAM, [])
        # Nobody had seen the key: while finance looked it was withheld, and now it is there again.
        assert len(look(site, order)) == 1
        site.world.check()


def test_a_new_key_instead_of_money(site):
    order = bought(site)
    [old] = look(site, order)
    refund_id = ask(site, order, wants_replacement=True)
    done = post(site, refund_id, "answer", "chen", answer="replace", evidence="给您换一张")
    assert (done["state"], whats(done)) == ("closed", ["asked", "replaced"])
    [told] = story(site, order)
    assert (told.is_replaced, told.is_open) == (True, False)
    states, delivered, seqs = units(site, order)
    assert list(states.values()) == [UnitState.SOLD] * 2
    assert delivered == seqs == list(states)
    both = look(site, order)
    assert len(set(both)) == 2
    assert old in both
    assert balances(site) == SOLD_STEAM
    assert site.world.level("STEAM-50").free == 3
    assert (site.world.order(order).state, site.desk.requests) == (OrderState.DELIVERED, [])
    site.world.check()
    # The old key is done with; the new one may be asked about.
    other = ask(site, order)
    assert read(site, other)["lines"][0]["seqs"] == [max(seqs)]
    # Nothing left to replace with: it says so, and the wish stands.
    site.world.buy(BEN, "STEAM-50", 3)
    refused = post(site, other, "answer", "chen", answer="replace", status=409)
    assert (refused["code"], refused["params"]) == ("nothing_to_replace_with", {"left": 0})
    assert read(site, other)["state"] == "supplier_wait"
    post(site, other, "answer", "chen", answer="refuse", evidence="没有第二张了")
    site.world.stock("STEAM-50", site.world.keys("STEAM-50", 1, start=50))
    decided = post(site, other, "decide", "li", approve=True, replace=True, reason="店铺从别处补了一张")
    assert (decided["state"], whats(decided)[-1]) == ("closed", "replaced_by_shop")
    last = story(site, order)[-1]
    assert (last.is_replaced, last.steps[-1].party, last.steps[-1].note) == (True, "shop", "店铺从别处补了一张")


def test_a_key_that_nobody_saw_leaves_its_buyer_when_another_one_comes(site):
    order = bought(site, quantity=2)
    refund_id = ask(site, order, seqs=(1,))
    post(site, refund_id, "answer", "chen", answer="replace", evidence="整批有误")
    states, delivered, seqs = units(site, order)
    assert (states, delivered, seqs) == (dict.fromkeys((2, 3), UnitState.SOLD), [2, 3], [2, 3])
    assert sorted(look(site, order)) == sorted(site.world.keys("STEAM-50", 3)[1:])
    level = site.world.level("STEAM-50")
    assert (level.free, level.void) == (2, 1)
    site.world.check()

    def history(seq, by="wang"):
        told = site.get(f"/api/stock/STEAM-50/units/{seq}/history", by=by).json()
        return [(one["what"], one["actor"], one["detail"]) for one in told["events"]][1:]

    # It was sold, came back, and was never shown; who looked later looked at the other ones.
    buyer, chen = f"buyer:{ANNA}", f"staff:{site.world.users['chen']}"
    for by in ("wang", "chen"):
        assert history(1, by) == [("sold", "", ""), ("returned", "陈星", "replaced"), ("voided", "陈星", "replaced")]
    assert history(2) == history(3) == [("sold", "", ""), ("delivered", buyer, "")]
    with site.world.ctx.db.read() as tx:
        [event] = tx.scalars(select(AuditEvent).where(AuditEvent.action == "stock.discard"))
    refund = read(site, refund_id)
    assert (event.actor, event.entity_id) == (chen, "STEAM-50")
    assert json.loads(event.detail) == {
        "order": order.order.code, "refund": refund["out_refund_no"], "units": 1, "seqs": [1],
    }  # fmt: skip


def test_a_supplier_is_told_which_key_is_meant_and_never_the_key_nor_what_the_shop_keeps_to_itself(site):
    order, keys = bought(site, quantity=3), site.world.keys("STEAM-50", 3)
    look(site, order)
    [lot] = site.get("/api/stock/STEAM-50/lots", by="li").json()["items"]
    refund_id = ask(site, order, seqs=(2, 3), text="第 2、3 件提示无效")
    for by in ("chen", "li"):
        [line] = read(site, refund_id, by=by)["lines"]
        assert [(one["seq"], one["place"], one["tail"], one["state"]) for one in line["units"]] == [
            (2, 2, keys[1][-4:], UnitState.SOLD),
            (3, 3, keys[2][-4:], UnitState.SOLD),
        ]
        assert {(one["lot_id"], one["lot"], one["file_name"]) for one in line["units"]} == {
            (lot["id"], 0, lot["file_name"])
        }
    assert read(site, refund_id, by="zhou")["lines"][0]["units"] == []  # finance does not look into stock
    told = read(site, refund_id, by="chen")
    assert (told["reason"], not any(key in json.dumps(told) for key in keys)) == ("第 2、3 件提示无效", True)
    post(site, refund_id, "answer", "chen", answer="refuse", evidence="已核对，未使用")
    post(site, refund_id, "decide", "li", approve=False, reason="请再试一次")
    # What the shop starts by itself, and its purse, are no supplier's business.
    site.desk.says = "NOT_ENOUGH_BALANCE"
    own = start(site, order, quantity=1, reason="客诉升级，内部特批").json()["id"]
    carry_out(site)
    mine, theirs = read(site, own, by="chen"), read(site, own, by="li")
    assert (theirs["reason"], theirs["trouble"]) == ("客诉升级，内部特批", "not_enough_balance")
    assert (mine["reason"], mine["trouble"]) == ("", None)
    assert not any(word in json.dumps(mine, ensure_ascii=False) for word in ("内部特批", "balance"))


def test_a_key_that_somebody_quotes_is_masked_before_it_is_stored(site):
    order = bought(site, quantity=2)
    shown = look(site, order)
    first, second = (key.replace("-", "") for key in shown)
    spaced = " ".join(second[at : at + 4] for at in range(0, len(second), 4)).lower()
    said = f"第一张 {shown[0]} 提示无效，第二张是 {spaced}，订单 {order.order.code}"
    refund_id = ask(site, order, text=said)
    post(site, refund_id, "answer", "chen", answer="refuse", evidence=f"{shown[1]} 已于 12:31 使用")
    told = read(site, refund_id, by="li")
    masked = f"第一张 ••••{first[-4:]} 提示无效，第二张是 ••••{second[-4:]}，订单 {order.order.code}"
    assert (told["reason"], told["events"][0]["note"]) == (masked, masked)
    assert told["events"][1]["note"] == f"••••{second[-4:]} 已于 12:31 使用"
    with site.world.ctx.db.read() as tx:
        audited = tx.scalars(select(AuditEvent.detail).where(AuditEvent.action.like("refund.%"))).all()
        texts = [*audited, *tx.scalars(select(Refund.reason)), *tx.scalars(select(RefundEvent.note))]
    assert not any(key in str(text) for key in shown for text in texts)
    assert "note" not in json.loads(audited[0]), "a buyer's words stay with the refund"


def test_who_was_sold_a_key_that_does_not_open_can_ask_for_their_money(site, caplog):
    order = bought(site, quantity=3)
    shown = look(site, order)
    with site.world.ctx.db.tx() as tx:
        tx.execute(update(CardSecret).where(CardSecret.seq == 2).values(sealed=b""))
    refund_id = ask(site, order, text=f"{shown[2]} 可以，第 2 件打不开")
    assert read(site, refund_id, by="li")["reason"] == f"••••{shown[2][-4:]} 可以，第 2 件打不开"
    assert [told.unit for told in caplog.records if told.message == "a stored key does not open"] == [2]


def test_a_look_at_some_keys_of_a_line_is_no_look_at_the_withheld_ones(tmp_path):
    with shop_with_refunds(tmp_path, refund_check_fen=0) as site:
        order = bought(site, quantity=2)
        start(site, order, quantity=1)  # waits for finance: its key is withheld
        [shown] = look(site, order)
        told = [site.get(f"/api/stock/STEAM-50/units/{seq}/history", by="wang").json() for seq in (1, 2)]
        views = [[one["what"] for one in unit["events"]].count("delivered") for unit in told]
        assert (views, shown) == ([1, 0], site.world.keys("STEAM-50", 4)[0])
        [waiting] = site.get("/api/refunds", by="zhou").json()["items"]
        post(site, waiting["id"], "check", "zhou", approve=False, note="不退")
        both = site.world.keys("STEAM-50", 4)[:2]
        asked = read(site, ask(site, order, text=" ".join(both)), by="li")
        assert asked["reason"] == f"••••{shown[-4:]} {both[1]}", "nor is it opened to look for it in what they write"


def test_an_order_is_refunded_in_parts_until_nothing_is_left(site):
    order = bought(site, "MUSIC-30", 3)  # 37.50, of it 35.63 to the supplier and 1.87 to the shop
    look(site, order)
    line = read(site, ask(site, order, seqs=(1,)))["lines"][0]
    assert (line["quantity"], line["seqs"], line["amount_fen"]) == (1, [1], 1_250)
    busy = start(site, order, amount_fen=1)
    assert (busy.status_code, busy.json()["code"]) == (409, "refund_under_way")
    post(site, ask(site, order), "answer", "chen", answer="refuse", evidence="x")
    post(site, ask(site, order), "decide", "li", approve=False, reason="x")
    too_much = start(site, order, amount_fen=3_751)
    assert (too_much.status_code, too_much.json()["detail"]) == (422, "最多 ¥37.50，剩下的只有这么多。")
    too_many = start(site, order, quantity=4)
    assert (too_many.status_code, too_many.json()["detail"]) == (422, "最多 3 张卡，剩下的只有这么多。")
    both = start(site, order, quantity=3, amount_fen=1)  # three unseen keys for a fen
    assert (both.status_code, [wrong["field"] for wrong in both.json()["fields"]]) == (422, ["amount_fen"])
    for body in ({"quantity": 1}, {"amount_fen": 333}, {}):
        answer = start(site, order, **body)
        assert answer.status_code == 201, answer.text
        carry_out(site)
        site.desk.ends()
        with clock.fixed(clock.now() + timedelta(seconds=61)):
            carry_out(site)
        site.world.check()
    assert (site.world.order(order).state, site.world.order(order).refunded_fen) == (OrderState.REFUNDED, 3_750)
    assert set(balances(site).values()) == {0}
    assert [refund["amount_fen"] for refund in site.desk.requests] == [1_250, 333, 2_167]
    more = start(site, order)
    assert (more.status_code, more.json()["code"]) == (409, "nothing_to_refund")
    listed = site.get("/api/refunds?state=succeeded&limit=2", by="zhou").json()
    assert len(listed["items"]) == 2
    last = site.get(f"/api/refunds?state=succeeded&limit=2&after={listed['next']}", by="zhou").json()
    assert (len(last["items"]), last["next"]) == (1, None)
    assert [row["amount_fen"] for row in listed["items"] + last["items"]] == [2_167, 333, 1_250]
    assert RefundState.SUCCEEDED in {row["state"] for row in last["items"]}


def test_a_wish_of_the_shop_that_comes_again_is_one_refund(site, monkeypatch):
    order = bought(site, "MUSIC-30", 3)
    site.desk.says = "succeeded"
    before = site.get(f"/api/orders/{order.order.code}", by="li").json()
    assert before["refunded_fen"] == 0

    def unread():
        raise Busy(retry_after_seconds=2)

    key, version = "the-console-made-this", before["version"]
    with monkeypatch.context() as busy:  # what was done is answered by what did it
        busy.setattr(site.world.ctx.jobs, "wake", lambda: busy.setattr(site.world.ctx.db, "read", unread))
        made = start(site, order, key=key, version=version, quantity=1)
    assert made.status_code == 201, made.text
    carry_out(site)
    after = site.get(f"/api/orders/{order.order.code}", by="li").json()
    assert (after["state"], after["refunded_fen"]) == ("partially_refunded", 1_250)
    assert after["version"] > version
    assert site.get(f"/api/orders/{order.order.code}", by="chen").json()["refunded_fen"] is None
    again = start(site, order, key=key, version=version, quantity=1)  # its answer was lost, and it is pressed again
    assert (again.status_code, again.json()["id"], again.json()["state"]) == (201, made.json()["id"], "succeeded")
    refused = {
        "another wish": start(site, order, key=key, version=version, quantity=2),
        "another person": start(site, order, "wang", key=key, version=version, quantity=1),
        "old news": start(site, order, version=version, quantity=1),
        "no key": start(site, order, key="short", quantity=1),
    }
    assert {name: (answer.status_code, answer.json()["code"]) for name, answer in refused.items()} == {
        "another wish": (422, "idempotency_reused"),
        "another person": (422, "idempotency_reused"),
        "old news": (409, "order_changed"),
        "no key": (422, "bad_field"),
    }
    assert refused["old news"].json()["params"] == {"refunded": "12.50"}
    carry_out(site)
    assert [sent["amount_fen"] for sent in site.desk.requests] == [1_250]
    assert start(site, order, amount_fen=100).status_code == 201  # who has looked may go on
    assert start(site, order, version=after["version"], amount_fen=100).json()["code"] == "order_changed"


def test_small_refunds_of_one_payment_that_come_above_the_limit_together_are_checked(tmp_path):
    with shop_with_refunds(tmp_path, refund_check_fen=2_000) as site:
        order = bought(site)
        site.desk.says = "succeeded"

        def give_back(amount):
            return start(site, order, amount_fen=amount).json()

        assert give_back(2_000)["turn"] == "channel"
        carry_out(site)
        second = give_back(1)
        assert (second["state"], second["turn"]) == ("approved", "finance")
        carry_out(site)
        assert [sent["amount_fen"] for sent in site.desk.requests] == [2_000]
        assert post(site, second["id"], "check", "zhou", approve=True)["turn"] == "channel"
        carry_out(site)
        assert [sent["amount_fen"] for sent in site.desk.requests] == [2_000, 1]
        assert give_back(1)["turn"] == "finance", "what was let go with a check does not excuse the rest"
        site.world.check()
