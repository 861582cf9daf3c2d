"""What is released to suppliers and distributors, taken back from them, and paid out to them.

A share is pending until it is released, and available then; a payee that has less than is taken back owes the rest,
and pays it from what is released next. Callers hold the orders that lines belong to, if any; balances that are decided
on are locked here.

    release          statement:{number}:release   pending -> owed as far as it stands, the rest -> available
    payout_submit    payout:{number}:submit       available -> payout, and -> payout_fee
    payout_done      payout:{number}:done         payout -> bank, and -> psp for what the channel split
    payout_lacked    payout:{number}:lacked       payout -> owed first, then available: the part that did not arrive
                     payout:{number}:lacked:{n}   bank or psp -> …: its n-th row, after all had been said to be there
    payout_failed    payout:{number}:failed       payout, or where it had come from -> owed first, then available
    payout_returned  payout:{number}:return:{n}   psp -> owed first, then available: a split that was given back
    sweep            sweep:{channel}:{reference}  bank -> psp; :{n} behind it when recorded again
    sweep_reversed   {its key}:reversed           psp -> bank
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from sqlalchemy import func, insert, select

from server.db import Tx, table_of
from server.ledger.actions import Account, Journal, JournalConflict, Transfer, held, post
from server.ledger.model import LedgerAccount, LedgerJournal, LedgerRelease, LedgerTransfer
from shared.errors import Conflict
from shared.finance import JournalCode
from shared.money import Fen, format_fen

BANK, ESCROW = Account("bank"), Account("escrow")
PAYOUT, PAYOUT_FEE = Account("payout"), Account("payout_fee")


class NotEnoughAvailable(Conflict):
    """Less is available than is to be paid out."""

    code = "not_enough_available"
    zh = "可用余额只有 ¥{available}，不足以打款 ¥{amount}。请核对结算单与退款。"
    en = "Only ¥{available} is available, which is less than ¥{amount}. Check the statements and the refunds."


class AlreadyReleased(Conflict):
    """A line's share was released before: each is released once."""

    code = "already_released"
    zh = "有订单行已经结算过，不能重复结算。请重新生成结算单。"
    en = "Some order lines were released before and are not released twice; make the statement anew."


@dataclass(frozen=True, slots=True)
class Payee:
    """Whose share: a supplier's or a distributor's, with the accounts of it."""

    kind: Literal["supplier", "distributor"]
    id: UUID

    @property
    def pending(self) -> Account:
        """Earned, not released yet."""
        return Account(f"{self.kind}_pending", self.id.hex)

    @property
    def available(self) -> Account:
        """Released: it can be paid out."""
        return Account(f"{self.kind}_available", self.id.hex)

    @property
    def owed(self) -> Account:
        """What it owes the shop."""
        return Account("owed", self.id.hex)


def supplier(supplier_id: UUID) -> Payee:
    """A supplier as a payee."""
    return Payee("supplier", supplier_id)


def distributor(distributor_id: UUID) -> Payee:
    """A distributor as a payee."""
    return Payee("distributor", distributor_id)


@dataclass(frozen=True, slots=True)
class LineRelease:
    """What is left of an order line's share, refunds taken off."""

    order_line_id: UUID
    amount: Fen


@dataclass(frozen=True, slots=True)
class Released:
    """Where it went: what paid a debt, and what can be paid out."""

    owed: Fen
    available: Fen


# --- released ---


def release(
    tx: Tx, *, number: str, payee: Payee, lines: Sequence[LineRelease], at: datetime, actor: str, memo: str = ""
) -> Released:
    """Release the shares of a statement's lines, each once. A repeat of the same statement changes nothing.

    Raises AlreadyReleased; JournalConflict when the statement was posted with other lines.
    """
    key = f"statement:{number}:release"
    before = tx.scalars(select(LedgerJournal.id).where(LedgerJournal.key == key)).first()
    wanted = {line.order_line_id: line.amount for line in lines}
    assert len(wanted) == len(lines), "a line is named twice"
    if before is not None:
        return _as_before(tx, before, key, payee, wanted)
    if released(tx, payee.kind, list(wanted)):
        raise AlreadyReleased
    transfers = give(tx, payee, (payee.pending, sum(wanted.values())))
    journal_id = post(tx, [Journal(key, JournalCode.RELEASE.value, None, at, transfers, actor, memo)])[key]
    rows = [
        {"order_line_id": line_id, "payee": payee.kind, "released_fen": amount, "journal_id": journal_id}
        for line_id, amount in wanted.items()
    ]
    if rows:
        tx.execute(insert(table_of(LedgerRelease)), rows)
    return Released(*(transfer.amount for transfer in transfers))


