"""Settings are read once, refuse what cannot work and what is weak when live, and never print a secret."""

import os
import stat
from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest

from server.settings import BadSetting, Mode, Settings

LIVE = {
    "KAMENG_MODE": "live",
    "KAMENG_BASE_URL": "https://shop.kami.cn",
    "KAMENG_SHOP_NAME": "卡密小铺",
    "KAMENG_SUPPORT": "400-800-1234",
    "KAMENG_DATABASE_URL": "postgresql+psycopg://shop:G7-long-and-random@db.internal/kameng",
}


def test_without_an_environment_a_demo_runs_on_loopback_and_sqlite(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = Settings.from_environment({})
    assert (settings.mode, settings.host, settings.port) == (Mode.DEMO, "127.0.0.1", 8000)
    assert settings.data == tmp_path / "data"
    assert settings.database_url == f"sqlite:///{tmp_path / 'data' / 'kameng.db'}"
    assert settings.sqlite_file == tmp_path / "data" / "kameng.db"
    assert settings.key_ring_file == tmp_path / "data" / "keyring.json"
    assert settings.base_url == settings.origin == "http://127.0.0.1:8000"
    assert (settings.is_live, settings.is_https, settings.hold_minutes) == (False, False, 15)


def test_a_port_moves_the_address_and_an_address_loses_its_slash():
    assert (
        Settings.from_environment({"KAMENG_PORT": "8123", "KAMENG_HOST": "0.0.0.0"}).base_url == "http://127.0.0.1:8123"
    )
    assert Settings.from_environment({"KAMENG_BASE_URL": "https://a.cn/"}).base_url == "https://a.cn"


def test_figures_of_channels_are_read_by_channel():
    env = {"KAMENG_CHANNEL_FEES": "alipay=5500 wechat=6000", "KAMENG_REFUND_DAYS": " alipay=365 "}
    settings = Settings.from_environment(env)
    assert (settings.channel_fee_ppm, settings.refund_days_of) == ({"alipay": 5500, "wechat": 6000}, {"alipay": 365})
    assert Settings.from_environment({}).refund_days_of == {}


def test_a_sound_live_shop_is_accepted():
    settings = Settings.from_environment(LIVE)
    assert (settings.is_live, settings.is_https, settings.sqlite_file) == (True, True, None)


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("KAMENG_MODE", "production", "demo 或 live"),
        ("KAMENG_PORT", "80a", "1 到 65535"),
        ("KAMENG_PORT", "70000", "1 到 65535"),
        ("KAMENG_BASE_URL", "shop.example", "http(s)://"),
        ("KAMENG_BASE_URL", "https://a.cn/shop", "不能带路径"),
        ("KAMENG_BASE_URL", "https://user@a.cn", "http(s)://"),
        ("KAMENG_SANDBOX_URL", "ftp://a.cn", "http(s)://"),
        ("KAMENG_LOG_LEVEL", "loud", "DEBUG"),
        ("KAMENG_HOLD_MINUTES", "0", "1 到 120"),
        ("KAMENG_LANGUAGE", "fr", "zh、en"),
        ("KAMENG_DATABASE_URL", "kameng", "postgresql+psycopg://"),
        ("KAMENG_DATABASE_URL", "oracle://u:p@db/kameng", "postgresql+psycopg://"),
        ("KAMENG_DATABASE_URL", "mongo://u:p@db/kameng", "postgresql+psycopg://"),
        ("KAMENG_SHOPNAME", "x", "KAMENG_SHOP_NAME"),
        ("KAMENG_CHANNEL_FEES", "wechat=0.6%", "wechat=6000"),
        ("KAMENG_REFUND_DAYS", "alipay", "alipay=365"),
        ("KAMENG_REFUND_DAYS", "alpay=365", "没有渠道 alpay"),
        ("KAMENG_SPLITTING", "wechatpay", "没有渠道 wechatpay"),
        ("KAMENG_NO_FUND_BILLS", "wechat, alipay", "wechat"),
        ("KAMENG_SHARED_MERCHANTS", "wechat,alipay", "wechat"),
        ("KAMENG_SPLITTING", "wechat;alipay", "wechat"),
        ("KAMENG_SPLITTING", "wechat epay", "渠道 epay 不能分账，只有 wechat alipay sandbox 可以"),
        ("KAMENG_REFUND_DAYS", "wechat=365 alipay=0", "alipay 的天数应为 1 到 3650"),
        ("KAMENG_REFUND_DAYS", "alipay=36500", "alipay 的天数应为 1 到 3650"),
    ],
)
def test_what_cannot_work_is_refused_with_its_name_and_a_way_out(name, value, says):
    with pytest.raises(BadSetting) as refused:
        Settings.from_environment({name: value})
    assert name in refused.value.sentence("zh")
    assert says in refused.value.sentence("zh")
    assert "?" not in refused.value.sentence("en").replace("did you mean KAMENG_SHOP_NAME?", "")


