"""Bills are written as the channels write them, from what happened that day, with the differences a tester planted.

The files in `tests/data/bills` are made-up data in the true layouts, written by another hand. What they say is read
here and given to the sandbox, and what it writes is compared byte for byte.
"""

import gzip
import io
import re
import zipfile
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest

from server.sandbox import bills_alipay, bills_wechat
from server.sandbox.bills import (
    BillLine,
    Difference,
    FieldWanted,
    NoSuchLine,
    closing_fen,
    fee_of,
    left_fen,
    lines_before,
    lines_of,
    with_differences,
    with_fees_returned,
)
from server.sandbox.moments import BEIJING
from tests.rsa_keys import rsa_key
from tests.server.sandbox.alipay_shop import AlipayShop

SAMPLES = Path(__file__).parents[2] / "data" / "bills"
DAY = date(2026, 6, 1)
MERCHANT, SELLER = "1900000001", "2088101000000001"
PRODUCTS = {"NATIVE": "qr", "MWEB": "h5", "JSAPI": "jsapi"}


def ms(text):
    return int(datetime.strptime(text, "%Y-%m-%d %H:%M:%S").replace(tzinfo=BEIJING).timestamp()) * 1000


def fen(text):
    return round(float(text) * 100)


def rows_of(content):
    """The rows of a file of WeChat Pay by the names of its columns; the two lines of totals are left out."""
    header, *rows = content.decode("utf-8-sig").split("\r\n")[:-3]
    return [dict(zip(header.split(","), row[1:].split(",`"), strict=True)) for row in rows]


def wechat_lines():
    """What the samples say, as the sandbox keeps it."""
    ends = {row["微信退款单号"]: row["退款成功时间"] for row in rows_of(sample("trade_bill_REFUND"))}
    return lines_of(
        with_fees_returned(
            BillLine(
                kind="refund" if row["交易状态"] == "REFUND" else "payment",
                at_ms=ms(row["交易时间"]),
                created_at_ms=ms(row["交易时间"]),
                provider_no=row["微信订单号"],
                out_trade_no=row["商户订单号"],
                amount_fen=fen(row["订单金额"]) + fen(row["申请退款金额"]),
                fee_fen=0,
                subject=row["商品名称"],
                app_id=row["公众账号ID"],
                product=PRODUCTS[row["交易类型"]],
                payer=row["用户标识"],
                bank=row["付款银行"],
                refund_no=row["微信退款单号"].removeprefix("0"),
                out_refund_no=row["商户退款单号"].removeprefix("0"),
                ends_at_ms=ms(ends[row["微信退款单号"]]) if ends.get(row["微信退款单号"]) else None,
            )
            for row in rows_of(sample("trade_bill_ALL"))
        ),
        DAY,
    )


def sample(name):
    return (SAMPLES / f"wechat_{name}_2026-06-01.csv").read_bytes()


def wechat(bill_type, lines=None, **options):
    lines = wechat_lines() if lines is None else lines
    return bills_wechat.trade_bill(lines, merchant_id=MERCHANT, bill_type=bill_type, **options)


# --- WeChat Pay ---


def test_a_day_at_wechat_pay_is_written_byte_for_byte():
    assert wechat("ALL") == sample("trade_bill_ALL")
    assert wechat("REFUND") == sample("trade_bill_REFUND")
    # Real rows are in no order of time, and neither are the sample's.
    head, *ours = wechat("SUCCESS").split(b"\r\n")
    other_head, *theirs = sample("trade_bill_SUCCESS").split(b"\r\n")
    assert head == other_head
    assert (sorted(ours[:-3]), ours[-3:]) == (sorted(theirs[:-3]), theirs[-3:])
    assert [len(wechat(kind).split(b"\r\n")[0].split(b",")) for kind in ("ALL", "SUCCESS", "REFUND")] == [27, 20, 29]
    assert gzip.decompress(bills_wechat.packed(wechat("ALL"))) == wechat("ALL")
    assert bills_wechat.packed(wechat("ALL")) == bills_wechat.packed(wechat("ALL"))


