"""A wrong clock of ours is seen in the `Date` of channels' answers; a slow channel is not taken for it."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from server.gateways.clocks import TimedLine
from server.outbound import Reply, Unanswered

ASKED = datetime(2026, 11, 22, 9, 14, 3, 700_000, tzinfo=UTC)


class Answering:
    """Answers with one `Date`, or not at all."""

    def __init__(self, date):
        self.date = date

    async def exchange(self, method, url, *, headers, body=b""):
        if self.date is None:
            raise Unanswered("time-out")
        return Reply(200, {"date": self.date} if self.date else {}, f"{method} {url} {headers} {body!r}".encode())


@pytest.mark.parametrize(
    ("label", "date", "took", "told"),
    [
        ("the same second", "Sun, 22 Nov 2026 09:14:03 GMT", 0, [0.0]),
        ("a slow answer, dated when it was asked for", "Sun, 22 Nov 2026 09:14:03 GMT", 9, [0.0]),
        ("a slow answer, dated when it came", "Sun, 22 Nov 2026 09:14:12 GMT", 9, [0.0]),
        ("ours is behind", "Sun, 22 Nov 2026 09:19:03 GMT", 1, [-298.3]),
        ("ours is ahead", "Sun, 22 Nov 2026 09:09:03 GMT", 1, [299.7]),
        ("by the hour of another zone", "Sun, 22 Nov 2026 17:14:03 +0800", 0, [0.0]),
        ("without a zone", "Sun, 22 Nov 2026 09:14:03", 0, [0.0]),
        ("no date", "", 0, []),
        ("no such date", "Sun, 41 Nov 2026", 0, []),
        ("prose", "yesterday", 0, []),
    ],
)
def test_what_is_told(label, date, took, told):
    moments, heard = iter([ASKED, ASKED + timedelta(seconds=took)]), []
    line = TimedLine(Answering(date), heard.append, now=lambda: next(moments))
    reply = asyncio.run(line.exchange("POST", "https://a/b", headers={"X": "y"}, body=b"z"))
    assert reply.body == b"POST https://a/b {'X': 'y'} b'z'"
    assert [round(one, 3) for one in heard] == told, label


def test_no_answer_tells_nothing():
    heard = []
    with pytest.raises(Unanswered):
        asyncio.run(TimedLine(Answering(None), heard.append).exchange("GET", "https://a", headers={}))
    assert heard == []
