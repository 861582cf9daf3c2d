"""Orders and callbacks from outside: each bad input gets its exact answer, is never a 500 and never changes a state.

The shop is paid through the real sandbox process and its real signatures; forged ones are made with another key.
"""

import base64
import json
import secrets
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding
from sqlalchemy import text

from server import app, batch, migrations
from server.gateways.sandbox import SandboxGateway
from server.jobs import Job, Jobs
from server.ledger import actions as ledger
from server.ledger.model import LedgerJournal
from server.orders import queries as orders
from server.payments import callbacks, checkout
from server.payments import queries as payments
from server.payments.model import PaymentCallback, PaymentException
from shared import clock, ids
from shared.money import MAX_FEN
from shared.pricing import MAX_QUANTITY
from shared.states import AttemptState, CallbackState, JobState, OrderState
from tests.databases import count
from tests.rsa_keys import rsa_key
from tests.server.conftest import Site, opened
from tests.server.sandbox.peer import Merchant, Receiver, SandboxProcess
from tests.world import ANNA, BEN, MERCHANT

PRICE = 4_500
CHANNEL_KEY = []  # the sandbox's own private key, for what only a misbehaving channel would sign
MALFORMED = {"code": "FAIL", "message": "malformed_notice"}


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory):
    process = SandboxProcess(tmp_path_factory.mktemp("sandbox"), "--retry-seconds", "0,0,0")
    CHANNEL_KEY.append(serialization.load_pem_private_key((process.data / "sandbox_private.pem").read_bytes(), None))
    merchant = Merchant(process, MERCHANT).register()
    yield merchant
    merchant.http.close()
    process.stop()
    CHANNEL_KEY.clear()


@pytest.fixture(scope="module")
def receiver():
    with closing(Receiver()) as server:
        yield server


@pytest.fixture(scope="module")
def site(tmp_path_factory, sandbox, receiver):
    """The shop, payable at the sandbox; callbacks arrive at a receiver, and tests hand them on as they wish."""
    key = sandbox.key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    with opened(tmp_path_factory.mktemp("shop"), base_url=receiver.url("")) as built:
        gateway = SandboxGateway(
            base_url=sandbox.sandbox.url,
            merchant_id=MERCHANT,
            private_key_pem=key,
            channel_public_key_pem=Path(sandbox.sandbox.ready["public_key"]).read_bytes(),
            outbound=built.world.ctx.outbound,
        )
        built.world.stock("STEAM-50", 300)
        db = built.world.ctx.db
        ctx = replace(built.world.ctx, gateways={"sandbox": gateway}, batch=batch.Batch(db), jobs=Jobs(db))
        checkout.register(ctx)
        ctx.batch.start()
        built.world.ctx = ctx
        shop = Site(built.world, app.build(ctx.settings, ctx=ctx), built.portal)
        new_order(shop)  # one waits for its payment in every test
        yield shop
        ctx.batch.close()


EVIDENCE = {"payment_callback", "payment_exception", "audit_event", "audit_pending", "change_inbox"}
"""What is refused is kept, and a burst of it told to people."""


@pytest.fixture
def untouched(site):
    """After the test, all tables but those of evidence have as many rows; stock, orders and money are as they were."""

    def picture():
        with site.world.ctx.db.read() as tx:
            names = sorted(set(migrations.METADATA.tables) - EVIDENCE)
            rows = {name: tx.scalar(text(f"SELECT COUNT(*) FROM {name}")) for name in names}
            states = tx.execute(text("SELECT code, state, version FROM shop_order ORDER BY code")).all()
            attempts = tx.execute(text("SELECT out_trade_no, state, provider_no FROM payment_attempt ORDER BY 1")).all()
        return rows, states, attempts, {sku: site.world.level(sku) for sku in site.world.skus}

    before = picture()
    yield
    assert picture() == before


def body(**changes):
    return {"sku": "STEAM-50", "quantity": 1, "amount_fen": PRICE, "channel": "sandbox"} | changes


def place(site, content, *, key="a-good-key-0001", buyer=ANNA, **options):
    headers = {"content-type": "application/json"} | ({} if key is None else {"idempotency-key": key})
    raw = content if isinstance(content, bytes) else json.dumps(content).encode()
    return site.post("/api/orders", buyer=buyer, content=raw, headers=headers, **options)


