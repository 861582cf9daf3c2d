"""Keeps one throw-away database engine alive for as long as the test session that asked for it.

Started by ``tests.engines`` as ``python -m tests.engine_keeper KIND FOLDER fast|durable``; it returns with status 0
once the engine answers, and leaves a process behind that owns the engine. That process waits for the end of the
session's ``alive`` pipe, which the kernel closes however the session ends, also by ``kill -9``; then it kills the
engine and removes FOLDER. Nothing is ever left running, and no timer is involved.

PostgreSQL and MariaDB refuse to run as root, so under root the engine runs as another user. Engines listen on a
socket in their own folder only, read no configuration of the machine and never touch its services.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

START_SECONDS = 60
ROLE = "kameng"
"""The account the tests use: it owns its databases and has no other right, as in a real deployment."""


@dataclass(frozen=True, kw_only=True)
class Engine:
    """The facts of one engine.

    ``programs`` must be on PATH or in a folder of ``program_folders`` (glob patterns, the highest version wins).
    ``users`` are tried in order when we are root. ``options`` hold for every start, ``fast`` trades durability for
    speed, ``durable`` is what a real machine runs with.
    """

    title: str
    debian_package: str
    programs: tuple[str, ...]
    program_folders: tuple[str, ...]
    users: tuple[str, ...]
    prepare: tuple[str, ...]
    serve: tuple[str, ...]
    fast: tuple[str, ...]
    durable: tuple[str, ...]
    stop: signal.Signals
    first_statements: tuple[str, ...]


POSTGRES = Engine(
    title="PostgreSQL",
    debian_package="postgresql",
    programs=("initdb", "postgres"),
    program_folders=(
        "/usr/lib/postgresql/*/bin",
        "/opt/homebrew/opt/postgresql@*/bin",
        "/usr/local/opt/postgresql@*/bin",
    ),
    users=("postgres", "nobody"),
    prepare=(
        "{initdb}",
        "--pgdata={folder}/data",
        "--username=postgres",
        "--auth=trust",
        "--encoding=UTF8",
        "--locale=C",
        "--no-sync",
        "--no-instructions",
    ),
    serve=(
        "{postgres}",
        "-D",
        "{folder}/data",
        "-k",
        "{folder}",
        "-c",
        "listen_addresses=",
        "-c",
        "max_connections=200",
        "-c",
        "timezone=UTC",
        "-c",
        "log_min_messages=fatal",
    ),
    fast=(
        "-c",
        "fsync=off",
        "-c",
        "synchronous_commit=off",
        "-c",
        "full_page_writes=off",
        "-c",
        "shared_buffers=64MB",
        "-c",
        "wal_level=minimal",
        "-c",
        "max_wal_senders=0",
        "-c",
        "jit=off",
    ),
    durable=("-c", "fsync=on", "-c", "synchronous_commit=on", "-c", "shared_buffers=256MB", "-c", "max_wal_size=4GB"),
    stop=signal.SIGQUIT,  # at once, but frees the shared memory segment, which SIGKILL would leave behind
    first_statements=(f"CREATE ROLE {ROLE} LOGIN",),
)

MARIADB = Engine(
    title="MariaDB",
    debian_package="mariadb-server-core mariadb-client",
    programs=("mariadb-install-db", "mariadbd"),
    program_folders=("/usr/sbin", "/opt/homebrew/opt/mariadb/bin", "/usr/local/opt/mariadb/bin"),
    users=("mysql", "nobody"),
    prepare=(
        "{mariadb-install-db}",
        "--no-defaults",
        "--datadir={folder}/data",
        "--auth-root-authentication-method=normal",
        "--skip-test-db",
        "--skip-name-resolve",
        "--innodb-flush-method=nosync",
    ),
    serve=(
        "{mariadbd}",
        "--no-defaults",
        "--datadir={folder}/data",
        "--socket={folder}/socket",
        "--pid-file={folder}/pid",
        "--tmpdir={folder}",
        "--skip-networking",
        "--skip-name-resolve",
        "--max-connections=200",
        "--character-set-server=utf8mb4",
        "--collation-server=utf8mb4_general_ci",
    ),
    fast=(
        "--innodb-flush-log-at-trx-commit=0",
        "--innodb-flush-method=nosync",
        "--innodb-doublewrite=0",
        "--innodb-stats-persistent=0",  # each new table would write rows of statistics
        "--innodb-buffer-pool-size=64M",
    ),
    durable=("--innodb-flush-log-at-trx-commit=1", "--innodb-buffer-pool-size=256M", "--innodb-log-file-size=512M"),
    stop=signal.SIGKILL,  # its data are thrown away; an orderly stop takes seconds
    first_statements=(
        f"CREATE USER {ROLE}@localhost",
        rf"GRANT ALL ON `{ROLE}\_%`.* TO {ROLE}@localhost",
    ),
)

ENGINES = {"postgres": POSTGRES, "mariadb": MARIADB}


class CannotStart(RuntimeError):
    """The engine is here but did not start; the message ends with what it said."""


def program(engine: Engine, name: str) -> str | None:
    """Return the path of one of the engine's programs, or None where it is not installed."""
    folders = [path for pattern in engine.program_folders for path in sorted(Path("/").glob(pattern[1:]))]
    for folder in reversed(folders):
        if (folder / name).is_file():
            return str(folder / name)
    return shutil.which(name)


