"""Bringing card keys in over HTTP: every step repeatable, nothing taken that was not declared, and no key left in the
clear anywhere on the disk."""

import base64
import hashlib
import logging
import threading
from collections import Counter
from pathlib import Path
from uuid import UUID

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite
from sqlalchemy import text

from server import migrations, telemetry
from shared import ids
from shared.contracts.stock import CHUNK_BYTES, CHUNK_ROWS, chunk_info
from tests import engines
from tests.server.conftest import opened
from tests.world import world

HPKE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """One shop for all tests here; each brings keys and import ids of its own."""
    with opened(tmp_path_factory.mktemp("site")) as built:
        yield built


@pytest.fixture
def fresh(site, request):
    """Made-up keys that no other test uses."""
    stem = hashlib.sha256(request.node.name.encode()).hexdigest()[:10].upper()

    def keys(count, *, start=0):
        return [f"{stem}-{n:05d}" for n in range(start, start + count)]

    return keys


def state(site):
    """How many rows every table has: what must not change when something is refused."""
    with site.world.ctx.db.read() as tx:
        return Counter(
            {name: tx.scalar(text(f"SELECT COUNT(*) FROM {name}")) for name in sorted(migrations.METADATA.tables)}
        )


def seal(site, rows, import_id, n, *, key=None):
    public = key or X25519PublicKey.from_public_bytes(site.world.ctx.keys.import_public_key)
    return HPKE.encrypt(msgspec.msgpack.encode(rows), public, chunk_info(import_id, n))


def declaration(site, chunks, *, valid, import_id=None, sku="STEAM-50", **changes):
    return {
        "id": str(import_id),
        "sku": sku,
        "file_name": "keys.xlsx",
        "file_sha256": "0" * 64,
        "figures": {"read": valid, "valid": valid, "duplicates": 0, "refused": 0, "skipped": 0},
        "chunks": [hashlib.sha256(one).hexdigest() for one in chunks],
        "key_id": site.world.ctx.keys.import_key_id,
    } | changes


def digest(content):
    return {"content-digest": f"sha-256=:{base64.b64encode(hashlib.sha256(content).digest()).decode()}:"}


def put(site, import_id, n, content, *, by="chen", headers=None):
    path = f"/sync/v1/imports/{import_id}/chunks/{n}"
    return site.request("PUT", path, by=by, content=content, headers=digest(content) if headers is None else headers)


def declared(site, keys, *, per_chunk=4, **changes):
    """A declared import of these keys; answers its id and its sealed chunks."""
    import_id = ids.new_id()
    rows = [(line, "", key) for line, key in enumerate(keys, start=1)]
    parts = [rows[at : at + per_chunk] for at in range(0, len(rows), per_chunk)]
    chunks = [seal(site, part, import_id, n) for n, part in enumerate(parts)]
    body = declaration(site, chunks, valid=len(keys), import_id=import_id, **changes)
    answer = site.post("/sync/v1/imports", by="chen", json=body)
    assert answer.status_code == 201, answer.text
    return import_id, chunks, body


def done(site, keys):
    import_id, chunks, _ = declared(site, keys)
    for n, chunk in enumerate(chunks):
        assert put(site, import_id, n, chunk).status_code == 204
    return commit(site, import_id)


def commit(site, import_id, *, by="chen"):
    answer = site.post(f"/sync/v1/imports/{import_id}/commit", by=by)
    site.world.work()
    return answer


def progress(site, import_id, *, by="chen"):
    return site.get(f"/sync/v1/imports/{import_id}", by=by)


def problem(answer):
    """Status and code of a refusal, which must be a problem document."""
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    return answer.status_code, answer.json()["code"]


# --- the straight way, and each step again ---