def problem(answer):
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    assert answer.json()["status"] == answer.status_code
    return answer.status_code, answer.json()["code"]


# --- placing ---

BAD_BODIES = {
    "empty": (b"", (400, "bad_input")),
    "not JSON": (b"{", (400, "bad_input")),
    "not UTF-8": (b'{"sku": "\xff"}', (400, "bad_input")),
    "a list": (b"[]", (400, "bad_input")),
    "null": (b"null", (400, "bad_input")),
    "a number": (b"1", (400, "bad_input")),
    "nested without end": (b"[" * 100_000, (400, "bad_input")),
    "no fields": (b"{}", (422, "bad_field")),
    "an unknown field": (body(colour="red"), (422, "bad_field")),
    "a price of its own": (body(unit_price=1), (422, "bad_field")),
    "another's device": (body(buyer_id=str(BEN)), (422, "bad_field")),
    "no quantity": ({k: v for k, v in body().items() if k != "quantity"}, (422, "bad_field")),
    "quantity 0": (body(quantity=0), (422, "bad_field")),
    "quantity -1": (body(quantity=-1), (422, "bad_field")),
    "quantity 1.5": (body(quantity=1.5), (422, "bad_field")),
    "quantity 1.0": (body(quantity=1.0), (422, "bad_field")),
    "quantity text": (body(quantity="1"), (422, "bad_field")),
    "quantity true": (body(quantity=True), (422, "bad_field")),
    "quantity null": (body(quantity=None), (422, "bad_field")),
    "quantity too many": (body(quantity=MAX_QUANTITY + 1), (422, "bad_field")),
    "quantity endless": (b'{"sku":"STEAM-50","quantity":1' + b"0" * 5_000 + b"}", (400, "bad_input")),
    "quantity NaN": (b'{"sku":"STEAM-50","quantity":NaN,"amount_fen":1,"channel":"sandbox"}', (422, "bad_field")),
    "amount 0": (body(amount_fen=0), (422, "bad_field")),
    "amount -1": (body(amount_fen=-PRICE), (422, "bad_field")),
    "amount a float": (body(amount_fen=4500.0), (422, "bad_field")),
    "amount text": (body(amount_fen="4500"), (422, "bad_field")),
    "amount beyond all money": (body(amount_fen=MAX_FEN + 1), (422, "bad_field")),
    "a SKU of SQL": (body(sku="' OR 1=1 --"), (422, "bad_field")),
    "a SKU of NUL": (body(sku="A\0"), (422, "bad_field")),
    "a SKU too long": (body(sku="A" * 65), (422, "bad_field")),
    "a lone surrogate": (b'{"sku":"\\ud800","quantity":1,"amount_fen":1,"channel":"sandbox"}', (400, "bad_input")),
    "a channel of letters only": (body(channel="../wechat"), (422, "bad_field")),
    "an unknown channel": (body(channel="wechat"), (409, "channel_off")),
    "an unknown SKU": (body(sku="NO-SUCH"), (409, "not_on_sale")),
    "a SKU in other case": (body(sku="steam-50"), (409, "not_on_sale")),
    "another price": (body(amount_fen=PRICE - 1), (409, "price_changed")),
    "more than one order may have": (body(quantity=101, amount_fen=PRICE * 101), (409, "quantity_limited")),
    "sold out": (body(sku="MUSIC-30", amount_fen=1_250), (409, "sold_out")),
}


@pytest.mark.usefixtures("untouched")
def test_an_order_that_is_wrong_gets_its_answer_and_leaves_nothing(site):
    answers = {name: problem(place(site, content)) for name, (content, _) in BAD_BODIES.items()}
    assert answers == {name: expected for name, (_, expected) in BAD_BODIES.items()}


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize(
    "key", [None, "", "short", "a" * 65, "with a space", "schlüssel-1", "a;b:c/d!", "键键键键键键键键"]
)
def test_a_bad_idempotency_key_is_a_wrong_field(site, key):
    raw = None if key is None else key.encode("utf-8")
    headers = {b"content-type": b"application/json"} | ({} if raw is None else {b"idempotency-key": raw})
    answer = site.portal.call(site._send, "POST", "/api/orders", headers, {"content": json.dumps(body()).encode()})
    assert problem(answer) == (422, "bad_field")
    assert answer.json()["params"]["field"] == "Idempotency-Key"


