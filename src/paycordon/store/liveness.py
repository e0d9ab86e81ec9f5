"""Notice within a few hundredths of a second that a database does not answer, and when it does again.

Somebody waits for a payment to go on, so a screening must not hang on a dead database. A slow answer alone proves
nothing: the database may be busy. So what has waited for a while makes a watching thread feel the database's pulse, on
a connection kept for that: if that beats, the waiting goes on; if not, everything that waits is let go with an error,
and until a probe in the background gets through, nobody else has to wait at all.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from paycordon.errors import StoreUnavailable

_TICK = 0.005
_LINGER = 100
_FIRST_PAUSE, _LONGEST_PAUSE = 0.02, 0.25
_SUSPICION = 0.5

Release = Callable[[], None]


@dataclass(eq=False, slots=True)
class _Wait:
    """One caller that waits for the database, and how to let it go."""

    release: Release
    since: float
    until: float
    over: bool = field(default=False)


class Liveness:
    """Watches over all who wait for one database.

    Args:
        pulse: tells within so many seconds whether the database answers; called by one thread only.
        probe: tries in its own time to use the database as a caller would, and tells whether it could.
        patience: in seconds; by then a caller of a dead database has been let go.
        end: called when nothing is watched any more.
    """

    def __init__(
        self, pulse: Callable[[float], bool], probe: Callable[[], bool], patience: float, end: Release = lambda: None
    ) -> None:
        self._pulse = pulse
        self._probe = probe
        self._end = end
        self._patience = patience
        self._waits: dict[int, _Wait] = {}
        self._numbers = itertools.count()
        self._lock = threading.Lock()
        self._trouble: str | None = None
        self._only_writing = False
        self._awake = threading.Event()
        self._stop = threading.Event()
        self._watcher: threading.Thread | None = None
        self._prober: threading.Thread | None = None

    @property
    def trouble(self) -> str | None:
        """Why the database counts as unavailable now; none when it does not."""
        return self._trouble

    def require(self, *, writing: bool = False) -> None:
        """Return at once if the database may be tried.

        Raises:
            StoreUnavailable: it was found dead, and no probe has got through since.
        """
        if self._trouble is not None and (writing or not self._only_writing):
            raise StoreUnavailable(self._trouble)

    @contextmanager
    def waiting(self, release: Release, limit: float | None = None) -> Iterator[None]:
        """Call `release`, from another thread, if the database dies or `limit` seconds pass within the block.

        It is never called once the block has ended, so what it would cut off cannot be somebody else's by then.
        """
        now = time.monotonic()
        number, wait = next(self._numbers), _Wait(release, now, now + limit if limit is not None else float("inf"))
        self._waits[number] = wait
        if not self._awake.is_set():
            self._wake()
        try:
            yield
        finally:
            with self._lock:
                wait.over = True
            self._waits.pop(number, None)

    def failed(self, why: str, *, only_writing: bool = False) -> None:
        """Count the database as unavailable until a probe gets through."""
        with self._lock:
            self._only_writing = only_writing and (self._trouble is None or self._only_writing)
            self._trouble = why
            if self._prober is None and not self._stop.is_set():
                self._prober = threading.Thread(target=self._recover, name="paycordon store probe", daemon=True)
                self._prober.start()

    def close(self) -> None:
        """Stop the threads."""
        self._stop.set()
        self._awake.set()
        for thread in (self._watcher, self._prober):
            if thread is not None:
                thread.join(timeout=1)
        self._end()

    def _wake(self) -> None:
        with self._lock:
            if self._watcher is None and not self._stop.is_set():
                self._watcher = threading.Thread(target=self._watch, name="paycordon store watch", daemon=True)
                self._watcher.start()
            self._awake.set()

    def _watch(self) -> None:
        idle = 0
        while not self._stop.is_set():
            if self._waits:
                idle = 0
            elif (idle := idle + 1) > _LINGER:
                self._doze()
                idle = 0
            self._stop.wait(_TICK)
            self._look(list(self._waits.values()))

    def _doze(self) -> None:
        """Sleep until somebody waits: a process that does nothing is not to be woken two hundred times a second."""
        self._awake.clear()
        if not self._waits and not self._stop.is_set():
            self._awake.wait()

    def _look(self, waits: list[_Wait]) -> None:
        now = time.monotonic()
        suspicion = self._patience * _SUSPICION
        self._let_go(wait for wait in waits if now > wait.until)
        if not any(now - wait.since > suspicion for wait in waits):
            return
        if self._pulse(max(self._patience - suspicion - 2 * _TICK, _TICK)):
            for wait in waits:
                wait.since = now
            return
        self.failed("the store does not answer")
        self._let_go(self._waits.copy().values())

    def _let_go(self, waits: Iterable[_Wait]) -> None:
        for wait in waits:
            with self._lock:
                if not wait.over:
                    wait.over = True
                    with suppress(Exception):  # whatever is wrong with one, the others are to go as well
                        wait.release()

    def _recover(self) -> None:
        pause = _FIRST_PAUSE
        while not self._stop.wait(pause):
            with suppress(Exception):  # a probe that fails in whatever way has not got through
                if self._probe():
                    break
            pause = min(pause * 2, _LONGEST_PAUSE)
        with self._lock:
            self._trouble, self._prober = None, None
