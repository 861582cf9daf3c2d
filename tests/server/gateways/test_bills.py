"""Bills come whole and as the channel made them, or not at all; "none" is never taken for an empty day."""

import asyncio
import gzip
import hashlib
from datetime import date

import pytest

from server.gateways.port import Bill, ChannelRefused, ChannelUnknown
from server.outbound import Outbound
from tests.server.gateways.bill_files import as_alipay_packs, zipped
from tests.server.gateways.listener import Said, listening

DAY = date(2026, 11, 21)
CSV = "\ufeff交易时间,公众账号ID\r\n`2026-11-21 00:00:01,`wxd678efh567hg6787\r\n".encode()
PACKED = gzip.compress(CSV)


def run(work):
    return asyncio.run(work)


# --- WeChat Pay ---


def wechat_bill(wechat, *, content=CSV, file=PACKED, hash_type="SHA1", host=None, status=200):
    """The two answers: where the file is, with its hash; and the file, which nobody signs."""
    server = []

    def where(asked):
        url = (
            f"{host or server[0].url}/v3/billdownload/file?token=6XIv5TUPto%2FByl7c6AVbkwYbrXFH4g2y~XcFe0&tartype=gzip"
        )
        digest = hashlib.sha1(content).hexdigest()
        return wechat.says({"hash_type": hash_type, "hash_value": digest, "download_url": url})(asked)

    return server, [where, lambda _asked: Said(status, {"Content-Type": "application/octet-stream"}, file)]


def downloaded(wechat, kind, **behaviour):
    server, answers = wechat_bill(wechat, **behaviour)
    with listening(answers) as listener:
        server.append(listener)
        bill = run(wechat.gateway(listener.url).download_bill(kind, DAY))
    for one in listener.asked:
        wechat.check(one)
    return bill, listener


@pytest.mark.parametrize(
    ("kind", "target"),
    [
        ("trades", "GET /v3/bill/tradebill?bill_date=2026-11-21&bill_type=ALL&tar_type=GZIP"),
        ("funds", "GET /v3/bill/fundflowbill?bill_date=2026-11-21&account_type=BASIC&tar_type=GZIP"),
    ],
)
def test_wechat_pay_gives_a_bill_byte_for_byte(wechat, kind, target):
    bill, listener = downloaded(wechat, kind)
    assert bill == Bill("wechat", kind, DAY, f"1900000109_{kind}_20261121.csv.gz", PACKED)
    file = "GET /v3/billdownload/file?token=6XIv5TUPto%2FByl7c6AVbkwYbrXFH4g2y~XcFe0&tartype=gzip"
    assert listener.targets == [target, file]
    assert "wxd678" not in repr(bill)


@pytest.mark.parametrize(
    ("label", "behaviour", "detail"),
    [
        ("another file", {"file": gzip.compress(CSV + b"`")}, "bill has another hash"),
        ("cut off", {"file": PACKED[:-9]}, "bill damaged: unpacking, EOFError"),
        ("changed", {"file": PACKED[:20] + bytes([PACKED[20] ^ 1]) + PACKED[21:]}, "bill damaged: unpacking, error"),
        ("two files", {"file": PACKED + PACKED}, "bill damaged: unpacking, EOFError"),
        ("not packed, and another one", {"file": CSV + b"`"}, "bill has another hash"),
        ("nothing", {"file": b""}, "bill has another hash"),
        ("an archive", {"file": zipped(("a.csv", CSV), ("b.csv", CSV))}, "bill has another hash"),
        ("an error's page", {"file": b"<html>", "status": 403}, "bill answered status 403"),
        ("a hash nobody asked for", {"hash_type": "MD5"}, "answer malformed at hash_type"),
        ("at a stranger's", {"host": "http://localhost:9"}, "bill at a foreign address"),
        ("at a neighbour's", {"host": "http://api.mch.weixin.qq.com.example"}, "bill at a foreign address"),
    ],
)
def test_a_bill_of_wechat_pay_that_is_not_the_one_is_refused(wechat, label, behaviour, detail):
    with pytest.raises(ChannelUnknown) as unknown:
        downloaded(wechat, "trades", **behaviour)
    assert unknown.value.detail.startswith(detail), label


