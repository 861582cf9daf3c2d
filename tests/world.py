"""A small named world, built with the real actions: two suppliers, three products, staff, and buyers.

    星河数码 (xinghe)  sells STEAM-50 at 45.00 and MUSIC-30 at 12.50, fee 5 %
    北辰软件 (beichen) sells OFFICE-1Y at 0.0350 a piece, fee 10 %

Staff: 王敏 (admin) wang, 李航 (operator) li, 周洁 (finance) zhou, 星河's 陈星 (supplier) chen, 北辰's 赵北 zhao.
All have the password `PASSWORD`. Buyers are devices: ANNA, BEN, CARA. Keys come in by the real intake, money by
facts as a channel states them.
"""

import base64
import hashlib
import time
from collections.abc import Set
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import UUID

import msgspec
import pyotp
from argon2 import PasswordHasher
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite
from sqlalchemy import Dialect, select

from server import app, invariants
from server.catalog import actions as catalog
from server.catalog import queries as catalog_queries
from server.context import Context
from server.crypto import KeyRing
from server.db import Database
from server.gateways.port import PaymentFact
from server.identity import actions as identity
from server.orders import actions as orders
from server.orders.model import Order
from server.payments import actions as payments
from server.payments import revealing
from server.payments.model import PaymentAttempt
from server.policy import SYSTEM
from server.settings import Settings
from server.stock import queries as stock_queries
from server.stock.imports import intake
from shared import clock, ids
from shared.contracts.catalog import MoveProduct, NewCategory, NewProduct, NewSku
from shared.contracts.stock import CommitImport, FileFigures, NewImport, chunk_info, find_info
from shared.permissions import Role
from shared.pricing import NOTHING, ORDINARY, Deal, quote_line
from shared.states import ImportState, ProductState
from tests import engines, rechecking
from tests.databases import schema
from tests.shelves import Shelves

NO_LIMITS = dict.fromkeys(
    ("hold_orders_per_device", "hold_units_per_device", "hold_orders_per_address", "hold_units_per_address"), 0
)
WITHOUT_FEES = {"channel_fees": "alipay=0 epay=0 sandbox=0 wechat=0"}
WITH_FEES = {"channel_fees": "alipay=6000 epay=6000 sandbox=6000 wechat=6000"}
PASSWORD = "correct horse battery"
ANNA, BEN, CARA = (UUID(int=0xA00 + n) for n in range(3))
MERCHANT = "kameng-test"

_SEAL = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)


