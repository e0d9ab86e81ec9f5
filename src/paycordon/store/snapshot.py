"""Read what the store knows before an event is judged, in one consistent transaction."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

from paycordon.coalition.identifiers import Leads
from paycordon.coalition.indicators import Standards
from paycordon.context import Context, KnownIdentifier, SharedIdentifier, Snooze
from paycordon.decisions import Outcome, Scope
from paycordon.events import SCREENED_STAGES, Event, Subject
from paycordon.gateways import Restriction
from paycordon.links import SHARED_KINDS
from paycordon.store.hits import Knows, hits, padded, with_list
from paycordon.store.links import near_blocks
from paycordon.store.prepared import Prepared
from paycordon.store.schema import day_of, from_micros, micros

MAX_MERCHANT = 255

_origin = Prepared(
    text(
        "SELECT (SELECT merchant FROM accounts WHERE instance = :instance AND account = :account), "
        "(SELECT body FROM decisions WHERE instance = :instance AND event_id = :event), "
        "(SELECT body FROM events WHERE instance = :instance AND id = :event), "
        "COALESCE((SELECT MAX(seq) FROM log), 0), "
        "COALESCE((SELECT MAX(position) FROM indicator_batches), 0), (SELECT hash FROM log WHERE seq = :marked)"
    )
)
# With it the keep-open request that covers the account, if one does: asked about everybody, so that nobody stands out.
_seq = Prepared(
    text(
        "SELECT (SELECT seq FROM merchants WHERE merchant = :merchant), "
        "(SELECT MIN(id) FROM directives WHERE merchant = :merchant AND kind = 'keep_open' AND ended_at IS NULL "
        "AND starts_at <= :now AND ends_at > :now AND scope IN ('', :scope)), "
        "(SELECT MAX(answered_at) FROM inquiries WHERE merchant = :merchant)"
    )
)
# The newest only: a merchant with thousands of identifiers must not slow its own decisions.
MOST_KNOWN = 128
_known = Prepared(
    text(
        "SELECT kind, digest, first_seen, last_seen, named_on FROM sightings "
        "WHERE merchant = :merchant AND named_on IS NOT NULL ORDER BY named_on DESC LIMIT :most"
    )
)
# The same under the keys that the coalition shares: what others say as digests meets a merchant by these.
_aliases = Prepared(
    text(
        "SELECT kind, digest, 0, 0, named_on FROM aliases WHERE merchant = :merchant ORDER BY named_on DESC LIMIT :most"
    )
)
_standing = Prepared(
    text(
        "SELECT DISTINCT outcome FROM holds WHERE released_at IS NULL AND merchant = :merchant "
        "AND (scope <> 'payout' OR subject_id = :subject) AND (scope <> 'outflow' OR :kind = 'payout') "
        "UNION SELECT outcome FROM holds WHERE released_at IS NULL AND instance = :instance AND account = :account "
        "AND (scope <> 'payout' OR subject_id = :subject) AND (scope <> 'outflow' OR :kind = 'payout')"
    )
)
_scopes = Prepared(
    text(
        "SELECT DISTINCT scope FROM holds WHERE released_at IS NULL AND merchant = :merchant "
        "UNION SELECT scope FROM holds WHERE released_at IS NULL AND instance = :instance AND account = :account"
    )
)
# Also rules that people have silenced: one statement, because every screening waits for each of them.
_in_force = Prepared(
    text(
        "SELECT DISTINCT outcome, NULL, NULL, NULL FROM holds WHERE released_at IS NULL AND merchant = :merchant "
        "AND (scope <> 'payout' OR subject_id = :subject) AND (scope <> 'outflow' OR :kind = 'payout') "
        "UNION ALL SELECT DISTINCT outcome, NULL, NULL, NULL FROM holds "
        "WHERE released_at IS NULL AND instance = :instance AND account = :account "
        "AND (scope <> 'payout' OR subject_id = :subject) AND (scope <> 'outflow' OR :kind = 'payout') "
        "UNION ALL SELECT 'allow', id, rule, agreed_by FROM snoozes "
        "WHERE merchant = :merchant AND ended_at IS NULL AND until > :now"
    )
)


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an event comes from.

    Attributes:
        merchant: the merchant it belongs to.
        linked: the merchant its account was linked to before; none if the account is new.
        recorded: the stored event of this id, if there is one.
        decision: the stored decision about it, if there is one.
        seq: the number of the merchant's newest event.
        seen: where the log ends; everything up to there is known, and nothing else.
        directive: the keep-open request under which it is judged, if one is in force.
        added: the position of the newest indicators that are known.
        marked: the hash of the log's entry at the position that was asked for, if there is one.
        inquired_at: when a list of terminated merchants last answered about the merchant.
    """

    merchant: str
    linked: str | None
    recorded: str | None
    decision: str | None
    seq: int
    seen: int
    directive: str | None = None
    added: int = 0
    marked: bytes | None = None
    inquired_at: datetime | None = None

    @property
    def former(self) -> str | None:
        """The merchant that the account is linked to until this event links it to another; none for no other."""
        return None if self.linked == self.merchant else self.linked


