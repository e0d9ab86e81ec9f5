"""Spans of time as deadlines are written: `24h`, `90d`, or `5 business days` of a country's calendar."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

if TYPE_CHECKING:
    from holidays import HolidayBase

_TIME = re.compile(r"^(\d{1,6})\s*(m|h|d)$")
_BUSINESS = re.compile(r"^(\d{1,3}) business days?$")
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}
_CALENDAR = re.compile(r"^[A-Z]{2}(-[A-Z0-9]{1,4})?$")


@dataclass(frozen=True, slots=True)
class Span:
    """A length of time, or a number of business days where `business_days` is not 0."""

    length: timedelta = timedelta(0)
    business_days: int = 0


def parse_span(text: str) -> Span:
    """Read `30m`, `72h`, `14d` or `5 business days`.

    Raises:
        ValueError: it is none of these, or nothing.
    """
    if (found := _TIME.match(text.strip())) and int(found[1]):
        return Span(length=timedelta(**{_UNITS[found[2]]: int(found[1])}))
    if (found := _BUSINESS.match(text.strip())) and int(found[1]):
        return Span(business_days=int(found[1]))
    raise ValueError("a span is written as `30m`, `72h`, `14d` or `5 business days`")


def check_calendar(name: str) -> str:
    """Return the name of a calendar: a country such as `GB`, or a part of it such as `DE-BY`.

    Raises:
        ValueError: no such calendar is known.
    """
    if not _CALENDAR.match(name):
        raise ValueError("a calendar is a country such as `GB`, or a part of one such as `DE-BY`")
    _holidays(name)
    return name


def check_zone(name: str) -> str:
    """Return the name of a time zone.

    Raises:
        ValueError: there is none of that name.
    """
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ValueError(f"there is no time zone `{name}`") from None
    return name


def deadline(start: datetime, span: Span, calendar: str = "GB", zone: str = "UTC") -> datetime:
    """Return when a span that begins at `start` ends, UTC.

    Business days are those of the calendar, without weekends and public holidays there; the day of the start does not
    count, and the deadline is the end of the last day in the time zone.
    """
    if not span.business_days:
        return start + span.length
    local = ZoneInfo(zone)
    day = start.astimezone(local).date()
    last = _holidays(calendar).get_nth_working_day(day, span.business_days)
    return datetime.combine(last + timedelta(days=1), time(), tzinfo=local).astimezone(start.tzinfo)


@lru_cache(maxsize=64)
def _holidays(name: str) -> HolidayBase:
    from holidays import country_holidays  # imported here: most deployments have no clock in business days

    country, _, part = name.partition("-")
    try:
        return country_holidays(country, subdiv=part or None)
    except NotImplementedError:
        raise ValueError(f"there is no calendar `{name}`") from None