@dataclass
class World:
    """The running parts of a shop and the names of its rows."""

    ctx: Context
    suppliers: dict[str, UUID]
    users: dict[str, UUID]
    skus: dict[str, catalog_queries.SaleTerms]
    expects: Set[str] | None = frozenset()
    """The invariants that are broken when it ends, and no others: a test that makes rows up breaks some. None: any."""
    ended_at: datetime | None = None
    """When its story ended, unless now: what nobody did in time by then is not looked for."""

    def __post_init__(self) -> None:
        self._shelves = Shelves(self.ctx)

    # --- stock ---

    def keys(self, sku: str, count: int, *, start: int = 0) -> list[str]:
        """Made-up keys of a SKU: `STEAM-50-000007-…`, 24 characters and more, each different."""
        digest = [hashlib.sha256(f"{sku} {n}".encode()).hexdigest()[:12].upper() for n in range(start, start + count)]
        return [f"{sku}-{start + n:06d}-{text}" for n, text in enumerate(digest)]

    def announce(self, sku: str, keys, *, terms=(None, None, 1), import_id: UUID | None = None, per_chunk: int = 5_000):
        """The announcement, sealed chunks and commit of an import of keys (texts, or (number, secret) pairs).

        `terms` are expiry, cost and uses of all of them.
        """
        import_id = import_id or ids.new_id()
        rows = [(n, *(key if isinstance(key, tuple) else ("", key)), 0) for n, key in enumerate(keys, start=1)]
        chunks = [rows[at : at + per_chunk] for at in range(0, len(rows), per_chunk)]
        public = X25519PublicKey.from_public_bytes(self.ctx.keys.import_public_key)
        sealed = [
            _SEAL.encrypt(msgspec.msgpack.encode([[terms], chunk]), public, chunk_info(import_id, n))
            for n, chunk in enumerate(chunks)
        ]
        new = NewImport(id=import_id, sku=sku, file_name=f"{sku}.txt", key_id=self.ctx.keys.import_key_id)
        commit = CommitImport(
            figures=FileFigures(read=len(rows), valid=len(rows), duplicates=0, refused=0, skipped=0),
            file_sha256=hashlib.sha256(repr(rows).encode()).hexdigest(),
            chunks=len(sealed),
            root_sha256=hashlib.sha256(b"".join(hashlib.sha256(one).digest() for one in sealed)).hexdigest(),
        )
        return new, sealed, commit

    def shelf(self, sku: str) -> intake.Shelf:
        """Where keys of a SKU go."""
        terms = self.skus[sku]
        return intake.Shelf(terms.sku_id, terms.sku_code, terms.product_id, terms.supplier_id)

    def stock(self, sku: str, keys=5, *, terms=(None, None, 1), per_chunk: int = 5_000):
        """Bring keys (or that many made-up ones) into stock; answers the finished import."""
        keys = self.keys(sku, keys) if isinstance(keys, int) else list(keys)
        wanted = (sku, tuple(keys), terms, per_chunk)
        return self._shelves.filled(wanted, lambda: self._bring_in(sku, keys, terms=terms, per_chunk=per_chunk))

    def _bring_in(self, sku: str, keys, *, terms, per_chunk: int):
        body, sealed, commit = self.announce(sku, keys, terms=terms, per_chunk=per_chunk)
        with self.ctx.db.tx() as tx:
            intake.declare(tx, self.ctx.keys, body, self.shelf(sku), actor="system")
        for n, chunk in enumerate(sealed):
            with self.ctx.db.tx() as tx:
                intake.receive(tx, body.id, intake.inspect(self.ctx.keys, body.id, n, chunk))
        with self.ctx.db.tx() as tx:
            intake.commit(tx, body.id, commit, actor="system")
        self.work()
        seen = self._import(body.id)
        patience = time.monotonic() + 20
        while seen.state is ImportState.INGESTING and self.ctx.jobs.alive and time.monotonic() < patience:
            time.sleep(0.01)  # the shop's own worker was quicker to take the job, and is at it
            seen = self._import(body.id)
        return seen

    def _import(self, import_id: UUID):
        with self.ctx.db.read() as tx:
            return stock_queries.as_import(tx, tx.get(intake.StockImport, import_id))

    def search(self, pairs, *, search_id: UUID | None = None) -> dict[str, str]:
        """The body of a search for keys, (number, secret) pairs, as a console seals it."""
        search_id = search_id or ids.new_id()
        sealed = seal(self, list(pairs), find_info(search_id))
        key_id = self.ctx.keys.import_key_id
        return {"id": str(search_id), "key_id": key_id, "sealed": base64.b64encode(sealed).decode()}

    def level(self, sku: str) -> stock_queries.Level:
        """The counts of a SKU."""
        sku_id = self.skus[sku].sku_id
        with self.ctx.db.read() as tx:
            return stock_queries.levels(tx, [sku_id]).get(sku_id, stock_queries.Level())

    # --- orders and money ---

    def place(
        self,
        buyer: UUID,
        sku: str,
        quantity: int = 1,
        *,
        key: str | None = None,
        amount: int | None = None,
        deal: Deal = ORDINARY,
    ):
        """Place an order through the batcher; answers its checkout or raises the refusal."""
        quote = quote_line(unit_price=self.skus[sku].unit_price, quantity=quantity, fee=NOTHING, deal=deal)
        amount = quote.amount if amount is None else amount
        return self.ctx.batch.call(
            orders.PlaceOrder(
                buyer_id=buyer,
                idempotency_key=key or ids.new_token(),
                sku=sku,
                quantity=quantity,
                amount_fen=amount,
                channel="sandbox",
                agreed_to=orders.POLICY_VERSION,
                deal=deal,
            )
        )

    def fact(self, checkout, **other) -> PaymentFact:
        """What the channel states when a checkout was paid; `other` replaces fields."""
        attempt = checkout.attempt
        fact = PaymentFact(
            channel="sandbox",
            out_trade_no=attempt.out_trade_no,
            provider_no=f"S{attempt.out_trade_no[-20:]}",
            merchant_id=MERCHANT,
            amount_fen=attempt.amount_fen,
            currency="CNY",
            state="paid",
            paid_at=clock.now(),
            event_id=None,
        )
        return replace(fact, **other)

    def apply(self, fact: PaymentFact, *, raw: bytes | None = None) -> payments.Outcome:
        """Let the single writer of payments take a fact, as a query's or (with `raw`) a callback's."""
        kept = raw and payments.RawCallback(digest=hashlib.sha256(raw).hexdigest(), headers=b"{}", body=raw)
        return self.ctx.batch.call(payments.ApplyPayment(fact=fact, merchant_id=MERCHANT, raw=kept or None))

    def buy(self, buyer: UUID, sku: str, quantity: int = 1, *, deal: Deal = ORDINARY):
        """Place and pay; answers the checkout."""
        checkout = self.place(buyer, sku, quantity, deal=deal)
        assert self.apply(self.fact(checkout)) is payments.Outcome.APPLIED
        return checkout

    def order(self, checkout) -> Order:
        """The order as it stands now."""
        with self.ctx.db.read() as tx:
            return tx.scalars(select(Order).where(Order.id == checkout.order.id)).one()

    def attempt(self, checkout) -> PaymentAttempt:
        """The attempt as it stands now."""
        with self.ctx.db.read() as tx:
            return tx.get(PaymentAttempt, checkout.attempt.id)

    def reveal(self, order: Order, *, actor="buyer:test") -> list[revealing.RevealedLine]:
        """The keys of an order as its page shows them, the look logged first."""
        logged = self.ctx.batch.call(revealing.LogReveal(order_id=order.id, actor=actor, request_id="r1"))
        return revealing.opened(self.ctx, order.id, logged)

    # --- people ---

    def enrol(self, login: str) -> pyotp.TOTP:
        """Give a person a second factor; the codes of now and of the next half minute are still unused."""
        user_id, keys = self.users[login], self.ctx.keys
        with self.ctx.db.tx() as tx:
            factor = pyotp.TOTP(identity.begin_totp(tx, user_id, keys=keys, shop="test").secret)
            before = factor.at(clock.now() - timedelta(seconds=30))
            identity.confirm_totp(tx, user_id, totp=before, keys=keys, actor="system")
        return factor

    # --- time and books ---

    def work(self) -> None:
        """Run jobs until none is due."""
        while self.ctx.jobs.run_due():
            pass

    def check(self) -> invariants.Report:
        """Check the books; they must always hold."""
        report = rechecking.check(self.ctx.db)
        assert report.ok, report.findings
        return report

    def prove(self) -> None:
        """At the end of a test: the books hold, but for what the test said that it would break (`expects`)."""
        if self.expects is None:
            return
        with clock.fixed(self.ended_at) if self.ended_at else nullcontext():
            findings = rechecking.findings(self.ctx.db)
        assert {one.invariant for one in findings} == self.expects, findings