def _as_before(tx: Tx, journal_id: UUID, key: str, payee: Payee, wanted: Mapping[UUID, Fen]) -> Released:
    rows = select(LedgerRelease.order_line_id, LedgerRelease.released_fen).where(LedgerRelease.journal_id == journal_id)
    if dict(tx.execute(rows.where(LedgerRelease.payee == payee.kind)).all()) != dict(wanted):
        raise JournalConflict(key=key)
    credited = _credited(tx, journal_id)
    return Released(owed=credited.get(payee.owed, 0), available=credited.get(payee.available, 0))


def _credited(tx: Tx, journal_id: UUID) -> dict[Account, Fen]:
    query = (
        select(LedgerAccount.kind, LedgerAccount.owner, func.sum(LedgerTransfer.amount_fen))
        .join(LedgerTransfer, LedgerTransfer.credit_id == LedgerAccount.id)
        .where(LedgerTransfer.journal_id == journal_id)
        .group_by(LedgerAccount.kind, LedgerAccount.owner)
    )
    return {Account(kind, owner): int(fen) for kind, owner, fen in tx.execute(query)}


_LINES_AT_A_TIME = 2_000


def released(tx: Tx, kind: str, line_ids: Collection[UUID]) -> dict[UUID, Fen]:
    """What was released of each of these lines to its supplier or distributor; those without a release are left out."""
    found: dict[UUID, Fen] = {}
    named = list(line_ids)
    for at in range(0, len(named), _LINES_AT_A_TIME):
        mine = LedgerRelease.order_line_id.in_(named[at : at + _LINES_AT_A_TIME])
        query = select(LedgerRelease.order_line_id, LedgerRelease.released_fen)
        found |= dict(tx.execute(query.where(mine, LedgerRelease.payee == kind)).all())
    return found


def take_back(tx: Tx, payee: Payee, amount: Fen) -> tuple[Transfer, ...]:
    """Into escrow, out of what was released: as far as that reaches, the rest is owed. Balances stay locked."""
    reaches = min(held(tx, [payee.available, payee.owed])[payee.available], amount)
    return Transfer(payee.available, ESCROW, reaches), Transfer(payee.owed, ESCROW, amount - reaches)


def give(tx: Tx, payee: Payee, *parts: tuple[Account, Fen]) -> tuple[Transfer, ...]:
    """So much from each account to a payee whose share was released: what it owes is paid first, the rest is available.

    Nobody has something available and owes something at once. Balances stay locked.
    """
    debt = max(held(tx, [payee.available, payee.owed])[payee.owed], 0)
    transfers = []
    for source, amount in parts:
        pays = min(debt, amount)
        debt -= pays
        transfers += [Transfer(source, payee.owed, pays), Transfer(source, payee.available, amount - pays)]
    return tuple(transfers)


# --- paid out ---


def payout_submit(
    tx: Tx, *, number: str, payee: Payee, amount: Fen, fee: Fen = 0, at: datetime, actor: str, memo: str = ""
) -> None:
    """Set aside what is on its way to a payee, with the shop's fee for it. Raises NotEnoughAvailable."""
    key = f"payout:{number}:submit"
    is_repeat = tx.scalars(select(LedgerJournal.id).where(LedgerJournal.key == key)).first() is not None
    available = held(tx, [payee.available])[payee.available]
    if not is_repeat and available < amount + fee:
        raise NotEnoughAvailable(available=format_fen(available), amount=format_fen(amount + fee))
    transfers = (Transfer(payee.available, PAYOUT, amount), Transfer(payee.available, PAYOUT_FEE, fee))
    post(tx, [Journal(key, JournalCode.PAYOUT.value, None, at, transfers, actor, memo)])


