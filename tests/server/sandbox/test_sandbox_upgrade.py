"""A data folder of the first version of the sandbox: its payments, refunds and owed callbacks go on."""

import sqlite3
import time

from tests.server.sandbox.peer import Merchant

VERSION_1 = """
CREATE TABLE payment (
    id INTEGER PRIMARY KEY, channel TEXT NOT NULL, merchant_id TEXT NOT NULL, out_trade_no TEXT NOT NULL,
    token TEXT NOT NULL UNIQUE, amount_fen INTEGER NOT NULL CHECK (amount_fen > 0), currency TEXT NOT NULL,
    subject TEXT NOT NULL, notify_url TEXT NOT NULL, return_url TEXT NOT NULL, created_at_ms INTEGER NOT NULL,
    expires_at_ms INTEGER NOT NULL, state TEXT NOT NULL DEFAULT 'open', trade_no TEXT UNIQUE, payer TEXT,
    paid_at_ms INTEGER, answer_delay_ms INTEGER NOT NULL DEFAULT 0, refund_delay_ms INTEGER NOT NULL DEFAULT 0,
    UNIQUE (channel, merchant_id, out_trade_no)
) STRICT;
CREATE TABLE refund (
    id INTEGER PRIMARY KEY, payment_id INTEGER NOT NULL REFERENCES payment (id), channel TEXT NOT NULL,
    merchant_id TEXT NOT NULL, out_refund_no TEXT NOT NULL, refund_no TEXT NOT NULL UNIQUE,
    amount_fen INTEGER NOT NULL CHECK (amount_fen > 0), reason TEXT NOT NULL, created_at_ms INTEGER NOT NULL,
    succeeds_at_ms INTEGER NOT NULL, UNIQUE (channel, merchant_id, out_refund_no)
) STRICT;
CREATE INDEX refund_of_payment ON refund (payment_id);
CREATE TABLE notification (
    id INTEGER PRIMARY KEY, payment_id INTEGER NOT NULL REFERENCES payment (id), channel TEXT NOT NULL,
    event_id TEXT NOT NULL, copy INTEGER NOT NULL, url TEXT NOT NULL, body BLOB NOT NULL,
    wrongly_signed INTEGER NOT NULL, state TEXT NOT NULL, attempts INTEGER NOT NULL DEFAULT 0,
    due_at_ms INTEGER NOT NULL, last_outcome TEXT NOT NULL DEFAULT '', UNIQUE (event_id, copy)
) STRICT;
CREATE INDEX notification_due ON notification (due_at_ms, id) WHERE state = 'waiting';
CREATE INDEX notification_of_payment ON notification (payment_id);
CREATE TABLE used_nonce (
    channel TEXT NOT NULL, merchant_id TEXT NOT NULL, nonce TEXT NOT NULL, forget_at_ms INTEGER NOT NULL,
    PRIMARY KEY (channel, merchant_id, nonce)
) STRICT, WITHOUT ROWID;
CREATE INDEX used_nonce_age ON used_nonce (forget_at_ms);
PRAGMA user_version = 1;
"""


def test_a_folder_of_the_first_version_goes_on(own_sandbox, receiver, number, tmp_path):
    now, nonce = time.time_ns() // 1_000_000, "5f" * 16
    (tmp_path / "own").mkdir()
    old = sqlite3.connect(tmp_path / "own" / "sandbox.db")
    old.executescript(VERSION_1)
    payment = (12880, "CNY", "点卡", receiver.url(f"/{number}"), "http://127.0.0.1:9/o", now, now + 900_000)
    old.execute(
        "INSERT INTO payment VALUES (1, 'sandbox', 'shop-1', ?, 'token-1', ?, ?, ?, ?, ?, ?, ?, 'paid', 'SP1', "
        "'buyer', ?, 0, 0)",
        (number, *payment, now),
    )
    old.execute(
        "INSERT INTO payment VALUES (2, 'sandbox', 'shop-1', ?, 'token-2', ?, ?, ?, ?, ?, ?, ?, 'open', NULL, "
        "NULL, NULL, 0, 0)",
        (f"{number}b", *payment),
    )
    old.execute(
        "INSERT INTO refund VALUES (1, 1, 'sandbox', 'shop-1', ?, 'SR1', 880, '未发货', ?, ?)", (f"R{number}", now, now)
    )
    old.execute(
        "INSERT INTO notification VALUES (1, 1, 'sandbox', 'EV1', 1, ?, ?, 0, 'waiting', 3, ?, 'HTTP 500')",
        (receiver.url(f"/{number}"), b'{"event_id":"EV1"}', now),
    )
    old.execute("INSERT INTO used_nonce VALUES ('sandbox', 'shop-1', ?, ?)", (nonce, now + 600_000))
    old.commit()
    old.close()

    process = own_sandbox()
    shop = Merchant(process).register()
    told = receiver.next(f"/{number}")
    assert shop.is_from_sandbox(told.headers, told.raw)
    assert told.content == {"event_id": "EV1"}
    paid = shop.query(number)
    assert (paid["state"], paid["trade_no"], paid["amount_fen"]) == ("paid", "SP1", 12880)
    assert shop.refund(f"R{number}", number, 880).json()["refund_no"] == "SR1"
    assert shop.refund(f"R{number}-2", number, 12_001).json()["code"] == "AMOUNT_EXCEEDED"
    target = f"/v1/payments/{number}"
    replayed = shop.http.get(process.url + target, headers=shop.headers("GET", target, nonce=nonce))
    assert replayed.status_code == 401
    shop.pay(f"{process.url}/pay/token-2")
    assert shop.query(f"{number}b")["state"] == "paid"
    process.kill()
    process.start()
    assert shop.query(f"{number}b")["state"] == "paid"
    shop.http.close()
