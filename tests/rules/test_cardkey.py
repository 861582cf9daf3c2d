"""Guarantees of shared.cardkey: one rule, idempotent, reversible, nothing changed without saying so."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.cardkey import (
    MAX_LENGTH,
    REASONS,
    REPAIRS,
    Card,
    Fingerprinter,
    Pattern,
    admit,
    all_clean,
    canonical,
    fingerprint,
    fold,
    judge,
    mask,
    normalise,
    parse_canonical,
)

ANY_TEXT = st.text(st.characters() | st.sampled_from("\"'=# \t\r\n\u200b\u3000\ufeffＡ１_x000D_E+1.,"), max_size=40)
PRINTABLE = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=20)


@pytest.mark.parametrize(
    ("label", "raw", "text", "repairs"),
    [
        ("clean stays", "ABCD-1234", "ABCD-1234", ()),
        ("leading zeros stay", "000123", "000123", ()),
        ("inner space stays", "ABCD 1234", "ABCD 1234", ()),
        ("Chinese stays", "账号甲", "账号甲", ()),
        ("spaces and line ends", " \tABC\r\n", "ABC", ("spaces",)),
        ("zero-width and BOM", "\ufeffABC\u200b", "ABC", ("invisible",)),
        ("ideographic and no-break space", "\u3000ABC\u00a0", "ABC", ("invisible",)),
        ("Excel's escape", "ABC_x000D_", "ABC", ("invisible",)),
        ("apostrophe", "'000123", "000123", ("apostrophe",)),
        ("quotes", '"000123"', "000123", ("quotes",)),
        ("Excel text wrapper", '="000123"', "000123", ("excel_text",)),
        ("full width", "ＡＢ１２－３", "AB12-3", ("full_width",)),
        ("several layers", '\u200b" ＡＢ "', "AB", ("spaces", "invisible", "quotes", "full_width")),
        ("a quote inside stays", '"a"b"', '"a"b"', ()),
        ("a lone quote stays", '"', '"', ()),
        ("only invisible", "\u200b \ufeff", "", ("invisible",)),
    ],
)
def test_normalise_removes_only_what_is_listed(label: str, raw: str, text: str, repairs: tuple[str, ...]) -> None:
    assert normalise(raw) == (text, repairs), label


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ("", "empty"),
        ("x" * MAX_LENGTH, None),
        ("x" * (MAX_LENGTH + 1), "too_long"),
        ("AB\tCD", "control_character"),
        ("AB\x1fCD", "control_character"),
        ("AB\x85CD", "control_character"),
        ("AB\u200bCD", "inner_invisible"),
        ("AB\u00a0CD", "inner_invisible"),
        ("AB\ufffdCD", "broken_character"),
        ("AB\ud800", "broken_character"),
        ("1.23457E+11", "exponent"),
        ("1E+15", "exponent"),
        ("1E10", None),
        ("ABE+11", None),
        ("#N/A", "error_value"),
        ("#NA-1234", None),
        ("O0Il1", None),
    ],
)
def test_judge_names_the_reason(raw: str, reason: str | None) -> None:
    assert judge(raw) == reason
    assert reason is None or (REASONS[reason].sentence("zh") and REASONS[reason].sentence("en"))


def test_a_card_may_lack_the_number_but_not_the_secret() -> None:
    assert admit("", "S1") == (Card("", "S1"), (), None, "secret")
    assert admit("N1", " ") == (Card("N1", ""), ("spaces",), "empty", "secret")
    assert admit("N\x001", "S1").reason == "control_character"
    assert admit("N\x001", "S1").field == "number"


@given(ANY_TEXT)
def test_normalise_is_idempotent_and_lists_known_repairs(raw: str) -> None:
    once = normalise(raw)
    assert normalise(once.text) == (once.text, ())
    assert (once.text == raw) == (not once.repairs)
    assert set(once.repairs) <= set(REPAIRS)


@given(ANY_TEXT, ANY_TEXT)
def test_canonical_gives_back_every_admitted_card(number: str, secret: str) -> None:
    verdict = admit(number, secret)
    if verdict.reason is None:
        assert parse_canonical(canonical(verdict.card)) == verdict.card


@given(st.lists(st.tuples(PRINTABLE | ANY_TEXT, PRINTABLE | ANY_TEXT), min_size=1, max_size=4))
def test_clean_means_admitted_without_a_repair(pairs: list[tuple[str, str]]) -> None:
    cards = [Card(*pair) for pair in pairs]
    if all_clean(list(map(canonical, cards))):
        assert [admit(*card) for card in cards] == [(card, (), None, "secret") for card in cards]


def test_ordinary_keys_are_clean_and_each_hazard_is_not() -> None:
    good = ["00012345678901234567\x1fABCD2345EFGH6789", "\x1fAB+E+1/x==", "\x1f1E10", "\x1fa'b", "A1\x1fx y"]
    assert all_clean(good)
    for bad in ["", "\x1f", "N\x1f", "\x1f'a", '\x1f"a"', '\x1f="1"', "\x1f a", "\x1fa ", "\x1f1.5E+11", "\x1f#N/A"]:
        assert not all_clean([*good, bad]), bad
    for bad in ["1E+15\x1fA", "\x1fA_x000D_", "\x1f卡", "\x1fa\x1fb", "\x1f" + "x" * 513, "\x1f１"]:
        assert not all_clean([bad, *good]), bad


def test_a_line_break_in_a_secret_is_not_two_clean_cards() -> None:
    assert not all_clean(["x\x1fa\nb\x1fc"])
    assert admit("x", "a\nb\x1fc").reason == "control_character"


def test_all_clean_ends_on_hostile_blocks() -> None:
    long = "\x1f" + "a " * 250 + "\u00e9"
    assert not all_clean([long] * 2000)  # exponential backtracking would never come back from here
    assert not all_clean([long[:-1] + "a"] * 2000 + ["\x1f"])


def test_parse_canonical_refuses_anything_else() -> None:
    for text in ["", "no separator", "a\x1fb\x1fc"]:
        with pytest.raises(ValueError, match="canonical"):
            parse_canonical(text)


def test_fingerprint_is_keyed_blake2b_of_the_canonical_text() -> None:
    key = bytes(range(32))
    text = canonical(Card("0001", "卡密"))
    expected = hashlib.blake2b(text.encode(), key=key, digest_size=16, person=b"kameng card").digest()
    assert fingerprint(key, text) == expected
    assert Fingerprinter(key).of(text) == expected
    assert Fingerprinter(key).of_all([text, text]) == [expected, expected]
    assert fingerprint(bytes(32), text) != expected
    assert Fingerprinter.throw_away().of(text) != Fingerprinter.throw_away().of(text)
    with pytest.raises(ValueError, match="16 to 64"):
        Fingerprinter(b"short")


def test_number_and_secret_cannot_be_shifted_into_each_other() -> None:
    key = bytes(32)
    assert fingerprint(key, canonical(Card("A", "BC"))) != fingerprint(key, canonical(Card("AB", "C")))
    assert fingerprint(key, canonical(Card("", "A"))) != fingerprint(key, canonical(Card("A", "")))


def test_case_matters_unless_folded() -> None:
    assert canonical(Card("", "abc")) != canonical(Card("", "ABC"))
    assert fold("AbC\x1fÉZ") == "abc\x1fÉz"


@given(PRINTABLE, PRINTABLE)
def test_mask_shows_at_most_four_last_characters(number: str, secret: str) -> None:
    shown = mask(Card(number, secret))
    assert repr(Card(number, secret)) == f"Card({shown})"
    for text, part in zip((number, secret) if number else (secret,), shown.split("••••")[1:], strict=False):
        tail = part.removesuffix(" / ") if part.endswith(" / ") and number else part
        assert len(tail) <= 4
        assert len(tail) * 3 <= len(text)


def test_mask_by_example() -> None:
    assert mask(Card("", "ABCD")) == "••••"
    assert mask(Card("", "ABCDEF")) == "••••EF"
    assert mask(Card("000012345678", "ABCDEFGHIJKL")) == "••••5678 / ••••IJKL"


@pytest.mark.parametrize(
    ("secret", "reason"),
    [("1234", None), ("123", "too_short_for_product"), ("123456", "too_long_for_product"), ("12O4", "not_in_alphabet")],
)
def test_pattern_of_a_product(secret: str, reason: str | None) -> None:
    pattern = Pattern(min_length=4, max_length=5, alphabet="0123456789")
    assert pattern.judge(secret) == reason
    assert pattern.fits(secret) == (reason is None)


def test_pattern_alphabet_is_taken_literally() -> None:
    assert Pattern(alphabet="]^-\\a").fits("a-]^\\")
    assert not Pattern(alphabet="]^-\\a").fits("b")
    assert Pattern().fits("任何 字符")
