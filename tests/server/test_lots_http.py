"""Lots, units and searches over HTTP: who may, what they are told, and what a curious party does not learn."""

import base64
import json
import logging

import pytest
from sqlalchemy import select

from server import limits
from server.audit import AuditEvent
from server.catalog import actions as catalog
from server.catalog import queries as catalog_queries
from server.policy import SYSTEM
from server.stock import alerts
from shared import ids
from shared.contracts.catalog import KeyRule, NewProduct, NewSku
from shared.contracts.stock import MAX_FOUND, chunk_info, find_info
from shared.states import AlertKind
from tests.server.conftest import opened
from tests.server.stocking import counts, end, rows, stock_lots
from tests.world import ANNA, BEN, seal

SKU = "STEAM-50"


@pytest.fixture
def anywhere(any_engine, tmp_path):
    with opened(tmp_path, any_engine) as built:
        yield built


def lots_of(site, sku=SKU, *, by="wang"):
    return site.get(f"/api/stock/{sku}/lots", by=by).json()["items"]


def windowed(site, query="", *, by="wang", sku=SKU):
    return site.get(f"/api/stock/{sku}/units/window{query}", by=by)


def find(site, pairs, *, by="wang"):
    answer = site.post("/api/stock/find", by=by, json=site.world.search(pairs))
    assert answer.status_code == 200, answer.text
    return answer.json()


def audited(site, action):
    with site.world.ctx.db.read() as tx:
        return [json.loads(row.detail) for row in tx.scalars(select(AuditEvent).where(AuditEvent.action == action))]


# --- counts and lots ---


def test_the_list_of_stock_says_what_can_be_bought_and_which_alerts_stand(anywhere):
    site, shop = anywhere, anywhere.world
    shop.stock(SKU, 5)
    shop.stock(SKU, shop.keys(SKU, 3, start=40))
    shop.place(BEN, SKU)
    lot = lots_of(site)[0]
    assert (
        site.post(f"/api/lots/{lot['id']}/state", by="li", json={"to": "frozen", "reason": "核查"}).status_code == 200
    )
    terms = shop.skus[SKU]
    with shop.ctx.db.tx() as tx:
        alerts.raise_alert(tx, AlertKind.OFFERED_ELSEWHERE, sku_id=terms.sku_id, supplier_id=terms.supplier_id, add=2)
    row = next(row for row in site.get("/api/stock", by="li").json()["items"] if row["sku"] == SKU)
    figures = {name: row[name] for name in ("imported", "free", "held", "sold", "void", "for_sale", "alerts")}
    assert figures == {"imported": 8, "free": 7, "held": 1, "sold": 0, "void": 0, "for_sale": 4, "alerts": 1}


def test_a_lot_tells_its_terms_its_reason_and_its_progress(anywhere):
    site, shop = anywhere, anywhere.world
    shop.stock(SKU, 3, terms=("2031-05-06", 123_400, 2))
    [lot] = lots_of(site)
    assert (lot["expires_on"], lot["cost"], lot["uses"], lot["imported"]) == ("2031-05-06", 123_400, 2, 6)
    assert (lot["sell_until"], lot["working"], lot["number"]) == ("2031-05-06T16:00:00Z", None, 0)
    body = {"to": "withdrawn", "reason": "供应商要求撤回"}
    answer = site.post(f"/api/lots/{lot['id']}/state", by="chen", json=body).json()
    assert (answer["state"], answer["reason"], answer["working"], answer["done"]) == (
        "withdrawn", "供应商要求撤回", "withdrawing", 0,
    )  # fmt: skip
    shop.work()
    [lot] = lots_of(site)
    assert (lot["working"], lot["void"], lot["free"]) == (None, 6, 0)
    refused = site.post(f"/api/lots/{lot['id']}/state", by="chen", json={"to": "open", "reason": "再卖"})
    assert (refused.status_code, refused.json()["params"]["state"]) == (409, "withdrawn")
    detail = audited(site, "lot.withdraw")
    assert detail == [{"number": 0, "reason": "供应商要求撤回"}]


