"""Bills as they came, kept for good: what was reconciled against can be read again, byte for byte.

A bill names payers, so its file is compressed, cut into pieces and sealed by the key ring. The same file again adds
nothing; another one of the same day is the current one from then on, and those before it stay. Once a day is signed its
bills are closed: what comes then is kept, and is late, and what was given last is the channel's word. Where a channel
says that it has no bill of a day, that is kept as one without rows.
"""

from __future__ import annotations

import hashlib
import io
import json
import zlib
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Literal
from uuid import UUID

from sqlalchemy import ColumnElement, func, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from server import audit
from server.crypto import KeyRing
from server.db import Tx, among, table_of
from server.gateways import port
from server.gateways.bill_rows import Total
from server.gateways.port import Bill
from server.payments.model import PaymentBillFile, PaymentBillPiece
from shared import clock, ids
from shared.finance import BillKind

PIECE_BYTES = 1024 * 1024
"""What a statement of every engine takes as it comes."""

_PURPOSE = "bill"

Source = Literal["fetched", "dropped", "none"]

_WEIGHT: dict[str, int] = {"none": 0, "dropped": 1, "fetched": 2}
"""Of two that were the first of a day at once what the channel gave counts, and any file before that it has none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewBill:
    """A bill that was read to its end and holds: its file as it came, and what it says of itself.

    The hashes are of the unpacked file with the rows, so that no wrapping makes another bill of it.
    """

    channel: str
    kind: BillKind
    day: date
    merchant_id: str
    name: str
    content: bytes = field(repr=False)
    rows: int
    sha1: str
    sha256: str
    totals: Sequence[Total]


@dataclass(frozen=True, slots=True)
class Kept:
    """A kept bill, and whether it was news."""

    file: PaymentBillFile
    is_new: bool


def keep(tx: Tx, keys: KeyRing, bill: NewBill, *, source: Source, by: str) -> Kept:
    """Keep a bill as the current one of its day; what is kept already, in whatever wrapping, is not kept twice.

    One that was dropped and comes from the channel as well is fetched from then on; one that a second person drops as
    well is that person's. Of a signed day another one is late, and leaves the day as it is; the one before,
    given again, is the channel's word again.
    """
    its = _its(bill.channel, bill.kind, bill.day)
    there = hold(tx, bill.channel, bill.day)
    known = next((file for file in there if (file.kind, file.sha256) == (bill.kind.value, bill.sha256)), None)
    is_late = any(file.is_closed for file in there)
    is_other = source == "fetched" or (known is not None and known.added_by != by and not is_late)
    is_confirmed = known is not None and known.source == "dropped" and is_other
    is_word = known is not None and known is words(there).get(bill.kind)
    is_news = is_confirmed or not is_word
    if is_news and not is_late:
        tx.execute(update(PaymentBillFile).where(*its, PaymentBillFile.is_current).values(is_current=False))
    try:
        file = known or _add(tx, keys, bill, source=source, by=by)
    except IntegrityError:  # another one is keeping the first bill of the day just now, and it is this one
        return keep(tx, keys, bill, source=source, by=by)
    if is_confirmed:
        file.source, file.added_by = source, by
    if not is_late:
        file.is_current = True
    elif not is_word:
        file.late_n, file.taken_on = 1 + max((one.late_n or 0 for one in there), default=0), None
    tx.flush()
    if is_news:
        audit.append(
            tx,
            actor=by,
            action="bill.keep",
            entity="bill",
            entity_id=str(file.id),
            detail={"channel": file.channel, "kind": file.kind, "day": file.day.isoformat(), "sha256": file.sha256},
        )
    return Kept(file, is_news)


def hold(tx: Tx, channel: str, day: date) -> Sequence[PaymentBillFile]:
    """All bills of a day, under lock: no other takes the place of one while the day is signed with it."""
    of_day = (PaymentBillFile.channel == channel, PaymentBillFile.day == day)
    query = select(PaymentBillFile).where(*of_day).order_by(PaymentBillFile.id).with_for_update()
    return tx.scalars(query, execution_options={"populate_existing": True}).all()


def _add(tx: Tx, keys: KeyRing, bill: NewBill, *, source: Source, by: str) -> PaymentBillFile:
    """Raises IntegrityError where the same one is kept by now; the transaction stands."""
    file = PaymentBillFile(
        id=ids.new_id(),
        channel=bill.channel,
        kind=bill.kind.value,
        day=bill.day,
        merchant_id=bill.merchant_id[:64],
        name=bill.name[-200:],
        source=source,
        added_by=by,
        added_at=clock.now(),
        size=len(bill.content),
        row_count=bill.rows,
        sha1=bill.sha1,
        sha256=bill.sha256,
        totals=json.dumps([[one.name, one.printed, one.read, one.is_amount] for one in bill.totals]),
        is_current=False,
    )
    with tx.begin_nested():
        tx.add(file)
    packed = zlib.compress(bill.content)
    for n, at in enumerate(range(0, len(packed), PIECE_BYTES)):
        sealed = keys.seal_small(_PURPOSE, _place(file.id, n), packed[at : at + PIECE_BYTES])
        tx.execute(insert(table_of(PaymentBillPiece)), {"file_id": file.id, "n": n, "sealed": sealed})
    return file


def none(channel: str, kind: BillKind, day: date, merchant_id: str) -> NewBill:
    """What a channel says where it has no bill of a day: one without rows."""
    return NewBill(
        channel=channel,
        kind=kind,
        day=day,
        merchant_id=merchant_id,
        name="-",
        content=b"",
        rows=0,
        sha1=hashlib.sha1(b"", usedforsecurity=False).hexdigest(),
        sha256=hashlib.sha256(b"").hexdigest(),
        totals=[],
    )


def has_rows(file: PaymentBillFile) -> bool:
    """Whether there is a file to be read: not where the channel said that it has none."""
    return file.source != "none"


def close(tx: Tx, channel: str, day: date) -> None:
    """The day is signed with its current bills: they stay its bills, whatever comes. Of two that were the first of the
    day at once, the one that does not count is none of them.
    """
    its = (PaymentBillFile.channel == channel, PaymentBillFile.day == day, PaymentBillFile.is_current)
    signed = PaymentBillFile.id.in_([file.id for file in current(tx, channel, day).values()])
    tx.execute(update(PaymentBillFile).where(*its, signed).values(is_closed=True))
    tx.execute(update(PaymentBillFile).where(*its, ~signed).values(is_current=False))


def is_closed(tx: Tx, channel: str, day: date) -> bool:
    """Whether a day was signed."""
    its = (PaymentBillFile.channel == channel, PaymentBillFile.day == day, PaymentBillFile.is_closed)
    return tx.scalars(select(PaymentBillFile.id).where(*its).limit(1)).first() is not None


def late(tx: Tx, channel: str, *, before: date) -> Sequence[date]:
    """Signed days before this one of which a bill came late, and no open day has taken what differs by it; and those
    beside them of which one came late as well: what a day closes with, the next one opens with.

    One that another took the place of before anybody took it is no news.
    """
    f = PaymentBillFile
    its = (f.channel == channel, f.day < before, f.late_n.is_not(None))
    left = set(tx.scalars(select(f.day).where(*its, f.taken_on.is_(None))))
    news = {day for day in left if any(_is_news(file) for file in newest(tx, channel, day).values())}
    beside = {day + timedelta(days=step) for day in news for step in (-1, 1)}
    return sorted(news | set(tx.scalars(select(f.day).where(*its, f.day.in_(sorted(beside)))) if beside else ()))


def has_late(tx: Tx, channel: str, day: date) -> bool:
    """Whether another bill of a signed day came since."""
    its = (PaymentBillFile.channel == channel, PaymentBillFile.day == day, PaymentBillFile.late_n.is_not(None))
    return tx.scalars(select(PaymentBillFile.id).where(*its).limit(1)).first() is not None


def _is_news(file: PaymentBillFile) -> bool:
    return file.late_n is not None and file.taken_on is None


def newest(tx: Tx, channel: str, day: date) -> dict[BillKind, PaymentBillFile]:
    """The bills of a day as the channel has them now: of a signed day what was given last, else the current ones."""
    of_day = (PaymentBillFile.channel == channel, PaymentBillFile.day == day)
    return words(tx.scalars(select(PaymentBillFile).where(*of_day)))


def replaced(tx: Tx, channel: str, kind: BillKind) -> Sequence[UUID]:
    """The bills of any day that another one took the place of."""
    f = PaymentBillFile
    its = (f.channel == channel, f.kind == kind.value)
    several = select(f.day).where(*its).group_by(f.day).having(func.count() > 1)
    of_days: dict[date, list[PaymentBillFile]] = defaultdict(list)
    for file in tx.scalars(select(f).where(*its, f.day.in_(several))):
        of_days[file.day].append(file)
    return sorted(file.id for files in of_days.values() for file in files if file is not words(files).get(kind))


def words(files: Iterable[PaymentBillFile]) -> dict[BillKind, PaymentBillFile]:
    """Of all bills of a day those that are the channel's word."""
    return _that_count(file for file in files if file.is_current or file.is_late)


