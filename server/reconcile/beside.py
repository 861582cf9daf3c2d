"""Rows of the bills of the days before and after, where the other half of something may be."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, select

from server.db import Tx, among
from server.gateways.bill_rows import FundKind, FundRow, TradeRow
from server.payments import kept_bills
from server.payments.model import PaymentBillFile
from server.reconcile import days
from server.reconcile.differences import OurRow
from server.reconcile.matching import CURRENCY
from server.reconcile.model import ReconcileRow
from shared.finance import BillKind

MOST_AROUND_MIDNIGHT = 2_000
"""More than that is no matter of seconds: a bill is another one, or not whole."""


def trades(tx: Tx, channel: str, day: date, missing: Sequence[OurRow]) -> list[TradeRow]:
    """Rows of trade bills that have a number of what is missing here."""
    numbers = sorted({one.provider_no for one in missing if one.provider_no})
    refunds = sorted({one.out_refund_no for one in missing if one.out_refund_no})
    if not (numbers or refunds):
        return []
    its = _named(tx, numbers) | among(tx, ReconcileRow.out_refund_no, refunds)
    return [row for files in _files(tx, channel, day) for row in _trades(tx, files, its)]


def both(
    tx: Tx, channel: str, day: date, numbers: Sequence[str]
) -> Iterator[tuple[Sequence[TradeRow], Sequence[FundRow]]]:
    """What the trade bill and the fund bill of each of these days have under numbers of the channel."""
    if len(numbers) > MOST_AROUND_MIDNIGHT:
        return
    for other in _days(day):
        yield of_day(tx, channel, other, numbers)


def of_day(tx: Tx, channel: str, day: date, numbers: Sequence[str]) -> tuple[Sequence[TradeRow], Sequence[FundRow]]:
    """What the trade bill and the fund bill of a day itself have under numbers of the channel, as it gave them last."""
    files, its = _newest(tx, channel, day), _named(tx, numbers)
    return _trades(tx, files, its), [_fund_row(row) for row in _rows(tx, files, BillKind.FUNDS, its)]


def compared(tx: Tx, channel: str, day: date) -> list[tuple[date, list[PaymentBillFile]]]:
    """The bills of these days that have rows, because they were compared: what `trades` and `both` look in."""
    found = []
    for other in _days(day):
        row = days.find(tx, channel, other)
        used = {row.trades_file_id, row.funds_file_id} if row else set()
        files = kept_bills.newest(tx, channel, other).values()
        found.append((other, [file for file in files if file.is_late or file.id in used]))
    return found


def _days(day: date) -> tuple[date, date]:
    return day - timedelta(days=1), day + timedelta(days=1)


def _files(tx: Tx, channel: str, day: date) -> Iterator[dict[BillKind, UUID]]:
    for other in _days(day):
        yield _newest(tx, channel, other)


def _newest(tx: Tx, channel: str, day: date) -> dict[BillKind, UUID]:
    return {kind: file.id for kind, file in kept_bills.newest(tx, channel, day).items()}


def _named(tx: Tx, numbers: Sequence[str]) -> ColumnElement[bool]:
    return among(tx, ReconcileRow.provider_no, numbers) | among(tx, ReconcileRow.refund_no, numbers)


def _trades(tx: Tx, files: dict[BillKind, UUID], its: ColumnElement[bool]) -> list[TradeRow]:
    return [_trade_row(row) for row in _rows(tx, files, BillKind.TRADES, its)]


def _rows(tx: Tx, files: dict[BillKind, UUID], kind: BillKind, its: ColumnElement[bool]) -> Sequence[ReconcileRow]:
    if kind not in files:
        return []
    return tx.scalars(select(ReconcileRow).where(ReconcileRow.file_id == files[kind], its)).all()


def _trade_row(row: ReconcileRow) -> TradeRow:
    return TradeRow(
        n=row.n,
        kind="payment" if row.kind == "payment" else "refund",
        provider_no=row.provider_no,
        out_trade_no=row.out_trade_no,
        refund_no=row.refund_no,
        out_refund_no=row.out_refund_no,
        amount_fen=row.amount_fen,
        settled_fen=row.settled_fen,
        fee_fen=row.fee_fen,
        state=row.state,  # type: ignore[arg-type]  # as it was read from a bill
        at=row.at,
        ended_at=row.ended_at,
        currency=CURRENCY,
        app_id="",
        subject="",
        rate="",
    )


def _fund_row(row: ReconcileRow) -> FundRow:
    return FundRow(
        n=row.n,
        at=row.at,
        kind=FundKind(row.kind),
        fund_no=row.fund_no,
        provider_no=row.provider_no,
        voucher=row.out_trade_no,
        amount_fen=row.amount_fen,
        balance_fen=row.balance_fen or 0,
        words="",
        note=row.note,
    )
