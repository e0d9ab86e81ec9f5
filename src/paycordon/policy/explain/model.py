"""What an explanation holds. Internal: it names evidence, sources and thresholds, and none of that may go outwards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from paycordon.decisions import CheckError, Decision, Evaluation, Finding, Outcome, PolicyRef
from paycordon.errors import Position
from paycordon.events import Event
from paycordon.policy.bindings import BindingMode
from paycordon.policy.cel import Unclear
from paycordon.policy.explain.trace import Traced
from paycordon.policy.model import Rule


@dataclass(frozen=True, slots=True)
class RuleTrace:
    """One rule under one binding.

    Attributes:
        rule: the rule.
        position: where its id stands.
        mode: how hard it applies here.
        skipped: why it was not considered; empty if it was.
        answer: whether it matched, or why there is no answer; false if it was not considered.
        expressions: by `when`, `where` and `unless`, what was written taken apart.
    """

    rule: Rule
    position: Position
    mode: BindingMode
    skipped: str = ""
    answer: bool | Unclear = False
    expressions: Mapping[str, Traced] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """`policy/rule`, as in decisions."""
        return f"{self.rule.policy}/{self.rule.id}"


@dataclass(frozen=True, slots=True)
class Named:
    """A parameter, variable or aggregate and its value in words; `note` says where it comes from."""

    name: str
    value: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class PolicyTrace:
    """One policy under one binding, or under none.

    Attributes:
        skipped: why it was not considered; empty if it was.
        unclear: why it is not known whether the binding applies; then the policy's `on_error` counts.
    """

    ref: PolicyRef
    file: str
    on_error: Outcome
    binding: str | None
    mode: BindingMode
    skipped: str = ""
    unclear: str = ""
    params: tuple[Named, ...] = ()
    variables: tuple[Named, ...] = ()
    aggregates: tuple[Named, ...] = ()
    rules: tuple[RuleTrace, ...] = ()


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that would have had to differ."""

    what: str
    now: str
    needed: str


@dataclass(frozen=True, slots=True)
class Counterfactual:
    """A smallest set of changes, and the outcome that the rules then have."""

    outcome: Outcome
    changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why an event was decided as it was.

    Attributes:
        decision: the decision that is explained; none if the event was only tried.
        evaluation: what the rules say, computed again from the recorded inputs.
        gone: policies and files that judged then, but whose text is no longer known.
        lower: what would have had to differ for a milder outcome.
        higher: what would have had to differ for a more severe one.
    """

    event: Event
    merchant: str
    findings: tuple[Finding, ...]
    check_errors: tuple[CheckError, ...]
    standing: Outcome
    evaluation: Evaluation
    policies: tuple[PolicyTrace, ...]
    decision: Decision | None = None
    gone: tuple[PolicyRef, ...] = ()
    lower: tuple[Counterfactual, ...] = ()
    higher: tuple[Counterfactual, ...] = ()

    @property
    def outcome(self) -> Outcome:
        """What was decided: as recorded, or else as it comes out now."""
        return self.decision.outcome if self.decision else self.evaluation.outcome

    @property
    def agrees(self) -> bool:
        """Whether what was recorded comes out again."""
        recorded = self.decision
        if recorded is None:
            return True
        before = {(each.policy, each.rule, each.limited or each.outcome) for each in recorded.matches}
        return before == {(each.policy, each.rule, each.outcome) for each in self.evaluation.matches}
