"""Our side of a day: found by the indexes that are meant for it, however much a channel has ever had, and counted."""

from datetime import timedelta

from sqlalchemy import event, insert, update

from server.payments.model import PaymentAttempt, UnmatchedPayment
from server.payments.refunds.model import Refund
from server.reconcile import ours
from server.reconcile.matching import Side, Wanted
from shared import clock, ids
from shared.states import UnmatchedState
from tests.server.reconcile.days import DAY
from tests.world import world


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
    counted = steps(db, lambda tx: [ours.counted(tx, "wechat", DAY)])
    assert "ix_payment_attempt_paid_at (paid_at>? AND paid_at<?)" in counted[0], "while others wait for it"
    numbers = steps(db, lambda tx: ours.named(tx, "wechat", Wanted(["42001"], ["KM1", "KM2"], [])))
    found = [step for step in numbers if step.startswith("SEARCH")]
    assert [step.rpartition("(")[2] for step in found] == ["out_trade_no=?)", "channel=? AND provider_no=?)"]
    many = {f"KM{n}" for n in range(200)}
    [codes] = steps(db, lambda tx: ours.order_codes(tx, "wechat", many))
    assert codes.endswith("(out_trade_no=?)"), "while others wait for it"


def test_the_engine_alone_counts_what_a_run_would_read(site):
    """Also money that was set aside, until people say that it never came: nothing jumps when a day is compared."""
    at = clock.day_bounds(DAY)[0] + timedelta(hours=3)
    told = {"id": ids.new_id(), "channel": "wechat", "provider_no": "42001", "out_trade_no": "X", "amount_fen": 700}
    db = site.world.ctx.db
    with db.tx() as tx:
        more = {"paid_at": at, "created_at": at, "found_by": "bill", "state": UnmatchedState.HELD.value}
        tx.execute(insert(UnmatchedPayment), told | more)
        assert ours.counted(tx, "wechat", DAY) == Side(1, 700, settled_fen=700)
        assert [one.amount_fen for one in ours.of_day(tx, "wechat", DAY)] == [700]
        assert ours.counted(tx, "alipay", DAY) == Side()
        tx.execute(update(UnmatchedPayment).values(state=UnmatchedState.CORRECTED.value))
        assert ours.counted(tx, "wechat", DAY) == Side()


def test_a_part_that_is_refunded_brings_its_share_of_the_fee_back_as_the_channel_rounds_it(close):
    """Of 8 fen for 12.50 yuan we expect 1.536 for 2.40, rounded to 2; the channels make it 1, and 1 is booked."""
    sold = {channel: close.sold(channel, "MUSIC-30") for channel in ("wechat", "alipay")}
    for one in sold.values():
        close.refund(one, 240)
    with close.shop.ctx.db.read() as tx:
        fees = {channel: [row.fee_fen for row in ours.of_day(tx, channel, close.day)] for channel in sold}
    assert fees == {"wechat": [8, -2], "alipay": [8, -2]}
    with close.tomorrow():
        close.fetch_by_itself()
        for channel in sold:
            day = close.seen(channel)
            assert (close.differences(channel), day["matched"]) == ([], 2)
            assert (day["ours"], day["ours"]["fees_fen"]) == (day["theirs"], 7)
            assert [one["fee_returned_fen"] for one in close.get(close.at(channel, "/refunds"))["items"]] == [1]
    close.shop.check()


def test_each_engine_shares_a_fee_out_alike(engine, tmp_path):
    """Half a fen up, exactly, one by one and in the sum; of money that pays no attempt nothing is expected."""
    attempt, at = ids.new_id(), clock.day_bounds(DAY)[0]
    paid = {"amount_fen": 1_250, "fee_fen": 8, "paid_at": at, "state": "paid", "provider_no": "42001"}
    parts = {"A": 240, "B": 625, "C": 1_250, "D": 80, "E": 70}
    told = {"channel": "wechat", "out_trade_no": "KM1", "created_at": at, "expires_at": at}
    with world(engine, tmp_path, expects={"L4", "R1", "R4"}) as shop, shop.ctx.db.tx() as tx:
        about = {"order_id": ids.new_id(), "order_code": "X", "subject": "x", "product": "qr", "queries": 0}
        tx.add(PaymentAttempt(id=attempt, **told, **paid, **about))
        for number, fen in [*parts.items(), ("F", 70)]:
            tx.add(
                Refund(
                    id=ids.new_id(), out_refund_no=number, attempt_id=attempt if number in parts else None,
                    channel="wechat", out_trade_no="KM1", amount_fen=fen, cause="shop", reason="", state="succeeded",
                    asked_by="x", asked_at=at, submitted_at=at,
                )
            )  # fmt: skip
        tx.flush()
        rows = list(ours.of_day(tx, "wechat", DAY))
        assert [row.fee_fen for row in rows] == [8, -2, -4, -8, -1, 0, None]
        counted = ours.counted(tx, "wechat", DAY)
    assert counted == Side(1, 1_250, 6, 2_335, 1_250 - 2_335, 8 - 15)
