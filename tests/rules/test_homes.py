"""Some things have one home: the file that does them, so that a reader knows where to look and a reviewer what to fear.

Each rule is a row of ``HOMES`` with an example that breaks it; the example proves that the rule bites.
"""

from dataclasses import dataclass

import pytest

from tests.rules.source import Source, require_none, sources


@dataclass(frozen=True, kw_only=True)
class Home:
    """``names`` (see Source.uses; a name covers what is below it) are used in ``homes`` alone, of all ``within``."""

    what: str
    names: tuple[str, ...]
    within: tuple[str, ...]
    homes: tuple[str, ...]
    why: str
    example: str

    def broken_by(self, source: Source) -> list[str]:
        """Return one line for each place of the file that breaks the rule."""
        if source.path.startswith(self.homes) or source.path.endswith(tuple(h for h in self.homes if h[0] == "/")):
            return []
        lines = {line for line, used in source.uses if any(_covers(name, used) for name in self.names)}
        return [f"{source.path}:{line}" for line in sorted(lines)]


def _covers(name: str, used: str) -> bool:
    return used == name or used.startswith(name + ".")


_BOTH = ("shared", "server", "desktop", "resources")

HOMES = (
    Home(
        what="committing",
        names=(".commit()",),
        within=("server", "desktop"),
        homes=("server/db.py", "server/batch.py", "server/migrations/", "server/sandbox/", "desktop/store/"),
        why="a transaction is closed by db.tx() or the batcher, so that nothing is half done or acknowledged too early",
        example="def pay(tx):\n    tx.session.commit()\n",
    ),
    Home(
        what="naming a SQL dialect",
        names=('"postgresql"', '"postgres"', '"mysql"', '"mariadb"', '"sqlite"', "sqlalchemy.dialects"),
        within=("server",),
        homes=("server/db.py", "server/settings.py", "server/migrations/"),
        why="one code path is right on every engine; differences are column types and helpers of db.py",
        example="def f(c):\n    return c.dialect.name == 'sqlite'\n",
    ),
    Home(
        what="reading the environment",
        names=("os.environ", "os.environb", "os.getenv", "os.getenvb"),
        within=_BOTH,
        homes=("server/settings.py", "desktop/paths.py", "desktop/app.py", "desktop/credentials.py"),
        why="what can be set is listed, checked and documented in one place",
        example="from os import environ as e\nPORT = e['PORT']\n",
    ),
    Home(
        what="speaking HTTP as a client",
        names=("httpx", "urllib.request", "http.client"),
        within=_BOTH,
        homes=("server/outbound.py", "server/sandbox/", "desktop/engine/transport.py"),
        why="time-outs, limits, proxies and certificates are decided once for each side",
        example="import httpx\n",
    ),
    Home(
        what="using the web framework",
        names=("fastapi", "starlette"),
        within=_BOTH,
        homes=(
            "/routes.py",
            "server/web.py",
            "server/policy.py",
            "server/app.py",
            "server/storefront/",
            "server/sandbox/",
        ),
        why="actions and queries are called by routes, jobs, commands and tests alike, without a request",
        example="from fastapi import Depends\n",
    ),
    Home(
        what="using Qt",
        names=("PySide6", "shiboken6"),
        within=_BOTH,
        homes=(
            "desktop/views/",
            "desktop/widgets/",
            "desktop/theme/",
            "desktop/commands/",
            "desktop/bridge.py",
            "desktop/app.py",
        ),
        why="what the console decides is tested without a display, and its command line starts without Qt",
        example="def show():\n    from PySide6.QtWidgets import QLabel\n    return QLabel()\n",
    ),
    Home(
        what="using SQLAlchemy on the desktop",
        names=("sqlalchemy",),
        within=("desktop", "shared", "resources"),
        homes=("desktop/store/",),
        why="the local databases are reached through the store alone",
        example="import sqlalchemy as sa\n",
    ),
    Home(
        what="encrypting and opening",
        names=("cryptography.hazmat.primitives.ciphers", "cryptography.hazmat.primitives.hpke", "cryptography.fernet"),
        within=_BOTH,
        # A channel's sealed notifications are opened at its gateway, and sealed where its sandbox makes them.
        homes=(
            "server/crypto.py",
            "server/gateways/wechat_keys.py",
            "server/sandbox/wechat_keys.py",
            "desktop/credentials.py",
            "desktop/importing/",
        ),
        why="nonces, key versions and masking are right in one place; elsewhere a clear key travels as Secret",
        example="from cryptography.hazmat.primitives.ciphers.aead import AESGCM\n",
    ),
    Home(
        what="opening a card key",
        names=(".unseal()",),
        within=("server",),
        homes=("server/stock/vault/__init__.py",),
        why="the vault opens what a committed row of the reveal log names, and nothing else",
        example="def f(keys, lot, key, row):\n    return keys.lot(lot, key).unseal(row.sku_id, row.seq, row.sealed)\n",
    ),
    Home(
        what="asking what time it is",
        names=(
            "datetime.datetime.now",
            "datetime.datetime.utcnow",
            "datetime.datetime.today",
            "datetime.date.today",
            "time.time",
            "time.time_ns",
        ),
        within=_BOTH,
        homes=("shared/clock.py", "shared/ids.py", "server/sandbox/"),
        why="expiry, retries and reports are tested at any time of any day; durations use time.monotonic",
        example="import datetime as d\ndef f():\n    return d.datetime.now(d.UTC)\n",
    ),
    Home(
        what="making ids",
        names=("uuid.uuid1", "uuid.uuid4", "uuid.uuid6", "uuid.uuid7"),
        within=_BOTH,
        homes=("shared/ids.py", "server/sandbox/"),
        why="our ids sort by their time and keep index pages warm",
        example="from uuid import uuid4\n",
    ),
    Home(
        what="using the global dice",
        names=tuple(f"random.{roll}" for roll in ("random", "randint", "randrange", "choice", "choices", "shuffle"))
        + tuple(f"random.{roll}" for roll in ("sample", "uniform", "randbytes", "getrandbits", "seed")),
        within=_BOTH,
        homes=("shared/ids.py", "server/jobs.py", "server/sandbox/", "desktop/engine/"),  # retries spread by jitter
        why="what nobody may guess comes from secrets, what a test must repeat from a random.Random with a seed",
        example="import random\ndef f(items):\n    random.shuffle(items)\n",
    ),
)


