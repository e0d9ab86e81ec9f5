"""Read recorded decisions and their events."""

from __future__ import annotations

from sqlalchemy import Connection, select

from paycordon.decisions import Decision
from paycordon.errors import NotFound
from paycordon.events import Event
from paycordon.store import schema


def get(connection: Connection, decision_id: str) -> Decision:
    """Return one decision.

    Raises:
        NotFound: there is none of that id.
    """
    query = select(schema.decisions.c.body).where(schema.decisions.c.id == decision_id)
    body = connection.execute(query).scalar_one_or_none()
    if body is None:
        raise NotFound(f"there is no decision `{decision_id}`")
    if not body:
        raise NotFound(f"the decision `{decision_id}` was erased")
    return Decision.model_validate_json(body)


def of_event(connection: Connection, instance: str, event_id: str) -> Decision | None:
    """Return the decision about an event, if it has one."""
    table = schema.decisions
    query = select(table.c.body).where(table.c.instance == instance, table.c.event_id == event_id)
    body = connection.execute(query).scalar_one_or_none()
    return None if not body else Decision.model_validate_json(body)


def event_of(connection: Connection, instance: str, event_id: str) -> Event:
    """Return a recorded event; its identifiers are digests.

    Raises:
        NotFound: there is none of that id.
    """
    table = schema.events
    body = connection.execute(
        select(table.c.body).where(table.c.instance == instance, table.c.id == event_id)
    ).scalar_one_or_none()
    if body is None:
        raise NotFound(f"there is no event `{event_id}` at `{instance}`")
    if not body:
        raise NotFound(f"the event `{event_id}` at `{instance}` was erased")
    return Event.model_validate_json(body)
