"""Guarantees of the finance workbook: ten sheets of exact cells, totals that are proved, and a clerk's own layout."""

from __future__ import annotations

import unicodedata
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from python_calamine import CalamineWorkbook

from desktop.exporting.control import ListsDiffer
from desktop.exporting.finance import Period, sources
from desktop.exporting.finance_pages import FINANCE_PAGES
from desktop.exporting.layouts import (
    ColumnLayout,
    Layout,
    LayoutBadName,
    LayoutEmpty,
    LayoutLacks,
    LayoutTwice,
    LayoutUnknown,
    LayoutUnreadable,
    SheetLayout,
    arranged,
    packed,
    unpacked,
    usual,
)
from desktop.exporting.verify import verify
from shared.contracts.reconcile import Correction, Difference
from shared.errors import KamengError
from shared.finance import AdjustmentState, BillKind, DifferenceAction, DifferenceState
from shared.sentence import Sentence
from tests.desktop import finance_book
from tests.desktop.finance_book import DAY, bill, carried, difference, export
from tests.desktop.formulas import at, checks_of

SHEETS = [
    "对账汇总",
    "交易明细",
    "退款明细",
    "差异明细",
    "跨日挂账",
    "手续费核对",
    "资金流水与银行到账",
    "供应商结算",
    "分销佣金",
    "说明",
]


def rows(path: Path, sheet: str) -> list[tuple[Any, ...]]:
    return list(openpyxl.load_workbook(path)[sheet].values)


def table(path: Path, sheet: str) -> list[dict[str, Any]]:
    head, *body = rows(path, sheet)
    return [dict(zip(head, row, strict=True)) for row in body]


def test_it_has_the_sheets_that_finance_expects_and_proves_itself(tmp_path: Path) -> None:
    written = export(tmp_path / "finance.xlsx")
    assert openpyxl.load_workbook(tmp_path / "finance.xlsx").sheetnames == ["封面", *SHEETS, "校验"]
    assert written.rows == dict(zip(SHEETS, (2, 3, 1, 2, 2, 2, 8, 1, 1, 10), strict=True))
    verdict = verify(tmp_path / "finance.xlsx")
    assert (verdict.findings, verdict.day, verdict.rows, verdict.sha256) == ((), DAY, 32, written.sha256)


def test_every_total_is_a_formula_that_gives_its_control_total(tmp_path: Path) -> None:
    export(tmp_path / "finance.xlsx")
    checks = checks_of(openpyxl.load_workbook(tmp_path / "finance.xlsx"))
    assert {verdict for _, _, verdict in checks.values()} == {"一致"}
    assert all(formula == printed for formula, printed, _ in checks.values())
    assert {name: str(printed) for name, (_, printed, _) in checks.items()} == {
        "对账汇总 · 平台金额（元）": "306.85",
        "对账汇总 · 平台退款金额（元）": "50",
        "对账汇总 · 渠道金额（元）": "396",
        "对账汇总 · 渠道退款金额（元）": "50",
        "对账汇总 · 手续费（元）": "2.38",
        "对账汇总 · 应结净额（元）": "343.62",
        "对账汇总 · 更正（元）": "0",
        "对账汇总 · 实际到账（元）": "1000",
        "对账汇总 · 未到账（元）": "-656.38",
        "对账汇总 · 未处理金额（元）": "99",
        "交易明细 · 实付（元）": "297",
        "交易明细 · 手续费（元）": "1.78",
        "交易明细 · 净额（元）": "295.22",
        "退款明细 · 退款金额（元）": "50",
        "退款明细 · 退回手续费（元）": "0.3",
        "差异明细 · 差额（元）": "99.01",
        "手续费核对 · 差额（元）": "0.6",
        "资金流水与银行到账 · 收支金额（元）": "-656.08",
        "资金流水与银行到账 · 银行到账（元）": "1000",
        "供应商结算 · 应付（元）": "233.65",
        "分销佣金 · 佣金（元）": "1.98",
    }


