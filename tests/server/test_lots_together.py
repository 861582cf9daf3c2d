"""Buyers, staff and jobs at once, on each engine: what was frozen is not sold after, and the books hold."""

import threading
import time

import pytest

from server.orders.actions import SoldOut
from server.policy import SYSTEM
from server.stock import lots, withdrawal
from shared.contracts.stock import MoveLot, VoidUnits
from shared.errors import Busy
from shared.states import LotState, UnitState
from tests.server.stocking import end, lots_of, secrets, states
from tests.world import ANNA, BEN, CARA, world

SKU = "STEAM-50"
EACH, LOTS = 60, 4


@pytest.fixture
def shop(engine, tmp_path):
    with world(engine, tmp_path) as built:
        yield built


def move(shop, lot, to):
    with shop.ctx.db.tx() as tx:
        lots.move(tx, lot.id, MoveLot(to=to, reason="演练"), actor=SYSTEM)


def together(*works):
    """Run each in a thread of its own; raises the first error."""
    failed = []

    def guarded(work):
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - told below
            failed.append(error)

    threads = [threading.Thread(target=guarded, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
        assert not thread.is_alive()
    if failed:
        raise failed[0]


def test_lots_leave_while_buyers_come_and_go(shop, monkeypatch):
    monkeypatch.setattr(withdrawal, "STEP_UNITS", 7)
    for n in range(LOTS):
        uses = (None, None, 3) if n == 2 else (None, None, 1)
        shop.stock(SKU, shop.keys(SKU, EACH // uses[2], start=n * 1_000), terms=uses)
    first, second, third, fourth = lots_of(shop, SKU)
    stopping, sold, freeze_done = threading.Event(), threading.Event(), threading.Event()
    after_freeze: list[dict] = []

    def buy(buyer, pays):
        def run():
            while not stopping.is_set():
                try:
                    placed = shop.place(buyer, SKU, 2)
                except (SoldOut, Busy):
                    time.sleep(0.001)
                    continue
                if pays:
                    shop.apply(shop.fact(placed))
                    sold.set()
                    freeze_done.wait(60)  # else everything might be sold before the first deed
                else:
                    end(shop, placed)

        return run

    def work():
        jobs = shop.ctx.jobs
        while not stopping.is_set():
            if not jobs.run_due():
                time.sleep(0.001)

    def manage():
        try:
            assert sold.wait(60)
            move(shop, first, LotState.FROZEN)
            after_freeze.append(states(shop, SKU))
            freeze_done.set()
            for seq in range(fourth.number * 2**32, fourth.number * 2**32 + EACH, 7):
                with shop.ctx.db.tx() as tx:
                    lots.void_units(tx, shop.skus[SKU], VoidUnits(seqs=[seq, seq + 1], reason="坏卡"), actor=SYSTEM)
            move(shop, second, LotState.WITHDRAWN)
            move(shop, third, LotState.WITHDRAWN)
            time.sleep(0.3)
        finally:
            freeze_done.set()
            stopping.set()

    together(buy(ANNA, pays=True), buy(BEN, pays=False), buy(CARA, pays=False), work, manage)
    shop.work()
    now = states(shop, SKU)
    frozen = {seq for seq in now if seq <= EACH}
    was = after_freeze[0]
    assert any(was[seq] is UnitState.FREE for seq in frozen)
    taken = [seq for seq in frozen if was[seq] is UnitState.FREE and now[seq] is not UnitState.FREE]
    assert taken == []  # nothing that was free at the freeze was sold or held after it
    report = shop.check()
    gone = {seq for seq in now if second.number * 2**32 <= seq < fourth.number * 2**32}
    assert {now[seq] for seq in gone} <= {UnitState.SOLD, UnitState.VOID}
    kept = {seq for seq in secrets(shop, SKU) if second.number * 2**32 <= seq < third.number * 2**32}
    assert kept == {seq for seq in gone if seq < third.number * 2**32 and now[seq] is UnitState.SOLD}
    assert report.figures["units_imported"] == EACH * LOTS
