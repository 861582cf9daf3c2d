"""The finance workbook over HTTP: a real day that was reconciled, in layouts that are kept for each person."""

import asyncio
import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import openpyxl
import pytest
from sqlalchemy import select

from desktop.engine.transport import Call
from desktop.exporting.control import ListsDiffer
from desktop.exporting.finance_pages import FINANCE_PAGES
from desktop.exporting.layouts import (
    ColumnLayout,
    Layout,
    LayoutEmpty,
    LayoutLacks,
    SheetLayout,
    arranged,
    packed,
    usual,
)
from desktop.exporting.verify import Verdict, verify
from desktop.operations import exports, finance_workbook, layouts, reconciliation_days
from desktop.operations.finance_workbook import PeriodStillMoving, PeriodWrong
from desktop.operations.layouts import Elsewhere, LayoutMissing, LayoutNameless, Sent
from desktop.operations.reconciliation import DayNotBegun
from desktop.presenters.reconciliation_finance import choices, chosen_layout
from desktop.presenters.reconciliation_workbook import Verification, says
from server.audit import AuditEvent
from server.orders.actions import PlaceOrder
from server.payments import checkout
from server.payments.model import PaymentAttempt
from server.reports.layouts import MOST, TooManyLayouts
from server.sandbox import bills_wechat
from server.sandbox.bills import BillLine
from shared import clock, ids
from shared.contracts.reports import Export
from shared.errors import BadField, NotAllowed
from tests.desktop.formulas import checks_of
from tests.desktop.live import Line, shop
from tests.desktop.test_presenters_lists import Later
from tests.server.till import Till
from tests.world import ANNA, BEN, CARA, MERCHANT, WITH_FEES

FEES = SheetLayout("fees", (ColumnLayout("channel"), ColumnLayout("off_by_fen", "差")), "费用")


class Reconciled:
    """Yesterday: three payments through WeChat; its bill lacks one, has twice a fee, and one that is nobody's."""

    def __init__(self, console, world, folder):
        self.console, self.world = console, world
        self.day = clock.shop_day(clock.now()) - timedelta(days=1)
        self._noon = clock.day_bounds(self.day)[0] + timedelta(hours=12)
        self._till = world.ctx.gateways["wechat"] = Till("wechat")
        world.stock("STEAM-50", 5)
        with clock.fixed(self._noon):
            paid = [self._buy(buyer) for buyer in (ANNA, BEN, CARA)]
        lines = [
            self._line(paid[0].provider_no, paid[0].out_trade_no, paid[0].amount_fen, fee_fen=27),
            self._line(paid[1].provider_no, paid[1].out_trade_no, paid[1].amount_fen, fee_fen=54),
            self._line(f"43{1:024d}", "OTHER-SHOP-1", 1_250),
        ]
        trades = bills_wechat.trade_bill(lines, merchant_id=MERCHANT, bill_type="ALL")
        funds = bills_wechat.fund_flow_bill(lines, merchant_id=MERCHANT, opening_fen=100_000)
        for name, content in (("All.csv", trades), ("fundflow.csv", funds)):
            (folder / name).write_bytes(content)
            console.run(reconciliation_days.drop_bill(console.engine, folder / name, day=self.day))
        self.work()
        self.paid = paid

    def work(self):
        self.world.work()

    def export(self, target, **given):
        wanted = {"first": self.day, "last": self.day, "target": target} | given
        return self.console.run(finance_workbook.export_finance(self.console.engine, **wanted))

    def _buy(self, buyer):
        ctx = self.world.ctx
        order = PlaceOrder(buyer, ids.new_token(), "STEAM-50", 1, 4_500, "wechat")
        code = asyncio.run(checkout.place(ctx, order)).code
        query = select(PaymentAttempt).where(PaymentAttempt.order_code == code)
        with ctx.db.read() as tx:
            number = tx.scalars(query).one().out_trade_no
        self.world.apply(self._till.pay(number))
        with ctx.db.read() as tx:
            return tx.scalars(query).one()

    def _line(self, provider_no, out_trade_no, amount_fen, fee_fen=0):
        at = int(self._noon.timestamp()) * 1_000
        return BillLine(
            kind="payment",
            at_ms=at,
            created_at_ms=at - 20_000,
            provider_no=provider_no,
            out_trade_no=out_trade_no,
            amount_fen=amount_fen,
            fee_fen=fee_fen,
            subject="Steam",
            app_id="wx1",
            product="qr",
            payer="o1",
        )


@pytest.fixture
def live_shop(tmp_path):
    """A shop that knows what its channels keep."""
    with shop(tmp_path, **WITH_FEES, shared_merchants="wechat") as running:
        yield running


@pytest.fixture
def finance(live_shop, console):
    a = console(follow=False)
    a.sign_in(live_shop.url, "zhou")
    return a


