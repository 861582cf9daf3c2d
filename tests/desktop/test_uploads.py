"""Imports through the engine against the real server: lines that break, answers that get lost, programs that stop."""

import asyncio
import sqlite3
import threading
from uuid import UUID

import pytest

from desktop.credentials import MemoryVault
from desktop.engine.events import (
    ChangesArrived,
    Connection,
    ConnectionChanged,
    ImportProgressed,
    ImportRead,
    ImportStage,
)
from desktop.engine.uploads import Pace, WaitedTooLong
from desktop.importing import Chunk, ImportProcess, Options
from desktop.importing.chunk import ReadDiffers
from desktop.operations import imports
from desktop.operations.imports import ImportRunning, NothingToImport, TooLateToCancel
from server.stock import queries as stock_queries
from shared.errors import KamengError
from tests.desktop.live import Line


def keys_file(folder, keys, name="keys.txt"):
    path = folder / name
    path.write_text("\n".join(keys) + "\n", "utf-8")
    return path


def import_file(console, file, sku="STEAM-50", **options):
    """Start and wait; answers the outcome."""
    begun = console.run(imports.start(console.engine, file=file, sku=sku, **options))
    return console.run(imports.wait(console.engine, begun.id))


def is_read(event):
    """Whether an import's file was read to its end."""
    return isinstance(event, ImportProgressed) and event.stage is ImportStage.READY


def knows_of_two(event):
    """Whether the console knows that the server has two chunks: else it rightly sends one again."""
    return isinstance(event, ImportProgressed) and event.chunks_sent == 2


def for_sale(shop, sku="STEAM-50"):
    """How many units can be bought now."""
    sku_id = shop.world.skus[sku].sku_id
    with shop.world.ctx.db.read() as tx:
        return stock_queries.free_counts(tx, [sku_id]).get(sku_id, 0)


def drained(shop, sku="STEAM-50"):
    """The level of a SKU when every job that is due was done."""
    shop.world.ctx.jobs.close()
    shop.world.work()
    return shop.world.level(sku)


def ledger_of(outcome):
    progress = outcome.progress
    return progress.stage, progress.stored, progress.duplicates_in_stock, progress.refused_by_server


class Faults:
    """Wraps the server: counts what arrives, answers some of it with 503, holds some of it until told."""

    def __init__(self):
        self.puts: list[int] = []
        self.at_once = self.most_at_once = 0
        self.busy: set[int] = set()
        self.hold_from: int | None = None
        self.held, self.release, self.two_at_once = threading.Event(), threading.Event(), threading.Event()
        self.when_put: dict[int, threading.Event] = {}

    def __call__(self, asgi):
        async def faulty(scope, receive, send):
            if scope["type"] != "http" or scope["method"] != "PUT":
                return await asgi(scope, receive, send)
            n = int(scope["path"].rsplit("/", 1)[1])
            self.puts.append(n)
            if n in self.when_put:
                self.when_put[n].set()
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
            try:
                if n in self.busy:
                    self.busy.discard(n)
                    await send({"type": "http.response.start", "status": 503, "headers": [(b"retry-after", b"0")]})
                    return await send({"type": "http.response.body", "body": b""})
                if self.hold_from is not None and n >= self.hold_from:
                    self.held.set()
                    if self.at_once == 2:
                        self.two_at_once.set()
                    await asyncio.to_thread(self.release.wait, 60)
                return await asgi(scope, receive, send)
            finally:
                self.at_once -= 1

        return faulty


class Reading:
    """Stops the reading of a file at some of its chunks, each until it is let past: no machine is too fast for it."""

    def __init__(self, monkeypatch, *stops: int):
        self._stops = {n: threading.Event() for n in stops}
        real = ImportProcess.receive

        def receive(process, timeout_seconds):
            message = real(process, timeout_seconds)
            if isinstance(message, Chunk) and message.n in self._stops:
                assert self._stops[message.n].wait(60)
            return message

        monkeypatch.setattr(ImportProcess, "receive", receive)

    def let_past(self, n: int) -> threading.Event:
        """What to set to let the reading go on past a chunk."""
        return self._stops[n]


def test_chunks_travel_two_at_a_time_and_busy_ones_again(in_shop, console, tmp_path):
    faults = Faults()
    faults.busy, faults.hold_from = {1, 4}, 0
    with in_shop(wrap=faults) as shop:
        a = console(follow=False)
        a.sign_in(shop.url, "chen")
        file = keys_file(tmp_path, shop.world.keys("STEAM-50", 28_000))
        begun = a.run(imports.start(a.engine, file=file, sku="STEAM-50"))
        assert faults.two_at_once.wait(60)
        faults.hold_from = None
        faults.release.set()
        outcome = a.run(imports.wait(a.engine, begun.id))
        assert ledger_of(outcome) == (ImportStage.DONE, 28_000, 0, 0)
        assert sorted(faults.puts) == [0, 1, 1, 2, 3, 4, 4, 5]
        assert faults.most_at_once == 2
        assert shop.world.level("STEAM-50").free == 28_000
        shop.world.check()


