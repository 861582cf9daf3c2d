"""Keys that are known, given up, or brought by several at once: none is stored twice, none is lost."""

import threading
from datetime import timedelta

import pytest
from sqlalchemy import select, update

from server.db import Database
from server.policy import SYSTEM
from server.stock import lots, vault, withdrawal
from server.stock.imports import ingest, intake, storing
from server.stock.model import (
    CardSecret,
    ImportChunk,
    ImportRefusal,
    StockAlert,
    StockCursor,
    StockLot,
    StockUnit,
)
from server.stock.ranking import LOT_NUMBERS, stride
from shared import clock
from shared.contracts.stock import MAX_ROWS, MAX_USES, NewImport, VoidUnits, WithdrawImport
from shared.states import AlertKind, ImportState, UnitState
from tests.server.importing import PLAIN, Upload, cards, count, lots_of, rows, sellable
from tests.server.stocking import end
from tests.server.stocking import lots_of as shown_lots
from tests.world import ANNA, BEN, world


@pytest.fixture
def shop(any_engine, tmp_path):
    with world(any_engine, tmp_path) as built:
        yield built


# --- keys that are known ---


@pytest.mark.each_engine
def test_a_key_that_was_sold_or_is_held_or_void_never_comes_again(shop):
    keys = shop.keys("STEAM-50", 4)
    Upload(shop, keys).end()
    shop.buy(ANNA, "STEAM-50")
    shop.place(BEN, "STEAM-50")
    fresh = shop.keys("STEAM-50", 1, start=90)
    again = Upload(shop, [*keys, *fresh], per_chunk=2).end()
    assert again.figures == (ImportState.DONE, 1, 4, 0)
    assert again.refused == {1: "duplicate_sold"} | dict.fromkeys((2, 3, 4), "duplicate_in_stock")


def test_what_another_supplier_brought_is_refused_and_the_operator_told(shop):
    keys, short = shop.keys("STEAM-50", 5), "PIN-1234567"
    Upload(shop, [*keys[:3], short]).end()
    with shop.ctx.db.tx() as tx:  # sold or not, in whatever product
        tx.execute(update(StockUnit).where(StockUnit.seq == 1).values(state=int(UnitState.VOID)))
        tx.execute(update(StockCursor).values(free=StockCursor.free - 1, void=1, next_seq=2))
    theirs = Upload(shop, [keys[0], keys[3], keys[2], short], sku="OFFICE-1Y", per_chunk=2).end()
    assert theirs.figures == (ImportState.DONE, 2, 2, 0)  # a short number meets another one by chance
    assert theirs.refused == dict.fromkeys((1, 3), "duplicate_elsewhere")
    told = rows(shop, select(StockAlert.kind, StockAlert.sku_id, StockAlert.supplier_id, StockAlert.figure))
    offered = (AlertKind.OFFERED_ELSEWHERE.value, shop.skus["OFFICE-1Y"].sku_id, shop.suppliers["beichen"])
    assert [one for one in told if one[0] == offered[0]] == [(*offered, 2)]
    own = Upload(shop, [keys[0]], sku="MUSIC-30").end()  # the same supplier may sell it as two products
    assert own.figures == (ImportState.DONE, 1, 0, 0)


def test_withdrawn_keys_may_come_again(shop):
    keys = shop.keys("STEAM-50", 4)
    first = Upload(shop, keys).end()
    shop.buy(ANNA, "STEAM-50")
    again = Upload(shop, keys, per_chunk=2).send()
    with shop.ctx.db.tx() as tx:
        lots.withdraw_import(tx, first.id, WithdrawImport(reason="wrong batch"), actor=SYSTEM)
    # The keys are on their way out; whether they come first or later, none is lost.
    again.commit()
    shop.work()
    with clock.fixed(clock.now() + timedelta(seconds=6)):
        shop.work()
    assert again.figures == (ImportState.DONE, 3, 1, 0)
    assert again.refused == {1: "duplicate_sold"}
    assert sellable(shop) == 3


