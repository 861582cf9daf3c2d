"""What moves on the account around midnight, on another day than its trade: nobody's work once both are there."""

import hashlib
import io
import json
from dataclasses import replace
from datetime import datetime, timedelta
from types import SimpleNamespace

import pytest
from sqlalchemy import select

from server.db import retrying
from server.gateways.bill_lines import opened
from server.gateways.bill_rows import FundKind
from server.payments import kept_bills
from server.payments.kept_bills import NewBill
from server.reconcile import ours, running
from server.reconcile.controls import three_way
from server.reconcile.model import ReconcileDifference
from server.sandbox import bills_alipay, bills_wechat
from shared import clock
from shared.finance import BillKind
from shared.finance import DifferenceKind as K
from tests.server.reconcile import writing
from tests.server.reconcile.closing import SHARES
from tests.server.reconcile.days import _MIDNIGHT, DAY, MERCHANTS, Day, _ms

NEXT = DAY + timedelta(days=1)


class Two:
    """A day and the next one, whose fund bill has what the first day's trade bill has of one order."""

    def __init__(self, channel, moved, *, trades_next=()):
        day = Day(channel, 10)
        late_ms = _ms(_MIDNIGHT + timedelta(days=1)) + 5_000
        lines = [*day.lines.values(), *day.refunds.values()]
        late = [replace(line, at_ms=late_ms, ends_at_ms=line.ends_at_ms and late_ms) for line in moved(day)]
        self.channel, self.moved = channel, moved(day)
        self.trades = {DAY: day.read(), NEXT: list(trades_next)}
        self.funds = {DAY: self._funds([line for line in lines if line not in self.moved], DAY)}
        self.funds[NEXT] = self._funds(late, NEXT)

    def _funds(self, lines, day):
        if self.channel == "wechat":
            content = bills_wechat.fund_flow_bill(lines, merchant_id=MERCHANTS["wechat"], opening_fen=0)
        else:
            content = bills_alipay.fund_bill(lines, seller_id=MERCHANTS["alipay"], day=day, opening_fen=0)
        return list(opened(io.BytesIO(content), "bill").funds())

    def beside(self, day, numbers):
        """What the days beside one have, as the server looks it up."""
        for other in {day - timedelta(days=1), day + timedelta(days=1)} & self.funds.keys():
            trades = [row for row in self.trades[other] if {row.provider_no, row.refund_no} & set(numbers)]
            yield trades, [row for row in self.funds[other] if row.provider_no in numbers]

    def of(self, day, *, is_known=True):
        """What differs between the two bills of a day, with the other one at hand or not."""
        more = {"beside": lambda numbers: self.beside(day, numbers)} if is_known else {}
        found = three_way(self.channel, day, lambda: self.trades[day], lambda: self.funds[day], **more)
        return [(one.kind, one.moved, one.ours_fen, one.theirs_fen, one.closes_itself) for one in found]


def refund(day):
    return [next(iter(day.refunds.values()))]


def payment(day):
    return [day.lines[3]]


@pytest.mark.parametrize("channel", ["wechat", "alipay"])
@pytest.mark.parametrize(
    ("moved", "money", "fee", "sign"),
    [(refund, FundKind.REFUND, FundKind.FEE_RETURNED, -1), (payment, FundKind.TRADE, FundKind.FEE, 1)],
)
def test_what_moved_after_midnight_closes_itself_on_both_days(channel, moved, money, fee, sign):
    two = Two(channel, moved)
    [line] = two.moved
    amounts = [(money, sign * line.amount_fen), *([(fee, -sign * line.fee_fen)] if line.fee_fen else [])]
    for is_known in (False, True):
        assert sorted(two.of(DAY, is_known=is_known)) == sorted(
            (K.FUND_ONLY_TRADES, kind, fen, None, is_known) for kind, fen in amounts
        )
        assert sorted(two.of(NEXT, is_known=is_known)) == sorted(
            (K.FUND_ONLY_FUNDS, kind, None, fen, is_known) for kind, fen in amounts
        )


def test_what_is_not_even_over_both_days_is_for_people():
    two = Two("wechat", payment)
    [line] = two.moved
    two.funds[NEXT] = [row._replace(amount_fen=row.amount_fen - 1) for row in two.funds[NEXT]]
    assert {one[-1] for day in (DAY, NEXT) for one in two.of(day)} == {False}
    again = Two("wechat", payment, trades_next=[row for row in two.trades[DAY] if row.provider_no == line.provider_no])
    assert [one[-1] for one in again.of(DAY)] == [False] * (1 + bool(line.fee_fen)), "the next day has moved its own"
    assert again.of(NEXT) == []


def test_only_what_is_left_is_looked_up():
    two, asked = Two("wechat", payment), []
    bills = (lambda: two.trades[DAY], lambda: two.funds[DAY])
    three_way("wechat", DAY, *bills, beside=lambda numbers: asked.append(numbers) or ())
    assert asked == [[two.moved[0].provider_no]]
    three_way("wechat", NEXT, list, list, beside=asked.append)
    assert len(asked) == 1