@pytest.mark.parametrize("language", ["zh", "en"])
def test_every_figure_can_be_read_on_the_cover(tmp_path: Path, language: str) -> None:
    written = export(tmp_path / "finance.xlsx", language=language)
    book = openpyxl.load_workbook(tmp_path / "finance.xlsx")
    assert list(written.rows) == book.sheetnames[1:-1], "sheets are told by the names that they have"
    cover = book.worksheets[0]
    names = [row[0] for row in cover.values if row[2] is not None]
    assert len(names) > 20
    wide = {name: sum(1 + (unicodedata.east_asian_width(one) in "WF") for one in name) for name in names if name}
    room = cover.column_dimensions["A"].width
    assert {name for name, width in wide.items() if width > room} == set()


def test_a_balance_that_the_bill_does_not_lead_to_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    balance = finance_book.WECHAT.balance
    assert balance is not None
    off = finance_book.WECHAT.model_copy(update={"balance": balance.model_copy(update={"closing_fen": 34_393})})
    monkeypatch.setattr(finance_book, "DAYS", [off, finance_book.ALIPAY])
    export(tmp_path / "finance.xlsx")
    checks = checks_of(openpyxl.load_workbook(tmp_path / "finance.xlsx"))
    assert {name for name, (_, _, verdict) in checks.items() if verdict != "一致"} == {
        "资金流水与银行到账 · 收支金额（元）"
    }
    assert verify(tmp_path / "finance.xlsx").unchanged


LOST = {
    "rows of payments": ("matches", {}, ("交易明细 · 行数", "2", "3")),
    "a refund": ("refunds", {}, ("退款明细 · 行数", "0", "1")),
    "a difference": ("differences", {}, ("差异明细 · 行数", "1", "2")),
    "an amount": (
        "",
        {"payments_fen": 29_701, "paired_refunds_fen": 5_001},
        ("交易明细 · 实付（元）", "297.00", "297.01"),
    ),
    "a fee": ("", {"payment_fees_fen": 179}, ("交易明细 · 手续费（元）", "1.78", "1.79")),
    "a movement": ("", {"movements_fen": 0}, ("资金流水与银行到账 · 收支金额（元）", "-656.08", "0.00")),
    "a pair of the signed day": ("", {"payments": 4}, ("微信支付 2026-11-21 配对", "5", "4")),
    "money of the signed day": ("", {"payments_fen": 1}, ("微信支付 2026-11-21 配对", "-49.99", "247.00")),
}


@pytest.mark.parametrize(("page", "counted", "told"), LOST.values(), ids=LOST)
def test_rows_that_the_server_does_not_count_so_make_no_file(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    page: str,
    counted: dict[str, int],
    told: tuple[str, str, str],
) -> None:
    if page:
        monkeypatch.setitem(finance_book.ROWS, page, finance_book.ROWS[page][:-1])
    totals = finance_book.LISTS.days[0].model_copy(update=counted)
    monkeypatch.setattr(finance_book, "LISTS", finance_book.LISTS.model_copy(update={"days": [totals]}))
    with pytest.raises(ListsDiffer) as refused:
        export(tmp_path / "finance.xlsx")
    assert tuple(refused.value.params[name] for name in ("figure", "details", "server")) == told
    assert list(tmp_path.iterdir()) == []


def test_what_was_carried_on_is_listed_until_a_day_takes_it_up(tmp_path: Path) -> None:
    before, after = DAY - timedelta(days=1), DAY + timedelta(days=1)
    waiting = difference(4, day=before, state=DifferenceState.RESOLVED, action=DifferenceAction.CARRY)
    again = waiting.model_copy(update={"day": DAY, "carried_from": before, "number": "D20261121-00AA"})
    done = again.model_copy(update={"day": after, "action": DifferenceAction.BOOK})

    def told(*differences: Difference, first: date, last: date) -> list[tuple[str, str]]:
        over = carried(list(differences), Period(first, last))
        return [(one.direction.zh, one.difference.day.isoformat()) for one in over]

    assert told(waiting, first=before, last=before) == [("转出", "2026-11-20")]
    assert told(again, first=DAY, last=DAY) == [("转入", "2026-11-21"), ("转出", "2026-11-21")]
    assert told(done, first=after, last=after) == [("转入", "2026-11-22")]
    assert told(waiting, again, first=before, last=DAY) == [("转出", "2026-11-21")]
    assert told(waiting, again, done, first=before, last=after) == []
    assert told(again, done, first=DAY, last=after) == [("转入", "2026-11-21")]


