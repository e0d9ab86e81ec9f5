"""Snoozes: a rule that says nothing about one merchant for a while, because a person found it wrong there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, RowMapping, select

from paycordon.errors import Conflict, NotFound
from paycordon.ids import Randomness, new_id
from paycordon.record.apart import digest_apart
from paycordon.record.log import Payload, append
from paycordon.store import schema
from paycordon.store.schema import from_micros, micros


@dataclass(frozen=True, slots=True)
class StoredSnooze:
    """A snooze as it is stored; `rule` is `policy/rule`, times are UTC.

    Attributes:
        agreed_by: the second person; none where it took one. Without, rules that take two are not silenced.
        until: when it ends by itself.
        ended_at: when a person ended it before.
    """

    id: str
    merchant: str
    rule: str
    reason: str
    placed_by: str
    agreed_by: str | None
    placed_at: datetime
    until: datetime
    ended_at: datetime | None
    ended_by: str | None

    def lasts(self, now: datetime) -> bool:
        """Tell whether it counts."""
        return self.ended_at is None and self.until > now


@dataclass(frozen=True, slots=True)
class NewSnooze:
    """A snooze to be placed; as `StoredSnooze`."""

    merchant: str
    rule: str
    until: datetime
    reason: str
    placed_by: str
    agreed_by: str | None = None


def place(connection: Connection, wanted: NewSnooze, now: datetime, randomness: Randomness) -> StoredSnooze:
    """Let a rule say nothing about a merchant until a moment.

    Raises:
        Conflict: the rule is snoozed for this merchant already; names that snooze.
    """
    table = schema.snoozes
    for each in listed(connection, now, merchant=wanted.merchant):
        if each.rule == wanted.rule:
            raise Conflict(f"`{wanted.rule}` is snoozed for this merchant already, by `{each.id}`; end that first")
    id_ = new_id("snooze", now, randomness)
    row = {name: getattr(wanted, name) for name in NewSnooze.__slots__}
    row |= {"id": id_, "placed_at": micros(now), "until": micros(wanted.until)}
    connection.execute(table.insert().values(row))
    entry: Payload = {
        "snooze": id_,
        "merchant": wanted.merchant,
        "rule": wanted.rule,
        "until": micros(wanted.until),
        "by": wanted.placed_by,
        "agreed_by": wanted.agreed_by,
        "reason_digest": digest_apart(connection, id_, wanted.reason),
    }
    append(connection, now, "snooze.placed", entry)
    return get(connection, id_)


def end(connection: Connection, snooze_id: str, *, by: str, reason: str, now: datetime) -> StoredSnooze:
    """End a snooze before its time: the rule counts again.

    Raises:
        NotFound: there is none of that id.
        Conflict: it has ended already.
    """
    table = schema.snoozes
    get(connection, snooze_id)
    changed = connection.execute(
        table.update()
        .where(table.c.id == snooze_id, table.c.ended_at.is_(None), table.c.until > micros(now))
        .values(ended_at=micros(now), ended_by=by)
    )
    if changed.rowcount != 1:
        raise Conflict(f"the snooze `{snooze_id}` has ended already")
    why = digest_apart(connection, snooze_id, reason)
    append(connection, now, "snooze.ended", {"snooze": snooze_id, "by": by, "reason_digest": why})
    return get(connection, snooze_id)


def get(connection: Connection, snooze_id: str) -> StoredSnooze:
    """Return one snooze.

    Raises:
        NotFound: there is none of that id.
    """
    row = connection.execute(select(schema.snoozes).where(schema.snoozes.c.id == snooze_id)).mappings().one_or_none()
    if row is None:
        raise NotFound(f"there is no snooze `{snooze_id}`")
    return _snooze(row)


def listed(
    connection: Connection, now: datetime, *, merchant: str | None = None, everything: bool = False, limit: int = 1_000
) -> Sequence[StoredSnooze]:
    """Return snoozes, those that end first at the front; if `everything`, with those that have ended."""
    table = schema.snoozes
    query = select(table).order_by(table.c.until, table.c.id).limit(limit)
    if not everything:
        query = query.where(table.c.ended_at.is_(None), table.c.until > micros(now))
    if merchant is not None:
        query = query.where(table.c.merchant == merchant)
    return [_snooze(row) for row in connection.execute(query).mappings()]


def _snooze(row: RowMapping) -> StoredSnooze:
    values = {name: row[name] for name in StoredSnooze.__slots__}
    for name in ("placed_at", "until", "ended_at"):
        values[name] = None if row[name] is None else from_micros(row[name])
    return StoredSnooze(**values)
