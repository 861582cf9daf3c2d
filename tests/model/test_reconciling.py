"""Reconciliation in any history: what differs is carried over signings, late bills correct it, and all comes right.

Bills of three days say one thing after another about a payment and about a refund: of its own day or of one beside it,
another amount, another fee, undone, on its way, twice, or nothing; and so do those of movements. Some are compared at
once, some after other things. People book, write off, carry over, ignore a fee, sign in any order, or wait. What is
open is so at any time, and in the end the ledger has what the channel holds.
"""

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.reconcile import booking, choosing, days
from shared import clock
from shared.finance import DifferenceAction as A
from shared.finance import DifferenceKind as K
from tests.model.billed import STRAY, moved_fen
from tests.model.reconciling import AMOUNT, DAYS, FEE, FIRST, NOW, OF_FUNDS, History
from tests.world import world

LINES = st.none() | st.builds(
    dict,
    amount_fen=st.sampled_from([AMOUNT, 4_600, 4_700]),
    fee_fen=st.sampled_from([FEE, 28]),
    is_undone=st.sampled_from([False, False, False, True]),
)
BACKS = st.none() | st.builds(
    dict,
    more_fen=st.sampled_from([0, 0, 100, 200]),
    fee_fen=st.sampled_from([None, 0, 12]),
    is_through=st.sampled_from([True, True, True, False]),
)
HOW = st.sampled_from(["now", "now", "now", "twice", "later"])
STEPS = st.one_of(
    st.tuples(st.just("payment"), st.integers(0, 2), LINES, HOW),
    st.tuples(st.just("refund"), st.integers(0, 2), BACKS, HOW),
    st.tuples(st.just("funds"), LINES, BACKS, st.sampled_from([None, None, 700, 900])),
    st.tuples(st.just("decide"), st.integers(0, 3), st.sampled_from([A.BOOK, A.CARRY, A.CARRY, A.WRITE_OFF, A.IGNORE])),
    st.tuples(st.just("sign"), st.integers(0, 2)),
    st.tuples(st.just("other day"), st.integers(0, 1)),
    st.tuples(st.just("run"), st.integers(0, 2)),
    st.tuples(st.just("work")),
)
HISTORIES = st.lists(STEPS, max_size=14)
REFUNDS = st.none() | st.tuples(st.integers(0, 1), st.sampled_from([1_000, AMOUNT]), st.booleans())
SHOPS = st.builds(dict, paid_on=st.integers(0, 1), back=REFUNDS)

_shops = []


@pytest.fixture(scope="module", autouse=True)
def _shop(tmp_path_factory):
    with world("sqlite", tmp_path_factory.mktemp("reconciling"), expects=None) as built, clock.fixed(NOW):
        _shops.append(built)
        yield
        _shops.clear()


def says(amount_fen=AMOUNT, fee_fen=FEE, *, is_undone=False):
    """What a line says of the payment."""
    return {"amount_fen": amount_fen, "fee_fen": fee_fen, "is_undone": is_undone}


def bill(line, n=0, how="now"):
    """The payment is in the bill of that day, or in none."""
    return "payment", n, line, how


def next_bill(line):
    return bill(line, 1)


def moved(line, stray=None):
    """What moved of the payment on the first day."""
    return "funds", line, None, stray


CARRIED, IGNORED, LOST, BOOKED = (("decide", 0, action) for action in (A.CARRY, A.IGNORE, A.WRITE_OFF, A.BOOK))
OTHER_DAY, SIGNED, NEXT_SIGNED = ("other day", 0), ("sign", 0), ("sign", 1)


