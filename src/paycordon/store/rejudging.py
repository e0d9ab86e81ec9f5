"""What judging decisions again reads and writes: pages of a withdrawal, what is known now, cases, settled items."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pydantic import ValidationError
from sqlalchemy import Connection, text

from paycordon.decisions import Decision
from paycordon.events import Event
from paycordon.ids import Randomness
from paycordon.store import cases, indicators, uses, withdrawals
from paycordon.store.holds import Hold, of_decisions
from paycordon.store.indicators import Indicator
from paycordon.store.prepared import Prepared
from paycordon.store.schema import micros
from paycordon.store.withdrawals import How, Withdrawal


@dataclass(frozen=True, slots=True)
class Recorded:
    """A decision of a withdrawal with its event; none where the text was erased or cannot be read."""

    decision_id: str
    merchant: str
    outcome: str
    event: Event | None
    decision: Decision | None
    holds: tuple[Hold, ...]


@dataclass(frozen=True, slots=True)
class Known:
    """What is known now of that which decisions rest on.

    Attributes:
        indicators: by `uses.indicator_key`, those that were not withdrawn.
        blocked: by the digest of an identifier, the merchants that were seen with it and whose block still stands on
            something.
        withdrawn_policies: digests of policy versions that were withdrawn.
    """

    indicators: Mapping[str, Indicator] = field(default_factory=dict)
    blocked: Mapping[str, frozenset[str]] = field(default_factory=dict)
    withdrawn_policies: frozenset[str] = frozenset()


_page = Prepared(
    text(
        "SELECT d.id, d.merchant, d.outcome, e.body, d.body, i.how FROM withdrawal_items i "
        "JOIN decisions d ON d.id = i.decision_id JOIN events e ON e.instance = d.instance AND e.id = d.event_id "
        "WHERE i.withdrawal_id = :id AND i.settled_at IS NULL ORDER BY i.how, i.decision_id LIMIT :page"
    )
)
_blocked = Prepared(
    text(
        "SELECT DISTINCT h.merchant FROM sightings s JOIN holds h ON h.merchant = s.merchant "
        "AND h.outcome = 'block' AND h.released_at IS NULL WHERE s.digest = :digest AND NOT EXISTS "
        "(SELECT 1 FROM withdrawal_items i WHERE i.decision_id = h.decision_id AND i.verdict = 'unsupported')"
    )
)
_settle = Prepared(
    text(
        "UPDATE withdrawal_items SET verdict = :verdict, holds = :holds, settled_at = :now "
        "WHERE withdrawal_id = :withdrawal_id AND decision_id = :decision_id AND settled_at IS NULL"
    )
)
# The open case of a merchant, or else the newest that this decision stands in.
_case = Prepared(
    text(
        "SELECT c.id, c.closed_at, c.resolution FROM cases c WHERE c.merchant = :merchant AND c.restricted = 0 "
        "AND (c.closed_at IS NULL OR EXISTS (SELECT 1 FROM case_events e WHERE e.case_id = c.id "
        "AND e.decision_id = :decision)) ORDER BY c.closed_at IS NULL DESC, c.opened_at DESC, c.id DESC LIMIT 1"
    )
)
_reopen = Prepared(
    text(
        "UPDATE cases SET closed_at = NULL, closed_by = NULL, resolution = NULL, state = 'open', clocked = 0 "
        "WHERE id = :id"
    )
)
_raise = Prepared(text("UPDATE cases SET priority = :priority, clocked = 0 WHERE id = :id AND priority > :priority"))
_note = Prepared(
    text(
        "INSERT INTO case_events (case_id, at, kind, decision_id, actor, note, detail) "
        "VALUES (:case, :at, 'withdrawal', :decision, :actor, :note, :detail)"
    )
)


def actor(withdrawal: Withdrawal) -> str:
    """Name who releases a hold because nothing supports it any more."""
    return f"withdrawal {withdrawal.id}"


def page(connection: Connection, withdrawal_id: str, size: int) -> list[Recorded]:
    """Read decisions that were not judged again yet, those first that others may rest on.

    What rests on another merchant's block comes alone: it may rest on what was settled just before it.
    """
    found = _page(connection, {"id": withdrawal_id, "page": size}).all()
    rows = [row for row in found if row[5] != How.SHARED] or found[:1]
    held: dict[str, list[Hold]] = {}
    for hold in of_decisions(connection, [row[0] for row in rows]):
        held.setdefault(hold.decision_id or "", []).append(hold)
    return [
        Recorded(id_, merchant, outcome, _event(event), _decision(decision), tuple(held.get(id_, ())))
        for id_, merchant, outcome, event, decision, _ in rows
    ]


def known(connection: Connection, recorded: Iterable[Recorded]) -> Known:
    """Read what is known now of all that these decisions rest on."""
    found = [finding for each in recorded if each.decision is not None for finding in each.decision.findings]
    keys = {key for finding in found if (key := uses.named_in(finding)) is not None}
    shared = {digest for finding in found for digest in uses.shared_in(finding)}
    counting = ((key, indicators.counting(connection, *json.loads(key))) for key in sorted(keys))
    return Known(
        {key: indicator for key, indicator in counting if indicator is not None},
        {digest: frozenset(_blocked(connection, {"digest": digest}).scalars()) for digest in sorted(shared)},
        withdrawals.withdrawn_policies(connection),
    )


def settle(connection: Connection, row: Mapping[str, Any], now: datetime) -> bool:
    """Write down the verdict on a decision; false if another worker has done so already."""
    return _settle(connection, {**row, "now": micros(now)}).rowcount == 1


def case_for(
    connection: Connection, recorded: Recorded, now: datetime, randomness: Randomness, *, urgent: bool, needed: bool
) -> str | None:
    """Return the case to speak in: an open one, one that is opened again, or a new one if that is `needed`.

    A case that ended in a release stays closed unless it is needed: nothing was done to the merchant in the end.
    """
    found = _case(connection, {"merchant": recorded.merchant, "decision": recorded.decision_id}).first()
    if found is None and not needed:
        return None
    if found is None:
        case = cases.open_for(connection, recorded.merchant, now, randomness)
    else:
        case, closed_at, resolution = found
        if closed_at is not None and resolution == "release" and not needed:
            return None
        if closed_at is not None:
            _reopen(connection, {"id": case})
    if urgent:
        _raise(connection, {"id": case, "priority": cases.PRESSING})
    return str(case)


def note(
    connection: Connection,
    case: str,
    decision: str,
    by: str,
    text_: str,
    holds: Sequence[Mapping[str, Any]],
    now: datetime,
) -> None:
    """Add a line to a case: what was withdrawn, and the verdict on each hold."""
    detail = json.dumps({"holds": list(holds)})
    row = {"case": case, "at": micros(now), "decision": decision, "actor": by, "note": text_, "detail": detail}
    _note(connection, row)


def _event(body: str) -> Event | None:
    try:
        return Event.model_validate_json(body)
    except ValidationError:
        return None


def _decision(body: str) -> Decision | None:
    try:
        return Decision.model_validate_json(body)
    except ValidationError:
        return None
