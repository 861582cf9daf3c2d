"""Questions of the payouts that reach out of the window: where to write instructions, which result file to read."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QStandardPaths
from PySide6.QtWidgets import QFileDialog, QWidget


def choose_table(parent: QWidget, name: str) -> Path | None:
    """Ask where to write a table, as a workbook or as text; the person's documents are offered."""
    documents = QStandardPaths.writableLocation(QStandardPaths.StandardLocation.DocumentsLocation)
    kinds = "Excel (*.xlsx);;CSV (*.csv)"
    chosen, _ = QFileDialog.getSaveFileName(parent, "", str(Path(documents) / name), kinds)
    return Path(chosen) if chosen else None


def choose_results(parent: QWidget) -> Path | None:
    """Ask which result file to read."""
    chosen, _ = QFileDialog.getOpenFileName(parent, "", "", "Excel / CSV (*.xlsx *.csv *.txt);;* (*)")
    return Path(chosen) if chosen else None
