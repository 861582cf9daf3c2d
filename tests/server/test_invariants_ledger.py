"""Each invariant of the ledger finds what it is there for, by its row's name; payouts stop until it is mended."""

from datetime import timedelta

import pytest
from sqlalchemy import delete, insert, select, update

from server import app, changes
from server.changes import ChangeLog
from server.db import table_of
from server.invariants import bills, books, waiting
from server.invariants import look as looking
from server.ledger import days
from server.ledger.model import (
    LedgerAccount,
    LedgerBalance,
    LedgerDay,
    LedgerDayClose,
    LedgerJournal,
    LedgerRelease,
    LedgerTransfer,
)
from server.orders.model import Order, OrderLine, UnsettledLine
from server.payments.adjustments.model import Adjustment
from server.payments.disputes.model import Dispute, DisputeLine
from server.payments.model import PaymentAttempt
from server.payments.refunds.model import Refund, RefundLine
from server.reconcile.model import ReconcileDay, ReconcileRow, ReconcileSweep, ReconcileSweepPart
from server.settlement.model import Payout, SettlementItem, Statement
from shared import clock, ids
from tests.databases import findings_after, tampering
from tests.rules.settling import Till
from tests.server.bookkeeping import DEAL, DISTRIBUTOR, adjust, close, dispute, give_back, line_of, release
from tests.server.refunding import shop_with_refunds
from tests.world import ANNA, BEN, WITH_FEES

