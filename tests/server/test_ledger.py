"""Who has what of a sale, before and after it is released, refunded and disputed: to the fen, over HTTP."""

from dataclasses import replace
from uuid import UUID

import pytest
from sqlalchemy import delete, event, select
from sqlalchemy.exc import IntegrityError

from server.ledger import actions as ledger
from server.ledger import paying
from server.ledger.actions import Account, Journal, JournalConflict, Transfer
from server.ledger.model import LedgerBalance, LedgerJournal
from server.ledger.paying import AlreadyReleased, LineRelease, NotEnoughAvailable, Released
from server.payments import fees
from server.payments.ending import EndUnpaid
from server.payments.model import PaymentAttempt, PaymentException
from server.payments.refunds import making, moving
from shared import clock
from shared.states import ExceptionState, OrderState, RefundCause, RefundStep
from tests.server.bookkeeping import (
    AVAILABLE,
    BANK,
    DEAL,
    DISTRIBUTOR,
    ESCROW,
    FEE,
    FROZEN,
    LOSS,
    OWED,
    PAYOUT,
    PENDING,
    PROMO,
    PSP,
    PSP_FEE,
    THEIR_AVAILABLE,
    THEIR_PENDING,
    close,
    dispute,
    give_back,
    line_of,
    money,
    release,
)
from tests.server.refunding import carry_out, later, shop_with_refunds, start
from tests.world import ANNA, BEN, WITH_FEES

SOLD = {
    PSP: 8_100 - 49,  # 90.00 less a tenth, less 0.6 %
    PSP_FEE: 49,
    PROMO: 900,
    PENDING: 9_000 - 450 - 720,
    THEIR_PENDING: 720,
    FEE: 450,
}
"""Two keys at 45.00 by the deal."""


@pytest.fixture
def site(tmp_path):
    with shop_with_refunds(tmp_path, refund_check_fen=10**6, **WITH_FEES) as built:
        built.world.stock("STEAM-50", 12)
        yield built


def of_order(site, bought):
    answer = site.get(f"/api/ledger/orders/{bought.order.code}", by="zhou")
    assert answer.status_code == 200
    return answer.json()


def codes(site, bought):
    return [journal["code"] for journal in of_order(site, bought)]


def test_a_sale_is_shared_out_with_its_discount_commission_and_fee(site):
    bought = site.world.buy(ANNA, "STEAM-50", 2, deal=DEAL)
    assert money(site) == SOLD
    journals = of_order(site, bought)
    code, number = bought.order.code, site.world.attempt(bought).provider_no
    assert [(one["code"], one["key"], one["order_code"]) for one in journals] == [
        ("PAY", f"payment:sandbox:{number}:pay", code),
        ("PSPFEE", f"payment:sandbox:{number}:fee", code),
        ("PROMO", f"order:{code}:promo", code),
        ("SALE", f"order:{code}:sale", code),
    ]
    supplier = site.world.suppliers["xinghe"].hex
    assert [
        (t["debit_kind"], t["credit_kind"], t["credit_owner"], t["amount_fen"]) for t in journals[3]["transfers"]
    ] == [
        ("escrow", "supplier_pending", supplier, 7_830),
        ("escrow", "fee", "", 450),
        ("escrow", "distributor_pending", DISTRIBUTOR.hex, 720),
    ]
    assert line_of(site, bought).discount_fen == 900


def test_partial_refunds_take_every_share_back_and_end_exactly(site):
    bought = site.world.buy(ANNA, "STEAM-50", 2, deal=DEAL)
    before = dict(SOLD)
    for amount in (1, 2_699, 3_333, None):
        give_back(site, bought, amount)
        now = money(site)
        assert all(0 <= now.get(account, 0) <= before[account] for account in SOLD if account != PSP), amount
        before = before | now
    assert money(site) == {PSP: -49, PSP_FEE: 49}, "the channel keeps its fee until its bill gives it back"
    assert site.world.order(bought).state == OrderState.REFUNDED
    assert sorted(codes(site, bought)) == ["PAY", "PROMO", "PSPFEE", *["REFUND"] * 4, *["REVERSE"] * 4, "SALE"]


