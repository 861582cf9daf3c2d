"""A made-up period for the finance workbook: two channels' days, their rows, and the workbook of them."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from desktop.exporting import finance
from desktop.exporting.cover import Cover
from desktop.exporting.finance import CarriedOver, FinanceWorkbook, Period
from desktop.exporting.finance_pages import Carried, Commission, Of
from desktop.exporting.layouts import Layout
from desktop.exporting.workbook import Written
from shared.contracts.bank import Sweep, SweepPart
from shared.contracts.reconcile import (
    Balance,
    BillFile,
    DayDifferences,
    DaySide,
    Difference,
    FundRow,
    Match,
    ReconciledDay,
    RefundMatch,
    Signature,
)
from shared.contracts.reports import ListTotals, ReconciledLists
from shared.contracts.settlement import Statement
from shared.finance import (
    BillKind,
    DayState,
    DifferenceAction,
    DifferenceKind,
    DifferenceState,
    StatementState,
    SweepState,
)

DAY = date(2026, 11, 21)
NOON = datetime(2026, 11, 21, 4, 0, tzinfo=UTC)  # 12:00 in the shop
COVER = Cover(exported_by="周会计 (zhou)", server="https://shop.example", exported_at=NOON + timedelta(hours=22))
PERIOD = Period(DAY, DAY)


def _id(n: int) -> UUID:
    return UUID(int=n)


def bill(n: int, channel: str, kind: BillKind, rows: int) -> BillFile:
    """A bill that was fetched."""
    return BillFile(
        id=_id(n),
        channel=channel,
        kind=kind,
        day=DAY,
        merchant_id="1900000109",
        name=f"{channel}-{kind}-20261121.csv",
        source="fetched",
        added_by="系统",
        added_at=NOON + timedelta(hours=14),
        bytes=4_096,
        rows=rows,
        sha1=f"{n:040x}",
        sha256=f"{n:064x}",
        totals=[],
        is_current=True,
    )


def side(payments: int, fen: int, fees: int, refunds: int = 0, refunds_fen: int = 0) -> DaySide:
    """One side's figures."""
    return DaySide(payments=payments, payments_fen=fen, refunds=refunds, refunds_fen=refunds_fen, fees_fen=fees)


WECHAT = ReconciledDay(
    channel="wechat",
    day=DAY,
    state=DayState.SIGNED,
    bills=[bill(1, "wechat", BillKind.TRADES, 5), bill(2, "wechat", BillKind.FUNDS, 6)],
    missing=[],
    trouble=None,
    run_at=NOON + timedelta(hours=20),
    ours=side(3, 29_700, 178, 1, 5_000),
    theirs=side(4, 39_600, 238, 1, 5_000),
    matched=4,
    matched_fen=24_700,
    date_shifts=0,
    differences=[
        DayDifferences(kind=DifferenceKind.UNPAID_OURS, open=1, closed=0, open_fen=9_900),
        DayDifferences(kind=DifferenceKind.FEE, open=0, closed=1, open_fen=0),
    ],
    balance=Balance(
        opening_fen=100_000,
        receipts_fen=39_600,
        refunds_fen=5_000,
        fees_fen=238,
        fees_returned_fen=30,
        withdrawals_fen=100_000,
        others_fen=0,
        closing_fen=34_392,
        off_by_fen=0,
    ),
    net_fen=34_362,
    arrived_fen=100_000,
    outputs_sha256="ab" * 32,
    signature=Signature(
        signed_by="王主管 (wang)",
        signed_at=NOON + timedelta(hours=21),
        note="",
        inputs_sha256="cd" * 32,
        outputs_sha256="ab" * 32,
    ),
    actions=[],
    sign_waits_for=[],
)
ALIPAY = ReconciledDay(
    channel="alipay",
    day=DAY,
    state=DayState.WAITING,
    bills=[],
    missing=[BillKind.TRADES, BillKind.FUNDS],
    trouble="账单尚未生成",
    run_at=None,
    ours=side(1, 985, 0),
    theirs=side(0, 0, 0),
    matched=0,
    matched_fen=0,
    date_shifts=0,
    differences=[],
    balance=None,
    net_fen=0,
    arrived_fen=0,
    outputs_sha256=None,
    signature=None,
    actions=["fetch"],
    sign_waits_for=["trades"],
)
DAYS = [WECHAT, ALIPAY]


