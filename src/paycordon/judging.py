"""What judges: policies and checks together, as one value that is never changed; and how long it may take.

A running engine takes a new one by a single assignment, so that every screening is under one policy set from start to
end, whatever is reloaded meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cached_property
from typing import Self

from paycordon.aggregates import Aggregate
from paycordon.context import Context
from paycordon.decisions import CheckError, Evaluation, Finding, Outcome
from paycordon.events import SCREENED_STAGES as SCREENED_STAGES
from paycordon.events import Event
from paycordon.isolation import CheckCall
from paycordon.plugins import Plugins
from paycordon.policy import PolicySet, evaluate
from paycordon.policy.guarded import coalition_rules, guarded_rules
from paycordon.policy.limiter import Usage, capped_bindings, limited
from paycordon.policy.snoozing import silenced
from paycordon.sections import Screening

_MAX_PLANS = 1_000

UsageOf = Callable[[Sequence[str]], Mapping[str, Usage]]
"""Says what capped bindings, given by their ids, did within the last hour."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What the caller's patience is, and what it gets when that runs out.

    Attributes:
        budget: within this time the caller has an outcome.
        check_deadline: how long one check may take.
        when_unavailable: the outcome when the store cannot be used; nothing is recorded then.
        store_patience: within this time it is noticed that the store is dead, as against busy.
    """

    budget: timedelta = timedelta(milliseconds=200)
    check_deadline: timedelta = timedelta(milliseconds=50)
    when_unavailable: Outcome = Outcome.HOLD
    store_patience: timedelta = timedelta(milliseconds=40)

    @classmethod
    def of(cls, section: Screening) -> Self:
        """Return the limits that a configuration states."""
        return cls(
            timedelta(milliseconds=section.budget_ms),
            timedelta(milliseconds=section.check_deadline_ms),
            section.when_unavailable,
            timedelta(milliseconds=section.store_patience_ms),
        )


@dataclass(frozen=True, slots=True)
class Plan:
    """What screening events of one type takes; the same for every such event.

    Attributes:
        calls: the checks that look at it.
        aggregates: what has to be computed, by name, for the checks and for the policies.
        of_check: by check id, its own names of aggregates and those in `aggregates`.
        of_policies: the names of those that policies use.
    """

    calls: Sequence[CheckCall]
    aggregates: Mapping[str, Aggregate]
    of_check: Mapping[str, Mapping[str, str]]
    of_policies: Sequence[str]

    def contexts(self, known: Context, numbers: Mapping[str, int | float | None]) -> dict[str, Context]:
        """Return the context of each check: what is known, with the aggregates that it asked for."""
        return {
            id_: replace(known, aggregates={name: numbers[key] for name, key in names.items()}) if names else known
            for id_, names in self.of_check.items()
        }


class Judge:
    """A policy set and the installed checks."""

    def __init__(self, policies: PolicySet, plugins: Plugins) -> None:
        self.policies = policies
        self._plugins = plugins
        self._plans: dict[str, Plan] = {}

    @cached_property
    def guarded(self) -> frozenset[str]:
        """The rules that only two people silence."""
        return guarded_rules(self.policies)

    @cached_property
    def coalition(self) -> frozenset[str]:
        """The rules and typologies that the release of a hold does not silence."""
        return coalition_rules(self.policies)

    def plan(self, event: Event) -> Plan:
        """Say what screening an event takes."""
        plan = self._plans.get(event.type)
        if plan is None:
            plan = self._made(event)
            if len(self._plans) < _MAX_PLANS:  # event types are open: an endless variety must not fill the memory
                self._plans[event.type] = plan
        return plan

    def _made(self, event: Event) -> Plan:
        calls = self._plugins.calls(event.stage)
        of_check = {
            call.check.id: {name: f"{call.check.id}/{name}" for name in call.check.aggregates()} for call in calls
        }
        wanted = {
            f"{call.check.id}/{name}": definition
            for call in calls
            for name, definition in call.check.aggregates().items()
        }
        of_policies = self.policies.aggregates_for(event.type)
        return Plan(calls, {**wanted, **of_policies}, of_check, tuple(of_policies))

    def evaluate(
        self,
        event: Event,
        known: Context,
        findings: Sequence[Finding],
        errors: Sequence[CheckError],
        numbers: Mapping[str, int | float | None],
        usage_of: UsageOf,
    ) -> Evaluation:
        """Let the policies judge; what people have silenced counts as `allow`, and caps limit the rest.

        Args:
            event: what is judged.
            known: what is known of its merchant.
            findings: what the checks concluded.
            errors: checks without a conclusion.
            numbers: the aggregates of its plan.
            usage_of: asked only when a binding with caps would stop something.
        """
        # What has happened already cannot be stopped any more, whatever is in force.
        standing = known.standing if event.stage in SCREENED_STAGES else Outcome.ALLOW
        own = {name: numbers[name] for name in self.plan(event).of_policies}
        judged = evaluate(
            self.policies, event, findings, own, check_errors=errors, standing=standing, merchant=known.merchant
        )
        if known.snoozes:
            judged = silenced(self.policies, judged, known.snoozes, self.guarded, self.coalition)
        capped = self.capped(judged.bindings, standing)
        if not capped or not judged.outcome.stops:
            return judged
        return limited(self.policies, judged, usage_of(capped))

    def capped(self, applied: Iterable[str], standing: Outcome) -> list[str]:
        """Return the ids of the bindings whose caps count a decision: none once its merchant is held anyway."""
        return [] if standing.stops else [binding.id for binding in capped_bindings(self.policies, applied)]
