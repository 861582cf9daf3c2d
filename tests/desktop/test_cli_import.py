"""`kameng import` beyond the plain file: several files, named columns, terms, habits, questions, the template."""

import json
import os

import openpyxl
import pytest

from server.stock.model import StockLot
from tests.desktop.files import workbook


def lots_of(shop):
    """Expiry, cost, uses and units of every lot."""
    with shop.world.ctx.db.read() as tx:
        rows = tx.query(StockLot).all()
        return sorted((str(lot.expires_on), lot.cost, lot.uses) for lot in rows)


def test_columns_costs_and_uses_make_lots(kameng, live_shop, tmp_path):
    file = tmp_path / "keys.csv"
    file.write_text("ABCD-1,31/08/2099,8.70,3\nABCD-2,31/08/2099,8.70,3\nABCD-3,,,\nABCD-4,,9,0\n", "utf-8")
    arguments = ("import", file, "--sku", "STEAM-50", "--header-lines", "0", "--json")
    terms = ("--columns", "secret,有效期,cost,次数", "--expiry-order", "dmy", "--cost", "8.5", "--uses", "2")
    status, out, err = kameng(*arguments, *terms, user="chen")
    assert (status, err) == (0, "")
    told = json.loads(out)
    assert told["file_ledger"] == {"read": 4, "valid": 3, "duplicates": 0, "refused": 1, "skipped": 0}
    assert told["reasons"] == {"uses_unreadable": 1}
    assert lots_of(live_shop) == [("2099-08-31", 87_000, 3), ("None", 85_000, 2)]
    assert live_shop.world.level("STEAM-50").free == 2 * 3 + 2


def test_what_columns_were_given_is_remembered_for_the_next_file_of_the_product(kameng, live_shop, tmp_path):
    first, second = tmp_path / "1.csv", tmp_path / "2.csv"
    first.write_text("A,B\nno-1,ABCD-1\nno-2,ABCD-2\n", "utf-8")
    second.write_text("A,B\nno-3,ABCD-3\nno-4,ABCD-4\n", "utf-8")
    given = ("--columns=-,secret", "--header-lines", "1")
    assert kameng("import", first, "--sku", "STEAM-50", *given, user="chen")[0] == 0
    status, out, _ = kameng("import", second, "--sku", "STEAM-50", user="chen")
    assert (status, out.splitlines()[1]) == (0, "读取 3 = 可导入 2 + 重复 0 + 拒绝 0 + 跳过 1")
    # Only the secret was taken: the same secrets without their numbers are the same cards.
    (tmp_path / "3.txt").write_text("ABCD-1\nABCD-2\nABCD-3\nABCD-4\n", "utf-8")
    status, out, _ = kameng("import", tmp_path / "3.txt", "--sku", "STEAM-50", "--json", user="chen")
    assert json.loads(out)["server_ledger"] == {"stored": 0, "duplicates": 4, "refused": 0}


def test_several_files_are_imported_and_one_that_fails_does_not_stop_the_others(kameng, live_shop, tmp_path):
    (tmp_path / "1.txt").write_text("ABCD-1\nABCD-2\n", "utf-8")
    (tmp_path / "2.txt").write_bytes(b"%PDF-1.7")
    (tmp_path / "3.txt").write_text("ABCD-2\nABCD-3\n", "utf-8")
    files = [tmp_path / f"{n}.txt" for n in (1, 2, 3)]
    refused = tmp_path / "left.xlsx"
    status, out, err = kameng(
        "import", *files, "--sku", "STEAM-50", "--json", "--refused", refused, "--yes", user="chen"
    )
    assert (status, "PDF" in err, err.count("\n")) == (2, True, 1)
    told = json.loads(out)
    assert [(one["file"], one["server_ledger"]["stored"]) for one in told] == [("1.txt", 2), ("3.txt", 1)]
    left = openpyxl.load_workbook(tmp_path / "left-3.xlsx").active
    assert [cell.value for cell in left[2]] == [1, None, "服务器未接受", "库存中已有这张卡密", "ABCD-2"]
    assert live_shop.world.level("STEAM-50").free == 3


