"""Conditions in a form that can be reasoned about: comparisons, choices, loops over lists, and whatever is opaque.

Negations are pushed down to these, loop variables get one name each, and `a < b` and `b > a` become one. What a
formula says is what has to hold for the condition to be true; whether it could also have no answer is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from paycordon.events import Money
from paycordon.policy.cel import Param
from paycordon.policy.syntax import (
    Call,
    Comprehension,
    Const,
    Ident,
    ListLiteral,
    Node,
    Select,
    conjuncts,
    disjuncts,
    path_of,
)

NEGATED = {"==": "!=", "!=": "==", "<": ">=", ">=": "<", ">": "<=", "<=": ">"}
MIRRORED = {"==": "==", "!=": "!=", "<": ">", ">": "<", "<=": ">=", ">=": "<="}
_COMPARISONS = {f"_{operator}_": operator for operator in NEGATED}


@dataclass(frozen=True, slots=True)
class Truth:
    """True or false whatever the event."""

    holds: bool


@dataclass(frozen=True, slots=True)
class Bound:
    """What a value is compared with: how it is written, and what it is worth if that is known."""

    written: Node
    worth: Any = None


@dataclass(frozen=True, slots=True)
class Compare:
    """A value of the event compared with a bound."""

    subject: Node
    operator: str
    bound: Bound


@dataclass(frozen=True, slots=True)
class OneOf:
    """A value of the event is one of several."""

    subject: Node
    values: frozenset[str | int | float]


@dataclass(frozen=True, slots=True)
class Exists:
    """One item of a list satisfies `body`; without `found`, none does."""

    range: Node
    body: Formula
    found: bool


@dataclass(frozen=True, slots=True)
class Opaque:
    """An expression that is not understood, and whether it has to be true or false."""

    node: Node
    positive: bool


@dataclass(frozen=True, slots=True)
class All:
    """All parts hold."""

    parts: tuple[Formula, ...]


@dataclass(frozen=True, slots=True)
class Either:
    """At least one part holds."""

    parts: tuple[Formula, ...]


Formula = Truth | Compare | OneOf | Exists | Opaque | All | Either


def rewritten(node: Node, change: Callable[[Node], Node | None]) -> Node:
    """Return the tree with what `change` returns, from the outside in, in place of what it was given."""
    changed = change(node)
    if changed is not None:
        return changed
    parts: dict[str, Any] = {}
    for each in fields(node):
        value = getattr(node, each.name)
        if isinstance(value, Node):
            parts[each.name] = rewritten(value, change)
        elif isinstance(value, tuple) and value:
            parts[each.name] = tuple(_rewritten_item(item, change) for item in value)
    return replace(node, **parts) if parts else node


def _rewritten_item(item: Any, change: Callable[[Node], Node | None]) -> Any:
    if isinstance(item, tuple):
        return tuple(_rewritten_item(each, change) for each in item)
    return rewritten(item, change) if isinstance(item, Node) else item


class Reader:
    """Makes formulas of trees.

    Args:
        params: what parameters are worth; leave out those that bindings override.
    """

    def __init__(self, params: Mapping[str, Param]) -> None:
        self._params = params

    def read(self, node: Node, *, positive: bool = True, depth: int = 0) -> Formula:
        """Return what has to hold for the node to be true, or, unless `positive`, to be false."""
        match node:
            case Const(value=bool() as value):
                return Truth(value is positive)
            case Comprehension(macro="exists" | "all"):
                return self._loop(node, positive, depth)
            case Call():
                return self._call(node, positive, depth)
            case Select():
                truth = Bound(Const(0, 0, "bool", positive), positive)
                return Compare(node, "==", truth) if self._worth(node) is None else Opaque(node, positive)
            case _:
                return Opaque(node, positive)

    def _call(self, node: Call, positive: bool, depth: int) -> Formula:
        name = node.function
        if name == "!_":
            return self.read(node.args[0], positive=not positive, depth=depth)
        if name in ("_&&_", "_||_"):
            parts = conjuncts(node) if name == "_&&_" else disjuncts(node)
            read = tuple(self.read(part, positive=positive, depth=depth) for part in parts)
            return All(read) if (name == "_&&_") is positive else Either(read)
        if name == "_?_:_":
            return self._choice(node, positive, depth)
        if name in _COMPARISONS:
            operator = _COMPARISONS[name]
            left, right = node.args
            return self._compared(left, right, operator if positive else NEGATED[operator])
        if name in ("_in_", "@in"):
            return self._chosen(node, positive)
        return Opaque(node, positive)

    def _choice(self, node: Call, positive: bool, depth: int) -> Formula:
        condition, then, otherwise = node.args
        chosen = All((self.read(condition, depth=depth), self.read(then, positive=positive, depth=depth)))
        other = (
            self.read(condition, positive=False, depth=depth),
            self.read(otherwise, positive=positive, depth=depth),
        )
        return Either((chosen, All(other)))

    def _loop(self, node: Comprehension, positive: bool, depth: int) -> Formula:
        name = f"${depth}"  # cannot be written, so it stands for nothing else

        def renamed(inner: Node) -> Node | None:
            if isinstance(inner, Comprehension) and inner.variable == node.variable:
                return replace(inner, range=rewritten(inner.range, renamed))
            is_variable = isinstance(inner, Ident) and inner.name == node.variable and not inner.rooted
            return Ident(inner.start, inner.end, name) if is_variable else None

        exists = node.macro == "exists"
        body = self.read(rewritten(node.args[0], renamed), positive=exists, depth=depth + 1)
        return Exists(node.range, body, exists is positive)

    def _compared(self, left: Node, right: Node, operator: str) -> Formula:
        known_left, known_right = self._worth(left), self._worth(right)
        if isinstance(left, Const) and isinstance(right, Const):
            return Truth(holds(operator, known_left, known_right))
        if known_right is None and (known_left is not None or repr(left) > repr(right)):
            left, right, operator, known_right = right, left, MIRRORED[operator], known_left
        if isinstance(known_right, bool) and operator == "!=":
            operator, known_right = "==", not known_right
            right = Const(0, 0, "bool", known_right)
        return Compare(left, operator, Bound(right, known_right))

    def _chosen(self, node: Call, positive: bool) -> Formula:
        subject, choices = node.args
        if not isinstance(choices, ListLiteral):
            return Opaque(node, positive)
        worth = [self._worth(item) for item in choices.items]
        if not all(isinstance(value, str | int | float) for value in worth):
            return Opaque(node, positive)
        if isinstance(subject, Const):
            return Truth((subject.value in worth) is positive)
        bounds = [Bound(item, value) for item, value in zip(choices.items, worth, strict=True)]
        if positive and len(worth) != 1:
            return OneOf(subject, frozenset(worth))
        parts = tuple(Compare(subject, "==" if positive else "!=", bound) for bound in bounds)
        return parts[0] if len(parts) == 1 else All(parts)

    def _worth(self, node: Node) -> Any:
        """The value of a literal or of a parameter that no binding overrides; None if it is not known."""
        if isinstance(node, Const):
            return node.value
        path = path_of(node)
        if path is None or path[0] != "params" or len(path) < 2:
            return None
        value = self._params.get(path[1])
        if isinstance(value, Money):
            return getattr(value, path[2], None) if len(path) == 3 else None
        return None if isinstance(value, tuple) or len(path) > 2 else value


def holds(operator: str, left: Any, right: Any) -> bool:
    """Compare two known values; of different kinds, they are only ever unequal."""
    order = compared(left, right)
    if order is None:
        return (left == right) is (operator == "==") if operator in ("==", "!=") else False
    return {
        "==": order == 0,
        "!=": order != 0,
        "<": order < 0,
        "<=": order <= 0,
        ">": order > 0,
        ">=": order >= 0,
    }[operator]


def compared(left: Any, right: Any) -> int | None:
    """Return -1, 0 or 1 as `left` is less than, equal to or greater than `right`; None if they have no order."""
    if left is None or right is None:
        return None
    numbers = isinstance(left, int | float) and isinstance(right, int | float)
    same_kind = numbers and isinstance(left, bool) is isinstance(right, bool)
    if not same_kind and type(left) is not type(right):
        return None
    return int(left > right) - int(left < right)
