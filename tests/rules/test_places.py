"""The project works anywhere: no file names a package host, or a folder of somebody's machine."""

import re
from pathlib import Path

import pytest

from tests.rules.source import PACKAGES, ROOT, require_none

_FOLDERS = (*PACKAGES, "docs", ".ci")
_BUILT = {"__pycache__", "build", "dist", "node_modules"}

# Written in pieces, so that this file does not name them either.
_HOSTS = ("pypi." + "org", "python" + "hosted", "npmjs." + "org", "deb." + "debian.org", "extra-" + "index-url")
_FORBIDDEN = re.compile(
    "|".join(
        [
            *(re.escape(host) for host in _HOSTS),
            r"(?<![\w.}/])/(?:ho" + r"me|Us" + r"ers)/\w",
            r"(?<![\w.}/])/(?:ro" + r"ot|wo" + r"rk)/\w",
            r"\b[A-Z]:\\\\?Us" + r"ers",
            re.escape(str(ROOT)) + r"\b" if len(ROOT.parts) > 2 else r"(?!)",
        ]
    )
)


def _texts() -> list[tuple[str, str]]:
    paths = [path for path in ROOT.iterdir() if path.is_file()]
    for folder in _FOLDERS:
        paths += [path for path in (ROOT / folder).rglob("*") if path.is_file() and not _BUILT & set(path.parts)]
    texts = []
    for path in paths:
        try:
            texts.append((path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")))
        except UnicodeDecodeError:
            continue  # a picture, a font, a spreadsheet
    return texts


def findings(path: str, text: str) -> list[str]:
    """Return a line for each place of a file that belongs to one machine or network."""
    return [
        f"{path}:{number} {line.strip()[:120]}"
        for number, line in enumerate(text.splitlines(), 1)
        if _FORBIDDEN.search(line)
    ]


def test_no_file_names_a_package_host_or_a_machine():
    found = [finding for path, text in _texts() for finding in findings(path, text)]
    require_none(found, "the project works anywhere and fetches from wherever this machine's pip and apt do:")


@pytest.mark.parametrize(
    "line",
    [
        "pip install --" + "extra-" + "index-url http://x",
        "https://files.python" + "hosted.org/x",
        "cd /ro" + "ot/shop",
        "open('/ho" + "me/li/keys.txt')",
        "see " + str(ROOT / "server"),
        "C:\\Us" + "ers\\li",
    ],
)
def test_it_bites(line):
    assert findings("x", line) == [f"x:1 {line}"]


@pytest.mark.parametrize("line", ["GET /api/work/items", "{base}/root/x", "/var/lib/kameng", "Path.home() / 'x'"])
def test_it_leaves_addresses_alone(line):
    assert findings("x", line) == []


def test_the_constraints_are_exact_versions_and_nothing_else():
    lines = Path(ROOT, "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if not line.startswith("#")]
    assert [line for line in pins if not re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][A-Za-z0-9.]*", line)] == []
