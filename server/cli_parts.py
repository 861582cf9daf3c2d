"""What the commands of `kameng-server` share: the ring and the database of the settings, and a sentence."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from server import app
from server.crypto import KeyRing
from server.db import Database
from server.settings import Settings
from shared.errors import KamengError

ACTOR = "system"
"""Who writes from the command line; the audit log of the machine says who was at its keyboard."""


class SchemaBehind(KamengError):
    """The database has another version than the code."""

    code = "schema_behind"
    zh = "数据库版本与程序不一致，请先运行 kameng-server migrate。"
    en = "The database is not at this program's version; run `kameng-server migrate` first."


def ring(settings: Settings) -> KeyRing:
    """The key ring, from the environment or its file."""
    return KeyRing.parse(settings.key_ring) if settings.key_ring else KeyRing.load(settings.key_ring_file)


@contextmanager
def database(settings: Settings) -> Iterator[Database]:
    """The database for the length of a command. Raises SchemaBehind."""
    db = Database(settings.database_url)
    try:
        if not app.schema_is_current(db):
            raise SchemaBehind
        yield db
    finally:
        db.close()


def say(settings: Settings, zh: str, en: str) -> None:
    """Tell the person who typed, at once also through a pipe."""
    print(en if settings.language == "en" else zh, flush=True)


def tell(settings: Settings, error: KamengError) -> None:
    """Tell what could not be done for one of many, on stderr."""
    print(error.sentence(settings.language), file=sys.stderr, flush=True)
