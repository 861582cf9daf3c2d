"""The sandbox's one sqlite3 file: who holds it, its tables, its transactions. Used by `store.py` and those beside it.

Guarantees: what a transaction wrote is there after it ended (WAL, so `kill -9` of the process loses nothing that was
answered; with `synchronous=NORMAL` a power cut may lose the last moments, which is right for a sandbox). Only one
process may hold the file: the second one gets StoreInUse.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from server.sandbox.records import StoreInUse, StoreTooNew

SCHEMA_VERSION = 2
_WAIT_FOR_FILE_SECONDS = 1.0

_SCHEMA = """
CREATE TABLE payment (
    id INTEGER PRIMARY KEY,
    channel TEXT NOT NULL,
    merchant_id TEXT NOT NULL,
    app_id TEXT NOT NULL DEFAULT '',
    product TEXT NOT NULL DEFAULT 'page',
    out_trade_no TEXT NOT NULL,
    repeat INTEGER NOT NULL DEFAULT 0,
    token TEXT NOT NULL UNIQUE,
    amount_fen INTEGER NOT NULL CHECK (amount_fen > 0),
    currency TEXT NOT NULL,
    subject TEXT NOT NULL,
    notify_url TEXT NOT NULL,
    return_url TEXT NOT NULL,
    created_at_ms INTEGER NOT NULL,
    opened_at_ms INTEGER NOT NULL,
    expires_at_ms INTEGER NOT NULL,
    scanned_at_ms INTEGER,
    state TEXT NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'accepted', 'paid', 'closed')),
    trade_no TEXT UNIQUE,
    payer TEXT,
    paid_at_ms INTEGER,
    paid_fen INTEGER,
    payer_fen INTEGER,
    extra TEXT NOT NULL DEFAULT '{}',
    UNIQUE (channel, merchant_id, out_trade_no, repeat),
    CHECK ((state IN ('accepted', 'paid')) = (trade_no IS NOT NULL AND paid_at_ms IS NOT NULL))
) STRICT;
CREATE INDEX payment_paid ON payment (channel, merchant_id, paid_at_ms) WHERE paid_at_ms IS NOT NULL;

CREATE TABLE refund (
    id INTEGER PRIMARY KEY,
    payment_id INTEGER NOT NULL REFERENCES payment (id),
    channel TEXT NOT NULL,
    merchant_id TEXT NOT NULL,
    out_refund_no TEXT NOT NULL,
    refund_no TEXT NOT NULL UNIQUE,
    amount_fen INTEGER NOT NULL CHECK (amount_fen > 0),
    reason TEXT NOT NULL,
    notify_url TEXT NOT NULL DEFAULT '',
    created_at_ms INTEGER NOT NULL,
    final_at_ms INTEGER NOT NULL,
    outcome TEXT NOT NULL DEFAULT 'succeeded' CHECK (outcome IN ('succeeded', 'abnormal', 'closed')),
    extra TEXT NOT NULL DEFAULT '{}',
    UNIQUE (channel, merchant_id, out_refund_no)
) STRICT;
CREATE INDEX refund_of_payment ON refund (payment_id);
CREATE INDEX refund_made ON refund (channel, merchant_id, created_at_ms);

CREATE TABLE notification (
    id INTEGER PRIMARY KEY,
    payment_id INTEGER NOT NULL REFERENCES payment (id),
    refund_id INTEGER REFERENCES refund (id),
    channel TEXT NOT NULL,
    merchant_id TEXT NOT NULL,
    out_trade_no TEXT NOT NULL,
    event_id TEXT NOT NULL,
    copy INTEGER NOT NULL,
    url TEXT NOT NULL,
    body BLOB NOT NULL,
    signing TEXT NOT NULL DEFAULT 'right',
    state TEXT NOT NULL CHECK (state IN ('waiting', 'held', 'acknowledged', 'given_up', 'dropped', 'void')),
    attempts INTEGER NOT NULL DEFAULT 0,
    due_at_ms INTEGER NOT NULL,
    after_id INTEGER,
    last_outcome TEXT NOT NULL DEFAULT '',
    UNIQUE (event_id, copy)
) STRICT;
CREATE INDEX notification_due ON notification (due_at_ms, id) WHERE state = 'waiting' AND after_id IS NULL;
CREATE INDEX notification_after ON notification (after_id) WHERE after_id IS NOT NULL;
CREATE INDEX notification_of_payment ON notification (payment_id);

CREATE TABLE fault (
    id INTEGER PRIMARY KEY,
    channel TEXT NOT NULL,
    merchant_id TEXT NOT NULL,
    out_trade_no TEXT NOT NULL,
    call TEXT NOT NULL,
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    times_left INTEGER CHECK (times_left > 0)
) STRICT;

