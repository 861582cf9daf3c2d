"""What a day's bill is made of, whatever the channel writes: its lines, their fees, and the differences testers plant.

Everything here is pure. A payment belongs to the day in Beijing on which it was paid, a refund to the day on which it
was taken on. A bill says what was known the next morning at `MADE_AT` and never changes after that, so that the
same day always gives the same bytes. Written as files by `bills_wechat.py` and `bills_alipay.py`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from itertools import groupby
from typing import Literal

from server.sandbox.moments import BEIJING

FEE_BASIS_POINTS = 60
MADE_AT = time(9, 10, 11)
"""When a bill is made, in Beijing, on the day after."""
_WITHDRAWN_AT = time(23, 59, 59)

DifferenceKind = Literal["missing", "extra", "amount", "fee", "state", "duplicate", "other_day"]


class NoSuchLine(Exception):
    """A difference names a number that no line has."""


class FieldWanted(Exception):
    """This kind of difference needs a field that is missing; `name` says which."""

    def __init__(self, name: str) -> None:
        """Keep the field's name."""
        super().__init__(name)
        self.name = name


@dataclass(frozen=True, slots=True, kw_only=True)
class BillLine:
    """One payment or one refund as the channel books it, or, in the bill of the account, a withdrawal to the bank.
    Amounts and fees are never negative; `kind` says the way.

    `at_ms` is when it was paid or the refund was taken on; `ends_at_ms` when the refund had reached the payer.
    `state` is what the channel says of it; `reversed` is a payment that was undone.
    """

    kind: Literal["payment", "refund", "withdrawal"]
    at_ms: int
    created_at_ms: int
    provider_no: str
    out_trade_no: str
    amount_fen: int
    fee_fen: int
    subject: str
    app_id: str
    product: str
    payer: str
    bank: str = "OTHERS"
    refund_no: str = ""
    out_refund_no: str = ""
    ends_at_ms: int | None = None
    reason: str = ""
    reversed: bool = False

    @property
    def number(self) -> str:
        """The merchant's number of what this line is about."""
        return self.out_refund_no or self.out_trade_no

    @property
    def sign(self) -> int:
        """1 for money that came, -1 for money that went."""
        return 1 if self.kind == "payment" else -1


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One lie of a bill about the line `number`.

    missing      the line is not there
    extra        a payment that never was, of `amount_fen`, at `day` noon
    amount, fee  another amount or fee: `amount_fen`
    state        a payment that was undone; a refund that still runs, or one that is through already
    duplicate    the line twice
    other_day    in the next day's bill
    """

    kind: DifferenceKind
    number: str
    amount_fen: int | None = None
    day: date | None = None

    def __post_init__(self) -> None:
        if self.kind in {"extra", "amount", "fee"} and self.amount_fen is None:
            raise FieldWanted("amount_fen")
        if self.kind == "extra" and self.day is None:
            raise FieldWanted("day")


def fee_of(amount_fen: int, *, basis_points: int = FEE_BASIS_POINTS) -> int:
    """Return the channel's fee: a share of the amount, half a fen rounded up."""
    return (amount_fen * basis_points + 5_000) // 10_000


def with_fees_returned(lines: Iterable[BillLine]) -> list[BillLine]:
    """Give each refund its share of the payment's fee: all refunds of a payment together return what it had cost."""
    ordered = sorted(lines, key=lambda line: (line.provider_no, line.kind == "refund", line.at_ms, line.number))
    priced: list[BillLine] = []
    for _, of_one in groupby(ordered, key=lambda line: line.provider_no):
        refunded_fen = 0
        for line in of_one:
            fee_fen = fee_of(refunded_fen + line.amount_fen) - fee_of(refunded_fen)
            priced.append(replace(line, fee_fen=fee_fen))
            if line.kind == "refund":
                refunded_fen += line.amount_fen
    return priced


def day_of(moment_ms: int) -> date:
    """Return the day in Beijing."""
    return datetime.fromtimestamp(moment_ms / 1000, BEIJING).date()


def made_at_ms(day: date) -> int:
    """Return when the bill of `day` is made."""
    return _moment_ms(day + timedelta(days=1), MADE_AT)


def lines_before(lines: Iterable[BillLine], day: date) -> list[BillLine]:
    """Return the lines of all earlier days."""
    return [line for line in lines if day_of(line.at_ms) < day]


def lines_of(lines: Iterable[BillLine], day: date) -> list[BillLine]:
    """Return the lines of one day, the earliest first."""
    of_day = (line for line in lines if day_of(line.at_ms) == day)
    return sorted(of_day, key=lambda line: (line.at_ms, line.kind == "refund", line.provider_no, line.number))


