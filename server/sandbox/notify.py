"""Delivers notifications until the merchant acknowledges them, across restarts, for any channel.

Guarantees at least once: a message leaves the store's waiting list only after its acknowledgement was read, so a crash
between the two sends it again (merchants must recognise the repeated event). What a message looks like on the wire and
what acknowledges it is said by its channel's `Dialect`. Started and stopped by `app.py`; woken by the `Engine`.
"""

import asyncio
import contextlib
import logging
import sqlite3
import ssl
from collections.abc import Mapping, Sequence

import httpx

from server.sandbox.dialect import Dialect
from server.sandbox.mailbox import Mailbox
from server.sandbox.moments import now_ms
from server.sandbox.records import Notification

log = logging.getLogger("server.sandbox.notify")

# httpcore's pool does work that grows with the square of its connections at each request: 32 pools of two carry more
# than twice what one pool of 64 does.
_POOLS = 32
_CONNECTIONS_OF_A_POOL = 2
MOST_AT_ONCE = _POOLS * _CONNECTIONS_OF_A_POOL
_LONGEST_STEP_SECONDS = 10
_CONNECT_WITHIN_SECONDS = 3
_LARGEST_ANSWER_BYTES = 4096
_LONGEST_NAP_SECONDS = 60.0  # a clock set forward must not leave a message lying for hours
_AFTER_STORE_ERROR_SECONDS = 1.0
_FINISH_WITHIN_SECONDS = 2.0


class Notifier:
    """The sender: one loop that finds what is due, at most `MOST_AT_ONCE` deliveries under way."""

    def __init__(
        self, mailbox: Mailbox, dialects: Mapping[str, Dialect], *, retry_after_seconds: Sequence[float] | None = None
    ) -> None:
        """Deliver from `mailbox`; a message refused more often than there are waits is given up.

        `retry_after_seconds` replaces the waits of every channel.
        """
        self._mailbox = mailbox
        self._dialects = dialects
        self._retry_after_seconds = retry_after_seconds
        self._under_way: dict[int, asyncio.Task[None]] = {}
        # Each client stands here once for each connection it may still open; the last freed is the first reused.
        self._free_connections: list[httpx.AsyncClient] = []
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """Say that something was queued."""
        self._woken.set()

    async def run(self) -> None:
        """Deliver until cancelled; then give deliveries under way a moment to finish."""
        async with contextlib.AsyncExitStack() as pools:
            tls = httpx.create_ssl_context(trust_env=False)
            for _ in range(_POOLS):
                client = await pools.enter_async_context(_new_pool(tls))
                self._free_connections.extend([client] * _CONNECTIONS_OF_A_POOL)
            try:
                await self._send_for_ever()
            finally:
                await self._finish()

    async def _send_for_ever(self) -> None:
        while True:
            self._woken.clear()
            try:
                nap_seconds = self._start_due()
            except sqlite3.Error:
                log.exception("notifications cannot be read; trying again")
                nap_seconds = _AFTER_STORE_ERROR_SECONDS
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(nap_seconds):
                    await self._woken.wait()

    def _start_due(self) -> float:
        """Start what is due and there is room for; return how long there is nothing more to do, in seconds."""
        now = now_ms()
        if self._free_connections:
            # Those under way are still waiting rows: ask for enough to see past them.
            for notification_id in self._mailbox.due(now_ms=now, limit=2 * MOST_AT_ONCE):
                if not self._free_connections:
                    break
                if notification_id not in self._under_way:
                    client = self._free_connections.pop()
                    delivery = asyncio.create_task(self._deliver(client, notification_id))
                    self._under_way[notification_id] = delivery
        if not self._free_connections:
            return _LONGEST_NAP_SECONDS  # whichever delivery ends first wakes the loop
        next_at_ms = self._mailbox.next_at_ms(after_ms=now)
        if next_at_ms is None:
            return _LONGEST_NAP_SECONDS
        return min((next_at_ms - now) / 1000, _LONGEST_NAP_SECONDS)

    async def _deliver(self, client: httpx.AsyncClient, notification_id: int) -> None:
        try:
            notification = self._mailbox.get(notification_id)
            if notification is None or notification.state != "waiting":
                return
            acknowledged, outcome = await self._post(client, notification)
            if acknowledged:
                self._mailbox.record_acknowledged(notification_id, outcome=outcome)
            else:
                self._record_refused(notification, outcome)
        except sqlite3.Error:
            # The row is still waiting and will go out again; without the pause a full disk would mean a storm.
            log.exception("the outcome of a notification cannot be written; it will be sent again")
            await asyncio.sleep(_AFTER_STORE_ERROR_SECONDS)
        finally:
            self._under_way.pop(notification_id, None)
            self._free_connections.append(client)
            self._woken.set()

    async def _post(self, client: httpx.AsyncClient, notification: Notification) -> tuple[bool, str]:
        """Post once; return whether it was acknowledged and a short word on what happened."""
        dialect = self._dialects.get(notification.channel)
        if dialect is None:  # written by a later version; kept for it
            return False, f"channel {notification.channel}?"
        message = dialect.message(notification)
        try:
            # httpx limits each step; the whole exchange has a limit too, so that a trickling answer holds no slot.
            async with (
                asyncio.timeout(dialect.answer_within_seconds),
                client.stream(message.method, message.url, content=message.body, headers=message.headers) as answer,
            ):
                answer_body = b""
                async for piece in answer.aiter_bytes():
                    answer_body += piece
                    if len(answer_body) > _LARGEST_ANSWER_BYTES:
                        break
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, UnicodeError) as error:
            return False, type(error).__name__
        if dialect.acknowledges(answer.status_code, answer_body):
            return True, f"HTTP {answer.status_code}"
        return False, f"HTTP {answer.status_code}" + (" ?" if answer.status_code == 200 else "")

    def _record_refused(self, notification: Notification, outcome: str) -> None:
        retry_at_ms = None
        waits = self._retry_after_seconds
        if waits is None:
            waits = self._dialects[notification.channel].retry_after_seconds
        if notification.attempts < len(waits):
            retry_at_ms = now_ms() + int(waits[notification.attempts] * 1000)
        self._mailbox.record_refused(notification.id, outcome=outcome, retry_at_ms=retry_at_ms)
        if retry_at_ms is None:
            log.warning(
                "notification %s given up after %d deliveries", notification.event_id, notification.attempts + 1
            )

    async def _finish(self) -> None:
        under_way = list(self._under_way.values())
        if not under_way:
            return
        _, unfinished = await asyncio.wait(under_way, timeout=_FINISH_WITHIN_SECONDS)
        for task in unfinished:
            task.cancel()  # its row is still waiting; the next start sends it again
        await asyncio.gather(*unfinished, return_exceptions=True)


def _new_pool(tls: ssl.SSLContext) -> httpx.AsyncClient:
    # trust_env off: a proxy of the machine must not see, or swallow, calls to a shop on loopback.
    return httpx.AsyncClient(
        verify=tls,
        timeout=httpx.Timeout(_LONGEST_STEP_SECONDS, connect=_CONNECT_WITHIN_SECONDS),
        limits=httpx.Limits(max_connections=_CONNECTIONS_OF_A_POOL, max_keepalive_connections=_CONNECTIONS_OF_A_POOL),
        follow_redirects=False,
        trust_env=False,
    )
