"""Windows of units against the plain truth: every list, read row by row, in every order and from every place."""

from datetime import date

import pytest
from sqlalchemy import select

from server.stock import browse, withdrawal
from server.stock.model import StockLot, StockUnit
from shared.contracts.stock import UnitOrder
from shared.states import UnitState
from tests.server.stocking import end, lots_of, move, stock_lots, void
from tests.world import ANNA, BEN, CARA, world

SKU = "STEAM-50"
STATES = (None, *UnitState)
MARCH, MAY = date(2027, 3, 1), date(2027, 5, 1)


def truth(shop, *, state=None, lot_id=None, order=UnitOrder.NUMBER):
    """The numbers of a list as a plain query tells them."""
    query = select(StockUnit.seq, StockLot.expires_on).join(StockLot, StockLot.id == StockUnit.lot_id)
    query = query.where(StockUnit.sku_id == shop.skus[SKU].sku_id)
    if state is not None:
        query = query.where(StockUnit.state == state)
    if lot_id is not None:
        query = query.where(StockUnit.lot_id == lot_id)
    with shop.ctx.db.read() as tx:
        rows = tx.execute(query).all()
    by_expiry = "expiry" in order.value
    rows.sort(key=lambda row: (row.expires_on or date.max if by_expiry else date.min, row.seq))
    seqs = [row.seq for row in rows]
    return seqs[::-1] if order.value.startswith("-") else seqs


def view(shop, **which):
    return browse.View(shop.skus[SKU].sku_id, **which)


def same_everywhere(shop, *, step=3):
    """Each list is the plain one, read in windows and from any row."""
    lots = [None, *(lot.id for lot in lots_of(shop, SKU))]
    with shop.ctx.db.read() as tx:
        for state in STATES:
            for lot_id in lots:
                for order in UnitOrder if lot_id is None else (UnitOrder.NUMBER, UnitOrder.NUMBER_DOWN):
                    expected = truth(shop, state=state, lot_id=lot_id, order=order)
                    which = {"state": state, "lot_id": lot_id, "order": order}
                    whole = browse.window(tx, view(shop, **which, limit=1_000))
                    assert ([unit.seq for unit in whole.items], whole.total) == (expected, len(expected)), which
                    for position in range(0, len(expected) + step, step):
                        part = browse.window(tx, view(shop, **which, position=position, limit=step))
                        assert [unit.seq for unit in part.items] == expected[position : position + step], (
                            which,
                            position,
                        )
                        assert (part.position, part.total) == (position, len(expected))
                        assert all(state in {None, unit.state} for unit in part.items)


def busy(shop):
    """A SKU in which everything has happened: sold, held, given back, voided before and behind the cursor."""
    shop.stock(SKU, shop.keys(SKU, 12), terms=(MAY, 100, 1))
    shop.stock(SKU, shop.keys(SKU, 4, start=20), terms=(MARCH, None, 3))
    shop.stock(SKU, shop.keys(SKU, 9, start=40))
    shop.buy(ANNA, SKU, 5)
    early = shop.place(BEN, SKU, 2)
    shop.buy(ANNA, SKU, 3)
    back = shop.place(CARA, SKU, 3)
    shop.buy(ANNA, SKU, 4)
    shop.place(CARA, SKU, 2)
    end(shop, back)
    void(shop, SKU, 10, 12, 2**33 + 3, 2**33 + 4, 2**33 + 9)
    assert early


@pytest.fixture
def shop(any_engine, tmp_path):
    with world(any_engine, tmp_path) as built:
        yield built


def test_every_window_is_a_piece_of_the_plain_list(shop):
    same_everywhere(shop)
    busy(shop)
    assert {state: len(truth(shop, state=state)) for state in STATES} == {
        None: 33,
        UnitState.FREE: 12,
        UnitState.HELD: 4,
        UnitState.SOLD: 12,
        UnitState.VOID: 5,
    }
    same_everywhere(shop)


def test_lists_are_true_while_a_lot_is_withdrawn_and_after(shop, monkeypatch):
    monkeypatch.setattr(withdrawal, "STEP_UNITS", 4)
    busy(shop)
    for lot in lots_of(shop, SKU):
        move(shop, lot, "withdrawn", work=False)
        shop.ctx.jobs.run_due()
        same_everywhere(shop, step=11)
        shop.work()
    same_everywhere(shop, step=11)


