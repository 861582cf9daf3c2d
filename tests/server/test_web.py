"""The edge: ids, limits, origin, headers, errors, compression. Whatever comes in, no trace and no 500 goes out."""

import gzip
import json
import logging
from contextlib import ExitStack
from dataclasses import replace

import pytest

from server import app as wiring
from server import context, db, telemetry
from server.limits import LIMITS, MOST_BUCKETS, Buckets
from server.policy import PUBLIC, Router
from server.web import BODY_LIMIT_BYTES, CHUNK_LIMIT_BYTES, NOTICE_LIMIT_BYTES, Facts
from shared import clock
from shared.errors import Busy, TooMany
from tests import engines
from tests.absence import absent
from tests.server.conftest import opened
from tests.world import ANNA

CARD = "STEAM-50-000000-0123456789AB"


# --- request ids ---


def test_an_id_goes_in_and_out_and_a_strange_one_is_replaced(site):
    assert site.get("/livez", headers={"x-request-id": "trace-1234"}).headers["x-request-id"] == "trace-1234"
    made = {site.get("/livez").headers["x-request-id"] for _ in range(3)}
    assert len(made) == 3
    assert all(len(one) == 32 for one in made)
    for strange in ("short", "a" * 41, 'x"},{"level":"OK', "with space in"):
        assert site.get("/livez", headers={"x-request-id": strange}).headers["x-request-id"] != strange


def test_errors_and_logs_carry_the_id(site, caplog):
    caplog.set_level(logging.INFO, logger="kameng")
    answer = site.get("/api/session", headers={"x-request-id": "trace-1234"})
    assert answer.json()["request_id"] == "trace-1234"
    assert {r.request_id for r in caplog.records if r.getMessage() in {"denied", "request"}} == {"trace-1234"}


# --- bodies ---


def chunked(size: int):
    """A body without a Content-Length."""

    async def parts():
        for _ in range(size // 65_536 + 1):
            yield b"x" * 65_536

    return parts()


@pytest.mark.parametrize(
    ("method", "path", "limit"),
    [
        ("POST", "/api/orders", BODY_LIMIT_BYTES),
        ("POST", "/pay/sandbox/notify", NOTICE_LIMIT_BYTES),
        ("POST", "/api/session", BODY_LIMIT_BYTES),
        ("POST", "/lookup", BODY_LIMIT_BYTES),
        ("PUT", "/sync/v1/imports/0190b8a0-0000-7000-8000-000000000000/chunks/0", CHUNK_LIMIT_BYTES),
    ],
)
def test_a_body_over_the_limit_is_413_declared_or_not(site, method, path, limit):
    by = "chen" if method == "PUT" else None
    form = {"content-type": "application/x-www-form-urlencoded" if path == "/lookup" else "application/json"}
    declared = site.request(method, path, by=by, content=b"x" * (limit + 1), headers=form)
    undeclared = site.request(method, path, by=by, content=chunked(limit), headers=form)
    lying = site.request(method, path, by=by, content=chunked(limit), headers=form | {"content-length": "10"})
    for answer in (declared, undeclared, lying):
        assert answer.status_code == 413
        assert answer.json()["params"] == {"limit_bytes": limit}
    assert site.request(method, path, by=by, content=b"", headers={"content-length": "-5"}).status_code == 413
    within = site.request(method, path, by=by, content=b"x" * 1000)
    assert 400 <= within.status_code < 500
    assert within.status_code != 413


# --- origin ---

CROSS = {"origin": "https://evil.example"}
OWN = "http://127.0.0.1:8000"


@pytest.mark.parametrize(
    ("label", "headers", "allowed"),
    [
        ("no browser", {}, True),
        ("own page, new browser", {"sec-fetch-site": "same-origin", "origin": OWN}, True),
        ("typed or bookmarked", {"sec-fetch-site": "none"}, True),
        ("own page, old browser", {"origin": OWN}, True),
        ("another name of this host", {"origin": "http://localhost:8000", "host": "localhost:8000"}, True),
        ("another site", {"sec-fetch-site": "cross-site", "origin": "https://evil.example"}, False),
        ("a sister host", {"sec-fetch-site": "same-site", "origin": "http://x.127.0.0.1:8000"}, False),
        ("another site, old browser", CROSS, False),
        ("another port", {"origin": "http://127.0.0.1:9000"}, False),
        ("another scheme", {"origin": "https://127.0.0.1:8000"}, False),
        ("sandboxed frame", {"origin": "null"}, False),
        ("site says same, origin lies", {"sec-fetch-site": "cross-site", "origin": OWN}, False),
    ],
)
def test_an_unsafe_request_of_a_browser_comes_from_our_own_pages(site, label, headers, allowed):
    answer = site.post("/lookup", data={"code": "nonsense"}, buyer=ANNA, headers=headers)
    refused = answer.status_code == 403 and answer.json()["code"] == "cross_origin"
    assert refused is not allowed
    assert site.get("/lookup", headers=headers).status_code == 200


def test_a_bearer_is_exempt_without_cookies_only(site):
    body = {"code": "toys", "name": "玩具"}
    with_cookie = CROSS | {"cookie": site.cookie(ANNA)}
    assert site.post("/api/categories", by="li", json=body, headers=with_cookie).status_code == 403
    assert site.post("/api/categories", by="li", json=body, headers=CROSS).status_code == 201


def test_notifications_are_signed_and_need_no_origin(site):
    answer = site.post("/pay/sandbox/notify", content=b"{}", headers=CROSS)
    assert answer.status_code == 401
    assert "cross_origin" not in answer.text


# --- headers ---


def test_every_answer_carries_the_security_headers(site):
    for answer in (site.get("/"), site.get("/api/session"), site.get("/nowhere"), site.get("/livez")):
        headers = answer.headers
        policy = dict(part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";"))
        assert policy == {
            "default-src": "'self'",
            "script-src": "'self'",
            "object-src": "'none'",
            "base-uri": "'none'",
            "frame-ancestors": "'none'",
            "form-action": "'self'",
            "frame-src": "weixin: weixinping:",
        }
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cross-origin-opener-policy"] == "same-origin"
        assert headers["referrer-policy"] == "same-origin"
        assert headers["x-frame-options"] == "DENY"
        assert "strict-transport-security" not in headers
        assert "server" not in headers


