"""Which conditions kept a rule from matching, for the message of a test that failed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from paycordon.aggregates import Number
from paycordon.events import Event
from paycordon.policy.cases.model import Case
from paycordon.policy.evaluate import own_variables
from paycordon.policy.explain.parts import Form
from paycordon.policy.explain.trace import Traced, trace
from paycordon.policy.explain.values import Engine
from paycordon.policy.schema import bind


def why_not(case: Case, event: Event, numbers: Mapping[str, Number], rule_id: str) -> Iterator[str]:
    """Say what of a rule was not as it had to be; nothing for what is not a rule on this event."""
    for bound in case.policies.programs_for(event.type):
        policy = bound.program.policy
        rule = next((each for each in bound.program.rules if each.id == rule_id), None)
        if rule is None:
            continue
        variables = {**bind(event, case.findings), **own_variables(bound, numbers)}
        engine = Engine(policy.language, variables, {f"variables.{n}": s for n, s in policy.variables.items()})
        for source, wanted in ((rule.when, True), (rule.where, True), (rule.unless, False)):
            if source is not None:
                yield from (f"{rule_id}: {line}" for line in _blocking(trace(source, engine), wanted=wanted))


def _blocking(traced: Traced, *, wanted: bool) -> Iterator[str]:
    if traced.answer is wanted:
        return
    if traced.form is Form.NOT:
        yield from _blocking(traced.inside[0], wanted=not wanted)
    elif traced.form in (Form.ALL, Form.ANY, Form.VARIABLE) or (traced.form is Form.LOOP and len(traced.inside) == 1):
        for each in traced.inside:
            yield from _blocking(each, wanted=wanted)
    else:
        values = "; ".join(f"{each.text} = {each.words}" for each in traced.shown)
        was = "has no answer" if not isinstance(traced.answer, bool) else f"is {str(traced.answer).lower()}"
        yield f"`{traced.text}` {was}" + (f": {values}" if values else "")
