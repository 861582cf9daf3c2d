"""What a channel's day comes to, as a run stores it with the day."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from server.reconcile.controls import Balance
from server.reconcile.matching import Side
from shared.contracts import reconcile as wire
from shared.money import Fen

_NOTHING = wire.DaySide(payments=0, payments_fen=0, refunds=0, refunds_fen=0, fees_fen=0)


@dataclass(frozen=True, slots=True)
class Figures:
    """What a day comes to; `pairs_sha256` is over the pairs themselves (`hashing`).

    `theirs` is the whole bill. `foreign` payments and refunds of it are of other businesses with the same merchant
    number, and `foreign_fen` is what they come to, less their fees. `late` is the `net_fen` of signed days, by their
    names, by the bills that came since, as far as this day took what differs by them.
    """

    ours: wire.DaySide = _NOTHING
    theirs: wire.DaySide = _NOTHING
    matched: int = 0
    matched_fen: Fen = 0
    date_shifts: int = 0
    foreign: int = 0
    foreign_fen: Fen = 0
    balance: wire.Balance | None = None
    pairs_sha256: str = ""
    late: Mapping[str, Fen] = field(default_factory=dict)

    @property
    def net_fen(self) -> Fen:
        """What the channel owes us by its bill."""
        return self.theirs.settled_fen - self.theirs.fees_fen - self.foreign_fen

    @classmethod
    def of(cls, stored: str) -> Figures:
        """The figures of a stored day, also of one that an earlier version stored."""
        said = json.loads(stored)
        balance = said.pop("balance")
        return cls(
            ours=wire.DaySide.model_validate(said.pop("ours")),
            theirs=wire.DaySide.model_validate(said.pop("theirs")),
            balance=wire.Balance.model_validate(balance) if balance else None,
            **said,
        )

    def stored(self) -> str:
        """As they are stored and hashed: JSON with sorted keys and nothing between its parts."""
        said: dict[str, Any] = {one.name: getattr(self, one.name) for one in fields(self)}
        said |= {"ours": self.ours.model_dump(), "theirs": self.theirs.model_dump()}
        said["balance"] = self.balance.model_dump() if self.balance else None
        return json.dumps(said, sort_keys=True, separators=(",", ":"))


def side(found: Side) -> wire.DaySide:
    """A side that a matching has counted."""
    return wire.DaySide(**asdict(found))


def foreign(found: Side) -> tuple[int, Fen]:
    """How many rows of others there are, and what they come to."""
    return found.payments + found.refunds, found.settled_fen - found.fees_fen


def balance(found: Balance | None) -> wire.Balance | None:
    """The fund bill's identity, without what its other movements are called."""
    if found is None:
        return None
    named = {one.name: getattr(found, one.name) for one in fields(found) if one.name != "others"}
    return wire.Balance(**named, off_by_fen=found.off_by_fen)
