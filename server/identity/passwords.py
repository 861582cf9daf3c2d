"""Passwords: rules, and argon2 two at a time, because each check takes 64 MiB and a tenth of a second.

A flood of sign-ins must not eat the machine: beyond a short queue the answer is Busy. Unknown logins cost the same
work as known ones, so that time does not tell who exists.
"""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from shared.errors import BadField, Busy
from shared.sentence import Sentence

AT_ONCE = 2
MOST_WAITING = 16
SHORTEST = 12
LONGEST = 128

# A hash of random bytes nobody knows, made with the default cost: what unknown logins are checked against.
_NOBODY = "$argon2id$v=19$m=65536,t=3,p=4$j8ToCnDYXW8p/BOJCjYnyA$eziGCuthZyRMFqH4sby6a/sCuwgPWUMXtwdwphDbqMU"

# The heads of the common lists that a rule of twelve characters leaves over, and what people make of our name.
COMMON = frozenset(
    {
        "000000000000",
        "111111111111",
        "123123123123",
        "123456123456",
        "1234567890123",
        "123456789012",
        "123456789abc",
        "123456789qwe",
        "1q2w3e4r5t6y",
        "1q2w3e4r5t6y7u",
        "1qaz2wsx3edc",
        "1qaz2wsx3edc4rfv",
        "88888888888888",
        "888888888888",
        "a1b2c3d4e5f6",
        "abc123456789",
        "abcd12345678",
        "abcdefghijkl",
        "adminadminadmin",
        "administrator",
        "asdfghjkl123",
        "changemeplease",
        "iloveyou1314",
        "kamengkameng",
        "kameng123456",
        "letmeinletmein",
        "password1234",
        "password12345",
        "passwordpassword",
        "qazwsxedcrfv",
        "qwer1234asdf",
        "qwerty123456",
        "qwertyuiop12",
        "qwertyuiopasdf",
        "woaini131420",
        "woaini1314520",
        "zxcvbnm12345",
    }
)

_hasher = PasswordHasher()
_workers = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="argon2")
_places = threading.BoundedSemaphore(AT_ONCE + MOST_WAITING)


def judge(password: str, *, login: str) -> None:
    """Raise BadField unless the password may be used: long enough, not common, not the login. No other rules."""
    plain = password.casefold()
    if len(password) < SHORTEST:
        raise BadField(field="password", reason=f"≥ {SHORTEST}")
    if len(password) > LONGEST:
        raise BadField(field="password", reason=f"≤ {LONGEST}")
    if plain in COMMON or len(set(plain)) < 4:
        raise BadField(field="password", reason=Sentence("太常见", "too common"))
    if login.casefold() in plain and len(plain) - len(login) < SHORTEST - 4:
        raise BadField(field="password", reason=Sentence("不能与登录名相同", "too close to the login"))


def hash_now(password: str) -> str:
    """The argon2id hash; the calling thread waits for one of the two places. Never call it inside a transaction."""
    return _workers.submit(_hasher.hash, password).result()


async def matches(stored: str | None, password: str) -> bool:
    """Whether the password is the one of `stored`; with None the same work is done for nothing. Raises Busy."""
    if not _places.acquire(blocking=False):
        raise Busy(retry_after_seconds=3)
    try:
        return await asyncio.get_running_loop().run_in_executor(_workers, _check, stored, password)
    finally:
        _places.release()


def _check(stored: str | None, password: str) -> bool:
    try:
        return _hasher.verify(stored or _NOBODY, password) and stored is not None
    except (VerificationError, InvalidHashError):
        return False