def current_of(files: Iterable[PaymentBillFile]) -> dict[BillKind, PaymentBillFile]:
    """Of all bills of a day the current ones, by what they list."""
    return _that_count(file for file in files if file.is_current)


def _that_count(files: Iterable[PaymentBillFile]) -> dict[BillKind, PaymentBillFile]:
    told = sorted(files, key=lambda file: (file.late_n or 0, _WEIGHT[file.source], file.id))
    return {BillKind(file.kind): file for file in told}


def take(tx: Tx, files: Collection[PaymentBillFile], day: date) -> None:
    """What differs by late bills is work of this open day."""
    its = (PaymentBillFile.id.in_([file.id for file in files]), PaymentBillFile.late_n.is_not(None))
    tx.execute(update(PaymentBillFile).where(*its, PaymentBillFile.taken_on.is_(None)).values(taken_on=day))


def taken(tx: Tx, channel: str, day: date) -> Sequence[PaymentBillFile]:
    """The late bills of signed days of which this open one took what differs."""
    its = (PaymentBillFile.channel == channel, PaymentBillFile.taken_on == day)
    return tx.scalars(select(PaymentBillFile).where(*its).order_by(PaymentBillFile.id)).all()


def content(tx: Tx, keys: KeyRing, file_id: UUID) -> bytes:
    """The file as it came. Raises SecretUnreadable where the key ring is another one."""
    p, packed, content = PaymentBillPiece, zlib.decompressobj(), io.BytesIO()
    pieces = select(p.n, p.sealed).where(p.file_id == file_id).order_by(p.n)
    for n, sealed in tx.execute(pieces.execution_options(yield_per=1)):  # a million rows: the file is here once
        content.write(packed.decompress(keys.open_small(_PURPOSE, _place(file_id, n), sealed)))
    content.write(packed.flush())
    if not packed.eof:
        raise zlib.error("a piece of a bill is missing")
    return content.getvalue()


