"""Judge a recorded decision again, without what was withdrawn: pure, from what was recorded and what is known now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from paycordon.coalition.confidence import effective_confidence
from paycordon.decisions import Decision, Finding, RuleMatch
from paycordon.events import Event
from paycordon.policy import PolicySet, evaluate
from paycordon.policy.evaluate import ON_ERROR
from paycordon.store.holds import Hold
from paycordon.store.indicators import Indicator
from paycordon.store.rejudging import Known
from paycordon.store.uses import NEAR_BLOCKED, SHARED_WITH_BLOCKED, named_in, shared_in
from paycordon.store.withdrawals import Verdict

COALITION_CHECK = "indicator_match"
# How the deployment weighed an indicator stays as it was then; an indicator is judged by what its source says now.
_WEIGHTS = {"trust": 100, "refuted": 0}


@dataclass(frozen=True, slots=True)
class OfHold:
    """The verdict on one hold, and the rule that it rests on now, if one does."""

    hold: str
    verdict: Verdict
    rule: str | None = None


@dataclass(frozen=True, slots=True)
class Rejudged:
    """What is left of a decision: the matches that stop something, and whether all rules could be judged."""

    matches: tuple[RuleMatch, ...]
    clear: bool


def findings_now(decision: Decision, known: Known) -> list[Finding]:
    """Return a decision's findings as its checks would find them with what is known now.

    Findings on an indicator that was withdrawn, or that was not valid then, are gone; those on one that was corrected
    have its confidence and status.
    """
    return [now for each in decision.findings if (now := _finding_now(each, decision, known)) is not None]


def _finding_now(finding: Finding, decision: Decision, known: Known) -> Finding | None:
    if finding.code in (SHARED_WITH_BLOCKED, NEAR_BLOCKED):
        blocked = {merchant for digest in shared_in(finding) for merchant in known.blocked.get(digest, ())}
        return finding if blocked - {decision.merchant} else None
    key = named_in(finding)
    if key is None:
        return finding
    indicator = known.indicators.get(key)
    if indicator is None or not _valid(indicator, decision.decided_at):
        return None
    if finding.check != COALITION_CHECK:
        return finding  # how sure another check is of it, only that check can say
    said = {"status": indicator.status}
    if "stated" in finding.evidence:
        said_then = {name: int(finding.evidence.get(name, default) or 0) for name, default in _WEIGHTS.items()}
        confidence = effective_confidence(
            indicator.confidence,
            half_life_days=indicator.half_life_days,
            fresh_at=indicator.last_seen or indicator.changed_at,
            now=decision.decided_at,
            **said_then,
        )
        evidence = {**finding.evidence, **said, "stated": indicator.confidence}
    else:  # of the first versions, which weighed nothing
        confidence, evidence = indicator.confidence, {**finding.evidence, **said}
    return finding.model_copy(update={"confidence": confidence / 100, "evidence": evidence})


def _valid(indicator: Indicator, at: datetime) -> bool:
    begun = indicator.valid_from is None or indicator.valid_from <= at
    return begun and (indicator.valid_until is None or indicator.valid_until > at)


def judge(policies: PolicySet, event: Event, decision: Decision, known: Known) -> Rejudged:
    """Let the policies that are in force now judge a recorded event, with what is left of its findings.

    Aggregates are those that were recorded. A policy that needs others cannot be judged, and a person has to look.
    """
    wanted = policies.aggregates_for(event.type)
    recorded = {name: decision.aggregates[name] for name in wanted if name in decision.aggregates}
    judged = evaluate(
        policies,
        event,
        findings_now(decision, known),
        recorded,
        check_errors=decision.errors,
        merchant=decision.merchant,
    )
    withdrawn = {policy.ref.name for policy in policies.policies if policy.ref.digest in known.withdrawn_policies}
    matches = tuple(match for match in judged.matches if match.outcome.stops and match.policy not in withdrawn)
    uncertain = any(match.rule == ON_ERROR for match in matches) and not decision.errors
    return Rejudged(matches, clear=recorded.keys() == wanted.keys() and not judged.errors and not uncertain)


def verdicts(holds: Sequence[Hold], rejudged: Rejudged) -> list[OfHold]:
    """Say of each hold of a decision whether a rule still asks for it: its own, or else the most severe one."""
    return [_verdict(hold, rejudged) for hold in holds]


def _verdict(hold: Hold, rejudged: Rejudged) -> OfHold:
    by_severity = sorted(rejudged.matches, key=lambda match: -match.outcome.rank)
    own = [match for match in by_severity if _name(match) == hold.rule and match.outcome.rank >= hold.outcome.rank]
    best = next(iter([*own, *by_severity]), None)
    if best is not None and best.outcome.rank >= hold.outcome.rank:
        return OfHold(hold.id, Verdict.SUPPORTED, _name(best))
    if not rejudged.clear:
        return OfHold(hold.id, Verdict.UNCLEAR, None if best is None else _name(best))
    if best is not None:
        return OfHold(hold.id, Verdict.WEAKER, _name(best))
    return OfHold(hold.id, Verdict.UNSUPPORTED)


def _name(match: RuleMatch) -> str:
    return f"{match.policy}/{match.rule}"


def worst(found: Sequence[OfHold]) -> Verdict:
    """Return the verdict on a decision: that on the hold which a person has to look at most."""
    return max((each.verdict for each in found), key=lambda verdict: verdict.rank, default=Verdict.NOTHING)
