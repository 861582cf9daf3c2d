"""The two local files: rights, versions, corruption, and what each of them never holds."""

import os
import sqlite3
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest

from desktop.paths import Folders, locate, prepare
from desktop.store.outbox import Outbox, SealedChunk, UploadState
from desktop.store.replica import Replica, SeenList
from desktop.store.sqlite import StoreDamaged, StoreTooNew, StoreUnusable
from shared import ids
from shared.contracts.stock import FileFigures

AT = datetime(2026, 11, 21, 1, 42, 3, 4, tzinfo=UTC)
FIGURES = FileFigures(read=12, valid=9, duplicates=1, refused=1, skipped=1)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def outbox(tmp_path):
    opened = Outbox(tmp_path / "outbox.db")
    yield opened
    opened.close()


def begin(outbox: Outbox, **other):
    facts = {"account": "chen@https://s", "sku": "A", "file": Path("/x/keys.txt"), "file_sha256": "ab" * 32}
    return outbox.begin(
        **{"upload_id": ids.new_id(), "key_id": "k1", "owner": "me", **facts, **other, "file_name": "keys.txt"},
        options="{}",
    )


def chunks(count: int) -> list[SealedChunk]:
    return [SealedChunk(n=n, sha256=f"{n:064x}", sealed=bytes([n]) * 100) for n in range(count)]


@pytest.mark.skipif(os.name == "nt", reason="rights are the profile's")
def test_folder_and_files_are_for_this_user_only_whatever_was_there(tmp_path):
    before = os.umask(0)
    try:
        folders = Folders(tmp_path / "home")
        folders.home.mkdir(mode=0o777)
        folders.replica_file.touch(mode=0o666)
        prepare(folders)
        Outbox(folders.outbox_file).close()
        Replica(folders.replica_file).close()
    finally:
        os.umask(before)
    assert [mode(path) for path in (folders.home, folders.locks, folders.logs)] == [0o700] * 3
    assert [mode(path) for path in (folders.outbox_file, folders.replica_file)] == [0o600] * 2


@pytest.mark.parametrize(
    ("platform", "env", "home"),
    [
        ("linux", {"HOME": "/h/a"}, "/h/a/.local/share/kameng"),
        ("linux", {"HOME": "/h/a", "XDG_DATA_HOME": "/data"}, "/data/kameng"),
        ("darwin", {"HOME": "/h/a"}, "/h/a/Library/Application Support/Kameng"),
        ("win32", {"LOCALAPPDATA": "/C/local", "USERPROFILE": "/C/a"}, "/C/local/Kameng"),
        ("linux", {"HOME": "/h/a", "KAMENG_HOME": "/elsewhere"}, "/elsewhere"),
    ],
)
def test_the_data_folder_is_where_the_platform_keeps_data(platform, env, home):
    assert locate(env, platform).home == Path(home)


def test_the_outbox_survives_power_loss_and_wipes_what_it_deletes(outbox, tmp_path):
    with outbox._engine.connect() as connection:
        pragmas = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()
            for name in ("journal_mode", "synchronous", "secure_delete", "foreign_keys")
        }
    assert pragmas == {"journal_mode": "wal", "synchronous": 2, "secure_delete": 1, "foreign_keys": 1}
    secret = b"\xc3sealed bytes that must not be found again\xc3" * 50
    upload = begin(outbox)
    outbox.add_chunks(upload.id, [SealedChunk(n=0, sha256="0" * 64, sealed=secret)])
    outbox.complete(upload.id, FIGURES)

    def everything():
        return b"".join(path.read_bytes() for path in tmp_path.glob("outbox.db*"))

    assert secret[:40] in everything()
    outbox.finish(upload.id, UploadState.DONE)
    assert secret[:40] not in everything()