def test_old_merchants_have_fewer_columns_under_other_names():
    header, *rows, totals, figures, end = wechat("ALL", is_old_merchant=True).decode("utf-8-sig").split("\r\n")
    new = sample("trade_bill_ALL").decode("utf-8-sig").split("\r\n")
    assert header == (
        "交易时间,公众账号ID,商户号,特约商户号,设备号,微信订单号,商户订单号,用户标识,交易类型,交易状态,付款银行,货币种类,总金额,"
        "企业红包金额,微信退款单号,商户退款单号,退款金额,企业红包退款金额,退款类型,退款状态,商品名称,商户数据包,手续费,费率"
    )
    assert [row.split(",`") for row in rows] == [row.split(",`")[:24] for row in new[1:11]]
    assert (totals, end) == ("总交易单数,总交易额,总退款金额,总企业红包退款金额,手续费总金额", "")
    assert figures == "`10,`222.41,`120.00,`0.00,`0.63000"
    counts = [len(wechat(kind, is_old_merchant=True).split(b"\r\n")[0].split(b",")) for kind in ("SUCCESS", "REFUND")]
    assert counts == [18, 26]


def test_wechat_pays_fund_flow_has_a_movement_for_each_fee():
    """The sample also has a payout, which no line of a trade bill knows: its own figures are left out of both."""
    ours = bills_wechat.fund_flow_bill(wechat_lines(), merchant_id=MERCHANT, opening_fen=50000)
    theirs = sample("fundflow_BASIC")
    head = theirs.split(b"\r\n")[0]
    assert ours.split(b"\r\n")[0] == head

    def movements(content):
        rows = [row for row in rows_of(content) if row["业务类型"] != "提现"]
        balances = [fen(row.pop("账户结余(元)")) for row in rows]
        return [row | {"资金流水单号": row["资金流水单号"][:18]} for row in rows], balances

    payout = 5000
    (our_rows, our_balances), (their_rows, their_balances) = movements(ours), movements(theirs)
    assert our_rows == their_rows
    assert our_balances == their_balances[:2] + [balance + payout for balance in their_balances[2:]]
    assert closing_fen(wechat_lines(), opening_fen=50000) == our_balances[-1]
    assert ours.decode().split("\r\n")[-3:] == [
        "资金流水总笔数,收入笔数,收入金额,支出笔数,支出金额",
        "`19,`10,`223.13,`9,`121.35",
        "",
    ]


def test_a_day_without_trades_has_no_bill():
    assert wechat("ALL", []) is None
    assert wechat("REFUND", [line for line in wechat_lines() if line.kind == "payment"]) is None
    assert bills_wechat.fund_flow_bill([], merchant_id=MERCHANT, opening_fen=1) is None
    assert bills_alipay.trade_bill([], seller_id=SELLER, day=DAY) is None
    assert bills_alipay.fund_bill([], seller_id=SELLER, day=DAY, opening_fen=1) is None


# --- Alipay ---


def files_of(zipped):
    """The files of a zip by their names, which are GBK and not flagged as anything else."""
    with zipfile.ZipFile(io.BytesIO(zipped)) as archive:
        assert archive.testzip() is None
        assert [member.flag_bits for member in archive.infolist()] == [0, 0]
        return {
            member.orig_filename.encode("cp437").decode("gbk"): archive.read(member) for member in archive.infolist()
        }


def alipay_sample(kind=""):
    return files_of((SAMPLES / f"20881010000000010156_20260601{kind}.csv.zip").read_bytes())


def alipay_lines():
    text = alipay_sample()["20881010000000010156_20260601_业务明细.csv"].decode("gb18030")
    rows = [[cell.rstrip("\t") for cell in row.split(",")] for row in text.split("\r\n") if row and row[0] != "#"]
    named = [dict(zip(rows[0], row, strict=True)) for row in rows[1:]]
    return lines_of(
        with_fees_returned(
            BillLine(
                kind="payment" if row["业务类型"] == "交易" else "refund",
                at_ms=ms(row["完成时间"]),
                created_at_ms=ms(row["创建时间"]),
                provider_no=row["支付宝交易号"],
                out_trade_no=row["商户订单号"],
                amount_fen=abs(fen(row["订单金额（元）"])),
                fee_fen=0,
                subject=row["商品名称"],
                app_id="",
                product="page",
                payer=row["对方账户"],
                out_refund_no=row["退款批次号/请求号"],
                reason=row["备注"],
            )
            for row in named
        ),
        DAY,
    )