def test_lots_come_in_pages_and_those_of_one_file_alone(anywhere):
    site, shop = anywhere, anywhere.world
    many = stock_lots(shop, SKU, [((None, n, 1), shop.keys(SKU, 1, start=n)) for n in range(25)])
    one = shop.stock(SKU, shop.keys(SKU, 3, start=40))
    path, numbers, after = f"/api/stock/{SKU}/lots?limit=10", [], ""
    while after is not None:
        page = site.get(path + (f"&after={after}" if after else ""), by="chen").json()
        numbers.append([lot["number"] for lot in page["items"]])
        after = page["next"]
    assert [len(part) for part in numbers] == [10, 10, 6]
    assert [number for part in numbers for number in part] == list(range(25, -1, -1))
    mine = site.get(f"{path}&import_id={many}&after=12", by="chen").json()
    assert ([lot["number"] for lot in mine["items"]], mine["next"]) == (list(range(11, 1, -1)), "2")
    [lot] = site.get(f"{path}&import_id={one.id}", by="li").json()["items"]
    assert (lot["number"], lot["imported"]) == (25, 3)
    units = windowed(site, "?limit=1").json()["items"]
    assert (units[0]["uses"], units[0]["file_name"]) == (1, f"{SKU}.txt")
    for wrong in ("limit=0", "limit=1001", "after=-1", "after=x", "import_id=x"):
        assert site.get(f"/api/stock/{SKU}/lots?{wrong}", by="chen").status_code == 422


def test_an_import_is_withdrawn_and_the_answer_counts_what_was_before(anywhere):
    site, shop = anywhere, anywhere.world
    imported = shop.stock(SKU, 5)
    shop.buy(ANNA, SKU)
    shop.place(BEN, SKU)
    path = f"/api/imports/{imported.id}/withdraw"
    answer = site.post(path, by="chen", json={"reason": "导错文件"})
    assert answer.json() == {"lots": 1, "units": 3, "held": 1, "sold": 1}
    shop.work()
    assert site.post(path, by="chen", json={"reason": "导错文件"}).json() == {
        "lots": 0,
        "units": 0,
        "held": 0,
        "sold": 0,
    }
    assert counts(shop, SKU) == [(0, 1, 1, 3)]


def test_units_are_voided_by_number_and_the_rest_is_named(anywhere):
    site, shop = anywhere, anywhere.world
    shop.stock(SKU, 4)
    shop.buy(ANNA, SKU)
    body = {"seqs": [1, 3, 77], "reason": "买家称已被使用"}
    answer = site.post(f"/api/stock/{SKU}/void", by="li", json=body)
    assert answer.json() == {"voided": [3], "left": [1, 77]}
    for bad in (
        {"seqs": [], "reason": "坏卡"},
        {"seqs": [2], "reason": "x"},
        {"seqs": list(range(1_001)), "reason": "坏卡"},
    ):
        assert site.post(f"/api/stock/{SKU}/void", by="li", json=bad).status_code == 422
    assert counts(shop, SKU) == [(2, 0, 1, 1)]


# --- who may not ---


def test_a_foreign_supplier_finds_nothing_and_changes_nothing(anywhere):
    site, shop = anywhere, anywhere.world
    imported = shop.stock(SKU, 4)
    [lot] = lots_of(site)
    before = rows(shop)
    for path, body in (
        (f"/api/lots/{lot['id']}/state", {"to": "frozen", "reason": "对手"}),
        (f"/api/imports/{imported.id}/withdraw", {"reason": "对手"}),
        (f"/api/stock/{SKU}/void", {"seqs": [1], "reason": "对手"}),
    ):
        answer = site.post(path, by="zhao", json=body)
        assert (answer.status_code, site.post(path, by="zhou", json=body).status_code) == (404, 403)
        assert site.post(path, buyer=ANNA, json=body).status_code == 401
        unknown = site.post(path.replace(lot["id"], str(ids.new_id())), by="zhao", json=body)
        assert unknown.json()["code"] == answer.json()["code"]
    assert windowed(site, by="zhao").status_code == 404
    assert site.get(f"/api/stock/{SKU}/units/1/history", by="zhao").status_code == 404
    assert windowed(site, by="zhou").status_code == 403
    found = find(site, [("", key) for key in shop.keys(SKU, 4)], by="zhao")
    assert (found["found"], found["missing"]) == ([], [0, 1, 2, 3])
    assert (rows(shop), counts(shop, SKU), audited(site, "lot.freeze")) == (before, [(4, 0, 0, 0)], [])


