"""Our side of a day is found by the indexes that are meant for it, however much a channel has ever had."""

from sqlalchemy import event

from server.reconcile import ours
from server.reconcile.matching import Wanted
from tests.server.reconcile.days import DAY


def steps(db, look):
    """How SQLite finds the attempts of a look, step by step; each engine without statistics does as much."""
    sent = []

    def note(_connection, _cursor, statement, parameters, _context, _executemany):
        sent.append((statement, parameters))

    for engine in {db.engine, db._reader}:
        event.listen(engine, "before_cursor_execute", note)
    with db.read() as tx:
        list(look(tx))
        asked = [one for one in sent if "FROM payment_attempt" in one[0]]
        plans = [tx.connection().exec_driver_sql(f"EXPLAIN QUERY PLAN {one}", given).all() for one, given in asked]
    return [step[3] for plan in plans for step in plan]


def test_a_day_is_read_in_the_order_of_its_index_and_numbers_are_looked_up_by_theirs(site):
    db = site.world.ctx.db
    [day] = steps(db, lambda tx: ours.of_day(tx, "wechat", DAY))
    assert "ix_payment_attempt_paid_at (paid_at>? AND paid_at<?)" in day, "and nothing is sorted"
    numbers = steps(db, lambda tx: ours.named(tx, "wechat", Wanted(["42001"], ["KM1", "KM2"], [])))
    found = [step for step in numbers if step.startswith("SEARCH")]
    assert [step.rpartition("(")[2] for step in found] == ["out_trade_no=?)", "channel=? AND provider_no=?)"]