def test_what_was_released_comes_back_as_far_as_it_reaches_and_the_rest_is_owed(site):
    site.world.expects = {"L10"}
    bought, other = site.world.buy(ANNA, "STEAM-50", 2, deal=DEAL), site.world.buy(BEN, "STEAM-50", 2)
    give_back(site, bought, 810)
    assert release(site, "S1", bought) == Released(owed=0, available=7_047)
    assert release(site, "S1", bought) == Released(owed=0, available=7_047), "a repeat is a no-op"
    assert release(site, "D1", bought, payee="distributor") == Released(owed=0, available=648)
    assert (money(site)[AVAILABLE], money(site)[THEIR_AVAILABLE], money(site)[PENDING]) == (7_047, 648, 8_550)
    with site.world.ctx.db.tx() as tx:
        payee = paying.supplier(site.world.suppliers["xinghe"])
        said = {"number": "P1", "payee": payee, "at": clock.now(), "actor": "staff:1"}
        paying.payout_submit(tx, amount=6_000, fee=100, **said)
    assert (money(site)[AVAILABLE], money(site)[PAYOUT], money(site)["payout_fee", ""]) == (947, 6_000, 100)
    give_back(site, bought)
    held = money(site)
    assert (held.get(AVAILABLE), held[OWED], held.get(THEIR_AVAILABLE), held.get(("owed", DISTRIBUTOR.hex))) == (
        None,
        7_047 - 947,
        None,
        None,
    )
    assert (held.get(ESCROW), held.get(PROMO), held[FEE], held[PENDING]) == (None, None, 450, 8_550)
    assert release(site, "S2", other) == Released(owed=6_100, available=2_450)
    assert (money(site).get(OWED), money(site)[AVAILABLE]) == (None, 2_450)
    with site.world.ctx.db.tx() as tx:
        paying.payout_failed(tx, sources={paying.PAYOUT: 6_000}, fee=100, **said)
    assert (money(site)[AVAILABLE], money(site).get(PAYOUT)) == (8_550, None)


def test_a_refund_that_fails_after_the_release_goes_back_to_who_had_it(site):
    site.world.expects = {"L10"}
    bought = site.world.buy(ANNA, "STEAM-50", 2, deal=DEAL)
    release(site, "S1", bought)
    before = money(site)
    with site.world.ctx.db.tx() as tx:
        payee = paying.supplier(site.world.suppliers["xinghe"])
        paying.payout_submit(tx, number="P1", payee=payee, amount=7_800, at=clock.now(), actor="staff:1")
        paying.payout_done(tx, number="P1", sources={paying.BANK: 7_800}, at=clock.now(), actor="staff:1")
    assert (money(site)[BANK], money(site)[AVAILABLE]) == (-7_800, 30)
    made = start(site, bought, amount_fen=8_100).json()
    assert (money(site)[OWED], money(site).get(AVAILABLE), money(site)[ESCROW]) == (7_800, None, 8_100)
    with site.world.ctx.db.tx() as tx:
        moving.close(tx, moving.lock(tx, UUID(made["id"])), RefundStep.STOPPED, actor="staff:1")
    after = money(site)
    assert (after.get(OWED), after[AVAILABLE], after.get(ESCROW), after[PROMO]) == (None, 30, None, 900)
    with site.world.ctx.db.tx() as tx:
        back = {paying.BANK: 7_800}
        paying.payout_failed(tx, number="P1", payee=payee, sources=back, at=clock.now(), actor="staff:1")
    assert money(site) == before, "the bank sent it back"


def test_each_share_is_released_once_and_no_more_is_paid_out_than_there_is(site):
    bought, site.world.expects = site.world.buy(ANNA, "STEAM-50"), {"L7"}
    release(site, "S1", bought)
    before = money(site)
    line, payee = line_of(site, bought), paying.supplier(site.world.suppliers["xinghe"])
    said = {"payee": payee, "at": clock.now(), "actor": "staff:1"}
    db = site.world.ctx.db
    with pytest.raises(AlreadyReleased), db.tx() as tx:
        paying.release(tx, number="S2", lines=[LineRelease(line.id, 1)], **said)
    with pytest.raises(JournalConflict), db.tx() as tx:
        paying.release(tx, number="S1", lines=[LineRelease(line.id, 1)], **said)
    with pytest.raises(NotEnoughAvailable, match=r"42\.75"), db.tx() as tx:
        paying.payout_submit(tx, number="P1", amount=4_275, fee=1, **said)
    transfer = Transfer(payee.available, Account("payout"), 4_276)
    unguarded = Journal("payout:X:submit", "PAYOUT", None, clock.now(), (transfer,))
    with pytest.raises(IntegrityError), db.tx() as tx:  # the database's own last word
        ledger.post(tx, [unguarded])
    with db.tx() as tx:
        arrival = paying.Arrival("sandbox", "B-1", 1, 4_473)
        paying.sweep(tx, arrival, at=clock.now(), actor="staff:1")
        paying.sweep(tx, arrival, at=clock.now(), actor="staff:1")
    with pytest.raises(JournalConflict), db.tx() as tx:
        paying.sweep(tx, replace(arrival, amount=1), at=clock.now(), actor="staff:1")
    assert money(site) == {account: fen for account, fen in before.items() if account != PSP} | {BANK: 4_473}


