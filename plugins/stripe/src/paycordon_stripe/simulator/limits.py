"""Rate limits: so many requests a second, then 429 without `Stripe-Should-Retry`, so the SDK does not retry."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from datetime import datetime, timedelta

from paycordon_stripe.simulator.problems import Problem

WINDOW = timedelta(seconds=1)
REASON_HEADER = "Stripe-Rate-Limited-Reason"


class RateLimit:
    """Counts requests in a sliding second; none is refused without a limit."""

    def __init__(self, clock: Callable[[], datetime], per_second: int | None) -> None:
        self.per_second = per_second
        self._clock = clock
        self._taken: deque[datetime] = deque()
        self._lock = threading.Lock()

    def take(self) -> None:
        """Count a request.

        Raises:
            Problem: 429, there have been too many.
        """
        if self.per_second is None:
            return
        now = self._clock()
        with self._lock:
            while self._taken and now - self._taken[0] >= WINDOW:
                self._taken.popleft()
            if len(self._taken) >= self.per_second:
                raise Problem(429, "Request rate limit exceeded.", code="rate_limit")
            self._taken.append(now)
