"""The pure part of refunds: shares that end exactly, what the policies decide, and the channels' own limits."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from server.payments.refunds import rules
from server.payments.refunds.rules import Facts, RefundTooLate, TooManyRefunds, Verdict, verdict
from server.payments.refunds.splitting import Shares, of_units, over_lines
from shared.money import PPM
from shared.pricing import Deal, Share, quote_line
from shared.states import RefundPolicy, RefundReason

NOW = datetime(2026, 11, 22, 4, 0, tzinfo=UTC)
ANY_POLICY = st.sampled_from(RefundPolicy)
ANY_REASON = st.sampled_from(RefundReason)


@given(
    unit_price=st.integers(1, 10**9),
    quantity=st.integers(1, 1_000),
    rates=st.tuples(st.integers(0, PPM // 2), st.integers(0, PPM // 2), st.integers(0, PPM - 1)),
    cuts=st.lists(st.integers(0, 10**12), max_size=30),
)
def test_partial_refunds_take_no_share_below_zero_and_end_exactly(unit_price, quantity, rates, cuts):
    fee, commission, discount = (Share.percent(ppm) for ppm in rates)
    deal = Deal(discount=discount, commission=commission, distributor_id=UUID(int=1))
    sold = quote_line(unit_price=unit_price, quantity=quantity, fee=fee, deal=deal)
    assume(sold.amount)
    left, back = Shares(sold.supplier, sold.fee, sold.commission, sold.discount), []
    for cut in cuts:
        if not left.amount:
            break
        taken = cut % left.amount + 1
        back.append(left.part(taken))
        left -= back[-1]
        assert back[-1].amount == taken
        assert min(left.supplier, left.fee, left.commission, left.discount) >= 0
    if left.amount:
        back.append(left.part(left.amount))
    assert sum(one.supplier for one in back) == sold.supplier
    assert sum(one.fee for one in back) == sold.fee
    assert sum(one.commission for one in back) == sold.commission
    assert sum(one.discount for one in back) == sold.discount


@given(amount=st.integers(1, 10**9), units=st.integers(1, 1_000))
def test_units_given_back_one_by_one_are_the_whole(amount, units):
    left, each = amount, []
    for still in range(units, 0, -1):
        each.append(of_units(left, units=1, of=still))
        left -= each[-1]
    assert (left, sum(each)) == (0, amount)
    assert max(each) - min(each) <= 1


@given(left=st.lists(st.integers(0, 10**9), min_size=1, max_size=5).filter(any), share=st.integers(0, 10**12))
def test_an_amount_over_lines_fits_each_of_them(left, share):
    amount = share % (sum(left) + 1)
    parts = over_lines(amount, left)
    assert sum(parts) == amount
    assert all(0 <= part <= most for part, most in zip(parts, left, strict=True))


def facts(**known):
    return Facts(**({"viewed": False, "bought_at": NOW, "now": NOW, "orders": 1, "refunded": 0} | known))


@pytest.mark.parametrize(
    ("policy", "reason", "viewed", "said"),
    [
        ("before_view", "unwanted", False, Verdict.APPROVE),
        ("before_view", "unwanted", True, Verdict.REFUSE_SEEN),
        ("before_view", "defective", True, Verdict.ASK_SUPPLIER),
        ("unused_only", "unwanted", False, Verdict.APPROVE),
        ("unused_only", "unwanted", True, Verdict.ASK_SUPPLIER),
        ("defect_only", "unwanted", False, Verdict.REFUSE_NOT_DEFECT),
        ("defect_only", "used", False, Verdict.ASK_SUPPLIER),
        ("defect_only", "defective", True, Verdict.ASK_SUPPLIER),
        ("none", "defective", False, Verdict.REFUSE_ALWAYS),
    ],
)
def test_what_a_policy_says(policy, reason, viewed, said):
    assert verdict(RefundPolicy(policy), RefundReason(reason), facts(viewed=viewed)) is said


@given(
    policy=ANY_POLICY, reason=ANY_REASON, days=st.integers(0, 400), orders=st.integers(1, 50), part=st.integers(0, 50)
)
def test_nothing_that_was_seen_is_refunded_without_a_person(policy, reason, days, orders, part):
    known = {"now": NOW + timedelta(days=days), "orders": orders, "refunded": min(part, orders)}
    assert verdict(policy, reason, facts(viewed=True, **known)) is not Verdict.APPROVE
    is_new = verdict(policy, reason, facts(**known)) is Verdict.APPROVE
    assert not is_new or (days < 7 and (orders < 5 or min(part, orders) <= orders * 0.3))


@pytest.mark.parametrize("known", [{"now": NOW + timedelta(days=7)}, {"orders": 5, "refunded": 2}])
def test_old_purchases_and_those_who_refund_often_are_looked_at(known):
    assert verdict(RefundPolicy.BEFORE_VIEW, RefundReason.UNWANTED, facts(**known)) is Verdict.ASK_SUPPLIER


def test_each_channels_limits():
    wechat, alipay = rules.limits_of("wechat"), rules.limits_of("alipay")
    wechat.require(paid_at=NOW - timedelta(days=364), now=NOW, made=49)
    with pytest.raises(RefundTooLate):
        wechat.require(paid_at=NOW - timedelta(days=365), now=NOW, made=0)
    with pytest.raises(TooManyRefunds):
        wechat.require(paid_at=NOW, now=NOW, made=50)
    alipay.require(paid_at=NOW - timedelta(days=89), now=NOW, made=500)
    with pytest.raises(RefundTooLate):
        alipay.require(paid_at=NOW - timedelta(days=90), now=NOW, made=0)
    assert wechat.earliest(NOW) == NOW + timedelta(minutes=1)
    assert (wechat.earliest(None), alipay.earliest(NOW)) == (None, None)