def test_the_sources_name_every_bill_signature_and_correction() -> None:
    from_channel = {"is_current": False, "is_late": True, "added_by": "channel:wechat"}
    late = bill(3, "wechat", BillKind.TRADES, 6).model_copy(update=from_channel)
    older = bill(4, "wechat", BillKind.TRADES, 5).model_copy(update={"is_current": False})
    none = bill(5, "wechat", BillKind.FUNDS, 0).model_copy(update={"source": "none", "name": ""})
    signature = finance_book.WECHAT.signature
    assert signature is not None
    correction = Correction(
        id=none.id,
        state=AdjustmentState.POSTED,
        psp_fen=-4_500,
        reason="渠道更正",
        proposed_by="周洁",
        proposed_at=signature.signed_at,
    )
    day = finance_book.WECHAT.model_copy(
        update={
            "bills": [finance_book.WECHAT.bills[0], late, older, none],
            "signature": signature.model_copy(update={"without": [BillKind.FUNDS], "note": "已核"}),
            "corrections": [correction],
        }
    )
    told = [
        (one.topic.zh, one.said if isinstance(one.said, str) else one.said.zh, one.amount_fen)
        for one in sources([day])
        if one.day == DAY
    ]
    brought = [one.by for one in sources([day]) if one.sha1]
    assert brought == ["系统", Sentence("微信支付", "WeChat Pay"), "系统"], "a channel is called by its name"
    assert told == [
        ("交易账单", "wechat-trades-20261121.csv", None),
        ("迟到的交易账单", "wechat-trades-20261121.csv", None),
        ("资金账单", "渠道答复：当日没有账单", None),
        ("签署", "已核", None),
        ("签署时没有", "资金账单", None),
        ("更正", "渠道更正", -4_500),
    ]


def test_the_cover_says_of_when_and_of_what_it_is(tmp_path: Path) -> None:
    def facts(layout: Layout | None) -> dict[str, Any]:
        export(tmp_path / "finance.xlsx", layout=layout)
        return {row[0]: row[1] for row in rows(tmp_path / "finance.xlsx", "封面") if row[1] is not None}

    said = facts(None)
    assert (said["账期"], said["渠道"], said["版式"]) == ("2026-11-21", "全部渠道", "全部工作表和列")
    assert (said["数据截至"], said["数据位置"]) == (at("2026-11-22 09:00:00"), 4_711)
    fees = SheetLayout("fees", (ColumnLayout("off_by_fen"), ColumnLayout("day")))
    assert facts(Layout((fees,)))["版式"] == "（未列出 9 张工作表、7 列）"


