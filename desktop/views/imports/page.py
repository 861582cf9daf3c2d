"""The Import screen: a place to drop files and the list of imports; the sheet that checks one file; one import.

Which of the three is in front follows from the presenter: a file to check comes first, then an import looked into.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QFileDialog, QStackedWidget, QWidget

from desktop.presenters.imports import Imports, ImportStage
from desktop.views.imports.check import CheckSheet
from desktop.views.imports.detail import ImportDetail
from desktop.views.imports.home import ImportsHome
from desktop.views.imports.paste import PasteDialog
from desktop.views.page import Page
from desktop.widgets.words import counted, sentence

AskFiles = Callable[[QWidget], list[Path]]
AskTarget = Callable[[QWidget, str], Path | None]


def choose_files(parent: QWidget) -> list[Path]:
    """Ask which files to import."""
    chosen, _ = QFileDialog.getOpenFileNames(
        parent, "", "", "Excel / CSV / TXT (*.xlsx *.xlsm *.csv *.tsv *.txt);;* (*)"
    )
    return [Path(name) for name in chosen]


def choose_target(parent: QWidget, name: str) -> Path | None:
    """Ask where to write a workbook."""
    chosen, _ = QFileDialog.getSaveFileName(parent, "", name, "Excel (*.xlsx)")
    return Path(chosen) if chosen else None


class ImportsPage(Page):
    """See the file's head. `ask_files` and `ask_target` are questions to the person; tests answer them."""

    def __init__(
        self, presenter: Imports, *, ask_files: AskFiles = choose_files, ask_target: AskTarget = choose_target
    ) -> None:
        super().__init__("imports")
        self.presenter = presenter
        self._ask_files, self._ask_target = ask_files, ask_target
        self.say(self.title.setText, lambda: self.tr("导入卡密"))
        self._stack = QStackedWidget()
        self.home = ImportsHome(presenter)
        self.sheet = CheckSheet(presenter)
        self.detail = ImportDetail(presenter)
        for widget in (self.home, self.sheet, self.detail):
            self._stack.addWidget(widget)
        self.body.addWidget(self._stack, 1)
        self.home.choose.connect(self.choose)
        self.home.paste.connect(self.paste)
        self.home.template.connect(self.write_template)
        self.detail.export.connect(self.export_refused)
        self.handle("import.choose", self.choose)
        self.handle("import.paste", self.paste)
        self.handle("import.begin", self._begin, when=lambda: presenter.check is not None and presenter.check.is_ready)
        self.handle("import.switch_encoding", self._switch_encoding, when=lambda: presenter.check is not None)
        self.handle("import.switch_separator", self._switch_separator, when=self._has_separator)
        self.handle("import.template", self.write_template)
        self.handle("import.cancel", self._cancel, when=lambda: presenter.may_cancel and presenter.check is None)
        self.handle("import.export_refused", self.export_refused, when=lambda: presenter.may_export)
        self.handle("list.refresh", self.refresh)
        self._told_export: object = None
        self._told_template: object = None
        self._checked: object = None
        self._opened = False
        presenter.watch(self._look)
        self.on_words(self._look)
        self._look()

    def enter(self) -> None:
        if not self._opened:
            self._opened = True
            self.presenter.open()

    def refresh(self) -> None:
        self.presenter.open()

    def look_at(self, what: object) -> None:
        """Files that were dropped, or the SKU that a person wants to import into."""
        if isinstance(what, list):
            self.presenter.take([Path(one) for one in what])
        elif isinstance(what, str):
            self.presenter.look_into(None)
            self.presenter.prefer_sku(what)

    def choose(self) -> None:
        """Ask for files and check them."""
        files = self._ask_files(self)
        if files:
            self.presenter.take(files)

    def paste(self) -> None:
        """Check lines from the clipboard, after showing how many there are."""
        dialog = PasteDialog(QGuiApplication.clipboard().text(), self.window())
        dialog.taken.connect(self.presenter.take_text)
        dialog.open()

    def export_refused(self) -> None:
        """Write the lines that were not imported into a workbook."""
        one = self.presenter.progress
        if one is None or not self.presenter.may_export:
            return
        name = self.tr("未导入的行-{file}.xlsx").format(file=Path(one.file_name).stem)
        target = self._ask_target(self, name)
        if target is not None:
            self.presenter.export(target)

    def write_template(self) -> None:
        """Write an empty workbook whose columns are text."""
        target = self._ask_target(self, self.tr("卡密导入模板.xlsx"))
        if target is not None:
            self.presenter.write_template(target)

    def _begin(self) -> None:
        if self.presenter.check is not None:
            self.presenter.check.start()

    def _switch_encoding(self) -> None:
        if self.presenter.check is not None:
            self.presenter.check.next_encoding()

    def _has_separator(self) -> bool:
        check = self.presenter.check
        return check is not None and check.preview is not None and check.preview.separator is not None

    def _switch_separator(self) -> None:
        if self.presenter.check is not None:
            self.presenter.check.next_separator()

    def _cancel(self) -> None:
        self.presenter.cancel()

    def _tell_end(self) -> None:
        one = self.presenter.finished
        if one is not None and one.stage is ImportStage.DONE:
            words = counted(self.tr("%n 张卡密已入库", None, one.stored), one.stored)
            self.told.emit(f"{one.file_name} → {one.sku}: {words}", "success")
        elif one is not None and one.stage is ImportStage.FAILED:
            self.told.emit(self.tr("“{file}”没有导入成功").format(file=one.file_name), "danger")

    def _look(self) -> None:
        presenter = self.presenter
        before = self._stack.currentWidget()
        shown: QWidget = self.home
        if presenter.check is not None:
            shown = self.sheet
        elif presenter.progress is not None:
            shown = self.detail
        self._stack.setCurrentWidget(shown)
        if presenter.check is not None and presenter.check is not self._checked:
            self.sheet.start_here()  # also for the next of several files
        elif shown is not before and self.isVisible():
            shown.setFocus()
        self._checked = presenter.check
        waiting = len(presenter.waiting)
        self.subtitle.setText(
            self.tr("后面还有 %n 个文件等待检查", None, waiting)
            if waiting and presenter.check is not None
            else self.tr("卡密在本机检查并加密后才上传；导入完成后，程序不保留明文")
        )
        self.notice.tell(sentence(presenter.error) if presenter.error is not None else "", tone="danger")
        if presenter.exported is not None and presenter.exported is not self._told_export:
            done = presenter.exported
            text = self.tr("已导出 %n 行到 {path}", None, done.rows).format(path=done.path)
            if not done.whole:
                text += self.tr("（原文件已不在或已改动，只写出行号与原因）")
            self.told.emit(text, "success" if done.whole else "warning")
        self._told_export = presenter.exported
        if presenter.template is not None and presenter.template is not self._told_template:
            self.told.emit(self.tr("模板已保存到 {path}").format(path=presenter.template), "success")
        self._told_template = presenter.template
        if presenter.resumed:
            text = self.tr("继续上次未完成的导入：列和其他选项仍是那次选择的。要改选，请先取消它，再重新导入。")
            self.told.emit(text, "warning")
        self._tell_end()
        self.changed.emit()
