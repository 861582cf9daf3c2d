"""The checks of what is released, taken back, frozen and paid out, and of closed days (money-and-stock.md 2.4)."""

from __future__ import annotations

from datetime import date
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, case, exists, func, literal, or_, select
from sqlalchemy.orm import aliased

from server.db import Tx
from server.invariants.finding import NAMED_MOST, WITHOUT_MONEY, Finding, first_of, found, found_accounts
from server.invariants.scope import EVERYTHING, Scope
from server.ledger import days
from server.ledger.days import NOTHING, Sums
from server.ledger.model import (
    LedgerAccount,
    LedgerBalance,
    LedgerDayClose,
    LedgerJournal,
    LedgerRelease,
    LedgerTransfer,
)
from server.orders.model import Order, OrderLine
from server.payments.disputes.model import Dispute, DisputeLine
from server.payments.model import PaymentAttempt
from server.payments.refunds.model import Refund, RefundLine
from server.settlement.model import Payout
from shared import clock
from shared.finance import DisputeState, PayoutState

READ_AGAIN_DAYS = 7
ROUND = 30
"""Each closed day is read again for a week, and then once in so many nights."""


# --- L2, L3: balances ---


def balances_are_their_days(tx: Tx) -> Finding | None:
    """L2: each account's slots are what its closed days say and what was posted since."""
    query = select(LedgerBalance.account_id, func.sum(LedgerBalance.debits_fen), func.sum(LedgerBalance.credits_fen))
    slots = {
        account: Sums(int(debits), int(credits))
        for account, debits, credits in tx.execute(query.group_by(LedgerBalance.account_id))
    }
    booked = days.until(tx, None)
    off = [account for account in slots | booked if slots.get(account, NOTHING) != booked.get(account, NOTHING)]
    return _accounts(tx, "L2", "余额与流水不符 / a balance is not its transfers", off)


def closed_days_are_their_transfers(tx: Tx) -> Finding | None:
    """L2: what a closed day says went through its accounts is what its journals moved, and as many."""
    for close in tx.scalars(select(LedgerDayClose).order_by(LedgerDayClose.day.desc())):
        if not is_read(close.day):
            continue
        its = days.posted(*clock.day_bounds(close.day))
        journals = tx.scalar(select(func.count()).select_from(LedgerJournal).where(its))
        moved, closed = days.moved(tx, its), days.of_day(tx, close.day)
        off = [account for account in moved | closed if moved.get(account) != closed.get(account)]
        if off or journals != close.journals:
            sentence = f"{close.day} 的日结与流水不符 / a closed day is not its transfers"
            return _accounts(tx, "L2", sentence, off) or Finding("L2", sentence, (f"{close.day} {journals}",))
    return None


def is_read(day: date) -> bool:
    """Whether a day that is over is read again tonight."""
    age = (clock.shop_day(clock.now()) - day).days
    return age <= READ_AGAIN_DAYS or age % ROUND == 0


def _accounts(tx: Tx, invariant: str, sentence: str, off: list[Any]) -> Finding | None:
    query = select(LedgerAccount.kind, LedgerAccount.owner).order_by(LedgerAccount.kind, LedgerAccount.owner)
    its = query.where(LedgerAccount.id.in_(off[: NAMED_MOST * 10]))
    return found_accounts(tx, invariant, sentence, its) if off else None


def liabilities_are_not_negative(tx: Tx) -> Finding | None:
    """L3: nobody has less than nothing of us: pending shares, too, over all their slots; and nobody owes less."""
    debits, credits = func.sum(LedgerBalance.debits_fen), func.sum(LedgerBalance.credits_fen)
    query = (
        select(LedgerAccount.kind, LedgerAccount.owner)
        .join(LedgerBalance, LedgerBalance.account_id == LedgerAccount.id)
        .where(or_(LedgerAccount.side == "L", LedgerAccount.kind == "owed"))
        .group_by(LedgerAccount.id, LedgerAccount.kind, LedgerAccount.owner, LedgerAccount.side)
        .having(case((LedgerAccount.side == "L", credits - debits), else_=debits - credits) < 0)
    )
    return found_accounts(tx, "L3", "应付余额为负 / somebody has less than nothing of us", query)


def debts_are_paid_first(tx: Tx) -> Finding | None:
    """L3: nobody has something to be paid out and owes something at once."""
    net = func.sum(LedgerBalance.credits_fen - LedgerBalance.debits_fen)
    kinds = ("supplier_available", "distributor_available", "owed")
    nets = (
        select(LedgerAccount.kind, LedgerAccount.owner, net.label("net"))
        .join(LedgerBalance, LedgerBalance.account_id == LedgerAccount.id)
        .where(LedgerAccount.kind.in_(kinds))
        .group_by(LedgerAccount.kind, LedgerAccount.owner)
        .subquery()
    )
    owed, available = aliased(nets), aliased(nets)
    query = (
        select(available.c.kind, available.c.owner, available.c.net, -owed.c.net)
        .join(owed, owed.c.owner == available.c.owner)
        .where(owed.c.kind == "owed", owed.c.net < 0, available.c.kind != "owed", available.c.net > 0)
    )
    return found_accounts(tx, "L3", "有可用余额却仍有欠款 / somebody can be paid and owes", query)


