"""What a decision would be if what stops it had not been found: recorded for everybody under a keep-open request.

It has to be what the same policies would say of the same event, so that judging it again by hand shows nothing: what
the coalition knows is taken away, then whatever else the rules that still stop need, and the rest is judged anew. Only
what an event says by itself cannot be taken away; rules that stop for that alone are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from paycordon.decisions import CheckError, Decision, Evaluation, Finding, Outcome, RuleMatch
from paycordon.policy.evaluate import STANDING_HOLD
from paycordon.policy.guarded import COALITION_CODES
from paycordon.store.uses import NEAR_BLOCKED, SHARED_WITH_BLOCKED

HIDDEN_CODES = COALITION_CODES | {SHARED_WITH_BLOCKED, NEAR_BLOCKED}
"""Findings that nobody sees under a keep-open request, whether they stop anything or not: some without others tell."""

JudgedAgain = Callable[[Sequence[Finding], Sequence[CheckError]], Evaluation]


def unremarkable(real: Decision, again: JudgedAgain) -> Decision:
    """Return the decision as it would be without what stops it; the same object if there is nothing to hide.

    Args:
        real: what was decided.
        again: judges the same event with other findings and failures of checks.
    """
    findings = tuple(each for each in real.findings if each.code not in HIDDEN_CODES)
    errors = real.errors
    judged = _evaluation(real) if findings == real.findings else again(findings, errors)
    for code in sorted({each.code for each in findings}):
        if not _stopping(judged):
            break
        fewer = tuple(each for each in findings if each.code != code)
        without = again(fewer, errors)
        if len(_stopping(without)) < len(_stopping(judged)):
            findings, judged = fewer, without
    if _stopping(judged) and errors:
        errors, judged = (), again(findings, ())
    if findings == real.findings and errors == real.errors and not _stopping(judged):
        return real
    matches = tuple(match for match in judged.matches if match not in _stopping(judged))
    outcome = Outcome.most_severe(*(match.outcome for match in matches))
    reasons = (match.merchant_reason for match in matches if match.outcome is outcome and match.merchant_reason)
    return real.model_copy(
        update={
            "outcome": outcome,
            "merchant_reason": next(reasons, ""),
            "matches": matches,
            "findings": findings,
            "errors": errors,
            "rule_errors": judged.errors,
            "scores": judged.scores,
            "shadow": judged.shadow,
            "caps": judged.caps,
            "bindings": judged.bindings,
        }
    )


def _stopping(judged: Evaluation) -> tuple[RuleMatch, ...]:
    """Return what stops by itself; that a merchant is held anyway is no secret."""
    return tuple(match for match in judged.matches if match.outcome.stops and match.rule != STANDING_HOLD)


def _evaluation(decision: Decision) -> Evaluation:
    return Evaluation(
        outcome=decision.outcome,
        matches=decision.matches,
        errors=decision.rule_errors,
        scores=decision.scores,
        shadow=decision.shadow,
        caps=decision.caps,
        bindings=decision.bindings,
    )
