"""A rule as a formula of conditions that are true, false or without an answer, and what would turn it.

The same three values as in the engine: a false operand of `&&` and a true one of `||` decide, whatever the others are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

from paycordon.policy.explain.parts import Form
from paycordon.policy.explain.trace import Compared, Traced
from paycordon.policy.syntax import Call, Comprehension, Has, parse, paths

MOST_SETS = 24
"""So many ways to turn a formula are followed; the smallest ones."""

Answer = bool | None
Literal = tuple[str, bool]
"""A condition, by its key, and what it would have to be."""
Turn = frozenset[Literal]
"""Conditions that would all have to be so."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """A condition.

    Attributes:
        key: the same for conditions that say the same of the same.
        answer: what it was.
        fixed: it cannot be otherwise, such as a constant.
        traced: where it comes from.
        another: it stands for one more item of the loop `traced`, of which its condition would be true or false.
    """

    key: str
    answer: Answer
    traced: Traced | None
    fixed: bool = False
    another: bool = False


@dataclass(frozen=True, slots=True)
class Formula:
    """`all`, `any`, `not` or `choice` of other formulas, or a leaf."""

    form: Form
    inside: tuple[Formula, ...] = ()
    leaf: Leaf | None = None

    def leaves(self) -> Iterator[Leaf]:
        """All conditions, in the order of the text."""
        if self.leaf is not None:
            yield self.leaf
        for each in self.inside:
            yield from each.leaves()


def formula_of(traced: Traced, scope: str) -> Formula:
    """Make a formula of a traced expression; `scope` tells conditions apart that depend on a policy's own values."""
    match traced.form:
        case Form.ALL | Form.ANY | Form.NOT | Form.CHOICE:
            return Formula(traced.form, tuple(formula_of(each, scope) for each in traced.inside))
        case Form.VARIABLE:
            return formula_of(traced.inside[0], scope)
        case Form.LOOP if (macro := _macro(traced)) and not traced.left_out and isinstance(traced.answer, bool):
            items = [formula_of(each, scope) for each in traced.inside]
            # One more item: for `exists` it could make the loop true, for `all` false.
            own = Leaf(f"{_key(traced, scope)}#another", macro == "all", traced, another=True)
            form = Form.ANY if macro == "exists" else Form.ALL
            return Formula(form, (*items, Formula(Form.LEAF, leaf=own)))
    answer = traced.answer if isinstance(traced.answer, bool) else None
    return Formula(Form.LEAF, leaf=Leaf(_key(traced, scope), answer, traced, fixed=not _roots(traced)))


def _macro(traced: Traced) -> str:
    node = traced.node
    return node.macro if isinstance(node, Comprehension) and node.macro in ("exists", "all") else ""


def _roots(traced: Traced) -> set[str]:
    return {path[0] for path in paths(parse(traced.source))}


def _key(traced: Traced, scope: str) -> str:
    is_shared = _roots(traced) <= {"event", "findings"}
    return f"{'' if is_shared else scope}\x00{' '.join(traced.source.split())}"


def value(formula: Formula, given: Mapping[str, Answer]) -> Answer:
    """What a formula is when some conditions are otherwise than they were."""
    if formula.leaf is not None:
        return given.get(formula.leaf.key, formula.leaf.answer)
    if formula.form is Form.NOT:
        inner = value(formula.inside[0], given)
        return None if inner is None else not inner
    if formula.form is Form.CHOICE:
        condition = value(formula.inside[0], given)
        return None if condition is None else value(formula.inside[1 if condition else 2], given)
    decides = formula.form is Form.ANY
    answers = [value(each, given) for each in formula.inside]
    if decides in answers:
        return decides
    return None if None in answers else not decides


def turns(formula: Formula, wanted: bool) -> list[Turn]:
    """The smallest sets of conditions, found within `MOST_SETS`, that make a formula true, or false."""
    if formula.leaf is not None:
        return _turns_of_leaf(formula.leaf, wanted=wanted)
    match formula.form:
        case Form.NOT:
            return turns(formula.inside[0], not wanted)
        case Form.CHOICE:
            condition, yes, no = formula.inside
            return smallest(
                [
                    *together([turns(condition, True), turns(yes, wanted)]),
                    *together([turns(condition, False), turns(no, wanted)]),
                ]
            )
    each = [turns(inner, wanted) for inner in formula.inside]
    if (formula.form is Form.ALL) is wanted:
        return together(each)
    return smallest(turn for found in each for turn in found)


def _turns_of_leaf(leaf: Leaf, *, wanted: bool) -> list[Turn]:
    if leaf.answer is wanted:
        return [frozenset()]
    if leaf.fixed or (wanted and _names_a_finding(leaf)):
        return []  # a finding is not turned into another one; another one would have to come
    return [frozenset({(leaf.key, wanted)})]


def _names_a_finding(leaf: Leaf) -> bool:
    compared = leaf.traced.compared if leaf.traced else None
    return compared is not None and compared.left.startswith("(findings)[") and compared.left.endswith("].code")


def together(ways: Iterable[list[Turn]]) -> list[Turn]:
    """Combine: one way of each, without those that contradict themselves."""
    combined: list[Turn] = [frozenset()]
    for way in ways:
        joined = (one | other for one in combined for other in way)
        combined = smallest(turn for turn in joined if not any((key, not want) in turn for key, want in turn))
        if not combined:
            break
    return combined


def smallest(found: Iterable[Turn]) -> list[Turn]:
    """Without those that contain another one, by size, at most `MOST_SETS`."""
    kept: list[Turn] = []
    for turn in sorted(set(islice(found, MOST_SETS * MOST_SETS)), key=lambda each: (len(each), sorted(each))):
        if not any(other <= turn for other in kept):
            kept.append(turn)
        if len(kept) == MOST_SETS:
            break
    return kept


def is_present(traced: Traced) -> bool:
    """Tell whether a condition asks for presence: `has(…)`."""
    return isinstance(traced.node, Has)


def is_lookup(traced: Traced) -> bool:
    """Tell whether a condition looks something up in a list."""
    return isinstance(traced.node, Call) and traced.node.function == "listed"


__all__ = ["Compared", "Formula", "Leaf", "Literal", "Turn", "formula_of", "turns", "value"]
