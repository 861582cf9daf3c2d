"""How the file is read, as a row of choices: encoding, separator, sheet, heading, which column is what, and what holds
for the whole file.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from PySide6.QtWidgets import QComboBox, QLineEdit, QWidget

from desktop.presenters.check import ENCODINGS, EXPIRY_ORDERS, SEPARATORS, Check
from desktop.presenters.formats import price
from desktop.theme.tokens import SPACE
from desktop.widgets.basics import column, label, restyle
from desktop.widgets.flow import FlowLayout
from desktop.widgets.live import Live


class ReadingBar(Live, QWidget):
    """The choices of one file; those that do not apply to its kind are not shown."""

    def __init__(self) -> None:
        super().__init__()
        self._check: Check | None = None
        self._layout = FlowLayout(self, gap=SPACE + 4)
        self._boxes: dict[str, tuple[QWidget, QComboBox]] = {}
        for key, words, chosen in (
            ("encoding", lambda: self.tr("编码"), self._encoding_chosen),
            ("separator", lambda: self.tr("分隔符"), self._separator_chosen),
            ("sheet", lambda: self.tr("工作表"), self._sheet_chosen),
            ("header", lambda: self.tr("标题行"), self._header_chosen),
            ("secret", lambda: self.tr("卡密列"), self._columns_chosen),
            ("number", lambda: self.tr("卡号列"), self._columns_chosen),
            ("expiry", lambda: self.tr("有效期列"), self._columns_chosen),
            ("expiry_order", lambda: self.tr("有效期写法"), self._order_chosen),
            ("cost", lambda: self.tr("成本列"), self._columns_chosen),
            ("uses", lambda: self.tr("可用次数列"), self._columns_chosen),
        ):
            self._add(key, words, chosen)
        self.cost = QLineEdit()
        self.cost.setMaxLength(16)
        self.cost.setFixedWidth(132)
        self.say(self.cost.setPlaceholderText, lambda: self.tr("例如 8.70，可不填"))
        self._cost_holder = self._hold(self.cost, lambda: self.tr("每张成本（元）"))
        self.cost.editingFinished.connect(self._cost_typed)
        self.cost.textEdited.connect(lambda _text: restyle(self.cost, "wrong", "false"))
        self.uses = QLineEdit()
        self.uses.setMaxLength(5)
        self.uses.setFixedWidth(104)
        self._uses_holder = self._hold(self.uses, lambda: self.tr("每张可用次数"))
        self.uses.editingFinished.connect(self._uses_typed)
        self.uses.textEdited.connect(lambda _text: restyle(self.uses, "wrong", "false"))
        self.on_words(self.look)

    def _hold(self, field: QWidget, words: Callable[[], str]) -> QWidget:
        holder = QWidget()
        layout = column(holder, gap=2)
        title = label(role="caption")
        title.setBuddy(field)
        self.say(title.setText, words)
        self.say(field.setAccessibleName, words)
        layout.addWidget(title)
        layout.addWidget(field)
        self._layout.addWidget(holder)
        return holder

    def _add(self, key: str, words: Callable[[], str], chosen: Callable[[Any], None]) -> None:
        box = QComboBox()
        box.setMinimumWidth(104)
        box.activated.connect(lambda _at, b=box: chosen(b.currentData()))
        self._boxes[key] = (self._hold(box, words), box)

    def box(self, key: str) -> QComboBox:
        """The choice called `key`."""
        return self._boxes[key][1]

    def show_check(self, check: Check | None) -> None:
        """Show the choices of this file."""
        self._check = check

    def look(self) -> None:
        """Write what the reader guessed, or what was chosen."""
        check = self._check
        preview = check.preview if check is not None else None
        if check is None or preview is None:
            is_text = check is not None and check.may_be_encoding
            for key, (holder, _box) in self._boxes.items():
                holder.setVisible(is_text and key == "encoding")
            if is_text and check is not None:
                self._fill("encoding", [(name.upper(), name) for name in ENCODINGS], check.options.encoding)
            self._cost_holder.hide()
            self._uses_holder.hide()
            return
        options = preview.options
        encodings = (
            [*ENCODINGS] if preview.encoding in ENCODINGS or not preview.encoding else [preview.encoding, *ENCODINGS]
        )
        self._fill("encoding", [(name.upper(), name) for name in encodings], preview.encoding)
        self._boxes["encoding"][0].setVisible(preview.encoding is not None)
        self._fill("separator", [(self._separator_word(one), one) for one in SEPARATORS], preview.separator)
        self._boxes["separator"][0].setVisible(preview.separator is not None)
        self._fill("sheet", [(name, name) for name in preview.sheets], preview.sheet)
        self._boxes["sheet"][0].setVisible(len(preview.sheets) > 1)
        headers = [(self.tr("没有"), 0), *((self.tr("前 %n 行", None, n), n) for n in range(1, 6))]
        self._fill("header", headers, options.header_lines)
        self._boxes["header"][0].show()
        columns = [(title, at) for at, title in enumerate(preview.titles)]
        none = [(self.tr("没有"), None)]
        self._fill("secret", columns, preview.columns.secret)
        self._fill("number", [*none, *columns], preview.columns.number)
        for key in ("expiry", "cost", "uses"):
            self._fill(key, [*none, *columns], getattr(preview.columns, key))
        self._fill("expiry_order", [(self._order_word(one), one) for one in EXPIRY_ORDERS], options.expiry_order)
        for key in ("secret", "number"):
            self._boxes[key][0].setVisible(len(columns) > 1)
        for key in ("expiry", "cost", "uses"):
            self._boxes[key][0].setVisible(len(columns) > 1 + (preview.columns.number is not None))
        self._boxes["expiry_order"][0].setVisible(preview.columns.expiry is not None)
        self._cost_holder.setVisible(preview.columns.cost is None)
        self._uses_holder.setVisible(preview.columns.uses is None)
        if not self.cost.hasFocus():
            self.cost.setText("" if options.cost is None else price(options.cost))
        if not self.uses.hasFocus():
            self.uses.setText(str(options.uses))

    def _fill(self, key: str, offers: list[tuple[str, Any]], now: object) -> None:
        box = self._boxes[key][1]
        if [(box.itemText(at), box.itemData(at)) for at in range(box.count())] != offers:
            box.clear()
            for words, value in offers:
                box.addItem(words, value)
        box.setCurrentIndex(next((at for at, (_, value) in enumerate(offers) if value == now), -1))

    def _separator_word(self, separator: str) -> str:
        named = {"\t": self.tr("制表符"), " ": self.tr("空格"), "": self.tr("整行一张卡")}
        return named.get(separator, separator)

    def _order_word(self, order: str) -> str:
        named = {"ymd": self.tr("年-月-日"), "dmy": self.tr("日/月/年"), "mdy": self.tr("月/日/年")}
        return named[order]

    def _encoding_chosen(self, value: str) -> None:
        if self._check is not None:
            self._check.decide(encoding=value)

    def _separator_chosen(self, value: str) -> None:
        if self._check is not None:
            self._check.decide(separator=value, columns=None)

    def _sheet_chosen(self, value: str) -> None:
        if self._check is not None:
            self._check.decide(sheet=value, columns=None, header_lines=None)

    def _header_chosen(self, value: int) -> None:
        if self._check is not None:
            self._check.decide(header_lines=value)

    def _columns_chosen(self, _value: object) -> None:
        if self._check is not None:
            self._check.use_columns(
                number=self.box("number").currentData(),
                secret=self.box("secret").currentData(),
                expiry=self.box("expiry").currentData(),
                cost=self.box("cost").currentData(),
                uses=self.box("uses").currentData(),
            )

    def _order_chosen(self, value: str) -> None:
        if self._check is not None:
            self._check.decide(expiry_order=value)

    def _cost_typed(self) -> None:
        if self._check is not None:
            restyle(self.cost, "wrong", "false" if self._check.use_cost(self.cost.text()) else "true")

    def _uses_typed(self) -> None:
        if self._check is not None:
            restyle(self.uses, "wrong", "false" if self._check.use_uses(self.uses.text()) else "true")
