"""Open the store and hand out transactions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import timedelta
from typing import Any, Self

from sqlalchemy import URL, Connection, Engine, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError

from paycordon.errors import ConfigError, StoreUnavailable
from paycordon.store import postgresql, sqlite
from paycordon.store.liveness import Liveness
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


class Store:
    """A database and its transactions.

    SQLite runs in WAL mode with full sync: a commit that returned survives a power cut. Writers take the lock at
    once (`BEGIN IMMEDIATE`), so that a transaction never fails half-way for want of it.
    """

    def __init__(self, engine: Engine, liveness: Liveness | None = None) -> None:
        self.engine = engine
        self._liveness = liveness

    @classmethod
    def open(
        cls, url: str, *, patience: timedelta = DEFAULT_PATIENCE, watch: timedelta | None = None, migrate: bool = True
    ) -> Self:
        """Open the database at `url` and bring its schema up to date.

        Args:
            url: `sqlite:///path` or `postgresql://…`.
            patience: how long a statement waits for a lock before the store counts as unavailable.
            watch: for those who have somebody waiting: a database that is dead, as against busy, is noticed within this
                time, and from then until it is back everything fails at once. On PostgreSQL this takes a connection.
            migrate: whether to create or upgrade the schema.

        Raises:
            ConfigError: the URL or its driver is wrong, or the schema is newer than this version.
            StoreUnavailable: the database cannot be reached or written.
        """
        if migrate:
            # Others may start at the same moment, and then this waits for their migration, however short the patience.
            migrated, _ = _engine(url, max(patience, DEFAULT_PATIENCE), create=True)
            try:
                with _translated(migrated):
                    upgrade(migrated)
            finally:
                migrated.dispose()
        return cls(*_engine(url, patience, watch))

    def close(self) -> None:
        """Give all connections back."""
        if self._liveness is not None:
            self._liveness.close()
        self.engine.dispose()

    @property
    def trouble(self) -> str | None:
        """Why a watched store counts as unavailable at the moment, at least for writers; none when it does not."""
        return self._liveness.trouble if self._liveness else None

    @property
    def dialect(self) -> str:
        """`sqlite` or `postgresql`."""
        return self.engine.dialect.name

    @contextmanager
    def session(self, within: float | None = None) -> Iterator[Session]:
        """One connection for several transactions in a row.

        Args:
            within: on a watched PostgreSQL, no transaction may take longer than so many seconds.

        Raises:
            StoreUnavailable: the database cannot be used right now.
        """
        if self._liveness is not None:
            self._liveness.require()
        with _translated(self.engine), self.engine.connect() as connection:
            yield Session(connection, self._liveness, within)

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

    def __init__(self, connection: Connection, liveness: Liveness | None = None, within: float | None = None) -> None:
        self._connection = connection
        self._liveness = liveness
        self._within = within
        self._is_postgresql = connection.dialect.name == "postgresql"

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that sees one consistent state and writes nothing.

        Raises:
            StoreUnavailable: the database cannot be used right now.
        """
        with self._waiting(), self._begun("REPEATABLE READ", write=False):
            yield self._connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that commits when the block ends, and leaves nothing behind when it raises.

        Raises:
            StoreUnavailable: the database cannot be used right now; nothing was written.
        """
        if self._liveness is not None:
            self._liveness.require(writing=True)
        with self._waiting(), self._begun("READ COMMITTED", write=True):
            yield self._connection

    def _waiting(self) -> AbstractContextManager[None]:
        if self._liveness is None or not self._is_postgresql:
            return nullcontext()
        driver = self._connection.connection.driver_connection
        return self._liveness.waiting(lambda: postgresql.cut(driver), self._within)

    def _begun(self, isolation: str, *, write: bool) -> AbstractContextManager[Any]:
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


def _engine(
    url: str, patience: timedelta, watch: timedelta | None = None, *, create: bool = False
) -> tuple[Engine, Liveness | None]:
    parsed = _parsed(url)
    try:
        if parsed.get_backend_name() == "sqlite":
            return sqlite.engine_of(parsed, patience, watch, create=create)
        return postgresql.engine_of(parsed, patience, watch)
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


def server_time(connection: Connection) -> str:
    """Ask the database for its time, as text; `doctor` compares it with this machine's."""
    return str(connection.execute(text("select current_timestamp")).scalar_one())
