"""Finding keys that a person holds in their hands, and telling what happened to a unit. No key leaves here.

A search is an oracle: who may ask learns whether a key is in stock. So it sees the actor's own rows only, is counted
and rate limited, and is written to the audit log with its figures; keys come in sealed and are compared by their keyed
fingerprints.
"""

from __future__ import annotations

import base64
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import msgspec
from sqlalchemy import select

from server import audit
from server.catalog import queries as catalog
from server.crypto import KeyRing, SearchUnreadable
from server.db import Tx
from server.identity import queries as people
from server.policy import Actor, visible
from server.stock import browse
from server.stock.model import (
    CardSecret,
    Delivery,
    RevealLog,
    StockImport,
    StockLot,
    StockUnit,
    StockVoid,
    UndoneDelivery,
)
from shared import cardkey
from shared.contracts.stock import MAX_FOUND, FindKeys, FoundKey, FoundKeys, UnitEvent, UnitHistory
from shared.errors import BadField, Conflict, NotFound
from shared.permissions import Role
from shared.states import LotState, UnitState

MOST_VIEWS, _MOST_READ = 100, 1_000
"""Views of a buyer that a history tells, the first ones: who reloads a page a thousand times adds nothing."""

_LOOK_UP = 1_000
_Asked = msgspec.msgpack.Decoder(list[tuple[str, str]])


class SearchKeyChanged(Conflict):
    """The keys are sealed to another key than this server's."""

    code = "search_key_changed"
    zh = "服务器的导入密钥已更换，请重新登录后再查找。"
    en = "The server's import key has changed; sign in anew and search again."


class _Place(NamedTuple):
    """Where a key of the question is: the secret's own number."""

    n: int
    sku_id: UUID
    seq: int


def find(tx: Tx, keys: KeyRing, body: FindKeys, *, actor: Actor) -> FoundKeys:
    """Where each asked key is, among the actor's own stock; of a reusable key its first use is told.

    Keys are normalised as at an import. Raises SearchKeyChanged and SearchUnreadable, and BadField for more than
    MAX_FOUND keys. Callers take from the actor's bucket before, and `note` the search before they answer.
    """
    asked = _opened(keys, body)
    texts = [_canonical(number, secret) for number, secret in asked]
    first: dict[str, int] = {}
    doubled = [n for n, text in enumerate(texts) if text is not None and first.setdefault(text, n) != n]
    found = _told(tx, _places(tx, keys, texts, actor))
    missing = sorted(set(range(len(asked))) - {one.n for one in found})
    return FoundKeys(asked=len(asked), found=found, missing=missing, doubled=doubled)


def note(tx: Tx, body: FindKeys, found: FoundKeys, *, actor: Actor, request_id: str | None = None) -> None:
    """Write down that somebody searched, and how much they found; nothing of a key."""
    missing = len(found.missing)
    audit.append(
        tx,
        actor=actor.label,
        action="stock.find",
        entity="stock",
        entity_id=str(body.id),
        detail={"asked": found.asked, "found": found.asked - missing, "missing": missing},
        request_id=request_id,
    )


def _opened(keys: KeyRing, body: FindKeys) -> list[tuple[str, str]]:
    if body.key_id != keys.import_key_id:
        raise SearchKeyChanged
    try:
        sealed = base64.b64decode(body.sealed, validate=True)
        asked = _Asked.decode(keys.open_find(sealed, search_id=body.id))
    except (ValueError, msgspec.DecodeError):
        raise SearchUnreadable from None
    if not 1 <= len(asked) <= MAX_FOUND:
        raise BadField(field="sealed", reason=f"1-{MAX_FOUND}")
    return asked


def _canonical(number: str, secret: str) -> str | None:
    """The text as it would have been stored, or None for what no import takes."""
    verdict = cardkey.admit(number, secret)
    return cardkey.canonical(verdict.card) if verdict.reason is None else None


def _places(tx: Tx, keys: KeyRing, texts: Sequence[str | None], actor: Actor) -> list[_Place]:
    """Which stored secrets the texts are: exactly, or but for their case in products that do not look at it."""
    exact: dict[bytes, list[int]] = defaultdict(list)
    folded: dict[bytes, list[int]] = defaultdict(list)
    some_fold = catalog.some_ignore_case(tx)
    for n, text in enumerate(texts):
        if text is not None:
            exact[keys.fingerprinter.of(text)].append(n)
            if some_fold:
                folded[keys.fingerprinter.of(cardkey.fold(text))].append(n)
    mine = visible(actor, StockLot).with_only_columns(StockLot.id)
    hits: list[tuple[UUID, int, bytes]] = []
    wanted = sorted(exact.keys() | folded.keys())
    for at in range(0, len(wanted), _LOOK_UP):
        query = (
            select(CardSecret.sku_id, CardSecret.seq, CardSecret.fingerprint)
            .join(StockUnit, (StockUnit.sku_id == CardSecret.sku_id) & (StockUnit.seq == CardSecret.seq))
            .where(CardSecret.fingerprint.in_(wanted[at : at + _LOOK_UP]), StockUnit.lot_id.in_(mine))
        )
        hits += [(sku_id, seq, fingerprint) for sku_id, seq, fingerprint in tx.execute(query)]
    terms = catalog.sku_terms(tx, list({sku_id for sku_id, _, _ in hits}))
    return sorted(
        _Place(n, sku_id, seq)
        for sku_id, seq, fingerprint in hits
        for n in (folded if terms[sku_id].key_rule.ignore_case else exact).get(fingerprint, ())
    )


