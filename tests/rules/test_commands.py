"""The commands of the Makefile are listed, exist, and start without delay the second time."""

import os
import re
import shutil
import subprocess
import tomllib

import pytest

from tests.rules.source import ROOT

_COMMANDS = {"help", "run", "demo", "test", "soak", "check", "bench", "build", "pins", "clean"}
_MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")


def _make(*words: str, folder=ROOT) -> str:
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    done = subprocess.run(["make", *words], cwd=folder, env=environment, capture_output=True, text=True, check=True)
    return done.stdout


def test_help_lists_every_command_with_a_sentence():
    listed = dict(re.findall(r"^  make (\w+) +(\S.*)$", _make(), flags=re.MULTILINE))
    assert set(listed) == _COMMANDS
    assert set(re.search(r"^\.PHONY: (.*)$", _MAKEFILE, flags=re.MULTILINE).group(1).split()) == _COMMANDS
    assert [sentence for sentence in listed.values() if len(sentence) < 15] == []


def test_every_command_that_a_page_names_exists():
    pages = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), ROOT / ".ci/run"]
    named = {
        (page.name, word)
        for page in pages
        for word in re.findall(r"^make (\w+)|`make (\w+)", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
        for word in word
        if word
    }
    assert {(page, word) for page, word in named if word not in _COMMANDS} == set()


def test_a_second_run_calls_neither_pip_nor_apt(tmp_path):
    shutil.copy(ROOT / "Makefile", tmp_path)
    for pinned in ("pyproject.toml", "constraints.txt", ".venv/.run"):
        (tmp_path / pinned).parent.mkdir(exist_ok=True)
        (tmp_path / pinned).touch()
    started = _make("--dry-run", "run", folder=tmp_path).splitlines()
    assert [line.split(" -m ")[1] for line in started] == ["server demo run"]

    newer = (tmp_path / ".venv/.run").stat().st_mtime + 10
    os.utime(tmp_path / "constraints.txt", (newer, newer))
    assert "venv.sh" in _make("--dry-run", "run", folder=tmp_path)


def test_every_package_that_an_extra_names_is_pinned():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [*project["dependencies"], *(one for extra in project["optional-dependencies"].values() for one in extra)]
    names = {re.match(r"[A-Za-z0-9._-]+", one).group().lower() for one in wanted} - {"kameng"}
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = {line.split("==")[0].lower() for line in lines}
    same = re.compile(r"[-_.]+")
    assert {same.sub("-", name) for name in names} - {same.sub("-", name) for name in pinned} == set()
