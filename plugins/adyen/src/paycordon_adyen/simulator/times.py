"""When schedules are due: those that Adyen names, and cron expressions.

https://docs.adyen.com/platforms/payout-to-users/scheduled-payouts: daily, weekly (on Mondays) and monthly (on the
first) at 07:00 Central European time. Of cron's signs `L`, `#` and `W` are not known here.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

ADYENS = ZoneInfo("Europe/Amsterdam")
AT = time(7)
_DAYS = 366 * 5
_MONTHS = dict(
    zip(["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"], range(1, 13), strict=True)
)
_WEEKDAYS = dict(zip(["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"], range(7), strict=True))
_PART = re.compile(r"(\*|\w+(?:-\w+)?)(?:/(\d+))?", re.ASCII)


class BadSchedule(Exception):
    """A schedule that cannot be read."""


def next_run(schedule: dict[str, str], after: datetime, zone: str) -> datetime | None:
    """Return when a sweep's schedule is due next, UTC; never by itself if it waits for a balance.

    Args:
        schedule: as a sweep has it.
        after: the present.
        zone: the balance account's time zone, in which cron expressions are read.

    Raises:
        BadSchedule: the cron expression or the time zone cannot be read.
    """
    kind = schedule["type"]
    if kind == "balance":
        return None
    if kind == "cron":
        return _next_of_cron(schedule.get("cronExpression", ""), after, _zone(zone))
    return next_day(_named(kind), after)


def next_day(is_due: Callable[[date], bool], after: datetime) -> datetime:
    """Return the next 07:00 Central European time on a day that is due."""
    day = after.astimezone(ADYENS).date()
    for _ in range(_DAYS):
        found = datetime.combine(day, AT, ADYENS)
        if is_due(day) and found > after:
            return found.astimezone(UTC)
        day += timedelta(days=1)
    raise BadSchedule("the schedule is never due")


def _named(kind: str) -> Callable[[date], bool]:
    if kind == "weekly":
        return lambda day: day.weekday() == 0
    if kind == "monthly":
        return lambda day: day.day == 1
    return lambda _: True


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ValueError, ZoneInfoNotFoundError):
        raise BadSchedule("the time zone is not known") from None


def _next_of_cron(expression: str, after: datetime, zone: ZoneInfo) -> datetime:
    fields = expression.split(" ")
    if len(fields) != 5:
        raise BadSchedule("a cron expression has five values separated by single spaces")
    minutes, hours = _values(fields[0], 0, 59, {}), _values(fields[1], 0, 23, {})
    days, months = _values(fields[2], 1, 31, {}), _values(fields[3], 1, 12, _MONTHS)
    weekdays = {number % 7 for number in _values(fields[4], 0, 7, _WEEKDAYS)}
    start = after.astimezone(zone).date()
    for day in (start + timedelta(days=number) for number in range(_DAYS)):
        on_day, on_weekday = day.day in days, (day.weekday() + 1) % 7 in weekdays
        # As cron has it: with both restricted, either will do.
        either = fields[2] != "*" and fields[4] != "*"
        if day.month not in months or not ((on_day or on_weekday) if either else (on_day and on_weekday)):
            continue
        for moment in (time(hour, minute) for hour in sorted(hours) for minute in sorted(minutes)):
            found = datetime.combine(day, moment, zone)
            if found > after:
                return found.astimezone(UTC)
    raise BadSchedule("the cron expression is never due")


def _values(field: str, low: int, high: int, names: dict[str, int]) -> set[int]:
    found: set[int] = set()
    for part in field.split(","):
        match = _PART.fullmatch(part)
        if match is None:
            raise BadSchedule(f"`{part}` is not read by this simulator")
        span, step = match[1], int(match[2] or 1)
        first, last = (str(low), str(high)) if span == "*" else (span, span)
        if "-" in span:
            first, last = span.split("-")
        elif match[2] and span != "*":
            last = str(high)
        numbers = [_number(each, low, high, names) for each in (first, last)]
        if step < 1 or numbers[0] > numbers[1]:
            raise BadSchedule(f"`{part}` is empty")
        found.update(range(numbers[0], numbers[1] + 1, step))
    return found


def _number(text: str, low: int, high: int, names: dict[str, int]) -> int:
    value = names.get(text.upper(), int(text) if text.isdecimal() else -1)
    if not low <= value <= high:
        raise BadSchedule(f"`{text}` is not between {low} and {high}")
    return value