# --- L5, L6: shares ---


def sales_pay_each_party(tx: Tx, scope: Scope = EVERYTHING) -> Finding | None:
    """L5: each SALE gives suppliers, distributor and platform what the order's lines say, and the shop its discount."""
    shares = (
        ("SALE", "supplier_pending", LedgerTransfer.credit_id, OrderLine.supplier_fen),
        ("SALE", "distributor_pending", LedgerTransfer.credit_id, OrderLine.commission_fen),
        ("SALE", "fee", LedgerTransfer.credit_id, OrderLine.fee_fen),
        ("PROMO", "promo", LedgerTransfer.debit_id, OrderLine.discount_fen),
    )
    sold = exists().where(LedgerJournal.order_id == Order.id, LedgerJournal.code == "SALE")
    wrong = []
    for code, kind, side, share in shares:
        moved = (
            select(func.coalesce(func.sum(LedgerTransfer.amount_fen), 0))
            .join(LedgerJournal, LedgerJournal.id == LedgerTransfer.journal_id)
            .join(LedgerAccount, LedgerAccount.id == side)
            .where(LedgerJournal.order_id == Order.id, LedgerJournal.code == code, LedgerAccount.kind == kind)
        )
        wanted = select(func.coalesce(func.sum(share), 0)).where(OrderLine.order_id == Order.id)
        wrong.append(moved.scalar_subquery() != wanted.scalar_subquery())
    query = select(Order.code).where(sold, or_(*wrong), scope.orders(Order.id))
    return found(tx, "L5", "分账与订单行不符 / a sale that does not pay what its lines say", query)


def lines_are_released_within_their_share(tx: Tx, scope: Scope = EVERYTHING) -> Finding | None:
    """L6: what was released of a line, and what was taken back before that, is no more than its share."""
    queries: list[Select[*tuple[Any, ...]]] = []
    for payee, share, of_refund, of_dispute in (
        ("supplier", OrderLine.supplier_fen, RefundLine.supplier_fen, DisputeLine.supplier_fen),
        ("distributor", OrderLine.commission_fen, RefundLine.commission_fen, DisputeLine.commission_fen),
    ):
        release = aliased(LedgerJournal)
        before = LedgerJournal.posted_at < release.posted_at
        refunded = _taken(of_refund, RefundLine, literal("refund:") + Refund.out_refund_no + ":reverse", before)
        lost = _lost(of_dispute, release)
        queries.append(
            select(Order.code, OrderLine.n)
            .join(Order, Order.id == OrderLine.order_id)
            .join(LedgerRelease, LedgerRelease.order_line_id == OrderLine.id)
            .join(release, release.id == LedgerRelease.journal_id)
            .where(LedgerRelease.payee == payee, LedgerRelease.released_fen + refunded + lost > share)
            .where(scope.orders(Order.id))
        )
    return first_of(tx, "L6", "订单行结算超过应得 / more was released of a line than its share", queries)


def _taken(share: Any, table: Any, key: ColumnElement[str], before: ColumnElement[bool]) -> ColumnElement[int]:
    query = (
        select(func.coalesce(func.sum(share), 0))
        .join(Refund, Refund.id == table.refund_id)
        .join(LedgerJournal, LedgerJournal.key == key)
        .where(table.order_line_id == OrderLine.id, Refund.state.not_in(WITHOUT_MONEY), before)
    )
    return query.scalar_subquery()


def _lost(share: Any, release: Any) -> ColumnElement[int]:
    query = (
        select(func.coalesce(func.sum(share), 0))
        .join(Dispute, Dispute.id == DisputeLine.dispute_id)
        .where(DisputeLine.order_line_id == OrderLine.id, Dispute.state == DisputeState.LOST.value)
        .where(Dispute.closed_at < release.posted_at)
    )
    return query.scalar_subquery()


def lines_are_taken_back_once(tx: Tx, scope: Scope = EVERYTHING) -> Finding | None:
    """L6: refunds and disputes together take no more of a line than any of its shares, nor than was paid for it."""
    takes = []
    for name in ("amount_fen", "supplier_fen", "commission_fen", "fee_fen", "discount_fen"):
        refunded = (
            select(func.coalesce(func.sum(getattr(RefundLine, name)), 0))
            .join(Refund, Refund.id == RefundLine.refund_id)
            .where(RefundLine.order_line_id == OrderLine.id, Refund.state.not_in(WITHOUT_MONEY))
        )
        disputed = (
            select(func.coalesce(func.sum(getattr(DisputeLine, name)), 0))
            .join(Dispute, Dispute.id == DisputeLine.dispute_id)
            .where(DisputeLine.order_line_id == OrderLine.id, Dispute.state != DisputeState.WON.value)
        )
        takes.append(refunded.scalar_subquery() + disputed.scalar_subquery() > getattr(OrderLine, name))
    touched = or_(
        exists().where(RefundLine.order_line_id == OrderLine.id),
        exists().where(DisputeLine.order_line_id == OrderLine.id),
    )
    query = select(Order.code, OrderLine.n).join(Order, Order.id == OrderLine.order_id)
    query = query.where(touched, or_(*takes), scope.orders(Order.id))
    return found(tx, "L6", "订单行退回超过实付 / more is taken back of a line than it had", query)


