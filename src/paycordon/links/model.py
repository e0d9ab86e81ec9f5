"""A merchant's surroundings: who was seen with the same identifiers, over how many of them, and since when."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property

from paycordon.decisions import Outcome
from paycordon.events import IdentifierKind

# Kinds by which two merchants are rarely the same by chance; a shared mailbox provider or country says nothing.
SHARED_KINDS = frozenset(
    {
        IdentifierKind.BANK_ACCOUNT,
        IdentifierKind.IBAN,
        IdentifierKind.CARD_FINGERPRINT,
        IdentifierKind.WALLET,
        IdentifierKind.PHONE,
        IdentifierKind.DEVICE,
        IdentifierKind.TAX_ID,
        IdentifierKind.EMAIL,
    }
)


@dataclass(frozen=True, slots=True)
class Reach:
    """How far a search goes; each bound is also one of its time.

    Attributes:
        hops: from merchant to merchant over one shared identifier is one hop.
        most_shared: an identifier that more merchants have is a hub: it names nobody, and no hop goes over it.
        most_members: how many merchants are found at most.
        most_identifiers: how many identifiers of one merchant are followed at most.
        common: digests that name nobody, whoever has them.
    """

    hops: int = 3
    most_shared: int = 50
    most_members: int = 500
    most_identifiers: int = 100
    common: Set[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Tie:
    """A merchant was seen with an identifier, from `first_seen` to `last_seen`: times of events, in UTC."""

    merchant: str
    kind: str
    digest: str
    first_seen: datetime
    last_seen: datetime


@dataclass(frozen=True, slots=True)
class Member:
    """A merchant that was found: how many hops away, and the most severe of the holds in force on it."""

    merchant: str
    hops: int
    standing: Outcome


@dataclass(frozen=True, slots=True)
class Hub:
    """An identifier that no hop goes over, and why."""

    kind: str
    digest: str
    why: str


@dataclass(frozen=True, slots=True)
class Step:
    """A hop: both merchants were seen with the identifier.

    Attributes:
        since: when the later of the two was first seen with it, UTC.
        together: whether both were seen with it at the same time, as against one after the other.
    """

    merchant: str
    to: str
    kind: str
    digest: str
    since: datetime
    together: bool


@dataclass(frozen=True)
class Network:
    """What a search found.

    Attributes:
        merchant: where it began.
        members: the merchants that were found, itself first, then by hops and name.
        ties: who was seen with what, for identifiers that at least two members have.
        reached: by merchant, the one before it and the digest that both have, on a shortest way.
        hubs: the identifiers that were left out.
        cut: whether a bound of the search, other than its hops, kept something from being found.
    """

    merchant: str
    members: tuple[Member, ...]
    ties: tuple[Tie, ...]
    reached: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    hubs: tuple[Hub, ...] = ()
    cut: bool = False

    def nearest(self, outcome: Outcome) -> Member | None:
        """Return the nearest other merchant on which this outcome, or a more severe one, stands."""
        others = (each for each in self.members[1:] if each.standing.rank >= outcome.rank)
        return next(others, None)

    def way(self, to: str) -> tuple[Step, ...]:
        """Return a shortest way to a member, hop by hop; empty for the merchant itself.

        Raises:
            KeyError: it is no member.
        """
        steps: list[Step] = []
        while to != self.merchant:
            before, digest = self.reached[to]
            one, other = self._by_digest[digest][before], self._by_digest[digest][to]
            since = max(one.first_seen, other.first_seen)
            together = since <= min(one.last_seen, other.last_seen)
            steps.append(Step(before, to, one.kind, digest, since, together))
            to = before
        return tuple(reversed(steps))

    @cached_property
    def _by_digest(self) -> Mapping[str, Mapping[str, Tie]]:
        found: dict[str, dict[str, Tie]] = defaultdict(dict)
        for tie in self.ties:
            found[tie.digest][tie.merchant] = tie
        return found
