"""HTTP to one server. The only file of the console that imports httpx.

Every failure leaves as a KamengError with a sentence: no connection, a wrong certificate, a silent server, an answer
that is not Kameng's. `is_passing` tells faults that a later try may cure from answers that will not change.
"""

from __future__ import annotations

import errno
import ipaddress
import json
import socket
import ssl
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC
from email.utils import parsedate_to_datetime
from functools import cache
from typing import Any, ClassVar, TypeVar
from urllib.parse import urlsplit, urlunsplit

import httpx
from pydantic import BaseModel, TypeAdapter, ValidationError

from shared import clock
from shared.contracts.base import Problem, Request
from shared.errors import BadField, Busy, KamengError, NotSignedIn, TooMany, error_for
from shared.sentence import Sentence

# Read time is a stall limit, not a total one: a slow line may take long as long as bytes flow.
_TIMEOUT = httpx.Timeout(connect=10, read=45, write=30, pool=30)
_LIMITS = httpx.Limits(max_connections=6, max_keepalive_connections=6)

# None: several addresses were tried, and each failed in its own way.
_NOBODY = frozenset({None, errno.ECONNREFUSED, errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EHOSTDOWN})

T = TypeVar("T")


class Unreachable(KamengError):
    """No connection could be made, or it broke."""

    code = "unreachable"
    status = 503
    zh = "无法连接服务器 {server}:{reason}。请检查网络；恢复后会自动继续。"
    en = "The server {server} cannot be reached: {reason}. Check the network; work goes on by itself afterwards."

    REASONS: ClassVar = {
        "nobody_listens": ("该地址没有服务应答，或网络不通", "nothing answers at this address, or the network is down"),
        "name_unknown": ("域名解析失败", "its name has no address"),
    }
    """What the system calls otherwise on each machine; another reason is shown as the system gives it."""

    def sentence(self, language: str = "zh") -> str:
        """The sentence, with a known reason in its language."""
        pair = self.REASONS.get(str(self.params.get("reason")))
        if pair is None:
            return super().sentence(language)
        words = self.en if language.startswith("en") else self.zh
        return words.format_map(self.params | {"reason": pair[language.startswith("en")]})


class NoAnswer(Unreachable):
    """The server took the request and stayed silent: whether it acted is unknown."""

    code = "no_answer"
    zh = "服务器 {server} 没有及时响应，稍后会自动重试。"
    en = "The server {server} did not answer in time; it will be tried again."


class CertificateRefused(KamengError):
    """TLS says that this is not the server it claims to be."""

    code = "certificate_refused"
    status = 495
    zh = "服务器 {server} 的证书无效：{reason}。请核对地址与本机时间，不要继续输入密码。"
    en = "The certificate of {server} is not valid: {reason}. Check the address and this machine's clock."


class ProxyUnusable(KamengError):
    """The proxy that the environment names cannot be used."""

    code = "proxy_unusable"
    status = 503
    zh = "系统设置的代理无法使用：{reason}。请检查 HTTP_PROXY / HTTPS_PROXY / ALL_PROXY。"
    en = "The proxy of this machine cannot be used: {reason}. Check HTTP_PROXY, HTTPS_PROXY and ALL_PROXY."


class NotKameng(KamengError):
    """Something answered, but not in the words of this protocol: a proxy's page, another program."""

    code = "not_kameng"
    status = 502
    zh = "{server} 的回应不是 Kameng 服务器的格式（HTTP {http_status}）。请核对服务器地址与代理设置。"
    en = "{server} did not answer as a Kameng server does (HTTP {http_status}). Check the address and the proxy."


class ServerFault(KamengError):
    """The server reports a fault of its own."""

    code = "server_fault"
    status = 500
    zh = "服务器内部出错（请求号 {request_id}），稍后会自动重试。"
    en = "The server has a fault of its own (request {request_id}); it will be tried again."


class Refused(KamengError):
    """A refusal with a code that this version does not know, in the server's own words."""

    code = "refused"
    zh = "{detail}"
    en = "{detail}"


_PASSING: tuple[type[KamengError], ...] = (Unreachable, ServerFault, Busy, TooMany)
_FOREIGN: tuple[type[KamengError], ...] = (CertificateRefused, NotKameng)


