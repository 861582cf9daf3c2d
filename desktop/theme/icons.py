"""Line icons from resources/icons, tinted with a token when they are painted.

`icon("stock")` follows the theme by itself: its engine looks the colour up at each paint, from a small cache of
pixmaps per name, colour, size and scale.
"""

from __future__ import annotations

from functools import lru_cache

from PySide6.QtCore import QByteArray, QRect, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QGuiApplication, QIcon, QIconEngine, QPainter, QPixmap
from PySide6.QtSvg import QSvgRenderer

import resources
from desktop.theme import apply


@lru_cache(maxsize=64)
def _source(name: str) -> str:
    return resources.path("icons", f"{name}.svg").read_text("utf-8")


@lru_cache(maxsize=512)
def _draw(name: str, colour: str, width: int, height: int, scale: float) -> QPixmap:
    pixmap = QPixmap(round(width * scale), round(height * scale))
    pixmap.fill(Qt.GlobalColor.transparent)
    painter = QPainter(pixmap)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    renderer = QSvgRenderer(QByteArray(_source(name).replace("currentColor", colour).encode()))
    renderer.render(painter, QRectF(0, 0, pixmap.width(), pixmap.height()))
    painter.end()
    pixmap.setDevicePixelRatio(scale)
    return pixmap


def pixmap(name: str, *, tint: str = "text", size: int = 16, scale: float = 1.0) -> QPixmap:
    """The icon `name` in the colour of the token `tint`, `size` device independent pixels square."""
    return _draw(name, str(getattr(apply.current(), tint)), size, size, scale)


class _TintedEngine(QIconEngine):
    """Paints an icon in a token of the theme worn at that moment."""

    def __init__(self, name: str, tint: str, on_tint: str) -> None:
        super().__init__()
        self._name = name
        self._tints = {QIcon.State.Off: tint, QIcon.State.On: on_tint}

    def paint(self, painter: QPainter, rect: QRect, mode: QIcon.Mode, state: QIcon.State) -> None:
        """Draw centred in `rect`."""
        device = painter.device()
        scale = device.devicePixelRatio() if device is not None else 1.0
        painter.drawPixmap(rect, self._drawn(rect.size(), mode, state, scale))

    def pixmap(self, size: QSize, mode: QIcon.Mode, state: QIcon.State) -> QPixmap:
        """What a button paints. Qt asks in logical pixels and sets the ratio by the size it gets."""
        application = QGuiApplication.instance()
        scale = application.devicePixelRatio() if isinstance(application, QGuiApplication) else 1.0
        return self._drawn(size, mode, state, scale)

    def _drawn(self, size: QSize, mode: QIcon.Mode, state: QIcon.State, scale: float) -> QPixmap:
        token = "outline" if mode is QIcon.Mode.Disabled else self._tints[state]
        colour = QColor(str(getattr(apply.current(), token))).name()
        side = max(1, min(size.width(), size.height()))
        return _draw(self._name, colour, side, side, scale)

    def clone(self) -> QIconEngine:
        """A copy for a detached QIcon."""
        return _TintedEngine(self._name, self._tints[QIcon.State.Off], self._tints[QIcon.State.On])


def icon(name: str, *, tint: str = "text", on_tint: str | None = None) -> QIcon:
    """An icon that follows the theme. `on_tint` colours it while its button is checked."""
    return QIcon(_TintedEngine(name, tint, on_tint or tint))


def application_icon() -> QIcon:
    """The mark of the console, in its own colours."""
    made = QIcon()
    for size in (16, 24, 32, 48, 64, 128, 256):
        made.addPixmap(_draw("kameng", "#000000", size, size, 1.0))
    return made
