"""The payments in a channel's trade bill, read by the names of its columns. Used for money nobody told us of.

WeChat Pay: UTF-8 with or without a mark, every value behind a backtick, rows split on comma and backtick. Alipay:
GB18030, comment lines, fields padded with a tab, nothing quoted, so that a comma in a product's name is a comma too
many. Amounts are yuan as text. An unknown column is kept out; a bill without a needed one is refused as a whole.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation

from server.gateways.port import Bill, PaymentFact
from server.gateways.wire import fen_of_yuan
from shared import clock
from shared.money import Fen

_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}")
_CENTS = Decimal("0.01")
_ALIPAY_TOTALS = re.compile(r"^#交易合计：([0-9]{1,9})笔，商家实收共([0-9.]+)元", re.MULTILINE)
_ALIPAY_ACCOUNT = re.compile(r"#账号：\[([0-9]{16})")


class UnreadableBill(Exception):
    """The bill lacks a column, or a row of it is not what it should be. `reason` is fit for logs and people."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class BillPayment:
    """One payment as the bill books it; its fee is never negative."""

    fact: PaymentFact
    fee_fen: Fen


Row = Mapping[str, str]


def payments_of(bill: Bill) -> list[BillPayment]:
    """All payments of a trade bill, in its order. Raises UnreadableBill."""
    read = _READERS.get(bill.channel)
    if bill.kind != "trades" or read is None:
        raise UnreadableBill(f"no reader for {bill.kind} of {bill.channel}")
    try:
        return list(read(bill))
    except (KeyError, ValueError, InvalidOperation) as error:
        raise UnreadableBill(f"{type(error).__name__}: {error}") from None


# --- WeChat Pay ---


def _wechat(bill: Bill) -> Iterator[BillPayment]:
    for row in _wechat_rows(bill.parts[0].content.decode("utf-8-sig")):
        if row["交易状态"] != "SUCCESS":
            continue  # a refund; the payment it belongs to has a row of its own
        total = row.get("订单金额", row.get("总金额"))
        if total is None:
            raise UnreadableBill("订单金额")
        yield _payment(
            bill.channel,
            out_trade_no=row["商户订单号"],
            provider_no=row["微信订单号"],
            merchant_id=row["商户号"],
            amount=total,
            fee=row["手续费"],
            paid_at=row["交易时间"],
            currency=row["货币种类"],
            app_id=row["公众账号ID"] or None,
        )


def _wechat_rows(text: str) -> Iterator[Row]:
    """The rows between the header and the summary's header, which has no backtick either.

    That nothing is missing between them is what the signed hash of the file says.
    """
    lines = _lines(text)
    header = lines[0].split(",")
    for line in lines[1:]:
        if not line.startswith("`"):
            if not line.startswith("总交易单数"):
                raise UnreadableBill("总交易单数")
            return
        yield dict(zip(header, line[1:].split(",`"), strict=True))
    raise UnreadableBill("总交易单数")


# --- Alipay ---


def _alipay(bill: Bill) -> Iterator[BillPayment]:
    detail = next((part for part in bill.parts if "汇总" not in part.name), None)
    if detail is None:
        raise UnreadableBill("业务明细")
    text = detail.content.decode("gb18030")
    account = _ALIPAY_ACCOUNT.search(text)
    if account is None:
        raise UnreadableBill("账号")
    rows = [row for row in _alipay_rows(text) if row["业务类型"] == "交易"]
    _require_totals(text, rows)
    for row in rows:
        yield _payment(
            bill.channel,
            out_trade_no=row["商户订单号"],
            provider_no=row["支付宝交易号"],
            merchant_id=account[1],
            amount=row["订单金额（元）"],
            fee=row["服务费（元）"],
            paid_at=row["完成时间"],
        )


def _require_totals(text: str, rows: Sequence[Row]) -> None:
    """The file is neither signed nor hashed: its own totals are all that tells whether a row is missing or changed."""
    totals = _ALIPAY_TOTALS.search(text)
    came = sum(fen_of_yuan(row["商家实收（元）"]) for row in rows)
    if totals is None or (int(totals[1]), fen_of_yuan(totals[2])) != (len(rows), came):
        raise UnreadableBill("交易合计")


def _alipay_rows(text: str) -> Iterator[Row]:
    lines = [line for line in _lines(text) if line.strip() and not line.startswith("#")]
    header = lines[0].split(",") if lines else []
    for line in lines[1:]:
        yield dict(zip(header, _joined([field.strip() for field in line.split(",")], header), strict=True))


def _joined(fields: list[str], header: list[str]) -> list[str]:
    """The fields with commas of the product's name and of the remark put back: times stand where times belong."""
    spare = len(fields) - len(header)
    name, after = header.index("商品名称"), header.index("创建时间")
    if spare <= 0:
        return fields
    for taken in range(spare + 1):
        if _TIME.fullmatch(fields[after + taken]):
            whole = [*fields[:name], ",".join(fields[name : name + taken + 1]), *fields[name + taken + 1 :]]
            last = len(header) - 1
            return [*whole[:last], ",".join(whole[last:])]
    raise ValueError("a row with too many fields")


# --- both ---


def _lines(text: str) -> list[str]:
    """Split where the channel ends a line: a product's name may hold other characters that pass for an end."""
    return text.replace("\r\n", "\n").split("\n")


def _payment(
    channel: str,
    *,
    out_trade_no: str,
    provider_no: str,
    merchant_id: str,
    amount: str,
    fee: str,
    paid_at: str,
    currency: str = "CNY",
    app_id: str | None = None,
) -> BillPayment:
    fact = PaymentFact(
        channel=channel,
        out_trade_no=out_trade_no,
        provider_no=provider_no,
        merchant_id=merchant_id,
        amount_fen=fen_of_yuan(amount),
        currency=currency,
        state="paid",
        paid_at=datetime.fromisoformat(paid_at).replace(tzinfo=clock.SHOP_ZONE).astimezone(UTC),
        event_id=None,
        app_id=app_id,
    )
    # The sources disagree on the sign, and WeChat Pay writes five decimals but charges whole fen.
    cents = abs(Decimal(fee)).quantize(_CENTS, ROUND_HALF_UP)
    return BillPayment(fact, int(cents * 100))


_READERS: dict[str, Callable[[Bill], Iterator[BillPayment]]] = {"wechat": _wechat, "alipay": _alipay}
