"""Bugs in the conditions of rules: what never comes, contradictions, and rules that other rules make useless."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import replace

from paycordon.aggregates import Function
from paycordon.documents import did_you_mean
from paycordon.events import Mode
from paycordon.policy.lint.formula import All, Bound, Compare, Either, Exists, Formula, OneOf, Opaque, Truth
from paycordon.policy.lint.issues import Issue
from paycordon.policy.lint.logic import implies, impossible
from paycordon.policy.lint.shape import PARTS, ROOTS, steps
from paycordon.policy.lint.subject import Known, PolicySubject, RuleSubject
from paycordon.policy.syntax import (
    Call,
    Const,
    Has,
    ListLiteral,
    Node,
    Select,
    children,
    conjuncts,
    disjuncts,
    path_of,
    walk,
)

_EQUALITIES = ("_==_", "_!=_")


def issues(policy: PolicySubject, known: Known) -> Iterator[Issue]:
    """Find P101, P104 and P108 to P113."""
    for owner, each in policy.expressions:
        if known.codes is not None:
            for node, code in codes(each.tree):
                if code not in known.codes:
                    hint = did_you_mean(code, sorted(known.codes))
                    yield each.issue("P101", node, f"{owner}: no installed check emits `{code}`", hint)
        for node, path in _compared_with_null(each.tree):
            name = ".".join(path)
            hint = f"write `!has({name})` for one that is missing"
            yield each.issue("P104", node, f"{owner}: `{name}` is never equal to null", hint)
        for before, twice in repeated(each.tree):
            issue = each.issue("P113", twice, f"{owner}: the same stands before it already", "leave it out")
            yield replace(issue, span=(before.end, twice.end))
    for rule in policy.rules:
        yield from _absent_parts(rule)
    yield from _useless(policy)


def codes(tree: Node) -> Iterator[tuple[Node, str]]:
    """The finding codes that an expression compares with."""
    for node in walk(tree):
        if isinstance(node, Call) and node.function in (*_EQUALITIES, "_in_"):
            left, right = node.args
            if node.function != "_in_" and isinstance(left, Const):
                left, right = right, left
            if isinstance(left, Select) and left.field == "code":
                options: Sequence[Node] = right.items if isinstance(right, ListLiteral) else (right,)
                for each in options:
                    if isinstance(each, Const) and isinstance(each.value, str):
                        yield each, each.value


def _compared_with_null(tree: Node) -> Iterator[tuple[Node, tuple[str, ...]]]:
    for node in walk(tree):
        if not isinstance(node, Call) or node.function not in _EQUALITIES:
            continue
        other = [each for each in node.args if not (isinstance(each, Const) and each.kind == "null")]
        path = path_of(other[0]) if len(other) == 1 else None
        if path and path[0] in ROOTS:
            found = steps(ROOTS[path[0]], path[1:])
            if len(found) == len(path) - 1 and (not found or found[-1].kind == "record"):
                yield node, path


def repeated(tree: Node) -> Iterator[tuple[Node, Node]]:
    """The operands of `&&` and `||` that stand before in the same chain, each after the operand before it."""
    for operands in (conjuncts(tree), disjuncts(tree)):
        if len(operands) > 1:
            for index, each in enumerate(operands):
                if each in operands[:index]:
                    yield operands[index - 1], each
                else:
                    yield from repeated(each)
            return
    for each in children(tree):
        yield from repeated(each)


def _absent_parts(rule: RuleSubject) -> Iterator[Issue]:
    stages = {type_.split(".", 1)[0] for type_ in rule.rule.on}
    for part in PARTS:
        if part in stages:
            continue
        for expression in rule.parts:
            found = (node for node in walk(expression.tree) if _reads(node, ("event", part)))
            if node := next(found, None):
                types = ", ".join(f"`{type_}`" for type_ in sorted(rule.rule.on))
                message = f"{rule.name}: `event.{part}` is never there in {types}"
                yield expression.issue("P110", node, message, f"only `{part}.…` events have it")
                break


def _reads(node: Node, path: tuple[str, ...]) -> bool:
    if isinstance(node, Has):
        operand = path_of(node.operand)
        return operand is not None and (*operand, node.field) == path
    return isinstance(node, Select) and path_of(node) == path


def _useless(policy: PolicySubject) -> Iterator[Issue]:
    alive: list[RuleSubject] = []
    for rule in policy.rules:
        if not rule.complete:
            continue
        domain = _Domain(rule)
        if impossible([rule.formula], domain):
            yield rule.issue("P108", f"{rule.name} can never match", "its parts contradict each other")
            continue
        if all(impossible([each], domain) for each in rule.negations):
            hint = "say which events are meant; a rule for all of them is a setting of the gateway"
            yield rule.issue("P109", f"{rule.name} matches every event of its types", hint)
        alive.append(rule)
    yield from _covered(policy, alive)


class _Domain:
    """What holds of the values of a rule's events, whatever the event."""

    def __init__(self, rule: RuleSubject) -> None:
        self._rule = rule

    def __call__(self, subject: Node) -> Sequence[Formula]:
        if isinstance(subject, Call):
            return [_at_least(subject, 0)] if subject.function == "size" else []
        path = path_of(subject)
        if path is None:
            return []
        if path == ("event", "type"):
            return [OneOf(subject, frozenset(map(str, self._rule.rule.on)))]
        if path == ("event", "mode"):
            return [OneOf(subject, frozenset(mode.value for mode in Mode))]
        if path[0].startswith("$") and path[1:] == ("confidence",):
            return [_at_least(subject, 0), Compare(subject, "<=", _bound(1))]
        aggregate = self._rule.policy.policy.aggregates.get(path[1]) if path[0] == "aggregates" and path[1:] else None
        counts = aggregate is not None and aggregate.function in (Function.COUNT, Function.DISTINCT)
        return [_at_least(subject, 0)] if counts else []