def test_https_adds_hsts(site):
    ctx = site.world.ctx
    https = replace(ctx, settings=replace(ctx.settings, base_url="https://shop.kami.cn"))
    site.app = wiring.build(https.settings, ctx=https)
    assert site.get("/livez").headers["strict-transport-security"] == "max-age=63072000"


def test_answers_of_the_api_are_not_stored(site):
    for answer in (site.get("/api/products", by="li"), site.get("/api/session"), site.get("/readyz")):
        assert answer.headers["cache-control"] == "no-store"


# --- errors ---


def test_programs_get_a_problem_and_browsers_a_page(site):
    problem = site.get("/p/none")
    assert problem.headers["content-type"] == "application/problem+json"
    assert problem.json() == {
        "type": "urn:kameng:problem:not_found",
        "title": "Not Found",
        "status": 404,
        "detail": "没有找到您要的内容。",
        "code": "not_found",
        "request_id": problem.headers["x-request-id"],
        "params": {},
        "fields": [],
    }
    page = site.get("/p/none", headers={"accept": "text/html,*/*"})
    assert page.status_code == 404
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert page.headers["x-request-id"] in page.text
    machine = site.get("/api/none", headers={"accept": "text/html"})
    assert machine.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("accepted", "language"),
    [("", "zh"), ("en-GB,en;q=0.9", "en"), ("zh-CN,en;q=0.8", "zh"), ("fr,en;q=0.5", "en"), ("fr", "zh")],
)
def test_the_sentence_is_in_the_readers_language(site, accepted, language):
    detail = site.get("/api/session", headers={"accept-language": accepted}).json()["detail"]
    assert detail == {"zh": "请先登录。", "en": "Please sign in first."}[language]


def test_a_wrong_method_names_the_right_ones(site):
    answer = site.request("DELETE", "/api/products", by="li")
    assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed")
    assert answer.headers["allow"] in {"GET", "POST"}