def test_the_rows_left_out_never_take_the_place_of_a_file_of_keys_or_of_one_another(kameng, live_shop, tmp_path):
    (tmp_path / "b").mkdir()
    files = [tmp_path / "keys.txt", tmp_path / "b" / "keys.txt"]
    for n, file in enumerate(files):
        file.write_text(f"ABCD-{n}\nABCD-{n}\n", "utf-8")
    left = tmp_path / "left.xlsx"
    assert kameng("import", *files, "--sku", "STEAM-50", "--refused", left, user="chen")[0] == 0
    rows = [
        openpyxl.load_workbook(tmp_path / name).active["E2"].value for name in ("left-keys.xlsx", "left-keys-2.xlsx")
    ]
    assert rows == ["ABCD-0", "ABCD-1"]

    own = workbook(tmp_path / "own.xlsx", [("卡密",), ("ABCD-2",), ("ABCD-2",)])
    before = own.read_bytes()
    for other in (own, tmp_path / "b" / ".." / "own.xlsx"):
        status, out, err = kameng("import", own, "--sku", "STEAM-50", "--refused", other, user="chen")
        assert (status, out) == (1, "")
        assert err == "kameng: “own.xlsx”就是要导入的卡密文件，不能覆盖。请换一个文件名。\n"
    status, _, err = kameng("import", "--template", own)
    assert (status, "“own.xlsx”已经存在，没有覆盖" in err) == (1, True)
    assert own.read_bytes() == before
    assert live_shop.world.level("STEAM-50").free == 2


def test_a_disk_that_refuses_the_workbook_is_one_sentence(kameng, live_shop, tmp_path, monkeypatch):
    (tmp_path / "keys.txt").write_text("ABCD-1\nABCD-1\n", "utf-8")
    (tmp_path / f".left.xlsx.{os.getpid()}.part").mkdir()  # nothing can be written there
    arguments = ("import", tmp_path / "keys.txt", "--sku", "STEAM-50", "--refused", tmp_path / "left.xlsx")
    status, _, err = kameng(*arguments, user="chen")
    assert (status, err.startswith("kameng: 无法写入“left.xlsx”"), err.count("\n")) == (2, True, 1)
    assert live_shop.world.level("STEAM-50").free == 1


def test_the_template_can_be_filled_in_and_imported(kameng, live_shop, tmp_path):
    template = tmp_path / "template.xlsx"
    assert kameng("import", "--template", template)[:2] == (0, f"模板已写入 {template}\n")
    book = openpyxl.load_workbook(template)
    book["卡密"].append(["0001", "ABCD-1", "2099-08-31", "8.70", ""])
    book.save(template)
    assert kameng("import", template, "--sku", "STEAM-50", user="chen")[0] == 0
    assert lots_of(live_shop) == [("2099-08-31", 87_000, 1)]


