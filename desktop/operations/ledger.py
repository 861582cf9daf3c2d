"""The ledger on the console: accounts and their books, an order's journals, adjustments and disputes by two people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from uuid import UUID

from pydantic import TypeAdapter

from desktop.engine.engine import Engine
from desktop.engine.transport import Call
from desktop.operations import settlement
from desktop.operations.once import send_once
from desktop.operations.seen import PAGE_ROWS, Seen, look, name_of
from shared.contracts.base import Page
from shared.contracts.ledger import (
    Account,
    AccountLine,
    Adjustment,
    AdjustmentTransfer,
    CheckAdjustment,
    CloseDispute,
    DayClosing,
    Dispute,
    Journal,
    LedgerHealth,
    NewAdjustment,
    OpenDispute,
    WithdrawAdjustment,
)
from shared.errors import NotAnOrderCode
from shared.finance import KEPT_BY_ROWS, AdjustmentState, DisputeState
from shared.ids import parse_order_code
from shared.money import Fen

_ACCOUNTS: TypeAdapter[Page[Account]] = TypeAdapter(Page[Account])
_LINES: TypeAdapter[Page[AccountLine]] = TypeAdapter(Page[AccountLine])
_JOURNALS: TypeAdapter[list[Journal]] = TypeAdapter(list[Journal])
_JOURNAL_PAGE: TypeAdapter[Page[Journal]] = TypeAdapter(Page[Journal])
_ADJUSTMENTS: TypeAdapter[Page[Adjustment]] = TypeAdapter(Page[Adjustment])
_ADJUSTMENT: TypeAdapter[Adjustment] = TypeAdapter(Adjustment)
_DISPUTES: TypeAdapter[Page[Dispute]] = TypeAdapter(Page[Dispute])
_DISPUTE: TypeAdapter[Dispute] = TypeAdapter(Dispute)
_HEALTH: TypeAdapter[LedgerHealth] = TypeAdapter(LedgerHealth)
_CLOSINGS: TypeAdapter[Page[DayClosing]] = TypeAdapter(Page[DayClosing])
_HERE = "/api/ledger"
_OF_THE_SHOP = ("bank", "loss", "fee", "payout_fee", "promo")
_OF_SUPPLIERS = ("supplier_available", "owed")


# --- books ---


async def list_accounts(engine: Engine, *, day: date | None = None, after: str | None = None) -> Seen[Page[Account]]:
    """One page of accounts with their sums until a day ended, now without one."""
    query = {"day": day.isoformat() if day is not None else None, "after": after}
    call = Call("GET", f"{_HERE}/accounts", query=query)
    return await look(engine, list_name=name_of("ledger/accounts", **query), call=call, answer=_ACCOUNTS)


@dataclass(frozen=True, slots=True)
class AccountName:
    """An account that people may name: its kind and owner, and what people call the owner."""

    kind: str
    owner: str
    name: str


async def adjustable(engine: Engine) -> list[AccountName]:
    """Every account that an adjustment may touch: of the shop, those that are open, and those of each supplier."""
    found = [AccountName(kind, "", "") for kind in _OF_THE_SHOP]
    after: str | None = None
    while True:
        query = {"after": after, "limit": PAGE_ROWS}
        page = await engine.session.ask(Call("GET", f"{_HERE}/accounts", query=query), _ACCOUNTS)
        found += [AccountName(one.kind, one.owner, one.name) for one in page.items if one.kind not in KEPT_BY_ROWS]
        if page.next is None or page.next == after:
            break
        after = page.next
    for terms in (await settlement.list_terms(engine)).value.items:
        found += [AccountName(kind, terms.supplier_id.hex, terms.supplier) for kind in _OF_SUPPLIERS]
    return list(dict.fromkeys(found))


async def list_closings(engine: Engine, kind: str, *, owner: str, after: str | None = None) -> Seen[Page[DayClosing]]:
    """One page of the days that were closed of an account, the newest first."""
    query = {"owner": owner, "after": after}
    call = Call("GET", f"{_HERE}/accounts/{kind}/days", query=query)
    return await look(engine, list_name=name_of(f"ledger/{kind}/days", **query), call=call, answer=_CLOSINGS)


async def list_lines(
    engine: Engine, kind: str, *, owner: str = "", day: date | None = None, after: str | None = None
) -> Seen[Page[AccountLine]]:
    """One page of an account's book, oldest first, each line with the balance after it."""
    query = {"owner": owner, "day": day.isoformat() if day is not None else None, "after": after}
    call = Call("GET", f"{_HERE}/accounts/{kind}/lines", query=query)
    return await look(engine, list_name=name_of(f"ledger/{kind}", **query), call=call, answer=_LINES)


async def list_journals(engine: Engine, *, day: date | None = None, after: str | None = None) -> Seen[Page[Journal]]:
    """One page of journals, the newest first: of a day, or all."""
    query = {"day": day.isoformat() if day is not None else None, "after": after}
    call = Call("GET", f"{_HERE}/journals", query=query)
    return await look(engine, list_name=name_of("ledger/journals", **query), call=call, answer=_JOURNAL_PAGE)


async def order_journals(engine: Engine, code: str) -> Seen[list[Journal]]:
    """All journals of an order, oldest first."""
    call = Call("GET", f"{_HERE}/orders/{code}")
    return await look(engine, list_name=name_of(f"ledger/order/{code}"), call=call, answer=_JOURNALS)


