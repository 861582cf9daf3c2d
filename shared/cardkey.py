"""One rule for a card key, the same on the console and on the server: normalise, judge, fingerprint.

Guarantees: `normalise` is idempotent and only ever removes what nobody can see or Excel added, each time with a
repair code; `judge` refuses what could not be typed back by a buyer; `canonical` is the single text of a card
that is encrypted and fingerprinted, and `parse_canonical` gives the same card back. Nothing here changes case,
look-alikes (O/0, I/l/1) or anything inside a key.

Called by `desktop.importing` (before upload) and by the server's stock intake (again, it trusts nobody).
Standard library only; the `all_clean` and `Fingerprinter.of_all` forms exist because a million keys pass here.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple

from shared.sentence import Sentence

MAX_LENGTH = 512
"""Characters of a card number or of a secret, at most, after normalising."""

SEPARATOR = "\x1f"
"""Stands between number and secret in the canonical text. A control character, so it is never inside either."""

FINGERPRINT_BYTES = 16


REASONS: dict[str, Sentence] = {
    "empty": Sentence("卡密为空", "The card secret is empty"),
    "too_long": Sentence("超过 512 个字符", "Longer than 512 characters"),
    "control_character": Sentence(
        "中间含有控制字符（制表符、换行等）", "Contains a control character (tab, line break, ...)"
    ),
    "inner_invisible": Sentence(
        "中间含有看不见的字符（零宽字符、全角空格等）",
        "Contains an invisible character (zero-width, no-break space, ...)",
    ),
    "broken_character": Sentence(
        "含有乱码字符，文件在别处已经损坏", "Contains a broken character: the file was damaged elsewhere"
    ),
    "exponent": Sentence(
        "是科学计数法，Excel 已经丢掉末尾数字，请把列设为文本后重新导出",
        "Is in scientific notation: Excel has lost digits; set the column to text and export again",
    ),
    "error_value": Sentence("是 Excel 的错误值", "Is an Excel error value"),
    "too_short_for_product": Sentence("比该商品规定的长度短", "Shorter than this product's keys are"),
    "too_long_for_product": Sentence("比该商品规定的长度长", "Longer than this product's keys are"),
    "not_in_alphabet": Sentence(
        "含有该商品卡密不使用的字符", "Contains a character that this product's keys never use"
    ),
    "wrong_check_digit": Sentence("校验位不对，可能抄错或被改动", "Its check digit is wrong: mistyped or changed"),
}
"""Why a card is refused. The code is stable: it travels, and is counted."""

REPAIRS: dict[str, Sentence] = {
    "spaces": Sentence("去掉首尾空白", "Spaces at the ends removed"),
    "invisible": Sentence("去掉首尾不可见字符", "Invisible characters at the ends removed"),
    "quotes": Sentence("去掉包裹的引号", "Surrounding quotes removed"),
    "apostrophe": Sentence("去掉开头的撇号", "Leading apostrophe removed"),
    "excel_text": Sentence('去掉 Excel 的 ="…" 外壳', 'Excel\'s ="..." wrapper removed'),
    "full_width": Sentence("全角字符转为半角", "Full-width characters made half-width"),
}
"""What `normalise` may do to a text. Each use is counted and can be refused by the importer."""

_SPACES = " \t\r\n"
_CONTROLS = "".join(map(chr, [*range(0x20), *range(0x7F, 0xA0)]))
# A literal table, not unicodedata: two Python versions must judge alike.
_INVISIBLE = (
    "\u00a0\u00ad\u034f\u061c\u115f\u1160\u1680\u180e\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009"
    "\u200a\u200b\u200c\u200d\u200e\u200f\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u202f\u205f\u2060\u2061\u2062"
    "\u2063\u2064\u2066\u2067\u2068\u2069\u3000\u3164\ufeff\uffa0"
)
_EDGES = " " + _CONTROLS + _INVISIBLE
_FULL_WIDTH = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}

_HAS_FULL_WIDTH = re.compile("[\uff01-\uff5e]")
_HAS_CONTROL = re.compile(f"[{re.escape(_CONTROLS)}]")
_HAS_INVISIBLE = re.compile(f"[{_INVISIBLE}]")
_HAS_BROKEN = re.compile("[\ud800-\udfff\ufffd-\uffff]")
# Excel writes a carriage return inside a shared string as this escape; some readers leave it in.
_ESCAPED_EDGE = re.compile(r"\A(?:_x000[9AD]_)+|(?:_x000[9AD]_)+\Z")
_EXPONENT = r"[+-]?\d(?:[.,]\d+)?[eE]\+\d{1,3}"
_IS_EXPONENT = re.compile(_EXPONENT, re.ASCII)
_ERROR_VALUES = frozenset(
    ["#N/A", "#REF!", "#VALUE!", "#NAME?", "#DIV/0!", "#NULL!", "#NUM!", "#SPILL!", "#CALC!", "#GETTING_DATA"]
)

# A clean field is printable ASCII that `normalise` would leave alone and `judge` would take. The first
# character rules out quotes, apostrophes, ="..." and #N/A; the look-arounds rule out exponents and escapes.
_CLEAN_FIELD = (
    rf"(?!{_EXPONENT}(?:[\x1f\n]|\Z))(?!_x000[9AD]_)"
    rf"[!$%&(-<>-~](?:[ -~]{{0,{MAX_LENGTH - 2}}}[!-~])?(?<!_x000[9AD]_)"
)
_CLEAN_CARD = rf"(?:{_CLEAN_FIELD})?\x1f{_CLEAN_FIELD}"
_IS_CLEAN = re.compile(_CLEAN_CARD, re.ASCII)
_ARE_CLEAN = re.compile(rf"{_CLEAN_CARD}(?:\n{_CLEAN_CARD})*+", re.ASCII)


class Card(NamedTuple):
    """What is sold: an optional card number (may be empty) and the secret. Its repr never shows the secret."""

    number: str
    secret: str

    def __repr__(self) -> str:
        return f"Card({mask(self)})"


class Normalised(NamedTuple):
    """A text without what nobody can see, and the codes (of `REPAIRS`) of what was done to it."""

    text: str
    repairs: tuple[str, ...]


class Verdict(NamedTuple):
    """What both sides think of one card. `reason` is None when it is good, else a code of `REASONS`."""

    card: Card
    repairs: tuple[str, ...]
    reason: str | None
    field: str
    """`number` or `secret`: the one that `reason` is about."""


def canonical(card: Card) -> str:
    """The single text of a card: what is encrypted and what is fingerprinted."""
    return f"{card.number}{SEPARATOR}{card.secret}"


def parse_canonical(text: str) -> Card:
    """The card of a canonical text. Raises ValueError when it is not one."""
    number, separator, secret = text.partition(SEPARATOR)
    if not separator or SEPARATOR in secret:
        raise ValueError("not the canonical text of a card")
    return Card(number, secret)


def mask(card: Card) -> str:
    """How a card looks in a list: never more than the last four characters of a long text, none of a short one."""
    secret = f"••••{_tail(card.secret)}"
    return f"••••{_tail(card.number)} / {secret}" if card.number else secret


def tail(card: Card) -> str:
    """The only part of a card that is kept readable: the end of its number, or of its secret if it has none."""
    return _tail(card.number or card.secret)


def tails(canonical_texts: Iterable[str]) -> list[str]:
    """`tail` of many cards, by their canonical texts."""
    return [_tail(text.partition(SEPARATOR)[0] or text[1:]) for text in canonical_texts]


def _tail(text: str) -> str:
    shown = 4 if len(text) >= 12 else 2 if len(text) >= 6 else 0
    return text[len(text) - shown :]


def fold(text: str) -> str:
    """The text to fingerprint for a product whose keys ignore case. ASCII only: every version folds alike."""
    return text.translate(_FOLD)


_FOLD = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}


def normalise(text: str) -> Normalised:
    """Remove what nobody can see at both ends, wrappers that Excel adds, and full-width forms of ASCII."""
    repairs: set[str] = set()
    if _HAS_FULL_WIDTH.search(text):
        text = text.translate(_FULL_WIDTH)
        repairs.add("full_width")
    while True:  # a quote may hide a space that hides a quote
        bare = _bare(text, repairs)
        if bare == text:
            return Normalised(text, tuple(code for code in REPAIRS if code in repairs))
        text = bare


def _bare(text: str, repairs: set[str]) -> str:
    """Take off one layer of wrapping, noting in `repairs` what it was."""
    bare = text.strip(_EDGES)
    if bare != text:
        start = text.find(bare) if bare else len(text)
        edges = text[:start] + text[start + len(bare) :]
        repairs.add("invisible" if edges.strip(_SPACES) else "spaces")
        return bare
    bare = _ESCAPED_EDGE.sub("", text)
    if bare != text:
        repairs.add("invisible")
    elif len(text) >= 3 and text.startswith('="') and text.endswith('"') and '"' not in text[2:-1]:
        bare = text[2:-1]
        repairs.add("excel_text")
    elif len(text) >= 2 and text[0] == text[-1] and text[0] in "\"'" and text[0] not in text[1:-1]:
        bare = text[1:-1]
        repairs.add("quotes")
    elif text.startswith("'"):
        bare = text[1:]
        repairs.add("apostrophe")
    return bare


def judge(text: str) -> str | None:
    """The code of what is wrong with a normalised, non-empty number or secret, or None."""
    if not text:
        return "empty"
    if len(text) > MAX_LENGTH:
        return "too_long"
    if _HAS_CONTROL.search(text):
        return "control_character"
    if _HAS_INVISIBLE.search(text):
        return "inner_invisible"
    if _HAS_BROKEN.search(text):
        return "broken_character"
    if _IS_EXPONENT.fullmatch(text):
        return "exponent"
    return "error_value" if text in _ERROR_VALUES else None


def admit(number: str, secret: str) -> Verdict:
    """Normalise and judge a whole card. The number may be empty, the secret may not."""
    if _IS_CLEAN.fullmatch(f"{number}{SEPARATOR}{secret}"):
        return Verdict(Card(number, secret), (), None, "secret")
    bare_number, number_repairs = normalise(number)
    bare_secret, secret_repairs = normalise(secret)
    card = Card(bare_number, bare_secret)
    repairs = tuple(dict.fromkeys(number_repairs + secret_repairs))
    reason = judge(bare_number) if bare_number else None
    if reason is not None:
        return Verdict(card, repairs, reason, "number")
    return Verdict(card, repairs, judge(bare_secret), "secret")


def all_clean(canonical_texts: Sequence[str]) -> bool:
    """Whether each canonical text is plain ASCII that `admit` would take without a repair.

    The fast path for blocks of about a thousand cards: one regular expression over all of them. False means
    "look at each one", not "something is wrong".
    """
    joined = "\n".join(canonical_texts)
    # A line break inside a secret could make one text look like two clean ones.
    return joined.count("\n") + 1 == len(canonical_texts) and _ARE_CLEAN.fullmatch(joined) is not None


class CheckDigit(StrEnum):
    """How the end of a key proves the rest of it."""

    NONE = "none"
    LUHN = "luhn"
    MOD_97 = "mod_97"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pattern:
    """What the secrets of one product look like. `alphabet` lists the allowed characters; empty allows any."""

    min_length: int = 1
    max_length: int = MAX_LENGTH
    alphabet: str = ""
    check_digit: CheckDigit = CheckDigit.NONE

    def judge(self, secret: str) -> str | None:
        """The code of what does not fit, or None."""
        if len(secret) < self.min_length:
            return "too_short_for_product"
        if len(secret) > self.max_length:
            return "too_long_for_product"
        if _compiled(self).fullmatch(secret) is None:
            return "not_in_alphabet"
        return None if _PROOFS[self.check_digit](secret) else "wrong_check_digit"

    def fits(self, secret: str) -> bool:
        """Whether length, alphabet and check digit fit; the cheap form of `judge` for bulk."""
        return _compiled(self).fullmatch(secret) is not None and _PROOFS[self.check_digit](secret)


def _luhn(text: str) -> bool:
    """ISO/IEC 7812-1: every second digit from the right doubled, its digits added, the sum a multiple of ten."""
    if not (text.isascii() and text.isdigit()):
        return False
    doubled = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)
    digits = [int(digit) for digit in reversed(text)]
    return (sum(digits[::2]) + sum(doubled[digit] for digit in digits[1::2])) % 10 == 0


def _mod_97(text: str) -> bool:
    """ISO/IEC 7064 MOD 97-10: letters count 10 to 35, and the whole number leaves 1."""
    if not (text.isascii() and text.isalnum()):
        return False
    return int("".join(str(int(letter, 36)) for letter in text)) % 97 == 1


_PROOFS: dict[CheckDigit, Callable[[str], bool]] = {
    CheckDigit.NONE: lambda _: True,
    CheckDigit.LUHN: _luhn,
    CheckDigit.MOD_97: _mod_97,
}


@lru_cache(maxsize=64)
def _compiled(pattern: Pattern) -> re.Pattern[str]:
    letters = f"[{re.escape(pattern.alphabet)}]" if pattern.alphabet else "."
    return re.compile(f"{letters}{{{pattern.min_length},{pattern.max_length}}}", re.DOTALL)


class Fingerprinter:
    """Keyed BLAKE2b-128 of canonical texts, the keyed state prepared once (0.35 us a text).

    `key` is 16 to 64 secret bytes. The same key and text give the same 16 bytes on both sides.
    """

    __slots__ = ("_state",)

    def __init__(self, key: bytes) -> None:
        if not 16 <= len(key) <= 64:
            raise ValueError("a fingerprint key has 16 to 64 bytes")
        self._state = hashlib.blake2b(key=key, digest_size=FINGERPRINT_BYTES, person=b"kameng card")

    @classmethod
    def throw_away(cls) -> Fingerprinter:
        """One with a random key that nobody keeps: finds duplicates within a file and is useless afterwards."""
        return cls(secrets.token_bytes(32))

    def of(self, text: str) -> bytes:
        """The 16-byte fingerprint of one canonical (and, where the product says so, folded) text."""
        state = self._state.copy()
        state.update(text.encode())
        return state.digest()

    def of_all(self, texts: Iterable[str]) -> list[bytes]:
        """The fingerprints of many texts, in order."""
        copy = self._state.copy
        digests: list[bytes] = []
        for text in texts:
            state = copy()
            state.update(text.encode())
            digests.append(state.digest())
        return digests


def fingerprint(key: bytes, normalised: str) -> bytes:
    """The 16-byte fingerprint of one canonical text under `key`. Use a `Fingerprinter` for more than one."""
    return Fingerprinter(key).of(normalised)
