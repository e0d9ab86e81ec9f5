"""Judge recorded inputs again, and take note of every part on the way."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from paycordon.aggregates import Aggregate, Kind, Number
from paycordon.decisions import CheckError, Decision, Finding, Outcome, PolicyRef
from paycordon.events import Event
from paycordon.policy.bindings import BindingMode
from paycordon.policy.cel import Unclear
from paycordon.policy.evaluate import evaluate, own_variables
from paycordon.policy.explain.counterfactual import counterfactuals
from paycordon.policy.explain.model import Explanation, Named, PolicyTrace, RuleTrace
from paycordon.policy.explain.trace import Traced, trace
from paycordon.policy.explain.values import Engine, in_words
from paycordon.policy.model import BoundProgram, Policy, PolicySet, Rule
from paycordon.policy.schema import bind

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def explain(
    policies: PolicySet,
    event: Event,
    findings: Sequence[Finding],
    numbers: Mapping[str, Number],
    *,
    check_errors: Sequence[CheckError] = (),
    standing: Outcome = Outcome.ALLOW,
    merchant: str | None = None,
    decision: Decision | None = None,
    gone: Sequence[PolicyRef] = (),
) -> Explanation:
    """Explain what `evaluate` says of the same arguments.

    Args:
        policies: what judged.
        event: with its identifiers as digests, as it was recorded.
        findings: what the checks concluded.
        numbers: the aggregates, by `policy.name`.
        check_errors: checks without a conclusion.
        standing: the most severe outcome of the holds in force.
        merchant: whom the event belongs to.
        decision: what was recorded, if it was.
        gone: the texts that judged but are no longer known.
    """
    whose = merchant or event.merchant.id or event.account.id
    own = {name: numbers.get(name) for name in policies.aggregates_for(event.type)}
    evaluation = evaluate(
        policies, event, findings, own, check_errors=check_errors, standing=standing, merchant=merchant
    )
    given = _Given(event, findings, own, whose)
    traced = tuple(each for policy in policies.policies for each in _policy(policies, policy, given))
    milder, harder = counterfactuals(traced, policies, evaluation, check_errors, standing)
    return Explanation(
        event=event,
        merchant=whose,
        findings=tuple(findings),
        check_errors=tuple(check_errors),
        standing=standing,
        evaluation=evaluation,
        policies=traced,
        decision=decision,
        gone=tuple(gone),
        lower=milder,
        higher=harder,
    )


@dataclass(frozen=True, slots=True)
class _Given:
    """What is judged."""

    event: Event
    findings: Sequence[Finding]
    numbers: Mapping[str, Number]
    whose: str


def _policy(policies: PolicySet, policy: Policy, given: _Given) -> Iterator[PolicyTrace]:
    event = given.event
    bounds = [each for each in policies.programs_for(event.type) if each.program.policy is policy]
    if not bounds:
        runs = any(event.type in rule.on for rule in policy.rules)
        why = "no binding applies it" if runs else f"no rule runs on `{event.type}`"
        yield _skipped(policy, None, BindingMode.OFF, why)
    for bound in bounds:
        yield _bound(bound, given)


def _skipped(policy: Policy, binding: str | None, mode: BindingMode, why: str) -> PolicyTrace:
    rules = tuple(RuleTrace(rule, rule.position, mode, why) for rule in policy.rules)
    return PolicyTrace(policy.ref, str(policy.file), policy.on_error, binding, mode, why, rules=rules)


def _bound(bound: BoundProgram, given: _Given) -> PolicyTrace:
    policy, binding = bound.program.policy, bound.binding
    variables = {**bind(given.event, given.findings), **own_variables(bound, given.numbers)}
    selected = True if binding is None else binding.selects(given.event, variables)
    name = binding.id if binding else None
    if selected is False:
        return _skipped(policy, name, BindingMode.OFF, "the binding does not select this event")
    mode = binding.mode_for(given.whose) if binding else BindingMode.ENFORCE
    sources = {f"variables.{each}": source for each, source in policy.variables.items()}
    engine = Engine(policy.language, variables, sources)
    unclear = selected.detail if isinstance(selected, Unclear) else ""
    return PolicyTrace(
        ref=policy.ref,
        file=str(policy.file),
        on_error=policy.on_error,
        binding=name,
        mode=mode,
        unclear=unclear,
        params=tuple(_params(bound, engine)),
        variables=tuple(
            Named(each, in_words(engine.value(f"variables.{each}")), " ".join(source.split()))
            for each, source in policy.variables.items()
        ),
        aggregates=tuple(
            Named(each, _number(given.numbers.get(f"{policy.ref.name}.{each}"), definition), _described(definition))
            for each, definition in policy.aggregates.items()
        ),
        rules=tuple(_rules(bound, mode, engine, variables, given.event.type, unclear)),
    )


def _rules(
    bound: BoundProgram, mode: BindingMode, engine: Engine, variables: Mapping[str, Any], event_type: str, unclear: str
) -> Iterator[RuleTrace]:
    program = bound.program
    judged = {rule.id: n for n, rule in enumerate(program.rules)}
    answers = [] if unclear else program.conditions.evaluate(variables)
    for rule in program.policy.rules:
        own = bound.mode_of(rule.id, mode)
        if rule.id not in judged:
            yield RuleTrace(rule, rule.position, own, f"runs on {', '.join(sorted(rule.on))}, not on {event_type}")
        elif unclear:
            yield RuleTrace(rule, rule.position, own, f"it is not known whether the binding applies: {unclear}")
        elif own is BindingMode.OFF:
            yield RuleTrace(rule, rule.position, own, "the binding switches it off")
        else:
            yield RuleTrace(rule, rule.position, own, "", answers[judged[rule.id]], _expressions(rule, engine))


def _expressions(rule: Rule, engine: Engine) -> dict[str, Traced]:
    written = (("when", rule.when), ("where", rule.where), ("unless", rule.unless))
    return {key: trace(source, engine) for key, source in written if source is not None}


def _params(bound: BoundProgram, engine: Engine) -> Iterator[Named]:
    for name in bound.program.policy.params:
        overridden = f"params.{name}" in bound.params
        yield Named(name, in_words(engine.value(f"params.{name}")), "set by the binding" if overridden else "")


def _number(value: Number, definition: Aggregate) -> str:
    if value is not None and definition.kind is Kind.TIME:
        return in_words(_EPOCH + timedelta(microseconds=value))
    if value is not None and definition.kind is Kind.DURATION:
        return in_words(timedelta(microseconds=value))
    return in_words(value)


def _described(definition: Aggregate) -> str:
    over = f"{definition.function} of {definition.of}" + (f" per {definition.per}" if definition.per else "")
    return f"{over} by {definition.by} within {in_words(definition.window)}"
