"""What will happen by itself as a simulator's clock goes on: payouts under way, deadlines, midnights."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from datetime import datetime, timedelta

Deed = Callable[[], None]
DAY = timedelta(days=1)


class Timeline:
    """Deeds with the times they are due at, carried out in order."""

    def __init__(self) -> None:
        self._waiting: list[tuple[datetime, int, Deed]] = []
        self._numbers = itertools.count()

    def at(self, when: datetime, deed: Deed) -> None:
        """Let something happen at a time; of two at one time the first that was put there comes first."""
        heapq.heappush(self._waiting, (when, next(self._numbers), deed))

    def is_due(self, now: datetime) -> bool:
        """Tell whether a deed is due."""
        return bool(self._waiting) and self._waiting[0][0] <= now

    def due(self, now: datetime) -> tuple[datetime, Deed] | None:
        """Take the next deed that is due, if any."""
        if not self.is_due(now):
            return None
        when, _, deed = heapq.heappop(self._waiting)
        return when, deed


def next_midnight(at: datetime) -> datetime:
    """Return the first midnight, UTC, after a time."""
    return at.replace(hour=0, minute=0, second=0, microsecond=0) + DAY
