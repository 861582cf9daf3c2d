"""What programs that test a shop ask the sandbox for, in JSON below `/api/`: faults, payments, notifications.

    GET    /api/faults                 {"known", "calls", "orders"}
    POST   /api/faults                 {"name", "value", and optionally "channel", "merchant_id", "out_trade_no",
                                       "call", "times"}: 201 and the order; 400 when it makes no sense
    DELETE /api/faults                 204: all of them end; one with /api/faults/{id}
    GET    /api/payments               of `channel`, `merchant_id`, `out_trade_no` in the query, newest first
    POST   /api/payments               {"out_trade_no", "action", and optionally "channel", "merchant_id"}: what the
                                       button of the payment page does
    GET    /api/notifications          of `out_trade_no` in the query
    POST   /api/notifications/{id}/replay    202: it is sent once more, byte for byte, signed anew

Nothing here is signed or asks who calls: the sandbox listens on loopback. A request must be JSON, which no page of
another origin can send. Wired by `app.py`.
"""

from dataclasses import asdict
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from server.sandbox.buyer import ACTIONS
from server.sandbox.engine import Engine
from server.sandbox.fault_facts import FAULTS, BadValue
from server.sandbox.faults import CALLS, About, Order
from server.sandbox.moments import now_ms, rfc3339
from server.sandbox.records import Notification, Payment
from server.sandbox.web import NotUnderstood, read_json, refuse_json

_MOST_LISTED = 200


class _Asked(BaseModel):
    model_config = ConfigDict(extra="forbid")


class OrderFault(_Asked):
    """`POST /api/faults`."""

    name: str
    value: Annotated[str, Field(coerce_numbers_to_str=True)] = "1"
    channel: str = ""
    merchant_id: str = ""
    out_trade_no: str = ""
    call: str = ""
    times: int | None = None


class PressButton(_Asked):
    """`POST /api/payments`."""

    out_trade_no: str
    action: str = "pay"
    channel: str = ""
    merchant_id: str = ""


class TestingApi:
    """The addresses, over one engine."""

    __test__ = False  # its name is no test's

    def __init__(self, engine: Engine, *, base_url: str) -> None:
        """`base_url` is where buyers reach this sandbox."""
        self._engine = engine
        self._base_url = base_url

    def routes(self) -> list[Route]:
        """Return the addresses."""
        return [
            Route("/api/faults", self._list_faults, methods=["GET"]),
            Route("/api/faults", self._order_fault, methods=["POST"]),
            Route("/api/faults", self._end_faults, methods=["DELETE"]),
            Route("/api/faults/{order_id:int}", self._end_fault, methods=["DELETE"]),
            Route("/api/payments", self._list_payments, methods=["GET"]),
            Route("/api/payments", self._press, methods=["POST"]),
            Route("/api/notifications", self._list_notifications, methods=["GET"]),
            Route("/api/notifications/{notification_id:int}/replay", self._replay, methods=["POST"]),
        ]

    async def _list_faults(self, _request: Request) -> Response:
        return JSONResponse(
            {
                "known": [asdict(fault) for fault in FAULTS],
                "calls": CALLS,
                "orders": [_shown_order(order) for order in self._engine.faults.orders()],
            }
        )

    async def _order_fault(self, request: Request) -> Response:
        try:
            wanted = await read_json(request, OrderFault)
            about = About(wanted.channel, wanted.merchant_id, wanted.out_trade_no, wanted.call)
            made = self._engine.faults.order(Order(about, wanted.name, wanted.value, wanted.times))
        except NotUnderstood as error:
            return refuse_json(error.what)
        except BadValue as bad:
            return refuse_json(bad.name)
        return JSONResponse(_shown_order(made), 201)

    async def _end_faults(self, _request: Request) -> Response:
        self._engine.faults.cancel_all()
        return Response(status_code=204)

    async def _end_fault(self, request: Request) -> Response:
        ended = self._engine.faults.cancel(request.path_params["order_id"])
        return Response(status_code=204 if ended else 404)

    async def _list_payments(self, request: Request) -> Response:
        wanted = {name: request.query_params.get(name, "") for name in ("channel", "merchant_id", "out_trade_no")}
        return JSONResponse({"payments": [self._shown_payment(one) for one in self._payments(**wanted)]})

    async def _press(self, request: Request) -> Response:
        try:
            wanted = await read_json(request, PressButton)
        except NotUnderstood as error:
            return refuse_json(error.what)
        action = ACTIONS.get(wanted.action)
        if action is None:
            return refuse_json("action")
        owner = {"channel": wanted.channel, "merchant_id": wanted.merchant_id, "out_trade_no": wanted.out_trade_no}
        first = [payment for payment in self._payments(**owner) if payment.repeat == 0]
        if len(first) != 1:
            return JSONResponse({"error": "out_trade_no", "found": len(first)}, 404)
        action(self._engine, first[0])
        return JSONResponse({"payments": [self._shown_payment(one) for one in self._payments(**owner)]})

    async def _list_notifications(self, request: Request) -> Response:
        number = request.query_params.get("out_trade_no", "")
        payments = reversed(self._payments(channel="", merchant_id="", out_trade_no=number))
        listed = [_shown_notification(one) for payment in payments for one in self._engine.mailbox.of(payment)]
        return JSONResponse({"notifications": listed[:_MOST_LISTED]})

    async def _replay(self, request: Request) -> Response:
        sent = self._engine.replay(request.path_params["notification_id"])
        return Response(status_code=202 if sent else 404)

    def _payments(self, *, channel: str, merchant_id: str, out_trade_no: str) -> list[Payment]:
        return self._engine.store.payments_like(
            channel=channel, merchant_id=merchant_id, out_trade_no=out_trade_no, limit=_MOST_LISTED
        )

    def _shown_payment(self, payment: Payment) -> dict[str, object]:
        now = now_ms()
        return {
            "channel": payment.channel,
            "merchant_id": payment.merchant_id,
            "app_id": payment.app_id,
            "product": payment.product,
            "out_trade_no": payment.out_trade_no,
            "amount_fen": payment.amount_fen,
            "state": payment.state_at(now),
            "trade_no": payment.trade_no,
            "paid_fen": payment.paid_fen,
            "paid_at": rfc3339(payment.paid_at_ms) if payment.paid_at_ms is not None else None,
            "refunded_fen": self._engine.store.refunded_fen(payment),
            "repeat": payment.repeat,
            "page": f"{self._base_url}/pay/{payment.token}",
        }


def _shown_order(order: Order) -> dict[str, object]:
    scope = {name: value for name, value in asdict(order.about).items() if value}
    times = {} if order.times_left is None else {"times": order.times_left}
    return {"id": order.id, "name": order.name, "value": order.value, **scope, **times}


def _shown_notification(notification: Notification) -> dict[str, object]:
    return {
        "id": notification.id,
        "event_id": notification.event_id,
        "copy": notification.copy,
        "about": "payment" if notification.refund_id is None else "refund",
        "url": notification.url,
        "state": notification.state,
        "attempts": notification.attempts,
        "last_outcome": notification.last_outcome,
    }
