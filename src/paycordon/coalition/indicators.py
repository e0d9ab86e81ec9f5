"""What one source says of one identifier, and a batch of what it says now."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

MANY = "belongs to more than"
"""So begins the evidence `common` of what more merchants share than may; the warning list says other things."""

# By kind; not by `IdentifierKind`, for the command line names statuses without loading the events.
_HANDED_ON: Mapping[str, timedelta] = {"ip": timedelta(days=30)}
"""What soon belongs to somebody else: a provider gives an address to its next customer."""


class Status(StrEnum):
    """How far what a source says has been established; others may come and are kept as they are.

    The first four are what laws ask to keep apart (EU 2024/1624, Article 76). `network_listing`: a card network lists
    it, such as a terminated merchant. `refuted`: the source says that it is not what others take it for.
    """

    ALLEGATION = "allegation"
    INVESTIGATION = "investigation"
    PROCEEDING = "proceeding"
    CONVICTION = "conviction"
    NETWORK_LISTING = "network_listing"
    REFUTED = "refuted"


class Tlp(StrEnum):
    """With whom it may be shared: the Traffic Light Protocol 2.0 of FIRST. Without a mark it stays in the house."""

    RED = "red"
    AMBER_STRICT = "amber+strict"
    AMBER = "amber"
    GREEN = "green"
    CLEAR = "clear"


@dataclass(frozen=True, slots=True)
class Indicator:
    """One source's knowledge of one identifier; digest, source and reference together name it. Times are UTC.

    Attributes:
        kind: what kind of identifier it is, such as `email`.
        digest: the identifier's keyed digest (`coalition.identifiers.Digester.of_indicator`).
        source: who says so.
        reference: the source's own name for this item.
        confidence: between 0 and 100, as the source says; see `coalition.confidence` for what it comes to.
        status: how far it is established: a `Status`, or a word of the source's own.
        valid_from, valid_until: outside this time it matches nothing.
        withdrawn_at: since when it matches nothing any more; none while it counts.
        category: what it is about, in the source's own words; empty if it does not say.
        tlp: with whom it may be shared.
        first_seen, last_seen: when the source first and last saw it in use.
        half_life_days: in so many days after it was last seen it loses half of its weight; none if it loses nothing.
        licence: under which terms it was given, as a name or an SPDX id; empty if the source does not say.
        reshare: whether these terms allow it to be passed on at all; what `tlp` forbids stays forbidden.
        changed_at, changed_by: when its source last said something else of it by our clock, and who corrected or
            withdrew it; the store sets both.
        former: digests of the same value under identifier keys that were current before, for `store.formerly`; they are
            no part of what is stored.

    Raises:
        ValueError: the confidence is not between 0 and 100, or the half-life not between 1 and 36,500 days.
    """

    kind: str
    digest: str
    source: str
    reference: str
    confidence: int
    status: str
    valid_from: datetime | None = None
    valid_until: datetime | None = None
    withdrawn_at: datetime | None = None
    category: str = ""
    tlp: str = Tlp.AMBER_STRICT
    first_seen: datetime | None = None
    last_seen: datetime | None = None
    half_life_days: int | None = None
    licence: str = ""
    reshare: bool = False
    changed_at: datetime | None = None
    changed_by: str | None = None
    former: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 0 <= self.confidence <= 100:
            raise ValueError("the confidence is not between 0 and 100")
        if self.half_life_days is not None and not 0 < self.half_life_days <= 36_500:
            raise ValueError("the half-life is not between 1 and 36,500 days")

    @property
    def name(self) -> tuple[str, str, str]:
        """Digest, source and reference."""
        return self.digest, self.source, self.reference


@dataclass(frozen=True, slots=True)
class Standards:
    """How a deployment weighs what it is told.

    Attributes:
        trust: by source, how far it is trusted, 0 to 100; a source that is not named is trusted wholly.
        most_merchants: an indicator that belongs to more merchants than this names nobody: it is told, and not counted.
        known_for: for so long after a merchant was last seen with an identifier it is known by it.
    """

    trust: Mapping[str, int] = field(default_factory=dict)
    most_merchants: int = 50
    known_for: timedelta = timedelta(days=365)

    def known_by(self, kind: str) -> timedelta:
        """How long a merchant is known by an identifier of a kind after it was last seen with it."""
        return min(self.known_for, _HANDED_ON.get(kind, self.known_for))

    def trust_in(self, source: str) -> int:
        """How far a source is trusted, 0 to 100."""
        return self.trust.get(source, 100)


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """An indicator that its source takes back."""

    digest: str
    reference: str


@dataclass(frozen=True, slots=True)
class Part:
    """A range of a source's references: those from `start` on and before `end`, by code points; none for no end.

    Ranges and not hashes: whatever was said under a reference can be found in the store by the order of its index, and
    a source may divide what it says otherwise at any time, as no part has to be known by both sides.
    """

    start: str = ""
    end: str | None = None

    def __contains__(self, reference: str) -> bool:
        """Tell whether a reference is of this part."""
        return self.start <= reference and (self.end is None or reference < self.end)


@dataclass(frozen=True, slots=True)
class Changes:
    """What one source says now, to be taken in whole or not at all.

    Attributes:
        source: whose word it is; all indicators are of it.
        said: what is new, and what is otherwise than before; what is as before may be repeated.
        withdrawn: what counts no more.
        complete: whether `said` is all that the source says: whatever else counts of it is withdrawn.
        parts: of which ranges of references `said` is all, where it is `complete` and not all of the source's: what
            counts under other references stays. In order, none within another; none for all references.
        checkpoint: the feed's own word for how far it was read, for the next time; none to leave it as it is.

    Raises:
        ValueError: an indicator is of another source, or of none of the parts.
    """

    source: str
    said: Sequence[Indicator] = ()
    withdrawn: Sequence[Withdrawn] = ()
    complete: bool = False
    parts: Sequence[Part] = ()
    checkpoint: str | None = None

    def __post_init__(self) -> None:
        if any(each.source != self.source for each in self.said):
            raise ValueError(f"an indicator is not of the source `{self.source}`")
        if self.parts and not self.complete:
            raise ValueError("what is not complete has no parts")
        if self.parts and not all(self.covers(each.reference) for each in self.said):
            raise ValueError("an indicator is of none of the parts that are said")

    def covers(self, reference: str) -> bool:
        """Tell whether `said` is all that the source says under a reference."""
        if not self.parts:
            return self.complete
        number = bisect_right(self.parts, reference, key=_start) - 1
        return number >= 0 and reference in self.parts[number]


def _start(part: Part) -> str:
    return part.start
