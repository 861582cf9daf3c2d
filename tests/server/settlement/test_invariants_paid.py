"""Nothing is released but by a statement, and nothing paid out but by a payout: said by name, soon after."""

import pytest
from sqlalchemy import select, tuple_, update

from server import invariants
from server.invariants.booked import adjustments_are_posted, payouts_are_booked
from server.invariants.settlement import releases_are_of_statements
from server.ledger import paying as books
from server.ledger.actions import Account, Journal, Transfer, post
from server.ledger.model import LedgerAccount, LedgerJournal, LedgerTransfer
from shared import clock
from tests.databases import findings_after
from tests.server.bookkeeping import adjust, line_of
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
    assert {releases_are_of_statements, payouts_are_booked} <= set(invariants.BY_PAPER)


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
    shop.world.expects = {"L10"}


def test_what_goes_to_other_accounts_than_people_agreed_on_is_named(shop):
    shop.world.buy(ANNA, "STEAM-50")
    payout = paying.paid(shop, paying.settled(shop, DAY))
    said = adjust(shop, ("loss", "", "bank", "", 100), ("fee", "", "bank", "", 7)).json()
    checked = {"approve": True, "version": 1}
    assert shop.post(f"/api/ledger/adjustments/{said['id']}/check", by="wang", json=checked).is_success
    shop.world.check()
    db, (xinghe, beichen) = shop.world.ctx.db, (shop.world.suppliers[name].hex for name in ("xinghe", "beichen"))
    with db.tx() as tx:
        mine, theirs = Account("supplier_pending", xinghe), Account("supplier_available", beichen)
        post(tx, [Journal("opens it", "SUSPENSE", None, clock.now(), (Transfer(mine, theirs, 1),), "x")])
    shop.world.expects = {"L3", "L6"}
    number, [statement] = payout["number"], payout["statements"]
    adjusted, released = f"adjust:{said['id'].replace('-', '')}", f"statement:{statement}:release"

    def found(key, fen, **other):
        its = select(LedgerJournal.id).where(LedgerJournal.key == key).scalar_subquery()
        ids = {
            side: select(LedgerAccount.id).where(tuple_(LedgerAccount.kind, LedgerAccount.owner) == account)
            for side, account in other.items()
            if side != "amount_fen"
        }
        values = other | {side: one.scalar_subquery() for side, one in ids.items()}
        of_it = (LedgerTransfer.journal_id == its, LedgerTransfer.amount_fen == fen)
        return findings_after(db, update(LedgerTransfer).where(*of_it).values(**values), look=look)

    def look(tx):
        checks = (payouts_are_booked, releases_are_of_statements, adjustments_are_posted)
        return [finding for check in checks if (finding := check(tx))]

    theirs = ("supplier_available", beichen)
    for key, fen, other in (
        (adjusted, 7, {"amount_fen": 8}),
        (adjusted, 7, {"credit_id": theirs}),
        (adjusted, 100, {"debit_id": ("fee", "")}),  # as much in all, of another account
        (released, 4_275, {"credit_id": theirs}),
        (f"payout:{number}:submit", 4_175, {"debit_id": theirs}),
        (f"payout:{number}:submit", 4_175, {"credit_id": ("payout_fee", "")}),
        (f"payout:{number}:done", 4_175, {"credit_id": ("psp", "sandbox")}),  # a purchase is paid by the bank
        (f"payout:{number}:done", 4_175, {"credit_id": theirs}),
    ):
        assert found(key, fen, **other) == {"L10": (key,)}, other
    assert found(released, 4_275, amount_fen=4_275) == {}
