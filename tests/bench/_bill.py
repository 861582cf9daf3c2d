"""A day of a million orders for the reconcile bench: a trade bill and a fund bill of WeChat Pay, the same in our
books, and where not.

Of each ten thousand orders, seven differ in seven ways, and of one more the fee has not moved; everything follows from
an order's number, so that all sides are the same on every machine. The bills are written once and kept; our rows are
made set-based.
"""

import gzip
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import text

from server.context import Context
from server.db import bulk_insert
from server.payments.model import PaymentAttempt
from shared import clock
from shared.finance import DifferenceKind as K
from tests.bench._figures import CACHE

CHANNEL, DAY = "wechat", date(2026, 6, 1)
_MERCHANT = "1900000001"
_EVERY, _STEP, _BLOCK = 10_000, 7_919, 50_000
_MIDNIGHT = datetime.combine(DAY, datetime.min.time(), clock.SHOP_ZONE)
_HEADER = (
    "交易时间,公众账号ID,商户号,特约商户号,设备号,微信订单号,商户订单号,用户标识,交易类型,交易状态,付款银行,货币种类,"
    "应结订单金额,代金券金额,微信退款单号,商户退款单号,退款金额,充值券退款金额,退款类型,退款状态,商品名称,商户数据包,"
    "手续费,费率,订单金额,申请退款金额,费率备注"
)
_TOTALS = "总交易单数,应结订单总金额,退款总金额,充值券退款总金额,手续费总金额,订单总金额,申请退款总金额"
_FUNDS_HEADER = (
    "记账时间,微信支付业务单号,资金流水单号,业务名称,业务类型,收支类型,收支金额(元),账户结余(元),资金变更提交申请人,备注,"
    "业务凭证号"
)
_FUNDS_TOTALS = "资金流水总笔数,收入笔数,收入金额,支出笔数,支出金额"
_NAMES = ("点卡30元", "视频会员月卡", "游戏点卡, 100 元", "软件授权 标准版", "课程体验卡")

_UNMOVED_FEE = 8
_WAYS = {1: K.ONLY_OURS, 2: K.ONLY_THEIRS, 3: K.AMOUNT, 4: K.FEE, 5: K.STATE, 6: K.DUPLICATE, 7: K.DATE_SHIFT}


class Order(NamedTuple):
    """One order, and in what its two sides differ."""

    out_trade_no: str
    provider_no: str
    amount_fen: int
    fee_fen: int
    second: int
    differs: K | None


def order(n: int, rows: int) -> Order:
    """The order with this number, of so many that came one after the other."""
    scattered = n * 2_654_435_761 % 2**32
    amount = 990 if n % 3 else 100 + scattered % 49_900
    number = f"019e7e{n:08x}7{scattered:08x}8{n:08x}"
    return Order(
        out_trade_no=number,
        provider_no=f"42000011{DAY:%Y%m%d}{scattered:012d}",
        amount_fen=amount,
        fee_fen=(amount * 60 + 5_000) // 10_000,
        second=n * 86_400 // rows,
        differs=_WAYS.get(n % _EVERY),
    )


def expected(rows: int) -> set[tuple[K, str]]:
    """The differences that there are: kind and our number."""
    places = (
        at for start in range(0, rows, _EVERY) for at in range(start, min(start + _EVERY, rows)) if at % _EVERY in _WAYS
    )
    return {(one.differs, one.out_trade_no) for one in (order(n, rows) for n in places) if one.differs is not None}


def unmoved(rows: int) -> set[tuple[K, str]]:
    """The differences between the two bills: fees that have not moved."""
    return {(K.FUND_ONLY_TRADES, order(n, rows).out_trade_no) for n in range(_UNMOVED_FEE, rows, _EVERY)}


# --- the bills ---


def bill(rows: int) -> Path:
    """The file of that many orders, packed as the channel sends it."""
    path, made = _place(f"bill-{rows}.csv.gz")
    if path.exists():
        return path
    lines = paid = fees = 0
    with gzip.open(made, "wb", compresslevel=6) as file:
        file.write(f"{_HEADER}\r\n".encode("utf-8-sig"))
        for place in range(rows):
            for line, amount, fee in _lines(place * _STEP % rows, rows):
                lines, paid, fees = lines + 1, paid + amount, fees + fee
                file.write(line.encode())
        fen, charged = _yuan(paid), f"{_yuan(fees)}000"
        file.write(f"{_TOTALS}\r\n`{lines},`{fen},`0.00,`0.00,`{charged},`{fen},`0.00\r\n".encode())
    made.rename(path)
    return path


def _place(name: str) -> tuple[Path, Path]:
    """Where a file is kept, and where it is while it is written."""
    CACHE.mkdir(parents=True, exist_ok=True)
    return CACHE / name, CACHE / f"{name}.part"


