"""The checks that what people agreed on is booked as they did, transfer by transfer: payouts and adjustments."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from uuid import UUID

from sqlalchemy import ColumnElement, and_, func, select, true
from sqlalchemy.orm import aliased

from server.db import Tx
from server.invariants.finding import NAMED_MOST, Finding
from server.invariants.scope import EVERYTHING, Scope
from server.ledger.actions import Account, Transfer
from server.ledger.model import LedgerAccount, LedgerJournal, LedgerTransfer
from server.ledger.paying import BANK, PAYOUT_FEE
from server.payments.adjustments.model import Adjustment
from server.payments.model import PaymentAttempt
from server.payments.settling import SOLD_FOR
from server.settlement.model import Payout, SettlementResult, SettlementReturn, SettlementSplit
from shared.finance import AdjustmentState, JournalCode, PayoutState
from shared.money import Fen

_ADJUST, _HEX = "adjust:", re.compile("[0-9a-f]{32}")


def transfers(tx: Tx, code: JournalCode, keys: Collection[str] | None) -> dict[str, list[Transfer]]:
    """What journals of a kind moved from where to where, by their keys: of all, or of some."""
    debit, credit = aliased(LedgerAccount), aliased(LedgerAccount)
    query = (
        select(
            LedgerJournal.key, debit.kind, debit.owner, credit.kind, credit.owner, func.sum(LedgerTransfer.amount_fen)
        )
        .outerjoin(LedgerTransfer, LedgerTransfer.journal_id == LedgerJournal.id)
        .outerjoin(debit, debit.id == LedgerTransfer.debit_id)
        .outerjoin(credit, credit.id == LedgerTransfer.credit_id)
        .where(LedgerJournal.code == code.value, named(keys))
        .group_by(LedgerJournal.key, debit.kind, debit.owner, credit.kind, credit.owner)
    )
    found: dict[str, list[Transfer]] = defaultdict(list)
    for key, debit_kind, debit_owner, credit_kind, credit_owner, fen in tx.execute(query):
        moved = found[key]
        if fen is not None:
            moved.append(Transfer(Account(debit_kind, debit_owner), Account(credit_kind, credit_owner), int(fen)))
    return dict(found)


def named(keys: Collection[str] | None) -> ColumnElement[bool]:
    """The condition on journals of having one of these keys; None is all."""
    return true() if keys is None else LedgerJournal.key.in_(keys)


def total(moved: Iterable[Transfer]) -> Fen:
    """What a journal moved in all."""
    return sum(one.amount for one in moved)


def off(sentence: str, keys: Collection[str]) -> Finding | None:
    """L10: these journals are not what they should be, or are there, or are not; None where there are none such."""
    return Finding("L10", sentence, tuple(sorted(keys)[:NAMED_MOST])) if keys else None


# --- adjustments ---


def adjustments_are_posted(tx: Tx, scope: Scope = EVERYTHING) -> Finding | None:
    """L10: what two people adjusted is booked to the fen and account, and nothing as adjusted that they did not."""
    claims = set(scope.journals(JournalCode.ADJ))
    claimed = [UUID(name) for key in claims if _HEX.fullmatch(name := key.removeprefix(_ADJUST))]
    mine = scope.papers_of("adjustment", Adjustment.id) | Adjustment.id.in_(claimed)
    said = {f"{_ADJUST}{one.id.hex}": one for one in tx.scalars(select(Adjustment).where(mine))}
    booked = transfers(tx, JournalCode.ADJ, None if scope.is_whole else claims | said.keys())
    agreed = {
        key: _sums(Transfer(Account(*one[:2]), Account(*one[2:4]), one[4]) for one in row.transfers)
        for key, row in said.items()
        if row.state == AdjustmentState.POSTED.value and row.checked_by not in {None, row.proposed_by}
    }
    wrong = {key for key in booked.keys() | agreed.keys() if key not in booked or _sums(booked[key]) != agreed.get(key)}
    return off("调账与账目不符 / an adjustment that is not booked as two people said", wrong)


def _sums(moved: Iterable[Transfer]) -> Counter[tuple[Account, Account]]:
    found = Counter[tuple[Account, Account]]()
    for debit, credit, amount in moved:
        found[debit, credit] += amount
    return found


# --- payouts ---


@dataclass(frozen=True, slots=True)
class _Way:
    """From and to what kinds of accounts a journal of a payout moves money."""

    debits: frozenset[str]
    credits: frozenset[str]


_AVAILABLE, _PAYOUT, _FEE, _BANK, _PSP = "supplier_available", "payout", "payout_fee", "bank", "psp"
_THEIRS = frozenset({_AVAILABLE, "owed"})
_FROM_ROW = {True: _Way(frozenset({_BANK}), _THEIRS), False: _Way(frozenset({_PSP}), _THEIRS)}
_WAYS = {
    "submit": _Way(frozenset({_AVAILABLE}), frozenset({_PAYOUT, _FEE})),
    "done": _Way(frozenset({_PAYOUT}), frozenset({_BANK, _PSP})),
    "lacked": _Way(frozenset({_PAYOUT}), _THEIRS),
    "failed": _Way(frozenset({_PAYOUT, _BANK, _PSP, _FEE}), _THEIRS),
}
_SENT = (PayoutState.SENT.value, PayoutState.CONFIRMED.value, PayoutState.FAILED.value)


def _way(event: str) -> _Way:
    """That of a journal by the end of its key: `lacked:0` is of the transfer, `lacked:2` and `return:2.1` of splits."""
    return _WAYS[event] if event in _WAYS else _FROM_ROW[event == "lacked:0"]


@dataclass(slots=True)
class _Paid:
    """A payout as its rows say: what of it which channel splits, what rows failed, and what was given back."""

    row: Payout
    split: Fen = 0
    channels: dict[str, Fen] = field(default_factory=dict)
    failed: dict[int, Fen] = field(default_factory=dict)
    returned: dict[str, Fen] = field(default_factory=dict)

    @property
    def is_as_its_rows(self) -> bool:
        """Whether it says of itself what its rows come to."""
        there = self.row.amount_fen - sum(self.failed.values())
        is_there = self.row.state != PayoutState.CONFIRMED.value or self.row.arrived_fen == there
        return is_there and self.row.returned_fen == sum(self.returned.values())

    def wanted(self, has: Mapping[str, Fen]) -> dict[str, Fen]:
        """What its journals have to move, by the ends of their keys; `has` is what they do.

        A row that failed has a journal of its own where the whole had been said to have arrived before.
        """
        one, done = self.row, has.get("done", 0)
        lacked = {event: fen for n, fen in self.failed.items() if (event := f"lacked:{n}") in has}
        wanted = self.returned | lacked
        if one.state in _SENT and one.checked_by not in {None, one.made_by}:
            wanted["submit"] = one.amount_fen + one.fee_fen
        if one.state == PayoutState.FAILED.value:  # nothing of it is there any more, whatever had arrived
            wanted["failed"] = (done - sum(lacked.values()) if done else one.amount_fen) + one.fee_fen
            wanted |= {"done": done} if done else {}
        if one.state == PayoutState.CONFIRMED.value:
            done = wanted["done"] = one.arrived_fen + sum(lacked.values())
        if done and done != one.amount_fen:
            wanted["lacked"] = one.amount_fen - done
        return wanted

    def is_its_way(self, event: str, moved: Collection[Transfer]) -> bool:
        """Whether a journal goes between the accounts it should: to nobody else, by the bank or the right channel."""
        way, mine = _way(event), self.row.supplier_id.hex
        through = Counter[Account]()
        for debit, credit, amount in moved:
            if debit.kind not in way.debits or credit.kind not in way.credits:
                return False
            if any(one.owner != mine for one in (debit, credit) if one.kind in _THEIRS):
                return False
            through[debit] += amount
            through[credit] += amount
        fee = self.row.fee_fen if event in {"submit", "failed"} else 0
        most = {BANK: self.row.amount_fen - self.split}
        most |= {Account(_PSP, channel): fen for channel, fen in self.channels.items()}
        passed = {one: fen for one, fen in through.items() if one.kind in {_BANK, _PSP}}
        return through[PAYOUT_FEE] == fee and all(fen <= most.get(one, 0) for one, fen in passed.items())


def payouts_are_booked(tx: Tx, scope: Scope = EVERYTHING) -> Finding | None:
    """L10: each payout has the journals of where it stands, for its amounts and between its accounts, and no others.

    It says of itself what its rows come to, and was checked by another person than who made it before it was sent.
    """
    posted = scope.journals(JournalCode.PAYOUT)
    claimed = [key.removeprefix("payout:").split(":")[0] for key in posted]
    paid = _payouts(tx, scope.papers_of("payout", Payout.id) | Payout.number.in_(claimed))
    events = {
        f"payout:{number}:{event}"
        for number, one in paid.items()
        for event in (*_WAYS, *one.returned, *(f"lacked:{n}" for n in one.failed))
    }
    booked = transfers(tx, JournalCode.PAYOUT, None if scope.is_whole else {*posted, *events})
    has: dict[str, dict[str, list[Transfer]]] = defaultdict(dict)
    for key, moved in booked.items():
        _, number, event = f"{key}::".split(":", 2)
        has[number][event.removesuffix("::")] = moved
    wrong = {key for key in booked if f"{key}::".split(":", 2)[1] not in paid}
    wrong |= {f"payout:{number}" for number, one in paid.items() if not one.is_as_its_rows}
    for number, one in paid.items():
        sums = {event: total(moved) for event, moved in has[number].items()}
        wanted = one.wanted(sums)
        wrong |= {
            f"payout:{number}:{event}"
            for event in sums.keys() | wanted.keys()
            if sums.get(event) != wanted.get(event) or not one.is_its_way(event, has[number][event])
        }
    return off("打款与账目不符 / a payout that is not what is booked", wrong)


def _payouts(tx: Tx, mine: ColumnElement[bool]) -> dict[str, _Paid]:
    found = {one.number: _Paid(one) for one in tx.scalars(select(Payout).where(mine))}
    if not found:
        return found
    parts = select(Payout.number, func.sum(SettlementSplit.amount_fen)).where(mine).group_by(Payout.number)
    for number, fen in tx.execute(parts.join(SettlementSplit, SettlementSplit.payout_id == Payout.id)):
        found[number].split = int(fen)
    paid = and_(PaymentAttempt.order_id == SettlementSplit.order_id, *SOLD_FOR)
    by_channel = (
        select(Payout.number, PaymentAttempt.channel, func.sum(SettlementSplit.amount_fen))
        .join(SettlementSplit, SettlementSplit.payout_id == Payout.id)
        .join(PaymentAttempt, paid)
        .where(mine)
        .group_by(Payout.number, PaymentAttempt.channel)
    )
    for number, channel, fen in tx.execute(by_channel):
        found[number].channels[channel] = int(fen)
    its = and_(SettlementSplit.payout_id == SettlementResult.payout_id, SettlementSplit.n == SettlementResult.n)
    failed = (
        select(Payout.number, SettlementResult.n, SettlementSplit.amount_fen)
        .join(SettlementResult, SettlementResult.payout_id == Payout.id)
        .outerjoin(SettlementSplit, its)
        .where(mine, SettlementResult.n >= 0, SettlementResult.succeeded.is_(False))
    )
    for number, n, fen in tx.execute(failed):
        of_transfer = found[number].row.amount_fen - found[number].split
        found[number].failed[n] = of_transfer if fen is None else int(fen)
    back = select(Payout.number, SettlementReturn.n, SettlementReturn.k, SettlementReturn.amount_fen).where(mine)
    for number, n, k, fen in tx.execute(back.join(SettlementReturn, SettlementReturn.payout_id == Payout.id)):
        found[number].returned[f"return:{n}.{k}"] = int(fen)
    return found
