"""The workbench's files without a display: what a drop is, bills on their way, layouts, and verdicts."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from desktop.exporting.finance_pages import FINANCE_PAGES
from desktop.exporting.findings import Finding, Found
from desktop.exporting.layouts import ColumnLayout, Layout, LayoutUnreadable, SheetLayout, arranged, packed, usual
from desktop.exporting.verify import Verdict
from desktop.operations import bill_files, reconciliation_days
from desktop.operations.bill_files import BillTooLarge, BillUnreadable
from desktop.operations.layouts import Elsewhere, Sent
from desktop.presenters.dropping import Meant, divided, meant_by
from desktop.presenters.reconciliation_bills import Bills
from desktop.presenters.reconciliation_finance import FinanceExport, choices, chosen_layout
from desktop.presenters.reconciliation_workbook import Verification, says
from shared.errors import Conflict
from shared.finance import BillKind
from shared.permissions import Role
from tests.desktop.reconcile_rows import DAY, bill
from tests.desktop.test_presenters_lists import Later
from tests.desktop.test_reconcile_presenter import Heard
from tests.desktop.window_program import person

# --- dropped bills ---


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("20260301_账务明细.csv.zip", Meant.BILL),
        ("1900000109All2026-03-01_2026-03-01.csv", Meant.BILL),
        ("wechat-fundflow-basic.csv.gz", Meant.BILL),
        ("2026-03-01 微信账单.csv", Meant.BILL),
        ("STEAM-50.xlsx", Meant.KEYS),
        ("kameng-finance-2026-03-01.xlsx", Meant.BILL),
        ("打款回盘 0302.xlsx", Meant.RESULTS),
        ("kameng-payouts-2026-03-02.csv", Meant.RESULTS),
        ("DK20260302-001.csv", Meant.RESULTS),
        ("steam.txt", Meant.UNCLEAR),
        ("export.csv", Meant.UNCLEAR),
    ],
)
def test_a_name_tells_what_a_file_is_meant_to_be(name, meant):
    assert meant_by(name) is meant


def test_who_may_drop_only_one_kind_is_not_asked():
    files = [Path("a.zip"), Path("keys.txt")]
    both = frozenset({Meant.KEYS, Meant.BILL})
    assert divided(files, takers=frozenset({Meant.BILL}), front=None) == {Meant.BILL: files}
    assert divided(files, takers=both, front=None) == {Meant.BILL: files[:1], Meant.UNCLEAR: files[1:]}
    assert divided(files, takers=both, front=Meant.BILL) == {Meant.BILL: files}
    assert divided(files, takers=both, front=Meant.KEYS) == {Meant.BILL: files[:1], Meant.KEYS: files[1:]}
    finance = frozenset({Meant.BILL, Meant.RESULTS})
    sheets = [Path("batch.xlsx"), Path("打款回盘.xlsx")]
    assert divided(sheets, takers=finance, front=None) == {Meant.UNCLEAR: sheets[:1], Meant.RESULTS: sheets[1:]}
    assert divided(sheets, takers=finance, front=Meant.RESULTS) == {Meant.RESULTS: sheets}
    assert divided(sheets[:1], takers=finance | both, front=Meant.RESULTS) == {Meant.RESULTS: sheets[:1]}
    assert divided(sheets, takers=both, front=None) == {Meant.KEYS: sheets[:1], Meant.UNCLEAR: sheets[1:]}


def test_bills_go_one_after_the_other_and_the_refused_stay_with_their_sentence():
    ask = Later()
    bills = Bills(ask, person(Role.FINANCE))
    bills.take([Path("a.zip"), Path("b.zip")], day=DAY)
    assert len(ask.asked) == 1
    bills.take([Path("c.zip")], day=DAY)
    ask.fail(0, Conflict())
    ask.answer(1, bill())
    bills.clear()
    assert len(bills.files) == 3, "one is still on its way"
    ask.answer(2, bill(kind=BillKind.FUNDS))
    assert [type(one.error).__name__ if one.error else one.kept.kind for one in bills.files] == [
        "Conflict",
        BillKind.TRADES,
        BillKind.FUNDS,
    ]
    assert (bills.busy, bills.refused) == (False, 1)
    bills.take([Path("d.zip")], day=DAY)
    assert [one.path.name for one in bills.files] == ["d.zip"], "a list that is over begins anew"


def test_nobody_without_the_right_sends_a_bill():
    ask = Later()
    bills = Bills(ask, person(Role.OPERATOR))
    bills.take([Path("a.zip")], day=DAY)
    assert (bills.files, ask.asked) == ([], [])


def test_a_bill_travels_whole_and_what_cannot_be_one_stays(tmp_path, monkeypatch):
    file = tmp_path / "账单.zip"
    file.write_bytes(b"PK\x03\x04")
    heard = Heard(bill())
    asyncio.run(reconciliation_days.drop_bill(heard, file, day=DAY))
    [call] = heard.sent
    assert (call.path, call.query, call.body) == (
        "/api/reconcile/bills",
        {"name": "账单.zip", "day": "2026-03-01"},
        b"PK\x03\x04",
    )
    with pytest.raises(BillUnreadable):
        asyncio.run(reconciliation_days.drop_bill(heard, tmp_path, day=DAY))
    monkeypatch.setattr(bill_files, "MOST_SENT", 3)
    with pytest.raises(BillTooLarge):
        asyncio.run(reconciliation_days.drop_bill(heard, file, day=DAY))
    assert len(heard.sent) == 1


# --- layouts of the finance workbook ---


def test_a_layout_is_edited_without_losing_what_it_had():
    names = (ColumnLayout("number", title="编号"), ColumnLayout("off_by_fen"), ColumnLayout("ours_fen"))
    kept = Layout((SheetLayout("differences", (*names, ColumnLayout("theirs_fen", width=30)), name="要查的"),))
    shown = choices(kept)
    assert (shown[0].key, shown[0].name, shown[0].shown) == ("differences", "要查的", True)
    assert not any(sheet.shown for sheet in shown[1:])
    titles = {one.key: (one.title, one.shown, one.is_fixed) for one in shown[0].columns}
    assert titles["number"] == ("编号", True, False)
    assert titles["off_by_fen"][1:] == (True, True), "the cover adds it up"
    assert titles["kind"][1] is False
    assert chosen_layout(kept, shown) == kept, "saved as it was"
    more = [replace(sheet, shown=sheet.key in {"differences", "days"}) for sheet in shown]
    made = chosen_layout(kept, more)
    assert [sheet.page for sheet in made.sheets] == ["differences", "days"]
    assert made.sheets[0] == kept.sheets[0]
    arranged(FINANCE_PAGES, made, "zh")


def test_layouts_are_named_chosen_and_forgotten():
    ask, text = Later(), packed(usual(FINANCE_PAGES))
    panel = FinanceExport(ask)
    panel.toggle()
    ask.answer(0, Sent())
    ask.answer(1, {"日结": text, "月结": text})
    panel.choose("月结")
    panel.edit()
    ask.answer(2, {"日结": text, "月结": text})
    panel.connected()
    ask.answer(3, Sent())
    ask.answer(4, {"日结": text, "月结": "saved elsewhere"})
    panel.remove()
    assert ask.asked[5][0].keywords == {"name": "月结", "seen": text}, "as it was when it was opened"
    ask.answer(5, Sent())
    assert (panel.layout_name, panel.layout, panel.told) == (None, None, "")
    ask.answer(6, {"日结": text})
    panel.edit()
    assert panel.layout == usual(FINANCE_PAGES), "a new one begins with all"
    panel.save(" 周结 ", choices(panel.layout))
    ask.fail(7, Conflict())
    assert panel.layout is not None, "what was edited stays"
    panel.save(" 周结 ", choices(panel.layout))
    ask.answer(8, Sent(is_owed=True))
    ask.answer(9, {"周结": text, "日结": text})
    assert (panel.layout_name, list(panel.mine), panel.layout) == ("周结", ["周结", "日结"], None)
    assert panel.told.startswith("连不上服务器：版式已先存在这台电脑上")
    panel.connected()
    ask.answer(10, Sent(elsewhere=(Elsewhere("周结", "周结 (2)"), Elsewhere("年结", None))))
    assert panel.told.split("\n") == [
        "版式“周结”已在别处另存过：那一份保留不动，这里的保存为“周结 (2)”。",
        "版式“年结”已在别处另存过，没有删除。",
    ]
    ask.answer(11, {"周结": text, "周结 (2)": text, "日结": text})
    panel.choose("日结")
    panel.edit()
    ask.answer(12, {"日结": "{"})
    assert (panel.told, panel.layout, type(panel.error)) == ("", None, LayoutUnreadable)


def test_a_verdict_is_told_whole_or_finding_by_finding():
    verdict = Verdict("a.xlsx", DAY, 12_345, "e" * 64, ())
    assert says(verdict) == f"“a.xlsx”与导出时完全一致：2026-03-01，12,345 行明细。数据指纹 SHA-256：{'e' * 64}"
    found = tuple(Finding(Found.SHEET_ADDED, f"表{n}") for n in range(7))
    told = says(replace(verdict, findings=found)).split("\n")
    assert told[0] == "“a.xlsx”（2026-03-01）在导出之后被改动："
    assert told[1] == "工作表“表0”是后来加的。"
    assert told[-1] == "另有 2 处。"
    ask = Later()
    asked = Verification(ask)
    asked.verify(Path("a.xlsx"))
    asked.verify(Path("b.xlsx"))
    ask.answer(0, verdict)
    assert asked.busy, "the answer about another file is dropped"
    asked.clear()
    ask.answer(1, verdict)
    assert (asked.verdict, asked.busy) == (None, False)
