"""The payment channels as the shop uses them: which take new payments, and which do not answer.

A channel that is switched off takes no new attempts; its open ones, its notifications and its refunds go on. Every call
to a channel goes through `call`, so that one that is away costs buyers no waits, and people are told of it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar
from uuid import NAMESPACE_URL, UUID, uuid5

from sqlalchemy import func, select, update
from sqlalchemy.exc import IntegrityError

from server import audit, changes
from server.context import Context
from server.db import Tx, retrying, rows_changed
from server.gateways.port import ChannelRefused, ChannelUnknown, Gateway, Reason, Unclear
from server.identity import queries as people
from server.outbound import BUSY
from server.payments import bill_days, queries
from server.payments.model import PaymentAttempt, PaymentChannel
from server.policy import Actor
from shared import clock
from shared.contracts import payments as wire
from shared.errors import Conflict, NotFound
from shared.states import AttemptState, FoundBy, sources_of

PROBE_NO = "kameng-probe"
"""A number that no payment has: asking about it shows whether the channel answers."""

_NOT_ASKED = frozenset({Reason.PRODUCT_NOT_OFFERED.value, Reason.IOS_NOT_ALLOWED.value})
"""Refusals that our own side makes: they say nothing about the channel."""

_log = logging.getLogger("kameng.payments")
T = TypeVar("T")


class ChannelOff(Conflict):
    """The shop does not take this channel."""

    code = "channel_off"
    zh = "暂不支持该支付方式，请换一种。"
    en = "This payment method is not available; please choose another."


class ChannelChanged(Conflict):
    """Somebody else has switched the channel in the meantime."""

    code = "channel_changed"
    zh = "该渠道刚刚被其他人改过，请刷新后再操作。"
    en = "Somebody else has just changed this channel; refresh and try again."


# --- which can be paid through ---


@dataclass(frozen=True, slots=True)
class Offer:
    """A channel as a buyer may choose it. `products` are the ways to pay that it was set up with."""

    code: str
    products: frozenset[str]
    enabled: bool
    away: bool

    @property
    def usable(self) -> bool:
        """Whether a new payment may be opened through it."""
        return self.enabled and not self.away


def switched_off(tx: Tx) -> set[str]:
    """The channels that take no new payments."""
    return set(tx.scalars(_OFF))


_OFF = select(PaymentChannel.code).where(PaymentChannel.enabled.is_(False))


def offers(ctx: Context, tx: Tx) -> list[Offer]:
    """Every channel of the shop, by its code; pages show those that are enabled and say which of them is away."""
    off = switched_off(tx)
    return [
        Offer(code, gateway.products, enabled=code not in off, away=ctx.breakers.is_open(code))
        for code, gateway in sorted(ctx.gateways.items())
    ]


# --- calling them ---


async def call(ctx: Context, channel: str, ask: Callable[[Gateway], Awaitable[T]]) -> T:
    """What the channel answers to `ask`. Its silence and its answers are counted, and no waiting of our own.

    Raises ChannelUnknown, without asking, while the channel is away; ChannelUnknown and ChannelRefused from it.
    """
    if channel not in ctx.gateways:
        raise ChannelUnknown(channel=channel, detail="not set up")
    if not ctx.breakers.passes(channel):
        raise ChannelUnknown(channel=channel, detail="away, not asked")
    try:
        answer = await ask(ctx.gateways[channel])
    except Unclear:
        await _note(ctx, channel)
        raise
    except ChannelUnknown as error:
        if error.detail != BUSY:
            await _note(ctx, channel, why=error.detail)
        raise
    except ChannelRefused as refusal:
        if refusal.reason_code not in _NOT_ASKED:
            await _note(ctx, channel)
        raise
    await _note(ctx, channel)
    return answer


async def probe(ctx: Context) -> None:
    """Ask those that are away, each as often as its breaker lets us, whether they are back."""
    for channel in await asyncio.to_thread(away, ctx):
        if channel not in ctx.gateways:
            continue
        try:
            await call(ctx, channel, lambda gateway: gateway.query(PROBE_NO))
        except ChannelRefused:
            _log.info("channel refused a probe, and so is back", extra={"channel": channel})
        except ChannelUnknown:
            continue
        # Another process may have told of it, which closes its own breaker when it asks itself.
        await asyncio.to_thread(_told, ctx, channel, None)


def away(ctx: Context) -> list[str]:
    """The channels that somebody found away, and nobody found back."""
    with ctx.db.read() as tx:
        return list(tx.scalars(select(PaymentChannel.code).where(PaymentChannel.away_since.is_not(None))))


async def _note(ctx: Context, channel: str, *, why: str | None = None) -> None:
    if not ctx.breakers.note(channel, answered=why is None):
        return
    (_log.warning if why else _log.info)("channel is %s", "away" if why else "back", extra={"channel": channel})
    try:
        await asyncio.to_thread(_told, ctx, channel, why)
    except Exception:  # noqa: BLE001 - the answer itself must not be lost for a banner, also when no connection is free
        _log.exception("could not tell of a channel", extra={"channel": channel})


def _told(ctx: Context, channel: str, why: str | None) -> None:
    """Tell the consoles that a channel is away (`why`), or that it is back."""

    def tell(tx: Tx) -> None:
        row = _locked(tx, channel)
        if (row.away_since is None) is (why is None):
            return
        now = clock.now()
        if why is None:
            row.away_since, row.away_why, row.answered_at = None, None, now
        else:
            row.away_since, row.away_why = now, why[:200]
        row.version += 1
        tx.flush()
        changes.append(tx, "channel", id_of(channel), domain="payments")

    retrying(ctx.db, tell)


# --- switching them ---


def switch(tx: Tx, channel: str, body: wire.SwitchChannel, *, actor: Actor, request_id: str | None = None) -> None:
    """Take new payments through this channel, or not. Raises ChannelChanged for a stale version."""
    _locked(tx, channel)  # so that there is a row
    values = {
        "enabled": body.enabled,
        "reason": body.reason[:200],
        "changed_by": actor.label,
        "changed_at": clock.now(),
        "version": PaymentChannel.version + 1,
    }
    guard = (PaymentChannel.code == channel, PaymentChannel.version == body.version)
    changed = tx.execute(update(PaymentChannel).where(*guard).values(**values))
    if rows_changed(changed) != 1:
        raise ChannelChanged
    audit.append(
        tx,
        actor=actor.label,
        action="channel.on" if body.enabled else "channel.off",
        entity="channel",
        entity_id=channel,
        detail={"reason": body.reason},
        request_id=request_id,
    )
    changes.append(tx, "channel", id_of(channel), domain="payments")


def _locked(tx: Tx, channel: str) -> PaymentChannel:
    """The channel's row, made when it is first needed."""
    query = select(PaymentChannel).where(PaymentChannel.code == channel).with_for_update()
    row = tx.scalars(query).first()
    if row is None:
        try:
            with tx.begin_nested():
                tx.add(PaymentChannel(code=channel, enabled=True, version=1))
        except IntegrityError:
            _log.info("another process made the channel's row", extra={"channel": channel})
        row = tx.scalars(query.execution_options(populate_existing=True)).one()
    return row


