"""A shop as it is deployed: `kameng-server serve` and the payment sandbox as processes, keys exchanged by command.

`live_shop(folder)` seeds the small world, closes it, and starts both; what happened is read from outside only.
"""

import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.server.sandbox.peer import PATIENCE_SECONDS, ROOT, SandboxProcess
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

    def command(self, *arguments: str) -> subprocess.CompletedProcess:
        """Run `kameng-server` beside the shop, as its operator would."""
        return subprocess.run(
            [sys.executable, "-m", "server", *arguments],
            env=self.environment,
            cwd=ROOT,
            capture_output=True,
            timeout=PATIENCE_SECONDS,
            check=False,
        )


@contextmanager
def live_shop(folder: Path):
    """A running shop with the stock above; both processes end in good order."""
    data = folder / "data"
    with world("sqlite://", folder) as seeded:
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
    )
    exchanged = shop.command("keys", "add", "sandbox", "--file", sandbox.ready["public_key"], "--merchant", MERCHANT)
    assert exchanged.returncode == 0, exchanged.stderr.decode()
    (sandbox.data / "merchants" / f"{MERCHANT}.pem").write_bytes(exchanged.stdout)
    with (folder / "server.log").open("wb") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "server", "serve"], env=shop.environment, cwd=ROOT, stdout=log, stderr=log
        )
    try:
        _wait_until_ready(shop, server, folder / "server.log")
        yield shop
    finally:
        server.send_signal(signal.SIGTERM)
        status = server.wait(PATIENCE_SECONDS)
        sandbox.stop()
    assert status == 0, (folder / "server.log").read_text()
    books = shop.command("check")
    assert books.returncode == 0, books.stdout.decode() + books.stderr.decode()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _wait_until_ready(shop: LiveShop, server: subprocess.Popen, log: Path) -> None:
    give_up_at = time.monotonic() + PATIENCE_SECONDS
    while True:
        assert server.poll() is None, log.read_text()
        assert time.monotonic() < give_up_at, log.read_text()
        try:
            if httpx.get(f"{shop.url}/readyz", trust_env=False).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.05)
