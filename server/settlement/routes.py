"""HTTP of settlement: terms, calendar and fees, what is due, statements, payouts, holds. Thin.

The addresses are those of `shared.contracts.settlement`.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Annotated, Any, Literal, TypeVar
from uuid import UUID

from fastapi import Query, Request

from server import context, policy, web
from server.catalog import fees
from server.db import Tx, retrying
from server.policy import Actor, Router
from server.settlement import (
    brought,
    carrying,
    drilling,
    holds,
    instructions,
    payouts,
    queries,
    results,
    statements,
    terms,
)
from server.settlement.model import Payout, Statement
from shared import clock
from shared.contracts import settlement as wire
from shared.contracts.base import Day, Page
from shared.contracts.brought import BroughtForward
from shared.contracts.fees import FeeRule, NewFeeRule
from shared.errors import Conflict
from shared.finance import PayoutState, StatementState
from shared.permissions import Permission

router = Router(prefix="/api/settlement")

T = TypeVar("T")
READ, TERMS = Permission.SETTLEMENT_STATEMENT_READ, Permission.SETTLEMENT_TERMS_EDIT
PAY, CHECK = Permission.SETTLEMENT_PAYOUT_MAKE, Permission.SETTLEMENT_PAYOUT_CHECK
HOLD, STATE = Permission.SETTLEMENT_HOLD_EDIT, Permission.SETTLEMENT_STATEMENT_MAKE


# --- terms, calendar and fees ---


@router.get("/terms", allow=READ)
def list_terms(request: Request) -> Page[wire.Terms]:
    """The terms of today of each supplier in the actor's scope."""
    with context.of(request).db.read() as tx:
        return queries.all_terms(tx, policy.actor(request))


@router.get("/terms/{supplier_id}", allow=READ)
def one_suppliers_terms(request: Request, supplier_id: UUID) -> Page[wire.Terms]:
    """All versions of a supplier's terms, the newest first."""
    with context.of(request).db.read() as tx:
        return queries.terms_of(tx, policy.actor(request), supplier_id)


@router.put("/terms/{supplier_id}", allow=TERMS)
def change_terms(request: Request, supplier_id: UUID, body: wire.EditTerms) -> wire.Terms:
    """Other terms for what is delivered from now on, from the version the person looked at."""

    def change(tx: Tx, who: Actor) -> wire.Terms:
        terms.change(tx, supplier_id, body, actor=who, request_id=web.request_id(request))
        return queries.terms_of(tx, who, supplier_id).items[0]

    return _do(request, change)


@router.get("/fee-rules", allow=TERMS)
def list_fee_rules(request: Request) -> Page[FeeRule]:
    """All rules of the platform's share; the newest of a product and tier is the one that counts."""
    with context.of(request).db.read() as tx:
        return queries.fee_rules(tx, policy.actor(request))


@router.post("/fee-rules", allow=TERMS, status_code=201)
def add_fee_rule(request: Request, body: NewFeeRule) -> FeeRule:
    """A rule for what is ordered from now on."""

    def add(tx: Tx, who: Actor) -> FeeRule:
        fees.add_rule(tx, body, actor=who, request_id=web.request_id(request))
        return next(rule for rule in queries.fee_rules(tx, who).items if rule.id == body.id)

    return _do(request, add)


@router.get("/holidays", allow=READ)
def list_holidays(request: Request, year: int = Query(ge=2000, le=2999)) -> Page[wire.Holiday]:
    """The days of a year on which people work unlike in an ordinary week."""
    with context.of(request).db.read() as tx:
        return Page[wire.Holiday](items=terms.holidays(tx, year))


@router.put("/holidays/{day}", allow=TERMS)
def enter_holiday(request: Request, day: Day, body: wire.EditHoliday) -> wire.Holiday:
    """Whether people work on a day: for years the calendar lacks, and for corrections of the State."""
    return _do(
        request, lambda tx, who: terms.enter_holiday(tx, day, body, actor=who, request_id=web.request_id(request))
    )


# --- what is due ---


@router.get("/due", allow=READ)
def list_due(request: Request, day: Day | None = None) -> Page[wire.DueSupplier]:
    """What could be released on a day (today), by supplier, with what is held and why."""
    ctx = context.of(request)
    with ctx.db.read() as tx:
        days = ctx.settings.complete_after_days
        return queries.due(tx, policy.actor(request), day=day or _today(), complete_after_days=days)


@router.get("/due/{supplier_id}", allow=READ)
def list_due_lines(
    request: Request,
    supplier_id: UUID,
    day: Day | None = None,
    after: UUID | None = None,
    limit: int = Query(default=200, ge=1, le=1_000),
) -> Page[wire.DueLine]:
    """The lines of a supplier that are on no statement yet."""
    ctx = context.of(request)
    with ctx.db.read() as tx:
        return queries.due_lines(
            tx,
            policy.actor(request),
            supplier_id,
            day=day or _today(),
            complete_after_days=ctx.settings.complete_after_days,
            after=after,
            limit=limit,
        )


