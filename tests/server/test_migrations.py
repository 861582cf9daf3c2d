"""The schema's history gives the same tables as the models, goes back and forth, and guards what must not change."""

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import insert, inspect, text
from sqlalchemy.exc import DBAPIError

from server import migrations
from tests import engines
from tests.databases import migrated


@pytest.fixture(scope="module", params=engines.KINDS)
def newest(request):
    """One for the module: a copy, as the databases of all shops of tests are."""
    with migrated(request.param) as database:
        yield database


def test_head_is_what_the_models_say(newest):
    assert migrations.current(newest) == migrations.head()
    with newest.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": False})
        assert compare_metadata(context, migrations.METADATA) == []


def test_going_back_leaves_nothing_and_forth_again_works(engine):
    with migrated(engine) as db:
        migrations.downgrade(db, "base")
        assert set(inspect(db.engine).get_table_names()) <= {"alembic_version"}
        migrations.upgrade(db)
        migrations.upgrade(db)
        assert migrations.current(db) == migrations.head()


@pytest.mark.parametrize("table", migrations.APPEND_ONLY)
def test_append_only_tables_refuse_change_in_the_database_itself(newest, table):
    columns = {column["name"]: column for column in inspect(newest.engine).get_columns(table)}
    first = next(iter(columns))
    target = migrations.METADATA.tables[table]
    row = {name: _sample(target.c[name]) for name in columns}
    with newest.tx() as tx:
        tx.execute(insert(target), row)
    for statement in (f"UPDATE {table} SET {first} = {first}", f"DELETE FROM {table}"):
        with pytest.raises(DBAPIError, match="append-only"), newest.tx() as tx:
            tx.execute(text(statement))
    with newest.read() as tx:
        assert tx.execute(text(f"SELECT COUNT(*) FROM {table}")).scalar() == 1


def _sample(column):
    from shared import clock, ids

    kind = column.type.python_type if not hasattr(column.type, "impl") else None
    name = type(column.type).__name__
    if name == "Uid":
        return ids.new_id()
    if name == "Instant":
        return clock.now()
    if name == "LargeBinary":
        return b"x"
    if name == "Date":
        return clock.shop_day(clock.now())
    if name == "Date":
        return clock.shop_day(clock.now())
    return 1 if kind is int else "x"