@pytest.mark.usefixtures("untouched")
def test_a_body_that_is_too_large_is_refused_declared_or_not(site):
    large = json.dumps(body(sku="A" * 1_100_000)).encode()
    assert problem(place(site, large)) == (413, "too_large")

    async def dripping():
        for at in range(0, len(large), 65_536):
            yield large[at : at + 65_536]

    headers = {"content-type": "application/json", "idempotency-key": "a-good-key-0001"}
    answer = site.post("/api/orders", buyer=ANNA, content=dripping(), headers=headers)
    assert problem(answer) == (413, "too_large")
    for claimed in ("-1", "abc", "9" * 30):
        answer = site.post("/api/orders", buyer=ANNA, content=b"{}", headers=headers | {"content-length": claimed})
        assert problem(answer) == (413, "too_large"), claimed


@pytest.mark.usefixtures("untouched")
def test_another_method_another_site_and_another_form_are_refused(site):
    assert problem(site.get("/api/orders")) == (401, "not_signed_in")
    assert problem(site.request("PUT", "/api/orders", json=body())) == (405, "method_not_allowed")
    headers = {"idempotency-key": "a-good-key-0001"}
    for other in ({"origin": "https://evil.example"}, {"sec-fetch-site": "cross-site"}, {"origin": "null"}):
        answer = site.post("/api/orders", buyer=ANNA, json=body(), headers=headers | other)
        assert problem(answer) == (403, "cross_origin"), other
    assert problem(site.post("/api/orders", buyer=ANNA, data=body(), headers=headers))[0] in {400, 422}


def test_a_repeat_answers_the_same_order_and_another_body_is_refused(site):
    level = site.world.level("STEAM-50")
    first = place(site, body(), key="repeat-me-0001")
    assert first.status_code == 201
    again = [place(site, body(), key="repeat-me-0001") for _ in range(3)]
    assert [one.status_code for one in again] == [201] * 3
    assert {one.text for one in again} == {first.text}
    assert first.headers["cache-control"] == "no-store"
    for other in (body(quantity=2, amount_fen=2 * PRICE), body(amount_fen=1), body(sku="MUSIC-30")):
        assert problem(place(site, other, key="repeat-me-0001")) == (422, "idempotency_reused")
    assert site.world.level("STEAM-50").held == level.held + 1
    other_device = place(site, body(), key="repeat-me-0001", buyer=BEN)
    assert (other_device.status_code, other_device.json()["code"] != first.json()["code"]) == (201, True)


def test_a_device_without_a_cookie_gets_one_and_its_order_is_its_own(site):
    answer = place(site, body(), buyer=None)
    assert answer.status_code == 201
    cookie = answer.headers["set-cookie"].split(";")[0]
    code = answer.json()["code"]
    assert site.get(f"/o/{code}/status", headers={"cookie": cookie}).json()["code"] == code
    forged = cookie[:-1] + ("0" if cookie[-1] != "0" else "1")
    assert problem(site.get(f"/o/{code}/status", headers={"cookie": forged})) == (404, "not_found")


def test_a_full_queue_is_busy_with_a_time_to_come_back_and_changes_nothing(site, monkeypatch):
    monkeypatch.setattr(batch, "CAPACITY", 1)
    full = batch.Batch(site.world.ctx.db)
    full.register(str, lambda tx, commands: commands, rank=1)
    ctx = replace(site.world.ctx, batch=full, jobs=Jobs(site.world.ctx.db))
    monkeypatch.undo()
    checkout.register(ctx)
    full._queues[0].put_nowait(SimpleNamespace(command="", deadline=0, loop=None, future=None))
    busy = Site(site.world, app.build(ctx.settings, ctx=ctx), site.portal)
    placed = count(site.world.ctx.db, PaymentCallback)
    answer = place(busy, body(), key="busy-key-0001")
    assert (problem(answer), answer.headers["retry-after"]) == ((503, "busy"), "2")
    fact = site.world.fact(SimpleNamespace(attempt=SimpleNamespace(out_trade_no=ids.new_id().hex, amount_fen=1)))
    answer = notify(busy, notice_of(fact))
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")  # the channel tells again
    assert count(site.world.ctx.db, PaymentCallback) == placed


# --- somebody else's order ---


