"""When to greet, pull and rest: pure, so every order of events is tried."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from desktop.engine.events import Connection
from desktop.engine.planner import GREET_EVERY_PULLS, Event, Plan, Step, jitter, lengthen, rested, step

SIGNED_IN = step(Plan(), Event.SIGNED_IN, 0.5)
ONLINE = step(SIGNED_IN, Event.GREETED, 0.5)


def test_a_sign_in_is_greeted_at_once_and_pulled_right_after():
    assert Plan(Connection.CONNECTING, Step.GREET, 0.0) == SIGNED_IN
    assert Plan(Connection.ONLINE, Step.PULL, 0.0) == ONLINE


def test_pages_follow_each_other_and_quiet_pulls_rest():
    assert step(ONLINE, Event.PULLED_PART, 0.5) == ONLINE
    assert step(ONLINE, Event.PULLED_ALL, 0.5) == Plan(Connection.ONLINE, Step.PULL, 5.0, pulls=1)


def test_the_token_is_rotated_after_hours_of_pulling():
    plan = Plan(Connection.ONLINE, Step.PULL, 0.0, pulls=GREET_EVERY_PULLS - 1)
    assert step(plan, Event.PULLED_ALL, 0.5).next is Step.GREET


def test_faults_rest_longer_each_time_up_to_two_minutes():
    plan, rests = ONLINE, []
    for _ in range(12):
        plan = step(plan, Event.PASSING_FAULT, 1.0)
        rests.append(plan.rest_seconds)
    assert rests == [2, 4, 8, 16, 32, 64, 120, 120, 120, 120, 120, 120]
    assert (plan.connection, plan.next, plan.failures) == (Connection.OFFLINE, Step.PULL, 12)
    assert step(plan, Event.PULLED_ALL, 1.0) == Plan(Connection.ONLINE, Step.PULL, 5.0, pulls=1)


@given(st.integers(1, 50), st.floats(0, 1))
def test_jitter_is_full(failures, chance):
    assert 0 <= jitter(failures, chance) <= min(120, 2**failures)
    assert jitter(failures, 0.0) == 0.0


def test_a_foreign_answer_is_tried_once_a_minute():
    plan = step(SIGNED_IN, Event.STUBBORN_FAULT, 0.1)
    assert (plan.connection, plan.next, plan.rest_seconds) == (Connection.OFFLINE, Step.GREET, 60.0)


@pytest.mark.parametrize("event", [event for event in Event if event is not Event.SIGNED_IN])
def test_nobody_signed_in_means_nothing_to_do(event):
    assert step(Plan(), event, 0.5) == Plan()
    assert step(ONLINE, Event.SIGNED_OUT, 0.5) == Plan()


def test_a_hint_ends_the_rest_and_keeps_what_is_known():
    offline = step(step(ONLINE, Event.PASSING_FAULT, 1.0), Event.PASSING_FAULT, 1.0)
    assert step(offline, Event.HINT, 0.0) == Plan(Connection.OFFLINE, Step.PULL, 0.0, failures=2)
    assert rested(offline) == Plan(Connection.OFFLINE, Step.PULL, 0.0, failures=2)


def test_a_busy_servers_wish_is_kept_when_it_is_longer():
    offline = step(ONLINE, Event.PASSING_FAULT, 1.0)
    assert lengthen(offline, 30).rest_seconds == 30
    assert lengthen(offline, 1).rest_seconds == 2


@given(st.lists(st.tuples(st.sampled_from(Event), st.floats(0, 1)), max_size=40))
def test_after_any_events_the_plan_is_sound(events):
    plan = Plan()
    for event, chance in events:
        before, plan = plan, step(plan, event, chance)
        assert (plan.next is Step.IDLE) == (plan.connection is Connection.SIGNED_OUT)
        assert 0 <= plan.rest_seconds <= 120
        if plan.connection is Connection.ONLINE and before.connection is not Connection.ONLINE:
            assert event in {Event.GREETED, Event.PULLED_PART, Event.PULLED_ALL}
        # Nothing is pulled before it was greeted.
        if plan.next is Step.PULL and before.next is Step.GREET:
            assert event in {Event.GREETED, Event.PULLED_ALL}
