"""What imports become in stock, on every engine: lots by their terms, no key twice, none lost, none sold too early."""

import hashlib
import threading
from datetime import date, timedelta

import msgspec
import pytest
from sqlalchemy import func, select, update

from server.catalog.model import Product
from server.crypto import LotKey, seal_chunk
from server.db import Database
from server.policy import SYSTEM
from server.stock import ingest, intake, lots, queries, storing
from server.stock.model import (
    CardSecret,
    ImportChunk,
    ImportRefusal,
    StockAlert,
    StockCursor,
    StockImport,
    StockLot,
    StockUnit,
)
from server.stock.ranking import LOT_NUMBERS, USE_STRIDE, stride
from shared import cardkey, clock, ids
from shared.contracts.stock import MAX_ROWS, MAX_USES, CommitImport, FileFigures, NewImport, WithdrawImport
from shared.states import AlertKind, ImportState, LotState, SaleOrder, UnitState
from tests.world import ANNA, BEN, world

PLAIN = (None, None, 1)


@pytest.fixture
def shop(database_url, tmp_path):
    with world(database_url, tmp_path) as built:
        yield built


class Upload:
    """One file of (key, place of its lot) rows, step by step."""

    def __init__(self, shop, rows, *, sku="STEAM-50", terms=(PLAIN,), per_chunk=5_000, import_id=None):
        self.shop, self.sku, self.id, self.count = shop, sku, import_id or ids.new_id(), len(rows)
        rows = [row if isinstance(row, tuple) else (row, 0) for row in rows]
        lines = [(n, "", key, lot) for n, (key, lot) in enumerate(rows, start=1)]
        parts = [lines[at : at + per_chunk] for at in range(0, len(lines), per_chunk)]
        keys = shop.ctx.keys
        self.chunks = [
            seal_chunk(keys.import_public_key, msgspec.msgpack.encode([terms, part]), import_id=self.id, n=n)
            for n, part in enumerate(parts)
        ]
        new = NewImport(id=self.id, sku=sku, file_name=f"{sku}.txt", key_id=keys.import_key_id)
        with shop.ctx.db.tx() as tx:
            intake.declare(tx, keys, new, shop.shelf(sku), actor="system")

    def send(self, *numbers):
        for n in numbers or range(len(self.chunks)):
            arrived = intake.inspect(self.shop.ctx.keys, self.id, n, self.chunks[n])
            with self.shop.ctx.db.tx() as tx:
                intake.receive(tx, self.id, arrived)
        return self

    def commit(self):
        root = hashlib.sha256(b"".join(hashlib.sha256(one).digest() for one in self.chunks)).hexdigest()
        figures = FileFigures(read=self.count, valid=self.count, duplicates=0, refused=0, skipped=0)
        body = CommitImport(figures=figures, file_sha256="0" * 64, chunks=len(self.chunks), root_sha256=root)
        with self.shop.ctx.db.tx() as tx:
            intake.commit(tx, self.id, body, actor="system")
        return self

    def end(self):
        self.send().commit()
        self.shop.work()
        return self

    def cancel(self):
        with self.shop.ctx.db.tx() as tx:
            intake.cancel(tx, self.id, actor="system")

    @property
    def seen(self):
        with self.shop.ctx.db.read() as tx:
            return queries.as_import(tx, tx.get(StockImport, self.id))

    @property
    def figures(self):
        seen = self.seen
        return seen.state, seen.stored, seen.duplicates, seen.refused

    @property
    def refused(self):
        with self.shop.ctx.db.read() as tx:
            page = queries.refused_lines(tx, self.id, after=0, limit=10_000)
        return {one.line: str(one.result) for one in page.items}


def rows(shop, query):
    with shop.ctx.db.read() as tx:
        return tx.execute(query).all()


def count(shop, model):
    return rows(shop, select(func.count()).select_from(model))[0][0]


def lots_of(shop, upload):
    found = (
        select(StockLot, StockCursor)
        .join(StockCursor, StockCursor.lot_id == StockLot.id)
        .where(StockLot.import_id == upload.id)
        .order_by(StockCursor.rank)
    )
    return rows(shop, found)


