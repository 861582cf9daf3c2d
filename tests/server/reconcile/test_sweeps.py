"""Arrivals that many record, approve and reverse at once, on each engine: one is one, booked once each way; and of a
day no more is booked by one person than its bill says."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial

from sqlalchemy import select

from server.db import retrying
from server.ledger.model import LedgerJournal
from server.policy import SYSTEM, Actor
from server.reconcile import owed, sweeps, withdrawals
from server.reconcile.figures import Figures
from server.reconcile.model import ReconcileDay, ReconcileWithdrawal
from shared import clock, ids
from shared.contracts.bank import CheckSweep, NewSweep, ReverseSweep
from shared.contracts.reconcile import DaySide
from shared.errors import BadField
from tests.world import world

AT_ONCE = 6


def at_once(act):
    """What so many get who do it at the same moment, each with a number."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return Counter(pool.map(act, range(AT_ONCE)))


def test_one_number_of_the_bank_is_one_arrival_however_many_work_on_it(engine, tmp_path):
    today = clock.shop_day(clock.now())
    part = {"day": today, "fen": 4_473}
    arrived = NewSweep(channel="sandbox", amount_fen=4_473, reference="B-1", arrived_on=today, parts=[part])
    another = Actor.labelled(f"staff:{ids.new_id()}")
    with world(engine, tmp_path) as shop:

        def all_at_once(act, who):
            desk = sweeps.Desk(who, None, 0)

            def one(_):
                try:
                    return retrying(shop.ctx.db, lambda tx: act(tx, desk=desk).state)
                except sweeps.SweepChanged:
                    return "changed"

            return at_once(one)

        def journals():
            with shop.ctx.db.read() as tx:
                codes = select(LedgerJournal.key).where(LedgerJournal.code == "SWEEP")
                return tx.scalars(codes.order_by(LedgerJournal.id)).all()

        for key in ("sweep:sandbox:B-1", "sweep:sandbox:B-1:2"):
            before = journals()
            said = all_at_once(partial(sweeps.record, body=arrived), SYSTEM)
            assert said == {"proposed": AT_ONCE}
            with shop.ctx.db.read() as tx:
                [waits] = sweeps.page(tx, SYSTEM, only=sweeps.Only(state="proposed"), after=None, limit=9).items
            approve = partial(sweeps.check, sweep_id=waits.id, body=CheckSweep(approve=True, over_fen=4_473, version=1))
            undo = partial(sweeps.reverse, sweep_id=waits.id, body=ReverseSweep(note="重复", version=2))
            agree = partial(sweeps.check, sweep_id=waits.id, body=CheckSweep(approve=True, version=3))
            for act, who in (approve, another), (undo, another), (agree, SYSTEM):
                assert all_at_once(act, who)["changed"] == AT_ONCE - 1, "one of them did it"
            assert journals() == [*before, key, f"{key}:reversed"]
        shop.check()


def test_what_a_day_is_owed_is_booked_once_by_those_who_record_at_once(engine, tmp_path):
    """Each arrival alone is what the two days are owed: the first is booked, the others wait for a second person."""
    today = clock.shop_day(clock.now())
    days = [today - timedelta(days=n) for n in (2, 1)]
    side = {"payments": 1, "payments_fen": 5_000, "refunds": 0, "refunds_fen": 0, "fees_fen": 27}
    run = {"run_at": clock.now(), "run_by": "x", "inputs_sha256": "", "outputs_sha256": ""}
    with world(engine, tmp_path) as shop:
        with shop.ctx.db.tx() as tx:
            figures = Figures(theirs=DaySide(**side)).stored()
            tx.add_all(ReconcileDay(channel="sandbox", day=day, figures=figures, **run) for day in days)
            told = {
                "channel": "sandbox",
                "day": days[0],
                "at": clock.now(),
                "provider_no": "",
                "voucher": "",
                "note": "",
            }
            tx.add_all(ReconcileWithdrawal(id=ids.new_id(), number=str(n), amount_fen=9_946, **told) for n in (1, 2))

        def record(n):
            body = NewSweep(
                channel="sandbox",
                amount_fen=9_946,
                reference=f"B-{n}",
                arrived_on=today,
                parts=[{"day": day, "fen": 4_973} for day in reversed(days)],
            )
            desk = sweeps.Desk(SYSTEM, None, 1_000_000)
            return retrying(shop.ctx.db, lambda tx: sweeps.record(tx, body, desk=desk).state)

        assert at_once(record) == {"booked": 1, "proposed": AT_ONCE - 1}
        with shop.ctx.db.read() as tx:
            lacking = owed.page(tx, shop.ctx.settings, after=None, limit=9).items
            left = withdrawals.page(tx, SYSTEM, only=withdrawals.Only(), after=None, limit=9).items
        assert {(one.short_fen, one.waiting_fen) for one in lacking} == {(0, 4_973 * (AT_ONCE - 1))}, "none is short"
        paired = [one.arrival for one in left]
        assert None not in paired
        assert len({one.id for one in paired}) == len(paired) == 2
        shop.check()


def test_those_who_record_at_once_without_parts_get_a_day_each(engine, tmp_path):
    today = clock.shop_day(clock.now())
    days = [today - timedelta(days=n) for n in range(AT_ONCE - 1, 0, -1)]
    side = {"payments": 1, "payments_fen": 5_000, "refunds": 0, "refunds_fen": 0, "fees_fen": 27}
    run = {"run_at": clock.now(), "run_by": "x", "inputs_sha256": "", "outputs_sha256": ""}
    with world(engine, tmp_path) as shop:
        with shop.ctx.db.tx() as tx:
            figures = Figures(theirs=DaySide(**side)).stored()
            tx.add_all(ReconcileDay(channel="sandbox", day=day, figures=figures, **run) for day in days)

        def record(n):
            body = NewSweep(channel="sandbox", amount_fen=4_973, reference=f"B-{n}", arrived_on=today)
            desk = sweeps.Desk(SYSTEM, None, 1_000_000)
            try:
                made = retrying(
                    shop.ctx.db, lambda tx: sweeps.answers(tx, SYSTEM, [sweeps.record(tx, body, desk=desk)])
                )
            except BadField:
                return "no day waits"
            return made[0].state.value, *(part.day for part in made[0].parts)

        assert at_once(record) == {"no day waits": 1} | {("booked", day): 1 for day in days}
        shop.check()
