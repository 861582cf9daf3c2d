"""Adjustments: any transfer by hand, proposed by one person with a reason and a ticket, posted by another one.

adjust:{id} is its journal. What an adjustment may not touch is kept true by other rows, which it would leave behind:
money set aside, shares that wait or are frozen, payouts on their way: what a supplier is to have more or less goes
through what it has available, or owes. An adjustment itself is corrected by its opposite.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from datetime import date
from uuid import UUID

from sqlalchemy import select

from server import audit, changes
from server.db import Tx
from server.identity import queries as people
from server.ledger import actions as ledger
from server.ledger import queries as books
from server.ledger.actions import ACCOUNT_KINDS, Account, Journal, Transfer
from server.orders import actions as orders
from server.payments import kept_bills
from server.payments.adjustments.model import Adjustment
from server.policy import Actor
from shared import channels, clock
from shared.contracts import ledger as wire
from shared.errors import BadField, Conflict, IdempotencyReused, NotFound
from shared.finance import ADJUSTMENT, KEPT_BY_ROWS, AdjustmentState, JournalCode
from shared.money import Fen, format_fen
from shared.sentence import Sentence

DOMAIN = "ledger"

AVAILABLE_OR_OWED = ("supplier_available", "distributor_available", "owed")
"""What a payee has of us once it is released, and we of it: never less than nothing, and never both."""

OWNED_BY_PAYEES = frozenset(kind for kind in ACCOUNT_KINDS if kind.startswith(("supplier_", "distributor_", "owed")))


class NotAdjustable(Conflict):
    """The account's money belongs to rows that an adjustment would leave behind."""

    code = "not_adjustable"
    zh = "“{kind}”账户不能手工调账，请在对应的订单、异常款项、争议或打款里处理；更正供应商所得请调“可用”或“欠款”账户。"
    en = (
        "Account {kind} is not adjusted by hand; see to its order, exception, dispute or payout instead. "
        "What a supplier is to have is corrected in what it has available, or owes."
    )


class SameAccount(BadField):
    """A transfer would move nothing."""

    code = "same_account"
    zh = "借方和贷方是同一个账户，不会有任何变化。"
    en = "Debit and credit are the same account: nothing would change."


class DayIsOpen(Conflict):
    """Only a signed day is corrected by an adjustment: until then its differences are handled."""

    code = "day_is_open"
    zh = "{channel} {day} 还没有签署：请直接处理这一天的差异，不用调账。"
    en = "{channel} {day} is not signed yet: handle its differences instead of adjusting."


class BelowFloor(Conflict):
    """The account has less than is to be taken."""

    code = "below_floor"
    zh = "{whose}的账户余额只有 ¥{balance}，不足以扣减 ¥{amount}。"
    en = "The account of {whose} has only ¥{balance}, less than the ¥{amount} that is to be taken."


class DebtFirst(Conflict):
    """A payee would have something available and owe something at once."""

    code = "debt_first"
    zh = "调账后{whose}会有可用余额 ¥{available}，同时仍欠 ¥{owed}。请先用可用余额抵扣欠款。"
    en = "{whose} would have ¥{available} available and still owe ¥{owed}; let what is available pay the debt first."


class AdjustmentByYou(Conflict):
    """Who proposed it does not post it."""

    code = "adjustment_by_you"
    zh = "调账由您提出，需要另一位同事复核；不需要了可以撤回。"
    en = "You proposed this adjustment; a colleague has to check it. You may withdraw it."


class AdjustmentChanged(Conflict):
    """Somebody else has acted on it since it was read."""

    code = "adjustment_changed"
    zh = "这笔调账刚刚被别人处理过，请刷新后再看。"
    en = "Somebody has just acted on this adjustment; please reload."


class AdjustmentOver(Conflict):
    """It was posted or refused."""

    code = "adjustment_over"
    zh = "这笔调账已经结束（{state}）。更正请另提一笔相反的调账。"
    en = "This adjustment is over ({state}); propose its opposite to correct it."