@router.get("/due/{supplier_id}/brought", allow=READ)
def what_would_be_brought_forward(request: Request, supplier_id: UUID) -> Page[BroughtForward]:
    """What the statement of a supplier that could be made now would bring forward from before, taken apart."""
    with context.of(request).db.read(snapshot=True) as tx:  # its parts are one sum
        who = policy.actor(request)
        queries.scope(tx, who, supplier_id)
        return Page[BroughtForward](items=brought.parts_due(tx, who, supplier_id))


def _today() -> date:
    return clock.shop_day(clock.now())


# --- statements ---


@router.get("/statements", allow=READ)
def list_statements(
    request: Request,
    supplier_id: UUID | None = None,
    state: StatementState | None = None,
    first: Annotated[Day | None, Query(alias="from")] = None,
    last: Annotated[Day | None, Query(alias="to")] = None,
    after: UUID | None = None,
    limit: int = Query(default=100, ge=1, le=500),
) -> Page[wire.Statement]:
    """Statements of the actor's scope and of these days, the newest first."""
    wanted: dict[str, Any] = {"supplier_id": supplier_id, "state": state, "first": first, "last": last}
    with context.of(request).db.read() as tx:
        return queries.statement_page(tx, policy.actor(request), after=after, limit=limit, **wanted)


@router.post("/statements", allow=STATE, status_code=201)
def make_statements(request: Request, body: wire.MakeStatements) -> Page[wire.Statement]:
    """Freeze what is due into drafts; answers those it made, also when it is repeated."""
    ctx, who = context.of(request), policy.actor(request)
    days = ctx.settings.complete_after_days
    statements.make(ctx.db, body, actor=who, complete_after_days=days, request_id=web.request_id(request))
    with ctx.db.read() as tx:
        return Page[wire.Statement](items=queries.statement_answers(tx, who, statements.made(tx, body.id)))


@router.get("/statements/{statement_id}", allow=READ)
def one_statement(request: Request, statement_id: UUID) -> wire.Statement:
    """A statement of the actor's scope."""
    with context.of(request).db.read() as tx:
        who = policy.actor(request)
        return queries.statement_answers(tx, who, [queries.statement(tx, who, statement_id)])[0]


@router.get("/statements/{statement_id}/lines", allow=READ)
def list_statement_lines(
    request: Request,
    statement_id: UUID,
    after: str | None = Query(default=None, max_length=80),
    limit: int = Query(default=200, ge=1, le=1_000),
) -> Page[wire.StatementLine]:
    """The lines of a statement, each with its order, lots, payment and row in the bill."""
    with context.of(request).db.read() as tx:
        found = queries.statement(tx, policy.actor(request), statement_id)
        return drilling.page(tx, found, after=after, limit=limit)


@router.get("/statements/{statement_id}/brought", allow=READ)
def what_was_brought_forward(request: Request, statement_id: UUID) -> Page[BroughtForward]:
    """What a statement brought forward from before, taken apart."""
    with context.of(request).db.read() as tx:
        who = policy.actor(request)
        found = queries.statement(tx, who, statement_id)
        return Page[BroughtForward](items=brought.parts(tx, who, found))


@router.post("/statements/{statement_id}/confirm", allow=STATE)
def confirm_statement(request: Request, statement_id: UUID, body: wire.MoveStatement) -> wire.Statement:
    """Release its lines, once; lines that wait by now are taken off it, and it is refused for another look."""
    days = context.of(request).settings.complete_after_days

    def confirm(tx: Tx, who: Actor) -> wire.Statement | Conflict:
        refusal = statements.confirm(
            tx, statement_id, body, actor=who, complete_after_days=days, request_id=web.request_id(request)
        )
        return refusal or queries.statement_answers(tx, who, [queries.statement(tx, who, statement_id)])[0]

    answer = _do(request, confirm)
    if isinstance(answer, Conflict):  # the draft was drawn anew, which is committed
        raise answer
    return answer


@router.post("/statements/{statement_id}/drop", allow=STATE)
def drop_statement(request: Request, statement_id: UUID, body: wire.MoveStatement) -> wire.Statement:
    """Drop a draft: its lines are free for another one."""

    def drop(tx: Tx, who: Actor) -> Statement:
        return statements.drop(tx, statement_id, body, actor=who, request_id=web.request_id(request))

    return _do(request, lambda tx, who: queries.statement_answers(tx, who, [drop(tx, who)])[0])


# --- payouts ---


@router.get("/payouts", allow=READ)
def list_payouts(
    request: Request,
    supplier_id: UUID | None = None,
    state: PayoutState | None = None,
    after: UUID | None = None,
    limit: int = Query(default=100, ge=1, le=500),
) -> Page[wire.Payout]:
    """Payouts of the actor's scope, the newest first."""
    with context.of(request).db.read() as tx:
        who = policy.actor(request)
        return queries.payout_page(tx, who, supplier_id=supplier_id, state=state, after=after, limit=limit)


