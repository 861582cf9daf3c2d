"""Nothing is released but by a statement, and nothing paid out but by a payout: said by name, soon after."""

from functools import partial
from uuid import UUID

import pytest
from sqlalchemy import insert, select, tuple_, update

from server import invariants
from server.db import table_of
from server.invariants.booked import adjustments_are_posted, payouts_are_booked
from server.invariants.scope import EVERYTHING, Scope
from server.invariants.settlement import releases_are_of_statements, splits_are_of_payments_opened_for_it
from server.ledger import paying as books
from server.ledger.actions import Account, Journal, Transfer, post
from server.ledger.model import LedgerAccount, LedgerJournal, LedgerTransfer
from server.payments.model import PaymentAttempt
from server.settlement.model import Payout, SettlementResult, SettlementReturn
from shared import clock
from tests.databases import findings_after
from tests.server.bookkeeping import adjust, line_of
from tests.server.settlement import paying
from tests.server.settlement.paying import SOLD, agree, step
from tests.world import ANNA

DAY = "2026-11-16"
NOTHING = Scope(papers={"payout": ()})


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


def test_a_payout_that_is_not_what_its_rows_and_people_said_is_named(shop):
    agree(shop, version=1, mode="profit_sharing", split_ppm=10**6, payout_fee_fen=100)
    for _ in range(2):
        shop.world.buy(ANNA, "STEAM-50")
    paid = paying.paid(shop, paying.settled(shop, DAY))
    shop.world.check()
    db, number, paid_id = shop.world.ctx.db, paid["number"], UUID(paid["id"])
    with db.tx() as tx:
        other = Transfer(Account("psp", "wechat"), Account("loss"), 1)
        post(tx, [Journal("opens it", "SUSPENSE", None, clock.now(), (other,), "x")])
    psp = select(LedgerAccount.id).where(tuple_(LedgerAccount.kind, LedgerAccount.owner) == ("psp", "wechat"))
    done = select(LedgerJournal.id).where(LedgerJournal.key == f"payout:{number}:done")
    mine = update(Payout).where(Payout.id == paid_id)
    failed = {"payout_id": paid_id, "n": 1, "succeeded": False, "reference": "", "reason": "", "file_sha256": ""}
    unshared = update(PaymentAttempt).values(is_shared=False)
    for scope, named in ((EVERYTHING, {"L6": (f"{number} 1 4225", f"{number} 2 4225")}), (NOTHING, {})):
        look = partial(splits_are_of_payments_opened_for_it, scope=scope)
        assert findings_after(db, unshared, look=lambda tx, look=look: filter(None, [look(tx)])) == named
    back = {"payout_id": paid_id, "n": 1, "k": 1, "amount_fen": 5, "reference": "", "file_sha256": ""}
    for forged, named in (
        (insert(table_of(SettlementResult)).values(**failed), {f"payout:{number}"}),  # it could be split again
        (insert(table_of(SettlementReturn)).values(**back), {f"payout:{number}", f"payout:{number}:return:1.1"}),
        (mine.values(returned_fen=5), {f"payout:{number}"}),
        (mine.values(checked_by=None), {f"payout:{number}:submit"}),
        (
            update(LedgerTransfer)
            .where(LedgerTransfer.journal_id == done.scalar_subquery())
            .values(credit_id=psp.scalar_subquery()),
            {f"payout:{number}:done"},
        ),
    ):
        found = findings_after(db, forged, look=lambda tx: [one for one in [payouts_are_booked(tx)] if one])
        assert found == {"L10": tuple(sorted(named))}, forged
