"""What people wait for finds its rows by an index, however many rows there will be after three years."""

import re
from dataclasses import replace

from sqlalchemy import event

from server.db import table_of
from server.gateways.port import RefundFact
from server.identity.model import User
from server.orders.actions import PlaceOrder
from server.payments import actions, attempts
from server.payments.actions import ApplyPayment, Outcome
from server.payments.callbacks import RawCallback
from server.payments.model import PaymentChannel
from server.payments.refunds.actions import RefundHeard
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
