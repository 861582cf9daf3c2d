"""What people wait for finds its rows by an index, however many rows there will be after three years."""

import re
from dataclasses import replace

import pytest
from sqlalchemy import event, insert

from server.db import table_of
from server.gateways.port import RefundFact
from server.identity.model import User
from server.orders.actions import PlaceOrder
from server.payments import actions, attempts, callbacks
from server.payments.actions import ApplyPayment, Outcome
from server.payments.aside import Numbers
from server.payments.callbacks import Kept, RawCallback
from server.payments.model import PaymentAttempt, PaymentCallback, PaymentChannel, UnmatchedPayment
from server.payments.refunds.actions import RefundHeard
from shared import clock, ids
from shared.states import CallbackState, UnmatchedState
from tests.databases import migrated
from tests.world import ANNA, BEN, MERCHANT

SMALL = {table_of(PaymentChannel).name, table_of(User).name}
"""Tables that do not grow with the business."""


def statements_of(db):
    """All statements of this process from now on, as they are sent, with values for each."""
    sent = {}

    def note(_connection, _cursor, statement, parameters, _context, executemany):
        sent.setdefault(statement, parameters[0] if executemany else parameters)

    for engine in {db.engine, db._reader}:
        event.listen(engine, "before_cursor_execute", note)
    return sent


def scanned(db, statement, parameters):
    """The tables that SQLite would read as a whole."""
    with db.read() as tx:
        plan = tx.connection().exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters).all()
    return {found[1] for step in plan if (found := re.match(r"SCAN (?:TABLE )?([a-z]\w+)", step[3]))}


def test_nothing_that_people_wait_for_reads_a_whole_table(site):
    world, db = site.world, site.world.ctx.db
    world.stock("STEAM-50", 4)
    sent = statements_of(db)
    crowd = [PlaceOrder(buyer, "k" * 16, "STEAM-50", 1, 4_500, "sandbox") for buyer in (ANNA, BEN)]
    with db.tx() as tx:  # two at once: engines find one row by a key where they read all for two
        one, two = attempts.checkout(tx, crowd, hold_minutes=15)
    page = f"/o/{one.order.code}"
    assert [site.get(path, buyer=ANNA).status_code for path in (page, f"{page}/status")] == [200, 200]
    facts = [world.fact(one, event_id="E1"), world.fact(two, event_id="E2")]
    told = [
        ApplyPayment(fact, MERCHANT, RawCallback(fact.event_id, b"{}", b"-"))
        for fact in (*facts, replace(facts[0], provider_no="T2", event_id="E3"), replace(facts[1], amount_fen=1))
    ]
    for _ in range(2):
        with db.tx() as tx:
            outcomes = actions.apply(tx, told)
    assert outcomes == [Outcome.REPEATED] * 4
    assert site.order(ANNA, "STEAM-50", 4_500).status_code == 201
    assert site.notify(replace(facts[0], provider_no="T3")).status_code == 200
    refund = RefundFact("R-000001", "CR-1", facts[0].out_trade_no, 100, "succeeded")
    world.ctx.batch.call(RefundHeard("sandbox", MERCHANT, refund))
    paths = (page, f"{page}/status", f"{page}/keys.txt", f"{page}/refunds", f"{page}/refund")
    assert [site.get(path, buyer=ANNA).status_code for path in paths] == [200] * len(paths)
    for number in (facts[0].out_trade_no, facts[0].provider_no, one.order.code):
        found = site.get("/api/orders", by="li", params={"q": number}).json()["items"]
        assert [order["code"] for order in found] == [one.order.code]
    read = {one: given for one, given in sent.items() if re.match(r"(SELECT|UPDATE|DELETE)\b", one)}
    assert len(read) > 40, "what was looked at is the real thing"
    assert {one: tables for one, given in read.items() if (tables := scanned(db, one, given) - SMALL)} == {}


MANY, TOLD = 2_000, 20
"""Rows of a table, and how many of them a batch looks for."""

COUNT = {"postgres": "ANALYZE", "mariadb": "ANALYZE TABLE"}
"""How an engine is told to count the rows by which it chooses."""


def filled(db, kind):
    """Notifications, paid attempts and money of no order, all of one channel: only their numbers tell them apart."""
    at = clock.now()
    its = {"channel": "wechat", "created_at": at, "amount_fen": 1}
    rows = {
        PaymentCallback: {"state": CallbackState.DEFERRED.value, "headers": b"", "body": b"", "received_at": at},
        PaymentAttempt: {
            "order_id": ids.new_id(),
            "order_code": "-",
            "subject": "-",
            "state": "paid",
            "expires_at": at,
        },
        UnmatchedPayment: {"state": UnmatchedState.HELD.value, "paid_at": at, "found_by": "bill"},
    }
    with db.tx() as tx:
        for model, values in rows.items():
            columns = table_of(model).columns.keys()
            same = {name: value for name, value in (its | values).items() if name in columns}
            each = ({"id": ids.new_id(), **_named(model, n)} for n in range(MANY))
            tx.execute(insert(table_of(model)), [same | one for one in each])
    with db.engine.connect() as connection:
        for model in rows:
            connection.exec_driver_sql(f"{COUNT[kind]} {table_of(model).name}").close()
        connection.commit()


def _named(model, n):
    if model is PaymentCallback:
        return {"digest": f"{n:064x}", "out_trade_no": f"{n:032x}"}
    return {"provider_no": f"P{n}", "out_trade_no": f"{n:032x}"}


@pytest.mark.parametrize("kind", COUNT)
def test_a_batch_finds_what_is_known_of_it_by_the_index_of_each_engine(kind):
    with migrated(kind) as db:
        filled(db, kind)
        told = [Kept("wechat", RawCallback(f"{n:064x}", b"", b""), f"{n:032x}") for n in range(TOLD)]
        numbers = [("wechat", f"P{n}") for n in range(TOLD)]
        sent = statements_of(db)
        with db.tx() as tx:
            assert callbacks.keep(tx, told) == set()
            assert callbacks.keep(tx, told) == {one.name for one in told}
            assert [Numbers(tx, numbers).paid_by(number) for number in numbers] == [f"{n:032x}" for n in range(TOLD)]
        read = {one: given for one, given in sent.items() if re.match(r"(SELECT|UPDATE)\b", one)}
        assert len(read) == 4
        with db.read() as tx:
            connection = tx.connection()
            plans = {
                one: connection.exec_driver_sql(f"EXPLAIN {one}", given).mappings().all() for one, given in read.items()
            }
        assert {one: plan for one, plan in plans.items() if any(map(_reads_all, plan))} == {}


def _reads_all(step):
    """Whether a step of a plan reads a whole table, or an index of it."""
    if "QUERY PLAN" in step:
        return "Seq Scan" in step["QUERY PLAN"]
    return step["type"] in {"ALL", "index"} and not step["table"].startswith("<")
