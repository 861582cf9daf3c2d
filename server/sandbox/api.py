"""`/v1`: what merchants call. Each answer, refusals too, is signed; the wire format is described in `protocol.py`.

Wired by `app.py`. An answer is sent only after the store committed what it says.
"""

import asyncio
import contextlib
import logging
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from server.sandbox.keys import Merchant, MerchantRegister, SigningKey
from server.sandbox.moments import now_ms, rfc3339
from server.sandbox.protocol import (
    CHANNEL,
    CreatePayment,
    CreateRefund,
    IncomingRequest,
    SignatureRefused,
    authenticate,
    encode,
    sign_outgoing,
)
from server.sandbox.records import AlreadyPaid, AmountExceeded, NotPaid, NumberUsed, Payment, Refund
from server.sandbox.store import Store
from server.sandbox.web import BodyTooLarge, read_body, reader_language
from server.sandbox.words import sentence

log = logging.getLogger("server.sandbox.api")

LARGEST_REQUEST_BYTES = 65_536
Body = TypeVar("Body", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Answer:
    """What an endpoint says, and how late it says it (a fault that testers may choose)."""

    content: dict[str, object]
    delay_ms: int = 0


class Refused(Exception):
    """A request that gets a 4xx; `message_key` is a key of `words.SENTENCES`."""

    def __init__(self, status: int, code: str, message_key: str, *, detail: str = "", delay_ms: int = 0) -> None:
        """Keep what the merchant is told."""
        super().__init__(code)
        self.status = status
        self.code = code
        self.message_key = message_key
        self.detail = detail
        self.delay_ms = delay_ms


Endpoint = Callable[[Request, Merchant, bytes], Answer]


class Api:
    """The endpoints, over one store and one signing key."""

    def __init__(self, *, store: Store, key: SigningKey, merchants: MerchantRegister, base_url: str) -> None:
        """`base_url` is where buyers reach this sandbox, without a slash at its end."""
        self._store = store
        self._key = key
        self._merchants = merchants
        self._base_url = base_url

    def routes(self) -> list[Route]:
        """Return the addresses of the API."""
        return [
            Route("/v1/health", self.health, methods=["GET"]),
            Route("/v1/payments", self._signed(self._create_payment), methods=["POST"]),
            Route("/v1/payments/{out_trade_no}", self._signed(self._query_payment), methods=["GET"]),
            Route("/v1/payments/{out_trade_no}/close", self._signed(self._close_payment), methods=["POST"]),
            Route("/v1/refunds", self._signed(self._create_refund), methods=["POST"]),
            Route("/v1/refunds/{out_refund_no}", self._signed(self._query_refund), methods=["GET"]),
        ]

    async def health(self, _request: Request) -> Response:
        """Answer, unsigned, that the process serves."""
        return Response(encode({"status": "ok"}), media_type="application/json")

    def respond(self, status: int, content: dict[str, object]) -> Response:
        """Return a signed JSON answer; the bytes that are signed are the bytes that are sent."""
        body = encode(content)
        headers = {"Cache-Control": "no-store", **sign_outgoing(self._key, body)}
        return Response(body, status_code=status, headers=headers, media_type="application/json")

    def refuse(self, request: Request, refused: Refused) -> Response:
        """Return a signed refusal in the caller's language."""
        message = sentence(refused.message_key, reader_language(request), detail=refused.detail)
        return self.respond(refused.status, {"code": refused.code, "message": message})

    def _signed(self, endpoint: Endpoint) -> Callable[[Request], Awaitable[Response]]:
        """Let only signed requests reach `endpoint`, and turn what it says into a signed response."""

        async def serve(request: Request) -> Response:
            try:
                body = await read_body(request, largest_bytes=LARGEST_REQUEST_BYTES)
                merchant = self._authenticate(request, body)
                answer = endpoint(request, merchant, body)
            except BodyTooLarge:
                return self.refuse(request, Refused(413, "TOO_LARGE", "too_large"))
            except ClientDisconnect:
                return Response(status_code=400)  # nobody is left to read it
            except Refused as refused:
                await _hold_back(request, refused.delay_ms)
                return self.refuse(request, refused)
            except Exception:
                # The boundary of the process: a merchant gets a signed 500, the log gets the reason.
                log.exception("%s %s failed", request.method, request.url.path)
                return self.refuse(request, Refused(500, "INTERNAL", "internal_error"))
            await _hold_back(request, answer.delay_ms)
            return self.respond(200, answer.content)

        return serve

    def _authenticate(self, request: Request, body: bytes) -> Merchant:
        target: bytes = request.scope["raw_path"]
        if request.scope["query_string"]:
            target += b"?" + request.scope["query_string"]
        incoming = IncomingRequest(method=request.method, target=target, headers=request.headers, body=body)
        try:
            return authenticate(incoming, merchants=self._merchants, store=self._store)
        except SignatureRefused as refused:
            raise Refused(401, "SIGN_ERROR", refused.reason) from refused

    # Payments

    def _create_payment(self, _request: Request, merchant: Merchant, body: bytes) -> Answer:
        wanted = _parse(CreatePayment, body)
        if wanted.merchant_id != merchant.merchant_id:
            raise Refused(400, "PARAM_ERROR", "foreign_merchant")
        asked = wanted.asked()
        now = now_ms()
        known = self._find_payment(merchant, asked.out_trade_no)
        if known is None and asked.expires_at_ms <= now:
            raise Refused(400, "PARAM_ERROR", "expired_already")
        try:
            payment = self._store.create_payment(asked, token=secrets.token_urlsafe(24), now_ms=now)
        except NumberUsed as error:
            raise Refused(409, "OUT_TRADE_NO_USED", "out_trade_no_used") from error
        pay_url = f"{self._base_url}/pay/{payment.token}"
        return Answer(
            {
                "out_trade_no": payment.out_trade_no,
                "pay_url": pay_url,
                "qr_text": pay_url,
                "state": _public_state(payment, now),
            }
        )

    def _query_payment(self, request: Request, merchant: Merchant, _body: bytes) -> Answer:
        payment = self._payment(merchant, request.path_params["out_trade_no"])
        state = _public_state(payment, now_ms())
        is_paid = state == "paid" and payment.paid_at_ms is not None
        return Answer(
            {
                "out_trade_no": payment.out_trade_no,
                "state": state,
                "trade_no": payment.trade_no if is_paid else None,
                "amount_fen": payment.amount_fen,
                "currency": payment.currency,
                "merchant_id": payment.merchant_id,
                "paid_at": rfc3339(payment.paid_at_ms) if is_paid and payment.paid_at_ms is not None else None,
            },
            payment.answer_delay_ms,
        )

    def _close_payment(self, request: Request, merchant: Merchant, _body: bytes) -> Answer:
        payment = self._payment(merchant, request.path_params["out_trade_no"])
        try:
            self._store.close_payment(payment, now_ms=now_ms())
        except AlreadyPaid as error:
            raise Refused(409, "ALREADY_PAID", "already_paid", delay_ms=payment.answer_delay_ms) from error
        return Answer({"state": "closed"}, payment.answer_delay_ms)

    def _payment(self, merchant: Merchant, out_trade_no: str) -> Payment:
        payment = self._find_payment(merchant, out_trade_no)
        if payment is None:
            raise Refused(404, "NOT_FOUND", "payment_not_found")
        return payment

    def _find_payment(self, merchant: Merchant, out_trade_no: str) -> Payment | None:
        return self._store.find_payment(channel=CHANNEL, merchant_id=merchant.merchant_id, out_trade_no=out_trade_no)

    # Refunds

    def _create_refund(self, _request: Request, merchant: Merchant, body: bytes) -> Answer:
        wanted = _parse(CreateRefund, body)
        payment = self._payment(merchant, wanted.out_trade_no)
        now = now_ms()
        try:
            refund = self._store.create_refund(
                payment,
                out_refund_no=wanted.out_refund_no,
                refund_no=f"SR{now}{secrets.randbelow(10**8):08d}",
                amount_fen=wanted.amount_fen,
                reason=wanted.reason,
                now_ms=now,
            )
        except NumberUsed as error:
            raise Refused(409, "OUT_REFUND_NO_USED", "out_refund_no_used") from error
        except NotPaid as error:
            raise Refused(409, "NOT_PAID", "not_paid") from error
        except AmountExceeded as error:
            delay_ms = payment.answer_delay_ms
            raise Refused(409, "AMOUNT_EXCEEDED", "amount_exceeded", delay_ms=delay_ms) from error
        return _refund_answer(refund, now)

    def _query_refund(self, request: Request, merchant: Merchant, _body: bytes) -> Answer:
        refund = self._store.find_refund(
            channel=CHANNEL,
            merchant_id=merchant.merchant_id,
            out_refund_no=request.path_params["out_refund_no"],
        )
        if refund is None:
            raise Refused(404, "NOT_FOUND", "refund_not_found")
        return _refund_answer(refund, now_ms())


async def _hold_back(request: Request, delay_ms: int) -> None:
    """Wait before answering, but not for a caller that has already hung up."""
    if delay_ms:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(delay_ms / 1000):
                while (await request.receive())["type"] != "http.disconnect":
                    pass


def _public_state(payment: Payment, at_ms: int) -> str:
    """Return the state in the protocol's words: money on its way is not yet known to be paid."""
    state = payment.state_at(at_ms)
    return "pending" if state == "processing" else state


def _refund_answer(refund: Refund, at_ms: int) -> Answer:
    return Answer(
        {
            "out_refund_no": refund.out_refund_no,
            "refund_no": refund.refund_no,
            "out_trade_no": refund.out_trade_no,
            "amount_fen": refund.amount_fen,
            "state": refund.state_at(at_ms),
        },
        refund.answer_delay_ms,
    )


def _parse(model: type[Body], body: bytes) -> Body:
    """Return the request's content. Raises Refused naming the first field that is wrong, never its value."""
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        field = ".".join(str(part) for part in first["loc"]) or "body"
        raise Refused(400, "PARAM_ERROR", "bad_request", detail=f"{field}: {first['msg']}") from error
