"""What the server tells its operators: one JSON line a request or decision, figures for Prometheus, health.

No line ever holds a card key, token, cookie, body or query. A path is logged as its route's template, because
link tokens and order codes are part of real paths; an exception is logged as its type and places, because
messages of database drivers quote the values they were given.
"""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import msgspec
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from shared import clock

Fact = str | int | float | bool | None

_log = logging.getLogger("kameng")
_encode = msgspec.json.Encoder().encode
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}
_NEVER = ("password", "token", "cookie", "authorization", "secret", "card", "body")

# Messages of these are written by us or by the interpreter about code, not about data.
_PLAIN_MESSAGES = (AssertionError, AttributeError, ImportError, NameError, NotImplementedError, TypeError)


class JsonLines(logging.Formatter):
    """One object a line: `at`, `level`, `logger`, `event`, then the extra facts of the record."""

    def format(self, record: logging.LogRecord) -> str:
        """The line. Facts with forbidden names or values that are not plain are left out."""
        line: dict[str, Any] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "event": record.getMessage(),
        }
        for name, value in vars(record).items():
            if not _is_told(name):
                continue
            if value is None or isinstance(value, (str, int, float, bool)):
                line[name] = value
        if record.exc_info and record.exc_info[1] is not None:
            line["exception"] = describe_exception(record.exc_info[1])
        return _encode(line).decode()


@cache
def _is_told(name: str) -> bool:
    """Whether a fact of this name may be in a line. Names are written in code, so there are few."""
    return name not in _STANDARD and not any(word in name.lower() for word in _NEVER)


def describe_exception(error: BaseException) -> dict[str, Any]:
    """Type and places of an exception and of what caused it; its message only where it cannot hold data."""
    frames = traceback.extract_tb(error.__traceback__)
    described: dict[str, Any] = {
        "type": f"{type(error).__module__}.{type(error).__qualname__}",
        "places": [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames[-12:]],
    }
    if isinstance(error, _PLAIN_MESSAGES):
        described["message"] = str(error)[:300]
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if cause is not None:
        described["cause"] = f"{type(cause).__module__}.{type(cause).__qualname__}"
    return described


def start_logging(level: str) -> None:
    """Send every logger of the process to stderr as JSON lines. Called once, by the command line."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    # uvicorn brings handlers of its own; its access log repeats ours.
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logging.getLogger(name).handlers[:] = []
        logging.getLogger(name).propagate = name != "uvicorn.access"
    logging.getLogger("alembic").setLevel(logging.WARNING)  # names its dialect at every look at the schema
    logging.getLogger("httpx").setLevel(logging.WARNING)  # logs whole addresses, which may hold numbers of orders


def decision(event: str, facts: Mapping[str, Fact], *, level: int = logging.INFO) -> None:
    """Log one decision: a sign-in, a denial, a refusal that matters. Names with secrets in them are dropped."""
    _log.log(level, event, extra=dict(facts))


class Metrics:
    """The figures of one process. Route templates label requests, so the number of series is bounded."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Histogram(
            "kameng_request_seconds",
            "Time to the last byte of an answer",
            ["method", "route", "status"],
            buckets=(0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10),
            registry=self.registry,
        )
        self._denied = Counter("kameng_denied_total", "Requests refused by policy", ["reason"], registry=self.registry)
        self._found = Counter(
            "kameng_payments_found_total", "Payments by how we learnt of them", ["by"], registry=self.registry
        )

    def request(self, *, method: str, route: str, status: int, seconds: float) -> None:
        """Count one answered request."""
        self._requests.labels(method, route, f"{status // 100}xx").observe(seconds)

    def denied(self, reason: str) -> None:
        """Count one denial: `not_signed_in`, `not_allowed`, `cross_origin`, `too_many`."""
        self._denied.labels(reason).inc()

    def payment_found(self, by: str) -> None:
        """Count one payment that was applied: `callback`, `page`, `sweep`, `bill`, `person`."""
        self._found.labels(by).inc()

    def watch(self, read: Callable[[], Iterable[Gauge]]) -> None:
        """Ask `read` for gauges at each scrape."""
        self.registry.register(_Gauges(read))

    def render(self) -> bytes:
        """The text that Prometheus scrapes."""
        return generate_latest(self.registry)


