"""Guarantees of the small rules of desktop.importing: numbers, formats, days, separators, the ledger's sum."""

import datetime as dt
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from desktop.importing.expiry import parse_expiry
from desktop.importing.ledger import LedgerMismatch, Outcome, Problem, Tally
from desktop.importing.numbers import NumberFormats, _ByOpenpyxl, read_number
from desktop.importing.package import scan
from desktop.importing.separators import vote
from desktop.importing.terms import parse_cost, parse_uses
from tests.desktop.files import workbook


@pytest.mark.parametrize(
    ("value", "number_format", "text", "reason"),
    [
        (1234.0, "000000", "001234", None),
        (1234.0, "000000;-000000", "001234", None),
        (1234.0, "General", "1234", None),
        (1234.0, "@", "1234", None),
        (1234.0, "0_);[Red]\\(0\\)", "1234", None),
        (1234.0, "0_ ", "1234", None),
        (999999999999999.0, "General", "999999999999999", None),
        (1e15, "General", "", "over_15_digits"),
        (float("nan"), "General", "", "over_15_digits"),
        (0.0, "0000", "0000", None),
        (12.5, "General", "", "fraction"),
        (-1.0, "General", "", "negative_number"),
        (12.0, "0.00", "", "number_format"),
        (12.0, "000-000", "", "number_format"),
        (46024.0, "yyyy-mm-dd", "", "number_format"),
    ],
)
def test_a_number_is_what_its_format_shows_or_refused(
    value: float, number_format: str, text: str, reason: str | None
) -> None:
    reading = read_number(value, number_format)
    assert (reading.text, reading.reason) == (text, reason)


def test_both_ways_to_find_a_number_format_agree(tmp_path: Path) -> None:
    codes = ["General", "000000", "0.00", "@", "yyyy-mm-dd", '"No. "0', "0_);[Red]\\(0\\)", "¥#,##0"]

    def change(sheet: Any) -> None:
        for line, code in enumerate(codes, 1):
            sheet.cell(row=line, column=2).number_format = code

    path = workbook(tmp_path / "keys.xlsx", [(line, line * 10) for line in range(1, len(codes) + 1)], change)
    (facts,) = scan(path)
    quick, slow = NumberFormats(path, facts, len(codes)), _ByOpenpyxl(path, facts.name)
    with closing(quick), closing(slow):
        assert [quick.at(line, 1) for line in range(1, len(codes) + 1)] == codes
        assert [slow.at(line, 1) for line in range(1, len(codes) + 1)] == codes
        assert quick.at(1, 0) == slow.at(1, 0) == "General"


@pytest.mark.parametrize(
    ("value", "day"),
    [
        ("2027-08-31", dt.date(2027, 8, 31)),
        ("2027/8/1 23:59:59", dt.date(2027, 8, 1)),
        ("2027.08.31", dt.date(2027, 8, 31)),
        ("20270831", dt.date(2027, 8, 31)),
        (20270831.0, dt.date(2027, 8, 31)),
        (46630.0, dt.date(2027, 8, 31)),
        (dt.datetime(2027, 8, 31, 5, tzinfo=dt.UTC), dt.date(2027, 8, 31)),
        ("长期有效", None),
        ("", None),
    ],
)
def test_expiry_is_read_by_explicit_formats(value: object, day: dt.date | None) -> None:
    assert parse_expiry(value) == day


@pytest.mark.parametrize("value", ["08/31/2027", "2027-02-30", "soon", 1.5, True, dt.time(1)])
def test_an_expiry_that_could_mean_two_things_is_refused(value: object) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the standard library's own sentence for 30 February
        parse_expiry(value)


def test_the_vote_counts_the_odd_lines() -> None:
    assert vote([*["a,b"] * 9, "c"]) == (",", 2, 1, 10)
    assert vote(["a,b", "c", "d"]) == ("", 1, 0, 3)


def test_a_ledger_that_does_not_add_up_is_not_given_out() -> None:
    tally = Tally()
    tally.read, tally.valid, tally.rows_sealed = 3, 1, 1
    tally.problem(Problem(line=2, outcome=Outcome.REFUSED, reason="empty"))
    with pytest.raises(LedgerMismatch) as error:
        tally.close("")
    assert error.value.sentence().startswith("账目对不上：读取 3 行，归类 2 行。")
    tally.read, tally.rows_sealed = 2, 0
    with pytest.raises(LedgerMismatch):
        tally.close("")


def outcome(read: Callable[..., object], *given: Any) -> object:
    """What a reader makes of a cell, or that it refuses it."""
    try:
        return read(*given)
    except ValueError:
        return "refused"


@pytest.mark.parametrize(
    ("order", "value", "day"),
    [
        ("ymd", "2027-08-31", dt.date(2027, 8, 31)),
        ("dmy", "31/08/2027", dt.date(2027, 8, 31)),
        ("dmy", "01.02.2027", dt.date(2027, 2, 1)),
        ("mdy", "01/02/2027", dt.date(2027, 1, 2)),
        ("mdy", "12312027", dt.date(2027, 12, 31)),
        ("dmy", "2027-08-31", dt.date(2027, 8, 31)),
        ("dmy", "2027年8月31日", dt.date(2027, 8, 31)),
        ("ymd", "31/08/2027", None),
        ("mdy", "31/08/2027", None),
        ("dmy", "08/31/2027", None),
        ("dmy", "20270831", None),
    ],
)
def test_day_and_month_are_read_as_a_person_said_and_never_guessed(order: Any, value: str, day: dt.date | None) -> None:
    assert outcome(parse_expiry, value, order) == (day or "refused")


@pytest.mark.parametrize(
    ("cell", "cost"),
    [
        ("8.70", 87_000),
        ("¥8.7", 87_000),
        ("８．７０元", 87_000),
        ("1,234.5", 12_345_000),
        ("0.0350", 350),
        (8.7, 87_000),
        (0.1 + 0.2, 3_000),
        (12.0, 120_000),
        (0.035, 350),
        (0, 0),
        ("", None),
        (" - ", None),
        ("0.00001", "refused"),
        (1e-7, "refused"),
        ("-1", "refused"),
        ("1e3", "refused"),
        (True, "refused"),
        (dt.date(2027, 8, 31), "refused"),
        (float("nan"), "refused"),
        ("99999999999", "refused"),
    ],
)
def test_a_cost_is_the_digits_that_are_shown(cell: Any, cost: int | str | None) -> None:
    assert outcome(parse_cost, cell) == cost


@pytest.mark.parametrize(
    ("cell", "uses"),
    [("3", 3), (3.0, 3), ("３次", 3), ("", None), (10_000, 10_000)]
    + [(cell, "refused") for cell in ("0", "10001", "1.5", 2.5, "-1", True, "many", "9" * 30)],
)
def test_uses_are_a_whole_number(cell: Any, uses: int | str | None) -> None:
    assert outcome(parse_uses, cell) == uses
