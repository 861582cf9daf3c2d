"""Reading reconciliation: a channel's day, its signature, and what others ask of it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import date, timedelta
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import func, select

from server.db import Tx
from server.identity import queries as people
from server.payments import bill_days, kept_bills
from server.payments.model import PaymentAttempt, PaymentBillFile
from server.payments.refunds.model import Refund
from server.policy import Actor
from server.reconcile import ours, sweeps, wording
from server.reconcile.choosing import off_by
from server.reconcile.model import ReconcileDay, ReconcileDifference, ReconcileSignature
from shared import clock
from shared.contracts import reconcile as wire
from shared.contracts.base import Page
from shared.errors import BadField
from shared.finance import BillKind, DayState, DifferenceKind, DifferenceState
from shared.labels import label
from shared.money import Fen
from shared.permissions import Permission
from shared.states import AttemptState, BillTrouble

MOST_DAYS = 92

NEEDED = (BillKind.TRADES, BillKind.FUNDS)
"""The bills that a day is compared with."""

CLOSED = frozenset({DifferenceState.RESOLVED.value, DifferenceState.MATCHED.value})

HANDLED = CLOSED | {DifferenceState.WORKING.value}
"""What no person has to decide any more before the day is signed: money on its way is followed by the exceptions."""

_NOTHING = wire.DaySide(payments=0, payments_fen=0, refunds=0, refunds_fen=0, fees_fen=0)
_Key = tuple[str, date]


@dataclass(frozen=True, slots=True)
class Reader:
    """Who reads, in which language, and of which channels this shop gets bills."""

    who: Actor
    language: str
    channels: AbstractSet[str]


# --- days ---


def page(tx: Tx, reader: Reader, first: date, last: date, *, after: str | None, limit: int) -> Page[wire.ReconciledDay]:
    """Every channel's days, the oldest first. Raises BadField for more days than anybody looks at."""
    last = min(last, clock.shop_day(clock.now()))
    if (last - first).days >= MOST_DAYS:
        raise BadField(field="to", reason=f"最多 {MOST_DAYS} 天 / at most {MOST_DAYS} days")
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
    signatures = _signatures(tx, first, last)
    labels = {file.added_by for file in files} | {one.signed_by for one in signatures.values()}
    found = _Found(
        rows=_rows(tx, first, last),
        signatures=signatures,
        differences=_counted(tx, first, last),
        files=files,
        troubles=bill_days.troubles(tx, first, last),
        arrived=sweeps.arrived(tx, first, last),
        names=people.names_of(tx, labels),
    )
    return [_answer(tx, reader, key, found) for key in keys]


@dataclass(frozen=True, slots=True)
class _Found:
    """What was read for some days, set by set."""

    rows: Mapping[_Key, ReconcileDay]
    signatures: Mapping[_Key, ReconcileSignature]
    differences: Mapping[_Key, Sequence[wire.DayDifferences]]
    files: Sequence[PaymentBillFile]
    troubles: Mapping[_Key, BillTrouble]
    arrived: Mapping[_Key, Fen]
    names: Mapping[str, str]


def _answer(tx: Tx, reader: Reader, key: _Key, found: _Found) -> wire.ReconciledDay:
    channel, day = key
    row, signed = found.rows.get(key), found.signatures.get(key)
    files = [file for file in found.files if (file.channel, file.day) == key]
    current = {BillKind(file.kind): file for file in files if file.is_current}
    differences = found.differences.get(key, [])
    missing = [kind for kind in NEEDED if kind not in current]
    figures = Figures.of(row.figures) if row else Figures(ours=_ours_now(tx, channel, day))
    waits = _waits(row, current, missing, sum(one.open for one in differences), reader.language)
    state = DayState.SIGNED if signed else DayState.OPEN if row and not missing else DayState.WAITING
    trouble = found.troubles.get(key)
    return wire.ReconciledDay(
        channel=channel,
        day=day,
        state=state,
        bills=[_bill(file, found.names) for file in files],
        missing=missing,
        trouble=label(trouble, reader.language) if trouble and missing else None,
        run_at=row.run_at if row else None,
        ours=figures.ours,
        theirs=figures.theirs,
        matched=figures.matched,
        matched_fen=figures.matched_fen,
        date_shifts=figures.date_shifts,
        differences=list(differences),
        balance=figures.balance,
        net_fen=net_of(figures.theirs),
        arrived_fen=found.arrived.get(key, 0),
        outputs_sha256=row.outputs_sha256 if row else None,
        signature=_signature(signed, found.names) if signed else None,
        actions=_actions(reader, key, current, missing, waits, is_signed=signed is not None),
        sign_waits_for=[] if signed else waits,
    )


