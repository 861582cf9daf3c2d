"""New master keys and new data keys: every key still opens at every moment, and what was left is finished.

The commands run as an operator runs them, beside a shop whose process read the ring before.
"""

import json
import logging
import os
import threading
from contextlib import contextmanager
from datetime import timedelta

import pytest
from sqlalchemy import select, update

from server import cli, cli_keys
from server.audit import AuditEvent
from server.crypto import CardUnreadable, KeyRing, LotKey
from server.exclusive import sole_writer
from server.stock import vault
from server.stock.imports import ingest
from server.stock.model import CardSecret, StockImport, StockLot
from server.stock.vault import rekey
from shared import cardkey, clock
from shared.states import ImportState
from tests.server.importing import Upload
from tests.world import ANNA, world

STAFF = "staff:test"


class Shop:
    """A world, and the commands of its operator."""

    def __init__(self, built, monkeypatch, capsys):
        self.world, self.ctx, self.capsys = built, built.ctx, capsys
        monkeypatch.setenv("KAMENG_DATA", str(self.ctx.settings.data))
        monkeypatch.setenv("KAMENG_DATABASE_URL", self.ctx.db.url.render_as_string(hide_password=False))
        monkeypatch.setenv("KAMENG_LANGUAGE", "en")

    def run(self, *argv):
        """(status, stdout, stderr) of `kameng-server keys ...`."""
        self.capsys.readouterr()
        status = cli.main(["keys", *map(str, argv)])
        said = self.capsys.readouterr()
        return status, said.out, said.err

    def lots(self):
        with self.ctx.db.read() as tx:
            return list(tx.scalars(select(StockLot).order_by(StockLot.id)))

    def sealed(self):
        with self.ctx.db.read() as tx:
            return dict(tx.execute(select(CardSecret.seq, CardSecret.sealed)).all())

    def audited(self):
        """What the commands noted, as (action, entity id), without what the world did before."""
        with self.ctx.db.read() as tx:
            rows = tx.scalars(select(AuditEvent).order_by(AuditEvent.id))
            return [(row.action, row.entity_id) for row in rows if row.action.startswith(("keys.", "lot."))]

    def opened(self, sku, count, *, first=1):
        """The secrets of units, each logged and opened as for staff."""
        sku_id = self.world.skus[sku].sku_id
        wanted = [vault.View(vault.Inspection(sku_id, first + n, "x"), STAFF, "-") for n in range(count)]
        with self.ctx.db.tx() as tx:
            views = vault.log_views(tx, wanted)
        with self.ctx.db.read() as tx:
            return [vault.inspected(tx, self.ctx.keys, view).reveal().partition(cardkey.SEPARATOR)[2] for view in views]

    def ring(self):
        return json.loads(self.ctx.settings.key_ring_file.read_text())


@pytest.fixture
def shop_on(tmp_path, monkeypatch, capsys):
    root, umask = logging.getLogger(), os.umask(0o022)
    handlers, level = root.handlers[:], root.level

    @contextmanager
    def on(kind):
        with world(kind, tmp_path) as built:
            yield Shop(built, monkeypatch, capsys)

    yield on
    root.handlers[:], root.level = handlers, level
    os.umask(umask)


@pytest.fixture
def shop(shop_on):
    with shop_on("sqlite") as built:
        yield built


def texts(shop, sku, count, start=0):
    return shop.world.keys(sku, count, start=start)


# --- master keys ---


def test_rotation_wraps_every_lot_anew_and_touches_no_card(shop_on, any_engine):
    with shop_on(any_engine) as shop:
        for n in range(3):
            shop.world.stock("STEAM-50", texts(shop, "STEAM-50", 4, start=4 * n))
        before, wrapped = shop.sealed(), {lot.wrapped_key for lot in shop.lots()}
        status, out, _ = shop.run("rotate")
        assert (status, "Active master key: 2" in out, "Wrapped 3 of 3 lots anew" in out) == (0, True, True)
        assert [lot.master_version for lot in shop.lots()] == [2, 2, 2]
        assert wrapped.isdisjoint(lot.wrapped_key for lot in shop.lots())
        assert shop.sealed() == before
        assert shop.audited() == [("keys.prepare", "2"), ("keys.activate", "2"), ("keys.rewrap", "2")]
        assert shop.ctx.keys.masters == [1]  # the running process finds out when it has to
        assert shop.opened("STEAM-50", 4) == texts(shop, "STEAM-50", 4)
        assert shop.ctx.keys.masters == [1, 2]
        assert shop.world.buy(ANNA, "STEAM-50").order is not None
        shop.world.check()


