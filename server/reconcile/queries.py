"""Reading reconciliation: a channel's day, its signature, and what others ask of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from uuid import UUID

from sqlalchemy import case, func, select

from server.db import Tx
from server.identity import queries as people
from server.payments import bill_days, kept_bills
from server.payments.adjustments import queries as adjustments
from server.payments.model import PaymentBillFile
from server.policy import Actor
from server.reconcile import beside, days, ours, owed, wording
from server.reconcile.figures import Figures
from server.reconcile.model import ReconcileDay, ReconcileDifference, ReconcileSignature
from shared import clock
from shared.contracts import reconcile as wire
from shared.contracts.base import Page
from shared.errors import BadField
from shared.finance import AdjustmentState, BillKind, DayState, DifferenceKind, DifferenceState
from shared.labels import label
from shared.money import Fen
from shared.permissions import Permission
from shared.sentence import Sentence
from shared.states import BillTrouble

MOST_DAYS = 92

_MATCHED = DifferenceState.MATCHED.value
CLOSED = frozenset({DifferenceState.RESOLVED.value, _MATCHED})

HANDLED = CLOSED | {DifferenceState.WORKING.value}
"""What no person has to decide any more before the day is signed: money on its way is followed by the exceptions."""

_Key = tuple[str, date]


@dataclass(frozen=True, slots=True)
class Reader:
    """Who reads, in which language, of which channels this shop gets bills, and of which none of movements."""

    who: Actor
    language: str
    channels: AbstractSet[str]
    without_funds: AbstractSet[str] = frozenset()

    def needed(self, channel: str) -> tuple[BillKind, ...]:
        """The bills that a channel's day is compared with."""
        return (BillKind.TRADES,) if channel in self.without_funds else (BillKind.TRADES, BillKind.FUNDS)


# --- days ---


def page(tx: Tx, reader: Reader, first: date, last: date, *, after: str | None, limit: int) -> Page[wire.ReconciledDay]:
    """Every channel's days, the oldest first. Raises BadField for more days than anybody looks at."""
    last = min(last, clock.shop_day(clock.now()))
    if (last - first).days >= MOST_DAYS:
        raise BadField(field="to", reason=Sentence(f"最多 {MOST_DAYS} 天", f"at most {MOST_DAYS} days"))
    files = kept_bills.between(tx, first, last)
    channels = sorted(reader.channels | {file.channel for file in files})
    every = [(channel, first + timedelta(days=n)) for n in range((last - first).days + 1) for channel in channels]
    keys = [key for key in every if after is None or _name(key) > after]
    shown = keys[:limit]
    items = _answers(tx, reader, shown, files) if shown else []
    return Page(items=items, next=_name(shown[-1]) if len(keys) > limit else None)


def one(tx: Tx, reader: Reader, channel: str, day: date) -> wire.ReconciledDay:
    """A channel's day."""
    return _answers(tx, reader, [(channel, day)], kept_bills.between(tx, day, day, channel=channel))[0]


def _name(key: _Key) -> str:
    return f"{key[1].isoformat()}:{key[0]}"


def _answers(
    tx: Tx, reader: Reader, keys: Sequence[_Key], files: Sequence[PaymentBillFile]
) -> list[wire.ReconciledDay]:
    first, last = min(day for _, day in keys), max(day for _, day in keys)
    rows, signatures = _rows(tx, first, last), _signatures(tx, first, last)
    labels = {file.added_by for file in files} | {one.signed_by for one in signatures.values()}
    found = _Found(
        rows=rows,
        signatures=signatures,
        differences=_counted(tx, first, last),
        closed=_closed_themselves(tx, first, last),
        files=files,
        troubles=bill_days.troubles(tx, first, last),
        arrived=owed.arrived(tx, [first, last]),
        corrected=owed.corrected(tx, {key: Figures.of(row.figures).net_fen for key, row in rows.items()}),
        corrections=_corrections(tx, first, last),
        names=people.names_of(tx, labels),
    )
    return [_answer(tx, reader, key, found) for key in keys]