def test_wrong_fields_are_named_with_reasons_and_never_quoted(site):
    body = {"sku": CARD + " secret", "quantity": 0, "amount_fen": "ten", "password": "hunter2hunter2"}
    answer = site.post("/api/orders", json=body)
    assert answer.status_code == 422
    assert {one["field"]: one["reason"] for one in answer.json()["fields"]} == {
        "sku": "格式不正确",
        "quantity": "不能小于 1",
        "amount_fen": "应为整数",
        "channel": "此项必填",
        "password": "没有这一项",
    }
    assert CARD not in answer.text
    assert "hunter2" not in answer.text


@pytest.mark.parametrize(
    ("label", "content", "kind", "status"),
    [
        ("cut off", b'{"sku": "A', "application/json", 400),
        ("not utf-8", b'{"sku": "\xff\xfe"}', "application/json", 400),
        ("nothing", b"", "application/json", 400),
        ("a list", b"[1, 2]", "application/json", 400),
        ("a number", b"7", "application/json", 400),
        ("no content type", b"{}", None, 400),
        ("a form", b"sku=A", "application/x-www-form-urlencoded", 400),
        ("deep", b"[" * 100_000, "application/json", 400),
        ("an infinite number", b'{"sku":"A","quantity":1e999,"amount_fen":1,"channel":"sandbox"}', None, 400),
        ("NaN", b'{"sku":"A","quantity":NaN,"amount_fen":1,"channel":"sandbox"}', "application/json", 422),
        (
            "huge integer",
            b'{"sku":"A","quantity":1,"amount_fen":' + b"9" * 4_000 + b',"channel":"sandbox"}',
            "application/json",
            422,
        ),
        (
            "a lone surrogate",
            b'{"sku":"\\ud800","quantity":1,"amount_fen":1,"channel":"sandbox"}',
            "application/json",
            400,
        ),
    ],
)
def test_a_malformed_order_is_a_problem_and_never_a_500(site, label, content, kind, status):
    headers = {"idempotency-key": "key-0123456789"} | ({"content-type": kind} if kind else {})
    answer = site.post("/api/orders", content=content, headers=headers)
    assert (label, answer.status_code) == (label, status)
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    "key", [None, "", "short", "x" * 65, "with space 12345", "键键键键键键键键".encode().decode("latin-1")]
)
def test_an_order_needs_a_usable_idempotency_key(site, key):
    body = {"sku": "STEAM-50", "quantity": 1, "amount_fen": 4_500, "channel": "sandbox"}
    headers = {} if key is None else {"idempotency-key": key.encode("latin-1")}
    answer = site.post("/api/orders", json=body, buyer=ANNA, headers=headers)
    assert answer.status_code == 422
    assert answer.json()["params"]["field"] == "Idempotency-Key"
    assert site.world.level("STEAM-50").held == 0


def broken_routes() -> Router:
    router = Router("/broken")

    @router.get("/unexpected", allow=PUBLIC)
    def unexpected() -> None:
        raise ValueError(f"cannot read {CARD}")

    @router.get("/busy", allow=PUBLIC)
    async def busy() -> None:
        raise Busy(retry_after_seconds=7)

    return router


def test_an_unexpected_exception_is_a_500_with_an_id_and_without_a_trace(site, caplog):
    wiring.include(site.app, [broken_routes()])
    for accept in ("*/*", "text/html"):
        answer = site.get("/broken/unexpected", headers={"accept": accept})
        assert answer.status_code == 500
        assert answer.headers["x-request-id"] in answer.text
        assert "nosniff" in answer.headers["x-content-type-options"]
        assert not any(word in answer.text for word in (CARD, "ValueError", "Traceback", ".py"))
    logged = [record for record in caplog.records if record.getMessage() == "unexpected exception"]
    line = telemetry.JsonLines().format(logged[0])
    assert json.loads(line)["exception"]["type"] == "builtins.ValueError"
    assert "test_web.py" in line
    assert CARD not in line


