"""Open the store and hand out transactions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Self

from sqlalchemy import URL, Connection, Engine, RootTransaction, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError

from paycordon.errors import ConfigError, StoreUnavailable
from paycordon.store.migrate import upgrade

DEFAULT_PATIENCE = timedelta(seconds=5)

# What a driver says when the database itself cannot be used, as against a statement that is wrong.
_UNAVAILABLE = frozenset(
    {
        "OperationalError",
        "InterfaceError",
        "DiskFull",
        "ReadOnlySqlTransaction",
        "InternalError",
    }
)


# A decision writes about a dozen pages. SQLite's own 1,000 would have every eightieth commit copy them back.
_CHECKPOINT_PAGES = 10_000


class Store:
    """A database and its transactions.

    SQLite runs in WAL mode with full sync: a commit that returned survives a power cut. Writers take the lock at
    once (`BEGIN IMMEDIATE`), so that a transaction never fails half-way for want of it.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    @classmethod
    def open(cls, url: str, *, patience: timedelta = DEFAULT_PATIENCE, migrate: bool = True) -> Self:
        """Open the database at `url` and bring its schema up to date.

        Args:
            url: `sqlite:///path` or `postgresql://…`.
            patience: how long a statement waits for a lock before the store counts as unavailable.
            migrate: whether to create or upgrade the schema.

        Raises:
            ConfigError: the URL or its driver is wrong, or the schema is newer than this version.
            StoreUnavailable: the database cannot be reached or written.
        """
        if migrate:
            # Others may start at the same moment, and then this waits for their migration, however short the patience.
            migrated = _engine(url, max(patience, DEFAULT_PATIENCE))
            try:
                with _translated(migrated):
                    upgrade(migrated)
            finally:
                migrated.dispose()
        return cls(_engine(url, patience))

    def close(self) -> None:
        """Give all connections back."""
        self.engine.dispose()

    @property
    def dialect(self) -> str:
        """`sqlite` or `postgresql`."""
        return self.engine.dialect.name

    @contextmanager
    def session(self) -> Iterator[Session]:
        """One connection for several transactions in a row.

        Raises:
            StoreUnavailable: the database cannot be used right now.
        """
        with _translated(self.engine), self.engine.connect() as connection:
            yield Session(connection)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A session of one `Session.read`; raises the same."""
        with self.session() as session, session.read() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A session of one `Session.write`; raises the same."""
        with self.session() as session, session.write() as connection:
            yield connection


class Session:
    """A connection and its transactions, one at a time."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._is_postgresql = connection.dialect.name == "postgresql"

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that sees one consistent state and writes nothing.

        Raises:
            StoreUnavailable: the database cannot be used right now.
        """
        with self._begun("REPEATABLE READ", write=False):
            yield self._connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that commits when the block ends, and leaves nothing behind when it raises.

        Raises:
            StoreUnavailable: the database cannot be used right now; nothing was written.
        """
        with self._begun("READ COMMITTED", write=True):
            yield self._connection

    def _begun(self, isolation: str, *, write: bool) -> RootTransaction:
        if self._is_postgresql:
            self._connection.execution_options(isolation_level=isolation)
        else:
            self._connection.info["begin"] = "BEGIN IMMEDIATE" if write else "BEGIN"
        return self._connection.begin()


@contextmanager
def _translated(engine: Engine) -> Iterator[None]:
    driver: Any = engine.dialect.loaded_dbapi
    try:
        yield
    except DBAPIError as error:
        if _means_unavailable(error.orig):
            raise _unavailable(error.orig) from error
        raise
    except driver.Error as error:  # from statements given to the driver directly
        if _means_unavailable(error):
            raise _unavailable(error) from error
        raise
    except SQLAlchemyError as error:
        if type(error).__name__ == "TimeoutError":
            raise StoreUnavailable("the store has no free connection") from error
        raise


def _means_unavailable(error: BaseException | None) -> bool:
    # Psycopg has a subclass for each state. SQLite raises plain `DatabaseError` for a file that is no database.
    kinds = {kind.__name__ for kind in type(error).__mro__}
    return bool(kinds & _UNAVAILABLE) or type(error).__name__ == "DatabaseError"


def _unavailable(error: BaseException | None) -> StoreUnavailable:
    lines = str(error).strip().splitlines()
    return StoreUnavailable(f"the store cannot be used: {lines[0] if lines else type(error).__name__}")


def _engine(url: str, patience: timedelta) -> Engine:
    parsed = _parsed(url)
    milliseconds = int(patience.total_seconds() * 1000)
    try:
        if parsed.get_backend_name() == "sqlite":
            engine = create_engine(
                parsed,
                hide_parameters=True,  # they may be personal, and errors end up in logs
                connect_args={"timeout": patience.total_seconds()},
                pool_size=8,
                pool_timeout=patience.total_seconds(),
            )
            event.listen(engine, "connect", _prepare_sqlite(milliseconds))
            event.listen(engine, "begin", _begin_sqlite)
            return engine
        options = f"-c lock_timeout={milliseconds} -c statement_timeout={max(milliseconds * 4, 1000)}"
        return create_engine(
            parsed.set(drivername="postgresql+psycopg"),
            hide_parameters=True,
            pool_size=8,
            pool_timeout=patience.total_seconds(),
            pool_pre_ping=True,
            connect_args={"options": options, "connect_timeout": max(2, int(patience.total_seconds()))},
        )
    except (NoSuchModuleError, ModuleNotFoundError) as error:
        raise ConfigError(
            f"the driver of the store is not installed: {error}", hint="pip install 'paycordon[postgresql]'"
        ) from error


def _parsed(url: str) -> URL:
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise ConfigError("the store's URL cannot be read", hint="write `sqlite:///paycordon.db`") from error
    if parsed.get_backend_name() not in ("sqlite", "postgresql"):
        raise ConfigError(
            f"a store of kind `{parsed.get_backend_name()}` is not supported", hint="use sqlite or postgresql"
        )
    if parsed.get_backend_name() == "sqlite" and parsed.database in (None, "", ":memory:"):
        raise ConfigError("the store must be a file", hint="write `sqlite:///paycordon.db`")
    return parsed


def _prepare_sqlite(milliseconds: int) -> Any:
    def prepare(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # transactions are begun by `_begin_sqlite`, not by the driver
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout={milliseconds}")
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=FULL")
        cursor.execute(f"PRAGMA wal_autocheckpoint={_CHECKPOINT_PAGES}")
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.close()

    return prepare


def _begin_sqlite(connection: Connection) -> None:
    driver: Any = connection.connection.driver_connection
    driver.execute(connection.info.get("begin", "BEGIN IMMEDIATE"))


def server_time(connection: Connection) -> str:
    """Ask the database for its time, as text; `doctor` compares it with this machine's."""
    return str(connection.execute(text("select current_timestamp")).scalar_one())
