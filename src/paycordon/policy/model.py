"""A policy that was loaded: checked, compiled, shared between threads and never changed."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

from paycordon.aggregates import Aggregate
from paycordon.decisions import Outcome, PolicyRef, Scope
from paycordon.errors import PolicyError, Position
from paycordon.policy.bindings import Binding, BindingMode, Bindings
from paycordon.policy.cel import Conditions, Language, Param
from paycordon.policy.document import PackDocument, Status, Weight
from paycordon.policy.lists import Items
from paycordon.policy.schema import Path as UsedPath
from paycordon.policy.syntax import codes_needed, parse

STANDING_POLICY = "paycordon"
"""The policy name under which the engine reports holds that are in force; no file may take it."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule of a loaded policy; `position` is that of its id.

    Attributes:
        when, where, unless: its expressions as written; `where` as the CEL that its mapping stands for.
        then: the outcome it states; none if it only adds points.
        adds: points by typology.
        review_after: how long a hold of this rule may wait for a person.
        scope: what a hold of this rule stops; none for what is usual for its outcome.
        child_protection: whether weakening it takes a second person.
        status, weight, false_positives: how far to trust it; see `RuleDocument`.
    """

    policy: str
    id: str
    on: frozenset[str]
    when: str | None
    where: str | None
    unless: str | None
    then: Outcome | None
    adds: Mapping[str, int]
    merchant_reason: str
    internal_reason: str
    references: tuple[str, ...]
    review_after: timedelta | None
    scope: Scope | None
    child_protection: bool
    position: Position
    status: Status | None = None
    weight: Weight | None = None
    false_positives: tuple[str, ...] = ()

    @property
    def condition(self) -> str:
        """The one expression that is true when the rule matches."""
        # The line breaks end a `//` comment, which would swallow the bracket otherwise.
        holds = [f"({source}\n)" for source in (self.when, self.where) if source is not None]
        return " && ".join([*holds, *([f"!({self.unless}\n)"] if self.unless is not None else [])])


@dataclass(frozen=True, slots=True)
class Typology:
    """A named pattern: from how many points on it states which outcome, and what it then says."""

    name: str
    thresholds: tuple[tuple[int, Outcome], ...]
    merchant_reason: str
    internal_reason: str
    references: tuple[str, ...]
    review_after: timedelta | None
    scope: Scope | None
    position: Position

    def outcome(self, points: int) -> Outcome:
        """What so many points mean."""
        return Outcome.most_severe(*(outcome for least, outcome in self.thresholds if points >= least))


@dataclass(frozen=True, slots=True)
class Program:
    """The rules of one policy on one event type, compiled to be evaluated together."""

    policy: Policy
    rules: tuple[Rule, ...]
    conditions: Conditions


@dataclass(frozen=True, slots=True)
class BoundProgram:
    """A program under one binding, or under none: then it is enforced on everything.

    Attributes:
        params: what the binding sets instead of the policy's own parameters, as variables of the expressions.
    """

    program: Program
    binding: Binding | None
    params: Mapping[str, Any]

    @property
    def uses(self) -> Iterable[frozenset[UsedPath]]:
        """The paths that the rules, and the binding's own expressions, read."""
        yield self.program.conditions.uses
        if self.binding is not None and self.binding.selector is not None:
            yield self.binding.selector.uses

    def mode_of(self, rule: str, binding_mode: BindingMode) -> BindingMode:
        """How hard one rule applies, given how hard the binding does."""
        own = self.binding.written.rules.get(rule) if self.binding else None
        return binding_mode if own is None or binding_mode is BindingMode.OFF else own


@dataclass(frozen=True)
class Policy:
    """A loaded policy.

    Attributes:
        ref: name, version and the SHA-256 of the file's bytes.
        on_error: what a failed check or an expression without an answer means.
        params: as the file states them; a binding may override them.
        variables: expressions by name that rules share.
        lists: by name, what is in them.
        stores: of lists that are kept in the store, the name there, by their names in the file.
        aggregates: by their names in the file.
        typologies: by name.
        rules: in the order of the file.
        pack: the publication it puts into rules, if it is a pack.
        fixed: the parameters that its aggregates use, which no binding can set.
    """

    ref: PolicyRef
    file: Path | str
    on_error: Outcome
    params: Mapping[str, Param]
    variables: Mapping[str, str]
    lists: Mapping[str, Items]
    aggregates: Mapping[str, Aggregate]
    typologies: Mapping[str, Typology]
    rules: tuple[Rule, ...]
    language: Language = field(repr=False, compare=False)
    stores: Mapping[str, str] = field(default_factory=dict)
    pack: PackDocument | None = None
    fixed: frozenset[str] = frozenset()

    @cached_property
    def programs(self) -> Mapping[str, Program]:
        """The rules by event type."""
        types = sorted({type_ for rule in self.rules for type_ in rule.on})
        return MappingProxyType({type_: self._program(type_) for type_ in types})

    def _program(self, event_type: str) -> Program:
        rules = tuple(rule for rule in self.rules if event_type in rule.on)
        return Program(self, rules, self.language.conditions([rule.condition for rule in rules]))


@dataclass(frozen=True, slots=True)
class Source:
    """A file that a policy set was read from, in the wording that was read."""

    ref: PolicyRef
    path: Path
    content: bytes = field(repr=False)


