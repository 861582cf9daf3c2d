"""The tester's page: scan a code, see payments and notifications, order faults and end them. No script, no cookie.

`/` is the page; its forms post back to it with `action=order|end|end_all|replay` and lead back to it. `/scan?code=` is
where a code is held in front of the sandbox: whatever text has a payment's token in it leads to that payment's page.
What it does, programs do through `testing_api.py`. Wired by `app.py`.
"""

import re
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from server.sandbox.engine import Engine
from server.sandbox.fault_facts import BY_NAME, FAULTS, BadValue, Fault
from server.sandbox.faults import CALLS, About, Order
from server.sandbox.moments import now_ms
from server.sandbox.records import Payment
from server.sandbox.rendering import Rendering, in_language
from server.sandbox.web import BodyTooLarge, read_form, reader_language

_TOKEN = re.compile(r"[0-9A-Za-z_-]{32}")
_MOST_LISTED = 20
_SCOPE_MARK = "/"


@dataclass(frozen=True, slots=True)
class _Scope:
    """Whom an order may be for, as the page offers it."""

    value: str
    label: str


class Panel:
    """The tester's page, over one engine."""

    def __init__(self, engine: Engine, rendering: Rendering) -> None:
        """Show and change what `engine` knows."""
        self._engine = engine
        self._rendering = rendering

    def routes(self) -> list[Route]:
        """Return the addresses."""
        return [
            Route("/", self._show, methods=["GET"]),
            Route("/", self._submit, methods=["POST"]),
            Route("/scan", self._scan, methods=["GET"]),
        ]

    async def _scan(self, request: Request) -> Response:
        for token in _TOKEN.findall(request.query_params.get("code", "")):
            if self._engine.store.payment_by_token(token) is not None:
                return self._rendering.go_to(f"/pay/{token}")
        return self._rendering.problem(request, 404, "not_found")

    async def _show(self, request: Request) -> Response:
        engine, now = self._engine, now_ms()
        return self._rendering.page(
            request,
            "panel.html",
            payments=[
                (payment, self._label(request, payment.channel), self._merchant_name(payment), payment.state_at(now))
                for payment in engine.store.payments_like(limit=_MOST_LISTED)
            ],
            orders=[(order, BY_NAME[order.name], self._covered(request, order)) for order in engine.faults.orders()],
            notifications=engine.mailbox.recent(limit=_MOST_LISTED),
            groups=_grouped(FAULTS),
            scopes=self._scopes(request),
            calls=CALLS,
            chosen=request.query_params.get("scope", ""),
            number=request.query_params.get("out_trade_no", ""),
        )

    async def _submit(self, request: Request) -> Response:
        try:
            form = await read_form(request)
            self._act(form)
        except BodyTooLarge:
            return self._rendering.problem(request, 413, "bad_form", field="-")
        except BadValue as bad:
            fault = BY_NAME.get(bad.name)
            field = in_language(reader_language(request), (fault.zh, fault.en)) if fault else bad.name
            return self._rendering.problem(request, 400, "bad_form", field=field)
        except ValueError:
            return self._rendering.problem(request, 400, "bad_form", field="-")
        return self._rendering.go_to("/")

    def _act(self, form: dict[str, str]) -> None:
        """Do what a button says. Raises BadValue or ValueError."""
        action = form.get("action", "")
        if action == "order":
            self._order(form)
        elif action == "end":
            self._engine.faults.cancel(int(form.get("id", "")))
        elif action == "end_all":
            self._engine.faults.cancel_all()
        elif action == "replay":
            self._engine.replay(int(form.get("id", "")))
        else:
            raise BadValue("action")

    def _order(self, form: dict[str, str]) -> None:
        channel, _, merchant_id = form.get("scope", "").partition(_SCOPE_MARK)
        number, call, times = (form.get(name, "").strip() for name in ("out_trade_no", "call", "times"))
        about = About(channel, merchant_id, number, call)
        value = form.get("value", "").strip() or "1"
        self._engine.faults.order(Order(about, form.get("name", ""), value, int(times) if times else None))

    def _scopes(self, request: Request) -> list[_Scope]:
        scopes = []
        for dialect in self._engine.dialects.values():
            label = self._label(request, dialect.channel)
            scopes.append(_Scope(dialect.channel, label))
            scopes += [
                _Scope(f"{dialect.channel}{_SCOPE_MARK}{one.merchant_id}", f"{label} · {one.name}")
                for one in dialect.merchants()
            ]
        return scopes

    def _covered(self, request: Request, order: Order) -> str:
        about = order.about
        channel = self._label(request, about.channel) if about.channel else ""
        times = f"×{order.times_left}" if order.times_left is not None else ""
        return " · ".join(filter(None, (channel, about.merchant_id, about.out_trade_no, about.call, times)))

    def _label(self, request: Request, channel: str) -> str:
        dialect = self._engine.dialects.get(channel)
        return in_language(reader_language(request), dialect.label) if dialect else channel

    def _merchant_name(self, payment: Payment) -> str:
        dialect = self._engine.dialects.get(payment.channel)
        return dialect.merchant_name(payment.merchant_id) if dialect else payment.merchant_id


def _grouped(faults: tuple[Fault, ...]) -> dict[str, list[Fault]]:
    groups: dict[str, list[Fault]] = {}
    for fault in faults:
        groups.setdefault(fault.group, []).append(fault)
    return groups
