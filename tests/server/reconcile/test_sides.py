"""What each side of a day comes to: coupons nobody pays out, money that never moved, fees that come back, others."""

from datetime import datetime, timedelta

import pytest

from server.reconcile.matching import Side
from shared import clock
from shared.finance import DifferenceKind as K
from tests.server.reconcile.books import Books, our_payment, our_refund, run
from tests.server.reconcile.days import DAY, said
from tests.server.reconcile.samples import WECHAT, wanted
from tests.server.reconcile.test_refused_bills import ALIPAY, ALL, alipay, rows_of, wechat
from tests.server.reconcile.test_samples import books, found_by, read

AT = datetime(2026, 6, 1, 9, 12, 30, tzinfo=clock.SHOP_ZONE)
PAID, NUMBER = "KM20260601091201A002", "4200001101202606010000000002"
BACK, BACK_NO = f"R{PAID}-1", "50300000012026060100000000002"


def of_sample(rows):
    """The rows of one payment of a hundred yuan, and of its refund."""
    return [row for row in rows if row.out_trade_no == PAID]


def day_of(rows, *, refund_state="processing", fee_fen=60, returned_fen=-60):
    """A run over them and over our books, which know nothing of coupons."""
    ours = [
        our_payment(PAID, NUMBER, 10_000, AT, fee_fen=fee_fen),
        our_refund(PAID, BACK, BACK_NO, 10_000, AT + timedelta(hours=2), state=refund_state, fee_fen=returned_fen),
    ]
    return run("wechat", DAY, of_sample(rows), Books(ours))


def net(side):
    return side.settled_fen - side.fees_fen


def test_a_coupon_that_nobody_pays_out_is_a_difference_and_no_part_of_what_the_channel_owes():
    coupon = wechat(
        ALL,
        ("`100.00,`0.00,`0,`0,", "`90.00,`10.00,`0,`0,"),
        ("`0.60000,`0.60%,`100.00", "`0.54000,`0.60%,`100.00"),
        ("A002-1,`100.00,", "A002-1,`90.00,"),
        ("`-0.60000", "`-0.54000"),
        ("`222.41,`120.00,", "`212.41,`110.00,"),
    )
    found = day_of(rows_of(coupon))
    assert [said(one) for one in found.differences] == [
        (K.AMOUNT, PAID, 10_000, 9_000),
        (K.FEE, PAID, 60, 54),
        (K.FEE, BACK, -60, -54),
        (K.REFUND_AMOUNT, BACK, 10_000, 9_000),
    ]
    assert found.theirs == Side(1, 10_000, 1, 10_000, 0, 0)
    one = run("wechat", DAY, of_sample(rows_of(coupon))[1:], Books([our_payment(PAID, NUMBER, 10_000, AT)]))
    assert (one.theirs.payments_fen, net(one.theirs), net(one.ours)) == (10_000, 9_000 - 54, 10_000)
    assert [said(one) for one in one.differences] == [(K.AMOUNT, PAID, 10_000, 9_000)]


def test_alipays_merchant_coupons_are_seen_by_what_it_paid_out():
    given = [(",25.00,25.00,0.00,0.00,0.00,0.00,", ",25.00,20.00,0.00,0.00,0.00,5.00,")]
    trailer = [("商家实收共282.90元，商家优惠共0.00元", "商家实收共277.90元，商家优惠共5.00元")]
    summary = [("272.90,272.90,0.00,0.00,", "272.90,267.90,0.00,5.00,"), ("-1.64,0.00,271.26", "-1.64,0.00,266.26")]
    rows = rows_of(alipay(ALIPAY, *given, *trailer, *summary))
    found = run("alipay", DAY, rows, books("alipay"))
    assert found.theirs == Side(4, 28_290, 1, 1_000, 27_790 - 1_000, 164)
    assert [said(one) for one in found.differences if one.kind != K.REFUND_ONLY_OURS] == [
        (K.AMOUNT, "KM20260601080000B001", 2_500, 2_000)
    ]


def test_a_refund_that_failed_takes_nothing_from_what_the_channel_owes():
    rows = rows_of(wechat(ALL, ("`PROCESSING,", "`FAIL,")))
    found = day_of(rows, refund_state="closed")
    assert (found.theirs, found.differences) == (Side(1, 10_000, 0, 0, 10_000, 60), [])
    assert found.ours == found.theirs
    nobodys = run("wechat", DAY, of_sample(rows), Books([our_payment(PAID, NUMBER, 10_000, AT)]))
    assert [said(one) for one in nobodys.differences] == [(K.REFUND_ONLY_THEIRS, BACK, None, 0)]


@pytest.mark.parametrize(
    ("returned", "expected", "is_difference"),
    [
        (60, -60, False),
        (59, -60, False),
        (61, -60, False),
        (0, -60, False),
        (58, -60, True),
        (62, -60, True),
        (4_000, -60, True),
        (-60, -60, True),
        (1, 0, False),
        (2, 0, True),
        (4_000, None, False),
    ],
)
def test_a_fee_comes_back_by_its_share_or_not_at_all_and_anything_else_is_for_people(returned, expected, is_difference):
    yuan = f"`{-returned / 100:.5f}"
    total = f"`{(63 + 60 - returned) / 100:.5f}"
    found = day_of(rows_of(wechat(ALL, ("`-0.60000", yuan), ("`0.63000", total))), returned_fen=expected)
    fee = [(K.FEE, BACK, expected, -returned)] if is_difference else []
    assert [said(one) for one in found.differences] == fee
    assert [pair.theirs.out_refund_no for pair in found.pairs] == ["", BACK][: 2 - is_difference]
    assert found.theirs.fees_fen == 60 - returned
    assert found.ours.fees_fen == (60 + expected if is_difference else 60 - returned), "what agrees is what is booked"


def test_another_business_of_the_merchant_is_told_from_ours_and_counted():
    """Only where none of our rows has its numbers: an order of ours is ours, whatever its number looks like."""
    _, rows = read(WECHAT)
    plain = found_by("wechat", WECHAT)
    told = run("wechat", DAY, rows, books("wechat"), is_foreign=lambda row: row.out_trade_no.startswith("OTHER"))
    [expected] = [one for one in wanted() if one.kind is K.ONLY_THEIRS]
    [one] = [one for one in told.differences if one.kind == K.FOREIGN]
    assert (said(one), one.closes_itself) == ((K.FOREIGN, expected.number, None, 500), True)
    assert told.settled.foreign == Side(1, 500, 0, 0, 500, 3)
    others = [one.id for one in plain.differences if one.kind != K.ONLY_THEIRS]
    assert [one.id for one in told.differences if one.kind != K.FOREIGN] == others
    assert (told.theirs, plain.settled.foreign) == (plain.theirs, Side())
    everything = run("wechat", DAY, rows, books("wechat"), is_foreign=lambda _row: True)
    assert [one.id for one in everything.differences] == [one.id for one in told.differences]
