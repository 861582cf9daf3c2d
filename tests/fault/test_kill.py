"""`kill -9` of the server between any two steps of an order, and while it works: what was acknowledged is there.

The real server process on SQLite with full durability, the real sandbox, buyers and a console over HTTP. After the
last round the books are proved, every order has exactly its key, and no key was handed out twice.
"""

import os
import random
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, closing, suppress
from pathlib import Path

import httpx
import pytest

from shared import ids
from tests.e2e.live_shop import LiveShop, prepared_shop, prove, start_server, stop_server
from tests.server.sandbox.peer import PATIENCE_SECONDS, ROOT
from tests.world import PASSWORD

SKU, AMOUNT_FEN = "OFFICE-1Y", 4
DEFAULT_ROUNDS, SOAK_ROUNDS = 2, 40


class Killed:
    """A shop whose server is killed and started again; remembers which key each order got."""

    def __init__(self, shop: LiveShop, seed: int) -> None:
        self.shop = shop
        self.server = start_server(shop)
        self.chance = random.Random(seed)
        self.keys: dict[str, str] = {}

    def kill(self) -> None:
        """SIGKILL, and nothing but it."""
        self.server.kill()
        self.server.wait(PATIENCE_SECONDS)

    def restart(self) -> None:
        """Start it again on what is on the disk."""
        self.server = start_server(self.shop)

    def kill_soon(self) -> threading.Thread:
        """Kill it within a few milliseconds, while something else is under way."""
        wait = self.chance.uniform(0, 0.03)

        def strike():
            time.sleep(wait)
            self.kill()

        thread = threading.Thread(target=strike)
        thread.start()
        return thread


class Buyer:
    """A device that orders one key and reads it; every repeat uses the same idempotency key."""

    def __init__(self, killed: Killed) -> None:
        self.killed = killed
        self.http = httpx.Client(base_url=killed.shop.url, trust_env=False, timeout=PATIENCE_SECONDS)
        self.http.get(f"/review?sku={SKU}").raise_for_status()
        self.key = ids.new_token()
        self.code = self.pay_url = ""

    def place(self) -> None:
        """Order, or ask again for the order."""
        body = {"sku": SKU, "quantity": 1, "amount_fen": AMOUNT_FEN, "channel": "sandbox"}
        headers = {"Idempotency-Key": self.key, "Sec-Fetch-Site": "same-origin"}
        answer = self.http.post("/api/orders", json=body, headers=headers)
        assert answer.status_code == 201, answer.text
        placed = answer.json()
        assert self.code in {"", placed["code"]}, "the same key gave two orders"
        self.code, self.pay_url = placed["code"], placed["pay_url"]

    def pay(self) -> None:
        """Confirm at the sandbox, which does not need our server for it."""
        answer = httpx.post(self.pay_url, data={"action": "pay"}, trust_env=False, timeout=PATIENCE_SECONDS)
        assert answer.status_code == 303, answer.text

    def read(self) -> None:
        """Wait for the key as the page does, and remember it; reading again must give the same."""
        give_up_at = time.monotonic() + PATIENCE_SECONDS
        while self.http.get(f"/o/{self.code}/status").json()["state"] != "delivered":
            assert time.monotonic() < give_up_at, self.killed.shop.log.read_text()[-3_000:]
            time.sleep(0.02)
        shown = self.http.get(f"/o/{self.code}/keys.txt")
        assert shown.status_code == 200, shown.text
        [key] = [word for word in shown.text.split() if word.startswith(SKU)]
        assert self.killed.keys.setdefault(self.code, key) == key


def while_it_is_placed(killed: Killed, buyer: Buyer) -> None:
    striking = killed.kill_soon()
    with suppress(httpx.TransportError):  # nobody was told: the same request is sent again below
        buyer.place()
    striking.join()
    killed.restart()
    buyer.place()
    buyer.pay()


def after_it_was_placed(killed: Killed, buyer: Buyer) -> None:
    buyer.place()
    killed.kill()
    killed.restart()
    buyer.pay()


def before_its_callback(killed: Killed, buyer: Buyer) -> None:
    buyer.place()
    killed.kill()
    buyer.pay()
    killed.restart()


def while_its_callback_is_applied(killed: Killed, buyer: Buyer) -> None:
    buyer.place()
    striking = killed.kill_soon()
    buyer.pay()
    striking.join()
    killed.restart()


def after_it_was_delivered(killed: Killed, buyer: Buyer) -> None:
    buyer.place()
    buyer.pay()
    buyer.read()
    killed.kill()
    killed.restart()


MOMENTS = (
    while_it_is_placed,
    after_it_was_placed,
    before_its_callback,
    while_its_callback_is_applied,
    after_it_was_delivered,
)


@pytest.fixture
def shop(tmp_path):
    with prepared_shop(tmp_path) as prepared:
        yield prepared


def endure(shop: LiveShop, rounds: int, seed: int) -> None:
    """Live through each moment `rounds` times, in a mixed order, then prove everything."""
    killed = Killed(shop, seed)
    moments = list(MOMENTS) * rounds
    killed.chance.shuffle(moments)
    with ExitStack() as open_lines:
        buyers = []
        for moment in moments:
            buyer = Buyer(killed)
            open_lines.callback(buyer.http.close)
            buyers.append(buyer)
            moment(killed, buyer)
            buyer.read()
        for buyer in buyers:
            buyer.read()
    stop_server(shop, killed.server)
    assert len(set(killed.keys.values())) == len(buyers) == len(moments)
    prove(shop)
    with closing(sqlite3.connect(Path(shop.environment["KAMENG_DATA"]) / "kameng.db")) as books:
        assert books.execute("SELECT COUNT(*) FROM delivery").fetchone() == (len(buyers),)
        assert books.execute("SELECT COUNT(*) FROM shop_order").fetchone() == (len(buyers),)


def test_an_order_survives_a_kill_at_each_moment(shop):
    endure(shop, DEFAULT_ROUNDS, seed=20_261_122)


@pytest.mark.soak
def test_orders_survive_two_hundred_kills(shop):
    endure(shop, SOAK_ROUNDS, seed=ids.new_id().int % 10**9)


def test_an_import_survives_a_kill_while_it_is_stored(shop, tmp_path):
    killed = Killed(shop, seed=1)
    file = tmp_path / "keys.txt"
    count = 30_000
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
    killed.kill()
    killed.restart()
    assert console.wait(120) == 0, (tmp_path / "import.log").read_text()
    stop_server(shop, killed.server)
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