def comparable(files, *, masked=""):
    """Files without what is no fact: how long a line of dashes is, the second of export, numbers of movements."""

    def clean(content):
        text = re.sub(r"-{30,}", "--", content.decode("gb18030"))
        text = re.sub(r"(?<=导出时间：\[2026年06月02日 09:10:)\d\d", "SS", text)
        return re.sub(masked, "N", text, flags=re.MULTILINE) if masked else text

    return {name: clean(content) for name, content in files.items()}


def test_a_day_at_alipay_is_written_byte_for_byte():
    ours = files_of(bills_alipay.trade_bill(alipay_lines(), seller_id=SELLER, day=DAY))
    assert comparable(ours) == comparable(alipay_sample())
    assert "年卡㐂" in ours["20881010000000010156_20260601_业务明细.csv"].decode("gb18030")
    with pytest.raises(UnicodeDecodeError):
        ours["20881010000000010156_20260601_业务明细.csv"].decode("gbk")


def test_alipays_movements_are_written_byte_for_byte():
    zipped = bills_alipay.fund_bill(alipay_lines(), seller_id=SELLER, day=DAY, opening_fen=100000)
    number = r"^\d{14}(?=\t)"
    assert comparable(files_of(zipped), masked=number) == comparable(alipay_sample("_fund"), masked=number)
    assert closing_fen(alipay_lines(), opening_fen=100000) == 127126
    assert (
        bills_alipay.file_name(seller_id=SELLER, day=DAY, bill_type="trade") == "20881010000000010156_20260601.csv.zip"
    )
    name = bills_alipay.file_name(seller_id=SELLER, day=DAY, bill_type="signcustomer")
    assert name == "20881010000000010156_20260601_fund.csv.zip"


# --- days, fees, differences ---


def paid(number, at, amount_fen=10000, **changes):
    facts = {
        "kind": "payment",
        "at_ms": ms(at),
        "created_at_ms": ms(at) - 30000,
        "provider_no": f"42{number:>026}",
        "out_trade_no": f"KM-{number:>08}",
        "amount_fen": amount_fen,
        "fee_fen": fee_of(amount_fen),
        "subject": "月卡",
        "app_id": "wx1",
        "product": "qr",
        "payer": "o1",
    }
    return BillLine(**facts | changes)


def refunded(number, at, amount_fen, nth=1, **changes):
    numbers = {"refund_no": f"50{number:>026}{nth}", "out_refund_no": f"RKM-{number:>08}-{nth}"}
    return paid(number, at, amount_fen, kind="refund", **numbers | {"ends_at_ms": ms(at) + 3000} | changes)


def test_a_day_is_one_of_beijing_by_the_moment_of_payment():
    lines = [
        paid(1, "2026-06-01 00:00:00"),
        paid(2, "2026-06-01 23:59:59"),
        # Ordered before midnight, paid after it.
        paid(3, "2026-06-02 00:00:00", created_at_ms=ms("2026-06-01 23:59:00")),
        refunded(1, "2026-06-02 00:00:01", 100),
    ]
    assert [line.number for line in lines_of(reversed(lines), DAY)] == ["KM-00000001", "KM-00000002"]
    assert [line.number for line in lines_of(lines, date(2026, 6, 2))] == ["KM-00000003", "RKM-00000001-1"]
    assert [line.number for line in lines_before(lines, date(2026, 6, 2))] == ["KM-00000001", "KM-00000002"]


def test_a_bill_says_of_a_refund_what_was_known_when_it_was_made():
    soon = refunded(1, "2026-06-01 20:00:00", 100, ends_at_ms=ms("2026-06-02 09:10:11"))
    late = refunded(2, "2026-06-01 20:00:00", 100, ends_at_ms=ms("2026-06-02 09:10:12"))
    states = {
        row["商户退款单号"]: (row["退款状态"], row["退款成功时间"]) for row in rows_of(wechat("REFUND", [soon, late]))
    }
    assert states == {"RKM-00000001-1": ("SUCCESS", "2026-06-02 09:10:11"), "RKM-00000002-1": ("PROCESSING", "")}