def test_progress_is_told_in_order_and_always_adds_up(live_shop, console, tmp_path):
    a = console(follow=False)
    a.sign_in(live_shop.url, "chen")
    keys = live_shop.world.keys("STEAM-50", 12_000)
    live_shop.world.stock("STEAM-50", keys[:7])
    outcome = import_file(a, keys_file(tmp_path, [*keys, keys[0]]))
    assert ledger_of(outcome) == (ImportStage.DONE, 11_993, 7, 0)
    assert outcome.progress.adds_up
    order = [ImportStage.READING, ImportStage.READY, ImportStage.UPLOADING, ImportStage.INGESTING, ImportStage.DONE]
    told = a.told(ImportProgressed)
    stages = [order.index(progress.stage) for progress in told]
    assert stages == sorted(stages)
    assert set(stages) == set(range(5))
    assert [p.chunks_sent for p in told if p.stage is ImportStage.UPLOADING][-1] == 3
    assert all(0 <= progress.fraction <= 1 for progress in told)
    (read,) = a.told(ImportRead)
    assert read.ledger == outcome.ledger
    assert (read.ledger.read, read.ledger.valid, read.ledger.duplicates) == (12_001, 12_000, 1)
    assert a.told(ChangesArrived)[-1].touches("stock")
    lines = a.run(imports.refused_lines(a.engine, outcome.progress.id))
    assert [line.line for line in lines] == [1, 2, 3, 4, 5, 6, 7]
    assert a.run(imports.list_imports(a.engine)) == [outcome.progress]


@pytest.mark.parametrize("lost", [3, 5])  # the first two are asked about the product's rule
def test_lost_answers_are_asked_for_again_and_nothing_is_stored_twice(live_shop, console, tmp_path, lost):
    with Line(live_shop.port) as line:
        a = console(follow=False)
        a.sign_in(line.url, "chen")
        a.run(a.engine.session.import_key())
        line.lose_answers = lost
        outcome = import_file(a, keys_file(tmp_path, live_shop.world.keys("STEAM-50", 12_000)))
        assert ledger_of(outcome) == (ImportStage.DONE, 12_000, 0, 0)
        assert line.lose_answers == 0
        assert {p.why.code for p in a.told(ImportProgressed) if p.why} == {"unreachable"}
        assert live_shop.world.level("STEAM-50").imported == 12_000
        live_shop.world.check()


def test_a_file_is_read_offline_and_sent_when_the_line_is_back(live_shop, console, tmp_path):
    with Line(live_shop.port) as line:
        a = console()
        a.sign_in(line.url, "chen")
        a.wait_for(lambda e: isinstance(e, ConnectionChanged) and e.state is Connection.ONLINE)
        line.cut()
        file = keys_file(tmp_path, live_shop.world.keys("STEAM-50", 100))
        begun = a.run(imports.start(a.engine, file=file, sku="STEAM-50"))
        a.wait_for(lambda e: isinstance(e, ImportProgressed) and e.why is not None)
        assert live_shop.world.level("STEAM-50").imported == 0
        line.mend()
        a.engine.hint()
        assert ledger_of(a.run(imports.wait(a.engine, begun.id))) == (ImportStage.DONE, 100, 0, 0)


def test_patience_ends_with_a_sentence_and_the_same_command_goes_on(live_shop, console, tmp_path):
    with Line(live_shop.port) as line:
        vault = MemoryVault()
        a = console(vault=vault, follow=False, pace=Pace(patience_seconds=0.0, chance=lambda: 0.0))
        a.sign_in(line.url, "chen")
        a.run(a.engine.session.import_key())
        line.cut()
        file = keys_file(tmp_path, live_shop.world.keys("STEAM-50", 10))
        with pytest.raises(WaitedTooLong):
            import_file(a, file)
        line.mend()
        begun = a.run(imports.start(a.engine, file=file, sku="STEAM-50"))
        assert begun.resumed
        assert ledger_of(a.run(imports.wait(a.engine, begun.id))) == (ImportStage.DONE, 10, 0, 0)