def keep(ctx, kind, day, content):
    """A bill of WeChat Pay as the shop keeps it when it was read to its end."""
    found = opened(io.BytesIO(content), "bill")
    rows = sum(1 for _ in (found.trades() if kind is BillKind.TRADES else found.funds()))
    bill = NewBill(
        channel="wechat", kind=kind, day=day, merchant_id=MERCHANTS["wechat"], name="bill", content=content, rows=rows,
        sha1=found.sha1, sha256=found.sha256, totals=found.totals,
    )  # fmt: skip
    retrying(ctx.db, lambda tx: kept_bills.keep(tx, ctx.keys, bill, source="fetched", by="channel:wechat"))


def test_the_second_days_run_closes_both_halves(site):
    """Each day is compared when its own bills are here; the second one brings the halves of the first along."""
    ctx, day = site.world.ctx, Day("wechat", 10)
    [line] = payment(day)
    late_ms = _ms(_MIDNIGHT + timedelta(days=1)) + 5_000
    other = replace(day.lines[1], at_ms=late_ms, provider_no="4200009", out_trade_no="OTHER-1")
    lines = [*day.lines.values(), *day.refunds.values()]
    bills = {
        DAY: (lines, [one for one in lines if one is not line]),
        NEXT: ([other], [replace(line, at_ms=late_ms), other]),
    }

    def found(of):
        with ctx.db.read() as tx:
            rows = tx.scalars(select(ReconcileDifference).where(ReconcileDifference.day == of))
            return sorted(
                (row.kind, row.ours_fen, row.theirs_fen, row.state) for row in rows if row.kind.startswith("fund")
            )

    amounts = [line.amount_fen, -line.fee_fen]
    merchant = MERCHANTS["wechat"]
    for of, (trades, funds) in bills.items():
        keep(ctx, BillKind.TRADES, of, bills_wechat.trade_bill(trades, merchant_id=merchant, bill_type="ALL"))
        keep(ctx, BillKind.FUNDS, of, bills_wechat.fund_flow_bill(funds, merchant_id=merchant, opening_fen=0))
        running.run(ctx, "wechat", of, by="system")
        if of == DAY:
            assert found(DAY) == sorted(("fund_only_trades", fen, None, "open") for fen in amounts)
    assert found(DAY) == sorted(("fund_only_trades", fen, None, "matched") for fen in amounts)
    assert found(NEXT) == sorted(("fund_only_funds", None, fen, "matched") for fen in amounts)


@SHARES
def test_a_coupon_moves_less_around_midnight_too(close):
    """Of 45.00 that were ordered 40.00 arrive, a second into the next day: both days know that of each other."""
    bought, other = close.sold("wechat"), close.sold("wechat")
    next_day = close.day + timedelta(days=1)
    early = int(clock.day_bounds(next_day)[0].timestamp() * 1_000) + 1_000
    foreign = writing.line(
        close, other, out_trade_no="OTHER-1", provider_no="43" + "1" * 26, at_ms=early + 1_000, fee_fen=0
    )
    moved = replace(writing.line(close, bought, amount_fen=4_000), at_ms=early)
    name, content = writing.trades(close, writing.line(close, bought), writing.line(close, other))
    with close.tomorrow(days=2):
        close.drop(name, with_coupon(content, bought.out_trade_no, settled="40.00", total="85.00"))
        close.drop(*writing.funds(close, writing.line(close, other)))
        closing = close.seen("wechat")["balance"]["closing_fen"]
        close.drop(*writing.trades(close, foreign))
        close.drop(*writing.funds(close, moved, foreign, opening_fen=closing))
        halves = [(one["kind"], one["theirs_fen"], one["state"]) for one in close.differences("wechat", next_day)]
        assert sorted(halve for halve in halves if halve[0] != "foreign") == [
            ("fund_only_funds", -27, "matched"),
            ("fund_only_funds", 4_000, "matched"),
        ]
        assert [one["kind"] for one in close.differences("wechat", open="true")] == ["amount"], "the coupon itself"


def with_coupon(content, out_trade_no, *, settled, total):
    """A trade bill of WeChat Pay in which one order settles for less than was ordered."""
    rows = [row.split(",") for row in content.decode("utf-8-sig").split("\r\n")]
    [row] = (row for row in rows if any(out_trade_no in cell for cell in row))
    row[rows[0].index("应结订单金额")] = "`" + settled
    [n] = (n for n, row in enumerate(rows) if row[0].startswith("总交易单数"))
    rows[n + 1][rows[n].index("应结订单总金额")] = "`" + total
    return "\r\n".join(map(",".join, rows)).encode("utf-8-sig")


@pytest.fixture
def shifted(close):
    """A payment of today that the next day's bill has: bills of both days, with it and without."""
    bought, other = close.sold("wechat"), close.sold("wechat")
    days = [close.day + timedelta(days=n) for n in range(3)]

    def others(day):
        at = int(clock.day_bounds(day)[0].timestamp() * 1_000) + 5_000
        return writing.line(close, other, out_trade_no="OTHER-1", provider_no=f"43{day:%Y%m%d}", at_ms=at, fee_fen=0)

    late = replace(writing.line(close, bought), at_ms=others(days[1]).at_ms)
    return SimpleNamespace(
        days=days,
        today=[write(close, writing.line(close, other)) for write in (writing.trades, writing.funds)],
        has_it=writing.trades(close, late, others(days[1])),
        has_not=writing.trades(close, others(days[1])),
        funds=lambda opening_fen: writing.funds(close, late, others(days[1]), opening_fen=opening_fen),
        after=writing.trades(close, others(days[2])),
    )


