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
        outcome: actions.Outcome = await ctx.batch.submit(_command(ctx, fact, found_by))
    except Busy:
        raise  # nothing was tried
    except Exception as error:
        await asyncio.to_thread(_tell, ctx, fact, found_by, error)
        raise
    return outcome


def call(ctx: Context, fact: PaymentFact, found_by: FoundBy) -> actions.Outcome:
    """The same for a worker thread, which waits."""
    try:
        outcome: actions.Outcome = ctx.batch.call(_command(ctx, fact, found_by))
    except Busy:
        raise
    except Exception as error:
        _tell(ctx, fact, found_by, error)
        raise
    return outcome


def _command(ctx: Context, fact: PaymentFact, found_by: FoundBy) -> actions.ApplyPayment:
    return actions.ApplyPayment.of(ctx.gateways[fact.channel], fact, found_by)


def _tell(ctx: Context, fact: PaymentFact, found_by: FoundBy, error: Exception) -> None:
    retrying(ctx.db, lambda tx: not_applied(tx, fact, found_by, error))


def not_applied(tx: Tx, fact: PaymentFact, found_by: FoundBy, error: Exception) -> None:
    """Put before people that money cannot be written: once, and anew when it cannot although they have closed that.

    It ends when it is written, after all.
    """
    attempt = tx.scalars(select(PaymentAttempt).where(PaymentAttempt.out_trade_no == fact.out_trade_no)).first()
    raised = raising.of_fact(
        ExceptionKind.PAYMENT_UNKNOWN if attempt else ExceptionKind.UNKNOWN_PAYMENT,
        fact,
        attempt,
        found_by=found_by,
        at=clock.now(),
        about=f"money:{fact.provider_no}",  # not the attempt alone: the sweep gives that up under its name
        more=[("not_applied", type(error).__name__)],  # its message may hold what nobody should read
    )
    raising.again(tx, raised)
