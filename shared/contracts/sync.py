"""The change feed: positions only ever grow, rows carry no payload, readers ask for what changed."""

from __future__ import annotations

from enum import StrEnum

from shared.contracts.base import Answer


class ChangeOp(StrEnum):
    """What happened to a row as this reader may know it."""

    PUT = "put"
    DELETE = "delete"
    LEAVE = "leave"


class Change(Answer):
    """One change of one row."""

    pos: int
    entity: str
    entity_id: str
    op: ChangeOp


class Changes(Answer):
    """`GET /sync/v1/changes?cursor=&epoch=&limit=`. `complete` is false while more pages follow.

    Refused where the cursor is of another epoch than the feed: the server came back from a backup.
    """

    cursor: int
    complete: bool
    rows: list[Change]