def test_the_code_alone_shows_a_state_and_never_keys_or_where_to_pay(site, sandbox, receiver):
    code = place(site, body(), key=ids.new_token()).json()["code"]
    pay(site, sandbox, receiver, code)
    assert problem(site.get(f"/o/{code}/status", buyer=BEN)) == (404, "not_found")
    assert problem(site.get(f"/o/{code}/keys.txt", buyer=BEN)) == (404, "not_found")
    assert problem(site.get(f"/o/{code}/keys.txt")) == (404, "not_found")
    for path in (f"/o/{code}", f"/o/{code}/k/{ids.new_token()}", f"/o/{code}/k/"):
        answer = site.get(path, buyer=BEN, headers={"accept": "text/html"})
        assert answer.status_code == 404, path
        assert not any(key in answer.text for key in site.world.keys("STEAM-50", 300))
    assert site.post(f"/o/{code}/refresh", buyer=BEN, headers={"accept": "text/html"}).status_code == 404
    answer = site.post("/lookup", buyer=BEN, data={"code": ids.speak_order_code(code)}, headers={"accept": "text/html"})
    assert answer.status_code == 200
    assert not any(key in answer.text for key in site.world.keys("STEAM-50", 300))
    mine = site.get(f"/o/{code}/keys.txt", buyer=ANNA)
    assert (mine.status_code, mine.headers["cache-control"]) == (200, "no-store")
    assert sum(key in mine.text for key in site.world.keys("STEAM-50", 300)) == 1


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("code", ["%00", "x", "%ff%fe", "A" * 3_000, "..%2f..%2fetc", "7K3M9QX2H4TD", "' OR 1=1"])
def test_a_code_that_is_none_is_not_found(site, code):
    for path in (f"/o/{code}/status", f"/o/{code}/keys.txt", f"/o/{code}"):
        assert site.get(path, buyer=ANNA).status_code == 404, path


# --- callbacks ---


def pay(site, sandbox, receiver, code, **faults):
    """Pay at the sandbox as a buyer does; answers the callback it sent, after handing it to the shop."""
    told = tell(site, sandbox, receiver, code, **faults)
    answer = site.post("/pay/sandbox/notify", content=told.raw, headers=signature(told))
    assert (answer.status_code, answer.json()) == (200, {"code": "SUCCESS"})
    return told


def tell(site, sandbox, receiver, code, **faults):
    """The callback that the sandbox sends for a payment; not handed on."""
    attempt = attempt_of(site, code)
    while receiver.waiting("/pay/sandbox/notify"):
        receiver.next("/pay/sandbox/notify")
    sandbox.pay(attempt.pay_url, **faults)
    return receiver.next("/pay/sandbox/notify")


def signature(told):
    return {name: value for name, value in told.headers.items() if name.startswith(("sandbox-", "content-type"))}


def attempt_of(site, code):
    with site.world.ctx.db.read() as tx:
        return payments.current_attempt(tx, orders.find(tx, code).id)


def order_of(site, code):
    with site.world.ctx.db.read() as tx:
        return orders.find(tx, code)


def new_order(site):
    answer = place(site, body(), key=ids.new_token())
    assert answer.status_code == 201
    return answer.json()["code"]


def notice_of(fact, **changes):
    content = {
        "event_id": secrets.token_hex(8),
        "event": "payment.paid",
        "merchant_id": fact.merchant_id,
        "out_trade_no": fact.out_trade_no,
        "trade_no": fact.provider_no,
        "amount_fen": fact.amount_fen,
        "currency": fact.currency,
        "payer": "buyer",
        "paid_at": clock.now().isoformat(),
    }
    return json.dumps(content | changes).encode()


def signed(raw, *, key=None, timestamp=None, nonce=None):
    at = str(int(time.time()) if timestamp is None else timestamp)
    nonce = nonce or secrets.token_hex(16)
    mark = (key or CHANNEL_KEY[0]).sign(f"{at}\n{nonce}\n".encode() + raw + b"\n", padding.PKCS1v15(), hashes.SHA256())
    return {
        "content-type": "application/json",
        "sandbox-timestamp": at,
        "sandbox-nonce": nonce,
        "sandbox-signature": base64.b64encode(mark).decode(),
    }


def notify(site, raw, headers=None, *, path="/pay/sandbox/notify"):
    return site.post(path, content=raw, headers=signed(raw) if headers is None else headers, raising=False)