def test_refunds_give_back_the_fee_and_no_fen_more():
    lines = [paid(1, "2026-06-01 08:00:00", 1250), *(refunded(1, "2026-06-01 09:00:00", 417, n) for n in (1, 2))]
    lines.append(refunded(1, "2026-06-01 10:00:00", 416, 3))
    priced = with_fees_returned(lines)
    assert [line.fee_fen for line in priced] == [8, 3, 2, 3]
    assert closing_fen(priced, opening_fen=7) == 7
    days = [paid(1, "2026-06-01 08:00:00", 1250), refunded(1, "2026-06-02 08:00:00", 1250, 1)]
    days += [paid(2, "2026-06-03 08:00:00", 1000)]
    left = [left_fen(days[:n], opening_fen=7) for n in range(4)]
    assert left == [7, 7, -1235, -241], "what came is withdrawn that night, and lacks for what goes back"
    assert [fee_of(amount) for amount in (1, 83, 84, 1250, 10000)] == [0, 0, 1, 8, 60]


LINES = (paid(1, "2026-06-01 08:00:00"), paid(2, "2026-06-01 23:59:59"), refunded(1, "2026-06-01 09:00:00", 4000))


@pytest.mark.parametrize(
    ("difference", "figures"),
    [
        (None, "`3,`200.00,`40.00,`0.00,`0.96000,`200.00,`40.00"),
        (Difference(kind="missing", number="KM-00000002"), "`2,`100.00,`40.00,`0.00,`0.36000,`100.00,`40.00"),
        (
            Difference(kind="extra", number="OTHER-1", amount_fen=500, day=DAY),
            "`4,`205.00,`40.00,`0.00,`0.99000,`205.00,`40.00",
        ),
        (
            Difference(kind="amount", number="KM-00000001", amount_fen=9990),
            "`3,`199.90,`40.00,`0.00,`0.96000,`199.90,`40.00",
        ),
        (
            Difference(kind="fee", number="RKM-00000001-1", amount_fen=0),
            "`3,`200.00,`40.00,`0.00,`1.20000,`200.00,`40.00",
        ),
        (Difference(kind="duplicate", number="RKM-00000001-1"), "`4,`200.00,`80.00,`0.00,`0.72000,`200.00,`80.00"),
        (Difference(kind="other_day", number="KM-00000002"), "`2,`100.00,`40.00,`0.00,`0.36000,`100.00,`40.00"),
    ],
    ids=lambda value: value.kind if isinstance(value, Difference) else "",
)
def test_a_planted_difference_changes_the_rows_and_the_totals(difference, figures):
    lines = with_differences(LINES, [difference] if difference else [])
    bill = wechat("ALL", lines_of(lines, DAY))
    assert bill.decode().split("\r\n")[-2] == figures
    if difference and difference.kind == "other_day":
        assert [line.number for line in lines_of(lines, date(2026, 6, 2))] == ["KM-00000002"]


def test_a_planted_state_changes_no_figure():
    told = with_differences(
        LINES, [Difference(kind="state", number="KM-00000001"), Difference(kind="state", number="RKM-00000001-1")]
    )
    assert [(row["交易状态"], row["退款状态"]) for row in rows_of(wechat("ALL", told))] == [
        ("REFUND", "PROCESSING"),
        ("SUCCESS", ""),
        ("REVOKED", ""),
    ]
    assert [row["商户订单号"] for row in rows_of(wechat("SUCCESS", told))] == ["KM-00000002"]
    runs = refunded(2, "2026-06-01 09:00:00", 100, ends_at_ms=None)
    through = with_differences([runs], [Difference(kind="state", number=runs.number)])
    assert rows_of(wechat("REFUND", through))[0]["退款成功时间"] == "2026-06-01 09:00:00"


def test_a_difference_must_be_about_something():
    with pytest.raises(NoSuchLine, match="KM-00000009"):
        with_differences(LINES, [Difference(kind="missing", number="KM-00000009")])
    with pytest.raises(FieldWanted, match="amount_fen"):
        Difference(kind="fee", number="KM-00000001")
    with pytest.raises(FieldWanted, match="day"):
        Difference(kind="extra", number="KM-00000001", amount_fen=1)


# --- over the wire ---


def today():
    """The sandbox's: it is another one by the time that these tests run, where others before them ran over midnight."""
    return datetime.now(BEIJING).date()


@pytest.fixture(scope="module")
def shop(sandbox):
    """A seller of its own: its bills have what these tests do and nothing else."""
    shop = AlipayShop(sandbox, app_id="9021000122600002", seller_id="2088102146225136", key=rsa_key("other")).register()
    yield shop
    shop.http.delete(f"{sandbox.url}/api/bill-differences")
    shop.http.close()