def payout_done(
    tx: Tx, *, number: str, sources: Mapping[Account, Fen], at: datetime, actor: str, memo: str = ""
) -> None:
    """It left our bank; what a channel split left what that owes us."""
    transfers = tuple(Transfer(PAYOUT, source, amount) for source, amount in sources.items())
    _payout(tx, f"payout:{number}:done", transfers, at=at, actor=actor, memo=memo)


def payout_returned(
    tx: Tx, *, number: str, n: str, payee: Payee, psp: Account, amount: Fen, at: datetime, actor: str, memo: str = ""
) -> None:
    """So much of a split was given back to us at its channel."""
    _payout(tx, f"payout:{number}:return:{n}", give(tx, payee, (psp, amount)), at=at, actor=actor, memo=memo)


def payout_lacked(
    tx: Tx,
    *,
    number: str,
    payee: Payee,
    amount: Fen,
    source: Account = PAYOUT,
    n: int | None = None,
    at: datetime,
    actor: str,
    memo: str = "",
) -> None:
    """A part of it did not arrive, while the rest did: it can be paid out again. The fee is kept.

    `n` is the row of which that was known after all of it had been said to have left its `source`.
    """
    key = f"payout:{number}:lacked" + (f":{n}" if n is not None else "")
    _payout(tx, key, give(tx, payee, (source, amount)), at=at, actor=actor, memo=memo)


def payout_failed(
    tx: Tx,
    *,
    number: str,
    payee: Payee,
    sources: Mapping[Account, Fen],
    fee: Fen = 0,
    at: datetime,
    actor: str,
    memo: str = "",
) -> None:
    """It did not arrive: it can be paid out again, and the fee for it is given back.

    `sources` has it: what is on its way, or, where it had arrived, what it had come from and went back to. What the
    payee owes by now is paid by it first.
    """
    key = f"payout:{number}:failed"
    before = tx.scalars(select(LedgerJournal.id).where(LedgerJournal.key == key)).first()
    if before is not None:
        credited = _credited(tx, before)
        if credited.get(payee.available, 0) + credited.get(payee.owed, 0) != sum(sources.values()) + fee:
            raise JournalConflict(key=key)
        return
    _payout(tx, key, give(tx, payee, *sources.items(), (PAYOUT_FEE, fee)), at=at, actor=actor, memo=memo)


def _payout(tx: Tx, key: str, transfers: tuple[Transfer, ...], *, at: datetime, actor: str, memo: str) -> None:
    post(tx, [Journal(key, JournalCode.PAYOUT.value, None, at, transfers, actor, memo)])


# --- arrived ---


@dataclass(frozen=True, slots=True)
class Arrival:
    """What a channel paid out to our bank, by the bank's number of it; `n` counts how often that was recorded."""

    channel: str
    reference: str
    n: int
    amount: Fen

    @property
    def key(self) -> str:
        """Of its journal."""
        return f"sweep:{self.channel}:{self.reference}" + (f":{self.n}" if self.n > 1 else "")

    @property
    def psp(self) -> Account:
        """What the channel owes us."""
        return Account("psp", self.channel)


def sweep(tx: Tx, arrival: Arrival, *, at: datetime, actor: str, memo: str = "") -> None:
    """A channel paid out to our bank. The same reference with another amount raises JournalConflict."""
    transfer = Transfer(BANK, arrival.psp, arrival.amount)
    post(tx, [Journal(arrival.key, JournalCode.SWEEP.value, None, at, (transfer,), actor, memo)])


def sweep_reversed(tx: Tx, arrival: Arrival, *, at: datetime, actor: str, memo: str = "") -> None:
    """It was not so."""
    transfer = Transfer(arrival.psp, BANK, arrival.amount)
    post(tx, [Journal(f"{arrival.key}:reversed", JournalCode.SWEEP.value, None, at, (transfer,), actor, memo)])
