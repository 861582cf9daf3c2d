"""Payments, refunds and used nonces of every channel, over the `Database`.

Guarantees: a method that returns has committed, unless it was called inside a transaction of its caller. The tables
name the channel of each row, so that further dialects need no further tables. Called on the event loop; a call takes
tens of microseconds, which is cheaper than handing it to a thread.
"""

import json
from dataclasses import asdict

from server.sandbox.database import Database
from server.sandbox.records import (
    Acceptance,
    AlreadyPaid,
    AmountExceeded,
    Movement,
    NewPayment,
    NewRefund,
    NotPaid,
    NumberUsed,
    Payment,
    Refund,
)

_NONCE_SWEEP_EVERY_MS = 60_000
_REFUND = "SELECT refund.*, payment.out_trade_no FROM refund JOIN payment ON payment.id = refund.payment_id "


class Store:
    """What the sandbox knows of money; see the file's docstring for what it guarantees."""

    def __init__(self, database: Database) -> None:
        """Read and write `database`."""
        self._database = database
        self._connection = database.connection
        self._sweep_nonces_at_ms = 0

    def use_nonce(self, *, channel: str, merchant_id: str, nonce: str, now_ms: int, forget_at_ms: int) -> bool:
        """Remember a nonce until `forget_at_ms`; False when it was used before."""
        with self._database.transaction():
            if now_ms >= self._sweep_nonces_at_ms:
                self._connection.execute("DELETE FROM used_nonce WHERE forget_at_ms < ?", (now_ms,))
                self._sweep_nonces_at_ms = now_ms + _NONCE_SWEEP_EVERY_MS
            added = self._connection.execute(
                "INSERT INTO used_nonce (channel, merchant_id, nonce, forget_at_ms) VALUES (?, ?, ?, ?) "
                "ON CONFLICT DO NOTHING",
                (channel, merchant_id, nonce, forget_at_ms),
            )
            return added.rowcount == 1

    # Payments

    def create_payment(self, asked: NewPayment, *, token: str, now_ms: int) -> Payment:
        """Create a payment, or return the one of the same number. Raises NumberUsed when its content differs."""
        with self._database.transaction():
            known = self.find_payment(
                channel=asked.channel, merchant_id=asked.merchant_id, out_trade_no=asked.out_trade_no
            )
            if known is None:
                return self._insert(asdict(asked) | {"token": token, "created_at_ms": now_ms, "opened_at_ms": now_ms})
            if known.asked() != asked:
                raise NumberUsed
            return self._changed(known, opened_at_ms=now_ms)

    def find_payment(self, *, channel: str, merchant_id: str, out_trade_no: str) -> Payment | None:
        """Return a merchant's payment by the merchant's number: the first, where it was paid twice."""
        return self._payment(
            "channel = ? AND merchant_id = ? AND out_trade_no = ? AND repeat = 0", channel, merchant_id, out_trade_no
        )

    def payment_by_token(self, token: str) -> Payment | None:
        """Return the payment a buyer's page is about."""
        return self._payment("token = ?", token)

    def payment_by_trade_no(self, *, channel: str, merchant_id: str, trade_no: str) -> Payment | None:
        """Return a merchant's payment by the channel's number."""
        return self._payment("channel = ? AND merchant_id = ? AND trade_no = ?", channel, merchant_id, trade_no)

    def payment(self, payment_id: int) -> Payment:
        """Return the payment of a row that refers to it."""
        payment = self._payment("id = ?", payment_id)
        assert payment is not None
        return payment

    def payments_like(
        self, *, channel: str = "", merchant_id: str = "", out_trade_no: str = "", limit: int
    ) -> list[Payment]:
        """Return payments, newest first; an empty word means any."""
        rows = self._connection.execute(
            "SELECT * FROM payment WHERE ? IN ('', channel) AND ? IN ('', merchant_id) AND ? IN ('', out_trade_no) "
            "ORDER BY id DESC LIMIT ?",
            (channel, merchant_id, out_trade_no, limit),
        ).fetchall()
        return [Payment(**row) for row in rows]

    def accept_payment(self, payment: Payment, acceptance: Acceptance, *, now_ms: int, late: bool = False) -> bool:
        """Take the buyer's money; `late` takes it although the payment expired or was closed.

        False, and nothing happens, when the payment is no longer open: paid by another click, closed, or expired.
        """
        with self._database.transaction():
            taken = self._connection.execute(
                "UPDATE payment SET state = ?, trade_no = ?, payer = ?, paid_at_ms = ?, paid_fen = ?, payer_fen = ?, "
                "scanned_at_ms = COALESCE(scanned_at_ms, ?) WHERE id = ? "
                "AND ((state = 'open' AND expires_at_ms > ?) OR (? AND state IN ('open', 'closed')))",
                (
                    "paid" if acceptance.paid_at_ms <= now_ms else "accepted",
                    acceptance.trade_no,
                    acceptance.payer,
                    acceptance.paid_at_ms,
                    acceptance.paid_fen,
                    acceptance.payer_fen,
                    now_ms,
                    payment.id,
                    now_ms,
                    late,
                ),
            )
            return taken.rowcount == 1

    def repeat_payment(self, payment: Payment, acceptance: Acceptance, *, token: str, now_ms: int) -> Payment:
        """Take money for the same number once more: a second row with the channel's next number."""
        with self._database.transaction():
            (repeat,) = self._connection.execute(
                "SELECT MAX(repeat) + 1 FROM payment WHERE channel = ? AND merchant_id = ? AND out_trade_no = ?",
                (payment.channel, payment.merchant_id, payment.out_trade_no),
            ).fetchone()
            moments = {"created_at_ms": now_ms, "opened_at_ms": payment.opened_at_ms, "scanned_at_ms": now_ms}
            again = {"repeat": repeat, "token": token, "state": "paid"}
            return self._insert(asdict(payment.asked()) | moments | again | asdict(acceptance))

    def close_payment(self, payment: Payment, *, now_ms: int) -> None:
        """Close a payment that is not paid; money still on its way goes back. Raises AlreadyPaid."""
        with self._database.transaction():
            closed = self._connection.execute(
                "UPDATE payment SET state = 'closed', trade_no = NULL, paid_at_ms = NULL, paid_fen = NULL, "
                "payer_fen = NULL WHERE id = ? "
                "AND (state IN ('open', 'closed') OR (state = 'accepted' AND paid_at_ms > ?))",
                (payment.id, now_ms),
            )
            if closed.rowcount != 1:
                raise AlreadyPaid

    def mark_scanned(self, payment: Payment, *, now_ms: int) -> Payment:
        """Remember when the buyer first saw the payment's page."""
        return payment if payment.scanned_at_ms is not None else self._changed(payment, scanned_at_ms=now_ms)

    def change_return_url(self, payment: Payment, return_url: str) -> Payment:
        """Remember where this buyer goes back to; for channels that are told so in the page's address."""
        return self._changed(payment, return_url=return_url)

    def _changed(self, payment: Payment, **values: object) -> Payment:
        columns = ", ".join(f"{name} = ?" for name in values)
        with self._database.transaction():
            self._connection.execute(
                f"UPDATE payment SET {columns} WHERE id = ?",  # noqa: S608 - names of our own columns
                (*values.values(), payment.id),
            )
        return self.payment(payment.id)

    def _insert(self, values: dict[str, object]) -> Payment:
        columns, marks = ", ".join(values), ", ".join("?" * len(values))
        added = self._connection.execute(
            f"INSERT INTO payment ({columns}) VALUES ({marks})",  # noqa: S608 - names of our own columns
            tuple(values.values()),
        )
        assert added.lastrowid is not None
        return self.payment(added.lastrowid)

    def _payment(self, where: str, *values: object) -> Payment | None:
        row = self._connection.execute(
            f"SELECT * FROM payment WHERE {where}",  # noqa: S608 - conditions of our own
            values,
        ).fetchone()
        return Payment(**row) if row else None

    # Refunds

    def create_refund(self, payment: Payment, wanted: NewRefund, *, now_ms: int) -> Refund:
        """Refund part or all of a payment, or return the refund of the same number.

        Raises NumberUsed (same number, other content), NotPaid, AmountExceeded (all refunds together).
        """
        with self._database.transaction():
            known = self.find_refund(
                channel=payment.channel, merchant_id=payment.merchant_id, out_refund_no=wanted.out_refund_no
            )
            if known is not None:
                if (known.payment_id, known.amount_fen, known.reason) != (payment.id, wanted.amount_fen, wanted.reason):
                    raise NumberUsed
                return known
            current = self.payment(payment.id)
            if current.state_at(now_ms) != "paid":
                raise NotPaid
            if self.refunded_fen(payment) + wanted.amount_fen > (current.paid_fen or 0):
                raise AmountExceeded
            owner = {"payment_id": payment.id, "channel": payment.channel, "merchant_id": payment.merchant_id}
            values = owner | {"created_at_ms": now_ms} | asdict(wanted)
            columns, marks = ", ".join(values), ", ".join("?" * len(values))
            self._connection.execute(
                f"INSERT INTO refund ({columns}) VALUES ({marks})",  # noqa: S608 - names of our own columns
                tuple(values.values()),
            )
            made = self.find_refund(
                channel=payment.channel, merchant_id=payment.merchant_id, out_refund_no=wanted.out_refund_no
            )
        assert made is not None
        return made

    def find_refund(self, *, channel: str, merchant_id: str, out_refund_no: str) -> Refund | None:
        """Return a merchant's refund by the merchant's number."""
        return self._refund(
            "refund.channel = ? AND refund.merchant_id = ? AND out_refund_no = ?", channel, merchant_id, out_refund_no
        )

    def refund_by_refund_no(self, *, channel: str, merchant_id: str, refund_no: str) -> Refund | None:
        """Return a merchant's refund by the channel's number."""
        return self._refund(
            "refund.channel = ? AND refund.merchant_id = ? AND refund_no = ?", channel, merchant_id, refund_no
        )

    def refunds_of(self, payment: Payment) -> list[Refund]:
        """Return the refunds of a payment, oldest first."""
        rows = self._connection.execute(f"{_REFUND} WHERE payment_id = ? ORDER BY refund.id", (payment.id,)).fetchall()
        return [Refund(**row) for row in rows]

    def refunded_fen(self, payment: Payment) -> int:
        """Return how much of a payment was given back, or is on its way; what was closed stays with the merchant."""
        (refunded,) = self._connection.execute(
            "SELECT COALESCE(SUM(amount_fen), 0) FROM refund WHERE payment_id = ? AND outcome != 'closed'",
            (payment.id,),
        ).fetchone()
        return int(refunded)

    def end_refund(self, refund: Refund, outcome: str, *, at_ms: int) -> Refund:
        """Let a refund that came to nothing end another way, at a moment."""
        with self._database.transaction():
            self._connection.execute(
                "UPDATE refund SET outcome = ?, final_at_ms = ? WHERE id = ?", (outcome, at_ms, refund.id)
            )
        ended = self._refund("refund.id = ?", refund.id)
        assert ended is not None
        return ended

    def _refund(self, where: str, *values: object) -> Refund | None:
        row = self._connection.execute(f"{_REFUND} WHERE {where}", values).fetchone()
        return Refund(**row) if row else None

    # Bills

    def movements(self, *, channel: str, merchant_id: str, from_ms: int, until_ms: int) -> list[Movement]:
        """Return what bills of a period list: payments by when they were paid, refunds by when they were accepted."""
        period = (channel, merchant_id, from_ms, until_ms)
        paid = self._connection.execute(
            "SELECT * FROM payment WHERE channel = ? AND merchant_id = ? AND paid_at_ms >= ? AND paid_at_ms < ?", period
        ).fetchall()
        refunded = self._connection.execute(
            f"{_REFUND} WHERE refund.channel = ? AND refund.merchant_id = ? "
            "AND refund.created_at_ms >= ? AND refund.created_at_ms < ?",
            period,
        ).fetchall()
        moved = [Movement(row["paid_at_ms"], Payment(**row)) for row in paid]
        for row in refunded:
            refund = Refund(**row)
            moved.append(Movement(refund.created_at_ms, self.payment(refund.payment_id), refund))
        return sorted(moved, key=lambda movement: movement.at_ms)


def extra_of(record: Payment | Refund) -> dict[str, object]:
    """Return what only the channel knows of a record."""
    read: dict[str, object] = json.loads(record.extra)
    return read
