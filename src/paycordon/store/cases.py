"""Cases: what a person reviews about one merchant, and what happened in it."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, RowMapping, func, select, text
from sqlalchemy import case as case_when

from paycordon.decisions import Outcome
from paycordon.errors import Conflict, NotFound
from paycordon.ids import Randomness, new_id
from paycordon.store import schema
from paycordon.store.prepared import Prepared
from paycordon.store.schema import from_micros, micros

ORDINARY = 2
"""The priority of a case that nothing makes more urgent; 0 is the most urgent."""

URGENT, PRESSING = 0, 1


class State(StrEnum):
    """Where a case stands: to be looked at, waiting for somebody else's answer, raised to others, or done."""

    OPEN = "open"
    WAITING = "waiting"
    ESCALATED = "escalated"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Case:
    """A case as it is stored; times are UTC.

    Attributes:
        priority: 0 is the most urgent.
        assignee: who works on it.
        resolution: `uphold` or `release`, once it is closed.
        due_at: the first deadline that runs for it, if there is one.
    """

    id: str
    merchant: str
    state: State
    priority: int
    assignee: str | None
    opened_at: datetime
    due_at: datetime | None
    closed_at: datetime | None
    closed_by: str | None
    resolution: str | None


@dataclass(frozen=True, slots=True)
class CaseEvent:
    """What happened in a case: `decision_id` is there when a decision caused it, `actor` when a person did."""

    at: datetime
    kind: str
    decision_id: str | None
    actor: str | None
    note: str | None
    detail: str | None


_open = Prepared(
    text("SELECT id FROM cases WHERE merchant = :merchant AND closed_at IS NULL AND restricted = 0 ORDER BY id")
)
_new = Prepared(
    text(
        "INSERT INTO cases (id, merchant, opened_at, state, priority, restricted) "
        "VALUES (:id, :merchant, :at, 'open', :priority, 0) "
        "ON CONFLICT (merchant) WHERE closed_at IS NULL AND restricted = 0 DO NOTHING"
    )
)
_press = Prepared(
    text(
        "UPDATE cases SET priority = CASE WHEN priority > :priority THEN :priority ELSE priority END, "
        "clocked = CASE WHEN priority > :priority THEN 0 ELSE clocked END, "  # one more urgent has less time
        "state = CASE WHEN state = 'waiting' THEN 'open' ELSE state END "
        "WHERE id = :id AND (priority > :priority OR state = 'waiting')"
    )
)
_urgent = Prepared(
    text(
        "UPDATE cases SET priority = 0, clocked = 0 "
        "WHERE merchant = :merchant AND closed_at IS NULL AND restricted = 0 AND priority > 0"
    )
)
_event = Prepared(
    text(
        "INSERT INTO case_events (case_id, at, kind, decision_id, actor, note, detail) "
        "VALUES (:case_id, :at, :kind, :decision_id, :actor, :note, :detail)"
    )
)


def priority_of(outcome: Outcome, *, on_coalition: bool) -> int:
    """Say how urgent a case is that an outcome opens; 0 is the most urgent.

    A block stops an honest merchant's whole business, and what the coalition knows may be a child in harm.
    """
    if outcome is Outcome.BLOCK or (on_coalition and outcome is not Outcome.ALLOW):
        return URGENT
    return PRESSING if outcome is Outcome.HOLD else ORDINARY


def open_for(
    connection: Connection, merchant: str, now: datetime, randomness: Randomness, *, priority: int = ORDINARY
) -> str:
    """Return the merchant's open case, opening one if there is none.

    One that is less urgent becomes as urgent, and one that waited for information is open again: something happened.
    """
    case = of(connection, merchant)
    if case is None:
        new = {"id": new_id("case", now, randomness), "merchant": merchant, "at": micros(now), "priority": priority}
        if _new(connection, new).rowcount == 1:
            return str(new["id"])
        case = str(_open(connection, {"merchant": merchant}).scalar())  # somebody else has opened it meanwhile
    _press(connection, {"id": case, "priority": priority})
    return case


def of(connection: Connection, merchant: str) -> str | None:
    """Return the merchant's open case, if there is one; there is never more than one."""
    case: str | None = _open(connection, {"merchant": merchant}).scalar()
    return case


def add_event(
    connection: Connection,
    case: str,
    at: datetime,
    kind: str,
    *,
    decision_id: str | None = None,
    actor: str | None = None,
    note: str | None = None,
    detail: str | None = None,
) -> None:
    """Add a line to a case's history; `detail` is JSON, where a note is not enough."""
    about = {"decision_id": decision_id, "actor": actor, "note": note, "detail": detail}
    _event(connection, {"case_id": case, "at": micros(at), "kind": kind, **about})


def note(connection: Connection, merchant: str, at: datetime, kind: str, text: str) -> None:
    """Add a line to the merchant's open cases, if there are any."""
    for case in _open(connection, {"merchant": merchant}).scalars():
        add_event(connection, case, at, kind, note=text)


def put_before_person(connection: Connection, merchant: str, at: datetime, kind: str, text: str) -> None:
    """Add a line to the merchant's open case, and open one if there is none: somebody has to look."""
    add_event(connection, open_for(connection, merchant, at, secrets.token_bytes), at, kind, note=text)


