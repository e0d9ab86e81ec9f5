"""What a backtest says of recorded events is what was decided live, bit for bit."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from paycordon import checks as builtin_checks
from paycordon.backtest.history import History, open_file
from paycordon.backtest.recorded import RecordedHistory
from paycordon.backtest.run import Run, Settings, run
from paycordon.backtest.samples import aggregates, evaluation
from paycordon.backtest.selection import select
from paycordon.backtest.state import opened
from paycordon.checks.base import Check, CheckSettings
from paycordon.coalition.identifiers import Digester
from paycordon.context import Context
from paycordon.decisions import Decision, Evaluation, Finding, Outcome
from paycordon.events import Event, Identifier
from paycordon.hookspecs import hookimpl
from paycordon.plugins import Plugins
from paycordon.policy import PolicyFiles, load_set
from paycordon.screening import Cordon, Limits
from paycordon.store import Store, indicators
from paycordon.testing import FrozenClock

POLICIES = {
    "payouts.yaml": """
policy: payouts
version: 3
on_error: review
params: {many: 4}
aggregates:
  payouts_1d: {count: payout.requested, window: 24h}
  paid_7d: {sum: payout.requested, window: 7d, include_current: false}
  payers_30d: {distinct: payment.succeeded, value: payer, window: 30d}
  night: {share: payment.succeeded, where: {payer_hour: {below: 6}}, window: 30d}
  gap: {gap_mean: payout.requested, window: 30d}
  disputes: {ratio: [dispute.opened, payment.succeeded], window: 90d}
  shared: {count: payout.requested, by: identifier.bank_account, window: 180d}
typologies:
  fast:
    thresholds: {review: 2, hold: 5}
    merchant_reason: additional_information_required
rules:
  - id: indicator
    on: [payout.requested, payout.updated]
    when: findings.exists(f, f.code == "indicator.match" && f.confidence >= 0.5)
    then: block
    merchant_reason: additional_information_required
  - id: many
    on: [payout.requested]
    when: aggregates.payouts_1d >= params.many
    unless: event.payout.destination == "ba_2"
    then: hold
    merchant_reason: additional_information_required
    review_after: 24h
  - id: often
    on: [payout.requested]
    when: aggregates.gap < duration("3h")
    adds: {fast: 3}
  - id: night
    on: [payout.requested]
    when: aggregates.night > 0.3
    adds: {fast: 2}
  - id: much
    on: [payout.requested]
    when: aggregates.paid_7d > 1000000
    then: review
  - id: shared
    on: [payout.requested, merchant.changed]
    when: aggregates.shared >= 3 || aggregates.payers_30d > 2
    then: review
""",
    "disputes.yaml": """
policy: disputes
version: 1
on_error: hold
aggregates:
  disputes_30d: {count: dispute.opened, window: 30d, by: account}
rules:
  - id: twice
    on: [dispute.opened]
    when: aggregates.disputes_30d >= 2
    then: hold
    merchant_reason: additional_information_required
  - id: odd
    on: [merchant.onboarding, merchant.changed]
    when: findings.exists(f, f.code == "odd.odd")
    then: review
""",
    "bindings.yaml": """
segments:
  dutch: event.account.country == "NL"
bindings:
  - {id: payouts-dutch, policy: payouts, mode: enforce, segments: [dutch], rollout: 50%, params: {many: 3}}
  - {id: payouts-others, policy: payouts, mode: shadow, gateways: [other_pay]}
  - {id: payouts-late, policy: payouts, mode: enforce, since: 2026-03-04, rules: {much: shadow}}
  - {id: disputes, policy: disputes, mode: enforce, mccs: ["5999"]}
