"""`kill -9` of the server and the worker: what was acknowledged is there afterwards, and nothing nobody asked for.

Server, worker, payment sandbox and database are real processes. At named moments between any two steps the server
dies by itself (`dying_server`); at random ones it is killed while many buy and a console imports. A dozen rounds on
each run, two hundred on each engine in `make soak`.
"""

import base64
import hashlib
import os
import random
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest
from sqlalchemy import update

from server.jobs import Job
from shared import clock
from shared.states import JobState
from tests.e2e.live_shop import LiveShop, prepared_shop, prove, start_server, stop_server
from tests.fault.dying_server import MOMENTS
from tests.fault.history import History, require_true
from tests.fault.mortal import Buyer, Mortal, Persistent
from tests.server.sandbox.peer import PATIENCE_SECONDS, ROOT, Merchant, SandboxProcess
from tests.world import MERCHANT, PASSWORD, world

DOZEN, ROUNDS, CROWD = 12, 200, 6
SKU = "OFFICE-1Y"
TELL_AGAIN = ",".join(["0.2"] * 60)
BUYING = [name for name in MOMENTS if list(MOMENTS).index(name) < list(MOMENTS).index("chunk stored, not committed")]
IMPORTING = [name for name in MOMENTS if name not in BUYING]


@contextmanager
def mortal_shop(kind, folder):
    """A shop over a new database, with keys in stock, payable at a sandbox that tells again and again."""
    with ExitStack() as ends:
        sandbox = SandboxProcess(folder / "sandbox", "--retry-seconds", TELL_AGAIN)
        ends.callback(sandbox.kill)
        merchant = Merchant(sandbox, MERCHANT)
        ends.callback(merchant.http.close)
        shop = Mortal(ends.enter_context(world(kind, folder)), sandbox, folder)
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
    assert report.figures["debits_fen"] == (2 * 4_500 + 27) * len(buyers), "paid, sold, and what the channel keeps"


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


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_a_crowd_gets_its_keys_while_server_and_worker_are_killed(kind, tmp_path):
    endure(kind, tmp_path, rounds=DOZEN // 3)


@pytest.mark.soak
@pytest.mark.parametrize("kind", ["sqlite", "postgres", "mariadb"])
def test_a_crowd_gets_its_keys_through_two_hundred_kills(kind, tmp_path):
    endure(kind, tmp_path, rounds=ROUNDS)


def endure(kind, folder, *, rounds):
    """Kill at random moments so many times while buyers come, some of whom give up; then hold all notes to be true."""
    chance, history = random.Random(f"{kind} {rounds}"), History()
    with mortal_shop(kind, folder) as (shop, merchant):
        shop.world.stock("STEAM-50", 30 * rounds + 100)
        shop.start()
        stopping = threading.Event()
        faults = []

        def keep_buying(n):
            while not stopping.is_set():
                buyer = Buyer(shop, merchant, history)
                try:
                    if n == 0:
                        buyer.try_once()
                    else:
                        buyer.buy()
                except Exception as fault:  # noqa: BLE001 - whatever it is, the test tells it
                    faults.append(fault)
                    return

        threads = [threading.Thread(target=keep_buying, args=(n,)) for n in range(CROWD)]
        for thread in threads:
            thread.start()
        for _ in range(rounds):
            time.sleep(min(2.0, chance.expovariate(2)))
            if kind != "sqlite" and chance.random() < 0.3:
                shop.replace_worker()
            shop.kill()
            shop.revive()
        while history.count(paid="ok") <= rounds and not faults:
            time.sleep(0.02)  # those who want a key get it: each gives up, as a fault, when it takes too long
        stopping.set()
        for thread in threads:
            thread.join()
        shop.stop()
        assert faults == []
        assert shop.deaths == rounds
        require_true(history, shop.world.ctx.db)
        assert history.count(paid="ok") > rounds
        report = shop.world.check()
        assert report.figures["units_sold"] == report.figures["deliveries"] == history.count(paid="ok")
        assert report.figures["exceptions_open"] == 0


# --- the console's own program, against a server that dies while it stores ---


def test_an_import_survives_a_kill_while_it_is_stored(tmp_path):
    with prepared_shop(tmp_path) as shop:
        _import_through_a_kill(shop, tmp_path)


def _import_through_a_kill(shop, tmp_path):
    server = start_server(shop)
    file = tmp_path / "keys.txt"
    count = 15_000
    file.write_text("".join(f"IMPORTED-{n:06d}-{n * 7_919 % 1_000_003:06d}\n" for n in range(count)))
    (tmp_path / "password").write_text(PASSWORD)
    environment = os.environ | {
        "KAMENG_HOME": str(tmp_path / "console"),
        "KAMENG_SERVER": shop.url,
        "KAMENG_USER": "zhao",
        "KAMENG_PASSWORD_FILE": str(tmp_path / "password"),
        "KAMENG_CREDENTIALS": "memory",
    }
    command = [sys.executable, "-m", "desktop", "import", str(file), "--sku", SKU]
    with (tmp_path / "import.log").open("wb") as log:
        console = subprocess.Popen(command, env=environment, cwd=ROOT, stdout=log, stderr=log)
    _wait_for(shop, "SELECT COUNT(*) FROM stock_import WHERE file_name = 'keys.txt' AND stored > 0")
    server.kill()
    server.join(PATIENCE_SECONDS)
    server = start_server(shop)
    assert console.wait(120) == 0, (tmp_path / "import.log").read_text()
    stop_server(shop, server)
    prove(shop)
    with closing(sqlite3.connect(Path(shop.environment["KAMENG_DATA"]) / "kameng.db")) as books:
        stored = books.execute(
            "SELECT state, stored, duplicates, refused FROM stock_import WHERE file_name = 'keys.txt'"
        )
        assert stored.fetchall() == [("done", count, 0, 0)]


def _wait_for(shop: LiveShop, count: str) -> None:
    """Wait until a count of the database is not zero any more."""
    give_up_at = time.monotonic() + PATIENCE_SECONDS
    with closing(sqlite3.connect(Path(shop.environment["KAMENG_DATA"]) / "kameng.db")) as books:
        while books.execute(count).fetchone() == (0,):
            assert time.monotonic() < give_up_at, shop.log.read_text()[-3_000:]
            time.sleep(0.002)
