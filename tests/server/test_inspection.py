"""A member of staff looks at a key: who may, what it takes, what is written first, and that a race gains nothing."""

import json
import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy import delete, select, update

from server.audit import AuditEvent
from server.crypto import KeyRing
from server.identity.model import User
from server.orders import actions as orders
from server.orders import queries as order_queries
from server.stock import vault
from server.stock.model import CardSecret, RevealLog, StockAlert, StockLot, StockUnit
from server.stock.vault import rekey
from server.stock.vault.inspection import MOST_AN_HOUR
from server.telemetry import JsonLines
from shared import clock
from shared.contracts.stock import RevealedUnit
from shared.states import UnitState
from tests.server.conftest import opened
from tests.world import ANNA

NOON = datetime(2026, 7, 1, 4, 0, tzinfo=UTC)
STEP = timedelta(seconds=30)
KEYS = [
    ("88001200456701", "K7M2-QX4R-9T1L"),
    ("88001200456702", "P3W8-ZB6N-5V0D"),
    ("88001200456703", "J2H4-YC9F-7S6G"),
]
PATH = "/api/stock/STEAM-50/units/{}/reveal"
REASON = "买家投诉，核对卡密"


@pytest.fixture
def noon():
    with clock.fixed(NOON):
        yield


@pytest.fixture
def stocked(site, noon):
    site.world.stock("STEAM-50", KEYS)
    return site


def look(site, factor, *, seq=1, at=NOON, by="li", **other):
    """Ask for a key with the code of `at`."""
    body = {"reason": REASON, "totp": factor.at(at)} | other
    return site.post(PATH.format(seq), by=by, json=body)


def rows(site, model, *where):
    with site.world.ctx.db.read() as tx:
        return list(tx.scalars(select(model).where(*where)))


def audited(site, *actions):
    return [event for event in rows(site, AuditEvent) if event.action in actions]


def untouched(site):
    """Nobody was logged, audited or shown anything."""
    return rows(site, RevealLog) == [] and audited(site, "unit.reveal") == [] and rows(site, StockAlert) == []


def test_a_key_is_shown_with_its_watermark_and_is_in_the_log_and_the_audit_log(stocked):
    site = stocked
    answer = look(site, site.world.enrol("li"), seq=2)
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    request_id = answer.headers["x-request-id"]
    assert answer.json() == {
        "seq": 2,
        "number": KEYS[1][0],
        "secret": KEYS[1][1],
        "watermark": f"li 李航 2026-07-01 12:00:00 {request_id[-6:]}",
        "revealed_at": "2026-07-01T04:00:00Z",
    }
    [logged] = rows(site, RevealLog)
    staff = f"staff:{site.world.users['li']}"
    sku_id = site.world.skus["STEAM-50"].sku_id
    assert (logged.sku_id, logged.seq, logged.order_line_id, logged.units) == (sku_id, 2, None, 1)
    assert (logged.reason, logged.actor, logged.request_id, logged.revealed_at) == (REASON, staff, request_id, NOON)
    [event] = audited(site, "unit.reveal")
    assert (event.actor, event.entity_id, event.request_id) == (staff, "STEAM-50:2", request_id)
    assert json.loads(event.detail) == {"sku": "STEAM-50", "seq": 2, "reason": REASON}
    assert rows(site, StockAlert) == []


def test_the_log_is_committed_before_the_key_is_opened(stocked, monkeypatch):
    site, seen = stocked, []
    real = vault.inspected

    def watched(tx, keys, view_id):
        seen.append([row.id for row in rows(site, RevealLog)] == [view_id])
        seen.append(len(audited(site, "unit.reveal")))
        return real(tx, keys, view_id)

    monkeypatch.setattr(vault, "inspected", watched)
    assert look(site, site.world.enrol("li")).status_code == 200
    assert seen == [True, 1]


