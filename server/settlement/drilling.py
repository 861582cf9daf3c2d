"""From a line of a statement down: its order, the lots of its keys, its payment, and its row in the channel's bill."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import select, tuple_

from server.db import Tx
from server.orders.settling import delivered_lines
from server.payments.settling import Paid, payments_of, taken_back
from server.reconcile.tracing import bill_rows
from server.settlement.model import SettlementDeduction, SettlementItem, Statement
from server.stock.settling import lots_of
from shared.contracts import settlement as wire
from shared.contracts.base import Page
from shared.errors import BadField

_FIRST = UUID(int=0)


def page(tx: Tx, statement: Statement, *, after: str | None, limit: int) -> Page[wire.StatementLine]:
    """A page of a statement's lines: what it releases in the order of the lines, then what it takes off.

    Raises BadField for an `after` that no page gave.
    """
    place = _place(after)
    rows: list[wire.StatementLine] = []
    keys: list[str] = []
    if len(place) == 1:
        items = _items(tx, statement, after=place[0], limit=limit + 1)
        rows += _released(tx, statement, items)
        keys += [str(item.order_line_id) for item in items]
    if len(rows) <= limit:
        start = (place[0], place[1]) if len(place) == 2 else (_FIRST, _FIRST)
        negative = _negative(tx, statement, after=start, limit=limit + 1 - len(rows))
        rows += _taken_off(tx, negative)
        keys += [f"{row.refund_id}:{row.order_line_id}" for row in negative]
    return Page[wire.StatementLine](items=rows[:limit], next=keys[limit - 1] if len(rows) > limit else None)


def _place(after: str | None) -> tuple[UUID, ...]:
    try:
        return tuple(UUID(part) for part in after.split(":", 1)) if after else (_FIRST,)
    except ValueError:
        raise BadField(field="after", reason=str(after)[:80]) from None


def _items(tx: Tx, statement: Statement, *, after: UUID, limit: int) -> Sequence[SettlementItem]:
    mine = (SettlementItem.statement_id == statement.id, SettlementItem.order_line_id > after)
    return tx.scalars(select(SettlementItem).where(*mine).order_by(SettlementItem.order_line_id).limit(limit)).all()


def _negative(tx: Tx, statement: Statement, *, after: tuple[UUID, UUID], limit: int) -> Sequence[Any]:
    back = taken_back()
    mine = (SettlementDeduction.statement_id == statement.id, SettlementDeduction.netted.is_(False))
    key = tuple_(SettlementDeduction.refund_id, SettlementDeduction.order_line_id)
    return tx.execute(
        select(
            SettlementDeduction.refund_id,
            SettlementDeduction.order_line_id,
            SettlementDeduction.amount_fen.label("net_fen"),
            back.c.out_refund_no,
            back.c.quantity,
            back.c.amount_fen,
            back.c.fee_fen,
            back.c.commission_fen,
        )
        .join(
            back,
            (back.c.refund_id == SettlementDeduction.refund_id)
            & (back.c.order_line_id == SettlementDeduction.order_line_id),
            isouter=True,  # a refund that ended without money after all: what it took is given back on a later one
        )
        .where(*mine, key > tuple_(*after))
        .order_by(SettlementDeduction.refund_id, SettlementDeduction.order_line_id)
        .limit(limit)
    ).all()


def _released(tx: Tx, statement: Statement, items: Sequence[SettlementItem]) -> list[wire.StatementLine]:
    ids = [item.order_line_id for item in items]
    lines, lots = _lines(tx, ids), lots_of(tx, ids)
    paid = payments_of(tx, {item.order_id for item in items})
    bills = bill_rows(tx, [one.attempt_id for one in paid.values()])
    back = _netted(tx, statement, ids)
    answers = []
    for item in items:
        line, (amount, fee, commission) = lines[item.order_line_id], back[item.order_line_id]
        payment = paid.get(item.order_id)
        answers.append(
            wire.StatementLine(
                order_line_id=item.order_line_id,
                kind="release",
                order_code=line.order_code,
                sku=line.sku_code,
                title=line.title,
                quantity=line.quantity,
                delivered_at=line.delivered_at,
                amount_fen=line.amount_fen - amount,
                fee_fen=line.fee_fen - fee,
                commission_fen=line.commission_fen - commission,
                net_fen=item.share_fen - item.refunded_fen,
                refund_no=None,
                lots=lots.get(item.order_line_id, []),
                **_payment(payment, bills.get(payment.attempt_id) if payment else None),
            )
        )
    return answers


def _netted(tx: Tx, statement: Statement, line_ids: Sequence[UUID]) -> dict[UUID, tuple[int, int, int]]:
    """What refunds had taken of these lines before their release: of the amount, the fee and the commission."""
    back = taken_back()
    query = (
        select(back.c.order_line_id, back.c.amount_fen, back.c.fee_fen, back.c.commission_fen)
        .join(
            SettlementDeduction,
            (SettlementDeduction.refund_id == back.c.refund_id)
            & (SettlementDeduction.order_line_id == back.c.order_line_id),
        )
        .where(SettlementDeduction.statement_id == statement.id, SettlementDeduction.netted.is_(True))
        .where(back.c.order_line_id.in_(line_ids))
    )
    found: dict[UUID, tuple[int, int, int]] = defaultdict(lambda: (0, 0, 0))
    for line_id, *parts in tx.execute(query):
        amount, fee, commission = (before + part for before, part in zip(found[line_id], parts, strict=True))
        found[line_id] = (amount, fee, commission)
    return found


def _taken_off(tx: Tx, rows: Sequence[Any]) -> list[wire.StatementLine]:
    ids = [row.order_line_id for row in rows]
    lines, lots = _lines(tx, ids), lots_of(tx, ids)
    paid = payments_of(tx, {line.order_id for line in lines.values()})
    bills = bill_rows(tx, [row.refund_id for row in rows])
    answers = []
    for row in rows:
        line = lines[row.order_line_id]
        answers.append(
            wire.StatementLine(
                order_line_id=row.order_line_id,
                kind="deduction",
                order_code=line.order_code,
                sku=line.sku_code,
                title=line.title,
                quantity=row.quantity or 0,
                delivered_at=line.delivered_at,
                amount_fen=-(row.amount_fen or 0),
                fee_fen=-(row.fee_fen or 0),
                commission_fen=-(row.commission_fen or 0),
                net_fen=-row.net_fen,
                refund_no=row.out_refund_no,
                lots=lots.get(row.order_line_id, []),
                **_payment(paid.get(line.order_id), bills.get(row.refund_id)),
            )
        )
    return answers


def _lines(tx: Tx, line_ids: Sequence[UUID]) -> dict[UUID, Any]:
    lines = delivered_lines()
    return {row.id: row for row in tx.execute(select(lines).where(lines.c.id.in_(line_ids)))}


def order_codes(tx: Tx, order_ids: Collection[UUID]) -> dict[UUID, str]:
    """The codes of delivered orders."""
    lines = delivered_lines()
    query = select(lines.c.order_id, lines.c.order_code).where(lines.c.order_id.in_(list(order_ids)))
    return dict(tx.execute(query.distinct()).all())


def _payment(paid: Paid | None, bill: tuple[Any, int] | None) -> dict[str, Any]:
    return {
        "payment_channel": paid.channel if paid else None,
        "payment_no": paid.number if paid else None,
        "provider_no": paid.provider_no if paid else None,
        "bill_day": bill[0] if bill else None,
        "bill_row": bill[1] if bill else None,
    }
