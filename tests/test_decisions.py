"""Outcomes combine by maximum; what leaves a decision is what a merchant may know."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from paycordon.decisions import Decision, Evaluation, Finding, Outcome, RuleMatch
from paycordon.events import Mode, Subject, SubjectKind

OUTCOMES = st.sampled_from(Outcome)


@given(OUTCOMES, OUTCOMES, OUTCOMES)
def test_combining_outcomes_is_a_maximum(a: Outcome, b: Outcome, c: Outcome) -> None:
    assert a | b == b | a
    assert (a | b) | c == a | (b | c)
    assert a | a == a
    assert a | Outcome.ALLOW == a
    assert a | Outcome.BLOCK == Outcome.BLOCK


@given(st.permutations([Outcome.ALLOW, Outcome.HOLD, Outcome.REVIEW]))
def test_the_order_of_outcomes_never_matters(outcomes: list[Outcome]) -> None:
    assert Outcome.most_severe(*outcomes) is Outcome.HOLD


def test_no_outcome_at_all_is_allow() -> None:
    assert Outcome.most_severe() is Outcome.ALLOW


def test_hold_and_block_stop_and_the_others_do_not() -> None:
    assert [o for o in Outcome if o.stops] == [Outcome.HOLD, Outcome.BLOCK]


@pytest.mark.parametrize("confidence", [-0.1, 1.1, float("nan"), float("inf")])
def test_a_confidence_lies_between_0_and_1(confidence: float) -> None:
    with pytest.raises(ValidationError):
        Finding(check="a", code="a.b", confidence=confidence)


def test_the_merchant_hears_the_reason_of_the_most_severe_match() -> None:
    judged = Evaluation(
        outcome=Outcome.HOLD,
        matches=(
            RuleMatch(policy="p", rule="a", outcome=Outcome.REVIEW, merchant_reason="under_review"),
            RuleMatch(policy="p", rule="b", outcome=Outcome.HOLD),
            RuleMatch(policy="p", rule="c", outcome=Outcome.HOLD, merchant_reason="more_information"),
        ),
    )
    assert judged.merchant_reason == "more_information"


def test_nothing_internal_goes_out() -> None:
    decision = Decision(
        id="dec_1",
        event_id="e",
        event_type="payout.requested",
        instance="i",
        mode=Mode.TEST,
        merchant="m",
        subject=Subject(instance="i", kind=SubjectKind.PAYOUT, id="po", account="acct"),
        outcome=Outcome.HOLD,
        merchant_reason="more_information",
        matches=(RuleMatch(policy="p", rule="r", outcome=Outcome.HOLD, internal_reason="secret source"),),
        decided_at=datetime(2026, 1, 1, tzinfo=UTC),
    )
    assert decision.outward() == {"decision_id": "dec_1", "outcome": "hold", "merchant_reason": "more_information"}
    assert decision.rule == "p/r"
    assert Decision.model_validate_json(decision.model_dump_json()) == decision
