"""Bills of channels, opened: whose they are and of which day, their rows, and the control figures that all must hold.

Whatever a channel writes comes out as the rows of `bill_rows`. Rows count only when the last one has been read, for the
totals stand behind them: who uses them before must be able to take it back. Everything here raises UnreadableBill.
"""

from __future__ import annotations

import io
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date
from itertools import chain
from typing import BinaryIO, TypeVar

from server.gateways import bill_alipay, bill_wechat
from server.gateways.bill_rows import (
    BillHead,
    FundRow,
    MissingColumn,
    NotABill,
    Total,
    TradeRow,
    UnreadableBill,
    WrongDay,
    WrongMerchant,
    merchant,
)
from server.gateways.bill_streams import Lines, members_of
from server.gateways.port import Bill, BillKind, PaymentFact
from shared.money import Fen

__all__ = ["BillPayment", "OpenBill", "UnreadableBill", "opened", "opened_bill", "payments_of", "sniff"]

Row = TypeVar("Row", TradeRow, FundRow)
_TradeReaders = (bill_wechat.TradeReader, bill_alipay.TradeReader)
_Reader = bill_wechat.TradeReader | bill_alipay.TradeReader | bill_wechat.FundReader | bill_alipay.FundReader


class OpenBill:
    """One bill, to be read once, from its first row to its last; `rows` counts them."""

    def __init__(self, lines: Lines, reader: _Reader) -> None:
        self._lines, self._reader = lines, reader
        self.rows = 0

    @property
    def head(self) -> BillHead:
        """What it says of itself."""
        return self._reader.head

    @property
    def totals(self) -> Sequence[Total]:
        """The control figures, which hold; none before the last row was read."""
        return self._reader.totals

    @property
    def sha1(self) -> str:
        """Of the unpacked file with the rows, as WeChat Pay states it; after the last row."""
        return self._lines.sha1

    @property
    def sha256(self) -> str:
        """Of the unpacked file with the rows; after the last row."""
        return self._lines.sha256

    @property
    def size(self) -> int:
        """Bytes of the unpacked file with the rows; after the last row."""
        return self._lines.size

    def require(
        self, *, channel: str, kind: BillKind | None = None, day: date | None = None, merchant_id: str | None = None
    ) -> None:
        """Raise WrongMerchant or WrongDay unless it is the bill that is wanted, as far as it says what it is."""
        head = self.head
        if head.channel != channel or (merchant_id and head.merchant_id not in {None, merchant_id}):
            raise WrongMerchant(found=merchant(head.channel, head.merchant_id), wanted=merchant(channel, merchant_id))
        if (kind and head.kind != kind) or (day and head.day not in {None, day}):
            wanted = f"{day or head.day} ({kind or head.kind})"
            raise WrongDay(found=f"{head.day or day} ({head.kind})", wanted=wanted)

    def trades(self) -> Iterator[TradeRow]:
        """The rows of a trade bill. Raises UnreadableBill, also behind the last one."""
        if not isinstance(self._reader, _TradeReaders):
            raise MissingColumn(bill_wechat.TRADES_BEGIN)
        return chain.from_iterable(self._counted(self._reader.rows()))

    def funds(self) -> Iterator[FundRow]:
        """The rows of a fund bill. Raises UnreadableBill, also behind the last one."""
        if isinstance(self._reader, _TradeReaders):
            raise MissingColumn(bill_wechat.FUNDS_BEGIN)
        return chain.from_iterable(self._counted(self._reader.rows()))

    def _counted(self, blocks: Iterator[list[Row]]) -> Iterator[list[Row]]:
        for block in blocks:
            self.rows += len(block)
            yield block


def opened(file: BinaryIO, name: str) -> OpenBill:
    """The bill in a file that can be searched (plain, gzip, zip), which stays open while it is read.

    It is a file of WeChat Pay alone, or a detail of Alipay with its summary, where that is there.
    """
    detail: Lines | None = None
    summary: bill_alipay.Summary | None = None
    for member in members_of(file, name):
        lines = Lines(member)
        begins = lines.begins
        if begins.startswith(bill_wechat.TRADES_BEGIN):
            return OpenBill(lines, bill_wechat.TradeReader(lines.blocks()))
        if begins.startswith(bill_wechat.FUNDS_BEGIN):
            return OpenBill(lines, bill_wechat.FundReader(lines.blocks()))
        if not begins.startswith(bill_alipay.BEGIN):
            continue
        if bill_alipay.SUMMARY in begins:
            summary = bill_alipay.Summary(lines.blocks())
        else:
            detail = lines
    if detail is None:
        raise NotABill(name)
    is_trades = bill_alipay.TRADES_TITLE in detail.begins
    reader = bill_alipay.TradeReader if is_trades else bill_alipay.FundReader
    return OpenBill(detail, reader(detail.blocks(), summary))


def opened_bill(bill: Bill) -> OpenBill:
    """A bill as a gateway fetched it. Raises WrongMerchant or WrongDay where it is of another channel, kind or day."""
    found = opened(io.BytesIO(bill.content), bill.name)
    found.require(channel=bill.channel, kind=bill.kind, day=bill.day)
    return found


def sniff(file: BinaryIO, name: str) -> BillHead:
    """What a dropped file is. Reads its beginning only."""
    return opened(file, name).head


# --- payments alone ---


@dataclass(frozen=True, slots=True)
class BillPayment:
    """One payment as the bill books it; its fee is never negative."""

    fact: PaymentFact
    fee_fen: Fen


def payments_of(bill: Bill) -> Iterator[BillPayment]:
    """All payments of a trade bill, in its order; those that were undone are none. Raises UnreadableBill.

    It is read to its end before, for its totals: a day of a million payments is not held for that.
    """
    deque(opened_bill(bill).trades(), maxlen=0)
    opened = opened_bill(bill)
    merchant_id = opened.head.merchant_id or ""
    rows = (row for row in opened.trades() if row.state == "paid")
    return (BillPayment(_fact(row, bill.channel, merchant_id), abs(row.fee_fen)) for row in rows)


def _fact(row: TradeRow, channel: str, merchant_id: str) -> PaymentFact:
    return PaymentFact(
        channel=channel,
        out_trade_no=row.out_trade_no,
        provider_no=row.provider_no,
        merchant_id=merchant_id,
        amount_fen=row.amount_fen,
        currency=row.currency,
        state="paid",
        paid_at=row.at.astimezone(UTC),
        event_id=None,
        app_id=row.app_id or None,
    )
