"""Alipay's bills, byte for byte: a zip of two CSV files, of the day's trades or of the account's movements.

Names inside the zip are GBK without the flag that says UTF-8; contents are GBK (GB18030 where a subject needs more),
CRLF, some fields padded with a tab, no quoting; lines that begin with `#` frame the rows and state the totals. Amounts
are yuan, negative in a refund's row; a fee is negative, and positive where a refund gave it back.
Facts: design/payments.md section 2.4. Pure; used by `alipay*.py`.
"""

import io
import zipfile
from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta

from server.sandbox.bills import BillLine, Flow, flows_of, made_at_ms, one_line, yuan
from server.sandbox.moments import BEIJING, beijing

_WIDTH = 40
_NOTHING = "0.00"
_CHARGED_BY = "支付宝（中国）网络技术有限公司"

_TRADE_COLUMNS = (
    "支付宝交易号,商户订单号,业务类型,商品名称,创建时间,完成时间,门店编号,门店名称,操作员,终端号,对方账户,"
    "订单金额（元）,商家实收（元）,支付宝红包（元）,集分宝（元）,支付宝优惠（元）,商家优惠（元）,券核销金额（元）,券名称,"
    "商家红包消费金额（元）,卡消费金额（元）,退款批次号/请求号,服务费（元）,分润（元）,备注"
)
_SUMMARY_COLUMNS = (
    "门店编号,门店名称,交易订单总笔数,退款订单总笔数,订单金额（元）,商家实收（元）,支付宝优惠（元）,商家优惠（元）,"
    "卡消费金额（元）,服务费（元）,分润（元）,实收净额（元）"
)
_FUND_COLUMNS = (
    "账务流水号,业务流水号,商户订单号,商品名称,发生时间,对方账号,收入金额（+元）,支出金额（-元）,账户余额（元）,"
    "交易渠道,业务类型,备注"
)
_FUND_SUMMARY_COLUMNS = "类型,收入笔数,收入金额（+元）,支出笔数,支出金额（-元）,总金额（元）"
_FUND_TYPES = {
    ("payment", False): "在线支付",
    ("payment", True): "收费",
    ("refund", False): "交易退款",
    ("refund", True): "收费退回",
    ("withdrawal", False): "提现",
}


def trade_bill(lines: Sequence[BillLine], *, seller_id: str, day: date) -> bytes | None:
    """Return the zip of one day's trades; None when there are none."""
    if not lines:
        return None
    paid = [line for line in lines if line.kind == "payment"]
    refunded = [line for line in lines if line.kind == "refund"]
    came, went = sum(line.amount_fen for line in paid), -sum(line.amount_fen for line in refunded)
    fee = -sum(line.sign * line.fee_fen for line in lines)
    rows = [_trade_row(line) for line in [*paid, *refunded]]
    detail = _framed(
        "业务明细",
        [_TRADE_COLUMNS, *rows],
        seller_id=seller_id,
        day=day,
        totals=(
            f"#交易合计：{len(paid)}笔，商家实收共{yuan(came)}元，商家优惠共{_NOTHING}元",
            f"#退款合计：{len(refunded)}笔，商家实收退款共{yuan(went)}元，商家优惠退款共{_NOTHING}元",
        ),
    )
    net = yuan(came + went)
    figures = f"{len(paid)},{len(refunded)},{net},{net},{_NOTHING},{_NOTHING},{_NOTHING},{yuan(fee)},{_NOTHING}"
    summary_row = f"\t,\t,{figures},{yuan(came + went + fee)}"
    summary = _framed("业务汇总", [_SUMMARY_COLUMNS, summary_row, f"合计{summary_row}"], seller_id=seller_id, day=day)
    return _zipped({"业务明细": detail, "业务明细(汇总)": summary}, seller_id=seller_id, day=day)


def _trade_row(line: BillLine) -> str:
    amount = yuan(line.sign * line.amount_fen)
    return ",".join(
        [
            f"{line.provider_no}\t",
            f"{line.out_trade_no}\t",
            "交易\t" if line.kind == "payment" else "退款\t",
            one_line(line.subject),
            beijing(line.created_at_ms),
            beijing(line.at_ms),
            *("\t",) * 4,
            f"{line.payer}\t",
            amount,
            amount,
            *(_NOTHING,) * 5,
            "",
            f"{_NOTHING}\t",
            _NOTHING,
            f"{line.out_refund_no}\t",
            yuan(-line.sign * line.fee_fen),
            _NOTHING,
            one_line(line.reason),
        ]
    )


