"""Two days of a channel that are compared at the same moment: what an earlier day left is work of one of them."""

import threading
from contextlib import suppress
from unittest.mock import patch

import pytest

from server.reconcile import carrying, running
from server.reconcile.running import RunUnderWay
from shared import clock
from shared.finance import DifferenceAction as A
from tests.model.reconciling import DAYS, NOW, History
from tests.world import world

FIRST, *LATER = DAYS[:3]


@pytest.fixture
def history(request, tmp_path):
    with world(request.param, tmp_path, expects=None) as shop, clock.fixed(NOW):
        history = History(shop.ctx)
        history.bill(FIRST, more=[history.line(amount_fen=4_600)])
        for day in LATER:
            history.bill(day)
        yield history


def compare_both(history, module, name):
    """Compare both later days at once; each waits for the other, as far as it can, where `name` is first called."""
    both, real, come = threading.Barrier(2), getattr(module, name), set()

    def together(*args):
        answer = real(*args)
        if (me := threading.get_ident()) not in come:
            come.add(me)
            with suppress(threading.BrokenBarrierError):
                both.wait(0.5)
        return answer

    def compare(day):
        with suppress(RunUnderWay):  # somebody compares it again
            running.run(history.ctx, history.channel, day, by="zhou")

    with patch.object(module, name, together):
        threads = [threading.Thread(target=compare, args=[day]) for day in LATER]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    for day in LATER:
        history.run(day)


def is_booked_once(history):
    [row] = history.open()
    assert (row.kind, row.ours_fen, row.theirs_fen, row.carried_from) == ("amount", 4_500, 4_600, FIRST)
    history.decide(row, A.BOOK)
    for day in LATER:
        history.run(day)
    owed, held = history.owed()
    assert (history.open(), owed) == ([], held)


@pytest.mark.parametrize("history", ["postgres", "mariadb"], indirect=True)  # SQLite has one writer at a time
def test_what_was_carried_over_is_taken_up_by_one_of_them(history):
    [row] = history.open()
    history.decide(row, A.CARRY)
    assert history.sign(FIRST)
    compare_both(history, carrying, "_carried")
    is_booked_once(history)


@pytest.mark.parametrize("history", ["sqlite", "postgres"], indirect=True)
def test_what_came_late_is_taken_by_one_of_them(history):
    history.bill(FIRST, more=[history.line()])
    assert history.sign(FIRST)
    with patch.object(running, "run_open", lambda *_, **__: None):
        history.bill(FIRST, more=[history.line(amount_fen=4_600)])
    compare_both(history, running, "_told_otherwise")
    is_booked_once(history)