def cards(shop, lot):
    """The clear keys of a lot in the order of their numbers."""
    cipher = shop.ctx.keys.lot(lot.id, LotKey(wrapped=lot.wrapped_key, master_version=lot.master_version))
    unit = (StockUnit.sku_id == CardSecret.sku_id) & (StockUnit.seq == CardSecret.seq) & (StockUnit.lot_id == lot.id)
    found = rows(shop, select(CardSecret.seq, CardSecret.sealed).join(StockUnit, unit).order_by(CardSecret.seq))
    return [cipher.unseal(lot.sku_id, seq, sealed).reveal().partition(cardkey.SEPARATOR)[2] for seq, sealed in found]


def sellable(shop, sku="STEAM-50"):
    sku_id = shop.skus[sku].sku_id
    with shop.ctx.db.read() as tx:
        return queries.free_counts(tx, [sku_id]).get(sku_id, 0)


def rule(shop, sku="STEAM-50", **columns):
    """Change what a product's keys look like, or how they sell."""
    with shop.ctx.db.tx() as tx:
        tx.execute(update(Product).where(Product.id == shop.skus[sku].product_id).values(**columns))


# --- lots ---


def test_keys_of_equal_expiry_cost_and_uses_make_a_lot_each_and_sell_by_expiry(shop):
    keys = shop.keys("STEAM-50", 8)
    soon, late = clock.shop_day(clock.now()) + timedelta(days=9), date(2031, 5, 1)
    terms = [PLAIN, (late, 300_000, 1), (soon, 310_000, 1), (late, 300_000, 1)]
    upload = Upload(shop, list(zip(keys, [0, 1, 2, 3, 0, 1, 2, 3], strict=True)), terms=terms, per_chunk=3)
    upload.send()
    shop.work()
    assert sellable(shop) == 0
    assert {cursor.selling for _, cursor in lots_of(shop, upload)} == {False}
    upload.commit()
    shop.work()
    assert (upload.figures, upload.seen.lots) == ((ImportState.DONE, 8, 0, 0), 3)
    made = lots_of(shop, upload)
    assert [(lot.expires_on, lot.cost, lot.uses) for lot, _ in made] == [
        (soon, 310_000, 1),
        (late, 300_000, 1),
        (None, None, 1),
    ]
    assert [cards(shop, lot) for lot, _ in made] == [
        [keys[2], keys[6]],
        [keys[1], keys[3], keys[5], keys[7]],
        [keys[0], keys[4]],
    ]
    assert sorted(lot.number for lot, _ in made) == [0, 1, 2]
    assert sorted(lot.first_seq for lot, _ in made) == [1 + n * LOT_NUMBERS for n in range(3)]
    ends = [cursor.sell_until and clock.shop_time(cursor.sell_until).date() for _, cursor in made]
    assert ends == [soon + timedelta(days=1), date(2031, 5, 2), None]
    assert sellable(shop) == 8
    shop.buy(ANNA, "STEAM-50", 3)
    assert [(cursor.sold, cursor.free) for _, cursor in lots_of(shop, upload)] == [(2, 0), (1, 3), (0, 2)]
    shop.check()


def test_keys_of_a_later_chunk_join_the_lot_of_their_terms(shop):
    keys = shop.keys("STEAM-50", 6)
    upload = Upload(shop, keys, per_chunk=2)
    for n in range(3):
        upload.send(n)
        shop.work()
    upload.commit()
    shop.work()
    [(lot, cursor)] = lots_of(shop, upload)
    assert cards(shop, lot) == keys
    assert (cursor.imported, cursor.end_seq, cursor.next_seq) == (6, lot.first_seq + 6, lot.first_seq)
    assert dict(rows(shop, select(ImportChunk.n, ImportChunk.sealed))) == {0: None, 1: None, 2: None}


