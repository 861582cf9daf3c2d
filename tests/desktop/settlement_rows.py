"""What the server answers about settlement, for tests that have no server."""

from datetime import UTC, date, datetime

from shared import ids
from shared.contracts.settlement import DueLine, DueSupplier, Payout, PayoutInstruction, Statement, StatementLine
from shared.finance import HoldReason, PayoutState, StatementState

NOON = datetime(2026, 3, 2, 4, 0, tzinfo=UTC)
DAY = date(2026, 3, 2)
XINGHE = ids.new_id()


def _nothing_of(model):
    """None for each fact that an answer has to have."""
    return dict.fromkeys(name for name, field in model.model_fields.items() if field.is_required())


def statement(**other):
    """A draft of three lines: 128.25 released, 4.27 deducted, 1.00 of fee."""
    facts = _nothing_of(Statement)
    facts |= {
        "id": ids.new_id(),
        "number": "JS20260302-001",
        "supplier_id": XINGHE,
        "supplier": "星河数码",
        "day": DAY,
        "mode": "purchase",
        "state": StatementState.DRAFT,
        "lines": 3,
        "release_fen": 12_825,
        "deductions_fen": 427,
        "owed_fen": 0,
        "payout_fee_fen": 100,
        "payable_fen": 12_298,
        "made_by": "周洁",
        "made_at": NOON,
        "actions": ["confirm", "drop"],
        "version": 1,
    }
    return Statement.model_validate(facts | other)


def line(**other):
    """A line that leads down to the channel's bill."""
    facts = _nothing_of(StatementLine)
    facts |= {
        "order_line_id": ids.new_id(),
        "kind": "release",
        "order_code": "7K3M9QX2H4TD",
        "sku": "STEAM-50",
        "title": "Steam 50",
        "quantity": 1,
        "delivered_at": NOON,
        "amount_fen": 4_500,
        "fee_fen": 225,
        "commission_fen": 0,
        "net_fen": 4_275,
        "lots": ["三月.xlsx"],
        "payment_channel": "wechat",
        "payment_no": "KM-1",
        "provider_no": "4300-1",
        "bill_day": DAY,
        "bill_row": 12,
    }
    return StatementLine.model_validate(facts | other)


def payout(**other):
    """A payout that another person has to check."""
    facts = _nothing_of(Payout)
    facts |= {
        "id": ids.new_id(),
        "number": "DK20260302-001",
        "supplier_id": XINGHE,
        "supplier": "星河数码",
        "mode": "purchase",
        "statements": ["JS20260302-001"],
        "amount_fen": 12_298,
        "state": PayoutState.REQUESTED,
        "made_by": "周洁",
        "made_at": NOON,
        "reference": "",
        "note": "",
        "actions": ["check", "withdraw"],
        "version": 1,
    }
    return Payout.model_validate(facts | other)


def instruction(**row):
    """What the bank is told of that payout."""
    one = {
        "request_no": "DK20260302-001",
        "receiver": "星河数码",
        "amount_fen": 12_298,
        "remark": "JS20260302-001",
    }
    facts = {"number": "DK20260302-001", "mode": "purchase", "amount_fen": 12_298, "rows": [one | row]}
    return PayoutInstruction.model_validate(facts)


def due(**other):
    """A supplier with two lines ready and two that wait."""
    facts = {
        "supplier_id": XINGHE,
        "supplier": "星河数码",
        "lines": 2,
        "release_fen": 8_550,
        "deductions_fen": 0,
        "owed_fen": 0,
        "payable_fen": 8_550,
        "held_lines": 2,
        "held_fen": 4_275,
        "holds": {HoldReason.CYCLE: 1, HoldReason.REFUND_OPEN: 1},
        "blocked": None,
    }
    return DueSupplier.model_validate(facts | other)


def due_line(**other):
    """A line that could be settled."""
    facts = {
        "order_line_id": ids.new_id(),
        "order_code": "7K3M9QX2H4TD",
        "supplier": "星河数码",
        "sku": "STEAM-50",
        "title": "Steam 50",
        "quantity": 1,
        "delivered_at": NOON,
        "share_fen": 4_275,
        "refunded_fen": 0,
        "net_fen": 4_275,
        "due_on": DAY,
        "hold": None,
        "hold_note": "",
    }
    return DueLine.model_validate(facts | other)