def test_an_import_goes_through_and_each_step_may_be_repeated(site, fresh):
    before = site.world.level("STEAM-50")
    import_id, chunks, body = declared(site, fresh(10))
    first = progress(site, import_id).json()
    assert (first["state"], first["missing"], first["chunk_count"]) == ("receiving", [0, 1, 2], 3)
    again = site.post("/sync/v1/imports", by="chen", json=body)
    assert (again.status_code, again.json()) == (201, first)
    for n in (2, 0, 0, 2):  # in any order, more than once
        assert put(site, import_id, n, chunks[n]).status_code == 204
    assert progress(site, import_id).json()["missing"] == [1]
    assert problem(commit(site, import_id)) == (409, "import_incomplete")
    assert put(site, import_id, 1, chunks[1]).status_code == 204
    accepted = site.post(f"/sync/v1/imports/{import_id}/commit", by="chen").json()
    assert (accepted["state"], accepted["missing"], accepted["stored"]) == ("ingesting", [], 0)
    counted = state(site)
    assert site.post(f"/sync/v1/imports/{import_id}/commit", by="chen").json() == accepted
    assert state(site) == counted
    site.world.work()
    ended = progress(site, import_id).json()
    assert (ended["state"], ended["stored"], ended["duplicates"], ended["refused"]) == ("done", 10, 0, 0)
    counted = state(site)
    assert commit(site, import_id).json() == ended
    assert site.post("/sync/v1/imports", by="chen", json=body).json() == ended
    assert put(site, import_id, 0, chunks[0]).status_code == 204
    assert problem(put(site, import_id, 0, seal(site, [(1, "", "OTHER")], import_id, 0))) == (409, "chunk_differs")
    site.world.work()
    assert state(site) == counted
    after = site.world.level("STEAM-50")
    assert (after.imported - before.imported, after.free - before.free) == (10, 10)
    site.world.check()


def test_lines_that_were_not_taken_are_told_by_number_and_reason(site, fresh):
    keys = fresh(6)
    assert done(site, keys[:2]).status_code == 200
    bad = "bad\u200bkey"
    import_id, chunks, _ = declared(site, [keys[2], keys[0], bad, keys[3], keys[3], keys[4], keys[1]], per_chunk=3)
    for n, chunk in enumerate(chunks):
        put(site, import_id, n, chunk)
    commit(site, import_id)
    ended = progress(site, import_id).json()
    assert (ended["stored"], ended["duplicates"], ended["refused"]) == (3, 2, 2)
    path = f"/sync/v1/imports/{import_id}/refused"
    page = site.get(path, by="chen", params={"limit": 3}).json()
    assert page["items"] == [
        {"line": 2, "result": "duplicate_in_stock"},
        {"line": 3, "result": "refused"},
        {"line": 5, "result": "refused"},
    ]
    rest = site.get(path, by="chen", params={"after": page["next"]}).json()
    assert rest == {"items": [{"line": 7, "result": "duplicate_in_stock"}], "next": None}


# --- what is refused, exactly, and changes nothing ---


def wrong_bodies(site):
    """What is wrong with a declaration, and its answer."""
    figures = {"read": 1, "valid": 1, "duplicates": 0, "refused": 0, "skipped": 0}
    return {
        "unknown field": ({"colour": "red"}, (422, "bad_field")),
        "no id": ({"id": None}, (422, "bad_field")),
        "not an id": ({"id": "1"}, (422, "bad_field")),
        "no chunks": ({"chunks": []}, (422, "bad_field")),
        "not a hash": ({"chunks": ["x"]}, (422, "bad_field")),
        "upper case hash": ({"file_sha256": "A" * 64}, (422, "bad_field")),
        "figures that do not add up": ({"figures": figures | {"read": 2}}, (422, "bad_field")),
        "negative figures": ({"figures": figures | {"read": 0, "skipped": -1}}, (422, "bad_field")),
        "endless figures": ({"figures": figures | {"read": 10**30, "valid": 10**30}}, (422, "bad_field")),
        "more rows than its chunks can hold": (
            {"figures": figures | {"read": CHUNK_ROWS + 1, "valid": CHUNK_ROWS + 1}},
            (422, "bad_field"),
        ),
        "a name of NUL": ({"file_name": "a\0b"}, (422, "bad_field")),
        "a long name": ({"file_name": "a" * 121}, (422, "bad_field")),
        "an unknown SKU": ({"sku": "NO-SUCH"}, (404, "unknown_sku")),
        "another supplier's SKU": ({"sku": "OFFICE-1Y"}, (404, "unknown_sku")),
        "an old key": ({"key_id": "0" * 16}, (409, "import_key_changed")),
    }


