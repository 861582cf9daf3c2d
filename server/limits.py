"""How often somebody may try: token buckets in memory, for sign-in, lookups and refreshes.

Each process counts for itself; a restart forgets. That is enough against guessing: what is guessed at has 55 bits
and more, or is a password behind argon2. Safe to use from any thread.
"""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from dataclasses import dataclass

from shared import clock
from shared.errors import TooMany


@dataclass(frozen=True, slots=True)
class Limit:
    """`burst` tries at once, then one more each `refill_seconds`."""

    burst: int
    refill_seconds: float


LIMITS: dict[str, Limit] = {
    # One login name: a person who mistypes has ten tries; a guesser gets 60 an hour against all addresses.
    "sign_in_login": Limit(burst=10, refill_seconds=60),
    # One address: an office of thirty people signing in at nine o'clock passes.
    "sign_in_address": Limit(burst=40, refill_seconds=5),
    "lookup": Limit(burst=20, refill_seconds=5),
    "link": Limit(burst=20, refill_seconds=5),
    # One attempt: the buyer's "I have paid" asks the channel at most each three seconds.
    "payment_query": Limit(burst=1, refill_seconds=3),
    # One order: each change of mind closes a payment at a channel and opens another.
    "pay_again": Limit(burst=6, refill_seconds=20),
    # One order: ways there and back to learn who pays inside WeChat.
    "identify": Limit(burst=6, refill_seconds=20),
    # One order: wishes for a refund, each of which somebody reads.
    "refund_ask": Limit(burst=5, refill_seconds=60),
    # Notifications that nobody we know signed are kept as evidence, of one address and of a channel so many.
    "rejected_address": Limit(burst=20, refill_seconds=30),
    "rejected_channel": Limit(burst=100, refill_seconds=30),
    # More bad signatures, or stale ones, of one channel than this are told to people.
    "bad_signatures": Limit(burst=20, refill_seconds=30),
    "stale_notices": Limit(burst=5, refill_seconds=60),
    # One channel and kind of trouble: a burst that goes on writes once in a while, and not each time.
    "notice_alarm": Limit(burst=1, refill_seconds=600),
    "reveal": Limit(burst=60, refill_seconds=2),
    # One person who looks for keys, up to a thousand at a time: what is in stock must not be guessed by asking.
    "find": Limit(burst=20, refill_seconds=15),
    # One member of staff: tries to see a key, also with a wrong code. The reveal log counts what was shown.
    "staff_reveal": Limit(burst=10, refill_seconds=360),
    "staff_reveal_alarm": Limit(burst=1, refill_seconds=3_600),
}

MOST_BUCKETS = 50_000
"""When more are in use the one touched longest ago is forgotten: memory is bounded, a flood cannot fill it."""


class Buckets:
    """The buckets of one process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._left: OrderedDict[tuple[str, str], tuple[float, float]] = OrderedDict()

    def take(self, kind: str, key: str) -> None:
        """Use one try of `key`. Raises TooMany, which says how many seconds to wait, when none is left."""
        limit = LIMITS[kind]
        now = clock.monotonic_seconds()
        with self._lock:
            tokens, since = self._left.pop((kind, key), (float(limit.burst), now))
            tokens = min(float(limit.burst), tokens + (now - since) / limit.refill_seconds)
            allowed = tokens >= 1
            self._left[kind, key] = (tokens - 1 if allowed else tokens, now)
            if len(self._left) > MOST_BUCKETS:
                self._left.popitem(last=False)
        if not allowed:
            raise TooMany(retry_after_seconds=max(1, math.ceil((1 - tokens) * limit.refill_seconds)))

    def forget(self, kind: str, key: str) -> None:
        """Give `key` all its tries back: a right password shows that the wrong ones were slips."""
        with self._lock:
            self._left.pop((kind, key), None)
