"""An expression taken apart into the conditions it is made of, each with its place in the text.

Coverage and explanations both work on these parts; every part is again an expression that the engine can evaluate.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from paycordon.policy.syntax import (
    Call,
    Comprehension,
    Const,
    Ident,
    Node,
    children,
    conjuncts,
    disjuncts,
    parse,
    text_of,
    walk,
)

LISTED = frozenset({"exists", "all", "exists_one"})
"""The loops that yield true or false."""


class Form(StrEnum):
    """How a part depends on the parts inside it."""

    ALL = "all"
    ANY = "any"
    NOT = "not"
    CHOICE = "choice"
    LOOP = "loop"
    VARIABLE = "variable"
    LEAF = "leaf"


@dataclass(frozen=True, slots=True)
class Part:
    """A condition within an expression.

    Attributes:
        form: `all` and `any` have at least two parts inside, `not` one, `choice` three (`a ? b : c`), `loop` one: the
            condition on each item. A `leaf` has none, unless a choice inside it depends on further conditions.
        node: where it stands in `source`.
        source: the whole expression.
        loops: the loops it stands in, outermost first; their variables are not known outside of them.
    """

    form: Form
    node: Node
    source: str
    inside: tuple[Part, ...] = ()
    loops: tuple[Comprehension, ...] = ()

    @property
    def text(self) -> str:
        """What was written, brackets around it included."""
        return text_of(self.node, self.source)

    def within(self) -> Iterator[Part]:
        """The part and all parts inside it, outer before inner."""
        yield self
        for part in self.inside:
            yield from part.within()


def parts_of(source: str) -> Part:
    """Take an expression apart that yields true or false.

    Raises:
        SyntaxInvalid: it does not follow the grammar.
    """
    return _part(parse(source), source, ())


def _part(node: Node, source: str, loops: tuple[Comprehension, ...]) -> Part:
    form, operands = _operands(node)
    if form is Form.LOOP and isinstance(node, Comprehension):
        inner = _part(node.args[0], source, (*loops, node))
        return Part(form, node, source, (inner,), loops)
    if form is Form.LEAF:
        return Part(form, node, source, tuple(_choices(node, source, loops)), loops)
    return Part(form, node, source, tuple(_part(each, source, loops) for each in operands), loops)


def _operands(node: Node) -> tuple[Form, list[Node]]:
    if isinstance(node, Comprehension) and node.macro in LISTED:
        return Form.LOOP, [node.args[0]]
    if isinstance(node, Call):
        match node.function:
            case "_&&_":
                return Form.ALL, conjuncts(node)
            case "_||_":
                return Form.ANY, disjuncts(node)
            case "!_":
                return Form.NOT, [node.args[0]]
            case "_?_:_":
                return Form.CHOICE, list(node.args)
    return Form.LEAF, []


def _choices(node: Node, source: str, loops: tuple[Comprehension, ...]) -> Iterator[Part]:
    """The conditions of choices between values, such as `a` in `(a ? 1 : 2) > x`, and conditions of loops."""
    for child in children(node):
        if isinstance(node, Comprehension) and child is not node.range:
            continue  # what `map` and `filter` compute belongs to their leaf
        if isinstance(child, Call) and child.function == "_?_:_":
            yield _part(child.args[0], source, loops)
            for branch in child.args[1:]:
                yield from _choices(branch, source, loops)
        else:
            yield from _choices(child, source, loops)


def is_constant(part: Part) -> bool:
    """Tell whether a part has no variable in it, so that it can have one value only."""
    return not any(isinstance(node, Ident) for node in walk(part.node)) or isinstance(part.node, Const)
