"""The command line against the real server: what it prints, what it leaves on the disk, how it exits."""

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path

import openpyxl
import pytest

from desktop import cli
from server.stock.model import StockLot
from shared import clock
from tests.world import ANNA, PASSWORD


def keys_file(folder: Path, lines: list[str], name: str = "keys.txt") -> Path:
    path = folder / name
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


def test_a_file_becomes_stock_and_both_ledgers_add_up(kameng, live_shop, tmp_path):
    keys = live_shop.world.keys("STEAM-50", 12)
    live_shop.world.stock("STEAM-50", keys[:2])
    file = keys_file(tmp_path, [*keys, keys[3], "", "x" * 513])
    status, out, err = kameng(
        "import", file, "--sku", "STEAM-50", "--json", "--refused", tmp_path / "left.xlsx", user="chen"
    )
    assert (status, err) == (0, "")
    told = json.loads(out)
    assert told["file_ledger"] == {"read": 15, "valid": 12, "duplicates": 1, "refused": 1, "skipped": 1}
    assert told["server_ledger"] == {"stored": 10, "duplicates": 2, "refused": 0}
    assert told["adds_up"] is True
    assert told["server_lines"] == [
        {"line": 1, "result": "duplicate_in_stock"},
        {"line": 2, "result": "duplicate_in_stock"},
    ]
    assert told["refused_rows"] == 4
    assert live_shop.world.level("STEAM-50").free == 12
    left = openpyxl.load_workbook(tmp_path / "left.xlsx").active
    assert [row[0].value for row in left.iter_rows(min_row=2)] == [1, 2, 13, 15]


def test_an_import_prints_its_ledgers_for_people(kameng, live_shop, tmp_path):
    file = keys_file(tmp_path, live_shop.world.keys("STEAM-50", 3))
    status, out, _ = kameng("import", file, "--sku", "STEAM-50", user="chen")
    assert status == 0
    assert out.splitlines()[:2] == ["keys.txt → STEAM-50", "读取 3 = 可导入 3 + 重复 0 + 拒绝 0 + 跳过 0"]
    assert out.splitlines()[-1] == "可导入 3 = 已入库 3 + 库存重复 0 + 服务器拒绝 0"
    status, out, _ = kameng("stock", "--sku", "STEAM-50", user="chen", KAMENG_LANG="en_US.UTF-8")
    assert [line.split() for line in out.splitlines()] == [
        ["SKU", "Name", "Supplier", "Imported", "Free", "Held", "Sold", "Void"],
        ["STEAM-50", "Steam", "充值卡", "·", "Steam-50", "星河数码", "3", "3", "0", "0", "0"],
    ]


def test_no_clear_key_stays_on_this_machine(kameng, live_shop, tmp_path):
    keys = live_shop.world.keys("STEAM-50", 200)
    file = keys_file(tmp_path, keys)
    assert kameng("import", file, "--sku", "STEAM-50", user="chen")[0] == 0
    written = b"".join(path.read_bytes() for path in (tmp_path / "home").rglob("*") if path.is_file())
    assert keys[0].encode() not in written
    assert keys[0].encode("utf-16-le") not in written
    with sqlite3.connect(tmp_path / "home" / "outbox.db") as db:
        assert db.execute("SELECT state, valid, stored FROM upload").fetchall() == [("done", 200, 200)]
        assert db.execute("SELECT count(*) FROM upload_chunk").fetchone() == (0,)
    db.close()


def test_the_same_file_twice_needs_a_decision(kameng, live_shop, tmp_path):
    file = keys_file(tmp_path, live_shop.world.keys("STEAM-50", 3))
    with clock.fixed(datetime(2026, 11, 2, 1, 30, tzinfo=UTC)):
        assert kameng("import", file, "--sku", "STEAM-50", user="chen")[0] == 0
    renamed = file.rename(tmp_path / "other name.txt")
    status, out, err = kameng("import", renamed, "--sku", "STEAM-50", user="chen")
    assert (status, out) == (1, "")
    assert err == (
        "确要再次导入，请加 --again。\n"
        "kameng: 您在 2026-11-02 09:30 导入过这个文件（“other name.txt”，到 STEAM-50，内容相同）。"
        "确要再次导入请明确选择；重复的卡密不会重复入库。\n"
    )
    status, out, _ = kameng("import", renamed, "--sku", "STEAM-50", "--again", "--json", user="chen")
    assert (status, json.loads(out)["server_ledger"]) == (0, {"stored": 0, "duplicates": 3, "refused": 0})
    assert live_shop.world.level("STEAM-50").imported == 3


