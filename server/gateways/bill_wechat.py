"""WeChat Pay's bills: trades in four sets of columns, and the account's movements. Read by the names of columns.

UTF-8 with a mark and CRLF, headers plain, a backtick before every value and nothing quoted: rows are split on comma and
backtick, so that a name may have commas. After the rows a header and a row of totals. Amounts are yuan, fees have five
decimals and are negative where a refund gave them back, counts may read `45.0`. Facts: design/payments.md 1.7.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date
from functools import partial
from itertools import chain, islice

from server.gateways.bill_rows import (
    WITHDRAWALS,
    BillHead,
    Columns,
    FundKind,
    FundRow,
    MissingColumn,
    Read,
    RowKind,
    Total,
    TradeRow,
    TradeState,
    UnreadableRow,
    WrongMerchant,
    WrongTotal,
    checked,
    count,
    fen_of_units,
    numbers,
    plain_fen,
    printable,
    same,
    shop_time,
    signed_fen,
    time_on,
    units_of_yuan,
    written_units,
)

CHANNEL = "wechat"
TRADES_BEGIN, FUNDS_BEGIN = "交易时间", "记账时间"
_ASKED_AT = "退款申请时间"
_TICK = "`"

_REFUND = "REFUND"
_KINDS: Mapping[bool, RowKind] = {False: "payment", True: "refund"}
_STATES: Mapping[str, TradeState] = {
    "SUCCESS": "paid",
    "REVOKED": "reversed",
    "REFUND SUCCESS": "succeeded",
    "REFUND PROCESSING": "processing",
    "REFUND CHANGE": "abnormal",
    "REFUND FAIL": "failed",
}
"""交易状态, of a refund with 退款状态 behind it."""
_COVERS: dict[str, frozenset[RowKind]] = {
    "ALL": frozenset({"payment", "refund"}),
    "SUCCESS": frozenset({"payment"}),
    "REFUND": frozenset({"refund"}),
}

# What columns are called in the bills of merchants of all ages, and which of them a total adds up.
_PAID = ("订单金额", "总金额")
_SETTLED = ("应结订单金额", "总金额")
_TAKEN = ("退款金额",)
_REFUNDED = ("申请退款金额", *_TAKEN)
_COUPONS_REFUNDED = ("充值券退款金额", "企业红包退款金额", "代金券或立减优惠退款金额")
_FEE = "手续费"
_TRADE_TOTALS: Mapping[str, Sequence[str]] = {
    "应结订单总金额": _SETTLED,
    "总交易额": _SETTLED,
    "退款总金额": _TAKEN,
    "总退款金额": _TAKEN,
    "充值券退款总金额": _COUPONS_REFUNDED,
    "总企业红包退款金额": _COUPONS_REFUNDED,
    "总代金券或立减优惠退款金额": _COUPONS_REFUNDED,
    "订单总金额": _PAID,
    "申请退款总金额": _REFUNDED,
}
_TRADE_ROW = partial(tuple.__new__, TradeRow)
"""`TradeRow._make` without a call of Python's for each row: as many values come as there are fields."""

_AMOUNTS = tuple(dict.fromkeys(chain(_PAID, _SETTLED, _TAKEN, _REFUNDED, _COUPONS_REFUNDED)))
_TRADE_COUNT, _FEE_TOTAL = "总交易单数", "手续费总金额"

_FUND_KINDS = {
    "交易": FundKind.TRADE,
    "扣除交易手续费": FundKind.FEE,
    "退款": FundKind.REFUND,
    "退还交易手续费": FundKind.FEE_RETURNED,
    "退款关闭": FundKind.REFUND_RETURNED,
    **WITHDRAWALS,
}
_FUND_COUNT = "资金流水总笔数"
_FUND_AMOUNT, _FUND_BALANCE = "收支金额(元)", "账户结余(元)"
_FUND_WAY = "收支类型"
_FUND_SIGNS = {"收入": 1, "支出": -1}