def _told(tx: Tx, places: Iterable[_Place]) -> list[FoundKey]:
    by_sku: dict[UUID, list[_Place]] = defaultdict(list)
    for place in places:
        by_sku[place.sku_id].append(place)
    terms = catalog.sku_terms(tx, list(by_sku))
    found: list[FoundKey] = []
    for sku_id, mine in by_sku.items():
        units = {unit.seq: unit for unit in browse.rows(tx, sku_id, sorted({place.seq for place in mine}))}
        found += [
            FoundKey(n=place.n, sku=terms[sku_id].sku_code, unit=units[place.seq])
            for place in mine
            if place.seq in units
        ]
    return sorted(found, key=lambda one: (one.n, one.sku))


# --- what happened to a unit ---


def history(tx: Tx, terms: catalog.SaleTerms, seq: int, *, actor: Actor) -> UnitHistory:
    """What is known of one unit, oldest first. Caller has checked that the SKU is the actor's; raises NotFound.

    Staff have their names. Suppliers are told that a buyer or a member of staff saw the key, not which, nor why: that
    may be about a buyer; names they read of their own people.
    """
    units = browse.rows(tx, terms.sku_id, [seq])
    if not units:
        raise NotFound
    unit = units[0]
    lot = tx.get_one(StockLot, unit.lot_id)
    arrival = tx.get(StockImport, lot.import_id) if lot.import_id else None
    events = [
        UnitEvent(
            at=lot.created_at,
            what="imported",
            actor=arrival.created_by if arrival else "",
            detail=lot.file_name,
            file_sha256=arrival.file_sha256 if arrival else None,
        )
    ]
    undone = (UndoneDelivery.sku_id == terms.sku_id, UndoneDelivery.seq == seq)
    for gone in tx.scalars(select(UndoneDelivery).where(*undone)):
        events += _sold(tx, gone, seq, until=gone.undone_at)
        events.append(UnitEvent(at=gone.undone_at, what="returned", actor=gone.actor, detail=gone.reason))
    sold = tx.get(Delivery, (terms.sku_id, seq))
    if sold is not None:
        events += _sold(tx, sold, seq)
    seen = select(RevealLog).where(RevealLog.sku_id == terms.sku_id, RevealLog.seq.in_(_uses(lot, seq)))
    events += [
        UnitEvent(
            at=view.revealed_at,
            what="revealed",
            actor=view.actor,
            detail="" if actor.role is Role.SUPPLIER else view.reason or "",
        )
        for view in tx.scalars(seen)
    ]
    void = tx.get(StockVoid, (terms.sku_id, seq))
    if void is not None and void.reason:
        events.append(UnitEvent(at=void.voided_at, what="voided", actor=void.actor, detail=void.reason))
    elif unit.state is UnitState.VOID and lot.state == LotState.WITHDRAWN.value:
        moved_at, moved_by = lot.moved_at or lot.created_at, lot.moved_by or ""
        events.append(UnitEvent(at=moved_at, what="withdrawn", actor=moved_by, detail=lot.state_reason or ""))
    events.sort(key=lambda event: event.at)
    told = _with_names(tx, events, actor)
    return UnitHistory(sku=terms.sku_code, unit=unit, import_id=lot.import_id, events=told)


def _with_names(tx: Tx, events: Sequence[UnitEvent], actor: Actor) -> list[UnitEvent]:
    """The events with people by their names; a supplier reads of others only what they are."""
    names = people.names_of(tx, {event.actor for event in events}, supplier_id=actor.supplier_id)
    hides = actor.role is Role.SUPPLIER
    return [
        event.model_copy(
            update={"actor": names.get(event.actor) or (event.actor.partition(":")[0] if hides else event.actor)}
        )
        for event in events
    ]


def _sold(tx: Tx, sold: Delivery | UndoneDelivery, seq: int, *, until: datetime | None = None) -> list[UnitEvent]:
    """A sale of the unit, and the buyer's looks at it: not at other units of the line, before it came or afterwards."""
    mine = [RevealLog.order_line_id == sold.order_line_id, RevealLog.revealed_at >= sold.delivered_at]
    if until is not None:
        mine.append(RevealLog.revealed_at < until)
    views = tx.scalars(select(RevealLog).where(*mine).order_by(RevealLog.revealed_at, RevealLog.id).limit(_MOST_READ))
    of_unit = [view for view in views if view.seqs is None or seq in view.seqs]
    return [
        UnitEvent(at=sold.delivered_at, what="sold"),
        *(UnitEvent(at=view.revealed_at, what="delivered", actor=view.actor) for view in of_unit[:MOST_VIEWS]),
    ]


def _uses(lot: StockLot, seq: int) -> list[int]:
    """The units that share the key of this one."""
    key = lot.key_of(seq)
    return [key + use * lot.stride for use in range(lot.uses)]