def is_passing(error: KamengError) -> bool:
    """Whether the same request may succeed later without anybody changing anything."""
    return isinstance(error, _PASSING)


def is_foreign(error: KamengError) -> bool:
    """Whether somebody else than the server spoke: a hotel's sign-in page, a proxy. Not a verdict on the request."""
    return isinstance(error, _FOREIGN)


def code_of(error: KamengError) -> str:
    """The code the server gave, also when this version has no class for it."""
    return str(error.params.get("code", error.code))


def retry_after_seconds(error: KamengError) -> float:
    """How long the server asked to wait; 0 when it did not ask."""
    asked = error.params.get("retry_after_seconds", 0)
    return float(asked) if isinstance(asked, int | float) else 0.0


def normalise_server(text: str, *, allow_plain: bool = False) -> str:
    """The base URL of what a person typed: `shop.example.com` becomes `https://shop.example.com`.

    Plain http is taken for this machine itself, elsewhere only with `allow_plain`: passwords and tokens travel.
    Raises BadField with a reason.
    """
    typed = text.strip().rstrip("/")
    parts = urlsplit(typed if "://" in typed else f"//{typed}")
    try:
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise BadField(field="server", reason=Sentence("端口不正确", "bad port")) from error
    if not host or parts.username or parts.query or parts.fragment or parts.scheme not in {"", "http", "https"}:
        words = Sentence("请填写服务器地址，例如 https://shop.example.com", "an address is needed")
        raise BadField(field="server", reason=words)
    scheme = parts.scheme or ("http" if _is_this_machine(host) else "https")
    if scheme == "http" and not (_is_this_machine(host) or allow_plain):
        raise BadField(field="server", reason=Sentence("必须使用 https，否则密码会明文传输", "https is required"))
    shown = f"[{host}]" if ":" in host else host
    return urlunsplit((scheme, shown if port is None else f"{shown}:{port}", parts.path, "", ""))


