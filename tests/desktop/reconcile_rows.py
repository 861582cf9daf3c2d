"""Rows of reconciliation as the server answers them, for presenters' tests: a WeChat day with two differences."""

from datetime import UTC, date, datetime
from uuid import UUID

from shared import ids
from shared.contracts.bank import Sweep, SweepPart
from shared.contracts.reconcile import (
    Balance,
    BillFile,
    BillTotal,
    DayDifferences,
    DaySide,
    Difference,
    DifferenceDetail,
    DifferenceEvent,
    ReconciledDay,
    SideFact,
    Signature,
)
from shared.finance import BillKind, DayState, DifferenceAction, DifferenceKind, DifferenceState, SweepState

DAY = date(2026, 3, 1)
NOON = datetime(2026, 3, 2, 4, 0, tzinfo=UTC)
OUTPUTS = "b" * 64


def bill(**other) -> BillFile:
    facts = {
        "id": ids.new_id(),
        "channel": "wechat",
        "kind": BillKind.TRADES,
        "day": DAY,
        "merchant_id": "1900000109",
        "name": "1900000109All2026-03-01.csv",
        "source": "fetched",
        "added_by": "system",
        "added_at": NOON,
        "bytes": 1_234_567,
        "rows": 10_004,
        "sha1": "c" * 40,
        "sha256": "d" * 64,
        "totals": [BillTotal(name="总交易单数", printed=10_004, read=10_004, is_amount=False)],
        "is_current": True,
    }
    return BillFile.model_validate(facts | other)


def balance(**other) -> Balance:
    facts = {
        "opening_fen": 100_000,
        "receipts_fen": 45_000,
        "refunds_fen": 4_500,
        "fees_fen": 270,
        "fees_returned_fen": 27,
        "withdrawals_fen": 100_000,
        "others_fen": 0,
        "closing_fen": 40_257,
        "off_by_fen": 0,
    }
    return Balance.model_validate(facts | other)


def day(**other) -> ReconciledDay:
    facts = {
        "channel": "wechat",
        "day": DAY,
        "state": DayState.OPEN,
        "bills": [bill(), bill(kind=BillKind.FUNDS, name="fundflow.csv", source="dropped", rows=30)],
        "missing": [],
        "trouble": None,
        "run_at": NOON,
        "ours": DaySide(payments=10, payments_fen=45_000, refunds=1, refunds_fen=4_500, fees_fen=243),
        "theirs": DaySide(payments=11, payments_fen=49_500, refunds=1, refunds_fen=4_500, fees_fen=270),
        "matched": 9,
        "matched_fen": 40_500,
        "date_shifts": 0,
        "differences": [
            DayDifferences(kind=DifferenceKind.UNPAID_OURS, open=1, closed=0, open_fen=4_500),
            DayDifferences(kind=DifferenceKind.FEE, open=1, closed=2, open_fen=27),
        ],
        "balance": balance(),
        "net_fen": 44_730,
        "arrived_fen": 0,
        "outputs_sha256": OUTPUTS,
        "signature": None,
        "actions": ["fetch", "run"],
        "sign_waits_for": ["还有 2 条差异未处理"],
    }
    return ReconciledDay.model_validate(facts | other)


def signed_day(**other) -> ReconciledDay:
    signature = Signature(signed_by="周洁", signed_at=NOON, note="", inputs_sha256="a" * 64, outputs_sha256=OUTPUTS)
    facts = {"state": DayState.SIGNED, "signature": signature, "actions": [], "sign_waits_for": [], "differences": []}
    return day(**(facts | other))


def sweep(**other) -> Sweep:
    facts = dict.fromkeys(Sweep.model_fields)
    facts |= {
        "id": ids.new_id(),
        "channel": "wechat",
        "parts": [SweepPart(day=DAY, fen=44_730)],
        "amount_fen": 44_730,
        "others_fen": 0,
        "over_fen": 0,
        "reference": "ICBC-1",
        "arrived_on": DAY,
        "state": SweepState.BOOKED,
        "note": "",
        "recorded_by": "周洁",
        "recorded_at": NOON,
        "actions": [],
        "version": 1,
    }
    return Sweep.model_validate(facts | other)


def difference(**other) -> Difference:
    facts = dict.fromkeys(Difference.model_fields)
    facts |= {
        "id": UUID(int=7),
        "number": "D-20260301-0007",
        "channel": "wechat",
        "day": DAY,
        "kind": DifferenceKind.UNPAID_OURS,
        "ours_words": "平台未付",
        "theirs_words": "渠道已付",
        "theirs_fen": 4_500,
        "off_by_fen": 4_500,
        "out_trade_no": "KM20260301000007",
        "provider_no": "4200001234202603010000000007",
        "out_refund_no": "",
        "order_code": None,
        "bill_row": 8,
        "found_at": NOON,
        "state": DifferenceState.OPEN,
        "proposed_action": DifferenceAction.DELIVER,
        "note": "",
        "two_people": False,
        "actions": ["refund", "deliver", "ignore"],
        "version": 1,
    }
    return Difference.model_validate(facts | other)


def detail(one: Difference, **other) -> DifferenceDetail:
    facts = {
        "difference": one,
        "ours": [
            SideFact(key="out_trade_no", name="商户订单号", value="KM20260301000007"),
            SideFact(key="paid_at", name="支付时间", value="2026-03-01 10:00:58"),
            SideFact(key="state", name="状态", value="待支付"),
            SideFact(key="order_code", name="订单号", value="7K3M9QX2H4TD"),
        ],
        "theirs": [
            SideFact(key="bill_row", name="账单行", value="8"),
            SideFact(key="paid_at", name="支付时间", value="2026-03-01 10:01:12"),
            SideFact(key="out_trade_no", name="商户订单号", value="KM20260301000007"),
            SideFact(key="state", name="状态", value="SUCCESS"),
        ],
        "events": [
            DifferenceEvent(at=NOON, who="system", what="账单里发现"),
            DifferenceEvent(at=NOON.replace(day=1), who="buyer", what="下单"),
        ],
        "candidates": [],
    }
    return DifferenceDetail.model_validate(facts | other)