def match(n: int, **given: Any) -> Match:
    """A pair; what is not given is as usual."""
    facts: dict[str, Any] = {
        "order_code": f"7K3M9QX2H4T{n % 10}",
        "out_trade_no": f"00{n:030d}",
        "provider_no": f"4200{n:024d}",
        "paid_at": NOON + timedelta(seconds=n),
        "title": "星河 100 元充值卡",
        "supplier": "星河数字",
        "distributor": "",
        "amount_fen": 10_000,
        "discount_fen": 100,
        "paid_fen": 9_900,
        "fee_fen": 59,
        "fee_ppm": 6_000,
        "net_fen": 9_841,
        "matched_by": "provider_no",
        "bill_row": n,
    }
    return Match(**facts | given)


MATCHES = [
    match(1),
    match(2, title="=1+1", distributor="@小店", fee_fen=60, net_fen=9_840),
    match(3, matched_by="date_shift", paid_at=None, order_code=None, fee_ppm=None, title="+卡\t=SUM(A1)"),
]
REFUNDS = [
    RefundMatch(
        order_code="7K3M9QX2H4T1",
        asked_at=NOON,
        succeeded_at=NOON + timedelta(minutes=2),
        out_trade_no=f"00{1:030d}",
        out_refund_no=f"R{1:031d}",
        provider_refund_no=f"5030{1:024d}",
        amount_fen=5_000,
        fee_returned_fen=30,
        confirmed_by="陈供应 (chen)",
        confirmed_at=NOON + timedelta(minutes=1),
        state="succeeded",
        bill_row=5,
    )
]


def difference(n: int, **given: Any) -> Difference:
    """A difference; what is not given is as usual."""
    facts: dict[str, Any] = {
        "id": _id(n),
        "number": f"D20261121-{n:04d}",
        "channel": "wechat",
        "day": DAY,
        "kind": DifferenceKind.UNPAID_OURS,
        "ours_words": "平台未支付",
        "theirs_words": "渠道已支付 99.00",
        "ours_fen": 0,
        "theirs_fen": 9_900,
        "off_by_fen": 9_900,
        "out_trade_no": f"00{n:030d}",
        "provider_no": f"4200{n:024d}",
        "out_refund_no": "",
        "order_code": "7K3M9QX2H4T4",
        "bill_row": 4,
        "found_at": NOON + timedelta(hours=20),
        "carried_from": None,
        "state": DifferenceState.OPEN,
        "proposed_action": DifferenceAction.DELIVER,
        "action": None,
        "action_order_code": None,
        "note": "",
        "handled_by": None,
        "handled_at": None,
        "checked_by": None,
        "checked_at": None,
        "two_people": False,
        "actions": [],
        "version": 1,
    }
    return Difference(**facts | given)


DIFFERENCES = [
    difference(
        4,
        carried_from=DAY - timedelta(days=1),
        state=DifferenceState.RESOLVED,
        action=DifferenceAction.CARRY,
        note="=cmd|'/c calc'!A0",
    ),
    difference(
        2,
        kind=DifferenceKind.FEE,
        ours_words="手续费 0.59",
        theirs_words="手续费 0.60",
        ours_fen=59,
        theirs_fen=60,
        off_by_fen=1,
        state=DifferenceState.RESOLVED,
        action=DifferenceAction.BOOK,
        handled_by="周会计 (zhou)",
        handled_at=NOON + timedelta(hours=20),
    ),
]


