"""Sign-in, sessions and second factors, at the HTTP edge: who is let in, for how long, and who is thrown out."""

import base64
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pyotp
import pytest
from sqlalchemy import select

from server import app as wiring
from server.audit import AuditEvent
from server.identity import actions, passwords
from server.identity.model import Device, Session, User
from server.limits import LIMITS
from shared import clock
from shared.contracts.identity import PROTOCOL
from shared.errors import BadField
from shared.permissions import ROLE_PERMISSIONS, Role
from tests.server.conftest import opened
from tests.world import PASSWORD

DEVICE = {"id": str(UUID(int=0xDE)), "name": "王敏的电脑", "platform": "Windows 11"}
NOON = datetime(2026, 7, 1, 4, 0, tzinfo=UTC)


def sign_in(site, login="wang", password=PASSWORD, **other):
    body = {"login": login, "password": password, "device": DEVICE} | other
    return site.post("/api/session", json=body)


def bearer(token):
    return {"authorization": f"Bearer {token}"}


def me(site, token):
    return site.get("/api/session", headers=bearer(token))


def hello(site, token, *, device=DEVICE["id"], protocol=PROTOCOL):
    body = {"protocol": protocol, "device_id": device, "app_version": "0.1.0", "cursor": 0}
    return site.post("/sync/v1/hello", json=body, headers=bearer(token))


def rows(site, model):
    with site.world.ctx.db.read() as tx:
        return list(tx.scalars(select(model)))


def actions_logged(site):
    """What was audited since the world was made."""
    return [event.action for event in rows(site, AuditEvent) if event.action.split(".")[0] in {"session", "user"}][5:]


# --- sign-in ---


def test_the_right_password_starts_a_session_on_this_device(site):
    answer = sign_in(site)
    assert answer.status_code == 201
    assert answer.headers["cache-control"] == "no-store"
    body = answer.json()
    assert body["person"] == {
        "id": str(site.world.users["wang"]),
        "login": "wang",
        "name": "王敏",
        "role": "admin",
        "supplier_id": None,
        "permissions": sorted(ROLE_PERMISSIONS[Role.ADMIN]),
    }
    assert len(base64.urlsafe_b64decode(body["token"] + "=")) == 32
    assert me(site, body["token"]).json() == body["person"]
    [device] = rows(site, Device)
    assert (str(device.id), device.name, device.user_id) == (DEVICE["id"], "王敏的电脑", site.world.users["wang"])
    assert actions_logged(site) == ["session.start"]


def test_the_database_knows_no_token_and_no_password(site):
    token = sign_in(site).json()["token"]
    folder = site.world.ctx.settings.sqlite_file.parent
    content = b"".join(path.read_bytes() for path in folder.glob("kameng.db*"))
    assert b"wang" in content
    assert token.encode() not in content
    assert PASSWORD.encode() not in content


@pytest.mark.parametrize(
    ("label", "change"),
    [
        ("wrong password", {"password": PASSWORD + "!"}),
        ("empty password", {"password": ""}),
        ("unknown login", {"login": "nobody"}),
        ("other case", {"login": "WANG"}),
        ("disabled", {"login": "li"}),
    ],
)
def test_every_wrong_sign_in_gets_the_same_answer(site, label, change):
    with site.world.ctx.db.tx() as tx:
        actions.set_active(tx, site.world.users["li"], active=False, actor="system")
    answer = sign_in(site, **change)
    assert (label, answer.status_code, answer.json()["code"]) == (label, 401, "wrong_sign_in")
    assert answer.json()["detail"] == "登录名或密码不正确。"
    assert rows(site, Session) == []
    assert rows(site, Device) == []


def test_guessing_at_one_login_is_slowed_and_the_right_password_forgives(site):
    burst = LIMITS["sign_in_login"].burst
    for _ in range(burst - 1):
        assert sign_in(site, password="wrong").status_code == 401
    assert sign_in(site).status_code == 201
    for _ in range(burst):
        assert sign_in(site, password="wrong").status_code == 401
    refused = sign_in(site)
    assert (refused.status_code, refused.json()["code"]) == (429, "too_many")
    assert 0 < int(refused.headers["retry-after"]) <= 60
    assert sign_in(site, login="zhou").status_code == 201


def test_an_address_cannot_try_all_logins(site):
    for _ in range(LIMITS["sign_in_address"].burst):
        site.world.ctx.buckets.take("sign_in_address", "127.0.0.1")
    assert sign_in(site, login="zhou").status_code == 429
    assert rows(site, Session) == []


