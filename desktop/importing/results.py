"""A bank's or channel's result file: which payouts arrived and which did not, from .csv or .xlsx.

Columns are found by their names, in 简体中文 or English. The file is taken whole: every row that does not fit is told
with its line, and then nothing of it is used.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from desktop.importing.options import Options
from desktop.importing.read import open_source, shown_text
from shared.contracts.settlement import PayoutResult
from shared.errors import BadInput
from shared.money import parse_fen
from shared.sentence import Sentence

MOST_ROWS = 5_000
"""Rows that the server takes at once."""
MOST_BYTES = 8 * 2**20
_HEADING_LINES = 20
"""A heading stands within so many lines: banks write their own name above it."""

_NAMES: dict[str, tuple[str, ...]] = {
    "number": ("请求号", "打款单号", "单号", "打款编号", "客户流水号", "request", "payout", "payout number", "number"),
    "amount": ("金额", "打款金额", "交易金额", "amount"),
    "succeeded": ("结果", "打款结果", "状态", "交易状态", "是否成功", "result", "status", "succeeded"),
    "reference": ("流水号", "银行流水号", "回单号", "交易流水号", "reference", "bank reference"),
    "reason": ("原因", "失败原因", "备注", "reason", "failure reason"),
}
"""What a column may be called, the best name first: in our own instruction each row has a 请求号 of its own."""
_NEEDED = {
    "number": Sentence("打款单号", "payout"),
    "amount": Sentence("金额", "amount"),
    "succeeded": Sentence("结果", "result"),
}
_YES = frozenset({"成功", "已成功", "交易成功", "已到账", "是", "y", "yes", "true", "1", "ok", "success", "succeeded"})
_NO = frozenset({"失败", "已失败", "交易失败", "退汇", "已退汇", "否", "n", "no", "false", "0", "fail", "failed"})
_SEPARATORS = ("\t", ";", "|", ",")
_Line = tuple[int, list[str]]
_UNIT = re.compile(r"\s*[(（].*[)）]\s*$")


class ResultsUnreadable(BadInput):
    """The file cannot be read from the disk."""

    code = "results.unreadable"
    zh = "读不了“{name}”：{detail}。"
    en = "“{name}” cannot be read: {detail}."


class ResultsTooLarge(BadInput):
    """More than the server takes at once."""

    code = "results.too_large"
    zh = "“{name}”太大：一次最多 {most} 行。请分成几份。"
    en = "“{name}” is too large: at most {most} rows at once. Split it."


class ResultsWithoutColumns(BadInput):
    """No line of the file names the columns that are needed."""

    code = "results.without_columns"
    zh = "“{name}”里没有找到这些列：{columns}。第一行应写列名，例如 打款单号、金额、结果、流水号、原因。"
    en = "“{name}” lacks columns: {columns}. The first line names them: payout, amount, result, reference, reason."


class ResultsEmpty(BadInput):
    """There are columns and no rows."""

    code = "results.empty"
    zh = "“{name}”里没有结果行。"
    en = "“{name}” has no rows of results."


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that does not fit, and why."""

    line: int
    why: Sentence


class ResultsDoNotRead(BadInput):
    """Some rows do not fit; `rows` has every one of them."""

    code = "results.bad_rows"
    zh = "“{name}”有 {count} 行不能用，整份文件没有发出。"
    en = "“{name}” has rows that cannot be used ({count}); nothing of the file was sent."

    def __init__(self, rows: Sequence[BadRow], *, name: str) -> None:
        super().__init__(name=name, count=len(rows))
        self.rows = tuple(rows)


@dataclass(frozen=True, slots=True)
class ResultFile:
    """A file that reads well."""

    name: str
    sha256: str
    rows: tuple[PayoutResult, ...]


