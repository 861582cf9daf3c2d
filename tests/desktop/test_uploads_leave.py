"""What an import leaves behind: no clear key anywhere, nothing at the server that was given up, and what it learnt."""

import asyncio
import sqlite3
import threading

import pytest

from desktop.credentials import MemoryVault
from desktop.engine.events import Connection, ConnectionChanged, FileChecked, ImportProgressed, ImportStage
from desktop.engine.transport import Call
from desktop.importing import Columns, ImportProcess, Ledger, Options
from desktop.operations import checking, imports, products
from desktop.operations.checking import Checking
from desktop.operations.imports import TooLateToCancel
from shared import ids
from shared.contracts.catalog import ChangeRules, KeyRule, Product
from shared.contracts.stock import Import
from shared.states import ImportState
from tests.desktop.files import large_workbook
from tests.desktop.live import Line
from tests.desktop.test_uploads import Faults, Reading, drained, for_sale, import_file, keys_file, ledger_of


def written_below(*folders) -> bytes:
    """Every byte of every file below the folders."""
    return b"".join(path.read_bytes() for folder in folders for path in folder.rglob("*") if path.is_file())


def server_state(console, upload_id) -> ImportState:
    """What the server says of an import."""
    call = Call("GET", f"/sync/v1/imports/{upload_id}")
    return console.run(console.engine.session.ask(call, Import)).state


def test_no_clear_key_is_on_the_disk_while_chunks_travel_or_afterwards(in_shop, console, tmp_path, monkeypatch):
    faults = Faults()
    faults.hold_from = 1
    (temporary := tmp_path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))  # of the process that reads, too
    with in_shop(wrap=faults) as shop:
        keys = [f"PLANTED-{n:06}-KEY" for n in range(12_000)]
        (tmp_path / "in").mkdir()
        file = large_workbook(tmp_path / "in" / "keys.xlsx", [("卡密",), *((key,) for key in keys)])
        a = console(follow=False)
        a.sign_in(shop.url, "chen")
        begun = a.run(imports.start(a.engine, file=file, sku="STEAM-50"))
        assert faults.held.wait(60)
        a.wait_for(lambda e: isinstance(e, ImportProgressed) and e.stage is ImportStage.READY)
        during = written_below(a.folders.home, temporary)
        assert len(during) > 200_000, "the sealed chunks are there"
        faults.release.set()
        assert ledger_of(a.run(imports.wait(a.engine, begun.id))) == (ImportStage.DONE, 12_000, 0, 0)
        a.run(imports.export_refused(a.engine, begun.id, tmp_path / "left.xlsx"))
        after = written_below(a.folders.home, temporary)
        a.engine.stop()
        last = written_below(a.folders.home, temporary)
        for moment in (during, after, last):
            for encoding in ("ascii", "utf-16-le"):
                assert "PLANTED-".encode(encoding) not in moment
        with sqlite3.connect(a.folders.outbox_file) as db:
            assert db.execute("SELECT count(*) FROM upload_chunk").fetchone() == (0,)
        db.close()


def test_a_cancellation_without_a_connection_is_told_later(in_shop, console, tmp_path):
    faults = Faults()
    faults.hold_from = 1
    with in_shop(wrap=faults) as shop, Line(shop.port) as line:
        a = console()
        a.sign_in(line.url, "chen")
        a.wait_for(lambda e: isinstance(e, ConnectionChanged) and e.state is Connection.ONLINE)
        file = keys_file(tmp_path, shop.world.keys("STEAM-50", 12_000))
        begun = a.run(imports.start(a.engine, file=file, sku="STEAM-50"))
        assert faults.held.wait(60)
        a.run(imports.pause(a.engine, begun.id))
        line.cut()
        cancelled = a.run(imports.cancel(a.engine, begun.id))
        assert (cancelled.stage, cancelled.cancel_owed) == (ImportStage.CANCELLED, True)
        faults.release.set()
        line.mend()
        a.engine.hint()
        told = a.wait_for(lambda e: isinstance(e, ImportProgressed) and e.is_over and not e.cancel_owed)
        assert told.id == begun.id
        assert server_state(a, begun.id) is ImportState.CANCELLED
        a.engine.stop()
        assert for_sale(shop) == 0
        assert drained(shop).imported == 0


