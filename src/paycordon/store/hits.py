"""Which indicators an event's identifiers meet, read in the transaction that judges it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, text

from paycordon.coalition.identifiers import Leads
from paycordon.coalition.indicators import MANY, Standards
from paycordon.coalition.relations import Derived, Relation
from paycordon.context import IndicatorHit
from paycordon.store.prepared import Prepared
from paycordon.store.schema import from_day, from_micros, micros

_INDICATORS = (
    "SELECT digest, kind, source, confidence, status, reference, valid_from, valid_until, category, tlp, half_life, "
    "COALESCE(last_seen, changed_at) FROM indicators "
    "WHERE digest IN ({digests}) AND withdrawn_at IS NULL "
    "AND (valid_from IS NULL OR valid_from <= :now) AND (valid_until IS NULL OR valid_until > :now) "
    "ORDER BY digest, source, reference"
)
# Who was seen with the identifier itself, and who has met it as the domain of an address or the network of an IP.
_merchants = Prepared(
    text(
        "SELECT COUNT(*) FROM (SELECT merchant FROM sightings WHERE digest = :digest AND merchant <> :merchant UNION "
        "SELECT merchant FROM aliases WHERE digest = :digest AND merchant <> :merchant UNION "
        "SELECT merchant FROM indicator_matches WHERE digest = :digest AND merchant <> :merchant LIMIT :enough) AS m"
    )
)
# Two people say that it names somebody, however many share it (`store.confirmations`).
_confirmed = Prepared(text("SELECT 1 FROM confirmations WHERE digest = :digest AND confirmed = 1"))
_values = Prepared(
    text(
        "SELECT 1 FROM indicators WHERE source = :source AND reference = :reference AND kind = :kind "
        "AND withdrawn_at IS NULL AND digest LIKE :current LIMIT 2"
    )
)
_match = Prepared(
    text(
        "INSERT INTO indicator_matches (digest, merchant, first_at) VALUES (:digest, :merchant, :at) "
        "ON CONFLICT (digest, merchant) DO NOTHING"
    )
)


Knows = Callable[[str], bool]
"""Tells whether there may be an indicator on a digest."""


def padded(digests: Sequence[str]) -> dict[str, str]:
    """Repeat the last digest up to a power of two, so that few different statements are compiled."""
    size = 1 << (len(digests) - 1).bit_length()
    return {f"d{i}": digests[min(i, len(digests) - 1)] for i in range(size)}


@lru_cache(maxsize=64)
def with_list(sql: str, size: int) -> Prepared:
    """Return a statement that takes `size` values, `:d0` and so on, in place of `{digests}`."""
    return Prepared(text(sql.format(digests=", ".join(f":d{i}" for i in range(size)))))


def hits(
    connection: Connection,
    leads: Leads,
    merchant: str,
    standards: Standards,
    now: datetime,
    knows: Knows | None = None,
    known: Mapping[str, int] | None = None,
) -> tuple[IndicatorHit, ...]:
    """Return what counts now of all digests under which the event's identifiers, and its merchant, may be known.

    `knows` is certain only where it says no; then nothing is asked at all. `known` is by digest what the merchant was
    seen with, and on which day, from 1970, it last was; what the event carries itself is no part of it.
    """
    wanted, known = _wanted(leads), known or {}
    wanted |= {digest: Derived(digest, Relation.KNOWN) for digest in known if digest not in wanted}
    asked = list(wanted) if knows is None else [digest for digest in wanted if knows(digest)]
    if not asked:
        return ()
    listed = padded(asked)
    rows = with_list(_INDICATORS, len(listed))(connection, {**listed, "now": micros(now)}).all()
    many = {digest: _many(connection, digest, merchant, standards) for digest in {row[0] for row in rows}}
    found = (_hit(row, wanted[row[0]], leads, standards, many[row[0]]) for row in rows)
    return tuple(
        replace(hit, last_seen=from_day(known[hit.digest])) if hit.relation == Relation.KNOWN else hit
        for hit in _once(connection, tuple(found), leads.current)
    )


def note_matches(connection: Connection, digests: Sequence[str], merchant: str, now: datetime) -> None:
    """Write down which indicators a merchant has met."""
    rows = [{"digest": digest, "merchant": merchant, "at": micros(now)} for digest in sorted(set(digests))]
    _match.many(connection, rows)


def _wanted(leads: Leads) -> dict[str, Derived]:
    """By digest, to which identifier of the event it belongs, and how; its own before what follows from it."""
    wanted: dict[str, Derived] = {}
    for identifier in leads.event.identifiers:
        if (digest := identifier.digest) is not None:
            for each in (digest, *leads.older.get(digest, ())):
                wanted[each] = Derived(digest, Relation.EXACT)
    return {**leads.derived, **wanted}


def _once(connection: Connection, found: Sequence[IndicatorHit], current: str) -> Sequence[IndicatorHit]:
    """Leave out what an item says under the current key where it says the same under a former one.

    While the identifier key is being replaced, it is said of both; what people have cleared is under the former one.
    Of what a merchant is known by, only an item with one value tells that two digests are of the same.
    """
    former = {_said(hit) for hit in found if not hit.digest.startswith(f"{current}:")}

    def is_again(hit: IndicatorHit) -> bool:
        if _said(hit) not in former or not hit.digest.startswith(f"{current}:"):
            return False
        if hit.relation != Relation.KNOWN:
            return True
        item = {"source": hit.source, "reference": hit.reference, "kind": hit.kind, "current": f"{current}:%"}
        return len(_values(connection, item).all()) == 1

    return [hit for hit in found if not is_again(hit)] if former else found


def _said(hit: IndicatorHit) -> tuple[str, ...]:
    of = "" if hit.relation == Relation.KNOWN else hit.of or hit.digest
    return hit.source, hit.reference, hit.kind, hit.relation, of


def _many(connection: Connection, digest: str, merchant: str, standards: Standards) -> bool:
    asked = {"digest": digest, "merchant": merchant, "enough": standards.most_merchants}
    if int(_merchants(connection, asked).scalar()) < standards.most_merchants:
        return False
    return _confirmed(connection, {"digest": digest}).first() is None


def _hit(row: tuple[Any, ...], lead: Derived, leads: Leads, standards: Standards, many: bool) -> IndicatorHit:
    digest, kind, source, confidence, status, reference, start, end, category, tlp, half_life, fresh = row
    common = (leads.warned if lead.relation is Relation.KNOWN else leads.common).get(lead.of, "")
    return IndicatorHit(
        kind=kind,
        digest=digest,
        source=source,
        confidence=confidence,
        status=status,
        reference=reference,
        valid_from=None if start is None else from_micros(start),
        valid_until=None if end is None else from_micros(end),
        category=category,
        tlp=tlp,
        half_life_days=half_life,
        fresh_at=None if fresh is None else from_micros(fresh),
        trust=standards.trust_in(source),
        relation=lead.relation.value,
        of="" if lead.of == digest else lead.of,
        common=common or (f"{MANY} {standards.most_merchants} merchants" if many else ""),
    )