def read_results(path: Path) -> ResultFile:
    """Read a result file.

    Raises what `open_source` does, ResultsUnreadable, ResultsTooLarge, ResultsWithoutColumns, ResultsEmpty and
    ResultsDoNotRead.
    """
    try:
        content = path.read_bytes() if path.stat().st_size <= MOST_BYTES else None
    except OSError as error:
        raise ResultsUnreadable(name=path.name, detail=error.strerror or type(error).__name__) from error
    if content is None:
        raise ResultsTooLarge(name=path.name, most=MOST_ROWS)
    lines, start, columns = _table(path)
    good: list[PayoutResult] = []
    bad: list[BadRow] = []
    first_line: dict[str, int] = {}
    for line, cells in lines[start + 1 :]:
        if not any(cells):
            continue
        told = {key: cells[at] if at < len(cells) else "" for key, at in columns.items()}
        why, row = _read(told)
        if row is not None and row.number in first_line:
            n = first_line[row.number]
            why, row = Sentence(f"打款单号与第 {n} 行重复", f"the same payout as in line {n}"), None
        if row is None:
            bad.append(BadRow(line, why))
        else:
            first_line[row.number] = line
            good.append(row.model_copy(update={"line": line}))
    if bad:
        raise ResultsDoNotRead(bad, name=path.name)
    if not good:
        raise ResultsEmpty(name=path.name)
    if len(good) > MOST_ROWS:
        raise ResultsTooLarge(name=path.name, most=MOST_ROWS)
    return ResultFile(path.name, hashlib.sha256(content).hexdigest(), tuple(good))


def _table(path: Path) -> tuple[list[_Line], int, dict[str, int]]:
    """The lines, which of them is the heading, and where its columns are. A text is cut where it gives a heading."""
    for separator in _SEPARATORS[:-1]:
        with suppress(ResultsWithoutColumns):
            lines = _lines(path, separator)
            return lines, *_heading(lines, path.name)
    lines = _lines(path, _SEPARATORS[-1])
    return lines, *_heading(lines, path.name)


def _lines(path: Path, separator: str) -> list[_Line]:
    source = open_source(path, Options(separator=separator))
    try:
        return [
            (line, [_text(cell) for cell in cells])
            for block in source.blocks()
            for line, cells in zip(block.lines, block.rows, strict=True)
        ]
    except UnicodeDecodeError as error:
        raise ResultsUnreadable(name=path.name, detail=error.reason) from error
    finally:
        source.close()


def _text(cell: Any) -> str:
    if isinstance(cell, bool):
        return "1" if cell else "0"
    return shown_text(cell).strip().removeprefix("'").strip()


def _heading(lines: Sequence[_Line], name: str) -> tuple[int, dict[str, int]]:
    """Which of the lines names the columns, and where they are."""
    best: dict[str, int] = {}
    for at, (_line, cells) in enumerate(lines[:_HEADING_LINES]):
        said = [_UNIT.sub("", cell).strip().lower() for cell in cells]
        found = {
            key: next(said.index(one) for one in names if one in said)
            for key, names in _NAMES.items()
            if not set(names).isdisjoint(said)
        }
        if _NEEDED.keys() <= found.keys():
            return at, found
        if len(found) > len(best):
            best = found
    missing = "、".join(f"{words.zh} ({words.en})" for key, words in _NEEDED.items() if key not in best)
    raise ResultsWithoutColumns(name=name, columns=missing)


_OK = Sentence("", "")


def _read(told: dict[str, str]) -> tuple[Sentence, PayoutResult | None]:
    """A row, or why it is none."""
    if not told["number"]:
        return Sentence("没有打款单号", "there is no payout number"), None
    amount = _fen(told["amount"])
    if amount is None or amount <= 0:
        return Sentence(f"金额“{told['amount']}”不是数", f"“{told['amount']}” is no amount"), None
    word = told["succeeded"].lower()
    if word not in _YES | _NO:
        said = told["succeeded"]
        return Sentence(f"结果“{said}”不是成功或失败", f"“{said}” is neither success nor failure"), None
    reason = told.get("reason", "")
    if word in _NO and not reason:
        return Sentence("失败要写原因", "a failure needs its reason"), None
    try:
        row = PayoutResult(
            number=told["number"],
            amount_fen=amount,
            succeeded=word in _YES,
            reference=told.get("reference", ""),
            reason=reason,
        )
    except ValidationError as error:
        field = str(error.errors()[0]["loc"][0])
        return Sentence(f"“{field}”太长或不对", f"“{field}” is too long or wrong"), None
    return _OK, row


def _fen(text: str) -> int | None:
    with suppress(ValueError, ArithmeticError):
        return parse_fen(format(Decimal(text.replace(",", "").removeprefix("¥")).normalize(), "f"))
    return None
