"""Everything the sandbox must remember, in one sqlite3 file: payments, refunds, notifications to send, used nonces.

Guarantees: a method that returns has committed (WAL, so `kill -9` of the process loses nothing that was answered; with
`synchronous=NORMAL` a power cut may lose the last moments, which is right for a sandbox). A payment that is accepted
and its notifications are one transaction. Only one process may hold the file: the second one gets StoreInUse.

Called on the event loop by `api.py`, `pages.py` and `notify.py`; a call takes tens of microseconds, which is cheaper
than handing it to a thread. The tables name the channel of each row, so that further dialects need no further tables.
Times are integer milliseconds since 1970 UTC (`..._ms`); amounts are integer fen.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from server.sandbox.records import (
    Acceptance,
    AlreadyPaid,
    AmountExceeded,
    NewNotification,
    NewPayment,
    Notification,
    NotPaid,
    NumberUsed,
    Payment,
    Refund,
    StoreInUse,
    StoreTooNew,
)

SCHEMA_VERSION = 1
_WAIT_FOR_FILE_SECONDS = 1.0
_NONCE_SWEEP_EVERY_MS = 60_000

_SCHEMA = """
CREATE TABLE payment (
    id INTEGER PRIMARY KEY,
    channel TEXT NOT NULL,
    merchant_id TEXT NOT NULL,
    out_trade_no TEXT NOT NULL,
    token TEXT NOT NULL UNIQUE,
    amount_fen INTEGER NOT NULL CHECK (amount_fen > 0),
    currency TEXT NOT NULL,
    subject TEXT NOT NULL,
    notify_url TEXT NOT NULL,
    return_url TEXT NOT NULL,
    created_at_ms INTEGER NOT NULL,
    expires_at_ms INTEGER NOT NULL,
    state TEXT NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'accepted', 'paid', 'closed')),
    trade_no TEXT UNIQUE,
    payer TEXT,
    paid_at_ms INTEGER,
    answer_delay_ms INTEGER NOT NULL DEFAULT 0,
    refund_delay_ms INTEGER NOT NULL DEFAULT 0,
    UNIQUE (channel, merchant_id, out_trade_no),
    CHECK ((state IN ('accepted', 'paid')) = (trade_no IS NOT NULL AND paid_at_ms IS NOT NULL))
) STRICT;

CREATE TABLE refund (
    id INTEGER PRIMARY KEY,
    payment_id INTEGER NOT NULL REFERENCES payment (id),
    channel TEXT NOT NULL,
    merchant_id TEXT NOT NULL,
    out_refund_no TEXT NOT NULL,
    refund_no TEXT NOT NULL UNIQUE,
    amount_fen INTEGER NOT NULL CHECK (amount_fen > 0),
    reason TEXT NOT NULL,
    created_at_ms INTEGER NOT NULL,
    succeeds_at_ms INTEGER NOT NULL,
    UNIQUE (channel, merchant_id, out_refund_no)
) STRICT;
CREATE INDEX refund_of_payment ON refund (payment_id);

CREATE TABLE notification (
    id INTEGER PRIMARY KEY,
    payment_id INTEGER NOT NULL REFERENCES payment (id),
    channel TEXT NOT NULL,
    event_id TEXT NOT NULL,
    copy INTEGER NOT NULL,
    url TEXT NOT NULL,
    body BLOB NOT NULL,
    wrongly_signed INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('waiting', 'acknowledged', 'given_up', 'dropped', 'void')),
    attempts INTEGER NOT NULL DEFAULT 0,
    due_at_ms INTEGER NOT NULL,
    last_outcome TEXT NOT NULL DEFAULT '',
    UNIQUE (event_id, copy)
) STRICT;
CREATE INDEX notification_due ON notification (due_at_ms, id) WHERE state = 'waiting';
CREATE INDEX notification_of_payment ON notification (payment_id);

