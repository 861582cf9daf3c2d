"""The dialect `sandbox`, the sandbox's own simple protocol at `/v1`: its calls, its notifications, its merchants.

Each answer, refusals too, is signed, and sent only after the store committed what it says; the wire format is described
in `own_wire.py`. Files: `sandbox_private.pem` and `sandbox_public.pem` in the data folder, `merchants/<id>.pem`.
"""

import json
import logging
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from server.sandbox.calls import Calls, Said, named_in
from server.sandbox.dialect import RETRY_AFTER_SECONDS, ListedMerchant, Message, Notice, Told
from server.sandbox.engine import Engine
from server.sandbox.faults import About
from server.sandbox.keys import load_or_make_pair
from server.sandbox.merchants import Register
from server.sandbox.moments import now_ms, rfc3339
from server.sandbox.own_wire import (
    CHANNEL,
    CreatePayment,
    CreateRefund,
    IncomingRequest,
    Merchant,
    SignatureRefused,
    authenticate,
    encode,
    payment_announcement,
    read_merchant,
    sign_outgoing,
)
from server.sandbox.people import number_of
from server.sandbox.records import (
    AlreadyPaid,
    AmountExceeded,
    BalanceTooLow,
    Notification,
    NotPaid,
    NumberUsed,
    Payment,
    Refund,
    Signing,
)
from server.sandbox.web import BodyTooLarge, read_body, reader_language
from server.sandbox.words import sentence

log = logging.getLogger("server.sandbox.own")

LARGEST_REQUEST_BYTES = 65_536
Body = TypeVar("Body", bound=BaseModel)
Content = dict[str, object]


class Refused(Exception):
    """A request that gets a 4xx; `message_key` is a key of `words.SENTENCES`."""

    def __init__(self, status: int, code: str, message_key: str, *, detail: str = "") -> None:
        """Keep what the merchant is told."""
        super().__init__(code)
        self.status = status
        self.code = code
        self.message_key = message_key
        self.detail = detail


@dataclass(frozen=True, slots=True)
class _Asked:
    """A call whose signature holds."""

    request: Request
    merchant: Merchant
    body: bytes


_Endpoint = Callable[[_Asked], Content]