def test_an_upload_keeps_its_ledger_and_chunks_through_a_restart(tmp_path):
    first = Outbox(tmp_path / "outbox.db")
    upload = begin(first)
    assert (upload.state, upload.chunks, upload.chunks_sent) == (UploadState.READING, 0, 0)
    first.add_chunks(upload.id, chunks(2))
    first.add_chunks(upload.id, [SealedChunk(n=2, sha256="f" * 64, sealed=b"zz")])
    first.complete(upload.id, FIGURES)
    first.move(upload.id, UploadState.UPLOADING)
    first.mark_sent(upload.id, [0])
    device = first.device_id()
    first.close()
    again = Outbox(tmp_path / "outbox.db")
    kept = again.upload(upload.id)
    assert (kept.state, kept.figures, kept.chunks, kept.chunks_sent) == (UploadState.UPLOADING, FIGURES, 3, 1)
    assert kept.created_at == upload.created_at
    assert again.chunk_hashes(upload.id) == [f"{0:064x}", f"{1:064x}", "f" * 64]
    assert again.unsent(upload.id) == [1, 2]
    assert again.chunk(upload.id, 1) == SealedChunk(n=1, sha256=f"{1:064x}", sealed=b"\x01" * 100)
    again.mark_missing(upload.id, [0, 2])
    assert again.unsent(upload.id) == [0, 2]
    assert again.device_id() == device
    again.close()


def test_an_upload_never_goes_back(outbox):
    upload = begin(outbox)
    outbox.add_chunks(upload.id, chunks(1))
    outbox.complete(upload.id, FIGURES)
    outbox.move(upload.id, UploadState.INGESTING)
    outbox.move(upload.id, UploadState.UPLOADING)
    assert outbox.upload(upload.id).state is UploadState.INGESTING
    done = outbox.finish(upload.id, UploadState.DONE)
    outbox.finish(upload.id, UploadState.CANCELLED)
    outbox.pause(upload.id, paused=True)
    outbox.complete(upload.id, FIGURES)
    assert outbox.upload(upload.id) == done
    assert (done.state, done.chunks, done.chunks_sent) == (UploadState.DONE, 1, 1)


def test_an_outbox_of_the_first_version_gets_the_columns_that_are_new(tmp_path):
    path = tmp_path / "outbox.db"
    first = Outbox(path)
    upload = begin(first)
    first.close()
    with sqlite3.connect(path) as db:
        for column in ("announced", "cancel_owed", "options"):
            db.execute(f"ALTER TABLE upload DROP COLUMN {column}")
        for column in ("rows", "first_line", "last_line"):
            db.execute(f"ALTER TABLE upload_chunk DROP COLUMN {column}")
        db.execute("DROP TABLE import_habit")
        db.execute("PRAGMA user_version = 1000")
    db.close()
    again = Outbox(path)
    try:
        kept = again.upload(upload.id)
        assert (kept.file_name, kept.announced, kept.cancel_owed, kept.options) == ("keys.txt", False, False, None)
        again.add_chunks(upload.id, chunks(1))
        assert again.held(upload.id) is None, "an old chunk does not say which lines it holds"
        again.set_habit(account="a", goods="g", options="{}")
        assert (again.habit(account="a", goods="g"), again.habit(account="b", goods="g")) == ("{}", None)
    finally:
        again.close()


def test_uploads_are_found_by_file_and_listed_by_account(outbox):
    mine, other = begin(outbox), begin(outbox, account="li@https://s")
    again = begin(outbox, file=Path("/y/renamed.txt"))
    begin(outbox, sku="B")
    outbox.finish(mine.id, UploadState.FAILED, error=("import.file_changed", '{"name": "keys.txt"}'))
    found = outbox.uploads_of_file(account="chen@https://s", file_sha256="ab" * 32, sku="A")
    assert [upload.id for upload in found] == [again.id, mine.id]
    assert (found[1].error_code, found[1].error_params) == ("import.file_changed", '{"name": "keys.txt"}')
    assert [upload.id for upload in outbox.uploads(account="li@https://s")] == [other.id]
    outbox.forget(other.id)
    with pytest.raises(LookupError):
        outbox.upload(other.id)


def test_settings_are_replaced_and_forgotten(outbox):
    assert outbox.setting("account") is None
    outbox.set_setting("account", "1")
    outbox.set_setting("account", "2")
    assert outbox.setting("account") == "2"
    outbox.set_setting("account", None)
    assert outbox.setting("account") is None


@pytest.mark.parametrize(("version", "opens"), [(1_001, True), (1_007, True), (2_000, False)])
def test_a_newer_minor_opens_and_a_newer_major_is_refused(tmp_path, version, opens):
    path = tmp_path / "outbox.db"
    Outbox(path).close()
    with sqlite3.connect(path) as db:
        db.execute(f"PRAGMA user_version = {version}")
    db.close()
    if opens:
        Outbox(path).close()
        with sqlite3.connect(path) as db:
            assert db.execute("PRAGMA user_version").fetchone() == (version,)
        db.close()
        return
    with pytest.raises(StoreTooNew) as caught:
        Outbox(path)
    assert caught.value.params == {"path": "outbox.db", "found": "2.0", "known": "1.1"}
    assert "请安装新版本" in caught.value.sentence("zh")
    # Refused means untouched.
    with sqlite3.connect(path) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (2_000,)
    db.close()


