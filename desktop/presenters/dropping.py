"""What files are meant to be that a person drops on the window: card keys, a channel's bills, or results of payouts."""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path

_PACKED = frozenset({".zip", ".gz", ".tar"})
_KEYS_ONLY = frozenset({".xlsx", ".xlsm", ".tsv"})
_BILL_NAME = re.compile(
    r"账单|对账|业务明细|账务明细|资金|bill|fund|trade|settle|^\d{8,16}(all|success|refund|basic)", re.IGNORECASE
)
_BOOK_NAME = re.compile(r"^kameng-(finance-)?\d{4}-\d\d-\d\d", re.IGNORECASE)
_RESULTS_NAME = re.compile(r"打款|代付|付款结果|转账结果|payout|^DK\d{8}", re.IGNORECASE)


class Meant(StrEnum):
    """What a dropped file is taken for; workbooks that this console exported go with the bills, to be verified."""

    BILL = "bill"
    KEYS = "keys"
    RESULTS = "results"
    UNCLEAR = "unclear"


def meant_by(name: str) -> Meant:
    """What a file's name says: channels pack their bills and name them so; card keys come as sheets and plain lines."""
    suffix = Path(name).suffix.lower()
    if suffix not in _PACKED and _RESULTS_NAME.search(name):
        return Meant.RESULTS
    if suffix in _PACKED or _BOOK_NAME.match(name) or (suffix not in _KEYS_ONLY and _BILL_NAME.search(name)):
        return Meant.BILL
    return Meant.KEYS if suffix in _KEYS_ONLY else Meant.UNCLEAR


def divided(files: Sequence[Path], *, takers: frozenset[Meant], front: Meant | None) -> dict[Meant, list[Path]]:
    """Files by what they are taken for. Who may drop only one kind is not asked; else the name tells, or `front`.

    At the payouts a sheet is what the bank sent back.
    """
    parts: dict[Meant, list[Path]] = {}
    for file in files:
        meant = next(iter(takers)) if len(takers) == 1 else meant_by(file.name)
        if meant not in takers or (meant is Meant.KEYS and front is Meant.RESULTS):
            meant = Meant.UNCLEAR
        if meant is Meant.UNCLEAR and front in takers:
            meant = front
        parts.setdefault(meant, []).append(file)
    return parts