def test_a_payment_is_delivered_and_its_callback_may_come_ten_times(site, sandbox, receiver):
    code = new_order(site)
    told = pay(site, sandbox, receiver, code)
    order, journals = order_of(site, code), count(site.world.ctx.db, LedgerJournal)
    assert order.state == OrderState.DELIVERED
    for _ in range(10):
        answer = notify(site, told.raw, signature(told))
        assert (answer.status_code, answer.content) == (200, b'{"code":"SUCCESS"}')
    assert order_of(site, code).version == order.version
    assert count(site.world.ctx.db, LedgerJournal) == journals
    kept = PaymentCallback.out_trade_no == attempt_of(site, code).out_trade_no
    assert count(site.world.ctx.db, PaymentCallback, kept) == 1
    # The same event told in other bytes: kept as evidence, applied no more.
    again = json.dumps(json.loads(told.raw), indent=1).encode()
    assert notify(site, again).status_code == 200
    assert order_of(site, code).version == order.version


@pytest.fixture(scope="module")
def prize(site):
    return attempt_of(site, new_order(site))


@pytest.mark.usefixtures("untouched")
def test_what_the_channel_did_not_sign_is_refused_and_kept_as_evidence(site, sandbox, prize):
    raw = notice_of(site.world.fact(SimpleNamespace(attempt=prize)))
    honest = signed(raw)
    forged = {
        "another key": (raw, signed(raw, key=rsa_key("forger"))),
        "our own key": (raw, signed(raw, key=sandbox.key)),
        "other bytes": (raw.replace(b"4500", b"4501"), honest),
        "a byte more": (raw + b" ", honest),
        "no signature": (raw, {k: v for k, v in honest.items() if k != "sandbox-signature"}),
        "an empty signature": (raw, honest | {"sandbox-signature": ""}),
        "a signature of another alphabet": (raw, honest | {"sandbox-signature": "$$$"}),
        "no time": (raw, {k: v for k, v in honest.items() if k != "sandbox-timestamp"}),
        "another time": (raw, honest | {"sandbox-timestamp": str(int(honest["sandbox-timestamp"]) + 1)}),
        "a time of words": (raw, honest | {"sandbox-timestamp": "now"}),
        "a time without end": (raw, honest | {"sandbox-timestamp": "9" * 400}),
        "no nonce": (raw, {k: v for k, v in honest.items() if k != "sandbox-nonce"}),
        "another nonce": (raw, honest | {"sandbox-nonce": "0" * 32}),
        "stale": (raw, signed(raw, timestamp=time.time() - 301)),
        "from the future": (raw, signed(raw, timestamp=time.time() + 301)),
        "empty": (b"", {}),
        "garbage": (secrets.token_bytes(500), {"content-type": "application/octet-stream"}),
        "as long as may be": (bytes(64 * 1024), {}),
        "a form": (b"a=1&b=2", {"content-type": "application/x-www-form-urlencoded"}),
    }
    rejected = PaymentCallback.state == CallbackState.REJECTED.value
    kept = count(site.world.ctx.db, PaymentCallback, rejected)
    for name, (content, headers) in forged.items():
        answer = notify(site, content, headers)
        assert (answer.status_code, answer.json()) == (401, {"code": "FAIL", "message": "bad_signature"}), name
    assert count(site.world.ctx.db, PaymentCallback, rejected) == kept + len(forged)
    for content in (bytes(1024 * 1024 + 1), bytes(3_000_000)):
        assert problem(notify(site, content, {})) == (413, "too_large")
    for channel in ("wechat", "SANDBOX", "sandbox ", "%00", "..", "x" * 3_000):
        assert problem(notify(site, raw, honest, path=f"/pay/{channel}/notify")) == (404, "not_found"), channel
    assert site.get("/pay/sandbox/notify?out_trade_no=1").status_code == 401


