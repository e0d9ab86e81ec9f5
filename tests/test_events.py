"""Events are strict where it matters, open where gateways change, and never carry a card number."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from paycordon.cardnumbers import looks_like_card_number
from paycordon.events import Event, Identifier, Money, SubjectKind

# The networks' published test numbers; no real card has them.
TEST_NUMBERS = ["4242424242424242", "5555555555554444", "2223003122003222", "378282246310005", "6011111111111117"]


def payout(**changes: Any) -> dict[str, Any]:
    return {
        "id": "evt_1",
        "type": "payout.requested",
        "occurred_at": "2026-03-01T12:00:00Z",
        "gateway": "acme",
        "instance": "acme_test",
        "account": {"id": "acct_1"},
        "payout": {"id": "po_1", "amount": {"minor": 12345, "currency": "EUR"}},
        **changes,
    }


def test_json_goes_out_and_comes_back_the_same() -> None:
    event = Event.model_validate(payout(identifiers=[{"kind": "email", "value": "a@example.com"}], extra={"n": [1]}))
    assert Event.model_validate_json(event.model_dump_json()) == event


def test_times_become_utc_and_naive_ones_are_refused() -> None:
    east = timezone(timedelta(hours=9))
    event = Event.model_validate(payout(occurred_at=datetime(2026, 3, 1, 21, tzinfo=east)))
    assert event.occurred_at == datetime(2026, 3, 1, 12, tzinfo=UTC)
    assert event.occurred_at.tzinfo is UTC
    with pytest.raises(ValidationError, match="timezone"):
        Event.model_validate(payout(occurred_at="2026-03-01T12:00:00"))


@pytest.mark.parametrize("minor", [1.5, "12", True, None])
def test_money_is_whole_minor_units(minor: Any) -> None:
    with pytest.raises(ValidationError):
        Money.model_validate({"minor": minor, "currency": "EUR"})


@pytest.mark.parametrize(
    ("minor", "currency", "shown"),
    [(123456, "EUR", "1,234.56 EUR"), (-5, "JPY", "-5 JPY"), (1234567, "BHD", "1,234.567 BHD"), (5, "USD", "0.05 USD")],
)
def test_money_shows_as_many_decimals_as_iso_4217_says(minor: int, currency: str, shown: str) -> None:
    assert str(Money(minor=minor, currency=currency)) == shown


def test_unknown_types_and_kinds_are_values_not_errors() -> None:
    event = Event.model_validate(
        payout(type="payout.teleported", identifiers=[{"kind": "iris_scan", "digest": "k:1"}], extra={"new": {"a": 1}})
    )
    assert event.type == "payout.teleported"
    assert event.identifiers[0].kind == "iris_scan"
    assert event.extra == {"new": {"a": 1}}


@pytest.mark.parametrize(
    "change",
    [
        {"surprise": 1},
        {"type": "payout"},
        {"type": "DROP TABLE"},
        {"id": ""},
        {"account": {}},
        {"payout": None},
        {"mode": "sandbox"},
        {"schema_version": 2},
        {"identifiers": [{"kind": "email"}]},
        {"extra": {"deep": json.loads("[" * 40 + "]" * 40)}},
    ],
)
def test_malformed_events_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Event.model_validate(payout(**change))


@pytest.mark.parametrize("number", TEST_NUMBERS)
@pytest.mark.parametrize("written", ["{}", "card {} used", "pan={}", '"{}"'])
@pytest.mark.parametrize("place", ["extra", "nested", "key", "name", "identifier", "descriptor"])
def test_a_card_number_is_refused_wherever_it_stands_and_not_repeated(number: str, written: str, place: str) -> None:
    text = written.format(number)
    changes: dict[str, dict[str, Any]] = {
        "extra": {"extra": {"note": text}},
        "nested": {"extra": {"a": [{"b": [text]}]}},
        "key": {"extra": {text: 1}},
        "name": {"merchant": {"name": text}},
        "identifier": {"identifiers": [{"kind": "handle", "value": text}]},
        "descriptor": {"payout": {"amount": {"minor": 1, "currency": "EUR"}, "destination": text}},
    }
    with pytest.raises(ValidationError, match="looks like a card number") as refused:
        Event.model_validate(payout(**changes[place]))
    assert number not in str(refused.value)


@pytest.mark.parametrize("written", ["4242 4242 4242 4242", "4242-4242-4242-4242"])
def test_a_card_number_with_separators_is_refused(written: str) -> None:
    with pytest.raises(ValidationError, match="looks like a card number"):
        Event.model_validate(payout(extra={"note": written}))


def test_a_card_number_as_a_number_is_refused() -> None:
    with pytest.raises(ValidationError, match="looks like a card number"):
        Event.model_validate(payout(extra={"n": 4242424242424242}))


@pytest.mark.parametrize(
    "harmless",
    [
        "8835511210681324",  # an Adyen pspReference: sixteen digits, but of no issuer
        "acct_4242424242424242",  # glued to letters: a gateway's id
        "1767225600000",  # milliseconds since the epoch
        "4242424242424241",  # fails the Luhn check
        "42424242424242424242",  # twenty digits
        "DE89370400440532013000",
    ],
)
def test_ids_times_and_ibans_are_not_taken_for_card_numbers(harmless: str) -> None:
    assert not looks_like_card_number(harmless)
    Event.model_validate(payout(extra={"reference": harmless}))


def test_a_phone_number_that_passes_the_luhn_check_is_a_phone_number() -> None:
    Event.model_validate(payout(identifiers=[{"kind": "phone", "value": "+4930000000043"}]))
    Event.model_validate(payout(identifiers=[{"kind": "phone", "value": "4222222222222"}]))


@given(st.text(max_size=60))
def test_looking_for_card_numbers_survives_any_text(text: str) -> None:
    assert looks_like_card_number(text) in (True, False)
    assert looks_like_card_number(text + " 4242424242424242")


def test_an_identifier_hides_its_value_when_shown() -> None:
    assert "jane" not in repr(Identifier(kind="email", value="jane@example.com"))  # type: ignore[arg-type]


def test_an_outcome_falls_on_what_the_event_is_about() -> None:
    event = Event.model_validate(payout())
    assert (event.subject.kind, event.subject.id, event.subject.account) == (SubjectKind.PAYOUT, "po_1", "acct_1")
    asked = Event.model_validate(payout(payout={"amount": {"minor": 1, "currency": "EUR"}}))
    assert asked.subject.id == "evt_1"
    onboarding = Event.model_validate(payout(type="merchant.onboarding", payout=None))
    assert (onboarding.subject.kind, onboarding.subject.id) == (SubjectKind.ACCOUNT, "acct_1")


def test_the_schema_is_exported_with_its_version() -> None:
    schema = Event.model_json_schema()
    assert schema["properties"]["schema_version"]["const"] == 1
    assert set(schema["required"]) == {"id", "type", "occurred_at", "gateway", "instance", "account"}
