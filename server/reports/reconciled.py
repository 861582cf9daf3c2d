"""What the lists of reconciled days come to: control totals for the workbook, added up by the engine, set by set."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import date

from sqlalchemy import func, select

from server import changes
from server.db import Tx
from server.payments.refunds.model import Refund
from server.reconcile.model import ReconcileDay, ReconcileDifference, ReconcileRow
from server.reconcile.ours import ASKED
from shared import clock
from shared.contracts.reports import ListTotals, ReconciledLists
from shared.errors import BadField
from shared.sentence import Sentence

MOST_DAYS = 31
_ROWS = 5_000

_Facts = dict[tuple[date, str], dict[str, int]]
_D, _R = ReconcileDay, ReconcileRow


def lists(tx: Tx, first: date, last: date) -> ReconciledLists:
    """Those of every channel's day between, by day and channel. Raises BadField for too many days."""
    if not first <= last or (last - first).days >= MOST_DAYS:
        raise BadField(field="to", reason=Sentence(f"1 至 {MOST_DAYS} 天", f"1 to {MOST_DAYS} days"))
    as_of, position = clock.now(), changes.head(tx)
    found: _Facts = defaultdict(dict)
    _pairs(tx, first, last, found)
    _movements(tx, first, last, found)
    _differences(tx, first, last, found)
    _refunds(tx, first, last, found)
    days = [ListTotals(day=day, channel=channel, **facts) for (day, channel), facts in sorted(found.items())]
    return ReconciledLists(as_of=as_of, position=position, days=days)


def _pairs(tx: Tx, first: date, last: date, found: _Facts) -> None:
    sums = (func.count(), func.sum(_R.amount_fen), func.sum(_R.fee_fen))
    query = (
        select(_D.day, _D.channel, _R.kind, *sums)
        .join(_R, _R.file_id == _D.trades_file_id)
        .where(_D.day >= first, _D.day <= last, _R.matched_id.is_not(None))
        .group_by(_D.day, _D.channel, _R.kind)
    )
    for day, channel, kind, rows, fen, fees_fen in tx.execute(query):
        if kind == "payment":
            facts = {"payments": rows, "payments_fen": int(fen), "payment_fees_fen": int(fees_fen)}
        else:
            facts = {"paired_refunds": rows, "paired_refunds_fen": int(fen)}
        found[day, channel] |= facts


def _movements(tx: Tx, first: date, last: date, found: _Facts) -> None:
    query = (
        select(_D.day, _D.channel, func.count(), func.sum(_R.amount_fen))
        .join(_R, _R.file_id == _D.funds_file_id)
        .where(_D.day >= first, _D.day <= last)
        .group_by(_D.day, _D.channel)
    )
    for day, channel, rows, fen in tx.execute(query):
        found[day, channel] |= {"movements": rows, "movements_fen": int(fen)}


def _differences(tx: Tx, first: date, last: date, found: _Facts) -> None:
    d = ReconcileDifference
    off_by = func.coalesce(d.theirs_fen, 0) - func.coalesce(d.ours_fen, 0)
    query = (
        select(d.day, d.channel, func.count(), func.sum(off_by))
        .where(d.day >= first, d.day <= last)
        .group_by(d.day, d.channel)
    )
    for day, channel, rows, fen in tx.execute(query):
        found[day, channel] |= {"differences": rows, "off_by_fen": int(fen)}


def _refunds(tx: Tx, first: date, last: date, found: _Facts) -> None:
    (start, _), (_, end) = clock.day_bounds(first), clock.day_bounds(last)
    r = Refund
    its = (r.submitted_at >= start, r.submitted_at < end, r.state.in_(ASKED))
    sums: dict[tuple[date, str], Counter[str]] = defaultdict(Counter)
    # The engines have no common way to tell the shop's day of an instant.
    for channel, at, fen in tx.execute(select(r.channel, r.submitted_at, r.amount_fen).where(*its)).yield_per(_ROWS):
        if at is not None:
            sums[clock.shop_day(at), channel].update(refunds=1, refunds_fen=fen)
    for key, facts in sums.items():
        found[key] |= facts
