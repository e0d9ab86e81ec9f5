"""How Stripe changes `settings.payouts.schedule`."""

from __future__ import annotations

import calendar
from datetime import date
from typing import Any

from paycordon_stripe.simulator.problems import bad, missing

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_PARAM = "settings[payouts][schedule]"
_FIELDS = {"interval", "delay_days", "weekly_anchor", "weekly_payout_days", "monthly_anchor", "monthly_payout_days"}
MINIMUM_DELAY = 2


def changed(schedule: dict[str, Any], params: dict[str, Any]) -> dict[str, Any]:
    """Return a schedule after a request to change it.

    Days are shown with the interval they belong to only, a single day in both of its forms, and `delay_days` survives a
    manual interval.

    Raises:
        Problem: Stripe would not take the parameters.
    """
    for name in params.keys() - _FIELDS:
        raise bad(f"{_PARAM}[{name}]", f"Received unknown parameter: {_PARAM}[{name}]", "parameter_unknown")
    interval = params.get("interval", schedule["interval"])
    if interval not in ("manual", "daily", "weekly", "monthly"):
        raise bad(f"{_PARAM}[interval]", "Invalid interval")
    new: dict[str, Any] = {"delay_days": _delay(params, schedule), "interval": interval}
    if interval == "weekly":
        new |= _weekly(params, schedule)
    elif interval == "monthly":
        new |= _monthly(params, schedule)
    return new


def due(schedule: dict[str, Any], day: date) -> bool:
    """Tell whether a schedule pays out on a day; the 29th to 31st count as the last day of a shorter month."""
    if schedule["interval"] == "weekly":
        return WEEKDAYS[day.weekday()] in schedule["weekly_payout_days"]
    if schedule["interval"] == "monthly":
        last = calendar.monthrange(day.year, day.month)[1]
        return day.day in {min(number, last) for number in schedule["monthly_payout_days"]}
    return bool(schedule["interval"] == "daily")


def _delay(params: dict[str, Any], schedule: dict[str, Any]) -> int:
    value = params.get("delay_days", schedule["delay_days"])
    if value == "minimum":
        return MINIMUM_DELAY
    return _number(value, "delay_days", MINIMUM_DELAY, 31)


def _number(value: Any, name: str, low: int, high: int) -> int:
    if not str(value).isdigit() or not low <= int(value) <= high:
        raise bad(f"{_PARAM}[{name}]", f"{name} must be between {low} and {high}")
    return int(value)


def _weekly(params: dict[str, Any], schedule: dict[str, Any]) -> dict[str, Any]:
    days = params.get("weekly_payout_days") or ([params["weekly_anchor"]] if "weekly_anchor" in params else None)
    days = days or schedule.get("weekly_payout_days")
    if not days:
        raise missing(f"{_PARAM}[weekly_anchor]")
    for day in days:
        if day not in WEEKDAYS:
            raise bad(f"{_PARAM}[weekly_anchor]", "Invalid weekday")
    return {"weekly_anchor": days[0], "weekly_payout_days": list(days)}


def _monthly(params: dict[str, Any], schedule: dict[str, Any]) -> dict[str, Any]:
    days = params.get("monthly_payout_days") or ([params["monthly_anchor"]] if "monthly_anchor" in params else None)
    days = days or schedule.get("monthly_payout_days")
    if not days:
        raise missing(f"{_PARAM}[monthly_anchor]")
    numbers = [_number(day, "monthly_anchor", 1, 31) for day in days]
    return {"monthly_anchor": numbers[0], "monthly_payout_days": numbers}
