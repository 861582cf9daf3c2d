"""Settlement: what is due and what is held, statements line by line, payouts by two people, and the terms of it all."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any, Literal, TypeVar
from uuid import UUID

from pydantic import TypeAdapter

from desktop.engine.engine import Engine
from desktop.engine.transport import Call
from desktop.operations.each import Outcome, one_by_one
from desktop.operations.once import send_once
from desktop.operations.seen import Seen, look, name_of
from shared.contracts.base import Page
from shared.contracts.brought import BroughtForward
from shared.contracts.fees import FeeRule, NewFeeRule
from shared.contracts.settlement import (
    DueLine,
    DueSupplier,
    EditHoliday,
    EditTerms,
    Hold,
    Holiday,
    MakeStatements,
    MovePayout,
    MoveStatement,
    NewHold,
    NewPayout,
    Payout,
    PayoutInstruction,
    PayoutResult,
    PayoutResults,
    PayoutResultsTaken,
    Statement,
    StatementLine,
    SupplierAccount,
    TakeInstructions,
    Terms,
)
from shared.finance import PayoutState, StatementState
from shared.ids import new_id

_DUE: TypeAdapter[Page[DueSupplier]] = TypeAdapter(Page[DueSupplier])
_DUE_LINES: TypeAdapter[Page[DueLine]] = TypeAdapter(Page[DueLine])
_STATEMENTS: TypeAdapter[Page[Statement]] = TypeAdapter(Page[Statement])
_STATEMENT: TypeAdapter[Statement] = TypeAdapter(Statement)
_LINES: TypeAdapter[Page[StatementLine]] = TypeAdapter(Page[StatementLine])
_BROUGHT: TypeAdapter[Page[BroughtForward]] = TypeAdapter(Page[BroughtForward])
_PAYOUTS: TypeAdapter[Page[Payout]] = TypeAdapter(Page[Payout])
_PAYOUT: TypeAdapter[Payout] = TypeAdapter(Payout)
_INSTRUCTION: TypeAdapter[PayoutInstruction] = TypeAdapter(PayoutInstruction)
_INSTRUCTIONS: TypeAdapter[Page[PayoutInstruction]] = TypeAdapter(Page[PayoutInstruction])
_HOLDS: TypeAdapter[Page[Hold]] = TypeAdapter(Page[Hold])
_TERMS: TypeAdapter[Page[Terms]] = TypeAdapter(Page[Terms])
_FEE_RULES: TypeAdapter[Page[FeeRule]] = TypeAdapter(Page[FeeRule])
_HOLIDAYS: TypeAdapter[Page[Holiday]] = TypeAdapter(Page[Holiday])
_ACCOUNT: TypeAdapter[SupplierAccount] = TypeAdapter(SupplierAccount)
_HERE = "/api/settlement"
_TOUCHED = ("statement", "payout", "settlement")

Step = Literal["send", "confirm", "fail", "withdraw"]
"""What becomes of a payout after it was made: it was sent, it arrived, it did not, or it is taken back."""


# --- what is due ---


async def list_due(engine: Engine, *, day: date) -> Seen[Page[DueSupplier]]:
    """What could be released on a day, by supplier."""
    call = Call("GET", f"{_HERE}/due", query={"day": day.isoformat()})
    return await look(engine, list_name=name_of("due", day=day.isoformat()), call=call, answer=_DUE)


async def list_due_lines(
    engine: Engine, supplier_id: UUID, *, day: date, after: str | None = None
) -> Seen[Page[DueLine]]:
    """One page of a supplier's lines that are on no statement yet, each with the day it is due and why it waits."""
    query = {"day": day.isoformat(), "after": after}
    call = Call("GET", f"{_HERE}/due/{supplier_id}", query=query)
    return await look(engine, list_name=name_of(f"due/{supplier_id}", **query), call=call, answer=_DUE_LINES)


async def list_holds(engine: Engine) -> Seen[Page[Hold]]:
    """Holds by people that stand."""
    return await look(engine, list_name=name_of("holds"), call=Call("GET", f"{_HERE}/holds"), answer=_HOLDS)


async def hold(engine: Engine, new: NewHold) -> Hold:
    """Hold an order's lines, or a supplier, back. Repeated under its id it holds once. Raises what `send_once` does."""
    done = await send_once(engine, Call("POST", f"{_HERE}/holds", body=new), Hold)
    engine.announce(*_TOUCHED, initiator="settlement.hold")
    return done


