"""The continuous checks of stock, ledger, payments and refunds: one function each, set-based, read-only.

`kameng-server check` prints them and the worker runs them; a violation names rows and never repairs anything.
Identifiers are those of money-and-stock.md 2.4 and 3.6. What changed lately is looked at by `look`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from sqlalchemy import Select, func, select

from server import audit
from server.db import Database, Tx
from server.invariants import bills, booked, books, ledger, pace, payments, refunds, settlement, stock, waiting
from server.invariants.finding import Finding
from server.ledger.model import LedgerBalance, LedgerJournal
from server.orders.model import Order
from server.payments.model import PaymentException
from server.stock.model import Delivery, StockUnit
from shared.states import UnitState

Check = Callable[..., Finding | None]

BY_ORDER: tuple[Check, ...] = (
    stock.sold_units_are_delivered_once,
    stock.deliveries_are_of_sold_units,
    stock.held_units_wait_for_payment,
    stock.pending_orders_hold_what_they_promise,
    ledger.delivered_orders_leave_no_escrow,
    ledger.lines_are_shared_out,
    ledger.delivered_orders_have_their_journals,
    ledger.sales_are_of_delivered_orders,
    books.sales_pay_each_party,
    books.lines_are_released_within_their_share,
    books.lines_are_taken_back_once,
    books.journals_have_their_partners,
    books.fees_are_what_bills_say,
    payments.paid_attempts_are_booked,
    payments.bookings_are_of_paid_attempts,
    payments.escrow_clears,
    payments.paid_money_is_somewhere,
    refunds.refunds_stay_within_payments,
    refunds.refunds_stay_within_lines,
    refunds.lines_sum_to_their_refund,
    refunds.orders_count_their_refunds,
    refunds.refunds_have_their_journals,
    refunds.journals_are_of_refunds,
    refunds.refunds_are_followed,
    refunds.replacements_are_delivered,
    refunds.only_refunds_undo_deliveries,
    refunds.exceptions_wait_for_live_refunds,
)
"""Those that can look at some orders alone: `check(tx, scope)`. Refunds without an order wait for the night."""

BY_LOT: tuple[Check, ...] = (
    stock.lot_counts_are_true,
    stock.every_unit_has_its_secret,
    stock.no_free_unit_is_forgotten,
)
"""Those that can look at some lots alone; each reads all their units."""

BY_PAPER: tuple[Check, ...] = (
    settlement.statements_released_their_lines,
    settlement.statements_sum_to_their_lines,
    settlement.releases_are_of_statements,
    settlement.payouts_pay_their_statements,
    settlement.splits_are_of_payments_opened_for_it,
    booked.payouts_are_booked,
    booked.adjustments_are_posted,
)
"""Those that can look at some statements, payouts and adjustments alone."""

EACH_TIME: tuple[Check, ...] = (
    stock.lots_that_sell_are_on_the_shelf,
    stock.lots_are_on_the_shelf_once,
    stock.given_back_units_are_free,
    stock.named_void_units_are_void,
    stock.what_was_withdrawn_is_gone,
    ledger.balances_sum_to_zero,
    ledger.balances_keep_their_floor,
    books.liabilities_are_not_negative,
    books.debts_are_paid_first,
    books.payouts_are_in_flight,
    books.frozen_is_what_is_disputed,
    payments.suspense_is_what_was_set_aside,
    payments.money_set_aside_has_its_exception,
    waiting.received_money_goes_on_in_time,
)
"""Those whose tables, or what they read of them, stay small."""

AT_NIGHT: tuple[Check, ...] = (
    books.balances_are_their_days,
    books.closed_days_are_their_transfers,
    waiting.pending_is_what_lines_wait_for,
    waiting.lines_wait_for_one_statement,
    waiting.refunded_money_arrives_in_time,
    bills.sweeps_are_booked,
    bills.signed_bills_are_booked,
    payments.kept_callbacks_are_asked_about,
    payments.open_attempts_are_asked_about,
)
"""Those that read all that ever was."""

CHECKS = (*BY_ORDER, *BY_LOT, *BY_PAPER, *EACH_TIME, *AT_NIGHT)


@dataclass(frozen=True, slots=True)
class Report:
    """What was counted and what is wrong. `ok` when nothing is."""

    figures: dict[str, int]
    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Whether every invariant holds."""
        return not self.findings


def check(db: Database, *, pause: pace.Pause | None = None) -> Report:
    """Check everything as it was at one instant, or what is sold meanwhile would be a breach; then the audit chain."""
    with db.read(snapshot=True) as tx:
        figures = _figures(tx)
        findings = list(pace.findings((partial(check_one, tx) for check_one in CHECKS), pause))
    chain = audit.verify(db)
    figures |= {"audit_blocks": chain.blocks, "audit_events": chain.events}
    return Report(figures=figures, findings=(*findings, *of_chain(chain)))


def of_chain(chain: audit.Verification) -> Iterator[Finding]:
    """What is wrong with the audit chain."""
    if chain.broken_block is not None:
        yield Finding("L11", "审计链断裂 / the audit chain is broken", (f"block {chain.broken_block}",))
    if chain.loose:
        yield Finding("L11", "审计链之外的记录 / audit rows were slipped in or cut out", (f"{chain.loose}",))


def _figures(tx: Tx) -> dict[str, int]:
    units = {UnitState(state).name.lower(): n for state, n in _counts(tx, StockUnit.state)}
    orders = {f"orders_{state}": n for state, n in _counts(tx, Order.state)}
    money = tx.execute(select(func.sum(LedgerBalance.debits_fen), func.sum(LedgerBalance.credits_fen))).one()
    return {
        "units_imported": sum(units.values()),
        **{f"units_{state.name.lower()}": units.get(state.name.lower(), 0) for state in UnitState},
        "deliveries": _count(tx, Delivery),
        **orders,
        "exceptions_open": tx.scalar(_open_exceptions()) or 0,
        "journals": _count(tx, LedgerJournal),
        "debits_fen": int(money[0] or 0),
        "credits_fen": int(money[1] or 0),
    }


def _counts(tx: Tx, column: Any) -> list[tuple[Any, int]]:
    return [(value, n) for value, n in tx.execute(select(column, func.count()).group_by(column))]


def _count(tx: Tx, model: type) -> int:
    return tx.scalar(select(func.count()).select_from(model)) or 0


def _open_exceptions() -> Select[int]:
    return select(func.count()).select_from(PaymentException).where(PaymentException.closed_at.is_(None))
