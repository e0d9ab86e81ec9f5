"""Deliver webhooks to endpoints on this machine: in order, retried with pauses, and in disorder if asked.

Times are those of the simulator's clock.
"""

from __future__ import annotations

import itertools
import threading
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from random import Random
from typing import Any, Generic, TypeVar

from paycordon.simulation.post import require_loopback

MAX_WAITING = 10_000
MAX_REMEMBERED = 10_000
OVERTAKEN_AFTER = timedelta(minutes=1)
_SHARES = ("duplicated", "reordered", "delayed", "dropped")


@dataclass(frozen=True, slots=True)
class Disorder:
    """How often deliveries go wrong, each between 0 and 1.

    Attributes:
        duplicated: sent twice.
        reordered: overtaken by the next one; sent a minute later if there is none.
        delayed: sent only after `delay`.
        dropped: never sent, so that only reading at the gateway finds them.
        delay: how long those that are delayed wait.
    """

    duplicated: float = 0.0
    reordered: float = 0.0
    delayed: float = 0.0
    dropped: float = 0.0
    delay: timedelta = timedelta(minutes=10)


def disorder_from(fields: dict[str, Any]) -> tuple[Disorder, dict[str, Any]]:
    """Take what belongs to disorder out of JSON-like options, the shares and `delay_seconds`, and return the rest too.

    `events` among the rest becomes a tuple, as an `Endpoint` has it.
    """
    rest = dict(fields)
    shares = {name: rest.pop(name) for name in _SHARES if name in rest}
    if "delay_seconds" in rest:
        shares["delay"] = timedelta(seconds=rest.pop("delay_seconds"))
    if "events" in rest:
        rest["events"] = tuple(rest["events"])
    return Disorder(**shares), rest


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where events are delivered to; a gateway's own kind adds which it gets.

    Attributes:
        id: of this endpoint.
        url: on this machine.
        secret: what deliveries are signed with.
        events: the types it gets; `*` stands for anything, as in `payout.*`.
        disorder: how often deliveries go wrong.
    """

    id: str
    url: str
    secret: str = field(repr=False)
    events: tuple[str, ...] = ("*",)
    disorder: Disorder = Disorder()

    def __post_init__(self) -> None:
        require_loopback(self.url)

    def subscribes(self, type_: str) -> bool:
        """Tell whether events of a type are delivered here."""
        return any(fnmatchcase(type_, pattern) for pattern in self.events)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One delivery that was tried: to which endpoint, of which event, when, and the answer; none if nobody answered."""

    endpoint: str
    event: str
    type: str
    at: datetime
    number: int
    status: int | None


E = TypeVar("E", bound=Endpoint)
M = TypeVar("M")
"""What has happened and is to be told."""


@dataclass(slots=True)
class _Parcel(Generic[E, M]):
    endpoint: E
    message: M
    due: datetime
    place: int
    tries: int = 0
    overtaken: bool = False


