"""Deliver events to webhook endpoints on this machine: signed, retried with growing pauses, and in disorder if asked.

Times are those of the simulator's clock; signatures carry the time of the world's clock, which receivers compare with.
"""

from __future__ import annotations

import itertools
import json
import threading
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from ipaddress import ip_address
from random import Random
from typing import Any
from urllib.parse import urlsplit

import requests

from paycordon_stripe.simulator import webhooks
from paycordon_stripe.simulator.event_log import PLATFORM, Happened

RETRIES = tuple(timedelta(minutes=m) for m in (5, 30, 120, 300, 600, 600, 600, 600, 600, 600))
"""Pauses before the next try: about three days altogether, as in live mode."""
RETRIES_IN_TEST_MODE = RETRIES[:2]
MAX_WAITING = 10_000
MAX_REMEMBERED = 10_000
OVERTAKEN_AFTER = timedelta(minutes=1)
TIMEOUT_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Disorder:
    """How often deliveries go wrong, each between 0 and 1.

    Attributes:
        duplicated: sent twice.
        reordered: overtaken by the next one; sent a minute later if there is none.
        delayed: sent only after `delay`.
        dropped: never sent, so that only catching up over the Events API finds them.
        delay: how long those that are delayed wait.
    """

    duplicated: float = 0.0
    reordered: float = 0.0
    delayed: float = 0.0
    dropped: float = 0.0
    delay: timedelta = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where events are delivered to.

    Attributes:
        id: of this endpoint.
        url: on this machine.
        secret: what deliveries are signed with.
        connect: whether it gets events of connected accounts, or else those of the platform itself.
        thin: whether it gets notifications of thin events, or else snapshots.
        events: the types it gets; `*` stands for anything, as in `payout.*`.
        disorder: how often deliveries go wrong.
    """

    id: str
    url: str
    secret: str = field(repr=False)
    connect: bool = True
    thin: bool = False
    events: tuple[str, ...] = ("*",)
    disorder: Disorder = Disorder()

    def __post_init__(self) -> None:
        require_loopback(self.url)

    def wants(self, happened: Happened) -> bool:
        """Tell whether an event is delivered here."""
        told = happened.thin if self.thin else happened.snapshot
        if told is None or self.connect is (happened.owner == PLATFORM):
            return False
        return any(fnmatchcase(told["type"], pattern) for pattern in self.events)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One delivery that was tried: to which endpoint, of which event, when, and the answer; none if nobody answered."""

    endpoint: str
    event: str
    type: str
    at: datetime
    number: int
    status: int | None


@dataclass(slots=True)
class _Parcel:
    endpoint: Endpoint
    happened: Happened
    due: datetime
    place: int
    tries: int = 0
    overtaken: bool = False


class Courier:
    """Endpoints, what waits to be delivered to them, and what was tried.

    Args:
        clock: the simulator's present.
        world: what signatures are stamped with.
        retries: the pauses between tries.
        random: decides about disorder.
    """

    def __init__(
        self,
        clock: Callable[[], datetime],
        world: Callable[[], datetime],
        *,
        retries: Iterable[timedelta],
        random: Random,
    ) -> None:
        self.endpoints: dict[str, Endpoint] = {}
        self._clock, self._world, self._random = clock, world, random
        self._retries = tuple(retries)
        self._waiting: list[_Parcel] = []
        self._attempts: deque[Attempt] = deque(maxlen=MAX_REMEMBERED)
        self._places = itertools.count()
        self._lock = threading.Lock()
        self._delivering = threading.Lock()

    def add(self, endpoint: Endpoint) -> None:
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

    def take(self, happened: Happened) -> None:
        """Let an event wait for its delivery to each endpoint that wants it."""
        with self._lock:
            for endpoint in self.endpoints.values():
                if endpoint.wants(happened):
                    happened.undelivered.add(endpoint.id)
                    self._queue(endpoint, happened)

    def _queue(self, endpoint: Endpoint, happened: Happened) -> None:
        disorder, now = endpoint.disorder, self._clock()
        if self._random.random() < disorder.dropped or len(self._waiting) >= MAX_WAITING:
            return
        parcel = _Parcel(endpoint, happened, now, next(self._places))
        if self._random.random() < disorder.delayed:
            parcel.due += disorder.delay
        elif self._random.random() < disorder.reordered:
            parcel.due, parcel.overtaken = now + OVERTAKEN_AFTER, True
        self._waiting.append(parcel)
        if self._random.random() < disorder.duplicated:
            self._waiting.append(_Parcel(endpoint, happened, parcel.due, next(self._places)))
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
            while not stopping() and (parcel := self._next()) is not None:
                self._send(parcel)

    def _next(self) -> _Parcel | None:
        now = self._clock()
        with self._lock:
            due = [parcel for parcel in self._waiting if parcel.due <= now]
            first = min(due, key=lambda parcel: (parcel.due, parcel.place), default=None)
            if first is not None:
                self._waiting.remove(first)
            return first

    def _send(self, parcel: _Parcel) -> None:
        endpoint, happened = parcel.endpoint, parcel.happened
        body = happened.notification() if endpoint.thin else happened.as_snapshot() or {}
        try:
            status = webhooks.send(endpoint.url, body, endpoint.secret, self._world(), timeout=TIMEOUT_SECONDS)
        except requests.RequestException:
            status = None
        parcel.tries += 1
        now = self._clock()
        with self._lock:
            self._attempts.append(Attempt(endpoint.id, body["id"], body["type"], now, parcel.tries, status))
            if status is not None and 200 <= status < 300:
                happened.undelivered.discard(endpoint.id)
            elif parcel.tries <= len(self._retries) and endpoint.id in self.endpoints:
                parcel.due, parcel.place = now + self._retries[parcel.tries - 1], next(self._places)
                self._waiting.append(parcel)


def require_loopback(url: str) -> None:
    """Raise a `ValueError` unless an address is on this machine: a simulator must not call anybody else."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme not in ("http", "https") or not (host == "localhost" or _is_loopback(host)):
        raise ValueError("the simulator delivers to this machine only: give a URL with 127.0.0.1, [::1] or localhost")


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def endpoint_from(id_: str, fields: dict[str, Any]) -> Endpoint:
    """Make an endpoint from JSON-like values; shares of disorder stand beside the rest, `delay_seconds` as a number.

    Raises:
        ValueError: the address is not on this machine.
        TypeError: a field is missing or unknown.
    """
    given = json.loads(json.dumps(fields))
    shares = {name: given.pop(name) for name in ("duplicated", "reordered", "delayed", "dropped") if name in given}
    if "delay_seconds" in given:
        shares["delay"] = timedelta(seconds=given.pop("delay_seconds"))
    if "events" in given:
        given["events"] = tuple(given["events"])
    return Endpoint(id_, disorder=Disorder(**shares), **given)