def closed_themselves(close, day=None):
    """How many differences of a day had been open and are gone, and whether that was just now."""
    seen = close.seen("wechat", day)
    at = seen["closed_themselves_at"]
    return seen["closed_themselves"], at and datetime.fromisoformat(at) == clock.now()


def alone(close, day=None):
    """Payments that no bill has, as a day tells of them now."""
    return [one["state"] for one in close.differences("wechat", day) if one["kind"] == "only_ours"]


@SHARES
def test_a_half_that_is_gone_from_the_bill_beside_the_day_is_missing_again(close, shifted):
    """Who dropped the bill that has it does not sign on it; where that is replaced, the day is compared again."""
    next_day = shifted.days[1]
    with close.tomorrow():
        for bill in shifted.today:
            close.drop(*bill)
        assert (alone(close), closed_themselves(close)) == (["open"], (0, None))
    with close.tomorrow(days=2):
        close.drop(*shifted.has_it, by="wang")
        assert (alone(close), closed_themselves(close)) == (["matched"], (1, True)), "the date shift was never open"
        [gone] = [one for one in close.differences("wechat") if one["kind"] == "only_ours"]
        assert (gone["handled_by"], datetime.fromisoformat(gone["handled_at"])) == (None, clock.now())
        events = close.get(f"differences/{gone['id']}")["events"]
        assert [one["what"] for one in events][-1] == "自动配平：账单与平台已一致"
        waits = f"{next_day} 的交易账单由您拖入、渠道尚未确认，请另一位同事签署，或重新获取账单"
        assert close.seen("wechat", by="wang")["sign_waits_for"] == [waits]
        assert close.sign("wechat", by="wang", status=409)["code"] == "day_not_ready"
        close.drop(*shifted.has_it)
        assert close.seen("wechat", by="wang")["sign_waits_for"] == [], "a second person has the same file"
        close.drop(*shifted.has_not)
        assert (alone(close), closed_themselves(close)) == (["open"], (0, None)), "its half is gone"
        close.drop(*shifted.has_it)
        assert alone(close) == ["matched"]
        keep(close.shop.ctx, BillKind.TRADES, next_day, shifted.has_not[1])
        assert close.sign("wechat", by="wang", status=409)["code"] == "ours_changed", "before any job was done"
        close.post(close.at("wechat", "/run", next_day))
        assert alone(close) == ["open"]


@SHARES
def test_a_half_that_is_gone_after_its_day_was_signed_is_work_of_the_open_day(close, shifted):
    """The open day beside it gets another bill; or that is signed too, and one comes late."""
    _, next_day, after = shifted.days
    with close.tomorrow(days=3):
        for bill in (*shifted.today, shifted.has_it):
            close.drop(*bill)
        signed = close.sign("wechat", by="wang")
        assert signed["signature"]["inputs_sha256"] == inputs(close, signed)
        close.drop(*shifted.has_not)
        assert alone(close, next_day) == ["open"]
        [gone] = close.differences("wechat", next_day, open="true")
        assert (gone["carried_from"], gone["ours_fen"], gone["theirs_fen"]) == (str(close.day), 4_500, None)
        close.drop(*shifted.has_it)
        assert alone(close, next_day) == ["matched"]
        close.drop(*shifted.funds(signed["balance"]["closing_fen"]))
        assert close.sign("wechat", day=next_day, by="wang")["state"] == "signed"
        close.drop(*shifted.after)
        assert alone(close, after) == []
        close.drop(*shifted.has_not)
        assert alone(close, after) == ["open"], "the late bill of the day beside it has not got it"
        close.drop(*shifted.has_it)
        assert alone(close, after) == ["matched"]
        assert close.seen("wechat") == signed


def inputs(close, signed):
    """What was signed, from the rows: with the bill beside the day by which something closed itself."""
    with close.shop.ctx.db.read() as tx:
        told = [["bill", bill["kind"], bill["sha256"]] for bill in sorted(signed["bills"], key=lambda one: one["kind"])]
        told += [["opening", signed["balance"]["opening_fen"]], ["shared", True]]
        for one in ours.of_day(tx, "wechat", close.day):
            numbers = (one.out_trade_no, one.provider_no, one.out_refund_no, one.amount_fen)
            told.append(["ours", one.id.hex, one.kind, *numbers])
    next_day = close.day + timedelta(days=1)
    [beside] = close.seen("wechat", next_day)["bills"]
    told.append(["beside", str(next_day), "trades", beside["sha256"]])
    lines = (json.dumps(one, separators=(",", ":"), ensure_ascii=False) + "\n" for one in told)
    return hashlib.sha256("".join(lines).encode()).hexdigest()