def test_busy_says_when_to_come_again(site):
    wiring.include(site.app, [broken_routes()])
    answer = site.get("/broken/busy")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "7")


@pytest.mark.parametrize("kind", ["postgres", "mariadb"])
def test_a_database_with_no_connection_free_is_busy_and_nothing_is_tried_twice(kind, tmp_path, monkeypatch):
    monkeypatch.setattr(db, "POOL_WAIT_SECONDS", 0.2)
    if reason := engines.missing(kind):
        absent(reason)
    with opened(tmp_path, kind) as site, ExitStack() as taken:
        ctx = site.world.ctx
        site.world.stock("STEAM-50", 3)
        for _ in range(2 * db.POOL_SIZE):
            taken.enter_context(ctx.db.read())
        busy = [site.get("/p/steam")]
        assert site.order(ANNA, "STEAM-50", 4_500).status_code == 201, "readers never keep a buyer out"
        for _ in range(db.LANES):
            taken.enter_context(ctx.db.tx(by_key=True))
        busy.append(site.order(ANNA, "STEAM-50", 4_500, key="k" * 20))
        assert [(answer.status_code, answer.headers["retry-after"]) for answer in busy] == [(503, "2")] * 2
        taken.close()
        assert site.order(ANNA, "STEAM-50", 4_500, key="k" * 20).status_code == 201
        assert ctx.batch.figures.replayed == 0
        assert site.world.level("STEAM-50").held == 2


def test_an_error_page_that_fails_does_not_hide_the_error(site):
    def fails(_request, _problem):
        raise RuntimeError

    site.app.state.render_problem = fails
    page = site.get("/p/none", headers={"accept": "text/html"})
    assert (page.status_code, page.headers["content-type"]) == (404, "text/html; charset=utf-8")
    assert "没有找到您要的内容。" in page.text


# --- compression ---


def test_long_text_is_compressed_for_who_asks_and_stays_the_same(site):
    plain = site.get("/", headers={"accept-encoding": "identity"})
    packed = site.get("/", headers={"accept-encoding": "gzip"})
    assert "content-encoding" not in plain.headers
    assert packed.headers["content-encoding"] == "gzip"
    assert "accept-encoding" in packed.headers["vary"].lower()
    assert packed.text == plain.text
    assert int(packed.headers["content-length"]) == packed.num_bytes_downloaded < len(plain.content)


def test_short_and_private_answers_are_not_compressed(site):
    for path in ("/livez", "/review?sku=STEAM-50"):
        answer = site.get(path, headers={"accept-encoding": "gzip"})
        assert "content-encoding" not in answer.headers
    assert gzip.compress(b"")  # the codec is there; the answers above chose not to


# --- limits ---


def test_buckets_refuse_say_when_and_refill():
    buckets, limit = Buckets(), LIMITS["sign_in_login"]
    for _ in range(limit.burst):
        buckets.take("sign_in_login", "wang")
    with pytest.raises(TooMany) as refused:
        buckets.take("sign_in_login", "wang")
    assert 0 < refused.value.params["retry_after_seconds"] <= limit.refill_seconds
    buckets.take("sign_in_login", "li")
    buckets.take("sign_in_address", "wang")
    buckets.forget("sign_in_login", "wang")
    buckets.take("sign_in_login", "wang")


def test_a_flood_of_keys_does_not_grow_the_memory():
    buckets = Buckets()
    for n in range(MOST_BUCKETS + 100):
        buckets.take("lookup", str(n))
    assert len(buckets._left) == MOST_BUCKETS


# --- telemetry and health ---


def test_a_request_is_one_line_with_its_template_and_no_secret(site, caplog):
    caplog.set_level(logging.INFO, logger="kameng")
    placed = site.order(ANNA, "STEAM-50", 4_500).status_code
    assert placed == 409  # no stock yet
    token = "k" * 22
    site.get(f"/o/7K3M9QX2H4TD/k/{token}?x=1", buyer=ANNA)
    lines = [json.loads(telemetry.JsonLines().format(r)) for r in caplog.records if r.getMessage() == "request"]
    assert [(line["method"], line["route"], line["status"]) for line in lines] == [
        ("POST", "/api/orders", 409),
        ("GET", "/o/{code}/k/{token}", 404),
    ]
    assert {line["actor"] for line in lines} == {f"buyer:{ANNA}"}
    assert token not in caplog.text
    assert site.cookie(ANNA).partition("=")[2] not in caplog.text


