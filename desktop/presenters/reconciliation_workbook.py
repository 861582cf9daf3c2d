"""Verifying an exported workbook: what was found in the file that a person chose last."""

from __future__ import annotations

from pathlib import Path

from desktop.exporting.verify import Verdict
from desktop.operations import reconciliation_workbook as operations
from desktop.presenters import formats
from desktop.presenters.ports import Ask, Latest
from desktop.presenters.watching import Watched
from desktop.presenters.words import in_words, language

MOST_FINDINGS = 5
"""Findings that are told; who finds more looks at the file anyway."""


class Verification(Watched):
    """The state of the verification.

    Attributes:
        file: what is verified, or was last; None before, and once it was put away.
        busy: it is being read.
        verdict: what was found.
        error: why it could not be read.
    """

    def __init__(self, ask: Ask) -> None:
        super().__init__()
        self._ask = ask
        self._latest = Latest()
        self.file: Path | None = None
        self.busy = False
        self.verdict: Verdict | None = None
        self.error: Exception | None = None

    def verify(self, file: Path) -> None:
        """Read a file again; an older question is forgotten."""
        self.file, self.busy, self.verdict, self.error = file, True, None, None
        then = self._latest.only(self._told)
        self._ask(lambda engine: operations.verify_file(engine, file), then, self._latest.also(self._failed))
        self.changed()

    def clear(self) -> None:
        """Put the answer away."""
        self._latest.only(self._failed)
        self.file, self.busy, self.verdict, self.error = None, False, None, None
        self.changed()

    def _told(self, verdict: Verdict) -> None:
        self.busy, self.verdict = False, verdict
        self.changed()

    def _failed(self, error: Exception) -> None:
        self.busy, self.error = False, error
        self.changed()


def says(verdict: Verdict) -> str:
    """The answer for people: unchanged, or each thing that was found."""
    facts = {
        "file": verdict.file,
        "day": formats.day(verdict.day),
        "rows": formats.count(verdict.rows),
        "hash": verdict.sha256,
    }
    if verdict.unchanged:
        return in_words(_UNCHANGED).format(**facts)
    lines = [in_words(_CHANGED).format(**facts)]
    lines += [finding.sentence(language()) for finding in verdict.findings[:MOST_FINDINGS]]
    more = len(verdict.findings) - MOST_FINDINGS
    if more > 0:
        lines.append(in_words(_MORE).format(n=more))
    return "\n".join(lines)


_UNCHANGED = (
    "“{file}”与导出时完全一致：{day}，{rows} 行明细。数据指纹 SHA-256：{hash}",
    "“{file}” is as it was exported: {day}, {rows} rows of details. SHA-256 of its data: {hash}",
)
_CHANGED = ("“{file}”（{day}）在导出之后被改动：", "“{file}” ({day}) was changed after it was exported:")
_MORE = ("另有 {n} 处。", "And {n} more.")