def test_reusable_keys_that_are_being_withdrawn_are_waited_for(shop, monkeypatch):
    """Their first uses are void already, and their keys are not forgotten before all others are too."""
    monkeypatch.setattr(withdrawal, "STEP_UNITS", 3)
    keys = shop.keys("STEAM-50", 3)
    first = Upload(shop, keys, terms=[(None, None, 2)]).end()
    with shop.ctx.db.tx() as tx:
        lots.withdraw_import(tx, first.id, WithdrawImport(reason="wrong batch"), actor=SYSTEM)
    shop.ctx.jobs.run_due()
    assert rows(shop, select(StockUnit.state).order_by(StockUnit.seq)) == [(3,), (3,), (3,), (0,), (0,), (0,)]
    again = Upload(shop, keys).send()
    ingest.ingest(shop.ctx.db, shop.ctx.keys, {"import_id": str(again.id)})
    assert again.figures == (ImportState.RECEIVING, 0, 0, 0)
    again.commit()
    for later in (0, 6):
        with clock.fixed(clock.now() + timedelta(seconds=later)):
            shop.work()
    assert again.figures == (ImportState.DONE, 3, 0, 0)


def test_a_reusable_key_is_sold_when_any_of_its_uses_was(shop):
    keys = shop.keys("STEAM-50", 1)
    first = Upload(shop, keys, terms=[(None, None, 2)]).end()
    held = shop.place(BEN, "STEAM-50")
    shop.buy(ANNA, "STEAM-50")
    with shop.ctx.db.tx() as tx:
        lots.withdraw_import(tx, first.id, WithdrawImport(reason="wrong batch"), actor=SYSTEM)
    end(shop, held)
    shop.work()
    assert rows(shop, select(StockUnit.state).order_by(StockUnit.seq)) == [(3,), (2,)]
    again = Upload(shop, keys).end()
    assert (again.figures, again.refused) == ((ImportState.DONE, 0, 1, 0), {1: "duplicate_sold"})


def test_a_step_that_is_done_again_counts_every_line_once(shop, monkeypatch):
    keys = shop.keys("STEAM-50", 5)
    Upload(shop, keys[2:3]).end()
    monkeypatch.setattr(storing, "MAX_ROWS", 3)  # so that lines are also refused for want of room
    upload = Upload(shop, keys).end()
    assert upload.figures == (ImportState.DONE, 3, 1, 1)
    assert upload.refused == {3: "duplicate_in_stock", 5: "refused"}
    [(lot, _)] = lots_of(shop, upload)
    assert cards(shop, lot) == [keys[0], keys[1], keys[3]]


# --- interruptions, and several at once ---


def test_a_run_that_fails_stores_nothing_and_the_next_one_goes_on(shop, monkeypatch):
    upload = Upload(shop, shop.keys("STEAM-50", 6), per_chunk=2).send().commit()
    real = storing._add_units
    calls = []

    def failing(*args, **options):
        calls.append(args)
        if len(calls) == 2:
            raise RuntimeError("the power is gone")
        real(*args, **options)

    monkeypatch.setattr(storing, "_add_units", failing)
    shop.work()
    assert upload.figures == (ImportState.INGESTING, 0, 0, 0)
    assert [count(shop, model) for model in (CardSecret, StockUnit, StockLot, StockCursor)] == [0] * 4
    shop.check()
    with clock.fixed(clock.now() + timedelta(seconds=6)):
        shop.work()
    assert upload.figures == (ImportState.DONE, 6, 0, 0)


def test_a_run_ends_its_transaction_when_others_want_to_write(shop, monkeypatch):
    monkeypatch.setattr(Database, "awaited", property(lambda _: True))
    transactions = []
    real = ingest.take_in

    def counting(*args, **options):
        transactions.append(real(*args, **options))
        return transactions[-1]

    monkeypatch.setattr(ingest, "take_in", counting)
    upload = Upload(shop, shop.keys("STEAM-50", 8), per_chunk=2).end()
    assert transactions == [1, 1, 1, 1]
    assert upload.figures == (ImportState.DONE, 8, 0, 0)


