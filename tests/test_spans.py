"""Deadlines as people write them: lengths of time, and business days of a country's calendar."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from pydantic import ValidationError

from paycordon.legalclocks import CATALOGUE
from paycordon.sections import Clocks
from paycordon.spans import Span, check_calendar, check_zone, deadline, parse_span


@pytest.mark.parametrize(
    ("written", "span"),
    [
        ("30m", Span(timedelta(minutes=30))),
        ("72h", Span(timedelta(hours=72))),
        (" 90d ", Span(timedelta(days=90))),
        ("1 business day", Span(business_days=1)),
        ("5 business days", Span(business_days=5)),
    ],
)
def test_spans_are_read(written: str, span: Span) -> None:
    assert parse_span(written) == span


@pytest.mark.parametrize("written", ["", "5", "0d", "-1d", "1w", "0 business days", "1.5 business days", "d"])
def test_what_is_no_span_is_refused(written: str) -> None:
    with pytest.raises(ValueError, match="a span is written as"):
        parse_span(written)


@pytest.mark.parametrize(
    ("start", "days", "calendar", "zone", "end"),
    [
        # Thursday before Easter: Friday and Monday are holidays in England, only Friday in all of the United Kingdom.
        ("2026-04-02T12:00", 1, "GB-ENG", "Europe/London", "2026-04-07T23:00"),
        ("2026-04-02T12:00", 1, "GB", "Europe/London", "2026-04-06T23:00"),
        # The clocks go forward on 29 March: the end of Monday is an hour earlier in UTC.
        ("2026-03-27T12:00", 1, "GB", "Europe/London", "2026-03-30T23:00"),
        ("2026-10-23T12:00", 1, "GB", "Europe/London", "2026-10-27T00:00"),
        # Half past eleven in the evening in UTC is the next day in Sydney.
        ("2026-06-01T23:30", 1, "AU", "Australia/Sydney", "2026-06-03T14:00"),
        # Christmas falls on a Friday, Boxing Day is moved to Monday, and the year ends in between.
        ("2026-12-24T12:00", 5, "GB", "Europe/London", "2027-01-06T00:00"),
        # Weekends are Friday and Saturday in Saudi Arabia.
        ("2026-11-26T12:00", 1, "SA", "Asia/Riyadh", "2026-11-29T21:00"),
    ],
)
def test_business_days_end_with_their_last_day_where_they_count(
    start: str, days: int, calendar: str, zone: str, end: str
) -> None:
    begins = datetime.fromisoformat(start).replace(tzinfo=UTC)
    found = deadline(begins, Span(business_days=days), calendar, zone)
    assert (found, found.utcoffset()) == (datetime.fromisoformat(end).replace(tzinfo=UTC), timedelta(0))


@pytest.mark.parametrize("name", ["XX", "gb", "GB-NOWHERE", "DE-ZZ", ""])
def test_unknown_calendars_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="calendar"):
        check_calendar(name)


def test_unknown_zones_are_refused() -> None:
    with pytest.raises(ValueError, match="no time zone"):
        check_zone("Europe/Nowhere")


def test_no_legal_clock_runs_that_nobody_chose() -> None:
    assert Clocks().legal_clocks() == []


def test_every_legal_clock_of_the_catalogue_can_be_chosen() -> None:
    chosen = Clocks.model_validate({"legal": {name: {} for name in CATALOGUE}}).legal_clocks()
    assert {name for name, _ in chosen} == set(CATALOGUE)
    assert all(clock.source and (clock.after.length or clock.after.business_days) for _, clock in chosen)


def test_a_legal_clock_can_be_changed_in_the_configuration() -> None:
    written = {"mastercard_listing": {"after": "1 business day", "calendar": "DE-BY", "zone": "Europe/Berlin"}}
    [(_, clock)] = Clocks.model_validate({"legal": written}).legal_clocks()
    assert (clock.after, clock.calendar) == (Span(business_days=1), "DE-BY")


@pytest.mark.parametrize(
    "written",
    [
        {"legal": {"own": {"after": "3d"}}},
        {"legal": {"us_sar": {"after": "soon"}}},
        {"legal": {"us_sar": {"calendar": "XX"}}},
        {"remind": "2 business days"},
        {"hold_review": "0d"},
        {"sla": {4: "1d"}},
    ],
)
def test_wrong_settings_are_refused(written: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Clocks.model_validate(written)
