"""The pure part of a decision: what the policies say of an event, its findings and its aggregates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from paycordon.decisions import CheckError, Evaluation, Finding, Outcome, RuleError, RuleMatch
from paycordon.events import Event
from paycordon.policy.cel import Unclear
from paycordon.policy.model import STANDING_POLICY, PolicySet, Program, Rule
from paycordon.policy.schema import bind

ON_ERROR = "on_error"
STANDING_HOLD = "standing_hold"
NEUTRAL_REASON = "additional_information_required"


def evaluate(
    policies: PolicySet,
    event: Event,
    findings: Sequence[Finding],
    aggregates: Mapping[str, int],
    *,
    check_errors: Sequence[CheckError] = (),
    standing: Outcome = Outcome.ALLOW,
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

    Returns:
        The outcome, the maximum over all matches, with the matches by policy name and then in the order of the file.
    """
    programs = policies.programs_for(event.type)
    matches: list[RuleMatch] = []
    errors: list[RuleError] = []
    variables = bind(event, findings) if programs else {}
    for program in programs:
        unclear = _judge(program, {**variables, **_own(program, aggregates)}, matches)
        errors.extend(unclear)
        if unclear or check_errors:
            matches.append(_on_error(program, unclear, check_errors))
    if standing is not Outcome.ALLOW:
        reason = NEUTRAL_REASON if standing.stops else ""
        matches.append(RuleMatch(policy=STANDING_POLICY, rule=STANDING_HOLD, outcome=standing, merchant_reason=reason))
    matches.sort(key=lambda match: match.policy)
    outcome = Outcome.most_severe(*(match.outcome for match in matches))
    return Evaluation(outcome=outcome, matches=tuple(matches), errors=tuple(errors))


def _own(program: Program, aggregates: Mapping[str, int]) -> dict[str, int]:
    """The values of a policy's own aggregates, under the names its rules use."""
    policy = program.policy
    values = ((name, aggregates.get(f"{policy.ref.name}.{name}")) for name in policy.aggregates)
    return {f"aggregates.{name}": value for name, value in values if value is not None}


def _judge(program: Program, variables: Mapping[str, object], matches: list[RuleMatch]) -> list[RuleError]:
    """Add a policy's matches and return its rules without an answer."""
    errors = []
    for rule, answer in zip(program.rules, program.conditions.evaluate(variables), strict=True):
        if answer is True:
            matches.append(_match(rule))
        elif isinstance(answer, Unclear):
            errors.append(RuleError(policy=rule.policy, rule=rule.id, detail=answer.detail))
    return errors


def _match(rule: Rule) -> RuleMatch:
    return RuleMatch(
        policy=rule.policy,
        rule=rule.id,
        outcome=rule.then,
        internal_reason=rule.internal_reason,
        merchant_reason=rule.merchant_reason,
    )


def _on_error(program: Program, unclear: Sequence[RuleError], failed: Sequence[CheckError]) -> RuleMatch:
    outcome = program.policy.on_error
    reasons = [f"check `{error.check}` is {error.kind}" for error in failed]
    reasons += [f"rule `{error.rule}` has no answer" for error in unclear]
    return RuleMatch(
        policy=program.policy.ref.name,
        rule=ON_ERROR,
        outcome=outcome,
        internal_reason="; ".join(reasons)[:2_000],
        merchant_reason=NEUTRAL_REASON if outcome.stops else "",
    )
