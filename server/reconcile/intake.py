"""Bills that people drop: read whole, and refused with a sentence where they are not one of ours that holds.

What is refused leaves nothing behind. What is kept goes the way of what was fetched: its payments are looked at for
money that nobody told us of, and its day is reconciled. A file never takes the place of what the channel itself gave;
and a day that rests on one is signed by another person (`queries`).
"""

from __future__ import annotations

import io
from datetime import date

from server import changes, jobs
from server.context import Context
from server.db import Tx, retrying
from server.gateways.bill_lines import OpenBill, opened
from server.gateways.bill_rows import WrongMerchant, merchant
from server.payments import bills, kept_bills
from server.payments.model import PaymentBillFile
from server.policy import Actor
from server.reconcile import feed
from shared import channels, clock
from shared.errors import BadInput, Conflict
from shared.finance import BillKind

MOST_BYTES = 64 * 1024 * 1024


class EmptyBill(BadInput):
    """Nothing in the file says of which day it is, and nobody else has."""

    code = "empty_bill"
    zh = "“{name}”里没有一笔交易，无法知道是哪一天的账单。请先选择账日，再拖入。"
    en = "“{name}” has no row: nobody can tell of which day it is. Choose the day first, then drop it."


class ChannelHasGivenIt(Conflict):
    """The channel's own bill of that day is here, and this is another one."""

    code = "channel_has_given_it"
    zh = (
        "{channel} {day} 的账单已由渠道直接下载，与“{name}”内容不同，没有替换。"
        "如果渠道更正了账单，请点“获取账单”重新获取。"
    )
    en = (
        "The bill of {channel} for {day} came from the channel itself, and “{name}” differs: nothing was replaced. "
        "If the channel has corrected its bill, fetch it again."
    )


class DayNotOver(BadInput):
    """A bill of a day that still goes on: channels make none."""

    code = "bill_day_not_over"
    zh = "“{name}”是 {day} 的账单，这一天还没有结束。"
    en = "“{name}” is of {day}, which is not over."


class PartialBill(BadInput):
    """A bill of payments alone, or of refunds alone: half a day cannot be balanced."""

    code = "partial_bill"
    zh = "“{name}”只有支付或只有退款。请在商户平台下载“全部”（ALL）账单。"
    en = "“{name}” has payments alone, or refunds alone; download the bill of all (ALL) from the merchant platform."


def drop(ctx: Context, content: bytes, name: str, day: date | None, *, actor: Actor) -> PaymentBillFile:
    """Keep a bill that a person has downloaded; the same file again changes nothing. `day` counts where it names none.

    Raises UnreadableBill with what is wrong, EmptyBill, DayNotOver, PartialBill, ChannelHasGivenIt.
    """
    found = opened(io.BytesIO(content), name)
    new = _read(ctx, found, content, name, day)

    def keep(tx: Tx) -> PaymentBillFile:
        kept_bills.hold(tx, new.channel, new.day)  # or the channel's own comes in between
        last = kept_bills.newest(tx, new.channel, new.day).get(new.kind)
        if last is not None and last.source == "fetched" and last.sha256 != new.sha256:
            raise ChannelHasGivenIt(channel=channels.name(new.channel), day=new.day.isoformat(), name=name)
        kept = kept_bills.keep(tx, ctx.keys, new, source="dropped", by=actor.label)
        if kept.is_new:
            _follow(tx, kept.file)
        return kept.file

    file = retrying(ctx.db, keep)
    ctx.jobs.wake()
    return file


def _follow(tx: Tx, file: PaymentBillFile) -> None:
    if file.kind == BillKind.TRADES:
        jobs.enqueue(tx, bills.DROPPED, {"file_id": str(file.id)})
    else:
        bills.reconcile(tx, file.channel, file.day)
    changes.append(tx, feed.DAY, feed.day_id(file.channel, file.day), domain=feed.DOMAIN)


def _read(ctx: Context, found: OpenBill, content: bytes, name: str, day: date | None) -> kept_bills.NewBill:
    head, gateway = found.head, ctx.gateways.get(found.head.channel)
    if gateway is None:
        raise WrongMerchant(found=merchant(head.channel, head.merchant_id), wanted="–")
    found.require(channel=head.channel, merchant_id=gateway.merchant_id)
    kind = BillKind(head.kind)
    if kind is BillKind.TRADES and head.covers != {"payment", "refund"}:
        raise PartialBill(name=name)
    rows = sum(1 for _ in (found.trades() if kind is BillKind.TRADES else found.funds()))
    return kept_bills.NewBill(
        channel=head.channel,
        kind=kind,
        day=_day(head.day or day, name),
        merchant_id=gateway.merchant_id,
        name=name,
        content=content,
        rows=rows,
        sha1=found.sha1,
        sha256=found.sha256,
        totals=found.totals,
    )


def _day(day: date | None, name: str) -> date:
    if day is None:
        raise EmptyBill(name=name)
    if day >= clock.shop_day(clock.now()):
        raise DayNotOver(name=name, day=day.isoformat())
    return day