@pytest.mark.parametrize(
    "change",
    [
        {"login": ""},
        {"login": "x" * 65},
        {"password": None},
        {"totp": "12345"},
        {"totp": "abcdef"},
        {"device": {"id": "x", "name": "a", "platform": "b"}},
        {"device": None},
        {"role": "admin"},
    ],
)
def test_a_malformed_sign_in_is_a_problem_that_quotes_nothing(site, change):
    answer = sign_in(site, **change)
    assert answer.status_code == 422
    assert PASSWORD not in answer.text
    assert rows(site, Session) == []


# --- rotation at hello ---


def test_hello_rotates_the_token_and_tells_what_a_console_needs(site):
    token = sign_in(site, login="chen").json()["token"]
    answer = hello(site, token)
    assert answer.status_code == 200
    body = answer.json()
    assert body["token"] != token
    keys = site.world.ctx.keys
    assert body["import_key_id"] == keys.import_key_id
    assert base64.b64decode(body["import_public_key"]) == keys.import_public_key
    assert (body["protocol"], body["chunk_rows"], body["chunk_bytes"]) == (1, 5_000, 4 * 1024 * 1024)
    assert body["person"]["supplier_id"] == str(site.world.suppliers["xinghe"])
    assert body["cursor"] > 0  # the world's own products were announced
    assert me(site, body["token"]).status_code == 200
    assert hello(site, body["token"]).json()["epoch"] == body["epoch"]


def test_the_token_before_works_for_a_minute_and_for_one_more_hello(site):
    with clock.fixed(NOON):
        first = sign_in(site).json()["token"]
        lost = hello(site, first).json()["token"]
    with clock.fixed(NOON + timedelta(seconds=59)):
        assert me(site, first).status_code == 200
        second = hello(site, first).json()["token"]
        assert me(site, second).status_code == 200
        assert me(site, lost).status_code == 401
    with clock.fixed(NOON + timedelta(seconds=61)):
        assert me(site, first).status_code == 401
        assert hello(site, first).status_code == 401
        assert me(site, second).status_code == 200


def test_a_token_that_says_hello_a_third_time_was_copied_and_ends_the_session(site):
    with clock.fixed(NOON):
        first = sign_in(site).json()["token"]
        hello(site, first)
        second = hello(site, first).json()["token"]
        assert hello(site, first).status_code == 401
        assert me(site, second).status_code == 401
    [session] = rows(site, Session)
    assert (session.end_reason, session.ended_at) == ("token_reuse", NOON)
    assert actions_logged(site) == ["session.start", "session.end"]


def test_a_token_on_another_device_ends_the_session(site):
    token = sign_in(site).json()["token"]
    assert hello(site, token, device=str(UUID(int=0xBAD))).status_code == 401
    assert me(site, token).status_code == 401
    assert rows(site, Session)[0].end_reason == "device_mismatch"


def test_a_console_of_another_protocol_is_told_so_and_keeps_its_token(site):
    token = sign_in(site).json()["token"]
    answer = hello(site, token, protocol=99)
    assert (answer.status_code, answer.json()["code"]) == (409, "protocol_unsupported")
    assert answer.json()["params"] == {"asked": 99, "spoken": 1}
    assert me(site, token).status_code == 200


# --- the end of a session ---


def test_signing_out_ends_the_session_at_once(site):
    token = sign_in(site).json()["token"]
    assert site.request("DELETE", "/api/session", headers=bearer(token)).status_code == 204
    assert me(site, token).status_code == 401
    assert site.request("DELETE", "/api/session", headers=bearer(token)).status_code == 401
    assert actions_logged(site) == ["session.start", "session.end"]


def test_a_session_ends_when_idle_and_when_old(site):
    with clock.fixed(NOON):
        token = sign_in(site).json()["token"]
    with clock.fixed(NOON + timedelta(hours=71)):
        assert me(site, token).status_code == 200  # and is seen again
    with clock.fixed(NOON + timedelta(hours=142)):
        assert me(site, token).status_code == 200
    with clock.fixed(NOON + timedelta(hours=142 + 73)):
        assert me(site, token).status_code == 401
    for day in range(1, 30):
        with clock.fixed(NOON + timedelta(days=day)):
            if day == 1:
                token = sign_in(site).json()["token"]
            assert me(site, token).status_code == 200
    with clock.fixed(NOON + timedelta(days=31)):
        assert me(site, token).status_code == 401


