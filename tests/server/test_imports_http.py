"""Bringing card keys in over HTTP: every step repeatable, nothing taken that was not declared, and no key left in the
clear anywhere on the disk."""

import base64
import hashlib
import logging
from pathlib import Path
from uuid import UUID

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from server import telemetry
from server.stock.imports import ingest
from shared import ids
from shared.contracts.stock import CHUNK_BYTES, CHUNK_ROWS, MAX_CHUNKS, MAX_LOTS, MAX_ROWS, MAX_USES, chunk_info
from tests.server.conftest import opened
from tests.server.uploading import (
    HPKE,
    ONE_LOT,
    announced,
    announcement,
    begun,
    commit,
    commitment,
    digest,
    done,
    figures,
    free_for_sale,
    problem,
    progress,
    put,
    refused,
    seal,
    send,
    state,
)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """One shop for all tests here; each brings keys and import ids of its own."""
    with opened(tmp_path_factory.mktemp("site")) as built:
        for login in built.world.users:
            built.token(login)  # before a test counts rows, whichever test comes first
        yield built


@pytest.fixture
def fresh(site, request):
    """Made-up keys that no other test uses."""
    stem = hashlib.sha256(request.node.name.encode()).hexdigest()[:10].upper()

    def keys(count, *, start=0):
        return [f"{stem}-{n:05d}" for n in range(start, start + count)]

    return keys


# --- the straight way, and each step again ---


def test_an_import_goes_through_and_each_step_may_be_repeated(site, fresh):
    before = site.world.level("STEAM-50")
    import_id, chunks, body = begun(site, fresh(10))
    path = f"/sync/v1/imports/{import_id}"
    first = progress(site, import_id).json()
    assert (first["state"], first["received"], first["missing"], first["chunk_count"]) == ("receiving", 0, [], None)
    again = site.post("/sync/v1/imports", by="chen", json=announcement(site, import_id))
    assert (again.status_code, again.json()) == (201, first)
    for n in (2, 0, 0, 2):  # in any order, more than once
        assert put(site, import_id, n, chunks[n]).status_code == 204
    seen = progress(site, import_id).json()
    assert (seen["received"], seen["missing"]) == (2, [1])
    assert problem(commit(site, import_id, body)) == (409, "import_incomplete")
    site.world.work()
    assert progress(site, import_id).json()["stored"] == 4  # the first chunk; the third waits for the second
    assert put(site, import_id, 1, chunks[1]).status_code == 204
    accepted = site.post(f"{path}/commit", by="chen", json=body).json()
    assert (accepted["state"], accepted["missing"], accepted["stored"]) == ("ingesting", [], 4)
    assert (accepted["chunk_count"], accepted["figures"]) == (3, body["figures"])
    counted = state(site)
    assert site.post(f"{path}/commit", by="chen", json=body).json() == accepted
    assert state(site) == counted
    site.world.work()
    ended = progress(site, import_id).json()
    assert (figures(ended), ended["lots"]) == (("done", 10, 0, 0), 1)
    counted = state(site)
    assert commit(site, import_id, body).json() == ended
    assert site.post("/sync/v1/imports", by="chen", json=announcement(site, import_id)).json() == ended
    assert put(site, import_id, 0, chunks[0]).status_code == 204
    assert problem(put(site, import_id, 0, seal(site, [(1, "", "OTHER")], import_id, 0))) == (409, "chunk_differs")
    assert problem(put(site, import_id, 3, seal(site, [(99, "", "MORE")], import_id, 3))) == (409, "import_ended")
    assert problem(site.request("DELETE", path, by="chen")) == (409, "illegal_move")
    site.world.work()
    assert state(site) == counted
    after = site.world.level("STEAM-50")
    assert (after.imported - before.imported, after.free - before.free) == (10, 10)


def test_chunks_are_stored_while_others_still_come_and_none_sells_before_the_commit(site, fresh, monkeypatch):
    """Also where each meets another one at the job that they share: on MariaDB one of both has to come again."""
    enqueue, met = ingest.enqueue, []

    def meet(*its, **more):
        met.append(None)
        if len(met) % 2:
            raise OperationalError("", {}, Exception(1213, "Deadlock found"))
        enqueue(*its, **more)

    monkeypatch.setattr(ingest, "enqueue", meet)
    sellable = free_for_sale(site)
    import_id, chunks, body = begun(site, fresh(8))
    assert put(site, import_id, 0, chunks[0]).status_code == 204
    site.world.work()
    assert (progress(site, import_id).json()["stored"], free_for_sale(site)) == (4, sellable)
    assert put(site, import_id, 1, chunks[1]).status_code == 204
    site.world.work()
    assert (progress(site, import_id).json()["stored"], free_for_sale(site)) == (8, sellable)
    site.world.check()
    commit(site, import_id, body)
    assert free_for_sale(site) == sellable + 8
    with site.world.ctx.db.read() as tx:
        rows = {"id": import_id.bytes}
        assert tx.scalar(text("SELECT COUNT(*) FROM import_chunk WHERE import_id = :id AND sealed IS NULL"), rows) == 2