def propose(tx: Tx, body: wire.NewAdjustment, *, order_id: UUID | None, actor: Actor) -> Adjustment:
    """Write down what should be posted. The same one again changes nothing.

    Raises NotAdjustable, BadField for accounts that cannot be, DayIsOpen, IdempotencyReused.
    """
    transfers = [
        (one.debit_kind, one.debit_owner, one.credit_kind, one.credit_owner, one.amount_fen) for one in body.transfers
    ]
    known = tx.get(Adjustment, body.id)
    if known is not None:
        said = ([tuple(one) for one in known.transfers], known.reason, known.ticket, known.order_id)
        about = (known.channel, known.day)
        if (*said, *about) != (transfers, body.reason, body.ticket, order_id, body.channel, body.day):
            raise IdempotencyReused
        return known
    for debit, credit, _ in _transfers(transfers):
        if debit == credit:
            raise SameAccount(field="transfers")
        _require_adjustable(tx, debit)
        _require_adjustable(tx, credit)
    _require_signed(tx, body.channel, body.day)
    row = Adjustment(
        id=body.id,
        state=AdjustmentState.PROPOSED.value,
        transfers=transfers,
        reason=body.reason,
        ticket=body.ticket,
        order_id=order_id,
        order_code=body.order_code if order_id else None,
        channel=body.channel,
        day=body.day,
        proposed_by=actor.label,
        proposed_at=clock.now(),
        check_note="",
        version=1,
    )
    tx.add(row)
    tx.flush()
    _tell(tx, row, "propose", actor, reason=body.reason, ticket=body.ticket)
    return row


def _require_adjustable(tx: Tx, account: Account) -> None:
    if account.kind not in ACCOUNT_KINDS:
        raise BadField(field="transfers", reason=account.kind)
    if account.kind in KEPT_BY_ROWS:
        raise NotAdjustable(kind=account.kind)
    is_known = books.is_open(tx, account)
    if not is_known and account.kind in OWNED_BY_PAYEES:
        is_known = account.owner in {supplier.hex for supplier in people.supplier_names(tx)}
    if not is_known and (account.owner or account.kind in {"psp", "psp_fee"} | OWNED_BY_PAYEES):
        raise BadField(field="transfers", reason=f"{account.kind}:{account.owner}")


def _require_signed(tx: Tx, channel: str | None, day: date | None) -> None:
    if (channel is None) != (day is None):
        raise BadField(field="day", reason=Sentence("渠道与账日应同时填写", "channel and day go together"))
    if channel and day and not kept_bills.is_closed(tx, channel, day):
        raise DayIsOpen(channel=channels.name(channel), day=day.isoformat())


def check(tx: Tx, adjustment_id: UUID, body: wire.CheckAdjustment, *, actor: Actor) -> Adjustment:
    """Another person posts it, or refuses it. Raises NotFound, AdjustmentChanged, AdjustmentOver, AdjustmentByYou,
    BelowFloor, DebtFirst.
    """
    row = _hold(tx, adjustment_id, body.version)
    if row.proposed_by == actor.label:
        raise AdjustmentByYou
    _end(tx, row, AdjustmentState.POSTED if body.approve else AdjustmentState.REFUSED, actor, note=body.note)
    if body.approve:
        _post(tx, row, actor)
    return row


def withdraw(tx: Tx, adjustment_id: UUID, body: wire.WithdrawAdjustment, *, actor: Actor) -> Adjustment:
    """Who proposed it takes it back. Raises NotFound, AdjustmentChanged, AdjustmentOver, and NotFound for others."""
    row = _hold(tx, adjustment_id, body.version)
    if row.proposed_by != actor.label:
        raise NotFound
    _end(tx, row, AdjustmentState.REFUSED, actor, note="")
    return row


