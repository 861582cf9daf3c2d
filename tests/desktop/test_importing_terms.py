"""Lots of a file: what each key is sold under, chunk by chunk, and which repairs are refused."""

from pathlib import Path

import pytest

from desktop.importing import Columns, Options
from desktop.importing.terms import Terms, TooManyLots
from shared.contracts.stock import MAX_LOTS
from tests.desktop.files import Imported, workbook

HEAD = "卡号,卡密,有效期,成本价,使用次数\n"


def csv(folder: Path, lines: list[str]) -> Path:
    path = folder / "keys.csv"
    path.write_text(HEAD + "".join(line + "\n" for line in lines), encoding="utf-8")
    return path


def test_titles_tell_expiry_cost_and_uses_and_each_row_keeps_its_own(tmp_path: Path) -> None:
    lines = ["1,ABCD-1,2099-08-31,8.70,3", "2,ABCD-2,,,", "3,ABCD-3,2099-08-31,8.7,3", "4,ABCD-4,长期,9,1"]
    imported = Imported(csv(tmp_path, lines))
    assert imported.terms == [("2099-08-31", 87_000, 3), (None, None, 1), ("2099-08-31", 87_000, 3), (None, 90_000, 1)]
    ledger = imported.ledger
    assert [(lot.terms.cost, lot.rows) for lot in ledger.lots] == [(87_000, 2), (None, 1), (90_000, 1)]
    assert (ledger.lot_count, str(ledger.expires_first), str(ledger.expires_last)) == (3, "2099-08-31", "2099-08-31")


def test_what_holds_for_the_file_fills_empty_cells_only(tmp_path: Path) -> None:
    lines = ["1,ABCD-1,,8.70,3", "2,ABCD-2,,,"]
    imported = Imported(csv(tmp_path, lines), Options(cost=50_000, uses=2))
    assert imported.terms == [(None, 87_000, 3), (None, 50_000, 2)]


def test_number_and_date_cells_of_a_sheet_are_terms_too(tmp_path: Path) -> None:
    import datetime as dt

    rows = [("卡密", "有效期", "成本", "次数"), ("ABCD-1", dt.date(2099, 8, 31), 8.7, 3), ("ABCD-2", None, 8.70, True)]
    imported = Imported(workbook(tmp_path / "keys.xlsx", rows))
    assert imported.terms == [("2099-08-31", 87_000, 3)]
    assert imported.problems == ["第 3 行（D3 单元格）：可用次数不是 1 到 10000 的整数。"]


def test_a_chunk_names_only_the_lots_it_touches(tmp_path: Path) -> None:
    lines = [f"{n},ABCD-{n:06},,{1 + n // 2_000}," for n in range(12_000)]
    imported = Imported(csv(tmp_path, lines))
    assert [terms[1] for terms in imported.terms] == [10_000 * (1 + n // 2_000) for n in range(12_000)]
    assert imported.ledger.lot_count == 6
    assert {lot.terms for lot in imported.ledger.lots} == {Terms(None, 10_000 * n, 1) for n in range(1, 7)}


def test_as_many_lots_as_an_import_may_have_and_not_one_more(tmp_path: Path) -> None:
    lines = [f"{n},ABCD-{n:06},,{n}," for n in range(MAX_LOTS)]
    assert Imported(csv(tmp_path, lines)).ledger.lot_count == MAX_LOTS
    with pytest.raises(TooManyLots) as caught:
        Imported(csv(tmp_path, [*lines, "x,ABCD-X,,9999,"]))
    assert caught.value.params == {"limit": MAX_LOTS}


def test_one_kind_of_repair_is_refused_by_itself(tmp_path: Path) -> None:
    lines = ["1,ABCD-1 ,,,", "2,ＡBCD-2,,,", "3,ＡBCD-3 ,,,"]
    imported = Imported(csv(tmp_path, lines), Options(repairs_refused=frozenset({"spaces"})))
    assert imported.figures == (4, 1, 0, 2, 1)
    assert imported.reasons["repair_refused"] == (2, ("2", "4"))
    assert imported.repairs == {"full_width": (1, ("3",))}


@pytest.mark.parametrize("rows", [[("ABCD-1", "5"), ("ABCD-2", "6")], [("ABCD-1 ", "5"), ("ABCD-2 ", "6")]])
def test_a_column_left_of_what_the_sheet_holds_is_empty(tmp_path: Path, rows: list[tuple[str, str]]) -> None:
    sheet = workbook(tmp_path / "keys.xlsx", [(None, None, *row) for row in rows])
    columns = Columns(secret=2, cost=0, uses=1)
    imported = Imported(sheet, Options(columns=columns, header_lines=0))
    assert imported.terms == [(None, None, 1), (None, None, 1)], "not what the last column holds"
    none = Imported(sheet, Options(columns=Columns(secret=0), header_lines=0))
    assert (none.rows, none.ledger.refused) == ([], 2)
