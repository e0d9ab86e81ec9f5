"""The payer's local time, by the IANA time zones as the package `tzdata` has them; the machine's own do not matter."""

from __future__ import annotations

from datetime import datetime
from functools import cache, lru_cache
from importlib.resources import files
from zoneinfo import ZoneInfo


def local_time(at: datetime, zone: str | None, country: str | None) -> datetime | None:
    """Say what the clocks of a place show at a time.

    Args:
        at: the time, aware.
        zone: the place's time zone, such as `Europe/Amsterdam`; one that is unknown counts as not given.
        country: taken instead if the whole country has one time zone (tzdata's `zone.tab`).

    Returns:
        None if neither tells, or the local time lies outside of the calendar.
    """
    name = zone if zone in _names() else _only_zones().get(country or "")
    if name is None:
        return None
    try:
        return at.astimezone(_zone(name))
    except OverflowError:
        return None


@cache
def _names() -> frozenset[str | None]:
    return frozenset((files("tzdata") / "zones").read_text(encoding="utf-8").split())


@cache
def _only_zones() -> dict[str, str]:
    """The countries of `zone.tab` that have exactly one zone there."""
    zones: dict[str, list[str]] = {}
    table = (files("tzdata") / "zoneinfo" / "zone.tab").read_text(encoding="utf-8")
    for line in table.splitlines():
        if not line.startswith("#"):
            country, _, zone, *_ = line.split("\t")
            zones.setdefault(country, []).append(zone)
    return {country: found[0] for country, found in zones.items() if len(found) == 1}


@lru_cache(maxsize=1_024)
def _zone(name: str) -> ZoneInfo:
    with files("tzdata").joinpath("zoneinfo", *name.split("/")).open("rb") as file:
        return ZoneInfo.from_file(file, key=name)