def test_a_window_that_was_closed_goes_on_by_itself(in_shop, console, tmp_path):
    faults = Faults()
    faults.hold_from = 2
    with in_shop(wrap=faults) as shop:
        vault = MemoryVault()
        a = console(vault=vault)
        a.sign_in(shop.url, "chen")
        keys = shop.world.keys("STEAM-50", 22_000)
        begun = a.run(imports.start(a.engine, file=keys_file(tmp_path, keys), sku="STEAM-50"))
        assert faults.held.wait(60)
        a.wait_for(is_read)
        a.wait_for(knows_of_two)
        a.engine.stop()
        assert for_sale(shop) == 0
        faults.hold_from = None
        faults.release.set()
        again = console(vault=vault)
        done = again.wait_for(lambda e: isinstance(e, ImportProgressed) and e.is_over, 60)
        assert (done.id, done.stage, done.stored) == (begun.id, ImportStage.DONE, 22_000)
        assert faults.puts.count(0) == faults.puts.count(1) == 1
        shop.world.check()


def test_a_paused_import_waits_over_a_restart_until_it_is_resumed(in_shop, console, tmp_path):
    faults = Faults()
    faults.hold_from = 0
    with in_shop(wrap=faults) as shop:
        vault = MemoryVault()
        a = console(vault=vault)
        a.sign_in(shop.url, "chen")
        file = keys_file(tmp_path, shop.world.keys("STEAM-50", 6_000))
        begun = a.run(imports.start(a.engine, file=file, sku="STEAM-50"))
        assert faults.held.wait(60)
        a.wait_for(is_read)
        assert a.run(imports.pause(a.engine, begun.id)).stage is ImportStage.PAUSED
        a.engine.stop()
        faults.hold_from = None
        faults.release.set()
        again = console(vault=vault)
        again.wait_for(lambda e: isinstance(e, ConnectionChanged) and e.state is Connection.ONLINE)
        (listed,) = again.run(imports.list_imports(again.engine))
        assert (listed.stage, listed.chunks, listed.is_over) == (ImportStage.PAUSED, 2, False)
        assert again.engine.task(begun.id) is None
        again.run(imports.resume(again.engine, begun.id))
        assert ledger_of(again.run(imports.wait(again.engine, begun.id))) == (ImportStage.DONE, 6_000, 0, 0)


def test_a_cancelled_import_leaves_nothing_here_and_stores_nothing_there(in_shop, console, tmp_path):
    faults = Faults()
    faults.hold_from = 1
    with in_shop(wrap=faults) as shop:
        a = console(follow=False)
        a.sign_in(shop.url, "chen")
        file = keys_file(tmp_path, shop.world.keys("STEAM-50", 12_000))
        begun = a.run(imports.start(a.engine, file=file, sku="STEAM-50"))
        assert faults.held.wait(60)
        assert a.run(imports.cancel(a.engine, begun.id)).stage is ImportStage.CANCELLED
        faults.release.set()
        a.engine.stop()
        with sqlite3.connect(a.folders.outbox_file) as db:
            assert db.execute("SELECT count(*) FROM upload_chunk").fetchone() == (0,)
            assert db.execute("SELECT announced, cancel_owed FROM upload").fetchall() == [(1, 0)]
        db.close()
        assert drained(shop).imported == 0
        shop.world.check()


def test_what_is_being_stored_cannot_be_cancelled(live_shop, console, tmp_path):
    a = console(follow=False)
    a.sign_in(live_shop.url, "chen")
    outcome = import_file(a, keys_file(tmp_path, live_shop.world.keys("STEAM-50", 5)))
    done = a.run(imports.cancel(a.engine, outcome.progress.id))
    assert done == outcome.progress
    with a.engine_outbox() as db:
        db.execute("UPDATE upload SET state = 'ingesting'")
    with pytest.raises(TooLateToCancel):
        a.run(imports.cancel(a.engine, outcome.progress.id))


def test_cancelling_while_the_file_is_read_stops_the_worker(live_shop, console, tmp_path, monkeypatch):
    reading = Reading(monkeypatch, 2)
    a = console(follow=False)
    a.sign_in(live_shop.url, "chen")
    file = keys_file(tmp_path, live_shop.world.keys("STEAM-50", 15_000))
    begun = a.run(imports.start(a.engine, file=file, sku="STEAM-50"))
    a.wait_for(lambda e: isinstance(e, ImportProgressed) and e.stage is ImportStage.READING and e.figures.read > 0)
    cancelled = a.engine.submit(imports.cancel(a.engine, begun.id))
    reading.let_past(2).set()
    assert cancelled.result(60).stage is ImportStage.CANCELLED
    (listed,) = a.run(imports.list_imports(a.engine))
    assert (listed.stage, listed.chunks) == (ImportStage.CANCELLED, 0)
    assert a.engine.task(begun.id) is None


