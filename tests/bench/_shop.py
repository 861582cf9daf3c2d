"""A shop for a bench: a new database with people and goods, and the real server process on it.

`prepared` makes the database with the real actions (tests.world) and lets go of it; `serving` runs
`python -m server serve` on it with its default settings until the block ends.
"""

import http.client
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import UUID

from server.crypto import KeyRing
from tests import engines
from tests.bench._figures import ROOT, peak_mib
from tests.world import MERCHANT, NO_LIMITS, World, world

START_SECONDS = 60
STOP_SECONDS = 40


@dataclass
class Shop:
    """A database that nobody is connected to, and what has to be known to work with it."""

    folder: Path
    database_url: str
    skus: dict[str, UUID]
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def keys(self) -> KeyRing:
        """The shop's key ring."""
        return KeyRing.load(self.folder / "data" / "keyring.json")


@dataclass
class Served:
    """A running server process. `peak_mib` is filled when it has ended."""

    url: str
    port: int
    process: subprocess.Popen[bytes]
    log: Path
    peak_mib: float = 0.0


@contextmanager
def durable_engines() -> Iterator[Path]:
    """Engines that flush at each commit, for the body; yields a folder for the bench's own files on the same disk."""
    with engines.session(durable=True) as session, TemporaryDirectory(dir=session) as scratch:
        os.environ[engines.SESSION_VARIABLE] = str(session)
        try:
            yield Path(scratch)
        finally:
            del os.environ[engines.SESSION_VARIABLE]


def prepared(kind: engines.Kind, folder: Path, fill: Callable[[World], object] | None = None) -> Shop:
    """Make a shop on a new database, which the caller drops. `fill` may add stock to it."""
    folder.mkdir(parents=True)
    with world(kind, folder, expects=None) as shop:
        if fill is not None:
            fill(shop)
        skus = {code: terms.sku_id for code, terms in shop.skus.items()}
        # The world's own database goes with it, and a database is copied while nobody is connected to it.
        shop.ctx.batch.close()
        shop.ctx.db.close()
        database_url = engines.copy(shop.ctx.settings.database_url)
    return Shop(folder=folder, database_url=database_url, skus=skus)


def free_port() -> int:
    """A port that nobody listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def serving(shop: Shop, *, module: str = "server") -> Iterator[Served]:
    """Run the server, or `module` with the same settings, until the block ends. Raises when it does not start."""
    port = free_port()
    environment = _clean_environment() | {
        "KAMENG_DATA": str(shop.folder / "data"),
        "KAMENG_DATABASE_URL": shop.database_url,
        "KAMENG_PORT": str(port),
        "KAMENG_SANDBOX_MERCHANT": MERCHANT,
        # All buyers come from one device's address: their unpaid orders are counted, and never too many.
        **{f"KAMENG_{name.upper()}": "1000000" for name in NO_LIMITS},
        **shop.environment,
    }
    words = ["server", "serve"] if module == "server" else [module]
    log = shop.folder / "server.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", *words], cwd=ROOT, env=environment, stdout=output, stderr=output
        )
        served = Served(url=f"http://127.0.0.1:{port}", port=port, process=process, log=log)
        try:
            wait_until_answering(process, port, log)
            yield served
        finally:
            served.peak_mib = peak_mib(process.pid)
            end(process)


def _clean_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("KAMENG_")}


def wait_until_answering(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    """Return when the process answers /livez. Raises with the end of its log when it does not."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
            connection.request("GET", "/livez")
            if connection.getresponse().status == 200:
                return
        except OSError:
            time.sleep(0.02)
        finally:
            connection.close()
    raise RuntimeError(f"the server did not start:\n{log.read_text(errors='replace')[-3000:]}")


def end(process: subprocess.Popen[bytes]) -> None:
    """Ask the process to stop, and see to it."""
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