async def free(engine: Engine, hold_id: UUID) -> Hold:
    """Let go of what was held. Raises what `send_once` does."""
    done = await send_once(engine, Call("DELETE", f"{_HERE}/holds/{hold_id}"), Hold)
    engine.announce(*_TOUCHED, initiator="settlement.free")
    return done


# --- statements ---


async def list_statements(
    engine: Engine, *, state: StatementState | None = None, supplier_id: UUID | None = None, after: str | None = None
) -> Seen[Page[Statement]]:
    """One page of statements, the newest first; a supplier's person gets its own."""
    query = {"state": state, "supplier_id": str(supplier_id) if supplier_id else None, "after": after}
    call = Call("GET", f"{_HERE}/statements", query=query)
    return await look(engine, list_name=name_of("statements", **query), call=call, answer=_STATEMENTS)


async def statement(engine: Engine, statement_id: UUID) -> Seen[Statement]:
    """One statement as it is now."""
    call = Call("GET", f"{_HERE}/statements/{statement_id}")
    return await look(engine, list_name=name_of(f"statement/{statement_id}"), call=call, answer=_STATEMENT)


async def list_lines(engine: Engine, statement_id: UUID, *, after: str | None = None) -> Seen[Page[StatementLine]]:
    """One page of a statement's lines, each with its order, lots, payment and bill row."""
    call = Call("GET", f"{_HERE}/statements/{statement_id}/lines", query={"after": after})
    name = name_of(f"statement/{statement_id}/lines", after=after)
    return await look(engine, list_name=name, call=call, answer=_LINES)


async def brought_forward(engine: Engine, statement_id: UUID) -> Seen[Page[BroughtForward]]:
    """The parts of what a statement brought forward from before."""
    call = Call("GET", f"{_HERE}/statements/{statement_id}/brought")
    return await look(engine, list_name=name_of(f"statement/{statement_id}/brought"), call=call, answer=_BROUGHT)


async def due_forward(engine: Engine, supplier_id: UUID) -> Seen[Page[BroughtForward]]:
    """The parts of what the statement of a supplier would bring forward if it were made now."""
    call = Call("GET", f"{_HERE}/due/{supplier_id}/brought")
    return await look(engine, list_name=name_of(f"due/{supplier_id}/brought"), call=call, answer=_BROUGHT)


async def make_statements(
    engine: Engine, *, run_id: UUID, day: date, suppliers: Sequence[UUID] | None = None
) -> list[Statement]:
    """Freeze what is due on a day into drafts. Repeated under `run_id` it answers those it made."""
    body = MakeStatements(id=run_id, day=day, suppliers=None if suppliers is None else list(suppliers))
    done = await send_once(engine, Call("POST", f"{_HERE}/statements", body=body), Page[Statement])
    engine.announce(*_TOUCHED, initiator="statement.make")
    return done.items


async def move_statement(
    engine: Engine, seen: Statement, step: Literal["confirm", "drop"], *, note: str = ""
) -> Statement:
    """Confirm a draft, which releases its lines, or drop it. Raises what `send_once` does."""
    done = await _move_statement(engine, seen, step, note)
    engine.announce(*_TOUCHED, initiator=f"statement.{step}")
    return done


async def move_statements(
    engine: Engine, seen: Sequence[Statement], step: Literal["confirm", "drop"], *, note: str = ""
) -> list[Outcome[Statement, Statement]]:
    """The same of each of these by itself."""
    outcomes = await one_by_one(seen, lambda one: _move_statement(engine, one, step, note))
    engine.announce(*_TOUCHED, initiator=f"statement.{step}")
    return outcomes


async def _move_statement(engine: Engine, seen: Statement, step: str, note: str) -> Statement:
    body = MoveStatement(note=note, version=seen.version)
    return await send_once(engine, Call("POST", f"{_HERE}/statements/{seen.id}/{step}", body=body), Statement)


# --- payouts ---


async def list_payouts(
    engine: Engine, *, state: PayoutState | None = None, supplier_id: UUID | None = None, after: str | None = None
) -> Seen[Page[Payout]]:
    """One page of payouts, the newest first."""
    query = {"state": state, "supplier_id": str(supplier_id) if supplier_id else None, "after": after}
    call = Call("GET", f"{_HERE}/payouts", query=query)
    name = name_of("payouts", **query)
    return await look(engine, list_name=name, call=call, answer=_PAYOUTS, kept=_without_accounts)


