"""Planted keys, and the search for any trace of them in what programs leave on a disk.

Each half of a planted key, of its number and of its secret, is ten characters of a small alphabet that nothing else is
written in: a file without ten of them in a row holds none of the keys and none of their halves.
"""

import base64
import random
import re
from collections.abc import Iterator
from pathlib import Path

ALPHABET = "QXZ749"
HALF = 10
_RUN = rb"[QXZ749]{10,}"
_PLAIN = re.compile(_RUN)
_WIDE = re.compile(rb"(?:[QXZ749]\0){10,}")
_WIDE_BIG = re.compile(rb"(?:\0[QXZ749]){10,}")
_HEX = re.compile(rb"(?:51|58|5[aA]|37|34|39){10,}")
_BASE64 = re.compile(rb"[A-Za-z0-9+/_-]{12,}")


def planted(count: int, *, seed: int) -> list[str]:
    """So many different texts of two halves."""
    dice = random.Random(seed)
    return ["".join(dice.choices(ALPHABET, k=2 * HALF)) for _ in range(count)]


def traces(data: bytes) -> set[str]:
    """Every run of planted characters in the data: plain, in UTF-16, in hex, in base64 of any alignment."""
    found = {run.decode() for run in _PLAIN.findall(data)}
    found |= {run.replace(b"\0", b"").decode() for wide in (_WIDE, _WIDE_BIG) for run in wide.findall(data)}
    found |= {bytes.fromhex(run.decode()).decode() for run in _HEX.findall(data)}
    for token in _BASE64.findall(data):
        for start in range(4):
            part = token[start:].translate(_STANDARD)
            part = part[:-1] if len(part) % 4 == 1 else part
            opened = base64.b64decode(part + b"=" * (-len(part) % 4))
            found |= {run.decode() for run in _PLAIN.findall(opened)}
    return found


_STANDARD = bytes.maketrans(b"-_", b"+/")


def traces_below(folder: Path) -> Iterator[tuple[str, set[str]]]:
    """(file, traces) of every file below the folder that has any."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and (found := traces(path.read_bytes())):
            yield str(path.relative_to(folder)), found
