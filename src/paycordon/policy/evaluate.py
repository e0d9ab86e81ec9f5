"""The pure part of a decision: what the policies say of an event, its findings and its aggregates."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from paycordon.decisions import CheckError, Evaluation, Finding, Judgement, Outcome, RuleError, RuleMatch, Score
from paycordon.events import Event
from paycordon.policy.bindings import BindingMode
from paycordon.policy.cel import Unclear
from paycordon.policy.model import STANDING_POLICY, BoundProgram, Policy, PolicySet, Rule, Typology
from paycordon.policy.schema import bind

ON_ERROR = "on_error"
STANDING_HOLD = "standing_hold"
TYPOLOGY = "typology."
NEUTRAL_REASON = "additional_information_required"


def evaluate(
    policies: PolicySet,
    event: Event,
    findings: Sequence[Finding],
    aggregates: Mapping[str, Any],
    *,
    check_errors: Sequence[CheckError] = (),
    standing: Outcome = Outcome.ALLOW,
    merchant: str | None = None,
) -> Evaluation:
    """Judge an event. Pure: the same arguments always give the same evaluation.

    Args:
        policies: what judges; only rules on the event's type count.
        event: what is judged.
        findings: what the checks concluded.
        aggregates: values by `policy.name`, at least those of `policies.aggregates_for(event.type)`; one that is
            missing is an error of the rules that compute with it.
        check_errors: checks without a conclusion; every policy with a rule on this event type says what they mean.
        standing: the most severe outcome of holds already in force.
        merchant: whom the event belongs to, which decides who a rollout reaches; the event's own word by default.

    Returns:
        The outcome, the maximum over all matches in force, with the matches by policy name and then in the order of
        the file; and beside it what it would be if everything in shadow were in force.
    """
    programs = policies.programs_for(event.type)
    live, shadow = _Tally(), _Tally()
    applied: list[str] = []
    if programs:
        inputs = _Inputs(
            event,
            merchant or event.merchant.id or event.account.id,
            bind(event, findings, policies.uses_for(event.type)),
            frozenset(finding.code for finding in findings),
            aggregates,
            check_errors,
        )
        for bound in programs:
            mode = _apply(bound, inputs, (live, shadow))
            if bound.binding is not None and mode is not BindingMode.OFF:
                applied.append(bound.binding.id)
    standing_hold = [_standing(standing)] if standing is not Outcome.ALLOW else []
    judged = live.judgement(standing_hold)
    return Evaluation(
        outcome=judged.outcome,
        matches=judged.matches,
        errors=judged.errors,
        scores=judged.scores,
        shadow=live.with_(shadow).judgement(standing_hold) if shadow.used else None,
        bindings=tuple(applied),
    )


@dataclass(frozen=True, slots=True)
class _Inputs:
    """What all policies judge by; `variables` is the event with its findings as expressions see them."""

    event: Event
    merchant: str
    variables: Mapping[str, Any]
    codes: frozenset[str]
    aggregates: Mapping[str, Any]
    check_errors: Sequence[CheckError]


@dataclass(slots=True)
class _Tally:
    """What has matched so far; a rule that matches under two bindings counts once."""

    matches: dict[tuple[str, str], RuleMatch] = field(default_factory=dict)
    errors: dict[tuple[str, str], RuleError] = field(default_factory=dict)
    points: dict[tuple[str, str], dict[str, int]] = field(default_factory=dict)
    typologies: dict[tuple[str, str], tuple[Typology, str | None]] = field(default_factory=dict)
    used: bool = False

    def add(self, match: RuleMatch) -> None:
        """Add a match; of two of one rule the more severe counts."""
        key = match.policy, match.rule
        known = self.matches.get(key)
        if known is None or match.outcome.rank > known.outcome.rank:
            self.matches[key] = match

    def score(self, policy: Policy, rule: Rule, binding: str | None) -> None:
        """Add the points of a rule that matched."""
        for name, points in rule.adds.items():
            key = rule.policy, name
            self.points.setdefault(key, {})[rule.id] = points
            self.typologies.setdefault(key, (policy.typologies[name], binding))

    def with_(self, other: _Tally) -> _Tally:
        """Return both together."""
        both = _Tally(dict(self.matches), {**self.errors, **other.errors}, {}, {**self.typologies, **other.typologies})
        for match in other.matches.values():
            both.add(match)
        for key in {**self.points, **other.points}:
            both.points[key] = {**self.points.get(key, {}), **other.points.get(key, {})}
        return both

    def judgement(self, standing: Iterable[RuleMatch]) -> Judgement:
        """Conclude: thresholds of typologies, then the maximum."""
        matches = [*self.matches.values(), *self._reached(), *standing]
        matches.sort(key=lambda match: match.policy)
        return Judgement(
            outcome=Outcome.most_severe(*(match.outcome for match in matches)),
            matches=tuple(matches),
            errors=tuple(self.errors.values()),
            scores=tuple(
                Score(policy=policy, typology=name, points=sum(rules.values()), rules=tuple(rules))
                for (policy, name), rules in self.points.items()
            ),
        )

    def _reached(self) -> Iterable[RuleMatch]:
        for key, rules in self.points.items():
            typology, binding = self.typologies[key]
            outcome = typology.outcome(sum(rules.values()))
            if outcome is not Outcome.ALLOW:
                yield _match(key[0], f"{TYPOLOGY}{typology.name}", outcome, typology, binding)


def _apply(bound: BoundProgram, inputs: _Inputs, tallies: tuple[_Tally, _Tally]) -> BindingMode:
    """Let one policy under one binding judge; returns how hard it applied."""
    binding = bound.binding
    mode, selected = BindingMode.ENFORCE, True
    unclear: list[RuleError] = []
    if binding is not None:
        found = binding.selects(inputs.event, inputs.variables)
        if found is False:
            return BindingMode.OFF
        mode = binding.mode_for(inputs.merchant)
        if isinstance(found, Unclear):
            selected = False
            unclear.append(RuleError(policy=binding.policy, rule=f"binding.{binding.id}", detail=found.detail))
    live, shadow = tallies
    tally = live if mode is BindingMode.ENFORCE else shadow
    shadow.used |= mode is BindingMode.SHADOW
    if selected:
        unclear += _judge(bound, mode, inputs, tallies)
    for error in unclear:
        tally.errors[error.policy, error.rule] = error
    if unclear or inputs.check_errors:
        tally.add(_on_error(bound, unclear, inputs.check_errors))
    return mode


def own_variables(bound: BoundProgram, aggregates: Mapping[str, Any]) -> dict[str, Any]:
    """What only this policy's expressions see: its aggregates, and the parameters that its binding overrides."""
    policy = bound.program.policy
    values = ((name, aggregates.get(f"{policy.ref.name}.{name}")) for name in policy.aggregates)
    return {**bound.params, **{f"aggregates.{name}": value for name, value in values if value is not None}}


