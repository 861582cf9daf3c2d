"""Reading refunds: lists for staff and suppliers, the buyer's timeline, and which keys of an order are whose."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Literal
from uuid import UUID

from sqlalchemy import bindparam, func, select

from server.db import Tx, table_of
from server.identity import queries as people
from server.orders.model import Order, OrderLine
from server.payments.refunds import images
from server.payments.refunds.model import Refund, RefundEvent, RefundLine, Replacement
from server.payments.refunds.moving import ENDED, HOURS, WITHOUT_MONEY
from server.policy import Actor, visible
from server.stock import browse
from shared import clock
from shared.contracts import payments as wire
from shared.contracts.base import Page
from shared.money import Fen
from shared.permissions import Permission, Role
from shared.states import (
    RefundCause,
    RefundPolicy,
    RefundReason,
    RefundState,
    RefundStep,
    RefundTrouble,
    RefundTurn,
)

Action = Literal["answer", "decide", "check", "stop", "retry"]

PARTIES: dict[RefundStep, str] = {
    RefundStep.ASKED: "buyer",
    RefundStep.STARTED: "shop",
    RefundStep.AUTO_APPROVED: "system",
    RefundStep.AUTO_REFUSED: "system",
    RefundStep.SUPPLIER_AGREED: "supplier",
    RefundStep.SUPPLIER_REFUSED: "supplier",
    RefundStep.SILENT: "system",
    RefundStep.REPLACED: "supplier",
    RefundStep.REPLACED_BY_SHOP: "shop",
    RefundStep.SHOP_APPROVED: "shop",
    RefundStep.SHOP_REFUSED: "shop",
    RefundStep.CHECKED: "finance",
    RefundStep.STOPPED: "finance",
    RefundStep.SUBMITTED: "system",
    RefundStep.DELAYED: "channel",
    RefundStep.ACCEPTED: "channel",
    RefundStep.RETRIED: "shop",
    RefundStep.ABNORMAL: "channel",
    RefundStep.RECORDED: "shop",
    RefundStep.SUCCEEDED: "channel",
    RefundStep.CLOSED: "channel",
}
"""Whose step it is: what everybody may know who may not know the person."""

_REPLACEMENTS = frozenset({RefundStep.REPLACED, RefundStep.REPLACED_BY_SHOP})
_SHOWN_TO_BUYERS = frozenset(RefundStep) - {RefundStep.DELAYED, RefundStep.RETRIED}
_NOTES_FOR_BUYERS = frozenset(
    {
        RefundStep.ASKED,
        RefundStep.SUPPLIER_AGREED,
        RefundStep.SUPPLIER_REFUSED,
        RefundStep.REPLACED,
        RefundStep.REPLACED_BY_SHOP,
        RefundStep.SHOP_APPROVED,
        RefundStep.SHOP_REFUSED,
        RefundStep.STOPPED,
    }
)
_NOTES_FOR_SUPPLIERS = _NOTES_FOR_BUYERS
_BUYERS_TROUBLES = frozenset({RefundTrouble.KEYS_SEEN, RefundTrouble.NO_DEFECT, RefundTrouble.NOT_REFUNDABLE})
"""What the rules said. Any other trouble is between the shop and its channel."""

MOST_UNITS = 50
"""Cards of a line that are told one by one."""


# --- staff ---


@dataclass(frozen=True, slots=True)
class Only:
    """Which refunds are wanted; `turns` are the parties one of which has to act. Nothing said is any."""

    state: RefundState | None = None
    turns: tuple[RefundTurn, ...] = ()
    order_code: str | None = None


def page(tx: Tx, who: Actor, *, only: Only, after: UUID | None, limit: int) -> Page[wire.Refund]:
    """A page of the actor's refunds, newest first."""
    query = visible(who, Refund)
    if only.state is not None:
        query = query.where(Refund.state == only.state.value)
    if only.turns:
        query = query.where(Refund.turn.in_([turn.value for turn in only.turns]))
    if only.order_code is not None:
        query = query.where(Refund.order_code == only.order_code)
    if after is not None:
        query = query.where(Refund.id < after)
    rows = tx.scalars(query.order_by(Refund.id.desc()).limit(limit + 1)).all()
    more = str(rows[limit - 1].id) if len(rows) > limit else None
    return Page[wire.Refund](items=_answers(tx, who, rows[:limit]), next=more)


