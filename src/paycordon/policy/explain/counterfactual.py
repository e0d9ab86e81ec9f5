"""What would have had to differ for another outcome: smallest sets of changes, each tried out on all rules in force.

A set is only reported if the rules, judged again with the changed conditions, do have that outcome; what else a changed
value turns is taken into account (`paycordon.policy.explain.nearest`). The search is bounded, so there may be more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from paycordon.decisions import CheckError, Evaluation, Outcome
from paycordon.policy.bindings import BindingMode
from paycordon.policy.explain.formula import Answer, Formula, Leaf, Turn, formula_of, smallest, together, turns, value
from paycordon.policy.explain.model import Change, Counterfactual, PolicyTrace, RuleTrace
from paycordon.policy.explain.nearest import change_of, consequences, telling
from paycordon.policy.explain.parts import Form
from paycordon.policy.model import PolicySet, Typology

MOST = 5
"""So many counterfactuals are given in each direction."""
_COMBINED = 3
"""So many rules are turned at once to reach or leave a typology's threshold."""
_STANDING = "standing"
_CHECK = "check\x00"


@dataclass(frozen=True, slots=True)
class _Rule:
    """A rule in force: its formula, and what it does when it is true."""

    key: tuple[str, str]
    formula: Formula
    then: Outcome
    adds: Mapping[str, int]
    on_error: Outcome


@dataclass(frozen=True, slots=True)
class _Rules:
    """All rules in force, and what else decides."""

    rules: Sequence[_Rule]
    typologies: Mapping[tuple[str, str], Typology]
    leaves: Mapping[str, Leaf]
    standing: Outcome
    on_failed_check: Outcome
    failed: frozenset[str]

    def outcome(self, given: Mapping[str, Answer]) -> Outcome:
        """Judge with some conditions otherwise than they were."""
        found = [] if given.get(_STANDING) is False else [self.standing]
        if any(given.get(f"{_CHECK}{check}", True) for check in self.failed):
            found.append(self.on_failed_check)
        points: dict[tuple[str, str], dict[str, int]] = {}
        for rule in self.rules:
            answer = value(rule.formula, given)
            if answer is None:
                found.append(rule.on_error)
            elif answer:
                found.append(rule.then)
                for name, number in rule.adds.items():
                    points.setdefault((rule.key[0], name), {})[rule.key[1]] = (
                        number  # under two bindings it counts once
                    )
        found += [self.typologies[key].outcome(sum(each.values())) for key, each in points.items()]
        return Outcome.most_severe(*found)


def counterfactuals(
    traced: Iterable[PolicyTrace],
    policies: PolicySet,
    evaluation: Evaluation,
    check_errors: Sequence[CheckError],
    standing: Outcome,
) -> tuple[tuple[Counterfactual, ...], tuple[Counterfactual, ...]]:
    """Find what would have made the outcome milder, and what would have made it more severe."""
    known = list(traced)
    if any(policy.unclear for policy in known):
        return (), ()
    rules = _rules(known, policies, check_errors, standing)
    if rules.outcome({}) is not evaluation.outcome:
        return (), ()  # what is not understood is not explained away
    below = [outcome for outcome in Outcome if outcome.rank < evaluation.outcome.rank]
    above = [outcome for outcome in Outcome if outcome.rank > evaluation.outcome.rank]
    milder = [turn for most in reversed(below) for turn in _to_at_most(rules, most)]
    harder = [turn for least in above for turn in _to_at_least(rules, least)]
    return (
        _tried(rules, milder, lambda outcome: outcome.rank < evaluation.outcome.rank),
        _tried(rules, harder, lambda outcome: outcome.rank > evaluation.outcome.rank),
    )


def _rules(
    traced: Sequence[PolicyTrace], policies: PolicySet, check_errors: Sequence[CheckError], standing: Outcome
) -> _Rules:
    rules: list[_Rule] = []
    for policy in traced:
        scope = f"{policy.ref.name}/{policy.binding or ''}"
        rules += [_rule(each, policy, scope) for each in policy.rules if _counts(each)]
    leaves = {leaf.key: leaf for rule in rules for leaf in rule.formula.leaves()}
    judging = [each.on_error for each in traced if not each.skipped and each.mode is BindingMode.ENFORCE]
    return _Rules(
        rules=rules,
        typologies={(p.ref.name, name): each for p in policies.policies for name, each in p.typologies.items()},
        leaves=leaves,
        standing=standing,
        on_failed_check=Outcome.most_severe(*judging) if check_errors else Outcome.ALLOW,
        failed=frozenset(each.check for each in check_errors),
    )


