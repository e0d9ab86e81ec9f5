"""A clock that stands still until a test moves it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


class FrozenClock:
    """A clock to hand to code that takes one: calling it returns an aware time in UTC.

    Raises:
        ValueError: the start has no time zone.
    """

    def __init__(self, start: datetime = NOON) -> None:
        if start.tzinfo is None:
            raise ValueError("`start` has no time zone")
        self._now = start.astimezone(UTC)

    def __call__(self) -> datetime:
        """Return the time it stands at."""
        return self._now

    def advance(self, by: timedelta) -> datetime:
        """Move the clock forwards and return the new time.

        Raises:
            ValueError: the step is negative.
        """
        if by < timedelta(0):
            raise ValueError("a clock only moves forwards")
        self._now += by
        return self._now
