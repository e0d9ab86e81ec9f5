"""From a file of tests to tests that can be run, with every complaint at its line and column."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

from paycordon.aggregates import Number
from paycordon.documents import Document, Problem, did_you_mean, document_from, error_from, validate
from paycordon.errors import PolicyError, Position
from paycordon.policy.bindings import Bindings, bindings_from, kind_of
from paycordon.policy.cases.document import CasesDocument, ExpectDocument
from paycordon.policy.cases.model import Case, CaseFile
from paycordon.policy.cases.scene import Loc, SceneInvalid, Situation, event_of, number_of, past_of, situation_of
from paycordon.policy.document import PolicyDocument
from paycordon.policy.evaluate import ON_ERROR, STANDING_HOLD, TYPOLOGY
from paycordon.policy.lists import Items
from paycordon.policy.load import Read, policy_from, read_file
from paycordon.policy.model import Policy, PolicySet
from paycordon.policy.rates import rates_from

SUFFIX = ".test.yaml"
_RATES = "rates.csv"


def is_case_file(path: Path) -> bool:
    """Tell a file of tests from a policy by its name."""
    return path.name.endswith(SUFFIX)


def policy_beside(path: Path) -> Path:
    """The policy that a file of tests is about: `payouts.yaml` for `payouts.test.yaml`, `payouts.limits.test.yaml`.

    Raises:
        PolicyError: there is none.
    """
    name = path.name.removesuffix(SUFFIX)
    while name:
        if (found := path.with_name(f"{name}.yaml")).is_file():
            return found
        name = name.rpartition(".")[0]
    wanted = path.name.removesuffix(SUFFIX) + ".yaml"
    raise PolicyError(f"there is no policy `{wanted}` beside these tests", position=Position(path))


def load_cases(path: Path, *, read: Read = read_file) -> CaseFile:
    """Read a file of tests and the policy beside it; amounts are converted by the `rates.csv` beside both, if any.

    Raises:
        PolicyError: either is wrong; with the file, line and column of every problem found.
    """
    policy_path = policy_beside(path)
    return cases_from(read(path), path, read(policy_path), policy_path, read=read)


def cases_from(
    content: bytes, path: Path, policy_content: bytes, policy_path: Path, *, read: Read = read_file
) -> CaseFile:
    """Check the bytes of a file of tests against those of a policy; otherwise as `load_cases`."""
    document = document_from(content, path, error=PolicyError)
    written = validate(CasesDocument, document, error=PolicyError)
    loader = _Loader(written, document, policy_content, policy_path, read)
    cases = tuple(loader.cases())
    if loader.problems:
        ordered = sorted(loader.problems, key=lambda each: (each.position.line, each.position.column))
        raise error_from(ordered, PolicyError)
    return CaseFile(path, loader.policy, loader.policy_document, cases)


@dataclass
class _Loader:
    """Builds the cases of one file, collecting problems; one policy set for each different binding and lists."""

    written: CasesDocument
    document: Document
    content: bytes
    path: Path
    read: Read
    problems: list[Problem] = field(default_factory=list)
    _sets: dict[str, PolicySet] = field(default_factory=dict)

    def __post_init__(self) -> None:
        rates = self.path.with_name(_RATES)
        self.rates = rates_from(self.read(rates), rates) if rates.is_file() else None
        self.policy = policy_from(self.content, self.path, read=self.read, rates=self.rates)
        self.policy_document = document_from(self.content, self.path, error=PolicyError)
        self.lists = PolicyDocument.model_validate(self.policy_document.data).lists

    def cases(self) -> Iterator[Case]:
        """All cases and their near misses, in the order of the file; what is wrong is put into `problems`."""
        names: dict[str, Position] = {}
        for index, case in enumerate(self.written.cases):
            loc: Loc = ("cases", index)
            layers = [(("defaults",), self.written.defaults), (loc, case)]
            found = [(case.name, loc, layers, case.expect)]
            for place, variant in enumerate(case.but):
                inner = (*loc, "but", place)
                found.append((f"{case.name} / {variant.name}", inner, [*layers, (inner, variant)], variant.expect))
            for name, at, given, expect in found:
                position = self.document.position((*at, "name"))
                if name in names:
                    self._problem((*at, "name"), f"two cases have this name, the first on line {names[name].line}")
                names.setdefault(name, position)
                self._check_expectation(expect, (*at, "expect"))
                if (made := self._case(name, at, given, expect)) is not None:
                    yield made

    def _problem(self, loc: Loc, message: str, hint: str | None = None, *, key: bool = False) -> None:
        self.problems.append(Problem(self.document.position(loc, key=key), message, hint))

    def _case(self, name: str, loc: Loc, layers: Sequence[tuple[Loc, Any]], expect: ExpectDocument) -> Case | None:
        situation = situation_of(layers)
        try:
            event = event_of(situation)
            history = past_of(situation, event)
        except SceneInvalid as invalid:
            at = situation.places.get(str(invalid.loc[0]), loc)
            self._problem((*at, *invalid.loc), str(invalid))
            return None
        before = len(self.problems)
        aggregates = self._aggregates(situation, event.occurred_at)
        policies = self._policy_set(situation)
        if len(self.problems) > before or policies is None:
            return None
        return Case(
            name=name,
            position=self.document.position((*loc, "name")),
            expected_at=self.document.position((*loc, "expect"), key=True),
            policies=policies,
            event=event,
            findings=tuple(each.finding() for each in situation.findings),
            check_errors=tuple(each.error() for each in situation.check_errors),
            history=history,
            aggregates=MappingProxyType(aggregates),
            merchant=situation.merchant,
            standing=situation.standing,
            expect=expect,
        )

    def _aggregates(self, situation: Situation, at: datetime) -> dict[str, Number]:
        values: dict[str, Number] = {}
        for name, value in situation.aggregates.items():
            loc = (*situation.places[f"aggregates.{name}"], "aggregates", name)
            definition = self.policy.aggregates.get(name)
            if definition is None:
                hint = did_you_mean(name, sorted(self.policy.aggregates))
                self._problem(loc, f"the policy has no aggregate `{name}`", hint, key=True)
                continue
            try:
                values[f"{self.policy.ref.name}.{name}"] = number_of(value, definition, at)
            except ValueError as invalid:
                self._problem(loc, f"the aggregate `{name}` {invalid}")
        return values

    def _policy_set(self, situation: Situation) -> PolicySet | None:
        lists = self._lists(situation)
        binding = self._binding(situation)
        key = json.dumps([lists, binding], sort_keys=True, default=str)
        if key not in self._sets:
            try:
                bindings = self._bindings(binding)
            except PolicyError as error:
                self._problem((*situation.places.get("binding", ("cases",)), "binding"), error.message, error.hint)
                return None
            self._sets[key] = PolicySet([self._policy_with(lists)], bindings)
        return self._sets[key]

    def _lists(self, situation: Situation) -> dict[str, Items]:
        lists: dict[str, Items] = {}
        for name, items in situation.lists.items():
            loc = (*situation.places[f"lists.{name}"], "lists", name)
            if name not in self.lists:
                hint = did_you_mean(name, sorted(self.lists))
                self._problem(loc, f"the policy has no list `{name}`", hint, key=True)
            elif self.lists[name].items is not None:
                self._problem(loc, f"the items of `{name}` are the policy's own; a case cannot change them", key=True)
            else:
                lists[name] = {item.value: item.until for item in items}
        return lists

    def _policy_with(self, lists: Mapping[str, Items]) -> Policy:
        """The policy as it is when its lists in files and in the store hold something else."""
        if not lists:
            return self.policy
        stored = {self.lists[name].store or "": items for name, items in lists.items()}
        files = {self.path.parent / (self.lists[name].file or ""): items for name, items in lists.items()}

        def read(path: Path) -> bytes:
            return _csv(files[path]) if path in files else self.read(path)

        return policy_from(self.content, self.path, read=read, stored=stored, rates=self.rates)

    def _binding(self, situation: Situation) -> dict[str, Any] | None:
        """What was written of the binding, as it would stand in `bindings.yaml`."""
        params: dict[str, Any] = {}
        for name, value in situation.params.items():
            at = (*situation.places[f"params.{name}"], "params", name)
            if name not in self.policy.params:
                hint = did_you_mean(name, sorted(self.policy.params))
                self._problem(at, f"the policy has no parameter `{name}`", hint, key=True)
            elif kind_of(value) != kind_of(own := self.policy.params[name]):
                self._problem(at, f"the parameter `{name}` is of another kind", f"write {kind_of(own)}")
            else:
                params[name] = self.document.part(*at).data
        if situation.binding is None and not params:
            return None
        written: Any = self.document.part(*situation.places["binding"], "binding").data if situation.binding else {}
        given = {"id": "case", "mode": "enforce", **written, "policy": self.policy.ref.name}
        return {**given, "params": {**given.get("params", {}), **params}}

    def _bindings(self, binding: dict[str, Any] | None) -> Bindings | None:
        if binding is None:
            return None
        name = self.policy.ref.name
        content = json.dumps({"bindings": [binding]}).encode()  # JSON is YAML
        rules = {name: [rule.id for rule in self.policy.rules]}
        return bindings_from(content, self.document.file, {name: self.policy.params}, rules, {name: self.policy.fixed})

    def _check_expectation(self, expect: ExpectDocument, loc: Loc) -> None:
        own = [rule.id for rule in self.policy.rules]
        typologies = list(self.policy.typologies)
        known = [*own, *(f"{TYPOLOGY}{name}" for name in typologies), ON_ERROR, STANDING_HOLD]
        for key, names in (("rules", known), ("includes", known), ("excludes", known), ("errors", own)):
            for index, name in enumerate(getattr(expect, key) or ()):
                if name not in names:
                    hint = did_you_mean(name, names)
                    self._problem((*loc, key, index), f"the policy has no rule `{name}`", hint)
        for name in expect.scores:
            if name not in typologies:
                hint = did_you_mean(name, typologies)
                self._problem((*loc, "scores", name), f"the policy has no typology `{name}`", hint, key=True)


def _csv(items: Items) -> bytes:
    """Write a list as the file that it stands for."""
    text = io.StringIO()
    rows = csv.writer(text)
    rows.writerow(("value", "until"))
    rows.writerows((value, until.isoformat() if until else "") for value, until in items.items())
    return text.getvalue().encode()


@dataclass(frozen=True, slots=True)
class RulesTried:
    """What tests expect of rules, by their ids.

    Attributes:
        met: those that match in a case.
        missed: those that do not match in a case.
        nearly: those that match in a case and no more in one of its near misses.
    """

    met: frozenset[str] = frozenset()
    missed: frozenset[str] = frozenset()
    nearly: frozenset[str] = frozenset()

    def __or__(self, other: RulesTried) -> RulesTried:
        """Both together."""
        return RulesTried(self.met | other.met, self.missed | other.missed, self.nearly | other.nearly)

    @property
    def by_kind(self) -> Mapping[str, frozenset[str]]:
        """The rules, by what tests see of them."""
        return {"matches": self.met, "does not match": self.missed, "nearly matches": self.nearly}


def rules_tried(content: bytes, path: Path) -> RulesTried:
    """What a file of tests expects of the rules; for lint.

    Raises:
        PolicyError: the file is malformed.
    """
    written = validate(CasesDocument, document_from(content, path, error=PolicyError), error=PolicyError)
    named = {rule for case in written.cases for each in (case, *case.but) for rule in _met(each.expect)}
    found = RulesTried(frozenset(named))
    for case in written.cases:
        missed = frozenset(rule for rule in named if _misses(case.expect, rule))
        nearly = (r for r in _met(case.expect) if any(_misses(variant.expect, r) for variant in case.but))
        found |= RulesTried(missed=missed, nearly=frozenset(nearly))
    return found


def _met(expect: ExpectDocument) -> frozenset[str]:
    return frozenset((*(expect.rules or ()), *expect.includes))


def _misses(expect: ExpectDocument, rule: str) -> bool:
    return rule in expect.excludes or (expect.rules is not None and rule not in expect.rules)