def _is_this_machine(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@dataclass(slots=True)
class Call:
    """One request. `body` is a contract or sealed bytes; `query` drops values that are None and repeats lists."""

    method: str
    path: str
    query: Mapping[str, str | int | Sequence[str] | None] = field(default_factory=dict)
    body: Request | bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


@cache
def _trust() -> ssl.SSLContext:
    """Reading the certificate store costs tens of milliseconds: once per process, not per server and proxy."""
    return httpx.create_ssl_context()


class Transport:
    """A client of one server. Lives in the engine's loop; `close()` at the end.

    `token` is the bearer token of the next requests, or None. `clock_off_seconds` is this machine's clock minus the
    server's, from the last answer that carried a date.
    """

    _ANY: ClassVar[TypeAdapter[Any]] = TypeAdapter(Any)

    def __init__(self, server: str, *, app_version: str, language: Callable[[], str] = lambda: "zh") -> None:
        self.server = server
        self._language = language
        self.token: str | None = None
        self.clock_off_seconds = 0
        headers = {
            "User-Agent": f"kameng/{app_version}",
            "Accept": "application/json",
        }
        try:
            self._client = httpx.AsyncClient(
                base_url=server,
                timeout=_TIMEOUT,
                limits=_LIMITS,
                verify=_trust(),
                trust_env=True,  # company proxies
                follow_redirects=False,  # a redirect would carry the token to somebody else
                headers=headers,
            )
        except (httpx.InvalidURL, ImportError, ValueError) as error:
            raise ProxyUnusable(reason=str(error)) from error

    async def ask(self, call: Call, answer: type[T] | TypeAdapter[T]) -> T:
        """Send the call and read its JSON answer as `answer`. Raises KamengError subclasses only."""
        response = await self._send(call)
        adapter = answer if isinstance(answer, TypeAdapter) else TypeAdapter(answer)
        try:
            return adapter.validate_json(response.content)
        except ValidationError as error:
            raise NotKameng(server=self.server, http_status=response.status_code) from error

    async def tell(self, call: Call) -> None:
        """Send a call whose answer has no body worth reading."""
        await self._send(call)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def _send(self, call: Call) -> httpx.Response:
        # Asked each time: the person may change the language while the window is open.
        headers = {"Accept-Language": "en" if self._language().startswith("en") else "zh-CN", **call.headers}
        if self.token is not None:
            headers["Authorization"] = f"Bearer {self.token}"
        content: bytes | None = None
        if isinstance(call.body, bytes):
            content = call.body
            headers["Content-Type"] = "application/octet-stream"
        elif isinstance(call.body, BaseModel):
            content = _json(call.body)
            headers["Content-Type"] = "application/json"
        query = {name: value for name, value in call.query.items() if value is not None}
        try:
            response = await self._client.request(
                call.method, call.path, params=query, content=content, headers=headers
            )
        except httpx.HTTPError as error:
            raise self._in_words(error) from error
        self._note_clock(response)
        if not response.is_success:
            raise self._refusal(response)
        return response

    def _in_words(self, error: httpx.HTTPError) -> KamengError:
        certificate = _cause(error, ssl.SSLCertVerificationError)
        if certificate is not None:
            return CertificateRefused(server=self.server, reason=certificate.verify_message)
        if isinstance(error, httpx.ReadTimeout | httpx.WriteTimeout | httpx.PoolTimeout):
            return NoAnswer(server=self.server)
        if isinstance(error, httpx.DecodingError | httpx.TooManyRedirects):
            return NotKameng(server=self.server, http_status=0)
        if _cause(error, socket.gaierror) is not None:
            return Unreachable(server=self.server, reason="name_unknown")
        system = _cause(error, OSError)
        if isinstance(error, httpx.ConnectError) and (system is None or system.errno in _NOBODY):
            return Unreachable(server=self.server, reason="nobody_listens")
        reason = (system.strerror if system is not None else None) or str(error) or type(error).__name__
        return Unreachable(server=self.server, reason=reason)

    def _refusal(self, response: httpx.Response) -> KamengError:
        try:
            problem = Problem.model_validate_json(response.content)
        except ValidationError:
            return self._refusal_without_words(response)
        if problem.status >= 500 and problem.code != Busy.code:
            return ServerFault(request_id=problem.request_id)
        params: dict[str, object] = {**problem.params, "detail": problem.detail, "request_id": problem.request_id}
        if problem.fields:
            first = problem.fields[0]
            params |= {"field": first.field, "reason": first.reason}
        waits = _seconds(response.headers.get("retry-after"))
        if waits is not None:
            params.setdefault("retry_after_seconds", waits)
        known = error_for(problem.code)
        if known is not None and known.status == problem.status:
            with suppress(TypeError):  # a class that wants other things than its sentence does: the server's own serves
                return known(**params)
        return Refused(**params, code=problem.code, status=problem.status)

    def _refusal_without_words(self, response: httpx.Response) -> KamengError:
        """A proxy or a server that is starting answers without a problem document."""
        waits = _seconds(response.headers.get("retry-after"))
        match response.status_code:
            case 401:
                return NotSignedIn()
            case 429:
                return TooMany(retry_after_seconds=5 if waits is None else waits)
            case 502 | 503 | 504:
                return Busy(retry_after_seconds=5 if waits is None else waits)
        return NotKameng(server=self.server, http_status=response.status_code)

    def _note_clock(self, response: httpx.Response) -> None:
        stated = response.headers.get("date")
        if stated:
            try:
                there = parsedate_to_datetime(stated)
            except ValueError:
                return
            self.clock_off_seconds = round((clock.now() - there.astimezone(UTC)).total_seconds())


def system_proxies() -> dict[str, str]:
    """The proxies of this machine's settings by scheme, as httpx would use them."""
    return {scheme: url for scheme, url in urllib.request.getproxies().items() if scheme != "no"}


def bypasses_proxy(host: str) -> bool:
    """Whether this machine's settings except `host` from its proxies."""
    return bool(urllib.request.proxy_bypass(host))


def _json(body: BaseModel) -> bytes:
    """The body as JSON. SecretStr masks itself when dumped; on the wire, over TLS, its value is what is meant."""
    return json.dumps(body.model_dump(mode="python"), default=_plain, ensure_ascii=False).encode()


def _plain(value: object) -> object:
    reveal = getattr(value, "get_secret_value", None)
    return reveal() if reveal is not None else str(value)


def _cause(error: BaseException | None, kind: type[T]) -> T | None:
    while error is not None:
        if isinstance(error, kind):
            return error
        error = error.__cause__ or error.__context__
    return None


def _seconds(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdecimal() else None
