"""New, empty databases for tests and benches on SQLite, PostgreSQL and MariaDB.

Guarantees: ``url(kind)`` is a database nobody else has; the engines behind them start when first asked for, are
shared by all workers of a test run, are never the machine's own, and are gone when the run is, however it ends.
A missing engine is a sentence (``missing``), not an error.

In tests use the fixtures ``database_url`` and ``new_database`` of conftest.py. Outside pytest::

    with engines.running("postgres", durable=True) as url: ...

Drivers are imported when used, so that a run on SQLite alone needs none of them.
"""

import importlib.util
import os
import pickle
import secrets
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlencode

from tests import engine_keeper

Kind = Literal["sqlite", "postgres", "mariadb"]
KINDS: tuple[Kind, ...] = ("sqlite", "postgres", "mariadb")

SESSION_VARIABLE = "KAMENG_TEST_ENGINES"
"""Where the workers of one run find its engines: the folder ``session`` made."""

ROOM_BYTES = 2 << 30

_DRIVERS = {"postgres": "psycopg", "mariadb": "pymysql"}
_ROOT = Path(__file__).parent.parent


def missing(kind: Kind) -> str | None:
    """Say in one sentence why ``kind`` cannot be used on this machine; None when it can."""
    if kind == "sqlite":
        return None
    engine = engine_keeper.ENGINES[kind]
    if not hasattr(os, "fork"):
        return f"{engine.title} is started by the tests on Unix only"
    if not all(engine_keeper.program(engine, name) for name in engine.programs):
        return f"{engine.title} is not installed (Debian: apt-get install {engine.debian_package})"
    if importlib.util.find_spec(_DRIVERS[kind]) is None:
        return f"{engine.title} has no driver (pip install {_DRIVERS[kind]})"
    return None


def memory() -> Path | None:
    """Return where files live in memory, if there is room for those of a run: a disk makes new databases wait."""
    shared = Path("/dev/shm")
    return shared if shared.is_dir() and shutil.disk_usage(shared).free >= ROOM_BYTES else None


@contextmanager
def session(*, durable: bool = False) -> Iterator[Path]:
    """Open the folder that engines live in; they end when this block, or this process, does.

    ``durable`` engines flush to a disk at each commit, for figures; the others are fast and forget on a crash.
    """
    # /var/tmp is a disk by convention; in memory flushing costs nothing and measures nothing.
    # Socket paths have about 100 bytes, and another user must reach them: a long private TMPDIR serves neither.
    base = Path("/var/tmp") if durable else memory() or Path("/tmp")
    folder = Path(tempfile.mkdtemp(prefix="kameng-", dir=base if base.is_dir() else None))
    if engine_keeper.is_root():
        folder.chmod(0o711)  # the engines' users pass through, and the name is not to be guessed
    if durable:
        (folder / "durable").touch()
    alive = _open_alive_pipe(folder)
    try:
        yield folder
    finally:
        if alive is not None:
            os.close(alive)
            wait_for_keepers(folder)
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def running(kind: Kind, *, durable: bool = False) -> Iterator[str]:
    """Yield the URL of an empty database on an engine of its own, for a bench. Raises where it is missing."""
    with session(durable=durable) as folder:
        yield url(kind, folder=folder)


def url(kind: Kind, *, folder: Path | None = None) -> str:
    """Return the SQLAlchemy URL of a new, empty database. ``folder``: the session's, where it is not the run's.

    Raises ``RuntimeError`` with a sentence when the engine is missing or does not start.
    """
    session_folder = folder or Path(os.environ[SESSION_VARIABLE])
    name = f"{engine_keeper.ROLE}_{secrets.token_hex(6)}"
    if kind == "sqlite":
        home = session_folder / "sqlite" / name
        home.mkdir(parents=True)
        return f"sqlite:///{home / 'kameng.db'}"
    home = _started(kind, session_folder)
    engine_keeper.administer(kind, home, [_CREATE[kind].format(name=name)])
    return _database_url(kind, home, name)


def copy(source: str) -> str:
    """Return the URL of a new database with the tables, rows and triggers of ``source``, to which nobody is connected.

    Much cheaper than migrating again: a test module migrates one database and copies it for each test.
    """
    kind, home, name = _parts(source)
    new = f"{engine_keeper.ROLE}_{secrets.token_hex(6)}"
    if kind == "sqlite":
        target = home.parent / new
        target.mkdir()
        with closing(sqlite3.connect(home / "kameng.db")) as old, closing(sqlite3.connect(target / "kameng.db")) as out:
            old.backup(out)
        return f"sqlite:///{target / 'kameng.db'}"
    if kind == "postgres":
        _copy_postgres(home, name, new)
    else:
        engine_keeper.administer(kind, home, [_CREATE[kind].format(name=new)])
        _copy_mariadb(home, name, new)
    return _database_url(kind, home, new)


def once(name: str, make: Callable[[], Any]) -> Any:
    """What the first worker of a run that wants it makes for all of them, such as the name of a database to copy."""
    if importlib.util.find_spec("fcntl") is None:
        return make()
    import fcntl

    kept = Path(os.environ[SESSION_VARIABLE]) / f"{name}.made"
    with kept.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not kept.exists():
            kept.write_bytes(pickle.dumps(make()))
        return pickle.loads(kept.read_bytes())


