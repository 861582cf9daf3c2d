"""An arrival that many record, approve and reverse at once, on each engine: it is one, and booked once each way."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from sqlalchemy import select

from server.db import retrying
from server.ledger.model import LedgerJournal
from server.policy import SYSTEM, Actor
from server.reconcile import sweeps
from shared import clock, ids
from shared.contracts.bank import CheckSweep, NewSweep, ReverseSweep
from tests.world import world

AT_ONCE = 6


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

            with ThreadPoolExecutor(AT_ONCE) as pool:
                return Counter(pool.map(one, range(AT_ONCE)))

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
            approve = partial(sweeps.check, sweep_id=waits.id, body=CheckSweep(approve=True, version=1))
            undo = partial(sweeps.reverse, sweep_id=waits.id, body=ReverseSweep(note="重复", version=2))
            agree = partial(sweeps.check, sweep_id=waits.id, body=CheckSweep(approve=True, version=3))
            for act, who in (approve, another), (undo, another), (agree, SYSTEM):
                assert all_at_once(act, who)["changed"] == AT_ONCE - 1, "one of them did it"
            assert journals() == [*before, key, f"{key}:reversed"]
        shop.check()
