"""The instruction of a payout that was sent: a transfer, or the splits of payments decided at its approval."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from server.db import Tx
from server.payments.settling import Paid, payments_of
from server.policy import Actor
from server.settlement import instructing, queries, splits
from server.settlement.drilling import order_codes
from server.settlement.model import Payout, SettlementResult
from server.settlement.splits import TRANSFER
from shared import clock
from shared.contracts import settlement as wire
from shared.errors import Conflict
from shared.finance import PayoutState
from shared.money import Fen
from shared.payout_rows import Row

PURCHASE = "purchase"
NO_PAYMENT = "no_payment"
_NEVER_CARRIED = frozenset({PayoutState.REQUESTED, PayoutState.APPROVED, PayoutState.REFUSED})


class NotSent(Conflict):
    """Nobody carries a payout to the bank that is not booked yet: it may be taken back, or no longer be available."""

    code = "payout_not_sent"
    zh = "打款 {number} 尚未提交：须先由另一人复核，再提交入账，之后才有交给银行或渠道的指令。"
    en = (
        "Payout {number} was not sent: another person checks it, then it is sent, which books it; "
        "only then is there something to give to the bank or channel."
    )


def instruction(tx: Tx, who: Actor, payout_id: UUID) -> wire.PayoutInstruction:
    """What people carry to the bank or the channel; once it arrived, what of its splits is to be given back, and the
    payments whose splitting is still to be ended.

    Raises NotFound, NotSent.
    """
    payout = queries.payout(tx, who, payout_id)
    state = PayoutState(payout.state)
    if state in _NEVER_CARRIED:
        raise NotSent(number=payout.number)
    rows: list[wire.InstructionRow] = []
    if state is PayoutState.SENT:
        rows = [_row(payout, payout.amount_fen)] if payout.mode == PURCHASE else _splits(tx, payout)
        rows += _ends(tx, payout)
    if state is PayoutState.CONFIRMED:
        rows = _returns(tx, payout) if payout.mode != PURCHASE else []
        rows += [row for row in _ends(tx, payout) if row.succeeded is None]
    return wire.PayoutInstruction(number=payout.number, mode=payout.mode, amount_fen=payout.amount_fen, rows=rows)


def _row(payout: Payout, amount: Fen, row: Row | None = None, **more: Any) -> wire.InstructionRow:
    to = {"receiver": payout.receiver, "account": payout.account, "bank": payout.bank}
    return wire.InstructionRow(
        request_no=row.name if row else payout.number,
        amount_fen=amount,
        remark=" ".join(payout.statements),
        **to | more,
    )


_TO_US = {"receiver": "", "account": "", "bank": ""}


def _of(paid: Paid, code: str) -> dict[str, Any]:
    """Which payment a row is about."""
    return {
        "channel": paid.channel,
        "payment_no": paid.number,
        "provider_no": paid.provider_no,
        "order_code": code,
    }


def _splits(tx: Tx, payout: Payout) -> list[wire.InstructionRow]:
    """A row for each split, and one for what cannot be split."""
    taken = splits.of(tx, payout)
    order_ids = [order_id for _, order_id, _ in taken]
    paid, codes = payments_of(tx, order_ids), order_codes(tx, order_ids)
    before, told = splits.rounds(tx, payout, order_ids), splits.results(tx, payout)
    rows: list[wire.InstructionRow] = []
    for n, order_id, fen in taken:
        window = instructing.window(paid[order_id].paid_at, at=clock.now(), rounds=before.get(order_id, 0))
        when = {"start_at": window.start_at, "until": window.until, "trouble": window.trouble}
        of_it = _of(paid[order_id], codes[order_id]) | when | {"succeeded": _said(told, n)}
        rows.append(_row(payout, fen, Row(payout.number, n), kind="split", **of_it))
    if rest := payout.amount_fen - sum(fen for _, _, fen in taken):
        said = {"trouble": NO_PAYMENT, "succeeded": _said(told, TRANSFER)}
        rows.append(_row(payout, rest, Row(payout.number, TRANSFER), **said))
    return rows


def _ends(tx: Tx, payout: Payout) -> list[wire.InstructionRow]:
    """A row for each payment whose splitting ends with it; that of what is too late was ended by its channel."""
    due, told = splits.ends(tx, payout), splits.results(tx, payout)
    order_ids = [one.order_id for one in due]
    paid, codes = payments_of(tx, order_ids), order_codes(tx, order_ids)
    before = splits.rounds(tx, payout, order_ids)
    rows: list[wire.InstructionRow] = []
    for one in due:
        of_it = paid[one.order_id]
        window = instructing.window(of_it.paid_at, at=clock.now(), rounds=before.get(one.order_id, 0))
        if window.trouble is None:
            when = {"start_at": window.start_at, "until": window.until, "succeeded": _said(told, -one.n)}
            more = _of(of_it, codes[one.order_id]) | when | _TO_US
            rows.append(_row(payout, one.amount, Row(payout.number, one.n, "E"), kind="unfreeze", **more))
    return rows


def _returns(tx: Tx, payout: Payout) -> list[wire.InstructionRow]:
    """A row for each split of which the refunds of its payment need something back."""
    due = [one for one in splits.to_return(tx, payout) if clock.now() <= one.until]
    order_ids = [one.order_id for one in due]
    paid, codes = payments_of(tx, order_ids), order_codes(tx, order_ids)
    return [
        _row(
            payout,
            one.amount,
            Row(payout.number, one.n, "R", one.k),
            kind="return",
            until=one.until,
            **_of(paid[one.order_id], codes[one.order_id]),
            **_TO_US,
        )
        for one in due
    ]


def _said(told: Mapping[int, SettlementResult], n: int) -> bool | None:
    return told[n].succeeded if n in told else None
