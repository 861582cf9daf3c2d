"""What a channel's bill is made of, whatever the channel writes: its head, its rows, its totals, and what is wrong.

Amounts are fen, times are aware in the shop's zone. Readers are `bill_wechat.py` and `bill_alipay.py`; everybody else
opens bills by `bill_lines.py`. A day's amounts and times repeat: each text is read once and kept (`Read`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Literal, NamedTuple, TypeVar

from server.gateways.port import BillKind
from shared import channels, clock
from shared.errors import BadInput
from shared.money import Fen, format_fen
from shared.sentence import Sentence

RowKind = Literal["payment", "refund"]

TradeState = Literal["paid", "reversed", "succeeded", "processing", "abnormal", "failed"]
"""What the bill says of a payment (the first two) or of a refund, the morning after."""

UNMOVED: frozenset[TradeState] = frozenset({"reversed", "failed"})
"""What is undone by then moved no money."""

UNITS_PER_FEN = 1_000
"""Fees are written with five decimals of a yuan, and charged in fen."""

_MOST_KEPT = 100_000
_LONGEST = 64
_CONTROLS = dict.fromkeys((*range(0x20), *range(0x7F, 0xA0)), "\ufffd")
_YUAN = re.compile(r"(-?)([0-9]{1,11})(?:\.([0-9]{1,5}))?")
_COUNT = re.compile(r"([0-9]{1,9})(?:\.0+)?")
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}")

T = TypeVar("T")


class TradeRow(NamedTuple):
    """One payment or refund of a trade bill; `n` is its place among the rows, from 1.

    `settled_fen` is what moves on the merchant's account, less coupons that nobody pays out. `fee_fen` is what the
    channel keeps: negative where a refund gave it back. `refund_no` and `out_refund_no` are empty in a payment's row.
    `at` is when it was paid, or the refund was taken on; `rate` as the bill prints it, empty where it does not.
    """

    n: int
    kind: RowKind
    provider_no: str
    out_trade_no: str
    refund_no: str
    out_refund_no: str
    amount_fen: Fen
    settled_fen: Fen
    fee_fen: Fen
    state: TradeState
    at: datetime
    ended_at: datetime | None
    currency: str
    app_id: str
    subject: str
    rate: str


class FundKind(StrEnum):
    """What moved on the merchant's account."""

    TRADE = "trade"
    FEE = "fee"
    REFUND = "refund"
    FEE_RETURNED = "fee_returned"
    REFUND_RETURNED = "refund_returned"
    """A refund that was closed: its money came back."""
    WITHDRAWAL = "withdrawal"
    """To our bank, or (what came in) back from it."""
    OTHER = "other"


WITHDRAWALS = dict.fromkeys(("提现", "提现退回", "提现退票", "提现失败退回"), FundKind.WITHDRAWAL)
"""What channels call a withdrawal, and one that the bank sent back."""


class FundRow(NamedTuple):
    """One movement of a fund bill. `amount_fen` is negative for what went out; `balance_fen` is what was left.

    `provider_no` is the channel's number of what moved (a refund's own, where it has one), `voucher` ours, `words` the
    channel's own word for the kind.
    """

    n: int
    at: datetime
    kind: FundKind
    fund_no: str
    provider_no: str
    voucher: str
    amount_fen: Fen
    balance_fen: Fen
    words: str
    note: str


@dataclass(frozen=True, slots=True)
class BillHead:
    """What a file says of itself. `day` and `merchant_id` are None where nothing in it tells.

    `layout` is the channel's word for its columns; `covers` says which rows a trade bill of this layout has.
    """

    channel: str
    kind: BillKind
    layout: str
    day: date | None
    merchant_id: str | None
    covers: frozenset[RowKind] = frozenset()


@dataclass(frozen=True, slots=True)
class Total:
    """One control figure: what the file prints, and what its rows add up to. A count, or fen."""

    name: str
    printed: int
    read: int
    is_amount: bool


# --- what is wrong with a bill ---


class UnreadableBill(BadInput):
    """The file is no bill that can be used, as a whole. `reason` is fit for logs and people."""

    code = "unreadable_bill"
    zh = "账单无法读取：{reason}"
    en = "The bill cannot be read: {reason}"

    def __init__(self, reason: str, **params: object) -> None:
        super().__init__(reason=reason, **params)
        self.reason = reason


