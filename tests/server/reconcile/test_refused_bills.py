"""A bill that was cut off, changed, or is not the wanted one is refused as a whole, with a sentence that says why."""

import gzip
import io
import zipfile
from datetime import date
from pathlib import Path

import pytest

from server.gateways.bill_lines import opened, sniff
from server.gateways.bill_rows import (
    CutOffBill,
    MissingColumn,
    NotABill,
    UnreadableRow,
    WrongDay,
    WrongMerchant,
    WrongTotal,
)
from server.sandbox import bills_wechat
from tests.server.reconcile.days import DAY, Day

SAMPLES = Path(__file__).parents[2] / "data" / "bills"
ALL, SUCCESS, REFUND = (f"wechat_trade_bill_{which}_2026-06-01.csv" for which in ("ALL", "SUCCESS", "REFUND"))
FUNDS = "wechat_fundflow_BASIC_2026-06-01.csv"
ALIPAY, ALIPAY_FUNDS = "20881010000000010156_20260601.csv.zip", "20881010000000010156_20260601_fund.csv.zip"


def rows_of(content, name="bill"):
    bill = opened(io.BytesIO(content), name)
    return list(bill.trades() if bill.head.kind == "trades" else bill.funds())


def wechat(name, *changes):
    """A sample with texts replaced, once each."""
    text = (SAMPLES / name).read_bytes().decode("utf-8-sig")
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    return text.encode("utf-8-sig")


def alipay(name, *changes, without=None):
    """A sample's zip with texts replaced, wherever they are, or without one of its files."""
    packed = io.BytesIO()
    with zipfile.ZipFile(SAMPLES / name, metadata_encoding="gb18030") as whole, zipfile.ZipFile(packed, "w") as made:
        for member in whole.infolist():
            if without and without in member.filename:
                continue
            text = whole.read(member).decode("gb18030")
            for old, new in changes:
                text = text.replace(old, new)
            made.writestr(member.filename, text.encode("gb18030"))
    return packed.getvalue()


def line_with(name, what):
    """The whole line of a sample that has this."""
    text = (SAMPLES / name).read_bytes().decode("utf-8-sig")
    return next(f"{line}\r\n" for line in text.split("\r\n") if what in line)


SWALLOWED = ("0.00,0.00,0.00,0.00,0.00,,0.00\t,0.00,\t,-1.19,0.00,\r\n2", "0.00,0.00,0.00,0.00,0.00,,0.19,0\n2")
"""What a row loses, the end of its line among it, so that its last text may be the whole of the next row."""


# --- totals ---


@pytest.mark.parametrize(
    ("content", "figure", "printed", "read"),
    [
        (wechat(ALL, (line_with(ALL, "OTHER-SYS"), "")), "总交易单数", "10", "9"),
        (wechat(ALL, ("`49.90,`0.00,`0,`0", "`49.91,`0.00,`0,`0")), "应结订单总金额", "222.41", "222.42"),
        (wechat(ALL, ("`30.00,`0.00,`\r\n", "`31.00,`0.00,`\r\n")), "订单总金额", "222.41", "223.41"),
        (wechat(ALL, ("`-0.12000", "`0.12000")), "手续费总金额", "0.63000", "0.87000"),
        (wechat(ALL, ("`0.30000", "`0.30001")), "手续费总金额", "0.63000", "0.63001"),
        (wechat(ALL, (",`120.00\r\n", ",`120.01\r\n")), "申请退款总金额", "120.01", "120.00"),
        (wechat(ALL, ("`10,`222.41", "`11,`222.41")), "总交易单数", "11", "10"),
        (wechat(FUNDS, (line_with(FUNDS, "提现"), "")), "资金流水总笔数", "20", "19"),
        (wechat(FUNDS, ("`支出,`50.00", "`收入,`50.00")), "收入笔数", "10", "11"),
        (wechat(FUNDS, ("`支出,`0.60", "`支出,`0.61")), "支出金额", "171.35", "171.36"),
        (alipay(ALIPAY, ("交易合计：4笔", "交易合计：5笔")), "交易合计笔数", "5", "4"),
        (alipay(ALIPAY, (",198.00,198.00,", ",198.00,189.00,")), "交易合计 商家实收(元)", "282.90", "273.90"),
        (alipay(ALIPAY, ("共-10.00元", "共-11.00元")), "退款合计 商家实收(元)", "-11.00", "-10.00"),
        (alipay(ALIPAY, (",198.00,198.00,", ",199.00,198.00,")), "订单金额(元)", "272.90", "273.90"),
        (alipay(ALIPAY, (",-1.19,0.00,", ",-1.20,0.00,")), "服务费(元)", "-1.64", "-1.65"),
        (alipay(ALIPAY, ("-1.64,0.00,271.26", "-1.64,0.00,271.62")), "实收净额(元)", "271.62", "271.26"),
        (alipay(ALIPAY_FUNDS, ("支出合计：5笔", "支出合计：6笔")), "支出合计笔数", "6", "5"),
        (alipay(ALIPAY_FUNDS, ("0.00,-1.19,", "0.00,-1.18,")), "支出合计", "-11.70", "-11.69"),
        (alipay(ALIPAY_FUNDS, ("合计,5,282.96", "合计,6,282.96")), "收入笔数", "6", "5"),
    ],
)
def test_rows_that_do_not_add_up_to_what_is_printed_refuse_the_file(content, figure, printed, read):
    with pytest.raises(WrongTotal) as refused:
        rows_of(content)
    assert refused.value.params == {"reason": figure, "figure": figure, "printed": printed, "read": read}
    for language in ("zh", "en"):
        sentence = refused.value.sentence(language)
        assert all(word in sentence for word in (figure, printed, read)), sentence