def test_a_reusable_key_is_one_secret_and_a_unit_for_each_use(shop, monkeypatch):
    monkeypatch.setattr(storing, "STEP_UNITS", 5)
    keys = shop.keys("STEAM-50", 3)
    upload = Upload(shop, keys, terms=[(None, 5_000, 4)], per_chunk=2).send()
    shop.work()
    assert (count(shop, CardSecret), count(shop, StockUnit), sellable(shop)) == (3, 3, 0)
    upload.commit()
    shop.work()
    [(lot, cursor)] = lots_of(shop, upload)
    assert (upload.figures, lot.stride, cursor.imported, cursor.free) == (
        (ImportState.DONE, 3, 0, 0),
        USE_STRIDE,
        12,
        12,
    )
    assert (count(shop, CardSecret), sellable(shop)) == (3, 12)
    expected = [lot.first_seq + use * USE_STRIDE + k for use in range(4) for k in range(3)]
    assert list(rows(shop, select(StockUnit.seq).order_by(StockUnit.seq))) == [(seq,) for seq in expected]
    assert cursor.end_seq == expected[-1] + 1
    assert {state for (state,) in rows(shop, select(StockUnit.state))} == {UnitState.FREE}
    shop.check()


def test_reusable_keys_have_a_bound_in_units(shop, monkeypatch):
    monkeypatch.setattr(storing, "MAX_ROWS", 10)
    keys = shop.keys("STEAM-50", 9)
    upload = Upload(shop, [(key, n % 2) for n, key in enumerate(keys)], terms=[(None, None, 4), PLAIN]).end()
    assert upload.figures == (ImportState.DONE, 4, 0, 5)  # two keys of four uses, and two of one
    assert {(lot.uses, cursor.imported) for lot, cursor in lots_of(shop, upload)} == {(4, 8), (1, 2)}
    assert upload.refused == dict.fromkeys((5, 6, 7, 8, 9), "refused")
    shop.check()


def test_more_lots_than_a_file_may_have_are_refused_line_by_line(shop, monkeypatch):
    monkeypatch.setattr(storing, "MAX_LOTS", 2)
    keys = shop.keys("STEAM-50", 4)
    terms = [PLAIN, (date(2031, 1, 1), None, 1), (date(2030, 1, 1), None, 1)]
    upload = Upload(shop, list(zip(keys, (0, 1, 2, 2), strict=True)), terms=terms).end()
    assert upload.figures == (ImportState.DONE, 3, 0, 1)  # the first to expire have their lots
    assert upload.refused == {1: "refused"}
    shop.check()


def test_a_product_that_sells_at_random_has_its_keys_mixed(shop):
    rule(shop, sale_order=SaleOrder.RANDOM.value)
    keys = shop.keys("STEAM-50", 300)
    upload = Upload(shop, keys, per_chunk=150).end()
    [(lot, _)] = lots_of(shop, upload)
    stored = cards(shop, lot)
    assert stored != keys
    assert (sorted(stored[:150]), sorted(stored[150:])) == (sorted(keys[:150]), sorted(keys[150:]))
    shop.buy(ANNA, "STEAM-50", 2)
    assert shop.level("STEAM-50").sold == 2
    shop.check()


def test_a_lot_that_was_stopped_meanwhile_does_not_start_to_sell(shop):
    upload = Upload(shop, shop.keys("STEAM-50", 2), per_chunk=1).send()
    shop.work()
    with shop.ctx.db.tx() as tx:
        tx.execute(update(StockLot).values(state=LotState.FROZEN.value))
    upload.commit()
    shop.work()
    assert (upload.seen.state, sellable(shop)) == (ImportState.DONE, 0)


# --- judging ---


def test_each_line_is_judged_by_the_rule_of_its_product(shop):
    rule(shop, key_min_length=4, key_max_length=16, key_alphabet="0123456789", key_check_digit="luhn")
    past = clock.shop_day(clock.now()) - timedelta(days=1)
    file = [
        ("4539578763621486", 0),
        ("4539578763621487", 0),  # its check digit is wrong
        ("79927398713", 0),
        ("799", 0),
        ("ABCDEF", 0),
        (" 18", 0),
        ("59", 1),
        ("00000000000000000", 0),
        ("0018", 1),
        ("0026", 2),
    ]
    upload = Upload(shop, file, terms=[PLAIN, (past, None, 1), (past + timedelta(days=1), None, 1)]).end()
    assert upload.figures == (ImportState.DONE, 3, 0, 7)
    wrong = dict.fromkeys((2, 4, 5, 7, 8), "wrong_pattern")
    assert upload.refused == wrong | {6: "refused", 9: "expired"}
    shop.check()


