"""What an import has to know of its SKU: whose it is, what its keys look like, and how the last file was read.

The product's rule comes from the server and is remembered with the lists; offline it is what was seen last, and the
server judges every line once more anyway.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from desktop.engine.engine import Engine
from desktop.engine.transport import is_foreign, is_passing
from desktop.importing import Columns, Options, Preview
from desktop.importing.options import ExpiryOrder
from desktop.operations import products, stock
from desktop.operations.seen import pages
from shared.cardkey import Pattern
from shared.contracts.catalog import KeyRule
from shared.contracts.stock import SkuStock
from shared.errors import KamengError, NotAllowed, NotFound
from shared.permissions import Permission, allows

T = TypeVar("T")


class SkuUnknown(NotFound):
    """No SKU of this code is visible to the person."""

    code = "sku_unknown"
    zh = "没有编号为“{sku}”的规格（或您无权查看）。文件没有读取，请核对编号。"
    en = "There is no SKU “{sku}” (or you may not see it). The file was not read; check the code."


_TRIES = 2


@dataclass(frozen=True, slots=True)
class Goods:
    """The SKU of an import. `rule` is None when the server could not be asked and was never asked before."""

    sku: str
    supplier: str
    product: str
    rule: KeyRule | None

    @property
    def name(self) -> str:
        """What habits are remembered under: one supplier's product."""
        return f"{self.supplier}/{self.product}" if self.product else self.sku


@dataclass(frozen=True, slots=True)
class Habit:
    """How the last file for these goods was read. It is used again for a file with the same titles."""

    titles: tuple[str, ...]
    columns: Columns
    header_lines: int
    separator: str | None
    expiry_order: ExpiryOrder


_HABIT: TypeAdapter[Habit] = TypeAdapter(Habit)


def require_importer(engine: Engine) -> None:
    """Raises NotAllowed before anything is read when the person's role brings no stock."""
    person = engine.session.require_account().person
    if not allows(person.role, Permission.STOCK_IMPORT_CREATE):
        raise NotAllowed(permission=Permission.STOCK_IMPORT_CREATE.value)


async def choices(engine: Engine) -> list[SkuStock]:
    """Every SKU that the person may bring stock for, however many: from the server, or as it was seen last."""
    rows: list[SkuStock] = []
    async for page in pages(lambda after: stock.list_stock(engine, after=after)):
        rows += page
    return rows


async def look_up(engine: Engine, sku: str) -> Goods:
    """The goods behind a SKU. Raises SkuUnknown when the server knows none of this code for the person."""
    for _try in range(_TRIES):  # one lost answer must not cost the rule
        try:
            return await _look_up(engine, sku)
        except KamengError as error:
            if not (is_passing(error) or is_foreign(error)):
                raise
    return Goods(sku=sku, supplier="", product="", rule=None)


async def _look_up(engine: Engine, sku: str) -> Goods:
    listed = pages(lambda after: stock.list_stock(engine, q=sku, after=after))
    row = await _first(listed, lambda one: one.sku == sku)
    if row is None:
        raise SkuUnknown(sku=sku)
    code = row.product[:120]
    found = pages(lambda after: products.list_products(engine, q=code, after=after))
    product = await _first(found, lambda one: any(own.code == sku for own in one.skus))
    rule = None if product is None else product.key_rule
    return Goods(sku=sku, supplier=row.supplier, product=row.product, rule=rule)


async def _first(rows: AsyncGenerator[list[T]], fits: Callable[[T], bool]) -> T | None:
    """The first row that fits, reading no further than it."""
    async with aclosing(rows):
        async for page in rows:
            for row in page:
                if fits(row):
                    return row
    return None


def ruled(options: Options, goods: Goods) -> Options:
    """The options with what the product says of its keys."""
    if goods.rule is None:
        return options
    return replace(options, pattern=goods.rule.pattern, ignore_case=goods.rule.ignore_case)


def says_something(goods: Goods) -> bool:
    """Whether the product's rule could refuse anything."""
    return goods.rule is not None and goods.rule.pattern != Pattern()


async def habit(engine: Engine, goods: Goods) -> Habit | None:
    """How the last file for these goods was read on this machine, or None."""
    account = engine.session.require_account().name
    kept = await engine.stores.outbox(lambda outbox: outbox.habit(account=account, goods=goods.name))
    if kept is None:
        return None
    try:
        return _HABIT.validate_json(kept)
    except ValidationError:  # another version kept it: as if never
        return None


async def remember(engine: Engine, goods: Goods, preview: Preview) -> None:
    """Remember how a file that is imported now was read."""
    options = preview.options
    assert options.header_lines is not None
    made = Habit(preview.titles, preview.columns, options.header_lines, options.separator, options.expiry_order)
    kept, account = _HABIT.dump_json(made).decode(), engine.session.require_account().name
    await engine.stores.outbox(lambda outbox: outbox.set_habit(account=account, goods=goods.name, options=kept))


def used_to(options: Options, habit: Habit) -> Options:
    """The options with what was done last time, where nobody said otherwise."""
    return replace(
        options,
        columns=habit.columns,
        header_lines=habit.header_lines,
        separator=habit.separator,
        expiry_order=habit.expiry_order,
    )
