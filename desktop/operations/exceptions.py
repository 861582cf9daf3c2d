"""Money and orders that need a person: the list, and what two people do about one."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from pydantic import TypeAdapter

from desktop.engine.engine import Engine
from desktop.engine.transport import Call
from desktop.operations.once import send_once
from desktop.operations.seen import Seen, look, name_of
from shared.contracts.base import Page
from shared.contracts.orders import Order
from shared.contracts.payments import (
    PROVIDER_NO,
    ApproveAction,
    Candidate,
    ConfirmPayment,
    PaymentException,
    ProposeAction,
)
from shared.errors import BadField, NotAnOrderCode
from shared.ids import parse_order_code
from shared.money import Fen
from shared.sentence import Sentence
from shared.states import ExceptionAction, ExceptionKind, ExceptionState

_PAGE: TypeAdapter[Page[PaymentException]] = TypeAdapter(Page[PaymentException])
_ONE: TypeAdapter[PaymentException] = TypeAdapter(PaymentException)
_CANDIDATES: TypeAdapter[list[Candidate]] = TypeAdapter(list[Candidate])
_TOUCHED = ("exception", "refund", "order")


async def list_exceptions(
    engine: Engine,
    *,
    open_only: bool = True,
    state: ExceptionState | None = None,
    kind: ExceptionKind | None = None,
    channel: str | None = None,
    after: str | None = None,
) -> Seen[Page[PaymentException]]:
    """One page of exceptions, oldest first."""
    query = {"open": str(open_only).lower(), "state": state, "kind": kind, "channel": channel, "after": after}
    call = Call("GET", "/api/exceptions", query=query)
    return await look(engine, list_name=name_of("exceptions", **query), call=call, answer=_PAGE)


async def one(engine: Engine, exception_id: UUID) -> Seen[PaymentException]:
    """One exception as it is now."""
    call = Call("GET", f"/api/exceptions/{exception_id}")
    return await look(engine, list_name=name_of(f"exception/{exception_id}"), call=call, answer=_ONE)


async def candidates(engine: Engine, exception_id: UUID) -> Seen[list[Candidate]]:
    """The unpaid orders that its money may be meant for, the nearest in time first."""
    call = Call("GET", f"/api/exceptions/{exception_id}/candidates")
    return await look(engine, list_name=name_of(f"exception/{exception_id}/candidates"), call=call, answer=_CANDIDATES)


@dataclass(frozen=True, slots=True)
class Named:
    """What an action names, as it was typed: an order to pay; the channel's number of what was seen there, how much."""

    order_code: str = ""
    provider_no: str = ""
    amount_fen: Fen | None = None


async def propose(
    engine: Engine, exception: PaymentException, action: ExceptionAction, *, note: str, named: Named = Named()
) -> PaymentException:
    """Say what should be done about `exception` as it was seen. What needs one person only is done at once.

    Raises NotAnOrderCode, BadField for a number that cannot be one, and what `send_once` does.
    """
    code = parse_order_code(named.order_code) if action is ExceptionAction.ATTACH else None
    if action is ExceptionAction.ATTACH and code is None:
        raise NotAnOrderCode
    number = _number(named.provider_no) if named.provider_no else None
    body = ProposeAction(
        action=action,
        note=note,
        order_code=code,
        provider_no=number,
        amount_fen=named.amount_fen,
        version=exception.version,
    )
    call = Call("POST", f"/api/exceptions/{exception.id}/propose", body=body)
    done = await send_once(engine, call, PaymentException)
    engine.announce(*_TOUCHED, initiator="exception.propose")
    return done


async def confirm_payment(
    engine: Engine, order: Order, *, channel: str, provider_no: str, amount_fen: Fen, note: str
) -> PaymentException:
    """Propose that an order was paid, as a channel's own console shows; another person approves it as an exception.

    Raises BadField for what cannot be a number, and what `send_once` does.
    """
    body = ConfirmPayment(channel=channel, provider_no=_number(provider_no), amount_fen=amount_fen, note=note)
    call = Call("POST", f"/api/orders/{order.code}/confirm", body=body)
    done = await send_once(engine, call, PaymentException)
    engine.announce(*_TOUCHED, initiator="order.confirm")
    return done


def _number(typed: str) -> str:
    if not PROVIDER_NO.fullmatch(typed):
        why = Sentence("4 到 64 位字母、数字或符号，中间没有空格", "4 to 64 characters without blanks")
        raise BadField(field="provider_no", reason=why)
    return typed


async def approve(engine: Engine, exception: PaymentException, *, approved: bool, note: str) -> PaymentException:
    """The second person says yes, and it is done, or sends it back. Raises what `send_once` does."""
    body = ApproveAction(approved=approved, note=note, version=exception.version)
    call = Call("POST", f"/api/exceptions/{exception.id}/approve", body=body)
    done = await send_once(engine, call, PaymentException)
    engine.announce(*_TOUCHED, initiator="exception.approve")
    return done
