"""The lines of an import that did not become stock: what the file refused and what the server refused, as one list."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from desktop.importing import Ledger, Outcome
from desktop.importing.sentences import OF_SERVER, OF_STOCK, REASONS
from desktop.presenters import formats
from desktop.presenters.listing import Column
from desktop.presenters.words import language
from shared.contracts.stock import LineResult, RefusedLine

_SKIPPED = ("header", "empty_row", "hidden_row")

_KINDS = {
    "duplicates": ("重复", "Duplicate", "warning"),
    "refused": ("拒绝", "Refused", "danger"),
    "skipped": ("跳过", "Skipped", "neutral"),
    "stock_duplicates": ("库存重复", "In stock", "warning"),
    "stock_refused": ("服务器拒绝", "Server refused", "danger"),
}


@dataclass(frozen=True, slots=True)
class ProblemRow:
    """One line of the list. `kind` is the figure of the ledger that counts it; `where` is a line or the lines; `code`
    is that of the reason.
    """

    kind: str
    where: str
    address: str
    reason: tuple[str, str]
    shown: str
    code: str = ""


def _in_words(pair: tuple[str, str]) -> str:
    return pair[1] if language().startswith("en") else pair[0]


COLUMNS = (
    Column[ProblemRow]("line", lambda row: row.where, numeric=True, sample="1,048,576"),
    Column[ProblemRow]("cell", lambda row: row.address or "–", code=True, sample="AB1048576"),
    Column[ProblemRow](
        "result",
        lambda row: _in_words(_KINDS[row.kind][:2]),
        tone=lambda row: _KINDS[row.kind][2],
        sample="Server refused",
    ),
    Column[ProblemRow]("shown", lambda row: row.shown or "–", code=True, sample="••••••••ABCD 0000"),
    Column[ProblemRow](
        "reason", lambda row: _in_words(row.reason), stretch=True, tip=lambda row: _in_words(row.reason)
    ),
)


def from_file(ledger: Ledger) -> list[ProblemRow]:
    """What the file's own judge did not let through; skipped lines are summed up by reason."""
    kinds = {Outcome.DUPLICATE: "duplicates", Outcome.REFUSED: "refused"}
    rows = []
    for problem in ledger.problems:
        words = REASONS[problem.reason]
        reason = tuple(words.sentence(code).format(first_line=problem.first_line) for code in ("zh", "en"))
        rows.append(
            ProblemRow(
                kinds.get(problem.outcome, "skipped"),
                formats.count(problem.line),
                problem.address,
                (reason[0], reason[1]),
                problem.shown,
                problem.reason,
            )
        )
    for code in _SKIPPED:
        counted = ledger.reasons.get(code)
        if counted is not None:
            words = REASONS[code]
            where = ", ".join(counted.addresses[:3]) + (" …" if counted.count > 3 else "")
            number = formats.count(counted.count)
            reason_zh = f"{words.sentence('zh')}，共 {number} 行"
            reason_en = f"{words.sentence('en')}: {number} lines"
            rows.append(ProblemRow("skipped", where, "", (reason_zh, reason_en), "", code))
    return rows


def from_server(lines: Sequence[RefusedLine]) -> list[ProblemRow]:
    """What the server did not store."""
    return [
        ProblemRow(
            "stock_duplicates" if line.result in OF_STOCK else "stock_refused",
            formats.count(line.line),
            "",
            (OF_SERVER[line.result].zh, OF_SERVER[line.result].en),
            "",
            line.result.value,
        )
        for line in lines
    ]


def reason_words(code: str) -> str:
    """A reason by itself, in the language of the window."""
    if code in REASONS:
        return REASONS[code].sentence(language()).format(first_line="…")
    return OF_SERVER[LineResult(code)].sentence(language())
