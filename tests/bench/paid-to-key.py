"""Paid to key: from the buyer's press on "pay" at WeChat Pay until the key is read on the order's page, at 20 orders/s.

The real server process and the real sandbox process, WeChat Pay's protocol between them, and buyers who do what the
page does: they order, listen to the order's stream of events, ask its status every two seconds, scan and pay, and load
the page when it has something else to show. A buyer comes each twentieth of a second, whatever became of the others.
Buyers, server and sandbox share the machine. The floor is the same press and page where nothing is between them: the
sandbox's answer to "pay", and the page of an order that is delivered.

`doubled` counts keys that two buyers read, `lost` buyers without a key and findings of the invariant check.
"""

import asyncio
import re
import sys
import time
from dataclasses import dataclass, field
from http.cookiejar import DefaultCookiePolicy
from pathlib import Path
from typing import Any

import httpx

from server import invariants
from server.db import Database
from shared import ids
from tests import engines
from tests.bench import _figures, _shop
from tests.fault.market import exchange
from tests.server.sandbox.peer import SandboxProcess

SKU, AMOUNT_FEN = "STEAM-50", 4_500
PER_SECOND = 20
POLL_SECONDS = 2.0
PATIENCE_SECONDS = 60
_EMPHASIS = re.compile(r"</?b>")
_KEY = re.compile(rf"{SKU}-\d{{6}}-[0-9A-F]{{12}}")


def main() -> int:
    """Measure and print."""
    options = _figures.parser(__doc__)
    options.add_argument("--engine", choices=engines.KINDS, default="sqlite")
    options.add_argument("--seconds", type=float, default=20.0)
    given = options.parse_args()
    with _shop.durable_engines() as scratch:
        figures = _measure(given.engine, scratch / "shop", given.seconds)
    return _figures.finish({"name": "paid-to-key", "engine": given.engine, "per_second": PER_SECOND} | figures)


def _measure(kind: engines.Kind, folder: Path, seconds: float) -> dict[str, Any]:
    count = int(seconds * PER_SECOND)
    shop = _shop.prepared(kind, folder, lambda world: world.stock(SKU, count))
    sandbox = SandboxProcess(folder / "sandbox")
    try:
        exchange(shop.keys, sandbox)
        shop.environment["KAMENG_SANDBOX_URL"] = sandbox.url
        with _shop.serving(shop) as served:
            crowd = Crowd(served.url, sandbox.url)
            asyncio.run(crowd.buy(count))
    finally:
        sandbox.kill()
    database = Database(shop.database_url)
    report = invariants.check(database)
    database.close()
    engines.drop(shop.database_url)
    for finding in report.findings:
        _figures.say(f"{finding.invariant}: {finding.sentence}")
    return crowd.figures(count, peak_mib=served.peak_mib, findings=len(report.findings))


@dataclass
class Crowd:
    """The buyers, and how long each waited."""

    shop_url: str
    sandbox_url: str
    waited: list[float] = field(default_factory=list)
    pressed: list[float] = field(default_factory=list)
    shown: list[float] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    by_events: int = 0

    async def buy(self, count: int) -> None:
        """Let so many come, one each twentieth of a second. One who fails is told of, and counts as lost."""
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=200)
        async with httpx.AsyncClient(trust_env=False, timeout=PATIENCE_SECONDS, limits=limits) as http:
            http.cookies.jar.set_policy(DefaultCookiePolicy(allowed_domains=[]))  # each buyer has a device of its own
            started = time.perf_counter()
            visits = (self._buyer(http, started + n / PER_SECOND) for n in range(count))
            for outcome in await asyncio.gather(*visits, return_exceptions=True):
                if outcome is not None:
                    _figures.say(f"a buyer got no key: {outcome!r}")

    async def _buyer(self, http: httpx.AsyncClient, at: float) -> None:
        await asyncio.sleep(at - time.perf_counter())
        wanted = {"sku": SKU, "quantity": 1, "amount_fen": AMOUNT_FEN, "channel": "wechat"}
        headers = {"idempotency-key": ids.new_token()}
        placed = await http.post(f"{self.shop_url}/api/orders", json=wanted, headers=headers)
        placed.raise_for_status()
        mine = {"cookie": placed.headers["set-cookie"].partition(";")[0]}
        address, code = f"{self.shop_url}/o/{placed.json()['code']}", placed.json()["qr_text"]
        scanned = await http.get(f"{self.sandbox_url}/scan", params={"code": code})
        page = self.sandbox_url + scanned.headers["location"]
        first = (await http.get(f"{address}/status", headers=mine)).json()["seen"]
        waiting = asyncio.create_task(self._turned(http, address, mine, first))
        pressed = time.perf_counter()
        paid = await http.post(page, data={"action": "pay"})
        assert paid.status_code == 303, paid.text
        self.pressed.append(time.perf_counter() - pressed)
        async with asyncio.timeout(PATIENCE_SECONDS):
            await waiting
        loaded = time.perf_counter()
        shown = await http.get(address, headers=mine | {"accept": "text/html"})
        [key] = set(_KEY.findall(_EMPHASIS.sub("", shown.text)))
        self.waited.append(time.perf_counter() - pressed)
        self.shown.append(time.perf_counter() - loaded)
        self.keys.append(key)

    async def _turned(self, http: httpx.AsyncClient, address: str, mine: dict[str, str], first: str) -> None:
        """Until the page has something else to show: told by the stream, or found by asking."""
        ways = {asyncio.create_task(way(http, address, mine, first)) for way in (self._listen, self._poll)}
        try:
            done, _ = await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
        self.by_events += any(way.result() == "events" for way in done)

    async def _listen(self, http: httpx.AsyncClient, address: str, mine: dict[str, str], first: str) -> str:
        while True:
            async with http.stream("GET", f"{address}/events", headers=mine) as stream:
                async for line in stream.aiter_lines():
                    if line.startswith("data: ") and line.removeprefix("data: ") != first:
                        return "events"

    async def _poll(self, http: httpx.AsyncClient, address: str, mine: dict[str, str], first: str) -> str:
        while True:
            await asyncio.sleep(POLL_SECONDS)
            if (await http.get(f"{address}/status", headers=mine)).json()["seen"] != first:
                return "poll"

    def figures(self, count: int, *, peak_mib: float, findings: int) -> dict[str, Any]:
        """What goes into the last line."""
        floor = [pressed + shown for pressed, shown in zip(self.pressed, self.shown, strict=False)]
        return {
            "n": len(self.waited),
            "p50_ms": _figures.quantile_ms(self.waited, 0.5),
            "p95_ms": _figures.quantile_ms(self.waited, 0.95),
            "p99_ms": _figures.quantile_ms(self.waited, 0.99),
            "floor_p95_ms": _figures.quantile_ms(floor, 0.95),
            "told_by_events": self.by_events,
            "oversold": max(0, len(set(self.keys)) - count),
            "doubled": len(self.keys) - len(set(self.keys)),
            "lost": count - len(self.keys) + findings,
            "peak_mib": peak_mib,
        }


if __name__ == "__main__":
    sys.exit(main())
