"""A statement as a workbook: the same rows for finance and for its supplier, proved as the other workbooks are."""

from dataclasses import replace
from datetime import timedelta

import openpyxl
import pytest

from desktop.exporting.cover import Cover
from desktop.exporting.statement import LinesDiffer, StatementWorkbook
from desktop.exporting.verify import verify
from desktop.operations import exports, settlement, statement_file
from desktop.operations.statement_file import NoSuchStatement, StatementStillMoving
from desktop.presenters.reconciliation_workbook import Verification
from shared import clock, ids
from shared.contracts.settlement import EditTerms
from shared.errors import NotFound
from shared.finance import Cycle, ReleaseFrom, StatementState
from tests.desktop.settlement_rows import NOON, line, statement
from tests.world import ANNA, BEN

COVER = Cover(exported_by="周洁 (zhou)", server="http://shop", exported_at=NOON)


def written(target, one, lines, language="zh"):
    with StatementWorkbook(target, statement=one, cover=COVER, language=language) as book:
        book.add(lines)
        done = book.finish()
        book.put()
    return done


@pytest.mark.parametrize("language", ["zh", "en"])
def test_every_line_and_what_they_come_to(tmp_path, language):
    one = statement(
        state=StatementState.PAID, lines=2, release_fen=4_325, deductions_fen=427, withheld_fen=523, payable_fen=3_798
    )
    given = line(discount_fen=500, commission_fen=450, net_fen=4_325, distributor="老周", title="=1+1")
    back = {"kind": "deduction", "amount_fen": -1_000, "fee_fen": -50, "net_fen": -950, "refund_no": "TK-1"}
    theirs = {"payment_channel": None, "bill_day": None, "bill_row": None}
    done = written(tmp_path / "one.xlsx", one, [given, line(**back, **theirs)], language)
    assert done.rows == {{"zh": "结算明细", "en": "Lines"}[language]: 2}
    book = openpyxl.load_workbook(tmp_path / "one.xlsx")
    cover, lines, _proof = (book[name] for name in book.sheetnames)
    head, first, second = lines.iter_rows(values_only=True)
    assert head[0] == {"zh": "类型", "en": "Kind"}[language]
    assert first[:5] == ({"zh": "结算释放", "en": "Release"}[language], "7K3M9QX2H4TD", "STEAM-50", "=1+1", 1)
    assert first[6:11] == (45, 5, 2.25, 4.5, 43.25)
    assert (first[16:18], first[21]) == (("三月.xlsx", {"zh": "微信支付", "en": "WeChat Pay"}[language]), 12)
    assert (second[10], second[14], second[17], second[20]) == (-9.5, "TK-1", None, None)
    assert lines["D2"].data_type == "s"
    told = {row[0]: row[1:] for row in cover.iter_rows(values_only=True)}
    assert told[{"zh": "应付（元）", "en": "Payable"}[language]][0] == 37.98
    formula, control, _verdict = told[{"zh": "结算金额（元）", "en": "Net"}[language]]
    assert (formula.startswith("=ROUND(SUM("), control) == (True, 33.75)
    assert verify(tmp_path / "one.xlsx").unchanged
    lines["K3"] = 9.5
    book.save(tmp_path / "one.xlsx")
    assert not verify(tmp_path / "one.xlsx").unchanged


def test_lines_that_are_missing_make_no_file(tmp_path):
    with pytest.raises(LinesDiffer, match=r"42.75.*123.98"):
        written(tmp_path / "one.xlsx", statement(), [line()])
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def settled(world, colleague):
    """星河's statement of two orders, confirmed."""
    terms = {"mode": "purchase", "cycle": Cycle.D0, "n": 0, "release_from": ReleaseFrom.DELIVERED}
    zhou = colleague("zhou")
    with clock.fixed(clock.day_bounds(clock.shop_day(clock.now()))[0] - timedelta(hours=12)):
        edit = EditTerms(**terms, reason="合同 2026-1", version=0)
        zhou.run(settlement.edit_terms(zhou.engine, world.suppliers["xinghe"], edit))
        world.stock("STEAM-50", 5)
        for buyer in (ANNA, BEN):
            world.buy(buyer, "STEAM-50")
    day = clock.shop_day(clock.now())
    [made] = zhou.run(settlement.make_statements(zhou.engine, run_id=ids.new_id(), day=day))
    return zhou, zhou.run(settlement.move_statement(zhou.engine, made, "confirm"))


def test_finance_and_the_supplier_export_the_same_rows(settled, colleague, kameng, tmp_path):
    """Both are noted; at the command line by its number; and nobody exports another supplier's."""
    zhou, one = settled
    chen, zhao = colleague("chen"), colleague("zhao")
    mine = chen.run(statement_file.export_numbered(chen.engine, one.number.lower(), target=tmp_path / "chen.xlsx"))
    console = Verification(lambda work, then, _failed: then(zhou.run(work(zhou.engine))))
    console.verify(tmp_path / "chen.xlsx")
    assert "由供应商“星河数码”的 陈星 导出：只说明是谁导出的" in console.known
    status, out, err = kameng("export", "statement", one.number, "--out", tmp_path / "zhou.xlsx", user="zhou")
    assert (status, err) == (0, "")
    assert out.splitlines() == ["结算明细 2", str(tmp_path / "zhou.xlsx"), f"SHA-256 {mine.sha256}"]
    verdict = verify(tmp_path / "zhou.xlsx")
    assert (verdict.unchanged, verdict.rows, verdict.sha256, verdict.day) == (True, 2, mine.sha256, one.day)
    known = zhou.run(exports.recorded(zhou.engine, mine.sha256, verdict.made_on))
    assert [(noted.kind, noted.statement, noted.exported_by, noted.supplier) for noted in known] == [
        ("statement", one.number, "周洁", ""),
        ("statement", one.number, "陈星", "星河数码"),
    ], "the shop's own first: a supplier's word says nothing of the amounts"
    forged, told = replace(mine, sha256="f" * 64), {"kind": "statement", "first": one.day, "last": one.day}
    for other, number in ((zhao, one.number), (chen, "JS20200101-99"), (zhou, "JS20200101-99")):
        with pytest.raises(NotFound):
            other.run(exports.record(other.engine, forged, **told, statement=number))
    assert zhou.run(exports.recorded(zhou.engine, forged.sha256, verdict.made_on)) == []
    console.verify(tmp_path / "chen.xlsx")
    assert console.known.startswith("服务器记得它：周洁")
    for number in (one.number, "JS20261399-001", "结算单"):
        with pytest.raises(NoSuchStatement):
            zhao.run(statement_file.export_numbered(zhao.engine, number, target=tmp_path / "zhao.xlsx"))
    assert not (tmp_path / "zhao.xlsx").exists()


def test_a_statement_that_changes_meanwhile_is_read_again(settled, tmp_path, monkeypatch):
    zhou, one = settled
    read, versions = statement_file._read, []

    async def moving(engine, statement_id):
        versions.append(len(versions))
        return (await read(engine, statement_id)).model_copy(update={"version": versions[-1]})

    monkeypatch.setattr(statement_file, "_read", moving)
    with pytest.raises(StatementStillMoving):
        zhou.run(statement_file.export(zhou.engine, one.id, target=tmp_path / "one.xlsx"))
    assert len(versions) == 4
    assert list(tmp_path.glob("*.xlsx*")) == []