def fund_bill(lines: Sequence[BillLine], *, seller_id: str, day: date, opening_fen: int) -> bytes | None:
    """Return the zip of one day's movements on the account; None when nothing moved."""
    flows = flows_of(lines, opening_fen=opening_fen)
    if not flows:
        return None
    income = [flow.amount_fen for flow in flows if flow.amount_fen >= 0]
    expense = [flow.amount_fen for flow in flows if flow.amount_fen < 0]
    came, went = sum(income), sum(expense)
    rows = [_fund_row(flow, day, sequence) for sequence, flow in enumerate(flows, start=1)]
    detail = _framed(
        "账务明细",
        [_FUND_COLUMNS, *rows],
        seller_id=seller_id,
        day=day,
        totals=(
            f"#支出合计：{len(expense)}笔，共{yuan(went)}元",
            f"#收入合计：{len(income)}笔，共{yuan(came)}元",
        ),
    )
    total = f"合计,{len(income)},{yuan(came)},{len(expense)},{yuan(went)},{yuan(came + went)}"
    summary = _framed("账务汇总", [_FUND_SUMMARY_COLUMNS, total], seller_id=seller_id, day=day)
    return _zipped({"账务明细": detail, "账务明细(汇总)": summary}, seller_id=seller_id, day=day)


def _fund_row(flow: Flow, day: date, sequence: int) -> str:
    line = flow.line
    if flow.is_fee:
        remark = f"{'服务费' if line.kind == 'payment' else '服务费退回'}[{line.provider_no}]"
    else:
        remark = line.out_refund_no
    return ",".join(
        [
            f"{day:%Y%m%d}{sequence:06d}\t",
            f"{line.provider_no}\t",
            f"{line.out_trade_no}\t",
            f"{one_line(line.subject)}\t",
            beijing(line.at_ms),
            f"{_CHARGED_BY if flow.is_fee else line.payer}\t",
            yuan(max(flow.amount_fen, 0)),
            yuan(min(flow.amount_fen, 0)),
            yuan(flow.balance_fen),
            "支付宝",
            _FUND_TYPES[line.kind, flow.is_fee],
            remark,
        ]
    )


def file_name(*, seller_id: str, day: date, bill_type: str) -> str:
    """Return the name of the zip: the account's number is the seller's with 0156 behind it."""
    return f"{seller_id}0156_{day:%Y%m%d}{'' if bill_type == 'trade' else '_fund'}.csv.zip"


def _framed(title: str, rows: Iterable[str], *, seller_id: str, day: date, totals: Iterable[str] = ()) -> bytes:
    """Return the file: who and when, the rows between two lines of dashes, the totals, when it was made."""
    begins = datetime.combine(day, datetime.min.time())
    first, last = (f"{moment:%Y年%m月%d日 %H:%M:%S}" for moment in (begins, begins + timedelta(days=1)))
    made = datetime.fromtimestamp(made_at_ms(day) / 1000, BEIJING)
    dashes = "-" * _WIDTH
    lines = [
        f"#支付宝{title}查询",
        f"#账号：[{seller_id}0156]",
        f"#起始日期：[{first}]   终止日期：[{last}]",
        f"#-{dashes}{title}列表{dashes}",
        *rows,
        f"#{dashes}-{title}列表结束{dashes[:-4]}",
        *totals,
        f"#导出时间：[{made:%Y年%m月%d日 %H:%M:%S}]",
    ]
    return "".join(f"{line}\r\n" for line in lines).encode("gb18030", errors="replace")


def _zipped(files: dict[str, bytes], *, seller_id: str, day: date) -> bytes:
    """Return the zip of files, each with its name in GBK bytes and no flag.

    `zipfile` writes such names as UTF-8 and says so; Alipay does neither. The archive is made with a plain name of the
    same length, which is then replaced in both its headers.
    """
    buffer = io.BytesIO()
    made = datetime.fromtimestamp(made_at_ms(day) / 1000, BEIJING)
    names: dict[bytes, bytes] = {}
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for number, (name, content) in enumerate(files.items()):
            real = f"{seller_id}0156_{day:%Y%m%d}_{name}.csv".encode("gb18030")
            plain = f"{number}".rjust(len(real), "~")
            names[plain.encode()] = real
            entry = zipfile.ZipInfo(plain, made.timetuple()[:6])
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, content)
    zipped = buffer.getvalue()
    for plain_bytes, real in names.items():
        zipped = zipped.replace(plain_bytes, real)
    return zipped
