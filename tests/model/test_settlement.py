"""Settlement in any history: what a supplier earned is pending, available, frozen, owed or paid; in the end all paid.

Each example has a supplier of its own. Sales, refunds that succeed or do not, disputes that are won or lost, drafts
confirmed or dropped, payouts that arrive, fail, come back, or are split and told row by row: in whatever order, each
line is released once, and no payment gives more than it has.
"""

import itertools
from contextlib import nullcontext, suppress
from datetime import UTC, datetime
from operator import add

import hypothesis
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from sqlalchemy import case, func, select

from server.catalog import actions as catalog
from server.catalog import queries as catalog_queries
from server.identity import actions as identity
from server.ledger import paying
from server.ledger.actions import Account
from server.ledger.queries import balances
from server.orders import actions as orders
from server.orders.model import Order
from server.payments.disputes import actions as disputes
from server.payments.refunds import making, moving
from server.payments.refunds.making import Portion
from server.payments.refunds.splitting import Shares
from server.policy import SYSTEM, Actor, Kind
from server.settlement import ending, instructions, payouts, results, splits, statements, terms
from server.settlement.model import Payout, SettlementItem, Statement
from server.settlement.splits import SplitOutdated
from shared import clock, ids
from shared.contracts import ledger as ledger_wire
from shared.contracts import settlement as wire
from shared.contracts.catalog import MoveProduct, NewProduct, NewSku
from shared.finance import PayoutState, StatementState
from shared.payout_rows import Row
from shared.permissions import Role
from shared.pricing import Deal, Share
from shared.states import ProductState, RefundCause, RefundStep
from tests.model.splitting import Splitting
from tests.world import ANNA, world

NOON = datetime(2026, 11, 16, 4, 0, tzinfo=UTC)
PRICE = 13_370
PEOPLE = [Actor(Kind.STAFF, id=ids.new_id(), role=Role.ADMIN) for _ in range(2)]
_GONE = (PayoutState.SENT.value, PayoutState.CONFIRMED.value)
_examples = itertools.count(1)
_shops = []

WHICH = st.integers(0, 99)


@pytest.fixture(scope="module", autouse=True)
def _shop(tmp_path_factory):
    with world("sqlite", tmp_path_factory.mktemp("settlement")) as built, clock.fixed(NOON):
        _shops.append(built)
        yield
        _shops.clear()


class Line:
    """An order of one line: what of its shares nobody has taken, and what is under way about it."""

    def __init__(self, order_id, shares):
        self.order_id, self.left, self.paid = order_id, shares, shares.amount
        self.refund = self.dispute = None

    def take(self, amount):
        """What so much of it takes of its shares, which are its no more."""
        taken = self.left.part(amount)
        self.left -= taken
        return taken

    def give(self, back):
        self.left = Shares(*map(add, _parts(self.left), _parts(back)))


