"""P212: amounts in minor units compared with a number, whatever the currency: 1000 is 10 EUR and 1000 JPY."""

from __future__ import annotations

from collections.abc import Iterator

from paycordon.aggregates import Aggregate, Function
from paycordon.aggregates.definition import Column
from paycordon.policy.lint.issues import Issue
from paycordon.policy.lint.subject import PolicySubject, RuleSubject
from paycordon.policy.syntax import Call, Const, Node, paths, walk

_ORDERED = ("_<_", "_<=_", "_>_", "_>=_")
_OF_AMOUNTS = (Function.SUM, Function.MIN, Function.MAX)


def issues(policy: PolicySubject) -> Iterator[Issue]:
    """Find P212, once for each expression."""
    for rule in policy.rules:
        for part, tree in rule.trees:
            node, name = next(_bare(tree, rule), (None, ""))
            if node is not None and part.written:
                hint = "compare its currency as well; an aggregate has the currency of the event"
                yield part.issue("P212", node, f"{rule.name}: `{name}` is compared without its currency", hint)


def _bare(tree: Node, rule: RuleSubject) -> Iterator[tuple[Node, str]]:
    currencies = {path[:-1] for path in rule.paths if path[-1] == "currency"}
    for node in walk(tree):
        if not isinstance(node, Call) or node.function not in _ORDERED:
            continue
        left, right = node.args
        for side, other in ((left, right), (right, left)):
            if _is_number(other):
                for path in sorted(_amounts(side, rule)):
                    if path[:-1] not in currencies and not (path[0] == "aggregates" and currencies):
                        yield node, ".".join(path)


def _is_number(node: Node) -> bool:
    """Tell whether a node is made of literals and parameters only, other than a plain zero."""
    return all(path[0] == "params" for path in paths(node)) and not (isinstance(node, Const) and node.value == 0)


def _amounts(node: Node, rule: RuleSubject) -> set[tuple[str, ...]]:
    aggregates = rule.policy.policy.aggregates
    return {
        path
        for path in paths(node)
        if path[-2:] == ("amount", "minor")
        or (path[0] == "aggregates" and len(path) > 1 and _is_amount(aggregates.get(path[1])))
    }


def _is_amount(aggregate: Aggregate | None) -> bool:
    if aggregate is None or aggregate.function not in _OF_AMOUNTS:
        return False
    return all(condition.column is not Column.CURRENCY for condition in aggregate.where)
