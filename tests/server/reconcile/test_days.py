"""Whatever is altered in a day of either channel is found, exactly and as often as it was done, and nothing else is."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.finance import DifferenceKind as K
from tests.server.reconcile.days import OF_REFUNDS, PROPOSED, REFUND_EVERY, SEVEN, Day, possible, said

ORDERS = 10_000


def accounted(day, found):
    """Every row of both sides is in exactly one pair, or in a difference for each thing that differs."""
    rows = [pair.theirs.n for pair in found.pairs] + [*{one.bill_row for one in found.differences if one.bill_row}]
    assert sorted(rows) == list(range(1, len(day.lines) + len(day.refunds) + len(day.more) + 1))
    ours = [pair.ours.id for pair in found.pairs] + [*{one.ours.id for one in found.differences if one.ours}]
    assert sorted(ours) == sorted(row.id for row in day.books().ours)
    kinds = [(one.kind, one.bill_row, one.ours and one.ours.id) for one in found.differences]
    assert len(set(kinds)) == len(kinds)


@pytest.mark.parametrize("channel", ["wechat", "alipay"])
def test_a_day_of_ten_thousand_orders_with_seven_alterations_has_exactly_those(channel):
    day, chance = Day(channel, ORDERS), random.Random(11)
    places = chance.sample(range(0, ORDERS, REFUND_EVERY), len(SEVEN[channel]))
    expected = [one for name, n in zip(SEVEN[channel], places, strict=True) for one in day.altered(name, n)]
    found = day.run()
    assert sorted(map(said, found.differences), key=str) == sorted(expected, key=str)
    assert len({one.id for one in found.differences}) == 7
    assert [one.kind for one in found.differences if one.closes_itself] == [K.DATE_SHIFT]
    assert [one.proposed for one in found.differences] == [PROPOSED[one.kind] for one in found.differences]
    assert (found.theirs.payments, found.theirs.refunds) == (ORDERS - (channel == "wechat"), ORDERS // REFUND_EVERY)
    accounted(day, found)
    again = day.run(chance)
    assert [(one.id, *said(one)) for one in again.differences] == [(one.id, *said(one)) for one in found.differences]
    assert {(pair.theirs.provider_no, pair.ours.id, pair.by) for pair in again.pairs} == {
        (pair.theirs.provider_no, pair.ours.id, pair.by) for pair in found.pairs
    }


@settings(max_examples=40, deadline=None)
@given(data=st.data(), channel=st.sampled_from(["wechat", "alipay"]), seed=st.integers(0, 2**16))
def test_any_set_of_alterations_is_found_exactly(data, channel, seed):
    day, orders = Day(channel, 20), 20
    chosen = data.draw(st.dictionaries(st.integers(0, orders - 1), st.sampled_from(possible(channel)), max_size=orders))
    possible_here = {n: name for n, name in chosen.items() if name not in OF_REFUNDS or n % REFUND_EVERY == 0}
    expected = [one for n, name in possible_here.items() for one in day.altered(name, n)]
    found = day.run(random.Random(seed))
    assert sorted(map(said, found.differences), key=str) == sorted(expected, key=str)
    assert len({one.id for one in found.differences}) == len(expected)
    accounted(day, found)
    assert [one.id for one in day.run().differences] == [one.id for one in found.differences]
