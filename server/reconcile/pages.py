"""A reconciled day in rows, for the workbook: pairs, refunds and movements, by keyset pages in the bill's order."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import and_, select

from server.db import Tx, among
from server.identity import queries as people
from server.orders.model import Order, OrderLine
from server.payments.model import PaymentAttempt, UnmatchedPayment
from server.payments.refunds.model import Refund, RefundEvent
from server.reconcile import days, withdrawals
from server.reconcile.model import ReconcileDifference, ReconcileRow
from server.reconcile.ours import ASKED
from shared import clock, ids
from shared.contracts import reconcile as wire
from shared.contracts.base import Page
from shared.states import RefundStep

_R = ReconcileRow


def matches(tx: Tx, channel: str, day: date, *, after: int, limit: int) -> Page[wire.Match]:
    """Payments of the day's trade bill with ours, by the bill's rows."""
    row = days.find(tx, channel, day)
    its = (_R.kind == "payment", _R.matched_id.is_not(None))
    rows, more = _of_file(tx, row.trades_file_id if row else None, *its, after=after, limit=limit)
    known = _Known(tx, channel, rows)
    return Page(items=[known.match(one) for one in rows], next=more)


def funds(tx: Tx, channel: str, day: date, *, after: int, limit: int) -> Page[wire.FundRow]:
    """Movements of the day's fund bill, by its rows."""
    row = days.find(tx, channel, day)
    rows, more = _of_file(tx, row.funds_file_id if row else None, after=after, limit=limit)
    codes, arrivals = _codes(tx, rows), withdrawals.references_of(tx, channel, day)
    items = [
        wire.FundRow(
            bill_row=one.n,
            at=one.at,
            fund_no=one.fund_no,
            provider_no=one.provider_no,
            kind=one.kind,
            amount_fen=one.amount_fen,
            balance_fen=one.balance_fen or 0,
            out_trade_no=one.out_trade_no,
            order_code=codes.get(one.out_trade_no) or codes.get(one.provider_no),
            arrival=arrivals.get(withdrawals.number_of(day, one)),
            note=one.note,
        )
        for one in rows
    ]
    return Page(items=items, next=more)


def refunds(tx: Tx, channel: str, day: date, *, after: str, limit: int) -> Page[wire.RefundMatch]:
    """Our refunds of the day by our numbers, with the channel's rows where they were found, be it with a difference."""
    start, end = clock.day_bounds(day)
    its = (Refund.channel == channel, Refund.submitted_at >= start, Refund.submitted_at < end)
    query = select(Refund).where(*its, Refund.state.in_(ASKED), Refund.out_refund_no > after)
    found = tx.scalars(query.order_by(Refund.out_refund_no).limit(limit + 1)).all()
    shown = found[:limit]
    billed = _billed(tx, channel, day, [refund.id for refund in shown])
    agreed = _agreed(tx, [refund.id for refund in shown])
    names = people.names_of(tx, {step.actor for step in agreed.values()})
    items = [_refund(refund, billed.get(refund.id), agreed.get(refund.id), names) for refund in shown]
    return Page(items=items, next=shown[-1].out_refund_no if len(found) > limit else None)


def _agreed(tx: Tx, refund_ids: Sequence[UUID]) -> dict[UUID, RefundEvent]:
    """The suppliers' own yes to refunds, where they gave one: others were the shop's, or went by themselves."""
    e = RefundEvent
    its = (among(tx, e.refund_id, refund_ids), e.what == RefundStep.SUPPLIER_AGREED.value)
    return {step.refund_id: step for step in tx.scalars(select(e).where(*its).order_by(e.id))} if refund_ids else {}


def _refund(
    refund: Refund, row: ReconcileRow | None, agreed: RefundEvent | None, names: dict[str, str]
) -> wire.RefundMatch:
    return wire.RefundMatch(
        order_code=refund.order_code,
        asked_at=refund.asked_at,
        succeeded_at=refund.refunded_at or (row.ended_at if row else None),
        out_trade_no=refund.out_trade_no,
        out_refund_no=refund.out_refund_no,
        provider_refund_no=refund.provider_refund_no or (row.refund_no if row else ""),
        amount_fen=refund.amount_fen,
        fee_returned_fen=-row.fee_fen if row else 0,
        confirmed_by=names.get(agreed.actor, agreed.actor) if agreed else "",
        confirmed_at=agreed.at if agreed else None,
        state=refund.state,
        bill_row=row.n if row else None,
    )