CREATE TABLE used_nonce (
    channel TEXT NOT NULL,
    merchant_id TEXT NOT NULL,
    nonce TEXT NOT NULL,
    forget_at_ms INTEGER NOT NULL,
    PRIMARY KEY (channel, merchant_id, nonce)
) STRICT, WITHOUT ROWID;
CREATE INDEX used_nonce_age ON used_nonce (forget_at_ms);
"""


class Store:
    """The sandbox's memory; see the file's docstring for what it guarantees."""

    def __init__(self, path: Path) -> None:
        """Open the file, making it when new. Raises StoreInUse, StoreTooNew, or sqlite3.Error when it is damaged."""
        self._connection = sqlite3.connect(
            path, timeout=_WAIT_FOR_FILE_SECONDS, isolation_level=None, cached_statements=256
        )
        self._connection.row_factory = sqlite3.Row
        self._sweep_nonces_at_ms = 0
        try:
            self._prepare()
        except sqlite3.OperationalError as error:
            self._connection.close()
            if error.sqlite_errorcode == sqlite3.SQLITE_BUSY:
                raise StoreInUse from error
            raise
        except BaseException:
            self._connection.close()
            raise

    def _prepare(self) -> None:
        # Exclusive before WAL: one process owns the file, the lock dies with it, and no shared memory file is needed.
        self._connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = NORMAL")
        self._connection.execute("PRAGMA wal_autocheckpoint = 4000")
        self._connection.execute("PRAGMA foreign_keys = ON")
        with self._transaction():
            version: int = self._connection.execute("PRAGMA user_version").fetchone()[0]
            if version > SCHEMA_VERSION:
                raise StoreTooNew
            if version == 0:
                for statement in _SCHEMA.split(";\n"):
                    self._connection.execute(statement)
                self._connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")

    def close(self) -> None:
        """Write the log back into the file and let go of it."""
        self._connection.close()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")

    # Nonces

    def use_nonce(self, *, channel: str, merchant_id: str, nonce: str, now_ms: int, forget_at_ms: int) -> bool:
        """Remember a nonce until `forget_at_ms`; False when it was used before."""
        with self._transaction():
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
        with self._transaction():
            known = self.find_payment(
                channel=asked.channel, merchant_id=asked.merchant_id, out_trade_no=asked.out_trade_no
            )
            if known is None:
                self._connection.execute(
                    "INSERT INTO payment (channel, merchant_id, out_trade_no, token, amount_fen, currency, subject, "
                    "notify_url, return_url, created_at_ms, expires_at_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    (
                        asked.channel,
                        asked.merchant_id,
                        asked.out_trade_no,
                        token,
                        asked.amount_fen,
                        asked.currency,
                        asked.subject,
                        asked.notify_url,
                        asked.return_url,
                        now_ms,
                        asked.expires_at_ms,
                    ),
                )
        payment = known or self.payment_by_token(token)
        assert payment is not None
        if payment.asked() != asked:
            raise NumberUsed
        return payment

    def find_payment(self, *, channel: str, merchant_id: str, out_trade_no: str) -> Payment | None:
        """Return a merchant's payment by the merchant's number."""
        row = self._connection.execute(
            "SELECT * FROM payment WHERE channel = ? AND merchant_id = ? AND out_trade_no = ?",
            (channel, merchant_id, out_trade_no),
        ).fetchone()
        return Payment(**row) if row else None

    def payment_by_token(self, token: str) -> Payment | None:
        """Return the payment a buyer's page is about."""
        row = self._connection.execute("SELECT * FROM payment WHERE token = ?", (token,)).fetchone()
        return Payment(**row) if row else None

    def accept_payment(
        self, payment: Payment, acceptance: Acceptance, *, notifications: Sequence[NewNotification], now_ms: int
    ) -> bool:
        """Take the buyer's money and queue what the merchant is told about it, together or not at all.

        False, and nothing happens, when the payment is no longer open: paid by another click, closed, or expired.
        """
        with self._transaction():
            taken = self._connection.execute(
                "UPDATE payment SET state = ?, trade_no = ?, payer = ?, paid_at_ms = ?, answer_delay_ms = ?, "
                "refund_delay_ms = ? WHERE id = ? AND state = 'open' AND expires_at_ms > ?",
                (
                    "paid" if acceptance.paid_at_ms <= now_ms else "accepted",
                    acceptance.trade_no,
                    acceptance.payer,
                    acceptance.paid_at_ms,
                    acceptance.answer_delay_ms,
                    acceptance.refund_delay_ms,
                    payment.id,
                    now_ms,
                ),
            )
            if taken.rowcount == 1:
                self._insert_notifications(payment, notifications)
            return taken.rowcount == 1

    def close_payment(self, payment: Payment, *, now_ms: int) -> None:
        """Close a payment that is not paid; money still on its way goes back. Raises AlreadyPaid."""
        with self._transaction():
            closed = self._connection.execute(
                "UPDATE payment SET state = 'closed', trade_no = NULL, paid_at_ms = NULL WHERE id = ? "
                "AND (state IN ('open', 'closed') OR (state = 'accepted' AND paid_at_ms > ?))",
                (payment.id, now_ms),
            )
            if closed.rowcount != 1:
                raise AlreadyPaid
            self._connection.execute(
                "UPDATE notification SET state = 'void' WHERE payment_id = ? AND state = 'waiting'", (payment.id,)
            )

    # Refunds

    def create_refund(
        self, payment: Payment, *, out_refund_no: str, refund_no: str, amount_fen: int, reason: str, now_ms: int
    ) -> Refund:
        """Refund part or all of a payment, or return the refund of the same number.

        Raises NumberUsed (same number, other content), NotPaid, AmountExceeded (all refunds together).
        """
        with self._transaction():
            known = self.find_refund(
                channel=payment.channel, merchant_id=payment.merchant_id, out_refund_no=out_refund_no
            )
            if known is not None:
                if (known.out_trade_no, known.amount_fen, known.reason) != (
                    payment.out_trade_no,
                    amount_fen,
                    reason,
                ):
                    raise NumberUsed
                return known
            current = self.payment_by_token(payment.token)
            if current is None or current.state_at(now_ms) != "paid":
                raise NotPaid
            if self.refunded_fen(payment) + amount_fen > payment.amount_fen:
                raise AmountExceeded
            self._connection.execute(
                "INSERT INTO refund (payment_id, channel, merchant_id, out_refund_no, refund_no, amount_fen, reason, "
                "created_at_ms, succeeds_at_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    payment.id,
                    payment.channel,
                    payment.merchant_id,
                    out_refund_no,
                    refund_no,
                    amount_fen,
                    reason,
                    now_ms,
                    now_ms + payment.refund_delay_ms,
                ),
            )
        refund = self.find_refund(channel=payment.channel, merchant_id=payment.merchant_id, out_refund_no=out_refund_no)
        assert refund is not None
        return refund

    def find_refund(self, *, channel: str, merchant_id: str, out_refund_no: str) -> Refund | None:
        """Return a merchant's refund by the merchant's number."""
        row = self._connection.execute(
            "SELECT refund.out_refund_no, refund.refund_no, payment.out_trade_no, refund.amount_fen, refund.reason, "
            "refund.succeeds_at_ms, payment.answer_delay_ms "
            "FROM refund JOIN payment ON payment.id = refund.payment_id "
            "WHERE refund.channel = ? AND refund.merchant_id = ? AND refund.out_refund_no = ?",
            (channel, merchant_id, out_refund_no),
        ).fetchone()
        return Refund(**row) if row else None

    def refunded_fen(self, payment: Payment) -> int:
        """Return how much of a payment was given back."""
        (refunded,) = self._connection.execute(
            "SELECT COALESCE(SUM(amount_fen), 0) FROM refund WHERE payment_id = ?", (payment.id,)
        ).fetchone()
        return int(refunded)

    # Notifications

    def _insert_notifications(self, payment: Payment, notifications: Sequence[NewNotification]) -> None:
        self._connection.executemany(
            "INSERT INTO notification (payment_id, channel, event_id, copy, url, body, wrongly_signed, state, "
            "due_at_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (
                    payment.id,
                    payment.channel,
                    new.event_id,
                    new.copy,
                    new.url,
                    new.body,
                    int(new.wrongly_signed),
                    "dropped" if new.dropped else "waiting",
                    new.due_at_ms,
                )
                for new in notifications
            ],
        )

    def add_notification(self, payment: Payment, notification: NewNotification) -> None:
        """Queue one more message about a payment."""
        with self._transaction():
            self._insert_notifications(payment, [notification])

    def notifications_of(self, payment: Payment) -> list[Notification]:
        """Return every message about a payment, oldest first."""
        with closing(
            self._connection.execute("SELECT * FROM notification WHERE payment_id = ? ORDER BY id", (payment.id,))
        ) as rows:
            return [Notification(**row) for row in rows]

    def notification(self, notification_id: int) -> Notification | None:
        """Return one message by its row number."""
        row = self._connection.execute("SELECT * FROM notification WHERE id = ?", (notification_id,)).fetchone()
        return Notification(**row) if row else None

    def due_notifications(self, *, now_ms: int, limit: int) -> list[int]:
        """Return the row numbers of messages that should be sent now, the longest due first."""
        rows = self._connection.execute(
            "SELECT id FROM notification WHERE state = 'waiting' AND due_at_ms <= ? ORDER BY due_at_ms, id LIMIT ?",
            (now_ms, limit),
        ).fetchall()
        return [row["id"] for row in rows]

    def next_notification_at_ms(self, *, after_ms: int) -> int | None:
        """Return when the next message after `after_ms` falls due, or None when none is waiting."""
        row = self._connection.execute(
            "SELECT due_at_ms FROM notification WHERE state = 'waiting' AND due_at_ms > ? "
            "ORDER BY due_at_ms, id LIMIT 1",
            (after_ms,),
        ).fetchone()
        return int(row["due_at_ms"]) if row else None

    def record_acknowledged(self, notification_id: int, *, outcome: str) -> None:
        """The merchant has the message."""
        with self._transaction():
            self._connection.execute(
                "UPDATE notification SET state = 'acknowledged', attempts = attempts + 1, last_outcome = ? "
                "WHERE id = ? AND state = 'waiting'",
                (outcome, notification_id),
            )

    def record_refused(self, notification_id: int, *, outcome: str, retry_at_ms: int | None) -> None:
        """The merchant did not acknowledge: try again at `retry_at_ms`, or give up when that is None."""
        with self._transaction():
            self._connection.execute(
                "UPDATE notification SET attempts = attempts + 1, last_outcome = ?, "
                "state = CASE WHEN ? IS NULL THEN 'given_up' ELSE state END, due_at_ms = COALESCE(?, due_at_ms) "
                "WHERE id = ? AND state = 'waiting'",
                (outcome, retry_at_ms, retry_at_ms, notification_id),
            )
