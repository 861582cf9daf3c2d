"""The Imports screen: files waiting to be checked, imports under way and done, and one import looked into.

Figures come from two ledgers that both add up: the file's (read = valid + duplicates + refused + skipped) and the
server's (valid = stored + duplicates in stock + refused by the server).
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from desktop.engine.engine import Engine
from desktop.engine.events import ChangesArrived, Event, FileChecked, ImportProgressed, ImportRead, ImportStage
from desktop.exporting.refused import write_template
from desktop.importing import Ledger
from desktop.importing.ledger import PROBLEMS_KEPT
from desktop.operations import goods, imports
from desktop.presenters import formats, problems
from desktop.presenters.check import Check, SkuChoice, choices
from desktop.presenters.listing import Column, Listing
from desktop.presenters.pasted import Pasted
from desktop.presenters.ports import Ask
from desktop.presenters.problems import ProblemRow
from desktop.presenters.watching import Watched
from desktop.presenters.words import language
from shared.clock import now, shop_day
from shared.contracts.stock import RefusedLine, SkuStock

__all__ = ["PROBLEMS_KEPT", "STAGE_WORDS", "ImportProgressed", "ImportStage", "Imports"]

STAGE_WORDS: dict[ImportStage, tuple[str, str, str]] = {
    ImportStage.READING: ("读取检查中", "Reading", "info"),
    ImportStage.READY: ("等待上传", "Ready", "info"),
    ImportStage.UPLOADING: ("上传中", "Uploading", "info"),
    ImportStage.INGESTING: ("入库中", "Storing", "info"),
    ImportStage.DONE: ("已完成", "Done", "success"),
    ImportStage.PAUSED: ("已暂停", "Paused", "warning"),
    ImportStage.FAILED: ("失败", "Failed", "danger"),
    ImportStage.CANCELLED: ("已取消", "Cancelled", "neutral"),
}


def stage_word(stage: ImportStage) -> str:
    """The word for a stage in the language of the window."""
    zh, en, _ = STAGE_WORDS[stage]
    return en if language().startswith("en") else zh


def shown_stage(one: ImportProgressed) -> ImportStage:
    """The stage as it is named: paused also while its file is still being read."""
    return ImportStage.PAUSED if one.held else one.stage


def _stage_cell(one: ImportProgressed) -> str:
    stage = shown_stage(one)
    is_moving = stage in {ImportStage.READING, ImportStage.UPLOADING, ImportStage.INGESTING}
    return f"{stage_word(stage)} {one.fraction:.0%}" if is_moving else stage_word(stage)


COLUMNS = (
    Column[ImportProgressed]("file", lambda one: one.file_name, stretch=True),
    Column[ImportProgressed]("sku", lambda one: one.sku, code=True, sample="STEAM-WALLET-100"),
    Column[ImportProgressed](
        "created",
        lambda one: formats.short_moment(one.created_at, today=shop_day(now())),
        sample="2026-03-02 10:00",
        tip=lambda one: formats.moment(one.created_at),
    ),
    Column[ImportProgressed]("read", lambda one: formats.count(one.figures.read), numeric=True, sample="1,234,567"),
    Column[ImportProgressed]("stored", lambda one: formats.count(one.stored), numeric=True, sample="1,234,567"),
    Column[ImportProgressed](
        "left_out",
        lambda one: formats.count(
            one.figures.duplicates + one.figures.refused + one.duplicates_in_stock + one.refused_by_server
        ),
        numeric=True,
        sample="123,456",
    ),
    Column[ImportProgressed](
        "stage", _stage_cell, tone=lambda one: STAGE_WORDS[shown_stage(one)][2], sample="Uploading 100% 0"
    ),
)


@dataclass
class _Known:
    """What this run of the console knows about an import beyond its progress."""

    ledger: Ledger | None = None
    server_lines: list[RefusedLine] | None = None
    file: Path | None = None


class Imports(Watched):
    """The screen's state.

    Attributes:
        waiting: files that were dropped and not checked yet.
        check: the file on the sheet, or None.
        imports: every import of the account on this machine, newest first.
        listing: the same, for the table.
        opened: the import that is looked into, or None.
        figure: which figure of the ledgers filters the list of problems; empty for all.
        problems: that list.
        error: why pausing, cancelling or exporting failed.
        reason: which reason filters it further, by its code; empty for all.
        reasons: the reasons under the figure, with their counts, most frequent first.
        exported: where the last list of problems was written.
        template: where the last empty workbook was written.
        finished: the import that has just ended, for a toast.
        resumed: an earlier import of the file goes on, by the choices made then; for a toast, told once.
    """

    def __init__(self, ask: Ask, pasted: Pasted) -> None:
        super().__init__()
        self._ask = ask
        self._pasted = pasted
        self._skus: list[SkuChoice] = []
        self._known: dict[UUID, _Known] = {}
        self._sku_for_next = ""
        self.waiting: list[Path] = []
        self.check: Check | None = None
        self.imports: list[ImportProgressed] = []
        self.listing: Listing[ImportProgressed] = Listing(COLUMNS)
        self.opened: UUID | None = None
        self.figure = self.reason = ""
        self.reasons: list[tuple[str, int]] = []
        self.problems: Listing[ProblemRow] = Listing(problems.COLUMNS)
        self.error: Exception | None = None
        self.exported: imports.Exported | None = None
        self.template: Path | None = None
        self.exporting = False
        self.finished: ImportProgressed | None = None
        self.resumed = False

    def open(self) -> None:
        """Read the imports of this machine, and the SKUs there are to choose from."""
        self._ask(imports.list_imports, self._imports_read, self._failed)
        self._ask(goods.choices, self._skus_read, self._ignored)

    # --- files ------------------------------------------------------------------------------------------------

    def take(self, files: Sequence[Path], *, sku: str = "") -> None:
        """Check these files, one after another; `sku` is where the person came from."""
        self._sku_for_next = sku or self._sku_for_next
        self.waiting.extend(files)
        if self.check is None:
            self._next_file()
        self.changed()

    def take_text(self, text: str) -> None:
        """Check pasted lines."""
        if text.strip():
            self.take([self._pasted.keep(text)])

    def prefer_sku(self, sku: str) -> None:
        """The next file is probably for this SKU."""
        self._sku_for_next = sku
        if self.check is not None:
            self.check.choose_sku(sku)
        self.changed()

    @property
    def preferred_sku(self) -> str:
        """The SKU that the person came for, or nothing."""
        return self._sku_for_next

    def skip(self) -> None:
        """Leave the file on the sheet alone and go to the next one."""
        if self.check is not None:
            self._pasted.forget(self.check.file)
        self._next_file()
        self.changed()

    def _next_file(self) -> None:
        if self.check is not None:
            self.check.leave()
        self.check = None
        if self.waiting:
            file = self.waiting.pop(0)
            self.check = Check(
                self._ask,
                file,
                title=self._pasted.title(file) or file.name,
                skus=self._skus,
                sku=self._sku_for_next,
                started=self._begun,
            )
            self.check.look()

    def _begun(self, started: imports.ImportStarted) -> None:
        check = self.check
        if check is not None:
            self._known.setdefault(started.id, _Known()).file = check.file
        self._sku_for_next = ""
        self._next_file()
        self.resumed = started.resumed
        self.look_into(started.id)
        self.resumed = False

    # --- one import ---------------------------------------------------------------------------------------------

    def look_into(self, upload_id: UUID | None) -> None:
        """Look into one import; None goes back to the list."""
        self.opened, self.error, self.exported = upload_id, None, None
        self.figure = self.reason = ""
        self._read_refused()
        self._list_problems()
        self.changed()

    @property
    def progress(self) -> ImportProgressed | None:
        """The import that is looked into, as it stands now."""
        return next((one for one in self.imports if one.id == self.opened), None)

    @property
    def ledger(self) -> Ledger | None:
        """What the file's judge said, if this run of the console read it."""
        return self._known[self.opened].ledger if self.opened in self._known else None

    @property
    def may_pause(self) -> bool:
        """Whether sending can stop for a while."""
        one = self.progress
        moving = {ImportStage.READING, ImportStage.READY, ImportStage.UPLOADING}
        return one is not None and one.stage in moving and not one.held

    @property
    def may_resume(self) -> bool:
        """Whether sending can go on."""
        one = self.progress
        return one is not None and (one.stage is ImportStage.PAUSED or one.held)

    @property
    def may_cancel(self) -> bool:
        """Whether it can still be given up: not once the server stores it."""
        one = self.progress
        return one is not None and not one.is_over and one.stage is not ImportStage.INGESTING

    @property
    def is_cut_short(self) -> bool:
        """Whether the file has more problem lines than are listed."""
        ledger = self.ledger
        return ledger is not None and ledger.duplicates + ledger.refused > len(ledger.problems)

    def filter(self, figure: str) -> None:
        """List only the problems that one figure counts; all with an empty one."""
        self.figure, self.reason = figure, ""
        self._list_problems()
        self.changed()

    def filter_reason(self, code: str) -> None:
        """List only what was left out for one reason; all with an empty one."""
        self.reason = code
        self._list_problems()
        self.changed()

    def pause(self) -> None:
        """Stop sending until it is resumed."""
        self._change(imports.pause)

    def resume(self) -> None:
        """Go on sending."""
        self._change(imports.resume)

    def cancel(self) -> None:
        """Give it up."""
        self._change(imports.cancel)

    def _change(self, change: Callable[[Engine, UUID], Coroutine[Any, Any, ImportProgressed]]) -> None:
        upload_id = self.opened
        if upload_id is not None:
            self.error = None
            self._ask(lambda engine: change(engine, upload_id), self._progressed, self._failed)

    @property
    def may_export(self) -> bool:
        """Whether there are lines that were not imported, to be written out."""
        one, ledger = self.progress, self.ledger
        if one is None or self.exporting or (ledger is None and not one.is_over):
            return False
        of_file = ledger if ledger is not None else one.figures
        return bool(of_file.refused + of_file.duplicates + one.duplicates_in_stock + one.refused_by_server)

    def export(self, target: Path) -> None:
        """Write every line of the file that was not imported, with its reason, into the workbook `target`."""
        upload_id, words = self.opened, language()
        if upload_id is None or not self.may_export:
            return
        self.exporting, self.error = True, None
        self._ask(
            lambda engine: imports.export_refused(engine, upload_id, target, language=words),
            self._exported,
            self._export_failed,
        )
        self.changed()

    def write_template(self, target: Path) -> None:
        """Write an empty workbook with the columns as text."""
        self.error = None
        words = language()
        self._ask(
            lambda _engine: asyncio.to_thread(write_template, target, language=words),
            lambda _none: self._template_written(target),
            self._failed,
        )

    def _template_written(self, target: Path) -> None:
        self.template = target
        self.changed()

    def _exported(self, exported: imports.Exported) -> None:
        self.exporting, self.exported = False, exported
        self.changed()

    def _export_failed(self, error: Exception) -> None:
        self.exporting = False
        self._failed(error)

    # --- what is heard ------------------------------------------------------------------------------------------

    def hear(self, event: Event) -> None:
        """Take in one event of the engine."""
        match event:
            case ImportProgressed():
                self._progressed(event)
            case ImportRead():
                known = self._known.setdefault(event.id, _Known())
                known.ledger = event.ledger
                if known.file is not None:
                    self._pasted.forget(known.file)
                if event.id == self.opened:
                    self._list_problems()
                self.changed()
            case FileChecked():
                if self.check is not None:
                    self.check.hear(event)
            case ChangesArrived() if event.touches("sku", "product"):
                self._ask(goods.choices, self._skus_read, self._ignored)
            case _:
                return

    def _progressed(self, one: ImportProgressed) -> None:
        at = next((n for n, known in enumerate(self.imports) if known.id == one.id), None)
        was_over = at is not None and self.imports[at].is_over
        if at is None:
            self.imports.insert(0, one)
            self.listing.show_rows(self.imports)
        else:
            self.imports[at] = one
            self.listing.replace(at, one)
        if one.is_over:
            known = self._known.get(one.id)
            if known is not None and known.file is not None:
                self._pasted.forget(known.file)
            if one.id == self.opened:
                self._read_refused()
        self.finished = one if one.is_over and not was_over and at is not None else None
        self.changed()
        self.finished = None

    def _imports_read(self, read: list[ImportProgressed]) -> None:
        self.imports = read
        self.listing.show_rows(self.imports)
        self.changed()

    def _skus_read(self, rows: list[SkuStock]) -> None:
        self._skus = choices(rows)
        if self.check is not None:
            self.check.offer(self._skus)
        self.changed()

    def _read_refused(self) -> None:
        one = self.progress
        if one is None or one.stage is not ImportStage.DONE:
            return
        known = self._known.setdefault(one.id, _Known())
        if known.server_lines is None and one.duplicates_in_stock + one.refused_by_server:
            upload_id = one.id
            self._ask(
                lambda engine: imports.refused_lines(engine, upload_id),
                lambda lines: self._refused_read(upload_id, lines),
                self._failed,
            )

    def _refused_read(self, upload_id: UUID, lines: list[RefusedLine]) -> None:
        self._known[upload_id].server_lines = lines
        if upload_id == self.opened:
            self._list_problems()
            self.changed()

    def _list_problems(self) -> None:
        known = self._known.get(self.opened) if self.opened is not None else None
        rows: list[ProblemRow] = []
        if known is not None and known.ledger is not None:
            rows += problems.from_file(known.ledger)
        if known is not None and known.server_lines is not None:
            rows += problems.from_server(known.server_lines)
        if self.figure and self.figure != "read":
            rows = [row for row in rows if row.kind == self.figure]
        self.reasons = Counter(row.code for row in rows).most_common()
        if self.reason:
            rows = [row for row in rows if row.code == self.reason]
        self.problems.show_rows(rows)

    def _failed(self, error: Exception) -> None:
        self.error = error
        self.changed()

    def _ignored(self, _error: Exception) -> None:
        """Without a list of SKUs the sheet says that there is none to choose."""
