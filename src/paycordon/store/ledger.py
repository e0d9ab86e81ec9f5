"""Write an event and all that follows from it in one transaction."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection, text

from paycordon.aggregates.facts import facts_of
from paycordon.coalition.lookup import key_of
from paycordon.decisions import Decision, Outcome
from paycordon.events import NAMING_STAGES, Event, IdentifierKind
from paycordon.ids import Randomness
from paycordon.record.log import append, new_salt, salted_digest
from paycordon.store import cases, confirmations, covert, holds, uses
from paycordon.store.carrying import carry_over
from paycordon.store.facts import add_facts, add_to_hours
from paycordon.store.hits import note_matches
from paycordon.store.holds import NewHold
from paycordon.store.indicator_rows import keys_since
from paycordon.store.prepared import Prepared
from paycordon.store.schema import day_of, micros
from paycordon.store.sightings import alias, sighting
from paycordon.store.snapshot import Origin
from paycordon.store.wanted import relinked, want_reconciled

_count = Prepared(
    text(
        "INSERT INTO merchants (merchant, seq) VALUES (:merchant, 1) "
        "ON CONFLICT (merchant) DO UPDATE SET seq = merchants.seq + 1 RETURNING seq"
    )
)
_link = Prepared(
    text(
        "INSERT INTO accounts (instance, account, merchant) VALUES (:instance, :account, :merchant) "
        "ON CONFLICT (instance, account) DO UPDATE SET merchant = excluded.merchant WHERE accounts.merchant = :linked"
    )
)
_event = Prepared(
    text(
        "INSERT INTO events (position, seen, instance, id, type, merchant, seq, account, occurred_at, recorded_at, "
        "body, salt) VALUES (:position, :seen, :instance, :id, :type, :merchant, :seq, :account, :occurred_at, "
        ":recorded_at, :body, :salt) ON CONFLICT (instance, id) DO NOTHING"
    )
)
_decision = Prepared(
    text(
        "INSERT INTO decisions (id, instance, event_id, merchant, outcome, decided_at, body, event_type, "
        "shadow_outcome, salt) VALUES (:id, :instance, :event_id, :merchant, :outcome, :decided_at, :body, "
        ":event_type, :shadow_outcome, :salt) "
        "ON CONFLICT (instance, event_id) DO NOTHING"
    )
)

_added = Prepared(text("SELECT COALESCE(MAX(position), 0) FROM indicator_batches"))
_STANDING_HOLD = "standing_hold"


class Superseded(Exception):  # never leaves the core; not an error of the caller
    """The merchant's history grew, or the event was recorded, since the snapshot: judge again on a new one."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What one screening wants recorded: the event (identifiers as digests), and its decision if it has one.

    `covert` is what was really decided, where a keep-open request is in force and there is something to hide. `domains`
    are those that follow from its identifiers, as digests; `shared` are the kinds of both by their digests under keys
    that the coalition shares. `coalition` are the rules that rest on what the coalition knows, as `policy/rule`.
    """

    event: Event
    origin: Origin
    decision: Decision | None
    standing: Outcome
    covert: Decision | None = None
    domains: tuple[str, ...] = ()
    shared: Mapping[str, str] = field(default_factory=dict)
    coalition: frozenset[str] = frozenset()


def record(connection: Connection, entry: Entry, now: datetime, randomness: Randomness) -> None:
    """Record an event with its decision, hold, case, log entry and the work that follows.

    Raises:
        Superseded: the snapshot is stale; nothing may be kept of this transaction.
    """
    event, merchant = entry.event, entry.origin.merchant
    seq = _count(connection, {"merchant": merchant}).scalar()
    if seq != entry.origin.seq + 1:
        raise Superseded
    former = entry.origin.former if event.account.at_gateway else None
    if entry.origin.linked != merchant and event.account.at_gateway:
        _link_account(connection, entry)
        if former is not None:
            relinked(connection, merchant, event.instance, event.account.id, now)
        # An account that appears while its merchant is held must be restricted as well, without a hold of its own.
        if entry.standing.stops:
            want_reconciled(connection, merchant, event.instance, event.account.id, now)
    body, salt = event.model_dump_json(exclude_none=True), new_salt(randomness)
    facts = facts_of(event, merchant)
    add_to_hours(connection, facts)
    sighting.many(connection, list(_sightings_of(event, merchant, entry.domains, now)))
    alias.many(connection, list(_aliases_of(event, merchant, entry.shared, now)))
    payload: dict[str, str | int | list[str] | None] = {
        "instance": event.instance,
        "event": event.id,
        "event_digest": salted_digest(salt, body),
        "merchant": merchant,
        "seq": seq,
    }
    if entry.decision is not None:
        payload |= _decide(connection, entry.decision, entry, now, randomness)
    if entry.covert is not None and entry.origin.directive is not None:
        covert.record(connection, entry.origin.directive, entry.covert, now)
    if former is not None:
        carry_over(connection, former, merchant, event.instance, event.account.id, now, randomness)
    position = append(connection, now, "event" if entry.decision is None else "decision", payload)
    # Whoever adds indicators looks for merchants with the log locked: either it finds this one's sightings, or they are
    # seen here.
    if entry.decision is not None and _meets_newer(connection, entry):
        raise Superseded
    # What carries the position comes last: on PostgreSQL everybody else waits from here on.
    row = {
        "position": position,
        "seen": entry.origin.seen,
        "instance": event.instance,
        "id": event.id,
        "type": facts.type,
        "merchant": merchant,
        "seq": seq,
        "account": event.account.id,
        "occurred_at": facts.occurred_at,
        "recorded_at": micros(now),
        "body": body,
        "salt": salt,
    }
    if _event(connection, row).rowcount == 0:
        raise Superseded
    add_facts(connection, facts, position)


def _meets_newer(connection: Connection, entry: Entry) -> bool:
    """Tell whether an indicator on what the event names counts since its snapshot, and was not met for that."""
    newest = _added(connection).scalar()
    if newest == entry.origin.added:
        return False
    named = (*(i.digest for i in entry.event.identifiers if i.digest), *entry.domains, *entry.shared)
    return not keys_since(connection, entry.origin.added, newest).isdisjoint(map(key_of, named))


def _sightings_of(
    event: Event, merchant: str, domains: Sequence[str], now: datetime
) -> Iterator[dict[str, str | int | None]]:
    """Yield what an event shows its merchant with; by what is its own, and the domains in it, the merchant is known."""
    own = event.stage in NAMING_STAGES
    when = {"at": micros(event.occurred_at), "named_on": day_of(min(event.occurred_at, now)) if own else None}
    carried = {i.digest: str(i.kind) for i in event.identifiers if i.digest}
    for digest, kind in {**dict.fromkeys(domains if own else (), IdentifierKind.DOMAIN), **carried}.items():
        yield {"digest": digest, "merchant": merchant, "kind": str(kind), **when}


def _aliases_of(
    event: Event, merchant: str, shared: Mapping[str, str], now: datetime
) -> Iterator[dict[str, str | int]]:
    """Yield what a merchant is known by from now on, as others of the coalition name it."""
    if event.stage in NAMING_STAGES:
        when = {"day": day_of(min(event.occurred_at, now))}
        for digest, kind in shared.items():
            yield {"digest": digest, "merchant": merchant, "kind": kind, **when}


def _link_account(connection: Connection, entry: Entry) -> None:
    where = {"instance": entry.event.instance, "account": entry.event.account.id, "linked": entry.origin.linked}
    # Nothing is changed when somebody has linked the account since the snapshot; what this event says of it is stale.
    if _link(connection, {**where, "merchant": entry.origin.merchant}).rowcount == 0:
        raise Superseded


def _decide(
    connection: Connection, decision: Decision, entry: Entry, now: datetime, randomness: Randomness
) -> dict[str, str | int | list[str] | None]:
    if not uses.still_as_found(connection, decision):
        raise Superseded
    body, salt = decision.model_dump_json(), new_salt(randomness)
    row = {
        "id": decision.id,
        "instance": decision.instance,
        "event_id": decision.event_id,
        "merchant": decision.merchant,
        "outcome": decision.outcome.value,
        "decided_at": micros(decision.decided_at),
        "body": body,
        "event_type": str(decision.event_type),
        "shadow_outcome": decision.shadow.outcome.value if decision.shadow else None,
        "salt": salt,
    }
    if _decision(connection, row).rowcount == 0:
        raise Superseded
    uses.write(connection, decision)
    note_matches(connection, uses.indicators_met(decision), decision.merchant, now)
    confirmations.tell(connection, decision, now, randomness)
    wanted = [m for m in decision.matches if m.outcome.stops and m.rule != _STANDING_HOLD]
    holds_ = [holds.of_match(decision, match, entry.event) for match in wanted]
    doubled = _doubled(connection, entry, decision, holds_)
    told = doubled | _told_before(connection, entry, decision)
    placed = [holds.place(connection, hold, now, randomness) for hold in holds_ if hold.rule not in doubled]
    _put_before_people(connection, decision, told, now, randomness)
    return {
        "decision": decision.id,
        "decision_digest": salted_digest(salt, body),
        "outcome": decision.outcome.value,
        "holds": placed,
        **({"caps": [cap.binding for cap in decision.caps]} if decision.caps else {}),
    }


def _doubled(connection: Connection, entry: Entry, decision: Decision, wanted: Sequence[NewHold]) -> frozenset[str]:
    """Name the rules that ask for nothing but what stands already: a hold of their own on the very same indicators.

    A merchant is known by the same identifiers at its next event as well; its standing hold is not doubled each time.
    What the event itself carries is told anew.
    """
    keys = uses.known_only(decision)
    own = {hold.rule: hold for hold in wanted if hold.rule in entry.coalition} if keys else {}
    if not own:
        return frozenset()
    return frozenset(rule for rule, hold in own.items() if holds.stands_for(connection, hold, keys))


def _told_before(connection: Connection, entry: Entry, decision: Decision) -> frozenset[str]:
    """Name the rules that ask people to look at indicators by which the merchant was put before them already."""
    reviewed = (m for m in decision.matches if m.outcome is Outcome.REVIEW)
    rules = entry.coalition.intersection(f"{match.policy}/{match.rule}" for match in reviewed)
    keys = uses.known_only(decision) if rules else []
    return rules if keys and uses.told_before(connection, decision, keys) else frozenset()


def _put_before_people(
    connection: Connection, decision: Decision, told: frozenset[str], now: datetime, randomness: Randomness
) -> None:
    if decision.outcome is Outcome.ALLOW:
        return
    said_before = not decision.caps and all(
        match.rule == _STANDING_HOLD or f"{match.policy}/{match.rule}" in told for match in decision.matches
    )
    if said_before and cases.of(connection, decision.merchant) is None:
        return  # people have looked at the hold and upheld it; its review date brings it back to them
    urgency = cases.priority_of(decision.outcome, on_coalition=holds.rests_on_coalition(decision))
    case = cases.open_for(connection, decision.merchant, now, randomness, priority=urgency)
    cases.add_event(connection, case, now, "decision", decision_id=decision.id)
    for cap in decision.caps:
        note = f"binding `{cap.binding}` has reached its cap, so that `{cap.outcome}` became `review`"
        cases.add_event(connection, case, now, "cap", decision_id=decision.id, note=note)