def seal(shop: World, content, info: bytes) -> bytes:
    """What a console sends sealed to the shop's import key."""
    public = X25519PublicKey.from_public_bytes(shop.ctx.keys.import_public_key)
    return _SEAL.encrypt(msgspec.msgpack.encode(content), public, info)


@contextmanager
def world(kind: engines.Kind, folder, *, expects: Set[str] | None = frozenset(), **settings):
    """A shop on a new database of an engine, its batcher running and its jobs run by hand (`World.work`).

    When it ends well, its books must hold (`World.prove`), whatever the test was about.

    Anybody may hold as much unpaid as a test likes, and channels keep nothing of payments until their bills say so;
    `settings` say otherwise, by their names.
    People and goods are made once a run and engine; each world is a copy of that database. Skips without the engine.
    """
    template = _template(kind)
    copied = engines.copy(template.url)
    ctx = _assembled(copied, folder, **settings)
    template.share_statements(ctx.db)
    ctx.batch.start()
    try:
        names = {name: dict(getattr(template, name)) for name in ("suppliers", "users", "skus")}
        yield (shop := World(ctx=ctx, expects=expects, **names))
        shop.prove()
    finally:
        ctx.batch.close()
        ctx.db.close()
        engines.drop(copied)


@contextmanager
def another_process(kind: engines.Kind, shop: World):
    """The parts of one more process of a shop on that engine, its batcher running."""
    ctx = app.assemble(shop.ctx.settings)
    _template(kind).share_statements(ctx.db)
    ctx.batch.start()
    try:
        yield ctx
    finally:
        ctx.batch.close()
        ctx.db.close()


