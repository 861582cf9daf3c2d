"""How many rows reach a driver fast, one function for each kind of it, and are found fast; how savepoints are said.

Only `server.db` calls them. All that insert take a driver's cursor, a table, the columns whose value is the same in
every row, and the others with their rows. Table and columns are our own names, so they are no way in for anybody.
"""
# ruff: noqa: S608 - statements are made of our own names

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import lru_cache, partial
from itertools import chain
from typing import Any
from uuid import UUID

from sqlalchemy import BinaryExpression, Connection, Dialect, Tuple
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.sql.compiler import SQLCompiler

_BLOCK_PARAMETERS = 900
"""Bound values of one statement of many rows: old SQLite allows 999, and each gives up the interpreter."""


def in_blocks(
    cursor: Any, table: str, fixed: dict[str, Any], columns: Sequence[str], rows: Sequence[tuple[Any, ...]]
) -> None:
    """Many rows a statement, their constants bound once: a tenth of the calls, each of which gives up the interpreter.

    OR FAIL: what a failed statement had inserted is left to the rollback, so that the engine need not keep a journal
    for every statement, which costs a third.
    """
    size = _BLOCK_PARAMETERS // len(columns)
    statement = partial(_block, table, tuple(fixed), tuple(columns))
    values = tuple(fixed.values())
    whole = len(rows) - len(rows) % size
    if whole:
        blocks = (chain.from_iterable(rows[at : at + size]) for at in range(0, whole, size))
        cursor.executemany(statement(size), (values + tuple(block) for block in blocks))
    if whole < len(rows):
        cursor.execute(statement(len(rows) - whole), values + tuple(chain.from_iterable(rows[whole:])))


@lru_cache(maxsize=1_024)
def _block(table: str, fixed: tuple[str, ...], columns: tuple[str, ...], count: int) -> str:
    """The statement of so many rows: making it takes longer than running it.

    Constants stand beside the rows, not in them: numbered parameters, which could be said twice, are names to drivers
    from Python 3.12 on, and names are slow to find.
    """
    into = f"INSERT OR FAIL INTO {table} ({', '.join([*fixed, *columns])})"
    rows = ", ".join([f"({', '.join('?' * len(columns))})"] * count)
    if not fixed:
        return f"{into} VALUES {rows}"
    same = ", ".join([f"? AS {name}" for name in fixed])
    return f"{into} SELECT same.*, own.* FROM (SELECT {same}) AS same CROSS JOIN (VALUES {rows}) AS own"


def one_by_one(
    cursor: Any, table: str, fixed: dict[str, Any], columns: Sequence[str], rows: Sequence[tuple[Any, ...]]
) -> None:
    """For a driver that makes statements of many rows itself."""
    names = [*fixed, *columns]
    named = ", ".join([f"`{name}`" for name in names])
    statement = f"INSERT INTO {table} ({named}) VALUES ({', '.join(['%s'] * len(names))})"
    values = tuple(fixed.values())
    cursor.executemany(statement, [values + row for row in rows])


def copied(
    cursor: Any, table: str, fixed: dict[str, Any], columns: Sequence[str], rows: Sequence[tuple[Any, ...]]
) -> None:
    """COPY: one text for all rows, handed over at once."""
    texts = [_as_copy_texts(column) for column in zip(*rows, strict=True)]
    constants = [_as_copy_texts((value,))[0] for value in fixed.values()]
    head = "".join(f"{value}\t" for value in constants)
    lines = "\n".join([head + line for line in map("\t".join, zip(*texts, strict=True))])
    with cursor.copy(f"COPY {table} ({', '.join([*fixed, *columns])}) FROM STDIN") as copy:
        copy.write(lines + "\n")


def _as_copy_texts(column: Sequence[Any]) -> list[str]:
    """Values of one column in COPY's text format."""
    kinds = set(map(type, column))
    if kinds == {int}:
        return list(map(str, column))
    if kinds == {bytes}:
        return ["\\\\x" + value.hex() for value in column]
    if kinds == {str} and not _NEEDS_ESCAPE.search("".join(column)):
        return list(column)
    return [_as_copy_text(value) for value in column]


def _as_copy_text(value: Any) -> str:
    match value:
        case None:
            return r"\N"
        case bool():
            return "t" if value else "f"
        case bytes():
            return "\\\\x" + value.hex()
        case UUID():
            return value.hex
        case datetime():
            return value.isoformat()
    return _NEEDS_ESCAPE.sub(lambda found: _ESCAPES[found[0]], str(value))


_ESCAPES = {"\\": r"\\", "\t": r"\t", "\n": r"\n", "\r": r"\r"}
_NEEDS_ESCAPE = re.compile(r"[\\\t\n\r]")


def as_raised(dbapi: Any, error: Exception) -> Exception:
    """The driver's error as SQLAlchemy's, so that callers catch IntegrityError whichever path they took."""
    kind = IntegrityError if isinstance(error, dbapi.IntegrityError) else OperationalError
    return kind("bulk insert", None, error)


def finding_by_key(compiler: type[SQLCompiler]) -> type[SQLCompiler]:
    """A compiler for SQLite, which reads the whole table for `(a, b) IN (VALUES ...)` of more than one row.

    Selected from them, the same rows are found by the index on a and b.
    """

    class FindingByKey(compiler):  # type: ignore[misc, valid-type]
        def visit_in_op_binary(self, binary: BinaryExpression[Any], _operator: object, **options: Any) -> str:
            one_of, among = self.process(binary.left, **options), self.process(binary.right, **options)
            if isinstance(binary.left, Tuple):
                among = f"(SELECT * FROM {among})"
            return f"{one_of} IN {among}"

    return FindingByKey


def say_savepoints(dialect: Dialect) -> None:
    """Say savepoints as they are: SQLAlchemy compiles each anew, and every batch of commands has one."""

    def said(words: str) -> Callable[[Connection, str], object]:
        return lambda connection, name: connection.exec_driver_sql(f"{words} {name}")

    dialect.do_savepoint = said("SAVEPOINT")  # type: ignore[method-assign, assignment]
    dialect.do_release_savepoint = said("RELEASE SAVEPOINT")  # type: ignore[method-assign, assignment]
    dialect.do_rollback_to_savepoint = said("ROLLBACK TO SAVEPOINT")  # type: ignore[method-assign, assignment]