def standing_alone(instance: str, account: str) -> str:
    """Name the merchant that an account is as long as it is linked to none."""
    name = f"{instance}/{account}"
    if len(name) <= MAX_MERCHANT:
        return name
    return f"{name[: MAX_MERCHANT - 65]}#{hashlib.sha256(name.encode()).hexdigest()}"


def origin(connection: Connection, event: Event, now: datetime | None = None, mark: int = 0) -> Origin:
    """Find the merchant of an event, and whether it was seen before.

    The facilitator's own id wins; without one the account keeps the merchant it was linked to, and an account that
    was never linked stands for itself. Keep-open requests are those in force `now`; without a time none is looked for.
    `mark` is a position in the log whose entry's hash is wanted.
    """
    where = {"instance": event.instance, "account": event.account.id, "event": event.id, "marked": mark}
    linked, decision, recorded, seen, added, marked = _origin(connection, where).one()
    merchant = event.merchant.id or linked or standing_alone(event.instance, event.account.id)
    asked = {"merchant": merchant, "scope": f"{event.instance}/{event.account.id}", "now": micros(now) if now else 0}
    seq, directive, answered = _seq(connection, asked).one()
    inquired_at = None if answered is None else from_micros(answered)
    return Origin(merchant, linked, recorded, decision or None, seq or 0, seen, directive, added, marked, inquired_at)


def standing_of(connection: Connection, merchant: str, subject: Subject) -> Outcome:
    """Return the most severe outcome of the active holds on a merchant, on one account, or on one payout alone.

    Args:
        merchant: whose it is.
        subject: what is asked for; a hold of scope `payout` counts for its own payout only, one of `outflow` for all.
    """
    about = {"subject": subject.id, "kind": subject.kind.value}
    where = {"merchant": merchant, "instance": subject.instance, "account": subject.account, **about}
    return Outcome.most_severe(*(Outcome(row[0]) for row in _standing(connection, where)))


def restriction_of(connection: Connection, merchant: str, instance: str, account: str) -> Restriction:
    """Return what the active holds on a merchant or on one account ask for at the gateway."""
    rows = _scopes(connection, {"merchant": merchant, "instance": instance, "account": account})
    return Restriction.for_scopes(Scope(row[0]) for row in rows)


def context(
    connection: Connection,
    leads: Leads,
    found: Origin,
    now: datetime,
    standards: Standards | None = None,
    knows: Knows | None = None,
) -> Context:
    """Read all of a check's context but the aggregates.

    What holds the former merchant, to whom the account was linked until this event, stands in its way as well.

    Args:
        connection: in a transaction that sees one consistent state.
        leads: the event, and all digests under which its identifiers may be known.
        found: where it comes from, in the same transaction.
        now: when the screening began, UTC.
        standards: how what is known is weighed.
        knows: tells which digests are known at all (`store.lookups`); without it the indicators are asked for each.
    """
    event, merchant = leads.event, found.merchant
    standards = standards or Standards()
    known = (
        _known(connection, {"merchant": merchant, "most": MOST_KNOWN}).all() if event.stage in SCREENED_STAGES else []
    )
    aliases = _aliases(connection, {"merchant": merchant, "most": MOST_KNOWN}).all() if known and leads.shares else []
    where = {
        "merchant": merchant,
        "instance": event.instance,
        "account": event.account.id,
        "subject": event.subject.id,
        "kind": event.subject.kind.value,
        "now": micros(now),
    }
    in_force = _in_force(connection, where).all()
    before = Outcome.ALLOW
    if found.former is not None:
        before = standing_of(connection, found.former, event.subject)
    shared = _shared(connection, leads, merchant)
    return Context(
        now=now,
        merchant=merchant,
        indicators=hits(
            connection, leads, merchant, standards, now, knows, _still_known([*known, *aliases], standards, now)
        ),
        shared=shared,
        near=near_blocks(connection, shared, merchant),
        known=_seen_with(known, leads.older),
        standing=Outcome.most_severe(before, *(Outcome(row[0]) for row in in_force)),
        snoozes=tuple(Snooze(id_, rule, agreed is not None) for _, id_, rule, agreed in in_force if id_ is not None),
        inquired_at=found.inquired_at,
    )


