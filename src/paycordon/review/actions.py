"""What people do with cases. Each takes who does it and why, and leaves a line in the case and an entry in the log."""

from __future__ import annotations

import json
from datetime import datetime

from sqlalchemy import Connection

from paycordon.errors import Conflict
from paycordon.people import Person, Role
from paycordon.record.apart import digest_apart
from paycordon.record.log import append
from paycordon.store import cases, clocks, holds
from paycordon.store.cases import Case, State
from paycordon.store.clocks import NewClock
from paycordon.store.schema import micros

_WARN_AHEAD = 0.2


def assign(connection: Connection, case_id: str, to: str, *, by: Person, reason: str, now: datetime) -> Case:
    """Say who works on a case.

    Raises:
        Forbidden, NotFound, Conflict: as all actions: the person may not, there is no such case, it is closed.
    """
    case = _open(connection, case_id, by)
    cases.change(connection, case, assignee=to)
    note = f"to {to}: {reason}" if reason else f"to {to}"
    return _done(connection, case, "assign", note, by, now, {"to": to})


def note(connection: Connection, case_id: str, *, by: Person, text: str, now: datetime) -> Case:
    """Add a note; to a closed case too."""
    by.require(Role.ANALYST)
    return _done(connection, cases.get(connection, case_id), "note", text, by, now)


def attach(
    connection: Connection, case_id: str, *, reference: str, sha256: str | None, by: Person, text: str, now: datetime
) -> Case:
    """Note where something is kept that belongs to the case: its address or ticket and its digest, never its content.

    Args:
        connection: a transaction for writing.
        case_id: the case.
        reference: a URI or the id of a ticket.
        sha256: the digest of what is there, in hexadecimal; none if it has no fixed content.
        by: who attaches it.
        text: what it is.
        now: the time, UTC.
    """
    by.require(Role.ANALYST)
    detail = {"reference": reference, "sha256": sha256}
    return _done(connection, cases.get(connection, case_id), "attachment", text, by, now, detail)


def uphold(
    connection: Connection, case_id: str, *, by: Person, reason: str, now: datetime, review_at: datetime
) -> Case:
    """Close a case because what was decided stands: its holds stay, and each gets a new review date.

    A hold stands until a person releases it; that it was looked at once does not make it stand unseen for ever.
    """
    case = _open(connection, case_id, by)
    for hold in holds.listed(connection, merchant=case.merchant):
        ahead = review_at - (review_at - now) * _WARN_AHEAD
        clocks.start(
            connection,
            NewClock("hold", hold.id, case.merchant, "review", f"upheld by {by.name}", review_at, ahead),
            now,
        )
    return _close(connection, case, "uphold", by, reason, now, {"review_at": review_at.isoformat()})


def close_unheld(connection: Connection, case_id: str, *, by: Person, reason: str, now: datetime) -> Case:
    """Close a case with the resolution `release` when nothing is held (any more).

    Raises:
        Conflict: something is still held; its release closes the case.
    """
    case = _open(connection, case_id, by)
    if holds.listed(connection, merchant=case.merchant, limit=1):
        raise Conflict(f"the merchant of `{case_id}` is still held; release the holds, which closes the case")
    return _close(connection, case, "release", by, reason, now)


def request_information(connection: Connection, case_id: str, *, by: Person, reason: str, now: datetime) -> Case:
    """Let a case wait for somebody's answer; whatever happens next opens it again."""
    return _move(connection, case_id, State.WAITING, "request_information", by, reason, now)


def escalate(connection: Connection, case_id: str, *, by: Person, reason: str, now: datetime) -> Case:
    """Raise a case to others: it becomes more urgent by one."""
    case = _open(connection, case_id, by)
    cases.change(connection, case, state=State.ESCALATED.value, priority=max(case.priority - 1, cases.URGENT))
    return _done(connection, case, "escalate", reason, by, now)


def resume(connection: Connection, case_id: str, *, by: Person, reason: str, now: datetime) -> Case:
    """Take up a case that waited or was escalated."""
    return _move(connection, case_id, State.OPEN, "resume", by, reason, now)


def reopen(connection: Connection, case_id: str, *, by: Person, reason: str, now: datetime) -> Case:
    """Open a closed case again.

    Raises:
        Conflict: it is not closed, or the merchant has an open case already; names that one.
    """
    by.require(Role.ANALYST)
    case = cases.get(connection, case_id)
    if case.state is not State.CLOSED:
        raise Conflict(f"the case `{case_id}` is not closed")
    others = cases.queue(connection, merchant=case.merchant, limit=1)
    if others:
        raise Conflict(f"the merchant has an open case already, `{others[0].id}`; go on there")
    cases.change(connection, case, state=State.OPEN.value, closed_at=None, closed_by=None, resolution=None)
    return _done(connection, case, "reopen", reason, by, now)


def _move(
    connection: Connection, case_id: str, state: State, action: str, by: Person, reason: str, now: datetime
) -> Case:
    case = _open(connection, case_id, by)
    cases.change(connection, case, state=state.value)
    return _done(connection, case, action, reason, by, now)


def _close(
    connection: Connection,
    case: Case,
    resolution: str,
    by: Person,
    reason: str,
    now: datetime,
    detail: dict[str, str | None] | None = None,
) -> Case:
    closed = State.CLOSED.value
    cases.change(connection, case, closed_at=micros(now), closed_by=by.name, resolution=resolution, state=closed)
    clocks.stop(connection, case.id, now)
    return _done(connection, case, resolution, reason, by, now, detail)


def _open(connection: Connection, case_id: str, by: Person) -> Case:
    by.require(Role.ANALYST)
    case = cases.get(connection, case_id)
    if case.state is State.CLOSED:
        raise Conflict(f"the case `{case_id}` is closed; reopen it first")
    return case


def _done(
    connection: Connection,
    case: Case,
    action: str,
    reason: str,
    by: Person,
    now: datetime,
    detail: dict[str, str | None] | None = None,
) -> Case:
    """Add the line and the entry, and return the case as it is now."""
    stored = None if detail is None else json.dumps(detail, sort_keys=True)
    cases.add_event(connection, case.id, now, action, actor=by.name, note=reason, detail=stored)
    entry: dict[str, str | int | list[str] | None] = {
        "case": case.id,
        "by": by.name,
        "reason_digest": digest_apart(connection, case.id, reason),
    }
    if stored is not None:
        entry["detail_digest"] = digest_apart(connection, case.id, stored)
    append(connection, now, f"case.{action}", entry)
    return cases.get(connection, case.id)