class OwnDialect:
    """See `dialect.Dialect`."""

    channel = CHANNEL
    label = ("沙箱收银台", "Sandbox checkout")
    prefix = "/v1/"
    retry_after_seconds = RETRY_AFTER_SECONDS
    answer_within_seconds = 10.0

    def __init__(self, engine: Engine, data_folder: Path, base_url: str) -> None:
        """Load the keys, making them at the first start. Raises KeyFileUnusable or OSError."""
        self._engine = engine
        self._store = engine.store
        self._calls = Calls(engine.faults)
        self._base_url = base_url
        self._data_folder = data_folder
        self._key = load_or_make_pair(data_folder, "sandbox")
        self._register = Register(data_folder / "merchants", suffix=".pem", read=read_merchant)

    def merchants(self) -> list[ListedMerchant]:
        """See `Dialect.merchants`."""
        return [ListedMerchant(merchant.merchant_id, merchant.name) for merchant in self._register.all()]

    def merchant_name(self, merchant_id: str) -> str:
        """See `Dialect.merchant_name`."""
        merchant = self._register.find(merchant_id)
        return merchant.name if merchant else merchant_id

    def ready(self) -> dict[str, object]:
        """See `Dialect.ready`."""
        return {
            "public_key": str(self._data_folder / "sandbox_public.pem"),
            "merchants": str(self._data_folder / "merchants"),
        }

    def return_url(self, payment: Payment) -> str:
        """See `Dialect.return_url`."""
        return payment.return_url

    def trade_no(self, payment: Payment, now_ms: int) -> str:  # noqa: ARG002 - other channels' numbers say more
        """See `Dialect.trade_no`."""
        return f"SP{now_ms}{secrets.randbelow(10**8):08d}"

    def refund_no(self, payment: Payment, now_ms: int) -> str:  # noqa: ARG002 - other channels' numbers say more
        """See `Dialect.refund_no`."""
        return f"SR{now_ms}{secrets.randbelow(10**8):08d}"

    def payer(self, payment: Payment, person: str) -> str:  # noqa: ARG002 - anybody may pay
        """See `Dialect.payer`."""
        return f"sandbox-buyer-{number_of(person, digits=8)}"

    # Notifications

    def payment_notice(self, payment: Payment, told: Told) -> Notice | None:
        """See `Dialect.payment_notice`."""
        return Notice(payment.notify_url, payment_announcement(told.claimed, event_id=told.event_id))

    def refund_notice(self, payment: Payment, refund: Refund, told: Told) -> None:
        """This protocol tells of no refunds: merchants ask."""

    def message(self, notification: Notification) -> Message:
        """See `Dialect.message`; each delivery has its own timestamp and nonce."""
        about = About(notification.channel, notification.merchant_id, notification.out_trade_no)
        at_ms = self._engine.clock_ms(about)
        signed = sign_outgoing(self._key, notification.body, signing=notification.signing, at_ms=at_ms)
        return Message("POST", notification.url, {"Content-Type": "application/json", **signed}, notification.body)

    def acknowledges(self, status: int, body: bytes) -> bool:
        """Whether an answer means "I have it": 200 and `{"code":"SUCCESS"}`, nothing less."""
        if status != 200:
            return False
        try:
            answer = json.loads(body)
        except ValueError:
            return False
        return isinstance(answer, dict) and answer.get("code") == "SUCCESS"

    # Calls

    def routes(self) -> list[Route]:
        """See `Dialect.routes`."""
        return [
            Route("/v1/health", self._health, methods=["GET"]),
            Route("/v1/payments", self._signed("create", self._create_payment), methods=["POST"]),
            Route("/v1/payments/{out_trade_no}", self._signed("query", self._query_payment), methods=["GET"]),
            Route("/v1/payments/{out_trade_no}/close", self._signed("close", self._close_payment), methods=["POST"]),
            Route("/v1/refunds", self._signed("refund", self._create_refund), methods=["POST"]),
            Route("/v1/refunds/{out_refund_no}", self._signed("query_refund", self._query_refund), methods=["GET"]),
        ]

    def lost(self, request: Request, status: int) -> Response:
        """See `Dialect.lost`."""
        known = {404: ("NOT_FOUND", "no_such_address"), 405: ("METHOD_NOT_ALLOWED", "wrong_method")}
        code, message_key = known.get(status, ("PARAM_ERROR", "internal_error"))
        return self._seal(_refusal(request, Refused(status, code, message_key)), "right", About(CHANNEL))

    async def _health(self, _request: Request) -> Response:
        return Response(encode({"status": "ok"}), media_type="application/json")

    def _seal(self, said: Said, signing: Signing, about: About) -> Response:
        """The bytes that are signed are the bytes that are sent."""
        signed = sign_outgoing(self._key, said.body, signing=signing, at_ms=self._engine.clock_ms(about))
        headers = {"Cache-Control": "no-store", **signed}
        return Response(said.body, status_code=said.status, headers=headers, media_type="application/json")

    def _signed(self, call: str, endpoint: _Endpoint) -> Callable[[Request], Awaitable[Response]]:
        """Let only signed requests reach `endpoint`, and turn what it says into a signed response."""

        async def serve(request: Request) -> Response:
            about = About(CHANNEL, call=call)
            try:
                body = await read_body(request, largest_bytes=LARGEST_REQUEST_BYTES)
                merchant = self._authenticate(request, body)
            except BodyTooLarge:
                return self._seal(_refusal(request, Refused(413, "TOO_LARGE", "too_large")), "right", about)
            except ClientDisconnect:
                return Response(status_code=400)  # nobody is left to read it
            except Refused as refused:
                return self._seal(_refusal(request, refused), "right", about)
            asked = _Asked(request, merchant, body)
            about = About(CHANNEL, merchant.merchant_id, self._about_number(asked), call)
            return await self._calls.answer(
                request,
                about,
                work=lambda: self._do(endpoint, asked),
                seal=lambda said, signing: self._seal(said, signing, about),
                failed=lambda status: _refusal(request, Refused(status, "INTERNAL", "internal_error")),
            )

        return serve

    def _do(self, endpoint: _Endpoint, asked: _Asked) -> Said:
        try:
            return Said(200, encode(endpoint(asked)))
        except Refused as refused:
            return _refusal(asked.request, refused)
        except Exception:
            # The boundary of the process: a merchant gets a signed 500, the log gets the reason.
            log.exception("%s %s failed", asked.request.method, asked.request.url.path)
            return _refusal(asked.request, Refused(500, "INTERNAL", "internal_error"))

    def _about_number(self, asked: _Asked) -> str:
        """The number of the payment that a call is about."""
        path = asked.request.path_params
        if "out_refund_no" in path:
            refund = self._find_refund(asked)
            return refund.out_trade_no if refund else ""
        return str(path.get("out_trade_no") or named_in(asked.body, "out_trade_no"))

    def _authenticate(self, request: Request, body: bytes) -> Merchant:
        target: bytes = request.scope["raw_path"]
        if request.scope["query_string"]:
            target += b"?" + request.scope["query_string"]
        incoming = IncomingRequest(method=request.method, target=target, headers=request.headers, body=body)
        try:
            return authenticate(
                incoming,
                merchants=self._register,
                store=self._store,
                clock_ms=lambda merchant_id: self._engine.clock_ms(About(CHANNEL, merchant_id)),
            )
        except SignatureRefused as refused:
            raise Refused(401, "SIGN_ERROR", refused.reason) from refused

    # Payments

    def _create_payment(self, asked: _Asked) -> Content:
        wanted = _parse(CreatePayment, asked.body)
        if wanted.merchant_id != asked.merchant.merchant_id:
            raise Refused(400, "PARAM_ERROR", "foreign_merchant")
        new = wanted.asked()
        known = self._find_payment(asked, new.out_trade_no)
        if known is None and new.expires_at_ms <= now_ms():
            raise Refused(400, "PARAM_ERROR", "expired_already")
        try:
            payment = self._engine.open(new)
        except NumberUsed as error:
            raise Refused(409, "OUT_TRADE_NO_USED", "out_trade_no_used") from error
        pay_url = f"{self._base_url}/pay/{payment.token}"
        return {
            "out_trade_no": payment.out_trade_no,
            "pay_url": pay_url,
            "qr_text": pay_url,
            "state": _public_state(payment, now_ms()),
        }

    def _query_payment(self, asked: _Asked) -> Content:
        payment = self._payment(asked, asked.request.path_params["out_trade_no"])
        state = _public_state(payment, now_ms())
        is_paid = state == "paid" and payment.paid_at_ms is not None
        return {
            "out_trade_no": payment.out_trade_no,
            "state": state,
            "trade_no": payment.trade_no if is_paid else None,
            "amount_fen": payment.paid_fen if is_paid else payment.amount_fen,
            "currency": payment.currency,
            "merchant_id": payment.merchant_id,
            "paid_at": rfc3339(payment.paid_at_ms) if is_paid and payment.paid_at_ms is not None else None,
        }

    def _close_payment(self, asked: _Asked) -> Content:
        payment = self._payment(asked, asked.request.path_params["out_trade_no"])
        try:
            self._engine.close(payment)
        except AlreadyPaid as error:
            raise Refused(409, "ALREADY_PAID", "already_paid") from error
        return {"state": "closed"}

    def _payment(self, asked: _Asked, out_trade_no: str) -> Payment:
        payment = self._find_payment(asked, out_trade_no)
        if payment is None:
            raise Refused(404, "NOT_FOUND", "payment_not_found")
        return payment

    def _find_payment(self, asked: _Asked, out_trade_no: str) -> Payment | None:
        return self._store.find_payment(
            channel=CHANNEL, merchant_id=asked.merchant.merchant_id, out_trade_no=out_trade_no
        )

    # Refunds

    def _create_refund(self, asked: _Asked) -> Content:
        wanted = _parse(CreateRefund, asked.body)
        payment = self._payment(asked, wanted.out_trade_no)
        try:
            refund = self._engine.refund(
                payment, out_refund_no=wanted.out_refund_no, amount_fen=wanted.amount_fen, reason=wanted.reason
            )
        except NumberUsed as error:
            raise Refused(409, "OUT_REFUND_NO_USED", "out_refund_no_used") from error
        except NotPaid as error:
            raise Refused(409, "NOT_PAID", "not_paid") from error
        except AmountExceeded as error:
            raise Refused(409, "AMOUNT_EXCEEDED", "amount_exceeded") from error
        except BalanceTooLow as error:
            raise Refused(409, "NOT_ENOUGH_BALANCE", "balance_too_low") from error
        return _refund_answer(refund, now_ms())

    def _query_refund(self, asked: _Asked) -> Content:
        refund = self._find_refund(asked)
        if refund is None:
            raise Refused(404, "NOT_FOUND", "refund_not_found")
        return _refund_answer(refund, now_ms())

    def _find_refund(self, asked: _Asked) -> Refund | None:
        return self._store.find_refund(
            channel=CHANNEL,
            merchant_id=asked.merchant.merchant_id,
            out_refund_no=asked.request.path_params["out_refund_no"],
        )


def _public_state(payment: Payment, at_ms: int) -> str:
    """Return the state in the protocol's words: money on its way is not yet known to be paid."""
    state = payment.state_at(at_ms)
    return "pending" if state == "processing" else state


def _refund_answer(refund: Refund, at_ms: int) -> Content:
    state = refund.state_at(at_ms)
    return {
        "out_refund_no": refund.out_refund_no,
        "refund_no": refund.refund_no,
        "out_trade_no": refund.out_trade_no,
        "amount_fen": refund.amount_fen,
        "state": "failed" if state in ("abnormal", "closed") else state,
    }


def _refusal(request: Request, refused: Refused) -> Said:
    """A refusal in the caller's language."""
    message = sentence(refused.message_key, reader_language(request), detail=refused.detail)
    return Said(refused.status, encode({"code": refused.code, "message": message}))


def _parse(model: type[Body], body: bytes) -> Body:
    """Return the request's content. Raises Refused naming the first field that is wrong, never its value."""
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        field = ".".join(str(part) for part in first["loc"]) or "body"
        raise Refused(400, "PARAM_ERROR", "bad_request", detail=f"{field}: {first['msg']}") from error
