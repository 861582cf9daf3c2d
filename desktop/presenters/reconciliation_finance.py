"""The finance workbook of a period: which days and channels, in which layout, and the layouts that a clerk keeps.

A layout is edited as a list of sheets with their columns, shown or not, moved and named; what the cover adds up cannot
be left out.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from desktop.engine.engine import Engine
from desktop.exporting.finance_pages import FINANCE_PAGES
from desktop.exporting.layouts import ColumnLayout, Layout, SheetLayout, usual
from desktop.exporting.workbook import Written
from desktop.operations import finance_workbook, layouts
from desktop.operations.layouts import Elsewhere, Sent
from desktop.presenters.ports import Ask, Latest
from desktop.presenters.watching import Watched
from desktop.presenters.words import in_words, language
from shared.errors import KamengError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ColumnChoice:
    """A column of a sheet: whether it is shown, and whether it must be. `usual` is what it is called otherwise."""

    key: str
    title: str
    shown: bool
    is_fixed: bool
    usual: str


@dataclass(frozen=True, slots=True)
class SheetChoice:
    """A sheet, whether it is shown, and its columns. `usual` is what it is called otherwise."""

    key: str
    name: str
    shown: bool
    columns: tuple[ColumnChoice, ...]
    usual: str


def choices(layout: Layout) -> list[SheetChoice]:
    """What a layout shows, in its order, then what it leaves out."""
    pages = {page.key: page for page in FINANCE_PAGES}
    kept = {sheet.page: sheet for sheet in layout.sheets if sheet.page in pages}
    made = []
    for key in dict.fromkeys((*kept, *pages)):
        page, sheet = pages[key], kept.get(key)
        columns = {column.key: column for column in page.columns}
        own = {one.key: one for one in sheet.columns if one.key in columns} if sheet is not None else {}
        made.append(
            SheetChoice(
                key,
                sheet.name if sheet is not None else "",
                sheet is not None,
                tuple(
                    ColumnChoice(
                        name,
                        own[name].title if name in own else "",
                        name in own or sheet is None,
                        columns[name].total,
                        "",
                    )
                    for name in dict.fromkeys((*own, *columns))
                ),
                "",
            )
        )
    return [said_anew(one) for one in made]


def said_anew(sheet: SheetChoice) -> SheetChoice:
    """The same in the language of now: what is called as usual is called so in it, names of a person's own stay."""
    page = next(page for page in FINANCE_PAGES if page.key == sheet.key)
    titles = {column.key: column.title(language()) for column in page.columns}
    name = page.name(language())
    return replace(
        sheet,
        name=_own(sheet.name, sheet.usual) or name,
        columns=tuple(
            replace(one, title=_own(one.title, one.usual) or titles[one.key], usual=titles[one.key])
            for one in sheet.columns
        ),
        usual=name,
    )


def chosen_layout(layout: Layout, shown: Sequence[SheetChoice]) -> Layout:
    """The layout that shows these, in their order and under their names; widths that it had already stay."""
    before = {(sheet.page, one.key): one for sheet in layout.sheets for one in sheet.columns}
    sheets = []
    for sheet in shown:
        if not sheet.shown:
            continue
        columns = [
            ColumnLayout(one.key, _own(one.title, one.usual), before.get((sheet.key, one.key), _UNKNOWN).width)
            for one in sheet.columns
            if one.shown or one.is_fixed
        ]
        sheets.append(SheetLayout(sheet.key, tuple(columns), _own(sheet.name, sheet.usual)))
    return Layout(tuple(sheets))


_UNKNOWN = ColumnLayout("")
_OWED = (
    "连不上服务器：版式已先存在这台电脑上，连上后自动同步到您的其他电脑。",
    "The server cannot be reached: the layout is kept here, and goes to your other computers once it can.",
)
_KEPT_BESIDE = (
    "版式“{name}”已在别处另存过：那一份保留不动，这里的保存为“{kept_as}”。",
    "The layout “{name}” was saved elsewhere meanwhile: that one is untouched, yours is kept as “{kept_as}”.",
)
_NOT_REMOVED = (
    "版式“{name}”已在别处另存过，没有删除。",
    "The layout “{name}” was saved elsewhere meanwhile, and was not removed.",
)


def _own(name: str, usual_name: str) -> str:
    """A name of a person's own: none where it is the usual one, which is said in the language of who exports."""
    return "" if name.strip() == usual_name else name.strip()


