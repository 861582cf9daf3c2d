"""Card keys that a person holds or asks to see: searched for sealed, revealed once, never stored and never logged.

A search is sealed to the server's import key before it leaves this machine, and neither the pasted text nor an answer
is remembered by the replica. What comes back of a key is its place; only `reveal` brings a key itself.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

import msgspec

from desktop.engine.engine import Engine
from desktop.engine.session import ImportKey
from desktop.engine.transport import Call, code_of
from desktop.importing import separators
from desktop.importing.chunk import seal
from shared import ids
from shared.cardkey import Card, mask, normalise
from shared.contracts.stock import MAX_FOUND, FindKeys, FoundKeys, RevealedUnit, RevealUnit, find_info
from shared.errors import BadInput, KamengError


class TooManyKeys(BadInput):
    """More keys were pasted than one search may ask for."""

    code = "find.too_many"
    zh = "一次最多查找 {most:,} 张卡密，粘贴了 {pasted:,} 行。请分几次查找。"
    en = "At most {most:,} keys can be looked for at once; {pasted:,} lines were pasted. Search in several goes."


@dataclass(frozen=True, slots=True)
class Asked:
    """One pasted line. `shown` is its masked form; `first_line` the line that has the same key, or 0."""

    line: int
    shown: str
    first_line: int
    card: Card = field(repr=False)


@dataclass(frozen=True, slots=True)
class Revealed:
    """One clear card, for the eyes of one person. Its repr says nothing of the card."""

    seq: int
    watermark: str
    revealed_at: datetime
    card: Card = field(repr=False)


def read_pasted(text: str) -> list[Asked]:
    """The cards of pasted lines, read as a file of them would be; empty lines count but are no cards.

    Raises TooManyKeys.
    """
    lines = [(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    if len(lines) > MAX_FOUND:
        raise TooManyKeys(most=MAX_FOUND, pasted=len(lines))
    separator = separators.vote([line for _, line in lines]).separator
    first: dict[Card, int] = {}
    asked = []
    for number, line in lines:
        card = _card(separators.cut(line, separator) if separator else [line])
        earlier = first.setdefault(card, number)
        asked.append(Asked(number, mask(card), earlier if earlier != number else 0, card))
    return asked


async def find(engine: Engine, asked: Sequence[Asked]) -> FoundKeys:
    """Where these cards are in the stock of the shop; of doubled ones the first is asked for.

    `n` of the answer counts those. Raises what the server refuses, and connection errors.
    """
    cards = [one.card for one in asked if not one.first_line]
    try:
        return await _find(engine, cards)
    except KamengError as error:
        if code_of(error) != "search_key_changed":
            raise
    await engine.session.forget_import_key()
    return await _find(engine, cards)


async def _find(engine: Engine, cards: Sequence[Card]) -> FoundKeys:
    key = await engine.session.import_key()
    body = await asyncio.to_thread(_sealed, key, cards)
    return await engine.session.ask(Call("POST", "/api/stock/find", body=body), FoundKeys)


async def reveal(engine: Engine, sku: str, seq: int, *, reason: str, totp: str) -> Revealed:
    """The clear card of one unit. The server writes down who asked and why before it answers."""
    call = Call("POST", f"/api/stock/{sku}/units/{seq}/reveal", body=RevealUnit(reason=reason, totp=totp))
    shown = await engine.session.ask(call, RevealedUnit)
    return Revealed(shown.seq, shown.watermark, shown.revealed_at, Card(shown.number, shown.secret))


def _card(cells: list[str]) -> Card:
    """The card of one line's cells: the last of the first two is the secret."""
    texts = [normalise(cell).text for cell in cells[:2]]
    return Card(texts[0], texts[1]) if len(texts) == 2 and texts[1] else Card("", texts[0])


def _sealed(key: ImportKey, cards: Sequence[Card]) -> FindKeys:
    search_id = ids.new_id()
    clear = msgspec.msgpack.encode([[card.number, card.secret] for card in cards])
    sealed = seal(clear, base64.b64decode(key.public_key), find_info(search_id))
    return FindKeys(id=search_id, key_id=key.key_id, sealed=base64.b64encode(sealed).decode())
