"""What really was decided while a keep-open request was in force, beside the decision that everybody else sees.

While it counts, a decision that would stop its subject is recorded as if what stops it had not been found (see
`paycordon.covering`); the real one goes here, in the same transaction, and into a case that only the role sees.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

from paycordon.decisions import Decision
from paycordon.events import Event
from paycordon.ids import Randomness, new_id
from paycordon.record import restricted
from paycordon.record.log import digest_of
from paycordon.store.prepared import Prepared
from paycordon.store.schema import from_micros, micros

_insert = Prepared(
    text(
        "INSERT INTO covert (decision_id, directive_id, merchant, outcome, body, at, noted) "
        "VALUES (:decision, :directive, :merchant, :outcome, :body, :at, 0)"
    )
)
_case = Prepared(
    text("SELECT id FROM cases WHERE merchant = :merchant AND closed_at IS NULL AND restricted = 1 ORDER BY id")
)
_new_case = Prepared(
    text(
        "INSERT INTO cases (id, merchant, opened_at, state, priority, restricted) "
        "VALUES (:id, :merchant, :at, 'open', 0, 1)"
    )
)
_event = Prepared(
    text(
        "INSERT INTO case_events (case_id, at, kind, decision_id, actor, note) "
        "VALUES (:case, :at, :kind, :decision, :actor, :note)"
    )
)
_unnoted = Prepared(
    text(
        "SELECT decision_id, directive_id, merchant, outcome, body FROM covert WHERE noted = 0 "
        "ORDER BY at, decision_id LIMIT 1"
    )
)
_noted = Prepared(text("UPDATE covert SET noted = 1 WHERE decision_id = :decision AND noted = 0"))
_of_directive = text(
    "SELECT c.decision_id, c.outcome, c.body, c.at, c.settled_at, c.settled FROM covert c "
    "WHERE c.directive_id = :directive ORDER BY c.at, c.decision_id"
)
_pending = text(
    "SELECT c.decision_id, c.directive_id, c.merchant, c.body AS real, e.body AS event FROM covert c "
    "JOIN directives o ON o.id = c.directive_id AND o.ended_at IS NOT NULL "
    "JOIN decisions d ON d.id = c.decision_id JOIN events e ON e.instance = d.instance AND e.id = d.event_id "
    "WHERE c.settled_at IS NULL AND c.noted = 1 ORDER BY c.at, c.decision_id LIMIT :page"
)
_settle = Prepared(
    text("UPDATE covert SET settled_at = :now, settled = :settled WHERE decision_id = :decision AND settled_at IS NULL")
)
_timeline = text(
    "SELECT v.at, v.kind, v.decision_id, v.actor, v.note FROM case_events v JOIN cases c ON c.id = v.case_id "
    "WHERE c.merchant = :merchant AND c.restricted = 1 ORDER BY v.at, v.id"
)


@dataclass(frozen=True, slots=True)
class Covert:
    """A real decision that only the role `restricted` sees; `settled` says what became of it after the directive."""

    decision: Decision
    settled_at: datetime | None
    settled: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class Waiting:
    """A real decision whose directive has ended; none of `event` where its text was erased."""

    decision_id: str
    directive_id: str
    merchant: str
    decision: Decision
    event: Event | None


def record(connection: Connection, directive: str, decision: Decision, now: datetime) -> None:
    """Keep a real decision for the role `restricted`.

    One row and no more, so that a screening which hides something takes no longer than one that opens a case; a worker
    does the rest, see `note_one`.
    """
    row = {"decision": decision.id, "directive": directive, "merchant": decision.merchant, "at": micros(now)}
    _insert(connection, {**row, "outcome": decision.outcome.value, "body": decision.model_dump_json()})


def any_to_note(connection: Connection) -> bool:
    """Tell, without locking anything, whether real decisions wait to be noted."""
    return _unnoted(connection, {}).first() is not None


def note_one(connection: Connection, now: datetime, randomness: Randomness) -> bool:
    """Put the oldest real decision that was not noted yet into the restricted log and case, once; false if none is."""
    row = _unnoted(connection, {}).first()
    if row is None:
        return False
    id_, directive, merchant, outcome, body = row
    if _noted(connection, {"decision": id_}).rowcount != 1:
        return False
    note(connection, merchant, now, randomness, "decision", decision=id_)
    said = {"decision": id_, "directive": directive, "outcome": outcome, "digest": digest_of(body)}
    restricted.append(connection, now, "covert.decision", said)
    return True


def note(
    connection: Connection,
    merchant: str,
    now: datetime,
    randomness: Randomness,
    kind: str,
    *,
    decision: str | None = None,
    actor: str | None = None,
    text_: str | None = None,
) -> str:
    """Add a line to the merchant's restricted case, opening one if there is none; returns its id."""
    case: str | None = _case(connection, {"merchant": merchant}).scalar()
    if case is None:
        case = new_id("case", now, randomness)
        _new_case(connection, {"id": case, "merchant": merchant, "at": micros(now)})
    line = {"case": case, "at": micros(now), "kind": kind, "decision": decision, "actor": actor, "note": text_}
    _event(connection, line)
    return case


def of_directive(connection: Connection, directive: str) -> Sequence[Covert]:
    """Return the real decisions that a directive covers, in order."""
    return [
        Covert(
            Decision.model_validate_json(row.body),
            None if row.settled_at is None else from_micros(row.settled_at),
            None if row.settled is None else json.loads(row.settled),
        )
        for row in connection.execute(_of_directive, {"directive": directive})
    ]


def timeline(connection: Connection, merchant: str) -> Sequence[Mapping[str, Any]]:
    """Return what happened in the merchant's restricted cases, in order."""
    rows = connection.execute(_timeline, {"merchant": merchant}).mappings()
    return [{**row, "at": from_micros(row["at"])} for row in rows]


def waiting(connection: Connection, size: int) -> Sequence[Waiting]:
    """Return real decisions whose directives have ended, the oldest first."""
    rows = connection.execute(_pending, {"page": size})
    return [
        Waiting(
            row.decision_id,
            row.directive_id,
            row.merchant,
            Decision.model_validate_json(row.real),
            Event.model_validate_json(row.event) if row.event else None,
        )
        for row in rows
    ]


def settle(connection: Connection, decision: str, what: Mapping[str, Any], now: datetime) -> bool:
    """Write down what became of a real decision; false if another worker has done so already."""
    row = {"decision": decision, "now": micros(now), "settled": json.dumps(what, sort_keys=True)}
    return _settle(connection, row).rowcount == 1
