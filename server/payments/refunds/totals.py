"""Refunds of which a channel tells the sum alone, as Alipay does: what of it is not in the books yet.

Such a sum is of an instant, and has in it what was given back until then, by us or in the channel's own console.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, or_, select

from server.db import Tx
from server.payments.model import PaymentException
from server.payments.refunds.model import Refund
from shared.money import Fen
from shared.states import RefundState

_ENDED = frozenset({RefundState.REFUSED.value, RefundState.SUCCEEDED.value, RefundState.CLOSED.value})


@dataclass(frozen=True, slots=True)
class Told:
    """What a channel said of a payment: all that went back of it until `at`. None where it named one refund."""

    total: Fen | None
    at: datetime


def told(row: PaymentException) -> Told:
    """What an exception about an unknown refund was raised for."""
    said = dict(json.loads(row.evidence or "[]"))
    total, at = said.get("refunded_total_fen"), said.get("refunded_at")
    return Told(int(total) if total else None, datetime.fromisoformat(at) if at else row.created_at)


def unbooked(tx: Tx, channel: str, out_trade_no: str, total: Fen, *, at: datetime) -> Fen:
    """What others gave back of a payment until `at`.

    What was recorded is in every sum: it was made by hand before that, and who records a sum records all up to it.
    """
    its = (Refund.channel == channel, Refund.out_trade_no == out_trade_no, Refund.state == RefundState.SUCCEEDED.value)
    until = or_(Refund.refunded_at.is_(None), Refund.refunded_at <= at)
    return total - int(tx.scalar(select(func.coalesce(func.sum(Refund.amount_fen), 0)).where(*its, until)) or 0)


def is_open(tx: Tx, channel: str, out_trade_no: str) -> bool:
    """Whether a refund of ours is on its way, so that nobody knows if a sum has it in it."""
    its = (Refund.channel == channel, Refund.out_trade_no == out_trade_no, Refund.state.not_in(_ENDED))
    return tx.scalars(select(Refund.id).where(*its)).first() is not None