def _billed(tx: Tx, channel: str, day: date, refund_ids: Sequence[UUID]) -> dict[UUID, ReconcileRow]:
    """Rows of refunds in the bills of this day and the next one: paired, or one that differs."""
    if not refund_ids:
        return {}
    d = ReconcileDifference
    rows = tx.scalars(days.of_compared(select(_R)).where(among(tx, _R.matched_id, refund_ids)))
    near = (d.channel == channel, d.day.in_([day, day + timedelta(days=1)]), among(tx, d.ours_id, refund_ids))
    its = and_(_R.file_id == d.file_id, _R.n == d.bill_row, _R.kind == "refund")
    differ = tx.execute(days.of_compared(select(d.ours_id, _R).join_from(d, _R, its)).where(*near))
    found = {ours_id: row for ours_id, row in differ if ours_id is not None}
    return found | {row.matched_id: row for row in rows if row.matched_id is not None}


def _of_file(
    tx: Tx, file_id: UUID | None, *which: Any, after: int, limit: int
) -> tuple[Sequence[ReconcileRow], str | None]:
    if file_id is None:
        return [], None
    query = select(_R).where(_R.file_id == file_id, _R.n > after, *which).order_by(_R.n).limit(limit + 1)
    rows = tx.scalars(query).all()
    return rows[:limit], str(rows[limit - 1].n) if len(rows) > limit else None


def _codes(tx: Tx, rows: Sequence[ReconcileRow]) -> dict[str, str]:
    """The orders of movements, by our number or the channel's."""
    numbers = sorted({one for row in rows for one in (row.out_trade_no, row.provider_no) if one})
    if not numbers:
        return {}
    a = PaymentAttempt
    codes: dict[str, str] = {}
    for column in (a.out_trade_no, a.provider_no):
        found = tx.execute(select(column, a.order_code).where(among(tx, column, numbers)))
        codes |= {number: code for number, code in found if number}
    refunds = select(Refund.out_refund_no, Refund.order_code).where(among(tx, Refund.out_refund_no, numbers))
    return codes | {number: code for number, code in tx.execute(refunds) if code}


class _Known:
    """What is known of some pairs: their attempts, orders and goods, read set by set."""

    def __init__(self, tx: Tx, channel: str, rows: Sequence[ReconcileRow]) -> None:
        ids = [row.matched_id for row in rows if row.matched_id is not None]
        numbers = [row.provider_no for row in rows]
        a = PaymentAttempt
        self._attempts: dict[str, PaymentAttempt] = {}
        self._aside: dict[UUID, UnmatchedPayment] = {}
        if ids:
            mine = (a.channel == channel, among(tx, a.provider_no, numbers))
            self._attempts = {one.provider_no: one for one in tx.scalars(select(a).where(*mine)) if one.provider_no}
            aside = select(UnmatchedPayment).where(among(tx, UnmatchedPayment.id, ids))
            self._aside = {one.id: one for one in tx.scalars(aside)}
        order_ids = [one.order_id for one in self._attempts.values()]
        self._orders = {one.id: one for one in tx.scalars(select(Order).where(among(tx, Order.id, order_ids)))}
        self._lines: dict[UUID, list[OrderLine]] = {order_id: [] for order_id in order_ids}
        lines = select(OrderLine).where(among(tx, OrderLine.order_id, order_ids)).order_by(OrderLine.n)
        for line in tx.scalars(lines):
            self._lines[line.order_id].append(line)
        self._suppliers = people.supplier_names(tx)

    def match(self, row: ReconcileRow) -> wire.Match:
        """A pair as the workbook lists it. Money that went back without an order has no goods."""
        attempt = self._attempts.get(row.provider_no)
        aside = self._aside.get(row.matched_id) if row.matched_id else None
        order = self._orders.get(attempt.order_id) if attempt else None
        lines = self._lines[order.id] if order else []
        discount = sum(line.discount_fen for line in lines)
        return wire.Match(
            order_code=attempt.order_code if attempt else None,
            out_trade_no=row.out_trade_no,
            provider_no=row.provider_no,
            paid_at=aside.paid_at if aside else attempt.paid_at if attempt else None,
            title="、".join(f"{line.title} × {line.quantity}" for line in lines),
            supplier="、".join(dict.fromkeys(self._suppliers.get(line.supplier_id, "?") for line in lines)),
            distributor=ids.speak_distributor(order.distributor_id) if order and order.distributor_id else "",
            amount_fen=row.amount_fen + discount,
            discount_fen=discount,
            paid_fen=row.amount_fen,
            fee_fen=row.fee_fen,
            fee_ppm=row.fee_ppm,
            net_fen=row.amount_fen - row.fee_fen,
            matched_by=row.matched_by or "provider_no",
            bill_row=row.n,
        )
