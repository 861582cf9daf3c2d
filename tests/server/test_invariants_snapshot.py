"""The checks see one instant on each engine: what is sold while they read is no breach and stops no payout."""

from datetime import timedelta

from server import invariants
from server.invariants import books
from server.invariants.look import look
from server.ledger.health import broken
from shared import clock
from tests.world import ANNA, BEN, world


def test_a_sale_while_the_books_are_read_is_no_breach(engine, tmp_path, monkeypatch):
    with world(engine, tmp_path) as shop:
        shop.stock("STEAM-50", 10)
        shop.buy(ANNA, "STEAM-50")
        assert look(shop.ctx.db).ok
        real, sold = books.days.until, []

        def until(*asked):
            if not sold:
                sold.append(shop.buy(BEN, "STEAM-50"))
            return real(*asked)

        monkeypatch.setattr(books.days, "until", until)
        with clock.fixed(clock.now() + timedelta(days=1)):
            report = look(shop.ctx.db)
        assert (report.findings, len(sold)) == ((), 1)
        with shop.ctx.db.read() as tx:
            assert broken(tx) == []
        assert invariants.check(shop.ctx.db).figures["orders_delivered"] == 2
