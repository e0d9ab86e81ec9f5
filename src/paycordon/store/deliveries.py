"""Verified messages that wait to be screened: stored once, worked on under a lease, never lost.

A message is `waiting` until it is `done`, or `stuck` when a person must look. A worker claims it for a while; if the
worker dies, the lease runs out and another one takes over. What a worker reports counts only while the lease is its
own. A worker's death counts as a failure of all it had claimed, and each of these is then claimed alone, so that a
message which takes its workers down ends up `stuck` and its neighbours do not.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

from sqlalchemy import Connection, text

from paycordon.errors import Conflict, NotFound, PayloadInvalid
from paycordon.events import Event
from paycordon.gateways import Message
from paycordon.store.engine import Store
from paycordon.store.prepared import Prepared
from paycordon.store.schema import from_micros, micros

MAX_FAILURES = 16
_FIRST_PAUSE, _LONGEST_PAUSE = timedelta(seconds=10), timedelta(hours=2)
_MAX_ERROR = 500

_insert = Prepared(
    text(
        "INSERT INTO deliveries (instance, message_id, type, received_at, body, state, failures, due_at, lease_until) "
        "VALUES (:instance, :message_id, :type, :at, :body, 'waiting', 0, :at, 0) "
        "ON CONFLICT (instance, message_id) DO NOTHING"
    )
)
_DUE = (
    "SELECT id, instance, message_id, type, received_at, body, failures, lease_owner FROM deliveries "
    "WHERE state = 'waiting' AND due_at <= :now AND lease_until <= :now AND instance = COALESCE(:instance, instance) "
    "ORDER BY due_at, id LIMIT :limit"
)
_due = {"sqlite": Prepared(text(_DUE)), "postgresql": Prepared(text(f"{_DUE} FOR UPDATE SKIP LOCKED"))}
_lease = Prepared(
    text("UPDATE deliveries SET lease_owner = :owner, lease_until = :until, failures = :failures WHERE id = :id")
)
_done, _failed, _give_back = (
    # `lease_until` and `lease_owner` together fence off a worker whose lease ran out.
    Prepared(
        text(
            f"UPDATE deliveries SET {change} lease_owner = NULL, lease_until = 0 "  # noqa: S608  # of constants only
            "WHERE id = :id AND state = 'waiting' AND lease_owner = :owner AND lease_until = :lease"
        )
    )
    for change in (
        "state = 'done', body = NULL, last_error = NULL,",
        "state = :state, failures = :failures, last_error = :error, due_at = :due,",
        "",
    )
)
_lost = Prepared(
    text(
        "UPDATE deliveries SET state = 'stuck', failures = :failures, lease_owner = NULL, lease_until = 0, "
        "last_error = 'its workers kept dying' WHERE id = :id"
    )
)
_recorded = Prepared(text("SELECT 1 FROM events WHERE instance = :instance AND id = :id"))
_let_through = Prepared(
    text(
        "SELECT 1 FROM events AS e WHERE e.instance = :instance AND e.id = :id AND NOT EXISTS ("
        "SELECT 1 FROM holds AS h WHERE h.merchant = e.merchant AND h.instance = e.instance AND h.account = e.account "
        "AND h.subject_id = e.id AND h.released_at IS NULL)"
    )
)
_requeue = Prepared(
    text("UPDATE deliveries SET state = 'waiting', failures = 0, due_at = :now WHERE id = :id AND state = 'stuck'")
)
_state = Prepared(text("SELECT state FROM deliveries WHERE id = :id"))
_counts = Prepared(text("SELECT state, COUNT(*) FROM deliveries GROUP BY state"))


class DeliveryState(StrEnum):
    """Where a message stands."""

    WAITING = "waiting"
    DONE = "done"
    STUCK = "stuck"


@dataclass(frozen=True, slots=True)
class StoredDelivery:
    """A claimed message.

    Attributes:
        id: the store's number for it.
        instance: where it came in.
        message_id, type, body: what the gateway said, with the body as JSON text.
        received_at: when it was stored, UTC.
        failures: how often working on it failed before.
        owner: the worker that holds the lease.
        lease_until: when the lease runs out, in microseconds; together with `owner` it names this one lease.
    """

    id: int
    instance: str
    message_id: str
    type: str
    body: str = field(repr=False)
    received_at: datetime
    failures: int
    owner: str
    lease_until: int

    @property
    def message(self) -> Message:
        """What the gateway said.

        Raises:
            PayloadInvalid: the stored body is no longer what was stored.
        """
        try:
            body = json.loads(self.body)
        except (ValueError, TypeError) as error:
            raise PayloadInvalid("the stored body cannot be read") from error
        return Message(id=self.message_id, type=self.type, body=body)


class _Due(NamedTuple):
    """A row of `_DUE`."""

    id: int
    instance: str
    message_id: str
    type: str
    received_at: int
    body: str
    failures: int
    lease_owner: str | None


def pause_after(failures: int) -> timedelta:
    """Say how long to wait after so many failures: ten seconds, tripled each time, at most two hours."""
    return min(_FIRST_PAUSE * int(3 ** min(max(failures - 1, 0), 10)), _LONGEST_PAUSE)


def store_messages(store: Store, instance: str, messages: Iterable[Message], now: datetime) -> int:
    """Store what is not stored yet, all or nothing, and return how many were new.

    Raises:
        StoreUnavailable: nothing was stored.
    """
    rows = [
        {
            "instance": instance,
            "message_id": message.id,
            "type": message.type,
            "at": micros(now),
            "body": json.dumps(dict(message.body), separators=(",", ":")),
        }
        for message in messages
    ]
    with store.write() as connection:
        return sum(_insert(connection, row).rowcount for row in rows)


def claim(
    store: Store, owner: str, now: datetime, lease: timedelta, limit: int = 20, *, instance: str | None = None
) -> list[StoredDelivery]:
    """Take up to `limit` due messages for `lease`, of one instance or of all; what another worker holds is passed over.

    Raises:
        StoreUnavailable: nothing was claimed.
    """
    until = micros(now + lease)
    wanted = {"now": micros(now), "limit": limit, "instance": instance}
    with store.write() as connection:
        due = [_Due(*row) for row in _due[store.dialect](connection, wanted)]
        claimed = []
        for row in _alone_if_suspect(due):
            failures = row.failures + (row.lease_owner is not None)
            if failures >= MAX_FAILURES:
                _lost(connection, {"id": row.id, "failures": failures})
                continue
            _lease(connection, {"id": row.id, "owner": owner, "until": until, "failures": failures})
            claimed.append(_claimed(row, failures, owner, until))
        return claimed


def _alone_if_suspect(due: Sequence[_Due]) -> Sequence[_Due]:
    """Keep messages whose worker died apart from the others: a lease that was never answered still has its owner."""
    if due and due[0].lease_owner is not None:
        return due[:1]
    return [row for row in due if row.lease_owner is None]


def _claimed(row: _Due, failures: int, owner: str, until: int) -> StoredDelivery:
    return StoredDelivery(
        id=row.id,
        instance=row.instance,
        message_id=row.message_id,
        type=row.type,
        body=row.body,
        received_at=from_micros(row.received_at),
        failures=failures,
        owner=owner,
        lease_until=until,
    )


def done(store: Store, delivery: StoredDelivery, events: Iterable[Event]) -> bool:
    """Close a message whose events are recorded, and drop its body.

    Returns False, and changes nothing, when one of the events is not in the store (it was judged while the store was
    unavailable) or when the lease is no longer this worker's.

    Raises:
        StoreUnavailable: nothing was written.
    """
    with store.write() as connection:
        if not all(_recorded(connection, {"instance": e.instance, "id": e.id}).scalar() for e in events):
            return False
        return _fenced(connection, _done, delivery)


def failed(
    store: Store, delivery: StoredDelivery, error: str, retry_at: datetime, *, final: bool = False
) -> DeliveryState | None:
    """Note a failure: the message waits until `retry_at`, or is stuck when it failed too often or finally.

    Returns its new state; none when the lease is no longer this worker's, and nothing was changed.

    Raises:
        StoreUnavailable: nothing was written.
    """
    failures = delivery.failures + 1
    state = DeliveryState.STUCK if final or failures >= MAX_FAILURES else DeliveryState.WAITING
    row = {"state": state.value, "failures": failures, "error": error[:_MAX_ERROR], "due": micros(retry_at)}
    with store.write() as connection:
        return state if _fenced(connection, _failed, delivery, row) else None


def give_back(store: Store, deliveries: Iterable[StoredDelivery]) -> None:
    """Return claimed messages that were not worked on, for anybody to take at once.

    Raises:
        StoreUnavailable: nothing was written; they can be taken when their leases run out.
    """
    with store.write() as connection:
        for delivery in deliveries:
            _fenced(connection, _give_back, delivery)


def any_let_through(store: Store, instance: str, event_ids: Sequence[str]) -> bool:
    """Tell whether an event of one of these ids was recorded, and no hold on what it asked for stands."""
    with store.read() as connection:
        return any(_let_through(connection, {"instance": instance, "id": id_}).first() for id_ in event_ids)


def requeue(store: Store, delivery_id: int, now: datetime) -> None:
    """Let a stuck message be tried again, as if it had never failed; for people.

    Raises:
        NotFound: there is no such message.
        Conflict: it is not stuck.
        StoreUnavailable: nothing was written.
    """
    with store.write() as connection:
        if _requeue(connection, {"id": delivery_id, "now": micros(now)}).rowcount:
            return
        state = _state(connection, {"id": delivery_id}).scalar()
    if state is None:
        raise NotFound(f"there is no delivery `{delivery_id}`")
    raise Conflict(f"delivery `{delivery_id}` is not stuck but {state}")


def counts(store: Store) -> dict[DeliveryState, int]:
    """Count the messages in each state.

    Raises:
        StoreUnavailable: the database cannot be read.
    """
    with store.read() as connection:
        found = {DeliveryState(row[0]): int(row[1]) for row in _counts(connection)}
    return {state: found.get(state, 0) for state in DeliveryState}


def _fenced(
    connection: Connection, statement: Prepared, delivery: StoredDelivery, row: dict[str, str | int] | None = None
) -> bool:
    lease = {"id": delivery.id, "owner": delivery.owner, "lease": delivery.lease_until}
    return bool(statement(connection, {**(row or {}), **lease}).rowcount)