@dataclass(frozen=True, slots=True)
class _Found:
    """What was read for some days, set by set."""

    rows: Mapping[_Key, ReconcileDay]
    signatures: Mapping[_Key, ReconcileSignature]
    differences: Mapping[_Key, Sequence[wire.DayDifferences]]
    closed: Mapping[_Key, tuple[int, datetime]]
    files: Sequence[PaymentBillFile]
    troubles: Mapping[_Key, BillTrouble]
    arrived: Mapping[_Key, Fen]
    corrected: Mapping[_Key, Fen]
    corrections: Mapping[_Key, list[wire.Correction]]
    names: Mapping[str, str]


def _answer(tx: Tx, reader: Reader, key: _Key, found: _Found) -> wire.ReconciledDay:
    channel, day = key
    row, signed = found.rows.get(key), found.signatures.get(key)
    files = [file for file in found.files if (file.channel, file.day) == key]
    current = kept_bills.current_of(files)
    words, differences = kept_bills.words(files).values(), found.differences.get(key, [])
    closed, closed_at = found.closed.get(key, (0, None))
    missing = [kind for kind in reader.needed(channel) if kind not in current]
    figures = Figures.of(row.figures) if row else Figures(ours=_ours_now(tx, channel, day))
    waits = _waits(reader, row, current, missing, sum(one.open for one in differences), _rests_on(tx, row))
    state = DayState.SIGNED if signed else DayState.OPEN if row and not missing else DayState.WAITING
    trouble = found.troubles.get(key)
    return wire.ReconciledDay(
        channel=channel,
        day=day,
        state=state,
        bills=[_bill(file, found.names, is_late=file.is_late and file in words) for file in files],
        missing=missing,
        trouble=label(trouble, reader.language) if trouble and missing else None,
        run_at=row.run_at if row else None,
        ours=figures.ours,
        theirs=figures.theirs,
        matched=figures.matched,
        matched_fen=figures.matched_fen,
        date_shifts=figures.date_shifts,
        differences=list(differences),
        closed_themselves=closed,
        closed_themselves_at=closed_at,
        balance=figures.balance,
        net_fen=figures.net_fen,
        foreign=figures.foreign,
        foreign_fen=figures.foreign_fen,
        corrected_fen=found.corrected.get(key, 0),
        arrived_fen=found.arrived.get(key, 0),
        outputs_sha256=row.outputs_sha256 if row else None,
        signature=_signature(signed, row, found.names) if signed and row else None,
        corrections=found.corrections.get(key, []),
        actions=_actions(reader, key, current, waits, is_signed=signed is not None),
        sign_waits_for=[] if signed else waits,
    )


def waits(tx: Tx, reader: Reader, channel: str, day: date) -> list[str]:
    """Why this person cannot sign a day yet; empty when it can be."""
    current = kept_bills.current(tx, channel, day)
    counted = _counted(tx, day, day).get((channel, day), [])
    missing = [kind for kind in reader.needed(channel) if kind not in current]
    row = tx.get(ReconcileDay, (channel, day))
    return _waits(reader, row, current, missing, sum(one.open for one in counted), _rests_on(tx, row))


def _waits(
    reader: Reader,
    row: ReconcileDay | None,
    current: Mapping[BillKind, PaymentBillFile],
    missing: Sequence[BillKind],
    still_open: int,
    rests_on: Sequence[tuple[date, Sequence[PaymentBillFile]]],
) -> list[str]:
    language = reader.language
    waits = [wording.waits_for("missing", language, bills=[(kind, None)]) for kind in missing]
    if row is None:
        return [*waits, wording.waits_for("not_run", language)]
    used = {BillKind.TRADES: row.trades_file_id, BillKind.FUNDS: row.funds_file_id}
    if any(file.id != used[kind] for kind, file in current.items()):
        waits.append(wording.waits_for("newer_bill", language))
    if still_open:
        waits.append(wording.waits_for("open", language, n=still_open))
    its = [(file, None) for file in current.values()]
    of_others = ((file, day) for day, files in rests_on for file in files)
    alone = [
        (BillKind(file.kind), of)
        for file, of in [*its, *of_others]
        if file.source == "dropped" and file.added_by == reader.who.label
    ]
    return [*waits, wording.waits_for("seen_by_you_alone", language, bills=alone)] if alone else waits


