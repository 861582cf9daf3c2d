"""How WeChat Pay takes a call: proves who asked, does it, signs the answer. The same for every endpoint.

A request must be signed by a registered merchant over its exact bytes, within five minutes, with a nonce never used
before. Every answer is signed, refusals and 204 too: with the public key where the request's `Wechatpay-Serial` names
it, else with the platform certificate. Used by `wechat.py`; the endpoints are in `wechat_orders.py` and beside it.
"""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from server.sandbox.calls import Calls, Said, named_in
from server.sandbox.engine import Engine
from server.sandbox.faults import About
from server.sandbox.keys import has_signed
from server.sandbox.merchants import Register
from server.sandbox.moments import now_ms
from server.sandbox.records import Signing
from server.sandbox.web import BodyTooLarge, read_body
from server.sandbox.wechat_keys import (
    KeyName,
    PlatformKeys,
    WechatMerchant,
    read_authorization,
    signed_message,
)
from server.sandbox.wechat_wire import CHANNEL, Content, Refused, encode

log = logging.getLogger("server.sandbox.wechat")

LARGEST_REQUEST_BYTES = 65_536
TIMESTAMP_WINDOW_SECONDS = 300
ROOT = "/wechat"
Body = TypeVar("Body", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Asked:
    """A call whose signature holds."""

    request: Request
    merchant: WechatMerchant
    body: bytes = field(repr=False)

    def path(self, name: str) -> str:
        """Return a part of the path."""
        return str(self.request.path_params[name])

    def query(self, name: str) -> str:
        """Return a value of the query, empty when it is not there."""
        return self.request.query_params.get(name, "")


Endpoint = Callable[[Asked], Content | None]
"""Answers None where there is nothing to say: 204."""


class WechatCalls:
    """Who may call, and how answers are signed."""

    def __init__(self, engine: Engine, keys: PlatformKeys, merchants: Register[WechatMerchant]) -> None:
        """Believe `merchants`, sign with `keys`."""
        self._engine = engine
        self._keys = keys
        self._merchants = merchants
        self._calls = Calls(engine.faults)

    def served(self, call: str, endpoint: Endpoint) -> Callable[[Request], Awaitable[Response]]:
        """Let only signed requests reach `endpoint`, and turn what it says into a signed response."""

        async def serve(request: Request) -> Response:
            about = About(CHANNEL, _named(request), call=call)
            try:
                body = await read_body(request, largest_bytes=LARGEST_REQUEST_BYTES)
                asked = Asked(request, self.believed(request, body), body)
                key = self._answering_key(request)
            except BodyTooLarge:
                return self.refuse(request, Refused(413, "PARAM_ERROR", "请求包体过大"), about)
            except ClientDisconnect:
                return Response(status_code=400)  # nobody is left to read it
            except Refused as refused:
                return self.refuse(request, refused, about)
            about = About(CHANNEL, asked.merchant.mchid, self._about_number(asked), call)
            return await self._calls.answer(
                request,
                about,
                work=lambda: _do(endpoint, asked),
                seal=lambda said, signing: self._seal(said, signing, about, key),
                failed=lambda status: _refusal(Refused(status, "SYSTEM_ERROR", "系统异常，请稍后重试")),
            )

        return serve

    def refuse(self, request: Request, refused: Refused, about: About) -> Response:
        """Return a signed refusal to somebody who may be nobody."""
        try:
            key = self._answering_key(request)
        except Refused:
            key = "certificate"
        return self._seal(_refusal(refused), "right", about, key)

    def believed(self, request: Request, body: bytes) -> WechatMerchant:
        """Return the merchant that signed the request, and use up its nonce. Raises Refused.

        The nonce is spent only by a request whose signature holds, so nobody else can spend a merchant's nonces.
        """
        authorization = read_authorization(request.headers.get("authorization", ""))
        if authorization is None:
            raise _sign_error("Http头Authorization缺少必要字段或认证类型不正确")
        merchant = self._merchants.find(authorization.mchid)
        if merchant is None:
            raise Refused(401, "SIGN_ERROR", "商户未设置加密的密钥，或商户号不是沙箱登记的商户号")
        if authorization.serial_no.upper() != merchant.serial_no.upper():
            raise _sign_error("商户证书序列号有误，请使用登记的证书", serial_no=authorization.serial_no)
        timestamp = authorization.timestamp
        if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 12):
            raise _sign_error("时间戳格式不正确")
        clock_ms = self._engine.clock_ms(About(CHANNEL, merchant.mchid))
        if abs(clock_ms // 1000 - int(timestamp)) > TIMESTAMP_WINDOW_SECONDS:
            raise _sign_error("Http头Authorization值中的timestamp与发起请求的时间不得超过5分钟")
        target: bytes = request.scope["raw_path"]
        if request.scope["query_string"]:
            target += b"?" + request.scope["query_string"]
        message = signed_message(request.method, target, authorization, body)
        if not has_signed(merchant.key, message, authorization.signature):
            raise _sign_error(
                "错误的签名，验签失败",
                issue="sign not match",
                method=request.method,
                url=target.decode("latin-1"),
                sign_message_length=len(message),
                body_length=len(body),
            )
        forget_at_ms = (int(timestamp) + 2 * TIMESTAMP_WINDOW_SECONDS) * 1000
        if not self._engine.store.use_nonce(
            channel=CHANNEL,
            merchant_id=merchant.mchid,
            nonce=authorization.nonce_str,
            now_ms=now_ms(),
            forget_at_ms=forget_at_ms,
        ):
            raise _sign_error("请求重放：nonce_str 已被使用过")
        return merchant

    def _answering_key(self, request: Request) -> KeyName:
        serial = request.headers.get("wechatpay-serial")
        if serial is None:
            return "certificate"
        name = self._keys.named(serial)
        if name is None:
            raise Refused(400, "PARAM_ERROR", "Wechatpay-Serial 不是有效的微信支付公钥 ID 或平台证书序列号")
        return name

    def _seal(self, said: Said, signing: Signing, about: About, key: KeyName) -> Response:
        """The bytes that are signed are the bytes that are sent."""
        wanted = self._engine.faults.word("sign_with", about)
        signed = self._keys.sign(
            cast("KeyName", wanted) if wanted else key, said.body, at_ms=self._engine.clock_ms(about), signing=signing
        )
        headers = {"Cache-Control": "no-cache, must-revalidate", **said.headers, **signed}
        if said.status == 204:
            return Response(status_code=204, headers=headers)
        return Response(said.body, status_code=said.status, headers=headers, media_type="application/json")

    def _about_number(self, asked: Asked) -> str:
        """The number of the payment that a call is about; empty when it is about none that is known."""
        store, path, owner = self._engine.store, asked.request.path_params, asked.merchant.mchid
        number = path.get("out_trade_no") or named_in(asked.body, "out_trade_no")
        if number:
            return str(number)
        trade_no = path.get("transaction_id") or named_in(asked.body, "transaction_id")
        if trade_no:
            payment = store.payment_by_trade_no(channel=CHANNEL, merchant_id=owner, trade_no=str(trade_no))
            return payment.out_trade_no if payment else ""
        if "out_refund_no" in path:
            refund = store.find_refund(channel=CHANNEL, merchant_id=owner, out_refund_no=str(path["out_refund_no"]))
            return refund.out_trade_no if refund else ""
        return ""


def _named(request: Request) -> str:
    """The merchant that a request says it is from."""
    authorization = read_authorization(request.headers.get("authorization", ""))
    return authorization.mchid if authorization else ""


def parsed(model: type[Body], body: bytes) -> Body:
    """Return a request's content. Raises Refused naming the first field that is wrong, never its value."""
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        first: Any = error.errors(include_url=False, include_context=False, include_input=False)[0]
        field_name = "/" + "/".join(map(str, first["loc"]))
        raise wrong_field(field_name, str(first["msg"]), location="body") from error


def wrong_field(name: str, issue: str, *, location: str) -> Refused:
    """Return the refusal of one field."""
    detail = {"location": location, "field": name, "issue": issue}
    return Refused(400, "PARAM_ERROR", f"参数错误：{name} {issue}", detail)


def _do(endpoint: Endpoint, asked: Asked) -> Said:
    try:
        content = endpoint(asked)
    except Refused as refused:
        return _refusal(refused)
    except Exception:
        # The boundary of the process: a merchant gets a signed 500, the log gets the reason.
        log.exception("%s %s failed", asked.request.method, asked.request.url.path)
        return _refusal(Refused(500, "SYSTEM_ERROR", "系统异常，请稍后重试"))
    return Said(204, b"") if content is None else Said(200, encode(content))


def _refusal(refused: Refused) -> Said:
    return Said(refused.status, encode(refused.content))


def _sign_error(message: str, **information: object) -> Refused:
    detail = {"location": "authorization", "field": "signature", "sign_information": information}
    return Refused(401, "SIGN_ERROR", message, detail if information else None)
