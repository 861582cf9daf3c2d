"""How the rows of a payout's instruction are numbered: the shop, who carries them and what comes back name them so."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Row:
    """A row of an instruction: the `n`-th split (0 is the transfer), its payment's end (`E`), or a return of it (`R`).

    `k` counts the returns of a split.
    """

    payout: str
    n: int
    kind: Literal["", "E", "R"] = ""
    k: int = 1

    @property
    def name(self) -> str:
        """The number of its request, such as `DK20261123-001-2`, `…-E2` or `…-R2.1`."""
        return f"{self.payout}-{self.kind}{self.n}" + (f".{self.k}" if self.kind == "R" else "")

    @classmethod
    def named(cls, name: str) -> Row | None:
        """The row that such a number names."""
        found = _NAME.fullmatch(name)
        if found is None:
            return None
        payout, split, end, back, k = found.groups()
        if back is not None:
            return cls(payout, int(back), "R", int(k))
        return cls(payout, int(split)) if split is not None else cls(payout, int(end), "E")


_NAME = re.compile(r"(.+)-(?:([0-9]{1,9})|E([0-9]{1,9})|R([0-9]{1,9})[.]([0-9]{1,9}))")
