"""A day of another hand reconciles to exactly what is written beside it: control totals, and eight differences."""

import io
import random
from datetime import datetime, timedelta

import pytest

from server.gateways.bill_lines import opened, sniff
from server.gateways.bill_rows import FundKind
from server.reconcile.controls import balance, three_way
from shared import clock
from shared.finance import DifferenceKind
from shared.money import parse_fen
from tests.server.reconcile import samples
from tests.server.reconcile.books import Books, our_payment, our_refund, run
from tests.server.reconcile.samples import (
    ALIPAY,
    ALIPAY_FUNDS,
    DAY,
    EXPECTED,
    PROVIDER_NOS,
    WECHAT,
    WECHAT_FUNDS,
    Wanted,
)

K = DifferenceKind


def read(name):
    """An opened sample with all its rows."""
    bill = opened(io.BytesIO((samples.FOLDER / name).read_bytes()), name)
    rows = list(bill.trades() if bill.head.kind == "trades" else bill.funds())
    return bill, rows


def printed(bill):
    return {total.name: total.printed for total in bill.totals}


def books(channel):
    """What the shop has, by its list of the day. A refund that has no time was asked for at midnight."""
    found = Books()
    for row in samples.ours():
        if row.channel != channel:
            continue
        if row.kind == "payment":
            found.ours.append(
                our_payment(row.number, row.provider_no, row.amount_fen, row.at, state=row.status.lower())
            )
        else:
            state = {"SUCCESS": "succeeded", "PROCESSING": "processing"}[row.status]
            at = row.at or datetime.combine(DAY, datetime.min.time(), clock.SHOP_ZONE)
            found.ours.append(our_refund("", row.number, row.provider_no, row.amount_fen, at, state=state))
    return found


def found_by(channel, name):
    _, rows = read(name)
    return run(channel, DAY, rows, books(channel))


# --- control totals ---


def test_the_control_totals_are_those_of_the_files():
    expected = EXPECTED["wechat_trade_bill_ALL"]
    bill, rows = read(WECHAT)
    assert (bill.sha1, bill.rows) == (expected["sha1_of_uncompressed_file"], expected["rows"])
    packed, _ = read(f"{WECHAT}.gz")
    assert (packed.sha1, packed.sha256, packed.size, packed.totals) == (bill.sha1, bill.sha256, bill.size, bill.totals)
    assert [row.kind for row in rows].count("payment") == expected["payments"]
    assert [row.kind for row in rows].count("refund") == expected["refunds"]
    totals = printed(bill)
    figures = totals["订单总金额"], totals["申请退款总金额"], totals["手续费总金额"]
    assert figures == tuple(parse_fen(expected[name]) for name in ("order_total", "refund_total", "fee_total"))
    assert [total for total in bill.totals if total.printed != total.read] == []

    expected = EXPECTED["alipay_trade"]
    bill, rows = read(ALIPAY)
    totals = printed(bill)
    assert (totals["交易合计笔数"], totals["退款合计笔数"]) == (expected["payments"], expected["refunds"])
    assert totals["交易合计 商家实收(元)"] == parse_fen(expected["received"])
    assert -totals["退款合计 商家实收(元)"] == parse_fen(expected["refunded"])
    assert (totals["服务费(元)"], totals["实收净额(元)"]) == (-164, parse_fen(expected["net"]))
    assert sum(row.fee_fen for row in rows) == 164
    assert rows[3].subject == "年卡㐂", "a character outside of GBK"


@pytest.mark.parametrize(
    ("name", "figure", "counts", "amounts"),
    [
        (WECHAT_FUNDS, "wechat_fundflow", ("收入笔数", "支出笔数"), ("收入金额", "支出金额")),
        (ALIPAY_FUNDS, "alipay_fund", ("收入笔数", "支出笔数"), ("收入金额(+元)", "支出金额(-元)")),
    ],
)
def test_the_balance_adds_up_to_the_fen_and_names_every_term(name, figure, counts, amounts):
    expected = EXPECTED[figure]
    bill, rows = read(name)
    totals = printed(bill)
    assert [totals[one] for one in counts] == [expected["income_count"], expected["expense_count"]]
    assert [abs(totals[one]) for one in amounts] == [parse_fen(expected[one]) for one in ("income", "expense")]
    for order in (rows, rows[::-1], random.Random(5).sample(rows, len(rows))):
        found = balance(order)
        assert (found.opening_fen, found.closing_fen) == tuple(
            parse_fen(expected[one]) for one in ("opening", "closing")
        )
        assert found.off_by_fen == 0
    came, went = (
        sum(row.amount_fen for row in rows if row.amount_fen > 0),
        sum(row.amount_fen for row in rows if row.amount_fen < 0),
    )
    assert found.receipts_fen + found.fees_returned_fen == came
    assert -(found.refunds_fen + found.fees_fen + found.withdrawals_fen) == went
    assert found.withdrawals_fen == (5_000 if name == WECHAT_FUNDS else 0)
    assert (found.others_fen, found.others) == (0, {})
    assert balance(rows, opening_fen=found.opening_fen - 1).off_by_fen == 1, (
        "the day before closed with another balance"
    )


