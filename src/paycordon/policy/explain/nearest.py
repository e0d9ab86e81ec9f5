"""The nearest value that would turn a condition, and what else that value would turn."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from paycordon.events import Money
from paycordon.policy.explain.formula import Answer, Leaf, Literal, is_lookup, is_present
from paycordon.policy.explain.model import Change
from paycordon.policy.explain.trace import Compared, Traced
from paycordon.policy.explain.values import in_words
from paycordon.policy.syntax import Call, Comprehension, Has, Node, parse, path_of, paths

_NEGATED = {"==": "!=", "!=": "==", "<": ">=", ">=": "<", "<=": ">", ">": "<="}
_MIRRORED = {"<": ">", ">": "<", "<=": ">=", ">=": "<=", "==": "==", "!=": "!="}
_DATA = frozenset({"event", "findings", "aggregates", "variables"})
_NONE = object()


def _oriented(compared: Compared) -> Compared | None:
    """The comparison with what the event brings on the left; None if neither side is that."""
    if _is_data(compared.left):
        return compared
    if compared.operator in _MIRRORED and _is_data(compared.right):
        operator = _MIRRORED[compared.operator]
        return Compared(compared.right, operator, compared.left, compared.right_value, compared.left_value)
    return None


def _is_data(source: str) -> bool:
    return any(path[0] in _DATA for path in paths(parse(source)))


def _bound(operator: str, value: Any) -> Any:
    """The value nearest to a bound that satisfies the comparison, or `_NONE`."""
    if operator in ("==", ">=", "<="):
        return value
    if isinstance(value, bool) or operator == "!=":
        return _NONE
    sign = 1 if operator == ">" else -1
    match value:
        case int():
            return value + sign
        case float():
            return math.nextafter(value, math.inf * sign)
        case datetime() | timedelta():
            return value + sign * timedelta.resolution
    return _NONE


def consequences(turn: Iterable[Literal], leaves: Mapping[str, Leaf]) -> dict[str, Answer] | None:
    """What all conditions are once those of a turn are as wanted; None if they cannot all be.

    Where a condition compares something with a value, everything else that compares the same thing is answered anew
    by the value that it would then have.
    """
    wanted = dict(turn)
    given: dict[str, Answer] = dict(wanted)
    by_thing: dict[str, list[tuple[str, Compared]]] = {}
    for key, leaf in leaves.items():
        if (compared := _comparison(leaf)) is not None:
            by_thing.setdefault(compared.left, []).append((key, compared))
    for found in by_thing.values():
        turned = [(key, compared) for key, compared in found if key in wanted]
        if not turned:
            continue
        fitting = _fitting(turned, wanted)
        if fitting is None:
            return None
        if fitting is not _NONE:
            given |= {key: _holds(compared.operator, fitting, compared.right_value) for key, compared in found}
    return _without_missing(given, wanted, leaves)


def _without_missing(
    given: dict[str, Answer], wanted: Mapping[str, bool], leaves: Mapping[str, Leaf]
) -> dict[str, Answer] | None:
    """What asks for a value that would be missing has no answer; None if it should have one."""
    for key, want in wanted.items():
        tree = _tree(leaves.get(key))
        path = path_of(tree.operand) if isinstance(tree, Has) else None
        if want or not isinstance(tree, Has) or path is None:
            continue
        gone = (*path, tree.field)
        for other, leaf in leaves.items():
            inner = _tree(leaf)
            if inner is None or isinstance(inner, Has) or not any(p[: len(gone)] == gone for p in paths(inner)):
                continue
            if other in wanted:
                return None
            given[other] = None
    return given


def _tree(leaf: Leaf | None) -> Node | None:
    return parse(leaf.traced.source) if leaf is not None and leaf.traced is not None else None


def _comparison(leaf: Leaf) -> Compared | None:
    compared = leaf.traced.compared if leaf.traced else None
    return None if compared is None or compared.operator == "in" else _oriented(compared)


def _fitting(turned: list[tuple[str, Compared]], wanted: Mapping[str, bool]) -> Any:
    """A value that satisfies all turned conditions on one thing; None if there is none, `_NONE` if that is open."""
    bounds = [_bound(_operator(compared, wanted[key]), compared.right_value) for key, compared in turned]
    known = [bound for bound in bounds if bound is not _NONE]
    if not known:
        return _NONE
    for bound in known:
        if all(_holds(compared.operator, bound, compared.right_value) is wanted[key] for key, compared in turned):
            return bound
    return None


def _operator(compared: Compared, wanted: bool) -> str:
    return compared.operator if wanted else _NEGATED[compared.operator]


def _holds(operator: str, left: Any, right: Any) -> Answer:
    try:
        match operator:
            case "==":
                return bool(left == right)
            case "!=":
                return bool(left != right)
            case "<":
                return bool(left < right)
            case "<=":
                return bool(left <= right)
            case ">":
                return bool(left > right)
            case _:
                return bool(left >= right)
    except TypeError:
        return None


def change_of(leaf: Leaf, wanted: bool) -> Change:
    """Say in words what would have to differ for a condition to turn."""
    traced = leaf.traced
    if traced is None:
        return Change(leaf.key, "", "")
    if leaf.another:
        return _another(traced, wanted=wanted)
    if is_present(traced):
        inner = traced.text.removeprefix("has(").removesuffix(")")
        return Change(inner, "present" if leaf.answer else "missing", "present" if wanted else "missing")
    if is_lookup(traced):
        return Change(traced.text, _word(leaf.answer), _word(wanted))
    compared = _comparison(leaf)
    if compared is None:
        return Change(traced.text, _word(leaf.answer), _word(wanted))
    if compared.left.startswith("(findings)[") and compared.left.endswith("].code") and not wanted:
        return Change(f"finding {traced.item or compared.left_value}", "present", "absent")
    operator = _operator(compared, wanted)
    of = f" of {traced.item}" if traced.item else ""
    amount = _amount(traced, compared)
    name = _thing(traced, compared).removesuffix(".minor" if amount else "")
    return Change(name + of, amount or in_words(compared.left_value), _needed(operator, compared, amount))


def _word(answer: Answer) -> str:
    return "without an answer" if answer is None else "true" if answer else "false"


def _another(loop: Traced, *, wanted: bool) -> Change:
    node = loop.node
    condition = loop.text
    over = ""
    if isinstance(node, Comprehension):
        condition, over = _loop_texts(loop)
    what = f"another item of {over}" if over != "findings" else "another finding"
    how = f"for which `{condition}`" if wanted else f"for which not `{condition}`"
    return Change(what, "none", how)


def _loop_texts(loop: Traced) -> tuple[str, str]:
    """The condition and the range of a loop, as written."""
    tree = parse(loop.text)
    if not isinstance(tree, Comprehension):
        return loop.text, ""
    return loop.text[tree.args[0].start : tree.args[0].end], loop.text[tree.range.start : tree.range.end]


def _thing(traced: Traced, compared: Compared) -> str:
    """The compared thing as written, if the text shows it; within a loop the variable stands for the item."""
    tree, original = parse(traced.text), traced.compared
    if not isinstance(tree, Call) or original is None:
        return compared.left
    node = tree.args[0 if original.left == compared.left else 1]
    return traced.text[node.start : node.end]


def _amount(traced: Traced, compared: Compared) -> str:
    """The compared thing as an amount, if it is the minor units of one."""
    if not compared.left.rstrip().endswith(".minor") or not isinstance(compared.left_value, int):
        return ""
    found = next(
        (s.value for s in traced.shown if isinstance(s.value, Money) and s.value.minor == compared.left_value), None
    )
    return str(found) if found is not None else ""


def _needed(operator: str, compared: Compared, amount: str) -> str:
    value = compared.right_value
    exact = _bound(operator, value)
    words = {"==": "", ">=": "at least ", ">": "at least ", "<=": "at most ", "<": "at most ", "!=": "other than "}
    if exact is _NONE or isinstance(value, float | timedelta | datetime):
        words |= {">": "more than ", "<": "less than "}
        exact = value
    text = in_words(Money(minor=exact, currency=amount[-3:])) if amount and isinstance(exact, int) else in_words(exact)
    return words[operator] + text
