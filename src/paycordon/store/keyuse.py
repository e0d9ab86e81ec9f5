"""What is stored under which identifier key, and so which keys may be taken off the configuration.

A digest under a key that is not configured matches nothing and nobody is told: no event is looked up under it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import Connection, text

from paycordon.coalition.sealing import key_of
from paycordon.store.counting import counting_among
from paycordon.store.prepared import Prepared
from paycordon.store.schema import from_micros, micros

# What stands before the colon and the 64 hexadecimal digits.
_KEY = "substr({0}, 1, length({0}) - 65)"
_COUNTS = "withdrawn_at IS NULL AND (valid_until IS NULL OR valid_until > :now)"
# What is said under the current key too does not need the other one: `store.formerly` says so of both.
_AGAIN = (
    "EXISTS (SELECT 1 FROM indicators t "  # noqa: S608  # no values
    "WHERE t.source = i.source AND t.reference = i.reference AND t.kind = i.kind "
    f"AND t.withdrawn_at IS NULL AND {_KEY.format('t.digest')} {{0}})"
)
_indicators = Prepared(
    text(
        f"SELECT {_KEY.format('digest')}, COUNT(*), MAX(changed_at) FROM indicators i "  # noqa: S608  # no values
        f"WHERE {_COUNTS} AND ({_KEY.format('digest')} = :current OR NOT {_AGAIN.format('= :current')}) GROUP BY 1"
    )
)
_standing = Prepared(
    text(
        "SELECT DISTINCT u.key FROM holds h JOIN uses u ON u.decision_id = h.decision_id "
        "WHERE h.released_at IS NULL AND u.kind = 'indicator'"
    )
)
_sightings = Prepared(
    text(f"SELECT {_KEY.format('digest')}, COUNT(*), MAX(last_seen) FROM sightings GROUP BY 1")  # noqa: S608
)
_facts = Prepared(
    text(
        f"SELECT {_KEY.format('key')}, COUNT(*), MAX(occurred_at) FROM facts "  # noqa: S608  # no values
        "WHERE key LIKE 'identifier.%' GROUP BY 1"
    )
)
_cleared = Prepared(
    text(
        "SELECT rule, until FROM snoozes WHERE ended_at IS NULL AND until > :now "
        "AND (rule LIKE 'indicators/%' OR rule LIKE 'names/%')"
    )
)
# Of each message that waits, what stands before its sealed words: a key's id has 63 characters at most.
_sealed = Prepared(text("SELECT substr(body, 1, 80) FROM exchange_messages WHERE body LIKE 'sealed:%'"))
_of_cleared = re.compile(r"#([^#:]+):[0-9a-f]{64}(?:@|$)")
# SQLite compares texts by their bytes, so that each key's digests lie side by side and one step leads past them.
_next = Prepared(text("SELECT digest FROM indicators WHERE digest >= :after ORDER BY digest LIMIT 1"))
_ids = Prepared(text(f"SELECT DISTINCT {_KEY.format('digest')} FROM indicators"))  # noqa: S608
_counting = Prepared(
    text(
        f"SELECT COUNT(*) FROM indicators i WHERE {_KEY.format('digest')} = :key AND {_COUNTS} "  # noqa: S608
        f"AND NOT {_AGAIN.format('<> :key')}"
    )
)


class Advice(StrEnum):
    """What may be done with a key.

    `current`: new digests are made with it. `needed`: something under it would match no more without it. `fading`:
    only what was seen under it, which loses its meaning by itself. `unused`: it may be taken off the configuration.
    `shared`: the coalition has it in common, and says when it is over.
    `missing`: it is not configured, and what is stored under it matches nothing or cannot be read.
    """

    CURRENT = "current"
    NEEDED = "needed"
    FADING = "fading"
    UNUSED = "unused"
    SHARED = "shared"
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class KeyUse:
    """What is stored under one key.

    Attributes:
        key: its id.
        indicators: how many that count are under it, and are not said under the current key as well.
        changed_at: when the newest of them was taken in, UTC.
        sightings: how often merchants were seen with an identifier under it; links and matches rest on that.
        facts: how many entries of windows by identifier are under it.
        seen_at: when the newest of both was, UTC.
        cleared: how many indicators, and entries of lists of names, people have cleared for a merchant under it.
        held: how many indicators under it are behind holds in force, which a correction would no longer find.
        sealed: how many messages to others wait whose words are sealed under it.
        advice: what may be done with the key.
        fades_at: when what was seen under it has lost its meaning, UTC.
    """

    key: str
    indicators: int
    changed_at: datetime | None
    sightings: int
    facts: int
    seen_at: datetime | None
    cleared: int
    held: int
    sealed: int
    advice: Advice
    fades_at: datetime | None


def key_uses(
    connection: Connection,
    configured: Collection[str],
    current: str,
    now: datetime,
    fades_after: timedelta,
    shared: Collection[str] = (),
) -> list[KeyUse]:
    """Count, by key, what is stored; reads each table once, which takes a while where there are millions of rows.

    Args:
        connection: to the store.
        configured: the ids of the configured keys.
        current: the id of the one that new digests are made with.
        now: the time, UTC.
        fades_after: for how long a sighting means something.
        shared: the ids of those that the coalition shares.
    """
    at = {"now": micros(now)}
    said = _indicators(connection, {**at, "current": current})
    indicators = {key: (count, newest) for key, count, newest in said}
    sightings = {key: (count, newest) for key, count, newest in _sightings(connection)}
    facts: dict[str, tuple[int, int]] = {}
    for place, count, newest in _facts(connection):
        key = place.rpartition(":")[2]
        before = facts.get(key, (0, newest))
        facts[key] = before[0] + count, max(before[1], newest)
    cleared = [found[1] for rule, _ in _cleared(connection, at) if (found := _of_cleared.search(rule))]
    held = _behind_holds(connection)
    sealed = [key for begins in _sealed(connection).scalars() if (key := key_of(begins))]
    used = {key for key in (*indicators, *sightings, *facts, *cleared, *held, *sealed) if key}
    return [
        _use(
            key,
            indicators.get(key, (0, None)),
            sightings.get(key, (0, 0)),
            facts.get(key, (0, 0)),
            (cleared.count(key), held.count(key), sealed.count(key)),
            (key in configured, key == current, key in shared),
            now,
            fades_after,
        )
        for key in sorted({*used, *configured})
    ]


def _behind_holds(connection: Connection) -> list[str]:
    """Return the key of each indicator that counts and that a hold in force rests on."""
    used: dict[str, set[tuple[str, str]]] = {}
    for name in _standing(connection).scalars():
        digest, source, reference = json.loads(name)
        used.setdefault(source, set()).add((digest, reference))
    counting = (counting_among(connection, source, names) for source, names in used.items())
    return [digest[:-65] for names in counting for digest, _ in names]


def unconfigured(connection: Connection, configured: Collection[str], now: datetime) -> dict[str, int]:
    """Return, by key that is not configured, how many indicators count under it: they match nothing."""
    strange = [key for key in _key_ids(connection) if key not in configured]
    counts = {key: _counting(connection, {"key": key, "now": micros(now)}).scalar() for key in strange}
    return {key: count for key, count in counts.items() if count}


def _key_ids(connection: Connection) -> list[str]:
    if connection.dialect.name != "sqlite":
        return sorted(_ids(connection).scalars())
    found: list[str] = []
    after = ""
    while digest := _next(connection, {"after": after}).scalar():
        key = digest[:-65]
        found.append(key)
        after = f"{key};"  # the character after the colon
    return found


def _use(
    key: str,
    indicators: tuple[int, int | None],
    sightings: tuple[int, int],
    facts: tuple[int, int],
    people: tuple[int, int, int],
    standing: tuple[bool, bool, bool],
    now: datetime,
    fades_after: timedelta,
) -> KeyUse:
    seen = max(sightings[1], facts[1])
    fades = from_micros(seen) + fades_after if seen else None
    is_configured, is_current, is_shared = standing
    if not is_configured:
        advice = Advice.MISSING
    elif is_current:
        advice = Advice.CURRENT
    elif is_shared:
        advice = Advice.SHARED
    elif indicators[0] or any(people):
        advice = Advice.NEEDED
    else:
        advice = Advice.FADING if fades is not None and fades > now else Advice.UNUSED
    changed = None if indicators[1] is None else from_micros(indicators[1])
    seen_at = from_micros(seen) if seen else None
    return KeyUse(key, indicators[0], changed, sightings[0], facts[0], seen_at, *people, advice, fades)
