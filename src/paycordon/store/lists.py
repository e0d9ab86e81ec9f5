"""Lists that policies look values up in and that people keep in the store. Nothing is deleted: items are taken off.

Such a list is operational. It is not part of what people sign with a policy, because an urgent addition must not wait;
decisions name the content that judged by its digest, and the log says who added or removed how many.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType

from sqlalchemy import Connection, RowMapping, bindparam, text

from paycordon.errors import NotFound
from paycordon.policy.lists import Items
from paycordon.record.log import Payload, append, digest_of
from paycordon.store.schema import from_micros, micros

_values = text("SELECT value, expires_at FROM list_items WHERE list = :list AND removed_at IS NULL ORDER BY value")
_version = text(
    "SELECT COALESCE(MAX(added_at), 0), COALESCE(MAX(removed_at), 0), COUNT(*), COUNT(removed_at) "
    "FROM list_items WHERE list IN :lists"
).bindparams(bindparam("lists", expanding=True))
_last = text("SELECT MAX(added_at), MAX(removed_at) FROM list_items")
_end = text(
    "UPDATE list_items SET removed_at = :at, removed_by = :by, reason = reason || :why "
    "WHERE list = :list AND value = :value AND removed_at IS NULL"
)
_add = text(
    "INSERT INTO list_items (list, value, added_at, added_by, reason, expires_at) "
    "VALUES (:list, :value, :at, :by, :reason, :expires_at)"
)
_lock = text("SELECT pg_advisory_xact_lock(:lock)")
_LOCK = 0x6C697374
_SELECT = (
    "SELECT list, value, added_at, added_by, reason, expires_at, removed_at, removed_by FROM list_items "
    "WHERE (:list = '' OR list = :list) AND "
    "(:everything = 1 OR (removed_at IS NULL AND (expires_at IS NULL OR expires_at > :now))) "
    "ORDER BY list, value, added_at LIMIT :limit"
)


@dataclass(frozen=True, slots=True)
class StoredItem:
    """One item of a list.

    Attributes:
        reason: why it was added; once it is removed, on a second line why.
        expires_at: from when on it no longer counts, UTC; none for never.
    """

    list: str
    value: str
    added_at: datetime
    added_by: str
    reason: str
    expires_at: datetime | None
    removed_at: datetime | None
    removed_by: str | None


class StoredLists(Mapping[str, Items]):
    """The lists in a store by name, read when asked for; one that nobody has put anything into is empty."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._read: dict[str, Items] = {}

    def __getitem__(self, name: str) -> Items:
        if name not in self._read:
            self._read[name] = items_of(self._connection, name)
        return self._read[name]

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._connection.execute(text("SELECT DISTINCT list FROM list_items")).scalars()))

    def __len__(self) -> int:
        return len(list(iter(self)))


def items_of(connection: Connection, name: str) -> Items:
    """Return the values of a list, each with the moment from which it no longer counts."""
    rows = connection.execute(_values, {"list": name})
    return {value: None if at is None else from_micros(at) for value, at in rows}


def version(connection: Connection, names: Sequence[str]) -> tuple[int, ...]:
    """Return numbers that are different once anything about these lists is."""
    return tuple(connection.execute(_version, {"lists": list(names)}).one()) if names else ()


def add(
    connection: Connection,
    name: str,
    values: Sequence[str],
    *,
    by: str,
    reason: str,
    until: datetime | None,
    now: datetime,
) -> int:
    """Put values on a list and log how many; one that is on it already gets the new reason and end.

    Returns:
        How many there are in `values`, each counted once.
    """
    each = list(dict.fromkeys(values))
    at = _moment(connection, now)
    for value in each:
        _take_off(connection, name, value, by, "replaced", at)
        row = {"list": name, "value": value, "at": at, "by": by, "reason": reason}
        connection.execute(_add, {**row, "expires_at": None if until is None else micros(until)})
    _log(connection, "list.added", name, each, by, reason, now)
    return len(each)


def remove(
    connection: Connection,
    name: str,
    values: Sequence[str],
    *,
    by: str,
    reason: str,
    now: datetime,
    guarded: Sequence[str] = (),
) -> int:
    """Take values off a list and log how many; all of them, or none.

    Args:
        connection: a transaction for writing.
        name: the list.
        values: what to take off.
        by: who does it.
        reason: why.
        now: the time, UTC.
        guarded: rules for the protection of children that use the list, as `policy/rule`; the log names them.

    Raises:
        NotFound: one is not on the list; nothing may be kept of this transaction.
    """
    each = list(dict.fromkeys(values))
    at = _moment(connection, now)
    for place, value in enumerate(each, start=1):
        if not _take_off(connection, name, value, by, reason, at):
            raise NotFound(f"value {place} is not on the list `{name}`; nothing was removed")
    _log(connection, "list.removed", name, each, by, reason, now, {"guarded": list(guarded)})
    return len(each)


def listed(
    connection: Connection, name: str | None, *, everything: bool, now: datetime, limit: int
) -> list[StoredItem]:
    """Return the items of one list or of all; if `everything`, with those that were removed or have ended."""
    bound = {"list": name or "", "everything": int(everything), "now": micros(now), "limit": limit}
    return [_item(row) for row in connection.execute(text(_SELECT), bound).mappings()]


def _take_off(connection: Connection, name: str, value: str, by: str, reason: str, at: int) -> bool:
    row = {"list": name, "value": value, "by": by, "why": f"\nremoved: {reason}", "at": at}
    return connection.execute(_end, row).rowcount > 0


def _moment(connection: Connection, now: datetime) -> int:
    """Return a time later than any change before, so that every change gives the lists another version."""
    if connection.dialect.name == "postgresql":
        connection.execute(_lock, {"lock": _LOCK})
    before: list[int] = [each for each in connection.execute(_last).one() if each is not None]
    return max(micros(now), *(each + 1 for each in before), 0)


def _log(
    connection: Connection,
    kind: str,
    name: str,
    values: Sequence[str],
    by: str,
    reason: str,
    now: datetime,
    more: Payload = MappingProxyType({}),
) -> None:
    digest = hashlib.sha256("".join(f"{value!r}\n" for value in sorted(values)).encode()).hexdigest()
    payload: Payload = {
        **more,
        "list": name,
        "count": len(values),
        "values_digest": digest,
        "by": by,
        "reason_digest": digest_of(reason),
    }
    append(connection, now, kind, payload)


def _item(row: RowMapping) -> StoredItem:
    times = {name: row[name] for name in ("added_at", "expires_at", "removed_at")}
    return StoredItem(**{**row, **{name: None if at is None else from_micros(at) for name, at in times.items()}})
