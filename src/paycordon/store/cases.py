"""Cases: what a person reviews about one merchant, and what happened in it."""

from __future__ import annotations

import secrets
from datetime import datetime

from sqlalchemy import Connection, select, text

from paycordon.decisions import Outcome
from paycordon.ids import Randomness, new_id
from paycordon.store import schema
from paycordon.store.prepared import Prepared
from paycordon.store.schema import from_micros, micros

ORDINARY = 2
"""The priority of a case that nothing makes more urgent; 0 is the most urgent."""

URGENT, PRESSING = 0, 1

_open = Prepared(
    text("SELECT id FROM cases WHERE merchant = :merchant AND closed_at IS NULL AND restricted = 0 ORDER BY id")
)
_new = Prepared(
    text(
        "INSERT INTO cases (id, merchant, opened_at, state, priority, restricted) "
        "VALUES (:id, :merchant, :at, 'open', :priority, 0)"
    )
)
_press = Prepared(
    text(
        "UPDATE cases SET priority = CASE WHEN priority > :priority THEN :priority ELSE priority END, "
        "state = CASE WHEN state = 'waiting' THEN 'open' ELSE state END "
        "WHERE id = :id AND (priority > :priority OR state = 'waiting')"
    )
)
_urgent = Prepared(
    text("UPDATE cases SET priority = 0 WHERE merchant = :merchant AND closed_at IS NULL AND restricted = 0")
)
_event = Prepared(
    text(
        "INSERT INTO case_events (case_id, at, kind, decision_id, actor, note) "
        "VALUES (:case_id, :at, :kind, :decision_id, :actor, :note)"
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
    case: str | None = _open(connection, {"merchant": merchant}).scalar()
    if case is None:
        case = new_id("case", now, randomness)
        _new(connection, {"id": case, "merchant": merchant, "at": micros(now), "priority": priority})
    else:
        _press(connection, {"id": case, "priority": priority})
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
) -> None:
    """Add a line to a case's history."""
    row = {"case_id": case, "at": micros(at), "kind": kind, "decision_id": decision_id, "actor": actor, "note": note}
    _event(connection, row)


def note(connection: Connection, merchant: str, at: datetime, kind: str, text: str) -> None:
    """Add a line to the merchant's open cases, if there are any."""
    for case in _open(connection, {"merchant": merchant}).scalars():
        add_event(connection, case, at, kind, note=text)


def put_before_person(connection: Connection, merchant: str, at: datetime, kind: str, text: str) -> None:
    """Add a line to the merchant's open case, and open one if there is none: somebody has to look."""
    add_event(connection, open_for(connection, merchant, at, secrets.token_bytes), at, kind, note=text)


def make_urgent(connection: Connection, merchant: str) -> None:
    """Put the merchant's open cases before all others."""
    _urgent(connection, {"merchant": merchant})
