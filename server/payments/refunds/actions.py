"""Refunds as people and automatic policies start and decide them. Each takes a `tx` and locks the order first.

What goes on at the channel is in `following`; how a refund moves in `moving`; new keys instead of money in `replacing`.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import ClassVar
from uuid import UUID

from sqlalchemy import select

from server.crypto import KeyRing
from server.db import Tx
from server.gateways.port import RefundFact
from server.orders import actions as orders
from server.payments.callbacks import RawCallback
from server.payments.model import PaymentAttempt, UnmatchedPayment
from server.payments.refunds import images, making, moving, recording, replacing
from server.payments.refunds.images import Picture
from server.payments.refunds.model import Refund, RefundEvent
from server.payments.refunds.moving import Held
from server.policy import SYSTEM, Actor, visible
from server.stock.vault import quoting
from shared import clock
from shared.contracts import payments as wire
from shared.errors import BadField, Conflict, IdempotencyReused, NotFound
from shared.labels import AboutState
from shared.money import Fen, format_fen
from shared.sentence import Sentence
from shared.states import RefundCause, RefundState, RefundStep, RefundTurn


class RefundChanged(AboutState):
    """Somebody, or the channel, moved the refund after the person looked at it."""

    code = "refund_changed"
    words: ClassVar = {"state": RefundState}
    zh = "这笔退款已有变化（当前“{state}”，版本 {version}），请刷新后再操作。"
    en = "The refund changed meanwhile (it is “{state}”, version {version}); reload and look again."


class NotTheirTurn(AboutState):
    """Somebody else has the ball."""

    code = "not_their_turn"
    words: ClassVar = {"state": RefundState, "turn": RefundTurn}
    zh = "这笔退款现在由“{turn}”处理（当前“{state}”）。"
    en = "The refund is with “{turn}” now (it is “{state}”)."


class SamePerson(Conflict):
    """Who started or decided a refund does not check it."""

    code = "same_person"
    zh = "发起或裁定退款的人不能自己复核，请由另一位同事复核。"
    en = "Who started or decided a refund cannot check it: another person must."


class OrderChanged(Conflict):
    """Something happened to the order after the person looked at it: its state, or its money, moved."""

    code = "order_changed"
    zh = "这张订单已有变化（已退 ¥{refunded}），请看清最新状态后再操作。"
    en = "The order changed meanwhile (¥{refunded} went back so far); look again before you go on."


@dataclass(frozen=True, slots=True)
class RefundHeard:
    """What a channel says of a refund: told (with its raw bytes) or asked. `merchant_id` is ours there."""

    channel: str
    merchant_id: str
    fact: RefundFact
    raw: RawCallback | None = None


# --- starting ---


def start(
    tx: Tx,
    *,
    cause: RefundCause,
    source: PaymentAttempt | UnmatchedPayment,
    reason: str,
    actor: str,
    checked_by: str | None = None,
    check_above: Fen | None = None,
) -> Refund:
    """Give back all that is left of a payment: money twice, of a wrong amount, of no order, or with nothing to deliver.

    Approved at once; an automatic policy (`actor` "system") and what two people decided (`checked_by`) wait for
    nobody, else finance checks above `check_above`. A repeat answers the refund that is under way or done. Callers
    hold the order of `source`, where it has one. Raises RefundTooLate, TooManyRefunds, NothingToRefund.
    """
    held = making.of_payment(tx, cause, source, reason=reason, actor=actor)
    if held.refund.state == RefundState.REQUESTED:
        step = RefundStep.AUTO_APPROVED if actor == SYSTEM.label else RefundStep.STARTED
        held.refund.checked_by = checked_by
        moving.approve(tx, held, step, actor=actor, note=reason, check_above=check_above)
    return held.refund


def start_by_shop(
    tx: Tx, order_id: UUID, body: wire.StartRefund, *, key: str, actor: Actor, check_above: Fen
) -> Refund:
    """The shop gives money of an order back. Above the limit another person checks. A repeat answers the same refund.

    Raises NotFound, OrderChanged, IdempotencyReused for another wish under the same key, NothingToRefund,
    RefundUnderWay, RefundTooLate, TooManyRefunds, BadField.
    """
    order = orders.lock(tx, [order_id]).get(order_id)
    if order is None:
        raise NotFound
    content = _content(body, actor)
    known = tx.scalars(select(Refund).where(Refund.order_id == order_id, Refund.idempotency_key == key)).first()
    if known is not None:
        if known.content_sha256 != content:
            raise IdempotencyReused
        return known
    if order.version != body.version:
        raise OrderChanged(refunded=format_fen(order.refunded_fen))
    wanted = making.Portion(body.order_line_id, quantity=body.quantity, amount_fen=body.amount_fen)
    held = making.of_order(tx, order_id, wanted, cause=RefundCause.SHOP, reason=body.reason, actor=actor.label)
    held.refund.idempotency_key, held.refund.content_sha256 = key, content
    moving.approve(tx, held, RefundStep.STARTED, actor=actor.label, note=body.reason, check_above=check_above)
    return held.refund


def _content(body: wire.StartRefund, actor: Actor) -> str:
    """What must be the same when the idempotency key comes again: the wish, not the version it was read at."""
    facts = [body.model_dump(mode="json", exclude={"version"}), actor.label]
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def start_anew(tx: Tx, refund_id: UUID, *, reason: str, actor: str, checked_by: str | None) -> Refund:
    """Another refund of what one was to give back that ended without money, as two people decided.

    Raises NotFound, NothingToRefund, RefundUnderWay, RefundTooLate, TooManyRefunds.
    """
    held = recording.anew(tx, moving.lock(tx, refund_id), reason=reason, actor=actor)
    held.refund.checked_by = checked_by
    moving.approve(tx, held, RefundStep.STARTED, actor=actor, note=reason, check_above=None)
    return held.refund


# --- deciding ---


def answer(
    tx: Tx, keys: KeyRing, refund_id: UUID, body: wire.AnswerRefund, *, actor: Actor, check_above: Fen
) -> Refund:
    """The supplier agrees, delivers another key, or refuses with evidence; then the shop decides.

    Late is better than never: until the shop has decided. Raises NotFound outside of the actor's scope,
    RefundChanged, NotTheirTurn, BadField without evidence, NothingToReplaceWith.
    """
    held = _held(tx, refund_id, body.version, actor)
    _require_waiting(held, answered=_has_answered(tx, refund_id))
    said = _without_keys(tx, keys, held, body.evidence)
    match body.answer:
        case "agree":
            moving.approve(
                tx,
                held,
                RefundStep.SUPPLIER_AGREED,
                actor=actor.label,
                note=said,
                check_above=check_above,
            )
        case "replace":
            replacing.replace(tx, held, RefundStep.REPLACED, actor=actor.label, note=said)
        case "refuse":
            if not body.evidence:
                words = Sentence("请写明拒绝的依据，1 到 1000 个字", "a refusal needs evidence, 1 to 1000 characters")
                raise BadField(field="evidence", reason=words)
            step, to_shop = RefundStep.SUPPLIER_REFUSED, moving.hand_to(RefundTurn.SHOP)
            moving.advance(tx, held, step, actor=actor.label, note=said, **to_shop)
    return held.refund


def show(tx: Tx, refund_id: UUID, picture: Picture, *, actor: Actor) -> Refund:
    """The supplier shows something for the answer that it is about to give.

    Raises NotFound outside of the actor's scope, NotTheirTurn when it has answered, UnusableImage for one too many.
    """
    held = _held(tx, refund_id, None, actor)
    _require_waiting(held, answered=_has_answered(tx, refund_id))
    images.add(tx, held, "supplier", [picture], actor=actor.label)
    return held.refund


def decide(
    tx: Tx, keys: KeyRing, refund_id: UUID, body: wire.DecideRefund, *, actor: Actor, check_above: Fen
) -> Refund:
    """The shop's decision where the supplier refused or kept silent.

    Raises NotFound, RefundChanged, NotTheirTurn, NothingToReplaceWith.
    """
    held = _held(tx, refund_id, body.version, actor)
    if held.refund.state != RefundState.SUPPLIER_WAIT or held.refund.turn != RefundTurn.SHOP:
        raise _not_their_turn(held)
    said = {"actor": actor.label, "note": _without_keys(tx, keys, held, body.reason)}
    if body.replace:
        replacing.replace(tx, held, RefundStep.REPLACED_BY_SHOP, **said)
    elif body.approve:
        moving.approve(tx, held, RefundStep.SHOP_APPROVED, **said, check_above=check_above)
    else:
        moving.advance(tx, held, RefundStep.SHOP_REFUSED, **said, to=RefundState.REFUSED, decided_by=actor.label)
    return held.refund


def check(tx: Tx, refund_id: UUID, body: wire.CheckRefund, *, actor: Actor) -> Refund:
    """Finance lets a refund above the limit go, or stops it.

    Raises NotFound, RefundChanged, NotTheirTurn, and SamePerson for who started or decided it: they may stop it.
    """
    held = _held(tx, refund_id, body.version, actor)
    refund = held.refund
    if refund.state != RefundState.APPROVED or refund.turn != RefundTurn.FINANCE:
        raise _not_their_turn(held)
    if body.approve:
        if actor.label in {refund.asked_by, refund.decided_by}:
            raise SamePerson
        moving.advance(tx, held, RefundStep.CHECKED, actor=actor.label, note=body.note, checked_by=actor.label)
        moving.release(tx, held)
    else:
        moving.close(tx, held, RefundStep.STOPPED, actor=actor.label, note=body.note)
        refund.checked_by = actor.label
    return refund


def retry(tx: Tx, refund_id: UUID, *, actor: Actor, version: int | None = None) -> Refund:
    """Ask the channel once more under the same number: after a top-up, or to know at last.

    Raises NotFound, RefundChanged when it is not of `version` any more, NotTheirTurn when it is not at the channel.
    """
    held = _held(tx, refund_id, version, actor)
    refund = held.refund
    if refund.query_at is None:
        raise _not_their_turn(held)
    to = RefundState.SUBMITTED if refund.state == RefundState.ABNORMAL else None
    step, turn = RefundStep.RETRIED, RefundTurn.CHANNEL.value
    moving.advance(tx, held, step, actor=actor.label, to=to, query_at=clock.now(), turn=turn)
    moving.send(tx, refund.id)
    return refund


def _held(tx: Tx, refund_id: UUID, version: int | None, actor: Actor) -> Held:
    """The refund under lock, if the actor may know it and it is as the actor saw it."""
    if tx.scalars(visible(actor, Refund).where(Refund.id == refund_id)).first() is None:
        raise NotFound
    held = moving.lock(tx, refund_id)
    if version is not None and held.refund.version != version:
        raise RefundChanged(state=held.refund.state, version=held.refund.version)
    return held


def _without_keys(tx: Tx, keys: KeyRing, held: Held, text: str) -> str:
    """What somebody wrote, without the keys of the order: buyer, supplier and shop read it, each in a replica."""
    lines = orders.lines_of(tx, [held.order.id])[held.order.id] if held.order else []
    return quoting.masked(tx, keys, orders.units_of(lines), text)


def _require_waiting(held: Held, *, answered: bool) -> None:
    if held.refund.state != RefundState.SUPPLIER_WAIT or held.refund.supplier_id is None or answered:
        raise _not_their_turn(held)


def _has_answered(tx: Tx, refund_id: UUID) -> bool:
    refused = (RefundEvent.refund_id == refund_id, RefundEvent.what == RefundStep.SUPPLIER_REFUSED.value)
    return tx.scalars(select(RefundEvent.id).where(*refused)).first() is not None


def _not_their_turn(held: Held) -> NotTheirTurn:
    return NotTheirTurn(turn=held.refund.turn or "-", state=held.refund.state)


def silence(tx: Tx, *, limit: int = 200) -> int:
    """Hand refunds whose supplier kept silent to the shop; answers how many."""
    due = (Refund.turn == RefundTurn.SUPPLIER.value, Refund.due_at <= clock.now())
    found = tx.scalars(select(Refund.id).where(*due).order_by(Refund.due_at).limit(limit)).all()
    over = [held for held in moving.lock_all(tx, found).values() if held.refund.turn == RefundTurn.SUPPLIER]
    for held in over:
        moving.advance(tx, held, RefundStep.SILENT, actor=SYSTEM.label, **moving.hand_to(RefundTurn.SHOP))
    return len(over)