async def payout(engine: Engine, payout_id: UUID) -> Seen[Payout]:
    """One payout as it is now."""
    call = Call("GET", f"{_HERE}/payouts/{payout_id}")
    return await look(engine, list_name=name_of(f"payout/{payout_id}"), call=call, answer=_PAYOUT, kept=_masked)


async def make_payout(engine: Engine, *, payout_id: UUID, statements: Sequence[UUID], note: str = "") -> Payout:
    """Instruct to pay confirmed statements of one supplier; another person checks it. Raises what `send_once` does."""
    done = await _make_payout(engine, payout_id, statements, note)
    engine.announce(*_TOUCHED, initiator="payout.make")
    return done


async def _make_payout(engine: Engine, payout_id: UUID, statements: Sequence[UUID], note: str) -> Payout:
    body = NewPayout(id=payout_id, statements=list(statements), note=note)
    return await send_once(engine, Call("POST", f"{_HERE}/payouts", body=body), Payout)


async def pay_statement(engine: Engine, seen: Statement, *, payout_id: UUID, note: str = "") -> Statement:
    """Instruct to pay one confirmed statement, and read how it stands then. Raises what `send_once` does."""
    await make_payout(engine, payout_id=payout_id, statements=[seen.id], note=note)
    return (await statement(engine, seen.id)).value


async def pay_statements(
    engine: Engine, seen: Sequence[Sequence[Statement]], *, note: str = ""
) -> list[Outcome[Sequence[Statement], Payout]]:
    """A payout for each of these groups: confirmed statements of one supplier."""

    async def pay(some: Sequence[Statement]) -> Payout:
        return await _make_payout(engine, new_id(), [one.id for one in some], note)

    outcomes = await one_by_one(seen, pay)
    engine.announce(*_TOUCHED, initiator="payout.make")
    return outcomes


async def check_payout(engine: Engine, seen: Payout, *, approve: bool, note: str = "") -> Payout:
    """The second person lets it go, or not. Raises what `send_once` does."""
    done = await _move(engine, seen, "check", approve=approve, note=note)
    engine.announce(*_TOUCHED, initiator="payout.check")
    return done


async def check_payouts(
    engine: Engine, seen: Sequence[Payout], *, approve: bool, note: str = ""
) -> list[Outcome[Payout, Payout]]:
    """The same of each of these by itself."""
    outcomes = await one_by_one(seen, lambda one: _move(engine, one, "check", approve=approve, note=note))
    engine.announce(*_TOUCHED, initiator="payout.check")
    return outcomes


async def move_payout(engine: Engine, seen: Payout, step: Step, *, reference: str = "", note: str = "") -> Payout:
    """Say what became of it, with the bank's or channel's number. Raises what `send_once` does."""
    done = await _move(engine, seen, step, reference=reference, note=note)
    engine.announce(*_TOUCHED, initiator=f"payout.{step}")
    return done


async def move_payouts(
    engine: Engine, seen: Sequence[Payout], step: Step, *, reference: str = "", note: str = ""
) -> list[Outcome[Payout, Payout]]:
    """The same of each of these by itself; `reference` is one number for all, as that of a batch."""
    outcomes = await one_by_one(seen, lambda one: _move(engine, one, step, reference=reference, note=note))
    engine.announce(*_TOUCHED, initiator=f"payout.{step}")
    return outcomes


async def _move(engine: Engine, seen: Payout, step: str, **said: Any) -> Payout:
    body = MovePayout(version=seen.version, **said)
    return await send_once(engine, Call("POST", f"{_HERE}/payouts/{seen.id}/{step}", body=body), Payout)


async def instruction(engine: Engine, payout_id: UUID) -> PayoutInstruction:
    """The rows that people carry to the bank or the channel. Asked for when wanted, never remembered on this disk."""
    return await engine.session.ask(Call("GET", f"{_HERE}/payouts/{payout_id}/instruction"), _INSTRUCTION)


async def take_instructions(engine: Engine, payout_ids: Sequence[UUID]) -> list[PayoutInstruction]:
    """The rows that are still to be carried, taken away to be carried: the server notes of all, or of none, who did."""
    body = TakeInstructions(payouts=list(payout_ids))
    call = Call("POST", f"{_HERE}/payouts/instructions", body=body)
    return (await engine.session.ask(call, _INSTRUCTIONS)).items


