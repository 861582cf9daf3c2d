"""The Products screen: the list, what may be done with the picked product, and the form of a new one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from pydantic import ValidationError

from desktop.engine.transport import code_of
from desktop.operations import products
from desktop.operations.seen import Seen
from desktop.presenters import formats
from desktop.presenters.feed import Feed
from desktop.presenters.key_rules import RulesDraft
from desktop.presenters.listing import Column
from desktop.presenters.ports import Ask
from desktop.presenters.watching import Watched
from desktop.presenters.words import tone, word
from shared.contracts.base import Page
from shared.contracts.catalog import Category, NewProduct, NewSku, Product
from shared.contracts.identity import Person
from shared.errors import KamengError
from shared.money import parse_unit_price
from shared.permissions import Permission
from shared.states import ProductState, may_move


def price_range(product: Product) -> str:
    """`¥9.90`, or `¥9.90 – ¥98.50` when the SKUs differ."""
    prices = sorted({sku.unit_price for sku in product.skus})
    if not prices:
        return "–"
    low, high = formats.price(prices[0]), formats.price(prices[-1])
    return low if low == high else f"{low} – {high}"


COLUMNS = (
    Column[Product]("name", lambda p: p.name, stretch=True, sample="十二个汉字的商品名称大约这么宽"),
    Column[Product]("code", lambda p: p.code, code=True, sample="steam-wallet-100"),
    Column[Product]("category", lambda p: p.category, sample="game-cards"),
    Column[Product]("supplier", lambda p: p.supplier, sample="星河数码供应商"),
    Column[Product]("price", price_range, numeric=True, sample="¥1,000.00 – ¥9,998.50"),
    Column[Product]("skus", lambda p: formats.count(len(p.skus)), numeric=True, sample="SKU 12"),
    Column[Product]("free", lambda p: formats.count(sum(sku.free for sku in p.skus)), numeric=True, sample="1,234,567"),
    Column[Product]("state", lambda p: word(p.state), tone=lambda p: tone(p.state), sample="Off shelf 000"),
)


@dataclass
class SkuDraft:
    """One SKU as it is typed."""

    code: str = ""
    name: str = ""
    price: str = ""


@dataclass
class ProductDraft:
    """A new product as it is typed. `wrong` maps fields to their reasons: `code`, `skus.0.price` ..."""

    category: str = ""
    code: str = ""
    name: str = ""
    summary: str = ""
    skus: list[SkuDraft] = field(default_factory=lambda: [SkuDraft()])
    rules: RulesDraft = field(default_factory=RulesDraft)
    wrong: dict[str, str] = field(default_factory=dict)

    def finish(self) -> NewProduct | None:
        """The product, or None with `wrong` filled. Nothing typed is lost either way.

        Reasons are codes that the view has words for: `needed`, `code`, `price`, `double`.
        """
        self.wrong = {name: "needed" for name in ("category", "code", "name") if not getattr(self, name).strip()}
        skus = [made for at, draft in enumerate(self.skus) if (made := self._sku(at, draft)) is not None]
        codes = [draft.code.strip() for draft in self.skus]
        for at, code in enumerate(codes):
            if code and code in codes[:at]:
                self.wrong[f"skus.{at}.code"] = "double"
        rules = self.rules.finish()
        self.wrong |= {f"rules.{name}": reason for name, reason in self.rules.wrong.items()}
        if self.wrong or rules is None:
            return None
        key_rule, selling = rules
        try:
            return NewProduct(
                category=self.category,
                code=self.code,
                name=self.name,
                summary=self.summary,
                skus=skus,
                key_rule=key_rule,
                selling=selling,
            )
        except ValidationError as error:
            self.wrong = {".".join(str(part) for part in one["loc"]): "code" for one in error.errors()}
            return None

    def _sku(self, at: int, draft: SkuDraft) -> NewSku | None:
        for name in ("code", "name", "price"):
            if not getattr(draft, name).strip():
                self.wrong[f"skus.{at}.{name}"] = "needed"
        try:
            price = parse_unit_price(draft.price) if draft.price.strip() else 1
        except ValueError:
            self.wrong[f"skus.{at}.price"] = "price"
            return None
        if price <= 0:
            self.wrong[f"skus.{at}.price"] = "price"
            return None
        if any(name.startswith(f"skus.{at}.") for name in self.wrong):
            return None
        try:
            return NewSku(code=draft.code, name=draft.name, unit_price=price)
        except ValidationError as error:
            for one in error.errors():
                self.wrong[f"skus.{at}.{'price' if one['loc'][0] == 'unit_price' else one['loc'][0]}"] = "code"
            return None


class Products(Watched):
    """The screen's state.

    Attributes:
        feed: the list.
        categories: the shelves a new product may stand on.
        busy: a change is on its way.
        said: what the last change did, for a toast: (what, product); what is added, published, off_shelf or rules.
        error: why the last change failed.
    """

    def __init__(self, ask: Ask, person: Person) -> None:
        super().__init__()
        self._ask = ask
        self.feed: Feed[Product] = Feed(ask, COLUMNS)
        self.categories: list[Category] = []
        self.busy = False
        self.said: tuple[str, Product] | None = None
        self.error: Exception | None = None
        self.query = ""
        may = frozenset(person.permissions)
        # An operator would have to name the supplier; on this small screen suppliers draft their own.
        self.may_create = Permission.CATALOG_PRODUCT_EDIT in may and person.supplier_id is not None
        self.may_edit = Permission.CATALOG_PRODUCT_EDIT in may
        self.may_publish = Permission.CATALOG_PRODUCT_PUBLISH in may

    def open(self) -> None:
        """Read the list and the shelves."""
        self.search(self.query)
        if self.may_create:
            self._ask(products.list_categories, self._categories_read, self._ignored)

    def search(self, query: str) -> None:
        """Show what matches `query`; everything when it is empty."""
        self.query = query.strip()
        wanted = self.query or None
        self.feed.show(lambda engine, after: products.list_products(engine, q=wanted, after=after))

    def may_move(self, product: Product | None, to: ProductState) -> bool:
        """Whether the picked product may be published, or taken off the shelf, now."""
        return product is not None and self.may_publish and not self.busy and may_move(product.state, to)

    def move(self, product: Product, to: ProductState) -> None:
        """Publish it, or take it off the shelf."""
        self._begin()
        self._ask(
            lambda engine: products.move(engine, product, to),
            lambda moved: self._done(to.value, moved.product),
            self._failed,
        )

    @property
    def is_outdated(self) -> bool:
        """Whether the last change failed because somebody else had changed the product."""
        return isinstance(self.error, KamengError) and code_of(self.error) == "product_changed"

    def may_change_rules(self, product: Product | None) -> bool:
        """Whether the rules of the picked product may be changed now."""
        return product is not None and self.may_edit and not self.busy

    def change_rules(self, product: Product, draft: RulesDraft) -> bool:
        """Send other rules for a product. False, with `draft.wrong` filled, when they are not any."""
        made = draft.finish()
        if made is None:
            return False
        key_rule, selling = made
        self._begin()
        self._ask(
            lambda engine: products.change_rules(engine, product, key_rule=key_rule, selling=selling),
            lambda changed: self._done("rules", changed.product),
            self._failed,
        )
        return True

    def read_again(self, product: Product, then: Callable[[Product], None]) -> None:
        """Hand `then` the product as the server has it now: somebody else changed it."""
        self._begin()

        def read(newest: Product) -> None:
            self.busy = False
            self.changed()
            then(newest)

        self._ask(lambda engine: products.one(engine, product.id), read, self._failed)

    def create(self, draft: ProductDraft) -> bool:
        """Send a new product. False, with `draft.wrong` filled, when something is missing."""
        made = draft.finish()
        if made is None:
            return False
        self._begin()
        self._ask(
            lambda engine: products.add(engine, made), lambda added: self._done("added", added.product), self._failed
        )
        return True

    def _begin(self) -> None:
        self.busy, self.error, self.said = True, None, None
        self.changed()

    def _done(self, what: str, product: Product) -> None:
        self.busy, self.said = False, (what, product)
        self.changed()
        self.said = None
        self.feed.reload()

    def _failed(self, error: Exception) -> None:
        self.busy, self.error = False, error
        self.changed()

    def _categories_read(self, seen: Seen[Page[Category]]) -> None:
        self.categories = sorted(seen.value.items, key=lambda category: (category.rank, category.name))
        self.changed()

    def _ignored(self, _error: Exception) -> None:
        """Without shelves the form says so itself."""
