"""The day of the reconcile bench as a shop keeps it: compared, compared once more, and signed, while others write.

Another thread writes one small transaction after the other, like a shop that sells: `wait_ms` is what the longest one
took. What differs is taken for decided before the day is signed.
"""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import func, select, text, update

from server import app
from server.context import Context
from server.db import Tx, retrying
from server.gateways.bill_lines import opened
from server.payments import kept_bills
from server.payments.kept_bills import NewBill
from server.policy import SYSTEM
from server.reconcile import days, running, signing
from server.reconcile.model import ReconcileDifference, ReconcileRow
from server.reconcile.queries import Reader, is_signed
from server.settings import Settings
from shared.contracts.reconcile import SignDay
from shared.finance import BillKind, DifferenceState
from tests.bench import _bill
from tests.bench._figures import finish, own_peak_mib, parser
from tests.world import MERCHANT

_REST_SECONDS = 0.02
_READER = Reader(SYSTEM, "zh", frozenset({_bill.CHANNEL}))


def main() -> int:
    """Keep a day once."""
    options = parser(__doc__)
    options.add_argument("--database", required=True)
    options.add_argument("--data", type=Path, required=True)
    options.add_argument("--file", type=Path, required=True)
    options.add_argument("--funds", type=Path, required=True)
    given = options.parse_args()
    facts = {"data": given.data, "database_url": given.database, "sandbox_merchant": MERCHANT}
    ctx = app.assemble(Settings.from_environment({f"KAMENG_{name.upper()}": str(one) for name, one in facts.items()}))
    bills = [_kept(BillKind.TRADES, given.file), _kept(BillKind.FUNDS, given.funds)]

    def keep(tx: Tx) -> int:
        kept = [kept_bills.keep(tx, ctx.keys, bill, source="fetched", by="bench") for bill in bills]
        return sum(one.file.row_count for one in kept)

    rows = retrying(ctx.db, keep)
    figures = {
        "run": _timed(ctx, _run),
        "again": _timed(ctx, _run),
        "sign": _timed(ctx, _sign, before=_decided),
        "peak_mib": own_peak_mib(),
    }
    with ctx.db.read() as tx:
        kept, signed = (
            tx.scalar(select(func.count()).select_from(ReconcileRow)),
            is_signed(tx, _bill.CHANNEL, _bill.DAY),
        )
    ctx.db.close()
    return finish(figures | {"lost": abs(rows - (kept or 0)) + (not signed)})


def _kept(kind: BillKind, file: Path) -> NewBill:
    with file.open("rb") as stream:
        bill = opened(stream, file.name)
        rows = sum(1 for _ in (bill.trades() if kind is BillKind.TRADES else bill.funds()))
    return NewBill(
        channel=_bill.CHANNEL,
        kind=kind,
        day=_bill.DAY,
        merchant_id=bill.head.merchant_id or "",
        name=file.name,
        content=file.read_bytes(),
        rows=rows,
        sha1=bill.sha1,
        sha256=bill.sha256,
        totals=bill.totals,
    )


def _run(ctx: Context) -> None:
    running.run(ctx, _bill.CHANNEL, _bill.DAY, by="bench")


def _decided(ctx: Context) -> None:
    def decide(tx: Tx) -> None:
        tx.execute(update(ReconcileDifference).values(state=DifferenceState.RESOLVED.value))
        days.outputs_changed(tx, _bill.CHANNEL, _bill.DAY)

    retrying(ctx.db, decide)


def _sign(ctx: Context) -> None:
    with ctx.db.read() as tx:
        seen, row = signing.look(ctx, tx, _bill.CHANNEL, _bill.DAY), days.find(tx, _bill.CHANNEL, _bill.DAY)
    assert row is not None
    body = SignDay(outputs_sha256=row.outputs_sha256, note="")

    def sign(tx: Tx) -> None:
        signing.sign(tx, _bill.CHANNEL, _bill.DAY, body, seen=seen, reader=_READER, request_id=None)

    retrying(ctx.db, sign)


def _timed(ctx: Context, work: Callable[[Context], None], *, before: Callable[[Context], None] | None = None) -> Any:
    if before is not None:
        before(ctx)
    with _others(ctx) as waits:
        started = time.perf_counter()
        work(ctx)
        seconds = time.perf_counter() - started
    return {"seconds": round(seconds, 3), "wait_ms": round(max(waits) * 1_000, 1)}


@contextmanager
def _others(ctx: Context) -> Iterator[list[float]]:
    """Somebody who writes meanwhile; yields how long each of it took."""
    waits, is_over = [0.0], threading.Event()
    nothing = text("UPDATE payment_channel SET version = version WHERE code = 'nobody'")

    def write() -> None:
        while not is_over.wait(_REST_SECONDS):
            started = time.perf_counter()
            retrying(ctx.db, lambda tx: tx.execute(nothing))
            waits.append(time.perf_counter() - started)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield waits
    finally:
        is_over.set()
        thread.join()


if __name__ == "__main__":
    sys.exit(main())