@pytest.fixture
def reconciled(live_shop, finance, tmp_path):
    return Reconciled(finance, live_shop.world, tmp_path)


def table(path, sheet):
    head, *rows = openpyxl.load_workbook(path)[sheet].values
    return [dict(zip(head, row, strict=True)) for row in rows]


def test_a_reconciled_day_becomes_a_workbook_that_proves_itself(reconciled, tmp_path):
    target = tmp_path / "finance.xlsx"
    written = reconciled.export(target)
    assert written.rows == {
        "对账汇总": len(table(target, "对账汇总")),
        "交易明细": 1,
        "退款明细": 0,
        "差异明细": 3,
        "跨日挂账": 0,
        "手续费核对": len(table(target, "手续费核对")),
        "资金流水与银行到账": 7,
        "供应商结算": 0,
        "分销佣金": 0,
        "说明": 9,
    }
    assert [row["商户订单号"] for row in table(target, "交易明细")] == [one.out_trade_no for one in reconciled.paid[:1]]
    assert {(row["类型"], row["差额（元）"]) for row in table(target, "差异明细")} == {
        ("平台有、渠道无", -45),
        ("手续费不符", 0.27),
        ("外来单", 12.5),
    }
    assert [row["类型"] for row in table(target, "资金流水与银行到账")][::6] == ["期初余额", "期末余额"]
    checks = checks_of(openpyxl.load_workbook(target))
    assert {verdict for _, _, verdict in checks.values()} == {"一致"}
    assert verify(target).unchanged


def test_a_period_of_many_months_is_asked_for_in_parts(reconciled, finance, tmp_path):
    target = tmp_path / "year.xlsx"
    written = reconciled.export(target, first=reconciled.day - timedelta(days=119), channels=["wechat"])
    assert (written.rows["对账汇总"], written.rows["交易明细"], written.rows["差异明细"]) == (120, 1, 3)
    assert verify(target).unchanged
    too_many = {"from": (reconciled.day - timedelta(days=31)).isoformat(), "to": reconciled.day.isoformat()}
    with pytest.raises(BadField):
        finance.run(finance.engine.session.ask(Call("GET", "/api/reports/reconciled", query=too_many), None))


def test_rows_that_are_lost_on_the_way_make_no_workbook(reconciled, tmp_path, monkeypatch):
    monkeypatch.setattr(finance_workbook._Reading, "_matches", finance_workbook._Reading._refunds)
    with pytest.raises(ListsDiffer):
        reconciled.export(tmp_path / "out.xlsx")
    assert list(tmp_path.glob("*.xlsx*")) == []


def test_the_server_remembers_who_exported_what(reconciled, finance, tmp_path, monkeypatch):
    written = reconciled.export(tmp_path / "finance.xlsx", channels=["wechat"])
    verdict = verify(tmp_path / "finance.xlsx")
    assert verdict.made_on == clock.shop_day(clock.now())
    [known] = finance.run(exports.recorded(finance.engine, verdict.sha256, verdict.made_on))
    assert (known.kind, known.first, known.last, known.channels) == (
        "finance",
        reconciled.day,
        reconciled.day,
        ["wechat"],
    )
    assert (known.rows, known.sha256, known.exported_by) == (sum(written.rows.values()), written.sha256, "周洁")
    assert finance.run(exports.recorded(finance.engine, "0" * 64, verdict.made_on)) == []
    assert finance.run(exports.recorded(finance.engine, written.sha256, verdict.made_on - timedelta(days=3))) == []
    with reconciled.world.ctx.db.read() as tx:
        lines = tx.scalars(select(AuditEvent).where(AuditEvent.action == "workbook.export")).all()
    assert [(line.entity, line.entity_id) for line in lines] == [("workbook", written.sha256)]

    async def refused(*_given, **_named):
        raise NotAllowed

    monkeypatch.setattr(exports, "record", refused)
    with pytest.raises(NotAllowed):
        reconciled.export(tmp_path / "out.xlsx")
    assert [path.name for path in tmp_path.glob("*.xlsx*")] == ["finance.xlsx"], "no file without a record of it"


