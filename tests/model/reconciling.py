"""A channel of its own for each history: payments, bills of three days one after another, people who handle and sign.

The first day has the payment that bills say this and that about; the last one stays open. Bills are real files, and
everything goes through the actions behind the routes.
"""

from __future__ import annotations

import hashlib
import itertools
from dataclasses import replace
from datetime import date, timedelta
from functools import partial

from sqlalchemy import insert, select
from sqlalchemy.orm import aliased

from server.db import retrying
from server.ledger import actions as ledger
from server.ledger import queries as books
from server.payments import booking, kept_bills
from server.payments.kept_bills import NewBill
from server.payments.model import PaymentAttempt
from server.payments.terms import Terms
from server.policy import Actor, Kind
from server.reconcile import choosing, days, handling, queries, running, signing
from server.reconcile.handling import Decision, Desk
from server.reconcile.model import ReconcileDifference
from server.reconcile.waiting import Shop
from server.sandbox import bills_wechat
from server.sandbox.bills import BillLine
from shared import clock, ids
from shared.contracts.reconcile import SignDay
from shared.finance import BillKind, DifferenceState
from shared.finance import DifferenceAction as A
from shared.finance import DifferenceKind as K
from shared.permissions import Role
from shared.states import AttemptState

FIRST = date(2026, 6, 1)
DAYS = [FIRST + timedelta(days=n) for n in range(4)]
NOW = clock.day_bounds(DAYS[-1] + timedelta(days=1))[0] + timedelta(hours=11)
AMOUNT, FEE = 4_500, 27

_channels = (f"model-{n}" for n in itertools.count())
_FINAL = (A.BOOK, A.WRITE_OFF)
STRAY = "49" + "1" * 26
"""The number of money that moved without a trade: people book it, or a bill of movements has it no more."""

_MERCHANT = {"merchant_id": "1900000001"}
OF_FUNDS = (K.FUND_ONLY_TRADES.value, K.FUND_ONLY_FUNDS.value)
"""Kinds of what trades and movements differ in."""