def test_what_was_judged_for_an_import_that_is_cancelled_meanwhile_is_not_stored(shop):
    db, keys = shop.ctx.db, shop.ctx.keys
    upload = Upload(shop, shop.keys("STEAM-50", 4), per_chunk=2).send()
    waiting = ingest._judge_next(db, keys, upload.id)
    assert len(waiting) == 2
    upload.cancel()
    with db.tx() as tx:
        assert ingest.take_in(db, tx, keys, upload.id, waiting) == 2
    shop.work()
    assert [count(shop, model) for model in (CardSecret, StockUnit, StockLot, ImportChunk)] == [0] * 4
    assert upload.figures == (ImportState.CANCELLED, 0, 0, 0)


@pytest.mark.each_engine
def test_what_another_process_stored_meanwhile_is_not_stored_again(shop):
    db, keys = shop.ctx.db, shop.ctx.keys
    upload = Upload(shop, shop.keys("STEAM-50", 6), per_chunk=2).send()
    waiting = ingest._judge_next(db, keys, upload.id)
    with db.tx() as tx:
        assert ingest.take_in(db, tx, keys, upload.id, waiting[:2]) == 2
    with db.tx() as tx:
        assert ingest.take_in(db, tx, keys, upload.id, waiting) == 3
    upload.commit()
    shop.work()
    assert upload.figures == (ImportState.DONE, 6, 0, 0)
    [(lot, _)] = lots_of(shop, upload)
    assert cards(shop, lot) == shop.keys("STEAM-50", 6)