def bill_address(shop, bill_type="trade", day=None):
    content = {"bill_type": bill_type, "bill_date": (day or today()).isoformat()}
    return shop.sdk.server_api("alipay.data.dataservice.bill.downloadurl.query", content)


def order_fault(shop, **fault):
    answer = shop.http.post(f"{shop.sandbox.url}/api/faults", json={"merchant_id": shop.seller_id} | fault)
    assert answer.status_code == 201, answer.text


def plant(shop, **difference):
    whose = {"channel": "alipay", "merchant_id": shop.seller_id}
    return shop.http.post(f"{shop.sandbox.url}/api/bill-differences", json=whose | difference)


def rows(zipped, name):
    text = next(content for file, content in files_of(zipped).items() if file.endswith(f"_{name}.csv")).decode("gbk")
    return [[cell.strip() for cell in row.split(",")] for row in text.split("\r\n") if row and row[0] != "#"][1:]


def totals(zipped, name):
    text = next(content for file, content in files_of(zipped).items() if file.endswith(f"_{name}.csv")).decode("gbk")
    return [row for row in text.split("\r\n") if row.startswith("#") and "合计" in row]


def test_a_bill_is_made_of_what_happened_and_of_what_was_planted(shop, sandbox):
    assert bill_address(shop)["sub_code"] == "isp.bill_not_exist"  # the day is not over
    order_fault(shop, name="bill_at_once")
    assert bill_address(shop)["sub_code"] == "isp.bill_not_exist"  # nothing happened
    for number, amount in (("BILL-0001", "100.00"), ("BILL-0002", "50.00")):
        shop.paid(number, amount=amount)
    shop.sdk.api_alipay_trade_refund("30.00", "BILL-0001", out_request_no="RBILL-0001", refund_reason="未发货")
    shop.paid("BILL-0003", amount="9.90", refund_outcome="closed")
    shop.sdk.api_alipay_trade_refund("1.00", "BILL-0003", out_request_no="RBILL-0003")  # fails: nothing moves
    trade_no = shop.sdk.api_alipay_trade_query("BILL-0001")["trade_no"]

    said = bill_address(shop)
    assert said["code"] == "10000"
    fetched = shop.http.get(said["bill_download_url"])
    assert (fetched.status_code, fetched.headers["content-type"]) == (200, "application/octet-stream")
    lines = rows(fetched.content, "业务明细")
    assert [(line[1], line[2], line[11], line[21], line[22]) for line in lines] == [
        ("BILL-0001", "交易", "100.00", "", "-0.60"),
        ("BILL-0002", "交易", "50.00", "", "-0.30"),
        ("BILL-0003", "交易", "9.90", "", "-0.06"),
        ("BILL-0001", "退款", "-30.00", "RBILL-0001", "0.18"),
    ]
    assert (lines[0][0], lines[3][24]) == (trade_no, "未发货")
    assert totals(fetched.content, "业务明细") == [
        "#交易合计：3笔，商家实收共159.90元，商家优惠共0.00元",
        "#退款合计：1笔，商家实收退款共-30.00元，商家优惠退款共0.00元",
    ]
    funds = shop.http.get(bill_address(shop, "signcustomer")["bill_download_url"]).content
    *_, moved, withdrawn = rows(funds, "账务明细")
    assert moved[8] == "100129.12", "100000 to begin with"
    assert withdrawn[6:9] + withdrawn[10:11] == ["0.00", "-129.12", "100000.00", "提现"], "what is beyond it"
    assert shop.http.get(f"{sandbox.url}/alipay/downloadBillFile.resource?fileId=none").status_code == 403
    assert bill_address(shop, day=date(2020, 1, 1))["sub_code"] == "isp.bill_not_exist"
    wrong = shop.sdk.server_api("alipay.data.dataservice.bill.downloadurl.query", {"bill_type": "trade"})
    assert wrong["sub_code"] == "ACQ.INVALID_PARAMETER"

    planted = [
        {"kind": "missing", "number": "BILL-0002"},
        {"kind": "amount", "number": "BILL-0001", "amount_fen": 10010},
        {"kind": "duplicate", "number": "RBILL-0001"},
        {"kind": "extra", "number": "OTHER-0001", "amount_fen": 500, "day": today().isoformat()},
        {"kind": "other_day", "number": "BILL-0003"},
    ]
    assert [plant(shop, **one).status_code for one in planted] == [201] * 5
    lied = shop.http.get(bill_address(shop)["bill_download_url"]).content
    assert sorted((line[1], line[11]) for line in rows(lied, "业务明细")) == [
        ("BILL-0001", "-30.00"),
        ("BILL-0001", "-30.00"),
        ("BILL-0001", "100.10"),
        ("OTHER-0001", "5.00"),
    ]
    listed = {"channel": "alipay", "merchant_id": shop.seller_id, "day": (today() + timedelta(days=1)).isoformat()}
    tomorrow = shop.http.get(f"{sandbox.url}/api/bills", params=listed).json()
    assert [line["number"] for line in tomorrow["lines"]] == ["BILL-0003"]
    assert [one["kind"] for one in tomorrow["differences"]] == [one["kind"] for one in planted]
    shop.http.delete(f"{sandbox.url}/api/bill-differences/{tomorrow['differences'][0]['id']}")
    shop.http.delete(f"{sandbox.url}/api/bill-differences")
    again = shop.http.get(bill_address(shop)["bill_download_url"]).content
    assert rows(again, "业务明细") == lines


