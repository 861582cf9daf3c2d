"""`kameng-server keys add|show|test|drop`: channels as a merchant sets them up, and what is never printed."""

import json
from datetime import timedelta

import pytest

from server.crypto import KeyRing
from shared import clock
from tests.server.channel import pem_of, public_pem_of
from tests.server.gateways.listener import Said, listening, unsigned
from tests.server.gateways.test_setup import KEY, OTHER
from tests.server.gateways.test_wechat_hosts import certificates
from tests.server.gateways.wechat_pay import (
    API_V3_KEY,
    MERCHANT_SERIAL,
    NEXT_API_V3_KEY,
    PUBLIC_KEY_ID,
    WechatPay,
    new_certificate,
)
from tests.server.test_cli import shop  # noqa: F401 - a fixture
from tests.world import ANNA, MERCHANT, world

PRIVATE, PUBLIC = pem_of(KEY).decode(), public_pem_of(OTHER).decode()


@pytest.fixture
def keys(shop, tmp_path):  # noqa: F811 - the fixture above
    """Run `keys ...`; files named in a command are made of the texts given."""
    assert shop("keys", "init")[0] == 0

    def run(*argv, text="", files=None, **env):
        for name, content in (files or {}).items():
            (tmp_path / name).write_text(content)
        return shop("keys", *(str(tmp_path / one) if one in (files or {}) else one for one in argv), text=text, **env)

    run.ring = lambda: KeyRing.load(shop.data / "keyring.json")
    return run


WECHAT = (
    *("add", "wechat", "--mchid", "1900000109", "--app-id", "wxd678efh567hg6787"),
    *("--merchant-serial", MERCHANT_SERIAL, "--private-key", "apiclient_key.pem", "--api-v3-key", "-"),
    *("--public-key-id", PUBLIC_KEY_ID, "--public-key", "pub_key.pem"),
)
FILES = {"apiclient_key.pem": PRIVATE, "pub_key.pem": PUBLIC}


def test_a_channel_is_set_up_shown_and_dropped_without_a_secret_on_the_way(keys):
    status, out, err = keys(*WECHAT, text=API_V3_KEY.decode() + "\n", files=FILES)
    assert (status, out) == (0, ""), "WeChat Pay is handed no key: its certificate has it"
    assert "1900000109" in err
    assert "公钥" not in err
    assert "keys test wechat" in err
    assert keys("add", "wechat", "--api-v3-key", "new.txt", files={"new.txt": NEXT_API_V3_KEY.decode()})[0] == 0
    record = keys.ring().channel("wechat")
    assert (record["api_v3_key"], record["api_v3_key_previous"]) == (NEXT_API_V3_KEY.decode(), API_V3_KEY.decode())
    status, shown, _ = keys("show")
    assert status == 0
    for public in (
        "wechat 1900000109",
        MERCHANT_SERIAL,
        PUBLIC_KEY_ID,
        "api-v3-key: •••\n  api-v3-key: ••• (previous)",
    ):
        assert public in shown
    for secret in ("PRIVATE", API_V3_KEY.decode(), NEXT_API_V3_KEY.decode()):
        assert secret not in out + err + shown
    assert keys("add", "wechat", "--discard-previous")[0] == 0
    assert "api_v3_key_previous" not in keys.ring().channel("wechat")
    assert keys("drop", "wechat")[0] == 0
    assert keys.ring().channels() == []
    status, _, err = keys("drop", "wechat")
    assert (status, err) == (2, "没有登记支付渠道“wechat”，没有什么可删除。已登记的：-。\n")


def test_alipay_gets_a_pair_made_here_and_is_told_what_is_missing(keys):
    status, out, err = keys("add", "alipay", "--app-id", "2021000122600000", "--seller-id", "2088102146225135")
    assert (status, out.startswith("-----BEGIN PUBLIC KEY-----")) == (0, True)
    assert err == "上面的公钥请提交给渠道。\n已保存渠道 alipay，还缺少 --public-key。\n"
    assert keys("test", "alipay")[0] == 2
    body = "".join(PUBLIC.splitlines()[1:-1])
    status, again, err = keys("add", "alipay", "--public-key", "alipay.txt", files={"alipay.txt": body})
    assert (status, again) == (0, out)
    assert "keys test alipay" in err
    shown = keys("show")[1]
    assert "".join(out.splitlines()[1:-1]) in shown.splitlines()  # in one line, as Alipay's console takes it


def test_epay_warns_who_sets_it_up(keys):
    status, _, err = keys(
        "add", "epay", "--pid", "1001", "--url", "https://pay.example.cn", "--key", "-", text="k" * 32
    )
    assert status == 0
    assert "四方支付" in err
    assert "k" * 32 not in err + keys("show")[1]


@pytest.mark.parametrize(
    ("argv", "files", "says"),
    [
        (("add", "wechat"), {}, "可用的参数：--mchid --app-id"),
        (("add", "wechat", "--public-key", "none.pem"), {}, "“--public-key”填写有误：找不到文件 none.pem\n"),
        (("add", "wechat", "--public-key", "."), {}, "“--public-key”填写有误：. 是文件夹\n"),
        (("add", "wechat", "--public-key", "key.pem"), {"key.pem": "not a key"}, "内容不是公钥，或不完整"),
        (("add", "wechat", "--public-key", "big.pem"), {"big.pem": "x" * 65_537}, "65536"),
        (("add", "wechat", "--public-key", "a.pem"), {"a.pem": PRIVATE}, "这是私钥，不是公钥；请用 --private-key 给出"),
        (("add", "wechat", "--api-v3-key", "key.txt"), {"key.txt": "short"}, "应为“APIv3 密钥文件（32 个字符）”\n"),
        (("add", "wechat", "--mchid", "abc"), {}, "“--mchid”填写有误：应为“商户号（8 到 10 位）”\n"),
        (("test", "wechat"), {}, "wechat"),
    ],
)
def test_what_cannot_be_used_changes_nothing_and_is_named(keys, argv, files, says):
    status, out, err = keys(*argv, files=files)
    assert (status, out, says in err) == (2, "", True)
    assert keys.ring().channels() == []