class NotABill(UnreadableBill):
    """Nothing in the file is what a bill begins with."""

    code = "not_a_bill"
    zh = "“{name}”不是微信支付或支付宝的账单。请使用商户平台下载的原始文件。"
    en = "“{name}” is no bill of WeChat Pay or Alipay. Use the file as the merchant platform gave it."

    def __init__(self, name: str, reason: str = "not a bill", **params: object) -> None:
        super().__init__(reason, name=name, **params)


class CutOffBill(UnreadableBill):
    """The file ends too early, cannot be unpacked, or is larger than any bill."""

    code = "cut_off_bill"
    zh = "账单文件不完整或已损坏，请重新下载。"
    en = "The bill's file is incomplete or damaged ({reason}); download it again."


class MissingColumn(UnreadableBill):
    """A column, or a line of totals, that is needed is not there."""

    code = "missing_column"
    zh = "账单缺少“{column}”，无法对账。"
    en = "The bill lacks “{column}”, so it cannot be reconciled."

    def __init__(self, column: str) -> None:
        super().__init__(column, column=column)


class UnreadableRow(UnreadableBill):
    """A value of one row is not what its column has."""

    code = "unreadable_row"
    zh = "账单明细第 {row} 行的“{column}”无法识别，文件可能被改动过，请重新下载。"
    en = "“{column}” in row {row} of the bill cannot be read. The file may have been changed; download it again."

    def __init__(self, row: int, column: str) -> None:
        super().__init__(f"{column}, row {row}", row=row, column=column)


class WrongTotal(UnreadableBill):
    """The rows do not add up to what the file prints."""

    code = "wrong_bill_total"
    zh = "账单合计不符：“{figure}”印的是 {printed}，逐行合计是 {read}。文件不完整或被改动过，请重新下载。"
    en = "The bill's total “{figure}” prints {printed}, its rows make {read}. It is incomplete or was changed."

    def __init__(self, total: Total, told: Callable[[int], str] | None = None) -> None:
        """`told` writes its figures, where they are neither counts nor fen."""
        told = told or (format_fen if total.is_amount else str)
        super().__init__(total.name, figure=total.name, printed=told(total.printed), read=told(total.read))


class WrongDay(UnreadableBill):
    """A bill of another day, or of more than one."""

    code = "wrong_bill_day"
    zh = "这是 {found} 的账单，需要的是 {wanted} 的。"
    en = "This is the bill of {found}; the one of {wanted} is needed."

    def __init__(self, *, found: str, wanted: str) -> None:
        super().__init__(f"day {found}", found=found, wanted=wanted)


class WrongMerchant(UnreadableBill):
    """A bill of another merchant number, or channel."""

    code = "wrong_bill_merchant"
    zh = "这是商户 {found} 的账单，本店的商户号是 {wanted}。"
    en = "This is the bill of merchant {found}; ours is {wanted}."

    def __init__(self, *, found: str | Sentence, wanted: str | Sentence) -> None:
        super().__init__("merchant", found=found, wanted=wanted)


def merchant(channel: str, number: str | None) -> Sentence:
    """A merchant, if its number is known, of a channel, for people."""
    zh, en = channels.name(channel)
    return Sentence(f"{zh} {number or ''}".strip(), f"{en} {number or ''}".strip())


def checked(total: Total) -> Total:
    """The figure, which holds. Raises WrongTotal."""
    if total.printed != total.read:
        raise WrongTotal(total)
    return total


# --- reading columns ---


class Columns:
    """Where the columns of a header are. Brackets of both widths are the same."""

    def __init__(self, header: str) -> None:
        names = (name.strip().replace("（", "(").replace("）", ")") for name in header.split(","))
        self._places = {name: place for place, name in enumerate(names)}
        self.width = header.count(",") + 1

    def has(self, name: str) -> bool:
        """Whether a column is there."""
        return name in self._places

    def place(self, *names: str) -> int:
        """Where the first of these columns is that is there. Raises MissingColumn."""
        found = next((self._places[name] for name in names if name in self._places), None)
        if found is None:
            raise MissingColumn(names[0])
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)