# --- L8: what leaves ---


def payouts_are_in_flight(tx: Tx) -> Finding | None:
    """L8: the payout account is what is on its way to suppliers, to the fen."""
    balance = _balance("payout")
    flying = select(func.coalesce(func.sum(Payout.amount_fen), 0)).where(Payout.state == PayoutState.SENT.value)
    query = select(balance, flying.scalar_subquery()).where(balance != flying.scalar_subquery())
    return found(tx, "L8", "在途打款与账目不符 / the payout account is not what is on its way", query)


def frozen_is_what_is_disputed(tx: Tx) -> Finding | None:
    """L8: what is frozen of suppliers is what open disputes froze, to the fen."""
    frozen = (
        select(func.coalesce(func.sum(DisputeLine.frozen_fen), 0))
        .join(Dispute, Dispute.id == DisputeLine.dispute_id)
        .where(Dispute.state == DisputeState.OPENED.value)
        .scalar_subquery()
    )
    balance = _balance("supplier_frozen")
    query = select(balance, frozen).where(balance != frozen)
    return found(tx, "L8", "冻结余额与争议不符 / what is frozen is not what is disputed", query)


def _balance(kind: str) -> ColumnElement[int]:
    net = select(func.coalesce(func.sum(LedgerBalance.credits_fen - LedgerBalance.debits_fen), 0))
    joined = net.join(LedgerAccount, LedgerAccount.id == LedgerBalance.account_id)
    return joined.where(LedgerAccount.kind == kind).scalar_subquery()


# --- L10: partners ---


def journals_have_their_partners(tx: Tx, scope: Scope = EVERYTHING) -> Finding | None:
    """L10: no PROMO without its SALE, nor a disputed order without the journals of how its dispute stands."""
    sale = aliased(LedgerJournal)
    sold = exists().where(sale.order_id == LedgerJournal.order_id, sale.code == "SALE")
    mine = scope.orders(LedgerJournal.order_id)
    promo = select(LedgerJournal.key).where(LedgerJournal.code == "PROMO", ~sold, mine)
    events = {
        DisputeState.OPENED: ("open",),
        DisputeState.WON: ("open", "won"),
        DisputeState.LOST: ("open", "lost"),
    }
    disputes = tx.execute(select(Dispute.id, Dispute.state).where(scope.orders(Dispute.order_id)))
    wanted = {
        f"dispute:{dispute_id.hex}:{event}" for dispute_id, state in disputes for event in events[DisputeState(state)]
    }
    booked = LedgerJournal.code.in_(("FREEZE", "CHARGEBACK"))
    posted = set(tx.scalars(select(LedgerJournal.key).where(booked, mine)))
    sentence = "账目缺少对应的另一笔 / a journal without its partner"
    if off := sorted(wanted ^ posted):
        return Finding("L10", sentence, tuple(off[:NAMED_MOST]))
    return found(tx, "L10", sentence, promo)


def fees_are_what_bills_say(tx: Tx, scope: Scope = EVERYTHING) -> Finding | None:
    """L10: where a bill has named the fee of a payment, so much is booked of it; else what was expected.

    Payments of before fees were booked have none.
    """
    prefixes = [
        literal("payment:") + PaymentAttempt.channel + ":" + number + ":fee"
        for number in (PaymentAttempt.provider_no, PaymentAttempt.out_trade_no)
    ]
    its = or_(*(or_(LedgerJournal.key == prefix, LedgerJournal.key.like(prefix + "-bill%")) for prefix in prefixes))
    is_ours = and_(LedgerJournal.order_id == PaymentAttempt.order_id, LedgerJournal.code == "PSPFEE", its)
    cost = aliased(LedgerAccount)
    signed = case((cost.id == LedgerTransfer.debit_id, LedgerTransfer.amount_fen), else_=-LedgerTransfer.amount_fen)
    query = (
        select(PaymentAttempt.out_trade_no)
        .join(LedgerJournal, is_ours)
        .join(LedgerTransfer, LedgerTransfer.journal_id == LedgerJournal.id)
        .join(cost, and_(cost.kind == "psp_fee", cost.id.in_((LedgerTransfer.debit_id, LedgerTransfer.credit_id))))
        .where(scope.orders(PaymentAttempt.order_id), PaymentAttempt.paid_as.is_(None))
        .group_by(PaymentAttempt.id, PaymentAttempt.out_trade_no, PaymentAttempt.fee_fen)
        .having(func.sum(signed) != PaymentAttempt.fee_fen)
    )
    return found(tx, "L10", "渠道手续费与账目不符 / a fee that is not what is booked", query)
