"""Widths of columns as a person left them, by table and column; kept with the window's other settings.

`desktop.app` hands the settings over once. Only what somebody dragged is kept: all else is measured anew, so that
another font or language finds its own widths.
"""

from __future__ import annotations

from PySide6.QtCore import QSettings

_LEAST, _MOST = 24, 2_000
_settings: QSettings | None = None


def keep_in(settings: QSettings) -> None:
    """Keep widths in these settings from now on."""
    global _settings
    _settings = settings


def kept(table: str, column: str) -> int | None:
    """The width that somebody gave the column, or None."""
    if _settings is None or not table:
        return None
    try:
        width = int(str(_settings.value(_name(table, column), 0)))
    except ValueError:  # somebody edited the file
        return None
    return width if _LEAST <= width <= _MOST else None


def keep(table: str, column: str, width: int) -> None:
    """Somebody gave the column this width."""
    if _settings is not None and table:
        _settings.setValue(_name(table, column), width)


def _name(table: str, column: str) -> str:
    return f"columns/{table}/{column}"
