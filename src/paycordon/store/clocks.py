"""Clocks: deadlines of holds, cases and restrictions, kept until they are stopped or somebody was told.

A clock never does anything to a hold by itself. It runs towards a warning, then towards its deadline, and from then on
it reminds; what is done about it is done by people, and stops it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum

from sqlalchemy import Connection, RowMapping, func, select, text

from paycordon.store import schema
from paycordon.store.prepared import Prepared
from paycordon.store.schema import from_micros, micros

_table = schema.clocks
_DAY = 86_400_000_000  # in microseconds

GATEWAY = "gateway"
"""The kind of the clock of a restriction that its gateway ends by itself."""


class ClockState(StrEnum):
    """How far a clock has come: nobody told yet, somebody warned, deadline passed, or not needed any more."""

    RUNNING = "running"
    WARNED = "warned"
    DUE = "due"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class NewClock:
    """A clock to be started; times are UTC.

    Attributes:
        subject_kind, subject_id: what has the deadline: `hold`, `case`, or `restriction` (as `instance/account`).
        kind: what it is for: `gateway`, `review`, `maximum`, `sla`, or the id of a legal clock.
        source: where the deadline comes from, for people.
        warn_at: when people are told ahead; none for not at all.
        restricted: whether only the role `restricted` may know of it.
    """

    subject_kind: str
    subject_id: str
    merchant: str
    kind: str
    source: str
    due_at: datetime
    warn_at: datetime | None = None
    restricted: bool = False


@dataclass(frozen=True, slots=True)
class Coming:
    """How many deadlines of a kind, of how many merchants, pass on a day in UTC, and when the first does."""

    day: date
    kind: str
    deadlines: int
    merchants: int
    first: datetime


@dataclass(frozen=True, slots=True)
class Clock:
    """A clock as it is stored; `next_at` is when something has to be done about it, none when it has stopped."""

    id: int
    subject_kind: str
    subject_id: str
    merchant: str
    kind: str
    source: str
    started_at: datetime
    warn_at: datetime | None
    due_at: datetime
    next_at: datetime | None
    state: ClockState
    ended_at: datetime | None
    restricted: bool


_insert = Prepared(
    text(
        "INSERT INTO clocks (subject_kind, subject_id, merchant, kind, source, started_at, warn_at, due_at, next_at, "
        "state, restricted) VALUES (:subject_kind, :subject_id, :merchant, :kind, :source, :now, :warn_at, :due_at, "
        ":next_at, 'running', :restricted)"
    )
)


def start(connection: Connection, clock: NewClock, now: datetime) -> None:
    """Start a clock; one of the same subject and kind that still runs is stopped, so that there is one of each."""
    stop(connection, clock.subject_id, now, kinds=(clock.kind,))
    warn_at = None if clock.warn_at is None or clock.warn_at >= clock.due_at else clock.warn_at
    row = {
        "subject_kind": clock.subject_kind,
        "subject_id": clock.subject_id,
        "merchant": clock.merchant,
        "kind": clock.kind,
        "source": clock.source,
        "now": micros(now),
        "warn_at": None if warn_at is None else micros(warn_at),
        "due_at": micros(clock.due_at),
        "next_at": micros(warn_at or clock.due_at),
        "restricted": int(clock.restricted),
    }
    _insert(connection, row)


def stop(connection: Connection, subject_id: str, now: datetime, *, kinds: Collection[str] = ()) -> int:
    """Stop the clocks of a subject, all or those of some kinds; returns how many were running."""
    where = [_table.c.subject_id == subject_id, _table.c.state != ClockState.STOPPED.value]
    if kinds:
        where.append(_table.c.kind.in_(list(kinds)))
    values = {"state": ClockState.STOPPED.value, "ended_at": micros(now), "next_at": None}
    return int(connection.execute(_table.update().where(*where).values(values)).rowcount)


def keep_gateway(
    connection: Connection, instance: str, account: str, merchant: str, ends_at: datetime | None, now: datetime
) -> None:
    """Keep the clock of what a gateway itself will end: started, moved, or stopped where it never ends."""
    subject = f"{instance}/{account}"
    if ends_at is None:
        stop(connection, subject, now, kinds=(GATEWAY,))
        return
    running = [_table.c.subject_id == subject, _table.c.kind == GATEWAY, _table.c.state != ClockState.STOPPED.value]
    if connection.execute(select(_table.c.due_at).where(*running)).scalar() == micros(ends_at):
        return
    source = f"gateway: {instance} ends the restriction by itself"
    warn_at = ends_at - (ends_at - now) / 4
    start(connection, NewClock("restriction", subject, merchant, GATEWAY, source, ends_at, warn_at), now)


def waiting(connection: Connection, now: datetime, limit: int) -> Sequence[Clock]:
    """Return clocks about which something has to be done, the longest waiting first; nothing is locked."""
    query = (
        select(_table)
        .where(_table.c.next_at <= micros(now), _table.c.restricted == 0)
        .order_by(_table.c.next_at, _table.c.id)
        .limit(limit)
    )
    return [_clock(row) for row in connection.execute(query).mappings()]


def take(connection: Connection, clock_id: int, now: datetime) -> Clock | None:
    """Lock a waiting clock for this transaction; none if somebody else attends to it, or has done so.

    It never waits, so that a transaction may hold any other locks by then.
    """
    query = select(_table).where(_table.c.id == clock_id, _table.c.next_at <= micros(now))
    row = connection.execute(query.with_for_update(skip_locked=True)).mappings().one_or_none()
    return None if row is None else _clock(row)


def advance(connection: Connection, clock: Clock, state: ClockState, next_at: datetime) -> None:
    """Say how far a clock has come, and when to look at it again."""
    values = {"state": state.value, "next_at": micros(next_at)}
    connection.execute(_table.update().where(_table.c.id == clock.id).values(values))


def listed(
    connection: Connection,
    *,
    merchant: str | None = None,
    subject_id: str | None = None,
    due_before: datetime | None = None,
    stopped: bool = False,
    limit: int = 1_000,
) -> Sequence[Clock]:
    """Return clocks, the next deadline first; never those that only the role `restricted` may know of."""
    query = select(_table).where(_table.c.restricted == 0).order_by(_table.c.due_at, _table.c.id).limit(limit)
    if not stopped:
        query = query.where(_table.c.state != ClockState.STOPPED.value)
    if merchant is not None:
        query = query.where(_table.c.merchant == merchant)
    if subject_id is not None:
        query = query.where(_table.c.subject_id == subject_id)
    if due_before is not None:
        query = query.where(_table.c.due_at < micros(due_before))
    return [_clock(row) for row in connection.execute(query).mappings()]


def coming(connection: Connection, until: datetime) -> Sequence[Coming]:
    """Count the deadlines that pass before `until`, or have passed, by day and kind; never restricted ones."""
    day = _table.c.due_at - _table.c.due_at % _DAY
    counts = (func.count(), func.count(_table.c.merchant.distinct()), func.min(_table.c.due_at))
    running = (_table.c.restricted == 0, _table.c.state != ClockState.STOPPED.value, _table.c.due_at < micros(until))
    rows = connection.execute(select(day, _table.c.kind, *counts).where(*running).group_by(day, _table.c.kind)).all()
    return [Coming(from_micros(row[0]).date(), row[1], row[2], row[3], from_micros(row[4])) for row in sorted(rows)]


def _clock(row: RowMapping) -> Clock:
    values: dict[str, object] = {str(name): value for name, value in row.items()}
    for name in ("started_at", "warn_at", "due_at", "next_at", "ended_at"):
        value = values[name]
        values[name] = from_micros(value) if isinstance(value, int) else None
    values["state"], values["restricted"] = ClockState(str(values["state"])), bool(values["restricted"])
    return Clock(**values)  # type: ignore[arg-type]  # the columns of the table are the fields of the class
