"""Differences that a run found become rows: new ones open, known ones as they were handled, gone ones matched.

What people carried over from an earlier day comes in as a row of this day, until its other half has come.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from uuid import NAMESPACE_URL, UUID, uuid5

from sqlalchemy import exists, select
from sqlalchemy.orm import aliased

from server import changes
from server.db import Tx
from server.payments.model import PaymentAttempt, PaymentBillFile
from server.payments.refunds.model import Refund
from server.reconcile import choosing, feed, ours, waiting
from server.reconcile.differences import Difference
from server.reconcile.matching import Wanted
from server.reconcile.model import ReconcileDifference, ReconcileRow
from shared import clock
from shared.finance import DifferenceAction, DifferenceKind, DifferenceState
from shared.states import RefundState

_D = DifferenceState
_OF_FUNDS = frozenset({DifferenceKind.FUND_ONLY_FUNDS, DifferenceKind.BALANCE})
"""Kinds whose row is one of the fund bill."""

_THEIRS = frozenset(
    {
        DifferenceKind.ONLY_THEIRS.value,
        DifferenceKind.UNPAID_OURS.value,
        DifferenceKind.DUPLICATE.value,
        DifferenceKind.AMOUNT.value,
    }
)
_OURS = frozenset(
    {DifferenceKind.ONLY_OURS.value, DifferenceKind.REFUND_ONLY_OURS.value, DifferenceKind.DATE_SHIFT.value}
)


def keep(
    tx: Tx,
    channel: str,
    day: date,
    found: Sequence[Difference],
    *,
    trades_file_id: UUID | None,
    funds_file_id: UUID | None,
) -> None:
    """Keep what a run of the day found; callers hold the day."""
    its = (ReconcileDifference.channel == channel, ReconcileDifference.day == day)
    query = select(ReconcileDifference).where(*its).with_for_update()
    known = {row.id: row for row in tx.scalars(query, execution_options={"populate_existing": True})}
    codes = _order_codes(tx, channel, found)
    touched: list[ReconcileDifference] = []
    for one in found:
        file_id = funds_file_id if one.kind in _OF_FUNDS else trades_file_id
        row = known.pop(one.id, None)
        if row is None:
            row = _new(channel, day, one)
            tx.add(row)
            touched.append(row)
        elif row.state in {_D.OPEN.value, _D.MATCHED.value}:
            to = _state_of(one)
            touched += [row] if row.state != to else []
            row.state = to.value
        else:
            continue  # people are at it, or were: what they saw stays
        is_same = one.kind is DifferenceKind.DUPLICATE and one.ours is None and _is_paid_here(tx, channel, one)
        ours_state = choosing.PAID_HERE if is_same else one.ours.state if one.ours else ""
        file_id = file_id if one.bill_row is not None else None
        _fill(row, one, ours_state=ours_state, file_id=file_id, order_code=codes.get(one.out_trade_no))
    for row in known.values():
        if row.state == _D.OPEN and (row.carried_from is None or _has_come(tx, row)):
            row.state = _D.MATCHED.value
            row.version += 1
            touched.append(row)
    touched += _carry_in(tx, channel, day)
    tx.flush()
    for row in touched:
        if row.state == _D.OPEN:
            exception = waiting.found(tx, row)
            row.exception_id = exception.id if exception else None
            row.proposed = choosing.possible(row, exception)[0].value
    _tell(tx, touched)


def _is_paid_here(tx: Tx, channel: str, one: Difference) -> bool:
    """Whether it is a payment of ours that the bill has twice."""
    its_own = ours.named(tx, channel, Wanted([one.provider_no], [], []))
    return any(our.provider_no == one.provider_no for our in its_own)


def _state_of(one: Difference) -> DifferenceState:
    return _D.MATCHED if one.closes_itself else _D.OPEN


def _new(channel: str, day: date, one: Difference) -> ReconcileDifference:
    return ReconcileDifference(
        id=one.id,
        origin_id=one.id,
        number=_number(day, one.id),
        channel=channel,
        day=day,
        kind=one.kind.value,
        found_at=clock.now(),
        state=_state_of(one).value,
        proposed=one.proposed.value,
        note="",
        is_signed=False,
        version=1,
    )


def _number(day: date, difference_id: UUID) -> str:
    """What people call it; made of its id, so that every run calls it the same."""
    return f"D{day:%Y%m%d}-{difference_id.hex[-8:].upper()}"


def _fill(
    row: ReconcileDifference, one: Difference, *, ours_state: str, file_id: UUID | None, order_code: str | None
) -> None:
    """What both sides say of it; the version moves with it where people have seen something else."""
    facts = {
        "ours_id": one.ours.id if one.ours else None,
        "ours_fen": one.ours_fen,
        "theirs_fen": one.theirs_fen,
        "ours_state": ours_state,
        "theirs_state": one.theirs.state if one.theirs else "",
        "out_trade_no": one.out_trade_no[:64],
        "provider_no": one.provider_no[:64],
        "out_refund_no": one.out_refund_no[:64],
        "order_code": order_code,
        "file_id": file_id,
        "bill_row": one.bill_row,
    }
    is_seen = row.kind is not None and row.ours_state is not None
    is_news = is_seen and any(getattr(row, name) != value for name, value in facts.items())
    for name, value in facts.items():
        setattr(row, name, value)
    if is_news:
        row.version += 1


def _order_codes(tx: Tx, channel: str, found: Iterable[Difference]) -> dict[str, str]:
    numbers = sorted({one.out_trade_no for one in found if one.out_trade_no})
    codes: dict[str, str] = {}
    for at in range(0, len(numbers), ours.AT_A_TIME):
        its = (PaymentAttempt.channel == channel, PaymentAttempt.out_trade_no.in_(numbers[at : at + ours.AT_A_TIME]))
        codes |= dict(tx.execute(select(PaymentAttempt.out_trade_no, PaymentAttempt.order_code).where(*its)).all())
    return codes


# --- carried over ---


def _carry_in(tx: Tx, channel: str, day: date) -> list[ReconcileDifference]:
    """What earlier days carried over and no later day has taken up."""
    later = aliased(ReconcileDifference)
    taken = exists().where(later.origin_id == ReconcileDifference.origin_id, later.day > ReconcileDifference.day)
    query = select(ReconcileDifference).where(
        ReconcileDifference.channel == channel,
        ReconcileDifference.day < day,
        ReconcileDifference.state == _D.RESOLVED.value,
        ReconcileDifference.action == DifferenceAction.CARRY.value,
        ~taken,
    )
    made = [_carried(day, row) for row in tx.scalars(query.order_by(ReconcileDifference.number)).all()]
    for row in made:
        row.state = (_D.MATCHED if _has_come(tx, row) else _D.OPEN).value
        tx.add(row)
    return made


def _carried(day: date, before: ReconcileDifference) -> ReconcileDifference:
    new_id = uuid5(NAMESPACE_URL, f"kameng:difference:{before.origin_id}:carried:{day}")
    same = ("origin_id", "channel", "kind", "ours_id", "ours_fen", "theirs_fen", "ours_state", "theirs_state")
    numbers = ("out_trade_no", "provider_no", "out_refund_no", "order_code", "file_id", "bill_row", "proposed")
    return ReconcileDifference(
        id=new_id,
        number=_number(day, new_id),
        day=day,
        found_at=clock.now(),
        carried_from=before.carried_from or before.day,
        note="",
        is_signed=False,
        version=1,
        **{name: getattr(before, name) for name in (*same, *numbers)},
    )


def _has_come(tx: Tx, row: ReconcileDifference) -> bool:
    """Whether the other half of what was carried over is there now."""
    if row.kind in _OURS and row.ours_id is not None:
        query = select(ReconcileRow.n).join(PaymentBillFile, PaymentBillFile.id == ReconcileRow.file_id)
        its = (ReconcileRow.matched_id == row.ours_id, PaymentBillFile.is_current)
        return tx.scalars(query.where(*its).limit(1)).first() is not None
    if row.kind in _THEIRS:
        its_own = ours.named(tx, row.channel, Wanted([row.provider_no], [], []))
        return any(one.state == "paid" and one.amount_fen == row.theirs_fen for one in its_own)
    if row.kind == DifferenceKind.REFUND_ONLY_THEIRS:
        done = (Refund.channel == row.channel, Refund.state == RefundState.SUCCEEDED.value)
        number = Refund.provider_refund_no == waiting.refund_no(tx, row)
        return tx.scalars(select(Refund.id).where(*done, number)).first() is not None
    return False


def _tell(tx: Tx, touched: Sequence[ReconcileDifference]) -> None:
    changes.append_many(tx, [changes.Changed(feed.DIFFERENCE, row.id, domain=feed.DOMAIN) for row in touched])