def funds(rows: int) -> Path:
    """The file of what moved on the account for them: two movements a payment, in the order of time."""
    path, made = _place(f"funds-{rows}.csv.gz")
    if path.exists():
        return path
    balance = came = went = incomes = expenses = 0
    with gzip.open(made, "wb", compresslevel=6) as file:
        file.write(f"{_FUNDS_HEADER}\r\n".encode("utf-8-sig"))
        for n in range(rows):
            for one, number, fen in _moves(n, rows):
                balance += fen
                if fen > 0:
                    came, incomes = came + fen, incomes + 1
                else:
                    went, expenses = went - fen, expenses + 1
                file.write(_movement(one, number, fen, balance, incomes + expenses).encode())
        totals = f"`{incomes + expenses},`{incomes},`{_yuan(came)},`{expenses},`{_yuan(went)}"
        file.write(f"{_FUNDS_TOTALS}\r\n{totals}\r\n".encode())
    made.rename(path)
    return path


def _moves(n: int, rows: int) -> Iterator[tuple[Order, str, int]]:
    """What moved for an order, by the channel's number: its money, then the fee."""
    one = order(n, rows)
    if one.differs in {K.ONLY_OURS, K.STATE}:
        return
    numbers = [one.provider_no] + ([f"43{one.provider_no[2:]}"] if one.differs == K.DUPLICATE else [])
    for number in numbers:
        yield one, number, one.amount_fen + (one.differs == K.AMOUNT)
        if n % _EVERY != _UNMOVED_FEE:
            yield one, number, -(one.fee_fen + (one.differs == K.FEE))


def _movement(one: Order, number: str, fen: int, balance: int, n: int) -> str:
    what, way = ("交易", "收入") if fen > 0 else ("扣除交易手续费", "支出")
    return (
        f"`{_at(one)},`{number},`{_MERCHANT}{DAY:%Y%m%d}{n:016d},`交易,`{what},`{way},`{_yuan(abs(fen))},`{_yuan(balance)},"
        f"`system,`,`{one.out_trade_no}\r\n"
    )


def _at(one: Order) -> str:
    minute, second = divmod(one.second, 60)
    return f"{DAY} {minute // 60:02d}:{minute % 60:02d}:{second:02d}"


def _yuan(fen: int) -> str:
    return f"{fen // 100}.{fen % 100:02d}"


def _lines(n: int, rows: int) -> Iterator[tuple[str, int, int]]:
    one = order(n, rows)
    if one.differs == K.ONLY_OURS:
        return
    amount, fee = one.amount_fen + (one.differs == K.AMOUNT), one.fee_fen + (one.differs == K.FEE)
    state = "REVOKED" if one.differs == K.STATE else "SUCCESS"
    yield _line(one, one.provider_no, amount, fee, state), amount, fee
    if one.differs == K.DUPLICATE:
        yield _line(one, f"43{one.provider_no[2:]}", amount, fee, state), amount, fee


def _line(one: Order, provider_no: str, amount: int, fee: int, state: str) -> str:
    yuan = _yuan(amount)
    return (
        f"`{_at(one)},`wx0000000000000001,`{_MERCHANT},`0,`,`{provider_no},`{one.out_trade_no},`oUpF8uMuAJO_M2pxb1Q9zNjWeS6o,"
        f"`NATIVE,`{state},`OTHERS,`CNY,`{yuan},`0.00,`0,`0,`0.00,`0.00,`,`,`{_NAMES[one.amount_fen % 5]},`,"
        f"`{_yuan(fee)}000,`0.60%,`{yuan},`0.00,`\r\n"
    )


# --- our books ---

_COLUMNS = ("id", "out_trade_no", "provider_no", "amount_fen", "fee_fen", "paid_at")


def fill(ctx: Context, rows: int) -> None:
    """Our paid attempts of these orders."""
    constants = {
        "order_id": UUID(int=1), "order_code": "BENCH", "channel": CHANNEL, "subject": "bench", "state": "paid",
        "product": "qr", "created_at": _MIDNIGHT, "expires_at": _MIDNIGHT, "queries": 0, "fee_is_final": False,
    }  # fmt: skip
    for start in range(0, rows, _BLOCK):
        attempts = [_attempt(n, rows) for n in range(start, min(start + _BLOCK, rows)) if n % _EVERY != 2]
        with ctx.db.tx() as tx:
            bulk_insert(tx, PaymentAttempt, _COLUMNS, attempts, constants=constants)
    if not ctx.db.is_sqlite:  # the others keep statistics by themselves, though not within a second
        with ctx.db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            is_postgres = connection.dialect.name == "postgresql"
            connection.execute(text("ANALYZE payment_attempt" if is_postgres else "ANALYZE TABLE payment_attempt"))


def _attempt(n: int, rows: int) -> tuple[UUID, str, str, int, int, datetime]:
    one = order(n, rows)
    at = _MIDNIGHT + timedelta(seconds=one.second)
    if one.differs == K.DATE_SHIFT:
        at = _MIDNIGHT - timedelta(seconds=1)
    return UUID(one.out_trade_no), one.out_trade_no, one.provider_no, one.amount_fen, one.fee_fen, at
