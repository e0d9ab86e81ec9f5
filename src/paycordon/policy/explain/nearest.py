"""The nearest value that would turn a condition, and what else that value would turn."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice, product
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
_OPEN = object()
_OTHER_TEXT = "\x00"
"""Stands for a text that is not any of those in the policy."""
_MOST_CHOICES = 16


@dataclass(frozen=True, slots=True)
class Consequence:
    """What follows from a set of changes.

    Attributes:
        given: the conditions that are then otherwise than they were.
        values: by the expression of a compared thing, the value it then has.
    """

    given: Mapping[str, Answer]
    values: Mapping[str, Any]


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


def _candidates(operator: str, value: Any) -> list[Any]:
    """The values nearest to a bound that satisfy the comparison; none where that is not known."""
    if operator in ("==", ">=", "<="):
        return [value]
    steps = {">": (1,), "<": (-1,), "!=": (1, -1)}[operator]
    match value:
        case bool():
            return [not value] if operator == "!=" else []
        case int():
            return [value + step for step in steps]
        case float():
            return [math.nextafter(value, math.inf * step) for step in steps]
        case datetime() | timedelta():
            return [value + step * timedelta.resolution for step in steps]
        case str() if operator == "!=":
            return [_OTHER_TEXT]
    return []


def consequences(turn: Iterable[Literal], leaves: Mapping[str, Leaf]) -> Iterator[Consequence]:
    """What all conditions are once those of a turn are as wanted; nothing if they cannot all be.

    Where a condition compares something with a value, everything else that compares the same thing is answered anew
    by the value that it would then have. Several values may do, such as those on both sides of one that is ruled out.
    """
    wanted = dict(turn)
    by_thing: dict[str, list[tuple[str, Compared]]] = {}
    for key, leaf in leaves.items():
        if (compared := _comparison(leaf)) is not None:
            by_thing.setdefault(compared.left, []).append((key, compared))
    choices: list[list[tuple[str, Any]]] = []
    for thing, found in by_thing.items():
        turned = [(key, compared) for key, compared in found if key in wanted]
        if turned:
            choices.append([(thing, fitting) for fitting in _fitting(turned, wanted)])
    for chosen in islice(product(*choices), _MOST_CHOICES):
        given: dict[str, Answer] = dict(wanted)
        for thing, fitting in chosen:
            if fitting is not _OPEN:
                given |= {key: _holds(each.operator, fitting, each.right_value) for key, each in by_thing[thing]}
        whole = _without_missing(given, wanted, leaves)
        if whole is not None:
            yield Consequence(whole, dict(chosen))


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


def _fitting(turned: list[tuple[str, Compared]], wanted: Mapping[str, bool]) -> list[Any]:
    """Values that satisfy all turned conditions on one thing; `_OPEN` if it is not known which do."""
    known = [
        value
        for key, compared in turned
        for value in _candidates(_operator(compared, wanted[key]), compared.right_value)
    ]
    if not known:
        return [_OPEN]
    return [
        value
        for value in known
        if all(_holds(compared.operator, value, compared.right_value) is wanted[key] for key, compared in turned)
    ]


def telling(turn: Iterable[Literal], leaves: Mapping[str, Leaf], values: Mapping[str, Any]) -> list[Literal]:
    """Of several conditions on one thing only the one that decides its value, for one value satisfies them all."""
    kept: dict[str, Literal] = {}
    for key, wanted in sorted(turn):
        compared = _comparison(leaves[key]) if key in leaves else None
        tried = values.get(compared.left, _OPEN) if compared else _OPEN
        if compared is None or tried is _OPEN:
            kept[key] = key, wanted
        elif tried in _candidates(_operator(compared, wanted), compared.right_value):
            kept.setdefault(compared.left, (key, wanted))
    return list(kept.values())


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


def change_of(leaf: Leaf, wanted: bool, values: Mapping[str, Any]) -> Change:
    """Say in words what would have to differ for a condition to turn; `values` as in `Consequence`."""
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
    needed = _needed(operator, compared, amount)
    tried = values.get(compared.left, _OPEN)
    if operator == "!=" and tried is not _OPEN and tried != _OTHER_TEXT:
        needed = f"{needed}, such as {_worded(tried, amount)}"
    return Change(name + of, amount or in_words(compared.left_value), needed)


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
    words = {"==": "", ">=": "at least ", ">": "at least ", "<=": "at most ", "<": "at most ", "!=": "other than "}
    if operator in (">", "<") and not isinstance(value, int):
        words |= {">": "more than ", "<": "less than "}
    elif operator != "!=":
        value = next(iter(_candidates(operator, value)), value)
    return words[operator] + _worded(value, amount)


def _worded(value: Any, amount: str) -> str:
    return str(Money(minor=value, currency=amount[-3:])) if amount and isinstance(value, int) else in_words(value)
