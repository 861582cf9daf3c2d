"""The ground the other tests stand on: engines are new, empty, separate, unprivileged, and end with their session."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests import engines
from tests.absence import absent

_NUMBERS = sa.Table("numbers", sa.MetaData(), sa.Column("name", sa.String(20)))


def _rows(url: str) -> list[str]:
    engine = sa.create_engine(url)
    try:
        with engine.connect() as connection:
            return list(connection.scalars(sa.select(_NUMBERS.c.name)))
    finally:
        engine.dispose()


def _fill(url: str, name: str) -> None:
    engine = sa.create_engine(url)
    try:
        with engine.begin() as connection:
            assert sa.inspect(connection).get_table_names() == []
            _NUMBERS.create(connection)
            connection.execute(_NUMBERS.insert().values(name=name))
    finally:
        engine.dispose()


@pytest.mark.parametrize("kind", engines.KINDS)
def test_databases_are_new_and_separate(kind, new_database):
    first, second = new_database(kind), new_database(kind)
    _fill(first, "点卡一")
    _fill(second, "点卡二")
    assert _rows(first) == ["点卡一"]
    assert _rows(second) == ["点卡二"]


def test_a_copy_has_the_rows_and_a_life_of_its_own(database_url):
    _fill(database_url, "原件")
    copied = engines.copy(database_url)
    engine = sa.create_engine(copied)
    with engine.begin() as connection:
        connection.execute(_NUMBERS.insert().values(name="抄件"))
    engine.dispose()
    assert _rows(copied) == ["原件", "抄件"]
    assert _rows(database_url) == ["原件"]
    engines.drop(copied)
    with pytest.raises(sa.exc.OperationalError):
        _rows(copied)


def test_the_tests_account_may_not_administer(database_url):
    """Code that needs a superuser would pass here and fail at a merchant's."""
    forbidden = {
        "postgresql": "CREATE ROLE intruder",
        "mariadb": "CREATE USER intruder",
    }
    engine = sa.create_engine(database_url)
    statement = forbidden.get(engine.dialect.name)
    if statement is not None:
        with engine.connect() as connection, pytest.raises(sa.exc.DBAPIError, match=r"(?i)permission|denied"):
            connection.execute(sa.text(statement))
    engine.dispose()


@pytest.mark.parametrize("kind", ["postgres", "mariadb"])
def test_an_engine_ends_with_a_killed_session(kind):
    reason = engines.missing(kind)
    if reason is not None:
        absent(reason)
    program = (
        "import signal, sys; from tests import engines\n"
        "with engines.session() as folder:\n"
        f"    engines.url({kind!r}, folder=folder); print(folder, flush=True); signal.pause()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], cwd=Path(__file__).parent.parent, stdout=subprocess.PIPE, text=True
    ) as owner:
        folder = Path(owner.stdout.readline().strip())
        assert (folder / kind / "data").is_dir()
        owner.kill()
    engines.wait_for_keepers(folder)  # raises when one stays
    assert not (folder / kind).exists()
    shutil.rmtree(folder)


def test_sqlite_files_are_where_the_url_says(new_database):
    url = new_database("sqlite")
    _fill(url, "x")
    path = Path(sa.make_url(url).database)
    assert path.is_absolute()
    with path.open("rb") as file:
        assert file.read(15) == b"SQLite format 3"
