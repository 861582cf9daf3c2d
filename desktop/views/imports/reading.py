"""How the file is read, as a row of choices: encoding, separator, sheet, heading, and which column is what."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from PySide6.QtWidgets import QComboBox, QWidget

from desktop.presenters.check import ENCODINGS, SEPARATORS, Check
from desktop.theme.tokens import SPACE
from desktop.widgets.basics import column, label
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
        ):
            self._add(key, words, chosen)
        self.on_words(self.look)

    def _add(self, key: str, words: Callable[[], str], chosen: Callable[[Any], None]) -> None:
        holder = QWidget()
        layout = column(holder, gap=2)
        title, box = label(role="caption"), QComboBox()
        box.setMinimumWidth(104)
        title.setBuddy(box)
        self.say(title.setText, words)
        self.say(box.setAccessibleName, words)
        box.activated.connect(lambda _at, b=box: chosen(b.currentData()))
        layout.addWidget(title)
        layout.addWidget(box)
        self._layout.addWidget(holder)
        self._boxes[key] = (holder, box)

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
        self._fill("expiry", [*none, *columns], preview.columns.expiry)
        for key in ("secret", "number", "expiry"):
            self._boxes[key][0].setVisible(len(columns) > 1)

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
            )
