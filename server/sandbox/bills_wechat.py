"""WeChat Pay's bills, byte for byte: trades (ALL, SUCCESS, REFUND; 24 columns for old merchants) and fund flow.

UTF-8 with a byte order mark, CRLF, headers plain, a backtick before every value and no quoting; after the rows a header
and a row of totals. Amounts are yuan, fees have five decimals and are negative where a refund gave them back.
Facts: design/payments.md section 1.7, read there from the files of official libraries. Pure; used by `wechat*.py`.
"""

import gzip
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Literal

from server.sandbox.bills import FEE_BASIS_POINTS, BillLine, Flow, day_of, flows_of, is_through, one_line, yuan
from server.sandbox.moments import beijing

TradeBillType = Literal["ALL", "SUCCESS", "REFUND"]
_PRODUCTS = {"qr": "NATIVE", "h5": "MWEB", "jsapi": "JSAPI"}
_NO_NUMBER = "0"
_NOTHING = "0.00"


@dataclass(frozen=True, slots=True)
class Row:
    """A line with the merchant it is billed to."""

    line: BillLine
    merchant_id: str

    @property
    def paid_fen(self) -> int:
        """The amount of a payment; nothing in a refund's row."""
        return self.line.amount_fen if self.line.kind == "payment" else 0

    @property
    def refunded_fen(self) -> int:
        """The amount of a refund; nothing in a payment's row."""
        return self.line.amount_fen if self.line.kind == "refund" else 0

    @property
    def trade_state(self) -> str:
        """交易状态."""
        if self.line.kind == "refund":
            return "REFUND"
        return "REVOKED" if self.line.reversed else "SUCCESS"

    @property
    def refund_state(self) -> str:
        """退款状态."""
        if self.line.kind == "payment":
            return ""
        return "SUCCESS" if is_through(self.line) else "PROCESSING"

    @property
    def refunded_at(self) -> str:
        """退款成功时间: blank while it runs."""
        if self.line.ends_at_ms is None or not is_through(self.line):
            return ""
        return beijing(self.line.ends_at_ms)


_CELLS: Mapping[str, Callable[[Row], str]] = {
    "交易时间": lambda row: beijing(row.line.at_ms),
    "公众账号ID": lambda row: row.line.app_id,
    "商户号": lambda row: row.merchant_id,
    "特约商户号": lambda _: _NO_NUMBER,
    "设备号": lambda _: "",
    "微信订单号": lambda row: row.line.provider_no,
    "商户订单号": lambda row: row.line.out_trade_no,
    "用户标识": lambda row: row.line.payer,
    "交易类型": lambda row: _PRODUCTS[row.line.product],
    "交易状态": lambda row: row.trade_state,
    "付款银行": lambda row: row.line.bank,
    "货币种类": lambda _: "CNY",
    "应结订单金额": lambda row: yuan(row.paid_fen),
    "总金额": lambda row: yuan(row.paid_fen),
    "代金券金额": lambda _: _NOTHING,
    "企业红包金额": lambda _: _NOTHING,
    "退款申请时间": lambda row: beijing(row.line.at_ms),
    "退款成功时间": lambda row: row.refunded_at,
    "微信退款单号": lambda row: row.line.refund_no or _NO_NUMBER,
    "商户退款单号": lambda row: row.line.out_refund_no or _NO_NUMBER,
    "退款金额": lambda row: yuan(row.refunded_fen),
    "充值券退款金额": lambda _: _NOTHING,
    "企业红包退款金额": lambda _: _NOTHING,
    "退款类型": lambda row: "ORIGINAL" if row.line.kind == "refund" else "",
    "退款状态": lambda row: row.refund_state,
    "商品名称": lambda row: one_line(row.line.subject),
    "商户数据包": lambda _: "",
    "手续费": lambda row: _fee(row.line.sign * row.line.fee_fen),
    "费率": lambda _: f"{yuan(FEE_BASIS_POINTS)}%",
    "订单金额": lambda row: yuan(row.paid_fen),
    "申请退款金额": lambda row: yuan(row.refunded_fen),
    "费率备注": lambda _: "",
}
_ORDER = (
    "交易时间,公众账号ID,商户号,特约商户号,设备号,微信订单号,商户订单号,用户标识,交易类型,交易状态,付款银行,货币种类"
)
_REFUND = "微信退款单号,商户退款单号,退款金额,充值券退款金额,退款类型,退款状态"
_GOODS = "商品名称,商户数据包,手续费,费率"
_COLUMNS: Mapping[TradeBillType, str] = {
    "ALL": f"{_ORDER},应结订单金额,代金券金额,{_REFUND},{_GOODS},订单金额,申请退款金额,费率备注",
    "SUCCESS": f"{_ORDER},应结订单金额,代金券金额,{_GOODS},订单金额,费率备注",
    "REFUND": (
        f"{_ORDER},应结订单金额,代金券金额,退款申请时间,退款成功时间,{_REFUND},{_GOODS},订单金额,申请退款金额,费率备注"
    ),
}
_OLD_NAMES = {"应结订单金额": "总金额", "代金券金额": "企业红包金额", "充值券退款金额": "企业红包退款金额"}
_NOT_IN_OLD = frozenset({"订单金额", "申请退款金额", "费率备注"})
_TOTALS = "总交易单数,应结订单总金额,退款总金额,充值券退款总金额,手续费总金额,订单总金额,申请退款总金额"
_OLD_TOTALS = "总交易单数,总交易额,总退款金额,总企业红包退款金额,手续费总金额"
_KINDS: Mapping[TradeBillType, frozenset[str]] = {
    "ALL": frozenset({"payment", "refund"}),
    "SUCCESS": frozenset({"payment"}),
    "REFUND": frozenset({"refund"}),
}


