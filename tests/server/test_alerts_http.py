"""Alerts as people see them, of what happened and of what runs out, the rules they set, and how the watch works."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from sqlalchemy import delete, event, update

from server import changes
from server.changes import ChangeLog
from server.db import retrying
from server.stock import alerts
from server.stock.alerts.watch import Watch
from shared.states import AlertKind
from tests.server.alerting import announced, audited, history, rule
from tests.world import ANNA, world


@pytest.fixture
def shop(any_engine, tmp_path):
    with world(any_engine, tmp_path) as built:
        yield built


def feed(site, login):
    """What the feed names to this person, oldest first."""
    answer = site.get("/sync/v1/changes?limit=2000", by=login)
    return [row["entity"] for row in answer.json()["rows"]]


@contextmanager
def statements(shop):
    """What the database is asked meanwhile."""
    said = []

    def hear(_connection, _cursor, statement, *_):
        said.append(statement)

    with shop.ctx.db.read() as tx:
        reader = tx.get_bind().engine
    engines = {reader, shop.ctx.db.engine}
    for engine in engines:
        event.listen(engine, "before_cursor_execute", hear)
    yield said
    for engine in engines:
        event.remove(engine, "before_cursor_execute", hear)


# --- what happened ---


@pytest.mark.each_engine
def test_what_happens_again_is_counted_on_the_alert_that_stands(shop):
    sku = shop.skus["STEAM-50"]

    def happen(add):
        about = {"sku_id": sku.sku_id, "supplier_id": sku.supplier_id}
        # As jobs do: MariaDB may see a deadlock where several raise the first one at once.
        retrying(shop.ctx.db, lambda tx: alerts.raise_alert(tx, AlertKind.OFFERED_ELSEWHERE, add=add, **about), tries=9)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(happen, range(1, 9)))
    watch = Watch(shop.ctx.db)
    watch.look()
    assert history(shop, "STEAM-50") == [("offered_elsewhere", 36, True)]
    assert set(announced(shop)) == {("alerts_staff", sku.supplier_id)}


def test_a_key_of_another_supplier_is_staffs_matter_until_somebody_clears_it(site):
    shop = site.world
    shop.stock("STEAM-50", ["LONG-ENOUGH-TO-COMPARE-1"])
    shop.stock("OFFICE-1Y", ["LONG-ENOUGH-TO-COMPARE-1", "LONG-ENOUGH-TO-COMPARE-2"])
    Watch(shop.ctx.db).look()
    for supplier in ("chen", "zhao"):
        assert site.get("/api/alerts", by=supplier).json() == {"items": [], "next": None}
        assert "alert" not in feed(site, supplier)
    assert "alert" in feed(site, "li")
    assert "alert" not in feed(site, "zhou")
    [alert] = site.get("/api/alerts", by="li").json()["items"]
    assert (alert["kind"], alert["figure"], alert["sku"], alert["supplier"]) == (
        "offered_elsewhere",
        1,
        "OFFICE-1Y",
        "北辰软件",
    )
    path = f"/api/alerts/{alert['id']}/clear"
    assert [site.post(path, by=by).status_code for by in ("zhao", "chen", "zhou")] == [404, 404, 403]
    ended = [site.post(path, by=by).json() for by in ("li", "wang")]
    assert ended[0] == ended[1]
    assert ended[0]["cleared_at"] is not None
    assert audited(shop, "alert.clear") == 1
    assert site.get("/api/alerts", by="li").json()["items"] == []
    assert site.get("/api/alerts?live=false", by="li").json()["items"] == [ended[0]]
    assert site.get("/api/alerts?live=false", by="zhao").json()["items"] == []


def test_what_follows_from_counts_is_not_cleared_by_hand(site):
    shop = site.world
    rule(shop, "STEAM-50", below=9)
    shop.stock("STEAM-50", 3)
    Watch(shop.ctx.db).look()
    [alert] = site.get("/api/alerts", by="chen").json()["items"]
    refused = site.post(f"/api/alerts/{alert['id']}/clear", by="chen")
    assert (refused.status_code, refused.json()["code"]) == (409, "alert_stands")
    assert site.get("/api/alerts", by="zhao").json()["items"] == []
    assert site.post(f"/api/alerts/{alert['id']}/clear", by="zhao").status_code == 404
    assert history(shop, "STEAM-50") == [("low_stock", 3, True)]
    assert 'kameng_alerts{kind="low_stock"} 1.0' in site.get("/metrics").text
    assert 'kameng_alerts{kind="sold_out"} 0.0' in site.get("/metrics").text


# --- lists and rules over HTTP ---


def test_alerts_are_ranked_by_what_a_day_of_them_costs(site):
    shop = site.world
    shop.stock("OFFICE-1Y", 200)
    shop.stock("STEAM-50", 3)
    shop.stock("MUSIC-30", 7)
    watch = Watch(shop.ctx.db)
    watch.look()
    shop.buy(ANNA, "OFFICE-1Y", 90)  # 3.15 a day, and for 1.2 days more
    shop.buy(ANNA, "STEAM-50", 2)  # 90.00 a day
    shop.buy(ANNA, "MUSIC-30", 7)  # 87.50 a day
    watch.look()
    page = site.get("/api/alerts?limit=2", by="li").json()
    rest = site.get(f"/api/alerts?limit=2&after={page['next']}", by="li").json()
    listed = [(a["sku"], a["kind"], a["figure"], a["daily"], a["loss_fen"]) for a in page["items"] + rest["items"]]
    assert listed == [
        ("STEAM-50", "low_cover", 5, 20, 9_000),
        ("MUSIC-30", "sold_out", 0, 70, 8_750),
        ("OFFICE-1Y", "low_cover", 12, 900, 315),
    ]
    assert (page["next"], rest["next"]) == ("2", None)
    assert [a["sku"] for a in site.get("/api/alerts", by="chen").json()["items"]] == ["STEAM-50", "MUSIC-30"]
    assert (page["items"][0]["name"], page["items"][0]["for_sale"]) == ("Steam 充值卡 · Steam-50", 1)
    for query in ("after=x", "after=-1", "live=false&after=3"):
        refused = site.get(f"/api/alerts?{query}", by="li")
        assert (refused.status_code, refused.json()["params"]["field"]) == (422, "after")


def test_cleared_alerts_are_paged_newest_first(site):
    shop = site.world
    rule(shop, "STEAM-50", below=2)
    watch = Watch(shop.ctx.db)
    for n in range(3):
        shop.stock("STEAM-50", shop.keys("STEAM-50", 2, start=n * 10))
        watch.look()
        shop.buy(ANNA, "STEAM-50", 2)
        watch.look()
    shop.stock("STEAM-50", shop.keys("STEAM-50", 9, start=90))
    watch.look()
    first = site.get("/api/alerts?live=false&limit=2", by="chen").json()
    rest = site.get(f"/api/alerts?live=false&limit=2&after={first['next']}", by="chen").json()
    raised = [alert["raised_at"] for alert in first["items"] + rest["items"]]
    assert (len(raised), raised, rest["next"]) == (3, sorted(raised, reverse=True), None)


def test_the_rule_of_a_sku_is_its_owners_and_the_last_one_holds(site):
    path = "/api/stock/STEAM-50/alerts"
    usual = {"below": None, "cover_days": 3, "expiring_days": 14}
    assert site.get(path, by="chen").json() == usual
    mine = {"below": 5, "cover_days": None, "expiring_days": 30}
    assert site.request("PUT", path, by="chen", json=mine).json() == mine
    staffs = {"below": 6, "cover_days": 2, "expiring_days": None}
    assert site.request("PUT", path, by="li", json=staffs).json() == staffs
    assert site.get(path, by="chen").json() == staffs
    assert site.request("PUT", path, by="wang", json={}).json() == usual
    for body in ({"below": 0}, {"cover_days": 366}, {"expiring_days": -1}, {"above": 3}):
        assert site.request("PUT", path, by="li", json=body).status_code == 422
    for method in ("GET", "PUT"):
        assert site.request(method, path, by="zhao", json=mine).status_code == 404
        assert site.request(method, path, by="zhou", json=mine).status_code == 403
    assert site.get("/api/stock/NONE/alerts", by="li").status_code == 404
    assert site.get(path, by="li").json() == usual
    assert audited(site.world, "stock.alert_rule") == 3
    assert feed(site, "chen").count("sku") == 1  # three changes of one row, folded


@pytest.mark.each_engine
def test_the_first_rule_of_two_people_at_once_is_the_last_one(shop):
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda below: rule(shop, "STEAM-50", below=below), range(1, 5)))
    with shop.ctx.db.read() as tx:
        sku_id = shop.skus["STEAM-50"].sku_id
        assert alerts.rules(tx, [sku_id])[sku_id].below in range(1, 5)
    assert audited(shop, "stock.alert_rule") == 4


# --- the watch itself ---


def test_a_look_without_changes_writes_nothing_and_reads_little(shop):
    for sku in ("STEAM-50", "MUSIC-30", "OFFICE-1Y"):
        shop.stock(sku, 3)
    watch = Watch(shop.ctx.db)
    watch.look()
    with statements(shop) as said:
        watch.look()
    assert [one for one in said if not one.startswith(("SELECT", "BEGIN"))] == []
    assert [one for one in said if "stock_cursor" in one] == []
    shop.buy(ANNA, "MUSIC-30")
    changes.advance(shop.ctx.db)
    with statements(shop) as said:
        watch.look()
    assert len([one for one in said if "FROM stock_cursor" in one]) == 2  # the counts, and what ends soon


def test_it_looks_at_all_when_the_feed_began_anew_or_is_too_long(shop, monkeypatch):
    watch = Watch(shop.ctx.db)
    rule(shop, "STEAM-50")
    shop.stock("STEAM-50", 3)
    watch.look()
    shop.buy(ANNA, "STEAM-50", 3)
    monkeypatch.setattr("server.stock.alerts.watch.MOST_CHANGES", 0)
    watch.look()
    assert history(shop, "STEAM-50")[-1] == ("sold_out", 0, True)
    shop.stock("STEAM-50", shop.keys("STEAM-50", 3, start=20))
    changes.advance(shop.ctx.db)
    with shop.ctx.db.tx() as tx:  # as in a restored backup
        tx.execute(update(changes.ChangeHead).values(pos=1))
        tx.execute(delete(ChangeLog).where(ChangeLog.pos > 1))
    watch.look()
    assert history(shop, "STEAM-50")[-1] == ("sold_out", 0, False)


def test_it_goes_through_all_skus_a_page_at_a_time(shop, monkeypatch):
    monkeypatch.setattr("server.stock.alerts.watch.PAGE", 2)
    for sku in ("STEAM-50", "MUSIC-30", "OFFICE-1Y"):
        rule(shop, sku, below=5)
        shop.stock(sku, 3)
    Watch(shop.ctx.db).look()
    assert [history(shop, sku) for sku in ("STEAM-50", "MUSIC-30", "OFFICE-1Y")] == [[("low_stock", 3, True)]] * 3


def test_the_worker_watches(shop):
    rule(shop, "STEAM-50", below=5)
    shop.stock("STEAM-50", 3)
    shop.ctx.jobs.run_schedules()
    assert history(shop, "STEAM-50") == [("low_stock", 3, True)]
