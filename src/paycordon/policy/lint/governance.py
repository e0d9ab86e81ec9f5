"""What is asked of packs, and of rules that say how far they are to be trusted."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from paycordon.decisions import Outcome
from paycordon.policy.bindings import BindingMode
from paycordon.policy.cases import RulesTried
from paycordon.policy.document import Status, Weight
from paycordon.policy.lint.issues import Issue
from paycordon.policy.lint.subject import Expression, Loc, PolicySubject, RuleSubject
from paycordon.policy.syntax import Call, Const, Node, walk

_PLAIN = (0, 1, -1)
_WRITTEN_AMOUNT = re.compile(r"-?\d+(\.\d+)? [A-Z]{3}")


def issues(policy: PolicySubject, tried: RulesTried, now: datetime | None) -> Iterator[Issue]:
    """Find P213 to P219.

    Args:
        policy: the policy.
        tried: what its tests try of its rules.
        now: the time by which a pack is out of date; without it P219 is not looked for.
    """
    for rule in policy.rules:
        if rule.rule.weight is Weight.SOFT:
            yield from _soft(rule)
        if rule.rule.status is Status.UNVERIFIED and policy.mode_of(rule.rule) is BindingMode.ENFORCE:
            hint = "compare it with its source, or let `bindings.yaml` say `rules: {…: shadow}`"
            yield rule.issue("P217", f"{rule.name} is in force, and nobody has verified it", hint)
    pack = policy.policy.pack
    if pack is None:
        return
    for rule in policy.rules:
        yield from _documented(rule)
        yield from _tested(rule, tried)
    yield from _numbers(policy)
    if now is not None and pack.review_by < now.date():
        hint = "compare it with its source, and set a new date"
        yield policy.issue("P219", ("pack", "review_by"), "this pack was to be compared with its source by then", hint)


def _soft(rule: RuleSubject) -> Iterator[Issue]:
    typologies = rule.policy.policy.typologies
    blocking = [
        name
        for name, points in rule.rule.adds.items()
        if points > 0 and any(outcome is Outcome.BLOCK for _, outcome in typologies[name].thresholds)
    ]
    if rule.rule.then is Outcome.BLOCK or blocking:
        how = f"adds to `{blocking[0]}`, which can block" if blocking else "blocks"
        yield rule.issue("P213", f"{rule.name} is soft and {how}", "let a person decide: hold at most")
    elif rule.outcome is not Outcome.ALLOW:
        hint = "let it add points to a typology, fewer than any threshold"
        yield rule.issue("P214", f"{rule.name} is soft and says `{rule.outcome}` alone", hint)


def _documented(rule: RuleSubject) -> Iterator[Issue]:
    stated = rule.rule
    given = {
        "references": stated.references,
        "status": stated.status,
        "weight": stated.weight,
        "false_positives": stated.false_positives,
    }
    if missing := [f"`{key}`" for key, value in given.items() if not value]:
        message = f"{rule.name} is part of a pack and has no {', '.join(missing)}"
        yield rule.issue("P215", message, "write them, so that others can judge how far to trust it")


def _tested(rule: RuleSubject, tried: RulesTried) -> Iterator[Issue]:
    lacks = [what for what, rules in tried.by_kind.items() if rule.rule.id not in rules]
    if lacks:
        message = f"{rule.name} is part of a pack, and no test has it that it {', or that it '.join(lacks)}"
        yield rule.issue("P216", message, "write cases beside the policy, with `but` for what it misses narrowly")


def _numbers(policy: PolicySubject) -> Iterator[Issue]:
    for owner, each in policy.expressions:
        for node in walk(each.tree):
            if _is_threshold(node):
                yield _written(owner, each, node)
                break
    for name, aggregate in (policy.data.get("aggregates") or {}).items():
        for loc in _literals(aggregate, ("aggregates", name)):
            hint = "name a parameter of the policy, such as `window: params.month`"
            yield policy.issue("P218", loc, f"aggregate `{name}`: a number is written into a pack", hint, key=False)
            break


def _written(owner: str, each: Expression, node: Node) -> Issue:
    return each.issue("P218", node, f"{owner}: a number is written into a pack", "give it a name under `params`")


def _is_threshold(node: Node) -> bool:
    if isinstance(node, Call) and node.function in ("duration", "timestamp"):
        return True
    return isinstance(node, Const) and node.kind in ("int", "uint", "double") and node.value not in _PLAIN


def _literals(value: Any, loc: Loc) -> Iterator[Loc]:
    """Where an aggregate states a window, a number or an amount itself."""
    if isinstance(value, dict):
        for key, each in value.items():
            if key == "window" and not str(each).startswith("params."):
                yield (*loc, key)
            yield from _literals(each, (*loc, key))
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield from _literals(each, (*loc, index))
    elif _is_literal(value):
        yield loc


def _is_literal(value: object) -> bool:
    if isinstance(value, str):
        return _WRITTEN_AMOUNT.fullmatch(value) is not None
    return isinstance(value, int | float) and not isinstance(value, bool)