class _Table:
    """Rows below a header, in blocks of columns, and the printed totals behind them."""

    def __init__(self, blocks: Iterator[list[str]]) -> None:
        """Read the header."""
        header, *self.begin = next(blocks)
        self.columns = Columns(header)
        self._blocks = chain([self.begin], blocks)
        self._totals: dict[str, str] = {}

    def said_by_first(self, at: str, name: str) -> tuple[date | None, str | None]:
        """Day, and the value of another column, of the first row; None where there is none. Raises UnreadableRow."""
        first = next(filter(None, self.begin), "")
        if not first.startswith(_TICK):  # the totals
            return None, None
        cells = first[1:].split(",`")
        try:
            return shop_time(cells[self.columns.place(at)]).date(), cells[self.columns.place(name)]
        except (IndexError, ValueError):
            raise UnreadableRow(1, at) from None

    def blocks(self, *, totals_begin: str) -> Iterator[tuple[int, Sequence[Sequence[str]]]]:
        """The number of the first row of each block, and its columns. Raises UnreadableRow, MissingColumn.

        Whoever reads them must read the first column: a row too long beside one too short shows nowhere else.
        """
        first, blocks, width = 1, iter(self._blocks), self.columns.width
        for block in blocks:
            # All rows at once: as one text, of which each column is every so manieth value.
            values = ",".join(block)[1:].split(",`")
            if block and len(values) == width * len(block) and block[0][:1] == _TICK:
                yield first, [values[place::width] for place in range(width)]
                first += len(block)
                continue
            lines = [line for line in block if line]
            end = next((at for at, line in enumerate(lines) if line[0] != _TICK), None)
            if rows := [line[1:].split(",`") for line in lines[:end]]:
                wrong = next((row for row, found in enumerate(rows, first) if len(found) != width), None)
                if wrong is not None:
                    raise UnreadableRow(wrong, next(iter(self.columns)))
                yield first, list(zip(*rows, strict=True))
                first += len(rows)
            if end is not None:
                self._read_totals(chain(lines[end:], chain.from_iterable(blocks)), begin=totals_begin)
                return
        raise MissingColumn(totals_begin)

    def _read_totals(self, lines: Iterable[str], *, begin: str) -> None:
        printed = list(islice(filter(None, lines), 3))
        if len(printed) != 2 or not printed[0].startswith(begin) or not printed[1].startswith(_TICK):
            raise MissingColumn(begin)
        names, values = printed
        self._totals = dict(zip(names.split(","), values[1:].split(",`"), strict=False))

    def prints(self, name: str) -> bool:
        """Whether there is such a total."""
        return name in self._totals

    def total(self, name: str, read: Callable[[str], int]) -> int:
        """A printed total. Raises MissingColumn."""
        try:
            return read(self._totals[name])
        except (KeyError, ValueError):
            raise MissingColumn(name) from None


class TradeReader:
    """A trade bill: its `head` at once, `rows` once, and after them the `totals`, which all hold."""

    def __init__(self, blocks: Iterator[list[str]]) -> None:
        """Read the header and the first row. Raises UnreadableBill."""
        self._table = _Table(blocks)
        self._columns = columns = self._table.columns
        layout = "REFUND" if columns.has(_ASKED_AT) else "ALL" if columns.has("微信退款单号") else "SUCCESS"
        self._at = _ASKED_AT if layout == "REFUND" else TRADES_BEGIN  # the other time of a refund is its payment's
        day, merchant_id = self._table.said_by_first(self._at, "商户号")
        self.head = BillHead(CHANNEL, "trades", layout, day, merchant_id, _COVERS[layout])
        self.totals: tuple[Total, ...] = ()
        for names, kind in ((_PAID, "payment"), (_REFUNDED, "refund")):
            if kind in self.head.covers:
                columns.place(*names)
        self._amounts = {name: columns.place(name) for name in _AMOUNTS if columns.has(name)}
        self._sums: Counter[str] = Counter()
        self._times = Read(time_on(day) if day else shop_time)
        self._fens, self._units = Read(plain_fen), Read(units_of_yuan)
        self._fees = Read(lambda text: fen_of_units(units_of_yuan(text)))
        self._states = Read(_STATES.__getitem__)
        self._begins = Read(shop_time)
        self._ends = Read(lambda text: shop_time(text) if text else None)
        self._texts: dict[str, str] = {}

    def rows(self) -> Iterator[list[TradeRow]]:
        """All rows, in blocks; they count only when the last one came. Raises UnreadableBill, WrongTotal among them."""
        rows = 0
        for first, columns in self._table.blocks(totals_begin=_TRADE_COUNT):
            rows += len(columns[0])
            yield self._block(first, columns)
        self.totals = (
            checked(Total(_TRADE_COUNT, self._table.total(_TRADE_COUNT, count), rows, is_amount=False)),
            *(self._amount(name) for name in _TRADE_TOTALS if self._table.prints(name)),
            self._fee_total(),
        )

    def _amount(self, name: str) -> Total:
        column = next((one for one in _TRADE_TOTALS[name] if one in self._amounts), "")
        return checked(Total(name, self._table.total(name, plain_fen), self._sums[column], is_amount=True))

    def _fee_total(self) -> Total:
        """Compared with all its decimals."""
        printed, read = self._table.total(_FEE_TOTAL, units_of_yuan), self._sums[_FEE]
        if printed != read:
            raise WrongTotal(Total(_FEE_TOTAL, printed, read, is_amount=True), written_units)
        return Total(_FEE_TOTAL, fen_of_units(printed), fen_of_units(read), is_amount=True)

    def _block(self, first: int, columns: Sequence[Sequence[str]]) -> list[TradeRow]:
        its, nothing = self._columns, [0] * len(columns[0])
        blank = ("",) * len(nothing)

        def column(name: str) -> Sequence[str]:
            return columns[its.place(name)] if its.has(name) else blank

        def named(name: str) -> list[str]:
            return ["" if text == "0" else text for text in numbers(column(name), name, first)]

        times = self._times.all(column(self._at), self._at, first)
        if self._at != TRADES_BEGIN:
            self._begins.all(column(TRADES_BEGIN), TRADES_BEGIN, first)
        if others := set(columns[its.place("商户号")]) - {self.head.merchant_id}:
            raise WrongMerchant(found=str(min(others)), wanted=str(self.head.merchant_id))
        amounts = {name: self._fens.all(columns[at], name, first) for name, at in self._amounts.items()}
        for name, fens in amounts.items():
            self._sums[name] += sum(fens)
        self._sums[_FEE] += sum(self._units.all(columns[its.place(_FEE)], _FEE, first))
        marks = columns[its.place("交易状态")]
        is_refund = [mark == _REFUND for mark in marks]
        marked = zip(marks, column("退款状态"), strict=True)
        fates = [f"{mark} {fate}" if mark == _REFUND else mark for mark, fate in marked]

        def fens_of(payments: Sequence[str], refunds: Sequence[str]) -> list[int]:
            paid = next((amounts[name] for name in payments if name in amounts), nothing)
            back = next((amounts[name] for name in refunds if name in amounts), nothing)
            return [away if gone else came for gone, came, away in zip(is_refund, paid, back, strict=True)]

        fields = (
            range(first, first + len(nothing)),
            [_KINDS[gone] for gone in is_refund],
            numbers(columns[its.place("微信订单号")], "微信订单号", first, is_theirs=True),
            numbers(columns[its.place("商户订单号")], "商户订单号", first),
            named("微信退款单号"),
            named("商户退款单号"),
            fens_of(_PAID, _REFUNDED),
            fens_of((*_SETTLED, *_PAID), (*_TAKEN, *_REFUNDED)),
            self._fees.all(columns[its.place(_FEE)], _FEE, first),
            self._states.all(fates, "交易状态", first),
            times,
            self._ends.all(column("退款成功时间"), "退款成功时间", first),
            *(same(self._texts, column(name)) for name in ("货币种类", "公众账号ID", "商品名称", "费率")),
        )
        return list(map(_TRADE_ROW, zip(*fields, strict=True)))