def id_of(channel: str) -> UUID:
    """The name of a channel in the change feed, which knows rows by ids."""
    return uuid5(NAMESPACE_URL, f"kameng:channel:{channel}")


# --- what staff see ---


def listing(ctx: Context, tx: Tx) -> list[wire.Channel]:
    """All channels of the shop as staff see them, by their code."""
    rows = {row.code: row for row in tx.scalars(select(PaymentChannel))}
    open_states = [state.value for state in sources_of(AttemptState.CLOSED)]
    was_asked = PaymentAttempt.queries > 0
    counted = (
        select(PaymentAttempt.channel, PaymentAttempt.state, was_asked, func.count())
        .where(PaymentAttempt.state.in_(open_states))
        .group_by(PaymentAttempt.channel, PaymentAttempt.state, was_asked)
    )
    now = clock.now()
    known = _Known(
        open={(channel, state, bool(asked)): n for channel, state, asked, n in tx.execute(counted)},
        bills=bill_days.standing(tx, today=clock.shop_day(now)),
        found=queries.found_lately(tx, since=now - queries.FOUND_WITHIN),
        names=people.names_of(tx, [row.changed_by for row in rows.values()]),
    )
    return [
        _answer(ctx, rows.get(code) or PaymentChannel(code=code, enabled=True, version=1), known)
        for code in sorted({*ctx.gateways, *rows})
    ]


@dataclass(frozen=True, slots=True)
class _Known:
    """What is known of all channels. `open` counts open attempts by channel, state, and whether they were asked of."""

    open: dict[tuple[str, str, bool], int]
    bills: dict[str, bill_days.Standing]
    found: dict[str, dict[FoundBy, int]]
    names: dict[str, str]


def one(ctx: Context, tx: Tx, channel: str) -> wire.Channel:
    """One channel as staff see it. Raises NotFound for one that the shop does not have."""
    found = next((shown for shown in listing(ctx, tx) if shown.code == channel), None)
    if found is None:
        raise NotFound
    return found


def _answer(ctx: Context, row: PaymentChannel, known: _Known) -> wire.Channel:
    its = {key[1:]: n for key, n in known.open.items() if key[0] == row.code}
    bills = known.bills.get(row.code)
    return wire.Channel(
        code=row.code,
        enabled=row.enabled,
        reason=row.reason,
        changed_by=known.names.get(row.changed_by, row.changed_by) if row.changed_by else None,
        changed_at=row.changed_at,
        away_since=row.away_since,
        away_why=row.away_why,
        answered_at=row.answered_at,
        open_attempts=sum(its.values()),
        unknown=sum(
            n for (state, asked), n in its.items() if state == AttemptState.UNKNOWN or (asked and row.away_since)
        ),
        clock_off_seconds=ctx.health.clock_off_from(row.code),
        bills=wire.ChannelBills.model_validate(bills, from_attributes=True) if bills else None,
        found=known.found.get(row.code, {}),
        version=row.version,
    )