def test_nothing_opens_that_was_not_logged(stocked):
    shop = stocked.world
    checkout = shop.buy(ANNA, "STEAM-50")
    [line] = _lines(shop, checkout)
    other = vault.View(vault.Inspection(line.sku_id, 3, "x"), actor="staff:x", request_id="-")
    with shop.ctx.db.tx() as tx:
        [unit_view] = vault.log_views(tx, [other])
    with shop.ctx.db.read() as tx:
        for view_id in (UUID(int=1), unit_view):  # a row that is none, and one for something else
            with pytest.raises(vault.NotLogged):
                vault.delivered(tx, shop.ctx.keys, {view_id: line})
        with pytest.raises(vault.NotLogged):
            vault.inspected(tx, shop.ctx.keys, UUID(int=1))
    with shop.ctx.db.tx() as tx:
        [buyer_view] = vault.log_views(tx, [vault.View(vault.Delivery(line), actor="buyer:x", request_id="-")])
    with shop.ctx.db.read() as tx:
        with pytest.raises(vault.NotLogged):
            vault.inspected(tx, shop.ctx.keys, buyer_view)
        [[secret]] = vault.delivered(tx, shop.ctx.keys, {buyer_view: line}).values()
    assert secret.reveal().endswith(KEYS[0][1])


def _lines(shop, checkout):
    with shop.ctx.db.read() as tx:
        return orders.units_of(order_queries.lines(tx, checkout.order.id))


def test_a_code_works_once_and_a_wrong_one_never(stocked):
    site, factor = stocked, stocked.world.enrol("li")
    assert look(site, factor).status_code == 200
    replayed = look(site, factor, seq=2)
    assert (replayed.status_code, replayed.json()["code"]) == (403, "presence_unproved")
    earlier = look(site, factor, seq=2, at=NOON - STEP)  # was used to enrol
    wrong = look(site, factor, seq=2, totp=str((int(factor.at(NOON + STEP)) + 1) % 10**6).zfill(6))
    assert (earlier.status_code, wrong.status_code) == (403, 403)
    assert len(rows(site, RevealLog)) == len(audited(site, "unit.reveal")) == 1
    assert look(site, factor, seq=2, at=NOON + STEP).status_code == 200
    assert site.get("/api/session", by="li").status_code == 200  # a wrong code is no reason to sign in again


def test_who_has_no_second_factor_is_told_how_to_get_one(stocked):
    site = stocked
    answer = site.post(PATH.format(1), by="li", json={"reason": REASON, "totp": "123456"})
    assert (answer.status_code, answer.json()["code"]) == (403, "totp_not_enrolled")
    assert "kameng-server user totp li" in answer.json()["detail"]
    assert untouched(site)


@pytest.mark.parametrize("body", [{}, {"reason": "x"}, {"reason": " " * 201}, {"totp": "12345"}, {"totp": None}])
def test_a_reason_and_a_code_are_needed(stocked, body):
    factor = stocked.world.enrol("li")
    full = {"reason": REASON, "totp": factor.at(NOON)}
    sent = (full | body) if body else {"totp": factor.at(NOON)}
    assert stocked.post(PATH.format(1), by="li", json=sent).status_code == 422
    assert untouched(stocked)


@pytest.mark.parametrize(
    ("by", "path", "status"),
    [
        ("zhou", PATH.format(1), 403),
        ("chen", PATH.format(1), 403),  # a supplier does not get its own keys back
        ("zhao", PATH.format(1), 403),
        ("li", "/api/stock/NO-SUCH/units/1/reveal", 404),
        ("li", "/api/stock/MUSIC-30/units/1/reveal", 404),  # a unit of another SKU
        ("li", PATH.format(99), 404),
        ("li", PATH.format(0), 404),
        ("li", PATH.format(-1), 422),
        ("li", PATH.format(2**63), 422),
        ("li", PATH.format(UUID(int=7)), 422),
    ],
)
def test_what_is_not_theirs_or_not_there_uses_no_code_up(stocked, by, path, status):
    site, factor = stocked, stocked.world.enrol(by)
    body = {"reason": REASON, "totp": factor.at(NOON)}
    assert site.post(path, by=by, json=body).status_code == status
    assert untouched(site)
    [last] = [user.totp_last for user in rows(site, User, User.login == by)]
    assert last == int(NOON.timestamp()) // 30 - 1