class FinanceExport(Watched):
    """The state of the panel.

    Attributes:
        is_open: the panel is shown.
        mine: this person's layouts by name, as they were seen.
        layout_name: the chosen one; None is the usual layout.
        layout: the one that is edited; None while none is.
        busy: the workbook is being written.
        is_owed: what was saved or removed is on this machine alone until the server can be reached.
        elsewhere: layouts that were saved elsewhere meanwhile, and so are neither replaced nor removed.
        written: the workbook that was written last.
        error: why something failed.
    """

    def __init__(self, ask: Ask) -> None:
        super().__init__()
        self._ask = ask
        self._latest = Latest()
        self.is_open = False
        self.mine: dict[str, str] = {}
        self._begun_with: dict[str, str] = {}
        self.layout_name: str | None = None
        self.layout: Layout | None = None
        self.busy = False
        self.is_owed = False
        self.elsewhere: tuple[Elsewhere, ...] = ()
        self.written: Written | None = None
        self.error: Exception | None = None

    @property
    def told(self) -> str:
        """What became of layouts that the server has not, or not as it was wanted; empty where all is as usual."""
        told = [in_words(_OWED)] if self.is_owed else []
        for one in self.elsewhere:
            words = _NOT_REMOVED if one.kept_as is None else _KEPT_BESIDE
            told.append(in_words(words).format(name=one.name, kept_as=one.kept_as))
        return "\n".join(told)

    def toggle(self) -> None:
        """Open the panel, or put it away."""
        self.is_open = not self.is_open
        self.layout, self.error = None, None
        if self.is_open:
            self.connected()
        else:
            self.elsewhere = ()
        self.changed()

    def choose(self, name: str | None) -> None:
        """Write in this layout."""
        self.layout_name, self.layout, self.error, self.elsewhere = name, None, None, ()
        self.changed()

    def edit(self) -> None:
        """Edit the chosen layout as it is by now, or begin a new one from the usual."""
        self.elsewhere = ()
        if self.layout_name is None:
            self._edited(usual(FINANCE_PAGES))
        else:
            self._do(layouts.layouts, partial(self._opened, self.layout_name))

    def stop_editing(self) -> None:
        """Keep it as it was."""
        self.layout, self.error = None, None
        self.changed()

    def save(self, name: str, shown: Sequence[SheetChoice]) -> None:
        """Keep what is shown under a name, and write in it from now on."""
        if self.layout is not None:
            name, wanted = name.strip(), chosen_layout(self.layout, shown)
            save = partial(layouts.save_layout, name=name, wanted=wanted, seen=self._begun_with.get(name))
            self._do(save, partial(self._saved, name))

    def remove(self) -> None:
        """Forget the chosen layout."""
        name = self.layout_name
        if name in self._begun_with:
            remove = partial(layouts.remove_layout, name=name, seen=self._begun_with[name])
            self._do(remove, partial(self._removed, name))

    def export(self, *, first: date, last: date, channel: str | None, target: Path) -> None:
        """Write the workbook of these days, of one channel or of all."""
        if self.busy:
            return
        self.busy, self.written, self.error = True, None, None
        name, channels = self.layout_name, (channel,) if channel else ()
        self._ask(
            lambda engine: finance_workbook.export_finance(
                engine, first=first, last=last, target=target, channels=channels, layout=name
            ),
            self._done,
            self._not_done,
        )
        self.changed()

    def connected(self) -> None:
        """The server can be reached: what was saved without it goes there."""
        self._ask(layouts.send_owed, self._sent, lambda _error: self._read())

    def forget_written(self) -> None:
        """What was written has been seen."""
        self.written = None
        self.changed()

    def _do(self, work: Callable[[Engine], Coroutine[Any, Any, T]], then: Callable[[T], None]) -> None:
        self.error = None
        self._ask(work, then, self._failed)

    def _read(self) -> None:
        if self.is_open:
            self._ask(layouts.layouts, self._latest.only(self._seen), self._latest.also(self._failed))

    def _seen(self, mine: dict[str, str]) -> None:
        self.mine = mine
        if self.layout_name not in mine:
            self.layout_name = None
        self.changed()

    def _opened(self, name: str, mine: dict[str, str]) -> None:
        try:
            layout = layouts.found(mine, name)
        except KamengError as error:
            self._failed(error)
        else:
            self.mine = mine
            self._edited(layout)

    def _edited(self, layout: Layout) -> None:
        self.layout, self._begun_with = layout, self.mine  # what comes meanwhile was not seen by who edits
        self.changed()

    def _saved(self, name: str, sent: Sent) -> None:
        kept_as = {one.name: one.kept_as for one in sent.elsewhere}
        self.layout_name, self.layout = kept_as.get(name, name), None
        self._sent(sent)

    def _removed(self, name: str, sent: Sent) -> None:
        is_there = name in {one.name for one in sent.elsewhere}
        self.layout_name, self.layout = name if is_there else None, None
        self._sent(sent)

    def _sent(self, sent: Sent) -> None:
        self.is_owed, self.elsewhere = sent.is_owed, (*self.elsewhere, *sent.elsewhere)
        self._read()
        self.changed()

    def _done(self, written: Written) -> None:
        self.busy, self.written = False, written
        self.changed()

    def _not_done(self, error: Exception) -> None:
        self.busy, self.error = False, error
        self.changed()

    def _failed(self, error: Exception) -> None:
        self.error = error
        self.changed()