def _rests_on(tx: Tx, row: ReconcileDay | None) -> Sequence[tuple[date, Sequence[PaymentBillFile]]]:
    """The bills of other days by which something of an open day came, or closed itself: late ones, and those beside."""
    if row is None or row.is_signed:
        return []
    late = [(file.day, [file]) for file in kept_bills.taken(tx, row.channel, row.day)]
    return [*late, *(beside.compared(tx, row.channel, row.day) if days.rests_beside(tx, row.channel, row.day) else [])]


def _actions(
    reader: Reader,
    key: _Key,
    current: Mapping[BillKind, PaymentBillFile],
    waits: Sequence[str],
    *,
    is_signed: bool,
) -> list[str]:
    if key[1] >= clock.shop_day(clock.now()):
        return []
    is_open, may = not is_signed, reader.who.may
    offered = {
        "fetch": key[0] in reader.channels and may(Permission.RECONCILE_BILL_ADD),
        "run": is_open and BillKind.TRADES in current and may(Permission.RECONCILE_DIFFERENCE_HANDLE),
        "sign": is_open and not waits and may(Permission.RECONCILE_DAY_SIGN),
        "correct": is_signed and may(Permission.LEDGER_ADJUSTMENT_EDIT),
    }
    return [action for action, is_offered in offered.items() if is_offered]


def bill(tx: Tx, file_id: UUID) -> wire.BillFile:
    """A kept bill as people see it."""
    file = tx.get_one(PaymentBillFile, file_id)
    is_word = file in kept_bills.newest(tx, file.channel, file.day).values()
    return _bill(file, people.names_of(tx, {file.added_by}), is_late=file.is_late and is_word)


def _bill(file: PaymentBillFile, names: Mapping[str, str], *, is_late: bool) -> wire.BillFile:
    return wire.BillFile(
        id=file.id,
        channel=file.channel,
        kind=BillKind(file.kind),
        day=file.day,
        merchant_id=file.merchant_id,
        name=file.name,
        source=file.source,
        added_by=names.get(file.added_by, file.added_by),
        added_at=file.added_at,
        bytes=file.size,
        rows=file.row_count,
        sha1=file.sha1,
        sha256=file.sha256,
        totals=[
            wire.BillTotal(name=one.name, printed=one.printed, read=one.read, is_amount=one.is_amount)
            for one in kept_bills.totals_of(file)
        ],
        is_current=file.is_current,
        is_late=is_late,
    )


def _ours_now(tx: Tx, channel: str, day: date) -> wire.DaySide:
    """Our side before anything was compared."""
    counted = ours.counted(tx, channel, day)
    return wire.DaySide(
        payments=counted.payments,
        payments_fen=counted.payments_fen,
        refunds=counted.refunds,
        refunds_fen=counted.refunds_fen,
        fees_fen=counted.fees_fen,
    )


def is_signed(tx: Tx, channel: str, day: date) -> bool:
    """Whether a day is closed."""
    return tx.get(ReconcileSignature, (channel, day)) is not None


# --- rows ---


def _rows(tx: Tx, first: date, last: date) -> dict[_Key, ReconcileDay]:
    of_days = (ReconcileDay.day >= first, ReconcileDay.day <= last)
    found = tx.scalars(select(ReconcileDay).where(*of_days).order_by(ReconcileDay.day, ReconcileDay.channel))
    return {(row.channel, row.day): row for row in found}


