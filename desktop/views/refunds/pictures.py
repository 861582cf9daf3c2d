"""The images beside a refund: small ones in a row, each opens large; and the way to show one more."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from PySide6.QtCore import QBuffer, QByteArray, QIODevice, QSize, Qt
from PySide6.QtGui import QGuiApplication, QIcon, QImageReader, QPixmap
from PySide6.QtWidgets import QDialog, QFileDialog, QToolButton, QWidget

from desktop.presenters.refunds import Refunds
from desktop.widgets.basics import Notice, button, column, label, row
from desktop.widgets.live import Live
from desktop.widgets.words import sentence
from shared.contracts.payments import Refund, RefundImage

_SMALL = QSize(88, 88)
_OF_SCREEN = 0.8


def choose_pictures(parent: QWidget) -> list[Path]:
    """Ask which images to show."""
    chosen, _ = QFileDialog.getOpenFileNames(parent, "", "", "JPEG / PNG / WebP (*.jpg *.jpeg *.png *.webp)")
    return [Path(name) for name in chosen]


def drawn(content: bytes, most: QSize) -> QPixmap:
    """The image no larger than this, the way up it was taken; null where it cannot be drawn."""
    held = QBuffer()
    held.setData(QByteArray(content))
    held.open(QIODevice.OpenModeFlag.ReadOnly)
    reader = QImageReader(held)
    reader.setAutoTransform(True)
    size = reader.size()
    if size.width() > most.width() or size.height() > most.height():
        reader.setScaledSize(size.scaled(most, Qt.AspectRatioMode.KeepAspectRatio))
    return QPixmap.fromImage(reader.read())


class PictureDialog(QDialog):
    """One image, as large as the screen has room for. Escape closes it."""

    def __init__(self, parent: QWidget, content: bytes, name: str) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle(name)
        shown = label()
        shown.setAccessibleName(name)
        shown.setPixmap(drawn(content, QGuiApplication.primaryScreen().availableSize() * _OF_SCREEN))
        column(self).addWidget(shown)


class RefundPictures(Live, QWidget):
    """The images of the refund in front, written anew with its panel. `ask_files` is how a person chooses files."""

    ask_files = staticmethod(choose_pictures)

    def __init__(self, presenter: Refunds, refund: Refund) -> None:
        super().__init__()
        self._presenter = presenter
        self.small: list[QToolButton] = []
        layout = column(self, gap=8)
        if refund.images:
            layout.addWidget(label(self.tr("图片"), role="heading"))
        for party in dict.fromkeys(image.party for image in refund.images):
            layout.addWidget(label(self.tr("买家") if party == "buyer" else self.tr("供应商"), role="caption"))
            line = row(gap=8)
            for image in refund.images:
                if image.party == party:
                    line.addWidget(self._thumbnail(image))
            line.addStretch(1)
            layout.addLayout(line)
        if presenter.may_show(refund):
            self.add = button(self.tr("附上图片…"))
            self.add.setToolTip(self.tr("JPEG、PNG 或 WebP，最多 3 张，每张不超过 2 MB；买家和店铺看得到"))
            self.add.clicked.connect(self._choose)
            line = row()
            line.addWidget(self.add)
            line.addStretch(1)
            layout.addLayout(line)
        if presenter.picture_error is not None:
            problem = Notice()
            layout.addWidget(problem)
            problem.tell(sentence(presenter.picture_error), tone="danger")

    def _thumbnail(self, image: RefundImage) -> QToolButton:
        content = self._presenter.pictures.get(image.id)
        whose = self.tr("买家的第 {n} 张图片") if image.party == "buyer" else self.tr("供应商的第 {n} 张图片")
        name = whose.format(n=image.n)
        made = QToolButton()
        made.setAccessibleName(name)
        made.setFixedSize(_SMALL + QSize(8, 8))
        made.setIconSize(_SMALL)
        made.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        small = drawn(content, _SMALL * self.devicePixelRatio()) if content else QPixmap()
        if content is None or small.isNull():
            made.setText("…" if image.id not in self._presenter.pictures else "?")
            made.setToolTip(name if content is None else self.tr("这张图片无法显示"))
            made.setEnabled(False)
        else:
            made.setIcon(QIcon(small))
            made.setToolTip(name)
            made.clicked.connect(partial(self._open, content, name))
        self.small.append(made)
        return made

    def _open(self, content: bytes, name: str) -> None:
        PictureDialog(self.window(), content, name).open()

    def _choose(self) -> None:
        if chosen := self.ask_files(self):
            self._presenter.show_pictures(chosen)
