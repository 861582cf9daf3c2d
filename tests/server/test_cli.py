"""`kameng-server`: what it answers, what it refuses with a sentence and status 2, and how it starts and stops."""

import logging
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import urllib.request
from contextlib import closing
from pathlib import Path

import pytest

from server import cli
from server.exclusive import sole_writer
from tests.world import PASSWORD

ROOT = Path(__file__).parents[2]


@pytest.fixture
def shop(tmp_path, monkeypatch, capsys):
    """Run commands on one data folder; answers (status, stdout, stderr). Leaves the process as it was."""
    monkeypatch.setenv("KAMENG_DATA", str(tmp_path / "data"))
    umask, root = os.umask(0o022), logging.getLogger()
    handlers, level = root.handlers[:], root.level

    def run(*argv, text="", **env):
        for name, value in env.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(sys, "stdin", _Lines(text))
        status = cli.main(argv)
        captured = capsys.readouterr()
        for name in env:
            monkeypatch.delenv(name)
        return status, captured.out, captured.err

    run.data = tmp_path / "data"
    yield run
    root.handlers[:], root.level = handlers, level
    os.umask(umask)


class _Lines:
    """Standard input that is not a keyboard."""

    def __init__(self, text):
        self._text = text

    def isatty(self):
        return False

    def readline(self):
        return self._text

    def read(self):
        return self._text


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    """Where the first data folder with a ring and a schema is kept: migrating takes ten times as long as a copy."""
    return tmp_path_factory.mktemp("first") / "data"


@pytest.fixture
def ready(shop, first):
    """A data folder with a ring and a schema."""
    if first.exists():
        shutil.copytree(first, shop.data)
    else:
        assert shop("keys", "init")[0] == 0
        assert shop("migrate")[0] == 0
        shutil.copytree(shop.data, first)
    return shop


def test_a_ring_is_made_once_with_mode_0600_and_never_replaced(shop):
    status, out, _ = shop("keys", "init")
    ring = shop.data / "keyring.json"
    assert (status, oct(ring.stat().st_mode & 0o777)) == (0, "0o600")
    assert str(ring) in out
    before = ring.read_bytes()
    status, _, err = shop("keys", "init")
    assert (status, ring.read_bytes()) == (2, before)
    assert "已存在" in err


def test_people_are_added_listed_disabled_and_get_new_passwords(ready):
    supplier = ("--supplier", "南山网络")
    assert ready("user", "add", "amy", "--name", "艾米", "--role", "admin", text=PASSWORD + "\n")[0] == 0
    assert ready("user", "add", "ben", "--name", "本", "--role", "supplier", *supplier, "--generate")[0] == 2  # no rate
    status, out, _ = ready(
        "user", "add", "ben", "--name", "本", "--role", "supplier", *supplier, "--fee-ppm", "80000", "--generate"
    )
    assert status == 0
    assert len(out.splitlines()[0]) == 20  # the password, once
    assert ready("user", "add", "cy", "--name", "西", "--role", "supplier", *supplier, text=PASSWORD)[0] == 0
    listed = ready("user", "list")[1].splitlines()
    assert [line.split()[:2] for line in listed] == [["amy", "admin"], ["ben", "supplier"], ["cy", "supplier"]]
    assert all("南山网络" in line for line in listed[1:])
    assert ready("user", "disable", "ben")[0] == 0
    assert "disabled" in ready("user", "list")[1].splitlines()[1]
    assert ready("user", "enable", "ben")[0] == 0
    assert ready("user", "password", "cy", text="another long password")[0] == 0


@pytest.mark.parametrize(
    ("argv", "text", "says"),
    [
        (("user", "add", "amy", "--name", "x", "--role", "admin"), PASSWORD, "amy"),
        (("user", "add", "bo", "--name", "x", "--role", "admin"), "short", "12"),
        (("user", "add", "bo", "--name", "x", "--role", "supplier"), PASSWORD, "supplier"),
        (("user", "add", "bo", "--name", "x", "--role", "admin", "--supplier", "y"), PASSWORD, "supplier"),
        (("user", "disable", "amy"), "", "最后一位管理员"),
        (("user", "disable", "nobody"), "", "没有找到"),
        (("user", "password", "nobody"), PASSWORD, "没有找到"),
        (("work",), "", "SQLite"),
        (("serve", "--only", "callbacks"), "", "SQLite"),
        (("serve", "--no-worker"), "", "SQLite"),
    ],
)
def test_what_cannot_be_done_is_a_sentence_and_status_2(ready, argv, text, says):
    ready("user", "add", "amy", "--name", "艾米", "--role", "admin", text=PASSWORD)
    status, _, err = ready(*argv, text=text)
    assert status == 2
    assert says in err
    assert "Traceback" not in err


