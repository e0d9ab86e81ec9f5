"""An explanation as JSON-like values, for programs of the risk team. Internal, as all of an explanation is."""

from __future__ import annotations

from typing import Any

from paycordon.policy.cel import Unclear
from paycordon.policy.explain.model import Counterfactual, Explanation, Named, PolicyTrace, RuleTrace
from paycordon.policy.explain.trace import Traced


def document_of(explanation: Explanation) -> dict[str, Any]:
    """Write an explanation out; texts are those of `text.lines_of`."""
    decision = explanation.decision
    return {
        "event": {
            "id": explanation.event.id,
            "type": str(explanation.event.type),
            "instance": explanation.event.instance,
        },
        "merchant": explanation.merchant,
        "decision": decision.id if decision else None,
        "outcome": explanation.outcome.value,
        "agrees": explanation.agrees,
        "standing": explanation.standing.value,
        "evaluation": explanation.evaluation.model_dump(mode="json"),
        "caps": [cap.model_dump(mode="json") for cap in decision.caps] if decision else [],
        "findings": [finding.model_dump(mode="json") for finding in explanation.findings],
        "check_errors": [error.model_dump(mode="json") for error in explanation.check_errors],
        "gone": [ref.model_dump(mode="json") for ref in explanation.gone],
        "policies": [_policy(policy) for policy in explanation.policies],
        "lower": [_counterfactual(each) for each in explanation.lower],
        "higher": [_counterfactual(each) for each in explanation.higher],
    }


def _policy(policy: PolicyTrace) -> dict[str, Any]:
    return {
        "policy": policy.ref.name,
        "version": policy.ref.version,
        "digest": policy.ref.digest,
        "file": policy.file,
        "binding": policy.binding,
        "mode": policy.mode.value,
        "skipped": policy.skipped or None,
        "unclear": policy.unclear or None,
        "on_error": policy.on_error.value,
        "params": [_named(each) for each in policy.params],
        "variables": [_named(each) for each in policy.variables],
        "aggregates": [_named(each) for each in policy.aggregates],
        "rules": [_rule(each) for each in policy.rules],
    }


def _named(named: Named) -> dict[str, str]:
    return {"name": named.name, "value": named.value} | ({"note": named.note} if named.note else {})


def _rule(traced: RuleTrace) -> dict[str, Any]:
    rule, place = traced.rule, traced.position
    return {
        "rule": rule.id,
        "line": place.line,
        "column": place.column,
        "mode": traced.mode.value,
        "skipped": traced.skipped or None,
        "answer": _answer(traced.answer),
        "detail": _detail(traced.answer),
        "then": rule.then.value if rule.then else None,
        "adds": dict(rule.adds),
        "internal_reason": rule.internal_reason,
        "references": list(rule.references),
        "expressions": {key: _traced(each) for key, each in traced.expressions.items()},
    }


def _traced(traced: Traced) -> dict[str, Any]:
    found: dict[str, Any] = {
        "form": traced.form.value,
        "text": traced.text,
        "start": traced.node.start,
        "end": traced.node.end,
        "answer": _answer(traced.answer),
    }
    if (detail := _detail(traced.answer)) is not None:
        found["detail"] = detail
    if traced.item:
        found["item"] = traced.item
    if traced.shown:
        found["values"] = {each.text: each.words for each in traced.shown}
    if traced.left_out:
        found["left_out"] = traced.left_out
    if traced.inside:
        found["inside"] = [_traced(each) for each in traced.inside]
    return found


def _answer(answer: bool | Unclear) -> bool | None:
    return answer if isinstance(answer, bool) else None


def _detail(answer: bool | Unclear) -> str | None:
    return None if isinstance(answer, bool) else answer.detail


def _counterfactual(found: Counterfactual) -> dict[str, Any]:
    return {
        "outcome": found.outcome.value,
        "changes": [{"what": each.what, "now": each.now, "needed": each.needed} for each in found.changes],
    }
