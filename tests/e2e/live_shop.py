"""A shop as it is deployed: `kameng-server serve` and the payment sandbox as processes, keys exchanged by command.

`live_shop(folder)` seeds the small world, closes it, and starts both; what happened is read from outside only.
"""

import os
import socket
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing, contextmanager
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path

import httpx

from server.settings import Settings
from tests.fault import dying_server
from tests.server.sandbox import clerk
from tests.server.sandbox.peer import PATIENCE_SECONDS, SandboxProcess, plain_client
from tests.world import MERCHANT, world

STOCK = {
    "STEAM-50": [(f"88001200456710{n:02d}", f"K7M2O0QX4R9T1l{n:02d}") for n in range(20)],
    "MUSIC-30": [f"ABCDE-FGHJ0-{n:05d}" for n in range(20)],
    "OFFICE-1Y": 200,
}


@dataclass(frozen=True)
class LiveShop:
    """Where the shop and its payment channel answer."""

    url: str
    sandbox_url: str
    environment: dict[str, str]
    log: Path

    def command(self, *arguments: str) -> tuple[int, str]:
        """Run `kameng-server` beside the shop, as its operator would; answers its exit status and what it said."""
        said = self.log.with_name("command.log")
        said.unlink(missing_ok=True)
        process = dying_server.start(arguments, environment=self.environment, log=said)
        process.join(PATIENCE_SECONDS)
        return process.exitcode, said.read_text()


@contextmanager
def live_shop(folder: Path, *, every_channel: bool = False):
    """A running shop with the stock above; both processes end in good order and the books are proved."""
    with prepared_shop(folder, every_channel=every_channel) as shop:
        server = start_server(shop)
        try:
            yield shop
        finally:
            stop_server(shop, server)
        prove(shop)


@contextmanager
def prepared_shop(folder: Path, *, every_channel: bool = False):
    """The shop's data and its running sandbox, keys exchanged (of WeChat Pay and Alipay too, if wished); no server."""
    data = folder / "data"
    with world("sqlite", folder) as seeded:
        for sku, keys in STOCK.items():
            seeded.stock(sku, keys)
        with closing(sqlite3.connect(seeded.ctx.db.url.database)) as made:
            made.execute("VACUUM INTO ?", [str(data / "kameng.db")])
    sandbox = SandboxProcess(folder / "sandbox", "--retry-seconds", "0.2,0.5,1,2")
    port = _free_port()
    shop = LiveShop(
        url=f"http://127.0.0.1:{port}",
        sandbox_url=sandbox.url,
        environment={
            **os.environ,
            "KAMENG_DATA": str(data),
            "KAMENG_PORT": str(port),
            "KAMENG_SANDBOX_URL": sandbox.url,
            "KAMENG_SANDBOX_MERCHANT": MERCHANT,
        },
        log=folder / "server.log",
    )
    try:
        if every_channel:
            clerk.exchange(Settings.from_environment(shop.environment), sandbox.ready, log=folder / "keys.log")
            yield shop
            return
        ring = ("keys", "add", "sandbox", "--public-key", sandbox.ready["public_key"], "--merchant", MERCHANT)
        status, said = shop.command(*ring)
        assert status == 0, said
        (sandbox.data / "merchants" / f"{MERCHANT}.pem").write_text(said[said.index("-----BEGIN") :])
        yield shop
    finally:
        sandbox.stop()


def start_server(shop: LiveShop) -> BaseProcess:
    """Start `kameng-server serve` and wait until it is ready."""
    server = dying_server.start(["serve"], environment=shop.environment, log=shop.log)
    wait_until_ready(shop, server.is_alive)
    return server


def stop_server(shop: LiveShop, server: BaseProcess) -> None:
    """Stop it in good order."""
    server.terminate()
    server.join(PATIENCE_SECONDS)
    assert server.exitcode == 0, shop.log.read_text()


def prove(shop: LiveShop) -> None:
    """The books hold, as the operator's own command says."""
    status, said = shop.command("check")
    assert status == 0, said


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until_ready(shop: LiveShop, alive: Callable[[], bool]) -> None:
    """Wait until the server, whose process must be `alive`, answers that it is ready."""
    give_up_at = time.monotonic() + PATIENCE_SECONDS
    with plain_client() as http:
        while True:
            assert alive(), shop.log.read_text()
            assert time.monotonic() < give_up_at, shop.log.read_text()
            try:
                if http.get(f"{shop.url}/readyz").status_code == 200:
                    return
            except httpx.TransportError:
                time.sleep(0.05)
