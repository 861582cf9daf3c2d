"""What channels say of refunds, told or asked: applied once, in any order, only ever forwards."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import select

from server.db import Tx
from server.gateways.port import RefundFact
from server.payments import callbacks
from server.payments.exceptions import closing, raising
from server.payments.exceptions.raising import Raised
from server.payments.model import PaymentAttempt, PaymentException
from server.payments.refunds import moving, recording, totals
from server.payments.refunds.actions import RefundHeard
from server.payments.refunds.model import Refund
from server.payments.refunds.moving import Held
from shared import clock
from shared.states import ExceptionKind, RefundState, RefundStep, RefundTrouble, RefundTurn, may_move

_TO = {
    "processing": RefundState.PROCESSING,
    "succeeded": RefundState.SUCCEEDED,
    "abnormal": RefundState.ABNORMAL,
    "closed": RefundState.CLOSED,
    "failed": RefundState.CLOSED,
}
"""The state that each outcome of the port means."""

_TAKEN_BACK = {
    RefundState.CLOSED: frozenset({RefundState.SUCCEEDED}),
    RefundState.SUCCEEDED: frozenset({RefundState.CLOSED}),
}
"""What says the opposite of an end. Anything else that comes then is only late."""

SLOW = timedelta(days=7)
"""How long a channel may work on a refund: WeChat Pay names three working days for cards, and there are holidays."""

_GIVES_BACK = frozenset({RefundState.PROCESSING, RefundState.SUCCEEDED})
"""States in which a refund of the channel's own console moves money."""

_KNOWN_THERE = frozenset({RefundState.SUBMITTED, RefundState.PROCESSING, RefundState.ABNORMAL})


def hear(tx: Tx, commands: Sequence[RefundHeard]) -> list[None]:
    """The handler of `RefundHeard`. Raw bytes are kept first; orders are locked before all else."""
    told = [
        callbacks.Kept(command.channel, command.raw, command.fact.out_trade_no, command.fact.event_id)
        for command in commands
        if command.raw is not None
    ]
    numbers = {command.fact.out_refund_no for command in commands}
    ids = tx.scalars(select(Refund.id).where(Refund.out_refund_no.in_(numbers))).all()
    held = {one.refund.out_refund_no: one for one in moving.lock_all(tx, ids).values()}
    seen = callbacks.keep(tx, told)
    for command in commands:
        name = (command.channel, command.raw.digest) if command.raw is not None else None
        if name in seen:
            continue
        mine = held.get(command.fact.out_refund_no)
        if mine is None or mine.refund.channel != command.channel:
            _keep_orphan(tx, command)
        else:
            _apply(tx, mine, command)
        if name is not None:
            seen.add(name)
    return [None] * len(commands)


