"""The server's only way out: every HTTP request to another party leaves through `Outbound.exchange`.

Guarantees: explicit time-outs, a bounded number of connections, no redirects, no proxy from the environment, a cap
on the size of an answer, and bytes exactly as they were sent (no decompression), so that signatures can be checked.
It never repeats a request that may have arrived; only a connection that could not be made is tried once more.

Used by `gateways` and later by `upstreams`; no other file of the server imports httpx.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import TracebackType
from typing import Protocol

import httpx

CONNECT_SECONDS = 3.0
TOTAL_SECONDS = 10.0
MAX_ANSWER_BYTES = 256 * 1024
MAX_CONNECTIONS = 64
PATIENCE_SECONDS = 3.0
BUSY = "busy"
"""`Unanswered.reason` where nothing was sent: all our connections were in use for `PATIENCE_SECONDS`."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What the other side answered: status, headers with lower-case names, and the body's raw bytes."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Unanswered(Exception):
    """No usable answer came; whether the request had an effect is not known. `reason` is short and fit for logs."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Line(Protocol):
    """A way out to another party: `Outbound` itself, or something that listens in and passes on."""

    async def exchange(self, method: str, url: str, *, headers: Mapping[str, str], body: bytes = b"") -> Reply:
        """Send exactly these bytes and return the answer, whatever its status. Raises Unanswered."""


@dataclass(frozen=True, slots=True)
class _Kept:
    """The connections of one event loop, and how many of them are free."""

    line: httpx.AsyncHTTPTransport
    free: asyncio.Semaphore


@cache
def _trust() -> ssl.SSLContext:
    """Reading the certificate store costs tens of milliseconds: once per process, not per client."""
    return httpx.create_ssl_context(trust_env=False)


class Outbound:
    """HTTP to other parties. `async with outbound:` keeps connections for the loop that enters it, once.

    Connections belong to one event loop. A call from another loop (a job's thread) or without entering works too and
    uses a connection of its own for that one exchange.
    """

    def __init__(self, *, total_seconds: float = TOTAL_SECONDS, max_answer_bytes: int = MAX_ANSWER_BYTES) -> None:
        self._total_seconds = total_seconds
        self._max_answer_bytes = max_answer_bytes
        self._timeouts = httpx.Timeout(total_seconds, connect=CONNECT_SECONDS).as_dict()
        self._kept: dict[asyncio.AbstractEventLoop, _Kept] = {}

    async def __aenter__(self) -> Outbound:
        self._kept[asyncio.get_running_loop()] = _Kept(self._line(), asyncio.Semaphore(MAX_CONNECTIONS))
        return self

    async def __aexit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        await self._kept.pop(asyncio.get_running_loop()).line.aclose()

    async def exchange(self, method: str, url: str, *, headers: Mapping[str, str], body: bytes = b"") -> Reply:
        """Send exactly these bytes and return the answer, whatever its status. Raises Unanswered."""
        kept = self._kept.get(asyncio.get_running_loop())
        if kept is None:
            async with self._line() as line:
                return await self._bounded(line, method, url, headers=headers, body=body)
        try:  # our own queue is nobody's silence: the time of the other side begins when it is asked
            async with asyncio.timeout(PATIENCE_SECONDS):
                await kept.free.acquire()
        except TimeoutError as error:
            raise Unanswered(BUSY) from error
        try:
            return await self._bounded(kept.line, method, url, headers=headers, body=body)
        finally:
            kept.free.release()

    async def _bounded(
        self, line: httpx.AsyncHTTPTransport, method: str, url: str, *, headers: Mapping[str, str], body: bytes
    ) -> Reply:
        try:
            # httpx limits each wait; a peer that drips one byte a second needs a limit on the whole.
            async with asyncio.timeout(self._total_seconds):
                return await self._send(line, method, url, headers=headers, body=body)
        except TimeoutError as error:
            raise Unanswered("time-out") from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            # The class says enough; the message may hold an address with parameters.
            raise Unanswered(type(error).__name__) from error

    async def _send(
        self, line: httpx.AsyncHTTPTransport, method: str, url: str, *, headers: Mapping[str, str], body: bytes
    ) -> Reply:
        sent = {"User-Agent": "Kameng", "Accept-Encoding": "identity"} | dict(headers)
        request = httpx.Request(method, url, headers=sent, content=body, extensions={"timeout": self._timeouts})
        response = await line.handle_async_request(request)
        try:
            received = bytearray()
            async for piece in response.aiter_raw():
                received += piece
                if len(received) > self._max_answer_bytes:
                    raise Unanswered("answer too large")
        finally:
            await response.aclose()
        return Reply(status=response.status_code, headers=dict(response.headers), body=bytes(received))

    def _line(self) -> httpx.AsyncHTTPTransport:
        """httpx without its client, whose redirects, cookies and defaults we do not want and would pay for."""
        return httpx.AsyncHTTPTransport(
            verify=_trust(),
            trust_env=False,
            retries=1,  # of connecting only: nothing was sent yet
            limits=httpx.Limits(
                max_connections=MAX_CONNECTIONS, max_keepalive_connections=MAX_CONNECTIONS, keepalive_expiry=30
            ),
        )
