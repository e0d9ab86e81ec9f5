"""Judge the cases by the same `evaluate` as live, and compare what comes out with what was expected."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from paycordon.aggregates import Number
from paycordon.decisions import Evaluation
from paycordon.events import Event
from paycordon.policy.cases.model import Case, CaseResult, Difference, Past
from paycordon.policy.cases.why import why_not
from paycordon.policy.evaluate import evaluate

NOTHING = "nothing"


def run(cases: Iterable[Case], past: Past) -> Iterator[CaseResult]:
    """Run cases one after the other.

    Args:
        cases: what is run.
        past: computes the aggregates that a case does not state.
    """
    for case in cases:
        event = past.conceal(case.event)
        wanted = case.policies.aggregates_for(event.type)
        computed = {name: each for name, each in wanted.items() if name not in case.aggregates}
        numbers = {**past.aggregates(event, case.history, computed), **case.aggregates} if computed else case.aggregates
        evaluation = evaluate(
            case.policies,
            event,
            case.findings,
            numbers,
            check_errors=case.check_errors,
            standing=case.standing,
            merchant=case.merchant,
        )
        found = [_with_why(case, event, numbers, each) for each in _differences(case, evaluation)]
        yield CaseResult(case, numbers, evaluation, tuple(found))


def matched(evaluation: Evaluation) -> frozenset[str]:
    """The rules of an evaluation that are in force: those that state an outcome, and those that add points."""
    return frozenset(match.rule for match in evaluation.matches) | {
        rule for score in evaluation.scores for rule in score.rules
    }


def _differences(case: Case, got: Evaluation) -> Iterator[Difference]:
    expect = case.expect
    if expect.outcome is not None and expect.outcome is not got.outcome:
        yield Difference("outcome", expect.outcome, got.outcome)
    yield from _rules(case, got)
    if expect.merchant_reason is not None and expect.merchant_reason != got.merchant_reason:
        yield Difference("merchant_reason", expect.merchant_reason or NOTHING, got.merchant_reason or NOTHING)
    points = {score.typology: score.points for score in got.scores}
    for name, wanted in expect.scores.items():
        if points.get(name, 0) != wanted:
            yield Difference(f"score of {name}", str(wanted), str(points.get(name, 0)))
    if expect.shadow is not None:
        shadow = got.shadow.outcome if got.shadow else None
        if shadow is not expect.shadow:
            yield Difference("shadow", expect.shadow, shadow or "nothing in shadow applies")
    errors = {error.rule: error.detail for error in got.errors}
    if set(errors) != set(expect.errors):
        why = tuple(f"{rule}: {detail}" for rule, detail in errors.items() if rule not in expect.errors)
        yield Difference("errors", _listed(expect.errors), _listed(errors), why)


def _with_why(case: Case, event: Event, numbers: Mapping[str, Number], difference: Difference) -> Difference:
    """Add what kept the rules that were expected from matching."""
    if difference.what not in ("rules", "includes"):
        return difference
    got = difference.got.split(", ")
    missing = [rule for rule in difference.expected.split(", ") if rule not in got]
    return replace(difference, why=tuple(line for rule in missing for line in why_not(case, event, numbers, rule)))


def _rules(case: Case, got: Evaluation) -> Iterator[Difference]:
    expect, found = case.expect, matched(got)
    if expect.rules is not None and set(expect.rules) != found:
        yield Difference("rules", _listed(expect.rules), _listed(found))
    if missing := [rule for rule in expect.includes if rule not in found]:
        yield Difference("includes", _listed(missing), _listed(found))
    if unwanted := [rule for rule in expect.excludes if rule in found]:
        yield Difference("excludes", f"without {_listed(unwanted)}", _listed(found))


def _listed(names: Iterable[Any]) -> str:
    return ", ".join(sorted(map(str, names))) or NOTHING