@pytest.mark.parametrize(
    ("content", "sku", "status", "words"),
    [
        pytest.param(b"", "STEAM-50", 2, "“keys.txt”是空的", id="empty"),
        pytest.param(b"PK\x03\x04broken", "STEAM-50", 2, "已损坏或不完整", id="broken workbook"),
        pytest.param(b"\n\n\n", "STEAM-50", 2, "是空的", id="blank lines"),
        pytest.param(b"%PDF-1.7", "STEAM-50", 2, "PDF", id="another kind"),
        pytest.param(None, "STEAM-50", 2, "找不到文件“keys.txt”", id="missing"),
        pytest.param(b"ABCD-EFGH-0001\n", "OFFICE-1Y", 1, "没有编号为“", id="somebody else's SKU"),
        pytest.param(b"ABCD-EFGH-0001\n", "NO-SUCH", 1, "没有编号为“", id="unknown SKU"),
    ],
)
def test_a_bad_import_is_one_sentence_and_changes_nothing(kameng, live_shop, tmp_path, content, sku, status, words):
    if content is not None:
        (tmp_path / "keys.txt").write_bytes(content)
    got, _, err = kameng("import", tmp_path / "keys.txt", "--sku", sku, user="chen")
    assert err.startswith("kameng: ")
    assert words in err
    assert err.count("\n") == 1
    assert got == status
    assert live_shop.world.level("STEAM-50").imported == live_shop.world.level("OFFICE-1Y").imported == 0


def test_a_login_is_kept_in_a_file_under_a_passphrase(kameng, live_shop, tmp_path):
    (tmp_path / "passphrase").write_text("a long local passphrase\n")
    env = {"KAMENG_CREDENTIALS": "file", "KAMENG_PASSPHRASE_FILE": str(tmp_path / "passphrase")}
    login = ("login", "--server", live_shop.url, "--user", "chen", "--password-file", tmp_path / "password")
    status, out, err = kameng(*login, **env)
    assert (status, err) == (0, "")
    assert out == (
        f"已登录 {live_shop.url}：陈星（chen，供应商）。登录凭据保存在 {tmp_path / 'home' / 'credentials.json'}。\n"
    )
    assert kameng("stock", **env)[0] == 0
    (tmp_path / "passphrase").write_text("another passphrase\n")
    status, _, err = kameng("stock", **env)
    assert (status, "口令不正确" in err) == (1, True)
    (tmp_path / "passphrase").write_text("a long local passphrase\n")
    assert kameng("logout", **env)[:2] == (0, "chen 已退出登录。\n")
    assert kameng("stock", **env)[::2] == (
        1,
        "kameng: 尚未登录。请运行 kameng login --server 地址 --user 用户名。\n",
    )
    assert kameng("logout", **env)[:2] == (0, "当前没有登录。\n")


def test_a_login_that_nothing_can_keep_says_so(kameng, live_shop, tmp_path):
    login = ("login", "--server", live_shop.url, "--user", "chen", "--password-file", tmp_path / "password")
    status, out, err = kameng(*login)
    assert (status, out) == (1, "")
    assert "没有可用的密钥环，登录无法保留" in err
    with live_shop.world.ctx.db.read() as tx:
        from server.identity.model import Session

        assert [row.end_reason for row in tx.query(Session)] == ["signed_out"]


def test_a_run_with_a_password_file_leaves_no_session_and_no_account(kameng, live_shop, tmp_path):
    assert kameng("stock", user="li")[0] == 0
    with live_shop.world.ctx.db.read() as tx:
        from server.identity.model import Session

        assert [row.end_reason for row in tx.query(Session)] == ["signed_out"]
    with sqlite3.connect(tmp_path / "home" / "outbox.db") as db:
        assert db.execute("SELECT name FROM setting").fetchall() == []
    db.close()