""",
}


class Odd(Check[CheckSettings]):
    """Finds and fails by the number of the event."""

    id = "odd"
    emits = {"odd.odd": "the number is odd"}
    bounded = True

    @hookimpl
    def screen_merchant(self, event: Event, context: Context) -> Iterable[Finding]:
        return self._look(event)

    @hookimpl
    def screen_payout(self, event: Event, context: Context) -> Iterable[Finding]:
        return self._look(event)

    def _look(self, event: Event) -> Iterable[Finding]:
        number = int(event.id.rpartition("_")[2])
        if number % 17 == 0:
            raise RuntimeError("synthetic")
        return (
            [Finding(check=self.id, code="odd.odd", confidence=0.25, evidence={"number": number})] if number % 2 else []
        )


@pytest.fixture
def files(tmp_path: Path) -> PolicyFiles:
    directory = tmp_path / "policies"
    directory.mkdir()
    for name, text in POLICIES.items():
        (directory / name).write_text(text)
    return PolicyFiles((directory / "disputes.yaml", directory / "payouts.yaml"), directory / "bindings.yaml")


@pytest.fixture
def cordon(sqlite_store: Store, files: PolicyFiles, clock: FrozenClock, digester: Digester) -> Iterator[Cordon]:
    found = indicators.Indicator(
        digest=digester.digest(Identifier(kind="device", value="device-3")),
        kind="device",
        source="synthetic",
        reference="R-1",
        confidence=80,
        status="allegation",
    )
    with sqlite_store.write() as connection:
        indicators.add(connection, found, clock())
    plugins = Plugins({"checks": builtin_checks, "odd": SimpleNamespace(register_checks=hookimpl(lambda: [Odd]))})
    limits = Limits(budget=timedelta(seconds=60), check_deadline=timedelta(seconds=30))
    numbers = count()
    engine = Cordon(
        sqlite_store,
        load_set(files),
        plugins,
        digester,
        limits=limits,
        clock=clock,
        randomness=lambda size: next(numbers).to_bytes(size, "big"),
    )
    yield engine
    engine._threads.shutdown()
    engine._runner.close()


@pytest.mark.parametrize("size", [2_000, pytest.param(5_000, marks=pytest.mark.soak)])
def test_a_backtest_equals_the_decisions_made_live_from_the_store_and_from_a_file(
    cordon: Cordon,
    files: PolicyFiles,
    history: Any,
    random_events: Callable[[int, int], list[dict[str, Any]]],
    size: int,
) -> None:
    decisions = _screened(cordon, random_events(11, size))
    assert len(decisions) > size / 3
    _assert_rich(decisions.values())
    with cordon.store.read() as connection:
        rows = connection.exec_driver_sql("SELECT position, id, body FROM events ORDER BY position").all()
    positions = {id_: position for position, id_, _ in rows}
    lines = {id_: number for number, (_, id_, _) in enumerate(rows, start=1)}
    exported = history.write([_exported(body, decisions.get(id_)) for _, id_, body in rows])

    from_store = _differing(RecordedHistory(cordon.store), files, history, decisions, positions)
    from_file = _differing(open_file(exported), files, history, decisions, lines)

    assert (from_store, from_file) == ([], [])


def _screened(cordon: Cordon, lines: Iterable[dict[str, Any]]) -> dict[str, Decision]:
    decisions: dict[str, Decision] = {}
    for line in lines:
        decision = cordon.screen(Event.model_validate(line))
        assert not decision.id.startswith("unrecorded_"), line
        if not line["type"].startswith("payment."):
            decisions.setdefault(line["id"], decision)
    return decisions


def _exported(body: str, decision: Decision | None) -> dict[str, Any]:
    """What a file says of an event: not whose it is, which the backtest has to find out as the store did."""
    line: dict[str, Any] = {"event": json.loads(body)}
    if decision is not None:
        standing = [match.outcome for match in decision.matches if match.rule == "standing_hold"]
        line["findings"] = [finding.model_dump(mode="json") for finding in decision.findings]
        line["check_errors"] = [error.model_dump(mode="json") for error in decision.errors]
        line["standing"] = Outcome.most_severe(*standing)
    return line


def _differing(
    source: History, files: PolicyFiles, history: Any, decisions: dict[str, Decision], positions: dict[str, int]
) -> list[str]:
    """Name the events whose backtest differs from their decision."""
    selection = select([str(files.policies[0].parent)])
    settings = Settings(processes=1, with_standing=True)
    with opened(history.directory / "state") as state:
        done = run(source, {"new": selection}, state, history.keys, settings, lambda *_: None)
        try:
            assert len(history.outcomes(done)) == len(decisions)
            return [id_ for id_, decision in decisions.items() if not _is_equal(done, positions[id_], decision)]
        finally:
            done.duck.close()


def _is_equal(done: Run, position: int, decision: Decision) -> bool:
    live = Evaluation(
        outcome=decision.outcome,
        matches=decision.matches,
        errors=decision.rule_errors,
        scores=decision.scores,
        shadow=decision.shadow,
        caps=decision.caps,
        bindings=decision.bindings,
    )
    numbers = aggregates(done, "new", str(decision.event_type), position)
    of_policies = {name: value for name, value in decision.aggregates.items() if "/" not in name}
    same_kinds = all(type(value) is type(of_policies[name]) for name, value in numbers.items())
    return evaluation(done, "new", position) == live and numbers == of_policies and same_kinds


def _assert_rich(decisions: Iterable[Decision]) -> None:
    """The history exercises what it is meant to."""
    every = list(decisions)
    assert {decision.outcome for decision in every} == set(Outcome)
    assert sum(d.shadow is not None for d in every) > 100
    assert sum(bool(d.errors) for d in every) > 50
    assert sum(bool(d.rule_errors) for d in every) > 10
    assert sum(bool(d.scores) for d in every) > 10
    assert sum(len(d.findings) > 0 for d in every) > 100
    assert sum(any(m.rule == "standing_hold" for m in d.matches) for d in every) > 10
    assert len({d.bindings for d in every}) > 3
