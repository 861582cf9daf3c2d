"""One import: where it stands, both ledgers that add up, and the lines that did not become stock."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QProgressBar, QStackedWidget, QWidget

from desktop.presenters import formats
from desktop.presenters.imports import (
    PROBLEMS_KEPT,
    STAGE_WORDS,
    ImportProgressed,
    Imports,
    ImportStage,
    shown_stage,
    stage_word,
)
from desktop.presenters.problems import reason_words
from desktop.presenters.status import overall
from desktop.theme.tokens import SPACE
from desktop.views.imports.facts import LedgerFacts
from desktop.widgets.basics import Badge, Card, Notice, button, column, label, name_tool, row, tool
from desktop.widgets.big_table import BigTable
from desktop.widgets.empty import EmptyState
from desktop.widgets.ledger_bar import LedgerBar, Part
from desktop.widgets.live import Live
from desktop.widgets.rows_model import RowsModel
from desktop.widgets.words import counted, sentence


class ImportDetail(Live, QWidget):
    """See the file's head.

    Signals:
        export(): write the lines that were not imported into a workbook.
    """

    export = Signal()

    def __init__(self, presenter: Imports) -> None:
        super().__init__()
        self.presenter = presenter
        layout = column(self, gap=SPACE + 2)
        top = column(gap=SPACE + 2, margins=(24, 0, 24, 0))
        top.addLayout(self._head())
        self.why = Notice()
        top.addWidget(self.why)
        card = Card(margin=16, gap=10)
        self.stage = label(role="heading")
        self.bar = QProgressBar()
        self.bar.setRange(0, 1000)
        self.bar.setTextVisible(False)
        self.say(self.bar.setAccessibleName, lambda: self.tr("导入进度"))
        card.body.addWidget(self.stage)
        card.body.addWidget(self.bar)
        self.file_ledger = LedgerBar()
        self.say(self.file_ledger.setAccessibleName, lambda: self.tr("文件的账：读取等于各项之和"))
        self.file_ledger.chosen.connect(self._chosen)
        self.hint = label(role="muted", wrap=True)
        card.body.addWidget(self.hint)
        card.body.addWidget(self.file_ledger)
        self.facts = LedgerFacts(repairs=True)
        card.body.addWidget(self.facts)
        self.server_ledger = LedgerBar()
        self.say(self.server_ledger.setAccessibleName, lambda: self.tr("服务器的账：可导入等于各项之和"))
        self.server_ledger.chosen.connect(self._chosen)
        card.body.addWidget(self.server_ledger)
        top.addWidget(card)
        layout.addLayout(top)
        layout.addLayout(self._list_head())
        self._stack = QStackedWidget()
        self.table = BigTable()
        self.say(self.table.setAccessibleName, lambda: self.tr("没有导入的行"))
        self.model = RowsModel(presenter.problems, self._titles, self)
        self.table.show_rows(self.model)
        self._stack.addWidget(self.table)
        self.empty = EmptyState("check")
        self._stack.addWidget(self.empty)
        inset = column(margins=(11, 0, 8, 6))
        inset.addWidget(self._stack)
        layout.addLayout(inset, 1)
        presenter.watch(self.look)
        self.on_words(self._speak)
        self.look()

    def _head(self) -> QHBoxLayout:
        line = row(gap=SPACE)
        back = tool("back")
        self.say(lambda words: name_tool(back, words), lambda: self.tr("返回导入记录"))
        back.clicked.connect(lambda: self.presenter.look_into(None))
        line.addWidget(back)
        self.name = label(role="heading")
        self.sku = label(role="muted", selectable=True)
        self.badge = Badge()
        for widget in (self.name, self.sku, self.badge):
            line.addWidget(widget)
        line.addStretch(1)
        self.pause, self.resume, self.cancel = button(), button(), button(role="danger")
        self.say(self.pause.setText, lambda: self.tr("暂停"))
        self.say(self.resume.setText, lambda: self.tr("继续"))
        self.say(self.cancel.setText, lambda: self.tr("取消导入"))
        self.pause.clicked.connect(self.presenter.pause)
        self.resume.clicked.connect(self.presenter.resume)
        self.cancel.clicked.connect(self.presenter.cancel)
        for press in (self.pause, self.resume, self.cancel):
            line.addWidget(press)
        return line

    def _list_head(self) -> QHBoxLayout:
        line = row(gap=SPACE, margins=(24, 4, 20, 0))
        title = label(role="heading")
        self.say(title.setText, lambda: self.tr("没有导入的行"))
        self.shown = label(role="muted")
        line.addWidget(title)
        line.addWidget(self.shown)
        line.addStretch(1)
        self.reasons = QComboBox()
        self.reasons.setFixedWidth(280)
        self.say(self.reasons.setAccessibleName, lambda: self.tr("按原因筛选"))
        self.reasons.activated.connect(lambda _at: self.presenter.filter_reason(self.reasons.currentData() or ""))
        line.addWidget(self.reasons)
        self.write = button(icon_name="export")
        self.say(self.write.setText, lambda: self.tr("导出为 Excel"))
        self.write.clicked.connect(self.export)
        line.addWidget(self.write)
        return line

    def look(self) -> None:
        """Show how it stands now."""
        one = self.presenter.progress
        if one is None:
            return
        self.name.setText(one.file_name)
        self.sku.setText(one.sku)
        self.badge.show_word(stage_word(shown_stage(one)), tone=STAGE_WORDS[shown_stage(one)][2])
        self.pause.setVisible(self.presenter.may_pause)
        self.resume.setVisible(self.presenter.may_resume)
        self.cancel.setVisible(self.presenter.may_cancel)
        tone = "danger" if one.stage is ImportStage.FAILED else "warning"
        self.why.tell(sentence(one.why) if one.why is not None else "", tone=tone)
        self.stage.setText(self._stage_words(one))
        self.bar.setVisible(not one.is_over)
        self.bar.setValue(round(1000 * overall(one)))
        hint = self._hint_words(one)
        self.hint.setText(hint)
        self.hint.setVisible(bool(hint))
        self._show_ledgers(one)
        self.facts.show_ledger(self.presenter.ledger)
        self._show_list(one)

    def _stage_words(self, one: ImportProgressed) -> str:
        match one.stage:
            case ImportStage.READING if one.held:
                return self.tr("上传已暂停；文件仍在本机读取、检查并加密（{percent}）").format(
                    percent=f"{one.fraction:.0%}"
                )
            case ImportStage.READING:
                return self.tr("第 1 步，共 3 步：在本机读取、检查并加密（{percent}）").format(
                    percent=f"{one.fraction:.0%}"
                )
            case ImportStage.READY:
                return self.tr("等待上传")
            case ImportStage.UPLOADING:
                return self.tr("第 2 步，共 3 步：上传加密的数据块（{sent} / {all}）").format(
                    sent=formats.count(one.chunks_sent), all=formats.count(one.chunks)
                )
            case ImportStage.INGESTING:
                return self.tr("第 3 步，共 3 步：服务器入库（{percent}）").format(percent=f"{one.fraction:.0%}")
            case ImportStage.DONE:
                return counted(self.tr("%n 张卡密已入库", None, one.stored), one.stored)
            case ImportStage.PAUSED:
                return self.tr("已暂停，进度已保存，可以关闭窗口")
            case ImportStage.FAILED:
                return self.tr("没有导入任何内容") if not one.stored else self.tr("导入没有完成")
            case _ if one.cancel_owed:
                return self.tr("导入已取消；连上服务器后，会清除它已收到的部分")
            case _:
                return self.tr("导入已取消，没有入库任何卡密")

    def _hint_words(self, one: ImportProgressed) -> str:
        """What closing the window would do."""
        if one.held:
            return self.tr("可以关闭窗口：下次打开时读完文件，等您按“继续”才上传。本机只保存加密后的数据。")
        if one.stage in {ImportStage.READING, ImportStage.READY, ImportStage.UPLOADING}:
            return self.tr("可以关闭窗口：导入会停下，下次打开时自动继续。本机只保存加密后的数据。")
        if one.stage is ImportStage.INGESTING:
            return self.tr("可以关闭窗口：服务器会自己完成入库。")
        return ""

    def _show_ledgers(self, one: ImportProgressed) -> None:
        figures = one.figures
        self.file_ledger.show_sum(
            Part("read", self.tr("读取"), figures.read, "accent"),
            [
                Part("valid", self.tr("可导入"), figures.valid, "success"),
                Part("duplicates", self.tr("重复"), figures.duplicates, "warning"),
                Part("refused", self.tr("拒绝"), figures.refused, "danger"),
                Part("skipped", self.tr("跳过"), figures.skipped, "neutral"),
            ],
        )
        has_answer = one.stage in {ImportStage.INGESTING, ImportStage.DONE}
        self.server_ledger.setVisible(has_answer)
        if has_answer:
            parts = [
                Part("stored", self.tr("已入库"), one.stored, "success"),
                Part("stock_duplicates", self.tr("与库存重复"), one.duplicates_in_stock, "warning"),
                Part("stock_refused", self.tr("服务器拒绝"), one.refused_by_server, "danger"),
            ]
            left = figures.valid - one.stored - one.duplicates_in_stock - one.refused_by_server
            if left and one.stage is ImportStage.INGESTING:
                parts.append(Part("stock_waiting", self.tr("处理中"), left, "neutral"))
            self.server_ledger.show_sum(Part("sent", self.tr("可导入"), figures.valid, "accent"), parts)

    def _show_list(self, one: ImportProgressed) -> None:
        rows = self.presenter.problems.count
        listed = formats.count(PROBLEMS_KEPT)
        words = self.tr("只列出前 {rows} 行，导出的 Excel 里有全部").format(rows=listed)
        self.shown.setText(words if self.presenter.is_cut_short else "")
        self.write.setEnabled(self.presenter.may_export)
        self.write.setToolTip(self.tr("正在写文件…") if self.presenter.exporting else "")
        self._show_reasons()
        if rows:
            self._stack.setCurrentWidget(self.table)
            return
        self.empty.tell(*self._empty_words(one))
        self._stack.setCurrentWidget(self.empty)

    def _show_reasons(self) -> None:
        offers = [(self.tr("全部原因"), "")]
        offers += [(f"{reason_words(code)} ({formats.count(rows)})", code) for code, rows in self.presenter.reasons]
        box = self.reasons
        if [(box.itemText(at), box.itemData(at)) for at in range(box.count())] != offers:
            box.clear()
            for words, code in offers:
                box.addItem(words, code)
        box.setCurrentIndex(max(0, box.findData(self.presenter.reason)))
        box.setVisible(len(offers) > 2)

    def _empty_words(self, one: ImportProgressed) -> tuple[str, str]:
        figure = self.presenter.figure
        if one.stage is ImportStage.READING:
            return self.tr("正在检查…"), self.tr("读完后，没有导入的每一行都会列在这里，并写明原因。")
        if figure in {"valid", "stored", "sent"}:
            title = self.tr("可导入的卡密不在这里列出")
            return title, self.tr("它们在本机加密后直接上传，界面上不保留内容。")
        if self.presenter.ledger is None and one.figures.read != one.figures.valid:
            return self.tr("这里没有逐行记录"), self.tr(
                "逐行的原因只在读取文件的那次打开期间列出；保留原文件即可导出全部。"
            )
        return self.tr("没有这样的行"), self.tr("读取的每一行都已计入上面的数字。")

    def _chosen(self, figure: str) -> None:
        self.presenter.filter(figure)
        self.file_ledger.choose(figure)
        if self.server_ledger.isVisible():
            self.server_ledger.choose(figure)

    def _speak(self) -> None:
        self.model.speak_again()
        self.table.measure_again()
        self.look()

    def _titles(self) -> list[str]:
        return [self.tr("行"), self.tr("单元格"), self.tr("结果"), self.tr("卡密（已遮盖）"), self.tr("原因")]