def _apply(tx: Tx, held: Held, command: RefundHeard) -> None:
    refund, fact = held.refund, command.fact
    if refund.state not in _KNOWN_THERE:  # ended, or never sent: nothing that comes now undoes it
        to, was = _TO[fact.state], RefundState(refund.state)
        is_another = to is was is RefundState.SUCCEEDED and fact.refund_no != refund.provider_refund_no
        if (to in _TAKEN_BACK.get(was, ()) or is_another) and not recording.is_recorded(tx, refund, fact.refund_no):
            raise_stuck(tx, held, RefundTrouble.DIFFERS, said=fact.state, again=True)
        return
    if fact.amount_fen is None:  # it names the sum of all refunds only: the channel is asked about this one
        refund.query_at = clock.now()
        tx.flush()
        moving.send(tx, refund.id)
        return
    if not _is_ours(held, command):
        if refund.trouble != RefundTrouble.DIFFERS:
            trouble = RefundTrouble.DIFFERS.value
            moving.advance(tx, held, RefundStep.DELAYED, actor=_channel(command), trouble=trouble)
        raise_stuck(tx, held, RefundTrouble.DIFFERS, said=f"{fact.amount_fen}")
        return
    to = _TO[fact.state]
    if to is RefundState.PROCESSING and refund.state == to:
        _is_still_processing(tx, held, command)
        return
    if not may_move(RefundState(refund.state), to):
        return
    if to is RefundState.SUCCEEDED:
        at = fact.refunded_at or clock.now()
        actor, number = _channel(command), fact.refund_no
        moving.succeed(tx, held, actor=actor, provider_refund_no=number, at=at, refunded_at=at)
    elif to is RefundState.PROCESSING:
        step, number = RefundStep.ACCEPTED, fact.refund_no
        there = {"provider_refund_no": number, "trouble": None} | moving.hand_to(RefundTurn.CHANNEL)
        moving.advance(tx, held, step, actor=_channel(command), to=to, **there)
    elif to is RefundState.ABNORMAL:
        refund.provider_refund_no = fact.refund_no
        said = {"turn": RefundTurn.SHOP.value, "trouble": RefundTrouble.ABNORMAL.value}
        moving.advance(tx, held, RefundStep.ABNORMAL, actor=_channel(command), to=to, **said)
        raise_stuck(tx, held, RefundTrouble.ABNORMAL)
    else:
        trouble = RefundTrouble.REFUSED
        moving.close(tx, held, RefundStep.CLOSED, actor=_channel(command), trouble=trouble, note=fact.state)
        raise_stuck(tx, held, trouble, said=fact.state)


def _is_still_processing(tx: Tx, held: Held, command: RefundHeard) -> None:
    """It was asked about and goes on; after more than the channel's own time people look why."""
    refund = held.refund
    if refund.submitted_at is None or clock.now() < refund.submitted_at + SLOW:
        if refund.trouble == RefundTrouble.NO_ANSWER:
            refund.trouble = None
            tx.flush()
        closing.still_stuck(tx, refund.id)
        return
    if refund.trouble != RefundTrouble.SLOW:
        moving.advance(tx, held, RefundStep.DELAYED, actor=_channel(command), trouble=RefundTrouble.SLOW.value)
    raise_stuck(tx, held, RefundTrouble.SLOW)


def _is_ours(held: Held, command: RefundHeard) -> bool:
    """The signed words name our merchant, our payment and our amount, as far as the channel says them."""
    fact, refund = command.fact, held.refund
    same_merchant = fact.merchant_id is None or fact.merchant_id == command.merchant_id
    return same_merchant and fact.out_trade_no == refund.out_trade_no and fact.amount_fen == refund.amount_fen


def _channel(command: RefundHeard) -> str:
    return f"channel:{command.channel}"


# --- what people must look at ---


def raise_stuck(tx: Tx, held: Held, trouble: RefundTrouble, *, said: str = "", again: bool = False) -> None:
    """Put a refund that does not get on by itself before people; `again` when its end was taken back.

    They have one exception of it at a time, which says what is the matter now; one that somebody had asked about, in
    vain as it turns out, is open again. After it was closed, only something new opens another one.
    """
    refund = held.refund
    evidence = (("out_refund_no", refund.out_refund_no), ("trouble", trouble.value), ("said", said or None))
    its_own = (PaymentException.refund_id == refund.id, PaymentException.kind == ExceptionKind.REFUND_STUCK.value)
    if closing.still_stuck(tx, refund.id, evidence=raising.written(evidence)):
        return
    before = len(tx.scalars(select(PaymentException.id).where(*its_own)).all())
    which = said if again else before and str(before)
    attempt = tx.get(PaymentAttempt, refund.attempt_id) if refund.attempt_id else None
    raised = Raised(
        kind=ExceptionKind.REFUND_STUCK,
        cause=f"{refund.out_refund_no}:{which}" if which else refund.out_refund_no,
        channel=refund.channel,
        out_trade_no=refund.out_trade_no,
        at=clock.now(),
        attempt=attempt,
        provider_no=refund.provider_refund_no,
        expected_fen=refund.amount_fen,
        evidence=evidence,
        refund_id=refund.id,
    )
    raising.write(tx, [raised])