# --- what is missing, or is something else ---


@pytest.mark.parametrize(
    ("content", "refusal", "says"),
    [
        (wechat(ALL)[:-60], MissingColumn, "总交易单数"),
        (wechat(ALL)[:900], UnreadableRow, "2"),
        (wechat(ALL).partition("总交易单数".encode())[0], MissingColumn, "总交易单数"),
        (wechat(ALL, ("商户订单号", "商户单号")), MissingColumn, "商户订单号"),
        (wechat(SUCCESS, (",订单金额", ",实付金额")), MissingColumn, "订单金额"),
        (wechat(ALL, (",手续费总金额", ",其他")), MissingColumn, "手续费总金额"),
        (wechat(FUNDS, ("账户结余(元)", "结余")), MissingColumn, "账户结余(元)"),
        (wechat(ALL, ("`30.00,`0.00,`0,`0", "`3e1,`0.00,`0,`0")), UnreadableRow, "应结订单金额"),
        (wechat(ALL, ("`30.00,`0.00,`0,`0", "`-30.00,`0.00,`0,`0")), UnreadableRow, "应结订单金额"),
        (wechat(ALL, ("`30.00,`0.00,`0,`0", "`30.005,`0.00,`0,`0")), UnreadableRow, "应结订单金额"),
        (wechat(ALL, ("`4200001101202606010000000007", "`4.2E+27")), UnreadableRow, "微信订单号"),
        (wechat(ALL, ("`SUCCESS,`OTHERS", "`USERPAYING,`OTHERS")), UnreadableRow, "交易状态"),
        (wechat(ALL, ("`KM20260601235940A006", "`" + "K" * 65)), UnreadableRow, "商户订单号"),
        (wechat(ALL, ("2026-06-01 16:00:00", "2026-06-01 16:00")), UnreadableRow, "3"),
        (wechat(ALL, ("2026-06-01 16:00:00", "2026-06-02 16:00:00")), WrongDay, "2026-06-02"),
        (wechat(FUNDS, ("2026-06-01 16:00:00", "2026-05-31 16:00:00")), WrongDay, "2026-05-31"),
        (
            wechat(ALL, ("1900000001,`0,`,`4200001101202606010000000008", "1900000002,`0,`,`42")),
            WrongMerchant,
            "1900000002",
        ),
        (alipay(ALIPAY, ("终止日期：[2026年06月02日", "终止日期：[2026年07月01日")), WrongDay, "2026-06-30"),
        (alipay(ALIPAY, ("2026-06-01 18:02:00", "2026-06-02 00:00:10")), WrongDay, "2026-06-02"),
        (alipay(ALIPAY, ("#账号", "#帐户")), MissingColumn, "账号"),
        (alipay(ALIPAY, ("完成时间", "时间")), MissingColumn, "完成时间"),
        (alipay(ALIPAY, ("#交易合计", "#合计")), MissingColumn, "交易合计"),
        (alipay(ALIPAY, ("商家优惠退款", "商家")), MissingColumn, "退款合计"),
        (alipay(ALIPAY, SWALLOWED, ("#退款合计", "#")), UnreadableRow, "4"),
        (alipay(ALIPAY, ("退款\t,", "转账\t,")), UnreadableRow, "业务类型"),
        (alipay(ALIPAY, ("-10.00,-10.00,", "10.00,-10.00,")), UnreadableRow, "订单金额(元)"),
        (alipay(ALIPAY, ("合计\t,", "小计\t,")), MissingColumn, "合计"),
        (alipay(ALIPAY_FUNDS, ("#收入合计", "#合计")), MissingColumn, "收入合计"),
        (alipay(ALIPAY, without="业务明细.csv"), NotABill, "bill"),
        (b"name,amount\r\nli,5\r\n", NotABill, "bill"),
        (b"", NotABill, "bill"),
        ("<html>登录</html>".encode("gbk"), NotABill, "bill"),
        (b"\x89PNG\r\n\x1a\n" + bytes(64), NotABill, "bill"),
        (gzip.compress(wechat(ALL))[:-20], CutOffBill, "unpacking"),
        (gzip.compress(wechat(ALL)) + b"more", CutOffBill, "unpacking"),
        (alipay(ALIPAY)[:-30], CutOffBill, "zip"),
        (wechat(ALL, ("点卡30元", "点" * 200_000)) + b"`" * 2**21, CutOffBill, "line"),
    ],
)
def test_what_cannot_be_used_is_refused_with_what_is_wrong(content, refusal, says):
    with pytest.raises(refusal) as refused:
        rows_of(content)
    assert says in refused.value.sentence("en")
    assert (says if refusal is not CutOffBill else "不完整或已损坏") in refused.value.sentence("zh")
    assert len(refused.value.reason) < 100
    assert refused.value.status == 400