@pytest.mark.parametrize(
    ("first", "steps"),
    {
        "corrected, while its fee is still another one": (
            says(4_600, 28),
            [CARRIED, IGNORED, OTHER_DAY, bill(says(fee_fen=28))],
        ),
        "another amount after the next day has it": (says(4_700), [CARRIED, OTHER_DAY, bill(says(4_600))]),
        "another amount before the next day has it": (says(4_700), [CARRIED, bill(says(4_600)), OTHER_DAY]),
        "another amount, and the same again": (
            says(4_700),
            [CARRIED, OTHER_DAY, bill(says(4_600)), bill(says(4_700))],
        ),
        "undone, and then in no bill": (says(is_undone=True), [CARRIED, OTHER_DAY, bill(None)]),
        "in no bill late, while another open day has it": (
            says(4_700),
            [CARRIED, ("other day", 1), SIGNED, OTHER_DAY, bill(None)],
        ),
        "undone, not so, and again, after it was to be taken back a day later": (
            says(is_undone=True),
            [LOST, SIGNED, OTHER_DAY, bill(says()), CARRIED, bill(says(is_undone=True)), OTHER_DAY],
        ),
        "in no bill, in one, and in none again, after it was to be taken back two days later": (
            None,
            [LOST, SIGNED, OTHER_DAY, bill(says()), CARRIED, bill(None), OTHER_DAY],
        ),
        "another amount, the same, and another again, after it was to be taken back a day later": (
            says(4_600),
            [BOOKED, SIGNED, OTHER_DAY, bill(says()), CARRIED, bill(says(4_600)), OTHER_DAY, bill(says())],
        ),
        "two late bills before any day takes them": (
            says(),
            [SIGNED, bill(says(4_600)), bill(says(4_700)), OTHER_DAY, OTHER_DAY],
        ),
        "in the next day's bill, and then in none": (
            None,
            [CARRIED, next_bill(says(4_600)), SIGNED, bill(None)],
        ),
        "in the bill that was signed, and late in none, while two other days are open": (
            None,
            [OTHER_DAY, CARRIED, OTHER_DAY, bill(says(4_600)), CARRIED, CARRIED, SIGNED, bill(None)],
        ),
        "in the next day's bill, and late in none, when both days are signed": (
            None,
            [CARRIED, SIGNED, next_bill(says()), NEXT_SIGNED, OTHER_DAY, next_bill(None)],
        ),
        "late in the next day's bill, and then in none": (
            says(),
            [SIGNED, next_bill(says()), next_bill(None)],
        ),
        "written off the day after, and late in that day's bill, and then in none": (
            None,
            [CARRIED, SIGNED, OTHER_DAY, LOST, NEXT_SIGNED, OTHER_DAY, next_bill(says()), next_bill(None)],
        ),
        "written off the day after, in that day's bill and taken back, and then in none": (
            None,
            [CARRIED, SIGNED, OTHER_DAY, LOST, next_bill(says()), BOOKED, next_bill(None), LOST, next_bill(says())],
        ),
        "written off on its day, late in the next day's bill and taken back, and then in none": (
            None,
            [LOST, SIGNED, OTHER_DAY, NEXT_SIGNED, OTHER_DAY, next_bill(says()), BOOKED, next_bill(None)],
        ),
        "written off the day after, two days later in a bill and taken back, and then in none": (
            None,
            [CARRIED, SIGNED, OTHER_DAY, LOST, NEXT_SIGNED, bill(says(), 2), BOOKED, bill(None, 2)],
        ),
        "written off, in its bill and taken back, and then in none": (
            None,
            [LOST, OTHER_DAY, bill(says()), BOOKED, bill(None)],
        ),
        "written off, in its bill and taken back, and in none when the next day is compared first": (
            None,
            [LOST, OTHER_DAY, bill(says()), BOOKED, bill(None, how="later"), ("run", 1), ("work",)],
        ),
        "written off, in the next day's bill and taken back, and then in none, compared again": (
            None,
            [LOST, next_bill(says()), BOOKED, next_bill(None), ("run", 0), ("run", 1)],
        ),
        "written off and taken back, gone, there when that was signed, and gone again": (
            None,
            [
                *(LOST, SIGNED, OTHER_DAY, next_bill(says()), BOOKED, next_bill(None)),
                *(next_bill(says()), NEXT_SIGNED, OTHER_DAY, next_bill(None)),
            ],
        ),
        "written off, in the next day's bill, in both, and in that of its own day alone": (
            None,
            [LOST, next_bill(says(4_700)), bill(says(), how="twice")],
        ),
        "written off, there again, and then in the next day's bill": (
            None,
            [LOST, bill(says(fee_fen=28)), next_bill(says(4_700, 28))],
        ),
        "late in the next day's bill, while its own day is open": (
            None,
            [OTHER_DAY, NEXT_SIGNED, next_bill(says(4_700)), OTHER_DAY],
        ),
        "in the bill of an open day, by which a later one was signed, and then in none": (
            None,
            [CARRIED, SIGNED, ("other day", 1), next_bill(says()), ("sign", 2), next_bill(None)],
        ),
        "late in its own day's bill, by which the next one was signed, and then in none": (
            None,
            [CARRIED, SIGNED, OTHER_DAY, bill(says()), NEXT_SIGNED, OTHER_DAY, bill(None)],
        ),
        "to be taken back, carried over, and then another amount after all": (
            says(4_600),
            [BOOKED, next_bill(says()), CARRIED, bill(says(4_700))],
        ),
        "to be taken back, carried over, and then undone": (
            None,
            [LOST, bill(says()), CARRIED, bill(says(is_undone=True))],
        ),
        "another movement that was carried over, and then the same": (
            says(),
            [moved(says(4_600)), CARRIED, OTHER_DAY, moved(says())],
        ),
        "late movements that one open day took, put right by what another takes": (
            says(),
            [SIGNED, ("other day", 1), moved(says(4_600)), OTHER_DAY, moved(says())],
        ),
        "a late bill that one open day took, and another would": (
            None,
            [LOST, SIGNED, moved(says()), ("other day", 1), bill(says(4_600)), OTHER_DAY],
        ),
    }.values(),
)
def test_what_was_carried_over_is_what_the_last_bill_says(first, steps):
    live(first, steps)