def test_a_running_server_wraps_new_lots_with_the_new_master_at_once(shop):
    assert shop.run("rotate")[0] == 0
    shop.world.stock("MUSIC-30", 2)
    assert [lot.master_version for lot in shop.lots()] == [2]


def test_what_a_crash_left_is_finished_without_another_master(shop, monkeypatch):
    for n in range(5):
        shop.world.stock("STEAM-50", texts(shop, "STEAM-50", 1, start=n))
    monkeypatch.setattr(rekey, "LOTS_PER_STEP", 2)
    real, steps = rekey.rewrap, []

    def dying(tx, keys, **options):
        steps.append(real(tx, keys, **options))
        if len(steps) == 2:
            raise KeyboardInterrupt
        return steps[-1]

    with monkeypatch.context() as cut:
        cut.setattr(rekey, "rewrap", dying)
        with pytest.raises(KeyboardInterrupt):
            shop.run("rotate")
    assert [lot.master_version for lot in shop.lots()] == [2, 2, 1, 1, 1]
    assert "master 1  lots 3\nmaster 2  lots 2  当前 / active\n" in shop.run("status")[1]
    assert len(shop.opened("STEAM-50", 1)) == 1
    status, out, _ = shop.run("rotate")
    assert (status, "3 of 3" in out) == (0, True)
    assert sorted(shop.ring()["masters"]) == ["1", "2"]
    assert [lot.master_version for lot in shop.lots()] == [2] * 5


