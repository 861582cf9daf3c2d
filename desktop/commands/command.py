"""What a command is: one thing a person can do, by menu, key or palette."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from shared.permissions import Permission


@dataclass(frozen=True)
class Command:
    """One thing a person can do.

    `keys` are QKeySequence texts in portable form. `permission` None means anybody, `signed_in` False also nobody.
    """

    id: str
    title: Callable[[], str]
    group: str
    keys: tuple[str, ...] = ()
    permission: Permission | None = None
    icon: str = "command"
    signed_in: bool = True