def test_a_declaration_that_is_wrong_is_refused_and_leaves_no_row(site):
    before = state(site)
    for name, (change, expected) in wrong_bodies(site).items():
        body = declaration(site, [b"x"], valid=1, import_id=ids.new_id()) | change
        assert problem(site.post("/sync/v1/imports", by="chen", json=body)) == expected, name
    for content in (b"", b"{", b"[]", b"null", b'"x"', b"\xff", b"{" * 5_000, b'{"id": NaN}'):
        answer = site.post("/sync/v1/imports", by="chen", content=content, headers={"content-type": "application/json"})
        assert answer.status_code in {400, 422}, (content, answer.text)
    assert state(site) == before


def test_an_import_id_stands_for_one_declaration(site, fresh):
    _, _, body = declared(site, fresh(3))
    before = state(site)
    for change in (
        {"file_name": "other.xlsx"},
        {"sku": "MUSIC-30"},
        {"chunks": ["1" * 64]},
        {"figures": body["figures"] | {"read": 4, "skipped": 1}},
    ):
        assert problem(site.post("/sync/v1/imports", by="chen", json=body | change)) == (422, "idempotency_reused")
    assert state(site) == before


def test_a_chunk_that_is_not_what_was_declared_is_refused(site, fresh):
    import_id, chunks, _ = declared(site, fresh(8))
    before = state(site)
    other = seal(site, [(1, "", fresh(1, start=90)[0])], import_id, 0)
    stranger = X25519PrivateKey.generate().public_key()
    for content in (
        other,
        chunks[1],  # sealed for another place
        seal(site, [(1, "", "A")], ids.new_id(), 0),  # for another import
        seal(site, [(1, "", "A")], import_id, 0, key=stranger),  # to somebody else
        chunks[0][:-1],
        b"",
        b"x" * 100,
    ):
        assert problem(put(site, import_id, 0, content)) == (409, "chunk_differs")
    assert progress(site, import_id).json()["missing"] == [0, 1]
    assert state(site) == before


@pytest.mark.parametrize(
    "rows",
    [
        [(n, "", f"K{n}") for n in range(1, CHUNK_ROWS + 2)],
        [(1, "", "A"), (1, "", "B")],
        [(2, "", "A"), (1, "", "B")],
        [(0, "", "A")],
        [(-1, "", "A")],
        [(2**63, "", "A")],
        [(1, "", "A", "surplus")],
        [(1, "", 7)],
        [(1, "", b"\xff\xfe")],
        [{"line": 1}],
        {"rows": []},
        "text",
        None,
    ],
    ids=range(13),
)
def test_a_chunk_that_was_sealed_by_no_console_is_refused_as_it_arrives(site, rows):
    import_id = ids.new_id()
    chunk = seal(site, rows, import_id, 0)
    body = declaration(site, [chunk], valid=1, import_id=import_id)
    assert site.post("/sync/v1/imports", by="chen", json=body).status_code == 201
    assert problem(put(site, import_id, 0, chunk)) == (422, "chunk_unreadable")
    assert progress(site, import_id).json()["missing"] == [0]


def test_a_chunk_must_say_its_digest_truly(site, fresh):
    import_id, [chunk], _ = declared(site, fresh(2))
    right = digest(chunk)["content-digest"]
    for wrong in (
        {},
        digest(chunk + b"x"),
        {"content-digest": right.replace("sha-256", "sha-512")},
        {"content-digest": right[:-1]},
        {"content-digest": "sha-256=:!:"},
        {"content-digest": "sha-256=::"},
        {"content-digest": "sha-256=:" + "A" * 10_000 + ":"},
        {b"content-digest": b"sha-256=:\xff\xff:"},
    ):
        assert problem(put(site, import_id, 0, chunk, headers=wrong)) == (422, "bad_field"), wrong
    assert put(site, import_id, 0, chunk).status_code == 204


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        ("5", (404, "not_found")),
        ("-1", (422, "bad_field")),
        ("x", (422, "bad_field")),
        ("1.5", (422, "bad_field")),
        ("9" * 40, (422, "bad_field")),
    ],
)
def test_a_chunk_number_that_was_not_declared_is_refused(site, fresh, number, expected):
    import_id, [chunk], _ = declared(site, fresh(2))
    content = seal(site, [(1, "", "A")], import_id, 5) if number == "5" else chunk
    assert problem(put(site, import_id, number, content)) == expected