class Settlement(RuleBasedStateMachine):
    """Drives the shop, and keeps of each line what its supplier has still earned by it."""

    @initialize(
        fee_ppm=st.integers(0, 300_000),
        payout_fee=st.sampled_from([0, 7, 900]),
        split_ppm=st.sampled_from([None, 300_000, 1_000_000]),
    )
    def open(self, fee_ppm, payout_fee, split_ppm):
        self.shop, self.n = _shops[0], next(_examples)
        self.db, self.sku, self.payout_fee = self.shop.ctx.db, f"SETTLE-{self.n}", payout_fee
        self.sold, self.split_ppm = [], split_ppm
        sku = NewSku(code=self.sku, name=self.sku, unit_price=PRICE)
        new = NewProduct(category="games", code=f"settle-{self.n}", name=f"Settle {self.n}", skus=[sku])
        self.terms = 0
        with self.db.tx() as tx:
            self.supplier = identity.create_supplier(tx, name=f"供应商 {self.n}", fee_ppm=fee_ppm, actor="system")
            product = catalog.create_product(tx, new, supplier_id=self.supplier, actor=SYSTEM)
            catalog.move_product(tx, product, MoveProduct(to=ProductState.PUBLISHED, version=1), actor=SYSTEM)
            self.agree(tx)
            self.shop.skus |= catalog_queries.sale_terms(tx, [self.sku])
        self.shop.stock(self.sku, 150)
        self.unsold = 150
        self.sell(3, 0)
        self.make()

    def teardown(self):
        if not hasattr(self, "sold"):
            return
        self.settle_everything()
        self.shop.skus.pop(self.sku, None)

    def agree(self, tx):
        """The terms, as they are by now."""
        sharing = {"mode": "profit_sharing", "split_ppm": self.split_ppm}
        mode = {"mode": "purchase"} if self.split_ppm is None else sharing
        paid = {"cycle": "d0", "n": 0, "release_from": "delivered", "account": "6222-01"}
        fee = {"payout_fee_fen": self.payout_fee, "reason": "x", "version": self.terms}
        terms.change(tx, self.supplier, wire.EditTerms(**mode, **paid, **fee), actor=SYSTEM)
        self.terms += 1

    # --- what can happen ---

    @precondition(lambda self: self.split_ppm is not None)
    @rule(split_ppm=st.sampled_from([0, 300_000, 1_000_000]))
    def split_otherwise(self, split_ppm):
        """The channel lets us split more of a payment from now on, or less, or nothing."""
        self.split_ppm = split_ppm
        with self.db.tx() as tx:
            self.agree(tx)

    @precondition(lambda self: self.unsold >= 5)
    @rule(quantity=st.integers(1, 5), discount_ppm=st.sampled_from([0, 50_000, 400_000]))
    def sell(self, quantity, discount_ppm):
        self.unsold -= quantity
        order = self.shop.buy(ANNA, self.sku, quantity, deal=Deal(discount=Share.percent(discount_ppm))).order
        with self.db.read() as tx:
            [line] = orders.lines_of(tx, [order.id])[order.id]
        self.sold.append(Line(order.id, Shares.of(line)))

    @precondition(lambda self: any(one.left.amount and one.refund is None for one in self.sold))
    @rule(which=WHICH, part=st.integers(1, 1_000))
    def refund(self, which, part):
        one = _pick([one for one in self.sold if one.left.amount and one.refund is None], which)
        amount = max(1, one.left.amount * part // 1_000)
        wanted = Portion(amount_fen=amount)
        with self.db.tx() as tx:
            held = making.of_order(tx, one.order_id, wanted, cause=RefundCause.SHOP, reason="x", actor="system")
            moving.approve(tx, held, RefundStep.STARTED, actor="system", check_above=None)
        one.refund = (held.refund.id, one.take(amount))

    @precondition(lambda self: any(one.refund for one in self.sold))
    @rule(which=WHICH, succeeds=st.booleans())
    def end_refund(self, which, succeeds):
        one = _pick([one for one in self.sold if one.refund], which)
        (refund_id, taken), one.refund = one.refund, None
        with self.db.tx() as tx:
            held, said = moving.lock(tx, refund_id), {"actor": "system"}
            if not succeeds:
                one.give(taken)
                moving.close(tx, held, RefundStep.STOPPED, **said)
                return
            moving.advance(tx, held, RefundStep.SUBMITTED, **said, to=moving.RefundState.SUBMITTED)
            now = clock.now()
            moving.succeed(tx, held, **said, provider_refund_no=refund_id.hex, at=now, refunded_at=now)

    @precondition(lambda self: any(one.left.amount and one.dispute is None for one in self.sold))
    @rule(which=WHICH, part=st.integers(1, 1_000))
    def dispute(self, which, part):
        one = _pick([one for one in self.sold if one.left.amount and one.dispute is None], which)
        amount = max(1, one.left.amount * part // 1_000)
        with self.db.tx() as tx:
            code = tx.get(Order, one.order_id).code
            body = ledger_wire.OpenDispute(
                id=ids.new_id(), order_code=code, amount_fen=amount, channel_no=ids.new_token(), reason="x"
            )
            disputes.open_dispute(tx, body, order_id=one.order_id, actor=SYSTEM)
        one.dispute = (body.id, one.take(amount))

    @precondition(lambda self: any(one.dispute for one in self.sold))
    @rule(which=WHICH, won=st.booleans())
    def end_dispute(self, which, won):
        one = _pick([one for one in self.sold if one.dispute], which)
        (dispute_id, taken), one.dispute = one.dispute, None
        for version, person in enumerate(PEOPLE, start=1):
            with self.db.tx() as tx:
                disputes.close(
                    tx, dispute_id, ledger_wire.CloseDispute(won=won, note="x", version=version), actor=person
                )
        if won:
            one.give(taken)

    @rule()
    def make(self):
        wish = wire.MakeStatements(id=ids.new_id(), day=clock.shop_day(NOON), suppliers=[self.supplier])
        statements.make(self.db, wish, actor=SYSTEM, complete_after_days=3)

    @precondition(lambda self: self.statements(StatementState.DRAFT))
    @rule(which=WHICH, confirms=st.sampled_from([True, True, False]))
    def end_draft(self, which, confirms):
        draft = _pick(self.statements(StatementState.DRAFT), which)
        move = wire.MoveStatement(version=draft.version)
        with self.db.tx() as tx:
            if confirms:
                statements.confirm(tx, draft.id, move, actor=SYSTEM, complete_after_days=3)
            else:
                statements.drop(tx, draft.id, move, actor=SYSTEM)

    @precondition(lambda self: self.payable())
    @rule(which=WHICH, count=st.integers(1, 3))
    def pay(self, which, count):
        free = self.payable()
        wanted = {_pick(free, which + n).id for n in range(count)}
        with suppress(payouts.NothingToPay), self.db.tx() as tx:
            payouts.make(tx, wire.NewPayout(id=ids.new_id(), statements=sorted(wanted)), actor=PEOPLE[0])

    @rule(together=st.booleans())
    def pay_out(self, together):
        """All that is due goes to the bank, or the channel."""
        self.pay_all(together=together)
        for state in (PayoutState.REQUESTED, PayoutState.APPROVED):
            for payout in self.payouts():
                if payout.state == state:
                    self._move(payout, goes_well=True)

    def pay_all(self, *, together=True):
        """One payout of all that is due, or one of each statement."""
        self.make()
        for draft in self.statements(StatementState.DRAFT):
            with self.db.tx() as tx:
                move = wire.MoveStatement(version=draft.version)
                statements.confirm(tx, draft.id, move, actor=SYSTEM, complete_after_days=3)
        free = [one.id for one in self.payable()]
        for wanted in [free] if together and free else [[one] for one in free]:
            with suppress(payouts.NothingToPay), self.db.tx() as tx:
                payouts.make(tx, wire.NewPayout(id=ids.new_id(), statements=wanted), actor=PEOPLE[0])

    @precondition(lambda self: self.payouts())
    @rule(which=WHICH, goes_well=st.sampled_from([True, True, True, False]))
    def move_payout(self, which, goes_well):
        self._move(_pick(self.payouts(), which), goes_well=goes_well)

    @precondition(lambda self: any(self.carried(one) for one in self.payouts()))
    @rule(which=WHICH, count=st.integers(1, 12), fail=st.sets(st.integers(0, 11), max_size=3))
    def tell_rows(self, which, count, fail):
        """The channel tells what became of some rows: of splits on their way, and of what is to be given back."""
        payout = _pick([one for one in self.payouts() if self.carried(one)], which)
        said = [(row, n not in fail) for n, row in enumerate(self.carried(payout)[:count])]
        self.tell([_told(row, succeeded=ok) for row, ok in said if row.succeeded in {None, ok}])

    def tell(self, rows):
        """A file of the channel, by another person than who made the payouts."""
        if rows:
            file = wire.PayoutResults(id=ids.new_id(), file_name="r.csv", file_sha256="0" * 64, rows=rows)
            with self.db.tx() as tx:
                results.take_in(tx, file, actor=PEOPLE[1])

    @precondition(lambda self: self.split_ppm is not None and self.payouts())
    @rule(which=WHICH, n=st.integers(0, 3), succeeds=st.booleans())
    def tell_row(self, which, n, succeeds):
        """The channel tells of any row, whatever people said of its payout before; another person brings that."""
        payout = _pick(self.payouts(), which)
        with self.db.read() as tx:
            rows = splits.rows(tx, payout)
        number, fen = _pick(sorted(rows.items()), n)
        row = wire.PayoutResult(number=Row(payout.number, number).name, amount_fen=fen, succeeded=succeeds)
        with suppress(results.ResultsDoNotFit, ending.GivenBack):
            self.tell([row])

    def carried(self, payout):
        """The rows of a payout that was sent, and is split: they sum to it, and payments end that are done with."""
        if self.split_ppm is None or payout.state not in _GONE:
            return []
        with self.db.read() as tx:
            rows = instructions.instruction(tx, PEOPLE[0], payout.id).rows
            codes = {tx.get(Order, one.order_id).code: one.order_id for one in self.sold}
        ends = {codes[row.order_code]: row.amount_fen for row in rows if row.kind == "unfreeze"}
        has = self.accounts()
        has_more = has["supplier_available"] + has["supplier_frozen"] > 0
        assert ends == self.splitting().ends(payout, self.sold, self.split_ppm, has_more=has_more)
        if payout.state == PayoutState.SENT:
            assert sum(row.amount_fen for row in rows if row.kind != "unfreeze") == payout.amount_fen
        return rows

    def _move(self, payout, *, goes_well):
        move = wire.MovePayout(version=payout.version, reference="T1")
        said = wire.MovePayout(version=payout.version, approve=goes_well)
        before = self.splitting(but=payout.id)
        with suppress(paying.NotEnoughAvailable, ending.GivenBack), self.db.tx() as tx:
            if payout.state == PayoutState.REQUESTED:
                payouts.check(tx, payout.id, said, actor=PEOPLE[1])
                if goes_well:
                    self.took_what_there_is(payout, before, Splitting(tx, self.supplier))
            elif payout.state == PayoutState.APPROVED and goes_well:
                self.sends(tx, payout, move, before)
            elif payout.state == PayoutState.APPROVED:
                payouts.withdraw(tx, payout.id, move, actor=PEOPLE[0])
            elif payout.state == PayoutState.SENT and goes_well:
                payouts.confirm(tx, payout.id, move, actor=PEOPLE[0])
            elif not goes_well:
                payouts.fail(tx, payout.id, move, actor=PEOPLE[1])

    def sends(self, tx, payout, move, before):
        """It is sent unless a payment has not got any more what was to be split of it."""
        room = before.room(self.sold, self.split_ppm or 0)
        parts = before.parts.get(payout.id, {})
        fits = all(
            row.amount_fen + row.fee_fen <= room.get(order_id, 0) for order_id, row in parts.items() if row.amount_fen
        )
        with nullcontext() if fits else pytest.raises(SplitOutdated):
            payouts.send(tx, payout.id, move, actor=PEOPLE[0])

    def took_what_there_is(self, payout, before, after):
        """Of its own statements' payments first, then of others: what is transferred no payment had."""
        if self.split_ppm is None:
            return
        room, parts = before.room(self.sold, self.split_ppm), after.parts.get(payout.id, {})
        own = {order_id for order_id, numbers in before.released.items() if numbers & set(payout.statements)}
        taken = {order_id: row.amount_fen for order_id, row in parts.items() if row.amount_fen}
        assert own - before.ended <= parts.keys(), "what gives nothing is to be ended, too"
        remain = {order_id: room[order_id] - fen for order_id, fen in taken.items()}
        assert all(fen > 0 for fen in taken.values())
        assert all(0 <= row.fee_fen <= remain.get(order_id, 0) for order_id, row in parts.items())
        assert sum(row.fee_fen for row in parts.values()) == min(payout.fee_fen, sum(remain.values()))
        assert sum(taken.values()) == min(payout.amount_fen, sum(room.values()))
        assert sum(taken.get(order_id, 0) for order_id in own) == min(
            payout.amount_fen, sum(room.get(order_id, 0) for order_id in own)
        )

    # --- what must hold ---

    @invariant()
    def every_fen_that_was_earned_is_somewhere(self):
        if not hasattr(self, "sold"):
            return
        has = self.accounts()
        held = has["supplier_pending"] + has["supplier_available"] + has["supplier_frozen"] - has["owed"]
        assert held + self.paid() == self.earned()
        assert not (has["supplier_available"] and has["owed"])

    @invariant()
    def each_line_is_on_one_statement(self):
        if not hasattr(self, "sold"):
            return
        with self.db.read() as tx:
            mine = select(Statement.id).where(Statement.supplier_id == self.supplier)
            n = tx.scalar(select(func.count()).select_from(SettlementItem).where(SettlementItem.statement_id.in_(mine)))
        assert n <= len(self.sold)

    def settle_everything(self):
        """All questions are answered, all is released and paid: nothing is left but what the supplier owes, and what
        is less than a payout costs.
        """
        while any(one.refund for one in self.sold):
            self.end_refund(0, succeeds=True)
        while any(one.dispute for one in self.sold):
            self.end_dispute(0, won=False)
        for draft in self.statements(StatementState.DRAFT):
            with self.db.tx() as tx:
                statements.drop(tx, draft.id, wire.MoveStatement(version=draft.version), actor=SYSTEM)
        self.end_payouts()  # what was promised before comes first
        self.give_back()
        self.pay_all()
        self.end_payouts()
        has = self.accounts()
        assert has["supplier_frozen"] == 0
        balance = has["supplier_pending"] + has["supplier_available"] - has["owed"]
        assert balance == self.earned() - self.paid()
        assert balance <= self.payout_fee  # what is worth a payout was paid
        split = self.splitting().split
        assert all(split[one.order_id] <= one.left.amount for one in self.sold)

    def give_back(self):
        """What refunds lack of payments that were split."""
        while wanted := [row for one in self.payouts() for row in self.carried(one) if row.kind == "return"]:
            self.tell([_told(row, succeeded=True) for row in wanted])

    def end_payouts(self):
        """Each arrives, or is taken back where refunds have used it up."""
        while open_ones := [one for one in self.payouts() if one.state != PayoutState.CONFIRMED]:
            before = open_ones[0].version
            self._move(open_ones[0], goes_well=True)
            if self.version(open_ones[0].id) == before:
                self._move(open_ones[0], goes_well=False)

    # --- what the shop says ---

    def statements(self, state):
        mine = (Statement.supplier_id == self.supplier, Statement.state == state.value)
        with self.db.read() as tx:
            return tx.scalars(select(Statement).where(*mine).order_by(Statement.number)).all()

    def payable(self):
        return [one for one in self.statements(StatementState.CONFIRMED) if one.payout_id is None]

    def payouts(self):
        ended = (PayoutState.FAILED.value, PayoutState.REFUSED.value)
        mine = (Payout.supplier_id == self.supplier, Payout.state.not_in(ended))
        with self.db.read() as tx:
            return tx.scalars(select(Payout).where(*mine).order_by(Payout.number)).all()

    def version(self, payout_id):
        with self.db.read() as tx:
            return tx.scalars(select(Payout.version).where(Payout.id == payout_id)).one()

    def splitting(self, *, but=None):
        with self.db.read() as tx:
            now = Splitting(tx, self.supplier, but=but)
        assert now.there == now.arrived
        return now

    def accounts(self):
        kinds = ("supplier_pending", "supplier_available", "supplier_frozen", "owed")
        with self.db.read() as tx:
            has = {balance.account: balance.net for balance in balances(tx)}
        return {kind: has.get(Account(kind, self.supplier.hex), 0) for kind in kinds}

    def paid(self):
        """What is on its way to the supplier or there, with the fees for it."""
        there = case((Payout.arrived_at.is_(None), Payout.amount_fen), else_=Payout.arrived_fen - Payout.returned_fen)
        whole = func.coalesce(func.sum(there + Payout.fee_fen), 0)
        with self.db.read() as tx:
            return tx.scalar(select(whole).where(Payout.supplier_id == self.supplier, Payout.state.in_(_GONE)))

    def earned(self):
        """What nobody has taken of what was sold, disputed shares included."""
        return sum(one.left.supplier + (one.dispute[1].supplier if one.dispute else 0) for one in self.sold)


def _parts(shares):
    return shares.supplier, shares.fee, shares.commission, shares.discount


def _told(row, *, succeeded):
    return wire.PayoutResult(number=row.request_no, amount_fen=row.amount_fen, succeeded=succeeded, reference="T1")


def _pick(among, which):
    return among[which % len(among)]


TestSettlement = Settlement.TestCase
TestSettlement.settings = hypothesis.settings(max_examples=4, stateful_step_count=25)


@pytest.mark.soak
class TestSettlementForLong(Settlement.TestCase):
    """The same with many more and longer examples."""

    settings = hypothesis.settings(max_examples=500, stateful_step_count=80)