def test_a_product_may_hold_keys_equal_that_differ_in_case_only(shop):
    rule(shop, key_ignore_case=True)
    upload = Upload(shop, ["ABCD-EFGH-0001", "abcd-efgh-0001", "abcd-EFGH-0002"]).end()
    assert upload.figures == (ImportState.DONE, 2, 1, 0)
    assert upload.refused == {2: "duplicate_in_stock"}
    again = Upload(shop, ["Abcd-Efgh-0002", "ABCD-EFGH-0003"]).end()
    assert (again.figures, again.refused) == ((ImportState.DONE, 1, 1, 0), {1: "duplicate_in_stock"})
    [(lot, _)] = lots_of(shop, upload)
    assert cards(shop, lot) == ["ABCD-EFGH-0001", "abcd-EFGH-0002"]  # as they came
    music = Upload(shop, ["ABCD-EFGH-0001", "abcd-efgh-0001"], sku="MUSIC-30").end()
    assert music.figures == (ImportState.DONE, 2, 0, 0)


def test_any_character_a_key_may_have_is_stored_as_it_is(shop):
    keys = [
        r"back\slash-\t\n\N\x41-\\",
        "tab-like-\\t",
        "100%-%s-?1-:x",
        "卡密-ключ-🎫-12345678",
        "x'\"quoted\"';--",
        "\\.1234567890",
    ]
    upload = Upload(shop, [(key, 0) for key in keys]).end()
    assert upload.figures == (ImportState.DONE, 6, 0, 0)
    [(lot, _)] = lots_of(shop, upload)
    assert cards(shop, lot) == keys
    tails = [tail for (tail,) in rows(shop, select(CardSecret.tail).order_by(CardSecret.seq))]
    assert tails == cardkey.tails(f"{cardkey.SEPARATOR}{key}" for key in keys)


# --- keys that are known ---


def test_a_key_that_was_sold_or_is_held_or_void_never_comes_again(shop):
    keys = shop.keys("STEAM-50", 4)
    Upload(shop, keys).end()
    shop.buy(ANNA, "STEAM-50")
    shop.place(BEN, "STEAM-50")
    fresh = shop.keys("STEAM-50", 1, start=90)
    again = Upload(shop, [*keys, *fresh], per_chunk=2).end()
    assert again.figures == (ImportState.DONE, 1, 4, 0)
    assert again.refused == {1: "duplicate_sold"} | dict.fromkeys((2, 3, 4), "duplicate_in_stock")
    shop.check()


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
    with clock.fixed(clock.now() + timedelta(seconds=2)):
        shop.work()
    assert again.figures == (ImportState.DONE, 3, 1, 0)
    assert again.refused == {1: "duplicate_sold"}
    assert sellable(shop) == 3
    shop.check()


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
    with clock.fixed(clock.now() + timedelta(seconds=2)):
        shop.work()
    assert upload.figures == (ImportState.DONE, 6, 0, 0)
    shop.check()


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
    shop.check()


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
    shop.check()


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
    shop.check()


def test_an_import_of_which_no_key_is_new_ends_without_a_lot(shop):
    keys = shop.keys("STEAM-50", 1)
    Upload(shop, keys).end()
    upload = Upload(shop, keys).end()
    assert (upload.figures, upload.seen.lots) == ((ImportState.DONE, 0, 1, 0), 0)
    assert lots_of(shop, upload) == []


@pytest.mark.parametrize("kind", ["postgres", "mariadb"])
def test_the_same_steps_at_once_do_each_thing_once(kind, new_database, tmp_path):
    """A console that lost the answer sends again while the first request still runs; workers take the same job."""
    with world(new_database(kind), tmp_path) as shop:
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
            with clock.fixed(clock.now() + timedelta(seconds=2 * later)):
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


def test_a_buyer_gets_a_turn_while_a_file_is_stored(new_database, tmp_path, monkeypatch):
    """SQLite has one writer: an import lets others in between its chunks."""
    with world(new_database("sqlite"), tmp_path) as shop:
        shop.stock("MUSIC-30", 1)
        upload = Upload(shop, shop.keys("STEAM-50", 500), per_chunk=50).send().commit()
        seen = []

        def buy():
            shop.place(ANNA, "MUSIC-30")
            seen.append(upload.figures)

        buyer = threading.Thread(target=buy)
        real = storing._add_units

        def starting(*args, **options):
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
