"""Which cells of a small sheet are formulas: the readers of values do not tell."""

from __future__ import annotations

from pathlib import Path
from posixpath import join, normpath
from xml.etree.ElementTree import iterparse
from zipfile import ZipFile

_MAIN = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
_ID = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}id"
_RELATION = "{http://schemas.openxmlformats.org/package/2006/relationships}Relationship"


def formula_cells(path: Path, sheet: str) -> set[str]:
    """The places, such as B7, of the formulas of a sheet that is there."""
    with ZipFile(path) as package:
        with package.open("xl/workbook.xml") as file:
            ids = {e.get("name"): e.get(_ID) for _, e in iterparse(file) if e.tag == f"{_MAIN}sheet"}  # noqa: S314 - see above
        with package.open("xl/_rels/workbook.xml.rels") as file:
            targets = {e.get("Id"): e.get("Target", "") for _, e in iterparse(file) if e.tag == _RELATION}  # noqa: S314 - see above
        target = targets[ids[sheet]]
        name = target.lstrip("/") if target.startswith("/") else normpath(join("xl", target))
        with package.open(name) as file:
            cells = (e for _, e in iterparse(file) if e.tag == f"{_MAIN}c")  # noqa: S314 - see above
            return {cell.get("r", "") for cell in cells if cell.find(f"{_MAIN}f") is not None}