@pytest.mark.parametrize("bill_type", ["ALL", "SUCCESS", "REFUND"])
def test_a_row_too_long_is_found_also_where_another_one_is_too_short(bill_type):
    day = Day("wechat", 2_000)
    lines = [*day.lines.values(), *day.refunds.values()]
    content = bills_wechat.trade_bill(lines, merchant_id="1900000001", bill_type=bill_type)
    assert len(content) > 2**16, "more than is read at once"
    header, *rows = content.split(b"\r\n")
    rows[4], rows[6] = rows[4] + b",`", rows[6].replace(b",`,`", b",`", 1)
    with pytest.raises(UnreadableRow):
        rows_of(b"\r\n".join([header, *rows]))


def test_a_file_that_was_changed_in_its_archive_is_found_out():
    packed = bytearray(alipay(ALIPAY))
    packed[200] ^= 1
    with pytest.raises(CutOffBill):
        rows_of(bytes(packed))


def test_a_summary_of_another_day_or_account_does_not_pass_for_this_ones():
    later = alipay(
        ALIPAY,
        ("终止日期：[2026年06月02日", "终止日期：[2026年06月03日"),
        ("起始日期：[2026年06月01日", "起始日期：[2026年06月02日"),
    )
    other = alipay(ALIPAY, ("20881010000000010156", "20881010000000020156"))
    for changed, refusal in ((later, WrongDay), (other, WrongMerchant)):
        mixed = io.BytesIO()
        with zipfile.ZipFile(mixed, "w") as made:
            for content, part in ((alipay(ALIPAY), "业务明细.csv"), (changed, "(汇总)")):
                with zipfile.ZipFile(io.BytesIO(content)) as whole:
                    name = next(one for one in whole.namelist() if part in one)
                    made.writestr(name, whole.read(name))
        with pytest.raises(refusal):
            rows_of(mixed.getvalue())


def test_only_the_bill_that_is_wanted_will_do():
    bill = opened(io.BytesIO(wechat(ALL)), "bill")
    bill.require(channel="wechat", kind="trades", day=DAY, merchant_id="1900000001")
    with pytest.raises(WrongDay, match="2026-06-01") as refused:
        bill.require(channel="wechat", day=date(2026, 6, 2))
    assert "2026-06-02" in refused.value.sentence()
    with pytest.raises(WrongMerchant, match="1900000009"):
        bill.require(channel="wechat", day=DAY, merchant_id="1900000009")
    with pytest.raises(WrongMerchant, match="ours is Alipay"):
        bill.require(channel="alipay", day=DAY)
    with pytest.raises(WrongDay, match="funds"):
        bill.require(channel="wechat", kind="funds", day=DAY)
    with pytest.raises(MissingColumn):
        bill.funds()


