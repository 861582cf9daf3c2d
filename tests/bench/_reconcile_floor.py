"""The floor of the reconcile bench: both sides read and their keys hashed, with nothing around it, in one process.

The bill is unpacked, decoded, split into rows and values; its numbers go into a dict. Our rows come by the driver's
plain statement, and each of their numbers is looked up there. No types, no totals, no hashes, nothing compared.
"""

import gc
import gzip
import sys
import time
from contextlib import closing
from pathlib import Path

from server.db import Database
from tests.bench._figures import finish, own_peak_mib, parser

_NUMBER, _OUR_NUMBER = 5, 6


def main() -> int:
    """Read and hash once."""
    options = parser(__doc__)
    options.add_argument("--database", required=True)
    options.add_argument("--file", type=Path, required=True)
    given = options.parse_args()
    database = Database(given.database)
    connection = database.engine.raw_connection()
    gc.freeze()
    gc.disable()
    started, began = time.perf_counter(), time.process_time()
    with gzip.open(given.file, "rt", encoding="utf-8-sig", newline="\r\n") as file:
        rows = (line[1:].split(",`") for line in file if line.startswith("`2026-"))
        numbers = {row[_NUMBER]: row[_OUR_NUMBER] for row in rows}
    read = time.perf_counter()
    met = 0
    with closing(connection.cursor()) as cursor:
        cursor.execute("SELECT id, out_trade_no, provider_no, amount_fen, fee_fen, paid_at, state FROM payment_attempt")
        while rows := cursor.fetchmany(5_000):
            for row in rows:
                met += numbers.get(row[2]) == row[1]
    ended, used = time.perf_counter(), time.process_time() - began
    connection.close()
    database.close()
    return finish(
        {
            "n": len(numbers),
            "met": met,
            "read_seconds": round(read - started, 3),
            "match_seconds": round(ended - read, 3),
            "seconds": round(ended - started, 3),
            "cpu_seconds": round(used, 3),
            "peak_mib": own_peak_mib(),
        }
    )


if __name__ == "__main__":
    sys.exit(main())
