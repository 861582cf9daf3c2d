"""Stock table: any place of millions of units over HTTP, and pasted keys found among them.

One SKU with ten lots in all states (see _table_stock) in the real server on this machine; one person asks for windows
of 256 rows one after the other: the first, the last, one in the middle and random ones of the list, the middle of each
state's list, the list by expiry, and for 500 pasted keys of which 100 are unknown. The floor is the same number of rows
by the driver, from a place it is told: a bare keyset query, and a bare look-up of 500 fingerprints; no HTTP, no rights,
no joins. `p50_ms` and `p99_ms` are over all windows, `ratio` is their median against the floor's.

`window` is the console's own Stock screen over the same server, offscreen (see _table_window).

`lost` counts rows that an answer lacks or that stand elsewhere than where the numbers of the lots say.
"""

import base64
import http.client
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import text

from server.db import Database
from shared import ids
from shared.contracts.stock import find_info
from tests.bench import _figures, _shop, _table_stock
from tests.world import PASSWORD, World, seal

ROWS, ASKED, UNKNOWN = 256, 500, 100
PEOPLE = ("wang", "li", "chen")
FINDS = 15
"""Searches of one person: fewer than the limit on them lets through at once."""

STATES = {"free": 0, "held": 1, "sold": 2, "void": 3}