class FundReader:
    """A fund flow bill, in the same way."""

    def __init__(self, blocks: Iterator[list[str]]) -> None:
        """Read the header and the first row. Raises UnreadableBill."""
        self._table = _Table(blocks)
        day, fund_no = self._table.said_by_first(FUNDS_BEGIN, "资金流水单号")
        self.head = BillHead(CHANNEL, "funds", "BASIC", day, _merchant_of(fund_no, day))
        self.totals: tuple[Total, ...] = ()
        self._times = Read(time_on(day) if day else shop_time)
        self._fens, self._balances = Read(plain_fen), Read(signed_fen)
        self._signs = Read(_FUND_SIGNS.__getitem__)
        self._texts: dict[str, str] = {}

    def rows(self) -> Iterator[list[FundRow]]:
        """See `TradeReader.rows`."""
        signs, sums = Counter[int](), Counter[int]()
        for first, columns in self._table.blocks(totals_begin=_FUND_COUNT):
            ways = self._signs.all(columns[self._table.columns.place(_FUND_WAY)], _FUND_WAY, first)
            block = self._block(first, columns, ways)
            signs.update(ways)
            for sign in (1, -1):
                sums[sign] += sum(row.amount_fen for row, way in zip(block, ways, strict=True) if way == sign)
            yield block
        total = self._table.total
        self.totals = (
            checked(Total(_FUND_COUNT, total(_FUND_COUNT, count), signs.total(), is_amount=False)),
            checked(Total("收入笔数", total("收入笔数", count), signs[1], is_amount=False)),
            checked(Total("收入金额", total("收入金额", plain_fen), sums[1], is_amount=True)),
            checked(Total("支出笔数", total("支出笔数", count), signs[-1], is_amount=False)),
            checked(Total("支出金额", total("支出金额", plain_fen), -sums[-1], is_amount=True)),
        )

    def _block(self, first: int, columns: Sequence[Sequence[str]], ways: Sequence[int]) -> list[FundRow]:
        place = self._table.columns.place

        def column(name: str) -> Sequence[str]:
            return columns[place(name)]

        words = same(self._texts, column("业务类型"))
        self._of_block = self._signs.all(column("收支类型"), "收支类型", first)
        amounts = self._fens.all(column(_FUND_AMOUNT), _FUND_AMOUNT, first)
        fields = (
            range(first, first + len(words)),
            self._times.all(column(FUNDS_BEGIN), FUNDS_BEGIN, first),
            [_FUND_KINDS.get(word, FundKind.OTHER) for word in words],
            *(numbers(column(name), name, first) for name in ("资金流水单号", "微信支付业务单号", "业务凭证号")),
            [sign * fen for sign, fen in zip(ways, amounts, strict=True)],
            self._balances.all(column(_FUND_BALANCE), _FUND_BALANCE, first),
            words,
            printable(column("备注")),
        )
        return list(map(FundRow._make, zip(*fields, strict=True)))


def _merchant_of(fund_no: str | None, day: date | None) -> str | None:
    """Our number, where the first movement's begins with it and the day. Those of trades do not: they begin with 4."""
    if fund_no is None or day is None:
        return None
    match = re.match(rf"(1[0-9]{{7,9}}){day:%Y%m%d}", fund_no)
    return match[1] if match else None