@pytest.mark.parametrize(
    ("environment", "status", "words"),
    [
        pytest.param(
            {"KAMENG_PASSWORD_FILE": "/nowhere/pw", "KAMENG_USER": "chen"}, 2, "KAMENG_SERVER", id="no server"
        ),
        pytest.param(
            {"KAMENG_PASSWORD_FILE": "/nowhere/pw", "KAMENG_USER": "chen", "KAMENG_SERVER": "localhost:1"},
            2,
            "无法读取密码",
            id="no password file",
        ),
        pytest.param(
            {"KAMENG_TOKEN": "x" * 43, "KAMENG_SERVER": "localhost:1"}, 1, "无法连接服务器", id="no server there"
        ),
        pytest.param({"KAMENG_TOKEN": "x" * 43, "KAMENG_SERVER": "http://shop.example"}, 2, "https", id="plain http"),
        pytest.param({"KAMENG_CREDENTIALS": "paper"}, 2, "keyring | file | memory", id="unknown place"),
        pytest.param({"KAMENG_CREDENTIALS": "keyring"}, 1, "没有可用的系统密钥环", id="no keyring"),
        pytest.param({}, 1, "尚未登录", id="not signed in"),
    ],
)
def test_a_run_that_cannot_sign_in_says_why(kameng, environment, status, words):
    got, out, err = kameng("stock", **environment)
    assert (got, out) == (status, "")
    assert words in err
    assert err.count("\n") == 1


def test_a_borrowed_token_reads_and_imports_only_as_its_device(kameng, live_shop, tmp_path, console):
    lender = console(follow=False)
    lender.sign_in(live_shop.url, "chen")
    token = lender.vault.load(f"chen@{live_shop.url}")
    device = lender.run(lender.engine.stores.outbox(lambda outbox: outbox.device_id()))
    env = {"KAMENG_TOKEN": token, "KAMENG_SERVER": live_shop.url}
    file = keys_file(tmp_path, live_shop.world.keys("STEAM-50", 3))
    assert kameng("stock", **env)[0] == 0
    status, _, err = kameng("import", file, "--sku", "STEAM-50", **env)
    assert (status, "KAMENG_DEVICE" in err) == (1, True)
    assert kameng("stock", **env)[0] == 0
    status, _, err = kameng("import", file, "--sku", "STEAM-50", **env, KAMENG_DEVICE="mine")
    assert (status, "KAMENG_DEVICE" in err) == (2, True), err
    assert kameng("import", file, "--sku", "STEAM-50", **env, KAMENG_DEVICE=str(device))[0] == 0
    assert live_shop.world.level("STEAM-50").free == 3


def test_a_wrong_token_is_said_so(kameng, live_shop):
    got, _, err = kameng("stock", KAMENG_TOKEN="x" * 43, KAMENG_SERVER=live_shop.url)
    assert (got, err) == (1, "kameng: 请先登录。\n")


def test_a_product_is_drafted_and_published(kameng, live_shop):
    status, out, _ = kameng(
        "product",
        "add",
        "--code",
        "game-x",
        "--category",
        "games",
        "--name",
        "游戏 X",
        "--sku",
        "GX-1:月卡:含税:30.00",
        "--sku",
        "GX-2:次卡:0.0350",
        user="chen",
    )
    assert (status, out) == (0, "已创建草稿 game-x（游戏 X），2 个 SKU。上架：kameng product publish game-x\n")
    status, _, err = kameng("product", "publish", "game-x", user="chen")
    assert (status, "没有权限" in err) == (1, True)
    assert kameng("product", "publish", "game-x", user="li")[:2] == (0, "game-x（游戏 X）已上架。\n")
    status, _, err = kameng("product", "publish", "game-x", user="li")
    assert (status, "published" in err) == (1, True)
    rows = [line.split() for line in kameng("product", "list", user="chen")[1].splitlines()]
    assert ["game-x", "游戏", "X", "星河数码", "在售", "GX-1", "30.00", "0"] in rows
    assert ["game-x", "游戏", "X", "星河数码", "在售", "GX-2", "0.035", "0"] in rows


