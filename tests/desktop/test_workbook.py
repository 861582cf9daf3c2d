"""The day's workbook: exact cells, formulas that agree with the ledger, and nothing on the disk when they do not."""

from __future__ import annotations

import gc
import hashlib
import tempfile
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from python_calamine import CalamineWorkbook

from desktop.exporting.target import (
    FolderMissing,
    TargetBusy,
    TargetIsFolder,
    TargetNotWorkbook,
    TargetProtected,
    TargetUnwritable,
)
from desktop.exporting.workbook import BooksDiffer, DayWorkbook
from shared.contracts.reports import DaySummary, LedgerTotal
from shared.errors import KamengError
from tests.desktop.day_book import COVER, DAY, NOON, SUMMARY, export, order
from tests.desktop.formulas import at, checks_of, evaluate

EXPECTED = {
    "下单数": Decimal(3),
    "付款订单数": Decimal(3),
    "发货订单数": Decimal(2),
    "收款金额（元）": Decimal("29.76"),
    "发货金额（元）": Decimal("19.81"),
    "供应商应得（元）": Decimal("18.82"),
    "平台服务费（元）": Decimal("0.99"),
    "店铺优惠（元）": Decimal("0.02"),
    "分销佣金（元）": Decimal("0.02"),
    "入库卡密（张）": Decimal(5_000),
    "售出卡密（张）": Decimal(5),
    "发货数量（张）": Decimal(5),
    "退回卡密（张）": Decimal(2),
    "补发卡密（张）": Decimal(1),
    "借方合计 = 贷方合计（元）": Decimal("49.57"),
}


def test_formulas_over_the_details_give_the_ledgers_numbers(tmp_path: Path) -> None:
    export(tmp_path / "day.xlsx")
    book = openpyxl.load_workbook(tmp_path / "day.xlsx")
    assert book.sheetnames == ["汇总", "订单", "收款", "卡密出入库", "账户", "校验"]
    assert book["校验"].sheet_state == "hidden"
    assert checks_of(book) == {title: (value, value, "一致") for title, value in EXPECTED.items()}
    overall = next(row for row in book["汇总"].iter_rows(values_only=True) if row[0] == "结论")
    assert evaluate(book, overall[3]) == "全部一致"
    assert book.calculation.fullCalcOnLoad


def test_a_changed_detail_turns_its_verdict(tmp_path: Path) -> None:
    export(tmp_path / "day.xlsx")
    book = openpyxl.load_workbook(tmp_path / "day.xlsx")
    book["订单"]["K2"].value = 9.86
    verdicts = {title: verdict for title, (_, _, verdict) in checks_of(book).items()}
    assert verdicts == dict.fromkeys(EXPECTED, "一致") | {"发货金额（元）": "不一致"}
    overall = next(row for row in book["汇总"].iter_rows(values_only=True) if row[0] == "结论")
    assert evaluate(book, overall[3]) == "不一致"


def test_ids_are_text_times_are_dates_amounts_are_numbers(tmp_path: Path) -> None:
    export(tmp_path / "day.xlsx")
    book = openpyxl.load_workbook(tmp_path / "day.xlsx")
    head, first, second, third, *_ = book["订单"].iter_rows()
    assert " ".join(cell.value for cell in head) == (
        "订单号 下单时间 付款时间 发货时间 状态 SKU 商品 供应商 数量 "
        "单价（元） 金额（元） 供应商应得（元） 平台服务费（元） 店铺优惠（元） 分销佣金（元） 计单"
    )
    assert [cell.value for cell in first] == [
        "7K3M9QX2H4TD",
        at("2026-11-21 12:00:00"),
        at("2026-11-21 12:00:40"),
        at("2026-11-21 12:00:41"),
        "已发货",
        "0010086",
        "100元卡",
        "甲方",
        1,
        9.85,
        9.85,
        9.36,
        0.49,
        0,
        0,
        1,
    ]
    assert (first[5].data_type, first[5].number_format, first[5].quotePrefix) == ("s", "@", True)
    assert (first[1].is_date, first[1].number_format) == (True, "yyyy-mm-dd hh:mm:ss")
    assert (first[10].data_type, first[10].number_format) == ("n", "#,##0.00")
    # What looks like a formula is a text, in the file as well as for another reader.
    assert (second[6].data_type, second[6].value) == ("s", '=HYPERLINK("http://evil","x")')
    assert (third[6].data_type, third[6].value, third[7].value) == ("s", "+1", "@供货\ufffd商")
    assert [cell.value for cell in second[8:]] == [3, 0.035, 0.11, 0.1, 0.01, 0.02, 0.02, 0]
    raw = CalamineWorkbook.from_path(tmp_path / "day.xlsx").get_sheet_by_name("收款").to_python()
    assert raw[1][1:] == ["sandbox", f"00{1:030d}", f"4200{1:024d}", "7K3M9QX2H4T1", "已支付", 9.96, "是", "渠道通知"]
    assert raw[4][7:] == ["否", "人工确认"]