def test_a_lot_of_another_sku_shows_no_units_in_this_one(anywhere):
    site, shop = anywhere, anywhere.world
    shop.stock(SKU, 2)
    shop.stock("OFFICE-1Y", 3)
    other = lots_of(site, "OFFICE-1Y")[0]["id"]
    assert windowed(site, f"?lot={other}", by="chen").json() == {"items": [], "position": 0, "total": 0, "next": None}
    assert windowed(site, "?order=x").status_code == 422
    assert windowed(site, "?limit=1001").status_code == 422
    assert windowed(site, "?position=-1").status_code == 422
    far = windowed(site, f"?position={2**62}").json()
    assert (far["items"], far["total"]) == ([], 2)


# --- windows ---


def test_a_window_is_asked_for_by_row(anywhere):
    site, shop = anywhere, anywhere.world
    shop.stock(SKU, 6, terms=("2031-01-01", None, 1))
    shop.stock(SKU, shop.keys(SKU, 3, start=10))
    shop.buy(ANNA, SKU, 2)
    shown = windowed(site, "?order=-expiry&position=2&limit=3").json()
    assert [unit["seq"] for unit in shown["items"]] == [2**32 + 1, 6, 5]
    assert (shown["position"], shown["total"], shown["next"]) == (2, 9, None)
    sold = windowed(site, "?state=2").json()
    assert [(unit["seq"], unit["sold_at"] is not None) for unit in sold["items"]] == [(1, True), (2, True)]
    tail = shop.keys(SKU, 12)[11][-4:]
    assert [unit["seq"] for unit in windowed(site, f"?tail={tail}").json()["items"]] == [2**32 + 2]
    assert not any(key in windowed(site).text for key in shop.keys(SKU, 12))


# --- searches ---


def test_pasted_keys_are_found_where_they_are(anywhere):
    site, shop = anywhere, anywhere.world
    keys = shop.keys(SKU, 4)
    shop.stock(SKU, keys[:3])
    shop.stock("MUSIC-30", [keys[0], *shop.keys("MUSIC-30", 1)])
    shop.stock(SKU, [("8800123412341234", "PIN-0001")], terms=(None, None, 3))
    shop.buy(ANNA, SKU)
    asked = [("", keys[1]), ("", keys[3]), ("", f"  {keys[0]} "), ("8800123412341234", "PIN-0001"), ("", "PIN-0001")]
    asked += [("", keys[1]), ("", ""), ("", "\u200b"), ("", shop.keys("OFFICE-1Y", 1)[0])]
    answer = find(site, asked)
    assert [(one["n"], one["sku"], one["unit"]["seq"], one["unit"]["state"]) for one in answer["found"]] == [
        (0, SKU, 2, 0),
        (2, "MUSIC-30", 1, 0),
        (2, SKU, 1, 2),
        (3, SKU, 2**32 + 1, 0),
        (5, SKU, 2, 0),
    ]
    assert (answer["asked"], answer["missing"], answer["doubled"]) == (9, [1, 4, 6, 7, 8], [5])
    assert answer["found"][0]["unit"]["tail"] == keys[1][-4:]
    assert audited(site, "stock.find") == [{"asked": 9, "found": 4, "missing": 5}]


def test_case_counts_only_where_the_product_says_so(site):
    shop = site.world
    rule = KeyRule(ignore_case=True)
    new = NewProduct(
        category="games",
        code="fold",
        name="不分大小写",
        key_rule=rule,
        skus=[NewSku(code="FOLD", name="F", unit_price=100)],
    )
    with shop.ctx.db.tx() as tx:
        catalog.create_product(tx, new, supplier_id=shop.suppliers["xinghe"], actor=SYSTEM)
    with shop.ctx.db.read() as tx:
        shop.skus = shop.skus | catalog_queries.sale_terms(tx, ["FOLD"])
    shop.stock("FOLD", ["Abc-DEF-123456"])
    shop.stock(SKU, ["Xyz-DEF-123456", "all-lower-123456"])
    answer = find(
        site,
        [("", "ABC-def-123456"), ("", "XYZ-DEF-123456"), ("", "Xyz-DEF-123456"), ("", "ALL-LOWER-123456")],
    )
    assert [(one["n"], one["sku"]) for one in answer["found"]] == [(0, "FOLD"), (2, SKU)]
    assert answer["missing"] == [1, 3]


