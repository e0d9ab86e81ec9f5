"""What the cases of a file tried out of its policy: each rule, and each condition that rules are made of.

A condition that was never true, or never false, may say anything: no test would notice. Conditions are probed by the
engine that judges, on the inputs of each case; an error is neither true nor false.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from paycordon.documents import Document
from paycordon.errors import Position
from paycordon.policy.cases.model import CaseFile, CaseResult
from paycordon.policy.cel import ExpressionInvalid
from paycordon.policy.conditions import Conditions
from paycordon.policy.evaluate import own_variables
from paycordon.policy.explain.parts import Form, Part, is_constant, parts_of
from paycordon.policy.model import BoundProgram, Policy, Rule
from paycordon.policy.schema import bind
from paycordon.policy.syntax import line_column, text_of

RULE = "rule"


@dataclass(slots=True)
class Covered:
    """A rule or a condition, and which answers it gave.

    Attributes:
        rule: the rule's id; of a shared variable, `variables.NAME`.
        text: what was written of a condition; `rule` for the rule as a whole.
    """

    rule: str
    position: Position
    text: str
    was_true: bool = False
    was_false: bool = False

    @property
    def missing(self) -> str:
        """What it never was."""
        lacks = [word for word, was in (("true", self.was_true), ("false", self.was_false)) if not was]
        return " nor ".join(lacks)

    @property
    def points(self) -> int:
        """How many of its two answers were seen."""
        return self.was_true + self.was_false


@dataclass(frozen=True, slots=True)
class Coverage:
    """What the cases of one file tried out."""

    rules: tuple[Covered, ...]
    conditions: tuple[Covered, ...]

    @property
    def percent(self) -> float:
        """The share of answers seen: two for each rule and each condition."""
        return percent_of([self])

    @property
    def gaps(self) -> list[Covered]:
        """What never gave one of its answers, in the order of the file."""
        every = [*self.rules, *self.conditions]
        return sorted(
            (each for each in every if each.missing), key=lambda each: (each.position.line, each.position.column)
        )


def percent_of(coverages: Iterable[Coverage]) -> float:
    """The share of answers seen over several files, from 0 to 100."""
    every = [each for one in coverages for each in (*one.rules, *one.conditions)]
    return 100.0 * sum(each.points for each in every) / (2 * len(every)) if every else 100.0


@dataclass(frozen=True, slots=True)
class _Probe:
    """An expression, and what it shows when it is true (and when it is false)."""

    source: str
    covered: Covered
    if_true: bool
    if_false: bool | None


@dataclass
class Meter:
    """Watches the results of one file's cases."""

    file: CaseFile
    _rules: dict[str, Covered] = field(default_factory=dict)
    _probes: dict[str, list[_Probe]] = field(default_factory=dict)
    _compiled: dict[tuple[int, str], tuple[Conditions, Sequence[_Probe]]] = field(default_factory=dict)
    _policies: list[Policy] = field(default_factory=list)

    def __post_init__(self) -> None:
        for index, rule in enumerate(self.file.policy.rules):
            self._rules[rule.id] = Covered(rule.id, rule.position, RULE)
            self._probes[rule.id] = list(_probes_of_rule(rule, index, self.file.document))
        for name, source in self.file.policy.variables.items():
            if _is_condition(self.file.policy, source):
                full_name = f"variables.{name}"
                self._probes[full_name] = list(_probes_of_variable(full_name, source, self.file.document))

    def add(self, result: CaseResult) -> None:
        """Take note of one case."""
        case = result.case
        variables = bind(case.event, case.findings)
        for bound in case.policies.programs_for(case.event.type):
            own = {**variables, **own_variables(bound, result.numbers)}
            if bound.binding is None or bound.binding.selects(case.event, own) is True:
                self._add(bound, case.event.type, own)

    def _add(self, bound: BoundProgram, event_type: str, variables: Mapping[str, Any]) -> None:
        program = bound.program
        for rule, answer in zip(program.rules, program.conditions.evaluate(variables), strict=True):
            _note(self._rules[rule.id], answer, True, False)
        conditions, probes = self._prepared(program.policy, event_type, program.rules)
        for probe, answer in zip(probes, conditions.evaluate(variables), strict=True):
            _note(probe.covered, answer, probe.if_true, probe.if_false)

    def _prepared(self, policy: Policy, event_type: str, rules: Sequence[Rule]) -> tuple[Conditions, Sequence[_Probe]]:
        """Compile the probes once for each policy: cases with lists of their own have each their own."""
        key = id(policy), event_type
        if key not in self._compiled:
            self._policies.append(policy)  # kept, so that its id stays its own
            names = [*(rule.id for rule in rules), *(name for name in self._probes if name.startswith("variables."))]
            probes = [probe for name in names for probe in self._probes[name]]
            self._compiled[key] = policy.language.conditions([probe.source for probe in probes]), probes
        return self._compiled[key]

    def coverage(self) -> Coverage:
        """What was seen so far."""
        seen = {id(probe.covered): probe.covered for probes in self._probes.values() for probe in probes}
        return Coverage(tuple(self._rules.values()), tuple(seen.values()))


def _note(covered: Covered, answer: object, if_true: bool, if_false: bool | None) -> None:
    shown = if_true if answer is True else if_false if answer is False else None
    covered.was_true |= shown is True
    covered.was_false |= shown is False


def _probes_of_rule(rule: Rule, index: int, document: Document) -> Iterator[_Probe]:
    written = [(key, source) for key in ("when", "where", "unless") if (source := getattr(rule, key)) is not None]
    for key, source in written:
        whole = parts_of(source)
        for part in whole.within():
            # A rule of one expression says the same as that; and `!a` says the same as `a`, turned round.
            if (part is whole and len(written) == 1) or part.form is Form.NOT or is_constant(part):
                continue
            covered = Covered(rule.id, _position(document, index, key, part), " ".join(part.text.split()))
            yield from _probes(part, covered)


def _is_condition(policy: Policy, source: str) -> bool:
    try:
        policy.language.check(source)
    except ExpressionInvalid:  # it yields a number or a text
        return False
    return True


def _probes_of_variable(full_name: str, source: str, document: Document) -> Iterator[_Probe]:
    loc = ("variables", full_name.removeprefix("variables."))
    for part in parts_of(source).within():
        if part.form is not Form.NOT and not is_constant(part):
            place = document.position_in(loc, *line_column(source, part.node.start))
            yield from _probes(part, Covered(full_name, place, " ".join(part.text.split())))


def _position(document: Document, index: int, key: str, part: Part) -> Position:
    loc = ("rules", index, key)
    if key == "where":  # what it was turned into is nowhere in the file
        return document.position(loc, key=True)
    return document.position_in(loc, *line_column(part.source, part.node.start))


def _probes(part: Part, covered: Covered) -> Iterator[_Probe]:
    if not part.loops:
        yield _Probe(part.text, covered, if_true=True, if_false=False)
        return
    # Within a loop it is asked of every item: was there one it is true of, and one it is false of?
    for text, shows in ((f"({part.text}\n)", True), (f"!({part.text}\n)", False)):
        source = text
        for loop in reversed(part.loops):
            source = f"{text_of(loop.range, part.source)}.exists({loop.variable}, {source})"
        yield _Probe(source, covered, if_true=shows, if_false=None)
