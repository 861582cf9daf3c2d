"""Starting and ending: one window per folder, files handed over, the smoke run, and what a crash leaves behind."""

import faulthandler
import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from desktop import crash, paths
from desktop.views.shell.instance import Instance, parse, server_name
from tests.desktop.window_program import open_window

pytestmark = pytest.mark.qt_log_ignore("This plugin does not support", extend=True)  # the offscreen platform says so

ROOT = Path(__file__).parents[2]


@pytest.fixture
def folders(tmp_path):
    made = paths.Folders(tmp_path / "home")
    paths.prepare(made)
    return made


def run(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`kameng ...` in a process of its own."""
    environment = os.environ | {"KAMENG_HOME": str(home), "KAMENG_CREDENTIALS": "memory"}
    command = [sys.executable, "-W", "error", "-m", "desktop", *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False)


def test_the_smoke_run_touches_every_part_and_ends_clean(tmp_path):
    done = run(tmp_path / "home", "--smoke")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout.splitlines()[-1])
    assert (report["ok"], report["previewed_lines"], report["painted"]) == (True, 3, 11)
    assert not (tmp_path / "home" / "logs" / "crash.txt").exists()


def test_a_second_start_hands_its_files_to_the_first_and_ends(qtbot, folders, tmp_path):
    (tmp_path / "a.xlsx").touch()
    first = Instance(folders.home)
    assert first.is_first()
    assert not Instance(folders.home).is_first()
    handed = []
    first.handed.connect(handed.append)
    environment = os.environ | {"KAMENG_HOME": str(folders.home)}
    with subprocess.Popen(
        [sys.executable, "-m", "desktop", "a.xlsx"], cwd=tmp_path, env=environment | {"PYTHONPATH": str(ROOT)}
    ) as second:
        qtbot.waitUntil(lambda: bool(handed), timeout=30_000)
        qtbot.waitUntil(lambda: second.poll() is not None, timeout=30_000)
    first.leave()
    assert handed == [[tmp_path / "a.xlsx"]]
    assert second.returncode == 0
    third = Instance(folders.home)
    assert third.is_first(), "the next one may open a window"
    third.leave()


@pytest.mark.parametrize(
    ("line", "files"),
    [
        (b'{"version": 1, "files": ["/a", "/b"]}\n', [Path("/a"), Path("/b")]),
        (b'{"version": 1, "files": []}\n', []),
        (b'{"version": 2, "files": ["/a"]}\n', []),
        (b'{"version": 1}\n', None),
        (b'["x"]\n', None),
        (b"GET / HTTP/1.1\n", None),
        (b"\xff\xfe\n", None),
    ],
)
def test_only_our_own_messages_are_understood(line, files):
    assert parse(line) == files


def test_each_folder_has_a_socket_of_its_own(tmp_path):
    assert server_name(tmp_path / "a") == server_name(tmp_path / "a")
    assert server_name(tmp_path / "a") != server_name(tmp_path / "b")
    assert len(server_name(tmp_path)) < 40, "macOS allows about a hundred characters, with its folder"


@pytest.fixture
def _faults():
    """Give the runner its own fault handler back."""
    yield
    faulthandler.enable(sys.__stderr__)


@pytest.mark.usefixtures("_faults")
def test_a_crash_is_told_to_the_next_start_and_a_clean_exit_is_not(folders):
    for left in (None, None):
        calm = crash.CrashFile(folders)
        assert calm.left_behind is left
        calm.clean_exit()
    (folders.logs / "crash.txt").write_text("Fatal Python error: Segmentation fault\n")
    after = crash.CrashFile(folders)
    assert after.left_behind.read_text().startswith("Fatal Python error")
    assert (folders.logs / "crash.txt").stat().st_mode & 0o777 == 0o600
    after.clean_exit()
    assert [path.name for path in folders.logs.iterdir()] == [after.left_behind.name]


@pytest.mark.parametrize(
    ("said", "written"),
    [
        ("key K3J9-22MX-P7QT refused", "key •••• refused"),
        ("card 123456789012", "card ••••"),
        ("3 of 12 rows at 12:00:01", "3 of 12 rows at 12:00:01"),
        ("order placed", "order placed"),
    ],
)
def test_the_log_covers_what_looks_like_a_key(folders, said, written):
    handler = crash.start_log(folders)
    try:
        logging.getLogger("kameng.test").warning(said)
    finally:
        logging.getLogger("kameng").removeHandler(handler)
        handler.close()
    assert (folders.logs / "kameng.log").read_text("utf-8").rstrip().endswith(f"kameng.test: {written}")


def test_what_a_person_chose_is_there_at_the_next_start(qtbot, qapp, tmp_path, monkeypatch):
    monkeypatch.setenv("KAMENG_CREDENTIALS", "memory")
    with open_window(qtbot, qapp, tmp_path / "home") as program:
        program.run("window.theme_dark")
        program.run("window.language_en")
        program.console.sign_in.server = "https://shop.example.com"
    with open_window(qtbot, qapp, tmp_path / "home") as program:
        assert program.dress.mode == "dark"
        assert program.sign_in.server.text() == "https://shop.example.com"
        assert program.sign_in.enter.text() == "登录", "the test fixture puts the language back"


def test_a_folder_that_cannot_be_opened_is_said_in_the_window(qtbot, qapp, tmp_path, monkeypatch):
    monkeypatch.setenv("KAMENG_CREDENTIALS", "memory")
    home = tmp_path / "home"
    home.mkdir()
    (home / "outbox.db").mkdir()
    with open_window(qtbot, qapp, home) as program:
        assert program.engine is None
        assert program.sign_in.problem.isVisible()
        assert program.sign_in.problem.text