def lock(connection: Connection, merchant: str) -> None:
    """Have everybody else who writes about the merchant and its open cases wait until this transaction ends.

    Whoever takes these locks holds none of a clock, and has not begun to write to the log.
    """
    merchants, table = schema.merchants, schema.cases
    connection.execute(select(merchants.c.seq).where(merchants.c.merchant == merchant).with_for_update()).all()
    open_ones = (table.c.merchant == merchant, table.c.closed_at.is_(None), table.c.restricted == 0)
    connection.execute(select(table.c.id).where(*open_ones).order_by(table.c.id).with_for_update()).all()


def make_urgent(connection: Connection, merchant: str) -> None:
    """Put the merchant's open cases before all others."""
    _urgent(connection, {"merchant": merchant})


def get(connection: Connection, case_id: str) -> Case:
    """Return one case.

    Raises:
        NotFound: there is none of that id.
    """
    row = connection.execute(_selected().where(schema.cases.c.id == case_id)).mappings().one_or_none()
    if row is None:
        raise NotFound(f"there is no case `{case_id}`")
    return _case(row)


def queue(
    connection: Connection,
    *,
    states: Sequence[State] = (State.OPEN, State.ESCALATED, State.WAITING),
    merchant: str | None = None,
    assignee: str | None = None,
    limit: int = 1_000,
) -> Sequence[Case]:
    """Return cases, what is to be done first at the front: by priority, then by deadline, then by age.

    Cases that wait for somebody else's answer come after all others.
    """
    table = schema.cases
    query = _selected().where(table.c.state.in_([state.value for state in states]))
    if merchant is not None:
        query = query.where(table.c.merchant == merchant)
    if assignee is not None:
        query = query.where(table.c.assignee == assignee)
    due = _due()
    order = (table.c.state == State.WAITING.value, table.c.priority, due.is_(None), due, table.c.opened_at, table.c.id)
    return [_case(row) for row in connection.execute(query.order_by(*order).limit(limit)).mappings()]


def timeline(connection: Connection, case_id: str, *, limit: int = 10_000) -> Sequence[CaseEvent]:
    """Return what happened in a case, in order."""
    table = schema.case_events
    columns = (table.c.at, table.c.kind, table.c.decision_id, table.c.actor, table.c.note, table.c.detail)
    query = select(*columns).where(table.c.case_id == case_id).order_by(table.c.at, table.c.id).limit(limit)
    return [CaseEvent(from_micros(at), *rest) for at, *rest in connection.execute(query)]


def change(connection: Connection, case: Case, **values: str | int | None) -> None:
    """Change a case, provided that it still stands where it stood when it was read.

    Raises:
        Conflict: somebody else was faster.
    """
    table = schema.cases
    if "priority" in values or "closed_at" in values:
        values["clocked"] = 0  # it has other deadlines then
    same = (table.c.id == case.id, table.c.state == case.state.value, table.c.restricted == 0)
    if connection.execute(table.update().where(*same).values(**values)).rowcount != 1:
        raise Conflict(f"the case `{case.id}` has changed meanwhile; look at it again")


def _due() -> Any:
    clocks = schema.clocks
    running = (clocks.c.subject_id == schema.cases.c.id, clocks.c.ended_at.is_(None), clocks.c.restricted == 0)
    return select(func.min(clocks.c.due_at)).where(*running).scalar_subquery()


def _selected() -> Any:
    return select(schema.cases, _due().label("due")).where(schema.cases.c.restricted == 0)


def _case(row: RowMapping) -> Case:
    values = {name: row[name] for name in Case.__slots__ if name != "due_at"} | {"due_at": row["due"]}
    for name in ("opened_at", "closed_at", "due_at"):
        values[name] = None if values[name] is None else from_micros(values[name])
    return Case(**{**values, "state": State(row["state"])})


def reopen_latest(connection: Connection, merchant: str) -> bool:
    """Open the merchant's last case again, unless one is open; returns whether that was done."""
    if _open(connection, {"merchant": merchant}).first() is not None:
        return False
    table = schema.cases
    theirs = (table.c.merchant == merchant, table.c.restricted == 0)
    last = select(table.c.id).where(*theirs).order_by(table.c.closed_at.desc(), table.c.id.desc()).limit(1)
    case = connection.execute(last).scalar()
    if case is None:
        return False
    values = {"state": State.OPEN.value, "closed_at": None, "closed_by": None, "resolution": None, "clocked": 0}
    connection.execute(table.update().where(table.c.id == case).values(values))
    return True


def escalate(connection: Connection, merchant: str, priority: int) -> None:
    """Put the merchant's open case in front of others: at least as urgent as `priority`, 0 being the most urgent."""
    table = schema.cases
    raised = case_when((table.c.priority < priority, table.c.priority), else_=priority)
    open_ones = (table.c.merchant == merchant, table.c.closed_at.is_(None), table.c.restricted == 0)
    clocked = case_when((table.c.priority > priority, 0), else_=table.c.clocked)
    values = {"state": State.ESCALATED.value, "priority": raised, "clocked": clocked}
    connection.execute(table.update().where(*open_ones).values(values))
