"""The instruction of a payout that was checked: a transfer, or the splits of payments decided at its approval."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from server.db import Tx
from server.payments.settling import payments_of
from server.policy import Actor
from server.settlement import instructing, queries, splits
from server.settlement.drilling import order_codes
from server.settlement.model import Payout, SettlementResult
from shared import clock
from shared.contracts import settlement as wire
from shared.errors import Conflict
from shared.finance import PayoutState
from shared.money import Fen

PURCHASE = "purchase"
TRANSFER = 0
"""The number of the row for what no payment has."""
NO_PAYMENT = "no_payment"
_NEVER_CARRIED = frozenset({PayoutState.REQUESTED, PayoutState.REFUSED})
_CARRIED = frozenset({PayoutState.APPROVED, PayoutState.SENT})


def request_no(payout: Payout, n: int) -> str:
    """What a row is called: by the number of its split, or 0 for the transfer; with an E, what ends its splitting."""
    return f"{payout.number}-{n}" if n >= 0 else f"{payout.number}-E{-n}"


def row_number(request: str) -> tuple[str, int] | None:
    """The payout and the row that a request's number names; None for what is no such number."""
    number, _, row = request.rpartition("-")
    sign = -1 if row.startswith("E") else 1
    digits = row.removeprefix("E")
    return (number, sign * int(digits)) if number and digits.isascii() and digits.isdigit() else None


class NotChecked(Conflict):
    """Nobody carries a payout to the bank that no second person approved."""

    code = "payout_not_checked"
    zh = "打款 {number} 未经复核通过，没有可交给银行或渠道的指令。"
    en = "Payout {number} was not approved by a second person, so there is nothing to give to the bank or channel."


def instruction(tx: Tx, who: Actor, payout_id: UUID) -> wire.PayoutInstruction:
    """What people carry to the bank or the channel: nothing any more once it has ended.

    Raises NotFound, NotChecked.
    """
    payout = queries.payout(tx, who, payout_id)
    state = PayoutState(payout.state)
    if state in _NEVER_CARRIED:
        raise NotChecked(number=payout.number)
    rows: list[wire.InstructionRow] = []
    if state in _CARRIED:
        rows = [_transfer(payout, payout.amount_fen)] if payout.mode == PURCHASE else _splits(tx, payout)
    return wire.PayoutInstruction(number=payout.number, mode=payout.mode, amount_fen=payout.amount_fen, rows=rows)


def _row(payout: Payout, amount: Fen, number: str, **more: Any) -> wire.InstructionRow:
    return wire.InstructionRow(
        request_no=number,
        receiver=payout.receiver,
        account=payout.account,
        bank=payout.bank,
        amount_fen=amount,
        remark=" ".join(payout.statements),
        **more,
    )


def _transfer(payout: Payout, amount: Fen) -> wire.InstructionRow:
    return _row(payout, amount, payout.number)


def _splits(tx: Tx, payout: Payout) -> list[wire.InstructionRow]:
    """A row for each split, one for what cannot be split, and one for each payment whose splitting ends."""
    taken = splits.of(tx, payout)
    order_ids = [order_id for _, order_id, _ in taken]
    paid, codes = payments_of(tx, order_ids), order_codes(tx, order_ids)
    before, told = splits.rounds(tx, payout, order_ids), splits.results(tx, payout)
    ends, now = splits.rest(tx, payout, paid), clock.now()
    rows: list[wire.InstructionRow] = []
    last: list[wire.InstructionRow] = []
    for n, order_id, fen in taken:
        one, window = paid[order_id], instructing.window(paid[order_id].paid_at, at=now, rounds=before.get(order_id, 0))
        of_it = {
            "channel": one.channel,
            "payment_no": one.number,
            "provider_no": one.provider_no,
            "order_code": codes[order_id],
            "start_at": window.start_at,
            "until": window.until,
        }
        told_of_it = {"trouble": window.trouble, "succeeded": _said(told, n)}
        rows.append(_row(payout, fen, request_no(payout, n), kind="split", **of_it, **told_of_it))
        if order_id in ends:
            end = {"kind": "unfreeze", "receiver": "", "account": "", "bank": "", "request_no": request_no(payout, -n)}
            mine = end | {"amount_fen": ends[order_id], "succeeded": _said(told, -n)}
            last.append(rows[-1].model_copy(update=mine))
    if rest := payout.amount_fen - sum(fen for _, _, fen in taken):
        number = request_no(payout, TRANSFER)
        rows.append(_row(payout, rest, number, trouble=NO_PAYMENT, succeeded=_said(told, TRANSFER)))
    return rows + last


def _said(told: Mapping[int, SettlementResult], n: int) -> bool | None:
    return told[n].succeeded if n in told else None