async def health(engine: Engine) -> Seen[LedgerHealth]:
    """What the continuous checks said last, and whether payouts are frozen."""
    return await look(engine, list_name=name_of("ledger/health"), call=Call("GET", f"{_HERE}/health"), answer=_HEALTH)


# --- adjustments ---


async def list_adjustments(
    engine: Engine, *, state: AdjustmentState | None = None, after: str | None = None
) -> Seen[Page[Adjustment]]:
    """One page of adjustments, the newest first."""
    query = {"state": state, "after": after}
    call = Call("GET", f"{_HERE}/adjustments", query=query)
    return await look(engine, list_name=name_of("adjustments", **query), call=call, answer=_ADJUSTMENTS)


async def adjustment(engine: Engine, adjustment_id: UUID) -> Seen[Adjustment]:
    """One adjustment as it is now."""
    call = Call("GET", f"{_HERE}/adjustments/{adjustment_id}")
    return await look(engine, list_name=name_of(f"adjustment/{adjustment_id}"), call=call, answer=_ADJUSTMENT)


async def propose_adjustment(
    engine: Engine,
    *,
    adjustment_id: UUID,
    transfers: Sequence[AdjustmentTransfer],
    reason: str,
    ticket: str,
    order_code: str = "",
    about: tuple[str, date] | None = None,
) -> Adjustment:
    """Propose a journal; another person posts it. Repeated under its id it is proposed once.

    `about` is the channel and the day of a signed reconciliation that it corrects.
    Raises NotAnOrderCode, and what `send_once` does.
    """
    channel, day = about or (None, None)
    body = NewAdjustment(
        id=adjustment_id,
        transfers=list(transfers),
        reason=reason,
        ticket=ticket,
        order_code=_code(order_code),
        channel=channel,
        day=day,
    )
    return await _adjust(engine, f"{_HERE}/adjustments", body, initiator="adjustment.propose")


async def check_adjustment(engine: Engine, seen: Adjustment, *, approve: bool, note: str = "") -> Adjustment:
    """The second person posts it, or refuses. Raises what `send_once` does."""
    body = CheckAdjustment(approve=approve, note=note, version=seen.version)
    return await _adjust(engine, f"{_HERE}/adjustments/{seen.id}/check", body, initiator="adjustment.check")


async def withdraw_adjustment(engine: Engine, seen: Adjustment) -> Adjustment:
    """Take back what was proposed. Raises what `send_once` does."""
    body = WithdrawAdjustment(version=seen.version)
    return await _adjust(engine, f"{_HERE}/adjustments/{seen.id}/withdraw", body, initiator="adjustment.withdraw")


async def _adjust(
    engine: Engine, path: str, body: NewAdjustment | CheckAdjustment | WithdrawAdjustment, *, initiator: str
) -> Adjustment:
    done = await send_once(engine, Call("POST", path, body=body), Adjustment)
    engine.announce("adjustment", "ledger", "reconciled_day", initiator=initiator)
    return done


# --- disputes ---


async def list_disputes(
    engine: Engine, *, state: DisputeState | None = None, order: str | None = None, after: str | None = None
) -> Seen[Page[Dispute]]:
    """One page of disputes, of all orders or of one by its code, the newest first."""
    query = {"state": state, "order": order, "after": after}
    call = Call("GET", f"{_HERE}/disputes", query=query)
    return await look(engine, list_name=name_of("disputes", **query), call=call, answer=_DISPUTES)


async def dispute(engine: Engine, dispute_id: UUID) -> Seen[Dispute]:
    """One dispute as it is now."""
    call = Call("GET", f"{_HERE}/disputes/{dispute_id}")
    return await look(engine, list_name=name_of(f"dispute/{dispute_id}"), call=call, answer=_DISPUTE)


async def open_dispute(
    engine: Engine, *, dispute_id: UUID, order_code: str, amount_fen: Fen, channel_no: str, reason: str
) -> Dispute:
    """A complaint or chargeback came: the suppliers' shares of it are frozen. Repeated under its id it opens once.

    Raises NotAnOrderCode, and what `send_once` does.
    """
    code = _code(order_code)
    if code is None:
        raise NotAnOrderCode
    body = OpenDispute(id=dispute_id, order_code=code, amount_fen=amount_fen, channel_no=channel_no, reason=reason)
    return await _dispute(engine, f"{_HERE}/disputes", body, initiator="dispute.open")


async def close_dispute(engine: Engine, seen: Dispute, *, won: bool, fine_fen: Fen = 0, note: str) -> Dispute:
    """Say how it ended; done when another person says the same. Raises what `send_once` does."""
    body = CloseDispute(won=won, fine_fen=fine_fen, note=note, version=seen.version)
    return await _dispute(engine, f"{_HERE}/disputes/{seen.id}/close", body, initiator="dispute.close")


async def _dispute(engine: Engine, path: str, body: OpenDispute | CloseDispute, *, initiator: str) -> Dispute:
    done = await send_once(engine, Call("POST", path, body=body), Dispute)
    engine.announce("dispute", "ledger", "order", initiator=initiator)
    return done


def _code(typed: str) -> str | None:
    """The code of an order as typed, or None for nothing typed. Raises NotAnOrderCode."""
    if not typed:
        return None
    code = parse_order_code(typed)
    if code is None:
        raise NotAnOrderCode
    return code