def test_disabling_or_a_new_password_throws_out_at_once(site):
    ctx, wang, li = site.world.ctx, site.world.users["wang"], site.world.users["li"]
    first, other = sign_in(site, login="li").json()["token"], sign_in(site, login="zhou").json()["token"]
    with ctx.db.tx() as tx:
        actions.set_active(tx, li, active=False, actor=f"staff:{wang}")
    assert me(site, first).status_code == 401
    with ctx.db.tx() as tx:
        actions.set_active(tx, li, active=True, actor=f"staff:{wang}")
    assert me(site, first).status_code == 401
    second = sign_in(site, login="li").json()["token"]
    with ctx.db.tx() as tx:
        actions.set_password(tx, li, password_hash=passwords.hash_now("another long one"), actor="system")
    assert me(site, second).status_code == 401
    assert sign_in(site, login="li").status_code == 401
    assert sign_in(site, login="li", password="another long one").status_code == 201
    assert me(site, other).status_code == 200


def test_a_change_of_role_counts_at_the_next_request(site):
    token = sign_in(site, login="li").json()["token"]
    assert site.get("/api/users", headers=bearer(token)).status_code == 200
    with site.world.ctx.db.tx() as tx:
        tx.get(User, site.world.users["li"]).role = "finance"
        tx.flush()
    assert site.get("/api/users", headers=bearer(token)).status_code == 403


def test_the_last_administrator_cannot_be_disabled(site):
    with pytest.raises(actions.LastAdmin), site.world.ctx.db.tx() as tx:
        actions.set_active(tx, site.world.users["wang"], active=False, actor="system")
    assert sign_in(site).status_code == 201


# --- second factor ---


def enrol(site, login):
    ctx, user_id = site.world.ctx, site.world.users[login]
    with ctx.db.tx() as tx:
        enrolment = actions.begin_totp(tx, user_id, keys=ctx.keys, shop="卡盟")
    totp = pyotp.TOTP(enrolment.secret)
    with ctx.db.tx() as tx:
        actions.confirm_totp(tx, user_id, totp=totp.at(clock.now()), keys=ctx.keys, actor="system")
    return enrolment, totp


def test_an_enrolled_person_needs_the_code_and_each_code_works_once(site):
    with clock.fixed(NOON):
        enrolment, totp = enrol(site, "zhou")
        assert "zhou" in enrolment.uri
        assert sign_in(site, login="zhou").json()["code"] == "totp_needed"
        assert sign_in(site, login="zhou", totp=totp.at(NOON)).json()["code"] == "totp_wrong"  # it enrolled
    later = NOON + timedelta(seconds=30)
    with clock.fixed(later):
        assert sign_in(site, login="zhou", totp="000000").json()["code"] == "totp_wrong"
        assert sign_in(site, login="zhou", password="wrong", totp=totp.at(later)).json()["code"] == "wrong_sign_in"
        assert sign_in(site, login="zhou", totp=totp.at(later)).status_code == 201
        assert sign_in(site, login="zhou", totp=totp.at(later)).json()["code"] == "totp_wrong"
        early = totp.at(later + timedelta(seconds=30))
        assert sign_in(site, login="zhou", totp=early).status_code == 201
    assert len(rows(site, Session)) == 2


def test_an_unconfirmed_secret_does_not_count_and_the_database_shows_none(site):
    ctx, user_id = site.world.ctx, site.world.users["zhou"]
    with ctx.db.tx() as tx:
        enrolment = actions.begin_totp(tx, user_id, keys=ctx.keys, shop="卡盟")
    assert sign_in(site, login="zhou").status_code == 201
    with pytest.raises(actions.TotpWrong), ctx.db.tx() as tx:
        actions.confirm_totp(tx, user_id, totp="000000", keys=ctx.keys, actor="system")
    [user] = [row for row in rows(site, User) if row.login == "zhou"]
    assert user.totp_sealed is None
    assert enrolment.secret.encode() not in user.totp_pending


def test_live_administrators_and_finance_must_enrol_first(tmp_path):
    from server.settings import Mode

    with opened(tmp_path, mode=Mode.LIVE, base_url="https://shop.kami.cn") as site:
        for login, status in (("wang", 403), ("zhou", 403), ("li", 201), ("chen", 201)):
            answer = sign_in(site, login=login)
            assert (login, answer.status_code) == (login, status)
        assert sign_in(site, password="wrong").json()["code"] == "wrong_sign_in"
        _, totp = enrol(site, "wang")
        with clock.fixed(clock.now() + timedelta(seconds=30)):
            assert sign_in(site, totp=totp.at(clock.now())).status_code == 201


