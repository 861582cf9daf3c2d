"""When to greet, when to pull, how long to rest: pure. No clock, no network, chance comes in as a number.

`step(plan, event, chance)` says what to do next; the engine does it and reports back with the next event.
Rules: greet first, then pull; rest 5 s between quiet pulls; after a passing fault rest a random time up to
2^n s, at most 120 s (full jitter, so that a thousand consoles do not return at once); a refused certificate or a
foreign answer is tried once a minute; an ended session stops everything until somebody signs in.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from desktop.engine.events import Connection

PULL_EVERY_SECONDS = 5.0
GREET_EVERY_PULLS = 4_320
"""Rotate the token about every six hours of being online."""
LONGEST_REST_SECONDS = 120.0
STUBBORN_FAULT_REST_SECONDS = 60.0


class Step(StrEnum):
    """What to do when the rest is over."""

    IDLE = "idle"
    GREET = "greet"
    PULL = "pull"


class Event(StrEnum):
    """What happened."""

    SIGNED_IN = "signed_in"
    SIGNED_OUT = "signed_out"
    GREETED = "greeted"
    PULLED_PART = "pulled_part"
    PULLED_ALL = "pulled_all"
    PASSING_FAULT = "passing_fault"
    STUBBORN_FAULT = "stubborn_fault"
    HINT = "hint"
    """The network changed, the machine woke up, or a person wants to try now."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Rest `rest_seconds`, then do `next`. `failures` counts faults in a row, `pulls` pulls since the last greeting."""

    connection: Connection = Connection.SIGNED_OUT
    next: Step = Step.IDLE
    rest_seconds: float = 0.0
    failures: int = 0
    pulls: int = 0


def jitter(failures: int, chance: float) -> float:
    """Seconds to rest after `failures` faults in a row; `chance` is 0 to 1, fresh each time."""
    return chance * min(LONGEST_REST_SECONDS, 2.0 ** min(failures, 10))


def step(plan: Plan, event: Event, chance: float) -> Plan:
    """The next plan. Total: every event is answered in every state."""
    if event is Event.SIGNED_IN:
        return Plan(connection=Connection.CONNECTING, next=Step.GREET)
    if event is Event.SIGNED_OUT or plan.next is Step.IDLE:
        return Plan()
    match event:
        case Event.GREETED:
            return Plan(connection=Connection.ONLINE, next=Step.PULL)
        case Event.PULLED_PART:
            return replace(plan, connection=Connection.ONLINE, failures=0, rest_seconds=0.0)
        case Event.PULLED_ALL:
            pulls = plan.pulls + 1
            then = Step.GREET if pulls >= GREET_EVERY_PULLS else Step.PULL
            return Plan(Connection.ONLINE, then, PULL_EVERY_SECONDS, failures=0, pulls=pulls)
        case Event.PASSING_FAULT:
            failures = plan.failures + 1
            rest = jitter(failures, chance)
            return replace(plan, connection=Connection.OFFLINE, failures=failures, rest_seconds=rest)
        case Event.STUBBORN_FAULT:
            rest = STUBBORN_FAULT_REST_SECONDS
            return replace(plan, connection=Connection.OFFLINE, failures=plan.failures + 1, rest_seconds=rest)
        case _:
            return replace(plan, rest_seconds=0.0)


def lengthen(plan: Plan, seconds: float) -> Plan:
    """Rest at least as long as the server asked for."""
    return replace(plan, rest_seconds=max(plan.rest_seconds, seconds))


def rested(plan: Plan) -> Plan:
    """The rest is over."""
    return replace(plan, rest_seconds=0.0)
