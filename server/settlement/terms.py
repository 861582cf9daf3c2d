"""The terms of suppliers, version by version, and the calendar they are counted by.

A line keeps the terms of the instant it was delivered at. Before its first version a supplier has the standard terms.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from functools import cache
from typing import Any
from uuid import UUID

from sqlalchemy import Select, insert, select
from sqlalchemy.exc import IntegrityError

from server import audit, changes
from server.catalog import fees
from server.db import Tx, table_of
from server.identity import suppliers
from server.identity.queries import supplier_terms
from server.policy import Actor
from server.settlement.due import Terms
from server.settlement.model import SettlementHoliday, SettlementTerms
from server.settlement.working_days import Calendar, name_of
from shared import clock
from shared.contracts import settlement as wire
from shared.errors import Conflict, NotFound
from shared.finance import Cycle, ReleaseFrom

DOMAIN = "settlement"


class TermsChanged(Conflict):
    """Somebody changed the terms after the person looked at them."""

    code = "terms_changed"
    zh = "结算条件已被他人修改（当前版本 {version}），请刷新后重试。"
    en = "The terms were changed meanwhile (now version {version}); reload and try again."


@dataclass(frozen=True, slots=True)
class TermsHistory:
    """The terms of one supplier: the standard ones, and from each instant on those that were agreed then."""

    supplier_id: UUID
    supplier: str
    standard: Terms
    versions: tuple[SettlementTerms, ...] = ()

    @property
    def version(self) -> int:
        """The current version; 0 while there is none but the standard."""
        return self.versions[-1].version if self.versions else 0

    @property
    def current(self) -> Terms:
        """Those of today."""
        return _terms(self.versions[-1]) if self.versions else self.standard

    def at(self, instant: datetime) -> Terms:
        """Those that held at an instant."""
        n = bisect_right(self.versions, instant, key=lambda row: row.valid_from)
        return _terms(self.versions[n - 1]) if n else self.standard


def histories(tx: Tx, supplier_ids: Collection[UUID] | None = None) -> dict[UUID, TermsHistory]:
    """The terms of these suppliers, or of all, by the order of their ids."""
    supplier, (named, query) = supplier_terms(), _all_terms()
    if supplier_ids is not None:
        named = named.where(supplier.c.id.in_(list(supplier_ids)))
        query = query.where(SettlementTerms.supplier_id.in_(list(supplier_ids)))
    found = {
        row.id: TermsHistory(row.id, row.name, Terms(mode=row.settlement_mode, tier=row.tier))
        for row in tx.execute(named)
    }
    for row in tx.scalars(query):
        known = found[row.supplier_id]
        found[row.supplier_id] = replace(known, versions=(*known.versions, row))
    return found


@cache
def _all_terms() -> tuple[Select[Any], Select[SettlementTerms]]:
    supplier = supplier_terms()
    versions = select(SettlementTerms).order_by(SettlementTerms.supplier_id, SettlementTerms.version)
    return select(supplier).order_by(supplier.c.id), versions


def _terms(row: SettlementTerms) -> Terms:
    return Terms(
        mode=row.mode,
        cycle=Cycle(row.cycle),
        n=row.n,
        cutoff=row.cutoff,
        release_from=ReleaseFrom(row.release_from),
        hold_days=row.hold_days,
        minimum_fen=row.minimum_fen,
        payout_fee_fen=row.payout_fee_fen,
        tier=row.tier,
        split_ppm=row.split_ppm,
        receiver=row.receiver,
        account=row.account,
        bank=row.bank,
    )


def change(tx: Tx, supplier_id: UUID, wanted: wire.EditTerms, *, actor: Actor, request_id: str | None = None) -> None:
    """Agree other terms for what is delivered from now on; a repeat changes nothing. Raises NotFound, TermsChanged."""
    known = histories(tx, [supplier_id]).get(supplier_id)
    if known is None:
        raise NotFound
    said = {
        "mode": wanted.mode,
        "cycle": wanted.cycle.value,
        "n": wanted.n,
        "cutoff": wanted.cutoff,
        "release_from": wanted.release_from.value,
        "hold_days": wanted.hold_days,
        "minimum_fen": wanted.minimum_fen,
        "payout_fee_fen": wanted.payout_fee_fen,
        "tier": wanted.tier,
        "split_ppm": wanted.split_ppm,
        "receiver": wanted.receiver,
        "account": wanted.account,
        "bank": wanted.bank,
        "reason": wanted.reason,
    }
    if known.version != wanted.version:
        newest = known.versions[-1] if known.version == wanted.version + 1 else None
        if newest is not None and all(getattr(newest, name) == value for name, value in said.items()):
            return  # the same wish again, whose answer was lost
        raise TermsChanged(version=known.version)
    row = {
        "supplier_id": supplier_id,
        "version": known.version + 1,
        "valid_from": clock.now(),
        "changed_by": actor.label,
    } | said
    try:
        with tx.begin_nested():
            tx.execute(insert(table_of(SettlementTerms)), row)
    except IntegrityError:
        raise TermsChanged(version=known.version + 1) from None
    suppliers.settle_by(tx, supplier_id, mode=wanted.mode, tier=wanted.tier, actor=actor.label, request_id=request_id)
    if wanted.tier != known.current.tier:
        fees.follow_tier(tx, supplier_id)
    audit.append(
        tx,
        actor=actor.label,
        action="settlement.terms",
        entity="supplier",
        entity_id=str(supplier_id),
        detail={
            **said,
            "cutoff": wanted.cutoff.isoformat("minutes"),
            "account": masked(wanted.account),
            "version": known.version + 1,
        },
        request_id=request_id,
    )
    changes.append(tx, "settlement", supplier_id, domain=DOMAIN, supplier_id=supplier_id)


def masked(account: str) -> str:
    """The end of an account's number: which one it is, for those who know it."""
    return f"…{account[-4:]}" if account else ""


