"""The only source of ids and random tokens: UUIDv7, order codes for people, link tokens."""

from __future__ import annotations

import re
import secrets
import threading
import time
from datetime import datetime
from uuid import UUID

# Crockford's base 32: no I, L, O, U, so that a code survives the phone, handwriting and old eyes.
ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_VALUE = {c: n for n, c in enumerate(ALPHABET)} | {"O": 0, "I": 1, "L": 1}
_BODY_LENGTH = 11  # 55 random bits: a guess hits one of a million orders once in 3.6e10 tries
CODE_LENGTH = _BODY_LENGTH + 1

_HEX_OF_ID = re.compile(r"[0-9a-f]{12}7[0-9a-f]{3}[89ab][0-9a-f]{15}")

_lock = threading.Lock()
_last_ms = 0
_sequence = 0


def new_id() -> UUID:
    """A UUIDv7 (RFC 9562, method 1): 48 bits of milliseconds, a 12-bit counter, 62 random bits.

    Ids of one process increase strictly, also within a millisecond, so they keep index pages warm and give
    rows their order of creation.
    """
    global _last_ms, _sequence
    with _lock:
        ms = time.time_ns() // 1_000_000
        if ms > _last_ms:
            _last_ms, _sequence = ms, secrets.randbits(10)
        else:
            _sequence += 1
            if _sequence > 0xFFF:
                _last_ms, _sequence = _last_ms + 1, 0
        ms, sequence = _last_ms, _sequence
    value = (ms & 0xFFFF_FFFF_FFFF) << 80 | 0x7 << 76 | sequence << 64 | 0b10 << 62 | secrets.randbits(62)
    return UUID(int=value)


def first_of(instant: datetime) -> UUID:
    """The least id that can be made at this instant or later: where to begin in a table that is in order of them."""
    return UUID(int=(int(instant.timestamp() * 1000) & 0xFFFF_FFFF_FFFF) << 80 | 0x7 << 76 | 0b10 << 62)


def is_id(text: str) -> bool:
    """Whether a text is an id of ours as numbers that leave the shop are written: 32 small hex digits, version 7."""
    return _HEX_OF_ID.fullmatch(text) is not None


def _check_value(body: str) -> int:
    """A weighted sum in GF(32): every single error and every swap of two different neighbours changes it."""
    total = 0
    for character in body:
        total = _double(total) ^ _VALUE[character]
    return _double(total)


def _double(value: int) -> int:
    """Multiply by the generator x of GF(2^5) with the primitive polynomial x^5 + x^2 + 1."""
    value <<= 1
    return value ^ 0b100101 if value & 0b100000 else value


def new_order_code() -> str:
    """A random order code: 11 characters and a check character, for example `7K3M9QX2H4TD`."""
    body = "".join(secrets.choice(ALPHABET) for _ in range(_BODY_LENGTH))
    return body + ALPHABET[_check_value(body)]


def parse_order_code(text: str) -> str | None:
    """The canonical code of what a person typed (spaces, dashes, lower case, O for 0), or None if it is wrong."""
    code = "".join(c for c in text.upper() if c not in " -\u3000\t")
    if len(code) != CODE_LENGTH or any(c not in _VALUE for c in code):
        return None
    code = "".join(ALPHABET[_VALUE[c]] for c in code)
    return code if ALPHABET[_check_value(code[:-1])] == code[-1] else None


def speak_order_code(code: str) -> str:
    """The code in groups of four, as it is shown and read out: `7K3M-9QX2-H4TD`."""
    return "-".join(code[n : n + 4] for n in range(0, len(code), 4))


def speak_distributor(distributor_id: UUID) -> str:
    """How a distributor is called where people read it: `D-4F09A-B12CD`, of the 40 last bits, which are random.

    Distributors have no names of their own yet: the shop keeps who brought a buyer, and no list of them.
    """
    last = distributor_id.hex[-10:].upper()
    return f"D-{last[:5]}-{last[5:]}"


def new_token() -> str:
    """128 bits for a link or an idempotency key, URL-safe, 22 characters."""
    return secrets.token_urlsafe(16)


def new_session_token() -> str:
    """256 bits for a session, URL-safe."""
    return secrets.token_urlsafe(32)


def random_bytes(count: int) -> bytes:
    """Random bytes for keys and nonces."""
    return secrets.token_bytes(count)
