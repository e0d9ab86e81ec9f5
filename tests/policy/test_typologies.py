"""Exceptions, scores and review dates: what a rule can say besides an outcome."""

from __future__ import annotations

import pytest

from paycordon.decisions import Outcome
from paycordon.errors import PolicyError
from paycordon.policy import PolicySet, evaluate
from paycordon.policy.load import policy_from

HEAD = """\
policy: p
version: 1
on_error: hold
"""
SCORED = (
    HEAD
    + """\
typologies:
  pass-through:
    thresholds: {review: 40, hold: 70}
    merchant_reason: additional_information_required
    internal_reason: Money passes through.
    review_after: 72h
rules:
  - {id: instant, on: [payout.requested], when: event.payout.method == "instant", adds: {pass-through: 40}}
  - id: young
    on: [payout.requested]
    when: event.occurred_at - event.account.created_at < duration("240h")
    adds: {pass-through: 30}
  - {id: small, on: [payout.requested], when: event.payout.amount.minor < 100000, adds: {pass-through: %d}}
"""
)


def judged(text: str, event):
    return evaluate(PolicySet([policy_from(text.encode(), "p.yaml")]), event, (), {})


@pytest.mark.parametrize(
    ("points", "outcome"),
    [(0, Outcome.HOLD), (-1, Outcome.REVIEW), (-30, Outcome.REVIEW), (-31, Outcome.ALLOW), (30, Outcome.HOLD)],
)
def test_points_of_several_rules_add_up_and_thresholds_state_the_outcome(event, points, outcome):
    found = judged(SCORED % points, event)

    assert found.outcome is outcome
    (score,) = found.scores
    assert (score.typology, score.points, score.rules) == ("pass-through", 70 + points, ("instant", "young", "small"))
    if outcome is Outcome.ALLOW:
        assert found.matches == ()
    else:
        (match,) = found.matches
        assert (match.rule, match.outcome, match.internal_reason) == (
            "typology.pass-through",
            outcome,
            "Money passes through.",
        )
        assert match.merchant_reason == ("additional_information_required" if outcome.stops else "")
        assert match.review_after_s == (72 * 3600 if outcome.stops else None)


def test_without_points_there_is_no_score(event):
    found = judged(SCORED % 0, event.model_copy(update={"payout": event.payout.model_copy(update={"method": None})}))

    assert [(score.points, score.rules) for score in found.scores] == [(30, ("young", "small"))]
    assert found.outcome is Outcome.ALLOW


def rule(**keys: str) -> str:
    lines = "".join(f"    {key}: {value}\n" for key, value in keys.items())
    return f"{HEAD}rules:\n  - id: r\n    on: [payout.requested]\n{lines}"


REASON = {"merchant_reason": "additional_information_required"}


@pytest.mark.parametrize(
    ("unless", "matches"),
    [
        ("event.payout.method == 'instant'", False),
        ("event.payout.method == 'standard'", True),
        ("false // a comment", True),
        ("event.account.country in ['NL', 'BE'] || event.payout.amount.minor < 20000", True),
    ],
)
def test_unless_is_the_exception(event, unless, matches):
    text = rule(when="event.payout.amount.minor > 10000 // many", unless=unless, then="hold", **REASON)

    assert bool(judged(text, event).matches) is matches


def test_an_exception_without_an_answer_is_an_error_and_no_exemption(event):
    found = judged(rule(when="'true'", unless="event.merchant.mcc > '5000'", then="hold", **REASON), event)

    assert (found.outcome, found.matches[0].rule, len(found.errors)) == (Outcome.HOLD, "on_error", 1)


def test_a_hold_says_how_long_it_may_wait_for_a_person(event):
    text = rule(when="'true'", then="hold", review_after="48h", **REASON)

    assert judged(text, event).matches[0].review_after_s == 48 * 3600


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (rule(then="review"), "a rule needs `when` or `where`"),
        (rule(when="'true'"), "a rule needs `then`, or `adds` points to a typology"),
        (rule(when="'true'", then="hold"), "a rule that says `hold` needs a `merchant_reason`"),
        (rule(when="'true'", adds="{nothing: 3}"), "rule `r`: there is no typology `nothing`"),
        (rule(when="'true'", then="review", review_after="0h"), "a duration is written as"),
        (rule(when="'true'", unless="event.payout.amout.minor > 3", then="review"), "p.yaml:8:25: "),
        ((SCORED % 0).replace("review: 40", "review: 90"), "thresholds rise from `review`"),
        ((SCORED % 0).replace("thresholds: {review: 40, hold: 70}", "thresholds: {}"), "at least one of `review`"),
        ((SCORED % 0).replace("    merchant_reason: additional_information_required\n", ""), "a typology that holds"),
    ],
)
def test_what_is_wrong_is_said(text, complaint):
    with pytest.raises(PolicyError) as caught:
        policy_from(text.encode(), "p.yaml")

    assert complaint in str(caught.value)