def test_all_uses_of_all_keys_of_a_lot_have_numbers_of_their_own():
    for uses in (1, 2, 4_095, 4_096, 4_097, MAX_USES):
        most = min(MAX_ROWS // uses, stride(uses))
        assert most == MAX_ROWS // uses or 1 < uses < 5
        assert (uses - 1) * stride(uses) + most <= LOT_NUMBERS


@pytest.mark.parametrize("ending", ["commit", "cancel"])
def test_a_chunk_that_slips_in_behind_the_end_is_forgotten(shop, ending):
    """Two processes: one reads that the import still receives, the other ends it, then the first one writes."""
    upload = Upload(shop, shop.keys("STEAM-50", 6), per_chunk=2)
    late = intake.inspect(shop.ctx.keys, upload.id, 2, upload.chunks[2])
    upload.chunks, upload.count = upload.chunks[:2], 4
    upload.send()
    getattr(upload, ending)()
    with shop.ctx.db.tx() as tx:
        row = {"import_id": upload.id, "n": 2, "sha256": late.sha256, "sealed": late.sealed, "cards": 2}
        tx.add(ImportChunk(**row, received_at=clock.now()))
        ingest.enqueue(tx, upload.id)
    shop.work()
    left = {n for (n,) in rows(shop, select(ImportChunk.n))}
    if ending == "commit":
        assert (upload.figures, left) == ((ImportState.DONE, 4, 0, 0), {0, 1})
    else:
        assert (upload.figures, left) == ((ImportState.CANCELLED, 0, 0, 0), set())
        with shop.ctx.db.tx() as tx:  # and when all was taken out before it came
            tx.add(ImportChunk(**row, received_at=clock.now()))
            ingest.enqueue(tx, upload.id)
        shop.work()
        assert count(shop, ImportChunk) == 0


def test_a_cancelled_import_is_taken_out_piece_by_piece_and_adds_up_at_each(shop, monkeypatch):
    monkeypatch.setattr(storing, "_DISCARD_MOST", 3)
    Upload(shop, shop.keys("STEAM-50", 2)).end()
    keys = [*shop.keys("STEAM-50", 7, start=10), *shop.keys("STEAM-50", 1)]
    upload = Upload(shop, [(key, n % 2) for n, key in enumerate(keys)], terms=[PLAIN, (None, 7, 3)], per_chunk=4)
    upload.send()
    shop.work()
    upload.cancel()
    for _ in range(6):
        shop.check()
        shop.ctx.jobs.run_due()
    shop.work()
    assert [count(shop, one) for one in (CardSecret, StockUnit, StockLot, StockCursor)] == [2, 2, 1, 1]
    assert [count(shop, one) for one in (ImportRefusal, ImportChunk)] == [0, 1]


def test_a_key_that_staff_saw_of_a_cancelled_import_is_not_forgotten(shop, monkeypatch):
    monkeypatch.setattr(storing, "_DISCARD_MOST", 3)
    Upload(shop, shop.keys("STEAM-50", 2)).end()
    keys = shop.keys("STEAM-50", 8, start=10)
    upload = Upload(shop, keys).send()
    shop.work()
    sku_id, first = shop.skus["STEAM-50"].sku_id, 2**32 + 1
    with shop.ctx.db.tx() as tx:
        vault.log_views(tx, [vault.View(vault.Inspection(sku_id, first + 4, "核查"), actor="staff", request_id="r")])
        lots.void_units(tx, shop.skus["STEAM-50"], VoidUnits(seqs=[first + 6], reason="坏卡"), actor=SYSTEM)
    upload.cancel()
    for _ in range(4):
        shop.check()
        shop.ctx.jobs.run_due()
    shop.work()
    shop.check()
    left = (StockUnit.sku_id == sku_id, StockUnit.seq >= first)
    assert rows(shop, select(StockUnit.seq, StockUnit.state).where(*left)) == [(first + 4, 3), (first + 6, 3)]
    assert count(shop, CardSecret) == 4
    [(lot, cursor)] = lots_of(shop, upload)
    assert (lot.state, cursor.imported, cursor.void, cursor.selling) == ("withdrawn", 2, 2, False)
    assert (shop.level("STEAM-50").imported, sellable(shop), len(shown_lots(shop, "STEAM-50"))) == (2, 2, 1)
    again = Upload(shop, keys, per_chunk=3).end()
    assert again.figures == (ImportState.DONE, 6, 2, 0)
    assert again.refused == dict.fromkeys((5, 7), "duplicate_in_stock")
    theirs = Upload(shop, [keys[4], "OTHER-" + keys[4]], sku="OFFICE-1Y").end()
    assert theirs.refused == {1: "duplicate_elsewhere"}


def test_an_upload_that_nobody_finished_is_forgotten_after_a_week(shop):
    keys = shop.keys("STEAM-50", 4)
    upload = Upload(shop, keys, per_chunk=2).send(0)
    shop.work()
    done = Upload(shop, shop.keys("STEAM-50", 1, start=9)).end()
    assert intake.forget_abandoned(shop.ctx.db) == 0
    with clock.fixed(clock.now() + timedelta(days=7, seconds=1)):
        assert intake.forget_abandoned(shop.ctx.db) == 1
        assert intake.forget_abandoned(shop.ctx.db) == 0
        shop.work()
    assert (upload.figures, done.figures) == ((ImportState.CANCELLED, 2, 0, 0), (ImportState.DONE, 1, 0, 0))
    assert [count(shop, one) for one in (CardSecret, StockUnit, StockLot)] == [1] * 3
    assert Upload(shop, keys).end().figures == (ImportState.DONE, 4, 0, 0)


def test_an_import_of_which_no_key_is_new_ends_without_a_lot(shop):
    keys = shop.keys("STEAM-50", 1)
    Upload(shop, keys).end()
    upload = Upload(shop, keys).end()
    assert (upload.figures, upload.seen.lots) == ((ImportState.DONE, 0, 1, 0), 0)
    assert lots_of(shop, upload) == []


@pytest.mark.parametrize("kind", ["postgres", "mariadb"])
def test_the_same_steps_at_once_do_each_thing_once(kind, tmp_path):
    """A console that lost the answer sends again while the first request still runs; workers take the same job."""
    with world(kind, tmp_path) as shop:
        uploads = [Upload(shop, shop.keys("STEAM-50", 6, start=at), per_chunk=2) for at in (0, 3)]

        def declare(upload):
            new = NewImport(id=upload.id, sku="STEAM-50", file_name="STEAM-50.txt", key_id=shop.ctx.keys.import_key_id)
            with shop.ctx.db.tx() as tx:
                intake.declare(tx, shop.ctx.keys, new, shop.shelf("STEAM-50"), actor="system")

        def store(upload):
            ingest.ingest(shop.ctx.db, shop.ctx.keys, {"import_id": str(upload.id)})

        for step in (declare, Upload.send, store, Upload.commit, store):
            assert together(step, uploads) == []
        for later in range(4):
            with clock.fixed(clock.now() + timedelta(seconds=6 * later)):
                shop.work()
        assert {one.seen.state for one in uploads} == {ImportState.DONE}
        assert sum(one.seen.stored for one in uploads) == 9
        assert sum(one.seen.duplicates for one in uploads) == 3
        assert shop.level("STEAM-50").free == 9
        assert shop.check().figures["units_imported"] == 9


def together(step, uploads):
    """Take a step of each upload twice, all at once; answers what went wrong."""
    gate, troubles = threading.Barrier(4), []

    def run(upload):
        gate.wait()
        try:
            step(upload)
        except Exception as error:  # noqa: BLE001 - shown by the assertion
            troubles.append(error)

    threads = [threading.Thread(target=run, args=(upload,)) for upload in (*uploads, *uploads)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return troubles


@pytest.mark.each_engine
def test_of_two_suppliers_who_store_one_key_at_once_one_has_it(shop, monkeypatch):
    """The first has looked and is about to insert; the second looks, in whatever process, before that is committed."""
    db, keys = shop.ctx.db, shop.ctx.keys
    contested, first = shop.keys("STEAM-50", 3), threading.Event()
    mine = Upload(shop, [*contested, *shop.keys("STEAM-50", 2, start=9)])
    theirs = Upload(shop, [*contested, *shop.keys("OFFICE-1Y", 4)], sku="OFFICE-1Y")
    judged = [(one.send(), ingest._judge_next(db, keys, one.id)) for one in (mine, theirs)]
    real, stored = storing._store, []

    def store(upload, waiting):
        with db.tx(patient=True) as tx:
            ingest.take_in(db, tx, keys, upload.id, waiting)
        stored.append(upload)

    second = threading.Thread(target=store, args=judged[1])

    def gated(*args):
        if not first.is_set():
            first.set()
            second.start()
            second.join(1)  # it waits for the first by then, or is through
            assert stored == []
        real(*args)

    monkeypatch.setattr(storing, "_store", gated)
    store(*judged[0])
    second.join(60)
    assert stored == [mine, theirs]
    for upload in stored:
        upload.commit()
    shop.work()
    assert [one.figures for one in stored] == [(ImportState.DONE, 5, 0, 0), (ImportState.DONE, 4, 3, 0)]
    assert theirs.refused == dict.fromkeys((1, 2, 3), "duplicate_elsewhere")
    offered = StockAlert.kind == AlertKind.OFFERED_ELSEWHERE.value
    assert rows(shop, select(StockAlert.figure).where(offered)) == [(3,)]


def test_a_buyer_gets_a_turn_while_a_file_is_stored(tmp_path, monkeypatch):
    """SQLite has one writer: an import lets others in between its chunks."""
    with world("sqlite", tmp_path) as shop:
        shop.stock("MUSIC-30", 1)
        upload = Upload(shop, shop.keys("STEAM-50", 500), per_chunk=50).send().commit()
        seen = []

        def buy():
            shop.place(ANNA, "MUSIC-30")
            seen.append(upload.figures)

        buyer = threading.Thread(target=buy)
        real = storing._add_units

        def starting(*args, **options):
            if buyer.ident is not None:
                buyer.join(timeout=30)  # whoever got a turn looks before the next rows are committed
            real(*args, **options)
            if buyer.ident is None:
                buyer.start()
                gate = threading.Event()
                while not shop.ctx.db.awaited:
                    gate.wait(0.001)

        monkeypatch.setattr(storing, "_add_units", starting)
        shop.work()
        buyer.join()
        [(state, stored, _, _)] = seen
        assert (state, stored) == (ImportState.INGESTING, 50)
        assert upload.figures == (ImportState.DONE, 500, 0, 0)