def _noise(path: Path) -> None:
    path.write_bytes(b"this is not a database, it is a letter to my aunt\n" * 200)


def _torn(path: Path) -> None:
    """The disk lost the middle of the file."""
    content = bytearray(path.read_bytes())
    content[4_096 : len(content)] = os.urandom(len(content) - 4_096)
    path.write_bytes(content)


@pytest.mark.parametrize("damage", [_noise, _torn])
def test_a_damaged_replica_is_moved_aside_and_made_anew(tmp_path, damage):
    path = tmp_path / "replica.db"
    first = Replica(path)
    for n in range(50):
        first.remember(scope="s", list_name=f"l{n}", as_of=AT, body="x" * 500)
    first.close()
    damage(path)
    damaged = path.read_bytes()
    aside: list[Path] = []
    again = Replica(path, rebuilt=aside.append)
    assert aside == [tmp_path / "replica.db.damaged"]
    assert aside[0].read_bytes() == damaged
    assert again.recall(scope="s", list_name="l1") is None
    again.remember(scope="s", list_name="l1", as_of=AT, body="[]")
    assert again.recall(scope="s", list_name="l1") == SeenList(as_of=AT, body="[]")
    again.close()
    assert mode(path) == 0o600 or os.name == "nt"


def test_a_replica_that_breaks_while_it_is_open_is_made_anew_too(tmp_path):
    path = tmp_path / "replica.db"
    aside: list[Path] = []
    replica = Replica(path, rebuilt=aside.append)
    replica.remember(scope="s", list_name="l", as_of=AT, body="[]")
    with replica._engine.connect() as connection:
        raw = connection.connection.cursor()
        raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        raw.close()
    with path.open("r+b") as file:
        file.write(b"\0" * 8_192)
    replica._engine.dispose()
    assert replica.recall(scope="s", list_name="l") is None
    assert aside == [tmp_path / "replica.db.damaged"]
    replica.close()


def test_a_damaged_outbox_is_never_thrown_away(tmp_path):
    path = tmp_path / "outbox.db"
    _noise(path)
    before = path.read_bytes()
    with pytest.raises(StoreDamaged) as caught:
        Outbox(path)
    assert "outbox.db" in caught.value.sentence("zh")
    assert path.read_bytes() == before


def test_a_place_that_cannot_hold_a_file_is_said_so(tmp_path):
    (tmp_path / "outbox.db").mkdir()
    with pytest.raises(StoreUnusable) as caught:
        Outbox(tmp_path / "outbox.db")
    assert str(tmp_path / "outbox.db") in caught.value.sentence("en")


def test_an_older_answer_does_not_replace_a_newer_one(tmp_path):
    replica = Replica(tmp_path / "replica.db")
    replica.remember(scope="a", list_name="stock", as_of=AT, body="new")
    replica.remember(scope="a", list_name="stock", as_of=AT.replace(hour=0), body="old")
    assert replica.recall(scope="a", list_name="stock") == SeenList(as_of=AT, body="new")
    replica.close()


def test_lists_and_cursor_belong_to_one_person_and_one_epoch(tmp_path):
    replica = Replica(tmp_path / "replica.db")
    for scope in ("a", "b"):
        replica.remember(scope=scope, list_name="stock", as_of=AT, body=scope)
        replica.advance(scope=scope, epoch="e1", cursor=7)
    assert replica.recall(scope="b", list_name="stock") == SeenList(as_of=AT, body="b")
    assert replica.cursor(scope="a", epoch="e1") == 7
    assert replica.cursor(scope="a", epoch="restored") is None
    replica.forget_others(scope="a")
    assert replica.recall(scope="b", list_name="stock") is None
    assert replica.cursor(scope="b", epoch="e1") is None
    assert replica.recall(scope="a", list_name="stock") == SeenList(as_of=AT, body="a")
    replica.forget_others(scope=None)
    assert replica.recall(scope="a", list_name="stock") is None
    replica.close()
