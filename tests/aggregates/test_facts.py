"""What is kept of an event for aggregates."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from paycordon.aggregates.facts import MAX_TEXT, facts_of
from paycordon.aggregates.localtime import local_time
from paycordon.testing import make_event

AMOUNT = {"minor": 1, "currency": "EUR"}
SUNDAY_EVENING = datetime(2026, 3, 1, 23, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("zone", "country", "expected"),
    [
        ("Asia/Kathmandu", "NL", (5, 1)),  # the named zone wins, and has a quarter of an hour
        (None, "NL", (0, 1)),
        (None, "US", (None, None)),  # has many zones
        ("No/Where", "JP", (8, 1)),
        ("No/Where", None, (None, None)),
        ("../../etc", None, (None, None)),
        (None, None, (None, None)),
        ("America/New_York", None, (18, 7)),
    ],
)
def test_the_payers_hour_and_weekday_are_by_the_payers_clock(
    zone: str | None, country: str | None, expected: tuple[int | None, int | None]
) -> None:
    local = local_time(SUNDAY_EVENING, zone, country)
    assert (local and local.hour, local and local.isoweekday()) == expected


def test_facts_carry_the_payers_time() -> None:
    payment = {"id": "p", "amount": AMOUNT, "payer": "fp", "payer_time_zone": "America/New_York"}
    facts = facts_of(make_event("payment.succeeded", occurred_at=SUNDAY_EVENING, payment=payment), "m")
    assert (facts.payer_hour, facts.payer_weekday) == (18, 7)


def test_a_time_at_the_edge_of_the_calendar_has_no_local_time() -> None:
    assert local_time(datetime(9999, 12, 31, 23, tzinfo=UTC), "Asia/Tokyo", None) is None


def test_a_dispute_names_its_payer_as_the_payment_did() -> None:
    dispute = {"id": "d", "amount": AMOUNT, "payer": "fp", "reason": "fraudulent", "status": "open"}
    facts = facts_of(make_event("dispute.opened", dispute=dispute), "m")
    assert (facts.payer, facts.reason, facts.status, facts.payer_hour) == ("fp", "fraudulent", "open", None)


def test_what_is_too_long_for_an_index_is_told_apart_by_its_digest() -> None:
    one, other = (
        facts_of(make_event("payment.succeeded", payment={"id": "p", "amount": AMOUNT, "payer": "x" * 500 + end}), "m")
        for end in "ab"
    )
    assert one.payer != other.payer
    assert max(len(one.payer or ""), len(other.payer or "")) <= MAX_TEXT


def test_an_account_is_another_one_at_another_instance() -> None:
    here, there = (facts_of(make_event("payout.requested", instance=name), "m").account for name in ("acme", "other"))
    assert here != there


def test_each_identifier_counts_once_and_the_first_of_a_kind_is_what_an_event_asks_by() -> None:
    given = [("iban", "a"), ("email", "e"), ("iban", "b"), ("iban", "a")]
    event = make_event("payout.requested", identifiers=tuple({"kind": k, "digest": d} for k, d in given))
    facts = facts_of(event, "m")
    assert facts.identifiers == (("iban", "a"), ("email", "e"), ("iban", "b"))
    assert (facts.identifier("iban"), facts.identifier("phone")) == ("a", None)