def test_each_sheet_says_what_the_rows_say(tmp_path: Path) -> None:
    path = tmp_path / "finance.xlsx"
    export(path)
    wechat, alipay = table(path, "对账汇总")
    assert wechat["账期"] == at("2026-11-21 00:00:00")
    assert (wechat["渠道"], wechat["商户号"], wechat["差异笔数"], wechat["未处理差异"]) == (
        "微信支付",
        "1900000109",
        2,
        1,
    )
    assert (wechat["状态"], wechat["签署人"], wechat["签署时间"]) == (
        "已签",
        "王主管 (wang)",
        at("2026-11-22 09:00:00"),
    )
    assert (alipay["商户号"], alipay["状态"], alipay["签署时间"]) == (None, "待对账", None)
    first, second, third = table(path, "交易明细")
    assert (first["商户订单号"], first["支付时间"], first["费率"]) == (f"00{1:030d}", at("2026-11-21 12:00:01"), 0.006)
    assert (second["商品"], second["分销商"]) == ("=1+1", "@小店")
    assert (third["匹配方式"], third["支付时间"], third["费率"]) == ("跨日配平", None, None)
    kinds = [cell.data_type for cell in openpyxl.load_workbook(path)["交易明细"][3]]
    assert "f" not in kinds
    waiting, booked = table(path, "差异明细")
    assert (waiting["类型"], waiting["平台情况"], waiting["平台金额（元）"]) == ("渠道已付、平台未付", "平台未支付", 0)
    assert (waiting["处理方式"], waiting["备注"], booked["处理方式"]) == ("挂账", "=cmd|'/c calc'!A0", "调账")
    assert table(path, "退款明细")[0]["状态"] == "已退款"
    assert [row["方向"] for row in table(path, "跨日挂账")] == ["转入", "转出"]
    assert (wechat["应结净额（元）"], wechat["实际到账（元）"], wechat["未到账（元）"]) == (343.62, 1_000, -656.38)
    moved = table(path, "资金流水与银行到账")
    assert [row["对应流水号"] for row in moved[-3:]] == ["20261122000123", None, "F-5"], "a withdrawal and its arrival"
    assert (moved[-1]["银行到账（元）"], moved[-1]["备注"]) == (1_000, "2026-11-22 周会计 (zhou) ¥1,250.00 / 2")
    assert [row["类型"] for row in moved] == [
        "期初余额",
        "交易",
        "手续费",
        "退款",
        "手续费退回",
        "提现",
        "期末余额",
        "银行到账",
    ]
    assert table(path, "手续费核对")[0]["实际费率"] == 0.00601
    assert (table(path, "供应商结算")[0]["结算方式"], table(path, "分销佣金")[0]["佣金（元）"]) == ("分账", 1.98)
    assert [row["SHA-256"] for row in table(path, "说明")[7:]] == [f"{1:064x}", f"{2:064x}", "ab" * 32]


def test_two_readers_agree_on_every_cell(tmp_path: Path) -> None:
    export(tmp_path / "finance.xlsx")
    other = CalamineWorkbook.from_path(tmp_path / "finance.xlsx")
    for name in SHEETS:
        theirs = [
            [value if value != "" else None for value in row] for row in other.get_sheet_by_name(name).to_python()
        ]
        ours = [list(row) for row in rows(tmp_path / "finance.xlsx", name)]
        assert [[_day(value) for value in row] for row in ours] == [[_day(value) for value in row] for row in theirs]


def _day(value: Any) -> Any:
    """Days are dates to one reader and midnights to the other."""
    return value.isoformat().removesuffix("T00:00:00") if hasattr(value, "isoformat") else value


def test_english_readers_get_english_words(tmp_path: Path) -> None:
    export(tmp_path / "finance.xlsx", language="en")
    book = openpyxl.load_workbook(tmp_path / "finance.xlsx")
    assert book.sheetnames[:3] == ["Cover", "Reconciliation", "Matched payments"]
    chinese = [
        cell.value
        for sheet in book.worksheets
        for row in (*sheet.iter_rows(max_row=1), *(sheet.iter_rows() if sheet.title == "Cover" else ()))
        for cell in row
        if isinstance(cell.value, str) and any("\u4e00" <= letter <= "\u9fff" for letter in cell.value)
    ]
    assert chinese == ["周会计 (zhou)"]
    assert verify(tmp_path / "finance.xlsx").unchanged


# --- layouts ------------------------------------------------------------------------------------------------------

FEES = SheetLayout(
    "fees",
    (ColumnLayout("off_by_fen", "手续费差", 20), ColumnLayout("channel"), ColumnLayout("rate")),
    "渠道费用",
)
STATEMENTS = SheetLayout("statements", (ColumnLayout("number"), ColumnLayout("payable_fen")))