BALANCE = table_of(LedgerBalance)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A shop in which everything of the ledger has happened once, most of it on a day that is closed."""
    folder = tmp_path_factory.mktemp("shop")
    with shop_with_refunds(folder, refund_check_fen=10**6, **WITH_FEES) as built:
        shop = built.world
        shop.stock("STEAM-50", 20)
        before = clock.now() - timedelta(days=2)
        with clock.fixed(before):
            built.sold = shop.buy(ANNA, "STEAM-50", 2, deal=DEAL)
            give_back(built, built.sold, 810)
            built.released = shop.buy(BEN, "STEAM-50", 2, deal=DEAL)
            give_back(built, built.released, 810)
        over = clock.shop_day(clock.now() - days.GRACE) - clock.shop_day(before)
        assert days.close_days(shop.ctx.db) == over.days
        release(built, "S1", built.released)
        release(built, "D1", built.released, payee="distributor")
        give_back(built, built.released, 81)
        built.disputed, lost = shop.buy(BEN, "STEAM-50", deal=DEAL), shop.buy(ANNA, "STEAM-50")
        built.dispute = dispute(built, built.disputed, 1_000).json()
        asked = dispute(built, lost, 4_500).json()
        close(built, asked, won=False, fine_fen=5)
        close(built, asked, won=False, fine_fen=5, by="wang")
        built.adjusted = adjust(built, ("loss", "", "fee", "", 7)).json()
        said = {"approve": True, "version": 1}
        assert built.post(f"/api/ledger/adjustments/{built.adjusted['id']}/check", by="wang", json=said).is_success
        today = clock.shop_day(clock.now())
        about = {"channel": "sandbox", "reference": "B-1", "arrived_on": str(today), "amount_fen": 103, "others_fen": 3}
        about["parts"] = [{"day": str(today), "fen": 60}, {"day": str(today - timedelta(days=1)), "fen": 40}]
        waits = built.post("/api/reconcile/sweeps", by="zhou", json=about).json()
        assert built.post(
            f"/api/reconcile/sweeps/{waits['id']}/check", by="wang", json=said | {"over_fen": 100}
        ).is_success
        Till(built).sent()
        shop.check()
        yield built


def account(kind, owner=""):
    named = select(LedgerAccount.id).where(LedgerAccount.kind == kind, LedgerAccount.owner == owner)
    return named.scalar_subquery()


def journal(key):
    return select(LedgerJournal.id).where(LedgerJournal.key == key).scalar_subquery()


def of_line(site, table, bought):
    return table.order_line_id == line_of(site, bought).id


def test_l1_l2_l3_a_balance_that_lost_an_update(site):
    one = (BALANCE.c.account_id == account("fee"), BALANCE.c.credits_fen > 1)
    lost = update(BALANCE).where(*one).values(credits_fen=BALANCE.c.credits_fen - 1)
    found = findings_after(site.world.ctx.db, lost)
    assert set(found) == {"L1", "L2"}
    assert found["L2"] == ("fee ",)


def test_l2_a_closed_day_that_was_changed_and_one_that_something_slipped_into(site):
    changed = update(LedgerDay).where(LedgerDay.account_id == account("promo")).values(debits_fen=1)
    assert findings_after(site.world.ctx.db, changed) == {"L2": ("promo ",)}
    slipped = update(LedgerJournal).where(LedgerJournal.key == "statement:S1:release")
    at = clock.now() - timedelta(days=2)
    found = findings_after(site.world.ctx.db, slipped.values(posted_at=at))
    assert found["L2"] == tuple(
        sorted(f"{kind} {site.world.suppliers['xinghe'].hex}" for kind in ("supplier_available", "supplier_pending"))
    )
    uncounted = update(LedgerDayClose).values(journals=LedgerDayClose.journals + 1)
    assert set(findings_after(site.world.ctx.db, uncounted)) == {"L2"}


@pytest.mark.parametrize("kind", ["supplier_available", "supplier_pending", "distributor_pending", "owed"])
def test_l3_nobody_has_less_than_nothing(site, kind):
    """Of a liability, or of a debt to us: whatever the other side is, the account is named."""
    owner = DISTRIBUTOR.hex if kind == "distributor_pending" else site.world.suppliers["xinghe"].hex
    side = BALANCE.c.credits_fen if kind == "owed" else BALANCE.c.debits_fen
    taken = update(BALANCE).where(BALANCE.c.account_id == account(kind, owner)).values({side.name: side + 10**9})
    assert f"{kind} {owner}" in findings_after(site.world.ctx.db, taken)["L3"]


def test_l3_nobody_is_paid_who_owes(site):
    owner = site.world.suppliers["xinghe"].hex
    both = [
        update(BALANCE).where(BALANCE.c.account_id == account(kind, owner), BALANCE.c.slot == 0).values(set_)
        for kind, set_ in (
            ("supplier_available", {"credits_fen": BALANCE.c.debits_fen + 70}),
            ("owed", {"debits_fen": BALANCE.c.credits_fen + 7}),
        )
    ]
    assert findings_after(site.world.ctx.db, *both, look=_only(books.debts_are_paid_first)) == {
        "L3": (f"supplier_available {owner} 70 7",)
    }


def _only(*checks):
    return lambda tx: [finding for check in checks if (finding := check(tx))]


_in_time = _only(waiting.received_money_goes_on_in_time, waiting.refunded_money_arrives_in_time)


def test_l5_a_sale_that_pays_another_share(site):
    code = site.sold.order.code
    line = update(OrderLine).where(OrderLine.id == line_of(site, site.sold).id)
    assert findings_after(site.world.ctx.db, line.values(fee_fen=451)) == {"L5": (code,)}
    both = line.values(fee_fen=451, supplier_fen=OrderLine.supplier_fen - 1)
    assert findings_after(site.world.ctx.db, both, look=_only(books.sales_pay_each_party)) == {"L5": (code,)}
    moved = update(LedgerTransfer).where(LedgerTransfer.journal_id == journal(f"order:{code}:promo"))
    assert code in findings_after(site.world.ctx.db, moved.values(amount_fen=901))["L5"]


def test_l6_what_is_pending_is_what_lines_wait_for(site):
    supplier = site.world.suppliers["xinghe"].hex
    for kind, owner in (("supplier", supplier), ("distributor", DISTRIBUTOR.hex)):
        name = f"{kind}_pending {owner}"
        mine = (BALANCE.c.account_id == account(f"{kind}_pending", owner), BALANCE.c.slot == 0)
        more = update(BALANCE).where(*mine).values(credits_fen=BALANCE.c.credits_fen + 1)
        [row] = findings_after(site.world.ctx.db, more, look=_only(waiting.pending_is_what_lines_wait_for))["L6"]
        has, waits = (int(part) for part in row.removeprefix(name).split())
        assert (row.startswith(name), has - waits) == (True, 1)


def test_l6_a_line_that_waits_for_no_statement_or_for_a_second_one(site):
    db, code = site.world.ctx.db, site.sold.order.code
    mine = of_line(site, UnsettledLine, site.sold)
    assert findings_after(db, delete(UnsettledLine).where(mine)) == {"L6": (f"{code} 0",)}
    of_nobody = update(UnsettledLine).where(mine).values(supplier_id=DISTRIBUTOR)
    line_id = str(line_of(site, site.sold).id)
    assert findings_after(db, of_nobody) == {"L6": (line_id,)}
    settled = line_of(site, site.released)
    again = insert(table_of(UnsettledLine)).values(order_line_id=settled.id, supplier_id=settled.supplier_id)
    assert findings_after(db, again) == {"L6": (str(settled.id),)}


def test_l6_more_released_or_taken_back_than_there_was(site):
    code = site.released.order.code
    for payee in ("supplier", "distributor"):
        which = (of_line(site, LedgerRelease, site.released), LedgerRelease.payee == payee)
        more = update(LedgerRelease).where(*which).values(released_fen=LedgerRelease.released_fen + 1)
        within = _only(books.lines_are_released_within_their_share)
        assert findings_after(site.world.ctx.db, more, look=within) == {"L6": (f"{code} 0",)}
    taken = update(RefundLine).where(of_line(site, RefundLine, site.released))
    grown = taken.values(supplier_fen=RefundLine.supplier_fen + 7_000, amount_fen=RefundLine.amount_fen + 7_000)
    assert f"{code} 0" in findings_after(site.world.ctx.db, grown)["L6"]
    asked = update(DisputeLine).where(of_line(site, DisputeLine, site.disputed)).values(fee_fen=10**6)
    assert findings_after(site.world.ctx.db, asked) == {"L6": (f"{site.disputed.order.code} 0",)}


def test_what_a_statement_released_is_looked_at_soon(site):
    db = site.world.ctx.db
    changes.advance(db)
    with db.read() as tx:
        line_id = tx.scalars(select(SettlementItem.order_line_id).order_by(SettlementItem.order_line_id.desc())).first()
        code = tx.scalars(
            select(Order.code).join(OrderLine, OrderLine.order_id == Order.id).where(OrderLine.id == line_id)
        )
        wanted = (f"{code.one()} 0",)

    def by_statement(tx):
        log = select(ChangeLog.pos).where(ChangeLog.entity == "statement")
        scopes = [
            scope
            for pos in tx.scalars(log)
            for scope in looking._touched(tx, after=pos - 1, up_to=pos, since=clock.now() + timedelta(days=1))
        ]
        return [one for scope in scopes if (one := books.lines_are_released_within_their_share(tx, scope))]

    more = update(LedgerRelease).where(LedgerRelease.order_line_id == line_id).values(released_fen=10**6)
    assert findings_after(db, more, look=by_statement) == {"L6": wanted}


def test_what_was_posted_or_touched_for_a_paper_is_looked_at_soon(site):
    """Releases, payouts and adjustments: what the feed names, and what was posted though nothing names it."""
    db = site.world.ctx.db
    changes.advance(db)

    def since(posted_at, *, after):
        def look(tx):
            head = changes.head(tx)
            scopes = [
                one
                for one in looking._touched(tx, after=head if after is None else after, up_to=head, since=posted_at)
                if one.papers
            ]
            return [finding for check in looking._checks(tx, scopes, is_last=False) if (finding := check())]

        return look

    just_posted, touched = since(clock.now() - looking.LATE, after=None), since(clock.now() + looking.LATE, after=0)
    assert findings_after(db, look=just_posted) == findings_after(db, look=touched) == {}
    for key, code in (
        ("statement:JS-9:release", "RELEASE"),
        ("payout:DK-9:submit", "PAYOUT"),
        (f"adjust:{ids.new_id().hex}", "ADJ"),
        ("adjust:nobody", "ADJ"),
    ):
        values = {"id": ids.new_id(), "key": key, "code": code, "content_sha256": "0" * 64, "memo": ""}
        forged = insert(table_of(LedgerJournal)).values(**values, occurred_at=clock.now(), posted_at=clock.now())
        assert findings_after(db, forged, look=just_posted) == {"L10": (key,)}
    with db.read() as tx:
        payout, number = tx.execute(
            select(Payout.number, Statement.number).where(Statement.payout_id == Payout.id)
        ).one()
    more = update(Payout).values(amount_fen=Payout.amount_fen + 1)
    assert findings_after(db, more, look=touched) == {"L10": (f"payout:{payout}:submit",)}
    assert findings_after(db, more, look=just_posted) == {"L10": (f"payout:{payout}:submit",)}
    released = update(Statement).where(Statement.number == number).values(release_fen=Statement.release_fen + 1)
    assert f"statement:{number}:release" in findings_after(db, released, look=touched)["L10"]
    refused = update(Adjustment).where(Adjustment.state == "posted").values(state="refused")
    adjusted = f"adjust:{site.adjusted['id'].replace('-', '')}"
    for look in (touched, just_posted):
        assert findings_after(db, refused, look=look) == {"L10": (adjusted,)}


def test_l7_a_sweep_without_its_booking_and_one_that_never_was(site):
    row = ("sweep:sandbox:B-1",)
    for other in ({"amount_fen": 101}, {"others_fen": 2}, {"state": "refused"}, {"n": 2}):
        named = (f"{row[0]}:2",) if "n" in other else row
        assert findings_after(site.world.ctx.db, update(ReconcileSweep).values(**other)) == {"L7": named}, other
    undone = update(ReconcileSweep).values(state="reversed")
    assert findings_after(site.world.ctx.db, undone) == {"L7": (f"{row[0]}:reversed",)}, "nothing took it back"
    assert findings_after(site.world.ctx.db, delete(ReconcileSweep)) == {"L7": row}
    more = update(ReconcileSweepPart).where(ReconcileSweepPart.amount_fen == 40).values(amount_fen=41)
    for parts in (more, delete(ReconcileSweepPart)):
        assert findings_after(site.world.ctx.db, parts) == {"L7": row}, "its days do not come to it"


def test_l7_a_signed_bill_that_is_not_what_is_booked(site):
    file_id, day, db = ids.new_id(), clock.shop_day(clock.now()), site.world.ctx.db
    hashes = {"inputs_sha256": "0" * 64, "outputs_sha256": "0" * 64}
    signed = {"channel": "sandbox", "day": day, "trades_file_id": file_id, "run_at": clock.now(), "run_by": "system"}
    signed = insert(table_of(ReconcileDay)).values(**signed, **hashes, figures="{}", is_signed=True)
    texts = dict.fromkeys(("provider_no", "out_trade_no", "refund_no", "out_refund_no", "fund_no", "note"), "")
    row = {"file_id": file_id, "at": clock.now(), "fee_fen": 0, **texts, "matched_by": "provider_no"}
    with db.read() as tx:
        refund = tx.scalars(select(Refund).where(Refund.order_id == site.sold.order.id)).one()
    paid = row | {"n": 7, "kind": "payment", "state": "paid", "matched_id": site.sold.attempt.id, "amount_fen": 8_100}
    back = row | {"n": 8, "kind": "refund", "state": "succeeded", "matched_id": refund.id, "amount_fen": 810}

    def found(*rows, other=()):
        return findings_after(db, signed, insert(table_of(ReconcileRow)).values(rows), *other)

    assert found(paid, back) == {}
    assert found(paid | {"amount_fen": 8_101}, back) == {"L7": (f"sandbox {day} 7",)}
    assert found(paid, back | {"amount_fen": 811}) == {"L7": (f"sandbox {day} 8",)}
    # What was under way when the bill was made may have come back since; what was undone never moved.
    under_way = update(Refund).where(Refund.id == refund.id).values(state="closed")
    only_bills = _only(bills.signed_bills_are_booked)
    for state, said in (("processing", {}), ("failed", {}), ("succeeded", {"L7": (f"sandbox {day} 8",)})):
        rows = insert(table_of(ReconcileRow)).values([paid, back | {"state": state}])
        assert findings_after(db, signed, rows, under_way, look=only_bills) == said
    # Row by row all is well, and the account of the channel did not move as much.
    rows = insert(table_of(ReconcileRow)).values([paid, back])
    mine = LedgerTransfer.journal_id == journal(f"refund:{refund.out_refund_no}:paid")
    moved = update(LedgerTransfer).where(mine).values(amount_fen=800)
    assert findings_after(db, signed, rows, moved, look=only_bills) == {"L7": (f"sandbox {day} 7300 7290",)}
    with clock.fixed(clock.now() + timedelta(days=books.READ_AGAIN_DAYS + 1)):
        assert findings_after(db, signed, rows, moved, look=only_bills) == {}, "read again in its turn"


def test_l8_what_is_on_its_way_and_what_is_frozen(site):
    with site.world.ctx.db.read() as tx:
        [flying] = tx.scalars(select(Payout.amount_fen).where(Payout.state == "sent"))
        frozen = tx.scalars(select(DisputeLine.frozen_fen).where(of_line(site, DisputeLine, site.disputed))).one()
    arrived = update(Payout).values(amount_fen=flying + 1)
    assert findings_after(site.world.ctx.db, arrived)["L8"] == (f"{flying} {flying + 1}",)
    thawed = update(DisputeLine).where(of_line(site, DisputeLine, site.disputed)).values(frozen_fen=0)
    assert findings_after(site.world.ctx.db, thawed)["L8"] == (f"{frozen} 0",)


def test_l10_journals_without_their_partners(site):
    db, hexed = site.world.ctx.db, site.dispute["id"].replace("-", "")
    won = update(Dispute).where(Dispute.state == "opened").values(state="won")
    assert findings_after(db, won)["L10"] == (f"dispute:{hexed}:won",)
    renamed = update(LedgerJournal).where(LedgerJournal.key == f"dispute:{hexed}:open").values(code="ADJ")
    assert f"dispute:{hexed}:open" in findings_after(db, renamed)["L10"]
    alone = update(LedgerJournal).where(LedgerJournal.key == f"order:{site.sold.order.code}:sale").values(order_id=None)
    assert findings_after(db, alone)["L10"] == (f"order:{site.sold.order.code}:promo",)
    key = f"adjust:{site.adjusted['id'].replace('-', '')}"
    assert findings_after(db, delete(Adjustment)) == {"L10": (key,)}
    one = update(Adjustment).values(checked_by=Adjustment.proposed_by)
    assert findings_after(db, one)["L10"] == (key,)
    number = site.sold.attempt.out_trade_no
    fee = update(PaymentAttempt).where(PaymentAttempt.out_trade_no == number).values(fee_fen=48)
    assert findings_after(db, fee) == {"L10": (number,)}


def test_l10_money_that_should_have_gone_on_long_ago(site):
    """A delivery that never came, and a refund that neither arrives nor comes back, once their time is over."""
    db, code = site.world.ctx.db, site.sold.order.code
    number = site.world.attempt(site.sold).provider_no
    paid = update(Order).where(Order.code == code).values(state="paid", delivered_at=None)
    with db.read() as tx:
        [refund] = tx.scalars(select(Refund.out_refund_no).where(Refund.order_id == site.sold.order.id))
    slow = update(Refund).where(Refund.out_refund_no == refund).values(state="processing")

    def late(*statements, after):
        with clock.fixed(clock.now() - timedelta(days=2) + after):
            return findings_after(db, *statements, look=_in_time)

    said = {"L10": (f"payment:sandbox:{number}:pay",)}
    soon = timedelta(minutes=1)
    assert late(paid, after=waiting.GOODS_WITHIN - soon) == {}
    assert late(paid, after=waiting.GOODS_WITHIN + soon) == said
    assert late(paid, slow, after=waiting.GOODS_WITHIN + soon) == {}, "it goes back"
    assert late(slow, after=waiting.MONEY_WITHIN - soon) == {}
    assert late(slow, after=waiting.MONEY_WITHIN + soon) == {"L10": (f"refund:{refund}:reverse",)}


def test_a_breach_stops_payouts_alone_and_ends_when_everything_was_read_and_is_right(site):
    ctx = site.world.ctx

    def health():
        return site.get("/api/ledger/health", by="zhou").json()

    def seen():
        return site.get("/readyz").json()["invariants"]

    app._check_invariants(ctx)
    before = health()
    assert (before["findings"], before["payouts_frozen"], seen()) == ([], False, "ok")
    wrong = update(OrderLine).where(OrderLine.id == line_of(site, site.sold).id)
    owner = site.world.suppliers["xinghe"].hex
    lost = update(BALANCE).where(BALANCE.c.account_id == account("supplier_available", owner), BALANCE.c.slot == 0)
    with tampering(ctx.db) as tx:
        tx.execute(wrong.values(fee_fen=OrderLine.fee_fen + 1))
        tx.execute(lost.values(credits_fen=BALANCE.c.credits_fen + 1))
    adjust(site, ("loss", "", "fee", "", 1))
    till = Till(site)
    site.world.buy(ANNA, "STEAM-50")  # the shop goes on
    noon = clock.day_bounds(clock.shop_day(clock.now()) + timedelta(days=1))[0] + timedelta(hours=12)
    with clock.fixed(noon):  # far from the hour at which everything is read
        app._check_invariants(ctx)
    findings = [(one["invariant"], one["rows"], one["accounts"]) for one in health()["findings"]]
    assert ("L5", [f"{site.sold.order.code} 0"], []) in findings
    named = {"kind": "supplier_available", "name": "星河数码"}
    assert ("L2", [f"supplier_available {owner}"], [named]) in findings
    assert (health()["payouts_frozen"], seen()) == (True, "failed")
    wish = till.confirmed()
    refused = site.post("/api/settlement/payouts", by="zhou", **wish)
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:kameng:problem:payouts_frozen")
    named = {(one["entity"]) for one in site.get("/sync/v1/changes", by="zhou", params={"cursor": 0}).json()["rows"]}
    assert "ledger_health" in named
    with ctx.db.tx() as tx:
        tx.execute(wrong.values(fee_fen=OrderLine.fee_fen - 1))
        tx.execute(lost.values(credits_fen=BALANCE.c.credits_fen - 1))
    with clock.fixed(noon + timedelta(minutes=5)):
        app._check_invariants(ctx)
        assert health()["payouts_frozen"], "not until everything was read again"
    with clock.fixed(noon + timedelta(minutes=11)):
        app._check_invariants(ctx)
    assert (health()["findings"], health()["payouts_frozen"], looking.OF_MONEY) == ([], False, frozenset("LPR"))
    assert site.post("/api/settlement/payouts", by="zhou", **wish).status_code == 201