def one(tx: Tx, who: Actor, refund_id: UUID) -> wire.Refund | None:
    """One refund of the actor's scope; None when there is none."""
    rows = tx.scalars(visible(who, Refund).where(Refund.id == refund_id)).all()
    return next(iter(_answers(tx, who, rows)), None)


def _answers(tx: Tx, who: Actor, rows: Sequence[Refund]) -> list[wire.Refund]:
    if not rows:
        return []
    ids = [row.id for row in rows]
    lines, events = _lines(tx, ids), _events(tx, ids)
    orders = {row.order_id for row in rows if row.order_id}
    viewed = dict(tx.execute(select(Order.id, Order.first_viewed_at).where(Order.id.in_(orders))).all())
    names = {} if who.role is Role.SUPPLIER else _names(tx, events.values())
    units = _units(tx, lines.values()) if who.may(Permission.STOCK_UNIT_READ) else {}
    shown = images.of(tx, ids)
    return [
        _answer(who, row, lines[row.id], events[row.id], viewed, names, units).model_copy(
            update={"images": [wire.RefundImage(id=one.id, party=one.party, n=one.n) for one in shown[row.id]]}
        )
        for row in rows
    ]


def _answer(
    who: Actor,
    row: Refund,
    lines: list[tuple[RefundLine, OrderLine]],
    events: list[RefundEvent],
    viewed: dict[UUID, datetime | None],
    names: dict[str, str],
    units: _Units,
) -> wire.Refund:
    """A supplier's person sees nothing of the payment, parties instead of the shop's people, and no words of theirs."""
    supplier = who.role is Role.SUPPLIER
    trouble = RefundTrouble(row.trouble) if row.trouble else None
    return wire.Refund(
        id=row.id,
        out_refund_no=None if supplier else row.out_refund_no,
        order_code=row.order_code,
        channel=None if supplier else row.channel,
        amount_fen=row.amount_fen,
        cause=RefundCause(row.cause),
        reason_kind=RefundReason(row.reason_kind) if row.reason_kind else None,
        reason="" if supplier and row.cause != RefundCause.BUYER else row.reason,
        policy=RefundPolicy(lines[0][1].refund_policy) if lines else None,
        viewed_at=viewed.get(row.order_id) if row.order_id else None,
        wants_replacement=row.wants_replacement,
        state=RefundState(row.state),
        turn=RefundTurn(row.turn) if row.turn else None,
        asked_at=row.asked_at,
        due_at=row.due_at,
        ended_at=row.ended_at,
        trouble=None if supplier and trouble not in _BUYERS_TROUBLES else trouble,
        lines=[
            wire.RefundLine(
                order_line_id=line.order_line_id,
                sku=sold.sku_code,
                title=sold.title,
                quantity=line.quantity,
                seqs=line.seqs,
                units=[units[sold.id, seq] for seq in line.seqs if (sold.id, seq) in units],
                amount_fen=line.amount_fen,
            )
            for line, sold in lines
        ],
        events=[_event(event, names, hides_notes=supplier) for event in events],
        actions=_actions(who, row, {RefundStep(event.what) for event in events}),
        version=row.version,
    )


def _event(event: RefundEvent, names: dict[str, str], *, hides_notes: bool) -> wire.RefundEvent:
    step = RefundStep(event.what)
    hidden = hides_notes and step not in _NOTES_FOR_SUPPLIERS
    actor = names.get(event.actor, PARTIES[step])
    return wire.RefundEvent(at=event.at, actor=actor, what=step, note="" if hidden else event.note)


def _actions(who: Actor, row: Refund, steps: set[RefundStep]) -> list[Action]:
    """What this reader may do now; the server decides again when it is asked to."""
    waiting = row.state == RefundState.SUPPLIER_WAIT
    is_own = who.label in {row.asked_by, row.decided_by}
    unanswered = waiting and row.supplier_id is not None and RefundStep.SUPPLIER_REFUSED not in steps
    checks = row.state == RefundState.APPROVED and row.turn == RefundTurn.FINANCE
    possible: list[tuple[Action, bool, Permission]] = [
        ("answer", unanswered, Permission.PAYMENTS_REFUND_ANSWER),
        ("decide", waiting and row.turn == RefundTurn.SHOP, Permission.PAYMENTS_REFUND_DECIDE),
        ("check", checks and not is_own, Permission.PAYMENTS_REFUND_CHECK),
        ("stop", checks and is_own, Permission.PAYMENTS_REFUND_CHECK),
        ("retry", row.query_at is not None, Permission.PAYMENTS_EXCEPTION_HANDLE),
    ]
    return [name for name, may, permission in possible if may and who.may(permission)]


