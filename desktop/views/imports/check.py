"""The sheet that checks one file before it is imported. Enter imports; every guess can be changed.

Keys are covered; a line shows itself while the mouse is on it, or while the keyboard is and Space is held down.
"""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QCompleter,
    QFrame,
    QHBoxLayout,
    QLineEdit,
    QScrollArea,
    QStackedWidget,
    QWidget,
)

from desktop.presenters import formats
from desktop.presenters.check import Check
from desktop.presenters.imports import Imports
from desktop.theme.tokens import SPACE
from desktop.views.imports.checked import CheckedRows
from desktop.views.imports.reading import ReadingBar
from desktop.views.imports.sample import SampleTable
from desktop.widgets.basics import Glyph, Notice, button, column, label, restyle, row
from desktop.widgets.big_table import BigTable
from desktop.widgets.empty import EmptyState
from desktop.widgets.live import Live, language
from desktop.widgets.rows_model import RowsModel
from desktop.widgets.words import counted, sentence


class CheckSheet(Live, QWidget):
    """See the file's head."""

    def __init__(self, presenter: Imports) -> None:
        super().__init__()
        self.presenter = presenter
        self._check: Check | None = None
        layout = column(self, gap=0)
        area = QScrollArea()
        area.setWidgetResizable(True)
        area.setFrameShape(QFrame.Shape.NoFrame)
        area.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.say(area.setAccessibleName, lambda: self.tr("检查文件"))
        inner = QWidget()
        inner.setProperty("role", "page")
        area.setWidget(inner)
        body = column(inner, gap=SPACE + 2, margins=(24, 0, 24, 8))
        body.addLayout(self._head())
        self.problem = Notice()
        self._repeat = button()
        self.say(self._repeat.setText, lambda: self.tr("仍要导入"))
        self._repeat.clicked.connect(self._start)
        self.problem.buttons.addWidget(self._repeat)
        body.addWidget(self.problem)
        self.reading = ReadingBar()
        body.addWidget(self.reading)
        self.checked = CheckedRows()
        body.addWidget(self.checked)
        body.addWidget(self._decisions())
        self.remarks = column(gap=4)
        self._shown_remarks: list[Notice] = []
        body.addLayout(self.remarks)
        self._stack = QStackedWidget()
        self.sample = SampleTable()
        self._stack.addWidget(self.sample)
        self.problems = BigTable()
        self.say(self.problems.setAccessibleName, lambda: self.tr("不能导入的行"))
        self._stack.addWidget(self.problems)
        self.nothing = EmptyState("file")
        self._stack.addWidget(self.nothing)
        self._stack.setMinimumHeight(220)
        body.addWidget(self._stack, 1)
        layout.addWidget(area, 1)
        layout.addWidget(self._foot())
        presenter.watch(self.look)
        self.on_words(self._write)
        self._write()

    def _head(self) -> QHBoxLayout:
        line = row(gap=10)
        line.addWidget(Glyph("file", tint="accent", size=26), 0, Qt.AlignmentFlag.AlignTop)
        words = column(gap=1)
        self.name = label(role="heading")
        self.facts = label(role="muted")
        words.addWidget(self.name)
        words.addWidget(self.facts)
        line.addLayout(words, 1)
        side = column(gap=2)
        title = label(role="caption")
        self.say(title.setText, lambda: self.tr("导入到哪个规格"))
        self.sku = QComboBox()
        self.sku.setMinimumWidth(330)
        self.sku.setEditable(True)
        self.sku.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
        completer = QCompleter(self.sku.model(), self.sku)
        completer.setFilterMode(Qt.MatchFlag.MatchContains)
        completer.setCaseSensitivity(Qt.CaseSensitivity.CaseInsensitive)
        completer.setCompletionMode(QCompleter.CompletionMode.PopupCompletion)
        field = QLineEdit()
        self.sku.setLineEdit(field)
        self.sku.setCompleter(completer)
        self.say(self.sku.setAccessibleName, lambda: self.tr("导入到哪个规格"))
        self.say(field.setPlaceholderText, lambda: self.tr("选择规格，可输入筛选"))
        self.sku.activated.connect(self._sku_chosen)
        field.editingFinished.connect(self._sku_typed)
        title.setBuddy(self.sku)
        side.addWidget(title)
        side.addWidget(self.sku)
        line.addLayout(side)
        return line

    def _decisions(self) -> QWidget:
        self.decisions = QFrame()
        self.decisions.setProperty("role", "card")
        layout = column(self.decisions, gap=6, margins=(14, 10, 14, 10))
        title = label(role="heading")
        self.say(title.setText, lambda: self.tr("需要您决定"))
        layout.addWidget(title)
        self.damaged = QCheckBox()
        self.say(self.damaged.setText, lambda: self.tr("位数不足的数字原样导入（不勾选则拒绝这些行）"))
        self.damaged.toggled.connect(lambda on: self._decide(damaged="accept" if on else "refuse"))
        self.hidden = QCheckBox()
        self.say(self.hidden.setText, lambda: self.tr("隐藏的行也导入（不勾选则跳过）"))
        self.hidden.toggled.connect(lambda on: self._decide(hidden_rows="include" if on else "skip"))
        for box in (self.damaged, self.hidden):
            layout.addWidget(box)
        return self.decisions

    def _foot(self) -> QWidget:
        bar = QFrame()
        bar.setProperty("role", "bar")
        layout = row(bar, gap=SPACE, margins=(24, 10, 20, 10))
        self.repairs = QCheckBox()
        self.say(self.repairs.setText, lambda: self.tr("自动修整：去首尾空白与不可见字符、全角转半角（逐项计数）"))
        self.repairs.toggled.connect(lambda on: self._decide(repairs="accept" if on else "refuse"))
        layout.addWidget(self.repairs)
        layout.addStretch(1)
        self.why = label(role="muted")
        layout.addWidget(self.why)
        self.leave = button()
        self.leave.clicked.connect(self.presenter.skip)
        layout.addWidget(self.leave)
        self.go = button(role="primary", icon_name="import")
        self.go.setDefault(True)
        self.go.clicked.connect(self._start)
        self.say(self.go.setToolTip, lambda: self.tr("Enter 或 Ctrl+Enter"))
        layout.addWidget(self.go)
        return bar

    def start_here(self) -> None:
        """Put the keyboard where the next decision is."""
        check = self.presenter.check
        wanted = self.sku if check is not None and not check.sku else self.go
        (wanted if wanted.isEnabled() else self).setFocus()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Enter imports from anywhere on the sheet, Escape leaves it."""
        is_enter = event.key() in {Qt.Key.Key_Return, Qt.Key.Key_Enter}
        if is_enter and self._is_choosing_sku():
            self.go.setFocus()  # this Enter chose the SKU; the next one imports
        elif is_enter and self.go.isEnabled():
            self._start()
        elif event.key() == Qt.Key.Key_Escape:
            self.presenter.skip()
        else:
            super().keyPressEvent(event)

    def look(self) -> None:
        """Another file, or the same one read anew."""
        check = self.presenter.check
        if check is not self._check:
            if self._check is not None:
                self._check.unwatch(self._write)
            self._check = check
            self.reading.show_check(check)
            self.checked.show_check(check)
            if check is not None:
                self.problems.show_rows(RowsModel(check.problems, self._titles, self))
            if check is not None:
                check.watch(self._write)
        self._write()

    def _write(self) -> None:
        check = self._check
        self.leave.setText(self.tr("跳过这个文件") if self.presenter.waiting else self.tr("取消"))
        self.go.setText(self.tr("正在开始…") if check is not None and check.starting else self.tr("开始导入"))
        if check is None:
            self.sample.show_lines(())
            return
        preview = check.preview
        self.name.setText(check.title)
        self.facts.setText(self._fact_words(check))
        self._write_skus(check)
        tone = "warning" if check.may_repeat else "danger"
        self.problem.tell(sentence(check.error) if check.error is not None else "", tone=tone)
        self._repeat.setVisible(check.may_repeat)
        self.reading.look()
        self.checked.look()
        self.decisions.setVisible(check.is_damaged or check.has_hidden_rows)
        for box, shown, on in (
            (self.damaged, check.is_damaged, check.options.damaged == "accept"),
            (self.hidden, check.has_hidden_rows, check.options.hidden_rows == "include"),
            (self.repairs, preview is not None, check.options.repairs == "accept"),
        ):
            box.setVisible(shown)
            box.blockSignals(True)
            box.setChecked(on)
            box.blockSignals(False)
        self._write_remarks(check)
        if preview is not None:
            self.sample.show_lines(preview.lines)
            self._stack.setCurrentWidget(self.problems if check.figure and check.problems.count else self.sample)
        else:
            title = self.tr("正在看文件的内容…") if check.looking else self.tr("这个文件读不了")
            hint = "" if check.looking else self.tr("上面写了原因和办法。")
            if check.may_be_encoding:
                hint = self.tr("上面写了原因和办法；也可以换一种编码再看 (Ctrl+E)。")
            self.nothing.tell(title, hint)
            self._stack.setCurrentWidget(self.nothing)
        if self.go.hasFocus() and not check.is_ready:
            self.setFocus()  # Qt would hand the keyboard to whatever comes next
        self.go.setEnabled(check.is_ready)
        self.why.setText("" if check.sku or preview is None else self.tr("先选择规格"))

    def _fact_words(self, check: Check) -> str:
        preview = check.preview
        if preview is None:
            return ""
        facts = [{"xlsx": "Excel", "csv": "CSV", "txt": "TXT"}.get(preview.kind, preview.kind)]
        facts.append(formats.size(preview.bytes))
        if preview.total is not None:
            facts.append(self.tr("约 {rows} 行").format(rows=formats.count(preview.total)))
        if check.by_habit:
            facts.append(self.tr("列同上次导入"))
        if check.has_rule:
            facts.append(self.tr("按商品的卡密格式检查"))
        return " · ".join(facts)

    def _titles(self) -> list[str]:
        return [self.tr("行"), self.tr("单元格"), self.tr("结果"), self.tr("卡密（已遮盖）"), self.tr("原因")]

    def _write_skus(self, check: Check) -> None:
        wanted = [(one.code, f"{one.code} · {one.title}") for one in check.skus]
        if check.sku and check.sku not in {code for code, _ in wanted}:
            wanted.append((check.sku, check.sku))
        if wanted != [(self.sku.itemData(at), self.sku.itemText(at)) for at in range(self.sku.count())]:
            self.sku.clear()
            for code, words in wanted:
                self.sku.addItem(words, code)
        at = self.sku.findData(check.sku) if check.sku else -1
        if self.sku.currentIndex() != at or at < 0:
            self.sku.setCurrentIndex(at)
        restyle(self.sku, "wrong", "true" if check.preview is not None and not check.sku else "false")

    def _write_remarks(self, check: Check) -> None:
        remarks = [(self._refused_words(check), "danger")] if check.refusals else []
        remarks += [(one.sentence(language()), "warning" if one.code in _URGENT else "info") for one in check.notices]
        shown = self._shown_remarks
        if [one.text for one in shown] == [text for text, _tone in remarks]:
            return
        for old in shown:
            self.remarks.removeWidget(old)
            old.deleteLater()
        self._shown_remarks = []
        for text, tone in remarks:
            made = Notice()
            self.remarks.addWidget(made)
            self._shown_remarks.append(made)
            made.tell(text, tone=tone)

    def _refused_words(self, check: Check) -> str:
        """Every reason why lines are refused, in one sentence: its figures add up to the ledger's."""
        whys = [why for why, _lines in check.refusals]
        lines = sum(count for _why, count in check.refusals)
        if len(whys) > 1:
            whys = [self.tr("；").join(f"{why} ×{formats.count(n)}" for why, n in check.refusals)]
        of_file = self.tr("有 %n 行不能导入：{why}。", None, lines)
        of_preview = self.tr("预览中有 %n 行不能导入：{why}。", None, lines)
        return counted(of_preview if check.ledger is None else of_file, lines).format(why=whys[0])

    def _sku_chosen(self, at: int) -> None:
        if self._check is not None and at >= 0:
            self._check.choose_sku(self.sku.itemData(at) or "")

    def _is_choosing_sku(self) -> bool:
        field = self.sku.lineEdit()
        return field is not None and field.hasFocus()

    def _sku_typed(self) -> None:
        """A few letters are enough when only one SKU has them; anything else is put back."""
        field = self.sku.lineEdit()
        if field is None or self._check is None:
            return
        wanted = field.text().strip().casefold()
        found = [at for at in range(self.sku.count()) if wanted in self.sku.itemText(at).casefold()]
        exact = [at for at in found if self.sku.itemText(at).casefold() == wanted]
        if wanted and len(exact or found) == 1:
            self.sku.setCurrentIndex((exact or found)[0])
            self._sku_chosen((exact or found)[0])
        else:
            field.setText(self.sku.itemText(self.sku.currentIndex()))

    def _decide(self, **options: str) -> None:
        if self._check is not None:
            self._check.decide(**options)

    def _start(self) -> None:
        if self._check is not None:
            self._check.start()


_URGENT = frozenset(
    {"zeros_lost", "digits_short", "formulas", "cells_merged", "rows_hidden", "encoding_guessed", "columns_guessed"}
)