def test_void_units_may_be_seen_and_deleted_keys_say_that_they_are_gone(stocked):
    site, factor = stocked, stocked.world.enrol("li")
    with site.world.ctx.db.tx() as tx:
        tx.execute(update(StockUnit).where(StockUnit.seq == 2).values(state=int(UnitState.VOID)))
        tx.execute(delete(CardSecret).where(CardSecret.seq == 3))
    site.world.expects = {"S4", "S5"}
    assert look(site, factor, seq=2).json()["secret"] == KEYS[1][1]
    gone = look(site, factor, seq=3, at=NOON + STEP)
    assert (gone.status_code, gone.json()["code"]) == (409, "key_forgotten")
    assert len(rows(site, RevealLog)) == 1


def test_each_use_of_a_reusable_key_shows_the_same_key(site, noon):
    site.world.stock("STEAM-50", KEYS[:2], terms=(None, None, 3))
    factor = site.world.enrol("li")
    answer = look(site, factor, seq=2 + 2 * 2**20)
    assert answer.status_code == 200, answer.text
    assert answer.json()["secret"] == KEYS[1][1]


def test_ten_an_hour_and_the_tenth_raises_an_alert(site, noon):
    site.world.stock("STEAM-50", site.world.keys("STEAM-50", 20))
    factor, site.world.ctx.buckets.take = site.world.enrol("li"), lambda *_: None  # the log's own count is meant
    at = NOON
    for n in range(MOST_AN_HOUR):
        assert rows(site, StockAlert) == []
        at = NOON + n * timedelta(minutes=1)
        with clock.fixed(at):
            assert look(site, factor, seq=n + 1, at=at).status_code == 200
    [alert] = rows(site, StockAlert)
    assert (alert.kind, alert.figure, alert.sku_id) == ("revealed_often", 10, site.world.skus["STEAM-50"].sku_id)
    [event] = audited(site, "unit.reveal_limit")
    assert json.loads(event.detail) == {"sku": "STEAM-50", "revealed": 10}
    with clock.fixed(NOON + timedelta(minutes=59, seconds=30)):
        refused = look(site, factor, seq=11, at=clock.now())
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "31")
    assert len(rows(site, RevealLog)) == 10
    with clock.fixed(NOON + timedelta(minutes=60)):
        assert look(site, factor, seq=11, at=clock.now()).status_code == 200  # and the refused code was not lost


def test_guessing_codes_is_limited_and_reported_once(stocked):
    site, factor = stocked, stocked.world.enrol("li")
    wrong = str((int(factor.at(NOON)) + 1) % 10**6).zfill(6)
    answers = [look(site, factor, totp=wrong).status_code for _ in range(13)]
    assert answers == [403] * 10 + [429] * 3
    assert look(site, factor).status_code == 429  # the right one comes too late
    [alert] = rows(site, StockAlert)
    assert (alert.kind, alert.figure) == ("revealed_often", 0)
    assert len(audited(site, "unit.reveal_limit")) == 1
    assert rows(site, RevealLog) == []
    assert look(site, site.world.enrol("wang"), by="wang").status_code == 200  # one person's limit is theirs


def test_parallel_tries_use_a_code_once_and_pass_the_limit_never(engine, tmp_path, noon):
    with opened(tmp_path, engine) as site:
        shop = site.world
        shop.stock("STEAM-50", shop.keys("STEAM-50", 20))
        factor, token = shop.enrol("li"), site.token("li")
        start = threading.Barrier(8)

        def race(seq, code):
            start.wait(30)
            headers = {"authorization": f"Bearer {token}"}
            return site.post(PATH.format(seq), headers=headers, json={"reason": REASON, "totp": code}).status_code

        with ThreadPoolExecutor(8) as threads:
            shown = list(threads.map(lambda seq: race(seq, factor.at(NOON)), range(1, 9)))
        assert sorted(shown) == [200] + [403] * 7
        shop.ctx.buckets.take = lambda *_: None  # other processes have buckets of their own
        with shop.ctx.db.tx() as tx:
            view = vault.View(vault.Inspection(shop.skus["STEAM-50"].sku_id, 9, "x"), _staff(shop), "-")
            vault.log_views(tx, [view] * 8)
        with clock.fixed(NOON + 2 * STEP), ThreadPoolExecutor(8) as threads:
            codes = [factor.at(NOON + n * STEP) for n in (1, 2, 3)]  # each would do
            shown = list(threads.map(lambda n: race(n + 10, codes[n % 3]), range(8)))
        assert shown.count(200) == 1
        assert set(shown) <= {200, 403, 429}
        assert len(rows(site, RevealLog)) == 10
        assert [alert.figure for alert in rows(site, StockAlert)] == [10]


