"""Our side of the reconcile bench: one run of the engine over a bill's file and the books, in a process of its own.

Reads the file with all its control totals and hashes, streams our rows from the database, matches, looks up the rows
that found no partner as a run of the server does: that are `seconds` and `peak_mib`. `three_way` is what the fund bill
adds: its balance, and each row of the trade bill against what moved, both bills read anew. `lost` and `doubled` count
differences.
"""

import gc
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TypeVar

from server.db import Database
from server.gateways.bill_lines import OpenBill, opened
from server.reconcile import ours
from server.reconcile.controls import balance, three_way
from server.reconcile.matching import Matching
from tests.bench import _bill
from tests.bench._figures import finish, own_peak_mib, parser

_Row = TypeVar("_Row")


def main() -> int:
    """Reconcile once."""
    options = parser(__doc__)
    options.add_argument("--database", required=True)
    options.add_argument("--file", type=Path, required=True)
    options.add_argument("--funds", type=Path, required=True)
    options.add_argument("--rows", type=int, required=True)
    given = options.parse_args()
    database = Database(given.database)
    gc.freeze()
    gc.disable()
    started, began = time.perf_counter(), time.process_time()
    with given.file.open("rb") as file, database.read() as tx:
        bill = opened(file, given.file.name)
        matching = Matching(_bill.CHANNEL, _bill.DAY, covers=bill.head.covers)
        matching.take(bill.trades())
        read = time.perf_counter()
        pairs = sum(1 for _ in matching.pairs(ours.of_day(tx, _bill.CHANNEL, _bill.DAY)))
        matched = time.perf_counter()
        matching.elsewhere(ours.named(tx, _bill.CHANNEL, matching.wanted()))
        settled = matching.settle()
    ended, used, peak = time.perf_counter(), time.process_time() - began, own_peak_mib()
    database.close()
    found_balance = balance(_rows(given.funds, OpenBill.funds))
    bills = partial(_rows, given.file, OpenBill.trades), partial(_rows, given.funds, OpenBill.funds)
    apart = three_way(_bill.CHANNEL, _bill.DAY, *bills)
    checked = time.perf_counter() - ended
    expected = _bill.expected(given.rows) | _bill.unmoved(given.rows)
    found = [(one.kind, one.out_trade_no) for one in (*settled.differences, *apart)]
    is_whole = found_balance is not None and found_balance.off_by_fen == 0
    return finish(
        {
            "n": bill.rows,
            "pairs": pairs + len(settled.pairs),
            "differences": len(found),
            "read_seconds": round(read - started, 3),
            "match_seconds": round(matched - read, 3),
            "settle_seconds": round(ended - matched, 3),
            "seconds": round(ended - started, 3),
            "cpu_seconds": round(used, 3),
            "peak_mib": peak,
            "three_way": {"seconds": round(checked, 3), "peak_mib": own_peak_mib()},
            "lost": len(expected - set(found)) + (not is_whole),
            "doubled": len(found) - len(expected & set(found)),
        }
    )


def _rows(file: Path, read: Callable[[OpenBill], Iterator[_Row]]) -> Iterator[_Row]:
    """The rows of a bill, from its beginning."""
    with file.open("rb") as stream:
        yield from read(opened(stream, file.name))


if __name__ == "__main__":
    sys.exit(main())
