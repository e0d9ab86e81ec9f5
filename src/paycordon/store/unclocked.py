"""Holds and cases that have no clocks yet."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, select, text

from paycordon.decisions import Decision
from paycordon.store import holds, schema
from paycordon.store.holds import Hold
from paycordon.store.schema import from_micros

_any = text(
    "SELECT EXISTS (SELECT 1 FROM holds WHERE clocked = 0) OR EXISTS (SELECT 1 FROM cases WHERE clocked = 0 "
    "AND restricted = 0)"
)


@dataclass(frozen=True, slots=True)
class OpenCase:
    """What a case's clocks depend on; `open` is false where it was closed before it got any."""

    id: str
    merchant: str
    priority: int
    opened_at: datetime
    open: bool


def waits(connection: Connection) -> bool:
    """Tell, without locking anything, whether anything has no clocks yet."""
    return bool(connection.execute(_any).scalar_one())


def take_holds(connection: Connection, limit: int) -> Iterator[tuple[Hold, timedelta | None]]:
    """Return holds without clocks, each with how long it may wait as its policy says, and mark them as having them."""
    table = schema.holds
    query = select(table.c.id).where(table.c.clocked == 0).order_by(table.c.id).limit(limit)
    ids = list(connection.execute(query.with_for_update(skip_locked=True)).scalars())
    connection.execute(table.update().where(table.c.id.in_(ids)).values(clocked=1))
    for id_ in ids:
        hold = holds.get(connection, id_)
        yield hold, _review_after(connection, hold)


def take_cases(connection: Connection, limit: int, *, merchant: str | None = None) -> Iterator[OpenCase]:
    """Return cases without clocks, or with those of another priority, and mark them as having them."""
    table = schema.cases
    query = select(table).where(table.c.clocked == 0, table.c.restricted == 0).order_by(table.c.id).limit(limit)
    if merchant is not None:
        query = query.where(table.c.merchant == merchant)
    rows = connection.execute(query.with_for_update(skip_locked=True)).all()
    connection.execute(table.update().where(table.c.id.in_([row.id for row in rows])).values(clocked=1))
    for row in rows:
        yield OpenCase(row.id, row.merchant, row.priority, from_micros(row.opened_at), row.closed_at is None)


def is_over(connection: Connection, subject_kind: str, subject_id: str) -> bool:
    """Tell whether a hold was released, a case closed or a word taken back: its deadlines mean nothing any more."""
    columns = {"hold": schema.holds.c.released_at, "case": schema.cases.c.closed_at}
    ended = (columns | {"contribution": schema.contributions.c.settled_at}).get(subject_kind)
    if ended is None:
        return False
    return connection.execute(select(ended).where(ended.table.c.id == subject_id)).scalar() is not None


def _review_after(connection: Connection, hold: Hold) -> timedelta | None:
    table = schema.decisions
    body = connection.execute(select(table.c.body).where(table.c.id == hold.decision_id)).scalar()
    if not body:
        return None
    matches = Decision.model_validate_json(body).matches
    spans = [m.review_after_s for m in matches if f"{m.policy}/{m.rule}" == hold.rule and m.review_after_s is not None]
    return timedelta(seconds=min(spans)) if spans else None