def test_a_search_that_is_not_sealed_to_us_or_too_long_is_refused(site):
    shop, number = site.world, ids.new_id()
    good = shop.search([("", "KEY-1234567")], search_id=number)
    chunk = base64.b64encode(seal(shop, [["", "KEY-1234567"]], chunk_info(number, 0))).decode()
    other = base64.b64encode(seal(shop, [["", "KEY-1234567"]], find_info(ids.new_id()))).decode()
    odd = base64.b64encode(seal(shop, {"a": 1}, find_info(number))).decode()
    for sealed in (chunk, other, odd, "AAAA", "%%%", good["sealed"][:-8]):
        answer = site.post("/api/stock/find", by="wang", json=good | {"sealed": sealed})
        assert (answer.status_code, answer.json()["code"]) == (422, "search_unreadable"), sealed
    answer = site.post("/api/stock/find", by="wang", json=good | {"key_id": "other"})
    assert (answer.status_code, answer.json()["code"]) == (409, "search_key_changed")
    for pairs in ([], [("", f"K-{n}") for n in range(MAX_FOUND + 1)]):
        assert site.post("/api/stock/find", by="li", json=shop.search(pairs)).status_code == 422
    assert audited(site, "stock.find") == []


def test_an_oracle_is_slow(site, monkeypatch):
    monkeypatch.setitem(limits.LIMITS, "find", limits.Limit(burst=2, refill_seconds=1_000))
    shop = site.world
    find(site, [("", "KEY-1234567")])
    find(site, [("", "KEY-1234568")])
    refused = site.post("/api/stock/find", by="wang", json=shop.search([("", "KEY-1234569")]))
    assert (refused.status_code, refused.json()["code"]) == (429, "too_many")
    find(site, [("", "KEY-1234567")], by="li")
    assert len(audited(site, "stock.find")) == 3


def test_a_search_leaves_no_key_behind(site, caplog):
    shop = site.world
    keys = shop.keys(SKU, 3)
    shop.stock(SKU, keys[:2])
    with caplog.at_level(logging.DEBUG):
        answer = site.post("/api/stock/find", by="wang", json=shop.search([("", key) for key in keys]))
    told = caplog.text + answer.text + repr(audited(site, "stock.find"))
    assert not [key for key in keys if key in told]
    shop.ctx.db.close()
    files = b"".join(path.read_bytes() for path in shop.ctx.settings.data.rglob("*") if path.is_file())
    assert not [key for key in keys if key.encode() in files]


# --- what happened to a unit ---


def history(site, seq, *, by="wang"):
    answer = site.get(f"/api/stock/{SKU}/units/{seq}/history", by=by)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_a_unit_tells_who_brought_it_who_saw_it_and_how_it_left(anywhere):
    site, shop = anywhere, anywhere.world
    imported = shop.stock(SKU, 4)
    bought = shop.buy(ANNA, SKU)
    code = bought.order.code
    assert site.get(f"/o/{code}", buyer=ANNA).status_code == 200
    told = history(site, 1)
    assert [(event["what"], event["actor"]) for event in told["events"]] == [
        ("imported", "system"), ("sold", ""), ("delivered", f"buyer:{ANNA}"),
    ]  # fmt: skip
    assert told["events"][0]["file_sha256"] == imported.file_sha256
    assert (told["sku"], told["import_id"], told["unit"]["state"]) == (SKU, str(imported.id), 2)
    assert [event["actor"] for event in history(site, 1, by="chen")["events"]] == ["system", "", "buyer"]
    site.post(f"/api/stock/{SKU}/void", by="li", json={"seqs": [3], "reason": "买家投诉"})
    assert [(e["what"], e["detail"]) for e in history(site, 3)["events"]][1:] == [("voided", "买家投诉")]
    assert history(site, 3)["events"][1]["actor"] == "李航"
    [lot] = lots_of(site)
    held = shop.place(BEN, SKU)
    site.post(f"/api/lots/{lot['id']}/state", by="li", json={"to": "withdrawn", "reason": "整批有误"})
    shop.work()
    end(shop, held)
    shop.work()
    for seq in (2, 4):
        assert [(e["what"], e["detail"]) for e in history(site, seq)["events"]][1:] == [("withdrawn", "整批有误")]
    assert len(history(site, 1)["events"]) == 3
    assert site.get(f"/api/stock/{SKU}/units/99/history", by="wang").status_code == 404
    assert not any(key in json.dumps(history(site, 1)) for key in shop.keys(SKU, 4))
