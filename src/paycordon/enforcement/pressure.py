"""Leave a gateway alone that does not answer, and ask none for more than it takes.

The state is in the store and shared by all workers, however many machines they run on, and outlives them. It is one row
for each instance, so a dead gateway delays no other. Well-kept libraries exist for each half (`pybreaker`,
`pyrate-limiter`); neither takes the time as an argument, and neither shares the store's transactions.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Row, Select, or_, select, text
from sqlalchemy import case as when

from paycordon.metrics import Metrics
from paycordon.store import Store
from paycordon.store.schema import from_micros, gateway_health, micros

_logger = logging.getLogger("paycordon")
_table = gateway_health
_BURST = timedelta(seconds=1)
_new = text(
    "INSERT INTO gateway_health (instance, failed, rests, rests_until, probe_until, next_at, changed_at) "
    "VALUES (:instance, '[]', 0, 0, 0, 0, :now) ON CONFLICT (instance) DO NOTHING"
)


class Circuit(StrEnum):
    """Whether an instance is worked with: `closed` as usual, `open` not at all, `half_open` one account at a time."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


@dataclass(frozen=True, slots=True)
class Limits:
    """How much failure and work one instance gets.

    Attributes:
        failures: an instance is left alone after this many different accounts failed with no success in between.
        first_rest, longest_rest: for how long; it doubles from the first to the longest while probes fail. A gateway
            that asks for a pause itself gets it at once, up to the longest.
        probe: a probe that was not heard of for this long is taken for lost.
        accounts_per_s: how many accounts may be begun in a second, by all workers together; none for any number.
    """

    failures: int = 5
    first_rest: timedelta = timedelta(seconds=10)
    longest_rest: timedelta = timedelta(minutes=5)
    probe: timedelta = timedelta(minutes=5)
    accounts_per_s: float | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """How an instance stands: its circuit, since when, until when it is left alone, and how many accounts failed."""

    instance: str
    circuit: Circuit
    since: datetime
    rests_until: datetime
    failed: int