def test_the_bill_has_the_last_word_on_the_fee_however_often_it_comes(site):
    bought = site.world.buy(ANNA, "STEAM-50")
    number = site.world.attempt(bought).provider_no
    for fee, keys in ((27, []), (31, ["fee-bill"]), (31, ["fee-bill"]), (20, ["fee-bill", "fee-bill:2"])):
        with site.world.ctx.db.tx() as tx:
            fees.settle(tx, "sandbox", {number: fee, "unknown": 5})
        assert (money(site)[PSP], money(site)[PSP_FEE]) == (4_500 - fee, fee)
        said = [one["key"].removeprefix(f"payment:sandbox:{number}:") for one in of_order(site, bought)]
        assert [key for key in said if key.startswith("fee-")] == keys
        assert (site.world.attempt(bought).fee_fen, site.world.attempt(bought).fee_is_final) == (fee, True)


def test_money_that_bought_nothing_goes_back_as_such(site):
    shop = site.world
    shop.stock("MUSIC-30", 1)
    late = shop.place(ANNA, "MUSIC-30", deal=DEAL)
    shop.ctx.batch.call(EndUnpaid(late.order.id, OrderState.EXPIRED, ()))
    shop.buy(BEN, "MUSIC-30")
    before = money(site)
    shop.apply(shop.fact(late))
    assert money(site)[ESCROW] == 1_125, "the shop adds its discount when it delivers"
    with shop.ctx.db.tx() as tx:
        attempt = tx.get(PaymentAttempt, late.attempt.id)
        held = making.of_payment(tx, RefundCause.NO_STOCK, attempt, reason="无货", actor="system")
        moving.approve(tx, held, RefundStep.STARTED, actor="system", check_above=None)
        [waiting] = tx.scalars(select(PaymentException).where(PaymentException.order_id == late.order.id))
        waiting.state, waiting.refund_id = ExceptionState.WORKING.value, held.refund.id
    carry_out(site)
    site.desk.ends()
    later(site, seconds=90)
    assert sorted(codes(site, late)) == ["NOSTOCK", "PAY", "PSPFEE"]
    assert money(site) == before | {PSP: before[PSP] - 7, PSP_FEE: before[PSP_FEE] + 7}


# --- disputes ---


def test_a_dispute_that_is_won_gives_everything_back(site):
    bought = site.world.buy(ANNA, "STEAM-50", 2, deal=DEAL)
    opened = dispute(site, bought, 4_050).json()
    assert (opened["state"], opened["channel"], opened["opened_by"], opened["actions"]) == (
        "opened",
        "sandbox",
        "周洁",
        ["close"],
    )
    assert money(site) == SOLD | {PENDING: 3_915, FROZEN: 3_915}
    assert site.world.order(bought).state == OrderState.DISPUTED
    assert start(site, bought, amount_fen=4_051).status_code == 422, "only what is not disputed can be refunded"
    assert close(site, opened, won=True)["state"] == "opened", "one person proposes"
    assert close(site, opened, won=True)["state"] == "opened", "and is not two"
    assert close(site, opened, won=False, by="wang")["proposed_by"] == "王敏", "who says otherwise proposes that"
    done = close(site, opened, won=False, by="wang")
    assert done["state"] == "opened"
    now = close(site, opened, won=True, by="zhou", note="已提交证据")
    assert (now["note"], now["proposed_at"] is not None, now["closed_note"]) == ("已提交证据", True, "")
    done = close(site, opened, won=True, by="wang", note="渠道判我方胜")
    assert (done["state"], done["proposed_by"], done["closed_by"], done["actions"]) == ("won", "周洁", "王敏", [])
    said = ("note", "proposed_at", "closed_note")
    assert [done[name] for name in said] == ["已提交证据", now["proposed_at"], "渠道判我方胜"], "each said why"
    assert money(site) == SOLD
    assert site.world.order(bought).state == OrderState.DELIVERED
    assert codes(site, bought)[-2:] == ["FREEZE", "FREEZE"]
    close(site, done, won=True, status=409)


def test_a_dispute_that_is_lost_takes_every_share_and_the_fine(site):
    bought = site.world.buy(ANNA, "STEAM-50", 2, deal=DEAL)
    opened = dispute(site, bought, 4_050).json()
    close(site, opened, won=False, fine_fen=1_500)
    done = close(site, opened, won=False, fine_fen=1_500, by="wang")
    assert (done["state"], done["fine_fen"]) == ("lost", 1_500)
    half = {PSP_FEE: 49, PROMO: 450, PENDING: 3_915, THEIR_PENDING: 360, FEE: 225}
    assert money(site) == half | {PSP: 8_051 - 4_050 - 1_500, LOSS: 1_500}
    order = site.world.order(bought)
    assert (order.state, order.refunded_fen) == (OrderState.PARTIALLY_REFUNDED, 4_050)
    give_back(site, bought)
    assert money(site) == {PSP: -49 - 1_500, PSP_FEE: 49, LOSS: 1_500}
    assert site.world.order(bought).state == OrderState.REFUNDED


