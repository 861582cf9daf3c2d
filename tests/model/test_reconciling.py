"""Reconciliation in any history: what differs is carried over signings, late bills correct it, and all comes right.

Bills of the first day, or of the next one, say one thing after another about a payment: another amount, another fee,
that it was undone, or nothing; and so do those of movements. People book, write off, carry over, ignore a fee, sign, or
wait. What is open is so at any time, and in the end the ledger has what the channel holds.
"""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.reconcile import booking
from shared import clock
from shared.finance import DifferenceAction as A
from shared.finance import DifferenceKind as K
from tests.model.reconciling import AMOUNT, DAYS, FEE, NOW, OF_FUNDS, STRAY, History
from tests.world import world

LINES = st.none() | st.builds(
    dict,
    amount_fen=st.sampled_from([AMOUNT, 4_600, 4_700]),
    fee_fen=st.sampled_from([FEE, 28]),
    reversed=st.sampled_from([False, False, False, True]),
)
STEPS = st.one_of(
    st.tuples(st.just("bill"), LINES),
    st.tuples(st.just("next bill"), LINES),
    st.tuples(st.just("funds"), LINES, st.sampled_from([None, None, 700, 900])),
    st.tuples(st.just("decide"), st.integers(0, 3), st.sampled_from([A.BOOK, A.CARRY, A.CARRY, A.WRITE_OFF, A.IGNORE])),
    st.tuples(st.just("sign")),
    st.tuples(st.just("other day"), st.integers(0, 1)),
    st.tuples(st.just("run"), st.integers(0, 2)),
)
HISTORIES = st.lists(STEPS, max_size=14)

_shops = []


@pytest.fixture(scope="module", autouse=True)
def _shop(tmp_path_factory):
    with world("sqlite", tmp_path_factory.mktemp("reconciling"), expects=None) as built, clock.fixed(NOW):
        _shops.append(built)
        yield
        _shops.clear()


def says(amount_fen=AMOUNT, fee_fen=FEE, *, is_undone=False):
    """What a line says of the payment."""
    return {"amount_fen": amount_fen, "fee_fen": fee_fen, "reversed": is_undone}


CARRIED, IGNORED, LOST = (("decide", 0, A.CARRY), ("decide", 0, A.IGNORE), ("decide", 0, A.WRITE_OFF))
OTHER_DAY, SIGNED = ("other day", 0), ("sign",)


@pytest.mark.parametrize(
    ("first", "steps"),
    {
        "corrected, while its fee is still another one": (
            says(4_600, 28),
            [CARRIED, IGNORED, OTHER_DAY, ("bill", says(fee_fen=28))],
        ),
        "another amount after the next day has it": (says(4_700), [CARRIED, OTHER_DAY, ("bill", says(4_600))]),
        "another amount before the next day has it": (says(4_700), [CARRIED, ("bill", says(4_600)), OTHER_DAY]),
        "another amount, and the same again": (
            says(4_700),
            [CARRIED, OTHER_DAY, ("bill", says(4_600)), ("bill", says(4_700))],
        ),
        "undone, and then in no bill": (says(is_undone=True), [CARRIED, OTHER_DAY, ("bill", None)]),
        "in no bill late, while another open day has it": (
            says(4_700),
            [CARRIED, ("other day", 1), SIGNED, OTHER_DAY, ("bill", None)],
        ),
        "two late bills before any day takes them": (
            says(),
            [SIGNED, ("bill", says(4_600)), ("bill", says(4_700)), OTHER_DAY, OTHER_DAY],
        ),
        "in the next day's bill, and then in none": (
            None,
            [CARRIED, ("next bill", says(4_600)), SIGNED, ("bill", None)],
        ),
        "in the bill that was signed, and late in none, while two other days are open": (
            None,
            [OTHER_DAY, CARRIED, OTHER_DAY, ("bill", says(4_600)), CARRIED, CARRIED, SIGNED, ("bill", None)],
        ),
        "in the next day's bill, and late in none, when both days are signed": (
            None,
            [CARRIED, SIGNED, ("next bill", says()), SIGNED, OTHER_DAY, ("next bill", None)],
        ),
        "late in the next day's bill, and then in none": (
            says(),
            [SIGNED, ("next bill", says()), ("next bill", None)],
        ),
        "written off the day after, and late in that day's bill, and then in none": (
            None,
            [CARRIED, SIGNED, OTHER_DAY, LOST, SIGNED, OTHER_DAY, ("next bill", says()), ("next bill", None)],
        ),
        "written off, there again, and then in the next day's bill": (
            None,
            [LOST, ("bill", says(fee_fen=28)), ("next bill", says(4_700, 28))],
        ),
        "another movement that was carried over, and then the same": (
            says(),
            [("funds", says(4_600), None), CARRIED, OTHER_DAY, ("funds", says(), None)],
        ),
        "late movements that one open day took, put right by what another takes": (
            says(),
            [SIGNED, ("other day", 1), ("funds", says(4_600), None), OTHER_DAY, ("funds", says(), None)],
        ),
        "a late bill that one open day took, and another would": (
            None,
            [LOST, SIGNED, ("funds", says(), None), ("other day", 1), ("bill", says(4_600)), OTHER_DAY],
        ),
    }.values(),
)
def test_what_was_carried_over_is_what_the_last_bill_says(first, steps):
    live(first, steps)