def _still_known(rows: Sequence[tuple[Any, ...]], standards: Standards, now: datetime) -> dict[str, int]:
    """By digest, on which day the merchant was last seen with what it is still known by."""
    since = {kind: day_of(now - standards.known_by(kind)) for kind in {row[0] for row in rows}}
    return {digest: named_on for kind, digest, _, _, named_on in rows if named_on >= since[kind]}


def _seen_with(rows: Sequence[tuple[Any, ...]], older: Mapping[str, tuple[str, ...]]) -> tuple[KnownIdentifier, ...]:
    """Name what the merchant was seen with as the event names it, whatever key it was stored under."""
    current = {digest: now for now, before in older.items() for digest in before}
    if not any(row[1] in current for row in rows):
        return tuple(KnownIdentifier(k, d, from_micros(first), from_micros(last)) for k, d, first, last, _ in rows)
    found: dict[tuple[str, str], tuple[int, int]] = {}
    for kind, digest, first, last, _ in rows:
        name = (kind, current.get(digest, digest))
        start, end = found.get(name, (first, last))
        found[name] = (min(start, first), max(end, last))
    return tuple(
        KnownIdentifier(kind, digest, from_micros(first), from_micros(last))
        for (kind, digest), (first, last) in found.items()
    )


_SHARED = (
    "SELECT s.kind, s.digest, COUNT(*), SUM(CASE WHEN EXISTS (SELECT 1 FROM holds h WHERE h.merchant = s.merchant "
    "AND h.outcome = 'block' AND h.released_at IS NULL) THEN 1 ELSE 0 END) FROM sightings s "
    "WHERE s.digest IN ({digests}) AND s.merchant <> :merchant GROUP BY s.kind, s.digest ORDER BY s.digest"
)
# The same for one identifier that is stored under several digests, each merchant once.
_SHARED_ONE = (
    "SELECT COUNT(*), SUM(CASE WHEN EXISTS (SELECT 1 FROM holds h WHERE h.merchant = s.merchant "
    "AND h.outcome = 'block' AND h.released_at IS NULL) THEN 1 ELSE 0 END) FROM "
    "(SELECT DISTINCT merchant FROM sightings WHERE digest IN ({digests}) AND merchant <> :merchant) AS s"
)


def _shared(connection: Connection, leads: Leads, merchant: str) -> tuple[SharedIdentifier, ...]:
    current = {i.digest: i.digest for i in leads.event.identifiers if i.digest and i.kind in SHARED_KINDS}
    if not current:
        return ()
    current |= {before: now for now in list(current) for before in leads.older.get(now, ())}
    listed = padded(list(current))
    found: dict[str, list[tuple[str, str, int, int]]] = {}
    for row in with_list(_SHARED, len(listed))(connection, {**listed, "merchant": merchant}):
        found.setdefault(current[row[1]], []).append(row)
    return tuple(_one_shared(connection, digest, rows, merchant) for digest, rows in found.items())


def _one_shared(
    connection: Connection, digest: str, rows: Sequence[tuple[str, str, int, int]], merchant: str
) -> SharedIdentifier:
    (kind, _, others, blocked), stored = rows[0], tuple(row[1] for row in rows)
    if len(rows) > 1:
        listed = padded(stored)
        others, blocked = with_list(_SHARED_ONE, len(listed))(connection, {**listed, "merchant": merchant}).one()
    return SharedIdentifier(kind, digest, others, int(blocked), stored)