def cut_off(console):
    """Make the newest import look as if its program had died while it read the file."""
    with console.engine_outbox() as db:
        db.execute("UPDATE upload SET state = 'reading', owner = 'a program that is gone', finished_at = NULL")


def test_a_file_that_was_not_read_to_its_end_is_read_on_at_the_next_start(in_shop, console, tmp_path):
    faults = Faults()
    faults.hold_from = 2
    with in_shop(wrap=faults) as shop:
        vault = MemoryVault()
        a = console(vault=vault, follow=False)
        a.sign_in(shop.url, "chen")
        file = keys_file(tmp_path, shop.world.keys("STEAM-50", 22_000))
        begun = a.run(imports.start(a.engine, file=file, sku="STEAM-50"))
        assert faults.held.wait(60)
        a.wait_for(is_read)
        a.wait_for(knows_of_two)
        a.engine.stop()
        with sqlite3.connect(a.folders.outbox_file) as db:  # as a crash after four chunks had been read leaves it
            db.execute("UPDATE upload SET state = 'reading', valid = 0, read = 0, chunks = 0")
            db.execute("DELETE FROM upload_chunk WHERE n >= 4")
        db.close()
        faults.hold_from = None
        faults.release.set()
        again = console(vault=vault)
        done = again.wait_for(lambda e: isinstance(e, ImportProgressed) and e.is_over, 60)
        assert (done.id, done.stage, done.stored, done.figures.read) == (begun.id, ImportStage.DONE, 22_000, 22_000)
        assert faults.puts.count(0) == faults.puts.count(1) == 1
        shop.world.check()


def test_a_file_that_changed_since_is_not_read_on(live_shop, console, tmp_path):
    a = console(follow=False)
    a.sign_in(live_shop.url, "chen")
    file = keys_file(tmp_path, live_shop.world.keys("STEAM-50", 10))
    begun = a.run(imports.start(a.engine, file=file, sku="STEAM-50"))
    a.run(imports.wait(a.engine, begun.id))
    cut_off(a)
    with file.open("a", encoding="utf-8") as opened:
        opened.write("STEAM-50-ONE-MORE\n")
    (upload,) = a.run(a.engine.stores.outbox(lambda outbox: outbox.uploads(account=a.engine.account.name)))
    assert not a.run(imports.read_on(a.engine, upload))
    (listed,) = a.run(imports.list_imports(a.engine))
    assert (listed.stage, listed.why.code) == (ImportStage.FAILED, "reading_interrupted")
    assert "keys.txt" in listed.why.sentence("zh")
    assert live_shop.world.level("STEAM-50").free == 10


def test_chunks_of_another_reading_are_not_gone_on_with(live_shop, console, tmp_path):
    a = console(follow=False)
    a.sign_in(live_shop.url, "chen")
    file = keys_file(tmp_path, live_shop.world.keys("STEAM-50", 10))
    begun = a.run(imports.start(a.engine, file=file, sku="STEAM-50"))
    a.run(imports.wait(a.engine, begun.id))
    cut_off(a)
    with a.engine_outbox() as db:
        db.execute(
            "INSERT INTO upload_chunk (upload_id, n, sha256, sent, sealed, rows, first_line, last_line)"
            " SELECT id, 0, '00', 1, x'00', 9, 1, 9 FROM upload"
        )
    again = a.run(imports.start(a.engine, file=file, sku="STEAM-50"))
    assert (again.resumed, again.id) == (True, begun.id)
    with pytest.raises(ReadDiffers):
        a.run(imports.wait(a.engine, begun.id))
    (listed,) = a.run(imports.list_imports(a.engine))
    assert (listed.stage, listed.why.code) == (ImportStage.FAILED, "import.read_differs")


def test_the_same_file_is_not_imported_by_two_at_once(in_shop, console, tmp_path):
    faults = Faults()
    faults.hold_from = 0
    with in_shop(wrap=faults) as shop:
        vault = MemoryVault()
        a = console(vault=vault, follow=False)
        a.sign_in(shop.url, "chen")
        file = keys_file(tmp_path, shop.world.keys("STEAM-50", 10))
        begun = a.run(imports.start(a.engine, file=file, sku="STEAM-50"))
        assert faults.held.wait(60)
        other = console(vault=vault)
        with pytest.raises(ImportRunning):
            other.run(imports.start(other.engine, file=file, sku="STEAM-50"))
        assert other.engine.task(begun.id) is None
        assert a.run(imports.start(a.engine, file=file, sku="STEAM-50")).id == begun.id
        faults.release.set()
        assert ledger_of(a.run(imports.wait(a.engine, begun.id))) == (ImportStage.DONE, 10, 0, 0)
        assert faults.puts == [0]


