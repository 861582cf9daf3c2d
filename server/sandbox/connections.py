"""The connections of the server, so that one can be broken in the middle of a request. Used by `calls.py`.

uvicorn makes one protocol object a connection; its peer's address and port name it, as they do in a request.
"""

import asyncio
from typing import ClassVar, cast

from starlette.requests import Request
from uvicorn.protocols.http.auto import AutoHTTPProtocol

_Peer = tuple[str, int]


class Connection(AutoHTTPProtocol):  # type: ignore[misc, valid-type]  # a choice between two classes at run time
    """uvicorn's own protocol; each one is listed while it is open."""

    _open: ClassVar[dict[_Peer, asyncio.Transport]] = {}

    def connection_made(self, transport: asyncio.Transport) -> None:
        """List it."""
        super().connection_made(transport)
        self._peer = cast("_Peer", tuple((transport.get_extra_info("peername") or ("", 0))[:2]))
        self._open[self._peer] = transport

    def connection_lost(self, exc: Exception | None) -> None:
        """Strike it from the list."""
        self._open.pop(self._peer, None)
        super().connection_lost(exc)

    @classmethod
    def cut(cls, request: Request) -> None:
        """Break the connection of a request at once: its peer sees a reset."""
        peer = (request.client.host, request.client.port) if request.client else ("", 0)
        transport = cls._open.get(peer)
        if transport is not None:
            transport.abort()
