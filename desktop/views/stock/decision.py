"""What is about to be done to stock, told before it is done: a bar under the list, a reason, and two buttons.

Nothing is in the way: the list above can be scrolled and read while the person makes up their mind. Escape drops it.
"""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QComboBox, QFrame, QLineEdit

from desktop.presenters.deeds import Deed, DeedKind, Deeds
from desktop.presenters.formats import count
from desktop.presenters.stock_columns import lot_name
from desktop.theme.tokens import SPACE
from desktop.widgets.basics import Notice, button, column, label, row
from desktop.widgets.live import Live
from desktop.widgets.words import sentence

LEAST_REASON = 2


class DecisionBar(Live, QFrame):
    """Shows `Deeds.pending`; hidden while there is none."""

    def __init__(self, presenter: Deeds) -> None:
        super().__init__()
        self.setProperty("role", "decision")
        self._presenter = presenter
        self._shown: Deed | None = None
        layout = column(self, gap=SPACE, margins=(24, 10, 20, 12))
        self.title = label(role="heading")
        self.effect = label(wrap=True)
        layout.addWidget(self.title)
        layout.addWidget(self.effect)
        self.problem = Notice()
        layout.addWidget(self.problem)
        line = row(gap=SPACE)
        self.reason = QComboBox()
        self.reason.setEditable(True)
        self.reason.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
        self.reason.setMinimumWidth(320)
        self.field.setMaxLength(200)
        self.field.textChanged.connect(self._look_at_reason)
        self.field.returnPressed.connect(self._do)
        line.addWidget(self.reason, 1)
        self._leave = button()
        self._leave.clicked.connect(presenter.drop)
        self.go = button(role="primary")
        self.go.clicked.connect(self._do)
        line.addWidget(self._leave)
        line.addWidget(self.go)
        layout.addLayout(line)
        self.say(self._leave.setText, lambda: self.tr("取消"))
        self.say(self.reason.setAccessibleName, lambda: self.tr("原因"))
        self.say(self.field.setPlaceholderText, lambda: self.tr("原因（必填，会记入操作日志）"))
        self.say(self.go.setText, lambda: self.tr("确定"))
        presenter.watch(self.look)
        self.on_words(self.look)
        self.look()

    @property
    def field(self) -> QLineEdit:
        """Where the reason is typed."""
        field = self.reason.lineEdit()
        assert field is not None
        return field

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Escape drops the proposal."""
        if event.key() == Qt.Key.Key_Escape:
            self._presenter.drop()
            return
        super().keyPressEvent(event)

    def look(self) -> None:
        """Show what is proposed."""
        deed = self._presenter.pending
        if deed is None:
            self._shown = None
            self.hide()
            return
        title, effect, go = self._words(deed)
        self.title.setText(title)
        self.effect.setText(effect)
        self.go.setText(self.tr("正在处理…") if self._presenter.busy else go)
        error = self._presenter.error
        self.problem.tell(sentence(error) if error is not None else "", tone="danger")
        is_new = deed is not self._shown
        if is_new:
            self._shown = deed
            self.reason.clear()
            self.reason.addItems(self._usual(deed.kind))
            self.reason.setCurrentIndex(-1)
            self.field.clear()
        self._look_at_reason()
        self.show()
        if is_new:
            self.field.setFocus()

    def _look_at_reason(self) -> None:
        typed = len(self.field.text().strip()) >= LEAST_REASON
        deed = self._presenter.pending
        is_idle = deed is not None and not self._presenter.busy
        self.go.setEnabled(is_idle and typed and (deed is not None and bool(deed.seqs or deed.lots)))
        self._leave.setEnabled(not self._presenter.busy)

    def _do(self) -> None:
        if self.go.isEnabled():
            self._presenter.carry_out(self.field.text())

    def _words(self, deed: Deed) -> tuple[str, str, str]:
        """Title, what will happen, what the button says."""
        lot = lot_name(deed.lots[0].number) if deed.lots else ""
        file = deed.file_name
        held = self.tr("{held} 张已被锁定，付款后照常发货").format(held=count(deed.held)) if deed.held else ""
        waits = self.tr("{held} 张已被锁定，买家不付款才会下架").format(held=count(deed.held)) if deed.held else ""
        sold = self.tr("{sold} 张已售不受影响").format(sold=count(deed.sold)) if deed.sold else ""
        free = count(deed.free)
        back = self.tr("撤回后不能恢复，但这些卡密可以重新导入")
        match deed.kind:
            case DeedKind.FREEZE:
                effect = [self.tr("{free} 张立即停止销售").format(free=free), held, sold, self.tr("随时可以解冻")]
                return (
                    self.tr("冻结批次 {lot}（{file}）").format(lot=lot, file=file),
                    self._one(effect),
                    self.tr("冻结"),
                )
            case DeedKind.RELEASE:
                effect = [self.tr("{free} 张恢复销售").format(free=free)]
                return (
                    self.tr("解冻批次 {lot}（{file}）").format(lot=lot, file=file),
                    self._one(effect),
                    self.tr("解冻"),
                )
            case DeedKind.WITHDRAW:
                effect = [self.tr("{free} 张将下架").format(free=free), waits, sold, back]
                return (
                    self.tr("撤回批次 {lot}（{file}）").format(lot=lot, file=file),
                    self._one(effect),
                    self.tr("撤回"),
                )
            case DeedKind.WITHDRAW_IMPORT:
                effect = [self.tr("{free} 张将下架").format(free=free), waits, sold, back]
                title = self.tr("撤回整个文件 {file}（%n 个批次）", None, len(deed.lots)).format(file=file)
                return title, self._one(effect), self.tr("全部撤回")
            case DeedKind.VOID:
                return self._words_of_void(deed)

    def _words_of_void(self, deed: Deed) -> tuple[str, str, str]:
        parts = [self.tr("{free} 张将作废，不能恢复").format(free=count(deed.free))]
        for words, number in (
            (self.tr("{n} 张已被锁定"), deed.held),
            (self.tr("{n} 张已售"), deed.sold),
            (self.tr("{n} 张早已作废"), deed.void),
        ):
            if number:
                parts.append(words.format(n=count(number)))
        if len(parts) > 1:
            parts.append(self.tr("后面这些不受影响"))
        title = self.tr("作废选中的 {n} 张卡密").format(n=count(deed.free + deed.held + deed.sold + deed.void))
        return title, self._one(parts), self.tr("作废 {n} 张").format(n=count(deed.free))

    def _usual(self, kind: DeedKind) -> list[str]:
        """Reasons that are given often."""
        if kind is DeedKind.FREEZE:
            return [self.tr("怀疑卡密泄露"), self.tr("买家投诉较多，正在核实"), self.tr("供应商要求暂停")]
        if kind is DeedKind.RELEASE:
            return [self.tr("已核实，没有问题"), self.tr("供应商要求恢复")]
        if kind is DeedKind.VOID:
            return [self.tr("买家反馈已被使用"), self.tr("卡密错误"), self.tr("供应商要求作废")]
        return [self.tr("导入到了错误的规格"), self.tr("卡密错误"), self.tr("供应商要求撤回")]

    def _one(self, parts: list[str]) -> str:
        return self.tr("；").join(part for part in parts if part) + self.tr("。")
