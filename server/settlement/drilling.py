"""From a line of a statement down: its order, the lots of its keys, its payment, and its row in the channel's bill."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import select, tuple_

from server.db import Tx, among
from server.orders.settling import delivered_lines
from server.payments.settling import Paid, payments_of, taken
from server.reconcile.tracing import bill_rows
from server.settlement.model import SettlementDeduction, SettlementItem, Statement
from server.stock.settling import lots_of
from shared.contracts import settlement as wire
from shared.contracts.base import Page
from shared.errors import BadField
from shared.ids import speak_distributor
from shared.money import Fen

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
        keys += [f"{row.cause_id}:{row.order_line_id}" for row in negative]
    return Page[wire.StatementLine](items=rows[:limit], next=keys[limit - 1] if len(rows) > limit else None)


def _place(after: str | None) -> tuple[UUID, ...]:
    try:
        return tuple(UUID(part) for part in after.split(":", 1)) if after else (_FIRST,)
    except ValueError:
        raise BadField(field="after", reason=str(after)[:80]) from None


def _items(tx: Tx, statement: Statement, *, after: UUID, limit: int) -> Sequence[SettlementItem]:
    mine = (SettlementItem.statement_id == statement.id, SettlementItem.order_line_id > after)
    return tx.scalars(select(SettlementItem).where(*mine).order_by(SettlementItem.order_line_id).limit(limit)).all()


def _negative(tx: Tx, statement: Statement, *, after: tuple[UUID, UUID], limit: int) -> Sequence[SettlementDeduction]:
    mine = (SettlementDeduction.statement_id == statement.id, SettlementDeduction.netted.is_(False))
    key = tuple_(SettlementDeduction.cause_id, SettlementDeduction.order_line_id)
    return tx.scalars(
        select(SettlementDeduction)
        .where(*mine, key > tuple_(*after))
        .order_by(SettlementDeduction.cause_id, SettlementDeduction.order_line_id)
        .limit(limit)
    ).all()


@dataclass(frozen=True, slots=True)
class _Taken:
    """What a refund or a lost dispute took of a line. One that ended without money after all took nothing."""

    amount: Fen = 0
    discount: Fen = 0
    fee: Fen = 0
    commission: Fen = 0
    quantity: int = 0
    refund_no: str | None = None
    dispute_no: str | None = None


def _taken(tx: Tx, rows: Sequence[SettlementDeduction]) -> dict[tuple[UUID, UUID], _Taken]:
    """The parts of what was taken, by cause and line."""
    found: dict[tuple[UUID, UUID], _Taken] = defaultdict(_Taken)
    wanted = [row.order_line_id for row in rows]
    for back in taken() if rows else ():
        for one in tx.execute(select(back).where(among(tx, back.c.order_line_id, wanted))):
            found[one.cause_id, one.order_line_id] = _Taken(
                one.amount_fen,
                one.discount_fen,
                one.fee_fen,
                one.commission_fen,
                one.quantity,
                one.refund_no,
                one.dispute_no,
            )
    return found


def _released(tx: Tx, statement: Statement, items: Sequence[SettlementItem]) -> list[wire.StatementLine]:
    ids = [item.order_line_id for item in items]
    lines, lots = _lines(tx, ids), lots_of(tx, ids)
    paid = payments_of(tx, {item.order_id for item in items})
    bills = bill_rows(tx, [one.attempt_id for one in paid.values()])
    gone = _netted(tx, statement, ids)
    answers = []
    for item in items:
        line, back = lines[item.order_line_id], gone[item.order_line_id]
        payment = paid.get(item.order_id)
        answers.append(
            wire.StatementLine(
                kind="release",
                quantity=line.quantity,
                amount_fen=line.amount_fen - sum(one.amount for one in back),
                discount_fen=line.discount_fen - sum(one.discount for one in back),
                fee_fen=line.fee_fen - sum(one.fee for one in back),
                commission_fen=line.commission_fen - sum(one.commission for one in back),
                net_fen=item.share_fen - item.refunded_fen,
                refunded_fen=sum(one.amount for one in back if one.refund_no),
                lost_fen=sum(one.amount for one in back if one.dispute_no),
                refund_no=None,
                **_of_line(line, lots),
                **_payment(payment, bills.get(payment.attempt_id) if payment else None),
            )
        )
    return answers


def _netted(tx: Tx, statement: Statement, line_ids: Sequence[UUID]) -> dict[UUID, list[_Taken]]:
    """What had been taken of these lines before their release."""
    mine = (SettlementDeduction.statement_id == statement.id, SettlementDeduction.netted.is_(True))
    query = select(SettlementDeduction).where(*mine, among(tx, SettlementDeduction.order_line_id, line_ids))
    rows = tx.scalars(query).all()
    details, found = _taken(tx, rows), defaultdict(list)
    for row in rows:
        found[row.order_line_id].append(details[row.cause_id, row.order_line_id])
    return found


def _taken_off(tx: Tx, rows: Sequence[SettlementDeduction]) -> list[wire.StatementLine]:
    ids = [row.order_line_id for row in rows]
    lines, lots, details = _lines(tx, ids), lots_of(tx, ids), _taken(tx, rows)
    paid = payments_of(tx, {line.order_id for line in lines.values()})
    bills = bill_rows(tx, [row.cause_id for row in rows])
    answers = []
    for row in rows:
        line, back = lines[row.order_line_id], details[row.cause_id, row.order_line_id]
        answers.append(
            wire.StatementLine(
                kind="deduction",
                quantity=back.quantity,
                amount_fen=-back.amount,
                discount_fen=-back.discount,
                fee_fen=-back.fee,
                commission_fen=-back.commission,
                net_fen=-row.amount_fen,
                refund_no=back.refund_no,
                dispute_no=back.dispute_no,
                **_of_line(line, lots),
                **_payment(paid.get(line.order_id), bills.get(row.cause_id)),
            )
        )
    return answers


def _of_line(line: Any, lots: Mapping[UUID, list[str]]) -> dict[str, Any]:
    return {
        "order_line_id": line.id,
        "order_code": line.order_code,
        "sku": line.sku_code,
        "title": line.title,
        "delivered_at": line.delivered_at,
        "distributor": speak_distributor(line.distributor_id) if line.distributor_id else "",
        "lots": lots.get(line.id, []),
    }


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
