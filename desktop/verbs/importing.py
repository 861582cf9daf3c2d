"""`kameng import`: files of card keys into stock, with both ledgers that add up; and the template to fill in."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from desktop.engine.engine import Engine
from desktop.engine.events import ImportStage
from desktop.exporting.refused import write_template
from desktop.exporting.target import TargetExists, check_target
from desktop.importing import Columns, Options, Preview
from desktop.importing.sentences import REPAIRS
from desktop.importing.terms import parse_cost, parse_uses
from desktop.operations import checking, goods, imports
from desktop.operations.imports import ImportedBefore, ImportOutcome, NothingToImport
from desktop.verbs.import_report import ProgressLine, as_json, print_outcome
from desktop.verbs.shell import DONE, FAILED, Shell
from shared.contracts.stock import MAX_USES, RefusedLine
from shared.errors import BadField, KamengError

_PATIENCE_SECONDS = 600.0
_PREVIEWED_LINES = 5
_ROLES = {
    "number": "number",
    "卡号": "number",
    "secret": "secret",
    "卡密": "secret",
    "expiry": "expiry",
    "有效期": "expiry",
    "cost": "cost",
    "成本": "cost",
    "uses": "uses",
    "次数": "uses",
    "可用次数": "uses",
}


def add_import(verbs: argparse._SubParsersAction[argparse.ArgumentParser], shell: Shell) -> None:
    """Add the verb and its arguments."""
    words = shell.words
    verb = verbs.add_parser("import", help=words("导入卡密文件", "import files of card keys"))
    verb.add_argument("files", type=Path, nargs="*", metavar="FILE")
    verb.add_argument("--sku", help=words("导入到哪个规格", "where the keys go"))
    verb.add_argument(
        "--columns",
        metavar="number,secret,expiry,cost,uses",
        help=words("各列依次是什么，- 表示不用", "what each column is, in order; - for none"),
    )
    verb.add_argument("--cost", help=words("每张成本（元），如 8.70", "the cost of each, in yuan, such as 8.70"))
    verb.add_argument("--uses", help=words("每张可用次数", "how often each key may be sold"))
    verb.add_argument("--expiry-order", choices=("ymd", "dmy", "mdy"), default=None)
    verb.add_argument("--damaged", choices=("refuse", "accept"), default="refuse")
    verb.add_argument("--repairs", choices=("accept", "refuse"), default="accept")
    verb.add_argument("--refuse-repair", action="append", choices=sorted(REPAIRS), default=[])
    verb.add_argument("--hidden-rows", choices=("skip", "include"), default="skip")
    verb.add_argument("--encoding", help="utf-8 | gb18030 | utf-16-le ...")
    verb.add_argument("--separator")
    verb.add_argument("--sheet")
    verb.add_argument("--header-lines", type=int)
    verb.add_argument("--again", action="store_true", help=words("同一文件再次导入", "import the same file again"))
    verb.add_argument("--yes", action="store_true", help=words("不询问，直接导入", "ask nothing"))
    verb.add_argument(
        "--refused", type=Path, metavar="OUT.xlsx", help=words("导出未导入的行", "write the rows left out")
    )
    verb.add_argument(
        "--template", type=Path, metavar="OUT.xlsx", help=words("写出空白模板", "write an empty template")
    )
    verb.add_argument(
        "--patience", type=float, default=_PATIENCE_SECONDS, help=words("断网时最多等待秒数", "seconds to bear")
    )
    verb.add_argument("--json", action="store_true")
    verb.set_defaults(run=_run)


@dataclass(frozen=True, slots=True)
class _Order:
    """One file of the command."""

    file: Path
    sku: str
    options: Options
    refused: Path | None
    again: bool
    asks: bool


@dataclass(frozen=True, slots=True)
class _Result:
    """What became of it. `written` rows are in the workbook of those left out."""

    outcome: ImportOutcome
    lines: list[RefusedLine]
    written: int | None

    @property
    def is_good(self) -> bool:
        return self.outcome.progress.stage is ImportStage.DONE and self.outcome.progress.adds_up


def _run(shell: Shell, arguments: argparse.Namespace) -> int:
    if arguments.template is not None:
        target = check_target(arguments.template, field="--template")
        if target.exists():
            raise TargetExists(file=target.name)
        write_template(target, language=shell.language)
        shell.say(f"模板已写入 {target}", f"The template was written to {target}")
        return DONE
    orders = _orders(shell, arguments)
    progress = ProgressLine(shell)
    told: list[dict[str, Any]] = []
    status = DONE
    with shell.engine(on_event=progress.hear, patience_seconds=arguments.patience) as engine:
        for order in orders:
            try:
                result = _import(engine, shell, order, progress)
            except KamengError as error:
                if len(orders) == 1:
                    raise
                status = max(status, shell.fail(error))
                continue
            finally:
                progress.end()
            if result is None:
                status = max(status, FAILED)
            elif not arguments.json:
                _tell(shell, order, result)
            else:
                told.append(as_json(result.outcome, result.lines, order.refused, result.written))
            if result is not None and not result.is_good:
                why = result.outcome.progress.why
                status = max(status, FAILED if why is None else shell.fail(why) or FAILED)
    if arguments.json and told:
        shell.line(json.dumps(told[0] if len(orders) == 1 else told, ensure_ascii=False, indent=1))
    return status


def _orders(shell: Shell, arguments: argparse.Namespace) -> list[_Order]:
    """Raises BadField for what is missing or cannot be meant."""
    if not arguments.files:
        raise BadField(field="FILE", reason=shell.words("请给出要导入的文件", "name the files to import"))
    if not arguments.sku:
        raise BadField(field="--sku", reason=shell.words("请给出规格编号", "name the SKU"))
    options = _options(shell, arguments)
    asks = not arguments.yes and not arguments.json and sys.stdin.isatty() and shell.out.isatty()
    left_out = _workbooks(arguments.refused, arguments.files)
    return [
        _Order(file, arguments.sku, options, refused, arguments.again, asks)
        for file, refused in zip(arguments.files, left_out, strict=True)
    ]


def _workbooks(wanted: Path | None, files: Sequence[Path]) -> list[Path | None]:
    """Where the rows left out of each file go: a workbook each, and never the place of a file of keys."""
    if wanted is None:
        return [None] * len(files)
    names = [wanted.name if len(files) == 1 else f"{wanted.stem}-{file.stem}{wanted.suffix}" for file in files]
    for at, name in enumerate(names):
        if name in names[:at]:  # files of one name in different folders
            names[at] = f"{Path(name).stem}-{at + 1}{wanted.suffix}"
    return [check_target(wanted.with_name(name), field="--refused", sources=files) for name in names]


def _options(shell: Shell, arguments: argparse.Namespace) -> Options:
    try:
        cost = None if arguments.cost is None else parse_cost(arguments.cost)
    except ValueError as error:
        said = "not an amount such as 8.70 with at most 4 decimals"
        raise BadField(field="--cost", reason=shell.words(str(error), said)) from None
    try:
        uses = 1 if arguments.uses is None else parse_uses(arguments.uses) or 1
    except ValueError as error:
        said = f"not a whole number from 1 to {MAX_USES:,}"
        raise BadField(field="--uses", reason=shell.words(str(error), said)) from None
    return Options(
        encoding=arguments.encoding,
        separator=arguments.separator,
        sheet=arguments.sheet,
        columns=None if arguments.columns is None else _columns(arguments.columns),
        header_lines=arguments.header_lines,
        hidden_rows=arguments.hidden_rows,
        damaged=arguments.damaged,
        repairs=arguments.repairs,
        repairs_refused=frozenset(arguments.refuse_repair),
        expiry_order=arguments.expiry_order or "ymd",
        cost=cost,
        uses=uses,
    )


def _columns(text: str) -> Columns:
    """`number,secret,-,expiry`: what the columns are, from the left."""
    found: dict[str, int] = {}
    for at, word in enumerate(text.split(",")):
        name = word.strip().lower()
        if name in {"", "-"}:
            continue
        role = _ROLES.get(name)
        if role is None or role in found:
            raise BadField(field="--columns", reason=f"{word.strip()}: number | secret | expiry | cost | uses | -")
        found[role] = at
    if "secret" not in found:
        raise BadField(field="--columns", reason="secret / 卡密 ?")
    return Columns(**found)


# --- one file -------------------------------------------------------------------------------------------------------


def _import(engine: Engine, shell: Shell, order: _Order, progress: ProgressLine) -> _Result | None:
    """None when the person at the terminal said no."""
    look = engine.run(_look(engine, order))
    if order.asks and look is not None and not _agreed(shell, look.preview, order):
        return None
    begun = _started(engine, shell, order, look)
    if begun is None:
        return None
    if begun.resumed:
        shell.note(
            "继续上次未完成的导入：列和其他选项仍是那次选择的。要改选，请先在窗口中取消它。",
            "Going on with the unfinished import of this file: columns and other options stay as they were chosen "
            "then. To choose anew, cancel it in the window first.",
        )
    try:
        outcome, lines = engine.run(_follow(engine, begun.id))
    except NothingToImport:
        _write_refused(engine, shell, order, begun.id)
        raise
    progress.end()
    return _Result(outcome, lines, _write_refused(engine, shell, order, begun.id))


def _started(engine: Engine, shell: Shell, order: _Order, look: checking.Look | None) -> imports.ImportStarted | None:
    try:
        return engine.run(_begin(engine, order, look, again=order.again))
    except ImportedBefore as error:
        if not order.asks:
            shell.note("确要再次导入，请加 --again。", "Add --again to import it once more.")
            raise
        shell.line(error.sentence(shell.language))
    return engine.run(_begin(engine, order, look, again=True)) if _yes(shell) else None


def _write_refused(engine: Engine, shell: Shell, order: _Order, upload_id: UUID) -> int | None:
    if order.refused is None:
        return None
    work = imports.export_refused(engine, upload_id, order.refused, language=shell.language)
    return engine.run(work).rows


async def _look(engine: Engine, order: _Order) -> checking.Look | None:
    """A look at the first lines where one is needed: to ask, to remember given columns, or to use remembered ones."""
    goods.require_importer(engine)
    wanted = await goods.look_up(engine, order.sku)
    given = order.options.columns is not None
    if order.asks or given or await goods.habit(engine, wanted) is not None:
        return await checking.look(engine, order.file, order.options, sku=order.sku, habits=not given)
    return None


async def _begin(engine: Engine, order: _Order, look: checking.Look | None, *, again: bool) -> imports.ImportStarted:
    if look is None:
        return await imports.start(engine, file=order.file, sku=order.sku, options=order.options, again=again)
    return await checking.begin(engine, file=order.file, sku=order.sku, preview=look.preview, again=again)


async def _follow(engine: Engine, upload_id: UUID) -> tuple[ImportOutcome, list[RefusedLine]]:
    outcome = await imports.wait(engine, upload_id)
    left_out = outcome.progress.duplicates_in_stock + outcome.progress.refused_by_server
    return outcome, await imports.refused_lines(engine, upload_id) if left_out else []


def _agreed(shell: Shell, preview: Preview, order: _Order) -> bool:
    """Show how the file would be read, keys masked, and ask."""
    shell.line(f"{preview.name} → {order.sku}")
    columns = preview.columns
    named = (("number", "卡号"), ("secret", "卡密"), ("expiry", "有效期"), ("cost", "成本"), ("uses", "可用次数"))
    for role, zh in named:
        at = getattr(columns, role)
        if at is not None:
            shell.line(f"  {shell.words(zh, role)}: {preview.titles[at]}")
    for line in [one for one in preview.lines if one.reason is None][:_PREVIEWED_LINES]:
        shell.line(f"  {line.line:>6}  {line.shown}")
    for notice in preview.notices:
        shell.line(f"  {notice.sentence(shell.language)}")
    return _yes(shell)


def _yes(shell: Shell) -> bool:
    shell.out.write(shell.words("导入吗？[y/N] ", "Import? [y/N] "))
    shell.out.flush()
    with suppress(EOFError):
        return sys.stdin.readline().strip().lower() in {"y", "yes", "是"}
    return False


def _tell(shell: Shell, order: _Order, result: _Result) -> None:
    print_outcome(shell, result.outcome, result.lines)
    if order.refused is None:
        return
    if result.written:
        shell.say(
            f"未导入的 {result.written} 行已写入 {order.refused}",
            f"{result.written} rows left out were written to {order.refused}",
        )
    else:
        shell.say(
            f"没有未导入的行，{order.refused} 中只有标题。",
            f"No row was left out; {order.refused} has its heading only.",
        )
