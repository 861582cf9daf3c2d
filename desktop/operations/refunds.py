"""Refunds: lists by state and by whose turn it is, and what supplier, shop and finance say to one."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal
from uuid import UUID

from pydantic import TypeAdapter

from desktop.engine.engine import Engine
from desktop.engine.transport import Call
from desktop.operations.once import send_once
from desktop.operations.seen import Seen, look, name_of
from shared.contracts.base import Page, Request
from shared.contracts.orders import IDEMPOTENCY_HEADER, Order
from shared.contracts.payments import (
    AnswerRefund,
    CheckRefund,
    DecideRefund,
    Refund,
    RefundPicture,
    RetryRefund,
    StartRefund,
)
from shared.errors import BadField
from shared.sentence import Sentence
from shared.states import RefundState, RefundTurn

_PAGE: TypeAdapter[Page[Refund]] = TypeAdapter(Page[Refund])
_ONE: TypeAdapter[Refund] = TypeAdapter(Refund)
_MOST_READ = 2 * 1024 * 1024 + 1


async def list_refunds(
    engine: Engine,
    *,
    state: RefundState | None = None,
    turns: Sequence[RefundTurn] = (),
    order_code: str | None = None,
    after: str | None = None,
) -> Seen[Page[Refund]]:
    """One page of refunds, newest first; `turns` narrows to those that one of these parties has to act on."""
    query = {"state": state, "order": order_code, "after": after}
    call = Call("GET", "/api/refunds", query=query | {"turn": [turn.value for turn in turns]})
    name = name_of("refunds", **query, turn=",".join(turns))
    return await look(engine, list_name=name, call=call, answer=_PAGE)


async def one(engine: Engine, refund_id: UUID) -> Seen[Refund]:
    """One refund as it is now, with its whole story."""
    call = Call("GET", f"/api/refunds/{refund_id}")
    return await look(engine, list_name=name_of(f"refund/{refund_id}"), call=call, answer=_ONE)


async def picture(engine: Engine, refund_id: UUID, image_id: UUID) -> bytes:
    """One image beside a refund. It is not remembered: it may show a key."""
    call = Call("GET", f"/api/refunds/{refund_id}/images/{image_id}")
    return (await engine.session.ask(call, RefundPicture)).content


async def show(engine: Engine, refund_id: UUID, files: Sequence[Path]) -> Refund:
    """Show images beside a refund, one after the other; answers it with the last. Raises what `send_once` does.

    BadField for a file that cannot be read; what an image may be, the server says.
    """
    for file in files:
        call = Call("POST", f"/api/refunds/{refund_id}/images", body=await asyncio.to_thread(_read, file))
        done = await send_once(engine, call, Refund)
        engine.announce("refund", initiator="refund.show")
    return done


def _read(file: Path) -> bytes:
    """The file, or of one that is far too large enough for the server to say so."""
    try:
        with file.open("rb") as opened:
            return opened.read(_MOST_READ)
    except OSError as error:
        words = Sentence(f"无法读取：{error.strerror}", f"it cannot be read: {error.strerror}")
        raise BadField(field=file.name, reason=words) from error


async def start(
    engine: Engine,
    order: Order,
    *,
    key: str,
    reason: str,
    quantity: int | None = None,
    amount_fen: int | None = None,
) -> Refund:
    """Give money of an order back: all that is left unless `quantity` or `amount_fen` say less.

    Whoever tries again with the same `key` gets the refund that was made. Raises what `send_once` does.
    """
    body = StartRefund(quantity=quantity, amount_fen=amount_fen, reason=reason, version=order.version)
    path, headers = f"/api/orders/{order.code}/refunds", {IDEMPOTENCY_HEADER: key}
    return await _say(engine, path, body, initiator="refund.start", headers=headers)


async def answer(
    engine: Engine, refund: Refund, reply: Literal["agree", "replace", "refuse"], *, evidence: str
) -> Refund:
    """What the supplier says. Raises what `send_once` does."""
    body = AnswerRefund(answer=reply, evidence=evidence, version=refund.version)
    return await _say(engine, f"/api/refunds/{refund.id}/answer", body, initiator="refund.answer")


async def decide(engine: Engine, refund: Refund, *, approve: bool, replace: bool = False, reason: str) -> Refund:
    """What the shop decides. Raises what `send_once` does."""
    body = DecideRefund(approve=approve, replace=replace, reason=reason, version=refund.version)
    return await _say(engine, f"/api/refunds/{refund.id}/decide", body, initiator="refund.decide")


async def check(engine: Engine, refund: Refund, *, approve: bool, note: str) -> Refund:
    """Finance lets it go, or stops it. Raises what `send_once` does."""
    body = CheckRefund(approve=approve, note=note, version=refund.version)
    return await _say(engine, f"/api/refunds/{refund.id}/check", body, initiator="refund.check")


async def retry(engine: Engine, refund: Refund) -> Refund:
    """Ask the channel once more under the same number. Raises what `send_once` does."""
    body = RetryRefund(version=refund.version)
    return await _say(engine, f"/api/refunds/{refund.id}/retry", body, initiator="refund.retry")


async def _say(
    engine: Engine, path: str, body: Request, *, initiator: str, headers: Mapping[str, str] | None = None
) -> Refund:
    done = await send_once(engine, Call("POST", path, body=body, headers=headers or {}), Refund)
    engine.announce("refund", "order", "exception", initiator=initiator)
    return done