@pytest.mark.usefixtures("untouched")
def test_what_was_signed_and_cannot_be_understood_is_refused(site):
    fact = site.world.fact(SimpleNamespace(attempt=SimpleNamespace(out_trade_no="KM-0000001", amount_fen=PRICE)))
    whole = json.loads(notice_of(fact))
    broken = [b"", b"{", b"[]", b"null", b"\xff", b'"paid"', b"[" * 50_000]
    broken += [json.dumps({k: v for k, v in whole.items() if k != name}).encode() for name in whole if name != "payer"]
    for changes in (
        *({"amount_fen": wrong} for wrong in ("4500", 4500.0, True, None, -PRICE)),
        {"amount_fen": 10**30},  # no column can hold it
        {"event": "payment.refunded"},
        {"paid_at": "yesterday"},
        {"paid_at": "2025-03-01T10:00:00"},
        {"paid_at": "0001-01-01T00:00:00+08:00"},
        {"paid_at": "9999-12-31T23:59:59-08:00"},
        {"out_trade_no": ""},
        {"out_trade_no": "KM-\0-0001"},
        {"trade_no": "S\n1"},
        *({name: "x" * 65} for name in ("out_trade_no", "trade_no", "currency")),
    ):
        broken.append(json.dumps(whole | changes).encode())
    for raw in broken:
        answer = notify(site, raw)
        assert (answer.status_code, answer.json()) == (400, MALFORMED), raw[:60]


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        *(({"amount_fen": wrong}, "amount_mismatch") for wrong in (PRICE - 1, PRICE + 1, 0)),
        *(({"currency": wrong}, "amount_mismatch") for wrong in ("USD", "cny")),
        ({"merchant_id": "somebody-else"}, "merchant_mismatch"),
        *(({"out_trade_no": foreign}, "unknown_payment") for foreign in ("not-one-of-ours", "' OR 1=1 --", "号码")),
    ],
)
def test_signed_money_that_does_not_fit_is_acknowledged_kept_for_a_person_and_delivers_nothing(site, changes, kind):
    code = new_order(site)
    attempt, level, order = attempt_of(site, code), site.world.level("STEAM-50"), order_of(site, code)
    journals = count(site.world.ctx.db, LedgerJournal)
    fact = site.world.fact(SimpleNamespace(attempt=attempt))
    raw = notice_of(fact, **changes)
    for _ in range(2):
        answer = notify(site, raw)
        assert (answer.status_code, answer.content) == (200, b'{"code":"SUCCESS"}')
    with site.world.ctx.db.read() as tx:
        found = tx.query(PaymentException).filter(PaymentException.provider_no == fact.provider_no).all()
    assert [(one.kind, one.received_fen) for one in found] == [(kind, changes.get("amount_fen", PRICE))]
    assert found[0].order_code == (None if kind == "unknown_payment" else code)
    assert (order_of(site, code).state, order_of(site, code).version) == (OrderState.PENDING_PAYMENT, order.version)
    assert attempt_of(site, code).state == AttemptState.PENDING
    assert site.world.level("STEAM-50") == level
    booked = kind != "merchant_mismatch" and "currency" not in changes and changes.get("amount_fen") != 0
    assert count(site.world.ctx.db, LedgerJournal) == journals + booked, "money that pays no order is set aside, once"
    assert (found[0].unmatched_id is not None) is booked


def test_signed_money_that_could_not_be_booked_is_kept_and_the_channel_is_asked(site, monkeypatch):
    """Whatever breaks while a fact is applied: its bytes are kept before it is acknowledged, and a job asks."""
    attempt = attempt_of(site, code := new_order(site))
    with monkeypatch.context() as broken:
        broken.setattr(ledger, "post", None)
        answer = notify(site, notice_of(site.world.fact(SimpleNamespace(attempt=attempt))))
    assert (answer.status_code, answer.content) == (200, b'{"code":"SUCCESS"}')
    with site.world.ctx.db.read() as tx:
        [kept] = callbacks.of_number(tx, site.world.ctx.keys, attempt.out_trade_no)
    assert (kept.state, json.loads(kept.body)["amount_fen"]) == ("deferred", PRICE)
    site.world.work()  # the channel says: not paid
    assert order_of(site, code).state == OrderState.PENDING_PAYMENT
    assert count(site.world.ctx.db, Job, Job.state != JobState.DONE.value) == 0


def test_the_sandboxs_own_faults_end_well(site, sandbox, receiver):
    """A wrong amount, a wrong signature, a callback that is dropped: the buyer asks, and gets the key."""
    for faults, status in (({"fault_amount_fen": "1"}, 200), ({"fault_signature": "1"}, 401)):
        code = new_order(site)
        told = tell(site, sandbox, receiver, code, **faults)
        assert notify(site, told.raw, signature(told)).status_code == status
        assert order_of(site, code).state == OrderState.PENDING_PAYMENT
        assert site.post(f"/o/{code}/refresh", buyer=ANNA).status_code == 303
        assert order_of(site, code).state == OrderState.DELIVERED
