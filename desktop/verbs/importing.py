"""`kameng import`: a file of card keys into stock, with both ledgers that add up."""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

from desktop.engine.engine import Engine
from desktop.engine.events import Event, ImportProgressed, ImportStage
from desktop.engine.transport import is_foreign, is_passing
from desktop.exporting.refused import write_refused
from desktop.exporting.workbook import check_target
from desktop.importing import Columns, Ledger, Options
from desktop.importing.sentences import REASONS, REPAIRS
from desktop.operations import imports
from desktop.operations.imports import ImportedBefore, ImportOutcome, NothingToImport
from desktop.verbs.shell import DONE, FAILED, Shell
from shared.contracts.stock import FileFigures, LineResult, RefusedLine
from shared.errors import KamengError

_SHOWN_LINES = 10
_PATIENCE_SECONDS = 600.0
_TOLD_EVERY_SECONDS = 0.2

_RESULTS = {
    LineResult.DUPLICATE_IN_STOCK: ("库存中已有", "in stock already"),
    LineResult.DUPLICATE_SOLD: ("已售出过", "sold before"),
    LineResult.REFUSED: ("服务器拒绝", "refused by the server"),
}
_STAGES = {
    ImportStage.READING: ("读取", "reading"),
    ImportStage.UPLOADING: ("上传", "uploading"),
    ImportStage.INGESTING: ("入库", "storing"),
}


def add_import(verbs: argparse._SubParsersAction[argparse.ArgumentParser], shell: Shell) -> None:
    """Add the verb and its arguments."""
    words = shell.words
    verb = verbs.add_parser("import", help=words("导入卡密文件", "import a file of card keys"))
    verb.add_argument("file", type=Path)
    verb.add_argument("--sku", required=True)
    verb.add_argument("--damaged", choices=("refuse", "accept"), default="refuse")
    verb.add_argument("--repairs", choices=("accept", "refuse"), default="accept")
    verb.add_argument("--hidden-rows", choices=("skip", "include"), default="skip")
    verb.add_argument("--encoding", help="utf-8 | gb18030 | utf-16-le ...")
    verb.add_argument("--separator")
    verb.add_argument("--sheet")
    verb.add_argument("--header-lines", type=int)
    verb.add_argument("--secret-column", type=int, help=words("卡密在第几列（从 1 数）", "column of the key, from 1"))
    verb.add_argument("--number-column", type=int, help=words("卡号在第几列", "column of the card number"))
    verb.add_argument("--expiry-column", type=int, help=words("有效期在第几列", "column of the expiry date"))
    verb.add_argument("--again", action="store_true", help=words("同一文件再次导入", "import the same file again"))
    verb.add_argument(
        "--refused", type=Path, metavar="OUT.xlsx", help=words("导出未导入的行", "write the rows left out")
    )
    verb.add_argument(
        "--patience", type=float, default=_PATIENCE_SECONDS, help=words("断网时最多等待秒数", "seconds to bear")
    )
    verb.add_argument("--json", action="store_true")
    verb.set_defaults(run=_run)


def _run(shell: Shell, arguments: argparse.Namespace) -> int:
    options = _options(arguments)
    refused = None if arguments.refused is None else check_target(arguments.refused)
    progress = _Progress(shell)
    try:
        with shell.engine(on_event=progress.hear, patience_seconds=arguments.patience) as engine:
            outcome, lines = engine.run(_import(engine, shell, arguments, options))
    except ImportedBefore:
        shell.note("确要再次导入，请加 --again。", "Add --again to import it once more.")
        raise
    except NothingToImport:
        if refused is not None:
            _write_refused(shell, arguments.file, options, refused)
        raise
    finally:
        progress.end()
    written = None
    if refused is not None:
        written = _write_refused(shell, arguments.file, options, refused)
    if arguments.json:
        shell.line(json.dumps(_as_json(outcome, lines, refused, written), ensure_ascii=False, indent=1))
    else:
        _print(shell, outcome, lines)
        if refused is not None:
            if written:
                shell.say(
                    f"未导入的 {written} 行已写入 {refused}", f"{written} rows left out were written to {refused}"
                )
            else:
                shell.say(
                    f"没有未导入的行，{refused} 中只有标题。", f"No row was left out; {refused} has its heading only."
                )
    done = outcome.progress.stage is ImportStage.DONE and outcome.progress.adds_up
    if not done and outcome.progress.why is not None:
        return shell.fail(outcome.progress.why) or FAILED
    return DONE if done else FAILED


async def _import(
    engine: Engine, shell: Shell, arguments: argparse.Namespace, options: Options
) -> tuple[ImportOutcome, list[RefusedLine]]:
    begun = await imports.start(engine, file=arguments.file, sku=arguments.sku, options=options, again=arguments.again)
    if begun.resumed:
        shell.note("继续上次未完成的导入。", "Going on with the unfinished import of this file.")
    outcome = await imports.wait(engine, begun.id)
    progress = outcome.progress
    left_out = progress.duplicates_in_stock + progress.refused_by_server
    lines = await imports.refused_lines(engine, begun.id) if left_out else []
    return outcome, lines


def _options(arguments: argparse.Namespace) -> Options:
    columns = None
    if arguments.secret_column is not None:
        columns = Columns(
            secret=arguments.secret_column - 1,
            number=None if arguments.number_column is None else arguments.number_column - 1,
            expiry=None if arguments.expiry_column is None else arguments.expiry_column - 1,
        )
    return Options(
        encoding=arguments.encoding,
        separator=arguments.separator,
        sheet=arguments.sheet,
        columns=columns,
        header_lines=arguments.header_lines,
        hidden_rows=arguments.hidden_rows,
        damaged=arguments.damaged,
        repairs=arguments.repairs,
    )


def _write_refused(shell: Shell, file: Path, options: Options, target: Path) -> int:
    return write_refused(file, options, target, language=shell.language)


# --- telling ------------------------------------------------------------------------------------------------------


class _Progress:
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


def _print(shell: Shell, outcome: ImportOutcome, lines: list[RefusedLine]) -> None:
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
        shell.say(f"  第 {line.line} 行：{_RESULTS[line.result][0]}", f"  line {line.line}: {_RESULTS[line.result][1]}")
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
            what = sentences[code].sentence(shell.language).format(first_line="…")
            where = ", ".join(counted.addresses[:3])
            more = " …" if counted.count > 3 else ""
            shell.line(f"  {counted.count:,} × {what} ({where}{more})")
    for notice in ledger.notices:
        shell.line(f"  {notice.sentence(shell.language)}")


def _as_json(
    outcome: ImportOutcome, lines: list[RefusedLine], refused: Path | None, written: int | None
) -> dict[str, Any]:
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