def _hold(tx: Tx, adjustment_id: UUID, version: int) -> Adjustment:
    """The adjustment, still open, after its order, under lock."""
    order_id = tx.scalars(select(Adjustment.order_id).where(Adjustment.id == adjustment_id)).first()
    if order_id is not None:
        orders.lock(tx, [order_id])
    query = select(Adjustment).where(Adjustment.id == adjustment_id).with_for_update()
    row = tx.scalars(query, execution_options={"populate_existing": True}).first()
    if row is None:
        raise NotFound
    if row.version != version:
        raise AdjustmentChanged
    if not ADJUSTMENT[AdjustmentState(row.state)]:
        raise AdjustmentOver(state=row.state)
    return row


def _end(tx: Tx, row: Adjustment, to: AdjustmentState, actor: Actor, *, note: str) -> None:
    row.state, row.version = to.value, row.version + 1
    row.checked_by, row.checked_at, row.check_note = actor.label, clock.now(), note
    tx.flush()
    _tell(tx, row, to.value, actor, note=note, proposed_by=row.proposed_by)


def _post(tx: Tx, row: Adjustment, actor: Actor) -> None:
    transfers = tuple(Transfer(debit, credit, fen) for debit, credit, fen in _transfers(row.transfers))
    _require_floors(tx, transfers)
    memo = f"{row.ticket} · {row.reason} · {row.proposed_by}"
    key = f"adjust:{row.id.hex}"
    ledger.post(tx, [Journal(key, JournalCode.ADJ.value, row.order_id, clock.now(), transfers, actor.label, memo)])


def _require_floors(tx: Tx, transfers: tuple[Transfer, ...]) -> None:
    """Say in a sentence what the checks, or the database, would refuse: that somebody has less than nothing of us, or
    can be paid what it owes.
    """
    sums: dict[Account, Fen] = defaultdict(int)
    for transfer in transfers:
        sums[transfer.debit] -= transfer.amount
        sums[transfer.credit] += transfer.amount
    more = {account: fen for account, fen in sums.items() if account.kind in AVAILABLE_OR_OWED}
    more |= {account: -fen for account, fen in more.items() if account.kind == "owed"}
    has = _held(tx, more) if more else {}
    for account, fen in more.items():
        if fen < 0 and has[account] + fen < 0:
            whose = people.owner_name(account.owner, people.supplier_names(tx))
            raise BelowFloor(whose=whose, balance=format_fen(has[account]), amount=format_fen(-fen))
    for account, fen in has.items():
        owed = Account("owed", account.owner)
        available, debt = fen + more.get(account, 0), has.get(owed, 0) + more.get(owed, 0)
        if account.kind != "owed" and min(available, debt) > 0:
            whose = people.owner_name(account.owner, people.supplier_names(tx))
            raise DebtFirst(whose=whose, available=format_fen(available), owed=format_fen(debt))


def _held(tx: Tx, touched: Collection[Account]) -> dict[Account, Fen]:
    """What the payees of these accounts have available and owe, under lock."""
    theirs = {Account(kind, account.owner) for account in touched for kind in AVAILABLE_OR_OWED}
    return ledger.held(tx, [account for account in theirs if account in touched or books.is_open(tx, account)])


def _transfers(rows: list[tuple[str, str, str, str, int]]) -> list[tuple[Account, Account, Fen]]:
    return [(Account(a, b), Account(c, d), fen) for a, b, c, d, fen in rows]


def _tell(tx: Tx, row: Adjustment, what: str, actor: Actor, **detail: object) -> None:
    changes.append(tx, "adjustment", row.id, domain=DOMAIN)
    audit.append(
        tx,
        actor=actor.label,
        action=f"adjustment.{what}",
        entity="adjustment",
        entity_id=row.id.hex,
        detail={
            "transfers": row.transfers,
            "order": row.order_code,
            "channel": row.channel,
            "day": row.day.isoformat() if row.day else None,
            **detail,
        },
    )
