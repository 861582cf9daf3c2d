"""The ledger against a reference: whatever is sold, refunded, released, disputed and paid out, in whatever order.

Each example has a supplier and a distributor of its own. Anything may die at any of its statements: then nothing of it
has happened, and it is done again.
"""

import itertools
from collections import defaultdict
from contextlib import ExitStack
from dataclasses import dataclass, field

import hypothesis
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from sqlalchemy import event

from server import invariants
from server.catalog import actions as catalog
from server.catalog import queries as catalog_queries
from server.identity import actions as identity
from server.invariants import booked, books, settlement
from server.ledger import paying
from server.ledger.queries import balances
from server.orders import actions as orders
from server.payments import actions as payments
from server.payments import attempts
from server.payments.disputes import actions as disputes
from server.payments.refunds import making, moving
from server.payments.refunds.making import Portion
from server.payments.refunds.splitting import Shares
from server.payments.terms import Terms
from server.policy import SYSTEM, Actor, Kind
from shared import clock, ids
from shared.contracts import ledger as wire
from shared.contracts.catalog import MoveProduct, NewProduct, NewSku
from shared.money import PPM, split
from shared.pricing import Deal, Share, quote_line
from shared.states import ProductState, RefundCause, RefundStep
from tests import engines
from tests.world import ANNA, MERCHANT, world

TERMS = Terms(fee_ppm={"sandbox": 6_000})
PRICE = 13_370
_examples = itertools.count(1)
_shops = {}
_opening = []

