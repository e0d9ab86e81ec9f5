"""What PostgreSQL needs: how it is connected to, and how a server that has fallen silent is noticed."""

from __future__ import annotations

import os
import selectors
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from datetime import timedelta
from typing import Any

from sqlalchemy import URL, Engine, create_engine, event
from sqlalchemy.engine import Dialect
from sqlalchemy.exc import InvalidatePoolError

from paycordon.errors import StoreUnavailable
from paycordon.store.liveness import Liveness

# A process that stops in the middle of a transaction would keep everybody else waiting for the end of the log.
_IDLE_IN_TRANSACTION = timedelta(seconds=5)
_PROBE_PATIENCE, _START_PATIENCE = 0.5, 2.0


def engine_of(url: URL, patience: timedelta, watch: timedelta | None) -> tuple[Engine, Liveness | None]:
    """Return an engine for a server.

    Args:
        url: names the server and the database.
        patience: how long a statement waits for a lock.
        watch: with this, a server that does not answer even an empty query within this time counts as unavailable,
            everything that waits for it is let go, and one more connection is kept open to tell.
    """
    milliseconds = int(patience.total_seconds() * 1000)
    options = f"-c lock_timeout={milliseconds} -c statement_timeout={max(milliseconds * 4, 1000)}"
    if watch is not None:
        options += f" -c idle_in_transaction_session_timeout={int(_IDLE_IN_TRANSACTION.total_seconds() * 1000)}"
    engine = create_engine(
        url.set(drivername="postgresql+psycopg"),
        hide_parameters=True,
        pool_size=8,
        pool_timeout=patience.total_seconds(),
        pool_pre_ping=watch is None,  # with a watch there is one that cannot hang
        use_native_hstore=False,  # would be a query for each new connection
        connect_args={"options": options, "connect_timeout": max(2, int(patience.total_seconds()))},
    )
    if watch is None:
        return engine, None
    arguments = engine.dialect.create_connect_args(engine.url)
    pulse = Pulse(lambda: engine.dialect.connect(*arguments[0], **{**arguments[1], "options": options}))
    liveness = Liveness(pulse.beats, pulse.renew, watch.total_seconds(), pulse.close)
    pulse.renew(_START_PATIENCE)
    _listen(engine, liveness, patience.total_seconds())
    return engine, liveness


class Pulse:
    """A connection that is kept to find out, within a given time, whether the server answers at all."""

    def __init__(self, connect: Callable[[], Any]) -> None:
        self._connect = connect
        self._connection: Any = None

    def renew(self, seconds: float = _PROBE_PATIENCE) -> bool:
        """Connect anew and tell whether the server answers on the new connection."""
        made = _begin_connecting(self._connect)
        try:
            connection = made.result(seconds)
        except TimeoutError:
            _give_up(made)
            return False
        if not _answers(connection, seconds):
            connection.close()
            return False
        self.close()
        self._connection = connection
        return True

    def beats(self, seconds: float) -> bool:
        """Tell whether the server answers an empty query in so many seconds; if not, the connection is given up."""
        connection = self._connection
        if connection is not None and _answers(connection, seconds):
            return True
        self.close()
        return False

    def close(self) -> None:
        """Give the connection up."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


def _answers(connection: Any, seconds: float) -> bool:
    try:
        return _has_answered(connection.pgconn, time.monotonic() + seconds)
    except Exception:  # whatever it is, that was no answer
        return False


def _has_answered(line: Any, until: float) -> bool:
    line.send_query(b"")
    with selectors.DefaultSelector() as selector:
        selector.register(line.socket, selectors.EVENT_READ)
        while True:
            while not line.is_busy():
                if line.get_result() is None:
                    return True
            left = until - time.monotonic()
            if left <= 0 or not selector.select(left):
                return False
            line.consume_input()


def cut(driver: Any) -> None:
    """Close the line below a connection, so that whoever waits on it gets an error; from any thread."""
    with socket.socket(fileno=os.dup(driver.fileno())) as line:
        line.shutdown(socket.SHUT_RDWR)


def _listen(engine: Engine, liveness: Liveness, limit: float) -> None:
    def connect(dialect: Dialect, _record: Any, args: Any, kwargs: Any) -> Any:
        liveness.require()
        made = _begin_connecting(lambda: dialect.connect(*args, **kwargs))
        with liveness.waiting(lambda: _give_up(made), limit):
            return made.result()

    def on_checkout(driver: Any, _record: Any, _proxy: Any) -> None:
        with liveness.waiting(lambda: cut(driver), limit):
            driver.pgconn.exec_(b"")
        if driver.broken or driver.closed:
            liveness.require()
            raise InvalidatePoolError("the server has closed the connection")

    event.listen(engine, "do_connect", connect)
    event.listen(engine, "checkout", on_checkout)


def _begin_connecting(connect: Callable[[], Any]) -> Future[Any]:
    """Connect on a thread: there is nothing that would end an attempt from outside, so it may be left to itself."""
    made: Future[Any] = Future()

    def run() -> None:
        try:
            connection = connect()
        except Exception as error:  # the caller's
            with suppress(InvalidStateError):
                made.set_exception(error)
            return
        try:
            made.set_result(connection)
        except InvalidStateError:
            connection.close()

    threading.Thread(target=run, name="paycordon store connect", daemon=True).start()
    return made


def _give_up(made: Future[Any]) -> None:
    with suppress(InvalidStateError):
        made.set_exception(StoreUnavailable("the store does not answer"))
