"""Payments are read from trade bills in the true layouts: made-up data of another hand, in `tests/data/bills`."""

from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from server.gateways.bill_lines import UnreadableBill, payments_of
from server.gateways.port import Bill
from tests.server.gateways.bill_files import repacked, zipped

SAMPLES = Path(__file__).parents[2] / "data" / "bills"
DAY = date(2026, 6, 1)


def bill(channel, content, *, kind="trades"):
    return Bill(channel, kind, DAY, "bill", content)


def wechat(which="ALL", edit=lambda text: text):
    content = (SAMPLES / f"wechat_trade_bill_{which}_2026-06-01.csv").read_bytes()
    return bill("wechat", edit(content.decode()).encode())


def alipay(edit=lambda text: text):
    packed = (SAMPLES / "20881010000000010156_20260601.csv.zip").read_bytes()
    return bill("alipay", repacked(packed, lambda content: edit(content.decode("gb18030")).encode("gb18030")))


def told(found):
    return [(one.fact.out_trade_no, one.fact.amount_fen, one.fee_fen) for one in found]


def test_wechats_payments_are_read_by_the_names_of_columns_and_its_refunds_are_left_out():
    found = list(payments_of(wechat()))
    assert len(found) == 8
    by_number = {one.fact.out_trade_no: one for one in found}
    one = by_number["KM20260531235950A001"]
    assert (one.fact.provider_no, one.fact.amount_fen, one.fee_fen) == ("4200001101202606010000000001", 1_250, 8)
    assert (one.fact.merchant_id, one.fact.app_id, one.fact.state) == ("1900000001", "wx0000000000000001", "paid")
    assert one.fact.paid_at == datetime(2026, 5, 31, 16, 0, 7, tzinfo=UTC), "Beijing time"
    assert sorted(told(payments_of(wechat("SUCCESS")))) == sorted(told(found)), "other columns, the same payments"


def test_an_old_merchants_columns_and_one_nobody_knew_are_read_as_well():
    whole = told(payments_of(wechat("SUCCESS")))
    assert told(payments_of(wechat("SUCCESS", lambda text: text.replace(",订单金额", ",总金额", 1)))) == whole

    def wider(text):
        header, *lines = text.split("\r\n")
        return "\r\n".join([header + ",新的一列", *(f"{x},`?" if x.startswith(("`4", "`2")) else x for x in lines)])

    assert told(payments_of(wechat("SUCCESS", wider)))[:3] == whole[:3]


def test_alipays_payments_are_read_also_where_a_name_or_a_remark_has_commas():
    found = list(payments_of(alipay()))
    assert told(found) == [
        ("KM20260601080000B001", 2_500, 15),
        ("KM20260601120000B002", 5_000, 30),
        ("KM20260601180000B003", 990, 6),
        ("KM20260601200000B004", 19_800, 119),
    ]
    assert (found[0].fact.merchant_id, found[0].fact.currency) == ("2088101000000001", "CNY")
    commas = alipay(lambda text: text.replace("图书兑换码", "书,码,,一本").replace("-0.30,0.00,", "-0.30,0.00,备,注"))
    assert told(payments_of(commas)) == told(found)


@pytest.mark.parametrize(
    "broken",
    [
        wechat(edit=lambda text: text.replace("商户订单号", "商户单号", 1)),
        wechat(edit=lambda text: text.replace("`12.50,", "`12.505,")),
        alipay(lambda text: text.replace("完成时间", "时间", 1)),
        alipay(lambda text: text.replace("#账号", "#帐户", 1)),
        alipay(lambda text: text.partition("2026060122001400000000000004")[0]),
        alipay(lambda text: text.replace("交易合计：4笔", "交易合计：5笔")),
        alipay(lambda text: text.replace(",198.00,198.00,", ",198.00,189.00,")),
        wechat(edit=lambda text: text.partition("总交易单数")[0]),
        bill("wechat", "交易时间,商户订单号\r\n<html>".encode()),
        bill("alipay", zipped(("20881010000000010156_20260601_业务明细(汇总).csv", b""))),
        bill("epay", b""),
        bill("wechat", b"", kind="funds"),
    ],
)
def test_a_bill_that_lacks_something_is_refused_as_a_whole(broken):
    with pytest.raises(UnreadableBill):
        payments_of(broken)