def test_a_crash_between_making_and_using_a_master_makes_no_second_one(shop, monkeypatch):
    shop.world.stock("STEAM-50", 1)
    with monkeypatch.context() as cut:
        cut.setattr(KeyRing, "activate_master", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            shop.run("rotate")
    assert (shop.ring()["active_master"], sorted(shop.ring()["masters"])) == (1, ["1", "2"])
    assert shop.run("rotate")[0] == 0
    assert (shop.ring()["active_master"], sorted(shop.ring()["masters"])) == (2, ["1", "2"])


def test_a_prepared_master_can_be_copied_before_it_is_used(shop):
    shop.world.stock("STEAM-50", 1)
    status, out, _ = shop.run("rotate", "--prepare")
    assert (status, "Copy the ring" in out) == (0, True)
    assert (shop.ring()["active_master"], [lot.master_version for lot in shop.lots()]) == (1, [1])
    assert shop.run("rotate")[0] == 0
    assert (shop.ring()["active_master"], sorted(shop.ring()["masters"])) == (2, ["1", "2"])


def test_a_lot_that_does_not_open_is_named_and_the_others_are_wrapped(shop):
    for sku in ("STEAM-50", "MUSIC-30"):
        shop.world.stock(sku, 1)
    damaged = shop.lots()[0]
    with shop.ctx.db.tx() as tx:
        tx.execute(update(StockLot).where(StockLot.id == damaged.id).values(wrapped_key=b"x" * 60))
    status, _, err = shop.run("rotate")
    assert (status, str(damaged.id) in err) == (1, True)
    assert [lot.master_version for lot in shop.lots()] == [1, 2]
    assert (shop.run("rotate")[0], sorted(shop.ring()["masters"])) == (1, ["1", "2"])  # it is not finished
    assert (shop.run("rotate", "--again")[0], sorted(shop.ring()["masters"])) == (1, ["1", "2", "3"])
    assert [lot.master_version for lot in shop.lots()] == [1, 3]


def test_an_old_master_is_forgotten_only_when_nothing_needs_it(shop):
    shop.world.stock("STEAM-50", 1)
    assert shop.run("forget", 1)[2].startswith("Master key 1 is the active one")
    assert shop.run("rotate", "--prepare")[0] == 0
    keys = KeyRing.load(shop.ctx.settings.key_ring_file)
    keys.activate_master(2)
    before = shop.ring()
    for argv, says in (((1, "--yes"), "still used by 1 lots"), ((7,), "not found")):
        status, _, err = shop.run("forget", *argv)
        assert (status, says in err, shop.ring()) == (2, True, before)
    assert shop.run("rotate")[0] == 0
    status, _, err = shop.run("forget", 1)
    assert (status, "database backups" in err, shop.ring()) == (2, True, before)
    assert ("keys.forget", "1") not in shop.audited()
    assert shop.run("forget", 1, "--yes")[0] == 0
    assert sorted(shop.ring()["masters"]) == ["2"]
    assert shop.audited()[-1] == ("keys.forget", "1")
    assert shop.opened("STEAM-50", 1) == texts(shop, "STEAM-50", 1)


def test_beside_running_servers_a_master_is_not_forgotten_in_a_hurry(shop_on):
    with shop_on("postgres") as shop:
        shop.world.stock("STEAM-50", 1)
        assert shop.run("rotate")[0] == 0
        status, _, err = shop.run("forget", 1, "--yes")
        assert (status, "try again in 1" in err) == (2, True)
        with clock.fixed(clock.now() + cli_keys.FORGET_AFTER + timedelta(seconds=1)):
            assert shop.run("forget", 1, "--yes")[0] == 0


def test_an_older_ring_is_noticed_before_a_new_master_takes_a_lost_ones_number(shop):
    shop.world.stock("STEAM-50", 1)
    older = shop.ctx.settings.key_ring_file.read_text()
    assert shop.run("rotate")[0] == 0
    shop.ctx.settings.key_ring_file.write_text(older)
    for argv in (("rotate",), ("forget", 1), ("reencrypt", "--sku", "STEAM-50")):
        status, _, err = shop.run(*argv)
        assert (argv, status, "lacks master key 2" in err) == (argv, 2, True)
    status, out, _ = shop.run("status")
    assert (status, "master 2  lots 1  缺失 / MISSING" in out) == (1, True)
    assert shop.ctx.settings.key_ring_file.read_text() == older


def test_a_ring_from_the_environment_is_changed_where_it_is_kept(shop, monkeypatch):
    shop.world.stock("STEAM-50", 1)
    ring = shop.ring()
    monkeypatch.setenv("KAMENG_KEY_RING", json.dumps(ring))
    for argv in (("rotate",), ("rotate", "--prepare"), ("forget", 1)):
        status, _, err = shop.run(*argv)
        assert (argv, status, "KAMENG_KEY_RING" in err) == (argv, 2, True)
    renewed = ring | {"active_master": 2, "masters": ring["masters"] | {"2": ring["mac"]}}
    monkeypatch.setenv("KAMENG_KEY_RING", json.dumps(renewed))
    assert shop.run("rotate")[0] == 0  # it was changed there: the lots follow
    assert [lot.master_version for lot in shop.lots()] == [2]


def test_commands_that_write_wait_for_no_server_on_sqlite(shop):
    shop.world.stock("STEAM-50", 1)
    before = shop.ring(), shop.sealed()
    with sole_writer(shop.ctx.settings.sqlite_file):
        for argv in (("rotate",), ("rotate", "--prepare"), ("forget", 1), ("reencrypt", "--sku", "STEAM-50")):
            status, _, err = shop.run(*argv)
            assert (argv, status, "A server is using the database" in err) == (argv, 2, True)
        assert shop.run("status")[0] == 0
    assert (shop.ring(), shop.sealed()) == before


# --- data keys ---


def test_reencryption_seals_every_card_anew_and_the_old_data_key_opens_none(shop_on, any_engine, monkeypatch):
    monkeypatch.setattr(rekey, "CARDS_PER_STEP", 10)
    with shop_on(any_engine) as shop:
        shop.world.stock("STEAM-50", 25)
        shop.world.stock("MUSIC-30", 3)
        shop.world.buy(ANNA, "STEAM-50")
        lot, other = shop.lots()
        before, key = shop.sealed(), LotKey(lot.wrapped_key, lot.master_version)
        status, out, _ = shop.run("reencrypt", "--lot", lot.id)
        assert status == 0
        told = [f"STEAM-50 lot 1: {done} of 25" for done in (10, 20, 25)]
        assert [line for line in out.splitlines() if line.startswith("STEAM")] == told
        after, [now, same] = shop.sealed(), shop.lots()
        assert (same.wrapped_key, now.wrapped_key == lot.wrapped_key) == (other.wrapped_key, False)
        assert (now.next_wrapped_key, now.next_master_version, now.resealed_to) == (None, None, None)
        steam = _cards(shop, "STEAM-50")
        assert {seq: sealed for seq, sealed in steam.items() if sealed in before.values()} == {}
        assert len({sealed[:8] for sealed in steam.values()}) == 3  # a prefix of its own for each step
        old = shop.ctx.keys.lot(lot.id, key)
        for seq, sealed in steam.items():
            with pytest.raises(CardUnreadable):
                old.unseal(lot.sku_id, seq, sealed)
        assert len(after) == len(before)
        assert shop.opened("STEAM-50", 25) == texts(shop, "STEAM-50", 25)
        assert shop.audited() == [("lot.reencrypt", str(lot.id)), ("lot.reencrypted", str(lot.id))]
        shop.world.check()


def _cards(shop, sku):
    sku_id = shop.world.skus[sku].sku_id
    with shop.ctx.db.read() as tx:
        query = select(CardSecret.seq, CardSecret.sealed).where(CardSecret.sku_id == sku_id)
        return dict(tx.execute(query).all())


def test_every_key_opens_between_all_steps_and_after_a_death_inside_one(shop, monkeypatch):
    monkeypatch.setattr(rekey, "CARDS_PER_STEP", 10)
    shop.world.stock("STEAM-50", 25)
    wanted, real, died = texts(shop, "STEAM-50", 25), rekey._store, []

    def dying(*arguments):
        real(*arguments)
        if len(died) < 3:
            died.append(1)
            raise KeyboardInterrupt

    monkeypatch.setattr(rekey, "_store", dying)
    for _ in range(3):
        with pytest.raises(KeyboardInterrupt):
            shop.run("reencrypt", "--sku", "STEAM-50")
        assert shop.opened("STEAM-50", 25) == wanted
    coming = Upload(shop.world, shop.world.keys("STEAM-50", 2, start=60)).send()
    ingest.ingest(shop.ctx.db, shop.ctx.keys, {"import_id": str(coming.id)})
    lot, arriving = shop.lots()
    assert (lot.resealed_to, "reencrypting" in shop.run("status")[1]) == (1, True)
    listed = shop.run("status", "--sku", "STEAM-50")[1].splitlines()[-2:]
    assert listed == [
        f"lot {lot.id}  #1  master 1  cards 25  STEAM-50.txt",
        f"lot {arriving.id}  #2  master 1  cards 2  STEAM-50.txt",
    ]
    assert shop.run("status", "--sku", "NO-SUCH")[0] == 2
    for done in (11, 21, 26):
        with shop.ctx.db.tx() as tx:
            assert rekey.reseal(tx, shop.ctx.keys, lot.id, skip_damaged=False, actor=STAFF)
        assert shop.lots()[0].resealed_to == done
        assert shop.opened("STEAM-50", 25) == wanted
        if done == 11:
            assert f"STEAM-50 #{lot.number + 1}  10/25" in shop.run("status")[1]
            assert shop.run("rotate")[0] == 0  # both keys of a lot follow a new master
            assert (shop.lots()[0].master_version, shop.lots()[0].next_master_version) == (2, 2)
    status, out, err = shop.run("reencrypt", "--sku", "STEAM-50")
    assert (status, "Done: 1 lots." in out, "begun before" in out, str(arriving.id) in err) == (1, True, True, True)
    assert shop.lots()[0].next_wrapped_key is None
    assert shop.opened("STEAM-50", 25) == wanted
    assert [action for action, _ in shop.audited()].count("lot.reencrypt") == 1  # it was resumed, not begun again


def test_keys_are_read_while_they_are_sealed_anew(shop_on, any_engine, monkeypatch):
    monkeypatch.setattr(rekey, "CARDS_PER_STEP", 10)
    with shop_on(any_engine) as shop:
        shop.world.stock("STEAM-50", 100)
        wanted, ended, failures = texts(shop, "STEAM-50", 100), threading.Event(), []
        sku_id = shop.world.skus["STEAM-50"].sku_id
        with shop.ctx.db.tx() as tx:
            seen = [vault.View(vault.Inspection(sku_id, seq, "x"), STAFF, "-") for seq in range(1, 101)]
            views = vault.log_views(tx, seen)

        def reader():
            while not ended.is_set():
                for n, view in enumerate(views):
                    with shop.ctx.db.read() as tx:
                        try:
                            if not vault.inspected(tx, shop.ctx.keys, view).reveal().endswith(wanted[n]):
                                failures.append(n)
                        except CardUnreadable:
                            failures.append(n)

        readers = [threading.Thread(target=reader) for _ in range(2)]
        for thread in readers:
            thread.start()
        try:
            for _ in range(2):
                assert shop.run("reencrypt", "--sku", "STEAM-50")[0] == 0
        finally:
            ended.set()
            for thread in readers:
                thread.join()
        assert failures == []


def test_a_leaked_master_is_replaced_before_it_wraps_a_new_data_key(shop):
    shop.world.stock("STEAM-50", 3)
    shop.world.stock("MUSIC-30", 3)
    lots = shop.lots()
    with shop.ctx.db.tx() as tx:  # one was under way, its next key wrapped by the master that leaked
        rekey.begin(tx, shop.ctx.keys, rekey.Chosen(lot_id=lots[0].id), actor=STAFF)
    status, out, _ = shop.run("reencrypt", "--all-of-master", 1)
    assert (status, "Done: 3 lots." in out) == (0, True)
    assert [lot.master_version for lot in shop.lots()] == [2, 2]
    assert (shop.ring()["active_master"], sorted(shop.ring()["masters"])) == (2, ["1", "2"])
    assert shop.run("reencrypt", "--all-of-master", 1)[1] == "Done: 0 lots.\n"
    assert shop.opened("STEAM-50", 3) == texts(shop, "STEAM-50", 3)
    assert shop.run("forget", 1, "--yes")[0] == 0


def test_a_lot_that_is_being_imported_is_left_alone(shop):
    shop.world.stock("STEAM-50", 2)
    shop.world.stock("STEAM-50", texts(shop, "STEAM-50", 2, start=2))
    done, importing = shop.lots()
    with shop.ctx.db.tx() as tx:
        receiving = {"state": ImportState.RECEIVING.value}
        tx.execute(update(StockImport).where(StockImport.id == importing.import_id).values(receiving))
    before = _cards(shop, "STEAM-50")
    status, _, err = shop.run("reencrypt", "--lot", importing.id)
    assert (status, "still being imported" in err, _cards(shop, "STEAM-50")) == (2, True, before)
    status, _, err = shop.run("reencrypt", "--sku", "STEAM-50")
    assert (status, str(importing.id) in err) == (1, True)
    assert [lot.wrapped_key for lot in shop.lots()][1] == importing.wrapped_key
    assert shop.lots()[0].wrapped_key != done.wrapped_key


def test_cards_that_do_not_open_stop_it_until_somebody_decides(shop, monkeypatch):
    monkeypatch.setattr(rekey, "CARDS_PER_STEP", 3)
    shop.world.stock("STEAM-50", 8)
    with shop.ctx.db.tx() as tx:
        first = tx.scalars(select(CardSecret.sealed).where(CardSecret.seq == 1)).one()
        tx.execute(update(CardSecret).where(CardSecret.seq == 5).values(sealed=first))  # moved, so it must not open
    status, _, err = shop.run("reencrypt", "--sku", "STEAM-50")
    assert (status, "the keys 5 do not open" in err) == (2, True)
    assert shop.lots()[0].resealed_to == 4
    status, _, _ = shop.run("reencrypt", "--sku", "STEAM-50", "--skip-damaged")
    assert status == 0
    assert shop.sealed()[5] == first
    with pytest.raises(CardUnreadable):
        shop.opened("STEAM-50", 1, first=5)
    rest = texts(shop, "STEAM-50", 8)
    assert shop.opened("STEAM-50", 4) + shop.opened("STEAM-50", 3, first=6) == rest[:4] + rest[5:]
    with shop.ctx.db.read() as tx:
        [event] = tx.scalars(select(AuditEvent).where(AuditEvent.action == "lot.damaged"))
    assert json.loads(event.detail) == {"seqs": [5]}


def test_what_there_is_not_is_not_reencrypted(shop):
    missing = (("--lot", "00000000-0000-0000-0000-000000000001"), ("--sku", "NO-SUCH"), ("--all-of-master", 7))
    for argv in missing:
        status, _, err = shop.run("reencrypt", *argv)
        assert (argv, status, "not found" in err) == (argv, 2, True)
    for argv in ((), ("--lot", "x"), ("--sku", "A", "--all-of-master", "1")):
        with pytest.raises(SystemExit):
            shop.run("reencrypt", *argv)


def test_two_commands_at_once_seal_each_card_once_more_and_lose_none(shop_on, monkeypatch):
    monkeypatch.setattr(rekey, "CARDS_PER_STEP", 7)
    with shop_on("postgres") as shop:
        shop.world.stock("STEAM-50", 100)
        chosen = rekey.Chosen(sku_id=shop.world.skus["STEAM-50"].sku_id)
        with shop.ctx.db.tx() as tx:
            rekey.begin(tx, shop.ctx.keys, chosen, actor=STAFF)
        [lot] = shop.lots()

        def finish():
            more = True
            while more:
                with shop.ctx.db.tx() as tx:
                    more = rekey.reseal(tx, shop.ctx.keys, lot.id, skip_damaged=False, actor=STAFF)

        both = [threading.Thread(target=finish) for _ in range(2)]
        for thread in both:
            thread.start()
        for thread in both:
            thread.join()
        assert shop.opened("STEAM-50", 100) == texts(shop, "STEAM-50", 100)
        assert [action for action, _ in shop.audited()] == ["lot.reencrypt", "lot.reencrypted"]
