"""Cases: what a person reviews about one merchant, and what happened in it."""

from __future__ import annotations

import secrets
from datetime import datetime

from sqlalchemy import Connection, text

from paycordon.ids import Randomness, new_id
from paycordon.store.prepared import Prepared
from paycordon.store.schema import micros

ORDINARY = 2
"""The priority of a case that nothing makes more urgent; 0 is the most urgent."""

_open = Prepared(
    text("SELECT id FROM cases WHERE merchant = :merchant AND closed_at IS NULL AND restricted = 0 ORDER BY id")
)
_new = Prepared(
    text(
        "INSERT INTO cases (id, merchant, opened_at, state, priority, restricted) "
        "VALUES (:id, :merchant, :at, 'open', :priority, 0)"
    )
)
_event = Prepared(
    text(
        "INSERT INTO case_events (case_id, at, kind, decision_id, actor, note) "
        "VALUES (:case_id, :at, :kind, :decision_id, :actor, :note)"
    )
)


def open_for(connection: Connection, merchant: str, now: datetime, randomness: Randomness) -> str:
    """Return the merchant's open case, opening one if there is none."""
    case: str | None = _open(connection, {"merchant": merchant}).scalar()
    if case is None:
        case = new_id("case", now, randomness)
        _new(connection, {"id": case, "merchant": merchant, "at": micros(now), "priority": ORDINARY})
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