def test_a_hold_that_ends_after_the_withdrawal_is_on_the_list_of_void_units(shop):
    shop.stock(SKU, 6)
    shop.buy(ANNA, SKU)
    held = shop.place(BEN, SKU)
    shop.buy(ANNA, SKU)
    move(shop, lots_of(shop, SKU)[0], "withdrawn")
    end(shop, held)
    shop.work()
    assert truth(shop, state=UnitState.VOID) == [2, 4, 5, 6]
    same_everywhere(shop)


def test_one_lot_of_many_is_looked_at_alone(shop):
    stock_lots(
        shop, SKU, [((day, None, 1), shop.keys(SKU, 2, start=n)) for n, day in ((0, MAY), (9, None), (5, MARCH))]
    )
    same_everywhere(shop, step=1)


def test_rows_say_what_a_list_shows_and_no_key(shop):
    busy(shop)
    keys = shop.keys(SKU, 12)
    with shop.ctx.db.read() as tx:
        rows = {unit.seq: unit for unit in browse.window(tx, view(shop, limit=100)).items}
    lot = lots_of(shop, SKU)[0]
    bad = rows[10]
    assert bad.model_dump(exclude={"sold_at"}) == {
        "seq": 10,
        "state": UnitState.VOID,
        "lot_id": lot.id,
        "lot": 0,
        "uses": 1,
        "file_name": f"{SKU}.txt",
        "tail": keys[9][-4:],
        "expires_on": MAY,
        "reason": "坏卡",
    }
    sold = next(unit for unit in rows.values() if unit.state is UnitState.SOLD and unit.lot == 1)
    assert (sold.sold_at is not None, sold.reason, sold.expires_on) == (True, None, MARCH)
    assert rows[2**32 + 1].tail == rows[2**32 + 1 + 2**20].tail  # uses of one key
    assert not any(key in repr(rows) for key in keys)
    move(shop, lot, "withdrawn", reason="整批有误")
    with shop.ctx.db.read() as tx:
        gone = {unit.seq: (unit.reason, unit.tail) for unit in browse.window(tx, view(shop, lot_id=lot.id)).items}
    assert (gone[10], gone[11]) == (("坏卡", keys[9][-4:]), ("整批有误", ""))


def test_a_search_by_the_end_of_the_card_goes_on_where_it_stopped(shop, monkeypatch):
    numbers = [f"8800{n:04d}{n % 3:04d}" for n in range(9)]
    shop.stock(SKU, [(number, f"SECRET-{number}") for number in numbers])
    shop.stock(SKU, [("", f"SHORT{n}") for n in range(3)], terms=(MARCH, None, 1))
    shop.stock(SKU, [(f"77000000{n:02d}0001", f"x{n:05d}") for n in range(2)], terms=(None, None, 2))
    void(shop, SKU, 2)

    def found(tail, **which):
        position, seqs, asked = 0, [], 0
        while position is not None and asked < 50:
            with shop.ctx.db.read() as tx:
                part = browse.search(tx, view(shop, position=position, **which), tail=tail)
            seqs += [unit.seq for unit in part.items]
            assert part.total == 16
            position, asked = part.next, asked + 1
        return seqs

    uses = [2**33 + 1 + use * 2**20 + n for use in range(2) for n in range(2)]
    for most, limit in ((200_000, 256), (200_000, 2), (4, 1), (1, 256)):
        monkeypatch.setattr(browse, "SEARCHED_UNITS", most)
        assert found("0001", limit=limit) == [2, 5, 8, *uses]
        assert found("0001", limit=limit, order=UnitOrder.NUMBER_DOWN) == [2, 5, 8, *uses][::-1]
        assert found("xx0001", limit=limit, state=UnitState.VOID) == [2]
        assert found("T1", limit=limit) == [2**32 + 2]
        assert found("01", limit=limit) == [2, 5, 8, *uses]
        assert found("9999", limit=limit) == []


def test_a_list_far_longer_than_a_window_costs_a_few_statements(tmp_path):
    with world("sqlite", tmp_path) as shop:
        busy(shop)
        shop.stock(SKU, 300)
        with shop.ctx.db.read() as tx:
            for state in STATES:
                asked = []
                tx.connection().connection.driver_connection.set_trace_callback(asked.append)
                browse.window(tx, view(shop, state=state, position=3, limit=5))
                tx.connection().connection.driver_connection.set_trace_callback(None)
                assert len(asked) <= 12
                walked = [line.upper().replace("OFFSET 0", "") for line in asked]
                assert not [line for line in walked if "COUNT" in line or "OFFSET" in line]