def as_bill(file: PaymentBillFile, content: bytes) -> Bill:
    """A kept bill as its gateway would give it."""
    kind: port.BillKind = "trades" if file.kind == BillKind.TRADES else "funds"
    return Bill(file.channel, kind, file.day, name=file.name, content=content)


def totals_of(file: PaymentBillFile) -> list[Total]:
    """What the file prints of itself, beside what its rows make."""
    return [Total(name, printed, read, is_amount) for name, printed, read, is_amount in json.loads(file.totals)]


def one(tx: Tx, file_id: UUID) -> PaymentBillFile | None:
    """A kept bill."""
    return tx.get(PaymentBillFile, file_id)


def current(tx: Tx, channel: str, day: date) -> dict[BillKind, PaymentBillFile]:
    """The current bills of a channel's day, by what they list."""
    of_day = (PaymentBillFile.channel == channel, PaymentBillFile.day == day, PaymentBillFile.is_current)
    return current_of(tx.scalars(select(PaymentBillFile).where(*of_day)))


def between(tx: Tx, first: date, last: date, *, channel: str | None = None) -> list[PaymentBillFile]:
    """All bills of these days, trades before funds, the newest of a day and kind last."""
    query = select(PaymentBillFile).where(PaymentBillFile.day >= first, PaymentBillFile.day <= last)
    if channel is not None:
        query = query.where(PaymentBillFile.channel == channel)
    at = (PaymentBillFile.day, PaymentBillFile.channel, PaymentBillFile.kind.desc(), PaymentBillFile.id)
    return list(tx.scalars(query.order_by(*at)))


def missing(tx: Tx, channel: str, days: Collection[date], kind: BillKind) -> set[date]:
    """Which of these days have no bill of a kind."""
    return set(days) - _days(tx, channel, days, kind)


def unconfirmed(tx: Tx, channel: str, days: Collection[date], kind: BillKind) -> set[date]:
    """Which of these days have a bill that a person dropped, or none where the channel said so: it may have one now.

    Of a signed day too: then it says whether what was signed is so.
    """
    return _days(tx, channel, days, kind, PaymentBillFile.source != "fetched")


def seen_alone(tx: Tx, channel: str, days: Collection[date], *, by: str, compared: Collection[UUID]) -> bool:
    """Whether a bill of these days that counts, or that they were `compared` with, is here by this person's word alone:
    dropped, and neither fetched, nor dropped by another one, nor signed, as another one does.
    """
    f = PaymentBillFile
    counts = or_(f.is_current, f.late_n.is_not(None), f.id.in_(list(compared))) & ~f.is_closed
    its = (f.channel == channel, among(tx, f.day, sorted(days)), f.source == "dropped", f.added_by == by)
    return tx.scalars(select(f.id).where(*its, counts).limit(1)).first() is not None


def _days(tx: Tx, channel: str, days: Collection[date], kind: BillKind, *which: ColumnElement[bool]) -> set[date]:
    f = PaymentBillFile
    its = (f.channel == channel, f.kind == kind.value, f.is_current, f.day.in_(list(days)), *which)
    return set(tx.scalars(select(f.day).where(*its)))


def _its(channel: str, kind: BillKind, day: date) -> tuple[ColumnElement[bool], ...]:
    return PaymentBillFile.channel == channel, PaymentBillFile.kind == kind.value, PaymentBillFile.day == day


def _place(file_id: UUID, n: int) -> bytes:
    return file_id.bytes + n.to_bytes(4)
