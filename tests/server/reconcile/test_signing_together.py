"""Signing and deciding while a day is compared, and two people at once: nothing is booked twice, signed over what is so
no more, or told to nobody. What happens in between is put there, and where a lock has to hold, in a thread of its own.
"""

import json
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from datetime import timedelta
from functools import partial
from types import SimpleNamespace
from unittest.mock import patch

import pytest
from sqlalchemy import select, update

from server.db import retrying
from server.gateways.bill_rows import FundKind, FundRow
from server.jobs import Job
from server.ledger import actions as ledger
from server.ledger import queries as books
from server.payments import bills, kept_bills
from server.payments import booking as payments
from server.payments.model import PaymentAttempt
from server.payments.refunds import moving
from server.payments.refunds.model import Refund
from server.reconcile import booking, days, handling, hashing, intake, running, sweeps, withdrawals
from server.reconcile.handling import DaySigned, Decision, DifferenceChanged
from server.reconcile.intake import ChannelHasGivenIt
from server.reconcile.model import ReconcileDay, ReconcileRow, ReconcileSignature, ReconcileWithdrawal
from server.reconcile.running import RunUnderWay
from server.reconcile.signing import DayChanged, OursChanged
from server.sandbox import bills_wechat
from shared import clock, ids
from shared.contracts.bank import NewSweep, ReverseSweep
from shared.finance import BillKind
from shared.finance import DifferenceAction as A
from tests.model.reconciling import DAYS, FEE, NOW, History
from tests.world import world

FIRST, NEXT, THIRD, _ = DAYS
SOON = 0.4
"""Seconds in which a thread is done that has not to wait."""

AT_NEXT, AT_THIRD = (
    dict.fromkeys(("at_ms", "created_at_ms"), int(clock.day_bounds(day)[0].timestamp() * 1000)) for day in (NEXT, THIRD)
)

in_between = pytest.mark.parametrize("shop", ["sqlite"], indirect=True)
with_locks = pytest.mark.parametrize("shop", ["postgres", "mariadb"], indirect=True)


@pytest.fixture(scope="module")
def shop(request, tmp_path_factory):
    with world(request.param, tmp_path_factory.mktemp("together"), expects=None) as built, clock.fixed(NOW):
        yield built


@pytest.fixture
def history(shop):
    return History(shop.ctx)


@contextmanager
def meanwhile(module, name, act, *, apart=False):
    """Once `name` was called first, `act`; `apart`: in a thread that may have to wait, and is done when this ends."""
    real, told = getattr(module, name), []

    def called(*args, **kwargs):
        answer = real(*args, **kwargs)
        if not told:
            told.append(None)
            told[0] = pool.submit(act) if apart else act()
            if apart:
                wait(told, SOON)
        return answer

    with ThreadPoolExecutor(1) as pool, patch.object(module, name, called):
        yield told


# --- signing ---


def known_since(history):
    """Our payment comes to light after its line was carried over: the next run pairs them."""
    its = PaymentAttempt.provider_no == history.line().provider_no
    with history.ctx.db.tx() as tx:
        [ours] = tx.scalars(select(PaymentAttempt).where(its))
        numbers = {"provider_no": ours.provider_no, "out_trade_no": ours.out_trade_no}
        tx.execute(update(PaymentAttempt).where(its).values(provider_no="0", out_trade_no="0"))
    history.bill(NEXT, more=[history.line(**AT_NEXT)])
    [row] = history.open()
    assert history.decide(row, A.CARRY)
    with history.ctx.db.tx() as tx:
        tx.execute(update(PaymentAttempt).where(PaymentAttempt.id == ours.id).values(**numbers))


@in_between
def test_a_day_that_is_signed_while_it_is_compared_keeps_its_pairs(history):
    known_since(history)
    with meanwhile(running, "_keep_rows", partial(history.sign, NEXT)) as signed, pytest.raises(DaySigned):
        history.run(NEXT)
    assert signed == [True]
    with history.ctx.db.read() as tx:
        day, r, pairs = days.find(tx, history.channel, NEXT), ReconcileRow, hashing.Lines()
        for one in tx.scalars(select(r).where(r.file_id == day.trades_file_id).order_by(r.n)):
            hashing.add_row(pairs, one.n, one.kind, one.amount_fen, one.fee_fen, one.matched_id, one.matched_by)
        assert json.loads(day.figures)["pairs_sha256"] == pairs.sha256
    history.bill(THIRD)
    assert history.open() == []


