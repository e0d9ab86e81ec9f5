"""What each built-in check concludes, and what it lets pass."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from paycordon.checks.base import Check
from paycordon.checks.dispute_ratio import DisputeRatio, DisputeRatioSettings
from paycordon.checks.indicator_match import IndicatorMatch, IndicatorMatchSettings
from paycordon.checks.mcc_controls import MccControls, MccControlsSettings
from paycordon.checks.payout_destination_changed import PayoutDestinationChanged, PayoutDestinationChangedSettings
from paycordon.checks.payout_velocity import PayoutVelocity, PayoutVelocitySettings
from paycordon.checks.shared_identifier import SharedIdentifier, SharedIdentifierSettings
from paycordon.context import Context, IndicatorHit, KnownIdentifier, NearBlock
from paycordon.context import SharedIdentifier as Shared
from paycordon.covering import HIDDEN_CODES
from paycordon.decisions import Finding
from paycordon.events import Event

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
EMPTY = Context(now=NOW, merchant="m-1")


def event(type_: str = "payout.requested", **more: Any) -> Event:
    amount = {"minor": 5000, "currency": "EUR"}
    part: dict[str, Any] = {
        "payout": {"payout": {"id": "po-1", "amount": amount}},
        "dispute": {"dispute": {"id": "dp-1", "amount": amount}},
    }.get(type_.split(".")[0], {})
    base = {"id": "e-1", "type": type_, "occurred_at": NOW, "gateway": "acme", "instance": "acme_test"}
    return Event.model_validate({**base, "account": {"id": "acct-1"}, **part, **more})


def codes(findings: Any) -> list[str]:
    return [f.code for f in findings or ()]


def hit(confidence: int) -> IndicatorHit:
    return IndicatorHit("bank_account", "k1:ab", "synthetic", confidence, "investigation", "REF-1")


def test_an_indicator_is_weighed_by_trust_age_and_objections() -> None:
    check = IndicatorMatch(IndicatorMatchSettings())
    half = replace(hit(80), trust=50)
    old = replace(hit(80), half_life_days=30, fresh_at=EMPTY.now - timedelta(days=60))
    objection = replace(hit(50), source="other", status="refuted")

    def confidences(*hits: IndicatorHit) -> list[float]:
        return [f.confidence for f in check.screen_payout(context=replace(EMPTY, indicators=hits))]

    assert confidences(half) == [0.4]
    assert confidences(old) == [0.2]
    assert confidences(hit(80), objection) == [0.4]
    assert confidences(objection) == []
    assert confidences(hit(20), hit(80)) == [0.8, 0.2]
    assert len(confidences(*[hit(80)] * 200)) == 50


def test_an_indicator_on_what_many_share_is_told_under_another_code() -> None:
    check = IndicatorMatch(IndicatorMatchSettings())
    shared = replace(hit(90), common="mailbox provider")
    (finding,) = check.screen_payout(context=replace(EMPTY, indicators=(shared,)))
    assert (finding.code, finding.evidence["common"]) == ("indicator.common", "mailbox provider")


def test_an_indicator_is_reported_with_its_own_confidence_and_provenance() -> None:
    check = IndicatorMatch(IndicatorMatchSettings())
    context = replace(EMPTY, indicators=(hit(80),))
    for screen in (check.screen_merchant, check.screen_payout, check.screen_dispute):
        (finding,) = screen(context=context)
        assert finding.confidence == 0.8
        assert finding.evidence == {
            "kind": "bank_account",
            "digest": "k1:ab",
            "source": "synthetic",
            "status": "investigation",
            "reference": "REF-1",
            "stated": 80,
            "trust": 100,
            "relation": "exact",
        }


def test_weak_indicators_can_be_left_out() -> None:
    check = IndicatorMatch(IndicatorMatchSettings(min_confidence=50))
    assert codes(check.screen_payout(context=replace(EMPTY, indicators=(hit(49), hit(50))))) == ["indicator.match"]


def known(digest: str, hours_ago: float, kind: str = "bank_account") -> KnownIdentifier:
    at = NOW - timedelta(hours=hours_ago)
    return KnownIdentifier(kind, digest, first_seen=at, last_seen=at)


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        ([], []),
        ([known("k:first", 1)], []),
        ([known("k:old", 1000), known("k:new", 71)], ["payout.destination_changed"]),
        ([known("k:old", 1000), known("k:new", 73)], []),
        ([known("k:old", 1000), known("k:mail", 1, kind="email")], []),
        (
            [known("k:old", 1000, kind="iban"), known("k:new", 1, kind="card_fingerprint")],
            ["payout.destination_changed"],
        ),
        ([known("k:old", 1000), known("k:future", -5)], []),
    ],
)
def test_a_payout_soon_after_its_destination_changed(seen: list[KnownIdentifier], expected: list[str]) -> None:
    check = PayoutDestinationChanged(PayoutDestinationChangedSettings())
    assert codes(check.screen_payout(event=event(), context=replace(EMPTY, known=tuple(seen)))) == expected


def test_a_destination_that_this_payout_is_the_first_to_name_is_a_change() -> None:
    check = PayoutDestinationChanged(PayoutDestinationChangedSettings())
    context = replace(EMPTY, known=(known("k:old", 1000),))
    to_new = event(identifiers=[{"kind": "bank_account", "digest": "k:new"}])
    (finding,) = check.screen_payout(event=to_new, context=context)
    assert finding.evidence["previous_destination"] == "k:old"
    assert finding.evidence["new_destination"] == "k:new"
    back_to_old = event(identifiers=[{"kind": "bank_account", "digest": "k:old"}])
    assert codes(check.screen_payout(event=back_to_old, context=context)) == []


@pytest.mark.parametrize(("payouts", "expected"), [(5, []), (6, ["payout.velocity"])])
def test_more_payouts_than_the_limit(payouts: int, expected: list[str]) -> None:
    check = PayoutVelocity(PayoutVelocitySettings())
    context = replace(EMPTY, aggregates={"payouts": payouts})
    assert codes(check.screen_payout(event=event(), context=context)) == expected
    assert codes(check.screen_payout(event=event("payout.updated"), context=context)) == []


@pytest.mark.parametrize(
    ("others", "blocked", "expected"),
    [
        (0, 0, []),
        (1, 0, ["identifier.shared"]),
        (50, 0, ["identifier.shared"]),
        (51, 0, []),
        (1, 1, ["identifier.shared_with_blocked"]),
        (500, 1, ["identifier.shared_with_blocked"]),
    ],
)
def test_identifiers_shared_with_others(others: int, blocked: int, expected: list[str]) -> None:
    check = SharedIdentifier(SharedIdentifierSettings())
    context = replace(EMPTY, shared=(Shared("phone", "k:p", others, blocked),))
    assert codes(check.screen_merchant(context=context)) == expected
    assert codes(check.screen_payout(context=context)) == expected


def test_a_blocked_merchant_two_hops_away_is_a_weak_lead() -> None:
    check = SharedIdentifier(SharedIdentifierSettings())
    context = replace(EMPTY, shared=(Shared("phone", "k:p", 1, 0),), near=(NearBlock("phone", "k:p", "iban", "k:i"),))
    shared, near = check.screen_merchant(context=context)
    assert (shared.code, near.code) == ("identifier.shared", "identifier.near_blocked")
    assert near.confidence < shared.confidence
    assert {code for code in check.emits if "blocked" in code} <= HIDDEN_CODES, "a request to keep open hides them"
    assert near.evidence == {"kind": "phone", "digest": "k:p", "hops": 2, "through_kind": "iban", "through": "k:i"}


@pytest.mark.parametrize(
    ("disputes", "payments", "expected"),
    [
        (4, 0, []),
        (5, 0, ["dispute.ratio_high"]),
        (5, 334, []),
        (5, 333, ["dispute.ratio_high"]),
        (15, 1000, []),
        (16, 1000, ["dispute.ratio_high"]),
    ],
)
def test_disputes_as_a_share_of_payments(disputes: int, payments: int, expected: list[str]) -> None:
    check = DisputeRatio(DisputeRatioSettings())
    context = replace(EMPTY, aggregates={"disputes": disputes, "payments": payments})
    assert codes(check.screen_dispute(context=context)) == expected


@pytest.mark.parametrize(
    ("merchant", "expected"),
    [
        ({}, ["mcc.missing"]),
        ({"mcc": "5942"}, []),
        ({"mcc": "5967"}, ["mcc.high_integrity_risk"]),
        ({"mcc": "5967", "id": "registered"}, []),
        ({"mcc": "9999"}, ["mcc.blocked"]),
    ],
)
def test_category_controls(merchant: dict[str, str], expected: list[str]) -> None:
    settings = MccControlsSettings(blocked=frozenset({"9999"}), registered=frozenset({"registered"}))
    found = MccControls(settings).screen_merchant(event=event("merchant.onboarding", merchant=merchant))
    assert codes(found) == expected


def test_a_change_that_does_not_name_the_category_is_not_a_missing_category() -> None:
    assert codes(MccControls(MccControlsSettings()).screen_merchant(event=event("merchant.changed"))) == []


@pytest.mark.parametrize(
    "kind", [DisputeRatio, IndicatorMatch, MccControls, PayoutDestinationChanged, PayoutVelocity, SharedIdentifier]
)
def test_each_check_explains_itself(kind: type[Check[Any]]) -> None:
    assert kind.__doc__
    assert kind.emits
    assert all(sentence and not sentence.endswith(".") for sentence in kind.emits.values())
    for code in kind.emits:
        assert Finding(check=kind.id, code=code).code == code
