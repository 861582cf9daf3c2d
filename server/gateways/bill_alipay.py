"""Alipay's bills: a detail file with a frame of comment lines, and a summary of it, together in a zip. Read by columns.

GB18030, some fields padded with a tab, nothing quoted: a comma in a name is a comma too many, and is put back by what
stands where times and amounts belong. Amounts are yuan, negative in a refund's row. Sources disagree on the sign of
fees: they are taken as what they are for their row, and must lead to the summary's 实收净额. Facts: payments.md 2.4.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import chain, compress

from server.gateways.bill_rows import (
    WITHDRAWALS,
    BillHead,
    Columns,
    CutOffBill,
    FundKind,
    FundRow,
    MissingColumn,
    Read,
    RowKind,
    Total,
    TradeRow,
    TradeState,
    UnreadableRow,
    WrongDay,
    WrongMerchant,
    checked,
    count,
    numbers,
    printable,
    same,
    shop_time,
    signed_fen,
    time_on,
)
from shared.money import Fen

CHANNEL = "alipay"
BEGIN = "#支付宝"
TRADES_TITLE, FUNDS_TITLE = "业务明细", "账务明细"
SUMMARY = "汇总"

_ACCOUNT = re.compile(r"^#账号：\[([0-9]{16})")
_DAYS = re.compile(
    r"^#起始日期：\[([0-9]{4})年([0-9]{2})月([0-9]{2})日 00:00:00\]\s*"
    r"终止日期：\[([0-9]{4})年([0-9]{2})月([0-9]{2})日 00:00:00\]"
)
_TRADE_TRAILER = re.compile(
    r"^#(交易|退款)合计：([0-9]{1,9})笔，商家实收(?:退款)?共(-?[0-9.]+)元，商家优惠(?:退款)?共(-?[0-9.]+)元"
)
_FUND_TRAILER = re.compile(r"^#(支出|收入)合计：([0-9]{1,9})笔，共(-?[0-9.]+)元")
_TRAILER = re.compile(r"^#((交易|退款|支出|收入)合计)")
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}")
_AMOUNT = re.compile(r"-?[0-9]+(\.[0-9]+)?")

_KIND, _AT, _SUBJECT, _BATCH = "业务类型", "完成时间", "商品名称", "退款批次号/请求号"
_KINDS: Mapping[str, RowKind] = {"交易": "payment", "退款": "refund"}
_STATES: Mapping[bool, TradeState] = {True: "paid", False: "succeeded"}
_COVERS: frozenset[RowKind] = frozenset(_KINDS.values())
_ORDERED, _RECEIVED, _FEE, _SHARED = "订单金额(元)", "商家实收(元)", "服务费(元)", "分润(元)"
_GIFT, _SHOPS_GIFT, _BY_CARD = "支付宝优惠(元)", "商家优惠(元)", "卡消费金额(元)"
_GIFTS, _SHOPS_GIFTS = (_GIFT, "支付宝红包(元)", "集分宝(元)"), (_SHOPS_GIFT, "商家红包消费金额(元)")
_NET = "实收净额(元)"
_NEEDED = frozenset({_ORDERED, _RECEIVED, _FEE})
_AMOUNTS = (_ORDERED, _RECEIVED, _FEE, _SHARED, _BY_CARD, *_GIFTS, *_SHOPS_GIFTS)
_SUMS: Mapping[str, Sequence[Sequence[str]]] = {
    _ORDERED: [[_ORDERED]],
    _RECEIVED: [[_RECEIVED]],
    _GIFT: [[_GIFT], _GIFTS],
    _SHOPS_GIFT: [[_SHOPS_GIFT], _SHOPS_GIFTS],
    _BY_CARD: [[_BY_CARD]],
    _FEE: [[_FEE]],
    _SHARED: [[_SHARED]],
}
"""Which columns a figure of the summary adds up. Of two of them nobody says which way it is, so both will do."""

_FUND_KINDS: Mapping[str, FundKind] = {
    "在线支付": FundKind.TRADE,
    "交易付款": FundKind.TRADE,
    "收费": FundKind.FEE,
    "交易退款": FundKind.REFUND,
    "收费退回": FundKind.FEE_RETURNED,
    "退费": FundKind.FEE_RETURNED,
    **WITHDRAWALS,
}
_WAYS: Mapping[str, int] = {"收入": 1, "支出": -1}
_INCOME, _EXPENSE, _BALANCE = "收入金额(+元)", "支出金额(-元)", "账户余额(元)"
_MOVED = "总金额(元)"
_MOST_COMMAS = 20
_MOST_BEHIND = 50


@dataclass(frozen=True, slots=True)
class Frame:
    """What the comment lines before the rows say."""

    title: str
    merchant_id: str
    day: date

    @classmethod
    def of(cls, lines: Sequence[str]) -> Frame:
        """Raises MissingColumn, and WrongDay for a bill of more than one day."""
        account, days = _first(_ACCOUNT, lines), _first(_DAYS, lines)
        if account is None or days is None:
            raise MissingColumn("账号" if account is None else "起始日期")
        try:
            day, after = (date(*map(int, days.groups()[at : at + 3])) for at in (0, 3))
        except ValueError:
            raise MissingColumn("起始日期") from None
        if after - day != timedelta(days=1):
            raise WrongDay(found=f"{day} – {after - timedelta(days=1)}", wanted=str(day))
        return cls(lines[0].strip(), account[1], day)


def _first(pattern: re.Pattern[str], lines: Iterable[str]) -> re.Match[str] | None:
    return next((match for line in lines if (match := pattern.match(line))), None)


class _Table:
    """Rows between comment lines, in blocks of columns; the comments behind the rows are kept in `behind`."""

    def __init__(self, blocks: Iterator[list[str]]) -> None:
        """Read the frame and the header. Raises MissingColumn, WrongDay."""
        begin = next(blocks)
        header = next((at for at, line in enumerate(begin) if line.strip() and not line.startswith("#")), None)
        if header is None:
            raise MissingColumn("表头")
        self.frame, self.columns = Frame.of(begin[:header]), Columns(begin[header])
        self._blocks = chain([begin[header + 1 :]], blocks)
        self.behind: list[str] = []

    def blocks(self, *, free: Sequence[str], times: Sequence[str]) -> Iterator[tuple[int, list[tuple[str, ...]]]]:
        """The number of the first row of each block, and its columns with their tabs. Raises UnreadableRow.

        `free` are the columns that may have commas, in their order; `times` those that hold times.
        """
        first, width = 1, self.columns.width
        for block in self._blocks:
            self.behind += [line for line in block if line.startswith("#")]
            if len(self.behind) > _MOST_BEHIND:
                raise CutOffBill("comments without end")
            rows = [line.split(",") for line in block if line and line[0] != "#" and not line.isspace()]
            if not rows:
                continue
            if set(map(len, rows)) != {width}:
                rows = [
                    row if len(row) == width else self._joined(row, n, free, times) for n, row in enumerate(rows, first)
                ]
            yield first, list(zip(*rows, strict=True))
            first += len(rows)

    def printed(self, trailer: re.Pattern[str]) -> dict[str, re.Match[str]]:
        """The totals behind the rows by their word. Raises MissingColumn where one begins so and cannot be read."""
        found = {}
        for line in self.behind:
            if match := trailer.match(line):
                found[match[1]] = match
            elif begun := _TRAILER.match(line):
                raise MissingColumn(begun[1])
        return found

    def _joined(self, row: list[str], number: int, free: Sequence[str], times: Sequence[str]) -> list[str]:
        """A row with commas in its texts, put together so that times stand where times belong, and amounts likewise.

        Not where there is also the end of a line in it: a text could then hold the whole of the next row.
        """
        columns, spare = self.columns, len(row) - self.columns.width
        shapes = {columns.place(name): _TIME for name in times}
        shapes |= {columns.place(name): _AMOUNT for name in columns if name.endswith("元)")}
        places = [columns.place(name) for name in free if columns.has(name)]
        is_one = 0 < spare <= _MOST_COMMAS and not any("\n" in text for text in row)
        whole = _whole(row, places, spare, shapes) if places and is_one else None
        if whole is None:
            raise UnreadableRow(number, free[0])
        return whole


def _whole(
    row: list[str], places: Sequence[int], spare: int, shapes: Mapping[int, re.Pattern[str]]
) -> list[str] | None:
    """A row with its spare commas put back into the texts at these places, the first way in which all shapes hold."""
    at, *later = places
    behind = [place for place in shapes if at < place < (later[0] if later else len(row))]
    for taken in range(spare + 1) if later else (spare,):
        whole = [*row[:at], ",".join(row[at : at + taken + 1]), *row[at + taken + 1 :]]
        if not all(shapes[place].fullmatch(whole[place].strip()) for place in behind):
            continue
        found = _whole(whole, later, spare - taken, shapes) if later else whole
        if found is not None:
            return found
    return None


def _stripped(column: Iterable[str]) -> list[str]:
    return [text.strip() for text in column]


class Summary:
    """The other file of the zip: one row for each place of business, and the one that counts, 合计."""

    def __init__(self, blocks: Iterator[list[str]]) -> None:
        """Read all of it. Raises UnreadableBill."""
        table = _Table(blocks)
        self.frame = table.frame
        rows = (row for _, columns in table.blocks(free=(), times=()) for row in zip(*columns, strict=True))
        named = (dict(zip(table.columns, _stripped(row), strict=True)) for row in rows)
        self._figures = next((row for row in named if "合计" in row.values()), {})

    def figure(self, name: str, read: Callable[[str], int]) -> int:
        """A printed figure. Raises MissingColumn."""
        try:
            return read(self._figures[name])
        except (KeyError, ValueError):
            raise MissingColumn(f"合计 {name}") from None

    def prints(self, name: str) -> bool:
        """Whether there is such a figure."""
        return name in self._figures


def _require_same(frame: Frame, summary: Summary | None) -> None:
    if summary is None:
        return
    if summary.frame.day != frame.day:
        raise WrongDay(found=str(summary.frame.day), wanted=str(frame.day))
    if summary.frame.merchant_id != frame.merchant_id:
        raise WrongMerchant(found=summary.frame.merchant_id, wanted=frame.merchant_id)


class TradeReader:
    """The detail of trades: its `head` at once, `rows` once, and after them the `totals`, which all hold."""

    def __init__(self, blocks: Iterator[list[str]], summary: Summary | None) -> None:
        """Read frame and header. Raises UnreadableBill."""
        self._table, self._summary = _Table(blocks), summary
        frame, columns = self._table.frame, self._table.columns
        _require_same(frame, summary)
        self.head = BillHead(CHANNEL, "trades", TRADES_TITLE, frame.day, frame.merchant_id, _COVERS)
        self.totals: tuple[Total, ...] = ()
        self._amounts = {name: columns.place(name) for name in _AMOUNTS if name in _NEEDED or columns.has(name)}
        self._counts: Counter[RowKind] = Counter()
        self._sums: dict[bool, Counter[str]] = {True: Counter(), False: Counter()}
        self._fees_fen = 0
        self._fens, self._kinds = Read(signed_fen), Read(lambda text: _KINDS[text.strip()])
        self._paid_at, self._asked_at = Read(time_on(frame.day)), Read(shop_time)
        self._texts: dict[str, str] = {}

    def rows(self) -> Iterator[list[TradeRow]]:
        """All rows, in blocks; they count only when the last one came. Raises UnreadableBill, WrongTotal among them."""
        for first, columns in self._table.blocks(free=(_SUBJECT, "券名称", "备注"), times=("创建时间", _AT)):
            yield self._block(first, columns)
        self.totals = tuple(chain(self._behind(), self._summed_up()))

    def _block(self, first: int, columns: Sequence[tuple[str, ...]]) -> list[TradeRow]:
        place = self._table.columns.place

        def column(name: str) -> Sequence[str]:
            return _stripped(columns[place(name)])

        kinds = self._kinds.all(columns[place(_KIND)], _KIND, first)
        is_payment = [kind == "payment" for kind in kinds]
        amounts = {name: self._fens.all(columns[at], name, first) for name, at in self._amounts.items()}
        self._count(kinds, is_payment, amounts, first)
        times = columns[place(_AT)]
        fees = [abs(fee) if paid else -abs(fee) for fee, paid in zip(amounts[_FEE], is_payment, strict=True)]
        self._fees_fen += sum(fees)
        blank, batches = ("",) * len(kinds), numbers(column(_BATCH), _BATCH, first)
        fields: tuple[Iterable[object], ...] = (
            range(first, first + len(kinds)),
            kinds,
            numbers(column("支付宝交易号"), "支付宝交易号", first, is_theirs=True),
            numbers(column("商户订单号"), "商户订单号", first),
            blank,
            ["" if paid else batch for paid, batch in zip(is_payment, batches, strict=True)],
            map(abs, amounts[_ORDERED]),
            map(abs, amounts[_RECEIVED]),
            fees,
            [_STATES[paid] for paid in is_payment],
            self._paid_at.all(times, _AT, first) if all(is_payment) else self._mixed(times, is_payment, first),
            (None,) * len(kinds),
            ("CNY",) * len(kinds),
            blank,
            same(self._texts, column(_SUBJECT)),
            blank,
        )
        return list(map(TradeRow._make, zip(*fields, strict=True)))

    def _mixed(self, times: Sequence[str], is_payment: Sequence[bool], first: int) -> list[datetime]:
        """A payment's time is on the bill's day; whose time stands in a refund's row, nobody says."""
        found = self._asked_at.all(times, _AT, first)
        self._paid_at.all(list(compress(times, is_payment)), _AT, first)
        return found

    def _count(
        self, kinds: list[RowKind], is_payment: list[bool], amounts: Mapping[str, list[Fen]], first: int
    ) -> None:
        """Add up a block, in which amounts of refunds are negative and others are not. Raises UnreadableRow."""
        self._counts.update(kinds)
        is_refund = [not paid for paid in is_payment]
        for name, fens in amounts.items():
            paid, back = sum(compress(fens, is_payment)), sum(compress(fens, is_refund))
            self._sums[True][name] += paid
            self._sums[False][name] += back
        for name in (_ORDERED, _RECEIVED):
            signed = zip(amounts[name], is_payment, strict=True)
            wrong = next((row for row, (fen, paid) in enumerate(signed, first) if (fen < 0 if paid else fen > 0)), None)
            if wrong is not None:
                raise UnreadableRow(wrong, name)

    def _behind(self) -> Iterator[Total]:
        """The totals behind the rows. Refunds have none where there are no refunds."""
        found = self._table.printed(_TRADE_TRAILER)
        for word, kind in _KINDS.items():
            match, figure, sums = found.get(word), f"{word}合计", self._sums[kind == "payment"]
            if match is None:
                if kind == "payment" or self._counts[kind]:
                    raise MissingColumn(figure)
                continue
            yield checked(Total(f"{figure}笔数", int(match[2]), self._counts[kind], is_amount=False))
            yield checked(Total(f"{figure} {_RECEIVED}", _fen(match[3], figure), sums[_RECEIVED], is_amount=True))
            yield checked(Total(f"{figure} {_SHOPS_GIFT}", _fen(match[4], figure), sums[_SHOPS_GIFT], is_amount=True))

    def _summed_up(self) -> Iterator[Total]:
        """The summary's figures. The last one proves that the fees were read with the right sign."""
        summary = self._summary
        if summary is None:
            return
        for name, kind in zip(("交易订单总笔数", "退款订单总笔数"), _KINDS.values(), strict=True):
            yield checked(Total(name, summary.figure(name, count), self._counts[kind], is_amount=False))
        sums = {name: self._sums[True][name] + self._sums[False][name] for name in self._amounts}
        for name, ways in _SUMS.items():
            if name in _NEEDED or summary.prints(name):
                printed = summary.figure(name, signed_fen)
                added = [sum(sums.get(column, 0) for column in way) for way in ways]
                yield checked(Total(name, printed, printed if printed in added else added[0], is_amount=True))
        shared = sums.get(_SHARED, 0)
        net = sums[_RECEIVED] - self._fees_fen + (shared if sums[_FEE] == -self._fees_fen else -shared)
        yield checked(Total(_NET, summary.figure(_NET, signed_fen), net, is_amount=True))