def test_a_verdict_says_what_the_server_knows_of_the_file():
    day, at = date(2026, 11, 21), datetime(2026, 11, 22, 1, 0, tzinfo=UTC)
    verdict = Verdict("a.xlsx", day, 12, "e" * 64, (), day)
    export = Export(
        kind="day",
        first=day,
        last=day,
        channels=[],
        layout="",
        rows=12,
        sha256="e" * 64,
        exported_by="周洁",
        exported_at=at,
    )
    answers = {
        "服务器记得它：周洁 于 2026-11-22 09:00:00 导出。": lambda ask: ask.answer(1, [export]),
        "服务器没有导出过这些明细：它来自别处，或被整体改写。": lambda ask: ask.answer(1, []),
        "没有向服务器核实它是谁导出的。": lambda ask: ask.fail(1, NotAllowed()),
    }
    for told, answer in answers.items():
        ask = Later()
        asked = Verification(ask)
        asked.verify(Path("a.xlsx"))
        ask.answer(0, verdict)
        assert (asked.busy, asked.known) == (False, "")
        answer(ask)
        assert says(asked.verdict, asked.known).split("\n")[1:] == [told]
        assert asked.is_strange is ("没有导出过" in told), "nobody is reassured by rows that the server never wrote"
    asked.verify(Path("b.xlsx"))
    ask.answer(2, replace(verdict, made_on=None))
    assert (asked.known, len(ask.asked)) == ("", 3), "an earlier version did not note it"


def test_the_verb_writes_it_in_a_saved_layout(reconciled, finance, kameng, tmp_path):
    day = reconciled.day.isoformat()
    status, out, err = kameng("export", "finance", "--from", day, "--out", tmp_path / "verb.xlsx", user="zhou")
    assert (status, err) == (0, "")
    assert "交易明细 1\n" in out
    assert out.endswith(f"SHA-256 {verify(tmp_path / 'verb.xlsx').sha256}\n")
    finance.run(layouts.save_layout(finance.engine, "费用", Layout((FEES,))))
    fees = ("--channel", "wechat", "--layout", "费用", "--out", tmp_path / "fees.xlsx")
    status, _, err = kameng("export", "finance", "--from", day, *fees, user="zhou", home="elsewhere")
    assert (status, err) == (0, "")
    assert openpyxl.load_workbook(tmp_path / "fees.xlsx").sheetnames == ["封面", "费用", "校验"]
    assert [(row["渠道"], list(row)) for row in table(tmp_path / "fees.xlsx", "费用")] == [("微信支付", ["渠道", "差"])]


def test_a_period_that_changes_meanwhile_is_not_exported(reconciled, finance, tmp_path, monkeypatch):
    asked = finance_workbook._days
    calls = []

    async def moving(engine, period):
        days = await asked(engine, period)
        calls.append(period)
        return [day.model_copy(update={"matched": len(calls)}) for day in days]

    monkeypatch.setattr(finance_workbook, "_days", moving)
    with pytest.raises(PeriodStillMoving):
        reconciled.export(tmp_path / "out.xlsx")
    assert (len(calls), list(tmp_path.glob("*.xlsx*"))) == (6, [])


def test_wrong_periods_and_layouts_are_refused_and_leave_no_file(live_shop, finance, console, tmp_path):
    today = clock.shop_day(clock.now())
    for first, last, error in (
        (today, today - timedelta(days=1), PeriodWrong),
        (today - timedelta(days=366), today, PeriodWrong),
        (today, today + timedelta(days=1), DayNotBegun),
    ):
        with pytest.raises(error):
            finance.run(
                finance_workbook.export_finance(finance.engine, first=first, last=last, target=tmp_path / "out.xlsx")
            )
    wanted = {"first": today, "last": today, "target": tmp_path / "out.xlsx"}
    with pytest.raises(LayoutMissing):
        finance.run(finance_workbook.export_finance(finance.engine, **wanted, layout="none"))
    supplier = console("b", follow=False)
    supplier.sign_in(live_shop.url, "chen")
    with pytest.raises(NotAllowed):
        supplier.run(finance_workbook.export_finance(supplier.engine, **wanted))
    assert list(tmp_path.glob("*.xlsx*")) == []


def test_a_layout_moves_and_names_its_sheets_and_columns():
    mine = chosen_layout(Layout((FEES,)), choices(Layout((FEES,))))
    assert mine == Layout((FEES,))
    shown = [one for one in choices(usual(FINANCE_PAGES)) if one.key in {"fees", "refunds"}]
    shown = [replace(one, columns=one.columns[::-1]) for one in shown[::-1]]
    columns = [replace(one, title={"day": " 日子 ", "channel": ""}.get(one.key, one.title)) for one in shown[0].columns]
    made = chosen_layout(mine, [replace(shown[0], name="费", columns=tuple(columns)), replace(shown[1], name=" ")])
    fees, refunds = made.sheets
    assert (fees.page, fees.name, refunds.page, refunds.name) == ("fees", "费", "refunds", "")
    assert [(one.key, one.title) for one in fees.columns[-2:]] == [("channel", ""), ("day", "日子")]
    assert {one.title for one in refunds.columns} == {""}, "usual names are not kept: another language has its own"
    assert [one.own for one in arranged(FINANCE_PAGES, made, "zh")[0].columns[-2:]] == ["", "日子"]