def test_lines_that_were_not_taken_are_told_by_number_and_reason(site, fresh):
    keys = fresh(7)
    assert done(site, keys[:2])["stored"] == 2
    bad = "bad\u200bkey"
    import_id, chunks, body = begun(
        site, [keys[2], keys[0], bad, keys[3], keys[3], keys[4], keys[1], keys[2]], per_chunk=3
    )
    send(site, import_id, chunks)
    commit(site, import_id, body)
    assert figures(progress(site, import_id).json()) == ("done", 3, 4, 1)
    path = f"/sync/v1/imports/{import_id}/refused"
    page = site.get(path, by="chen", params={"limit": 3}).json()
    assert page["items"] == [
        {"line": 2, "result": "duplicate_in_stock"},
        {"line": 3, "result": "refused"},
        {"line": 5, "result": "duplicate_in_stock"},
    ]
    rest = site.get(path, by="chen", params={"after": page["next"]}).json()
    assert rest["items"] == [{"line": line, "result": "duplicate_in_stock"} for line in (7, 8)]
    assert rest["next"] is None


def test_the_same_file_again_says_of_every_key_that_it_is_known(site, fresh):
    keys = fresh(9)
    assert figures(done(site, keys)) == ("done", 9, 0, 0)
    before, lots = site.world.level("STEAM-50"), state(site)["stock_lot"]
    again = done(site, keys)
    assert (figures(again), again["lots"]) == (("done", 0, 9, 0), 0)
    assert refused(site, again["id"]) == dict.fromkeys(range(1, 10), "duplicate_in_stock")
    assert (site.world.level("STEAM-50"), state(site)["stock_lot"]) == (before, lots)  # no empty lot stays


# --- what is refused, exactly, and changes nothing ---


def wrong_announcements():
    """What is wrong with an announcement, and its answer."""
    return {
        "unknown field": ({"colour": "red"}, (422, "bad_field")),
        "no id": ({"id": None}, (422, "bad_field")),
        "not an id": ({"id": "1"}, (422, "bad_field")),
        "a name of NUL": ({"file_name": "a\0b"}, (422, "bad_field")),
        "a long name": ({"file_name": "a" * 121}, (422, "bad_field")),
        "an unknown SKU": ({"sku": "NO-SUCH"}, (404, "unknown_sku")),
        "another supplier's SKU": ({"sku": "OFFICE-1Y"}, (404, "unknown_sku")),
        "an old key": ({"key_id": "0" * 16}, (409, "import_key_changed")),
    }


def test_an_announcement_that_is_wrong_is_refused_and_leaves_no_row(site):
    before = state(site)
    for name, (change, expected) in wrong_announcements().items():
        body = announcement(site, ids.new_id()) | change
        assert problem(site.post("/sync/v1/imports", by="chen", json=body)) == expected, name
    for content in (b"", b"{", b"[]", b"null", b'"x"', b"\xff", b"{" * 5_000, b'{"id": NaN}'):
        answer = site.post("/sync/v1/imports", by="chen", content=content, headers={"content-type": "application/json"})
        assert answer.status_code in {400, 422}, (content, answer.text)
    assert state(site) == before


def test_an_import_id_stands_for_one_file(site, fresh):
    import_id, _, _ = begun(site, fresh(3))
    before = state(site)
    for change in ({"file_name": "other.xlsx"}, {"sku": "MUSIC-30"}, {"key_id": "0" * 16}):
        answer = site.post("/sync/v1/imports", by="chen", json=announcement(site, import_id) | change)
        assert problem(answer) == (422, "idempotency_reused")
    assert state(site) == before