async def take_results(
    engine: Engine, *, file_id: UUID, file_name: str, file_sha256: str, rows: Sequence[PayoutResult]
) -> PayoutResultsTaken:
    """What the bank says became of payouts: all rows, or none when one does not fit. A repeat changes nothing."""
    body = PayoutResults(id=file_id, file_name=file_name, file_sha256=file_sha256, rows=list(rows))
    done = await send_once(engine, Call("POST", f"{_HERE}/payouts/results", body=body), PayoutResultsTaken)
    engine.announce(*_TOUCHED, initiator="payout.results")
    return done


# --- terms ---

P = TypeVar("P", Payout, Terms)


def _masked(one: P) -> P:
    """Without the number of a bank account, which is not kept on this disk: its end says which one it is."""
    return one.model_copy(update={"account": f"…{one.account[-4:]}" if one.account else ""})


def _without_accounts(page: Page[P]) -> Page[P]:
    return page.model_copy(update={"items": [_masked(one) for one in page.items]})


async def list_terms(engine: Engine) -> Seen[Page[Terms]]:
    """On which terms each supplier is paid now; a supplier's person gets its own."""
    call = Call("GET", f"{_HERE}/terms")
    return await look(engine, list_name=name_of("terms"), call=call, answer=_TERMS, kept=_without_accounts)


async def terms_history(engine: Engine, supplier_id: UUID) -> Seen[Page[Terms]]:
    """All terms that a supplier was ever paid on, the newest first."""
    call = Call("GET", f"{_HERE}/terms/{supplier_id}")
    name = name_of(f"terms/{supplier_id}")
    return await look(engine, list_name=name, call=call, answer=_TERMS, kept=_without_accounts)


async def edit_terms(engine: Engine, supplier_id: UUID, edit: EditTerms) -> Terms:
    """Agree on other terms from now on; lines keep those of their day. Raises what `send_once` does."""
    done = await send_once(engine, Call("PUT", f"{_HERE}/terms/{supplier_id}", body=edit), Terms)
    engine.announce(*_TOUCHED, initiator="settlement.terms")
    return done


# --- rules of fees, and the calendar ---


async def list_fee_rules(engine: Engine) -> Seen[Page[FeeRule]]:
    """All rules of the platform's share, the newest first."""
    call = Call("GET", f"{_HERE}/fee-rules")
    return await look(engine, list_name=name_of("fee-rules"), call=call, answer=_FEE_RULES)


async def add_fee_rule(engine: Engine, new: NewFeeRule) -> FeeRule:
    """A rule for what is ordered from now on. Repeated under its id it is one. Raises what `send_once` does."""
    done = await send_once(engine, Call("POST", f"{_HERE}/fee-rules", body=new), FeeRule)
    engine.announce("settlement", "product", initiator="settlement.fee_rule")
    return done


async def list_holidays(engine: Engine, year: int) -> Seen[Page[Holiday]]:
    """The days of a year on which people work unlike in an ordinary week."""
    call = Call("GET", f"{_HERE}/holidays", query={"year": str(year)})
    return await look(engine, list_name=name_of("holidays", year=str(year)), call=call, answer=_HOLIDAYS)


async def unknown_years(engine: Engine, years: Sequence[int]) -> list[int]:
    """Those of these years whose holidays nobody entered."""
    days = [(year, (await list_holidays(engine, year)).value.items) for year in years]
    return [year for year, items in days if not any(day.known for day in items)]


async def enter_holidays(engine: Engine, days: Sequence[date], edit: EditHoliday) -> list[Holiday]:
    """Say of each of these days whether people work. A repeat changes nothing. Raises what `send_once` does."""
    done = [await send_once(engine, Call("PUT", f"{_HERE}/holidays/{day}", body=edit), Holiday) for day in days]
    engine.announce("settlement", initiator="settlement.holiday")
    return done


# --- accounts ---


async def account(engine: Engine, supplier_id: UUID) -> Seen[SupplierAccount]:
    """What a supplier has, is owed and was paid: the same figures for finance and for itself."""
    call = Call("GET", f"{_HERE}/accounts/{supplier_id}")
    return await look(engine, list_name=name_of(f"account/{supplier_id}"), call=call, answer=_ACCOUNT)