@dataclass(frozen=True, slots=True)
class Gauge:
    """One figure read at scrape time: `labels` name the series of one gauge."""

    name: str
    value: float
    help: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)


class _Gauges(Collector):
    """Turns what a reader returns into metric families; a reader that fails costs its gauges, not the scrape."""

    def __init__(self, read: Callable[[], Iterable[Gauge]]) -> None:
        self._read = read

    def describe(self) -> list[GaugeMetricFamily]:
        """Nothing: registering must not touch the database."""
        return []

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """All families, each with its series."""
        try:
            gauges = list(self._read())
        except Exception:  # noqa: BLE001 - whatever is wrong with one reader, the other figures are still true
            _log.warning("gauges were not read", exc_info=True)
            return
        families: dict[str, GaugeMetricFamily] = {}
        for gauge in gauges:
            names = sorted(gauge.labels)
            if gauge.name not in families:
                families[gauge.name] = GaugeMetricFamily(gauge.name, gauge.help or gauge.name, labels=names)
            families[gauge.name].add_metric([gauge.labels[name] for name in names], gauge.value)
        yield from families.values()


INVARIANTS_STALE_AFTER = timedelta(minutes=15)

CLOCK_OFF_SECONDS = 60
"""A clock this far from a channel's is told to people: at five minutes no signature counts any more."""


class Health:
    """Whether this process should get requests. `draining` is set when it was told to stop.

    Failed invariants do not turn a process away from the balancer: the other processes have the same books, and
    a closed shop helps nobody. They are shown, counted and alarmed on.
    """

    def __init__(self) -> None:
        self.draining = False
        self._checked_at: datetime | None = None
        self._findings = 0
        self._clocks: dict[str, float] = {}

    def record_invariants(self, *, findings: int) -> None:
        """Note the outcome of an invariant run."""
        self._checked_at, self._findings = clock.now(), findings

    def invariants(self) -> str:
        """`unchecked`, `ok`, `failed` or `stale`: the run should have been repeated long ago."""
        if self._checked_at is None:
            return "unchecked"
        if self._findings:
            return "failed"
        return "stale" if clock.now() - self._checked_at > INVARIANTS_STALE_AFTER else "ok"

    def record_clock(self, channel: str, ahead_seconds: float) -> None:
        """Note by how much our clock was ahead of a channel's at its last answer."""
        self._clocks[channel] = ahead_seconds

    def clock_off_from(self, channel: str) -> int | None:
        """Our clock minus a channel's, in seconds; None while it was not heard from."""
        return round(self._clocks[channel]) if channel in self._clocks else None

    def clock(self) -> str:
        """`ok`, or `off` when every channel finds our clock wrong: where they differ, one of theirs is.

        It turns no process away: others on the machine have the same clock.
        """
        return "off" if min(map(abs, self._clocks.values()), default=0) >= CLOCK_OFF_SECONDS else "ok"

    def gauges(self) -> list[Gauge]:
        """Findings of the last run and its age, and how far off the clock is, for alarms."""
        clocks = [
            Gauge("kameng_clock_off_seconds", off, "Seconds our clock is ahead of a channel's", {"channel": channel})
            for channel, off in sorted(self._clocks.items())
        ]
        if self._checked_at is None:
            return clocks
        age = (clock.now() - self._checked_at).total_seconds()
        return [
            *clocks,
            Gauge("kameng_invariant_findings", self._findings, "Findings of the last invariant run"),
            Gauge("kameng_invariant_age_seconds", age, "Seconds since the last invariant run"),
        ]


def readiness(checks: Mapping[str, Callable[[], bool]]) -> tuple[bool, dict[str, str]]:
    """Run all checks; one that raises has failed. The answer names checks and says ok or failed, nothing else."""
    results: dict[str, str] = {}
    for name, check in checks.items():
        try:
            passed = check()
        except Exception:  # noqa: BLE001 - a check that cannot be made has failed
            _log.warning("readiness check raised", exc_info=True, extra={"check": name})
            passed = False
        results[name] = "ok" if passed else "failed"
    return all(result == "ok" for result in results.values()), results
