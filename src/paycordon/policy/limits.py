"""What an expression may not do because the engine does not bound it.

The engine stops loops after 10,000 iterations, matches patterns in linear time and refuses deep nesting. It does not
bound what grows: a loop that doubles a list or a text, fed into the next such loop, takes a gigabyte in some hundred
characters. Growth needs `+`, or a new list or map, in what a loop keeps. So:

* loops lie at most two deep in each other;
* the result of `map` builds no list, map or record, so what a loop keeps is no larger than what it went through;
* within loops, `+` stands at most twice, because texts that are put together live until the evaluation ends:
  10,000 iterations of three texts of at most 4,096 characters stay within 130 MB;
* `+` stands at most 32 times in all.

A variable's value is bounded where it is evaluated, since variables may use earlier ones (`MAX_VALUE`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from paycordon.policy.syntax import (
    Call,
    Comprehension,
    ListLiteral,
    MapLiteral,
    Node,
    StructLiteral,
    children,
    walk,
)

MAX_LOOPS = 2
MAX_PLUS_IN_LOOPS = 2
MAX_PLUS = 32
MAX_VALUE = 4_096
"""The most characters or items of a variable's value."""


def excesses(tree: Node, variables: Iterable[str]) -> Iterator[tuple[Node, str]]:
    """What an expression has too much of, and where; `variables` are names that a loop may not take for itself."""
    names = frozenset(variables)
    plus_anywhere = [node for node in walk(tree) if _is_plus(node)]
    if len(plus_anywhere) > MAX_PLUS:
        yield plus_anywhere[MAX_PLUS], f"`+` is used more than {MAX_PLUS} times"
    plus_in_loops = [node for node, depth in _with_depth(tree) if depth and _is_plus(node)]
    if len(plus_in_loops) > MAX_PLUS_IN_LOOPS:
        yield plus_in_loops[MAX_PLUS_IN_LOOPS], f"`+` is used more than {MAX_PLUS_IN_LOOPS} times within loops"
    for node, depth in _with_depth(tree):
        if not isinstance(node, Comprehension):
            continue
        if depth >= MAX_LOOPS:
            yield node, f"loops lie more than {MAX_LOOPS} deep in each other"
        if node.variable in names:
            yield node, f"the loop names its variable `{node.variable}`, which the policy has already"
        if node.macro == "map" and (built := _builds(node.args[-1])):
            yield built, "the result of `map` may not build lists, maps or records"


def _is_plus(node: Node) -> bool:
    return isinstance(node, Call) and node.function == "_+_"


def _builds(node: Node) -> Node | None:
    return next((each for each in walk(node) if isinstance(each, ListLiteral | MapLiteral | StructLiteral)), None)


def _with_depth(tree: Node) -> Iterator[tuple[Node, int]]:
    """Every node with the number of loops that repeat it; a loop's range is not repeated by it."""
    stack = [(tree, 0)]
    while stack:
        node, depth = stack.pop()
        yield node, depth
        if isinstance(node, Comprehension):
            stack.append((node.range, depth))
            stack.extend((each, depth + 1) for each in node.args)
        else:
            stack.extend((each, depth) for each in children(node))