@in_between
@pytest.mark.parametrize(("module", "name"), [(running, "_keep_rows"), (days, "looks_beside")])
def test_nothing_is_signed_that_rests_on_a_bill_which_is_another_one_by_now(history, module, name):
    """Before the run of the day beside it is kept, and after that, when this one is about to be compared."""
    history.bill(FIRST)
    history.say("payment", NEXT, {})
    sign = history.seen(FIRST)

    def too_late():
        with pytest.raises(OursChanged):
            sign()

    with meanwhile(module, name, too_late):
        history.bill(NEXT)
    [row] = history.open()
    assert (row.kind, row.day, history.is_signed(FIRST)) == ("only_ours", FIRST, False)


@in_between
def test_a_day_that_is_compared_because_of_another_one_keeps_that_from_nothing(history):
    """Signed meanwhile it stays so, and where somebody else is at it, it is compared later."""
    history.bill(FIRST)
    history.say("payment", NEXT, {})
    with meanwhile(days, "looks_beside", partial(history.sign, FIRST)) as signed:
        history.run(NEXT)
    history.bill(THIRD, more=[history.line(amount_fen=9_900, provider_no="9", out_trade_no="9", **AT_THIRD)])
    assert (signed, [row.day for row in history.open()]) == ([True], [THIRD])
    real, key = running._run_once, f"reconcile.run:{history.channel}:{NEXT}"

    def at_it(ctx, channel, day, **its):
        if day == NEXT:
            raise RunUnderWay(channel=channel, day=str(day))
        return real(ctx, channel, day, **its)

    beside = patch.object(days, "looks_beside", lambda _tx, _channel, day: day == NEXT)
    with beside, patch.object(running, "_run_once", at_it):
        history.run(THIRD)
    with history.ctx.db.read() as tx:
        assert tx.scalars(select(Job.unique_key).where(Job.unique_key == key)).all() == [key]


def funds(history, day, opening_fen):
    """What the bill of movements says of a day that opened with this: it closes with 89.46 more where two were paid."""
    lines = history.word.lines(day)
    content = bills_wechat.fund_flow_bill(lines, merchant_id="1900000001", opening_fen=opening_fen)
    history.give(BillKind.FUNDS, day, content)


def two_days(history):
    """Of both all bills are here, and the second one opens with what the first one closes with."""
    for day, opening_fen, more in ((FIRST, 0, [history.line()]), (NEXT, 8_946, [])):
        history.bill(day, more=more)
        funds(history, day, opening_fen)
    assert history.open() == []


@in_between
def test_a_gap_to_a_day_that_was_signed_meanwhile_is_told(history):
    two_days(history)
    with meanwhile(running, "_keep_rows", partial(history.sign, NEXT)) as signed:
        funds(history, FIRST, 100)
    [row] = history.open()
    assert (signed, row.kind, row.day, row.ours_fen, row.theirs_fen) == ([True], "balance", FIRST, 9_046, 8_946)


@with_locks
def test_a_day_is_not_signed_while_the_one_before_it_closes_otherwise(history):
    two_days(history)
    with meanwhile(withdrawals, "keep", history.seen(NEXT), apart=True) as told:
        funds(history, FIRST, 100)
    with pytest.raises(OursChanged):
        told[0].result()
    [row] = history.open()
    assert (row.kind, row.day, row.ours_fen, row.theirs_fen) == ("balance", NEXT, 13_519, 13_419)


@in_between
def test_what_came_late_goes_to_the_next_day_where_one_was_signed_meanwhile(history):
    for day, more in ((FIRST, [history.line()]), (NEXT, []), (THIRD, [])):
        history.bill(day, more=more)
    assert history.sign(FIRST)
    with meanwhile(running, "_keep_rows", partial(history.sign, NEXT)) as signed:
        history.bill(FIRST, more=[history.line(amount_fen=4_600)])
    [row] = history.open()
    assert (signed, row.kind, row.day, row.carried_from) == ([True], "amount", THIRD, FIRST)