def drop(address: str) -> None:
    """Remove a database that ``url`` or ``copy`` made, also while connections to it are open."""
    kind, home, name = _parts(address)
    if kind == "sqlite":
        shutil.rmtree(home)
    else:
        engine_keeper.administer(kind, home, [_DROP[kind].format(name=name)])


_CREATE = {
    "postgres": f"CREATE DATABASE {{name}} OWNER {engine_keeper.ROLE}",
    "mariadb": "CREATE DATABASE {name}",
}
_DROP = {
    "postgres": "DROP DATABASE {name} WITH (FORCE)",
    "mariadb": "DROP DATABASE {name}",
}


def _database_url(kind: str, home: Path, name: str) -> str:
    if kind == "postgres":
        return f"postgresql+psycopg://{engine_keeper.ROLE}@/{name}?{urlencode({'host': home}, safe='/')}"
    # The driver would read the machine's certificates for each connection, also for one through a socket.
    query = urlencode({"unix_socket": home / "socket", "charset": "utf8mb4", "ssl_disabled": "true"}, safe="/")
    return f"mariadb+pymysql://{engine_keeper.ROLE}@localhost/{name}?{query}"


def _parts(address: str) -> tuple[Kind, Path, str]:
    """Take one of our URLs apart: kind, the folder of its engine (of the database itself for SQLite), its name."""
    from sqlalchemy import make_url

    parsed = make_url(address)
    if parsed.drivername == "sqlite":
        home = Path(parsed.database).parent
        return "sqlite", home, home.name
    if parsed.drivername.startswith("postgresql"):
        return "postgres", Path(parsed.query["host"]), parsed.database
    return "mariadb", Path(parsed.query["unix_socket"]).parent, parsed.database


def _copy_postgres(home: Path, source: str, target: str) -> None:
    with closing(engine_keeper.connect_admin("postgres", home)) as connection, closing(connection.cursor()) as cursor:
        # By its files, as before 15: since then every page of the copy is logged unless one asks for that, and each
        # connection first reads what was written.
        manner = " STRATEGY FILE_COPY" if connection.info.server_version >= 150_000 else ""
        cursor.execute(f"{_CREATE['postgres'].format(name=target)} TEMPLATE {source}{manner}")


def _copy_mariadb(home: Path, source: str, target: str) -> None:
    """Do what CREATE DATABASE ... TEMPLATE does elsewhere: MariaDB has no such thing."""
    with closing(engine_keeper.connect_admin("mariadb", home)) as connection, closing(connection.cursor()) as cursor:
        cursor.execute(f"USE {source}")
        cursor.execute("SHOW FULL TABLES WHERE Table_type = 'BASE TABLE'")
        tables = [row[0] for row in cursor.fetchall()]
        definitions = []
        for table in tables:
            cursor.execute(f"SHOW CREATE TABLE `{table}`")
            definitions.append(cursor.fetchone()[1])
        cursor.execute("SHOW TRIGGERS")
        triggers = [_create_trigger(*row[:5]) for row in cursor.fetchall()]
        cursor.execute(f"USE {target}")
        cursor.execute("SET foreign_key_checks = 0")
        for definition in definitions:
            cursor.execute(definition)
        for table in tables:
            cursor.execute(f"INSERT INTO `{target}`.`{table}` SELECT * FROM `{source}`.`{table}`")
        for trigger in triggers:  # which would look at each row of the copy, too
            cursor.execute(trigger)


def _create_trigger(name: str, event: str, table: str, statement: str, timing: str) -> str:
    """What makes a trigger of which SHOW TRIGGERS says this."""
    return f"CREATE TRIGGER `{name}` {timing} {event} ON `{table}` FOR EACH ROW {statement}"


def _started(kind: Kind, session_folder: Path) -> Path:
    """Return the folder of the session's engine, starting it if this is the first call of any worker."""
    import fcntl

    home = session_folder / kind
    log = session_folder / f"{kind}.log"
    with (session_folder / f"{kind}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not log.exists():
            reason = missing(kind)
            if reason is not None:
                raise RuntimeError(reason)
            home.mkdir(mode=0o711 if engine_keeper.is_root() else 0o700)
            manner = "durable" if (session_folder / "durable").exists() else "fast"
            with log.open("wb") as output:
                subprocess.run(
                    [sys.executable, "-m", "tests.engine_keeper", kind, str(home), manner],
                    cwd=_ROOT,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    check=False,
                )
        if not home.exists():  # the keeper removes it when the engine could not be started
            said = log.read_text(errors="replace")[-3000:]
            raise RuntimeError(f"{engine_keeper.ENGINES[kind].title} did not start:\n{said}")
    return home


def _open_alive_pipe(folder: Path) -> int | None:
    """Make the pipe that tells the keepers when we are gone; None where there are no keepers (Windows)."""
    if not hasattr(os, "mkfifo"):
        return None
    os.mkfifo(folder / "alive")
    return os.open(folder / "alive", os.O_RDWR)


def wait_for_keepers(folder: Path) -> None:
    """Return when every engine of the session is gone; they need milliseconds, and get 30 seconds."""
    import fcntl

    deadline = time.monotonic() + 30
    for kept in folder.glob("*.kept"):
        with kept.open("rb") as lock:
            while True:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        raise RuntimeError(f"the keeper of {kept.stem} does not end; see {folder}") from None
                    time.sleep(0.02)
