"""A channel of its own for each history: payments, a refund, bills one after another, people who handle and sign.

The bills of the first days say this and that of one payment and of one refund (`billed`); the last day stays open.
Bills are real files, and everything goes through the actions behind the routes.
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
from server.ledger.actions import Account, Journal, Transfer
from server.payments import booking, kept_bills
from server.payments.kept_bills import NewBill
from server.payments.model import PaymentAttempt
from server.payments.refunds.model import Refund
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
from shared.finance import BillKind, DifferenceState, JournalCode
from shared.finance import DifferenceAction as A
from shared.finance import DifferenceKind as K
from shared.permissions import Role
from shared.states import AttemptState, RefundState
from tests.model.billed import Subject, Word

FIRST = date(2026, 6, 1)
DAYS = [FIRST + timedelta(days=n) for n in range(4)]
NOW = clock.day_bounds(DAYS[-1] + timedelta(days=1))[0] + timedelta(hours=11)
AMOUNT, FEE = 4_500, 27

_channels = (f"model-{n}" for n in itertools.count())
_FINAL = (A.BOOK, A.WRITE_OFF)
_MERCHANT = {"merchant_id": "1900000001"}
OF_FUNDS = (K.FUND_ONLY_TRADES.value, K.FUND_ONLY_FUNDS.value)
"""Kinds of what trades and movements differ in."""


class History:
    """What a channel's bills say, and what people did about it."""

    def __init__(self, ctx, *, paid_on=0, back=None):
        """`paid_on`: the day of the payment that bills differ about. `back`: the day, the amount and whether the
        channel has a number of the refund of which they do; it gives back of the first day's other payment.
        """
        self.ctx, self.channel = ctx, next(_channels)
        self.zhou, self.wang = (
            Desk(Actor(Kind.STAFF, ids.new_id(), role=Role.ADMIN), None, 500, Shop({}, Terms())) for _ in range(2)
        )
        self.jobs = []
        with ctx.db.tx() as tx:
            payment, _ = self._pay(tx, 0, DAYS[paid_on])
            always = {day: self._pay(tx, 1 + n, day) for n, day in enumerate(DAYS)}
            subjects = {"payment": Subject(payment, DAYS[paid_on])}
            if back is not None:
                day, amount_fen, has_number = back
                refund = self._give_back(tx, *always[FIRST], DAYS[day], amount_fen, has_number=has_number)
                subjects["refund"] = Subject(refund, DAYS[day])
        self.word = Word({day: line for day, (line, _) in always.items()}, subjects)

    def _pay(self, tx, n, day):
        at = clock.day_bounds(day)[0] + timedelta(hours=12)
        number, provider_no = ids.new_id().hex, f"42{self.channel[6:]:0>20}{n:06}"
        row = {"id": ids.new_id(), "order_id": ids.new_id(), "order_code": f"X{n}", "channel": self.channel}
        row |= {"out_trade_no": number, "provider_no": provider_no, "amount_fen": AMOUNT, "fee_fen": FEE}
        row |= {"state": AttemptState.PAID.value, "created_at": at, "expires_at": at, "paid_at": at, "subject": "x"}
        tx.execute(insert(PaymentAttempt), row)
        numbers = (row["order_id"], self.channel, provider_no)
        ledger.post(tx, [booking.pay(*numbers, AMOUNT, at=at), booking.fee(*numbers, FEE, at=at)])
        line = BillLine(
            kind="payment", at_ms=_ms(at), created_at_ms=_ms(at) - 1, provider_no=provider_no, out_trade_no=number,
            amount_fen=AMOUNT, fee_fen=FEE, subject="x", app_id="a", product="qr", payer="o",
        )  # fmt: skip
        return line, row

    def _give_back(self, tx, paid, row, day, amount_fen, *, has_number):
        """A refund that the channel has paid: handed in at the end of its day."""
        at = clock.day_bounds(day)[1] - timedelta(minutes=1)
        number, refund_no = ids.new_id().hex, f"50{self.channel[6:]:0>20}" if has_number else ""
        told = {"id": ids.new_id(), "order_id": row["order_id"], "attempt_id": row["id"], "channel": self.channel}
        told |= {"out_trade_no": row["out_trade_no"], "out_refund_no": number, "amount_fen": amount_fen}
        told |= {"provider_refund_no": refund_no or None, "cause": "shop", "reason": "-", "asked_by": "-"}
        told |= {"state": RefundState.SUCCEEDED.value, "asked_at": at, "submitted_at": at, "refunded_at": at}
        tx.execute(insert(Refund), told)
        out = Transfer(debit=Account("escrow"), credit=Account("psp", self.channel), amount=amount_fen)
        ledger.post(tx, [Journal(f"refund:{number}:paid", JournalCode.REFUND.value, row["order_id"], at, (out,))])
        return BillLine(
            kind="refund", at_ms=_ms(at), created_at_ms=_ms(at), ends_at_ms=_ms(at), provider_no=paid.provider_no,
            out_trade_no=paid.out_trade_no, refund_no=refund_no, out_refund_no=number, amount_fen=amount_fen,
            fee_fen=(2 * FEE * amount_fen + AMOUNT) // (2 * AMOUNT), subject="x", app_id="a", product="qr", payer="o",
        )  # fmt: skip

    # --- bills ---

    def say(self, name, day, says, *, is_twice=False, is_later=False):
        """Bills by which the channel has it on that day, and says this of it, or in no bill. `is_twice`: another bill
        that has it keeps it; `is_later`: the shop keeps the bills, and does not compare them yet.
        """
        line = None if says is None else self.word.subjects[name].said(**says, day=day)
        for of in self.word.place(name, day, line, is_twice=is_twice):
            self.given(of, *self.word.said[of])()
            self.jobs.append(of)
            if not is_later:
                self.work()

    def bill(self, day, *, more=()):
        """The channel gives a bill of the day, with `more` lines, and the shop compares it as it does by itself."""
        self.given(day, *more)()
        self.jobs.append(day)
        self.work()

    def funds(self, *more):
        """The same of the first day's bill of movements."""
        self._moved(*more)()
        self.jobs.append(FIRST)
        self.work()

    def moves(self, day, opening_fen):
        """The bill of movements of a day says that all of its trades moved, and what was there before."""
        content = bills_wechat.fund_flow_bill(self.word.lines(day), **_MERCHANT, opening_fen=opening_fen)
        self.give(BillKind.FUNDS, day, content)

    def give(self, kind, day, content):
        """The channel gives this file, and the shop compares it."""
        self._kept(kind, day, content)()
        self.jobs.append(day)
        self.work()

    def given(self, day, *more):
        """What keeps the channel's bill of the day, with `more` lines, and compares nothing."""
        self.word.said[day] = list(more)
        return self._kept(
            BillKind.TRADES, day, bills_wechat.trade_bill(self.word.lines(day), **_MERCHANT, bill_type="ALL")
        )

    def _moved(self, *more):
        self.word.moved = [self.word.always[FIRST], *more]
        content = bills_wechat.fund_flow_bill(self.word.moved, **_MERCHANT, opening_fen=0)
        return self._kept(BillKind.FUNDS, FIRST, content)

    def _kept(self, kind, day, content):
        new = NewBill(
            channel=self.channel, kind=kind, day=day, **_MERCHANT, name="b.csv", content=content, rows=1, sha1="",
            sha256=hashlib.sha256(content).hexdigest(), totals=[],
        )  # fmt: skip
        keep = partial(kept_bills.keep, keys=self.ctx.keys, bill=new, source="fetched", by="channel")
        return partial(retrying, self.ctx.db, keep)

    def line(self, **says):
        """The line of the payment that bills differ about, as our books have it but for what is said."""
        return replace(self.word.subjects["payment"].line, **says)

    def work(self):
        """What the shop does by itself after new bills."""
        while self.jobs:
            running.run_open(self.ctx, self.channel, self.jobs.pop(0), by="system")

    def is_behind(self):
        """Whether a bill was not compared yet, or no open day behind it is there to have what differs by a late one."""
        with self.ctx.db.read() as tx:
            return bool(self.jobs or kept_bills.late(tx, self.channel, before=DAYS[-1] + timedelta(days=1)))

    def has_bill(self, day):
        return day in self.word.said

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
        """What was carried over, or was signed as come and is gone again, and no day has taken up yet."""
        r, later = ReconcileDifference, aliased(ReconcileDifference)
        taken = select(later.id).where(later.origin_id == r.origin_id, later.day > r.day).exists()
        carried = (r.action == A.CARRY.value, r.state == DifferenceState.RESOLVED.value)
        closed = (r.kind.in_([K.ONLY_OURS.value, K.REFUND_ONLY_OURS.value]), r.carried_from.is_not(None), r.is_signed)
        gone = [
            row for row in self.rows(*closed, r.state == DifferenceState.MATCHED.value, ~taken) if self._is_gone(row)
        ]
        return [*self.rows(*carried, ~taken), *gone]

    def _is_gone(self, row):
        """Whether no bill has what this says has come, and no open day behind it is there to say so."""
        with self.ctx.db.read() as tx:
            is_alone = days.open_from(tx, self.channel, row.day) is None
        return is_alone and not self.word.places("refund" if row.out_refund_no else "payment")

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
        """Sign a day if it can be signed, compared again where that is asked for; answers whether it is."""
        try:
            return self._sign(day)
        except signing.OursChanged:
            self.work()
            self.run(day)
            return self._sign(day)

    def _sign(self, day):
        sign = self.seen(day)
        if sign is not None:
            sign()
        return sign is not None

    def seen(self, day):
        """What signs a day exactly as it is now; None where it cannot be signed."""
        reader = queries.Reader(self.wang.who, "zh", frozenset({self.channel}), frozenset({self.channel}))
        with self.ctx.db.read() as tx:
            row = days.find(tx, self.channel, day)
            if row is None or row.is_signed or queries.waits(tx, reader, self.channel, day):
                return None
            seen, outputs = signing.look(self.ctx, tx, self.channel, day), row.outputs_sha256
        its = {"seen": seen, "reader": reader, "request_id": None}
        sign = partial(signing.sign, channel=self.channel, day=day, body=SignDay(outputs_sha256=outputs), **its)
        return partial(retrying, self.ctx.db, sign)

    # --- the end ---

    def end(self):
        """All bills come and contradict each other no more, that of movements puts right what it had, and people book
        what is open until nothing is.
        """
        for day in DAYS:
            if not self.has_bill(day):
                self.given(day)()
        for name in self.word.subjects:
            self._settle(name)
        if self.word.moved is not None:
            lines = [one for one in self.word.said[FIRST] if not one.reversed]
            self._moved(*lines, *self.word.strays())()
        self.jobs.clear()  # all of them are compared now
        for _ in range(4):
            for day in DAYS:
                self.run(day)
            if not self.open():
                return
            for row in self.open():
                [now] = self.rows(ReconcileDifference.id == row.id)
                if now.state == DifferenceState.OPEN:
                    assert any(self.decide(now, action) for action in _FINAL), (now.kind, "is never done")

    def _settle(self, name):
        """Let one bill have it, if any has, and a refund be through."""
        places = self.word.places(name)
        for day, line in list(places.items())[:1]:
            fees = {"amount_fen": line.amount_fen, "fee_fen": line.fee_fen, "is_undone": line.reversed}
            if len(places) > 1 or self.word.subjects[name].said(**fees, day=day) != line:
                self.say(name, day, fees, is_later=True)

    def owed(self):
        """What the channel owes by the ledger before its fees, and what it holds by the bills that it gave last."""
        with self.ctx.db.read() as tx:
            net = {(one.account.kind, one.account.owner): one.net for one in books.balances(tx)}
        gross = net.get(("psp", self.channel), 0) + net.get(("psp_fee", self.channel), 0)
        return gross, self.word.held_fen()


def _ms(at):
    return int(at.timestamp() * 1000)
