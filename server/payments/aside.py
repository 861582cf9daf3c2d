"""Money that a channel took for us and that pays no order: set aside once, by the channel's number of it.

It is in the ledger's suspense account until it goes back, is attached to an order by two people, or turns out to be a
slip of the channel that it corrected.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BindParameter, bindparam, insert, literal_column, select, tuple_, union_all, update

from server.db import Tx, rows_changed, table_of
from server.gateways.port import PaymentFact
from server.payments.model import PaymentAttempt, UnmatchedPayment
from shared import ids
from shared.errors import IllegalMove
from shared.money import Fen
from shared.states import FoundBy, UnmatchedState, sources_of

Number = tuple[str, str]
"""A channel and its number of some money."""

_ATTEMPTS, _UNMATCHED = table_of(PaymentAttempt), table_of(UnmatchedPayment)
_WANTED: BindParameter[Any] = bindparam("numbers", expanding=True)
_SEEN = union_all(
    select(_ATTEMPTS.c.channel, _ATTEMPTS.c.provider_no, _ATTEMPTS.c.out_trade_no, literal_column("0")).where(
        tuple_(_ATTEMPTS.c.channel, _ATTEMPTS.c.provider_no).in_(_WANTED)
    ),
    select(_UNMATCHED.c.channel, _UNMATCHED.c.provider_no, _UNMATCHED.c.out_trade_no, literal_column("1")).where(
        tuple_(_UNMATCHED.c.channel, _UNMATCHED.c.provider_no).in_(_WANTED)
    ),
)


class Numbers:
    """What is known of the channels' numbers in some facts, kept true while these are decided on."""

    def __init__(self, tx: Tx, wanted: Collection[Number]) -> None:
        """One read for all; the rows of money set aside are locked, if there are any."""
        self._paid: dict[Number, str] = {}
        aside: list[Number] = []
        if wanted:
            for channel, provider_no, out_trade_no, is_aside in tx.execute(_SEEN, {"numbers": sorted(wanted)}):
                if is_aside:
                    aside.append((channel, provider_no))
                else:
                    self._paid[channel, provider_no] = out_trade_no
        self._aside: dict[Number, UnmatchedPayment] = {}
        if aside:
            query = select(UnmatchedPayment).where(
                tuple_(UnmatchedPayment.channel, UnmatchedPayment.provider_no).in_(sorted(aside))
            )
            # As they are: a batch that is replayed has noted corrections of its first try, which were rolled back.
            fresh = query.with_for_update().execution_options(populate_existing=True)
            rows = tx.scalars(fresh.order_by(UnmatchedPayment.id))
            self._aside = {(row.channel, row.provider_no): row for row in rows}

    def paid_by(self, number: Number) -> str | None:
        """Our number of the attempt that this money paid."""
        return self._paid.get(number)

    def aside(self, number: Number) -> UnmatchedPayment | None:
        """The row of this money, where it was set aside."""
        return self._aside.get(number)

    def pays(self, number: Number, out_trade_no: str) -> None:
        """Note that it pays an attempt now."""
        self._paid[number] = out_trade_no

    def set_aside(self, number: Number, row: UnmatchedPayment) -> None:
        """Note that it is set aside now."""
        self._aside[number] = row


def number_of(fact: PaymentFact) -> Number | None:
    """The channel's number in a fact; None while there is none."""
    return None if fact.provider_no is None else (fact.channel, fact.provider_no)


def row_of(fact: PaymentFact, attempt: PaymentAttempt | None, *, found_by: FoundBy, at: datetime) -> UnmatchedPayment:
    """The row of money that is set aside."""
    assert fact.provider_no is not None
    return UnmatchedPayment(
        id=ids.new_id(),
        channel=fact.channel,
        provider_no=fact.provider_no,
        out_trade_no=fact.out_trade_no[:64],
        attempt_id=attempt.id if attempt else None,
        order_id=attempt.order_id if attempt else None,
        amount_fen=fact.amount_fen,
        paid_at=fact.paid_at or at,
        found_by=found_by.value,
        state=UnmatchedState.HELD.value,
        created_at=at,
    )


_INSERT = insert(_UNMATCHED)


def write(tx: Tx, rows: Sequence[UnmatchedPayment]) -> None:
    """Insert rows of money that was set aside: as held, also those that something used in the same transaction."""
    if rows:
        tx.execute(_INSERT, [_values(row) | {"state": UnmatchedState.HELD.value} for row in rows])


def held(tx: Tx, channel: str, amount: Fen, *, provider_no: str | None, out_trade_no: str) -> UnmatchedPayment | None:
    """Just this money, where it is set aside and nothing was done with it: by the channel's number of it, and by ours
    where that is not told; None where that could be more than one.
    """
    u = UnmatchedPayment
    named = u.provider_no == provider_no if provider_no else u.out_trade_no == out_trade_no
    its = (u.channel == channel, named, u.amount_fen == amount, u.state == UnmatchedState.HELD.value)
    found = tx.scalars(select(u).where(*its).limit(2)).all()
    return found[0] if len(found) == 1 else None


def is_held(tx: Tx, channel: str, out_trade_no: str) -> bool:
    """Whether money under our number is set aside, and may be given back by people or by the channel itself."""
    u, waits = UnmatchedPayment, (UnmatchedState.HELD.value, UnmatchedState.RETURNING.value)
    its = (u.channel == channel, u.out_trade_no == out_trade_no, u.state.in_(waits))
    return tx.scalars(select(u.id).where(*its)).first() is not None


def move(tx: Tx, unmatched_id: UUID, to: UnmatchedState, **also: Any) -> None:
    """Compare and set. Raises IllegalMove when it is where nobody can take it from."""
    sources = [state.value for state in sources_of(to)]
    guard = (UnmatchedPayment.id == unmatched_id, UnmatchedPayment.state.in_(sources))
    changed = tx.execute(
        update(UnmatchedPayment).where(*guard).values(state=to.value, **also),
        execution_options={"synchronize_session": False},
    )
    if rows_changed(changed) != 1:
        raise IllegalMove(machine="UnmatchedState", state="?", to=to.value)


def _values(row: UnmatchedPayment) -> dict[str, object]:
    return {column.name: getattr(row, column.name) for column in _UNMATCHED.columns}