def test_settings_ring_and_schema_that_are_not_ready_are_sentences(shop):
    status, _, err = shop("serve")
    assert (status, "keys init" in err) == (2, True)
    shop("keys", "init")
    for command in (("serve",), ("check",), ("user", "list")):
        status, _, err = shop(*command)
        assert (command, status, "migrate" in err) == (command, 2, True)
    status, _, err = shop("check", KAMENG_PORT="no")
    assert (status, "KAMENG_PORT" in err) == (2, True)
    status, _, err = shop("check", KAMENG_LANGUAGE="en")
    assert "run `kameng-server migrate` first" in err


@pytest.mark.parametrize("command", ["migrate", "check", "serve"])
def test_a_database_that_is_away_is_a_sentence_without_the_password(shop, command):
    shop("keys", "init")
    for driver in ("postgresql+psycopg", "mariadb+pymysql"):
        address = f"{driver}://shop:G7-long-and-random@127.0.0.1:9/kameng"
        status, out, err = shop(command, KAMENG_DATABASE_URL=address)
        assert (status, "无法使用数据库" in err, "KAMENG_DATABASE_URL" in err) == (2, True, True)
        assert "G7-long" not in out + err
        assert "Traceback" not in err


def test_usage_is_status_2_and_help_is_0(shop):
    for argv, status in (((), 2), (("dance",), 2), (("keys", "add"), 2), (("--help",), 0)):
        with pytest.raises(SystemExit) as ended:
            cli.main(argv)
        assert ended.value.code == status


def test_check_proves_an_empty_shop_and_finds_a_damaged_one(ready):
    status, out, _ = ready("check")
    assert (status, out.splitlines()[-1]) == (0, "核对通过。")
    figures = dict(line.split() for line in out.splitlines()[:-1])
    assert (figures["units_imported"], figures["deliveries"]) == ("0", "0")
    with closing(sqlite3.connect(ready.data / "kameng.db")) as damaged, damaged:
        damaged.execute(
            "INSERT INTO stock_unit (sku_id, seq, lot_id, state) VALUES (?, 1, ?, 2)", (bytes(16), bytes(16))
        )
    status, out, _ = ready("check")
    assert status == 1
    assert "S1: " in out
    assert out.splitlines()[-1].startswith("发现 ")


def test_commands_that_write_refuse_while_a_server_holds_the_file(ready):
    with sole_writer(ready.data / "kameng.db"):
        for argv in (("migrate",), ("restored",), ("user", "add", "bo", "--name", "x", "--role", "admin"), ("serve",)):
            status, _, err = ready(*argv, text=PASSWORD)
            assert (argv, status, "正在使用" in err) == (argv, 2, True)
        assert ready("check")[0] == 0  # reading is fine
    assert ready("migrate")[0] == 0


def test_who_restored_a_backup_says_so_and_the_audit_log_knows(ready):
    assert ready("restored")[:2] == (0, "各客户端将重新读取全部列表。\n")
    with closing(sqlite3.connect(ready.data / "kameng.db")) as kept:
        [said] = kept.execute("SELECT actor, action FROM audit_event").fetchall()
    assert said == ("system", "database.restored")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_a_taken_port_is_a_sentence(ready):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        status, _, err = ready("serve", KAMENG_PORT=str(taken.getsockname()[1]))
    assert (status, "已被其他程序占用" in err) == (2, True)


def test_a_server_starts_answers_and_stops_in_order(ready):
    port = free_port()
    env = os.environ | {"KAMENG_PORT": str(port)}
    command = [sys.executable, "-m", "server", "serve"]
    with subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as run:
        try:
            assert f"http://127.0.0.1:{port}" in run.stdout.readline()
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=30) as answer:
                assert answer.status == 200
        finally:
            run.send_signal(signal.SIGTERM)
        _, err = run.communicate(timeout=30)
    assert run.returncode == 0
    assert "Traceback" not in err
    assert ready("migrate")[0] == 0  # the lock is free again
