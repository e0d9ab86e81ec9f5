"""Notices: what a merchant is to be told about a hold, and whether they were."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, RowMapping, select

from paycordon.errors import Conflict, NotFound
from paycordon.record.log import append
from paycordon.store import clocks, schema
from paycordon.store.clocks import NewClock
from paycordon.store.holds import Hold
from paycordon.store.schema import from_micros, micros

_table = schema.notices


@dataclass(frozen=True, slots=True)
class Notice:
    """A notice as it is stored; times are UTC, `fields` are those of a statement of reasons."""

    id: str
    merchant: str
    subject_id: str
    kind: str
    language: str
    text: str
    fields: Mapping[str, str]
    created_at: datetime
    due_at: datetime | None
    sent_at: datetime | None
    sent_by: str | None


def write(
    connection: Connection,
    hold: Hold,
    language: str,
    text: str,
    fields: Mapping[str, str],
    due_at: datetime,
    now: datetime,
) -> bool:
    """Keep a hold's notice, with a clock for when the merchant must have it; returns whether there was none yet."""
    id_ = f"notice_{hold.id.removeprefix('hold_')}"  # one for each hold, whoever writes it
    if connection.execute(select(_table.c.id).where(_table.c.id == id_)).first() is not None:
        return False
    row = {
        "id": id_,
        "merchant": hold.merchant,
        "subject_id": hold.id,
        "kind": "restriction",
        "language": language,
        "text": text,
        "fields": json.dumps(dict(fields), ensure_ascii=False),
        "created_at": micros(now),
        "due_at": micros(due_at),
    }
    connection.execute(_table.insert().values(row))
    clocks.start(connection, NewClock("notice", id_, hold.merchant, "notice", "notices.within", due_at), now)
    return True


def says_it_already(connection: Connection, hold: Hold, text: str) -> bool:
    """Tell whether the merchant is told just this already, for another hold on the same account that still stands."""
    other = schema.holds
    query = (
        select(_table.c.id)
        .join(other, other.c.id == _table.c.subject_id)
        .where(
            _table.c.text == text,
            other.c.id != hold.id,
            other.c.merchant == hold.merchant,
            other.c.instance == hold.instance,
            other.c.account == hold.account,
            other.c.released_at.is_(None),
        )
    )
    return connection.execute(query.limit(1)).first() is not None


def get(connection: Connection, notice_id: str) -> Notice:
    """Return one notice.

    Raises:
        NotFound: there is none of that id.
    """
    row = connection.execute(select(_table).where(_table.c.id == notice_id)).mappings().one_or_none()
    if row is None:
        raise NotFound(f"there is no notice `{notice_id}`")
    return _notice(row)


def listed(
    connection: Connection, *, merchant: str | None = None, everything: bool = False, limit: int = 1_000
) -> Sequence[Notice]:
    """Return notices, those due first; without `everything` only what was not sent."""
    query = select(_table).order_by(_table.c.due_at, _table.c.id).limit(limit)
    if not everything:
        query = query.where(_table.c.sent_at.is_(None))
    if merchant is not None:
        query = query.where(_table.c.merchant == merchant)
    return [_notice(row) for row in connection.execute(query).mappings()]


def sent(connection: Connection, notice_id: str, by: str, now: datetime) -> None:
    """Note that a merchant was told, and stop the clock.

    Raises:
        NotFound: there is no such notice.
        Conflict: it was sent before.
    """
    get(connection, notice_id)
    unsent = (_table.c.id == notice_id, _table.c.sent_at.is_(None))
    values = {"sent_at": micros(now), "sent_by": by}
    if connection.execute(_table.update().where(*unsent).values(values)).rowcount != 1:
        raise Conflict(f"the notice `{notice_id}` was sent before")
    clocks.stop(connection, notice_id, now)
    append(connection, now, "notice.sent", {"notice": notice_id, "by": by})


def _notice(row: RowMapping) -> Notice:
    times = {name: from_micros(row[name]) if row[name] else None for name in ("created_at", "due_at", "sent_at")}
    return Notice(**{**{str(k): v for k, v in row.items()}, **times, "fields": json.loads(row["fields"])})