@router.post("/payouts", allow=PAY, status_code=201)
def make_payout(request: Request, body: wire.NewPayout) -> wire.Payout:
    """Pay confirmed statements of one supplier; another person checks it."""
    return _payout(request, lambda tx, who: payouts.make(tx, body, actor=who, request_id=web.request_id(request)))


@router.post("/payouts/results", allow=PAY)
def take_results(request: Request, body: wire.PayoutResults) -> wire.PayoutResultsTaken:
    """What the bank or the channel says became of payouts: all rows of a file, or none."""
    return _do(request, lambda tx, who: results.take_in(tx, body, actor=who, request_id=web.request_id(request)))


@router.post("/payouts/instructions", allow=PAY)
def take_instructions(request: Request, body: wire.TakeInstructions) -> Page[wire.PayoutInstruction]:
    """What people carry to the bank or the channel, taken away to be carried: whoever does so again is told."""

    def take(tx: Tx, who: Actor) -> Page[wire.PayoutInstruction]:
        taken = carrying.take(tx, body.payouts, actor=who, request_id=web.request_id(request))
        return Page[wire.PayoutInstruction](items=taken)

    return _do(request, take)


@router.get("/payouts/{payout_id}", allow=READ)
def one_payout(request: Request, payout_id: UUID) -> wire.Payout:
    """A payout of the actor's scope."""
    with context.of(request).db.read() as tx:
        who = policy.actor(request)
        return queries.payout_answers(tx, who, [queries.payout(tx, who, payout_id)])[0]


@router.get("/payouts/{payout_id}/instruction", allow=PAY)
def payout_instruction(request: Request, payout_id: UUID) -> wire.PayoutInstruction:
    """The rows that people carry to the bank or the channel."""
    with context.of(request).db.read() as tx:
        return instructions.instruction(tx, policy.actor(request), payout_id)


@router.post("/payouts/{payout_id}/check", allow=CHECK)
def check_payout(request: Request, payout_id: UUID, body: wire.MovePayout) -> wire.Payout:
    """Approve or refuse it, as another person than who made it."""
    return _payout(
        request, lambda tx, who: payouts.check(tx, payout_id, body, actor=who, request_id=web.request_id(request))
    )


_MOVES: dict[str, Callable[..., Payout]] = {
    "send": payouts.send,
    "confirm": payouts.confirm,
    "fail": payouts.fail,
    "withdraw": payouts.withdraw,
}


@router.post("/payouts/{payout_id}/{verb}", allow=PAY)
def move_payout(
    request: Request,
    payout_id: UUID,
    verb: Literal["send", "confirm", "fail", "withdraw"],
    body: wire.MovePayout,
) -> wire.Payout:
    """It was sent, it arrived, it did not, or it is taken back before it was sent."""
    move = _MOVES[verb]
    return _payout(request, lambda tx, who: move(tx, payout_id, body, actor=who, request_id=web.request_id(request)))


# --- holds and accounts ---


@router.get("/holds", allow=HOLD)
def list_holds(request: Request, all: bool = False) -> Page[wire.Hold]:  # noqa: A002, FBT001 - the address says so
    """Holds that stand, or all there were."""
    with context.of(request).db.read() as tx:
        return queries.hold_page(tx, policy.actor(request), everything=all)


@router.post("/holds", allow=HOLD, status_code=201)
def add_hold(request: Request, body: wire.NewHold) -> wire.Hold:
    """Hold one order's lines back, or all of a supplier."""

    def add(tx: Tx, who: Actor) -> wire.Hold:
        held = holds.hold(tx, body, actor=who, request_id=web.request_id(request))
        return queries.hold_answers(tx, who, [held])[0]

    return _do(request, add)


@router.delete("/holds/{hold_id}", allow=HOLD)
def free_hold(request: Request, hold_id: UUID) -> wire.Hold:
    """Let go; a repeat changes nothing."""

    def free(tx: Tx, who: Actor) -> wire.Hold:
        held = holds.free(tx, hold_id, actor=who, request_id=web.request_id(request))
        return queries.hold_answers(tx, who, [held])[0]

    return _do(request, free)


@router.get("/accounts/{supplier_id}", allow=READ)
def suppliers_account(request: Request, supplier_id: UUID) -> wire.SupplierAccount:
    """What a supplier has, is owed and was paid: the same figures for finance and for itself."""
    ctx = context.of(request)
    with ctx.db.read() as tx:
        days = ctx.settings.complete_after_days
        return queries.account(tx, policy.actor(request), supplier_id, complete_after_days=days)


def _payout(request: Request, act: Callable[[Tx, Actor], Payout]) -> wire.Payout:
    return _do(request, lambda tx, who: queries.payout_answers(tx, who, [act(tx, who)])[0])


def _do(request: Request, act: Callable[[Tx, Actor], T]) -> T:
    """Act and answer in one transaction, so that what was done is what is answered."""
    who = policy.actor(request)
    return retrying(context.of(request).db, lambda tx: act(tx, who))