def _lines(tx: Tx, refund_ids: Sequence[UUID]) -> dict[UUID, list[tuple[RefundLine, OrderLine]]]:
    found: dict[UUID, list[tuple[RefundLine, OrderLine]]] = defaultdict(list)
    query = select(RefundLine, OrderLine).join(OrderLine, OrderLine.id == RefundLine.order_line_id)
    for line, sold in tx.execute(query.where(RefundLine.refund_id.in_(refund_ids)).order_by(OrderLine.n)):
        found[line.refund_id].append((line, sold))
    return found


_Units = dict[tuple[UUID, int], wire.RefundUnit]
"""By order line and number."""


def _units(tx: Tx, lines: Collection[list[tuple[RefundLine, OrderLine]]]) -> _Units:
    """The cards that these lines name, as stock knows them, with their places on the pages of their orders."""
    named = {
        (sold.id, seq): sold.sku_id for some in lines for line, sold in some for seq in sorted(line.seqs)[:MOST_UNITS]
    }
    wanted: dict[UUID, set[int]] = defaultdict(set)
    for (_, seq), sku_id in named.items():
        wanted[sku_id].add(seq)
    known = {
        (sku_id, unit.seq): dict(unit)
        for sku_id, seqs in wanted.items()
        for unit in browse.rows(tx, sku_id, sorted(seqs))
    }
    of_orders = OrderLine.order_id.in_({sold.order_id for some in lines for _, sold in some})
    at = places(tx, tx.scalars(select(OrderLine).where(of_orders).order_by(OrderLine.n)).all())
    return {
        (line_id, seq): wire.RefundUnit(**known[sku_id, seq], place=at.get((line_id, seq)))
        for (line_id, seq), sku_id in named.items()
        if (sku_id, seq) in known
    }


def _events(tx: Tx, refund_ids: Sequence[UUID]) -> dict[UUID, list[RefundEvent]]:
    found: dict[UUID, list[RefundEvent]] = defaultdict(list)
    for event in tx.scalars(select(RefundEvent).where(RefundEvent.refund_id.in_(refund_ids)).order_by(RefundEvent.id)):
        found[event.refund_id].append(event)
    return found


def _names(tx: Tx, events: Iterable[list[RefundEvent]]) -> dict[str, str]:
    """The names of staff by the label that events have of them."""
    return people.names_of(tx, {event.actor for some in events for event in some})


def late(tx: Tx) -> dict[RefundTurn, int]:
    """How many refunds wait longer than they should, by who has the ball. What a supplier lets lie goes to the shop."""
    counted = select(Refund.turn, func.count()).where(Refund.turn.in_(_TIMED), Refund.due_at < clock.now())
    found: dict[str | None, int] = dict(tx.execute(counted.group_by(Refund.turn)).all())
    return {turn: found.get(turn.value, 0) for turn in HOURS}


_TIMED = [turn.value for turn in HOURS]


# --- the buyer ---


@dataclass(frozen=True, slots=True)
class Step:
    """One line of the buyer's timeline. `note` is what that party said to the buyer; `trouble` why it was refused."""

    at: datetime
    what: RefundStep
    party: str
    note: str


@dataclass(frozen=True, slots=True)
class Story:
    """A refund as its buyer reads it: who has the ball, until when, and all that happened."""

    refund_id: UUID
    state: RefundState
    cause: RefundCause
    amount_fen: Fen
    units: int
    turn: RefundTurn | None
    due_at: datetime | None
    trouble: RefundTrouble | None
    steps: tuple[Step, ...]
    images: tuple[images.Shown, ...] = ()

    @property
    def is_open(self) -> bool:
        """Whether something is still to come."""
        return self.state.value not in ENDED

    @property
    def is_replaced(self) -> bool:
        """Whether it ended with another key instead of money."""
        return any(step.what in _REPLACEMENTS for step in self.steps)

    @property
    def is_stopped(self) -> bool:
        """Whether the shop itself ended it, and not its channel."""
        return any(step.what is RefundStep.STOPPED for step in self.steps)


_OF_ORDER = select(Refund).where(Refund.order_id == bindparam("order")).order_by(Refund.id)


