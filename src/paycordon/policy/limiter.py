"""Caps: how much one binding may hold and block within an hour, so that a mistake in a policy cannot stop everybody.

Beyond a cap the outcome becomes `review`: it goes on, a person looks, and the decision says which cap it was. Only
decisions on merchants that nothing stops yet are counted and capped, so a held merchant that keeps asking uses up
nothing. Pure: how much the cap has seen is an argument.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from paycordon.decisions import Cap, Evaluation, Outcome, RuleMatch
from paycordon.policy.bindings import Binding, CapsDocument
from paycordon.policy.model import PolicySet

PERIOD = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Usage:
    """What one binding did within the hour before: decisions under it, and those of them that held or blocked."""

    screened: int = 0
    held: int = 0
    blocked: int = 0


def capped_bindings(policies: PolicySet, applied: Iterable[str]) -> list[Binding]:
    """Return those of the bindings that applied to an event, given by their ids, that have caps."""
    return [policies.capped[id_] for id_ in applied if id_ in policies.capped] if policies.capped else []


def stopped_by(matches: Iterable[RuleMatch], binding: str) -> Outcome:
    """Return the most severe outcome that one binding is responsible for."""
    return Outcome.most_severe(*(match.outcome for match in matches if match.binding == binding))


def limited(policies: PolicySet, evaluation: Evaluation, usage: Mapping[str, Usage]) -> Evaluation:
    """Lower what goes beyond a cap to `review`.

    Args:
        policies: what judged.
        evaluation: what it said.
        usage: of each capped binding that applied; a binding that is not there has done nothing yet.
    """
    reached: dict[tuple[str, Outcome], Cap] = {}
    for binding in capped_bindings(policies, evaluation.bindings):
        caps = binding.written.caps
        if caps is None:
            continue
        for outcome in (Outcome.HOLD, Outcome.BLOCK):
            cap = _reached(binding.id, caps, outcome, usage.get(binding.id, Usage()))
            if cap is not None:
                reached[binding.id, outcome] = cap
    if not reached:
        return evaluation
    matches = [_lowered(policies, match, reached) for match in evaluation.matches]
    lowered = {(match.binding, match.limited) for match in matches if match.limited and not match.snoozed}
    return evaluation.model_copy(
        update={
            "outcome": Outcome.most_severe(*(match.outcome for match in matches)),
            "matches": tuple(matches),
            "caps": tuple(cap for key, cap in reached.items() if key in lowered),
        }
    )


def _reached(binding: str, caps: CapsDocument, outcome: Outcome, used: Usage) -> Cap | None:
    """Return the cap that one more decision of this outcome would go beyond, if there is one."""
    number = caps.holds_per_hour if outcome is Outcome.HOLD else caps.blocks_per_hour
    already = used.held if outcome is Outcome.HOLD else used.blocked
    if number is not None and already >= number:
        return Cap(binding=binding, outcome=outcome, limit=number, used=already, screened=used.screened)
    share, stopped = caps.share_percent, used.held + used.blocked
    if share is not None and used.screened >= caps.from_screened and (stopped + 1) * 100 > share * (used.screened + 1):
        return Cap(binding=binding, outcome=outcome, limit=share, used=stopped, screened=used.screened)
    return None


def _lowered(policies: PolicySet, match: RuleMatch, reached: Mapping[tuple[str, Outcome], Cap]) -> RuleMatch:
    if match.binding is None or (match.binding, match.outcome) not in reached:
        return match
    if policies.is_exempt(match.binding, match.policy, match.rule):
        return match
    return match.model_copy(
        update={"outcome": Outcome.REVIEW, "limited": match.outcome, "merchant_reason": "", "review_after_s": None}
    )


def summed(rows: Iterable[tuple[str, int, int, int]]) -> dict[str, Usage]:
    """Add up stored counts, a row each of binding, screened, held, blocked."""
    totals: dict[str, Sequence[int]] = {}
    for binding, *counts in rows:
        totals[binding] = [a + int(b) for a, b in zip(totals.get(binding, (0, 0, 0)), counts, strict=True)]
    return {binding: Usage(*counts) for binding, counts in totals.items()}
