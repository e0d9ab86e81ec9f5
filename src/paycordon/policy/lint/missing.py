"""P209: values that may be missing, used where nothing says that they are there.

A rule that computes with a missing value has no answer, and then `on_error` counts for the whole policy: one merchant
without a creation date is held by a rule that has nothing to do with it. `==` and `in` are false for a missing scalar
and need no `has(…)`; `!=` is true for one, which is seldom meant.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from pydantic import BaseModel

from paycordon.aggregates import Function
from paycordon.aggregates.definition import By, Kind
from paycordon.events import Stage
from paycordon.policy.lint.issues import Issue
from paycordon.policy.lint.shape import PARTS, ROOTS, Step, item_of, steps
from paycordon.policy.lint.subject import PolicySubject, RuleSubject
from paycordon.policy.syntax import (
    Call,
    Comprehension,
    Const,
    Has,
    ListLiteral,
    MapLiteral,
    Node,
    Select,
    children,
    conjuncts,
    disjuncts,
    path_of,
)

Path = tuple[str, ...]
Facts = frozenset[Path]
_ORDERED = ("_<_", "_<=_", "_>_", "_>=_")
_EQUAL = ("_==_", "_!=_", "_in_")
_NOTHING: Facts = frozenset()
_NOT_NULL = "?"  # ends the path of a fact that comes from a comparison with null
_ALWAYS_A_NUMBER = (Function.COUNT, Function.SUM, Function.DISTINCT)


@dataclass(frozen=True, slots=True)
class Use:
    """A path that may be missing where it is used; `unequal` if it is only compared with `!=`."""

    node: Node
    path: Path
    unequal: bool = False


def issues(policy: PolicySubject) -> Iterator[Issue]:
    """Find P209, once for each path of a rule."""
    for rule in policy.rules:
        seen: set[Path] = set()
        for part, tree in rule.trees:
            others = [each for each in rule.trees if each[0] is not part]
            facts = frozenset().union(*(present(other, each.loc[-1] != "unless") for each, other in others))
            for use in _Walk(rule).uses(tree, facts) if part.written else ():
                if use.path not in seen:
                    seen.add(use.path)
                    yield part.issue("P209", use.node, *_said(rule, use))


def _said(rule: RuleSubject, use: Use) -> tuple[str, str]:
    name = ".".join(use.path)
    if use.unequal:
        return f"{rule.name}: a missing `{name}` counts as unequal", f"write `has({name}) && …` if it does not"
    return f"{rule.name}: `{name}` may be missing, and then there is no answer", f"write `has({name}) && …`"


def present(node: Node, truth: bool) -> Facts:
    """The paths that are certainly there when the node is true, or false."""
    match node:
        case Has():
            path = path_of(node.operand)
            return frozenset([(*path, node.field)]) if path and truth else _NOTHING
        case Call(function="!_"):
            return present(node.args[0], not truth)
        case Call(function="_&&_" | "_||_" as name):
            each = [present(part, truth) for part in (conjuncts(node) if name == "_&&_" else disjuncts(node))]
            together = (name == "_&&_") is truth
            return frozenset().union(*each) if together else frozenset.intersection(*each)
        case Call(function="_!=_" | "_==_" as name) if any(_is_null(each) for each in node.args):
            # Of times this says nothing: one that is missing is not null.
            unequal = (name == "_!=_") is truth
            return frozenset((*path, _NOT_NULL) for each in node.args if unequal and (path := path_of(each)))
        case Call(function=name) if name in _ORDERED or (name in _EQUAL and (name == "_!=_") is not truth):
            # An order has an answer only for what is there; equality to something that is there says so too.
            return _compared(node, name)
        case Select():
            path = path_of(node)
            return frozenset([path]) if path else _NOTHING
        case _:
            return _NOTHING


def _compared(node: Call, name: str) -> Facts:
    operands = node.args[:1] if name == "_in_" else node.args
    if name not in _ORDERED and not any(_is_there(each) for each in node.args):
        return _NOTHING
    there = frozenset(path for each in operands if (path := path_of(each)))
    # An event of a known type has the part of its stage.
    types = [each.value for each in node.args if isinstance(each, Const) and isinstance(each.value, str)]
    stages = [("event", type_.split(".", 1)[0]) for type_ in types if ("event", "type") in there and name == "_==_"]
    return there.union(stages)


def _is_there(node: Node) -> bool:
    path = path_of(node)
    literal = isinstance(node, ListLiteral) or (isinstance(node, Const) and not _is_null(node))
    return literal or (path is not None and path[0] in ("params", "lists", "countries"))


def _is_null(node: Node) -> bool:
    return isinstance(node, Const) and node.kind == "null"


class _Walk:
    """Finds the uses in the expressions of one rule."""

    def __init__(self, rule: RuleSubject) -> None:
        self._stages = {type_.split(".", 1)[0] for type_ in rule.rule.on}
        self._aggregates = rule.policy.policy.aggregates

    def uses(self, node: Node, facts: Facts) -> Iterator[Use]:
        """The paths that may be missing where a condition needs them."""
        return self._condition(node, facts, {})

    def _condition(self, node: Node, facts: Facts, models: Mapping[str, type[BaseModel] | None]) -> Iterator[Use]:
        match node:
            case Call(function="_&&_" | "_||_" as name):
                parts = conjuncts(node) if name == "_&&_" else disjuncts(node)
                for index, part in enumerate(parts):
                    others = [present(each, name == "_&&_") for i, each in enumerate(parts) if i != index]
                    yield from self._condition(part, facts.union(*others), models)
            case Call(function="!_"):
                yield from self._condition(node.args[0], facts, models)
            case Call(function="_?_:_"):
                condition, then, otherwise = node.args
                yield from self._condition(condition, facts, models)
                yield from self._condition(then, facts | present(condition, True), models)
                yield from self._condition(otherwise, facts | present(condition, False), models)
            case Call(function=name) if name in _EQUAL:
                yield from self._equality(node, facts, models)
            case _:
                yield from self._value(node, facts, models)

    def _equality(self, node: Call, facts: Facts, models: Mapping[str, type[BaseModel] | None]) -> Iterator[Use]:
        null = any(_is_null(each) for each in node.args)
        for operand in node.args:
            path = path_of(operand)
            if path is None:
                yield from self._value(operand, facts, models)
                continue
            found = self._missing(path, facts, models)
            if found and (found[0].kind == "time" or found[0].kind == "map"):
                yield Use(operand, found[1])
            elif found and node.function == "_!=_" and not null:
                yield Use(operand, found[1], unequal=True)

    def _value(self, node: Node, facts: Facts, models: Mapping[str, type[BaseModel] | None]) -> Iterator[Use]:
        """The uses in an expression whose value is needed."""
        path = path_of(node)
        if path is not None:
            found = self._missing(path, facts, models)
            if found:
                yield Use(node, found[1])
        elif isinstance(node, Comprehension):
            yield from self._loop(node, facts, models)
        elif isinstance(node, ListLiteral | MapLiteral):
            for each in children(node):
                yield from self._value(each, facts, models)
        elif isinstance(node, Call) and node.function in ("_&&_", "_||_", "!_", "_?_:_", *_EQUAL):
            yield from self._condition(node, facts, models)
        elif not isinstance(node, Has):
            for each in children(node):
                yield from self._value(each, facts, models)

    def _loop(self, node: Comprehension, facts: Facts, models: Mapping[str, type[BaseModel] | None]) -> Iterator[Use]:
        yield from self._value(node.range, facts, models)
        path = path_of(node.range)
        inner = {**models, node.variable: item_of(path) if path else None}
        free = frozenset(fact for fact in facts if fact[0] != node.variable)
        for each in node.args:
            yield from self._condition(each, free, inner)

    def _missing(
        self, path: Path, facts: Facts, models: Mapping[str, type[BaseModel] | None]
    ) -> tuple[Step, Path] | None:
        """The first field on a path that may be missing there, with the path up to it."""
        root = models[path[0]] if path[0] in models else ROOTS.get(path[0])
        if path[0] == "aggregates" and path[0] not in models:
            followed = self._aggregate(path)
        else:
            followed = [] if root is None else steps(root, path[1:])
        for index, step in enumerate(followed):
            upto = path[: index + 2]
            in_map = index > 0 and followed[index - 1].kind == "map"
            # Equality is no answer either for a time, nor for what a map lacks.
            kind = "map" if in_map else followed[-1].kind
            there = any(_shows(fact, upto, kind) for fact in facts)
            if step.optional and not there and not self._always(upto):
                return replace(step, kind=kind), path if in_map else upto
        return None

    def _aggregate(self, path: Path) -> list[Step]:
        """An aggregate has no value where there is nothing to compare, or where the event lacks what it goes by."""
        aggregate = self._aggregates.get(path[1]) if len(path) == 2 else None
        if aggregate is None:
            return []
        whose = aggregate.by in (By.MERCHANT, By.ACCOUNT)
        paid = aggregate.function is not Function.SUM or Stage.MERCHANT not in self._stages
        certain = aggregate.function in _ALWAYS_A_NUMBER and whose and paid
        return [Step("time" if aggregate.kind is Kind.TIME else "scalar", optional=not certain)]

    def _always(self, path: Path) -> bool:
        """Parts of the event are there in events of their stage; that others are not is P110."""
        is_part = len(path) == 2 and path[0] == "event" and path[1] in PARTS
        return is_part and (self._stages == {path[1]} or path[1] not in self._stages)


def _shows(fact: Path, path: Path, kind: str) -> bool:
    return fact[: len(path)] == path and not (fact[-1] == _NOT_NULL and kind == "time")
