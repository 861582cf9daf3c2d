"""HTTP/1.1 for the load of a bench: a client line and a small server, so cheap that they are not what is measured.

A `Line` is one kept connection with one request at a time. Bodies have a Content-Length, as all of ours have; anything
else raises.
"""

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: status, the raw head and the body."""

    status: int
    head: bytes
    body: bytes


class Line(asyncio.Protocol):
    """One kept connection to a server on this machine."""

    def __init__(self) -> None:
        self._received = bytearray()
        self._waiting: asyncio.Future[Answer] | None = None
        self._transport: asyncio.Transport | None = None

    @classmethod
    async def to(cls, port: int) -> "Line":
        """Connect."""
        _, line = await asyncio.get_running_loop().create_connection(cls, "127.0.0.1", port)
        return line

    async def ask(self, method: str, path: str, headers: str = "", body: bytes = b"") -> Answer:
        """Send a request and wait for its answer. `headers` are whole lines, each with its line end."""
        assert self._waiting is None
        assert self._transport is not None
        self._waiting = asyncio.get_running_loop().create_future()
        head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{headers}Content-Length: {len(body)}\r\n\r\n"
        self._transport.write(head.encode() + body)
        return await self._waiting

    def close(self) -> None:
        """Hang up."""
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the loop."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is not a subclass

    def data_received(self, data: bytes) -> None:
        """Called by the loop."""
        self._received += data
        message = _cut(self._received)
        if message is not None and self._waiting is not None:
            head, body = message
            waiting, self._waiting = self._waiting, None
            waiting.set_result(Answer(int(head[9:12]), head, body))

    def connection_lost(self, error: Exception | None) -> None:
        """Called by the loop. Who asks after this fails at once."""
        self._transport = None
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(error or ConnectionResetError("the server hung up"))


Handler = Callable[[str, str, bytes], tuple[int, str, bytes]]
"""(method, path, body) -> (status, header lines, JSON body). Answers at once: it runs in the loop."""


class Answering(asyncio.Protocol):
    """The server's end of a connection: hands each request to the handler."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self._received = bytearray()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the loop."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is not a subclass

    def data_received(self, data: bytes) -> None:
        """Called by the loop."""
        self._received += data
        while (message := _cut(self._received)) is not None:
            method, path, _ = message[0].split(b" ", 2)
            status, headers, body = self._handler(method.decode(), path.decode(), message[1])
            head = (
                f"HTTP/1.1 {status} -\r\nContent-Type: application/json\r\n{headers}Content-Length: {len(body)}\r\n\r\n"
            )
            assert self._transport is not None
            self._transport.write(head.encode() + body)


def _cut(received: bytearray) -> tuple[bytes, bytes] | None:
    """Take the first whole message out of what has arrived, as (head, body)."""
    end = received.find(b"\r\n\r\n")
    if end < 0:
        return None
    head = bytes(received[: end + 2])
    length = _LENGTH.search(head)
    stop = end + 4 + (int(length[1]) if length else 0)
    if len(received) < stop:
        return None
    body = bytes(received[end + 4 : stop])
    del received[:stop]
    return head, body
