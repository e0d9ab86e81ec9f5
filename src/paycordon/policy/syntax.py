"""The syntax tree of an expression, with the place of every part in the text.

The engine that evaluates CEL keeps its tree to itself, and with it the positions that lint, explanations, coverage and
the index of rules need. The grammar is that of the language's definition
(https://github.com/google/cel-spec/blob/master/doc/langdef.md), read by `lark`: a rule of 200 characters takes about
0.5 ms. Functions and operators carry the names they have in CEL's own tree (`_&&_`, `_[_]`, `!_`). The tree says
nothing about types: whether an expression is right at all is for the engine to say, which checks every one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

MAX_SOURCE = 4_096
"""The most characters of an expression."""
MAX_NESTING = 32
"""The most brackets within each other; the engine has the same limit."""
MAX_DEPTH = 100
"""The most nodes within each other; the engine refuses earlier what is not balanced."""

Macro = Literal["all", "exists", "exists_one", "map", "filter"]
Kind = Literal["bool", "int", "uint", "double", "string", "bytes", "null"]


class SyntaxInvalid(Exception):
    """A text is no expression; `offset` says where, in characters from 0."""

    def __init__(self, message: str, offset: int) -> None:
        self.message = message
        self.offset = offset
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class Node:
    """A part of an expression: `source[start:end]`, brackets around it included.

    Two nodes are equal when they say the same, wherever they stand.
    """

    start: int = field(compare=False)
    end: int = field(compare=False)


@dataclass(frozen=True, slots=True)
class Const(Node):
    """A literal; `kind` tells `1` from `1u`, `1.0` and `true`."""

    kind: Kind
    value: bool | int | float | str | bytes | None


@dataclass(frozen=True, slots=True)
class Ident(Node):
    """A name; `rooted` when written with a leading full stop, which no loop variable can shadow."""

    name: str
    rooted: bool = False


@dataclass(frozen=True, slots=True)
class Select(Node):
    """A field of a message or an entry of a map: `operand.field`."""

    operand: Node
    field: str


@dataclass(frozen=True, slots=True)
class Has(Node):
    """The macro `has(operand.field)`."""

    operand: Node
    field: str


@dataclass(frozen=True, slots=True)
class Call(Node):
    """A function or an operator; `target` is what a method is called on."""

    function: str
    target: Node | None
    args: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Comprehension(Node):
    """A loop over a list or the keys of a map; `args` are its conditions and, last for `map`, the result."""

    macro: Macro
    range: Node
    variable: str
    args: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class ListLiteral(Node):
    """`[a, b]`."""

    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class MapLiteral(Node):
    """`{a: b}`."""

    entries: tuple[tuple[Node, Node], ...]


@dataclass(frozen=True, slots=True)
class StructLiteral(Node):
    """`a.b.Message{field: value}`."""

    type_name: str
    fields: tuple[tuple[str, Node], ...]


def parse(source: str) -> Node:
    """Read an expression.

    Raises:
        SyntaxInvalid: the text does not follow the grammar, is longer than `MAX_SOURCE` characters, or nests deeper
            than `MAX_NESTING` brackets or `MAX_DEPTH` nodes.
    """
    refuse_excess(source)
    from paycordon.policy.grammar import (
        tree_of,
    )  # here, because the parser takes 0.1 s to load and few commands need it

    node = tree_of(source)
    _refuse_depth(node)
    return node


def refuse_excess(source: str) -> None:
    """Refuse a text that is too long or too deeply bracketed before any parser sees it.

    Raises:
        SyntaxInvalid: it is longer than `MAX_SOURCE` characters or nests deeper than `MAX_NESTING` brackets.
    """
    if len(source) > MAX_SOURCE:
        raise SyntaxInvalid(f"is longer than {MAX_SOURCE} characters", 0)
    depth = 0
    for index, char in enumerate(source):
        depth += (char in "([{") - (char in ")]}")
        if depth > MAX_NESTING:
            raise SyntaxInvalid(f"nests deeper than {MAX_NESTING} brackets", index)


def _refuse_depth(node: Node) -> None:
    level = [node]
    for _ in range(MAX_DEPTH):
        level = [child for each in level for child in children(each)]
        if not level:
            return
    raise SyntaxInvalid(f"nests deeper than {MAX_DEPTH} operations", level[0].start)


def children(node: Node) -> tuple[Node, ...]:
    """The parts directly inside a node, in the order of the text."""
    match node:
        case Select() | Has():
            return (node.operand,)
        case Call():
            return node.args if node.target is None else (node.target, *node.args)
        case Comprehension():
            return (node.range, *node.args)
        case ListLiteral():
            return node.items
        case MapLiteral():
            return tuple(part for entry in node.entries for part in entry)
        case StructLiteral():
            return tuple(value for _, value in node.fields)
        case _:
            return ()


def walk(node: Node) -> Iterator[Node]:
    """The node and everything inside it, outer before inner, in the order of the text."""
    stack = [node]
    while stack:
        current = stack.pop()
        yield current
        stack.extend(reversed(children(current)))


def text_of(node: Node, source: str) -> str:
    """What was written for a node."""
    return source[node.start : node.end]


def line_column(source: str, offset: int) -> tuple[int, int]:
    """The line and column, both from 1, of an offset."""
    before = source[:offset]
    return before.count("\n") + 1, offset - before.rfind("\n")


def path_of(node: Node) -> tuple[str, ...] | None:
    """The names of a dotted chain, such as `("event", "payout", "amount")`; None for anything else."""
    names: list[str] = []
    while isinstance(node, Select):
        names.append(node.field)
        node = node.operand
    return (node.name, *reversed(names)) if isinstance(node, Ident) else None


def conjuncts(node: Node) -> list[Node]:
    """What has to be true for the node to be true: the operands of `&&`, those of nested `&&` included."""
    return _operands(node, "_&&_")


def disjuncts(node: Node) -> list[Node]:
    """The alternatives of a node: the operands of `||`, those of nested `||` included."""
    return _operands(node, "_||_")


def _operands(node: Node, operator: str) -> list[Node]:
    found: list[Node] = []
    stack = [node]
    while stack:
        current = stack.pop()
        if isinstance(current, Call) and current.function == operator:
            stack.extend(reversed(current.args))
        else:
            found.append(current)
    return found


def paths(node: Node, *, presence: str | None = None) -> frozenset[tuple[str, ...]]:
    """The longest dotted paths that an expression uses and that start at a variable of the policy, not of a loop.

    `has(event.payout)` uses `("event", "payout")`, and `event.identifiers[0].kind` uses `("event", "identifiers")`:
    whoever uses a list, or a whole record, uses all of it. With `presence`, the paths of `has` end with it.
    """
    found: set[tuple[str, ...]] = set()
    stack: list[tuple[Node, frozenset[str]]] = [(node, frozenset())]
    while stack:
        current, bound = stack.pop()
        path = _path_used(current, presence)
        if path is not None:
            root = current
            while isinstance(root, Select | Has):
                root = root.operand
            if path[0] not in bound or (isinstance(root, Ident) and root.rooted):
                found.add(path)
        elif isinstance(current, Comprehension):
            stack.append((current.range, bound))
            stack.extend((each, bound | {current.variable}) for each in current.args)
        else:
            stack.extend((each, bound) for each in children(current))
    return frozenset(found)


def fields_of_items(node: Node, name: str) -> frozenset[str] | None:
    """The fields that an expression uses of the items of a list variable; None where it may use all of them."""
    found: set[str] = set()
    stack: list[tuple[Node, frozenset[str]]] = [(node, frozenset())]
    while stack:
        current, items = stack.pop()
        if isinstance(current, Ident) and (current.name == name or current.name in items):
            return None
        if isinstance(current, Select | Has) and isinstance(current.operand, Ident) and current.operand.name in items:
            found.add(current.field)
        elif isinstance(current, Comprehension):
            over = current.macro in ("all", "exists", "exists_one") and _is_name(current.range, name)
            if not over:
                stack.append((current.range, items))
            inside = items | {current.variable} if over else items - {current.variable}
            stack.extend((each, inside) for each in current.args)
        else:
            stack.extend((each, items) for each in children(current))
    return frozenset(found)


def _path_used(node: Node, presence: str | None) -> tuple[str, ...] | None:
    if isinstance(node, Has):
        path = path_of(node.operand)
        suffix = () if presence is None else (presence,)
        return None if path is None else (*path, node.field, *suffix)
    return path_of(node)


def codes_needed(node: Node) -> frozenset[str] | None:
    """Finding codes without which an expression is false: one of them has to be among the findings; None if unclear.

    Sound, not complete: for findings with none of these codes the expression is exactly false, neither true nor an
    error. That holds because a false operand of `&&` absorbs an error beside it, and because `f.code == "x"` never is
    an error. What it leaves out is the limit on iterations: a rule that the engine would give up on although it has a
    false operand is false here.
    """
    return _needed(node, None)


def _needed(node: Node, finding: str | None) -> frozenset[str] | None:
    """As `codes_needed`; with `finding`, the name of a loop variable, for one finding instead of all of them."""
    alternatives = disjuncts(node)
    if len(alternatives) > 1:
        needs = [_needed(each, finding) for each in alternatives]
        return None if None in needs else frozenset().union(*(need for need in needs if need is not None))
    operands = conjuncts(node)
    if len(operands) > 1:
        known = [need for need in (_needed(each, finding) for each in operands) if need is not None]
        return min(known, key=len, default=None)
    if finding is not None:
        return _codes_compared(node, finding)
    if isinstance(node, Comprehension) and node.macro in ("exists", "exists_one") and _is_name(node.range, "findings"):
        return _needed(node.args[0], node.variable)
    return None


def _codes_compared(node: Node, finding: str) -> frozenset[str] | None:
    """The codes of `f.code == "x"` and of `f.code in ["x", "y"]`."""
    if not isinstance(node, Call) or node.function not in ("_==_", "_in_"):
        return None
    left, right = node.args
    if node.function == "_==_" and isinstance(left, Const):
        left, right = right, left
    if not (isinstance(left, Select) and left.field == "code" and _is_name(left.operand, finding)):
        return None
    if node.function == "_==_":
        return _texts([right])
    return _texts(right.items) if isinstance(right, ListLiteral) else None


def _texts(nodes: Sequence[Node]) -> frozenset[str] | None:
    values = [node.value for node in nodes if isinstance(node, Const) and isinstance(node.value, str)]
    return frozenset(values) if len(values) == len(nodes) else None


def _is_name(node: Node, name: str) -> bool:
    return isinstance(node, Ident) and node.name == name and not node.rooted