def is_through(line: BillLine) -> bool:
    """Whether a refund had reached the payer when its bill was made."""
    return line.ends_at_ms is not None and line.ends_at_ms <= made_at_ms(day_of(line.at_ms))


def with_differences(lines: Sequence[BillLine], differences: Iterable[Difference]) -> list[BillLine]:
    """Return the lines as a bill with these differences has them. Raises NoSuchLine."""
    changed = list(lines)
    for difference in differences:
        if difference.kind == "extra":
            changed.append(_extra(difference))
            continue
        at = next((at for at, line in enumerate(changed) if line.number == difference.number), None)
        if at is None:
            raise NoSuchLine(difference.number)
        changed[at : at + 1] = _instead(changed[at], difference)
    return changed


def _extra(difference: Difference) -> BillLine:
    assert difference.day is not None
    assert difference.amount_fen is not None
    at_ms = _moment_ms(difference.day, time(12))
    return BillLine(
        kind="payment",
        at_ms=at_ms,
        created_at_ms=at_ms - 20_000,
        provider_no=f"{difference.day:%Y%m%d}22009999{_digits(difference.number)}",
        out_trade_no=difference.number,
        amount_fen=difference.amount_fen,
        fee_fen=fee_of(difference.amount_fen),
        subject="其他系统的订单",
        app_id="",
        product="qr",
        payer="",
    )


def _instead(line: BillLine, difference: Difference) -> list[BillLine]:
    match difference.kind:
        case "missing":
            return []
        case "duplicate":
            return [line, line]
        case "amount":
            assert difference.amount_fen is not None
            return [replace(line, amount_fen=difference.amount_fen)]
        case "fee":
            assert difference.amount_fen is not None
            return [replace(line, fee_fen=difference.amount_fen)]
        case "other_day":
            return [replace(line, at_ms=line.at_ms + 86_400_000)]
        case _:
            if line.kind == "payment":
                return [replace(line, reversed=True)]
            return [replace(line, ends_at_ms=None if is_through(line) else line.at_ms)]


def _moment_ms(day: date, clock: time) -> int:
    return int(datetime.combine(day, clock, BEIJING).timestamp()) * 1000


def _digits(text: str) -> str:
    """Twelve digits that are always the same for the same text."""
    return f"{int.from_bytes(text.encode()) % 10**12:012d}"


# How both channels write money and text


def yuan(amount_fen: int) -> str:
    """Write fen as a bill does: `-12.50`, no separators."""
    sign = "-" if amount_fen < 0 else ""
    return f"{sign}{abs(amount_fen) // 100}.{abs(amount_fen) % 100:02d}"


def one_line(text: str) -> str:
    """Write line breaks as text: they would end the row."""
    return text.replace("\r", "\\r").replace("\n", "\\n")


@dataclass(frozen=True, slots=True)
class Flow:
    """A movement on the merchant's account: a line's money, or its fee. `amount_fen` is negative for what went out."""

    line: BillLine
    is_fee: bool
    amount_fen: int
    balance_fen: int


def flows_of(lines: Iterable[BillLine], *, opening_fen: int) -> list[Flow]:
    """Return each line's movements in order, with the balance after each. A fee of nothing moves nothing."""
    flows: list[Flow] = []
    balance_fen = opening_fen
    for line in lines:
        for is_fee, amount_fen in ((False, line.sign * line.amount_fen), (True, -line.sign * line.fee_fen)):
            if amount_fen or not is_fee:
                balance_fen += amount_fen
                flows.append(Flow(line, is_fee, amount_fen, balance_fen))
    return flows


def withdrawal(day: date, amount_fen: int) -> BillLine:
    """Return the withdrawal at the end of a day."""
    at_ms = _moment_ms(day, _WITHDRAWN_AT)
    return BillLine(
        kind="withdrawal",
        at_ms=at_ms,
        created_at_ms=at_ms,
        provider_no=f"60{day:%Y%m%d}{0:018d}",
        out_trade_no=f"TX{day:%Y%m%d}",
        amount_fen=amount_fen,
        fee_fen=0,
        subject="提现",
        app_id="",
        product="",
        payer="",
    )


def left_fen(lines: Iterable[BillLine], *, opening_fen: int) -> int:
    """Return the balance after the days of these lines: what is beyond `opening_fen` is withdrawn when a day ends."""
    balance_fen = opening_fen
    for _, of_day in groupby(sorted(lines, key=lambda line: line.at_ms), key=lambda line: day_of(line.at_ms)):
        balance_fen = min(closing_fen(of_day, opening_fen=balance_fen), opening_fen)
    return balance_fen


def closing_fen(lines: Iterable[BillLine], *, opening_fen: int) -> int:
    """Return the balance after all lines."""
    return opening_fen + sum(line.sign * (line.amount_fen - line.fee_fen) for line in lines)