class PolicySet:
    """All policies of a deployment, in the order of their names, under their bindings; safe to share between threads.

    Args:
        policies: what judges.
        bindings: where and how hard; none enforces every policy on everything.
        sources: the files it was read from.
        stored: what the lists that are kept in the store held, one `list:NAME` each.

    Raises:
        PolicyError: two policies have one name.
    """

    def __init__(
        self,
        policies: Iterable[Policy] = (),
        bindings: Bindings | None = None,
        sources: Sequence[Source] = (),
        stored: Sequence[PolicyRef] = (),
    ) -> None:
        self.policies = tuple(sorted(policies, key=lambda policy: policy.ref.name))
        self.bindings = bindings
        self.sources = tuple(sources)
        self.stored = tuple(stored)
        _refuse_same_names(self.policies)
        bound = [(policy, each) for policy in self.policies for each in self._bindings_of(policy)]
        types = {type_ for policy, _ in bound for type_ in policy.programs}
        self._programs = {
            type_: tuple(
                BoundProgram(policy.programs[type_], binding, _overrides(policy, binding))
                for policy, binding in bound
                if type_ in policy.programs
            )
            for type_ in types
        }
        self._uses = {
            type_: frozenset[UsedPath]().union(*(uses for each in programs for uses in each.uses))
            for type_, programs in self._programs.items()
        }
        self._aggregates = {
            type_: _named(each.program.policy for each in programs) for type_, programs in self._programs.items()
        }

    def _bindings_of(self, policy: Policy) -> Sequence[Binding | None]:
        """The bindings under which a policy judges; those that are off do not count."""
        if self.bindings is None:
            return (None,)
        bound = self.bindings.by_policy.get(policy.ref.name, ())
        return [binding for binding in bound if binding.mode is not BindingMode.OFF]

    @cached_property
    def refs(self) -> tuple[PolicyRef, ...]:
        """Name, version and digest of each policy, of each file that belongs to them, and of each list in the store."""
        return self.of_files + self.stored

    @cached_property
    def of_files(self) -> tuple[PolicyRef, ...]:
        """The part of `refs` that is in files."""
        own = tuple(policy.ref for policy in self.policies)
        bindings = (self.bindings.ref,) if self.bindings else ()
        return own + bindings + tuple(source.ref for source in self.sources if source.ref not in own + bindings)

    @cached_property
    def digest(self) -> str:
        """The SHA-256 over the names and digests of all files: what people sign.

        Lists in the store are not part of it: an urgent addition must not wait for signatures. `refs` names them.
        """
        lines = sorted(f"{ref.name} {ref.digest}\n" for ref in self.of_files)
        return hashlib.sha256("".join(lines).encode()).hexdigest()

    @cached_property
    def capped(self) -> Mapping[str, Binding]:
        """The bindings with caps, by id."""
        return {each.id: each for each in self.bindings or () if each.written.caps is not None}

    def is_exempt(self, binding: str, policy: str, rule: str) -> bool:
        """Tell whether a rule cannot match without a finding that a binding's caps do not count."""
        found = self.rule(policy, rule)
        caps = self.capped[binding].written.caps
        if found is None or caps is None or not caps.exempt:
            return False
        needed = codes_needed(parse(found.condition))
        return bool(needed) and needed <= frozenset(caps.exempt) if needed is not None else False

    @property
    def rules(self) -> tuple[Rule, ...]:
        """All rules, by policy name and then in the order of the file."""
        return tuple(rule for policy in self.policies for rule in policy.rules)

    @property
    def aggregates(self) -> Mapping[str, Aggregate]:
        """All aggregates, as `policy.name`."""
        return _named(self.policies)

    def aggregates_for(self, event_type: str) -> Mapping[str, Aggregate]:
        """The aggregates, as `policy.name`, of the policies that judge this event type."""
        return self._aggregates.get(event_type, _NOTHING)

    def programs_for(self, event_type: str) -> tuple[BoundProgram, ...]:
        """What has to be evaluated for this event type, by policy name and then in the order of the bindings."""
        return self._programs.get(event_type, ())

    def uses_for(self, event_type: str) -> frozenset[UsedPath]:
        """The paths of the event and its findings that judging this event type reads."""
        return self._uses.get(event_type, frozenset())

    def policy(self, name: str) -> Policy | None:
        """The policy of this name, if there is one."""
        return next((policy for policy in self.policies if policy.ref.name == name), None)

    def rule(self, policy: str, rule: str) -> Rule | None:
        """The rule of this policy and id, if there is one."""
        found = self.policy(policy)
        return next((each for each in found.rules if each.id == rule), None) if found else None


_NOTHING: Mapping[str, Aggregate] = MappingProxyType({})


def _named(policies: Iterable[Policy]) -> Mapping[str, Aggregate]:
    return MappingProxyType(
        {f"{policy.ref.name}.{name}": each for policy in policies for name, each in policy.aggregates.items()}
    )


def _overrides(policy: Policy, binding: Binding | None) -> Mapping[str, Any]:
    return policy.language.values_of(binding.written.params) if binding else {}


def _refuse_same_names(policies: Sequence[Policy]) -> None:
    counts = Counter(policy.ref.name for policy in policies)
    for policy in reversed(policies):
        if counts[policy.ref.name] > 1:
            raise PolicyError(f"there are two policies named `{policy.ref.name}`", position=Position(policy.file))
