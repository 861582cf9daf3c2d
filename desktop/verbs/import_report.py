"""What `kameng import` prints: progress on a terminal, both ledgers with their reasons, or the same as JSON."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from desktop.engine.events import Event, ImportProgressed, ImportStage
from desktop.engine.transport import is_foreign, is_passing
from desktop.importing import Ledger
from desktop.importing.sentences import OF_SERVER, REASONS, REPAIRS
from desktop.operations.imports import ImportOutcome
from desktop.presenters import formats
from desktop.verbs.shell import Shell
from shared.contracts.stock import FileFigures, RefusedLine
from shared.errors import KamengError

_SHOWN_LINES = 10
_TOLD_EVERY_SECONDS = 0.2
_STAGES = {
    ImportStage.READING: ("读取", "reading"),
    ImportStage.UPLOADING: ("上传", "uploading"),
    ImportStage.INGESTING: ("入库", "storing"),
}


class ProgressLine:
    """One line on a terminal that is written over; silent when nobody watches."""

    def __init__(self, shell: Shell) -> None:
        self._shell = shell
        self._watched = shell.err.isatty()
        self._told_at = 0.0
        self._fault: str | None = None

    def hear(self, event: Event) -> None:
        """Called on the engine's thread."""
        if not isinstance(event, ImportProgressed):
            return
        self._tell_fault(event.why)
        now = time.monotonic()
        if not self._watched or event.stage not in _STAGES or now - self._told_at < _TOLD_EVERY_SECONDS:
            return
        self._told_at = now
        stage = self._shell.words(*_STAGES[event.stage])
        self._shell.err.write(f"\r\033[K{stage} {event.fraction:.0%} ({event.figures.read:,})")
        self._shell.err.flush()

    def _tell_fault(self, why: KamengError | None) -> None:
        """Once per kind of fault, while the import waits for the network."""
        if why is not None and why.code != self._fault and (is_passing(why) or is_foreign(why)):
            self._shell.err.write(f"kameng: {why.sentence(self._shell.language)}\n")
        self._fault = None if why is None else why.code

    def end(self) -> None:
        """Wipe the line."""
        if self._watched:
            self._shell.err.write("\r\033[K")


def print_outcome(shell: Shell, outcome: ImportOutcome, lines: list[RefusedLine]) -> None:
    """Where the import ended, for people."""
    progress = outcome.progress
    shell.line(f"{progress.file_name} → {progress.sku}")
    shell.line(_file_ledger(shell, progress.figures))
    if outcome.ledger is not None:
        _print_reasons(shell, outcome.ledger)
    if progress.stage is not ImportStage.DONE:
        return
    shell.say(
        f"可导入 {progress.figures.valid:,} = 已入库 {progress.stored:,} + 库存重复 {progress.duplicates_in_stock:,}"
        f" + 服务器拒绝 {progress.refused_by_server:,}",
        f"{progress.figures.valid:,} valid = {progress.stored:,} stored + {progress.duplicates_in_stock:,} duplicates "
        f"in stock + {progress.refused_by_server:,} refused by the server",
    )
    for line in lines[:_SHOWN_LINES]:
        why = OF_SERVER[line.result]
        shell.say(f"  第 {line.line} 行：{why.zh}", f"  line {line.line}: {why.en}")
    if len(lines) > _SHOWN_LINES:
        more = len(lines) - _SHOWN_LINES
        shell.say(f"  ……另有 {more:,} 行，加 --json 查看全部", f"  ... and {more:,} more; --json lists all")


def _file_ledger(shell: Shell, figures: FileFigures) -> str:
    return shell.words(
        f"读取 {figures.read:,} = 可导入 {figures.valid:,} + 重复 {figures.duplicates:,}"
        f" + 拒绝 {figures.refused:,} + 跳过 {figures.skipped:,}",
        f"{figures.read:,} read = {figures.valid:,} valid + {figures.duplicates:,} duplicates"
        f" + {figures.refused:,} refused + {figures.skipped:,} skipped",
    )


def _print_reasons(shell: Shell, ledger: Ledger) -> None:
    for table, sentences in ((ledger.reasons, REASONS), (ledger.repairs, REPAIRS)):
        for code, counted in table.items():
            if code == "duplicate":
                _print_duplicates(shell, ledger)
                continue
            what = sentences[code].sentence(shell.language)
            where = ", ".join(counted.addresses[:3])
            more = " …" if counted.count > 3 else ""
            shell.line(f"  {counted.count:,} × {what} ({where}{more})")
    _print_terms(shell, ledger)
    for notice in ledger.notices:
        shell.line(f"  {notice.sentence(shell.language)}")


def _print_duplicates(shell: Shell, ledger: Ledger) -> None:
    """Both lines of each pair: the one that is imported and the one that repeats it."""
    pairs = [(one.line, one.first_line) for one in ledger.problems if one.reason == "duplicate"][:_SHOWN_LINES]
    for line, first in pairs:
        shell.say(f"  第 {line} 行与第 {first} 行重复", f"  line {line} is the same as line {first}")
    if ledger.duplicates > len(pairs):
        more = ledger.duplicates - len(pairs)
        shell.say(f"  ……另有 {more:,} 行重复，加 --refused 导出全部", f"  ... and {more:,} more; --refused writes all")


def _print_terms(shell: Shell, ledger: Ledger) -> None:
    if ledger.expires_first is not None:
        shell.say(
            f"  有效期 {ledger.expires_first} 至 {ledger.expires_last}",
            f"  expiry from {ledger.expires_first} to {ledger.expires_last}",
        )
    costs = sorted({lot.terms.cost for lot in ledger.lots if lot.terms.cost is not None})
    if costs:
        ends = formats.price_range(costs[0], costs[-1])
        shell.say(f"  成本 {ends}", f"  cost {ends}")
    uses = max((lot.terms.uses for lot in ledger.lots), default=1)
    if uses > 1:
        shell.say(f"  每张最多可用 {uses:,} 次", f"  each key up to {uses:,} times")


def as_json(
    outcome: ImportOutcome, lines: list[RefusedLine], refused: Path | None, written: int | None
) -> dict[str, Any]:
    """The same for programs."""
    progress, ledger = outcome.progress, outcome.ledger
    return {
        "id": str(progress.id),
        "sku": progress.sku,
        "file": progress.file_name,
        "state": progress.stage.value,
        "error": None if progress.why is None else progress.why.code,
        "file_ledger": progress.figures.model_dump(),
        "server_ledger": {
            "stored": progress.stored,
            "duplicates": progress.duplicates_in_stock,
            "refused": progress.refused_by_server,
        },
        "adds_up": progress.adds_up,
        "reasons": {} if ledger is None else {code: counted.count for code, counted in ledger.reasons.items()},
        "repairs": {} if ledger is None else {code: counted.count for code, counted in ledger.repairs.items()},
        "server_lines": [line.model_dump(mode="json") for line in lines],
        "refused_file": None if refused is None else str(refused),
        "refused_rows": written,
    }
