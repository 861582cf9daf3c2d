"""Stock, orders and money against the reference model: whatever is done in whatever order, both say the same.

One database serves all examples; each has a product, buyers and payment numbers of its own. Commands go through the
same handlers as in the batcher, several in one transaction, so that folding and set-based claims are tried as well.
"""

import itertools
from dataclasses import replace
from datetime import timedelta

import hypothesis
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from sqlalchemy import select

from server import audit, changes
from server.catalog import actions as catalog
from server.catalog import queries as catalog_queries
from server.ledger.queries import balances
from server.orders import actions as orders
from server.orders.model import Order
from server.payments import actions as payments
from server.payments import attempts, checkout
from server.payments.ending import CloseAttempts
from server.payments.model import PaymentException
from server.policy import SYSTEM
from server.stock.queries import Level
from shared import clock, ids
from shared.contracts.catalog import MoveProduct, NewProduct, NewSku
from shared.errors import KamengError
from shared.states import FoundBy, OrderState, ProductState
from tests import rechecking
from tests.model import reference
from tests.world import MERCHANT, world

PRICE = 130
DELIVERED = {reference.DELIVERED, reference.COMPLETED}
_examples = itertools.count(1)
_shops = []

KEYS = st.lists(st.integers(0, 25), min_size=1, max_size=9)
PLACE = st.tuples(
    st.integers(0, 1),  # whose device
    st.integers(0, 5),  # its idempotency key
    st.integers(1, 4),
    st.sampled_from([0, 0, 0, 0, 0, 0, 0, 1]),  # how wrong the amount is
)
PAY = st.fixed_dictionaries(
    {
        "which": st.integers(0, 9),
        "what": st.sampled_from(
            ["right"] * 6 + ["a second time", "another's number", "a fen less", "another merchant"]
        ),
        "attempt": st.sampled_from([0, 0, 1, 2]),
        "found_by": st.sampled_from([FoundBy.CALLBACK] * 3 + [FoundBy.PAGE, FoundBy.SWEEP, FoundBy.BILL]),
    }
)


@pytest.fixture(scope="module", autouse=True)
def _shop(tmp_path_factory):
    with world("sqlite", tmp_path_factory.mktemp("model"), refund_after_minutes=10_080) as built:
        # Longer than a shop may wait: in the days that pass in an example, orders of those before would be refunded.
        built.ctx = replace(built.ctx, settings=replace(built.ctx.settings, refund_after_minutes=10**6))
        _shops.append(built)
        yield
        _shops.clear()