@pytest.mark.parametrize(
    ("channel", "name", "funds"), [("wechat", WECHAT, WECHAT_FUNDS), ("alipay", ALIPAY, ALIPAY_FUNDS)]
)
def test_every_trade_and_its_fee_moved_on_the_account(channel, name, funds):
    (_, trades), (_, moved) = read(name), read(funds)
    assert three_way(channel, DAY, lambda: trades, lambda: moved) == []
    fee = next(row for row in moved if row.kind == FundKind.FEE)
    [missing] = three_way(channel, DAY, lambda: trades, lambda: [row for row in moved if row is not fee])
    assert (missing.kind, missing.moved, missing.ours_fen, missing.theirs_fen) == (
        K.FUND_ONLY_TRADES, FundKind.FEE, fee.amount_fen, None,
    )  # fmt: skip
    [extra] = three_way(channel, DAY, lambda: trades, lambda: [*moved, fee])
    assert (extra.kind, extra.moved, extra.ours_fen, extra.theirs_fen) == (
        K.FUND_ONLY_FUNDS, FundKind.FEE, None, fee.amount_fen,
    )  # fmt: skip


# --- differences ---


def test_the_sample_day_has_exactly_its_eight_differences():
    found = [
        (channel, one)
        for channel, name in (("wechat", WECHAT), ("alipay", ALIPAY))
        for one in found_by(channel, name).differences
    ]
    assert (
        sorted(
            Wanted(
                channel,
                one.kind,
                one.out_refund_no or one.out_trade_no,
                one.ours_fen,
                one.theirs_fen,
                one.proposed,
                "matched" if one.closes_itself else "open",
            )
            for channel, one in found
        )
        == samples.wanted()
    )
    numbers = {one.out_trade_no: one.provider_no for _, one in found}
    assert numbers | PROVIDER_NOS == numbers


def test_each_row_of_both_sides_is_in_one_pair_or_one_difference():
    for channel, name, pairs in (("wechat", WECHAT, 4), ("alipay", ALIPAY, 5)):
        found = found_by(channel, name)
        _, rows = read(name)
        met = [pair.theirs.n for pair in found.pairs] + [one.bill_row for one in found.differences if one.bill_row]
        assert (sorted(met), len(found.pairs)) == (list(range(1, len(rows) + 1)), pairs)
        ours = [pair.ours for pair in found.pairs] + [one.ours for one in found.differences if one.ours]
        assert set(ours) == set(books(channel).ours)
        by_ours = [pair.ours.out_refund_no for pair in found.pairs if pair.by == "out_trade_no"]
        assert by_ours == (["RKM20260601120000B002-1"] if channel == "alipay" else [])
        assert len(ours) == len(set(ours))


def test_a_second_run_on_rows_in_any_order_finds_the_same():
    first = found_by("wechat", WECHAT).differences
    _, rows = read(WECHAT)
    for seed in range(5):
        chance = random.Random(seed)
        ours = books("wechat")
        chance.shuffle(ours.ours)
        again = run("wechat", DAY, chance.sample(rows, len(rows)), ours).differences
        assert again == first


def test_our_day_before_finds_its_payment_in_the_next_bill():
    """Until that is there it is ours only; with it, the pair is a day apart, and no error."""
    before, ours = DAY - timedelta(days=1), books("wechat")
    [alone] = run("wechat", before, [], ours).differences
    assert (alone.kind, alone.out_trade_no, alone.closes_itself) == (K.ONLY_OURS, "KM20260531235950A001", False)
    ours.neighbours = read(WECHAT)[1]
    [shifted] = run("wechat", before, [], ours).differences
    assert (shifted.kind, shifted.out_trade_no, shifted.closes_itself) == (K.DATE_SHIFT, alone.out_trade_no, True)
    assert (shifted.bill_row, shifted.off_by_fen) == (None, 0)


# --- what a file is ---


@pytest.mark.parametrize(
    ("name", "channel", "kind", "layout", "merchant_id", "covers"),
    [
        (WECHAT, "wechat", "trades", "ALL", "1900000001", {"payment", "refund"}),
        (f"{WECHAT}.gz", "wechat", "trades", "ALL", "1900000001", {"payment", "refund"}),
        (WECHAT.replace("ALL", "SUCCESS"), "wechat", "trades", "SUCCESS", "1900000001", {"payment"}),
        (WECHAT.replace("ALL", "REFUND"), "wechat", "trades", "REFUND", "1900000001", {"refund"}),
        (WECHAT_FUNDS, "wechat", "funds", "BASIC", "1900000001", set()),
        (ALIPAY, "alipay", "trades", "业务明细", "2088101000000001", {"payment", "refund"}),
        (ALIPAY_FUNDS, "alipay", "funds", "账务明细", "2088101000000001", set()),
    ],
)
def test_a_dropped_file_says_what_it_is_whatever_it_is_called(name, channel, kind, layout, merchant_id, covers):
    head = sniff(io.BytesIO((samples.FOLDER / name).read_bytes()), "download (1)")
    assert (head.channel, head.kind, head.layout, head.day) == (channel, kind, layout, DAY)
    assert (head.merchant_id, head.covers) == (merchant_id, covers)
