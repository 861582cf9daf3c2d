"""Payouts: made by one person, checked by another one whatever their roles, sent, and ended by what the bank says.

make      the statements are bound to it; nothing is booked
check     by another person; a refusal frees the statements, as withdrawing it before it is sent does
send      PAYOUT: available -> payout, and the fee; from here on the money is on its way, and people carry its
          instruction to the bank or the channel
confirm   payout -> bank, and its statements are paid
fail      back to available; its statements can be paid again. Also when the bank returns it days later: then another
          person than who made it says so, with the bank's reference, or the bank's file does
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection
from uuid import UUID

from sqlalchemy import func, or_, select, update

from server.db import Tx
from server.identity.queries import supplier_names
from server.ledger import paying
from server.ledger import queries as ledger
from server.ledger.health import broken
from server.policy import Actor, visible
from server.settlement import ending, splits, turns
from server.settlement import terms as agreed
from server.settlement.model import Payout, SettlementHold, SettlementItem, Statement
from server.settlement.proposing import NOT_SENT
from server.settlement.statements import withhold
from shared import clock
from shared.contracts import settlement as wire
from shared.errors import BadField, Conflict, IdempotencyReused, NotFound
from shared.finance import PayoutState, StatementState
from shared.money import Fen
from shared.states import require_move

PREFIX = "DK"


class PayoutsFrozen(Conflict):
    """The books do not hold: nothing is paid out until they do."""

    code = "payouts_frozen"
    zh = "账目核对发现问题（{invariant}），打款已暂停。请先处理账目告警。"
    en = "The books do not hold ({invariant}), so nothing is paid out. Deal with the ledger's alarm first."


class SameMaker(Conflict):
    """Who made a payout cannot check it."""

    code = "same_maker"
    zh = "打款须由另一人复核，发起人不能复核自己的打款。"
    en = "A payout is checked by another person than who made it."


class NotPayable(Conflict):
    """A statement that cannot be paid, or cannot be with the others."""

    code = "not_payable"
    zh = "结算单 {number} 不能这样打款：须为同一供应商、已确认且未在其他打款中。"
    en = "Statement {number} cannot be paid so: it must be confirmed, of the same supplier and in no other payout."


class NoAccount(Conflict):
    """Nobody has said where a supplier is paid to."""

    code = "no_account"
    zh = "供应商“{supplier}”没有收款账号，请先在结算条件里登记，再发起打款。"
    en = "Supplier {supplier} has no account to be paid to; agree on one in its terms first."


class NothingToPay(Conflict):
    """Refunds and debts have used up what the statements were to pay."""

    code = "nothing_to_pay"
    zh = "退款或欠款已用完这些结算单的应付金额，没有可打款的余额。"
    en = "Refunds or debts have used up what these statements were to pay; nothing is available."


class PayoutHeld(Conflict):
    """People hold the supplier, or an order whose money it is."""

    code = "payout_held"
    zh = "{what} 已被人工暂缓（{reason}），不能打款。请先解除暂缓。"
    en = "{what} is held by people ({reason}), so it is not paid. Let go of the hold first."


class ReturnedByMaker(Conflict):
    """Who made a payout does not say alone that it came back after it had arrived."""

    code = "returned_by_maker"
    zh = "打款 {number} 已到账，退回须由发起人以外的人登记，或导入银行的结果文件。"
    en = "Payout {number} had arrived: another person than its maker, or the bank's file, says that it came back."


class PayoutChanged(Conflict):
    """Somebody moved the payout after the person looked at it."""

    code = "payout_changed"
    zh = "打款已被他人处理（当前版本 {version}），请刷新后重试。"
    en = "The payout was moved meanwhile (now version {version}); reload and try again."


def make(tx: Tx, wanted: wire.NewPayout, *, actor: Actor, request_id: str | None = None) -> Payout:
    """Pay confirmed statements of one supplier; a repeat under the same id answers the same payout.

    It pays what they say, or what is available where refunds have taken some of it since; it costs one fee, the highest
    of theirs. It goes to the account of the terms of now. Raises NotFound, NotPayable, NoAccount, NothingToPay,
    PayoutsFrozen, PayoutHeld, IdempotencyReused.
    """
    digest = hashlib.sha256(json.dumps([sorted(map(str, wanted.statements)), wanted.note]).encode()).hexdigest()
    if (known := _known(tx, wanted.id, digest)) is not None:
        return known
    require_not_frozen(tx)
    found = {row.id: row for row in tx.scalars(visible(actor, Statement).where(Statement.id.in_(wanted.statements)))}
    if found.keys() != set(wanted.statements):
        raise NotFound
    supplier_id = found[wanted.statements[0]].supplier_id
    turns.take(tx, [supplier_id])
    if (known := _known(tx, wanted.id, digest)) is not None:
        return known
    held = _payable(tx, wanted.statements, supplier_id)
    _require_not_held(tx, supplier_id, [row.number for row in held])
    terms = agreed.histories(tx, [supplier_id])[supplier_id]
    if not terms.current.account:
        raise NoAccount(supplier=terms.supplier)
    withhold(tx, supplier_id, actor=actor, request_id=request_id)
    held = [row for row in held if row.state == StatementState.CONFIRMED.value]
    if not held:
        raise NothingToPay
    fee = max((row.payout_fee_fen for row in held), default=0)
    amount = min(sum(row.claim_fen for row in held), _unbound(tx, supplier_id)) - fee
    if amount <= 0:
        raise NothingToPay
    now = clock.now()
    [number] = turns.next_numbers(tx, PREFIX, clock.shop_day(now), 1)
    payout = Payout(
        id=wanted.id,
        number=number,
        supplier_id=supplier_id,
        mode=held[0].mode,
        statements=[row.number for row in held],
        amount_fen=amount,
        fee_fen=fee,
        receiver=terms.current.receiver or terms.supplier,
        account=terms.current.account,
        bank=terms.current.bank,
        state=PayoutState.REQUESTED.value,
        content_sha256=digest,
        made_by=actor.label,
        made_at=now,
        reference="",
        note=wanted.note,
        version=1,
    )
    tx.add(payout)
    tx.flush()
    _bind(tx, [row.id for row in held], payout.id)
    ending.note(tx, payout, "make", actor=actor, request_id=request_id)
    return payout


def _known(tx: Tx, payout_id: UUID, digest: str) -> Payout | None:
    known = tx.get(Payout, payout_id, populate_existing=True)
    if known is not None and known.content_sha256 != digest:
        raise IdempotencyReused
    return known


def _payable(tx: Tx, statement_ids: Collection[UUID], supplier_id: UUID) -> list[Statement]:
    query = select(Statement).where(Statement.id.in_(list(statement_ids))).order_by(Statement.number)
    held = list(tx.scalars(query, execution_options={"populate_existing": True}))
    for row in held:
        fits = row.supplier_id == supplier_id and row.mode == held[0].mode
        if not fits or row.state != StatementState.CONFIRMED.value or row.payout_id is not None:
            raise NotPayable(number=row.number)
    return held


def _require_not_held(tx: Tx, supplier_id: UUID, numbers: Collection[str]) -> None:
    """Raise PayoutHeld while people hold the supplier or an order on one of these statements."""
    orders = (
        select(SettlementItem.order_id)
        .join(Statement, Statement.id == SettlementItem.statement_id)
        .where(Statement.number.in_(list(numbers)))
    )
    today = clock.shop_day(clock.now())
    query = (
        select(SettlementHold)
        .where(SettlementHold.freed_at.is_(None))
        .where(or_(SettlementHold.until_day.is_(None), SettlementHold.until_day > today))
        .where(or_(SettlementHold.supplier_id == supplier_id, SettlementHold.order_id.in_(orders)))
        .order_by(SettlementHold.id)
    )
    if hold := tx.scalars(query).first():
        raise PayoutHeld(what=hold.order_code or supplier_names(tx)[supplier_id], reason=hold.reason)


def _unbound(tx: Tx, supplier_id: UUID) -> Fen:
    """What is available to a supplier, its debts taken off, and not promised to a payout that was not sent yet."""
    payee = paying.supplier(supplier_id)
    mine = (Payout.supplier_id == supplier_id, Payout.state.in_(NOT_SENT))
    promised = tx.scalar(select(func.coalesce(func.sum(Payout.amount_fen + Payout.fee_fen), 0)).where(*mine))
    return ledger.net(tx, payee.available) - ledger.net(tx, payee.owed) - int(promised or 0)


def _bind(tx: Tx, statement_ids: Collection[UUID], payout_id: UUID) -> None:
    tx.execute(update(Statement).where(Statement.id.in_(list(statement_ids))).values(payout_id=payout_id))


# --- moved ---


def check(tx: Tx, payout_id: UUID, move: wire.MovePayout, *, actor: Actor, request_id: str | None = None) -> Payout:
    """Another person than who made it approves a payout, or refuses it. Raises SameMaker, PayoutsFrozen, PayoutHeld."""
    if move.approve is None:
        raise BadField(field="approve", reason="true | false")
    held = _lock(tx, payout_id, move, actor=actor)
    if held.made_by == actor.label:
        raise SameMaker
    to = PayoutState.APPROVED if move.approve else PayoutState.REFUSED
    require_move(PayoutState(held.state), to)
    if move.approve:
        require_not_frozen(tx)
        _require_not_held(tx, held.supplier_id, held.statements)
        splits.decide(tx, held)
    held.checked_by, held.checked_at = actor.label, clock.now()
    if to is PayoutState.REFUSED:
        _free(tx, held, actor=actor)
    ending.advance(tx, held, to, "check", move, actor=actor, request_id=request_id)
    return held


def withdraw(tx: Tx, payout_id: UUID, move: wire.MovePayout, *, actor: Actor, request_id: str | None = None) -> Payout:
    """Take back a payout that was not sent; its statements can be paid by another one."""
    held = _lock(tx, payout_id, move, actor=actor)
    require_move(PayoutState(held.state), PayoutState.REFUSED)
    _free(tx, held, actor=actor)
    ending.advance(tx, held, PayoutState.REFUSED, "withdraw", move, actor=actor, request_id=request_id)
    return held


def send(tx: Tx, payout_id: UUID, move: wire.MovePayout, *, actor: Actor, request_id: str | None = None) -> Payout:
    """Book it: from now on its instruction can be carried to the bank or the channel.

    Raises PayoutsFrozen, PayoutHeld, SplitOutdated, NotEnoughAvailable.
    """
    held = _lock(tx, payout_id, move, actor=actor)
    require_move(PayoutState(held.state), PayoutState.SENT)
    require_not_frozen(tx)
    _require_not_held(tx, held.supplier_id, held.statements)
    splits.require_fit(tx, held)
    held.sent_by, held.sent_at = actor.label, clock.now()
    paying.payout_submit(
        tx,
        number=held.number,
        payee=paying.supplier(held.supplier_id),
        amount=held.amount_fen,
        fee=held.fee_fen,
        at=held.sent_at,
        actor=actor.label,
        memo=move.note,
    )
    ending.advance(tx, held, PayoutState.SENT, "send", move, actor=actor, request_id=request_id)
    return held


def confirm(tx: Tx, payout_id: UUID, move: wire.MovePayout, *, actor: Actor, request_id: str | None = None) -> Payout:
    """It arrived: its statements are paid."""
    held = _lock(tx, payout_id, move, actor=actor)
    ending.arrived(tx, held, move, actor=actor, request_id=request_id)
    return held


def fail(tx: Tx, payout_id: UUID, move: wire.MovePayout, *, actor: Actor, request_id: str | None = None) -> Payout:
    """It did not arrive, or was sent back: its statements can be paid again.

    Raises ReturnedByMaker, and BadField without a reference, for one that had arrived.
    """
    held = _lock(tx, payout_id, move, actor=actor)
    if held.state == PayoutState.CONFIRMED.value:
        if held.made_by == actor.label:
            raise ReturnedByMaker(number=held.number)
        if not move.reference:
            raise BadField(field="reference", reason="1..64")
    ending.failed(tx, held, move, actor=actor, request_id=request_id)
    return held


def require_not_frozen(tx: Tx) -> None:
    """Raise PayoutsFrozen while the continuous checks of the ledger find anything."""
    if names := broken(tx):
        raise PayoutsFrozen(invariant=", ".join(names))


def lock_all(tx: Tx, payout_ids: Collection[UUID]) -> dict[UUID, Payout]:
    """Payouts as they stand, with the turns of their suppliers taken."""
    wanted = Payout.id.in_(list(payout_ids))
    turns.take(tx, set(tx.scalars(select(Payout.supplier_id).where(wanted))))
    query = select(Payout).where(wanted).order_by(Payout.id)
    return {row.id: row for row in tx.scalars(query, execution_options={"populate_existing": True})}


def _lock(tx: Tx, payout_id: UUID, move: wire.MovePayout, *, actor: Actor) -> Payout:
    if tx.scalars(visible(actor, Payout).where(Payout.id == payout_id)).first() is None:
        raise NotFound
    held = lock_all(tx, [payout_id])[payout_id]
    if held.version != move.version:
        raise PayoutChanged(version=held.version)
    return held


def _free(tx: Tx, held: Payout, *, actor: Actor) -> None:
    held.ended_by, held.ended_at = actor.label, clock.now()
    tx.execute(update(Statement).where(Statement.payout_id == held.id).values(payout_id=None))