def test_sheets_are_ready_to_read_and_print(tmp_path: Path) -> None:
    export(tmp_path / "day.xlsx")
    book = openpyxl.load_workbook(tmp_path / "day.xlsx")
    areas = {"订单": ("A1:P6", 2), "收款": ("A1:I5", 1), "卡密出入库": ("A1:I3", 1), "账户": ("A1:C5", 1)}
    for name, (area, wide) in areas.items():
        sheet = book[name]
        assert (sheet.freeze_panes, sheet.auto_filter.ref, sheet.print_title_rows) == ("A2", area, "$1:$1")
        assert sheet.print_title_cols == ("$A:$A" if wide > 1 else None), "each page says of which order a row is"
        assert (sheet.page_setup.orientation, sheet.page_setup.fitToWidth, sheet.page_setup.fitToHeight) == (
            "landscape",
            wide,
            0,
        ), "what is wide takes two pages rather than letters that nobody can read"
        assert sheet.column_dimensions["A"].width >= 12
    assert book["汇总"].page_setup.fitToHeight == 1, "what is signed is one page"


def test_the_cover_names_who_when_and_the_hash_of_the_rows(tmp_path: Path) -> None:
    written = export(tmp_path / "day.xlsx")
    book = openpyxl.load_workbook(tmp_path / "day.xlsx")
    cover = {row[0]: row[1] for row in book["汇总"].iter_rows(values_only=True) if row and row[0]}
    assert cover["业务日"] == at("2026-11-21 00:00:00")
    assert cover["数据截至"] == at("2026-11-22 01:00:00")
    assert cover["导出人"] == "陈会计 (finance)"
    assert cover["导出时间"] == at("2026-11-22 02:00:00")
    assert cover["服务器"] == "https://shop.example"
    assert cover["未处理异常"] == 1
    assert written.rows == {"订单": 5, "收款": 4, "卡密出入库": 2, "账户": 4}
    rows = {row[0]: row[3] for row in book["汇总"].iter_rows(values_only=True) if row[0] in {*written.rows, TOTAL}}
    assert rows == {**written.rows, TOTAL: 15}
    hashes = {name: hash_of_rows(book[name]) for name in written.rows}
    assert {name: cover[name] for name in hashes} == hashes
    assert cover[TOTAL] == written.sha256
    listed = "".join(f"{name}\t{sha256}\n" for name, sha256 in hashes.items())
    assert written.sha256 == hashlib.sha256(listed.encode()).hexdigest()


TOTAL = "全部明细行 SHA-256"


def hash_of_rows(sheet: Any) -> str:
    """By the rule that the cover states, from nothing but the cells."""
    digest = hashlib.sha256()
    for row in sheet.iter_rows(min_row=2, values_only=True):
        texts = []
        for value in row:
            if isinstance(value, datetime):
                texts.append(value.isoformat())
            elif isinstance(value, float):
                texts.append(f"{Decimal(str(value)).normalize():f}")
            else:
                texts.append("" if value is None else str(value))
        digest.update(("\t".join(texts) + "\n").encode())
    return digest.hexdigest()


def test_a_full_sheet_goes_on_in_the_next_and_formulas_span_both(tmp_path: Path) -> None:
    export(tmp_path / "day.xlsx", sheet_rows=3)
    book = openpyxl.load_workbook(tmp_path / "day.xlsx")
    assert set(book.sheetnames) == {
        "汇总",
        "订单",
        "订单 2",
        "订单 3",
        "收款",
        "收款 2",
        "卡密出入库",
        "账户",
        "账户 2",
        "校验",
    }
    assert [cell.value for cell in book["订单 3"]["A"]] == ["订单号", "00000000000C"]
    assert checks_of(book) == {title: (value, value, "一致") for title, value in EXPECTED.items()}


def test_a_day_without_business_is_a_workbook_too(tmp_path: Path) -> None:
    nothing = {name: 0 for name, field in DaySummary.model_fields.items() if field.annotation is int}
    summary = DaySummary(day=DAY, as_of=NOON, ledger=[], **nothing)
    with DayWorkbook(tmp_path / "empty.xlsx", day=DAY, cover=COVER) as book:
        book.finish(summary)
        book.put()
    checks = checks_of(openpyxl.load_workbook(tmp_path / "empty.xlsx"))
    assert set(checks.values()) == {(Decimal(0), Decimal(0), "一致")}


def test_english_readers_get_english_words(tmp_path: Path) -> None:
    export(tmp_path / "day.xlsx", language="en_GB")
    book = openpyxl.load_workbook(tmp_path / "day.xlsx")
    assert book.sheetnames == ["Summary", "Orders", "Payments", "Card movements", "Accounts", "Verification"]
    assert book["Orders"]["E2"].value == "Delivered"
    assert set(checks_of(book, "Figure").values()) == {(v, v, "same") for v in EXPECTED.values()}


