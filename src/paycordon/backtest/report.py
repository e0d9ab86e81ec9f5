"""What a backtest found, as plain values: counts, merchants and money; nothing here is computed again to be shown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from paycordon.decisions import Finding, Outcome, PolicyRef, RuleError, RuleMatch, Score
from paycordon.events import Record

SMALL = 30
"""Groups with fewer merchants say little about a rate."""

OLD, NEW = "old", "new"
STOPPED = ("held", "blocked")
FATES = ("disputed", "refunded", "clean")

KINDS: Mapping[str, str] = {
    "newly_blocked": "blocked, and was not before",
    "newly_held": "held, and went on before",
    "newly_reviewed": "looked at by a person, and went on unseen before",
    "newly_lowered": "only held, and was blocked before",
    "newly_released": "goes on, and was held or blocked before",
    "newly_unreviewed": "goes on unseen, and was looked at before",
}
"""What may change between two policy sets; every event whose outcome changes is of exactly one kind."""

OUTCOME_KINDS: Mapping[str, str] = {
    "blocked": "would be refused",
    "held": "would wait for a person",
    "reviewed": "would go on while a person looks",
}
"""What one policy set does; every event it does not simply allow is of exactly one kind."""


class Tally(Record):
    """How many events, of how many different merchants, about how much money by currency, in minor units.

    An amount counts once for every event about it; amounts of different currencies are never added up.
    """

    events: int = 0
    merchants: int = 0
    money: dict[str, int] = {}


class Effect(Record):
    """What happened to one kind, and what its merchants did within the days after each event.

    Attributes:
        disputed: a payer disputed a payment to the merchant.
        refunded: no dispute, but the merchant refunded a payment.
        clean: neither.
        not_known_yet: how many of the clean events the history ends too early for to be sure.
    """

    kind: str
    total: Tally
    disputed: Tally
    refunded: Tally
    clean: Tally
    not_known_yet: int


class Side(Record):
    """What one policy set said: events by outcome, and by what it would be with all that is in shadow in force."""

    side: str
    name: str
    policies: tuple[PolicyRef, ...]
    outcomes: dict[Outcome, Tally]
    shadow: dict[Outcome, Tally]
    unclear_events: int


class RuleEffect(Record):
    """A rule, what it matched under each side, and how many events changed where only one side matched it."""

    rule: str
    old: Tally | None = None
    new: Tally
    gained_events: int = 0
    lost_events: int = 0


class Group(Record):
    """Merchants of one country or category, and how many of them are affected.

    `ratio` is the rate over the rate of all merchants; `is_small` marks groups that say little.
    """

    group: str
    merchants: int
    affected: int
    rate: float
    ratio: float | None
    is_small: bool


class SideOfSample(Record):
    """What one policy set made of a sample."""

    outcome: Outcome
    shadow: Outcome | None = None
    matches: tuple[RuleMatch, ...] = ()
    errors: tuple[RuleError, ...] = ()
    scores: tuple[Score, ...] = ()
    aggregates: dict[str, int | float | None] = {}


class Sample(Record):
    """One event of a kind with all that it was judged on; identifiers are digests."""

    kind: str
    position: int
    event: dict[str, Any]
    merchant: str
    fate: str
    findings: tuple[Finding, ...]
    sides: dict[str, SideOfSample]


class HistoryRead(Record):
    """What of a history was read.

    Attributes:
        read: events, repeated ones included.
        repeated: events whose id was read before; they count once.
        judged: events that can be stopped, which are those that policies judge; the others are context.
        merchants: whose events were judged.
        bad: how many lines could not be used; `bad_lines` says why of the first thousand.
    """

    name: str
    unit: str
    digest: str
    read: int
    repeated: int
    judged: int
    merchants: int
    money: dict[str, int]
    first: datetime | None
    last: datetime | None
    bad: int
    bad_lines: tuple[tuple[int, str], ...]


class Report(Record):
    """What a backtest of one policy set, or a comparison of two, found.

    Attributes:
        within_days: how long after an event a dispute or refund still counts for it.
        with_standing: whether holds that stood then counted.
        sides: the policy sets; the last is the one that is asked about.
        effects: by kind, the most severe first.
        unaffected: the same for events of no kind: what was not stopped, and what became of it.
        affected: events of any kind; in a backtest of one set, those that are stopped.
        countries, mccs: the groups, the largest rate first.
    """

    schema_version: int = 1
    history: HistoryRead
    within_days: int
    with_standing: bool
    sides: tuple[Side, ...]
    effects: tuple[Effect, ...]
    unaffected: Effect
    affected: Tally
    rules: tuple[RuleEffect, ...]
    countries: tuple[Group, ...]
    mccs: tuple[Group, ...]
    samples: tuple[Sample, ...]

    @property
    def is_diff(self) -> bool:
        """Whether two policy sets are compared."""
        return len(self.sides) > 1

    @property
    def kinds(self) -> Mapping[str, str]:
        """The kinds, each with what it means."""
        return KINDS if self.is_diff else OUTCOME_KINDS

    def metrics(self) -> dict[str, tuple[float | dict[str, int], float | None]]:
        """What thresholds can be about: the value by name, and what a percentage of it refers to."""
        bases = {"events": float(self.history.judged), "merchants": float(self.history.merchants), "money": None}
        every: dict[str, tuple[float | dict[str, int], float | None]] = {
            f"{name}_{count}": (getattr(tally, count), base)
            for name, tally in self._tallies()
            for count, base in bases.items()
        }
        every["unclear_events"] = self.sides[-1].unclear_events, bases["events"]
        every["bad_lines"] = self.history.bad, float(self.history.read + self.history.bad)
        every["country_disparity"] = _largest(self.countries), None
        every["mcc_disparity"] = _largest(self.mccs), None
        return every

    def _tallies(self) -> Iterator[tuple[str, Tally]]:
        yield ("changed" if self.is_diff else "stopped"), self.affected
        for effect in self.effects:
            yield effect.kind, effect.total
            yield from ((f"{effect.kind}_{fate}", getattr(effect, fate)) for fate in FATES)


def metric_names(*, is_diff: bool) -> dict[str, bool]:
    """Name the metrics of a report, each with whether a percentage of it can be taken."""
    groups = ["changed", *KINDS] if is_diff else ["stopped", *OUTCOME_KINDS]
    names = [name for group in groups for name in (group, *(f"{group}_{fate}" for fate in FATES))]
    names = [name for name in names if not name.startswith(f"{groups[0]}_")]
    counted = {f"{name}_{count}": count != "money" for name in names for count in ("events", "merchants", "money")}
    return {**counted, "unclear_events": True, "bad_lines": True, "country_disparity": False, "mcc_disparity": False}


def _largest(groups: tuple[Group, ...]) -> float:
    return max((group.ratio for group in groups if group.ratio is not None and not group.is_small), default=0.0)
