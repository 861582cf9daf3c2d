"""The floor of the import bench: the same work with nothing around it, one step after the other in one process.

Read the sheet with calamine; seal each card with AES-256-GCM and take its keyed fingerprint; insert the rows, with the
end of the card number that lists show, with the driver's fastest plain statement into the same two tables with the same
indexes, 50,000 rows a commit. No checks, no duplicates looked for, no contracts, no progress, nothing to resume.
"""

import gc
import hashlib
import sys
import time
from pathlib import Path
from uuid import UUID

import python_calamine
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from server.db import Database
from tests.bench._figures import finish, own_peak_mib, parser

COMMIT_ROWS = 50_000
_SECRET = ("card_secret", "sku_id, product_id, seq, fingerprint, sealed, tail")
_UNIT = ("stock_unit", "sku_id, lot_id, state, seq")


def main() -> int:
    """Read, seal and insert one file."""
    options = parser(__doc__)
    options.add_argument("--database", required=True)
    options.add_argument("--file", type=Path, required=True)
    given = options.parse_args()
    database = Database(given.database)
    connection = database.engine.raw_connection()
    gc.freeze()
    gc.disable()
    started = time.perf_counter()
    texts = _read(given.file)
    read = time.perf_counter()
    cards = _seal(texts)
    sealed = time.perf_counter()
    _insert(connection, database.engine.dialect.name, cards)
    ended = time.perf_counter()
    connection.close()
    database.close()
    return finish(
        {
            "n": len(cards),
            "read_seconds": round(read - started, 3),
            "seal_seconds": round(sealed - read, 3),
            "insert_seconds": round(ended - sealed, 3),
            "seconds": round(ended - started, 3),
            "peak_mib": own_peak_mib(),
        }
    )


def _read(file: Path) -> list[bytes]:
    with python_calamine.CalamineWorkbook.from_path(file) as book:
        rows = book.get_sheet_by_index(0).iter_rows()
        next(rows)
        return [f"{number}\x1f{secret}".encode() for number, secret in rows]


def _seal(texts: list[bytes]) -> list[tuple[bytes, bytes, str]]:
    seal = AESGCM(bytes(32)).encrypt
    copy = hashlib.blake2b(key=bytes(32), digest_size=16).copy
    cards = []
    for n, text in enumerate(texts):
        state = copy()
        state.update(text)
        nonce = n.to_bytes(12, "big")
        cards.append((state.digest(), nonce + seal(nonce, text, None), text[16:20].decode()))
    return cards


def _insert(connection, dialect: str, cards: list[tuple[bytes, bytes, str]]) -> None:
    sku, product, lot = (UUID(int=n + 1) for n in range(3))
    postgres = dialect == "postgresql"
    if postgres:
        cards = [(UUID(bytes=fingerprint), sealed, tail) for fingerprint, sealed, tail in cards]
    else:
        sku, product, lot = sku.bytes, product.bytes, lot.bytes
    cursor = connection.cursor()
    for start in range(0, len(cards), COMMIT_ROWS):
        part = cards[start : start + COMMIT_ROWS]
        secrets = [(sku, product, n, *card) for n, card in enumerate(part, start)]
        units = [(sku, lot, 0, n) for n in range(start, start + len(part))]
        if dialect == "sqlite":
            cursor.execute("BEGIN IMMEDIATE")
        for (table, columns), rows in ((_SECRET, secrets), (_UNIT, units)):
            if postgres:
                with cursor.copy(f"COPY {table} ({columns}) FROM STDIN") as copy:
                    for row in rows:
                        copy.write_row(row)
            else:
                mark = "?" if dialect == "sqlite" else "%s"
                marks = ", ".join([mark] * len(rows[0]))
                cursor.executemany(f"INSERT INTO {table} ({columns}) VALUES ({marks})", rows)
        connection.commit()


if __name__ == "__main__":
    sys.exit(main())