def is_root() -> bool:
    """Say whether we are root, whom the engines refuse to run as."""
    return hasattr(os, "geteuid") and os.geteuid() == 0


def administer(kind: str, folder: Path, statements: Sequence[str]) -> None:
    """Run statements as the engine's administrator, each in its own transaction. Raises the driver's own errors."""
    with closing(connect_admin(kind, folder)) as connection, closing(connection.cursor()) as cursor:
        for statement in statements:
            cursor.execute(statement)


def connect_admin(kind: str, folder: Path) -> Any:
    """Open a connection of the driver as the account that may do everything."""
    if kind == "postgres":
        import psycopg

        return psycopg.connect(host=str(folder), user="postgres", dbname="postgres", autocommit=True)
    import pymysql

    socket = str(folder / "socket")
    return pymysql.connect(unix_socket=socket, user="root", autocommit=True, charset="utf8mb4", ssl_disabled=True)


def _identity(engine: Engine) -> dict[str, Any]:
    """Return whom the engine runs as, in the words of subprocess; nothing means ourselves."""
    import pwd

    if not is_root():
        return {}
    known = {entry.pw_name: entry for entry in pwd.getpwall()}
    account = next(known[name] for name in engine.users if name in known)
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}


def start(kind: str, folder: Path, *, durable: bool) -> subprocess.Popen:
    """Prepare a data folder, start the engine on it and return once it answers."""
    engine = ENGINES[kind]
    words = {name: program(engine, name) for name in engine.programs} | {"folder": str(folder)}
    identity = _identity(engine)
    if identity:
        os.chown(folder, identity["user"], identity["group"])
    environment = {"PATH": os.environ["PATH"], "LC_ALL": "C", "TZ": "UTC", "HOME": str(folder)}
    common = {"env": environment, "cwd": folder, "stdin": subprocess.DEVNULL, **identity}

    prepared = subprocess.run([word.format_map(words) for word in engine.prepare], check=False, **common)
    if prepared.returncode != 0:
        raise CannotStart(f"{engine.title}: preparing its data folder failed")
    serve = (*engine.serve, *(engine.durable if durable else engine.fast))
    running = subprocess.Popen([word.format_map(words) for word in serve], **common)
    try:
        _wait_until(lambda: _answers(kind, folder), running, title=engine.title)
    except BaseException:
        stop(running, engine)
        raise
    return running


def _answers(kind: str, folder: Path) -> bool:
    """Say whether the engine takes connections; the first one that does also gets the tests' account."""
    import psycopg
    import pymysql

    try:
        administer(kind, folder, ENGINES[kind].first_statements)
    except (psycopg.OperationalError, pymysql.err.OperationalError):
        return False
    return True


def _wait_until(condition: Callable[[], bool], running: subprocess.Popen, *, title: str) -> None:
    """Poll until ``condition`` holds; an engine that ends, or takes over a minute, is an error."""
    deadline = time.monotonic() + START_SECONDS
    while not condition():
        if running.poll() is not None:
            raise CannotStart(f"{title} ended with status {running.returncode} while starting")
        if time.monotonic() > deadline:
            raise CannotStart(f"{title} did not answer within {START_SECONDS} seconds")
        time.sleep(0.02)


def stop(running: subprocess.Popen, engine: Engine) -> None:
    """End the engine at once; its data are not needed any more."""
    running.send_signal(engine.stop)
    try:
        running.wait(timeout=10)
    except subprocess.TimeoutExpired:
        running.kill()
        running.wait()


def keep(kind: str, folder: Path, *, durable: bool, alive: int, ready: Callable[[], None]) -> None:
    """Run the engine until nobody holds the writing end of the pipe ``alive`` any more, then remove it."""
    try:
        running = start(kind, folder, durable=durable)
        ready()
        os.read(alive, 1)  # nothing is ever written: this returns when the session is gone
        stop(running, ENGINES[kind])
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def main(arguments: Sequence[str]) -> int:
    """Leave a keeper behind and return 0 once its engine answers, 1 when it could not be started."""
    import fcntl

    kind, folder, manner = arguments[0], Path(arguments[1]), arguments[2]
    said, says = os.pipe()
    if os.fork():
        os.close(says)
        return 0 if os.read(said, 1) == b"+" else 1
    os.close(said)
    os.setsid()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    # Held until this process is gone: the session waits for it before it removes its own folder.
    kept = os.open(folder.with_suffix(".kept"), os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(kept, fcntl.LOCK_EX)
    # Opened without blocking: a session that is gone already must not leave us waiting for a first writer.
    alive = os.open(folder.parent / "alive", os.O_RDONLY | os.O_NONBLOCK)
    os.set_blocking(alive, True)
    keep(kind, folder, durable=manner == "durable", alive=alive, ready=lambda: os.write(says, b"+"))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
