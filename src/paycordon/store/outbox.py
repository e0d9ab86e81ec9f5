"""Messages that wait to be taken by those who are told what happened.

They follow the log: whatever is logged, and may be told, becomes a message to each endpoint that wants it, in one
transaction with how far the log was followed. So nothing that happens has to know who listens, nothing is told that was
not recorded, and nothing recorded is left out. Ids of messages are those of the log, however often one is sent.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, RowMapping, func, select, text

from paycordon.errors import NotFound
from paycordon.store import Store, schema
from paycordon.store.prepared import Prepared
from paycordon.store.schema import from_micros, micros
from paycordon.store.telling import Facts, Told, told_of

_table = schema.notifications
_cursors = schema.cursors
_CURSOR = "notifications"

_insert = Prepared(
    text(
        "INSERT INTO notifications (endpoint, message_id, type, merchant, body, created_at, state, failures, due_at, "
        "lease_until) VALUES (:endpoint, :message_id, :type, :merchant, :body, :at, 'waiting', 0, :at, 0)"
    )
)
_begin = Prepared(text("INSERT INTO cursors (name, position) VALUES (:name, :position) ON CONFLICT (name) DO NOTHING"))


@dataclass(frozen=True, slots=True)
class Notification:
    """A message to one endpoint as it is stored; `facts` may be told to everybody, `internal` to some only."""

    id: int
    endpoint: str
    message_id: str
    type: str
    merchant: str
    facts: Facts
    internal: Facts
    created_at: datetime
    state: str
    failures: int
    last_error: str | None
    due_at: datetime
    delivered_at: datetime | None


def follow(store: Store, endpoints: Mapping[str, Collection[str]], limit: int = 200) -> bool:
    """Make messages of what the log says since it was last followed; returns whether it said anything.

    The first time it is only noted where the log ends: who begins to listen does not hear of years gone by.

    Args:
        store: where the log is.
        endpoints: by name, the types that an endpoint wants; `*` and `hold.*` stand for several.
        limit: how many entries at once.
    """
    log = schema.log
    with store.read() as connection:
        position = _position(connection)
        newest = connection.execute(select(func.coalesce(func.max(log.c.seq), 0))).scalar_one()
        if position is not None and newest <= position:
            return False
    with store.write() as connection:
        if position is None:
            _begin(connection, {"name": _CURSOR, "position": newest})
            return False
        rows = connection.execute(select(log).where(log.c.seq > position).order_by(log.c.seq).limit(limit)).all()
        moved = _cursors.update().where(_cursors.c.name == _CURSOR, _cursors.c.position == position)
        if not rows or connection.execute(moved.values(position=rows[-1].seq)).rowcount != 1:
            return False  # another worker was faster
        for row in rows:
            for told in told_of(connection, row.seq, row.kind, json.loads(row.payload)):
                _put(connection, told, [name for name, types in endpoints.items() if _wants(types, told.type)], row.at)
        return True


def _position(connection: Connection) -> int | None:
    position: int | None = connection.execute(
        select(_cursors.c.position).where(_cursors.c.name == _CURSOR)
    ).scalar_one_or_none()
    return position


def _put(connection: Connection, told: Told, endpoints: Sequence[str], at: int) -> None:
    body = json.dumps({"facts": dict(told.facts), "internal": dict(told.internal)}, separators=(",", ":"))
    row = {"message_id": told.id, "type": told.type, "merchant": told.merchant, "body": body, "at": at}
    _insert.many(connection, [{**row, "endpoint": name} for name in endpoints])


def _wants(types: Collection[str], type_: str) -> bool:
    return any(each in ("*", type_) or (each.endswith(".*") and type_.startswith(each[:-1])) for each in types)


def claim(
    store: Store, endpoint: str, owner: str, now: datetime, lease: timedelta, limit: int
) -> Sequence[Notification]:
    """Take messages to an endpoint that are due, the oldest first; no other worker gets them during the lease."""
    query = select(_table).where(
        _table.c.endpoint == endpoint,
        _table.c.state == "waiting",
        _table.c.due_at <= micros(now),
        _table.c.lease_until <= micros(now),
    )
    with store.read() as connection:
        if connection.execute(query.limit(1)).first() is None:
            return []
    with store.write() as connection:
        locked = query.order_by(_table.c.id).limit(limit).with_for_update(skip_locked=True)
        found = [_notification(row) for row in connection.execute(locked).mappings()]
        values = {"lease_owner": owner, "lease_until": micros(now + lease)}
        connection.execute(_table.update().where(_table.c.id.in_([each.id for each in found])).values(values))
        return found


def settle(
    store: Store, message: Notification, owner: str, now: datetime, *, error: str | None, due_at: datetime, stuck: bool
) -> bool:
    """Record what became of sending a message, if the lease is still this worker's; returns whether it was."""
    values: dict[str, object] = {"lease_owner": None, "lease_until": 0, "last_error": error}
    if error is None:
        values |= {"state": "delivered", "delivered_at": micros(now)}
    else:
        failures = message.failures + 1
        values |= {"state": "stuck" if stuck else "waiting", "failures": failures, "due_at": micros(due_at)}
    with store.write() as connection:
        mine = (_table.c.id == message.id, _table.c.lease_owner == owner)
        return bool(connection.execute(_table.update().where(*mine).values(values)).rowcount == 1)


def listed(connection: Connection, *, states: Collection[str], limit: int = 1_000) -> Sequence[Notification]:
    """Return messages to endpoints, the oldest first."""
    query = select(_table).where(_table.c.state.in_(list(states)))
    return [_notification(row) for row in connection.execute(query.order_by(_table.c.id).limit(limit)).mappings()]


def requeue(store: Store, endpoint: str | None, message_id: str | None, now: datetime) -> int:
    """Let stuck messages be sent again: those of one endpoint, or one message; returns how many.

    Raises:
        NotFound: none is stuck there.
    """
    where = [_table.c.state == "stuck"]
    if endpoint is not None:
        where.append(_table.c.endpoint == endpoint)
    if message_id is not None:
        where.append(_table.c.message_id == message_id)
    with store.write() as connection:
        values = {"state": "waiting", "failures": 0, "due_at": micros(now)}
        count = connection.execute(_table.update().where(*where).values(values)).rowcount
    if not count:
        raise NotFound("no such notification is stuck")
    return int(count)


def _notification(row: RowMapping) -> Notification:
    body = json.loads(row["body"])
    return Notification(
        id=row["id"],
        endpoint=row["endpoint"],
        message_id=row["message_id"],
        type=row["type"],
        merchant=row["merchant"],
        facts=body["facts"],
        internal=body["internal"],
        created_at=from_micros(row["created_at"]),
        state=row["state"],
        failures=row["failures"],
        last_error=row["last_error"],
        due_at=from_micros(row["due_at"]),
        delivered_at=None if row["delivered_at"] is None else from_micros(row["delivered_at"]),
    )