class History:
    """What a channel's bills say, and what people did about it."""

    def __init__(self, ctx):
        self.ctx, self.channel = ctx, next(_channels)
        self.zhou, self.wang = (
            Desk(Actor(Kind.STAFF, ids.new_id(), role=Role.ADMIN), None, 500, Shop({}, Terms())) for _ in range(2)
        )
        self.said = {day: [] for day in DAYS}
        self.moved = None
        self._paid = {}
        with ctx.db.tx() as tx:
            for n, day in enumerate((DAYS[0], *DAYS)):  # the one that bills differ about, and one of each day
                self._paid[n] = self._pay(tx, n, clock.day_bounds(day)[0] + timedelta(hours=12))

    def _pay(self, tx, n, at):
        number, provider_no = ids.new_id().hex, f"42{self.channel[6:]:0>20}{n:06}"
        row = {"id": ids.new_id(), "order_id": ids.new_id(), "order_code": f"X{n}", "channel": self.channel}
        row |= {"out_trade_no": number, "provider_no": provider_no, "amount_fen": AMOUNT, "fee_fen": FEE}
        row |= {"state": AttemptState.PAID.value, "created_at": at, "expires_at": at, "paid_at": at, "subject": "x"}
        tx.execute(insert(PaymentAttempt), row)
        numbers = (row["order_id"], self.channel, provider_no)
        ledger.post(tx, [booking.pay(*numbers, AMOUNT, at=at), booking.fee(*numbers, FEE, at=at)])
        return BillLine(
            kind="payment", at_ms=int(at.timestamp() * 1000), created_at_ms=int(at.timestamp() * 1000) - 1,
            provider_no=provider_no, out_trade_no=number, amount_fen=AMOUNT, fee_fen=FEE, subject="x", app_id="a",
            product="qr", payer="o",
        )  # fmt: skip

    # --- bills ---

    def bill(self, day, *, more=()):
        """The channel gives a bill of the day, with `more` lines, and the shop compares it as it does by itself."""
        self.said[day] = [self._paid[1 + DAYS.index(day)], *more]
        self.give(BillKind.TRADES, day, bills_wechat.trade_bill(self.said[day], **_MERCHANT, bill_type="ALL"))

    def place(self, day, **says):
        """Bills of the first two days of which that one has the payment, if any has, and says this of it."""
        moved = timedelta(days=DAYS.index(day)) // timedelta(milliseconds=1)
        line = self.line(**says) if says else None
        if day == FIRST and any(one.provider_no == self.line().provider_no for one in self.said[DAYS[1]]):
            self.bill(DAYS[1])
        if day != FIRST:
            self.bill(FIRST)
        at = {"at_ms": self.line().at_ms + moved, "created_at_ms": self.line().created_at_ms + moved}
        self.bill(day, more=[replace(line, **at)] if line else [])

    def funds(self, *more):
        """The same of the first day's bill of movements."""
        self.moved = [self._paid[1], *more]
        content = bills_wechat.fund_flow_bill(self.moved, **_MERCHANT, opening_fen=0)
        self.give(BillKind.FUNDS, FIRST, content)

    def give(self, kind, day, content):
        """The channel gives this file, and the shop compares it."""
        self._kept(kind, day, content)()
        running.run_open(self.ctx, self.channel, day, by="system")

    def given(self, day, *more):
        """What keeps the channel's bill of the day, with `more` lines, and compares nothing."""
        self.said[day] = [self._paid[1 + DAYS.index(day)], *more]
        return self._kept(BillKind.TRADES, day, bills_wechat.trade_bill(self.said[day], **_MERCHANT, bill_type="ALL"))

    def _kept(self, kind, day, content):
        new = NewBill(
            channel=self.channel, kind=kind, day=day, **_MERCHANT, name="b.csv", content=content, rows=1, sha1="",
            sha256=hashlib.sha256(content).hexdigest(), totals=[],
        )  # fmt: skip
        keep = partial(kept_bills.keep, keys=self.ctx.keys, bill=new, source="fetched", by="channel")
        return partial(retrying, self.ctx.db, keep)

    def line(self, **says):
        """The line of the payment that bills differ about."""
        return replace(self._paid[0], **says)

    def has_bill(self, day):
        return bool(self.said[day])

    def run(self, day):
        """Compare an open day again, if it can be."""
        if self.has_bill(day) and not self.is_signed(day):
            running.run(self.ctx, self.channel, day, by="zhou")

    # --- people ---

    def rows(self, *which):
        with self.ctx.db.read() as tx:
            r = ReconcileDifference
            return tx.scalars(
                select(r).where(r.channel == self.channel, *which).order_by(r.day, r.kind, r.theirs_fen, r.ours_fen)
            ).all()

    def open(self):
        r = ReconcileDifference
        return self.rows(r.state == DifferenceState.OPEN.value, ~r.is_signed)

    def to_come(self):
        """What was carried over, and no day has taken up yet."""
        r, later = ReconcileDifference, aliased(ReconcileDifference)
        taken = select(later.id).where(later.origin_id == r.origin_id, later.day > r.day)
        return self.rows(r.action == A.CARRY.value, r.state == DifferenceState.RESOLVED.value, ~taken.exists())

    def decide(self, row, action):
        """One decides, and another one agrees where that is needed; answers whether it was possible."""
        if action not in choosing.possible(row, None):
            return False
        with self.ctx.db.tx() as tx:
            [now] = handling.handle(tx, {row.id: row.version}, Decision(action, "x"), self.zhou)
            if now.state == DifferenceState.PROPOSED:
                handling.check(tx, {now.id: now.version}, approve=True, note="", desk=self.wang)
        return True

    def is_signed(self, day):
        with self.ctx.db.read() as tx:
            return queries.is_signed(tx, self.channel, day)

    def sign(self, day):
        """Sign a day if it can be signed; answers whether it is."""
        sign = self.seen(day)
        if sign is not None:
            sign()
        return sign is not None

    def seen(self, day):
        """What signs a day exactly as it is now; None where it cannot be signed."""
        reader = queries.Reader(self.wang.who, "zh", frozenset({self.channel}), frozenset({self.channel}))
        with self.ctx.db.read() as tx:
            row = days.find(tx, self.channel, day)
            if row is None or queries.waits(tx, reader, self.channel, day):
                return None
            seen, outputs = signing.look(self.ctx, tx, self.channel, day), row.outputs_sha256
        its = {"seen": seen, "reader": reader, "request_id": None}
        sign = partial(signing.sign, channel=self.channel, day=day, body=SignDay(outputs_sha256=outputs), **its)
        return partial(retrying, self.ctx.db, sign)

    # --- the end ---

    def end(self):
        """All bills come, that of movements puts right what it had, and people book what is open until nothing is."""
        for day in DAYS:
            if not self.has_bill(day):
                self.bill(day)
        if self.moved is not None:
            strays = (one for one in self.moved if one.provider_no == STRAY)
            self.funds(*(one for one in self.said[FIRST][1:] if not one.reversed), *strays)
        for _ in range(4):
            for day in DAYS:
                self.run(day)
            if not self.open():
                return
            for row in self.open():
                [now] = self.rows(ReconcileDifference.id == row.id)
                if now.state == DifferenceState.OPEN:
                    assert any(self.decide(now, action) for action in _FINAL), (now.kind, "is never done")

    def owed(self):
        """What the channel owes by the ledger before its fees, and what it holds by the bills that it gave last."""
        with self.ctx.db.read() as tx:
            net = {(one.account.kind, one.account.owner): one.net for one in books.balances(tx)}
        gross = net.get(("psp", self.channel), 0) + net.get(("psp_fee", self.channel), 0)
        held = sum(one.amount_fen for one in self.moved or () if one.provider_no == STRAY)
        held += sum(0 if one.reversed else one.amount_fen for lines in self.said.values() for one in lines)
        return gross, held + AMOUNT * sum(not lines for lines in self.said.values())
