"""A shop whose channels keep their fee, with deals, releases and disputes: what the tests of the ledger ask it."""

from uuid import UUID

from sqlalchemy import insert, select

from server.db import table_of
from server.ledger import paying
from server.orders.model import OrderLine
from server.orders.unsettled import settle
from server.payments.refunds.model import Refund, RefundLine
from server.policy import SYSTEM
from server.settlement.model import SettlementItem, Statement
from shared import clock, ids
from shared.pricing import Deal, Share
from tests.server.refunding import balances, carry_out, later, start

DISTRIBUTOR = UUID(int=0xD157)
DEAL = Deal(discount=Share.percent(100_000), commission=Share.percent(80_000), distributor_id=DISTRIBUTOR)
"""A tenth off, which the shop bears, and 8 % for who brought the buyer."""

PENDING, AVAILABLE = ("supplier_pending", "xinghe"), ("supplier_available", "xinghe")
FROZEN, OWED = ("supplier_frozen", "xinghe"), ("owed", "xinghe")
THEIR_PENDING = ("distributor_pending", DISTRIBUTOR.hex)
THEIR_AVAILABLE = ("distributor_available", DISTRIBUTOR.hex)
PSP, PSP_FEE, ESCROW, FEE = ("psp", "sandbox"), ("psp_fee", "sandbox"), ("escrow", ""), ("fee", "")
PROMO, LOSS, BANK, PAYOUT = ("promo", ""), ("loss", ""), ("bank", ""), ("payout", "")


def money(site):
    """The accounts that have something, by kind and owner."""
    return {account: net for account, net in balances(site).items() if net}


def line_of(site, bought):
    """The one line of an order."""
    with site.world.ctx.db.read() as tx:
        return tx.scalars(select(OrderLine).where(OrderLine.order_id == bought.order.id)).one()


def release(site, number, *bought, payee="supplier"):
    """Release what is left of the shares of some orders, by a statement of them; answers where it went."""
    whose = paying.supplier(site.world.suppliers["xinghe"]) if payee == "supplier" else paying.distributor(DISTRIBUTOR)
    of_orders = [line_of(site, one) for one in bought]
    lines = [paying.LineRelease(line.id, left(site, line, payee)) for line in of_orders]
    with site.world.ctx.db.tx() as tx:
        key = number if payee == "supplier" else f"{number}/{DISTRIBUTOR.hex}"
        where = paying.release(tx, number=key, payee=whose, lines=lines, at=clock.now(), actor=SYSTEM.label)
        if tx.scalars(select(Statement.id).where(Statement.number == number)).first() is None:
            _state(tx, site, number, zip(of_orders, lines, strict=True) if payee == "supplier" else ())
        return where


def _state(tx, site, number, released):
    """The statement that released some lines to the supplier."""
    statement_id, now, released = ids.new_id(), clock.now(), list(released)
    items = [
        {
            "order_line_id": line.id,
            "statement_id": statement_id,
            "order_id": line.order_id,
            "share_fen": line.supplier_fen,
            "refunded_fen": line.supplier_fen - one.amount,
        }
        for line, one in released
    ]
    whole = sum(one.amount for _, one in released)
    row = {"id": statement_id, "number": number, "run_id": ids.new_id(), "supplier_id": site.world.suppliers["xinghe"]}
    row |= {"day": clock.shop_day(now), "mode": "purchase", "state": "paid", "lines": len(items), "release_fen": whole}
    row |= {"deductions_fen": 0, "owed_fen": 0, "payout_fee_fen": 0, "payable_fen": whole, "version": 1}
    tx.execute(insert(table_of(Statement)), row | {"made_by": "staff:1", "made_at": now})
    if items:
        tx.execute(insert(table_of(SettlementItem)), items)
        settle(tx, [line.id for line, _ in released])


def left(site, line, payee="supplier"):
    """What of a line's share no refund has taken."""
    column = {"supplier": RefundLine.supplier_fen, "distributor": RefundLine.commission_fen}[payee]
    share = {"supplier": line.supplier_fen, "distributor": line.commission_fen}[payee]
    with site.world.ctx.db.read() as tx:
        query = select(column).join(Refund, Refund.id == RefundLine.refund_id)
        taken = tx.scalars(query.where(RefundLine.order_line_id == line.id, Refund.state != "closed"))
        return share - sum(taken)


def give_back(site, bought, amount=None):
    """Refund an order, or an amount of it, until its buyer has it."""
    made = start(site, bought, **({"amount_fen": amount} if amount else {}))
    assert made.status_code == 201, made.text
    carry_out(site)
    site.desk.ends()
    later(site, seconds=90)
    return made.json()


def dispute(site, bought, amount, *, by="zhou", **other):
    """Register a dispute over HTTP."""
    body = {
        "id": str(ids.new_id()),
        "order_code": bought.order.code,
        "amount_fen": amount,
        "channel_no": f"C-{ids.new_token()}",
        "reason": "买家投诉未收到卡密",
    }
    return site.post("/api/ledger/disputes", by=by, json=body | other)


def close(site, row, *, won, by="zhou", fine_fen=0, note="渠道通知", status=200):
    """Say how a dispute ended, knowing its newest version."""
    version = site.get(f"/api/ledger/disputes/{row['id']}", by=by).json()["version"]
    body = {"won": won, "fine_fen": fine_fen, "note": note, "version": version}
    answer = site.post(f"/api/ledger/disputes/{row['id']}/close", by=by, json=body)
    assert answer.status_code == status, answer.text
    return answer.json()


def adjust(site, *transfers, by="zhou", **other):
    """Propose an adjustment: (debit kind, owner, credit kind, owner, fen) each."""
    named = ("debit_kind", "debit_owner", "credit_kind", "credit_owner", "amount_fen")
    said = [dict(zip(named, one, strict=True)) for one in transfers]
    body = {"id": str(ids.new_id()), "transfers": said, "reason": "多收手续费", "ticket": "T-42"} | other
    return site.post("/api/ledger/adjustments", by=by, json=body)