def timeline(tx: Tx, order: Order) -> list[Story]:
    """The refunds of an order as its buyer reads them, oldest first; those of money that came twice too."""
    rows = tx.scalars(_OF_ORDER, {"order": order.id}).all()
    if not rows:
        return []
    ids = [row.id for row in rows]
    events, lines, shown = _events(tx, ids), _lines(tx, ids), images.of(tx, ids)
    return [_story(row, events[row.id], sum(line.quantity for line, _ in lines[row.id]), shown[row.id]) for row in rows]


def _story(row: Refund, events: list[RefundEvent], units: int, shown: list[images.Shown]) -> Story:
    trouble = RefundTrouble(row.trouble) if row.trouble in _BUYERS_TROUBLES else None
    return Story(
        refund_id=row.id,
        state=RefundState(row.state),
        cause=RefundCause(row.cause),
        amount_fen=row.amount_fen,
        units=units,
        turn=RefundTurn(row.turn) if row.turn else None,
        due_at=row.due_at,
        trouble=trouble,
        steps=tuple(
            Step(event.at, step, PARTIES[step], event.note if step in _NOTES_FOR_BUYERS else "")
            for event in events
            if (step := RefundStep(event.what)) in _SHOWN_TO_BUYERS
        ),
        images=tuple(shown),
    )


# --- keys ---


class Mark(StrEnum):
    """What became of a delivered key that its buyer had seen. It stays shown."""

    REFUNDING = "refunding"
    REFUNDED = "refunded"
    REPLACED = "replaced"


# Made once, over the tables alone: every page with keys needs them, and making one costs more than running it.
_REFUND, _LINE = table_of(Refund), table_of(RefundLine)
_TAKEN = select(_LINE.c.order_line_id, _LINE.c.seqs, _REFUND.c.state).join(_REFUND, _REFUND.c.id == _LINE.c.refund_id)
_WITHHELD = _TAKEN.with_only_columns(_LINE.c.order_line_id, _LINE.c.seqs, maintain_column_froms=True).where(
    _REFUND.c.order_id.in_(bindparam("orders", expanding=True)),
    _REFUND.c.unseen.is_(True),
    _REFUND.c.state.not_in(WITHOUT_MONEY),
)
_APPROVED = _TAKEN.where(
    _REFUND.c.order_id == bindparam("order"),
    _REFUND.c.state.not_in([*WITHOUT_MONEY, RefundState.REQUESTED.value, RefundState.SUPPLIER_WAIT.value]),
)
_REPLACED = (
    select(Replacement.order_line_id, Replacement.seq)
    .join(OrderLine, OrderLine.id == Replacement.order_line_id)
    .where(OrderLine.order_id == bindparam("order"))
)


def withheld(tx: Tx, order_ids: Collection[UUID]) -> dict[UUID, set[int]]:
    """Units, by order line, that nobody had seen when their refund was approved: they are not shown any more."""
    found: dict[UUID, set[int]] = defaultdict(set)
    for line_id, seqs in tx.execute(_WITHHELD, {"orders": list(order_ids)}):
        found[line_id].update(seqs)
    return found


def places(tx: Tx, lines: Collection[OrderLine]) -> dict[tuple[UUID, int], int]:
    """The place in its order, from 1, of each key that the buyer may see, by line and unit: what the pages call it.

    `lines` are all that their orders have, in their order.
    """
    hidden = withheld(tx, {line.order_id for line in lines})
    counts: dict[UUID, int] = defaultdict(int)
    found: dict[tuple[UUID, int], int] = {}
    for line in lines:
        for seq in sorted(set(line.seqs) - hidden[line.id]):
            counts[line.order_id] += 1
            found[line.id, seq] = counts[line.order_id]
    return found


def marks(tx: Tx, order_id: UUID) -> dict[tuple[UUID, int], Mark]:
    """What became of keys of an order, by line and unit."""
    found: dict[tuple[UUID, int], Mark] = {}
    paid_out = RefundState.SUCCEEDED.value
    for line_id, seqs, state in tx.execute(_APPROVED, {"order": order_id}):
        mark = Mark.REFUNDED if state == paid_out else Mark.REFUNDING
        found |= {(line_id, seq): mark for seq in seqs}
    replaced = tx.execute(_REPLACED, {"order": order_id})
    return found | {(row[0], row[1]): Mark.REPLACED for row in replaced}


def unsettled_of(tx: Tx, channel: str) -> int:
    """How many refunds that this channel must carry out have not ended, whoever has the ball."""
    its = (Refund.channel == channel, Refund.state.not_in(ENDED))
    return tx.scalar(select(func.count()).select_from(Refund).where(*its)) or 0