@pytest.mark.parametrize(
    ("first", "steps"),
    {
        "in the bill of the day before, by which its own was signed, and then in none": (
            says(),
            [OTHER_DAY, NEXT_SIGNED, bill(None), CARRIED, OTHER_DAY],
        ),
        "late not in its own day's bill, and in that of the day before": (
            None,
            [next_bill(says()), OTHER_DAY, NEXT_SIGNED, bill(says(4_600, 28))],
        ),
        "carried over, and then in the bill of the day before": (
            None,
            [OTHER_DAY, ("decide", 1, A.CARRY), OTHER_DAY, bill(says(is_undone=True))],
        ),
        "written off, in the bill of the day before and taken back, and then in none": (
            None,
            [next_bill(None), LOST, bill(says()), BOOKED, bill(None), ("run", 1), ("run", 0)],
        ),
    }.values(),
)
def test_what_the_bill_of_the_day_before_has_is_what_the_last_one_says(first, steps):
    live(first, steps, paid_on=1)


def test_the_day_of_what_is_not_to_be_taken_back_elsewhere_is_compared_again_once():
    """A day of many orders takes minutes."""
    shop = History(_shops[0].ctx)
    shop.say("payment", FIRST, None)
    decide(shop, 0, A.WRITE_OFF)
    shop.say("payment", DAYS[1], says())
    assert [(row.kind, row.day) for row in shop.open()] == [(K.BOOKED, DAYS[1])]
    compared = []
    for minutes in range(1, 4):
        with clock.fixed(NOW + timedelta(minutes=minutes)):
            if minutes == 1:
                shop.say("payment", DAYS[1], None)
            else:
                shop.run(DAYS[1])
        with shop.ctx.db.read() as tx:
            compared.append(days.find(tx, shop.channel, FIRST).run_at - NOW)
    assert compared == [timedelta(minutes=n) for n in (1, 2, 2)], "what was closed in the same instant counts as since"


def test_a_refund_that_a_late_bill_has_no_more_is_before_people_once():
    """Carried over from the day that told of it, when a day before that is compared for the first time."""
    steps = [SIGNED, ("other day", 1), ("refund", 0, None, "now"), CARRIED, OTHER_DAY]
    live(says(), steps, back=(0, 1_000, True))