# --- what differs, and is read all the same ---


def test_the_columns_of_all_merchants_and_ages_say_the_same():
    day = Day("wechat", 40)
    lines = [*day.lines.values(), *day.refunds.values()]

    def told(bill_type, **more):
        content = bills_wechat.trade_bill(lines, merchant_id="1900000001", bill_type=bill_type, **more)
        bill = opened(io.BytesIO(content), "bill")
        rows = [(*row[1:10], row.at, row.subject) for row in bill.trades()]
        return content.decode("utf-8-sig").split("\r\n")[0].count(",") + 1, bill.head.layout, sorted(rows)

    width, layout, whole = told("ALL")
    assert (width, layout, len(whole)) == (27, "ALL", 48)
    assert told("ALL", is_old_merchant=True) == (24, "ALL", whole)
    assert told("SUCCESS") == (20, "SUCCESS", [row for row in whole if row[0] == "payment"])
    assert told("REFUND") == (29, "REFUND", [row for row in whole if row[0] == "refund"])


@pytest.mark.parametrize("name", [ALL, FUNDS])
def test_marks_line_ends_encodings_packing_and_counts_do_not_matter(name):
    whole = rows_of(wechat(name))
    text = wechat(name).decode("utf-8-sig")
    for other in (
        text.encode(),
        text.replace("\r\n", "\n").encode("utf-8-sig"),
        text.encode("gb18030"),
        gzip.compress(text.encode()),
        text.rstrip("\r\n").encode(),
        text.replace("`10,`222.41", "`10.0,`222.41").replace("`20,`10,", "`20.0,`10.0,").encode(),
        text.replace("(元)", "（元）").encode(),
    ):
        assert rows_of(other) == whole


def test_names_keep_their_commas_and_their_line_ends_stay_text():
    changed = wechat(ALL, ("`点卡30元", "`点卡\\r\\n30, 元"))
    assert rows_of(changed)[0].subject == "点卡\\r\\n30, 元"
    whole = rows_of(alipay(ALIPAY))
    commas = alipay(
        ALIPAY,
        ("图书兑换码", "书,码,,一本"),
        ("0.00,,0.00\t", "0.00,满,减,0.00\t"),
        ("0.00,用户退款", "0.00,用户,退款"),
    )
    found = rows_of(commas)
    assert found[0].subject == "书,码,,一本"
    assert [row[:14] for row in found] == [row[:14] for row in whole]


def test_the_sign_of_alipays_fees_is_what_leads_to_its_net():
    whole = rows_of(alipay(ALIPAY))
    flipped = [(f",{one},0.00,", f",{-float(one):.2f},0.00,") for one in ("-0.15", "-0.30", "-0.06", "-1.19", "0.06")]
    text = [("0.06,0.00,用户", "?"), *flipped[:4], ("?", "-0.06,0.00,用户"), ("-1.64", "1.64")]
    assert rows_of(alipay(ALIPAY, *text)) == whole


def test_a_day_without_trade_and_a_bill_without_a_summary_are_read():
    head, _, totals = wechat(ALL).decode("utf-8-sig").partition("\r\n")
    empty = f"{head}\r\n总交易单数,应结订单总金额,手续费总金额\r\n`0,`0.00,`0.00000\r\n".encode("utf-8-sig")
    assert totals
    bill = opened(io.BytesIO(empty), "bill")
    assert (list(bill.trades()), bill.rows, bill.head.day) == ([], 0, None)
    alone = alipay(ALIPAY, without="汇总")
    assert rows_of(alone) == rows_of(alipay(ALIPAY))
    with zipfile.ZipFile(io.BytesIO(alone)) as archive:
        plain = archive.read(archive.namelist()[0])
    assert rows_of(plain) == rows_of(alone)
    assert sniff(io.BytesIO(plain), "x.csv") == sniff(io.BytesIO(alone), "x.zip")
