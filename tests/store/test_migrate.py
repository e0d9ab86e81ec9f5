"""The migrations make exactly the schema, once, and refuse what is newer."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text

from paycordon.errors import ConfigError, StoreUnavailable
from paycordon.store import Store
from paycordon.store.migrate import NEWEST, SCRIPTS, current
from paycordon.store.schema import metadata


def test_migrated_schema_is_the_declared_one(empty_url: str) -> None:
    store = Store.open(empty_url)
    with store.read() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
        assert current(connection) == NEWEST
    store.close()


def test_tables_without_rowid_are_made_so(sqlite_store: Store) -> None:
    declared = {t.name for t in metadata.tables.values() if t.dialect_options["sqlite"]["with_rowid"] is False}
    with sqlite_store.read() as connection:
        made = connection.execute(text("SELECT name FROM sqlite_master WHERE sql LIKE '%WITHOUT ROWID%'")).scalars()
        assert set(made) == declared != set()


def test_second_open_changes_nothing(store: Store, store_url: str) -> None:
    with store.write() as connection:
        connection.execute(text("INSERT INTO merchants (merchant, seq) VALUES ('m', 7)"))
    Store.open(store_url).close()
    with store.read() as connection:
        assert connection.execute(text("SELECT seq FROM merchants")).scalar_one() == 7
        assert current(connection) == NEWEST


def test_store_of_a_newer_version_is_refused(store: Store, store_url: str) -> None:
    with store.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(ConfigError, match="newer version"):
        Store.open(store_url)


def test_several_processes_may_open_an_empty_store_at_once(empty_url: str) -> None:
    errors: list[Exception] = []

    def open_it() -> None:
        try:
            Store.open(empty_url).close()
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=open_it) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    store = Store.open(empty_url, migrate=False)
    with store.read() as connection:
        assert current(connection) == NEWEST
    store.close()


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("nonsense", "cannot be read"),
        ("mysql://localhost/x", "`mysql` is not supported"),
        ("sqlite://", "must be a file"),
        ("sqlite:///:memory:", "must be a file"),
    ],
)
def test_wrong_url_stops_the_start(url: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Store.open(url)


def test_place_that_cannot_be_written_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable):
        Store.open(f"sqlite:///{tmp_path / 'missing' / 'store.db'}")


def test_the_newest_revision_is_the_one_that_ships() -> None:
    assert ScriptDirectory(str(SCRIPTS)).get_current_head() == NEWEST
