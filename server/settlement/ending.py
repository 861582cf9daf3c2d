"""How a payout ends: what of it arrived, what came back, what lacked, and what was given back for refunds.

Callers hold the turn of its supplier. Its rows are those of its instruction: of what nobody told row by row, all counts
as what a person, or the bank, said of the whole.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any
from uuid import UUID

from sqlalchemy import select

from server import audit, changes
from server.db import Tx
from server.ledger import paying
from server.payments.settling import payments_of
from server.policy import Actor
from server.settlement import splits
from server.settlement.model import Payout, SettlementResult, SettlementReturn, Statement
from server.settlement.statements import DOMAIN
from server.settlement.statements import note as note_statement
from server.settlement.terms import masked
from shared import clock
from shared.contracts import settlement as wire
from shared.errors import Conflict
from shared.finance import PayoutState, StatementState
from shared.money import Fen
from shared.payout_rows import Row
from shared.states import require_move

_REASON = 200


class GivenBack(Conflict):
    """What was given back for refunds cannot come back once more."""

    code = "payout_given_back"
    zh = "打款 {number} 已有分账回退，不能整笔登记退回。余下部分请做调账。"
    en = "Some splits of payout {number} were given back, so it cannot come back as a whole; adjust for the rest."


def arrived(
    tx: Tx,
    held: Payout,
    said: wire.MovePayout,
    *,
    actor: Actor,
    request_id: str | None = None,
) -> None:
    """It arrived, but for rows that are told to have failed: what these lack is available again."""
    require_move(PayoutState(held.state), PayoutState.CONFIRMED)
    now, sources = clock.now(), splits.sources(tx, held, there(tx, held))
    held.arrived_fen, held.arrived_at = sum(sources.values()), now
    rest = held.amount_fen - held.arrived_fen
    by: dict[str, Any] = {"number": held.number, "at": now, "actor": actor.label, "memo": said.note}
    if rest:
        paying.payout_lacked(tx, payee=paying.supplier(held.supplier_id), amount=rest, **by)
    paying.payout_done(tx, sources=sources, **by)
    got = _got(tx, held)

    def paid(row: Statement) -> None:
        row.state, row.paid_at, row.paid_fen = StatementState.PAID.value, now, got[row.id]

    _each_statement(tx, held, "paid", paid, actor=actor, request_id=request_id)
    held.ended_by, held.ended_at = actor.label, now
    advance(tx, held, PayoutState.CONFIRMED, "confirm", said, actor=actor, request_id=request_id)


def there(tx: Tx, held: Payout) -> list[int]:
    """The rows of a payout that arrive with it: all but those that are told to have failed."""
    told = splits.results(tx, held)
    return [n for n in splits.rows(tx, held) if n not in told or told[n].succeeded]


def lacked(tx: Tx, held: Payout, n: int, said: wire.MovePayout, *, actor: Actor, request_id: str | None = None) -> None:
    """A row did not arrive of a payout that was said to have: it is available again. Without it, all of it failed."""
    [(source, amount)] = splits.sources(tx, held, [n]).items()
    if amount == held.arrived_fen:
        failed(tx, held, said, actor=actor, request_id=request_id)
        return
    by: dict[str, Any] = {"number": held.number, "at": clock.now(), "actor": actor.label, "memo": said.note}
    paying.payout_lacked(tx, payee=paying.supplier(held.supplier_id), amount=amount, source=source, n=n, **by)
    held.arrived_fen -= amount
    got = _got(tx, held)

    def paid(row: Statement) -> None:
        row.paid_fen = got[row.id]

    _each_statement(tx, held, "lack", paid, actor=actor, request_id=request_id)
    advance(tx, held, PayoutState.CONFIRMED, "lack", said, actor=actor, request_id=request_id)


def _got(tx: Tx, held: Payout) -> dict[UUID, Fen]:
    """What arrived of each of its statements: who bears the fee, and then the oldest, lacks what did not."""
    mine = tx.scalars(select(Statement).where(Statement.payout_id == held.id)).all()
    lacks = sum(row.claim_fen for row in mine) - held.arrived_fen
    got: dict[UUID, Fen] = {}
    for row in sorted(mine, key=lambda row: (-row.payout_fee_fen, row.number)):
        gone = min(lacks, row.claim_fen)
        got[row.id], lacks = row.claim_fen - gone, lacks - gone
    return got


def failed(tx: Tx, held: Payout, said: wire.MovePayout, *, actor: Actor, request_id: str | None = None) -> None:
    """It did not arrive, but for rows of which the channel told that they did; or it came back. Raises GivenBack."""
    require_move(PayoutState(held.state), PayoutState.FAILED)
    sources = {paying.PAYOUT: held.amount_fen}
    if held.state == PayoutState.SENT.value:
        told = splits.results(tx, held)
        if any(n >= 0 and row.succeeded for n, row in told.items()):
            _lack_others(tx, held, told, said.note)
            arrived(tx, held, said, actor=actor, request_id=request_id)
            return
    else:
        sources = splits.sources(tx, held, there(tx, held))
    if held.returned_fen:
        raise GivenBack(number=held.number)
    now = clock.now()
    paying.payout_failed(
        tx,
        number=held.number,
        payee=paying.supplier(held.supplier_id),
        sources=sources,
        fee=held.fee_fen,
        at=now,
        actor=actor.label,
        memo=said.note,
    )
    held.arrived_fen = 0

    def unpaid(row: Statement) -> None:
        row.state, row.paid_at, row.paid_fen, row.payout_id = StatementState.CONFIRMED.value, None, 0, None

    _each_statement(tx, held, "unpaid", unpaid, actor=actor, request_id=request_id)
    held.ended_by, held.ended_at = actor.label, now
    advance(tx, held, PayoutState.FAILED, "fail", said, actor=actor, request_id=request_id)


def _lack_others(tx: Tx, held: Payout, told: Collection[int], reason: str) -> None:
    """Who says that a payout failed says so of the rows of which nobody has told."""
    said = {"succeeded": False, "reference": "", "reason": reason[:_REASON], "file_sha256": ""}
    tx.add_all(SettlementResult(payout_id=held.id, n=n, **said) for n in splits.rows(tx, held) if n not in told)
    tx.flush()


def give_back(tx: Tx, held: Payout, row: Row, amount: Fen, *, reference: str, file_sha256: str, actor: Actor) -> None:
    """So much of a split that arrived was given back: what the supplier owes is paid by it first."""
    order_id = next(order_id for n, order_id, _ in splits.of(tx, held) if n == row.n)
    psp = splits.psp_of(payments_of(tx, [order_id])[order_id])
    paying.payout_returned(
        tx,
        number=held.number,
        n=f"{row.n}.{row.k}",
        payee=paying.supplier(held.supplier_id),
        psp=psp,
        amount=amount,
        at=clock.now(),
        actor=actor.label,
    )
    kept = {"amount_fen": amount, "reference": reference, "file_sha256": file_sha256}
    tx.add(SettlementReturn(payout_id=held.id, n=row.n, k=row.k, **kept))
    held.returned_fen += amount
    held.version += 1
    tx.flush()
    note(tx, held, "return", actor=actor, request_id=None)


def _each_statement(
    tx: Tx, held: Payout, what: str, move: Callable[[Statement], None], *, actor: Actor, request_id: str | None
) -> None:
    query = select(Statement).where(Statement.payout_id == held.id).order_by(Statement.number)
    for row in tx.scalars(query, execution_options={"populate_existing": True}):
        move(row)
        row.version += 1
        tx.flush()
        note_statement(tx, row, what, actor=actor, request_id=request_id)


def advance(
    tx: Tx,
    held: Payout,
    to: PayoutState,
    what: str,
    said: wire.MovePayout,
    *,
    actor: Actor,
    request_id: str | None,
) -> None:
    """Say where a payout stands now, with what was said of it."""
    held.state = to.value
    held.reference = said.reference or held.reference
    held.note = said.note or held.note
    held.version += 1
    tx.flush()
    note(tx, held, what, actor=actor, request_id=request_id)


def note(tx: Tx, held: Payout, what: str, *, actor: Actor, request_id: str | None) -> None:
    """Tell readers and the audit log what became of a payout."""
    audit.append(
        tx,
        actor=actor.label,
        action=f"payout.{what}",
        entity="payout",
        entity_id=held.number,
        detail={
            "state": held.state,
            "statements": held.statements,
            "amount_fen": held.amount_fen,
            "fee_fen": held.fee_fen,
            "arrived_fen": held.arrived_fen,
            "returned_fen": held.returned_fen,
            "account": masked(held.account),
            "reference": held.reference,
            "note": held.note,
        },
        request_id=request_id,
    )
    changes.append(tx, "payout", held.id, domain=DOMAIN, supplier_id=held.supplier_id)