# --- the trial ---


@pytest.fixture(scope="module")
def wechat():
    return WechatPay()


def no_such(wechat, **changes):
    """WeChat Pay's answer to a number it does not know, signed now."""
    return wechat.says({"code": "ORDER_NOT_EXIST"}, 404, **{"at": clock.now()} | changes)


def set_up(keys, wechat, **changes):
    files = FILES | {"pub_key.pem": public_pem_of(changes.get("key", wechat.key)).decode()}
    assert keys(*WECHAT, text=API_V3_KEY.decode(), files=files)[0] == 0
    assert keys("add", "wechat", "--mchid", "9012345678")[0] == 0  # a stand-in sees no real merchant's keys


def test_a_good_set_up_passes_its_trial_and_leaves_nothing_behind(keys, wechat):
    set_up(keys, wechat)
    with listening(no_such(wechat)) as server:
        status, out, _ = keys("test", "wechat", KAMENG_SANDBOX_URL=server.url)
    assert (status, "配置正确" in out) == (0, True)
    assert [target.partition("TEST-")[0] for target in server.targets] == [
        "GET /wechat/v3/pay/transactions/out-trade-no/"
    ]


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (lambda w: unsigned(401, {"code": "SIGN_ERROR", "message": "签名错误"}), "证书序列号"),
        (lambda w: no_such(w, key=w.certificate_key), "渠道公钥文件"),
        (lambda w: no_such(w, serial="PUB_KEY_ID_0000000000"), "公钥 ID"),
        (lambda w: no_such(w, at=clock.now() - timedelta(minutes=6)), "校准本机时钟"),
        (lambda _: lambda _asked: Said(200, {"Date": "Sun, 22 Nov 2020 09:14:03 GMT"}, b"{}"), "与渠道相差"),
    ],
)
def test_a_trial_says_what_is_wrong(keys, wechat, answer, says):
    set_up(keys, wechat)
    with listening(answer(wechat)) as server:
        status, out, _ = keys("test", "wechat", KAMENG_SANDBOX_URL=server.url)
    assert (status, says in out) == (1, True), out
    assert "PRIVATE" not in out


def test_nobody_at_the_address(keys, wechat):
    set_up(keys, wechat)
    with listening(unsigned(200, b"")) as server:
        pass
    status, out, _ = keys("test", "wechat", KAMENG_SANDBOX_URL=server.url)
    assert (status, "连接不上渠道" in out) == (1, True)


def test_a_trial_in_certificate_mode_renews_the_certificates(keys, wechat):
    with clock.fixed(clock.now()):
        fresh = new_certificate(wechat.key, serial=0xF00D, days=(-400, 4_000))
        held = new_certificate(wechat.certificate_key, serial=wechat.serial, days=(-400, 4_000)).decode()
        argv = [one for one in WECHAT if one not in {"--public-key-id", PUBLIC_KEY_ID, "--public-key", "pub_key.pem"}]
        files = FILES | {"old.pem": held}
        assert keys(*argv, "--platform-certificate", "old.pem", text=API_V3_KEY.decode(), files=files)[0] == 0
        assert keys("add", "wechat", "--mchid", "9012345678")[0] == 0
        by = {"serial": wechat.certificate_serial, "at": clock.now()}
        answers = [
            wechat.says({"code": "ORDER_NOT_EXIST"}, 404, **by),
            wechat.says(certificates(wechat, fresh, serial="F00D"), **by),
        ]
        with listening(answers) as server:
            assert keys("test", "wechat", KAMENG_SANDBOX_URL=server.url)[0] == 0
    assert server.targets[1] == "GET /wechat/v3/certificates"
    assert "platform-certificate: 2" in keys("show")[1]
    assert json.dumps(keys.ring().channel("wechat")).count("BEGIN CERTIFICATE") == 2


def test_a_channel_is_not_dropped_while_its_money_is_under_way(keys, tmp_path):
    with world("sqlite", tmp_path / "world") as built:
        built.ctx.keys.change_channel("sandbox", lambda _none: {"merchant_id": MERCHANT, "public": PUBLIC})
        built.stock("STEAM-50", 2)
        built.buy(ANNA, "STEAM-50")
        built.place(ANNA, "STEAM-50")
        settings = built.ctx.settings
        its = {"KAMENG_DATA": str(settings.data), "KAMENG_DATABASE_URL": settings.database_url}
        before = settings.key_ring_file.read_bytes()
        status, out, err = keys("drop", "sandbox", **its)
        assert (status, out, "1 笔未了结的付款、0 笔未了结的退款" in err) == (2, "", True), err
        assert settings.key_ring_file.read_bytes() == before
        assert keys("drop", "sandbox", "--yes", **its)[0] == 0
        assert KeyRing.load(settings.key_ring_file).channels() == []
