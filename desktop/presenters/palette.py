"""What the command palette finds: fuzzy over titles, ids and pinyin initials, recently used first. No Qt."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

# The 3,755 common characters of GB 2312 are in the order of their pinyin: these are the first codes of each initial.
_STARTS = (
    (0xB0A1, "a"), (0xB0C5, "b"), (0xB2C1, "c"), (0xB4EE, "d"), (0xB6EA, "e"), (0xB7A2, "f"), (0xB8C1, "g"),
    (0xB9FE, "h"), (0xBBF7, "j"), (0xBFA6, "k"), (0xC0AC, "l"), (0xC2E8, "m"), (0xC4C3, "n"), (0xC5B6, "o"),
    (0xC5BE, "p"), (0xC6DA, "q"), (0xC8BB, "r"), (0xC8F6, "s"), (0xCBFA, "t"), (0xCDDA, "w"), (0xCEF4, "x"),
    (0xD1B9, "y"), (0xD4D1, "z"),
)  # fmt: skip
_CODES = [code for code, _ in _STARTS]
_LAST = 0xD7F9


def initials(text: str) -> str:
    """The pinyin initials of Chinese text, other letters and digits as they are: `导入 xlsx` is `drxlsx`."""
    return "".join(_initial(character) for character in text)


def _initial(character: str) -> str:
    if character.isascii():
        return character.lower() if character.isalnum() else ""
    try:
        raw = character.encode("gb2312")
    except UnicodeEncodeError:
        return ""
    code = int.from_bytes(raw, "big")
    if len(raw) != 2 or not _CODES[0] <= code <= _LAST:
        return ""
    return _STARTS[bisect_right(_CODES, code) - 1][1]


@dataclass(frozen=True)
class Entry:
    """One line of the palette: what it is called, what runs it, how it looks, and what else it may be found by."""

    id: str
    title: str
    hint: str = ""
    keys: str = ""
    icon: str = "command"
    enabled: bool = True


@dataclass
class Palette:
    """Finds entries. `recent` are ids, newest first, kept by the caller between openings."""

    entries: Sequence[Entry]
    recent: list[str] = field(default_factory=list)

    def find(self, query: str) -> list[Entry]:
        """The entries that match, best first: recent ones, then by quality of the match, then as they are listed."""
        wanted = query.strip().removeprefix(">").strip().casefold()
        scored: list[tuple[int, int, int, Entry]] = []
        for order, entry in enumerate(self.entries):
            score = _score(entry, wanted)
            if score is None or not entry.enabled:
                continue
            age = self.recent.index(entry.id) if entry.id in self.recent else len(self.recent)
            scored.append((age if not wanted else score, score if not wanted else age, order, entry))
        return [entry for _, _, _, entry in sorted(scored, key=lambda found: found[:3])]

    def used(self, entry_id: str) -> None:
        """Remember that an entry was run."""
        if entry_id in self.recent:
            self.recent.remove(entry_id)
        self.recent.insert(0, entry_id)
        del self.recent[20:]


def _score(entry: Entry, wanted: str) -> int | None:
    """0 is best: the start of the title, then of its initials, inside either, inside the id, letters in order."""
    if not wanted:
        return 0
    title, letters = entry.title.casefold(), initials(entry.title)
    tests: Iterable[Callable[[], bool]] = (
        lambda: title.startswith(wanted),
        lambda: letters.startswith(wanted),
        lambda: wanted in title,
        lambda: wanted in letters,
        lambda: wanted in entry.id,
        lambda: _in_order(wanted, title) or _in_order(wanted, letters),
    )
    return next((score for score, test in enumerate(tests) if test()), None)


def _in_order(wanted: str, text: str) -> bool:
    rest = iter(text)
    return all(character in rest for character in wanted if not character.isspace())