def test_layouts_are_kept_for_each_person_on_every_machine(live_shop, finance, console):
    engine, mine, fees = finance.engine, usual(FINANCE_PAGES), Layout((FEES,))
    finance.run(layouts.save_layout(engine, " 月报 ", mine))
    finance.run(layouts.save_layout(engine, "费用", fees))
    assert list(finance.run(layouts.layouts(engine))) == ["月报", "费用"]
    assert finance.run(layouts.layout(engine, "月报")) == mine
    finance.run(layouts.save_layout(engine, "月报", fees, seen=packed(mine)))
    assert finance.run(layouts.layout(engine, "月报")) == fees
    for name, layout, error in (("", mine, LayoutNameless), ("x", Layout((SheetLayout("fees", ()),)), LayoutEmpty)):
        with pytest.raises(error):
            finance.run(layouts.save_layout(engine, name, layout))
    wrong = Layout((SheetLayout("refunds", (ColumnLayout("order_code"),)),))
    with pytest.raises(LayoutLacks):
        finance.run(layouts.save_layout(engine, "x", wrong))
    finance.run(layouts.remove_layout(engine, "月报", seen=packed(fees)))
    with pytest.raises(LayoutMissing):
        finance.run(layouts.layout(engine, "月报"))
    assert list(finance.run(layouts.layouts(engine))) == ["费用"]
    other = console("b", follow=False)
    other.sign_in(live_shop.url, "wang")
    assert other.run(layouts.layouts(other.engine)) == {}
    other.run(layouts.save_layout(other.engine, "费用", mine))
    other.sign_in(live_shop.url, "zhou")
    assert other.run(layouts.layout(other.engine, "费用")) == fees
    for n in range(1, MOST):
        other.run(layouts.save_layout(other.engine, f"第{n}版", mine))
    with pytest.raises(TooManyLayouts, match="At most 50"):
        finance.run(layouts.save_layout(engine, "又一版", mine))
    assert "又一版" not in finance.run(layouts.layouts(engine))
    finance.run(layouts.save_layout(engine, "第1版", fees, seen=packed(mine)))
    assert other.run(layouts.layout(other.engine, "第1版")) == fees, "an older one gives way at any number"


def test_layouts_are_saved_and_removed_without_a_connection(live_shop, console):
    """What the server is owed goes to it as soon as it is there; what was saved elsewhere meanwhile stays."""
    usually, fees = usual(FINANCE_PAGES), Layout((FEES,))
    with Line(live_shop.port) as line:
        a, b = console("a", follow=False), console("b", follow=False)
        a.sign_in(line.url, "zhou")
        with a.engine_outbox() as outbox:
            before = json.dumps({"旧版": packed(fees), "更旧版": None})  # as an earlier version noted it
            outbox.execute("INSERT INTO setting (name, value) VALUES (?, ?)", (f"layouts/zhou@{line.url}", before))
        for name in ("月报", "季报", "半年报", "年报"):
            assert a.run(layouts.save_layout(a.engine, name, usually)) == Sent()
        b.sign_in(live_shop.url, "zhou")
        seen = b.run(layouts.layouts(b.engine))
        assert (list(seen), a.run(layouts.layouts(a.engine))) == (["半年报", "季报", "年报", "旧版", "月报"], seen)
        line.cut()
        assert a.run(layouts.remove_layout(a.engine, "旧版", seen=seen["旧版"])) == Sent(is_owed=True)
        for name in ("季报", "半年报"):
            a.run(layouts.remove_layout(a.engine, name, seen=seen[name]))
        for name, layout in (("半年报", fees), ("月报", fees), ("年报", usually), ("年报", fees), ("周报", fees)):
            a.run(layouts.save_layout(a.engine, name, layout, seen=seen.get(name)))
        here = dict.fromkeys(("半年报", "周报", "年报", "月报"), packed(fees))
        assert a.run(layouts.layouts(a.engine)) == here
        assert b.run(layouts.layouts(b.engine)) == seen
        assert a.run(layouts.send_owed(a.engine)) == Sent(is_owed=True)
        elsewhere = Layout((*usually.sheets[:1], FEES))
        for name in ("季报", "月报"):
            b.run(layouts.save_layout(b.engine, name, elsewhere, seen=seen[name]))
        line.mend()
        beside = (Elsewhere("季报", None), Elsewhere("月报", "月报 (2)"))
        assert a.run(layouts.send_owed(a.engine)) == Sent(elsewhere=beside)
        assert a.run(layouts.send_owed(a.engine)) == Sent()
    theirs = dict.fromkeys(("季报", "月报"), packed(elsewhere))
    assert b.run(layouts.layouts(b.engine)) == here | {"月报 (2)": packed(fees)} | theirs
    with a.engine_outbox() as outbox:
        assert outbox.execute("SELECT name FROM setting WHERE name LIKE 'layouts/%'").fetchall() == []
