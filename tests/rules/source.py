"""The project's own source, read once, for the rules: what each file says, imports and uses, with line numbers.

``uses`` resolves names through the imports of the file, so ``from os import environ as e; e["X"]`` is a use of
``os.environ`` as much as the long form. Imports for type checkers only are not uses: nothing happens at run time.
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("shared", "server", "desktop", "resources", "tests")


class Function(NamedTuple):
    """A function of a file: where its ``def`` is, and how many lines it has from there."""

    name: str
    line: int
    length: int


class Outline(NamedTuple):
    """The docstring that a file opens with, if any, and its functions."""

    promise: str | None
    functions: tuple[Function, ...]


@dataclass(frozen=True)
class Source:
    """One file: ``path`` as a reader writes it (``server/db.py``) and its text."""

    path: str
    text: str

    def parsed(self) -> ast.Module:
        """Return the parsed file; one that does not parse is an error of its own.

        What is kept of it are facts: its nodes are a million, at which the collector of garbage looks one by one.
        """
        return ast.parse(self.text, filename=self.path)

    @cached_property
    def outline(self) -> Outline:
        """Return how the file opens, and all its functions and methods, also inner ones."""
        tree = self.parsed()
        functions, left = [], [tree]
        while left:
            node = left.pop()
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                functions.append(Function(node.name, node.lineno, node.end_lineno - node.lineno + 1))
            for name in _BLOCKS:  # no function is written inside an expression
                left += getattr(node, name, ())
        return Outline(ast.get_docstring(tree), tuple(functions))

    @cached_property
    def uses(self) -> tuple[tuple[int, str], ...]:
        """All (line, name): ``os.environ``; ``.commit()`` for a call on anything; ``"sqlite"`` for a word of text.

        Words are the lower-case ones; docstrings are prose and do not count.
        """
        return tuple(self._walk())

    def _walk(self) -> Iterator[tuple[int, str]]:
        nodes = tuple(ast.walk(self.parsed()))
        for_type_checkers = _for_type_checkers(nodes)
        skipped = _documentation(nodes) | for_type_checkers
        names = _imported(nodes, for_type_checkers)
        for node in nodes:
            if id(node) in skipped:
                continue
            match node:
                case ast.Import():
                    yield from ((node.lineno, alias.name) for alias in node.names)
                case ast.ImportFrom():
                    yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)
                case ast.Call(func=ast.Attribute(attr=name) as method) if not _of_a_module(method, names):
                    yield node.lineno, f".{name}()"
                case ast.Constant(value=str(text)):
                    yield from ((node.lineno, f'"{word}"') for word in set(re.findall(r"\b[a-z]+\b", text)))
                case ast.Attribute() | ast.Name():
                    chain = _chain(node)
                    if chain and chain[0] in names:
                        yield node.lineno, ".".join((names[chain[0]], *chain[1:]))
                case _:
                    pass


def _of_a_module(function: ast.Attribute, imported: dict[str, str]) -> bool:
    """Say whether ``a.b`` is the function b of an imported module a, and no method."""
    chain = _chain(function)
    return len(chain) == 2 and chain[0] in imported


def _imported(nodes: tuple[ast.AST, ...], skipped: set[int]) -> dict[str, str]:
    """Map each name that an import binds to what it stands for."""
    bound = {}
    for node in nodes:
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            for alias in node.names:
                first = alias.name.split(".")[0]
                bound[alias.asname or first] = alias.name if alias.asname else first
        elif isinstance(node, ast.ImportFrom):
            bound |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    return bound


def _documentation(nodes: tuple[ast.AST, ...]) -> set[int]:
    """Return the ids of the nodes of strings that stand alone: docstrings."""
    return {id(node.value) for node in nodes if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)}


def _for_type_checkers(nodes: tuple[ast.AST, ...]) -> set[int]:
    """Return the ids of all nodes under ``if TYPE_CHECKING``."""
    return {
        id(inner)
        for node in nodes
        if isinstance(node, ast.If) and _chain(node.test)[-1:] == ["TYPE_CHECKING"]
        for statement in node.body
        for inner in ast.walk(statement)
    }


_BLOCKS = ("body", "orelse", "finalbody", "handlers", "cases")


def _chain(node: ast.expr) -> list[str]:
    """Return ["a", "b", "c"] for the expression ``a.b.c``, [] for anything else."""
    names: list[str] = []
    while isinstance(node, ast.Attribute):
        names.insert(0, node.attr)
        node = node.value
    return [node.id, *names] if isinstance(node, ast.Name) else []


@lru_cache
def sources(*folders: str, suffixes: tuple[str, ...] = (".py",)) -> tuple[Source, ...]:
    """Return the files below the folders, in a fixed order."""
    return tuple(
        _read(path)
        for folder in folders
        for path in sorted((ROOT / folder).rglob("*"))
        if path.is_file() and path.suffix in suffixes and "__pycache__" not in path.parts
    )


@cache
def _read(path: Path) -> Source:
    return Source(path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8"))


def require_none(findings: list[str], rule: str) -> None:
    """Fail with the rule and all places that break it, one a line."""
    if findings:
        pytest.fail("\n  ".join([rule, *findings]), pytrace=False)