@in_between
def test_what_was_to_be_taken_back_and_closed_itself_on_a_signed_day_is_so_anew_elsewhere(history):
    history.bill(FIRST)
    [row] = history.open()
    assert history.decide(row, A.WRITE_OFF)
    for more in ([history.line()], []):
        history.bill(FIRST, more=more)
    assert history.sign(FIRST)
    history.bill(NEXT)
    history.bill(FIRST, more=[history.line()])
    [row] = history.open()
    assert (row.kind, row.day, row.carried_from, row.ours_fen) == ("booked", NEXT, FIRST, -4_500)
    assert history.decide(row, A.BOOK)
    owed, held = history.owed()
    assert owed == held


@in_between
def test_a_bill_that_took_the_place_of_one_while_that_was_compared_stays(history):
    history.bill(FIRST)
    with meanwhile(running, "_keep_rows", partial(history.bill, FIRST, more=[history.line(amount_fen=4_600)])):
        history.run(FIRST)
    [row] = history.open()
    with history.ctx.db.read() as tx:
        current = kept_bills.current(tx, history.channel, FIRST)[BillKind.TRADES]
        assert days.find(tx, history.channel, FIRST).trades_file_id == current.id
    assert (row.kind, row.ours_fen, row.theirs_fen) == ("amount", 4_500, 4_600)


@with_locks
def test_a_day_is_signed_as_a_run_of_it_has_kept_it_or_not_at_all(history):
    known_since(history)
    with meanwhile(withdrawals, "keep", history.seen(NEXT), apart=True) as told:
        history.run(NEXT)
    with pytest.raises(DayChanged):
        told[0].result()
    assert history.sign(NEXT)


@with_locks
def test_one_of_two_people_signs(history):
    history.bill(FIRST, more=[history.line()])
    with meanwhile(kept_bills, "close", history.seen(FIRST), apart=True) as told:
        assert history.sign(FIRST)
    with pytest.raises(DaySigned):
        told[0].result()
    with history.ctx.db.read() as tx:
        signed = tx.scalars(select(ReconcileSignature).where(ReconcileSignature.channel == history.channel)).all()
        assert [one.day for one in signed] == [FIRST]


@with_locks
def test_one_run_at_a_time_is_kept_also_while_the_first_day_of_a_channel_comes(history):
    history.bill(NEXT)
    db, channel = history.ctx.db, history.channel

    def hold(then=lambda: None):
        with db.tx() as tx:
            days.hold_channel(tx, channel)
            then()

    with ThreadPoolExecutor(2) as pool:
        with db.tx() as tx:
            days.hold_channel(tx, channel)
            told = {"run_at": NOW, "run_by": "x", "figures": "{}", "inputs_sha256": "", "outputs_sha256": ""}
            tx.add(ReconcileDay(channel=channel, day=FIRST, is_signed=False, **told))
            tx.flush()
            waits = []
            one = pool.submit(hold, lambda: waits.append(wait([pool.submit(hold)], SOON)))
            assert not wait([one], SOON).done
        one.result()
    assert [len(its.done) for its in waits] == [0]


@with_locks
@pytest.mark.parametrize("fen", [4_500, 4_600])
def test_of_two_first_bills_of_a_day_one_counts(history, fen):
    """The same one, which is kept once, or two: the one that came last."""
    other = history.given(FIRST, history.line(amount_fen=fen))
    with meanwhile(kept_bills, "_add", other, apart=True) as told:
        kept = history.given(FIRST, history.line())()
    last = told[0].result()
    assert (last.file.id == kept.file.id, last.is_new) == (fen == 4_500, fen != 4_500)
    history.run(FIRST)
    for row in history.open():
        assert history.decide(row, A.CARRY)
    assert history.sign(FIRST)
    with history.ctx.db.read() as tx:
        files = kept_bills.between(tx, FIRST, FIRST, channel=history.channel)
        assert [file.id for file in files if file.is_current and file.is_closed] == [last.file.id]
        assert days.find(tx, history.channel, FIRST).trades_file_id == last.file.id
        assert sum(file.is_current or file.is_closed for file in files) == 1


