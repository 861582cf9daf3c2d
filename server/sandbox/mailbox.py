"""The notifications of every channel: queued, due, held back, delivered, given up. Over the `Database`.

Written by `engine.py`, emptied by `notify.py`. A message that has an `after_id` waits until that one was tried once.
"""

from collections.abc import Sequence
from contextlib import closing

from server.sandbox.database import Database
from server.sandbox.records import NewNotification, Notification, Payment


class Mailbox:
    """Messages to merchants. A method that returns has committed, unless its caller's transaction goes on."""

    def __init__(self, database: Database) -> None:
        """Read and write `database`."""
        self._database = database
        self._connection = database.connection

    def add(self, payment: Payment, notifications: Sequence[NewNotification]) -> None:
        """Queue messages about a payment."""
        with self._database.transaction():
            self._connection.executemany(
                "INSERT INTO notification (payment_id, refund_id, channel, merchant_id, out_trade_no, event_id, copy, "
                "url, body, signing, state, due_at_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [
                    (
                        payment.id,
                        new.refund_id,
                        payment.channel,
                        payment.merchant_id,
                        payment.out_trade_no,
                        new.event_id,
                        new.copy,
                        new.url,
                        new.body,
                        new.signing,
                        new.state,
                        new.due_at_ms,
                    )
                    for new in notifications
                ],
            )

    def of(self, payment: Payment) -> list[Notification]:
        """Return every message about a payment, oldest first."""
        with closing(
            self._connection.execute("SELECT * FROM notification WHERE payment_id = ? ORDER BY id", (payment.id,))
        ) as rows:
            return [Notification(**row) for row in rows]

    def get(self, notification_id: int) -> Notification | None:
        """Return one message by its row number."""
        row = self._connection.execute("SELECT * FROM notification WHERE id = ?", (notification_id,)).fetchone()
        return Notification(**row) if row else None

    def recent(self, *, limit: int) -> list[Notification]:
        """Return the messages queued last, newest first."""
        rows = self._connection.execute("SELECT * FROM notification ORDER BY id DESC LIMIT ?", (limit,)).fetchall()
        return [Notification(**row) for row in rows]

    def last_copy(self, event_id: str) -> int:
        """Return the number of the last copy of an event."""
        (copy,) = self._connection.execute(
            "SELECT COALESCE(MAX(copy), 0) FROM notification WHERE event_id = ?", (event_id,)
        ).fetchone()
        return int(copy)

    def void(self, payment: Payment) -> None:
        """Take back what was not sent yet about a payment."""
        with self._database.transaction():
            self._connection.execute(
                "UPDATE notification SET state = 'void' WHERE payment_id = ? AND state IN ('waiting', 'held')",
                (payment.id,),
            )
            self._connection.execute(
                "UPDATE notification SET after_id = NULL WHERE after_id IN "
                "(SELECT id FROM notification WHERE payment_id = ? AND state = 'void')",
                (payment.id,),
            )

    def release(self, *, channel: str, merchant_id: str, at_least: int, now_ms: int) -> None:
        """Once so many messages to a merchant are held back, send them one after the other, the newest first."""
        with self._database.transaction():
            rows = self._connection.execute(
                "SELECT id FROM notification WHERE state = 'held' AND channel = ? AND merchant_id = ? ORDER BY id DESC",
                (channel, merchant_id),
            ).fetchall()
            if len(rows) < at_least:
                return
            before = None
            for (notification_id,) in rows:
                self._connection.execute(
                    "UPDATE notification SET state = 'waiting', due_at_ms = ?, after_id = ? WHERE id = ?",
                    (now_ms, before, notification_id),
                )
                before = notification_id

    def due(self, *, now_ms: int, limit: int) -> list[int]:
        """Return the row numbers of messages that should be sent now, the longest due first."""
        rows = self._connection.execute(
            "SELECT id FROM notification WHERE state = 'waiting' AND after_id IS NULL AND due_at_ms <= ? "
            "ORDER BY due_at_ms, id LIMIT ?",
            (now_ms, limit),
        ).fetchall()
        return [row["id"] for row in rows]

    def next_at_ms(self, *, after_ms: int) -> int | None:
        """Return when the next message after `after_ms` falls due, or None when none is waiting."""
        row = self._connection.execute(
            "SELECT due_at_ms FROM notification WHERE state = 'waiting' AND after_id IS NULL AND due_at_ms > ? "
            "ORDER BY due_at_ms, id LIMIT 1",
            (after_ms,),
        ).fetchone()
        return int(row["due_at_ms"]) if row else None

    def record_acknowledged(self, notification_id: int, *, outcome: str) -> None:
        """The merchant has the message."""
        with self._database.transaction():
            self._connection.execute(
                "UPDATE notification SET state = 'acknowledged', attempts = attempts + 1, last_outcome = ? "
                "WHERE id = ? AND state = 'waiting'",
                (outcome, notification_id),
            )
            self._let_next_go(notification_id)

    def record_refused(self, notification_id: int, *, outcome: str, retry_at_ms: int | None) -> None:
        """The merchant did not acknowledge: try again at `retry_at_ms`, or give up when that is None."""
        with self._database.transaction():
            self._connection.execute(
                "UPDATE notification SET attempts = attempts + 1, last_outcome = ?, "
                "state = CASE WHEN ? IS NULL THEN 'given_up' ELSE state END, due_at_ms = COALESCE(?, due_at_ms) "
                "WHERE id = ? AND state = 'waiting'",
                (outcome, retry_at_ms, retry_at_ms, notification_id),
            )
            self._let_next_go(notification_id)

    def _let_next_go(self, notification_id: int) -> None:
        self._connection.execute("UPDATE notification SET after_id = NULL WHERE after_id = ?", (notification_id,))
