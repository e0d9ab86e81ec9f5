"""Rate limits: so many requests a second, and no more."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from datetime import datetime, timedelta

WINDOW = timedelta(seconds=1)


class RateLimit:
    """Counts requests in a sliding second; none is refused without a limit."""

    def __init__(self, clock: Callable[[], datetime], per_second: int | None) -> None:
        self.per_second = per_second
        self._clock = clock
        self._taken: deque[datetime] = deque()
        self._lock = threading.Lock()

    def take(self) -> bool:
        """Count a request, and tell whether it is within the limit; one that is not does not count."""
        if self.per_second is None:
            return True
        now = self._clock()
        with self._lock:
            while self._taken and now - self._taken[0] >= WINDOW:
                self._taken.popleft()
            if len(self._taken) >= self.per_second:
                return False
            self._taken.append(now)
            return True