def test_a_dispute_after_the_release_freezes_what_is_there_and_the_rest_is_owed(site):
    site.world.expects = {"L10"}
    bought = site.world.buy(ANNA, "STEAM-50", 2)
    release(site, "S1", bought)
    with site.world.ctx.db.tx() as tx:
        payee = paying.supplier(site.world.suppliers["xinghe"])
        paying.payout_submit(tx, number="P1", payee=payee, amount=8_000, at=clock.now(), actor="staff:1")
        paying.payout_done(tx, number="P1", sources={paying.BANK: 8_000}, at=clock.now(), actor="staff:1")
    opened = dispute(site, bought, 9_000).json()
    assert (money(site)[FROZEN], money(site).get(AVAILABLE)) == (550, None)
    assert opened["shares"] == [{"supplier": "星河数码", "share_fen": 8_550, "frozen_fen": 550}]
    close(site, opened, won=False)
    close(site, opened, won=False, by="wang")
    assert money(site) == {PSP: -54, PSP_FEE: 54, BANK: -8_000, OWED: 8_000}


def test_disputes_that_cannot_be(site):
    bought, unpaid = site.world.buy(ANNA, "STEAM-50"), site.world.place(BEN, "STEAM-50")
    before = money(site)
    assert dispute(site, unpaid, 1).json()["type"].endswith("not_disputable")
    over = dispute(site, bought, 4_501)
    assert (over.status_code, over.json()["detail"]) == (422, "最多 ¥45.00，剩下的只有这么多。")
    assert dispute(site, bought, 1, order_code="KAMENG-NONE").status_code in {404, 422}
    assert dispute(site, bought, 1, by="li").status_code == 403
    assert money(site) == before
    first = dispute(site, bought, 100, channel_no="C-1")
    assert first.status_code == 201
    again = {"id": first.json()["id"], "channel_no": "C-1"}
    assert dispute(site, bought, 100, **again).json() == first.json(), "a repeat is a no-op"
    assert dispute(site, bought, 101, **again).status_code == 422
    assert dispute(site, bought, 100, channel_no="C-1").json()["type"].endswith("dispute_known")
    assert money(site)[FROZEN] == 95
    stale = {"won": True, "note": "x", "version": 9}
    assert site.post(f"/api/ledger/disputes/{first.json()['id']}/close", by="zhou", json=stale).status_code == 409
    fined = {"won": True, "fine_fen": 1, "note": "x", "version": 1}
    assert site.post(f"/api/ledger/disputes/{first.json()['id']}/close", by="zhou", json=fined).status_code == 422
    listed = site.get("/api/ledger/disputes", by="zhou", params={"order": bought.order.code, "state": "opened"}).json()
    assert [one["channel_no"] for one in listed["items"]] == ["C-1"]
    assert site.get("/api/ledger/disputes", by="zhou", params={"state": "won"}).json()["items"] == []


def test_a_bill_that_says_of_fees_what_is_booked_has_no_refund_looked_into(site):
    bought = site.world.buy(ANNA, "STEAM-50", 2, deal=DEAL)
    number = give_back(site, bought, 810)["out_refund_no"]
    engine, said = site.world.ctx.db.engine, []

    def bill(returned, *, reads):
        said.clear()
        with site.world.ctx.db.tx() as tx:
            fees.settle_returned(tx, "sandbox", {number: returned, "unknown": 0}, up_to_fee=True)
        assert any("payment_refund" in one for one in said) is reads
        return money(site)[PSP_FEE]

    def hear(_connection, _cursor, statement, *_rest):
        said.append(statement)

    event.listen(engine, "before_cursor_execute", hear)
    before = money(site)[PSP_FEE]
    assert bill(0, reads=False) == before
    assert bill(5, reads=True) == bill(5, reads=False) == before - 5
    assert bill(3, reads=True) == bill(3, reads=False) == before - 3
    event.remove(engine, "before_cursor_execute", hear)


def test_nothing_is_posted_to_an_account_without_its_balance(site):
    site.world.buy(ANNA, "STEAM-50")
    one = Journal("x", "ADJ", None, clock.now(), (Transfer(Account("fee"), Account("psp", "sandbox"), 1),))

    def lost():
        with site.world.ctx.db.tx() as tx:
            tx.execute(delete(LedgerBalance))
            ledger.post(tx, [one])

    with pytest.raises(ledger.SlotMissing) as missing:
        lost()
    assert missing.value.params == {"wanted": 2, "changed": 0}
    with site.world.ctx.db.read() as tx:
        assert tx.scalars(select(LedgerJournal).where(LedgerJournal.key == "x")).all() == []