@pytest.mark.parametrize("home", HOMES, ids=lambda home: home.what.replace(" ", "-"))
def test_each_thing_is_done_at_home(home):
    broken = [place for source in sources(*home.within) for place in home.broken_by(source)]
    require_none(broken, f"{home.what} belongs in {', '.join(home.homes)}: {home.why}. It is also in:")


@pytest.mark.parametrize("home", HOMES, ids=lambda home: home.what.replace(" ", "-"))
def test_each_rule_bites_abroad_and_not_at_home(home):
    at_home = home.homes[0].rstrip("/")
    inside = f"server/anything{at_home}" if at_home[0] == "/" else home.homes[0] + "x.py" * home.homes[0].endswith("/")
    assert home.broken_by(Source(f"{home.within[0]}/elsewhere.py", home.example)) != []
    assert home.broken_by(Source(inside, home.example)) == []


@pytest.mark.parametrize(
    ("innocent", "text"),
    [
        ("prose", '"""Runs on sqlite, postgresql and mariadb."""\n'),
        ("type-checkers", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import httpx, fastapi, PySide6\n"),
        ("a-field-called-random", "def f(policy):\n    return policy.random\n"),
        ("a-function-called-commit", "from server.stock import intake\ndef f(tx):\n    intake.commit(tx)\n"),
        ("own-dice", "import random\ndef f(seed, items):\n    random.Random(seed).shuffle(items)\n"),
        ("durations", "import time\ndef f():\n    return time.monotonic()\n"),
    ],
)
def test_the_rules_leave_the_innocent_alone(innocent, text):
    assert [place for home in HOMES for place in home.broken_by(Source("server/shop.py", text))] == [], innocent


# Who may read every domain's tables.
_READERS = ("server/reports/", "server/reconcile/", "server/invariants/", "server/migrations/", "server/app.py")
# Who reads a neighbour's tables today, and whose: this table may only shrink. Payments works on orders that it holds
# by `orders.actions.lock`, and names their class.
_NEIGHBOURS = {
    ("server/payments/", "orders"),
    ("server/storefront/pages.py", "orders"),
    ("server/storefront/pages.py", "payments"),
    ("server/storefront/pay_panel.py", "orders"),
    ("server/storefront/pay_panel.py", "payments"),
}


def foreign_tables(source: Source) -> set[tuple[str, str]]:
    """Return (file, domain) for each other domain whose ``model`` the file uses."""
    used = [name.split(".") for _, name in source.uses]
    own = source.path.split("/")[1]
    models = {parts[1] for parts in used if parts[0] == "server" and parts[2:3] == ["model"]}
    return {(source.path, domain) for domain in models - {own}}


def _covers_pair(known: tuple[str, str], pair: tuple[str, str]) -> bool:
    return pair[0].startswith(known[0]) and pair[1] == known[1]


def test_tables_stay_inside_their_domain():
    found = {
        pair for source in sources("server") if not source.path.startswith(_READERS) for pair in foreign_tables(source)
    }
    strangers = [pair for pair in sorted(found) if not any(_covers_pair(known, pair) for known in _NEIGHBOURS)]
    places = [f"{path} uses server.{domain}.model" for path, domain in strangers]
    require_none(places, "a domain is used through its actions and queries, its tables stay inside:")


def test_the_rule_on_tables_bites():
    text = "from server.stock import model\nfrom server.ledger.model import LedgerJournal\nimport server.orders.model\n"
    assert {domain for _, domain in foreign_tables(Source("server/orders/actions.py", text))} == {"stock", "ledger"}
