"""What is due is found by the indexes of each engine that chooses by counts, whatever was sold and settled before."""

import re

import pytest
from sqlalchemy import insert, select

from server.db import table_of
from server.orders.model import Order, OrderLine, UnsettledLine
from server.settlement import earning
from shared import clock, ids
from tests.server.test_query_plans import COUNT, _reads_all, statements_of
from tests.world import ANNA, world

SOLD, WAITING = 2_000, 5
GROWN = {"order_line", "shop_order"}


def sell(shop, count):
    """So many settled lines like the one that was just delivered, and some that wait."""
    with shop.ctx.db.tx() as tx:
        order = dict(tx.execute(select(table_of(Order))).mappings().one())
        line = dict(tx.execute(select(table_of(OrderLine))).mappings().one())
        made = [(ids.new_id(), ids.new_id()) for _ in range(count)]
        own = ({"id": whose, "code": f"P{n:011d}", "idempotency_key": f"{n:032d}"} for n, (whose, _) in enumerate(made))
        tx.execute(insert(table_of(Order)), [order | one for one in own])
        tx.execute(insert(table_of(OrderLine)), [line | {"id": one, "order_id": whose} for whose, one in made])
        waiting = [{"order_line_id": one, "supplier_id": line["supplier_id"]} for _, one in made[:WAITING]]
        tx.execute(insert(table_of(UnsettledLine)), waiting)


@pytest.mark.parametrize("engine", COUNT, indirect=True)
def test_what_is_due_is_found_by_the_index_of_each_engine(engine, tmp_path):
    with world(engine, tmp_path, expects={"L9"}) as shop:
        shop.stock("STEAM-50", 1)
        shop.buy(ANNA, "STEAM-50")
        sell(shop, SOLD)
        db, xinghe, today = shop.ctx.db, shop.suppliers["xinghe"], clock.shop_day(clock.now())
        with db.engine.connect() as connection:
            for model in (Order, OrderLine, UnsettledLine):
                connection.exec_driver_sql(f"{COUNT[engine]} {table_of(model).name}").close()
            connection.commit()
        sent = statements_of(db)
        with db.read() as tx:
            by = earning.rules(tx, day=today, complete_after_days=3, suppliers=[xinghe])
            assert len(earning.earned(tx, by, day=today)[xinghe]) == WAITING + 1
            assert len(earning.page(tx, by, xinghe, day=today, after=None, limit=2)) == 2
        read = {one: given for one, given in sent.items() if re.match("SELECT", one) and "unsettled_line" in one}
        assert len(read) >= 4
        with db.read() as tx:
            connection = tx.connection()
            plans = {
                one: connection.exec_driver_sql(f"EXPLAIN {one}", given).mappings().all() for one, given in read.items()
            }
        bad = {one: [step for step in plan if _reads_all(step) and _of(step) in GROWN] for one, plan in plans.items()}
        assert {one: steps for one, steps in bad.items() if steps} == {}


def _of(step):
    """The table that a step of a plan reads."""
    if "QUERY PLAN" in step:
        return re.search(r"Seq Scan on (\w+)", step["QUERY PLAN"])[1]
    return step["table"]
