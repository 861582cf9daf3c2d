"""What imports become in stock: lots by their terms, reusable keys, and lines judged by the rules."""

from datetime import date, timedelta

import pytest
from sqlalchemy import select, update

from server.stock.imports import storing
from server.stock.model import (
    CardSecret,
    ImportChunk,
    StockLot,
    StockUnit,
)
from server.stock.ranking import LOT_NUMBERS, USE_STRIDE
from shared import cardkey, clock
from shared.states import ImportState, LotState, SaleOrder, UnitState
from tests.server.importing import PLAIN, Upload, cards, count, lots_of, rows, rule, sellable
from tests.world import ANNA, world


@pytest.fixture
def shop(any_engine, tmp_path):
    with world(any_engine, tmp_path) as built:
        yield built


# --- lots ---


@pytest.mark.each_engine
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


def test_reusable_keys_have_a_bound_in_units(shop, monkeypatch):
    monkeypatch.setattr(storing, "MAX_ROWS", 10)
    keys = shop.keys("STEAM-50", 9)
    upload = Upload(shop, [(key, n % 2) for n, key in enumerate(keys)], terms=[(None, None, 4), PLAIN]).end()
    assert upload.figures == (ImportState.DONE, 4, 0, 5)  # two keys of four uses, and two of one
    assert {(lot.uses, cursor.imported) for lot, cursor in lots_of(shop, upload)} == {(4, 8), (1, 2)}
    assert upload.refused == dict.fromkeys((5, 6, 7, 8, 9), "refused")


def test_more_lots_than_a_file_may_have_are_refused_line_by_line(shop, monkeypatch):
    monkeypatch.setattr(storing, "MAX_LOTS", 2)
    keys = shop.keys("STEAM-50", 4)
    terms = [PLAIN, (date(2031, 1, 1), None, 1), (date(2030, 1, 1), None, 1)]
    upload = Upload(shop, list(zip(keys, (0, 1, 2, 2), strict=True)), terms=terms).end()
    assert upload.figures == (ImportState.DONE, 3, 0, 1)  # the first to expire have their lots
    assert upload.refused == {1: "refused"}


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


@pytest.mark.each_engine
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


@pytest.mark.each_engine
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
