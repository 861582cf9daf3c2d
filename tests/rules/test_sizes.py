"""A file holds one idea and a function fits on a screen; a reader finds out at the top what a file promises."""

import re

import pytest

from tests.rules.source import PACKAGES, Source, require_none, sources

FILE_LINES = 500
FUNCTION_LINES = 70
_WRITTEN_BY_HAND = (".py", ".html", ".css", ".js", ".sh")
_MIGRATIONS = "server/migrations/"  # a record of what was, not code that grows
_UNFINISHED = re.compile(r"#.*\b(TODO|FIXME|XXX|HACK)\b")
_UNEXPLAINED = re.compile(
    r"#\s*(noqa(?!: [A-Z]+[0-9]+(, ?[A-Z]+[0-9]+)* - \w)|type: ignore(?!\[[a-z-]+(, ?[a-z-]+)*\]))"
)


def long_files(source: Source) -> list[str]:
    """Return a line when the file is over the cap."""
    count = source.text.count("\n")
    return [f"{source.path}: {count} lines, {FILE_LINES} are allowed"] if count > FILE_LINES else []


def long_functions(source: Source) -> list[str]:
    """Return a line for each function over the cap."""
    return [
        f"{source.path}:{function.line} {function.name}: {function.length} lines, {FUNCTION_LINES} are allowed"
        for function in source.outline.functions
        if function.length > FUNCTION_LINES
    ]


def files_without_promise(source: Source) -> list[str]:
    """Return a line when a file does not open with its docstring."""
    return [] if source.outline.promise else [f"{source.path}: open it with what it guarantees and for whom"]


def unfinished_lines(source: Source) -> list[str]:
    """Return the lines that promise work instead of doing it, or silence a check without saying why."""
    return [
        f"{source.path}:{number} {line.strip()}"
        for number, line in enumerate(source.text.splitlines(), 1)
        if _UNFINISHED.search(line) or _UNEXPLAINED.search(line)
    ]


def _all(rule, *, suffixes=(".py",)) -> list[str]:
    return [
        finding
        for source in sources(*PACKAGES, suffixes=suffixes)
        if not source.path.startswith((_MIGRATIONS, "tests/rules/test_sizes.py"))
        for finding in rule(source)
    ]


def test_files_hold_one_idea():
    require_none(
        _all(long_files, suffixes=_WRITTEN_BY_HAND), "a file holds one idea; find the second one and give it a file:"
    )


def test_functions_fit_on_a_screen():
    require_none(_all(long_functions), "a function fits on a screen; name its steps:")


def test_every_file_opens_with_its_promise():
    require_none(_all(files_without_promise), "a reader finds out at the top what a file promises:")


def test_nothing_is_left_for_later_and_no_check_is_silenced_without_a_reason():
    require_none(_all(unfinished_lines), "work is done now, and a silenced check says why:")


@pytest.mark.parametrize(
    ("rule", "good", "bad"),
    [
        (long_files, "x = 1\n" * 500, "x = 1\n" * 501),
        (long_functions, "def f():\n" + "    x = 1\n" * 69, "def f():\n" + "    x = 1\n" * 70),
        (files_without_promise, '"""A promise."""\n', "x = 1\n"),
        (unfinished_lines, "todo = 1\n", "x = 1  # TODO: the rest\n"),
        (unfinished_lines, "f()  # noqa: S608 - the names are ours\n", "f()  # noqa: S608\n"),
        (unfinished_lines, "f()  # type: ignore[no-untyped-call]\n", "f()  # type: ignore\n"),
        (unfinished_lines, "f()  # noqa: B008, E501 - reason\n", "f()  # noqa\n"),
    ],
)
def test_each_rule_bites(rule, good, bad):
    assert rule(Source("shared/example.py", good)) == []
    assert len(rule(Source("shared/example.py", bad))) == 1