def waits(tx: Tx, channel: str, day: date, language: str) -> list[str]:
    """Why a day cannot be signed yet; empty when it can."""
    current = kept_bills.current(tx, channel, day)
    counted = _counted(tx, day, day).get((channel, day), [])
    missing = [kind for kind in NEEDED if kind not in current]
    row = tx.get(ReconcileDay, (channel, day))
    return _waits(row, current, missing, sum(one.open for one in counted), language)


def _waits(
    row: ReconcileDay | None,
    current: Mapping[BillKind, PaymentBillFile],
    missing: Sequence[BillKind],
    still_open: int,
    language: str,
) -> list[str]:
    waits = [wording.waits_for("missing", language, bill=kind) for kind in missing]
    if row is None:
        return [*waits, wording.waits_for("not_run", language)]
    used = {BillKind.TRADES: row.trades_file_id, BillKind.FUNDS: row.funds_file_id}
    if any(file.id != used[kind] for kind, file in current.items()):
        waits.append(wording.waits_for("newer_bill", language))
    if still_open:
        waits.append(wording.waits_for("open", language, n=still_open))
    return waits


def _actions(
    reader: Reader,
    key: _Key,
    current: Mapping[BillKind, PaymentBillFile],
    missing: Sequence[BillKind],
    waits: Sequence[str],
    *,
    is_signed: bool,
) -> list[str]:
    if is_signed or key[1] >= clock.shop_day(clock.now()):
        return []
    offered = {
        "fetch": bool(missing) and key[0] in reader.channels and reader.who.may(Permission.RECONCILE_BILL_ADD),
        "run": BillKind.TRADES in current and reader.who.may(Permission.RECONCILE_DIFFERENCE_HANDLE),
        "sign": not waits and reader.who.may(Permission.RECONCILE_DAY_SIGN),
    }
    return [action for action, is_offered in offered.items() if is_offered]


def bill(tx: Tx, file_id: UUID) -> wire.BillFile:
    """A kept bill as people see it."""
    file = tx.get_one(PaymentBillFile, file_id)
    return _bill(file, people.names_of(tx, {file.added_by}))


def _bill(file: PaymentBillFile, names: Mapping[str, str]) -> wire.BillFile:
    return wire.BillFile(
        id=file.id,
        channel=file.channel,
        kind=BillKind(file.kind),
        day=file.day,
        merchant_id=file.merchant_id,
        name=file.name,
        source="fetched" if file.source == "fetched" else "dropped",
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
    )


# --- figures ---


@dataclass(frozen=True, slots=True)
class Figures:
    """What a day comes to, as it is stored with it; `pairs_sha256` is over the pairs themselves (`hashing`)."""

    ours: wire.DaySide = _NOTHING
    theirs: wire.DaySide = _NOTHING
    matched: int = 0
    matched_fen: Fen = 0
    date_shifts: int = 0
    balance: wire.Balance | None = None
    pairs_sha256: str = ""

    @classmethod
    def of(cls, stored: str) -> Figures:
        """The figures of a stored day."""
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
        said = {
            "ours": self.ours.model_dump(),
            "theirs": self.theirs.model_dump(),
            "matched": self.matched,
            "matched_fen": self.matched_fen,
            "date_shifts": self.date_shifts,
            "balance": self.balance.model_dump() if self.balance else None,
            "pairs_sha256": self.pairs_sha256,
        }
        return json.dumps(said, sort_keys=True, separators=(",", ":"))