@pytest.mark.parametrize(
    ("label", "change"),
    [
        ("plain http", {"KAMENG_BASE_URL": "http://shop.kami.cn"}),
        ("loopback", {"KAMENG_BASE_URL": "https://127.0.0.1"}),
        ("localhost", {"KAMENG_BASE_URL": "https://localhost:8443"}),
        ("example host", {"KAMENG_BASE_URL": "https://shop.example"}),
        ("play money", {"KAMENG_SANDBOX_URL": "https://sandbox.kami.cn"}),
        ("no name", {"KAMENG_SHOP_NAME": ""}),
        ("the demo's name", {"KAMENG_SHOP_NAME": "卡盟演示店"}),
        ("no way to reach it", {"KAMENG_SUPPORT": ""}),
        ("short token", {"KAMENG_METRICS_TOKEN": "short"}),
        ("every proxy", {"KAMENG_TRUSTED_PROXIES": "*"}),
        ("no password", {"KAMENG_DATABASE_URL": "postgresql+psycopg://shop@db/kameng"}),
        ("common password", {"KAMENG_DATABASE_URL": "mariadb+pymysql://shop:Password@db/kameng"}),
        ("login as password", {"KAMENG_DATABASE_URL": "mariadb+pymysql://shop:shop@db/kameng"}),
        ("written in percents", {"KAMENG_DATABASE_URL": "mariadb+pymysql://shop:%61dmin@db/kameng"}),
        ("among the options", {"KAMENG_DATABASE_URL": "postgresql+psycopg://db/kameng?user=shop&password=admin"}),
    ],
)
def test_live_refuses_what_is_weak(label, change):
    Settings.from_environment(LIVE)
    with pytest.raises(BadSetting) as refused:
        Settings.from_environment(LIVE | change)
    assert refused.value.params["name"] in {*change}


def test_printing_settings_shows_no_secret():
    ring, token, password = '{"format": 1, "mac": "c2VjcmV0"}', "metrics-token-0123456789", "G7-long-and-random"
    settings = Settings.from_environment(LIVE | {"KAMENG_KEY_RING": ring, "KAMENG_METRICS_TOKEN": token})
    for shown in (str(settings), repr(settings), f"{settings}", str(settings.redacted())):
        assert not any(secret in shown for secret in (ring, "c2VjcmV0", token, password))
        assert "shop:•••@db.internal" in shown


@pytest.mark.parametrize(
    "address",
    [
        "postgresql+psycopg://shop:G7#long@db/kameng",
        "postgresql+psycopg://shop:G7/long@db/kameng",
        "postgresql+psycopg://shop:G7?long@db/kameng",
        "postgresql+psycopg://shop:G7[long@db/kameng",
        "postgresql+psycopg://shop:G7:long@db/kameng?sslmode=require",
        "postgresql+psycopg://db/kameng?user=shop&password=G7-long",
        "postgresql+psycopg://shop@db/kameng?sslpassword=G7-long",
    ],
)
def test_no_way_to_write_a_password_shows_it(address):
    settings = Settings.from_environment(LIVE | {"KAMENG_DATABASE_URL": address, "KAMENG_MODE": "demo"})
    assert settings.database_url == address
    for shown in (str(settings), repr(settings)):
        assert "long" not in shown
        assert "•••" in shown
        assert "db/kameng" in shown


def test_settings_are_frozen():
    with pytest.raises(FrozenInstanceError):
        Settings.from_environment({}).port = 1


@pytest.fixture
def umask():
    before = os.umask(0o022)
    yield
    os.umask(before)


def test_the_data_folder_and_what_is_made_after_it_are_private(tmp_path, umask):
    settings = Settings.from_environment({"KAMENG_DATA": str(tmp_path / "a" / "data")})
    settings.prepare_data_folder()
    assert stat.S_IMODE(settings.data.stat().st_mode) == 0o700
    made = settings.data / "file"
    made.write_text("x")
    assert stat.S_IMODE(made.stat().st_mode) == 0o600


def test_an_empty_open_folder_is_closed_and_a_full_one_refused_untouched(tmp_path, umask):
    empty, full = tmp_path / "empty", tmp_path / "full"
    for folder in (empty, full):
        folder.mkdir(mode=0o755)
    (full / "letter.txt").write_text("dear")
    Settings.from_environment({"KAMENG_DATA": str(empty)}).prepare_data_folder()
    assert stat.S_IMODE(empty.stat().st_mode) == 0o700
    with pytest.raises(BadSetting, match="bad_setting") as refused:
        Settings.from_environment({"KAMENG_DATA": str(full)}).prepare_data_folder()
    assert "chmod 700" in refused.value.sentence()
    assert stat.S_IMODE(full.stat().st_mode) == 0o755


def test_a_data_folder_that_cannot_be_made_is_a_sentence(tmp_path, umask):
    (tmp_path / "file").write_text("")
    with pytest.raises(BadSetting) as refused:
        Settings.from_environment({"KAMENG_DATA": str(tmp_path / "file" / "data")}).prepare_data_folder()
    assert str(Path(tmp_path / "file" / "data")) in refused.value.sentence()