class SlowAnswer:
    """Wraps the server: it takes a commit at once and answers when it is told to."""

    def __init__(self):
        self.taken, self.release = threading.Event(), threading.Event()

    def __call__(self, asgi):
        async def slow(scope, receive, send):
            if scope["type"] != "http" or not scope["path"].endswith("/commit"):
                await asgi(scope, receive, send)
                return
            answer = []

            async def keep(message):
                answer.append(message)

            await asgi(scope, receive, keep)
            self.taken.set()
            await asyncio.to_thread(self.release.wait, 60)
            for message in answer:
                await send(message)

        return slow


def test_what_the_server_committed_is_never_called_cancelled(in_shop, console, tmp_path):
    answer = SlowAnswer()
    with in_shop(wrap=answer) as shop:
        a = console(follow=False)
        a.sign_in(shop.url, "chen")
        file = keys_file(tmp_path, shop.world.keys("STEAM-50", 12))
        begun = a.run(imports.start(a.engine, file=file, sku="STEAM-50"))
        assert answer.taken.wait(60)
        with pytest.raises(TooLateToCancel):
            a.run(imports.cancel(a.engine, begun.id))
        answer.release.set()
        ended = a.run(imports.wait(a.engine, begun.id)).progress
        assert (ended.stage, ended.stored, ended.cancel_owed, ended.adds_up) == (ImportStage.DONE, 12, False, True)
        assert drained(shop).free == 12


def test_an_upload_that_the_server_gave_up_says_so_and_the_file_can_be_imported_again(in_shop, console, tmp_path):
    faults = Faults()
    faults.hold_from = 1
    with in_shop(wrap=faults) as shop:
        a = console(follow=False)
        a.sign_in(shop.url, "chen")
        file = keys_file(tmp_path, shop.world.keys("STEAM-50", 12_000))
        begun = a.run(imports.start(a.engine, file=file, sku="STEAM-50"))
        assert faults.held.wait(60)
        a.wait_for(lambda e: isinstance(e, ImportProgressed) and e.stage is ImportStage.READY)
        a.run(imports.pause(a.engine, begun.id))
        a.run(a.engine.session.ask(Call("DELETE", f"/sync/v1/imports/{begun.id}"), Import))
        faults.hold_from = None
        faults.release.set()
        a.run(imports.resume(a.engine, begun.id))
        ended = a.run(imports.wait(a.engine, begun.id)).progress
        assert (ended.stage, ended.why.code) == (ImportStage.FAILED, "import.cancelled_elsewhere")
        assert ledger_of(import_file(a, file)) == (ImportStage.DONE, 12_000, 0, 0)
        shop.world.check()


def test_a_file_that_was_paused_while_it_was_read_is_read_on_but_not_sent(in_shop, console, tmp_path):
    faults = Faults()
    faults.hold_from = 0
    with in_shop(wrap=faults) as shop:
        vault = MemoryVault()
        a = console(vault=vault, follow=False)
        a.sign_in(shop.url, "chen")
        file = keys_file(tmp_path, shop.world.keys("STEAM-50", 12_000))
        begun = a.run(imports.start(a.engine, file=file, sku="STEAM-50"))
        assert faults.held.wait(60)
        a.wait_for(lambda e: isinstance(e, ImportProgressed) and e.stage is ImportStage.READY)
        a.run(imports.pause(a.engine, begun.id))
        a.engine.stop()
        with sqlite3.connect(a.folders.outbox_file) as db:  # as a crash after two chunks leaves it
            db.execute("UPDATE upload SET state = 'reading', valid = 0, read = 0, chunks = 0")
            db.execute("DELETE FROM upload_chunk WHERE n >= 2")
        db.close()
        faults.puts.clear()
        faults.hold_from = None
        faults.release.set()
        again = console(vault=vault)
        paused = again.wait_for(
            lambda e: isinstance(e, ImportProgressed) and e.stage is ImportStage.PAUSED and e.chunks
        )
        assert (paused.chunks, paused.figures.valid) == (3, 12_000)
        again.run(imports.wait(again.engine, begun.id))
        assert faults.puts == []
        again.run(imports.resume(again.engine, begun.id))
        assert ledger_of(again.run(imports.wait(again.engine, begun.id))) == (ImportStage.DONE, 12_000, 0, 0)