def wrong_commitments(right):
    """What is wrong with a commitment of two full chunks of four, and its answer."""
    counts = right["figures"]
    return {
        "unknown field": ({"colour": "red"}, (422, "bad_field")),
        "not a hash": ({"root_sha256": "x"}, (422, "bad_field")),
        "upper case hash": ({"file_sha256": "A" * 64}, (422, "bad_field")),
        "figures that do not add up": ({"figures": counts | {"read": 9}}, (422, "bad_field")),
        "negative figures": ({"figures": counts | {"read": 7, "skipped": -1}}, (422, "bad_field")),
        "endless figures": ({"figures": counts | {"read": 10**30, "valid": 10**30}}, (422, "bad_field")),
        "no chunks": ({"chunks": 0}, (422, "bad_field")),
        "more rows than an import may have": (
            {"figures": counts | {"read": MAX_ROWS + 1, "valid": MAX_ROWS + 1}},
            (422, "bad_field"),
        ),
        "a chunk that has not come": ({"chunks": 3}, (409, "import_incomplete")),
        "a chunk too few": ({"chunks": 1}, (409, "import_differs")),
        "another root": ({"root_sha256": "1" * 64}, (409, "import_differs")),
        "a card that has not come": ({"figures": counts | {"read": 9, "valid": 9}}, (409, "import_differs")),
        "a card too few": ({"figures": counts | {"read": 8, "valid": 7, "skipped": 1}}, (409, "import_differs")),
    }


def test_a_commitment_that_is_wrong_is_refused_and_nothing_sells(site, fresh):
    import_id, chunks, right = begun(site, fresh(8))
    assert problem(commit(site, import_id, right)) == (409, "import_incomplete")
    send(site, import_id, chunks)
    site.world.work()
    before, sellable = state(site), free_for_sale(site)
    for name, (change, expected) in wrong_commitments(right).items():
        assert problem(commit(site, import_id, right | change)) == expected, name
    assert (state(site), free_for_sale(site), progress(site, import_id).json()["state"]) == (
        before,
        sellable,
        "receiving",
    )
    assert commit(site, import_id, right).status_code == 200
    assert free_for_sale(site) == sellable + 8
    before = state(site)
    for change in ({"root_sha256": "1" * 64}, {"file_sha256": "1" * 64}, {"chunks": 3}, {"figures": empty_figures()}):
        assert problem(commit(site, import_id, right | change)) == (422, "idempotency_reused")
    assert state(site) == before


def empty_figures():
    return dict.fromkeys(("read", "valid", "duplicates", "refused", "skipped"), 0)


def test_a_chunk_that_belongs_elsewhere_or_nowhere_is_refused(site, fresh):
    import_id, chunks, _ = begun(site, fresh(8))
    before = state(site)
    stranger = X25519PrivateKey.generate().public_key()
    for content in (
        chunks[1],  # sealed for another place
        seal(site, [(1, "", "A")], ids.new_id(), 0),  # for another import
        seal(site, [(1, "", "A")], import_id, 0, key=stranger),  # to somebody else
        chunks[0][:-1],
        chunks[0] + b"x",
        b"",
        b"x" * 100,
    ):
        assert problem(put(site, import_id, 0, content)) == (422, "chunk_unreadable")
    assert state(site) == before
    assert put(site, import_id, 0, chunks[0]).status_code == 204
    before = state(site)
    other = seal(site, [(1, "", fresh(1, start=90)[0])], import_id, 0)
    assert problem(put(site, import_id, 0, other)) == (409, "chunk_differs")
    assert state(site) == before


UNSEALED = [
    [ONE_LOT, [(n, "", f"K{n}", 0) for n in range(1, CHUNK_ROWS + 2)]],
    [ONE_LOT, [(1, "", "A", 0), (1, "", "B", 0)]],
    [ONE_LOT, [(2, "", "A", 0), (1, "", "B", 0)]],
    [ONE_LOT, [(0, "", "A", 0)]],
    [ONE_LOT, [(-1, "", "A", 0)]],
    [ONE_LOT, [(2**63, "", "A", 0)]],
    [ONE_LOT, [(1, "", "A", 1)]],
    [ONE_LOT, [(1, "", "A", -1)]],
    [[], [(1, "", "A", 0)]],
    [ONE_LOT, [(1, "", "A", 0, "surplus")]],
    [ONE_LOT, [(1, "", 7, 0)]],
    [ONE_LOT, [(1, "", b"\xff\xfe", 0)]],
    [[("2027-02-30", None, 1)], [(1, "", "A", 0)]],
    [[("soon", None, 1)], [(1, "", "A", 0)]],
    [[(None, -1, 1)], [(1, "", "A", 0)]],
    [[(None, 10**11 + 1, 1)], [(1, "", "A", 0)]],
    [[(None, 0.5, 1)], [(1, "", "A", 0)]],
    [[(None, None, 0)], [(1, "", "A", 0)]],
    [[(None, None, MAX_USES + 1)], [(1, "", "A", 0)]],
    [[(None, n, 1) for n in range(MAX_LOTS + 1)], [(1, "", "A", 0)]],
    [ONE_LOT, [{"line": 1}]],
    {"rows": []},
    "text",
    None,
]