def _assembled(database_url: str, folder, **given) -> Context:
    facts = {"data": folder / "data", "database_url": database_url, "sandbox_merchant": MERCHANT}
    facts |= NO_LIMITS | WITHOUT_FEES | given
    settings = Settings.from_environment({f"KAMENG_{name.upper()}": str(value) for name, value in facts.items()})
    settings.prepare_data_folder()
    settings.key_ring_file.write_bytes(_key_ring())
    settings.key_ring_file.chmod(0o600)
    ctx = app.assemble(settings)
    ctx.breakers._now = lambda: clock.now().timestamp()  # a shop of tests has one clock, which tests move
    return ctx


@dataclass(frozen=True)
class _Template:
    """A database with people and goods, their names, and the statements that were compiled for its engine."""

    url: str
    suppliers: dict[str, UUID]
    users: dict[str, UUID]
    skus: dict[str, catalog_queries.SaleTerms]
    dialect: Dialect
    statements: dict

    def share_statements(self, db: Database) -> None:
        """Compile each statement once a run, as a shop does that runs for days: it is a third of a test's work."""
        for engine in (db._writer, db._by_key, db._reader):
            engine.dialect = self.dialect
            engine.update_execution_options(compiled_cache=self.statements)


@cache
def _template(kind: engines.Kind) -> _Template:
    empty = schema(kind)
    first, names = engines.once(f"world-{kind}", lambda: _with_people_and_goods(empty))
    db = Database(engines.copy(first))
    with db.engine.connect():
        dialect = db.engine.dialect  # knows its engine, and the name of its database, once it was connected
    db.close()
    return _Template(url=db.url.render_as_string(hide_password=False), dialect=dialect, statements={}, **names)


def _with_people_and_goods(empty: str) -> tuple[str, dict[str, dict]]:
    url = engines.copy(empty)
    with TemporaryDirectory() as folder:
        ctx = _assembled(url, Path(folder))
        built = _people_and_goods(ctx)
        ctx.db.close()
    return url, {"suppliers": built.suppliers, "users": built.users, "skus": built.skus}


@cache
def _key_ring() -> bytes:
    """One for all worlds of a run, so that the goods of one can be read in another."""
    with TemporaryDirectory() as folder:
        KeyRing.create(file := Path(folder) / "ring")
        return file.read_bytes()


@cache
def _hashed() -> str:
    """Of the least cost: people sign in some hundred times a run, and each real check takes a fifth of a second."""
    return PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)


def _people_and_goods(ctx: Context) -> World:
    hashed = _hashed()
    with ctx.db.tx() as tx:
        suppliers = {
            "xinghe": identity.create_supplier(tx, name="星河数码", fee_ppm=50_000, actor="system"),
            "beichen": identity.create_supplier(tx, name="北辰软件", fee_ppm=100_000, actor="system"),
        }
        people = [
            ("wang", "王敏", Role.ADMIN, None),
            ("li", "李航", Role.OPERATOR, None),
            ("zhou", "周洁", Role.FINANCE, None),
            ("chen", "陈星", Role.SUPPLIER, suppliers["xinghe"]),
            ("zhao", "赵北", Role.SUPPLIER, suppliers["beichen"]),
        ]
        users = {
            login: identity.create_user(
                tx, login=login, name=name, role=role, password_hash=hashed, supplier_id=supplier, actor="system"
            )
            for login, name, role, supplier in people
        }
        for code, name in (("games", "游戏点卡"), ("music", "影音会员"), ("software", "软件授权")):
            catalog.create_category(tx, NewCategory(code=code, name=name), actor=SYSTEM)
        for supplier, category, code, name, sku, price in (
            ("xinghe", "games", "steam", "Steam 充值卡", "STEAM-50", 450_000),
            ("xinghe", "music", "music", "音乐会员", "MUSIC-30", 125_000),
            ("beichen", "software", "office", "办公套件", "OFFICE-1Y", 350),
        ):
            product = NewProduct(
                category=category, code=code, name=name, skus=[NewSku(code=sku, name=sku.title(), unit_price=price)]
            )
            product_id = catalog.create_product(tx, product, supplier_id=suppliers[supplier], actor=SYSTEM)
            catalog.move_product(tx, product_id, MoveProduct(to=ProductState.PUBLISHED, version=1), actor=SYSTEM)
    with ctx.db.read() as tx:
        skus = catalog_queries.sale_terms(tx, ["STEAM-50", "MUSIC-30", "OFFICE-1Y"])
    return World(ctx=ctx, suppliers=suppliers, users=users, skus=skus)
