"""Uploads that end without a commit, over HTTP: nothing of them stays, and no key is lost with them."""

import hashlib
from datetime import timedelta

import pytest

from shared import clock
from tests.server.conftest import opened
from tests.server.uploading import (
    announcement,
    begun,
    commit,
    done,
    figures,
    problem,
    progress,
    put,
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


# --- given up ---


def test_a_cancelled_import_leaves_nothing_and_its_keys_may_come_again(site, fresh):
    keys, before, level = fresh(8), state(site), site.world.level("STEAM-50")
    import_id, chunks, body = begun(site, keys)
    path = f"/sync/v1/imports/{import_id}"
    assert put(site, import_id, 0, chunks[0]).status_code == 204
    site.world.work()
    assert progress(site, import_id).json()["stored"] == 4
    assert put(site, import_id, 1, chunks[1]).status_code == 204
    cancelled = site.request("DELETE", path, by="chen")
    assert (cancelled.status_code, cancelled.json()["state"]) == (200, "cancelled")
    assert site.request("DELETE", path, by="chen").json() == cancelled.json()
    assert problem(commit(site, import_id, body)) == (409, "import_ended")
    assert problem(put(site, import_id, 2, seal(site, [(9, "", "Z")], import_id, 2))) == (409, "import_ended")
    again = site.post("/sync/v1/imports", by="chen", json=announcement(site, import_id))
    assert (again.status_code, again.json()["state"]) == (201, "cancelled")
    site.world.work()
    assert problem(put(site, import_id, 0, chunks[0])) == (409, "import_ended")  # nothing is known of it any more
    after = state(site)
    for table in ("card_secret", "stock_unit", "stock_lot", "stock_cursor", "import_chunk", "import_refusal"):
        assert after[table] == before[table], table
    assert site.world.level("STEAM-50") == level
    site.world.check()
    assert figures(done(site, keys)) == ("done", 8, 0, 0)


def test_a_file_that_comes_again_while_its_first_import_is_taken_out_loses_no_key(site, fresh):
    keys = fresh(8)
    import_id, chunks, _ = begun(site, keys)
    send(site, import_id, chunks)
    site.world.work()
    again, chunks, body = begun(site, keys)
    send(site, again, chunks)
    commit(site, again, body)
    # The first is not committed: whose keys these are is not known yet, so the second waits.
    assert figures(progress(site, again).json()) == ("ingesting", 0, 0, 0)
    assert site.request("DELETE", f"/sync/v1/imports/{import_id}", by="chen").status_code == 200
    site.world.work()
    with clock.fixed(clock.now() + timedelta(seconds=6)):
        site.world.work()
    assert figures(progress(site, again).json()) == ("done", 8, 0, 0)


def test_an_upload_that_fell_silent_gives_way_to_the_same_file(site, fresh):
    keys = fresh(4)
    silent, chunks, _ = begun(site, keys)
    send(site, silent, chunks)
    site.world.work()
    again, chunks, body = begun(site, keys)
    send(site, again, chunks)
    commit(site, again, body)
    with clock.fixed(clock.now() + timedelta(minutes=9)):
        site.world.work()
        assert progress(site, silent).json()["state"] == "receiving"
    with clock.fixed(clock.now() + timedelta(minutes=11)):
        site.world.work()
        assert progress(site, silent).json()["state"] == "cancelled"
    with clock.fixed(clock.now() + timedelta(minutes=12)):
        site.world.work()
    assert figures(progress(site, again).json()) == ("done", 4, 0, 0)


def test_of_two_uploads_of_the_same_keys_the_committed_one_has_them(site, fresh):
    keys = fresh(8)
    one, chunks, body = begun(site, keys)
    two, others, other_body = begun(site, keys)
    send(site, one, chunks[:1])
    site.world.work()
    send(site, two, others)
    assert commit(site, two, other_body).json()["state"] == "ingesting"
    send(site, one, chunks)
    commit(site, one, body)
    with clock.fixed(clock.now() + timedelta(seconds=6)):
        site.world.work()
    assert figures(progress(site, one).json()) == ("done", 8, 0, 0)
    assert figures(progress(site, two).json()) == ("done", 0, 8, 0)