# --- the calendar ---


def calendar(tx: Tx) -> Calendar:
    """The working days as the library knows them and people corrected them."""
    return Calendar(dict(tx.execute(select(SettlementHoliday.day, SettlementHoliday.works)).all()))


def holidays(tx: Tx, year: int) -> list[wire.Holiday]:
    """The days of a year on which people work unlike in an ordinary week, and those that people entered."""
    entered = {row.day: row for row in tx.scalars(select(SettlementHoliday))}
    days = Calendar({day: row.works for day, row in entered.items()})
    first, known = date(year, 1, 1), days.knows(year)
    whole = (first + timedelta(days=n) for n in range((date(year + 1, 1, 1) - first).days))
    return [
        wire.Holiday(
            day=day,
            works=days.works(day),
            known=known,
            name=entered[day].name if day in entered else name_of(day),
        )
        for day in whole
        if day in entered or days.works(day) != (day.weekday() < 5)
    ]


def enter_holiday(
    tx: Tx, day: date, wanted: wire.EditHoliday, *, actor: Actor, request_id: str | None = None
) -> wire.Holiday:
    """Say whether people work on a day; a repeat changes nothing."""
    row = tx.get(SettlementHoliday, day, with_for_update=True)
    if row is None:
        row = SettlementHoliday(day=day, works=wanted.works, name=wanted.name)
        tx.add(row)
    elif (row.works, row.name) == (wanted.works, wanted.name):
        return _holiday(tx, row)
    row.works, row.name, row.changed_by, row.changed_at = wanted.works, wanted.name, actor.label, clock.now()
    try:
        with tx.begin_nested():
            tx.flush()
    except IntegrityError:
        raise Conflict from None  # somebody enters the same day
    audit.append(
        tx,
        actor=actor.label,
        action="settlement.holiday",
        entity="holiday",
        entity_id=day.isoformat(),
        detail={"works": wanted.works, "name": wanted.name},
        request_id=request_id,
    )
    return _holiday(tx, row)


def _holiday(tx: Tx, row: SettlementHoliday) -> wire.Holiday:
    return wire.Holiday(day=row.day, works=row.works, known=calendar(tx).knows(row.day.year), name=row.name)
