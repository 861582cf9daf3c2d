"""`kill -9` of the server between any two steps of an order or an import: what was acknowledged is there afterwards.

The server, the payment sandbox and the database are real processes. At named moments the server dies by itself
(`dying_server`); the soak version kills it at random moments while many buy.
"""

import base64
import hashlib
import random
import threading
import time
from contextlib import ExitStack, contextmanager

import pytest
from sqlalchemy import update

from server.jobs import Job
from shared import clock
from shared.states import JobState
from tests import engines
from tests.absence import absent
from tests.fault.dying_server import MOMENTS
from tests.fault.mortal import Buyer, Mortal, Persistent
from tests.server.sandbox.peer import PATIENCE_SECONDS, Merchant, SandboxProcess
from tests.world import MERCHANT, world

ROUNDS = 200
TELL_AGAIN = ",".join(["0.2"] * 60)
BUYING = [name for name in MOMENTS if list(MOMENTS).index(name) < list(MOMENTS).index("chunk stored, not committed")]
IMPORTING = [name for name in MOMENTS if name not in BUYING]


@contextmanager
def mortal_shop(kind, folder):
    """A shop over a new database, with keys in stock, payable at a sandbox that tells again and again."""
    reason = engines.missing(kind)
    if reason is not None:
        absent(reason)
    with ExitStack() as ends:
        url = engines.url(kind)
        ends.callback(engines.drop, url)
        sandbox = SandboxProcess(folder / "sandbox", "--retry-seconds", TELL_AGAIN)
        ends.callback(sandbox.kill)
        merchant = Merchant(sandbox, MERCHANT)
        ends.callback(merchant.http.close)
        shop = Mortal(ends.enter_context(world(url, folder)), sandbox, folder)
        ends.callback(shop.end)
        yield shop, merchant


def require_sold(shop, buyers, *, stocked):
    """Each buyer has one key, no key twice, and the books say the same."""
    keys = [key for buyer in buyers for key in buyer.keys]
    assert [len(buyer.keys) for buyer in buyers] == [1] * len(buyers)
    assert len(set(keys)) == len(keys)
    assert set(keys) <= set(shop.world.keys("STEAM-50", stocked))
    report = shop.world.check()
    assert report.figures["units_imported"] == stocked
    assert report.figures["units_sold"] == report.figures["deliveries"] == len(buyers)
    assert report.figures.get("orders_delivered", 0) == len(buyers)
    assert report.figures.get("orders_pending_payment", 0) == 0
    assert report.figures["exceptions_open"] == 0
    assert report.figures["debits_fen"] == 2 * 4_500 * len(buyers)


@pytest.mark.parametrize(
    ("kind", "moments"),
    [("sqlite", BUYING), ("postgres", ["order committed, not answered", "payment committed, not acknowledged"])],
)
def test_one_order_survives_the_death_of_the_server_at_each_of_its_steps(kind, moments, tmp_path):
    with mortal_shop(kind, tmp_path) as (shop, merchant):
        shop.world.stock("STEAM-50", 3)
        shop.start(*moments)
        buyers = [Buyer(shop, merchant), Buyer(shop, merchant)]
        buyers[0].buy()
        assert shop.deaths == len(moments)
        buyers[1].buy()
        shop.stop()
        assert shop.deaths == len(moments)
        require_sold(shop, buyers, stocked=3)


@pytest.mark.parametrize(("kind", "moments"), [("sqlite", IMPORTING), ("postgres", IMPORTING[-1:])])
def test_one_import_survives_the_death_of_the_server_at_each_of_its_steps(kind, moments, tmp_path):
    with mortal_shop(kind, tmp_path) as (shop, _):
        body, chunks, whole = shop.world.announce("STEAM-50", shop.world.keys("STEAM-50", 6), per_chunk=1)
        console = Persistent(shop, headers={"authorization": f"Bearer {shop.token('chen')}"})
        shop.start(*moments)
        assert console.ask("POST", "/sync/v1/imports", json=body.model_dump(mode="json")).status_code == 201
        path = f"/sync/v1/imports/{body.id}"
        for number, chunk in enumerate(chunks):
            mark = base64.b64encode(hashlib.sha256(chunk).digest()).decode()
            headers = {"content-digest": f"sha-256=:{mark}:"}
            assert console.ask("PUT", f"{path}/chunks/{number}", content=chunk, headers=headers).status_code == 204
        assert console.ask("GET", path).json()["missing"] == []
        assert console.ask("POST", f"{path}/commit", json=whole.model_dump(mode="json")).status_code == 200
        deadline = time.monotonic() + PATIENCE_SECONDS
        while (seen := console.ask("GET", path).json())["state"] != "done":
            if shop.deaths == len(moments) and kind != "sqlite":
                _let_leases_end(shop)
            assert time.monotonic() < deadline, seen
            time.sleep(0.02)
        console.http.close()
        shop.stop()
        assert (seen["stored"], seen["duplicates"], seen["refused"]) == (6, 0, 0)
        assert shop.deaths == len(moments)
        assert shop.world.level("STEAM-50").free == 6
        require_sold(shop, [], stocked=6)


def _let_leases_end(shop):
    """Two minutes pass: on an engine with many workers, what a dead one was doing waits for the end of its lease."""
    with shop.world.ctx.db.tx() as tx:
        over = clock.now()
        tx.execute(update(Job).where(Job.state == JobState.RUNNING.value).values(lease_until=over))


@pytest.mark.soak
@pytest.mark.parametrize("kind", ["sqlite", "postgres", "mariadb"])
def test_a_crowd_gets_its_keys_while_the_server_is_killed_at_random(kind, tmp_path):
    crowd = 6
    chance = random.Random(kind)
    with mortal_shop(kind, tmp_path) as (shop, merchant):
        shop.world.stock("STEAM-50", 2_000)
        shop.start()
        buyers: list[Buyer] = []
        stopping = threading.Event()

        def keep_buying():
            while not stopping.is_set():
                buyer = Buyer(shop, merchant)
                buyers.append(buyer)
                buyer.buy()

        threads = [threading.Thread(target=keep_buying) for _ in range(crowd)]
        for thread in threads:
            thread.start()
        while shop.deaths < ROUNDS and any(thread.is_alive() for thread in threads):
            time.sleep(chance.expovariate(2))
            shop.kill()
            shop.revive()
        stopping.set()
        for thread in threads:
            thread.join()
        shop.stop()
        assert shop.deaths >= ROUNDS
        require_sold(shop, buyers, stocked=2_000)