@with_locks
def test_no_file_takes_the_place_of_what_the_channel_gives_at_that_moment(shop):
    """Neither one that a person drops, nor that there was none."""
    history = History(shop.ctx)
    history.channel, its = "wechat", SimpleNamespace(merchant_id="1900000001", app_ids=frozenset())
    ctx = replace(shop.ctx, gateways={"wechat": its})

    def current(day):
        with ctx.db.read() as tx:
            file = kept_bills.current(tx, "wechat", day)[BillKind.TRADES]
        return file.source, file.id

    def drop(fen, day=FIRST, **says):
        history.given(day, history.line(amount_fen=fen, **says))
        content = bills_wechat.trade_bill(history.word.lines(day), merchant_id="1900000001", bill_type="ALL")
        intake.drop(ctx, content, "b.csv", day, actor=history.zhou.who)

    drop(4_500)
    with meanwhile(kept_bills, "newest", history.given(FIRST, history.line(amount_fen=4_600)), apart=True) as told:
        drop(4_700)
    assert current(FIRST) == ("fetched", told[0].result().file.id)
    moved = bills_wechat.fund_flow_bill([history.line()], merchant_id="1900000001", opening_fen=0)
    history.give(BillKind.FUNDS, THIRD, moved)
    with meanwhile(kept_bills, "current", history.given(THIRD), apart=True) as told:
        bills._keep_none(ctx, "wechat", THIRD, BillKind.TRADES)
    assert current(THIRD) == ("fetched", told[0].result().file.id)
    channels_own = history.given(NEXT, history.line(amount_fen=4_600, **AT_NEXT))
    with meanwhile(kept_bills, "_add", partial(drop, 4_700, NEXT, **AT_NEXT), apart=True) as told:
        file_id = channels_own().file.id
    assert type(told[0].exception()) in {type(None), ChannelHasGivenIt}, "MariaDB waits for what is not committed"
    assert current(NEXT) == ("fetched", file_id), "also where nothing was here of the day"


@with_locks
def test_a_withdrawal_is_no_arrival_that_is_reversed_at_that_moment(history):
    history.bill(FIRST)
    db, desk = history.ctx.db, sweeps.Desk(history.zhou.who, None, 10_000)
    came = NewSweep(channel=history.channel, amount_fen=4_473, reference="B1", arrived_on=NEXT)
    arrival = retrying(db, partial(sweeps.record, body=came, desk=desk))
    assert arrival.state == "booked"
    wrong = {"sweep_id": arrival.id, "body": ReverseSweep(note="x", version=1), "desk": desk}
    left = FundRow(1, NOW, FundKind.WITHDRAWAL, "F1", "", "", -4_473, 0, "", "")
    with meanwhile(withdrawals, "_free", partial(retrying, db, partial(sweeps.reverse, **wrong)), apart=True) as told:
        retrying(db, partial(withdrawals.keep, channel=history.channel, day=FIRST, rows=[left]))
    assert told[0].result().state == "reversed"
    with db.read() as tx:
        w = ReconcileWithdrawal
        [one] = tx.scalars(select(w).where(w.channel == history.channel))
        assert (one.amount_fen, one.sweep_id, one.paired_by) == (4_473, None, None)


# --- deciding ---


def proposed(history, row):
    """Somebody has proposed to book it; answers what approves that."""
    with history.ctx.db.tx() as tx:
        [now] = handling.handle(tx, {row.id: row.version}, Decision(A.BOOK, "x"), history.zhou)
        assert now.state == "proposed"
    return partial(handling.check, seen={row.id: now.version}, approve=True, note="", desk=history.wang)


def decided(history, row, action=A.BOOK):
    return partial(handling.handle, seen={row.id: row.version}, decision=Decision(action, "x"), desk=history.wang)


