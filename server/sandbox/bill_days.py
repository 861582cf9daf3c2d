"""Which lines a merchant's bill of a day has: what really happened in the sandbox, and the differences testers planted.

Planted differences are kept in the `Database` and hold until they are taken back; they hold for the bill of trades and
for that of the account alike. A bill can be had from ten the next morning by the sandbox's clock, or at once when the
fault `bill_at_once` is ordered. Used by the dialects that have bills and by `bill_panel.py`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from server.sandbox.bills import (
    BillLine,
    Difference,
    closing_fen,
    left_fen,
    lines_before,
    lines_of,
    with_differences,
    with_fees_returned,
    withdrawal,
)
from server.sandbox.engine import Engine
from server.sandbox.faults import About
from server.sandbox.moments import BEIJING
from server.sandbox.records import Movement

OPENING_FEN = 10_000_000
"""What a merchant's account held before its first payment. What there is beyond it is withdrawn at the end of a day."""
_READY_AT = time(10)


@dataclass(frozen=True, slots=True)
class BillOfDay:
    """The lines of one day, what the account held before them, and the withdrawal behind them, if any."""

    lines: Sequence[BillLine]
    opening_fen: int
    withdrawals: Sequence[BillLine]


@dataclass(frozen=True, slots=True)
class Planted:
    """A difference in the bills of one merchant of one channel."""

    id: int
    channel: str
    merchant_id: str
    difference: Difference


class BillDays:
    """The bills' lines, and the differences planted in them."""

    def __init__(self, engine: Engine) -> None:
        """Read what `engine` keeps."""
        self._engine = engine
        self._connection = engine.database.connection

    def of(self, channel: str, merchant_id: str, day: date) -> BillOfDay:
        """Return a merchant's lines of a day."""
        lines = self._lines(channel, merchant_id)
        opening_fen, of_day = left_fen(lines_before(lines, day), opening_fen=OPENING_FEN), lines_of(lines, day)
        beyond_fen = closing_fen(of_day, opening_fen=opening_fen) - OPENING_FEN
        return BillOfDay(of_day, opening_fen, [withdrawal(day, beyond_fen)] if beyond_fen > 0 else [])

    def is_made(self, about: About, day: date) -> bool:
        """Whether the bill of a day can be had now."""
        ready = datetime.combine(day + timedelta(days=1), _READY_AT, BEIJING)
        if self._engine.clock_ms(about) >= int(ready.timestamp()) * 1000:
            return True
        return self._engine.faults.flag("bill_at_once", about)

    def sent(self, about: About, file: bytes) -> bytes:
        """Return the file of a bill as it is sent: cut off where that is ordered."""
        return file[: len(file) // 2] if self._engine.faults.flag("bill_damaged", about) else file

    def _lines(self, channel: str, merchant_id: str) -> list[BillLine]:
        everything = self._engine.store.movements(channel=channel, merchant_id=merchant_id, from_ms=0, until_ms=2**62)
        lines = with_fees_returned(_line(movement) for movement in everything if _counts(movement))
        numbers = {line.number for line in lines}
        planted = (one.difference for one in self.planted() if (one.channel, one.merchant_id) == (channel, merchant_id))
        return with_differences(lines, [one for one in planted if one.kind == "extra" or one.number in numbers])

    # Differences

    def planted(self) -> list[Planted]:
        """Return every difference that holds, oldest first."""
        return [
            Planted(
                row["id"],
                row["channel"],
                row["merchant_id"],
                Difference(
                    kind=row["kind"],
                    number=row["number"],
                    amount_fen=row["amount_fen"],
                    day=date.fromisoformat(row["day"]) if row["day"] else None,
                ),
            )
            for row in self._connection.execute("SELECT * FROM bill_difference ORDER BY id").fetchall()
        ]

    def plant(self, channel: str, merchant_id: str, difference: Difference) -> Planted:
        """Let a difference hold from now on. Raises NoSuchLine when it is about a line that is not there."""
        with_differences(self._lines(channel, merchant_id), [difference])
        day = difference.day.isoformat() if difference.day else None
        with self._engine.database.transaction():
            added = self._connection.execute(
                "INSERT INTO bill_difference (channel, merchant_id, kind, number, amount_fen, day) "
                "VALUES (?, ?, ?, ?, ?, ?)",
                (channel, merchant_id, difference.kind, difference.number, difference.amount_fen, day),
            )
        assert added.lastrowid is not None
        return Planted(added.lastrowid, channel, merchant_id, difference)

    def take_back(self, planted_id: int | None = None) -> None:
        """End one difference, or all."""
        with self._engine.database.transaction():
            self._connection.execute("DELETE FROM bill_difference WHERE ? IS NULL OR id = ?", (planted_id, planted_id))


def _counts(movement: Movement) -> bool:
    """A refund that was closed moved nothing in the end."""
    return movement.refund is None or movement.refund.outcome != "closed"


def _line(movement: Movement) -> BillLine:
    payment, refund = movement.payment, movement.refund
    assert payment.trade_no is not None
    succeeded = refund is not None and refund.outcome == "succeeded"
    return BillLine(
        kind="payment" if refund is None else "refund",
        at_ms=movement.at_ms,
        created_at_ms=payment.created_at_ms,
        provider_no=payment.trade_no,
        out_trade_no=payment.out_trade_no,
        amount_fen=refund.amount_fen if refund is not None else payment.paid_fen or 0,
        fee_fen=0,
        subject=payment.subject,
        app_id=payment.app_id,
        product=payment.product,
        payer=payment.payer or "",
        refund_no=refund.refund_no if refund is not None else "",
        out_refund_no=refund.out_refund_no if refund is not None else "",
        ends_at_ms=refund.final_at_ms if refund is not None and succeeded else None,
        reason=refund.reason if refund is not None else "",
    )