CREATE TABLE bill_difference (
    id INTEGER PRIMARY KEY,
    channel TEXT NOT NULL,
    merchant_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    number TEXT NOT NULL,
    amount_fen INTEGER,
    day TEXT
) STRICT;

CREATE TABLE used_nonce (
    channel TEXT NOT NULL,
    merchant_id TEXT NOT NULL,
    nonce TEXT NOT NULL,
    forget_at_ms INTEGER NOT NULL,
    PRIMARY KEY (channel, merchant_id, nonce)
) STRICT, WITHOUT ROWID;
CREATE INDEX used_nonce_age ON used_nonce (forget_at_ms);
"""

# Version 1 knew one channel and kept delays in the payment; its rows move into the tables above.
_FROM_VERSION_1 = """
INSERT INTO payment (id, channel, merchant_id, out_trade_no, token, amount_fen, currency, subject, notify_url,
    return_url, created_at_ms, opened_at_ms, expires_at_ms, state, trade_no, payer, paid_at_ms, paid_fen, payer_fen)
    SELECT id, channel, merchant_id, out_trade_no, token, amount_fen, currency, subject, notify_url, return_url,
    created_at_ms, created_at_ms, expires_at_ms, state, trade_no, payer, paid_at_ms,
    CASE WHEN trade_no IS NULL THEN NULL ELSE amount_fen END, CASE WHEN trade_no IS NULL THEN NULL ELSE amount_fen END
    FROM old_payment;
INSERT INTO refund (id, payment_id, channel, merchant_id, out_refund_no, refund_no, amount_fen, reason, created_at_ms,
    final_at_ms)
    SELECT id, payment_id, channel, merchant_id, out_refund_no, refund_no, amount_fen, reason, created_at_ms,
    succeeds_at_ms FROM old_refund;
INSERT INTO notification (id, payment_id, channel, merchant_id, out_trade_no, event_id, copy, url, body, signing,
    state, attempts, due_at_ms, last_outcome)
    SELECT old.id, payment_id, old.channel, merchant_id, out_trade_no, event_id, copy, url, body,
    CASE wrongly_signed WHEN 0 THEN 'right' ELSE 'wrong' END, old.state, attempts, due_at_ms, last_outcome
    FROM old_notification AS old JOIN payment ON payment.id = old.payment_id;
INSERT INTO used_nonce SELECT * FROM old_used_nonce
"""
_TABLES_OF_VERSION_1 = ("notification", "refund", "payment", "used_nonce")


class Database:
    """The open file. Everything here runs on one thread."""

    def __init__(self, path: Path) -> None:
        """Open the file, making it when new. Raises StoreInUse, StoreTooNew, or sqlite3.Error when it is damaged."""
        self.connection = sqlite3.connect(
            path, timeout=_WAIT_FOR_FILE_SECONDS, isolation_level=None, cached_statements=256
        )
        self.connection.row_factory = sqlite3.Row
        try:
            self._prepare()
        except sqlite3.OperationalError as error:
            self.connection.close()
            if error.sqlite_errorcode == sqlite3.SQLITE_BUSY:
                raise StoreInUse from error
            raise
        except BaseException:
            self.connection.close()
            raise

    def _prepare(self) -> None:
        # Exclusive before WAL: one process owns the file, the lock dies with it, and no shared memory file is needed.
        self.connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        self.connection.execute("PRAGMA journal_mode = WAL")
        self.connection.execute("PRAGMA synchronous = NORMAL")
        self.connection.execute("PRAGMA wal_autocheckpoint = 4000")
        with self.transaction():
            version: int = self.connection.execute("PRAGMA user_version").fetchone()[0]
            if version > SCHEMA_VERSION:
                raise StoreTooNew
            if version == 0:
                self._run(_SCHEMA)
            elif version == 1:
                self._upgrade()
            self.connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        self.connection.execute("PRAGMA foreign_keys = ON")

    def _upgrade(self) -> None:
        indexes = self.connection.execute("SELECT name FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL")
        for (name,) in indexes.fetchall():
            self.connection.execute(f"DROP INDEX {name}")
        for table in _TABLES_OF_VERSION_1:
            self.connection.execute(f"ALTER TABLE {table} RENAME TO old_{table}")
        self._run(_SCHEMA)
        self._run(_FROM_VERSION_1)
        for table in _TABLES_OF_VERSION_1:
            self.connection.execute(f"DROP TABLE old_{table}")

    def _run(self, statements: str) -> None:
        for statement in statements.split(";\n"):
            self.connection.execute(statement)

    def close(self) -> None:
        """Write the log back into the file and let go of it."""
        self.connection.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All of the body or nothing; one inside another is part of it."""
        if self.connection.in_transaction:
            yield
            return
        self.connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self.connection.execute("ROLLBACK")
            raise
        self.connection.execute("COMMIT")
