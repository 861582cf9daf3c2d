"""How a merchant's call is answered, and how it goes wrong on request; the same for every dialect.

A dialect says what to do (`work`), how its answer is signed (`seal`) and how it would fail (`failed`).
"""

import asyncio
import contextlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field

from starlette.requests import Request
from starlette.responses import Response

from server.sandbox.connections import Connection
from server.sandbox.faults import About, Faults
from server.sandbox.records import Signing

_LONGEST_HANG_SECONDS = 120


@dataclass(frozen=True, slots=True)
class Said:
    """An answer before it is signed. `body` is what the signature covers."""

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)


class Calls:
    """Answers calls as the faults in force want it."""

    def __init__(self, faults: Faults) -> None:
        """Look up `faults` at each call."""
        self._faults = faults

    async def answer(
        self,
        request: Request,
        about: About,
        *,
        work: Callable[[], Said],
        seal: Callable[[Said, Signing], Response],
        failed: Callable[[int], Said],
    ) -> Response:
        """Return the answer to one call. Faults that break it off before the work leave nothing done."""
        faults = self._faults
        if faults.flag("away", about):
            return await _cut(request)
        status = faults.whole("fail", about)
        said = work() if status is None else failed(status)
        await _hold_back(request, faults.milliseconds("answer_seconds", about) / 1000)
        if faults.flag("hang", about):
            await _hold_back(request, _LONGEST_HANG_SECONDS)
            return await _cut(request)
        signing: Signing = "right"
        if faults.flag("answer_unsigned", about):
            signing = "none"
        elif faults.flag("answer_signature", about):
            signing = "wrong"
        return seal(said, signing)


async def _cut(request: Request) -> Response:
    Connection.cut(request)
    await asyncio.sleep(0)  # the loop closes it now: what is returned reaches nobody
    return Response(status_code=503)


async def _hold_back(request: Request, seconds: float) -> None:
    """Wait before answering, but not for a caller that has already hung up."""
    if seconds:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while (await request.receive())["type"] != "http.disconnect":
                    pass


def named_in(body: bytes, name: str) -> str:
    """Return a text field of a JSON body that was not looked at yet; empty when there is none."""
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    value = content.get(name, "") if isinstance(content, dict) else ""
    return value if isinstance(value, str) else ""
