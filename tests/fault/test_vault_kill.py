"""`kill -9` of `keys rotate` and `keys reencrypt` at each of their moments: every key opens, the next run goes on.

The real command in a process of its own, on SQLite with full durability, killed from inside at a named place.
"""

import os
import signal

import pytest
from sqlalchemy import select

from server.crypto import KeyRing
from server.stock import vault
from server.stock.model import StockLot
from tests.fault.dying_server import REENCRYPT, ROTATE, SMALL_STEPS, start
from tests.server.sandbox.peer import PATIENCE_SECONDS
from tests.world import World, world

SKU, CARDS, LOTS = "STEAM-50", 30, 3


@pytest.fixture
def shop(tmp_path):
    with world("sqlite", tmp_path) as built:
        for n in range(LOTS):
            built.stock(SKU, built.keys(SKU, CARDS // LOTS, start=n * (CARDS // LOTS)))
        built.ctx.db.close()
        yield built


def keys_command(shop: World, *argv: str, moment: str = SMALL_STEPS) -> int:
    """The exit status of the command in a process of its own; dying at a moment, if one is given."""
    data = shop.ctx.settings.data
    address = shop.ctx.db.url.render_as_string()
    environment = os.environ | {"KAMENG_DATA": str(data), "KAMENG_DATABASE_URL": address}
    log = data.parent / "command.log"
    command = start(["keys", *argv], environment=environment, log=log, moment=moment)
    command.join(PATIENCE_SECONDS)
    assert "Traceback" not in log.read_text(), log.read_text()
    return command.exitcode


def require_all_open(shop: World) -> list[StockLot]:
    """Every key opens for a process that starts now; answers the lots."""
    keys, ctx = KeyRing.load(shop.ctx.settings.key_ring_file), shop.ctx
    sku_id, found = shop.skus[SKU].sku_id, []
    with ctx.db.read() as tx:
        lots = list(tx.scalars(select(StockLot).order_by(StockLot.id)))
    wanted = [lot.first_seq + n for lot in lots for n in range(CARDS // LOTS)]
    with ctx.db.tx() as tx:
        views = vault.log_views(tx, [vault.View(vault.Inspection(sku_id, seq, "x"), "staff:x", "-") for seq in wanted])
    with ctx.db.read() as tx:
        found = [vault.inspected(tx, keys, view).reveal() for view in views]
    assert [text[-len(key) :] for text, key in zip(found, shop.keys(SKU, CARDS), strict=True)] == shop.keys(SKU, CARDS)
    ctx.db.close()
    return lots


def test_a_rotation_that_is_killed_again_and_again_makes_one_master_and_ends(shop):
    for moment in ROTATE:
        assert (moment, keys_command(shop, "rotate", moment=moment)) == (moment, -signal.SIGKILL)
        require_all_open(shop)
    assert keys_command(shop, "rotate") == 0
    assert [lot.master_version for lot in require_all_open(shop)] == [2] * LOTS
    assert KeyRing.load(shop.ctx.settings.key_ring_file).masters == [1, 2]


def test_a_reencryption_that_is_killed_again_and_again_loses_no_key_and_ends(shop):
    before = {lot.wrapped_key for lot in require_all_open(shop)}
    for moment in REENCRYPT:
        assert (moment, keys_command(shop, "reencrypt", "--sku", SKU, moment=moment)) == (moment, -signal.SIGKILL)
        require_all_open(shop)
    assert keys_command(shop, "reencrypt", "--sku", SKU) == 0
    lots = require_all_open(shop)
    assert [lot.next_wrapped_key for lot in lots] == [None] * LOTS
    assert before.isdisjoint(lot.wrapped_key for lot in lots)
