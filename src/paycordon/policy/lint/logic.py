"""What follows from conditions: that one implies another, that one can never be true, that one always is.

All answers are sound and none is complete: `False` means that it could not be shown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from paycordon.policy.lint.formula import (
    All,
    Compare,
    Either,
    Exists,
    Formula,
    OneOf,
    Opaque,
    Truth,
    compared,
    holds,
)
from paycordon.policy.syntax import Node

Domain = Callable[[Node], Sequence[Formula]]
"""What holds of a value whatever the event, such as that a count is not negative."""

_MOST_CASES = 64
_MOST_PARTS = 64


def implies(one: Formula, other: Formula) -> bool:
    """Tell whether `other` is true whenever `one` is."""
    if one == other or one == Truth(False) or other == Truth(True):
        return True
    if isinstance(other, All):
        return all(implies(one, part) for part in other.parts)
    if isinstance(one, Either):
        return all(implies(part, other) for part in one.parts)
    if isinstance(one, All) and any(implies(part, other) for part in one.parts):
        return True
    if isinstance(other, Either):
        return any(implies(one, part) for part in other.parts)
    if isinstance(one, Exists) and isinstance(other, Exists):
        return one.found and other.found and one.range == other.range and implies(one.body, other.body)
    if isinstance(one, Compare | OneOf) and isinstance(other, Compare | OneOf) and one.subject == other.subject:
        return _narrower(one, other)
    return False


def _narrower(one: Compare | OneOf, other: Compare | OneOf) -> bool:
    if isinstance(one, OneOf):
        return all(_allows(other, value) for value in one.values)
    if one.operator == "==" and one.bound.worth is not None:
        return _allows(other, one.bound.worth)
    if isinstance(other, OneOf):
        return False
    order = _order(one, other)
    return order is not None and other.operator in _WIDER[one.operator].get(order, ())


# x <operator> bound: which comparisons with another bound follow, by the order of the first bound to the other.
_WIDER: Mapping[str, Mapping[int, Sequence[str]]] = {
    "==": {-1: ("<", "<=", "!="), 0: ("==", "<=", ">="), 1: (">", ">=", "!=")},
    "!=": {0: ("!=",)},
    "<": {-1: ("<", "<=", "!="), 0: ("<", "<=", "!=")},
    "<=": {-1: ("<", "<=", "!="), 0: ("<=",)},
    ">": {1: (">", ">=", "!="), 0: (">", ">=", "!=")},
    ">=": {1: (">", ">=", "!="), 0: (">=",)},
}


def _order(one: Compare, other: Compare) -> int | None:
    if one.bound.written == other.bound.written:
        return 0
    return compared(one.bound.worth, other.bound.worth)


def _allows(condition: Compare | OneOf, value: object) -> bool:
    """Tell whether a known value satisfies a condition; False if that is not known."""
    if isinstance(condition, OneOf):
        return any(compared(each, value) == 0 for each in condition.values)
    return condition.bound.worth is not None and holds(condition.operator, value, condition.bound.worth)


def _refuses(condition: Compare | OneOf, value: object) -> bool:
    known = isinstance(condition, OneOf) or condition.bound.worth is not None
    return known and not _allows(condition, value)


def impossible(formulas: Iterable[Formula], domain: Domain) -> bool:
    """Tell whether the formulas can never all be true."""
    return _Search(domain).impossible(list(formulas))


class _Search:
    """Tries every combination of alternatives, up to a limit."""

    def __init__(self, domain: Domain) -> None:
        self._domain = domain
        self._cases = 0

    def impossible(self, formulas: list[Formula]) -> bool:
        self._cases += 1
        if self._cases > _MOST_CASES:
            return False
        single = list(flat(formulas))
        if len(single) > _MOST_PARTS:
            return False
        choice = next((each for each in single if isinstance(each, Either)), None)
        plain = [each for each in single if not isinstance(each, Either)]
        if self._conflict(plain):
            return True
        if choice is None:
            return False
        rest = [each for each in single if each is not choice]
        return all(self.impossible([*rest, part]) for part in choice.parts)

    def _conflict(self, formulas: Sequence[Formula]) -> bool:
        return (
            Truth(False) in formulas
            or any(isinstance(each, Opaque) and Opaque(each.node, not each.positive) in formulas for each in formulas)
            or any(self._empty(each) or _denied(each, formulas) for each in formulas)
            or any(self._unsatisfiable(subject, formulas) for subject in _subjects(formulas))
        )

    def _empty(self, formula: Formula) -> bool:
        return isinstance(formula, Exists) and formula.found and self.impossible([formula.body])

    def _unsatisfiable(self, subject: Node, formulas: Sequence[Formula]) -> bool:
        about = [*formulas, *self._domain(subject)]
        own = [each for each in about if isinstance(each, Compare | OneOf) and each.subject == subject]
        return any(_exclusive(one, other) for index, one in enumerate(own) for other in own[:index]) or any(
            all(any(_refuses(other, value) for other in own) for value in values) for values in _candidates(own)
        )


def flat(formulas: Iterable[Formula]) -> Iterator[Formula]:
    """The formulas, with the parts of those that ask for all of theirs in their place."""
    for each in formulas:
        if isinstance(each, All):
            yield from flat(each.parts)
        else:
            yield each


def _subjects(formulas: Iterable[Formula]) -> set[Node]:
    return {each.subject for each in formulas if isinstance(each, Compare | OneOf)}


def _denied(formula: Formula, formulas: Iterable[Formula]) -> bool:
    """Tell whether one item of a list is asked for that another formula says is not there."""
    return (
        isinstance(formula, Exists)
        and formula.found
        and any(
            isinstance(other, Exists)
            and not other.found
            and other.range == formula.range
            and implies(formula.body, other.body)
            for other in formulas
        )
    )


def _candidates(own: Iterable[Compare | OneOf]) -> Iterator[Iterable[object]]:
    for each in own:
        if isinstance(each, OneOf):
            yield each.values
        elif each.operator == "==" and each.bound.worth is not None:
            yield (each.bound.worth,)


# x <operator> bound: with which comparisons with another bound it cannot both be, by the order of the bounds.
_EXCLUDED: Mapping[str, Mapping[int, Sequence[str]]] = {
    "==": {-1: ("==", ">", ">="), 0: ("!=", "<", ">"), 1: ("==", "<", "<=")},
    "<": {-1: ("==", ">", ">="), 0: ("==", ">", ">=")},
    "<=": {-1: ("==", ">", ">="), 0: (">",)},
}


def _exclusive(one: Compare | OneOf, other: Compare | OneOf) -> bool:
    if isinstance(one, OneOf) or isinstance(other, OneOf):
        return False  # the values themselves are tried
    return _excludes(one, other) or _excludes(other, one)


def _excludes(one: Compare, other: Compare) -> bool:
    order = _order(one, other)
    return order is not None and other.operator in _EXCLUDED.get(one.operator, {}).get(order, ())


def same(one: Formula, other: Formula) -> bool:
    """Tell whether two conditions are true at the same times."""
    return implies(one, other) and implies(other, one)