def test_a_pause_while_the_file_is_read_holds_what_was_not_sent(in_shop, console, tmp_path, monkeypatch):
    faults, reading = Faults(), Reading(monkeypatch, 3)
    faults.hold_from = 0
    with in_shop(wrap=faults) as shop:
        a = console(vault=MemoryVault(), follow=False)
        a.sign_in(shop.url, "chen")
        file = keys_file(tmp_path, shop.world.keys("STEAM-50", 30_000))
        begun = a.run(imports.start(a.engine, file=file, sku="STEAM-50"))
        assert faults.held.wait(60), "the first chunks travel while the file is read"
        a.run(imports.pause(a.engine, begun.id))
        reading.let_past(3).set()
        waited = a.run(imports.wait(a.engine, begun.id)).progress
        assert (waited.stage, waited.chunks, waited.is_over) == (ImportStage.PAUSED, 6, False)
        faults.hold_from = None
        faults.release.set()
        a.run(imports.resume(a.engine, begun.id))
        assert ledger_of(a.run(imports.wait(a.engine, begun.id))) == (ImportStage.DONE, 30_000, 0, 0)
        shop.world.check()


def test_an_import_that_is_resumed_while_its_file_is_read_travels_on(in_shop, console, tmp_path, monkeypatch):
    faults, reading = Faults(), Reading(monkeypatch, 5)
    faults.hold_from = 0
    with in_shop(wrap=faults) as shop:
        a = console(vault=MemoryVault(), follow=False)
        a.sign_in(shop.url, "chen")
        file = keys_file(tmp_path, shop.world.keys("STEAM-50", 30_000))
        begun = a.run(imports.start(a.engine, file=file, sku="STEAM-50"))
        assert faults.held.wait(60)
        assert a.run(imports.pause(a.engine, begun.id)).held
        faults.when_put[4] = reading.let_past(5)
        faults.hold_from = None
        faults.release.set()
        assert not a.run(imports.resume(a.engine, begun.id)).held
        assert ledger_of(a.run(imports.wait(a.engine, begun.id))) == (ImportStage.DONE, 30_000, 0, 0)
        shop.world.check()


def test_an_import_that_is_resumed_as_its_reading_ends_travels_on(in_shop, console, tmp_path, monkeypatch):
    faults, reading = Faults(), Reading(monkeypatch, 1)
    faults.hold_from = 0
    with in_shop(wrap=faults) as shop:
        a = console(vault=MemoryVault(), follow=False)
        a.sign_in(shop.url, "chen")
        real, resumed = imports.stopped, []

        async def stopped(sending):
            """Somebody resumes at the moment when the reading, which was paused, lets go of its sending."""
            if not resumed:
                resumed.append(await imports.resume(a.engine, begun.id))
            await real(sending)

        monkeypatch.setattr(imports, "stopped", stopped)
        file = keys_file(tmp_path, shop.world.keys("STEAM-50", 10_000))
        begun = a.run(imports.start(a.engine, file=file, sku="STEAM-50"))
        assert faults.held.wait(60)
        a.run(imports.pause(a.engine, begun.id))
        reading.let_past(1).set()
        faults.hold_from = None
        faults.release.set()
        assert ledger_of(a.run(imports.wait(a.engine, begun.id))) == (ImportStage.DONE, 10_000, 0, 0)
        assert len(resumed) == 1


def test_chunks_travel_while_the_rest_of_the_file_is_read(in_shop, console, tmp_path, monkeypatch):
    faults, reading = Faults(), Reading(monkeypatch, 5)
    faults.when_put[4] = reading.let_past(5)
    with in_shop(wrap=faults) as shop:
        a = console(follow=False)
        a.sign_in(shop.url, "chen")
        file = keys_file(tmp_path, shop.world.keys("STEAM-50", 30_000))
        begun = a.run(imports.start(a.engine, file=file, sku="STEAM-50"))
        assert ledger_of(a.run(imports.wait(a.engine, begun.id))) == (ImportStage.DONE, 30_000, 0, 0)
        assert sorted(faults.puts) == [0, 1, 2, 3, 4, 5]


