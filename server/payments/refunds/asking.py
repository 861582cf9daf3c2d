"""A buyer asks for money back: what may be asked for, what the rules say at once, and whose turn it is then."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import select

from server.crypto import KeyRing
from server.db import Tx
from server.orders import actions as orders
from server.orders import queries as order_queries
from server.orders.model import Order, OrderLine
from server.payments.refunds import images, making, moving, rules
from server.payments.refunds.images import Picture
from server.payments.refunds.making import DELIVERED, Left, NothingToRefund, Portion
from server.payments.refunds.model import Refund, RefundLine
from server.payments.refunds.moving import Held
from server.payments.refunds.rules import Facts, Verdict
from server.stock import vault
from server.stock.vault import quoting
from shared import clock
from shared.errors import BadField, NotFound
from shared.money import Fen
from shared.sentence import Sentence
from shared.states import RefundCause, RefundPolicy, RefundReason, RefundState, RefundStep, RefundTurn

LONGEST_TEXT = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a buyer asks for: some units of a line, or everything that is left of it. `text` may be empty.

    `pictures` show what is wrong.
    """

    order_id: UUID
    reason: RefundReason
    text: str = ""
    order_line_id: UUID | None = None
    seqs: tuple[int, ...] = ()
    wants_replacement: bool = False
    pictures: Sequence[Picture] = ()


@dataclass(frozen=True, slots=True)
class Offer:
    """What may be asked for of one line now: the units that are left, and what each of them is worth.

    `verdicts` says for each reason what the rules would answer. `open_refund_id` is the one that is under way: then
    nothing else may be asked for.
    """

    order_line_id: UUID
    title: str
    policy: RefundPolicy
    seqs: tuple[int, ...]
    left_fen: Fen
    verdicts: dict[RefundReason, Verdict]
    open_refund_id: UUID | None

    @property
    def may_ask(self) -> bool:
        """Whether the buyer has anything to ask for here."""
        return bool(self.seqs) and self.left_fen > 0 and self.open_refund_id is None


def may_ask_for_all(tx: Tx, order: Order, lines: Sequence[OrderLine]) -> bool:
    """Whether a buyer has anything to ask for of an order that never had a refund: what `offers` would say of it."""
    has_any = order.state in DELIVERED and any(line.seqs and line.amount_fen for line in lines)
    return has_any and not making.is_too_late(tx, order)


def offers(tx: Tx, order: Order, lines: Sequence[OrderLine] | None = None) -> list[Offer]:
    """What a buyer may ask for of each line of an order; none of one that was not delivered, or was paid too long ago.

    `lines` of the order, from a caller that has them, save reading them again.
    """
    if order.state not in DELIVERED or making.is_too_late(tx, order):
        return []
    lines = lines or order_queries.lines(tx, order.id)
    viewed = vault.viewed_lines(tx, [line.id for line in lines])
    made = []
    for one in making.left_of(tx, lines):
        facts = _facts(tx, order, viewed=one.line.id in viewed)
        policy = RefundPolicy(one.line.refund_policy)
        under_way = making.open_refund(tx, [one.line.id])
        made.append(
            Offer(
                order_line_id=one.line.id,
                title=one.line.title,
                policy=policy,
                seqs=one.seqs,
                left_fen=one.shares.amount,
                verdicts={reason: rules.verdict(policy, reason, facts) for reason in RefundReason},
                open_refund_id=under_way.id if under_way else None,
            )
        )
    return made


def ask(tx: Tx, keys: KeyRing, wish: Wish, *, actor: str) -> Refund:
    """Ask, and hear at once what the rules decide: approved, refused with the reason, or it is the supplier's turn.

    Keys that the buyer quotes are masked. Asking again while one is open, or for what the rules refused, answers the
    same refund. Raises NotFound, NothingToRefund, BadField, RefundTooLate, TooManyRefunds.
    """
    order = orders.lock(tx, [wish.order_id]).get(wish.order_id)
    if order is None:
        raise NotFound
    if order.state not in DELIVERED:
        raise NothingToRefund
    if len(wish.text) > LONGEST_TEXT or "\0" in wish.text:
        words = Sentence(f"最多 {LONGEST_TEXT} 个字", f"at most {LONGEST_TEXT} characters")
        raise BadField(field="text", reason=words)
    lines = [line for line in order_queries.lines(tx, order.id) if wish.order_line_id in {None, line.id}]
    if not lines:
        raise NotFound
    again = making.open_refund(tx, [line.id for line in lines]) or _refused_before(tx, wish, lines)
    if again is not None:
        return again
    _require_units(making.left_of(tx, lines))
    viewed = vault.viewed_lines(tx, [line.id for line in lines])
    said = max(
        rules.verdict(RefundPolicy(line.refund_policy), wish.reason, _facts(tx, order, viewed=line.id in viewed))
        for line in lines
    )
    held = making.of_order(
        tx,
        order.id,
        Portion(lines[0].id if len(lines) == 1 else None, seqs=wish.seqs),
        cause=RefundCause.BUYER,
        reason=quoting.masked(tx, keys, orders.units_of(lines), wish.text),
        actor=actor,
        reason_kind=wish.reason,
        wants_replacement=wish.wants_replacement,
    )
    _decide(tx, held, said, actor=actor)
    if wish.pictures:
        images.add(tx, held, "buyer", wish.pictures, actor=actor)
    return held.refund


def _require_units(left: Sequence[Left]) -> None:
    """Money that was given back without goods leaves none behind to ask for."""
    if not any(one.seqs and one.shares.amount for one in left):
        raise NothingToRefund


def _decide(tx: Tx, held: Held, said: Verdict, *, actor: str) -> None:
    asked = RefundStep.ASKED
    if said is Verdict.ASK_SUPPLIER:
        has_one = held.refund.supplier_id is not None
        moving.advance(
            tx,
            held,
            asked,
            actor=actor,
            to=RefundState.SUPPLIER_WAIT,
            note=held.refund.reason,
            **moving.hand_to(RefundTurn.SUPPLIER if has_one else RefundTurn.SHOP),
        )
        return
    moving.advance(tx, held, asked, actor=actor, note=held.refund.reason)
    if said is Verdict.APPROVE:
        moving.approve(tx, held, RefundStep.AUTO_APPROVED, actor="system", check_above=None)
    else:
        why = rules.WHY[said].value
        moving.advance(tx, held, RefundStep.AUTO_REFUSED, actor="system", to=RefundState.REFUSED, trouble=why)


def _refused_before(tx: Tx, wish: Wish, lines: Sequence[OrderLine]) -> Refund | None:
    """The refund of just these goods that the rules refused for just this reason."""
    query = (
        select(Refund)
        .join(RefundLine, RefundLine.refund_id == Refund.id)
        .where(
            RefundLine.order_line_id.in_([line.id for line in lines]),
            Refund.state == RefundState.REFUSED.value,
            Refund.reason_kind == wish.reason.value,
            Refund.decided_by.is_(None),
        )
    )
    return tx.scalars(query.order_by(Refund.id.desc())).first()


def _facts(tx: Tx, order: Order, *, viewed: bool) -> Facts:
    paid, refunded = order_queries.history(tx, order.buyer_id)
    now = clock.now()
    return Facts(viewed=viewed, bought_at=order.paid_at or now, now=now, orders=paid, refunded=refunded)
