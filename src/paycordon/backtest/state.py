"""The working directory of a backtest: what is in it is named by what it was made from, so that it can be used again.

::

    lock                                one backtest at a time
    taken-KEY/NNNNNN-DIGEST.parquet     the events of one chunk of the history
    history-DIGEST.duckdb               all events, whom they belong to, and aggregates
    judged-DIGEST/NNNNNN-DIGEST.parquet what the policies made of one chunk
    spill/                              what DuckDB does not keep in memory

Files appear by renaming and tables in transactions: whenever the process ends, what is there is whole.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from paycordon.errors import ConfigError, PaycordonError, Position

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


class NoRoom(PaycordonError):
    """A backtest needs more memory or room on the disk; what was finished is kept if it has a `--state`."""


@contextmanager
def room_for(memory: str) -> Iterator[None]:
    """Say what is missing when the database has not enough of it.

    Raises:
        NoRoom: it ran out of memory, or of room on the disk.
    """
    import duckdb

    try:
        yield
    except duckdb.OutOfMemoryException:
        raise NoRoom(f"{memory} of memory is not enough for this history; give more with `--memory`") from None
    except duckdb.IOException:
        raise NoRoom("the database of the backtest cannot be written; is there room on the disk?") from None


class State:
    """A working directory that is locked; `spill` is where DuckDB may put what does not fit into memory."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.spill = self.directory("spill")

    def directory(self, name: str) -> Path:
        """Return a directory, made if it is not there."""
        path = self.root / name
        path.mkdir(mode=0o700, exist_ok=True)
        return path

    def database(self, name: str, memory: str, threads: int) -> DuckDBPyConnection:
        """Open a database with bounded memory."""
        import duckdb

        return duckdb.connect(
            self.root / f"{name}.duckdb",
            config={
                "memory_limit": memory,
                "threads": threads,
                "temp_directory": str(self.spill),
                "preserve_insertion_order": False,
                "enable_external_access": True,
                "autoinstall_known_extensions": False,  # a backtest needs no network
                "autoload_known_extensions": False,
            },
        )


@contextmanager
def opened(path: Path | None) -> Iterator[State]:
    """Open and lock a working directory; without a path, one that is gone at the end.

    Raises:
        ConfigError: it cannot be written, or another backtest uses it.
    """
    if path is None:
        with tempfile.TemporaryDirectory(prefix="paycordon-backtest-") as temporary:
            yield State(Path(temporary))
        return
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(path / "lock", os.O_CREAT | os.O_RDWR, 0o600)
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        raise ConfigError(f"cannot be used: {reason}", position=Position(path), hint="name another `--state`") from None
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            hint = "wait for it, or name another `--state`"
            raise ConfigError("another backtest uses this directory", position=Position(path), hint=hint) from None
        yield State(path)
    finally:
        os.close(lock)


def key_of(*parts: str) -> str:
    """Name something by what it was made from."""
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:24]
