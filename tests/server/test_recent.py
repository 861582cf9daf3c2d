"""What a process remembers of what it did: the last names, and no more than it has room for."""

import asyncio
from functools import partial

from server.recent import Recent


def test_the_oldest_name_makes_room():
    recent = Recent(most=2)
    for name in ("a", "b", "a", "c"):
        recent.note(name)
    assert [name in recent for name in "abc"] == [False, True, True]
    recent.note("b")
    assert [name in recent for name in "abcd"] == [False, True, True, False]


def test_who_comes_while_it_is_done_waits_for_the_same_end():
    recent, done = Recent(), []

    async def work(answer):
        begun = len(done)
        done.append(answer)
        await asyncio.sleep(0)
        if isinstance(answer, Exception):
            raise answer
        assert len(done) == begun + 1, "nobody else began it"
        return answer

    async def all_at_once(answer):
        asked = [recent.once("a", partial(work, answer)) for _ in range(10)]
        return await asyncio.gather(*asked, return_exceptions=True)

    trouble = LookupError("away")
    assert asyncio.run(all_at_once(trouble)) == [trouble] * 10
    assert asyncio.run(all_at_once(False)) == [None] * 10
    assert "a" not in recent
    assert asyncio.run(all_at_once(True)) == [None] * 10
    assert asyncio.run(all_at_once(True)) == [None] * 10
    assert (done, "a" in recent) == ([trouble, False, True], True)
