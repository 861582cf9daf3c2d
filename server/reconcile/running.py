"""A run: one channel's day, as we have it, against the bills that are here. Safe to repeat.

It reads and compares outside of any transaction that writes, and then keeps rows, differences and figures in one. The
same bills and books give the same differences, by their ids; what people did about one stays. One that is gone by
itself is closed as matched, and one that was carried over from an earlier day comes in, until its other half comes.
So does what differs by a bill that came after its own day was signed.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from functools import partial
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import bindparam, select, update
from sqlalchemy.exc import IntegrityError

from server import audit, changes
from server.context import Context
from server.db import Tx, bulk_insert, retrying, table_of
from server.gateways.bill_lines import OpenBill, opened
from server.gateways.bill_rows import FundKind, FundRow, TradeRow
from server.jobs import Lane
from server.payments import bills, fees, kept_bills
from server.payments.model import PaymentBillFile
from server.reconcile import (
    beside,
    carrying,
    controls,
    days,
    feed,
    figures,
    hashing,
    keeping,
    ours,
    queries,
    withdrawals,
)
from server.reconcile.differences import Difference, OurRow
from server.reconcile.figures import Figures
from server.reconcile.handling import DaySigned
from server.reconcile.matching import MatchedBy, Matching, Side
from server.reconcile.model import ReconcileDay, ReconcileRow
from shared import channels, clock
from shared.errors import Conflict
from shared.finance import BillKind, DifferenceKind
from shared.money import PPM, Fen

ROWS_AT_A_TIME = 5_000
_TRIES = 3

_DAY = timedelta(days=1)

_log = logging.getLogger("kameng.reconcile")
_Row = tuple[Any, ...]


class NoTradeBill(Conflict):
    """There is nothing to compare with."""

    code = "no_trade_bill"
    zh = "{channel} {day} 的交易账单还没有，无法对账。请获取账单或拖入文件。"
    en = "The trade bill of {channel} for {day} is not here yet; fetch it, or drop its file."


class RunUnderWay(Conflict):
    """Another run of the same day writes at this moment."""

    code = "run_under_way"
    zh = "{channel} {day} 正在对账，请稍后刷新。"
    en = "{channel} {day} is being reconciled at this moment; refresh in a while."


@dataclass(slots=True)
class _Compared:
    """What a run found, before it is kept.

    `matched` says with what of ours a row of the trade bill was paired; `matched_by` how, where it was not by the
    channel's number: of a million rows each is held until it is written. `moved` are rows that were written before, and
    are paired otherwise now.
    """

    files: dict[BillKind, PaymentBillFile]
    contents: dict[BillKind, bytes]
    inputs: hashing.Lines = field(default_factory=hashing.Lines)
    beside: list[tuple[date, list[PaymentBillFile]]] = field(default_factory=list)
    matched: dict[int, UUID] = field(default_factory=dict)
    matched_by: dict[int, MatchedBy | Literal["date_shift"]] = field(default_factory=dict)
    differences: list[Difference] = field(default_factory=list)
    sides: tuple[Side, Side] = (Side(), Side())
    foreign: Side = field(default_factory=Side)
    balance: controls.Balance | None = None
    pairs_sha256: str = ""
    moved: list[dict[str, Any]] = field(default_factory=list)
    withdrawn: list[FundRow] = field(default_factory=list)
    returned: dict[str, Fen] = field(default_factory=dict)
    matched_fen: Fen = 0
    date_shifts: int = 0

    def opened(self, kind: BillKind) -> OpenBill | None:
        """A bill from its beginning; None where it is not here, or the channel said that there is none."""
        file = self.files.get(kind)
        return opened(io.BytesIO(self.contents[kind]), file.name) if file and kept_bills.has_rows(file) else None

    def trades(self) -> Iterator[TradeRow]:
        bill = self.opened(BillKind.TRADES)
        return bill.trades() if bill else iter(())

    def funds(self) -> Iterator[FundRow]:
        bill = self.opened(BillKind.FUNDS)
        return bill.funds() if bill else iter(())


def register(ctx: Context) -> None:
    """Wire the job behind a new bill; called once by `app`."""
    ctx.jobs.outside(bills.RECONCILE, lambda args: _run_job(ctx, args), lane=Lane.BILLS)


def _run_job(ctx: Context, args: dict[str, Any]) -> None:
    run_open(ctx, args["channel"], date.fromisoformat(args["day"]), by="system")


def run_open(ctx: Context, channel: str, day: date, *, by: str, request_id: str | None = None) -> None:
    """Compare a day as far as its bills are here; one that is signed in the next open one, if that was compared before.

    Raises RunUnderWay.
    """
    if _run_open(ctx, channel, day, by=by, request_id=request_id) != day:
        retrying(ctx.db, lambda tx: changes.append(tx, feed.DAY, feed.day_id(channel, day), domain=feed.DOMAIN))


def _run_open(ctx: Context, channel: str, day: date, *, by: str, request_id: str | None) -> date | None:
    """The day that was compared, if any. One that is signed while it is leaves it to the next one."""
    while True:
        with ctx.db.read() as tx:
            to_run = days.open_from(tx, channel, day)
        if to_run is None:
            return None
        try:
            run(ctx, channel, to_run, by=by, request_id=request_id)
        except DaySigned:
            continue
        except NoTradeBill as refusal:
            _log.info("not reconciled", extra={"channel": channel, "day": day.isoformat(), "why": refusal.code})
            return None
        return to_run


def run(ctx: Context, channel: str, day: date, *, by: str, request_id: str | None = None) -> None:
    """Compare a day, those beside it whose other halves this may have brought or taken away, those that have what was
    carried over from it, and those that open with its balance.

    Raises NoTradeBill, DaySigned, RunUnderWay.
    """
    told = _run_one(ctx, channel, day, by=by, request_id=request_id)
    run_one = partial(_run_too, ctx, channel, by=by, request_id=request_id)
    around = {one + step for one in (day, *told) for step in (-_DAY, _DAY)}
    for other in sorted(around - {day}):
        with ctx.db.read() as tx:
            looks = days.looks_beside(tx, channel, other)
        if looks:
            run_one(other)
    with ctx.db.read() as tx:
        holding = days.hold_of(tx, channel, {day, *told}, but=day)
        taking = days.take_over_from(tx, channel, after=day)
        moved = carrying.to_run_again(tx, channel, but=day)
    for other in sorted({*holding, *taking, *moved}):
        run_one(other)
    later = day + _DAY
    while _opens_otherwise(ctx, channel, later):
        run_one(later)
        later += _DAY


def _run_too(ctx: Context, channel: str, day: date, *, by: str, request_id: str | None) -> None:
    """Compare a day because of another one: later, where that cannot be now, and not at all once it is signed."""
    try:
        _run_one(ctx, channel, day, by=by, request_id=request_id)
    except DaySigned:
        return
    except RunUnderWay:
        retrying(ctx.db, partial(bills.reconcile, channel=channel, day=day))


def _opens_otherwise(ctx: Context, channel: str, day: date) -> bool:
    with ctx.db.read() as tx:
        return days.opens_otherwise(tx, ctx.keys, channel, day)


class _Outdated(Exception):
    """Since this run looked, another one was kept whose day or bills it has read, a day was signed, or a bill came
    late.
    """


def _run_one(ctx: Context, channel: str, day: date, *, by: str, request_id: str | None) -> Collection[date]:
    """Answers the signed days that were compared again with it."""
    for _ in range(_TRIES):
        try:
            return _run_once(ctx, channel, day, by=by, request_id=request_id)
        except _Outdated:
            continue
    raise RunUnderWay(channel=channels.name(channel), day=day.isoformat())


def _run_once(ctx: Context, channel: str, day: date, *, by: str, request_id: str | None) -> Collection[date]:
    with ctx.db.read(snapshot=True) as tx:
        if queries.is_signed(tx, channel, day):
            raise DaySigned(day=day.isoformat())
        files = kept_bills.current(tx, channel, day)
        if BillKind.TRADES not in files:
            raise NoTradeBill(channel=channels.name(channel), day=day.isoformat())
        told = _told_otherwise(tx, channel, day, files)
        stand = days.stand(tx, channel, {day, *told})
    try:
        for signed in told:
            _keep_new_rows(ctx, channel, day, signed)
        with ctx.db.read() as tx:
            found = _compared(ctx, tx, channel, day, files)
        _keep_rows(ctx, channel, day, found)
        with ctx.db.read() as tx:
            late = {of: _compared(ctx, tx, channel, of, kept_bills.newest(tx, channel, of)) for of in told}
        for one in late.values():
            _keep_rows(ctx, channel, day, one, [file for file in one.files.values() if file.is_late])
        keep = partial(_keep, channel=channel, day=day, found=found, late=late, stand=stand)
        retrying(ctx.db, partial(keep, by=by, request_id=request_id))
    except IntegrityError as error:
        _log.warning("not kept", extra={"channel": channel, "day": day.isoformat(), "error": str(error.orig)})
        raise RunUnderWay(channel=channels.name(channel), day=day.isoformat()) from None
    return told


def _told_otherwise(tx: Tx, channel: str, day: date, files: Mapping[BillKind, PaymentBillFile]) -> list[date]:
    """Signed days that are compared again, for what differs now is work of this one: those of which a bill came late,
    and those that rest on the bills beside them where one of these, or this day's own, is another one by now. What
    rests so by a late bill has no row that says it.
    """
    late, row = kept_bills.late(tx, channel, before=day), days.find(tx, channel, day)
    compared = {row.trades_file_id, row.funds_file_id} if row else set()
    moved = [*late, *([day] if any(file.id not in compared for file in files.values()) else [])]
    others = {one + step for one in moved for step in (-_DAY, _DAY)}
    signed = [one for one in sorted(others) if queries.is_signed(tx, channel, one)]
    rest = {one for one in signed if days.rests_beside(tx, channel, one) or kept_bills.has_late(tx, channel, one)}
    return sorted({*late, *rest})


# --- comparing ---


def _compared(ctx: Context, tx: Tx, channel: str, day: date, files: dict[BillKind, PaymentBillFile]) -> _Compared:
    found = _Compared(files, {kind: kept_bills.content(tx, ctx.keys, file.id) for kind, file in files.items()})
    _compare(ctx, tx, channel, day, found)
    return found


def _compare(ctx: Context, tx: Tx, channel: str, day: date, found: _Compared) -> None:
    if BillKind.FUNDS in found.files:
        opening_fen = days.closed_with(tx, ctx.keys, channel, day - _DAY)
        found.balance = controls.balance(_noted(found.funds(), found.withdrawn), opening_fen=opening_fen)
    _match(ctx, tx, channel, day, found)
    if BillKind.FUNDS in found.files:
        look = partial(beside.both, tx, channel, day)
        found.differences += controls.three_way(channel, day, found.trades, found.funds, beside=look)
        if found.balance is not None:
            stands = days.signed_to_open_with(tx, channel, day + _DAY)
            found.differences += controls.balance_difference(channel, day, found.balance, next_opening_fen=stands)


def _match(ctx: Context, tx: Tx, channel: str, day: date, found: _Compared) -> None:
    """Our rows against those of the trade bill, which are let go when this ends."""

    def is_foreign(row: TradeRow) -> bool:
        return bills.is_of_others(ctx, channel, row.out_trade_no, row.app_id)

    bill = found.opened(BillKind.TRADES)
    matching = Matching(channel, day, **{"covers": bill.head.covers} if bill else {}, is_foreign=is_foreign)
    matching.take(found.trades())
    for pair in matching.pairs(_hashed(ctx, tx, channel, day, found)):
        _paired(found, pair.theirs, pair.ours, pair.by)
    matching.elsewhere(ours.named(tx, channel, matching.wanted()))
    matching.neighbours(beside.trades(tx, channel, day, matching.missing()))
    settled = matching.settle()
    for pair in settled.pairs:
        _paired(found, pair.theirs, pair.ours, pair.by)
    for one in settled.differences:
        is_shift = one.kind is DifferenceKind.DATE_SHIFT and one.bill_row is not None
        if is_shift and one.theirs is not None and one.ours is not None:
            _paired(found, one.theirs, one.ours, "date_shift")
    found.beside = beside.compared(tx, channel, day)
    found.sides, found.foreign = (matching.ours, matching.theirs), settled.foreign
    found.differences = list(settled.differences)
    found.date_shifts = sum(one.closes_itself and one.kind is DifferenceKind.DATE_SHIFT for one in settled.differences)


def _noted(funds: Iterator[FundRow], withdrawn: list[FundRow]) -> Iterator[FundRow]:
    """The movements, while those out of the account to our bank are noted."""
    for row in funds:
        if row.kind is FundKind.WITHDRAWAL:
            withdrawn.append(row)
        yield row


def _hashed(ctx: Context, tx: Tx, channel: str, day: date, found: _Compared) -> Iterator[OurRow]:
    hashing.add_bills(found.inputs, found.files.values())
    hashing.add_opening(found.inputs, found.balance.opening_fen if found.balance else None)
    hashing.add_shared(found.inputs, is_shared=channel in ctx.settings.channels_shared_with_others)
    for our in ours.of_day(tx, channel, day):
        hashing.add_ours(found.inputs, our)
        yield our


def _paired(found: _Compared, theirs: TradeRow, our: OurRow, by: MatchedBy | Literal["date_shift"]) -> None:
    found.matched[theirs.n] = our.id
    if by != "provider_no":
        found.matched_by[theirs.n] = by
    found.matched_fen += theirs.amount_fen if theirs.kind == "payment" else -theirs.amount_fen
    if theirs.kind == "refund":
        found.returned[our.out_refund_no] = max(-theirs.fee_fen, 0)


# --- keeping ---


def _keep(
    tx: Tx,
    channel: str,
    day: date,
    found: _Compared,
    late: Mapping[date, _Compared],
    stand: list[tuple[object, ...]],
    by: str,
    request_id: str | None,
) -> None:
    days.hold_channel(tx, channel)
    row = days.find(tx, channel, day, lock=True)
    if row is not None and row.is_signed:
        raise DaySigned(day=day.isoformat())
    if list(late) != _told_otherwise(tx, channel, day, found.files) or stand != days.stand(tx, channel, {day, *late}):
        raise _Outdated
    if found.moved:
        tx.connection().execute(_MATCH, found.moved)
    told = {of.isoformat(): _figures(one).net_fen for of, one in late.items()}
    told = {**(Figures.of(row.figures).late if row is not None else {}), **told}
    stored = replace(_figures(found), pairs_sha256=found.pairs_sha256, late=told).stored()
    ids = {kind: file.id for kind, file in found.files.items()}
    if row is None:
        row = ReconcileDay(channel=channel, day=day, is_signed=False, inputs_sha256="", outputs_sha256="")
        tx.add(row)
    row.run_at, row.run_by, row.figures = clock.now(), by, stored
    row.trades_file_id, row.funds_file_id = ids[BillKind.TRADES], ids.get(BillKind.FUNDS)
    files = {"trades_file_id": row.trades_file_id, "funds_file_id": row.funds_file_id}
    keeping.keep(tx, channel, day, found.differences, **files)
    withdrawals.keep(tx, channel, day, found.withdrawn)
    inputs = found.inputs.copy()
    if days.rests_beside(tx, channel, day):
        hashing.add_beside(inputs, found.beside)
    row.inputs_sha256 = inputs.sha256
    for signed, one in late.items():
        keeping.keep_late(tx, day, signed, list(one.files.values()), one.differences)
        withdrawals.keep(tx, channel, signed, one.withdrawn)
        kept_bills.take(tx, one.files.values(), day)
    for one in (found, *late.values()):  # the ledger is locked after all that refunds hold
        fees.settle_returned(tx, channel, one.returned, up_to_fee=True)
    tx.flush()
    row.outputs_sha256 = days.outputs(tx, row)
    changes.append(tx, feed.DAY, feed.day_id(channel, day), domain=feed.DOMAIN)
    audit.append(
        tx,
        actor=by,
        action="day.run",
        entity="reconciled_day",
        entity_id=f"{channel}:{day}",
        detail={"matched": len(found.matched), "differences": len(found.differences), "outputs": row.outputs_sha256},
        request_id=request_id,
    )


def _figures(found: _Compared) -> Figures:
    others, others_fen = figures.foreign(found.foreign)
    return Figures(
        ours=figures.side(found.sides[0]),
        theirs=figures.side(found.sides[1]),
        matched=len(found.matched),
        matched_fen=found.matched_fen,
        date_shifts=found.date_shifts,
        foreign=others,
        foreign_fen=others_fen,
        balance=figures.balance(found.balance),
    )


_COLUMNS = (
    "n", "kind", "at", "ended_at", "provider_no", "out_trade_no", "refund_no", "out_refund_no", "amount_fen",
    "settled_fen", "fee_fen", "balance_fen", "fee_ppm", "state", "fund_no", "note", "matched_id", "matched_by",
)  # fmt: skip
_ROW = table_of(ReconcileRow)
_MATCH = (
    update(_ROW)
    .where(_ROW.c.file_id == bindparam("of"), _ROW.c.n == bindparam("row"))
    .values(matched_id=bindparam("id"), matched_by=bindparam("by"))
)


def _keep_new_rows(ctx: Context, channel: str, day: date, signed: date) -> None:
    """Write the rows of late bills that have none yet: the days beside may have the other half of one."""
    with ctx.db.read() as tx:
        has_rows = select(_ROW.c.n).where(_ROW.c.file_id == bindparam("of")).limit(1)
        files = kept_bills.newest(tx, channel, signed)
        new = [file for file in files.values() if file.is_late and tx.scalar(has_rows, {"of": file.id}) is None]
        found = _Compared(files, {BillKind(file.kind): kept_bills.content(tx, ctx.keys, file.id) for file in new})
    _keep_rows(ctx, channel, day, found, new)


def _keep_rows(
    ctx: Context, channel: str, day: date, found: _Compared, files: Collection[PaymentBillFile] | None = None
) -> None:
    """Write the bills' rows with what each was paired with, as far as that is news, and note the hash of the pairs.

    Block by block, so that nobody waits long for it: nothing reads a new bill's rows before its run is kept. Of the
    day's own bills, those that are here stay as they are until then: the day may be signed with them.
    """
    lines = hashing.Lines()
    for kind, rows in ((BillKind.TRADES, _trades(found, lines)), (BillKind.FUNDS, _funds(found))):
        if kind not in found.files or (files is not None and found.files[kind] not in files):
            continue
        file_id = found.files[kind].id
        for block in _blocks(rows):
            with ctx.db.read() as tx:
                its = (_ROW.c.file_id == file_id, _ROW.c.n >= block[0][0], _ROW.c.n <= block[-1][0])
                stored = tx.execute(select(_ROW.c.n, _ROW.c.matched_id, _ROW.c.matched_by).where(*its))
                known = {n: (matched_id, by) for n, matched_id, by in stored}
            fresh = [row for row in block if row[0] not in known]
            news = [row for row in block if row[0] in known and known[row[0]] != row[-2:]]
            moved = [{"of": file_id, "row": row[0], "id": row[-2], "by": row[-1]} for row in news]
            if files is None:
                found.moved += moved
                moved = []
            if fresh or moved:
                write = partial(_write, channel=channel, day=day, file_id=file_id, fresh=fresh, moved=moved)
                retrying(ctx.db, write)
                ctx.db.give_way()
    found.pairs_sha256 = lines.sha256


def _write(tx: Tx, channel: str, day: date, file_id: UUID, fresh: list[_Row], moved: list[dict[str, Any]]) -> None:
    if queries.is_signed(tx, channel, day):
        raise DaySigned(day=day.isoformat())
    bulk_insert(tx, ReconcileRow, _COLUMNS, fresh, constants={"file_id": file_id})
    if moved:
        tx.connection().execute(_MATCH, moved)


def _trades(found: _Compared, lines: hashing.Lines) -> Iterator[_Row]:
    for row in found.trades():
        matched_id = found.matched.get(row.n)
        by = None if matched_id is None else found.matched_by.get(row.n, "provider_no")
        hashing.add_row(lines, row.n, row.kind, row.amount_fen, row.fee_fen, matched_id, by)
        yield (
            row.n, row.kind, row.at, row.ended_at, row.provider_no[:64], row.out_trade_no[:64], row.refund_no[:64],
            row.out_refund_no[:64], row.amount_fen, row.settled_fen, row.fee_fen, None, _ppm(row.rate), row.state,
            "", row.subject[:200], matched_id, by,
        )  # fmt: skip


def _funds(found: _Compared) -> Iterator[_Row]:
    for row in found.funds():
        yield (
            row.n, row.kind.value, row.at, None, row.provider_no[:64], row.voucher[:64], "", "", row.amount_fen,
            row.amount_fen, 0, row.balance_fen, None, "", row.fund_no[:64], row.note[:200] or row.words[:200],
            None, None,
        )  # fmt: skip


def _blocks(rows: Iterator[_Row]) -> Iterator[list[_Row]]:
    block: list[_Row] = []
    for row in rows:
        block.append(row)
        if len(block) == ROWS_AT_A_TIME:
            yield block
            block = []
    if block:
        yield block


def _ppm(rate: str) -> int | None:
    """`0.60%` in millionths; None where the bill prints none."""
    number, percent, _ = rate.strip().partition("%")
    whole, _, part = number.partition(".")
    if not percent or not whole.isdecimal() or (part and not part.isdecimal()):
        return None
    return int(f"{whole}{part[:4]:0<4}") * PPM // 1_000_000