def _keep_orphan(tx: Tx, command: RefundHeard) -> None:
    """A refund that was made in the channel's own console: kept and shown, with the order it is of.

    It is before people once, and anew when it gives money back that it did not, or gives none back after all. One
    that two people have recorded is known. Of a sum, only what is not in the books yet is anybody's concern.
    """
    fact: RefundFact = command.fact
    of_channel = PaymentAttempt.channel == command.channel
    attempt = tx.scalars(
        select(PaymentAttempt).where(PaymentAttempt.out_trade_no == fact.out_trade_no, of_channel)
    ).first()
    has_number = fact.amount_fen is not None and (attempt is None or fact.refund_no != attempt.provider_no)
    if has_number and _is_recorded(tx, command):
        return
    gives_back = _TO[fact.state] in _GIVES_BACK
    amount, about = fact.amount_fen, f"{fact.out_refund_no}:{fact.refund_no}"
    if amount is None and fact.refunded_total_fen is not None:
        total, at = fact.refunded_total_fen, fact.refunded_at or clock.now()
        amount, about = totals.unbooked(tx, command.channel, fact.out_trade_no, total, at=at), f"{total}:{about}"
        if amount <= 0:
            return
    if has_number and (before := _told_before(tx, command, attempt)):
        if (before[-1].received_fen is not None) == gives_back:
            return
        closing.over(tx, before[-1].key)
        about = f"{len(before)}:{about}"
    raised = Raised(
        kind=ExceptionKind.UNKNOWN_REFUND,
        cause=f"{command.channel}:{about}",
        channel=command.channel,
        out_trade_no=fact.out_trade_no[:64],
        at=clock.now(),
        attempt=attempt,
        provider_no=fact.refund_no[:64],
        received_fen=amount if gives_back else None,
        evidence=(
            ("out_refund_no", fact.out_refund_no),
            ("refund_no", fact.refund_no),
            ("provider_no", fact.provider_no),
            ("channel_state", fact.state),
            ("refunded_at", fact.refunded_at),
            ("refunded_total_fen", fact.refunded_total_fen),
        ),
    )
    raising.write(tx, [raised])


def _is_recorded(tx: Tx, command: RefundHeard) -> bool:
    """Whether it is in the books already; the channel may say by now that it gave nothing back, or something else."""
    fact = command.fact
    its = (Refund.channel == command.channel, Refund.out_trade_no == fact.out_trade_no)
    done = (Refund.state == RefundState.SUCCEEDED.value, Refund.provider_refund_no == fact.refund_no)
    found = tx.scalars(select(Refund.id).where(*its, *done)).first()
    if found is None:
        return False
    held = moving.lock(tx, found)
    if _TO[fact.state] not in _GIVES_BACK:
        raise_stuck(tx, held, RefundTrouble.DIFFERS, said=fact.state, again=True)
    elif fact.amount_fen != held.refund.amount_fen:
        raise_stuck(tx, held, RefundTrouble.DIFFERS, said=f"{fact.amount_fen}", again=True)
    return True


def _told_before(tx: Tx, command: RefundHeard, attempt: PaymentAttempt | None) -> Sequence[PaymentException]:
    """What people were told of this refund, the latest last. By its attempt: no index has the channel's numbers."""
    fact = command.fact
    is_of = PaymentException.attempt_id == (attempt.id if attempt else None)
    its = (is_of, PaymentException.channel == command.channel, PaymentException.out_trade_no == fact.out_trade_no[:64])
    same = (PaymentException.kind == ExceptionKind.UNKNOWN_REFUND.value, PaymentException.provider_no == fact.refund_no)
    return tx.scalars(select(PaymentException).where(*its, *same).order_by(PaymentException.id)).all()
