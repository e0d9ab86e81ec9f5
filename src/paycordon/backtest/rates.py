"""How often rules match the merchants of the synthetic portfolio: the planted ones, and the honest ones by kind."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping

from pydantic_core import from_json

from paycordon.backtest.report import NEW
from paycordon.backtest.run import Run
from paycordon.decisions import Outcome
from paycordon.events import Record
from paycordon.policy.document import Status
from paycordon.policy.evaluate import ON_ERROR, TYPOLOGY
from paycordon.policy.model import Policy
from paycordon.portfolio import HONEST, PLANTED, Label, Portfolio

FEW = 10
"""Countries with fewer honest merchants than this are not compared."""


class Hits(Record):
    """How many merchants of how many."""

    merchants: int
    of: int

    @property
    def rate(self) -> float:
        """The share, from 0 to 1."""
        return self.merchants / self.of if self.of else 0.0


class Country(Record):
    """Honest merchants of one country; `ratio` is their rate over that of all honest merchants."""

    country: str
    hits: Hits
    ratio: float


class Rates(Record):
    """Which merchants something met.

    Attributes:
        name: `policy/rule`, `policy/typology.NAME`, or `policy` for the most severe outcome of all of it.
        says: the outcome, or the points that it adds.
        status: how far the rule is to be trusted, as its file says.
        patterns, kinds: planted merchants by pattern, honest ones by kind; where there are none, nothing.
        unequal: the countries whose honest merchants it meets more often than the given factor allows.
    """

    name: str
    says: str
    status: Status | None
    planted: Hits
    honest: Hits
    patterns: dict[str, Hits]
    kinds: dict[str, Hits]
    unequal: tuple[Country, ...]


class Portrait(Record):
    """What was found in a portfolio.

    Attributes:
        factor: from how many times the rate of all honest merchants on a country is named.
        outcomes: for each policy, merchants with at least this outcome.
        rules: every rule and typology.
    """

    seed: int
    scale: float
    events: int
    judged: int
    merchants: int
    planted: int
    factor: float
    outcomes: tuple[Rates, ...]
    rules: tuple[Rates, ...]


def portrait(run: Run, portfolio: Portfolio, factor: float) -> Portrait:
    """Count whom the rules of a finished run met.

    Args:
        run: over the history of this portfolio, of one policy set.
        portfolio: says who is who.
        factor: see `Portrait`.
    """
    met = _met(run)
    labels = portfolio.labels
    judged = run.duck.execute("SELECT count(*) FROM judged").fetchone()
    policies = run.sides[NEW].policies

    def rates(name: str, says: str, status: Status | None, reached: str) -> Rates:
        return _rates(name, says, status, met.get((name, reached), set()), labels, factor)

    outcomes = [
        rates(policy.ref.name, outcome, None, outcome)
        for policy in policies
        for outcome in (Outcome.REVIEW, Outcome.HOLD, Outcome.BLOCK)
        if outcome is not Outcome.BLOCK or met.get((policy.ref.name, outcome))
    ]
    return Portrait(
        seed=portfolio.seed,
        scale=portfolio.scale,
        events=run.events,
        judged=judged[0] if judged else 0,
        merchants=len(labels),
        planted=sum(label.planted for label in labels.values()),
        factor=factor,
        outcomes=tuple(outcomes),
        rules=tuple(rates(*each) for policy in policies for each in _rules(policy)),
    )


def _rules(policy: Policy) -> Iterable[tuple[str, str, Status | None, str]]:
    """Name, what it says, status, and the outcome that it has to reach to count, of whatever can match."""
    name = policy.ref.name
    for rule in policy.rules:
        points = [f"{points:+} {typology}" for typology, points in rule.adds.items()]
        yield f"{name}/{rule.id}", ", ".join([*([str(rule.then)] if rule.then else []), *points]), rule.status, ""
    for typology in policy.typologies.values():
        for _, outcome in typology.thresholds:
            yield f"{name}/{TYPOLOGY}{typology.name}", str(outcome), None, outcome
    yield f"{name}/{ON_ERROR}", str(policy.on_error), None, ""


def _met(run: Run) -> Mapping[tuple[str, str], set[str]]:
    """The merchants by rule, as (`policy/rule`, ``), and by outcome reached, as (name, outcome)."""
    met: dict[tuple[str, str], set[str]] = defaultdict(set)
    rows = run.duck.execute(
        "SELECT e.merchant, j.new_evaluation FROM judged AS j JOIN events AS e USING (position) "
        """WHERE j.new_evaluation <> '{"outcome":"allow"}'"""
    )
    while batch := rows.fetchmany(10_000):
        for merchant, text in batch:
            evaluation = from_json(text)
            for match in evaluation.get("matches", ()):
                name = f"{match['policy']}/{match['rule']}"
                met[name, ""].add(merchant)
                for outcome in Outcome:
                    if Outcome.ALLOW.rank < outcome.rank <= Outcome(match["outcome"]).rank:
                        met[match["policy"], outcome].add(merchant)
                        if match["rule"].startswith(TYPOLOGY):
                            met[name, outcome].add(merchant)
            for score in evaluation.get("scores", ()):
                for rule in score["rules"]:
                    met[f"{score['policy']}/{rule}", ""].add(merchant)
    return met


def _rates(
    name: str, says: str, status: Status | None, met: set[str], labels: Mapping[str, Label], factor: float
) -> Rates:
    all_kinds = Counter(label.kind for label in labels.values())
    kinds = Counter(labels[merchant].kind for merchant in met)
    honest = Hits(merchants=sum(kinds[k] for k in HONEST), of=sum(all_kinds[k] for k in HONEST))
    return Rates(
        name=name,
        says=says,
        status=status,
        planted=Hits(merchants=sum(kinds[k] for k in PLANTED), of=sum(all_kinds[k] for k in PLANTED)),
        honest=honest,
        patterns={k: Hits(merchants=kinds[k], of=all_kinds[k]) for k in PLANTED if kinds[k]},
        kinds={k: Hits(merchants=kinds[k], of=all_kinds[k]) for k in HONEST if kinds[k]},
        unequal=unequal(met, labels, factor),
    )


def unequal(met: Collection[str], labels: Mapping[str, Label], factor: float) -> tuple[Country, ...]:
    """The countries whose honest merchants are met at more than so many times the rate of all honest merchants."""
    everybody = Counter(label.country for label in labels.values() if not label.planted)
    hits = Counter(labels[merchant].country for merchant in met if not labels[merchant].planted)
    overall = hits.total() / everybody.total() if everybody else 0.0
    found = []
    for country, number in hits.items():
        those = Hits(merchants=number, of=everybody[country])
        if those.of >= FEW and number > 1 and those.rate > factor * overall:
            found.append(Country(country=country, hits=those, ratio=those.rate / overall))
    return tuple(sorted(found, key=lambda each: (-each.ratio, each.country)))
