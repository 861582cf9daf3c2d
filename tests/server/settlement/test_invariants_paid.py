"""Nothing is released but by a statement, and nothing paid out but by a payout: said by name, soon after."""

import pytest

from server import invariants
from server.invariants import settlement as checks
from server.ledger import paying as books
from shared import clock
from tests.server.bookkeeping import line_of
from tests.server.settlement import paying
from tests.server.settlement.paying import SOLD, agree, step
from tests.world import ANNA

DAY = "2026-11-16"


@pytest.fixture
def shop(site):
    site.world.stock("STEAM-50", 10)
    with clock.fixed(SOLD):
        agree(site, payout_fee_fen=100)
        yield site


def findings(site):
    report = invariants.check(site.world.ctx.db)
    return {(one.invariant, one.rows) for one in report.findings}


def test_what_people_did_is_booked(shop):
    shop.world.buy(ANNA, "STEAM-50")
    done = paying.paid(shop, paying.settled(shop, DAY))
    assert findings(shop) == set()
    step(shop, done, "fail", reference="RT-1", note="退汇", by="wang")
    assert findings(shop) == set()
    assert {checks.releases_are_of_statements, checks.payouts_are_booked} <= set(invariants.BY_PAPER)


def test_a_release_and_a_payout_of_nothing_are_named(shop):
    line = line_of(shop, shop.world.buy(ANNA, "STEAM-50"))
    payee = books.supplier(shop.world.suppliers["xinghe"])
    said = {"at": clock.now(), "actor": "x"}
    with shop.world.ctx.db.tx() as tx:
        forged = [books.LineRelease(line.id, line.supplier_fen)]
        books.release(tx, number="JS-FORGED", payee=payee, lines=forged, **said)
    assert findings(shop) == {("L10", ("statement:JS-FORGED:release",))}
    with shop.world.ctx.db.tx() as tx:
        books.payout_submit(tx, number="DK-FORGED", payee=payee, amount=4_275, **said)
        books.payout_done(tx, number="DK-FORGED", sources={books.BANK: 4_275}, **said)
    assert findings(shop) == {
        ("L10", ("statement:JS-FORGED:release",)),
        ("L10", ("payout:DK-FORGED:done", "payout:DK-FORGED:submit")),
    }