class Pressure:
    """Whether a worker may begin with another account of one instance.

    Args:
        jitter: returns a random number from 0 up to 1, so that workers do not all come back at the same moment.

    Attributes:
        probing: whether the instance was found to be one that only a probe may be sent to.
    """

    def __init__(
        self, store: Store, instance: str, limits: Limits, jitter: Callable[[], float], metrics: Metrics
    ) -> None:
        self._store = store
        self._instance = instance
        self._limits = limits
        self._jitter = jitter
        self._metrics = metrics
        self._troubled = False
        self.probing = False

    def rests(self, connection: Connection, now: datetime) -> bool:
        """Tell, without writing anything, whether the instance is to be left alone."""
        row = connection.execute(select(_table).where(_table.c.instance == self._instance)).one_or_none()
        self._troubled = row is not None and (row.rests > 0 or row.failed != "[]")
        circuit = Circuit.CLOSED if row is None else self._circuit(row, now)
        self._metrics.gateway_rests(self._instance, resting=circuit is not Circuit.CLOSED)
        self.probing = circuit is Circuit.HALF_OPEN
        return circuit is Circuit.OPEN

    def admitted(self, now: datetime) -> bool:
        """Take the one probe of an instance that was left alone, or one place under the rate limit.

        Raises:
            StoreUnavailable: nothing was taken.
        """
        if not self.probing and self._limits.accounts_per_s is None:
            return True
        with self._store.write() as connection:
            if self.probing:
                return self._take_probe(connection, now)
            connection.execute(_new, {"instance": self._instance, "now": micros(now)})
            return self._take_place(connection, now, self._limits.accounts_per_s or 0)

    def succeeded(self, now: datetime) -> None:
        """Note that the gateway answered, with whatever."""
        if not self._troubled:
            return
        values = {"failed": "[]", "rests": 0, "rests_until": 0, "probe_until": 0, "changed_at": micros(now)}
        with self._store.write() as connection:
            before = connection.execute(_of(self._instance).with_for_update()).one()
            connection.execute(_table.update().where(_table.c.instance == self._instance).values(values))
        self._troubled = False
        if before.rests:
            self._metrics.gateway_rests(self._instance, resting=False)
            _logger.warning("`%s` answers again and is worked with as usual", self._instance)

    def failed(self, account: str, now: datetime, after: timedelta | None = None) -> None:
        """Note that an account could not be read or changed; `after` is the pause the gateway asked for."""
        with self._store.write() as connection:
            connection.execute(_new, {"instance": self._instance, "now": micros(now)})
            row = connection.execute(_of(self._instance).with_for_update()).one()
            accounts = self._remembered(row.failed, account)
            values: dict[str, object] = {"failed": json.dumps(accounts)}
            circuit = self._circuit(row, now)
            opens = circuit is Circuit.CLOSED and (len(accounts) >= self._limits.failures or after is not None)
            if opens or circuit is Circuit.HALF_OPEN:
                until = now + self._rest(row.rests, after)
                values |= {"rests": row.rests + 1, "rests_until": micros(until), "probe_until": 0}
                values["changed_at"] = micros(now) if opens else row.changed_at
            connection.execute(_table.update().where(_table.c.instance == self._instance).values(values))
        self._troubled = True
        if opens:
            self._metrics.gateway_rests(self._instance, resting=True)
            count = len(accounts)
            _logger.error("`%s` is left alone for a while: %d accounts failed in a row", self._instance, count)

    def _remembered(self, stored: str, account: str) -> list[str]:
        """One account that always fails says nothing about its gateway, so each counts once."""
        accounts: list[str] = json.loads(stored)
        if account not in accounts:
            accounts.append(account)
        return accounts[-self._limits.failures :]

    def _rest(self, rests: int, after: timedelta | None) -> timedelta:
        doubled = min(self._limits.first_rest * 2 ** min(rests, 20), self._limits.longest_rest)
        spread: timedelta = doubled * (1 - self._jitter() / 4)
        return max(spread, min(after or timedelta(0), self._limits.longest_rest))

    def _circuit(self, row: Row[Any], now: datetime) -> Circuit:
        if not row.rests:
            return Circuit.CLOSED
        # A worker whose clock is far ahead must not keep the others from working: no rest is longer than the longest.
        ahead = micros(now + self._limits.longest_rest)
        return Circuit.OPEN if micros(now) < row.rests_until <= ahead else Circuit.HALF_OPEN

    def _take_probe(self, connection: Connection, now: datetime) -> bool:
        ahead = micros(now + self._limits.probe)
        free = or_(_table.c.probe_until <= micros(now), _table.c.probe_until > ahead)
        taken = connection.execute(
            _table.update()
            .where(_table.c.instance == self._instance, _table.c.rests > 0, free)
            .values(probe_until=ahead)
        )
        return taken.rowcount == 1

    def _take_place(self, connection: Connection, now: datetime, per_second: float) -> bool:
        """The generic cell rate algorithm: `next_at` runs ahead of the time by at most a second's worth."""
        interval = int(1_000_000 / per_second)
        latest = micros(now) + max(interval, micros(now + _BURST) - micros(now)) - interval
        in_time = or_(_table.c.next_at <= latest, _table.c.next_at > micros(now + self._limits.longest_rest))
        start = when((_table.c.next_at.between(micros(now), latest), _table.c.next_at), else_=micros(now))
        taken = connection.execute(
            _table.update().where(_table.c.instance == self._instance, in_time).values(next_at=start + interval)
        )
        return taken.rowcount == 1


def standings(connection: Connection, now: datetime) -> Sequence[Standing]:
    """Return how each instance stands that ever failed or was limited."""
    rows = connection.execute(select(_table).order_by(_table.c.instance))
    return [_standing(row, now) for row in rows]


def _standing(row: Row[Any], now: datetime) -> Standing:
    resting = Circuit.OPEN if row.rests_until > micros(now) else Circuit.HALF_OPEN
    return Standing(
        instance=row.instance,
        circuit=resting if row.rests else Circuit.CLOSED,
        since=from_micros(row.changed_at),
        rests_until=from_micros(row.rests_until),
        failed=len(json.loads(row.failed)),
    )


def _of(instance: str) -> Select[Any]:
    return select(_table).where(_table.c.instance == instance)