class Asking:
    """One person's kept connection to the server."""

    def __init__(self, port: int, login: str) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        self._headers = {"content-type": "application/json"}
        device = {"id": str(ids.new_id()), "name": "bench", "platform": "Linux"}
        body = {"login": login, "password": PASSWORD, "device": device}
        self._headers["authorization"] = f"Bearer {self.ask('POST', '/api/session', body)['token']}"

    def ask(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        """The answer's body. Raises when it is not a success."""
        sent = None if body is None else json.dumps(body)
        self._connection.request(method, path, sent, self._headers)
        answer = self._connection.getresponse()
        told = answer.read()
        if answer.status >= 300:
            raise RuntimeError(f"{method} {path}: {answer.status} {told[:300]!r}")
        found = json.loads(told)
        assert isinstance(found, dict)
        return found

    def window(self, position: int, **query: object) -> dict[str, Any]:
        """Rows of the list of units."""
        words = "&".join(f"{name}={value}" for name, value in {"position": position, "limit": ROWS, **query}.items())
        return self.ask("GET", f"/api/stock/{_table_stock.SKU}/units/window?{words}")


def main() -> int:
    """Measure and print."""
    options = _figures.parser(__doc__)
    options.add_argument("--rows", type=int, default=5_000_000)
    options.add_argument("--engine", choices=["sqlite", "postgres", "mariadb"], default="sqlite")
    options.add_argument("--rounds", type=int, default=30)
    given = options.parse_args()
    with _shop.durable_engines() as scratch:
        kept: list[World] = []
        started = time.perf_counter()

        def fill(shop: World) -> None:
            _table_stock.fill(shop, given.rows)
            kept.append(shop)

        shop = _shop.prepared(given.engine, scratch / "shop", fill)
        _figures.say(f"{given.rows} units stand after {time.perf_counter() - started:.0f} s")
        with _shop.serving(shop) as server:
            people = [Asking(server.port, login) for login in PEOPLE]
            views, lost = _windows(people[0], given.rounds)
            found, missed = _finds(people, kept[0], given.rows)
            window = _window(server.url, scratch / "console")
        floor = _floor(shop, given.rounds, given.rows)
    times = [one for name, seconds in views.items() if name != "tail" for one in seconds]
    p50 = _figures.quantile_ms(times, 0.5)
    return _figures.finish(
        {
            "name": "stock-table",
            "engine": given.engine,
            "n": given.rows,
            "seconds": round(sum(times), 3),
            "per_second": round(len(times) / sum(times)),
            "p50_ms": p50,
            "p99_ms": _figures.quantile_ms(times, 0.99),
            "floor_ms": floor["page"],
            "ratio": round(p50 / floor["page"], 2),
            "views": {name: _told(seconds) for name, seconds in views.items()},
            "find_500": _told(found) | {"floor_ms": floor["find"]},
            "window": window,
            "peak_mib": {"server": server.peak_mib, "window": window.pop("peak_mib")},
            "lost": lost + missed,
        }
    )


def _window(url: str, home: Path) -> dict[str, Any]:
    """What the console makes of it, in a process of its own (see _table_window)."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("KAMENG_")}
    arguments = ["--server", url, "--home", str(home), "--sku", _table_stock.SKU]
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench._table_window", *arguments],
        cwd=_figures.ROOT,
        env=environment | {"QT_QPA_PLATFORM": "offscreen"},
        stdout=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
        timeout=300,
        check=True,
    )
    return _figures.last_line(done.stdout)


def _told(seconds: list[float]) -> dict[str, float]:
    return {"p50_ms": _figures.quantile_ms(seconds, 0.5), "p99_ms": _figures.quantile_ms(seconds, 0.99)}


def _windows(person: Asking, rounds: int) -> tuple[dict[str, list[float]], int]:
    """Seconds of each view, and how many rows were not what they must be."""
    chance = random.Random(1)
    total = person.window(0)["total"]
    totals = {name: person.window(0, state=state)["total"] for name, state in STATES.items()}
    lost = abs(total - sum(totals.values()))
    views: dict[str, Callable[[], dict[str, Any]]] = {
        "first": lambda: person.window(0),
        "end": lambda: person.window(total - ROWS),
        "middle": lambda: person.window(total // 2),
        "random": lambda: person.window(chance.randrange(total - ROWS)),
        "expiry": lambda: person.window(total // 2, order="-expiry"),
        "lots": lambda: person.ask("GET", f"/api/stock/{_table_stock.SKU}/lots"),
        "tail": lambda: person.window(chance.randrange(total - ROWS), tail="7A3F"),
    }
    for name, state in STATES.items():
        views[name] = lambda state=state, name=name: person.window(max(0, totals[name] // 2), state=state)  # type: ignore[misc]
    seconds: dict[str, list[float]] = {name: [] for name in views}
    for turn in range(rounds + 2):
        for name, look in views.items():
            started = time.perf_counter()
            answer = look()
            if turn > 1:
                seconds[name].append(time.perf_counter() - started)
            if name not in {"lots", "tail"}:
                lost += _wrong(answer, STATES.get(name))
    _figures.say(f"totals: {totals}, lost: {lost}")
    return seconds, lost


def _wrong(answer: dict[str, Any], state: int | None) -> int:
    """Rows that are missing, doubled or of another state."""
    due = max(0, min(ROWS, answer["total"] - answer["position"]))
    seqs = {unit["seq"] for unit in answer["items"] if state is None or unit["state"] == state}
    return due - len(seqs)


def _finds(people: list[Asking], shop: World, units: int) -> tuple[list[float], int]:
    """Seconds of searches for pasted keys, and how many keys were not found or found in vain."""
    chance, seconds, missed = random.Random(2), [], 0
    for turn in range(FINDS):
        for person in people:
            known = [(chance.choice((0, 3, 6, 9)), chance.randrange(units // 20)) for _ in range(ASKED - UNKNOWN)]
            texts = [_table_stock.card(*one)[1:] for one in known] + [f"NOBODY-{n:08d}" for n in range(UNKNOWN)]
            number = ids.new_id()
            sealed = seal(shop, [["", one] for one in texts], find_info(number))
            body = {
                "id": str(number),
                "key_id": shop.ctx.keys.import_key_id,
                "sealed": base64.b64encode(sealed).decode(),
            }
            started = time.perf_counter()
            answer = person.ask("POST", "/api/stock/find", body)
            if turn:
                seconds.append(time.perf_counter() - started)
            missed += abs(UNKNOWN - len(answer["missing"]))
    return seconds, missed


def _floor(shop: _shop.Shop, rounds: int, units: int) -> dict[str, float]:
    """Milliseconds of the bare statements, by the driver, over the same places."""
    database = Database(shop.database_url)
    sku_id = shop.skus[_table_stock.SKU]
    chance = random.Random(3)
    keys = shop.keys
    page, find = [], []
    with database.read() as tx:
        postgres = tx.connection().dialect.name == "postgresql"
        sku = sku_id if postgres else sku_id.bytes
        keyset = text(
            "SELECT seq, state, lot_id FROM stock_unit WHERE sku_id = :sku AND seq >= :seq ORDER BY seq LIMIT 256"
        )
        for _ in range(rounds + 2):
            lot = chance.choice((0, 3, 6, 9))
            seq = max(1, lot * 2**32) + chance.randrange(units // 20)
            started = time.perf_counter()
            tx.execute(keyset, {"sku": sku, "seq": seq}).all()
            page.append(time.perf_counter() - started)
            marks = keys.fingerprinter.of_all(
                _table_stock.card(lot, chance.randrange(units // 20)) for _ in range(ASKED)
            )
            named = {f"f{n}": (mark.hex() if postgres else mark) for n, mark in enumerate(marks)}
            cast = "CAST(:{} AS uuid)" if postgres else ":{}"
            among = ", ".join(cast.format(name) for name in named)
            query = text(f"SELECT sku_id, seq FROM card_secret WHERE fingerprint IN ({among})")
            started = time.perf_counter()
            tx.execute(query, named).all()
            find.append(time.perf_counter() - started)
    database.close()
    return {
        "page": _figures.quantile_ms(page[2:], 0.5),
        "find": _figures.quantile_ms(find[2:], 0.5),
    }


if __name__ == "__main__":
    sys.exit(main())
