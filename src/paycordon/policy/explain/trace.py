"""Which condition of a rule had which value: the tree of its expression, evaluated part by part by the real engine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from paycordon.policy.cel import Unclear
from paycordon.policy.explain.parts import Form, Part, parts_of
from paycordon.policy.explain.values import Engine, Shown, in_words
from paycordon.policy.syntax import (
    Call,
    Comprehension,
    Const,
    Has,
    Ident,
    ListLiteral,
    Node,
    Select,
    children,
    path_of,
)

MAX_ITEMS = 50
"""So many items of a list are looked at one by one; findings are seldom more."""
MAX_SHOWN = 8
COMPARISONS = frozenset({"_==_", "_!=_", "_<_", "_<=_", "_>_", "_>=_", "_in_"})
_WHOLE = frozenset({"event", "findings", "lists", "countries"})


@dataclass(frozen=True, slots=True)
class Compared:
    """Two values that a condition compares; `left` and `right` are whole expressions."""

    left: str
    operator: str
    right: str
    left_value: Any
    right_value: Any


@dataclass(frozen=True, slots=True)
class Traced:
    """A part of an expression and what it was.

    Attributes:
        text: what was written; within a loop, the variable stands for the item.
        source: an expression that is the same, whole in itself.
        node: where it stands in the whole expression.
        answer: true, false, or why there is none.
        shown: what the condition compared, if it is one.
        item: within a loop, which item it is about; the innermost counts.
        inside: the parts it depends on; of a loop, the condition once for each item.
        left_out: how many items of a loop are not shown.
        compared: of a comparison, both sides.
    """

    form: Form
    text: str
    source: str
    node: Node
    answer: bool | Unclear
    shown: tuple[Shown, ...] = ()
    item: str = ""
    inside: tuple[Traced, ...] = ()
    left_out: int = 0
    compared: Compared | None = None

    def within(self) -> Iterator[Traced]:
        """The part and all parts inside it, outer before inner."""
        yield self
        for part in self.inside:
            yield from part.within()


def trace(source: str, engine: Engine) -> Traced:
    """Evaluate an expression and every part of it, its variables included.

    Raises:
        SyntaxInvalid: it does not follow the grammar.
    """
    return _traced(parts_of(source), engine, {})


def _traced(part: Part, engine: Engine, items: Mapping[str, str], item: str = "") -> Traced:
    """Trace a part; `items` says which expression stands for each variable of a loop around it."""
    source = standalone(part.node, part.source, items)
    value = engine.value(source)
    answer = value if isinstance(value, bool | Unclear) else Unclear("a value it needs is missing")
    inside: tuple[Traced, ...] = ()
    left_out = 0
    if part.form is Form.LOOP and isinstance(part.node, Comprehension):
        inside, left_out = _items(part, part.node, engine, items)
    elif part.inside:
        inside = tuple(_traced(each, engine, items, item) for each in part.inside)
    text = " ".join(part.text.split())
    if part.form is not Form.LEAF:
        return Traced(part.form, text, source, part.node, answer, (), item, inside, left_out)
    variable = engine.variables.get(".".join(path_of(part.node) or ()))
    if variable is not None:
        return Traced(Form.VARIABLE, text, source, part.node, answer, (), item, (trace(variable, engine),))
    shown = tuple(_shown(part, engine, items))
    return Traced(part.form, text, source, part.node, answer, shown, item, inside, 0, _compared(part, engine, items))


def _compared(part: Part, engine: Engine, items: Mapping[str, str]) -> Compared | None:
    node = part.node
    if not isinstance(node, Call) or node.function not in COMPARISONS:
        return None
    left, right = (standalone(each, part.source, items) for each in node.args)
    return Compared(left, node.function.strip("_"), right, engine.value(left), engine.value(right))


def _items(part: Part, loop: Comprehension, engine: Engine, items: Mapping[str, str]) -> tuple[tuple[Traced, ...], int]:
    over = standalone(loop.range, part.source, items)
    size = engine.value(f"size({over})")
    values = engine.value(over)
    if not isinstance(size, int) or isinstance(values, Mapping):  # the keys of a map cannot be had one by one
        return (), 0
    traced = []
    for index in range(min(size, MAX_ITEMS)):
        one = f"({over})[{index}]"
        traced.append(_traced(part.inside[0], engine, {**items, loop.variable: one}, _name(one, index, engine)))
    return tuple(traced), max(0, size - MAX_ITEMS)


def _name(item: str, index: int, engine: Engine) -> str:
    """Say which item it is: findings by their code and confidence, identifiers by their kind, others by their value."""
    code, kind = engine.value(f"{item}.code"), engine.value(f"{item}.kind")
    if isinstance(code, str):
        confidence = engine.value(f"{item}.confidence")
        how = f" {confidence:.2f}" if isinstance(confidence, float | int) else ""
        return f"{code}{how} by {engine.value(f'{item}.check')}"
    if isinstance(kind, str):
        return f"{kind} {engine.value(f'{item}.digest')}"
    value = engine.value(item)
    return in_words(value) if isinstance(value, str | int | float | bool) else f"item {index + 1}"


def standalone(node: Node, source: str, items: Mapping[str, str]) -> str:
    """What was written for a node, with the variables of loops around it replaced by what they stand for."""
    edits = sorted(_edits(node, items))
    text, at = "", node.start
    for start, end, replacement in edits:
        text += source[at:start] + replacement
        at = end
    # The line break ends a `//` comment, which could swallow what is put behind the text.
    text += source[at : node.end]
    return f"{text}\n" if "//" in text else text


def _edits(node: Node, items: Mapping[str, str]) -> Iterator[tuple[int, int, str]]:
    if not items:
        return
    if isinstance(node, Ident):
        if node.name in items and not node.rooted:
            yield node.start, node.end, items[node.name]
        return
    if isinstance(node, Comprehension):
        yield from _edits(node.range, items)
        inner = {name: text for name, text in items.items() if name != node.variable}
        for each in node.args:
            yield from _edits(each, inner)
        return
    for child in children(node):
        yield from _edits(child, items)


def _shown(part: Part, engine: Engine, items: Mapping[str, str]) -> Iterator[Shown]:
    """What a condition looks at, with its values."""
    seen: dict[str, Node] = {}
    roots = children(part.node) if isinstance(part.node, Call) else (part.node,)
    for root in roots:
        for node in _operands(root):
            seen.setdefault(" ".join(part.source[node.start : node.end].split()), node)
    for text, node in list(seen.items())[:MAX_SHOWN]:
        source = standalone(node, part.source, items)
        value = engine.value(source)
        yield Shown(text, value)
        if text.endswith(".minor") and isinstance(value, int):
            amount = engine.value(source.strip().removesuffix(".minor"))
            if not isinstance(amount, Unclear):
                yield Shown(text.removesuffix(".minor"), amount)


def _operands(node: Node) -> Iterator[Node]:
    path = path_of(node)
    if path is not None:
        if path[0] not in _WHOLE or (len(path) > 1 and path[0] == "event"):
            yield node
    elif isinstance(node, Select | Comprehension) or _is_index(node):
        yield node
    elif isinstance(node, Call):
        yield node
        for child in children(node):
            yield from _operands(child)
    elif isinstance(node, ListLiteral):
        for child in node.items:
            yield from _operands(child)
    elif not isinstance(node, Const | Has | Ident):
        for child in children(node):
            yield from _operands(child)


def _is_index(node: Node) -> bool:
    return isinstance(node, Call) and node.function == "_[_]"