def _signatures(tx: Tx, first: date, last: date) -> dict[_Key, ReconcileSignature]:
    of_days = (ReconcileSignature.day >= first, ReconcileSignature.day <= last)
    return {(row.channel, row.day): row for row in tx.scalars(select(ReconcileSignature).where(*of_days))}


def _signature(row: ReconcileSignature, day: ReconcileDay, names: Mapping[str, str]) -> wire.Signature:
    used = {BillKind.TRADES: day.trades_file_id, BillKind.FUNDS: day.funds_file_id}
    return wire.Signature(
        signed_by=names.get(row.signed_by, row.signed_by),
        signed_at=row.signed_at,
        note=row.note,
        inputs_sha256=row.inputs_sha256,
        outputs_sha256=row.outputs_sha256,
        without=[kind for kind, file_id in used.items() if file_id is None],
    )


def _corrections(tx: Tx, first: date, last: date) -> dict[_Key, list[wire.Correction]]:
    """What was posted, or is proposed, about these days, oldest first."""
    found: dict[_Key, list[wire.Correction]] = {}
    rows = adjustments.about_days(tx, first, last)
    names = people.names_of(tx, {row.proposed_by for row in rows})
    for row in rows:
        correction = wire.Correction(
            id=row.id,
            state=AdjustmentState(row.state),
            psp_fen=adjustments.moved(row, "psp", row.channel or ""),
            reason=row.reason,
            proposed_by=names.get(row.proposed_by, row.proposed_by),
            proposed_at=row.proposed_at,
        )
        if row.channel and row.day:
            found.setdefault((row.channel, row.day), []).append(correction)
    return found


def _counted(tx: Tx, first: date, last: date) -> dict[_Key, list[wire.DayDifferences]]:
    r = ReconcileDifference
    off_by = func.coalesce(r.theirs_fen, 0) - func.coalesce(r.ours_fen, 0)
    at_stake = func.sum(case((off_by != 0, func.abs(off_by)), else_=func.abs(func.coalesce(r.ours_fen, 0))))
    how = case((r.state == _MATCHED, "matched"), (r.state.in_(HANDLED), "handled"), else_="open")
    query = select(r.channel, r.day, r.kind, how, func.count(), at_stake).where(r.day >= first, r.day <= last)
    groups: dict[_Key, dict[str, dict[str, tuple[int, Fen]]]] = {}
    for channel, day, kind, which, n, fen in tx.execute(query.group_by(r.channel, r.day, r.kind, how)):
        groups.setdefault((channel, day), {}).setdefault(kind, {})[which] = n, int(fen)
    return {
        key: [_of_kind(kind, kinds[kind.value]) for kind in DifferenceKind if kind.value in kinds]
        for key, kinds in groups.items()
    }


def _closed_themselves(tx: Tx, first: date, last: date) -> dict[_Key, tuple[int, datetime]]:
    """How many differences of each day stood open until another one and closed themselves, and when the last did."""
    r = ReconcileDifference
    its = (r.day >= first, r.day <= last, r.state == _MATCHED, r.handled_at.is_not(None))
    found: dict[_Key, tuple[int, datetime]] = {}
    query = select(r.channel, r.day, r.found_at, r.carried_from, r.handled_at).where(*its).order_by(r.handled_at)
    for channel, day, found_at, carried_from, at in tx.execute(query):
        if at is not None and (carried_from is not None or clock.shop_day(found_at) < clock.shop_day(at)):
            found[channel, day] = found.get((channel, day), (0, at))[0] + 1, at
    return found


def _of_kind(kind: DifferenceKind, counted: Mapping[str, tuple[int, Fen]]) -> wire.DayDifferences:
    (still_open, open_fen), (handled, _), (matched, _) = (
        counted.get(which, (0, 0)) for which in ("open", "handled", "matched")
    )
    closed = handled + matched
    return wire.DayDifferences(kind=kind, open=still_open, closed=closed, matched=matched, open_fen=open_fen)
