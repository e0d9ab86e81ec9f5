"""A test that was loaded: complete, checked against its policy, ready to be judged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from paycordon.aggregates import Aggregate, Number
from paycordon.decisions import CheckError, Evaluation, Finding, Outcome
from paycordon.documents import Document
from paycordon.errors import Position
from paycordon.events import Event
from paycordon.policy.cases.document import ExpectDocument
from paycordon.policy.model import Policy, PolicySet


class Past(Protocol):
    """Computes what a deployment would know; given from outside, for a policy is judged without a database."""

    def conceal(self, event: Event) -> Event:
        """Return the event with digests in place of all plain identifier values."""

    def aggregates(self, event: Event, history: Sequence[Event], wanted: Mapping[str, Aggregate]) -> dict[str, Number]:
        """Compute aggregates for an event after the others were recorded, in their order."""


@dataclass(frozen=True, slots=True)
class Case:
    """A test.

    Attributes:
        name: unique in its file; that of a near miss begins with the name of its case.
        position: where it is written.
        expected_at: where its expectation is written.
        policies: the one policy under test, under the case's binding.
        event: complete; its identifiers may be plain.
        history: what was recorded before, in this order.
        aggregates: values that are stated, as `policy.name`; all others are computed from `history`.
    """

    name: str
    position: Position
    expected_at: Position
    policies: PolicySet
    event: Event
    findings: tuple[Finding, ...]
    check_errors: tuple[CheckError, ...]
    history: tuple[Event, ...]
    aggregates: Mapping[str, Number]
    merchant: str | None
    standing: Outcome
    expect: ExpectDocument


@dataclass(frozen=True, slots=True)
class CaseFile:
    """The tests of one file, and the policy that they are about, loaded and as the document that it was read from."""

    path: Path
    policy: Policy
    document: Document
    cases: tuple[Case, ...]


@dataclass(frozen=True, slots=True)
class Difference:
    """What was expected and what came out; `why` says what the engine knows about it."""

    what: str
    expected: str
    got: str
    why: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CaseResult:
    """What became of a test; it passed if there are no differences."""

    case: Case
    numbers: Mapping[str, Number]
    evaluation: Evaluation
    differences: tuple[Difference, ...]

    @property
    def passed(self) -> bool:
        """Whether everything came out as expected."""
        return not self.differences