@pytest.mark.parametrize(
    ("login", "sku", "code"),
    [
        pytest.param("zhao", "STEAM-50", "sku_unknown", id="another supplier"),
        pytest.param("chen", "STEAM-5", "sku_unknown", id="the start of a code"),
        pytest.param("li", "STEAM-50", "not_allowed", id="an operator"),
        pytest.param("zhou", "STEAM-50", "not_allowed", id="finance"),
    ],
)
def test_who_may_not_import_hears_it_before_the_file_is_opened(live_shop, console, tmp_path, login, sku, code):
    a = console(follow=False)
    a.sign_in(live_shop.url, login)
    with pytest.raises(KamengError) as refused:
        a.run(imports.start(a.engine, file=tmp_path / "there is no such file.txt", sku=sku))
    assert refused.value.code == code
    assert a.run(imports.list_imports(a.engine)) == []
    assert a.told(ImportProgressed) == []


def test_an_import_key_that_changed_is_asked_for_anew(live_shop, console, tmp_path):
    a = console(follow=False)
    a.sign_in(live_shop.url, "chen")
    a.run(a.engine.session.import_key())
    file = keys_file(tmp_path, live_shop.world.keys("STEAM-50", 10))
    account = a.engine.account
    stale = account.import_key.model_copy(update={"key_id": "gone"})
    a.engine.session.account = account.model_copy(update={"import_key": stale})
    refused = import_file(a, file)
    assert (refused.progress.stage, refused.progress.why.code) == (ImportStage.FAILED, "import_key_changed")
    (listed,) = a.run(imports.list_imports(a.engine))
    assert (listed.stage, listed.why.code) == (ImportStage.FAILED, "import_key_changed"), "the reason is kept"
    assert ledger_of(import_file(a, file)) == (ImportStage.DONE, 10, 0, 0)


def test_a_file_without_a_valid_row_is_refused_before_anything_is_sent(live_shop, console, tmp_path):
    a = console(follow=False)
    a.sign_in(live_shop.url, "chen")
    file = keys_file(tmp_path, ["x" * 600, "y" * 600])
    with pytest.raises(NothingToImport) as caught:
        import_file(a, file, options=Options(header_lines=0))
    assert "读取 2 = 可导入 0 + 重复 0 + 拒绝 2 + 跳过 0" in caught.value.sentence("zh")
    (listed,) = a.run(imports.list_imports(a.engine))
    assert (listed.stage, listed.why.code) == (ImportStage.FAILED, "import.nothing_valid")


def test_a_preview_says_what_an_import_would_do_and_sends_nothing(console, tmp_path):
    a = console(follow=False)
    file = keys_file(tmp_path, ["卡号,卡密", "001,ABCD-EFGH-0001", "002,ABCD-EFGH-0002"], "keys.csv")
    preview = a.run(imports.preview(file))
    assert (preview.kind, preview.titles) == ("csv", ("卡号", "卡密"))
    assert [line.secret for line in preview.lines if line.reason is None] == ["ABCD-EFGH-0001", "ABCD-EFGH-0002"]
    with pytest.raises(KamengError) as caught:
        a.run(imports.preview(tmp_path / "missing.csv"))
    assert caught.value.code == "import.file_missing"


def test_a_session_that_ends_in_the_middle_keeps_the_upload(in_shop, console, tmp_path):
    faults = Faults()
    faults.hold_from = 1
    with in_shop(wrap=faults) as shop:
        a = console()
        a.sign_in(shop.url, "chen")
        file = keys_file(tmp_path, shop.world.keys("STEAM-50", 6_000))
        begun = a.run(imports.start(a.engine, file=file, sku="STEAM-50"))
        assert faults.held.wait(60)
        from server.identity import actions as identity

        with shop.world.ctx.db.tx() as tx:
            identity.end_sessions_of(tx, shop.world.users["chen"], reason="revoked")
        faults.hold_from = None
        faults.release.set()
        outcome = a.run(imports.wait(a.engine, begun.id))
        assert not outcome.progress.is_over
        assert a.engine.account is None
        a.sign_in(shop.url, "chen")
        done = a.wait_for(lambda e: isinstance(e, ImportProgressed) and e.is_over, 60)
        assert (done.id, done.stage, done.stored) == (begun.id, ImportStage.DONE, 6_000)
        assert isinstance(done.id, UUID)
