"""What SQLite needs: how a file is opened, how a writer waits for its turn, and how a file that is gone is noticed."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.exc import InvalidatePoolError
from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_random

from paycordon.errors import StoreUnavailable
from paycordon.store.liveness import Liveness

# A decision writes about a dozen pages. SQLite's own 1,000 would have every eightieth commit copy them back.
_CHECKPOINT_PAGES = 10_000
_PROBE_PATIENCE = 0.02


def engine_of(
    url: URL, patience: timedelta, watch: timedelta | None, *, create: bool
) -> tuple[Engine, Liveness | None]:
    """Return an engine for a file.

    Args:
        url: names the file.
        patience: how long a statement waits for a lock.
        watch: with this, a writer waits on only while others get their turns: when nobody has committed anything for
            so long, the file counts as unavailable for writers until a probe gets through.
        create: whether a file that is not there is made.
    """
    busy = watch or patience
    engine = create_engine(
        url,
        hide_parameters=True,  # they may be personal, and errors end up in logs
        connect_args={"timeout": busy.total_seconds()},
        pool_size=8,
        pool_timeout=patience.total_seconds(),
    )
    path = _path(url)
    event.listen(engine, "connect", _prepare(busy.total_seconds(), patience.total_seconds()))
    if not create:
        _listen_for_absence(engine, path)
    if watch is None:
        event.listen(engine, "begin", _begin)
        return engine, None
    liveness = Liveness(lambda _: True, lambda: _writable(path), watch.total_seconds())
    event.listen(engine, "begin", _begin_in_turn(liveness, patience.total_seconds()))
    return engine, liveness


def _path(url: URL) -> Path:
    return Path((url.database or "").removeprefix("file:"))


def _prepare(busy: float, patience: float) -> Any:
    def prepare(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # transactions are begun by a listener, not by the driver
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout={int(busy * 1000)}")
        # Two that switch a new file at once would wait for each other: one is told "busy" at once, despite the timeout.
        switching = Retrying(
            retry=retry_if_exception(_is_busy),
            stop=stop_after_delay(patience),
            wait=wait_random(0.001, 0.02),
            reraise=True,
        )
        switching(cursor.execute, "PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=FULL")
        cursor.execute(f"PRAGMA wal_autocheckpoint={_CHECKPOINT_PAGES}")
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.close()

    return prepare


def _listen_for_absence(engine: Engine, path: Path) -> None:
    """Refuse a file that is gone or was replaced: SQLite goes on writing to one that nobody will ever find again."""

    def before_connecting(*_: Any) -> None:
        if not path.exists():  # it would be made anew, without anything in it
            raise StoreUnavailable("the store cannot be used: its file is gone")

    def on_connect(_connection: Any, record: Any) -> None:
        record.info["file"] = _identity(path)

    def on_checkout(_connection: Any, record: Any, _proxy: Any) -> None:
        if record.info.get("file") != _identity(path):
            raise InvalidatePoolError("the file was removed or replaced")

    event.listen(engine, "do_connect", before_connecting)
    event.listen(engine, "connect", on_connect)
    event.listen(engine, "checkout", on_checkout)


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _begin(connection: Connection) -> None:
    driver: Any = connection.connection.driver_connection
    driver.execute(connection.info.get("begin", "BEGIN IMMEDIATE"))


def _begin_in_turn(liveness: Liveness, patience: float) -> Callable[[Connection], None]:
    """Begin a transaction; a writer waits as long as others commit, for then its turn will come."""

    def begin(connection: Connection) -> None:
        driver: Any = connection.connection.driver_connection
        statement = connection.info.get("begin", "BEGIN IMMEDIATE")
        if statement == "BEGIN":
            driver.execute(statement)
            return
        started, version = time.monotonic(), _version(driver)
        while True:
            try:
                driver.execute(statement)
                return
            except sqlite3.OperationalError as error:
                if not _is_busy(error):
                    raise
                seen, version = version, _version(driver)
                if version == seen:
                    liveness.failed("the store cannot be used: it is locked", only_writing=True)
                    raise
                if time.monotonic() - started > patience:
                    raise

    return begin


def _is_busy(error: BaseException) -> bool:
    return isinstance(error, sqlite3.OperationalError) and error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY


def _version(driver: sqlite3.Connection) -> int:
    """A number that changes whenever another connection has committed."""
    return int(driver.execute("PRAGMA data_version").fetchone()[0])


def _writable(path: Path) -> bool:
    """Tell whether the write lock can be had, or others get it in turn: a busy file is no dead one."""
    with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=rw", uri=True, timeout=_PROBE_PATIENCE)) as probe:
        probe.isolation_level = None
        version = _version(probe)
        try:
            probe.execute("BEGIN IMMEDIATE")
            probe.execute("ROLLBACK")
        except sqlite3.OperationalError:
            return _version(probe) != version
    return True
