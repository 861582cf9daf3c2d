"""Verifying an exported workbook: what was found in the file that a person chose last."""

from __future__ import annotations

from pathlib import Path

from desktop.exporting.verify import Verdict
from desktop.operations import exports
from desktop.operations import reconciliation_workbook as operations
from desktop.presenters import formats
from desktop.presenters.ports import Ask, Latest
from desktop.presenters.watching import Watched
from desktop.presenters.words import in_words, language
from shared.contracts.reports import Export

MOST_FINDINGS = 5
"""Findings that are told; who finds more looks at the file anyway."""


class Verification(Watched):
    """The state of the verification.

    Attributes:
        file: what is verified, or was last; None before, and once it was put away.
        busy: it is being read.
        verdict: what was found.
        known: what the server says of who exported it; empty while nobody knows.
        is_strange: the server has no record of these rows.
        error: why it could not be read.
    """

    def __init__(self, ask: Ask) -> None:
        super().__init__()
        self._ask = ask
        self._latest = Latest()
        self.file: Path | None = None
        self.busy = False
        self.verdict: Verdict | None = None
        self.known = ""
        self.is_strange = False
        self.error: Exception | None = None

    def verify(self, file: Path) -> None:
        """Read a file again; an older question is forgotten."""
        self.file, self.busy, self.verdict, self.known, self.error = file, True, None, "", None
        self.is_strange = False
        then = self._latest.only(self._told)
        self._ask(lambda engine: operations.verify_file(engine, file), then, self._latest.also(self._failed))
        self.changed()

    def clear(self) -> None:
        """Put the answer away."""
        self._latest.only(self._failed)
        self.file, self.busy, self.verdict, self.known, self.error = None, False, None, "", None
        self.changed()

    def _told(self, verdict: Verdict) -> None:
        self.busy, self.verdict = False, verdict
        made_on = verdict.made_on
        if verdict.sha256 and made_on is not None:
            then, failed = self._latest.only(self._is_known), self._latest.also(self._is_unknown)
            self._ask(lambda engine: exports.recorded(engine, verdict.sha256, made_on), then, failed)
        self.changed()

    def _is_known(self, found: list[Export]) -> None:
        self.known, self.is_strange = in_words(_NOT_RECORDED), not found
        if found:
            one = found[0]
            facts = {"who": one.exported_by, "when": formats.moment(one.exported_at), "supplier": one.supplier}
            self.known = in_words(_BY_SUPPLIER if one.supplier else _RECORDED).format(**facts)
        self.changed()

    def _is_unknown(self, _error: Exception) -> None:
        self.known = in_words(_NOT_ASKED)
        self.changed()

    def _failed(self, error: Exception) -> None:
        self.busy, self.error = False, error
        self.changed()


def says(verdict: Verdict, known: str = "") -> str:
    """The answer for people: unchanged, or each thing that was found; then what the server knows of it."""
    facts = {
        "file": verdict.file,
        "day": formats.day(verdict.day),
        "rows": formats.count(verdict.rows),
        "hash": verdict.sha256,
    }
    if verdict.unchanged:
        return "\n".join([in_words(_UNCHANGED).format(**facts), known]).rstrip("\n")
    lines = [in_words(_CHANGED).format(**facts)]
    lines += [finding.sentence(language()) for finding in verdict.findings[:MOST_FINDINGS]]
    more = len(verdict.findings) - MOST_FINDINGS
    if more > 0:
        lines.append(in_words(_MORE).format(n=more))
    return "\n".join([*lines, known]).rstrip("\n")


_UNCHANGED = (
    "“{file}”与导出时完全一致：{day}，{rows} 行明细。数据指纹 SHA-256：{hash}",
    "“{file}” is as it was exported: {day}, {rows} rows of details. SHA-256 of its data: {hash}",
)
_CHANGED = ("“{file}”（{day}）在导出之后被改动：", "“{file}” ({day}) was changed after it was exported:")
_RECORDED = ("服务器记得它：{who} 于 {when} 导出。", "The server knows it: exported by {who} at {when}.")
_BY_SUPPLIER = (
    "{when} 由供应商“{supplier}”的 {who} 导出：只说明是谁导出的，金额请与结算单核对。",
    "{who} of the supplier {supplier} exported it at {when}: check its amounts against the statement.",
)
_NOT_RECORDED = (
    "服务器没有导出过这些明细：它来自别处，或被整体改写。",
    "The server has no record of these rows: the file is from elsewhere, or was rewritten as a whole.",
)
_NOT_ASKED = ("没有向服务器核实它是谁导出的。", "The server was not asked who exported it.")
_MORE = ("另有 {n} 处。", "And {n} more.")
