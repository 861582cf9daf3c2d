"""The statements of the checkout floor: what has to be written and read, by the driver, a batch at a time.

`Book` knows the shop's one SKU and its accounts; its handlers take an open cursor and a list of commands and answer
one result each. Statements are written with `?` and turned into the driver's mark.
"""

import hashlib
import json
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import select

from server.catalog.model import Product, Sku
from server.db import Database
from shared import clock, ids
from shared.states import UnitState

FEE_SHARE = 20
_FREE, _HELD, _SOLD = int(UnitState.FREE), int(UnitState.HELD), int(UnitState.SOLD)
_ACCOUNTS = (("psp", "sandbox", "A"), ("escrow", "", "L"), ("fee", "", "I"))
_LOT = "SELECT next_seq, lot_id FROM stock_cursor WHERE sku_id = ? AND free > 0 ORDER BY rank LIMIT 1"
_TAKE = "UPDATE stock_cursor SET next_seq = next_seq + ?, free = free - ?, held = held + ? WHERE lot_id = ?"
_HOLD = f"UPDATE stock_unit SET state = {_HELD}, order_line_id = ? WHERE sku_id = ? AND seq = ? AND state = {_FREE}"
_OPEN = "UPDATE payment_attempt SET state = 'pending', pay_url = ?, qr_text = ? WHERE id = ? AND state = 'created'"
_TOLD = (
    "SELECT a.out_trade_no, a.id, o.id, o.code, l.id, l.sku_id, l.seqs, l.supplier_id, l.supplier_fen, l.fee_fen"
    " FROM payment_attempt a JOIN shop_order o ON o.id = a.order_id JOIN order_line l ON l.order_id = o.id"
    " WHERE a.out_trade_no IN ({marks})"
)
_SEEN_BEFORE = "SELECT digest FROM payment_callback WHERE channel = 'sandbox' AND digest IN ({marks})"
_SELL = f"UPDATE stock_unit SET state = {_SOLD} WHERE sku_id = ? AND seq = ? AND order_line_id = ? AND state = {_HELD}"
_COUNT_SOLD = "UPDATE stock_cursor SET held = held - ?, sold = sold + ? WHERE sku_id = ?"
_DELIVER = (
    "UPDATE shop_order SET state = 'delivered', paid_at = ?, delivered_at = ?, due_at = ?, version = version + 1"
    " WHERE id = ?"
)
_PAY = "UPDATE payment_attempt SET state = 'paid', provider_no = ?, paid_at = ?, query_at = NULL WHERE id = ?"
_ADD = "UPDATE ledger_balance SET debits_fen = debits_fen + ?, credits_fen = credits_fen + ? WHERE account_id = ?"
_SEEN = "UPDATE shop_order SET first_viewed_at = ? WHERE id = ? AND first_viewed_at IS NULL"
_FIND = (
    "SELECT o.id, o.code, o.state, o.buyer_id, l.id, a.state FROM shop_order o"
    " JOIN order_line l ON l.order_id = o.id JOIN payment_attempt a ON a.order_id = o.id WHERE o.code = ?"
)
_CARD = (
    "SELECT c.sku_id, c.seq, c.sealed, t.id, t.wrapped_key, t.master_version FROM delivery d"
    " JOIN card_secret c ON c.sku_id = d.sku_id AND c.seq = d.seq"
    " JOIN stock_unit u ON u.sku_id = d.sku_id AND u.seq = d.seq JOIN stock_lot t ON t.id = u.lot_id"
    " WHERE d.order_line_id = ?"
)
_COLUMNS = {
    "shop_order": (
        "id code buyer_id idempotency_key content_sha256 state amount_fen created_at expires_at due_at version"
    ),
    "order_line": (
        "id order_id n sku_id sku_code product_id product_code title supplier_id unit_price quantity amount_fen"
        " supplier_fen fee_fen fee_ppm seqs"
    ),
    "payment_attempt": (
        "id order_id order_code channel out_trade_no amount_fen subject state created_at expires_at query_at queries"
    ),
    "payment_callback": "id channel digest out_trade_no state headers body received_at",
    "delivery": "sku_id seq order_line_id delivered_at",
    "reveal_log": "id order_line_id actor units request_id revealed_at",
    "ledger_account": "id kind owner side slots opened_at",
    "ledger_balance": "account_id slot debits_fen credits_fen",
    "ledger_journal": "id key code order_id content_sha256 occurred_at posted_at",
    "ledger_transfer": "journal_id n debit_id credit_id amount_fen",
}