def test_an_operator_names_the_supplier_of_a_draft(kameng):
    draft = ("product", "add", "--code", "b-1", "--category", "software", "--name", "B", "--sku", "B-1:B:1")
    assert kameng(*draft, user="li")[0] == 2
    status, _, err = kameng(*draft, "--supplier", "没有这家", user="li")
    assert (status, err) == (1, "kameng: 没有名为“没有这家”的供应商（或您无权查看）。\n")
    assert kameng(*draft, "--supplier", "北辰软件", user="li")[0] == 0
    assert "b-1" in kameng("product", "list", user="zhao")[1]


@pytest.mark.parametrize("sku", ["A", "A:1.00", "A:name:free", "A:name:1.00001", ":name:1", "bad code:name:1"])
def test_a_sku_that_cannot_be_read_is_refused_before_anything_is_asked(kameng, sku):
    status, _, err = kameng("product", "add", "--code", "x", "--category", "c", "--name", "n", "--sku", sku)
    assert status == 2
    assert err.startswith("kameng: “--sku ")


def test_a_day_of_sales_becomes_orders_and_a_workbook(kameng, live_shop, tmp_path):
    world = live_shop.world
    world.ended_at = datetime(2026, 11, 21, 4, 0, tzinfo=UTC)
    with clock.fixed(world.ended_at):
        world.stock("STEAM-50", 5)
        checkouts = [world.buy(ANNA, "STEAM-50"), world.buy(ANNA, "STEAM-50", 2)]
        world.place(ANNA, "STEAM-50")
    status, out, _ = kameng("orders", "--day", "2026-11-21", user="zhou")
    assert status == 0
    rows = [line.split() for line in out.splitlines()]
    # The third order's hold ended long ago: whether the running worker has seen that yet is not this test's matter.
    assert rows[1][3] in {"待支付", "已过期"}
    assert [row[3:] for row in rows[1:]] == [
        [rows[1][3], "STEAM-50×1", "45.00"],
        ["已发货", "STEAM-50×2", "90.00"],
        ["已发货", "STEAM-50×1", "45.00"],
    ]
    assert rows[-1][0].replace("-", "") == checkouts[0].order.code
    target = tmp_path / "day.xlsx"
    status, out, err = kameng("export", "reconciliation", "--date", "2026-11-21", "--out", target, user="zhou")
    assert (status, err) == (0, "")
    assert out.splitlines()[0] == (
        "2026-11-21 对账单：收款 135.00 元，发货 135.00 元，售出 3 张；明细 "
        f"{3 + 2 + 3 + len(list(openpyxl.load_workbook(target)['账户'].rows)) - 1} 行与账簿一致。"
    )
    book = openpyxl.load_workbook(target)
    assert sorted(row[10].value for row in book["订单"].iter_rows(min_row=2)) == [45, 45, 90]
    assert out.splitlines()[1] == str(target)
    assert kameng("orders", "--day", "2026-11-20", user="zhou")[1].count("\n") == 1
    later = tmp_path / "later.xlsx"
    status, _, err = kameng("export", "reconciliation", "--date", "9999-01-01", "--out", later, user="zhou")
    assert (status, err) == (2, "kameng: 9999-01-01 还没有到，没有可导出的账目。\n")
    assert not later.exists()
    status, _, err = kameng("export", "reconciliation", "--date", "2026-11-21", "--out", target, user="chen")
    assert (status, "没有权限" in err) == (1, True)


@pytest.mark.parametrize("day", ["21.11.2026", "2026-02-30", "soon"])
def test_a_day_that_is_none_is_bad_input(kameng, day, capsys):
    assert kameng("orders", "--day", day)[0] == 2
    assert f"“{day}”不是日期" in capsys.readouterr().err


def test_doctor_finds_a_sound_machine(kameng, live_shop, tmp_path):
    (tmp_path / "passphrase").write_text("a long local passphrase\n")
    env = {"KAMENG_CREDENTIALS": "file", "KAMENG_PASSPHRASE_FILE": str(tmp_path / "passphrase")}
    kameng("login", "--server", live_shop.url, "--user", "chen", "--password-file", tmp_path / "password", **env)
    status, out, _ = kameng("doctor", "--json", **env)
    findings = {finding["topic"]: finding for finding in json.loads(out)}
    assert status == 0
    assert list(findings) == [
        "folder",
        "disk",
        "keyring",
        "outbox.db",
        "replica.db",
        "proxy",
        "server",
        "clock",
        "sign-in",
    ]
    assert {topic: f["health"] for topic, f in findings.items() if f["health"] != "ok" and topic != "disk"} == {}
    assert findings["sign-in"]["zh"] == "陈星（chen，供应商）已登录。"