@pytest.mark.parametrize(
    ("figure", "field", "details", "ledger"),
    [
        ("下单数", "orders_placed", "3", "4"),
        ("付款订单数", "orders_paid", "3", "4"),
        ("发货订单数", "orders_delivered", "2", "3"),
        ("收款金额（元）", "paid_fen", "29.76", "29.77"),
        ("发货金额（元）", "delivered_fen", "19.81", "19.82"),
        ("供应商应得（元）", "supplier_fen", "18.82", "18.83"),
        ("平台服务费（元）", "fee_fen", "0.99", "1.00"),
        ("店铺优惠（元）", "discount_fen", "0.02", "0.03"),
        ("分销佣金（元）", "commission_fen", "0.02", "0.03"),
        ("入库卡密（张）", "units_imported", "5,000", "5,001"),
        ("售出卡密（张）", "units_sold", "5", "6"),
        ("退回卡密（张）", "units_returned", "2", "3"),
        ("补发卡密（张）", "units_replaced", "1", "2"),
    ],
)
def test_a_figure_that_differs_is_named_and_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, figure: str, field: str, details: str, ledger: str
) -> None:
    streams = tmp_path / "streams"
    streams.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(streams))
    folder = tmp_path / "out"
    folder.mkdir()
    wrong = SUMMARY.model_copy(update={field: getattr(SUMMARY, field) + 1})
    with pytest.raises(BooksDiffer) as caught:
        export(folder / "day.xlsx", summary=wrong)
    assert caught.value.params == {"day": DAY, "figure": figure, "details": details, "ledger": ledger}
    assert figure in caught.value.sentence("zh")
    assert list(folder.iterdir()) == []
    assert list(streams.iterdir()) == []


def test_a_ledger_that_does_not_balance_is_named(tmp_path: Path) -> None:
    ledger = [*SUMMARY.ledger[:-1], LedgerTotal(account="platform_fee", debits_fen=0, credits_fen=98)]
    with pytest.raises(BooksDiffer) as caught:
        export(tmp_path / "day.xlsx", summary=SUMMARY.model_copy(update={"ledger": ledger}))
    assert caught.value.params["figure"] == "借方合计 = 贷方合计（元）"
    assert list(tmp_path.iterdir()) == []


def test_an_older_file_is_replaced_only_by_a_whole_one(tmp_path: Path) -> None:
    target = tmp_path / "day.xlsx"
    target.write_bytes(b"yesterday's")
    with pytest.raises(BooksDiffer):
        export(target, summary=SUMMARY.model_copy(update={"paid_fen": 1}))
    assert target.read_bytes() == b"yesterday's"
    export(target)
    assert openpyxl.load_workbook(target).sheetnames[0] == "汇总"
    assert [path.name for path in tmp_path.iterdir()] == ["day.xlsx"]


def test_a_disk_that_fills_while_rows_come_is_told_and_nothing_is_left(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    lines = [order(f"{n:012d}", title=hashlib.sha256(str(n).encode()).hexdigest()) for n in range(3_000)]
    resource.setrlimit(resource.RLIMIT_FSIZE, (16_384, before[1]))
    try:
        with pytest.raises(TargetUnwritable), DayWorkbook(tmp_path / "day.xlsx", day=DAY, cover=COVER) as book:
            book.add_orders(lines)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    gc.collect()
    assert list(tmp_path.iterdir()) == []


def _open_in_excel(folder: Path) -> Path:
    (folder / "~$day.xlsx").write_bytes(b"\x05Chen")
    return folder / "day.xlsx"


def _a_folder(folder: Path) -> Path:
    (folder / "day.xlsx").mkdir()
    return folder / "day.xlsx"


def _read_only(folder: Path) -> Path:
    (folder / "day.xlsx").touch(mode=0o400)
    return folder / "day.xlsx"


@pytest.mark.parametrize(
    ("target", "error"),
    [
        pytest.param(_open_in_excel, TargetBusy, id="open in Excel"),
        pytest.param(_a_folder, TargetIsFolder, id="is a folder"),
        pytest.param(_read_only, TargetProtected, id="read-only"),
        pytest.param(lambda folder: folder / "missing" / "day.xlsx", FolderMissing, id="folder missing"),
        pytest.param(lambda folder: folder / "day.csv", TargetNotWorkbook, id="another ending"),
    ],
)
def test_a_target_that_cannot_be_written_is_refused_beforehand(
    tmp_path: Path, target: Callable[[Path], Path], error: type[KamengError]
) -> None:
    path = target(tmp_path)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(error) as caught:
        DayWorkbook(path, day=DAY, cover=COVER)
    assert "?" not in caught.value.sentence("zh")
    assert sorted(tmp_path.iterdir()) == before
