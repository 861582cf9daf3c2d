"""Payout instructions as a file for the bank or the channel: .xlsx, or .csv as Excel opens it. Whole or not at all.

Ids are text for ever, amounts are numbers in yuan. In .csv a text that Excel would compute gets an apostrophe.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

from desktop.exporting import cells
from desktop.exporting.cells import Kind
from desktop.exporting.grid import heading_row, row_of, style_of
from desktop.exporting.sheet_writer import Book, Look, letters
from desktop.exporting.target import Replacement, check_place
from shared import channels, clock
from shared.contracts.settlement import InstructionRow, PayoutInstruction
from shared.errors import BadInput
from shared.sentence import Sentence

_COLUMNS: tuple[tuple[Sentence, Kind, int], ...] = (
    (Sentence("打款单号", "Payout"), Kind.TEXT, 18),
    (Sentence("请求号", "Request"), Kind.TEXT, 22),
    (Sentence("操作", "What to do"), Kind.WORD, 12),
    (Sentence("收款方", "Receiver"), Kind.TEXT, 24),
    (Sentence("收款账号", "Account"), Kind.TEXT, 24),
    (Sentence("开户行", "Bank"), Kind.TEXT, 24),
    (Sentence("金额(元)", "Amount (yuan)"), Kind.AMOUNT, 14),
    (Sentence("附言", "Remark"), Kind.TEXT, 28),
    (Sentence("渠道", "Channel"), Kind.WORD, 12),
    (Sentence("商户订单号", "Our number"), Kind.TEXT, 26),
    (Sentence("渠道流水号", "Channel's number"), Kind.TEXT, 32),
    (Sentence("订单号", "Order"), Kind.TEXT, 18),
    (Sentence("最早时间", "Not before"), Kind.TIME, 20),
    (Sentence("最晚时间", "Until"), Kind.TIME, 20),
    (Sentence("注意", "Attention"), Kind.WORD, 36),
)

KINDS = {
    "transfer": Sentence("转账", "Transfer"),
    "split": Sentence("分账", "Split"),
    "unfreeze": Sentence("解冻剩余资金", "Unfreeze the rest"),
    "return": Sentence("分账回退", "Give back"),
}
"""What is to be done; the words of `InstructionRow.kind`. What is unfrozen or given back is ours."""

TROUBLES = {
    "too_late": Sentence("已过分账期限，请登记为失败", "Too late to be split: say that it failed"),
    "too_many_rounds": Sentence("分账次数已用完，请登记为失败", "Split too often: say that it failed"),
    "no_payment": Sentence("超出可分账的部分，请转账", "More than can be split: transfer it"),
}
"""Why a part cannot be split by the channel; the words of `InstructionRow.trouble`."""

NO_ACCOUNT = Sentence("缺收款账号", "No account to pay to")
_TO_AN_ACCOUNT = frozenset({"transfer", "split"})

_DANGEROUS = ("=", "+", "-", "@", "\t", "\r", "\0", "＝", "＋", "－", "＠")


class TargetNotATable(BadInput):
    """The name is neither one of a workbook nor of a table in text."""

    code = "export.not_a_table"
    zh = "“{file}”应以 .xlsx 或 .csv 结尾。"
    en = "“{file}” has to end in .xlsx or .csv."


def check_table(target: Path) -> Path:
    """The absolute path to write. Raises TargetNotATable, and what `check_place` does."""
    target = target.expanduser().absolute()
    if target.suffix.lower() not in {".xlsx", ".csv"}:
        raise TargetNotATable(file=target.name)
    check_place(target)
    return target


class InstructionFile(Replacement):
    """A file of instructions, which `write` makes and `put` puts in its place."""

    def __init__(self, target: Path, *, language: str) -> None:
        """Raises what `check_table` does, and what a `Replacement`."""
        target = check_table(target)
        super().__init__(target)
        self._title, self._is_text, self._language = target.stem, target.suffix.lower() == ".csv", language

    def write(self, instructions: Sequence[PayoutInstruction]) -> int:
        """Write them one below the other, instead of what was written, and return how many rows there are.

        It is on the disk then, and no program is in its way. Raises TargetBusy and TargetUnwritable.
        """
        language = self._language
        rows = [_values(one.number, row) for one in instructions for row in one.rows]
        columns = [
            cells.texts(kind, [row[at] for row in rows], language) for at, (_title, kind, _width) in enumerate(_COLUMNS)
        ]
        titles = [title.sentence(language) for title, _kind, _width in _COLUMNS]
        self.begin_again()
        if self._is_text:
            self.file.write(_csv(titles, columns))
        else:
            _write_book(self.file, self._title, titles, columns)
        self.make_sure()
        return len(rows)


def _values(number: str, row: InstructionRow) -> tuple[Any, ...]:
    return (
        number,
        row.request_no,
        KINDS[row.kind],
        row.receiver,
        row.account,
        row.bank,
        row.amount_fen,
        row.remark,
        channels.name(row.channel) if row.channel else None,
        row.payment_no,
        row.provider_no,
        row.order_code,
        row.start_at,
        row.until,
        attention(row),
    )


def why_not_split(row: InstructionRow) -> Sentence | None:
    """Why the channel cannot split it; None where it can, or does not have to."""
    return TROUBLES.get(row.trouble, Sentence(row.trouble, row.trouble)) if row.trouble else None


def attention(row: InstructionRow) -> Sentence | None:
    """What whoever carries a row has to know; None where there is nothing."""
    told = [why] if (why := why_not_split(row)) else []
    if row.kind in _TO_AN_ACCOUNT and not row.account:
        told.append(NO_ACCOUNT)
    return Sentence("；".join(one.zh for one in told), "; ".join(one.en for one in told)) if told else None


def _csv(titles: Sequence[str], columns: Sequence[Sequence[str]]) -> bytes:
    made = io.StringIO(newline="")
    writer = csv.writer(made)
    writer.writerow(titles)
    for row in zip(*columns, strict=True):
        writer.writerow([_in_a_table(kind, text) for text, (_title, kind, _width) in zip(row, _COLUMNS, strict=True)])
    return made.getvalue().encode("utf-8-sig")


def _in_a_table(kind: Kind, text: str) -> str:
    """As programs of tables read it: a moment is one, and what looks like a formula is none."""
    if kind is Kind.TIME:
        return text.replace("T", " ")
    return f"'{text}" if kind is Kind.TEXT and text.startswith(_DANGEROUS) else text


def _write_book(file: IO[bytes], title: str, titles: Sequence[str], columns: Sequence[Sequence[str]]) -> None:
    with Book(file, title=title, author="", made_at=clock.now()) as book:
        sheet = book.sheet(title[:31], Look([width for _title, _kind, width in _COLUMNS], frozen_rows=1))
        sheet.write(heading_row(book, 1, titles))
        styles = [book.style(style_of(kind)) for _title, kind, _width in _COLUMNS]
        for n, row in enumerate(zip(*columns, strict=True), 2):
            marks = [
                cells.marks(kind, letters(at), styles[at], (n,), [row[at]])[0]
                for at, (_title, kind, _width) in enumerate(_COLUMNS)
            ]
            sheet.write(row_of(n, marks))
        sheet.end()
        book.end()