def test_a_layout_leaves_out_orders_and_names(tmp_path: Path) -> None:
    export(tmp_path / "finance.xlsx", layout=Layout((STATEMENTS, FEES)))
    book = openpyxl.load_workbook(tmp_path / "finance.xlsx")
    assert book.sheetnames == ["封面", "供应商结算", "渠道费用", "校验"]
    assert rows(tmp_path / "finance.xlsx", "渠道费用") == [
        ("手续费差", "渠道", "实际费率"),
        (0.6, "微信支付", 0.00601),
        (0, "支付宝", None),
    ]
    assert (book["渠道费用"].column_dimensions["A"].width, book["渠道费用"].column_dimensions["B"].width) == (20, 12)
    checks = checks_of(book)
    assert {name: str(printed) for name, (_, printed, _) in checks.items()} == {
        "供应商结算 · 应付（元）": "233.65",
        "渠道费用 · 手续费差": "0.6",
    }
    assert {verdict for _, _, verdict in checks.values()} == {"一致"}
    assert verify(tmp_path / "finance.xlsx").unchanged


def test_the_usual_layout_changes_nothing_and_is_kept_as_text(tmp_path: Path) -> None:
    layout = usual(FINANCE_PAGES)
    assert unpacked("mine", packed(layout)) == layout
    for language in ("zh", "en"):
        plain = export(tmp_path / "plain.xlsx", language=language)
        assert export(tmp_path / "same.xlsx", layout=layout, language=language).sha256 == plain.sha256


def sheet(page: str = "fees", *columns: str, name: str = "") -> SheetLayout:
    return SheetLayout(page, tuple(ColumnLayout(key) for key in columns or ("off_by_fen",)), name)


WRONG: dict[str, tuple[Layout, type[KamengError], dict[str, str]]] = {
    "no sheet": (Layout(()), LayoutEmpty, {}),
    "no column": (Layout((SheetLayout("sources", ()),)), LayoutEmpty, {}),
    "an unknown sheet": (Layout((sheet("profits"),)), LayoutUnknown, {"what": "profits"}),
    "an unknown column": (Layout((sheet("fees", "off_by_fen", "tip"),)), LayoutUnknown, {"what": "手续费核对.tip"}),
    "a sheet twice": (Layout((sheet(), sheet())), LayoutTwice, {"what": "fees"}),
    "a column twice": (
        Layout((sheet("fees", "off_by_fen", "off_by_fen"),)),
        LayoutTwice,
        {"what": "手续费核对.off_by_fen"},
    ),
    "a name twice": (Layout((sheet(name="说明"), sheet("sources", "topic"))), LayoutTwice, {"what": "说明"}),
    "a total left out": (
        Layout((sheet("refunds", "fee_returned_fen"),)),
        LayoutLacks,
        {"sheet": "退款明细", "columns": "退款金额（元）"},
    ),
    "the cover's name": (Layout((sheet(name="封面"),)), LayoutBadName, {"name": "封面"}),
    "the proof's name": (Layout((sheet(name="校验"),)), LayoutBadName, {"name": "校验"}),
    "a name Excel refuses": (Layout((sheet(name="a/b"),)), LayoutBadName, {"name": "a/b"}),
    "a name too long": (Layout((sheet(name="长" * 29),)), LayoutBadName, {"name": "长" * 29}),
    "a heading with a line": (
        Layout((SheetLayout("fees", (ColumnLayout("off_by_fen", "a\nb"),)),)),
        LayoutBadName,
        {"name": "a\nb"},
    ),
}


@pytest.mark.parametrize(("layout", "error", "params"), WRONG.values(), ids=WRONG)
def test_a_layout_that_cannot_be_written_is_refused(
    layout: Layout, error: type[KamengError], params: dict[str, str]
) -> None:
    with pytest.raises(error) as caught:
        arranged(FINANCE_PAGES, layout, "zh")
    assert caught.value.params == params
    assert "?" not in caught.value.sentence("zh").replace("* ? /", "")


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"sheets": [{"page": 1}]}'])
def test_a_kept_text_that_is_no_layout_is_told(text: str) -> None:
    with pytest.raises(LayoutUnreadable):
        unpacked("mine", text)


def test_a_refused_layout_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(LayoutEmpty):
        export(tmp_path / "finance.xlsx", layout=Layout(()))
    assert list(tmp_path.iterdir()) == []
