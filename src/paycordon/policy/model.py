"""A policy that was loaded: checked, compiled, shared between threads and never changed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import MappingProxyType

from paycordon.aggregates import Aggregate
from paycordon.decisions import Outcome, PolicyRef
from paycordon.errors import PolicyError, Position
from paycordon.policy.cel import Conditions, Language

STANDING_POLICY = "paycordon"
"""The policy name under which the engine reports holds that are in force; no file may take it."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule of a loaded policy; `position` is that of its id."""

    policy: str
    id: str
    on: frozenset[str]
    when: str
    then: Outcome
    merchant_reason: str
    internal_reason: str
    references: tuple[str, ...]
    position: Position


@dataclass(frozen=True, slots=True)
class Program:
    """The rules of one policy on one event type, compiled to be evaluated together."""

    policy: Policy
    rules: tuple[Rule, ...]
    conditions: Conditions


@dataclass(frozen=True)
class Policy:
    """A loaded policy.

    Attributes:
        ref: name, version and the SHA-256 of the file's bytes.
        on_error: what a failed check or an expression without an answer means.
        aggregates: by their names in the file.
        rules: in the order of the file.
    """

    ref: PolicyRef
    file: Path | str
    on_error: Outcome
    aggregates: Mapping[str, Aggregate]
    rules: tuple[Rule, ...]
    language: Language = field(repr=False, compare=False)

    @cached_property
    def programs(self) -> Mapping[str, Program]:
        """The rules by event type."""
        types = sorted({type_ for rule in self.rules for type_ in rule.on})
        return MappingProxyType({type_: self._program(type_) for type_ in types})

    def _program(self, event_type: str) -> Program:
        rules = tuple(rule for rule in self.rules if event_type in rule.on)
        return Program(self, rules, self.language.conditions([rule.when for rule in rules]))


class PolicySet:
    """All policies of a deployment, in the order of their names; safe to share between threads.

    Raises:
        PolicyError: two policies have one name.
    """

    def __init__(self, policies: Iterable[Policy] = ()) -> None:
        self.policies = tuple(sorted(policies, key=lambda policy: policy.ref.name))
        counts = Counter(policy.ref.name for policy in self.policies)
        for policy in reversed(self.policies):
            if counts[policy.ref.name] > 1:
                raise PolicyError(f"there are two policies named `{policy.ref.name}`", position=Position(policy.file))
        self._programs = {
            type_: tuple(policy.programs[type_] for policy in self.policies if type_ in policy.programs)
            for type_ in {type_ for policy in self.policies for type_ in policy.programs}
        }
        self._aggregates = {
            type_: _named(program.policy for program in programs) for type_, programs in self._programs.items()
        }

    @property
    def refs(self) -> tuple[PolicyRef, ...]:
        """Name, version and digest of each policy."""
        return tuple(policy.ref for policy in self.policies)

    @property
    def rules(self) -> tuple[Rule, ...]:
        """All rules, by policy name and then in the order of the file."""
        return tuple(rule for policy in self.policies for rule in policy.rules)

    @property
    def aggregates(self) -> Mapping[str, Aggregate]:
        """All aggregates, as `policy.name`."""
        return _named(self.policies)

    def aggregates_for(self, event_type: str) -> Mapping[str, Aggregate]:
        """The aggregates, as `policy.name`, of the policies that have a rule on this event type."""
        return self._aggregates.get(event_type, _NOTHING)

    def programs_for(self, event_type: str) -> tuple[Program, ...]:
        """What has to be evaluated for this event type, by policy name."""
        return self._programs.get(event_type, ())


_NOTHING: Mapping[str, Aggregate] = MappingProxyType({})


def _named(policies: Iterable[Policy]) -> Mapping[str, Aggregate]:
    return MappingProxyType(
        {f"{policy.ref.name}.{name}": each for policy in policies for name, each in policy.aggregates.items()}
    )
