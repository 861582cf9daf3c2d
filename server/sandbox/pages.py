"""What the buyer sees: the payment page, its result, and the few faults of testers on it. No script, no cookie.

`POST /pay/{token}` with `action=pay|late|again|insufficient|cancel|resend` always ends in a 303 to the result page.
A field `fault_NAME` orders that fault (`fault_facts.py`) for this payment first; it may be left out or empty. Programs
that drive the sandbox post the same form. Wired by `app.py`; a 303 after paying is sent only after the store committed.
"""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from server.sandbox.buyer import ACTIONS
from server.sandbox.engine import Engine, about_payment
from server.sandbox.fault_facts import FAULTS, BadValue, fault_named
from server.sandbox.faults import Order
from server.sandbox.moments import now_ms
from server.sandbox.records import Payment
from server.sandbox.rendering import Rendering
from server.sandbox.web import BodyTooLarge, read_form, reader_language


class Pages:
    """The buyer's pages, over one engine."""

    def __init__(self, engine: Engine, rendering: Rendering) -> None:
        """Show what `engine` knows."""
        self._engine = engine
        self._store = engine.store
        self._rendering = rendering

    def routes(self) -> list[Route]:
        """Return the addresses of the pages."""
        return [
            Route("/pay/{token}", self.show, methods=["GET"]),
            Route("/pay/{token}", self.submit, methods=["POST"]),
            Route("/pay/{token}/result", self.show_result, methods=["GET"]),
        ]

    async def show(self, request: Request) -> Response:
        """Ask for the payment; once there is nothing left to ask, lead to the result."""
        payment = self._store.payment_by_token(request.path_params["token"])
        if payment is None:
            return self._problem(request, 404, "not_found")
        payment = self._store.mark_scanned(payment, now_ms=now_ms())
        if payment.state_at(now_ms()) != "pending":
            return self._to_result(payment)
        return self._rendering.page(
            request,
            "pay.html",
            payment=payment,
            merchant_name=self._merchant_name(payment),
            channel=self._channel(payment),
            quick_faults=[fault for fault in FAULTS if fault.quick],
        )

    async def submit(self, request: Request) -> Response:
        """Do what a button says; see the file's docstring."""
        try:
            form = await read_form(request)
        except BodyTooLarge:
            return self._problem(request, 413, "bad_form", field="-")
        except ValueError:
            return self._problem(request, 400, "bad_form", field="-")
        payment = self._store.payment_by_token(request.path_params["token"])
        if payment is None:
            return self._problem(request, 404, "not_found")

        action = ACTIONS.get(form.get("action", ""))
        if action is None:
            return self._problem(request, 400, "bad_form", field="action")
        try:
            self._order_faults(payment, form)
        except BadValue as bad:
            return self._problem(request, 400, "bad_form", field=self._label(request, bad.name))
        action(self._engine, payment)
        refused = "?refused=1" if form["action"] == "insufficient" else ""
        return self._to_result(payment, refused)

    def _order_faults(self, payment: Payment, form: dict[str, str]) -> None:
        """All of the form's faults or none: a value out of range changes nothing. Raises BadValue."""
        wanted = {
            name.removeprefix("fault_"): value
            for name, value in form.items()
            if name.startswith("fault_") and value.strip()
        }
        for name, value in wanted.items():
            fault_named(name).normal(value)
        for name, value in wanted.items():
            self._engine.faults.order(Order(about_payment(payment), name, value))

    def _label(self, request: Request, name: str) -> str:
        try:
            fault = fault_named(name)
        except BadValue:
            return name
        return fault.en if reader_language(request) == "en" else fault.zh

    async def show_result(self, request: Request) -> Response:
        """Say how the payment stands, lead back to the merchant, and show testers the deliveries."""
        payment = self._store.payment_by_token(request.path_params["token"])
        if payment is None:
            return self._problem(request, 404, "not_found")
        return self._rendering.page(
            request,
            "result.html",
            payment=payment,
            return_url=self._return_url(payment),
            state=payment.state_at(now_ms()),
            merchant_name=self._merchant_name(payment),
            channel=self._channel(payment),
            refunded_fen=self._store.refunded_fen(payment),
            refused="refused" in request.query_params,
            deliveries=self._engine.mailbox.of(payment),
        )

    def _channel(self, payment: Payment) -> tuple[str, str]:
        dialect = self._engine.dialects.get(payment.channel)
        return dialect.label if dialect else (payment.channel, payment.channel)

    def _merchant_name(self, payment: Payment) -> str:
        dialect = self._engine.dialects.get(payment.channel)
        return dialect.merchant_name(payment.merchant_id) if dialect else payment.merchant_id

    def _return_url(self, payment: Payment) -> str:
        dialect = self._engine.dialects.get(payment.channel)
        return dialect.return_url(payment) if dialect else payment.return_url

    def _to_result(self, payment: Payment, query: str = "") -> Response:
        return self._rendering.go_to(f"/pay/{payment.token}/result{query}")

    def _problem(self, request: Request, status: int, about: str, **values: object) -> Response:
        return self._rendering.problem(request, status, about, **values)