@pytest.mark.parametrize(
    ("wanted", "wrong"),
    [
        ({"kind": "missing", "number": "NOBODY"}, "number"),
        ({"kind": "gone", "number": "BILL-0001"}, "kind"),
        ({"kind": "state", "number": "BILL-0001"}, "kind"),  # Alipay's bills name no state
        ({"kind": "extra", "number": "OTHER", "amount_fen": 1}, "day"),
        ({"kind": "amount", "number": "BILL-0001"}, "amount_fen"),
        ({"kind": "amount", "number": "BILL-0001", "amount_fen": -1}, "amount_fen"),
        ({"kind": "missing", "number": "BILL-0001", "channel": "sandbox"}, "channel"),
        ({"kind": "missing", "number": "BILL-0001", "why": "x"}, "why"),
    ],
)
def test_a_difference_that_makes_no_sense_is_refused(shop, wanted, wrong):
    answer = plant(shop, **wanted)
    assert (answer.status_code, answer.json()) == (400, {"error": wrong})
    assert shop.http.post(f"{shop.sandbox.url}/api/bill-differences", content=b"{}").status_code == 400


def test_a_person_plants_a_difference_and_takes_the_file_away(shop, sandbox):
    shop.paid("PERSON-0001", amount="12.50")
    merchant, day = f"alipay/{shop.seller_id}", today().isoformat()
    page = f"{sandbox.url}/bills?merchant={merchant}&day={day}"
    assert "支付宝 · 晴川点卡专营店" in shop.http.get(page).text
    form = {"merchant": merchant, "day": day, "action": "plant", "kind": "fee", "number": "PERSON-0001"}
    assert shop.http.post(f"{sandbox.url}/bills", data=form).status_code == 400
    planted = shop.http.post(f"{sandbox.url}/bills", data=form | {"amount_fen": "77"})
    assert (planted.status_code, planted.headers["location"]) == (303, page.removeprefix(sandbox.url))
    shown = shop.http.get(page).text
    assert "手续费不同 · ¥0.77" in shown
    english = shop.http.get(page, headers={"Accept-Language": "en"}).text
    assert "Another fee · ¥0.77" in english

    file = shop.http.get(f"{sandbox.url}/bills/{merchant}/{day}/trades")
    assert (
        file.headers["content-disposition"] == f'attachment; filename="{shop.seller_id}0156_{today():%Y%m%d}.csv.zip"'
    )
    assert [line[22] for line in rows(file.content, "业务明细") if line[1] == "PERSON-0001"] == ["-0.77"]
    assert files_of(shop.http.get(f"{sandbox.url}/bills/{merchant}/{day}/funds").content)
    for nowhere in (f"{merchant}/2020-01-01/trades", f"{merchant}/{day}/nothing", f"epay/1001/{day}/trades"):
        assert shop.http.get(f"{sandbox.url}/bills/{nowhere}").status_code == 404
    end = re.search(r'name="id" value="(\d+)"', shown)[1]
    assert shop.http.post(f"{sandbox.url}/bills", data=form | {"action": "end", "id": end}).status_code == 303
    assert "账单说的都是真的" in shop.http.get(page).text
    for bad in ({"merchant": "alipay/nobody"}, {"action": "burn"}, {"action": "end", "id": "x"}):
        assert shop.http.post(f"{sandbox.url}/bills", data=form | bad).status_code == 400