def _fen(text: str, figure: str) -> Fen:
    try:
        return signed_fen(text)
    except ValueError:
        raise MissingColumn(figure) from None


class FundReader:
    """The detail of the account's movements, in the same way."""

    def __init__(self, blocks: Iterator[list[str]], summary: Summary | None) -> None:
        """Read frame and header. Raises UnreadableBill."""
        self._table, self._summary = _Table(blocks), summary
        frame = self._table.frame
        _require_same(frame, summary)
        self.head = BillHead(CHANNEL, "funds", FUNDS_TITLE, frame.day, frame.merchant_id)
        self.totals: tuple[Total, ...] = ()
        self._fens, self._times = Read(signed_fen), Read(time_on(frame.day))
        self._texts: dict[str, str] = {}

    def rows(self) -> Iterator[list[FundRow]]:
        """See `TradeReader.rows`."""
        counts, sums = Counter[str](), Counter[str]()
        for first, columns in self._table.blocks(free=(_SUBJECT, "对方账号", "备注"), times=("发生时间",)):
            block = self._block(first, columns)
            for word, sign in _WAYS.items():
                its = [row.amount_fen for row in block if row.amount_fen * sign > 0]
                counts[word] += len(its)
                sums[word] += sum(its)
            yield block
        self.totals = tuple(chain(self._behind(counts, sums), self._summed_up(counts, sums)))

    def _block(self, first: int, columns: Sequence[tuple[str, ...]]) -> list[FundRow]:
        place = self._table.columns.place

        def column(name: str) -> Sequence[str]:
            return _stripped(columns[place(name)])

        def fens(name: str) -> list[Fen]:
            return self._fens.all(columns[place(name)], name, first)

        both = zip(fens(_INCOME), fens(_EXPENSE), strict=True)
        amounts = [came - abs(went) for came, went in both]
        words = same(self._texts, column(_KIND))
        fields: tuple[Iterable[object], ...] = (
            range(first, first + len(words)),
            self._times.all(columns[place("发生时间")], "发生时间", first),
            [_FUND_KINDS.get(word, FundKind.OTHER) for word in words],
            *(numbers(column(name), name, first) for name in ("账务流水号", "业务流水号", "商户订单号")),
            amounts,
            fens(_BALANCE),
            words,
            printable(column("备注")),
        )
        return list(map(FundRow._make, zip(*fields, strict=True)))

    def _behind(self, counts: Mapping[str, int], sums: Mapping[str, int]) -> Iterator[Total]:
        found = self._table.printed(_FUND_TRAILER)
        for word, sign in _WAYS.items():
            figure = f"{word}合计"
            if (match := found.get(word)) is None:
                raise MissingColumn(figure)
            yield checked(Total(f"{figure}笔数", int(match[2]), counts[word], is_amount=False))
            yield checked(Total(figure, sign * abs(_fen(match[3], figure)), sums[word], is_amount=True))

    def _summed_up(self, counts: Mapping[str, int], sums: Mapping[str, int]) -> Iterator[Total]:
        summary = self._summary
        if summary is None:
            return
        for word, (sign, column) in {"收入": (1, _INCOME), "支出": (-1, _EXPENSE)}.items():
            yield checked(Total(f"{word}笔数", summary.figure(f"{word}笔数", count), counts[word], is_amount=False))
            yield checked(Total(column, sign * abs(summary.figure(column, signed_fen)), sums[word], is_amount=True))
        yield checked(Total(_MOVED, summary.figure(_MOVED, signed_fen), sum(sums.values()), is_amount=True))
