"""How the lines of a text file are cut into columns: found by vote, applied the same way to every line.

`,` `;` `|` and tab follow the CSV rules for quotes; `----` and spaces know no quotes; an empty separator means that
the whole line is the key.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

SAMPLE_LINES = 200

CSV_SEPARATORS = frozenset(",;|\t")
# In the order of how sure a sign they are: nobody has four dashes inside a key, many have a space.
_CANDIDATES = ("----", "\t", "|", ",", ";", "，", " ")
_SHARE = 0.8
QUOTED_LINES = 50
"""A quoted field may run over this many lines."""
_SPACES = re.compile(" +")


class Vote(NamedTuple):
    """The winning separator, into how many columns it cuts, and how many sample lines it cuts otherwise."""

    separator: str
    columns: int
    odd: int
    sample: int


def vote(lines: Sequence[str]) -> Vote:
    """The separator that cuts most of the first 200 non-empty lines into the same number (2 or more) of columns."""
    sample = [line for line in lines if line.strip()][:SAMPLE_LINES]
    best = Vote("", 1, 0, len(sample))
    best_share = 0.0
    for separator in _CANDIDATES:
        cuts = [cut(line, separator) for line in sample]
        counts = Counter(len(cells) for cells in cuts if len(cells) > 1)
        if not counts:
            continue
        columns, votes = counts.most_common(1)[0]
        share = votes / len(sample)
        if separator == " " and not _two_words([cells for cells in cuts if len(cells) == columns]):
            continue
        if share >= _SHARE and share > best_share:
            best, best_share = Vote(separator, columns, len(sample) - votes, len(sample)), share
    return best


def _two_words(cuts: list[list[str]]) -> bool:
    """Spaces separate only when they leave two changing words; three groups of letters are one key."""
    changing = sum(len(set(column)) > 1 for column in zip(*cuts, strict=True))
    return len(cuts[0]) == 2 or changing == 2


def cut(line: str, separator: str) -> list[str]:
    """The columns of one line. A CSV line with unbalanced quotes is cut as if they were letters."""
    if not separator:
        return [line]
    if separator == " ":
        return _SPACES.split(line.strip(" "))
    if separator in CSV_SEPARATORS and '"' in line:
        cells, _ = cut_quoted([line], 0, separator)
        return cells if cells is not None else line.split(separator)
    return line.split(separator)


def cut_quoted(lines: Sequence[str], at: int, separator: str) -> tuple[list[str] | None, int]:
    """The columns of the CSV record that starts at `lines[at]`, and how many lines it takes.

    A quoted field may run over 50 lines, no further: a stray quote must not swallow the rest of the file. None
    when the quotes do not pair; then the record is that one line.
    """
    for count in range(1, min(QUOTED_LINES, len(lines) - at) + 1):
        try:
            records = list(
                csv.reader([line + "\n" for line in lines[at : at + count]], delimiter=separator, strict=True)
            )
        except csv.Error as error:
            if "unexpected end" in str(error):
                continue
            return None, 1
        return [cell.removesuffix("\n") for cell in records[0]] if records else [""], count
    return None, 1