@pytest.mark.parametrize("content", UNSEALED, ids=range(len(UNSEALED)))
def test_a_chunk_that_was_sealed_by_no_console_is_refused_as_it_arrives(site, content):
    import_id = announced(site)
    public = X25519PublicKey.from_public_bytes(site.world.ctx.keys.import_public_key)
    chunk = HPKE.encrypt(msgspec.msgpack.encode(content), public, chunk_info(import_id, 0))
    before = state(site)
    assert problem(put(site, import_id, 0, chunk)) == (422, "chunk_unreadable")
    assert state(site) == before


def test_a_chunk_must_say_its_digest_truly(site, fresh):
    import_id, [chunk], _ = begun(site, fresh(2))
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


@pytest.mark.parametrize("number", ["-1", "x", "1.5", str(MAX_CHUNKS), "9" * 40])
def test_a_chunk_number_that_cannot_be_is_refused(site, fresh, number):
    import_id, [chunk], _ = begun(site, fresh(2))
    assert problem(put(site, import_id, number, chunk)) == (422, "bad_field")


def test_a_chunk_that_is_too_large_is_refused_however_it_comes(site, fresh):
    import_id, _, _ = begun(site, fresh(2))
    large = bytes(CHUNK_BYTES + 1)
    assert problem(put(site, import_id, 0, large)) == (413, "too_large")
    huge = bytes(CHUNK_BYTES + 200_000)
    assert problem(put(site, import_id, 0, huge)) == (413, "too_large")

    async def dripping():
        for _ in range(80):
            yield bytes(65_536)

    answer = site.request("PUT", f"/sync/v1/imports/{import_id}/chunks/0", by="chen", content=dripping())
    assert problem(answer) == (413, "too_large")


def test_line_numbers_that_start_anew_in_a_later_chunk_stop_nothing(site, fresh):
    """Each chunk refuses a line 1. A console would not send that."""
    keys = fresh(6)
    import_id = announced(site)
    chunks = [seal(site, [(1, "", "bad\u200b"), (2, "", key)], import_id, n) for n, key in enumerate(keys)]
    send(site, import_id, chunks[:2])
    site.world.work()
    send(site, import_id, chunks)
    commit(site, import_id, commitment(chunks, valid=12))
    assert figures(progress(site, import_id).json()) == ("done", 6, 0, 6)
    assert refused(site, import_id) == {1: "refused"}


# --- whose it is ---


def test_nobody_but_its_supplier_and_the_admin_sees_an_import(site, fresh):
    import_id, chunks, body = begun(site, fresh(2))
    for login in site.world.users:
        site.token(login)
    before = state(site)
    paths = [("GET", "", None), ("GET", "/refused", None), ("POST", "/commit", body), ("DELETE", "", None)]
    announce = announcement(site, import_id)
    for by, expected in (("zhao", (404, "not_found")), ("zhou", (403, "not_allowed")), ("li", (403, "not_allowed"))):
        for method, path, sent in paths:
            answer = site.request(method, f"/sync/v1/imports/{import_id}{path}", by=by, json=sent)
            assert problem(answer) == expected, (by, method, path)
        assert problem(put(site, import_id, 0, chunks[0], by=by)) == expected
        other = (404, "unknown_sku") if expected[0] == 404 else expected
        assert problem(site.post("/sync/v1/imports", by=by, json=announce)) == other
    for method, path, sent in paths:
        answer = site.request(method, f"/sync/v1/imports/{import_id}{path}", json=sent)
        assert problem(answer) == (401, "not_signed_in")
    # An id that another supplier uses tells it nothing, not even for a SKU of its own.
    assert problem(site.post("/sync/v1/imports", by="zhao", json=announce | {"sku": "OFFICE-1Y"})) == (404, "not_found")
    assert state(site) == before
    assert put(site, import_id, 0, chunks[0], by="wang").status_code == 204
    assert progress(site, import_id, by="wang").json()["received"] == 1
    unknown = ids.new_id()
    assert problem(progress(site, unknown)) == problem(commit(site, unknown, body)) == (404, "not_found")
    assert problem(progress(site, "nonsense")) == (422, "bad_field")


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
            import_id, chunks, body = begun(site, [*planted, bad], per_chunk=20)
            put(site, import_id, 0, chunks[0] + b"x")
            send(site, import_id, chunks)
            commit(site, import_id, body)
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
