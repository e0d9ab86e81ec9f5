"""Snoozes: a rule's match stays on the decision, and counts as `allow`, while a person has silenced it for a merchant.

A released hold silences its rule for a while too, unless that rests on the coalition's knowledge: then only what was
looked at is passed over, by the check.

Pure: which snoozes last is an argument. Standing holds and `on_error` cannot be snoozed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

from paycordon.context import Snooze
from paycordon.decisions import Evaluation, Judgement, Outcome, RuleMatch, Score
from paycordon.policy.evaluate import ON_ERROR, STANDING_HOLD, TYPOLOGY
from paycordon.policy.model import PolicySet

RELEASED = "released/"
"""Before a rule that is silent because people have released what it held."""

_J = TypeVar("_J", bound=Judgement)
_NEVER = frozenset({ON_ERROR, STANDING_HOLD})


def silenced(
    policies: PolicySet,
    evaluation: Evaluation,
    snoozes: Sequence[Snooze],
    guarded: frozenset[str],
    coalition: frozenset[str] = frozenset(),
) -> Evaluation:
    """Let snoozed rules count as `allow`, in force and in shadow.

    Args:
        policies: what judged.
        evaluation: what it said.
        snoozes: those that last for the merchant.
        guarded: rules, as `policy/rule`, that only a snooze of two people silences.
        coalition: rules and typologies that a release does not silence, since they rest on the coalition's knowledge.
    """
    by_rule = {each.rule: each.id for each in snoozes if each.by_two or each.rule not in guarded}
    released = {each.rule.removeprefix(RELEASED): each.id for each in snoozes if each.rule.startswith(RELEASED)}
    by_rule |= {rule: id_ for rule, id_ in released.items() if rule not in coalition}
    if not by_rule:
        return evaluation
    judged = _silenced(policies, evaluation, by_rule)
    if evaluation.shadow is None:
        return judged
    return judged.model_copy(update={"shadow": _silenced(policies, evaluation.shadow, by_rule)})


def _silenced(policies: PolicySet, judged: _J, by_rule: Mapping[str, str]) -> _J:
    matches = [_lowered(match, by_rule) for match in judged.matches]
    for score in judged.scores:
        quiet = [rule for rule in score.rules if f"{score.policy}/{rule}" in by_rule]
        if quiet:
            snooze = by_rule[f"{score.policy}/{quiet[0]}"]
            matches = [_rescored(policies, match, score, quiet, snooze) for match in matches]
    return judged.model_copy(update={"matches": tuple(matches), "outcome": _most_severe(matches)})


def _lowered(match: RuleMatch, by_rule: Mapping[str, str]) -> RuleMatch:
    snooze = by_rule.get(f"{match.policy}/{match.rule}")
    if snooze is None or match.rule in _NEVER or match.outcome is Outcome.ALLOW:
        return match
    return _with(match, Outcome.ALLOW, snooze)


def _rescored(policies: PolicySet, match: RuleMatch, score: Score, quiet: Sequence[str], snooze: str) -> RuleMatch:
    """Take the points of silenced rules out of what a typology states."""
    if (match.policy, match.rule) != (score.policy, f"{TYPOLOGY}{score.typology}"):
        return match
    policy = policies.policy(score.policy)
    if policy is None:
        return match
    adds = {rule.id: rule.adds.get(score.typology, 0) for rule in policy.rules}
    left = sum(adds[rule] for rule in score.rules if rule not in quiet)
    outcome = policy.typologies[score.typology].outcome(left)
    return match if outcome.rank >= match.outcome.rank else _with(match, outcome, snooze)


def _with(match: RuleMatch, outcome: Outcome, snooze: str) -> RuleMatch:
    changed = {"outcome": outcome, "limited": match.limited or match.outcome, "snoozed": snooze}
    return match.model_copy(
        update=changed if outcome.stops else {**changed, "merchant_reason": "", "review_after_s": None}
    )


def _most_severe(matches: Iterable[RuleMatch]) -> Outcome:
    return Outcome.most_severe(*(match.outcome for match in matches))
