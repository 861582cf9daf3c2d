"""The sample bills of a day, what a shop has of it, and the differences that there are, as `expected.json` has them."""

import csv
import json
from datetime import date, datetime
from pathlib import Path
from typing import NamedTuple

from shared import clock
from shared.finance import DifferenceAction as A
from shared.finance import DifferenceKind as K
from shared.money import Fen, parse_fen

FOLDER = Path(__file__).parents[2] / "data" / "bills"
DAY = date(2026, 6, 1)
EXPECTED = json.loads((FOLDER / "expected.json").read_text("utf-8"))
MERCHANTS = {"wechat": "1900000001", "alipay": "2088101000000001"}

WECHAT, WECHAT_FUNDS = "wechat_trade_bill_ALL_2026-06-01.csv", "wechat_fundflow_BASIC_2026-06-01.csv"
ALIPAY, ALIPAY_FUNDS = "20881010000000010156_20260601.csv.zip", "20881010000000010156_20260601_fund.csv.zip"

NOTHING = "nothing"
_TYPES = {
    "渠道有平台未付(掉单/长款)": (K.UNPAID_OURS, NOTHING, "amount", A.DELIVER),
    "金额不符": (K.AMOUNT, "platform", "channel_amount", A.BOOK),
    "重复支付(一单两笔)": (K.DUPLICATE, None, "amount", A.REFUND),
    "渠道有平台无(长款/外来单)": (K.ONLY_THEIRS, None, "amount", A.ATTACH),
    "平台有渠道无(短款)": (K.ONLY_OURS, "amount", None, A.CARRY),
    "跨日(平台日2026-05-31, 渠道日2026-06-01)": (K.DATE_SHIFT, "amount", "amount", A.CARRY),
    "渠道退款平台无": (K.REFUND_ONLY_THEIRS, None, "amount", A.BOOK),
    "平台退款渠道无": (K.REFUND_ONLY_OURS, "amount", None, A.CARRY),
}
"""What each type of the file is here, which of its figures is ours and the channel's, and what is proposed."""

_ACTIONS = {"查单确认后补单并发货": A.DELIVER, "退回第二笔": A.REFUND, "自动配平, 不算差错": A.CARRY}


class Wanted(NamedTuple):
    """One difference that there is, exactly."""

    channel: str
    kind: K
    number: str
    ours_fen: Fen | None
    theirs_fen: Fen | None
    proposed: A
    state: str


def wanted():
    """All of them, in their order; the number of the channel is checked where the file names it (`provider_nos`)."""
    found = []
    for one in EXPECTED["differences"]:
        kind, ours, theirs, action = _TYPES[one["type"]]
        action = _ACTIONS[one["action"]] if "action" in one else action
        ours_fen, theirs_fen = (
            fen if fen is None else 0 if fen == NOTHING else parse_fen(one[fen]) for fen in (ours, theirs)
        )
        if "difference" in one:
            assert parse_fen(one["difference"]) == theirs_fen - ours_fen
        state = "matched" if kind is K.DATE_SHIFT else "open"
        found.append(Wanted(one["channel"], kind, one["merchant_no"], ours_fen, theirs_fen, action, state))
    return sorted(found)


PROVIDER_NOS = {one["merchant_no"]: one["provider_no"] for one in EXPECTED["differences"] if "provider_no" in one}


class Ours(NamedTuple):
    """A row of the shop's list of the day; what is unpaid, or was never sent, has no time."""

    channel: str
    kind: str
    number: str
    provider_no: str
    amount_fen: Fen
    status: str
    at: datetime | None


def ours():
    """What the shop has, payments first."""
    text = (FOLDER / "platform_orders_2026-06-01.csv").read_text("utf-8-sig")
    rows = [
        Ours(
            channel=row["channel"],
            kind=row["kind"],
            number=row["merchant_no"],
            provider_no=row["provider_no"],
            amount_fen=parse_fen(row["amount_yuan"]),
            status=row["status"],
            at=datetime.fromisoformat(row["occurred_at"]).replace(tzinfo=clock.SHOP_ZONE)
            if row["occurred_at"]
            else None,
        )
        for row in csv.DictReader(text.splitlines())
    ]
    return sorted(rows, key=lambda row: row.kind)
