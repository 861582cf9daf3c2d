"""A reader of workbooks that computes the few functions our formulas use, over the cells as they are in the file."""

from __future__ import annotations

import re
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import openpyxl


def at(text: str) -> datetime:
    """A wall clock, as cells hold it."""
    return datetime.fromisoformat(text)


def evaluate(book: openpyxl.Workbook, formula: str) -> Any:
    """What a formula of the workbook's first sheet gives."""
    assert formula.startswith("=")
    return _Formula(book, formula[1:]).whole()


class _Formula:
    """Recursive descent over: SUM SUMIFS COUNTIF ROUND IF DATE, + & comparison, strings, numbers, ranges."""

    TOKEN = re.compile(
        r"""\s*(?:(?P<range>'[^']+'!\$?[A-Z]\$?\d+:\$?[A-Z]\$?\d+|[A-Z]\d+:[A-Z]\d+)|(?P<cell>[A-Z]\d+)"""
        r"""|(?P<name>[A-Z]+)\(|(?P<text>"[^"]*")|(?P<number>\d+(?:\.\d+)?)|(?P<sign>[-+&=(),]))"""
    )

    def __init__(self, book: openpyxl.Workbook, text: str) -> None:
        self.book, self.tokens, self.at = book, [], 0
        position = 0
        while position < len(text):
            match = self.TOKEN.match(text, position)
            assert match, text[position:]
            self.tokens.append((match.lastgroup, match[match.lastgroup]))
            position = match.end()

    def whole(self) -> Any:
        value = self.comparison()
        assert self.at == len(self.tokens)
        return value

    def comparison(self) -> Any:
        left = self.joined()
        if self.take("sign", "="):
            return left == self.joined()
        return left

    def joined(self) -> Any:
        left = self.sum()
        while self.take("sign", "&"):
            left = f"{left}{self.sum()}"
        return left

    def sum(self) -> Any:
        left = self.value()
        while self.take("sign", "+"):
            left = left + self.value()
        return left

    def value(self) -> Any:
        kind, text = self.tokens[self.at]
        self.at += 1
        match kind:
            case "text":
                return text[1:-1]
            case "number":
                return Decimal(text)
            case "cell":
                return self.look(self.book.worksheets[0][text].value)
            case "range":
                return self.cells(text)
            case "name":
                arguments = [self.comparison()]
                while self.take("sign", ","):
                    arguments.append(self.comparison())
                assert self.take("sign", ")")
                return getattr(self, f"do_{text.lower()}")(*arguments)
        raise AssertionError((kind, text))

    def take(self, *token: str) -> bool:
        if self.at < len(self.tokens) and self.tokens[self.at] == token:
            self.at += 1
            return True
        return False

    def look(self, value: Any) -> Any:
        if isinstance(value, str) and value.startswith("="):
            return evaluate(self.book, value)
        return self.number(value)

    def cells(self, text: str) -> list[Any]:
        name, _, area = text.rpartition("!")
        sheet = self.book[name.strip("'")] if name else self.book.worksheets[0]
        return [self.look(cell.value) for row in sheet[area.replace("$", "")] for cell in row]

    @staticmethod
    def number(value: Any) -> Any:
        if isinstance(value, datetime):
            since = value - at("1899-12-30 00:00:00")
            return Decimal(since.days) + Decimal(since.seconds) / 86_400
        return Decimal(str(value)) if isinstance(value, int | float) else value

    def do_sum(self, cells: list[Any]) -> Decimal:
        return sum((cell for cell in cells if isinstance(cell, Decimal)), Decimal(0))

    def do_sumifs(self, cells: list[Any], *criteria: Any) -> Decimal:
        total = Decimal(0)
        for n, cell in enumerate(cells):
            pairs = zip(criteria[::2], criteria[1::2], strict=True)
            if all(self.meets(column[n], criterion) for column, criterion in pairs) and cell is not None:
                total += cell
        return total

    @staticmethod
    def meets(value: Any, criterion: str) -> bool:
        match = re.fullmatch(r"(>=|<)(\d+(?:\.\d+)?)", criterion)
        assert match
        if not isinstance(value, Decimal):
            return False
        return value >= Decimal(match[2]) if match[1] == ">=" else value < Decimal(match[2])

    def do_countif(self, cells: list[Any], wanted: Any) -> Decimal:
        return Decimal(sum(cell == wanted for cell in cells))

    def do_round(self, value: Decimal, digits: Decimal) -> Decimal:
        return value.quantize(Decimal(1).scaleb(-int(digits)), ROUND_HALF_UP)

    def do_if(self, condition: Any, yes: Any, no: Any) -> Any:
        return yes if condition else no

    def do_date(self, year: Decimal, month: Decimal, day: Decimal) -> Decimal:
        return self.number(at(f"{int(year):04d}-{int(month):02d}-{int(day):02d} 00:00:00"))


def checks_of(book: openpyxl.Workbook, heading: str = "项目") -> dict[str, tuple[Any, Any, Any]]:
    """Title: (value of the formula, the ledger's number, the verdict)."""
    rows = list(book.worksheets[0].iter_rows(values_only=True))
    start = next(n for n, row in enumerate(rows) if row[0] == heading)
    found = {}
    for row in rows[start + 1 :]:
        if row[2] is None:
            break
        found[row[0]] = (evaluate(book, row[1]), Decimal(str(row[2])), evaluate(book, row[3]))
    return found