class Courier(ABC, Generic[E, M]):
    """Endpoints, what waits to be delivered to them, and what was tried.

    Args:
        clock: the simulator's present.
        retries: the pauses between tries.
        random: decides about disorder.
    """

    def __init__(self, clock: Callable[[], datetime], *, retries: Iterable[timedelta], random: Random) -> None:
        self.endpoints: dict[str, E] = {}
        self._clock, self._random = clock, random
        self._retries = tuple(retries)
        self._waiting: list[_Parcel[E, M]] = []
        self._attempts: deque[Attempt] = deque(maxlen=MAX_REMEMBERED)
        self._places = itertools.count()
        self._lock = threading.Lock()
        self._delivering = threading.Lock()

    @abstractmethod
    def wants(self, endpoint: E, message: M) -> bool:
        """Tell whether an event is delivered to an endpoint."""

    @abstractmethod
    def send(self, endpoint: E, messages: Sequence[M]) -> int:
        """Deliver events in one go and return the status that is answered.

        Raises:
            OSError: nobody answers there.
        """

    @abstractmethod
    def named(self, endpoint: E, message: M) -> tuple[str, str]:
        """Return the id and the type by which a delivery of this event is remembered."""

    def batch(self, endpoint: E, message: M) -> int:  # noqa: ARG002 - for those gateways that look at them
        """Return how many events go together at most in a delivery that begins with this one."""
        return 1

    def queued(self, endpoint: E, message: M) -> None:
        """Learn that an event will be delivered to an endpoint."""

    def delivered(self, endpoint: E, message: M) -> None:
        """Learn that an endpoint has taken an event."""

    def add(self, endpoint: E) -> None:
        """Deliver to an endpoint from now on."""
        with self._lock:
            self.endpoints[endpoint.id] = endpoint

    def remove(self, id_: str) -> None:
        """Deliver to an endpoint no more; what it has not got stays undelivered.

        Raises:
            KeyError: there is none.
        """
        with self._lock:
            del self.endpoints[id_]
            self._waiting = [parcel for parcel in self._waiting if parcel.endpoint.id != id_]

    def attempts(self) -> list[Attempt]:
        """Return what was tried, oldest first."""
        with self._lock:
            return list(self._attempts)

    def take(self, message: M) -> None:
        """Let an event wait for its delivery to each endpoint that wants it."""
        with self._lock:
            for endpoint in self.endpoints.values():
                if self.wants(endpoint, message):
                    self.queued(endpoint, message)
                    self._queue(endpoint, message)

    def _queue(self, endpoint: E, message: M) -> None:
        disorder, now = endpoint.disorder, self._clock()
        if self._random.random() < disorder.dropped or len(self._waiting) >= MAX_WAITING:
            return
        parcel = _Parcel(endpoint, message, now, next(self._places))
        if self._random.random() < disorder.delayed:
            parcel.due += disorder.delay
        elif self._random.random() < disorder.reordered:
            parcel.due, parcel.overtaken = now + OVERTAKEN_AFTER, True
        self._waiting.append(parcel)
        if self._random.random() < disorder.duplicated:
            self._waiting.append(_Parcel(endpoint, message, parcel.due, next(self._places)))
        for earlier in self._waiting:
            if earlier.overtaken and earlier is not parcel and earlier.endpoint is endpoint:
                earlier.overtaken, earlier.due, earlier.place = False, parcel.due, next(self._places)

    def idle(self) -> bool:
        """Tell whether nothing is due and nothing is being delivered."""
        if not self._delivering.acquire(blocking=False):
            return False
        try:
            now = self._clock()
            with self._lock:
                return not any(parcel.due <= now for parcel in self._waiting)
        finally:
            self._delivering.release()

    def deliver(self, stopping: Callable[[], bool] = lambda: False) -> None:
        """Deliver what is due, in order, until nothing is."""
        with self._delivering:
            while not stopping() and (parcels := self._next()):
                self._deliver(parcels)

    def _next(self) -> list[_Parcel[E, M]]:
        now = self._clock()
        with self._lock:
            due = sorted((p for p in self._waiting if p.due <= now), key=lambda parcel: (parcel.due, parcel.place))
            if not due:
                return []
            first = due[0]
            together = [parcel for parcel in due if parcel.endpoint is first.endpoint]
            taken = together[: self.batch(first.endpoint, first.message)]
            for parcel in taken:
                self._waiting.remove(parcel)
            return taken

    def _deliver(self, parcels: Sequence[_Parcel[E, M]]) -> None:
        endpoint = parcels[0].endpoint
        names = [self.named(endpoint, parcel.message) for parcel in parcels]
        try:
            status: int | None = self.send(endpoint, [parcel.message for parcel in parcels])
        except OSError:
            status = None
        now = self._clock()
        with self._lock:
            for parcel, (id_, type_) in zip(parcels, names, strict=True):
                parcel.tries += 1
                self._attempts.append(Attempt(endpoint.id, id_, type_, now, parcel.tries, status))
                if status is not None and 200 <= status < 300:
                    self.delivered(endpoint, parcel.message)
                elif parcel.tries <= len(self._retries) and endpoint.id in self.endpoints:
                    parcel.due, parcel.place = now + self._retries[parcel.tries - 1], next(self._places)
                    self._waiting.append(parcel)