def fund(n: int, kind: str, amount_fen: int, balance_fen: int) -> FundRow:
    """A movement of the fund bill."""
    return FundRow(
        bill_row=n,
        at=NOON + timedelta(seconds=n),
        fund_no=f"5030{n:024d}",
        provider_no=f"4200{n:024d}",
        kind=kind,
        amount_fen=amount_fen,
        balance_fen=balance_fen,
        out_trade_no=f"00{n:030d}",
        order_code=None,
        note="",
    )


FUNDS = [
    fund(1, "trade", 39_600, 139_600),
    fund(2, "fee", -238, 139_362),
    fund(3, "refund", -5_000, 134_362),
    fund(4, "fee_returned", 30, 134_392),
    fund(5, "withdrawal", -100_000, 34_392).model_copy(update={"arrival": "20261122000123"}),
]
SWEEPS = [
    Sweep(
        id=_id(12),
        channel="wechat",
        parts=[SweepPart(day=DAY - timedelta(days=1), fen=25_000), SweepPart(day=DAY, fen=100_000)],
        amount_fen=125_000,
        others_fen=0,
        withdrawal="F-5",
        reference="20261122000123",
        arrived_on=DAY + timedelta(days=1),
        state=SweepState.BOOKED,
        note="",
        recorded_by="周会计 (zhou)",
        recorded_at=NOON + timedelta(hours=20),
        checked_by=None,
        checked_at=None,
        reversed_by=None,
        reversed_at=None,
        reversal_checked_by=None,
        actions=[],
        version=1,
    )
]
STATEMENT = Statement(
    id=_id(9),
    number="S20261121-0001",
    supplier_id=_id(10),
    supplier="星河数字",
    day=DAY,
    mode="profit_sharing",
    state=StatementState.CONFIRMED,
    lines=3,
    release_fen=28_215,
    deductions_fen=4_750,
    owed_fen=0,
    payout_fee_fen=100,
    payable_fen=23_365,
    made_by="周会计 (zhou)",
    made_at=NOON,
    confirmed_by="王主管 (wang)",
    confirmed_at=NOON + timedelta(hours=1),
    paid_at=None,
    actions=[],
    version=2,
)
COMMISSION = Commission(
    "7K3M9QX2H4T2", "@小店", "0010086", "星河 100 元充值卡", "星河数字", NOON, 9_900, 198, "S20261121-0001"
)

LISTS = ReconciledLists(
    as_of=NOON + timedelta(hours=21),
    position=4_711,
    days=[
        ListTotals(
            channel="wechat",
            day=DAY,
            payments=3,
            payments_fen=29_700,
            payment_fees_fen=178,
            paired_refunds=1,
            paired_refunds_fen=5_000,
            refunds=1,
            refunds_fen=5_000,
            differences=2,
            off_by_fen=9_901,
            movements=5,
            movements_fen=-65_608,
        )
    ],
)


def carried(differences: list[Difference], period: Period = PERIOD) -> list[Carried]:
    """What came in and what went out of a period."""
    over = CarriedOver(period)
    return [*over.came(differences), *over.left()]


ROWS: dict[str, list[Any]] = {
    "days": DAYS,
    "matches": [Of(DAY, "wechat", one) for one in MATCHES],
    "refunds": [Of(DAY, "wechat", one) for one in REFUNDS],
    "differences": DIFFERENCES,
    "carried": carried(DIFFERENCES),
    "fees": DAYS,
    "funds": [*finance.opening(WECHAT), *finance.moved(WECHAT, FUNDS), *finance.closing(WECHAT, SWEEPS)],
    "statements": [STATEMENT],
    "commissions": [COMMISSION],
    "sources": list(finance.sources(DAYS)),
}


def export(target: Path, *, layout: Layout | None = None, language: str = "zh") -> Written:
    """The finance workbook of the period."""
    with FinanceWorkbook(target, period=PERIOD, cover=COVER, layout=layout, language=language) as book:
        for key in book.keys:
            book.add(key, ROWS[key])
        written = book.finish(DAYS, LISTS)
        book.put()
    return written