class Book:
    """All statements, with the values of this shop filled in."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._dialect = database.engine.dialect.name
        with database.read() as tx:
            found = tx.execute(select(Sku, Product).join(Product, Product.id == Sku.product_id)).all()
        self._goods = {sku.code: (sku, product) for sku, product in found}
        self._accounts = self._open_accounts()

    # --- the driver ---

    def connect(self, *, read_only: bool) -> Any:
        """A driver connection of its own; a reading one sees each commit at once."""
        engine = self._database._reader if read_only else self._database.engine
        connection = engine.raw_connection()
        if read_only and self._dialect == "postgresql":
            connection.driver_connection.autocommit = True
        elif read_only and self._dialect != "sqlite":
            connection.driver_connection.autocommit(True)
        return connection

    def begin(self, connection: Any) -> Any:
        """A cursor in a new transaction."""
        cursor = connection.cursor()
        if self._dialect == "sqlite":
            cursor.execute("BEGIN IMMEDIATE")
        return cursor

    def _one(self, cursor: Any, statement: str, *values: Any) -> None:
        cursor.execute(self._marked(statement), values)

    def _all(self, cursor: Any, statement: str, rows: list[tuple[Any, ...]]) -> None:
        cursor.executemany(self._marked(statement), rows)

    def _rows(self, cursor: Any, statement: str, *values: Any) -> list[Any]:
        self._one(cursor, statement, *values)
        return list(cursor.fetchall())

    def _insert(self, cursor: Any, table: str, rows: list[tuple[Any, ...]]) -> None:
        quote = self._database.engine.dialect.identifier_preparer.quote
        columns = ", ".join(map(quote, _COLUMNS[table].split()))
        marks = ", ".join("?" * len(rows[0]))
        self._all(cursor, f"INSERT INTO {table} ({columns}) VALUES ({marks})", rows)

    def _marked(self, statement: str) -> str:
        return statement if self._dialect == "sqlite" else statement.replace("?", "%s")

    def _locking(self, statement: str) -> str:
        return statement if self._dialect == "sqlite" else f"{statement} FOR UPDATE"

    def _id(self, value: UUID) -> Any:
        return value if self._dialect == "postgresql" else value.bytes

    def _new(self) -> Any:
        return self._id(ids.new_id())

    def _at(self, instant: datetime) -> Any:
        if self._dialect == "sqlite":
            return int(instant.timestamp() * 1_000_000)
        return instant if self._dialect == "postgresql" else instant.replace(tzinfo=None)

    def _open_accounts(self) -> dict[str, Any]:
        suppliers = {product.supplier_id for _, product in self._goods.values()}
        wanted = [*_ACCOUNTS, *(("supplier_pending", supplier.hex, "L") for supplier in suppliers)]
        accounts = {kind + owner: self._new() for kind, owner, _ in wanted}
        connection = self.connect(read_only=False)
        cursor = self.begin(connection)
        now = self._at(clock.now())
        opened = [(accounts[kind + owner], kind, owner, side, 1, now) for kind, owner, side in wanted]
        self._insert(cursor, "ledger_account", opened)
        self._insert(cursor, "ledger_balance", [(account, 0, 0, 0) for account in accounts.values()])
        connection.commit()
        connection.close()
        return accounts

    # --- what is written ---

    def place(self, cursor: Any, commands: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Orders, lines and attempts, and a held unit each, by ticket."""
        now = clock.now()
        sku, product = self._goods[commands[0]["sku"]]
        count, sku_id = len(commands), self._id(sku.id)
        [(first, lot)] = self._rows(cursor, self._locking(_LOT), sku_id)
        self._one(cursor, _TAKE, count, count, count, lot)
        at, until = self._at(now), self._at(now + timedelta(minutes=15))
        goods = (sku_id, sku.code, self._id(product.id), product.code, product.name, self._id(product.supplier_id))
        orders, lines, attempts, units, answers = [], [], [], [], []
        for seq, command in enumerate(commands, first):
            order, line, attempt = self._new(), self._new(), self._new()
            code, number, amount = ids.new_order_code(), ids.new_id().hex, command["amount"]
            fee, buyer = amount // FEE_SHARE, self._id(command["buyer"])
            money = (sku.unit_price, 1, amount, amount - fee, fee, 1_000_000 // FEE_SHARE)
            orders.append((order, code, buyer, number, number * 2, "pending_payment", amount, at, until, until, 1))
            lines.append((line, order, 0, *goods, *money, json.dumps([seq])))
            attempts.append(
                (attempt, order, code, "sandbox", number, amount, product.name, "created", at, until, until, 0)
            )
            units.append((line, sku_id, seq))
            answers.append({"code": code, "attempt": attempt, "out_trade_no": number})
        self._all(cursor, _HOLD, units)
        self._insert(cursor, "shop_order", orders)
        self._insert(cursor, "order_line", lines)
        self._insert(cursor, "payment_attempt", attempts)
        return answers

    def open(self, cursor: Any, commands: list[dict[str, Any]]) -> list[None]:
        """The channel's answers."""
        self._all(cursor, _OPEN, [(c["url"], c["url"], c["attempt"]) for c in commands])
        return [None] * len(commands)

    def apply(self, cursor: Any, commands: list[dict[str, Any]]) -> list[None]:
        """Callbacks, paid attempts, sold units, deliveries, delivered orders, and the journals PAY and SALE."""
        at = self._at(clock.now())
        told = {c["notice"]["out_trade_no"]: c for c in commands}
        callbacks = [
            (self._new(), "sandbox", hashlib.sha256(c["body"]).hexdigest(), number, "applied", b"{}", c["body"], at)
            for number, c in told.items()
        ]
        self._insert(cursor, "payment_callback", callbacks)
        paid = self._rows(cursor, self._locking(_TOLD.format(marks=", ".join("?" * len(told)))), *told)
        units = [(row[5], (row[6] if isinstance(row[6], list) else json.loads(row[6]))[0], row[4]) for row in paid]
        self._all(cursor, _SELL, units)
        self._one(cursor, _COUNT_SOLD, len(paid), len(paid), paid[0][5])
        self._insert(cursor, "delivery", [(*unit, at) for unit in units])
        self._all(cursor, _DELIVER, [(at, at, at, row[2]) for row in paid])
        self._all(cursor, _PAY, [(told[row[0]]["notice"]["trade_no"], at, row[1]) for row in paid])
        self._post(cursor, paid, at)
        return [None] * len(commands)

    def apply_once(self, cursor: Any, commands: list[dict[str, Any]]) -> list[None]:
        """The same where callbacks come again and again."""
        by_digest = {hashlib.sha256(c["body"]).hexdigest(): c for c in commands}
        seen = self._rows(cursor, _SEEN_BEFORE.format(marks=", ".join("?" * len(by_digest))), *by_digest)
        fresh = by_digest.keys() - {digest for (digest,) in seen}
        if fresh:
            self.apply(cursor, [by_digest[digest] for digest in fresh])
        return [None] * len(commands)

    def _post(self, cursor: Any, paid: list[Any], at: Any) -> None:
        journals, transfers = [], []
        psp, escrow, fee = (self._accounts[name] for name in ("pspsandbox", "escrow", "fee"))
        sums: dict[Any, list[int]] = {}
        for _, _, order, code, _, _, _, supplier_id, supplier_fen, fee_fen in paid:
            supplier = self._accounts["supplier_pending" + _uuid(supplier_id).hex]
            for kind, moved in (
                ("PAY", [(psp, escrow, supplier_fen + fee_fen)]),
                ("SALE", [(escrow, supplier, supplier_fen), (escrow, fee, fee_fen)]),
            ):
                journal = self._new()
                content = hashlib.sha256(f"{kind} {code}".encode()).hexdigest()
                journals.append((journal, f"{code}:{kind}", kind, order, content, at, at))
                for n, (debit, credit, amount) in enumerate(moved):
                    transfers.append((journal, n, debit, credit, amount))
                    sums.setdefault(debit, [0, 0])[0] += amount
                    sums.setdefault(credit, [0, 0])[1] += amount
        self._insert(cursor, "ledger_journal", journals)
        self._insert(cursor, "ledger_transfer", transfers)
        self._all(cursor, _ADD, [(debits, credits, account) for account, (debits, credits) in sums.items()])

    def reveal(self, cursor: Any, commands: list[dict[str, Any]]) -> list[None]:
        """Who is about to see the keys."""
        at = self._at(clock.now())
        self._insert(
            cursor, "reveal_log", [(self._new(), c["line"], f"buyer:{c['buyer']}", 1, "-", at) for c in commands]
        )
        self._all(cursor, _SEEN, [(at, c["order"]) for c in commands])
        return [None] * len(commands)

    # --- what is read ---

    def order(self, connection: Any, code: str) -> dict[str, Any]:
        """An order by its code, with its line and its attempt's state."""
        [row] = self._rows(connection.cursor(), _FIND, code)
        return {"id": row[0], "code": row[1], "state": row[2], "buyer": _uuid(row[3]), "line": row[4]}

    def card(self, connection: Any, line: Any) -> dict[str, Any]:
        """The sealed card of a delivered line and the key of its lot."""
        [(sku, seq, sealed, lot, wrapped, version)] = self._rows(connection.cursor(), _CARD, line)
        sealed_card = {"sku": _uuid(sku), "seq": seq, "sealed": bytes(sealed), "lot": _uuid(lot)}
        return sealed_card | {"wrapped": bytes(wrapped), "version": version}


def _uuid(value: Any) -> UUID:
    return value if isinstance(value, UUID) else UUID(bytes=bytes(value))