def _bound(value: int) -> Bound:
    return Bound(Const(0, 0, "int", value), value)


def _at_least(subject: Node, value: int) -> Compare:
    return Compare(subject, ">=", _bound(value))


def _covered(policy: PolicySubject, rules: Sequence[RuleSubject]) -> Iterator[Issue]:
    """Rules that match only where another does that stops at least as hard."""
    by_key: defaultdict[Hashable, set[int]] = defaultdict(set)
    for index, rule in enumerate(rules):
        for key in _offered(rule.formula):
            by_key[key].add(index)
    covered: dict[int, int] = {}
    for wider, other in enumerate(rules):
        needed = set(_required(other.formula))
        candidates = set.intersection(*(by_key[key] for key in needed)) if needed else set(range(len(rules)))
        for narrower in sorted(candidates - {wider} - set(covered)):
            if covered.get(wider) != narrower and _covers(policy, rules[narrower], other):
                covered[narrower] = wider
    for narrower in sorted(covered):
        yield _cover_issue(rules[narrower], rules[covered[narrower]])


def _covers(policy: PolicySubject, narrower: RuleSubject, wider: RuleSubject) -> bool:
    one, other = narrower.rule, wider.rule
    return (
        one.then is not None
        and not one.adds
        and other.then is not None
        and other.then.rank >= one.then.rank
        and one.on <= other.on
        and policy.always_with(one, other)
        and implies(narrower.formula, wider.formula)
    )


def _cover_issue(narrower: RuleSubject, wider: RuleSubject) -> Issue:
    one, other = narrower.rule, wider.rule
    place = f"line {other.position.line}"
    if one.then is other.then and implies(wider.formula, narrower.formula):
        message = f"{narrower.name} has the condition of `{other.id}`"
        return narrower.issue("P112", message, f"leave one of them out; the other is on {place}")
    message = f"{narrower.name} changes nothing: `{other.id}` says `{other.then}` whenever it matches"
    return narrower.issue("P111", message, f"see {place}")


def _required(formula: Formula) -> Iterator[Hashable]:
    """Keys that every condition offers which implies this one."""
    match formula:
        case All(parts):
            for part in parts:
                yield from _required(part)
        case Compare(subject, operator, bound) if operator == "==":
            yield subject, bound.worth if bound.worth is not None else bound.written
        case Compare(subject) | OneOf(subject):
            yield subject, None
        case Exists(range_, body, found):
            wanted = _codes(body) if found else []
            yield range_, found, wanted[0] if len(wanted) == 1 else None
        case Opaque():
            yield formula


def _offered(formula: Formula) -> Iterator[Hashable]:
    match formula:
        case All(parts) | Either(parts):
            for part in parts:
                yield from _offered(part)
        case Compare(subject, operator, bound):
            yield subject, None
            if operator == "==":
                yield subject, bound.worth if bound.worth is not None else bound.written
        case OneOf(subject, values):
            yield subject, None
            yield from ((subject, value) for value in values)
        case Exists(range_, body, found):
            yield range_, found, None
            yield from ((range_, found, code) for code in _codes(body) if found)
        case Opaque() | Truth():
            yield formula


def _codes(body: Formula) -> list[str]:
    """The codes one of which a finding has to have, as far as they are compared at the top of a loop."""
    parts = body.parts if isinstance(body, All) else (body,)
    for part in parts:
        if isinstance(part, Compare | OneOf) and isinstance(part.subject, Select) and part.subject.field == "code":
            if isinstance(part, OneOf):
                return sorted(str(value) for value in part.values)
            if part.operator == "==" and isinstance(part.bound.worth, str):
                return [part.bound.worth]
    return []