def test_what_was_booked_the_day_after_stands_when_a_bill_of_that_comes_late():
    shop = History(_shops[0].ctx)
    shop.place(DAYS[0], **says(4_600))
    decide(shop, 0, A.CARRY)
    assert shop.sign(DAYS[0])
    shop.bill(DAYS[1])
    decide(shop, 0, A.BOOK)
    assert shop.sign(DAYS[1])
    shop.bill(DAYS[2])

    at_ms = int(clock.day_bounds(DAYS[1])[0].timestamp() * 1000)
    stray = shop.line(provider_no=STRAY, out_trade_no="x", amount_fen=700, at_ms=at_ms, created_at_ms=at_ms)
    shop.bill(DAYS[1], more=[stray])

    assert [(row.kind, row.theirs_fen) for row in shop.open()] == [(K.ONLY_THEIRS, 700)]


@settings(max_examples=8, deadline=None)
@given(first=LINES, steps=HISTORIES)
def test_nothing_is_booked_that_a_bill_does_not_say(first, steps):
    live(first, steps)


@pytest.mark.soak
@settings(max_examples=2_000, deadline=None)
@given(first=LINES, steps=HISTORIES)
def test_nothing_is_ever_booked_that_a_bill_does_not_say(first, steps):
    live(first, steps)


def live(first, steps):
    shop = History(_shops[0].ctx)

    shop.place(DAYS[0], **first or {})
    for what, *how in steps:
        if what in {"bill", "next bill"}:
            shop.place(DAYS[what == "next bill"], **how[0] or {})
        elif what == "funds":
            funds(shop, *how)
        elif what == "decide":
            decide(shop, *how)
        elif what == "run":
            shop.run(DAYS[how[0]])
        elif what == "other day":
            coming = [day for day in DAYS[1:3] if not shop.has_bill(day)]
            if coming:
                shop.bill(coming[how[0] % len(coming)])
        else:
            day = next((day for day in DAYS[:2] if not shop.is_signed(day)), None)
            if day is not None:
                shop.sign(day)
        is_so(shop)
    shop.end()
    assert shop.open() == []
    owed, held = shop.owed()
    assert owed == held


def funds(shop, line, stray):
    """What moved of the payment, and of one that is in no bill of trades."""
    lines = [] if line is None or line["reversed"] else [shop.line(**line)]
    strays = [] if stray is None else [shop.line(provider_no=STRAY, amount_fen=stray, fee_fen=0)]
    shop.funds(*lines, *strays)


def decide(shop, n, action):
    """About one of those that are open. What is ignored stays as it is, which only what is no amount may here."""
    rows = shop.open()
    row = rows[n % len(rows)] if rows else None
    if row is not None and (action is not A.IGNORE or row.kind in (K.FEE, K.FUND_ONLY_TRADES)):
        shop.decide(row, action)


def is_so(shop):
    """What is open is what the channel's last word says, and booking all of it puts the ledger where that is."""
    line, next_line, moved = (
        found(shop, lines) for lines in (shop.said[DAYS[0]], shop.said[DAYS[1]], shop.moved or [])
    )
    said = line or next_line
    fen = None if said is None else 0 if said.reversed else said.amount_fen
    money = [row for row in shop.open() if row.kind not in (K.FEE, *OF_FUNDS) or row.provider_no == STRAY]
    rows = [row for row in money if row.provider_no != STRAY]
    theirs = {K.AMOUNT: fen, K.STATE: 0, K.ONLY_OURS: None}
    assert [row.theirs_fen for row in rows] == [theirs.get(row.kind, 0) for row in rows]
    its = [row for row in shop.open() if row.kind in OF_FUNDS]
    of_funds = {(row.ours_fen, row.theirs_fen) for row in its if row.provider_no != STRAY}
    due, came = ((one.amount_fen, -one.fee_fen) if one and not one.reversed else (None, None) for one in (line, moved))
    assert of_funds <= set(zip(due, came, strict=True))
    strays = [one.amount_fen for one in shop.moved or [] if one.provider_no == STRAY]
    assert {row.theirs_fen or None for row in money if row not in rows} <= {*strays, None}
    if money and not shop.to_come():
        owed, held = shop.owed()
        told = [(row.kind, row.day, row.ours_fen, row.theirs_fen) for row in money]
        assert owed + sum(map(booking.owed_more, money)) == held, told


def found(shop, lines):
    """The line of the payment that bills differ about."""
    return next((one for one in lines if one.provider_no == shop.line().provider_no), None)
