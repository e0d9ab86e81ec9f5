"""What was in force and what ran in shadow, side by side, over recorded decisions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pydantic_core import from_json
from sqlalchemy import Connection, text

from paycordon.decisions import Outcome
from paycordon.store.schema import micros

_total = text("SELECT outcome, COUNT(*) FROM decisions WHERE decided_at >= :since GROUP BY outcome")
# A join in the order of the primary key of decisions would read all of them.
_interesting = text(
    "SELECT d.merchant, d.outcome, d.shadow_outcome, d.body, e.body FROM decisions d "
    "JOIN events e ON e.instance = d.instance AND e.id = d.event_id "
    "WHERE d.decided_at >= :since AND d.body <> '' AND e.body <> '' "  # what was erased can be compared no more
    "AND (d.outcome <> 'allow' OR d.shadow_outcome IS NOT NULL) "
)
_CHUNK = 1_000
_PARTS = ("payout", "dispute", "payment")


@dataclass
class Tally:
    """How often something was the case, at how many merchants, and about how much money (minor units by currency)."""

    events: int = 0
    merchants: set[str] = field(default_factory=set)
    money: Counter[str] = field(default_factory=Counter)

    def add(self, merchant: str, amount: tuple[int, str] | None) -> None:
        """Count one event."""
        self.events += 1
        self.merchants.add(merchant)
        if amount is not None:
            self.money[amount[1]] += amount[0]


@dataclass
class RuleTally:
    """What one rule matched: in force, and where it would have matched had it been in force."""

    live: Tally = field(default_factory=Tally)
    shadow: Tally = field(default_factory=Tally)


@dataclass
class Comparison:
    """What decisions since a moment said.

    Attributes:
        outcomes: decisions by their outcome.
        changed: where shadow would have made another outcome, by what it is and what it would be.
        rules: by `policy/rule`.
        capped: decisions in which a cap of a binding lowered an outcome, by binding.
    """

    outcomes: dict[str, int] = field(default_factory=dict)
    changed: dict[tuple[Outcome, Outcome], Tally] = field(default_factory=dict)
    rules: dict[str, RuleTally] = field(default_factory=dict)
    capped: Counter[str] = field(default_factory=Counter)

    @property
    def decisions(self) -> int:
        """How many decisions there were."""
        return sum(self.outcomes.values())


def compare(connection: Connection, since: datetime, progress: Callable[[int], None] | None = None) -> Comparison:
    """Read the decisions since a moment, as they were made; bounded memory but for the merchants' ids.

    Args:
        connection: in a transaction that sees one consistent state.
        since: from when on, by the time of the decision.
        progress: told how many were read.
    """
    since_micros = {"since": micros(since)}
    found = Comparison(outcomes={row[0]: row[1] for row in connection.execute(_total, since_micros)})
    result = connection.execution_options(yield_per=_CHUNK).execute(_interesting, since_micros)
    for number, (merchant, outcome, shadow, body, event) in enumerate(result, start=1):
        _add(found, merchant, Outcome(outcome), shadow and Outcome(shadow), from_json(body), _amount(from_json(event)))
        if progress is not None and number % _CHUNK == 0:
            progress(number)
    return found


def _add(
    found: Comparison,
    merchant: str,
    outcome: Outcome,
    shadow: Outcome | None,
    decision: Any,
    amount: tuple[int, str] | None,
) -> None:
    live = set(_names(decision))
    for name in live:
        found.rules.setdefault(name, RuleTally()).live.add(merchant, amount)
    for cap in decision.get("caps", ()):
        found.capped[cap["binding"]] += 1
    if shadow is None:
        return
    for name in set(_names(decision["shadow"])) - live:
        found.rules.setdefault(name, RuleTally()).shadow.add(merchant, amount)
    if shadow is not outcome:
        found.changed.setdefault((outcome, shadow), Tally()).add(merchant, amount)


def _names(judged: Any) -> Iterator[str]:
    return (f"{match['policy']}/{match['rule']}" for match in judged["matches"])


def _amount(event: Any) -> tuple[int, str] | None:
    for part in _PARTS:
        if (about := event.get(part)) is not None:
            return about["amount"]["minor"], about["amount"]["currency"]
    return None