def test_the_rule_of_the_product_judges_its_files_without_being_asked(live_shop, console, tmp_path):
    a = console(follow=False)
    a.sign_in(live_shop.url, "chen")
    page = a.run(products.list_products(a.engine)).value.items
    product = next(one for one in page if any(sku.code == "STEAM-50" for sku in one.skus))
    rule = KeyRule(min_length=4, max_length=8, alphabet="ABCD0123-")
    change = ChangeRules(version=product.version, key_rule=rule, selling=product.selling)
    a.run(a.engine.session.ask(Call("PUT", f"/api/products/{product.id}/rules", body=change), Product))
    file = keys_file(tmp_path, ["ABCD-01", "ABC", "ABCD-0123", "ABCX-01"])
    look = a.run(checking.look(a.engine, file, Options(), sku="STEAM-50"))
    assert look.has_rule
    reasons = ["too_short_for_product", "too_long_for_product", "not_in_alphabet"]
    assert [line.reason for line in look.preview.lines] == [None, *reasons]
    outcome = import_file(a, file)
    assert ledger_of(outcome) == (ImportStage.DONE, 1, 0, 0)
    assert sorted(outcome.ledger.reasons) == sorted(reasons)


def test_a_habit_is_for_files_with_the_same_titles_of_the_same_product(live_shop, console, tmp_path):
    a = console(follow=False)
    a.sign_in(live_shop.url, "chen")
    first = keys_file(tmp_path, ["甲,乙,丙", "N1,ABCD-1,2099-01-31", "N2,ABCD-2,2099-01-31"], "1.csv")
    chosen = Options(columns=Columns(secret=1, expiry=2), header_lines=1)
    look = a.run(checking.look(a.engine, first, chosen, sku="STEAM-50", habits=False))
    begun = a.run(checking.begin(a.engine, file=first, sku="STEAM-50", preview=look.preview))
    a.run(imports.wait(a.engine, begun.id))
    same = keys_file(tmp_path, ["甲,乙,丙", "N3,ABCD-3,2099-01-31"], "2.csv")
    other = keys_file(tmp_path, ["甲,丁,丙", "N3,ABCD-3,2099-01-31"], "3.csv")
    again = a.run(checking.look(a.engine, same, Options(), sku="STEAM-50"))
    assert (again.by_habit, again.preview.columns) == (True, chosen.columns)
    for file, sku in ((other, "STEAM-50"), (same, "MUSIC-30")):
        look = a.run(checking.look(a.engine, file, Options(), sku=sku))
        assert (look.by_habit, look.preview.columns == chosen.columns) == (False, False)


def test_an_engine_that_stops_does_not_wait_for_a_check(console, live_shop, tmp_path, monkeypatch):
    real = ImportProcess.receive

    def receive(process, timeout_seconds):
        message = real(process, timeout_seconds)
        if isinstance(message, Ledger):  # the check would be over
            assert under_way.stopped.wait(60)
        return message

    monkeypatch.setattr(ImportProcess, "receive", receive)
    a = console(follow=False)
    a.sign_in(live_shop.url, "chen")
    file = keys_file(tmp_path, live_shop.world.keys("STEAM-50", 40_000))
    under_way = Checking(ids.new_id(), threading.Event())
    answer = a.engine.submit(checking.check(a.engine, file, Options(), under_way))
    told = a.wait_for(lambda e: isinstance(e, FileChecked))
    assert (told.id, under_way.stopped.is_set()) == (under_way.id, False)
    a.engine.stop()
    assert under_way.stopped.is_set()
    assert answer.cancelled()


def test_a_check_reads_every_row_sends_nothing_and_stops_when_told(live_shop, console, tmp_path):
    a = console(follow=False)
    a.sign_in(live_shop.url, "chen")
    file = keys_file(tmp_path, ["ABCD-1", " ABCD-2", "ABCD-1"])
    under_way = Checking(ids.new_id(), threading.Event())
    ledger = a.run(checking.check(a.engine, file, Options(header_lines=0), under_way))
    assert (ledger.read, ledger.valid, ledger.duplicates) == (3, 2, 1)
    assert list(ledger.repairs) == ["spaces"]
    stopped = Checking(ids.new_id(), threading.Event())
    stopped.stop()
    assert a.run(checking.check(a.engine, file, Options(), stopped)) is None
    assert a.run(imports.list_imports(a.engine)) == []
    assert live_shop.world.level("STEAM-50").imported == 0
