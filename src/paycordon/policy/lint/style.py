"""What makes a policy hard to read for the next person."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

from paycordon.policy.lint.issues import Issue
from paycordon.policy.lint.subject import Expression, Loc, PolicySubject
from paycordon.policy.syntax import Call, Const, Node, walk

LONG = 600
"""The most characters an expression should have."""

# Groups of keys in their usual order; within a group, and after all groups, the order is free.
_OF_POLICY = (
    ("policy",),
    ("version",),
    ("description",),
    ("pack",),
    ("on_error", "review_after", "child_protection", "status", "weight"),
    ("params", "lists", "aggregates", "variables", "typologies"),
    ("rules",),
)
_OF_RULE = (("id",), ("on",), ("when", "where"), ("unless",), ("then", "adds"))

_ORDERED = ("_<_", "_<=_", "_>_", "_>=_")
_PLAIN = (0, 1, -1)
_EMPTY_NAME = re.compile(r"^(?:(?:rule|test|tmp|temp|new|foo|bar|todo|copy|untitled|r)-?)*\d*$")


def issues(policy: PolicySubject) -> Iterator[Issue]:
    """Find P301 to P306."""
    if not policy.data.get("description"):
        yield policy.issue("P302", ("policy",), "the policy has no `description`", "say in one sentence what it is for")
    yield from _order(policy, (), _OF_POLICY)
    for rule in policy.rules:
        yield from _order(policy, rule.loc, _OF_RULE)
        if rule.rule.then is not None and not rule.rule.internal_reason:
            hint = "say what the reviewer should know"
            yield rule.issue("P301", f"{rule.name} has no `internal_reason`", hint)
        if _EMPTY_NAME.match(rule.rule.id):
            yield rule.issue("P306", f"the id `{rule.rule.id}` says nothing", "name what the rule is about")
    for name, typology in policy.policy.typologies.items():
        if not typology.internal_reason:
            hint = "say what the reviewer should know"
            yield policy.issue("P301", ("typologies", name), f"typology `{name}` has no `internal_reason`", hint)
    for owner, each in policy.expressions:
        yield from _expression(owner, each)


def _order(policy: PolicySubject, loc: Loc, usual: Sequence[tuple[str, ...]]) -> Iterator[Issue]:
    at: Any = policy.data
    for step in loc:
        at = at[step]
    ranks = {key: rank for rank, keys in enumerate(usual) for key in keys}
    for before, key in pairwise(at):
        if ranks.get(key, len(usual)) < ranks.get(before, len(usual)):
            yield policy.issue("P303", (*loc, key), f"`{key}` usually stands before `{before}`")
            return


def _expression(owner: str, each: Expression) -> Iterator[Issue]:
    if not each.written:
        return
    if len(each.source) > LONG:
        message = f"{owner}: the expression has {len(each.source)} characters"
        yield each.issue("P304", each.tree, message, "give its parts names under `variables`")
    if each.loc[-1] == "when" or each.loc[-1] == "unless":
        for node in _magic(each.tree):
            hint = "a parameter has a name, and bindings can set it"
            yield each.issue("P305", node, f"{owner}: a number is written into the rule", hint)


def _magic(tree: Node) -> Iterator[Node]:
    for node in walk(tree):
        if isinstance(node, Call) and node.function in _ORDERED:
            yield from (side for side in node.args if _is_number(side) or _is_duration(side))


def _is_number(node: Node) -> bool:
    return isinstance(node, Const) and node.kind in ("int", "uint", "double") and node.value not in _PLAIN


def _is_duration(node: Node) -> bool:
    return isinstance(node, Call) and node.function == "duration" and isinstance(node.args[0], Const)
