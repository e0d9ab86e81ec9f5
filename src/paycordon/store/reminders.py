"""Reminders for the role `restricted`, from when a deadline was told of until their endpoint has them.

A reminder says of nothing what it is about: that a restricted deadline is near, has passed, or has been open for long.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import Connection, func, select

from paycordon.ids import Randomness, new_id
from paycordon.record import restricted
from paycordon.store import Store, schema
from paycordon.store.schema import from_micros, micros

_table = schema.reminders
_MAX_ERROR = 500


class Stage(StrEnum):
    """How a deadline stands: `near`, `passed`, or `open` long after it has passed."""

    NEAR = "near"
    PASSED = "passed"
    OPEN = "open"


@dataclass(frozen=True, slots=True)
class Reminder:
    """One that waits; `id` is its idempotency key, `at` when it was written, UTC."""

    id: str
    stage: Stage
    at: datetime
    failures: int


@dataclass(frozen=True, slots=True)
class Unsent:
    """What the endpoint has not taken although it was tried: how many there are, since when, and the last error."""

    count: int
    since: datetime
    error: str


def write(connection: Connection, stage: Stage, now: datetime, randomness: Randomness) -> None:
    """Let a worker tell that a deadline has come to a stage."""
    at = micros(now)
    row = {"id": new_id("rem", now, randomness), "stage": stage.value, "at": at, "due_at": at}
    connection.execute(_table.insert().values(**row, failures=0, lease_until=0))


def claim(store: Store, owner: str, now: datetime, lease: timedelta) -> Reminder | None:
    """Take the oldest that is due; no other worker gets it during the lease."""
    due = select(_table).where(_table.c.due_at <= micros(now), _table.c.lease_until <= micros(now))
    with store.read() as connection:
        if connection.execute(due.limit(1)).first() is None:
            return None
    with store.write() as connection:
        locked = due.order_by(_table.c.due_at, _table.c.id).limit(1).with_for_update(skip_locked=True)
        row = connection.execute(locked).one_or_none()
        if row is None:
            return None
        values = {"lease_owner": owner, "lease_until": micros(now + lease)}
        connection.execute(_table.update().where(_table.c.id == row.id).values(values))
    return Reminder(row.id, Stage(row.stage), from_micros(row.at), row.failures)


def told(store: Store, reminder: Reminder, owner: str, now: datetime) -> None:
    """Record that the endpoint took one, if the lease is still this worker's."""
    with store.write() as connection:
        mine = (_table.c.id == reminder.id, _table.c.lease_owner == owner)
        if connection.execute(_table.delete().where(*mine)).rowcount == 1:
            said = {"reminder": reminder.id, "stage": reminder.stage.value}
            restricted.append(connection, now, "reminder.told", said)


def failed(store: Store, reminder: Reminder, owner: str, error: str, due_at: datetime) -> None:
    """Record that the endpoint did not take one; it is told again, however often that has happened."""
    values = {"failures": reminder.failures + 1, "last_error": error[:_MAX_ERROR], "due_at": micros(due_at)}
    with store.write() as connection:
        mine = (_table.c.id == reminder.id, _table.c.lease_owner == owner)
        change = _table.update().where(*mine)
        connection.execute(change.values(values | {"lease_owner": None, "lease_until": 0}))


def unsent(connection: Connection) -> Unsent | None:
    """Return what the endpoint has not taken; none if it took all that was tried."""
    where = _table.c.failures > 0
    count, since = connection.execute(select(func.count(), func.min(_table.c.at)).where(where)).one()
    if not count:
        return None
    newest = select(_table.c.last_error).where(where).order_by(_table.c.at.desc()).limit(1)
    return Unsent(count, from_micros(since), connection.execute(newest).scalar() or "")
