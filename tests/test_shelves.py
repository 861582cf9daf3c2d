"""Goods that are copied into a shop of a test take nothing away of what happened there, whoever did it."""

from sqlalchemy import select, text

from server.catalog.model import Category
from server.stock.model import StockLot
from shared import ids
from tests.databases import count
from tests.world import another_process, world


def lots(shop):
    with shop.ctx.db.read() as tx:
        return tx.scalars(select(StockLot.id)).all()


def stock(shop):
    """Goods that no other test has: whether they are brought in for the first time is what this is about."""
    shop.stock("STEAM-50", shop.keys("STEAM-50", 3, start=770_000))


def of_category(code):
    return Category(id=ids.new_id(), code=code, name=code, rank=0)


def test_goods_are_the_same_in_each_new_shop_and_new_where_something_happened(tmp_path):
    seen = []
    for n in range(4):
        with world("sqlite", tmp_path / str(n)) as shop:
            stock(shop)
            seen.append(lots(shop))
    first, second, third, fourth = seen
    assert (len(first), first != second, second == third == fourth) == (1, True, True)

    with world("sqlite", tmp_path / "own") as shop:
        with shop.ctx.db.tx() as tx:
            tx.add(of_category("own"))
        stock(shop)
        assert (count(shop.ctx.db, Category, Category.code == "own"), lots(shop) != second) == (1, True)

    with world("sqlite", tmp_path / "others") as shop, another_process("sqlite", shop) as other:
        with other.db.tx() as tx:
            tx.add(of_category("others"))
        stock(shop)
        assert (count(shop.ctx.db, Category, Category.code == "others"), lots(shop) != second) == (1, True)

    with world("sqlite", tmp_path / "schema") as shop:
        with shop.ctx.db.tx() as tx:
            tx.execute(text("CREATE TABLE mine (n INTEGER)"))
        stock(shop)
        with shop.ctx.db.read() as tx:
            assert tx.execute(text("SELECT * FROM mine")).all() == []