def _judge(bound: BoundProgram, mode: BindingMode, inputs: _Inputs, tallies: tuple[_Tally, _Tally]) -> list[RuleError]:
    """Add a policy's matches and return its rules without an answer."""
    program = bound.program
    live, shadow = tallies
    binding = bound.binding.id if bound.binding else None
    errors = []
    variables = {**inputs.variables, **own_variables(bound, inputs.aggregates)}
    for rule, answer in zip(program.rules, program.conditions.evaluate(variables, inputs.codes), strict=True):
        if answer is False:
            continue
        rule_mode = mode if bound.binding is None else bound.mode_of(rule.id, mode)
        if rule_mode is BindingMode.OFF:
            continue
        tally = live if rule_mode is BindingMode.ENFORCE else shadow
        shadow.used |= tally is shadow
        if answer is True:
            if rule.then is not None:
                tally.add(_match(rule.policy, rule.id, rule.then, rule, binding))
            tally.score(program.policy, rule, binding)
        elif rule_mode is mode:
            errors.append(RuleError(policy=rule.policy, rule=rule.id, detail=answer.detail))
        else:
            shadow.errors[rule.policy, rule.id] = RuleError(policy=rule.policy, rule=rule.id, detail=answer.detail)
    return errors


def _match(policy: str, name: str, outcome: Outcome, says: Rule | Typology, binding: str | None) -> RuleMatch:
    return RuleMatch(
        policy=policy,
        rule=name,
        outcome=outcome,
        internal_reason=says.internal_reason,
        merchant_reason=says.merchant_reason if outcome.stops else "",
        binding=binding,
        review_after_s=int(says.review_after.total_seconds()) if says.review_after and outcome.stops else None,
        scope=says.scope if outcome.stops else None,
    )


def _standing(outcome: Outcome) -> RuleMatch:
    reason = NEUTRAL_REASON if outcome.stops else ""
    return RuleMatch(policy=STANDING_POLICY, rule=STANDING_HOLD, outcome=outcome, merchant_reason=reason)


def _on_error(bound: BoundProgram, unclear: Sequence[RuleError], failed: Sequence[CheckError]) -> RuleMatch:
    policy = bound.program.policy
    reasons = [f"check `{error.check}` is {error.kind}" for error in failed]
    reasons += [f"rule `{error.rule}` has no answer" for error in unclear]
    return RuleMatch(
        policy=policy.ref.name,
        rule=ON_ERROR,
        outcome=policy.on_error,
        internal_reason="; ".join(reasons)[:2_000],
        merchant_reason=NEUTRAL_REASON if policy.on_error.stops else "",
        binding=bound.binding.id if bound.binding else None,
    )
