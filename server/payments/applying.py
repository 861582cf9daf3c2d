"""Applying what a channel said when it was asked; what cannot be applied is put before people, and tried again.

The writer itself is `actions.apply`. Money that it refuses to write, for whatever reason, must not be known to a log
alone: it is an exception with the channel's words, which ends by itself once the money is applied after all.
"""

from __future__ import annotations

import asyncio

from sqlalchemy import select

from server.context import Context
from server.db import Tx, retrying
from server.gateways.port import PaymentFact
from server.payments import actions
from server.payments.exceptions import raising
from server.payments.model import PaymentAttempt
from shared import clock
from shared.errors import Busy
from shared.states import ExceptionKind, FoundBy


async def apply(ctx: Context, fact: PaymentFact, found_by: FoundBy) -> actions.Outcome:
    """Apply a fact that a channel of ours answered. Raises what the writer raised, after people were told."""
    try:
        command = actions.ApplyPayment.of(ctx.gateways[fact.channel], fact, found_by)
        outcome: actions.Outcome = await ctx.batch.submit(command)
    except Busy:
        raise  # nothing was tried
    except Exception as error:
        why = type(error).__name__  # its message may hold what nobody should read
        await asyncio.to_thread(retrying, ctx.db, lambda tx: not_applied(tx, fact, found_by, why=why))
        raise
    return outcome


def not_applied(tx: Tx, fact: PaymentFact, found_by: FoundBy, *, why: str) -> None:
    """Put before people, once for an attempt, that what its channel says cannot be applied."""
    attempt = tx.scalars(select(PaymentAttempt).where(PaymentAttempt.out_trade_no == fact.out_trade_no)).first()
    raised = raising.of_fact(
        ExceptionKind.PAYMENT_UNKNOWN,
        fact,
        attempt,
        found_by=found_by,
        at=clock.now(),
        about=attempt.id.hex if attempt else fact.out_trade_no,
        more=[("not_applied", why)],
    )
    raising.write(tx, [raised])
