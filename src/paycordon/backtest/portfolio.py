"""The synthetic portfolio as a history: its events in order, each with what the built-in checks find in it.

A backtest takes findings as recorded. Here nothing was recorded, so the checks run, with their default settings, on
what a store would know at that moment.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

from pydantic_core import to_json

from paycordon import checks
from paycordon.aggregates import Aggregate, Function
from paycordon.aggregates.definition import By
from paycordon.backtest.history import Chunk
from paycordon.coalition.identifiers import Digester
from paycordon.coalition.indicators import Standards
from paycordon.context import Context, IndicatorHit, KnownIdentifier, SharedIdentifier
from paycordon.decisions import Finding
from paycordon.events import NAMING_STAGES, Event, Identifier
from paycordon.isolation import CheckRunner
from paycordon.judging import SCREENED_STAGES
from paycordon.links import SHARED_KINDS
from paycordon.plugins import Plugins
from paycordon.portfolio import Portfolio
from paycordon.portfolio.life import Line

_LINES = 4_096
_DEADLINE_S = 60.0


class PortfolioHistory:
    """A portfolio that a backtest can read."""

    unit = "line"

    def __init__(self, portfolio: Portfolio, digester: Digester) -> None:
        self.name = f"portfolio of seed {portfolio.seed}"
        self._portfolio = portfolio
        self._digester = digester
        self.size = len(portfolio.lines)

    def chunks(self) -> Iterator[tuple[Chunk, int]]:
        """Read it, some thousand events at a time."""
        known = _Known(self._portfolio, self._digester)
        lines = self._portfolio.lines
        for index, start in enumerate(range(0, len(lines), _LINES)):
            block = b"".join(known.line(each) for each in lines[start : start + _LINES])
            yield Chunk.of(index, start + 1, block), min(start + _LINES, len(lines))


class _Known:
    """What a store would know, event by event."""

    def __init__(self, portfolio: Portfolio, digester: Digester) -> None:
        self._portfolio = portfolio
        self._digester = digester
        self._plugins = Plugins({"checks": checks})
        self._runner = CheckRunner(_DEADLINE_S)
        self._standards = Standards()
        self._of_merchant: dict[str, dict[str, KnownIdentifier]] = defaultdict(dict)
        self._holders: dict[str, set[str]] = defaultdict(set)
        self._times: dict[tuple[str, str], list[datetime]] = defaultdict(list)
        self._indicators = {
            self._digester.digest(Identifier(kind=kind, value=value)): confidence
            for (kind, value), confidence in portfolio.indicators.items()
        }

    def line(self, line: Line) -> bytes:
        """Write an event with its findings, and take note of it."""
        merchant, type_ = line["merchant"]["id"], line["type"]
        at = datetime.fromisoformat(line["occurred_at"].replace("Z", "+00:00"))
        self._times[merchant, type_].append(at)
        if type_.split(".", 1)[0] not in SCREENED_STAGES:
            return to_json(line) + b"\n"
        event = self._digester.conceal(Event.model_validate_json(to_json(line)))
        findings = self._found(event, merchant)
        for identifier in event.identifiers:
            digest = identifier.digest or ""
            known = self._of_merchant[merchant].get(digest)
            first = known.first_seen if known else at
            if event.stage in NAMING_STAGES:
                self._of_merchant[merchant][digest] = KnownIdentifier(str(identifier.kind), digest, first, at)
            self._holders[digest].add(merchant)
        written = [finding.model_dump(mode="json") for finding in findings]
        return b'{"event":%s,"findings":%s}\n' % (event.model_dump_json(exclude_none=True).encode(), to_json(written))

    def _found(self, event: Event, merchant: str) -> list[Finding]:
        calls = self._plugins.calls(event.stage)
        context = Context(
            now=event.occurred_at,
            merchant=merchant,
            indicators=(*self._hits(event), *self._known_hits(event, merchant)),
            known=tuple(self._of_merchant[merchant].values()),
            shared=tuple(self._shared(event, merchant)),
        )
        contexts = {}
        for call in calls:
            numbers = {name: self._count(each, event, merchant) for name, each in call.check.aggregates().items()}
            contexts[call.check.id] = replace(context, aggregates=numbers)
        findings, errors = self._runner.run(event, calls, contexts, math.inf)
        if errors:  # a built-in check does not fail on whole events
            raise AssertionError(errors[0].detail)
        return findings

    def _hits(self, event: Event) -> Iterator[IndicatorHit]:
        for identifier in event.identifiers:
            if confidence := self._indicators.get(identifier.digest or ""):
                yield IndicatorHit(
                    str(identifier.kind), identifier.digest or "", "synthetic", confidence, "allegation", ""
                )

    def _known_hits(self, event: Event, merchant: str) -> Iterator[IndicatorHit]:
        """What the coalition knows of what the merchant was seen with, and the event itself does not carry."""
        carried = {identifier.digest for identifier in event.identifiers}
        for digest, known in self._of_merchant[merchant].items():
            since = event.occurred_at - self._standards.known_by(known.kind)
            if digest not in carried and known.last_seen >= since and (confidence := self._indicators.get(digest)):
                hit = IndicatorHit(known.kind, digest, "synthetic", confidence, "allegation", "")
                yield replace(hit, relation="known", last_seen=known.last_seen.date())

    def _shared(self, event: Event, merchant: str) -> Iterator[SharedIdentifier]:
        for identifier in event.identifiers:
            others = self._holders.get(identifier.digest or "", set()) - {merchant}
            if others and identifier.kind in SHARED_KINDS:
                blocked = len(others & self._portfolio.blocked)
                yield SharedIdentifier(str(identifier.kind), identifier.digest or "", len(others), blocked)

    def _count(self, wanted: Aggregate, event: Event, merchant: str) -> int:
        if wanted.function is not Function.COUNT or wanted.by != By.MERCHANT or wanted.where:
            raise NotImplementedError(f"the portfolio computes plain numbers for checks, not `{wanted.function}`")
        times = self._times[merchant, wanted.of]
        return len(times) - bisect_right(times, event.occurred_at - wanted.window)