@with_locks
@pytest.mark.parametrize(
    ("said", "then", "acts", "left"),
    [
        (5_200, 5_300, proposed, [("amount", 4_500, 5_300)]),
        (4_600, 4_500, decided, []),
    ],
)
def test_what_a_run_has_changed_is_booked_by_nobody_who_has_not_seen_it(history, said, then, acts, left):
    history.bill(FIRST, more=[history.line(amount_fen=said)])
    [row] = history.open()
    owed, _ = history.owed()
    act = partial(retrying, history.ctx.db, acts(history, row))
    with meanwhile(withdrawals, "keep", act, apart=True) as told:
        history.bill(FIRST, more=[history.line(amount_fen=then)])
    with pytest.raises(DifferenceChanged):
        told[0].result()
    assert [(one.kind, one.ours_fen, one.theirs_fen) for one in history.open()] == left
    assert history.owed()[0] == owed


@with_locks
@pytest.mark.parametrize("other", [A.CARRY, "run"])
def test_what_somebody_decides_is_waited_for(history, other):
    """By who decides something else, and by a run: both in one order, so that neither has to begin anew."""
    history.bill(FIRST, more=[history.line(amount_fen=4_600)])
    [row] = history.open()
    once = partial(retrying, tries=1)
    act = partial(once, history.ctx.db, decided(history, row, other)) if other != "run" else partial(history.run, FIRST)
    with patch.object(running, "retrying", once), meanwhile(booking, "post", act, apart=True) as told:
        once(history.ctx.db, decided(history, row))
    with nullcontext() if other == "run" else pytest.raises(DifferenceChanged):
        told[0].result()
    owed, held = history.owed()
    assert (history.open(), history.to_come(), owed) == ([], [], held)


def given_back(history, n, state):
    """A refund of ours of the first day, and the line of one that succeeded at the channel with a part of its fee."""
    paid, at = history.word.lines(FIRST)[0], clock.day_bounds(FIRST)[0] + timedelta(hours=13)
    numbers = {"out_refund_no": ids.new_id().hex, "refund_no": f"50{history.channel[6:]:0>20}{n:06}"}
    with history.ctx.db.tx() as tx:
        attempt_id = tx.scalar(select(PaymentAttempt.id).where(PaymentAttempt.out_trade_no == paid.out_trade_no))
        its = {"channel": history.channel, "out_trade_no": paid.out_trade_no, "attempt_id": attempt_id}
        its |= {"out_refund_no": numbers["out_refund_no"], "provider_refund_no": numbers["refund_no"], "state": state}
        its |= dict.fromkeys(("asked_at", "submitted_at", "refunded_at", "ended_at"), at)
        tx.add(refund := Refund(id=ids.new_id(), amount_fen=1_000, cause="buyer", reason="x", asked_by="x", **its))
    at_ms = int(at.timestamp() * 1000)
    its = {"at_ms": at_ms, "created_at_ms": at_ms, "ends_at_ms": at_ms, "amount_fen": 1_000, "fee_fen": 6}
    return refund.id, replace(paid, kind="refund", **numbers, **its)


@with_locks
def test_a_run_posts_when_it_holds_all_that_others_hold_who_post(history):
    """It books what came back of a fee, and doubts a refund that somebody is at, who books something then."""
    history.given(FIRST)
    (_, back), (doubted, failed) = given_back(history, 1, "succeeded"), given_back(history, 2, "closed")
    journal = payments.fee(None, history.channel, "another", 5, at=NOW)
    with patch.object(running, "retrying", partial(retrying, tries=1)), ThreadPoolExecutor(1) as pool:
        with history.ctx.db.tx() as tx:
            moving.lock(tx, doubted)
            told = pool.submit(history.bill, FIRST, more=[history.line(), back, failed])
            assert not wait([told], SOON).done
            ledger.post(tx, [journal])
        told.result()
    [row] = history.open()
    assert (row.kind, row.ours_id, row.exception_id is not None) == ("refund_state", doubted, True)
    with history.ctx.db.read() as tx:
        account = ledger.Account("psp_fee", history.channel)
        assert sum(one.net for one in books.balances(tx) if one.account == account) == 5 * FEE + 5 - 6
