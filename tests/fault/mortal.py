"""A shop that is a real process and may die at any moment, and buyers who do not give up.

`Mortal` starts the server over a world's database and starts it again when it died. A `Buyer` does what a browser
does: the same request again, with the same key, when there was no answer.
"""

import itertools
import os
import signal
import socket
import threading
import time
from pathlib import Path

import httpx

from server.identity import actions as identity
from server.identity import queries as people
from shared import ids
from shared.contracts.identity import Device
from tests.fault import dying_server
from tests.fault.history import History
from tests.server.channel import add_sandbox
from tests.server.sandbox.peer import PATIENCE_SECONDS, plain_client
from tests.world import MERCHANT, NO_LIMITS


class Mortal:
    """One server process at a time on one port."""

    def __init__(self, world, sandbox, folder):
        self.world = world
        self.deaths = 0
        self._log = folder / "server.log"
        self._process = None
        self._moments = []
        self._lock = threading.Lock()
        with socket.socket() as chooser:
            chooser.bind(("127.0.0.1", 0))
            self.port = chooser.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        ctx = world.ctx
        # Public keys are exchanged as with a real channel.
        ours = add_sandbox(ctx.keys, public_pem=Path(sandbox.ready["public_key"]).read_text(), merchant_id=MERCHANT)
        (sandbox.data / "merchants" / f"{MERCHANT}.pem").write_text(ours)
        self._environment = {name: value for name, value in os.environ.items() if not name.startswith("KAMENG_")} | {
            "KAMENG_DATA": str(ctx.settings.data),
            "KAMENG_DATABASE_URL": ctx.db.url.render_as_string(hide_password=False),
            "KAMENG_PORT": str(self.port),
            "KAMENG_BASE_URL": self.url,
            "KAMENG_SANDBOX_URL": sandbox.url,
            "KAMENG_SANDBOX_MERCHANT": MERCHANT,
            "KAMENG_LOG_LEVEL": "WARNING",
            # Buyers that the kills made give up leave their orders unpaid.
            **{f"KAMENG_{name.upper()}": str(value) for name, value in NO_LIMITS.items()},
        }
        self._worker = None

    def start(self, *moments):
        """Start it; it will die at the first moment, its successor at the second, and so on."""
        self._moments = list(moments)
        self._start()

    def _start(self):
        moment = self._moments.pop(0) if self._moments else None
        self._process = self._run("serve", moment)
        self._wait_until_ready()

    def _run(self, command, moment=None):
        return dying_server.start([command], environment=self._environment, log=self._log, moment=moment)

    def _wait_until_ready(self):
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=1):
                    return
            except OSError:
                assert self._process.is_alive(), self._log.read_text()[-3000:]
                assert time.monotonic() < deadline, self._log.read_text()[-3000:]
                time.sleep(0.02)

    def kill(self):
        """`kill -9` from outside."""
        self._process.kill()

    def replace_worker(self):
        """`kill -9` of a worker process beside the server, and the next one: not on SQLite, which has no other."""
        if self._worker is not None:
            self._worker.kill()
            self._worker.join(PATIENCE_SECONDS)
            assert self._worker.exitcode == -signal.SIGKILL, self._log.read_text()[-3000:]
        self._worker = self._run("work")

    def revive(self):
        """Somebody got no answer: when the server is dead, start it again. It must have been killed, not fail."""
        with self._lock:
            self._process.join(0.2)
            if self._process.is_alive():
                return
            assert self._process.exitcode == -signal.SIGKILL, self._log.read_text()[-3000:]
            self.deaths += 1
            self._start()

    def stop(self):
        """End it in order: what it accepted is finished."""
        self._process.terminate()
        self._process.join(PATIENCE_SECONDS)
        assert self._process.exitcode == 0, self._log.read_text()[-3000:]

    def end(self):
        """End it however."""
        for process in (self._process, self._worker):
            if process is not None:
                process.kill()
                process.join()

    def token(self, login):
        """A session of a person, made while no server runs."""
        ctx = self.world.ctx
        with ctx.db.tx() as tx:
            device = Device(id=ids.new_id(), name="test", platform="test")
            return identity.start_session(tx, people.user_by_login(tx, login), device, days=1).token


ORDER = {"sku": "STEAM-50", "quantity": 1, "amount_fen": 4_500, "channel": "sandbox"}


class Persistent:
    """Asks until there is an answer."""

    def __init__(self, shop: Mortal, **options):
        self.shop = shop
        self.http = plain_client(base_url=shop.url, **options)

    def ask(self, method, path, **options):
        """One request, repeated as it is while the server is gone or busy."""
        deadline = time.monotonic() + PATIENCE_SECONDS * 2
        while True:
            try:
                answer = self.http.request(method, path, **options)
                if answer.status_code != 503:
                    return answer
            except httpx.TransportError:
                self.shop.revive()
            assert time.monotonic() < deadline, (method, path)


class Buyer(Persistent):
    """One device that wants one key."""

    def __init__(self, shop, merchant, history=None):
        super().__init__(shop)
        self.merchant = merchant
        self.key = ids.new_token()
        self.wish = (history or History()).invoke(self.key)
        self.acknowledged = None
        self.keys = []
        # The review page makes the device; without one, a lost answer would lose the device with it.
        assert self.ask("GET", "/review", params={"sku": "STEAM-50", "quantity": 1}).status_code == 200
        assert len(self.http.cookies) == 1

    def place(self):
        """Place the order until there is an address to pay at; what was acknowledged once never changes."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            answer = self.ask("POST", "/api/orders", json=ORDER, headers={"idempotency-key": self.key})
            assert answer.status_code == 201, answer.text
            placed = answer.json()
            assert placed["code"] == (self.acknowledged or placed["code"])
            self.acknowledged = self.wish.code = placed["code"]
            self.wish.placed = "ok"
            if placed["pay_url"]:
                return placed["pay_url"]
            assert time.monotonic() < deadline, "the payment was never opened"

    def fetch(self):
        """Look at the order until the key is there; press "I have paid" now and then, as the page does."""
        deadline = time.monotonic() + PATIENCE_SECONDS * 2
        for look in itertools.count(1):
            if look % 100 == 0:
                self.ask("POST", f"/o/{self.acknowledged}/refresh")
            status = self.ask("GET", f"/o/{self.acknowledged}/status")
            assert status.status_code == 200, status.text
            if status.json()["state"] == "delivered":
                break
            assert status.json()["state"] == "pending_payment"
            assert time.monotonic() < deadline, "the payment never arrived"
            time.sleep(0.02)
        shown = self.ask("GET", f"/o/{self.acknowledged}/keys.txt")
        assert shown.status_code == 200, shown.text
        self.keys = [word for word in shown.text.split() if word.startswith("STEAM-50-")]

    def buy(self):
        """The whole way."""
        address = self.place()
        self.wish.paid = "unknown"
        self.merchant.pay(address)
        self.fetch()
        self.wish.paid = "ok"
        self.http.close()

    def try_once(self):
        """Order, and give up when there is no answer: then nobody knows."""
        try:
            answer = self.http.post("/api/orders", json=ORDER, headers={"idempotency-key": self.key})
        except httpx.TransportError:
            self.shop.revive()
        else:
            if answer.status_code == 201:
                self.wish.placed, self.wish.code = "ok", answer.json()["code"]
        self.http.close()