def _staff(shop):
    return f"staff:{shop.users['li']}"


# --- what does not open, and what nobody gets to read ---


def swap_seqs(tx):
    one, two = (tx.scalars(select(CardSecret.sealed).where(CardSecret.seq == seq)).one() for seq in (1, 2))
    tx.execute(update(CardSecret).where(CardSecret.seq == 1).values(sealed=two))
    tx.execute(update(CardSecret).where(CardSecret.seq == 2).values(sealed=one))


def borrow_a_lots_key(tx):
    lots = tx.scalars(select(StockLot).order_by(StockLot.id)).all()
    lots[0].wrapped_key = lots[1].wrapped_key
    tx.flush()


def say_it_is_resealed(tx):
    tx.execute(update(StockLot).values(resealed_to=2**40, next_wrapped_key=StockLot.wrapped_key, next_master_version=1))
    first, second = tx.scalars(select(StockLot).order_by(StockLot.id)).all()
    first.next_wrapped_key = second.wrapped_key
    tx.flush()


@pytest.mark.parametrize(
    "tamper",
    [
        swap_seqs,
        borrow_a_lots_key,
        say_it_is_resealed,
        lambda tx: tx.execute(update(StockLot).values(master_version=0)),
        lambda tx: tx.execute(update(StockLot).values(master_version=2)),
        lambda tx: tx.execute(update(CardSecret).values(sealed=b"")),
        lambda tx: tx.execute(update(StockLot).values(wrapped_key=b"short")),
    ],
)
def test_rows_that_were_changed_do_not_open_and_say_nothing(stocked, tamper, caplog):
    site = stocked
    site.world.stock("STEAM-50", site.world.keys("STEAM-50", 2))
    factor = site.world.enrol("li")
    with site.world.ctx.db.tx() as tx:
        tamper(tx)
    caplog.set_level(logging.DEBUG)
    answer = look(site, factor)
    assert (answer.status_code, answer.json()["code"]) == (500, "card_unreadable")
    assert len(rows(site, RevealLog)) == 1  # it was tried
    lines = "\n".join(JsonLines().format(record) for record in caplog.records)
    assert "a stored key does not open" in lines
    assert not any(part in lines + answer.text + caplog.text for pair in KEYS for part in pair)


def test_a_shown_key_prints_nowhere(stocked, caplog):
    caplog.set_level(logging.DEBUG)
    answer = look(stocked, stocked.world.enrol("li"))
    shown = RevealedUnit.model_validate(answer.json())
    lines = "\n".join(JsonLines().format(record) for record in caplog.records)
    assert '"route":"/api/stock/{sku}/units/{seq}/reveal"' in lines
    for part in KEYS[0]:
        assert part in answer.text
        assert part not in lines + caplog.text + repr(shown) + str(shown)


def test_a_running_server_opens_what_another_master_key_wrapped_meanwhile(stocked):
    site, ctx = stocked, stocked.world.ctx
    keys = KeyRing.load(ctx.settings.key_ring_file)  # as a command in another process has it
    keys.add_master(2)
    keys.activate_master(2)
    with ctx.db.tx() as tx:
        assert rekey.rewrap(tx, keys, after=None, actor="system").lots == 1
    assert ctx.keys.masters == [1]
    assert look(site, site.world.enrol("li")).json()["secret"] == KEYS[0][1]
    assert ctx.keys.masters == [1, 2]