def test_a_balance_that_was_carried_over_is_over_when_a_late_bill_adds_up():
    shop = History(_shops[0].ctx, paid_on=1)
    for day, opening_fen, more in ((FIRST, 0, []), (DAYS[1], 100, [shop.line()])):
        shop.bill(day, more=more)
        shop.moves(day, opening_fen)
    assert [(row.kind, row.ours_fen, row.theirs_fen) for row in shop.open()] == [(K.BALANCE, 13_419, 9_046)]
    decide(shop, 0, A.CARRY)
    assert shop.sign(DAYS[1])
    shop.bill(DAYS[2])
    assert [(row.kind, row.day) for row in shop.open()] == [(K.BALANCE, DAYS[2])]

    shop.moves(DAYS[1], AMOUNT - FEE)
    assert shop.open() == []


def test_a_refund_of_another_amount_is_before_people_when_it_is_through_as_well():
    """Late on its way on the day before, which is open; then through, as the bill says that another open day takes."""
    steps = [("refund", 1, {}, "now"), NEXT_SIGNED, ("refund", 1, {"more_fen": 200, "is_through": False}, "now")]
    live(says(4_700), [*steps, bill(says()), OTHER_DAY, ("refund", 1, {"more_fen": 200}, "now")], back=(0, 1_000, True))


def test_a_refund_of_another_amount_that_was_carried_over_stays_so_when_it_is_through():
    on_its_way = {"more_fen": 200, "is_through": False}
    steps = [("refund", 1, on_its_way, "now"), CARRIED, ("other day", 0), ("refund", 1, {"more_fen": 200}, "now")]
    live(says(), steps, back=(0, 1_000, True))


@pytest.mark.parametrize("between", [False, True])
def test_what_a_late_bill_has_no_more_is_not_written_off_where_an_open_day_has_it(between):
    """Two days later: what is a day too far apart is told of once."""
    shop = History(_shops[0].ctx)
    shop.say("payment", FIRST, says())
    assert shop.sign(FIRST)
    if between:
        shop.bill(DAYS[1])
    shop.say("payment", DAYS[2], says(), is_twice=True)
    shop.bill(FIRST)
    assert [(row.kind, row.day) for row in shop.open()] == [(K.DATE_SHIFT, DAYS[2])]

    shop.bill(DAYS[2])
    assert [(row.kind, row.ours_fen, row.theirs_fen) for row in shop.open()] == [(K.ONLY_OURS, AMOUNT, None)]


def test_what_was_booked_the_day_after_stands_when_a_bill_of_that_comes_late():
    shop = History(_shops[0].ctx)
    shop.say("payment", FIRST, says(4_600))
    decide(shop, 0, A.CARRY)
    assert shop.sign(FIRST)
    shop.bill(DAYS[1])
    decide(shop, 0, A.BOOK)
    assert shop.sign(DAYS[1])
    shop.bill(DAYS[2])

    payment = shop.word.subjects["payment"]
    shop.bill(DAYS[1], more=[payment.said(day=DAYS[1], amount_fen=700, provider_no=STRAY, out_trade_no="x")])

    assert [(row.kind, row.theirs_fen) for row in shop.open()] == [(K.ONLY_THEIRS, 700)]


@settings(max_examples=4, deadline=None)
@given(shop=SHOPS, first=LINES, steps=HISTORIES)
def test_nothing_is_booked_that_a_bill_does_not_say(shop, first, steps):
    live(first, steps, **shop)


@pytest.mark.soak
@settings(max_examples=2_000, deadline=None)
@given(shop=SHOPS, first=LINES, steps=HISTORIES)
def test_nothing_is_ever_booked_that_a_bill_does_not_say(shop, first, steps):
    live(first, steps, **shop)


def live(first, steps, **shop):
    shop = History(_shops[0].ctx, **shop)
    for name, its in shop.word.subjects.items():
        if its.day == FIRST:
            shop.word.place(name, FIRST, its.line)
    shop.say("payment", FIRST, first)
    for what, *how in steps:
        take(shop, what, *how)
        is_so(shop)
    shop.end()
    is_so(shop)
    assert shop.open() == []
    owed, held = shop.owed()
    assert owed == held