def test_one_kind_of_repair_is_refused_and_the_others_are_made(kameng, live_shop, tmp_path):
    file = tmp_path / "keys.txt"
    file.write_text("ABCD-1 \nＡBCD-2\nABCD-3\n", "utf-8")
    arguments = ("import", file, "--sku", "STEAM-50", "--refuse-repair", "spaces", "--separator", "", "--json")
    status, out, _ = kameng(*arguments, user="chen")
    told = json.loads(out)
    assert (status, told["reasons"], told["repairs"]) == (0, {"repair_refused": 1}, {"full_width": 1})
    assert told["server_ledger"] == {"stored": 2, "duplicates": 0, "refused": 0}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        pytest.param((), "请给出要导入的文件", id="no file"),
        pytest.param(("keys.txt",), "请给出规格编号", id="no SKU"),
        pytest.param(("keys.txt", "--sku", "S", "--columns", "number"), "secret / 卡密", id="no secret column"),
        pytest.param(("keys.txt", "--sku", "S", "--columns", "secret,colour"), "colour", id="unknown column"),
        pytest.param(("keys.txt", "--sku", "S", "--cost", "8.70000001"), "最多 4 位小数", id="too fine a cost"),
        pytest.param(
            ("keys.txt", "--sku", "S", "--uses", "0"), "“--uses”填写有误：请填写 1 到 10000 的整数\n", id="no use"
        ),
        pytest.param(("keys.txt", "--sku", "S", "--cost", "99999999"), "金额太大\n", id="too dear"),
        pytest.param(("keys.txt", "--sku", "S", "--refused", "out.csv"), "“out.csv”应以 .xlsx 结尾。\n", id="a CSV"),
    ],
)
def test_what_cannot_be_meant_is_one_sentence(kameng, arguments, words):
    status, out, err = kameng("import", *arguments, user="chen")
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert words in err


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--uses", "0"), "“--uses” is not valid: not a whole number from 1 to 10,000"),
        (("--cost", "a"), "“--cost” is not valid: not an amount such as 8.70 with at most 4 decimals"),
        (("--refused", "out.csv"), "--refused: “out.csv” has to end in .xlsx."),
    ],
)
def test_what_cannot_be_meant_is_said_in_english_alone(kameng, arguments, sentence):
    status, _, err = kameng("import", "keys.txt", "--sku", "S", *arguments, user="chen", KAMENG_LANG="en")
    assert (status, err) == (2, f"kameng: {sentence}\n")


def test_both_lines_of_a_duplicate_are_named(kameng, live_shop, tmp_path):
    file = tmp_path / "keys.txt"
    file.write_text("ABCD-1\nABCD-2\nABCD-3\nABCD-2\nABCD-1\n", "utf-8")
    _, out, _ = kameng("import", file, "--sku", "STEAM-50", user="chen")
    assert out.splitlines()[1:4] == [
        "读取 5 = 可导入 3 + 重复 2 + 拒绝 0 + 跳过 0",
        "  第 4 行与第 2 行重复",
        "  第 5 行与第 1 行重复",
    ]
    file.write_text("ABCD-4\n" * 14, "utf-8")
    _, out, _ = kameng("import", file, "--sku", "STEAM-50", user="chen", KAMENG_LANG="en")
    told = out.splitlines()[2:]
    assert told[:10] == [f"  line {line} is the same as line 1" for line in range(2, 12)]
    assert told[10] == "  ... and 3 more; --refused writes all"
    assert live_shop.world.level("STEAM-50").free == 4


def test_costs_are_told_from_least_to_most_as_amounts(kameng, tmp_path):
    file = tmp_path / "keys.csv"
    file.write_text("卡密,成本\nABCD-1,1234.5\nABCD-2,40\n", "utf-8")
    _, out, _ = kameng("import", file, "--sku", "STEAM-50", user="chen")
    assert "  成本 ¥40.00 – ¥1,234.50" in out.splitlines()


def test_finance_is_refused_before_the_file_is_looked_at(kameng, tmp_path):
    status, _, err = kameng("import", tmp_path / "no such file.txt", "--sku", "STEAM-50", user="zhou")
    assert (status, err.count("\n"), "没有权限" in err) == (1, 1, True)


def test_too_many_lots_are_one_clear_sentence(kameng, live_shop, tmp_path):
    rows = [("卡密", "成本"), *((f"ABCD-{n:05}", f"{n / 100:.2f}") for n in range(1, 2_102))]
    file = workbook(tmp_path / "keys.xlsx", rows)
    status, _, err = kameng("import", file, "--sku", "STEAM-50", user="chen")
    assert (status, err.count("\n"), "组合超过 2000 种" in err) == (2, 1, True)
    assert live_shop.world.level("STEAM-50").free == 0