def test_doctor_finds_what_is_broken(kameng, live_shop, tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    home.chmod(0o755)
    (home / "outbox.db").write_bytes(b"this is no database at all" * 100)
    env = {"https_proxy": "http://me:secret@proxy.example:3128", "HTTPS_PROXY": "http://me:secret@proxy.example:3128"}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in env.items():
            patch.setenv(name, value)
        status, out, _ = kameng("doctor", "--server", "http://127.0.0.1:1")
    lines = out.splitlines()
    assert status == 1
    assert any(line.startswith("FAIL  outbox.db") and "已损坏" in line for line in lines)
    assert any(line.startswith("FAIL  server") and "无法连接服务器" in line for line in lines)
    assert any(line.startswith("WARN  folder") for line in lines)
    assert any("https=http://***@proxy.example:3128" in line or "不经代理" in line for line in lines)
    assert "secret" not in out


# --- a program that is killed in the middle -------------------------------------------------------------------------


class Gate:
    """An ASGI app that holds chunk uploads after the first `free` until it is opened."""

    def __init__(self, free: int) -> None:
        self.reached, self._open, self._free = threading.Event(), threading.Event(), free

    def __call__(self, asgi):
        async def gated(scope, receive, send):
            if scope["type"] == "http" and scope["method"] == "PUT":
                self._free -= 1
                if self._free < 0:
                    self.reached.set()
                    import asyncio

                    await asyncio.to_thread(self._open.wait, 60)
            await asgi(scope, receive, send)

        return gated

    def open(self) -> None:
        """Let everything through."""
        self._free = 10**9
        self._open.set()


def test_a_killed_import_goes_on_and_every_key_is_stored_once(in_shop, tmp_path):
    (tmp_path / "password").write_text(PASSWORD)
    gate = Gate(free=2)
    with in_shop(wrap=gate) as shop:
        keys = shop.world.keys("STEAM-50", 22_000)
        file = keys_file(tmp_path, keys)
        env = os.environ | {
            "KAMENG_HOME": str(tmp_path / "home"),
            "KAMENG_SERVER": shop.url,
            "KAMENG_USER": "chen",
            "KAMENG_PASSWORD_FILE": str(tmp_path / "password"),
            "KAMENG_LANG": "zh",
        }
        command = [sys.executable, "-m", "desktop", "import", str(file), "--sku", "STEAM-50", "--json"]
        killed = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert gate.reached.wait(60), killed.communicate()
        killed.send_signal(signal.SIGKILL)
        killed.communicate()
        with sqlite3.connect(tmp_path / "home" / "outbox.db") as db:
            assert db.execute("SELECT announced FROM upload").fetchall() == [(1,)]
            assert db.execute("SELECT count(*) >= 3 FROM upload_chunk").fetchone() == (1,)
        db.close()
        assert b"STEAM-50-000000" not in (tmp_path / "home" / "outbox.db").read_bytes()
        gate.open()
        again = subprocess.run(
            [*command, "--cost", "9"], env=env, capture_output=True, text=True, timeout=120, check=False
        )
        assert again.returncode == 0, again.stderr
        assert "继续上次未完成的导入：列和其他选项仍是那次选择的。要改选，请先在窗口中取消它。\n" in again.stderr
        told = json.loads(again.stdout)
        assert told["server_ledger"] == {"stored": 22_000, "duplicates": 0, "refused": 0}
        assert shop.world.level("STEAM-50").free == 22_000
        with shop.world.ctx.db.read() as tx:
            assert {lot.cost for lot in tx.query(StockLot).all()} == {None}, "as it was chosen first"
        shop.world.check()


def test_every_verb_is_for_the_command_line_and_none_opens_the_window(kameng, capsys):
    assert kameng("--help")[0] == 0
    assert set(re.findall(r"^    (\w+)", capsys.readouterr().out, re.MULTILINE)) == cli.VERBS
    assert cli.VERBS | {"-h", "--help", "--version"} == cli.FIRST
