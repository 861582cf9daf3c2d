"""Keys that people quote in what they write: masked before it is stored, because no key is in a log or a replica.

What a text may quote is known by opening the keys under the row of the reveal log of whoever was shown them: nobody
sees anything that was not logged, and a key that no buyer has seen is not opened. Callers hold the writer: a text is
looked through in full only for a key that it has.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

from sqlalchemy import null, select

from server.crypto import KeyRing
from server.db import Tx
from server.stock import vault
from server.stock.actions import LineUnits
from server.stock.model import RevealLog
from shared.cardkey import Card, mask, parse_canonical

_LEAST = 4
"""Shorter texts are too common to be taken for a key."""

_BETWEEN = r"[\s\-_.·]*"
"""What people put between the letters of a key when they write it down."""

_ALL_BETWEEN = re.compile(_BETWEEN)


def masked(tx: Tx, keys: KeyRing, lines: Sequence[LineUnits], text: str) -> str:
    """`text` with the keys that buyers were shown of these lines masked, however they are spaced or in which case.

    What does not open cannot be quoted: it is logged by the vault, and keeps nobody from writing.
    """
    squeezed = _squeezed(text)
    if len(squeezed) < _LEAST:
        return text
    views = dict(found for line in lines if (found := _shown(tx, line)) is not None)
    for opened in vault.delivered(tx, keys, views, skip_damaged=True).values():
        for secret in opened:
            text = _without(text, squeezed, parse_canonical(secret.reveal()))
    return text


def _shown(tx: Tx, line: LineUnits) -> tuple[UUID, LineUnits] | None:
    """A row of the reveal log and the units of the line that buyers were shown; None where they were shown nothing."""
    of_line = RevealLog.order_line_id == line.order_line_id
    whole = select(RevealLog.id).where(of_line, RevealLog.seqs.is_(null())).limit(1)
    if (view_id := tx.scalars(whole).first()) is not None:
        return view_id, line
    seqs: set[int] = set()
    for part_id, part in tx.execute(select(RevealLog.id, RevealLog.seqs).where(of_line)):
        view_id = part_id
        seqs.update(part or ())
    return None if view_id is None else (view_id, replace(line, seqs=tuple(seq for seq in line.seqs if seq in seqs)))


def _squeezed(text: str) -> str:
    return _ALL_BETWEEN.sub("", text).casefold()


def _without(text: str, squeezed: str, card: Card) -> str:
    for part in (card.secret, card.number):
        letters = _ALL_BETWEEN.sub("", part)
        if len(letters) >= _LEAST and letters.casefold() in squeezed:
            quoted = re.compile(_BETWEEN.join(map(re.escape, letters)), re.IGNORECASE)
            text = quoted.sub(mask(Card("", part)), text)
    return text
