"""Each rule of the example policies says what its comment says, and honest merchants meet none of them."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from paycordon.decisions import Evaluation, Finding, Outcome
from paycordon.policy import PolicySet, evaluate, load_policies
from paycordon.testing import NOON, make_event

POLICIES = load_policies(sorted((Path(__file__).parents[2] / "examples" / "policies").glob("*.yaml")))
YOUNG = {"id": "acct_1", "country": "NL", "created_at": NOON - timedelta(days=3)}
OLD = {"id": "acct_1", "country": "NL", "created_at": NOON - timedelta(days=900)}
LARGE = {"id": "po_1", "amount": {"minor": 6_000_00, "currency": "EUR"}, "method": "instant"}
SMALL = {"id": "po_1", "amount": {"minor": 199_99, "currency": "EUR"}, "method": "standard"}
CERTAIN, UNCERTAIN = ("indicator.match", 0.8), ("indicator.match", 0.79)
BLOCKED = ("identifier.shared_with_blocked", 0.9)
CHANGED = ("payout.destination_changed", 1.0)
FAST = ("payout.velocity", 1.0)
RATIO = ("dispute.ratio_high", 1.0)
ONBOARDING, CHANGE, PAYOUT, DISPUTE = "merchant.onboarding", "merchant.changed", "payout.requested", "dispute.opened"
NOT_FRAUD = {"id": "dp_1", "amount": {"minor": 125_00, "currency": "EUR"}, "reason": "product_not_received"}

# Rule, event type, findings, what differs of the event, aggregates.
MATCHES: list[tuple[str, str, list[tuple[str, float]], dict[str, Any], dict[str, int]]] = [
    ("onboarding/known-to-the-coalition", ONBOARDING, [CERTAIN], {}, {}),
    ("onboarding/perhaps-known-to-the-coalition", CHANGE, [UNCERTAIN], {}, {}),
    ("onboarding/returns-after-block", ONBOARDING, [BLOCKED], {}, {}),
    ("onboarding/known-and-returning", ONBOARDING, [CERTAIN, BLOCKED], {}, {}),
    ("onboarding/category-not-served", CHANGE, [("mcc.blocked", 1.0)], {}, {}),
    ("onboarding/category-to-be-registered", ONBOARDING, [("mcc.missing", 0.5)], {}, {}),
    ("onboarding/countries-differ", ONBOARDING, [], {"merchant": {"id": "m_1", "country": "DE"}}, {}),
    ("onboarding/details-changed-again-and-again", CHANGE, [], {}, {"onboarding.changes_1d": 3}),
    ("payouts/known-destination", PAYOUT, [CERTAIN], {}, {}),
    ("payouts/perhaps-known-destination", PAYOUT, [UNCERTAIN], {}, {}),
    ("payouts/changed-destination", PAYOUT, [CHANGED], {"payout": LARGE}, {}),
    ("payouts/shares-with-blocked", PAYOUT, [BLOCKED], {}, {}),
    ("payouts/large-instant-payout-of-new-account", PAYOUT, [], {"payout": LARGE, "account": YOUNG}, {}),
    ("payouts/fast-and-to-many", PAYOUT, [FAST], {}, {"payouts.payouts_1d": 6, "payouts.destinations_30d": 4}),
    ("payouts/fast", PAYOUT, [FAST], {}, {"payouts.payouts_1d": 6}),
    ("disputes/known-to-the-coalition", DISPUTE, [CERTAIN], {}, {}),
    ("disputes/ratio-high", DISPUTE, [RATIO], {}, {}),
    ("disputes/ratio-high-at-new-account", DISPUTE, [RATIO], {"account": YOUNG}, {}),
    ("disputes/many-disputes-of-few-payers", DISPUTE, [], {}, {"disputes.disputes_30d": 10, "disputes.payers_30d": 19}),
    ("disputes/reason-is-fraud", DISPUTE, [], {}, {"disputes.disputes_30d": 2}),
]
PASSES: list[tuple[str, list[tuple[str, float]], dict[str, Any], dict[str, int]]] = [
    (ONBOARDING, [], {}, {}),
    (ONBOARDING, [("identifier.shared", 0.3)], {}, {}),
    (ONBOARDING, [], {"account": {"id": "acct_1"}, "merchant": {}}, {}),
    (CHANGE, [], {}, {"onboarding.changes_1d": 2}),
    (PAYOUT, [], {"payout": LARGE, "account": OLD}, {"payouts.destinations_30d": 9}),
    (PAYOUT, [], {"payout": {**LARGE, "method": "standard"}, "account": YOUNG}, {}),
    (PAYOUT, [], {"payout": {"amount": LARGE["amount"]}, "account": {"id": "acct_1"}}, {}),
    (PAYOUT, [CHANGED], {"payout": SMALL}, {}),
    (DISPUTE, [], {"dispute": NOT_FRAUD, "account": OLD}, {"disputes.disputes_30d": 9, "disputes.refunds_7d": 40}),
    (DISPUTE, [], {"dispute": NOT_FRAUD}, {"disputes.disputes_30d": 12, "disputes.payers_30d": 4_000}),
    (DISPUTE, [], {}, {}),
]


def judge(type_: str, found: list[tuple[str, float]], differs: dict[str, Any], numbers: dict[str, int]) -> Evaluation:
    assert isinstance(POLICIES, PolicySet)
    ordinary = {name: 1 if name.endswith("_1d") else 0 for name in POLICIES.aggregates_for(type_)}
    findings = [Finding(check="stated", code=code, confidence=confidence) for code, confidence in found]
    return evaluate(POLICIES, make_event(type_, **differs), findings, ordinary | numbers)


@pytest.mark.parametrize(("rule", "type_", "found", "differs", "numbers"), MATCHES, ids=[case[0] for case in MATCHES])
def test_a_rule_matches(rule: str, type_: str, found: Any, differs: Any, numbers: Any) -> None:
    judged = judge(type_, found, differs, numbers)

    assert rule in {f"{match.policy}/{match.rule}" for match in judged.matches}
    assert judged.errors == ()


@pytest.mark.parametrize(("type_", "found", "differs", "numbers"), PASSES)
def test_what_is_ordinary_passes_without_a_look(type_: str, found: Any, differs: Any, numbers: Any) -> None:
    judged = judge(type_, found, differs, numbers)

    assert (judged.outcome, judged.matches, judged.errors) == (Outcome.ALLOW, (), ())


def test_every_rule_is_tried() -> None:
    assert sorted(case[0] for case in MATCHES) == sorted(f"{rule.policy}/{rule.id}" for rule in POLICIES.rules)


def test_behaviour_alone_never_blocks() -> None:
    assert {f"{rule.policy}/{rule.id}" for rule in POLICIES.rules if rule.then is Outcome.BLOCK} == {
        "onboarding/known-and-returning"
    }