def take(shop, what, *how):
    """One step of a history."""
    if what in {"payment", "refund"}:
        place(shop, what, *how)
    elif what == "funds":
        funds(shop, *how)
    elif what == "decide":
        decide(shop, *how)
    elif what == "work":
        shop.work()
    elif what == "other day":
        coming = [day for day in DAYS[1:3] if not shop.has_bill(day)]
        if coming:
            shop.bill(coming[how[0] % len(coming)])
    else:
        {"run": shop.run, "sign": shop.sign}[what](DAYS[how[0]])


def place(shop, name, n, line, how):
    """Bills of the payment or refund: in that of its own day, or of the nearest one to `n` beside it."""
    if name in shop.word.subjects:
        own = DAYS.index(shop.word.subjects[name].day)
        day = DAYS[min(max(n, own - 1), own + 1)]
        shop.say(name, day, line, is_twice=how == "twice", is_later=how == "later")


def funds(shop, *says):
    """What moved of the payment, of the refund, and of one that is in no bill of trades."""
    *of_subjects, stray = says
    its = zip(shop.word.subjects.values(), of_subjects, strict=False)
    lines = [one.said(**line, day=FIRST) for one, line in its if line is not None]
    payment = shop.word.subjects["payment"]
    strays = [] if stray is None else [payment.said(amount_fen=stray, fee_fen=0, day=FIRST, provider_no=STRAY)]
    shop.funds(*(one for one in lines if not one.reversed), *strays)


def decide(shop, n, action):
    """About one of those that are open. What is ignored stays as it is, which only what is no amount may here."""
    rows = shop.open()
    row = rows[n % len(rows)] if rows else None
    if row is not None and (action is not A.IGNORE or row.kind in (K.FEE, K.FUND_ONLY_TRADES, K.REFUND_STATE)):
        shop.decide(row, action)


def is_so(shop):
    """What is open is what the channel's last word says, and booking all of it puts the ledger where that is."""
    if shop.is_behind():
        return
    rows, (owed, held) = shop.open(), shop.owed()
    for row in rows:
        told = (row.kind, row.day, row.ours_fen, row.theirs_fen)
        assert row.theirs_fen in (moves if row.kind in OF_FUNDS else sides)(shop, row), told
        is_bookable = row.kind not in OF_FUNDS or row.provider_no == STRAY
        assert is_bookable or A.BOOK not in choosing.possible(row, None), told
    money = [row for row in rows if row.kind not in OF_FUNDS or row.provider_no == STRAY]
    if held is not None and not shop.to_come():
        told = [(row.kind, row.day, row.ours_fen, row.theirs_fen) for row in money]
        assert owed + sum(map(booking.owed_more, money)) == held, told


def sides(shop, row):
    """What the channel's side may be in a difference of a trade bill."""
    name = "refund" if row.out_refund_no else "payment"
    lines = shop.word.places(name).values()
    match row.kind:
        case K.AMOUNT | K.REFUND_AMOUNT | K.REFUND_STATE:
            return {line.amount_fen for line in lines if not line.reversed}
        case K.STATE:
            return {0 for line in lines if line.reversed}
        case K.FEE:
            return {line.sign * line.fee_fen for line in lines}
        case K.ONLY_OURS | K.REFUND_ONLY_OURS:
            return set() if lines else {None}
        case K.BOOKED:
            return {0}
    return set()


def moves(shop, row):
    """The same of the bills of movements: with what the other side has."""
    if row.provider_no == STRAY:
        return {None, *(line.amount_fen for line in shop.word.strays())}
    found = set()
    for name in shop.word.subjects:
        its = (shop.word.places(name).get(FIRST), shop.word.moved_of(name))
        both = [None if line is None or line.reversed else line for line in its]
        for fen in (moved_fen, lambda line: -line.sign * line.fee_fen):
            ours, theirs = ((line and fen(line)) or None for line in both)
            found |= {theirs} if row.ours_fen == ours else set()
    return found
