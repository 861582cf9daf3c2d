"""Statements and payouts at the same moment, on every engine: no line is released twice, no fen paid twice."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from threading import Barrier

import pytest
from sqlalchemy import func, insert, select, update
from sqlalchemy.exc import IntegrityError

from server import migrations
from server.catalog import fees
from server.catalog import queries as catalog
from server.db import retrying, table_of
from server.ledger.model import LedgerJournal, LedgerRelease
from server.orders.model import Order, UnsettledLine
from server.payments.disputes import actions as disputes
from server.payments.refunds import actions as refunds
from server.policy import SYSTEM, Actor, Kind
from server.settlement import instructions, payouts, results, statements, terms
from server.settlement.model import Payout, SettlementDeduction, SettlementItem, Statement
from shared import clock, ids
from shared.contracts import settlement as wire
from shared.contracts.fees import NewFeeRule
from shared.contracts.ledger import CloseDispute, OpenDispute
from shared.contracts.payments import StartRefund
from shared.errors import KamengError
from shared.finance import StatementState
from shared.permissions import Role
from tests.world import ANNA, BEN, world

AT_ONCE = 4
LINES = 6
TERMS = {
    "mode": "purchase",
    "cycle": "d0",
    "n": 0,
    "cutoff": "23:59:59.999999",
    "release_from": "delivered",
    "account": "6222-01",
}


@pytest.fixture
def shop(any_engine, tmp_path):
    with world(any_engine, tmp_path) as built:
        built.stock("STEAM-50", 20)
        built.stock("OFFICE-1Y", 700)
        agree(built)
        yield built


def agree(shop):
    """Release to every supplier what is delivered from now on, at once."""
    with shop.ctx.db.tx() as tx:
        for supplier in shop.suppliers.values():
            terms.change(tx, supplier, wire.EditTerms(**TERMS, reason="合同", version=0), actor=SYSTEM)


def person(shop, login, role):
    return Actor(Kind.STAFF, id=shop.users[login], role=role)


def together(*work):
    """Run all at once, each in a thread of its own; answers what they answered or refused."""
    gate = Barrier(len(work))

    def run(one):
        gate.wait()
        try:
            return one()
        except KamengError as refusal:
            return refusal.code

    with ThreadPoolExecutor(len(work)) as pool:
        return list(pool.map(run, work))


def make(shop, *, run=None):
    wish = wire.MakeStatements(id=run or ids.new_id(), day=clock.shop_day(clock.now()))
    statements.make(shop.ctx.db, wish, actor=SYSTEM, complete_after_days=3)
    with shop.ctx.db.read() as tx:
        return [(one.id, one.number, one.version) for one in statements.made(tx, wish.id)]


def confirm(shop, statement, *, by=SYSTEM):
    move = wire.MoveStatement(version=statement[2])

    def confirmed(tx):
        refusal = statements.confirm(tx, statement[0], move, actor=by, complete_after_days=3)
        return refusal.code if refusal else "confirmed"

    return retrying(shop.ctx.db, confirmed)


def sums(shop):
    with shop.ctx.db.read() as tx:
        released = tx.scalar(select(func.coalesce(func.sum(LedgerRelease.released_fen), 0)))
        journals = tx.scalar(select(func.count()).select_from(LedgerJournal).where(LedgerJournal.code == "RELEASE"))
    return int(released), journals


@pytest.mark.each_engine
def test_who_makes_statements_at_once_shares_the_lines(shop):
    for _ in range(LINES):
        shop.buy(ANNA, "STEAM-50")
        shop.buy(BEN, "OFFICE-1Y", 100)
    made = [one for some in together(*[partial(make, shop)] * AT_ONCE) for one in some]
    run = ids.new_id()
    shop.buy(ANNA, "STEAM-50")
    again = together(*[partial(make, shop, run=run)] * AT_ONCE)
    assert [len(some) for some in again] == [1] * AT_ONCE
    assert len({some[0] for some in again}) == 1
    made.append(again[0][0])
    day = clock.shop_day(clock.now())
    assert sorted(number for _, number, _ in made) == [f"JS{day:%Y%m%d}-{n:03d}" for n in range(1, len(made) + 1)]
    with shop.ctx.db.read() as tx:
        rows = tx.scalars(select(Statement)).all()
        items = tx.scalars(select(SettlementItem.order_line_id)).all()
    assert (sum(row.lines for row in rows), len(items), len(set(items))) == (2 * LINES + 1,) * 3
    assert sum(row.release_fen for row in rows) == (LINES + 1) * 4_275 + LINES * 315

    tried = together(*[partial(confirm, shop, one) for one in made for _ in range(2)])
    assert Counter(tried) == {"confirmed": len(made), "statement_changed": len(made)}
    assert sums(shop) == ((LINES + 1) * 4_275 + LINES * 315, len(made))
    twice = {"statement_id": made[0][0], "order_id": ids.new_id(), "share_fen": 1, "refunded_fen": 0}
    with pytest.raises(IntegrityError), shop.ctx.db.tx() as tx:
        tx.execute(insert(table_of(SettlementItem)), twice | {"order_line_id": items[0]})


@pytest.mark.each_engine
def test_a_refund_at_the_moment_of_a_release_is_in_it_or_owed_after_it(shop):
    bought = [shop.buy(ANNA, "STEAM-50") for _ in range(4)]
    [made] = make(shop)

    def refund(one):
        def start(tx):
            version = tx.get(Order, one.order.id, with_for_update=True).version
            body = StartRefund(reason="x", version=version, amount_fen=1_000)
            key = ids.new_token()
            refunds.start_by_shop(tx, one.order.id, body, key=key, actor=SYSTEM, check_above=10**6)

        retrying(shop.ctx.db, start)
        return "refunded"

    [released, *back] = together(partial(confirm, shop, made), *[partial(refund, one) for one in bought])
    assert back == ["refunded"] * 4
    whole, journals = sums(shop)
    ends = {
        "confirmed": (StatementState.CONFIRMED, 4 * 4_275, 1),
        "statement_outdated": (StatementState.DRAFT, 0, 0),  # some were refunded first, and left it
        "statement_emptied": (StatementState.DROPPED, 0, 0),
    }
    with shop.ctx.db.read() as tx:
        state = tx.scalars(select(Statement.state)).one()
    assert (state, whole, journals) == ends[released]


@pytest.mark.each_engine
def test_a_statement_is_paid_by_one_payout_and_sent_once(shop):
    shop.buy(ANNA, "STEAM-50")
    [made] = make(shop)
    confirm(shop, made)
    zhou, wang = person(shop, "zhou", Role.FINANCE), person(shop, "wang", Role.ADMIN)

    def pay():
        wish = wire.NewPayout(id=ids.new_id(), statements=[made[0]])
        return retrying(shop.ctx.db, lambda tx: payouts.make(tx, wish, actor=zhou).id)

    paid = together(*[pay] * AT_ONCE)
    assert Counter(map(str, paid))["not_payable"] == AT_ONCE - 1
    [payout_id] = [one for one in paid if not isinstance(one, str)]

    def step(act, who, version, **said):
        move = wire.MovePayout(version=version, **said)
        return retrying(shop.ctx.db, lambda tx: act(tx, payout_id, move, actor=who).state)

    def only_one(state, *work):
        assert Counter(together(*work)) == {state: 1, "payout_changed": len(work) - 1}

    only_one("approved", *[partial(step, payouts.check, wang, 1, approve=True)] * AT_ONCE)
    only_one("sent", *[partial(step, payouts.send, zhou, 2)] * AT_ONCE)
    ends = [partial(step, payouts.confirm, zhou, 3)] * 2 + [partial(step, payouts.fail, zhou, 3)] * 2
    ended = Counter(together(*ends))
    assert ended["payout_changed"] == 3
    assert ended.keys() - {"payout_changed"} <= {"confirmed", "failed"}


@pytest.mark.each_engine
def test_splits_are_told_row_by_row_and_given_back(shop):
    with shop.ctx.db.tx() as tx:
        sharing = TERMS | {"mode": "profit_sharing", "split_ppm": 10**6}
        edit = wire.EditTerms(**sharing, reason="合同", version=1)
        terms.change(tx, shop.suppliers["xinghe"], edit, actor=SYSTEM)
    bought, _ = shop.buy(ANNA, "STEAM-50"), shop.buy(BEN, "STEAM-50")
    [made] = make(shop)
    assert confirm(shop, made) == "confirmed"
    zhou, wang = person(shop, "zhou", Role.FINANCE), person(shop, "wang", Role.ADMIN)
    payout_id = pay(shop, [made], zhou, wang, arrives=False)

    def told(*rows):
        file = {"file_name": "r.csv", "file_sha256": "0" * 64, "rows": [wire.PayoutResult(**row) for row in rows]}
        wish = wire.PayoutResults(id=ids.new_id(), **file)
        counts = retrying(shop.ctx.db, lambda tx: results.take_in(tx, wish, actor=wang))
        return {name: n for name, n in counts.model_dump().items() if n}

    def carried():
        with shop.ctx.db.read() as tx:
            found = instructions.instruction(tx, zhou, payout_id).rows
        said = {"succeeded": True, "reference": "HT-1"}
        return [{"number": row.request_no, "amount_fen": row.amount_fen} | said for row in found]

    rows = carried()
    assert [row["number"].rpartition("-")[2] for row in rows] == ["1", "2", "E1", "E2"]
    assert told(rows[0], rows[2], rows[1] | {"succeeded": False, "reason": "账户异常"}) == {
        "in_part": 1,
        "arrived": 1,
        "arrived_fen": 4_275,
        "lacked": 1,
        "lacked_fen": 4_275,
        "unfrozen": 1,
    }
    back = StartRefund(reason="x", version=shop.order(bought).version, amount_fen=1_000)
    with shop.ctx.db.tx() as tx:
        refunds.start_by_shop(tx, bought.order.id, back, key=ids.new_token(), actor=SYSTEM, check_above=10**6)
    [row] = carried()
    assert (row["number"].rpartition("-")[2], row["amount_fen"]) == ("R1.1", 775)
    assert sorted(together(*[partial(told, row)] * AT_ONCE), key=str) == sorted(
        [{"returned": 1, "returned_fen": 775}, *[{"known_before": 1}] * (AT_ONCE - 1)], key=str
    )
    with shop.ctx.db.read() as tx:
        payout = tx.get(Payout, payout_id)
        assert (payout.arrived_fen, payout.returned_fen, payout.state) == (4_275, 775, "confirmed")
    shop.buy(ANNA, "STEAM-50")
    assert [confirm(shop, one) for one in make(shop)] == ["confirmed"]


@pytest.mark.each_engine
def test_the_newest_of_rules_that_are_made_at_once_is_kept(shop):
    def rule(ppm, **of):
        new = NewFeeRule(id=ids.new_id(), kind="percent", ppm=ppm, reason="x", **of)
        retrying(shop.ctx.db, lambda tx: fees.add_rule(tx, new, actor=SYSTEM))

    together(*[partial(rule, ppm, product="steam") for ppm in (10_000, 20_000, 30_000)])
    together(*[partial(rule, ppm, tier="standard") for ppm in (40_000, 50_000, 60_000)])
    with shop.ctx.db.read() as tx:
        newest = {one.product_code or one.tier: one.ppm for one in reversed(fees.rules(tx))}
        kept = catalog.sale_terms(tx, ["STEAM-50", "OFFICE-1Y"])
    assert [kept[sku].fee_ppm for sku in ("STEAM-50", "OFFICE-1Y")] == [newest["steam"], newest["standard"]]


def test_what_arrived_and_what_was_lost_is_worked_out_from_the_schema_before(shop):
    bought, _ = shop.buy(ANNA, "STEAM-50"), shop.buy(BEN, "STEAM-50")
    zhou, wang = person(shop, "zhou", Role.FINANCE), person(shop, "wang", Role.ADMIN)
    opened = OpenDispute(
        id=ids.new_id(), order_code=bought.order.code, amount_fen=2_000, channel_no="C-1", reason="投诉"
    )
    with shop.ctx.db.tx() as tx:
        disputes.open_dispute(tx, opened, order_id=bought.order.id, actor=SYSTEM)
    for version, who in enumerate((zhou, wang), start=1):
        with shop.ctx.db.tx() as tx:
            said = CloseDispute(won=False, note="x", version=version)
            disputes.close(tx, opened.id, said, actor=who)
    with clock.fixed(clock.now() + timedelta(days=4)):  # what was lost in part counts as completed by then
        made = make(shop)
        assert [confirm(shop, one) for one in made] == ["confirmed"]
        shop.buy(ANNA, "STEAM-50")
        made += make(shop)
        assert confirm(shop, made[1]) == "confirmed"
        pay(shop, made, zhou, wang)

    def kept():
        with shop.ctx.db.read() as tx:
            parts = select(Statement.number, Statement.state, Statement.paid_fen).order_by(Statement.number)
            people = (Payout.sent_by, Payout.ended_by)
            payout = select(Payout.state, Payout.arrived_fen, Payout.arrived_at, Payout.receiver, *people)
            taken = select(SettlementDeduction.cause_id, SettlementDeduction.netted, SettlementDeduction.amount_fen)
            return [tx.execute(one).all() for one in (parts, payout, taken)]

    before = kept()
    assert [row[2] for row in before[0]] == [2_375 + 4_275, 4_275]
    assert before[1][0][:2] == ("confirmed", 2_375 + 2 * 4_275)
    assert before[1][0].receiver == "星河数码"
    assert before[1][0][-2:] == (zhou.label, wang.label)
    assert [tuple(row) for row in before[2]] == [(opened.id, True, 1_900)]
    migrations.downgrade(shop.ctx.db, "0008")
    migrations.upgrade(shop.ctx.db)
    assert kept() == before
    with shop.ctx.db.tx() as tx:
        tx.execute(update(Statement).values(withheld_fen=1))
    with pytest.raises(RuntimeError, match="2 statements, lines and payouts"):
        migrations.downgrade(shop.ctx.db, "0008")
    migrations.upgrade(shop.ctx.db)
    with shop.ctx.db.tx() as tx:
        tx.execute(update(Statement).values(withheld_fen=0))


def pay(shop, made, maker, checker, *, arrives=True):
    """Pay statements to the end, or until they are sent; answers the payout."""
    wish = wire.NewPayout(id=ids.new_id(), statements=[one[0] for one in made])
    with shop.ctx.db.tx() as tx:
        held = payouts.make(tx, wish, actor=maker)
        held = payouts.check(tx, held.id, wire.MovePayout(version=1, approve=True), actor=checker)
        held = payouts.send(tx, held.id, wire.MovePayout(version=2), actor=maker)
        if arrives:
            payouts.confirm(tx, held.id, wire.MovePayout(version=3), actor=checker)
    return wish.id


def test_the_schema_before_is_refused_once_something_was_released(shop):
    shop.buy(ANNA, "STEAM-50")
    make(shop)
    migrations.downgrade(shop.ctx.db, "0005")  # a draft has released nothing
    migrations.upgrade(shop.ctx.db)
    with shop.ctx.db.read() as tx:
        assert tx.scalar(select(func.count()).select_from(UnsettledLine)) == 1  # it waits again
    agree(shop)
    shop.buy(BEN, "STEAM-50")
    [made] = make(shop)  # the line of before had no terms when it was delivered, and waits for its completion
    assert confirm(shop, made) == "confirmed"
    with pytest.raises(RuntimeError, match="1 statements were confirmed"):
        migrations.downgrade(shop.ctx.db, "0005")
    migrations.upgrade(shop.ctx.db)
    assert sums(shop) == (4_275, 1)
