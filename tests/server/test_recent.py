"""What a process remembers of what it did: the last names, and no more than it has room for."""

from server.recent import Recent


def test_the_oldest_name_makes_room():
    recent = Recent(most=2)
    for name in ("a", "b", "a", "c"):
        recent.note(name)
    assert [name in recent for name in "abc"] == [False, True, True]
    recent.note("b")
    assert [name in recent for name in "abcd"] == [False, True, True, False]
