"""An explanation as a readable tree of lines. Internal: thresholds and sources stand in it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from paycordon.decisions import Finding, Outcome
from paycordon.policy.bindings import BindingMode
from paycordon.policy.cel import Unclear
from paycordon.policy.explain.model import Counterfactual, Explanation, PolicyTrace, RuleTrace
from paycordon.policy.explain.parts import Form
from paycordon.policy.explain.trace import Traced

TRUE, FALSE, NONE = "✓", "✗", "?"
_JOINED = {Form.ALL: "all of", Form.ANY: "any of", Form.NOT: "not", Form.CHOICE: "if, then, else"}


@dataclass(frozen=True, slots=True)
class Line:
    """A line of an explanation: how deep it stands, its text, and what it is about, for colours."""

    depth: int
    text: str
    kind: str = ""


def lines_of(explanation: Explanation, *, every: bool = False) -> Iterator[Line]:
    """Write an explanation out.

    Args:
        explanation: what is written.
        every: also rules that did not match and had an answer, in full.
    """
    event, decision = explanation.event, explanation.decision
    what = f"decision {decision.id}" if decision else "tried out, nothing recorded"
    yield Line(0, f"{event.type} {event.id} at {event.instance}: {explanation.outcome}", explanation.outcome)
    yield Line(1, f"{what}; merchant {explanation.merchant}")
    yield from _differs(explanation)
    yield from _outcome(explanation)
    yield from _evidence(explanation)
    for policy in explanation.policies:
        yield from _policy(policy, every=every)
    yield from _counterfactuals("a milder outcome", explanation.lower, explanation.outcome is Outcome.ALLOW)
    yield from _counterfactuals("a more severe outcome", explanation.higher, explanation.outcome is Outcome.BLOCK)


def _differs(explanation: Explanation) -> Iterator[Line]:
    for ref in explanation.gone:
        text = f"the text of `{ref.name}` version {ref.version} ({ref.digest[:12]}) that judged is gone"
        yield Line(1, f"{text}; the current one is shown instead", "warning")
    if not explanation.agrees:
        yield Line(1, "what was recorded does not come out again with the texts below", "warning")


def _outcome(explanation: Explanation) -> Iterator[Line]:
    shown = explanation.decision or explanation.evaluation
    for match in shown.matches:
        lowered = f", lowered by a cap from {match.limited}" if match.limited else ""
        under = f" under {match.binding}" if match.binding else ""
        yield Line(
            1, f"{match.policy}/{match.rule} → {match.outcome}{lowered}{under}  {match.internal_reason}".rstrip()
        )
    for score in shown.scores:
        yield Line(1, f"score {score.policy}/{score.typology}: {score.points} points from {', '.join(score.rules)}")
    for cap in shown.caps:
        text = f"cap of {cap.binding} reached: {cap.used} of {cap.screened} within the hour, limit {cap.limit:g}"
        yield Line(1, text, "warning")
    if shown.shadow is not None:
        own = {(each.policy, each.rule) for each in shown.matches}
        more = [f"{m.policy}/{m.rule} → {m.outcome}" for m in shown.shadow.matches if (m.policy, m.rule) not in own]
        also = f": also {', '.join(more)}" if more else ""
        yield Line(1, f"with what runs in shadow: {shown.shadow.outcome}{also}")


def _evidence(explanation: Explanation) -> Iterator[Line]:
    if explanation.findings:
        yield Line(0, "evidence", "title")
    for finding in explanation.findings:
        yield Line(1, _finding(finding))
    for error in explanation.check_errors:
        yield Line(1, f"check {error.check} has no conclusion: {error.kind} {error.detail}".rstrip(), "warning")


def _finding(finding: Finding) -> str:
    evidence = dict(finding.evidence)
    behind = ""
    if "source" in evidence and "reference" in evidence:  # an indicator stands behind it
        source, reference = evidence.pop("source"), evidence.pop("reference")
        behind = f" behind it: indicator {reference} of {source}, confidence {finding.confidence:.2f};"
    values = ", ".join(f"{name}={value}" for name, value in evidence.items())
    return f"{finding.code} {finding.confidence:.2f} by {finding.check}:{behind} {values}".rstrip(" :;")


def _policy(policy: PolicyTrace, *, every: bool) -> Iterator[Line]:
    under = f" under {policy.binding}" if policy.binding else ""
    mode = f" ({policy.mode})" if policy.mode is not BindingMode.ENFORCE else ""
    digest = policy.ref.digest[:12]
    yield Line(0, f"policy {policy.ref.name} version {policy.ref.version} {digest}{under}{mode}", "title")
    if policy.skipped:
        yield Line(1, f"not considered: {policy.skipped}", "dim")
        return
    if policy.unclear:
        yield Line(1, f"it is not known whether the binding applies: {policy.unclear}", "warning")
    for title, named in (("param", policy.params), ("variable", policy.variables), ("aggregate", policy.aggregates)):
        for each in named:
            note = f"  ({each.note})" if each.note else ""
            yield Line(1, f"{title} {each.name} = {each.value}{note}", "dim")
    for rule in policy.rules:
        yield from _rule(rule, every=every)


def _rule(traced: RuleTrace, *, every: bool) -> Iterator[Line]:
    rule = traced.rule
    does = [str(rule.then)] if rule.then else []
    does += [f"{points:+d} {name}" for name, points in rule.adds.items()]
    mode = f" ({traced.mode})" if traced.mode is BindingMode.SHADOW else ""
    place = f"{traced.position.file}:{traced.position.line}"
    text = f"{rule.id} → {', '.join(does)}{mode}  {place}"
    if traced.skipped:
        yield Line(1, f"- {text}  not considered: {traced.skipped}", "dim")
        return
    yield Line(1, f"{_mark(traced.answer)} {text}", _kind(traced.answer))
    if isinstance(traced.answer, Unclear):
        yield Line(2, f"no answer: {traced.answer.detail}", "none")
    if rule.references and traced.answer is True:
        yield Line(2, f"references: {'; '.join(rule.references)}", "dim")
    for key, each in traced.expressions.items():
        yield Line(2, key, "dim")
        yield from _tree(each, 3, within_loop=False, every=every or traced.answer is not False)


def _tree(traced: Traced, depth: int, *, within_loop: bool, every: bool) -> Iterator[Line]:
    """A part and what is inside it; of a rule that did not match, only what kept it from that."""
    item = f"[{traced.item}] " if within_loop and traced.item else ""
    label = _JOINED.get(traced.form, traced.text)
    values = "; ".join(f"{each.text} = {each.words}" for each in traced.shown)
    why = f"  ({traced.answer.detail})" if isinstance(traced.answer, Unclear) and not traced.inside else ""
    yield Line(
        depth, f"{_mark(traced.answer)} {item}{label}{why}" + (f"   {values}" if values else ""), _kind(traced.answer)
    )
    for each in traced.inside:
        if every or each.answer is not True or traced.form is not Form.ALL:
            yield from _tree(each, depth + 1, within_loop=traced.form is Form.LOOP, every=every)
    if traced.left_out:
        yield Line(depth + 1, f"… and {traced.left_out} more", "dim")


def _mark(answer: bool | Unclear) -> str:
    return NONE if isinstance(answer, Unclear) else TRUE if answer else FALSE


def _kind(answer: bool | Unclear) -> str:
    return "none" if isinstance(answer, Unclear) else "true" if answer else "false"


def _counterfactuals(title: str, found: Iterable[Counterfactual], at_the_end: bool) -> Iterator[Line]:
    listed = list(found)
    if at_the_end:
        return
    yield Line(0, f"what would have had to differ for {title}", "title")
    if not listed:
        yield Line(1, "nothing was found within the bounds of the search", "dim")
    for each in listed:
        changes = "  and  ".join(f"{c.what}: {c.now} → {c.needed}" for c in each.changes)
        yield Line(1, f"{each.outcome} if  {changes}", each.outcome)
