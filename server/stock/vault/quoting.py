"""Keys that people quote in what they write: masked before it is stored, because no key is in a log or a replica.

What a text may quote is known by opening the keys under the row of the reveal log of whoever was shown them: nobody
sees anything that was not logged, and a key that no buyer has seen is not opened.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from sqlalchemy import select

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


def masked(tx: Tx, keys: KeyRing, lines: Sequence[LineUnits], text: str) -> str:
    """`text` with the keys that buyers were shown of these lines masked, however they are spaced or in which case.

    Raises CardUnreadable.
    """
    views = {}
    for line in lines if len(text) >= _LEAST else ():
        shown = select(RevealLog.id).where(RevealLog.order_line_id == line.order_line_id).limit(1)
        if (view_id := tx.scalars(shown).first()) is not None:
            views[view_id] = line
    for opened in vault.delivered(tx, keys, views).values():
        for secret in opened:
            text = _without(text, parse_canonical(secret.reveal()))
    return text


def _without(text: str, card: Card) -> str:
    for part in (card.secret, card.number):
        letters = [letter for letter in part if not re.fullmatch(_BETWEEN, letter)]
        if len(letters) >= _LEAST:
            quoted = re.compile(_BETWEEN.join(map(re.escape, letters)), re.IGNORECASE)
            text = quoted.sub(mask(Card("", part)), text)
    return text
