"""What a check may know besides the event: everything was read before it runs, so a check needs no store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime

from paycordon.decisions import Outcome

__all__ = ["Context", "IndicatorHit", "KnownIdentifier", "NameHit", "NearBlock", "SharedIdentifier", "Snooze"]


def cleared_indicator(source: str, reference: str, digest: str, status: str, confidence: int) -> str:
    """Name an indicator that people have looked at, as its source states it; kept as the `rule` of a snooze.

    What the source states anew has another name, and is not cleared.
    """
    return f"indicators/{source}/{reference}#{digest}@{status}/{confidence}"


@dataclass(frozen=True, slots=True)
class IndicatorHit:
    """An identifier of the event, or one that its merchant is known by, that the coalition knows.

    Attributes:
        confidence: between 0 and 100, as its source says; `coalition.confidence` says what it comes to.
        half_life_days: in so many days after `fresh_at` it loses half of its weight; none if it loses nothing.
        fresh_at: when it was last known to be true.
        trust: how far the deployment trusts its source, between 0 and 100.
        relation: how it belongs to the event: `exact`, `domain`, `network` or `known` (see
            `coalition.identifiers.Relation`).
        of: the digest of the event's identifier that it belongs to, when that is another than its own.
        common: why it names no one in particular, if it does not: what the warning list says, or how many match it.
        last_seen: on which day, UTC, the merchant was last seen with it; none if the event itself carries it.
    """

    kind: str
    digest: str
    source: str
    confidence: int
    status: str
    reference: str
    valid_from: datetime | None = None
    valid_until: datetime | None = None
    category: str = ""
    tlp: str = ""
    half_life_days: int | None = None
    fresh_at: datetime | None = None
    trust: int = 100
    relation: str = "exact"
    of: str = ""
    common: str = ""
    last_seen: date | None = None

    @property
    def clearance(self) -> str:
        """What is kept when people have looked at it and released."""
        return cleared_indicator(self.source, self.reference, self.digest, self.status, self.confidence)


@dataclass(frozen=True, slots=True)
class NameHit:
    """A name of the event that is like one on a list of names.

    Attributes:
        kind, digest: which of the event's names, as an identifier; the name itself is not kept.
        list, entry, name, reference: the list, and the entry as the list names it.
        by: the entry's name or alias that is alike.
        score: how alike, from 0 to 100.
        why: how the score came about.
        clearance: what a person clears who knows that it is somebody else; as the `rule` of a snooze.
        earlier: the same under the other identifier keys, as it was cleared while one of them was current.
    """

    kind: str
    digest: str
    list: str
    entry: str
    name: str
    by: str
    score: int
    why: str
    reference: str
    clearance: str
    earlier: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class KnownIdentifier:
    """An identifier this merchant is known by, and when it was seen with it; times are those of events, in UTC."""

    kind: str
    digest: str
    first_seen: datetime
    last_seen: datetime


@dataclass(frozen=True, slots=True)
class SharedIdentifier:
    """An identifier of the event that other merchants were seen with as well.

    `stored` are the digests under which they were: after a change of keys there may be several of one identifier.
    """

    kind: str
    digest: str
    others: int
    blocked: int
    stored: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class NearBlock:
    """A blocked merchant two hops away: somebody else has an identifier of the event, and another one of theirs.

    Attributes:
        kind, digest: of the event, as the one between was seen with it.
        through_kind, through: what the one between and the blocked merchant were both seen with.
    """

    kind: str
    digest: str
    through_kind: str
    through: str


@dataclass(frozen=True, slots=True)
class Snooze:
    """A rule, as `policy/rule`, that a person has silenced for the event's merchant; `by_two` if two people have."""

    id: str
    rule: str
    by_two: bool


@dataclass(frozen=True, slots=True)
class Context:
    """A snapshot of what the store knows of an event's merchant, before the event itself.

    Attributes:
        now: when the screening began, UTC.
        merchant: the merchant the event was resolved to; an unlinked account stands for itself.
        indicators: what the coalition knows, of the identifiers of the event and of those the merchant is known by.
        known: what earlier events about this merchant and its payouts carried, and the domains in it: the newest 128 at
            most. What payments and disputes carried is not among it, because it may be a payer's.
        shared: identifiers of the event that other merchants were seen with.
        near: blocked merchants two hops away, when none is one hop away; one for each identifier that leads there.
        aggregates: the values of the aggregates that the check itself declared, by their names; `number` reads those
            that always have one.
        standing: the most severe outcome of holds already in force on this merchant.
        snoozes: rules that people have silenced for this merchant, and names they have cleared.
        names: names of the event that are like names on lists.
        inquired_at: when a list of terminated merchants last answered about the merchant; none if none has.
    """

    now: datetime
    merchant: str
    indicators: tuple[IndicatorHit, ...] = ()
    known: tuple[KnownIdentifier, ...] = ()
    shared: tuple[SharedIdentifier, ...] = ()
    near: tuple[NearBlock, ...] = ()
    aggregates: Mapping[str, int | float | None] = field(default_factory=dict)
    standing: Outcome = Outcome.ALLOW
    snoozes: tuple[Snooze, ...] = ()
    names: tuple[NameHit, ...] = ()
    inquired_at: datetime | None = None

    @property
    def cleared(self) -> frozenset[str]:
        """What people have silenced or cleared for this merchant, by its `rule` or `clearance`."""
        return frozenset(each.rule for each in self.snoozes)

    def number(self, name: str) -> int:
        """Return the value of an aggregate of the kinds `count`, `sum` and `distinct`, which always have one.

        Raises:
            KeyError: the check declared none of that name.
        """
        return int(self.aggregates[name] or 0)