def test_forbidden_names_never_reach_a_line():
    record = logging.makeLogRecord(
        {
            "msg": "x",
            "card_key": CARD,
            "token": "t",
            "session_cookie": "c",
            "password": "p",
            "body": "b",
            "ms": 1,
            "o": [],
        }
    )
    line = json.loads(telemetry.JsonLines().format(record))
    assert set(line) == {"at", "level", "logger", "event", "ms"}


def test_figures_count_requests_by_template(site):
    site.get("/p/none")
    site.get("/p/nothing")
    figures = site.get("/metrics").text
    assert 'kameng_request_seconds_count{method="GET",route="/p/{code}",status="4xx"} 2.0' in figures
    assert "kameng_batch_queue_depth 0.0" in figures
    assert 'kameng_jobs{state="ready"}' not in figures


def test_ready_while_all_is_well_and_red_while_draining_or_broken(site):
    ready = site.get("/readyz")
    assert (ready.status_code, ready.json()) == (
        200,
        {
            "status": "ok",
            "draining": "ok",
            "database": "ok",
            "schema": "ok",
            "batch": "ok",
            "queue": "ok",
            "invariants": "unchecked",
            "clock": "ok",
        },
    )
    site.world.ctx.health.draining = True
    draining = site.get("/readyz")
    assert (draining.status_code, draining.json()["draining"]) == (503, "failed")
    assert site.get("/livez").status_code == 200
    site.world.ctx.health.draining = False
    site.world.ctx.batch.close()
    assert site.get("/readyz").json()["batch"] == "failed"
    site.world.ctx.batch.start()


def test_findings_show_and_age_without_closing_the_shop(site):
    health = site.world.ctx.health
    health.record_invariants(findings=0)
    assert site.get("/readyz").json()["invariants"] == "ok"
    with clock.fixed(clock.now() + 2 * telemetry.INVARIANTS_STALE_AFTER):
        assert site.get("/readyz").json()["invariants"] == "stale"
    health.record_invariants(findings=2)
    answer = site.get("/readyz")
    assert (answer.status_code, answer.json()["invariants"]) == (200, "failed")
    assert "kameng_invariant_findings 2.0" in site.get("/metrics").text


def test_lifespan_starts_lanes_and_worker_and_drains_them(site):
    ctx = site.world.ctx
    ctx.batch.close()

    async def run():
        async with site.app.router.lifespan_context(site.app):
            return ctx.batch.alive, ctx.jobs.alive, ctx.health.draining

    assert site.portal.call(run) == (True, True, False)
    assert (ctx.batch.alive, ctx.jobs.alive, ctx.health.draining) == (False, False, True)
    assert ctx.batch.depth == 0


def test_the_context_of_a_request_is_the_apps_own(site):
    assert context.Context.__dataclass_params__.frozen
    assert site.app.state.context is site.world.ctx
    assert not hasattr(Facts("r", "c", english=False, wants_page=False), "__dict__")


def test_a_clock_that_all_channels_find_wrong_shows_and_turns_nobody_away(site):
    health = site.world.ctx.health
    health.record_clock("wechat", 290.2)
    health.record_clock("alipay", -289.0)
    answer = site.get("/readyz")
    assert (answer.status_code, answer.json()["clock"]) == (200, "off")
    assert [health.clock_off_from(channel) for channel in ("wechat", "alipay", "epay")] == [290, -289, None]
    figures = site.get("/metrics").text
    assert 'kameng_clock_off_seconds{channel="alipay"} -289.0' in figures
    assert 'kameng_clock_off_seconds{channel="wechat"} 290.2' in figures
    health.record_clock("alipay", 0.0)  # then it is WeChat Pay's clock
    assert site.get("/readyz").json()["clock"] == "ok"