def net_of(side: wire.DaySide) -> Fen:
    """What a channel owes for a day by one side's figures."""
    return side.settled_fen - side.fees_fen


def _ours_now(tx: Tx, channel: str, day: date) -> wire.DaySide:
    """Our side before anything was compared."""
    start, end = clock.day_bounds(day)
    paid = (PaymentAttempt.channel == channel, PaymentAttempt.state == AttemptState.PAID.value)
    in_day = (PaymentAttempt.paid_at >= start, PaymentAttempt.paid_at < end)
    sums = (func.count(), func.sum(PaymentAttempt.amount_fen), func.sum(PaymentAttempt.fee_fen))
    payments, fen, fees = tx.execute(select(*sums).where(*paid, *in_day)).one()
    its = (Refund.channel == channel, Refund.submitted_at >= start, Refund.submitted_at < end)
    going = Refund.state.in_(ours.ASKED)
    refunds, back = tx.execute(select(func.count(), func.sum(Refund.amount_fen)).where(*its, going)).one()
    return wire.DaySide(
        payments=payments,
        payments_fen=int(fen or 0),
        refunds=refunds,
        refunds_fen=int(back or 0),
        fees_fen=int(fees or 0),
    )


# --- what reports and the invariants ask ---


class DayNet(NamedTuple):
    """What a channel owes for a reconciled day by its bill and by our books, and what of that is explained.

    Nothing is left unexplained: `theirs_fen - ours_fen` is what its differences come to and what is of another day.
    """

    channel: str
    day: date
    theirs_fen: Fen
    ours_fen: Fen
    arrived_fen: Fen
    is_signed: bool


def nets(tx: Tx, first: date, last: date) -> list[DayNet]:
    """The reconciled days between two, for the check that what channels owe clears (L7)."""
    arrived = sweeps.arrived(tx, first, last)
    return [
        DayNet(
            row.channel,
            row.day,
            net_of(figures.theirs),
            net_of(figures.ours),
            arrived.get((row.channel, row.day), 0),
            row.is_signed,
        )
        for row in _rows(tx, first, last).values()
        for figures in (Figures.of(row.figures),)
    ]


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


def _signature(row: ReconcileSignature, names: Mapping[str, str]) -> wire.Signature:
    return wire.Signature(
        signed_by=names.get(row.signed_by, row.signed_by),
        signed_at=row.signed_at,
        note=row.note,
        inputs_sha256=row.inputs_sha256,
        outputs_sha256=row.outputs_sha256,
    )


def _counted(tx: Tx, first: date, last: date) -> dict[_Key, list[wire.DayDifferences]]:
    of_days = (ReconcileDifference.day >= first, ReconcileDifference.day <= last)
    groups: dict[_Key, dict[str, list[ReconcileDifference]]] = {}
    for row in tx.scalars(select(ReconcileDifference).where(*of_days)):
        groups.setdefault((row.channel, row.day), {}).setdefault(row.kind, []).append(row)
    return {
        key: [
            _of_kind(DifferenceKind(kind), kinds[kind])
            for kind in (one.value for one in DifferenceKind)
            if kind in kinds
        ]
        for key, kinds in groups.items()
    }


def _of_kind(kind: DifferenceKind, rows: Sequence[ReconcileDifference]) -> wire.DayDifferences:
    still_open = [row for row in rows if row.state not in HANDLED]
    return wire.DayDifferences(
        kind=kind,
        open=len(still_open),
        closed=len(rows) - len(still_open),
        open_fen=sum(abs(off_by(row)) for row in still_open),
    )