def trade_bill(
    lines: Sequence[BillLine], *, merchant_id: str, bill_type: TradeBillType, is_old_merchant: bool = False
) -> bytes | None:
    """Return the file of one day's lines; None when there is none of this type. ALL has the newest first."""
    rows = [Row(line, merchant_id) for line in lines if line.kind in _KINDS[bill_type]]
    if bill_type == "SUCCESS":
        rows = [row for row in rows if not row.line.reversed]
    if not rows:
        return None
    if bill_type == "ALL":
        rows.reverse()
    columns = _COLUMNS[bill_type].split(",")
    if is_old_merchant:
        columns = [_OLD_NAMES.get(column, column) for column in columns if column not in _NOT_IN_OLD]
    cells = [_CELLS[column] for column in columns]
    paid, refunded = yuan(sum(row.paid_fen for row in rows)), yuan(sum(row.refunded_fen for row in rows))
    totals = [str(len(rows)), paid, refunded, _NOTHING, _fee(sum(row.line.sign * row.line.fee_fen for row in rows))]
    return _file(
        [",".join(columns), *(_values(cell(row) for cell in cells) for row in rows)],
        [_OLD_TOTALS, _values(totals)] if is_old_merchant else [_TOTALS, _values([*totals, paid, refunded])],
    )


_FLOW_COLUMNS = (
    "记账时间,微信支付业务单号,资金流水单号,业务名称,业务类型,收支类型,收支金额(元),账户结余(元),"
    "资金变更提交申请人,备注,业务凭证号"
)
_FLOW_TOTALS = "资金流水总笔数,收入笔数,收入金额,支出笔数,支出金额"
_FLOW_TYPES = {
    ("payment", False): "交易",
    ("payment", True): "扣除交易手续费",
    ("refund", False): "退款",
    ("refund", True): "退还交易手续费",
    ("withdrawal", False): "提现",
}
_FLOW_NAMES = {"payment": "交易", "refund": "退款", "withdrawal": "提现"}


def fund_flow_bill(lines: Sequence[BillLine], *, merchant_id: str, opening_fen: int) -> bytes | None:
    """Return the file of one day's movements on the basic account; None when nothing moved."""
    flows = flows_of(lines, opening_fen=opening_fen)
    if not flows:
        return None
    income = [flow.amount_fen for flow in flows if flow.amount_fen >= 0]
    expense = [-flow.amount_fen for flow in flows if flow.amount_fen < 0]
    totals = [str(len(flows)), str(len(income)), yuan(sum(income)), str(len(expense)), yuan(sum(expense))]
    rows = [_values(_flow_row(flow, merchant_id, sequence)) for sequence, flow in enumerate(flows, start=1)]
    return _file([_FLOW_COLUMNS, *rows], [_FLOW_TOTALS, _values(totals)])


def _flow_row(flow: Flow, merchant_id: str, sequence: int) -> list[str]:
    line = flow.line
    day: date = day_of(line.at_ms)
    return [
        beijing(line.at_ms),
        line.refund_no or line.provider_no,
        f"{merchant_id}{day:%Y%m%d}{sequence:016d}",
        _FLOW_NAMES[line.kind],
        _FLOW_TYPES[line.kind, flow.is_fee],
        "支出" if flow.amount_fen < 0 else "收入",
        yuan(abs(flow.amount_fen)),
        yuan(flow.balance_fen),
        f"{merchant_id}API" if line.kind == "refund" else "system",
        "" if flow.is_fee else _remark(line),
        line.number,
    ]


def _remark(line: BillLine) -> str:
    if line.kind == "withdrawal":
        return line.subject
    if line.kind == "payment":
        return f"结算总金额 {yuan(line.amount_fen)} 元"
    return f"退款总金额{yuan(line.amount_fen)}元;含手续费{yuan(line.fee_fen)}元"


def _values(cells: Iterable[str]) -> str:
    return ",".join(f"`{cell}" for cell in cells)


def _fee(fee_fen: int) -> str:
    """Fees are written with five decimals and charged in fen."""
    return f"{yuan(fee_fen)}000"


def _file(rows: list[str], totals: list[str]) -> bytes:
    return "".join(f"{row}\r\n" for row in [*rows, *totals]).encode("utf-8-sig")


def packed(bill: bytes) -> bytes:
    """Return the file as `tar_type=GZIP` gives it; the same bytes each time."""
    return gzip.compress(bill, mtime=0)
