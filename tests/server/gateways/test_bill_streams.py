"""Whatever a bill's file unpacks to, it is read in little memory and little time, or refused."""

import gzip
import io
import struct
import tracemalloc
import zipfile

import pytest

from server.gateways.bill_lines import opened
from server.gateways.bill_rows import CutOffBill, MissingColumn, UnreadableBill
from server.gateways.bill_streams import MOST_TIMES, sha1s
from tests.server.gateways.bill_files import as_alipay_packs, encrypted, zipped

STORED = zipped(("a.csv", b"12345678"), method=zipfile.ZIP_STORED)
MOST_BYTES = 12 * 2**20

WECHAT = "交易时间,商户号,微信订单号,商户订单号,交易状态,应结订单金额,微信退款单号,手续费,订单金额,申请退款金额\r\n"
ALIPAY = (
    "#支付宝业务明细查询\r\n#账号：[20881010000000010156]\r\n"
    "#起始日期：[2026年06月01日 00:00:00]   终止日期：[2026年06月02日 00:00:00]\r\n#--业务明细列表--\r\n"
    "支付宝交易号,商户订单号,业务类型,商品名称,创建时间,完成时间,订单金额（元）,商家实收（元）,退款批次号/请求号,服务费（元）,备注\r\n"
)


def many(line, *, times=2**20):
    """So many lines that do not repeat: packed, they take more than a hundredth of what they are."""
    return b"".join(line % n for n in range(times))


ENDLESS = {
    "totals": lambda: gzip.compress(f"{WECHAT}总交易单数\r\n".encode() + many(b"x%d\r\n"), 1),
    "comments": lambda: ALIPAY.encode("gb18030") + many(b"#%d\r\n"),
    "a line": lambda: ALIPAY.encode("gb18030") + b"x" * 2**24,
    "nothing but ends": lambda: gzip.compress(WECHAT.encode() + b"\r\n" * 2**24),
    "a zip of nothing": lambda: zipped(("a.csv", ALIPAY.encode("gb18030") + b"\r\n" * 2**24)),
}
"""Made by their test alone: they take a second, and each worker imports each file."""


def read(content):
    bill = opened(io.BytesIO(content), "bill")
    return sum(1 for _ in bill.trades())


# --- what is more than any bill has ---


@pytest.mark.parametrize(
    ("label", "refusal", "says"),
    [
        ("totals", MissingColumn, "总交易单数"),
        ("comments", CutOffBill, "comments without end"),
        ("a line", CutOffBill, "a line without end"),
        ("nothing but ends", CutOffBill, "too large"),
        ("a zip of nothing", CutOffBill, "too large"),
    ],
)
def test_what_never_ends_is_refused_before_it_is_held(label, refusal, says):
    content = ENDLESS[label]()
    tracemalloc.start()
    try:
        with pytest.raises(refusal, match=says):
            read(content)
        assert tracemalloc.get_traced_memory()[1] < MOST_BYTES, label
    finally:
        tracemalloc.stop()


def test_what_repeats_itself_as_much_as_a_bill_may_is_read():
    just = b"0" * (MOST_TIMES << 10)
    assert len(gzip.compress(just)) > 100
    [digest] = sha1s(gzip.compress(just))
    assert [digest] == sha1s(just) == sha1s(zipped(("a.csv", just)))
    with pytest.raises(CutOffBill, match="too large"):
        sha1s(gzip.compress(b"0" * (MOST_TIMES << 16)))


def directory_of(entries, *, is_zip64=False):
    """What ends an archive of so many files, none of which is there."""
    entry = struct.pack("<4s4B4HL2L5H2L", b"PK\x01\x02", 20, 0, 20, *[0] * 8, 1, *[0] * 6) + b"a"
    directory = entry * entries
    count = min(entries, 0xFFFF)
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, count, count, len(directory), 4, 0)
    wide = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, entries, entries, len(directory), 4)
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, 4 + len(directory), 1)
    return b"PK\x03\x04" + directory + (wide + locator if is_zip64 else b"") + end


@pytest.mark.parametrize("entries", [2_000, 100_000])
@pytest.mark.parametrize("is_zip64", [False, True])
def test_an_archive_of_many_files_is_refused_before_its_directory_is_read(entries, is_zip64):
    content = directory_of(entries, is_zip64=is_zip64)
    tracemalloc.start()
    try:
        with pytest.raises(CutOffBill, match="zip"):
            read(content)
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()


# --- what is no bill's file ---


@pytest.mark.parametrize(
    ("label", "packed", "reason"),
    [
        ("a path upwards", zipped(("../a.csv", b"1")), "zip, contents"),
        ("a path from the root", zipped(("/etc/a.csv", b"1")), "zip, contents"),
        ("a folder", zipped(("a/", b"")), "zip, contents"),
        ("a path of Windows", as_alipay_packs(("..\\a.csv", b"1")), "zip, contents"),
        ("nothing in it", zipped(), "zip, contents"),
        ("too many", zipped(*((f"{n}.csv", b"") for n in range(17))), "zip, contents"),
        ("one byte changed", STORED.replace(b"12345678", b"12345679"), "unpacking, BadZipFile"),
        ("a password", encrypted(STORED), "unpacking, RuntimeError"),
        ("its end alone", b"PK\x05\x06", "zip, end"),
        ("no end", STORED[:-22], "zip, end"),
        ("more behind it", gzip.compress(b"1") + b"0", "unpacking, EOFError"),
        ("more much later", gzip.compress(b"1") + b"0" * 2**17, "unpacking, EOFError"),
        ("another one behind it", gzip.compress(bytes(2**16)) * 2, "unpacking, EOFError"),
        ("cut off", gzip.compress(b"1")[:-1], "unpacking, EOFError"),
    ],
    ids=lambda one: one if isinstance(one, str) else "",  # what is packed has the time in it
)
def test_a_file_is_unpacked_with_care(label, packed, reason):
    with pytest.raises(CutOffBill) as damaged:
        sha1s(packed)
    assert damaged.value.reason == reason, label
    assert damaged.value.sentence("zh") == "账单文件不完整或已损坏，请重新下载。", "without words of another language"


def test_what_stands_behind_a_file_that_ends_with_a_block_is_seen():
    sizes = range(2**16 - 100, 2**16)
    block = next(one for one in (gzip.compress(bytes(n), compresslevel=0) for n in sizes) if len(one) == 2**16)
    assert len(sha1s(block)) == 1
    with pytest.raises(CutOffBill, match="EOFError"):
        sha1s(block + b"more")


# --- texts ---


@pytest.mark.parametrize("control", ["\0", "\x1b", "\x85", "\t"])
def test_what_no_database_or_sheet_takes_shows_as_such_in_texts_and_refuses_a_number(control):
    row = "`2026-06-01 10:00:00,`1900000001,`42,`KM{},`SUCCESS,`1.00,`0,`0.01000,`1.00,`0.00,`点{}卡　x"
    totals = "总交易单数,手续费总金额\r\n`1,`0.01000\r\n"
    header = WECHAT.replace("\r\n", ",商品名称\r\n")

    def rows(number, name):
        text = f"{header}{row.format(number, name)}\r\n{totals}"
        return list(opened(io.BytesIO(text.encode()), "bill").trades())

    [one] = rows("1", control)
    assert (one.subject, one.out_trade_no) == ("点\ufffd卡　x", "KM1")
    with pytest.raises(UnreadableBill, match="商户订单号"):
        rows(control, "")