class Read(dict[str, T]):
    """What the texts of a column mean, each read once. The function raises ValueError or KeyError for no meaning."""

    def __init__(self, read: Callable[[str], T]) -> None:
        super().__init__()
        self._read = read

    def __missing__(self, text: str) -> T:
        value = self._read(text)
        if len(self) < _MOST_KEPT:
            self[text] = value
        return value

    def all(self, column: Sequence[str], name: str, first_row: int) -> list[T]:
        """The values of a column. Raises UnreadableRow, which names the row, `first_row` being that of the first."""
        try:
            if len(few := set(column)) == 1:
                return [self[few.pop()]] * len(column)
            return list(map(self.__getitem__, column))
        except (ValueError, KeyError):
            pass
        for row, text in enumerate(column, first_row):
            try:
                self[text]
            except (ValueError, KeyError):
                raise UnreadableRow(row, name) from None
        raise AssertionError("a column that fails as a whole fails at a row")


def numbers(column: Sequence[str], name: str, first_row: int, *, is_theirs: bool = False) -> Sequence[str]:
    """Numbers as they are kept and shown; none of `is_theirs` lacks. Raises UnreadableRow.

    A file that a spreadsheet has saved writes 4.2E+27 for thousands of payments, and its totals still hold.
    """
    every = "".join(column)
    is_whole = not is_theirs or ("+" not in every and "" not in column)
    if is_whole and every.isprintable() and max(map(len, column)) <= _LONGEST:
        return column
    for row, text in enumerate(column, first_row):
        if len(text) > _LONGEST or not text.isprintable() or (is_theirs and ("+" in text or not text)):
            raise UnreadableRow(row, name)
    raise AssertionError("a column that fails as a whole fails at a row")


def printable(column: Sequence[str]) -> Sequence[str]:
    """Texts that a database keeps and a sheet shows: what is none of a text's characters shows as such."""
    if "".join(column).isprintable():
        return column
    return [text.translate(_CONTROLS) for text in column]


def same(kept: dict[str, str], column: Sequence[str]) -> list[str]:
    """The texts of a column, `printable`, equal ones as one object: a million rows have few different names."""
    few = set(column)
    if not "".join(few).isprintable():
        column = printable(column)
        few = set(column)
    if len(few) == 1:
        return [kept.setdefault(text, text) for text in few] * len(column)
    if len(kept) > _MOST_KEPT:
        kept.clear()
    return list(map(kept.setdefault, column, column))


def units_of_yuan(text: str) -> int:
    """`-0.08000` as -8000, in 1/100000 yuan. Raises ValueError for what is no plain amount."""
    match = _YUAN.fullmatch(text.strip())
    if match is None:
        raise ValueError("not an amount of yuan")
    units = int(match[2]) * 100 * UNITS_PER_FEN + int((match[3] or "").ljust(5, "0"))
    return -units if match[1] else units


def signed_fen(text: str) -> Fen:
    """`-12.5` as -1250. Raises ValueError for what is no plain amount of whole fen."""
    units = units_of_yuan(text)
    if units % UNITS_PER_FEN:
        raise ValueError("not whole fen")
    return units // UNITS_PER_FEN


def plain_fen(text: str) -> Fen:
    """`12.5` as 1250. Raises ValueError for what is no plain amount of whole fen, or negative."""
    fen = signed_fen(text)
    if fen < 0:
        raise ValueError("negative")
    return fen


def fen_of_units(units: int) -> Fen:
    """1/100000 yuan in fen, half a fen away from nothing."""
    fen = (abs(units) + UNITS_PER_FEN // 2) // UNITS_PER_FEN
    return -fen if units < 0 else fen


def written_units(units: int) -> str:
    """-8000 as `-0.08000`."""
    return f"{'-' if units < 0 else ''}{abs(units) // 100_000}.{abs(units) % 100_000:05d}"


def count(text: str) -> int:
    """`48` and `45.0` as a number. Raises ValueError."""
    match = _COUNT.fullmatch(text.strip())
    if match is None:
        raise ValueError("not a count")
    return int(match[1])


def shop_time(text: str) -> datetime:
    """`yyyy-MM-dd HH:mm:ss` as a clock in the shop shows it. Raises ValueError."""
    text = text.strip()
    if not _TIME.fullmatch(text):
        raise ValueError("not a time")
    return datetime.fromisoformat(text).replace(tzinfo=clock.SHOP_ZONE)


def time_on(day: date) -> Callable[[str], datetime]:
    """A reader of times of one day. It raises WrongDay for one of another."""

    def read(text: str) -> datetime:
        at = shop_time(text)
        if at.date() != day:
            raise WrongDay(found=f"{day} + {at.date()}", wanted=str(day))
        return at

    return read