SHARES = st.integers(0, PPM // 3).map(Share.percent) | st.integers(0, 10_000).map(Share.fixed)
PARTS = st.integers(1, 1_000)
"""How much of what is left, in thousandths; a fen at least."""
DIES_AT = st.sampled_from([0, 0]) | st.integers(1, 40)
"""At which of its statements a work dies first; 0 lives."""


class Died(Exception):
    """The process is gone."""


@pytest.fixture(scope="module", autouse=True)
def _shop(tmp_path_factory):
    """A shop on each engine that an example asks for, kept for the next ones."""
    with ExitStack() as open_shops:

        def fresh(kind):
            # `check_books` proves them: this model books payouts without the rows of settlement.
            return open_shops.enter_context(world(kind, tmp_path_factory.mktemp(kind), expects=None))

        _opening.append(fresh)
        yield
        _opening.clear()
        _shops.clear()


def _shop_on(kind):
    if kind not in _shops:
        _shops[kind] = _opening[0](kind)
    return _shops[kind]


@dataclass
class Sold:
    """An order as the reference knows it: whose shares are where."""

    order_id: object
    code: str
    line_id: object
    left: Shares
    released: set = field(default_factory=set)
    disputed: bool = False
    refund: tuple | None = None

    @property
    def is_in_question(self):
        """Whether a release has to wait."""
        return self.disputed or self.refund is not None


class Ledger(RuleBasedStateMachine):
    """Drives the shop, and beside it a dictionary of accounts."""

    kind = "sqlite"

    @initialize(fee=st.integers(0, PPM // 3))
    def open(self, fee):
        self.shop, self.n = _shop_on(self.kind), next(_examples)
        self.db, self.sku = self.shop.ctx.db, f"LEDGER-{self.n}"
        self.fee, self.distributor = Share.percent(fee), ids.new_id()
        self.sold, self.disputes, self.flying = [], [], []
        self.names = itertools.count(1)
        self.steps = 0
        new = NewProduct(
            category="games",
            code=f"ledger-{self.n}",
            name=f"Ledger {self.n}",
            skus=[NewSku(code=self.sku, name=self.sku, unit_price=PRICE)],
        )
        with self.db.tx() as tx:
            self.supplier = identity.create_supplier(tx, name=f"供应商 {self.n}", fee_ppm=fee, actor="system")
            product = catalog.create_product(tx, new, supplier_id=self.supplier, actor=SYSTEM)
            catalog.move_product(tx, product, MoveProduct(to=ProductState.PUBLISHED, version=1), actor=SYSTEM)
            self.shop.skus |= catalog_queries.sale_terms(tx, [self.sku])
        self.shop.stock(self.sku, 200)
        self.before = self.seen()
        self.has = defaultdict(int)  # by account: what the reference has moved since
        for quantity in (1, 3):
            self.sell(quantity, Share.percent(100_000), Share.percent(80_000), 0)

    def teardown(self):
        if hasattr(self, "has"):
            self.check_books()
            self.shop.skus.pop(self.sku, None)

    # --- what can happen ---

    @rule(quantity=st.integers(1, 5), discount=SHARES, commission=SHARES, dies_at=DIES_AT)
    def sell(self, quantity, discount, commission, dies_at):
        deal = Deal(discount=discount, commission=commission, distributor_id=self.distributor)
        quote = quote_line(unit_price=PRICE, quantity=quantity, fee=self.fee, deal=deal)
        if quote.amount == 0:
            return
        assert quote.amount + quote.discount == quote.supplier + quote.commission + quote.fee
        command = orders.PlaceOrder(ANNA, ids.new_token(), self.sku, quantity, quote.amount, "sandbox", deal=deal)
        with self.db.tx() as tx:
            [placed] = attempts.checkout(tx, [command], hold_minutes=15)
        fact = self.shop.fact(placed, provider_no=f"{self.n}-{next(self.names)}")
        paid = payments.ApplyPayment(fact=fact, merchant_id=MERCHANT)
        self.do(lambda tx: payments.apply(tx, [paid], terms=TERMS), dies_at)
        with self.db.read() as tx:
            [line] = orders.lines_of(tx, [placed.order.id])[placed.order.id]
        kept = TERMS.fee_of("sandbox", quote.amount)
        self.move("psp", quote.amount - kept)
        self.move("psp_fee", kept)
        self.move("promo", quote.discount)
        self.move("supplier_pending", quote.supplier)
        self.move("distributor_pending", quote.commission)
        self.move("fee", quote.fee)
        self.sold.append(Sold(placed.order.id, placed.order.code, line.id, Shares.of(line)))

    @precondition(lambda self: any(one.left.amount and one.refund is None for one in self.sold))
    @rule(which=st.integers(0, 99), part=PARTS, dies_at=DIES_AT)
    def refund(self, which, part, dies_at):
        one = self.pick([one for one in self.sold if one.left.amount and one.refund is None], which)
        amount = max(1, one.left.amount * part // 1_000)

        def work(tx):
            wanted = Portion(amount_fen=amount)
            held = making.of_order(tx, one.order_id, wanted, cause=RefundCause.SHOP, reason="x", actor="system")
            moving.approve(tx, held, RefundStep.STARTED, actor="system", check_above=None)
            return held.refund.id

        refund_id = self.do(work, dies_at)
        shares = one.left.part(amount)
        self.take_back(one, shares)
        self.move("escrow", amount)
        one.left -= shares
        one.refund = (refund_id, shares)

    @precondition(lambda self: any(one.refund for one in self.sold))
    @rule(which=st.integers(0, 99), succeeds=st.booleans(), dies_at=DIES_AT)
    def end_refund(self, which, succeeds, dies_at):
        one = self.pick([one for one in self.sold if one.refund], which)
        refund_id, shares = one.refund

        def work(tx):
            held, said = moving.lock(tx, refund_id), {"actor": "system"}
            if not succeeds:
                return moving.close(tx, held, RefundStep.STOPPED, **said)
            moving.advance(tx, held, RefundStep.SUBMITTED, **said, to=moving.RefundState.SUBMITTED)
            now = clock.now()
            return moving.succeed(tx, held, **said, provider_refund_no=refund_id.hex, at=now, refunded_at=now)

        self.do(work, dies_at)
        self.move("escrow", -shares.amount)
        if succeeds:
            self.move("psp", -shares.amount)
        else:
            self.give_again(one, shares)
            one.left = Shares(*(a + b for a, b in zip(_parts(one.left), _parts(shares), strict=True)))
        one.refund = None

    @precondition(lambda self: any(not one.is_in_question for one in self.sold))
    @rule(which=st.integers(0, 99), kind=st.sampled_from(["supplier", "distributor"]), dies_at=DIES_AT)
    def release(self, which, kind, dies_at):
        one = self.pick([one for one in self.sold if not one.is_in_question], which)
        if kind in one.released:
            return
        amount = one.left.supplier if kind == "supplier" else one.left.commission
        payee = paying.Payee(kind, self.supplier if kind == "supplier" else self.distributor)
        said = {"number": ids.new_token(), "payee": payee, "lines": [paying.LineRelease(one.line_id, amount)]}
        for _ in "twice":
            self.do(lambda tx: paying.release(tx, **said, at=clock.now(), actor="system"), dies_at)
        owed = min(self.has["owed", kind], amount)
        self.move(f"{kind}_pending", -amount)
        self.has["owed", kind] -= owed
        self.move(f"{kind}_available", amount - owed)
        one.released.add(kind)

    @precondition(lambda self: self.has["supplier_available"] > 0)
    @rule(part=PARTS, fee=st.integers(0, 1), dies_at=DIES_AT)
    def pay_out(self, part, fee, dies_at):
        amount = max(1, self.has["supplier_available"] * part // 1_000 - fee)
        fee = min(fee, self.has["supplier_available"] - amount)
        said = {"number": ids.new_token(), "amount": amount, "at": clock.now(), "actor": "system"}
        payee = paying.supplier(self.supplier)
        self.do(lambda tx: paying.payout_submit(tx, **said, payee=payee, fee=fee), dies_at)
        self.move("supplier_available", -amount - fee)
        self.move("payout", amount)
        self.move("payout_fee", fee)
        self.flying.append((said, fee))

    @precondition(lambda self: self.flying)
    @rule(how=st.sampled_from(["done", "failed", "returned"]), dies_at=DIES_AT)
    def land(self, how, dies_at):
        said, fee = self.flying.pop()
        amount, payee = said["amount"], paying.supplier(self.supplier)
        by = {name: said[name] for name in ("number", "at", "actor")}
        if how != "failed":
            self.do(lambda tx: paying.payout_done(tx, sources={paying.BANK: amount}, **by), dies_at)
            self.move("bank", -amount)
        if how != "done":
            sources = {paying.PAYOUT if how == "failed" else paying.BANK: amount}
            self.do(lambda tx: paying.payout_failed(tx, **by, sources=sources, payee=payee, fee=fee), dies_at)
            self.give("supplier", amount + fee)
            self.move("payout_fee", -fee)
        if how == "returned":
            self.move("bank", amount)
        self.move("payout", -amount)

    @precondition(lambda self: any(one.left.amount and not one.disputed for one in self.sold))
    @rule(which=st.integers(0, 99), part=PARTS, dies_at=DIES_AT)
    def dispute(self, which, part, dies_at):
        one = self.pick([one for one in self.sold if one.left.amount and not one.disputed], which)
        amount = max(1, one.left.amount * part // 1_000)
        body = wire.OpenDispute(
            id=ids.new_id(), order_code=one.code, amount_fen=amount, channel_no=ids.new_token(), reason="x"
        )
        self.do(lambda tx: disputes.open_dispute(tx, body, order_id=one.order_id, actor=SYSTEM), dies_at)
        shares = one.left.part(amount)
        source = "supplier_available" if "supplier" in one.released else "supplier_pending"
        frozen = min(shares.supplier, self.has[source]) if "supplier" in one.released else shares.supplier
        self.move(source, -frozen)
        self.move("supplier_frozen", frozen)
        one.left -= shares
        one.disputed = True
        self.disputes.append((body.id, one, shares, frozen))

    @precondition(lambda self: self.disputes)
    @rule(won=st.booleans(), fine=st.integers(0, 500), dies_at=DIES_AT)
    def decide(self, won, fine, dies_at):
        dispute_id, one, shares, frozen = self.disputes.pop(0)
        fine = 0 if won else fine
        for version, actor in ((1, SYSTEM), (2, Actor(Kind.STAFF, id=ids.new_id()))):
            body = wire.CloseDispute(won=won, fine_fen=fine, note="x", version=version)
            self.do(lambda tx, body=body, actor=actor: disputes.close(tx, dispute_id, body, actor=actor), dies_at)
        self.move("supplier_frozen", -frozen)
        one.disputed = False
        if won:
            if "supplier" in one.released:
                self.give("supplier", frozen)
            else:
                self.move("supplier_pending", frozen)
            one.left = Shares(*(a + b for a, b in zip(_parts(one.left), _parts(shares), strict=True)))
            return
        self.take_back(one, Shares(shares.supplier - frozen, shares.fee, shares.commission, shares.discount))
        self.move("psp", -shares.amount - fine)
        self.move("loss", fine)

    # --- what must hold ---

    @invariant()
    def every_account_has_what_the_reference_says(self):
        if hasattr(self, "has"):
            now = self.seen()
            moved = {name: now[name] - self.before.get(name, 0) for name in now}
            assert {name: fen for name, fen in moved.items() if fen} == {
                name: fen for name, fen in self.has.items() if fen
            }

    @invariant()
    def the_books_are_in_order(self):
        self.steps = getattr(self, "steps", 0) + 1
        if self.steps % 6 == 0 and hasattr(self, "has"):
            self.check_books()

    def check_books(self):
        """All but what compares with rows of payouts, which are settlement's."""
        of_rows = (books.payouts_are_in_flight, booked.payouts_are_booked, settlement.releases_are_of_statements)
        checks = [check for check in invariants.CHECKS if check not in of_rows]  # it books without rows of settlement
        with self.db.read() as tx:
            assert [finding for check in checks if (finding := check(tx)) is not None] == []

    # --- both sides ---

    def do(self, work, dies_at):
        """Run it; where it dies at one of its statements, see that nothing has happened and run it again."""
        if dies_at:
            before = self.seen()
            left = iter(range(dies_at))

            def die(*_):
                if next(left, None) is None:
                    raise Died

            event.listen(self.db.engine, "before_cursor_execute", die)
            try:
                with self.db.tx() as tx:
                    return work(tx)
            except Died:
                event.remove(self.db.engine, "before_cursor_execute", die)
                assert self.seen() == before
            finally:
                if event.contains(self.db.engine, "before_cursor_execute", die):
                    event.remove(self.db.engine, "before_cursor_execute", die)
        with self.db.tx() as tx:
            return work(tx)

    def take_back(self, one, shares):
        """Shares leave whoever has them; what a payee has not is owed."""
        for kind, fen in (("supplier", shares.supplier), ("distributor", shares.commission)):
            if kind not in one.released:
                self.move(f"{kind}_pending", -fen)
                continue
            reach = min(fen, self.has[f"{kind}_available"])
            self.move(f"{kind}_available", -reach)
            self.has["owed", kind] += fen - reach
        self.move("fee", -shares.fee)
        self.move("promo", -shares.discount)

    def give(self, kind, fen):
        """To who had its share released: what it owes is paid first."""
        debt = min(fen, self.has["owed", kind])
        self.has["owed", kind] -= debt
        self.move(f"{kind}_available", fen - debt)

    def give_again(self, one, shares):
        """Shares go to where they belong now; debts first."""
        for kind, fen in (("supplier", shares.supplier), ("distributor", shares.commission)):
            if kind in one.released:
                self.give(kind, fen)
            else:
                self.move(f"{kind}_pending", fen)
        self.move("fee", shares.fee)
        self.move("promo", shares.discount)

    def move(self, account, fen):
        self.has[account] += fen
        assert self.has[account] >= 0 or account in {"psp", "bank", "promo", "fee"}, account

    def pick(self, some, which):
        return some[which % len(some)]

    def seen(self):
        """The balances of this example's supplier and distributor, and of the shop's own accounts, by kind."""
        mine = {self.supplier.hex: "supplier", self.distributor.hex: "distributor"}
        found = defaultdict(int)
        with self.db.read() as tx:
            for one in balances(tx):
                if len(one.account.owner) != 32:
                    found[one.account.kind] += one.net
                elif one.account.owner in mine:
                    is_debt = one.account.kind == "owed"
                    found[("owed", mine[one.account.owner]) if is_debt else one.account.kind] += one.net
        return dict(found)


def _parts(shares):
    return shares.supplier, shares.fee, shares.commission, shares.discount


TestLedger = Ledger.TestCase
TestLedger.settings = hypothesis.settings(max_examples=7, stateful_step_count=18)


class LedgerOnPostgres(Ledger):
    kind = "postgres"


class LedgerOnMariaDB(Ledger):
    kind = "mariadb"


@pytest.mark.soak
class TestLedgerForLong(Ledger.TestCase):
    """The same with many more and longer examples."""

    settings = hypothesis.settings(max_examples=1_000, stateful_step_count=60)


@pytest.mark.soak
@pytest.mark.skipif(bool(engines.missing("postgres")), reason="needs PostgreSQL")
class TestLedgerOnPostgresForLong(LedgerOnPostgres.TestCase):
    """And where another engine keeps the floors and undoes what died."""

    settings = hypothesis.settings(max_examples=200, stateful_step_count=60)


@pytest.mark.soak
@pytest.mark.skipif(bool(engines.missing("mariadb")), reason="needs MariaDB")
class TestLedgerOnMariaDBForLong(LedgerOnMariaDB.TestCase):
    """And on the third one."""

    settings = hypothesis.settings(max_examples=200, stateful_step_count=60)


@hypothesis.given(
    total=st.integers(0, 10**13), weights=st.lists(st.integers(0, 10**6), min_size=1, max_size=5).filter(any)
)
def test_splits_always_sum(total, weights):
    parts = split(total, weights)
    assert sum(parts) == total
    assert all(part >= 0 for part in parts)