# --- people ---


@pytest.mark.parametrize(
    "password", ["short1!", "12345678901", "Password1234", "aaaaaaaaaaaa", "abababababab", "wang-feng-12", "x" * 129]
)
def test_weak_passwords_are_refused(password):
    with pytest.raises(BadField):
        passwords.judge(password, login="wang-feng")


@pytest.mark.parametrize(
    "password", [PASSWORD, "一二三四五六七八九十百千", "x7" * 40 + "!z", "wang-feng rides a horse"]
)
def test_long_passwords_of_any_kind_are_accepted(password):
    passwords.judge(password, login="wang-feng")


def new_user(**change):
    return {"login": "sun", "name": "孙悦", "role": "operator", "password": "seven green boats"} | change


def test_an_administrator_adds_people_who_can_sign_in(site):
    answer = site.post("/api/users", by="wang", json=new_user())
    assert answer.status_code == 201
    assert answer.json()["login"] == "sun"
    assert "password" not in answer.text
    assert sign_in(site, login="sun", password="seven green boats").json()["person"]["role"] == "operator"
    again = site.post("/api/users", by="wang", json=new_user())
    assert (again.status_code, again.json()["code"]) == (409, "login_taken")
    listed = site.get("/api/users", by="li").json()["items"]
    assert [user["login"] for user in listed] == ["wang", "li", "zhou", "chen", "zhao", "sun"]
    assert listed[3]["supplier"] == "星河数码"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"role": "supplier"}, "supplier"),
        ({"supplier": "星河数码"}, "supplier"),
        ({"role": "supplier", "supplier": "没有这家"}, "supplier"),
        ({"password": "sunsunsunsun"}, "password"),
        ({"password": "short"}, "password"),
        ({"login": "Sun Yue"}, "login"),
        ({"role": "owner"}, "role"),
        ({"active": True}, "active"),
    ],
)
def test_a_person_who_cannot_be_is_refused_by_field(site, change, field):
    answer = site.post("/api/users", by="wang", json=new_user(**change))
    assert (answer.status_code, answer.json()["params"]["field"]) == (422, field)
    assert len(rows(site, User)) == 5


def test_suppliers_are_added_once_and_see_themselves_alone(site):
    body = {"name": "南山网络", "fee_ppm": 80_000}
    made = site.post("/api/suppliers", by="wang", json=body)
    assert (made.status_code, made.json()["settlement_mode"]) == (201, "profit_sharing")
    assert site.post("/api/suppliers", by="wang", json=body).json()["code"] == "supplier_taken"
    assert site.post("/api/suppliers", by="wang", json=body | {"fee_ppm": 1_000_001}).status_code == 422
    names = [row["name"] for row in site.get("/api/suppliers", by="li").json()["items"]]
    assert sorted(names) == sorted(["北辰软件", "南山网络", "星河数码"])
    assert [row["name"] for row in site.get("/api/suppliers", by="zhao").json()["items"]] == ["北辰软件"]


# --- changes ---


def test_the_feed_tells_each_role_what_it_may_know(site):
    def follow(by):
        return site.get("/sync/v1/changes?cursor=0&limit=2000", by=by).json()

    products = {name: str(terms.product_id) for name, terms in site.world.skus.items()}

    def seen(by):
        return {row["entity_id"] for row in follow(by)["rows"] if row["entity"] == "product"}

    assert seen("li") == set(products.values())
    assert seen("chen") == {products["STEAM-50"], products["MUSIC-30"]}
    assert seen("zhao") == {products["OFFICE-1Y"]}
    head = follow("li")["cursor"]
    quiet = site.get(f"/sync/v1/changes?cursor={head}", by="li").json()
    assert quiet == {"cursor": head, "complete": True, "rows": []}
    page = site.get("/sync/v1/changes?cursor=0&limit=1", by="li").json()
    assert (page["complete"], len(page["rows"])) == (False, 1)
    assert site.get("/sync/v1/changes?cursor=-1", by="li").status_code == 422


def test_apps_of_one_database_share_sessions(site):
    token = sign_in(site).json()["token"]
    site.app = wiring.build(site.world.ctx.settings, ctx=site.world.ctx)
    assert me(site, token).status_code == 200
