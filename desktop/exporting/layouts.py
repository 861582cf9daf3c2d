"""Layouts of the finance workbook that a clerk made: which sheets and columns, in which order, under which names.

A layout leaves out, orders and names. What the cover adds up stays on every sheet that is shown, so that its formulas
do. No files, no Qt; kept by `desktop.operations.layouts`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import msgspec

from desktop.exporting.finance_pages import COVER
from desktop.exporting.proof import PROOF
from desktop.exporting.sheets import Page
from shared.errors import BadInput

_NOT_IN_SHEET_NAMES = re.compile(r"[\[\]:*?/\\\x00-\x1f]")
_LONGEST_SHEET_NAME = 28
"""Excel takes 31 characters, and further sheets of a long table are numbered."""
_WIDTHS = range(4, 121)


class LayoutUnreadable(BadInput):
    """What is kept as a layout is none."""

    code = "layout.unreadable"
    zh = "保存的版式“{name}”无法读取，请删除后重新保存。"
    en = "The saved layout “{name}” cannot be read. Delete it and save it again."


class LayoutEmpty(BadInput):
    """Nothing would be left to show."""

    code = "layout.empty"
    zh = "版式至少要有一张工作表，每张至少一列。"
    en = "A layout has at least one sheet, and each sheet a column."


class LayoutUnknown(BadInput):
    """A sheet or column that this version does not have."""

    code = "layout.unknown"
    zh = "版式里的“{what}”不存在。"
    en = "The layout names “{what}”, which does not exist."


class LayoutTwice(BadInput):
    """A sheet, a column or a name stands twice."""

    code = "layout.twice"
    zh = "版式里的“{what}”重复。"
    en = "The layout has “{what}” twice."


class LayoutLacks(BadInput):
    """A column is left out that the cover adds up."""

    code = "layout.lacks"
    zh = "工作表“{sheet}”必须保留这些列，封面的合计公式要用：{columns}。"
    en = "Sheet “{sheet}” keeps these columns, which the cover adds up: {columns}."


class LayoutBadName(BadInput):
    """Workbooks cannot have a sheet of this name, or a heading or width like this."""

    code = "layout.bad_name"
    zh = "“{name}”不能作为工作表名或列名：最多 28 个字符，不含 [ ] : * ? / \\，不能与封面同名。"
    en = "“{name}” cannot name a sheet or column: up to 28 characters, without [ ] : * ? / \\, not the cover's own."


class ColumnLayout(msgspec.Struct, frozen=True):
    """A column that is shown: headed `title` where that is not empty, and `width` wide where that is not 0."""

    key: str
    title: str = ""
    width: int = 0


class SheetLayout(msgspec.Struct, frozen=True):
    """A sheet that is shown, with a name of its own where `name` is not empty."""

    page: str
    columns: tuple[ColumnLayout, ...]
    name: str = ""


class Layout(msgspec.Struct, frozen=True):
    """A saved layout. Sheets and columns are in the order in which they are shown."""

    sheets: tuple[SheetLayout, ...]


def usual(pages: Sequence[Page[Any]]) -> Layout:
    """The layout that changes nothing: what a clerk starts from."""
    return Layout(
        tuple(SheetLayout(page.key, tuple(ColumnLayout(column.key) for column in page.columns)) for page in pages)
    )


def arranged(pages: Sequence[Page[Any]], layout: Layout, language: str) -> tuple[Page[Any], ...]:
    """The pages as the layout wants them. Raises LayoutEmpty, -Unknown, -Twice, -Lacks and -BadName."""
    known = {page.key: page for page in pages}
    _once(sheet.page for sheet in layout.sheets)
    made = []
    for sheet in layout.sheets:
        if sheet.page not in known:
            raise LayoutUnknown(what=sheet.page)
        made.append(_arranged(known[sheet.page], sheet, language))
    if not made:
        raise LayoutEmpty
    names = [page.name(language) for page in made]
    _once(name.casefold() for name in names)
    for name in names:
        if name in {*COVER, *PROOF}:
            raise LayoutBadName(name=name)
    return tuple(made)


def _arranged(page: Page[Any], sheet: SheetLayout, language: str) -> Page[Any]:
    columns = {column.key: column for column in page.columns}
    _once((column.key for column in sheet.columns), of=page.name(language))
    shown = []
    for one in sheet.columns:
        if one.key not in columns:
            raise LayoutUnknown(what=f"{page.name(language)}.{one.key}")
        column = columns[one.key]
        width = one.width if one.width in _WIDTHS else column.width
        shown.append(replace(column, own=_name(one.title), width=width))
    if not shown:
        raise LayoutEmpty
    _once((column.title(language) for column in shown), of=_name(sheet.name) or page.name(language))
    lacking = [column for column in page.columns if column.total and column.key not in {one.key for one in shown}]
    if lacking:
        titles = "、".join(column.title(language) for column in lacking)
        raise LayoutLacks(sheet=page.name(language), columns=titles)
    return replace(page, columns=tuple(shown), own=_name(sheet.name))


def _name(name: str) -> str:
    name = name.strip()
    if _NOT_IN_SHEET_NAMES.search(name) or len(name) > _LONGEST_SHEET_NAME or name[:1] == "'" or name[-1:] == "'":
        raise LayoutBadName(name=name)
    return name


def _once(names: Iterable[str], *, of: str = "") -> None:
    """Raises LayoutTwice; `of` is the sheet that the names are on."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise LayoutTwice(what=f"{of}.{name}" if of else name)
        seen.add(name)


def packed(layout: Layout) -> str:
    """As it is kept: JSON."""
    return msgspec.json.encode(layout).decode()


def unpacked(name: str, text: str) -> Layout:
    """A layout that was kept. Raises LayoutUnreadable."""
    try:
        return msgspec.json.decode(text, type=Layout)
    except msgspec.DecodeError as error:
        raise LayoutUnreadable(name=name) from error