def _counts(rule: RuleTrace) -> bool:
    return not rule.skipped and rule.mode is BindingMode.ENFORCE


def _rule(traced: RuleTrace, policy: PolicyTrace, scope: str) -> _Rule:
    parts = [
        Formula(Form.NOT, (formula_of(each, scope),)) if key == "unless" else formula_of(each, scope)
        for key, each in traced.expressions.items()
    ]
    formula = parts[0] if len(parts) == 1 else Formula(Form.ALL, tuple(parts))
    own = traced.rule
    return _Rule((own.policy, own.id), formula, own.then or Outcome.ALLOW, own.adds, policy.on_error)


def _to_at_most(rules: _Rules, most: Outcome) -> list[Turn]:
    """Ways to turn everything off that says more than `most`."""
    ways: list[list[Turn]] = []
    for rule in rules.rules:
        answer = value(rule.formula, {})
        if answer is None and rule.on_error.rank > most.rank:
            ways.append(smallest([*turns(rule.formula, False), *turns(rule.formula, True)]))
        elif answer and rule.then.rank > most.rank:
            ways.append(turns(rule.formula, False))
    ways += [_out_of(rules, key, typology, most) for key, typology in rules.typologies.items()]
    if rules.on_failed_check.rank > most.rank:
        ways.append([frozenset((f"{_CHECK}{check}", False) for check in rules.failed)])
    if rules.standing.rank > most.rank:
        ways.append([frozenset({(_STANDING, False)})])
    return together(ways)


def _out_of(rules: _Rules, key: tuple[str, str], typology: Typology, most: Outcome) -> list[Turn]:
    """Ways to take so many points off a typology that it says at most `most`."""
    adding = {rule.key: rule for rule in rules.rules if value(rule.formula, {}) and _points(rule, key) != 0}
    total = sum(_points(rule, key) for rule in adding.values())
    if typology.outcome(total).rank <= most.rank:
        return [frozenset()]
    found: list[Turn] = []
    for size in range(1, _COMBINED + 1):
        for some in combinations(adding.values(), size):
            if typology.outcome(total - sum(_points(rule, key) for rule in some)).rank <= most.rank:
                found += together(turns(rule.formula, False) for rule in some)
    return smallest(found)


def _points(rule: _Rule, key: tuple[str, str]) -> int:
    return rule.adds.get(key[1], 0) if rule.key[0] == key[0] else 0


def _to_at_least(rules: _Rules, least: Outcome) -> list[Turn]:
    """Ways to make one rule match that says `least`, or a typology reach that."""
    found: list[Turn] = []
    for rule in rules.rules:
        if rule.then is least and value(rule.formula, {}) is not True:
            found += turns(rule.formula, True)
    for key, typology in rules.typologies.items():
        found += _into(rules, key, typology, least)
    return smallest(found)


def _into(rules: _Rules, key: tuple[str, str], typology: Typology, least: Outcome) -> Iterator[Turn]:
    total = sum(_points(rule, key) for rule in rules.rules if value(rule.formula, {}))
    could = [rule for rule in rules.rules if _points(rule, key) > 0 and value(rule.formula, {}) is False]
    for size in range(1, _COMBINED + 1):
        for some in combinations(could[:16], size):
            if typology.outcome(total + sum(_points(rule, key) for rule in some)).rank >= least.rank:
                yield from together(turns(rule.formula, True) for rule in some)


def _tried(rules: _Rules, found: Iterable[Turn], is_wanted: Callable[[Outcome], bool]) -> tuple[Counterfactual, ...]:
    """Judge again with each set of changes, and keep the smallest that do what is wanted."""
    kept: dict[Turn, Counterfactual] = {}
    for turn in sorted(set(found), key=lambda each: (len(each), sorted(each))):
        if not turn or any(other <= turn for other in kept):
            continue
        for each in consequences(turn, rules.leaves):
            outcome = rules.outcome(each.given)
            if is_wanted(outcome):
                told = telling(turn, rules.leaves, each.values)
                changes = tuple(_change(key, wanted, rules, each.values) for key, wanted in told)
                kept[turn] = Counterfactual(outcome, changes)
                break
        if len(kept) == MOST:
            break
    return tuple(kept.values())


def _change(key: str, wanted: bool, rules: _Rules, values: Mapping[str, Any]) -> Change:
    if key == _STANDING:
        return Change("the hold in force", rules.standing, "released")
    if key.startswith(_CHECK):
        return Change(f"check {key.removeprefix(_CHECK)}", "no conclusion", "a conclusion")
    return change_of(rules.leaves[key], wanted, values)