def test_a_chunk_that_is_too_large_is_refused_however_it_comes(site, fresh):
    import_id, _, _ = declared(site, fresh(2))
    large = bytes(CHUNK_BYTES + 1)
    assert problem(put(site, import_id, 0, large)) == (413, "too_large")
    huge = bytes(CHUNK_BYTES + 200_000)
    assert problem(put(site, import_id, 0, huge)) == (413, "too_large")

    async def dripping():
        for _ in range(80):
            yield bytes(65_536)

    answer = site.request("PUT", f"/sync/v1/imports/{import_id}/chunks/0", by="chen", content=dripping())
    assert problem(answer) == (413, "too_large")


def test_lines_beyond_what_was_declared_are_refused_and_take_no_place(site, fresh):
    keys = fresh(8)
    import_id = ids.new_id()
    chunks = [
        seal(site, [(n, "", key) for n, key in enumerate(part, start=1 + at)], import_id, at // 4)
        for at, part in ((0, keys[:4]), (4, keys[4:]))
    ]
    body = declaration(site, chunks, valid=5, import_id=import_id)
    assert site.post("/sync/v1/imports", by="chen", json=body).status_code == 201
    for n, chunk in enumerate(chunks):
        assert put(site, import_id, n, chunk).status_code == 204
    commit(site, import_id)
    ended = progress(site, import_id).json()
    assert (ended["state"], ended["stored"], ended["refused"]) == ("done", 5, 3)
    refused = site.get(f"/sync/v1/imports/{import_id}/refused", by="chen").json()["items"]
    assert [one["line"] for one in refused] == [6, 7, 8]
    assert done(site, fresh(2, start=50)).status_code == 200  # the next lot's numbers are free
    site.world.check()


def test_line_numbers_that_start_anew_in_a_later_chunk_stop_nothing(site, fresh):
    """Six chunks are two steps of the job; each refuses a line 1. A console would not send that."""
    keys = fresh(6)
    import_id = ids.new_id()
    chunks = [seal(site, [(1, "", "bad\u200b"), (2, "", key)], import_id, n) for n, key in enumerate(keys)]
    body = declaration(site, chunks, valid=12, import_id=import_id)
    site.post("/sync/v1/imports", by="chen", json=body)
    for n, chunk in enumerate(chunks):
        assert put(site, import_id, n, chunk).status_code == 204
    commit(site, import_id)
    ended = progress(site, import_id).json()
    assert (ended["state"], ended["stored"]) == ("done", 6)
    site.world.check()


# --- whose it is ---


def test_nobody_but_its_supplier_and_the_admin_sees_an_import(site, fresh):
    import_id, chunks, body = declared(site, fresh(2))
    for login in site.world.users:
        site.token(login)
    before = state(site)
    paths = [("GET", ""), ("GET", "/refused"), ("POST", "/commit")]
    for by, expected in (("zhao", (404, "not_found")), ("zhou", (403, "not_allowed")), ("li", (403, "not_allowed"))):
        for method, path in paths:
            assert problem(site.request(method, f"/sync/v1/imports/{import_id}{path}", by=by)) == expected, (by, path)
        assert problem(put(site, import_id, 0, chunks[0], by=by)) == expected
        other = (404, "unknown_sku") if expected[0] == 404 else expected
        assert problem(site.post("/sync/v1/imports", by=by, json=body)) == other
    for method, path in paths:
        assert problem(site.request(method, f"/sync/v1/imports/{import_id}{path}")) == (401, "not_signed_in")
    # An id that another supplier uses tells it nothing, not even for a SKU of its own.
    assert problem(site.post("/sync/v1/imports", by="zhao", json=body | {"sku": "OFFICE-1Y"})) == (404, "not_found")
    assert state(site) == before
    assert progress(site, import_id, by="wang").json()["missing"] == [0]
    unknown = ids.new_id()
    assert problem(progress(site, unknown)) == problem(commit(site, unknown)) == (404, "not_found")
    assert problem(progress(site, "nonsense")) == (422, "bad_field")


# --- at once ---


@pytest.mark.parametrize("kind", ["postgres", "mariadb"])
def test_the_same_steps_at_once_do_each_thing_once(kind, tmp_path):
    """A console that lost the answer sends again while the first request still runs."""
    from server.stock import intake
    from shared.contracts.stock import NewImport
    from shared.states import ImportState

    url = engines.url(kind)
    with world(url, tmp_path) as shop:
        batches = [shop.declare("STEAM-50", shop.keys("STEAM-50", 5, start=at)) for at in (0, 100)]
        troubles = []

        def together(step):
            gate = threading.Barrier(4)

            def run(n):
                gate.wait()
                try:
                    with shop.ctx.db.tx() as tx:
                        step(tx, *batches[n % 2])
                except Exception as error:  # noqa: BLE001 - shown by the assertion
                    troubles.append(error)

            threads = [threading.Thread(target=run, args=(n,)) for n in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()

        def declare(tx, body: NewImport, _sealed):
            intake.declare(tx, shop.ctx.keys, body, shop.shelf("STEAM-50"), actor="system")

        together(declare)
        together(lambda tx, body, sealed: intake.receive(tx, body.id, 0, sealed[0]))
        together(lambda tx, body, _sealed: intake.commit(tx, shop.ctx.keys, body.id, actor="system"))
        assert troubles == []
        workers = [threading.Thread(target=shop.work) for _ in range(3)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        with shop.ctx.db.read() as tx:
            found = [tx.get(intake.StockImport, body.id) for body, _ in batches]
            assert [(one.state, one.stored) for one in found] == [(ImportState.DONE, 5)] * 2
        assert shop.level("STEAM-50").free == 10
        assert shop.check().figures["units_imported"] == 10
    engines.drop(url)


# --- no key in the clear ---


def test_planted_keys_are_nowhere_on_the_disk(tmp_path, capfd):
    """Database, write-ahead log, key ring, logs: the raw bytes of the whole data folder and all that was logged."""
    planted = [f"PLANTED-{n}-7H3K-EY5X" for n in range(40)]
    bad = "PLANTED-BAD-\u200b-7H3K"
    handler = logging.FileHandler(tmp_path / "log.txt")
    handler.setFormatter(telemetry.JsonLines())
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        with opened(tmp_path) as site:
            import_id, chunks, _ = declared(site, [*planted, bad], per_chunk=20)
            put(site, import_id, 0, chunks[0] + b"x")
            for n, chunk in enumerate(chunks):
                put(site, import_id, n, chunk)
            commit(site, import_id)
            bought = site.world.buy(UUID(int=1), "STEAM-50", 3)
            page = site.get(f"/o/{bought.order.code}", buyer=UUID(int=1), headers={"accept": "text/html"})
            assert (page.status_code, page.headers["cache-control"]) == (200, "no-store")
            shown = site.get(f"/o/{bought.order.code}/keys.txt", buyer=UUID(int=1)).text
            assert all(key in shown for key in planted[:3])
            database = Path(site.world.ctx.db.url.database)
            files = [*database.parent.rglob("*"), *tmp_path.rglob("*")]
            seen = {one.name: one.read_bytes() for one in files if one.is_file()}
    finally:
        root.removeHandler(handler)
        root.setLevel(level)
        handler.close()
    seen["log.txt"] = (tmp_path / "log.txt").read_bytes()
    assert {"kameng.db", "kameng.db-wal", "keyring.json", "log.txt"} <= set(seen)
    assert len(seen["kameng.db"] + seen["kameng.db-wal"]) > 100_000
    assert b"STEAM-50" in seen["kameng.db"] + seen["kameng.db-wal"]  # the search does find what is there
    for name, content in seen.items():
        for encoding in ("utf-8", "utf-16-le", "utf-32-le"):
            assert "PLANTED".encode(encoding) not in content, name
        assert base64.b64encode(b"PLANTED-")[:8] not in content, name
        assert b"7H3K" not in content, name
    captured = capfd.readouterr()
    assert "PLANTED" not in captured.out + captured.err
