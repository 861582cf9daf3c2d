"""Questions of the workbench that reach out of the window: files to read, places to write. Tests answer them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QStandardPaths, QUrl
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import QFileDialog, QWidget

AskTarget = Callable[[QWidget, str], Path | None]
AskFile = Callable[[QWidget], Path | None]
AskFiles = Callable[[QWidget], list[Path]]
OpenFolder = Callable[[Path], None]


def choose_target(parent: QWidget, name: str) -> Path | None:
    """Ask where to write a workbook; the person's documents are offered."""
    documents = QStandardPaths.writableLocation(QStandardPaths.StandardLocation.DocumentsLocation)
    chosen, _ = QFileDialog.getSaveFileName(parent, "", str(Path(documents) / name), "Excel (*.xlsx)")
    return Path(chosen) if chosen else None


def choose_bills(parent: QWidget) -> list[Path]:
    """Ask which bills to add."""
    chosen, _ = QFileDialog.getOpenFileNames(parent, "", "", "CSV / ZIP / GZ (*.csv *.txt *.zip *.gz);;* (*)")
    return [Path(name) for name in chosen]


def choose_workbook(parent: QWidget) -> Path | None:
    """Ask which exported workbook to verify."""
    chosen, _ = QFileDialog.getOpenFileName(parent, "", "", "Excel (*.xlsx)")
    return Path(chosen) if chosen else None


def open_folder(folder: Path) -> None:
    """Show a folder in the system's file manager."""
    QDesktopServices.openUrl(QUrl.fromLocalFile(str(folder)))