def test_a_bill_is_fetched_with_its_own_limits(wechat):
    server, answers = wechat_bill(wechat)
    with listening(answers) as listener:
        server.append(listener)
        gateway = wechat.gateway(listener.url, downloads=Outbound(max_answer_bytes=10))
        with pytest.raises(ChannelUnknown) as unknown:
            run(gateway.download_bill("trades", DAY))
    assert unknown.value.detail == "answer too large"


def test_no_bill_is_none_and_another_no_is_a_refusal(wechat):
    with listening(wechat.says({"code": "NO_STATEMENT_EXIST"}, 400)) as server:
        assert run(wechat.gateway(server.url).download_bill("trades", DAY)) is None
    with listening(wechat.says({"code": "INVALID_REQUEST"}, 400)) as server, pytest.raises(ChannelRefused):
        run(wechat.gateway(server.url).download_bill("trades", DAY))


# --- Alipay ---


DETAIL = ("20881010000000010156_20261121_业务明细.csv", "#支付宝业务明细查询\r\n".encode("gbk"))
SUMMARY = ("20881010000000010156_20261121_业务明细(汇总).csv", "门店编号\t,门店名称\t\r\n".encode("gbk"))
ALIPAY_ZIP = as_alipay_packs(DETAIL, SUMMARY)


def alipay_bill(alipay, *, file=ALIPAY_ZIP, status=200):
    server = []

    def where(asked):
        url = f"{server[0].url}/downloadBillFile.resource?bizType=trade&userId=20881010000000010156&sign=a%2Fb"
        return alipay.says({"code": "10000", "bill_download_url": url})(asked)

    return server, [where, lambda _asked: Said(status, {}, file)]


@pytest.mark.parametrize(("kind", "bill_type"), [("trades", "trade"), ("funds", "signcustomer")])
def test_alipay_gives_a_bill_byte_for_byte(alipay, kind, bill_type):
    server, answers = alipay_bill(alipay)
    with listening(answers) as listener:
        server.append(listener)
        bill = run(alipay.gateway(listener.url).download_bill(kind, DAY))
    assert bill == Bill("alipay", kind, DAY, f"2088102146225135_{kind}_20261121.csv.zip", ALIPAY_ZIP)
    asked, fetched = listener.asked
    assert alipay.check(alipay.parameters(asked)) == {"bill_type": bill_type, "bill_date": "2026-11-21"}
    assert fetched.target == "/downloadBillFile.resource?bizType=trade&userId=20881010000000010156&sign=a%2Fb"


@pytest.mark.parametrize(
    ("label", "behaviour", "detail"),
    [
        ("cut off", {"file": ALIPAY_ZIP[:-30]}, "bill damaged: zip, end"),
        ("a path", {"file": zipped(("../a.csv", b"1"))}, "bill damaged: zip, contents"),
        ("not a zip", {"file": b"<html>"}, "bill is no archive"),
        ("expired", {"status": 404}, "bill answered status 404"),
    ],
)
def test_a_bill_of_alipay_that_is_not_one_is_refused(alipay, label, behaviour, detail):
    server, answers = alipay_bill(alipay, **behaviour)
    with listening(answers) as listener:
        server.append(listener)
        with pytest.raises(ChannelUnknown) as unknown:
            run(alipay.gateway(listener.url).download_bill("trades", DAY))
    assert unknown.value.detail == detail, label


def test_a_file_nobody_sends_is_unknown(alipay):
    server, answers = alipay_bill(alipay)
    with listening(answers) as listener:
        server.append(listener)
        gateway = alipay.gateway(listener.url, downloads=Outbound(max_answer_bytes=10))
        with pytest.raises(ChannelUnknown) as unknown:
            run(gateway.download_bill("trades", DAY))
    assert unknown.value.detail == "answer too large"


def test_alipay_has_no_bill_yet(alipay):
    with listening(alipay.no("isp.bill_not_exist")) as server:
        assert run(alipay.gateway(server.url).download_bill("trades", DAY)) is None
    with listening(alipay.no("isv.insufficient-isv-permissions")) as server, pytest.raises(ChannelRefused):
        run(alipay.gateway(server.url).download_bill("trades", DAY))
