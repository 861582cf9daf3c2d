"""Notifications as they came, byte for byte: kept once each, with what they caused, for three years.

Their bodies name the payer, so they are sealed from the moment they are verified; `kameng-server notices` opens them.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, bindparam, delete, insert, or_, select, tuple_, update
from sqlalchemy.exc import IntegrityError

from server.crypto import KeyRing
from server.db import Database, Tx, table_of
from server.payments.model import PaymentAttempt, PaymentCallback
from shared import clock, ids
from shared.states import CallbackState, sources_of

KEPT_FOR = timedelta(days=3 * 366)
"""Three years, as the law wants of transactions (product.md F1)."""

FORGET_MOST = 1_000
_PURPOSE = "callback"
_SETTLED = [state.value for state in CallbackState if state is not CallbackState.DEFERRED]

_log = logging.getLogger("kameng.payments")


@dataclass(frozen=True, slots=True)
class RawCallback:
    """A notification byte for byte, kept with what it caused. `digest` is the SHA-256 of its body, which is sealed.

    Of what was rejected it is that of headers and body: the same body may come again, signed by its channel.
    """

    digest: str
    headers: bytes
    body: bytes


def sealed(keys: KeyRing, digest: str, headers: bytes, body: bytes) -> RawCallback:
    """A notification as it is kept."""
    return RawCallback(digest, headers, keys.seal_small(_PURPOSE, digest.encode(), body))


@dataclass(frozen=True, slots=True)
class Kept:
    """A notification as its row: whom it came from, what it is about, and what it is called there."""

    channel: str
    raw: RawCallback
    out_trade_no: str
    event_id: str | None = None
    reason: str | None = None

    @property
    def name(self) -> Name:
        """What it is once by."""
        return self.channel, self.raw.digest


Name = tuple[str, str]
"""A notification by its channel and the digest of its body."""

# By channel and digest, as the index has them: no engine finds a row by the second column of an index alone.
_NAMED = tuple_(PaymentCallback.channel, PaymentCallback.digest).in_(bindparam("names", expanding=True))
_STORED = select(PaymentCallback.channel, PaymentCallback.digest, PaymentCallback.state).where(_NAMED)
_INSERT = insert(table_of(PaymentCallback))


def keep(tx: Tx, told: Sequence[Kept]) -> set[Name]:
    """Store what is about to be applied, once each; answers what was applied before."""
    if not told:
        return set()
    by_name = {one.name: one for one in told}
    found = tx.execute(_STORED, {"names": sorted(by_name)})
    stored = {(channel, digest): state for channel, digest, state in found}
    # Sorted: two processes that are told the same wait for each other, but not crosswise.
    fresh = [by_name[name] for name in sorted(by_name.keys() - stored.keys())]
    if fresh:
        tx.execute(_INSERT, [_row(one, CallbackState.APPLIED) for one in fresh])
    deferred = [name for name, state in stored.items() if state == CallbackState.DEFERRED]
    if deferred:
        of_them = update(PaymentCallback).where(_NAMED, _may_become(CallbackState.APPLIED))
        tx.connection().execute(of_them.values(state=CallbackState.APPLIED.value), {"names": deferred})
    return {name for name, state in stored.items() if state == CallbackState.APPLIED}


def defer(tx: Tx, told: Kept) -> None:
    """Keep what could not be applied, so that it may be acknowledged; a job asks the channel about it."""
    _keep_once(tx, told, CallbackState.DEFERRED)


def reject(tx: Tx, told: Kept) -> None:
    """Keep what nobody we know signed, or what cannot be read, with the reason."""
    _keep_once(tx, told, CallbackState.REJECTED)


def settle(tx: Tx, channel: str, digest: str, *, confirmed: bool) -> None:
    """The channel was asked about a kept notification: it said the same, or knows of no such thing."""
    to = CallbackState.APPLIED if confirmed else CallbackState.REFUSED
    kept = (PaymentCallback.channel == channel, PaymentCallback.digest == digest, _may_become(to))
    tx.execute(update(PaymentCallback).where(*kept).values(state=to.value))


def is_known(tx: Tx, channel: str, *, digest: str, event_id: str | None) -> bool:
    """Whether this very notification, or this event, was taken before."""
    same = [PaymentCallback.digest == digest]
    if event_id is not None:
        same.append(PaymentCallback.event_id == event_id)
    query = select(PaymentCallback.id).where(
        PaymentCallback.channel == channel, or_(*same), PaymentCallback.state != CallbackState.REJECTED.value
    )
    return tx.scalars(query.limit(1)).first() is not None


# --- read, and forgotten ---


@dataclass(frozen=True, slots=True)
class Opened:
    """A kept notification as it came."""

    received_at: datetime
    channel: str
    state: CallbackState
    headers: bytes
    body: bytes


def of_number(tx: Tx, keys: KeyRing, out_trade_no: str) -> list[Opened]:
    """What was told about a number, oldest first; one that is not ours is looked for among all that is kept.

    Raises SecretUnreadable for another shop's key ring.
    """
    its = select(PaymentAttempt.created_at).where(PaymentAttempt.out_trade_no == out_trade_no)
    about_it = [PaymentCallback.out_trade_no == out_trade_no]
    if (opened_at := tx.scalars(its).first()) is not None:
        about_it.append(PaymentCallback.received_at >= opened_at)
    rows = tx.scalars(select(PaymentCallback).where(*about_it).order_by(PaymentCallback.received_at)).all()
    return [
        Opened(
            row.received_at,
            row.channel,
            CallbackState(row.state),
            row.headers,
            _opened(keys, row),
        )
        for row in rows
    ]


def _opened(keys: KeyRing, row: PaymentCallback) -> bytes:
    if hashlib.sha256(row.body).hexdigest() == row.digest:
        return row.body  # kept by a version that sealed nothing
    return keys.open_small(_PURPOSE, row.digest.encode(), row.body)


def forget_old(db: Database) -> int:
    """Delete what was kept for its time, a little at a time; answers how many. What nobody has settled stays."""
    forgotten = 0
    while True:
        with db.tx() as tx:
            old = (PaymentCallback.received_at < clock.now() - KEPT_FOR, PaymentCallback.state.in_(_SETTLED))
            found = tx.scalars(select(PaymentCallback.id).where(*old).limit(FORGET_MOST)).all()
            if found:
                tx.execute(delete(PaymentCallback).where(PaymentCallback.id.in_(found)))
        forgotten += len(found)
        if len(found) < FORGET_MOST:
            return forgotten
        db.give_way()


def _keep_once(tx: Tx, told: Kept, state: CallbackState) -> None:
    same = (PaymentCallback.channel == told.channel, PaymentCallback.digest == told.raw.digest)
    if tx.scalars(select(PaymentCallback.id).where(*same)).first() is not None:
        return
    try:
        with tx.begin_nested():
            tx.execute(_INSERT, _row(told, state))
    except IntegrityError:
        _log.info("another process keeps the same notification", extra={"channel": told.channel})


def _may_become(to: CallbackState) -> ColumnElement[bool]:
    return PaymentCallback.state.in_([state.value for state in sources_of(to)])


def _row(told: Kept, state: CallbackState) -> dict[str, object]:
    return {
        "id": ids.new_id(),
        "channel": told.channel,
        "digest": told.raw.digest,
        "out_trade_no": told.out_trade_no[:64],
        "state": state.value,
        "headers": told.raw.headers,
        "body": told.raw.body,
        "received_at": clock.now(),
        "event_id": told.event_id,
        "reason": told.reason,
    }
