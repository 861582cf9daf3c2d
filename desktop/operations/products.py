"""Products, their SKUs and categories: read, draft, publish."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from pydantic import TypeAdapter, ValidationError

from desktop.engine.engine import Engine
from desktop.engine.transport import Call
from desktop.operations.seen import Seen, every_page, look, name_of, recall
from shared.contracts.base import Page
from shared.contracts.catalog import (
    Category,
    ChangeRules,
    KeyRule,
    MoveProduct,
    NewCategory,
    NewProduct,
    NewSku,
    Product,
    SellingRule,
)
from shared.contracts.identity import Supplier
from shared.errors import BadField, NotFound
from shared.money import parse_unit_price
from shared.sentence import Sentence
from shared.states import ProductState, require_move

_PAGE: TypeAdapter[Page[Product]] = TypeAdapter(Page[Product])
_SUPPLIERS: TypeAdapter[Page[Supplier]] = TypeAdapter(Page[Supplier])
_CATEGORIES: TypeAdapter[Page[Category]] = TypeAdapter(Page[Category])


class ProductUnknown(NotFound):
    """No product of this code is visible to the person."""

    code = "product_unknown"
    zh = "没有编码为“{product}”的商品（或您无权查看）。用 kameng product list 查看全部。"
    en = "There is no product “{product}” (or you may not see it). `kameng product list` shows all."


class SupplierUnknown(NotFound):
    """No supplier of this name is visible to the person."""

    code = "supplier_unknown"
    zh = "没有名为“{supplier}”的供应商（或您无权查看）。"
    en = "There is no supplier “{supplier}” (or you may not see it)."


@dataclass(frozen=True, slots=True)
class ProductAdded:
    """A draft was made."""

    product: Product


@dataclass(frozen=True, slots=True)
class ProductMoved:
    """A product went from one state to another."""

    product: Product
    before: ProductState


@dataclass(frozen=True, slots=True)
class RulesChanged:
    """A product's keys are judged, or sold, by other rules."""

    product: Product


@dataclass(frozen=True, slots=True)
class CategoryAdded:
    """A shelf was made."""

    category: Category


async def list_products(
    engine: Engine, *, q: str | None = None, state: ProductState | None = None, after: str | None = None
) -> Seen[Page[Product]]:
    """One page of the products the person may see."""
    query = {"q": q, "state": state, "after": after}
    call = Call("GET", "/api/products", query=query)
    return await look(engine, list_name=name_of("products", **query), call=call, answer=_PAGE)


async def list_all(engine: Engine) -> list[Product]:
    """Every product the person may see, from the server."""
    return await every_page(engine, "/api/products", _PAGE, {})


async def recall_products(engine: Engine) -> Seen[Page[Product]] | None:
    """The first page as it was last seen, without asking the server."""
    return await recall(engine, list_name="products", answer=_PAGE)


async def list_categories(engine: Engine) -> Seen[Page[Category]]:
    """The shelves of the shop."""
    return await look(engine, list_name="categories", call=Call("GET", "/api/categories"), answer=_CATEGORIES)


async def find_supplier(engine: Engine, name: str) -> Supplier:
    """The supplier of this name, for an operator's draft. Raises SupplierUnknown."""
    for supplier in (await engine.session.ask(Call("GET", "/api/suppliers"), _SUPPLIERS)).items:
        if supplier.name == name:
            return supplier
    raise SupplierUnknown(supplier=name)


async def find(engine: Engine, code: str) -> Product:
    """The product with this code. Raises ProductUnknown."""
    for product in await every_page(engine, "/api/products", _PAGE, {"q": code}):
        if product.code == code:
            return product
    raise ProductUnknown(product=code)


async def one(engine: Engine, product_id: UUID) -> Product:
    """A product as the server has it now."""
    return await engine.session.ask(Call("GET", f"/api/products/{product_id}"), Product)


async def add(engine: Engine, product: NewProduct) -> ProductAdded:
    """Draft a product with its SKUs. Raises what the server refuses: a code that is taken, an unknown category."""
    made = await engine.session.ask(Call("POST", "/api/products", body=product), Product)
    engine.announce("product", "sku", initiator="product.add")
    return ProductAdded(made)


async def move(engine: Engine, product: Product, to: ProductState) -> ProductMoved:
    """Publish a product or take it off the shelf, from the version that `product` shows.

    Raises IllegalMove before asking, Conflict when somebody changed it since.
    """
    require_move(product.state, to)
    body = MoveProduct(to=to, version=product.version)
    moved = await engine.session.ask(Call("POST", f"/api/products/{product.id}/state", body=body), Product)
    engine.announce("product", initiator="product.move")
    return ProductMoved(product=moved, before=product.state)


async def change_rules(engine: Engine, product: Product, *, key_rule: KeyRule, selling: SellingRule) -> RulesChanged:
    """Say anew what a product's keys look like and how they sell, from the version that `product` shows.

    Raises Conflict when somebody changed it since.
    """
    body = ChangeRules(version=product.version, key_rule=key_rule, selling=selling)
    changed = await engine.session.ask(Call("PUT", f"/api/products/{product.id}/rules", body=body), Product)
    engine.announce("product", "stock", "lot", initiator="product.rules")
    return RulesChanged(changed)


async def add_category(engine: Engine, category: NewCategory) -> CategoryAdded:
    """Make a shelf."""
    made = await engine.session.ask(Call("POST", "/api/categories", body=category), Category)
    engine.announce("category", initiator="category.add")
    return CategoryAdded(made)


def parse_sku(text: str) -> NewSku:
    """A SKU as typed, `CODE:NAME:PRICE`, the price in yuan with up to four decimals. Raises BadField with a reason.

    The name may contain colons: the first ends the code, the last begins the price.
    """
    code, _, rest = text.partition(":")
    name, _, price = rest.rpartition(":")
    if not (code and name and price):
        words = Sentence("应为 编码:名称:单价，例如 A100:100元卡:98.50", "use CODE:NAME:PRICE")
        raise BadField(field=f"--sku {text}", reason=words)
    try:
        return NewSku(code=code.strip(), name=name, unit_price=parse_unit_price(price))
    except ValidationError as error:
        first = error.errors()[0]
        raise BadField(field=f"--sku {text}", reason=f"{first['loc'][0]}: {first['msg']}") from error
    except ValueError as error:
        raise BadField(field=f"--sku {text}", reason=str(error)) from error