class StockAndOrders(RuleBasedStateMachine):
    """Drives the shop and the reference side by side."""

    @initialize()
    def open(self):
        self.shop = _shops[0]
        self.model = reference.Shop(price=PRICE)
        self.n = next(_examples)
        self.sku = f"MODEL-{self.n}"
        self.buyers = [ids.new_id(), ids.new_id()]
        self.placed = {}  # the model's name of an order -> the checkout that answered
        self.attempts = {}  # and its attempts
        self.start = clock.now()
        self.steps = 0
        self.sent = []  # commands that may come again
        self._held_clock = None
        self._hold_clock()
        new = NewProduct(
            category="games",
            code=f"model-{self.n}",
            name=f"Model {self.n}",
            skus=[NewSku(code=self.sku, name=self.sku, unit_price=PRICE * 100)],
        )
        with self.shop.ctx.db.tx() as tx:
            product = catalog.create_product(tx, new, supplier_id=self.shop.suppliers["xinghe"], actor=SYSTEM)
            catalog.move_product(tx, product, MoveProduct(to=ProductState.PUBLISHED, version=1), actor=SYSTEM)
            self.shop.skus |= catalog_queries.sale_terms(tx, [self.sku])
        self.money_before = self._money()
        self.bring_keys(range(6), 4)
        self.place([(0, 0, 2, 0), (1, 0, 1, 0)])

    def teardown(self):
        if not hasattr(self, "shop"):
            return
        self.every_sold_key_belongs_to_exactly_one_order()
        self._check_books()
        self._held_clock.__exit__(None, None, None)
        self.shop.skus.pop(self.sku, None)

    def _hold_clock(self):
        if self._held_clock is not None:
            self._held_clock.__exit__(None, None, None)
        self._held_clock = clock.fixed(self.start + timedelta(minutes=self.model.now))
        self._held_clock.__enter__()

    # --- what can happen ---

    @rule(keys=KEYS, per_chunk=st.integers(1, 4))
    def bring_keys(self, keys, per_chunk):
        done = self.shop.stock(self.sku, [self._text(key) for key in keys], per_chunk=per_chunk)
        stored, known, doubled = self.model.bring(keys)
        assert done.stored == stored
        assert done.duplicates + done.refused == known + doubled

    @rule(wishes=st.lists(PLACE, min_size=1, max_size=4))
    def place(self, wishes):
        commands = [self._place_command(*wish) for wish in wishes]
        self.sent += commands
        self._place(commands)

    @rule(wishes=st.lists(PAY, min_size=1, max_size=4))
    def pay(self, wishes):
        commands = [self._pay_command(**wish) for wish in wishes]
        self.sent += commands
        self._pay(commands)

    @rule(which=st.integers(0, 999))
    def send_again(self, which):
        command = self.sent[which % len(self.sent)]
        if isinstance(command, orders.PlaceOrder):
            self._place([command])
        else:
            self._pay([command])

    @rule(which=st.integers(0, 9), how=st.sampled_from(["closed", "left open", "asked for again", "close only"]))
    def pay_otherwise(self, which, how):
        """The buyer chooses anew; or a channel closes what stands, and nobody chooses."""
        name = self._name(which)
        order, known = self.model.orders[name], self.attempts[name]
        order_id, every = self.placed[name].order.id, tuple(attempt.id for attempt in known)
        if how == "close only":
            self.shop.ctx.batch.call(CloseAttempts(order_id, every[:1]))
            self.model.close(order.attempts[:1])
            return
        which_of = {"closed": every if how == "closed" else (), "left_open": every if how == "left open" else ()}
        with self.shop.ctx.db.tx() as tx:
            [answer] = attempts.next_attempts(tx, [attempts.NextAttempt(order_id, "sandbox", "qr", **which_of)])
        expected = self.model.next_way(order, **{what: bool(given) for what, given in which_of.items()})
        if isinstance(expected, str):
            assert type(answer).__name__ == expected
        elif expected < len(known):
            assert answer.id == known[expected].id
        else:
            known.append(answer)

    @rule(what=st.sampled_from(["end", "end", "minutes", "minutes", "days", "work"]), which=st.integers(0, 9))
    def time_passes(self, what, which):
        """One rule for what is not asked for, so that orders and payments are most of an example."""
        if what == "end":
            name, to = self._name(which), (OrderState.EXPIRED, OrderState.CANCELLED)[which % 2]
            self.shop.ctx.batch.call(checkout.EndUnpaid(self.placed[name].order.id, to, ()))
            self.model.end(self.model.orders[name], to.value)
        elif what == "work":
            self.shop.work()
            changes.advance(self.shop.ctx.db)
            audit.seal(self.shop.ctx.db)
        else:
            self._sweep_after(4 * 24 * 60 if what == "days" else 3 + which)
            checkout._complete(self.shop.ctx)
            self.model.complete()

    def _sweep_after(self, minutes):
        self.model.now += minutes
        self._hold_clock()
        checkout.sweep(self.shop.ctx)
        for order in self.model.orders.values():
            if order.due <= self.model.now:
                self.model.end(order, reference.EXPIRED)

    # --- what must hold after each of them ---

    @invariant()
    def stock_is_what_the_model_says(self):
        held = sum(len(o.keys) for o in self.model.orders.values() if o.state == reference.PENDING)
        sold = sum(len(o.keys) for o in self.model.orders.values() if o.state in DELIVERED)
        free, imported = len(self.model.free), len(self.model.arrived)
        assert self.shop.level(self.sku) == Level(imported=imported, free=free, held=held, sold=sold)

    @invariant()
    def orders_stand_where_the_model_says(self):
        codes = {self.placed[name].order.code: order.state for name, order in self.model.orders.items()}
        with self.shop.ctx.db.read() as tx:
            rows = tx.execute(select(Order.code, Order.state).where(Order.buyer_id.in_(self.buyers)))
            assert dict(rows.all()) == codes

    @invariant()
    def money_is_where_the_model_says(self):
        paid = [order for order in self.model.orders.values() if order.is_paid]
        aside = sum(amount for _, amount in self.model.aside.values())
        received = sum(order.amount for order in paid) + aside
        waiting = sum(order.amount for order in paid if order.state == reference.FAILED)
        now = self._money()
        assert now["psp"] - self.money_before.get("psp", 0) == received
        assert now["suspense"] - self.money_before.get("suspense", 0) == aside
        assert now["escrow"] - self.money_before.get("escrow", 0) == waiting
        with self.shop.ctx.db.read() as tx:
            mine = select(PaymentException.kind, PaymentException.provider_no).where(
                PaymentException.provider_no.startswith(f"{self.n}-")
            )
            assert {tuple(row) for row in tx.execute(mine)} == self.model.exceptions

    @invariant()
    def the_books_are_in_order(self):
        self.steps += 1
        if self.steps % 4 == 0:  # the longest of the checks; the example's end is checked as well
            self._check_books()

    def _check_books(self):
        """All but the audit chain, which is hashed anew each time."""
        with self.shop.ctx.db.read() as tx:
            assert [finding for check in rechecking.CHECKS if (finding := check(tx)) is not None] == []

    def every_sold_key_belongs_to_exactly_one_order(self):
        shown = []
        for name, order in self.model.orders.items():
            with self.shop.ctx.db.read() as tx:
                row = tx.get(Order, self.placed[name].order.id)
            lines = self.shop.reveal(row)
            expected = order.keys if order.state in DELIVERED else []
            assert [card.secret for line in lines for card in line.cards] == [self._text(key) for key in expected]
            shown += expected
        assert len(shown) == len(set(shown))

    # --- both sides ---

    def _place(self, commands):
        with self.shop.ctx.db.tx() as tx:
            answers = attempts.checkout(tx, commands, hold_minutes=self.model.hold)
        refused_first = {}
        for command, answer in zip(commands, answers, strict=True):
            name = (command.buyer_id, command.idempotency_key)
            # Twice in one transaction, the second is answered as the first was, also when that was a refusal.
            expected = refused_first.get(name) or self.model.place(name, command.quantity, command.amount_fen)
            if isinstance(expected, reference.Order):
                assert isinstance(answer, attempts.Checkout), answer
                before = self.placed.setdefault(name, answer)
                newest = self.attempts.setdefault(name, [answer.attempt])[-1]
                assert (answer.order.code, answer.attempt.id) == (before.order.code, newest.id)
            else:
                if name not in self.model.orders:
                    refused_first[name] = expected
                assert isinstance(answer, KamengError), expected
                said = type(answer).__name__
                assert ((said, answer.params["left"]) if said == "SoldOut" else said) == expected

    def _pay(self, commands):
        with self.shop.ctx.db.tx() as tx:
            answers = payments.apply(tx, commands)
        by_number = {
            attempt.out_trade_no: (self.model.orders[name], self.model.orders[name].attempts[n])
            for name, known in self.attempts.items()
            for n, attempt in enumerate(known)
        }
        for command, answer in zip(commands, answers, strict=True):
            fact = command.fact
            expected = self.model.pay(
                *by_number[fact.out_trade_no],
                fact.provider_no,
                fact.amount_fen,
                ours=fact.merchant_id == MERCHANT,
                raw=command.raw and command.raw.digest,
            )
            assert answer == expected

    def _place_command(self, buyer, key, quantity, wrong):
        return orders.PlaceOrder(
            buyer_id=self.buyers[buyer],
            idempotency_key=f"key-{key:05}",
            sku=self.sku,
            quantity=quantity,
            amount_fen=quantity * PRICE + wrong,
            channel="sandbox",
        )

    def _pay_command(self, which, what, attempt, found_by):
        name, other = self._name(which), self._name(which + 1)
        n = attempt % len(self.attempts[name])
        own = list(self.placed).index(other if what == "another's number" else name)
        number = f"{self.n}-{own}-{n}{'-2' if what == 'a second time' else ''}"
        paid = attempts.Checkout(self.placed[name].order, self.attempts[name][n])
        fact = self.shop.fact(paid, provider_no=number)
        if what == "a fen less":
            fact = replace(fact, amount_fen=fact.amount_fen - 1)
        if what == "another merchant":
            fact = replace(fact, merchant_id="somebody else")
        body = repr((fact.out_trade_no, fact.provider_no, fact.amount_fen, fact.merchant_id)).encode()
        told = found_by is FoundBy.CALLBACK
        raw = payments.RawCallback(digest=f"{self.n}-{hash(body)}", headers=b"{}", body=body) if told else None
        return payments.ApplyPayment(fact=fact, merchant_id=MERCHANT, raw=raw, found_by=found_by)

    def _name(self, which):
        return list(self.placed)[which % len(self.placed)]

    def _text(self, key):
        return f"MODEL-{self.n:04}-{key:04}"

    def _money(self):
        with self.shop.ctx.db.read() as tx:
            found = {}
            for balance in balances(tx):
                found[balance.account.kind] = found.get(balance.account.kind, 0) + balance.net
        return {"psp": 0, "escrow": 0, "suspense": 0} | found


TestStockAndOrders = StockAndOrders.TestCase
TestStockAndOrders.settings = hypothesis.settings(max_examples=9, stateful_step_count=25)


@pytest.mark.soak
class TestStockAndOrdersForLong(StockAndOrders.TestCase):
    """The same with many more and longer examples."""

    settings = hypothesis.settings(max_examples=2_000, stateful_step_count=80)
